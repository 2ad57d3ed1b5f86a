//! Affinity propagation, as scikit-learn does it.
//!
//! Frey and Dueck, "Clustering by passing messages between data points" (2007). The updates, the test of convergence,
//! the refinement of the exemplars and the special cases are scikit-learn's. The similarities are kept in 32 bits, and
//! so are the availabilities; the responsibilities are not stored at all, see [`messages`].

mod messages;
#[cfg(test)]
mod tests;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use super::ClusterError;
use crate::linalg::{Metric, Space};
use crate::points::Points;
use messages::Messages;

/// How much each point wants to be an exemplar: the similarity that it has to itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Preference {
    /// The median of the whole matrix of similarities, its zero diagonal included.
    #[default]
    Median,
    /// The same number for all points. The lower, the fewer clusters.
    Value(f64),
    /// One number a point.
    PerPoint(Vec<f64>),
}

/// The parameters of affinity propagation. The similarity of two points is their negative squared Euclidean distance.
///
/// `AffinityPropagation { damping: 0.9, max_iter: 1000, ..AffinityPropagation::default() }.fit(&points)?`
#[derive(Clone, Debug)]
pub struct AffinityPropagation {
    /// How much of a message is kept from round to round, from 0.5 to less than 1; 0.5 by default.
    pub damping: f64,
    /// How many rounds there may be at most; 200 by default.
    pub max_iter: usize,
    /// The messages have converged when the same points were exemplars in this many rounds; 15 by default.
    pub convergence_iter: usize,
    /// How much each point wants to be an exemplar; the median similarity by default.
    pub preference: Preference,
    /// The seed of the noise, some units in the last place, that keeps equal similarities apart; 0 by default.
    pub seed: u64,
}

impl Default for AffinityPropagation {
    fn default() -> Self {
        AffinityPropagation {
            damping: 0.5,
            max_iter: 200,
            convergence_iter: 15,
            preference: Preference::Median,
            seed: 0,
        }
    }
}

/// What affinity propagation found.
#[derive(Clone, Debug)]
pub struct AffinityPropagationFit {
    /// The rows of the exemplars, ascending: the centre of cluster k is point `cluster_centers_indices[k]`. Empty when
    /// no point was an exemplar in the last round.
    pub cluster_centers_indices: Vec<usize>,
    /// The cluster of each point, from 0; all -1 when there are no exemplars.
    pub labels: Vec<i32>,
    /// Rounds; 0 when all similarities and all preferences are equal, which leaves nothing to do.
    pub n_iter: usize,
    /// Whether the exemplars stayed the same for `convergence_iter` rounds. When not, the clusters may be bad ones.
    pub converged: bool,
    /// The sum of the similarities of the points to their exemplars, preferences left out; at most 0. NaN when there
    /// are no exemplars.
    pub net_similarity: f64,
}

impl AffinityPropagation {
    /// Clusters the points. O(n^2 d), and O(n^2) a round; memory for 2 n^2 numbers of 32 bits.
    ///
    /// # Errors
    /// `damping` not in [0.5, 1); `max_iter` or `convergence_iter` 0; a preference that is not finite, or not one a
    /// point; no points; no memory for the similarities.
    pub fn fit(&self, points: &Points) -> Result<AffinityPropagationFit, ClusterError> {
        self.check(points)?;
        let rows = points.rows();
        let (scaled, scale) = scaled(points)?;
        let mut similarities = Space::new(&scaled, Metric::Euclidean)?.square()?;
        drop(scaled);
        similarities.par_chunks_mut(rows).for_each(|row| row.iter_mut().for_each(|value| *value = -(*value * *value)));
        if let Some(first) = self.first_of_equal_preferences()
            && all_equal_beside_diagonal(&similarities, rows)
        {
            return Ok(without_messages(points, first));
        }
        let mut preferences: Vec<f64> = match &self.preference {
            Preference::Median => vec![median(&similarities); rows],
            Preference::Value(value) => vec![value * scale * scale; rows],
            Preference::PerPoint(values) => values.iter().map(|value| value * scale * scale).collect(),
        };
        add_noise(&mut similarities, &mut preferences, self.seed);
        let mut messages = Messages::new(similarities, preferences, self.damping)?;
        let (n_iter, converged) = messages.run(self.max_iter, self.convergence_iter)?;
        let exemplars = refined(&messages, messages.exemplars());
        Ok(result(points, exemplars, &messages, n_iter, converged))
    }

    fn check(&self, points: &Points) -> Result<(), ClusterError> {
        let wrong = |parameter, value: String, rule: String| Err(ClusterError::Parameter { parameter, value, rule });
        if points.rows() == 0 {
            return Err(ClusterError::TooFewRows { rows: 0, needed: 1 });
        }
        if points.rows() > i32::MAX as usize {
            return wrong("points", format!("{} rows", points.rows()), "there must be at most 2147483647".to_owned());
        }
        if !(0.5..1.0).contains(&self.damping) {
            return wrong("damping", self.damping.to_string(), "it must be at least 0.5 and less than 1".to_owned());
        }
        for (parameter, value) in [("max_iter", self.max_iter), ("convergence_iter", self.convergence_iter)] {
            if value == 0 {
                return Err(ClusterError::Zero { parameter });
            }
        }
        let finite = |value: f64| match value.is_finite() {
            true => Ok(()),
            false => wrong("preference", value.to_string(), "it must be a finite number".to_owned()),
        };
        match &self.preference {
            Preference::Median => Ok(()),
            Preference::Value(value) => finite(*value),
            Preference::PerPoint(values) if values.len() != points.rows() => {
                let rule = format!("there must be one for each of the {} points", points.rows());
                wrong("preference", format!("{} numbers", values.len()), rule)
            }
            Preference::PerPoint(values) => values.iter().try_for_each(|&value| finite(value)),
        }
    }

    /// The preference that all points have; `Some(None)` stands for the median.
    fn first_of_equal_preferences(&self) -> Option<Option<f64>> {
        match &self.preference {
            Preference::Median => Some(None),
            Preference::Value(value) => Some(Some(*value)),
            Preference::PerPoint(values) => {
                values.iter().all(|value| *value == values[0]).then(|| values.first().copied())
            }
        }
    }
}

/// The points times a power of two, which changes no digit, so that squares neither overflow nor vanish in 32 bits;
/// and that power.
fn scaled(points: &Points) -> Result<(Points, f64), ClusterError> {
    let largest = points.as_slice().iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let scale = if largest > 0.0 { (-f64::from(largest).log2().floor()).exp2() } else { 1.0 };
    let values = points.as_slice().iter().map(|&value| (f64::from(value) * scale) as f32).collect();
    Ok((Points::new(points.rows(), points.columns(), values)?, scale))
}

/// The similarity of two points, in 64 bits.
fn similarity(points: &Points, a: usize, b: usize) -> f64 {
    let differences = points.row(a).iter().zip(points.row(b)).map(|(&a, &b)| f64::from(a) - f64::from(b));
    -differences.map(|difference| difference * difference).sum::<f64>()
}

fn all_equal_beside_diagonal(similarities: &[f32], rows: usize) -> bool {
    let first = similarities.get(1).copied();
    similarities
        .par_chunks(rows)
        .enumerate()
        .all(|(row, values)| values.iter().enumerate().all(|(column, &value)| column == row || Some(value) == first))
}

/// scikit-learn's answer where all similarities are equal, and all preferences are: messages could tell no point from
/// another. Each point is its own cluster if the points like themselves better than each other, else all are in one.
fn without_messages(points: &Points, preference: Option<f64>) -> AffinityPropagationFit {
    let rows = points.rows();
    let similar = similarity(points, 0, rows - 1);
    // The median of n^2 - n times `similar` and n zeros.
    let preference = preference.unwrap_or(if rows == 2 { similar / 2.0 } else { similar });
    let centers: Vec<usize> = if preference > similar { (0..rows).collect() } else { vec![0] };
    let own = |row: usize| if centers.len() == rows { row as i32 } else { 0 };
    let net_similarity =
        if centers.len() == rows { 0.0 } else { (0..rows).map(|row| similarity(points, row, 0)).sum() };
    AffinityPropagationFit {
        labels: (0..rows).map(own).collect(),
        cluster_centers_indices: centers,
        n_iter: 0,
        converged: true,
        net_similarity,
    }
}

/// The median of numbers of which none is above 0.
fn median(values: &[f32]) -> f64 {
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        return nth(values, middle);
    }
    (nth(values, middle - 1) + nth(values, middle)) / 2.0
}

/// The number at `rank`, from 0 and in ascending order, of numbers of which none is above 0: their bits are in
/// descending order, so that counting the upper halves and then the lower ones finds it without a copy. O(n).
fn nth(values: &[f32], rank: usize) -> f64 {
    const HALF: u32 = 16;
    let bits = |value: &f32| value.abs().to_bits();
    let count = |part: &(dyn Fn(u32) -> Option<usize> + Sync)| -> Vec<usize> {
        let counted = values.par_chunks(1 << 16).fold(
            || vec![0_usize; 1 << HALF],
            |mut counts, values| {
                values.iter().filter_map(|value| part(bits(value))).for_each(|part| counts[part] += 1);
                counts
            },
        );
        // Whole numbers: the order of the additions does not matter.
        counted.reduce(
            || vec![0; 1 << HALF],
            |mut a, b| {
                a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
                a
            },
        )
    };
    let find = |counts: &[usize], rank: usize| {
        let mut before = 0;
        let found = counts.iter().enumerate().rev().find(|(_, count)| {
            before += **count;
            before > rank
        });
        found.map_or((0, 0), |(part, count)| (part as u32, rank + count - before))
    };
    let (upper, rank) = find(&count(&|bits| Some((bits >> HALF) as usize)), rank);
    let lower = |bits: u32| (bits >> HALF == upper).then_some((bits & ((1 << HALF) - 1)) as usize);
    let (lower, _) = find(&count(&lower), rank);
    -f64::from(f32::from_bits((upper << HALF) | lower))
}

/// Adds (epsilon S + 100 tiny) times a random number of mean 0 and variance 1, as scikit-learn does, where epsilon and
/// tiny are those of 32 bits for the similarities, and of 64 bits for the preferences, which are kept in 64 bits.
fn add_noise(similarities: &mut [f32], preferences: &mut [f64], seed: u64) {
    let rows = preferences.len();
    let (epsilon, tiny) = (f64::from(f32::EPSILON), f64::from(f32::MIN_POSITIVE) * 100.0);
    similarities.par_chunks_mut(rows).zip(preferences.par_iter_mut()).enumerate().for_each(|(row, (values, own))| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(row as u64);
        for value in values {
            let exact = f64::from(*value);
            *value = (exact + (epsilon * exact + tiny) * nearly_normal(&mut random)) as f32;
        }
        *own += (f64::EPSILON * *own + f64::MIN_POSITIVE * 100.0) * nearly_normal(&mut random);
    });
}

/// The sum of four random numbers of 16 bits, brought to mean 0 and variance 1: close to a normal distribution, and as
/// cheap as noise in the last place deserves.
fn nearly_normal(random: &mut ChaCha8Rng) -> f64 {
    let bits = random.next_u64();
    let sum: u64 = (0..4).map(|part| (bits >> (16 * part)) & 0xFFFF).sum();
    (sum as f64 / 65535.0 - 2.0) * 3.0_f64.sqrt()
}

/// Each cluster's best exemplar: the member to which the members are most similar in sum.
fn refined(messages: &Messages, exemplars: Vec<usize>) -> Vec<usize> {
    if exemplars.is_empty() {
        return exemplars;
    }
    let labels = nearest(messages, &exemplars);
    let mut members = vec![Vec::new(); exemplars.len()];
    labels.iter().enumerate().for_each(|(row, &label)| members[label].push(row));
    let best = |members: &Vec<usize>| {
        let mut sums = vec![0.0; members.len()];
        for &row in members {
            sums.iter_mut().zip(members).for_each(|(sum, &other)| *sum += messages.similarity(row, other));
        }
        first_largest(sums.into_iter()).map_or(0, |at| members[at])
    };
    members.par_iter().map(best).collect()
}

/// The number of the exemplar most similar to each point; exemplars belong to themselves.
fn nearest(messages: &Messages, exemplars: &[usize]) -> Vec<usize> {
    let closest = |row| first_largest(exemplars.iter().map(|&exemplar| messages.similarity(row, exemplar)));
    let mut labels: Vec<usize> = (0..messages.rows()).into_par_iter().map(|row| closest(row).unwrap_or(0)).collect();
    exemplars.iter().enumerate().for_each(|(label, &exemplar)| labels[exemplar] = label);
    labels
}

fn first_largest(values: impl Iterator<Item = f64>) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (at, value) in values.enumerate() {
        if best.is_none_or(|(_, largest)| value > largest) {
            best = Some((at, value));
        }
    }
    best.map(|(at, _)| at)
}

/// Labels for the final exemplars, numbered in the order of their rows.
fn result(
    points: &Points,
    mut exemplars: Vec<usize>,
    messages: &Messages,
    n_iter: usize,
    converged: bool,
) -> AffinityPropagationFit {
    let rows = points.rows();
    if exemplars.is_empty() {
        let labels = vec![-1; rows];
        let net_similarity = f64::NAN;
        return AffinityPropagationFit {
            cluster_centers_indices: exemplars,
            labels,
            n_iter,
            converged,
            net_similarity,
        };
    }
    // Clusters are disjoint, so no exemplar comes twice. Of two that are equally similar to a point, scikit-learn
    // prefers the one of the earlier cluster: label first, then sort.
    let labels = nearest(messages, &exemplars);
    let owners: Vec<usize> = labels.iter().map(|&label| exemplars[label]).collect();
    exemplars.sort_unstable();
    let label = |owner: &usize| exemplars.binary_search(owner).map_or(-1, |label| label as i32);
    AffinityPropagationFit {
        labels: owners.iter().map(label).collect(),
        net_similarity: owners.iter().enumerate().map(|(row, &owner)| similarity(points, row, owner)).sum(),
        cluster_centers_indices: exemplars,
        n_iter,
        converged,
    }
}

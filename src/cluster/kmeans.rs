//! K-Means by Lloyd's algorithm, as scikit-learn does it.
//!
//! Same steps, same order, same ways to stop: points are centred first; a pass labels all points and then moves the
//! centres; empty clusters take the points farthest from their centres; unchanged labels or a small shift end it.
//! Results do not depend on the number of threads: work is cut into pieces of a fixed size, sums are kept in 64 bits
//! and combined in order.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

use super::{ClusterError, plus_plus};
use crate::linalg::{self, Centres};
use crate::points::Points;
use crate::progress::{self, Progress};

/// Rows or cluster members summed by one task.
const ROWS_PER_CHUNK: usize = 512;

/// Where K-Means starts.
#[derive(Clone, Debug, Default)]
pub enum Init {
    /// Greedy k-means++ with 2 + ln(k) trials a centre.
    #[default]
    PlusPlus,
    /// The points in these rows.
    Rows(Vec<usize>),
    /// These centres.
    Centers(Points),
}

/// The parameters of K-Means.
///
/// `KMeans { n_clusters: 10, seed: 1, ..KMeans::default() }.fit(&points)?`
#[derive(Clone, Debug)]
pub struct KMeans {
    /// How many clusters to form; 8 by default.
    pub n_clusters: usize,
    /// How many starts to try; the one with the least inertia is kept. 1 by default, and always with given centres.
    pub n_init: usize,
    /// How many passes a start may take at most; 300 by default.
    pub max_iter: usize,
    /// A start has converged when the squared shift of all centres together is at most this many times the mean
    /// variance of the coordinates; 1e-4 by default. 0 waits for labels that no longer change.
    pub tol: f64,
    /// Where to start; k-means++ by default.
    pub init: Init,
    /// The seed of the random choices, which only k-means++ makes; 0 by default.
    pub seed: u64,
}

impl Default for KMeans {
    fn default() -> Self {
        KMeans { n_clusters: 8, n_init: 1, max_iter: 300, tol: 1e-4, init: Init::PlusPlus, seed: 0 }
    }
}

/// What K-Means found.
#[derive(Clone, Debug)]
pub struct KMeansFit {
    /// The cluster of each point, from 0.
    pub labels: Vec<i32>,
    /// The mean of each cluster's points: `n_clusters` rows.
    pub centers: Points,
    /// The sum of the squared distances of the points to the centres of their clusters.
    pub inertia: f64,
    /// Passes that the kept start took.
    pub n_iter: usize,
}

impl KMeans {
    /// Clusters the points. O(n k d) a pass.
    ///
    /// There may be fewer distinct labels than `n_clusters` when there are fewer distinct points.
    ///
    /// # Errors
    /// `n_clusters` not between 1 and the number of points; `n_init` or `max_iter` 0; `tol` negative or NaN; `init`
    /// of another shape; the computation was told to stop.
    pub fn fit(&self, points: &Points) -> Result<KMeansFit, ClusterError> {
        self.check(points)?;
        let space = Space::around(points)?;
        let tolerance = self.tol * space.variance;
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let starts = if matches!(self.init, Init::PlusPlus) { self.n_init } else { 1 };
        let mut best = self.run(&space, tolerance, &mut random)?;
        for _ in 1..starts {
            let other = self.run(&space, tolerance, &mut random)?;
            if other.inertia < best.inertia {
                best = other;
            }
        }
        Ok(KMeansFit {
            labels: best.labels.iter().map(|&label| label as i32).collect(),
            centers: space.back(&best.centres)?,
            inertia: best.inertia / (space.scale * space.scale),
            n_iter: best.n_iter,
        })
    }

    pub(super) fn check(&self, points: &Points) -> Result<(), ClusterError> {
        let (n_clusters, rows) = (self.n_clusters, points.rows());
        if n_clusters == 0 || n_clusters > rows || n_clusters > i32::MAX as usize {
            return Err(ClusterError::Clusters { n_clusters, rows });
        }
        for (parameter, value) in [("n_init", self.n_init), ("max_iter", self.max_iter)] {
            if value == 0 {
                return Err(ClusterError::Zero { parameter });
            }
        }
        if self.tol.is_nan() || self.tol < 0.0 {
            return Err(ClusterError::Tolerance(self.tol));
        }
        let found = match &self.init {
            Init::PlusPlus => n_clusters,
            Init::Rows(rows) => rows.len(),
            Init::Centers(centres) => centres.rows(),
        };
        if found != n_clusters {
            return Err(ClusterError::InitCount { found, n_clusters });
        }
        match &self.init {
            Init::Centers(centres) if centres.columns() != points.columns() => {
                Err(ClusterError::InitColumns { found: centres.columns(), columns: points.columns() })
            }
            _ => Ok(()),
        }
    }

    /// One start, to its end.
    fn run(&self, space: &Space, tolerance: f64, random: &mut ChaCha8Rng) -> Result<Run, ClusterError> {
        let points = &space.points;
        let start = match &self.init {
            Init::PlusPlus => points.select(&plus_plus::choose(points, self.n_clusters, random)?)?,
            _ => self.given(space)?,
        };
        let centres = start.as_slice().iter().map(|&value| f64::from(value)).collect();
        lloyd(points, centres, self.max_iter, tolerance)
    }

    /// The centres that were given to start from; none for k-means++.
    pub(super) fn given(&self, space: &Space) -> Result<Points, ClusterError> {
        Ok(match &self.init {
            Init::PlusPlus => Points::new(0, space.points.columns(), Vec::new())?,
            Init::Rows(rows) => space.points.select(rows)?,
            Init::Centers(centres) => space.of(centres)?.0,
        })
    }
}

/// The points as K-Means sees them: around their mean, which keeps the digits of small differences, and scaled by a
/// power of two so that squares neither overflow nor vanish in 32 bits.
pub(super) struct Space {
    pub(super) points: Points,
    mean: Vec<f64>,
    pub(super) scale: f64,
    /// The mean variance of the coordinates in this space.
    pub(super) variance: f64,
}

impl Space {
    pub(super) fn around(points: &Points) -> Result<Space, ClusterError> {
        let columns = points.columns();
        let chunks = points.as_slice().par_chunks(ROWS_PER_CHUNK * columns);
        let profiles = chunks.map(|rows| {
            let mut profile = Profile::new(columns);
            linalg::vectorised(Extend { rows, profile: &mut profile });
            profile
        });
        let mut profile = Profile::new(columns);
        for chunk in profiles.collect::<Vec<_>>() {
            profile.join(&chunk);
        }
        let count = points.rows().max(1) as f64;
        let mean: Vec<f64> = profile.sums.iter().map(|sum| sum / count).collect();
        let farthest =
            |((&least, &most), mean): ((&f32, &f32), &f64)| (f64::from(most) - mean).max(mean - f64::from(least));
        let farthest = profile.least.iter().zip(&profile.most).zip(&mean).map(farthest).fold(0.0, f64::max);
        let scale = if farthest > 0.0 { (-farthest.log2().floor()).exp2() } else { 1.0 };
        let mut space = Space { points: Points::new(0, columns, Vec::new())?, mean, scale, variance: 0.0 };
        let (points, moments) = space.of(points)?;
        // Of numbers around zero: no digits are lost.
        let (means, squares) = moments.split_at(columns);
        let variances: Vec<f64> = means
            .iter()
            .zip(squares)
            .map(|(sum, squares)| (squares / count - (sum / count).powi(2)).max(0.0))
            .collect();
        space.variance = self::mean(&variances);
        space.points = points;
        Ok(space)
    }

    /// Points of the original space in this one; and the sum of every column, then that of its squares.
    fn of(&self, points: &Points) -> Result<(Points, Vec<f64>), ClusterError> {
        let columns = points.columns();
        let mut values = vec![0.0; points.as_slice().len()];
        let chunk = ROWS_PER_CHUNK * columns;
        let chunks = values.par_chunks_mut(chunk).zip(points.as_slice().par_chunks(chunk));
        let moments = chunks.map(|(values, rows)| {
            let mut moments = vec![0.0; 2 * columns];
            linalg::vectorised(Shift { space: self, rows, values, moments: &mut moments });
            moments
        });
        let mut total = vec![0.0; 2 * columns];
        for moments in moments.collect::<Vec<_>>() {
            total.iter_mut().zip(moments).for_each(|(total, moment)| *total += moment);
        }
        Ok((Points::new(points.rows(), columns, values)?, total))
    }

    /// Centres of this space in the original one.
    pub(super) fn back(&self, centres: &[f64]) -> Result<Points, ClusterError> {
        let columns = self.mean.len();
        let values =
            centres.iter().enumerate().map(|(at, value)| (value / self.scale + self.mean[at % columns]) as f32);
        Ok(Points::new(centres.len() / columns, columns, values.collect())?)
    }
}

/// The sum, the least and the largest number of every column.
struct Profile {
    sums: Vec<f64>,
    least: Vec<f32>,
    most: Vec<f32>,
}

impl Profile {
    fn new(columns: usize) -> Profile {
        Profile { sums: vec![0.0; columns], least: vec![f32::MAX; columns], most: vec![f32::MIN; columns] }
    }

    fn join(&mut self, other: &Profile) {
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, other)| *sum += other);
        self.least.iter_mut().zip(&other.least).for_each(|(least, other)| *least = least.min(*other));
        self.most.iter_mut().zip(&other.most).for_each(|(most, other)| *most = most.max(*other));
    }
}

/// Takes rows up into a profile.
struct Extend<'work> {
    rows: &'work [f32],
    profile: &'work mut Profile,
}

impl linalg::Loops for Extend<'_> {
    #[inline(always)]
    fn run(self) {
        let Profile { sums, least, most } = self.profile;
        for row in self.rows.chunks_exact(sums.len()) {
            for (((&value, sum), least), most) in row.iter().zip(&mut *sums).zip(&mut *least).zip(&mut *most) {
                *sum += f64::from(value);
                *least = if value < *least { value } else { *least };
                *most = if value > *most { value } else { *most };
            }
        }
    }
}

/// Moves rows into a space.
struct Shift<'work> {
    space: &'work Space,
    rows: &'work [f32],
    values: &'work mut [f32],
    moments: &'work mut [f64],
}

impl linalg::Loops for Shift<'_> {
    #[inline(always)]
    fn run(self) {
        let (scale, columns) = (self.space.scale, self.space.mean.len());
        let (sums, squares) = self.moments.split_at_mut(columns);
        for (values, row) in self.values.chunks_exact_mut(columns).zip(self.rows.chunks_exact(columns)) {
            for ((value, &original), mean) in values.iter_mut().zip(row).zip(&self.space.mean) {
                *value = ((f64::from(original) - mean) * scale) as f32;
            }
            for ((&value, sum), square) in values.iter().zip(&mut *sums).zip(&mut *squares) {
                *sum += f64::from(value);
                *square += f64::from(value) * f64::from(value);
            }
        }
    }
}

/// The end of one start.
struct Run {
    labels: Vec<u32>,
    centres: Vec<f64>,
    inertia: f64,
    n_iter: usize,
}

/// Lloyd's algorithm from the given centres (k x d, row-major).
fn lloyd(points: &Points, mut centres: Vec<f64>, max_iter: usize, tolerance: f64) -> Result<Run, ClusterError> {
    let columns = points.columns();
    let mut labels = vec![0; points.rows()];
    let mut labels_before = vec![u32::MAX; points.rows()];
    let mut sums = Sums::default();
    let mut assigner = linalg::Assigner::new(points, centres.len() / columns);
    let mut progress = Progress::if_long("k-means", max_iter as u64, "iterations at most");
    let mut settled = false;
    let mut n_iter = 0;
    while n_iter < max_iter && !settled {
        progress::check()?;
        progress.advance(1);
        n_iter += 1;
        assigner.assign(&centres, &mut labels);
        let moved = means_of_clusters(points, &labels, &centres, &mut sums);
        let shift: f64 = moved.iter().zip(&centres).map(|(new, old)| (new - old) * (new - old)).sum();
        centres = moved;
        settled = labels == labels_before;
        if shift <= tolerance {
            break;
        }
        labels_before.copy_from_slice(&labels);
    }
    if !settled {
        // The centres have moved since the last labels.
        assigner.assign(&centres, &mut labels);
    }
    let inertia = chunk_sums(&squared_distances_to_own(points, &labels, &centres));
    Ok(Run { labels, centres, inertia, n_iter })
}

pub(super) fn packed(centres: &[f64], columns: usize) -> Centres {
    let values: Vec<f32> = centres.iter().map(|&value| value as f32).collect();
    Centres::new(&values, columns)
}

/// The mean of the points of each label; `before` are the centres that the labels came from.
fn means_of_clusters(points: &Points, labels: &[u32], before: &[f64], kept: &mut Sums) -> Vec<f64> {
    let columns = points.columns();
    kept.update(points, labels, before.len() / columns);
    let (mut sums, mut counts) = (kept.sums.clone(), kept.counts.clone());
    if counts.contains(&0) {
        relocate_empty(points, labels, before, &mut sums, &mut counts);
    }
    for (sum, &count) in sums.chunks_exact_mut(columns).zip(&counts) {
        sum.iter_mut().for_each(|sum| *sum /= count.max(1) as f64);
    }
    // A cluster still empty shares the centre of the biggest one.
    let biggest = (0..counts.len()).rev().max_by_key(|&cluster| counts[cluster]).unwrap_or(0);
    let centre = sums[biggest * columns..(biggest + 1) * columns].to_vec();
    for (sum, &count) in sums.chunks_exact_mut(columns).zip(&counts) {
        if count == 0 {
            sum.copy_from_slice(&centre);
        }
    }
    sums
}

/// The sum and the number of the points of each label, kept from pass to pass: what few points changed is taken off one
/// sum and added to another.
#[derive(Default)]
struct Sums {
    labels: Vec<u32>,
    sums: Vec<f64>,
    counts: Vec<usize>,
}

impl Sums {
    /// Brings the sums to these labels. Changes are made in row order, in segments of a fixed length.
    fn update(&mut self, points: &Points, labels: &[u32], clusters: usize) {
        let columns = points.columns();
        let changed = self.labels.iter().zip(labels).filter(|(old, new)| old != new).count();
        if self.labels.len() != labels.len() || 2 * changed > labels.len() {
            *self = Sums { labels: Vec::new(), sums: vec![0.0; clusters * columns], counts: vec![0; clusters] };
        }
        let mut changes: Vec<Vec<(usize, f64)>> = vec![Vec::new(); clusters];
        for (row, &label) in labels.iter().enumerate() {
            let old = self.labels.get(row).copied();
            if old != Some(label) {
                changes[label as usize].push((row, 1.0));
                self.counts[label as usize] += 1;
                if let Some(old) = old {
                    changes[old as usize].push((row, -1.0));
                    self.counts[old as usize] -= 1;
                }
            }
        }
        let segments: Vec<(usize, &[(usize, f64)])> = changes
            .iter()
            .enumerate()
            .flat_map(|(cluster, changes)| changes.chunks(ROWS_PER_CHUNK).map(move |changes| (cluster, changes)))
            .collect();
        let add_up = |&(cluster, changes): &(usize, &[(usize, f64)])| {
            let mut sum = vec![0.0; columns];
            linalg::vectorised(AddUp { points, changes, sum: &mut sum });
            (cluster, sum)
        };
        for (cluster, sum) in segments.par_iter().map(add_up).collect::<Vec<_>>() {
            let total = &mut self.sums[cluster * columns..(cluster + 1) * columns];
            total.iter_mut().zip(sum).for_each(|(total, sum)| *total += sum);
        }
        self.labels = labels.to_vec();
    }
}

/// Adds rows, or takes them off, in 64 bits.
struct AddUp<'work> {
    points: &'work Points,
    changes: &'work [(usize, f64)],
    sum: &'work mut [f64],
}

impl linalg::Loops for AddUp<'_> {
    #[inline(always)]
    fn run(self) {
        for &(row, sign) in self.changes {
            for (sum, &value) in self.sum.iter_mut().zip(self.points.row(row)) {
                *sum += sign * f64::from(value);
            }
        }
    }
}

/// Gives each empty cluster the point farthest from its centre, which leaves its old cluster: scikit-learn's rule.
/// Does nothing when every point is at its centre.
fn relocate_empty(points: &Points, labels: &[u32], before: &[f64], sums: &mut [f64], counts: &mut [usize]) {
    let columns = points.columns();
    let distances = squared_distances_to_own(points, labels, before);
    let mut farthest: Vec<usize> = (0..points.rows()).collect();
    farthest.sort_by(|&a, &b| distances[b].total_cmp(&distances[a]));
    if distances[farthest[0]] == 0.0 {
        return;
    }
    let empty: Vec<usize> = (0..counts.len()).filter(|&cluster| counts[cluster] == 0).collect();
    for (&cluster, &row) in empty.iter().zip(&farthest) {
        let old = labels[row] as usize;
        for (column, &value) in points.row(row).iter().enumerate() {
            sums[old * columns + column] -= f64::from(value);
            sums[cluster * columns + column] = f64::from(value);
        }
        counts[cluster] = 1;
        counts[old] -= 1;
    }
}

/// The squared distance of each point to the centre of its cluster, in 64 bits.
pub(super) fn squared_distances_to_own(points: &Points, labels: &[u32], centres: &[f64]) -> Vec<f64> {
    let mut distances = vec![0.0; points.rows()];
    let chunks = distances.par_chunks_mut(ROWS_PER_CHUNK).zip(labels.par_chunks(ROWS_PER_CHUNK));
    chunks.zip(points.as_slice().par_chunks(ROWS_PER_CHUNK * points.columns())).for_each(
        |((distances, labels), rows)| {
            linalg::vectorised(ToOwn { rows, labels, centres, columns: points.columns(), distances });
        },
    );
    distances
}

/// Measures rows and the centres of their clusters.
struct ToOwn<'work> {
    rows: &'work [f32],
    labels: &'work [u32],
    centres: &'work [f64],
    columns: usize,
    distances: &'work mut [f64],
}

impl linalg::Loops for ToOwn<'_> {
    #[inline(always)]
    fn run(self) {
        let rows = self.rows.chunks_exact(self.columns).zip(self.labels);
        for ((row, &label), distance) in rows.zip(self.distances) {
            let centre = &self.centres[label as usize * self.columns..][..self.columns];
            let ((row, row_rest), (centre, centre_rest)) = (row.as_chunks::<16>(), centre.as_chunks::<16>());
            // Several sums, so that one addition need not wait for another.
            let mut sums = [0.0; 16];
            for (values, centre) in row.iter().zip(centre) {
                for ((sum, &value), centre) in sums.iter_mut().zip(values).zip(centre) {
                    let difference = f64::from(value) - centre;
                    *sum += difference * difference;
                }
            }
            let rest = row_rest.iter().zip(centre_rest).map(|(&value, centre)| (f64::from(value) - centre).powi(2));
            *distance = sums.iter().sum::<f64>() + rest.sum::<f64>();
        }
    }
}

/// A sum whose order of additions is fixed, with a short error path: chunks first, then the chunks.
pub(super) fn chunk_sums(values: &[f64]) -> f64 {
    values.chunks(ROWS_PER_CHUNK).map(|chunk| chunk.iter().sum::<f64>()).sum()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

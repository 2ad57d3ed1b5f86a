//! K-Means from small random batches, as scikit-learn's `MiniBatchKMeans` (Sculley 2010).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::ClusterError;
use super::kmeans::{Init, KMeans, KMeansFit, Space, chunk_sums, packed, squared_distances_to_own};
use super::plus_plus::{self, uniform};
use crate::linalg;
use crate::points::Points;
use crate::progress::{self, Progress};

/// The parameters of mini-batch K-Means.
#[derive(Clone, Debug)]
pub struct MiniBatchKMeans {
    /// How many clusters to form; 8 by default.
    pub n_clusters: usize,
    /// How many points a step looks at; 1024 by default.
    pub batch_size: usize,
    /// How many times the steps may go through as many points as there are; 100 by default.
    pub max_iter: usize,
    /// How many starts to compare on a sample; the best is taken. 1 by default.
    pub n_init: usize,
    /// Ends when the squared shift of all centres together is at most this many times the mean variance of the
    /// coordinates; 0 by default, which never ends a run.
    pub tol: f64,
    /// Ends after so many steps without a better smoothed inertia; 10 by default, `None` for never.
    pub max_no_improvement: Option<usize>,
    /// Centres with less than this share of the largest centre's points are moved to random points; 0.01 by default.
    pub reassignment_ratio: f64,
    /// Where to start; k-means++ on a sample of three batches by default.
    pub init: Init,
    /// The seed of the random choices; 0 by default.
    pub seed: u64,
}

impl Default for MiniBatchKMeans {
    fn default() -> Self {
        MiniBatchKMeans {
            n_clusters: 8,
            batch_size: 1024,
            max_iter: 100,
            n_init: 1,
            tol: 0.0,
            max_no_improvement: Some(10),
            reassignment_ratio: 0.01,
            init: Init::PlusPlus,
            seed: 0,
        }
    }
}

impl MiniBatchKMeans {
    /// Clusters the points; `n_iter` counts the steps. O(b k d) a step of b points, and O(n k d) for the labels.
    ///
    /// # Errors
    /// As [`KMeans::fit`]; `batch_size` 0; `reassignment_ratio` negative or not a number; the computation was told to
    /// stop.
    pub fn fit(&self, points: &Points) -> Result<KMeansFit, ClusterError> {
        let full = KMeans {
            n_clusters: self.n_clusters,
            n_init: self.n_init,
            max_iter: self.max_iter,
            tol: self.tol,
            init: self.init.clone(),
            seed: self.seed,
        };
        full.check(points)?;
        if self.batch_size == 0 {
            return Err(ClusterError::Zero { parameter: "batch_size" });
        }
        if self.reassignment_ratio.is_nan() || self.reassignment_ratio < 0.0 {
            let (value, rule) = (self.reassignment_ratio.to_string(), "it must not be negative".to_owned());
            return Err(ClusterError::Parameter { parameter: "reassignment_ratio", value, rule });
        }
        let space = Space::around(points)?;
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let (centres, n_iter) = self.steps(&full, &space, &mut random)?;
        let mut labels = vec![0; points.rows()];
        linalg::nearest(&space.points, &packed(&centres, points.columns()), &mut labels);
        let inertia = chunk_sums(&squared_distances_to_own(&space.points, &labels, &centres));
        Ok(KMeansFit {
            labels: labels.iter().map(|&label| label as i32).collect(),
            centers: space.back(&centres)?,
            inertia: inertia / (space.scale * space.scale),
            n_iter,
        })
    }

    /// The best of the starts, by its inertia on a sample.
    fn start(&self, full: &KMeans, space: &Space, random: &mut ChaCha8Rng) -> Result<Vec<f64>, ClusterError> {
        let points = &space.points;
        let rows = points.rows();
        let size = (3 * self.batch_size.min(rows)).max(3 * self.n_clusters).min(rows);
        let check = points.select(&draw(rows, size, random))?;
        let mut best: Option<(f64, Vec<f64>)> = None;
        for _ in 0..if matches!(self.init, Init::PlusPlus) { self.n_init } else { 1 } {
            let start = match &self.init {
                Init::PlusPlus => {
                    let sample =
                        if size < rows { points.select(&distinct(rows, size, random))? } else { points.clone() };
                    sample.select(&plus_plus::choose(&sample, self.n_clusters, random)?)?
                }
                _ => full.given(space)?,
            };
            let centres: Vec<f64> = start.as_slice().iter().map(|&value| f64::from(value)).collect();
            let mut labels = vec![0; check.rows()];
            linalg::nearest(&check, &packed(&centres, points.columns()), &mut labels);
            let inertia = chunk_sums(&squared_distances_to_own(&check, &labels, &centres));
            if best.as_ref().is_none_or(|(least, _)| inertia < *least) {
                best = Some((inertia, centres));
            }
        }
        Ok(best.map(|(_, centres)| centres).unwrap_or_default())
    }

    /// The centres after all steps, and how many there were.
    fn steps(&self, full: &KMeans, space: &Space, random: &mut ChaCha8Rng) -> Result<(Vec<f64>, usize), ClusterError> {
        let points = &space.points;
        let (rows, columns) = (points.rows(), points.columns());
        let mut centres = self.start(full, space, random)?;
        let batch_size = self.batch_size.min(rows);
        let tolerance = self.tol * space.variance;
        let mut weights = vec![0.0; self.n_clusters];
        let (mut smoothed, mut least, mut no_improvement) = (None, f64::INFINITY, 0);
        let mut since_reassignment = 0;
        let most = self.max_iter.saturating_mul(rows).div_ceil(batch_size).max(1);
        let mut progress = Progress::if_long("mini-batch k-means", most as u64, "steps");
        for step in 1..=most {
            progress::check()?;
            progress.advance(1);
            let batch = points.select(&draw(rows, batch_size, random))?;
            let mut labels = vec![0; batch_size];
            linalg::nearest(&batch, &packed(&centres, columns), &mut labels);
            let inertia = chunk_sums(&squared_distances_to_own(&batch, &labels, &centres)) / batch_size as f64;
            let before = centres.clone();
            update(&batch, &labels, &mut centres, &mut weights);
            since_reassignment += batch_size;
            if weights.contains(&0.0) || since_reassignment >= 10 * self.n_clusters {
                since_reassignment = 0;
                reassign(&batch, &mut centres, &mut weights, self.reassignment_ratio, random);
            }
            if step == 1 {
                continue; // Its inertia is that of the start.
            }
            let share = (2.0 * batch_size as f64 / (rows + 1) as f64).min(1.0);
            let now = smoothed.map_or(inertia, |smoothed: f64| smoothed * (1.0 - share) + inertia * share);
            smoothed = Some(now);
            let shift: f64 = centres.iter().zip(&before).map(|(new, old)| (new - old) * (new - old)).sum();
            if self.tol > 0.0 && shift <= tolerance {
                return Ok((centres, step));
            }
            no_improvement = if now < least { 0 } else { no_improvement + 1 };
            least = least.min(now);
            if self.max_no_improvement.is_some_and(|most| no_improvement >= most) {
                return Ok((centres, step));
            }
        }
        Ok((centres, most))
    }
}

/// Moves each centre to the mean of all points it was ever given.
fn update(batch: &Points, labels: &[u32], centres: &mut [f64], weights: &mut [f64]) {
    let columns = batch.columns();
    let mut sums = vec![0.0; centres.len()];
    let mut counts = vec![0.0; weights.len()];
    for (row, &label) in batch.iter().zip(labels) {
        counts[label as usize] += 1.0;
        let sum = &mut sums[label as usize * columns..][..columns];
        sum.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    let clusters = centres.chunks_exact_mut(columns).zip(sums.chunks_exact(columns));
    for ((centre, sum), (weight, count)) in clusters.zip(weights.iter_mut().zip(counts)) {
        if count > 0.0 {
            let total = *weight + count;
            centre.iter_mut().zip(sum).for_each(|(value, sum)| *value = (*value * *weight + sum) / total);
            *weight = total;
        }
    }
}

/// Moves the centres with few points, at most half a batch of them, to random points of the batch.
fn reassign(batch: &Points, centres: &mut [f64], weights: &mut [f64], ratio: f64, random: &mut ChaCha8Rng) {
    let largest = weights.iter().copied().fold(0.0, f64::max);
    let mut few: Vec<usize> = (0..weights.len()).filter(|&cluster| weights[cluster] < ratio * largest).collect();
    few.sort_by(|&a, &b| weights[a].total_cmp(&weights[b]));
    few.truncate(batch.rows() / 2);
    let kept = (0..weights.len()).filter(|cluster| !few.contains(cluster));
    let least = kept.map(|cluster| weights[cluster]).fold(f64::INFINITY, f64::min);
    let chosen = distinct(batch.rows(), few.len(), random);
    for (&cluster, row) in few.iter().zip(chosen) {
        let centre = &mut centres[cluster * batch.columns()..][..batch.columns()];
        centre.iter_mut().zip(batch.row(row)).for_each(|(value, &new)| *value = f64::from(new));
        weights[cluster] = least;
    }
}

/// Row numbers, each drawn from all.
fn draw(rows: usize, count: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    (0..count).map(|_| ((uniform(random) * rows as f64) as usize).min(rows - 1)).collect()
}

/// So many distinct row numbers.
fn distinct(rows: usize, count: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    let mut all: Vec<usize> = (0..rows).collect();
    for at in 0..count.min(rows) {
        let other = at + ((uniform(random) * (rows - at) as f64) as usize).min(rows - at - 1);
        all.swap(at, other);
    }
    all.truncate(count);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::adjusted_rand_score;

    fn groups(rows: usize) -> Points {
        let noise = |at: usize| ((at * 7919 + 13) % 1009) as f32 / 1009.0 - 0.5;
        let value = |at: usize| ((at / 4 % 5) * 31 % 17 * (at % 4 + 1)) as f32 + noise(at);
        Points::new(rows, 4, (0..rows * 4).map(value).collect()).expect("valid")
    }

    #[test]
    fn finds_groups_and_does_not_depend_on_threads() {
        let points = groups(5000);
        let truth: Vec<i32> = (0..5000).map(|row| row % 5).collect();
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let method = MiniBatchKMeans { n_clusters: 5, n_init: 3, seed: 1, ..MiniBatchKMeans::default() };
            pool.install(|| method.fit(&points)).expect("fitted")
        };
        let (one, three) = (run(1), run(3));
        assert_eq!(adjusted_rand_score(&truth, &one.labels), Ok(1.0));
        assert_eq!((one.labels, one.inertia.to_bits()), (three.labels, three.inertia.to_bits()));
        let full = KMeans { n_clusters: 5, n_init: 3, ..KMeans::default() }.fit(&points).expect("fitted");
        assert!(one.inertia <= full.inertia * 1.02, "{} against {}", one.inertia, full.inertia);
    }

    #[test]
    fn few_points_and_bad_parameters() {
        let points = groups(3);
        let all = MiniBatchKMeans { n_clusters: 3, ..MiniBatchKMeans::default() }.fit(&points).expect("fitted");
        assert_eq!(all.labels.len(), 3);
        let message = |method: MiniBatchKMeans| method.fit(&points).expect_err("bad").to_string();
        let three = || MiniBatchKMeans { n_clusters: 3, ..MiniBatchKMeans::default() };
        assert_eq!(message(MiniBatchKMeans { batch_size: 0, ..three() }), "batch_size = 0: it must be at least 1");
        let negative = MiniBatchKMeans { reassignment_ratio: f64::NAN, ..three() };
        assert_eq!(message(negative), "reassignment_ratio = NaN: it must not be negative");
        assert!(message(MiniBatchKMeans { n_clusters: 4, ..three() }).starts_with("n_clusters = 4 is not between"));
    }
}

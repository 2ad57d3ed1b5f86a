//! How compact and how far apart clusters are: points and labels in, no truth needed.

use rayon::prelude::*;

use super::MetricError;
use crate::points::Points;
use crate::progress;

/// Rows of one cluster that are summed by one task; fixed, so that sums do not depend on the number of threads.
const ROWS_PER_CHUNK: usize = 512;
/// Sums kept side by side over the coordinates of a row: enough for vector code in 64 bits.
const LANES: usize = 8;
/// What `numpy.allclose` takes for zero.
const NOTHING: f64 = 1e-8;

/// Where each cluster lies and how wide it is: the one pass that [`davies_bouldin_score`] and
/// [`calinski_harabasz_score`] share.
#[derive(Clone, Debug)]
pub struct ClusterShapes {
    /// The labels that occur, ascending; the clusters below are in this order. Noise, -1, is a cluster.
    pub labels: Vec<i32>,
    /// How many points each cluster has.
    pub counts: Vec<usize>,
    /// The mean of each cluster's points: one row of `columns` numbers a cluster.
    pub means: Vec<f64>,
    /// The mean Euclidean distance of each cluster's points to the cluster's mean.
    pub mean_distances: Vec<f64>,
    /// The sum of the squared distances of all points to the means of their clusters.
    pub within: f64,
    /// The sum of the squared distances of the clusters' means to the mean of all, each times the cluster's points.
    pub between: f64,
    columns: usize,
}

/// Both measures, see [`internal_scores`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InternalScores {
    /// See [`davies_bouldin_score`].
    pub davies_bouldin: f64,
    /// See [`calinski_harabasz_score`].
    pub calinski_harabasz: f64,
}

/// The Davies-Bouldin index: the mean over clusters of the worst ratio of two clusters' widths to the distance of
/// their means, with the mean distance to the mean as width. From 0, which is best; 0 too where no cluster has any
/// width or all means are the same. Euclidean. O(n d + k^2 d).
///
/// Davies and Bouldin 1979; edge cases as in scikit-learn.
///
/// # Errors
/// Not one label a point; fewer than 2 or more than n - 1 distinct labels; the computation was cancelled.
pub fn davies_bouldin_score(points: &Points, labels: &[i32]) -> Result<f64, MetricError> {
    Ok(ClusterShapes::new(points, labels)?.davies_bouldin())
}

/// The Calinski-Harabasz index: the variance between the clusters over the variance within, each a degree of freedom.
/// From 0; larger is better; 1 where no cluster has any width. Euclidean. O(n d).
///
/// Calinski and Harabasz 1974; edge cases as in scikit-learn.
///
/// # Errors
/// As [`davies_bouldin_score`].
pub fn calinski_harabasz_score(points: &Points, labels: &[i32]) -> Result<f64, MetricError> {
    Ok(ClusterShapes::new(points, labels)?.calinski_harabasz())
}

/// Both indices from one pass over the points. O(n d + k^2 d).
///
/// # Errors
/// As [`davies_bouldin_score`].
pub fn internal_scores(points: &Points, labels: &[i32]) -> Result<InternalScores, MetricError> {
    let shapes = ClusterShapes::new(points, labels)?;
    Ok(InternalScores { davies_bouldin: shapes.davies_bouldin(), calinski_harabasz: shapes.calinski_harabasz() })
}

impl ClusterShapes {
    /// Measures the clusters that `labels` make of the points. Sums in 64 bits. O(n d).
    ///
    /// # Errors
    /// As [`davies_bouldin_score`].
    pub fn new(points: &Points, labels: &[i32]) -> Result<ClusterShapes, MetricError> {
        let (rows, columns) = (points.rows(), points.columns());
        if labels.len() != rows {
            let rule = format!("there must be one for each of the {rows} points");
            return Err(MetricError::Parameter { parameter: "labels", value: counted(labels.len(), "label"), rule });
        }
        let distinct = distinct(labels);
        if distinct.len() < 2 || distinct.len() >= rows {
            let most = rows.saturating_sub(1);
            let value = counted(distinct.len(), "distinct label");
            let rule = format!("there must be 2 to {most}, the number of points less 1");
            return Err(MetricError::Parameter { parameter: "labels", value, rule });
        }
        progress::check()?;
        let members = Members::new(labels, &distinct);
        let mut means = vec![0.0; distinct.len() * columns];
        // A cluster's rows are read twice in a row, the second time from a cache.
        let spreads: Vec<Spread> = means
            .par_chunks_mut(columns)
            .enumerate()
            .map(|(cluster, mean)| {
                let rows = members.of(cluster);
                add_rows(points, rows, mean);
                mean.iter_mut().for_each(|sum| *sum /= rows.len() as f64);
                spread(points, rows, mean)
            })
            .collect();
        progress::check()?;
        let counts: Vec<usize> = (0..distinct.len()).map(|cluster| members.of(cluster).len()).collect();
        let between = between(&means, &counts, columns);
        Ok(ClusterShapes {
            labels: distinct,
            mean_distances: spreads.iter().zip(&counts).map(|(spread, &count)| spread.sum / count as f64).collect(),
            within: spreads.iter().map(|spread| spread.squares).sum(),
            between,
            counts,
            means,
            columns,
        })
    }

    /// See [`davies_bouldin_score`]. O(k^2 d); the distances of the means are not kept.
    pub fn davies_bouldin(&self) -> f64 {
        let worst_of = |cluster: usize| {
            let mean = &self.means[cluster * self.columns..(cluster + 1) * self.columns];
            let (mut worst, mut farthest) = (0.0_f64, 0.0_f64);
            for (other, other_mean) in self.means.chunks_exact(self.columns).enumerate() {
                let distance = squared_distance(mean, other_mean).sqrt();
                farthest = farthest.max(distance);
                if distance > 0.0 {
                    worst = worst.max((self.mean_distances[cluster] + self.mean_distances[other]) / distance);
                }
            }
            (worst, farthest)
        };
        let pairs: Vec<(f64, f64)> = (0..self.counts.len()).into_par_iter().map(worst_of).collect();
        let no_width = self.mean_distances.iter().all(|&distance| distance <= NOTHING);
        if no_width || pairs.iter().all(|&(_, farthest)| farthest <= NOTHING) {
            return 0.0;
        }
        pairs.iter().map(|&(worst, _)| worst).sum::<f64>() / pairs.len() as f64
    }

    /// See [`calinski_harabasz_score`].
    pub fn calinski_harabasz(&self) -> f64 {
        let clusters = self.counts.len();
        let points: usize = self.counts.iter().sum();
        if self.within == 0.0 {
            1.0
        } else {
            self.between * (points - clusters) as f64 / (self.within * (clusters - 1) as f64)
        }
    }
}

/// The rows of each cluster, ascending.
struct Members {
    rows: Vec<usize>,
    starts: Vec<usize>,
}

impl Members {
    fn new(labels: &[i32], distinct: &[i32]) -> Members {
        let clusters: Vec<usize> = labels.iter().map(|label| distinct.partition_point(|other| other < label)).collect();
        let mut starts = vec![0; distinct.len() + 1];
        clusters.iter().for_each(|&cluster| starts[cluster + 1] += 1);
        for cluster in 0..distinct.len() {
            starts[cluster + 1] += starts[cluster];
        }
        let mut next = starts.clone();
        let mut rows = vec![0; labels.len()];
        for (row, &cluster) in clusters.iter().enumerate() {
            rows[next[cluster]] = row;
            next[cluster] += 1;
        }
        Members { rows, starts }
    }

    fn of(&self, cluster: usize) -> &[usize] {
        &self.rows[self.starts[cluster]..self.starts[cluster + 1]]
    }
}

/// The labels that occur, ascending.
fn distinct(labels: &[i32]) -> Vec<i32> {
    let mut distinct = labels.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    distinct
}

/// `1 label`, `2 labels`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Adds the rows to `sums`: each chunk by itself, then the chunks in order.
fn add_rows(points: &Points, rows: &[usize], sums: &mut [f64]) {
    let add = |sums: &mut [f64], rows: &[usize]| {
        for &row in rows {
            sums.iter_mut().zip(points.row(row)).for_each(|(sum, &value)| *sum += f64::from(value));
        }
    };
    if rows.len() <= ROWS_PER_CHUNK {
        return add(sums, rows);
    }
    let chunks = rows.par_chunks(ROWS_PER_CHUNK).map(|rows| {
        let mut sums = vec![0.0; sums.len()];
        add(&mut sums, rows);
        sums
    });
    for chunk in chunks.collect::<Vec<_>>() {
        sums.iter_mut().zip(chunk).for_each(|(sum, value)| *sum += value);
    }
}

/// The distances of a cluster's points to its mean, summed.
#[derive(Clone, Copy)]
struct Spread {
    sum: f64,
    squares: f64,
}

fn spread(points: &Points, rows: &[usize], mean: &[f64]) -> Spread {
    let of_chunk = |rows: &[usize]| {
        let mut spread = Spread { sum: 0.0, squares: 0.0 };
        for &row in rows {
            let square = squared_distance_to(points.row(row), mean);
            spread.squares += square;
            spread.sum += square.sqrt();
        }
        spread
    };
    let chunks: Vec<Spread> = rows.par_chunks(ROWS_PER_CHUNK).map(of_chunk).collect();
    let add = |a: Spread, b: &Spread| Spread { sum: a.sum + b.sum, squares: a.squares + b.squares };
    chunks.iter().fold(Spread { sum: 0.0, squares: 0.0 }, add)
}

/// The scatter of the clusters' means around the mean of all points.
fn between(means: &[f64], counts: &[usize], columns: usize) -> f64 {
    let mut centre = vec![0.0; columns];
    for (mean, &count) in means.chunks_exact(columns).zip(counts) {
        centre.iter_mut().zip(mean).for_each(|(sum, mean)| *sum += mean * count as f64);
    }
    let total = counts.iter().sum::<usize>() as f64;
    centre.iter_mut().for_each(|sum| *sum /= total);
    let scatter = |(mean, &count): (&[f64], &usize)| count as f64 * squared_distance(mean, &centre);
    means.chunks_exact(columns).zip(counts).map(scatter).sum()
}

fn squared_distance_to(point: &[f32], mean: &[f64]) -> f64 {
    let (points, means) = (point.as_chunks::<LANES>(), mean.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (point, mean) in points.0.iter().zip(means.0) {
        for lane in 0..LANES {
            let difference = f64::from(point[lane]) - mean[lane];
            sums[lane] += difference * difference;
        }
    }
    let rest: f64 = points.1.iter().zip(means.1).map(|(&value, mean)| (f64::from(value) - mean).powi(2)).sum();
    sums.iter().sum::<f64>() + rest
}

fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    let (a_chunks, b_chunks) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a_chunks.0.iter().zip(b_chunks.0) {
        for lane in 0..LANES {
            let difference = a[lane] - b[lane];
            sums[lane] += difference * difference;
        }
    }
    let rest: f64 = a_chunks.1.iter().zip(b_chunks.1).map(|(a, b)| (a - b).powi(2)).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    fn scattered(rows: usize, columns: usize) -> Points {
        let value = |at: usize| ((at * 7919 + 13) % 1009) as f32 / 100.0 - 5.0;
        Points::new(rows, columns, (0..rows * columns).map(value).collect()).expect("valid")
    }

    #[test]
    fn golden_scores() {
        let cases = golden::cases("internal_metrics.json");
        for case in &cases {
            let points = match case.get("x") {
                Some(name) => golden::points(name),
                None => {
                    let rows = case["x_inline"].as_array().expect("rows").iter();
                    let row = |row| golden::numbers(row).iter().map(|&value| value as f32).collect();
                    Points::from_rows(&rows.map(row).collect::<Vec<_>>()).expect("valid")
                }
            };
            let scores = internal_scores(&points, &golden::labels(&case["labels"])).expect("computed");
            // The arrays are in 64 bits, the points are not.
            let check = |found: f64, name: &str| {
                golden::close(found, golden::number(&case["expect"][name]), 1e-6, 1e-9, golden::text(&case["name"]));
            };
            check(scores.davies_bouldin, "davies_bouldin");
            check(scores.calinski_harabasz, "calinski_harabasz");
        }
        assert_eq!(cases.len(), 21);
    }

    /// Both indices by their definitions.
    fn naive(points: &Points, labels: &[i32]) -> (f64, f64) {
        let distinct = distinct(labels);
        let mean_of = |keep: &dyn Fn(i32) -> bool| -> Vec<f64> {
            let rows: Vec<&[f32]> =
                points.iter().zip(labels).filter(|(_, label)| keep(**label)).map(|(row, _)| row).collect();
            let mean = |column: usize| rows.iter().map(|row| f64::from(row[column])).sum::<f64>() / rows.len() as f64;
            (0..points.columns()).map(mean).collect()
        };
        let square = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let widen = |row: &[f32]| row.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
        let all = mean_of(&|_| true);
        let means: Vec<Vec<f64>> = distinct.iter().map(|&label| mean_of(&|other| other == label)).collect();
        let (mut within, mut between, mut widths) = (0.0, 0.0, Vec::new());
        for (label, mean) in distinct.iter().zip(&means) {
            let own = points.iter().zip(labels).filter(|(_, other)| *other == label);
            let squares: Vec<f64> = own.map(|(row, _)| square(&widen(row), mean)).collect();
            within += squares.iter().sum::<f64>();
            between += squares.len() as f64 * square(mean, &all);
            widths.push(squares.iter().map(|square| square.sqrt()).sum::<f64>() / squares.len() as f64);
        }
        let count = distinct.len();
        let ratio = |a: usize, b: usize| (widths[a] + widths[b]) / square(&means[a], &means[b]).sqrt();
        let worst = |a: usize| (0..count).filter(|&b| b != a).map(|b| ratio(a, b)).fold(0.0, f64::max);
        let davies_bouldin = (0..count).map(worst).sum::<f64>() / count as f64;
        (davies_bouldin, between / (count - 1) as f64 / (within / (labels.len() - count) as f64))
    }

    #[test]
    fn equal_a_naive_twin_across_chunks() {
        for (rows, columns, count) in [(20, 1, 3), (100, 11, 7), (3000, 5, 2), (2600, 16, 4)] {
            let points = scattered(rows, columns);
            let labels: Vec<i32> =
                (0..rows).map(|row| if row % 11 == 0 { -1 } else { (row % count) as i32 * 5 }).collect();
            let scores = internal_scores(&points, &labels).expect("computed");
            let (davies_bouldin, calinski_harabasz) = naive(&points, &labels);
            golden::close(scores.davies_bouldin, davies_bouldin, 1e-12, 0.0, "Davies-Bouldin");
            golden::close(scores.calinski_harabasz, calinski_harabasz, 1e-12, 0.0, "Calinski-Harabasz");
            assert_eq!(davies_bouldin_score(&points, &labels), Ok(scores.davies_bouldin));
            assert_eq!(calinski_harabasz_score(&points, &labels), Ok(scores.calinski_harabasz));
        }
    }

    #[test]
    fn clusters_with_one_mean_count_for_nothing() {
        // The means of 0 and 1 coincide; scikit-learn takes their distance for infinite.
        let points = Points::new(6, 1, vec![-1.0, 1.0, -2.0, 2.0, 9.0, 11.0]).expect("valid");
        let found = davies_bouldin_score(&points, &[0, 0, 1, 1, 2, 2]).expect("computed");
        golden::close(found, (0.2 + 0.3 + 0.3) / 3.0, 1e-12, 0.0, "Davies-Bouldin");
    }

    #[test]
    fn threads_do_not_matter() {
        let points = scattered(5000, 33);
        let labels: Vec<i32> = (0..5000).map(|row| i32::from(row % 9 == 0) + row % 3).collect();
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| internal_scores(&points, &labels)).expect("computed")
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn bad_labels_are_named() {
        let points = scattered(4, 2);
        let message = |labels: &[i32]| internal_scores(&points, labels).expect_err("invalid").to_string();
        assert_eq!(message(&[0, 1]), "labels = 2 labels: there must be one for each of the 4 points");
        let rule = "there must be 2 to 3, the number of points less 1";
        assert_eq!(message(&[7; 4]), format!("labels = 1 distinct label: {rule}"));
        assert_eq!(message(&[0, 1, 2, 3]), format!("labels = 4 distinct labels: {rule}"));
        let none = Points::new(0, 2, Vec::new()).expect("valid");
        assert!(internal_scores(&none, &[]).is_err());
        let one = scattered(1, 2);
        assert!(davies_bouldin_score(&one, &[3]).is_err());
    }
}

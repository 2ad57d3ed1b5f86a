//! The silhouette: how much nearer each point is to its own cluster than to the next one.

use super::MetricError;
use crate::linalg::{Grouping, LinalgError, Metric, Space, TensorSpace, distance_sums};
use crate::points::Points;

/// The mean silhouette of the points, from -1 to 1 (Rousseeuw 1987), as scikit-learn's `silhouette_score`.
///
/// `points`: n x d. `labels`: n; any number is a cluster, noise (-1) too. O(n² d), memory O(n), all threads.
///
/// # Errors
/// Not one label a point; fewer than 2 or more than n - 1 distinct labels; the computation was told to stop.
pub fn silhouette_score(points: &Points, labels: &[i32], metric: Metric) -> Result<f64, MetricError> {
    Ok(mean(&silhouette_samples(points, labels, metric)?))
}

/// The silhouette of each point: (b - a) / max(a, b), where a is the mean distance to the other points of its cluster
/// and b the least mean distance to the points of another cluster; 0 for a point alone in its cluster, and where both are
/// 0. As scikit-learn's `silhouette_samples`.
///
/// # Errors
/// As [`silhouette_score`].
pub fn silhouette_samples(points: &Points, labels: &[i32], metric: Metric) -> Result<Vec<f64>, MetricError> {
    Ok(silhouette_samples_of_many(points, &[labels], metric)?.remove(0))
}

/// The mean silhouettes of several labellings of the same points, all from one pass over the distances, which costs
/// little more than one labelling.
///
/// # Errors
/// As [`silhouette_score`], for the first labelling at fault.
pub fn silhouette_scores(points: &Points, labellings: &[&[i32]], metric: Metric) -> Result<Vec<f64>, MetricError> {
    let samples = silhouette_samples_of_many(points, labellings, metric)?;
    Ok(samples.iter().map(|samples| mean(samples)).collect())
}

/// The silhouettes of each point under several labellings, from one pass over the distances.
///
/// # Errors
/// As [`silhouette_score`], for the first labelling at fault.
pub fn silhouette_samples_of_many(
    points: &Points,
    labellings: &[&[i32]],
    metric: Metric,
) -> Result<Vec<Vec<f64>>, MetricError> {
    let sums =
        |groupings: &[Grouping], of_point: &OfPoint| distance_sums(&Space::new(points, metric)?, groupings, of_point);
    samples_from(points.rows(), labellings, sums)
}

/// As [`silhouette_samples_of_many`], on the device where the points are.
///
/// # Errors
/// As [`silhouette_score`]; libtorch ran out of memory.
pub fn silhouette_samples_on_device(space: &TensorSpace, labellings: &[&[i32]]) -> Result<Vec<Vec<f64>>, MetricError> {
    samples_from(space.rows(), labellings, |groupings, of_point| space.distance_sums(groupings, of_point))
}

/// Gives the silhouettes of a point under all labellings, from its sums of distances.
type OfPoint<'labels> = dyn Fn(usize, &[f64]) -> Vec<f64> + Sync + 'labels;

fn samples_from(
    rows: usize,
    labellings: &[&[i32]],
    sums: impl FnOnce(&[Grouping], &OfPoint) -> Result<Vec<Vec<f64>>, LinalgError>,
) -> Result<Vec<Vec<f64>>, MetricError> {
    let numbered = labellings.iter().map(|labels| Numbered::new(rows, labels));
    let numbered = numbered.collect::<Result<Vec<_>, MetricError>>()?;
    if numbered.is_empty() {
        return Ok(Vec::new());
    }
    let groupings: Vec<Grouping> =
        numbered.iter().map(|labels| Grouping { group_of: &labels.number_of, count: labels.counts.len() }).collect();
    let of_point = |point: usize, sums: &[f64]| -> Vec<f64> {
        let mut rest = sums;
        let of_labelling = |labels: &Numbered| {
            let (own, others) = rest.split_at(labels.counts.len());
            rest = others;
            labels.silhouette(labels.number_of[point] as usize, own)
        };
        numbered.iter().map(of_labelling).collect()
    };
    let by_point = sums(&groupings, &of_point)?;
    Ok((0..labellings.len()).map(|at| by_point.iter().map(|values| values[at]).collect()).collect())
}

/// Labels as numbers from 0, with how often each occurs.
struct Numbered {
    number_of: Vec<u32>,
    counts: Vec<usize>,
}

impl Numbered {
    fn new(rows: usize, labels: &[i32]) -> Result<Numbered, MetricError> {
        if labels.len() != rows {
            let rule = format!("points has {rows} rows, and each needs a label");
            return Err(MetricError::Parameter {
                parameter: "labels",
                value: format!("{} labels", labels.len()),
                rule,
            });
        }
        let mut distinct = labels.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() < 2 || distinct.len() >= rows {
            let rule = format!("from 2 to n - 1 = {} are needed", rows.saturating_sub(1));
            let value = format!("{} distinct labels", distinct.len());
            return Err(MetricError::Parameter { parameter: "labels", value, rule });
        }
        let number = |label: &i32| distinct.partition_point(|other| other < label) as u32;
        let number_of: Vec<u32> = labels.iter().map(number).collect();
        let mut counts = vec![0; distinct.len()];
        number_of.iter().for_each(|&number| counts[number as usize] += 1);
        Ok(Numbered { number_of, counts })
    }

    /// The silhouette of a point of cluster `own`, from the sums of its distances to the points of each cluster.
    fn silhouette(&self, own: usize, sums: &[f64]) -> f64 {
        if self.counts[own] == 1 {
            return 0.0;
        }
        let within = sums[own] / (self.counts[own] - 1) as f64;
        let means = sums.iter().zip(&self.counts).map(|(sum, &count)| sum / count as f64);
        let between =
            means.enumerate().filter(|&(at, _)| at != own).fold(f64::INFINITY, |least, (_, mean)| least.min(mean));
        match within.max(between) {
            0.0 => 0.0,
            larger => (between - within) / larger,
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    #[test]
    fn golden() {
        let mut checked = 0;
        for case in golden::cases("internal_metrics.json") {
            let name = golden::text(&case["name"]);
            let points = match case["x"].as_str() {
                Some(_) => golden::points(&case["x"]),
                None => {
                    let rows = case["x_inline"].as_array().expect("rows");
                    let row = |row| golden::numbers(row).iter().map(|&value| value as f32).collect();
                    Points::from_rows(&rows.iter().map(row).collect::<Vec<_>>()).expect("points")
                }
            };
            let labels = golden::labels(&case["labels"]);
            let expect = &case["expect"];
            for (key, metric) in [
                ("silhouette_euclidean", Metric::Euclidean),
                ("silhouette_l1", Metric::Cityblock),
                ("silhouette_chebyshev", Metric::Chebyshev),
                ("silhouette_cosine", Metric::Cosine),
                ("silhouette_arccos_as_unit_euclidean", Metric::Arccos),
            ] {
                let Some(expected) = expect.get(key) else { continue };
                let found = silhouette_score(&points, &labels, metric).expect("scored");
                golden::close(found, golden::number(expected), 1e-5, 2e-6, &format!("{name} {key}"));
                checked += 1;
            }
            if let Some(expected) = expect.get("samples_euclidean_first20") {
                let found = silhouette_samples(&points, &labels, Metric::Euclidean).expect("scored");
                for (&found, expected) in found.iter().zip(golden::numbers(expected)) {
                    golden::close(found, expected, 1e-5, 1e-5, name);
                }
            }
        }
        assert!(checked >= 90, "{checked} scores checked");
    }

    #[test]
    fn many_labellings_at_once_and_any_number_of_threads() {
        let values = (0..1300 * 6).map(|at| ((at * at * 31 + at * 7) % 1013) as f32).collect();
        let points = Points::new(1300, 6, values).expect("valid");
        let labellings: Vec<Vec<i32>> = (2..6).map(|count| (0..1300).map(|row| row % count - 1).collect()).collect();
        let labellings: Vec<&[i32]> = labellings.iter().map(Vec::as_slice).collect();
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| silhouette_samples_of_many(&points, &labellings, Metric::Cityblock)).expect("scored")
        };
        let together = run(1);
        assert_eq!(together, run(3));
        for (labels, together) in labellings.iter().zip(&together) {
            assert_eq!(silhouette_samples(&points, labels, Metric::Cityblock).as_ref(), Ok(together));
        }
        assert_eq!(silhouette_scores(&points, &[], Metric::Euclidean), Ok(Vec::new()));
    }

    #[test]
    fn bad_input_is_named() {
        let points = Points::new(4, 1, vec![0.0, 1.0, 2.0, 3.0]).expect("valid");
        let message =
            |labels: &[i32]| silhouette_score(&points, labels, Metric::Euclidean).expect_err("bad").to_string();
        assert_eq!(message(&[0, 0, 0]), "labels = 3 labels: points has 4 rows, and each needs a label");
        assert_eq!(message(&[5; 4]), "labels = 1 distinct labels: from 2 to n - 1 = 3 are needed");
        assert_eq!(message(&[0, 1, 2, 3]), "labels = 4 distinct labels: from 2 to n - 1 = 3 are needed");
        let none = Points::new(0, 1, Vec::new()).expect("valid");
        assert!(silhouette_score(&none, &[], Metric::Euclidean).is_err());
    }
}

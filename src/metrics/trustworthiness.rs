//! Whether neighbours in an embedding are neighbours in truth.

use rayon::prelude::*;

use super::MetricError;
use crate::linalg::{Metric, Space, nearest_neighbours};
use crate::points::Points;
use crate::progress;

/// Rows between two questions whether to go on.
const ROWS_PER_ROUND: usize = 4096;

/// From 0 to 1: 1 when the `n_neighbors` nearest neighbours of each point in the embedding (Euclidean) are among its
/// nearest in `points` by `metric`; each that is not costs as much as its rank there is beyond `n_neighbors` (Venna and
/// Kaski 2001). As `sklearn.manifold.trustworthiness`; of points at equal distances the one with the lower number comes
/// first. O(n^2 (d + `n_neighbors`)) time, O(n) memory a thread.
///
/// # Errors
/// Numbers of rows that differ; `n_neighbors` 0, or not less than half the number of points; cancelled.
pub fn trustworthiness(
    points: &Points,
    embedding: &Points,
    n_neighbors: usize,
    metric: Metric,
) -> Result<f64, MetricError> {
    let rows = points.rows();
    let refuse = |parameter, value: usize, rule: String| {
        Err(MetricError::Parameter { parameter, value: value.to_string(), rule })
    };
    if embedding.rows() != rows {
        return refuse("embedding", embedding.rows(), format!("it must have as many rows as points, {rows}"));
    }
    if n_neighbors == 0 || n_neighbors >= rows.div_ceil(2) {
        let rule = format!("it must be at least 1 and less than half the number of points, {rows}");
        return refuse("n_neighbors", n_neighbors, rule);
    }
    let near = nearest_neighbours(&Space::new(embedding, Metric::Euclidean)?, n_neighbors)?;
    let space = Space::new(points, metric)?;
    let mut sum = 0;
    for first in (0..rows).step_by(ROWS_PER_ROUND) {
        progress::check()?;
        let last = rows.min(first + ROWS_PER_ROUND);
        let own = |distances: &mut Vec<f32>, row: usize| -> u64 {
            space.distances_from(row, 0, distances);
            // The point itself comes after all others, so it is never counted.
            distances[row] = f32::INFINITY;
            let beyond = |&other: &u32| rank(distances, other as usize).saturating_sub(n_neighbors) as u64;
            near.of(row).0.iter().map(beyond).sum()
        };
        sum += (first..last).into_par_iter().map_init(|| vec![0.0; rows], own).sum::<u64>();
    }
    let (n, k) = (rows as f64, n_neighbors as f64);
    Ok(1.0 - sum as f64 * 2.0 / (n * k * (2.0 * n - 3.0 * k - 1.0)))
}

/// The rank of a point by distance, from 1.
fn rank(distances: &[f32], point: usize) -> usize {
    let own = distances[point];
    let (before, from) = distances.split_at(point);
    let nearer: u32 = before.iter().map(|&distance| u32::from(distance <= own)).sum();
    let nearer_after: u32 = from.iter().map(|&distance| u32::from(distance < own)).sum();
    (nearer + nearer_after) as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scattered(rows: usize, columns: usize, step: usize) -> Points {
        let values = (0..rows * columns).map(|at| ((at * at * step + at * 7) % 1009) as f32 / 10.0).collect();
        Points::new(rows, columns, values).expect("valid")
    }

    /// The definition, from sorted lists.
    fn naive(points: &Points, embedding: &Points, k: usize, metric: Metric) -> f64 {
        let sorted = |points: &Points, metric: Metric, row: usize| {
            let distance = |&other: &usize| metric.distance(points.row(row), points.row(other));
            let mut others: Vec<usize> = (0..points.rows()).filter(|&other| other != row).collect();
            others.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
            others
        };
        let mut sum = 0.0;
        for row in 0..points.rows() {
            let truth = sorted(points, metric, row);
            for other in &sorted(embedding, Metric::Euclidean, row)[..k] {
                let rank = 1 + truth.iter().position(|near| near == other).expect("a point");
                sum += rank.saturating_sub(k) as f64;
            }
        }
        let (n, k) = (points.rows() as f64, k as f64);
        1.0 - sum * 2.0 / (n * k * (2.0 * n - 3.0 * k - 1.0))
    }

    #[test]
    fn equals_a_naive_twin() {
        for (rows, k) in [(5, 2), (60, 5), (201, 15)] {
            let (points, embedding) = (scattered(rows, 7, 31), scattered(rows, 2, 53));
            for metric in [Metric::Euclidean, Metric::Cityblock, Metric::Cosine] {
                let found = trustworthiness(&points, &embedding, k, metric).expect("measured");
                let expected = naive(&points, &embedding, k, metric);
                assert!((found - expected).abs() < 1e-4, "{found} is not {expected} for {rows} points, {metric}");
            }
            assert_eq!(trustworthiness(&points, &points, k, Metric::Euclidean), Ok(1.0));
        }
    }

    #[test]
    fn bad_arguments_are_named() {
        let points = scattered(8, 3, 31);
        let message = |k| trustworthiness(&points, &points, k, Metric::Euclidean).expect_err("invalid").to_string();
        let rule = "it must be at least 1 and less than half the number of points, 8";
        assert_eq!(message(0), format!("n_neighbors = 0: {rule}"));
        assert_eq!(message(4), format!("n_neighbors = 4: {rule}"));
        assert!(trustworthiness(&points, &scattered(7, 3, 31), 2, Metric::Euclidean).is_err());
        let none = Points::new(0, 3, Vec::new()).expect("valid");
        assert!(trustworthiness(&none, &none, 1, Metric::Euclidean).is_err());
    }
}

//! Means and variances of columns.

use rayon::prelude::*;

use super::metric::length;
use crate::points::Points;

/// Rows summed by one task; fixed, so that the sums do not depend on the number of threads.
const ROWS_PER_CHUNK: usize = 1024;

/// The mean of every column, in 64 bits; zeros without rows. O(n d).
pub fn means(points: &Points) -> Vec<f64> {
    let sums = sum_rows(points, |sums, row| {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    });
    divide(sums, points.rows())
}

/// The mean of the rows brought to length 1, in 64 bits; the origin stays where it is. O(n d).
pub fn mean_direction(points: &Points) -> Vec<f64> {
    let sums = sum_rows(points, |sums, row| {
        let scale = 1.0 / length(row);
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += f64::from(value) * scale;
        }
    });
    divide(sums, points.rows())
}

/// The population variance of every column around the given means, in 64 bits; zeros without rows. O(n d).
///
/// A column of equal values has variance 0 exactly: sums of 32-bit numbers lose nothing in 64 bits below 2^29 rows.
pub fn variances(points: &Points, means: &[f64]) -> Vec<f64> {
    let sums = sum_rows(points, |sums, row| {
        for ((sum, &value), mean) in sums.iter_mut().zip(row).zip(means) {
            let deviation = f64::from(value) - mean;
            *sum += deviation * deviation;
        }
    });
    divide(sums, points.rows())
}

/// Adds all rows up with `add`: each chunk by itself, then the chunks in order.
fn sum_rows(points: &Points, add: impl Fn(&mut [f64], &[f32]) + Sync) -> Vec<f64> {
    let columns = points.columns();
    let chunks = points.as_slice().par_chunks(ROWS_PER_CHUNK * columns).map(|rows| {
        let mut sums = vec![0.0; columns];
        rows.chunks_exact(columns).for_each(|row| add(&mut sums, row));
        sums
    });
    let mut total = vec![0.0; columns];
    for sums in chunks.collect::<Vec<_>>() {
        total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    total
}

fn divide(mut sums: Vec<f64>, rows: usize) -> Vec<f64> {
    let rows = rows.max(1) as f64;
    sums.iter_mut().for_each(|sum| *sum /= rows);
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_more_rows_than_a_chunk() {
        let rows = 2 * ROWS_PER_CHUNK + 1;
        let values = (0..rows).flat_map(|row| [row as f32, 0.1]).collect();
        let points = Points::new(rows, 2, values).expect("valid");
        let means = means(&points);
        assert_eq!(means, [(rows - 1) as f64 / 2.0, f64::from(0.1_f32)]);
        let variances = variances(&points, &means);
        assert_eq!(variances, [(rows * rows - 1) as f64 / 12.0, 0.0]);
    }
}

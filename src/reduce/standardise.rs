//! The z-score: every coordinate around its mean, in units of its standard deviation.

use rayon::prelude::*;

use super::ReduceError;
use crate::linalg;
use crate::points::Points;

/// Rows rescaled by one task.
const ROWS_PER_CHUNK: usize = 512;

/// The points' z-scores: each column minus its mean, divided by its population standard deviation (divisor n); a
/// column without variance becomes 0. O(n d).
///
/// # Errors
/// No rows.
pub fn zscore(points: &Points) -> Result<Points, ReduceError> {
    Standardiser::fit(points)?.transform(points)
}

/// The mean and the standard deviation of each column, to standardise other points with.
#[derive(Clone, Debug, PartialEq)]
pub struct Standardiser {
    /// The mean of each column.
    pub mean: Vec<f64>,
    /// The population standard deviation of each column (divisor n).
    pub deviation: Vec<f64>,
}

impl Standardiser {
    /// Measures the columns, in 64 bits. O(n d).
    ///
    /// # Errors
    /// No rows.
    pub fn fit(points: &Points) -> Result<Standardiser, ReduceError> {
        if points.rows() == 0 {
            return Err(ReduceError::TooFewRows { rows: 0, needed: 1 });
        }
        let mean = linalg::means(points);
        let deviation = linalg::variances(points, &mean).into_iter().map(f64::sqrt).collect();
        Ok(Standardiser { mean, deviation })
    }

    /// The z-scores of points by these means and deviations; 0 where the deviation is 0. O(n d).
    ///
    /// # Errors
    /// Another number of columns; a z-score that 32 bits cannot hold.
    pub fn transform(&self, points: &Points) -> Result<Points, ReduceError> {
        let columns = points.columns();
        if columns != self.mean.len() {
            return Err(ReduceError::Columns { found: columns, expected: self.mean.len() });
        }
        let factors: Vec<f64> = self.deviation.iter().map(|&d| if d > 0.0 { 1.0 / d } else { 0.0 }).collect();
        let mut values = points.as_slice().to_vec();
        values.par_chunks_mut(ROWS_PER_CHUNK * columns).for_each(|rows| {
            for row in rows.chunks_exact_mut(columns) {
                for ((value, mean), factor) in row.iter_mut().zip(&self.mean).zip(&factors) {
                    *value = ((f64::from(*value) - mean) * factor) as f32;
                }
            }
        });
        Ok(Points::new(points.rows(), columns, values)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn population_deviation_and_constant_columns() {
        let points = Points::new(4, 2, vec![1.0, 0.1, 3.0, 0.1, 1.0, 0.1, 3.0, 0.1]).expect("valid");
        let standardiser = Standardiser::fit(&points).expect("fitted");
        assert_eq!(standardiser, Standardiser { mean: vec![2.0, f64::from(0.1_f32)], deviation: vec![1.0, 0.0] });
        let scores = zscore(&points).expect("scores");
        assert_eq!(scores.as_slice(), &[-1.0, 0.0, 1.0, 0.0, -1.0, 0.0, 1.0, 0.0]);
        let elsewhere = Points::new(1, 2, vec![5.0, 9.0]).expect("valid");
        assert_eq!(standardiser.transform(&elsewhere).expect("scores").as_slice(), &[3.0, 0.0]);
    }

    #[test]
    fn bad_input_is_named() {
        let empty = Points::new(0, 2, Vec::new()).expect("valid");
        assert_eq!(zscore(&empty).expect_err("empty").to_string(), "points has 0 rows: at least 1 are needed");
        let points = Points::new(2, 1, vec![0.0, 1e-38]).expect("valid");
        let standardiser = Standardiser::fit(&points).expect("fitted");
        assert_eq!(standardiser.transform(&empty), Err(ReduceError::Columns { found: 2, expected: 1 }));
        let far = Points::new(1, 1, vec![1e30]).expect("valid");
        assert!(standardiser.transform(&far).expect_err("too far").to_string().contains("must be finite"));
    }
}

//! Coordinates rescaled: around their means, in units of their spread, or rows to length 1.

use rayon::prelude::*;

use super::ReduceError;
use crate::linalg::Metric;
use crate::points::Points;

/// Rows measured or rescaled by one task; fixed, so that sums do not depend on the number of threads.
const ROWS_PER_CHUNK: usize = 256;
/// Rows added up before sums go back to memory.
const ROWS_AT_ONCE: usize = 4;

/// The points' z-scores: each column minus its mean, divided by its population standard deviation (divisor n); a
/// column without variance becomes 0. O(n d).
///
/// # Errors
/// No rows.
pub fn zscore(points: &Points) -> Result<Points, ReduceError> {
    Standardiser::fit(points)?.transform(points)
}

/// The points around the origin and on average of spread 1, with all distances in proportion: each column minus its
/// mean, divided by the mean over the columns of their population standard deviations. Zeros if no column varies.
/// The study standardises so before agglomerative clustering with a distance threshold. O(n d).
///
/// # Errors
/// No rows.
pub fn average_zscore(points: &Points) -> Result<Points, ReduceError> {
    let Standardiser { mean, deviation } = Standardiser::fit(points)?;
    let average = deviation.iter().sum::<f64>() / deviation.len() as f64;
    let factor = if average > 0.0 { 1.0 / average } else { 0.0 };
    rescaled(points, |row, scaled| {
        for ((scaled, &value), mean) in scaled.iter_mut().zip(row).zip(&mean) {
            *scaled = ((f64::from(value) - mean) * factor) as f32;
        }
    })
}

/// The points brought to Euclidean length 1; those at the origin stay there. O(n d).
///
/// # Errors
/// None.
pub fn l2_normalise(points: &Points) -> Result<Points, ReduceError> {
    rescaled(points, |row, scaled| {
        let length = row.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt();
        let factor = if length > 0.0 { 1.0 / length } else { 0.0 };
        scaled.iter_mut().zip(row).for_each(|(scaled, &value)| *scaled = (f64::from(value) * factor) as f32);
    })
}

/// By what distances in `dimensions` dimensions are divided in the study, so that thresholds for them mean the same in
/// any number: √d for Euclidean distances, d for sums of differences (city block), 1 for the others.
pub fn dimension_correction(metric: Metric, dimensions: usize) -> f64 {
    match metric {
        Metric::Euclidean => (dimensions as f64).sqrt(),
        Metric::Cityblock => dimensions as f64,
        Metric::Chebyshev | Metric::Cosine | Metric::Arccos => 1.0,
    }
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
    /// Measures the columns, in 64 bits, in one pass over the points. O(n d).
    ///
    /// # Errors
    /// No rows.
    pub fn fit(points: &Points) -> Result<Standardiser, ReduceError> {
        if points.rows() == 0 {
            return Err(ReduceError::TooFewRows { rows: 0, needed: 1 });
        }
        let columns = points.columns();
        let mut all = Moments { rows: 0.0, mean: vec![0.0; columns], squares: vec![0.0; columns] };
        let chunks = points.as_slice().par_chunks(ROWS_PER_CHUNK * columns).map(|rows| Moments::of(rows, columns));
        chunks.collect::<Vec<Moments>>().iter().for_each(|chunk| all.add(chunk));
        let Moments { rows, mean, squares } = all;
        Ok(Standardiser { mean, deviation: squares.into_iter().map(|squares| (squares / rows).sqrt()).collect() })
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
        rescaled(points, |row, scaled| {
            for (((scaled, &value), mean), factor) in scaled.iter_mut().zip(row).zip(&self.mean).zip(&factors) {
                *scaled = ((f64::from(value) - mean) * factor) as f32;
            }
        })
    }
}

/// New points, each written by `rescale` from the old one.
fn rescaled(points: &Points, rescale: impl Fn(&[f32], &mut [f32]) + Sync) -> Result<Points, ReduceError> {
    let columns = points.columns();
    // Memory that is zero from the start: each page is first touched by the thread that fills it.
    let mut values = vec![0.0; points.as_slice().len()];
    let chunk = ROWS_PER_CHUNK * columns;
    values.par_chunks_mut(chunk).zip(points.as_slice().par_chunks(chunk)).for_each(|(scaled, rows)| {
        scaled.chunks_exact_mut(columns).zip(rows.chunks_exact(columns)).for_each(|(scaled, row)| rescale(row, scaled));
    });
    Ok(Points::new(points.rows(), columns, values)?)
}

/// Rows, and for each column their mean and the sum of squared deviations from it.
struct Moments {
    rows: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    /// Of some rows, in one pass.
    ///
    /// Sums are taken of differences to the first row. As it is one of the rows, its own squared deviation is part of
    /// the result, so that squares cancel to no less than 1 / rows of themselves: at most that factor of precision is
    /// lost, about 3 of 16 digits. A column of equal values has no deviation at all.
    fn of(values: &[f32], columns: usize) -> Moments {
        let (mut sums, mut squares) = (vec![0.0; columns], vec![0.0; columns]);
        let first = &values[..columns];
        for block in values.chunks(ROWS_AT_ONCE * columns) {
            let mut add = |a: &[f32], b: &[f32], c: &[f32], d: &[f32]| {
                let rows = a.iter().zip(b).zip(c.iter().zip(d));
                let sums = sums.iter_mut().zip(&mut squares);
                for (((sum, square), first), ((a, b), (c, d))) in sums.zip(first).zip(rows) {
                    let from_first = |value: &f32| f64::from(*value) - f64::from(*first);
                    let (a, b, c, d) = (from_first(a), from_first(b), from_first(c), from_first(d));
                    *sum += (a + b) + (c + d);
                    *square += (a * a + b * b) + (c * c + d * d);
                }
            };
            let mut rows = block.chunks_exact(columns);
            // Rows that are not there are as the first one, and so without effect.
            let mut next = || rows.next().unwrap_or(first);
            add(next(), next(), next(), next());
        }
        let rows = (values.len() / columns) as f64;
        for ((sum, square), first) in sums.iter_mut().zip(&mut squares).zip(first) {
            *square = (*square - *sum * *sum / rows).max(0.0);
            *sum = f64::from(*first) + *sum / rows;
        }
        Moments { rows, mean: sums, squares }
    }

    /// Of these rows and others together (Chan, Golub and LeVeque 1979).
    fn add(&mut self, other: &Moments) {
        let rows = self.rows + other.rows;
        let columns = self.mean.iter_mut().zip(&mut self.squares).zip(other.mean.iter().zip(&other.squares));
        for ((mean, squares), (other_mean, other_squares)) in columns {
            let difference = other_mean - *mean;
            *mean += difference * (other.rows / rows);
            *squares += other_squares + difference * difference * (self.rows * other.rows / rows);
        }
        self.rows = rows;
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

    /// Many chunks, an incomplete one, an offset far larger than the spread, an outlier in front.
    #[test]
    fn moments_equal_those_of_two_passes() {
        let rows = 3 * ROWS_PER_CHUNK + 7;
        let values = (0..rows).flat_map(|row| {
            let wave = (row as f32 * 1.7).sin();
            [wave, 1e4 + wave, 0.1, if row == 0 { 1e6 } else { wave }, wave * 1e-20, row as f32]
        });
        let points = Points::new(rows, 6, values.collect()).expect("valid");
        let found = Standardiser::fit(&points).expect("fitted");
        for column in 0..6 {
            let values: Vec<f64> = points.iter().map(|row| f64::from(row[column])).collect();
            let mean = values.iter().sum::<f64>() / rows as f64;
            let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / rows as f64;
            let spread = variance.sqrt();
            assert!((found.mean[column] - mean).abs() <= 1e-12 * (spread + mean.abs()), "mean of {column}");
            let deviation = found.deviation[column];
            assert!((deviation - spread).abs() <= 1e-11 * spread, "{column}: {deviation} {spread}");
        }
        assert_eq!((found.mean[2], found.deviation[2]), (f64::from(0.1_f32), 0.0));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| zscore(&points)).expect("scores")
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn average_spread_becomes_one() {
        let points = Points::new(2, 3, vec![0.0, 10.0, 5.0, 2.0, 16.0, 5.0]).expect("valid");
        // Deviations 1, 3 and 0, on average 4/3.
        let scores = average_zscore(&points).expect("scores");
        assert_eq!(scores.as_slice(), &[-0.75, -2.25, 0.0, 0.75, 2.25, 0.0]);
        let equal = Points::new(2, 1, vec![3.0, 3.0]).expect("valid");
        assert_eq!(average_zscore(&equal).expect("scores").as_slice(), &[0.0, 0.0]);
        let empty = Points::new(0, 2, Vec::new()).expect("valid");
        assert_eq!(average_zscore(&empty), Err(ReduceError::TooFewRows { rows: 0, needed: 1 }));
    }

    #[test]
    fn rows_of_length_one() {
        let points = Points::new(4, 2, vec![3.0, 4.0, 0.0, 0.0, 0.0, -2e30, 3e-40, 4e-40]).expect("valid");
        let unit = l2_normalise(&points).expect("rows");
        assert_eq!(unit.as_slice()[..6], [0.6, 0.8, 0.0, 0.0, 0.0, -1.0]);
        assert!((unit.as_slice()[6] - 0.6).abs() < 1e-4);
        assert_eq!(l2_normalise(&Points::new(0, 2, Vec::new()).expect("valid")).expect("none").rows(), 0);
    }

    #[test]
    fn corrections() {
        assert_eq!(dimension_correction(Metric::Euclidean, 16), 4.0);
        assert_eq!(dimension_correction(Metric::Cityblock, 16), 16.0);
        assert_eq!(dimension_correction(Metric::Chebyshev, 16), 1.0);
        assert_eq!(dimension_correction(Metric::Cosine, 16), 1.0);
    }
}

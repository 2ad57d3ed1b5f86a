//! The two matrix products of the linear probe, in the precision that its progress asks for.
//!
//! Both run on one thread: the probe works on many blocks of rows at once.

use std::ops::{Add, Mul, Sub};

use crate::linalg::{Loops, add_weighted_rows, row_products, vectorised};

/// A number that products are made of: 32 bits for speed, 64 for the last digits.
pub(super) trait Real:
    Copy + Send + Sync + PartialOrd + Default + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + 'static
{
    const ONE: Self;
    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
    /// The exponential of a number that is not positive.
    fn exp(self) -> Self;
    /// `scores` (m x n) = `rows` (m x d) times `weights` (n x d) transposed; all row-major.
    fn scores_of(rows: &[Self], weights: &[Self], d: usize, scores: &mut [Self]);
    /// `gradient` (n x d) += `residuals` (m x n) transposed times `rows` (m x d); all row-major.
    fn add_gradient(residuals: &[Self], rows: &[Self], d: usize, gradient: &mut [Self]);
}

impl Real for f32 {
    const ONE: f32 = 1.0;

    fn from_f64(value: f64) -> f32 {
        value as f32
    }

    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    /// To 2 units in the last place, without branches, so that many are computed at once: 2^n times a polynomial in the
    /// rest, whose coefficients are 1/k! rounded.
    fn exp(self) -> f32 {
        const LN_2_HIGH: f32 = 0.693_359_4;
        const LN_2_LOW: f32 = -2.121_944_4e-4;
        /// Adding and subtracting it rounds to a whole number.
        const ROUND: f32 = 12_582_912.0;
        let value = if self > -87.0 { self } else { -87.0 };
        let shifted = value * std::f32::consts::LOG2_E + ROUND;
        let power = shifted - ROUND;
        let rest = value - power * LN_2_HIGH - power * LN_2_LOW;
        let tail = 1.0 / 6.0 + rest * (1.0 / 24.0 + rest * (1.0 / 120.0 + rest * (1.0 / 720.0)));
        let polynomial = 1.0 + rest * (1.0 + rest * (0.5 + rest * tail));
        // The exponent's bits are the whole number that the shift left in the lowest bits.
        let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
        polynomial * scale
    }

    fn scores_of(rows: &[f32], weights: &[f32], d: usize, scores: &mut [f32]) {
        row_products(rows, weights, d, scores);
    }

    fn add_gradient(residuals: &[f32], rows: &[f32], d: usize, gradient: &mut [f32]) {
        add_weighted_rows(residuals, rows, d, gradient);
    }
}

impl Real for f64 {
    const ONE: f64 = 1.0;

    fn from_f64(value: f64) -> f64 {
        value
    }

    fn to_f64(self) -> f64 {
        self
    }

    fn exp(self) -> f64 {
        f64::exp(self)
    }

    fn scores_of(rows: &[f64], weights: &[f64], d: usize, scores: &mut [f64]) {
        vectorised(Scores { rows, weights, d, scores });
    }

    fn add_gradient(residuals: &[f64], rows: &[f64], d: usize, gradient: &mut [f64]) {
        vectorised(Gradient { residuals, rows, d, gradient });
    }
}

/// Outputs or columns summed up at a time in 64 bits.
const LANES: usize = 8;
/// Rows or outputs that share a load.
const ROWS: usize = 4;

/// The scores of some rows in 64 bits.
struct Scores<'work> {
    rows: &'work [f64],
    weights: &'work [f64],
    d: usize,
    scores: &'work mut [f64],
}

impl Loops for Scores<'_> {
    #[inline(always)]
    fn run(self) {
        let outputs = self.weights.len() / self.d;
        let mut panel = vec![[0.0; LANES]; self.d];
        for first in (0..outputs).step_by(LANES) {
            let lanes = LANES.min(outputs - first);
            for (lane, weights) in self.weights[first * self.d..].chunks_exact(self.d).enumerate().take(lanes) {
                panel.iter_mut().zip(weights).for_each(|(panel, &weight)| panel[lane] = weight);
            }
            let rows = self.rows.chunks(ROWS * self.d).zip(self.scores.chunks_mut(ROWS * outputs));
            for (rows, scores) in rows {
                let row = |at: usize| &rows[(at * self.d).min(rows.len() - self.d)..][..self.d];
                let mut sums = [[0.0; LANES]; ROWS];
                let columns = panel.iter().zip(row(0)).zip(row(1)).zip(row(2)).zip(row(3));
                for ((((weights, &a), &b), &c), &d) in columns {
                    for (sums, value) in sums.iter_mut().zip([a, b, c, d]) {
                        sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += value * weight);
                    }
                }
                for (scores, sums) in scores.chunks_exact_mut(outputs).zip(&sums) {
                    scores[first..first + lanes].copy_from_slice(&sums[..lanes]);
                }
            }
        }
    }
}

/// What some rows add to a gradient in 64 bits.
struct Gradient<'work> {
    residuals: &'work [f64],
    rows: &'work [f64],
    d: usize,
    gradient: &'work mut [f64],
}

impl Loops for Gradient<'_> {
    #[inline(always)]
    fn run(self) {
        let outputs = self.gradient.len() / self.d;
        for (residuals, row) in self.residuals.chunks_exact(outputs).zip(self.rows.chunks_exact(self.d)) {
            for (gradient, &residual) in self.gradient.chunks_exact_mut(self.d).zip(residuals) {
                gradient.iter_mut().zip(row).for_each(|(sum, value)| *sum += residual * value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_in_32_bits_are_right() {
        for step in 0..20_000 {
            let value = -0.0045 * step as f32;
            let (found, expected) = (f64::from(Real::exp(value)), f64::from(value).max(-87.0).exp());
            assert!((found / expected - 1.0).abs() < 3e-7, "exp({value}) = {found}, not {expected}");
        }
        assert_eq!(Real::exp(0.0_f32), 1.0);
    }

    fn check<T: Real + std::fmt::Debug>() {
        for (m, n, d) in [(37, 5, 11), (1, 1, 1), (50, 41, 70)] {
            let value = |at: usize| ((at * 37) % 23) as f64 - 11.0;
            let make =
                |count: usize, step: usize| (0..count).map(|at| T::from_f64(value(at + step))).collect::<Vec<T>>();
            let (rows, weights) = (make(m * d, 0), make(n * d, 5));
            let mut scores = vec![T::from_f64(99.0); m * n];
            T::scores_of(&rows, &weights, d, &mut scores);
            // Whole numbers, small enough to be exact in 32 bits too.
            for (at, &score) in scores.iter().enumerate() {
                let (row, output) = (at / n, at % n);
                let terms = (0..d).map(|column| value(row * d + column) * value(output * d + column + 5));
                assert_eq!(score.to_f64(), terms.sum::<f64>());
            }
            let residuals = make(m * n, 3);
            let mut gradient = vec![T::ONE; n * d];
            T::add_gradient(&residuals, &rows, d, &mut gradient);
            for (at, &derivative) in gradient.iter().enumerate() {
                let (output, column) = (at / d, at % d);
                let terms = (0..m).map(|row| value(row * n + output + 3) * value(row * d + column));
                assert_eq!(derivative.to_f64(), 1.0 + terms.sum::<f64>());
            }
        }
    }

    #[test]
    fn products_equal_loops() {
        check::<f32>();
        check::<f64>();
    }
}

//! The two matrix products of the linear probe, in one place, so that what computes them can be changed here alone.
//!
//! Both run on one thread: the probe works on many blocks of rows at once. The crate `gemm` picks AVX-512, AVX2 or
//! NEON when the program runs, and is faster than libtorch on products as narrow as these.
#![allow(unsafe_code)]

use std::ops::{Add, Mul, Sub};

/// A number that products are made of: 32 bits for speed, 64 for the last digits.
pub(super) trait Real:
    Copy + Send + Sync + PartialOrd + Default + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + 'static
{
    const ONE: Self;
    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
    /// The exponential of a number that is not positive.
    fn exp(self) -> Self;
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
}

/// `scores` (m x n) = `rows` (m x d) times `weights` (n x d) transposed; all row-major.
pub(super) fn scores_of<T: Real>(rows: &[T], weights: &[T], d: usize, scores: &mut [T]) {
    let (m, n) = (rows.len() / d, weights.len() / d);
    assert_eq!((rows.len(), weights.len(), scores.len()), (m * d, n * d, m * n), "whole rows");
    // SAFETY: the strides below stay inside the three slices, whose lengths were checked above; `scores` is borrowed
    // mutably, so it overlaps neither of the others.
    unsafe {
        gemm::gemm(
            m,
            n,
            d,
            scores.as_mut_ptr(),
            1,
            n as isize,
            false,
            rows.as_ptr(),
            1,
            d as isize,
            weights.as_ptr(),
            d as isize,
            1,
            T::default(),
            T::ONE,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// `gradient` (n x d) += `residuals` (m x n) transposed times `rows` (m x d); all row-major.
pub(super) fn add_gradient<T: Real>(residuals: &[T], rows: &[T], d: usize, gradient: &mut [T]) {
    let (m, n) = (rows.len() / d, gradient.len() / d);
    assert_eq!((rows.len(), gradient.len(), residuals.len()), (m * d, n * d, m * n), "whole rows");
    // SAFETY: as in `scores_of`.
    unsafe {
        gemm::gemm(
            n,
            d,
            m,
            gradient.as_mut_ptr(),
            1,
            d as isize,
            true,
            residuals.as_ptr(),
            n as isize,
            1,
            rows.as_ptr(),
            1,
            d as isize,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
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

    #[test]
    fn products_equal_loops() {
        let (m, n, d) = (37, 5, 11);
        let value = |at: usize| ((at * 37) % 23) as f64 - 11.0;
        let rows: Vec<f64> = (0..m * d).map(value).collect();
        let weights: Vec<f64> = (0..n * d).map(|at| value(at + 5)).collect();
        let mut scores = vec![99.0; m * n];
        scores_of(&rows, &weights, d, &mut scores);
        for (at, &score) in scores.iter().enumerate() {
            let (row, output) = (at / n, at % n);
            assert_eq!(score, (0..d).map(|column| rows[row * d + column] * weights[output * d + column]).sum::<f64>());
        }
        let mut gradient = vec![1.0; n * d];
        add_gradient(&scores, &rows, d, &mut gradient);
        for (at, &derivative) in gradient.iter().enumerate() {
            let (output, column) = (at / d, at % d);
            let sum: f64 = (0..m).map(|row| scores[row * n + output] * rows[row * d + column]).sum();
            assert_eq!(derivative, 1.0 + sum);
        }
    }
}

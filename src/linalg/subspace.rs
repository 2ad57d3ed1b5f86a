//! Chebyshev-filtered subspace iteration for the smallest eigenpairs of a normalised Laplacian.
//!
//! A block of somewhat more vectors than are wanted is multiplied by a polynomial of L that is small on the part of the
//! spectrum that is not wanted and large below it; the best vectors of the space they span are then found from their
//! scalar products (Rayleigh and Ritz). Both repeat until the wanted residuals are small. The first rounds run in 32
//! bits, as far as these carry; the last ones always in 64. The known null vectors are kept out of the space.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use super::block::{Block, Real, Sparse, WIDTH, symmetric_products};
use super::laplacian::NormalisedLaplacian;
use super::{LinalgError, symmetric_eigen};
use crate::progress::{self, Progress};

const OPERATION: &str = "smallest_laplacian_eigenpairs";
/// More rounds than this are never needed unless something is wrong.
const MOST_ROUNDS: usize = 300;
/// The largest degree of a polynomial.
const MOST_DEGREES: usize = 200;
/// Steps of Lanczos' method for the upper end of the spectrum.
const LANCZOS_STEPS: usize = 12;
/// Residuals down to this one are left to 32 bits.
const NARROW_TOLERANCE: f64 = 2e-5;
/// Directions of a space whose squared length, as a share of the longest, is below this are only rounding errors.
const NO_DIRECTION: f64 = 1e-13;

/// Panels of vectors for so many wanted ones: a tenth more, for the gap that the speed of convergence comes from.
pub(super) fn panels(wanted: usize) -> usize {
    (wanted + wanted.div_ceil(10).max(6)).div_ceil(WIDTH)
}

/// The `wanted` smallest eigenvalues of `laplacian` on the space orthogonal to its null vectors, ascending, with some
/// more behind them that are less exact, and vectors in the same order.
pub(super) fn solve(
    laplacian: &NormalisedLaplacian,
    wanted: usize,
    panels: usize,
    tolerance: f64,
    seed: u64,
) -> Result<(Vec<f64>, Block<f64>), LinalgError> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let wide = laplacian.weights();
    let end = upper_end(laplacian, &mut random)?;
    let narrow: Vec<f32> = wide.weights.par_iter().map(|&weight| weight as f32).collect();
    let mut progress = Progress::new("eigenvectors", wanted as u64, "vectors");
    let mut rounds = 0;
    let mut task = Task { laplacian, wanted, end, random: &mut random, rounds: &mut rounds, progress: &mut progress };
    let mut block = Block::<f32>::zeros(laplacian.rows(), panels);
    task.fill(&mut block, 0..panels * WIDTH);
    let matrix = Sparse { offsets: wide.offsets, columns: wide.columns, weights: &narrow };
    let block = task.run(matrix, block, tolerance.max(NARROW_TOLERANCE), Precision::NARROW)?.block;
    drop(narrow);
    let found = task.run(wide, block.convert(), tolerance, Precision::WIDE)?;
    Ok((found.values, found.block))
}

/// How a precision is used.
#[derive(Clone, Copy)]
struct Precision {
    /// How much more a polynomial may amplify one wanted vector than another.
    amplification: f64,
    /// Whether to be content when the residuals no longer become smaller.
    may_stall: bool,
}

impl Precision {
    const NARROW: Precision = Precision { amplification: 1e4, may_stall: true };
    const WIDE: Precision = Precision { amplification: 1e8, may_stall: false };
}

struct Task<'task> {
    laplacian: &'task NormalisedLaplacian,
    wanted: usize,
    /// Nothing of the spectrum is above.
    end: f64,
    random: &'task mut ChaCha8Rng,
    rounds: &'task mut usize,
    progress: &'task mut Progress,
}

/// Ritz vectors and the Ritz values.
struct Found<T> {
    block: Block<T>,
    values: Vec<f64>,
}

impl Task<'_> {
    fn run<T: Real>(
        &mut self,
        matrix: Sparse<T>,
        mut block: Block<T>,
        tolerance: f64,
        precision: Precision,
    ) -> Result<Found<T>, LinalgError> {
        let panels = block.panels.len();
        let mut product = Block::zeros(block.rows, panels);
        let mut first = 0;
        let mut worst_before = f64::INFINITY;
        let mut told = 0;
        loop {
            progress::check()?;
            self.laplacian.project(&mut block, first..panels);
            for (panel, product) in block.panels.iter().zip(&mut product.panels).skip(first) {
                matrix.step(panel, product, [-1.0, 1.0, 0.0]);
            }
            let values = self.rayleigh_ritz(&mut block, &mut product)?;
            let residuals = residuals(&block, &product, &values);
            let worst = residuals[..self.wanted].iter().copied().fold(0.0, f64::max);
            let converged = residuals[..self.wanted].iter().take_while(|residual| **residual <= tolerance).count();
            if !precision.may_stall {
                self.progress.advance((converged as u64).saturating_sub(told));
                told = told.max(converged as u64);
            }
            let stalled = precision.may_stall && worst < 1e-2 && worst > 0.5 * worst_before;
            if converged == self.wanted || stalled {
                return Ok(Found { block, values });
            }
            if *self.rounds == MOST_ROUNDS {
                return Err(LinalgError::NotConverged {
                    operation: OPERATION,
                    rounds: *self.rounds,
                    residual: worst,
                    tolerance,
                });
            }
            *self.rounds += 1;
            worst_before = worst;
            first = converged / WIDTH;
            let filter = self.filter(&values, worst / tolerance, precision);
            for (panel, product) in block.panels.iter_mut().zip(&mut product.panels).skip(first) {
                filter.apply(matrix, panel, product);
                progress::check()?;
            }
            let unknown = (0..block.count()).filter(|&vector| values[vector].is_infinite());
            for vector in unknown {
                self.fill(&mut block, vector..vector + 1);
            }
        }
    }

    /// Writes random numbers into some vectors.
    fn fill<T: Real>(&mut self, block: &mut Block<T>, vectors: std::ops::Range<usize>) {
        for vector in vectors {
            let panel = &mut block.panels[vector / WIDTH];
            for row in panel.as_chunks_mut::<WIDTH>().0 {
                row[vector % WIDTH] = T::of(f64::from(self.random.next_u32()) / f64::from(u32::MAX) - 0.5);
            }
        }
    }

    /// Turns the vectors into the best ones of the space they span, and `product` with them. Gives their Ritz values,
    /// ascending; where the vectors span less than their number, the last ones become 0 and their values infinite.
    fn rayleigh_ritz<T: Real>(&self, block: &mut Block<T>, product: &mut Block<T>) -> Result<Vec<f64>, LinalgError> {
        let count = block.count();
        let mut squares = symmetric_products(block, block);
        let mut energies = symmetric_products(block, product);
        let scales: Vec<f64> = (0..count)
            .map(|vector| match squares[vector * count + vector].sqrt() {
                0.0 => 0.0,
                length => 1.0 / length,
            })
            .collect();
        for row in 0..count {
            for column in 0..count {
                squares[row * count + column] *= scales[row] * scales[column];
                energies[row * count + column] *= scales[row] * scales[column];
            }
        }
        let directions = symmetric_eigen(&squares, count)?;
        let longest = directions.values[0];
        let kept = directions.values.iter().take_while(|value| **value > NO_DIRECTION * longest).count();
        // Rows: orthonormal combinations of the scaled vectors.
        let mut basis = directions.vectors[..kept * count].to_vec();
        for (row, value) in basis.chunks_exact_mut(count).zip(&directions.values) {
            row.iter_mut().for_each(|entry| *entry /= value.sqrt());
        }
        let half = multiply(&basis, &energies, count, count);
        let small = multiply(&half, &transposed(&basis, count), count, kept);
        let ritz = symmetric_eigen(&small, kept)?;
        let combined = multiply(&ritz.vectors, &basis, kept, count);
        let mut by = vec![0.0; count * count];
        for (number, combination) in combined.chunks_exact(count).rev().enumerate() {
            for (vector, weight) in combination.iter().enumerate() {
                by[vector * count + number] = weight * scales[vector];
            }
        }
        block.rotate(&by);
        product.rotate(&by);
        let mut values: Vec<f64> = ritz.values.iter().rev().copied().collect();
        values.resize(count, f64::INFINITY);
        Ok(values)
    }

    /// The polynomial for the next round.
    fn filter(&self, values: &[f64], excess: f64, precision: Precision) -> Filter {
        let highest = values.iter().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
        let cut = highest.min((1.0 - 1e-6) * self.end);
        let (centre, half_width) = (0.5 * (cut + self.end), 0.5 * (self.end - cut));
        let growth = |value: f64| ((centre - value) / half_width).max(1.0).acosh();
        let most = precision.amplification.acosh() / growth(0.0);
        // One degree more than is needed to bring the wanted residuals down.
        let slowest = growth(values[self.wanted - 1]);
        let needed = if slowest > 0.0 { (4.0 * excess.max(1.0)).acosh() / slowest } else { f64::INFINITY };
        let degree = most.min(needed).ceil().clamp(2.0, MOST_DEGREES as f64) as usize;
        Filter { centre, half_width, degree }
    }
}

/// A Chebyshev polynomial of L of which the damped interval is `centre` +- `half_width`, scaled to 1 at 0.
#[derive(Clone, Copy)]
struct Filter {
    centre: f64,
    half_width: f64,
    degree: usize,
}

impl Filter {
    /// The polynomial of L times a panel, in its place; `product` is L times the panel before, and overwritten.
    fn apply<T: Real>(self, matrix: Sparse<T>, panel: &mut Vec<T>, product: &mut Vec<T>) {
        let Filter { centre, half_width, degree } = self;
        let first = -half_width / centre;
        let mut scale = first;
        // The first degree: (L x - centre x) scale / half_width.
        let (times_product, times_panel) = (T::of(scale / half_width), T::of(-centre * scale / half_width));
        product.par_iter_mut().zip(panel.par_iter()).with_min_len(1 << 13).for_each(|(product, &value)| {
            *product = times_product * *product + times_panel * value;
        });
        for _ in 1..degree {
            let next = 1.0 / (2.0 / first - scale);
            // 2 next / half_width (L - centre) y - scale next x, where L y = y - W y.
            let factor = 2.0 * next / half_width;
            matrix.step(product, panel, [-factor, factor * (1.0 - centre), -scale * next]);
            std::mem::swap(panel, product);
            scale = next;
        }
        std::mem::swap(panel, product);
    }
}

/// The lengths of L v - value v; infinite where there is no vector.
fn residuals<T: Real>(block: &Block<T>, product: &Block<T>, values: &[f64]) -> Vec<f64> {
    let squares: Vec<[f64; WIDTH]> = (0..block.panels.len())
        .into_par_iter()
        .map(|panel| {
            let mut squares = [0.0; WIDTH];
            let (rows, products) = (block.panels[panel].as_chunks().0, product.panels[panel].as_chunks().0);
            let values: [f64; WIDTH] = std::array::from_fn(|lane| values[panel * WIDTH + lane]);
            for (row, product) in rows.iter().zip(products) {
                let (row, product): (&[T; WIDTH], &[T; WIDTH]) = (row, product);
                for lane in 0..WIDTH {
                    let difference = product[lane].wide() - values[lane] * row[lane].wide();
                    squares[lane] += difference * difference;
                }
            }
            squares
        })
        .collect();
    let lengths = squares.into_iter().flatten().zip(values);
    lengths.map(|(square, value)| if value.is_finite() { square.sqrt() } else { f64::INFINITY }).collect()
}

/// A number above the spectrum, and not by much: the largest Ritz value of a few steps of Lanczos' method and its
/// residual (Zhou and Li, 2011); never more than 2, which is above every spectrum.
fn upper_end(laplacian: &NormalisedLaplacian, random: &mut ChaCha8Rng) -> Result<f64, LinalgError> {
    let rows = laplacian.rows();
    let matrix = laplacian.weights();
    let length = |vector: &[f64]| vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    let mut before = vec![0.0; rows];
    let mut now: Vec<f64> = (0..rows).map(|_| f64::from(random.next_u32()) / f64::from(u32::MAX) - 0.5).collect();
    let first_length = length(&now);
    now.iter_mut().for_each(|value| *value /= first_length);
    let mut tridiagonal = vec![0.0; LANCZOS_STEPS * LANCZOS_STEPS];
    let mut link = 0.0;
    for step in 0..LANCZOS_STEPS {
        let apply = |row: usize| {
            let entries = matrix.offsets[row]..matrix.offsets[row + 1];
            let pairs = matrix.columns[entries.clone()].iter().zip(&matrix.weights[entries]);
            now[row] - pairs.map(|(&column, weight)| weight * now[column as usize]).sum::<f64>() - link * before[row]
        };
        let mut next: Vec<f64> = (0..rows).into_par_iter().with_min_len(256).map(apply).collect();
        let own: f64 = next.iter().zip(&now).map(|(a, b)| a * b).sum();
        next.iter_mut().zip(&now).for_each(|(next, now)| *next -= own * now);
        link = length(&next);
        tridiagonal[step * LANCZOS_STEPS + step] = own;
        if step + 1 < LANCZOS_STEPS {
            tridiagonal[step * LANCZOS_STEPS + step + 1] = link;
            tridiagonal[(step + 1) * LANCZOS_STEPS + step] = link;
        }
        if link < 1e-10 {
            // The start lies in a small space of eigenvectors: nothing is known of the others.
            return Ok(2.0);
        }
        next.iter_mut().for_each(|value| *value /= link);
        before = std::mem::replace(&mut now, next);
    }
    Ok((symmetric_eigen(&tridiagonal, LANCZOS_STEPS)?.values[0] + link).min(2.0))
}

/// The product of two row-major matrices, `inner` columns of the first and `columns` of the second.
fn multiply(a: &[f64], b: &[f64], inner: usize, columns: usize) -> Vec<f64> {
    let mut product = vec![0.0; a.len() / inner.max(1) * columns];
    product.par_chunks_mut(columns.max(1)).zip(a.par_chunks(inner.max(1))).for_each(|(product, a)| {
        for (value, b) in a.iter().zip(b.chunks_exact(columns)) {
            product.iter_mut().zip(b).for_each(|(product, b)| *product += value * b);
        }
    });
    product
}

fn transposed(matrix: &[f64], columns: usize) -> Vec<f64> {
    let rows = matrix.len() / columns.max(1);
    (0..matrix.len()).map(|at| matrix[at % rows * columns + at / rows]).collect()
}

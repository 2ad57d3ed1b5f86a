//! Some tens of long vectors at once, in 32 or 64 bits, and what a subspace iteration does with them.
//!
//! Vectors lie side by side in panels of [`WIDTH`], row-major within a panel: one entry of a sparse matrix meets
//! [`WIDTH`] numbers that lie together, and a panel stays in the cache while a polynomial of the matrix is applied to
//! it. Rows are cut into pieces of a size that depends on nothing but their number, and sums are kept in 64 bits and
//! added in the order of the pieces.

use std::ops::{Add, AddAssign, Mul, Sub};

use rayon::prelude::*;

use super::simd::{Float, Work, dispatch};

/// Vectors in a panel.
pub(super) const WIDTH: usize = 32;
/// Rows handled by one task.
const ROWS_PER_TASK: usize = 256;
/// Rows widened and multiplied together.
const ROWS_AT_ONCE: usize = 64;

/// A floating-point number.
pub(super) trait Real:
    Copy + Default + Send + Sync + Add<Output = Self> + AddAssign + Mul<Output = Self> + Sub<Output = Self>
{
    /// The nearest such number.
    fn of(value: f64) -> Self;
    /// The same in 64 bits.
    fn wide(self) -> f64;
}

impl Real for f32 {
    #[inline(always)]
    fn of(value: f64) -> f32 {
        value as f32
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    #[inline(always)]
    fn of(value: f64) -> f64 {
        value
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
}

/// Vectors of `rows` numbers: whole panels.
#[derive(Clone, Debug)]
pub(super) struct Block<T> {
    pub rows: usize,
    /// Each is `rows` x [`WIDTH`], row-major.
    pub panels: Vec<Vec<T>>,
}

impl<T: Real> Block<T> {
    pub fn zeros(rows: usize, panels: usize) -> Block<T> {
        Block { rows, panels: vec![vec![T::default(); rows * WIDTH]; panels] }
    }

    /// How many vectors there are.
    pub fn count(&self) -> usize {
        self.panels.len() * WIDTH
    }

    pub fn convert<U: Real>(&self) -> Block<U> {
        let convert = |panel: &Vec<T>| panel.par_iter().map(|value| U::of(value.wide())).collect();
        Block { rows: self.rows, panels: self.panels.iter().map(convert).collect() }
    }

    /// The pieces of all panels that belong to the same rows.
    fn pieces(&mut self) -> Vec<Vec<&mut [T]>> {
        let mut pieces: Vec<Vec<&mut [T]>> = Vec::new();
        pieces.resize_with(self.rows.div_ceil(ROWS_PER_TASK), Vec::new);
        for panel in &mut self.panels {
            for (piece, rows) in pieces.iter_mut().zip(panel.chunks_mut(ROWS_PER_TASK * WIDTH)) {
                piece.push(rows);
            }
        }
        pieces
    }

    /// The vectors times a matrix: `count` x `count`, row-major. In place, O(rows count^2).
    pub fn rotate(&mut self, by: &[f64]) {
        let count = self.count();
        let by: Vec<T> = by.iter().map(|&value| T::of(value)).collect();
        self.pieces().into_par_iter().for_each(|mut piece| {
            let mut rotated = vec![T::default(); piece[0].len() * piece.len()];
            dispatch(Rotate { piece: &piece, by: &by, rotated: &mut rotated });
            for (rows, rotated) in piece.iter_mut().zip(rotated.chunks_exact(rotated.len() / (count / WIDTH))) {
                rows.copy_from_slice(rotated);
            }
        });
    }
}

/// The scalar products of all vectors of one block with all of another, of which only the products of a vector with
/// one in the same or a later panel are computed; the others are copies: right when the matrix is symmetric.
/// `count` x `count`. O(rows count^2).
pub(super) fn symmetric_products<T: Real>(a: &Block<T>, b: &Block<T>) -> Vec<f64> {
    /// More pieces than this would cost memory and gain nothing.
    const PIECES: usize = 16;
    let count = a.count();
    let rows_per_piece = a.rows.div_ceil(PIECES).max(1024);
    let pieces: Vec<Vec<f64>> = (0..a.rows.div_ceil(rows_per_piece))
        .into_par_iter()
        .map(|piece| {
            let rows = piece * rows_per_piece..a.rows.min((piece + 1) * rows_per_piece);
            dispatch(Products { a, b, rows })
        })
        .collect();
    let mut sum = vec![0.0; count * count];
    for piece in pieces {
        sum.iter_mut().zip(piece).for_each(|(sum, value)| *sum += value);
    }
    for row in 0..count {
        for column in 0..row / WIDTH * WIDTH {
            sum[row * count + column] = sum[column * count + row];
        }
    }
    sum
}

/// One symmetric sparse matrix with rows of a certain precision.
#[derive(Clone, Copy)]
pub(super) struct Sparse<'graph, T> {
    pub offsets: &'graph [usize],
    pub columns: &'graph [u32],
    pub weights: &'graph [T],
}

impl<T: Real> Sparse<'_, T> {
    /// `out = times_product * (matrix panel) + times_panel * panel + times_out * out`. O(entries [`WIDTH`]).
    pub fn step(self, panel: &[T], out: &mut [T], [times_product, times_panel, times_out]: [f64; 3]) {
        let factors = [T::of(times_product), T::of(times_panel), T::of(times_out)];
        out.par_chunks_mut(ROWS_PER_TASK * WIDTH).enumerate().for_each(|(piece, out)| {
            dispatch(Step { matrix: self, first: piece * ROWS_PER_TASK, panel, out, factors });
        });
    }
}

struct Step<'work, T> {
    matrix: Sparse<'work, T>,
    first: usize,
    panel: &'work [T],
    out: &'work mut [T],
    factors: [T; 3],
}

impl<T: Real> Work for Step<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Float, const ROWS: usize, const VECTORS: usize>(self) {
        let Sparse { offsets, columns, weights } = self.matrix;
        let panel = self.panel.as_chunks::<WIDTH>().0;
        let [times_product, times_panel, times_out] = self.factors;
        for (row, out) in self.out.as_chunks_mut::<WIDTH>().0.iter_mut().enumerate() {
            let row = self.first + row;
            let entries = offsets[row]..offsets[row + 1];
            let mut sums = [T::default(); WIDTH];
            for (&column, &weight) in columns[entries.clone()].iter().zip(&weights[entries]) {
                let other = &panel[column as usize];
                for lane in 0..WIDTH {
                    sums[lane] += weight * other[lane];
                }
            }
            let own = &panel[row];
            for lane in 0..WIDTH {
                out[lane] = times_product * sums[lane] + times_panel * own[lane] + times_out * out[lane];
            }
        }
    }
}

struct Products<'work, T> {
    a: &'work Block<T>,
    b: &'work Block<T>,
    rows: std::ops::Range<usize>,
}

impl<T: Real> Work for Products<'_, T> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run<V: Float, const ROWS: usize, const VECTORS: usize>(self) -> Vec<f64> {
        let count = self.a.count();
        let mut sums = vec![0.0; count * count];
        let mut wide =
            [vec![[[0.0; WIDTH]; ROWS_AT_ONCE]; count / WIDTH], vec![[[0.0; WIDTH]; ROWS_AT_ONCE]; count / WIDTH]];
        for first in self.rows.clone().step_by(ROWS_AT_ONCE) {
            let rows = ROWS_AT_ONCE.min(self.rows.end - first);
            for (wide, block) in wide.iter_mut().zip([self.a, self.b]) {
                for (wide, panel) in wide.iter_mut().zip(&block.panels) {
                    let from = panel[first * WIDTH..(first + rows) * WIDTH].as_chunks::<WIDTH>().0;
                    for (wide, from) in wide.iter_mut().zip(from) {
                        for lane in 0..WIDTH {
                            wide[lane] = from[lane].wide();
                        }
                    }
                    // The last rows of all may leave something of the ones before.
                    wide[rows..].fill([0.0; WIDTH]);
                }
            }
            for (p, a) in wide[0].iter().enumerate() {
                for (q, b) in wide[1].iter().enumerate().skip(p) {
                    for (a, b) in a.as_chunks::<4>().0.iter().zip(b.as_chunks::<4>().0) {
                        let lines = sums[p * WIDTH * count..].chunks_exact_mut(count).take(WIDTH);
                        for (i, line) in lines.enumerate() {
                            let Some(sums) = line[q * WIDTH..].first_chunk_mut::<WIDTH>() else { continue };
                            let factors = [a[0][i], a[1][i], a[2][i], a[3][i]];
                            for lane in 0..WIDTH {
                                let first = factors[0] * b[0][lane] + factors[1] * b[1][lane];
                                let second = factors[2] * b[2][lane] + factors[3] * b[3][lane];
                                sums[lane] += first + second;
                            }
                        }
                    }
                }
            }
        }
        sums
    }
}

struct Rotate<'work, 'block, T> {
    piece: &'work [&'block mut [T]],
    by: &'work [T],
    /// Panel after panel.
    rotated: &'work mut [T],
}

impl<T: Real> Work for Rotate<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Float, const ROWS: usize, const VECTORS: usize>(self) {
        let by = self.by.as_chunks::<WIDTH>().0;
        let panels = self.piece.len();
        let rows = self.piece[0].len() / WIDTH;
        for (q, out) in self.rotated.as_chunks_mut::<WIDTH>().0.chunks_exact_mut(rows).enumerate() {
            for (row, out) in out.iter_mut().enumerate() {
                let mut sums = [T::default(); WIDTH];
                for (p, panel) in self.piece.iter().enumerate() {
                    let own = &panel.as_chunks::<WIDTH>().0[row];
                    for (i, &value) in own.iter().enumerate() {
                        let by = &by[(p * WIDTH + i) * panels + q];
                        for lane in 0..WIDTH {
                            sums[lane] += value * by[lane];
                        }
                    }
                }
                *out = sums;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block<T: Real>(rows: usize, panels: usize, step: usize) -> Block<T> {
        let mut block = Block::zeros(rows, panels);
        for (number, panel) in block.panels.iter_mut().enumerate() {
            for (at, value) in panel.iter_mut().enumerate() {
                *value = T::of(((at * step + number * 7) % 13) as f64 - 6.0);
            }
        }
        block
    }

    fn at<T: Real>(block: &Block<T>, row: usize, vector: usize) -> f64 {
        block.panels[vector / WIDTH][row * WIDTH + vector % WIDTH].wide()
    }

    fn products_and_rotations<T: Real>() {
        for (rows, panels) in [(1, 1), (65, 2), (1027, 1), (2100, 3)] {
            let mut a: Block<T> = block(rows, panels, 5);
            let count = a.count();
            let found = symmetric_products(&a, &a);
            let by: Vec<f64> = (0..count * count).map(|at| ((at * 3) % 5) as f64 - 2.0).collect();
            let before = a.clone();
            a.rotate(&by);
            for i in (0..count).step_by(5) {
                for j in (0..count).step_by(3) {
                    let expected: f64 = (0..rows).map(|row| at(&before, row, i) * at(&before, row, j)).sum();
                    assert_eq!(found[i * count + j], expected, "{i} {j}");
                }
                for row in [0, rows / 2, rows - 1] {
                    let expected: f64 = (0..count).map(|j| at(&before, row, j) * by[j * count + i]).sum();
                    assert_eq!(at(&a, row, i), expected);
                }
            }
        }
    }

    #[test]
    fn equal_the_naive_sums() {
        products_and_rotations::<f32>();
        products_and_rotations::<f64>();
    }

    #[test]
    fn a_step_is_a_product_and_two_sums() {
        // The matrix of a path of 700 vertices.
        let rows = 700_u32;
        let lists: Vec<Vec<u32>> = (0..rows)
            .map(|row| [row.checked_sub(1), (row + 1 < rows).then_some(row + 1)].into_iter().flatten().collect())
            .collect();
        let mut offsets = vec![0];
        offsets.extend(lists.iter().scan(0, |end, list| {
            *end += list.len();
            Some(*end)
        }));
        let columns = lists.concat();
        let weights = vec![0.5; columns.len()];
        let matrix = Sparse { offsets: &offsets, columns: &columns, weights: &weights };
        let (panel, before): (Block<f64>, Block<f64>) = (block(700, 1, 5), block(700, 1, 3));
        let mut out = before.clone();
        matrix.step(&panel.panels[0], &mut out.panels[0], [2.0, -3.0, 0.25]);
        for (row, list) in lists.iter().enumerate() {
            for vector in [0, 31] {
                let neighbours = list.iter().map(|&other| at(&panel, other as usize, vector)).sum::<f64>();
                let expected = neighbours - 3.0 * at(&panel, row, vector) + 0.25 * at(&before, row, vector);
                assert_eq!(at(&out, row, vector), expected);
            }
        }
    }
}

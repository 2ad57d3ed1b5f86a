//! Labels from eigenvectors by a pivoted QR factorisation: no start, no rounds, nothing random.
//!
//! Damle, Minden, Ying, "Simple, direct and efficient multi-way spectral clustering", 2019. As many rows as there are
//! columns are chosen, each the one farthest from the space of those before; the rotation that brings the axes nearest
//! to these rows is applied to all, and each row goes to the axis that it lies along most.

use rayon::prelude::*;

use crate::linalg::{LinalgError, symmetric_eigen};
use crate::progress;

/// Rows handled by one task.
const ROWS_PER_TASK: usize = 512;
/// A squared distance that has shrunk to this share of what it was has no digits left, and is computed anew.
const NO_DIGITS: f64 = 1e-8;
/// Squared singular values below this share of the largest one are taken for 0.
const SINGULAR: f64 = 1e-14;

/// The column of each row of the row-major `vectors`. O(rows columns^2).
///
/// # Errors
/// The eigenproblem of the chosen rows was not solved; the computation was told to stop.
pub(super) fn cluster_qr(vectors: &[f64], columns: usize) -> Result<Vec<i32>, LinalgError> {
    if columns == 0 || vectors.is_empty() {
        return Ok(Vec::new());
    }
    let axes = axes(vectors, &pivots(vectors, columns)?, columns)?;
    let mut labels = vec![0; vectors.len() / columns];
    labels.par_chunks_mut(ROWS_PER_TASK).zip(vectors.par_chunks(ROWS_PER_TASK * columns)).for_each(|(labels, rows)| {
        let mut along = vec![0.0; columns];
        for (label, row) in labels.iter_mut().zip(rows.chunks_exact(columns)) {
            times(row, &axes, &mut along);
            let mut most = -1.0;
            for (axis, value) in along.iter().enumerate() {
                if value.abs() > most {
                    most = value.abs();
                    *label = axis as i32;
                }
            }
        }
    });
    Ok(labels)
}

/// The first `columns` pivots of the QR factorisation of the transposed vectors: of equally far rows the first.
fn pivots(vectors: &[f64], columns: usize) -> Result<Vec<usize>, LinalgError> {
    let mut squares: Vec<f64> = vectors.par_chunks(columns).map(|row| dot(row, row)).collect();
    let mut exact = squares.clone();
    let mut pivots: Vec<usize> = Vec::with_capacity(columns);
    let mut directions: Vec<Vec<f64>> = Vec::with_capacity(columns);
    for _ in 0..columns.min(squares.len()) {
        progress::check()?;
        let farther = |best: usize, row: usize| if squares[row] > squares[best] { row } else { best };
        let pivot = (0..squares.len()).fold(0, farther);
        let mut direction = rest(&vectors[pivot * columns..(pivot + 1) * columns], &directions);
        let length = dot(&direction, &direction).sqrt();
        if squares[pivot] <= 0.0 || length == 0.0 {
            // All rows lie in the space of the pivots: any others will do.
            let others = (0..squares.len()).filter(|row| !pivots.contains(row)).take(columns - pivots.len());
            let others: Vec<usize> = others.collect();
            pivots.extend(others);
            break;
        }
        direction.iter_mut().for_each(|value| *value /= length);
        directions.push(direction);
        pivots.push(pivot);
        let direction = &directions[directions.len() - 1];
        squares
            .par_chunks_mut(ROWS_PER_TASK)
            .zip(exact.par_chunks_mut(ROWS_PER_TASK))
            .zip(vectors.par_chunks(ROWS_PER_TASK * columns))
            .for_each(|((squares, exact), rows)| {
                for ((square, exact), row) in squares.iter_mut().zip(exact).zip(rows.chunks_exact(columns)) {
                    *square -= dot(row, direction).powi(2);
                    if *square <= NO_DIGITS * *exact && *exact > 0.0 {
                        let rest = rest(row, &directions);
                        *square = dot(&rest, &rest);
                        // What is left of a row in the space of the pivots is a rounding error.
                        if *square <= 1e-30 * dot(row, row) {
                            *square = 0.0;
                        }
                        *exact = *square;
                    }
                }
            });
        squares[pivot] = 0.0;
        exact[pivot] = 0.0;
    }
    Ok(pivots)
}

/// The part of a row that is orthogonal to the unit vectors `directions`; twice, for the digits.
fn rest(row: &[f64], directions: &[Vec<f64>]) -> Vec<f64> {
    let mut rest = row.to_vec();
    for _ in 0..2 {
        for direction in directions {
            let along = dot(&rest, direction);
            rest.iter_mut().zip(direction).for_each(|(value, direction)| *value -= along * direction);
        }
    }
    rest
}

/// The orthogonal matrix nearest to the one whose columns are the pivots' rows: `columns` x `columns`, row-major.
fn axes(vectors: &[f64], pivots: &[usize], columns: usize) -> Result<Vec<f64>, LinalgError> {
    let count = pivots.len();
    let row = |pivot: usize| &vectors[pivots[pivot] * columns..(pivots[pivot] + 1) * columns];
    let products: Vec<f64> = (0..count * count).map(|at| dot(row(at / count), row(at % count))).collect();
    let eigen = symmetric_eigen(&products, count)?;
    // M (M^T M)^-1/2, with M^T M = `products`.
    let mut root = vec![0.0; count * count];
    for (value, vector) in eigen.values.iter().zip(eigen.vectors.chunks_exact(count)) {
        if *value > SINGULAR * eigen.values[0] {
            for (line, a) in root.chunks_exact_mut(count).zip(vector) {
                line.iter_mut().zip(vector).for_each(|(entry, b)| *entry += a * b / value.sqrt());
            }
        }
    }
    let mut axes = vec![0.0; columns * count];
    let mut line = vec![0.0; count];
    for (column, axis) in axes.chunks_exact_mut(count).enumerate() {
        (0..count).for_each(|pivot| line[pivot] = row(pivot)[column]);
        times(&line, &root, axis);
    }
    Ok(axes)
}

/// A row times a row-major matrix.
fn times(row: &[f64], matrix: &[f64], product: &mut [f64]) {
    product.fill(0.0);
    for (value, line) in row.iter().zip(matrix.chunks_exact(product.len().max(1))) {
        product.iter_mut().zip(line).for_each(|(product, entry)| *product += value * entry);
    }
}

/// In eight sums, which the compiler turns into vectors.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_along_rotated_axes_are_told_apart() {
        // Rows near three orthogonal directions, of several lengths and both signs.
        let directions = [[2.0, 2.0, 1.0], [-2.0, 1.0, 2.0], [1.0, -2.0, 2.0]];
        let mut vectors = Vec::new();
        for row in 0..60 {
            let noise = |column: usize| ((row * 31 + column * 17) % 13) as f64 / 100.0;
            let length = (1 + row % 5) as f64 * if row % 2 == 0 { 1.0 } else { -1.0 };
            vectors.extend((0..3).map(|column| length * (directions[row % 3][column] + noise(column))));
        }
        let labels = cluster_qr(&vectors, 3).expect("solved");
        assert!((0..60).all(|row| labels[row] == labels[row % 3]));
        assert!(labels[0] != labels[1] && labels[1] != labels[2] && labels[0] != labels[2]);
    }

    #[test]
    fn the_axes_are_orthogonal_and_the_pivots_are_the_farthest_rows() {
        let columns = 5;
        let vectors: Vec<f64> =
            (0..40 * columns).map(|at| ((at * at * 7 + at * 3) % 101) as f64 / 50.0 - 1.0).collect();
        let pivots = pivots(&vectors, columns).expect("not cancelled");
        // The naive twin takes the space of the pivots out of all rows, step by step.
        let mut left: Vec<Vec<f64>> = vectors.chunks(columns).map(<[f64]>::to_vec).collect();
        for &pivot in &pivots {
            let longest = left.iter().map(|row| dot(row, row)).fold(0.0, f64::max);
            let direction = left[pivot].clone();
            let square = dot(&direction, &direction);
            assert!((square - longest).abs() < 1e-12);
            for row in &mut left {
                let along = dot(row, &direction) / square;
                row.iter_mut().zip(&direction).for_each(|(value, direction)| *value -= along * direction);
            }
        }
        let axes = axes(&vectors, &pivots, columns).expect("solved");
        for i in 0..columns {
            for j in 0..columns {
                let product: f64 = (0..columns).map(|row| axes[row * columns + i] * axes[row * columns + j]).sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-10);
            }
        }
    }

    #[test]
    fn few_and_dependent_rows() {
        assert!(cluster_qr(&[], 3).expect("nothing").is_empty());
        assert_eq!(cluster_qr(&[0.0; 6], 2).expect("solved"), [0; 3]);
        let labels = cluster_qr(&[1.0, 0.0, 1.0, 0.0, 2.0, 0.0], 2).expect("solved");
        assert!(labels.iter().all(|&label| label == labels[0]));
        assert_eq!(cluster_qr(&[3.0, -1.0], 1).expect("solved"), [0, 0]);
    }
}

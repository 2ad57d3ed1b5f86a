//! Matrix products and the symmetric eigenproblem, by libtorch on the CPU in 64 bits.
//!
//! Matrices are slices in row-major order. Points are centred and widened a block of rows at a time, so that no
//! second copy of them is made in 64 bits.

use rayon::prelude::*;
use tch::{Kind, TchError, Tensor};

use super::LinalgError;
use crate::points::Points;

/// Rows widened at a time: 12 MB for 768 columns.
const ROWS_PER_BLOCK: usize = 2048;
/// Columns of a strip of a symmetric product.
const COLUMNS_PER_STRIP: usize = 192;
/// Rows widened by one task.
const ROWS_PER_TASK: usize = 128;

/// Eigenvalues and eigenvectors of a symmetric matrix.
#[derive(Clone, Debug)]
pub struct Eigen {
    /// The eigenvalues, largest first.
    pub values: Vec<f64>,
    /// `order` x `order`: row i is the unit eigenvector of eigenvalue i.
    pub vectors: Vec<f64>,
}

/// Solves the eigenproblem of the symmetric `order` x `order` matrix; only its lower triangle is read. O(order^3).
///
/// # Errors
/// `matrix` is not `order` x `order` or has a value that is not finite; libtorch did not converge or ran out of memory.
pub fn symmetric_eigen(matrix: &[f64], order: usize) -> Result<Eigen, LinalgError> {
    const OPERATION: &str = "symmetric_eigen";
    expect_length(OPERATION, "matrix", matrix.len(), order * order)?;
    let solve = || {
        let (values, vectors) = tensor(matrix, order, order)?.f_linalg_eigh("L")?;
        let (values, vectors) = (values.f_flip([0])?, vectors.f_transpose(0, 1)?.f_flip([0])?.f_contiguous()?);
        Ok(Eigen { values: numbers(&values, order)?, vectors: numbers(&vectors, order * order)? })
    };
    let eigen = solve().map_err(|error| backend(OPERATION, &error))?;
    // Some LAPACKs return NaN for NaN, others an error.
    if eigen.values.iter().all(|value| value.is_finite()) {
        Ok(eigen)
    } else {
        Err(LinalgError::Backend { operation: OPERATION, message: "an eigenvalue is not finite".to_owned() })
    }
}

/// The sums of squares and products of the columns around `centre`: X^T X, `columns` x `columns`. O(n d^2).
///
/// # Errors
/// `centre` has not one number a column; libtorch ran out of memory.
pub fn scatter(points: &Points, centre: &[f64]) -> Result<Vec<f64>, LinalgError> {
    const OPERATION: &str = "scatter";
    let columns = points.columns();
    expect_length(OPERATION, "centre", centre.len(), columns)?;
    // The matrix is symmetric: of its columns a strip at a time, only what is up to the diagonal is summed up.
    let strips: Vec<(usize, usize)> = (0..columns)
        .step_by(COLUMNS_PER_STRIP)
        .map(|first| (first, (first + COLUMNS_PER_STRIP).min(columns)))
        .collect();
    let add_all = || {
        let zeros = |&(first, end): &(usize, usize)| {
            Tensor::f_zeros([(end - first) as i64, end as i64], (Kind::Double, tch::Device::Cpu))
        };
        let mut sums = strips.iter().map(zeros).collect::<Result<Vec<_>, _>>()?;
        for rows in blocks(points) {
            let block = centred(rows, centre)?;
            for (sum, &(first, end)) in sums.iter_mut().zip(&strips) {
                let strip = block.f_narrow(1, first as i64, (end - first) as i64)?;
                *sum = sum.f_addmm_(&strip.f_transpose(0, 1)?, &block.f_narrow(1, 0, end as i64)?)?;
            }
        }
        let mut all = vec![0.0; columns * columns];
        for (sum, &(first, end)) in sums.iter().zip(&strips) {
            for (at, row) in numbers(sum, (end - first) * end)?.chunks_exact(end).enumerate() {
                for (column, &value) in row.iter().enumerate().take(first + at + 1) {
                    all[(first + at) * columns + column] = value;
                    all[column * columns + first + at] = value;
                }
            }
        }
        Ok(all)
    };
    add_all().map_err(|error| backend(OPERATION, &error))
}

/// The scalar products of the rows around `centre`: X X^T, `rows` x `rows`. O(n^2 d).
///
/// # Errors
/// `centre` has not one number a column; libtorch ran out of memory.
pub fn gram_of_rows(points: &Points, centre: &[f64]) -> Result<Vec<f64>, LinalgError> {
    const OPERATION: &str = "gram_of_rows";
    expect_length(OPERATION, "centre", centre.len(), points.columns())?;
    let multiply = || {
        let all = centred(points.as_slice(), centre)?;
        numbers(&all.f_matmul(&all.f_transpose(0, 1)?)?, points.rows() * points.rows())
    };
    multiply().map_err(|error| backend(OPERATION, &error))
}

/// Weighted sums of the rows around `centre`, one for each row of `weights` (m x `rows`): m x `columns`. O(n m d).
///
/// # Errors
/// `centre` has not one number a column; `weights` is not whole rows; libtorch ran out of memory.
pub fn combine(points: &Points, centre: &[f64], weights: &[f64]) -> Result<Vec<f64>, LinalgError> {
    const OPERATION: &str = "combine";
    let count = weights.len() / points.rows().max(1);
    expect_length(OPERATION, "centre", centre.len(), points.columns())?;
    expect_length(OPERATION, "weights", weights.len(), count * points.rows())?;
    let multiply = || {
        let all = centred(points.as_slice(), centre)?;
        numbers(&tensor(weights, count, points.rows())?.f_matmul(&all)?, count * points.columns())
    };
    multiply().map_err(|error| backend(OPERATION, &error))
}

fn blocks(points: &Points) -> std::slice::Chunks<'_, f32> {
    points.as_slice().chunks(ROWS_PER_BLOCK * points.columns())
}

/// Whole rows as a 64-bit matrix, with `centre` taken off each.
fn centred(rows: &[f32], centre: &[f64]) -> Result<Tensor, TchError> {
    let mut values = vec![0.0; rows.len()];
    let chunk = ROWS_PER_TASK * centre.len();
    values.par_chunks_mut(chunk).zip(rows.par_chunks(chunk)).for_each(|(values, rows)| {
        for (values, row) in values.chunks_exact_mut(centre.len()).zip(rows.chunks_exact(centre.len())) {
            for ((value, &original), centre) in values.iter_mut().zip(row).zip(centre) {
                *value = f64::from(original) - centre;
            }
        }
    });
    tensor(&values, rows.len() / centre.len(), centre.len())
}

fn tensor(values: &[f64], rows: usize, columns: usize) -> Result<Tensor, TchError> {
    Tensor::f_from_slice(values)?.f_reshape([rows as i64, columns as i64])
}

fn numbers(tensor: &Tensor, count: usize) -> Result<Vec<f64>, TchError> {
    let mut values = vec![0.0; count];
    tensor.f_contiguous()?.f_copy_data(&mut values, count)?;
    Ok(values)
}

fn expect_length(
    operation: &'static str,
    name: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), LinalgError> {
    if found == expected { Ok(()) } else { Err(LinalgError::Shape { operation, name, found, expected }) }
}

pub(super) fn backend(operation: &'static str, error: &TchError) -> LinalgError {
    // libtorch appends a C++ stack trace to the line that says what is wrong.
    let message = error.to_string();
    let message = message.lines().next().unwrap_or("no message").to_owned();
    LinalgError::Backend { operation, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
        }
    }

    #[test]
    fn eigen_of_a_known_matrix() {
        let eigen = symmetric_eigen(&[2.0, 1.0, 1.0, 2.0], 2).expect("solved");
        close(&eigen.values, &[3.0, 1.0]);
        let half = 0.5_f64.sqrt();
        let absolute: Vec<f64> = eigen.vectors.iter().map(|value| value.abs()).collect();
        close(&absolute, &[half; 4]);
        assert!(eigen.vectors[0] * eigen.vectors[1] > 0.0 && eigen.vectors[2] * eigen.vectors[3] < 0.0);
    }

    #[test]
    fn products_equal_loops_across_blocks() {
        let (rows, columns) = (ROWS_PER_BLOCK + 3, 3);
        let value = |row: usize, column: usize| ((row * 7 + column * 5) % 11) as f32 - 4.0;
        let values = (0..rows * columns).map(|at| value(at / columns, at % columns)).collect();
        let points = Points::new(rows, columns, values).expect("valid");
        let centre = [1.0, -2.0, 0.5];
        let at = |row: usize, column: usize| f64::from(value(row, column)) - centre[column];
        let expected: Vec<f64> =
            (0..9).map(|cell| (0..rows).map(|row| at(row, cell / 3) * at(row, cell % 3)).sum()).collect();
        close(&scatter(&points, &centre).expect("computed"), &expected);
    }

    #[test]
    fn gram_and_combination_of_rows() {
        let points = Points::new(2, 3, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).expect("valid");
        let centre = [0.0, 1.0, 2.0];
        close(&gram_of_rows(&points, &centre).expect("computed"), &[3.0, 12.0, 12.0, 48.0]);
        close(&combine(&points, &centre, &[1.0, -0.5]).expect("computed"), &[-1.0, -1.0, -1.0]);
    }

    #[test]
    fn wrong_sizes_and_numbers_are_errors() {
        let points = Points::new(2, 2, vec![0.0; 4]).expect("valid");
        assert!(symmetric_eigen(&[1.0; 3], 2).expect_err("size").to_string().contains("3 numbers, 4 are needed"));
        assert!(scatter(&points, &[0.0]).is_err());
        assert!(combine(&points, &[0.0; 2], &[0.0; 3]).is_err());
        let error = symmetric_eigen(&[f64::NAN; 4], 2).expect_err("NaN").to_string();
        assert!(error.starts_with("symmetric_eigen failed: ") && error.lines().count() == 1, "{error}");
    }
}

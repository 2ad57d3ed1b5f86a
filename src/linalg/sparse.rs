//! Sparse square matrices in compressed rows: the graphs of neighbours that spectral clustering and UMAP work on.

use rayon::prelude::*;

use super::LinalgError;

/// Rows handled by one task.
const ROWS_PER_TASK: usize = 1024;

/// A square sparse matrix in compressed rows.
///
/// Row i has the entries `offsets[i]..offsets[i + 1]` of `columns` and `values`; the columns of a row ascend. Make one
/// with [`Csr::new`] or [`Csr::from_neighbours`], which check that.
#[derive(Clone, Debug, PartialEq)]
pub struct Csr {
    /// Rows, and columns.
    pub rows: usize,
    /// Where each row begins, and where the last one ends: `rows + 1` numbers.
    pub offsets: Vec<usize>,
    /// The column of each entry.
    pub columns: Vec<u32>,
    /// The value of each entry.
    pub values: Vec<f32>,
}

impl Csr {
    /// Takes the parts of a matrix. O(rows + entries).
    ///
    /// # Errors
    /// Sizes that do not belong together; offsets that descend; columns that do not ascend within a row or are not
    /// below `rows`; more than 2^32 rows.
    pub fn new(rows: usize, offsets: Vec<usize>, columns: Vec<u32>, values: Vec<f32>) -> Result<Csr, LinalgError> {
        let shape = |name, found, expected| LinalgError::Shape { operation: "Csr::new", name, found, expected };
        if u32::try_from(rows).is_err() || offsets.len() != rows + 1 {
            return Err(shape("offsets", offsets.len(), rows.saturating_add(1)));
        }
        if offsets[0] != 0 || offsets[rows] != columns.len() || !offsets.is_sorted() {
            return Err(shape("columns", columns.len(), offsets[rows]));
        }
        if values.len() != columns.len() {
            return Err(shape("values", values.len(), columns.len()));
        }
        for ends in offsets.windows(2) {
            let row = &columns[ends[0]..ends[1]];
            if !row.is_sorted_by(|a, b| a < b) || row.last().is_some_and(|&last| last as usize >= rows) {
                return Err(LinalgError::Backend {
                    operation: "Csr::new",
                    message: format!("the columns of a row do not ascend, or one is not below {rows}"),
                });
            }
        }
        Ok(Csr { rows, offsets, columns, values })
    }

    /// The matrix with `k` entries a row: row i has `values[i * k + j]` at column `indices[i * k + j]`. Values at the
    /// same column are added. O(n k log k), all threads.
    ///
    /// # Errors
    /// `indices` or `values` is not `rows` x `k`; an index is not below `rows`.
    pub fn from_neighbours(rows: usize, k: usize, indices: &[u32], values: &[f32]) -> Result<Csr, LinalgError> {
        let operation = "Csr::from_neighbours";
        for (name, found) in [("indices", indices.len()), ("values", values.len())] {
            if rows.checked_mul(k) != Some(found) {
                return Err(LinalgError::Shape { operation, name, found, expected: rows.saturating_mul(k) });
            }
        }
        let lists: Vec<Vec<(u32, f32)>> = (0..rows)
            .into_par_iter()
            .with_min_len(ROWS_PER_TASK)
            .map(|row| {
                let pairs = indices[row * k..(row + 1) * k].iter().zip(&values[row * k..(row + 1) * k]);
                let mut row: Vec<(u32, f32)> = pairs.map(|(&column, &value)| (column, value)).collect();
                row.sort_by_key(|&(column, _)| column);
                row.dedup_by(|next, kept| {
                    let same = next.0 == kept.0;
                    if same {
                        kept.1 += next.1;
                    }
                    same
                });
                row
            })
            .collect();
        let matrix = Csr::from_rows(&lists);
        Csr::new(rows, matrix.offsets, matrix.columns, matrix.values)
    }

    fn from_rows(lists: &[Vec<(u32, f32)>]) -> Csr {
        let count = lists.iter().map(Vec::len).sum();
        let (mut columns, mut values) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut offsets = Vec::with_capacity(lists.len() + 1);
        offsets.push(0);
        for list in lists {
            columns.extend(list.iter().map(|&(column, _)| column));
            values.extend(list.iter().map(|&(_, value)| value));
            offsets.push(columns.len());
        }
        Csr { rows: lists.len(), offsets, columns, values }
    }

    /// How many entries are stored.
    pub fn nnz(&self) -> usize {
        self.columns.len()
    }

    /// The columns and the values of a row.
    ///
    /// # Panics
    /// As indexing a slice: `row` must be below [`Csr::rows`].
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let entries = self.offsets[row]..self.offsets[row + 1];
        (&self.columns[entries.clone()], &self.values[entries])
    }

    /// Rows become columns. O(rows + entries).
    pub fn transpose(&self) -> Csr {
        let mut offsets = vec![0; self.rows + 1];
        for &column in &self.columns {
            offsets[column as usize + 1] += 1;
        }
        for row in 0..self.rows {
            offsets[row + 1] += offsets[row];
        }
        let mut next = offsets.clone();
        let (mut columns, mut values) = (vec![0; self.nnz()], vec![0.0; self.nnz()]);
        for row in 0..self.rows {
            let (from, of) = self.row(row);
            for (&column, &value) in from.iter().zip(of) {
                let place = &mut next[column as usize];
                (columns[*place], values[*place]) = (row as u32, value);
                *place += 1;
            }
        }
        Csr { rows: self.rows, offsets, columns, values }
    }

    /// The matrix of `combine(a_ij, a_ji)` wherever one of the two is stored; the other is 0 where it is not. Results
    /// that are 0 are left out. The mean is `|a, b| 0.5 * (a + b)`, the union of fuzzy sets `|a, b| a + b - a * b`.
    /// O(rows + entries), all threads.
    pub fn symmetrise(&self, combine: impl Fn(f32, f32) -> f32 + Sync) -> Csr {
        let other = self.transpose();
        let lists: Vec<Vec<(u32, f32)>> = (0..self.rows)
            .into_par_iter()
            .with_min_len(ROWS_PER_TASK)
            .map(|row| {
                let (own, values) = self.row(row);
                let (back, back_values) = other.row(row);
                let mut merged = Vec::with_capacity(own.len() + back.len());
                let (mut a, mut b) = (0, 0);
                while a < own.len() || b < back.len() {
                    let column = own.get(a).copied().unwrap_or(u32::MAX).min(back.get(b).copied().unwrap_or(u32::MAX));
                    let (mut there, mut here) = (0.0, 0.0);
                    if own.get(a) == Some(&column) {
                        here = values[a];
                        a += 1;
                    }
                    if back.get(b) == Some(&column) {
                        there = back_values[b];
                        b += 1;
                    }
                    let value = combine(here, there);
                    if value != 0.0 {
                        merged.push((column, value));
                    }
                }
                merged
            })
            .collect();
        Csr::from_rows(&lists)
    }

    /// Leaves out the entries whose value is not to be kept. O(rows + entries).
    pub fn retain(&mut self, keep: impl Fn(f32) -> bool) {
        let mut kept = 0;
        let mut first = 0;
        for row in 0..self.rows {
            let end = self.offsets[row + 1];
            for entry in first..end {
                if keep(self.values[entry]) {
                    self.columns[kept] = self.columns[entry];
                    self.values[kept] = self.values[entry];
                    kept += 1;
                }
            }
            first = end;
            self.offsets[row + 1] = kept;
        }
        self.columns.truncate(kept);
        self.values.truncate(kept);
    }

    /// The number of each vertex's connected component, counted from 0 in the order of their first vertices; the matrix
    /// must be symmetric. A stored 0 connects too. O(rows + entries).
    pub fn connected_components(&self) -> Vec<u32> {
        components(self.rows, &self.offsets, &self.columns)
    }
}

/// The components of a symmetric pattern, by a search from each vertex not yet reached.
pub(super) fn components(rows: usize, offsets: &[usize], columns: &[u32]) -> Vec<u32> {
    const NONE: u32 = u32::MAX;
    let mut number = vec![NONE; rows];
    let mut count = 0;
    let mut waiting = Vec::new();
    for start in 0..rows {
        if number[start] != NONE {
            continue;
        }
        number[start] = count;
        waiting.push(start);
        while let Some(vertex) = waiting.pop() {
            for &next in &columns[offsets[vertex]..offsets[vertex + 1]] {
                if number[next as usize] == NONE {
                    number[next as usize] = count;
                    waiting.push(next as usize);
                }
            }
        }
        count += 1;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dense(matrix: &Csr) -> Vec<Vec<f32>> {
        let mut all = vec![vec![0.0; matrix.rows]; matrix.rows];
        for (row, values) in all.iter_mut().enumerate() {
            let (columns, found) = matrix.row(row);
            columns.iter().zip(found).for_each(|(&column, &value)| values[column as usize] = value);
        }
        all
    }

    fn scattered(rows: usize, k: usize) -> Csr {
        let indices: Vec<u32> = (0..rows * k).map(|at| ((at * 7919 + at / k * 31) % rows) as u32).collect();
        let values: Vec<f32> = (0..rows * k).map(|at| ((at * 37) % 11) as f32 / 16.0).collect();
        Csr::from_neighbours(rows, k, &indices, &values).expect("valid")
    }

    #[test]
    fn equal_dense_matrices() {
        for (rows, k) in [(0, 3), (1, 1), (2, 0), (17, 4), (2500, 3)] {
            let matrix = scattered(rows, k);
            let (there, back) = (dense(&matrix), dense(&matrix.transpose()));
            let mean = dense(&matrix.symmetrise(|a, b| 0.5 * (a + b)));
            let both = dense(&matrix.symmetrise(|a, b| a + b - a * b));
            let mut some = matrix.clone();
            some.retain(|value| value > 0.3);
            assert!(Csr::new(rows, some.offsets.clone(), some.columns.clone(), some.values.clone()).is_ok());
            let some = dense(&some);
            for row in 0..rows {
                for column in 0..rows {
                    let (a, b) = (there[row][column], there[column][row]);
                    assert_eq!(back[row][column], b);
                    assert_eq!(mean[row][column], 0.5 * (a + b));
                    assert_eq!(both[row][column], a + b - a * b);
                    assert_eq!(some[row][column], if a > 0.3 { a } else { 0.0 });
                }
            }
            assert_eq!(matrix.transpose().transpose(), matrix);
        }
    }

    #[test]
    fn values_at_the_same_column_are_added() {
        let matrix = Csr::from_neighbours(2, 3, &[1, 0, 1, 0, 0, 0], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).expect("valid");
        assert_eq!((matrix.columns, matrix.values), (vec![0, 1, 0], vec![2.0, 4.0, 15.0]));
    }

    #[test]
    fn components_are_numbered_by_their_first_vertex() {
        let chain = Csr::from_neighbours(6, 1, &[4, 2, 1, 3, 0, 4], &[1.0; 6]).expect("valid");
        assert_eq!(chain.symmetrise(f32::max).connected_components(), [0, 1, 1, 2, 0, 0]);
        assert!(scattered(0, 1).connected_components().is_empty());
    }

    #[test]
    fn bad_parts_are_named() {
        let message = |result: Result<Csr, LinalgError>| result.expect_err("invalid").to_string();
        let new = |offsets: &[usize], columns: &[u32], count| {
            message(Csr::new(2, offsets.to_vec(), columns.to_vec(), vec![1.0; count]))
        };
        assert_eq!(new(&[0, 1], &[0], 1), "Csr::new: offsets has 2 numbers, 3 are needed");
        assert!(new(&[0, 1, 2], &[0], 1).contains("columns has 1 numbers"));
        assert!(new(&[0, 2, 1], &[0], 1).contains("columns"));
        assert!(new(&[0, 1, 1], &[0], 2).contains("values has 2 numbers"));
        assert!(new(&[0, 2, 2], &[1, 0], 2).contains("do not ascend"));
        assert!(new(&[0, 2, 2], &[1, 1], 2).contains("do not ascend"));
        assert!(new(&[0, 1, 1], &[2], 1).contains("not below 2"));
        assert!(message(Csr::from_neighbours(2, 1, &[0, 2], &[1.0; 2])).contains("not below 2"));
        assert!(message(Csr::from_neighbours(2, 2, &[0, 1], &[1.0; 2])).contains("indices has 2 numbers, 4"));
    }
}

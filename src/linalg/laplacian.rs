//! The normalised Laplacian of a graph and its smallest eigenpairs.

use rayon::prelude::*;

use super::block::{Block, Sparse, WIDTH};
use super::sparse::{Csr, components};
use super::{LinalgError, subspace, symmetric_eigen};

/// Up to this many rows, the matrix is solved whole.
const DENSE_ROWS: usize = 512;
/// Rows handled by one task.
const ROWS_PER_TASK: usize = 1024;

/// Eigenvalues in ascending order, and the unit eigenvectors: `rows` x values, row-major.
pub type Eigenpairs = (Vec<f64>, Vec<f64>);

/// The smallest eigenpairs of the normalised Laplacian of a graph, see [`NormalisedLaplacian::smallest`].
///
/// # Errors
/// As [`NormalisedLaplacian::new`] and [`NormalisedLaplacian::smallest`].
pub fn smallest_laplacian_eigenpairs(
    graph: &Csr,
    count: usize,
    tolerance: f64,
    seed: u64,
) -> Result<Eigenpairs, LinalgError> {
    NormalisedLaplacian::new(graph)?.smallest(count, tolerance, seed)
}

/// L = I - D^-1/2 W D^-1/2 of a graph with the symmetric weights W and the degrees D, as SciPy's
/// `laplacian(normed=True)` defines it: loops do not count, and the row of a vertex without edges is 0.
#[derive(Clone, Debug)]
pub struct NormalisedLaplacian {
    offsets: Vec<usize>,
    columns: Vec<u32>,
    /// D^-1/2 W D^-1/2 without the diagonal.
    weights: Vec<f64>,
    /// The roots of the degrees; 1 for vertices without edges.
    roots: Vec<f64>,
    /// The component of each vertex, numbered by first vertex.
    components: Vec<u32>,
    /// The entry at each vertex of its component's null vector: the roots of the degrees, brought to length 1.
    null: Vec<f64>,
}

impl NormalisedLaplacian {
    /// Takes a graph's weights. The matrix must be symmetric. O(rows + entries), all threads.
    ///
    /// # Errors
    /// A weight that is negative or not finite.
    pub fn new(graph: &Csr) -> Result<NormalisedLaplacian, LinalgError> {
        NormalisedLaplacian::of_rows(graph.rows, |row, entries| {
            let (columns, values) = graph.row(row);
            entries.extend(columns.iter().zip(values).map(|(&column, &value)| (column, f64::from(value))));
        })
    }

    /// The same from a function that appends the columns, ascending, and the weights of a row.
    ///
    /// # Errors
    /// A weight that is negative or not finite.
    pub(crate) fn of_rows(
        rows: usize,
        fill: impl Fn(usize, &mut Vec<(u32, f64)>) + Sync,
    ) -> Result<NormalisedLaplacian, LinalgError> {
        let numbers: Vec<usize> = (0..rows).collect();
        // Pieces of rows: few and large enough to be held apart for a moment.
        let pieces: Vec<(Vec<usize>, Vec<u32>, Vec<f64>)> = numbers
            .par_chunks(ROWS_PER_TASK)
            .map(|numbers| {
                let (mut lengths, mut columns, mut weights) = (Vec::new(), Vec::new(), Vec::new());
                let mut entries = Vec::new();
                for &row in numbers {
                    entries.clear();
                    fill(row, &mut entries);
                    entries.retain(|&(column, weight)| column as usize != row && weight != 0.0);
                    lengths.push(entries.len());
                    columns.extend(entries.iter().map(|&(column, _)| column));
                    weights.extend(entries.iter().map(|&(_, weight)| weight));
                }
                (lengths, columns, weights)
            })
            .collect();
        let count = pieces.iter().map(|(_, columns, _)| columns.len()).sum();
        let mut offsets = Vec::with_capacity(rows + 1);
        let (mut columns, mut weights) = (Vec::with_capacity(count), Vec::with_capacity(count));
        offsets.push(0);
        let mut end = 0;
        for (lengths, some_columns, some_weights) in pieces {
            offsets.extend(lengths.iter().map(|length| {
                end += length;
                end
            }));
            columns.extend(some_columns);
            weights.extend(some_weights);
        }
        NormalisedLaplacian::normalised(offsets, columns, weights)
    }

    fn normalised(
        offsets: Vec<usize>,
        columns: Vec<u32>,
        mut weights: Vec<f64>,
    ) -> Result<NormalisedLaplacian, LinalgError> {
        if let Some(weight) = weights.iter().find(|weight| !weight.is_finite() || **weight < 0.0) {
            let message = format!("a weight is {weight}: it must be a number that is not negative");
            return Err(LinalgError::Backend { operation: "NormalisedLaplacian::new", message });
        }
        let rows = offsets.len() - 1;
        let mut roots = vec![1.0; rows];
        for (root, ends) in roots.iter_mut().zip(offsets.windows(2)) {
            if ends[0] < ends[1] {
                *root = weights[ends[0]..ends[1]].iter().sum::<f64>().sqrt();
            }
        }
        for (row, ends) in offsets.windows(2).enumerate() {
            for entry in ends[0]..ends[1] {
                weights[entry] = weights[entry] / roots[row] / roots[columns[entry] as usize];
            }
        }
        let components = components(rows, &offsets, &columns);
        let mut squares = vec![0.0; components.iter().max().map_or(0, |&last| last as usize + 1)];
        for (&component, root) in components.iter().zip(&roots) {
            squares[component as usize] += root * root;
        }
        let null = components.iter().zip(&roots).map(|(&component, root)| root / squares[component as usize].sqrt());
        let null = null.collect();
        Ok(NormalisedLaplacian { offsets, columns, weights, roots, components, null })
    }

    /// Vertices.
    pub fn rows(&self) -> usize {
        self.roots.len()
    }

    /// The square root of each vertex's degree without loops; 1 where that is 0.
    pub fn roots(&self) -> &[f64] {
        &self.roots
    }

    /// The connected component of each vertex, numbered from 0 in the order of their first vertices.
    pub fn components(&self) -> &[u32] {
        &self.components
    }

    /// How many connected components there are: as often is 0 an eigenvalue.
    pub fn component_count(&self) -> usize {
        self.components.iter().max().map_or(0, |&last| last as usize + 1)
    }

    /// The `count` smallest eigenvalues, ascending, and their unit eigenvectors: `rows` x `count`, row-major.
    ///
    /// Each connected component has one null vector, D^1/2 on the component and 0 elsewhere. These come first, exactly,
    /// in the order of the components; the others are orthogonal to them. An eigenpair is accepted when the length of
    /// L v - lambda v is at most `tolerance`; the error of the eigenvalue is then of the order of its square, over the
    /// distance to the next eigenvalue. Of each vector the entry of largest absolute value is positive. The result
    /// depends on `seed` within the tolerance.
    ///
    /// Small matrices are solved whole, O(rows^3); others by subspace iteration with Chebyshev polynomials of L (Zhou,
    /// Saad, Tiago, Chelikowsky, "Self-consistent-field calculations using Chebyshev-filtered subspace iteration",
    /// 2006). That takes some tens to hundreds of products of L with a block of somewhat more than `count` vectors.
    ///
    /// # Errors
    /// `count` is more than the number of rows; `tolerance` is not a positive number; the iteration did not converge.
    pub fn smallest(&self, count: usize, tolerance: f64, seed: u64) -> Result<Eigenpairs, LinalgError> {
        let operation = "smallest_laplacian_eigenpairs";
        let rows = self.rows();
        if count > rows {
            let message = format!("count = {count} is more than the number of rows, {rows}");
            return Err(LinalgError::Backend { operation, message });
        }
        if tolerance.is_nan() || tolerance <= 0.0 {
            let message = format!("tolerance = {tolerance}: it must be a number above 0");
            return Err(LinalgError::Backend { operation, message });
        }
        let nulls = self.component_count();
        let wanted = count.saturating_sub(nulls);
        if wanted == 0 {
            return Ok(self.assemble(count, &[], |_, _| 0.0));
        }
        let panels = subspace::panels(wanted);
        if rows <= DENSE_ROWS || 3 * panels * WIDTH > rows - nulls {
            self.dense(count)
        } else {
            let (values, block) = subspace::solve(self, wanted, panels, tolerance, seed)?;
            Ok(self.assemble(count, &values, |row, vector| block.panels[vector / WIDTH][row * WIDTH + vector % WIDTH]))
        }
    }

    /// The null vectors, then the eigenpairs given.
    fn assemble(&self, count: usize, values: &[f64], at: impl Fn(usize, usize) -> f64) -> Eigenpairs {
        let nulls = self.component_count().min(count);
        let mut all = vec![0.0; nulls];
        // An eigenvalue of L is never negative: what is below 0 is a rounding error.
        all.extend(values[..count - nulls].iter().map(|value| value.max(0.0)));
        let mut vectors = vec![0.0; self.rows() * count];
        let mut farthest = vec![0.0_f64; count];
        for (row, vector) in vectors.chunks_exact_mut(count.max(1)).enumerate() {
            if let Some(entry) = vector[..nulls].get_mut(self.components[row] as usize) {
                *entry = self.null[row];
            }
            for (number, entry) in vector[nulls..].iter_mut().enumerate() {
                *entry = at(row, number);
            }
            for (farthest, &entry) in farthest.iter_mut().zip(vector.iter()) {
                if entry.abs() > farthest.abs() {
                    *farthest = entry;
                }
            }
        }
        for vector in vectors.chunks_exact_mut(count.max(1)) {
            for (entry, farthest) in vector.iter_mut().zip(&farthest) {
                *entry *= farthest.signum();
            }
        }
        (all, vectors)
    }

    /// Solves the matrix of the vertices that have edges.
    fn dense(&self, count: usize) -> Result<Eigenpairs, LinalgError> {
        let linked: Vec<usize> = (0..self.rows()).filter(|&row| self.offsets[row] < self.offsets[row + 1]).collect();
        let order = linked.len();
        let mut place = vec![usize::MAX; self.rows()];
        linked.iter().enumerate().for_each(|(at, &row)| place[row] = at);
        // I - L with the null vectors moved from the one end of the spectrum, 1, to beyond the other.
        let mut matrix = vec![0.0; order * order];
        let mut members = vec![Vec::new(); self.component_count()];
        linked.iter().for_each(|&row| members[self.components[row] as usize].push(row));
        for &row in &linked {
            let line = &mut matrix[place[row] * order..(place[row] + 1) * order];
            for &other in &members[self.components[row] as usize] {
                line[place[other]] = -3.0 * self.null[row] * self.null[other];
            }
            for entry in self.offsets[row]..self.offsets[row + 1] {
                line[place[self.columns[entry] as usize]] += self.weights[entry];
            }
        }
        let eigen = symmetric_eigen(&matrix, order)?;
        let values: Vec<f64> = eigen.values.iter().map(|value| 1.0 - value).collect();
        Ok(self.assemble(count, &values, |row, vector| match place[row] {
            usize::MAX => 0.0,
            place => eigen.vectors[vector * order + place],
        }))
    }

    /// The off-diagonal part, I - L where vertices have edges.
    pub(super) fn weights(&self) -> Sparse<'_, f64> {
        Sparse { offsets: &self.offsets, columns: &self.columns, weights: &self.weights }
    }

    /// Takes the null vectors out of the vectors of some panels. O(rows) a vector.
    pub(super) fn project<T: super::block::Real>(&self, block: &mut Block<T>, panels: std::ops::Range<usize>) {
        let nulls = self.component_count();
        block.panels[panels].par_iter_mut().for_each(|panel| {
            let mut products = vec![[0.0; WIDTH]; nulls];
            let rows = panel.as_chunks_mut::<WIDTH>().0;
            for ((row, &null), &component) in rows.iter().zip(&self.null).zip(&self.components) {
                let products = &mut products[component as usize];
                for lane in 0..WIDTH {
                    products[lane] += row[lane].wide() * null;
                }
            }
            for ((row, &null), &component) in rows.iter_mut().zip(&self.null).zip(&self.components) {
                let products = &products[component as usize];
                for lane in 0..WIDTH {
                    row[lane] = T::of(row[lane].wide() - products[lane] * null);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A graph in which every vertex is linked to some others of its group, by a rule.
    fn graph(rows: usize, k: usize, groups: usize) -> Csr {
        let other = |row: usize, link: usize| (row + groups * (1 + (row * 37 + link * link * 101) % 89)) % rows;
        let indices: Vec<u32> = (0..rows * k).map(|at| other(at / k, at % k) as u32).collect();
        let values: Vec<f32> = (0..rows * k).map(|at| 1.0 + ((at * 7919) % 13) as f32 / 13.0).collect();
        Csr::from_neighbours(rows, k, &indices, &values).expect("valid").symmetrise(|a, b| 0.5 * (a + b))
    }

    /// The largest entries of L v - value v, and of V^T V - 1.
    fn errors(graph: &Csr, (values, vectors): &Eigenpairs) -> (f64, f64) {
        let (rows, count) = (graph.rows, values.len());
        let degree = |row: usize| {
            let (columns, weights) = graph.row(row);
            let others = columns.iter().zip(weights).filter(|(column, _)| **column as usize != row);
            others.map(|(_, &weight)| f64::from(weight)).sum::<f64>()
        };
        let degrees: Vec<f64> = (0..rows).map(degree).collect();
        let (mut residual, mut product) = (0.0_f64, 0.0_f64);
        for i in 0..count {
            let mut square = 0.0;
            for row in 0..rows {
                let (columns, weights) = graph.row(row);
                let mut image = if degrees[row] > 0.0 { vectors[row * count + i] } else { 0.0 };
                for (&column, &weight) in columns.iter().zip(weights).filter(|(column, _)| **column as usize != row) {
                    let column = column as usize;
                    let weight = f64::from(weight) / (degrees[row] * degrees[column]).sqrt();
                    image -= weight * vectors[column * count + i];
                }
                square += (image - values[i] * vectors[row * count + i]).powi(2);
            }
            residual = residual.max(square.sqrt());
            for j in 0..=i {
                let sum: f64 = vectors.chunks_exact(count).map(|vector| vector[i] * vector[j]).sum();
                product = product.max((sum - f64::from(u8::from(i == j))).abs());
            }
        }
        (residual, product)
    }

    #[test]
    fn the_iteration_equals_the_dense_solution() {
        for (rows, k, groups, count) in [(900, 4, 1, 10), (1200, 3, 5, 40), (700, 6, 2, 3)] {
            let graph = graph(rows, k, groups);
            let laplacian = NormalisedLaplacian::new(&graph).expect("valid");
            assert_eq!(laplacian.component_count(), groups);
            let found = laplacian.smallest(count, 1e-9, 1).expect("converged");
            let whole = laplacian.dense(count).expect("solved");
            for (found, whole) in found.0.iter().zip(&whole.0) {
                assert!((found - whole).abs() < 1e-12, "{rows}: {found} is not {whole}");
            }
            assert_eq!(found.0[..groups], vec![0.0; groups]);
            assert!(found.0.is_sorted());
            for pairs in [&found, &whole] {
                let (residual, product) = errors(&graph, pairs);
                assert!(residual < 1.1e-9 && product < 1e-10, "{rows}: {residual:e} {product:e}");
            }
            let loose = errors(&graph, &laplacian.smallest(count, 1e-4, 1).expect("converged"));
            assert!(loose.0 < 1.1e-4 && loose.1 < 1e-10, "{loose:?}");
        }
    }

    #[test]
    fn equal_eigenvalues_are_all_found() {
        // A torus of 40 x 40: its eigenvalues are 1 - (cos a + cos b) / 2, most of them fourfold or eightfold.
        let side = 40;
        let place = |x: usize, y: usize| (x % side * side + y % side) as u32;
        let indices: Vec<u32> = (0..side * side)
            .flat_map(|at| [place(at / side + 1, at % side), place(at / side, at % side + 1)])
            .collect();
        let graph = Csr::from_neighbours(side * side, 2, &indices, &vec![2.0; indices.len()]).expect("valid");
        let found = smallest_laplacian_eigenpairs(&graph.symmetrise(|a, b| a + b), 30, 1e-8, 0).expect("converged").0;
        let cosine = |turn: usize| (std::f64::consts::TAU * turn as f64 / side as f64).cos();
        let mut expected: Vec<f64> =
            (0..side * side).map(|at| 1.0 - 0.5 * (cosine(at / side) + cosine(at % side))).collect();
        expected.sort_by(f64::total_cmp);
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
        }
    }

    #[test]
    fn spectra_that_are_hard() {
        // A path: its eigenvalues are 1 - cos(pi i / (n - 1)), close together at 0.
        let rows = 3000;
        let indices: Vec<u32> = (1..=rows as u32).map(|next| next.min(rows as u32 - 1)).collect();
        let path = Csr::from_neighbours(rows, 1, &indices, &vec![1.0; rows]).expect("valid").symmetrise(f32::max);
        let found = smallest_laplacian_eigenpairs(&path, 8, 1e-8, 0).expect("converged");
        for (number, value) in found.0.iter().enumerate() {
            let expected = 1.0 - (std::f64::consts::PI * number as f64 / (rows - 1) as f64).cos();
            assert!((value - expected).abs() < 1e-10, "{value} is not {expected}");
        }
        // Nearly the complete graph: all eigenvalues but the first lie close to 1, the end of the spectrum.
        let rows = 600;
        let likeness = |row: usize, column: usize| 1.0 - 1e-3 * ((row * 31 + column * 31) % 101) as f64 / 101.0;
        let fill = |row: usize, entries: &mut Vec<(u32, f64)>| {
            entries.extend((0..rows).map(|column| (column as u32, likeness(row, column))));
        };
        let laplacian = NormalisedLaplacian::of_rows(rows, fill).expect("valid");
        let (found, whole) =
            (laplacian.smallest(10, 1e-8, 0).expect("converged"), laplacian.dense(10).expect("solved"));
        for (found, whole) in found.0.iter().zip(&whole.0) {
            assert!((found - whole).abs() < 1e-10, "{found} is not {whole}");
        }
    }

    #[test]
    fn vertices_without_edges_are_components() {
        // Loops do not count, nor do zeros.
        let path =
            Csr::new(5, vec![0, 2, 3, 4, 5, 5], vec![0, 1, 0, 2, 4], vec![3.0, 2.0, 2.0, 1.0, 0.0]).expect("valid");
        let laplacian = NormalisedLaplacian::new(&path).expect("valid");
        assert_eq!(laplacian.components(), [0, 0, 1, 2, 3]);
        assert_eq!(laplacian.roots(), [2.0_f64.sqrt(), 2.0_f64.sqrt(), 1.0, 1.0, 1.0]);
        let (values, vectors) = laplacian.smallest(5, 1e-9, 0).expect("solved");
        assert_eq!(values[..4], [0.0; 4]);
        assert!((values[4] - 2.0).abs() < 1e-14);
        assert_eq!(vectors[1], 0.0);
        assert_eq!(vectors[2 * 5 + 1], 1.0);
        assert_eq!(laplacian.smallest(2, 1e-9, 0).expect("solved").0, [0.0; 2]);
        assert!(laplacian.smallest(0, 1e-9, 0).expect("solved").0.is_empty());
    }

    #[test]
    fn many_parts_and_nearly_all_vectors() {
        // Pairs, and vertices alone: more of them than are asked for, and then all.
        let rows = 1000;
        let indices: Vec<u32> = (0..rows as u32).map(|row| if row < 600 { row ^ 1 } else { row }).collect();
        let graph = Csr::from_neighbours(rows, 1, &indices, &vec![1.0; rows]).expect("valid");
        let laplacian = NormalisedLaplacian::new(&graph).expect("valid");
        assert_eq!(laplacian.component_count(), 700);
        for count in [3, 700, 702, rows] {
            let found = laplacian.smallest(count, 1e-9, 0).expect("solved");
            let (residual, product) = errors(&graph, &found);
            assert!(residual < 1e-9 && product < 1e-10, "{count}: {residual:e} {product:e}");
            assert_eq!(found.0.iter().filter(|value| **value > 1.9).count(), count.saturating_sub(700));
        }
        let empty = Csr::new(0, vec![0], Vec::new(), Vec::new()).expect("valid");
        assert!(smallest_laplacian_eigenpairs(&empty, 0, 1e-4, 0).expect("nothing").1.is_empty());
    }

    #[test]
    fn seeds_and_threads() {
        let graph = graph(2000, 4, 1);
        let run = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| smallest_laplacian_eigenpairs(&graph, 12, 1e-4, seed)).expect("converged")
        };
        assert_eq!(run(1, 5), run(3, 5));
        assert_ne!(run(1, 5).1, run(1, 6).1);
    }

    #[test]
    fn bad_input_is_named() {
        let graph = graph(20, 2, 1);
        let message = |count, tolerance| {
            smallest_laplacian_eigenpairs(&graph, count, tolerance, 0).expect_err("invalid").to_string()
        };
        assert!(message(21, 1e-4).ends_with("count = 21 is more than the number of rows, 20"));
        for tolerance in [0.0, -1.0, f64::NAN] {
            assert!(message(2, tolerance).contains("tolerance = "));
        }
        for value in [-1.0, f32::NAN, f32::INFINITY] {
            let bad = Csr::new(2, vec![0, 1, 2], vec![1, 0], vec![value; 2]).expect("shape");
            assert!(NormalisedLaplacian::new(&bad).expect_err("invalid").to_string().contains("a weight is "));
        }
    }
}

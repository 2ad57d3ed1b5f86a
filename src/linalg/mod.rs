//! The one room below the algorithms: `reduce`, `cluster` and `metrics` call it and never see what computes.
//!
//! Dense matrix products and eigenproblems go to libtorch, in 64 bits. Everything that compares points with points,
//! whatever the metric, is one inner loop of our own (`tile`), with vectors of the processor at hand (`simd`); points that
//! are on a CUDA device already are compared there (`tensors`). No result
//! depends on the number of threads: the work is cut into pieces of a fixed size, and what the pieces give is combined in
//! their order.

mod approximate;
mod block;
mod bounds;
mod bridges;
mod cells;
mod columns;
mod dense;
mod distances;
mod few;
mod laplacian;
mod matrix;
mod metric;
mod neighbours;
mod pairs;
mod products;
mod simd;
mod space;
mod sparse;
mod subspace;
mod sums;
mod tensors;
mod tile;

pub use approximate::approximate_neighbours;
pub(crate) use bounds::Assigner;
pub(crate) use bridges::{Floors, Search, search};
pub use columns::{means, variances};
pub use dense::{Eigen, combine, gram_of_rows, scatter, symmetric_eigen};
pub use distances::{Centres, nearest, project, squared_distances};
pub(crate) use few::distances_to_few;
pub use laplacian::{Eigenpairs, NormalisedLaplacian, smallest_laplacian_eigenpairs};
pub use metric::{Metric, UnknownMetric};
pub(crate) use neighbours::nearest_and_floors;
pub use neighbours::{Neighbours, nearest_neighbours, nearest_of};
pub(crate) use products::{add_weighted_rows, row_products};
pub use space::Space;
pub use sparse::Csr;
pub use sums::{Grouping, distance_sums};
pub use tensors::TensorSpace;

use crate::progress::Cancelled;

/// Why a computation could not be done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LinalgError {
    /// Two arguments whose sizes do not belong together.
    #[error("{operation}: {name} has {found} numbers, {expected} are needed")]
    Shape {
        /// The function called.
        operation: &'static str,
        /// The argument at fault.
        name: &'static str,
        /// Its length.
        found: usize,
        /// The length it should have.
        expected: usize,
    },
    /// A matrix that does not fit the memory.
    #[error("{operation}: {bytes} bytes of memory could not be had")]
    Memory {
        /// The function called.
        operation: &'static str,
        /// The size of the matrix.
        bytes: usize,
    },
    /// The computation was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// An iteration ended before it had the precision asked for.
    #[error("{operation} did not converge: after {rounds} rounds the residual is {residual:.1e}, not {tolerance:.1e}")]
    NotConverged {
        /// The function called.
        operation: &'static str,
        /// Rounds made.
        rounds: usize,
        /// The residual reached.
        residual: f64,
        /// The residual asked for.
        tolerance: f64,
    },
    /// The library that computes gave up, for instance for want of memory.
    #[error("{operation} failed: {message}")]
    Backend {
        /// The function called.
        operation: &'static str,
        /// What the library said.
        message: String,
    },
}

/// Plain loops, to be compiled for every kind of processor; `run` is always inlined.
pub(crate) trait Loops {
    /// Runs them.
    fn run(self);
}

/// Runs the loops with the best instructions that this processor has.
pub(crate) fn vectorised<L: Loops>(loops: L) {
    struct Dispatched<L>(L);

    impl<L: Loops> simd::Work for Dispatched<L> {
        type Output = ();

        #[inline(always)]
        fn run<V: simd::Float, const R: usize, const N: usize>(self) {
            self.0.run();
        }
    }

    simd::dispatch(Dispatched(loops));
}

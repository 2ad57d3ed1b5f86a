//! The one room below the algorithms: `reduce`, `cluster` and `metrics` call it and never see what computes.
//!
//! Dense matrix products and eigenproblems go to libtorch, in 64 bits; sums down the columns and distances to a few
//! centres are our own loops, whose results do not depend on the number of threads: the work is cut into pieces of a
//! fixed size, and what the pieces give is combined in their order.

mod columns;
mod dense;
mod distances;

pub use columns::{means, variances};
pub use dense::{Eigen, combine, gram_of_rows, project, scatter, symmetric_eigen};
pub use distances::{Centres, nearest, squared_distances};

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
    /// The library that computes gave up, for instance for want of memory.
    #[error("{operation} failed: {message}")]
    Backend {
        /// The function called.
        operation: &'static str,
        /// What the library said.
        message: String,
    },
}

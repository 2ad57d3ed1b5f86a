//! Other coordinates for the same points: rescaled, or fewer. One method a file.

mod pca;
mod standardise;
#[cfg(test)]
mod tests;
pub mod umap;

pub use pca::{Components, FittedPca, Pca};
pub use standardise::{Standardiser, average_zscore, dimension_correction, l2_normalise, zscore};
pub use umap::{Umap, UmapFit};

use crate::linalg::LinalgError;
use crate::points::PointsError;
use crate::progress::Cancelled;

/// Why points could not be given other coordinates.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ReduceError {
    /// Too few points.
    #[error("points has {rows} rows: at least {needed} are needed")]
    TooFewRows {
        /// Rows given.
        rows: usize,
        /// Rows needed.
        needed: usize,
    },
    /// More components than there are directions, or none.
    #[error("components = {count} is not between 1 and min(rows, columns) = {most}")]
    Count {
        /// Components asked for.
        count: usize,
        /// The most there can be.
        most: usize,
    },
    /// A fraction of the variance that is not one.
    #[error("variance = {0} is not between 0 and 1, both excluded")]
    Fraction(f64),
    /// All points are equal, so there is no variance to explain.
    #[error("variance = {0} was asked for, but all points are equal and have none")]
    NoVariance(f64),
    /// Points of another space than those that were fitted.
    #[error("points has {found} columns, but {expected} columns were fitted")]
    Columns {
        /// Columns given.
        found: usize,
        /// Columns fitted.
        expected: usize,
    },
    /// A parameter outside of its range.
    #[error("{parameter} = {value}: {rule}")]
    Parameter {
        /// The parameter's name.
        parameter: &'static str,
        /// Its value, as text.
        value: String,
        /// What it must be, such as `it must be at least 2`.
        rule: String,
    },
    /// The computation was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// A result that cannot be held in 32 bits.
    #[error(transparent)]
    Points(#[from] PointsError),
    /// The computation failed.
    #[error(transparent)]
    Linalg(#[from] LinalgError),
}

//! Clustering: points in, one label a point out. One algorithm a file.

mod kmeans;
mod plus_plus;
#[cfg(test)]
mod tests;

pub use kmeans::{Init, KMeans, KMeansFit};

use crate::points::PointsError;

/// Why points were not clustered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ClusterError {
    /// More clusters than points, or none.
    #[error("n_clusters = {n_clusters} is not between 1 and the number of points, {rows}")]
    Clusters {
        /// Clusters asked for.
        n_clusters: usize,
        /// Points given.
        rows: usize,
    },
    /// A count that must be at least 1.
    #[error("{parameter} = 0: it must be at least 1")]
    Zero {
        /// The parameter's name.
        parameter: &'static str,
    },
    /// A tolerance that is negative or not a number.
    #[error("tol = {0}: it must be a number that is not negative")]
    Tolerance(f64),
    /// Not one starting centre a cluster.
    #[error("init has {found} centres, but n_clusters = {n_clusters}")]
    InitCount {
        /// Centres given.
        found: usize,
        /// Clusters asked for.
        n_clusters: usize,
    },
    /// Starting centres in another space.
    #[error("init has centres with {found} coordinates, but the points have {columns}")]
    InitColumns {
        /// Coordinates of the centres.
        found: usize,
        /// Coordinates of the points.
        columns: usize,
    },
    /// A starting row that does not exist, or a result that cannot be held in 32 bits.
    #[error(transparent)]
    Points(#[from] PointsError),
}

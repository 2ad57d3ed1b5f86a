//! Clustering: points in, one label a point out. One algorithm a file.

mod affinity_propagation;
mod agglomerative;
mod clusterer;
mod hdbscan;
mod kmeans;
mod louvain;
mod mini_batch;
mod plus_plus;
mod spectral;
#[cfg(test)]
mod tests;

pub use affinity_propagation::{AffinityPropagation, AffinityPropagationFit, Preference};
pub use agglomerative::{AgglomerativeClustering, AgglomerativeFit, Linkage, MATRIX_BYTES, Merge, Tree, linkage};
pub use clusterer::{Clusterer, Clustering};
pub use hdbscan::{Edge, Hdbscan, HdbscanFit, Selection};
pub use kmeans::{Init, KMeans, KMeansFit};
pub use louvain::{Louvain, LouvainFit, LouvainGraph};
pub use mini_batch::MiniBatchKMeans;
pub use spectral::{Affinity, AssignLabels, SpectralClustering, SpectralFit};

use crate::linalg::LinalgError;
use crate::points::PointsError;
use crate::progress::Cancelled;

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
    /// Fewer points than the method can work on.
    #[error("points has {rows} rows: at least {needed} are needed")]
    TooFewRows {
        /// Rows given.
        rows: usize,
        /// Rows needed.
        needed: usize,
    },
    /// A parameter outside of its range.
    #[error("{parameter} = {value}: {rule}")]
    Parameter {
        /// The parameter's name.
        parameter: &'static str,
        /// Its value, as text.
        value: String,
        /// What it must be, such as `it must be at least 1`.
        rule: String,
    },
    /// A computation below failed.
    #[error(transparent)]
    Linalg(#[from] LinalgError),
    /// The computation was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// A starting row that does not exist, or a result that cannot be held in 32 bits.
    #[error(transparent)]
    Points(#[from] PointsError),
}

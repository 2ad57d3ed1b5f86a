//! How good a clustering is: agreement with the truth from labels alone, and shape from points and labels.

mod assignment;
mod contingency;
mod counts;
mod expected;
mod internal;
mod scores;
mod silhouette;
mod supervised;
#[cfg(test)]
mod tests;
mod trustworthiness;

pub use assignment::linear_sum_assignment;
pub use contingency::{Average, Contingency, ContingencyMatrix, Noise};
pub use internal::{ClusterShapes, InternalScores, calinski_harabasz_score, davies_bouldin_score, internal_scores};
pub use scores::{LabelScores, clustered_fraction};
pub use silhouette::{
    silhouette_samples, silhouette_samples_of_many, silhouette_samples_on_device, silhouette_score, silhouette_scores,
};
pub use supervised::{
    adjusted_mutual_info_score, adjusted_rand_score, clustering_accuracy, completeness_score,
    expected_mutual_information, fowlkes_mallows_score, homogeneity_score, mutual_info_score,
    normalized_mutual_info_score, purity_score, rand_score, v_measure_score,
};
pub use trustworthiness::trustworthiness;

use crate::linalg::LinalgError;
use crate::progress::Cancelled;

/// Why labels could not be compared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MetricError {
    /// Not one predicted label for each true one.
    #[error("labels_true has {labels_true} labels, but labels_pred has {labels_pred}")]
    Lengths {
        /// True labels given.
        labels_true: usize,
        /// Predicted labels given.
        labels_pred: usize,
    },
    /// More labels than pairs of them can be counted for.
    #[error("labels_true has {0} labels: at most 2147483647 can be compared")]
    TooMany(usize),
    /// An argument outside of its range.
    #[error("{parameter} = {value}: {rule}")]
    Parameter {
        /// The argument's name.
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
}

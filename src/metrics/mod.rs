//! How well a clustering agrees with the truth: labels in, one number out.

mod contingency;
mod expected;
mod supervised;
#[cfg(test)]
mod tests;

pub use contingency::{Average, Contingency};
pub use supervised::{
    adjusted_mutual_info_score, adjusted_rand_score, completeness_score, expected_mutual_information,
    fowlkes_mallows_score, homogeneity_score, mutual_info_score, normalized_mutual_info_score, purity_score,
    rand_score, v_measure_score,
};

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
}

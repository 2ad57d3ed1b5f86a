//! The scores by their names in scikit-learn. Several scores of the same labels come cheaper from one
//! [`Contingency`].

use super::{Average, Contingency, MetricError};

/// Mutual information adjusted for chance, normalised by the arithmetic mean of the entropies; at most 1, about 0 for
/// independent labellings. Noise, -1, counts as one cluster. See [`Contingency::adjusted_mutual_info`].
///
/// # Errors
/// The labellings differ in length.
pub fn adjusted_mutual_info_score(labels_true: &[i32], labels_pred: &[i32]) -> Result<f64, MetricError> {
    Ok(Contingency::new(labels_true, labels_pred)?.adjusted_mutual_info(Average::Arithmetic))
}

/// Mutual information as a share of the arithmetic mean of the entropies, from 0 to 1.
///
/// # Errors
/// The labellings differ in length.
pub fn normalized_mutual_info_score(labels_true: &[i32], labels_pred: &[i32]) -> Result<f64, MetricError> {
    Ok(Contingency::new(labels_true, labels_pred)?.normalized_mutual_info(Average::Arithmetic))
}

/// Mutual information in nats, 0 or more.
///
/// # Errors
/// The labellings differ in length.
pub fn mutual_info_score(labels_true: &[i32], labels_pred: &[i32]) -> Result<f64, MetricError> {
    Ok(Contingency::new(labels_true, labels_pred)?.mutual_info())
}

/// The mean mutual information, in nats, of random labellings with the same label counts.
///
/// # Errors
/// The labellings differ in length.
pub fn expected_mutual_information(labels_true: &[i32], labels_pred: &[i32]) -> Result<f64, MetricError> {
    Ok(Contingency::new(labels_true, labels_pred)?.expected_mutual_info())
}

/// The Rand index adjusted for chance, from -0.5 to 1, about 0 for independent labellings.
///
/// # Errors
/// The labellings differ in length.
pub fn adjusted_rand_score(labels_true: &[i32], labels_pred: &[i32]) -> Result<f64, MetricError> {
    Ok(Contingency::new(labels_true, labels_pred)?.adjusted_rand())
}

/// The share of pairs of samples on which the labellings agree, from 0 to 1.
///
/// # Errors
/// The labellings differ in length.
pub fn rand_score(labels_true: &[i32], labels_pred: &[i32]) -> Result<f64, MetricError> {
    Ok(Contingency::new(labels_true, labels_pred)?.rand())
}

/// The geometric mean of pairwise precision and recall, from 0 to 1.
///
/// # Errors
/// The labellings differ in length.
pub fn fowlkes_mallows_score(labels_true: &[i32], labels_pred: &[i32]) -> Result<f64, MetricError> {
    Ok(Contingency::new(labels_true, labels_pred)?.fowlkes_mallows())
}

/// How far each cluster holds a single class, from 0 to 1.
///
/// # Errors
/// The labellings differ in length.
pub fn homogeneity_score(labels_true: &[i32], labels_pred: &[i32]) -> Result<f64, MetricError> {
    Ok(Contingency::new(labels_true, labels_pred)?.homogeneity())
}

/// How far each class lies in a single cluster, from 0 to 1.
///
/// # Errors
/// The labellings differ in length.
pub fn completeness_score(labels_true: &[i32], labels_pred: &[i32]) -> Result<f64, MetricError> {
    Ok(Contingency::new(labels_true, labels_pred)?.completeness())
}

/// The harmonic mean of homogeneity and completeness, from 0 to 1.
///
/// # Errors
/// The labellings differ in length.
pub fn v_measure_score(labels_true: &[i32], labels_pred: &[i32]) -> Result<f64, MetricError> {
    Ok(Contingency::new(labels_true, labels_pred)?.v_measure(1.0))
}

/// The share of samples in the most frequent class of their cluster, from 0 to 1.
///
/// # Errors
/// The labellings differ in length.
pub fn purity_score(labels_true: &[i32], labels_pred: &[i32]) -> Result<f64, MetricError> {
    Ok(Contingency::new(labels_true, labels_pred)?.purity())
}

/// The share of samples whose cluster is assigned to their class by the best one-to-one assignment, from 0 to 1. See
/// [`Contingency::hungarian_accuracy`].
///
/// # Errors
/// The labellings differ in length.
pub fn clustering_accuracy(labels_true: &[i32], labels_pred: &[i32]) -> Result<f64, MetricError> {
    Ok(Contingency::new(labels_true, labels_pred)?.hungarian_accuracy())
}

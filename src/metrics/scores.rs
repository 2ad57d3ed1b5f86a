//! Every score of two labellings at once.

use super::contingency::{share, weighted};
use super::{Average, Contingency, MetricError, Noise};

/// What [`Contingency`] tells of two labellings; each field is the method of the same name there, and sums that several
/// need are computed once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelScores {
    /// Adjusted mutual information, by the arithmetic mean of the entropies.
    pub ami: f64,
    /// Normalised mutual information, by the arithmetic mean of the entropies.
    pub nmi: f64,
    /// Mutual information in nats.
    pub mi: f64,
    /// The adjusted Rand index.
    pub ari: f64,
    /// The Rand index.
    pub ri: f64,
    /// The index of Fowlkes and Mallows.
    pub fmi: f64,
    /// How far each cluster holds a single class.
    pub homogeneity: f64,
    /// How far each class lies in a single cluster.
    pub completeness: f64,
    /// The harmonic mean of the two.
    pub v_measure: f64,
    /// The share of samples in the most frequent class of their cluster.
    pub purity: f64,
    /// The share of samples in the cluster assigned to their class one to one.
    pub accuracy: f64,
    /// How many distinct true labels there are.
    pub n_true: usize,
    /// How many distinct predicted labels there are.
    pub n_pred: usize,
}

impl LabelScores {
    /// All scores of two labellings, with noise (predicted label -1) as a cluster or left out. About as much as AMI and
    /// accuracy alone.
    ///
    /// # Errors
    /// The labellings differ in length; more than 2^31 - 1 labels.
    pub fn new(labels_true: &[i32], labels_pred: &[i32], noise: Noise) -> Result<LabelScores, MetricError> {
        Ok(Contingency::with_noise(labels_true, labels_pred, noise)?.scores())
    }
}

impl Contingency {
    /// All scores.
    pub fn scores(&self) -> LabelScores {
        let mi = self.mutual_info();
        let (homogeneity, completeness) = (share(mi, self.entropy_true()), share(mi, self.entropy_pred()));
        LabelScores {
            ami: self.adjusted(mi, Average::Arithmetic),
            nmi: self.normalized(mi, Average::Arithmetic),
            mi,
            ari: self.adjusted_rand(),
            ri: self.rand(),
            fmi: self.fowlkes_mallows(),
            homogeneity,
            completeness,
            v_measure: weighted(homogeneity, completeness, 1.0),
            purity: self.purity(),
            accuracy: self.hungarian_accuracy(),
            n_true: self.classes(),
            n_pred: self.clusters(),
        }
    }
}

/// The share of samples that are in a cluster, whose label is not -1; 1 without samples. O(n).
pub fn clustered_fraction(labels_pred: &[i32]) -> f64 {
    if labels_pred.is_empty() {
        return 1.0;
    }
    labels_pred.iter().filter(|&&label| label != -1).count() as f64 / labels_pred.len() as f64
}

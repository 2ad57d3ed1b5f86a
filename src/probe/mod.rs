//! How well labels can be read off an embedding: the nearest neighbours' vote, and a linear classifier.
//!
//! Both see frozen embeddings, labels of a training part, and labels of a test part. The study's later code also trains
//! a linear layer by stochastic gradient descent on augmented images, with a cosine schedule and a grid of 16 learning
//! rates from 1e-4 to 10 for 256 images, without weight decay. That recipe is not offered: it needs the images and the
//! encoder at every step, and its result depends on the schedule. [`LogisticRegression`] finds the optimum of a stated
//! objective instead.

mod knn;
mod lbfgs;
mod logistic;
mod products;
#[cfg(test)]
mod tests;

pub use knn::{KnnProbe, KnnScore, Weights};
pub use logistic::{LogisticFit, LogisticRegression};

use crate::linalg::LinalgError;
use crate::points::Points;
use crate::progress::Cancelled;

/// Why an embedding was not probed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProbeError {
    /// Not one label a point.
    #[error("{points} has {rows} rows, but {labels} has {found} labels")]
    Lengths {
        /// The argument with the points.
        points: &'static str,
        /// Its rows.
        rows: usize,
        /// The argument with the labels.
        labels: &'static str,
        /// Its length.
        found: usize,
    },
    /// Points of another space than the training points.
    #[error("{points} has {found} columns, but there were {expected} in training")]
    Columns {
        /// The argument at fault.
        points: &'static str,
        /// Its columns.
        found: usize,
        /// Columns of the training points.
        expected: usize,
    },
    /// Nothing to learn from, or nothing to score.
    #[error("{points} has no rows: at least 1 is needed")]
    NoRows {
        /// The argument at fault.
        points: &'static str,
    },
    /// A classifier needs something to tell apart.
    #[error("labels has {0} distinct labels: at least 2 are needed")]
    Classes(usize),
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
}

/// One label a point, and at least one point.
fn check_labels(points: &'static str, given: &Points, labels: &'static str, found: &[i32]) -> Result<(), ProbeError> {
    if given.rows() != found.len() {
        return Err(ProbeError::Lengths { points, rows: given.rows(), labels, found: found.len() });
    }
    if found.is_empty() { Err(ProbeError::NoRows { points }) } else { Ok(()) }
}

/// The labels that occur, ascending, and the number of each label among them.
fn numbered(labels: &[i32]) -> (Vec<i32>, Vec<u32>) {
    let mut classes = labels.to_vec();
    classes.sort_unstable();
    classes.dedup();
    let number = |label: &i32| classes.partition_point(|class| class < label) as u32;
    let numbers = labels.iter().map(number).collect();
    (classes, numbers)
}

/// The share of the labels that were found.
fn share_equal(found: &[i32], labels: &[i32]) -> f64 {
    found.iter().zip(labels).filter(|(found, label)| found == label).count() as f64 / labels.len() as f64
}

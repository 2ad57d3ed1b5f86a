//! Labels against labels, as part of an answer.

use std::path::Path;

use super::answer::Answer;
use super::error::BatchError;
use super::one_of;
use crate::batch_job;
use crate::metrics::{Average, Contingency, MetricError};

/// How labels are compared, see [`batch_job::Comparison`].
#[derive(Clone, Copy)]
pub(super) struct Comparison {
    average: Average,
    remove_noise: bool,
}

impl Comparison {
    pub(super) fn new(asked: &batch_job::Comparison) -> Result<Comparison, BatchError> {
        let averages = [
            ("arithmetic", Average::Arithmetic),
            ("geometric", Average::Geometric),
            ("min", Average::Min),
            ("max", Average::Max),
        ];
        Ok(Comparison {
            average: one_of("--average-method", &asked.average_method, &averages)?,
            remove_noise: one_of("--noise", &asked.noise, &[("cluster", false), ("remove", true)])?,
        })
    }

    /// Every measure, by its name in scikit-learn. `files` are what the error names.
    pub(super) fn compare(self, truth: &[i32], found: &[i32], files: (&Path, &Path)) -> Result<Answer, BatchError> {
        let failed = |source: MetricError| {
            let context = format!("{} and {}", files.0.display(), files.1.display());
            BatchError::Metric { context, source }
        };
        let counted = match self.remove_noise && truth.len() == found.len() {
            true => {
                let kept: Vec<usize> = (0..found.len()).filter(|&at| found[at] != -1).collect();
                let of = |labels: &[i32]| kept.iter().map(|&at| labels[at]).collect::<Vec<i32>>();
                Contingency::new(&of(truth), &of(found))
            }
            false => Contingency::new(truth, found),
        };
        let counted = counted.map_err(failed)?;
        let mut answer = Answer::default();
        answer.put("adjusted_mutual_info_score", &counted.adjusted_mutual_info(self.average));
        answer.put("normalized_mutual_info_score", &counted.normalized_mutual_info(self.average));
        answer.put("mutual_info_score", &counted.mutual_info());
        answer.put("expected_mutual_information", &counted.expected_mutual_info());
        answer.put("adjusted_rand_score", &counted.adjusted_rand());
        answer.put("rand_score", &counted.rand());
        answer.put("fowlkes_mallows_score", &counted.fowlkes_mallows());
        answer.put("homogeneity_score", &counted.homogeneity());
        answer.put("completeness_score", &counted.completeness());
        answer.put("v_measure_score", &counted.v_measure(1.0));
        answer.put("purity_score", &counted.purity());
        answer.put("clustering_accuracy", &counted.hungarian_accuracy());
        answer.put("n_classes", &counted.classes());
        Ok(answer)
    }
}

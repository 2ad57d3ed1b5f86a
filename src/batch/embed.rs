//! `report embed`: a dataset, or images that were preprocessed elsewhere, through an encoder.

use super::answer::Answer;
use super::arrays::{self, Content, Outputs};
use super::error::BatchError;
use super::{costs, one_of};
use crate::batch_job;
use crate::datasets;
use crate::embed::{EmbedOptions, Precision, embed_tensors, embed_with, named_device};
use crate::encoders;
use crate::measure::{Measured, timed};

pub(super) fn run(job: &batch_job::Embed) -> Result<Answer, BatchError> {
    Outputs::check(job.save_labels.iter().map(|path| path.as_path()).chain([job.output.as_path()]))?;
    let precisions = [("f32", Precision::Float32), ("bf16", Precision::BFloat16)];
    let mut options =
        EmbedOptions { precision: one_of("--precision", &job.precision, &precisions)?, ..EmbedOptions::default() };
    if let Some(device) = &job.device {
        options.device = Some(named_device("--device", device)?);
    }
    if let Some(batch) = job.batch {
        options.batch_size = batch;
    }
    let encoder = encoders::load(&job.encoder)?;
    let mut answer = Answer::default();
    answer.put("encoder", &job.encoder);
    let (points, labels, seconds) = match &job.source {
        batch_job::Images::Dataset { name, partition, samples, seed } => {
            let mut dataset = datasets::load(name)?;
            if partition == "train" {
                dataset = dataset.train()?;
            }
            if let Some(samples) = samples {
                dataset = dataset.sample(*samples, *seed)?;
            }
            answer.put("dataset", name);
            answer.put("partition", partition);
            let Measured { value, seconds } = timed(|| embed_with(&dataset, &encoder, &options));
            (value?, Some(dataset.labels().to_vec()), seconds)
        }
        batch_job::Images::Tensors(path) => {
            let (shape, values) = arrays::tensors(path)?;
            let Measured { value, seconds } = timed(|| embed_tensors(&values, shape, &encoder, &options));
            (value?, None, seconds)
        }
    };
    answer.put("n_samples", &points.rows());
    answer.put("n_features", &points.columns());
    let mut outputs = Outputs::default();
    outputs.add(&job.output, Content::Points(points));
    match (&job.save_labels, labels) {
        (Some(path), Some(labels)) => outputs.add(path, Content::Labels(labels)),
        (Some(_), None) => {
            return Err(BatchError::Usage("--save-labels needs a --dataset: tensors have no labels".to_owned()));
        }
        (None, _) => {}
    }
    costs(&mut answer, seconds);
    outputs.write()?;
    Ok(answer)
}

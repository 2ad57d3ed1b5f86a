//! `report embed`: a dataset, or images that were preprocessed elsewhere, through an encoder.

use super::answer::Answer;
use super::arrays::{self, Content, Outputs};
use super::error::BatchError;
use super::{costs, one_of};
use crate::batch_job;
use crate::datasets::{self, Dataset, LoadOptions};
use crate::embed::{EmbedError, EmbedOptions, Precision, embed_tensors, embed_with, named_device, settle};
use crate::encoders::{self, Encoder};
use crate::measure::{Measured, timed};
use crate::points::Points;

pub(super) fn run(job: &batch_job::Embed) -> Result<Answer, BatchError> {
    Outputs::check(Some(&job.output), job.save_labels.as_deref())?;
    let mut options =
        EmbedOptions { precision: one_of("--precision", &job.precision, PRECISIONS)?, ..EmbedOptions::default() };
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
        batch_job::Images::Dataset { name, partition, level, allow_bad, samples, seed } => {
            answer.put("dataset", name);
            answer.put("partition", partition);
            let partition = super::verify::partition(partition);
            let loading = LoadOptions { partition, level: level.clone(), allow_bad: *allow_bad };
            let dataset = datasets::load_with(name, &loading)?;
            answer.put("labels", &dataset.level());
            answer.put("n_bad", &dataset.bad_images().len());
            images(&dataset, *samples, *seed, &encoder, &options, &mut answer)?
        }
        batch_job::Images::Folder { path, samples, seed } => {
            answer.put("images", path);
            images(&datasets::folder(path)?, *samples, *seed, &encoder, &options, &mut answer)?
        }
        batch_job::Images::Tensors(path) => {
            let (shape, values) = arrays::tensors(path)?;
            if options.precision == Precision::Auto {
                let rule = "of tensors, it must be f32 or bf16".to_owned();
                return Err(BatchError::Option { option: "--precision".to_owned(), value: "auto".to_owned(), rule });
            }
            answer.put("precision", &job.precision);
            let Measured { value, seconds } = timed(|| embed_tensors(&values, shape, &encoder, &options));
            (value?, None, seconds)
        }
    };
    answer.put("n_samples", &points.rows());
    answer.put("n_features", &points.columns());
    let mut outputs = Outputs::default();
    outputs.add(
        &job.output,
        match &labels {
            Some(labels) => Content::Labelled(points, labels.clone()),
            None => Content::Points(points),
        },
    );
    match (&job.save_labels, labels) {
        (Some(path), Some(labels)) => outputs.add(path, Content::Labels(labels)),
        (Some(_), None) => {
            return Err(BatchError::Usage(
                "--save-labels needs --dataset or --images: tensors have no labels".to_owned(),
            ));
        }
        (None, _) => {}
    }
    costs(&mut answer, seconds);
    outputs.write()?;
    Ok(answer)
}

const PRECISIONS: &[(&str, Precision)] =
    &[("f32", Precision::Float32), ("bf16", Precision::BFloat16), ("auto", Precision::Auto)];

/// The vectors of a dataset or of so many of its images, their labels, and how long that took.
fn images(
    dataset: &Dataset,
    samples: Option<usize>,
    seed: u64,
    encoder: &Encoder,
    options: &EmbedOptions,
    answer: &mut Answer,
) -> Result<(Points, Option<Vec<i32>>, f64), BatchError> {
    let dataset = match samples {
        Some(samples) => dataset.sample(samples, seed)?,
        None => dataset.clone(),
    };
    let Measured { value, seconds } = timed(|| -> Result<_, EmbedError> {
        let (options, error) = settle(&dataset, encoder, options)?;
        Ok((embed_with(&dataset, encoder, &options)?, options.precision, error))
    });
    let (points, precision, error) = value?;
    let name = PRECISIONS.iter().find(|(_, named)| *named == precision).map_or("", |(name, _)| name);
    answer.put("precision", &name);
    answer.put_some("bf16_relative_error", error.as_ref());
    Ok((points, Some(dataset.labels().to_vec()), seconds))
}

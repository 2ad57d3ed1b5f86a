//! `report score --probe`: how well the first rows of the data predict the labels of the rest.

use super::answer::Answer;
use super::error::BatchError;
use super::parameters::Parameters;
use crate::batch_job;
use crate::linalg::Metric;
use crate::points::Points;
use crate::probe::{KnnProbe, LogisticRegression, ProbeError, Weights};

/// Gives what the probe finds in points with these labels.
pub(super) type Probe = Box<dyn FnOnce(&Points, &[i32]) -> Result<Answer, BatchError>>;

/// Takes its parameters and gives a probe.
type Method = fn(&mut Parameters) -> Result<Probe, BatchError>;

/// The probe that a job asks for, with its parameters.
pub(super) fn prepare(job: &batch_job::Score) -> Result<Option<Probe>, BatchError> {
    let Some(name) = &job.probe else {
        Parameters::new("probe", "none", &job.parameters).finish()?;
        return Ok(None);
    };
    let probes: &[(&str, Method)] = &[("knn", knn), ("linear", linear)];
    let method = super::one_of("--probe", name, probes)?;
    let mut parameters = Parameters::new("probe", name, &job.parameters);
    let probe = method(&mut parameters)?;
    parameters.finish()?;
    Ok(Some(probe))
}

fn knn(parameters: &mut Parameters) -> Result<Probe, BatchError> {
    let train_rows = train_rows(parameters)?;
    let (mut probe, all) = (KnnProbe::default(), !parameters.has("n_neighbors"));
    parameters.set("n_neighbors", &mut probe.k)?;
    parameters.set("temperature", &mut probe.temperature)?;
    let weights = [("dino", Weights::Dino), ("uniform", Weights::Uniform), ("distance", Weights::Distance)];
    parameters.choose("weights", &weights, &mut probe.weights)?;
    // Votes weighed by similarity need angles; scikit-learn's two are Euclidean by default.
    if probe.weights != Weights::Dino {
        probe.metric = Metric::Euclidean;
    }
    parameters.parse("probe_metric", &mut probe.metric)?;
    Ok(Box::new(move |points, labels| {
        let (train, test) = split(points, labels, train_rows)?;
        if all {
            // Of the usual numbers of neighbours those that there are.
            probe.k.retain(|&k| k <= train_rows);
        }
        let scores = probe.score(&train.0, train.1, &test.0, test.1).map_err(failed)?;
        let mut answer = Answer::default();
        let by_k = |value: fn(&crate::probe::KnnScore) -> f64| -> Vec<(String, Option<f64>)> {
            scores.iter().map(|score| (score.k.to_string(), Some(value(score)))).collect()
        };
        answer.put_named("knn_accuracy_score", &by_k(|score| score.accuracy));
        answer.put_named("knn_top_5_accuracy_score", &by_k(|score| score.top5_accuracy));
        Ok(answer)
    }))
}

fn linear(parameters: &mut Parameters) -> Result<Probe, BatchError> {
    let train_rows = train_rows(parameters)?;
    let mut probe = LogisticRegression::default();
    parameters.set("C", &mut probe.c)?;
    parameters.set("tol", &mut probe.tol)?;
    parameters.set("max_iter", &mut probe.max_iter)?;
    Ok(Box::new(move |points, labels| {
        let (train, test) = split(points, labels, train_rows)?;
        let fitted = probe.fit(&train.0, train.1).map_err(failed)?;
        let mut answer = Answer::default();
        answer.put("linear_accuracy_score", &fitted.score(&test.0, test.1).map_err(failed)?);
        answer.put("objective", &fitted.objective);
        answer.put("n_iter", &fitted.n_iter);
        answer.put("converged", &fitted.converged);
        Ok(answer)
    }))
}

fn train_rows(parameters: &mut Parameters) -> Result<usize, BatchError> {
    let mut rows = None;
    parameters.set_some("train_rows", &mut rows)?;
    rows.ok_or_else(|| BatchError::Usage("--probe needs --train-rows: how many rows to learn from".to_owned()))
}

/// Points and their labels.
type Part<'labels> = (Points, &'labels [i32]);

/// The first rows, and the rest.
fn split<'labels>(
    points: &Points,
    labels: &'labels [i32],
    train_rows: usize,
) -> Result<(Part<'labels>, Part<'labels>), BatchError> {
    let rows = points.rows();
    if train_rows == 0 || train_rows >= rows {
        return Err(BatchError::Option {
            option: "--train-rows".to_owned(),
            value: train_rows.to_string(),
            rule: format!("it must be between 1 and the number of rows less one, {}", rows.saturating_sub(1)),
        });
    }
    let part = |range: std::ops::Range<usize>| {
        let values = points.as_slice()[range.start * points.columns()..range.end * points.columns()].to_vec();
        let points = Points::new(range.len(), points.columns(), values);
        let points = points.map_err(|error| BatchError::Internal(error.to_string()))?;
        Ok::<_, BatchError>((points, &labels[range]))
    };
    Ok((part(0..train_rows)?, part(train_rows..rows)?))
}

fn failed(source: ProbeError) -> BatchError {
    BatchError::Probe { source }
}

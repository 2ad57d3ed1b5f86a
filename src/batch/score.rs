//! `report score`: labels against labels, data against labels, and what data tell about labels.

use std::path::Path;

use super::answer::Answer;
use super::arrays;
use super::costs;
use super::error::BatchError;
use super::labels::Comparison;
use crate::batch_job;
use crate::cluster::Clustering;
use crate::linalg::Metric;
use crate::measure::timed;
use crate::metrics::MetricError;
use crate::points::Points;

/// A labelling and its file.
struct Labelling<'job> {
    path: &'job Path,
    labels: Vec<i32>,
}

pub(super) fn run(job: &batch_job::Score) -> Result<Answer, BatchError> {
    let comparison = Comparison::new(&job.comparison)?;
    let metrics: Vec<Metric> = job.metrics.iter().map(|name| metric(name)).collect::<Result<_, _>>()?;
    check(job)?;
    let probe = super::probe::prepare(job)?;
    let truth = match &job.truth {
        Some(path) => Some(Labelling { path, labels: arrays::labels(path)? }),
        None => None,
    };
    let mut found = Vec::new();
    for path in &job.predictions {
        found.push(Labelling { path, labels: arrays::labels(path)? });
    }
    let data = match &job.data {
        Some(path) => Some((path.as_path(), arrays::points(path)?)),
        None => None,
    };
    if let Some((path, points)) = &data {
        let lengths = truth.iter().chain(&found).find(|labelling| labelling.labels.len() != points.rows());
        if let Some(Labelling { path: labels, labels: found }) = lengths {
            let message = format!("has {} labels, but {} has {} rows", found.len(), path.display(), points.rows());
            return Err(BatchError::Array { path: labels.to_path_buf(), message });
        }
    }
    let work = || measure(truth.as_ref(), &found, data.as_ref().map(|(_, points)| points), &metrics, comparison);
    let measured = timed(work);
    let mut runs = measured.value?;
    let mut answer = Answer::default();
    answer.put_some("n_samples", truth.iter().chain(&found).map(|labelling| labelling.labels.len()).next().as_ref());
    if runs.len() == 1 {
        answer.append(runs.remove(0));
    } else if !runs.is_empty() {
        answer.put_list("runs", &runs);
    }
    let mut seconds = measured.seconds;
    if let (Some(probe), Some(truth), Some((_, points))) = (probe, &truth, &data) {
        let probed = timed(|| probe(points, &truth.labels));
        answer.append(probed.value?);
        seconds += probed.seconds;
    }
    costs(&mut answer, seconds);
    Ok(answer)
}

/// What belongs together was given together.
fn check(job: &batch_job::Score) -> Result<(), BatchError> {
    let wrong = |message: &str| Err(BatchError::Usage(message.to_owned()));
    match (&job.truth, &job.data) {
        _ if job.predictions.is_empty() && job.probe.is_none() => {
            wrong("--pred is needed: labels to be measured, or --probe with --data and --truth")
        }
        (None, None) => wrong("--truth or --data is needed: what the labels of --pred are measured against"),
        (None, _) | (_, None) if job.probe.is_some() => wrong("--probe needs --data and --truth"),
        (_, None) if !job.metrics.is_empty() => wrong("--metric needs --data: it is the distance of the silhouette"),
        _ => Ok(()),
    }
}

fn metric(name: &str) -> Result<Metric, BatchError> {
    name.parse().map_err(|error: crate::linalg::UnknownMetric| BatchError::Usage(format!("--{error}")))
}

/// One answer for each labelling that was found.
fn measure(
    truth: Option<&Labelling>,
    found: &[Labelling],
    data: Option<&Points>,
    metrics: &[Metric],
    comparison: Comparison,
) -> Result<Vec<Answer>, BatchError> {
    let main = [Metric::Euclidean];
    let metrics = if metrics.is_empty() { main.as_slice() } else { metrics };
    let silhouettes = match data {
        Some(points) => silhouettes(points, found, metrics)?,
        None => Vec::new(),
    };
    let mut answers = Vec::new();
    for (at, labelling) in found.iter().enumerate() {
        let mut answer = Answer::default();
        answer.put("pred", &labelling.path.to_string_lossy());
        let clustering = Clustering::from(labelling.labels.clone());
        answer.put("n_clusters", &clustering.n_clusters());
        answer.put("clustered_fraction", &clustering.clustered_fraction());
        if let Some(truth) = truth {
            answer.append(comparison.compare(&truth.labels, &labelling.labels, (truth.path, labelling.path))?);
        }
        if let Some(points) = data {
            let of_metric = |by_labelling: &Vec<Option<f64>>| by_labelling[at];
            answer.put("silhouette_score", &silhouettes.first().and_then(of_metric));
            if metrics.len() > 1 {
                let named = metrics.iter().zip(&silhouettes).map(|(metric, values)| (metric.to_string(), values[at]));
                answer.put_named("silhouette_scores", &named.collect::<Vec<_>>());
            }
            answer.append(shapes(points, labelling)?);
        }
        answers.push(answer);
    }
    Ok(answers)
}

/// Whether scores of points and labels are defined: from 2 to n - 1 distinct labels. Says so if not.
fn is_defined(labelling: &Labelling) -> bool {
    let mut distinct = labelling.labels.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let defined = distinct.len() >= 2 && distinct.len() < labelling.labels.len();
    if !defined {
        eprintln!(
            "{}: {} distinct labels of {} samples: silhouette_score, davies_bouldin_score and \
             calinski_harabasz_score are defined for 2 to n - 1, so they are null",
            labelling.path.display(),
            distinct.len(),
            labelling.labels.len()
        );
    }
    defined
}

/// The silhouette by metric and labelling: all labellings in one pass over the distances of a metric.
fn silhouettes(points: &Points, found: &[Labelling], metrics: &[Metric]) -> Result<Vec<Vec<Option<f64>>>, BatchError> {
    let defined: Vec<bool> = found.iter().map(is_defined).collect();
    let labellings: Vec<&[i32]> =
        found.iter().zip(&defined).filter(|(_, defined)| **defined).map(|(found, _)| found.labels.as_slice()).collect();
    let mut by_metric = Vec::new();
    for &metric in metrics {
        let scores =
            crate::metrics::silhouette_scores(points, &labellings, metric).map_err(failed("silhouette_score"))?;
        let mut scores = scores.into_iter();
        by_metric.push(defined.iter().map(|&defined| if defined { scores.next() } else { None }).collect());
    }
    Ok(by_metric)
}

/// Davies-Bouldin and Calinski-Harabasz.
fn shapes(points: &Points, labelling: &Labelling) -> Result<Answer, BatchError> {
    let scores = match crate::metrics::internal_scores(points, &labelling.labels) {
        Ok(scores) => Some(scores),
        // Not defined for these labels, which has been said.
        Err(MetricError::Parameter { .. }) => None,
        Err(error) => return Err(failed("davies_bouldin_score")(error)),
    };
    let mut answer = Answer::default();
    answer.put("davies_bouldin_score", &scores.map(|scores| scores.davies_bouldin));
    answer.put("calinski_harabasz_score", &scores.map(|scores| scores.calinski_harabasz));
    Ok(answer)
}

fn failed(score: &str) -> impl Fn(MetricError) -> BatchError {
    move |source| BatchError::Metric { context: score.to_owned(), source }
}

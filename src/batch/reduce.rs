//! `report reduce`: other coordinates for points.

use super::answer::Answer;
use super::arrays::{self, Content, Outputs};
use super::error::BatchError;
use super::parameters::Parameters;
use super::{costs, one_of};
use crate::batch_job::{self, Saved};
use crate::linalg::{self, Metric, Space};
use crate::measure::{Measured, timed};
use crate::points::Points;
use crate::reduce::umap::{Init, Umap};
use crate::reduce::{self, Components, Pca, ReduceError};

/// What a method gives: the main result, further ones, and numbers.
struct Reduced {
    content: Content,
    saved: Vec<(Saved, Content)>,
    answer: Answer,
    seconds: f64,
}

pub(super) fn run(job: &batch_job::Reduce) -> Result<Answer, BatchError> {
    let output = Some(job.output.as_path());
    let (points, others) = if job.method == "knn-graph" { (None, output) } else { (output, None) };
    Outputs::check(points, job.save.iter().map(|(_, path)| path.as_path()).chain(others))?;
    let methods: &[(&str, Method)] = &[
        ("umap", umap),
        ("pca", pca),
        ("zscore", zscore),
        ("average-zscore", average_zscore),
        ("l2", l2),
        ("knn-graph", knn_graph),
    ];
    let method = one_of("--method", &job.method, methods)?;
    let mut parameters = Parameters::new("method", &job.method, &job.parameters);
    let compute = method(&mut parameters)?;
    parameters.finish()?;
    let points = arrays::points(&job.input)?;
    let mut answer = Answer::default();
    answer.put("method", &job.method);
    answer.put("n_samples", &points.rows());
    answer.put("n_features", &points.columns());
    let Reduced { content, mut saved, answer: details, seconds } = compute(points)?;
    let mut outputs = Outputs::default();
    outputs.add(&job.output, content);
    for (what, path) in &job.save {
        let Some(at) = saved.iter().position(|(saved, _)| saved == what) else {
            return Err(BatchError::NotAResult { what: *what, path: path.clone(), method: job.method.clone() });
        };
        outputs.add(path, saved.swap_remove(at).1);
    }
    answer.append(details);
    costs(&mut answer, seconds);
    outputs.write()?;
    Ok(answer)
}

/// Takes its parameters and gives what has to be done with the points.
type Method = fn(&mut Parameters) -> Result<Compute, BatchError>;
type Compute = Box<dyn FnOnce(Points) -> Result<Reduced, BatchError>>;

fn pca(parameters: &mut Parameters) -> Result<Compute, BatchError> {
    let (mut count, mut variance) = (None, None);
    parameters.set_some("n_components", &mut count)?;
    parameters.set_some("variance", &mut variance)?;
    let components = match (count, variance) {
        (Some(_), Some(_)) => {
            return Err(BatchError::Usage("--n-components and --variance exclude each other".to_owned()));
        }
        (Some(count), None) => Components::Count(count),
        (None, Some(fraction)) => Components::Variance(fraction),
        (None, None) => Components::All,
    };
    Ok(Box::new(move |points| {
        let work = || {
            let fitted = Pca { components }.fit(&points)?;
            let transformed = fitted.transform(&points)?;
            Ok((fitted, transformed))
        };
        let Measured { value, seconds } = timed(work);
        let (fitted, transformed) = value.map_err(failed("pca"))?;
        let mut answer = Answer::default();
        answer.put("n_components", &fitted.components.len());
        answer.put("explained_variance", &fitted.explained_variance);
        answer.put("explained_variance_ratio", &fitted.explained_variance_ratio);
        answer.put("singular_values", &fitted.singular_values);
        let axes = Content::Table(points.columns(), fitted.components.concat());
        Ok(Reduced { content: Content::Points(transformed), saved: vec![(Saved::Components, axes)], answer, seconds })
    }))
}

fn zscore(_: &mut Parameters) -> Result<Compute, BatchError> {
    Ok(Box::new(|points| rescaled("zscore", || reduce::zscore(&points))))
}

fn average_zscore(_: &mut Parameters) -> Result<Compute, BatchError> {
    Ok(Box::new(|points| rescaled("average-zscore", || reduce::average_zscore(&points))))
}

fn l2(_: &mut Parameters) -> Result<Compute, BatchError> {
    Ok(Box::new(|points| rescaled("l2", || reduce::l2_normalise(&points))))
}

fn umap(parameters: &mut Parameters) -> Result<Compute, BatchError> {
    let mut settings = Umap::default();
    parameters.set("n_components", &mut settings.n_components)?;
    parameters.set("n_neighbors", &mut settings.n_neighbors)?;
    parameters.parse("metric", &mut settings.metric)?;
    parameters.set("min_dist", &mut settings.min_dist)?;
    parameters.set("spread", &mut settings.spread)?;
    parameters.set_some("n_epochs", &mut settings.n_epochs)?;
    parameters.set("learning_rate", &mut settings.learning_rate)?;
    parameters.set("repulsion_strength", &mut settings.repulsion_strength)?;
    parameters.set("negative_sample_rate", &mut settings.negative_sample_rate)?;
    parameters.set("set_op_mix_ratio", &mut settings.set_op_mix_ratio)?;
    parameters.set("local_connectivity", &mut settings.local_connectivity)?;
    parameters.choose("init", &[("spectral", Init::Spectral), ("random", Init::Random)], &mut settings.init)?;
    parameters.set("seed", &mut settings.seed)?;
    Ok(Box::new(move |points| {
        let Measured { value, seconds } = timed(|| settings.fit(&points));
        let fitted = value.map_err(failed("umap"))?;
        let mut answer = Answer::default();
        answer.put("n_components", &fitted.embedding.columns());
        answer.put("a", &fitted.a);
        answer.put("b", &fitted.b);
        let mut edges = Vec::with_capacity(3 * fitted.graph.values.len());
        for row in 0..fitted.graph.rows {
            let (columns, weights) = fitted.graph.row(row);
            for (&column, &weight) in columns.iter().zip(weights) {
                edges.extend([row as f64, f64::from(column), f64::from(weight)]);
            }
        }
        let saved = vec![(Saved::Graph, Content::Table(3, edges))];
        Ok(Reduced { content: Content::Points(fitted.embedding), saved, answer, seconds })
    }))
}

/// Points of the same shape.
fn rescaled(method: &str, work: impl FnOnce() -> Result<Points, ReduceError>) -> Result<Reduced, BatchError> {
    let Measured { value, seconds } = timed(work);
    let points = value.map_err(failed(method))?;
    Ok(Reduced { content: Content::Points(points), saved: Vec::new(), answer: Answer::default(), seconds })
}

fn knn_graph(parameters: &mut Parameters) -> Result<Compute, BatchError> {
    let (mut n_neighbors, mut metric, mut approximate, mut seed) = (5_usize, Metric::Euclidean, false, 0);
    parameters.set("n_neighbors", &mut n_neighbors)?;
    parameters.parse("metric", &mut metric)?;
    parameters.choose("algorithm", &[("exact", false), ("approximate", true)], &mut approximate)?;
    parameters.set("seed", &mut seed)?;
    Ok(Box::new(move |points| {
        let most = points.rows().saturating_sub(1);
        if n_neighbors == 0 || n_neighbors > most {
            return Err(BatchError::Option {
                option: "--n-neighbors".to_owned(),
                value: n_neighbors.to_string(),
                rule: format!("it must be between 1 and the number of other points, {most}"),
            });
        }
        let work = || {
            let space = Space::new(&points, metric)?;
            match approximate {
                true => linalg::approximate_neighbours(&space, n_neighbors, seed),
                false => linalg::nearest_neighbours(&space, n_neighbors),
            }
        };
        let Measured { value, seconds } = timed(work);
        let found = value?;
        let mut answer = Answer::default();
        answer.put("n_neighbors", &n_neighbors);
        answer.put("metric", &metric.to_string());
        let distances = Points::new(points.rows(), found.k, found.distances)
            .map_err(|error| BatchError::Internal(format!("knn-graph: {error}")))?;
        Ok(Reduced {
            content: Content::Rows(found.k, found.indices),
            saved: vec![(Saved::Distances, Content::Points(distances))],
            answer,
            seconds,
        })
    }))
}

fn failed(method: &str) -> impl Fn(ReduceError) -> BatchError {
    move |source| BatchError::Reduce { context: method.to_owned(), source }
}

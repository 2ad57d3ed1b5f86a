//! `report cluster`: finds clusters, and compares them with the truth.

use std::path::Path;

use super::answer::Answer;
use super::arrays::{self, Content, Outputs};
use super::error::BatchError;
use super::labels::Comparison;
use super::parameters::Parameters;
use super::{costs, one_of};
use crate::batch_job::{self, Saved};
use crate::cluster::{
    AffinityPropagation, AgglomerativeClustering, AssignLabels, Clusterer, Clustering, Hdbscan, Init, KMeans, Louvain,
    LouvainGraph, MiniBatchKMeans, Preference, Selection, SpectralClustering,
};
use crate::measure::timed;
use crate::metrics::MetricError;

pub(super) fn run(job: &batch_job::Cluster) -> Result<Answer, BatchError> {
    Outputs::check(None, job.save.iter().map(|(_, path)| path.as_path()).chain(job.output.as_deref()))?;
    let comparison = Comparison::new(&job.comparison)?;
    let clusterer = clusterer(job)?;
    let points = arrays::points(&job.input)?;
    let truth = match &job.truth {
        Some(path) => Some((path.as_path(), truth(path, points.rows(), &job.input)?)),
        None => None,
    };
    let fitted = timed(|| clusterer.fit(&points));
    let failed = |source| BatchError::Cluster { context: job.method.clone(), source };
    let mut found = fitted.value.map_err(failed)?;
    let mut outputs = Outputs::default();
    for (what, path) in &job.save {
        let Some(content) = saved(*what, &mut found) else {
            return Err(BatchError::NotAResult { what: *what, path: path.clone(), method: job.method.clone() });
        };
        outputs.add(path, content);
    }
    let mut answer = Answer::default();
    answer.put("method", clusterer.name());
    answer.put("n_samples", &points.rows());
    answer.put("n_features", &points.columns());
    describe(&mut answer, &found);
    if let Some((path, truth)) = &truth {
        answer.append(comparison.compare(truth, &found.labels, (path, &job.input))?);
    }
    costs(&mut answer, fitted.seconds);
    if let Some(path) = &job.output {
        outputs.add(path, Content::Labels(found.labels));
    }
    outputs.write()?;
    Ok(answer)
}

/// The true labels, one a row.
fn truth(path: &Path, rows: usize, input: &Path) -> Result<Vec<i32>, BatchError> {
    let truth = arrays::labels(path)?;
    if truth.len() == rows {
        return Ok(truth);
    }
    // Said before an hour of clustering, not after it.
    let context = format!("{} for the {rows} rows of {}", path.display(), input.display());
    let source = MetricError::Lengths { labels_true: truth.len(), labels_pred: rows };
    Err(BatchError::Metric { context, source })
}

fn describe(answer: &mut Answer, found: &Clustering) {
    answer.put("n_clusters", &found.n_clusters());
    answer.put("clustered_fraction", &found.clustered_fraction());
    answer.put_some("n_iter", found.n_iter.as_ref());
    answer.put_some("inertia", found.inertia.as_ref());
    answer.put_some("converged", found.converged.as_ref());
    answer.put_some("cluster_centers_indices", found.cluster_centers_indices.as_ref());
    answer.put_some("mst_total_weight", found.spanning_tree_weight.as_ref());
    answer.put_some("modularity", found.modularity.as_ref());
    answer.put_some("eigenvalues", found.eigenvalues.as_ref());
}

/// Takes a further result, if there is such a one.
fn saved(what: Saved, found: &mut Clustering) -> Option<Content> {
    match what {
        Saved::Centers => found.centers.take().map(Content::Points),
        Saved::Probabilities => found.probabilities.take().map(Content::Numbers),
        Saved::Linkage => found.tree.take().map(|tree| {
            let row = |merge: &crate::cluster::Merge| {
                [merge.first as f64, merge.second as f64, merge.height, merge.size as f64]
            };
            Content::Table(4, tree.merges().iter().flat_map(row).collect())
        }),
        _ => None,
    }
}

/// Takes its parameters and gives a clusterer.
type Method = fn(&mut Parameters) -> Result<Clusterer, BatchError>;

/// The clusterer that a job asks for.
fn clusterer(job: &batch_job::Cluster) -> Result<Clusterer, BatchError> {
    let methods: &[(&str, Method)] = &[
        ("kmeans", kmeans),
        ("minibatch-kmeans", mini_batch_kmeans),
        ("agglomerative", agglomerative),
        ("spectral", spectral),
        ("affinity-propagation", affinity_propagation),
        ("hdbscan", hdbscan),
        ("louvain", louvain),
    ];
    let method = one_of("--method", &job.method, methods)?;
    let mut parameters = Parameters::new("method", &job.method, &job.parameters);
    let clusterer = method(&mut parameters)?;
    parameters.finish()?;
    Ok(clusterer)
}

fn kmeans(parameters: &mut Parameters) -> Result<Clusterer, BatchError> {
    let mut settings = KMeans { init: init(parameters)?, ..KMeans::default() };
    settings.n_clusters = given_clusters(&settings.init).unwrap_or(settings.n_clusters);
    parameters.set("n_clusters", &mut settings.n_clusters)?;
    parameters.set("n_init", &mut settings.n_init)?;
    parameters.set("max_iter", &mut settings.max_iter)?;
    parameters.set("tol", &mut settings.tol)?;
    parameters.set("seed", &mut settings.seed)?;
    Ok(Clusterer::KMeans(settings))
}

fn mini_batch_kmeans(parameters: &mut Parameters) -> Result<Clusterer, BatchError> {
    let mut settings = MiniBatchKMeans { init: init(parameters)?, ..MiniBatchKMeans::default() };
    settings.n_clusters = given_clusters(&settings.init).unwrap_or(settings.n_clusters);
    parameters.set("n_clusters", &mut settings.n_clusters)?;
    parameters.set("batch_size", &mut settings.batch_size)?;
    parameters.set("max_iter", &mut settings.max_iter)?;
    parameters.set("n_init", &mut settings.n_init)?;
    parameters.set("tol", &mut settings.tol)?;
    parameters.set_some("max_no_improvement", &mut settings.max_no_improvement)?;
    parameters.set("reassignment_ratio", &mut settings.reassignment_ratio)?;
    parameters.set("seed", &mut settings.seed)?;
    Ok(Clusterer::MiniBatchKMeans(settings))
}

fn agglomerative(parameters: &mut Parameters) -> Result<Clusterer, BatchError> {
    let mut settings = AgglomerativeClustering::default();
    parameters.set_some("distance_threshold", &mut settings.distance_threshold)?;
    if settings.distance_threshold.is_some() {
        settings.n_clusters = None;
    }
    parameters.set_some("n_clusters", &mut settings.n_clusters)?;
    parameters.parse("linkage", &mut settings.linkage)?;
    parameters.parse("metric", &mut settings.metric)?;
    Ok(Clusterer::Agglomerative(settings))
}

fn spectral(parameters: &mut Parameters) -> Result<Clusterer, BatchError> {
    let mut settings = SpectralClustering::default();
    parameters.set("n_clusters", &mut settings.n_clusters)?;
    parameters.set_some("n_components", &mut settings.n_components)?;
    parameters.set("n_neighbors", &mut settings.n_neighbors)?;
    parameters.parse("metric", &mut settings.metric)?;
    let choices = [("cluster_qr", AssignLabels::ClusterQr), ("kmeans", AssignLabels::KMeans)];
    parameters.choose("assign_labels", &choices, &mut settings.assign_labels)?;
    parameters.set("n_init", &mut settings.n_init)?;
    parameters.set("seed", &mut settings.seed)?;
    Ok(Clusterer::Spectral(settings))
}

fn affinity_propagation(parameters: &mut Parameters) -> Result<Clusterer, BatchError> {
    let mut settings = AffinityPropagation::default();
    parameters.set("damping", &mut settings.damping)?;
    parameters.set("max_iter", &mut settings.max_iter)?;
    parameters.set("convergence_iter", &mut settings.convergence_iter)?;
    if let Some(text) = parameters.text("preference") {
        settings.preference = match text.parse() {
            Ok(value) => Preference::Value(value),
            Err(_) if text == "median" => Preference::Median,
            Err(_) if text.contains('.') => Preference::PerPoint(arrays::numbers_in(Path::new(&text))?),
            Err(_) => {
                let rule = "it must be median, a number, or an .npy file with a number for each point".to_owned();
                return Err(BatchError::Option { option: "--preference".to_owned(), value: text, rule });
            }
        };
    }
    parameters.set("seed", &mut settings.seed)?;
    Ok(Clusterer::AffinityPropagation(settings))
}

fn hdbscan(parameters: &mut Parameters) -> Result<Clusterer, BatchError> {
    let mut settings = Hdbscan::default();
    parameters.set("min_cluster_size", &mut settings.min_cluster_size)?;
    parameters.set_some("min_samples", &mut settings.min_samples)?;
    parameters.set("cluster_selection_epsilon", &mut settings.cluster_selection_epsilon)?;
    parameters.set_some("max_cluster_size", &mut settings.max_cluster_size)?;
    parameters.parse("metric", &mut settings.metric)?;
    parameters.set("alpha", &mut settings.alpha)?;
    let choices = [("eom", Selection::Eom), ("leaf", Selection::Leaf)];
    parameters.choose("cluster_selection_method", &choices, &mut settings.cluster_selection_method)?;
    parameters.set("allow_single_cluster", &mut settings.allow_single_cluster)?;
    Ok(Clusterer::Hdbscan(settings))
}

fn louvain(parameters: &mut Parameters) -> Result<Clusterer, BatchError> {
    let (mut settings, mut n_neighbors) = (Louvain::default(), None);
    parameters.set_some("n_neighbors", &mut n_neighbors)?;
    if let Some(count) = n_neighbors {
        settings.graph = LouvainGraph::Neighbors(count);
    }
    parameters.parse("metric", &mut settings.metric)?;
    parameters.set("resolution", &mut settings.resolution)?;
    parameters.set("threshold", &mut settings.threshold)?;
    parameters.set("seed", &mut settings.seed)?;
    Ok(Clusterer::Louvain(settings))
}

/// Where K-Means starts: `k-means++`, or what a file says.
fn init(parameters: &mut Parameters) -> Result<Init, BatchError> {
    match parameters.text("init").as_deref() {
        None | Some("k-means++") => Ok(Init::PlusPlus),
        Some(path) if path.contains('.') => arrays::init(Path::new(path)),
        Some(other) => Err(BatchError::Option {
            option: "--init".to_owned(),
            value: other.to_owned(),
            rule: "it must be k-means++, or a file of centres or of rows, .npy or .parquet".to_owned(),
        }),
    }
}

/// As many clusters as there are starts.
fn given_clusters(init: &Init) -> Option<usize> {
    match init {
        Init::PlusPlus => None,
        Init::Rows(rows) => Some(rows.len()),
        Init::Centers(centres) => Some(centres.rows()),
    }
}

//! `report embed`, `reduce`, `cluster` and `score`: takes the arguments, and has the library do the work.
//!
//! The library is loaded, not linked: only these commands pay for libtorch.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use libloading::{Library, Symbol};
use serde::Serialize;
use serde_json::Value;

use crate::batch_job::{
    self, CLUSTERERS, Cancel, DoJob, Given, Images, Job, PARTITIONS, PRECISIONS, PROBES, REDUCERS, Saved,
};
use crate::signals;
use crate::terminal;

/// How often it is looked whether a signal has come.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a computation has to end after a signal. Nothing is half-written then: files are renamed into place.
const PATIENCE: Duration = Duration::from_secs(5);

/// Does a job in the library and prints its answer; gives the exit code.
pub fn run(library: &Path, job: &Job) -> Result<u8> {
    let job = serde_json::to_vec(job).context("the arguments cannot be passed on")?;
    #[allow(unsafe_code, reason = "the program does not link the library")]
    // SAFETY: it is the library that was built with this program; its initialisers and libtorch's depend on nothing here.
    let library = unsafe { Library::new(library) }
        .with_context(|| format!("{} cannot be loaded: run `make build`", library.display()))?;
    let library: &Library = Box::leak(Box::new(library));
    let (do_job, cancel) = functions(library)?;
    let finished = AtomicBool::new(false);
    let mut text = String::new();
    let code = std::thread::scope(|scope| {
        scope.spawn(|| watch(cancel, &finished));
        let context: *mut String = &mut text;
        #[allow(unsafe_code, reason = "the library is called through C's calling convention")]
        // SAFETY: the job's bytes and the text outlive the call; `take_answer` is what `context` is for.
        let code = unsafe { do_job(job.as_ptr(), job.len(), take_answer, context.cast()) };
        finished.store(true, Ordering::Relaxed);
        code
    });
    signals::check()?;
    match code {
        batch_job::DONE => terminal::print(&format!("{}\n", terminal::clean(&text))),
        _ => eprintln!("error: {}", terminal::clean(&text)),
    }
    Ok(code)
}

fn functions(library: &'static Library) -> Result<(DoJob, Cancel)> {
    let differs = "the library is not of this program: run `make build`";
    #[allow(unsafe_code, reason = "functions are found by their names")]
    // SAFETY: these are the types of these functions, which both halves take from `batch_job`.
    let (do_job, cancel): (Symbol<DoJob>, Symbol<Cancel>) =
        unsafe { (library.get(batch_job::DO_JOB).context(differs)?, library.get(batch_job::CANCEL).context(differs)?) };
    Ok((*do_job, *cancel))
}

/// Keeps the answer in the string that `context` points to.
#[allow(unsafe_code, reason = "the library calls this through C's calling convention")]
unsafe extern "C" fn take_answer(context: *mut batch_job::Text, text: *const u8, length: usize) {
    // SAFETY: `run` passes a string that nothing else touches meanwhile, and the library passes a text with its length.
    let (kept, text) = unsafe { (&mut *context.cast::<String>(), std::slice::from_raw_parts(text, length)) };
    *kept = String::from_utf8_lossy(text).into_owned();
}

/// Waits for the end of the job; on a signal, has the library stop, and ends the program itself if that takes too long.
fn watch(cancel: Cancel, finished: &AtomicBool) {
    let mut asked: Option<Instant> = None;
    while !finished.load(Ordering::Relaxed) {
        if let Err(signals::Interrupted(signal)) = signals::check() {
            let asked = *asked.get_or_insert_with(|| {
                cancel();
                Instant::now()
            });
            if asked.elapsed() > PATIENCE {
                eprintln!("\ninterrupted");
                std::process::exit(128 + signal as i32);
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// `report embed`
#[derive(Debug, Args)]
pub struct EmbedArguments {
    #[command(flatten)]
    source: EmbedSource,
    /// Which of its images: those that the study evaluates (test), or the training images
    #[arg(long, value_name = "PARTITION", default_value = "test", value_parser = PARTITIONS.to_vec())]
    partition: String,
    /// Which kind of its labels [default: the study's]
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,
    /// The share of its images that may be bad, which are left out then
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = share)]
    allow_bad: f64,
    /// So many of them, drawn with the seed, each class with its share [default: all]
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
    /// The seed of that choice
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// The encoder, by name; `report encoders` lists them
    #[arg(long, value_name = "NAME")]
    encoder: String,
    /// Where the network runs [default: the first GPU, or else the processor]
    #[arg(long, value_name = "auto|cpu|cuda:N")]
    device: Option<String>,
    /// Images that are taken together: a GPU takes them at once, a processor a few at a time [default: 64]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Numbers that the network computes with; auto takes bf16 where the device has it and vectors stay within 2 %
    #[arg(long, value_name = "PRECISION", default_value = "f32", value_parser = PRECISIONS.to_vec())]
    precision: String,
    /// Where the vectors go, a row an image: `.npy`, `.parquet`, or `.npz` with the labels beside them
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Where the labels of the dataset go
    #[arg(long, value_name = "FILE")]
    save_labels: Option<PathBuf>,
}

/// Where the images come from.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct EmbedSource {
    /// A dataset whose images are embedded, by name
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// A folder of image files, each subfolder a class
    #[arg(long, value_name = "FOLDER")]
    images: Option<PathBuf>,
    /// Images that are preprocessed already: `.npy`, n x 3 x height x width
    #[arg(long, value_name = "FILE")]
    tensors: Option<PathBuf>,
}

impl From<EmbedArguments> for Job {
    fn from(arguments: EmbedArguments) -> Job {
        let EmbedArguments { source, partition, level, allow_bad, samples, seed, encoder, device, batch, .. } =
            arguments;
        let source = match source {
            EmbedSource { tensors: Some(path), .. } => Images::Tensors(path),
            EmbedSource { images: Some(path), .. } => Images::Folder { path, samples, seed },
            EmbedSource { dataset, .. } => {
                let name = dataset.unwrap_or_default();
                Images::Dataset { name, partition, level, allow_bad, samples, seed }
            }
        };
        let EmbedArguments { precision, output, save_labels, .. } = arguments;
        Job::Embed(batch_job::Embed { source, encoder, device, batch, precision, output, save_labels })
    }
}

/// `report datasets verify`
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// The dataset
    name: String,
    /// Which of its images: those that the study evaluates (test), or the training images
    #[arg(long, value_name = "PARTITION", default_value = "test", value_parser = PARTITIONS.to_vec())]
    partition: String,
    /// Which kind of its labels [default: the study's]
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,
    /// The share of its images that may be bad
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = share)]
    allow_bad: f64,
    /// Where the sheet of samples goes, an SVG file [default: output/datasets/NAME.svg]
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
}

impl From<VerifyArguments> for Job {
    fn from(arguments: VerifyArguments) -> Job {
        let VerifyArguments { name, partition, level, allow_bad, sheet } = arguments;
        let sheet = sheet.unwrap_or_else(|| Path::new("output/datasets").join(format!("{name}.svg")));
        Job::Verify(batch_job::Verify { name, partition, level, allow_bad, sheet })
    }
}

/// A share, from 0 to 1 or in percent.
fn share(text: &str) -> Result<f64, String> {
    let (digits, unit) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, 100.0));
    let share = digits.trim().parse::<f64>().map_err(|_| format!("`{text}` is no number"))? / unit;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("expected a share from 0 to 1, or such as 5%".to_owned()) }
}

/// `report reduce`
#[derive(Debug, Args)]
pub struct ReduceArguments {
    /// The points, a row each: `.npy`; Parquet with a column for each dimension or one column of lists; `embeddings` in `.npz`
    input: PathBuf,
    /// How
    #[arg(long, value_name = "METHOD", value_parser = REDUCERS.to_vec())]
    method: String,
    /// Where the result goes, `.npy`, `.npz` or `.parquet`; of knn-graph the rows of the neighbours
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// pca: write the principal axes, a row each
    #[arg(long, value_name = "FILE")]
    save_components: Option<PathBuf>,
    /// knn-graph: write the distances to the neighbours
    #[arg(long, value_name = "FILE")]
    save_distances: Option<PathBuf>,
    /// umap: write the edges of the fuzzy graph: row, column, weight
    #[arg(long, value_name = "FILE")]
    save_graph: Option<PathBuf>,
    #[command(flatten)]
    parameters: ReduceParameters,
}

#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = "Parameters, by their names in scikit-learn and umap-learn")]
struct ReduceParameters {
    /// umap, pca: dimensions of the result
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true)]
    n_components: Option<u64>,
    /// pca: keep as many components as exceed this share of the variance
    #[arg(long, value_name = "SHARE", value_parser = number, allow_negative_numbers = true)]
    variance: Option<f64>,
    /// umap, knn-graph: neighbours of a point
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true)]
    n_neighbors: Option<u64>,
    /// umap, knn-graph: euclidean, cityblock, chebyshev, cosine or arccos
    #[arg(long, value_name = "METRIC")]
    metric: Option<String>,
    /// knn-graph: exact, or approximate, which finds at least 99.5 % of them and is faster with many points in many dimensions
    #[arg(long, value_name = "ALGORITHM")]
    algorithm: Option<String>,
    /// umap: how close points may come in the result
    #[arg(long, value_name = "X", value_parser = number, allow_negative_numbers = true)]
    min_dist: Option<f64>,
    /// umap: the scale of the result
    #[arg(long, value_name = "X", value_parser = number, allow_negative_numbers = true)]
    spread: Option<f64>,
    /// umap: rounds of the optimisation
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true)]
    n_epochs: Option<u64>,
    /// umap: how far a point moves at first
    #[arg(long, value_name = "X", value_parser = number, allow_negative_numbers = true)]
    learning_rate: Option<f64>,
    /// umap: the weight of points that are no neighbours
    #[arg(long, value_name = "X", value_parser = number, allow_negative_numbers = true)]
    repulsion_strength: Option<f64>,
    /// umap: points that repel for each that attracts
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true)]
    negative_sample_rate: Option<u64>,
    /// umap: 1 for the union of the neighbourhoods, 0 for the intersection
    #[arg(long, value_name = "X", value_parser = number, allow_negative_numbers = true)]
    set_op_mix_ratio: Option<f64>,
    /// umap: neighbours that count as connected in full
    #[arg(long, value_name = "X", value_parser = number, allow_negative_numbers = true)]
    local_connectivity: Option<f64>,
    /// umap: where to start: spectral or random
    #[arg(long, value_name = "INIT")]
    init: Option<String>,
    /// umap, knn-graph: the seed of the random choices
    #[arg(long, value_name = "SEED", value_parser = whole, allow_negative_numbers = true)]
    seed: Option<u64>,
}

/// `report cluster`
#[derive(Debug, Args)]
pub struct ClusterArguments {
    /// The points, a row each: `.npy`; Parquet with a column for each dimension or one column of lists; `embeddings` in `.npz`
    input: PathBuf,
    /// How
    #[arg(long, value_name = "METHOD", value_parser = CLUSTERERS.to_vec())]
    method: String,
    /// Where the labels go, `.npy` or `.parquet`
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// True labels, to compare the clusters with
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    #[command(flatten)]
    comparison: ComparisonArguments,
    /// agglomerative: write the tree, in the format of SciPy's linkage
    #[arg(long, value_name = "FILE")]
    save_linkage: Option<PathBuf>,
    /// hdbscan: write how firmly each point belongs to its cluster
    #[arg(long, value_name = "FILE")]
    save_probabilities: Option<PathBuf>,
    /// kmeans, minibatch-kmeans: write the centres of the clusters, a row each
    #[arg(long, value_name = "FILE")]
    save_centers: Option<PathBuf>,
    #[command(flatten)]
    parameters: ClusterParameters,
}

#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = "Parameters, by their names in scikit-learn")]
struct ClusterParameters {
    /// kmeans, minibatch-kmeans, spectral, agglomerative: how many clusters
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true)]
    n_clusters: Option<u64>,
    /// kmeans, minibatch-kmeans: `k-means++`, or a file with the centres, or with the numbers of the rows, to start from
    #[arg(long, value_name = "INIT")]
    init: Option<String>,
    /// kmeans, minibatch-kmeans, spectral: how many starts to try
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true)]
    n_init: Option<u64>,
    /// kmeans, minibatch-kmeans, affinity-propagation: how many rounds at most
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true)]
    max_iter: Option<u64>,
    /// kmeans, minibatch-kmeans: the shift of the centres that ends it
    #[arg(long, value_name = "X", value_parser = number, allow_negative_numbers = true)]
    tol: Option<f64>,
    /// minibatch-kmeans: points a step
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true)]
    batch_size: Option<u64>,
    /// minibatch-kmeans: steps without a gain that end it
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true)]
    max_no_improvement: Option<u64>,
    /// minibatch-kmeans: how readily small clusters start anew
    #[arg(long, value_name = "X", value_parser = number, allow_negative_numbers = true)]
    reassignment_ratio: Option<f64>,
    /// agglomerative: ward, average, complete or single
    #[arg(long, value_name = "LINKAGE")]
    linkage: Option<String>,
    /// agglomerative: clusters this far apart are not merged; instead of --n-clusters
    #[arg(long, value_name = "X", value_parser = number, allow_negative_numbers = true)]
    distance_threshold: Option<f64>,
    /// agglomerative, hdbscan, louvain: euclidean, cityblock, chebyshev, cosine or arccos
    #[arg(long, value_name = "METRIC")]
    metric: Option<String>,
    /// spectral, louvain: neighbours of a point in the graph
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true)]
    n_neighbors: Option<u64>,
    /// spectral: how many eigenvectors
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true)]
    n_components: Option<u64>,
    /// spectral: cluster_qr or kmeans
    #[arg(long, value_name = "HOW")]
    assign_labels: Option<String>,
    /// affinity-propagation: how much of a message is kept from round to round
    #[arg(long, value_name = "X", value_parser = number, allow_negative_numbers = true)]
    damping: Option<f64>,
    /// affinity-propagation: rounds without a change that end it
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true)]
    convergence_iter: Option<u64>,
    /// affinity-propagation: `median`, or a number, or a file with a number for each point
    #[arg(long, value_name = "PREFERENCE", allow_hyphen_values = true)]
    preference: Option<String>,
    /// hdbscan: points that make a cluster
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true)]
    min_cluster_size: Option<u64>,
    /// hdbscan: neighbours that make a point dense, itself one of them
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true)]
    min_samples: Option<u64>,
    /// hdbscan: points that a cluster has at most
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true)]
    max_cluster_size: Option<u64>,
    /// hdbscan: clusters nearer than this are not split
    #[arg(long, value_name = "X", value_parser = number, allow_negative_numbers = true)]
    cluster_selection_epsilon: Option<f64>,
    /// hdbscan: eom or leaf
    #[arg(long, value_name = "HOW")]
    cluster_selection_method: Option<String>,
    /// hdbscan: divides the distances
    #[arg(long, value_name = "X", value_parser = number, allow_negative_numbers = true)]
    alpha: Option<f64>,
    /// hdbscan: all points may be one cluster
    #[arg(long)]
    allow_single_cluster: bool,
    /// louvain: the higher, the more clusters
    #[arg(long, value_name = "X", value_parser = number, allow_negative_numbers = true)]
    resolution: Option<f64>,
    /// louvain: the gain of modularity that a level must have
    #[arg(long, value_name = "X", value_parser = number, allow_negative_numbers = true)]
    threshold: Option<f64>,
    /// louvain: how many levels at most
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true)]
    max_level: Option<u64>,
    /// The seed of the random choices
    #[arg(long, value_name = "SEED", value_parser = whole, allow_negative_numbers = true)]
    seed: Option<u64>,
}

/// `report score`
#[derive(Debug, Args)]
pub struct ScoreArguments {
    /// True labels
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Labels to measure; may be given several times
    #[arg(long = "pred", value_name = "FILE")]
    predictions: Vec<PathBuf>,
    #[command(flatten)]
    comparison: ComparisonArguments,
    /// The points that were labelled: adds the silhouette, Davies-Bouldin and Calinski-Harabasz
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Distance of the silhouette: euclidean, cityblock, chebyshev, cosine or arccos; may be given several times
    /// [default: euclidean]
    #[arg(long = "metric", value_name = "METRIC")]
    metrics: Vec<String>,
    /// How well the first rows of the data tell the labels of the others
    #[arg(long, value_name = "PROBE", value_parser = PROBES.to_vec())]
    probe: Option<String>,
    #[command(flatten)]
    parameters: ProbeParameters,
}

#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = "Parameters of the probe, by their names in scikit-learn")]
struct ProbeParameters {
    /// How many rows, the first ones, are learned from
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true)]
    train_rows: Option<u64>,
    /// knn: how many neighbours vote; a list, such as `1,10,20`
    #[arg(long, value_name = "N,...", value_parser = whole, value_delimiter = ',', allow_negative_numbers = true)]
    n_neighbors: Option<Vec<u64>>,
    /// knn: what a vote weighs: dino (exp(similarity / temperature)), uniform or distance
    #[arg(long, value_name = "HOW")]
    weights: Option<String>,
    /// knn: what makes points neighbours [default: cosine for --weights dino, otherwise euclidean]
    #[arg(long, value_name = "METRIC")]
    probe_metric: Option<String>,
    /// knn: what similarities are divided by in --weights dino
    #[arg(long, value_name = "X", value_parser = number, allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// linear: the weight of the losses against the penalty
    #[arg(long = "C", value_name = "X", value_parser = number, allow_negative_numbers = true)]
    #[serde(rename = "C")]
    c: Option<f64>,
    /// linear: the largest derivative that ends the search
    #[arg(long, value_name = "X", value_parser = number, allow_negative_numbers = true)]
    tol: Option<f64>,
    /// linear: how many steps at most
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true)]
    max_iter: Option<u64>,
}

/// How labels are compared with the true ones.
#[derive(Debug, Args)]
struct ComparisonArguments {
    /// Average of the two entropies that normalises mutual information
    #[arg(long, value_name = "AVERAGE", default_value = "arithmetic", value_parser = batch_job::AVERAGES.to_vec())]
    average_method: String,
    /// Samples with label -1: a cluster of their own, or left out of the comparison
    #[arg(long, value_name = "HOW", default_value = "cluster", value_parser = batch_job::NOISE.to_vec())]
    noise: String,
}

impl From<ReduceArguments> for Job {
    fn from(arguments: ReduceArguments) -> Job {
        Job::Reduce(batch_job::Reduce {
            input: arguments.input,
            method: arguments.method,
            parameters: given(&arguments.parameters),
            output: arguments.output,
            save: saved([
                (Saved::Components, arguments.save_components),
                (Saved::Distances, arguments.save_distances),
                (Saved::Graph, arguments.save_graph),
            ]),
        })
    }
}

impl From<ClusterArguments> for Job {
    fn from(arguments: ClusterArguments) -> Job {
        Job::Cluster(batch_job::Cluster {
            input: arguments.input,
            method: arguments.method,
            parameters: given(&arguments.parameters),
            truth: arguments.truth,
            comparison: arguments.comparison.into(),
            output: arguments.output,
            save: saved([
                (Saved::Linkage, arguments.save_linkage),
                (Saved::Probabilities, arguments.save_probabilities),
                (Saved::Centers, arguments.save_centers),
            ]),
        })
    }
}

impl From<ScoreArguments> for Job {
    fn from(arguments: ScoreArguments) -> Job {
        Job::Score(batch_job::Score {
            truth: arguments.truth,
            predictions: arguments.predictions,
            comparison: arguments.comparison.into(),
            data: arguments.data,
            metrics: arguments.metrics,
            probe: arguments.probe,
            parameters: given(&arguments.parameters),
        })
    }
}

impl From<ComparisonArguments> for batch_job::Comparison {
    fn from(arguments: ComparisonArguments) -> batch_job::Comparison {
        batch_job::Comparison { average_method: arguments.average_method, noise: arguments.noise }
    }
}

/// The parameters that were given, by name.
fn given(parameters: &impl Serialize) -> Given {
    let Ok(Value::Object(mut all)) = serde_json::to_value(parameters) else { return Given::new() };
    all.retain(|_, value| !matches!(value, Value::Null | Value::Bool(false)));
    all
}

fn saved<const N: usize>(asked: [(Saved, Option<PathBuf>); N]) -> Vec<(Saved, PathBuf)> {
    asked.into_iter().filter_map(|(what, path)| Some((what, path?))).collect()
}

fn whole(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "expected a whole number that is not negative".to_owned())
}

fn number(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err("expected a finite number".to_owned()),
    }
}

//! What a batch command is asked to do, as plain data: the program half fills it in, the library half does it.
//! Compiled into both halves.
#![allow(dead_code, reason = "each half uses a part")]

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The library's function that does a [`Job`]. Its type is [`DoJob`].
pub const DO_JOB: &[u8] = b"report_batch_job\0";
/// The library's function that ends the running job early. Its type is [`Cancel`].
pub const CANCEL: &[u8] = b"report_batch_cancel\0";

/// Takes the job as JSON (its bytes and their number), a function that gets the text of the answer, once, before this
/// one returns, and what to call it with. The answer is one JSON object, or says why there is none. Gives the exit code.
pub type DoJob = unsafe extern "C" fn(job: *const u8, length: usize, answer: Answer, context: *mut Text) -> u8;
/// Gets the text of the answer: UTF-8, which lives as long as the call.
pub type Answer = unsafe extern "C" fn(context: *mut Text, text: *const u8, length: usize);
/// May be called from any thread.
pub type Cancel = extern "C" fn();
/// Where the answer is kept; only the program looks inside.
pub type Text = std::ffi::c_void;

/// Everything was done.
pub const DONE: u8 = 0;
/// The command line or a file is wrong.
pub const BAD_INPUT: u8 = 2;
/// Something of the machine is in the way: a missing file, no space, no memory.
pub const MACHINE: u8 = 3;
/// Ended early, as asked.
pub const CANCELLED: u8 = 130;

/// Parameters of a method by their names in scikit-learn; those that are absent keep their defaults.
pub type Given = Map<String, Value>;

/// One command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Job {
    /// `report embed`
    Embed(Embed),
    /// `report reduce`
    Reduce(Reduce),
    /// `report cluster`
    Cluster(Cluster),
    /// `report score`
    Score(Score),
    /// `report datasets verify`
    Verify(Verify),
}

/// Turns images into points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Embed {
    /// The images.
    pub source: Images,
    /// The name of an encoder.
    pub encoder: String,
    /// `auto`, `cpu` or `cuda:N`.
    pub device: Option<String>,
    /// Images that go through the network at once.
    pub batch: Option<usize>,
    /// One of [`PRECISIONS`].
    pub precision: String,
    /// Where the vectors go.
    pub output: PathBuf,
    /// Where the labels of a dataset go.
    pub save_labels: Option<PathBuf>,
}

/// Decodes and checks every image of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verify {
    /// The dataset.
    pub name: String,
    /// One of [`PARTITIONS`].
    pub partition: String,
    /// The kind of labels; the study's if nothing is said.
    pub level: Option<String>,
    /// The share of the images that may be bad.
    pub allow_bad: f64,
    /// Where the sheet of samples goes.
    pub sheet: PathBuf,
}

/// Where images come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Images {
    /// A dataset.
    Dataset {
        /// Its name.
        name: String,
        /// One of [`PARTITIONS`].
        partition: String,
        /// The kind of labels; the study's if nothing is said.
        level: Option<String>,
        /// The share of the images that may be bad.
        allow_bad: f64,
        /// So many of them, or all.
        samples: Option<usize>,
        /// The seed that they are drawn with.
        seed: u64,
    },
    /// Image files in a folder, a subfolder a class.
    Folder {
        /// The folder.
        path: PathBuf,
        /// So many of them, or all.
        samples: Option<usize>,
        /// The seed that they are drawn with.
        seed: u64,
    },
    /// An array of n × 3 × height × width numbers, as the encoder takes them.
    Tensors(PathBuf),
}

/// Gives points other coordinates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reduce {
    /// The points.
    pub input: PathBuf,
    /// One of [`REDUCERS`].
    pub method: String,
    /// Its parameters.
    pub parameters: Given,
    /// Where the result goes.
    pub output: PathBuf,
    /// Where further results go, by what they are; the method must have them.
    pub save: Vec<(Saved, PathBuf)>,
}

/// Finds clusters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// The points.
    pub input: PathBuf,
    /// One of [`CLUSTERERS`].
    pub method: String,
    /// Its parameters.
    pub parameters: Given,
    /// The true labels, if the clusters are to be compared with them.
    pub truth: Option<PathBuf>,
    /// How they are compared.
    pub comparison: Comparison,
    /// Where the labels go.
    pub output: Option<PathBuf>,
    /// Where further results go, by what they are; the method must have them.
    pub save: Vec<(Saved, PathBuf)>,
}

/// Measures labels, and how well data predict them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The true labels.
    pub truth: Option<PathBuf>,
    /// Labels to be compared with them.
    pub predictions: Vec<PathBuf>,
    /// How they are compared.
    pub comparison: Comparison,
    /// Points that the labels belong to.
    pub data: Option<PathBuf>,
    /// Distances of the silhouette; the first one is the main one.
    pub metrics: Vec<String>,
    /// One of [`PROBES`], with the points and the true labels.
    pub probe: Option<String>,
    /// The probe's parameters.
    pub parameters: Given,
}

/// How labels are compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// One of [`AVERAGES`].
    pub average_method: String,
    /// One of [`NOISE`].
    pub noise: String,
}

/// A result beside the main one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Saved {
    /// The tree, in SciPy's linkage format.
    Linkage,
    /// How firmly each point belongs to its cluster.
    Probabilities,
    /// The centres of the clusters.
    Centers,
    /// The principal axes.
    Components,
    /// Distances to the neighbours.
    Distances,
    /// The weighted edges of the neighbourhood graph: row, column, weight.
    Graph,
}

impl Saved {
    /// The option that asks for it.
    pub fn option(self) -> &'static str {
        match self {
            Saved::Linkage => "--save-linkage",
            Saved::Probabilities => "--save-probabilities",
            Saved::Centers => "--save-centers",
            Saved::Components => "--save-components",
            Saved::Distances => "--save-distances",
            Saved::Graph => "--save-graph",
        }
    }
}

/// Numbers that a network computes with.
pub const PRECISIONS: &[&str] = &["f32", "bf16", "auto"];
/// Parts of a dataset.
pub const PARTITIONS: &[&str] = &["test", "train"];
/// Methods of [`Reduce`].
pub const REDUCERS: &[&str] = &["umap", "pca", "zscore", "average-zscore", "l2", "knn-graph"];
/// Methods of [`Cluster`].
pub const CLUSTERERS: &[&str] =
    &["kmeans", "minibatch-kmeans", "spectral", "agglomerative", "affinity-propagation", "hdbscan", "louvain"];
/// Probes of [`Score`].
pub const PROBES: &[&str] = &["knn", "linear"];
/// How the two entropies are averaged that normalise mutual information.
pub const AVERAGES: &[&str] = &["arithmetic", "geometric", "min", "max"];
/// What samples without a cluster, -1, are: a cluster of their own, or left out.
pub const NOISE: &[&str] = &["cluster", "remove"];

/// The option of a parameter: `n_clusters` is set with `--n-clusters`.
pub fn option(parameter: &str) -> String {
    format!("--{}", parameter.replace('_', "-"))
}

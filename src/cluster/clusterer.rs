//! Any of the clusterers, with its parameters: what a study varies, and what batch runs and tables of scores take.

mod methods;

use super::{
    AffinityPropagation, AgglomerativeClustering, ClusterError, Hdbscan, KMeans, Linkage, Louvain, MiniBatchKMeans,
    SpectralClustering, Tree,
};
use crate::points::Points;

/// A clusterer with its parameters.
///
/// `for clusterer in [Clusterer::kmeans(10), Clusterer::ward(10), Clusterer::hdbscan(5)] { clusterer.fit(&points)?; }`
#[derive(Clone, Debug)]
pub enum Clusterer {
    /// Lloyd's algorithm.
    KMeans(KMeans),
    /// K-Means from small random batches.
    MiniBatchKMeans(MiniBatchKMeans),
    /// A tree of merges, cut.
    Agglomerative(AgglomerativeClustering),
    /// Eigenvectors of a graph of neighbours.
    Spectral(SpectralClustering),
    /// Points that choose exemplars.
    AffinityPropagation(AffinityPropagation),
    /// Dense regions of any density; the rest is noise.
    Hdbscan(Hdbscan),
    /// Communities of a graph of similarities.
    Louvain(Louvain),
}

/// What a clusterer found; what a method does not have is `None`.
#[derive(Clone, Debug, Default)]
pub struct Clustering {
    /// The cluster of each point, from 0; -1 is no cluster.
    pub labels: Vec<i32>,
    /// Passes, rounds or steps.
    pub n_iter: Option<usize>,
    /// The sum of the squared distances of the points to the centres of their clusters.
    pub inertia: Option<f64>,
    /// Whether the method came to its end by itself rather than by a limit.
    pub converged: Option<bool>,
    /// The centres of the clusters.
    pub centers: Option<Points>,
    /// The rows of the points that stand for the clusters.
    pub cluster_centers_indices: Option<Vec<usize>>,
    /// How firmly each point belongs to its cluster, from 0 to 1.
    pub probabilities: Option<Vec<f64>>,
    /// The sum of the weights of the minimum spanning tree.
    pub spanning_tree_weight: Option<f64>,
    /// How far the clusters are denser than chance.
    pub modularity: Option<f64>,
    /// The smallest eigenvalues of the graph's Laplacian.
    pub eigenvalues: Option<Vec<f64>>,
    /// All merges.
    pub tree: Option<Tree>,
}

impl Clustering {
    /// How many clusters there are; -1 is none.
    pub fn n_clusters(&self) -> usize {
        let mut found: Vec<i32> = self.labels.iter().copied().filter(|&label| label >= 0).collect();
        found.sort_unstable();
        found.dedup();
        found.len()
    }

    /// The share of the points that are in a cluster, from 0 to 1; 1 without points.
    pub fn clustered_fraction(&self) -> f64 {
        if self.labels.is_empty() {
            return 1.0;
        }
        self.labels.iter().filter(|&&label| label >= 0).count() as f64 / self.labels.len() as f64
    }
}

impl From<Vec<i32>> for Clustering {
    fn from(labels: Vec<i32>) -> Clustering {
        Clustering { labels, ..Clustering::default() }
    }
}

impl Clusterer {
    /// K-Means with this many clusters, as the study runs it: one start by k-means++, at most 1,000 passes.
    pub fn kmeans(n_clusters: usize) -> Clusterer {
        Clusterer::KMeans(KMeans { n_clusters, max_iter: 1000, ..KMeans::default() })
    }

    /// Agglomerative clustering with Ward's linkage, cut to this many clusters.
    pub fn ward(n_clusters: usize) -> Clusterer {
        Clusterer::Agglomerative(AgglomerativeClustering {
            n_clusters: Some(n_clusters),
            linkage: Linkage::Ward,
            ..AgglomerativeClustering::default()
        })
    }

    /// Spectral clustering with this many clusters.
    pub fn spectral(n_clusters: usize) -> Clusterer {
        Clusterer::Spectral(SpectralClustering { n_clusters, ..SpectralClustering::default() })
    }

    /// Affinity propagation with this damping and, as the study runs it, at most 1,000 rounds.
    pub fn affinity_propagation(damping: f64) -> Clusterer {
        Clusterer::AffinityPropagation(AffinityPropagation {
            damping,
            max_iter: 1000,
            ..AffinityPropagation::default()
        })
    }

    /// HDBSCAN with clusters of at least this many points.
    pub fn hdbscan(min_cluster_size: usize) -> Clusterer {
        Clusterer::Hdbscan(Hdbscan { min_cluster_size, ..Hdbscan::default() })
    }

    /// Louvain with this resolution.
    pub fn louvain(resolution: f64) -> Clusterer {
        Clusterer::Louvain(Louvain { resolution, ..Louvain::default() })
    }

    /// The same with its random choices, if it makes any, drawn from this seed.
    pub fn with_seed(mut self, seed: u64) -> Clusterer {
        match &mut self {
            Clusterer::KMeans(method) => method.seed = seed,
            Clusterer::MiniBatchKMeans(method) => method.seed = seed,
            Clusterer::Spectral(method) => method.seed = seed,
            Clusterer::AffinityPropagation(method) => method.seed = seed,
            Clusterer::Louvain(method) => method.seed = seed,
            Clusterer::Agglomerative(_) | Clusterer::Hdbscan(_) => {}
        }
        self
    }

    /// Its name on the command line, such as `kmeans`.
    pub fn name(&self) -> &'static str {
        self.method().name()
    }

    /// Its parameters by their names in scikit-learn; one that is not set is left out.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        self.method().parameters()
    }

    /// The parameters as text, such as `n_clusters=10, seed=1`.
    pub fn parameters_text(&self) -> String {
        let texts: Vec<String> = self.parameters().iter().map(|(name, value)| format!("{name}={value}")).collect();
        texts.join(", ")
    }

    /// Clusters the points.
    ///
    /// # Errors
    /// As the clusterer's own `fit`.
    pub fn fit(&self, points: &Points) -> Result<Clustering, ClusterError> {
        self.method().fit(points)
    }

    fn method(&self) -> &dyn Method {
        match self {
            Clusterer::KMeans(method) => method,
            Clusterer::MiniBatchKMeans(method) => method,
            Clusterer::Agglomerative(method) => method,
            Clusterer::Spectral(method) => method,
            Clusterer::AffinityPropagation(method) => method,
            Clusterer::Hdbscan(method) => method,
            Clusterer::Louvain(method) => method,
        }
    }
}

/// What all clusterers have in common.
trait Method {
    fn name(&self) -> &'static str;
    fn parameters(&self) -> Vec<(&'static str, String)>;
    fn fit(&self, points: &Points) -> Result<Clustering, ClusterError>;
}

//! What each clusterer calls itself and its parameters, and which of its results others have too.

use super::{Clustering, Method};
use crate::cluster::{
    AffinityPropagation, AgglomerativeClustering, AssignLabels, ClusterError, Hdbscan, Init, KMeans, KMeansFit,
    Louvain, LouvainGraph, MiniBatchKMeans, Preference, Selection, SpectralClustering,
};
use crate::points::Points;

impl Method for KMeans {
    fn name(&self) -> &'static str {
        "kmeans"
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![
            ("n_clusters", self.n_clusters.to_string()),
            ("n_init", self.n_init.to_string()),
            ("max_iter", self.max_iter.to_string()),
            ("tol", self.tol.to_string()),
            ("init", init(&self.init)),
            ("seed", self.seed.to_string()),
        ]
    }

    fn fit(&self, points: &Points) -> Result<Clustering, ClusterError> {
        Ok(Clustering::from(self.fit(points)?))
    }
}

impl Method for MiniBatchKMeans {
    fn name(&self) -> &'static str {
        "minibatch-kmeans"
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = vec![
            ("n_clusters", self.n_clusters.to_string()),
            ("batch_size", self.batch_size.to_string()),
            ("max_iter", self.max_iter.to_string()),
            ("n_init", self.n_init.to_string()),
            ("tol", self.tol.to_string()),
            ("reassignment_ratio", self.reassignment_ratio.to_string()),
            ("init", init(&self.init)),
            ("seed", self.seed.to_string()),
        ];
        parameters.extend(self.max_no_improvement.map(|value| ("max_no_improvement", value.to_string())));
        parameters
    }

    fn fit(&self, points: &Points) -> Result<Clustering, ClusterError> {
        Ok(Clustering::from(self.fit(points)?))
    }
}

impl From<KMeansFit> for Clustering {
    fn from(fitted: KMeansFit) -> Clustering {
        Clustering {
            labels: fitted.labels,
            n_iter: Some(fitted.n_iter),
            inertia: Some(fitted.inertia),
            centers: Some(fitted.centers),
            ..Clustering::default()
        }
    }
}

impl Method for AgglomerativeClustering {
    fn name(&self) -> &'static str {
        "agglomerative"
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = Vec::new();
        parameters.extend(self.n_clusters.map(|value| ("n_clusters", value.to_string())));
        parameters.extend(self.distance_threshold.map(|value| ("distance_threshold", value.to_string())));
        parameters.extend([("linkage", self.linkage.to_string()), ("metric", self.metric.to_string())]);
        parameters
    }

    fn fit(&self, points: &Points) -> Result<Clustering, ClusterError> {
        let fitted = self.fit(points)?;
        Ok(Clustering { labels: fitted.labels, tree: Some(fitted.tree), ..Clustering::default() })
    }
}

impl Method for SpectralClustering {
    fn name(&self) -> &'static str {
        "spectral"
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let assign_labels = match self.assign_labels {
            AssignLabels::ClusterQr => "cluster_qr",
            AssignLabels::KMeans => "kmeans",
        };
        let mut parameters = vec![("n_clusters", self.n_clusters.to_string())];
        parameters.extend(self.n_components.map(|value| ("n_components", value.to_string())));
        parameters.extend([
            ("n_neighbors", self.n_neighbors.to_string()),
            ("metric", self.metric.to_string()),
            ("assign_labels", assign_labels.to_owned()),
            ("n_init", self.n_init.to_string()),
            ("eigen_tol", self.eigen_tol.to_string()),
            ("seed", self.seed.to_string()),
        ]);
        parameters
    }

    fn fit(&self, points: &Points) -> Result<Clustering, ClusterError> {
        let fitted = self.fit(points)?;
        Ok(Clustering { labels: fitted.labels, eigenvalues: Some(fitted.eigenvalues), ..Clustering::default() })
    }
}

impl Method for AffinityPropagation {
    fn name(&self) -> &'static str {
        "affinity-propagation"
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let preference = match &self.preference {
            Preference::Median => "median".to_owned(),
            Preference::Value(value) => value.to_string(),
            Preference::PerPoint(values) => format!("{} numbers", values.len()),
        };
        vec![
            ("damping", self.damping.to_string()),
            ("max_iter", self.max_iter.to_string()),
            ("convergence_iter", self.convergence_iter.to_string()),
            ("preference", preference),
            ("seed", self.seed.to_string()),
        ]
    }

    fn fit(&self, points: &Points) -> Result<Clustering, ClusterError> {
        let fitted = self.fit(points)?;
        Ok(Clustering {
            labels: fitted.labels,
            n_iter: Some(fitted.n_iter),
            converged: Some(fitted.converged),
            cluster_centers_indices: Some(fitted.cluster_centers_indices),
            ..Clustering::default()
        })
    }
}

impl Method for Hdbscan {
    fn name(&self) -> &'static str {
        "hdbscan"
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let selection = match self.cluster_selection_method {
            Selection::Eom => "eom",
            Selection::Leaf => "leaf",
        };
        let mut parameters = vec![("min_cluster_size", self.min_cluster_size.to_string())];
        parameters.extend(self.min_samples.map(|value| ("min_samples", value.to_string())));
        parameters.extend(self.max_cluster_size.map(|value| ("max_cluster_size", value.to_string())));
        parameters.extend([
            ("cluster_selection_epsilon", self.cluster_selection_epsilon.to_string()),
            ("metric", self.metric.to_string()),
            ("alpha", self.alpha.to_string()),
            ("cluster_selection_method", selection.to_owned()),
            ("allow_single_cluster", self.allow_single_cluster.to_string()),
        ]);
        parameters
    }

    fn fit(&self, points: &Points) -> Result<Clustering, ClusterError> {
        let fitted = self.fit(points)?;
        Ok(Clustering {
            spanning_tree_weight: Some(fitted.spanning_tree_weight()),
            labels: fitted.labels,
            probabilities: Some(fitted.probabilities),
            ..Clustering::default()
        })
    }
}

impl Method for Louvain {
    fn name(&self) -> &'static str {
        "louvain"
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = Vec::new();
        if let LouvainGraph::Neighbors(count) = self.graph {
            parameters.push(("n_neighbors", count.to_string()));
        }
        parameters.extend([
            ("metric", self.metric.to_string()),
            ("resolution", self.resolution.to_string()),
            ("threshold", self.threshold.to_string()),
            ("self_loops", self.self_loops.to_string()),
            ("seed", self.seed.to_string()),
        ]);
        parameters
    }

    fn fit(&self, points: &Points) -> Result<Clustering, ClusterError> {
        let fitted = self.fit(points)?;
        Ok(Clustering { labels: fitted.labels, modularity: Some(fitted.modularity), ..Clustering::default() })
    }
}

fn init(init: &Init) -> String {
    match init {
        Init::PlusPlus => "k-means++".to_owned(),
        Init::Rows(rows) => format!("{} rows", rows.len()),
        Init::Centers(centers) => format!("{} centers", centers.rows()),
    }
}

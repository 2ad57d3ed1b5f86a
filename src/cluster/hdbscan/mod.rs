//! HDBSCAN as scikit-learn does it: clusters are what stays together over the widest range of densities.
//!
//! 1. A point's core distance is that to its `min_samples`-th nearest point, itself counted; two points are mutually
//!    reachable at the largest of their distance and their core distances.
//! 2. The minimum spanning tree of that graph, exact, from lists of nearest neighbours (`spanning_tree.rs`).
//! 3. The hierarchy of its edges, without splits that only shed a few points (`condense.rs`).
//! 4. The clusters with the most excess of mass, or the leaves of that tree (`select.rs`).
//!
//! R. J. G. B. Campello, D. Moulavi, J. Sander: Density-based clustering based on hierarchical density estimates
//! (2013); C. Malzer, M. Baum: A hybrid approach to hierarchical density-based cluster selection (2020), for epsilon.

mod condense;
mod select;
mod spanning_tree;
#[cfg(test)]
mod tests;
mod unite;

use super::ClusterError;
use crate::linalg::Metric;
use crate::points::Points;

/// Which clusters of the tree are reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// Those with the largest excess of mass.
    #[default]
    Eom,
    /// Those that do not split any more: many and even ones.
    Leaf,
}

/// The parameters of HDBSCAN.
///
/// `Hdbscan { min_cluster_size: 15, ..Hdbscan::default() }.fit(&points)?`
#[derive(Clone, Debug)]
pub struct Hdbscan {
    /// How many points a cluster has at least; 5 by default, at least 2.
    pub min_cluster_size: usize,
    /// How many points, itself counted, must be near a point for it to be a core point; as many as `min_cluster_size`
    /// by default.
    pub min_samples: Option<usize>,
    /// Clusters that split off at less than this distance are not split; 0 by default.
    pub cluster_selection_epsilon: f64,
    /// How many points a cluster may have; not limited by default, and never for [`Selection::Leaf`].
    pub max_cluster_size: Option<usize>,
    /// The distance of points; Euclidean by default.
    pub metric: Metric,
    /// Distances are divided by this, as in robust single linkage; 1 by default. As in scikit-learn, core distances are
    /// divided too for cosine distances only.
    pub alpha: f64,
    /// Which clusters are reported; excess of mass by default.
    pub cluster_selection_method: Selection,
    /// Whether all points may be one cluster; false by default.
    pub allow_single_cluster: bool,
}

impl Default for Hdbscan {
    fn default() -> Self {
        Hdbscan {
            min_cluster_size: 5,
            min_samples: None,
            cluster_selection_epsilon: 0.0,
            max_cluster_size: None,
            metric: Metric::Euclidean,
            alpha: 1.0,
            cluster_selection_method: Selection::Eom,
            allow_single_cluster: false,
        }
    }
}

/// An edge of a spanning tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// The end with the lower number.
    pub a: usize,
    /// The other end.
    pub b: usize,
    /// The distance at which the two are mutually reachable.
    pub weight: f64,
}

/// What HDBSCAN found.
#[derive(Clone, Debug)]
pub struct HdbscanFit {
    /// The cluster of each point, from 0; -1 for noise.
    pub labels: Vec<i32>,
    /// How strongly each point belongs to its cluster, from 0 to 1; 0 for noise.
    pub probabilities: Vec<f64>,
    /// The minimum spanning tree of mutual reachability: n - 1 edges in ascending order of their weights, equal ones in
    /// order of their ends.
    pub spanning_tree: Vec<Edge>,
    /// How many clusters there are.
    pub n_clusters: usize,
}

impl HdbscanFit {
    /// The sum of the weights of the spanning tree.
    pub fn spanning_tree_weight(&self) -> f64 {
        self.spanning_tree.iter().map(|edge| edge.weight).sum()
    }
}

impl Hdbscan {
    /// Clusters the points. O(n² d) at worst, memory O(n (d + `min_samples`)).
    ///
    /// # Errors
    /// Fewer than two points, or fewer than `min_samples`; `min_cluster_size` below 2, `min_samples` or
    /// `max_cluster_size` 0; `cluster_selection_epsilon` negative or NaN; `alpha` not a positive number; the
    /// computation was told to stop.
    pub fn fit(&self, points: &Points) -> Result<HdbscanFit, ClusterError> {
        let rows = points.rows();
        let min_samples = self.check(rows)?;
        let spanning_tree = spanning_tree::spanning_tree(points, self.metric, min_samples, self.alpha)?;
        let parts = condense::condense(&spanning_tree, rows, self.min_cluster_size);
        let (labels, probabilities) = select::select(&parts, rows, self);
        let n_clusters = labels.iter().max().map_or(0, |&most| (most + 1) as usize);
        Ok(HdbscanFit { labels, probabilities, spanning_tree, n_clusters })
    }

    /// `min_samples` as it counts.
    fn check(&self, rows: usize) -> Result<usize, ClusterError> {
        let refuse = |parameter, value: String, rule: &str| {
            Err(ClusterError::Parameter { parameter, value, rule: format!("it must be {rule}") })
        };
        if self.min_cluster_size < 2 {
            return refuse("min_cluster_size", self.min_cluster_size.to_string(), "at least 2");
        }
        for (parameter, value) in [("min_samples", self.min_samples), ("max_cluster_size", self.max_cluster_size)] {
            if value == Some(0) {
                return Err(ClusterError::Zero { parameter });
            }
        }
        let epsilon = self.cluster_selection_epsilon;
        if epsilon.is_nan() || epsilon < 0.0 {
            let rule = "a number that is not negative";
            return refuse("cluster_selection_epsilon", epsilon.to_string(), rule);
        }
        if !(self.alpha > 0.0 && self.alpha.is_finite()) {
            return refuse("alpha", self.alpha.to_string(), "a positive number");
        }
        if rows < 2 {
            return Err(ClusterError::TooFewRows { rows, needed: 2 });
        }
        // Numbers of clusters, which follow those of the points, must fit 32 bits.
        if rows > i32::MAX as usize / 2 {
            return refuse("points", format!("{rows} rows"), &format!("at most {} rows", i32::MAX / 2));
        }
        let min_samples = self.min_samples.unwrap_or(self.min_cluster_size);
        if min_samples > rows {
            let rule = format!("at most the number of points, {rows}");
            return refuse("min_samples", min_samples.to_string(), &rule);
        }
        Ok(min_samples)
    }
}

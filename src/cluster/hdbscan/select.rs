//! Which clusters of the tree are reported, and whose points are theirs: `_get_clusters` of scikit-learn.

use super::condense::Part;
use super::{Hdbscan, Selection};

/// The clusters of the tree; number 0 is the one of all points, and parents come before children.
struct Clusters {
    /// The number of points: what a cluster's number in a [`Part`] has more.
    rows: u32,
    parents: Vec<usize>,
    /// Two for each cluster that splits, none for others.
    children: Vec<Vec<usize>>,
    sizes: Vec<u32>,
    /// The lambda at which a cluster appears.
    births: Vec<f64>,
    /// The largest lambda at which one of its parts leaves.
    deaths: Vec<f64>,
    stabilities: Vec<f64>,
}

impl Clusters {
    fn new(parts: &[Part], rows: usize) -> Clusters {
        let rows = rows as u32;
        let count =
            parts.iter().map(|part| part.parent.max(part.child)).max().unwrap_or(rows) as usize + 1 - rows as usize;
        let mut clusters = Clusters {
            rows,
            parents: vec![0; count],
            children: vec![Vec::new(); count],
            sizes: vec![0; count],
            births: vec![0.0; count],
            deaths: vec![0.0; count],
            stabilities: vec![0.0; count],
        };
        for part in parts {
            let parent = (part.parent - rows) as usize;
            if part.child >= rows {
                let child = (part.child - rows) as usize;
                clusters.parents[child] = parent;
                clusters.children[parent].push(child);
                clusters.sizes[child] = part.size;
                clusters.births[child] = part.lambda;
                if parent == 0 {
                    // As in scikit-learn: the size of the cluster of all points leaves out those it sheds.
                    clusters.sizes[0] += part.size;
                }
            }
            clusters.deaths[parent] = clusters.deaths[parent].max(part.lambda);
            clusters.stabilities[parent] += (part.lambda - clusters.births[parent]) * f64::from(part.size);
        }
        clusters
    }

    /// The distance at which a cluster splits off.
    fn distance(&self, cluster: usize) -> f64 {
        1.0 / self.births[cluster]
    }

    /// The clusters whose stability is more than that of the best ones below them.
    fn most_excess(&self, max_size: usize, allow_single: bool) -> Vec<bool> {
        let mut stabilities = self.stabilities.clone();
        let mut chosen = vec![false; stabilities.len()];
        for cluster in (usize::from(!allow_single)..stabilities.len()).rev() {
            let below: f64 = self.children[cluster].iter().map(|&child| stabilities[child]).sum();
            // Not the same as `<=`: a stability that is not a number loses against nothing.
            chosen[cluster] = !(below > stabilities[cluster] || self.sizes[cluster] as usize > max_size);
            if !chosen[cluster] {
                stabilities[cluster] = below;
            }
        }
        // Only the highest ones count.
        let mut covered = vec![false; chosen.len()];
        for cluster in 1..chosen.len() {
            let parent = self.parents[cluster];
            covered[cluster] = covered[parent] || chosen[parent];
            chosen[cluster] &= !covered[cluster];
        }
        chosen
    }

    /// The clusters that do not split; none if nothing does.
    fn leaves(&self) -> Vec<bool> {
        let leaf = |children: &Vec<usize>| children.is_empty() && self.children.len() > 1;
        self.children.iter().map(leaf).collect()
    }

    /// Replaces clusters that split off at less than `epsilon` by the lowest cluster above that splits off at more.
    fn merge_below(&self, epsilon: f64, chosen: &[bool], allow_single: bool) -> Vec<bool> {
        // What replaces a cluster; below the cluster of all points, that one only where it is allowed.
        let mut above = vec![0; chosen.len()];
        let mut merged = vec![false; chosen.len()];
        for cluster in 1..chosen.len() {
            let parent = self.parents[cluster];
            above[cluster] = match parent {
                0 if allow_single => 0,
                0 => cluster,
                _ if self.distance(parent) > epsilon => parent,
                _ => above[parent],
            };
            if chosen[cluster] {
                merged[if self.distance(cluster) < epsilon { above[cluster] } else { cluster }] = true;
            }
        }
        merged
    }
}

/// The label and the probability of each point.
pub(super) fn select(parts: &[Part], rows: usize, parameters: &Hdbscan) -> (Vec<i32>, Vec<f64>) {
    let clusters = Clusters::new(parts, rows);
    let (epsilon, allow_single) = (parameters.cluster_selection_epsilon, parameters.allow_single_cluster);
    let mut chosen = match parameters.cluster_selection_method {
        Selection::Eom => clusters.most_excess(parameters.max_cluster_size.unwrap_or(usize::MAX), allow_single),
        Selection::Leaf => clusters.leaves(),
    };
    if epsilon > 0.0 && clusters.parents.len() > 1 && !chosen[0] {
        chosen = clusters.merge_below(epsilon, &chosen, allow_single);
    }
    label(parts, &clusters, &chosen, epsilon)
}

fn label(parts: &[Part], clusters: &Clusters, chosen: &[bool], epsilon: f64) -> (Vec<i32>, Vec<f64>) {
    let rows = clusters.rows;
    // The lowest chosen cluster at or above each; 0 where there is none.
    let mut owners = vec![0; chosen.len()];
    let mut numbers = vec![-1; chosen.len()];
    let mut next = 0;
    for cluster in 0..chosen.len() {
        owners[cluster] = if chosen[cluster] { cluster } else { owners[clusters.parents[cluster]] };
        if chosen[cluster] {
            numbers[cluster] = next;
            next += 1;
        }
    }
    // A single cluster of all points keeps those that stay to its end, or closer than epsilon.
    let threshold = if epsilon > 0.0 { 1.0 / epsilon } else { clusters.deaths[0] };
    let single = chosen[0] && next == 1;
    let (mut labels, mut probabilities) = (vec![-1; rows as usize], vec![0.0; rows as usize]);
    for part in parts.iter().filter(|part| part.child < rows) {
        let owner = owners[(part.parent - rows) as usize];
        if owner == 0 && !(single && part.lambda >= threshold) {
            continue;
        }
        let death = clusters.deaths[owner];
        labels[part.child as usize] = numbers[owner];
        probabilities[part.child as usize] = match death == 0.0 || part.lambda.is_infinite() {
            true => 1.0,
            false => part.lambda.min(death) / death,
        };
    }
    (labels, probabilities)
}

//! The tree of merges, in the form of SciPy's `linkage`, and its cuts.

use crate::cluster::ClusterError;

/// One merge of a [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Merge {
    /// The smaller of the two clusters' numbers: below n a point, from n on the cluster of an earlier merge.
    pub first: usize,
    /// The larger number.
    pub second: usize,
    /// How far apart the two are.
    pub height: f64,
    /// How many points the new cluster has.
    pub size: usize,
}

/// All merges of n points to one cluster, n - 1 of them, heights ascending. Merge i makes the cluster of number n + i.
#[derive(Clone, PartialEq)]
pub struct Tree {
    rows: usize,
    merges: Vec<Merge>,
}

/// A merge as it was found: later ones may name it as `rows` plus its place in the list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) first: u32,
    pub(super) second: u32,
    pub(super) height: f64,
}

impl Tree {
    /// Puts merges in order of height; `found` has `rows` - 1 of them, each after those that it builds on.
    ///
    /// A cluster is nowhere below its parts: rounding that says so is lifted.
    pub(super) fn new(rows: usize, mut found: Vec<Found>) -> Tree {
        for at in 0..found.len() {
            let parts = [found[at].first, found[at].second].map(|part| part as usize);
            for part in parts {
                if part >= rows {
                    found[at].height = found[at].height.max(found[part - rows].height);
                }
            }
        }
        let mut order: Vec<usize> = (0..found.len()).collect();
        order.sort_by(|&a, &b| found[a].height.total_cmp(&found[b].height));
        let mut number = vec![0; found.len()];
        for (place, &at) in order.iter().enumerate() {
            number[at] = rows + place;
        }
        let mut merges: Vec<Merge> = Vec::with_capacity(found.len());
        for &at in &order {
            let [a, b] = [found[at].first, found[at].second].map(|part| match part as usize {
                part if part >= rows => number[part - rows],
                part => part,
            });
            let size = |part: usize| if part >= rows { merges[part - rows].size } else { 1 };
            let size = size(a) + size(b);
            merges.push(Merge { first: a.min(b), second: a.max(b), height: found[at].height, size });
        }
        Tree { rows, merges }
    }

    /// How many points there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The merges, lowest first.
    pub fn merges(&self) -> &[Merge] {
        &self.merges
    }

    /// The clusters at which `n_clusters` are left: a label a point, from 0 in order of the first point of each. O(n).
    ///
    /// # Errors
    /// `n_clusters` not between 1 and the number of points.
    pub fn cut(&self, n_clusters: usize) -> Result<Vec<i32>, ClusterError> {
        check_clusters(n_clusters, self.rows)?;
        let made = &self.merges[..self.rows - n_clusters];
        // From the last merge down, the parts of a cluster take the number of the cluster that it ends in.
        let mut ends: Vec<usize> = (0..self.rows + made.len()).collect();
        for (at, merge) in made.iter().enumerate().rev() {
            let end = ends[self.rows + at];
            ends[merge.first] = end;
            ends[merge.second] = end;
        }
        let mut labels = vec![-1; ends.len()];
        let mut next = 0;
        let label = |&end: &usize| {
            if labels[end] < 0 {
                labels[end] = next;
                next += 1;
            }
            labels[end]
        };
        Ok(ends[..self.rows].iter().map(label).collect())
    }

    /// The cuts at many numbers of clusters, in their order. O(n) each.
    ///
    /// # Errors
    /// A number that is not between 1 and the number of points.
    pub fn cuts(&self, n_clusters: &[usize]) -> Result<Vec<Vec<i32>>, ClusterError> {
        n_clusters.iter().map(|&n_clusters| self.cut(n_clusters)).collect()
    }

    /// The clusters that are left when merges below `distance_threshold` are made, and those at it are not, as
    /// scikit-learn counts. O(n).
    ///
    /// # Errors
    /// A threshold that is negative or NaN.
    pub fn cut_at(&self, distance_threshold: f64) -> Result<Vec<i32>, ClusterError> {
        self.cut(self.clusters_at(distance_threshold)?)
    }

    /// How many clusters [`Tree::cut_at`] leaves. O(log n).
    ///
    /// # Errors
    /// A threshold that is negative or NaN.
    pub fn clusters_at(&self, distance_threshold: f64) -> Result<usize, ClusterError> {
        check_threshold(distance_threshold)?;
        Ok(self.rows - self.merges.partition_point(|merge| merge.height < distance_threshold))
    }

    /// SciPy's matrix Z, row after row: the two numbers, height and size of each merge; (n - 1) x 4 numbers.
    pub fn to_rows(&self) -> Vec<f64> {
        let row = |merge: &Merge| [merge.first as f64, merge.second as f64, merge.height, merge.size as f64];
        self.merges.iter().flat_map(row).collect()
    }
}

/// The number of points and the last merge: a cell that ends in a tree must not print thousands of them.
impl std::fmt::Debug for Tree {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        let highest = self.merges.last().map_or(0.0, |merge| merge.height);
        write!(formatter, "Tree {{ {} points, {} merges up to height {highest} }}", self.rows, self.merges.len())
    }
}

pub(super) fn check_clusters(n_clusters: usize, rows: usize) -> Result<(), ClusterError> {
    if n_clusters == 0 || n_clusters > rows {
        return Err(ClusterError::Clusters { n_clusters, rows });
    }
    Ok(())
}

pub(super) fn check_threshold(threshold: f64) -> Result<(), ClusterError> {
    if threshold.is_nan() || threshold < 0.0 {
        return Err(ClusterError::Parameter {
            parameter: "distance_threshold",
            value: threshold.to_string(),
            rule: "it must be a number that is not negative".to_owned(),
        });
    }
    Ok(())
}

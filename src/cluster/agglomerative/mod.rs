//! Agglomerative clustering: start with every point alone, merge the two nearest clusters, go on until one is left.
//!
//! The definition is SciPy's `linkage` and scikit-learn's `AgglomerativeClustering` without a connectivity; the tree is
//! the same unless distances tie. How it is found is ours:
//!
//! 1. Ward, average and complete linkage are reducible: merging two clusters never brings the new one nearer to a third
//!    than the nearer of the two was. So *all* pairs of clusters that are each other's nearest may be merged at once
//!    (`rounds`), in one streaming pass over a condensed matrix in 32 bits that shrinks in place. Where a round finds
//!    few such pairs, merges go one at a time along a chain of nearest neighbours (Müllner 2011, `chain`).
//! 2. Single linkage is a minimum spanning tree (`spanning`).
//! 3. Ward linkage of more points than a matrix fits [`MATRIX_BYTES`] works on the means of the clusters (`means`).
//! 4. The tree is put in order of heights that are computed again in 64 bits (`heights`).
//!
//! Of equally near clusters the one in the lower place of the matrix is taken; places begin in the order of the points.
//! Merges of equal height stay in the order in which they were found. Results do not depend on the number of threads.

mod chain;
mod heights;
mod means;
mod nearest;
mod rounds;
mod spanning;
#[cfg(test)]
mod tests;
mod tree;

pub use tree::{Merge, Tree};

use std::fmt;
use std::str::FromStr;

use rayon::prelude::*;

use super::ClusterError;
use crate::linalg::{Metric, Space};
use crate::points::Points;
use crate::progress::Progress;

/// The largest matrix of distances that is made, in bytes; it holds 56,000 points. Beyond it, Ward linkage works on
/// means and single linkage row by row, in memory of the size of the points; average and complete linkage need the
/// matrix whatever its size.
pub const MATRIX_BYTES: usize = 6 << 30;

/// How far apart two clusters are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Linkage {
    /// The square root of twice the growth of the sum of squares within clusters when the two are merged:
    /// sqrt(2 s t / (s + t)) times the distance of their means. For Euclidean distances only.
    #[default]
    Ward,
    /// The mean distance of a point of one to a point of the other (UPGMA).
    Average,
    /// The largest distance of a point of one to a point of the other.
    Complete,
    /// The smallest distance of a point of one to a point of the other.
    Single,
}

impl FromStr for Linkage {
    type Err = ClusterError;

    fn from_str(name: &str) -> Result<Linkage, ClusterError> {
        match name {
            "ward" => Ok(Linkage::Ward),
            "average" => Ok(Linkage::Average),
            "complete" => Ok(Linkage::Complete),
            "single" => Ok(Linkage::Single),
            _ => Err(ClusterError::Parameter {
                parameter: "linkage",
                value: name.to_owned(),
                rule: "it must be one of ward, average, complete, single".to_owned(),
            }),
        }
    }
}

impl fmt::Display for Linkage {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.pad(match self {
            Linkage::Ward => "ward",
            Linkage::Average => "average",
            Linkage::Complete => "complete",
            Linkage::Single => "single",
        })
    }
}

/// The parameters of agglomerative clustering; exactly one of `n_clusters` and `distance_threshold` is given.
///
/// `AgglomerativeClustering { n_clusters: Some(10), ..AgglomerativeClustering::default() }.fit(&points)?`
#[derive(Clone, Debug, PartialEq)]
pub struct AgglomerativeClustering {
    /// How many clusters to leave; `Some(2)` by default.
    pub n_clusters: Option<usize>,
    /// Clusters this far apart or farther are not merged; `None` by default.
    pub distance_threshold: Option<f64>,
    /// How far apart two clusters are; Ward by default.
    pub linkage: Linkage,
    /// How far apart two points are; Euclidean by default, and always for Ward.
    pub metric: Metric,
}

impl Default for AgglomerativeClustering {
    fn default() -> Self {
        AgglomerativeClustering {
            n_clusters: Some(2),
            distance_threshold: None,
            linkage: Linkage::Ward,
            metric: Metric::Euclidean,
        }
    }
}

/// What agglomerative clustering found.
#[derive(Clone, Debug)]
pub struct AgglomerativeFit {
    /// The cluster of each point, from 0 in order of the first point of each.
    pub labels: Vec<i32>,
    /// How many clusters there are.
    pub n_clusters: usize,
    /// All merges, to one cluster; other cuts cost O(n).
    pub tree: Tree,
}

impl AgglomerativeClustering {
    /// Clusters the points. O(n^2 d) time; 2 n^2 bytes of memory, see [`linkage`].
    ///
    /// # Errors
    /// Both or neither of `n_clusters` and `distance_threshold` given; `n_clusters` not between 1 and the number of
    /// points; `distance_threshold` negative or NaN; Ward with another metric than Euclidean; no points; distances
    /// beyond 32 bits; no memory for the matrix.
    pub fn fit(&self, points: &Points) -> Result<AgglomerativeFit, ClusterError> {
        self.check(points.rows())?;
        let tree = linkage(points, self.linkage, self.metric)?;
        let n_clusters = match (self.n_clusters, self.distance_threshold) {
            (None, Some(threshold)) => tree.clusters_at(threshold)?,
            (n_clusters, _) => n_clusters.unwrap_or(1),
        };
        Ok(AgglomerativeFit { labels: tree.cut(n_clusters)?, n_clusters, tree })
    }

    /// What can be known before the tree, so that a mistake does not cost the time to make one.
    fn check(&self, rows: usize) -> Result<(), ClusterError> {
        match (self.n_clusters, self.distance_threshold) {
            (Some(n_clusters), None) if rows > 0 => tree::check_clusters(n_clusters, rows),
            (None, Some(threshold)) => tree::check_threshold(threshold),
            (Some(_), None) => Ok(()),
            (n_clusters, threshold) => Err(ClusterError::Parameter {
                parameter: "n_clusters",
                value: format!("{n_clusters:?} with distance_threshold = {threshold:?}"),
                rule: "exactly one of the two must be given, and the other be None".to_owned(),
            }),
        }
    }
}

/// All merges of the points, from `rows` clusters to one: SciPy's `linkage`.
///
/// O(n^2 d) time for the distances, all threads; the merges then take O(n^2). Memory: n (n - 1) / 2 numbers of 32 bits
/// and a tenth of that, up to [`MATRIX_BYTES`].
///
/// Heights are right to 1e-12 for Ward, single, and average with cosine; for complete and average they are the matrix's
/// 32 bits, except for pairs of small clusters: about 1e-6. Which clusters are merged is decided in 32 bits throughout,
/// so that distances within about 1e-6 of one another may be taken in either order.
///
/// # Errors
/// No points; Ward with another metric than Euclidean; distances beyond 32 bits; no memory for the matrix; cancelled.
pub fn linkage(points: &Points, linkage: Linkage, metric: Metric) -> Result<Tree, ClusterError> {
    within(points, linkage, metric, MATRIX_BYTES)
}

/// [`linkage`] with another limit to the matrix.
fn within(points: &Points, linkage: Linkage, metric: Metric, matrix_bytes: usize) -> Result<Tree, ClusterError> {
    let rows = points.rows();
    if rows == 0 {
        return Err(ClusterError::TooFewRows { rows, needed: 1 });
    }
    if linkage == Linkage::Ward && metric != Metric::Euclidean {
        return Err(ClusterError::Parameter {
            parameter: "metric",
            value: metric.to_string(),
            rule: "it must be euclidean when linkage = ward".to_owned(),
        });
    }
    if rows == 1 {
        return Ok(Tree::new(1, Vec::new()));
    }
    let mut progress = Progress::new(format!("{linkage} linkage"), rows as u64 - 1, "merges");
    let fits = rows.saturating_mul(rows - 1).saturating_mul(size_of::<f32>() / 2) <= matrix_bytes;
    if linkage == Linkage::Ward && !fits {
        let mut found = means::agglomerate(points, &mut progress)?;
        heights::of_means(points, &mut found);
        return Ok(Tree::new(rows, found));
    }
    let space = Space::new(points, metric)?;
    if linkage == Linkage::Single {
        let edges = if fits {
            spanning::of_matrix(&finite(space.condensed()?)?, rows, &mut progress)?
        } else {
            spanning::row_by_row(&space, &mut progress)?
        };
        return Ok(Tree::new(rows, spanning::merges(points, metric, edges)));
    }
    let mut matrix = finite(space.condensed()?)?;
    let mut found = match linkage {
        Linkage::Ward => {
            square(&mut matrix);
            rounds::agglomerate::<rounds::Ward>(matrix, rows, &mut progress)?
        }
        Linkage::Average => rounds::agglomerate::<rounds::Average>(matrix, rows, &mut progress)?,
        Linkage::Complete | Linkage::Single => rounds::agglomerate::<rounds::Complete>(matrix, rows, &mut progress)?,
    };
    match (linkage, metric) {
        (Linkage::Ward, _) => heights::of_means(points, &mut found),
        (Linkage::Average, Metric::Cosine) => heights::of_mean_cosines(points, &mut found),
        _ => heights::of_small_clusters(points, linkage, metric, &mut found),
    }
    Ok(Tree::new(rows, found))
}

/// Numbers of the matrix that one task works on.
const CHUNK: usize = 1 << 16;

fn finite(matrix: Vec<f32>) -> Result<Vec<f32>, ClusterError> {
    // Infinity and NaN are the values whose product with 0 is not 0.
    let rest = |chunk: &[f32]| chunk.iter().fold(0_u32, |rest, value| rest | u32::from(value * 0.0 != 0.0));
    match matrix.par_chunks(CHUNK).find_any(|chunk| rest(chunk) != 0) {
        None => Ok(matrix),
        Some(_) => Err(ClusterError::Parameter {
            parameter: "points",
            value: "too far apart".to_owned(),
            rule: "distances must be below 3.4e38, the largest number of 32 bits".to_owned(),
        }),
    }
}

/// Squares the distances, after a scaling by a power of two that keeps the squares within 32 bits. Ward's heights are
/// computed anew at the end, so the scale need not be known.
fn square(matrix: &mut [f32]) {
    let larger = |a: f32, b: f32| if a < b { b } else { a };
    let most = matrix.par_chunks(CHUNK).map(|chunk| chunk.iter().copied().fold(0.0, larger)).reduce(|| 0.0, larger);
    let scale = if most > 0.0 { (-f64::from(most).log2().floor()).exp2() } else { 1.0 };
    // In two steps, because 2^149, for the smallest numbers, is beyond 32 bits.
    let (half, rest) = (scale.clamp(1e-30, 1e30) as f32, (scale / f64::from(scale.clamp(1e-30, 1e30) as f32)) as f32);
    matrix.par_chunks_mut(CHUNK).for_each(|chunk| {
        for value in chunk {
            let scaled = *value * half * rest;
            *value = scaled * scaled;
        }
    });
}

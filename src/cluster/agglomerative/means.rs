//! Ward linkage without a matrix: rounds of merges over the means of the clusters. Memory O(n d).
//!
//! Ward's distance is 2 s t / (s + t) times the squared distance of the means, so in a group of clusters of like sizes
//! the nearest by Ward is among the nearest by distance. Clusters are grouped by the power of two below their size;
//! each group is searched for a few nearest means, exactly, and what is not among them has a lower bound. Should the
//! bound leave any doubt, the search is repeated for more. As in `chain`, a neighbour is only looked for when the one
//! known can no longer be the nearest.

use super::tree::Found;
use crate::cluster::ClusterError;
use crate::linalg::{Metric, means, nearest_of};
use crate::points::Points;
use crate::progress::{self, Progress};

/// Neighbours looked for in a group at first.
const NEIGHBOURS: usize = 8;
/// Each further look is for so many times more.
const MORE: usize = 8;
/// Clusters whose neighbours are looked for at once.
const QUERIES: usize = 1 << 14;

/// As `nearest::Nearest`, in squares and in 64 bits.
#[derive(Clone, Copy)]
struct Nearest {
    distance: f64,
    second: f64,
    index: usize,
}

impl Nearest {
    const UNKNOWN: Nearest = Nearest { distance: f64::INFINITY, second: 0.0, index: usize::MAX };

    fn is_known(&self) -> bool {
        self.distance <= self.second
    }
}

/// The clusters that are left, in the order of their first points.
struct Clusters {
    columns: usize,
    /// One row each.
    means: Vec<f32>,
    sizes: Vec<f64>,
    nodes: Vec<u32>,
    nearest: Vec<Nearest>,
}

/// All merges; the heights are squares in 32 bits.
pub(super) fn agglomerate(points: &Points, progress: &mut Progress) -> Result<Vec<Found>, ClusterError> {
    let rows = points.rows();
    let (mut clusters, mut found) = distinct(points);
    progress.advance(found.len() as u64);
    while clusters.sizes.len() > 1 {
        progress::check()?;
        clusters.find_nearest()?;
        let before = found.len();
        clusters.merge(rows, &mut found)?;
        progress.advance((found.len() - before) as u64);
    }
    Ok(found)
}

/// The points around their mean, copies of a point already merged: a round would find but one pair of many copies.
fn distinct(points: &Points) -> (Clusters, Vec<Found>) {
    let (rows, columns) = (points.rows(), points.columns());
    let mut order: Vec<usize> = (0..rows).collect();
    order.sort_by(|&a, &b| {
        // Finite, so every two are comparable, and -0 is 0.
        let different =
            points.row(a).iter().zip(points.row(b)).find_map(|(a, b)| a.partial_cmp(b).filter(|o| o.is_ne()));
        different.unwrap_or(a.cmp(&b))
    });
    let mut found = Vec::new();
    let mut nodes: Vec<u32> = (0..rows as u32).collect();
    let mut sizes = vec![1.0; rows];
    for copies in order.chunk_by(|&a, &b| points.row(a) == points.row(b)) {
        let first = copies[0];
        for &copy in &copies[1..] {
            found.push(Found { first: nodes[first], second: copy as u32, height: 0.0 });
            nodes[first] = (rows + found.len() - 1) as u32;
            sizes[first] += 1.0;
            sizes[copy] = 0.0;
        }
    }
    let left: Vec<usize> = (0..rows).filter(|&row| sizes[row] > 0.0).collect();
    let centre = means(points);
    let around = |&row: &usize| points.row(row).iter().zip(&centre).map(|(&x, centre)| (f64::from(x) - centre) as f32);
    let clusters = Clusters {
        columns,
        means: left.iter().flat_map(around).collect(),
        sizes: left.iter().map(|&row| sizes[row]).collect(),
        nodes: left.iter().map(|&row| nodes[row]).collect(),
        nearest: vec![Nearest::UNKNOWN; left.len()],
    };
    (clusters, found)
}

/// What Ward's distance is made of.
fn factor(s: f64, t: f64) -> f64 {
    2.0 * s * t / (s + t)
}

impl Clusters {
    fn mean(&self, at: usize) -> &[f32] {
        &self.means[at * self.columns..(at + 1) * self.columns]
    }

    fn points(&self, clusters: &[usize]) -> Result<Points, ClusterError> {
        let values = clusters.iter().flat_map(|&at| self.mean(at)).copied().collect();
        Ok(Points::new(clusters.len(), self.columns, values)?)
    }

    fn ward(&self, a: usize, b: usize) -> f64 {
        let differences = self.mean(a).iter().zip(self.mean(b)).map(|(&a, &b)| f64::from(a) - f64::from(b));
        factor(self.sizes[a], self.sizes[b]) * differences.map(|difference| difference * difference).sum::<f64>()
    }

    /// Finds the nearest neighbours of all clusters for which what is known does not tell.
    fn find_nearest(&mut self) -> Result<(), ClusterError> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (at, size) in self.sizes.iter().enumerate() {
            let group = size.log2() as usize;
            if groups.len() <= group {
                groups.resize(group + 1, Vec::new());
            }
            groups[group].push(at);
        }
        groups.retain(|group| !group.is_empty());
        let groups: Vec<(Points, Vec<usize>)> =
            groups.into_iter().map(|group| Ok((self.points(&group)?, group))).collect::<Result<_, ClusterError>>()?;
        let mut count = NEIGHBOURS;
        loop {
            let unknown: Vec<usize> = (0..self.sizes.len()).filter(|&at| !self.nearest[at].is_known()).collect();
            if unknown.is_empty() {
                return Ok(());
            }
            for queries in unknown.chunks((QUERIES / count * NEIGHBOURS).max(64)) {
                self.look(queries, &groups, count)?;
            }
            count = count.saturating_mul(MORE);
        }
    }

    /// Looks for the nearest neighbours among `count` nearest means of each group.
    fn look(&mut self, queries: &[usize], groups: &[(Points, Vec<usize>)], count: usize) -> Result<(), ClusterError> {
        let points = self.points(queries)?;
        let mut nearest =
            vec![Nearest { distance: f64::INFINITY, second: f64::INFINITY, index: usize::MAX }; queries.len()];
        for (base, group) in groups {
            // One more, because a cluster finds itself.
            let lists = nearest_of(base, &points, Metric::Euclidean, count.saturating_add(1))?;
            let least = group.iter().map(|&at| self.sizes[at]).fold(f64::INFINITY, f64::min);
            for (at, (&query, nearest)) in queries.iter().zip(&mut nearest).enumerate() {
                let (indices, distances) = lists.of(at);
                for (&index, &distance) in indices.iter().zip(distances) {
                    let other = group[index as usize];
                    if other == query {
                        continue;
                    }
                    let ward = factor(self.sizes[query], self.sizes[other]) * f64::from(distance).powi(2);
                    if ward < nearest.distance || (ward == nearest.distance && other < nearest.index) {
                        *nearest = Nearest { distance: ward, second: nearest.distance, index: other };
                    } else {
                        nearest.second = nearest.second.min(ward);
                    }
                }
                if let (Some(&last), true) = (distances.last(), indices.len() < group.len()) {
                    let bound = factor(self.sizes[query], least) * f64::from(last).powi(2);
                    nearest.second = nearest.second.min(bound);
                }
            }
        }
        for (&query, nearest) in queries.iter().zip(nearest) {
            self.nearest[query] = nearest;
        }
        Ok(())
    }

    /// Merges all pairs that are each other's nearest; if rounding leaves none, the nearest pair.
    fn merge(&mut self, rows: usize, found: &mut Vec<Found>) -> Result<(), ClusterError> {
        let count = self.sizes.len();
        let index: Vec<usize> = self.nearest.iter().map(|nearest| nearest.index).collect();
        let mut pairs: Vec<(usize, usize)> =
            (0..count).filter(|&at| at < index[at] && index[index[at]] == at).map(|at| (at, index[at])).collect();
        if pairs.is_empty() {
            let nearest = (0..count).min_by(|&a, &b| self.nearest[a].distance.total_cmp(&self.nearest[b].distance));
            pairs.extend(nearest.map(|at| (at.min(index[at]), at.max(index[at]))));
        }
        let mut gone = vec![false; count];
        let mut merged = vec![false; count];
        for &(a, b) in &pairs {
            let height = self.ward(a, b);
            found.push(Found { first: self.nodes[a], second: self.nodes[b], height });
            self.nodes[a] = (rows + found.len() - 1) as u32;
            let (s, t) = (self.sizes[a], self.sizes[b]);
            let (before, after) = self.means.split_at_mut(b * self.columns);
            let first = &mut before[a * self.columns..(a + 1) * self.columns];
            for (first, &second) in first.iter_mut().zip(&after[..self.columns]) {
                *first = ((f64::from(*first) * s + f64::from(second) * t) / (s + t)) as f32;
            }
            self.sizes[a] = s + t;
            self.nearest[a] = Nearest::UNKNOWN;
            (gone[b], merged[a], merged[b]) = (true, true, true);
        }
        // The others: no cluster came nearer, but the nearest may have gone farther.
        let mut to: Vec<usize> = (0..count).collect();
        pairs.iter().for_each(|&(a, b)| to[b] = a);
        for at in (0..count).filter(|&at| !merged[at]) {
            let nearest = index[at];
            if merged[nearest] {
                self.nearest[at].index = to[nearest];
                self.nearest[at].distance = self.ward(at, to[nearest]);
            }
        }
        self.close_ranks(&gone);
        Ok(())
    }

    /// Takes out clusters that are gone.
    fn close_ranks(&mut self, gone: &[bool]) {
        let mut place = vec![0; gone.len()];
        let mut next = 0;
        for at in 0..gone.len() {
            place[at] = next;
            if !gone[at] {
                self.means.copy_within(at * self.columns..(at + 1) * self.columns, next * self.columns);
                self.sizes[next] = self.sizes[at];
                self.nodes[next] = self.nodes[at];
                self.nearest[next] = self.nearest[at];
                next += 1;
            }
        }
        self.means.truncate(next * self.columns);
        self.sizes.truncate(next);
        self.nodes.truncate(next);
        self.nearest.truncate(next);
        for nearest in &mut self.nearest {
            nearest.index = place.get(nearest.index).copied().unwrap_or(usize::MAX);
        }
    }
}

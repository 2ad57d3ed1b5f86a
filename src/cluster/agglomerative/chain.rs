//! Merges one at a time, along a chain of nearest neighbours (Müllner 2011, figure 3), with remembered neighbours.
//!
//! A chain goes from a cluster to its nearest neighbour, from there to that one's, until two are each other's: these
//! are merged, and the chain goes on from the cluster before them. A row is read only when what is remembered of it
//! does not tell its nearest neighbour: merging never brings clusters nearer, so the neighbour found last stays the
//! nearest while it is no farther than the second nearest was then. That spares most of the reading where one big
//! cluster takes in the others one by one, which average linkage is prone to.

use super::nearest::Nearest;
use super::rounds::{Clusters, Formula, Matrix, Pair};
use crate::progress::{self, Cancelled};

/// The rows of dead clusters are left in the matrix until they are one in this many.
const DEAD: usize = 4;
/// With no more clusters than this all are merged, as the matrix is not worth to be written anew.
const FEW: usize = 64;
/// Merges between two looks whether to stop.
const ROUND: usize = 256;

struct Chain<'clusters> {
    clusters: &'clusters mut Clusters,
    /// The clusters that are left, ascending.
    alive: Vec<u32>,
    /// Infinity for the others, 0 for them.
    penalties: Vec<f32>,
    /// The distances of two clusters to all others, by number.
    first: Vec<f32>,
    second: Vec<f32>,
}

/// Merges a fair share of the clusters, and returns those that are left. `rows`: points in all.
pub(super) fn merge_some<F: Formula>(clusters: &mut Clusters, rows: usize) -> Result<Vec<u32>, Cancelled> {
    let count = clusters.matrix.clusters;
    let wanted = if count <= FEW { 1 } else { count - count / DEAD };
    let mut state = Chain {
        alive: (0..count as u32).collect(),
        penalties: vec![0.0; count],
        first: vec![0.0; count],
        second: vec![0.0; count],
        clusters,
    };
    let mut chain: Vec<usize> = Vec::new();
    while state.alive.len() > wanted {
        let tip = match chain.last() {
            Some(&tip) => tip,
            None => {
                let start = state.alive[0] as usize;
                chain.push(start);
                start
            }
        };
        let nearest = state.nearest(tip);
        // A tie goes to the cluster before, or a chain of equal distances might go round in circles.
        let before = chain.len().checked_sub(2).map(|at| chain[at]);
        match before {
            Some(before) if state.clusters.nearest.distance[before] <= nearest.distance => {
                chain.truncate(chain.len() - 2);
                let merged = state.merge::<F>(before, tip, rows);
                if chain.is_empty() {
                    chain.push(merged);
                }
                if state.clusters.found.len().is_multiple_of(ROUND) {
                    progress::check()?;
                }
            }
            _ => chain.push(nearest.index as usize),
        }
    }
    Ok(state.alive)
}

impl Chain<'_> {
    /// The nearest neighbour of a cluster.
    fn nearest(&mut self, at: usize) -> Nearest {
        let known = self.clusters.nearest.get(at);
        if known.distance <= known.second {
            return known;
        }
        let matrix = &self.clusters.matrix;
        let mut before = Nearest::NONE;
        for &other in self.alive.iter().take_while(|&&other| (other as usize) < at) {
            let distance = matrix.values[matrix.start(other as usize) + at - other as usize - 1];
            before = before.and(Nearest { distance, second: f32::INFINITY, index: other });
        }
        let found = before.and(Nearest::of_alive(matrix.row(at), &self.penalties[at + 1..], at + 1));
        self.clusters.nearest.set(at, found);
        found
    }

    /// Merges two clusters that are each other's nearest; returns the number of the new one, the lower of the two.
    fn merge<F: Formula>(&mut self, a: usize, b: usize, rows: usize) -> usize {
        let (low, high) = (a.min(b), a.max(b));
        let between = self.clusters.nearest.distance[a];
        self.clusters.note::<F>(low, high, between, rows);
        let sizes = &mut self.clusters.sizes;
        let pair = Pair { first: sizes[low], second: sizes[high], between };
        sizes[low] += sizes[high];
        self.penalties[high] = f32::INFINITY;
        if let Ok(place) = self.alive.binary_search(&(high as u32)) {
            self.alive.remove(place);
        }
        read(&self.clusters.matrix, &self.alive, low, &mut self.first);
        read(&self.clusters.matrix, &self.alive, high, &mut self.second);
        for ((first, &second), &size) in self.first.iter_mut().zip(&self.second).zip(&self.clusters.sizes) {
            *first = F::apply(pair, size, *first, second);
        }
        self.write(low);
        self.penalties[low] = f32::INFINITY;
        let nearest = Nearest::of_alive(&self.first, &self.penalties, 0);
        self.penalties[low] = 0.0;
        let known = &mut self.clusters.nearest;
        for ((distance, index), &new) in known.distance.iter_mut().zip(&mut known.index).zip(&self.first) {
            let touched = *index == low as u32 || *index == high as u32;
            *distance = if touched { new } else { *distance };
            *index = if touched { low as u32 } else { *index };
        }
        known.set(low, nearest);
        low
    }

    /// Puts the distances in `first` into the matrix.
    fn write(&mut self, row: usize) {
        let matrix = &mut self.clusters.matrix;
        for &other in self.alive.iter().take_while(|&&other| (other as usize) < row) {
            let at = matrix.start(other as usize) + row - other as usize - 1;
            matrix.values[at] = self.first[other as usize];
        }
        let start = matrix.start(row);
        matrix.values[start..][..matrix.clusters - row - 1].copy_from_slice(&self.first[row + 1..]);
    }
}

/// The distances of a cluster to all others that are left. What is in the places of the others is no matter.
fn read(matrix: &Matrix, alive: &[u32], row: usize, distances: &mut [f32]) {
    for &other in alive.iter().take_while(|&&other| (other as usize) < row) {
        distances[other as usize] = matrix.values[matrix.start(other as usize) + row - other as usize - 1];
    }
    distances[row] = 0.0;
    distances[row + 1..].copy_from_slice(matrix.row(row));
}

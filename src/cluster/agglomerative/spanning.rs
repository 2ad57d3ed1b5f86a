//! Single linkage: the edges of a minimum spanning tree, shortest first, are the merges.
//!
//! On a matrix by Borůvka's algorithm: a round joins every group of points to the nearest other group, in one pass over
//! the matrix that reads it in order, and halves the number of groups at least. Without one by Prim's.

use rayon::prelude::*;

use super::nearest::{Nearest, see, see_from_other_groups};
use super::rounds::{COLUMNS, next_block, start};
use super::tree::Found;
use crate::linalg::{Metric, Space};
use crate::points::Points;
use crate::progress::{self, Cancelled, Progress};

/// Edges between two looks whether to stop.
const ROUND: usize = 512;

/// Two points joined by the spanning tree.
pub(super) type Edge = (u32, u32);

/// The spanning tree of `rows` points at the distances of a condensed matrix. Of equal distances the one between lower
/// points is the smaller, which keeps circles out.
pub(super) fn of_matrix(values: &[f32], rows: usize, progress: &mut Progress) -> Result<Vec<Edge>, Cancelled> {
    let mut sets = Sets::new(rows);
    let mut edges = Vec::with_capacity(rows.saturating_sub(1));
    while edges.len() + 1 < rows {
        let groups: Vec<u32> = (0..rows as u32).map(|row| sets.root(row)).collect();
        let nearest = nearest_of_other_groups(values, &groups)?;
        let mut best: Vec<Option<(f32, Edge)>> = vec![None; rows];
        for ((row, &group), nearest) in (0..).zip(&groups).zip(nearest) {
            let found = (nearest.distance, (nearest.index.min(row), nearest.index.max(row)));
            let best = &mut best[group as usize];
            if nearest.index != u32::MAX && best.is_none_or(|best| found < best) {
                *best = Some(found);
            }
        }
        let before = edges.len();
        for (_, (a, b)) in best.into_iter().flatten() {
            if sets.join(a, b) {
                edges.push((a, b));
            }
        }
        progress.advance((edges.len() - before) as u64);
    }
    Ok(edges)
}

/// For each point the nearest one of another group.
fn nearest_of_other_groups(values: &[f32], groups: &[u32]) -> Result<Vec<Nearest>, Cancelled> {
    let rows = groups.len();
    let (mut distances, mut indices) = (vec![f32::INFINITY; rows], vec![u32::MAX; rows]);
    let mut nearest = Vec::with_capacity(rows);
    let mut begin = 0;
    while begin < rows {
        progress::check()?;
        let end = next_block(rows, begin);
        let row = |row: usize| &values[start(rows, row)..][..rows - row - 1];
        let after = |at: usize| Nearest::of_other_groups(row(at), &groups[at + 1..], groups[at], at + 1);
        nearest.par_extend((begin..end).into_par_iter().map(after));
        let chunks = distances.par_chunks_mut(COLUMNS).zip(indices.par_chunks_mut(COLUMNS)).enumerate();
        chunks.for_each(|(chunk, (distances, indices))| {
            let (low, high) = (chunk * COLUMNS, chunk * COLUMNS + distances.len());
            for at in begin..end.min(high) {
                let first = low.max(at + 1);
                let to = (&mut distances[first - low..], &mut indices[first - low..]);
                let seen = (&row(at)[first - at - 1..high - at - 1], &groups[first..high]);
                see_from_other_groups(to, seen, groups[at], at as u32);
            }
        });
        begin = end;
    }
    let before = distances.into_iter().zip(indices);
    let before = before.map(|(distance, index)| Nearest { distance, second: f32::INFINITY, index });
    Ok(before.zip(nearest).map(|(before, after)| before.and(after)).collect())
}

/// The spanning tree of points whose distances are computed when needed: n^2 of them, in memory O(n).
pub(super) fn row_by_row(space: &Space, progress: &mut Progress) -> Result<Vec<Edge>, Cancelled> {
    prim(space.rows(), progress, |row, _, distances| {
        space.distances_from(row, 0, distances);
    })
}

/// `distances_from(row, outside, distances)` writes the distances of a point to those where `outside` is 0.
fn prim(
    rows: usize,
    progress: &mut Progress,
    distances_from: impl Fn(usize, &[f32], &mut [f32]),
) -> Result<Vec<Edge>, Cancelled> {
    let mut edges = Vec::with_capacity(rows.saturating_sub(1));
    // What a point adds to its distances: infinity once it is in the tree.
    let mut outside = vec![0.0_f32; rows];
    let mut distances = vec![0.0; rows];
    let mut nearest = vec![f32::INFINITY; rows];
    let mut second = vec![f32::INFINITY; rows];
    let mut from = vec![u32::MAX; rows];
    let mut at = 0;
    while edges.len() + 1 < rows {
        outside[at] = f32::INFINITY;
        distances_from(at, &outside, &mut distances);
        see(&mut nearest, &mut second, &mut from, &distances, at as u32);
        let next = Nearest::of_alive(&nearest, &outside, 0).index as usize;
        edges.push((from[next], next as u32));
        at = next;
        if edges.len().is_multiple_of(ROUND) {
            progress::check()?;
            progress.advance(ROUND as u64);
        }
    }
    Ok(edges)
}

/// The merges that the edges stand for, with their lengths in 64 bits.
pub(super) fn merges(points: &Points, metric: Metric, edges: Vec<Edge>) -> Vec<Found> {
    let rows = points.rows();
    let length = |(a, b): Edge| (metric.distance(points.row(a as usize), points.row(b as usize)), a, b);
    let mut edges: Vec<(f64, u32, u32)> = edges.into_iter().map(length).collect();
    edges.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut sets = Sets::new(rows);
    let mut nodes: Vec<u32> = (0..rows as u32).collect();
    let mut found = Vec::with_capacity(edges.len());
    for (height, a, b) in edges {
        let (first, second) = (nodes[sets.root(a) as usize], nodes[sets.root(b) as usize]);
        sets.join(a, b);
        found.push(Found { first, second, height });
        nodes[sets.root(a) as usize] = (rows + found.len() - 1) as u32;
    }
    found
}

/// Sets of points that are joined.
struct Sets {
    above: Vec<u32>,
}

impl Sets {
    /// Each point alone.
    fn new(rows: usize) -> Sets {
        Sets { above: (0..rows as u32).collect() }
    }

    /// The point that stands for the set of this one; halves the way there for the next time.
    fn root(&mut self, mut at: u32) -> u32 {
        while self.above[at as usize] != at {
            let above = self.above[at as usize];
            self.above[at as usize] = self.above[above as usize];
            at = above;
        }
        at
    }

    /// Makes one set of those of two points; false if they were in one.
    fn join(&mut self, a: u32, b: u32) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        self.above[a.max(b) as usize] = a.min(b);
        a != b
    }
}

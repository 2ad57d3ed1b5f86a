//! The minimum spanning tree of mutual reachability, by Borůvka's rule on lists of nearest neighbours.
//!
//! A group of points that the tree has joined so far may be joined to another by its lightest edge to any point
//! outside. Lists of nearest neighbours give candidates, and bounds: an edge of a point that is in no list is at least
//! as heavy as the distance to the point's last neighbour. Where a group's lightest candidate is within the bounds of
//! all its points, it is the lightest edge. Where it is not, the points whose bounds are too low are searched against
//! all others, but for pieces of the distances whose least is too large: the search for neighbours told these. Distances
//! in 32 bits only decide what is looked at; edges are compared in 64 bits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::Edge;
use super::unite::Sets;
use crate::cluster::ClusterError;
use crate::linalg::{self, Floors, Metric, Neighbours, Space};
use crate::points::Points;
use crate::progress::{self, Progress};

/// Neighbours listed at least: more cost little and leave less to search.
const MIN_LISTED: usize = 16;
/// What a 32-bit distance may be off by, as a share of it: ten times what it is.
const SLACK: f64 = 1e-4;

/// The minimum spanning tree, sorted. There are at least two points and `min_samples`; `min_samples` counts the point
/// itself. O(n² d), memory O(n (d + `min_samples`)).
pub(super) fn spanning_tree(
    points: &Points,
    metric: Metric,
    min_samples: usize,
    alpha: f64,
) -> Result<Vec<Edge>, ClusterError> {
    let (graph, mut floors) = Graph::new(points, metric, min_samples, alpha)?;
    let mut forest = Forest::new(graph);
    let mut progress = Progress::if_long("spanning tree", points.rows() as u64 - 1, "edges");
    let mut told = 0;
    while forest.groups() > 1 {
        progress::check()?;
        progress.advance((forest.tree.len() - told) as u64);
        told = forest.tree.len();
        if !forest.join_certain() {
            forest.search(&mut floors)?;
        }
    }
    Ok(forest.finish())
}

/// How points are mutually reachable.
struct Graph<'points> {
    points: &'points Points,
    metric: Metric,
    alpha: f64,
    /// What a 32-bit distance may be off by besides a share of it.
    slack: f64,
    cores: Vec<f64>,
    neighbours: Neighbours,
}

impl<'points> Graph<'points> {
    fn new(
        points: &'points Points,
        metric: Metric,
        min_samples: usize,
        alpha: f64,
    ) -> Result<(Self, Floors), ClusterError> {
        let listed = MIN_LISTED.max(min_samples - 1);
        let space = Space::new(points, metric)?;
        let slack = f64::from(f32::MIN_POSITIVE) + space.rounding();
        let (neighbours, floors) = linalg::nearest_and_floors(space, listed)?;
        let mut graph = Graph { points, metric, alpha, slack, cores: Vec::new(), neighbours };
        let core = |row| if min_samples < 2 { 0.0 } else { graph.core(row, min_samples - 2) };
        graph.cores = (0..points.rows()).into_par_iter().map(core).collect();
        Ok((graph, floors))
    }

    /// What the true distance is at least, given it in 32 bits.
    fn least(&self, distance: f32) -> f64 {
        f64::from(distance.min(f32::MAX)) * (1.0 - SLACK) - self.slack
    }

    /// The distance of a point to its neighbour number `place`, from 0, in 64 bits.
    fn core(&self, row: usize, place: usize) -> f64 {
        let (others, distances) = self.neighbours.of(row);
        // Neighbours whose 32-bit distances are almost the same may stand in another order.
        let slack = f64::from(distances[place]) * SLACK + self.slack;
        let near = |distance: f32| f64::from(distance) - f64::from(distances[place]);
        let first = distances.partition_point(|&distance| near(distance) < -slack);
        let last = distances.partition_point(|&distance| near(distance) <= slack).max(place + 1);
        let exact = |&other: &u32| self.metric.distance(self.points.row(row), self.points.row(other as usize));
        let mut exact: Vec<f64> = others[first..last].iter().map(exact).collect();
        exact.sort_unstable_by(f64::total_cmp);
        // Only scikit-learn's way to cosine distances scales the whole matrix.
        exact[place - first] / if self.metric == Metric::Cosine { self.alpha } else { 1.0 }
    }

    /// The weight of the edge between two points whose distance is `distance`.
    fn weight(&self, a: usize, b: usize, distance: f64) -> f64 {
        (distance / self.alpha).max(self.cores[a]).max(self.cores[b])
    }

    fn edge(&self, a: usize, b: usize) -> Edge {
        let distance = self.metric.distance(self.points.row(a), self.points.row(b));
        Edge { a: a.min(b), b: a.max(b), weight: self.weight(a, b, distance) }
    }

    /// What the edges of a point that are in no list weigh at least.
    fn bound(&self, row: usize) -> f64 {
        match self.neighbours.of(row).1.last() {
            Some(&last) if self.neighbours.k + 1 < self.points.rows() => {
                (self.least(last) / self.alpha).max(self.cores[row])
            }
            _ => f64::INFINITY,
        }
    }

    /// The listed edges that may be in a spanning tree, sorted.
    fn listed(&self) -> Vec<Edge> {
        let mut edges: Vec<(f32, u32, u32)> = (0..self.points.rows())
            .into_par_iter()
            .flat_map_iter(|row| {
                let (others, distances) = self.neighbours.of(row);
                others.iter().zip(distances).map(move |(&other, &distance)| {
                    let weight = self.weight(row, other as usize, f64::from(distance)) as f32;
                    (weight, other.min(row as u32), other.max(row as u32))
                })
            })
            .collect();
        edges.par_sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        // An edge whose ends are already joined by edges that are lighter for certain is in no spanning tree.
        let mut sets = Sets::new(self.points.rows());
        let mut kept: Vec<(f32, u32, u32)> = Vec::new();
        let mut lighter = 0;
        for edge in edges {
            let slack = self.slack / self.alpha;
            let least = (f64::from(edge.0) * (1.0 - SLACK) - slack) / (1.0 + SLACK) - slack;
            while kept.get(lighter).is_some_and(|other| f64::from(other.0) < least) {
                sets.unite(kept[lighter].1 as usize, kept[lighter].2 as usize);
                lighter += 1;
            }
            if kept.last() != Some(&edge) && sets.find(edge.1 as usize) != sets.find(edge.2 as usize) {
                kept.push(edge);
            }
        }
        let mut edges: Vec<Edge> = kept.par_iter().map(|&(_, a, b)| self.edge(a as usize, b as usize)).collect();
        sort(&mut edges);
        edges.dedup();
        edges
    }

    /// Whether a point is the copy of one with a lower number in the same group, which has no lighter edges.
    fn is_copy(&self, row: usize, groups: &[u32]) -> bool {
        let (others, distances) = self.neighbours.of(row);
        let same = others.iter().zip(distances).take_while(|(_, distance)| **distance == 0.0);
        let mut lower = same.map(|(&other, _)| other as usize).filter(|&other| other < row);
        lower.any(|other| groups[other] == groups[row] && self.points.row(other) == self.points.row(row))
    }
}

/// Lighter edges first, equal ones in order of their ends.
fn sort(edges: &mut [Edge]) {
    edges.par_sort_unstable_by(|a, b| order(a).partial_cmp(&order(b)).unwrap_or(std::cmp::Ordering::Equal));
}

fn order(edge: &Edge) -> (f64, usize, usize) {
    (edge.weight, edge.a, edge.b)
}

/// The groups that the tree has joined so far.
struct Forest<'points> {
    graph: Graph<'points>,
    sets: Sets,
    /// The group of each point.
    groups: Vec<u32>,
    /// How many points each group has.
    sizes: Vec<u32>,
    /// What the edges of a point to other groups weigh at least, but for the candidates.
    bounds: Vec<f64>,
    /// Edges between groups, sorted.
    candidates: Vec<Edge>,
    tree: Vec<Edge>,
}

impl<'points> Forest<'points> {
    fn new(graph: Graph<'points>) -> Self {
        let rows = graph.points.rows();
        let candidates = graph.listed();
        Forest {
            sets: Sets::new(rows),
            groups: (0..rows as u32).collect(),
            sizes: vec![1; rows],
            bounds: (0..rows).map(|row| graph.bound(row)).collect(),
            candidates,
            tree: Vec::with_capacity(rows - 1),
            graph,
        }
    }

    fn groups(&self) -> usize {
        self.sizes.len()
    }

    fn finish(mut self) -> Vec<Edge> {
        sort(&mut self.tree);
        self.tree
    }

    /// The number of the lightest candidate of each group.
    fn lightest(&self) -> Vec<Option<usize>> {
        let mut lightest = vec![None; self.groups()];
        for (at, edge) in self.candidates.iter().enumerate() {
            for end in [edge.a, edge.b] {
                lightest[self.groups[end] as usize].get_or_insert(at);
            }
        }
        lightest
    }

    /// Joins groups by candidates that are their lightest edges for certain; false if there are none.
    fn join_certain(&mut self) -> bool {
        let mut least = vec![f64::INFINITY; self.groups()];
        for (&group, &bound) in self.groups.iter().zip(&self.bounds) {
            let least = &mut least[group as usize];
            *least = least.min(bound);
        }
        let before = self.tree.len();
        for (candidate, least) in self.lightest().into_iter().zip(least) {
            let Some(edge) = candidate.map(|at| self.candidates[at]).filter(|edge| edge.weight <= least) else {
                continue;
            };
            if self.sets.find(edge.a) != self.sets.find(edge.b) {
                self.sets.unite(edge.a, edge.b);
                self.tree.push(edge);
            }
        }
        if self.tree.len() == before {
            return false;
        }
        // Groups are numbered in order of their first points.
        let mut numbers = vec![u32::MAX; self.groups.len()];
        self.sizes.clear();
        for row in 0..self.groups.len() {
            let set = self.sets.find(row);
            if numbers[set] == u32::MAX {
                numbers[set] = self.sizes.len() as u32;
                self.sizes.push(0);
            }
            self.groups[row] = numbers[set];
            self.sizes[numbers[set] as usize] += 1;
        }
        self.candidates.retain(|edge| self.groups[edge.a] != self.groups[edge.b]);
        true
    }

    /// Compares points with all others, so that the lightest edges of all groups but the largest are candidates.
    fn search(&mut self, floors: &mut Floors) -> Result<(), ClusterError> {
        let count = self.groups();
        let lightest: Vec<f64> =
            self.lightest().into_iter().map(|at| at.map_or(f64::INFINITY, |at| self.candidates[at].weight)).collect();
        // The largest group need not be searched: the others will be joined to it.
        let largest = (0..count).max_by_key(|&group| (self.sizes[group], group));
        let searched = |row: usize| {
            let group = self.groups[row] as usize;
            match self.graph.is_copy(row, &self.groups) {
                true => Part::None,
                false if Some(group) != largest && self.bounds[row] < lightest[group] => Part::Searched,
                false => Part::Other,
            }
        };
        let parts = (0..self.groups.len()).into_par_iter().map(searched).collect();
        let search = Bridges::new(&self.graph, &self.groups, parts, count);
        self.candidates.iter().for_each(|edge| search.start(edge));
        linalg::search(floors, &search)?;
        let edges = search.finish();

        // Nothing lighter than what was found is left.
        let mut found = lightest;
        for edge in &edges {
            for end in [edge.a, edge.b] {
                let group = self.groups[end] as usize;
                found[group] = found[group].min(edge.weight);
            }
        }
        for (bound, &group) in self.bounds.iter_mut().zip(&self.groups) {
            if Some(group as usize) != largest {
                *bound = bound.max(found[group as usize]);
            }
        }
        self.candidates.extend(edges);
        sort(&mut self.candidates);
        self.candidates.dedup();
        Ok(())
    }
}

/// What a search does with a point.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    /// Its edges are looked for.
    Searched,
    /// It may be an end of such edges.
    Other,
    /// Another one has the same edges.
    None,
}

/// The lightest edges of groups, while they are searched.
struct Bridges<'work, 'points> {
    graph: &'work Graph<'points>,
    groups: &'work [u32],
    parts: Vec<Part>,
    /// The least weights so far, as bits: of numbers that are not negative, these have the same order.
    weights: Vec<AtomicU64>,
    edges: Vec<Mutex<Option<Edge>>>,
}

impl<'work, 'points> Bridges<'work, 'points> {
    fn new(graph: &'work Graph<'points>, groups: &'work [u32], parts: Vec<Part>, count: usize) -> Self {
        let weights = (0..count).map(|_| AtomicU64::new(f64::INFINITY.to_bits())).collect();
        let edges = (0..count).map(|_| Mutex::new(None)).collect();
        Bridges { graph, groups, parts, weights, edges }
    }

    fn start(&self, candidate: &Edge) {
        for end in [candidate.a, candidate.b] {
            self.offer(self.groups[end] as usize, candidate);
        }
    }

    fn weight(&self, group: usize) -> f64 {
        f64::from_bits(self.weights[group].load(Ordering::Relaxed))
    }

    fn offer(&self, group: usize, edge: &Edge) {
        let mut best = self.edges[group].lock().unwrap_or_else(PoisonError::into_inner);
        if best.is_none_or(|best| order(edge) < order(&best)) {
            *best = Some(*edge);
            self.weights[group].store(edge.weight.to_bits(), Ordering::Relaxed);
        }
    }

    fn finish(self) -> Vec<Edge> {
        self.edges.into_iter().filter_map(|edge| edge.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
    }
}

impl linalg::Search for Bridges<'_, '_> {
    fn group(&self, point: usize) -> u32 {
        self.groups[point]
    }

    fn limit(&self, point: usize) -> f32 {
        if self.parts[point] != Part::Searched {
            return -1.0;
        }
        let weight = self.weight(self.groups[point] as usize);
        // Edges of the same weight are wanted too: the ends decide.
        if self.graph.cores[point] > weight {
            return -1.0;
        }
        let limit = (weight * self.graph.alpha + self.graph.slack) * (1.0 + 2.0 * SLACK);
        if limit < f64::from(f32::MAX) { limit as f32 } else { f32::INFINITY }
    }

    fn found(&self, a: usize, b: usize, distance: f32) {
        let group = |point: usize| self.groups[point] as usize;
        if group(a) == group(b) || self.parts[a] == Part::None || self.parts[b] == Part::None {
            return;
        }
        let least = self.graph.weight(a, b, self.graph.least(distance));
        // Whatever is offered does not depend on what else is looked at.
        let wanted = |point: usize| self.parts[point] == Part::Searched && least <= self.weight(group(point));
        let (for_a, for_b) = (wanted(a), wanted(b));
        if for_a || for_b {
            let edge = self.graph.edge(a, b);
            for (wanted, point) in [(for_a, a), (for_b, b)] {
                if wanted && edge.weight <= self.weight(group(point)) {
                    self.offer(group(point), &edge);
                }
            }
        }
    }
}

//! The minimum spanning tree of mutual reachability, by Borůvka's rule on lists of nearest neighbours.
//!
//! A group of points that the tree has joined so far may be joined to another by its lightest edge to any point
//! outside. Lists of nearest neighbours give candidates, and bounds: an edge of a point that is in no list is at least
//! as heavy as the distance to the point's last neighbour. Where a group's lightest candidate is within the bounds of
//! all its points, it is the lightest edge. Where it is not, the points whose bounds are too low are searched against
//! all others: for the lightest edge of each group, or, when only some hundred groups are left, for that of each pair
//! of groups, which completes the tree. Distances in 32 bits only decide what is looked at; edges are compared in 64
//! bits.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::Edge;
use super::unite::Sets;
use crate::cluster::ClusterError;
use crate::linalg::{self, Metric, Neighbours, Space, Task};
use crate::points::Points;

/// Neighbours listed at least: more cost little and leave less to search.
const MIN_LISTED: usize = 16;
/// Rows searched together.
const ROWS_PER_TASK: usize = 512;
/// Groups of up to so many rows share tasks.
const SMALL: usize = 64;
/// Groups among which all pairs are searched at most.
const MAX_PAIRED: usize = 1024;
/// What a 32-bit distance may be off by, as a share of it: ten times what it is.
const SLACK: f64 = 1e-4;
/// What a 32-bit cosine distance may be off by, as it is the difference of numbers around 1.
const COSINE_SLACK: f64 = 4e-6;

/// The minimum spanning tree, sorted. There are at least two points and `min_samples`; `min_samples` counts the point
/// itself. O(n² d), memory O(n (d + `min_samples`)).
pub(super) fn spanning_tree(
    points: &Points,
    metric: Metric,
    min_samples: usize,
    alpha: f64,
) -> Result<Vec<Edge>, ClusterError> {
    let graph = Graph::new(points, metric, min_samples, alpha)?;
    let mut forest = Forest::new(graph)?;
    while forest.groups() > 1 {
        crate::progress::check()?;
        if !forest.join_certain() {
            forest.search()?;
        }
    }
    Ok(forest.finish())
}

/// How points are mutually reachable.
struct Graph<'points> {
    points: &'points Points,
    metric: Metric,
    alpha: f64,
    cores: Vec<f64>,
    neighbours: Neighbours,
}

impl<'points> Graph<'points> {
    fn new(points: &'points Points, metric: Metric, min_samples: usize, alpha: f64) -> Result<Self, ClusterError> {
        let neighbours = linalg::nearest_neighbours(&Space::new(points, metric)?, MIN_LISTED.max(min_samples - 1))?;
        let mut graph = Graph { points, metric, alpha, cores: Vec::new(), neighbours };
        let core = |row| if min_samples < 2 { 0.0 } else { graph.core(row, min_samples - 2) };
        graph.cores = (0..points.rows()).into_par_iter().map(core).collect();
        Ok(graph)
    }

    fn absolute_slack(&self) -> f64 {
        if self.metric == Metric::Cosine { COSINE_SLACK } else { f64::from(f32::MIN_POSITIVE) }
    }

    /// What the true distance is at least, given it in 32 bits.
    fn least(&self, distance: f32) -> f64 {
        f64::from(distance.min(f32::MAX)) * (1.0 - SLACK) - self.absolute_slack()
    }

    /// The distance of a point to its neighbour number `place`, from 0, in 64 bits.
    fn core(&self, row: usize, place: usize) -> f64 {
        let (others, distances) = self.neighbours.of(row);
        // Neighbours whose 32-bit distances are almost the same may stand in another order.
        let slack = f64::from(distances[place]) * SLACK + self.absolute_slack();
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
            let slack = self.absolute_slack() / self.alpha;
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
    fn new(graph: Graph<'points>) -> Result<Self, ClusterError> {
        let rows = graph.points.rows();
        let candidates = graph.listed();
        Ok(Forest {
            sets: Sets::new(rows),
            groups: (0..rows as u32).collect(),
            sizes: vec![1; rows],
            bounds: (0..rows).map(|row| graph.bound(row)).collect(),
            candidates,
            tree: Vec::with_capacity(rows - 1),
            graph,
        })
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
    fn search(&mut self) -> Result<(), ClusterError> {
        let count = self.groups();
        let lightest: Vec<f64> =
            self.lightest().into_iter().map(|at| at.map_or(f64::INFINITY, |at| self.candidates[at].weight)).collect();
        // The largest group, the last, need not be searched: the others will be joined to it.
        let mut by_size: Vec<usize> = (0..count).collect();
        by_size.sort_by_key(|&group| (self.sizes[group], group));
        let mut places = vec![0; count];
        by_size.iter().enumerate().for_each(|(place, &group)| places[group] = place);
        let place = |row: usize| places[self.groups[row] as usize];
        let mut rows: Vec<usize> =
            (0..self.groups.len()).into_par_iter().filter(|&row| !self.graph.is_copy(row, &self.groups)).collect();
        let doubtful = |row: usize| place(row) + 1 < count && self.bounds[row] < lightest[self.groups[row] as usize];
        let some = rows.iter().filter(|&&row| doubtful(row)).count();
        let all = rows.iter().filter(|&&row| place(row) + 1 < count).count();
        // All pairs of groups take more comparisons in 64 bits, a hundred times slower, but then nothing is left to do.
        let paired = count <= MAX_PAIRED.min((rows.len() / 16).max(64)) && all <= 4 * some;
        let searched = |row: usize| if paired { place(row) + 1 < count } else { doubtful(row) };
        let mut counts = vec![0; count];
        rows.iter().for_each(|&row| counts[place(row)] += 1);
        let small = |row: usize| place(row) + 1 < count && counts[place(row)] <= SMALL;
        // Small groups lie together, those of their rows that are searched first; then each of the others.
        rows.sort_by_cached_key(|&row| match small(row) {
            true => (false, !searched(row) as usize, place(row)),
            false => (true, place(row), !searched(row) as usize),
        });
        let tasks = tasks(&rows, small, place, searched, paired);
        let points = self.graph.points.select(&rows)?;
        let space = Space::new(&points, self.graph.metric)?;
        let groups: Vec<u32> = rows.iter().map(|&row| place(row) as u32).collect();
        let search = Bridges::new(&self.graph, &rows, &groups, count, paired);
        search.start(&self.candidates, place);
        linalg::search(&space, &tasks, &search)?;
        let edges = search.finish();

        // Nothing lighter than what was found is left.
        if paired {
            self.bounds.fill(f64::INFINITY);
        } else {
            let mut found = vec![f64::INFINITY; count];
            for edge in &edges {
                for end in [edge.a, edge.b] {
                    let group = self.groups[end] as usize;
                    found[group] = found[group].min(edge.weight);
                }
            }
            let largest = by_size[count - 1];
            for (bound, &group) in self.bounds.iter_mut().zip(&self.groups) {
                let group = group as usize;
                if group != largest {
                    *bound = bound.max(found[group].min(lightest[group]));
                }
            }
        }
        self.candidates.extend(edges);
        sort(&mut self.candidates);
        self.candidates.dedup();
        Ok(())
    }
}

/// The rows that are searched, in pieces, with what they are compared with: everything in other groups, or, if pairs of
/// groups are searched, everything in groups that come later. Small groups share tasks, whose pairs within a group are
/// refused one by one.
fn tasks(
    rows: &[usize],
    small: impl Fn(usize) -> bool,
    place: impl Fn(usize) -> usize,
    searched: impl Fn(usize) -> bool,
    paired: bool,
) -> Vec<Task> {
    let mut tasks = Vec::new();
    let mut push = |rows: Range<usize>, columns: Range<usize>| {
        if !columns.is_empty() {
            tasks.extend(
                rows.clone()
                    .step_by(ROWS_PER_TASK)
                    .map(|first| Task { rows: first..(first + ROWS_PER_TASK).min(rows.end), columns: columns.clone() }),
            );
        }
    };
    let mut start = 0;
    for group in rows.chunk_by(|&a, &b| (small(a) && small(b)) || place(a) == place(b)) {
        let own = start..start + group.iter().take_while(|&&row| searched(row)).count();
        let end = start + group.len();
        match (small(group[0]), paired) {
            (true, true) => own.step_by(ROWS_PER_TASK).for_each(|first| {
                push(first..(first + ROWS_PER_TASK).min(start + group.len()), first..rows.len());
            }),
            (true, false) => push(own, 0..rows.len()),
            (false, true) => push(own, end..rows.len()),
            (false, false) => {
                push(own.clone(), 0..start);
                push(own, end..rows.len());
            }
        }
        start = end;
    }
    tasks
}

/// The lightest edges of groups, or of pairs of groups, while they are searched. Groups are their places in order of
/// size.
struct Bridges<'work, 'points> {
    graph: &'work Graph<'points>,
    /// The points in the order of the search.
    rows: &'work [usize],
    /// Their groups.
    groups: &'work [u32],
    paired: bool,
    /// The least weights so far, as bits: of numbers that are not negative, these have the same order.
    weights: Vec<AtomicU64>,
    edges: Vec<Mutex<Option<Edge>>>,
}

impl<'work, 'points> Bridges<'work, 'points> {
    fn new(
        graph: &'work Graph<'points>,
        rows: &'work [usize],
        groups: &'work [u32],
        count: usize,
        paired: bool,
    ) -> Bridges<'work, 'points> {
        let slots = if paired { count * (count - 1) / 2 } else { count };
        let weights = (0..slots).map(|_| AtomicU64::new(f64::INFINITY.to_bits())).collect();
        let edges = (0..slots).map(|_| Mutex::new(None)).collect();
        Bridges { graph, rows, groups, paired, weights, edges }
    }

    fn start(&self, candidates: &[Edge], place: impl Fn(usize) -> usize) {
        for edge in candidates {
            let (a, b) = (place(edge.a), place(edge.b));
            self.offer(self.slot(a, b), edge);
            if !self.paired {
                self.offer(self.slot(b, a), edge);
            }
        }
    }

    /// Where the lightest edge from a group to another is kept.
    fn slot(&self, from: usize, to: usize) -> usize {
        let (low, high) = (from.min(to), from.max(to));
        if self.paired { high * (high - 1) / 2 + low } else { from }
    }

    fn weight(&self, slot: usize) -> f64 {
        f64::from_bits(self.weights[slot].load(Ordering::Relaxed))
    }

    fn offer(&self, slot: usize, edge: &Edge) {
        let mut best = self.edges[slot].lock().unwrap_or_else(PoisonError::into_inner);
        if best.is_none_or(|best| order(edge) < order(&best)) {
            *best = Some(*edge);
            self.weights[slot].store(edge.weight.to_bits(), Ordering::Relaxed);
        }
    }

    fn finish(self) -> Vec<Edge> {
        self.edges.into_iter().filter_map(|edge| edge.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
    }
}

impl linalg::Search for Bridges<'_, '_> {
    fn limit(&self, task: &Task, column: usize) -> f32 {
        let to = self.groups[column] as usize;
        let (first, last) = (self.groups[task.rows.start] as usize, self.groups[task.rows.end - 1] as usize);
        let others = (first..=last).filter(|&from| from != to);
        let weight = others.map(|from| self.weight(self.slot(from, to))).fold(-1.0, f64::max);
        // Edges of the same weight are wanted too: the ends decide.
        let limit = (weight * self.graph.alpha + self.graph.absolute_slack()) * (1.0 + 2.0 * SLACK);
        if limit < f64::from(f32::MAX) { limit as f32 } else { f32::INFINITY }
    }

    fn found(&self, row: usize, column: usize, distance: f32) -> bool {
        let (from, to) = (self.groups[row] as usize, self.groups[column] as usize);
        if from == to {
            return false;
        }
        let slot = self.slot(from, to);
        let weight = self.weight(slot);
        let (a, b) = (self.rows[row], self.rows[column]);
        if self.graph.weight(a, b, self.graph.least(distance)) > weight {
            return false;
        }
        let edge = self.graph.edge(a, b);
        if edge.weight > weight {
            return false;
        }
        self.offer(slot, &edge);
        edge.weight < weight
    }
}

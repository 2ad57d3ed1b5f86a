//! Louvain community detection: groups of a weighted graph that have more weight inside than chance would put there.
//!
//! Blondel, Guillaume, Lambiotte and Lefebvre, "Fast unfolding of communities in large networks" (2008), with the
//! steps and the rules to stop of networkx's `louvain_communities`: nodes move, in one random order a level, to the
//! neighbouring community with the largest gain, until none moves; then communities become nodes. The random order is
//! not networkx's, whose generator belongs to Python: partitions differ, their modularity is as high.

mod graph;
#[cfg(test)]
mod tests;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use super::ClusterError;
use crate::linalg::{Metric, Space, nearest_neighbours};
use crate::points::Points;
use crate::progress::{self, Progress};
use graph::{Dense, Graph, Sparse};

/// Nodes visited between two looks at whether to stop.
const NODES_PER_CHECK: usize = 256;
/// A move must gain more than this part of the terms that are compared, so that rounding errors move nothing.
const SMALLEST_GAIN: f64 = 1e-12;

/// Which points are joined by an edge. The weight of an edge is 1 / (1 + distance).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LouvainGraph {
    /// All pairs of points.
    #[default]
    Complete,
    /// Each point and this many nearest others, whichever of the two finds the other near.
    Neighbors(usize),
}

/// The parameters of Louvain community detection.
///
/// `Louvain { resolution: 1.5, ..Louvain::default() }.fit(&points)?`
#[derive(Clone, Debug)]
pub struct Louvain {
    /// Which points are joined; all by default.
    pub graph: LouvainGraph,
    /// The distance that weights come from; Euclidean by default.
    pub metric: Metric,
    /// How much weight chance is credited with; 1 by default. The larger, the smaller the communities.
    pub resolution: f64,
    /// The least gain of modularity that a level must bring to be followed by another; 1e-7 by default.
    pub threshold: f64,
    /// Whether each point is also joined to itself, with weight 1; not by default.
    pub self_loops: bool,
    /// The seed of the order in which nodes are visited; 0 by default.
    pub seed: u64,
}

impl Default for Louvain {
    fn default() -> Self {
        Louvain {
            graph: LouvainGraph::Complete,
            metric: Metric::Euclidean,
            resolution: 1.0,
            threshold: 1e-7,
            self_loops: false,
            seed: 0,
        }
    }
}

/// What Louvain community detection found.
#[derive(Clone, Debug)]
pub struct LouvainFit {
    /// The community of each point, from 0, numbered in the order of their first points.
    pub labels: Vec<i32>,
    /// The modularity of the communities at the resolution asked for, at most 1; 0 for a graph without edges.
    pub modularity: f64,
    /// How many times nodes were moved and communities made nodes; 0 for a graph without edges.
    pub n_levels: usize,
}

impl Louvain {
    /// Finds the communities of the points' graph.
    ///
    /// A complete graph is a matrix of n^2 numbers of 32 bits; a visit to all nodes costs O(n^2), and some tens of
    /// them are needed. With neighbours, the search for them costs most. Only the search, the matrix and the step from
    /// one level to the next use all threads.
    ///
    /// # Errors
    /// No points; `resolution` or `threshold` negative or not finite; 0 neighbours; no memory.
    pub fn fit(&self, points: &Points) -> Result<LouvainFit, ClusterError> {
        self.check()?;
        let rows = points.rows();
        check_nodes("points", rows)?;
        let loops = vec![if self.self_loops { 1.0 } else { 0.0 }; rows];
        let space = Space::new(points, self.metric)?;
        match self.graph {
            LouvainGraph::Complete => {
                let mut weights = space.square()?;
                weights.par_chunks_mut(rows).enumerate().for_each(|(row, weights)| {
                    weights.iter_mut().for_each(|value| *value = 1.0 / (1.0 + *value));
                    weights[row] = 0.0;
                });
                self.communities(&Dense { weights, loops })
            }
            LouvainGraph::Neighbors(0) => Err(ClusterError::Zero { parameter: "neighbors" }),
            LouvainGraph::Neighbors(count) => {
                let neighbours = nearest_neighbours(&space, count)?;
                let mut edges = Vec::with_capacity(rows * neighbours.k);
                for row in 0..rows {
                    let (others, distances) = neighbours.of(row);
                    let weight = |distance: f32| 1.0 / (1.0 + f64::from(distance));
                    let edge = |(&other, &distance): (&u32, &f32)| (row as u32, other, weight(distance));
                    edges.extend(others.iter().zip(distances).map(edge));
                }
                self.communities(&Sparse::new(loops, &edges, f64::max))
            }
        }
    }

    /// Finds the communities of any graph of `nodes` nodes without directions, given as edges (a, b, weight). An edge
    /// from a node to itself is a loop; edges between the same nodes, in either direction, add up. `graph`, `metric`
    /// and `self_loops` play no part. O((nodes + edges) log edges), and O(edges) for a visit to all nodes.
    ///
    /// # Errors
    /// No nodes; a node that is not below `nodes`; a weight that is negative or not finite, or whose sum is not;
    /// `resolution` or `threshold` negative or not finite.
    pub fn fit_edges(&self, nodes: usize, edges: &[(u32, u32, f64)]) -> Result<LouvainFit, ClusterError> {
        self.check()?;
        check_nodes("nodes", nodes)?;
        let mut loops = vec![0.0; nodes];
        let mut between = Vec::with_capacity(edges.len());
        for &(a, b, weight) in edges {
            let wrong = |value: String, rule: String| Err(ClusterError::Parameter { parameter: "edges", value, rule });
            if let Some(beyond) = [a, b].into_iter().find(|&node| node as usize >= nodes) {
                return wrong(
                    format!("({a}, {b}, {weight})"),
                    format!("there is no node {beyond}, only {nodes} nodes"),
                );
            }
            if !weight.is_finite() || weight < 0.0 {
                let rule = "the weight must be a finite number that is not negative".to_owned();
                return wrong(format!("({a}, {b}, {weight})"), rule);
            }
            if a == b {
                loops[a as usize] += weight;
            } else if weight > 0.0 {
                between.push((a, b, weight));
            }
        }
        self.communities(&Sparse::new(loops, &between, |a, b| a + b))
    }

    fn check(&self) -> Result<(), ClusterError> {
        for (parameter, value) in [("resolution", self.resolution), ("threshold", self.threshold)] {
            if !value.is_finite() || value < 0.0 {
                let rule = "it must be a finite number that is not negative".to_owned();
                return Err(ClusterError::Parameter { parameter, value: value.to_string(), rule });
            }
        }
        Ok(())
    }

    /// All levels, from the given graph on.
    fn communities(&self, graph: &impl Graph) -> Result<LouvainFit, ClusterError> {
        let nodes = graph.nodes();
        let mut labels: Vec<u32> = (0..nodes as u32).collect();
        let level = Level::new(graph, self.resolution);
        if !level.total.is_finite() {
            let rule = "the sum of the weights must be a finite number".to_owned();
            return Err(ClusterError::Parameter { parameter: "edges", value: level.total.to_string(), rule });
        }
        if level.total <= 0.0 {
            return Ok(LouvainFit { labels: labels_from(&labels), modularity: 0.0, n_levels: 0 });
        }
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let singles = labels.clone();
        let before = level.modularity(&singles);
        let mut communities = level.moved(&mut random)?;
        let mut modularity = level.modularity(&communities);
        let mut gain = modularity - before;
        labels.copy_from_slice(&communities);
        let mut n_levels = 1;
        let mut graph = graph.aggregated(&communities);
        while gain > self.threshold {
            let level = Level::new(&graph, self.resolution);
            communities = level.moved(&mut random)?;
            if count(&communities) == graph.nodes() {
                break;
            }
            let after = level.modularity(&communities);
            gain = after - modularity;
            modularity = after;
            labels.iter_mut().for_each(|label| *label = communities[*label as usize]);
            n_levels += 1;
            graph = graph.aggregated(&communities);
        }
        Ok(LouvainFit { labels: labels_from(&labels), modularity, n_levels })
    }
}

fn check_nodes(parameter: &'static str, nodes: usize) -> Result<(), ClusterError> {
    match nodes {
        0 => Err(ClusterError::TooFewRows { rows: 0, needed: 1 }),
        1..=0x7FFF_FFFF => Ok(()),
        _ => {
            let rule = "there must be at most 2147483647".to_owned();
            Err(ClusterError::Parameter { parameter, value: nodes.to_string(), rule })
        }
    }
}

/// Communities are numbered without gaps, so there are as many as the largest number says.
fn count(communities: &[u32]) -> usize {
    communities.iter().max().map_or(0, |&largest| largest as usize + 1)
}

fn labels_from(communities: &[u32]) -> Vec<i32> {
    communities.iter().map(|&community| community as i32).collect()
}

/// Numbers the communities without gaps, in the order of their first nodes.
fn renumber(communities: &mut [u32]) -> usize {
    let mut numbers = vec![u32::MAX; communities.len()];
    let mut next = 0;
    for community in communities {
        let number = &mut numbers[*community as usize];
        if *number == u32::MAX {
            *number = next;
            next += 1;
        }
        *community = *number;
    }
    next as usize
}

/// Moves nodes of one graph between communities.
struct Level<'graph, G> {
    graph: &'graph G,
    resolution: f64,
    /// The weight of the edges of each node; loops count twice.
    degrees: Vec<f64>,
    /// The sum of the degrees: twice the weight of all edges.
    total: f64,
}

impl<'graph, G: Graph> Level<'graph, G> {
    fn new(graph: &'graph G, resolution: f64) -> Self {
        let degrees = graph.degrees();
        Level { graph, resolution, total: degrees.iter().sum(), degrees }
    }

    /// Sum over the communities of (the part of all weight that is inside) - resolution * (the part of all degrees)^2.
    fn modularity(&self, communities: &[u32]) -> f64 {
        let mut degrees = vec![0.0; count(communities)];
        communities.iter().zip(&self.degrees).for_each(|(&community, degree)| degrees[community as usize] += degree);
        let inside = self.graph.inside(communities);
        let part = |(inside, degree): (&f64, &f64)| {
            2.0 * inside / self.total - self.resolution * (degree / self.total) * (degree / self.total)
        };
        inside.iter().zip(&degrees).map(part).sum()
    }

    /// The communities after visits to all nodes, in the same random order, until none moves.
    fn moved(&self, random: &mut ChaCha8Rng) -> Result<Vec<u32>, ClusterError> {
        let nodes = self.degrees.len();
        let order = shuffled(nodes, random);
        let mut communities: Vec<u32> = (0..nodes as u32).collect();
        let mut sizes = vec![1_usize; nodes];
        let mut degrees = self.degrees.clone();
        let mut weights = graph::Weights::new(nodes);
        let mut moves = 1;
        while moves > 0 {
            moves = 0;
            let mut progress = Progress::if_long("louvain", nodes as u64, "nodes of this visit");
            for (visited, &node) in order.iter().enumerate() {
                if visited % NODES_PER_CHECK == 0 {
                    progress::check()?;
                    progress.advance(NODES_PER_CHECK as u64);
                }
                let own = communities[node] as usize;
                self.graph.weights_to(node, &communities, &sizes, &mut weights);
                degrees[own] -= self.degrees[node];
                let best = self.best(node, own, &degrees, &weights);
                weights.clear();
                degrees[best] += self.degrees[node];
                if best != own {
                    communities[node] = best as u32;
                    sizes[own] -= 1;
                    sizes[best] += 1;
                    moves += 1;
                }
            }
            // Fewer communities to look through from now on.
            let left = renumber(&mut communities);
            sizes = vec![0; left];
            degrees = vec![0.0; left];
            for (&community, degree) in communities.iter().zip(&self.degrees) {
                sizes[community as usize] += 1;
                degrees[community as usize] += degree;
            }
        }
        Ok(communities)
    }

    /// The community in which `node` gains most modularity; `own` unless another one is better. The degrees are those
    /// without the node's. Of equally good ones, that with the lowest number.
    fn best(&self, node: usize, own: usize, degrees: &[f64], weights: &graph::Weights) -> usize {
        let chance = self.resolution * self.degrees[node] / self.total;
        let gain = |community: usize| weights.of(community) - chance * degrees[community];
        let tolerance = SMALLEST_GAIN * (weights.of(own) + chance * degrees[own]);
        let (mut best, mut largest) = (own, gain(own) + tolerance);
        for &community in weights.found() {
            let (community, gain) = (community as usize, gain(community as usize));
            if community != own && (gain > largest || (gain == largest && best != own && community < best)) {
                (best, largest) = (community, gain);
            }
        }
        best
    }
}

/// The numbers below `count` in random order.
fn shuffled(count: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        // 64 random bits scaled to 0..=last; what this prefers is beyond measure.
        let other = (u128::from(random.next_u64()) * (last as u128 + 1)) >> 64;
        order.swap(last, other as usize);
    }
    order
}

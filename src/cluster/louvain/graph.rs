//! Graphs that Louvain community detection works on: a matrix, or lists of neighbours.

use rayon::prelude::*;

/// Communities of which the weights are summed in four parts, see [`Weights`].
const FEW: usize = 256;
/// Parts of a sum.
const PARTS: usize = 4;
/// Nodes of one task.
const NODES_PER_CHUNK: usize = 64;

/// What Louvain community detection asks of a weighted graph without directions.
pub(super) trait Graph: Sync {
    /// How many nodes there are.
    fn nodes(&self) -> usize;

    /// The weight of a loop at each node, counted once.
    fn loops(&self) -> &[f64];

    /// Calls `each(other, weight)` for the edges of a node; loops are left out.
    fn edges_of(&self, node: usize, each: impl FnMut(usize, f64));

    /// Sums the weights from a node to the communities of its neighbours.
    fn weights_to(&self, node: usize, communities: &[u32], sizes: &[usize], weights: &mut Weights);

    /// The weight of the edges of each node; loops count twice.
    fn degrees(&self) -> Vec<f64> {
        let degree = |node| {
            let mut sum = 2.0 * self.loops()[node];
            self.edges_of(node, |_, weight| sum += weight);
            sum
        };
        (0..self.nodes()).into_par_iter().map(degree).collect()
    }

    /// The weight inside each community; each edge and loop counts once.
    fn inside(&self, communities: &[u32]) -> Vec<f64> {
        let half = |node: usize| {
            let mut sum = 0.0;
            self.edges_of(node, |other, weight| {
                sum += if communities[other] == communities[node] { weight } else { 0.0 };
            });
            sum / 2.0 + self.loops()[node]
        };
        let halves: Vec<f64> = (0..self.nodes()).into_par_iter().map(half).collect();
        let mut inside = vec![0.0; super::count(communities)];
        communities.iter().zip(halves).for_each(|(&community, half)| inside[community as usize] += half);
        inside
    }

    /// The graph whose nodes are the communities, numbered without gaps.
    fn aggregated(&self, communities: &[u32]) -> Sparse {
        let count = super::count(communities);
        let mut members = vec![Vec::new(); count];
        communities.iter().enumerate().for_each(|(node, &community)| members[community as usize].push(node));
        // Sums of a member's edges go to places of one array a task; only those touched are read and cleared.
        let rows: Vec<Vec<(u32, f64)>> = members
            .par_chunks(NODES_PER_CHUNK)
            .flat_map_iter(|chunk| {
                let mut sums = vec![0.0; count];
                let mut seen = vec![false; count];
                let row = move |members: &Vec<usize>| {
                    let mut found = Vec::new();
                    for &node in members {
                        self.edges_of(node, |other, weight| {
                            let community = communities[other];
                            if !seen[community as usize] {
                                seen[community as usize] = true;
                                found.push(community);
                            }
                            sums[community as usize] += weight;
                        });
                    }
                    found.sort_unstable();
                    let take = |community: u32| {
                        seen[community as usize] = false;
                        (community, std::mem::take(&mut sums[community as usize]))
                    };
                    found.into_iter().map(take).collect()
                };
                chunk.iter().map(row)
            })
            .collect();
        let mut sparse = Sparse { loops: vec![0.0; count], offsets: vec![0], others: Vec::new(), weights: Vec::new() };
        communities
            .iter()
            .zip(self.loops())
            .for_each(|(&community, weight)| sparse.loops[community as usize] += weight);
        for (community, row) in rows.iter().enumerate() {
            for &(other, weight) in row {
                if other as usize == community {
                    // Each edge inside was seen from both of its ends.
                    sparse.loops[community] += weight / 2.0;
                } else {
                    sparse.others.push(other);
                    sparse.weights.push(weight);
                }
            }
            sparse.offsets.push(sparse.others.len());
        }
        sparse
    }
}

/// A complete graph.
pub(super) struct Dense {
    /// nodes x nodes, symmetric, zero diagonal.
    pub(super) weights: Vec<f32>,
    pub(super) loops: Vec<f64>,
}

impl Graph for Dense {
    fn nodes(&self) -> usize {
        self.loops.len()
    }

    fn loops(&self) -> &[f64] {
        &self.loops
    }

    fn edges_of(&self, node: usize, mut each: impl FnMut(usize, f64)) {
        let row = self.weights[node * self.nodes()..].iter().take(self.nodes());
        row.enumerate().filter(|(other, _)| *other != node).for_each(|(other, &weight)| each(other, f64::from(weight)));
    }

    fn weights_to(&self, node: usize, communities: &[u32], sizes: &[usize], weights: &mut Weights) {
        let own = communities[node] as usize;
        // The node itself, whose weight here is 0, must not make its own community a neighbour.
        let neighbour = |community: usize| sizes[community] > usize::from(community == own);
        let nodes = self.nodes();
        let row = &self.weights[node * nodes..(node + 1) * nodes];
        weights.found.extend((0..sizes.len()).filter(|&community| neighbour(community)).map(|found| found as u32));
        if sizes.len() > FEW {
            for (&weight, &community) in row.iter().zip(communities) {
                weights.sums[community as usize] += f64::from(weight);
            }
            return;
        }
        let (fours, rest) = row.as_chunks::<PARTS>();
        let (communities, communities_rest) = communities.as_chunks::<PARTS>();
        for (four, communities) in fours.iter().zip(communities) {
            for part in 0..PARTS {
                weights.parts[communities[part] as usize % FEW][part] += f64::from(four[part]);
            }
        }
        for (&weight, &community) in rest.iter().zip(communities_rest) {
            weights.parts[community as usize % FEW][0] += f64::from(weight);
        }
        for (sum, parts) in weights.sums.iter_mut().zip(&mut weights.parts).take(sizes.len()) {
            *sum = std::mem::take(parts).iter().sum();
        }
    }
}

/// A graph as lists of neighbours.
#[derive(Debug)]
pub(super) struct Sparse {
    loops: Vec<f64>,
    /// Where the neighbours of each node begin, and the end.
    offsets: Vec<usize>,
    others: Vec<u32>,
    weights: Vec<f64>,
}

impl Sparse {
    /// From edges (a, b, weight) with a != b, both below `loops.len()`; `combine` makes one weight of the weights of
    /// the edges between the same two nodes.
    pub(super) fn new(loops: Vec<f64>, edges: &[(u32, u32, f64)], combine: impl Fn(f64, f64) -> f64) -> Sparse {
        let mut halves: Vec<(u32, u32, f64)> =
            edges.iter().flat_map(|&(a, b, weight)| [(a, b, weight), (b, a, weight)]).collect();
        // Stable, so that both ends of an edge combine its weights in the same order.
        halves.par_sort_by_key(|&(a, b, _)| (a, b));
        let mut sparse = Sparse { offsets: vec![0; loops.len() + 1], others: Vec::new(), weights: Vec::new(), loops };
        let mut last = None;
        for (a, b, weight) in halves {
            match sparse.weights.last_mut() {
                Some(before) if last == Some((a, b)) => *before = combine(*before, weight),
                _ => {
                    sparse.others.push(b);
                    sparse.weights.push(weight);
                }
            }
            last = Some((a, b));
            sparse.offsets[a as usize + 1] = sparse.others.len();
        }
        for node in 1..sparse.offsets.len() {
            sparse.offsets[node] = sparse.offsets[node].max(sparse.offsets[node - 1]);
        }
        sparse
    }
}

impl Graph for Sparse {
    fn nodes(&self) -> usize {
        self.loops.len()
    }

    fn loops(&self) -> &[f64] {
        &self.loops
    }

    fn edges_of(&self, node: usize, mut each: impl FnMut(usize, f64)) {
        let range = self.offsets[node]..self.offsets[node + 1];
        let edges = self.others[range.clone()].iter().zip(&self.weights[range]);
        edges.for_each(|(&other, &weight)| each(other as usize, weight));
    }

    fn weights_to(&self, node: usize, communities: &[u32], _sizes: &[usize], weights: &mut Weights) {
        self.edges_of(node, |other, weight| weights.add(communities[other], weight));
    }
}

/// The weights from one node to the communities of its neighbours.
pub(super) struct Weights {
    sums: Vec<f64>,
    found: Vec<u32>,
    /// Where communities are few, the same sum comes up again and again: four parts of it do not wait for each other.
    parts: Vec<[f64; PARTS]>,
}

impl Weights {
    pub(super) fn new(nodes: usize) -> Weights {
        Weights { sums: vec![0.0; nodes], found: Vec::new(), parts: vec![[0.0; PARTS]; FEW] }
    }

    /// Weights are above 0, so a sum of 0 was not added to.
    fn add(&mut self, community: u32, weight: f64) {
        let sum = &mut self.sums[community as usize];
        if *sum == 0.0 {
            self.found.push(community);
        }
        *sum += weight;
    }

    /// The weight to a community; 0 for those without a neighbour.
    pub(super) fn of(&self, community: usize) -> f64 {
        self.sums[community]
    }

    /// The communities with neighbours.
    pub(super) fn found(&self) -> &[u32] {
        &self.found
    }

    /// All weights 0 again. What is not `found` was not touched.
    pub(super) fn clear(&mut self) {
        self.found.drain(..).for_each(|community| self.sums[community as usize] = 0.0);
    }
}

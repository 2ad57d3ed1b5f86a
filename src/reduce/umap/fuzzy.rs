//! The fuzzy graph: from the distances to the nearest neighbours to weights between 0 and 1 on their edges.
//!
//! Every point measures distances in a unit of its own (sigma), from its nearest neighbour on (rho), such that the
//! weights of its edges sum to log2(k). The weights that the two ends of an edge give it are then joined.

use rayon::prelude::*;

use crate::linalg::{Csr, Metric, Neighbours};
use crate::reduce::ReduceError;

/// How exactly the weights of a point must sum to log2(k).
const SMOOTH_K_TOLERANCE: f64 = 1e-5;
/// Sigma is at least this many times the mean distance.
const MIN_K_DIST_SCALE: f64 = 1e-3;
/// Halvings of the interval of sigma.
const ROUNDS: usize = 64;
/// Cosine distances from here on are those of opposite directions, to within rounding.
const OPPOSITE: f32 = 2.0 - 1e-6;
/// Rows given to one task.
const ROWS_PER_CHUNK: usize = 256;

/// The nearest neighbours of each point with the point itself as the first, as umap-learn counts them: row-major lists
/// of `k` places a row. A neighbour too far away to count is at an infinite distance.
#[derive(Clone, Debug)]
pub struct Nearest {
    /// How many places a row has.
    pub k: usize,
    /// Numbers of points.
    pub indices: Vec<u32>,
    /// Their distances, ascending in each row.
    pub distances: Vec<f32>,
}

impl Nearest {
    /// Each point, and then its `k - 1` nearest others.
    pub(super) fn with_self(others: &Neighbours, k: usize, metric: Metric) -> Nearest {
        let rows = others.rows();
        let mut nearest = Nearest { k, indices: Vec::with_capacity(rows * k), distances: Vec::with_capacity(rows * k) };
        for row in 0..rows {
            let (indices, distances) = others.of(row);
            nearest.indices.push(row as u32);
            nearest.distances.push(0.0);
            nearest.indices.extend(&indices[..k - 1]);
            nearest.distances.extend(&distances[..k - 1]);
        }
        nearest.disconnected(metric)
    }

    /// Without the neighbours as far away as the metric can say, which umap-learn does not connect: opposite
    /// directions under the cosine distance.
    pub(super) fn disconnected(mut self, metric: Metric) -> Nearest {
        if metric == Metric::Cosine {
            for distance in self.distances.iter_mut().filter(|distance| **distance >= OPPOSITE) {
                *distance = f32::INFINITY;
            }
        }
        self
    }

    fn rows(&self) -> usize {
        self.indices.len() / self.k
    }
}

/// Sigma and rho of each point, such that the sum over its neighbours but the first of exp(-max(0, d - rho) / sigma)
/// is log2(k): umap-learn's `smooth_knn_dist`. `distances` has `k` columns. O(n k).
///
/// Rho is the distance of the nearest neighbour that is not at the same place; `local_connectivity` says of the how
/// many-th, with a fraction interpolated. Sigma is at least 1/1000 of the mean distance, of the row where rho > 0, else
/// of all.
pub fn smooth_knn_dist(distances: &[f32], k: usize, local_connectivity: f64) -> (Vec<f32>, Vec<f32>) {
    let overall = mean(distances);
    let target = (k as f64).log2();
    let both: Vec<(f32, f32)> = distances
        .par_chunks(k.max(1))
        .with_min_len(ROWS_PER_CHUNK)
        .map(|row| {
            let rho = nearest_distance(row, local_connectivity);
            let least = MIN_K_DIST_SCALE * if rho > 0.0 { mean(row) } else { overall };
            ((sigma(row, rho, target) as f32).max(least as f32), rho)
        })
        .collect();
    both.into_iter().unzip()
}

/// The mean of the finite ones, 0 if there is none; in chunks, so that the error is small.
fn mean(distances: &[f32]) -> f64 {
    let finite = |chunk: &[f32]| {
        let finite = chunk.iter().filter(|distance| distance.is_finite());
        finite.fold((0.0, 0), |(sum, count), &distance| (sum + f64::from(distance), count + 1))
    };
    let add = |(sum, count): (f64, usize), (more, others): (f64, usize)| (sum + more, count + others);
    let (sum, count) = distances.chunks(4096).map(finite).fold((0.0, 0), add);
    sum / count.max(1) as f64
}

fn nearest_distance(row: &[f32], local_connectivity: f64) -> f32 {
    let positive = || row.iter().copied().filter(|&distance| distance > 0.0 && distance.is_finite());
    let count = positive().count();
    if (count as f64) < local_connectivity {
        return positive().fold(0.0, f32::max);
    }
    let whole = local_connectivity.floor() as usize;
    let fraction = (local_connectivity - local_connectivity.floor()) as f32;
    let at = |index: usize| positive().nth(index).unwrap_or(0.0);
    match whole {
        0 => fraction * at(0),
        _ if f64::from(fraction) > SMOOTH_K_TOLERANCE => at(whole - 1) + fraction * (at(whole) - at(whole - 1)),
        _ => at(whole - 1),
    }
}

/// By bisection, doubling while no upper end is known.
fn sigma(row: &[f32], rho: f32, target: f64) -> f64 {
    let (mut low, mut high, mut middle) = (0.0, f64::INFINITY, 1.0);
    for _ in 0..ROUNDS {
        let weight = |&distance: &f32| {
            let beyond = distance - rho;
            if beyond > 0.0 { (-(f64::from(beyond) / middle)).exp() } else { 1.0 }
        };
        let sum: f64 = row.iter().skip(1).map(weight).sum();
        if (sum - target).abs() < SMOOTH_K_TOLERANCE {
            break;
        }
        if sum > target {
            high = middle;
            middle = (low + high) / 2.0;
        } else {
            low = middle;
            middle = if high.is_finite() { (low + high) / 2.0 } else { middle * 2.0 };
        }
    }
    middle
}

/// The weight that each row gives each of its neighbours: 1 up to rho, then exp(-(d - rho) / sigma): umap-learn's
/// `compute_membership_strengths`. 0 at an infinite distance, and for the point itself unless the neighbours are
/// `bipartite`, that is points of another set. O(n k).
pub fn membership_strengths(nearest: &Nearest, sigmas: &[f32], rhos: &[f32], bipartite: bool) -> Vec<f32> {
    let k = nearest.k;
    let mut strengths = vec![0.0; nearest.indices.len()];
    strengths.par_chunks_mut(k).with_min_len(ROWS_PER_CHUNK).enumerate().for_each(|(row, strengths)| {
        let (sigma, rho) = (sigmas[row], rhos[row]);
        let places = nearest.indices[row * k..].iter().zip(&nearest.distances[row * k..]);
        for (strength, (&index, &distance)) in strengths.iter_mut().zip(places) {
            *strength = if (!bipartite && index as usize == row) || distance == f32::INFINITY {
                0.0
            } else if distance - rho <= 0.0 || sigma == 0.0 {
                1.0
            } else {
                (-f64::from((distance - rho) / sigma)).exp() as f32
            };
        }
    });
    strengths
}

/// The graph in which an edge has the weight `mix (a + b - a b) + (1 - mix) a b` of the weights a and b that its two
/// ends give it: their fuzzy union where `mix` (`set_op_mix_ratio`) is 1, their intersection where it is 0. Symmetric.
/// O(n k log k).
///
/// # Errors
/// `nearest` names points that do not exist.
pub fn fuzzy_union(nearest: &Nearest, strengths: &[f32], mix: f64) -> Result<Csr, ReduceError> {
    let mut directed = Csr::from_neighbours(nearest.rows(), nearest.k, &nearest.indices, strengths)?;
    directed.retain(|strength| strength != 0.0);
    let (mix, rest) = (mix as f32, (1.0 - mix) as f32);
    Ok(directed.symmetrise(|a, b| mix * (a + b - a * b) + rest * (a * b)))
}

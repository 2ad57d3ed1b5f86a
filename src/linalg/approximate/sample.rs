//! How good a search is, measured on some of the points.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;

use super::cells::Cells;
use crate::linalg::neighbours::{Lists, Offer, SPARE, measure};
use crate::linalg::pairs::pieces;
use crate::linalg::space::{BLOCK, Finish};
use crate::linalg::{LinalgError, Space};

/// Points whose neighbours are searched among all.
const SAMPLE: usize = 256;
/// The points are searched in so many parts, each with lists of its own, which are merged.
const PARTS: usize = 16;

/// Points, spread over all, whose neighbours are known.
pub(super) struct Sample {
    points: Vec<u32>,
    k: usize,
    /// The distance of the farthest of the k nearest.
    radii: Vec<f32>,
}

impl Sample {
    pub(super) fn new(space: &Space, k: usize, random: &mut ChaCha8Rng) -> Result<Sample, LinalgError> {
        let rows = space.rows();
        let stride = rows / SAMPLE;
        let points: Vec<u32> =
            (0..SAMPLE).map(|at| (at * stride + random.next_u64() as usize % stride) as u32).collect();
        let own = space.select(&points);
        let all: Vec<u32> = (0..rows as u32).collect();
        let blocks: Vec<Range<usize>> = pieces(0..rows, BLOCK).collect();
        let parts = blocks.par_chunks(blocks.len().div_ceil(PARTS)).with_max_len(1);
        let parts = parts.map_init(Vec::new, |panels, blocks| {
            let mut lists = Lists::new(0..SAMPLE, k + 1);
            for others in blocks {
                crate::progress::check()?;
                let mut sink = Offer::to_rows(&all, others.start, others.len(), &mut lists);
                own.block(0..SAMPLE, space, others.clone(), Finish::Order, panels, &mut sink);
            }
            Ok(lists)
        });
        let mut parts: Vec<Lists> = parts.collect::<Result<_, LinalgError>>()?;
        let radius = |(at, &point): (usize, &u32)| {
            let mut all: Vec<(f32, u32)> = parts.iter_mut().flat_map(|lists| lists.sorted(at).to_vec()).collect();
            all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let others = all.iter().map(|&(_, other)| other).filter(|&other| other != point);
            let others: Vec<u32> = others.take(k + SPARE).collect();
            let (mut indices, mut distances) = (vec![0; k], vec![0.0; k]);
            measure(space, point as usize, space, &others, |other| other, &mut indices, &mut distances);
            distances[k - 1]
        };
        let radii = points.iter().enumerate().map(radius).collect();
        Ok(Sample { points, k, radii })
    }

    /// The share of the sample's neighbours that are among those found.
    pub(super) fn recall(&self, space: &Space, cells: &Cells) -> f64 {
        let mut hits = 0;
        for (&point, &radius) in self.points.iter().zip(&self.radii) {
            let others = cells.of(point);
            let mut distances = vec![0.0; others.len()];
            space.distances_to(point as usize, space, &others, &mut distances);
            hits += distances.iter().filter(|&&distance| distance <= radius).count().min(self.k);
        }
        hits as f64 / (self.k * self.points.len()) as f64
    }
}

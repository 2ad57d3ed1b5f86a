//! The nearest centre of each point, pass after pass while the centres move less and less, with bounds instead of most
//! of the products: exactly the labels of [`nearest`].
//!
//! After Hamerly (2010) and Ding et al., "Yinyang K-Means" (2015). Known of each point are an upper bound on the
//! distance to its own centre and, for each group of centres, a lower bound on the distance to the others of the group.
//! When the centres move, the bounds loosen by as much. A group whose bound is above the upper one is skipped. What
//! remains is computed by blocks of one vector of lanes, as fast as all pairs were. A group is a block, or a few, or
//! where memory allows a single centre, so that one centre that moves far spoils no bounds of others. Similar centres
//! share a block, and points of similar centres lie in one chunk, so that few blocks remain and all their rows are used
//! together.
//!
//! [`nearest`] compares products rounded to 32 bits. The bounds leave room for all of their rounding, so that a centre
//! is skipped only if its rounded score is above that of the own centre for certain.

mod chunk;
mod layout;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use self::chunk::{Chunk, Scratch};
use self::layout::{Layout, order_of_centres};
use super::distances::{Centres, nearest};
use super::simd::WIDTH;
use crate::points::Points;

/// Points given to one task.
const CHUNK: usize = 192;
/// Below, products cost no more than bounds: coordinates, and products of a point with all lanes.
const LEAST_COLUMNS: usize = 64;
const LEAST_PRODUCTS: usize = 12_000;
/// Longer centres are not bounded: their squares are too coarse, or no 32-bit numbers.
const LONGEST: f64 = 1e9;
/// From this share of pairs on, the groups are formed anew.
const ANEW: f64 = 0.5;
/// From this share of pairs on, bounds are given up for some passes.
const HOPELESS: f64 = 0.9;
/// The unit of rounding in 32 bits.
const ROUNDING: f64 = 1.0 / (1 << 24) as f64;

/// Labels the points again and again while the centres move.
pub(crate) struct Assigner<'points> {
    points: &'points Points,
    groups: Groups,
    /// Whether bounds can save anything.
    worthwhile: bool,
    next: Pass,
    /// Passes without bounds after the next one that is hopeless.
    pause: usize,
    slots: Slots,
    layout: Layout,
    /// Pairs of a point and a block that were computed in the last pass, of all.
    share: f64,
}

/// How the next pass is made.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Pass {
    /// Without bounds, so many times.
    Plain(usize),
    /// All pairs, which gives bounds for groups formed anew.
    Whole,
    /// The pairs that the bounds leave.
    Bounded,
}

/// How centres are grouped, and how wrong a product can be.
#[derive(Clone, Copy)]
struct Groups {
    clusters: usize,
    /// Lanes of a group: 1, or those of a block.
    lanes: usize,
    count: usize,
    /// Lanes that are computed together, whole vectors.
    block_lanes: usize,
    blocks: usize,
    slack: Slack,
}

impl Groups {
    /// As fine as bounds of a sixth of the memory of the points can be.
    fn new(clusters: usize, columns: usize) -> Groups {
        let most = (columns / 6).max(1);
        let all = clusters.next_multiple_of(WIDTH).max(WIDTH);
        let block_lanes = if all <= most { WIDTH } else { (all / WIDTH).div_ceil(most) * WIDTH };
        let lanes = if all <= most { 1 } else { block_lanes };
        let blocks = all.div_ceil(block_lanes);
        let count = blocks * block_lanes / lanes;
        Groups { clusters, lanes, count, block_lanes, blocks, slack: Slack::new(columns) }
    }

    /// The groups of a block.
    #[inline(always)]
    fn of_block(&self, block: usize) -> std::ops::Range<usize> {
        let each = self.block_lanes / self.lanes;
        block * each..(block + 1) * each
    }
}

/// A rounded score |c|^2 - 2 x c is wrong by at most `product` |x| |c| + `square` |c|^2 + `tiny`.
#[derive(Clone, Copy)]
struct Slack {
    product: f64,
    square: f64,
    tiny: f64,
}

impl Slack {
    fn new(columns: usize) -> Slack {
        let steps = (columns + 4) as f64 * ROUNDING;
        let sum = steps / (1.0 - steps.min(0.5));
        Slack {
            product: 2.02 * sum + 4.0 * ROUNDING,
            square: 4.0 * ROUNDING,
            // Products that vanish lose their last bits in another way.
            tiny: (columns + 64) as f64 * (-146.0_f64).exp2(),
        }
    }

    fn of(&self, point: f64, centre: f64) -> f64 {
        self.product * point * centre + self.square * centre * centre + self.tiny
    }
}

/// What is known of the points, in the order of their centres.
#[derive(Default)]
struct Slots {
    rows: Vec<u32>,
    /// The squared lengths of the points.
    squares: Vec<f32>,
    labels: Vec<u32>,
    upper: Vec<f32>,
    /// One number a group for each point.
    lower: Vec<f32>,
}

impl<'points> Assigner<'points> {
    /// For so many clusters. The bounds take a sixth of the memory of the points at most, and 16 bytes a point.
    pub(crate) fn new(points: &'points Points, clusters: usize) -> Assigner<'points> {
        let groups = Groups::new(clusters, points.columns());
        let (slots, layout) = (Slots::default(), Layout::default());
        let products = groups.blocks * groups.block_lanes * points.columns();
        let worthwhile = clusters > 1
            && points.columns() >= LEAST_COLUMNS
            && products >= LEAST_PRODUCTS
            && u32::try_from(points.rows()).is_ok();
        Assigner { points, groups, worthwhile, next: Pass::Plain(1), pause: 1, slots, layout, share: 1.0 }
    }

    /// Writes the number of the nearest centre of each point, as [`nearest`] would. O(n k d) at most, and at least
    /// O(n).
    ///
    /// `labels` holds what the last call wrote; `centres` are row-major.
    pub(crate) fn assign(&mut self, centres: &[f64], labels: &mut [u32]) {
        let columns = self.points.columns();
        let values: Vec<f32> = centres.iter().map(|&value| value as f32).collect();
        let short = |centre: &[f32]| length(centre) <= LONGEST;
        if !self.worthwhile || !values.par_chunks_exact(columns).all(short) {
            self.next = Pass::Plain(1);
        }
        let pass = self.next;
        match pass {
            Pass::Plain(passes) => {
                nearest(self.points, &Centres::new(&values, columns), labels);
                self.next = if passes > 1 { Pass::Plain(passes - 1) } else { Pass::Whole };
                return;
            }
            Pass::Whole => {
                self.layout.arrange(order_of_centres(&values, self.points, self.groups), self.groups);
                self.slots.arrange(self.points, self.groups, &self.layout, labels);
            }
            Pass::Bounded => {}
        }
        self.layout.place(&values, columns, self.groups);
        self.share = self.slots.pass(self.points, &self.layout, self.groups, pass == Pass::Whole);
        for (&row, &label) in self.slots.rows.iter().zip(&self.slots.labels) {
            labels[row as usize] = label;
        }
        self.next = match pass {
            Pass::Bounded if self.share > HOPELESS => {
                self.pause *= 2;
                Pass::Plain(self.pause / 2)
            }
            Pass::Bounded if self.share > ANEW && self.groups.blocks > 1 => Pass::Whole,
            _ => Pass::Bounded,
        };
    }
}

/// The Euclidean length.
fn length(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt()
}

/// The next larger 32-bit number.
fn up(value: f64) -> f32 {
    (value as f32).next_up()
}

impl Slots {
    /// Puts the points in the order of the places of their centres, those of one centre in the order of their rows.
    fn arrange(&mut self, points: &Points, groups: Groups, layout: &Layout, labels: &[u32]) {
        let place = |row: usize| if groups.blocks > 1 { layout.places[labels[row] as usize] as usize } else { 0 };
        let mut starts = vec![0; groups.clusters + 1];
        (0..labels.len()).for_each(|row| starts[place(row) + 1] += 1);
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        self.rows.resize(labels.len(), 0);
        for row in 0..labels.len() {
            let start = &mut starts[place(row)];
            self.rows[*start] = row as u32;
            *start += 1;
        }
        self.squares.resize(points.rows(), 0.0);
        self.labels.resize(points.rows(), 0);
        self.upper.resize(points.rows(), 0.0);
        self.lower.resize(points.rows() * groups.count, 0.0);
    }

    /// Labels the points; of all pairs of a point and a block this share was computed.
    fn pass(&mut self, points: &Points, layout: &Layout, groups: Groups, whole: bool) -> f64 {
        let Some(packed) = &layout.packed else { return 1.0 };
        let rows = self.rows.par_chunks(CHUNK).zip(self.squares.par_chunks_mut(CHUNK));
        let known = self.labels.par_chunks_mut(CHUNK).zip(self.upper.par_chunks_mut(CHUNK));
        let chunks = rows.zip(known).zip(self.lower.par_chunks_mut(CHUNK * groups.count));
        let pairs = chunks.map_init(Scratch::default, |scratch, (((rows, squares), (labels, upper)), lower)| {
            let chunk = Chunk { points, layout, groups, packed, rows, squares, labels, upper, lower };
            chunk.label(scratch, whole)
        });
        let pairs: usize = pairs.sum();
        pairs as f64 / (self.rows.len() * groups.blocks).max(1) as f64
    }
}

//! The pass over one chunk of points: which pairs are left, their scores, and what these tell.

use super::layout::Layout;
use super::{Groups, ROUNDING, up};
use crate::linalg::distances::Centres;
use crate::linalg::few::to_these;
use crate::linalg::simd::{Float, WIDTH, Work, dispatch};
use crate::linalg::tile::{LANES, PanelTiles, Place, Product, Sink, Tile};
use crate::linalg::{Loops, vectorised};
use crate::points::Points;

/// From this share of pairs on, a chunk is computed whole.
const WHOLE_CHUNK: f64 = 0.75;
/// Makes a 32-bit number larger, or smaller, than the rounding of a few operations can have made it wrong.
const MORE: f32 = 1.0 + 2.5e-7;
const LESS: f32 = 1.0 - 2.5e-7;
/// What a task needs while it works on a chunk.
#[derive(Default)]
pub(super) struct Scratch<'rows> {
    /// The points for which each block must be computed.
    wanted: Vec<Vec<u16>>,
    /// The points for which any must be.
    open: Vec<u16>,
    rows: Vec<&'rows [f32]>,
    best: Vec<f32>,
    labels: Vec<u32>,
    /// The least and the next least score of each point in each group.
    least: Vec<f32>,
    second: Vec<f32>,
}

/// Points of one task.
pub(super) struct Chunk<'work, 'points> {
    pub(super) points: &'points Points,
    pub(super) layout: &'work Layout,
    pub(super) groups: Groups,
    pub(super) packed: &'work Centres,
    pub(super) rows: &'work [u32],
    pub(super) squares: &'work mut [f32],
    pub(super) labels: &'work mut [u32],
    pub(super) upper: &'work mut [f32],
    pub(super) lower: &'work mut [f32],
}

impl<'points> Chunk<'_, 'points> {
    /// Labels the points and gives the number of pairs that were computed.
    pub(super) fn label(mut self, scratch: &mut Scratch<'points>, mut whole: bool) -> usize {
        let (slots, blocks) = (self.rows.len(), self.groups.blocks);
        scratch.wanted.resize_with(blocks, Vec::new);
        scratch.wanted.iter_mut().for_each(Vec::clear);
        scratch.open.clear();
        if whole {
            vectorised(Squares { points: self.points, rows: self.rows, squares: self.squares });
        } else {
            dispatch(Test { chunk: &mut self, wanted: &mut scratch.wanted, open: &mut scratch.open });
        }
        let pairs: usize = scratch.wanted.iter().map(Vec::len).sum();
        let fresh = whole;
        whole |= pairs as f64 > WHOLE_CHUNK * (slots * blocks) as f64;
        if whole {
            scratch.open = (0..slots as u16).collect();
            scratch.wanted.iter_mut().for_each(|wanted| wanted.clone_from(&scratch.open));
        }
        if scratch.open.is_empty() {
            return 0;
        }
        scratch.best.clear();
        scratch.best.resize(slots, f32::INFINITY);
        scratch.labels.clear();
        scratch.labels.resize(slots, u32::MAX);
        for scores in [&mut scratch.least, &mut scratch.second] {
            scores.clear();
            scores.resize(slots * self.groups.count, f32::INFINITY);
        }
        self.compute(scratch, whole);
        vectorised(Learn { chunk: self, scratch, fresh });
        if whole { slots * blocks } else { pairs }
    }

    /// Finds the scores that are wanted.
    fn compute(&self, scratch: &mut Scratch<'points>, whole: bool) {
        let columns = self.points.columns();
        let vectors = self.groups.clusters.div_ceil(WIDTH);
        let lanes = self.groups.block_lanes;
        for (number, panel) in self.packed.panels().chunks_exact(columns * LANES).enumerate() {
            let has_two = 2 * number + 1 < vectors;
            let (first, second) = (number * LANES / lanes, (number * LANES + WIDTH) / lanes);
            let together = has_two && (whole || first == second);
            let calls = if together || !has_two { 1 } else { 2 };
            for (vector, block) in [(0, first), (1, second)].into_iter().take(calls) {
                let Scratch { wanted, rows, best, labels, least, second, .. } = scratch;
                let wanted = &wanted[block];
                rows.clear();
                rows.extend(wanted.iter().map(|&slot| self.points.row(self.rows[slot as usize] as usize)));
                let vectors = if together { 0..2 } else { vector..vector + 1 };
                let (scores, numbers) = (self.packed.squared_lengths(), &self.layout.numbers);
                let groups = self.groups;
                let mut sink = Leaders { scores, numbers, groups, vectors, wanted, best, labels, least, second };
                let vector = if together { None } else { Some(vector) };
                PanelTiles { pairwise: Product, rows, panel, number, vector, sink: &mut sink }.give();
            }
        }
    }
}

/// Takes over what the scores tell. Upper bounds that were tightened stay, unless all are `fresh`.
struct Learn<'work, 'chunk, 'points> {
    chunk: Chunk<'chunk, 'points>,
    scratch: &'work Scratch<'points>,
    fresh: bool,
}

impl Loops for Learn<'_, '_, '_> {
    #[inline(always)]
    fn run(self) {
        let Learn { chunk, scratch, fresh } = self;
        let (layout, groups) = (chunk.layout, chunk.groups);
        let Groups { lanes, count, slack, .. } = groups;
        for &slot in &scratch.open {
            let slot = usize::from(slot);
            let label = scratch.labels[slot];
            if fresh || label != chunk.labels[slot] {
                let centre = layout.lengths[layout.places[label as usize] as usize];
                let square = f64::from(chunk.squares[slot]);
                let most = square * (1.0 + 2.0 * ROUNDING) + f64::from(scratch.best[slot]);
                let most = most + slack.of(f64::from(point_length(chunk.squares[slot])), centre);
                chunk.upper[slot] = up(most.max(0.0).sqrt() * (1.0 + 1e-9));
                chunk.labels[slot] = label;
            }
        }
        let tiny = up(4.0 * slack.tiny);
        for (block, wanted) in scratch.wanted.iter().enumerate() {
            let of_block = groups.of_block(block);
            let (per_length, fixed) = (&layout.per_length[of_block.clone()], &layout.fixed[of_block.clone()]);
            for &slot in wanted {
                let slot = usize::from(slot);
                let (square, point) = (chunk.squares[slot], point_length(chunk.squares[slot]));
                // The last term is for the rounding of the square and of this sum itself.
                let bound = |score: f32, per_length: f32, fixed: f32| {
                    let size = square + smaller(score.abs(), f32::MAX / 4.0);
                    let least = square + score - (point * per_length + fixed + tiny + size * 5e-7);
                    if least > 0.0 { least.sqrt() * (1.0 - 1e-6) } else { 0.0 }
                };
                let range = slot * count + of_block.start..slot * count + of_block.end;
                let bounds = chunk.lower[range.clone()].iter_mut().zip(&scratch.least[range]);
                for ((lower, &score), (&per_length, &fixed)) in bounds.zip(per_length.iter().zip(fixed)) {
                    *lower = bound(score, per_length, fixed);
                }
                let own = layout.places[chunk.labels[slot] as usize] as usize / lanes;
                if of_block.contains(&own) {
                    let score = scratch.second[slot * count + own];
                    chunk.lower[slot * count + own] = bound(score, layout.per_length[own], layout.fixed[own]);
                }
            }
        }
    }
}

/// The length of a point whose squared length was rounded, or a little more.
#[inline(always)]
fn point_length(square: f32) -> f32 {
    square.sqrt() * (1.0 + 1e-6) + 1e-18
}

/// The squared lengths of points.
struct Squares<'work> {
    points: &'work Points,
    rows: &'work [u32],
    squares: &'work mut [f32],
}

impl Loops for Squares<'_> {
    #[inline(always)]
    fn run(self) {
        for (square, &row) in self.squares.iter_mut().zip(self.rows) {
            let (whole, rest) = self.points.row(row as usize).as_chunks::<8>();
            let mut sums = [0.0; 8];
            for values in whole {
                for (sum, &value) in sums.iter_mut().zip(values) {
                    *sum += f64::from(value) * f64::from(value);
                }
            }
            let rest: f64 = rest.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
            *square = (sums.iter().sum::<f64>() + rest) as f32;
        }
    }
}

/// Loosens the bounds by what the centres have moved, and finds the pairs that they leave.
struct Test<'work, 'chunk, 'points> {
    chunk: &'work mut Chunk<'chunk, 'points>,
    wanted: &'work mut [Vec<u16>],
    open: &'work mut Vec<u16>,
}

impl Work for Test<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Float, const R: usize, const N: usize>(self) {
        let Test { chunk, wanted, open } = self;
        let Groups { lanes, count, slack, .. } = chunk.groups;
        let each = chunk.groups.block_lanes / lanes;
        let (layout, columns) = (chunk.layout, chunk.points.columns());
        let (per_length, fixed, moved) = (&layout.per_length[..count], &layout.fixed[..count], &layout.moved[..count]);
        // Differences and their squares are each rounded, and so are the sums of the lanes.
        let steps = (columns.div_ceil(WIDTH) + WIDTH + 8) as f64 * ROUNDING;
        let wrong = 1.0 + 2.0 * steps;
        for (slot, lower) in chunk.lower.chunks_exact_mut(count).enumerate() {
            let own = layout.places[chunk.labels[slot] as usize];
            let group = own as usize / lanes;
            let own_group = lower[group];
            for (bound, &moved) in lower.iter_mut().zip(moved) {
                let less = *bound - moved;
                *bound = if less > 0.0 { less * LESS } else { 0.0 };
            }
            if layout.mover[group] == own {
                let less = own_group - layout.moved_else[group];
                lower[group] = if less > 0.0 { less * LESS } else { 0.0 };
            }
            let point = point_length(chunk.squares[slot]);
            let rounding = slack.of(f64::from(point), layout.lengths[own as usize]) + 4.0 * slack.tiny;
            let limit = |upper: f32| up((f64::from(upper) * f64::from(upper) + rounding) * (1.0 + 1e-6));
            let upper = (chunk.upper[slot] + layout.shifts[own as usize]) * MORE;
            let most = limit(upper);
            let leaves = |bound: f32, per_length: f32, fixed: f32, most: f32| {
                bound * bound * (1.0 - 1e-6) <= most + (point * per_length + fixed) * (1.0 + 1e-6)
            };
            let mut any = false;
            for ((&bound, &per_length), &fixed) in lower.iter().zip(per_length).zip(fixed) {
                any |= leaves(bound, per_length, fixed, most);
            }
            chunk.upper[slot] = upper;
            if !any {
                continue;
            }
            let row = chunk.points.row(chunk.rows[slot] as usize);
            let [square] = to_these::<V, 1>(row, [&layout.values[own as usize * columns..][..columns]]);
            let upper = up((f64::from(square) * wrong + slack.tiny).sqrt() * (1.0 + 1e-9)).min(upper);
            chunk.upper[slot] = upper;
            let most = limit(upper);
            let mut any = false;
            for (at, ((&bound, &per_length), &fixed)) in lower.iter().zip(per_length).zip(fixed).enumerate() {
                if leaves(bound, per_length, fixed, most) {
                    any = true;
                    let wanted = &mut wanted[at / each];
                    if at / each != group / each && wanted.last() != Some(&(slot as u16)) {
                        wanted.push(slot as u16);
                    }
                }
            }
            if any {
                // The own centre's score is what the others are compared with.
                wanted[group / each].push(slot as u16);
                open.push(slot as u16);
            }
        }
    }
}

/// Keeps the nearest centre of each point, and the two least scores in each group.
struct Leaders<'work> {
    scores: &'work [f32],
    numbers: &'work [u32],
    groups: Groups,
    vectors: std::ops::Range<usize>,
    wanted: &'work [u16],
    best: &'work mut [f32],
    labels: &'work mut [u32],
    least: &'work mut [f32],
    second: &'work mut [f32],
}

impl Sink for Leaders<'_> {
    #[inline(always)]
    fn take<V: Float>(&mut self, place: Place, tile: &mut Tile) {
        for vector in self.vectors.clone() {
            let first = place.panel * LANES + vector * WIDTH;
            let lengths = &self.scores[first..first + WIDTH].as_chunks::<WIDTH>().0[0];
            let numbers = &self.numbers[first..first + WIDTH];
            let group = first / self.groups.lanes;
            for (row, products) in tile.iter().enumerate().take(place.rows) {
                let slot = usize::from(self.wanted[place.row + row]);
                let products = V::load(&products.as_chunks::<WIDTH>().0[vector]);
                let scores = V::load(lengths).multiply_add(V::splat(-2.0), products);
                let mut closer = scores.at_most(V::splat(self.best[slot]));
                let mut values = [0.0; WIDTH];
                scores.store(&mut values);
                while closer != 0 {
                    let lane = closer.trailing_zeros() as usize;
                    closer &= closer - 1;
                    // Of equally near centres the one of the lowest number, wherever its place is.
                    let (value, number) = (values[lane], numbers[lane]);
                    if value < self.best[slot] || (value == self.best[slot] && number < self.labels[slot]) {
                        self.best[slot] = value;
                        self.labels[slot] = number;
                    }
                }
                let at = slot * self.groups.count + group;
                if self.groups.lanes == 1 {
                    self.least[at..at + WIDTH].copy_from_slice(&values);
                    continue;
                }
                let (least, second) = two_least(&values);
                let known = (self.least[at], self.second[at]);
                self.least[at] = smaller(known.0, least);
                self.second[at] = smaller(larger(known.0, least), smaller(known.1, second));
            }
        }
    }
}

#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// The least value and the least of the others.
#[inline(always)]
fn two_least(values: &[f32; WIDTH]) -> (f32, f32) {
    let mut least: [f32; 8] = std::array::from_fn(|at| smaller(values[at], values[at + 8]));
    let mut second: [f32; 8] = std::array::from_fn(|at| larger(values[at], values[at + 8]));
    for half in [4, 2, 1] {
        for at in 0..half {
            let seconds = smaller(second[at], second[at + half]);
            second[at] = smaller(larger(least[at], least[at + half]), seconds);
            least[at] = smaller(least[at], least[at + half]);
        }
    }
    (least[0], second[0])
}

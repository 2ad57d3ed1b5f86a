//! Where the centres lie: similar ones together, and how far they have moved.

use rayon::prelude::*;

use super::{Groups, length, up};
use crate::linalg::distances::{Centres, squared_distances};
use crate::linalg::tile::LANES;
use crate::points::Points;

/// The centres of a pass, in places so that similar ones share a block.
#[derive(Default)]
pub(super) struct Layout {
    /// The centre in each place, and beyond the last one numbers that none has.
    pub(super) numbers: Vec<u32>,
    /// The place of each centre.
    pub(super) places: Vec<u32>,
    /// The centres, row-major, by place.
    pub(super) values: Vec<f32>,
    pub(super) packed: Option<Centres>,
    pub(super) lengths: Vec<f64>,
    /// How far each centre has moved since the last pass, by place.
    pub(super) shifts: Vec<f32>,
    /// The most that a centre of each group has moved, its place, and the most that another one has.
    pub(super) moved: Vec<f32>,
    pub(super) mover: Vec<u32>,
    pub(super) moved_else: Vec<f32>,
    /// What rounding may add to a score of each group: `per_length` |x| + `fixed`.
    pub(super) per_length: Vec<f32>,
    pub(super) fixed: Vec<f32>,
}

/// The centres from each to the nearest of those that are left, so that similar ones follow each other. In the order of
/// their numbers where they all share a block, or are too many to be compared with each other.
pub(super) fn order_of_centres(values: &[f32], points: &Points, groups: Groups) -> Vec<u32> {
    let count = groups.clusters;
    let mut left: Vec<u32> = (0..count as u32).collect();
    let few = count.checked_mul(count).is_some_and(|pairs| pairs <= points.as_slice().len() / 8);
    let Ok(centres) = Points::new(count, points.columns(), values.to_vec()) else { return left };
    if groups.blocks < 2 || !few {
        return left;
    }
    let distances = squared_distances(&centres, &Centres::new(values, points.columns()));
    let mut order = Vec::with_capacity(count);
    let mut at = 0;
    while at < left.len() {
        let centre = left.remove(at);
        order.push(centre);
        let row = &distances[centre as usize * count..][..count];
        let distance = |at: &usize| row[left[*at] as usize];
        at = (0..left.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0);
    }
    order
}

impl Layout {
    /// Gives the centres places in this order.
    pub(super) fn arrange(&mut self, order: Vec<u32>, groups: Groups) {
        self.places = vec![0; order.len()];
        for (place, &centre) in order.iter().enumerate() {
            self.places[centre as usize] = place as u32;
        }
        self.numbers = order;
        self.numbers.resize(groups.clusters.next_multiple_of(LANES), u32::MAX);
        self.values.clear();
    }

    /// Puts the centres into their places, and finds how far they have moved.
    pub(super) fn place(&mut self, centres: &[f32], columns: usize, groups: Groups) {
        let numbers = &self.numbers[..groups.clusters];
        let values: Vec<f32> =
            numbers.iter().flat_map(|&centre| &centres[centre as usize * columns..][..columns]).copied().collect();
        let distance = |(one, other): (&[f32], &[f32])| {
            let squares = one.iter().zip(other).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
            up(squares.sum::<f64>().sqrt() * (1.0 + 1e-9))
        };
        self.shifts =
            values.par_chunks_exact(columns).zip(self.values.par_chunks_exact(columns)).map(distance).collect();
        self.shifts.resize(groups.clusters, 0.0);
        self.lengths = values.par_chunks_exact(columns).map(|centre| length(centre) * (1.0 + 1e-9)).collect();
        self.packed = Some(Centres::new(&values, columns));
        self.values = values;
        for all in [&mut self.moved, &mut self.moved_else, &mut self.per_length, &mut self.fixed] {
            all.clear();
        }
        self.mover.clear();
        for (group, shifts) in self.shifts.chunks(groups.lanes).enumerate() {
            let mover = (0..shifts.len()).fold(0, |most, at| if shifts[at] > shifts[most] { at } else { most });
            let others = shifts.iter().enumerate().filter(|(at, _)| *at != mover);
            self.moved.push(shifts[mover]);
            self.mover.push((group * groups.lanes + mover) as u32);
            self.moved_else.push(others.fold(0.0, |most, (_, &shift)| most.max(shift)));
        }
        for lengths in self.lengths.chunks(groups.lanes) {
            let longest = lengths.iter().copied().fold(0.0, f64::max);
            self.per_length.push(up(groups.slack.product * longest));
            self.fixed.push(up(groups.slack.square * longest * longest));
        }
        // Groups of no centre, in the last vector.
        for all in [&mut self.moved, &mut self.moved_else, &mut self.per_length, &mut self.fixed] {
            all.resize(groups.count, 0.0);
        }
        self.mover.resize(groups.count, u32::MAX);
    }
}

//! The sums of the distances from every point to the points of each group: what a silhouette is made of.

use std::ops::Range;

use rayon::prelude::*;

use super::pairs::{pieces, tournament};
use super::simd::Float;
use super::space::{BLOCK, Finish};
use super::tile::{LANES, Place, ROWS, Sink, Tile};
use super::{LinalgError, Space};
use crate::progress::{self, SharedProgress};

/// Up to so many bytes of sums are kept at once, so that each distance need be computed only once; beyond that each is
/// computed twice, and memory is O(n) however many groups there are.
const SUMS_BUDGET: usize = 256 << 20;

/// The points in groups: the number of the group of each point, below `count`.
#[derive(Clone, Copy, Debug)]
pub struct Grouping<'groups> {
    /// One number a point.
    pub group_of: &'groups [u32],
    /// How many groups there are.
    pub count: usize,
}

/// Calls `each(point, sums)` for every point, and returns what it gave in the order of the points. `sums` has the sum
/// of the distances to the points of each group, grouping after grouping. All groupings share one pass over the
/// distances. O(n² d + n² groupings), all threads; sums are kept in 64 bits.
///
/// # Errors
/// A grouping has not one number for each point, or one beyond its count; the computation was told to stop.
pub fn distance_sums<R: Send>(
    space: &Space,
    groupings: &[Grouping],
    each: impl Fn(usize, &[f64]) -> R + Sync,
) -> Result<Vec<R>, LinalgError> {
    let rows = space.rows();
    check_groupings(groupings, rows)?;
    let groups = Groups::new(groupings, rows);
    let blocks = pieces(0..rows, BLOCK);
    if rows.saturating_mul(groups.total * size_of::<f64>()) > SUMS_BUDGET {
        one_by_one(space, &groups, blocks.collect(), each)
    } else {
        in_pairs(space, &groups, blocks.collect(), each)
    }
}

/// Each grouping must have one number a point, below its count.
pub(super) fn check_groupings(groupings: &[Grouping], rows: usize) -> Result<(), LinalgError> {
    for grouping in groupings {
        let (found, expected) = (grouping.group_of.len(), rows);
        if found != expected {
            return Err(LinalgError::Shape { operation: "distance_sums", name: "a grouping", found, expected });
        }
        if let Some(&group) = grouping.group_of.iter().find(|&&group| group as usize >= grouping.count) {
            let (found, expected) = (group as usize + 1, grouping.count);
            return Err(LinalgError::Shape { operation: "distance_sums", name: "a grouping", found, expected });
        }
    }
    Ok(())
}

/// Each pair of blocks is computed once, for both of them.
fn in_pairs<R: Send>(
    space: &Space,
    groups: &Groups,
    blocks: Vec<Range<usize>>,
    each: impl Fn(usize, &[f64]) -> R + Sync,
) -> Result<Vec<R>, LinalgError> {
    let mut sums: Vec<Sums> = blocks.into_iter().map(|block| Sums::new(block, groups.total)).collect();
    tournament::<_, LinalgError>("sums of distances", &mut sums, |(_, a), b| {
        let mut panels = Vec::new();
        let rows = a.block.clone();
        match b {
            Some((_, b)) => {
                let lanes = b.block.clone();
                let mut sink = Both { groups, rows: a, lanes: b, buffer: [[0.0; LANES]; BUFFER] };
                space.block(rows, space, lanes, Finish::Distance, &mut panels, &mut sink);
            }
            None => {
                let mut sink = Lanes { groups, first_row: rows.start, lanes: a };
                space.block(rows.clone(), space, rows, Finish::Distance, &mut panels, &mut sink);
            }
        }
        Ok(())
    })?;
    let results = sums.par_iter().flat_map_iter(|sums| sums.finish(&each));
    Ok(results.collect())
}

/// Each block is compared with all points, and done with before the next one.
fn one_by_one<R: Send>(
    space: &Space,
    groups: &Groups,
    blocks: Vec<Range<usize>>,
    each: impl Fn(usize, &[f64]) -> R + Sync,
) -> Result<Vec<R>, LinalgError> {
    let progress = SharedProgress::if_long("distances", space.rows() as u64, "points");
    let of_block = |block: &Range<usize>| {
        let mut sums = Sums::new(block.clone(), groups.total);
        let mut panels = Vec::new();
        for rows in &blocks {
            progress::check()?;
            let mut sink = Lanes { groups, first_row: rows.start, lanes: &mut sums };
            space.block(rows.clone(), space, block.clone(), Finish::Distance, &mut panels, &mut sink);
        }
        progress.advance(block.len() as u64);
        Ok(sums.finish(&each).collect::<Vec<R>>())
    };
    let results: Vec<Vec<R>> = blocks.par_iter().with_max_len(1).map(of_block).collect::<Result<_, LinalgError>>()?;
    Ok(results.into_iter().flatten().collect())
}

/// The groups of every point, in all groupings together: n x `groupings` numbers below `total`.
struct Groups {
    groupings: usize,
    of: Vec<u32>,
    total: usize,
}

impl Groups {
    fn new(groupings: &[Grouping], rows: usize) -> Groups {
        let mut of = Vec::with_capacity(rows * groupings.len());
        for row in 0..rows {
            let mut before = 0;
            for grouping in groupings {
                of.push(before + grouping.group_of[row]);
                before += grouping.count as u32;
            }
        }
        Groups { groupings: groupings.len(), of, total: groupings.iter().map(|grouping| grouping.count).sum() }
    }

    #[inline(always)]
    fn of(&self, row: usize) -> &[u32] {
        &self.of[row * self.groupings..(row + 1) * self.groupings]
    }
}

/// The sums of a block of points: for each group, a number for each point.
struct Sums {
    block: Range<usize>,
    sums: Vec<f64>,
}

impl Sums {
    fn new(block: Range<usize>, groups: usize) -> Sums {
        Sums { block, sums: vec![0.0; groups * BLOCK] }
    }

    #[inline(always)]
    fn add(&mut self, group: u32, first: usize, distances: &[f32; LANES]) {
        let sums = &mut self.sums[group as usize * BLOCK + first..][..LANES];
        for (sum, &distance) in sums.iter_mut().zip(distances) {
            *sum += f64::from(distance);
        }
    }

    fn finish<R>(&self, each: &impl Fn(usize, &[f64]) -> R) -> impl Iterator<Item = R> {
        let mut of_point = vec![0.0; self.sums.len() / BLOCK];
        self.block.clone().enumerate().map(move |(at, point)| {
            for (sum, sums) in of_point.iter_mut().zip(self.sums.chunks_exact(BLOCK)) {
                *sum = sums[at];
            }
            each(point, &of_point)
        })
    }
}

/// Adds the distances to the sums of the points in the lanes, by the groups of the rows.
struct Lanes<'work> {
    groups: &'work Groups,
    first_row: usize,
    lanes: &'work mut Sums,
}

impl Sink for Lanes<'_> {
    #[inline(always)]
    fn take<V: Float>(&mut self, place: Place, tile: &mut Tile) {
        for (at, distances) in tile.iter().enumerate().take(place.rows) {
            for &group in self.groups.of(self.first_row + place.row + at) {
                self.lanes.add(group, place.panel * LANES, distances);
            }
        }
    }
}

/// Rows of a buffer: whole tiles, and whole vectors when turned round.
const BUFFER: usize = 3 * LANES;
const _: () = assert!(BUFFER.is_multiple_of(ROWS) && BLOCK.is_multiple_of(BUFFER));

/// Does the same for the points in the lanes and, with the tiles turned round, for those in the rows.
struct Both<'work> {
    groups: &'work Groups,
    rows: &'work mut Sums,
    lanes: &'work mut Sums,
    /// Tiles of the same panel, until their rows are a multiple of the lanes.
    buffer: [[f32; LANES]; BUFFER],
}

impl Sink for Both<'_> {
    #[inline(always)]
    fn take<V: Float>(&mut self, place: Place, tile: &mut Tile) {
        let mut sink = Lanes { groups: self.groups, first_row: self.rows.block.start, lanes: self.lanes };
        sink.take::<V>(place, tile);
        let filled = place.row % BUFFER;
        self.buffer[filled..filled + ROWS].copy_from_slice(tile);
        if filled + ROWS < BUFFER && place.row + place.rows < self.rows.block.len() {
            return;
        }
        let first = self.lanes.block.start + place.panel * LANES;
        for (lane, point) in (first..self.lanes.block.end).enumerate().take(LANES) {
            for (part, rows) in self.buffer[..filled + place.rows].chunks(LANES).enumerate() {
                let mut turned = [0.0; LANES];
                for (to, from) in turned.iter_mut().zip(rows) {
                    *to = from[lane];
                }
                for &group in self.groups.of(point) {
                    self.rows.add(group, place.row - filled + part * LANES, &turned);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::Metric;
    use crate::points::Points;

    #[test]
    fn equal_naive_sums_both_ways() {
        let value = |at: usize| ((at * 7919 + at * at % 31) % 1009) as f32 / 100.0;
        for (rows, columns) in [(1, 2), (40, 3), (700, 20), (1100, 70)] {
            let points = Points::new(rows, columns, (0..rows * columns).map(value).collect()).expect("valid");
            let (few, many): (Vec<u32>, Vec<u32>) = (0..rows as u32).map(|row| (row * row % 3, row / 2)).unzip();
            let groupings =
                [Grouping { group_of: &few, count: 3 }, Grouping { group_of: &many, count: rows.div_ceil(2) }];
            for metric in [Metric::Euclidean, Metric::Cityblock, Metric::Cosine] {
                let space = Space::new(&points, metric).expect("prepared");
                let each = |_: usize, sums: &[f64]| sums.to_vec();
                let found = distance_sums(&space, &groupings, each).expect("summed");
                let groups = Groups::new(&groupings, rows);
                let blocks = pieces(0..rows, BLOCK).collect();
                let other_way = one_by_one(&space, &groups, blocks, each).expect("summed");
                for row in (0..rows).step_by(53) {
                    let mut expected = vec![0.0; 3 + rows.div_ceil(2)];
                    for other in 0..rows {
                        let distance = metric.distance(points.row(row), points.row(other));
                        expected[few[other] as usize] += distance;
                        expected[3 + many[other] as usize] += distance;
                    }
                    for (at, &expected) in expected.iter().enumerate() {
                        for found in [found[row][at], other_way[row][at]] {
                            let allowed = 1e-5 * expected.max(1.0);
                            assert!(
                                (found - expected).abs() <= allowed,
                                "{metric} {row} {at}: {found} is not {expected}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn groupings_of_other_points_are_errors() {
        let points = Points::new(3, 1, vec![0.0; 3]).expect("valid");
        let space = Space::new(&points, Metric::Euclidean).expect("prepared");
        for group_of in [&[0, 1][..], &[0, 1, 2][..]] {
            assert!(distance_sums(&space, &[Grouping { group_of, count: 2 }], |_, _| ()).is_err());
        }
    }
}

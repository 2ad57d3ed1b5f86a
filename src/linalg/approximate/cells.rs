//! Points cut into small cells of near ones, and what comparing cells found.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;

use crate::linalg::cells::{closest, members};
use crate::linalg::neighbours::{Lists, Neighbours, Offer, measure, reordered};
use crate::linalg::products::row_products;
use crate::linalg::space::{BLOCK, Finish};
use crate::linalg::{LinalgError, Space};
use crate::progress::{self, SharedProgress};

/// Points of a cell, on average.
const CELL: usize = 128;
/// Random directions that the first centres are found along.
const DIRECTIONS: usize = 64;
/// Passes of K-Means along them.
const PASSES: usize = 3;

/// Points cut into cells of near ones, and the best neighbours found so far. Inside, a point goes by its place.
pub(super) struct Cells {
    /// The points, cell after cell: which is at each place.
    points: Vec<u32>,
    /// All places.
    all: Vec<u32>,
    /// The place of each point.
    places: Vec<u32>,
    /// The places of each cell.
    ranges: Vec<Range<usize>>,
    /// The middle of each cell.
    centres: Space<'static>,
    /// Of the points of a cell. The lists of a pair of cells are changed together; as the best of all that was offered
    /// stay, whatever came first, the order of the pairs does not matter.
    lists: Vec<Mutex<Lists>>,
    /// So many points at least are compared with each.
    least: usize,
    /// The cells that each was compared with.
    compared: Vec<BTreeSet<usize>>,
    /// The places that each cell was compared with beside, ascending.
    compared_places: Vec<Vec<u32>>,
}

impl Cells {
    pub(super) fn new(space: &Space, k: usize, random: &mut ChaCha8Rng) -> Result<Cells, LinalgError> {
        let rows = space.rows();
        let count = rows.div_ceil(CELL);
        let sketch = sketch(space, random);
        let mut one_of = |first: usize| (first + random.next_u64() as usize % CELL).min(rows - 1) as u32;
        let chosen: Vec<u32> = (0..rows).step_by(CELL).map(&mut one_of).collect();
        let mut labels = closest(&sketch, &sketch.select(&chosen))?;
        for _ in 1..PASSES {
            labels = closest(&sketch, &sketch.means_of(&members(&labels, count)))?;
        }
        drop(sketch);
        // A sketch tells near from far, not near from nearer.
        let centres = space.means_of(&members(&labels, count));
        let labels = closest(space, &centres)?;
        let mut points: Vec<u32> = (0..rows as u32).collect();
        points.sort_by_key(|&point| labels[point as usize]);
        let all = (0..rows as u32).collect();
        let mut places = vec![0; rows];
        points.iter().enumerate().for_each(|(place, &point)| places[point as usize] = place as u32);
        let mut ranges = Vec::with_capacity(count);
        for cell in
            points.chunk_by(|&a, &b| labels[a as usize] == labels[b as usize]).flat_map(|cell| cell.chunks(BLOCK))
        {
            let start = ranges.last().map_or(0, |range: &Range<usize>| range.end);
            ranges.push(start..start + cell.len());
        }
        let labels: Vec<u32> = ranges.iter().map(|range| labels[points[range.start] as usize]).collect();
        let centres = centres.select(&labels);
        let lists = ranges.iter().map(|range| Mutex::new(Lists::new(range.clone(), k))).collect();
        let (compared, compared_places) = (vec![BTreeSet::new(); ranges.len()], vec![Vec::new(); ranges.len()]);
        Ok(Cells { points, all, places, ranges, centres, lists, least: 2 * k + 1, compared, compared_places })
    }

    /// The pairs of a cell and one of its `nearest` that were not compared, which counts as done now: for each cell the
    /// later ones.
    fn mark_nearest(&mut self, nearest: usize) -> Vec<Vec<usize>> {
        let count = self.ranges.len();
        let nearest: Vec<Vec<usize>> = (0..count)
            .into_par_iter()
            .map(|cell| {
                let mut distances = vec![0.0; count];
                self.centres.distances_from(cell, 0, &mut distances);
                let mut order: Vec<usize> = (0..count).collect();
                // A cell is the nearest to itself, though parts of a big one share their centre.
                let key = |other: usize| if other == cell { -1.0 } else { distances[other] };
                order.sort_unstable_by(|&a, &b| key(a).total_cmp(&key(b)).then(a.cmp(&b)));
                // Every point shall meet more than it has neighbours, also where cells are tiny.
                let mut met = 0;
                let ends = order.iter().map(|&other| {
                    met += self.ranges[other].len();
                    met
                });
                let enough = ends.take_while(|&met| met < self.least).count() + 1;
                order.truncate(nearest.max(enough));
                order
            })
            .collect();
        let mut todo = vec![Vec::new(); count];
        for (cell, others) in nearest.iter().enumerate() {
            for &other in others {
                let (a, b) = (cell.min(other), cell.max(other));
                if self.compared[a].insert(b) {
                    self.compared[b].insert(a);
                    todo[a].push(b);
                }
            }
        }
        todo
    }

    /// Compares each cell with the `nearest` ones, as far as that was not done; tells how many pairs of points that were.
    pub(super) fn compare(&mut self, space: &Space, nearest: usize) -> Result<usize, LinalgError> {
        let todo = self.mark_nearest(nearest);
        let progress = SharedProgress::if_long("neighbours in cells", todo.len() as u64, "cells");
        let cells = todo.par_iter().enumerate().with_max_len(1);
        let pairs = cells.map_init(Vec::new, |panels, (cell, others)| {
            let range = &self.ranges[cell];
            // Around the middle of the cell, products lose no digits.
            let centre = self.centres.row(cell);
            let own = space.select_around(&self.points[range.clone()], centre);
            let mut pairs = 0;
            for &other in others {
                progress::check()?;
                let lanes = self.ranges[other].clone();
                let near = space.select_around(&self.points[lanes.clone()], centre);
                let mut rows = self.lists_of(cell);
                let mut lists = (other != cell).then(|| self.lists_of(other));
                let (first, count, skip_self) = (lanes.start, lanes.len(), other == cell);
                let mut sink = Offer::to_rows(&self.all, first, count, &mut rows);
                (sink.skip_self, sink.lanes) = (skip_self, lists.as_deref_mut());
                sink.known_to_rows = &self.compared_places[cell];
                sink.known_to_lanes = &self.compared_places[other];
                own.block(0..range.len(), &near, 0..count, Finish::Order, panels, &mut sink);
                pairs += range.len() * count;
            }
            progress.advance(1);
            Ok(pairs)
        });
        pairs.try_reduce(|| 0, |a, b| Ok(a + b))
    }

    /// Compares each cell with the `take` nearest neighbours of the `take` nearest neighbours of its points, as far as
    /// that was not done; tells how many pairs of points that were.
    pub(super) fn compare_neighbours(&mut self, space: &Space, take: usize) -> Result<usize, LinalgError> {
        let cells = (0..self.lists.len()).into_par_iter();
        let best: Vec<Vec<u32>> = cells.map(|cell| self.lists_of(cell).nearest(take)).collect();
        let best = best.concat();
        let best_of = |place: u32| &best[place as usize * take..][..take];
        let mut compared_places = std::mem::take(&mut self.compared_places);
        let cells = compared_places.par_iter_mut().enumerate().with_max_len(1);
        let pairs = cells.map_init(Vec::new, |panels, (cell, compared)| {
            progress::check()?;
            let range = self.ranges[cell].clone();
            let mut known = vec![false; self.points.len()];
            for &other in &self.compared[cell] {
                known[self.ranges[other].clone()].fill(true);
            }
            compared.iter().for_each(|&place| known[place as usize] = true);
            let mut near = Vec::new();
            for place in range.clone() {
                for &neighbour in best_of(place as u32) {
                    for &place in best_of(neighbour) {
                        if !std::mem::replace(&mut known[place as usize], true) {
                            near.push(place);
                        }
                    }
                }
            }
            near.sort_unstable();
            let centre = self.centres.row(cell);
            let own = space.select_around(&self.points[range.clone()], centre);
            for near in near.chunks(BLOCK) {
                let points: Vec<u32> = near.iter().map(|&place| self.points[place as usize]).collect();
                let others = space.select_around(&points, centre);
                let mut lists = self.lists_of(cell);
                let mut found = lists.empty();
                let mut sink = Offer::to_rows(near, 0, near.len(), &mut found);
                own.block(0..range.len(), &others, 0..near.len(), Finish::Order, panels, &mut sink);
                lists.merge(&mut found);
            }
            let pairs = near.len() * range.len();
            compared.extend(near);
            compared.sort_unstable();
            Ok(pairs)
        });
        let pairs = pairs.try_reduce(|| 0, |a, b| Ok(a + b));
        self.compared_places = compared_places;
        pairs
    }

    fn lists_of(&self, cell: usize) -> MutexGuard<'_, Lists> {
        self.lists[cell].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The best that is known of a point, and a few more.
    pub(super) fn of(&self, point: u32) -> Vec<u32> {
        let place = self.places[point as usize] as usize;
        let cell = self.ranges.partition_point(|range| range.end <= place);
        let mut lists = self.lists_of(cell);
        lists.sorted(place - self.ranges[cell].start).iter().map(|&(_, other)| self.points[other as usize]).collect()
    }

    pub(super) fn measured(&self, space: &Space, k: usize) -> Neighbours {
        // Cell by cell, as neighbours of neighbours are in the caches.
        let (mut indices, mut distances) = (vec![0; self.points.len() * k], vec![0.0; self.points.len() * k]);
        let out = indices.par_chunks_mut(k).zip(distances.par_chunks_mut(k));
        self.points.par_iter().zip(out).with_min_len(CELL).for_each(|(&point, (indices, distances))| {
            measure(space, point as usize, space, &self.of(point), |other| other, indices, distances);
        });
        let (indices, distances) = (reordered(indices, k, &self.points), reordered(distances, k, &self.points));
        Neighbours { k, indices, distances }
    }
}

/// The points along a few random directions: their distances are about the same (Johnson & Lindenstrauss 1984), and
/// signs do as well as normal numbers (Achlioptas 2003).
fn sketch(space: &Space, random: &mut ChaCha8Rng) -> Space<'static> {
    let columns = space.columns();
    if columns <= DIRECTIONS {
        return Space::of_differences(columns, space.values().to_vec());
    }
    let signs: Vec<f32> =
        (0..DIRECTIONS * columns).map(|_| if random.next_u32() & 1 == 0 { 1.0 } else { -1.0 }).collect();
    let mut values = vec![0.0; space.rows() * DIRECTIONS];
    let chunks = values.par_chunks_mut(BLOCK * DIRECTIONS).zip(space.values().par_chunks(BLOCK * columns));
    chunks.for_each(|(values, rows)| row_products(rows, &signs, columns, values));
    Space::of_differences(DIRECTIONS, values)
}

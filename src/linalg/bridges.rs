//! Pairs of points that are no farther apart than a limit, where the limits fall while pairs are found.
//!
//! While neighbours are searched, all pairs of points are compared, and the least distance in each tile is kept. So a
//! later search computes only the tiles again that have a pair within the limits. Near points lie together, or tiles
//! would all be alike.

use std::ops::Range;

use rayon::prelude::*;

use super::cells::Wanted;
use super::pairs::pieces;
use super::simd::{Float, WIDTH};
use super::space::{BLOCK, Finish};
use super::tile::{LANES, Place, ROWS, Sink, Tile};
use super::{LinalgError, Space};
use crate::progress::{self, SharedProgress};

/// Up to so many bytes of floors are kept: with more tiles than fit, some share one.
const FLOORS_BUDGET: usize = 64 << 20;

/// Points, and what their pairs are apart at least.
pub(crate) struct Floors {
    /// The points in an order in which near ones lie together.
    pub(super) space: Space<'static>,
    /// Their numbers.
    pub(super) order: Vec<u32>,
    /// For each pair of blocks.
    pub(super) floors: Vec<(usize, usize, Floor)>,
}

/// How many tiles must share a floor.
pub(super) fn tiles_per_floor(rows: usize) -> usize {
    let tiles = rows.div_ceil(2 * ROWS).saturating_mul(rows.div_ceil(LANES));
    tiles.saturating_mul(size_of::<u16>()).div_ceil(FLOORS_BUDGET).clamp(1, BLOCK / ROWS)
}

/// The least order in each piece of a block of pairs: panel by panel, and in each for some tiles together. The first
/// half of the bits of a number, which makes it a little less.
pub(super) struct Floor {
    tiles: usize,
    /// Floors of a panel.
    count: usize,
    floors: Vec<u16>,
}

impl Floor {
    /// Floors of a block of so many rows and columns, of which the tiles that are wanted are still to come.
    pub fn new(tiles: usize, rows: usize, columns: usize, wanted: &Option<Wanted>, space: &Space) -> Floor {
        let (own, panels) = (rows.div_ceil(ROWS), columns.div_ceil(LANES));
        let count = own.div_ceil(tiles);
        let mut floors = vec![bits(f32::INFINITY); count * panels];
        if let Some(wanted) = wanted {
            for (panel, floors) in wanted.apart.chunks_exact(own).zip(floors.chunks_exact_mut(count)) {
                for (apart, floor) in panel.chunks(tiles).zip(floors) {
                    let apart = apart.iter().copied().filter(|apart| *apart >= 0.0).fold(f32::INFINITY, f32::min);
                    *floor = bits(space.order_of_distance(apart));
                }
            }
        }
        Floor { tiles, count, floors }
    }

    #[inline(always)]
    pub fn lower(&mut self, place: Place, tile: &Tile) {
        let mut least = tile[0];
        for row in &tile[1..] {
            least.iter_mut().zip(row).for_each(|(least, &order)| *least = if order < *least { order } else { *least });
        }
        let mut half = LANES / 2;
        while half > 0 {
            let (low, high) = least.split_at_mut(half);
            low.iter_mut().zip(high).for_each(|(low, high)| *low = if *high < *low { *high } else { *low });
            half /= 2;
        }
        let at = self.at(place.panel, place.row / ROWS);
        let floor = &mut self.floors[at];
        *floor = (*floor).min(bits(least[0]));
    }

    fn at(&self, panel: usize, tile: usize) -> usize {
        panel * self.count + tile / self.tiles
    }

    fn of(&self, panel: usize, tile: usize) -> f32 {
        f32::from_bits(u32::from(self.floors[self.at(panel, tile)]) << 16)
    }

    /// The tiles that may have pairs within the limits, and their floors.
    fn wanted(&self, own: &Pieces, others: &Pieces) -> impl Iterator<Item = (usize, f32)> {
        let floors = self.floors.chunks_exact(self.count).zip(&others.lanes);
        floors.enumerate().flat_map(move |(panel, (floors, lanes))| {
            let tiles = floors.iter().zip(own.tiles.chunks(self.tiles)).enumerate();
            tiles.flat_map(move |(piece, (&floor, tiles))| {
                let floor = f32::from_bits(u32::from(floor) << 16);
                let first = panel * own.tiles.len() + piece * self.tiles;
                let wanted = move |rows: &(f32, Option<u32>)| {
                    floor <= rows.0.max(lanes.0) && (rows.1.is_none() || rows.1 != lanes.1)
                };
                tiles.iter().enumerate().filter(move |(_, rows)| wanted(rows)).map(move |(at, _)| (first + at, floor))
            })
        })
    }

    /// Replaces floors by what was found, where all tiles that share one were looked at; there are so many tiles of rows.
    fn raise(&mut self, found: &[Found], tiles: usize) {
        for (at, (floor, found)) in self.floors.iter_mut().zip(found).enumerate() {
            let first = at % self.count * self.tiles;
            if found.tiles == self.tiles.min(tiles - first) {
                *floor = (*floor).max(bits(found.least));
            }
        }
    }
}

/// The first bits of a number that is not negative; they have the same order as the numbers.
fn bits(order: f32) -> u16 {
    (order.to_bits() >> 16) as u16
}

/// What is looked for.
pub(crate) trait Search: Sync {
    /// The group of a point. Only pairs of different groups are looked for.
    fn group(&self, point: usize) -> u32;

    /// The distance up to which a pair of this point is wanted; below zero if none is.
    fn limit(&self, point: usize) -> f32;

    /// Takes a pair that is within the limit of at least one of the points, and its distance, which is good to about 1e-5
    /// of itself.
    fn found(&self, a: usize, b: usize, distance: f32);
}

/// Finds all pairs within the limits; a limit that falls meanwhile need not be heeded at once, so pairs beyond it may come
/// too, and some more than once. O(n² d) at worst, all threads.
///
/// # Errors
/// The computation was told to stop.
pub(crate) fn search(floors: &mut Floors, search: &impl Search) -> Result<(), LinalgError> {
    let Floors { space, order, floors } = floors;
    let points = Limits { order, space, search };
    let blocks: Vec<Range<usize>> = pieces(0..order.len(), BLOCK).collect();
    let limits: Vec<Pieces> = blocks.par_iter().map(|block| points.of_pieces(block)).collect();
    let mut wanted: Vec<(f32, &mut (usize, usize, Floor))> = floors
        .par_iter_mut()
        .map(|pair| {
            let wanted = pair.2.wanted(&limits[pair.0], &limits[pair.1]);
            (wanted.map(|(_, floor)| floor).fold(f32::INFINITY, f32::min), pair)
        })
        .filter(|(least, _)| *least < f32::INFINITY)
        .collect();
    // The near ones first, so that limits fall early.
    wanted.par_sort_by(|a, b| a.0.total_cmp(&b.0));
    let progress = SharedProgress::if_long("edges between groups", wanted.len() as u64, "blocks");
    wanted.into_iter().par_bridge().try_for_each_init(Vec::new, |panels, (_, (a, b, floor))| {
        progress::check()?;
        progress.advance(1);
        // Limits may be lower by now.
        let (rows, columns) = (blocks[*a].clone(), blocks[*b].clone());
        let (own, others) = (points.of_pieces(&rows), points.of_pieces(&columns));
        let mut wanted = vec![false; own.tiles.len() * others.lanes.len()];
        floor.wanted(&own, &others).for_each(|(at, _)| wanted[at] = true);
        if !wanted.contains(&true) {
            return Ok(());
        }
        let found = vec![Found { least: f32::INFINITY, tiles: 0 }; floor.floors.len()];
        let mut sink = Limited { points, floor, wanted, found, rows: rows.clone(), columns: columns.clone() };
        space.block(rows, space, columns, Finish::Order, panels, &mut sink);
        let Limited { found, .. } = sink;
        floor.raise(&found, own.tiles.len());
        Ok(())
    })
}

/// The largest limits in the pieces of a block, and their groups if they have only one.
struct Pieces {
    tiles: Vec<(f32, Option<u32>)>,
    lanes: Vec<(f32, Option<u32>)>,
}

/// What is wanted of points in the order of the space.
struct Limits<'work, S> {
    order: &'work [u32],
    space: &'work Space<'static>,
    search: &'work S,
}

impl<S> Clone for Limits<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Limits<'_, S> {}

impl<S: Search> Limits<'_, S> {
    /// The limit of a point, as an order.
    fn of(&self, point: usize) -> f32 {
        self.space.order_of_distance(self.search.limit(self.order[point] as usize))
    }

    fn group(&self, point: usize) -> u32 {
        self.search.group(self.order[point] as usize)
    }

    fn of_pieces(&self, block: &Range<usize>) -> Pieces {
        Pieces {
            tiles: pieces(block.clone(), ROWS).map(|piece| self.of_all(piece)).collect(),
            lanes: pieces(block.clone(), LANES).map(|piece| self.of_all(piece)).collect(),
        }
    }

    /// The largest limit of some points, and their group if they have the same.
    fn of_all(&self, points: Range<usize>) -> (f32, Option<u32>) {
        let limit = points.clone().map(|point| self.of(point)).fold(-1.0, f32::max);
        let mut groups = points.map(|point| self.group(point));
        let first = groups.next();
        (limit, first.filter(|first| groups.all(|group| group == *first)))
    }
}

/// What a search found of the tiles that share a floor.
#[derive(Clone, Copy)]
struct Found {
    /// The least order of a pair of different groups.
    least: f32,
    /// Tiles that were looked at.
    tiles: usize,
}

struct Limited<'work, S> {
    points: Limits<'work, S>,
    floor: &'work Floor,
    wanted: Vec<bool>,
    found: Vec<Found>,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<S> Limited<'_, S> {
    fn lanes(&self, panel: usize) -> Range<usize> {
        let first = self.columns.start + panel * LANES;
        first..(first + LANES).min(self.columns.end)
    }
}

impl<S: Search> Sink for Limited<'_, S> {
    fn wants(&self, place: Place) -> bool {
        let tile = place.row / ROWS;
        if !self.wanted[place.panel * self.rows.len().div_ceil(ROWS) + tile] {
            return false;
        }
        // And by now.
        let first = self.rows.start + place.row;
        let mut points = (first..first + place.rows).chain(self.lanes(place.panel));
        let floor = self.floor.of(place.panel, tile);
        points.any(|point| floor <= self.points.of(point))
    }

    #[inline(always)]
    fn take<V: Float>(&mut self, place: Place, tile: &mut Tile) {
        let Limits { order, space, search } = self.points;
        let lanes = self.lanes(place.panel);
        let (mut limits, mut groups) = ([0.0; LANES], [0; LANES]);
        for ((limit, group), point) in limits.iter_mut().zip(&mut groups).zip(lanes.clone()) {
            (*limit, *group) = (self.points.of(point), self.points.group(point));
        }
        let found = &mut self.found[self.floor.at(place.panel, place.row / ROWS)];
        found.tiles += 1;
        for (row, orders) in tile.iter_mut().enumerate().take(place.rows) {
            let row = self.rows.start + place.row + row;
            let group = self.points.group(row);
            // Pairs of the same group, and lanes beyond the last point, are within no limit.
            for (lane, (order, other)) in orders.iter_mut().zip(&groups).enumerate() {
                *order = if *other == group || lane >= lanes.len() { f32::NAN } else { *order };
                found.least = if *order < found.least { *order } else { found.least };
            }
            let limit = V::splat(self.points.of(row));
            let halves = orders.as_chunks::<WIDTH>().0.iter().zip(limits.as_chunks::<WIDTH>().0);
            for (half, (orders, limits)) in halves.enumerate() {
                let mut near = V::load(orders).at_most(V::load(limits).maximum(limit));
                while near != 0 {
                    let lane = near.trailing_zeros() as usize;
                    near &= near - 1;
                    let column = lanes.start + half * WIDTH + lane;
                    let distance = space.distance_of_order(orders[lane]);
                    search.found(order[row] as usize, order[column] as usize, distance);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use super::*;
    use crate::linalg::{Metric, nearest_and_floors};
    use crate::points::Points;

    struct Near {
        limit: f32,
        pairs: Mutex<BTreeMap<(usize, usize), f32>>,
    }

    impl Search for Near {
        fn group(&self, point: usize) -> u32 {
            (point % 3) as u32
        }

        fn limit(&self, point: usize) -> f32 {
            if point.is_multiple_of(7) { self.limit } else { -1.0 }
        }

        fn found(&self, a: usize, b: usize, distance: f32) {
            self.pairs.lock().expect("no panic").insert((a.min(b), a.max(b)), distance);
        }
    }

    #[test]
    fn finds_the_pairs_within_the_limits() {
        let metrics = [Metric::Euclidean, Metric::Cityblock, Metric::Chebyshev, Metric::Cosine, Metric::Arccos];
        for (columns, scale) in [(3, 1.0), (90, 1.0), (3, 1e-20), (90, 1e20)] {
            // Some loose groups, so that the search for neighbours skips pairs of cells.
            let value = |at: usize| {
                (at / columns % 9 * (at % columns + 1) % 7) as f32 * 3.0
                    + ((at * 7919 + at / 3 * 131) % 1009) as f32 / 1009.0
            };
            let values = (0..1400 * columns).map(|at| value(at) * scale).collect();
            let points = Points::new(1400, columns, values).expect("valid");
            for metric in metrics {
                for near in [(1, 10), (1, 2)] {
                    let limit = metric.distance(points.row(near.0), points.row(near.1)) as f32;
                    let space = Space::new(&points, metric).expect("prepared");
                    let rounding = space.rounding();
                    let (_, mut floors) = nearest_and_floors(space, 5).expect("found");
                    // Twice: the second time with floors that the first has raised.
                    for _ in 0..2 {
                        let near = Near { limit, pairs: Mutex::new(BTreeMap::new()) };
                        search(&mut floors, &near).expect("not cancelled");
                        let found = near.pairs.lock().expect("no panic").clone();
                        for a in 0..1400_usize {
                            for b in a + 1..1400 {
                                let wanted = a % 3 != b % 3 && (a.is_multiple_of(7) || b.is_multiple_of(7));
                                let distance = metric.distance(points.row(a), points.row(b));
                                let error = 1e-5 * distance.max(f64::from(limit)) + rounding;
                                let found = found.get(&(a, b));
                                if let Some(&found) = found {
                                    let off = (f64::from(found) - distance).abs();
                                    assert!(wanted && off <= error, "{metric} {columns} {a} {b}: {found}, {distance}");
                                }
                                let far = distance > f64::from(limit) - error;
                                assert!(found.is_some() || !wanted || far, "{metric} {columns} {a} {b}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn floors_fit_their_budget() {
        for rows in [1_usize, 1000, 100_000, 1_000_000] {
            let floors = rows.div_ceil(ROWS).div_ceil(tiles_per_floor(rows)) * rows.div_ceil(LANES) / 2;
            assert!(floors * size_of::<u16>() <= FLOORS_BUDGET * 11 / 10, "{rows}");
        }
        assert_eq!((tiles_per_floor(50_000), tiles_per_floor(usize::MAX)), (1, BLOCK / ROWS));
    }

    #[test]
    fn tiles_may_share_floors() {
        let values: Vec<f32> = (0..5000).map(|at| ((at * 7919 + at / 3 * 131) % 1009) as f32).collect();
        let points = Points::new(1000, 5, values).expect("valid");
        let space = Space::new(&points, Metric::Euclidean).expect("prepared");
        let run = |tiles: usize| {
            let (_, mut floors) = crate::linalg::neighbours::with_floors(space.clone(), 3, tiles).expect("found");
            let near = Near { limit: 250.0, pairs: Mutex::new(BTreeMap::new()) };
            let mut all = Vec::new();
            for _ in 0..2 {
                search(&mut floors, &near).expect("not cancelled");
                all.extend(
                    std::mem::take(&mut *near.pairs.lock().expect("no panic"))
                        .into_keys()
                        .filter(|&(a, b)| Metric::Euclidean.distance(points.row(a), points.row(b)) <= 249.9),
                );
            }
            all
        };
        let one = run(1);
        assert!(!one.is_empty());
        assert_eq!((run(7), run(80)), (one.clone(), one));
    }
}

//! The nearest neighbours of points, by exact search.
//!
//! All pairs are compared tile by tile; every point keeps a short list of the best seen so far, and a tile is looked at
//! more closely only where one of its distances is below what a list already holds. Each pair is computed once and
//! offered to both points. The few that are left are measured again from differences before they are ordered.

use std::ops::Range;

use rayon::prelude::*;

use super::bridges::{Floor, Floors, tiles_per_floor};
use super::cells::{Cells, Wanted};
use super::pairs::{nearest_first, pieces, tournament};
use super::simd::{Float, WIDTH};
use super::space::{BLOCK, Finish};
use super::tile::{LANES, Place, Sink, Tile};
use super::{LinalgError, Metric, Space};
use crate::points::Points;
use crate::progress::{self, SharedProgress};

/// Neighbours kept beyond those asked for, so that rounding errors of the first look cannot lose one.
pub(super) const SPARE: usize = 8;

/// The nearest neighbours of every point: ascending distance, of equal ones the lower index first.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbours {
    /// How many neighbours each point has.
    pub k: usize,
    /// n x `k` numbers of points.
    pub indices: Vec<u32>,
    /// n x `k` distances.
    pub distances: Vec<f32>,
}

impl Neighbours {
    /// How many points there are.
    pub fn rows(&self) -> usize {
        self.indices.len() / self.k.max(1)
    }

    /// The neighbours of a point and their distances.
    ///
    /// # Panics
    /// As indexing a slice: `row` must be below [`Neighbours::rows`].
    pub fn of(&self, row: usize) -> (&[u32], &[f32]) {
        let range = row * self.k..(row + 1) * self.k;
        (&self.indices[range.clone()], &self.distances[range])
    }
}

/// The `k` nearest other points of every point, at most n - 1. O(n² d), memory O(n k), all threads.
///
/// # Errors
/// The computation was told to stop.
pub fn nearest_neighbours(space: &Space, k: usize) -> Result<Neighbours, LinalgError> {
    let cells = Cells::new(space)?;
    if !cells.skip() {
        let order: Vec<u32> = (0..space.rows() as u32).collect();
        let search = Pairs { space, order: &order, cells: &cells, floors: None };
        return Ok(collect(search.lists(k)?, k, &order, space, space.as_given().as_ref()));
    }
    let order = cells.order();
    let ordered = space.select(&order);
    let search = Pairs { space: &ordered, order: &order, cells: &cells, floors: None };
    Ok(collect(search.lists(k)?, k, &order, &ordered, space.as_given().as_ref()))
}

/// The same, and what [`super::search`] needs: points in an order in which near ones lie together, and what the pairs in
/// each of some small pieces are apart at least.
///
/// # Errors
/// The computation was told to stop.
pub(crate) fn nearest_and_floors(space: Space, k: usize) -> Result<(Neighbours, Floors), LinalgError> {
    let tiles = tiles_per_floor(space.rows());
    with_floors(space, k, tiles)
}

/// The same, where so many tiles share a floor.
pub(super) fn with_floors(space: Space, k: usize, tiles: usize) -> Result<(Neighbours, Floors), LinalgError> {
    let cells = Cells::new(&space)?;
    let order = cells.order();
    let ordered = space.select(&order);
    let given = space.as_given();
    drop(space);
    let search = Pairs { space: &ordered, order: &order, cells: &cells, floors: Some(tiles) };
    let mut lists = search.lists(k)?;
    let floors = lists
        .iter_mut()
        .enumerate()
        .flat_map(|(a, lists)| std::mem::take(&mut lists.floors).into_iter().map(move |(b, floors)| (a, b, floors)));
    let floors = floors.collect();
    let neighbours = collect(lists, k, &order, &ordered, given.as_ref());
    Ok((neighbours, Floors { space: ordered, order, floors }))
}

/// All pairs of points.
struct Pairs<'work, 'points> {
    space: &'work Space<'points>,
    /// The numbers of its points.
    order: &'work [u32],
    cells: &'work Cells,
    /// Tiles that share a floor, where floors are kept.
    floors: Option<usize>,
}

impl Pairs<'_, '_> {
    fn lists(&self, k: usize) -> Result<Vec<Lists>, LinalgError> {
        let rows = self.space.rows();
        let k = k.min(rows.saturating_sub(1));
        let blocks: Vec<Range<usize>> = pieces(0..rows, BLOCK).collect();
        let mut found: Vec<Lists> = blocks.iter().map(|block| Lists::new(block.clone(), k)).collect();
        if k == 0 {
            return Ok(found);
        }
        if !self.cells.skip() {
            tournament("nearest neighbours", &mut found, |(_, a), b| self.visit(None, a, b))?;
            return Ok(found);
        }
        let of: Vec<u32> = self.order.iter().map(|&point| self.cells.of(point as usize)).collect();
        let of_block = |block: &Range<usize>| &of[block.clone()];
        let near = |a: usize, b: usize| self.cells.least(of_block(&blocks[a]), of_block(&blocks[b]));
        nearest_first("nearest neighbours", &mut found, near, |(_, a), b| {
            let lanes = b.as_ref().map_or(&*a, |(_, lists)| &**lists);
            let limit = |rows: Range<usize>, columns: Range<usize>| {
                let limits = a.limits[rows].iter().chain(&lanes.limits[columns]);
                self.space.distance_of_order(limits.fold(0.0, |most: f32, &limit| most.max(limit)))
            };
            let wanted = self.cells.wanted(of_block(&a.block), of_block(&lanes.block), limit);
            self.visit(Some(wanted), a, b)
        })?;
        Ok(found)
    }

    /// Offers the pairs of two blocks, or of one, to both of them, except for tiles that are not wanted.
    fn visit(&self, wanted: Option<Wanted>, a: &mut Lists, b: Option<(usize, &mut Lists)>) -> Result<(), LinalgError> {
        let (number, b) = b.map_or((a.block.start / BLOCK, None), |(number, lists)| (number, Some(lists)));
        let own = a.block.clone();
        let others = b.as_deref().map_or(own.clone(), |lists| lists.block.clone());
        let floors = self.floors.map(|tiles| Floor::new(tiles, own.len(), others.len(), &wanted, self.space));
        let (first, count, names, skip_self) = (others.start, others.len(), self.order, b.is_none());
        let some = wanted.as_ref().is_none_or(|wanted| wanted.some);
        let mut sink = Offer { skip_self, wanted, floors, lanes: b, ..Offer::to_rows(names, first, count, a) };
        if some {
            self.space.block(own, self.space, others, Finish::Order, &mut Vec::new(), &mut sink);
        }
        if let Some(floors) = sink.floors {
            a.floors.push((number, floors));
        }
        Ok(())
    }
}

/// The `k` nearest base points of every query, at most all; a query that is one of them finds itself. O(n m d), memory
/// O(m k), all threads.
///
/// # Errors
/// Base and queries have different numbers of columns; the computation was told to stop.
pub fn nearest_of(base: &Points, queries: &Points, metric: Metric, k: usize) -> Result<Neighbours, LinalgError> {
    let base = Space::new(base, metric)?;
    let queries = base.with(queries)?;
    let k = k.min(base.rows());
    let mut found: Vec<Lists> = pieces(0..queries.rows(), BLOCK).map(|block| Lists::new(block, k)).collect();
    let names: Vec<u32> = (0..base.rows() as u32).collect();
    let progress = SharedProgress::if_long("nearest neighbours", queries.rows() as u64, "points");
    if k > 0 {
        found.par_iter_mut().with_max_len(1).try_for_each_init(Vec::new, |panels, lists| {
            for others in pieces(0..base.rows(), BLOCK) {
                progress::check()?;
                let own = lists.block.clone();
                let mut sink = Offer::to_rows(&names, others.start, others.len(), lists);
                queries.block(own, &base, others, Finish::Order, panels, &mut sink);
            }
            progress.advance(lists.block.len() as u64);
            Ok::<(), LinalgError>(())
        })?;
    }
    let order: Vec<u32> = (0..queries.rows() as u32).collect();
    let given = queries.as_given().zip(base.as_given());
    let (queries, base) = given.as_ref().map_or((&queries, &base), |(queries, base)| (queries, base));
    Ok(collect_of(found, k, &order, (queries, |at| at), (base, |point| point)))
}

/// The best candidates of each point of a block.
pub(super) struct Lists {
    block: Range<usize>,
    /// Candidates kept when a list is cut.
    kept: usize,
    /// Places in a list.
    places: usize,
    candidates: Vec<(f32, u32)>,
    lengths: Vec<usize>,
    /// Nothing farther than this can be among the kept ones; a whole number of panels.
    limits: Vec<f32>,
    /// What the pairs with later blocks are apart.
    floors: Vec<(usize, Floor)>,
}

impl Lists {
    pub(super) fn new(block: Range<usize>, k: usize) -> Lists {
        let kept = k + SPARE;
        let places = 2 * kept + LANES;
        let count = block.len();
        Lists {
            block,
            kept,
            places,
            candidates: vec![(0.0, 0); count * places],
            lengths: vec![0; count],
            limits: vec![f32::INFINITY; count.next_multiple_of(LANES)],
            floors: Vec::new(),
        }
    }

    #[inline]
    fn offer(&mut self, point: usize, order: f32, other: u32) {
        let length = self.lengths[point];
        self.candidates[point * self.places + length] = (order, other);
        self.lengths[point] = length + 1;
        if length + 1 == self.places {
            self.cut(point);
        }
    }

    /// The names of the `count` nearest of each point, nearest first; at least so many must have been offered.
    pub(super) fn nearest(&mut self, count: usize) -> Vec<u32> {
        let points = 0..self.lengths.len();
        points
            .flat_map(|point| self.sorted(point)[..count].iter().map(|&(_, other)| other).collect::<Vec<_>>())
            .collect()
    }

    /// Lists of the same points that take what is better than the worst in these.
    pub(super) fn empty(&self) -> Lists {
        let mut lists = Lists::new(self.block.clone(), self.kept - SPARE);
        lists.limits.copy_from_slice(&self.limits);
        lists
    }

    /// Takes what others took.
    pub(super) fn merge(&mut self, others: &mut Lists) {
        for point in 0..self.lengths.len() {
            for &(order, other) in others.sorted(point) {
                if order <= self.limits[point] {
                    self.offer(point, order, other);
                }
            }
        }
    }

    /// The best of a point in order.
    pub(super) fn sorted(&mut self, point: usize) -> &[(f32, u32)] {
        let list = &mut self.candidates[point * self.places..][..self.lengths[point]];
        list.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        &list[..list.len().min(self.kept)]
    }

    #[cold]
    fn cut(&mut self, point: usize) {
        let list = &mut self.candidates[point * self.places..][..self.places];
        list.select_nth_unstable_by(self.kept - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        self.limits[point] = list[self.kept - 1].0;
        self.lengths[point] = self.kept;
    }
}

/// Offers the pairs of a tile to the lists of the rows, and to those of the lanes.
pub(super) struct Offer<'lists> {
    /// The number of each point that may be in a list.
    names: &'lists [u32],
    /// The point in the first lane of the first panel.
    first: usize,
    /// How many points the panels hold.
    count: usize,
    pub(super) skip_self: bool,
    /// Names that were offered to all of the rows, or lanes, before, ascending: nothing may be in a list twice.
    pub(super) known_to_rows: &'lists [u32],
    pub(super) known_to_lanes: &'lists [u32],
    /// All tiles, or these.
    wanted: Option<Wanted>,
    floors: Option<Floor>,
    rows: &'lists mut Lists,
    pub(super) lanes: Option<&'lists mut Lists>,
}

impl<'lists> Offer<'lists> {
    /// Offers all pairs to the lists of the rows alone.
    pub(super) fn to_rows(names: &'lists [u32], first: usize, count: usize, rows: &'lists mut Lists) -> Offer<'lists> {
        Offer {
            names,
            first,
            count,
            skip_self: false,
            known_to_rows: &[],
            known_to_lanes: &[],
            wanted: None,
            floors: None,
            rows,
            lanes: None,
        }
    }
}

impl Sink for Offer<'_> {
    #[inline(always)]
    fn wants(&self, place: Place) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.has(place))
    }

    #[inline(always)]
    fn take<V: Float>(&mut self, place: Place, tile: &mut Tile) {
        if let Some(floors) = &mut self.floors {
            floors.lower(place, tile);
        }
        let first_lane = place.panel * LANES;
        for (row, values) in tile.iter().enumerate().take(place.rows) {
            let row = place.row + row;
            let limit = V::splat(self.rows.limits[row]);
            for (half, lanes) in values.as_chunks::<WIDTH>().0.iter().enumerate() {
                let first = first_lane + half * WIDTH;
                let valid = match self.count.saturating_sub(first) {
                    left if left >= WIDTH => u16::MAX,
                    left => (1 << left) - 1,
                };
                let orders = V::load(lanes);
                let mut near = orders.at_most(limit) & valid;
                while near != 0 {
                    let lane = near.trailing_zeros() as usize;
                    near &= near - 1;
                    let other = self.first + first + lane;
                    let name = self.names[other];
                    let is_self = self.skip_self && other == self.rows.block.start + row;
                    if !is_self && self.known_to_rows.binary_search(&name).is_err() {
                        self.rows.offer(row, lanes[lane], name);
                    }
                }
                if let Some(lists) = &mut self.lanes {
                    let limits = &lists.limits.as_chunks::<WIDTH>().0[first / WIDTH];
                    let mut near = orders.at_most(V::load(limits)) & valid;
                    while near != 0 {
                        let lane = near.trailing_zeros() as usize;
                        near &= near - 1;
                        let name = self.names[self.rows.block.start + row];
                        if self.known_to_lanes.binary_search(&name).is_err() {
                            lists.offer(first + lane, lanes[lane], name);
                        }
                    }
                }
            }
        }
    }
}

/// [`collect_of`] the lists of points of one space, in the order of that space; `order` tells their numbers. `given` has
/// the points by their numbers.
fn collect(blocks: Vec<Lists>, k: usize, order: &[u32], ordered: &Space, given: Option<&Space>) -> Neighbours {
    let k = k.min(order.len().saturating_sub(1));
    if let Some(given) = given {
        return collect_of(blocks, k, order, (given, |at| order[at] as usize), (given, |point| point));
    }
    let mut places = vec![0; order.len()];
    order.iter().zip(0..).for_each(|(&point, place)| places[point as usize] = place);
    collect_of(blocks, k, order, (ordered, |at| at), (ordered, |point| places[point as usize]))
}

/// Measures the candidates again, in the order that comes out keeps the first `k`. `order` has the numbers of the points
/// in the blocks. The two spaces have the points of the blocks and the candidates; each comes with where in it they are.
fn collect_of(
    blocks: Vec<Lists>,
    k: usize,
    order: &[u32],
    (own, row): (&Space, impl Fn(usize) -> usize + Sync),
    (base, place): (&Space, impl Fn(u32) -> u32 + Sync),
) -> Neighbours {
    let rows = order.len();
    let (mut indices, mut distances) = (vec![0; rows * k], vec![0.0; rows * k]);
    if k == 0 {
        return Neighbours { k, indices, distances };
    }
    let out = indices.par_chunks_mut(BLOCK * k).zip(distances.par_chunks_mut(BLOCK * k));
    blocks.into_par_iter().zip(out).for_each(|(mut lists, (indices, distances))| {
        let (first, mut others) = (lists.block.start, Vec::new());
        let out = indices.chunks_exact_mut(k).zip(distances.chunks_exact_mut(k));
        for (at, (indices, distances)) in out.enumerate() {
            let list = lists.sorted(at);
            others.clear();
            others.extend(list.iter().map(|&(_, other)| other));
            measure(own, row(first + at), base, &others, &place, indices, distances);
        }
    });
    // Back into the order of the points.
    Neighbours { k, indices: reordered(indices, k, order), distances: reordered(distances, k, order) }
}

/// Measures candidates of a point; writes the nearest, ascending. `place` tells where in `base` each is.
pub(super) fn measure(
    own: &Space,
    row: usize,
    base: &Space,
    candidates: &[u32],
    place: impl Fn(u32) -> u32,
    indices: &mut [u32],
    distances: &mut [f32],
) {
    let places: Vec<u32> = candidates.iter().map(|&other| place(other)).collect();
    let mut again = vec![0.0; places.len()];
    own.distances_to(row, base, &places, &mut again);
    let mut measured: Vec<(f32, u32)> = again.into_iter().zip(candidates.iter().copied()).collect();
    measured.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    for ((index, distance), &(measured, other)) in indices.iter_mut().zip(distances).zip(&measured) {
        (*index, *distance) = (other, measured);
    }
}

/// Rows of `k` values, each at the place that `order` gives.
pub(super) fn reordered<T: Copy + Default>(values: Vec<T>, k: usize, order: &[u32]) -> Vec<T> {
    if order.is_sorted() {
        return values;
    }
    let mut out = vec![T::default(); values.len()];
    for (values, &row) in values.chunks_exact(k).zip(order) {
        out[row as usize * k..(row as usize + 1) * k].copy_from_slice(values);
    }
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::linalg) const METRICS: [Metric; 5] =
        [Metric::Euclidean, Metric::Cityblock, Metric::Chebyshev, Metric::Cosine, Metric::Arccos];

    /// Points in a few loose groups, with some copies among them.
    pub(in crate::linalg) fn scattered(rows: usize, columns: usize) -> Points {
        let mut state = 12345_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        let mut values: Vec<f32> = (0..rows * columns).map(|at| (at / columns % 7) as f32 + random()).collect();
        values.copy_within(0..columns, (rows - 1) * columns);
        Points::new(rows, columns, values).expect("valid")
    }

    fn naive(base: &Points, query: &[f32], metric: Metric, skip: Option<usize>) -> Vec<(f64, usize)> {
        let all = base.iter().enumerate().filter(|(at, _)| Some(*at) != skip);
        let mut all: Vec<(f64, usize)> = all.map(|(at, row)| (metric.distance(query, row), at)).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        all
    }

    #[test]
    fn equal_a_naive_search() {
        for (rows, columns, k) in [(2, 3, 1), (40, 3, 5), (700, 20, 12), (1100, 90, 30)] {
            let points = scattered(rows, columns);
            for metric in METRICS {
                let space = Space::new(&points, metric).expect("prepared");
                let found = nearest_neighbours(&space, k).expect("found");
                assert_eq!((found.rows(), found.k), (rows, k));
                for row in (0..rows).step_by(37).chain([rows - 1]) {
                    let expected = naive(&points, points.row(row), metric, Some(row));
                    let (indices, distances) = found.of(row);
                    for (at, (&index, &distance)) in indices.iter().zip(distances).enumerate() {
                        let (expected, _) = expected[at];
                        let own = metric.distance(points.row(row), points.row(index as usize));
                        let close = |a: f64, b: f64| (a - b).abs() <= 2e-6 * b.max(1e-1);
                        assert!(close(f64::from(distance), expected), "{metric} {row}: {distance}, not {expected}");
                        assert!(
                            close(own, expected) && index as usize != row,
                            "{metric} {row}: {index} is no neighbour"
                        );
                    }
                    let mut distinct = indices.to_vec();
                    distinct.sort_unstable();
                    distinct.dedup();
                    assert_eq!(distinct.len(), k);
                }
            }
        }
    }

    /// Skipping cells must change nothing: neither neighbours nor distances, in any order of the points.
    #[test]
    fn equal_a_search_without_cells() {
        let mut state = 99_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        let (mut skipped, rows) = (0, 1100);
        for columns in [2, 3, 20, 50, 90] {
            let uniform: Vec<f32> = (0..rows * columns).map(|_| random()).collect();
            let centres: Vec<f32> = (0..30 * columns).map(|_| random() * 40.0).collect();
            let group = |at: usize| (at / columns * 7919) % 30;
            let clustered = uniform.iter().enumerate().map(|(at, x)| x + centres[group(at) * columns + at % columns]);
            let clustered: Vec<f32> = clustered.collect();
            let tied: Vec<f32> = clustered.iter().map(|x| (x * 2.0).round() / 2.0).collect();
            let mut copies = clustered.clone();
            for row in (0..rows).filter(|row| row % 3 > 0) {
                copies.copy_within(row / 40 * columns..(row / 40 + 1) * columns, row * columns);
            }
            let far = clustered.iter().map(|x| x + 1e5).collect();
            let sets = [uniform, clustered.clone(), tied, copies, far];
            let scaled = [1e-25, 1e25].map(|scale: f32| clustered.iter().map(|x| x * scale).collect::<Vec<f32>>());
            for values in sets.into_iter().chain(scaled) {
                let points = Points::new(rows, columns, values).expect("valid");
                for metric in METRICS {
                    let space = Space::new(&points, metric).expect("prepared");
                    skipped += usize::from(Cells::new(&space).expect("found").skip());
                    let order: Vec<u32> = (0..rows as u32).collect();
                    let cells = Cells::one(rows);
                    let plain = Pairs { space: &space, order: &order, cells: &cells, floors: None };
                    let plain = collect(plain.lists(7).expect("found"), 7, &order, &space, space.as_given().as_ref());
                    let run = |threads: usize| {
                        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                        pool.install(|| nearest_neighbours(&space, 7)).expect("found")
                    };
                    assert!(run(1) == plain && run(3) == plain, "{metric} {columns}");
                    assert!(nearest_and_floors(space, 7).expect("found").0 == plain, "{metric} {columns}");
                }
            }
        }
        assert!(skipped > 60, "{skipped}");
    }

    #[test]
    fn queries_find_themselves_in_the_base() {
        let points = scattered(600, 70);
        for metric in METRICS {
            let found = nearest_of(&points, &points, metric, 3).expect("found");
            for row in 0..599 {
                assert!(found.of(row).1[0] < 1e-3, "{metric}");
                assert!(row == 0 || found.of(row).0[0] == row as u32, "{metric}");
            }
        }
        assert_eq!(nearest_of(&points, &points, Metric::Euclidean, 9999).expect("found").k, 600);
        let narrow = Points::new(1, 2, vec![0.0; 2]).expect("valid");
        let error = nearest_of(&points, &narrow, Metric::Euclidean, 1).expect_err("other columns").to_string();
        assert_eq!(error, "distances: a point has 2 numbers, 70 are needed");
    }

    #[test]
    fn few_points_equal_points_and_threads() {
        let one = Points::new(1, 2, vec![1.0, 2.0]).expect("valid");
        let found = nearest_neighbours(&Space::new(&one, Metric::Euclidean).expect("prepared"), 5).expect("found");
        assert_eq!(found, Neighbours { k: 0, indices: Vec::new(), distances: Vec::new() });
        let equal = Points::new(900, 100, vec![0.1; 90_000]).expect("valid");
        let found = nearest_neighbours(&Space::new(&equal, Metric::Euclidean).expect("prepared"), 3).expect("found");
        assert_eq!((found.of(0), found.of(899)), ((&[1, 2, 3][..], &[0.0; 3][..]), (&[0, 1, 2][..], &[0.0; 3][..])));
        let points = scattered(1500, 80);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let space = Space::new(&points, Metric::Euclidean).expect("prepared");
            pool.install(|| nearest_neighbours(&space, 10)).expect("found")
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn distances_of_huge_and_tiny_numbers() {
        for scale in [1e-25_f32, 1e25] {
            for columns in [3, 90] {
                let values = scattered(50, columns).as_slice().iter().map(|value| value * scale).collect();
                let points = Points::new(50, columns, values).expect("valid");
                for metric in METRICS {
                    let space = Space::new(&points, metric).expect("prepared");
                    let found = nearest_neighbours(&space, 4).expect("found");
                    for row in 0..49 {
                        let (indices, distances) = found.of(row);
                        let expected = metric.distance(points.row(row), points.row(indices[3] as usize));
                        let error = (f64::from(distances[3]) - expected).abs();
                        assert!(error <= 1e-5 * expected.max(0.1 * f64::from(scale).min(1.0)), "{metric} {scale}");
                    }
                }
            }
        }
    }
}

//! Points in cells of near ones, and what two cells are apart at least.
//!
//! Each point goes to the nearest of some of the points. From the distances of all points to the means of all cells come
//! two bounds for each pair of cells. A cell lies in a ball around its mean, and no point of another is nearer to that
//! mean than the nearest (any metric). And seen along the line between two means, Euclidean cells are a gap apart; in
//! many dimensions, where balls overlap, gaps remain. Whoever looks for near points only skips the pairs of cells that
//! are too far apart. All this costs as much as two looks at one pair of points in a hundred; where little could be
//! skipped, all points are one cell.

use std::ops::Range;

use rayon::prelude::*;

use super::simd::Float;
use super::space::{BLOCK, Finish};
use super::tile::{LANES, Place, ROWS, Sink, Tile};
use super::{LinalgError, Metric, Space};

/// Points in a cell, on average.
const POINTS: usize = 64;
/// Cells at most: all pairs of them are kept.
const MOST: usize = 2048;
/// So many cells are looked at first.
const SAMPLE: usize = 32;
/// With fewer cells than this there is nothing to gain.
const LEAST: usize = 8;
/// What a distance in 32 bits may be off by, as a share of it: ten times what it is.
const SLACK: f32 = 1e-4;
/// Cells are kept if this share of all pairs of points may be skipped.
const WORTHWHILE: f64 = 0.1;

/// A partition of the points.
#[derive(Clone, Debug)]
pub(crate) struct Cells {
    /// The cell of each point. Cells with consecutive numbers are mostly near one another.
    of: Vec<u32>,
    count: usize,
    /// For each pair of cells, what their points are apart at least; the farther below zero, the nearer they are. Empty
    /// where little could be skipped.
    apart: Vec<f32>,
}

impl Cells {
    /// Finds cells. O(n² d / 64), less in large sets, all threads; memory for up to 2048 cells O(cells²).
    ///
    /// # Errors
    /// The computation was told to stop.
    pub fn new(space: &Space) -> Result<Cells, LinalgError> {
        let rows = space.rows();
        let count = (rows / POINTS).min(MOST);
        if count < LEAST {
            return Ok(Cells::one(rows));
        }
        let seeds: Vec<u32> = (0..count).map(|cell| (cell * rows / count) as u32).collect();
        let seeds = space.select(&seeds);
        let nearest = closest(space, &seeds)?;
        let members = members(&nearest, count);
        // Cosines obey no triangle inequality.
        if space.metric() == Metric::Cosine {
            return Ok(Cells { of: nearest, count, apart: Vec::new() });
        }
        // Some of the cells show whether bounds are worth their cost.
        let some: Vec<Vec<u32>> = members.iter().step_by(1 + members.len() / SAMPLE).cloned().collect();
        match Cells::bounded(space, &some)?.skip_many() {
            true => Ok(Cells::bounded(space, &members)?.cells),
            false => Ok(Cells { of: nearest, count, apart: Vec::new() }),
        }
    }

    /// All points in one cell.
    pub(super) fn one(rows: usize) -> Cells {
        Cells { of: vec![0; rows], count: 1, apart: Vec::new() }
    }

    /// The cells with these points, and their bounds; other points are in none.
    fn bounded(space: &Space, members: &[Vec<u32>]) -> Result<Bounded, LinalgError> {
        let count = members.len();
        let means = space.means_of(members);
        let mut between = vec![0.0; count * count];
        let views = between.par_chunks_mut(count).zip(members).enumerate();
        let views = views.map_init(Vec::new, |panels, (cell, (between, members))| {
            crate::progress::check()?;
            means.block(cell..cell + 1, &means, 0..count, Finish::Order, panels, &mut Write { out: between });
            let mut view = View::new(count);
            for members in members.chunks(BLOCK) {
                let points = space.select(members);
                let mut own = vec![0.0; members.len()];
                points.block(
                    0..members.len(),
                    &means,
                    cell..cell + 1,
                    Finish::Order,
                    panels,
                    &mut Write { out: &mut own },
                );
                view.look(space, &own);
                let mut sink = Look { own: &own, view: &mut view };
                points.block(0..members.len(), &means, 0..count, Finish::Order, panels, &mut sink);
            }
            Ok(view)
        });
        let views: Vec<View> = views.collect::<Result<_, LinalgError>>()?;
        let unit = f64::from(space.distance_of_order(1.0));
        let euclidean = is_squared(space);
        let slack = f64::from(SLACK);
        let apart = |a: usize, b: usize| {
            if a == b {
                return f32::NEG_INFINITY;
            }
            let ball = |a: usize, b: usize| root(space, views[a].nearest[b]) * (1.0 - slack) - views[b].radius;
            let mut apart = ball(a, b).max(ball(b, a));
            if euclidean {
                let between = 2.0 * root(space, between[a * count + b]);
                let side = |gap: f32| match f64::from(gap) / between {
                    side if side > 0.0 => side * (1.0 - slack),
                    side => side * (1.0 + slack),
                };
                apart = apart.max(side(views[a].gaps[b]) + side(views[b].gaps[a]));
            }
            let apart = (apart * unit) as f32;
            if apart.is_finite() { apart * (1.0 - SLACK) } else { f32::NEG_INFINITY }
        };
        // From each cell on to the nearest of those that are left.
        let mut order = vec![0];
        let mut left: Vec<usize> = (1..count).collect();
        while let Some(&last) = order.last()
            && let Some(at) = (0..left.len()).min_by(|&a, &b| apart(last, left[a]).total_cmp(&apart(last, left[b])))
        {
            order.push(left.swap_remove(at));
        }
        let mut of = vec![u32::MAX; space.rows()];
        for (&cell, number) in order.iter().zip(0..) {
            members[cell].iter().for_each(|&point| of[point as usize] = number);
        }
        let (order, apart) = (&order, &apart);
        let apart = order.par_iter().flat_map_iter(|&a| order.iter().map(move |&b| apart(a, b))).collect();
        let spread = views.iter().map(|view| view.spread / view.points as f64 * unit).collect();
        Ok(Bounded { cells: Cells { of, count, apart }, spread })
    }

    /// The cell of a point.
    pub fn of(&self, point: usize) -> u32 {
        self.of[point]
    }

    /// Whether many pairs of points may be skipped because their cells are apart.
    pub fn skip(&self) -> bool {
        !self.apart.is_empty()
    }

    /// The points cell after cell, in each in ascending order.
    pub fn order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.of.len() as u32).collect();
        order.sort_by_key(|&point| self.of[point as usize]);
        order
    }

    /// What points of two cells are apart at least, as distances in 32 bits are computed; negative if nothing is known.
    pub fn apart(&self, a: u32, b: u32) -> f32 {
        self.apart.get(a as usize * self.count + b as usize).copied().unwrap_or(f32::NEG_INFINITY)
    }

    /// The least that points of any two of these cells are apart.
    pub fn least(&self, a: &[u32], b: &[u32]) -> f32 {
        let pairs = runs(a).flat_map(|(a, _)| runs(b).map(move |(b, _)| (a, b)));
        pairs.map(|(a, b)| self.apart(a, b)).fold(f32::INFINITY, f32::min)
    }

    /// Which tiles may have pairs within the limits, given the cells of some rows and columns; `limit` is asked for that
    /// of a range of rows and one of columns.
    pub(super) fn wanted(
        &self,
        rows: &[u32],
        columns: &[u32],
        limit: impl Fn(Range<usize>, Range<usize>) -> f32,
    ) -> Wanted {
        let tiles = rows.len().div_ceil(ROWS);
        let mut wanted =
            Wanted { tiles, apart: vec![f32::INFINITY; tiles * columns.len().div_ceil(LANES)], some: false };
        for (a, rows) in runs(rows) {
            for (b, columns) in runs(columns) {
                let mut apart = self.apart(a, b);
                if apart <= 0.0 || apart <= limit(rows.clone(), columns.clone()) {
                    apart = f32::NEG_INFINITY;
                    wanted.some = true;
                }
                for panel in columns.start / LANES..columns.end.div_ceil(LANES) {
                    let first = panel * tiles;
                    let run = &mut wanted.apart[first + rows.start / ROWS..first + rows.end.div_ceil(ROWS)];
                    run.iter_mut().for_each(|least| *least = least.min(apart));
                }
            }
        }
        wanted
    }
}

/// Runs of equal numbers.
fn runs(cells: &[u32]) -> impl Iterator<Item = (u32, Range<usize>)> {
    cells.chunk_by(|a, b| a == b).scan(0, |end, run| {
        let start = *end;
        *end += run.len();
        Some((run[0], start..*end))
    })
}

struct Bounded {
    cells: Cells,
    /// The mean distance of the points of each cell to their mean.
    spread: Vec<f64>,
}

impl Bounded {
    /// Whether a good share of all pairs is farther apart than points of the same cell are.
    fn skip_many(mut self) -> bool {
        self.spread.sort_unstable_by(f64::total_cmp);
        // Two points are as far from one another as √2 times from their mean.
        let near = (self.spread[self.spread.len() / 2] * std::f64::consts::SQRT_2) as f32;
        let Cells { of, count, apart } = &self.cells;
        let mut sizes = vec![0.0; *count];
        of.iter().filter(|cell| **cell != u32::MAX).for_each(|&cell| sizes[cell as usize] += 1.0);
        let far = |(at, &apart): (usize, &f32)| if apart > near { sizes[at / count] * sizes[at % count] } else { 0.0 };
        let skipped: f64 = apart.iter().enumerate().map(far).sum();
        skipped >= WORTHWHILE * sizes.iter().sum::<f64>().powi(2)
    }
}

/// Which tiles of two blocks are to be looked at.
pub(super) struct Wanted {
    /// Tiles of rows.
    tiles: usize,
    /// Panel by panel: what the pairs of a tile are apart at least, minus infinity if it is wanted.
    pub apart: Vec<f32>,
    /// Whether there are any.
    pub some: bool,
}

impl Wanted {
    #[inline(always)]
    pub fn has(&self, place: Place) -> bool {
        self.apart[place.panel * self.tiles + place.row / ROWS] == f32::NEG_INFINITY
    }
}

pub(super) fn is_squared(space: &Space) -> bool {
    matches!(space.metric(), Metric::Euclidean | Metric::Arccos)
}

/// A scaled distance from its order.
fn root(space: &Space, order: f32) -> f64 {
    if is_squared(space) { f64::from(order).sqrt() } else { f64::from(order) }
}

/// What a cell sees of the means of all cells, in orders of the space.
struct View {
    /// The least order of a point of the cell.
    nearest: Vec<f32>,
    /// The least difference of a point's order and that to its own mean; less for rounding.
    gaps: Vec<f32>,
    /// No point is farther from its own mean.
    radius: f64,
    /// The sum of the distances to it.
    spread: f64,
    points: usize,
}

impl View {
    fn new(count: usize) -> View {
        let most = vec![f32::INFINITY; count.next_multiple_of(LANES)];
        View { nearest: most.clone(), gaps: most, radius: 0.0, spread: 0.0, points: 0 }
    }

    fn look(&mut self, space: &Space, own: &[f32]) {
        for &order in own {
            let distance = root(space, order);
            self.radius = self.radius.max(distance * (1.0 + f64::from(SLACK)));
            self.spread += distance;
        }
        self.points += own.len();
    }
}

struct Look<'work> {
    own: &'work [f32],
    view: &'work mut View,
}

impl Sink for Look<'_> {
    #[inline(always)]
    fn take<V: Float>(&mut self, place: Place, tile: &mut Tile) {
        let lanes = place.panel * LANES..(place.panel + 1) * LANES;
        let nearest = &mut self.view.nearest[lanes.clone()];
        let gaps = &mut self.view.gaps[lanes];
        for (row, orders) in tile.iter().enumerate().take(place.rows) {
            let own = self.own[place.row + row] * (1.0 + 2.0 * SLACK);
            for ((nearest, gap), &order) in nearest.iter_mut().zip(&mut *gaps).zip(orders) {
                *nearest = if order < *nearest { order } else { *nearest };
                let own_gap = order * (1.0 - 2.0 * SLACK) - own;
                *gap = if own_gap < *gap { own_gap } else { *gap };
            }
        }
    }
}

/// Writes the orders of one row after another.
struct Write<'out> {
    out: &'out mut [f32],
}

impl Sink for Write<'_> {
    #[inline(always)]
    fn take<V: Float>(&mut self, place: Place, tile: &mut Tile) {
        // Either one row or one column.
        for (row, orders) in tile.iter().enumerate().take(place.rows) {
            let first = place.row + row + place.panel * LANES;
            self.out[first..].iter_mut().zip(orders).for_each(|(out, &order)| *out = order);
        }
    }
}

/// The number of the centre closest to each point, of equally close ones the first. O(n k d), all threads.
///
/// # Errors
/// The computation was told to stop.
pub(super) fn closest(space: &Space, centres: &Space) -> Result<Vec<u32>, LinalgError> {
    let count = centres.rows();
    let mut nearest = vec![0; space.rows()];
    nearest.par_chunks_mut(BLOCK).enumerate().try_for_each_init(Vec::new, |panels, (chunk, nearest)| {
        crate::progress::check()?;
        let first = chunk * BLOCK;
        let (points, best) = (first..first + nearest.len(), vec![f32::INFINITY; nearest.len()]);
        space.block(points, centres, 0..count, Finish::Order, panels, &mut Nearest { nearest, best, count });
        Ok::<(), LinalgError>(())
    })?;
    Ok(nearest)
}

/// The points of each label below `count`, without labels that no point has.
pub(super) fn members(labels: &[u32], count: usize) -> Vec<Vec<u32>> {
    let mut members = vec![Vec::new(); count];
    labels.iter().zip(0..).for_each(|(&label, point)| members[label as usize].push(point));
    members.retain(|members: &Vec<u32>| !members.is_empty());
    members
}

struct Nearest<'work> {
    nearest: &'work mut [u32],
    best: Vec<f32>,
    count: usize,
}

impl Sink for Nearest<'_> {
    #[inline(always)]
    fn take<V: Float>(&mut self, place: Place, tile: &mut Tile) {
        let first = place.panel * LANES;
        for (row, orders) in tile.iter().enumerate().take(place.rows) {
            let row = place.row + row;
            let least = orders.iter().fold(f32::INFINITY, |least, &order| if order < least { order } else { least });
            if least < self.best[row] {
                for (lane, &order) in orders.iter().enumerate().take(self.count - first) {
                    if order < self.best[row] {
                        self.best[row] = order;
                        self.nearest[row] = (first + lane) as u32;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::points::Points;

    #[test]
    fn no_points_are_nearer_than_their_cells() {
        let mut state = 7_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        for (columns, scale) in [(2, 1.0), (20, 1e-20), (50, 1.0), (90, 1e15)] {
            let (rows, groups) = (1500, 12);
            let centres: Vec<f32> = (0..groups * columns).map(|_| random() * 8.0).collect();
            let values = (0..rows * columns)
                .map(|at| (centres[at / columns * 31 % groups * columns + at % columns] + random()) * scale);
            let points = Points::new(rows, columns, values.collect()).expect("valid");
            for metric in [Metric::Euclidean, Metric::Cityblock, Metric::Chebyshev, Metric::Cosine, Metric::Arccos] {
                let space = Space::new(&points, metric).expect("prepared");
                let cells = Cells::new(&space).expect("found");
                assert_eq!(cells.skip(), metric != Metric::Cosine, "{metric} {columns}");
                let mut order = cells.order();
                assert!(order.is_sorted_by_key(|&point| cells.of(point as usize)));
                order.sort_unstable();
                assert!(order.into_iter().eq(0..rows as u32));
                let (mut shares, mut apart) = (0.0, 0.0);
                for a in 0..rows {
                    for b in 0..a {
                        let bound = f64::from(cells.apart(cells.of(a), cells.of(b)));
                        let distance = space.distance(a, b);
                        assert!(bound <= distance, "{metric} {columns} {a} {b}");
                        apart += bound.max(0.0);
                        shares += distance;
                    }
                }
                assert!(metric == Metric::Cosine || apart > 0.3 * shares, "{metric} {columns}: {}", apart / shares);
            }
        }
    }
}

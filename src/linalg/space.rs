//! Points, prepared once for all the distances of one metric.
//!
//! Euclidean distances in few dimensions come from differences. In many, they come from scalar products, which are twice
//! as fast: |x|² + |y|² - 2xy, around the points' mean. That loses digits where two points are much nearer to one
//! another than to the mean; such pairs are noticed and computed from differences instead. So all distances are good to
//! about 1e-6 of themselves, copies of a point are at distance 0, and a distance does not depend on what else is computed.
//! Cosine distances are half the squared distances of the points brought to length 1, around the mean of these: the
//! difference of 1 and a scalar product would have no digits left for points far from the origin.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::metric::length;
use super::simd::{Float, WIDTH, Work, dispatch};
use super::tile::{
    AbsoluteDifference, LANES, LargestDifference, Pairwise, Place, Product, ROWS, Sink, SquaredDifference, Tile, pack,
    tiles,
};
use super::{LinalgError, Metric, columns};
use crate::points::Points;

/// Up to so many coordinates Euclidean distances are computed from differences.
const FEW_COLUMNS: usize = 24;
/// Up to so many, if many points are near one another, as products of near ones must be corrected.
const SOME_COLUMNS: usize = 64;
/// Pairs whose squared distance is a smaller share of |x|² + |y|² than this have lost too many digits in a product.
const NEAR: f32 = 1.0 / 16.0;
/// Coordinates are rescaled unless the largest is between 1 / `LARGE` and `LARGE`, so that no square overflows.
const LARGE: f32 = (1_u64 << 40) as f32;
/// Rows prepared by one task.
const ROWS_PER_CHUNK: usize = 512;
/// Rows of a block: with a panel of others, a block of 768 coordinates stays in a core's caches.
pub(super) const BLOCK: usize = 480;

/// Points prepared for distances of one metric.
#[derive(Clone, Debug)]
pub struct Space<'points> {
    metric: Metric,
    form: Form,
    columns: usize,
    /// Row-major: as given, or centred, normalised, rescaled.
    values: Cow<'points, [f32]>,
    /// The points as given, where products are used although differences of these were affordable.
    given: Option<&'points [f32]>,
    /// The squared length of each row; empty unless products are used.
    squared: Vec<f32>,
    /// Which rows are the origin, whose cosine distance to all others is 1; empty if none is, or the metric is another.
    origins: Vec<bool>,
    /// What was taken off each row; empty if nothing.
    centre: Vec<f64>,
    /// Multiplied into each value.
    scale: f32,
}

/// The squared distance of points of length 1 at a right angle.
const RIGHT_ANGLE: f32 = 2.0;

/// Whether more than a few pairs of points are so near one another, compared with the centre, that digits are lost.
fn many_near(points: &Points, metric: Metric, centre: &[f64]) -> bool {
    const PAIRS: usize = 1024;
    const MOST: usize = PAIRS / 128;
    let rows = points.rows();
    let near = |pair: usize| {
        let (a, b) = (pair * rows / PAIRS, (pair * rows / PAIRS + rows / 2 + pair * 7919) % rows);
        let (a, b) = (points.row(a), points.row(b));
        let scale = |row| if metric.is_of_directions() { 1.0 / length(row) } else { 1.0 };
        let (a_scale, b_scale) = (scale(a), scale(b));
        let (mut apart, mut sum) = (0.0, 0.0);
        for ((&a, &b), centre) in a.iter().zip(b).zip(centre) {
            let (a, b) = (f64::from(a) * a_scale - centre, f64::from(b) * b_scale - centre);
            apart += (a - b) * (a - b);
            sum += a * a + b * b;
        }
        apart <= f64::from(NEAR) * sum
    };
    rows > 0 && (0..PAIRS).filter(|&pair| near(pair)).count() > MOST
}

/// What is computed for a pair before it is made a distance.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Squares,
    Products,
    Absolutes,
    Largest,
}

impl<'points> Space<'points> {
    /// Prepares the points. O(n d), memory one copy of them, none where they can be used as they are.
    ///
    /// # Errors
    /// The copy does not fit the memory.
    pub fn new(points: &'points Points, metric: Metric) -> Result<Space<'points>, LinalgError> {
        let columns = points.columns();
        let largest = points
            .as_slice()
            .par_chunks(ROWS_PER_CHUNK * columns)
            .map(|values| values.iter().fold(0.0, |largest: f32, value| largest.max(value.abs())))
            .reduce(|| 0.0, f32::max);
        let scale = match metric {
            Metric::Euclidean | Metric::Cityblock if largest > LARGE || (largest > 0.0 && largest < 1.0 / LARGE) => {
                (-largest.log2().floor()).clamp(-126.0, 126.0).exp2()
            }
            _ => 1.0,
        };
        let centre = match metric {
            Metric::Cosine | Metric::Arccos => columns::mean_direction(points),
            Metric::Euclidean if columns > FEW_COLUMNS => columns::means(points),
            _ => vec![0.0; columns],
        };
        let form = match metric {
            Metric::Cityblock => Form::Absolutes,
            Metric::Chebyshev => Form::Largest,
            _ if columns <= FEW_COLUMNS || (columns <= SOME_COLUMNS && many_near(points, metric, &centre)) => {
                Form::Squares
            }
            _ => Form::Products,
        };
        // Directions are rounded when they are brought to length 1: around their mean, that matters less.
        let centred = form == Form::Products || metric.is_of_directions();
        let centre = if centred { centre } else { Vec::new() };
        let mut space = Space::empty(metric, form, columns, centre, scale);
        space.prepare(points)?;
        Ok(space)
    }

    /// No points yet.
    fn empty(metric: Metric, form: Form, columns: usize, centre: Vec<f64>, scale: f32) -> Self {
        Space {
            metric,
            form,
            columns,
            values: Cow::Borrowed(&[]),
            given: None,
            squared: Vec::new(),
            origins: Vec::new(),
            centre,
            scale,
        }
    }

    /// Other points, prepared in the same way, so that their distances to these can be had.
    ///
    /// # Errors
    /// Another number of columns; the copy does not fit the memory.
    pub fn with<'others>(&self, points: &'others Points) -> Result<Space<'others>, LinalgError> {
        if points.columns() != self.columns {
            let (found, expected) = (points.columns(), self.columns);
            return Err(LinalgError::Shape { operation: "distances", name: "a point", found, expected });
        }
        let mut space = Space::empty(self.metric, self.form, self.columns, self.centre.clone(), self.scale);
        space.prepare(points)?;
        Ok(space)
    }

    fn prepare(&mut self, points: &'points Points) -> Result<(), LinalgError> {
        let columns = self.columns;
        let normalise = self.metric.is_of_directions();
        if !normalise && self.centre.is_empty() && self.scale == 1.0 {
            self.values = Cow::Borrowed(points.as_slice());
        } else {
            let mut values = zeros("distances", points.as_slice().len())?;
            let (scale, centre) = (f64::from(self.scale), &self.centre);
            let chunk = ROWS_PER_CHUNK * columns;
            values.par_chunks_mut(chunk).zip(points.as_slice().par_chunks(chunk)).for_each(|(values, rows)| {
                for (values, row) in values.chunks_exact_mut(columns).zip(rows.chunks_exact(columns)) {
                    let scale = if normalise { 1.0 / length(row) } else { scale };
                    if centre.is_empty() {
                        values.iter_mut().zip(row).for_each(|(value, &x)| *value = (f64::from(x) * scale) as f32);
                    } else {
                        for ((value, &x), centre) in values.iter_mut().zip(row).zip(centre) {
                            // The centre of directions is one of points of length 1.
                            let (x, around) =
                                if normalise { (f64::from(x) * scale, 1.0) } else { (f64::from(x), scale) };
                            *value = ((x - centre) * around) as f32;
                        }
                    }
                }
            });
            self.values = Cow::Owned(values);
        }
        self.square_rows();
        if self.metric == Metric::Cosine {
            let is_origin = |row: &[f32]| row.iter().all(|&value| value == 0.0);
            let origins: Vec<bool> = points.as_slice().par_chunks(columns).map(is_origin).collect();
            self.origins = if origins.contains(&true) { origins } else { Vec::new() };
        }
        if self.form == Form::Products && self.columns <= SOME_COLUMNS && !normalise && self.scale == 1.0 {
            self.given = Some(points.as_slice());
        }
        Ok(())
    }

    fn square_rows(&mut self) {
        let columns = self.columns;
        if self.form == Form::Products {
            let squared =
                |row: &[f32]| row.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>() as f32;
            self.squared = self
                .values
                .par_chunks(ROWS_PER_CHUNK * columns)
                .flat_map_iter(|rows| rows.chunks_exact(columns).map(squared))
                .collect();
        }
    }

    /// Points whose coordinates are prepared already; their squared lengths are as well, or none are needed.
    fn of_prepared(&self, values: Vec<f32>, squared: Vec<f32>, origins: Vec<bool>) -> Space<'static> {
        let empty = Space::empty(self.metric, self.form, self.columns, self.centre.clone(), self.scale);
        Space { values: Cow::Owned(values), squared, origins, ..empty }
    }

    /// Points of which nothing but Euclidean distances from differences is wanted.
    pub(super) fn of_differences(columns: usize, values: Vec<f32>) -> Space<'static> {
        let empty = Space::empty(Metric::Euclidean, Form::Squares, columns, Vec::new(), 1.0);
        Space { values: Cow::Owned(values), ..empty }
    }

    /// The same points for distances that no rounding of prepared coordinates touches, where that is affordable.
    pub(super) fn as_given(&self) -> Option<Space<'points>> {
        let values = Cow::Borrowed(self.given?);
        let empty = Space::empty(self.metric, Form::Squares, self.columns, Vec::new(), self.scale);
        Some(Space { values, ..empty })
    }

    /// Some of the points, in this order.
    pub(crate) fn select(&self, points: &[u32]) -> Space<'static> {
        let mut values = vec![0.0; points.len() * self.columns];
        let chunk = ROWS_PER_CHUNK * self.columns;
        values.par_chunks_mut(chunk).zip(points.par_chunks(ROWS_PER_CHUNK)).for_each(|(values, points)| {
            for (values, &point) in values.chunks_exact_mut(self.columns).zip(points) {
                values.copy_from_slice(self.row(point as usize));
            }
        });
        self.of_prepared(values, some_of(&self.squared, points), some_of(&self.origins, points))
    }

    /// Some of the points; where distances come from products they are moved by `centre`, which changes no distance and
    /// loses no digits of points around it. One thread.
    pub(super) fn select_around(&self, points: &[u32], centre: &[f32]) -> Space<'static> {
        if self.form != Form::Products {
            return self.select(points);
        }
        let mut values = Vec::with_capacity(points.len() * self.columns);
        for &point in points {
            values.extend(self.row(point as usize).iter().zip(centre).map(|(value, centre)| value - centre));
        }
        let mut squared = vec![0.0; points.len()];
        dispatch(SquaredLengths { columns: self.columns, rows: &values, out: &mut squared });
        self.of_prepared(values, squared, some_of(&self.origins, points))
    }

    /// The mean of each group of points, none of them empty.
    pub(super) fn means_of(&self, groups: &[Vec<u32>]) -> Space<'static> {
        let mean = |group: &Vec<u32>| {
            let mut sums = vec![0.0; self.columns];
            for &point in group {
                sums.iter_mut().zip(self.row(point as usize)).for_each(|(sum, &value)| *sum += f64::from(value));
            }
            let count = group.len() as f64;
            sums.into_iter().map(move |sum| (sum / count) as f32)
        };
        let mut means = self.of_prepared(groups.par_iter().flat_map_iter(mean).collect(), Vec::new(), Vec::new());
        means.square_rows();
        means
    }

    /// How many points there are.
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    /// How many coordinates each has.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The metric of the distances.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The distance of two points, in 64 bits from their prepared coordinates. O(d).
    ///
    /// # Panics
    /// As indexing a slice: `a` and `b` must be below [`Space::rows`].
    pub fn distance(&self, a: usize, b: usize) -> f64 {
        let metric = if self.metric.is_of_directions() { Metric::Euclidean } else { self.metric };
        let distance = metric.distance(self.row(a), self.row(b)) / f64::from(self.scale);
        match self.metric {
            Metric::Cosine if a != b && (is(&self.origins, a) || is(&self.origins, b)) => 1.0,
            Metric::Cosine => (0.5 * distance * distance).min(2.0),
            _ => distance,
        }
    }

    pub(super) fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.columns..(index + 1) * self.columns]
    }

    /// What any distance but cityblock and Chebyshev's may be off by because prepared coordinates are rounded.
    pub(crate) fn rounding(&self) -> f64 {
        if matches!(self.values, Cow::Borrowed(_)) {
            return 0.0;
        }
        let squared = |row: &[f32]| row.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>();
        let longest = self.values.par_chunks(self.columns).map(squared).reduce(|| 0.0, f64::max).sqrt();
        // Half of a squared distance of at most 2 is off by twice as much.
        let times = if self.metric == Metric::Cosine { 2.0 } else { 1.0 };
        times * f64::from(f32::EPSILON) * longest / f64::from(self.scale)
    }

    /// The distances from point `row` to the points `first`, `first + 1` and so on, one for each place of `out`. O(d) for
    /// each, on one thread.
    ///
    /// # Panics
    /// As indexing a slice: `row` and `first + out.len() - 1` must be below [`Space::rows`].
    pub fn distances_from(&self, row: usize, first: usize, out: &mut [f32]) {
        let others = &self.values[first * self.columns..(first + out.len()) * self.columns];
        self.one_to_many(self.row(row), others.chunks_exact(self.columns), out);
        if !self.origins.is_empty() {
            for (other, distance) in (first..).zip(out) {
                self.heed_origins(row, self, other, distance);
            }
        }
    }

    /// The distances from point `row` to some points of another space that was prepared in the same way. O(d) for each, on
    /// one thread.
    pub(super) fn distances_to(&self, row: usize, others: &Space, points: &[u32], out: &mut [f32]) {
        self.one_to_many(self.row(row), points.iter().map(|&point| others.row(point as usize)), out);
        if !self.origins.is_empty() || !others.origins.is_empty() {
            for (&other, distance) in points.iter().zip(out) {
                self.heed_origins(row, others, other as usize, distance);
            }
        }
    }

    fn heed_origins(&self, row: usize, others: &Space, other: usize, distance: &mut f32) {
        let itself = std::ptr::eq(self, others) && row == other;
        if !itself && (is(&self.origins, row) || is(&others.origins, other)) {
            *distance = 1.0;
        }
    }

    fn one_to_many<'rows>(&self, row: &[f32], others: impl Iterator<Item = &'rows [f32]>, out: &mut [f32]) {
        match self.form {
            // One row is bound by memory, not by arithmetic: differences cost nothing more than products.
            Form::Squares | Form::Products => dispatch(OneToMany { pairwise: SquaredDifference, row, others, out }),
            Form::Absolutes => dispatch(OneToMany { pairwise: AbsoluteDifference, row, others, out }),
            Form::Largest => dispatch(OneToMany { pairwise: LargestDifference, row, others, out }),
        }
        out.iter_mut().for_each(|order| *order = self.distance_of_order(*order));
    }

    /// Gives the distances between the points in `rows` and the points in `columns` of `others`, prepared in the same
    /// way, to the sink, tile by tile; `panels` is room to work in. One thread.
    pub(super) fn block<S: Sink>(
        &self,
        rows: Range<usize>,
        others: &Space,
        columns: Range<usize>,
        finish: Finish,
        panels: &mut Vec<f32>,
        sink: &mut S,
    ) {
        let width = self.columns;
        let other_rows = &others.values[columns.start * width..columns.end * width];
        pack(other_rows, width, panels);
        let own_rows = &self.values[rows.start * width..rows.end * width];
        let (form, count) = (self.form, columns.len());
        let mut other = Vec::new();
        if form == Form::Products {
            // Lanes beyond the last point are infinitely far.
            other.extend_from_slice(&others.squared[columns.clone()]);
            other.resize(other.len().next_multiple_of(LANES), f32::INFINITY);
        }
        let own = if form == Form::Products { &self.squared[rows.clone()] } else { &[] };
        let (metric, unscale) = (self.metric, 1.0 / self.scale);
        let starts = std::ptr::eq(self, others).then_some((rows.start, columns.start));
        let origins = [self.origins.get(rows).unwrap_or(&[]), others.origins.get(columns).unwrap_or(&[])];
        let mut sink = Finished {
            metric,
            form,
            finish,
            columns: width,
            own_rows,
            other_rows,
            own,
            other: &other,
            origins,
            starts,
            unscale,
            sink,
        };
        match form {
            Form::Squares => tiles(SquaredDifference, own_rows, width, panels, count, &mut sink),
            Form::Products => tiles(Product, own_rows, width, panels, count, &mut sink),
            Form::Absolutes => tiles(AbsoluteDifference, own_rows, width, panels, count, &mut sink),
            Form::Largest => tiles(LargestDifference, own_rows, width, panels, count, &mut sink),
        }
    }

    /// All coordinates as prepared.
    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    /// The same points, with the distances of points of length 1 in place of cosine distances: these grow together, and the
    /// former are the better ones to sum, compare and move.
    pub(super) fn as_directions(&self) -> Space<'_> {
        let metric = if self.metric == Metric::Cosine { Metric::Arccos } else { self.metric };
        let empty = Space::empty(metric, self.form, self.columns, self.centre.clone(), self.scale);
        Space { values: Cow::Borrowed(&*self.values), squared: self.squared.clone(), ..empty }
    }

    /// Turns what [`Finish::Order`] gave into a distance.
    pub(super) fn distance_of_order(&self, order: f32) -> f32 {
        match self.form {
            _ if self.metric == Metric::Cosine => (0.5 * order).min(2.0),
            Form::Squares | Form::Products => order.sqrt() / self.scale,
            Form::Absolutes => order / self.scale,
            Form::Largest => order,
        }
    }

    /// The order of a distance; below zero for one below zero.
    pub(super) fn order_of_distance(&self, distance: f32) -> f32 {
        if distance < 0.0 {
            return -1.0;
        }
        let scaled = f64::from(distance) * f64::from(self.scale);
        match self.form {
            _ if self.metric == Metric::Cosine => 2.0 * distance,
            Form::Squares | Form::Products => (scaled * scaled) as f32,
            Form::Absolutes => scaled as f32,
            Form::Largest => distance,
        }
    }
}

/// Whether row `index` is marked, where marks are there at all.
fn is(marks: &[bool], index: usize) -> bool {
    marks.get(index).is_some_and(|&mark| mark)
}

/// Some of the values; none of none.
fn some_of<T: Copy>(values: &[T], points: &[u32]) -> Vec<T> {
    match values.is_empty() {
        true => Vec::new(),
        false => points.iter().map(|&point| values[point as usize]).collect(),
    }
}

/// What a sink wants of a pair.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Finish {
    /// Its distance.
    Distance,
    /// Anything that grows with its distance; cheaper.
    Order,
}

/// Turns sums over coordinates into distances, and hands them on.
struct Finished<'work, S> {
    metric: Metric,
    form: Form,
    finish: Finish,
    columns: usize,
    own_rows: &'work [f32],
    other_rows: &'work [f32],
    /// The squared lengths of the rows, and of the points in the lanes.
    own: &'work [f32],
    other: &'work [f32],
    /// Which of the rows and of the points in the lanes are the origin; empty if none can be.
    origins: [&'work [bool]; 2],
    /// Where the rows and the lanes start, if they are the same points.
    starts: Option<(usize, usize)>,
    unscale: f32,
    sink: &'work mut S,
}

impl<S: Sink> Sink for Finished<'_, S> {
    #[inline(always)]
    fn wants(&self, place: Place) -> bool {
        self.sink.wants(place)
    }

    #[inline(always)]
    fn take<V: Float>(&mut self, place: Place, tile: &mut Tile) {
        let other = self.other.get(place.panel * LANES..).unwrap_or(&[]).as_chunks::<WIDTH>().0;
        let zero = V::splat(0.0);
        let unscale = V::splat(self.unscale);
        for (row, lanes) in tile.iter_mut().enumerate() {
            if self.form == Form::Products {
                let at = (place.row + row).min(self.own.len() - 1);
                let own = V::splat(self.own[at]);
                for (half, (lanes, other)) in lanes.as_chunks_mut::<WIDTH>().0.iter_mut().zip(other).enumerate() {
                    let sum = own.add(V::load(other));
                    let squared = sum.multiply_add(V::splat(-2.0), V::load(lanes)).maximum(zero);
                    squared.store(lanes);
                    let mut near = squared.at_most(zero.multiply_add(sum, V::splat(NEAR)));
                    while near != 0 {
                        let lane = near.trailing_zeros() as usize;
                        near &= near - 1;
                        let point = place.panel * LANES + half * WIDTH + lane;
                        // Lanes beyond the last point are infinitely far, and infinity is at most infinity.
                        if let Some(b) = self.other_rows.get(point * self.columns..(point + 1) * self.columns) {
                            let a = &self.own_rows[at * self.columns..(at + 1) * self.columns];
                            lanes[lane] = one_to_one::<SquaredDifference, V>(SquaredDifference, a, b);
                        }
                    }
                }
            }
            if self.origins.iter().any(|origins| !origins.is_empty()) {
                let row = place.row + row;
                let own = is(self.origins[0], row);
                for (point, order) in (place.panel * LANES..).zip(lanes.iter_mut()) {
                    let itself = self.starts.is_some_and(|(rows, lanes)| rows + row == lanes + point);
                    *order = if !itself && (own || is(self.origins[1], point)) { RIGHT_ANGLE } else { *order };
                }
            }
            if self.finish == Finish::Distance {
                for lanes in lanes.as_chunks_mut::<WIDTH>().0 {
                    let mut value = V::load(lanes);
                    if self.metric == Metric::Cosine {
                        // Half of it, and at most 2.
                        value = zero.multiply_add(value, V::splat(-0.5)).maximum(V::splat(-2.0));
                        value = zero.subtract(value);
                    } else if matches!(self.form, Form::Squares | Form::Products) {
                        value = value.root();
                    }
                    zero.multiply_add(value, unscale).store(lanes);
                }
            }
        }
        self.sink.take::<V>(place, tile);
    }
}

/// The squared length of each row.
struct SquaredLengths<'work> {
    columns: usize,
    rows: &'work [f32],
    out: &'work mut [f32],
}

impl Work for SquaredLengths<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Float, const R: usize, const N: usize>(self) {
        for (out, row) in self.out.iter_mut().zip(self.rows.chunks_exact(self.columns)) {
            *out = one_to_one::<Product, V>(Product, row, row);
        }
    }
}

/// One row against many, along the coordinates.
struct OneToMany<'work, P, I> {
    pairwise: P,
    row: &'work [f32],
    others: I,
    out: &'work mut [f32],
}

impl<'rows, P: Pairwise, I: Iterator<Item = &'rows [f32]>> Work for OneToMany<'_, P, I> {
    type Output = ();

    #[inline(always)]
    fn run<V: Float, const R: usize, const N: usize>(self) {
        for (out, other) in self.out.iter_mut().zip(self.others) {
            *out = one_to_one::<P, V>(self.pairwise, self.row, other);
        }
    }
}

/// Two points of as many coordinates, vector by vector.
#[inline(always)]
fn one_to_one<P: Pairwise, V: Float>(pairwise: P, a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<WIDTH>();
    let (b, b_rest) = b.as_chunks::<WIDTH>();
    // Two chains of additions, so that one need not wait for the other.
    let mut sums = [V::splat(0.0); 2];
    for (a, b) in a.chunks(2).zip(b.chunks(2)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum = pairwise.add(*sum, V::load(a), V::load(b));
        }
    }
    if !a_rest.is_empty() {
        let (mut a, mut b) = ([0.0; WIDTH], [0.0; WIDTH]);
        a[..a_rest.len()].copy_from_slice(a_rest);
        b[..b_rest.len()].copy_from_slice(b_rest);
        sums[0] = pairwise.add(sums[0], V::load(&a), V::load(&b));
    }
    let mut lanes = [0.0; WIDTH];
    pairwise.join(sums[0], sums[1]).store(&mut lanes);
    let mut half = WIDTH / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = pairwise.join_values(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// Room for so many numbers, or an error where allocation fails.
pub(super) fn zeros(operation: &'static str, count: usize) -> Result<Vec<f32>, LinalgError> {
    let mut values = Vec::new();
    let bytes = count.saturating_mul(size_of::<f32>());
    values.try_reserve_exact(count).map_err(|_| LinalgError::Memory { operation, bytes })?;
    values.resize(count, 0.0);
    Ok(values)
}

const _: () = assert!(BLOCK.is_multiple_of(LANES) && BLOCK.is_multiple_of(ROWS));

//! The inner loop of everything that compares points with points: six rows against thirty-two others at a time.
//!
//! The others are packed into panels, coordinate by coordinate, so that one coordinate of a row meets thirty-two of them
//! at once; each load of a panel serves six rows. The sums are kept in twelve registers: with AVX-512 those of the whole
//! tile, with AVX2 half of them at a time. So many chains of additions keep the processor's units busy. A product,
//! a squared difference, an absolute difference and a largest difference differ in one instruction ([`Pairwise`]); what
//! is done with the sums is up to a [`Sink`], while they are still in the first-level cache.

use super::simd::{Float, WIDTH, Work, dispatch};

/// Points in a panel: two vectors.
pub(super) const LANES: usize = 2 * WIDTH;
/// Rows in a tile.
pub(super) const ROWS: usize = 6;

/// What was found for each pair of a row and a point of the panel.
pub(super) type Tile = [[f32; LANES]; ROWS];

/// How two coordinates add to what is known of a pair.
pub(super) trait Pairwise: Copy {
    /// The sum so far with one more coordinate of both.
    fn add<V: Float>(self, sum: V, a: V, b: V) -> V;

    /// Two sums over different coordinates as one.
    #[inline(always)]
    fn join<V: Float>(self, one: V, other: V) -> V {
        one.add(other)
    }

    /// The same for single numbers.
    #[inline(always)]
    fn join_values(self, one: f32, other: f32) -> f32 {
        one + other
    }
}

/// The scalar product.
#[derive(Clone, Copy)]
pub(super) struct Product;
/// The squared Euclidean distance, without the rounding errors of products.
#[derive(Clone, Copy)]
pub(super) struct SquaredDifference;
/// The cityblock distance.
#[derive(Clone, Copy)]
pub(super) struct AbsoluteDifference;
/// The Chebyshev distance.
#[derive(Clone, Copy)]
pub(super) struct LargestDifference;

impl Pairwise for Product {
    #[inline(always)]
    fn add<V: Float>(self, sum: V, a: V, b: V) -> V {
        sum.multiply_add(a, b)
    }
}

impl Pairwise for SquaredDifference {
    #[inline(always)]
    fn add<V: Float>(self, sum: V, a: V, b: V) -> V {
        let difference = a.subtract(b);
        sum.multiply_add(difference, difference)
    }
}

impl Pairwise for AbsoluteDifference {
    #[inline(always)]
    fn add<V: Float>(self, sum: V, a: V, b: V) -> V {
        sum.add(a.subtract(b).absolute())
    }
}

impl Pairwise for LargestDifference {
    #[inline(always)]
    fn add<V: Float>(self, sum: V, a: V, b: V) -> V {
        sum.maximum(a.subtract(b).absolute())
    }

    #[inline(always)]
    fn join<V: Float>(self, one: V, other: V) -> V {
        one.maximum(other)
    }

    #[inline(always)]
    fn join_values(self, one: f32, other: f32) -> f32 {
        one.max(other)
    }
}

/// Where a tile lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The tile's first row, counted from the first of the block.
    pub row: usize,
    /// How many of its rows there are, 1 to [`ROWS`]; the others repeat the last.
    pub rows: usize,
    /// The number of the panel.
    pub panel: usize,
}

/// Takes tiles: panel after panel, and in each the rows from first to last. Its functions are always inlined.
pub(super) trait Sink {
    /// Whether a tile is to be computed.
    #[inline(always)]
    fn wants(&self, _place: Place) -> bool {
        true
    }

    /// Takes one tile.
    fn take<V: Float>(&mut self, place: Place, tile: &mut Tile);
}

/// Packs row-major points into panels, the last one filled up with zeros: `columns` x [`LANES`] numbers each.
pub(super) fn pack(rows: &[f32], columns: usize, panels: &mut Vec<f32>) {
    /// Coordinates copied at a time: the piece of the panel stays in the first-level cache.
    const PIECE: usize = 64;
    panels.clear();
    panels.resize((rows.len() / columns).div_ceil(LANES) * columns * LANES, 0.0);
    for (panel, rows) in panels.chunks_exact_mut(columns * LANES).zip(rows.chunks(LANES * columns)) {
        for (piece_index, piece) in panel.as_chunks_mut::<LANES>().0.chunks_mut(PIECE).enumerate() {
            for (lane, row) in rows.chunks_exact(columns).enumerate() {
                for (values, &value) in piece.iter_mut().zip(&row[piece_index * PIECE..]) {
                    values[lane] = value;
                }
            }
        }
    }
}

/// Gives the tiles of all pairs of a row and one of the `count` packed points to the sink; lanes without a point hold
/// anything. O(rows points columns), one thread.
pub(super) fn tiles<P: Pairwise, S: Sink>(
    pairwise: P,
    rows: &[f32],
    columns: usize,
    panels: &[f32],
    count: usize,
    sink: &mut S,
) {
    dispatch(Tiles { pairwise, rows, columns, panels, count, sink });
}

struct Tiles<'work, P, S> {
    pairwise: P,
    rows: &'work [f32],
    columns: usize,
    panels: &'work [f32],
    count: usize,
    sink: &'work mut S,
}

impl<P: Pairwise, S: Sink> Work for Tiles<'_, P, S> {
    type Output = ();

    #[inline(always)]
    fn run<V: Float, const R: usize, const N: usize>(self) {
        let Tiles { pairwise, rows, columns, panels, count, sink } = self;
        let total = rows.len() / columns;
        for (panel_index, panel) in panels.chunks_exact(columns * LANES).enumerate() {
            let panel = panel.as_chunks::<LANES>().0;
            for row in (0..total).step_by(ROWS) {
                let place = Place { row, rows: ROWS.min(total - row), panel: panel_index };
                if !sink.wants(place) {
                    continue;
                }
                let mut some: [&[f32]; ROWS] = [&[]; ROWS];
                for (at, one) in some.iter_mut().enumerate() {
                    let index = (row + at).min(total - 1);
                    *one = &rows[index * columns..(index + 1) * columns];
                }
                // A panel that is at most half full costs half.
                let mut found = match count - panel_index * LANES > WIDTH {
                    true => tile::<P, V, R, N>(pairwise, some, panel, LANES / WIDTH),
                    false => tile::<P, V, R, 1>(pairwise, some, panel, 1),
                };
                sink.take::<V>(place, &mut found);
            }
        }
    }
}

/// Rows against the first vectors of a panel, as many at a time as fit the registers.
#[inline(always)]
fn tile<P: Pairwise, V: Float, const R: usize, const N: usize>(
    pairwise: P,
    rows: [&[f32]; ROWS],
    panel: &[[f32; LANES]],
    vectors: usize,
) -> Tile {
    let mut tile = [[0.0; LANES]; ROWS];
    for (lanes, rows) in tile.as_chunks_mut::<R>().0.iter_mut().zip(rows.as_chunks::<R>().0) {
        for vector in (0..vectors).step_by(N) {
            let sums = sums::<P, V, R, N>(pairwise, *rows, panel, vector);
            for (lanes, sums) in lanes.iter_mut().zip(sums) {
                for (at, sum) in sums.into_iter().enumerate() {
                    sum.store(&mut lanes.as_chunks_mut::<WIDTH>().0[vector + at]);
                }
            }
        }
    }
    tile
}

/// `R` rows against `N` vectors of a panel, from vector number `first` on.
#[inline(always)]
fn sums<P: Pairwise, V: Float, const R: usize, const N: usize>(
    pairwise: P,
    rows: [&[f32]; R],
    panel: &[[f32; LANES]],
    first: usize,
) -> [[V; N]; R] {
    let mut sums = [[V::splat(0.0); N]; R];
    for row in rows {
        // Tells the compiler that no index below is out of bounds.
        assert_eq!(row.len(), panel.len());
    }
    for (column, lanes) in panel.iter().enumerate() {
        let lanes = lanes.as_chunks::<WIDTH>().0;
        let mut others = [V::splat(0.0); N];
        for (at, other) in others.iter_mut().enumerate() {
            *other = V::load(&lanes[first + at]);
        }
        for (row, sums) in rows.iter().zip(&mut sums) {
            let value = V::splat(row[column]);
            for (sum, &other) in sums.iter_mut().zip(&others) {
                *sum = pairwise.add(*sum, value, other);
            }
        }
    }
    sums
}

/// The tiles of rows that lie anywhere and of one panel, or of one of its two vectors.
pub(super) struct PanelTiles<'work, P, S> {
    pub pairwise: P,
    /// The rows, all as long as the panel has coordinates.
    pub rows: &'work [&'work [f32]],
    /// One panel as [`pack`] makes them, and its number.
    pub panel: &'work [f32],
    pub number: usize,
    /// The only vector of the panel that is wanted, or both; lanes of the other one hold anything.
    pub vector: Option<usize>,
    /// Is told the place among `rows`.
    pub sink: &'work mut S,
}

impl<P: Pairwise, S: Sink> PanelTiles<'_, P, S> {
    /// Gives the tiles to the sink. The same bits as from [`tiles`]. O(rows columns), one thread.
    pub(super) fn give(self) {
        dispatch(self);
    }
}

impl<P: Pairwise, S: Sink> Work for PanelTiles<'_, P, S> {
    type Output = ();

    #[inline(always)]
    fn run<V: Float, const R: usize, const N: usize>(self) {
        let PanelTiles { pairwise, rows, panel, number, vector, sink } = self;
        let panel = panel.as_chunks::<LANES>().0;
        for (tile_index, six) in rows.chunks(ROWS).enumerate() {
            let some: [&[f32]; ROWS] = std::array::from_fn(|at| six[at.min(six.len() - 1)]);
            let place = Place { row: tile_index * ROWS, rows: six.len(), panel: number };
            let mut found = match vector {
                None => tile::<P, V, R, N>(pairwise, some, panel, LANES / WIDTH),
                // Half a tile costs half.
                Some(vector) if six.len() <= ROWS / 2 => one_vector::<P, V, 3>(pairwise, &some[..3], panel, vector),
                Some(vector) => one_vector::<P, V, R>(pairwise, &some, panel, vector),
            };
            sink.take::<V>(place, &mut found);
        }
    }
}

/// Rows, a multiple of `R` of them, against one vector of a panel.
#[inline(always)]
fn one_vector<P: Pairwise, V: Float, const R: usize>(
    pairwise: P,
    rows: &[&[f32]],
    panel: &[[f32; LANES]],
    vector: usize,
) -> Tile {
    let mut tile = [[0.0; LANES]; ROWS];
    for (lanes, rows) in tile.as_chunks_mut::<R>().0.iter_mut().zip(rows.as_chunks::<R>().0) {
        for (lanes, [sum]) in lanes.iter_mut().zip(sums::<P, V, R, 1>(pairwise, *rows, panel, vector)) {
            sum.store(&mut lanes.as_chunks_mut::<WIDTH>().0[vector]);
        }
    }
    tile
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Collect {
        count: usize,
        found: Vec<f32>,
    }

    impl Sink for Collect {
        #[inline(always)]
        fn take<V: Float>(&mut self, place: Place, tile: &mut Tile) {
            for (row, values) in tile.iter().take(place.rows).enumerate() {
                for (lane, &value) in values.iter().enumerate() {
                    let point = place.panel * LANES + lane;
                    if point < self.count {
                        self.found[(place.row + row) * self.count + point] = value;
                    }
                }
            }
        }
    }

    fn values(count: usize, step: usize) -> Vec<f32> {
        (0..count).map(|at| ((at * step) % 101) as f32 / 10.0 - 5.0).collect()
    }

    fn check(pairwise: impl Pairwise, naive: impl Fn(f32, f32, f32) -> f32) {
        for (rows, columns, count) in [(1, 1, 1), (3, 2, 32), (8, 7, 33), (131, 70, 65), (17, 200, 5)] {
            let (a, b) = (values(rows * columns, 37), values(count * columns, 53));
            let mut panels = Vec::new();
            pack(&b, columns, &mut panels);
            let mut sink = Collect { count, found: vec![f32::NAN; rows * count] };
            tiles(pairwise, &a, columns, &panels, count, &mut sink);
            for (at, &found) in sink.found.iter().enumerate() {
                let pairs = a[at / count * columns..].iter().zip(&b[at % count * columns..][..columns]);
                let expected = pairs.fold(0.0, |sum, (&a, &b)| naive(sum, a, b));
                assert!((found - expected).abs() <= 1e-5 * expected.abs().max(10.0), "{found} is not {expected}");
            }
        }
    }

    #[test]
    fn equal_the_naive_loops_at_every_remainder() {
        check(Product, |sum, a, b| sum + a * b);
        check(SquaredDifference, |sum, a, b| sum + (a - b) * (a - b));
        check(AbsoluteDifference, |sum, a, b| sum + (a - b).abs());
        check(LargestDifference, |sum, a, b| sum.max((a - b).abs()));
    }

    /// Every kind of vector gives the same but for rounding: the portable ones are run here by name.
    #[test]
    fn portable_vectors_agree() {
        let (a, b) = (values(20 * 40, 37), values(40 * 40, 53));
        let mut panels = Vec::new();
        pack(&b, 40, &mut panels);
        let run = |kind: usize| {
            let mut sink = Collect { count: 40, found: vec![f32::NAN; 20 * 40] };
            let work = Tiles {
                pairwise: SquaredDifference,
                rows: &a,
                columns: 40,
                panels: &panels,
                count: 40,
                sink: &mut sink,
            };
            match kind {
                0 => work.run::<super::super::simd::Portable<f32>, 3, 1>(),
                1 => work.run::<super::super::simd::Portable<f32>, 6, 2>(),
                _ => dispatch(work),
            }
            sink.found
        };
        assert_eq!(run(0), run(1));
        for (portable, best) in run(0).into_iter().zip(run(2)) {
            assert!((portable - best).abs() <= 1e-5 * portable.max(10.0), "{portable} is not {best}");
        }
    }

    #[test]
    fn scattered_rows_give_the_same_bits() {
        for (rows, columns, count) in [(1, 1, 1), (5, 7, 17), (13, 70, 32), (9, 3, 20)] {
            let (a, b) = (values(rows * columns, 37), values(count * columns, 53));
            let mut panels = Vec::new();
            pack(&b, columns, &mut panels);
            let mut whole = Collect { count, found: vec![f32::NAN; rows * count] };
            tiles(Product, &a, columns, &panels, count, &mut whole);
            let backwards: Vec<&[f32]> = a.chunks_exact(columns).rev().collect();
            for vector in [None, Some(0), Some(1)] {
                let mut some = Collect { count, found: vec![f32::NAN; rows * count] };
                let sink = &mut some;
                PanelTiles { pairwise: Product, rows: &backwards, panel: &panels, number: 0, vector, sink }.give();
                for (at, &found) in whole.found.iter().enumerate() {
                    let (row, point) = (rows - 1 - at / count, at % count);
                    if vector.is_none_or(|vector| vector == point / WIDTH) {
                        assert_eq!(some.found[row * count + point].to_bits(), found.to_bits(), "{vector:?}");
                    }
                }
            }
        }
    }
}

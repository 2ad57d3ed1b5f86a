//! Distances from many points to a few centres, and coordinates along a few directions, in 32 bits.

use rayon::prelude::*;

use super::LinalgError;
use super::simd::{Float, WIDTH};
use super::tile::{LANES, Place, Product, Sink, SquaredDifference, Tile, pack, tiles};
use crate::points::Points;

/// Points given to one task: together with a panel they stay in the second-level cache.
const ROWS_PER_CHUNK: usize = 192;

/// Centres, packed for [`nearest`] and [`squared_distances`].
#[derive(Clone, Debug)]
pub struct Centres {
    count: usize,
    panels: Vec<f32>,
    /// Squared length of each centre; infinite for the lanes that fill the last panel up.
    squared_lengths: Vec<f32>,
}

impl Centres {
    /// Packs row-major centres; numbers after the last whole row are left out. O(k d).
    pub fn new(values: &[f32], columns: usize) -> Centres {
        let columns = columns.max(1);
        let count = values.len() / columns;
        let values = &values[..count * columns];
        let mut panels = vec![0.0; count.div_ceil(LANES) * columns * LANES];
        let chunks = panels.par_chunks_mut(columns * LANES).zip(values.par_chunks(columns * LANES));
        chunks.for_each_init(Vec::new, |packed, (panel, centres)| {
            pack(centres, columns, packed);
            panel.copy_from_slice(packed);
        });
        let squared = |centre: &[f32]| centre.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>();
        let mut squared_lengths: Vec<f32> =
            values.par_chunks_exact(columns).map(|centre| squared(centre) as f32).collect();
        squared_lengths.resize(count.next_multiple_of(LANES), f32::INFINITY);
        Centres { count, panels, squared_lengths }
    }

    /// How many centres there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The panels, as [`pack`] makes them.
    pub(super) fn panels(&self) -> &[f32] {
        &self.panels
    }

    /// The squared length of the centre in each lane; infinite in lanes without one.
    pub(super) fn squared_lengths(&self) -> &[f32] {
        &self.squared_lengths
    }
}

/// Writes the number of the nearest centre of each point; of equally near ones the first. O(n k d).
///
/// `labels` has one place a point. Squared distances are compared as |c|^2 - 2 x c, as scikit-learn does: take the
/// mean off the points and the centres first, or digits are lost.
pub fn nearest(points: &Points, centres: &Centres, labels: &mut [u32]) {
    let columns = points.columns();
    let chunks = points.as_slice().par_chunks(ROWS_PER_CHUNK * columns).zip(labels.par_chunks_mut(ROWS_PER_CHUNK));
    chunks.for_each(|(rows, labels)| {
        labels.fill(0);
        let mut sink =
            Nearest { squared_lengths: &centres.squared_lengths, best: [f32::INFINITY; ROWS_PER_CHUNK], labels };
        tiles(Product, rows, columns, &centres.panels, centres.count, &mut sink);
    });
}

struct Nearest<'work> {
    squared_lengths: &'work [f32],
    best: [f32; ROWS_PER_CHUNK],
    labels: &'work mut [u32],
}

impl Sink for Nearest<'_> {
    #[inline(always)]
    fn take<V: Float>(&mut self, place: Place, tile: &mut Tile) {
        let first = place.panel * LANES;
        let lengths = self.squared_lengths[first..first + LANES].as_chunks::<WIDTH>().0;
        for (row, products) in tile.iter_mut().enumerate().take(place.rows) {
            let row = place.row + row;
            for (half, (products, lengths)) in products.as_chunks_mut::<WIDTH>().0.iter_mut().zip(lengths).enumerate() {
                let scores = V::load(lengths).multiply_add(V::splat(-2.0), V::load(products));
                let mut closer = scores.at_most(V::splat(self.best[row]));
                scores.store(products);
                while closer != 0 {
                    let lane = closer.trailing_zeros() as usize;
                    closer &= closer - 1;
                    if products[lane] < self.best[row] {
                        self.best[row] = products[lane];
                        self.labels[row] = (first + half * WIDTH + lane) as u32;
                    }
                }
            }
        }
    }
}

/// The squared distance of every point to every centre: `rows` x `count`, row-major. O(n k d).
///
/// Differences are squared, so a point is at distance 0 exactly from a copy of itself.
pub fn squared_distances(points: &Points, centres: &Centres) -> Vec<f32> {
    let (count, columns) = (centres.count, points.columns());
    let mut distances = vec![0.0; points.rows() * count];
    if count == 0 {
        return distances;
    }
    let rows = points.as_slice().par_chunks(ROWS_PER_CHUNK * columns);
    rows.zip(distances.par_chunks_mut(ROWS_PER_CHUNK * count)).for_each(|(rows, distances)| {
        let mut sink = Write { count, distances };
        tiles(SquaredDifference, rows, columns, &centres.panels, count, &mut sink);
    });
    distances
}

/// Coordinates of the rows around `centre` along `directions` (m x `columns`): `rows` x m. The centre is taken off in 64
/// bits; the products are in 32, good to about 1e-6 of the lengths. O(n m d), all threads.
///
/// # Errors
/// `centre` has not one number a column; `directions` is not whole rows.
pub fn project(points: &Points, centre: &[f64], directions: &[f64]) -> Result<Vec<f32>, LinalgError> {
    let columns = points.columns();
    let count = directions.len() / columns;
    for (name, found, expected) in
        [("centre", centre.len(), columns), ("directions", directions.len(), count * columns)]
    {
        if found != expected {
            return Err(LinalgError::Shape { operation: "project", name, found, expected });
        }
    }
    let mut coordinates = vec![0.0; points.rows() * count];
    if count == 0 {
        return Ok(coordinates);
    }
    let mut panels = Vec::new();
    let directions: Vec<f32> = directions.iter().map(|&value| value as f32).collect();
    pack(&directions, columns, &mut panels);
    let rows = points.as_slice().par_chunks(ROWS_PER_CHUNK * columns);
    rows.zip(coordinates.par_chunks_mut(ROWS_PER_CHUNK * count)).for_each_init(Vec::new, |centred, (rows, out)| {
        centred.clear();
        for row in rows.chunks_exact(columns) {
            centred.extend(row.iter().zip(centre).map(|(&value, centre)| (f64::from(value) - centre) as f32));
        }
        tiles(Product, centred, columns, &panels, count, &mut Write { count, distances: out });
    });
    Ok(coordinates)
}

struct Write<'work> {
    count: usize,
    distances: &'work mut [f32],
}

impl Sink for Write<'_> {
    #[inline(always)]
    fn take<V: Float>(&mut self, place: Place, tile: &mut Tile) {
        let first = place.panel * LANES;
        let lanes = LANES.min(self.count - first);
        for (row, found) in tile.iter().enumerate().take(place.rows) {
            let at = (place.row + row) * self.count + first;
            self.distances[at..at + lanes].copy_from_slice(&found[..lanes]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scattered(rows: usize, columns: usize, step: usize) -> Points {
        let values = (0..rows * columns).map(|at| ((at * step) % 101) as f32 / 10.0 - 5.0).collect();
        Points::new(rows, columns, values).expect("valid")
    }

    #[test]
    fn equal_the_naive_loops_at_every_remainder() {
        for (rows, columns, count) in [(1, 1, 1), (3, 2, 8), (5, 7, 9), (131, 3, 17), (260, 33, 10)] {
            let (points, centres) = (scattered(rows, columns, 37), scattered(count, columns, 53));
            let distance = |row: usize, centre: usize| -> f64 {
                let pairs = points.row(row).iter().zip(centres.row(centre));
                pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
            };
            let packed = Centres::new(centres.as_slice(), columns);
            assert_eq!(packed.count(), count);
            let mut labels = vec![99; rows];
            nearest(&points, &packed, &mut labels);
            let distances = squared_distances(&points, &packed);
            for row in 0..rows {
                for centre in 0..count {
                    let (found, expected) = (f64::from(distances[row * count + centre]), distance(row, centre));
                    assert!((found - expected).abs() <= 1e-5 * expected.max(1.0), "{found} is not {expected}");
                }
                let least = (0..count).map(|centre| distance(row, centre)).fold(f64::INFINITY, f64::min);
                assert!(distance(row, labels[row] as usize) <= least + 1e-3);
            }
        }
    }

    #[test]
    fn projections_equal_loops() {
        let (rows, columns) = (391, 3);
        let points = scattered(rows, columns, 37);
        let (centre, directions) = ([1.0, -2.0, 0.5], [1.0, 0.0, -1.0, 0.5, 2.0, 0.0]);
        let projected = project(&points, &centre, &directions).expect("projected");
        assert_eq!(projected.len(), rows * 2);
        for (at, &found) in projected.iter().enumerate() {
            let terms = points.row(at / 2).iter().zip(centre).zip(&directions[at % 2 * columns..]);
            let expected: f64 = terms.map(|((&value, centre), along)| (f64::from(value) - centre) * along).sum();
            assert!((f64::from(found) - expected).abs() < 1e-5, "{found} is not {expected}");
        }
        assert!(project(&points, &[0.0; 2], &directions).is_err());
        assert!(project(&points, &centre, &directions[1..]).is_err());
    }

    #[test]
    fn ties_go_to_the_first_centre_and_copies_are_at_zero() {
        let points = scattered(200, 784, 37);
        let same = points.select(&[5, 5, 7]).expect("valid");
        let packed = Centres::new(same.as_slice(), 784);
        assert_eq!(squared_distances(&points, &packed)[5 * 3..5 * 3 + 2], [0.0, 0.0]);
        let mut labels = vec![0; 200];
        nearest(&points, &packed, &mut labels);
        assert!(labels.iter().all(|&label| label != 1));
        assert_eq!((labels[5], labels[7]), (0, 2));
    }
}

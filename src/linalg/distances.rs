//! Distances from many points to a few centres, in 32 bits.
//!
//! Centres are packed eight to a panel, coordinate by coordinate, so that one coordinate of a point meets eight
//! centres at once; four points share each load of a panel. The compiler turns these loops into vector code.

use rayon::prelude::*;

use crate::points::Points;

/// Centres in a panel.
const LANES: usize = 8;
/// Points that go through a panel together.
const TILE: usize = 4;
/// Points given to one task: together with a panel they stay in the second-level cache.
const ROWS_PER_CHUNK: usize = 128;

/// Centres, packed for [`nearest`] and [`squared_distances`].
#[derive(Clone, Debug)]
pub struct Centres {
    count: usize,
    columns: usize,
    /// One panel after the other; each is `columns` x [`LANES`], the last one filled up with zeros.
    panels: Vec<f32>,
    /// Squared length of each centre; infinite for the centres that fill the last panel up.
    squared_lengths: Vec<f32>,
}

impl Centres {
    /// Packs row-major centres; numbers after the last whole row are left out. O(k d).
    pub fn new(values: &[f32], columns: usize) -> Centres {
        let columns = columns.max(1);
        let count = values.len() / columns;
        let panel_count = count.div_ceil(LANES);
        let mut panels = vec![0.0; panel_count * columns * LANES];
        let mut squared_lengths = vec![f32::INFINITY; panel_count * LANES];
        for (index, centre) in values.chunks_exact(columns).enumerate() {
            let panel = &mut panels[index / LANES * columns * LANES..];
            for (column, &value) in centre.iter().enumerate() {
                panel[column * LANES + index % LANES] = value;
            }
            let squared = centre.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>();
            squared_lengths[index] = squared as f32;
        }
        Centres { count, columns, panels, squared_lengths }
    }

    /// How many centres there are.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// Writes the number of the nearest centre of each point; of equally near ones the first. O(n k d).
///
/// `labels` has one place a point. Squared distances are compared as |c|^2 - 2 x c, as scikit-learn does: take the
/// mean off the points and the centres first, or digits are lost.
pub fn nearest(points: &Points, centres: &Centres, labels: &mut [u32]) {
    let chunk = ROWS_PER_CHUNK * points.columns();
    points.as_slice().par_chunks(chunk).zip(labels.par_chunks_mut(ROWS_PER_CHUNK)).for_each(|(rows, labels)| {
        let mut best = [f32::INFINITY; ROWS_PER_CHUNK];
        labels.fill(0);
        tiles(
            rows,
            centres,
            |point, value, centre| value * centre + point,
            |row, first_centre, products| {
                for (lane, product) in products.iter().enumerate() {
                    let score = centres.squared_lengths[first_centre + lane] - 2.0 * product;
                    if score < best[row] {
                        best[row] = score;
                        labels[row] = (first_centre + lane) as u32;
                    }
                }
            },
        );
    });
}

/// The squared distance of every point to every centre: `rows` x `count`, row-major. O(n k d).
///
/// Differences are squared, so a point is at distance 0 exactly from a copy of itself.
pub fn squared_distances(points: &Points, centres: &Centres) -> Vec<f32> {
    let count = centres.count;
    let mut distances = vec![0.0; points.rows() * count];
    if count == 0 {
        return distances;
    }
    let chunk = ROWS_PER_CHUNK * points.columns();
    points.as_slice().par_chunks(chunk).zip(distances.par_chunks_mut(ROWS_PER_CHUNK * count)).for_each(
        |(rows, distances)| {
            let add = |sum, value: f32, centre: f32| sum + (value - centre) * (value - centre);
            tiles(rows, centres, add, |row, first_centre, found| {
                let lanes = LANES.min(count - first_centre);
                let at = row * count + first_centre;
                distances[at..at + lanes].copy_from_slice(&found[..lanes]);
            });
        },
    );
    distances
}

/// Runs `add` over all coordinates of every pair of a row and a centre, and gives the sums to
/// `done(row, first centre of the panel, sums)`.
#[inline(always)]
fn tiles(
    rows: &[f32],
    centres: &Centres,
    add: impl Fn(f32, f32, f32) -> f32 + Copy,
    mut done: impl FnMut(usize, usize, &[f32; LANES]),
) {
    let columns = centres.columns;
    for (panel_index, panel) in centres.panels.chunks_exact(columns * LANES).enumerate() {
        let panel = panel.as_chunks::<LANES>().0;
        let mut fours = rows.chunks_exact(TILE * columns);
        let mut row = 0;
        for four in &mut fours {
            for sums in &tile::<TILE>(four, panel, add) {
                done(row, panel_index * LANES, sums);
                row += 1;
            }
        }
        for one in fours.remainder().chunks_exact(columns) {
            done(row, panel_index * LANES, &tile::<1>(one, panel, add)[0]);
            row += 1;
        }
    }
}

/// `N` rows against one panel. Each sum runs over the coordinates in order, so it is the same whatever `N` is.
#[inline(always)]
fn tile<const N: usize>(rows: &[f32], panel: &[[f32; LANES]], add: impl Fn(f32, f32, f32) -> f32) -> [[f32; LANES]; N] {
    let columns = panel.len();
    let rows: [&[f32]; N] = std::array::from_fn(|row| &rows[row * columns..(row + 1) * columns]);
    let mut sums = [[0.0; LANES]; N];
    for (column, centres) in panel.iter().enumerate() {
        for (row, sums) in rows.iter().zip(&mut sums) {
            let value = row[column];
            for (sum, &centre) in sums.iter_mut().zip(centres) {
                *sum = add(*sum, value, centre);
            }
        }
    }
    sums
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

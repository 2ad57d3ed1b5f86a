//! All distances of some points as a matrix, whole or only what is above the diagonal.

use rayon::prelude::*;

use super::pairs::{pieces, tournament};
use super::simd::Float;
use super::space::{BLOCK, Finish, zeros};
use super::tile::{LANES, Place, Sink, Tile};
use super::{LinalgError, Space};
use crate::progress::{self, SharedProgress};

impl Space<'_> {
    /// The distances of all pairs i < j in the order of SciPy's `pdist`: n(n-1)/2 numbers. O(n² d), all threads.
    ///
    /// # Errors
    /// The memory for them cannot be had; the computation was told to stop.
    pub fn condensed(&self) -> Result<Vec<f32>, LinalgError> {
        let rows = self.rows();
        let too_many = LinalgError::Memory { operation: "condensed", bytes: usize::MAX };
        let count = rows.checked_mul(rows.saturating_sub(1)).ok_or(too_many)? / 2;
        let mut distances = zeros("condensed", count)?;
        let mut blocks = Vec::new();
        let mut rest = distances.as_mut_slice();
        for block in pieces(0..rows, BLOCK) {
            let length = block.clone().map(|row| rows - 1 - row).sum();
            let (own, others) = rest.split_at_mut(length);
            rest = others;
            blocks.push((block, own));
        }
        let progress = SharedProgress::if_long("distances", rows as u64, "points");
        blocks.into_par_iter().with_max_len(1).try_for_each_init(Vec::new, |panels, (block, own)| {
            for columns in pieces(block.start..rows, BLOCK) {
                progress::check()?;
                let mut sink = Condensed { rows, block: block.start, first: columns.start, out: own };
                self.block(block.clone(), self, columns, Finish::Distance, panels, &mut sink);
            }
            progress.advance(block.len() as u64);
            Ok::<(), LinalgError>(())
        })?;
        Ok(distances)
    }

    /// The distances of all pairs, row after row: n x n numbers, symmetric, 0 on the diagonal. O(n² d), all threads.
    ///
    /// # Errors
    /// The memory for them cannot be had; the computation was told to stop.
    pub fn square(&self) -> Result<Vec<f32>, LinalgError> {
        let rows = self.rows();
        let too_many = LinalgError::Memory { operation: "square", bytes: usize::MAX };
        let mut distances = zeros("square", rows.checked_mul(rows).ok_or(too_many)?)?;
        let mut blocks: Vec<&mut [f32]> = distances.chunks_mut((BLOCK * rows).max(1)).collect();
        tournament::<_, LinalgError>("distances", &mut blocks, |(a, a_out), b| {
            let range = |block: usize| block * BLOCK..((block + 1) * BLOCK).min(rows);
            let mut panels = Vec::new();
            let (b, b_out) = match b {
                Some((b, b_out)) => (b, Some(b_out)),
                None => (a, None),
            };
            let mut sink = Square { rows, first: range(b).start, count: range(b).len(), out: a_out };
            self.block(range(a), self, range(b), Finish::Distance, &mut panels, &mut sink);
            match b_out {
                Some(b_out) => {
                    for (at, row) in range(a).enumerate() {
                        let from = &a_out[at * rows + range(b).start..][..range(b).len()];
                        from.iter().enumerate().for_each(|(to, &distance)| b_out[to * rows + row] = distance);
                    }
                }
                None => {
                    for (at, row) in range(a).enumerate() {
                        a_out[at * rows + row] = 0.0;
                    }
                }
            }
            Ok(())
        })?;
        Ok(distances)
    }
}

/// Writes rows of a condensed matrix.
struct Condensed<'out> {
    rows: usize,
    /// The first row of `out`.
    block: usize,
    /// The point in the first lane of the first panel.
    first: usize,
    out: &'out mut [f32],
}

impl Sink for Condensed<'_> {
    #[inline(always)]
    fn take<V: Float>(&mut self, place: Place, tile: &mut Tile) {
        let before = |row: usize| (row * (2 * self.rows - row - 1)) / 2;
        let column = self.first + place.panel * LANES;
        for (at, values) in tile.iter().enumerate().take(place.rows) {
            let row = self.block + place.row + at;
            let from = column.max(row + 1);
            let to = (column + LANES).min(self.rows);
            if from < to {
                let place = before(row) - before(self.block) + (from - row - 1);
                self.out[place..place + (to - from)].copy_from_slice(&values[from - column..to - column]);
            }
        }
    }
}

/// Writes rows of a square matrix.
struct Square<'out> {
    rows: usize,
    first: usize,
    count: usize,
    out: &'out mut [f32],
}

impl Sink for Square<'_> {
    #[inline(always)]
    fn take<V: Float>(&mut self, place: Place, tile: &mut Tile) {
        let lanes = LANES.min(self.count - place.panel * LANES);
        for (at, values) in tile.iter().enumerate().take(place.rows) {
            let to = (place.row + at) * self.rows + self.first + place.panel * LANES;
            self.out[to..to + lanes].copy_from_slice(&values[..lanes]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::Metric;
    use crate::linalg::neighbours::tests::{METRICS, scattered};
    use crate::points::Points;

    #[test]
    fn matrices_equal_single_distances() {
        for (rows, columns) in [(1, 1), (2, 5), (530, 30), (1030, 100)] {
            let points = scattered(rows, columns);
            for metric in METRICS {
                let space = Space::new(&points, metric).expect("prepared");
                let (condensed, square) = (space.condensed().expect("fits"), space.square().expect("fits"));
                assert_eq!((condensed.len(), square.len()), (rows * (rows - 1) / 2, rows * rows));
                let mut from = vec![0.0; rows];
                for a in (0..rows).step_by(61) {
                    space.distances_from(a, 0, &mut from);
                    for b in 0..rows {
                        let (i, j) = (a.min(b), a.max(b));
                        let expected = if a == b { 0.0 } else { metric.distance(points.row(a), points.row(b)) };
                        let mut found = vec![square[a * rows + b], square[b * rows + a], space.distance(a, b) as f32];
                        found.push(from[b]);
                        if i < j {
                            found.push(condensed[i * (2 * rows - i - 1) / 2 + j - i - 1]);
                        }
                        for found in found {
                            let (found, allowed) = (f64::from(found), 5e-6 * expected.max(0.3));
                            assert!((found - expected).abs() <= allowed, "{metric} {a} {b}: {found} is not {expected}");
                        }
                    }
                }
            }
        }
    }

    /// Far from the origin, all points lie in almost the same direction.
    #[test]
    fn cosine_distances_keep_their_digits_far_from_the_origin() {
        for columns in [2, 20, 40, 100] {
            for offset in [0.0, 30.0, 3000.0] {
                let near = scattered(560, columns);
                let values = near.as_slice().iter().map(|value| value + offset).collect();
                let points = Points::new(560, columns, values).expect("valid");
                for metric in [Metric::Cosine, Metric::Arccos] {
                    let space = Space::new(&points, metric).expect("prepared");
                    let square = space.square().expect("fits");
                    let largest = square.iter().copied().fold(0.0, f32::max);
                    for (a, b) in (0..560).flat_map(|a| (0..560).map(move |b| (a, b))).step_by(7) {
                        let (found, expected) = (square[a * 560 + b], metric.distance(points.row(a), points.row(b)));
                        let allowed = 1e-5 * expected.max(0.01 * f64::from(largest));
                        let off = (f64::from(found) - expected).abs();
                        assert!(off <= allowed, "{metric} {columns} {offset} {a} {b}: {found} is not {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_origin_is_at_cosine_distance_one_from_all_others() {
        for columns in [3, 50] {
            let mut values = scattered(520, columns).as_slice().to_vec();
            let origins = [0, 7, 489, 519];
            origins.iter().for_each(|row| values[row * columns..(row + 1) * columns].fill(0.0));
            let points = Points::new(520, columns, values).expect("valid");
            let space = Space::new(&points, Metric::Cosine).expect("prepared");
            let (square, mut from) = (space.square().expect("fits"), vec![0.0; 520]);
            let reversed: Vec<u32> = (0..520).rev().collect();
            let reversed = space.select(&reversed).square().expect("fits");
            for a in origins {
                space.distances_from(a, 0, &mut from);
                for b in 0..520 {
                    let expected = if a == b { 0.0 } else { 1.0 };
                    let found = [square[a * 520 + b], square[b * 520 + a], from[b], space.distance(a, b) as f32];
                    assert_eq!(found, [expected; 4], "{columns} {a} {b}");
                    assert_eq!(reversed[(519 - a) * 520 + 519 - b], expected, "{columns} {a} {b}");
                }
            }
        }
    }
}

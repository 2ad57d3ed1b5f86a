//! The nearest neighbours of many points, nearly all of them, without comparing all pairs.
//!
//! K-Means cuts the points into small cells, as an inverted file does (Sivic & Zisserman 2003; faiss' IVF), and the
//! points of a cell are compared with those of the cells nearest to it, whole cells at a time: so nearly all the work is
//! done by the tiles, and each pair is offered to both of its points. Then, as in NN-descent (Dong et al. 2011), a cell is
//! compared with the neighbours of its neighbours. For a sample of the points the true neighbours are searched among
//! all, so how many were found is measured, not hoped for: farther cells are compared until that is enough.

mod cells;
mod sample;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use self::cells::Cells;
use self::sample::Sample;
use super::neighbours::{Neighbours, nearest_neighbours};
use super::{LinalgError, Space};

/// Up to so many numbers, of at most so many columns, the exact search is as fast.
const FEW_VALUES: usize = 1 << 22;
const MOST_COLUMNS: usize = 512;
/// Cells compared at first; half as many again each time that they were too few.
const FIRST: usize = 8;
/// The share of true neighbours, in the sample, that is enough: above the 0.995 that is promised, as samples err.
const ENOUGH: f64 = 0.9975;

/// The `k` nearest other points of every point, at most n - 1, as [`nearest_neighbours`] gives them, but for a few: of all
/// the neighbours, at least 99.5 % are right, which is measured on a sample of the points. Distances are exact.
///
/// Where approximating does not pay (up to 4 million numbers, of 512 columns at most; `k` above n / 64; points without any
/// structure) the search is exact. The result depends on `seed`, and not on the number of threads. About O(n^1.5 d) where
/// there is structure, O(n² d) at worst; memory O(n k).
///
/// # Errors
/// The computation was told to stop.
pub fn approximate_neighbours(space: &Space, k: usize, seed: u64) -> Result<Neighbours, LinalgError> {
    let rows = space.rows();
    match rows * space.columns().min(MOST_COLUMNS) <= FEW_VALUES || k == 0 || k > rows / 64 {
        true => nearest_neighbours(space, k),
        false => in_cells(space, k, seed),
    }
}

fn in_cells(space: &Space, k: usize, seed: u64) -> Result<Neighbours, LinalgError> {
    let rows = space.rows();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let directions = space.as_directions();
    let sample = Sample::new(&directions, k, &mut random)?;
    let mut cells = Cells::new(&directions, k, &mut random)?;
    let (mut nearest, mut pairs) = (FIRST, 0);
    // The exact search compares rows / 2 pairs a point: no more than a quarter of that is put at stake.
    while pairs < rows / 8 * rows {
        pairs += cells.compare(&directions, nearest)?;
        let mut missed = 1.0 - sample.recall(&directions, &cells);
        while missed > 1.0 - ENOUGH {
            pairs += cells.compare_neighbours(&directions, k / 2)?;
            let before = missed;
            missed = 1.0 - sample.recall(&directions, &cells);
            if missed > before / 2.0 {
                break;
            }
        }
        if missed <= 1.0 - ENOUGH {
            return Ok(cells.measured(space, k));
        }
        nearest += nearest / 2;
    }
    drop(cells);
    nearest_neighbours(space, k)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::Metric;
    use crate::points::Points;

    /// Groups of unequal sizes along five directions of their own, with a little noise.
    fn groups(rows: usize, columns: usize) -> Points {
        let mut state = 12345_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        let axes: Vec<Vec<f32>> = (0..40 * 6).map(|_| (0..columns).map(|_| random()).collect()).collect();
        let mut values = Vec::with_capacity(rows * columns);
        for row in 0..rows {
            let group = (row % 40).min(row % 23) * 6;
            let along: Vec<f32> = (0..5).map(|_| random()).collect();
            for column in 0..columns {
                let moved: f32 = along.iter().zip(&axes[group + 1..]).map(|(along, axis)| along * axis[column]).sum();
                values.push(3.0 * axes[group][column] + moved + 0.02 * random());
            }
        }
        Points::new(rows, columns, values).expect("valid")
    }

    /// The share of the true neighbours that were found.
    fn recall(found: &Neighbours, truth: &Neighbours) -> f64 {
        let hits = (0..truth.rows()).map(|row| {
            let radius = truth.of(row).1[truth.k - 1] * (1.0 + 1e-6);
            found.of(row).1.iter().filter(|&&distance| distance <= radius).count()
        });
        hits.sum::<usize>() as f64 / truth.distances.len() as f64
    }

    /// One cloud along seven directions with a little noise: neighbours lie across many cells.
    fn cloud(rows: usize, columns: usize) -> Points {
        let along = groups(rows * 7 / 30 + 1, 30);
        let axes = groups(7, columns);
        let mut values = Vec::with_capacity(rows * columns);
        for row in 0..rows {
            let place = &along.as_slice()[row * 7..(row + 1) * 7];
            for column in 0..columns {
                let moved: f32 = place.iter().zip(axes.iter()).map(|(along, axis)| along.fract() * axis[column]).sum();
                values.push(moved);
            }
        }
        Points::new(rows, columns, values).expect("valid")
    }

    #[test]
    fn finds_nearly_all_and_tells_true_distances() {
        let (groups, cloud) = (groups(17_000, 70), cloud(17_000, 70));
        for (points, metric, k) in [
            (&groups, Metric::Euclidean, 29),
            (&groups, Metric::Cosine, 10),
            (&groups, Metric::Cityblock, 5),
            (&cloud, Metric::Euclidean, 29),
        ] {
            let space = Space::new(points, metric).expect("prepared");
            let found = in_cells(&space, k, 1).expect("found");
            let truth = nearest_neighbours(&space, k).expect("found");
            assert_eq!(approximate_neighbours(&space, k, 1).expect("found"), truth, "few enough to be compared all");
            assert_eq!((found.k, found.rows()), (k, 17_000));
            let recall = recall(&found, &truth);
            assert!(recall >= 0.995, "{metric}: {recall}");
            for row in (0..17_000).step_by(23) {
                let (others, distances) = found.of(row);
                assert!(distances.is_sorted() && !others.contains(&(row as u32)));
                let distinct: std::collections::BTreeSet<u32> = others.iter().copied().collect();
                assert_eq!(distinct.len(), k);
                for (&other, &distance) in others.iter().zip(distances) {
                    let expected = metric.distance(points.row(row), points.row(other as usize));
                    assert!((f64::from(distance) - expected).abs() <= 1e-5 * expected.max(1e-2), "{metric}");
                }
            }
        }
    }

    #[test]
    fn depends_on_the_seed_and_not_on_threads() {
        let points = groups(17_000, 20);
        let space = Space::new(&points, Metric::Euclidean).expect("prepared");
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| in_cells(&space, 8, 5)).expect("found")
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn equal_points_and_points_without_structure_end_well() {
        let equal = Points::new(17_000, 3, vec![0.5; 51_000]).expect("valid");
        let space = Space::new(&equal, Metric::Euclidean).expect("prepared");
        let found = in_cells(&space, 4, 1).expect("found");
        assert!(found.distances.iter().all(|&distance| distance == 0.0));
        assert!((0..17_000).all(|row| found.of(row).0.iter().all(|&other| other as usize != row)));
        let mut state = 7_u64;
        let noise = (0..17_000 * 66).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32
        });
        let noise = Points::new(17_000, 66, noise.collect()).expect("valid");
        let space = Space::new(&noise, Metric::Euclidean).expect("prepared");
        let found = in_cells(&space, 5, 1).expect("found");
        assert_eq!(found, nearest_neighbours(&space, 5).expect("found"));
    }
}

//! Greedy k-means++: starting centres that are far apart.
//!
//! Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding" (2007), with the several trials a centre
//! that their own code makes and scikit-learn took over. All trials of a step are measured in one pass over the points,
//! which is what a step costs.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;

use crate::linalg::distances_to_few;
use crate::points::Points;
use crate::progress::{self, Cancelled, Progress};

/// Points whose potential is summed by one task; fixed, so that the sums do not depend on the number of threads.
const ROWS_PER_CHUNK: usize = 256;

/// Chooses `count` rows: the first at random, each further one the best of 2 + ln(count) draws, where a row is drawn
/// with a probability proportional to its squared distance from the nearest row chosen so far. O(n d k ln k).
///
/// `points` has at least one row. When all rows that are left coincide with chosen ones, rows repeat.
///
/// # Errors
/// The computation was told to stop.
pub(super) fn choose(points: &Points, count: usize, random: &mut ChaCha8Rng) -> Result<Vec<usize>, Cancelled> {
    let rows = points.rows();
    let trials = 2 + (count as f64).ln() as usize;
    let first = ((uniform(random) * rows as f64) as usize).min(rows - 1);
    let mut chosen = vec![first];
    let mut closest = vec![f32::INFINITY; rows];
    let mut distances = vec![0.0; rows];
    shrink(points, &[first], &closest, &mut distances);
    closest.copy_from_slice(&distances);
    distances.resize(rows * trials, 0.0);
    let mut progress = Progress::if_long("k-means++", count as u64, "centres");
    while chosen.len() < count {
        progress::check()?;
        progress.advance(1);
        let drawn = draw(&closest, trials, random);
        let potentials = shrink(points, &drawn, &closest, &mut distances);
        let best = (1..trials).fold(0, |best, trial| if potentials[trial] < potentials[best] { trial } else { best });
        chosen.push(drawn[best]);
        closest.iter_mut().zip(distances.chunks_exact(trials)).for_each(|(closest, row)| *closest = row[best]);
    }
    Ok(chosen)
}

/// Row numbers drawn with probabilities proportional to `weights`.
fn draw(weights: &[f32], count: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    let mut sum = 0.0;
    let mut cumulated = Vec::with_capacity(weights.len());
    for &weight in weights {
        sum += f64::from(weight);
        cumulated.push(sum);
    }
    let mut one = || {
        let target = uniform(random) * sum;
        cumulated.partition_point(|&sum| sum <= target).min(weights.len() - 1)
    };
    (0..count).map(|_| one()).collect()
}

/// The squared distance of each point to each of the drawn rows, or what is already reached where that is less; and the
/// sum for each drawn row.
fn shrink(points: &Points, drawn: &[usize], closest: &[f32], distances: &mut [f32]) -> Vec<f64> {
    let others: Vec<&[f32]> = drawn.iter().map(|&row| points.row(row)).collect();
    let rows = points.as_slice().par_chunks(ROWS_PER_CHUNK * points.columns());
    let known = distances.par_chunks_mut(ROWS_PER_CHUNK * drawn.len()).zip(closest.par_chunks(ROWS_PER_CHUNK));
    let sums = rows.zip(known).map(|(rows, (distances, closest))| {
        distances_to_few(rows, &others, distances);
        let mut sums = vec![0.0; others.len()];
        for (row, &closest) in distances.chunks_exact_mut(others.len()).zip(closest) {
            for (distance, sum) in row.iter_mut().zip(&mut sums) {
                *distance = distance.min(closest);
                *sum += f64::from(*distance);
            }
        }
        sums
    });
    let mut total = vec![0.0; drawn.len()];
    for sums in sums.collect::<Vec<_>>() {
        total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    total
}

/// A number in [0, 1) with 53 random bits.
pub(super) fn uniform(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn finds_one_row_in_each_far_group() {
        let points = Points::new(40, 1, (0..40).map(|row| (row / 10 * 1000 + row % 10) as f32).collect());
        let points = points.expect("valid");
        for seed in 0..20 {
            let mut chosen = choose(&points, 4, &mut ChaCha8Rng::seed_from_u64(seed)).expect("not cancelled");
            chosen.sort_unstable();
            let groups: Vec<usize> = chosen.iter().map(|row| row / 10).collect();
            assert_eq!(groups, [0, 1, 2, 3], "seed {seed}");
        }
    }

    #[test]
    fn draws_follow_the_weights() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let drawn = draw(&[0.0, 1.0, 0.0, 3.0, 0.0], 4000, &mut random);
        let count = |row: usize| drawn.iter().filter(|&&found| found == row).count();
        assert_eq!(count(1) + count(3), 4000);
        assert!((900..1100).contains(&count(1)), "{} of 4000", count(1));
        assert_eq!(draw(&[0.0; 3], 2, &mut random).len(), 2);
    }
}

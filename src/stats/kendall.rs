//! Kendall's correlation.

use super::distributions::normal_sf;
use super::ranks::dense_ranks;
use super::{Correlation, StatsError, check_pairs};

/// Samples up to this length have an exact p-value, as in SciPy.
const MOST_EXACT: usize = 33;

/// Kendall's τ-b of two samples of one length (`scipy.stats.kendalltau`): concordant less discordant pairs, as a share
/// of the pairs without ties.
///
/// The p-value is exact without ties where there are at most 33 pairs of values, or at most one discordant or one
/// concordant pair; otherwise it is that of the normal approximation, with its variance corrected for ties.
/// O(n log n) (Knight 1966).
///
/// # Errors
/// The samples differ in length or have fewer than 2 values; a value that is not finite; a constant sample.
pub fn kendalltau(a: &[f64], b: &[f64]) -> Result<Correlation, StatsError> {
    check_pairs(a, b, 2)?;
    for (argument, values) in [("a", a), ("b", b)] {
        if values.iter().all(|&value| value == values[0]) {
            return Err(StatsError::Constant { argument });
        }
    }
    let n = a.len() as i128;
    // Both ranks in one number: sorted by a, then by b.
    let (a, b) = (dense_ranks(a), dense_ranks(b));
    let mut pairs: Vec<u64> = a.iter().zip(&b).map(|(&a, &b)| u64::from(a) << 32 | u64::from(b)).collect();
    pairs.sort_unstable();
    let joint = ties(pairs.chunk_by(|a, b| a == b).map(<[_]>::len)).pairs;
    let ties_a = ties(pairs.chunk_by(|a, b| a >> 32 == b >> 32).map(<[_]>::len));
    let mut second: Vec<u32> = pairs.iter().map(|&pair| pair as u32).collect();
    let discordant = inversions(&mut second);
    let ties_b = ties(second.chunk_by(|a, b| a == b).map(<[_]>::len));

    let all = n * (n - 1) / 2;
    let difference = all - ties_a.pairs - ties_b.pairs + joint - 2 * discordant;
    let (untied_a, untied_b) = ((all - ties_a.pairs) as f64, (all - ties_b.pairs) as f64);
    let length = if untied_a == untied_b { untied_a } else { untied_a.sqrt() * untied_b.sqrt() };
    let statistic = (difference as f64 / length).clamp(-1.0, 1.0);
    let fewer = discordant.min(all - discordant);
    let p_value = if ties_a.pairs == 0 && ties_b.pairs == 0 && (n <= MOST_EXACT as i128 || fewer <= 1) {
        exact(n as usize, fewer as usize)
    } else {
        let (n, m) = (n as f64, (n * (n - 1)) as f64);
        let variance = (m * (2.0 * n + 5.0) - ties_a.fives - ties_b.fives) / 18.0
            + 2.0 * ties_a.pairs as f64 * ties_b.pairs as f64 / m
            + ties_a.triples * ties_b.triples / (9.0 * m * (n - 2.0));
        (2.0 * normal_sf((difference as f64 / variance.sqrt()).abs())).min(1.0)
    };
    Ok(Correlation { statistic, p_value })
}

/// What groups of t equal values contribute to the variance.
struct Ties {
    /// Σ t (t - 1) / 2.
    pairs: i128,
    /// Σ t (t - 1) (t - 2).
    triples: f64,
    /// Σ t (t - 1) (2 t + 5).
    fives: f64,
}

fn ties(sizes: impl Iterator<Item = usize>) -> Ties {
    let mut ties = Ties { pairs: 0, triples: 0.0, fives: 0.0 };
    for size in sizes.filter(|&size| size > 1) {
        let t = size as f64;
        ties.pairs += size as i128 * (size as i128 - 1) / 2;
        ties.triples += t * (t - 1.0) * (t - 2.0);
        ties.fives += t * (t - 1.0) * (2.0 * t + 5.0);
    }
    ties
}

/// Sorts the values by merging, and counts the pairs that stood in the wrong order.
fn inversions(values: &mut [u32]) -> i128 {
    /// Runs this short are sorted by insertion.
    const SHORT: usize = 16;
    let n = values.len();
    let mut count = 0_u64;
    let mut total = 0_i128;
    for run in values.chunks_mut(SHORT) {
        for at in 1..run.len() {
            let value = run[at];
            let place = run[..at].partition_point(|&other| other <= value);
            count += (at - place) as u64;
            run[place..=at].rotate_right(1);
        }
    }
    total += i128::from(count);
    let mut merged = vec![0; n];
    let (mut from, mut to) = (values, merged.as_mut_slice());
    let mut width = SHORT;
    let mut passes = 0;
    while width < n {
        for (source, target) in from.chunks(2 * width).zip(to.chunks_mut(2 * width)) {
            total += merge(source, width, target);
        }
        std::mem::swap(&mut from, &mut to);
        width *= 2;
        passes += 1;
    }
    if passes % 2 == 1 {
        // The sorted values are in the second buffer, which is `from` now; the caller's is `to`.
        to.copy_from_slice(from);
    }
    total
}

/// Merges the sorted halves of `source`, the first of `width` values; counts the pairs of which the second half's value
/// is smaller.
fn merge(source: &[u32], width: usize, target: &mut [u32]) -> i128 {
    let (left, right) = source.split_at(width.min(source.len()));
    let (mut l, mut r, mut count) = (0, 0, 0_u64);
    // Without a branch that depends on the values: it would be guessed wrong half of the time.
    while l < left.len() && r < right.len() {
        let (a, b) = (left[l], right[r]);
        let from_right = b < a;
        target[l + r] = if from_right { b } else { a };
        count += if from_right { (left.len() - l) as u64 } else { 0 };
        r += usize::from(from_right);
        l += usize::from(!from_right);
    }
    target[l + r..left.len() + r].copy_from_slice(&left[l..]);
    target[left.len() + r..].copy_from_slice(&right[r..]);
    i128::from(count)
}

/// The two-sided p-value without ties for `fewer` concordant or discordant pairs, whichever are fewer: twice the share
/// of the permutations of `n` with at most that many inversions (Kendall 1970).
fn exact(n: usize, fewer: usize) -> f64 {
    let factorial = |n: usize| (1..=n).fold(1.0, |product: f64, factor| product * factor as f64);
    match fewer {
        _ if n <= 2 || 4 * fewer == n * (n - 1) => 1.0,
        // 1 and n permutations have so many. From 171 on, the factorial is beyond 64 bits.
        0 => 2.0 / factorial(n),
        1 => 2.0 / factorial(n - 1),
        _ => {
            // How many permutations of j have k inversions: at most 33!, which 128 bits hold.
            let mut counts = vec![0_u128; fewer + 1];
            counts[0] = 1;
            for j in 2..=n {
                let before = counts.clone();
                let mut window = 0;
                for k in 0..=fewer {
                    window += before[k];
                    if k >= j {
                        window -= before[k - j];
                    }
                    counts[k] = window;
                }
            }
            (2.0 * counts.iter().sum::<u128>() as f64 / factorial(n)).min(1.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_inversions_and_sorts() {
        let mut state = 1_u32;
        for n in [0, 1, 2, 15, 16, 17, 31, 32, 33, 64, 65, 200] {
            let mut values: Vec<u32> = (0..n)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 16) % (n + 1)
                })
                .collect();
            let naive: usize =
                (0..values.len()).map(|b| values[..b].iter().filter(|&&value| value > values[b]).count()).sum();
            assert_eq!(inversions(&mut values), naive as i128);
            assert!(values.is_sorted());
        }
    }

    /// All permutations of five.
    #[test]
    fn exact_p_is_a_count_of_permutations() {
        // Numbers of permutations of 5 with 0, 1, ... inversions.
        let counts = [1.0, 4.0, 9.0, 15.0, 20.0];
        for fewer in 0..5 {
            let share = 2.0 * counts[..=fewer].iter().sum::<f64>() / 120.0;
            assert!((exact(5, fewer) - share).abs() < 1e-15, "{fewer}");
        }
        assert_eq!(exact(5, 5), 1.0);
        assert_eq!(exact(400, 0), 0.0);
    }
}

//! Ranks, with SciPy's ways to treat ties.

use super::{StatsError, check};

/// Which rank equal values get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RankMethod {
    /// The mean of the ranks that they take up.
    #[default]
    Average,
    /// The lowest of them.
    Min,
    /// The highest of them.
    Max,
    /// The lowest, and the next larger value gets the next rank: 1, 2, 2, 3.
    Dense,
    /// Ranks of their own, in the order in which they stand.
    Ordinal,
}

/// Which value has rank 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The smallest.
    #[default]
    Ascending,
    /// The largest, as for scores of which more is better.
    Descending,
}

/// The rank of each value, from 1 for the smallest (`scipy.stats.rankdata`); none for no values. O(n log n).
///
/// # Errors
/// A value that is not finite.
pub fn rankdata(values: &[f64], method: RankMethod) -> Result<Vec<f64>, StatsError> {
    ranks(values, Order::Ascending, method)
}

/// The rank of each value, from 1 for the first in `order`; equal values keep the order in which they stand. O(n log
/// n).
///
/// # Errors
/// A value that is not finite.
pub fn ranks(values: &[f64], order: Order, method: RankMethod) -> Result<Vec<f64>, StatsError> {
    check("values", values, 0)?;
    let mut ranks = vec![0.0; values.len()];
    let mut dense = 0;
    let mut sorted = sorted(values, order);
    let mut first = 0;
    while first < sorted.len() {
        let end = first + sorted[first..].iter().take_while(|(value, _)| *value == sorted[first].0).count();
        dense += 1;
        if method == RankMethod::Ordinal {
            sorted[first..end].sort_unstable_by_key(|&(_, index)| index);
        }
        for (at, &(_, index)) in sorted.iter().enumerate().take(end).skip(first) {
            ranks[index] = match method {
                RankMethod::Average => (first + 1 + end) as f64 / 2.0,
                RankMethod::Min => (first + 1) as f64,
                RankMethod::Max => end as f64,
                RankMethod::Dense => f64::from(dense),
                RankMethod::Ordinal => (at + 1) as f64,
            };
        }
        first = end;
    }
    Ok(ranks)
}

/// The finite values with their indices, sorted; equal ones in no particular order.
fn sorted(values: &[f64], order: Order) -> Vec<(f64, usize)> {
    let sign = if order == Order::Ascending { 1.0 } else { -1.0 };
    // Adding 0 makes -0 and 0 the same in the order of all bits, as they are equal in value.
    let mut sorted: Vec<(f64, usize)> = values.iter().enumerate().map(|(at, value)| (sign * value + 0.0, at)).collect();
    sorted.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
    sorted
}

/// Average ranks, doubled so that they are whole numbers, and the sizes of the groups of equal values.
pub(super) fn doubled_ranks(values: &[f64]) -> (Vec<u64>, Vec<u64>) {
    let sorted = sorted(values, Order::Ascending);
    let (mut ranks, mut sizes, mut first) = (vec![0; values.len()], Vec::new(), 0);
    for group in sorted.chunk_by(|a, b| a.0 == b.0) {
        group.iter().for_each(|&(_, index)| ranks[index] = (2 * first + group.len() + 1) as u64);
        sizes.push(group.len() as u64);
        first += group.len();
    }
    (ranks, sizes)
}

/// Dense ranks, from 0.
pub(super) fn dense_ranks(values: &[f64]) -> Vec<u32> {
    let mut ranks = vec![0; values.len()];
    for (rank, group) in (0..).zip(sorted(values, Order::Ascending).chunk_by(|a, b| a.0 == b.0)) {
        group.iter().for_each(|&(_, index)| ranks[index] = rank);
    }
    ranks
}

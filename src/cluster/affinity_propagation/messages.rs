//! The messages of affinity propagation, in one sweep a round over two matrices.
//!
//! A responsibility is a damped mean of S\[i,k\] - (the largest A + S of row i, k left out), and what is left out
//! matters only where k itself is the largest. So for all other k it is `weight * S[i,k] - level[i]`, with one
//! weight for all, 1 - damping^rounds, and one level a row: the damped mean of the row's largest A + S. Only the
//! few k that have ever been the largest of their row, and the diagonal, have messages of their own, and these are
//! kept apart, in 64 bits. This is the same update as with a matrix of responsibilities, less a third of the memory
//! and its traffic.
//!
//! The availabilities of a round are needed only in the next one, so that a sweep first brings a row's
//! availabilities up to date, then its responsibilities, and sums the latter up for the columns.

use rayon::prelude::*;

use super::ClusterError;
use crate::linalg::LinalgError;
use crate::progress::{self, Progress};

/// Numbers that the inner loops take at once.
const LANES: usize = 16;
/// Pieces that the rows are cut into, whatever the number of threads; each has its own sums of the columns.
const BLOCKS: usize = 64;

/// The state of the messages.
pub(super) struct Messages {
    damping: f64,
    /// The sum of the weights of the rounds in a damped mean: 1 - damping^rounds.
    weight: f64,
    /// S, rows x rows; minus infinity on the diagonal.
    similarities: Vec<f32>,
    /// A, as of the round before the last; minus infinity where a message is kept apart.
    availabilities: Vec<f32>,
    rows: Vec<Row>,
    /// For each column k: R\[k,k\] and the sum of the positive R\[i,k\] with i != k.
    columns: Columns,
    /// The sums of each block of rows, one after the other.
    sums: Vec<f64>,
    /// Which points are exemplars now: A\[k,k\] + R\[k,k\] > 0.
    exemplar: Vec<bool>,
}

struct Row {
    /// The damped mean of the largest A + S.
    level: f64,
    /// Messages kept apart: the diagonal first, then those that have been the largest of the row.
    apart: Vec<Message>,
}

#[derive(Clone, Copy)]
struct Message {
    to: usize,
    similarity: f64,
    availability: f64,
    responsibility: f64,
}

/// A sum for each column, in 64 bits and as two parts of 32 bits, which the inner loop subtracts from without the
/// rounding of the sum.
struct Columns {
    exact: Vec<f64>,
    high: Vec<f32>,
    low: Vec<f32>,
}

impl Messages {
    /// All messages 0; `similarities` is n x n, and its diagonal is not read.
    pub(super) fn new(
        mut similarities: Vec<f32>,
        preferences: Vec<f64>,
        damping: f64,
    ) -> Result<Messages, ClusterError> {
        let n = preferences.len();
        let mut availabilities: Vec<f32> = Vec::new();
        let bytes = similarities.len().saturating_mul(size_of::<f32>());
        let no_memory = |_| LinalgError::Memory { operation: "affinity propagation", bytes };
        availabilities.try_reserve_exact(similarities.len()).map_err(no_memory)?;
        availabilities.resize(similarities.len(), 0.0);
        for row in 0..n {
            similarities[row * n + row] = f32::NEG_INFINITY;
            availabilities[row * n + row] = f32::NEG_INFINITY;
        }
        let own = |(to, similarity)| Message { to, similarity, availability: 0.0, responsibility: 0.0 };
        let row = |own| Row { level: 0.0, apart: vec![own] };
        Ok(Messages {
            damping,
            weight: 0.0,
            similarities,
            availabilities,
            rows: preferences.into_iter().enumerate().map(own).map(row).collect(),
            columns: Columns { exact: vec![0.0; n], high: vec![0.0; n], low: vec![0.0; n] },
            sums: vec![0.0; n.div_ceil(n.div_ceil(BLOCKS).max(1)) * n],
            exemplar: vec![false; n],
        })
    }

    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// S\[row, to\], the preference on the diagonal.
    pub(super) fn similarity(&self, row: usize, to: usize) -> f64 {
        if row == to {
            self.rows[row].apart[0].similarity
        } else {
            f64::from(self.similarities[row * self.rows() + to])
        }
    }

    /// The exemplars of the last round, ascending.
    pub(super) fn exemplars(&self) -> Vec<usize> {
        (0..self.rows()).filter(|&row| self.exemplar[row]).collect()
    }

    /// Sends messages until the exemplars have not changed for `convergence_iter` rounds and there are some. Returns
    /// the number of rounds, and whether that was reached.
    pub(super) fn run(&mut self, max_iter: usize, convergence_iter: usize) -> Result<(usize, bool), ClusterError> {
        let mut progress = Progress::new("affinity propagation", max_iter as u64, "rounds");
        let mut same = 0;
        for round in 0..max_iter {
            progress::check()?;
            self.round();
            let now = self.rows.par_iter().zip(&self.columns.exact).map(|(row, &sum)| {
                let own = &row.apart[0];
                let availability = damped(own.availability, sum - own.responsibility, self.damping);
                availability + own.responsibility > 0.0
            });
            let now: Vec<bool> = now.collect();
            same = if round > 0 && now == self.exemplar { same + 1 } else { 1 };
            self.exemplar = now;
            progress.advance(1);
            // scikit-learn first looks one round later than it could.
            if round >= convergence_iter && same >= convergence_iter && self.exemplar.contains(&true) {
                return Ok((round + 1, true));
            }
        }
        Ok((max_iter, false))
    }

    /// One round of messages.
    fn round(&mut self) {
        let n = self.rows();
        let block = n.div_ceil(BLOCKS).max(1);
        let (damping, old) = (self.damping, self.weight);
        let new = damped(old, 1.0, damping);
        let columns = &self.columns;
        let similarities = self.similarities.par_chunks(block * n);
        let availabilities = self.availabilities.par_chunks_mut(block * n);
        let blocks = similarities.zip(availabilities).zip(self.rows.par_chunks_mut(block));
        blocks.zip(self.sums.par_chunks_mut(n)).enumerate().for_each(
            |(index, (((similarities, availabilities), rows), sums))| {
                sums.fill(0.0);
                let matrices = similarities.chunks_exact(n).zip(availabilities.chunks_exact_mut(n));
                for (at, (row, (similarities, availabilities))) in rows.iter_mut().zip(matrices).enumerate() {
                    let number = index * block + at;
                    row.send(number, similarities, availabilities, columns, sums, (damping, old, new));
                }
            },
        );
        self.weight = new;
        self.columns.sum_up(&self.sums);
    }
}

impl Row {
    /// Brings the availabilities to this row's point up to date, then its responsibilities, and adds these to the
    /// sums of the columns. `(damping, old, new)`: the weights before and after this round.
    fn send(
        &mut self,
        number: usize,
        similarities: &[f32],
        availabilities: &mut [f32],
        columns: &Columns,
        sums: &mut [f64],
        (damping, old, new): (f64, f64, f64),
    ) {
        let mut best = None;
        let (mut first, mut second) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        for (at, message) in self.apart.iter_mut().enumerate() {
            let sum = columns.exact[message.to];
            let sent = if message.to == number {
                sum - message.responsibility
            } else {
                (sum - message.responsibility.max(0.0)).min(0.0)
            };
            message.availability = damped(message.availability, sent, damping);
            let value = message.availability + message.similarity;
            second = second.max(first.min(value));
            if best.is_none() || value > first {
                (best, first) = (Some(at), value);
            }
        }
        let rule = Responsibility { weight: old as f32, level: self.level as f32 };
        let (dense_first, dense_second) = update(similarities, availabilities, columns, rule, damping as f32);
        let (dense_first, dense_second) = (f64::from(dense_first), f64::from(dense_second));
        if dense_first > first {
            second = first.max(dense_second);
            first = dense_first;
            let to = position(similarities, availabilities, dense_first as f32);
            best = Some(self.apart.len());
            self.apart.push(Message {
                to,
                similarity: f64::from(similarities[to]),
                availability: f64::from(availabilities[to]),
                responsibility: f64::from(rule.of(similarities[to])),
            });
            availabilities[to] = f32::NEG_INFINITY;
        } else {
            second = second.max(dense_first);
        }
        self.level = damped(self.level, first, damping);
        let rule = Responsibility { weight: new as f32, level: self.level as f32 };
        for (at, message) in self.apart.iter_mut().enumerate() {
            let largest_other = if best == Some(at) { second } else { first };
            message.responsibility = damped(message.responsibility, message.similarity - largest_other, damping);
            let own = message.to == number;
            let counted = if own { message.responsibility } else { message.responsibility.max(0.0) };
            // What the loop over the whole row will add for this column is not its responsibility.
            sums[message.to] += counted - f64::from(positive(rule.of(similarities[message.to])));
        }
        add_positive(similarities, rule, sums);
    }
}

/// The responsibilities of a row, but for those kept apart.
#[derive(Clone, Copy)]
struct Responsibility {
    weight: f32,
    level: f32,
}

impl Responsibility {
    #[inline(always)]
    fn of(self, similarity: f32) -> f32 {
        self.weight * similarity - self.level
    }
}

/// Brings the availabilities of a row up to date, and returns the largest and the second largest sum of an
/// availability and its similarity.
fn update(
    similarities: &[f32],
    availabilities: &mut [f32],
    columns: &Columns,
    rule: Responsibility,
    damping: f32,
) -> (f32, f32) {
    let mut first = [f32::NEG_INFINITY; LANES];
    let mut second = [f32::NEG_INFINITY; LANES];
    let step = |similarity: f32, availability: &mut f32, high: f32, low: f32, first: &mut f32, second: &mut f32| {
        let sent = (high - positive(rule.of(similarity))) + low;
        let sent = if sent < 0.0 { sent } else { 0.0 };
        // Not a sum of products with damping and 1 - damping: in 32 bits these do not add up to 1.
        *availability = sent + damping * (*availability - sent);
        let value = *availability + similarity;
        let lesser = if value < *first { value } else { *first };
        *second = if lesser > *second { lesser } else { *second };
        *first = if value > *first { value } else { *first };
    };
    let (s, s_rest) = similarities.as_chunks::<LANES>();
    let (a, a_rest) = availabilities.as_chunks_mut::<LANES>();
    let (high, high_rest) = columns.high.as_chunks::<LANES>();
    let (low, low_rest) = columns.low.as_chunks::<LANES>();
    for (((s, a), high), low) in s.iter().zip(a).zip(high).zip(low) {
        for lane in 0..LANES {
            step(s[lane], &mut a[lane], high[lane], low[lane], &mut first[lane], &mut second[lane]);
        }
    }
    for (lane, (((&s, a), &high), &low)) in s_rest.iter().zip(a_rest).zip(high_rest).zip(low_rest).enumerate() {
        step(s, a, high, low, &mut first[lane], &mut second[lane]);
    }
    let mut largest = (f32::NEG_INFINITY, f32::NEG_INFINITY);
    for value in first.into_iter().chain(second) {
        largest = (largest.0.max(value), largest.1.max(largest.0.min(value)));
    }
    largest
}

/// The first place where an availability and its similarity add up to `value`.
fn position(similarities: &[f32], availabilities: &[f32], value: f32) -> usize {
    similarities.iter().zip(availabilities).position(|(s, a)| a + s == value).unwrap_or(0)
}

/// Adds the positive responsibilities of a row to the sums.
fn add_positive(similarities: &[f32], rule: Responsibility, sums: &mut [f64]) {
    let add = |similarities: &[f32], sums: &mut [f64]| {
        for (sum, &similarity) in sums.iter_mut().zip(similarities) {
            *sum += f64::from(positive(rule.of(similarity)));
        }
    };
    let (s, s_rest) = similarities.as_chunks::<LANES>();
    let (sums, sums_rest) = sums.as_chunks_mut::<LANES>();
    for (s, sums) in s.iter().zip(sums) {
        // Few are positive: those of points nearer than the exemplar.
        let mut any = false;
        s.iter().for_each(|&similarity| any |= rule.of(similarity) > 0.0);
        if any {
            add(s, sums);
        }
    }
    add(s_rest, sums_rest);
}

impl Columns {
    /// Adds up what the blocks of rows have found, in their order.
    fn sum_up(&mut self, sums: &[f64]) {
        const COLUMNS: usize = 512;
        let n = self.exact.len();
        let parts = self.high.par_chunks_mut(COLUMNS).zip(self.low.par_chunks_mut(COLUMNS));
        self.exact.par_chunks_mut(COLUMNS).zip(parts).enumerate().for_each(|(chunk, (exact, (high, low)))| {
            exact.fill(0.0);
            for block in sums.chunks_exact(n) {
                exact.iter_mut().zip(&block[chunk * COLUMNS..]).for_each(|(total, sum)| *total += sum);
            }
            // Preferences may be beyond 32 bits; no similarity matters beside one of this size.
            const LIMIT: f64 = f32::MAX as f64 / 4.0;
            for ((exact, high), low) in exact.iter().zip(high).zip(low) {
                let sum = exact.clamp(-LIMIT, LIMIT);
                *high = sum as f32;
                *low = (sum - f64::from(*high)) as f32;
            }
        });
    }
}

/// The number itself where it is above 0.
#[inline(always)]
fn positive(value: f32) -> f32 {
    if value > 0.0 { value } else { 0.0 }
}

fn damped(before: f64, now: f64, damping: f64) -> f64 {
    damping * before + (1.0 - damping) * now
}

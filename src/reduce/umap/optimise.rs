//! The optimiser: points that share an edge attract each other, points drawn at random repel each other.
//!
//! umap-learn goes through all edges one after the other and moves both ends of each, so it cannot use threads without
//! letting chance into the result. Here every point is moved by one task alone, which sees the others where they were
//! when the round began: the same result for any number of threads. An epoch is made of [`ROUNDS`] rounds; each moves
//! every [`ROUNDS`]th point, so what a point sees is a fraction of an epoch old.
//!
//! The graph is symmetric, and both directions of an edge are due in the same epochs. In umap-learn each of the two
//! moves both ends; here each moves its own end twice as far ([`Forces::pull`]), which brings the ends as much closer.
//! All forces of a due edge, that of its other end and those of the points drawn for it, are taken at the same place.

use rayon::prelude::*;

use crate::linalg::{Csr, Loops, vectorised};
use crate::progress::{self, Progress};
use crate::reduce::ReduceError;

/// Rounds in an epoch.
const ROUNDS: usize = 4;
/// Rows moved by one task.
const ROWS_PER_TASK: usize = 256;
/// Points that the rows of a task draw from, themselves drawn anew for each task and epoch...
const POOL: usize = 512;
/// ...where all points together are more numbers than this, half a megabyte.
const POOL_FROM: usize = 1 << 17;
/// Forces that are taken together.
const LANES: usize = 8;
/// No coordinate of a force is larger, as in umap-learn.
const CLIP: f32 = 4.0;
/// Points nearer than this (squared) are at the same place and exert no force.
const SAME_PLACE: f32 = 1e-30;

/// What moves the points.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forces {
    /// See [`super::find_ab_params`].
    pub a: f32,
    /// See [`super::find_ab_params`].
    pub b: f32,
    /// The weight of repulsion.
    pub repulsion: f32,
    /// How many points repel a point each time that one of its edges is due.
    pub negatives: usize,
    /// How many times an edge's attraction counts: twice where its other end does not get its half from this edge.
    pub pull: f32,
    /// The first learning rate; it falls linearly to nearly 0.
    pub learning_rate: f32,
    /// The seed of the draws.
    pub seed: u64,
}

/// The edges and when each is due.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    offsets: Vec<usize>,
    tails: Vec<u32>,
    /// How often the edge is due, in units of 2^-32 times an epoch.
    rates: Vec<u32>,
    epochs: usize,
}

impl Schedule {
    /// The heaviest edge is due in every epoch from 1 on, the others in proportion to their weight: at the same epochs
    /// as in umap-learn, which also says to leave the edges lighter than the heaviest / `epochs` out. O(nnz).
    pub fn new(graph: Csr, epochs: usize) -> Schedule {
        let heaviest = f64::from(graph.values.iter().copied().fold(f32::MIN_POSITIVE, f32::max));
        let rate = |&weight: &f32| (f64::from(weight) / heaviest * 4_294_967_296.0) as u32;
        let rates = graph.values.iter().map(rate).collect();
        Schedule { offsets: graph.offsets, tails: graph.columns, rates, epochs }
    }

    /// Writes the other ends of the edges of `row` that are due at `epoch` to the front of `due`; their number.
    #[inline(always)]
    fn due(&self, row: usize, epoch: usize, due: &mut [u32]) -> usize {
        let edges = self.offsets[row]..self.offsets[row + 1];
        let mut count = 0;
        for (&tail, &rate) in self.tails[edges.clone()].iter().zip(&self.rates[edges]) {
            due[count] = tail;
            count += usize::from(is_due(rate, epoch));
        }
        count
    }

    /// One place more than a row has edges.
    fn room(&self) -> usize {
        self.offsets.windows(2).map(|ends| ends[1] - ends[0]).max().unwrap_or(0) + 1
    }
}

/// Whether the whole part of rate x epoch has grown with this epoch. The fraction is carried in 32 bits; it begins a
/// little above 0, for rates that are rounded down.
#[inline(always)]
fn is_due(rate: u32, epoch: usize) -> bool {
    rate.wrapping_mul(epoch as u32).wrapping_add(1 << 16) < rate
}

/// Moves the rows (row-major, `columns` each) along the edges between them, `schedule.epochs` times. The forces must
/// pull twice. O(epochs (samples negatives d + nnz)).
///
/// # Errors
/// The computation was cancelled.
pub(super) fn optimise(
    embedding: &mut [f32],
    columns: usize,
    schedule: &Schedule,
    forces: Forces,
) -> Result<(), ReduceError> {
    let width = padded(columns);
    let rows = embedding.len() / columns;
    let mut current = pad(embedding, columns, width);
    let mut moved = vec![0.0; rows.div_ceil(ROUNDS) * width];
    let mut progress = Progress::new("umap", schedule.epochs as u64, "epochs");
    for epoch in 1..schedule.epochs {
        progress::check()?;
        for round in 0..ROUNDS.min(rows) {
            let members = (rows - round).div_ceil(ROUNDS);
            let moved = &mut moved[..members * width];
            moved.par_chunks_mut(ROWS_PER_TASK * width).enumerate().for_each(|(task, moved)| {
                let first = task * ROWS_PER_TASK * ROUNDS + round;
                for (row, place) in (first..).step_by(ROUNDS).zip(moved.chunks_exact_mut(width)) {
                    place.copy_from_slice(&current[row * width..(row + 1) * width]);
                }
                vectorised(Task {
                    rows: moved,
                    schedule,
                    forces,
                    others: &current,
                    width,
                    first,
                    step: ROUNDS,
                    own: true,
                    epoch,
                });
            });
            current
                .par_chunks_mut(ROUNDS * width)
                .zip(moved.par_chunks(width))
                .with_min_len(4096)
                .for_each(|(rows, moved)| rows[round * width..(round + 1) * width].copy_from_slice(moved));
        }
        progress.advance(1);
    }
    unpad(&current, width, embedding, columns);
    Ok(())
}

/// Moves the rows along the edges from them to `others`, which stay where they are. The forces must pull once.
///
/// # Errors
/// The computation was cancelled.
pub(super) fn optimise_among(
    embedding: &mut [f32],
    others: &[f32],
    columns: usize,
    schedule: &Schedule,
    forces: Forces,
) -> Result<(), ReduceError> {
    let width = padded(columns);
    let mut current = pad(embedding, columns, width);
    let others = pad(others, columns, width);
    for epoch in 1..schedule.epochs {
        progress::check()?;
        current.par_chunks_mut(ROWS_PER_TASK * width).enumerate().for_each(|(task, rows)| {
            let first = task * ROWS_PER_TASK;
            vectorised(Task { rows, schedule, forces, others: &others, width, first, step: 1, own: false, epoch });
        });
    }
    unpad(&current, width, embedding, columns);
    Ok(())
}

/// Numbers in a row: whole vectors, but for few columns.
fn padded(columns: usize) -> usize {
    if columns <= 4 { columns.next_power_of_two() } else { columns.next_multiple_of(LANES) }
}

fn pad(values: &[f32], columns: usize, width: usize) -> Vec<f32> {
    let mut padded = vec![0.0; values.len() / columns * width];
    for (place, row) in padded.chunks_exact_mut(width).zip(values.chunks_exact(columns)) {
        place[..columns].copy_from_slice(row);
    }
    padded
}

fn unpad(padded: &[f32], width: usize, values: &mut [f32], columns: usize) {
    for (row, place) in values.chunks_exact_mut(columns).zip(padded.chunks_exact(width)) {
        row.copy_from_slice(&place[..columns]);
    }
}

/// The moves of some rows in one epoch.
struct Task<'a> {
    /// Where they are; in the end, where they have moved to.
    rows: &'a mut [f32],
    schedule: &'a Schedule,
    forces: Forces,
    /// Where the other points are.
    others: &'a [f32],
    width: usize,
    /// The first of the rows.
    first: usize,
    /// From one row to the next.
    step: usize,
    /// Whether the rows are among the others.
    own: bool,
    epoch: usize,
}

impl Loops for Task<'_> {
    /// With the widths in use known to the compiler.
    #[inline(always)]
    fn run(self) {
        match (self.width, self.forces.negatives) {
            (2, 5) => self.run_wide(2, 5),
            (8, 5) => self.run_wide(8, 5),
            (16, 5) => self.run_wide(16, 5),
            (56, 5) => self.run_wide(56, 5),
            (width, negatives) => self.run_wide(width, negatives),
        }
    }
}

impl Task<'_> {
    #[inline(always)]
    fn run_wide(mut self, width: usize, negatives: usize) {
        let rows = std::mem::take(&mut self.rows);
        let count = self.others.len() / width;
        let mut random = Random::new(self.forces.seed, self.epoch, self.first);
        // Far apart in memory, the points drawn would come late: many rows share a few that are near.
        let drawn: Vec<u32> =
            if self.others.len() > POOL_FROM { (0..POOL).map(|_| random.below(count)).collect() } else { Vec::new() };
        let mut gathered = Vec::with_capacity(drawn.len() * width);
        for &row in &drawn {
            gathered.extend_from_slice(&self.others[row as usize * width..][..width]);
        }
        let pool = if drawn.is_empty() { self.others } else { &gathered };
        let pool_count = pool.len() / width;
        let mut due = vec![0; self.schedule.room()];
        for (at, place) in rows.chunks_exact_mut(width).enumerate() {
            let row = self.first + at * self.step;
            let edges = self.schedule.due(row, self.epoch, &mut due);
            touch(self.others, &due[..edges], width);
            for &tail in &due[..edges] {
                let mut others = [&self.others[tail as usize * width..][..width]; LANES];
                let mut skip = [false; LANES];
                let (mut from, mut left) = (1, negatives);
                loop {
                    let lanes = LANES.min(from + left);
                    for (other, skip) in others[from..lanes].iter_mut().zip(&mut skip[from..lanes]) {
                        let pick = random.below(pool_count);
                        *other = &pool[pick as usize * width..][..width];
                        let drawn = drawn.get(pick as usize).copied().unwrap_or(pick);
                        *skip = self.own && drawn as usize == row;
                    }
                    self.step(place, width, &others, &skip, lanes, from == 1);
                    left -= lanes - from;
                    if left == 0 {
                        break;
                    }
                    (from, skip[0]) = (0, false);
                }
            }
        }
    }

    /// One move: by the repulsion of the first `lanes` others; where `edge`, the first of them attracts instead.
    #[inline(always)]
    fn step(
        &self,
        place: &mut [f32],
        width: usize,
        others: &[&[f32]; LANES],
        skip: &[bool; LANES],
        lanes: usize,
        edge: bool,
    ) {
        let mut squared = [0.0; LANES];
        for lane in 0..lanes {
            let distance = squared_distance(place, others[lane], width);
            squared[lane] = if skip[lane] { 0.0 } else { distance };
        }
        let Forces { a, b, repulsion, pull, .. } = self.forces;
        let alpha = self.forces.learning_rate * (1.0 - (self.epoch - 1) as f32 / self.schedule.epochs as f32);
        let powers = power(squared, b);
        let mut slopes = [0.0; LANES];
        let mut steep = false;
        for lane in 0..LANES {
            let (squared, denominator) = (squared[lane], 1.0 + a * powers[lane]);
            let attracts = edge && lane == 0;
            let (above, below) = if attracts {
                (-2.0 * a * b * powers[lane], squared * denominator)
            } else {
                (2.0 * repulsion * b, (0.001 + squared) * denominator)
            };
            slopes[lane] = if squared > SAME_PLACE { above / below } else { 0.0 };
            steep |= slopes[lane] * slopes[lane] * squared > CLIP * CLIP;
        }
        let mut rates = [alpha; LANES];
        if edge {
            rates[0] *= pull;
        }
        // Where no force is longer than the clip, no coordinate of it is.
        if steep {
            add(place, others, lanes, width, |lane, difference| {
                rates[lane] * (slopes[lane] * difference).clamp(-CLIP, CLIP)
            });
        } else {
            slopes.iter_mut().zip(rates).for_each(|(slope, rate)| *slope *= rate);
            add(place, others, lanes, width, |lane, difference| slopes[lane] * difference);
        }
    }
}

/// Reads a number of every line of memory that holds the rows, so that they are on their way all at once.
#[inline(always)]
fn touch(values: &[f32], rows: &[u32], width: usize) {
    let mut sum = 0.0;
    for &row in rows {
        let row = &values[row as usize * width..][..width];
        for at in (0..width).step_by(16) {
            sum += row[at];
        }
        sum += row[width - 1];
    }
    std::hint::black_box(sum);
}

/// Adds to `place` what `move_by` makes, coordinate by coordinate, of its differences from the first `lanes` others and
/// perhaps from the others after them.
#[inline(always)]
fn add(
    place: &mut [f32],
    others: &[&[f32]; LANES],
    lanes: usize,
    width: usize,
    move_by: impl Fn(usize, f32) -> f32 + Copy,
) {
    if lanes <= 6 {
        add_first::<6>(place, others, width, move_by);
    } else {
        add_first::<LANES>(place, others, width, move_by);
    }
}

/// As [`add`], with a number of others known to the compiler, so that its vectors run along the coordinates.
#[inline(always)]
fn add_first<const N: usize>(
    place: &mut [f32],
    others: &[&[f32]; LANES],
    width: usize,
    move_by: impl Fn(usize, f32) -> f32 + Copy,
) {
    let others: [&[f32]; N] = std::array::from_fn(|lane| &others[lane][..width]);
    for (column, value) in place[..width].iter_mut().enumerate() {
        let before = *value;
        let mut sum = before;
        for (lane, other) in others.iter().enumerate() {
            sum += move_by(lane, before - other[column]);
        }
        *value = sum;
    }
}

#[inline(always)]
fn squared_distance(a: &[f32], b: &[f32], width: usize) -> f32 {
    if width.is_multiple_of(LANES) {
        let mut sums = [0.0; LANES];
        for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
            for lane in 0..LANES {
                sums[lane] += (a[lane] - b[lane]) * (a[lane] - b[lane]);
            }
        }
        // Out of sight of the compiler, which would choose its vectors to fit these few sums and not the loop.
        let [a, b, c, d, e, f, g, h] = std::hint::black_box(sums);
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    } else {
        a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
    }
}

/// Each number to the power of `exponent`, within 2^-80 and 2^80; to some six digits. None is negative; anything
/// finite comes out for 0.
///
/// As 2^(exponent log2(x)): the logarithm of a number between 1/sqrt(2) and sqrt(2) by the series of the area tangent,
/// the power of a number between -1/2 and 1/2 by its Taylor series. No branches, so that the compiler makes vectors.
#[inline(always)]
fn power(x: [f32; LANES], exponent: f32) -> [f32; LANES] {
    const ROOT_HALF: i32 = 0x3f35_04f3;
    const TO_WHOLE: f32 = 12_582_912.0;
    let mut powers = [0.0; LANES];
    for lane in 0..LANES {
        let bits = x[lane].to_bits() as i32;
        let whole = (bits - ROOT_HALF) >> 23;
        let part = f32::from_bits((bits - (whole << 23)) as u32);
        let t = (part - 1.0) / (part + 1.0);
        let t2 = t * t;
        let series = t * (2.885_39 + t2 * (0.961_796_7 + t2 * (0.577_078 + t2 * 0.412_198_6)));
        let y = exponent * (whole as f32 + series);
        let y = if y > -80.0 { y } else { -80.0 };
        let y = if y < 80.0 { y } else { 80.0 };
        // Adding 1.5 x 2^23 rounds to a whole number and leaves it in the lowest bits.
        let rounded = y + TO_WHOLE;
        let rest = y - (rounded - TO_WHOLE);
        let series = 1.0
            + rest
                * (std::f32::consts::LN_2
                    + rest * (0.240_226_5 + rest * (0.055_504_1 + rest * (0.009_618_13 + rest * 0.001_333_36))));
        let exponent = (rounded.to_bits() as i32) - (TO_WHOLE.to_bits() as i32) + 127;
        powers[lane] = f32::from_bits((exponent << 23) as u32) * series;
    }
    powers
}

/// Random numbers that depend on the seed, the epoch and the task's first row only: the steps of SplitMix64 (Steele,
/// Lea and Flood, 2014) from a start mixed of them. Each step gives two.
struct Random {
    state: u64,
    /// Of the last step's two numbers, the one that is left.
    spare: Option<u32>,
}

impl Random {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    #[inline(always)]
    fn new(seed: u64, epoch: usize, row: usize) -> Random {
        let key = mix(seed.wrapping_add(Self::STEP)) ^ (((epoch as u64) << 32) | row as u64);
        Random { state: mix(key), spare: None }
    }

    /// A number below `count`.
    #[inline(always)]
    fn below(&mut self, count: usize) -> u32 {
        let bits = self.spare.take().unwrap_or_else(|| {
            self.state = self.state.wrapping_add(Self::STEP);
            let bits = mix(self.state);
            self.spare = Some((bits >> 32) as u32);
            bits as u32
        });
        ((u64::from(bits) * count as u64) >> 32) as u32
    }
}

#[inline(always)]
fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_have_six_digits() {
        for exponent in [0.3, 0.79, 1.0, 1.9] {
            for at in -300..300 {
                let x = (f64::from(at) / 10.0).exp2() as f32;
                let expected = f64::from(x).powf(f64::from(exponent));
                let found = f64::from(power([x; LANES], exponent)[3]);
                assert!((found / expected - 1.0).abs() < 5e-6, "{x} to the power of {exponent}: {found}, {expected}");
            }
            assert!(
                power([0.0, f32::MIN_POSITIVE / 8.0, 1e38, f32::MAX, 0.0, 0.0, 0.0, 0.0], exponent)
                    .iter()
                    .all(|power| power.is_finite())
            );
        }
    }

    #[test]
    fn edges_are_due_as_in_umap_learn() {
        let epochs = 200;
        for weight in [1.0_f32, 0.5, 0.3333, 0.9, 0.25, 0.017, 0.005] {
            let graph = Csr::new(2, vec![0, 1, 2], vec![1, 0], vec![weight, 1.0]).expect("a graph");
            let schedule = Schedule::new(graph, epochs);
            let every = 1.0 / f64::from(weight);
            let (mut next, mut ahead) = (every, 0_i32);
            for epoch in 0..epochs {
                let expected = next <= epoch as f64;
                next += if expected { every } else { 0.0 };
                let found = epoch > 0 && schedule.due(0, epoch, &mut [0; 2]) == 1;
                // Where a multiple of `every` is nearly whole, rounding may move one of them to the epoch after.
                ahead += i32::from(found) - i32::from(expected);
                assert!(ahead.abs() <= 1, "weight {weight}, epoch {epoch}: {ahead}");
            }
        }
    }
}

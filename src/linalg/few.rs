//! Squared distances from rows to a few others, vectors running along the coordinates: nothing is packed and no lane
//! idles, which a panel of thirty-two lanes would do for five others.

use super::simd::{Float, WIDTH, Work, dispatch};

/// Others measured at once: their sums fill the registers.
const MOST: usize = 6;

/// The squared distance of every row to every other: `rows` x `others`, row-major. O(n m d), one thread.
///
/// `rows` are whole rows; the others are as long as these; squares must not overflow. Differences are squared, so a row
/// is at distance 0 exactly from a copy of itself.
pub(crate) fn distances_to_few(rows: &[f32], others: &[&[f32]], distances: &mut [f32]) {
    dispatch(Few { rows, others, distances });
}

struct Few<'work> {
    rows: &'work [f32],
    others: &'work [&'work [f32]],
    distances: &'work mut [f32],
}

impl Work for Few<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Float, const R: usize, const N: usize>(self) {
        let Few { rows, others, distances } = self;
        let Some(columns) = others.first().map(|other| other.len()) else { return };
        for (row, distances) in rows.chunks_exact(columns).zip(distances.chunks_exact_mut(others.len())) {
            for (others, distances) in others.chunks(MOST).zip(distances.chunks_mut(MOST)) {
                // The last one is repeated where there are fewer.
                match others.len() {
                    1 => some::<V, 1>(row, others, distances),
                    2 => some::<V, 2>(row, others, distances),
                    3 | 4 => some::<V, 4>(row, others, distances),
                    _ => some::<V, MOST>(row, others, distances),
                }
            }
        }
    }
}

#[inline(always)]
fn some<V: Float, const C: usize>(row: &[f32], others: &[&[f32]], distances: &mut [f32]) {
    let others: [&[f32]; C] = std::array::from_fn(|at| others[at.min(others.len() - 1)]);
    for (distance, found) in distances.iter_mut().zip(to_these::<V, C>(row, others)) {
        *distance = found;
    }
}

/// The squared distances from a row to `C` others as long as it is.
#[inline(always)]
pub(super) fn to_these<V: Float, const C: usize>(row: &[f32], others: [&[f32]; C]) -> [f32; C] {
    let (whole, rest) = row.as_chunks::<WIDTH>();
    let lanes = others.map(|other| &other.as_chunks::<WIDTH>().0[..whole.len()]);
    for lanes in lanes {
        // Tells the compiler that no index below is out of bounds.
        assert_eq!(lanes.len(), whole.len());
    }
    let mut sums = [V::splat(0.0); C];
    for (at, values) in whole.iter().enumerate() {
        let values = V::load(values);
        for (sum, lanes) in sums.iter_mut().zip(lanes) {
            let difference = values.subtract(V::load(&lanes[at]));
            *sum = sum.multiply_add(difference, difference);
        }
    }
    if let (false, Some(last)) = (rest.is_empty(), row.last_chunk::<WIDTH>()) {
        // The last whole vector, without the coordinates that were counted.
        let counted = V::load(&COUNTED[rest.len()]);
        let values = V::load(last);
        for (sum, other) in sums.iter_mut().zip(others) {
            if let Some(other) = other[..row.len()].last_chunk::<WIDTH>() {
                let difference = V::splat(0.0).multiply_add(values.subtract(V::load(other)), counted);
                *sum = sum.multiply_add(difference, difference);
            }
        }
    } else if !rest.is_empty() {
        let values = padded::<V>(rest);
        for (sum, other) in sums.iter_mut().zip(others) {
            let difference = values.subtract(padded::<V>(&other[..row.len()]));
            *sum = sum.multiply_add(difference, difference);
        }
    }
    let mut totals = [0.0; C];
    for (total, sum) in totals.iter_mut().zip(sums) {
        let mut lanes = [0.0; WIDTH];
        sum.store(&mut lanes);
        for half in [8, 4, 2, 1] {
            for at in 0..half {
                lanes[at] += lanes[at + half];
            }
        }
        *total = lanes[0];
    }
    totals
}

/// For each number of coordinates after the last whole vector: 1 for these, 0 for those before.
const COUNTED: [[f32; WIDTH]; WIDTH] = {
    let mut all = [[0.0; WIDTH]; WIDTH];
    let mut rest = 1;
    while rest < WIDTH {
        let mut lane = WIDTH - rest;
        while lane < WIDTH {
            all[rest][lane] = 1.0;
            lane += 1;
        }
        rest += 1;
    }
    all
};

/// Fewer values than a vector has, and zeros.
#[inline(always)]
fn padded<V: Float>(values: &[f32]) -> V {
    let mut all = [0.0; WIDTH];
    all[..values.len()].copy_from_slice(values);
    V::load(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_the_naive_loops() {
        for columns in [1, 15, 16, 17, 70] {
            let values: Vec<f32> = (0..9 * columns).map(|at| ((at * 37) % 101) as f32 / 10.0 - 5.0).collect();
            for count in 0..9 {
                let others: Vec<&[f32]> = values.chunks_exact(columns).skip(1).take(count).collect();
                let mut found = vec![f32::NAN; 9 * count];
                distances_to_few(&values, &others, &mut found);
                for (at, &found) in found.iter().enumerate() {
                    let pairs = values[at / count * columns..].iter().zip(others[at % count]);
                    let expected: f32 = pairs.map(|(a, b)| (a - b) * (a - b)).sum();
                    assert!((found - expected).abs() <= 1e-5 * expected.max(1.0), "{found} is not {expected}");
                    assert!(at / count != at % count + 1 || found == 0.0);
                }
            }
        }
    }
}

//! The nearest of a row of distances, and how near the second is.

/// Distances that are compared side by side; the compiler makes vectors of them.
const LANES: usize = 16;

/// The nearest neighbour of a cluster, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Nearest {
    /// How far it is.
    pub(super) distance: f32,
    /// At most the distance of any other: while `distance` is no more than this, `index` is the nearest.
    pub(super) second: f32,
    /// Which it is.
    pub(super) index: u32,
}

impl Nearest {
    /// Of no distances.
    pub(super) const NONE: Nearest = Nearest { distance: f32::INFINITY, second: f32::INFINITY, index: u32::MAX };

    /// Of the distances that `self` and `other` saw; of equal ones the lower index.
    pub(super) fn and(self, other: Nearest) -> Nearest {
        let (first, last) =
            if other.distance < self.distance || (other.distance == self.distance && other.index < self.index) {
                (other, self)
            } else {
                (self, other)
            };
        Nearest { second: smaller(first.second, last.distance), ..first }
    }

    /// Of these distances, the first of which is that to number `first`.
    pub(super) fn of(distances: &[f32], first: usize) -> Nearest {
        Nearest::of_adjusted(distances, first, |_, _| ())
    }

    /// The same of the distances plus `penalties`.
    pub(super) fn of_alive(distances: &[f32], penalties: &[f32], first: usize) -> Nearest {
        Nearest::of_adjusted(distances, first, |values, at| {
            let penalties = &penalties[at..at + values.len()];
            values.iter_mut().zip(penalties).for_each(|(value, penalty)| *value += penalty);
        })
    }

    /// The same of the distances to those whose group is not `own`.
    pub(super) fn of_other_groups(distances: &[f32], groups: &[u32], own: u32, first: usize) -> Nearest {
        Nearest::of_adjusted(distances, first, |values, at| {
            let groups = &groups[at..at + values.len()];
            for (value, &group) in values.iter_mut().zip(groups) {
                *value = if group == own { f32::INFINITY } else { *value };
            }
        })
    }

    /// `adjust` may change some of the distances; it is told where they begin.
    #[inline(always)]
    fn of_adjusted(distances: &[f32], first: usize, adjust: impl Fn(&mut [f32], usize)) -> Nearest {
        let mut best = [f32::INFINITY; LANES];
        let mut second = [f32::INFINITY; LANES];
        let mut step_of_best = [u32::MAX; LANES];
        let (steps, rest) = distances.as_chunks::<LANES>();
        let mut take = |step: usize, values: &[f32; LANES]| {
            for lane in 0..LANES {
                let value = values[lane];
                let nearer = value < best[lane];
                second[lane] = smaller(second[lane], if best[lane] < value { value } else { best[lane] });
                step_of_best[lane] = if nearer { step as u32 } else { step_of_best[lane] };
                best[lane] = smaller(value, best[lane]);
            }
        };
        for (step, distances) in steps.iter().enumerate() {
            let mut values = *distances;
            adjust(&mut values, step * LANES);
            take(step, &values);
        }
        let mut values = [f32::INFINITY; LANES];
        values[..rest.len()].copy_from_slice(rest);
        adjust(&mut values[..rest.len()], steps.len() * LANES);
        take(steps.len(), &values);
        let mut nearest = Nearest::NONE;
        for lane in 0..LANES {
            if step_of_best[lane] != u32::MAX {
                let index = (first + step_of_best[lane] as usize * LANES + lane) as u32;
                nearest = nearest.and(Nearest { distance: best[lane], second: second[lane], index });
            }
        }
        nearest
    }
}

/// The nearest neighbours of clusters, field by field, so that many are updated at once.
#[derive(Clone, Debug, Default)]
pub(super) struct NearestList {
    pub(super) distance: Vec<f32>,
    pub(super) second: Vec<f32>,
    pub(super) index: Vec<u32>,
}

impl NearestList {
    /// Forgets all, and is as long as `length`.
    pub(super) fn reset(&mut self, length: usize) {
        self.distance.clear();
        self.distance.resize(length, f32::INFINITY);
        self.second.clear();
        self.second.resize(length, f32::INFINITY);
        self.index.clear();
        self.index.resize(length, u32::MAX);
    }

    pub(super) fn get(&self, at: usize) -> Nearest {
        Nearest { distance: self.distance[at], second: self.second[at], index: self.index[at] }
    }

    pub(super) fn set(&mut self, at: usize, nearest: Nearest) {
        self.distance[at] = nearest.distance;
        self.second[at] = nearest.second;
        self.index[at] = nearest.index;
    }
}

/// Every cluster of a run sees number `index` at one more distance. Numbers must come in ascending order.
#[inline(always)]
pub(super) fn see(distance: &mut [f32], second: &mut [f32], nearest: &mut [u32], seen: &[f32], index: u32) {
    for (((best, second), nearest), &seen) in distance.iter_mut().zip(second).zip(nearest).zip(seen) {
        let nearer = seen < *best;
        *second = smaller(*second, if *best < seen { seen } else { *best });
        *nearest = if nearer { index } else { *nearest };
        *best = smaller(seen, *best);
    }
}

/// As [`see`], but only clusters whose group is not `own` see it, and the second is not kept.
#[inline(always)]
pub(super) fn see_from_other_groups(
    (distance, nearest): (&mut [f32], &mut [u32]),
    (seen, groups): (&[f32], &[u32]),
    own: u32,
    index: u32,
) {
    for (((best, nearest), &seen), &group) in distance.iter_mut().zip(nearest).zip(seen).zip(groups) {
        let seen = if group == own { f32::INFINITY } else { seen };
        *nearest = if seen < *best { index } else { *nearest };
        *best = smaller(seen, *best);
    }
}

/// The smaller of two numbers that are not NaN, in one instruction.
#[inline(always)]
pub(super) fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

//! Pairs of points that are no farther apart than a limit, where the limits fall while pairs are found.

use std::ops::Range;

use rayon::prelude::*;

use super::simd::{Float, WIDTH};
use super::space::{BLOCK, Finish};
use super::tile::{LANES, Place, Sink, Tile};
use super::{LinalgError, Metric, Space};

/// Some points to compare with some others.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// Some points; a few hundred are handled best.
    pub rows: Range<usize>,
    /// The points that they are compared with.
    pub columns: Range<usize>,
}

/// What is looked for.
pub(crate) trait Search: Sync {
    /// The distance up to which a pair of a row of the task and the given column is wanted.
    fn limit(&self, task: &Task, column: usize) -> f32;

    /// Takes a pair of a row and a column that is within the limit, and its distance, which is good to about 1e-5 of
    /// itself. True if limits may be lower now.
    fn found(&self, row: usize, column: usize, distance: f32) -> bool;
}

/// Compares all rows of each task with all its columns. O(rows columns d), all threads.
///
/// A limit is read again from time to time only, so pairs beyond it may come too.
///
/// # Errors
/// The computation was told to stop.
pub(crate) fn search(space: &Space, tasks: &[Task], search: &impl Search) -> Result<(), LinalgError> {
    let unit = f64::from(space.distance_of_order(1.0));
    let squared = matches!(space.metric(), Metric::Euclidean | Metric::Arccos);
    tasks.par_iter().with_max_len(1).try_for_each_init(Vec::new, |panels, task| {
        for first in task.columns.clone().step_by(BLOCK) {
            crate::progress::check()?;
            let columns = first..(first + BLOCK).min(task.columns.end);
            let mut sink = Limited {
                space,
                search,
                task,
                columns: columns.clone(),
                unit,
                squared,
                panel: usize::MAX,
                stale: true,
                limits: [0.0; LANES],
            };
            space.block(task.rows.clone(), space, columns, Finish::Order, panels, &mut sink);
        }
        Ok(())
    })
}

struct Limited<'work, 'points, S> {
    space: &'work Space<'points>,
    search: &'work S,
    task: &'work Task,
    columns: Range<usize>,
    /// The distance of an order of 1.
    unit: f64,
    /// Whether an order grows with the square of the distance.
    squared: bool,
    /// The panel that the limits are of.
    panel: usize,
    stale: bool,
    /// In the orders of the space.
    limits: [f32; LANES],
}

impl<S: Search> Limited<'_, '_, S> {
    #[cold]
    fn refresh(&mut self, panel: usize) {
        let first = self.columns.start + panel * LANES;
        for (lane, limit) in self.limits.iter_mut().enumerate() {
            // Lanes beyond the last point are within no limit.
            *limit = -1.0;
            if first + lane < self.columns.end {
                let distance = f64::from(self.search.limit(self.task, first + lane)) / self.unit;
                *limit = match self.squared {
                    true if distance >= 0.0 => (distance * distance) as f32,
                    _ => distance as f32,
                };
            }
        }
        (self.panel, self.stale) = (panel, false);
    }
}

impl<S: Search> Sink for Limited<'_, '_, S> {
    #[inline(always)]
    fn take<V: Float>(&mut self, place: Place, tile: &mut Tile) {
        if self.stale || place.panel != self.panel {
            self.refresh(place.panel);
        }
        for (row, values) in tile.iter().enumerate().take(place.rows) {
            let lanes = values.as_chunks::<WIDTH>().0.iter().zip(self.limits.as_chunks::<WIDTH>().0);
            for (half, (orders, limits)) in lanes.enumerate() {
                let mut near = V::load(orders).at_most(V::load(limits));
                while near != 0 {
                    let lane = near.trailing_zeros() as usize;
                    near &= near - 1;
                    let column = self.columns.start + place.panel * LANES + half * WIDTH + lane;
                    let distance = self.space.distance_of_order(orders[lane]);
                    self.stale |= self.search.found(self.task.rows.start + place.row + row, column, distance);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::points::Points;

    struct Near {
        limit: f32,
        pairs: Mutex<Vec<(usize, usize, f32)>>,
    }

    impl Search for Near {
        fn limit(&self, _task: &Task, column: usize) -> f32 {
            if column.is_multiple_of(7) { -1.0 } else { self.limit }
        }

        fn found(&self, row: usize, column: usize, distance: f32) -> bool {
            self.pairs.lock().expect("no panic").push((row, column, distance));
            false
        }
    }

    #[test]
    fn finds_the_pairs_within_the_limits() {
        let metrics = [Metric::Euclidean, Metric::Cityblock, Metric::Chebyshev, Metric::Cosine, Metric::Arccos];
        for (columns, scale) in [(3, 1.0), (90, 1.0), (3, 1e-20), (90, 1e20)] {
            let value = |at: usize| ((at * 7919 + at / 3 * 131) % 1009) as f32 / 1009.0 - 0.3;
            let values = (0..700 * columns).map(|at| value(at) * scale).collect();
            let points = Points::new(700, columns, values).expect("valid");
            for metric in metrics {
                let space = Space::new(&points, metric).expect("prepared");
                let limit = space.distance(1, 2) as f32;
                let near = Near { limit, pairs: Mutex::new(Vec::new()) };
                let tasks = [Task { rows: 3..20, columns: 0..700 }, Task { rows: 20..23, columns: 33..34 }];
                search(&space, &tasks, &near).expect("not cancelled");
                let mut found = near.pairs.into_inner().expect("no panic");
                found.sort_by_key(|pair| (pair.0, pair.1));
                let wanted = |row: usize, column: usize| {
                    let distance = metric.distance(points.row(row), points.row(column));
                    (!column.is_multiple_of(7), distance, 1e-5 * distance.max(f64::from(limit)))
                };
                for &(row, column, distance) in &found {
                    let (allowed, expected, error) = wanted(row, column);
                    assert!(allowed && expected <= f64::from(limit) + error, "{metric} {row} {column}");
                    assert!((f64::from(distance) - expected).abs() <= error, "{metric} {row} {column}");
                }
                for row in 3..20 {
                    for column in 0..700 {
                        let (allowed, expected, error) = wanted(row, column);
                        if allowed && expected < f64::from(limit) - error {
                            assert!(found.iter().any(|pair| (pair.0, pair.1) == (row, column)));
                        }
                    }
                }
            }
        }
    }
}

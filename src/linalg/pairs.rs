//! All pairs of blocks, on all threads, in an order that does not depend on their number.

use std::ops::Range;

use rayon::prelude::*;

use crate::progress::{Cancelled, Progress};

/// Visits every pair of states once, a state with itself (then the second argument is `None`) included.
///
/// The pairs run in the rounds of a tournament (the circle method): no state is in two pairs of a round, so both may be
/// changed without a lock, and each state meets the others in the same order however many threads there are. The rounds
/// are the progress of `what`.
///
/// # Errors
/// The first error of `visit`, after the round in which it came; the computation was told to stop.
pub(super) fn tournament<T: Send, E: From<Cancelled> + Send>(
    what: &'static str,
    states: &mut [T],
    visit: impl Fn((usize, &mut T), Option<(usize, &mut T)>) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let count = states.len();
    states.par_iter_mut().enumerate().try_for_each(|state| visit(state, None))?;
    // With an odd number, one of an even number of places is empty: its opponent rests.
    let places = count + count % 2;
    let mut progress = Progress::if_long(what, places.max(1) as u64 - 1, "rounds");
    for round in 1..places.max(1) {
        crate::progress::check()?;
        let mut waiting: Vec<Option<(usize, &mut T)>> = states.iter_mut().enumerate().map(Some).collect();
        let mut pairs = Vec::with_capacity(places / 2);
        for place in 0..places / 2 {
            let (a, b) = (seat(place, round, places), seat(places - 1 - place, round, places));
            let (a, b) = (a.min(b), a.max(b));
            if b < count
                && let (Some(a), Some(b)) = (waiting[a].take(), waiting[b].take())
            {
                pairs.push((a, b));
            }
        }
        pairs.into_par_iter().with_max_len(1).try_for_each(|(a, b)| visit(a, Some(b)))?;
        progress.advance(1);
    }
    Ok(())
}

/// Visits every pair of states once, as [`tournament`] does, those of a state with itself first; of the others, those
/// with a low `order(a, b)`, a < b, come early. Also this order does not depend on the number of threads.
///
/// # Errors
/// As those of [`tournament`].
pub(super) fn nearest_first<T: Send, E: From<Cancelled> + Send>(
    what: &'static str,
    states: &mut [T],
    order: impl Fn(usize, usize) -> f32 + Sync,
    visit: impl Fn((usize, &mut T), Option<(usize, &mut T)>) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let count = states.len();
    states.par_iter_mut().enumerate().try_for_each(|state| visit(state, None))?;
    let pairs = (0..count as u32).into_par_iter().flat_map_iter(|a| (a + 1..count as u32).map(move |b| (a, b)));
    let mut pairs: Vec<(f32, u32, u32)> = pairs.map(|(a, b)| (order(a as usize, b as usize), a, b)).collect();
    pairs.par_sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut progress = Progress::if_long(what, pairs.len() as u64, "blocks");
    // Those whose states were in a pair of the round wait for the next one; not too many, or rounds take long to find.
    let mut coming = pairs.into_iter().map(|(_, a, b)| (a as usize, b as usize));
    let mut waiting: Vec<(usize, usize)> = Vec::new();
    loop {
        crate::progress::check()?;
        waiting.extend(coming.by_ref().take((8 * count).saturating_sub(waiting.len())));
        if waiting.is_empty() {
            return Ok(());
        }
        let mut free: Vec<Option<(usize, &mut T)>> = states.iter_mut().enumerate().map(Some).collect();
        let mut round = Vec::new();
        waiting.retain(|&(a, b)| {
            if free[a].is_none() || free[b].is_none() {
                return true;
            }
            round.extend(free[a].take().zip(free[b].take()));
            false
        });
        let visited = round.len() as u64;
        round.into_par_iter().with_max_len(1).try_for_each(|(a, b)| visit(a, Some(b)))?;
        progress.advance(visited);
    }
}

/// A range in pieces of this length, the last one shorter.
pub(super) fn pieces(range: Range<usize>, length: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(length).map(move |first| first..(first + length).min(end))
}

/// Who sits at a place in a round: the first stays, the others move on by one each round.
fn seat(place: usize, round: usize, places: usize) -> usize {
    if place == 0 { 0 } else { (place - 1 + round) % (places - 1) + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_meets_once_in_a_fixed_order() {
        for count in 0..9 {
            let run = |threads: usize, nearest: bool| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                let mut met: Vec<Vec<usize>> = vec![Vec::new(); count];
                let visit = |(a, a_met): (usize, &mut Vec<usize>), b: Option<(usize, &mut Vec<usize>)>| {
                    match b {
                        None => a_met.push(a),
                        Some((b, b_met)) => {
                            assert!(a < b);
                            a_met.push(b);
                            b_met.push(a);
                        }
                    }
                    Ok::<(), Cancelled>(())
                };
                let order = |a: usize, b: usize| ((a * 7 + b * 5) % 6) as f32;
                match nearest {
                    true => pool.install(|| nearest_first("pairs", &mut met, order, visit)).expect("not cancelled"),
                    false => pool.install(|| tournament("pairs", &mut met, visit)).expect("not cancelled"),
                }
                met
            };
            for nearest in [false, true] {
                let met = run(1, nearest);
                assert_eq!(met, run(3, nearest));
                for mut others in met {
                    others.sort_unstable();
                    assert_eq!(others, (0..count).collect::<Vec<_>>());
                }
            }
        }
    }
}

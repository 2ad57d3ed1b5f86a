//! Draws the same images from the same seed on every machine.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// Positions of `n` of the labels, ascending; each label keeps its share to within one. `n` is at most their number.
///
/// Shares are rounded by the largest remainder, the smaller label first among equals.
pub(super) fn stratified(labels: &[i32], n: usize, seed: u64) -> Vec<usize> {
    let mut strata: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for (index, label) in labels.iter().enumerate() {
        strata.entry(*label).or_default().push(index);
    }
    let mut strata: Vec<Vec<usize>> = strata.into_values().collect();
    let counts = shares(&strata.iter().map(Vec::len).collect::<Vec<_>>(), n);
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let mut chosen = Vec::with_capacity(n);
    for (stratum, count) in strata.iter_mut().zip(counts) {
        // The first `count` steps of the shuffle of Fisher and Yates.
        for at in 0..count {
            let other = at + below(&mut generator, (stratum.len() - at) as u64) as usize;
            stratum.swap(at, other);
            chosen.push(stratum[at]);
        }
    }
    chosen.sort_unstable();
    chosen
}

/// `n` divided in proportion to `sizes`, none of which is exceeded.
fn shares(sizes: &[usize], n: usize) -> Vec<usize> {
    let total = sizes.iter().sum::<usize>().max(1) as u128;
    let exact = |size: usize| size as u128 * n as u128;
    let mut shares: Vec<usize> = sizes.iter().map(|&size| (exact(size) / total) as usize).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(exact(sizes[index]) % total));
    let missing = n.saturating_sub(shares.iter().sum());
    for index in order.into_iter().take(missing) {
        shares[index] += 1;
    }
    shares
}

/// A number below `bound`, each equally likely: numbers of the incomplete last round are drawn again.
pub(super) fn below(generator: &mut ChaCha8Rng, bound: u64) -> u64 {
    let bound = bound.max(1);
    let limit = u64::MAX - u64::MAX % bound;
    loop {
        let number = generator.next_u64();
        if number < limit {
            return number % bound;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_stay_near() {
        for (sizes, n, expected) in [
            (&[10, 10, 10][..], 10, &[4, 3, 3][..]),
            (&[1, 99], 10, &[0, 10]),
            (&[5, 5], 10, &[5, 5]),
            (&[3, 0, 7], 9, &[3, 0, 6]),
            (&[], 0, &[]),
            (&[980, 1135, 1032], 0, &[0, 0, 0]),
        ] {
            assert_eq!(shares(sizes, n), expected, "{sizes:?} {n}");
        }
    }

    #[test]
    fn draws_without_replacement_and_in_proportion() {
        let labels: Vec<i32> = (0..1000).map(|index| if index % 4 == 0 { 7 } else { -1 }).collect();
        let chosen = stratified(&labels, 100, 5);
        assert_eq!(chosen.len(), 100);
        assert!(chosen.is_sorted_by(|a, b| a < b), "ascending, none twice");
        assert_eq!(chosen.iter().filter(|&&index| labels[index] == 7).count(), 25);
        assert_eq!(stratified(&labels, 100, 5), chosen, "the same seed");
        assert_ne!(stratified(&labels, 100, 6), chosen, "another seed");
        assert_eq!(stratified(&labels, 1000, 6), (0..1000).collect::<Vec<_>>(), "all");
    }

    #[test]
    fn the_draw_is_the_same_on_every_machine() {
        assert_eq!(stratified(&[0; 1000], 5, 1), GOLDEN);
    }

    /// Drawn once on x86_64; ChaCha8 and whole numbers leave no room for differences.
    const GOLDEN: [usize; 5] = [201, 378, 728, 835, 845];

    #[test]
    fn every_image_is_equally_likely() {
        let mut counts = [0_u32; 20];
        for seed in 0..2000 {
            for index in stratified(&[0; 20], 5, seed) {
                counts[index] += 1;
            }
        }
        // 500 expected; the standard deviation is 19.4, and no count may be 5 of them off.
        assert!(counts.iter().all(|count| (403..=597).contains(count)), "{counts:?}");
    }
}

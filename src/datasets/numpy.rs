//! What NumPy makes of a seed, and of ties in an unstable sort, index for index.
//!
//! The legacy generator is frozen (NEP 19), so its draws are the same in every version. The sort is the scalar one of
//! `numpy/_core/src/npysort`; NumPy 2.0 and later order ties differently on processors with AVX2, and 1.25 and later on
//! those with AVX-512.

use rand_mt::Mt;

/// NumPy's legacy generator: MT19937, seeded with one number as by `numpy.random.RandomState(seed)`.
#[derive(Clone, Debug)]
pub struct RandomState(Mt);

impl RandomState {
    /// The generator for this seed.
    pub fn new(seed: u32) -> Self {
        Self(Mt::new(seed))
    }

    /// `permutation(n)`: the numbers below `n`, shuffled.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }

    /// `shuffle(items)`: Fisher and Yates from the back.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.interval(at as u64) as usize);
        }
    }

    /// `choice(population, size, replace=False)`: the first `size` of a permutation, or all if there are fewer.
    pub fn choice(&mut self, population: usize, size: usize) -> Vec<usize> {
        let mut order = self.permutation(population);
        order.truncate(size);
        order
    }

    /// `random_interval`: a number up to and including `most`. Bits that `most` does not need are masked, and what is
    /// still larger is drawn again.
    fn interval(&mut self, most: u64) -> u64 {
        if most == 0 {
            return 0;
        }
        let mask = u64::MAX >> most.leading_zeros();
        loop {
            let word = if most <= u64::from(u32::MAX) { u64::from(self.0.next_u32()) } else { self.0.next_u64() };
            if word & mask <= most {
                return word & mask;
            }
        }
    }
}

/// Parts of at most this many elements are sorted by insertion.
const SMALL: usize = 16;

/// `numpy.argsort(values)` without SIMD (`aquicksort_`): the order that `pandas.DataFrame.sort_values` gives, too.
///
/// Quicksort with the median of three; a part that is still too large after 2·log₂(n) partitions is sorted by heapsort.
/// Time O(n·log n). Equal values come in no useful order, but always in the same.
pub fn quick_argsort(values: &[i64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    // First and last place of a part, and how many partitions it may still take.
    let mut pending: Vec<(usize, usize, i64)> = Vec::new();
    if let Some(last) = values.len().checked_sub(1) {
        pending.push((0, last, 2 * i64::from(values.len().ilog2())));
    }
    while let Some((mut first, mut last, mut depth)) = pending.pop() {
        if depth < 0 {
            heapsort(values, &mut order[first..=last]);
            continue;
        }
        while last - first >= SMALL {
            let pivot = partition(values, &mut order[first..=last]) + first;
            depth -= 1;
            // The smaller part goes on, without a look at its depth: it halves each time. The pivot is at neither end.
            if pivot - first < last - pivot {
                pending.push((pivot + 1, last, depth));
                last = pivot - 1;
            } else {
                pending.push((first, pivot - 1, depth));
                first = pivot + 1;
            }
        }
        insertion_sort(values, &mut order[first..=last]);
    }
    order
}

/// Moves smaller values before the pivot and larger ones after it; gives the pivot's place, never the first or last.
fn partition(values: &[i64], order: &mut [usize]) -> usize {
    let last = order.len() - 1;
    let middle = last / 2;
    for (low, high) in [(0, middle), (middle, last), (0, middle)] {
        if values[order[high]] < values[order[low]] {
            order.swap(low, high);
        }
    }
    let pivot = values[order[middle]];
    order.swap(middle, last - 1);
    let (mut left, mut right) = (0, last - 1);
    loop {
        // Both stop in time: the pivot is at `last - 1`, and nothing larger than it at 0.
        left += 1;
        while values[order[left]] < pivot {
            left += 1;
        }
        right -= 1;
        while pivot < values[order[right]] {
            right -= 1;
        }
        if left >= right {
            break;
        }
        order.swap(left, right);
    }
    order.swap(left, last - 1);
    left
}

fn insertion_sort(values: &[i64], order: &mut [usize]) {
    for end in 1..order.len() {
        let mut at = end;
        while at > 0 && values[order[at]] < values[order[at - 1]] {
            order.swap(at, at - 1);
            at -= 1;
        }
    }
}

fn heapsort(values: &[i64], order: &mut [usize]) {
    for root in (0..order.len() / 2).rev() {
        sift_down(values, order, root);
    }
    for end in (1..order.len()).rev() {
        order.swap(0, end);
        sift_down(values, &mut order[..end], 0);
    }
}

/// Restores a heap, largest value first, in which only the element at `root` may be too small.
fn sift_down(values: &[i64], heap: &mut [usize], mut root: usize) {
    loop {
        let mut child = 2 * root + 1;
        if child + 1 < heap.len() && values[heap[child]] < values[heap[child + 1]] {
            child += 1;
        }
        if child >= heap.len() || values[heap[root]] >= values[heap[child]] {
            return;
        }
        heap.swap(root, child);
        root = child;
    }
}

#[cfg(test)]
mod tests {
    use super::super::split::tests::{golden, numbers, sha256, values};
    use super::*;

    #[test]
    fn draws_are_those_of_numpy() {
        let golden = golden();
        for case in golden["permutation"].as_array().expect("cases") {
            let (seed, n) = (case["seed"].as_u64().expect("seed") as u32, case["n"].as_u64().expect("n") as usize);
            assert_eq!(sha256(&RandomState::new(seed).permutation(n)), case["sha256"], "{seed} {n}");
        }
        for case in golden["choice"].as_array().expect("cases") {
            let [seed, n, size] = ["seed", "n", "size"].map(|key| case[key].as_u64().expect("number") as usize);
            assert_eq!(RandomState::new(seed as u32).choice(n, size), numbers::<usize>(&case["chosen"]), "{case}");
        }
        for case in golden["interval"].as_array().expect("cases") {
            let mut state = RandomState::new(case["seed"].as_u64().expect("seed") as u32);
            for expected in numbers::<u64>(&case["drawn"]) {
                assert_eq!(state.interval(case["most"].as_u64().expect("most")), expected, "{case}");
            }
        }
        assert_eq!(RandomState::new(1).choice(3, 9).len(), 3);
    }

    #[test]
    fn ties_are_ordered_as_by_numpy() {
        for case in golden()["argsort"].as_array().expect("cases") {
            let values = values(case);
            let order = quick_argsort(&values);
            assert!(order.is_sorted_by_key(|index| values[*index]), "{case}");
            assert_eq!(sha256(&order), case["sha256"], "{case}");
        }
    }
}

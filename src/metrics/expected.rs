//! The expected mutual information of two labellings with given label counts.

/// The mean mutual information over all ways to deal `total` samples with these class and cluster sizes.
///
/// For a class of size a and a cluster of size b their overlap k is hypergeometric. Its probabilities follow from one
/// another, p(k+1) / p(k) = (a-k)(b-k) / ((k+1)(N-a-b+k+1)), so they are walked from the mode in both directions until
/// they vanish, starting with 1, and divided by their sum: neither factorials nor exponentials, and no digit lost in
/// them. Equal sizes are computed once: there are at most sqrt(2N) distinct ones a side.
pub(super) fn mutual_information(classes: &[u64], clusters: &[u64], total: u64) -> f64 {
    if classes.len() <= 1 || clusters.len() <= 1 {
        return 0.0;
    }
    let (classes, clusters) = (grouped(classes), grouped(clusters));
    let largest = |groups: &[(u64, u64)]| groups.last().map_or(0, |&(size, _)| size);
    let logarithms: Vec<f64> =
        (0..=largest(&classes).min(largest(&clusters))).map(|count| (count.max(1) as f64).ln()).collect();
    let mut sum = 0.0;
    for &(class, class_times) in &classes {
        for &(cluster, cluster_times) in &clusters {
            sum += (class_times * cluster_times) as f64 * of_pair(class, cluster, total, &logarithms);
        }
    }
    sum
}

/// Below this share of the most probable overlap's probability, overlaps no longer count.
const NEGLIGIBLE: f64 = 1e-22;

/// What one class and one cluster contribute: the mean of k/N ln(N k / (a b)).
fn of_pair(a: u64, b: u64, total: u64, logarithms: &[f64]) -> f64 {
    let (least, most) = ((a + b).saturating_sub(total), a.min(b));
    let mode = (((a + 1) as u128 * (b + 1) as u128 / (total + 2) as u128) as u64).clamp(least, most);
    let (n, af, bf) = (total as f64, a as f64, b as f64);
    let offset = n.ln() - af.ln() - bf.ln();
    let term = |k: u64| k as f64 * (logarithms[k as usize] + offset);
    // Whole numbers below 2^53: exact, and never negative for overlaps that are possible.
    let free = |k: u64| (total + k - a - b) as f64;
    let (mut weights, mut terms) = (1.0, term(mode));
    let mut weight = 1.0;
    for k in mode..most {
        weight *= (af - k as f64) * (bf - k as f64) / ((k + 1) as f64 * free(k + 1));
        if weight < NEGLIGIBLE {
            break;
        }
        weights += weight;
        terms += weight * term(k + 1);
    }
    weight = 1.0;
    for k in (least..mode).rev() {
        weight *= (k + 1) as f64 * free(k + 1) / ((af - k as f64) * (bf - k as f64));
        if weight < NEGLIGIBLE {
            break;
        }
        weights += weight;
        terms += weight * term(k);
    }
    terms / weights / n
}

/// The distinct sizes with their numbers, smallest first.
fn grouped(sizes: &[u64]) -> Vec<(u64, u64)> {
    let mut sizes = sizes.to_vec();
    sizes.sort_unstable();
    let mut groups: Vec<(u64, u64)> = Vec::new();
    for size in sizes {
        match groups.last_mut() {
            Some((last, times)) if *last == size => *times += 1,
            _ => groups.push((size, 1)),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean over all permutations of seven samples, by the definition.
    #[test]
    fn equals_the_mean_over_all_permutations() {
        for (classes, clusters) in [
            (vec![3, 4], vec![2, 5]),
            (vec![1, 2, 4], vec![3, 3, 1]),
            (vec![1; 7], vec![6, 1]),
            (vec![5, 2], vec![1; 7]),
        ] {
            let spread = |sizes: &[u64]| -> Vec<usize> {
                sizes.iter().enumerate().flat_map(|(label, &size)| vec![label; size as usize]).collect()
            };
            let (truth, mut found) = (spread(&classes), spread(&clusters));
            let (mut sum, mut count) = (0.0, 0);
            permute(&mut found, 0, &mut |found| {
                let mut cells = vec![vec![0_u64; clusters.len()]; classes.len()];
                truth.iter().zip(found).for_each(|(&class, &cluster)| cells[class][cluster] += 1);
                for (class, row) in cells.iter().enumerate() {
                    for (cluster, &cell) in row.iter().enumerate().filter(|(_, cell)| **cell > 0) {
                        let ratio = 7.0 * cell as f64 / (classes[class] * clusters[cluster]) as f64;
                        sum += cell as f64 / 7.0 * ratio.ln();
                    }
                }
                count += 1;
            });
            let (found, expected) = (mutual_information(&classes, &clusters, 7), sum / f64::from(count));
            assert_eq!(count, 5040);
            assert!((found - expected).abs() < 1e-12, "{found} is not {expected} for {classes:?} and {clusters:?}");
        }
    }

    fn permute(items: &mut [usize], from: usize, visit: &mut impl FnMut(&[usize])) {
        if from == items.len() {
            return visit(items);
        }
        for at in from..items.len() {
            items.swap(from, at);
            permute(items, from + 1, visit);
            items.swap(from, at);
        }
    }

    #[test]
    fn large_counts_stay_finite() {
        let found = mutual_information(&[1_000_000, 1], &[999_999, 2], 1_000_001);
        assert!(found.is_finite() && found > 0.0 && found < 1e-4, "{found}");
        assert_eq!(mutual_information(&[5], &[2, 3], 5), 0.0);
    }
}

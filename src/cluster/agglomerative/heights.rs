//! The heights of merges, computed again from the points in 64 bits.

use rayon::prelude::*;

use super::Linkage;
use super::tree::Found;
use crate::linalg::Metric;
use crate::points::Points;

/// Up to this many pairs of points, the distances between two clusters are all computed anew.
const PAIRS: usize = 16;

/// Ward: sqrt(2 s t / (s + t)) times the distance of the means. O(n d), memory O(d log n).
pub(super) fn of_means(points: &Points, found: &mut [Found]) {
    let row = |at: usize, sum: &mut [f64]| {
        sum.iter_mut().zip(points.row(at)).for_each(|(sum, &value)| *sum = f64::from(value));
    };
    let height = |(first, s): (&[f64], usize), (second, t): (&[f64], usize)| {
        let (s, t) = (s as f64, t as f64);
        let squared: f64 = first.iter().zip(second).map(|(first, second)| (first / s - second / t).powi(2)).sum();
        (2.0 * s * t / (s + t) * squared).sqrt()
    };
    of_sums(points, found, row, height);
}

/// Average linkage with the cosine: 1 - the product of the mean directions. The origin has none. O(n d).
pub(super) fn of_mean_cosines(points: &Points, found: &mut [Found]) {
    let row = |at: usize, sum: &mut [f64]| {
        let row = points.row(at);
        let length = row.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt();
        let length = if length > 0.0 { length } else { 1.0 };
        sum.iter_mut().zip(row).for_each(|(sum, &value)| *sum = f64::from(value) / length);
    };
    let height = |(first, s): (&[f64], usize), (second, t): (&[f64], usize)| {
        let product: f64 = first.iter().zip(second).map(|(first, second)| first * second).sum();
        (1.0 - product / (s as f64 * t as f64)).max(0.0)
    };
    of_sums(points, found, row, height);
}

/// Heights from the sums of what `row` makes of the points of two clusters, and their numbers of points.
///
/// The tree is walked so that of two parts the larger comes first: then no more than log2(n) sums wait at a time.
fn of_sums(
    points: &Points,
    found: &mut [Found],
    row: impl Fn(usize, &mut [f64]),
    height: impl Fn((&[f64], usize), (&[f64], usize)) -> f64,
) {
    let (rows, columns) = (points.rows(), points.columns());
    let sizes = sizes(rows, found);
    let Some(last) = found.len().checked_sub(1) else { return };
    let mut waiting: Vec<(usize, bool)> = vec![(rows + last, false)];
    let mut sums: Vec<f64> = Vec::new();
    while let Some((node, parts_done)) = waiting.pop() {
        if node < rows {
            let end = sums.len();
            sums.resize(end + columns, 0.0);
            row(node, &mut sums[end..]);
            continue;
        }
        let [a, b] = parts(&found[node - rows]);
        let (larger, smaller) = if sizes[a] < sizes[b] { (b, a) } else { (a, b) };
        if parts_done {
            let end = sums.len();
            let (rest, second) = sums.split_at_mut(end - columns);
            let place = rest.len() - columns;
            let first = &mut rest[place..];
            found[node - rows].height = height((first, sizes[larger]), (second, sizes[smaller]));
            first.iter_mut().zip(second).for_each(|(first, second)| *first += *second);
            sums.truncate(place + columns);
        } else {
            waiting.extend([(node, true), (smaller, false), (larger, false)]);
        }
    }
}

/// Average and complete linkage: the heights of merges with few pairs of points. These are the low ones, for which the
/// last digits of the matrix are the worst. O(n d).
pub(super) fn of_small_clusters(points: &Points, linkage: Linkage, metric: Metric, found: &mut [Found]) {
    let rows = points.rows();
    let sizes = sizes(rows, found);
    // Points in the order of the leaves of the tree: the points of a cluster lie together.
    let mut starts = vec![0; rows + found.len()];
    for (at, merged) in found.iter().enumerate().rev() {
        let [a, b] = parts(merged);
        starts[a] = starts[rows + at];
        starts[b] = starts[a] + sizes[a];
    }
    let mut leaves = vec![0; rows];
    for (row, &start) in starts[..rows].iter().enumerate() {
        leaves[start] = row;
    }
    let members = |node: usize| &leaves[starts[node]..starts[node] + sizes[node]];
    found.par_iter_mut().for_each(|merged| {
        let [a, b] = parts(merged);
        if sizes[a] * sizes[b] <= PAIRS {
            let pairs = members(a).iter().flat_map(|&a| members(b).iter().map(move |&b| (a, b)));
            let distances = pairs.map(|(a, b)| metric.distance(points.row(a), points.row(b)));
            merged.height = if linkage == Linkage::Complete {
                distances.fold(0.0, f64::max)
            } else {
                distances.sum::<f64>() / (sizes[a] * sizes[b]) as f64
            };
        }
    });
}

fn parts(merged: &Found) -> [usize; 2] {
    [merged.first as usize, merged.second as usize]
}

/// How many points each node of the tree has.
fn sizes(rows: usize, found: &[Found]) -> Vec<usize> {
    let mut sizes = vec![1; rows];
    for merged in found {
        let [a, b] = parts(merged);
        sizes.push(sizes[a] + sizes[b]);
    }
    sizes
}

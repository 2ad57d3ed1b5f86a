//! Rounds of merges over a condensed matrix that shrinks in place.
//!
//! A round merges every two clusters that are each other's nearest, then writes the matrix anew, smaller, from front to
//! back. A new cluster takes the place of the second of its two, whose row is behind the place of the new row; the row
//! of the first is kept aside from when it is passed until then. So all memory is read and written in order, by all
//! threads, which is what counts: a number in another row costs as much as thirty beside each other. On its way through
//! the cache each new row also tells the nearest neighbours, for the next round. Since a round's pass over all clusters
//! is worth it only when it merges a fair share of them, [`chain`] takes over where pairs are few.

use rayon::prelude::*;

use super::chain;
use super::nearest::{Nearest, NearestList, see};
use super::tree::Found;
use crate::progress::{self, Cancelled, Progress};

/// A round takes place when it merges at least one in this many clusters.
const WORTHWHILE: usize = 16;
/// Numbers of the matrix that are renewed together: few enough to stay in the cache until they are looked at.
const BLOCK: usize = 1 << 18;
/// Columns that one task updates.
pub(super) const COLUMNS: usize = 2048;
/// No second cluster.
pub(super) const NONE: u32 = u32::MAX;

/// How far a cluster made of two is from a third. Lance and Williams (1967).
pub(super) trait Formula: Sync {
    /// From the distances of the two to the third, which has `size` points.
    fn apply(pair: Pair, size: f32, first: f32, second: f32) -> f32;

    /// What is kept in the matrix for a height.
    fn height(kept: f32) -> f64;
}

/// The sizes of two clusters that are merged, and how far apart they are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pair {
    pub(super) first: f32,
    pub(super) second: f32,
    pub(super) between: f32,
}

/// Of squared distances, scaled; its heights are only good for an order.
pub(super) struct Ward;
pub(super) struct Average;
pub(super) struct Complete;

// Rounding must not bring the new cluster nearer than both of its parts: the nearest neighbours that are kept from
// before a merge rely on it.
impl Formula for Ward {
    #[inline(always)]
    fn apply(pair: Pair, size: f32, first: f32, second: f32) -> f32 {
        let sum = (pair.first + size) * first + (pair.second + size) * second - size * pair.between;
        larger(sum / (pair.first + pair.second + size), if first < second { first } else { second })
    }

    fn height(kept: f32) -> f64 {
        f64::from(kept).sqrt()
    }
}

impl Formula for Average {
    #[inline(always)]
    fn apply(pair: Pair, _: f32, first: f32, second: f32) -> f32 {
        let share = pair.second / (pair.first + pair.second);
        let least = if first < second { first } else { second };
        larger(first + (second - first) * share, least)
    }

    fn height(kept: f32) -> f64 {
        f64::from(kept)
    }
}

impl Formula for Complete {
    #[inline(always)]
    fn apply(_: Pair, _: f32, first: f32, second: f32) -> f32 {
        larger(first, second)
    }

    fn height(kept: f32) -> f64 {
        f64::from(kept)
    }
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a < b { b } else { a }
}

/// Where the run of rows ends that begins with row `begin` of the matrix of so many clusters.
pub(super) fn next_block(clusters: usize, begin: usize) -> usize {
    let mut end = begin + 1;
    while end < clusters && start(clusters, end + 1) - start(clusters, begin) <= BLOCK {
        end += 1;
    }
    end
}

/// The distances of some clusters, in SciPy's condensed order.
pub(super) struct Matrix {
    pub(super) clusters: usize,
    pub(super) values: Vec<f32>,
}

impl Matrix {
    /// Where the row of a cluster begins: its distances to the clusters after it.
    pub(super) fn start(&self, row: usize) -> usize {
        start(self.clusters, row)
    }

    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.values[self.start(row)..][..self.clusters - row - 1]
    }
}

/// Where a row begins in the matrix of so many clusters.
pub(super) fn start(clusters: usize, row: usize) -> usize {
    row * (2 * clusters - row - 1) / 2
}

/// The clusters of a matrix.
pub(super) struct Clusters {
    pub(super) matrix: Matrix,
    /// How many points each has.
    pub(super) sizes: Vec<f32>,
    /// The number of each in the tree.
    pub(super) nodes: Vec<u32>,
    /// The nearest neighbour of each.
    pub(super) nearest: NearestList,
    /// The merges so far.
    pub(super) found: Vec<Found>,
}

impl Clusters {
    /// Notes the merge of two clusters; the new one has the place of the first from now on.
    pub(super) fn note<F: Formula>(&mut self, place: usize, other: usize, kept: f32, rows: usize) {
        let merged = Found { first: self.nodes[place], second: self.nodes[other], height: F::height(kept) };
        self.nodes[place] = (rows + self.found.len()) as u32;
        self.found.push(merged);
    }
}

/// A cluster of the next matrix: one or two of the old one.
#[derive(Clone, Copy)]
struct Row {
    /// The old cluster whose place it takes.
    place: u32,
    /// The other one, which came before; or [`NONE`].
    other: u32,
    /// What is known of the two, `other` being the first.
    pair: Pair,
}

impl Row {
    fn single(place: u32) -> Row {
        Row { place, other: NONE, pair: Pair::default() }
    }
}

/// All merges of `rows` points at the given distances, of which there are `rows` (`rows` - 1) / 2.
pub(super) fn agglomerate<F: Formula>(
    values: Vec<f32>,
    rows: usize,
    progress: &mut Progress,
) -> Result<Vec<Found>, Cancelled> {
    let mut clusters = Clusters {
        matrix: Matrix { clusters: rows, values },
        sizes: vec![1.0; rows],
        nodes: (0..rows as u32).collect(),
        nearest: NearestList::default(),
        found: Vec::with_capacity(rows.saturating_sub(1)),
    };
    let same: Vec<Row> = (0..rows as u32).map(Row::single).collect();
    renew::<F>(&mut clusters, &same, true)?;
    while clusters.matrix.clusters > 1 {
        let partners = mutual(&clusters.nearest);
        let pairs = partners.iter().filter(|&&partner| partner != NONE).count() / 2;
        let before = clusters.found.len();
        let next = if pairs * WORTHWHILE >= clusters.matrix.clusters {
            merge::<F>(&mut clusters, &partners, rows)
        } else {
            let alive = chain::merge_some::<F>(&mut clusters, rows)?;
            alive.into_iter().map(Row::single).collect()
        };
        renew::<F>(&mut clusters, &next, false)?;
        progress.advance((clusters.found.len() - before) as u64);
    }
    Ok(clusters.found)
}

/// The partner of each cluster whose nearest neighbour has it for its own nearest neighbour. There is one at least: of
/// the pairs at the smallest distance the first.
fn mutual(nearest: &NearestList) -> Vec<u32> {
    let partner = |(at, &other): (usize, &u32)| {
        let back = nearest.index.get(other as usize).copied();
        if back == Some(at as u32) { other } else { NONE }
    };
    nearest.index.iter().enumerate().map(partner).collect()
}

/// Notes the merges of a round, and says what the next matrix is made of.
fn merge<F: Formula>(clusters: &mut Clusters, partners: &[u32], rows: usize) -> Vec<Row> {
    let mut next = Vec::with_capacity(partners.len());
    for (place, &partner) in partners.iter().enumerate() {
        let other = partner as usize;
        if partner == NONE {
            next.push(Row::single(place as u32));
        } else if other < place {
            let between = clusters.nearest.distance[place];
            let pair = Pair { first: clusters.sizes[other], second: clusters.sizes[place], between };
            next.push(Row { place: place as u32, other: partner, pair });
            clusters.note::<F>(place, other, between, rows);
        }
    }
    next
}

/// Makes the matrix of the clusters in `next`, whose places ascend, and finds the nearest neighbours.
/// `as_it_is`: the matrix stays as it is, only the neighbours are wanted.
fn renew<F: Formula>(clusters: &mut Clusters, next: &[Row], as_it_is: bool) -> Result<(), Cancelled> {
    let old_sizes = std::mem::take(&mut clusters.sizes);
    clusters.sizes = next.iter().map(|row| old_sizes[row.place as usize] + row.pair.first).collect();
    clusters.nodes = next.iter().map(|row| clusters.nodes[row.place as usize]).collect();
    clusters.nearest.reset(next.len());
    let count = next.len();
    let pairs = (0..count).filter(|&row| next[row].other != NONE);
    let mut plan = Plan {
        places: next.iter().map(|row| row.place).collect(),
        pairs: pairs.map(|row| Kept { row, is: next[row], values: Vec::new() }).collect(),
        old_sizes,
    };
    let mut renewed: Vec<f32> = Vec::new();
    let mut begin = 0;
    while begin < count {
        progress::check()?;
        let end = next_block(count, begin);
        let (from, to) = (start(count, begin), start(count, end));
        if !as_it_is {
            plan.keep(&clusters.matrix, begin..end);
            renewed.resize(to - from, 0.0);
            let rows = split(&mut renewed, count, begin..end);
            let (matrix, sizes) = (&clusters.matrix, &clusters.sizes);
            rows.into_par_iter().for_each_init(Vec::new, |scratch, (row, values)| {
                plan.renew_row::<F>(matrix, next[row], row, sizes[row], values, scratch);
            });
            let target = &mut clusters.matrix.values[from..to];
            target.par_chunks_mut(super::CHUNK).zip(renewed.par_chunks(super::CHUNK)).for_each(|(to, from)| {
                to.copy_from_slice(from);
            });
        }
        look(&mut clusters.nearest, &clusters.matrix.values[from..to], count, begin..end);
        begin = end;
    }
    clusters.matrix.clusters = count;
    clusters.matrix.values.truncate(start(count, count));
    Ok(())
}

/// How the next matrix comes from the one before.
struct Plan {
    /// The places of the new clusters in the old matrix.
    places: Vec<u32>,
    /// The new clusters of two old ones.
    pairs: Vec<Kept>,
    /// The sizes of the old clusters.
    old_sizes: Vec<f32>,
}

/// A new cluster of two old ones.
struct Kept {
    /// Which of the new ones.
    row: usize,
    is: Row,
    /// The row of the first of the two in the old matrix, from when it is passed until the new row is written.
    values: Vec<f32>,
}

impl Kept {
    /// The distance of the first of the two to an old cluster after it.
    fn distance(&self, to: usize) -> f32 {
        self.values[to - self.is.other as usize - 1]
    }
}

impl Plan {
    /// Keeps the rows that the new rows in `rows`, and later ones, need from before the place of the last of these, and
    /// forgets those that are needed no more.
    fn keep(&mut self, matrix: &Matrix, rows: std::ops::Range<usize>) {
        let last = self.places[rows.end - 1];
        self.pairs.par_iter_mut().for_each(|pair| {
            if pair.row < rows.start {
                pair.values = Vec::new();
            } else if pair.is.other < last && pair.values.is_empty() {
                pair.values = matrix.row(pair.is.other as usize).to_vec();
            }
        });
    }

    /// One row of the next matrix. First the rows of its two clusters become one, column by column; then the columns of
    /// each later pair become one.
    fn renew_row<F: Formula>(
        &self,
        matrix: &Matrix,
        Row { place, other, pair }: Row,
        row: usize,
        size: f32,
        values: &mut [f32],
        scratch: &mut Vec<f32>,
    ) {
        let (place, other) = (place as usize, other as usize);
        let later = self.pairs.partition_point(|pair| pair.row < row);
        let (own, later) = match self.pairs.get(later) {
            Some(own) if own.row == row => (Some(own), &self.pairs[later + 1..]),
            _ => (None, &self.pairs[later..]),
        };
        let single = matrix.row(place);
        let joined = match own {
            None => single,
            Some(own) => {
                let sizes = &self.old_sizes[place + 1..];
                let distances = own.values[place - other..].iter().zip(single).zip(sizes);
                scratch.clear();
                scratch.extend(distances.map(|((&one, &two), &size)| F::apply(pair, size, one, two)));
                scratch.as_slice()
            }
        };
        for (value, &column) in values.iter_mut().zip(&self.places[row + 1..]) {
            *value = joined[column as usize - place - 1];
        }
        for column in later {
            let first = column.is.other as usize;
            let distance = if first > place {
                joined[first - place - 1]
            } else {
                match own {
                    None => column.distance(place),
                    Some(own) => {
                        let one = if first > other { own.distance(first) } else { column.distance(other) };
                        F::apply(pair, column.is.pair.first, one, column.distance(place))
                    }
                }
            };
            let value = &mut values[column.row - row - 1];
            *value = F::apply(column.is.pair, size, distance, *value);
        }
    }
}

/// The rows of a run of a matrix.
fn split(mut values: &mut [f32], count: usize, rows: std::ops::Range<usize>) -> Vec<(usize, &mut [f32])> {
    let mut split = Vec::with_capacity(rows.len());
    for row in rows {
        let (first, rest) = values.split_at_mut(count - row - 1);
        split.push((row, first));
        values = rest;
    }
    split
}

/// Takes a run of rows into account for the nearest neighbours of all clusters.
fn look(nearest: &mut NearestList, values: &[f32], count: usize, rows: std::ops::Range<usize>) {
    let row = |row: usize| &values[start(count, row) - start(count, rows.start)..][..count - row - 1];
    let after: Vec<Nearest> = rows.clone().into_par_iter().map(|at| Nearest::of(row(at), at + 1)).collect();
    let distances = nearest.distance.par_chunks_mut(COLUMNS);
    let seconds = nearest.second.par_chunks_mut(COLUMNS);
    let indices = nearest.index.par_chunks_mut(COLUMNS);
    distances.zip(seconds).zip(indices).enumerate().for_each(|(chunk, ((distance, second), index))| {
        let (begin, end) = (chunk * COLUMNS, chunk * COLUMNS + distance.len());
        for at in rows.clone() {
            let first = begin.max(at + 1);
            if first < end {
                let (skip, seen) = (first - begin, &row(at)[first - at - 1..end - at - 1]);
                see(&mut distance[skip..], &mut second[skip..], &mut index[skip..], seen, at as u32);
            }
        }
    });
    for (at, after) in rows.zip(after) {
        nearest.set(at, nearest.get(at).and(after));
    }
}

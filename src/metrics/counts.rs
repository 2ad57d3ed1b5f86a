//! Counting labels and pairs of labels, without hashing and, but for labels of all sizes, without sorting.

/// A pair of labels that occurs, by their numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) class: u32,
    pub(super) cluster: u32,
    pub(super) count: u32,
}

/// The labels that occur on one side.
pub(super) struct Side {
    /// How often each label occurs.
    pub(super) counts: Vec<u64>,
    /// The labels, ascending.
    pub(super) labels: Vec<i32>,
}

/// Counts the labels of two labellings of one length, and their pairs by class, then by cluster. O(n).
pub(super) fn count(labels_true: &[i32], labels_pred: &[i32]) -> (Side, Side, Vec<Cell>) {
    if let Some(counted) = count_by_table(labels_true, labels_pred) {
        return counted;
    }
    let ((class_of, classes), (cluster_of, clusters)) = (numbered(labels_true), numbered(labels_pred));
    let cells = cells(&class_of, &classes.counts, &cluster_of, &clusters.counts);
    (classes, clusters, cells)
}

/// The same where all pairs of labels, those that do not occur included, are fewer than samples: one pass.
fn count_by_table(labels_true: &[i32], labels_pred: &[i32]) -> Option<(Side, Side, Vec<Cell>)> {
    let ((first_class, rows), (first_cluster, columns)) = (range(labels_true), range(labels_pred));
    let size = rows.checked_mul(columns).filter(|&size| size <= labels_true.len().max(4096))?;
    let pair = |at: usize| {
        let class = labels_true[at].abs_diff(first_class) as usize;
        class * columns + labels_pred[at].abs_diff(first_cluster) as usize
    };
    let table = tally(size, labels_true.len().min(labels_pred.len()), pair);
    let mut class_counts = vec![0; rows];
    let mut cluster_counts = vec![0; columns];
    for (class, row) in class_counts.iter_mut().zip(table.chunks(columns.max(1))) {
        for (cluster, &count) in cluster_counts.iter_mut().zip(row) {
            *class += count;
            *cluster += count;
        }
    }
    let (class_numbers, classes) = occurring(first_class, &class_counts);
    let (cluster_numbers, clusters) = occurring(first_cluster, &cluster_counts);
    let mut cells = Vec::new();
    for (row, &class) in table.chunks(columns.max(1)).zip(&class_numbers) {
        let pairs = row.iter().zip(&cluster_numbers).filter(|(count, _)| **count > 0);
        cells.extend(pairs.map(|(&count, &cluster)| Cell { class, cluster, count }));
    }
    Some((classes, clusters, cells))
}

/// The least label, and how many whole numbers there are from it to the largest.
fn range(labels: &[i32]) -> (i32, usize) {
    if labels.is_empty() {
        return (0, 0);
    }
    let first = labels.iter().copied().fold(i32::MAX, i32::min);
    let last = labels.iter().copied().fold(i32::MIN, i32::max);
    (first, last.abs_diff(first) as usize + 1)
}

/// Numbers the labels first, first + 1, ... that occur: the number of each, and the labels.
fn occurring(first: i32, counts: &[u32]) -> (Vec<u32>, Side) {
    let mut side = Side { counts: Vec::new(), labels: Vec::new() };
    let mut numbers = Vec::with_capacity(counts.len());
    for (offset, &count) in (0..).zip(counts) {
        numbers.push(side.labels.len() as u32);
        if count > 0 {
            side.counts.push(u64::from(count));
            side.labels.push((i64::from(first) + offset) as i32);
        }
    }
    (numbers, side)
}

/// Numbers the distinct labels in ascending order, and gives the number of each sample's label. O(n).
fn numbered(labels: &[i32]) -> (Vec<u32>, Side) {
    let (first, range) = range(labels);
    // Labels are mostly 0, 1, 2, ... with few left out: then a table is about as short as the labels.
    if range > 4 * labels.len() + 1024 {
        return numbered_by_sorting(labels);
    }
    let mut of: Vec<u32> = labels.iter().map(|label| label.abs_diff(first)).collect();
    let (numbers, side) = occurring(first, &tally(range, of.len(), |at| of[at] as usize));
    if side.labels.len() < range {
        of.iter_mut().for_each(|offset| *offset = numbers[*offset as usize]);
    }
    (of, side)
}

/// How often each number below `size` comes up among `key(0)`, `key(1)`, ... `key(keys - 1)`.
fn tally(size: usize, keys: usize, key: impl Fn(usize) -> usize) -> Vec<u32> {
    /// Tables filled in turns: adding to the same place twice in a row waits for memory.
    const TURNS: usize = 8;
    if size > 512 {
        let mut table = vec![0; size];
        (0..keys).for_each(|at| table[key(at)] += 1);
        return table;
    }
    let mut tables = vec![[0; TURNS]; size];
    let whole = keys / TURNS * TURNS;
    for at in (0..whole).step_by(TURNS) {
        for turn in 0..TURNS {
            tables[key(at + turn)][turn] += 1;
        }
    }
    (whole..keys).for_each(|at| tables[key(at)][0] += 1);
    tables.iter().map(|turns| turns.iter().sum()).collect()
}

/// The same for labels far apart, by a radix sort of their bits with the samples' indices. O(n).
fn numbered_by_sorting(labels: &[i32]) -> (Vec<u32>, Side) {
    const BITS: u32 = 11;
    const DIGITS: usize = 1 << BITS;
    // Without their sign, labels are ordered as their bits are.
    let mut sorted: Vec<(u32, u32)> =
        labels.iter().zip(0..).map(|(label, at)| (label.abs_diff(i32::MIN), at)).collect();
    let mut other = vec![(0, 0); sorted.len()];
    for shift in [0, BITS, 2 * BITS] {
        let digit = |key: u32| (key >> shift) as usize % DIGITS;
        let mut places = vec![0_usize; DIGITS];
        sorted.iter().for_each(|&(key, _)| places[digit(key)] += 1);
        let mut end = 0;
        for place in &mut places {
            end += std::mem::replace(place, end);
        }
        for &entry in &sorted {
            let place = &mut places[digit(entry.0)];
            other[*place] = entry;
            *place += 1;
        }
        std::mem::swap(&mut sorted, &mut other);
    }
    let (mut of, mut side) = (vec![0; labels.len()], Side { counts: Vec::new(), labels: Vec::new() });
    for group in sorted.chunk_by(|a, b| a.0 == b.0) {
        let number = side.labels.len() as u32;
        group.iter().for_each(|&(_, at)| of[at as usize] = number);
        side.counts.push(group.len() as u64);
        side.labels.extend(group.first().map(|&(_, at)| labels[at as usize]));
    }
    (of, side)
}

/// The pairs that occur, by class, then by cluster. O(n).
fn cells(class_of: &[u32], classes: &[u64], cluster_of: &[u32], clusters: &[u64]) -> Vec<Cell> {
    // The samples' classes by cluster, then their clusters by class: the second pass keeps the order of the first.
    let mut places = starts(clusters);
    let mut class_by_cluster = vec![0; class_of.len()];
    for (&class, &cluster) in class_of.iter().zip(cluster_of) {
        let place = &mut places[cluster as usize];
        class_by_cluster[*place] = class;
        *place += 1;
    }
    let mut places = starts(classes);
    let mut cluster_by_class = vec![0; class_of.len()];
    let mut rest = class_by_cluster.as_slice();
    for (cluster, &count) in (0..).zip(clusters) {
        let (members, others) = rest.split_at(count as usize);
        rest = others;
        for &class in members {
            let place = &mut places[class as usize];
            cluster_by_class[*place] = cluster;
            *place += 1;
        }
    }
    let mut cells = Vec::new();
    let mut rest = cluster_by_class.as_slice();
    for (class, &count) in (0..).zip(classes) {
        let (members, others) = rest.split_at(count as usize);
        rest = others;
        let mut begin = 0;
        for at in 1..=members.len() {
            if at == members.len() || members[at] != members[begin] {
                cells.push(Cell { class, cluster: members[begin], count: (at - begin) as u32 });
                begin = at;
            }
        }
    }
    cells
}

/// Where each group begins when groups of these sizes follow one another.
fn starts(sizes: &[u64]) -> Vec<usize> {
    let begin = |end: &mut usize, &size: &u64| {
        *end += size as usize;
        Some(*end - size as usize)
    };
    sizes.iter().scan(0, begin).collect()
}

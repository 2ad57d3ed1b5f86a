//! How often each true label meets each predicted one, counted once; every score comes from these counts.

use super::{MetricError, expected};

/// Which mean of the two entropies stands for the most information the labellings could share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Average {
    /// Half their sum, scikit-learn's default.
    #[default]
    Arithmetic,
    /// The square root of their product.
    Geometric,
    /// The smaller one.
    Min,
    /// The larger one.
    Max,
}

/// The counts of the pairs (true label, predicted label); only pairs that occur are stored.
///
/// Any number is a label of its own: noise, -1, counts as one cluster. Logarithms are natural.
#[derive(Clone, Debug)]
pub struct Contingency {
    total: u64,
    /// How many samples have each true label, in the labels' order.
    classes: Vec<u64>,
    /// How many samples have each predicted label.
    clusters: Vec<u64>,
    /// The pairs by class, then by cluster.
    cells: Vec<Cell>,
}

/// A difference of entropies that is nothing but rounding errors, as a share of the larger one.
const NO_ROOM: f64 = 1e-13;

#[derive(Clone, Copy, Debug)]
struct Cell {
    class: usize,
    cluster: usize,
    count: u64,
}

impl Contingency {
    /// Counts the pairs. O(n log n).
    ///
    /// # Errors
    /// The labellings differ in length; more than 2^31 - 1 labels.
    pub fn new(labels_true: &[i32], labels_pred: &[i32]) -> Result<Contingency, MetricError> {
        if labels_true.len() != labels_pred.len() {
            return Err(MetricError::Lengths { labels_true: labels_true.len(), labels_pred: labels_pred.len() });
        }
        if labels_true.len() > i32::MAX as usize {
            return Err(MetricError::TooMany(labels_true.len()));
        }
        let (class_of, classes) = numbered(labels_true);
        let (cluster_of, clusters) = numbered(labels_pred);
        let cells = cells(&class_of, &classes, &cluster_of, clusters.len());
        Ok(Contingency { total: labels_true.len() as u64, classes, clusters, cells })
    }

    /// How many distinct true labels there are.
    pub fn classes(&self) -> usize {
        self.classes.len()
    }

    /// How many distinct predicted labels there are.
    pub fn clusters(&self) -> usize {
        self.clusters.len()
    }

    /// The entropy of the true labels, 0 or more.
    pub fn entropy_true(&self) -> f64 {
        entropy(&self.classes, self.total)
    }

    /// The entropy of the predicted labels, 0 or more.
    pub fn entropy_pred(&self) -> f64 {
        entropy(&self.clusters, self.total)
    }

    /// Mutual information: 0 or more, at most either entropy. O(cells).
    pub fn mutual_info(&self) -> f64 {
        if self.classes.len() <= 1 || self.clusters.len() <= 1 {
            return 0.0;
        }
        let total = self.total as f64;
        let information = |cell: &Cell| {
            let (count, independent) =
                (cell.count as f64, self.classes[cell.class] as f64 * self.clusters[cell.cluster] as f64);
            let part = count / total * ((count.ln() - total.ln()) + (2.0 * total.ln() - independent.ln()));
            if part.abs() < f64::EPSILON { 0.0 } else { part }
        };
        self.cells.iter().map(information).sum::<f64>().max(0.0)
    }

    /// The mean of [`Contingency::mutual_info`] over all labellings with the same label counts (Vinh, Epps and Bailey
    /// 2010, equation 24). O(n + pairs of distinct label counts times their spread).
    pub fn expected_mutual_info(&self) -> f64 {
        expected::mutual_information(&self.classes, &self.clusters, self.total)
    }

    /// Mutual information adjusted for chance: 1 for the same partition, about 0 for independent ones, below 0 for
    /// worse (Vinh, Epps and Bailey 2010).
    ///
    /// 1 for two labellings of one label each or of no samples; 0 when only one of them has one label, and when chance
    /// alone gives all that the normaliser allows (scikit-learn returns rounding errors divided by each other there).
    pub fn adjusted_mutual_info(&self, average: Average) -> f64 {
        if self.is_same_partition() {
            return 1.0;
        }
        if self.classes.len() == 1 || self.clusters.len() == 1 {
            return 0.0;
        }
        let (expected, most) = (self.expected_mutual_info(), self.normaliser(average));
        let room = most - expected;
        if room.abs() <= NO_ROOM * most.max(1.0) {
            return 0.0;
        }
        (self.mutual_info() - expected) / room
    }

    /// Mutual information as a share of the entropies' mean, from 0 to 1; edge cases as for
    /// [`Contingency::adjusted_mutual_info`].
    pub fn normalized_mutual_info(&self, average: Average) -> f64 {
        if self.classes.len() == self.clusters.len() && self.classes.len() <= 1 {
            return 1.0;
        }
        match self.mutual_info() {
            0.0 => 0.0,
            information => information / self.normaliser(average),
        }
    }

    /// How far each cluster holds a single class: 1 - H(true | predicted) / H(true), from 0 to 1; 1 when all true
    /// labels are equal (Rosenberg and Hirschberg 2007).
    pub fn homogeneity(&self) -> f64 {
        share(self.mutual_info(), self.entropy_true())
    }

    /// How far each class lies in a single cluster: 1 - H(predicted | true) / H(predicted), from 0 to 1.
    pub fn completeness(&self) -> f64 {
        share(self.mutual_info(), self.entropy_pred())
    }

    /// The harmonic mean of homogeneity and completeness, which weighs `beta` times as much; from 0 to 1.
    pub fn v_measure(&self, beta: f64) -> f64 {
        let (homogeneity, completeness) = (self.homogeneity(), self.completeness());
        if homogeneity + completeness == 0.0 {
            return 0.0;
        }
        (1.0 + beta) * homogeneity * completeness / (beta * homogeneity + completeness)
    }

    /// The share of pairs of samples on which the labellings agree, from 0 to 1; 1 without pairs (Rand 1971).
    pub fn rand(&self) -> f64 {
        let pairs = self.pairs();
        let (agreed, all) =
            (pairs.together_in_both + pairs.apart_in_both, self.total as i128 * (self.total as i128 - 1));
        if all <= 0 { 1.0 } else { agreed as f64 / all as f64 }
    }

    /// The Rand index adjusted for chance: 1 for the same partition, about 0 for independent ones, at least -0.5
    /// (Hubert and Arabie 1985).
    pub fn adjusted_rand(&self) -> f64 {
        let Pairs { together_in_both: tp, apart_in_both: tn, only_in_clusters: fp, only_in_classes: r#fn } =
            self.pairs();
        if fp == 0 && r#fn == 0 {
            return 1.0;
        }
        2.0 * (tp * tn - r#fn * fp) as f64 / ((tp + r#fn) * (r#fn + tn) + (tp + fp) * (fp + tn)) as f64
    }

    /// The geometric mean of pairwise precision and recall, from 0 to 1; 0 when no pair is together in both, even for
    /// the same partition (Fowlkes and Mallows 1983).
    pub fn fowlkes_mallows(&self) -> f64 {
        let pairs = self.pairs();
        let together = pairs.together_in_both as f64;
        if together == 0.0 {
            return 0.0;
        }
        let in_clusters = (pairs.together_in_both + pairs.only_in_clusters) as f64;
        let in_classes = (pairs.together_in_both + pairs.only_in_classes) as f64;
        (together / in_clusters).sqrt() * (together / in_classes).sqrt()
    }

    /// The share of samples in the most frequent class of their cluster, from 1/n to 1; 1 without samples.
    pub fn purity(&self) -> f64 {
        if self.total == 0 {
            return 1.0;
        }
        let mut most = vec![0; self.clusters.len()];
        for cell in &self.cells {
            most[cell.cluster] = cell.count.max(most[cell.cluster]);
        }
        most.iter().sum::<u64>() as f64 / self.total as f64
    }

    /// Whether one labelling is the other with the labels renamed.
    fn is_same_partition(&self) -> bool {
        self.cells.len() == self.classes.len() && self.cells.len() == self.clusters.len()
    }

    fn normaliser(&self, average: Average) -> f64 {
        let (a, b) = (self.entropy_true(), self.entropy_pred());
        match average {
            Average::Arithmetic => (a + b) / 2.0,
            Average::Geometric => (a * b).sqrt(),
            Average::Min => a.min(b),
            Average::Max => a.max(b),
        }
    }

    /// The ordered pairs of samples; below 2^62, so that products of two counts fit.
    fn pairs(&self) -> Pairs {
        let squares = |counts: &[u64]| counts.iter().map(|&count| i128::from(count) * i128::from(count)).sum::<i128>();
        let in_both: i128 = self.cells.iter().map(|cell| i128::from(cell.count) * i128::from(cell.count)).sum();
        let (in_classes, in_clusters) = (squares(&self.classes), squares(&self.clusters));
        let total = i128::from(self.total);
        Pairs {
            together_in_both: in_both - total,
            only_in_classes: in_classes - in_both,
            only_in_clusters: in_clusters - in_both,
            apart_in_both: total * total - in_classes - in_clusters + in_both,
        }
    }
}

/// Ordered pairs of samples by whether they share a class and a cluster.
struct Pairs {
    together_in_both: i128,
    only_in_classes: i128,
    only_in_clusters: i128,
    apart_in_both: i128,
}

/// Numbers the distinct labels in their order: the number of each label, and how often each number occurs.
fn numbered(labels: &[i32]) -> (Vec<u32>, Vec<u64>) {
    let mut distinct = labels.to_vec();
    distinct.sort_unstable();
    let mut counts: Vec<u64> = Vec::new();
    for (at, label) in distinct.iter().enumerate() {
        match counts.last_mut() {
            Some(count) if distinct[at - 1] == *label => *count += 1,
            _ => counts.push(1),
        }
    }
    distinct.dedup();
    let number = |label| distinct.partition_point(|&other| other < label) as u32;
    // Labels are mostly 0, 1, 2, ...: then the number is a subtraction away.
    let contiguous = match (distinct.first(), distinct.last()) {
        (Some(&first), Some(&last)) => i64::from(last) - i64::from(first) + 1 == distinct.len() as i64,
        _ => true,
    };
    let first = distinct.first().copied().unwrap_or(0);
    let numbers = if contiguous {
        labels.iter().map(|&label| label.abs_diff(first)).collect()
    } else {
        labels.iter().map(|&label| number(label)).collect()
    };
    (numbers, counts)
}

/// The pairs that occur: samples are sorted by class in one pass, then each class counts its clusters.
fn cells(class_of: &[u32], classes: &[u64], cluster_of: &[u32], clusters: usize) -> Vec<Cell> {
    let mut places: Vec<usize> = Vec::with_capacity(classes.len());
    let mut end = 0;
    for &count in classes {
        places.push(end);
        end += count as usize;
    }
    let mut by_class = vec![0; class_of.len()];
    for (&class, &cluster) in class_of.iter().zip(cluster_of) {
        by_class[places[class as usize]] = cluster;
        places[class as usize] += 1;
    }
    let mut cells = Vec::new();
    let mut counts = vec![0_u64; clusters];
    let mut rest = by_class.as_mut_slice();
    for (class, &count) in classes.iter().enumerate() {
        let (members, others) = rest.split_at_mut(count as usize);
        rest = others;
        members.iter().for_each(|&cluster| counts[cluster as usize] += 1);
        members.sort_unstable();
        for &cluster in members.iter() {
            let count = std::mem::take(&mut counts[cluster as usize]);
            if count > 0 {
                cells.push(Cell { class, cluster: cluster as usize, count });
            }
        }
    }
    cells
}

fn entropy(counts: &[u64], total: u64) -> f64 {
    if counts.len() <= 1 {
        return 0.0;
    }
    let total = total as f64;
    -counts.iter().map(|&count| count as f64 / total * ((count as f64).ln() - total.ln())).sum::<f64>()
}

fn share(information: f64, entropy: f64) -> f64 {
    if entropy == 0.0 { 1.0 } else { information / entropy }
}

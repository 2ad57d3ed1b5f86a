//! How often each true label meets each predicted one, counted once; every score comes from these counts.

use super::counts::{self, Cell};
use super::{MetricError, assignment, expected};

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
    pub(super) total: u64,
    /// How many samples have each true label, in the labels' order.
    classes: Vec<u64>,
    /// How many samples have each predicted label.
    clusters: Vec<u64>,
    class_labels: Vec<i32>,
    cluster_labels: Vec<i32>,
    /// The pairs by class, then by cluster.
    cells: Vec<Cell>,
}

/// A difference of entropies that is nothing but rounding errors, as a share of the larger one.
const NO_ROOM: f64 = 1e-13;

/// What becomes of samples with the predicted label -1, which HDBSCAN gives to those in no cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Noise {
    /// They are one cluster more, as scikit-learn's scores and the study have it.
    #[default]
    Cluster,
    /// They are left out (the study's AMI_clus).
    Removed,
}

/// The counts of all pairs of labels, those that never meet included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContingencyMatrix {
    /// The true labels, ascending: one for each row.
    pub classes: Vec<i32>,
    /// The predicted labels, ascending: one for each column.
    pub clusters: Vec<i32>,
    /// How many samples have the labels of the row and of the column; row after row.
    pub counts: Vec<u64>,
}

impl Contingency {
    /// Counts the pairs. O(n).
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
        let (classes, clusters, cells) = counts::count(labels_true, labels_pred);
        Ok(Contingency {
            total: labels_true.len() as u64,
            cells,
            classes: classes.counts,
            clusters: clusters.counts,
            class_labels: classes.labels,
            cluster_labels: clusters.labels,
        })
    }

    /// Counts the pairs of which the predicted label is not -1. Without any sample left, scores are those of no samples
    /// (1 for most): look at [`super::clustered_fraction`] too. O(n).
    ///
    /// # Errors
    /// As [`Contingency::new`].
    pub fn without_noise(labels_true: &[i32], labels_pred: &[i32]) -> Result<Contingency, MetricError> {
        if labels_true.len() != labels_pred.len() {
            return Err(MetricError::Lengths { labels_true: labels_true.len(), labels_pred: labels_pred.len() });
        }
        let pairs = labels_true.iter().zip(labels_pred).filter(|(_, pred)| **pred != -1);
        let (labels_true, labels_pred): (Vec<i32>, Vec<i32>) = pairs.unzip();
        Contingency::new(&labels_true, &labels_pred)
    }

    /// Counts the pairs with noise treated as `noise` says. O(n).
    ///
    /// # Errors
    /// As [`Contingency::new`].
    pub fn with_noise(labels_true: &[i32], labels_pred: &[i32], noise: Noise) -> Result<Contingency, MetricError> {
        match noise {
            Noise::Cluster => Contingency::new(labels_true, labels_pred),
            Noise::Removed => Contingency::without_noise(labels_true, labels_pred),
        }
    }

    /// The true labels, ascending.
    pub fn class_labels(&self) -> &[i32] {
        &self.class_labels
    }

    /// The predicted labels, ascending.
    pub fn cluster_labels(&self) -> &[i32] {
        &self.cluster_labels
    }

    /// All counts with their labels (`sklearn.metrics.cluster.contingency_matrix`). O(classes x clusters).
    ///
    /// # Errors
    /// More than 2^27 counts, a gigabyte: most of them are 0, and every score can be had without them.
    pub fn matrix(&self) -> Result<ContingencyMatrix, MetricError> {
        let size = self.classes.len().checked_mul(self.clusters.len()).filter(|&size| size <= 1 << 27);
        let Some(size) = size else {
            let value = format!("{} x {}", self.classes.len(), self.clusters.len());
            let rule = "it must have at most 2^27 counts".to_owned();
            return Err(MetricError::Parameter { parameter: "contingency matrix", value, rule });
        };
        let mut counts = vec![0; size];
        for cell in &self.cells {
            counts[cell.class as usize * self.clusters.len() + cell.cluster as usize] = u64::from(cell.count);
        }
        Ok(ContingencyMatrix { classes: self.class_labels.clone(), clusters: self.cluster_labels.clone(), counts })
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
        let logarithms = |counts: &[u64]| counts.iter().map(|&count| (count as f64).ln()).collect::<Vec<f64>>();
        let (of_class, of_cluster) = (logarithms(&self.classes), logarithms(&self.clusters));
        // Where there are many cells, most counts are small.
        let of_small: Vec<f64> = (0..self.cells.len().min(64)).map(|count| (count.max(1) as f64).ln()).collect();
        let ln_total = total.ln();
        let information = |cell: &Cell| {
            let count = f64::from(cell.count);
            let ln_count = of_small.get(cell.count as usize).copied().unwrap_or_else(|| count.ln());
            let ln_independent = of_class[cell.class as usize] + of_cluster[cell.cluster as usize];
            let part = count / total * ((ln_count - ln_total) + (2.0 * ln_total - ln_independent));
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
        self.adjusted(self.mutual_info(), average)
    }

    pub(super) fn adjusted(&self, information: f64, average: Average) -> f64 {
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
        (information - expected) / room
    }

    /// Mutual information as a share of the entropies' mean, from 0 to 1; edge cases as for
    /// [`Contingency::adjusted_mutual_info`].
    pub fn normalized_mutual_info(&self, average: Average) -> f64 {
        self.normalized(self.mutual_info(), average)
    }

    pub(super) fn normalized(&self, information: f64, average: Average) -> f64 {
        if self.classes.len() == self.clusters.len() && self.classes.len() <= 1 {
            return 1.0;
        }
        if information == 0.0 { 0.0 } else { information / self.normaliser(average) }
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
        weighted(self.homogeneity(), self.completeness(), beta)
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
            let most = &mut most[cell.cluster as usize];
            *most = u64::from(cell.count).max(*most);
        }
        most.iter().sum::<u64>() as f64 / self.total as f64
    }

    /// The share of samples whose cluster is assigned to their class, by the one-to-one assignment of clusters to
    /// classes
    /// for which it is largest: from 1 / max(classes, clusters) or so to 1; 1 without samples. Clusters beyond the
    /// number
    /// of classes count as wrong. O(cells log cells) for most labels, O(min(classes, clusters) cells log cells) at
    /// most;
    /// memory O(cells), never classes x clusters.
    pub fn hungarian_accuracy(&self) -> f64 {
        if self.total == 0 {
            return 1.0;
        }
        let by_class = self.classes.len() <= self.clusters.len();
        let (rows, columns) =
            (self.classes.len().min(self.clusters.len()), self.classes.len().max(self.clusters.len()));
        let row_of = |cell: &Cell| if by_class { cell.class as usize } else { cell.cluster as usize };
        let mut starts = vec![0; rows + 1];
        self.cells.iter().for_each(|cell| starts[row_of(cell) + 1] += 1);
        for row in 0..rows {
            starts[row + 1] += starts[row];
        }
        let mut places = starts.clone();
        let mut cells = vec![(0, 0); self.cells.len()];
        for cell in &self.cells {
            let place = &mut places[row_of(cell)];
            cells[*place] = (if by_class { cell.cluster } else { cell.class }, cell.count);
            *place += 1;
        }
        assignment::largest_total(&starts, &cells, columns) as f64 / self.total as f64
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
        let squares = |counts: &[u64]| i128::from(counts.iter().map(|&count| count * count).sum::<u64>());
        let square = |cell: &Cell| u64::from(cell.count) * u64::from(cell.count);
        // Together at most n² < 2^62.
        let in_both = i128::from(self.cells.iter().map(square).sum::<u64>());
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

fn entropy(counts: &[u64], total: u64) -> f64 {
    if counts.len() <= 1 {
        return 0.0;
    }
    let total = total as f64;
    -counts.iter().map(|&count| count as f64 / total * ((count as f64).ln() - total.ln())).sum::<f64>()
}

pub(super) fn share(information: f64, entropy: f64) -> f64 {
    if entropy == 0.0 { 1.0 } else { information / entropy }
}

/// The harmonic mean of homogeneity and completeness, which weighs `beta` times as much.
pub(super) fn weighted(homogeneity: f64, completeness: f64, beta: f64) -> f64 {
    if homogeneity + completeness == 0.0 {
        return 0.0;
    }
    (1.0 + beta) * homogeneity * completeness / (beta * homogeneity + completeness)
}

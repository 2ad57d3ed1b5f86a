//! The study's way from single scores to its figures: missing cells, means over clusterers, differences to a baseline,
//! means over groups of datasets, complete blocks for ranks and paired tests.
//!
//! Every function takes what is compared and nothing else: to compare the encoders of one backbone, pass their rows
//! only, since a score that one row lacks is left out for all.

use std::collections::BTreeMap;

use super::{Order, RankMethod, StatsError, Summary, ranks};

/// One score of one clustering.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreRow {
    /// How the images were embedded, such as `DINO`.
    pub encoder: String,
    /// The encoder's network, such as `ViT-B`. Encoders of one name and two backbones are two encoders.
    pub backbone: String,
    /// What was embedded.
    pub dataset: String,
    /// The datasets that this one is averaged with.
    pub group: String,
    /// How the embeddings were clustered.
    pub clusterer: String,
    /// The score; none where the run is missing.
    pub value: Option<f64>,
}

/// A number for one encoder and one dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct Mean {
    /// The encoder.
    pub encoder: String,
    /// Its backbone.
    pub backbone: String,
    /// The dataset.
    pub dataset: String,
    /// The dataset's group.
    pub group: String,
    /// The mean score, or the difference of two.
    pub value: f64,
    /// How many clusterers it is the mean of.
    pub clusterers: usize,
}

/// The mean of an encoder's scores over the clusterers, for each encoder and dataset.
///
/// A clusterer without a value for any of the encoders in `rows` is left out for all of them on that dataset; a dataset
/// with no clusterer left is left out. Several rows for one cell count as their median, as in the study. The result is
/// in the order in which encoders first come in `rows`, then datasets. O(n log n).
///
/// # Errors
/// A value that is not finite.
pub fn mean_over_clusterers(rows: &[ScoreRow]) -> Result<Vec<Mean>, StatsError> {
    let cube = Cube::new(rows)?;
    let mut means = Vec::new();
    for encoder in 0..cube.encoders.len() {
        for (dataset, &(name, group)) in cube.datasets.iter().enumerate() {
            let complete = (0..cube.clusterers.len()).filter(|&clusterer| cube.is_complete(dataset, clusterer));
            let values: Vec<f64> = complete.filter_map(|clusterer| cube.value(encoder, dataset, clusterer)).collect();
            if values.is_empty() {
                continue;
            }
            let (encoder, backbone) = cube.encoders[encoder];
            means.push(Mean {
                encoder: encoder.to_owned(),
                backbone: backbone.to_owned(),
                dataset: name.to_owned(),
                group: group.to_owned(),
                value: super::mean(&values),
                clusterers: values.len(),
            });
        }
    }
    Ok(means)
}

/// How far each encoder lies above `baseline` of the same backbone on the same dataset, in percentage points: 100 times
/// the difference. The baseline itself is left out. O(n log n).
///
/// # Errors
/// A backbone without the baseline on a dataset.
pub fn delta_to_baseline(means: &[Mean], baseline: &str) -> Result<Vec<Mean>, StatsError> {
    let key = |mean: &Mean| (mean.backbone.clone(), mean.dataset.clone());
    let baselines: BTreeMap<(String, String), f64> =
        means.iter().filter(|mean| mean.encoder == baseline).map(|mean| (key(mean), mean.value)).collect();
    let others = means.iter().filter(|mean| mean.encoder != baseline);
    others
        .map(|mean| match baselines.get(&key(mean)) {
            Some(value) => Ok(Mean { value: 100.0 * (mean.value - value), ..mean.clone() }),
            None => Err(StatsError::NoBaseline {
                encoder: mean.encoder.clone(),
                backbone: mean.backbone.clone(),
                dataset: mean.dataset.clone(),
                baseline: baseline.to_owned(),
            }),
        })
        .collect()
}

/// An encoder's numbers over the datasets of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSummary {
    /// The encoder.
    pub encoder: String,
    /// Its backbone.
    pub backbone: String,
    /// The group of datasets.
    pub group: String,
    /// Mean and spread over the group's datasets. The study's code draws `population_sd` as the error bar.
    pub summary: Summary,
}

/// Mean and spread over the datasets of each group, for each encoder, in the order in which encoders first come, then
/// groups. O(n · encoders · groups) at most.
///
/// # Errors
/// A value that is not finite.
pub fn summarise_groups(means: &[Mean]) -> Result<Vec<GroupSummary>, StatsError> {
    let encoders = distinct(means.iter().map(|mean| (mean.encoder.as_str(), mean.backbone.as_str())));
    let groups = distinct(means.iter().map(|mean| mean.group.as_str()));
    let mut summaries = Vec::new();
    for &(encoder, backbone) in &encoders {
        for &group in &groups {
            let members = means.iter().filter(|mean| {
                mean.encoder.as_str() == encoder && mean.backbone.as_str() == backbone && mean.group.as_str() == group
            });
            let values: Vec<f64> = members.map(|mean| mean.value).collect();
            if !values.is_empty() {
                summaries.push(GroupSummary {
                    encoder: encoder.to_owned(),
                    backbone: backbone.to_owned(),
                    group: group.to_owned(),
                    summary: Summary::of(&values)?,
                });
            }
        }
    }
    Ok(summaries)
}

/// What is compared within a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    /// Encoders (with their backbones); a block is a dataset and a clusterer.
    Encoder,
    /// Clusterers; a block is an encoder and a dataset.
    Clusterer,
}

/// Where the values of a block come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The clusterer, or the encoder and its backbone as `encoder backbone`, whichever is not compared.
    pub of: String,
    /// The dataset.
    pub dataset: String,
}

/// Samples to compare: one value for each name in each block.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// What is compared, in the order in which it first comes in the rows; encoders as `encoder backbone`.
    pub names: Vec<String>,
    /// The blocks that are complete.
    pub blocks: Vec<Block>,
    /// For each name its values, one for each block: the paired samples for [`super::wilcoxon`] and
    /// [`super::ttest_rel`].
    pub samples: Vec<Vec<f64>>,
}

impl Compared {
    /// For each name its rank in each block: 1 for the largest value, equal ones share the mean of their ranks.
    /// O(n log n).
    ///
    /// # Errors
    /// A value that is not finite.
    pub fn ranks(&self) -> Result<Vec<Vec<f64>>, StatsError> {
        let mut all = vec![Vec::with_capacity(self.blocks.len()); self.names.len()];
        for block in 0..self.blocks.len() {
            let values: Vec<f64> = self.samples.iter().filter_map(|sample| sample.get(block).copied()).collect();
            let ranks = ranks(&values, Order::Descending, RankMethod::Average)?;
            all.iter_mut().zip(ranks).for_each(|(all, rank)| all.push(rank));
        }
        Ok(all)
    }

    /// For each name the mean and spread of its ranks over the blocks.
    ///
    /// # Errors
    /// No complete block; a value that is not finite.
    pub fn mean_ranks(&self) -> Result<Vec<Summary>, StatsError> {
        self.ranks()?.iter().map(|ranks| Summary::of(ranks)).collect()
    }
}

/// The blocks in which no value is missing, for ranks and paired tests. O(n log n).
///
/// # Errors
/// A value that is not finite.
pub fn complete_blocks(rows: &[ScoreRow], factor: Factor) -> Result<Compared, StatsError> {
    let cube = Cube::new(rows)?;
    let encoder_names: Vec<String> =
        cube.encoders.iter().map(|(encoder, backbone)| format!("{encoder} {backbone}")).collect();
    let clusterer_names: Vec<String> = cube.clusterers.iter().map(|&name| name.to_owned()).collect();
    let (names, others) = match factor {
        Factor::Encoder => (encoder_names, clusterer_names),
        Factor::Clusterer => (clusterer_names, encoder_names),
    };
    let mut compared = Compared { samples: vec![Vec::new(); names.len()], names, blocks: Vec::new() };
    for (other, of) in others.iter().enumerate() {
        for (dataset, (name, _)) in cube.datasets.iter().enumerate() {
            let value = |at: usize| match factor {
                Factor::Encoder => cube.value(at, dataset, other),
                Factor::Clusterer => cube.value(other, dataset, at),
            };
            let values: Option<Vec<f64>> = (0..compared.names.len()).map(value).collect();
            if let Some(values) = values {
                compared.samples.iter_mut().zip(values).for_each(|(sample, value)| sample.push(value));
                compared.blocks.push(Block { of: of.clone(), dataset: (*name).to_owned() });
            }
        }
    }
    Ok(compared)
}

/// Rows by encoder, dataset and clusterer.
struct Cube<'rows> {
    encoders: Vec<(&'rows str, &'rows str)>,
    datasets: Vec<(&'rows str, &'rows str)>,
    clusterers: Vec<&'rows str>,
    /// By encoder, then dataset, then clusterer.
    cells: Vec<Option<f64>>,
}

impl Cube<'_> {
    fn new(rows: &[ScoreRow]) -> Result<Cube<'_>, StatsError> {
        for (index, row) in rows.iter().enumerate() {
            if let Some(value) = row.value.filter(|value| !value.is_finite()) {
                return Err(StatsError::NotFinite { argument: "rows", index, value });
            }
        }
        let (encoder_of, encoders) = numbered(rows, |row| (row.encoder.as_str(), row.backbone.as_str()));
        let (dataset_of, datasets) = numbered(rows, |row| (row.dataset.as_str(), row.group.as_str()));
        let (clusterer_of, clusterers) = numbered(rows, |row| row.clusterer.as_str());
        let place =
            |row: usize| (encoder_of[row] * datasets.len() + dataset_of[row]) * clusterers.len() + clusterer_of[row];
        let mut runs = vec![Vec::new(); encoders.len() * datasets.len() * clusterers.len()];
        for (at, row) in rows.iter().enumerate() {
            runs[place(at)].extend(row.value);
        }
        let cells = runs.into_iter().map(median).collect();
        Ok(Cube { encoders, datasets, clusterers, cells })
    }

    fn value(&self, encoder: usize, dataset: usize, clusterer: usize) -> Option<f64> {
        self.cells[(encoder * self.datasets.len() + dataset) * self.clusterers.len() + clusterer]
    }

    /// Whether every encoder has a value.
    fn is_complete(&self, dataset: usize, clusterer: usize) -> bool {
        (0..self.encoders.len()).all(|encoder| self.value(encoder, dataset, clusterer).is_some())
    }
}

/// The number of each row's key, and the keys in the order in which they first come.
fn numbered<'rows, K: Ord + Copy>(rows: &'rows [ScoreRow], key: impl Fn(&'rows ScoreRow) -> K) -> (Vec<usize>, Vec<K>) {
    let (mut numbers, mut keys) = (BTreeMap::new(), Vec::new());
    let number = |row| {
        let key = key(row);
        *numbers.entry(key).or_insert_with(|| {
            keys.push(key);
            keys.len() - 1
        })
    };
    (rows.iter().map(number).collect(), keys)
}

fn distinct<K: Ord + Copy>(keys: impl Iterator<Item = K>) -> Vec<K> {
    let mut seen = std::collections::BTreeSet::new();
    keys.filter(|&key| seen.insert(key)).collect()
}

fn median(mut runs: Vec<f64>) -> Option<f64> {
    runs.sort_unstable_by(f64::total_cmp);
    let middle = runs.len() / 2;
    let upper = *runs.get(middle)?;
    Some(if runs.len() % 2 == 1 { upper } else { f64::midpoint(runs[middle - 1], upper) })
}

//! Classification by the vote of the nearest training points.

use rayon::prelude::*;

use super::{ProbeError, check_labels, numbered, share_equal};
use crate::linalg::{Metric, Neighbours, nearest_of};
use crate::points::Points;

/// Test points whose votes are counted by one task.
const ROWS_PER_CHUNK: usize = 64;
/// How many of the best labels count for the second accuracy.
const TOP: usize = 5;

/// What a neighbour's vote weighs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weights {
    /// exp(cosine similarity / temperature), as in the evaluation of DINO; for the metrics of angles.
    #[default]
    Dino,
    /// 1, scikit-learn's default.
    Uniform,
    /// 1 / distance; where neighbours are at distance 0, only those vote. scikit-learn's `weights="distance"`.
    Distance,
}

/// k-nearest-neighbour classification for several k at once.
///
/// By default as in the evaluation of DINO (Caron et al. 2021) and in the study: cosine similarity, weights
/// exp(similarity / 0.07). `KnnProbe { weights: Weights::Uniform, metric: Metric::Euclidean, .. }` is scikit-learn's
/// `KNeighborsClassifier`. Of labels with equal votes the smallest wins; of training points at equal distances the first
/// is the nearer one.
///
/// `KnnProbe { k: vec![20], ..KnnProbe::default() }.score(&train, &train_labels, &test, &test_labels)?`
#[derive(Clone, Debug)]
pub struct KnnProbe {
    /// How many neighbours vote; each k gives a result. 1, 10, 20, 100 and 200 by default.
    pub k: Vec<usize>,
    /// What similarities are divided by in [`Weights::Dino`]; 0.07 by default.
    pub temperature: f64,
    /// What makes points neighbours; cosine by default.
    pub metric: Metric,
    /// What a vote weighs; as in DINO's evaluation by default.
    pub weights: Weights,
}

impl Default for KnnProbe {
    fn default() -> Self {
        let k = vec![1, 10, 20, 100, 200];
        KnnProbe { k, temperature: 0.07, metric: Metric::Cosine, weights: Weights::Dino }
    }
}

/// How often the vote of `k` neighbours is right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KnnScore {
    /// The number of neighbours.
    pub k: usize,
    /// The share of the test points with their label first.
    pub accuracy: f64,
    /// The share of the test points with their label among the first five; labels without a vote do not count.
    pub top5_accuracy: f64,
}

/// What one k makes of one test point.
#[derive(Clone, Copy)]
struct Vote {
    winner: u32,
    /// How many labels have more votes than the true one; `usize::MAX` where that has none.
    rank: usize,
}

impl KnnProbe {
    /// The accuracies on the test points, in the order of `k`. One neighbour search, O(n_train n_test d).
    ///
    /// # Errors
    /// `k` empty, 0 or above the number of training points; `temperature` not a positive number; [`Weights::Dino`] with
    /// a metric that is not one of angles; lengths or columns that do not match; no test points; the search failed.
    pub fn score(
        &self,
        train: &Points,
        train_labels: &[i32],
        test: &Points,
        test_labels: &[i32],
    ) -> Result<Vec<KnnScore>, ProbeError> {
        check_labels("test", test, "test_labels", test_labels)?;
        let (classes, votes) = self.votes(train, train_labels, test, Some(test_labels))?;
        let score = |(at, &k): (usize, &usize)| {
            let of_k = || votes.iter().skip(at).step_by(self.k.len());
            let found: Vec<i32> = of_k().map(|vote| classes[vote.winner as usize]).collect();
            let among_first = of_k().filter(|vote| vote.rank < TOP).count() as f64;
            KnnScore {
                k,
                accuracy: share_equal(&found, test_labels),
                top5_accuracy: among_first / test_labels.len() as f64,
            }
        };
        Ok(self.k.iter().enumerate().map(score).collect())
    }

    /// The labels of the test points, one list for each k. One neighbour search, O(n_train n_test d).
    ///
    /// # Errors
    /// As [`KnnProbe::score`], but there may be no test points.
    pub fn predict(&self, train: &Points, train_labels: &[i32], test: &Points) -> Result<Vec<Vec<i32>>, ProbeError> {
        let (classes, votes) = self.votes(train, train_labels, test, None)?;
        let of_k = |at: usize| votes.iter().skip(at).step_by(self.k.len());
        let labels = |at: usize| of_k(at).map(|vote| classes[vote.winner as usize]).collect();
        Ok((0..self.k.len()).map(labels).collect())
    }

    /// The classes, and one vote for each test point and each k.
    fn votes(
        &self,
        train: &Points,
        train_labels: &[i32],
        test: &Points,
        truth: Option<&[i32]>,
    ) -> Result<(Vec<i32>, Vec<Vote>), ProbeError> {
        self.check(train, train_labels, test)?;
        let most = self.k.iter().copied().max().unwrap_or(1);
        let neighbours = nearest_of(train, test, self.metric, most)?;
        let (classes, class_of) = numbered(train_labels);
        // The order in which a walk along the neighbours meets the counts.
        let mut order: Vec<usize> = (0..self.k.len()).collect();
        order.sort_by_key(|&at| self.k[at]);
        let mut votes = vec![Vote { winner: 0, rank: usize::MAX }; test.rows() * self.k.len()];
        votes.par_chunks_mut(ROWS_PER_CHUNK * self.k.len()).enumerate().for_each(|(chunk, votes)| {
            let mut ballot = Ballot { weights: vec![0.0; classes.len()], voted: Vec::new() };
            for (offset, votes) in votes.chunks_exact_mut(self.k.len()).enumerate() {
                let row = chunk * ROWS_PER_CHUNK + offset;
                let class = truth.and_then(|truth| classes.binary_search(&truth[row]).ok());
                self.count(&neighbours, row, &class_of, &order, class, &mut ballot, votes);
            }
        });
        Ok((classes, votes))
    }

    fn check(&self, train: &Points, train_labels: &[i32], test: &Points) -> Result<(), ProbeError> {
        let wrong = |parameter, value: String, rule: String| Err(ProbeError::Parameter { parameter, value, rule });
        check_labels("train", train, "train_labels", train_labels)?;
        if test.columns() != train.columns() {
            return Err(ProbeError::Columns { points: "test", found: test.columns(), expected: train.columns() });
        }
        if self.k.is_empty() {
            return wrong("k", "[]".to_owned(), "it must have at least one number of neighbours".to_owned());
        }
        if let Some(k) = self.k.iter().find(|&&k| k == 0 || k > train.rows()) {
            let rule = format!("it must be 1 to the number of training points, {}", train.rows());
            return wrong("k", k.to_string(), rule);
        }
        if !self.temperature.is_finite() || self.temperature <= 0.0 {
            return wrong("temperature", self.temperature.to_string(), "it must be a number above 0".to_owned());
        }
        if self.weights == Weights::Dino && !matches!(self.metric, Metric::Cosine | Metric::Arccos) {
            let rule = "weights = Dino needs the similarity that cosine or arccos gives".to_owned();
            return wrong("metric", self.metric.to_string(), rule);
        }
        Ok(())
    }

    /// Walks once along the neighbours of a test point, and decides whenever one of the counts is reached.
    #[expect(clippy::too_many_arguments, reason = "one inner loop, called once")]
    fn count(
        &self,
        neighbours: &Neighbours,
        row: usize,
        class_of: &[u32],
        order: &[usize],
        truth: Option<usize>,
        ballot: &mut Ballot,
        votes: &mut [Vote],
    ) {
        let (indices, distances) = neighbours.of(row);
        ballot.clear();
        let copies_only = self.weights == Weights::Distance && distances.first() == Some(&0.0);
        let mut walked = 0;
        for &at in order {
            while walked < self.k[at].min(indices.len()) {
                let weight = if copies_only && distances[walked] > 0.0 { 0.0 } else { self.weight(distances[walked]) };
                ballot.add(class_of[indices[walked] as usize], weight);
                walked += 1;
            }
            votes[at] = ballot.decide(truth);
        }
    }

    fn weight(&self, distance: f32) -> f64 {
        let distance = f64::from(distance);
        match self.weights {
            Weights::Uniform => 1.0,
            Weights::Distance if distance == 0.0 => 1.0,
            Weights::Distance => 1.0 / distance,
            // A constant factor keeps the largest weight at 1, whatever the temperature; the votes' order is the same.
            Weights::Dino if self.metric == Metric::Arccos => (-0.5 * distance * distance / self.temperature).exp(),
            Weights::Dino => (-distance / self.temperature).exp(),
        }
    }
}

/// The votes for one test point.
struct Ballot {
    weights: Vec<f64>,
    /// The classes that have a vote; only these are looked at and cleared.
    voted: Vec<u32>,
}

impl Ballot {
    fn add(&mut self, class: u32, weight: f64) {
        if !self.voted.contains(&class) {
            self.voted.push(class);
        }
        self.weights[class as usize] += weight;
    }

    fn clear(&mut self) {
        self.voted.drain(..).for_each(|class| self.weights[class as usize] = 0.0);
    }

    fn decide(&self, truth: Option<usize>) -> Vote {
        let mut winner = u32::MAX;
        let mut most = -1.0;
        for &class in &self.voted {
            let weight = self.weights[class as usize];
            if weight > most || (weight == most && class < winner) {
                (winner, most) = (class, weight);
            }
        }
        let beats = |class: u32, truth: usize| {
            let (weight, own) = (self.weights[class as usize], self.weights[truth]);
            weight > own || (weight == own && (class as usize) < truth)
        };
        let rank = match truth {
            Some(truth) if self.voted.contains(&(truth as u32)) => {
                self.voted.iter().filter(|&&class| beats(class, truth)).count()
            }
            _ => usize::MAX,
        };
        Vote { winner, rank }
    }
}

//! The linear probe: multinomial logistic regression with a penalty on the weights, to its optimum.
//!
//! scikit-learn's objective (`LogisticRegression`, solver `lbfgs`): C times the sum of the log-losses, plus half the sum
//! of the squared weights; intercepts are free. Two classes have one set of weights, as there.
//!
//! A block of rows is centred, scored, turned into residuals and added to the gradient while it is in the cache, so no
//! rows x classes matrix is kept. Centring moves the intercepts and changes nothing else, but it saves digits and steps.
//! Products are in 32 bits with sums in 64; a tolerance too fine for that is met by products in 64 bits at the end.

use rayon::prelude::*;

use super::lbfgs::{self, Function, Precision};
use super::products::Real;
use super::{ProbeError, check_labels, numbered, share_equal};
use crate::linalg;
use crate::points::Points;
use crate::progress::{self, Progress};

/// Numbers in a block of rows: with the weights it stays in the second-level cache in 32 bits.
const VALUES_PER_BLOCK: usize = 192 * 1024;
/// Rows whose gradient is added up in the products' own precision.
const ROWS_PER_SUM: usize = 2048;
/// Parts that the rows are cut into; fixed, so that sums do not depend on the number of threads.
const PARTS: usize = 16;
/// Numbers that the gradients of all parts may hold together.
const VALUES_OF_PARTS: usize = 32 << 20;

/// Logistic regression, scikit-learn's `LogisticRegression` with its defaults.
///
/// `LogisticRegression { c: 0.1, ..LogisticRegression::default() }.fit(&train, &labels)?.score(&test, &test_labels)?`
#[derive(Clone, Debug)]
pub struct LogisticRegression {
    /// scikit-learn's `C`, the weight of the losses against the penalty; 1 by default.
    pub c: f64,
    /// The search ends when no derivative of the mean loss with its share of the penalty is larger; 1e-4 by default.
    pub tol: f64,
    /// How many steps there may be at most; 100 by default.
    pub max_iter: usize,
    /// Whether there are intercepts; true by default.
    pub fit_intercept: bool,
}

impl Default for LogisticRegression {
    fn default() -> Self {
        LogisticRegression { c: 1.0, tol: 1e-4, max_iter: 100, fit_intercept: true }
    }
}

/// A fitted logistic regression.
#[derive(Clone, Debug)]
pub struct LogisticFit {
    /// The labels that were learned, ascending.
    pub classes: Vec<i32>,
    /// The coordinates of a point.
    pub columns: usize,
    /// One row of `columns` weights for each class; for two classes one row, whose score speaks for the second.
    pub coefficients: Vec<f64>,
    /// One for each row of `coefficients`; zeros without intercepts.
    pub intercepts: Vec<f64>,
    /// C times the sum of the log-losses of the training points, plus half the sum of the squared weights.
    pub objective: f64,
    /// The steps that were taken.
    pub n_iter: usize,
    /// Whether the tolerance was met, or the last digits reached, within `max_iter` steps.
    pub converged: bool,
}

impl LogisticRegression {
    /// Finds the weights. O(n d k) a step; beside the points it keeps some 40 numbers a weight.
    ///
    /// # Errors
    /// `C` not a positive finite number; `tol` negative or NaN; `max_iter` 0; not one label a point; no points, or only
    /// one label; the computation was cancelled.
    pub fn fit(&self, points: &Points, labels: &[i32]) -> Result<LogisticFit, ProbeError> {
        self.check()?;
        check_labels("points", points, "labels", labels)?;
        let (classes, class_of) = numbered(labels);
        if classes.len() < 2 {
            return Err(ProbeError::Classes(classes.len()));
        }
        let mut problem = Problem::new(self, points, &class_of, classes.len());
        let start = vec![0.0; problem.outputs * (points.columns() + usize::from(self.fit_intercept))];
        let scale = problem.scale();
        let found = lbfgs::minimise(&mut problem, start, &scale, self.tol, self.max_iter)?;
        let objective = problem.value::<f64>(&found.at, None)? * self.c * points.rows() as f64;
        let (coefficients, moved) = found.at.split_at(problem.outputs * points.columns());
        let intercept = |(output, weights): (usize, &[f64])| {
            let shift: f64 = weights.iter().zip(&problem.mean).map(|(weight, mean)| weight * mean).sum();
            moved.get(output).map_or(0.0, |moved| moved - shift)
        };
        Ok(LogisticFit {
            classes,
            columns: points.columns(),
            intercepts: coefficients.chunks_exact(points.columns()).enumerate().map(intercept).collect(),
            coefficients: coefficients.to_vec(),
            objective,
            n_iter: found.steps,
            converged: found.converged,
        })
    }

    fn check(&self) -> Result<(), ProbeError> {
        let wrong = |parameter, value: String, rule: &str| {
            Err(ProbeError::Parameter { parameter, value, rule: rule.to_owned() })
        };
        if !self.c.is_finite() || self.c <= 0.0 {
            return wrong("C", self.c.to_string(), "it must be a finite number above 0");
        }
        if self.tol.is_nan() || self.tol < 0.0 {
            return wrong("tol", self.tol.to_string(), "it must be a number that is not negative");
        }
        if self.max_iter == 0 {
            return wrong("max_iter", "0".to_owned(), "it must be at least 1");
        }
        Ok(())
    }
}

impl LogisticFit {
    /// The probability of each class for each point: `rows` x `classes`, row-major, in the order of `classes`. O(n d k).
    ///
    /// # Errors
    /// Points with other columns than those learned from; the computation was cancelled.
    pub fn predict_proba(&self, points: &Points) -> Result<Vec<f64>, ProbeError> {
        if points.columns() != self.columns {
            return Err(ProbeError::Columns { points: "points", found: points.columns(), expected: self.columns });
        }
        progress::check()?;
        let (outputs, rows) = (self.intercepts.len(), rows_per_block(self.columns));
        let mut probabilities = vec![0.0; points.rows() * self.classes.len()];
        let blocks = points.as_slice().par_chunks(rows * self.columns);
        blocks.zip(probabilities.par_chunks_mut(rows * self.classes.len())).for_each(|(rows, probabilities)| {
            let rows: Vec<f64> = rows.iter().map(|&value| f64::from(value)).collect();
            let mut scores = vec![0.0; rows.len() / self.columns * outputs];
            f64::scores_of(&rows, &self.coefficients, self.columns, &mut scores);
            let all = probabilities.chunks_exact_mut(self.classes.len()).zip(scores.chunks_exact_mut(outputs));
            for (probabilities, scores) in all {
                match scores {
                    [score] => probabilities.copy_from_slice(&two_classes(*score + self.intercepts[0])),
                    scores => {
                        softmax(scores, &self.intercepts);
                        probabilities.copy_from_slice(scores);
                    }
                }
            }
        });
        Ok(probabilities)
    }

    /// The most probable label of each point; of equally probable ones the smallest. O(n d k).
    ///
    /// # Errors
    /// As [`LogisticFit::predict_proba`].
    pub fn predict(&self, points: &Points) -> Result<Vec<i32>, ProbeError> {
        let probabilities = self.predict_proba(points)?;
        let likeliest = |row: &[f64]| {
            let best = row.iter().enumerate().rev().max_by(|(_, a), (_, b)| a.total_cmp(b));
            self.classes[best.map_or(0, |(class, _)| class)]
        };
        Ok(probabilities.chunks_exact(self.classes.len()).map(likeliest).collect())
    }

    /// The share of the points whose label is predicted.
    ///
    /// # Errors
    /// As [`LogisticFit::predict_proba`]; not one label a point; no points.
    pub fn score(&self, points: &Points, labels: &[i32]) -> Result<f64, ProbeError> {
        check_labels("points", points, "labels", labels)?;
        Ok(share_equal(&self.predict(points)?, labels))
    }
}

/// The mean loss with its share of the penalty, as a function of the weights (`outputs` x columns), followed by the
/// intercepts for points around their mean.
struct Problem<'data> {
    points: &'data Points,
    class_of: &'data [u32],
    /// Sets of weights: as many as classes, but 1 for two.
    outputs: usize,
    classes: usize,
    /// The mean of the columns; zeros without intercepts, which could not make up for it.
    mean: Vec<f64>,
    variances: Vec<f64>,
    intercept: bool,
    penalty: f64,
    progress: Progress,
}

/// What a part of the rows adds.
struct Part {
    loss: f64,
    weights: Vec<f64>,
    intercepts: Vec<f64>,
}

impl<'data> Problem<'data> {
    fn new(with: &LogisticRegression, points: &'data Points, class_of: &'data [u32], classes: usize) -> Self {
        let means = linalg::means(points);
        Problem {
            points,
            class_of,
            outputs: if classes == 2 { 1 } else { classes },
            classes,
            variances: linalg::variances(points, &means),
            mean: if with.fit_intercept { means } else { vec![0.0; points.columns()] },
            intercept: with.fit_intercept,
            penalty: 1.0 / (with.c * points.rows() as f64),
            progress: Progress::new("linear probe", with.max_iter as u64, "steps"),
        }
    }

    /// One over the diagonal of the Hessian at the start: columns of very different widths then need no more steps.
    fn scale(&self) -> Vec<f64> {
        let share = 1.0 / self.classes as f64;
        let curvature = share * (1.0 - share);
        let weight = |variance: &f64| 1.0 / (curvature * variance + self.penalty);
        let weights: Vec<f64> = self.variances.iter().map(weight).collect();
        let mut scale = weights.repeat(self.outputs);
        if self.intercept {
            scale.resize(scale.len() + self.outputs, 1.0 / curvature);
        }
        scale
    }

    fn value<T: Real>(&self, at: &[f64], gradient: Option<&mut [f64]>) -> Result<f64, ProbeError> {
        progress::check()?;
        let (weights, intercepts) = at.split_at(self.outputs * self.points.columns());
        let narrow = |values: &[f64]| values.iter().map(|&value| T::from_f64(value)).collect::<Vec<T>>();
        let (narrow_weights, mut narrow_intercepts) = (narrow(weights), narrow(intercepts));
        narrow_intercepts.resize(self.outputs, T::default());
        let rows = self.rows_per_part();
        let with_gradient = gradient.is_some();
        let part =
            |rows: (&[f32], &[u32])| self.part(rows.0, rows.1, &narrow_weights, &narrow_intercepts, with_gradient);
        let parts = self.points.as_slice().par_chunks(rows * self.points.columns());
        let parts: Vec<Part> = parts.zip(self.class_of.par_chunks(rows)).map(part).collect();
        let share = 1.0 / self.points.rows() as f64;
        if let Some(gradient) = gradient {
            let (of_weights, of_intercepts) = gradient.split_at_mut(weights.len());
            of_weights.par_iter_mut().with_min_len(4096).enumerate().for_each(|(index, derivative)| {
                let sum: f64 = parts.iter().map(|part| part.weights[index]).sum();
                *derivative = share * sum + self.penalty * weights[index];
            });
            for (index, derivative) in of_intercepts.iter_mut().enumerate() {
                *derivative = share * parts.iter().map(|part| part.intercepts[index]).sum::<f64>();
            }
        }
        let loss: f64 = parts.iter().map(|part| part.loss).sum();
        Ok(share * loss + 0.5 * self.penalty * weights.iter().map(|weight| weight * weight).sum::<f64>())
    }

    /// Rows of a part: whole blocks, and few enough parts for memory.
    fn rows_per_part(&self) -> usize {
        let parts = (VALUES_OF_PARTS / (self.outputs * self.points.columns())).clamp(2, PARTS);
        self.points.rows().div_ceil(parts).next_multiple_of(rows_per_block(self.points.columns()))
    }

    fn part<T: Real>(
        &self,
        values: &[f32],
        class_of: &[u32],
        weights: &[T],
        intercepts: &[T],
        with_gradient: bool,
    ) -> Part {
        let (columns, rows) = (self.points.columns(), rows_per_block(self.points.columns()));
        let mut centred = Vec::new();
        let mut scores = Vec::new();
        let mut part = Part { loss: 0.0, weights: Vec::new(), intercepts: vec![0.0; self.outputs] };
        let mut recent = Vec::new();
        if with_gradient {
            part.weights = vec![0.0; weights.len()];
            recent = vec![T::default(); weights.len()];
        }
        let mut since = 0;
        for (values, class_of) in values.chunks(rows * columns).zip(class_of.chunks(rows)) {
            centred.resize(values.len(), T::default());
            for (centred, row) in centred.chunks_exact_mut(columns).zip(values.chunks_exact(columns)) {
                for ((centred, &value), mean) in centred.iter_mut().zip(row).zip(&self.mean) {
                    *centred = T::from_f64(f64::from(value) - mean);
                }
            }
            scores.clear();
            scores.resize(class_of.len() * self.outputs, T::default());
            T::scores_of(&centred, weights, columns, &mut scores);
            for (scores, &class) in scores.chunks_exact_mut(self.outputs).zip(class_of) {
                part.loss += loss_and_residuals(scores, intercepts, class as usize);
                part.intercepts.iter_mut().zip(&*scores).for_each(|(sum, score)| *sum += score.to_f64());
            }
            if with_gradient {
                T::add_gradient(&scores, &centred, columns, &mut recent);
                since += class_of.len();
                if since >= ROWS_PER_SUM {
                    flush(&mut part.weights, &mut recent);
                    since = 0;
                }
            }
        }
        flush(&mut part.weights, &mut recent);
        part
    }
}

impl Function for Problem<'_> {
    fn evaluate(&mut self, at: &[f64], precision: Precision, gradient: &mut [f64]) -> Result<f64, ProbeError> {
        match precision {
            Precision::Single => self.value::<f32>(at, Some(gradient)),
            Precision::Double => self.value::<f64>(at, Some(gradient)),
        }
    }

    /// The largest derivative in the coordinates of the points as given, as scikit-learn measures it.
    fn size(&self, gradient: &[f64]) -> f64 {
        let (weights, intercepts) = gradient.split_at(self.outputs * self.points.columns());
        let mut most = intercepts.iter().fold(0.0_f64, |most, derivative| most.max(derivative.abs()));
        for (output, derivatives) in weights.chunks_exact(self.points.columns()).enumerate() {
            let intercept = intercepts.get(output).copied().unwrap_or(0.0);
            for (derivative, mean) in derivatives.iter().zip(&self.mean) {
                most = most.max((derivative + intercept * mean).abs());
            }
        }
        most
    }

    fn stepped(&mut self) -> Result<(), ProbeError> {
        self.progress.advance(1);
        Ok(progress::check()?)
    }
}

fn rows_per_block(columns: usize) -> usize {
    (VALUES_PER_BLOCK / columns).clamp(16, 1024)
}

/// Adds the sums in the products' precision to those in 64 bits, and begins them anew.
fn flush<T: Real>(sums: &mut [f64], recent: &mut [T]) {
    for (sum, recent) in sums.iter_mut().zip(recent) {
        *sum += recent.to_f64();
        *recent = T::default();
    }
}

/// The log-loss of one point; its scores become probabilities less 1 for the true class.
fn loss_and_residuals<T: Real>(scores: &mut [T], intercepts: &[T], class: usize) -> f64 {
    if let [score] = scores {
        let logit = score.to_f64() + intercepts[0].to_f64();
        let signed = if class == 1 { -logit } else { logit };
        *score = T::from_f64(two_classes(logit)[1] - class as f64);
        return signed.max(0.0) + (-signed.abs()).exp().ln_1p();
    }
    let own = (scores[class] + intercepts[class]).to_f64();
    let log_sum = softmax(scores, intercepts);
    scores[class] = scores[class] - T::ONE;
    log_sum - own
}

/// Turns scores into probabilities, and returns the logarithm of the sum of their exponentials.
fn softmax<T: Real>(scores: &mut [T], intercepts: &[T]) -> f64 {
    let mut most = T::from_f64(f64::NEG_INFINITY);
    for (score, &intercept) in scores.iter_mut().zip(intercepts) {
        *score = *score + intercept;
        most = if *score > most { *score } else { most };
    }
    scores.iter_mut().for_each(|score| *score = (*score - most).exp());
    let sum: f64 = scores.iter().map(|score| score.to_f64()).sum();
    let share = T::from_f64(1.0 / sum);
    scores.iter_mut().for_each(|score| *score = *score * share);
    most.to_f64() + sum.ln()
}

/// The probabilities of the first and the second class.
fn two_classes(logit: f64) -> [f64; 2] {
    let small = (-logit.abs()).exp();
    let (unlikely, likely) = (small / (1.0 + small), 1.0 / (1.0 + small));
    if logit > 0.0 { [unlikely, likely] } else { [likely, unlikely] }
}

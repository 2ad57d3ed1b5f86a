//! Confidence intervals from resamples of the data.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use super::distributions::{normal_quantile, normal_sf};
use super::{StatsError, check, check_level, check_pairs};
use crate::progress;

/// Resamples drawn by one task from a random stream of its own; fixed, so that threads do not matter.
const PER_TASK: usize = 64;

/// How an interval follows from the statistics of the resamples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BootstrapMethod {
    /// Between their quantiles.
    Percentile,
    /// Between quantiles corrected for bias and acceleration (Efron 1987), SciPy's default.
    #[default]
    Bca,
}

/// Parameters of the bootstrap.
#[derive(Clone, Debug, PartialEq)]
pub struct Bootstrap {
    /// How many times the data are drawn anew, at least 2; 9999.
    pub n_resamples: usize,
    /// The probability with which intervals cover the true value, between 0 and 1; 0.95.
    pub confidence_level: f64,
    /// How the interval is made.
    pub method: BootstrapMethod,
    /// Of the random numbers; 0.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Bootstrap {
        Bootstrap { n_resamples: 9999, confidence_level: 0.95, method: BootstrapMethod::Bca, seed: 0 }
    }
}

/// A statistic with its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The statistic of the data.
    pub statistic: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The standard deviation of the resamples' statistics (divisor n - 1).
    pub standard_error: f64,
}

impl Bootstrap {
    /// The interval of a statistic of one sample (`scipy.stats.bootstrap`, but for the random numbers). All threads;
    /// O(resamples) statistics of n values, and for BCa n more.
    ///
    /// # Errors
    /// Fewer than 2 values; a value that is not finite; a parameter outside of its range; a statistic that is NaN or
    /// infinite for some resample; for BCa, resamples or data sets less one value that all have the same statistic;
    /// cancelled.
    pub fn sample(&self, sample: &[f64], statistic: impl Fn(&[f64]) -> f64 + Sync) -> Result<Interval, StatsError> {
        check("sample", sample, 2)?;
        self.interval(sample.len(), |rows| {
            let drawn: Vec<f64> = rows.iter().map(|&row| sample[row]).collect();
            statistic(&drawn)
        })
    }

    /// The interval of a statistic of two paired samples: pairs are drawn, and stay together. Cost as for
    /// [`Bootstrap::sample`].
    ///
    /// # Errors
    /// As [`Bootstrap::sample`]; the samples differ in length.
    pub fn paired(
        &self,
        a: &[f64],
        b: &[f64],
        statistic: impl Fn(&[f64], &[f64]) -> f64 + Sync,
    ) -> Result<Interval, StatsError> {
        check_pairs(a, b, 2)?;
        self.interval(a.len(), |rows| {
            let drawn = |values: &[f64]| rows.iter().map(|&row| values[row]).collect::<Vec<f64>>();
            statistic(&drawn(a), &drawn(b))
        })
    }

    fn interval(&self, n: usize, of_rows: impl Fn(&[usize]) -> f64 + Sync) -> Result<Interval, StatsError> {
        if self.n_resamples < 2 {
            let rule = "it must be at least 2".to_owned();
            return Err(StatsError::Parameter { parameter: "n_resamples", value: self.n_resamples.to_string(), rule });
        }
        check_level(self.confidence_level)?;
        let statistic = defined(of_rows(&(0..n).collect::<Vec<usize>>()))?;
        let mut resampled = self.resampled(n, &of_rows)?;
        resampled.sort_unstable_by(f64::total_cmp);
        let alpha = (1.0 - self.confidence_level) / 2.0;
        let (low, high) = match self.method {
            BootstrapMethod::Percentile => (alpha, 1.0 - alpha),
            BootstrapMethod::Bca => corrected(alpha, statistic, &resampled, &jackknifed(n, &of_rows)?)?,
        };
        let standard_error = super::Summary::of(&resampled)?.sd.unwrap_or(0.0);
        Ok(Interval { statistic, low: quantile(&resampled, low), high: quantile(&resampled, high), standard_error })
    }

    /// The statistics of the resamples, in the order in which they were drawn.
    fn resampled(&self, n: usize, of_rows: &(impl Fn(&[usize]) -> f64 + Sync)) -> Result<Vec<f64>, StatsError> {
        let tasks = self.n_resamples.div_ceil(PER_TASK);
        let statistics = (0..tasks).into_par_iter().map(|task| {
            progress::check()?;
            let mut random = ChaCha8Rng::seed_from_u64(self.seed);
            random.set_stream(task as u64);
            let mut rows = vec![0; n];
            let count = PER_TASK.min(self.n_resamples - task * PER_TASK);
            (0..count)
                .map(|_| {
                    rows.iter_mut().for_each(|row| *row = below(n, &mut random));
                    defined(of_rows(&rows))
                })
                .collect::<Result<Vec<f64>, StatsError>>()
        });
        Ok(statistics.collect::<Result<Vec<_>, StatsError>>()?.concat())
    }
}

/// The statistics of the data without each of the values.
fn jackknifed(n: usize, of_rows: &(impl Fn(&[usize]) -> f64 + Sync)) -> Result<Vec<f64>, StatsError> {
    let without = |left_out: usize| (0..n).filter(|&row| row != left_out).collect::<Vec<usize>>();
    (0..n)
        .into_par_iter()
        .map(|left_out| {
            progress::check()?;
            defined(of_rows(&without(left_out)))
        })
        .collect()
}

/// The shares of resamples below the ends of the BCa interval; `resampled` is sorted.
fn corrected(alpha: f64, statistic: f64, resampled: &[f64], jackknifed: &[f64]) -> Result<(f64, f64), StatsError> {
    let count = resampled.len() as f64;
    let less = resampled.partition_point(|&value| value < statistic) as f64;
    let not_more = resampled.partition_point(|&value| value <= statistic) as f64;
    let share = (less + not_more) / 2.0 / count;
    if share <= 0.0 || share >= 1.0 || resampled.first() == resampled.last() {
        return Err(StatsError::Constant { argument: "statistic of the resamples" });
    }
    let bias = -normal_quantile(share)?;
    let mean = super::mean(jackknifed);
    let power = |exponent| jackknifed.iter().map(|value| (mean - value).powi(exponent)).sum::<f64>();
    let (squares, cubes) = (power(2), power(3));
    if squares == 0.0 {
        return Err(StatsError::Constant { argument: "statistic of the data less one value" });
    }
    let acceleration = cubes / squares.powf(1.5) / 6.0;
    let shifted = |z: f64| {
        let sum = bias + z;
        normal_sf(-(bias + sum / (1.0 - acceleration * sum)))
    };
    let z = normal_quantile(alpha)?;
    Ok((shifted(-z), shifted(z)))
}

/// NumPy's default quantile of sorted values: linear between the two nearest.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// A uniform whole number below `n`, off by at most n / 2^64.
fn below(n: usize, random: &mut ChaCha8Rng) -> usize {
    ((u128::from(random.next_u64()) * n as u128) >> 64) as usize
}

fn defined(statistic: f64) -> Result<f64, StatsError> {
    if statistic.is_finite() {
        return Ok(statistic);
    }
    let rule = "it must be finite for every resample".to_owned();
    Err(StatsError::Parameter { parameter: "statistic", value: statistic.to_string(), rule })
}

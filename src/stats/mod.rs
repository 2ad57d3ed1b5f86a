//! Statistics of results: correlations, paired tests, ranks, bootstrap intervals, and the study's aggregation of
//! scores.
//!
//! Definitions and defaults are SciPy's. Where SciPy returns NaN with a warning, there is an error here: no result is
//! ever NaN. Numbers are f64 and in slices; nothing here knows of tables.

mod aggregate;
mod bootstrap;
mod correlation;
mod distributions;
mod kendall;
mod paired;
mod ranks;
#[cfg(test)]
mod tests;

pub use aggregate::{
    Block, Compared, Factor, GroupSummary, Mean, ScoreRow, complete_blocks, delta_to_baseline, mean_over_clusterers,
    summarise_groups,
};
pub use bootstrap::{Bootstrap, BootstrapMethod, Interval};
pub use correlation::{Correlation, pearsonr, spearmanr};
pub use distributions::{normal_quantile, normal_sf, student_t_quantile, student_t_two_sided};
pub use kendall::kendalltau;
pub use paired::{Alternative, TTest, Wilcoxon, WilcoxonMethod, ttest_rel, wilcoxon};
pub use ranks::{Order, RankMethod, rankdata, ranks};

use crate::progress::Cancelled;

/// Why a statistic could not be computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StatsError {
    /// Two samples that belong together differ in length.
    #[error("{first} has {first_values} values, but {second} has {second_values}")]
    Lengths {
        /// One argument.
        first: &'static str,
        /// Its length.
        first_values: usize,
        /// The other argument.
        second: &'static str,
        /// Its length.
        second_values: usize,
    },
    /// Too few values.
    #[error("{argument} has {values} values: at least {needed} are needed")]
    TooFew {
        /// The argument.
        argument: &'static str,
        /// Values given.
        values: usize,
        /// Values needed.
        needed: usize,
    },
    /// A value that is NaN or infinite.
    #[error("{argument} at index {index} is {value}: it must be finite")]
    NotFinite {
        /// The argument.
        argument: &'static str,
        /// Where, from 0.
        index: usize,
        /// The value.
        value: f64,
    },
    /// All values are equal, and the result is not defined.
    #[error("{argument} is constant: the result is not defined")]
    Constant {
        /// The argument.
        argument: &'static str,
    },
    /// Finite values so large that their sums or squares are not.
    #[error("{argument} has values too large for a result in 64 bits")]
    TooLarge {
        /// The argument.
        argument: &'static str,
    },
    /// A parameter outside of its range.
    #[error("{parameter} = {value}: {rule}")]
    Parameter {
        /// The parameter's name.
        parameter: &'static str,
        /// Its value, as text.
        value: String,
        /// What it must be, such as `it must be at least 1`.
        rule: String,
    },
    /// An encoder without another one to be compared with.
    #[error("{backbone} has no encoder {baseline} on {dataset}, with which {encoder} could be compared")]
    NoBaseline {
        /// The encoder to be compared.
        encoder: String,
        /// Its backbone.
        backbone: String,
        /// The dataset.
        dataset: String,
        /// The encoder that is missing.
        baseline: String,
    },
    /// The computation was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// How many values there are, where they lie and how far they spread.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// How many values.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// The population standard deviation (divisor n).
    pub population_sd: f64,
    /// The sample standard deviation (divisor n - 1); none for a single value.
    pub sd: Option<f64>,
    /// The standard error of the mean, `sd` / sqrt(n); none for a single value.
    pub se: Option<f64>,
}

impl Summary {
    /// Mean and spread of the values. O(n).
    ///
    /// # Errors
    /// No values; a value that is not finite; values so large that the result is not.
    pub fn of(values: &[f64]) -> Result<Summary, StatsError> {
        check("values", values, 1)?;
        let count = values.len();
        let mean = mean(values);
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        finite("values", squares)?;
        let sd = (count > 1).then(|| (squares / (count - 1) as f64).sqrt());
        let se = sd.map(|sd| sd / (count as f64).sqrt());
        Ok(Summary { count, mean, population_sd: (squares / count as f64).sqrt(), sd, se })
    }
}

/// The mean, corrected by the mean of the deviations from it: right to the last digits, and exactly the value where all
/// are equal.
fn mean(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let about = values.iter().sum::<f64>() / count;
    about + values.iter().map(|value| value - about).sum::<f64>() / count
}

/// At least `needed` values, all of them finite.
fn check(argument: &'static str, values: &[f64], needed: usize) -> Result<(), StatsError> {
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        return Err(StatsError::NotFinite { argument, index, value: values[index] });
    }
    if values.len() < needed {
        return Err(StatsError::TooFew { argument, values: values.len(), needed });
    }
    Ok(())
}

/// Two samples `a` and `b` of one length, at least `needed`, all finite.
fn check_pairs(a: &[f64], b: &[f64], needed: usize) -> Result<(), StatsError> {
    if a.len() != b.len() {
        return Err(StatsError::Lengths { first: "a", first_values: a.len(), second: "b", second_values: b.len() });
    }
    check("a", a, needed)?;
    check("b", b, needed)
}

fn check_level(level: f64) -> Result<(), StatsError> {
    if level > 0.0 && level < 1.0 {
        return Ok(());
    }
    let rule = "it must be between 0 and 1, both excluded".to_owned();
    Err(StatsError::Parameter { parameter: "level", value: level.to_string(), rule })
}

/// The result, unless it overflowed.
fn finite(argument: &'static str, result: f64) -> Result<f64, StatsError> {
    if result.is_finite() { Ok(result) } else { Err(StatsError::TooLarge { argument }) }
}

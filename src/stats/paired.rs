//! Tests of paired samples: Student's t, and Wilcoxon's signed ranks.

use super::distributions::{normal_sf, student_t_quantile, student_t_two_sided};
use super::ranks::doubled_ranks;
use super::{StatsError, check_pairs, finite, mean};

/// Which departures from equality count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alternative {
    /// Either way.
    #[default]
    TwoSided,
    /// The first sample is greater.
    Greater,
    /// The first sample is less.
    Less,
}

/// The result of [`ttest_rel`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TTest {
    /// The mean difference in units of its standard error.
    pub statistic: f64,
    /// The degrees of freedom, n - 1.
    pub df: f64,
    /// The two-sided p-value.
    pub p_value: f64,
    /// The mean of a - b.
    pub mean_difference: f64,
    /// The standard error of the mean difference.
    pub standard_error: f64,
}

impl TTest {
    /// The interval that covers the true mean difference with probability `level`.
    ///
    /// # Errors
    /// `level` is not between 0 and 1, both excluded.
    pub fn confidence_interval(&self, level: f64) -> Result<(f64, f64), StatsError> {
        let half = student_t_quantile(level, self.df)? * self.standard_error;
        Ok((self.mean_difference - half, self.mean_difference + half))
    }
}

/// Student's t test of two paired samples: is the mean of a - b zero (`scipy.stats.ttest_rel`)? O(n).
///
/// # Errors
/// The samples differ in length or have fewer than 2 values; a value that is not finite; differences that are all
/// equal, or not finite.
pub fn ttest_rel(a: &[f64], b: &[f64]) -> Result<TTest, StatsError> {
    check_pairs(a, b, 2)?;
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    if differences.iter().all(|&difference| difference == differences[0]) {
        return Err(StatsError::Constant { argument: "a - b" });
    }
    let count = differences.len() as f64;
    let mean_difference = finite("a - b", mean(&differences))?;
    let squares = differences.iter().map(|difference| (difference - mean_difference).powi(2)).sum::<f64>();
    if squares == 0.0 {
        return Err(StatsError::Constant { argument: "a - b" });
    }
    let standard_error = finite("a - b", (squares / (count - 1.0) / count).sqrt())?;
    let (statistic, df) = (mean_difference / standard_error, count - 1.0);
    let p_value = student_t_two_sided(statistic, df);
    Ok(TTest { statistic, df, p_value, mean_difference, standard_error })
}

/// How a p-value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WilcoxonMethod {
    /// By the distribution over all signs.
    Exact,
    /// By a normal distribution with the same mean and variance.
    Normal,
}

/// The result of [`wilcoxon`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wilcoxon {
    /// The sum of the ranks of positive differences; for the two-sided test the smaller of the sums of positive and
    /// of negative ones.
    pub statistic: f64,
    /// The probability of a statistic at least as extreme if the signs of the differences are chance.
    pub p_value: f64,
    /// The pairs that differ; the others were left out.
    pub count: usize,
    /// How the p-value was found.
    pub method: WilcoxonMethod,
}

/// More pairs than these are never tested exactly, as in SciPy.
const MOST_EXACT: usize = 50;
/// More pairs than these are not tested exactly if there are ties or zeros, as in SciPy.
const MOST_EXACT_WITH_TIES: usize = 13;

/// Wilcoxon's signed-rank test of two paired samples: are the differences a - b symmetric around 0?
///
/// As `scipy.stats.wilcoxon` by default: pairs without a difference are left out; the p-value is exact for up to 50
/// pairs, or up to 13 if differences are zero or equal in size; otherwise it comes from the normal approximation,
/// corrected for ties and not for continuity. O(n log n), and O(n³) where exact.
///
/// # Errors
/// The samples differ in length or are empty; a value that is not finite; no pair that differs.
pub fn wilcoxon(a: &[f64], b: &[f64], alternative: Alternative) -> Result<Wilcoxon, StatsError> {
    check_pairs(a, b, 1)?;
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).filter(|&difference| difference != 0.0).collect();
    if differences.is_empty() {
        return Err(StatsError::Constant { argument: "a - b" });
    }
    if differences.iter().any(|difference| !difference.is_finite()) {
        return Err(StatsError::TooLarge { argument: "a - b" });
    }
    let sizes: Vec<f64> = differences.iter().map(|difference| difference.abs()).collect();
    let (ranks, groups) = doubled_ranks(&sizes);
    // Twice the sums of ranks: ties give halves.
    let plus: u64 = ranks.iter().zip(&differences).filter(|(_, difference)| **difference > 0.0).map(|(r, _)| r).sum();
    let all: u64 = ranks.iter().sum();
    let untied = differences.len() == a.len() && groups.len() == differences.len();
    let exact = a.len() <= if untied { MOST_EXACT } else { MOST_EXACT_WITH_TIES };
    let (method, greater, less) = if exact {
        let (greater, less) = exact_tails(&ranks, plus as usize, all as usize);
        (WilcoxonMethod::Exact, greater, less)
    } else {
        let z = normal_score(differences.len(), &groups, plus);
        (WilcoxonMethod::Normal, normal_sf(z), normal_sf(-z))
    };
    let (twice, p_value) = match alternative {
        Alternative::TwoSided => (plus.min(all - plus), (2.0 * greater.min(less)).min(1.0)),
        Alternative::Greater => (plus, greater),
        Alternative::Less => (plus, less),
    };
    Ok(Wilcoxon { statistic: twice as f64 / 2.0, p_value, count: differences.len(), method })
}

/// P(sum ≥ `plus`) and P(sum ≤ `plus`) of the ranks with positive sign, over all 2^n signs.
fn exact_tails(ranks: &[u64], plus: usize, all: usize) -> (f64, f64) {
    // In how many ways each sum comes about: at most 2^50, which 64-bit floats count exactly.
    let mut ways = vec![0.0_f64; all + 1];
    ways[0] = 1.0;
    let mut most = 0;
    for &rank in ranks {
        let rank = rank as usize;
        most += rank;
        for sum in (rank..=most).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    let signs = (ranks.len() as f64).exp2();
    (ways[plus..].iter().sum::<f64>() / signs, ways[..=plus].iter().sum::<f64>() / signs)
}

/// How many standard deviations the sum of positive ranks lies above its mean.
fn normal_score(count: usize, groups: &[u64], doubled_plus: u64) -> f64 {
    let n = count as f64;
    let ties: f64 = groups.iter().map(|&size| (size as f64).powi(3) - size as f64).sum();
    let variance = (n * (n + 1.0) * (2.0 * n + 1.0) - ties / 2.0) / 24.0;
    (doubled_plus as f64 / 2.0 - n * (n + 1.0) / 4.0) / variance.sqrt()
}

//! Pearson's and Spearman's correlation.

use super::distributions::two_sided_of_ratio;
use super::ranks::doubled_ranks;
use super::{StatsError, check_pairs, finite, mean};

/// A correlation coefficient, and how often chance alone would give one as far from 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correlation {
    /// The coefficient, from -1 to 1.
    pub statistic: f64,
    /// Two-sided: the probability of a coefficient at least as far from 0 if the samples are independent.
    pub p_value: f64,
}

/// Pearson's correlation r of two samples of one length; the p-value is exact for normal ones, from Student's t with
/// n - 2 degrees of freedom, and 1 for two pairs (`scipy.stats.pearsonr`). O(n).
///
/// # Errors
/// The samples differ in length or have fewer than 2 values; a value that is not finite; a constant sample; values
/// too large to be summed.
pub fn pearsonr(a: &[f64], b: &[f64]) -> Result<Correlation, StatsError> {
    check_pairs(a, b, 2)?;
    let (a, b) = (direction("a", a)?, direction("b", b)?);
    let statistic = a.iter().zip(&b).map(|(a, b)| a * b).sum::<f64>().clamp(-1.0, 1.0);
    if a.len() == 2 {
        return Ok(Correlation { statistic: statistic.signum(), p_value: 1.0 });
    }
    Ok(Correlation { statistic, p_value: p_value(statistic, a.len()) })
}

/// Spearman's correlation ρ: Pearson's of the ranks, equal values sharing the mean of theirs; the p-value is from
/// Student's t with n - 2 degrees of freedom, an approximation (`scipy.stats.spearmanr`). O(n log n).
///
/// The coefficient comes from whole numbers: it is 1 or -1 exactly for monotone samples.
///
/// # Errors
/// The samples differ in length or have fewer than 3 values, for which there is no p-value; a value that is not finite;
/// a constant sample.
pub fn spearmanr(a: &[f64], b: &[f64]) -> Result<Correlation, StatsError> {
    check_pairs(a, b, 3)?;
    let (a, b) = (centred_ranks(a), centred_ranks(b));
    let product =
        |a: &[i64], b: &[i64]| a.iter().zip(b).map(|(&a, &b)| i128::from(a) * i128::from(b)).sum::<i128>() as f64;
    let (aa, bb) = (product(&a, &a), product(&b, &b));
    for (argument, squares) in [("a", aa), ("b", bb)] {
        if squares == 0.0 {
            return Err(StatsError::Constant { argument });
        }
    }
    let length = if aa == bb { aa } else { aa.sqrt() * bb.sqrt() };
    let statistic = (product(&a, &b) / length).clamp(-1.0, 1.0);
    Ok(Correlation { statistic, p_value: p_value(statistic, a.len()) })
}

/// P(|T| > t) for t = r √(df / (1 - r²)) and df = n - 2.
fn p_value(r: f64, n: usize) -> f64 {
    two_sided_of_ratio(r / ((1.0 - r) * (1.0 + r)).sqrt(), (n - 2) as f64)
}

/// The deviations from the mean, brought to length 1.
fn direction(argument: &'static str, values: &[f64]) -> Result<Vec<f64>, StatsError> {
    if values.iter().all(|&value| value == values[0]) {
        return Err(StatsError::Constant { argument });
    }
    let mean = finite(argument, mean(values))?;
    let mut deviations: Vec<f64> = values.iter().map(|value| value - mean).collect();
    // By the largest one first: the squares of tiny deviations would vanish, those of huge ones overflow.
    let largest = finite(argument, deviations.iter().fold(0.0, |most: f64, deviation| most.max(deviation.abs())))?;
    let length = largest * deviations.iter().map(|value| (value / largest).powi(2)).sum::<f64>().sqrt();
    finite(argument, length)?;
    deviations.iter_mut().for_each(|deviation| *deviation /= length);
    Ok(deviations)
}

/// Twice the ranks minus their mean.
fn centred_ranks(values: &[f64]) -> Vec<i64> {
    let centre = values.len() as i64 + 1;
    doubled_ranks(values).0.into_iter().map(|rank| rank as i64 - centre).collect()
}

//! Tails and quantiles of the normal and of Student's t distribution. Tails are computed as such, never as 1 minus
//! something, so that the smallest of them keep all their digits.

use std::f64::consts::PI;

use super::{StatsError, check_level};

/// Terms of a series or continued fraction after which it must have ended: more than any argument needs.
const MOST_TERMS: usize = 10_000_000;

/// P(Z > z) for a standard normal Z, accurate to about 1e-14 of itself. O(1).
pub fn normal_sf(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - normal_sf(-z);
    }
    // z² in two parts: what its rounding loses would be multiplied by the exponent.
    let square = z * z;
    let rest = z.mul_add(z, -square);
    if square == f64::INFINITY {
        return 0.0;
    }
    let density = (-square / 2.0).exp() * (-rest / 2.0).exp() / (2.0 * PI).sqrt();
    if z < 2.0 {
        // ½ - φ(z) (z + z³/3 + z⁵/15 + ...), all terms positive.
        let (mut term, mut sum) = (z, z);
        for k in 1..MOST_TERMS {
            term *= square / (2 * k + 1) as f64;
            sum += term;
            if term <= sum * f64::EPSILON / 4.0 {
                break;
            }
        }
        return 0.5 - density * sum;
    }
    // Laplace's continued fraction of Mills' ratio, 1/(z + 1/(z + 2/(z + 3/...))).
    density / fraction(z, |k| (k as f64, z))
}

/// z with P(Z > z) = `upper` for a standard normal Z, accurate to about 1e-14. O(1).
///
/// # Errors
/// `upper` is not between 0 and 1, both excluded.
pub fn normal_quantile(upper: f64) -> Result<f64, StatsError> {
    if !(upper > 0.0 && upper < 1.0) {
        let rule = "it must be between 0 and 1, both excluded".to_owned();
        return Err(StatsError::Parameter { parameter: "upper", value: upper.to_string(), rule });
    }
    if upper > 0.5 {
        return Ok(-normal_quantile(1.0 - upper)?);
    }
    // Newton's method for ln P(Z > z), which is concave: from above it comes nearer with every step. P(Z > z) is at
    // most
    // ½ exp(-z²/2), so this is above.
    let mut z = (-2.0 * (2.0 * upper).ln()).max(0.0).sqrt();
    for _ in 0..200 {
        let tail = normal_sf(z);
        let density = (-z * z / 2.0).exp() / (2.0 * PI).sqrt();
        if tail == 0.0 || density == 0.0 {
            break;
        }
        let step = (tail / upper).ln() * tail / density;
        z += step;
        if step.abs() <= 1e-16 + 2.0 * f64::EPSILON * z.abs() {
            break;
        }
    }
    Ok(z)
}

/// P(|T| > |t|) for Student's t with `df` > 0 degrees of freedom, accurate to about 1e-12 of itself. O(√df).
pub fn student_t_two_sided(t: f64, df: f64) -> f64 {
    two_sided_of_ratio(t / df.sqrt(), df)
}

/// t with P(|T| > t) = 1 - `level`: half the width of a confidence interval in standard errors. O(√df).
///
/// # Errors
/// `level` is not between 0 and 1, both excluded.
pub fn student_t_quantile(level: f64, df: f64) -> Result<f64, StatsError> {
    check_level(level)?;
    // By halving on the scale of ln t, on which any quantile is near: the tails may be those of Cauchy's distribution.
    let (mut low, mut high) = (-800.0_f64, 800.0_f64);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        let above = student_t_two_sided(middle.exp(), df) > 1.0 - level;
        (low, high) = if above { (middle, high) } else { (low, middle) };
    }
    Ok(f64::midpoint(low, high).exp())
}

/// P(|T| > t) for t = `ratio` √df: the regularised incomplete beta function I_x(df/2, 1/2) at x = 1 / (1 + ratio²).
pub(super) fn two_sided_of_ratio(ratio: f64, df: f64) -> f64 {
    let ratio = ratio.abs();
    if ratio == 0.0 {
        return 1.0;
    }
    if ratio == f64::INFINITY {
        return 0.0;
    }
    let (square, inverse) = (ratio * ratio, 1.0 / ratio / ratio);
    let (x, y) = (1.0 / (1.0 + square), 1.0 / (1.0 + inverse));
    let (ln_x, ln_y) = if ratio < 1.0 {
        (-square.ln_1p(), 2.0 * ratio.ln() - square.ln_1p())
    } else {
        (-2.0 * ratio.ln() - inverse.ln_1p(), -inverse.ln_1p())
    };
    let a = df / 2.0;
    let front = (a * ln_x + 0.5 * ln_y - ln_beta_half(a)).exp();
    if x < (a + 1.0) / (a + 2.5) {
        front / a / beta_fraction(a, 0.5, x)
    } else {
        1.0 - front / 0.5 / beta_fraction(0.5, a, y)
    }
}

/// The continued fraction of the incomplete beta function (DLMF 8.17.22): I_x(a, b) = x^a (1-x)^b / (a B(a, b) f).
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    fraction(1.0, |k| {
        let m = (k / 2) as f64;
        let numerator = if k % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        (numerator, 1.0)
    })
}

/// first + n₁/(d₁ + n₂/(d₂ + ...)) by Lentz's method; `part` gives nₖ and dₖ for k = 1, 2, ...
fn fraction(first: f64, part: impl Fn(usize) -> (f64, f64)) -> f64 {
    const TINY: f64 = 1e-300;
    let not_zero = |value: f64| if value == 0.0 { TINY } else { value };
    let mut value = not_zero(first);
    let (mut upper, mut lower) = (value, 0.0);
    for k in 1..MOST_TERMS {
        let (numerator, denominator) = part(k);
        lower = 1.0 / not_zero(denominator + numerator * lower);
        upper = not_zero(denominator + numerator / upper);
        let factor = upper * lower;
        value *= factor;
        if (factor - 1.0).abs() <= f64::EPSILON {
            break;
        }
    }
    value
}

/// ln B(a, 1/2). The gamma functions are never computed by themselves: for large a, their ratio would lose its digits.
fn ln_beta_half(a: f64) -> f64 {
    // Γ(a) / Γ(a + ½) at an a of at least 16, where Stirling's series is exact, and back down by the recurrence.
    let (mut large, mut steps) = (a, 1.0);
    while large < 16.0 {
        steps *= (large + 0.5) / large;
        large += 1.0;
    }
    let ratio = 0.5 - large * (0.5 / large).ln_1p() - 0.5 * large.ln() + correction(large) - correction(large + 0.5);
    // (large - ½) ln(large) - large - (large ln(large + ½) - large - ½), written without differences of large numbers.
    0.5 * PI.ln() + ratio + f64::ln(steps)
}

/// ln Γ(z) less (z - ½) ln z - z + ½ ln 2π, for z of at least 16.
fn correction(z: f64) -> f64 {
    let inverse = 1.0 / (z * z);
    let series = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0, 1.0 / 156.0];
    series.iter().rev().fold(0.0, |sum, term| sum * inverse + term) / z
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::close;

    /// The expected values are erfc(x / sqrt(2)) / 2 by mpmath 1.4 with 40 digits.
    #[test]
    fn normal_tails() {
        close(normal_sf(0.0), 0.5, 0.0, 0.0, "0");
        close(normal_sf(1.0), 0.158_655_253_931_457_05, 1e-14, 0.0, "1");
        close(normal_sf(-1.0), 0.841_344_746_068_542_9, 1e-14, 0.0, "-1");
        close(normal_sf(1.96), 0.024_997_895_148_220_43, 1e-14, 0.0, "1.96");
        close(normal_sf(2.0), 0.022_750_131_948_179_21, 1e-14, 0.0, "2");
        close(normal_sf(5.0), 2.866_515_718_791_939e-7, 1e-14, 0.0, "5");
        close(normal_sf(10.0), 7.619_853_024_160_527e-24, 1e-14, 0.0, "10");
        close(normal_sf(37.0), 5.725_571_222_524_577e-300, 1e-13, 0.0, "37");
        assert_eq!(normal_sf(1e200), 0.0);
        assert_eq!(normal_sf(-50.0), 1.0);
    }

    #[test]
    fn quantiles_undo_tails() {
        close(normal_quantile(0.025).expect("valid"), 1.959_963_984_540_054, 1e-14, 0.0, "0.025");
        close(normal_quantile(0.975).expect("valid"), -1.959_963_984_540_054, 1e-14, 0.0, "0.975");
        assert_eq!(normal_quantile(0.5), Ok(0.0));
        for exponent in 1..300 {
            let upper = 0.3 * 10_f64.powi(-exponent);
            close(normal_sf(normal_quantile(upper).expect("valid")), upper, 1e-12, 0.0, "normal");
        }
        close(student_t_quantile(0.95, 10.0).expect("valid"), 2.228_138_851_986_273_5, 1e-13, 0.0, "t 10");
        close(student_t_quantile(0.95, 1.0).expect("valid"), 12.706_204_736_174_7, 1e-13, 0.0, "t 1");
        close(student_t_quantile(0.5, 1.0).expect("valid"), 1.0, 1e-13, 0.0, "quartile of Cauchy");
        for level in [0.0, 1.0, -1.0, f64::NAN] {
            assert!(student_t_quantile(level, 3.0).expect_err("no level").to_string().starts_with("level = "));
            assert!(normal_quantile(level).expect_err("no tail").to_string().starts_with("upper = "));
        }
    }

    /// Closed forms: df = 1 is Cauchy's distribution, df = 2 algebraic, and many df approach the normal.
    #[test]
    fn t_tails() {
        for exponent in -8..300 {
            let t = 1.7 * 10_f64.powi(exponent);
            close(student_t_two_sided(t, 1.0), (1.0 / t).atan() * 2.0 / PI, 5e-13, 0.0, "df 1");
            let root = (2.0 + t * t).sqrt();
            let two = if exponent < 150 { 2.0 / (root * (root + t)) } else { 1.0 / t / t };
            if two > 1e-300 {
                close(student_t_two_sided(t, 2.0), two, 5e-13, 0.0, "df 2");
            }
            assert!(student_t_two_sided(t, 1e5).is_finite());
        }
        assert_eq!(student_t_two_sided(0.0, 3.0), 1.0);
        assert_eq!(student_t_two_sided(f64::INFINITY, 3.0), 0.0);
        for z in [0.01, 0.5, 1.0, 3.0, 8.0] {
            close(student_t_two_sided(z, 1e10), 2.0 * normal_sf(z), 1e-6, 0.0, "df large");
        }
    }

    #[test]
    fn beta_function() {
        // B(½, ½) = π, B(1, ½) = 2, B(2, ½) = 4/3.
        close(ln_beta_half(0.5), PI.ln(), 0.0, 1e-14, "1/2");
        close(ln_beta_half(1.0), std::f64::consts::LN_2, 0.0, 1e-14, "1");
        close(ln_beta_half(2.0), (4.0_f64 / 3.0).ln(), 0.0, 1e-14, "2");
        // Asymptotically sqrt(π/a) (1 + 1/(8a) + ...).
        close(ln_beta_half(1e8), 0.5 * (PI / 1e8).ln() + 1.25e-9, 0.0, 1e-14, "large");
    }
}

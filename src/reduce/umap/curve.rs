//! The two numbers a and b of the curve 1 / (1 + a x^2b) that says how near two points of the embedding are.

use crate::reduce::ReduceError;

/// Places where the curve is fitted, as in umap-learn.
const SAMPLES: usize = 300;
/// Steps of the fit at most; some twenty are needed.
const MAX_STEPS: usize = 500;

/// The a and b for which 1 / (1 + a x^2b) is nearest, by least squares at 300 places from 0 to 3 `spread`, to a curve
/// that is 1 up to `min_dist` and exp(-(x - min_dist) / spread) beyond: umap-learn's `find_ab_params`.
///
/// Levenberg-Marquardt from a = b = 1.
///
/// # Errors
/// `spread` not positive, `min_dist` negative or greater than `spread`, one of them not a finite number, or so extreme
/// that no curve comes near.
pub fn find_ab_params(spread: f64, min_dist: f64) -> Result<(f64, f64), ReduceError> {
    super::require(spread.is_finite() && spread > 0.0, "spread", spread, "it must be a positive number")?;
    super::require(min_dist.is_finite() && min_dist >= 0.0, "min_dist", min_dist, "it must be a number from 0")?;
    if min_dist > spread {
        super::require(false, "min_dist", min_dist, &format!("it must be at most spread = {spread}"))?;
    }
    let x: Vec<f64> = (0..SAMPLES).map(|at| 3.0 * spread * at as f64 / (SAMPLES - 1) as f64).collect();
    let target = |x: f64| if x < min_dist { 1.0 } else { (-(x - min_dist) / spread).exp() };
    let y: Vec<f64> = x.iter().map(|&x| target(x)).collect();
    let (mut a, mut b) = (1.0, 1.0);
    let mut error = squares(&x, &y, a, b);
    let mut damping = 1e-3;
    for _ in 0..MAX_STEPS {
        let Normal { aa, ab, bb, ga, gb } = normal_equations(&x, &y, a, b);
        let (daa, dbb) = (aa * (1.0 + damping), bb * (1.0 + damping));
        let determinant = daa * dbb - ab * ab;
        let (step_a, step_b) = ((dbb * ga - ab * gb) / determinant, (daa * gb - ab * ga) / determinant);
        let (next_a, next_b) = (a + step_a, b + step_b);
        let next = if next_a > 0.0 && next_b > 0.0 { squares(&x, &y, next_a, next_b) } else { f64::INFINITY };
        // Also false for a NaN.
        if next <= error {
            let small = step_a.abs() <= 1e-10 * a && step_b.abs() <= 1e-10 * b;
            (a, b, error) = (next_a, next_b, next);
            if small {
                break;
            }
            damping = (damping * 0.1).max(1e-12);
        } else {
            damping *= 10.0;
            if damping > 1e12 {
                break;
            }
        }
    }
    // The optimiser works in 32 bits.
    super::require((a as f32) > 0.0 && a < 1e12 && b < 100.0, "spread", spread, "no curve fits it")?;
    Ok((a, b))
}

/// The sum of the squared differences of the curve and `y`.
fn squares(x: &[f64], y: &[f64], a: f64, b: f64) -> f64 {
    x.iter().zip(y).map(|(&x, y)| (1.0 / (1.0 + a * x.powf(2.0 * b)) - y).powi(2)).sum()
}

/// J^T J and J^T (y - curve) for the derivatives J of the curve by a and b.
struct Normal {
    aa: f64,
    ab: f64,
    bb: f64,
    ga: f64,
    gb: f64,
}

fn normal_equations(x: &[f64], y: &[f64], a: f64, b: f64) -> Normal {
    let mut sums = Normal { aa: 0.0, ab: 0.0, bb: 0.0, ga: 0.0, gb: 0.0 };
    // At x = 0 the curve is 1 whatever a and b are.
    for (&x, y) in x.iter().zip(y).filter(|(x, _)| **x > 0.0) {
        let power = x.powf(2.0 * b);
        let value = 1.0 / (1.0 + a * power);
        let by_a = -power * value * value;
        let by_b = a * by_a * 2.0 * x.ln();
        sums.aa += by_a * by_a;
        sums.ab += by_a * by_b;
        sums.bb += by_b * by_b;
        sums.ga += by_a * (y - value);
        sums.gb += by_b * (y - value);
    }
    sums
}

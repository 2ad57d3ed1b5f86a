//! The limited-memory quasi-Newton method L-BFGS for smooth convex functions: Nocedal and Wright, "Numerical
//! Optimization", algorithms 7.4 and 7.5, with a line search for the strong Wolfe conditions.
//!
//! The function is given in two precisions. The first one is cheap, and left when it has nothing more to tell.

use super::ProbeError;

/// Pairs of steps and gradient changes that are remembered; as in SciPy.
const MEMORY: usize = 10;
/// Values tried along one direction at most.
const TRIALS: usize = 25;
/// The share of the expected decrease that a step must bring.
const DECREASE: f64 = 1e-4;
/// The share of the slope that may be left after a step.
const SLOPE_LEFT: f64 = 0.9;
/// A relative decrease that is not worth another step: SciPy's 64 machine epsilons.
const NO_DECREASE: f64 = 64.0 * f64::EPSILON;
/// Steps in a row that may be worth nothing.
const PATIENCE: usize = 5;
/// In 32 bits, gradients below this share of the first one are mostly rounding errors.
const SINGLE_FLOOR: f64 = 1e-5;

/// How exactly a value and a gradient are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precision {
    Single,
    Double,
}

impl Precision {
    /// How far off, relatively, a value may be.
    fn slack(self) -> f64 {
        match self {
            Precision::Single => 1e-6,
            Precision::Double => 1e-14,
        }
    }
}

/// What is minimised.
pub(super) trait Function {
    /// The value at a place; the gradient there is written to `gradient`.
    fn evaluate(&mut self, at: &[f64], precision: Precision, gradient: &mut [f64]) -> Result<f64, ProbeError>;

    /// The size of a gradient that `tolerance` is compared with.
    fn size(&self, gradient: &[f64]) -> f64;

    /// Called after each step; an error ends the search.
    fn stepped(&mut self) -> Result<(), ProbeError>;
}

/// Where the search ended.
pub(super) struct Minimum {
    pub(super) at: Vec<f64>,
    pub(super) steps: usize,
    /// The gradient is within the tolerance, or 64 bits do not tell where to go on.
    pub(super) converged: bool,
}

/// Minimises from `start`. `scale` is a guess of the inverse of the Hessian's diagonal; only its proportions matter.
pub(super) fn minimise(
    function: &mut impl Function,
    start: Vec<f64>,
    scale: &[f64],
    tolerance: f64,
    max_steps: usize,
) -> Result<Minimum, ProbeError> {
    let mut precision = Precision::Single;
    let mut at = start;
    let mut gradient = vec![0.0; at.len()];
    let mut value = function.evaluate(&at, precision, &mut gradient)?;
    let first_size = function.size(&gradient);
    let mut memory = Memory::new(scale);
    let (mut steps, mut idle, mut best_size) = (0, 0, first_size);
    let mut converged = false;
    loop {
        let size = function.size(&gradient);
        if size <= tolerance {
            converged = true;
            break;
        }
        if precision == Precision::Single && size <= SINGLE_FLOOR * first_size {
            precision = Precision::Double;
            value = function.evaluate(&at, precision, &mut gradient)?;
            continue;
        }
        if steps == max_steps {
            break;
        }
        let direction = memory.direction(&gradient);
        let Some(step) = search(function, precision, &at, value, &gradient, &direction, memory.is_empty())? else {
            // Without a usable direction, start afresh; without one from scratch, more exactly; else this is the end.
            if !memory.is_empty() {
                memory.clear();
            } else if precision == Precision::Single {
                precision = Precision::Double;
                value = function.evaluate(&at, precision, &mut gradient)?;
            } else {
                converged = true;
                break;
            }
            continue;
        };
        steps += 1;
        function.stepped()?;
        let decrease = (value - step.value) / value.abs().max(step.value.abs()).max(f64::MIN_POSITIVE);
        memory.learn(&at, &step.at, &gradient, &step.gradient);
        (at, value, gradient) = (step.at, step.value, step.gradient);
        // The value's digits run out before the gradient's do: as long as one of them gets better, there is a way.
        let size = function.size(&gradient);
        let better = decrease > NO_DECREASE || size < 0.9 * best_size;
        idle = if precision == Precision::Single || better { 0 } else { idle + 1 };
        best_size = best_size.min(size);
        if idle == PATIENCE {
            converged = true;
            break;
        }
    }
    Ok(Minimum { at, steps, converged })
}

/// A place along the direction that meets the strong Wolfe conditions.
struct Step {
    at: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

/// A step tried: how far, and value and slope there.
#[derive(Clone, Copy)]
struct Trial {
    length: f64,
    value: f64,
    slope: f64,
}

/// Brackets a step, then closes in on it. None where the direction does not descend or no trial was good enough.
fn search(
    function: &mut impl Function,
    precision: Precision,
    from: &[f64],
    value: f64,
    gradient: &[f64],
    direction: &[f64],
    first: bool,
) -> Result<Option<Step>, ProbeError> {
    let start = Trial { length: 0.0, value, slope: dot(gradient, direction) };
    if start.slope.is_nan() || start.slope >= 0.0 {
        return Ok(None);
    }
    // Near the minimum the value's digits run out before the slope's do.
    let slack = precision.slack() * value.abs();
    let mut low = start;
    let mut high: Option<Trial> = None;
    let mut length = if first { first_length(function, gradient, direction) } else { 1.0 };
    let mut step = Step { at: vec![0.0; from.len()], value: 0.0, gradient: vec![0.0; from.len()] };
    for _ in 0..TRIALS {
        for ((at, from), direction) in step.at.iter_mut().zip(from).zip(direction) {
            *at = from + length * direction;
        }
        step.value = function.evaluate(&step.at, precision, &mut step.gradient)?;
        let trial = Trial { length, value: step.value, slope: dot(&step.gradient, direction) };
        let usable = trial.value.is_finite() && trial.slope.is_finite();
        let bound = start.value + DECREASE * length * start.slope + slack;
        if !usable || trial.value > bound || trial.value > low.value + slack {
            high = Some(trial);
        } else if trial.slope.abs() <= SLOPE_LEFT * start.slope.abs() {
            return Ok(Some(step));
        } else {
            let turned = match high {
                Some(high) => trial.slope * (high.length - low.length) >= 0.0,
                None => trial.slope >= 0.0,
            };
            if turned {
                high = Some(low);
            }
            low = trial;
        }
        length = match high {
            Some(high) => between(low, high),
            None => 4.0 * length,
        };
        if high.is_some_and(|high| (high.length - low.length).abs() <= 1e-14 * low.length.abs().max(high.length)) {
            break;
        }
    }
    Ok(None)
}

/// Without a memory the direction's length means nothing: move the largest scaled coordinate by about 1.
fn first_length(function: &impl Function, gradient: &[f64], direction: &[f64]) -> f64 {
    let size = function.size(gradient).max(f64::MIN_POSITIVE);
    let longest = direction.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    (1.0 / longest.max(f64::MIN_POSITIVE)).min(1.0 / size).min(1.0)
}

/// The minimum of the cubic through two trials, kept off the ends; the middle where there is none.
fn between(low: Trial, high: Trial) -> f64 {
    let width = high.length - low.length;
    let middle = low.length + 0.5 * width;
    if !(high.value.is_finite() && high.slope.is_finite()) {
        return low.length + 0.1 * width;
    }
    let a = low.slope + high.slope - 3.0 * (high.value - low.value) / width;
    let square = a * a - low.slope * high.slope;
    if square.is_nan() || square < 0.0 {
        return middle;
    }
    let b = width.signum() * square.sqrt();
    let length = high.length - width * (high.slope + b - a) / (high.slope - low.slope + 2.0 * b);
    let share = (length - low.length) / width;
    if share.is_finite() { low.length + width * share.clamp(0.1, 0.9) } else { middle }
}

/// What past steps tell about the curvature.
struct Memory<'scale> {
    scale: &'scale [f64],
    /// Step, change of the gradient, and 1 / their product; oldest first.
    pairs: std::collections::VecDeque<(Vec<f64>, Vec<f64>, f64)>,
    /// What `scale` is multiplied by.
    gamma: f64,
}

impl<'scale> Memory<'scale> {
    fn new(scale: &'scale [f64]) -> Self {
        Memory { scale, pairs: std::collections::VecDeque::new(), gamma: 1.0 }
    }

    fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    fn clear(&mut self) {
        self.pairs.clear();
        self.gamma = 1.0;
    }

    /// The two-loop recursion: minus the inverse Hessian times the gradient.
    fn direction(&self, gradient: &[f64]) -> Vec<f64> {
        let mut direction = gradient.to_vec();
        let mut shares = Vec::with_capacity(self.pairs.len());
        for (step, change, inverse) in self.pairs.iter().rev() {
            let share = inverse * dot(step, &direction);
            add(&mut direction, -share, change);
            shares.push(share);
        }
        direction.iter_mut().zip(self.scale).for_each(|(value, scale)| *value *= self.gamma * scale);
        for ((step, change, inverse), share) in self.pairs.iter().zip(shares.into_iter().rev()) {
            let correction = share - inverse * dot(change, &direction);
            add(&mut direction, correction, step);
        }
        direction.iter_mut().for_each(|value| *value = -*value);
        direction
    }

    fn learn(&mut self, old: &[f64], new: &[f64], old_gradient: &[f64], new_gradient: &[f64]) {
        let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
        let (step, change) = (difference(new, old), difference(new_gradient, old_gradient));
        let product = dot(&step, &change);
        let scaled: f64 = change.iter().zip(self.scale).map(|(change, scale)| change * change * scale).sum();
        // Rounding can take the curvature away; such a pair would spoil the directions.
        if product > f64::EPSILON * scaled && product.is_normal() {
            if self.pairs.len() == MEMORY {
                self.pairs.pop_front();
            }
            self.gamma = product / scaled;
            self.pairs.push_back((step, change, 1.0 / product));
        }
    }
}

/// Eight sums side by side, so that the compiler makes vector code.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a_chunks, b_chunks) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a_chunks.0.iter().zip(b_chunks.0) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + a_chunks.1.iter().zip(b_chunks.1).map(|(a, b)| a * b).sum::<f64>()
}

fn add(sums: &mut [f64], factor: f64, values: &[f64]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * value);
}

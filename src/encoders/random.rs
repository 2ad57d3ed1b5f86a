//! Weights drawn from a seed: the same numbers on every machine.
//!
//! Each tensor has a generator of its own, keyed by seed and name, so that neither the order of drawing nor the number of
//! threads matters. Only operations that IEEE 754 fixes are used: `f64::ln` differs between systems in the last bit, so
//! there is one here.

use std::f64::consts::{LN_2, SQRT_2};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use rayon::prelude::*;

/// A distribution that a tensor starts from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Init {
    Zeros,
    Ones,
    Constant(f64),
    /// Around zero with this standard deviation.
    Normal(f64),
    /// Between minus and plus this bound.
    Uniform(f64),
}

impl Init {
    /// `kaiming_normal_(mode="fan_out", nonlinearity="relu")` for a convolution of shape out × in × height × width.
    pub(crate) fn kaiming_fan_out(shape: [i64; 4]) -> Init {
        Init::Normal((2.0 / (shape[0] * shape[2] * shape[3]) as f64).sqrt())
    }

    /// `xavier_uniform_` for a matrix of shape out × in.
    pub(crate) fn xavier_uniform(shape: [i64; 2]) -> Init {
        Init::Uniform((6.0 / (shape[0] + shape[1]) as f64).sqrt())
    }

    /// What `nn.Linear` starts from: `kaiming_uniform_(a=sqrt(5))` for a matrix of shape out × in.
    pub(crate) fn linear(shape: [i64; 2]) -> Init {
        Init::Uniform((1.0 / shape[1] as f64).sqrt())
    }
}

/// Numbers that one stream of the generator gives; a tensor takes as many streams as it needs.
const STREAM: usize = 1 << 15;

/// `count` numbers of the tensor `name`.
pub(crate) fn values(seed: u64, name: &str, count: usize, init: Init) -> Vec<f32> {
    let constant = |value| vec![value; count];
    match init {
        Init::Zeros => constant(0.0),
        Init::Ones => constant(1.0),
        Init::Constant(value) => constant(value as f32),
        Init::Normal(deviation) => draw(seed, name, count, |generator, chunk| fill_normal(generator, deviation, chunk)),
        Init::Uniform(bound) => draw(seed, name, count, |generator, chunk| {
            chunk.fill_with(|| (symmetric(generator) * bound) as f32);
        }),
    }
}

fn draw(seed: u64, name: &str, count: usize, fill: impl Fn(&mut ChaCha8Rng, &mut [f32]) + Sync) -> Vec<f32> {
    let key = blake3::hash(format!("report weights 1\n{seed}\n{name}").as_bytes());
    let mut values = vec![0.0; count];
    values.par_chunks_mut(STREAM).enumerate().for_each(|(stream, chunk)| {
        let mut generator = ChaCha8Rng::from_seed(*key.as_bytes());
        generator.set_stream(stream as u64);
        fill(&mut generator, chunk);
    });
    values
}

/// Marsaglia's polar method (1964): two numbers from a point in the unit disc.
fn fill_normal(generator: &mut ChaCha8Rng, deviation: f64, chunk: &mut [f32]) {
    for pair in chunk.chunks_mut(2) {
        let (x, y, square) = loop {
            let (x, y) = (symmetric(generator), symmetric(generator));
            let square = x * x + y * y;
            if square < 1.0 && square > 0.0 {
                break (x, y, square);
            }
        };
        let factor = deviation * (-2.0 * ln(square) / square).sqrt();
        for (value, coordinate) in pair.iter_mut().zip([x, y]) {
            *value = (coordinate * factor) as f32;
        }
    }
}

/// Uniform in [-1, 1), in steps of 2^-52.
fn symmetric(generator: &mut ChaCha8Rng) -> f64 {
    let steps = (generator.next_u64() >> 11) as f64;
    steps * (1.0 / (1_u64 << 52) as f64) - 1.0
}

/// The natural logarithm of a normal positive number, to about 1e-15: ln m + e ln 2, with ln m = 2 artanh((m-1)/(m+1)).
fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = (bits >> 52) as i64 - 1023;
    let mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    let (mantissa, exponent) = if mantissa > SQRT_2 { (mantissa / 2.0, exponent + 1) } else { (mantissa, exponent) };
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    // |ratio| < 0.172, so that twelve terms of the series are enough.
    let series = (0..12).rev().fold(0.0, |sum, term| sum * square + 1.0 / f64::from(2 * term + 1));
    2.0 * ratio * series + exponent as f64 * LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithm() {
        for step in 1..100_000 {
            let x = f64::from(step) / 50_000.0;
            assert!((ln(x) - x.ln()).abs() <= 4e-15 * x.ln().abs().max(0.1), "{x}");
        }
        assert_eq!(ln(1.0), 0.0);
        assert!((ln(1e-300) - 1e-300_f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn distributions_have_their_moments() {
        let n = 200_000;
        let moments = |values: &[f32]| {
            let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n as f64;
            let central = |power| values.iter().map(|v| (f64::from(*v) - mean).powi(power)).sum::<f64>() / n as f64;
            (mean, central(2).sqrt(), central(4) / central(2).powi(2))
        };
        let (mean, deviation, kurtosis) = moments(&values(1, "a", n, Init::Normal(2.0)));
        assert!(mean.abs() < 0.02 && (deviation - 2.0).abs() < 0.015 && (kurtosis - 3.0).abs() < 0.06);
        let uniform = values(1, "a", n, Init::Uniform(0.5));
        let (mean, deviation, kurtosis) = moments(&uniform);
        assert!(mean.abs() < 0.004 && (deviation - 0.5 / 3_f64.sqrt()).abs() < 0.002 && (kurtosis - 1.8).abs() < 0.02);
        assert!(uniform.iter().all(|value| value.abs() <= 0.5));
        assert_eq!(values(1, "a", 3, Init::Ones), [1.0; 3]);
        assert_eq!(values(1, "a", 0, Init::Normal(1.0)), [0.0; 0]);
    }

    #[test]
    fn seed_and_name_decide_and_nothing_else() {
        let draw = |seed, name, count| values(seed, name, count, Init::Normal(1.0));
        let long = draw(3, "conv1.weight", 100_000);
        assert_eq!(draw(3, "conv1.weight", 100_000), long);
        assert_eq!(draw(3, "conv1.weight", 1000), long[..1000], "a shorter tensor is the beginning of a longer");
        assert_ne!(draw(4, "conv1.weight", 1000), long[..1000]);
        assert_ne!(draw(3, "conv2.weight", 1000), long[..1000]);
        assert_ne!(long[..STREAM], long[STREAM..2 * STREAM]);
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
        assert_eq!(one.install(|| draw(3, "conv1.weight", 100_000)), long);
    }

    #[test]
    fn the_numbers_are_those_of_every_machine() {
        let bytes: Vec<u8> =
            values(0, "conv1.weight", 50_000, Init::Normal(0.1)).iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(&blake3::hash(&bytes).to_hex()[..16], "d679ce28c38fbad7");
    }

    #[test]
    fn torch_names_for_distributions() {
        assert_eq!(Init::kaiming_fan_out([64, 3, 7, 7]), Init::Normal((2.0_f64 / 3136.0).sqrt()));
        assert_eq!(Init::xavier_uniform([2304, 768]), Init::Uniform((6.0_f64 / 3072.0).sqrt()));
        assert_eq!(Init::linear([768, 3072]), Init::Uniform((1.0_f64 / 3072.0).sqrt()));
    }
}

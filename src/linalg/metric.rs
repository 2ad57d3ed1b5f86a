//! The distances that clusterings and measures are defined by.

use std::fmt;
use std::str::FromStr;

/// How far apart two points are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metric {
    /// The square root of the sum of the squared differences.
    #[default]
    Euclidean,
    /// The sum of the absolute differences.
    Cityblock,
    /// The largest absolute difference.
    Chebyshev,
    /// 1 - cos of the angle between the points, from 0 to 2; the origin is at 1 from all other points, as in scikit-learn.
    Cosine,
    /// The Euclidean distance of the points brought to length 1, the chord of their angle: what the study's code
    /// computes under this name. The origin stays where it is.
    Arccos,
}

/// A name that is no metric.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("metric = {0}: it must be one of euclidean (l2), cityblock (l1, manhattan), chebyshev (linf), cosine, arccos")]
pub struct UnknownMetric(pub String);

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(name: &str) -> Result<Metric, UnknownMetric> {
        match name {
            "euclidean" | "l2" => Ok(Metric::Euclidean),
            "cityblock" | "l1" | "manhattan" => Ok(Metric::Cityblock),
            "chebyshev" | "linf" | "infinity" => Ok(Metric::Chebyshev),
            "cosine" => Ok(Metric::Cosine),
            "arccos" => Ok(Metric::Arccos),
            _ => Err(UnknownMetric(name.to_owned())),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.pad(match self {
            Metric::Euclidean => "euclidean",
            Metric::Cityblock => "cityblock",
            Metric::Chebyshev => "chebyshev",
            Metric::Cosine => "cosine",
            Metric::Arccos => "arccos",
        })
    }
}

impl Metric {
    /// Whether it compares directions: points of any length are first brought to length 1.
    pub(super) fn is_of_directions(self) -> bool {
        matches!(self, Metric::Cosine | Metric::Arccos)
    }

    /// The distance of two points with as many coordinates, in 64 bits. O(d).
    pub fn distance(self, a: &[f32], b: &[f32]) -> f64 {
        let differences = a.iter().zip(b).map(|(&a, &b)| f64::from(a) - f64::from(b));
        match self {
            Metric::Euclidean => differences.map(|difference| difference * difference).sum::<f64>().sqrt(),
            Metric::Cityblock => differences.map(f64::abs).sum(),
            Metric::Chebyshev => differences.map(f64::abs).fold(0.0, f64::max),
            Metric::Cosine => {
                let (a_length, b_length) = (length(a), length(b));
                let product: f64 =
                    a.iter().zip(b).map(|(&a, &b)| f64::from(a) / a_length * (f64::from(b) / b_length)).sum();
                1.0 - product.clamp(-1.0, 1.0)
            }
            Metric::Arccos => {
                let (a_length, b_length) = (length(a), length(b));
                let differences = a.iter().zip(b).map(|(&a, &b)| f64::from(a) / a_length - f64::from(b) / b_length);
                differences.map(|difference| difference * difference).sum::<f64>().sqrt()
            }
        }
    }
}

/// The Euclidean length; 1 for the origin, which a division by it leaves where it is.
pub(super) fn length(point: &[f32]) -> f64 {
    match point.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt() {
        0.0 => 1.0,
        length => length,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_distances() {
        let (a, b) = ([3.0, 0.0], [0.0, 4.0]);
        let distances = ["euclidean", "l1", "chebyshev", "cosine", "arccos"]
            .map(|name| name.parse::<Metric>().expect("a metric").distance(&a, &b));
        assert_eq!(distances, [5.0, 7.0, 4.0, 1.0, 2.0_f64.sqrt()]);
        assert_eq!(Metric::Cosine.distance(&a, &[0.0, 0.0]), 1.0);
        assert_eq!(Metric::Arccos.distance(&a, &[0.0, 0.0]), 1.0);
        assert!(Metric::Cosine.distance(&[1e30, 1e30], &[1e-30, 1e-30]).abs() < 1e-15);
        let error = "hamming".parse::<Metric>().expect_err("unknown").to_string();
        assert!(error.starts_with("metric = hamming: it must be one of euclidean"), "{error}");
        assert_eq!(format!("{:>10}", Metric::Cosine), "    cosine");
    }
}

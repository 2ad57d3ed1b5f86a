//! Principal components, as scikit-learn's full PCA: same components, same signs, same choice of their number.
//!
//! Instead of decomposing the points themselves, the covariance of the columns (or, with fewer rows than columns, the
//! scalar products of the rows) is summed up and decomposed in 64 bits: that needs one pass over the points. Variances
//! below about 1e-15 of the largest one are lost in that, which 32-bit points do not have anyway.

use super::ReduceError;
use crate::linalg::{self, Eigen};
use crate::points::Points;

/// How many components to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Components {
    /// All min(rows, columns) of them.
    #[default]
    All,
    /// So many.
    Count(usize),
    /// The least number whose share of the variance exceeds this fraction.
    Variance(f64),
}

/// The parameters of PCA.
///
/// `Pca { components: Components::Variance(0.85) }.fit(&points)?.transform(&points)?`
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pca {
    /// How many components to keep; all by default.
    pub components: Components,
}

/// The principal components of some points. They are not whitened.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedPca {
    /// The mean of each column, which is taken off before projecting.
    pub mean: Vec<f64>,
    /// The components, unit vectors, largest variance first. The coordinate of a component that is largest in absolute
    /// value is positive (scikit-learn's `svd_flip` with `u_based_decision=False`, since its version 1.5).
    pub components: Vec<Vec<f64>>,
    /// The variance of the points along each component (divisor n - 1).
    pub explained_variance: Vec<f64>,
    /// The same as shares of the variance along all min(rows, columns) components; 0 when there is no variance.
    pub explained_variance_ratio: Vec<f64>,
    /// The singular value of each component: the square root of its variance times n - 1.
    pub singular_values: Vec<f64>,
}

impl Pca {
    /// Keeps so many components.
    pub fn count(count: usize) -> Pca {
        Pca { components: Components::Count(count) }
    }

    /// Keeps the least number of components whose share of the variance exceeds `fraction`.
    pub fn variance(fraction: f64) -> Pca {
        Pca { components: Components::Variance(fraction) }
    }

    /// Finds the components. O(n d min(n, d) + min(n, d)^3), memory O(min(n, d)^2) beside the points.
    ///
    /// # Errors
    /// Fewer than 2 rows; a count not between 1 and min(rows, columns); a fraction not between 0 and 1, or any
    /// fraction of points that are all equal; the eigenproblem failed.
    pub fn fit(&self, points: &Points) -> Result<FittedPca, ReduceError> {
        let (rows, columns) = (points.rows(), points.columns());
        if rows < 2 {
            return Err(ReduceError::TooFewRows { rows, needed: 2 });
        }
        self.check(rows.min(columns))?;
        let mean = linalg::means(points);
        let wide = rows < columns;
        let mut eigen = if wide {
            linalg::symmetric_eigen(&linalg::gram_of_rows(points, &mean)?, rows)?
        } else {
            linalg::symmetric_eigen(&linalg::scatter(points, &mean)?, columns)?
        };
        eigen.values.iter_mut().for_each(|value| *value = value.max(0.0));
        let total: f64 = eigen.values.iter().sum();
        let ratios: Vec<f64> = eigen.values.iter().map(|value| if total > 0.0 { value / total } else { 0.0 }).collect();
        let kept = self.kept(&ratios)?;
        let components = if wide {
            from_rows(points, &mean, &eigen, kept)?
        } else {
            eigen.vectors.chunks_exact(columns).take(kept).map(<[f64]>::to_vec).collect()
        };
        Ok(FittedPca {
            mean,
            components: components.into_iter().map(with_sign).collect(),
            explained_variance: eigen.values[..kept].iter().map(|value| value / (rows - 1) as f64).collect(),
            explained_variance_ratio: ratios[..kept].to_vec(),
            singular_values: eigen.values[..kept].iter().map(|value| value.sqrt()).collect(),
        })
    }

    /// Finds the components of the points and projects the points on them.
    ///
    /// # Errors
    /// As [`Pca::fit`] and [`FittedPca::transform`].
    pub fn fit_transform(&self, points: &Points) -> Result<Points, ReduceError> {
        self.fit(points)?.transform(points)
    }

    fn check(&self, most: usize) -> Result<(), ReduceError> {
        match self.components {
            Components::Count(count) if count == 0 || count > most => Err(ReduceError::Count { count, most }),
            Components::Variance(fraction) if !(fraction > 0.0 && fraction < 1.0) => {
                Err(ReduceError::Fraction(fraction))
            }
            _ => Ok(()),
        }
    }

    /// How many of the components with these shares of the variance to keep.
    fn kept(&self, ratios: &[f64]) -> Result<usize, ReduceError> {
        match self.components {
            Components::All => Ok(ratios.len()),
            Components::Count(count) => Ok(count),
            Components::Variance(fraction) if ratios[0] == 0.0 => Err(ReduceError::NoVariance(fraction)),
            Components::Variance(fraction) => {
                let sums = ratios.iter().scan(0.0, |sum, ratio| {
                    *sum += ratio;
                    Some(*sum)
                });
                Ok((sums.take_while(|&sum| sum <= fraction).count() + 1).min(ratios.len()))
            }
        }
    }
}

impl FittedPca {
    /// The coordinates of the points along the components: one column a component. O(n m d).
    ///
    /// # Errors
    /// Another number of columns than was fitted; a coordinate that 32 bits cannot hold.
    pub fn transform(&self, points: &Points) -> Result<Points, ReduceError> {
        if points.columns() != self.mean.len() {
            return Err(ReduceError::Columns { found: points.columns(), expected: self.mean.len() });
        }
        let coordinates = linalg::project(points, &self.mean, &self.components.concat())?;
        Ok(Points::new(points.rows(), self.components.len(), coordinates)?)
    }
}

/// Components from the eigenvectors u of the rows' scalar products: X^T u, brought to length 1.
///
/// A direction of (almost) no variance has lost its digits, so it is made orthogonal to those before it; without any
/// left, a coordinate axis takes its place.
fn from_rows(points: &Points, mean: &[f64], eigen: &Eigen, kept: usize) -> Result<Vec<Vec<f64>>, ReduceError> {
    let (rows, columns) = (points.rows(), points.columns());
    let sums = linalg::combine(points, mean, &eigen.vectors[..kept * rows])?;
    let mut components: Vec<Vec<f64>> = Vec::with_capacity(kept);
    for (sum, &value) in sums.chunks_exact(columns).zip(&eigen.values) {
        let mut component: Vec<f64> = sum.iter().map(|coordinate| coordinate / value.sqrt()).collect();
        if value <= 1e-8 * eigen.values[0] {
            let lost = value <= f64::EPSILON * rows as f64 * eigen.values[0];
            if lost || !orthogonalise(&mut component, &components) {
                component = any_orthogonal(&components, columns);
            }
        }
        components.push(component);
    }
    Ok(components)
}

/// A unit vector orthogonal to all of `others`, of which there are fewer than `columns`.
fn any_orthogonal(others: &[Vec<f64>], columns: usize) -> Vec<f64> {
    let axis = |at: usize| (0..columns).map(|column| if column == at { 1.0 } else { 0.0 }).collect::<Vec<f64>>();
    let used = |at: usize| others.iter().map(|other| other[at] * other[at]).sum::<f64>();
    let least_used = (0..columns).min_by(|&a, &b| used(a).total_cmp(&used(b))).unwrap_or(0);
    let mut component = axis(least_used);
    orthogonalise(&mut component, others);
    component
}

/// Takes its parts along `others` off a vector, twice for the digits' sake, and brings it to length 1; false if
/// hardly anything is left.
fn orthogonalise(vector: &mut [f64], others: &[Vec<f64>]) -> bool {
    let length = |vector: &[f64]| vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    let before = length(vector);
    for other in others.iter().chain(others) {
        let along: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
        vector.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
    }
    let after = length(vector);
    vector.iter_mut().for_each(|value| *value /= after);
    after > 1e-3 * before
}

/// The direction of a component whose largest coordinate in absolute value (the first of equals) is positive.
fn with_sign(mut component: Vec<f64>) -> Vec<f64> {
    let largest =
        component.iter().fold(0.0_f64, |largest, &value| if value.abs() > largest.abs() { value } else { largest });
    if largest < 0.0 {
        component.iter_mut().for_each(|value| *value = -*value);
    }
    component
}

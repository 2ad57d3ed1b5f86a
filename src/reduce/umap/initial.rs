//! Where the points of the embedding start.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use crate::linalg::{Csr, LinalgError, Metric, Space, nearest_neighbours, smallest_laplacian_eigenpairs};
use crate::points::Points;
use crate::reduce::ReduceError;

/// How near the vectors of the spectral start are to eigenvectors, as in umap-learn.
const TOLERANCE: f64 = 1e-4;
/// The largest coordinate of the spectral start.
const LARGEST: f32 = 10.0;
/// The standard deviation of the noise on it.
const NOISE: f64 = 1e-4;

/// Every coordinate uniform from -10 to 10.
pub(super) fn random(rows: usize, columns: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
    (0..rows * columns).map(|_| uniform(random, 10.0)).collect()
}

/// The given places; where some coincide, all are shifted by 1/1000 of the mean distance to the nearest other, so that
/// forces can separate them.
pub(super) fn given(init: &Points, random: &mut ChaCha8Rng) -> Result<Vec<f32>, ReduceError> {
    let mut order: Vec<usize> = (0..init.rows()).collect();
    let compare = |&a: &usize, &b: &usize| init.row(a).partial_cmp(init.row(b)).unwrap_or(std::cmp::Ordering::Equal);
    order.sort_unstable_by(compare);
    let mut values = init.as_slice().to_vec();
    if order.windows(2).any(|pair| init.row(pair[0]) == init.row(pair[1])) {
        let nearest = nearest_neighbours(&Space::new(init, Metric::Euclidean)?, 1)?;
        let sum: f64 = nearest.distances.iter().map(|&distance| f64::from(distance)).sum();
        add_noise(&mut values, 0.001 * sum / init.rows() as f64, random);
    }
    Ok(values)
}

/// Eigenvectors of the graph's Laplacian, which umap-learn starts from: each coordinate the one that changes least
/// along the edges and is not yet taken. Scaled to 10 at most, with a little noise.
///
/// A graph in several pieces is laid out piece by piece around centres; see [`pieces`]. Where there are too few points
/// for the eigenvectors, or these cannot be found, the start is [`random`].
pub(super) fn spectral(
    points: &Points,
    metric: Metric,
    graph: &Csr,
    columns: usize,
    random: &mut ChaCha8Rng,
) -> Result<Vec<f32>, ReduceError> {
    let labels = graph.connected_components();
    let count = labels.iter().max().map_or(0, |&last| last as usize + 1);
    let mut values = match count {
        0 | 1 => eigenvectors(graph, columns, random)?,
        _ => pieces(points, metric, graph, &labels, count, columns, random)?,
    };
    scale(&mut values, LARGEST);
    add_noise(&mut values, NOISE, random);
    Ok(values)
}

/// umap-learn's last step before the optimiser: every coordinate from 0 to 10. A coordinate that is everywhere the
/// same becomes 0.
pub(super) fn rescale(values: &mut [f32], columns: usize) {
    for column in 0..columns {
        let own = || values.iter().skip(column).step_by(columns).copied();
        let (least, most) = (own().fold(f32::INFINITY, f32::min), own().fold(f32::NEG_INFINITY, f32::max));
        let (least, range) = (f64::from(least), f64::from(most) - f64::from(least));
        let factor = if range > 0.0 { 10.0 / range } else { 0.0 };
        for value in values.iter_mut().skip(column).step_by(columns) {
            *value = ((f64::from(*value) - least) * factor) as f32;
        }
    }
}

/// The eigenvectors of the normalised Laplacian after the first, `columns` of them as columns.
fn eigenvectors(graph: &Csr, columns: usize, source: &mut ChaCha8Rng) -> Result<Vec<f32>, ReduceError> {
    let seed = source.next_u64();
    if columns + 1 >= graph.rows {
        return Ok(random(graph.rows, columns, source));
    }
    match smallest_laplacian_eigenpairs(graph, columns + 1, TOLERANCE, seed) {
        Ok((_, vectors)) => {
            let rows = vectors.chunks_exact(columns + 1);
            Ok(rows.flat_map(|row| row[1..].iter().map(|&value| value as f32)).collect())
        }
        Err(LinalgError::NotConverged { .. }) => Ok(random(graph.rows, columns, source)),
        Err(error) => Err(error.into()),
    }
}

/// umap-learn's `multi_component_layout`: each piece by its own eigenvectors, or at random when it is small, around a
/// centre of its own and reaching halfway to the nearest other centre.
fn pieces(
    points: &Points,
    metric: Metric,
    graph: &Csr,
    labels: &[u32],
    count: usize,
    columns: usize,
    random: &mut ChaCha8Rng,
) -> Result<Vec<f32>, ReduceError> {
    let mut members = vec![Vec::new(); count];
    for (row, &label) in labels.iter().enumerate() {
        members[label as usize].push(row);
    }
    let centres = centres(points, metric, &members, columns, random)?;
    let mut values = vec![0.0; points.rows() * columns];
    let mut place = vec![0; points.rows()];
    for (label, rows) in members.iter().enumerate() {
        let centre = &centres[label * columns..(label + 1) * columns];
        let reach = centres
            .chunks_exact(columns)
            .map(|other| Metric::Euclidean.distance(centre, other) as f32)
            .filter(|&distance| distance > 0.0)
            .fold(f32::INFINITY, f32::min);
        let reach = if reach.is_finite() { reach / 2.0 } else { 1.0 };
        let own = if rows.len() < 2 * columns || rows.len() <= columns + 1 {
            (0..rows.len() * columns).map(|_| uniform(random, reach)).collect()
        } else {
            rows.iter().enumerate().for_each(|(at, &row)| place[row] = at as u32);
            let mut own = eigenvectors(&piece(graph, rows, &place)?, columns, random)?;
            scale(&mut own, reach);
            own
        };
        for (&row, own) in rows.iter().zip(own.chunks_exact(columns)) {
            let values = values[row * columns..].iter_mut();
            values.zip(own).zip(centre).for_each(|((value, own), centre)| *value = own + centre);
        }
    }
    Ok(values)
}

/// The graph among `rows`, which no edge leaves; `place` gives the place of each of them in it.
fn piece(graph: &Csr, rows: &[usize], place: &[u32]) -> Result<Csr, ReduceError> {
    let (mut offsets, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
    for &row in rows {
        let (others, weights) = graph.row(row);
        columns.extend(others.iter().map(|&other| place[other as usize]));
        values.extend(weights);
        offsets.push(columns.len());
    }
    Ok(Csr::new(rows.len(), offsets, columns, values)?)
}

/// A centre for each piece, row-major. Few pieces lie on the axes, one on either side. Many lie where the spectral
/// embedding of the graph of their means, with the weights exp(-distance^2), puts them (umap-learn's
/// `component_layout`); when that graph is itself in pieces, which makes its eigenvectors arbitrary, at random.
fn centres(
    points: &Points,
    metric: Metric,
    members: &[Vec<usize>],
    columns: usize,
    random: &mut ChaCha8Rng,
) -> Result<Vec<f32>, ReduceError> {
    let count = members.len();
    if count <= 2 * columns {
        let half = count.div_ceil(2);
        let mut centres = vec![0.0; count * columns];
        for label in 0..count {
            centres[label * columns + label % half] = if label < half { 1.0 } else { -1.0 };
        }
        return Ok(centres);
    }
    let means: Vec<Vec<f32>> = members.iter().map(|rows| mean(points, rows)).collect();
    let (mut offsets, mut others, mut weights) = (vec![0], Vec::new(), Vec::new());
    for (label, own) in means.iter().enumerate() {
        for (other, mean) in means.iter().enumerate() {
            let weight = (-metric.distance(own, mean).powi(2)).exp() as f32;
            if other != label && weight > 0.0 {
                others.push(other as u32);
                weights.push(weight);
            }
        }
        offsets.push(others.len());
    }
    let graph = Csr::new(count, offsets, others, weights)?;
    let seed = random.next_u64();
    let found = if graph.connected_components().iter().any(|&label| label > 0) {
        None
    } else {
        match smallest_laplacian_eigenpairs(&graph, columns + 1, TOLERANCE, seed) {
            Ok((_, vectors)) => Some(vectors),
            Err(LinalgError::NotConverged { .. }) => None,
            Err(error) => return Err(error.into()),
        }
    };
    let Some(vectors) = found else {
        return Ok((0..count * columns).map(|_| uniform(random, 1.0)).collect());
    };
    let mut centres = Vec::with_capacity(count * columns);
    for (label, row) in vectors.chunks_exact(columns + 1).enumerate() {
        let degree: f64 = graph.row(label).1.iter().map(|&weight| f64::from(weight)).sum();
        centres.extend(row[1..].iter().map(|value| (value / degree.sqrt()) as f32));
    }
    let largest = centres.iter().copied().fold(0.0, f32::max);
    if largest.is_normal() && largest < 1e30 {
        centres.iter_mut().for_each(|value| *value /= largest);
        return Ok(centres);
    }
    Ok((0..count * columns).map(|_| uniform(random, 1.0)).collect())
}

fn mean(points: &Points, rows: &[usize]) -> Vec<f32> {
    let mut sums = vec![0.0; points.columns()];
    for &row in rows {
        sums.iter_mut().zip(points.row(row)).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    sums.iter().map(|sum| (sum / rows.len() as f64) as f32).collect()
}

/// Makes the largest absolute value `largest`; leaves zeros.
fn scale(values: &mut [f32], largest: f32) {
    let most = values.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
    if most > 0.0 {
        let factor = f64::from(largest) / f64::from(most);
        values.iter_mut().for_each(|value| *value = (f64::from(*value) * factor) as f32);
    }
}

/// Adds normally distributed numbers: the method of Box and Muller (1958).
fn add_noise(values: &mut [f32], deviation: f64, random: &mut ChaCha8Rng) {
    for pair in values.chunks_mut(2) {
        // The first lies above 0, so that it has a logarithm.
        let (first, second) = (1.0 - fraction(random), fraction(random));
        let (length, angle) = ((-2.0 * first.ln()).sqrt() * deviation, second * std::f64::consts::TAU);
        for (value, part) in pair.iter_mut().zip([angle.cos(), angle.sin()]) {
            *value += (length * part) as f32;
        }
    }
}

/// Uniform from `-range` to `range`.
fn uniform(random: &mut ChaCha8Rng, range: f32) -> f32 {
    ((2.0 * fraction(random) - 1.0) * f64::from(range)) as f32
}

/// Uniform from 0 to 1, 1 excluded.
fn fraction(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

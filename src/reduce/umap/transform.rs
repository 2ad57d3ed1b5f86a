//! New points in an embedding that stays as it is.

use super::fuzzy::{Nearest, membership_strengths, smooth_knn_dist};
use super::optimise::{self, Schedule};
use super::{FEW_ROWS, UmapFit, drop_rare, require};
use crate::linalg::{Csr, nearest_of};
use crate::points::Points;
use crate::reduce::ReduceError;

impl UmapFit {
    /// Places for new points in the embedding, whose own points do not move, as umap-learn's `transform`: tied to their
    /// nearest neighbours among the fitted points, they start at the weighted mean of these, or at the place of the
    /// nearest when they coincide with it, and are then moved by a third of the epochs (100 by default for up to 10,000
    /// points, else 30). O(m n d) for m points.
    ///
    /// The fitted points, all and in order, get the places that they have.
    ///
    /// # Errors
    /// Another number of columns; a fit of one point; coordinates that 32 bits cannot hold; cancelled.
    pub fn transform(&self, points: &Points) -> Result<Points, ReduceError> {
        let (rows, columns, fitted) = (points.rows(), self.embedding.columns(), self.points.rows());
        if points.columns() != self.points.columns() {
            return Err(ReduceError::Columns { found: points.columns(), expected: self.points.columns() });
        }
        require(fitted > 1, "points", fitted, "a fit of a single point cannot transform others")?;
        if *points == self.points {
            return Ok(self.embedding.clone());
        }
        if rows == 0 {
            return Ok(Points::new(0, columns, Vec::new())?);
        }
        let umap = &self.umap;
        let found = nearest_of(&self.points, points, umap.metric, umap.n_neighbors)?;
        let nearest =
            Nearest { k: found.k, indices: found.indices, distances: found.distances }.disconnected(umap.metric);
        let connectivity = (umap.local_connectivity - 1.0).max(0.0);
        let (sigmas, rhos) = smooth_knn_dist(&nearest.distances, nearest.k, connectivity);
        let strengths = membership_strengths(&nearest, &sigmas, &rhos, true);
        let mut values = self.start(&nearest, &strengths);

        let default_epochs = if rows <= FEW_ROWS { 100 } else { 30 };
        let epochs = umap.n_epochs.map_or(default_epochs, |epochs| epochs / 3);
        if epochs > 0 {
            let schedule = Schedule::new(among(&nearest, &strengths, fitted, epochs)?, epochs);
            let mut forces = umap.forces(self.a, self.b);
            forces.learning_rate /= 4.0;
            optimise::optimise_among(&mut values, self.embedding.as_slice(), columns, &schedule, forces)?;
        }
        Ok(Points::new(rows, columns, values)?)
    }

    /// The weighted means of the neighbours' places; the place of the first with weight 1, if there is one; the mean of
    /// all places for a point without neighbours, for which umap-learn has NaN.
    fn start(&self, nearest: &Nearest, strengths: &[f32]) -> Vec<f32> {
        let columns = self.embedding.columns();
        let mut values = Vec::with_capacity(strengths.len() / nearest.k * columns);
        for (indices, strengths) in nearest.indices.chunks_exact(nearest.k).zip(strengths.chunks_exact(nearest.k)) {
            let sum: f64 = strengths.iter().map(|&strength| f64::from(strength)).sum();
            if let Some(at) = strengths.iter().position(|&strength| strength == 1.0) {
                values.extend(self.embedding.row(indices[at] as usize));
            } else if sum > 0.0 {
                let mut place = vec![0.0; columns];
                for (&index, &strength) in indices.iter().zip(strengths) {
                    let weight = f64::from(strength) / sum;
                    let row = self.embedding.row(index as usize);
                    place.iter_mut().zip(row).for_each(|(value, &other)| *value += weight * f64::from(other));
                }
                values.extend(place.iter().map(|&value| value as f32));
            } else {
                values.extend(crate::linalg::means(&self.embedding).iter().map(|&value| value as f32));
            }
        }
        values
    }
}

/// The edges from the new points to the fitted ones, as a square matrix with rows or columns to spare.
fn among(nearest: &Nearest, strengths: &[f32], fitted: usize, epochs: usize) -> Result<Csr, ReduceError> {
    let rows = strengths.len() / nearest.k;
    let order = rows.max(fitted);
    let mut offsets: Vec<usize> = (0..=rows).map(|row| row * nearest.k).collect();
    offsets.resize(order + 1, strengths.len());
    let mut columns = nearest.indices.clone();
    let mut values = strengths.to_vec();
    for row in 0..rows {
        let places = row * nearest.k..(row + 1) * nearest.k;
        let mut edges: Vec<(u32, f32)> =
            columns[places.clone()].iter().copied().zip(values[places.clone()].iter().copied()).collect();
        edges.sort_unstable_by_key(|&(column, _)| column);
        for (place, (column, value)) in places.zip(edges) {
            (columns[place], values[place]) = (column, value);
        }
    }
    let mut graph = Csr::new(order, offsets, columns, values)?;
    drop_rare(&mut graph, epochs);
    Ok(graph)
}

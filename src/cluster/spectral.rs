//! Spectral clustering, as scikit-learn does it.
//!
//! Points become a graph of neighbours; the smallest eigenvectors of its normalised Laplacian are coordinates in which
//! well connected points lie together; these are turned into labels. Everything after the distances is kept in 64 bits.

mod cluster_qr;
#[cfg(test)]
mod tests;

use super::{ClusterError, KMeans};
use crate::linalg::{Csr, Metric, NormalisedLaplacian, Space, nearest_neighbours};
use crate::points::Points;

/// How eigenvectors become labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AssignLabels {
    /// By a pivoted QR factorisation: as many clusters as there are eigenvectors, and nothing random.
    #[default]
    ClusterQr,
    /// By K-Means with `n_clusters` clusters.
    KMeans,
}

/// How alike two points are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Affinity {
    /// 1 when each is one of the `n_neighbors` nearest of the other, 1/2 when only one is.
    #[default]
    NearestNeighbors,
    /// exp(-gamma d^2): 16 bytes for every pair of points.
    Rbf {
        /// How fast likeness decays with the squared distance; scikit-learn's default is 1.
        gamma: f64,
    },
}

/// The parameters of spectral clustering.
///
/// `SpectralClustering { n_clusters: 10, ..SpectralClustering::default() }.fit(&points)?`
#[derive(Clone, Debug)]
pub struct SpectralClustering {
    /// How many clusters to form; 8 by default.
    pub n_clusters: usize,
    /// How many eigenvectors to use; by default, `None`, `n_clusters`.
    pub n_components: Option<usize>,
    /// How alike points are; by their nearest neighbours by default.
    pub affinity: Affinity,
    /// How many points count as the neighbours of a point, itself included; 10 by default.
    pub n_neighbors: usize,
    /// What distance the neighbours are near by; Euclidean by default.
    pub metric: Metric,
    /// How eigenvectors become labels; by default with `cluster_qr`, where scikit-learn's own default is K-Means.
    pub assign_labels: AssignLabels,
    /// How many starts K-Means tries, where it is used; 10 by default.
    pub n_init: usize,
    /// The residual at which an eigenvector is taken; 1e-7 by default.
    pub eigen_tol: f64,
    /// The seed of the start of the eigenvectors, and of K-Means; 0 by default.
    pub seed: u64,
}

impl Default for SpectralClustering {
    fn default() -> Self {
        SpectralClustering {
            n_clusters: 8,
            n_components: None,
            affinity: Affinity::NearestNeighbors,
            n_neighbors: 10,
            metric: Metric::Euclidean,
            assign_labels: AssignLabels::ClusterQr,
            n_init: 10,
            eigen_tol: 1e-7,
            seed: 0,
        }
    }
}

/// What spectral clustering found.
#[derive(Clone, Debug)]
pub struct SpectralFit {
    /// The cluster of each point, from 0.
    pub labels: Vec<i32>,
    /// The smallest eigenvalues of the normalised Laplacian, ascending: as many as eigenvectors were used.
    pub eigenvalues: Vec<f64>,
    /// The parts that the graph falls into. 0 is an eigenvalue as often.
    pub n_components_of_graph: usize,
    /// Whether the graph is one part. Where it is not, and there are more parts than clusters, some parts cannot be
    /// told from others.
    pub connected: bool,
}

impl SpectralClustering {
    /// Clusters the points.
    ///
    /// The search for neighbours takes O(n^2 d), the eigenvectors some tens to hundreds of products of the graph with a
    /// block of somewhat more than `n_components` vectors, the labels O(n `n_components`^2).
    ///
    /// # Errors
    /// `n_clusters`, `n_components` or `n_neighbors` not between 1 and the number of points; `gamma` negative or not
    /// finite; `eigen_tol` not a positive number; `n_init` 0; the eigenvectors did not converge; the computation was
    /// told to stop.
    pub fn fit(&self, points: &Points) -> Result<SpectralFit, ClusterError> {
        self.check(points)?;
        let n_components = self.n_components.unwrap_or(self.n_clusters);
        let laplacian = match self.affinity {
            Affinity::NearestNeighbors => {
                NormalisedLaplacian::new(&neighbour_graph(points, self.n_neighbors, self.metric)?)?
            }
            Affinity::Rbf { gamma } => rbf_laplacian(points, gamma)?,
        };
        let (eigenvalues, mut vectors) = laplacian.smallest(n_components, self.eigen_tol, self.seed)?;
        // From the eigenvectors of the symmetric Laplacian to those of the random walk: constant on a component.
        for (vector, root) in vectors.chunks_exact_mut(n_components).zip(laplacian.roots()) {
            vector.iter_mut().for_each(|entry| *entry /= root);
        }
        let labels = match self.assign_labels {
            AssignLabels::ClusterQr => cluster_qr::cluster_qr(&vectors, n_components)?,
            AssignLabels::KMeans => {
                let values = vectors.iter().map(|&value| value as f32).collect();
                let embedding = Points::new(points.rows(), n_components, values)?;
                let kmeans =
                    KMeans { n_clusters: self.n_clusters, n_init: self.n_init, seed: self.seed, ..KMeans::default() };
                kmeans.fit(&embedding)?.labels
            }
        };
        let n_components_of_graph = laplacian.component_count();
        Ok(SpectralFit { labels, eigenvalues, n_components_of_graph, connected: n_components_of_graph == 1 })
    }

    fn check(&self, points: &Points) -> Result<(), ClusterError> {
        let (n_clusters, rows) = (self.n_clusters, points.rows());
        if n_clusters == 0 || n_clusters > rows || n_clusters > i32::MAX as usize {
            return Err(ClusterError::Clusters { n_clusters, rows });
        }
        let parameter =
            |parameter, value: String, rule: String| Err(ClusterError::Parameter { parameter, value, rule });
        let mut sizes = vec![("n_components", self.n_components.unwrap_or(n_clusters))];
        if self.affinity == Affinity::NearestNeighbors {
            sizes.push(("n_neighbors", self.n_neighbors));
        }
        for (name, value) in sizes {
            if value == 0 || value > rows {
                let rule = format!("it must be between 1 and the number of points, {rows}");
                return parameter(name, value.to_string(), rule);
            }
        }
        if let Affinity::Rbf { gamma } = self.affinity
            && !(gamma.is_finite() && gamma >= 0.0)
        {
            return parameter("gamma", gamma.to_string(), "it must be a number that is not negative".to_owned());
        }
        if self.eigen_tol.is_nan() || self.eigen_tol <= 0.0 {
            return parameter("eigen_tol", self.eigen_tol.to_string(), "it must be a number above 0".to_owned());
        }
        if self.n_init == 0 {
            return Err(ClusterError::Zero { parameter: "n_init" });
        }
        Ok(())
    }
}

/// (G + G^T) / 2, where G has a 1 for a point itself and for each of its `n_neighbors` - 1 nearest others.
fn neighbour_graph(points: &Points, n_neighbors: usize, metric: Metric) -> Result<Csr, ClusterError> {
    let rows = points.rows();
    let near = nearest_neighbours(&Space::new(points, metric)?, n_neighbors - 1)?;
    let mut indices = Vec::with_capacity(rows * n_neighbors);
    for row in 0..rows {
        indices.push(row as u32);
        indices.extend_from_slice(near.of(row).0);
    }
    let ones = vec![1.0; indices.len()];
    Ok(Csr::from_neighbours(rows, n_neighbors, &indices, &ones)?.symmetrise(|there, back| 0.5 * (there + back)))
}

fn rbf_laplacian(points: &Points, gamma: f64) -> Result<NormalisedLaplacian, ClusterError> {
    let laplacian = NormalisedLaplacian::of_rows(points.rows(), |row, entries| {
        let own = points.row(row);
        entries.extend(points.iter().enumerate().map(|(column, other)| {
            let squares = own.iter().zip(other).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
            (column as u32, (-gamma * squares.sum::<f64>()).exp())
        }));
    })?;
    Ok(laplacian)
}

//! UMAP: few coordinates that keep who is near whom (McInnes, Healy and Melville 2018), as umap-learn 0.5.12 does it.
//!
//! 1. The nearest neighbours of every point, by exact search.
//! 2. [`fuzzy`]: a weight between 0 and 1 for each edge to a neighbour.
//! 3. [`initial`]: a start, by default from eigenvectors of that graph.
//! 4. [`optimise`]: points that share an edge attract each other, points drawn at random repel each other; how much
//!    depends on their distance, by a [`curve`] that `min_dist` and `spread` shape.
//!
//! Stages 1 to 3 and the objective are umap-learn's. The optimiser moves the points in another order, which lets it use
//! all threads and still gives the same result for the same seed, whatever their number.

mod curve;
mod fuzzy;
mod initial;
mod optimise;
#[cfg(test)]
mod tests;
mod transform;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

pub use curve::find_ab_params;
pub use fuzzy::{Nearest, fuzzy_union, membership_strengths, smooth_knn_dist};

use crate::linalg::{Csr, Metric, Neighbours, Space, approximate_neighbours};
use crate::points::Points;
use crate::reduce::ReduceError;
use optimise::{Forces, Schedule};

/// Up to so many points, twice and a half as many epochs.
const FEW_ROWS: usize = 10_000;

/// Where the embedding starts.
#[derive(Clone, Debug, Default)]
pub enum Init {
    /// From eigenvectors of the graph's Laplacian; at random where there are too few points for that.
    #[default]
    Spectral,
    /// Uniformly at random.
    Random,
    /// From these places, one a point.
    Given(Points),
}

/// The parameters of UMAP, with umap-learn's names and defaults.
///
/// `Umap { n_components: 50, n_neighbors: 30, min_dist: 0.0, ..Umap::default() }.fit(&points)?`
#[derive(Clone, Debug)]
pub struct Umap {
    /// How many nearest neighbours each point is tied to, itself counted; 15 by default. With fewer points than that,
    /// or as many, one less than there are points, but at least 2.
    pub n_neighbors: usize,
    /// Coordinates of the embedding; 2 by default.
    pub n_components: usize,
    /// How near points may come in the embedding; 0.1 by default. At most `spread`.
    pub min_dist: f64,
    /// The scale of the embedding; 1 by default.
    pub spread: f64,
    /// The distance between points; Euclidean by default.
    pub metric: Metric,
    /// Epochs of the optimiser. By default 500 for up to 10,000 points, else 200.
    pub n_epochs: Option<usize>,
    /// The first step size of the optimiser, which falls linearly to 0; 1 by default.
    pub learning_rate: f64,
    /// How many points repel a point each time that one of its edges attracts it; 5 by default.
    pub negative_sample_rate: usize,
    /// The weight of repulsion; 1 by default.
    pub repulsion_strength: f64,
    /// From 0 to 1, between the intersection and the union of what the two ends of an edge say; 1 by default.
    pub set_op_mix_ratio: f64,
    /// How many neighbours are as near as can be; 1 by default.
    pub local_connectivity: f64,
    /// Where to start; spectral by default.
    pub init: Init,
    /// The seed of the random choices; 0 by default.
    pub seed: u64,
}

impl Default for Umap {
    fn default() -> Self {
        Umap {
            n_neighbors: 15,
            n_components: 2,
            min_dist: 0.1,
            spread: 1.0,
            metric: Metric::Euclidean,
            n_epochs: None,
            learning_rate: 1.0,
            negative_sample_rate: 5,
            repulsion_strength: 1.0,
            set_op_mix_ratio: 1.0,
            local_connectivity: 1.0,
            init: Init::Spectral,
            seed: 0,
        }
    }
}

/// An embedding, and what it takes to bring new points into it.
#[derive(Clone, Debug)]
pub struct UmapFit {
    /// The points' new coordinates: `n_components` columns.
    pub embedding: Points,
    /// The fuzzy graph: symmetric, weights between 0 and 1.
    pub graph: Csr,
    /// The curve 1 / (1 + a x^2b) of nearness over distance in the embedding.
    pub a: f64,
    /// See `a`.
    pub b: f64,
    /// The unit of distance of each point.
    pub sigmas: Vec<f32>,
    /// The distance of each point from its nearest neighbour.
    pub rhos: Vec<f32>,
    /// The parameters; `n_neighbors` as it was used.
    umap: Umap,
    points: Points,
}

impl Umap {
    /// Embeds the points. The neighbours are those of [`approximate_neighbours`]: exact for few points, nearly so for more;
    /// give exact ones to [`Umap::fit_neighbours`] where that matters. O(`n_epochs` n `n_neighbors` `negative_sample_rate`
    /// `n_components`) for the optimiser at most.
    ///
    /// A single point is put at the origin. Results depend on `seed`, and not on the number of threads.
    ///
    /// # Errors
    /// No points; a parameter outside of its range; `init` of another shape than the embedding; coordinates that 32
    /// bits cannot hold, which takes an extreme parameter; cancelled.
    pub fn fit(&self, points: &Points) -> Result<UmapFit, ReduceError> {
        self.check(points)?;
        let space = Space::new(points, self.metric)?;
        let others = approximate_neighbours(&space, self.neighbours_of(points) - 1, self.seed)?;
        drop(space);
        self.fit_among(points, &others)
    }

    /// As [`Umap::fit`], with the nearest neighbours of the points under `metric` already known: `n_neighbors` - 1 a
    /// point or more.
    ///
    /// # Errors
    /// As [`Umap::fit`]; neighbours of another number of points, or too few of them.
    pub fn fit_neighbours(&self, points: &Points, others: &Neighbours) -> Result<UmapFit, ReduceError> {
        self.check(points)?;
        let needed = (self.neighbours_of(points) - 1).min(points.rows() - 1);
        require(
            others.rows() == points.rows() || needed == 0,
            "neighbours",
            others.rows(),
            "one list a point is needed",
        )?;
        require(others.k >= needed, "neighbours", others.k, "n_neighbors - 1 a point are needed")?;
        self.fit_among(points, others)
    }

    /// The embedding alone, see [`Umap::fit`].
    ///
    /// # Errors
    /// As [`Umap::fit`].
    pub fn fit_transform(&self, points: &Points) -> Result<Points, ReduceError> {
        Ok(self.fit(points)?.embedding)
    }

    fn fit_among(&self, points: &Points, others: &Neighbours) -> Result<UmapFit, ReduceError> {
        let rows = points.rows();
        let (a, b) = find_ab_params(self.spread, self.min_dist)?;
        let umap = Umap { n_neighbors: self.neighbours_of(points), ..self.clone() };
        if rows == 1 {
            let embedding = Points::new(1, self.n_components, vec![0.0; self.n_components])?;
            let graph = Csr::new(1, vec![0, 0], Vec::new(), Vec::new())?;
            let (sigmas, rhos) = (vec![0.0], vec![0.0]);
            return Ok(UmapFit { embedding, graph, a, b, sigmas, rhos, umap, points: points.clone() });
        }
        let nearest = Nearest::with_self(others, umap.n_neighbors, self.metric);
        let (sigmas, rhos) = smooth_knn_dist(&nearest.distances, nearest.k, self.local_connectivity);
        let strengths = membership_strengths(&nearest, &sigmas, &rhos, false);
        let graph = fuzzy_union(&nearest, &strengths, self.set_op_mix_ratio)?;
        drop((nearest, strengths));

        let default_epochs = if rows <= FEW_ROWS { 500 } else { 200 };
        let epochs = self.n_epochs.unwrap_or(default_epochs);
        let mut kept = graph.clone();
        drop_rare(&mut kept, if epochs > 10 { epochs } else { default_epochs });
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut values = match &self.init {
            Init::Spectral => initial::spectral(points, self.metric, &kept, self.n_components, &mut random)?,
            Init::Random => initial::random(rows, self.n_components, &mut random),
            Init::Given(init) => initial::given(init, &mut random)?,
        };
        initial::rescale(&mut values, self.n_components);
        let schedule = Schedule::new(kept, epochs);
        let forces = Forces { pull: 2.0, seed: random.next_u64(), ..self.forces(a, b) };
        optimise::optimise(&mut values, self.n_components, &schedule, forces)?;
        let embedding = Points::new(rows, self.n_components, values)?;
        Ok(UmapFit { embedding, graph, a, b, sigmas, rhos, umap, points: points.clone() })
    }

    fn forces(&self, a: f64, b: f64) -> Forces {
        Forces {
            a: a as f32,
            b: b as f32,
            repulsion: self.repulsion_strength as f32,
            negatives: self.negative_sample_rate,
            pull: 1.0,
            learning_rate: self.learning_rate as f32,
            seed: self.seed,
        }
    }

    /// `n_neighbors` for these points.
    fn neighbours_of(&self, points: &Points) -> usize {
        if points.rows() <= self.n_neighbors { (points.rows() - 1).max(2) } else { self.n_neighbors }
    }

    fn check(&self, points: &Points) -> Result<(), ReduceError> {
        let rows = points.rows();
        if rows == 0 {
            return Err(ReduceError::TooFewRows { rows, needed: 1 });
        }
        require(rows <= u32::MAX as usize, "points", rows, "at most 4294967295 rows can be embedded")?;
        require(self.n_neighbors >= 2, "n_neighbors", self.n_neighbors, "it must be at least 2")?;
        require(self.n_components >= 1, "n_components", self.n_components, "it must be at least 1")?;
        require(self.n_components <= 1 << 16, "n_components", self.n_components, "it must be at most 65536")?;
        let epochs = self.n_epochs.unwrap_or(0);
        require(epochs <= 1 << 16, "n_epochs", epochs, "it must be at most 65536")?;
        let rate = self.negative_sample_rate;
        require(rate <= 1 << 16, "negative_sample_rate", rate, "it must be at most 65536")?;
        for (parameter, value, most) in [
            ("learning_rate", self.learning_rate, 1e6),
            ("repulsion_strength", self.repulsion_strength, 1e6),
            ("set_op_mix_ratio", self.set_op_mix_ratio, 1.0),
            ("local_connectivity", self.local_connectivity, f64::MAX),
        ] {
            let rule = if most == f64::MAX {
                "it must be a number from 0".to_owned()
            } else {
                format!("it must be between 0 and {most}")
            };
            require((0.0..=most).contains(&value), parameter, value, &rule)?;
        }
        if let Init::Given(init) = &self.init {
            let shape = |points: &Points| format!("{} x {}", points.rows(), points.columns());
            let rule = format!("{rows} x {} places are needed", self.n_components);
            require(init.rows() == rows && init.columns() == self.n_components, "init", shape(init), &rule)?;
        }
        find_ab_params(self.spread, self.min_dist).map(|_| ())
    }
}

/// Leaves out the edges that would never be due in so many epochs.
fn drop_rare(graph: &mut Csr, epochs: usize) {
    let heaviest = graph.values.iter().copied().fold(0.0, f32::max);
    let least = (f64::from(heaviest) / epochs as f64) as f32;
    graph.retain(|weight| weight >= least && weight > 0.0);
}

fn require(holds: bool, parameter: &'static str, value: impl std::fmt::Display, rule: &str) -> Result<(), ReduceError> {
    if holds {
        return Ok(());
    }
    Err(ReduceError::Parameter { parameter, value: value.to_string(), rule: rule.to_owned() })
}

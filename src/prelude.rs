//! The names that a cell needs: `use report::prelude::*;`. Cells have them without asking.

pub use polars::prelude::*;
pub use tch::{Device, IndexOp, Kind, Tensor};

pub use crate::cluster::{
    self, AffinityPropagation, AgglomerativeClustering, Clusterer, Hdbscan, KMeans, Linkage, Louvain,
    SpectralClustering,
};
pub use crate::datasets::{self, Dataset};
pub use crate::display::display;
pub use crate::embed::{EmbedOptions, embed, embed_with};
pub use crate::encoders::{self, Encoder};
pub use crate::linalg::Metric;
pub use crate::metrics::{
    self, adjusted_mutual_info_score, adjusted_rand_score, normalized_mutual_info_score, silhouette_score,
};
pub use crate::points::Points;
pub use crate::probe::{self, KnnProbe, LogisticRegression};
pub use crate::reduce::{self, Pca, Umap, zscore};
pub use crate::scores::{scores, scores_of};
pub use crate::{plots, plotters, polars, rayon, stats, tables, tch};

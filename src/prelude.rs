//! The names that a cell needs: `use report::prelude::*;`. Cells have them without asking.

pub use polars::prelude::*;
pub use tch::{Device, IndexOp, Kind, Tensor};

pub use crate::cluster::{self, KMeans};
pub use crate::datasets::{self, Dataset};
pub use crate::display::display;
pub use crate::embed::{EmbedOptions, embed, embed_with};
pub use crate::encoders::{self, Encoder};
pub use crate::metrics::{self, adjusted_mutual_info_score, adjusted_rand_score, normalized_mutual_info_score};
pub use crate::points::Points;
pub use crate::reduce::{self, Pca, zscore};
pub use crate::{plots, plotters, polars, rayon, tables, tch};

//! The library of the cells: images, encoders, embeddings, reduction, clustering, metrics, tables and figures.
//!
//! A notebook's cells begin with all of [`prelude`]; a REPL session says `use report::prelude::*;` itself.
//!
//! ```
//! use report::prelude::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let digits = datasets::mnist()?.take(1000);
//! let points = embed(&digits, &encoders::raw_pixels())?;
//! let reduced = Pca::variance(0.9).fit_transform(&reduce::zscore(&points)?)?;
//! let found = KMeans { n_clusters: 10, seed: 1, ..KMeans::default() }.fit(&reduced)?;
//! println!("AMI {:.3}", adjusted_mutual_info_score(digits.labels(), &found.labels)?);
//! # Ok(())
//! # }
//! ```
//!
//! The way of the data: [`datasets`] → [`encoders`] → [`embed`] → [`points`] → [`reduce`] → [`cluster`] → [`metrics`] →
//! a Polars `DataFrame` → [`tables`] and [`plots`] → [`display`] → [`output`].
//!
//! This library knows nothing of notebooks. It is built as one shared library, so that Polars and libtorch are linked
//! once, however many cells use them; ARCHITECTURE.md tells how.

pub mod batch;
pub mod batch_job;
pub mod cache;
pub mod cell;
pub mod channel;
mod checkpoint;
pub mod cluster;
pub mod datasets;
pub mod display;
pub mod embed;
pub mod encoders;
pub mod fs;
pub mod linalg;
pub mod measure;
pub mod metrics;
pub mod npy;
pub mod output;
pub mod picture;
pub mod plots;
pub mod points;
pub mod prelude;
pub mod preprocess;
pub mod probe;
pub mod progress;
pub mod reduce;
pub mod scores;
pub mod stats;
pub mod tables;

#[cfg(test)]
mod golden;

pub use {plotters, polars, polars_io, rayon, tch};

//! What can go wrong with a dataset.

use std::path::PathBuf;

use polars::prelude::PolarsError;

use super::formats::idx::IdxError;
use super::formats::lmdb::LmdbError;
use super::formats::mat::MatError;
use super::layouts::EXTENSIONS;
use super::registry::RegistryError;
use super::split::SplitError;
use super::variants::VariantError;
use crate::cache::CacheError;
use crate::checkpoint::CheckpointError;
use crate::fs::FsError;
use crate::picture::DecodeError;
use crate::progress::Cancelled;

/// What can go wrong with a dataset.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The list of datasets cannot be used, or has none of this name.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// It is nowhere where it could be.
    #[error("{name}: it is not in {}; `report fetch datasets {name}` fetches it or says how to get it", folder.display())]
    Missing {
        /// The dataset.
        name: String,
        /// Where it is looked for first.
        folder: PathBuf,
    },
    /// A part of a dataset that is there otherwise.
    #[error("{}: there is no such file or folder{}", path.display(), match others.as_slice() {
        [] => String::new(),
        others => format!("; {} beside it would do as well", others.join(" or ")),
    })]
    NotThere {
        /// What is missing.
        path: PathBuf,
        /// Other paths in the dataset's folder that were looked for.
        others: Vec<String>,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A file is not the published one.
    #[error("{}: its {kind} is {found} instead of {expected}: delete it and fetch it again", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// SHA-256 or MD5.
        kind: &'static str,
        /// Its checksum.
        found: String,
        /// The published one.
        expected: String,
    },
    /// A path that leads out of the dataset's folder.
    #[error("{}: the path {path:?} leads out of this folder", folder.display())]
    Escapes {
        /// The folder.
        folder: PathBuf,
        /// The path.
        path: String,
    },
    /// An archive, or a file in it, cannot be used.
    #[error("{}: {what}", path.display())]
    Archive {
        /// The archive, or the file in it.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A line of a text file is not as it should be.
    #[error("{}:{line}: {what}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// A file of labels that does not have one for each image.
    #[error("{}: {what}", path.display())]
    Lengths {
        /// The file.
        path: PathBuf,
        /// How many it has, and how many there should be.
        what: String,
    },
    /// A file is not in the IDX format.
    #[error("{}: {source}", path.display())]
    Idx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: IdxError,
    },
    /// A file of MATLAB is damaged, or has not what it should have.
    #[error("{}: {source}", path.display())]
    Mat {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: MatError,
    },
    /// An LMDB database is damaged or of another kind.
    #[error("{}: {source}", path.display())]
    Lmdb {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: LmdbError,
    },
    /// A pickle is damaged, or asks for what is not known to be harmless.
    #[error(transparent)]
    Pickle(#[from] CheckpointError),
    /// A table cannot be read, or lacks a column.
    #[error("{}: {source}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What Polars says.
        source: PolarsError,
    },
    /// The images cannot be split into partitions.
    #[error("{name}: {source}")]
    Split {
        /// The dataset.
        name: String,
        /// Why not.
        source: SplitError,
    },
    /// A variant cannot be made.
    #[error("{name}: {source}")]
    Variant {
        /// The dataset.
        name: String,
        /// Why not.
        source: VariantError,
    },
    /// An image file is none, or none that can be read.
    #[error("{}: {source}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// More images are bad than are allowed to be.
    #[error(
        "{name}: {bad} of {images} images are bad, more than the {allowed} that are allowed: {first}; `report datasets verify` lists them all"
    )]
    Bad {
        /// The dataset.
        name: String,
        /// Bad images.
        bad: usize,
        /// All images.
        images: usize,
        /// Bad images that are allowed.
        allowed: usize,
        /// The first of the bad images, and what is wrong with it.
        first: String,
    },
    /// A folder without image files.
    #[error("{}: there are no image files in this folder ({})", path.display(), EXTENSIONS.join(", "))]
    NoImages {
        /// The folder.
        path: PathBuf,
    },
    /// A partition without images.
    #[error("{name}: there are no images in the partition `{partition}`")]
    Empty {
        /// The dataset.
        name: String,
        /// The partition.
        partition: String,
    },
    /// A partition that has more or fewer images or classes than it should have.
    #[error(
        "{name}: its partition `{partition}` {what} {found} {unit} instead of {expected}: it is incomplete, or another one \
         than the study's"
    )]
    Count {
        /// The dataset.
        name: String,
        /// The partition.
        partition: String,
        /// `has`, or `is drawn from`.
        what: &'static str,
        /// Images or classes.
        unit: &'static str,
        /// How many were found.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// There is no such kind of label.
    #[error("{name}: there are no labels `{level}`; there are {}", levels.join(", "))]
    Level {
        /// The dataset.
        name: String,
        /// The level asked for.
        level: String,
        /// Those there are.
        levels: Vec<String>,
    },
    /// An image file is not what it was when the dataset was loaded.
    #[error("{}: the file has changed since the dataset was loaded; load it again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The computation was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// Images and labels do not fit together.
    #[error("{name}: {what}")]
    Inconsistent {
        /// The dataset.
        name: String,
        /// What does not fit.
        what: String,
    },
    /// A sample that is larger than the dataset.
    #[error("n = {n}: the {name} has only {samples} images")]
    TooMany {
        /// The dataset.
        name: String,
        /// Images asked for.
        n: usize,
        /// Images there are.
        samples: usize,
    },
}

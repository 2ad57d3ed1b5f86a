//! Why a batch command has no result.

use std::path::PathBuf;

use crate::batch_job::{self, Saved};
use crate::cluster::ClusterError;
use crate::datasets::DatasetError;
use crate::embed::EmbedError;
use crate::encoders::EncoderError;
use crate::fs::FsError;
use crate::linalg::LinalgError;
use crate::metrics::MetricError;
use crate::npy::NpyError;
use crate::probe::ProbeError;
use crate::progress::Cancelled;
use crate::reduce::ReduceError;

/// Why a command has no result; [`BatchError::exit_code`] tells whose fault that is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("{path}: {source}")]
    Npy { path: PathBuf, source: NpyError },
    #[error("{path}: {message}")]
    Array { path: PathBuf, message: String },
    #[error("{path}: the name must end in .npy, .npz or .parquet")]
    Extension { path: PathBuf },
    #[error("{option} = {value}: {rule}")]
    Option { option: String, value: String, rule: String },
    #[error("{option} is not a parameter of --{what} {method}, which has {known}")]
    NotAParameter { option: String, what: &'static str, method: String, known: String },
    #[error("{} {path}: --method {method} has no such result", .what.option())]
    NotAResult { what: Saved, path: PathBuf, method: String },
    #[error("{0}")]
    Usage(String),
    #[error("{context}: {source}")]
    Cluster { context: String, source: ClusterError },
    #[error("{context}: {source}")]
    Reduce { context: String, source: ReduceError },
    #[error("{context}: {source}")]
    Metric { context: String, source: MetricError },
    #[error("probe: {source}")]
    Probe { source: ProbeError },
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    #[error(transparent)]
    Embed(#[from] EmbedError),
    #[error(transparent)]
    Files(#[from] FsError),
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error("{0}")]
    Internal(String),
}

impl BatchError {
    /// What the program ends with.
    pub(crate) fn exit_code(&self) -> u8 {
        // A cancelled computation can be wrapped in any other error.
        if crate::progress::check().is_err() {
            return batch_job::CANCELLED;
        }
        match self {
            BatchError::Cancelled(_) => batch_job::CANCELLED,
            BatchError::Npy { source: NpyError::System(_) | NpyError::Memory(_), .. }
            | BatchError::Cluster { source: ClusterError::Linalg(_), .. }
            | BatchError::Reduce { source: ReduceError::Linalg(_), .. }
            | BatchError::Metric { source: MetricError::Linalg(_), .. }
            | BatchError::Probe { source: ProbeError::Linalg(_) }
            | BatchError::Dataset(DatasetError::Fs(_) | DatasetError::Cache(_) | DatasetError::Missing { .. })
            | BatchError::Encoder(EncoderError::NotHere { .. })
            | BatchError::Embed(
                EmbedError::Cache(_)
                | EmbedError::Torch(_)
                | EmbedError::Dataset(DatasetError::Fs(_) | DatasetError::Changed { .. }),
            )
            | BatchError::Files(_)
            | BatchError::Internal(_) => batch_job::MACHINE,
            _ => batch_job::BAD_INPUT,
        }
    }
}

impl From<LinalgError> for BatchError {
    fn from(error: LinalgError) -> BatchError {
        BatchError::Internal(error.to_string())
    }
}

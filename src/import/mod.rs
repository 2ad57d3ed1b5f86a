//! From a checkpoint as its authors publish it to the one kind of file that the library reads.
//!
//! 1. [`checkpoint::read`](crate::checkpoint::read) finds the tensors of the file, without running anything in it.
//! 2. [`names`](crate::encoders::names) turns their names into those of the network.
//! 3. All that is missing, unknown or of another shape is told at once; until then no number has been read.
//! 4. The numbers are read tensor by tensor, checked to be finite, and written in 32 bits.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensorError, View};

use crate::checkpoint::{self, Checkpoint, CheckpointError, Tensor};
use crate::encoders::names::{self, Named};
use crate::encoders::registry::{self, Row, Weights};
use crate::encoders::shapes::{Faults, Shape, shapes};
use crate::fs::{self, FsError};

/// What can go wrong with an import.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The encoder has no file of weights.
    #[error("the encoder `{name}` has no file of weights")]
    NoWeights {
        /// The encoder.
        name: String,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The file has other tensors than the network.
    #[error("{path}: these are not the weights of {network} as `{name}` has them: {faults}")]
    Tensors {
        /// The file.
        path: PathBuf,
        /// The network.
        network: &'static str,
        /// The encoder.
        name: String,
        /// What is missing, not known, or of another shape, by name.
        faults: String,
    },
    /// A weight is not a number.
    #[error("{path}: tensor {tensor}: number {index} of it is {value}")]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor, by its name in the file.
        tensor: String,
        /// Which of its numbers.
        index: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// A file or folder cannot be read or written.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The new file cannot be written.
    #[error("{path}: cannot be written: {source}")]
    Write {
        /// The new file.
        path: PathBuf,
        /// What the writer says.
        source: SafeTensorError,
    },
}

/// Imports a file as the weights of an encoder; gives the path of the new file in `folder`.
pub fn import(path: &Path, row: &Row, folder: &Path) -> Result<PathBuf, ImportError> {
    let layout = match &row.weights {
        Weights::Checkpoint(checkpoint) => &checkpoint.layout,
        Weights::Unpublished(layout) => layout,
        Weights::None | Weights::Random => return Err(ImportError::NoWeights { name: row.name.clone() }),
    };
    let checkpoint = checkpoint::read(path)?;
    let prefix = layout.prefix(checkpoint.tensors().iter().map(|tensor| tensor.name.as_str()));
    let mut found: BTreeMap<String, Entry> = BTreeMap::new();
    let mut faults = Faults::default();
    for tensor in checkpoint.tensors() {
        match names::in_network(layout, row.architecture, prefix, &tensor.name) {
            Named::LeftOut => {}
            Named::Unknown => faults.unknown.push(tensor.name.clone()),
            Named::Is(name, turn) => {
                let (checkpoint, shape) = (&checkpoint, turn.of_shape(&tensor.shape));
                let entry = Entry { checkpoint, tensor: Some(tensor), turn, shape, untrained: 0.0 };
                if found.insert(name.clone(), entry).is_some() {
                    faults.unknown.push(format!("{} (a second {name})", tensor.name));
                }
            }
        }
    }
    let mut entries = Vec::new();
    for Shape { name, sizes, untrained } in shapes(row.architecture) {
        match (found.remove(&name), untrained) {
            (Some(entry), _) => {
                let tensor = entry.tensor.map_or("", |tensor| &tensor.name);
                let dtype = entry.tensor.map_or(Dtype::F32, |tensor| tensor.dtype);
                if entry.shape != sizes || width(dtype).is_none() {
                    faults.misshaped.push(format!("{tensor}: {dtype} {:?} instead of F32 {sizes:?}", entry.shape));
                }
                entries.push((name, entry));
            }
            (None, Some(untrained)) if layout.untrained.iter().any(|start| name.starts_with(start)) => {
                let (checkpoint, turn) = (&checkpoint, names::Turn::No);
                entries.push((name, Entry { checkpoint, tensor: None, turn, shape: sizes, untrained }));
            }
            (None, _) => faults.missing.push(name),
        }
    }
    let unknown = found.into_values().filter_map(|entry| Some(entry.tensor?.name.clone()));
    faults.unknown.extend(unknown);
    if let Some(faults) = faults.told() {
        let (network, name) = (row.architecture.title(), row.name.clone());
        return Err(ImportError::Tensors { path: path.to_owned(), network, name, faults });
    }
    write(path, entries, &registry::file(folder, &row.name))
}

/// A tensor of the new file, read when it is written.
struct Entry<'file> {
    checkpoint: &'file Checkpoint,
    /// None: all its values are `untrained`.
    tensor: Option<&'file Tensor>,
    turn: names::Turn,
    shape: Vec<usize>,
    untrained: f32,
}

impl Entry<'_> {
    fn values(&self, path: &Path) -> Result<Vec<f32>, ImportError> {
        let Some(tensor) = self.tensor else { return Ok(vec![self.untrained; self.shape.iter().product()]) };
        let bytes = self.checkpoint.data(tensor)?;
        let values: Vec<f32> = match tensor.dtype {
            Dtype::F16 => bytes.as_chunks().0.iter().map(|value| f16::from_le_bytes(*value).to_f32()).collect(),
            Dtype::BF16 => bytes.as_chunks().0.iter().map(|value| bf16::from_le_bytes(*value).to_f32()).collect(),
            Dtype::F64 => bytes.as_chunks().0.iter().map(|value| f64::from_le_bytes(*value) as f32).collect(),
            _ => bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect(),
        };
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            let (path, tensor) = (path.to_owned(), tensor.name.clone());
            return Err(ImportError::NotFinite { path, tensor, index, value: values[index] });
        }
        Ok(self.turn.of_values(values, &tensor.shape))
    }
}

/// Bytes of a number, of the types that weights may have.
fn width(dtype: Dtype) -> Option<usize> {
    match dtype {
        Dtype::F16 | Dtype::BF16 => Some(2),
        Dtype::F32 => Some(4),
        Dtype::F64 => Some(8),
        _ => None,
    }
}

/// Writes the new file, whole or not at all.
fn write(from: &Path, entries: Vec<(String, Entry)>, to: &Path) -> Result<PathBuf, ImportError> {
    struct Lazy<'work> {
        entry: Entry<'work>,
        from: &'work Path,
        failed: &'work RefCell<Option<ImportError>>,
    }

    impl View for Lazy<'_> {
        fn dtype(&self) -> Dtype {
            Dtype::F32
        }

        fn shape(&self) -> &[usize] {
            &self.entry.shape
        }

        fn data(&self) -> Cow<'_, [u8]> {
            if self.failed.borrow().is_some() {
                return Cow::Borrowed(&[]);
            }
            match self.entry.values(self.from) {
                Ok(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
                Err(error) => {
                    *self.failed.borrow_mut() = Some(error);
                    Cow::Borrowed(&[])
                }
            }
        }

        fn data_len(&self) -> usize {
            4 * self.entry.shape.iter().product::<usize>()
        }
    }

    let folder = to.parent().unwrap_or(Path::new("."));
    fs::create_folder(folder)?;
    let io = |source: std::io::Error| ImportError::Write { path: to.to_owned(), source: source.into() };
    // One entry: more would be written in any order.
    let name = from.file_name().unwrap_or_default().to_string_lossy();
    let source = format!("{name}, SHA-256 {}", fs::sha256_file(from)?);
    let metadata = HashMap::from([("source".to_owned(), source)]);
    let for_all = Permissions::from_mode(0o644);
    let part = tempfile::Builder::new().prefix(".import-").permissions(for_all).tempfile_in(folder).map_err(io)?;
    let failed = RefCell::new(None);
    let lazy = entries.into_iter().map(|(name, entry)| (name, Lazy { entry, from, failed: &failed }));
    let written = safetensors::serialize_to_file(lazy, Some(metadata), part.path());
    if let Some(error) = failed.into_inner() {
        return Err(error);
    }
    written.map_err(|source| ImportError::Write { path: to.to_owned(), source })?;
    File::open(part.path()).and_then(|file| file.sync_all()).map_err(io)?;
    part.persist(to).map_err(|error| io(error.error))?;
    Ok(to.to_owned())
}

#[cfg(test)]
mod tests;

//! Where networks get their tensors from, by name: a seed, or a safetensors file.
//!
//! A file is checked before anything is computed with it: its header by the `safetensors` crate (offsets must tile the
//! data exactly), then names and shapes here. All faults are told at once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensorError, SafeTensors};
use tch::{Device, Kind, TchError, Tensor};

use super::EncoderError;
use super::random::{self, Init};
use super::shapes::Faults;
use crate::fs::{self, FsError};

/// What can be wrong with a file of weights.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be read.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// There is no such file.
    #[error("{path}: there is no such file of weights")]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// The file is not in the format.
    #[error("{path}: this is no safetensors file, the only format of weights that is read: {source}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: SafeTensorError,
    },
    /// The file has other tensors than the network.
    #[error("{path}: these are not the weights of the network: {faults}")]
    Tensors {
        /// The file.
        path: PathBuf,
        /// What is missing, not known, or of another shape, by name.
        faults: String,
    },
}

/// Gives tensors by name, on the processor and in 32 bits.
pub(crate) trait Source {
    fn tensor(&mut self, name: &str, shape: &[i64], init: Init) -> Result<Tensor, TchError>;
}

/// A source, and where its tensors are to go.
pub(crate) struct Tensors<'source> {
    pub(crate) source: &'source mut dyn Source,
    pub(crate) device: Device,
    pub(crate) kind: Kind,
}

impl Tensors<'_> {
    pub(super) fn get(&mut self, name: &str, shape: &[i64], init: Init) -> Result<Tensor, EncoderError> {
        let tensor = self.get_here(name, shape, init)?;
        self.place(&tensor)
    }

    /// The tensor on the processor and in 32 bits, to compute with before it is placed.
    pub(super) fn get_here(&mut self, name: &str, shape: &[i64], init: Init) -> Result<Tensor, EncoderError> {
        Ok(self.source.tensor(name, shape, init)?)
    }

    pub(super) fn place(&self, tensor: &Tensor) -> Result<Tensor, EncoderError> {
        Ok(tensor.f_to_kind(self.kind)?.f_to_device(self.device)?)
    }
}

/// Tensors drawn from a seed.
pub(super) struct Drawn {
    pub(super) seed: u64,
}

impl Source for Drawn {
    fn tensor(&mut self, name: &str, shape: &[i64], init: Init) -> Result<Tensor, TchError> {
        let count = shape.iter().product::<i64>() as usize;
        Tensor::f_from_slice(&random::values(self.seed, name, count, init))?.f_reshape(shape)
    }
}

/// Tensors of a file. What does not fit is noted, zeros stand in for it, and [`File::finish`] tells.
#[derive(Debug)]
pub(super) struct File<'bytes> {
    path: &'bytes Path,
    tensors: SafeTensors<'bytes>,
    used: BTreeSet<String>,
    faults: Faults,
}

/// The bytes of a file of weights.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, WeightsError> {
    fs::read_if_there(path)?.ok_or_else(|| WeightsError::Missing { path: path.to_owned() })
}

impl<'bytes> File<'bytes> {
    pub(super) fn new(path: &'bytes Path, bytes: &'bytes [u8]) -> Result<File<'bytes>, WeightsError> {
        let tensors = SafeTensors::deserialize(bytes);
        let tensors = tensors.map_err(|source| WeightsError::Format { path: path.to_owned(), source })?;
        Ok(File { path, tensors, used: BTreeSet::new(), faults: Faults::default() })
    }

    /// Succeeds if every tensor was there, and the file has no others than those of the `head`, which is left out, and
    /// counters of batches, which only training needs.
    pub(super) fn finish(self, head: &str) -> Result<(), WeightsError> {
        let names: BTreeSet<&str> = self.tensors.names().into_iter().collect();
        let is_extra = |name: &&str| {
            !self.used.contains(*name) && !name.starts_with(head) && !name.ends_with(".num_batches_tracked")
        };
        let unknown = names.into_iter().filter(is_extra).map(str::to_owned).collect();
        match (Faults { unknown, ..self.faults }).told() {
            None => Ok(()),
            Some(faults) => Err(WeightsError::Tensors { path: self.path.to_owned(), faults }),
        }
    }
}

impl Source for File<'_> {
    fn tensor(&mut self, name: &str, shape: &[i64], _init: Init) -> Result<Tensor, TchError> {
        self.used.insert(name.to_owned());
        let zeros = || Tensor::f_zeros(shape, (Kind::Float, Device::Cpu));
        let Ok(view) = self.tensors.tensor(name) else {
            self.faults.missing.push(name.to_owned());
            return zeros();
        };
        let kind = match view.dtype() {
            Dtype::F32 => Some(Kind::Float),
            Dtype::F16 => Some(Kind::Half),
            Dtype::BF16 => Some(Kind::BFloat16),
            _ => None,
        };
        let is_shape = view.shape().iter().map(|size| *size as i64).eq(shape.iter().copied());
        let (Some(kind), true) = (kind, is_shape) else {
            self.faults.misshaped.push(format!(
                "{name}: {:?} {:?} instead of F32 {shape:?}",
                view.dtype(),
                view.shape()
            ));
            return zeros();
        };
        Tensor::f_from_data_size(view.data(), shape, kind)?.f_to_kind(Kind::Float)
    }
}

//! Reads a file of weights of unknown origin: PyTorch checkpoints in both of their layouts, NumPy's `.npz`, pickles of
//! NumPy arrays, safetensors.
//!
//! A pickle is a program. It is never run: `pickle` reads it as data, and knows the few names that stand for tensors
//! and for what is kept beside them (`globals`); any other name is an error. The steps:
//!
//! 1. `read` looks at the first bytes for the format, not at the name. Only a name that ends in `.safetensors` is
//!    taken at its word, so that nothing else is passed off as one.
//! 2. The reader of the format gives tensors: a name, a type, a shape, and where in the file the numbers lie. Each was
//!    checked to lie in the file, and nothing but tables and pickles has been read.
//! 3. `Checkpoint::data` reads one tensor's numbers, in row-major and little-endian order.
//!
//! `dictionary` reads what datasets keep in pickles. Compiled into both halves: the program imports weights, the library
//! reads datasets.
//!
//! Nothing is taken into memory, and no loop is begun, for a number that the file only claims; see the limits beside
//! each reader. All tensors together may be 16 times as large as the file: arrays can be packed, and views can overlap.

#![allow(dead_code, reason = "each half uses a part")]

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use safetensors::SafeTensorError;

mod dictionary;
mod globals;
mod header;
mod input;
mod machine;
mod npz;
mod numpy;
mod pickle;
mod tensor;
#[cfg(test)]
mod tests;
mod torch;
mod value;
mod walk;
mod zip;

#[allow(unused_imports, reason = "each half uses a part")]
pub(crate) use dictionary::{Dictionary, Item, dictionary};
use input::Input;
pub(crate) use tensor::Tensor;

/// How many times larger than the file all tensors may be, and what small files may have besides, in bytes.
const LARGEST: (u64, u64) = (16, 16 << 20);

/// What can be wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The operating system refused.
    #[error("{path}: cannot be read: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is in no format that is read, or not in that of its name.
    #[error("{path}: this is {found}; .pth, .pt, .npz, .pkl and .safetensors files are read")]
    Format {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// The file ends too early.
    #[error("{path}: the file is cut short: {needed} more bytes are needed at byte {at}")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Where the bytes should be.
        at: u64,
        /// How many.
        needed: u64,
    },
    /// A pickle with an operation that weights do not need.
    #[error("{path}: the pickle has operation {code:#04x} at byte {at}, which is not read")]
    Operation {
        /// The file.
        path: PathBuf,
        /// Where the operation is.
        at: u64,
        /// The operation.
        code: u8,
    },
    /// A pickle that wants something that is not known to be harmless.
    #[error("{path}: the pickle asks for `{name}` at byte {at}, which weights do not need; nothing was run")]
    Global {
        /// The file.
        path: PathBuf,
        /// Where it does.
        at: u64,
        /// Module and name.
        name: String,
    },
    /// A pickle that breaks the format.
    #[error("{path}: the pickle is damaged at byte {at}: {fault}")]
    Pickle {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// How.
        fault: &'static str,
    },
    /// More of something than any checkpoint has.
    #[error("{path}: more than {most} {what} are not read")]
    Limit {
        /// The file.
        path: PathBuf,
        /// Of what.
        what: &'static str,
        /// The limit.
        most: u64,
    },
    /// A zip archive that is damaged, or not as PyTorch and NumPy write it.
    #[error("{path}: the archive cannot be read: {} {fault}", .entry.escape_debug())]
    Zip {
        /// The file.
        path: PathBuf,
        /// The entry, or the table of entries.
        entry: String,
        /// What is wrong.
        fault: &'static str,
    },
    /// A safetensors file whose tensors do not fill the data.
    #[error("{path}: the safetensors header is wrong: {source}")]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: SafeTensorError,
    },
    /// A tensor that cannot be read.
    #[error("{path}: tensor {}: {fault}", .name.escape_debug())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// Keys on the way to it, joined by dots.
        name: String,
        /// What is wrong with it.
        fault: String,
    },
    /// A file without tensors.
    #[error("{path}: there is no tensor in this file")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// A file that was found to be well-formed, and its tensors.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    input: Input,
    tensors: Vec<Tensor>,
}

/// Opens a file and finds its tensors. O(size of its tables and pickles), not of its numbers.
///
/// # Errors
/// Every way in which the file can be something else than weights, see [`CheckpointError`].
pub(crate) fn read(path: &Path) -> Result<Checkpoint, CheckpointError> {
    let input = Input::open(path)?;
    let tensors = find(&input)?;
    if tensors.is_empty() {
        return Err(CheckpointError::Empty { path: input.path });
    }
    let mut names = BTreeSet::new();
    let most = input.length.saturating_mul(LARGEST.0).saturating_add(LARGEST.1);
    let mut bytes = 0_u64;
    for tensor in &tensors {
        let fault = |fault| CheckpointError::Tensor { path: input.path.clone(), name: tensor.name.clone(), fault };
        if !names.insert(tensor.name.as_str()) {
            return Err(fault("there are two of this name".to_owned()));
        }
        if tensor.name == "__metadata__" {
            return Err(fault("safetensors keep something else by this name".to_owned()));
        }
        bytes = bytes.saturating_add(tensor.bytes() as u64);
        if bytes > most {
            let length = input.length;
            return Err(fault(format!("with it the tensors have {bytes} bytes, far more than the file's {length}")));
        }
    }
    Ok(Checkpoint { tensors, input })
}

/// One file out of a zip archive.
///
/// # Errors
/// The archive is damaged or has no such file.
pub(crate) fn from_zip(archive: &Path, name: &str) -> Result<Vec<u8>, CheckpointError> {
    let input = Input::open(archive)?;
    let entries = zip::entries(&input)?;
    let Some(entry) = entries.iter().find(|entry| entry.name == name) else {
        return Err(CheckpointError::Zip { path: input.path, entry: name.to_owned(), fault: "is not there" });
    };
    tensor::unpack(&input, entry, 0, entry.length)
}

impl Checkpoint {
    /// All tensors, in the order of the file.
    pub(crate) fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The numbers of one of the tensors, in row-major and little-endian order. O(bytes).
    ///
    /// # Errors
    /// The file cannot be read any more; its packed data are damaged; there is no memory.
    pub(crate) fn data(&self, tensor: &Tensor) -> Result<Vec<u8>, CheckpointError> {
        tensor.read(&self.input)
    }
}

/// What the first bytes say a file is.
#[derive(Clone, Copy, PartialEq)]
enum Format {
    Zip,
    Pickle,
    Safetensors,
    Other(&'static str),
}

/// Lets the reader of the file's format find the tensors.
fn find(input: &Input) -> Result<Vec<Tensor>, CheckpointError> {
    let other = |found: &str| Err(CheckpointError::Format { path: input.path.clone(), found: found.to_owned() });
    let format = format(input)?;
    if has_extension(input, &["safetensors"]) {
        return match format {
            Format::Zip => other("a zip archive that is named .safetensors"),
            Format::Pickle => other("a pickle that is named .safetensors"),
            // Its own reader says best what is wrong with it.
            Format::Safetensors | Format::Other(_) => header::tensors(input),
        };
    }
    match format {
        Format::Zip => {
            let entries = zip::entries(input)?;
            if torch::is_archive(&entries) {
                torch::archive(input, &entries)
            } else if !entries.is_empty() && entries.iter().all(|entry| entry.name.ends_with(".npy")) {
                npz::tensors(input, entries)
            } else {
                other("a zip archive that neither PyTorch nor NumPy has made")
            }
        }
        Format::Pickle => torch::pickled(input),
        Format::Safetensors => header::tensors(input),
        Format::Other(found) => other(found),
    }
}

fn format(input: &Input) -> Result<Format, CheckpointError> {
    let mut first = [0; 10];
    let known = input.length.min(first.len() as u64) as usize;
    input.read(0, &mut first[..known])?;
    Ok(match &first[..known] {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Format::Zip,
        // The length of its header comes first, and can look like the beginning of a pickle.
        [_, _, _, 0, 0, 0, 0, 0, b'{', ..] => Format::Safetensors,
        [0x80, 0..=5, ..] => Format::Pickle,
        // Protocols 0 and 1, of Python 2, have no number at the beginning.
        [b'(' | b'}' | b']' | b'c', ..] if has_extension(input, &["pkl", "pickle", "p"]) => Format::Pickle,
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => {
            Format::Other("a single NumPy array, without a name: save it with numpy.savez")
        }
        [0x89, b'H', b'D', b'F', ..] => Format::Other("an HDF5 file"),
        [] => Format::Other("an empty file"),
        _ => Format::Other("in no format that is known here"),
    })
}

fn has_extension(input: &Input, extensions: &[&str]) -> bool {
    let extension = input.path.extension().unwrap_or_default();
    extensions.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

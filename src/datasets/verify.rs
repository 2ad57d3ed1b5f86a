//! Whether a file is the one that was published; remembered by path, size and time of change, since it takes long.

use std::io::Read as _;
use std::path::Path;

use md5::Md5;
use sha2::{Digest, Sha256};

use super::registry::{self, Checksum};
use super::{DatasetError, member};
use crate::cache::{Cache, Entry};
use crate::fs::FsError;
use crate::progress::{self, Progress};

/// Compares a file with its published checksum, unless that was done before and it has not changed since. Without a checksum
/// nothing is compared.
///
/// # Errors
/// A file that cannot be read, or is another one; told to stop.
pub(super) fn file(file: &registry::File, path: &Path) -> Result<(), DatasetError> {
    let Some((kind, expected)) = file.checksum() else { return Ok(()) };
    let key = format!("{} {expected}\n{}", kind.name(), member::stamp(path)?);
    // A cache that cannot be used costs time, not correctness.
    let entry = Cache::of_environment().and_then(|cache| cache.entry("verified", &key)).ok();
    if let Some(Entry::Hit(_)) = &entry {
        return Ok(());
    }
    let found = match kind {
        Checksum::Sha256 => digest::<Sha256>(path)?,
        Checksum::Md5 => digest::<Md5>(path)?,
    };
    if found != expected {
        let (path, expected) = (path.to_owned(), expected.to_owned());
        return Err(DatasetError::Checksum { path, kind: kind.name(), found, expected });
    }
    if let Some(Entry::Miss(slot)) = entry {
        let _ = slot.store(&[]);
    }
    Ok(())
}

fn digest<D: Digest>(path: &Path) -> Result<String, DatasetError> {
    let (mut file, size) = member::open(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut progress = Progress::if_long(format!("verify {name}"), size >> 20, "MB");
    let (mut hasher, mut piece) = (D::new(), vec![0; 1 << 20]);
    loop {
        progress::check()?;
        match file.read(&mut piece).map_err(|error| FsError::io("cannot be read", path, error))? {
            0 => break,
            length => hasher.update(&piece[..length]),
        }
        progress.advance(1);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

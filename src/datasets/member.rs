//! A file of a dataset, wherever it lies: in a folder, in an archive, in a database, in the cache.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use flate2::Crc;
use flate2::read::DeflateDecoder;
use rustix::fs::OFlags;

use super::DatasetError;
use crate::cache::Content;
use crate::fs::FsError;

/// Bytes of an array or a list of labels, at most.
const MOST_BYTES: u64 = 4 << 30;
/// Bytes of one image file, at most: more than its pixels may have.
const MOST_IMAGE: u64 = 1 << 30;
/// Bytes of the header of an entry in a zip file, before its name.
const ZIP_HEADER: usize = 30;

/// Bytes that stay where they are.
#[derive(Clone, Debug)]
pub(super) enum Bytes {
    /// A file, which is read where it is asked for; it is not mapped, since others may change it.
    File(Arc<File>),
    /// An entry of the cache, which nobody changes.
    Kept(Arc<Content>),
    /// In memory.
    Memory(Arc<Vec<u8>>),
}

impl Bytes {
    pub fn length(&self) -> Result<u64, DatasetError> {
        match self {
            Bytes::File(file) => {
                let about =
                    file.metadata().map_err(|error| FsError::io("cannot be read", Path::new("an archive"), error));
                Ok(about?.len())
            }
            Bytes::Kept(content) => Ok(content.len() as u64),
            Bytes::Memory(bytes) => Ok(bytes.len() as u64),
        }
    }

    pub fn read_at(&self, buffer: &mut [u8], start: u64) -> io::Result<()> {
        let whole: &[u8] = match self {
            Bytes::File(file) => return file.read_exact_at(buffer, start),
            Bytes::Kept(content) => content,
            Bytes::Memory(bytes) => bytes,
        };
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let part = start.checked_add(buffer.len()).and_then(|end| whole.get(start..end));
        buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// How the bytes of a part are packed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Packing {
    None,
    /// After the header of a zip's entry.
    Stored {
        checksum: u32,
    },
    /// Deflated, after the header of a zip's entry.
    Deflated {
        size: u64,
        checksum: u32,
    },
}

/// One file of a dataset.
#[derive(Clone, Debug)]
pub(super) struct Member(Place);

#[derive(Clone, Debug)]
enum Place {
    Path(PathBuf),
    /// A path that must not be read, and why.
    Refused(PathBuf, &'static str),
    Part {
        container: Arc<PathBuf>,
        name: Arc<str>,
        content: Bytes,
        start: u64,
        size: u64,
        packing: Packing,
    },
}

impl Member {
    /// The file at a path.
    pub fn file(path: impl Into<PathBuf>) -> Member {
        Member(Place::Path(path.into()))
    }

    /// A path that is not read: what names it means harm.
    pub fn refused(folder: &Path, path: &str, why: &'static str) -> Member {
        Member(Place::Refused(folder.join(path.trim_start_matches('/')), why))
    }

    /// `size` bytes of a container, from `start` on.
    pub fn part(
        container: Arc<PathBuf>,
        name: &str,
        content: Bytes,
        start: u64,
        size: u64,
        packing: Packing,
    ) -> Member {
        Member(Place::Part { container, name: name.into(), content, start, size, packing })
    }

    /// What messages call it: its path, or that of its container and its name in it.
    pub fn name(&self) -> PathBuf {
        match &self.0 {
            Place::Path(path) | Place::Refused(path, _) => path.clone(),
            Place::Part { container, name, .. } => container.join(&**name),
        }
    }

    /// What tells whether it has changed, without reading it: its name, size and time of change.
    pub fn stamp(&self) -> Result<String, FsError> {
        match &self.0 {
            Place::Path(path) => stamp(path),
            Place::Refused(path, why) => Ok(format!("{} {why}", path.display())),
            Place::Part { name, start, size, .. } => Ok(format!("{name} {start} {size}")),
        }
    }

    /// The container, if it is in one.
    pub fn container(&self) -> Option<&Arc<PathBuf>> {
        match &self.0 {
            Place::Path(_) | Place::Refused(..) => None,
            Place::Part { container, .. } => Some(container),
        }
    }

    /// Its bytes where they are, to read parts of them: the file itself, or a copy in memory of what is packed.
    ///
    /// # Errors
    /// As [`Member::read`].
    pub fn content(&self) -> Result<Bytes, DatasetError> {
        match &self.0 {
            Place::Path(path) => Ok(Bytes::File(Arc::new(open(path)?.0))),
            _ => Ok(Bytes::Memory(Arc::new(self.read()?))),
        }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// It is no plain file, cannot be read, is damaged, or has more than 4 GiB.
    pub fn read(&self) -> Result<Vec<u8>, DatasetError> {
        self.read_at_most(MOST_BYTES)
    }

    /// Its bytes, if it is an image.
    ///
    /// # Errors
    /// As [`Member::read`], from 1 GiB on.
    pub fn read_image(&self) -> Result<Vec<u8>, DatasetError> {
        self.read_at_most(MOST_IMAGE)
    }

    fn read_at_most(&self, most: u64) -> Result<Vec<u8>, DatasetError> {
        match &self.0 {
            Place::Path(path) => Ok(read_file(path, most)?),
            Place::Refused(path, why) => Err(DatasetError::Archive { path: path.clone(), what: (*why).to_owned() }),
            Place::Part { content, start, size, packing, .. } => read_part(content, *start, *size, *packing, most)
                .map_err(|what| {
                    let path = self.name();
                    match what {
                        Fault::Io(error) => FsError::io("cannot be read", &path, error).into(),
                        Fault::Damaged(what) => DatasetError::Archive { path, what },
                    }
                }),
        }
    }
}

/// A path, its size and its time of change.
pub(super) fn stamp(path: &Path) -> Result<String, FsError> {
    let about = path.metadata().map_err(|error| FsError::io("cannot be read", path, error))?;
    let time = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok(format!("{} {} {}", path.display(), about.len(), time.unwrap_or_default().as_nanos()))
}

/// Opens a plain file, and gives its size; to wait for a pipe could take for ever.
pub(super) fn open(path: &Path) -> Result<(File, u64), FsError> {
    let failed = |error| FsError::io("cannot be read", path, error);
    let without_waiting = OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(without_waiting).open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    match about.is_file() {
        true => Ok((file, about.len())),
        false => Err(failed(io::Error::other("it is no plain file"))),
    }
}

fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, FsError> {
    let failed = |error| FsError::io("cannot be read", path, error);
    let (file, size) = open(path)?;
    if size > most {
        return Err(failed(io::Error::other(format!("it has {size} bytes, more than {most}"))));
    }
    let mut bytes = Vec::with_capacity(size as usize);
    file.take(most).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

enum Fault {
    Io(io::Error),
    Damaged(String),
}

fn read_part(content: &Bytes, start: u64, size: u64, packing: Packing, most: u64) -> Result<Vec<u8>, Fault> {
    let damaged = |what: &str| Fault::Damaged(what.to_owned());
    let checksum = match packing {
        Packing::None => return piece(content, start, size, most),
        Packing::Stored { checksum } | Packing::Deflated { checksum, .. } => checksum,
    };
    // The lengths of name and extra field are said again in front of the bytes.
    let header = piece(content, start, ZIP_HEADER as u64, most)?;
    let header: &[u8; ZIP_HEADER] = header.first_chunk().ok_or_else(|| damaged("its header is cut short"))?;
    if !header.starts_with(b"PK\x03\x04") {
        return Err(damaged("it has no header"));
    }
    let between = [26, 28].map(|at| u64::from(u16::from_le_bytes([header[at], header[at + 1]])));
    let packed = piece(content, start + ZIP_HEADER as u64 + between[0] + between[1], size, most)?;
    let bytes = match packing {
        Packing::Deflated { size, .. } if size > most => return Err(too_large(size, most)),
        Packing::Deflated { size, .. } => {
            let mut bytes = Vec::new();
            let inflated = DeflateDecoder::new(packed.as_slice()).take(size + 1).read_to_end(&mut bytes);
            if inflated.is_err() || bytes.len() as u64 != size {
                return Err(damaged("it does not unpack to the size that the archive says"));
            }
            bytes
        }
        _ => packed,
    };
    let mut found = Crc::new();
    found.update(&bytes);
    match found.sum() == checksum {
        true => Ok(bytes),
        false => Err(damaged("its checksum is another one than the archive says")),
    }
}

fn too_large(size: u64, most: u64) -> Fault {
    Fault::Damaged(format!("it has {size} bytes, and only {most} are read from an archive: unpack it"))
}

fn piece(content: &Bytes, start: u64, size: u64, most: u64) -> Result<Vec<u8>, Fault> {
    let available = content.length().map_err(|_| Fault::Damaged("the archive is gone".to_owned()))?;
    if start.checked_add(size).is_none_or(|end| end > available) {
        return Err(Fault::Damaged("it is cut short".to_owned()));
    }
    if size > most {
        return Err(too_large(size, most));
    }
    let mut bytes = vec![0; size as usize];
    content.read_at(&mut bytes, start).map_err(Fault::Io)?;
    Ok(bytes)
}

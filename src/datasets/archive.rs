//! Archives as tables of where each file's bytes lie: tar, gzipped tar and zip. Nothing is ever unpacked to a path.
//!
//! Which kind it is, its first bytes say: archives of datasets are not always what their names claim. The files in a tar, and
//! those in a zip, are read where they lie; a gzipped archive cannot be entered in its middle, and is gunzipped into the
//! cache once. Links and devices are left out. Refused are names that lead out of the archive, two files of one name, bytes
//! that belong to two files, and more than [`MOST_ENTRIES`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use zip::CompressionMethod;

use super::DatasetError;
use super::member::{Bytes, Member, Packing};
use crate::cache::{Cache, Content};
use crate::fs::FsError;
use crate::progress::{self, Progress};

/// Files in one archive; the largest known, the training images of iNaturalist, has 2.7 million.
const MOST_ENTRIES: usize = 4_000_000;
/// Bytes of a path in an archive, at most.
const LONGEST_NAME: usize = 4096;
/// Bytes of what a tar says of the next file, such as a long name, at most.
const LONGEST_HEADER: u64 = 1 << 20;
/// How many times larger than a gzipped archive its content may be. Images hardly shrink; tables do, by up to ten times.
const LARGEST_RATIO: u64 = 100;

/// The files in an archive, by their paths.
#[derive(Debug)]
pub(super) struct Archive {
    pub entries: BTreeMap<String, Member>,
}

impl Archive {
    /// Reads the table of an archive.
    ///
    /// # Errors
    /// A file that cannot be read, or is none of these archives; what the module refuses; no space for a gunzipped copy.
    pub fn open(path: &Path) -> Result<Archive, DatasetError> {
        let failed = |error| FsError::io("cannot be read", path, error);
        let mut file = File::open(path).map_err(failed)?;
        let mut head = Vec::new();
        (&file).take(512).read_to_end(&mut head).map_err(failed)?;
        file.rewind().map_err(failed)?;
        let entries = match head.as_slice() {
            [0x1f, 0x8b, ..] => {
                let content = Bytes::Kept(Arc::new(gunzipped(path, &file)?));
                let length = content.length()?;
                in_tar(path, &content, length)?
            }
            [b'P', b'K', 3 | 5, 4 | 6, ..] => in_zip(path, file)?,
            // The magic of POSIX and GNU; a tar without it is older than any dataset.
            _ if head.get(257..262) == Some(b"ustar") => {
                let length = file.metadata().map_err(failed)?.len();
                in_tar(path, &Bytes::File(Arc::new(file)), length)?
            }
            _ => return Err(damaged(path, "it is neither a tar, nor a gzipped tar, nor a zip file")),
        };
        Ok(Archive { entries })
    }
}

fn damaged(path: &Path, what: impl Into<String>) -> DatasetError {
    DatasetError::Archive { path: path.to_owned(), what: what.into() }
}

/// A gzipped file as it is unpacked: an entry of the cache, made the first time.
fn gunzipped(path: &Path, file: &File) -> Result<Content, DatasetError> {
    let about = file.metadata().map_err(|error| FsError::io("cannot be read", path, error))?;
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let key = format!("gunzip 1\n{}\n{} {:?}", whole.display(), about.len(), about.modified().ok());
    let cache = Cache::of_environment()?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut progress = Progress::if_long(format!("unpack {name}"), about.len() >> 20, "MB");
    let largest = about.len().saturating_mul(LARGEST_RATIO) + (1 << 20);
    cache.get_or_store("unpacked", &key, about.len(), |out| {
        let mut packed = BufReader::with_capacity(1 << 20, file);
        let mut stream = MultiGzDecoder::new(&mut packed);
        let mut piece = vec![0; 1 << 20];
        let (mut written, mut told) = (0_u64, 0);
        loop {
            progress::check()?;
            let length = match stream.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(damaged(path, format!("it is damaged or cut short: {error}"))),
            };
            written += length as u64;
            if written > largest {
                return Err(damaged(
                    path,
                    format!("it unpacks to more than {largest} bytes, {LARGEST_RATIO} times its size"),
                ));
            }
            out.write_all(&piece[..length]).map_err(|error| crate::fs::cannot_write(cache.folder(), written, error))?;
            let read = (&mut &*file).stream_position().unwrap_or(0) >> 20;
            progress.advance(read - told);
            told = read;
        }
    })
}

fn in_tar(path: &Path, content: &Bytes, length: u64) -> Result<BTreeMap<String, Member>, DatasetError> {
    let failed = |error: io::Error| damaged(path, format!("its table cannot be read: {error}"));
    let section = || Section { content: content.clone(), at: 0, length };
    // The crate takes a long name into memory whatever its length, so these are looked at first.
    for entry in tar::Archive::new(section()).entries_with_seek().map_err(failed)?.raw(true) {
        progress::check()?;
        let entry = entry.map_err(failed)?;
        let kind = entry.header().entry_type();
        let is_of_next = kind.is_gnu_longname() || kind.is_gnu_longlink() || kind.is_pax_local_extensions();
        if (is_of_next || kind.is_pax_global_extensions()) && entry.size() > LONGEST_HEADER {
            return Err(damaged(path, format!("what it says of a file has {} bytes", entry.size())));
        }
    }
    let mut entries = Entries::new(path);
    let mut archive = tar::Archive::new(section());
    for entry in archive.entries_with_seek().map_err(failed)? {
        progress::check()?;
        let entry = entry.map_err(failed)?;
        if !matches!(entry.header().entry_type(), tar::EntryType::Regular | tar::EntryType::Continuous) {
            continue;
        }
        let (start, size) = (entry.raw_file_position(), entry.size());
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if start.checked_add(size).is_none_or(|end| end > length) {
            return Err(damaged(path, format!("it is cut short in {}", quoted(&name))));
        }
        entries.insert(&name, content, start, size, Packing::None)?;
    }
    Ok(entries.found)
}

/// The beginning of a name, with what a terminal would obey written out.
fn quoted(name: &str) -> String {
    format!("{:?}", name.chars().take(200).collect::<String>())
}

fn in_zip(path: &Path, file: File) -> Result<BTreeMap<String, Member>, DatasetError> {
    let failed = |error: zip::result::ZipError| damaged(path, format!("its table cannot be read: {error}"));
    let content = Bytes::File(Arc::new(file));
    let length = content.length()?;
    let reader = BufReader::new(Section { content: content.clone(), at: 0, length });
    let mut archive = zip::ZipArchive::new(reader).map_err(failed)?;
    if archive.len() > MOST_ENTRIES {
        return Err(damaged(path, format!("it has {} entries, more than {MOST_ENTRIES}", archive.len())));
    }
    if archive.has_overlapping_entries().map_err(failed)? {
        return Err(damaged(path, "bytes in it belong to two files"));
    }
    let mut entries = Entries::new(path);
    for index in 0..archive.len() {
        progress::check()?;
        let entry = archive.by_index_data(index).map_err(failed)?;
        if !entry.is_file() || entry.is_symlink() {
            continue;
        }
        let name = entry.name().map_err(failed)?.into_owned();
        let packing = match entry.compression() {
            _ if entry.encrypted() => return Err(damaged(path, format!("{} in it is encrypted", quoted(&name)))),
            CompressionMethod::Stored => Packing::Stored { checksum: entry.crc32() },
            CompressionMethod::Deflated => Packing::Deflated { size: entry.size(), checksum: entry.crc32() },
            method => {
                return Err(damaged(path, format!("{} in it is packed by {method}, which is not read", quoted(&name))));
            }
        };
        let (start, size) = (entry.header_start(), entry.compressed_size());
        entries.insert(&name, &content, start, size, packing)?;
    }
    Ok(entries.found)
}

/// The files found so far.
struct Entries<'path> {
    archive: &'path Path,
    /// What members share: the name of the archive.
    shown: Arc<PathBuf>,
    found: BTreeMap<String, Member>,
}

impl Entries<'_> {
    fn new(archive: &Path) -> Entries<'_> {
        Entries { archive, shown: Arc::new(archive.to_owned()), found: BTreeMap::new() }
    }

    fn insert(
        &mut self,
        name: &str,
        content: &Bytes,
        start: u64,
        size: u64,
        packing: Packing,
    ) -> Result<(), DatasetError> {
        let plain = plain(name)
            .ok_or_else(|| damaged(self.archive, format!("the name {} in it leads out of it", quoted(name))))?;
        let member = Member::part(self.shown.clone(), &plain, content.clone(), start, size, packing);
        if self.found.insert(plain, member).is_some() {
            return Err(damaged(self.archive, format!("it has two files {}", quoted(name))));
        }
        match self.found.len() > MOST_ENTRIES {
            true => Err(damaged(self.archive, format!("it has more than {MOST_ENTRIES} entries"))),
            false => Ok(()),
        }
    }
}

/// A path below a folder without superfluous parts; nothing if it leads out of it or is none.
pub(super) fn plain(name: &str) -> Option<String> {
    if name.contains('\0') || name.starts_with('/') || name.len() > LONGEST_NAME {
        return None;
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    (!parts.is_empty() && !parts.contains(&"..")).then(|| parts.join("/"))
}

/// A reader of a whole content.
struct Section {
    content: Bytes,
    at: u64,
    length: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = (buffer.len() as u64).min(self.length.saturating_sub(self.at)) as usize;
        self.content.read_at(&mut buffer[..wanted], self.at)?;
        self.at += wanted as u64;
        Ok(wanted)
    }
}

impl Seek for Section {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        // A cursor knows the rules, and needs no content for them.
        let mut cursor = Cursor::new([0_u8; 0]);
        cursor.set_position(self.at);
        let to = match to {
            io::SeekFrom::End(offset) => {
                cursor.set_position(self.length);
                io::SeekFrom::Current(offset)
            }
            to => to,
        };
        self.at = cursor.seek(to)?;
        Ok(self.at)
    }
}

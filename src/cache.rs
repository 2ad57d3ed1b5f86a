//! Entries found by what they were made from, locked while they are made, and verified before they are used.
//!
//! An entry is a file `KIND/HASH`: a line with the version and a BLAKE3, a line with the length of the key, the key, the
//! content. The hash in the name is that of the key, the BLAKE3 that of everything after the first line, so that a file
//! that was damaged, cut short or renamed is never taken for an answer.
#![allow(dead_code, reason = "each half uses a part")]

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Read as _, Seek as _, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memmap2::Mmap;

use crate::channel::CACHE_DIR;
use crate::fs::{self, FsError, Lock};

/// What an entry begins with; another version is a miss.
const MAGIC: &str = "report-cache 1";

/// What can go wrong with the cache. A damaged entry is no error.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A file of the cache cannot be read, written or locked.
    #[error("cache: {0}")]
    Fs(#[from] FsError),
    /// No variable says where the cache is.
    #[error("there is no place for the cache: set one of {CACHE_DIR}, XDG_CACHE_HOME and HOME")]
    NoPlace,
}

/// A folder of entries. It may be deleted at any time.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

/// An entry that is there, or the right to make it.
#[derive(Debug)]
pub enum Entry {
    /// The content, verified.
    Hit(Content),
    /// There is none; who holds this, and nobody else, may store it.
    Miss(Slot),
}

/// The content of an entry: a part of its file, mapped into memory.
#[derive(Debug)]
pub struct Content {
    file: Mmap,
    start: usize,
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.file[self.start..]
    }
}

/// An entry as it lies on disk; its content is not read.
#[derive(Debug)]
pub struct Kept {
    /// The subfolder.
    pub kind: String,
    /// The text that names everything that the content depends on; its beginning, if it is long.
    pub key: String,
    /// The file.
    pub path: PathBuf,
    /// The size of the file.
    pub bytes: u64,
    /// When it was written.
    pub written: SystemTime,
}

impl Cache {
    /// The cache in this folder, which need not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Cache {
        Cache { folder: folder.into() }
    }

    /// The cache that the environment names: `REPORT_CACHE_DIR`, else a folder of the user's cache.
    ///
    /// # Errors
    /// None of the variables is set.
    pub fn of_environment() -> Result<Cache, CacheError> {
        match std::env::var_os(CACHE_DIR).filter(|folder| !folder.is_empty()) {
            Some(folder) => Ok(Cache::new(folder)),
            None => Ok(Cache::new(fs::user_folder().ok_or(CacheError::NoPlace)?.join("cache"))),
        }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The content kept under `key`, if it is there and whole. Takes no lock.
    ///
    /// # Errors
    /// The file is there but cannot be read.
    pub fn get(&self, kind: &str, key: &str) -> Result<Option<Content>, CacheError> {
        let path = self.path(kind, key);
        let file = match File::open(&path).and_then(|file| map(&file)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FsError::io("cannot be read", &path, error).into()),
        };
        match start_of_content(&file, key) {
            Ok(start) => Ok(Some(Content { file, start })),
            Err(damage) => {
                eprintln!("warning: {}: {damage}; it is made again", path.display());
                Ok(None)
            }
        }
    }

    /// All entries, by kind and file. What is no entry is left out.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn kept(&self) -> Result<Vec<Kept>, CacheError> {
        let mut kept = Vec::new();
        for folder in fs::list_if_there(&self.folder)? {
            if !folder.is_dir() {
                continue;
            }
            let kind = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for path in fs::list_if_there(&folder)? {
                // It may be deleted meanwhile.
                let Ok(about) = path.metadata() else { continue };
                if let (true, Some(key)) = (about.is_file(), key_of(&path)) {
                    let written = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    kept.push(Kept { kind: kind.clone(), key, path, bytes: about.len(), written });
                }
            }
        }
        Ok(kept)
    }

    /// The entry of `key`, a text that names everything the content depends on. `kind` is a plain word, the subfolder.
    ///
    /// Waits while another process makes the same entry, and then takes what that one has made.
    ///
    /// # Errors
    /// Another process holds the lock for more than [`fs::LOCK_TIMEOUT`]; a file cannot be read.
    pub fn entry(&self, kind: &str, key: &str) -> Result<Entry, CacheError> {
        if let Some(content) = self.get(kind, key)? {
            return Ok(Entry::Hit(content));
        }
        let path = self.path(kind, key);
        let lock = fs::lock(&path.with_extension("lock"))?;
        if path.exists()
            && let Some(content) = self.get(kind, key)?
        {
            lock.remove();
            return Ok(Entry::Hit(content));
        }
        Ok(Entry::Miss(Slot { path, key: key.to_owned(), lock: Some(lock) }))
    }

    /// The content kept under `key`, which `write` writes piece by piece if it is not there; see [`Slot::store_with`].
    ///
    /// # Errors
    /// As [`Cache::entry`] and [`Slot::store_with`].
    pub fn get_or_store<E: From<CacheError> + From<FsError>>(
        &self,
        kind: &str,
        key: &str,
        bytes: u64,
        write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<Content, E> {
        let slot = match self.entry(kind, key)? {
            Entry::Hit(content) => return Ok(content),
            Entry::Miss(slot) => slot,
        };
        slot.store_with(bytes, write)?;
        let gone = || FsError::io("cannot be read", &self.path(kind, key), ErrorKind::NotFound.into());
        self.get(kind, key)?.ok_or_else(|| gone().into())
    }

    fn path(&self, kind: &str, key: &str) -> PathBuf {
        self.folder.join(kind).join(&blake3::hash(key.as_bytes()).to_hex()[..32])
    }
}

/// The right to store one entry; given back when dropped.
#[derive(Debug)]
pub struct Slot {
    path: PathBuf,
    key: String,
    lock: Option<Lock>,
}

impl Slot {
    /// Stores the content, whole or not at all.
    ///
    /// # Errors
    /// No space, missing rights.
    pub fn store(self, content: &[u8]) -> Result<(), CacheError> {
        let (path, size) = (self.path.clone(), content.len() as u64);
        let write = |out: &mut dyn Write| out.write_all(content).map_err(|error| fs::cannot_write(&path, size, error));
        Ok(self.store_with(size, write)?)
    }

    /// Stores what `write` writes piece by piece, whole or not at all; `bytes` is its size as far as that is known.
    ///
    /// # Errors
    /// No space, missing rights; those of `write`, after which nothing is stored.
    pub fn store_with<E: From<FsError>>(
        self,
        bytes: u64,
        write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = |error| E::from(fs::cannot_write(&self.path, bytes, error));
        fs::write_atomic_with(&self.path, bytes, |file| {
            let mut out = Hashed { out: BufWriter::with_capacity(1 << 20, &mut *file), hasher: blake3::Hasher::new() };
            // The sum goes where these zeros are.
            let first_line = |sum: &str| format!("{MAGIC} {sum}\n");
            out.out.write_all(first_line(&"0".repeat(64)).as_bytes()).map_err(failed)?;
            write!(out, "{}\n{}", self.key.len(), self.key).map_err(failed)?;
            write(&mut out)?;
            out.out.flush().map_err(failed)?;
            let sum = out.hasher.finalize().to_hex();
            drop(out);
            file.rewind().and_then(|()| file.write_all(first_line(&sum).as_bytes())).map_err(failed)
        })
    }
}

/// Passes bytes on, and computes their BLAKE3.
struct Hashed<W> {
    out: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.out.write(bytes)?;
        self.hasher.update(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take() {
            lock.remove();
        }
    }
}

#[allow(unsafe_code, reason = "a file that is mapped must not change, which no compiler can check")]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: entries are written under another name and renamed, and deleted as a whole; nothing changes their bytes.
    unsafe { Mmap::map(file) }
}

/// The key of the entry in a file, or what of it is in the first bytes; none if it is no entry.
fn key_of(path: &Path) -> Option<String> {
    const ENOUGH: u64 = 4096;
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(ENOUGH).read_to_end(&mut bytes).ok()?;
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    lines.next().filter(|line| line.starts_with(MAGIC.as_bytes()))?;
    let length: usize = std::str::from_utf8(lines.next()?).ok()?.parse().ok()?;
    let rest = lines.next()?;
    Some(String::from_utf8_lossy(&rest[..length.min(rest.len())]).into_owned())
}

/// Where the content starts in the file of an entry, or what is wrong with the file.
fn start_of_content(bytes: &[u8], key: &str) -> Result<usize, &'static str> {
    let line_end = |from: usize| bytes[from..].iter().position(|byte| *byte == b'\n').map(|length| from + length);
    let first = line_end(0).ok_or("the entry is cut short")?;
    let sum = std::str::from_utf8(&bytes[..first]).ok().and_then(|line| line.strip_prefix(MAGIC)?.strip_prefix(' '));
    let sum = sum.ok_or("the entry has another version or is damaged")?;
    if blake3::hash(&bytes[first + 1..]).to_hex().as_str() != sum {
        return Err("the entry is damaged");
    }
    let second = line_end(first + 1).ok_or("the entry is damaged")?;
    let key_is = bytes[first + 1..second] == *key.len().to_string().as_bytes()
        && bytes[second + 1..].starts_with(key.as_bytes());
    if key_is { Ok(second + 1 + key.len()) } else { Err("the entry belongs to something else") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::TestFolder;

    #[test]
    fn what_was_stored_comes_back() {
        let folder = TestFolder::new("cache-round");
        let cache = Cache::new(&folder.0);
        for content in [b"".as_slice(), b"\n\n\0", &[255; 100_000]] {
            let key = format!("a\nkey of {} bytes", content.len());
            let Entry::Miss(slot) = cache.entry("kind", &key).expect("no error") else { panic!("nothing is there") };
            slot.store(content).expect("stored");
            let Entry::Hit(found) = cache.entry("kind", &key).expect("no error") else { panic!("it is there") };
            assert_eq!(&*found, content);
            assert!(cache.get("kind", &format!("{key}.")).expect("no error").is_none(), "another key is a miss");
            assert!(cache.get("other", &key).expect("no error").is_none(), "another kind is a miss");
        }
        let files = std::fs::read_dir(folder.0.join("kind")).expect("a folder").count();
        assert_eq!(files, 3, "neither locks nor temporary files stay");
    }

    #[test]
    fn every_flipped_bit_is_a_miss() {
        let (folder, path) = stored("cache-bits");
        let good = std::fs::read(&path).expect("stored");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(start_of_content(&bad, "key").is_err(), "bit {bit}");
        }
        let mut bad = good.clone();
        *bad.last_mut().expect("not empty") ^= 1;
        std::fs::write(&path, &bad).expect("a file");
        let cache = Cache::new(&folder.0);
        let Entry::Miss(slot) = cache.entry("kind", "key").expect("no error") else { panic!("damage is a miss") };
        slot.store(b"content").expect("stored again");
        assert_eq!(std::fs::read(&path).expect("stored"), good, "same content, same bytes");
    }

    #[test]
    fn every_truncation_is_a_miss() {
        let (_folder, path) = stored("cache-cut");
        let good = std::fs::read(path).expect("stored");
        for length in 0..good.len() {
            assert!(start_of_content(&good[..length], "key").is_err(), "{length} bytes");
        }
        let longer = [&good[..], b"x"].concat();
        assert!(start_of_content(&longer, "key").is_err());
    }

    #[test]
    fn an_entry_under_a_wrong_name_is_a_miss() {
        let (folder, path) = stored("cache-name");
        let cache = Cache::new(&folder.0);
        let wrong = cache.path("kind", "another key");
        std::fs::copy(path, wrong).expect("a file");
        assert!(cache.get("kind", "another key").expect("no error").is_none());
    }

    #[test]
    fn the_second_waits_and_takes_what_the_first_made() {
        let folder = TestFolder::new("cache-two");
        let cache = Cache::new(&folder.0);
        let Entry::Miss(slot) = cache.entry("kind", "key").expect("no error") else { panic!("nothing is there") };
        std::thread::scope(|scope| {
            let second = scope.spawn(|| cache.entry("kind", "key"));
            std::thread::sleep(std::time::Duration::from_millis(60));
            assert!(!second.is_finished(), "it waits");
            slot.store(b"from the first").expect("stored");
            let Entry::Hit(found) = second.join().expect("no panic").expect("no error") else { panic!("it is there") };
            assert_eq!(&*found, b"from the first");
        });
    }

    #[test]
    fn a_slot_that_is_dropped_stores_nothing() {
        let folder = TestFolder::new("cache-drop");
        let cache = Cache::new(&folder.0);
        drop(cache.entry("kind", "key").expect("no error"));
        assert!(matches!(cache.entry("kind", "key").expect("no error"), Entry::Miss(_)));
    }

    fn stored(name: &str) -> (TestFolder, PathBuf) {
        let folder = TestFolder::new(name);
        let cache = Cache::new(&folder.0);
        let Entry::Miss(slot) = cache.entry("kind", "key").expect("no error") else { panic!("nothing is there") };
        slot.store(b"content").expect("stored");
        let path = cache.path("kind", "key");
        (folder, path)
    }
}

//! The files: writes whole files, takes locks, computes checksums, knows where caches lie.
//!
//! A file written here is either the old one or the whole new one, whenever the power fails. Compiled into both halves.
#![allow(dead_code, reason = "each half uses a part")]

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use md5::Md5;
use sha2::{Digest, Sha256};

/// How long [`lock`] waits.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(600);

/// How old a temporary file must be to be taken for the rest of a killed process.
const LEFTOVER_AGE: Duration = Duration::from_secs(3600);

/// What can go wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FsError {
    /// The operating system refused.
    #[error("{path}: {action}")]
    Io {
        /// What was tried, such as `cannot be read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The disk is full, or the quota used up.
    #[error("{path}: no space left: {bytes} bytes are needed; free some, or move the folder")]
    NoSpace {
        /// The file that could not be written.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// Another process kept the lock for too long.
    #[error("{path}: locked by process {holder} for more than {waited_s} s; wait for it, or end it, then try again")]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The process that holds the lock, or `unknown`.
        holder: String,
        /// How long this process waited, in seconds.
        waited_s: u64,
    },
}

impl FsError {
    /// The error of an operation on a file or folder, such as `cannot be read`.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> FsError {
        FsError::Io { action, path: path.to_owned(), source }
    }
}

/// `$XDG_CACHE_HOME/report` or `~/.cache/report`; relative paths do not count, as the XDG specification says.
pub fn user_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache"))).map(|cache| cache.join("report"))
}

/// Writes a whole file: to a temporary file beside it, which is synced and then renamed. Missing folders are made.
///
/// # Errors
/// No space, with the bytes needed; anything else that the system refuses. The old file, if any, is then untouched.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    let size = bytes.len() as u64;
    write_atomic_with(path, size, |file| file.write_all(bytes).map_err(|error| cannot_write(path, size, error)))
}

/// [`write_atomic`] of content that `write` makes piece by piece; `bytes` is its size as far as that is known.
///
/// # Errors
/// As [`write_atomic`], and those of `write`.
pub fn write_atomic_with<E: From<FsError>>(
    path: &Path,
    bytes: u64,
    write: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    let folder = folder_of(path);
    create_folder(folder)?;
    remove_leftovers(path);
    let temporary = temporary_name(path);
    let failed = |error| cannot_write(path, bytes, error);
    let written = OpenOptions::new().read(true).write(true).create_new(true).open(&temporary).map_err(failed);
    let written = written.map_err(E::from).and_then(|mut file| {
        write(&mut file)?;
        file.sync_all().and_then(|()| std::fs::rename(&temporary, path)).map_err(|error| failed(error).into())
    });
    if let Err(error) = written {
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    // Without this the rename itself may be lost. Some file systems cannot sync a folder: then there is no more to do.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// The error of writing to a file of so many bytes.
pub fn cannot_write(path: &Path, bytes: u64, error: io::Error) -> FsError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FsError::NoSpace { path: path.to_owned(), bytes },
        _ => FsError::io("cannot be written", path, error),
    }
}

/// Makes a folder and those above it; it may be there already.
///
/// # Errors
/// A file of that name, missing rights, no space.
pub fn create_folder(path: &Path) -> Result<(), FsError> {
    std::fs::create_dir_all(path).map_err(|error| FsError::io("cannot be created", path, error))
}

/// The bytes of a file.
///
/// # Errors
/// The file cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, FsError> {
    std::fs::read(path).map_err(|error| FsError::io("cannot be read", path, error))
}

/// The bytes of a file, or nothing if there is none.
///
/// # Errors
/// The file is there but cannot be read.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, FsError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FsError::io("cannot be read", path, error)),
    }
}

/// The paths in a folder, in order.
///
/// # Errors
/// The folder cannot be read.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, FsError> {
    let failed = |source| FsError::io("cannot be read", folder, source);
    let paths = std::fs::read_dir(folder).map_err(failed)?.map(|entry| Ok(entry.map_err(failed)?.path()));
    let mut paths = paths.collect::<Result<Vec<_>, FsError>>()?;
    paths.sort();
    Ok(paths)
}

/// The paths in a folder, in order; none if there is no such folder.
///
/// # Errors
/// The folder is there but cannot be read.
pub fn list_if_there(folder: &Path) -> Result<Vec<PathBuf>, FsError> {
    match list(folder) {
        Err(FsError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed,
    }
}

/// All files below a folder, in order. Links are followed; a folder that is met again is left out.
///
/// # Errors
/// A folder that cannot be read.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>, FsError> {
    let (mut found, mut todo, mut seen) = (Vec::new(), vec![folder.to_owned()], BTreeSet::new());
    while let Some(folder) = todo.pop() {
        let real = folder.canonicalize().map_err(|error| FsError::io("cannot be read", &folder, error))?;
        if !seen.insert(real) {
            continue;
        }
        for path in list(&folder)? {
            if path.is_dir() { todo.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

/// BLAKE3 of the names, sizes and times of change of all files below a folder, in hexadecimal. Reads no file.
///
/// # Errors
/// A folder or file that cannot be looked at.
pub fn folder_stamp(folder: &Path) -> Result<String, FsError> {
    let mut hasher = blake3::Hasher::new();
    for path in files_below(folder)? {
        let about = path.metadata().map_err(|error| FsError::io("cannot be read", &path, error))?;
        let time = about.modified().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let name = path.strip_prefix(folder).unwrap_or(&path);
        hasher.update(format!("{}\0{}\0{:?}\n", name.display(), about.len(), time).as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// What tells whether a file or a folder has changed, without reading it: size and time of change, of a folder those of all
/// files below it; that there is none, if so.
pub fn stamp(path: &Path) -> String {
    match path.metadata() {
        Ok(about) if about.is_dir() => folder_stamp(path).unwrap_or_else(|error| error.to_string()),
        Ok(about) => format!("{} {:?}", about.len(), about.modified().ok()),
        Err(error) => error.kind().to_string(),
    }
}

/// BLAKE3 of a file's bytes, in hexadecimal. Reads the file once, in pieces.
///
/// # Errors
/// The file cannot be read.
pub fn blake3_file(path: &Path) -> Result<String, FsError> {
    let mut hasher = blake3::Hasher::new();
    read_pieces(path, |piece| {
        hasher.update(piece);
    })?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// SHA-256 of a file's bytes, in hexadecimal. Reads the file once, in pieces.
///
/// # Errors
/// The file cannot be read.
pub fn sha256_file(path: &Path) -> Result<String, FsError> {
    digest_file::<Sha256>(path)
}

/// MD5 of a file's bytes, in hexadecimal: for files of which no better checksum was published.
///
/// # Errors
/// The file cannot be read.
pub fn md5_file(path: &Path) -> Result<String, FsError> {
    digest_file::<Md5>(path)
}

fn digest_file<D: Digest>(path: &Path) -> Result<String, FsError> {
    let mut hasher = D::new();
    read_pieces(path, |piece| hasher.update(piece))?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Takes the lock that the file `path` stands for; waits for at most [`LOCK_TIMEOUT`]. Missing folders are made.
///
/// # Errors
/// Another process, which the message names, holds it for longer; the file cannot be made.
pub fn lock(path: &Path) -> Result<Lock, FsError> {
    lock_within(path, LOCK_TIMEOUT)
}

/// [`lock`] with a time limit of its own.
///
/// # Errors
/// As [`lock`].
pub fn lock_within(path: &Path, limit: Duration) -> Result<Lock, FsError> {
    let start = Instant::now();
    loop {
        if let Some(lock) = try_lock(path)? {
            return Ok(lock);
        }
        if start.elapsed() >= limit {
            return Err(FsError::Locked { path: path.to_owned(), holder: holder(path), waited_s: limit.as_secs() });
        }
        std::thread::sleep(Duration::from_millis(20).min(limit));
    }
}

/// Takes the lock, or nothing if another holds it: for callers that have to do something while they wait.
///
/// # Errors
/// The file cannot be made.
pub fn try_lock(path: &Path) -> Result<Option<Lock>, FsError> {
    let cannot = |error| FsError::io("cannot be locked", path, error);
    create_folder(folder_of(path))?;
    loop {
        let mut file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).map_err(cannot)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        // The one who held it may have removed the file since it was opened: then this lock is on nothing.
        let inode = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
        if std::fs::metadata(path).map(inode).ok() != Some(file.metadata().map(inode).map_err(cannot)?) {
            continue;
        }
        // The number is only for the message to others: without it the lock is as good.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
        return Ok(Some(Lock { file, path: path.to_owned() }));
    }
}

/// The process that holds a lock, as it wrote into the lock file, or `unknown`.
pub fn holder(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.trim().parse::<u32>().map_or_else(|_| "unknown".to_owned(), |pid| pid.to_string())
}

/// A lock, held until this value is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Gives the lock back and removes its file.
    pub fn remove(self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// `.NAME.PID.COUNT.tmp` beside the file: hidden, and no two writers share one.
fn temporary_name(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    folder_of(path).join(format!(".{name}.{}.{count}.tmp", std::process::id()))
}

/// Removes what a killed process left of an earlier write of the same file.
fn remove_leftovers(path: &Path) {
    let prefix = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
    for entry in std::fs::read_dir(folder_of(path)).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !(name.starts_with(&prefix) && name.ends_with(".tmp")) {
            continue;
        }
        let modified = entry.metadata().and_then(|meta| meta.modified());
        let age = modified.ok().and_then(|time| SystemTime::now().duration_since(time).ok());
        if age.is_some_and(|age| age > LEFTOVER_AGE) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn read_pieces(path: &Path, mut each: impl FnMut(&[u8])) -> Result<(), FsError> {
    let cannot = |error| FsError::io("cannot be read", path, error);
    let mut file = File::open(path).map_err(cannot)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => each(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(cannot(error)),
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A folder of its own for a test, removed at its end.
#[cfg(test)]
pub(crate) struct TestFolder(pub(crate) PathBuf);

#[cfg(test)]
impl TestFolder {
    pub(crate) fn new(name: &str) -> TestFolder {
        let path = std::env::temp_dir().join(format!("report-test-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder for tests");
        TestFolder(path)
    }
}

#[cfg(test)]
impl Drop for TestFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_whole_files_and_nothing_else() {
        let folder = TestFolder::new("fs-write");
        let path = folder.0.join("a/b/report.html");
        write_atomic(&path, b"first").expect("written");
        write_atomic(&path, b"second").expect("replaced");
        assert_eq!(std::fs::read(&path).expect("there"), b"second");
        let names: Vec<_> = std::fs::read_dir(folder.0.join("a/b")).expect("a folder").flatten().collect();
        assert_eq!(names.len(), 1, "{names:?}");
        assert_eq!(read_if_there(&folder.0.join("nothing")).expect("no error"), None);
    }

    #[test]
    fn a_failed_write_names_the_path_and_leaves_the_old_file() {
        let folder = TestFolder::new("fs-fail");
        let path = folder.0.join("target");
        std::fs::create_dir(&path).expect("a folder in the way");
        std::fs::write(path.join("inside"), "kept").expect("a file");
        let message = write_atomic(&path, b"x").expect_err("a folder is in the way").to_string();
        assert!(message.contains("target: cannot be written"), "{message}");
        assert_eq!(std::fs::read_dir(&folder.0).expect("a folder").count(), 1, "no temporary file stays");
        let message = write_atomic(&path.join("inside/below"), b"x").expect_err("a file is in the way").to_string();
        assert!(message.contains("inside: cannot be created"), "{message}");
    }

    #[test]
    fn a_full_disk_says_how_much_is_needed() {
        // Every write to this device fails for lack of space.
        let error = std::fs::OpenOptions::new().write(true).open("/dev/full").and_then(|mut file| file.write_all(b"x"));
        assert_eq!(error.expect_err("full").kind(), ErrorKind::StorageFull);
        let message = FsError::NoSpace { path: "a".into(), bytes: 7 }.to_string();
        assert!(message.starts_with("a: no space left: 7 bytes are needed"), "{message}");
    }

    #[test]
    fn old_leftovers_go_and_young_ones_stay() {
        let folder = TestFolder::new("fs-leftovers");
        let (old, young) = (folder.0.join(".f.1.0.tmp"), folder.0.join(".f.2.0.tmp"));
        std::fs::write(&young, "y").expect("a file");
        let file = File::create(&old).expect("a file");
        file.set_modified(SystemTime::now() - 2 * LEFTOVER_AGE).expect("an older time");
        write_atomic(&folder.0.join("f"), b"new").expect("written");
        assert!(young.exists() && !old.exists());
    }

    #[test]
    fn one_lock_at_a_time() {
        let folder = TestFolder::new("fs-lock");
        let path = folder.0.join("locks/a");
        let first = lock(&path).expect("free");
        assert!(try_lock(&path).expect("no error").is_none());
        let message = lock_within(&path, Duration::from_millis(50)).expect_err("held").to_string();
        let expected = format!("locks/a: locked by process {} for more than 0 s", std::process::id());
        assert!(message.contains(&expected), "{message}");
        drop(first);
        lock(&path).expect("free again").remove();
        assert!(!path.exists());
        let _again = lock_within(&path, Duration::ZERO).expect("a removed lock can be taken");
    }

    #[test]
    fn a_waiting_process_gets_the_lock() {
        let folder = TestFolder::new("fs-wait");
        let path = folder.0.join("lock");
        let first = lock(&path).expect("free");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lock_within(&path, Duration::from_secs(30)).is_ok());
            std::thread::sleep(Duration::from_millis(60));
            first.remove();
            assert!(waiting.join().expect("no panic"));
        });
    }

    #[test]
    fn checksums_of_files() {
        let folder = TestFolder::new("fs-sums");
        let path = folder.0.join("abc");
        std::fs::write(&path, "abc").expect("a file");
        let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let blake = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
        assert_eq!(sha256_file(&path).expect("readable"), sha);
        assert_eq!(blake3_file(&path).expect("readable"), blake);
        assert!(sha256_file(&folder.0.join("no")).expect_err("missing").to_string().contains("no: cannot be read"));
    }

    #[test]
    fn a_folder_has_another_stamp_when_something_in_it_has_changed() {
        let folder = TestFolder::new("fs-stamp");
        std::fs::create_dir_all(folder.0.join("a/b")).expect("made");
        std::fs::write(folder.0.join("a/b/x"), "1").expect("written");
        let stamp = || folder_stamp(&folder.0).expect("a stamp");
        let first = stamp();
        assert_eq!(stamp(), first);
        std::fs::write(folder.0.join("a/y"), "1").expect("written");
        let second = stamp();
        assert_ne!(second, first);
        std::fs::write(folder.0.join("a/b/x"), "22").expect("written");
        assert_ne!(stamp(), second);
        std::os::unix::fs::symlink("..", folder.0.join("a/b/up")).expect("a link");
        assert_eq!(files_below(&folder.0).expect("listed"), [folder.0.join("a/b/x"), folder.0.join("a/y")]);
        assert!(folder_stamp(&folder.0.join("nothing")).is_err());
    }
}

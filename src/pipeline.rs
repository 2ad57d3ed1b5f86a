//! The whole build: read, parse, plan, run, render, commit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::datasets::registry;
use crate::diagnostic::{self, Diagnostic, Severity};
use crate::environment::Installation;
use crate::notebook::Notebook;
use crate::plan::{self, Environment, Kept, Plan};
use crate::render::{self, Page};
use crate::run::{Failure, Input, Run, Status};
use crate::runner::{self, Stage};
use crate::{fs, images, parse, program, provenance, signals};

/// How long a build waits for another one of the same report.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1800);

/// One notebook to build.
#[derive(Clone, Debug)]
pub struct Job {
    pub notebook: PathBuf,
    /// The folder of the HTML file.
    pub output: PathBuf,
    /// `-P key=value`.
    pub params: Vec<(String, String)>,
    /// `auto`, `cpu` or `cuda:N`.
    pub device: String,
    /// Bytes of memory that the cells may use.
    pub memory: u64,
    /// Show when the report was made and how long it took.
    pub times: bool,
}

/// How a build ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Built {
    /// The report, and whether any cell had to run.
    Report { html: PathBuf, ran: bool },
    /// Cells failed: the report with the failures, and the failures as text for a terminal.
    Failed { html: PathBuf, text: String },
    /// The notebook itself is wrong; nothing was run or written.
    BadNotebook(String),
}

/// Builds one report.
pub fn build(job: &Job, installation: &Installation, stage: &mut dyn FnMut(&Notebook, Stage)) -> Result<Built> {
    let places = Places::of(job)?;
    let source = match read(&job.notebook, &job.params)? {
        Ok(source) => source,
        Err(text) => return Ok(Built::BadNotebook(text)),
    };
    let notebook = &source.notebook;
    let _lock = lock(&places.lock)?;
    let environment = installation.environment(notebook, &job.device);
    let plan = make_plan(notebook, &environment, &places);
    let ran = plan.reused.is_none();
    let run = match plan.reused {
        Some(run) => run,
        None => {
            let setup = installation.setup(notebook, job, &places)?;
            let run = runner::run(notebook, &setup, &mut |event| stage(notebook, event))?;
            if !run.failed() {
                keep(&places.kept, &plan::keep(notebook, &environment, &run))?;
            }
            run
        }
    };
    let provenance = provenance::groups(notebook, &run, &environment, &job.notebook, job.times);
    let page = Page {
        notebook,
        run: &run,
        provenance: &provenance,
        images: &source.images,
        failed: run.failed(),
        times: job.times,
    };
    let html = render::page(&page)?;
    if run.failed() {
        fs::write_atomic(&places.failed, html.as_bytes())?;
        return Ok(Built::Failed { html: places.failed, text: failures(notebook, &run, diagnostic::color()) });
    }
    if std::fs::read(&places.html).is_ok_and(|old| old == html.as_bytes()) {
        // The same bytes: the file keeps its time, so that nothing that depends on it is made again.
    } else {
        fs::write_atomic(&places.html, html.as_bytes())?;
    }
    let _ = std::fs::remove_file(&places.failed);
    Ok(Built::Report { html: places.html, ran })
}

/// Waits for other builds of the same report, says so after a second, and can be interrupted.
fn lock(path: &Path) -> Result<fs::Lock> {
    let started = Instant::now();
    let mut told = false;
    loop {
        if let Some(lock) = fs::try_lock(path)? {
            return Ok(lock);
        }
        signals::check()?;
        if !told && started.elapsed() > Duration::from_secs(1) {
            told = true;
            diagnostic::warn(&format!("waiting for another build ({}, {})\n", fs::holder(path), path.display()));
        }
        if started.elapsed() > LOCK_TIMEOUT {
            bail!("another build ({}) has held {} for {} s", fs::holder(path), path.display(), LOCK_TIMEOUT.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What would run, and why; or the faults of the notebook.
pub fn explain(job: &Job, installation: &Installation) -> Result<Result<(Notebook, Plan), String>> {
    let places = Places::of(job)?;
    Ok(read(&job.notebook, &job.params)?.map(|source| {
        let environment = installation.environment(&source.notebook, &job.device);
        let plan = make_plan(&source.notebook, &environment, &places);
        (source.notebook, plan)
    }))
}

/// Type-checks the cells; the text of what is wrong, or nothing.
pub fn check(job: &Job, installation: &Installation) -> Result<Result<Option<String>, String>> {
    let places = Places::of(job)?;
    let source = match read(&job.notebook, &job.params)? {
        Ok(source) => source,
        Err(text) => return Ok(Err(text)),
    };
    let _lock = lock(&places.lock)?;
    let setup = installation.setup(&source.notebook, job, &places)?;
    let errors = runner::check(&source.notebook, &setup)?;
    let text = (!errors.is_empty())
        .then(|| diagnostic::render(&errors, &source.notebook.path, &source.notebook.text, diagnostic::color()));
    Ok(Ok(text))
}

/// A notebook and the pictures of its prose as data URIs.
struct Source {
    notebook: Notebook,
    images: BTreeMap<String, String>,
}

/// Reads and parses; all faults of the notebook as one text.
fn read(path: &Path, params: &[(String, String)]) -> Result<Result<Source, String>> {
    let shown = path.display().to_string();
    // A folder cannot be read, and a pipe would be waited for.
    let meta = std::fs::metadata(path).with_context(|| format!("cannot read the notebook {shown}"))?;
    if !meta.is_file() {
        bail!("the notebook {shown} is not a file");
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read the notebook {shown}"))?;
    let text = match parse::text(&bytes) {
        Ok(text) => text,
        Err(fault) => return Ok(Err(fault.render(&shown))),
    };
    let (notebook, mut diagnostics) = parse::notebook(&shown, &text, params);
    diagnostics.extend(program::inline_errors(&notebook));
    diagnostics.extend(program::stdin_errors(&notebook));
    let images = images::embed(&notebook, path.parent().unwrap_or(Path::new("")), &mut diagnostics);
    diagnostics.sort_by_key(|d: &Diagnostic| d.labels.first().map_or(0, |label| label.range.start));
    let text = diagnostic::render(&diagnostics, &shown, &notebook.text, diagnostic::color());
    if diagnostics.iter().any(|d| d.severity == Severity::Error) {
        return Ok(Err(text));
    }
    if !text.is_empty() {
        diagnostic::warn(&text);
    }
    Ok(Ok(Source { notebook, images }))
}

fn make_plan(notebook: &Notebook, environment: &Environment, places: &Places) -> Plan {
    let kept = load(&places.kept);
    let changed = kept.iter().flat_map(|kept| &kept.run.inputs).filter_map(changed).collect::<Vec<_>>();
    plan::make(notebook, environment, kept.as_ref(), &changed)
}

/// The name of an input file or folder that is no longer what it was, or is gone.
fn changed(input: &Input) -> Option<String> {
    let (kind, path) = input.name.split_once(':')?;
    let now = match kind {
        "file" => fs::blake3_file(Path::new(path)).map(|sum| format!("blake3:{sum}")).ok(),
        // What a dataset is taken from, file or folder.
        "stamp" => Some(fs::stamp(Path::new(path))),
        // Which datasets are here.
        "datasets" => registry::presence(Path::new(path)).ok(),
        _ => return None,
    };
    (now.as_ref() != Some(&input.checksum)).then(|| path.to_owned())
}

/// The text of all failures, as a terminal shows it.
fn failures(notebook: &Notebook, run: &Run, color: bool) -> String {
    let mut text = String::new();
    for (cell, result) in notebook.cells.iter().zip(&run.cells) {
        if let Status::Failed(Failure { title, diagnostics }) = &result.status {
            text.push_str(&diagnostic::render(diagnostics, &notebook.path, &notebook.text, color));
            text.push_str(&format!("cell `{}` {title}\n", cell.name()));
        }
    }
    if let Some(failure) = &run.failure {
        text.push_str(&diagnostic::render(&failure.diagnostics, &notebook.path, &notebook.text, color));
    }
    text
}

/// Where the files of a build are.
pub struct Places {
    pub html: PathBuf,
    pub failed: PathBuf,
    pub cache: PathBuf,
    pub lock: PathBuf,
    pub kept: PathBuf,
    /// The run folder.
    pub run: PathBuf,
    /// A short name of this notebook and its parameters, different from every other.
    pub key: String,
}

impl Places {
    fn of(job: &Job) -> Result<Places> {
        let stem = job.notebook.file_stem().with_context(|| format!("{} is no file", job.notebook.display()))?;
        let stem = stem.to_string_lossy().into_owned();
        let output = std::path::absolute(&job.output)?;
        let cache = output.join(".cache");
        // evcxr's folder goes by this key too, and serves one build at a time: the lock is one of the output folder.
        let notebook = std::path::absolute(&job.notebook)?;
        let identity = format!("{}\n{}\n{:?}", notebook.display(), output.display(), job.params);
        let key = format!("{stem}-{}", &blake3::hash(identity.as_bytes()).to_hex()[..12]);
        // The evcxr folder and the run folder hold the key: it must be a plain name.
        let key = key.replace(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)), "_");
        Ok(Places {
            html: output.join(format!("{stem}.html")),
            failed: output.join(format!("{stem}.failed.html")),
            lock: cache.join("locks").join(&stem),
            kept: cache.join("runs").join(format!("{key}.json")),
            run: cache.join("runs").join(&key),
            cache,
            key,
        })
    }
}

/// A kept run: a line with the BLAKE3 of what follows, then JSON.
fn keep(path: &Path, kept: &Kept) -> Result<()> {
    let json = serde_json::to_string(kept)?;
    fs::write_atomic(path, format!("{}\n{json}", blake3::hash(json.as_bytes()).to_hex()).as_bytes())?;
    Ok(())
}

/// The kept run, if it is there and whole.
fn load(path: &Path) -> Option<Kept> {
    let text = std::fs::read_to_string(path).ok()?;
    let kept = text.split_once('\n').and_then(|(hash, json)| {
        (blake3::hash(json.as_bytes()).to_hex().as_str() == hash).then(|| serde_json::from_str(json).ok())?
    });
    if kept.is_none() {
        diagnostic::warn(&format!("warning: {} is damaged and is not used\n", path.display()));
    }
    kept
}

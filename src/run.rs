//! The data: what a run of a notebook left behind, cell by cell. Kept in the cache, drawn by `render`.

use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostic;
use crate::output::Output;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// One for each cell of the notebook, in order.
    pub cells: Vec<CellRun>,
    /// One for each inline expression, in order; `None` was not reached.
    pub inlines: Vec<Option<String>>,
    pub inputs: Vec<Input>,
    pub seeds: Vec<Seed>,
    pub device: Option<String>,
    /// What failed between cells, in an inline expression.
    pub failure: Option<Failure>,
    /// Seconds to compile all cells together.
    pub compile_s: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellRun {
    pub status: Status,
    pub outputs: Vec<Output>,
    pub stdout: Captured,
    pub stderr: Captured,
    pub run_s: f64,
}

/// Text that a cell printed: its beginning, up to the limit, and how much was dropped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Captured {
    /// Invalid UTF-8 replaced, ANSI sequences removed, `\r` overwriting applied.
    pub text: String,
    pub dropped_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Ok,
    /// `ignore` or `eval: false`.
    Skipped,
    /// `no_run` compiled, `compile_fail` did not compile, `should_panic` panicked, `error: true` failed: as asked.
    /// The text says what happened, such as the expected error.
    AsExpected(String),
    Failed(Failure),
    /// The reason, such as "cell `fig-pca` failed".
    NotRun(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Such as "does not compile", "panicked", "killed by signal 9".
    pub title: String,
    pub diagnostics: Vec<Diagnostic>,
}

/// A file or dataset that a cell read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Input {
    pub name: String,
    pub checksum: String,
}

impl Input {
    /// Whether it tells only when something was changed, and not what it is.
    pub fn is_looked_at(&self) -> bool {
        ["stamp:", "datasets:"].iter().any(|kind| self.name.starts_with(kind))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seed {
    pub what: String,
    pub seed: u64,
}

impl Run {
    /// Whether anything failed.
    pub fn failed(&self) -> bool {
        self.failure.is_some() || self.cells.iter().any(|cell| matches!(cell.status, Status::Failed(_)))
    }
}

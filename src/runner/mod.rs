//! Runs the cells of a notebook, top to bottom, in one worker process, and supervises it.
//!
//! 1. The cells are fused into one program ([`crate::program`]) and sent to the worker, which hosts evcxr.
//! 2. The running program writes records to a file in the run folder; this process reads them as they come, enforces
//!    the limits, and knows at any moment which cell is running.
//! 3. However the program ends, what is left of its processes is killed, and the records become a [`Run`].

mod collect;
mod limits;
mod supervise;
mod worker;

use std::path::{Path, PathBuf};

use anyhow::Result;

pub use limits::default_memory_limit;
pub use supervise::Stage;
pub use worker::{main as worker_main, prepare_for_cells};

use crate::diagnostic::Diagnostic;
use crate::notebook::{Mode, Notebook};
use crate::program::{self, Extent};
use crate::run::{CellRun, Failure, Run, Status};
use supervise::{Ending, Worker};

/// Where things are, for the worker. All paths are absolute.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The facade: `libreport.so`.
    pub library: PathBuf,
    /// The compiled crates behind the facade.
    pub dependencies: PathBuf,
    /// The folder of libtorch's libraries.
    pub libtorch: PathBuf,
    /// evcxr's folder, kept between builds; one process at a time.
    pub evcxr: PathBuf,
    /// The folder of this run: records and what cells print. Emptied first.
    pub run: PathBuf,
    /// The working folder of the cells.
    pub folder: PathBuf,
    /// The library's cache.
    pub cache: PathBuf,
    /// The datasets.
    pub data: PathBuf,
    /// Folder of the weights of encoders.
    pub encoders: PathBuf,
    pub device: String,
    pub opt_level: u8,
    /// Bytes of memory that the cells may use.
    pub memory: u64,
}

/// The commands with which a session of the evcxr REPL sees the library.
pub fn session(library: &Path, dependencies: &Path, libtorch: &Path) -> Result<String> {
    let flags = supervise::rustflags(library, dependencies, libtorch)?;
    Ok(format!(":opt 0\n:build_env RUSTFLAGS={flags}\nuse report::prelude::*;\n"))
}

/// Runs all cells. Failures of cells are part of the [`Run`]; an `Err` is a fault of the machine or of this program.
pub fn run(notebook: &Notebook, setup: &Setup, stage: &mut dyn FnMut(Stage)) -> Result<Run> {
    let mut worker = Worker::start(setup)?;
    if let Some(bad) = broken_cell(notebook, &mut worker, stage)? {
        stage(Stage::DoesNotCompile(&bad.1.diagnostics));
        return run_before(notebook, &mut worker, setup, bad, stage);
    }
    let program = program::fuse(notebook, Extent::All);
    match worker.run(notebook, &program, setup, stage)? {
        Ending::Errors(errors) => {
            let bad = collect::first_bad_cell(notebook, &program, &errors);
            stage(Stage::DoesNotCompile(&bad.1.diagnostics));
            run_before(notebook, &mut worker, setup, bad, stage)
        }
        ending => Ok(worker.collect(notebook, &program, setup, ending)),
    }
}

/// Type-checks all cells and runs none: what is wrong, cell by cell.
pub fn check(notebook: &Notebook, setup: &Setup) -> Result<Vec<Diagnostic>> {
    let mut worker = Worker::start(setup)?;
    if let Some((_, failure)) = broken_cell(notebook, &mut worker, &mut |_| ())? {
        return Ok(failure.diagnostics);
    }
    let program = program::fuse(notebook, Extent::All);
    let errors = worker.check(&program)?;
    Ok(collect::diagnostics(notebook, &program, &errors))
}

/// A cell whose failure does not depend on running anything: its brackets do not match, or it compiles although
/// `compile_fail` says that it must not.
fn broken_cell(
    notebook: &Notebook,
    worker: &mut Worker,
    stage: &mut dyn FnMut(Stage),
) -> Result<Option<(usize, Failure)>> {
    if let Some(index) = program::unbalanced(notebook)
        && notebook.cells[index].mode != Mode::CompileFail
    {
        let program = program::fuse(notebook, Extent::Only(index));
        let errors = worker.check(&program)?;
        return Ok(Some((index, collect::syntax_failure(notebook, index, &program, &errors))));
    }
    for cell in notebook.cells.iter().filter(|cell| cell.mode == Mode::CompileFail && cell.options.eval) {
        stage(Stage::Checking(cell.index));
        let alone = cell.source().parse::<proc_macro2::TokenStream>().is_err();
        let extent = if alone { Extent::Only(cell.index) } else { Extent::With(cell.index) };
        let program = program::fuse(notebook, extent);
        let errors = worker.check(&program)?;
        match collect::expected_errors(notebook, cell.index, &program, &errors) {
            Ok(text) => worker.expected.push((cell.index, text)),
            Err(failure) => return Ok(Some((cell.index, failure))),
        }
    }
    Ok(None)
}

/// Runs the cells before one that cannot be compiled, so that a failed report shows all that there is to show.
fn run_before(
    notebook: &Notebook,
    worker: &mut Worker,
    setup: &Setup,
    (bad, failure): (usize, Failure),
    stage: &mut dyn FnMut(Stage),
) -> Result<Run> {
    let program = program::fuse(notebook, Extent::Before(bad));
    let mut run = if notebook.cells[..bad].iter().any(|cell| cell.runs()) {
        match worker.run(notebook, &program, setup, stage)? {
            Ending::Errors(_) => collect::nothing_ran(notebook),
            ending => worker.collect(notebook, &program, setup, ending),
        }
    } else {
        collect::nothing_ran(notebook)
    };
    let failed = |cell: &CellRun| matches!(cell.status, Status::Failed(_));
    let name = notebook.cells[bad].name();
    if !run.cells[..bad].iter().any(failed) {
        for (index, cell) in run.cells.iter_mut().enumerate().skip(bad) {
            if index > bad && !matches!(cell.status, Status::Skipped) {
                cell.status = Status::NotRun(format!("cell `{name}` failed"));
            }
        }
    }
    run.cells[bad].status = Status::Failed(failure);
    Ok(run)
}

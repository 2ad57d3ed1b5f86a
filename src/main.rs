//! The program: parses notebooks, has their cells run, renders reports.
//!
//! It does not link the library of the cells: loading libtorch would cost every start some tenths of a second.

mod batch_command;
mod batch_job;
mod cache;
mod cache_command;
mod channel;
mod checkpoint;
mod cli;
mod datasets {
    //! The part of the library's datasets that says what to fetch.
    pub mod registry;
}
mod datasets_command;
mod diagnostic;
mod encoders {
    //! The part of the library's encoders that says which there are, and what they consist of.
    pub mod names;
    pub mod registry;
    pub mod shapes;
}
mod encoders_command;
mod environment;
mod fetch;
mod fs;
mod images;
mod import;
mod notebook;
mod output;
mod parse;
mod pipeline;
mod plan;
mod program;
mod provenance;
mod render;
mod run;
mod runner;
mod signals;
mod terminal;

use std::process::ExitCode;

fn main() -> ExitCode {
    // evcxr starts this program again as the process that runs the cells; then control does not come back.
    runner::prepare_for_cells();
    evcxr::runtime_hook();
    let mut arguments = std::env::args();
    if let (_, Some("__worker"), Some(settings)) = (arguments.next(), arguments.next().as_deref(), arguments.next()) {
        return match runner::worker_main(&settings) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: worker: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    if let Err(error) = signals::install() {
        eprintln!("error: signals cannot be received: {error}");
        return ExitCode::from(3);
    }
    cli::main()
}

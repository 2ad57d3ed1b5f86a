//! The worker process: hosts evcxr, and answers requests on standard input, one JSON object a line.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use evcxr::{CommandContext, CompilationError, EvalContext};
use rustix::process::{Signal, set_child_subreaper, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use super::limits::kill_descendants;
use crate::channel;

/// Environment variable with the library that the process of the cells loads while the cells are being compiled.
const PRELOAD: &str = "REPORT_PRELOAD";

/// Makes this process, which evcxr has started to run the cells, ready for them. Called first of all in `main`.
pub fn prepare_for_cells() -> Option<()> {
    std::env::var_os("EVCXR_IS_RUNTIME")?;
    // It must not outlive its parent.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let library = std::env::var_os(PRELOAD)?;
    std::thread::spawn(move || {
        // SAFETY: the library's and libtorch's initialisers run now instead of with the first cell, and they depend on
        // no other thread. What is wrong with the library is told when the cell loads it.
        #[allow(unsafe_code, reason = "loading libtorch takes as long as compiling the cells: do both at once")]
        let loaded = unsafe { libloading::Library::new(library) };
        loaded.map(std::mem::forget)
    });
    Some(())
}

/// How the worker is started: the hidden first argument of the program.
pub(super) const ARGUMENT: &str = "__worker";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) rustflags: String,
    pub(super) library: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) run: PathBuf,
    pub(super) cache: PathBuf,
    pub(super) data: PathBuf,
    pub(super) encoders: PathBuf,
    pub(super) device: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Request {
    Run { program: String },
    Check { program: String },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reply {
    /// The program ran to its end, or to a failure that it recorded itself.
    Finished,
    /// The compiler's errors; nothing ran.
    Errors(Vec<CompileError>),
    /// The process that ran the cells has ended; evcxr's words.
    Ended(String),
    /// evcxr or Cargo could not do its part.
    Broken(String),
}

/// A compiler error in lines and columns of the program, from 1, in characters.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CompileError {
    pub(super) code: Option<String>,
    pub(super) message: String,
    pub(super) labels: Vec<CompileLabel>,
    pub(super) help: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CompileLabel {
    pub(super) start: (usize, usize),
    pub(super) end: (usize, usize),
    pub(super) text: String,
    pub(super) primary: bool,
}

/// Serves requests until standard input ends. `settings` is a [`Settings`] in JSON.
pub fn main(settings: &str) -> Result<()> {
    // If the supervisor is killed, nobody else is left to end what the cells have started.
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM])?;
    set_child_subreaper(Some(rustix::process::getpid()))?;
    set_parent_process_death_signal(Some(Signal::TERM))?;
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            kill_descendants();
            std::process::exit(1);
        }
    });
    let settings: Settings = serde_json::from_str(settings)?;
    let mut context = None;
    for line in std::io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        let reply = match serve(&mut context, &settings, request) {
            Ok(reply) => reply,
            Err(error) => Reply::Broken(format!("{error:#}")),
        };
        let mut stdout = std::io::stdout().lock();
        serde_json::to_writer(&mut stdout, &reply)?;
        stdout.write_all(b"\n")?;
        stdout.flush()?;
    }
    // evcxr's own clean-up waits for its child; the supervisor ends the whole group instead.
    std::process::exit(0)
}

fn serve(context: &mut Option<CommandContext>, settings: &Settings, request: Request) -> Result<Reply> {
    let context = match context {
        Some(context) => context,
        None => context.insert(start(settings)?),
    };
    match request {
        Request::Check { program } => {
            let errors = context.check(&program).map_err(|error| anyhow!("{error}"))?;
            Ok(Reply::Errors(compile_errors(&errors)))
        }
        Request::Run { program } => Ok(match context.execute(&program) {
            Ok(_) => Reply::Finished,
            Err(evcxr::Error::CompilationErrors(errors)) => Reply::Errors(compile_errors(&errors)),
            Err(evcxr::Error::SubprocessTerminated(text)) => Reply::Ended(text),
            Err(error) => Reply::Broken(error.to_string()),
        }),
    }
}

fn start(settings: &Settings) -> Result<CommandContext> {
    let mut command = Command::new(std::env::current_exe().context("the path of this program is not known")?);
    command
        .current_dir(&settings.folder)
        .env(PRELOAD, &settings.library)
        .env(channel::RUN_DIR, &settings.run)
        .env(channel::CACHE_DIR, &settings.cache)
        .env(channel::DATA_DIR, &settings.data)
        .env(channel::ENCODERS, &settings.encoders)
        .env(channel::DEVICE, &settings.device);
    let (context, outputs) =
        EvalContext::with_subprocess_command(command).map_err(|error| anyhow!("evcxr did not start: {error}"))?;
    // What cells print goes to files; anything else on these channels is evcxr's own and must be drained, or it waits.
    std::thread::spawn(move || outputs.stdout.iter().for_each(drop));
    std::thread::spawn(move || {
        for line in outputs.stderr {
            eprintln!("{line}");
        }
    });
    let mut context = CommandContext::with_eval_context(context);
    let flags = format!(":build_env RUSTFLAGS={}", settings.rustflags);
    context.execute(&flags).map_err(|error| anyhow!("evcxr refused `{flags}`: {error}"))?;
    Ok(context)
}

fn compile_errors(errors: &[CompilationError]) -> Vec<CompileError> {
    errors.iter().filter(|error| error.level() == "error").map(compile_error).collect()
}

fn compile_error(error: &CompilationError) -> CompileError {
    let labels = error.spanned_messages().iter().filter_map(|message| {
        let span = message.span?;
        Some(CompileLabel {
            start: (span.start_line, span.start_column),
            end: (span.end_line, span.end_column),
            // evcxr fills in the whole message where the compiler gave no label.
            text: if message.label.starts_with("error: ") { String::new() } else { message.label.clone() },
            primary: message.is_primary,
        })
    });
    CompileError {
        code: error.code().map(str::to_owned),
        message: error.message(),
        labels: labels.collect(),
        help: error.help(),
    }
}

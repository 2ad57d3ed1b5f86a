//! Arguments and exit codes.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;

use anyhow::{Result, bail};
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::batch_command::{self, ClusterArguments, EmbedArguments, ReduceArguments, ScoreArguments, VerifyArguments};
use crate::batch_job;
use crate::cache::Cache;
use crate::cache_command;
use crate::datasets_command;
use crate::encoders_command;
use crate::environment::{self, Installation};
use crate::fetch;
use crate::pipeline::{self, Built, Job};
use crate::plan::Decision;
use crate::runner::default_memory_limit;
use crate::signals::Interrupted;
use crate::terminal::Terminal;

/// Everything was done.
const OK: u8 = batch_job::DONE;
/// A cell failed, or does not compile.
const CELL_FAILED: u8 = 1;
/// The command line, a notebook or an array is wrong.
const BAD_INPUT: u8 = batch_job::BAD_INPUT;
/// Something of the machine is in the way: a missing file, no space, a lock.
const ENVIRONMENT: u8 = batch_job::MACHINE;

const EXIT_CODES: &str = "\
Exit codes:
  0    everything was done
  1    a cell failed or does not compile; the report is NAME.failed.html
  2    the command line, a notebook or an array is wrong
  3    the machine is in the way: a missing file, no space, a lock
  130  interrupted (143 when terminated)";

/// Runs literate Rust notebooks and renders each as one self-contained HTML file.
#[derive(Debug, Parser)]
#[command(name = "report", version = VERSION.as_str(), about, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run notebooks and write their reports
    Build(Build),
    /// Parse and type-check every cell of notebooks; run nothing
    Check {
        /// Notebooks; all of `notebooks/*.md` if none is given
        notebooks: Vec<PathBuf>,
        /// Folder of the cache
        #[arg(short, long, value_name = "DIR", default_value = "output")]
        output: PathBuf,
    },
    /// Download what notebooks need; the only command that uses the network
    Fetch {
        #[command(subcommand)]
        what: Fetch,
    },
    /// List datasets and whether their files are here; check every image of one
    Datasets {
        #[command(subcommand)]
        what: Option<Datasets>,
    },
    /// List encoders and whether their weights are here; import weights
    Encoders {
        #[command(subcommand)]
        what: Option<Encoders>,
    },
    /// List what is kept so that it is not computed twice, or delete it
    Cache {
        /// Folder of the reports
        #[arg(short, long, value_name = "DIR", default_value = "output", global = true)]
        output: PathBuf,
        #[command(subcommand)]
        what: Option<CacheCommand>,
    },
    /// Turn images into vectors
    Embed(Box<EmbedArguments>),
    /// Give points other coordinates: UMAP, PCA, standardising, nearest neighbours
    Reduce(Box<ReduceArguments>),
    /// Find clusters
    Cluster(Box<ClusterArguments>),
    /// Measure labels against true ones, and against the points
    Score(Box<ScoreArguments>),
    /// Print the commands that let a session of the evcxr REPL use the library of the cells
    Repl,
    /// Print shell completions
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
enum Fetch {
    /// Datasets, by name; files that are there and whole are left alone
    Datasets {
        /// Names; `report datasets` lists them
        #[arg(required = true)]
        names: Vec<String>,
        /// What their training partitions need, too
        #[arg(long)]
        train: bool,
    },
    /// Weights of encoders, by name; each is downloaded, verified as far as its checksum is known, and converted once
    Encoders {
        /// Names; all whose weights are published if none is given
        names: Vec<String>,
        /// Take the files, under the names they are published by, from this folder, and use no network
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
enum Datasets {
    /// Count, decode and check every image; show how many each class has, and samples
    Verify(VerifyArguments),
}

#[derive(Debug, Subcommand)]
enum CacheCommand {
    /// Delete entries; they are made again when they are needed
    Prune {
        /// Those of this kind alone, such as `embeddings`
        #[arg(long)]
        kind: Option<String>,
        /// Those that were written at least so many days ago
        #[arg(long, value_name = "DAYS", default_value_t = 30)]
        older_than: u32,
    },
}

#[derive(Debug, Subcommand)]
enum Encoders {
    /// Check a file of weights (.pth, .npz, .pkl, .safetensors) and convert it, once; nothing in it is run
    Import {
        /// The file, as its authors publish it
        file: PathBuf,
        /// The encoder whose weights it has
        #[arg(long = "as", value_name = "NAME")]
        name: String,
    },
}

#[derive(Debug, clap::Args)]
struct Build {
    /// Notebooks; all of `notebooks/*.md` if none is given
    notebooks: Vec<PathBuf>,
    /// Set a parameter of the front matter
    #[arg(short = 'P', long = "param", value_name = "KEY=VALUE", value_parser = key_value)]
    params: Vec<(String, String)>,
    /// Device that cells compute on
    #[arg(long, value_name = "auto|cpu|cuda:N", default_value = "auto", value_parser = device)]
    device: String,
    /// Folder of the reports
    #[arg(short, long, value_name = "DIR", default_value = "output")]
    output: PathBuf,
    /// Say which cells would run and why, and run nothing
    #[arg(long)]
    explain: bool,
    /// Show in the report how long compiling and running took
    #[arg(long)]
    times: bool,
    /// Memory that the cells may use, such as `8G` [default: four fifths of the machine's]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory_limit: Option<u64>,
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let code = match run(arguments.command) {
        Ok(code) => code,
        Err(error) => match error.downcast_ref::<Interrupted>() {
            Some(Interrupted(signal)) => {
                eprintln!("\ninterrupted");
                128 + *signal as u8
            }
            None => {
                eprintln!("error: {}", crate::terminal::clean(&format!("{error:#}")));
                ENVIRONMENT
            }
        },
    };
    ExitCode::from(code)
}

fn run(command: Command) -> Result<u8> {
    match command {
        Command::Build(arguments) => build(&arguments),
        Command::Check { notebooks, output } => check(notebooks, output),
        Command::Fetch { what: Fetch::Datasets { names, train } } => {
            fetch::datasets(&names, train, &environment::data_folder()?)?;
            Ok(OK)
        }
        Command::Fetch { what: Fetch::Encoders { names, from } } => {
            fetch::encoders(&names, from.as_deref(), &environment::encoders_folder()?)?;
            Ok(OK)
        }
        Command::Datasets { what: None } => {
            crate::terminal::print(&datasets_command::list(&environment::data_folder()?)?);
            Ok(OK)
        }
        Command::Datasets { what: Some(Datasets::Verify(arguments)) } => batch(arguments.into()),
        Command::Encoders { what: None } => {
            crate::terminal::print(&encoders_command::list(&environment::encoders_folder()?)?);
            Ok(OK)
        }
        Command::Encoders { what: Some(Encoders::Import { file, name }) } => {
            match encoders_command::import_as(&file, &name, &environment::encoders_folder()?) {
                Err(error) if encoders_command::is_bad_input(&error) => {
                    eprintln!("error: {}", crate::terminal::clean(&format!("{error:#}")));
                    Ok(BAD_INPUT)
                }
                done => done.map(|()| OK),
            }
        }
        Command::Cache { output, what } => {
            let (reports, commands) = (output.join(".cache"), Cache::of_environment()?);
            let mut folders = vec![reports.as_path(), commands.folder()];
            folders.dedup();
            match what {
                None => crate::terminal::print(&cache_command::list(&folders)?),
                Some(CacheCommand::Prune { kind, older_than }) => {
                    cache_command::prune(&folders, kind.as_deref(), older_than)?;
                }
            }
            Ok(OK)
        }
        Command::Embed(arguments) => batch((*arguments).into()),
        Command::Reduce(arguments) => batch((*arguments).into()),
        Command::Cluster(arguments) => batch((*arguments).into()),
        Command::Score(arguments) => batch((*arguments).into()),
        Command::Repl => {
            crate::terminal::print(&Installation::find()?.session()?);
            Ok(OK)
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "report", &mut std::io::stdout());
            Ok(OK)
        }
    }
}

fn batch(job: batch_job::Job) -> Result<u8> {
    batch_command::run(Installation::find()?.library(), &job)
}

fn build(arguments: &Build) -> Result<u8> {
    let installation = Installation::find()?;
    check_device(&arguments.device, &installation)?;
    let mut worst = OK;
    for notebook in notebooks(&arguments.notebooks)? {
        let job = Job {
            notebook,
            output: arguments.output.clone(),
            params: arguments.params.clone(),
            device: arguments.device.clone(),
            memory: arguments.memory_limit.unwrap_or_else(default_memory_limit),
            times: arguments.times,
        };
        let code = match arguments.explain {
            true => explain(&job, &installation)?,
            false => build_one(&job, &installation)?,
        };
        worst = worst.max(code);
    }
    Ok(worst)
}

fn build_one(job: &Job, installation: &Installation) -> Result<u8> {
    let mut terminal = Terminal::new(&job.notebook);
    let built = pipeline::build(job, installation, &mut |notebook, stage| terminal.show(notebook, &stage));
    terminal.clear();
    Ok(match built? {
        Built::Report { html, ran } => {
            terminal.line(&format!("{} ({})", html.display(), terminal.summary(ran)));
            OK
        }
        Built::Failed { html, text } => {
            eprint!("{}", terminal.untold(&text));
            terminal.line(&format!("failed: {}", html.display()));
            CELL_FAILED
        }
        Built::BadNotebook(text) => {
            eprint!("{text}");
            BAD_INPUT
        }
    })
}

fn explain(job: &Job, installation: &Installation) -> Result<u8> {
    let (notebook, plan) = match pipeline::explain(job, installation)? {
        Ok(found) => found,
        Err(text) => {
            eprint!("{text}");
            return Ok(BAD_INPUT);
        }
    };
    let mut text = format!("{}:\n", job.notebook.display());
    for (cell, decision) in notebook.cells.iter().zip(&plan.cells) {
        let (line, _) = crate::diagnostic::line_column(&notebook.text, cell.fence.start);
        let decision = match decision {
            Decision::Reuse => "reuse  nothing that it depends on changed".to_owned(),
            Decision::Run(why) => format!("run    {why}"),
            Decision::Skip => "skip   it is not meant to run".to_owned(),
        };
        text.push_str(&format!("  {:<24} line {line:<5} {decision}\n", cell.name()));
    }
    crate::terminal::print(&text);
    Ok(OK)
}

fn check(paths: Vec<PathBuf>, output: PathBuf) -> Result<u8> {
    let installation = Installation::find()?;
    let mut worst = OK;
    for notebook in notebooks(&paths)? {
        let shown = notebook.display().to_string();
        let job = Job {
            notebook,
            output: output.clone(),
            params: Vec::new(),
            device: "auto".to_owned(),
            memory: default_memory_limit(),
            times: false,
        };
        let code = match pipeline::check(&job, &installation)? {
            Ok(None) => {
                eprintln!("{shown}: ok");
                OK
            }
            Ok(Some(text)) => {
                eprint!("{text}");
                CELL_FAILED
            }
            Err(text) => {
                eprint!("{text}");
                BAD_INPUT
            }
        };
        worst = worst.max(code);
    }
    Ok(worst)
}

/// The notebooks given, or all of `notebooks/`, in the order of their names.
fn notebooks(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    if !given.is_empty() {
        return Ok(given.to_vec());
    }
    let entries = std::fs::read_dir("notebooks");
    let mut found: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    found.sort();
    if found.is_empty() {
        bail!("there is no notebook: name one, or run `report` beside a folder `notebooks` with Markdown files");
    }
    Ok(found)
}

fn check_device(device: &str, installation: &Installation) -> Result<()> {
    let devices = installation.devices();
    let known = device == "auto" || devices.iter().any(|known| known.split(' ').next() == Some(device));
    if !known {
        bail!("device `{device}` is not here; these are: {}", devices.join(", "));
    }
    Ok(())
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn device(text: &str) -> Result<String, String> {
    let is_cuda = text.strip_prefix("cuda:").is_some_and(|number| number.parse::<u32>().is_ok());
    match text {
        "auto" | "cpu" => Ok(text.to_owned()),
        "cuda" => Ok("cuda:0".to_owned()),
        _ if is_cuda => Ok(text.to_owned()),
        _ => Err("expected auto, cpu or cuda:N".to_owned()),
    }
}

fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: u64 = match text[digits.len()..].trim_end_matches(['i', 'B', 'b']).to_ascii_uppercase().as_str() {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return Err("expected a number of bytes, with K, M, G or T after it for larger units".to_owned()),
    };
    let number: f64 = digits.parse().map_err(|_| format!("`{digits}` is not a number"))?;
    if !number.is_finite() || number <= 0.0 {
        return Err("expected more than nothing".to_owned());
    }
    Ok((number * factor as f64) as u64)
}

/// The version, with libtorch and the devices, for `--version`.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut lines = vec![env!("CARGO_PKG_VERSION").to_owned()];
    if let Ok(installation) = Installation::find() {
        lines.push(format!("libtorch {}", installation.libtorch_version()));
        lines.push(format!("devices: {}", installation.devices().join(", ")));
    }
    lines.push(format!("{}, {}", environment::RUSTC, env!("REPORT_LOCK").replace(';', ", ")));
    lines.join("\n")
});

//! The supervisor's side of a run: starts the worker, follows the records of the running program, enforces the limits.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::process::set_child_subreaper;

use super::Setup;
use super::collect;
use super::limits::{ended, kill_all, memory_of_descendants};
use super::worker::{ARGUMENT, CompileError, Reply, Request, Settings};
use crate::channel::{EVENTS, Event};
use crate::diagnostic::Diagnostic;
use crate::fs;
use crate::notebook::Notebook;
use crate::program::Program;
use crate::run::{Captured, Run};
use crate::signals;

/// Bytes of standard output, and of standard error, kept of a cell.
const KEPT: u64 = 1 << 20;
/// Seconds that one compilation may take.
const COMPILE_TIMEOUT_S: f64 = 600.0;
const TICK: Duration = Duration::from_millis(10);
const MEMORY_TICK: Duration = Duration::from_millis(100);

/// What is going on, told as it happens.
pub enum Stage<'a> {
    Compiling,
    /// A `compile_fail` cell is being compiled.
    Checking(usize),
    /// Errors are known before anything has run.
    DoesNotCompile(&'a [Diagnostic]),
    /// Seconds spent in compiling all cells.
    Compiled(f64),
    Begin(usize),
    Progress {
        what: &'a str,
        done: u64,
        total: u64,
    },
    End {
        cell: usize,
        seconds: f64,
    },
    /// Nothing new; time has passed.
    Tick,
}

/// How a run ended.
pub(super) enum Ending {
    Finished,
    Errors(Vec<CompileError>),
    /// The process of the cells has ended; how, in words.
    Died(String),
    /// The cell that began last overran its limit.
    TimedOut(f64),
    OutOfMemory {
        used: u64,
        limit: u64,
    },
}

pub(super) struct Worker {
    child: Child,
    requests: Option<ChildStdin>,
    replies: Receiver<Result<Reply, String>>,
    /// What `compile_fail` cells were rejected with.
    pub(super) expected: Vec<(usize, String)>,
    events: Vec<Event>,
    compile_s: f64,
}

impl Worker {
    pub(super) fn start(setup: &Setup) -> Result<Worker> {
        // Orphans of the cells become children of this process, so that they are found and ended.
        set_child_subreaper(Some(rustix::process::getpid()))?;
        for (path, what) in [(&setup.library, "the library of the cells"), (&setup.libtorch, "libtorch")] {
            if !path.exists() {
                bail!("{what} is missing: {} (run `make build`)", path.display());
            }
        }
        refuse_space(&setup.evcxr)?;
        let settings = Settings {
            rustflags: rustflags(&setup.library, &setup.dependencies, &setup.libtorch)?,
            library: setup.library.clone(),
            folder: setup.folder.clone(),
            run: setup.run.clone(),
            cache: setup.cache.clone(),
            data: setup.data.clone(),
            encoders: setup.encoders.clone(),
            device: setup.device.clone(),
        };
        // The only configuration that evcxr finds: an `evcxr.toml` in the current folder or in the user's would change how
        // cells are compiled. Settings made by command instead would have it load the package a second time.
        let configuration = setup.evcxr.join("configuration");
        let sources = configuration.join("sources");
        fs::create_folder(&sources.join("core"))?;
        fs::create_folder(&configuration.join("cargo"))?;
        let settings_of_evcxr = format!("[evcxr]\nopt_level = \"{}\"\noffline_mode = true\n", setup.opt_level);
        fs::write_atomic(&configuration.join("evcxr.toml"), settings_of_evcxr.as_bytes())?;
        let mut command = Command::new(std::env::current_exe().context("the path of this program is not known")?);
        command
            .arg(ARGUMENT)
            .arg(serde_json::to_string(&settings)?)
            .current_dir(&configuration)
            .env("EVCXR_CONFIG_DIR", &configuration)
            .env("EVCXR_TMPDIR", &setup.evcxr)
            // Without this, rust-analyzer inside evcxr would fetch the Rust sources, and take 3 s to read them.
            .env("RUST_SRC_PATH", sources)
            // No crate is fetched for cells; and with an empty home rust-analyzer does not go through rustup's proxies.
            .env("CARGO_HOME", configuration.join("cargo"))
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("RUSTC_WRAPPER")
            .env("CARGO_INCREMENTAL", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0);
        use_own_compiler(&mut command);
        let mut child = command.spawn().context("the worker process did not start")?;
        let stdout = child.stdout.take().context("the worker has no standard output")?;
        let (sender, replies) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let reply = line
                    .map_err(|error| error.to_string())
                    .and_then(|line| serde_json::from_str(&line).map_err(|error| format!("{error}: {line}")));
                if sender.send(reply).is_err() {
                    return;
                }
            }
        });
        let requests = child.stdin.take();
        Ok(Worker { child, requests, replies, expected: Vec::new(), events: Vec::new(), compile_s: 0.0 })
    }

    /// Type-checks a program.
    pub(super) fn check(&mut self, program: &Program) -> Result<Vec<CompileError>> {
        self.send(&Request::Check { program: program.text.clone() })?;
        let started = Instant::now();
        loop {
            match self.replies.recv_timeout(TICK) {
                Ok(Ok(Reply::Errors(errors))) => return Ok(errors),
                Ok(Ok(Reply::Broken(text))) => bail!("the cells cannot be checked: {text}"),
                Ok(Ok(other)) => bail!("the worker answered {other:?} to a check"),
                Ok(Err(text)) => bail!("the worker's answer cannot be read: {text}"),
                Err(RecvTimeoutError::Disconnected) => bail!("the worker process has ended"),
                Err(RecvTimeoutError::Timeout) if started.elapsed().as_secs_f64() > COMPILE_TIMEOUT_S => {
                    bail!("the compiler took longer than {COMPILE_TIMEOUT_S} s")
                }
                Err(RecvTimeoutError::Timeout) => signals::check()?,
            }
        }
    }

    /// Compiles and runs a program, within the limits.
    pub(super) fn run(
        &mut self,
        notebook: &Notebook,
        program: &Program,
        setup: &Setup,
        stage: &mut dyn FnMut(Stage),
    ) -> Result<Ending> {
        stage(Stage::Compiling);
        if setup.run.exists() {
            std::fs::remove_dir_all(&setup.run).with_context(|| format!("cannot empty {}", setup.run.display()))?;
        }
        fs::create_folder(&setup.run)?;
        self.events.clear();
        self.send(&Request::Run { program: program.text.clone() })?;
        let sent = Instant::now();
        let mut tail = Tail::new(setup.run.join(EVENTS));
        let mut state = State::default();
        let mut memory_at = sent;
        loop {
            let reply = self.replies.recv_timeout(TICK);
            for event in tail.read()? {
                state.apply(&event, sent, stage);
                self.events.push(event);
            }
            self.compile_s = state.compile_s;
            match reply {
                Ok(Ok(Reply::Finished)) => return Ok(Ending::Finished),
                Ok(Ok(Reply::Errors(errors))) => return Ok(Ending::Errors(errors)),
                Ok(Ok(Reply::Ended(text))) => return Ok(Ending::Died(collect::death(&text))),
                Ok(Ok(Reply::Broken(text))) if state.pid.is_none() => bail!("evcxr cannot compile the cells: {text}"),
                Ok(Ok(Reply::Broken(text))) => return Ok(Ending::Died(text)),
                Ok(Err(text)) => bail!("the worker's answer cannot be read: {text}"),
                Err(RecvTimeoutError::Disconnected) => {
                    return Ok(Ending::Died(match state.pid.and_then(ended) {
                        Some(status) if status != 0 => collect::death_by_status(status),
                        _ => "the worker process was killed".to_owned(),
                    }));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            signals::check()?;
            stage(Stage::Tick);
            if let Some((cell, since)) = state.cell {
                drop_surplus(setup, cell)?;
                let limit = notebook.cells[cell].options.timeout_s.unwrap_or(notebook.meta.timeout_s);
                if since.elapsed().as_secs_f64() > limit {
                    return Ok(Ending::TimedOut(limit));
                }
            }
            if state.pid.is_none() && sent.elapsed().as_secs_f64() > COMPILE_TIMEOUT_S {
                return Ok(Ending::Died(format!("the compiler took longer than {COMPILE_TIMEOUT_S} s")));
            }
            if memory_at.elapsed() > MEMORY_TICK {
                memory_at = Instant::now();
                let used = memory_of_descendants();
                if used > setup.memory {
                    return Ok(Ending::OutOfMemory { used, limit: setup.memory });
                }
                // A process that left a child with its pipes behind ends without evcxr's noticing.
                if let Some(status) = state.pid.and_then(ended)
                    && state.dead_since.get_or_insert_with(Instant::now).elapsed() > Duration::from_secs(1)
                {
                    return Ok(Ending::Died(collect::death_by_status(status)));
                }
            }
        }
    }

    /// What a run left behind. Ends all its processes first.
    pub(super) fn collect(&mut self, notebook: &Notebook, program: &Program, setup: &Setup, ending: Ending) -> Run {
        self.stop();
        if let Ok(events) = Tail::new(setup.run.join(EVENTS)).read()
            && events.len() > self.events.len()
        {
            self.events = events;
        }
        let printed =
            |cell: usize, stream: &str| captured(&setup.run.join(format!("{cell}.{stream}"))).unwrap_or_default();
        let mut run = collect::run(notebook, program, &self.events, &ending, &printed);
        run.compile_s = self.compile_s;
        for (cell, text) in &self.expected {
            run.cells[*cell].status = crate::run::Status::AsExpected(text.clone());
        }
        run
    }

    fn send(&mut self, request: &Request) -> Result<()> {
        let requests = self.requests.as_mut().context("the worker has been stopped")?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        requests.write_all(&line).and_then(|()| requests.flush()).map_err(|error| anyhow!("the worker: {error}"))
    }

    fn stop(&mut self) {
        self.requests = None;
        kill_all(self.child.id());
        let _ = self.child.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the records so far say.
#[derive(Default)]
struct State {
    pid: Option<u32>,
    cell: Option<(usize, Instant)>,
    compile_s: f64,
    dead_since: Option<Instant>,
}

impl State {
    fn apply(&mut self, event: &Event, sent: Instant, stage: &mut dyn FnMut(Stage)) {
        match event {
            Event::Start { pid } => {
                self.pid = Some(*pid);
                self.compile_s = sent.elapsed().as_secs_f64();
                stage(Stage::Compiled(self.compile_s));
            }
            Event::Begin { cell, .. } => {
                self.cell = Some((*cell, Instant::now()));
                stage(Stage::Begin(*cell));
            }
            Event::End { cell, seconds } => stage(Stage::End { cell: *cell, seconds: *seconds }),
            Event::Progress { what, done, total, .. } => {
                stage(Stage::Progress { what, done: *done, total: *total });
            }
            _ => {}
        }
    }
}

/// The whole lines that have been added to a growing file.
struct Tail {
    path: PathBuf,
    file: Option<File>,
    rest: Vec<u8>,
}

impl Tail {
    fn new(path: PathBuf) -> Tail {
        Tail { path, file: None, rest: Vec::new() }
    }

    fn read(&mut self) -> Result<Vec<Event>> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = self.file.as_mut() else { return Ok(Vec::new()) };
        file.read_to_end(&mut self.rest).with_context(|| format!("cannot read {}", self.path.display()))?;
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Ok(Vec::new()) };
        let whole: Vec<u8> = self.rest.drain(..=end).collect();
        let lines = whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_slice(line).with_context(|| format!("bad record in {}", self.path.display())))
            .collect()
    }
}

/// Gives back the disk space of what a cell prints beyond the limit, as it prints. The file keeps its length, which
/// tells how much was printed.
fn drop_surplus(setup: &Setup, cell: usize) -> Result<()> {
    for stream in ["stdout", "stderr"] {
        let path = setup.run.join(format!("{cell}.{stream}"));
        let Ok(file) = File::options().write(true).open(&path) else { continue };
        let length = file.metadata()?.len();
        if length > 2 * KEPT {
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            if fallocate(&file, hole, KEPT, length - KEPT).is_err() && length > 1 << 30 {
                bail!("{} has grown to {length} bytes, and its file system cannot give the space back", path.display());
            }
        }
    }
    Ok(())
}

fn captured(path: &Path) -> Result<Captured> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(KEPT).read_to_end(&mut bytes)?;
    Ok(Captured {
        text: crate::render::text::clean_terminal(&bytes),
        dropped_bytes: length.saturating_sub(bytes.len() as u64),
    })
}

/// The compiler that built the library has to compile the cells. Naming it spares evcxr a score of detours through rustup,
/// each of which costs some hundredths of a second.
fn use_own_compiler(command: &mut Command) {
    let sysroot = Path::new(env!("REPORT_SYSROOT"));
    let tools = sysroot.join("bin");
    if !tools.join("cargo").exists() {
        return;
    }
    command.env("CARGO", tools.join("cargo")).env("RUSTC", tools.join("rustc"));
    if sysroot.parent().is_some_and(|parent| parent.ends_with("toolchains"))
        && let Some(name) = sysroot.file_name()
    {
        command.env("RUSTUP_TOOLCHAIN", name);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Ok(path) = std::env::join_paths(std::iter::once(tools).chain(std::env::split_paths(&path))) {
        command.env("PATH", path);
    }
}

/// The flags with which evcxr compiles cells: they find the facade and everything behind it without Cargo's help.
pub(super) fn rustflags(library: &Path, dependencies: &Path, libtorch: &Path) -> Result<String> {
    for path in [library, dependencies, libtorch] {
        refuse_space(path)?;
    }
    let folder = library.parent().context("the library has no folder")?;
    let flags = [
        "-Cprefer-dynamic".to_owned(),
        format!("--extern report={}", library.display()),
        format!("-Ldependency={}", dependencies.display()),
        format!("-Lnative={}", libtorch.display()),
        format!("-Clink-arg=-Wl,-rpath,{}:{}", folder.display(), libtorch.display()),
    ];
    Ok(flags.join(" "))
}

fn refuse_space(path: &Path) -> Result<()> {
    if path.to_string_lossy().contains(char::is_whitespace) {
        bail!("`{}` holds a space, which evcxr cannot handle: move it to a path without one", path.display());
    }
    Ok(())
}

//! What a running cell and the program that supervises it say to each other.
//!
//! The code that `report` generates around the cells calls [`run`], [`begin`], [`end`] and [`attempt`]; the library
//! calls [`output`], [`input`], [`seed`], [`device`]. Outside a notebook, as in a REPL session, all of these do nothing.

use std::any::Any;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, Location, PanicHookInfo, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::channel::{EVENTS, Event, RUN_DIR};
use crate::output::Output;
use crate::progress;

/// What the body of a notebook returns.
pub type CellResult = Result<(), CellError>;

/// An error that left a cell through `?`: its message with all causes, and where the `?` stands.
#[derive(Debug)]
pub struct CellError {
    message: String,
    place: Place,
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for CellError {
    #[track_caller]
    fn from(error: E) -> Self {
        let error = error.into();
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let _ = write!(message, "\n  caused by: {error}");
            cause = error.source();
        }
        CellError { message, place: Place::of(Location::caller()) }
    }
}

/// Runs a compiled notebook: redirects what it prints, and records how it ends.
pub fn run(notebook: fn() -> CellResult) {
    let Some(folder) = std::env::var_os(RUN_DIR).map(PathBuf::from) else { return };
    let started = Session::start(&folder);
    if let Err(error) = started {
        eprintln!("report: the run folder {} cannot be used: {error}", folder.display());
        std::process::exit(74);
    }
    std::panic::set_hook(Box::new(remember_panic));
    progress::set_sink(Box::new(|event| {
        let cell = lock().as_ref().map_or(0, |session| session.cell);
        send(&Event::Progress { cell, what: event.what.clone(), done: event.done, total: event.total });
    }));
    send(&Event::Start { pid: std::process::id() });
    match outcome(notebook) {
        None => send(&Event::Done),
        Some(failure) => send(&failure),
    }
    let _ = std::panic::take_hook();
    if let Some(session) = lock().take() {
        session.restore();
    }
}

/// A cell begins: from here on, what is printed and shown belongs to it.
#[track_caller]
pub fn begin(cell: usize) {
    let line = Location::caller().line();
    let redirected = lock().as_mut().map_or(Ok(()), |session| session.enter(cell));
    if let Err(error) = redirected {
        eprintln!("report: what cell {cell} prints cannot be kept: {error}");
        std::process::exit(74);
    }
    send(&Event::Begin { cell, line });
}

/// A cell has reached its end.
pub fn end(cell: usize) {
    flush();
    let seconds = lock().as_ref().map_or(0.0, |session| session.since.elapsed().as_secs_f64());
    send(&Event::End { cell, seconds });
}

/// Runs a cell whose failure does not end the notebook (`error: true`, `should_panic`).
pub fn attempt(cell: usize, body: impl FnOnce() -> CellResult) {
    if let Some(failure) = outcome(body) {
        send(&failure);
        send(&Event::Caught { cell });
    }
}

/// False, but not to the compiler: guards the code of `no_run` cells.
#[inline(never)]
pub fn never() -> bool {
    std::hint::black_box(false)
}

/// Shows something at this place of the running cell.
pub fn output(output: Output) {
    let cell = lock().as_ref().map(|session| session.cell);
    if let Some(cell) = cell {
        send(&Event::Output { cell, output });
    }
}

/// Records the value of an inline expression.
pub fn inline(index: usize, text: String) {
    send(&Event::Inline { index, text });
}

/// Records that the running cell read an input; `checksum` is `algorithm:hex`.
pub fn input(name: &str, checksum: &str) {
    let cell = lock().as_ref().map(|session| session.cell);
    if let Some(cell) = cell {
        send(&Event::Input { cell, name: name.to_owned(), checksum: checksum.to_owned() });
    }
}

/// Records that the running cell read what lies at a path; `kind` is `file` (its BLAKE3), `stamp` (of a file or folder, see
/// [`fs::stamp`](crate::fs::stamp)) or `datasets` (which of them are in a folder). The next build looks for it from
/// another working folder than the cells', so the path is made a whole one.
pub(crate) fn input_at(kind: &str, path: &Path, checksum: &str) {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    input(&format!("{kind}:{}", whole.display()), checksum);
}

/// Records that the running cell drew randomness from `seed`.
pub fn seed(what: &str, seed: u64) {
    let cell = lock().as_ref().map(|session| session.cell);
    if let Some(cell) = cell {
        send(&Event::Seed { cell, what: what.to_owned(), seed });
    }
}

/// Records the device that the library computes on.
pub fn device(name: &str) {
    send(&Event::Device { name: name.to_owned() });
}

/// A place in a compiled source file.
#[derive(Clone, Debug, Default)]
struct Place {
    file: String,
    line: u32,
    column: u32,
}

impl Place {
    fn of(location: &Location) -> Place {
        Place { file: location.file().to_owned(), line: location.line(), column: location.column() }
    }
}

/// What is open while a notebook runs.
struct Session {
    folder: PathBuf,
    events: File,
    cell: usize,
    since: Instant,
    /// The standard streams as they were before the first cell.
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

static SESSION: Mutex<Option<Session>> = Mutex::new(None);
static LAST_PANIC: Mutex<Option<(String, Place)>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<Session>> {
    SESSION.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    fn start(folder: &Path) -> std::io::Result<()> {
        use std::os::fd::AsFd;
        let events = OpenOptions::new().create(true).append(true).open(folder.join(EVENTS))?;
        let session = Session {
            folder: folder.to_owned(),
            events,
            cell: 0,
            since: Instant::now(),
            stdin: std::io::stdin().as_fd().try_clone_to_owned()?,
            stdout: std::io::stdout().as_fd().try_clone_to_owned()?,
            stderr: std::io::stderr().as_fd().try_clone_to_owned()?,
        };
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        *lock() = Some(session);
        Ok(())
    }

    fn enter(&mut self, cell: usize) -> std::io::Result<()> {
        self.cell = cell;
        self.since = Instant::now();
        let open = |stream: &str| {
            OpenOptions::new().create(true).append(true).open(self.folder.join(format!("{cell}.{stream}")))
        };
        rustix::stdio::dup2_stdout(open("stdout")?)?;
        rustix::stdio::dup2_stderr(open("stderr")?)?;
        Ok(())
    }

    fn restore(self) {
        let _ = rustix::stdio::dup2_stdin(self.stdin);
        let _ = rustix::stdio::dup2_stdout(self.stdout);
        let _ = rustix::stdio::dup2_stderr(self.stderr);
    }
}

/// Writes one record. A record that cannot be written ends the process: an output must not be lost in silence.
fn send(event: &Event) {
    let mut session = lock();
    let Some(session) = session.as_mut() else { return };
    let mut line = match serde_json::to_vec(event) {
        Ok(line) => line,
        Err(error) => {
            eprintln!("report: a record cannot be written: {error}");
            std::process::exit(74);
        }
    };
    line.push(b'\n');
    if let Err(error) = session.events.write_all(&line) {
        eprintln!("report: {}: {error}", session.folder.join(EVENTS).display());
        std::process::exit(74);
    }
}

/// Empties the buffers of standard output: Rust's, then C's, which C++ shares.
fn flush() {
    let _ = std::io::stdout().flush();
    // SAFETY: fflush(NULL) flushes every open C stream and takes no pointer of ours; it may be called at any time.
    #[allow(unsafe_code, reason = "C and C++ code buffers what it prints, and std offers no way to flush it")]
    let _ = unsafe { fflush(std::ptr::null_mut()) };
}

#[allow(unsafe_code, reason = "see `flush`")]
unsafe extern "C" {
    fn fflush(stream: *mut std::ffi::c_void) -> std::ffi::c_int;
}

/// How `body` failed, or nothing.
fn outcome(body: impl FnOnce() -> CellResult) -> Option<Event> {
    *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = None;
    let result = catch_unwind(AssertUnwindSafe(body));
    flush();
    let cell = lock().as_ref().map_or(0, |session| session.cell);
    let (panic, message, place) = match result {
        Ok(Ok(())) => return None,
        Ok(Err(error)) => (false, error.message, error.place),
        Err(payload) => {
            let last = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
            let (message, place) = last.unwrap_or_else(|| (payload_text(payload.as_ref()), Place::default()));
            (true, message, place)
        }
    };
    Some(Event::Failed { cell, panic, message, file: place.file, line: place.line, column: place.column })
}

fn remember_panic(info: &PanicHookInfo) {
    let message = payload_text(info.payload());
    let place = info.location().map(Place::of).unwrap_or_default();
    let thread = std::thread::current();
    if thread.name() != Some("main") {
        eprintln!("thread '{}' panicked at {}:{}:\n{message}", thread.name().unwrap_or("?"), place.file, place.line);
    }
    *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some((message, place));
}

fn payload_text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic whose payload is not text".to_owned())
}

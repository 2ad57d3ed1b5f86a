//! What a build says while it runs: one moving line on a terminal, plain lines elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::diagnostic;
use crate::notebook::Notebook;
use crate::runner::Stage;

/// How often a plain log says that a long step goes on.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
const REDRAW_EVERY: Duration = Duration::from_millis(100);

/// A text that may have names from data in it, without what a terminal would obey.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { '?' } else { c }).collect()
}

/// The state of the line.
pub struct Terminal {
    name: String,
    moving: bool,
    started: Instant,
    compile_s: f64,
    /// The cell that runs, since when, and the long step within it.
    cell: Option<(usize, Instant)>,
    step: String,
    drawn: Instant,
    /// Errors that have been printed before the build was over.
    told: String,
}

impl Terminal {
    pub fn new(notebook: &Path) -> Terminal {
        Terminal {
            name: notebook.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default(),
            moving: std::io::stderr().is_terminal(),
            started: Instant::now(),
            compile_s: 0.0,
            cell: None,
            step: String::new(),
            drawn: Instant::now(),
            told: String::new(),
        }
    }

    /// What of the text of the failures has not been printed yet.
    pub fn untold(&self, text: &str) -> String {
        if self.told.is_empty() { text.to_owned() } else { text.replace(&self.told, "") }
    }

    /// Shows one event of a build.
    pub fn show(&mut self, notebook: &Notebook, stage: &Stage) {
        let runs = notebook.cells.iter().filter(|cell| cell.runs()).count();
        match stage {
            Stage::Compiling => self.transient(&format!("{}: compiling {runs} cells", self.name)),
            Stage::Checking(cell) => {
                self.transient(&format!("{}: {} must not compile", self.name, notebook.cells[*cell].name()));
            }
            Stage::DoesNotCompile(errors) => {
                self.clear();
                self.told = diagnostic::render(errors, &notebook.path, &notebook.text, diagnostic::color());
                eprint!("{}", self.told);
            }
            Stage::Compiled(seconds) => {
                self.compile_s = *seconds;
                self.plain(&format!("{}: {runs} cells compiled in {seconds:.1} s", self.name));
            }
            Stage::Begin(cell) => {
                self.cell = Some((*cell, Instant::now()));
                self.step.clear();
                self.draw(notebook, true);
            }
            Stage::Progress { what, done, total } => {
                self.step = format!("  {what} {done}/{total}");
                self.draw(notebook, false);
            }
            Stage::End { cell, seconds } => {
                self.plain(&format!("{}  run {seconds:.1} s", self.title(notebook, *cell)));
            }
            Stage::Tick => self.draw(notebook, false),
        }
    }

    /// What the whole build took, in a few words.
    pub fn summary(&self, ran: bool) -> String {
        let seconds = self.started.elapsed().as_secs_f64();
        match ran {
            true => format!("compiled {:.1} s, in all {seconds:.1} s", self.compile_s),
            false => format!("nothing to run, {seconds:.2} s"),
        }
    }

    /// A line that stays.
    pub fn line(&self, text: &str) {
        self.clear();
        eprintln!("{text}");
    }

    /// Removes the moving line.
    pub fn clear(&self) {
        if self.moving {
            eprint!("\r\x1b[2K");
        }
    }

    fn title(&self, notebook: &Notebook, cell: usize) -> String {
        format!("{}: cell {}/{} {}", self.name, cell + 1, notebook.cells.len(), notebook.cells[cell].name())
    }

    fn draw(&mut self, notebook: &Notebook, now: bool) {
        let every = if self.moving { REDRAW_EVERY } else { PLAIN_EVERY };
        if !now && self.drawn.elapsed() < every {
            return;
        }
        self.drawn = Instant::now();
        let Some((cell, since)) = self.cell else { return };
        let text = format!("{}  run {:.1} s{}", self.title(notebook, cell), since.elapsed().as_secs_f64(), self.step);
        if self.moving {
            self.transient(&text);
        } else if !now {
            self.plain(&text);
        }
    }

    fn transient(&self, text: &str) {
        if self.moving {
            eprint!("\r\x1b[2K{text}");
            let _ = std::io::stderr().flush();
        } else {
            eprintln!("{text}");
        }
    }

    /// A line of a log; nothing on a terminal, where the moving line has said it.
    fn plain(&self, text: &str) {
        if !self.moving {
            eprintln!("{text}");
        }
    }
}

/// Prints to standard output; a closed pipe is no error.
pub fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

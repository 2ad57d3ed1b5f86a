//! Turns records, compiler errors and the way in which a run ended into statuses at cells. Pure.

use std::ops::Range;

use super::supervise::Ending;
use super::worker::{CompileError, CompileLabel};
use crate::channel::Event;
use crate::diagnostic::{Diagnostic, Label};
use crate::notebook::{Cell, Inline, Mode, Notebook};
use crate::program::Program;
use crate::run::{Captured, CellRun, Failure, Input, Run, Seed, Status};

/// What one cell did, as its records tell.
#[derive(Default)]
struct Story {
    begun: Option<u32>,
    ended: Option<f64>,
    failed: Option<Event>,
    caught: bool,
}

/// The run that the records of a program tell of.
pub(super) fn run(
    notebook: &Notebook,
    program: &Program,
    events: &[Event],
    ending: &Ending,
    printed: &dyn Fn(usize, &str) -> Captured,
) -> Run {
    let mut run = nothing_ran(notebook);
    let mut stories: Vec<Story> = notebook.cells.iter().map(|_| Story::default()).collect();
    let (mut started, mut done) = (false, false);
    // The cell that has begun and not ended; between cells, inline expressions are evaluated.
    let mut open = None;
    let mut stray = None;
    for event in events {
        match event {
            Event::Begin { cell, line } => {
                open = Some(*cell);
                stories[*cell].begun = Some(*line);
            }
            // An inline expression before the first cell may show something, too; it belongs nowhere.
            Event::Output { cell, output } => {
                run.cells.get_mut(*cell).into_iter().for_each(|cell| cell.outputs.push(output.clone()));
            }
            Event::Inline { index, text } => run.inlines[*index] = Some(text.clone()),
            Event::Input { name, checksum, .. } => {
                run.inputs.push(Input { name: name.clone(), checksum: checksum.clone() });
            }
            Event::Seed { what, seed, .. } => run.seeds.push(Seed { what: what.clone(), seed: *seed }),
            Event::Device { name } => run.device = Some(name.clone()),
            Event::Failed { .. } => match open {
                Some(cell) => stories[cell].failed = Some(event.clone()),
                None => stray = Some(event.clone()),
            },
            Event::Caught { cell } => stories[*cell].caught = true,
            Event::End { cell, seconds } => {
                stories[*cell].ended = Some(*seconds);
                open = None;
            }
            Event::Start { .. } => started = true,
            Event::Done => done = true,
            Event::Progress { .. } => {}
        }
    }
    run.inputs.sort();
    run.inputs.dedup();
    run.seeds.sort();
    run.seeds.dedup();
    let mut failed: Option<String> = None;
    for (index, story) in stories.iter().enumerate() {
        let cell = &notebook.cells[index];
        if story.begun.is_none() {
            continue;
        }
        run.cells[index].stdout = printed(index, "stdout");
        run.cells[index].stderr = printed(index, "stderr");
        run.cells[index].run_s = story.ended.unwrap_or(0.0);
        let status = match open == Some(index) {
            true => Status::Failed(unfinished(notebook, program, cell, story, ending)),
            false => status(notebook, program, cell, story),
        };
        if matches!(status, Status::Failed(_)) {
            failed.get_or_insert_with(|| format!("cell `{}` failed", cell.name()));
        }
        run.cells[index].status = status;
    }
    if !done && open.is_none() {
        let inline = run.inlines.iter().position(|value| started && value.is_none());
        let inline = inline.and_then(|index| notebook.inlines.get(index));
        let (name, failure) = failed_between_cells(inline, stray.as_ref(), ending);
        failed.get_or_insert(name);
        run.failure = Some(failure);
    }
    for (cell, story) in run.cells.iter_mut().zip(&stories) {
        if story.begun.is_none() && cell.status != Status::Skipped {
            cell.status = Status::NotRun(failed.clone().unwrap_or_else(|| "the run ended before it".to_owned()));
        }
    }
    run
}

/// What failed where no cell was running: the first inline expression without a value, or all of it before it started.
fn failed_between_cells(inline: Option<&Inline>, failed: Option<&Event>, ending: &Ending) -> (String, Failure) {
    let Some(inline) = inline else {
        let message = format!("the cells did not run: {}", how(ending));
        let diagnostics = vec![Diagnostic::error(message)];
        return ("nothing was run".to_owned(), Failure { title: how(ending), diagnostics });
    };
    let name = format!("the inline expression `{}`", inline.expr);
    let title = match failed {
        Some(Event::Failed { panic: true, message, .. }) => format!("panicked: {message}"),
        Some(Event::Failed { message, .. }) => message.clone(),
        _ => how(ending),
    };
    let range = inline.offset..inline.offset + inline.expr.len();
    let diagnostic = Diagnostic::error(title.clone()).at(range, "in this inline expression");
    (format!("{name} failed"), Failure { title: format!("{name}: {title}"), diagnostics: vec![diagnostic] })
}

/// How a run ended, in a few words.
fn how(ending: &Ending) -> String {
    match ending {
        Ending::TimedOut(limit) => format!("ran longer than {limit} s"),
        Ending::OutOfMemory { used, limit } => {
            format!("used {} of memory, more than the limit of {}", gibibytes(*used), gibibytes(*limit))
        }
        Ending::Died(how) => how.clone(),
        Ending::Finished | Ending::Errors(_) => "left the notebook".to_owned(),
    }
}

/// All cells "not run", except those that are not meant to.
pub(super) fn nothing_ran(notebook: &Notebook) -> Run {
    let cell = |cell: &Cell| CellRun {
        status: match cell.runs() || (cell.mode == Mode::CompileFail && cell.options.eval) {
            true => Status::NotRun("nothing was run".to_owned()),
            false => Status::Skipped,
        },
        outputs: Vec::new(),
        stdout: Captured::default(),
        stderr: Captured::default(),
        run_s: 0.0,
    };
    Run {
        cells: notebook.cells.iter().map(cell).collect(),
        inlines: vec![None; notebook.inlines.len()],
        ..Run::default()
    }
}

fn status(notebook: &Notebook, program: &Program, cell: &Cell, story: &Story) -> Status {
    let panicked = matches!(story.failed, Some(Event::Failed { panic: true, .. }));
    match cell.mode {
        Mode::NoRun => Status::AsExpected("Compiled, not run (`no_run`).".to_owned()),
        Mode::ShouldPanic if story.caught && panicked => Status::AsExpected(told(story, notebook, program, cell)),
        Mode::ShouldPanic => Status::Failed(Failure {
            title: "did not panic".to_owned(),
            diagnostics: vec![
                Diagnostic::error("this cell must panic, because its fence says `should_panic`, and did not")
                    .at(first_line(notebook, cell), "")
                    .help("remove `should_panic` from the fence, or make the cell panic"),
            ],
        }),
        _ if story.caught => Status::AsExpected(told(story, notebook, program, cell)),
        _ => Status::Ok,
    }
}

/// Why a cell did not reach its end.
fn unfinished(notebook: &Notebook, program: &Program, cell: &Cell, story: &Story, ending: &Ending) -> Failure {
    let whole = first_line(notebook, cell);
    if let Some(Event::Failed { panic, message, file, line, column, .. }) = &story.failed {
        let begun = story.begun.unwrap_or(0);
        let place = (file == "src/lib.rs").then(|| place(notebook, program, cell, begun, *line, *column)).flatten();
        let (title, text) = match panic {
            true => ("panicked", format!("panicked: {message}")),
            false => ("ended in an error", message.clone()),
        };
        let mut diagnostic = Diagnostic::error(text);
        diagnostic = match (place, panic) {
            (Some(range), true) => diagnostic.at(range, "the panic comes from here"),
            (Some(range), false) => diagnostic.at(range, "the error left the cell through this `?`"),
            (None, _) if file.is_empty() => diagnostic.at(whole, "in this cell"),
            (None, _) => diagnostic.at(whole, format!("in this cell, at {file}:{line}:{column}")),
        };
        return Failure { title: title.to_owned(), diagnostics: vec![diagnostic] };
    }
    let (title, message, help) = match ending {
        Ending::TimedOut(limit) => (
            format!("ran longer than {limit} s"),
            format!("cell `{}` ran longer than its limit of {limit} s and was ended", cell.name()),
            Some("raise the limit with `//| timeout: SECONDS`, or `timeout:` in the front matter".to_owned()),
        ),
        Ending::OutOfMemory { used, limit } => (
            "used too much memory".to_owned(),
            format!(
                "cell `{}` used {} of memory, more than the limit of {}, and was ended",
                cell.name(),
                gibibytes(*used),
                gibibytes(*limit)
            ),
            Some("raise the limit with `--memory-limit`, or work on smaller pieces".to_owned()),
        ),
        Ending::Died(how) => {
            (how.clone(), format!("the process of the cells ended while cell `{}` ran: {how}", cell.name()), None)
        }
        Ending::Finished | Ending::Errors(_) => (
            "left the notebook".to_owned(),
            format!("cell `{}` left the notebook before its end", cell.name()),
            Some("a `return` outside a function ends the whole notebook: use `if` instead".to_owned()),
        ),
    };
    let mut diagnostic = Diagnostic::error(message).at(whole, "");
    diagnostic.help.extend(help);
    Failure { title, diagnostics: vec![diagnostic] }
}

/// The panic or error that a cell was allowed to end in.
fn told(story: &Story, notebook: &Notebook, program: &Program, cell: &Cell) -> String {
    let Some(Event::Failed { panic, message, file, line, column, .. }) = &story.failed else { return String::new() };
    let verb = if *panic { "panicked" } else { "failed" };
    let place = (file == "src/lib.rs")
        .then(|| place(notebook, program, cell, story.begun.unwrap_or(0), *line, *column))
        .flatten()
        .map(|range| crate::diagnostic::line_column(&notebook.text, range.start));
    match place {
        Some((line, column)) => format!("{verb} at line {line}, column {column}: {message}"),
        None => format!("{verb}: {message}"),
    }
}

/// Where in the notebook a line and column of the compiled file are: the file holds the program with lines before it.
fn place(
    notebook: &Notebook,
    program: &Program,
    cell: &Cell,
    begun: u32,
    line: u32,
    column: u32,
) -> Option<Range<usize>> {
    let line = (i64::from(line) - i64::from(begun) + i64::from(program.begin_line(cell.index)?)).try_into().ok()?;
    let start = program.origin(line, column as usize, &notebook.text)?;
    let rest = &notebook.text[start..];
    let end = rest.find(['\n', '\r']).map_or(notebook.text.len(), |length| start + length);
    let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len()).max(1);
    let next = rest.char_indices().nth(1).map_or(rest.len(), |(offset, _)| offset);
    Some(start..(start + word.max(next)).min(end.max(start)))
}

fn within(cell: &Cell, range: &Range<usize>) -> bool {
    cell.fence.start <= range.start && range.start < cell.fence.end
}

/// The first line of a cell's code, to point at the cell as a whole.
fn first_line(notebook: &Notebook, cell: &Cell) -> Range<usize> {
    let line = cell.code.iter().find(|line| !line.text.trim().is_empty());
    match line {
        Some(line) => line.offset..line.offset + line.text.len(),
        None => {
            cell.fence.start
                ..notebook.text[cell.fence.start..].find('\n').map_or(cell.fence.end, |n| cell.fence.start + n)
        }
    }
}

/// Compiler errors as diagnostics of the notebook, those of the same text at the same place once.
pub(super) fn diagnostics(notebook: &Notebook, program: &Program, errors: &[CompileError]) -> Vec<Diagnostic> {
    let mut all: Vec<Diagnostic> = Vec::new();
    for error in errors {
        let mut labels: Vec<&CompileLabel> = error.labels.iter().collect();
        labels.sort_by_key(|label| !label.primary);
        let range = |label: &&CompileLabel| -> Option<Label> {
            let start = program.origin(label.start.0, label.start.1, &notebook.text)?;
            let end = program.origin(label.end.0, label.end.1, &notebook.text).unwrap_or(start);
            Some(Label { range: start..end.max(start), text: label.text.clone() })
        };
        let diagnostic = Diagnostic {
            code: error.code.clone(),
            labels: labels.iter().filter_map(range).collect(),
            help: error.help.clone(),
            ..Diagnostic::error(error.message.clone())
        };
        if !all.contains(&diagnostic) {
            all.push(diagnostic);
        }
    }
    all
}

/// The first cell with a compiler error, and all errors of the notebook.
pub(super) fn first_bad_cell(notebook: &Notebook, program: &Program, errors: &[CompileError]) -> (usize, Failure) {
    let diagnostics = diagnostics(notebook, program, errors);
    let cell_of = |diagnostic: &Diagnostic| -> Option<usize> {
        let range = &diagnostic.labels.first()?.range;
        let holds = |cell: &&Cell| range.start < cell.fence.end;
        Some(notebook.cells.iter().find(holds).or(notebook.cells.last())?.index)
    };
    let cell = diagnostics.iter().filter_map(cell_of).min().unwrap_or(0);
    (cell, Failure { title: "does not compile".to_owned(), diagnostics })
}

/// What is wrong with a cell whose brackets do not match.
pub(super) fn syntax_failure(notebook: &Notebook, cell: usize, program: &Program, errors: &[CompileError]) -> Failure {
    let cell = &notebook.cells[cell];
    let mut diagnostics = diagnostics(notebook, program, errors);
    diagnostics.retain(|diagnostic| diagnostic.labels.first().is_some_and(|label| within(cell, &label.range)));
    if diagnostics.is_empty() {
        diagnostics.push(
            Diagnostic::error("a bracket, a string or a comment of this cell is not closed, or closed twice")
                .at(first_line(notebook, cell), "in this cell"),
        );
    }
    Failure { title: "does not compile".to_owned(), diagnostics }
}

/// The errors that a `compile_fail` cell is there to show, as text; or the failure, if it compiles.
pub(super) fn expected_errors(
    notebook: &Notebook,
    cell: usize,
    program: &Program,
    errors: &[CompileError],
) -> Result<String, Failure> {
    let cell = &notebook.cells[cell];
    let all = diagnostics(notebook, program, errors);
    let (own, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|d| d.labels.first().is_none_or(|label| within(cell, &label.range)));
    if !own.is_empty() {
        return Ok(crate::diagnostic::render(&own, &notebook.path, &notebook.text, false));
    }
    if !others.is_empty() {
        return Err(Failure {
            title: "could not be checked: cells before it do not compile".to_owned(),
            diagnostics: others,
        });
    }
    Err(Failure {
        title: "compiles".to_owned(),
        diagnostics: vec![
            Diagnostic::error("this cell must not compile, because its fence says `compile_fail`, but it does")
                .at(first_line(notebook, cell), "")
                .help("remove `compile_fail` from the fence"),
        ],
    })
}

/// evcxr's words for the end of the process, in ours.
pub(super) fn death(text: &str) -> String {
    let status = text.rsplit("terminated with status: ").next().unwrap_or(text).trim();
    if let Some(code) = status.strip_prefix("exit status: ") {
        return exited(code.trim().parse().unwrap_or(-1));
    }
    let number =
        status.strip_prefix("signal: ").and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
    number.map_or_else(|| status.to_owned(), killed)
}

/// The same for a status as `wait` encodes it.
pub(super) fn death_by_status(status: i32) -> String {
    match status & 0x7f {
        0 => exited((status >> 8) & 0xff),
        signal => killed(signal),
    }
}

fn exited(code: i32) -> String {
    match code {
        74 => "what it shows could not be written (is the disk full?)".to_owned(),
        code => format!("called exit({code})"),
    }
}

fn killed(signal: i32) -> String {
    let meaning = match signal {
        4 => "illegal instruction",
        6 => "aborted",
        7 => "bus error",
        8 => "arithmetic exception",
        9 => "killed, perhaps by the system for want of memory",
        11 => "segmentation fault: endless recursion overflows the stack in this way",
        15 => "terminated",
        _ => return format!("killed by signal {signal}"),
    };
    format!("killed by signal {signal} ({meaning})")
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
}

#[cfg(test)]
mod tests {
    use super::{death, death_by_status};

    #[test]
    fn says_how_a_process_ended() {
        assert_eq!(death("Subprocess terminated with status: exit status: 0"), "called exit(0)");
        assert_eq!(
            death("x\nSubprocess terminated with status: signal: 6 (SIGABRT) (core dumped)"),
            death_by_status(6)
        );
        assert_eq!(death_by_status(3 << 8), "called exit(3)");
        assert_eq!(
            death_by_status(139),
            "killed by signal 11 (segmentation fault: endless recursion overflows the stack in this way)"
        );
    }
}

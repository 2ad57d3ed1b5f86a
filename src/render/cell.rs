//! One cell: its code, what it printed and showed, and how it ended.

use minijinja::{Value, context};

use super::Page;
use super::html::{Html, message};
use super::table::{self, Caption};
use super::templates::Templates;
use super::text::grouped;
use super::{highlight, svg};
use crate::diagnostic;
use crate::notebook::{Cell, Fold, LabelKind, Mode, Notebook};
use crate::output::Output;
use crate::run::{Captured, CellRun, Status};

/// The cell as it stands in the page; empty where it shows nothing.
pub(super) fn html(templates: &Templates, page: &Page<'_>, index: usize) -> anyhow::Result<Html> {
    let (Some(cell), run) = (page.notebook.cells.get(index), page.run.cells.get(index)) else {
        return Ok(Html::default());
    };
    let not_reached = Status::NotRun("the build ended before it".to_owned());
    let status = run.map_or(&not_reached, |run| &run.status);
    let failure = failure(page.notebook, status);
    if !cell.options.include && failure.is_none() {
        return Ok(Html::default());
    }
    let code = if cell.options.echo && cell.options.include { shown_code(cell) } else { None };
    let parts = match run {
        Some(run) if shows_outputs(cell) => parts(templates, page, cell, run)?,
        _ => Vec::new(),
    };
    let mark = mark(cell, status, code.is_some());
    let expected = expected(cell, status);
    let nothing = code.is_none() && parts.is_empty() && mark.is_none() && expected.is_none() && failure.is_none();
    if nothing {
        return Ok(Html::default());
    }
    let ran = !matches!(status, Status::Skipped | Status::NotRun(_)) && cell.runs() && cell.mode != Mode::NoRun;
    let time = run.filter(|_| page.times && ran);
    templates.cell(context! {
        id => id(page, index),
        code => code.as_deref().map(highlight::rust),
        wide_code => code.as_deref().is_some_and(|code| code.lines().any(|line| line.chars().count() > NARROW)),
        fold => cell.options.code_fold != Fold::No,
        open => cell.options.code_fold == Fold::Show,
        summary => "Code",
        mark,
        parts,
        expected,
        failure,
        time => time.map(|run| format!("ran {:.2} s", run.run_s)),
    })
}

/// Code with longer lines may scroll on a phone, and must then be reachable by keyboard.
const NARROW: usize = 38;

/// Where links to the cell lead: its label where no figure or table carries that, or else its position.
pub(super) fn id(page: &Page<'_>, index: usize) -> String {
    let own = format!("cell-{}", index + 1);
    let (Some(cell), run) = (page.notebook.cells.get(index), page.run.cells.get(index)) else { return own };
    let Some(label) = &cell.options.label else { return own };
    let carries = |output: &Output| match kind(page.notebook, label) {
        Some(LabelKind::Figure) => matches!(output, Output::Svg { .. } | Output::Png { .. }),
        Some(LabelKind::Table) => matches!(output, Output::Table(_)),
        _ => false,
    };
    let carried = shows_outputs(cell) && run.is_some_and(|run| run.outputs.iter().any(carries));
    if carried { own } else { label.clone() }
}

/// How `@label` is written out: `Figure 3`.
pub(super) fn reference(notebook: &Notebook, label: &str) -> Option<String> {
    let label = notebook.labels.iter().find(|other| other.name == label)?;
    let kind = match label.kind {
        LabelKind::Figure => "Figure",
        LabelKind::Table => "Table",
        LabelKind::Section => "Section",
        LabelKind::Equation => "Equation",
        LabelKind::Listing => "Listing",
    };
    Some(format!("{kind} {}", label.number))
}

fn kind(notebook: &Notebook, label: &str) -> Option<LabelKind> {
    notebook.labels.iter().find(|other| other.name == label).map(|label| label.kind)
}

fn shows_outputs(cell: &Cell) -> bool {
    cell.options.output && cell.options.include
}

/// The lines that are not hidden, without blank ones at both ends.
fn shown_code(cell: &Cell) -> Option<String> {
    let lines: Vec<&str> = cell.code.iter().filter(|line| !line.hidden).map(|line| line.text.as_str()).collect();
    let code = lines.join("\n");
    let start = code.len() - code.trim_start_matches(['\n', '\r']).len();
    let code = code[start..].trim_end();
    (!code.trim().is_empty()).then(|| code.to_owned())
}

/// Why a cell has no outputs.
fn mark(cell: &Cell, status: &Status, code_shown: bool) -> Option<Html> {
    match status {
        Status::NotRun(reason) => Some(message(&format!("Not run: {reason}"))),
        Status::Skipped if code_shown => Some(message("Not run")),
        Status::AsExpected(_) if cell.mode == Mode::NoRun && code_shown => Some(message("Compiled, not run")),
        _ => None,
    }
}

/// The failure that the cell asked for.
fn expected(cell: &Cell, status: &Status) -> Option<Value> {
    let Status::AsExpected(text) = status else { return None };
    let title = match cell.mode {
        Mode::CompileFail => "Does not compile, as expected",
        Mode::ShouldPanic => "Panicked, as expected",
        Mode::NoRun => return None,
        Mode::Run | Mode::Ignore => "Ended in an error, which this cell allows",
    };
    shows_outputs(cell).then(|| context! { title, text => text.trim_end() })
}

fn failure(notebook: &Notebook, status: &Status) -> Option<Value> {
    let Status::Failed(failure) = status else { return None };
    let text = diagnostic::render(&failure.diagnostics, &notebook.path, &notebook.text, false);
    Some(context! { title => message(&format!("This cell {}", failure.title)), text => text.trim_end() })
}

/// Standard output, then what the cell showed in its order, then standard error.
fn parts(templates: &Templates, page: &Page<'_>, cell: &Cell, run: &CellRun) -> anyhow::Result<Vec<Value>> {
    let mut parts = Vec::new();
    parts.extend(stream("stdout", &run.stdout));
    let captions = Captions::of(page.notebook, cell);
    let pictures = run.outputs.iter().filter(|output| matches!(output, Output::Svg { .. } | Output::Png { .. }));
    let mut grouped_pictures = captions.figure.is_some().then(|| pictures.collect::<Vec<_>>());
    let mut tables = 0;
    for (position, output) in run.outputs.iter().enumerate() {
        let own_id = format!("cell-{}-output-{}", cell.index + 1, position + 1);
        let markup = match output {
            Output::Text { text } => {
                parts.push(context! { markup => (), stream => (), text => text.trim_end() });
                continue;
            }
            Output::Table(table) => {
                tables += 1;
                let caption = captions.table.as_ref().filter(|_| tables == 1);
                let caption = Caption {
                    id: caption.and_then(|caption| caption.label).map_or(own_id, str::to_owned),
                    number: caption.and_then(|caption| caption.number.clone()),
                    text: caption.and_then(|caption| caption.text),
                };
                table::html(templates, table, &caption)?
            }
            Output::Svg { .. } | Output::Png { .. } => match (&captions.figure, grouped_pictures.take()) {
                // A captioned figure holds all pictures of its cell, and stands where the first one is.
                (Some(caption), Some(pictures)) => figure(templates, cell, caption, &pictures, own_id)?,
                (Some(_), None) => continue,
                (None, _) => figure(templates, cell, &OwnCaption::default(), &[output], own_id)?,
            },
        };
        parts.push(context! { markup });
    }
    parts.extend(stream("stderr", &run.stderr));
    Ok(parts)
}

/// What the cell's options say of its figure and its table.
struct Captions<'a> {
    figure: Option<OwnCaption<'a>>,
    table: Option<OwnCaption<'a>>,
}

#[derive(Default)]
struct OwnCaption<'a> {
    label: Option<&'a str>,
    number: Option<String>,
    text: Option<&'a str>,
}

impl<'a> Captions<'a> {
    fn of(notebook: &Notebook, cell: &'a Cell) -> Self {
        let options = &cell.options;
        let caption = |wanted: LabelKind, text: &'a Option<String>| {
            let label = options.label.as_deref().filter(|label| kind(notebook, label) == Some(wanted));
            let caption =
                OwnCaption { label, number: label.and_then(|l| reference(notebook, l)), text: text.as_deref() };
            (label.is_some() || text.is_some()).then_some(caption)
        };
        Captions {
            figure: caption(LabelKind::Figure, &options.fig_cap),
            table: caption(LabelKind::Table, &options.tbl_cap),
        }
    }
}

fn figure(
    templates: &Templates,
    cell: &Cell,
    caption: &OwnCaption<'_>,
    pictures: &[&Output],
    own_id: String,
) -> anyhow::Result<Html> {
    let id = caption.label.map_or(own_id, str::to_owned);
    let alt = cell.options.fig_alt.as_deref();
    let fallback = caption.text.unwrap_or("Figure");
    let panels: Vec<Value> = pictures
        .iter()
        .enumerate()
        .map(|(panel, output)| match output {
            Output::Svg { svg } => {
                let prefix = format!("{id}-{panel}-");
                match svg::figure(svg, &prefix, alt, fallback) {
                    Ok(svg) => context! { markup => svg },
                    Err(problem) => context! { markup => (), src => (), problem => format!("{problem:#}") },
                }
            }
            Output::Png { base64, width, height } => {
                let mut src = Html::default();
                src.tag("data:image/png;base64,");
                src.text(base64);
                context! { markup => (), src, width => *width, height => *height, alt => alt.unwrap_or(fallback) }
            }
            Output::Text { .. } | Output::Table(_) => context! { markup => (), src => (), problem => "not a picture" },
        })
        .collect();
    templates.figure(context! { id, panels, number => &caption.number, caption => caption.text })
}

fn stream(name: &str, captured: &Captured) -> Option<Value> {
    let text = captured.text.trim_end();
    let dropped = (captured.dropped_bytes > 0).then(|| grouped(captured.dropped_bytes));
    (!text.is_empty() || dropped.is_some()).then(|| context! { markup => (), stream => name, text, dropped })
}

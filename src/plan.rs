//! Decides which cells run and says why. Pure.
//!
//! A build is always a run of the whole document from the top, so there are two answers: every result of the last
//! successful build can be used again, or everything runs. Doubt means run. What makes running cheap is that the library
//! remembers slow results by content.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use serde::{Deserialize, Serialize};

use crate::notebook::{Cell, Mode, Notebook, Value};
use crate::run::{CellRun, Run, Status};

/// Names whose presence in a cell says that it may depend on more than its code: files, clocks, processes, randomness.
const OUTSIDE: &[&str] = &[
    "Command",
    "CsvReadOptions",
    "CsvReader",
    "File",
    "Instant",
    "IpcReader",
    "JsonReader",
    "LazyCsvReader",
    "OpenOptions",
    "ParquetReader",
    "SystemTime",
    "TcpStream",
    "UdpSocket",
    "Utc",
    "env",
    "fs",
    "include",
    "include_bytes",
    "include_str",
    "net",
    "option_env",
    "process",
    "random",
    "read_dir",
    "rng",
    "scan_csv",
    "scan_parquet",
    "stdin",
    "thread_rng",
];

/// What a successful build leaves for the next one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    pub environment: BTreeMap<String, String>,
    pub params: BTreeMap<String, String>,
    pub steps: Vec<Step>,
    pub run: Run,
}

/// A cell or an inline expression, as far as its result depends on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// How messages call it.
    pub name: String,
    /// Its tokens, without comments and white space, and what changes how it runs.
    pub code: String,
    /// The cell's position in its notebook; none for an inline expression.
    pub cell: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// One for each cell of the notebook.
    pub cells: Vec<Decision>,
    /// The results, where none has to be computed.
    pub reused: Option<Run>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    Reuse,
    Run(String),
    /// Not meant to run: `ignore` or `eval: false`.
    Skip,
}

/// Everything that the results depend on apart from the notebook, by name: compiler, library, device, ...
pub type Environment = BTreeMap<String, String>;

/// The plan. `changed_inputs` are the files that the last run read and that have changed since.
pub fn make(
    notebook: &Notebook,
    environment: &Environment,
    previous: Option<&Kept>,
    changed_inputs: &[String],
) -> Plan {
    let steps = steps(notebook);
    let reasons = match previous {
        None => vec!["there is no result of an earlier build".to_owned(); steps.len()],
        Some(kept) => reasons(&steps, notebook, environment, kept, changed_inputs),
    };
    let reused = match previous {
        Some(kept) if reasons.is_empty() => Some(reuse(notebook, &steps, kept)),
        _ => None,
    };
    let decision = |cell: &Cell| match steps.iter().position(|step| step.cell == Some(cell.index)) {
        None => Decision::Skip,
        Some(step) => reasons.get(step).map_or(Decision::Reuse, |reason| Decision::Run(reason.clone())),
    };
    Plan { cells: notebook.cells.iter().map(decision).collect(), reused }
}

/// What is to be kept of a successful run.
pub fn keep(notebook: &Notebook, environment: &Environment, run: &Run) -> Kept {
    Kept { environment: environment.clone(), params: params(notebook), steps: steps(notebook), run: run.clone() }
}

/// One reason a step, or nothing if all can be reused.
fn reasons(
    steps: &[Step],
    notebook: &Notebook,
    environment: &Environment,
    kept: &Kept,
    changed_inputs: &[String],
) -> Vec<String> {
    let everywhere = |reason: String| vec![reason; steps.len()];
    if let Some(change) = difference(&kept.environment, environment) {
        return everywhere(change);
    }
    if let Some(change) = difference(&kept.params, &params(notebook)) {
        return everywhere(format!("parameter {change}"));
    }
    if !changed_inputs.is_empty() {
        return everywhere(format!("changed since the last build: {}", changed_inputs.join(", ")));
    }
    let (here, reason) = match steps.iter().zip(&kept.steps).position(|(new, old)| new.code != old.code) {
        Some(here) => (here, "its code changed".to_owned()),
        None if steps.len() > kept.steps.len() => (kept.steps.len(), "it is new".to_owned()),
        None => match steps.iter().enumerate().find_map(|(here, step)| Some((here, outside(step)?))) {
            Some((here, name)) => (here, format!("`{name}` may read what `report` cannot see change")),
            None => return Vec::new(),
        },
    };
    let name = &steps[here].name;
    let reason_of = |index: usize| match index.cmp(&here) {
        std::cmp::Ordering::Less => format!("{name} runs, and a build runs from the top"),
        std::cmp::Ordering::Equal => reason.clone(),
        std::cmp::Ordering::Greater => format!("it comes after {name}"),
    };
    (0..steps.len()).map(reason_of).collect()
}

/// The first entry in which two maps differ, in words.
fn difference(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Option<String> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names.into_iter().find_map(|name| match (old.get(name), new.get(name)) {
        (Some(old), Some(new)) if old == new => None,
        (Some(old), Some(new)) => Some(format!("{name} changed: {old} → {new}")),
        (Some(_), None) => Some(format!("{name} is gone")),
        (None, _) => Some(format!("{name} is new")),
    })
}

fn params(notebook: &Notebook) -> BTreeMap<String, String> {
    let text = |value: &Value| format!("{value:?}");
    notebook.meta.params.iter().map(|param| (format!("`{}`", param.name), text(&param.value))).collect()
}

fn steps(notebook: &Notebook) -> Vec<Step> {
    let mut steps = Vec::new();
    let inlines = |steps: &mut Vec<Step>, after: usize| {
        for inline in notebook.inlines.iter().filter(|inline| inline.after == after) {
            let name = format!("inline expression `{}`", inline.expr);
            steps.push(Step { name, code: format!("inline {}", tokens(&inline.expr)), cell: None });
        }
    };
    inlines(&mut steps, 0);
    for cell in &notebook.cells {
        if cell.runs() || (cell.options.eval && cell.mode == Mode::CompileFail) {
            let code = format!("{:?} error={} {}", cell.mode, cell.options.error, tokens(&cell.source()));
            steps.push(Step { name: format!("cell `{}`", cell.name()), code, cell: Some(cell.index) });
        }
        inlines(&mut steps, cell.index + 1);
    }
    steps
}

/// The code without comments and white space; as it is where it has no tokens.
fn tokens(code: &str) -> String {
    code.parse::<TokenStream>().map_or_else(|_| code.to_owned(), |tokens| tokens.to_string())
}

/// The first name in a step that may read something other than code.
fn outside(step: &Step) -> Option<String> {
    if step.code.starts_with("NoRun") || step.code.starts_with("CompileFail") {
        return None;
    }
    fn search(tokens: TokenStream) -> Option<String> {
        tokens.into_iter().find_map(|tree| match tree {
            TokenTree::Group(group) => search(group.stream()),
            TokenTree::Ident(name) => {
                let name = name.to_string();
                OUTSIDE.binary_search(&name.as_str()).is_ok().then_some(name)
            }
            _ => None,
        })
    }
    search(step.code.parse().ok()?)
}

/// The kept results, moved to where their cells and inline expressions are now.
fn reuse(notebook: &Notebook, steps: &[Step], kept: &Kept) -> Run {
    let skipped = CellRun {
        status: Status::Skipped,
        outputs: Vec::new(),
        stdout: Default::default(),
        stderr: Default::default(),
        run_s: 0.0,
    };
    let cell = |cell: &Cell| {
        let step = steps.iter().position(|step| step.cell == Some(cell.index))?;
        kept.run.cells.get(kept.steps.get(step)?.cell?).cloned()
    };
    Run {
        cells: notebook.cells.iter().map(|c| cell(c).unwrap_or_else(|| skipped.clone())).collect(),
        inlines: kept.run.inlines.iter().take(notebook.inlines.len()).cloned().collect(),
        ..kept.run.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn notebook(text: &str) -> Notebook {
        parse::notebook("n.md", text, &[]).0
    }

    fn environment() -> Environment {
        BTreeMap::from([("rustc".to_owned(), "1.95.0".to_owned())])
    }

    fn kept(text: &str) -> Kept {
        let notebook = notebook(text);
        let steps = steps(&notebook);
        let cell = CellRun {
            status: Status::Ok,
            outputs: Vec::new(),
            stdout: Default::default(),
            stderr: Default::default(),
            run_s: 0.5,
        };
        let run = Run {
            cells: notebook.cells.iter().map(|_| cell.clone()).collect(),
            inlines: notebook.inlines.iter().map(|i| Some(i.expr.clone())).collect(),
            ..Run::default()
        };
        assert_eq!(run.cells.len(), notebook.cells.len());
        Kept { environment: environment(), params: params(&notebook), steps, run }
    }

    const THREE: &str = "---\ntitle: t\nparams:\n  n: 3\n---\n\n```rust\nlet a = 1;\n```\n\n`{rust} a`\n\n```rust\nlet b = a;\n```\n\n```rust\na + b\n```\n";

    /// For each cell `reuse`, `run` or `skip`.
    fn decisions(text: &str, previous: Option<&Kept>) -> Vec<&'static str> {
        make(&notebook(text), &environment(), previous, &[])
            .cells
            .iter()
            .map(|decision| match decision {
                Decision::Reuse => "reuse",
                Decision::Run(_) => "run",
                Decision::Skip => "skip",
            })
            .collect()
    }

    #[test]
    fn the_first_build_runs_everything() {
        assert_eq!(decisions(THREE, None), ["run", "run", "run"]);
    }

    #[test]
    fn these_edits_run_nothing() {
        let kept = kept(THREE);
        for (from, to) in [
            ("", ""),
            ("title: t", "title: another"),
            ("`{rust} a`", "Prose. `{rust}  a` and more."),
            ("let b = a;", "// why\nlet b  =  a;"),
            ("```rust\na + b", "```rust\n//| echo: false\n//| label: sum\na + b"),
            ("```rust\na + b\n```\n", ""),
        ] {
            let text = THREE.replacen(from, to, 1);
            assert!(decisions(&text, Some(&kept)).iter().all(|d| *d == "reuse"), "{from:?} → {to:?}");
        }
    }

    #[test]
    fn these_edits_run_everything() {
        let kept = kept(THREE);
        for (from, to) in [
            ("let b = a;", "let b = a + 1;"),
            ("n: 3", "n: 4"),
            ("n: 3", "n: 3.0"),
            ("`{rust} a`", "`{rust} a + 1`"),
            ("```rust\na + b", "```rust,should_panic\na + b"),
            ("```rust\na + b", "```rust\n//| error: true\na + b"),
        ] {
            let text = THREE.replacen(from, to, 1);
            assert_eq!(decisions(&text, Some(&kept)), ["run", "run", "run"], "{from:?} → {to:?}");
        }
    }

    #[test]
    fn skipped_cells_change_nothing_and_results_follow_their_cells() {
        let kept = kept(THREE);
        let text = THREE.replacen("```rust\nlet b", "```rust,ignore\nnonsense\n```\n\n```rust\nlet b", 1);
        assert_eq!(decisions(&text, Some(&kept)), ["reuse", "skip", "reuse", "reuse"]);
        let reused = make(&notebook(&text), &environment(), Some(&kept), &[]).reused.expect("all reused");
        assert_eq!(reused.cells[1].status, Status::Skipped);
        assert_eq!(reused.cells[3].status, Status::Ok);
        assert_eq!(reused.inlines, [Some("a".to_owned())]);
    }

    #[test]
    fn doubt_means_run() {
        let text = THREE.replacen("let b = a;", "let b = std::fs::read_to_string(\"x\").map_or(0, |_| a);", 1);
        assert_eq!(decisions(&text, Some(&kept(&text))), ["run", "run", "run"]);
        let other = BTreeMap::from([("rustc".to_owned(), "1.96.0".to_owned())]);
        let plan = make(&notebook(THREE), &other, Some(&kept(THREE)), &[]);
        assert_eq!(plan.cells[0], Decision::Run("rustc changed: 1.95.0 → 1.96.0".to_owned()));
        let plan = make(&notebook(THREE), &environment(), Some(&kept(THREE)), &["x.csv".to_owned()]);
        assert_eq!(plan.cells[2], Decision::Run("changed since the last build: x.csv".to_owned()));
        assert!(plan.reused.is_none());
    }

    #[test]
    fn the_names_are_sorted_for_the_search() {
        assert!(OUTSIDE.is_sorted());
    }
}

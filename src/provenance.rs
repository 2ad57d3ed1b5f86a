//! Where a report comes from: the rows of its last section.

use std::path::Path;
use std::process::Command;

use crate::notebook::{Notebook, Value};
use crate::plan::Environment;
use crate::render::ProvenanceGroup;
use crate::run::Run;

/// The groups, in the order of the page. Times only if asked for, because they differ from build to build.
pub fn groups(
    notebook: &Notebook,
    run: &Run,
    environment: &Environment,
    path: &Path,
    times: bool,
) -> Vec<ProvenanceGroup> {
    let mut groups = Vec::new();
    let mut group = |title: &str, rows: Vec<(String, String)>| {
        if !rows.is_empty() {
            groups.push(ProvenanceGroup { title: title.to_owned(), rows });
        }
    };
    let row = |name: &str, value: String| (name.to_owned(), value);
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut source = vec![
        row("notebook", file),
        row("BLAKE3 of the notebook", blake3::hash(notebook.text.as_bytes()).to_hex().to_string()),
    ];
    source.extend(git(path));
    group("Source", source);
    let value = |value: &Value| match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}"),
        Value::Text(value) => value.clone(),
    };
    group("Parameters", notebook.meta.params.iter().map(|param| row(&param.name, value(&param.value))).collect());
    // What is only looked at, to see whether it has changed, would differ between machines with the same data.
    let shown = run.inputs.iter().filter(|input| !input.is_looked_at());
    group("Inputs", shown.map(|input| row(&input.name, input.checksum.clone())).collect());
    group("Seeds", run.seeds.iter().map(|seed| row(&seed.what, seed.seed.to_string())).collect());
    let shown = ["report", "rustc", "target", "crates", "libtorch", "opt-level", "threads"];
    let mut software: Vec<_> =
        shown.iter().filter_map(|name| Some(row(name, environment.get(*name)?.clone()))).collect();
    software.push(row("device", run.device.clone().unwrap_or_else(|| "none used".to_owned())));
    group("Software and machine", software);
    if times {
        let seconds = |seconds: f64| format!("{seconds:.2} s");
        let mut rows = vec![row("compile, all cells together", seconds(run.compile_s))];
        let cells = notebook.cells.iter().zip(&run.cells).filter(|(cell, _)| cell.runs());
        rows.extend(cells.map(|(cell, result)| row(&format!("run {}", cell.name()), seconds(result.run_s))));
        group("Times", rows);
    }
    groups
}

/// The commit of the notebook's repository, and whether the working tree differs from it; nothing outside of git.
fn git(path: &Path) -> Vec<(String, String)> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let ask = |arguments: &[&str]| -> Option<String> {
        let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = ask(&["rev-parse", "HEAD"]) else { return Vec::new() };
    let state = match ask(&["status", "--porcelain", "--untracked-files=no"]).as_deref() {
        Some("") => "clean".to_owned(),
        Some(changes) => format!("{} changed", plural(changes.lines().count(), "file")),
        None => "unknown".to_owned(),
    };
    vec![("git commit".to_owned(), commit), ("working tree".to_owned(), state)]
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

//! Every notebook in `tests/cases` is built, and must do what the comments in it say:
//!
//! - `<!-- exit: 1 -->`: the exit code, 0 if not said;
//! - `<!-- stderr: text -->`, `<!-- page: text -->`: a line that must be printed, or be on the page as a reader sees it;
//! - `<!-- not-page: text -->`, `<!-- html: markup -->`: what must not be on the page, what must be in its source.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::workspace::{Workspace, text_of};

#[test]
fn every_case_does_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases: Vec<_> = fs::read_dir(&folder)
        .expect("tests/cases is there")
        .map(|entry| entry.expect("tests/cases can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    cases.sort();
    assert!(cases.len() > 20, "only {} cases found", cases.len());
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let wrong = faults(case);
                    failures.lock().expect("no case panics").extend(wrong);
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no case panics");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What is wrong with the build of one case.
fn faults(case: &Path) -> Vec<String> {
    let name = case.file_stem().expect("a case has a name").to_string_lossy().into_owned();
    let text = fs::read_to_string(case).expect("a case can be read");
    let workspace = Workspace::new(&format!("case-{name}"));
    let file = format!("{name}.md");
    workspace.write(&file, &text);
    let ran = workspace.report(&["build", &file]);
    let source = match ran.code {
        Some(0) => workspace.read(&format!("output/{name}.html")),
        _ => workspace.read(&format!("output/{name}.failed.html")),
    };
    let page = text_of(&source);
    let said = |key: &str| -> Vec<String> {
        let marker = format!("<!-- {key}: ");
        text.lines()
            .filter_map(|line| Some(line.trim().strip_prefix(&marker)?.strip_suffix(" -->")?.to_owned()))
            .collect()
    };
    let mut wrong = Vec::new();
    let code = said("exit").first().map_or(0, |code| code.parse().expect("an exit code is a number"));
    if ran.code != Some(code) {
        wrong.push(format!("exit code {:?} instead of {code}", ran.code));
    }
    let missing =
        |text: &str, wanted: Vec<String>| wanted.into_iter().filter(|w| !text.contains(w.as_str())).collect::<Vec<_>>();
    wrong.extend(missing(&ran.stderr, said("stderr")).into_iter().map(|w| format!("not printed: {w}")));
    wrong.extend(missing(&page, said("page")).into_iter().map(|w| format!("not on the page: {w}")));
    wrong.extend(missing(&source, said("html")).into_iter().map(|w| format!("not in the source: {w}")));
    wrong.extend(
        said("not-page").into_iter().filter(|w| page.contains(w.as_str())).map(|w| format!("on the page: {w}")),
    );
    if !wrong.is_empty() {
        wrong.push(format!("it printed:\n{}", ran.stderr));
    }
    wrong.into_iter().map(|w| format!("{file}: {w}")).collect()
}

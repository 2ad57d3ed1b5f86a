//! What runs again and what does not, seen from outside.

use crate::workspace::Workspace;

fn build(workspace: &Workspace, arguments: &[&str]) -> String {
    let ran = workspace.report(&[&["build", "n.md"], arguments].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.stderr
}

#[test]
fn only_what_depends_on_a_change_runs() {
    let workspace = Workspace::new("reuse");
    let write = |prose: &str, code: &str| {
        let text = format!(
            "---\ntitle: Reuse\nparams:\n  n: 2\n---\n\n{prose}\n\n```rust\n//| label: first\nlet a = 20;\n```\n\n```rust\n//| label: second\n{code}\n```\n"
        );
        workspace.write("n.md", text);
    };
    write("Prose.", "a + params.n");
    let first = build(&workspace, &[]);
    assert!(first.contains("cells compiled in"), "{first}");
    let page = workspace.read("output/n.html");
    assert!(page.contains("22"), "{page}");

    let explained = |arguments: &[&str]| {
        let ran = workspace.report(&[&["build", "n.md", "--explain"], arguments].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stdout
    };
    assert_eq!(explained(&[]).matches("reuse").count(), 2);
    let again = build(&workspace, &[]);
    assert!(again.contains("nothing to run"), "{again}");
    assert_eq!(workspace.read("output/n.html"), page, "same inputs, same bytes");

    write("Other *prose*.", "// a comment\na + params.n");
    let again = build(&workspace, &[]);
    assert!(again.contains("nothing to run"), "{again}");
    assert!(workspace.read("output/n.html").contains("Other <em>prose</em>"));

    let plan = explained(&["-P", "n=3"]);
    assert!(plan.contains("there is no result of an earlier build"), "{plan}");
    write("Prose.", "a + params.n + 1");
    let plan = explained(&[]);
    assert!(plan.contains("its code changed") && plan.contains("a build runs from the top"), "{plan}");
    let again = build(&workspace, &[]);
    assert!(!again.contains("nothing to run"), "{again}");
    assert!(workspace.read("output/n.html").contains("23"));
}

#[test]
fn a_failed_build_leaves_the_good_report_and_is_not_reused() {
    let workspace = Workspace::new("failed-build");
    workspace.write("n.md", "```rust\nlet a = 1;\na\n```\n");
    build(&workspace, &[]);
    let good = workspace.read("output/n.html");
    assert!(!good.is_empty());

    workspace.write("n.md", "```rust\nlet a = 1;\npanic!(\"no\");\n```\n");
    for _ in 0..2 {
        let ran = workspace.report(&["build", "n.md"]);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert!(ran.stderr.contains("panicked: no"), "{}", ran.stderr);
        assert_eq!(workspace.read("output/n.html"), good);
        assert!(workspace.exists("output/n.failed.html"));
    }
    workspace.write("n.md", "```rust\nlet a = 1;\na\n```\n");
    build(&workspace, &[]);
    assert_eq!(workspace.read("output/n.html"), good);
    assert!(!workspace.exists("output/n.failed.html"), "a good build removes the failed one's report");
}

#[test]
fn a_damaged_result_is_not_reused() {
    let workspace = Workspace::new("damaged");
    workspace.write("n.md", "```rust\n6 * 7\n```\n");
    build(&workspace, &[]);
    let good = workspace.read("output/n.html");
    let runs = workspace.folder.join("output/.cache/runs");
    let kept = std::fs::read_dir(&runs)
        .expect("the runs are kept")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "json"))
        .expect("a run is kept");
    let whole = std::fs::read(&kept).expect("it can be read");
    for at in [0, 70, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&kept, &bytes).expect("it can be written");
        let said = build(&workspace, &["--times"]);
        assert!(said.contains("is damaged") && !said.contains("nothing to run"), "byte {at}: {said}");
        std::fs::write(&kept, &whole).expect("it can be written");
        build(&workspace, &[]);
        assert_eq!(workspace.read("output/n.html"), good);
    }
    std::fs::write(&kept, &whole[..whole.len() / 3]).expect("it can be written");
    assert!(build(&workspace, &[]).contains("is damaged"));
}

#[test]
fn a_folder_or_file_beside_the_notebook_that_has_changed_is_read_again() {
    let workspace = Workspace::new("reuse-inputs");
    let pixel = include_bytes!("../fixtures/images/jpeg-grey-q60.jpg");
    workspace.write("study/pictures/a/1.jpg", pixel);
    workspace.write("study/some.csv", "n\n1\n");
    let code = "datasets::folder(\"pictures\")?.len() + tables::read_csv(\"some.csv\")?.height()";
    workspace.write("study/n.md", format!("```rust\n{code}\n```\n"));
    let build = || {
        let ran = workspace.report(&["build", "study/n.md"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stderr
    };
    build();
    assert!(build().contains("nothing to run"));
    workspace.write("study/pictures/a/2.jpg", pixel);
    assert!(!build().contains("nothing to run"), "an image more");
    workspace.write("study/some.csv", "n\n1\n2\n");
    assert!(!build().contains("nothing to run"), "a line more");
    assert!(build().contains("nothing to run"));
}

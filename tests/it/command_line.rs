//! Arguments, exit codes and messages.

use crate::workspace::Workspace;

#[test]
fn version_names_libtorch_and_devices() {
    let ran = Workspace::new("version").report(&["--version"]);
    assert_eq!(ran.code, Some(0));
    for part in ["report 0.", "libtorch 2.13.0", "devices: cpu", "rustc 1.", "polars 0.55"] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
}

#[test]
fn bad_arguments_exit_with_2() {
    let workspace = Workspace::new("arguments");
    workspace.write("n.md", "---\nparams:\n  samples: 100\n---\n\n```rust\nparams.samples\n```\n");
    for (arguments, said) in [
        (&["bild"][..], "build"),
        (&["build", "n.md", "-P", "samples"], "KEY=VALUE"),
        (&["build", "n.md", "--device", "gpu"], "cuda:N"),
        (&["build", "n.md", "--memory-limit", "much"], "much"),
        (&["build", "n.md", "-P", "sample=3"], "samples"),
        (&["build", "n.md", "-P", "samples=many"], "many"),
    ] {
        let ran = workspace.report(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn what_the_machine_lacks_exits_with_3() {
    let workspace = Workspace::new("machine");
    workspace.write("n.md", "Prose.\n");
    std::fs::create_dir(workspace.folder.join("folder")).expect("a folder can be made");
    let made = std::process::Command::new("mkfifo").arg(workspace.folder.join("pipe")).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo works");
    for (arguments, said) in [
        (&["build", "absent.md"][..], "absent.md"),
        (&["build", "n.md", "--device", "cuda:7"], "cuda:7"),
        (&["build"], "notebooks"),
        (&["build", "folder"], "folder is not a file"),
        (&["build", "pipe"], "pipe is not a file"),
    ] {
        let ran = workspace.report(arguments);
        assert_eq!(ran.code, Some(3), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn a_notebook_that_is_not_text_names_the_place() {
    let workspace = Workspace::new("not-utf8");
    workspace.write("n.md", b"# Title\n\nText with \xff in it.\n");
    let ran = workspace.report(&["build", "n.md"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("n.md:3:11") && ran.stderr.contains("UTF-8"), "{}", ran.stderr);
}

#[test]
fn check_tells_every_error_and_runs_nothing() {
    let workspace = Workspace::new("check");
    workspace.write("good.md", "```rust\nstd::fs::write(\"ran\", \"\")?;\n```\n");
    workspace.write("bad.md", "```rust\nlet a: i32 = \"x\";\n```\n\n```rust\nlet b = absent;\n```\n");
    let ran = workspace.report(&["check", "good.md"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!workspace.exists("ran"));
    let ran = workspace.report(&["check", "good.md", "bad.md"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    for part in ["bad.md:2:14", "E0308", "bad.md:6:9", "E0425", "good.md: ok"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    assert!(!workspace.exists("output/bad.html"));
}

#[test]
fn parameters_reach_the_cells() {
    let workspace = Workspace::new("parameters");
    workspace.write(
        "n.md",
        "---\nparams:\n  samples: 100\n  name: x\n---\n\n`{rust} params.samples * 2` of `{rust} params.name`\n",
    );
    let ran = workspace.report(&["build", "n.md", "-P", "samples=21", "-P", "name=\"quoted\" <b>"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let text = crate::workspace::text_of(&workspace.read("output/n.html"));
    assert!(text.contains("42 of \"quoted\" <b>"), "{text}");
}

#[test]
fn completions_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = Workspace::new(shell).report(&["completions", shell]);
        assert_eq!(ran.code, Some(0));
        assert!(ran.stdout.contains("report") && ran.stdout.contains("memory-limit"), "{shell}");
    }
}

#[test]
fn a_repl_is_told_where_the_library_is() {
    let ran = Workspace::new("repl").report(&["repl"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let flags = ran.stdout.lines().find_map(|line| line.strip_prefix(":build_env RUSTFLAGS=")).expect("the flags");
    let library = flags.split("--extern report=").nth(1).and_then(|rest| rest.split(' ').next()).expect("the library");
    assert!(std::path::Path::new(library).is_file(), "{library}");
    assert!(ran.stdout.ends_with("use report::prelude::*;\n"), "{}", ran.stdout);
}

//! Runs that are cut short: interrupted, killed, out of memory, out of disk, at the same time.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::workspace::{Ran, Workspace, program};

const ENDLESS: &str = "```rust\nstd::process::Command::new(\"sh\").args([\"-c\", \"trap '' TERM; exec sleep 987\"]).spawn()?;\nloop { std::hint::spin_loop() }\n```\n";

fn start(workspace: &Workspace) -> Child {
    program()
        .args(["build", "n.md"])
        .current_dir(&workspace.folder)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// Waits until the first cell has begun.
fn wait_for_begin(workspace: &Workspace) {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        let begun = fs::read_dir(workspace.folder.join("output/.cache/runs"))
            .into_iter()
            .flatten()
            .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("events.jsonl")).ok())
            .any(|events| events.contains("\"begin\""));
        if begun {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("no cell began within a minute");
}

/// Processes whose command line or folder names the workspace.
fn processes_of(workspace: &Workspace) -> Vec<String> {
    let name = workspace.folder.to_string_lossy().into_owned();
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let line = fs::read(folder.join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let here = fs::read_link(folder.join("cwd")).is_ok_and(|cwd| cwd.to_string_lossy().starts_with(&name));
            (here || line.contains(&name)).then_some(line)
        })
        .collect()
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "the signal was sent");
}

#[test]
fn an_interrupted_build_ends_at_once_and_leaves_nothing_behind() {
    for (name, code) in [("INT", Some(130)), ("TERM", Some(143)), ("KILL", None)] {
        let workspace = Workspace::new(&format!("signal-{name}"));
        workspace.write("n.md", ENDLESS);
        let child = start(&workspace);
        wait_for_begin(&workspace);
        let sent = Instant::now();
        signal(&child, name);
        let ran = Ran::from(child.wait_with_output().expect("the program ends"));
        assert_eq!(ran.code, code, "{name}: {}", ran.stderr);
        assert!(sent.elapsed() < Duration::from_secs(5), "{name}: ended after {:?}", sent.elapsed());
        assert!(!workspace.exists("output/n.html"));
        if name == "KILL" {
            // The worker ends what the cell had started, and itself.
            std::thread::sleep(Duration::from_secs(1));
        }
        let left = processes_of(&workspace);
        assert!(left.is_empty(), "{name}: {left:?}");
        workspace.write("n.md", "```rust\n1 + 1\n```\n");
        let ran = workspace.report(&["build", "n.md"]);
        assert_eq!(ran.code, Some(0), "the next build: {}", ran.stderr);
    }
}

#[test]
fn a_process_that_a_cell_leaves_behind_is_ended() {
    let workspace = Workspace::new("left-behind");
    workspace.write(
        "n.md",
        "```rust\nstd::process::Command::new(\"setsid\").args([\"sleep\", \"986\"]).spawn()?;\nprintln!(\"done\");\n```\n",
    );
    let ran = workspace.report(&["build", "n.md"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(processes_of(&workspace).is_empty(), "{:?}", processes_of(&workspace));
}

#[test]
fn memory_is_limited() {
    let workspace = Workspace::new("memory");
    workspace.write(
        "n.md",
        "```rust\n//| label: greedy\nlet mut all = Vec::new();\nloop { all.push(vec![1u8; 16 << 20]); }\n```\n",
    );
    let ran = workspace.report(&["build", "n.md", "--memory-limit", "1G"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("more than the limit of 1.0 GiB"), "{}", ran.stderr);
    assert!(ran.stderr.contains("n.md:3:1"), "{}", ran.stderr);
}

#[test]
fn a_report_that_cannot_be_written_is_an_error_of_the_machine() {
    let workspace = Workspace::new("cannot-write");
    workspace.write("n.md", "Prose only.\n");
    workspace.write("file", "not a folder");
    let ran = workspace.report(&["build", "n.md", "-o", "file"]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("file"), "{}", ran.stderr);
}

#[test]
fn builds_of_one_notebook_at_the_same_time_wait_for_each_other() {
    let workspace = Workspace::new("together");
    workspace.write("n.md", "```rust\n(1..=10).sum::<i32>()\n```\n");
    let children: Vec<Child> = (0..4).map(|_| start(&workspace)).collect();
    let said: Vec<Ran> =
        children.into_iter().map(|child| Ran::from(child.wait_with_output().expect("the program ends"))).collect();
    assert!(said.iter().all(|ran| ran.code == Some(0)), "{:?}", said.iter().map(|r| &r.stderr).collect::<Vec<_>>());
    let ran = said.iter().filter(|ran| ran.stderr.contains("cells compiled")).count();
    assert_eq!(ran, 1, "one compiles, the others use what it left");
}

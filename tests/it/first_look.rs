//! The notebook that a newcomer builds, at a small sample size.

use crate::workspace::{Workspace, text_of};

#[test]
fn first_look_builds_from_real_images() {
    let workspace = Workspace::new("first-look");
    let notebook = concat!(env!("CARGO_MANIFEST_DIR"), "/notebooks/first-look.md");
    let ran = workspace.report(&["build", notebook, "-P", "samples=40"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let page = workspace.read("output/first-look.html");
    let text = text_of(&page);
    for part in ["MNIST", "Fashion-MNIST", "AMI", "Figure 1", "Table 1", "libtorch"] {
        assert!(text.contains(part), "{part} is not on the page");
    }
    assert!(page.contains("<svg") && page.contains("data:image/png"));
    assert!(page.len() < 500_000, "{} bytes", page.len());
}

#[test]
fn the_notebook_of_the_encoders_builds() {
    let workspace = Workspace::new("encoders-notebook");
    let notebook = concat!(env!("CARGO_MANIFEST_DIR"), "/notebooks/encoders.md");
    let ran = workspace.report(&["build", notebook, "-P", "samples=20", "-P", "speed_images=2"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let page = workspace.read("output/encoders.html");
    let text = text_of(&page);
    for part in
        ["mocov3_resnet50", "never published", "CC BY-NC 4.0", "SqueezeNet 1.1", "Table 2", "Figure 4", "Ankle boot"]
    {
        assert!(text.contains(part), "{part} is not on the page");
    }
    assert!(page.matches("data:image/png").count() >= 5, "thumbnails");
    assert!(page.len() < 500_000, "{} bytes", page.len());
}

#[test]
fn the_notebook_of_the_datasets_builds() {
    let workspace = Workspace::new("datasets-notebook");
    let notebook = concat!(env!("CARGO_MANIFEST_DIR"), "/notebooks/datasets.md");
    let ran = workspace.report(&["build", notebook, "-P", "samples=20", "-P", "starts=2"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let page = workspace.read("output/datasets.html");
    let text = text_of(&page);
    for part in ["cifar10", "report fetch datasets imagenet-r", "mixed-same", "Ankle boot", "Table 4", "Figure 4"] {
        assert!(text.contains(part), "{part} is not on the page");
    }
    assert!(page.matches("data:image/png").count() >= 3, "sheets of samples");
    assert!(page.len() < 500_000, "{} bytes", page.len());
}

/// The block of `text` between lines that are `open` and `close`.
fn block<'a>(text: &'a str, open: &str, close: &str) -> &'a str {
    let start = text.find(&format!("{open}\n")).expect("the block begins") + open.len() + 1;
    &text[start..start + text[start..].find(&format!("\n{close}")).expect("the block ends") + 1]
}

#[test]
fn the_notebook_of_the_readme_builds() {
    let workspace = Workspace::new("readme");
    let readme = include_str!("../../README.md");
    workspace.write("small.md", block(readme, "````markdown", "````"));
    let ran = workspace.report(&["build", "small.md", "-P", "samples=200"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let text = text_of(&workspace.read("output/small.html"));
    assert!(text.contains("We draw 200 digits; Table 1 has the result."), "{text}");
    assert!(text.contains("How well K-Means on raw pixels finds the digits."), "{text}");
}

#[test]
fn the_example_of_the_library_runs() {
    let workspace = Workspace::new("library-example");
    let lib = include_str!("../../src/lib.rs").replace("//! ", "").replace("//!\n", "\n");
    let code: String = block(&lib, "```", "```")
        .lines()
        .filter(|line| !line.starts_with("# "))
        .map(|line| format!("{line}\n"))
        .collect();
    workspace.write("example.md", format!("```rust\n{code}```\n"));
    let ran = workspace.report(&["build", "example.md"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(text_of(&workspace.read("output/example.html")).contains("AMI 0."));
}

//! The notebook that a newcomer builds, at a small sample size.

use crate::workspace::{Workspace, text_of};

#[test]
fn first_look_builds_from_real_images() {
    let workspace = Workspace::new("first-look");
    let notebook = concat!(env!("CARGO_MANIFEST_DIR"), "/notebooks/first-look.md");
    let ran = workspace.report(&["build", notebook, "-P", "samples=100"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let page = workspace.read("output/first-look.html");
    let text = text_of(&page);
    for part in ["MNIST", "Fashion-MNIST", "AMI", "Figure 1", "Table 1", "libtorch"] {
        assert!(text.contains(part), "{part} is not on the page");
    }
    assert!(page.contains("<svg") && page.contains("data:image/png"));
    assert!(page.len() < 500_000, "{} bytes", page.len());
}

//! `report datasets`, `report datasets verify`, `report embed --dataset` and notebooks, on a folder of datasets of its own.

use crate::workspace::{Ran, Workspace, program};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/datasets");

/// A workspace whose data folder has rows of fixtures.
fn workspace(name: &str) -> Workspace {
    let workspace = Workspace::new(name);
    let row = |name: &str, more: &str| format!("[[dataset]]\nname = '{name}'\nlicence = 'MIT'\n{more}\n");
    let folder = |tree: &str| format!("folders = ['{FIXTURES}/{tree}']\n");
    let table = "layout = 'table'\ntable = 'labels.csv'\nimage-column = 'path'\nlevels = ['species', 'site']\n";
    let rows = [
        row("damaged", &format!("layout = 'imagefolder'\nsamples = 300\n{}", folder("damaged"))),
        row("very-damaged", &format!("layout = 'imagefolder'\n{}", folder("very-damaged"))),
        row("birds", &format!("{table}{}", folder("table-csv"))),
    ];
    workspace.write("data/datasets.toml", rows.concat());
    workspace
}

fn report(workspace: &Workspace, arguments: &[&str]) -> Ran {
    let data = workspace.folder.join("data");
    let output = program().args(arguments).current_dir(&workspace.folder).env("REPORT_DATA_DIR", data).output();
    output.expect("the program starts").into()
}

#[test]
fn every_image_of_a_dataset_is_checked_and_bad_ones_are_told() {
    let workspace = workspace("datasets-verify");
    let ran = report(&workspace, &["datasets"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let line = |name: &str| ran.stdout.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned();
    assert!(line("  birds").contains("here: ") && line("  mnist").contains("missing (1.65 MB"), "{}", ran.stdout);

    let ran = report(&workspace, &["datasets", "verify", "damaged"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for part in ["damaged test: 300 images, 2 of 2 classes", "bad images: 2, of 3 allowed", "017.jpg: the JPEG file is"]
    {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    assert!(workspace.read("output/datasets/damaged.svg").contains("<svg"));

    let ran = report(&workspace, &["datasets", "verify", "very-damaged"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stdout);
    assert!(ran.stderr.contains("bad images: 2, of 0 allowed; too many: it is not loaded"), "{}", ran.stderr);
    assert_eq!(report(&workspace, &["datasets", "verify", "very-damaged", "--allow-bad", "10%"]).code, Some(0));
    let ran = report(&workspace, &["datasets", "verify", "dmaged"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("there is no dataset `dmaged`"), "{}", ran.stderr);
}

#[test]
fn datasets_of_ones_own_are_embedded_with_labels_of_any_kind() {
    let workspace = workspace("datasets-embed");
    let embed = ["embed", "--dataset", "birds", "--encoder", "none", "-o", "x.npy", "--save-labels", "y.npy"];
    for (level, classes) in [("species", 4), ("site", 3)] {
        let ran = report(&workspace, &[&embed[..], &["--level", level]].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(ran.stdout.contains(&format!("\"labels\": \"{level}\"")), "{}", ran.stdout);
        let labels = std::fs::read(workspace.folder.join("y.npy")).expect("labels");
        let labels: std::collections::BTreeSet<&[u8]> = labels[labels.len() - 9 * 4..].chunks_exact(4).collect();
        assert_eq!(labels.len(), classes, "{level}");
    }
    let ran = report(&workspace, &[&embed[..], &["--level", "colour"]].concat());
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("there are no labels `colour`; there are species, site"), "{}", ran.stderr);
    let ran = report(&workspace, &["embed", "--dataset", "very-damaged", "--encoder", "none", "-o", "x.npy"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("2 of 20 images are bad, more than the 0 that are allowed"), "{}", ran.stderr);
    let allowed = ["embed", "--dataset", "very-damaged", "--encoder", "none", "-o", "x.npy", "--allow-bad", "0.1"];
    let ran = report(&workspace, &allowed);
    assert!(ran.code == Some(0) && ran.stdout.contains("\"n_bad\": 2"), "{}{}", ran.stdout, ran.stderr);
}

/// Kept results are not shown for data that have come, gone or changed since.
#[test]
fn a_page_is_built_again_when_its_data_have_changed() {
    let workspace = workspace("datasets-changed");
    let rows = workspace.read("data/datasets.toml");
    let own = "[[dataset]]\nname = 'own'\nlayout = 'imagefolder'\nimages = 'images'\n";
    workspace.write("data/datasets.toml", rows + own);
    let cell = "```rust\nlet here = datasets::here()?;\ndatasets::load(\"own\").map(|own| own.len() + 100 * here.len()).ok()\n```\n";
    workspace.write("n.md", format!("---\ntitle: N\n---\n\n{cell}"));
    let build = || {
        let ran = report(&workspace, &["build", "n.md"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        (ran.stderr.contains("nothing to run"), workspace.read("output/n.html"))
    };
    let gif = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0;";
    assert!(build().1.contains("None"), "it is not here");
    assert!(build().0, "nothing has changed");
    workspace.write("data/own/images/a/1.gif", gif);
    assert!(build().1.contains("Some(401)"), "it has come");
    workspace.write("data/own/images/b/2.gif", gif);
    assert!(build().1.contains("Some(402)"), "it has another image");
    assert!(build().0, "nothing has changed");
    std::fs::remove_dir_all(workspace.folder.join("data/own")).expect("removed");
    assert!(build().1.contains("None"), "it is gone");
}

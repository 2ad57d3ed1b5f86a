//! `report encoders`, `report fetch encoders`, `report embed` and `report cache`, from a checkpoint to vectors.

use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};

use crate::workspace::{Ran, Workspace, program};

/// A row like those that come with the program, for a network that is small.
const OWN: &str = r#"
[[encoder]]
name = "mine"
title = "Mine"
architecture = "squeezenet1-1"
[encoder.weights.checkpoint]
url = "http://127.0.0.1:9/mine.pth"
sha256 = "00000000"
licence = "none"
home = "https://example.org/mine"
layout = { prefixes = ["net."], drop = ["classifier."] }
"#;

fn report(workspace: &Workspace, arguments: &[&str]) -> Ran {
    let mut command = program();
    command.current_dir(&workspace.folder).env("REPORT_ENCODERS", workspace.folder.join("encoders")).args(arguments);
    command.env("REPORT_CACHE_DIR", workspace.folder.join("kept"));
    command.output().expect("the program starts").into()
}

fn with_own_row(name: &str) -> Workspace {
    let workspace = Workspace::new(name);
    std::fs::create_dir(workspace.folder.join("encoders")).expect("a folder");
    workspace.write("encoders/encoders.toml", OWN);
    workspace
}

/// SqueezeNet 1.1 with weights that follow a rule.
fn checkpoint(path: &Path) {
    let mut tensors = vec![("net.features.0".to_owned(), vec![64, 3, 3, 3])];
    let mut channels = 64;
    for (number, inner, half) in [
        (3, 16, 64),
        (4, 16, 64),
        (6, 32, 128),
        (7, 32, 128),
        (9, 48, 192),
        (10, 48, 192),
        (11, 64, 256),
        (12, 64, 256),
    ] {
        tensors.push((format!("net.features.{number}.squeeze"), vec![inner, channels, 1, 1]));
        tensors.push((format!("net.features.{number}.expand1x1"), vec![half, inner, 1, 1]));
        tensors.push((format!("net.features.{number}.expand3x3"), vec![half, inner, 3, 3]));
        channels = 2 * half;
    }
    let mut all: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, shape) in tensors {
        let deviation = (2.0 / shape[1..].iter().product::<usize>() as f32).sqrt();
        let count = shape.iter().product::<usize>();
        let value = |at: usize| (((at * 7919 + name.len()) % 1000) as f32 / 500.0 - 1.0) * deviation * 1.7;
        all.push((format!("{name}.bias"), vec![shape[0]], vec![0; 4 * shape[0]]));
        all.push((format!("{name}.weight"), shape, (0..count).flat_map(|at| value(at).to_le_bytes()).collect()));
    }
    let views = all.iter().map(|(name, shape, bytes)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("as many bytes as the shape says"))
    });
    std::fs::write(path, serialize(views, None).expect("memory")).expect("written");
}

/// The shape that a `.npy` file says it has, and its numbers.
fn npy(path: &Path) -> (String, Vec<f32>) {
    let bytes = std::fs::read(path).expect("written");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(&bytes[10..10 + length]).into_owned();
    let shape = header.split("'shape': ").nth(1).and_then(|rest| rest.split_inclusive(')').next()).expect("a shape");
    let values = bytes[10 + length..].as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
    (shape.to_owned(), values)
}

#[test]
fn encoders_are_listed_with_what_is_missing() {
    let ran = report(&with_own_row("encoders-list"), &["encoders"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let line = |name: &str| {
        let found = ran.stdout.lines().find(|line| line.split_whitespace().next() == Some(name));
        found.unwrap_or_else(|| panic!("{name}: {}", ran.stdout)).to_owned()
    };
    assert_eq!(ran.stdout.lines().count(), 1 + 18 + 3 + 1 + 1, "{}", ran.stdout);
    for (name, parts) in [
        ("none", ["Raw image", "none are needed"]),
        ("random_vitb16", ["ViT-B/16", "drawn from a seed"]),
        ("mocov3_resnet50", ["2048", "missing (CC BY-NC 4.0)"]),
        ("ft_dino_vitb16", ["DINO ViT-B/16, fine-tuned", "never published"]),
        ("efficientnet_lite0", ["1280", "18.83 MB"]),
        ("mine", ["Mine SqueezeNet 1.1", "https://example.org/mine"]),
    ] {
        let line = line(name);
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
}

#[test]
fn a_checkpoint_becomes_vectors_and_is_kept() {
    let workspace = with_own_row("encoders-embed");
    checkpoint(&workspace.folder.join("mine.pth.safetensors"));
    let ran =
        report(&workspace, &["embed", "--dataset", "mnist", "--samples", "6", "--encoder", "mine", "-o", "x.npy"]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("not here; run `report fetch encoders mine`"), "{}", ran.stderr);

    let ran = report(&workspace, &["encoders", "import", "mine.pth.safetensors", "--as", "mine"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let embed = |to: &str| {
        let arguments = ["embed", "--dataset", "mnist", "--samples", "20", "--seed", "3", "--encoder", "mine"];
        let ran = report(&workspace, &[&arguments[..], &["-o", to, "--save-labels", "y.npy"]].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let answer: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert_eq!((&answer["n_samples"], &answer["n_features"]), (&20.into(), &512.into()), "{answer}");
        npy(&workspace.folder.join(to))
    };
    let (shape, values) = embed("x.npy");
    assert_eq!(shape, "(20, 512)");
    assert!(values.iter().all(|value| value.is_finite()) && values.iter().any(|value| *value != 0.0));
    assert_ne!(values[..512], values[512..1024]);
    assert_eq!(embed("again.npy").1, values, "what was kept");
    assert_eq!(npy(&workspace.folder.join("y.npy")).0, "(20,)");

    let ran = report(&workspace, &["cache"]);
    assert!(ran.stdout.contains("embeddings of SqueezeNet, blake3 ") && ran.stdout.contains("1 entries, of today"));
    let ran = report(&workspace, &["cache", "prune", "--older-than", "0", "--kind", "embeddings"]);
    assert!(ran.code == Some(0) && ran.stderr.starts_with("1 entries deleted"), "{}", ran.stderr);
    assert!(!report(&workspace, &["cache"]).stdout.contains("embeddings"));

    // The same images, preprocessed elsewhere: a grey image and its negative.
    let mut tensors =
        b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 224, 224), }".to_vec();
    tensors.resize(127, b' ');
    tensors.push(b'\n');
    for value in [0.5_f32, -0.5] {
        tensors.extend(value.to_le_bytes().repeat(3 * 224 * 224));
    }
    workspace.write("t.npy", &tensors);
    let ran =
        report(&workspace, &["embed", "--tensors", "t.npy", "--encoder", "mine", "--batch", "1", "-o", "t_out.npy"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let (shape, values) = npy(&workspace.folder.join("t_out.npy"));
    assert!(shape == "(2, 512)" && values[..512] != values[512..], "{shape}");
}

#[test]
fn image_files_become_vectors_with_their_labels_beside_them() {
    let workspace = with_own_row("encoders-images");
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/images");
    for (class, name) in [
        ("boats", "jpeg-grey-q60.jpg"),
        ("boats", "png-palette-alphas.png"),
        ("cats", "webp-q60.webp"),
        ("cats", "jpeg-cmyk-420.jpg"),
    ] {
        let bytes = std::fs::read(format!("{fixtures}/{name}")).expect("a fixture");
        workspace.write(&format!("photographs/{class}/{name}"), bytes);
    }
    let embed = ["embed", "--images", "photographs", "--encoder", "none", "-o"];
    let ran = report(&workspace, &[&embed[..], &["x.npz"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(
        (&answer["n_samples"], &answer["n_features"], &answer["precision"]),
        (&4.into(), &3072.into(), &"f32".into())
    );
    // What it wrote, other commands read: points and labels from one file.
    let score = ["score", "--truth", "x.npz", "--data", "x.npz", "--pred", "x.npz"];
    let ran = report(&workspace, &score);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(answer["adjusted_rand_score"], 1.0, "{answer}");
    assert!(answer["silhouette_score"].is_number(), "{answer}");
    let cluster = ["cluster", "x.npz", "--method", "kmeans", "--n-clusters", "2", "-o", "labels.npz"];
    let ran = report(&workspace, &cluster);
    assert!(
        ran.code == Some(2) && ran.stderr.contains("labels.npz: only embeddings go into an .npz file"),
        "{}",
        ran.stderr
    );

    // A bad file is named; the others' vectors are not lost, though raw pixels are never kept.
    workspace.write("photographs/cats/broken.jpg", b"\xff\xd8\xff\xe0 no more");
    let ran = report(&workspace, &[&embed[..], &["y.npz"]].concat());
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("cats/broken.jpg: the JPEG file is truncated"), "{}", ran.stderr);
    assert!(!workspace.folder.join("y.npz").exists());
    let ran = report(&workspace, &["embed", "--images", "nowhere", "--encoder", "none", "-o", "y.npz"]);
    assert!(ran.code == Some(3) && ran.stderr.contains("nowhere: cannot be read: No such file"), "{}", ran.stderr);
    workspace.write("empty/notes.txt", b"nothing");
    let ran = report(&workspace, &["embed", "--images", "empty", "--encoder", "none", "-o", "y.npz"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("empty: there are no image files"), "{}", ran.stderr);
}

#[test]
fn what_is_wrong_is_told_in_one_line() {
    let workspace = with_own_row("encoders-wrong");
    checkpoint(&workspace.folder.join("mine.pth"));
    let file = "mine.pth";
    for (arguments, code, said) in [
        (&["encoders", "import", file, "--as", "mime"][..], 2, "there is no encoder `mime`"),
        (&["encoders", "import", file, "--as", "random_resnet50"], 2, "has no file of weights"),
        (&["encoders", "import", file, "--as", "dino_resnet50"], 2, "not the weights of ResNet-50"),
        (&["fetch", "encoders", "ft_dino_resnet50"], 3, "never published"),
        (&["fetch", "encoders", "mine"], 3, "http://127.0.0.1:9/mine.pth: it cannot be reached"),
        (&["fetch", "encoders", "mine", "--from", "."], 3, "that of the published file begins with 00000000"),
        (&["fetch", "encoders", "vitb16", "--from", "."], 3, "vit_b_16-c867db91.pth: there is no such file"),
        (&["embed", "--encoder", "mine", "-o", "x.npy"], 2, "--dataset"),
        (&["embed", "--dataset", "mnits", "--encoder", "none", "-o", "x.npy"], 2, "there is no dataset `mnits`"),
        (&["embed", "--dataset", "mnist", "--encoder", "no", "-o", "x.npy"], 2, "there is no encoder `no`"),
        (
            &["embed", "--dataset", "mnist", "--encoder", "none", "-o", "x.npy", "--device", "cuda:9"],
            2,
            "--device = cuda:9",
        ),
        (&["embed", "--tensors", file, "--encoder", "none", "-o", "x.npy"], 2, "mine.pth"),
        (&["embed", "--dataset", "mnist", "--samples", "99999", "--encoder", "none", "-o", "x.npy"], 2, "n = 99999"),
        (&["cache", "prune", "--kind", "cells"], 3, "nothing of kind `cells`"),
    ] {
        let ran = report(&workspace, arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
}

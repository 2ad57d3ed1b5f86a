//! Small trees in every format, against what torchvision, the study's authors and scikit-learn read from them.
//! `tests/fixtures/datasets/make.py` wrote both.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::*;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/datasets");

/// A tree, the row that it is read by, the folder in it that is the dataset's, and the evaluated partition's name there.
const TREES: &[(&str, &str, &str, &str)] = &[
    ("imagenet", "imagenet", "", "val"),
    ("imagenet-official", "imagenet", "", "val"),
    ("imagenetv2", "imagenetv2", "", "test"),
    ("cifar10-python", "cifar10", "", "test"),
    ("cifar10-python3", "cifar10", "", "test"),
    ("cifar10-binary", "cifar10", "", "test"),
    ("cifar100-python", "cifar100", "", "test"),
    ("cifar100-binary", "cifar100", "", "test"),
    ("in9", "in9original", "", "val-original"),
    ("in9", "in9onlyfg", "", "val-only_fg"),
    ("in9", "in9nofg", "", "val-no_fg"),
    ("in9", "in9onlybgt", "", "val-only_bg_t"),
    ("in9", "in9mixedsame", "", "val-mixed_same"),
    ("in9", "in9mixedrand", "", "val-mixed_rand"),
    ("imagenet-r", "imagenet-r", "", "test"),
    ("imagenet-sketch", "imagenet-sketch", "", "test"),
    ("imagenet-o", "imagenet-o", "", "test"),
    ("lsun", "lsun", "", "val"),
    ("lsun-zip", "lsun", "", "val"),
    ("places365", "places365", "", "val"),
    ("aircraft", "aircraft", "", "test"),
    ("stanfordcars", "stanfordcars", "stanford_cars", "test"),
    ("stanfordcars-folders", "stanfordcars", "", "test"),
    ("flowers102", "flowers102", "flowers-102", "test"),
    ("bioscan1m", "bioscan1m", "", "test"),
    ("nabirds", "nabirds", "", "test"),
    ("inaturalist", "inaturalist", "", "val"),
    ("celeba", "celeba", "celeba", "test"),
    ("celeba-zip", "celeba", "celeba", "test"),
    ("utkface", "utkface", "", "test"),
    ("dtd", "dtd", "dtd", "test"),
    ("svhn", "svhn", "", "test"),
    ("svhn-v73", "svhn", "", "test"),
    ("mnist", "mnist", "MNIST/raw", "test"),
    ("mnist-gz", "mnist", "MNIST/raw", "test"),
];

/// Where a reference and the registry call a level differently.
const LEVELS: &[(&str, &str)] = &[
    ("full", "species"),
    ("rendition", "art"),
    ("tumormagnification", "tumour-magnification"),
    ("tumortype", "tumour"),
    ("slideid", "slide"),
];

/// Trees whose references have names of classes that are not in the files, or longer ones.
const OWN_NAMES: &[&str] = &["imagenet-official", "flowers102", "mnist", "mnist-gz", "imagenetv2", "lsun", "lsun-zip"];

fn expected() -> Value {
    let text = std::fs::read_to_string(format!("{FOLDER}/expected.json")).expect("expected values");
    serde_json::from_str(&text).expect("JSON")
}

/// The row of a dataset, for a tree that has not the published files nor their number.
fn row(name: &str, place: &str) -> Row {
    let mut row = registry::find(name).expect("a row");
    (row.samples, row.classes, row.all) = (None, None, None);
    row.folders = vec![place.to_owned()];
    row.files.iter_mut().for_each(|file| (file.bytes, file.sha256, file.md5) = (None, None, None));
    row
}

fn load_tree(tree: &str, name: &str, inner: &str, partition: Partition) -> Result<Dataset, DatasetError> {
    let place = PathBuf::from(FOLDER).join(tree).join(inner);
    load_from(&place, &row(name, &place.to_string_lossy()), &LoadOptions { partition, ..LoadOptions::default() })
}

#[test]
fn images_and_labels_are_the_references() {
    let expected = expected();
    let mut differences = Vec::new();
    for (tree, name, inner, partition) in TREES {
        let dataset =
            load_tree(tree, name, inner, Partition::Evaluated).unwrap_or_else(|error| panic!("{tree}: {error}"));
        compare(&expected, tree, partition, &dataset, &mut differences);
        let reference = reference(&expected, tree);
        if !reference["partitions"]["train"].is_null() && reference["partitions"]["train"]["count"] != 0 {
            let train = load_tree(tree, name, inner, Partition::Train);
            // The trees that are another's have no files for it.
            if let Ok(train) = train {
                compare(&expected, tree, "train", &train, &mut differences);
            } else {
                assert!(["svhn-v73", "cifar10-python3"].contains(tree), "{tree}: {}", train.expect_err("fails"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn reference<'json>(expected: &'json Value, tree: &str) -> &'json Value {
    let found = &expected["trees"][tree];
    match found["same_as"].as_str() {
        Some(other) => &expected["trees"][other],
        None => found,
    }
}

/// Images in their order, and the labels of every level, which may be numbered otherwise if they divide images alike.
fn compare(expected: &Value, tree: &str, partition: &str, dataset: &Dataset, differences: &mut Vec<String>) {
    let reference = &reference(expected, tree)["partitions"][partition];
    assert_eq!(Some(dataset.len() as u64), reference["count"].as_u64(), "{tree} {partition}");
    let images: Vec<&str> =
        reference["images"].as_array().expect("images").iter().map(|path| path.as_str().expect("a path")).collect();
    for (index, image) in images.iter().enumerate() {
        if let Some(path) = dataset.file(index) {
            let path = path.to_string_lossy().replace('\\', "/");
            let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
            assert_eq!(name(&path), name(image), "{tree} {partition} {index}: {path}");
        }
    }
    for (kind, channels) in [("rgb_sha256", 3), ("grey_sha256", 1)] {
        for (index, sum) in reference[kind].as_array().into_iter().flatten().enumerate() {
            let picture = dataset.image(index).expect("an image");
            assert_eq!(picture.channels, channels, "{tree} {index}");
            let found: String = Sha256::digest(&picture.pixels).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(Some(&found[..16]), sum.as_str(), "{tree} {partition} {index}");
        }
    }
    let levels = reference["levels"].as_object().expect("levels");
    assert!(!levels.is_empty());
    for (name, level) in levels {
        let ours = LEVELS.iter().find(|(theirs, _)| theirs == name).map_or(name.as_str(), |(_, ours)| ours);
        // The one level of most datasets has a name of its own here.
        let of_level = dataset.with_level(ours).unwrap_or_else(|_| {
            assert!(matches!(name.as_str(), "class" | "imagenet"), "{tree}: no level {name} in {:?}", dataset.levels());
            dataset.clone()
        });
        let theirs: Vec<i64> =
            level["labels"].as_array().expect("labels").iter().map(|label| label.as_i64().expect("a number")).collect();
        let (mut to, mut from) = (BTreeMap::new(), BTreeMap::new());
        for (index, (own, their)) in of_level.labels().iter().zip(&theirs).enumerate() {
            assert_eq!(to.entry(*own).or_insert(*their), their, "{tree} {partition} {name} {index}");
            assert_eq!(from.entry(*their).or_insert(*own), own, "{tree} {partition} {name} {index}");
            let class = level["classes"].get(usize::try_from(*their).unwrap_or(usize::MAX)).and_then(Value::as_str);
            if let Some(class) = class.filter(|_| !OWN_NAMES.contains(&tree)) {
                let own = of_level.class(index);
                if own != class {
                    differences.push(format!("{tree} {name}: {own:?} instead of {class:?}"));
                }
            }
        }
    }
}

/// Splits that the study's authors draw: the images in the order of scikit-learn's indices.
#[test]
fn splits_are_those_of_scikit_learn() {
    let expected = expected();
    for (tree, name, split, listed) in [
        ("eurosat", "eurosat", "eurosat", "all"),
        ("breakhis", "breakhis", "breakhis", "all"),
        ("imagenette", "imagenette", "imagenette-hold-out", "train"),
    ] {
        let images = expected["trees"][tree]["partitions"][listed]["images"].as_array().expect("images");
        for (partition, key) in [(Partition::Evaluated, "held_out"), (Partition::Train, "train")] {
            let dataset = load_tree(tree, name, "", partition).expect("loaded");
            let indices = expected["splits"][split][key].as_array().expect("indices");
            assert_eq!(dataset.len(), indices.len(), "{tree}");
            for (place, index) in indices.iter().enumerate() {
                let image = images[index.as_u64().expect("an index") as usize].as_str().expect("a path");
                let path = dataset.file(place).expect("a file");
                assert!(path.ends_with(image), "{tree} {place}: {} instead of {image}", path.display());
            }
        }
    }
    // From an archive, and with another number of images.
    let dataset = load_tree("eurosat-zip", "eurosat", "", Partition::Evaluated).expect_err("too few for a split");
    assert!(dataset.to_string().contains("3 test samples are fewer than the 10 classes"), "{dataset}");
}

#[test]
fn labels_of_breakhis_are_in_its_names() {
    let expected = expected();
    let reference = &expected["trees"]["breakhis"]["partitions"]["all"];
    let dataset = load_tree("breakhis", "breakhis", "", Partition::Evaluated).expect("loaded");
    let indices = expected["splits"]["breakhis"]["held_out"].as_array().expect("indices");
    for (theirs, ours) in [
        ("tumormagnification", "tumour-magnification"),
        ("tumortype", "tumour"),
        ("magnification", "magnification"),
        ("malignancy", "malignancy"),
    ] {
        let labels = reference["levels"][theirs]["labels"].as_array().expect("labels");
        let of_level = dataset.with_level(ours).expect("a level");
        for (place, index) in indices.iter().enumerate() {
            let label = labels[index.as_u64().expect("an index") as usize].as_i64();
            assert_eq!(Some(i64::from(of_level.labels()[place])), label, "{ours} {place}");
        }
    }
    assert_eq!(dataset.class(0).split(' ').count(), 2, "{}", dataset.class(0));
}

#[test]
fn tables_of_ones_own() {
    let mut differences = Vec::new();
    let expected = expected();
    let load = |tree: &str, more: &str| {
        let place = PathBuf::from(FOLDER).join(tree);
        let text = format!("[[dataset]]\nname = 'own'\nlayout = 'table'\nfolders = ['{}']\n{more}", place.display());
        let row = registry::parse(&text).expect("a row").remove(0);
        load_from(&place, &row, &LoadOptions::default()).unwrap_or_else(|error| panic!("{tree}: {error}"))
    };
    for (tree, table) in [("table-csv", "labels.csv"), ("table-tsv", "labels.tsv"), ("table-parquet", "labels.parquet")]
    {
        let dataset = load(tree, &format!("table = '{table}'\nimage-column = 'path'\nlevels = ['species', 'site']\n"));
        compare(&expected, tree, "test", &dataset, &mut differences);
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let tables = "table = ['data/test-00000-of-00002.parquet', 'data/test-00001-of-00002.parquet']\n";
    let dataset = load("parquet", &format!("{tables}image-column = 'image'\nlevels = ['label']\n"));
    let reference = &expected["trees"]["parquet"]["partitions"]["test"];
    assert_eq!(Some(dataset.len() as u64), reference["count"].as_u64());
    let labels = reference["levels"]["label"]["labels"].as_array().expect("labels");
    for (index, label) in labels.iter().enumerate() {
        assert_eq!(dataset.class(index), label.to_string());
        assert!(dataset.image(index).is_ok());
    }
}

#[test]
fn bad_images_are_left_out_up_to_a_share() {
    let expected = expected();
    let load = |tree: &str, allow_bad: f64| {
        let place = PathBuf::from(FOLDER).join(tree);
        let text = format!("[[dataset]]\nname = 'own'\nlayout = 'imagefolder'\nfolders = ['{}']\n", place.display());
        let row = registry::parse(&text).expect("a row").remove(0);
        load_from(&place, &row, &LoadOptions { allow_bad, ..LoadOptions::default() })
    };
    let dataset = load("damaged", 0.01).expect("2 of 300");
    let bad: Vec<String> =
        dataset.bad_images().iter().map(|bad| format!("{} {}", bad.path.display(), bad.problem)).collect();
    let reference = &expected["trees"]["damaged"]["partitions"]["test"];
    let unreadable = reference["unreadable"].as_array().expect("paths");
    assert_eq!((dataset.len(), bad.len()), (298, unreadable.len()));
    for (bad, path) in bad.iter().zip(unreadable) {
        assert!(bad.contains(path.as_str().expect("a path")), "{bad}");
    }
    // The labels of the others stay theirs.
    for index in 0..dataset.len() {
        let path = dataset.file(index).expect("a file");
        assert!(path.to_string_lossy().contains(dataset.class(index)), "{}", path.display());
    }
    let message = load("very-damaged", 0.01).expect_err("2 of 20").to_string();
    assert!(message.starts_with("own test: 2 of 20 images are bad, more than the 0 that are allowed: "), "{message}");
    assert_eq!(load("very-damaged", 0.1).expect("allowed").len(), 18);
}

/// The study leaves incomplete names out, and an age with one image has none to test.
#[test]
fn ages_of_utkface_that_are_alone_are_for_training() {
    let test = load_tree("utkface", "utkface", "", Partition::Evaluated).expect("loaded");
    let train = load_tree("utkface", "utkface", "", Partition::Train).expect("loaded");
    let ages = |dataset: &Dataset| dataset.labels().iter().copied().collect::<std::collections::BTreeSet<_>>();
    assert!(ages(&test).is_subset(&ages(&train)));
    assert_eq!(test.classes(), train.classes());
    assert_eq!(test.levels(), ["age", "gender", "race"]);
}

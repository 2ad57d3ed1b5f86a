//! Folders of class folders: torchvision's `ImageFolder`, and the datasets that lie so.

use std::collections::BTreeMap;

use super::{Listing, is_image, level_of_names, wrong};
use crate::datasets::formats::mat;
use crate::datasets::member::Member;
use crate::datasets::registry::{Partition, Row};
use crate::datasets::split::{TestSize, train_test_split};
use crate::datasets::tree::Tree;
use crate::datasets::{DatasetError, Level};

/// The partition that is taken out of the training images.
const HOLD_OUT: &str = "hold-out";

/// A folder of class folders, in the first of the row's folders that is there.
pub(super) fn image_folder(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    if row.partition == HOLD_OUT {
        return hold_out(tree, row, partition);
    }
    let folders = match partition {
        Partition::Evaluated => &row.images.0,
        Partition::Train if row.train.0.is_empty() => return Err(wrong(row, "it has no training partition")),
        Partition::Train => &row.train.0,
    };
    first_of(tree, row, folders)
}

fn first_of(tree: &Tree, row: &Row, folders: &[String]) -> Result<Listing, DatasetError> {
    let folders: Vec<&str> = if folders.is_empty() { vec!["."] } else { folders.iter().map(String::as_str).collect() };
    let folder = tree.first_folder(&folders)?.ok_or_else(|| tree.missing(&folders))?;
    of_folder(tree, folder, row.levels.first().map_or("class", String::as_str))
}

/// The image files in a folder: each subfolder with images is a class, in the order of their names, and its images are those
/// below it. A folder without subfolders is one class of its own name.
pub(in crate::datasets) fn of_folder(tree: &Tree, folder: &str, level: &str) -> Result<Listing, DatasetError> {
    let mut classes: BTreeMap<String, Vec<Member>> = BTreeMap::new();
    let mut alone = Vec::new();
    for (path, member) in tree.below(folder)? {
        if !is_image(&path) {
            continue;
        }
        match path.split_once('/') {
            Some((class, _)) => classes.entry(class.to_owned()).or_default().push(member),
            None => alone.push(member),
        }
    }
    if classes.is_empty() && !alone.is_empty() {
        let path = tree.path(folder);
        let name = path.file_name().unwrap_or_default();
        classes.insert(name.to_string_lossy().into_owned(), alone);
    }
    if classes.is_empty() {
        return Err(DatasetError::NoImages { path: tree.path(folder) });
    }
    let labels = classes.values().zip(0..).flat_map(|(files, label)| files.iter().map(move |_| label)).collect();
    let (classes, files): (Vec<String>, Vec<Vec<Member>>) = classes.into_iter().unzip();
    let files = files.into_iter().flatten().collect();
    Ok(Listing::of_files(files, Level { name: level.to_owned(), classes, labels }))
}

/// Of the training images, as many as the validation folder has; the training partition is the rest.
fn hold_out(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let (train, validation) = (first_of(tree, row, &row.train.0)?, first_of(tree, row, &row.images.0)?);
    check_all(row, &train)?;
    let labels = &train.levels[0].labels;
    // The authors compute a share of it, and scikit-learn a number again: in floating point it can be one more.
    let share = validation.levels[0].labels.len() as f64 / labels.len() as f64;
    divide(train, row, TestSize::Share(share), partition)
}

/// A stratified split with the seed 0.
pub(super) fn divide(all: Listing, row: &Row, size: TestSize, partition: Partition) -> Result<Listing, DatasetError> {
    check_all(row, &all)?;
    let split = train_test_split(&all.levels[0].labels, size, 0);
    let (train, test) = split.map_err(|source| DatasetError::Split { name: row.name.clone(), source })?;
    Ok(all.select(match partition {
        Partition::Evaluated => &test,
        Partition::Train => &train,
    }))
}

/// Whether there are as many images as a split is drawn from: with one image less, it would be another split, perhaps of
/// the same size.
pub(super) fn check_all(row: &Row, all: &Listing) -> Result<(), DatasetError> {
    let found = all.levels[0].labels.len();
    match row.all {
        Some(expected) if expected != found => Err(DatasetError::Count {
            name: row.name.clone(),
            partition: row.partition.clone(),
            what: "is drawn from",
            unit: "images",
            found,
            expected,
        }),
        _ => Ok(()),
    }
}

/// 15 % of the images, stratified.
pub(super) fn eurosat(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    divide(first_of(tree, row, &row.images.0)?, row, TestSize::Share(0.15), partition)
}

/// A folder of class folders, or the official archive of images with the labels of the development kit.
pub(super) fn imagenet(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    if partition == Partition::Train {
        return first_of(tree, row, &row.train.0);
    }
    let below = tree.below("val")?;
    if below.is_empty() {
        return Err(tree.missing(&["val", "ILSVRC2012_img_val.tar"]));
    }
    if below.iter().any(|(path, _)| path.contains('/')) {
        return of_folder(tree, "val", &row.levels[0]);
    }
    let folder = "ILSVRC2012_devkit_t12/data";
    let of_devkit = |error| match error {
        // What is missing is the archive that has it.
        DatasetError::NotThere { .. } => tree.missing(&["ILSVRC2012_devkit_t12.tar.gz"]),
        error => error,
    };
    let (path, bytes) = tree.read_first(&[&format!("{folder}/meta.mat"), "data/meta.mat"]).map_err(of_devkit)?;
    let wnids = wnids(&bytes).map_err(|source| DatasetError::Mat { path, source })?;
    let truth = "ILSVRC2012_validation_ground_truth.txt";
    let truth = tree.lines(&[&format!("{folder}/{truth}"), &format!("data/{truth}")])?;
    let images: Vec<(String, Member)> = below.into_iter().filter(|(path, _)| is_image(path)).collect();
    if truth.lines.len() != images.len() {
        let what = format!("it has {} labels for {} images", truth.lines.len(), images.len());
        return Err(DatasetError::Lengths { path: truth.path, what });
    }
    let mut labelled = Vec::with_capacity(images.len());
    for ((line, text), (_, member)) in truth.lines.iter().zip(images) {
        let wnid = text.trim().parse().ok().and_then(|id: i64| wnids.get(&id));
        let wnid = wnid.ok_or_else(|| truth.wrong(*line, format!("{text:?} is no ILSVRC2012_ID of meta.mat")))?;
        labelled.push((wnid.clone(), member));
    }
    // As if they lay in class folders, where torchvision puts them; it is a stable order.
    labelled.sort_by(|(left, _), (right, _)| left.cmp(right));
    let (names, members): (Vec<String>, Vec<Member>) = labelled.into_iter().unzip();
    Ok(Listing::of_files(members, level_of_names(&row.levels[0], &names)))
}

/// The WordNet ids of the classes, which are the leaves among the `synsets`, by their ILSVRC2012_ID.
fn wnids(bytes: &[u8]) -> Result<BTreeMap<i64, String>, mat::MatError> {
    let variables = mat::read(bytes)?;
    let synsets = mat::variable(&variables, "synsets")?;
    let (ids, names, children) =
        (synsets.field("ILSVRC2012_ID")?, synsets.field("WNID")?, synsets.field("num_children")?);
    let mut found = BTreeMap::new();
    for ((id, name), children) in ids.iter().zip(&names).zip(&children) {
        if children.whole_number()? == 0 {
            found.insert(id.whole_number()?, name.text()?.to_owned());
        }
    }
    Ok(found)
}

/// Class folders, with the form of art in front of each image's number.
pub(super) fn imagenet_r(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let mut listing = image_folder(tree, row, partition)?;
    let super::Listed::Members(members) = &listing.images else { return Ok(listing) };
    let art = |member: &Member| {
        let path = member.name();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.rsplit_once('_').map_or("unknown", |(art, _)| art).to_owned()
    };
    let names: Vec<String> = members.iter().map(art).collect();
    listing.levels.push(level_of_names("art", &names));
    Ok(listing)
}

/// Class folders whose names have a number and seven ranks, `00000_Animalia_Arthropoda_..._epithet`; a name of one rank
/// under two of another is one class, as in torchvision.
pub(super) fn inaturalist(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let folders = match partition {
        Partition::Evaluated => ["2021_valid", "val"],
        Partition::Train => ["2021_train", "train"],
    };
    let mut listing = first_of(tree, row, &folders.map(str::to_owned))?;
    let ranks = ["kingdom", "phylum", "class", "order", "family", "genus"];
    let mut parts = Vec::new();
    for class in &listing.levels[0].classes {
        let names: Vec<String> = class.split('_').map(str::to_owned).collect();
        if names.len() != ranks.len() + 2 {
            return Err(wrong(row, format!("the folder {class:?} should have a number and seven ranks in its name")));
        }
        parts.push(names);
    }
    for (at, rank) in ranks.iter().enumerate().rev() {
        let names: Vec<String> = parts.iter().map(|names| names[at + 1].clone()).collect();
        let of_classes = level_of_names(rank, &names);
        let labels = listing.levels[0].labels.iter().map(|label| of_classes.labels[*label as usize]).collect();
        listing.levels.push(Level { labels, ..of_classes });
    }
    Ok(listing)
}

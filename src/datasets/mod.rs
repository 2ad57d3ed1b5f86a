//! Labelled images under a name: `datasets::load("flowers102")`, and the study's other datasets.
//!
//! A dataset here is its evaluated partition, the one that is clustered; [`Dataset::train`] gives the other. Which datasets
//! there are, and which partition of each, is said by [`registry`]; files come from `report fetch datasets` or lie in the data
//! folder already, as torchvision or the dataset's authors put them there, in folders or in archives. Nothing here uses the
//! network, and nothing is unpacked but into the cache.
//!
//! The way from a name to images:
//!
//! 1. `registry` gives the row and the folder; `tree` sees folder and archives (`archive`) as one tree of files (`member`).
//! 2. `layouts` lists the images of a partition and their labels, without decoding anything; `formats` and `split` read what
//!    such lists are kept in. Files with a published checksum are compared with it (`verify`).
//! 3. `check` decodes every image once and remembers what it found; bad ones are left out, up to a share.
//! 4. [`Dataset`] decodes an image when it is needed.
//!
//! [`folder`] takes any folder of image files, and [`variants`] makes datasets from others.

mod archive;
mod check;
mod dataset;
mod describe;
mod error;
mod formats;
mod layouts;
mod member;
mod numpy;
pub mod registry;
mod sample;
mod split;
mod tree;
pub mod variants;
mod verify;

use std::collections::BTreeSet;
use std::path::Path;

pub use check::BadImage;
pub use dataset::Dataset;
use dataset::Level;
pub(crate) use dataset::most_bad;
pub use describe::{Statistics, here, sheet, statistics, statistics_table, table};
pub use error::DatasetError;
use layouts::{Listed, Listing};
pub use registry::Partition;
use registry::{Layout, RegistryError, Row};
pub use split::{SplitError, TestSize, train_test_split};
use tree::Tree;
use variants::{Masked, Variant};

use crate::fs;

/// How [`load_with`] loads.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadOptions {
    /// Which of its images: [`Partition::Evaluated`].
    pub partition: Partition,
    /// The kind of labels, one of the row's `levels`. `None`: the first, the study's.
    pub level: Option<String>,
    /// The share of the images that may be bad, which are left out then: 0.01.
    pub allow_bad: f64,
}

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        LoadOptions { partition: Partition::Evaluated, level: None, allow_bad: 0.01 }
    }
}

/// MNIST: 28 × 28 grey digits, 10,000 test and 60,000 training images, ten classes (LeCun et al. 1998).
///
/// # Errors
/// A file that is missing, damaged or cannot be read.
pub fn mnist() -> Result<Dataset, DatasetError> {
    load("mnist")
}

/// Fashion-MNIST: 28 × 28 grey clothes, 10,000 test and 60,000 training images, ten classes (Xiao et al. 2017).
///
/// # Errors
/// A file that is missing, damaged or cannot be read.
pub fn fashion_mnist() -> Result<Dataset, DatasetError> {
    load("fashion-mnist")
}

/// The evaluated partition of the dataset of this name, one of [`registry::rows`], with [`LoadOptions::default`].
///
/// Image files are all decoded once, when they are loaded for the first time; later loads only look whether they have
/// changed.
///
/// # Errors
/// An unknown name; files that are missing, damaged, not the published ones, or contradict each other; more than 1 % of
/// the images are bad; another number of images than the partition has.
pub fn load(name: &str) -> Result<Dataset, DatasetError> {
    load_with(name, &LoadOptions::default())
}

/// [`load`] with options.
///
/// # Errors
/// As [`load`]; there are no labels of that kind.
pub fn load_with(name: &str, options: &LoadOptions) -> Result<Dataset, DatasetError> {
    load_row(&registry::find(name)?, options)
}

fn load_row(row: &Row, options: &LoadOptions) -> Result<Dataset, DatasetError> {
    let data = registry::folder().ok_or(RegistryError::NoPlace)?;
    let dataset = load_from(&data, row, options)?;
    crate::cell::input(dataset.name(), &format!("blake3:{}", dataset.checksum()));
    Ok(dataset)
}

/// Loads from a data folder.
fn load_from(data: &Path, row: &Row, options: &LoadOptions) -> Result<Dataset, DatasetError> {
    let shown = row.partition_name(options.partition);
    let name = format!("{} {shown}", row.name);
    let listing = match row.layout {
        Layout::Variant => variant(data, row, options.partition)?,
        _ => list(data, row, options.partition)?,
    };
    let level = &listing.levels[0];
    let wrong = |unit, found, expected| {
        let (name, partition) = (row.name.clone(), shown.to_owned());
        DatasetError::Count { name, partition, what: "has", unit, found, expected }
    };
    let found = level.labels.len();
    match (options.partition, row.samples, row.classes) {
        _ if found == 0 => {
            return Err(DatasetError::Empty { name: row.name.clone(), partition: shown.to_owned() });
        }
        (Partition::Evaluated, Some(samples), _) if samples != found => return Err(wrong("images", found, samples)),
        (Partition::Evaluated, _, Some(classes)) if classes != present(level) => {
            return Err(wrong("classes", present(level), classes));
        }
        _ => {}
    }
    let dataset = Dataset::of(&name, listing, options.allow_bad)?.with_origin(row.clone(), options.clone());
    match &options.level {
        Some(level) => dataset.with_level(level),
        None => Ok(dataset),
    }
}

/// How many classes have an image.
fn present(level: &Level) -> usize {
    level.labels.iter().collect::<BTreeSet<_>>().len()
}

/// The images of a row that has files. What they are taken from is recorded, so that the next build looks at it again.
fn list(data: &Path, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let missing = || DatasetError::Missing { name: row.name.clone(), folder: row.place(data) };
    let tree = Tree::new(row.find(data).ok_or_else(missing)?, &row.files, partition);
    let mut listing = layouts::list(&tree, row, partition)?;
    for path in tree.seen() {
        crate::cell::input_at("stamp", &path, &fs::stamp(&path));
    }
    // A class that one partition lacks must not change the numbers of the others.
    if partition == Partition::Train
        && let Some(root) = row.find(data)
        && let Ok(evaluated) =
            layouts::list(&Tree::new(root, &row.files, Partition::Evaluated), row, Partition::Evaluated)
    {
        let levels = listing.levels.into_iter().zip(&evaluated.levels);
        listing.levels = levels.map(|(own, other)| own.numbered_as(other)).collect();
    }
    Ok(listing)
}

/// The images of a row that is made from another dataset.
fn variant(data: &Path, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let wrong = |what: String| DatasetError::Inconsistent { name: row.name.clone(), what };
    let of = row.of.as_deref().unwrap_or_default();
    let Some(variant) = Variant::ALL.into_iter().find(|variant| variant.name() == row.variant) else {
        let names: Vec<&str> = Variant::ALL.iter().map(|variant| variant.name()).collect();
        return Err(wrong(format!("there is no variant `{}`; there are {}", row.variant, names.join(", "))));
    };
    let original = list(data, &registry::find(of)?, partition)?;
    let Listed::Pixels { shape, pixels } = original.images else {
        return Err(wrong(format!("`{of}` has images of different sizes, of which no variant is made")));
    };
    let failed = |source| DatasetError::Variant { name: row.name.clone(), source };
    let (labels, classes) = (&original.levels[0].labels, original.levels[0].classes.len());
    let masks = variants::mask_of_black_background(&pixels, shape).map_err(failed)?;
    let images = Masked { pixels: &pixels, shape, masks: &masks, labels, classes };
    // Drawings and negatives are of the images themselves.
    let backgrounds = match variant {
        Variant::Sketch | Variant::Inverted => None,
        _ => Some(variants::textures(labels, classes, shape, row.seed).map_err(failed)?),
    };
    crate::cell::seed(&format!("variant {}", row.name), row.seed);
    let pixels = variants::render(&images, backgrounds.as_deref(), variant, row.seed).map_err(failed)?;
    Ok(Listing { images: Listed::Pixels { shape, pixels }, levels: original.levels })
}

/// The image files in a folder, labelled as torchvision's `ImageFolder` does it: each subfolder with images is a class, in
/// the order of their names, and its images are those below it. A folder without subfolders is one class.
///
/// Files are told by their names (`.jpg`, `.png` and others); images may have any size, and are decoded when they are
/// needed, as Pillow does it. The first time, all are decoded; those that cannot be are left out, up to 1 % of them.
///
/// # Errors
/// A folder or file that cannot be read; no image files; too many bad ones.
pub fn folder(path: impl AsRef<Path>) -> Result<Dataset, DatasetError> {
    let path = path.as_ref();
    // From before it is read: what changes meanwhile is seen by the next build.
    let stamp = fs::folder_stamp(path)?;
    let listing = layouts::of_folder(&Tree::new(path.to_owned(), &[], Partition::Evaluated), ".", "class")?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let dataset = Dataset::of(&name, listing, LoadOptions::default().allow_bad)?;
    crate::cell::input_at("stamp", path, &stamp);
    crate::cell::input(dataset.name(), &format!("blake3:{}", dataset.checksum()));
    Ok(dataset)
}

#[cfg(test)]
mod tests;

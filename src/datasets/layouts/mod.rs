//! How each dataset lies on disk: from its folder to its images and their labels. Nothing is decoded here.
//!
//! Every layout reads what the dataset's own distribution holds, or what torchvision makes of it, and gives the images in
//! torchvision's order. Labels count from 0, and mean the same in all partitions.

mod arrays;
mod bioscan;
mod folders;
mod lists;
mod lsun;
mod names;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use super::member::Member;
use super::registry::{Layout, Partition, Row};
use super::tree::Tree;
use super::{DatasetError, Level};

/// What the names of image files end in, in any case; what is in a file, the file itself says.
pub(super) const EXTENSIONS: &[&str] =
    &[".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"];

/// The images of a partition and their labels.
pub(super) struct Listing {
    pub images: Listed,
    /// One label an image in each; the first is the one that is evaluated.
    pub levels: Vec<Level>,
}

/// Images, as they lie.
pub(super) enum Listed {
    /// In memory: height, width, channels; one byte a value, channels fastest.
    Pixels { shape: [usize; 3], pixels: Vec<u8> },
    /// In files.
    Members(Vec<Member>),
}

impl Listing {
    /// Image files with one label each.
    fn of_files(members: Vec<Member>, level: Level) -> Listing {
        Listing { images: Listed::Members(members), levels: vec![level] }
    }

    /// Some of the images, in this order.
    fn select(self, indices: &[usize]) -> Listing {
        let images = match self.images {
            Listed::Members(members) => Listed::Members(indices.iter().map(|&index| members[index].clone()).collect()),
            Listed::Pixels { shape, pixels } => {
                let size = shape.iter().product();
                let chosen = indices.iter().flat_map(|&index| &pixels[index * size..][..size]);
                Listed::Pixels { shape, pixels: chosen.copied().collect() }
            }
        };
        let levels = self
            .levels
            .into_iter()
            .map(|level| Level { labels: indices.iter().map(|&index| level.labels[index]).collect(), ..level });
        Listing { images, levels: levels.collect() }
    }
}

/// The images of a partition.
///
/// # Errors
/// Files that are missing, damaged, or contradict each other.
pub(super) fn list(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let list = match row.layout {
        Layout::Aircraft => lists::aircraft,
        Layout::Bioscan1m => bioscan::list,
        Layout::BreakHis => names::breakhis,
        Layout::CelebA => lists::celeba,
        Layout::Cifar10 => arrays::cifar10,
        Layout::Cifar100 => arrays::cifar100,
        Layout::Dtd => lists::dtd,
        Layout::EuroSat => folders::eurosat,
        Layout::Flowers102 => lists::flowers102,
        Layout::INaturalist => folders::inaturalist,
        Layout::Idx => arrays::idx,
        Layout::ImageFolder => folders::image_folder,
        Layout::ImageNet => folders::imagenet,
        Layout::ImageNetR => folders::imagenet_r,
        Layout::Lsun => lsun::list,
        Layout::NaBirds => lists::nabirds,
        Layout::Places365 => lists::places365,
        Layout::StanfordCars => lists::stanford_cars,
        Layout::Svhn => arrays::svhn,
        Layout::Table => table::list,
        Layout::UtkFace => names::utkface,
        Layout::Variant => return Err(wrong(row, "a variant has no files of its own")),
    };
    list(tree, row, partition)
}

pub(super) use folders::of_folder;

fn wrong(row: &Row, what: impl Into<String>) -> DatasetError {
    DatasetError::Inconsistent { name: row.name.clone(), what: what.into() }
}

fn is_image(name: &str) -> bool {
    let name = name.to_lowercase();
    EXTENSIONS.iter().any(|extension| name.ends_with(extension))
}

/// A level whose classes are the different names, in the order of their bytes.
fn level_of_names(name: &str, names: &[impl AsRef<str>]) -> Level {
    let classes: BTreeSet<&str> = names.iter().map(AsRef::as_ref).collect();
    let numbers: BTreeMap<&str, i32> = classes.iter().copied().zip(0..).collect();
    Level {
        name: name.to_owned(),
        labels: names.iter().map(|name| numbers[name.as_ref()]).collect(),
        classes: classes.into_iter().map(str::to_owned).collect(),
    }
}

/// A level whose classes are the different numbers, in their order.
fn level_of_numbers(name: &str, numbers: &[i64]) -> Level {
    let classes: BTreeSet<i64> = numbers.iter().copied().collect();
    let places: BTreeMap<i64, i32> = classes.iter().copied().zip(0..).collect();
    Level {
        name: name.to_owned(),
        labels: numbers.iter().map(|number| places[number]).collect(),
        classes: classes.iter().map(i64::to_string).collect(),
    }
}

/// The place of each class among the names.
///
/// # Errors
/// Two classes of one name.
fn numbered(names: &[String], twice: impl FnOnce(&str) -> DatasetError) -> Result<BTreeMap<&str, i32>, DatasetError> {
    let mut numbers = BTreeMap::new();
    for (name, number) in names.iter().zip(0..) {
        if numbers.insert(name.as_str(), number).is_some() {
            return Err(twice(name));
        }
    }
    Ok(numbers)
}

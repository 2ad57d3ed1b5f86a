//! Datasets whose pixels lie in arrays: the MNIST family, CIFAR, SVHN.

use super::{Listed, Listing, wrong};
use crate::checkpoint::{Dictionary, Item};
use crate::datasets::formats::{idx, mat};
use crate::datasets::registry::{Partition, Row};
use crate::datasets::tree::Tree;
use crate::datasets::{DatasetError, Level};

/// Height, width and channels of CIFAR's and SVHN's images.
const SMALL: [usize; 3] = [32, 32, 3];

/// IDX files, gzipped or not.
pub(super) fn idx(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let prefix = if partition == Partition::Train { "train" } else { "t10k" };
    let read = |name: &str, axes| {
        let (path, bytes) = tree.read_first(&[name, &format!("{name}.gz")])?;
        idx::read(&bytes, axes).map_err(|source| DatasetError::Idx { path, source })
    };
    let images = read(&format!("{prefix}-images-idx3-ubyte"), 3)?;
    let labels = read(&format!("{prefix}-labels-idx1-ubyte"), 1)?;
    let &[_, height, width] = images.sizes.as_slice() else {
        return Err(wrong(row, "images need three axes"));
    };
    let labels: Vec<i64> = labels.values.into_iter().map(i64::from).collect();
    let level = level(row, &row.class_names, &labels, 0)?;
    Ok(Listing { images: Listed::Pixels { shape: [height, width, 1], pixels: images.values }, levels: vec![level] })
}

/// The labels of the first level, which begin with `base` in the file.
fn level(row: &Row, classes: &[String], labels: &[i64], base: i64) -> Result<Level, DatasetError> {
    let name = row.levels.first().map_or("class", String::as_str);
    of_classes(row, name, classes, labels, base)
}

fn of_classes(row: &Row, name: &str, classes: &[String], labels: &[i64], base: i64) -> Result<Level, DatasetError> {
    let label = |(index, label): (usize, &i64)| {
        let number = label.checked_sub(base).and_then(|label| usize::try_from(label).ok());
        match number.filter(|number| *number < classes.len()) {
            Some(number) => Ok(number as i32),
            None => {
                Err(wrong(row, format!("image {index} has the label {label}, but there are {} classes", classes.len())))
            }
        }
    };
    let labels = labels.iter().enumerate().map(label).collect::<Result<_, _>>()?;
    Ok(Level { name: name.to_owned(), classes: classes.to_vec(), labels })
}

pub(super) fn cifar10(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let batches: Vec<String> = match partition {
        Partition::Evaluated => vec!["test_batch".to_owned()],
        Partition::Train => (1..=5).map(|number| format!("data_batch_{number}")).collect(),
    };
    let files =
        Cifar { pickles: "cifar-10-batches-py", binaries: "cifar-10-batches-bin", levels: &[("labels", "class")] };
    let names = [("batches.meta", "label_names", "batches.meta.txt")];
    files.list(tree, row, &batches, &names)
}

pub(super) fn cifar100(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let batch = if partition == Partition::Train { "train" } else { "test" };
    let files = Cifar {
        pickles: "cifar-100-python",
        binaries: "cifar-100-binary",
        levels: &[("coarse_labels", "coarse"), ("fine_labels", "fine")],
    };
    let names = [
        ("meta", "coarse_label_names", "coarse_label_names.txt"),
        ("meta", "fine_label_names", "fine_label_names.txt"),
    ];
    let mut listing = files.list(tree, row, &[batch.to_owned()], &names)?;
    // On disk the coarse label comes first.
    listing.levels.reverse();
    Ok(listing)
}

/// Where CIFAR's files are, and which labels they have, in the order of the binary ones.
struct Cifar {
    pickles: &'static str,
    binaries: &'static str,
    levels: &'static [(&'static str, &'static str)],
}

impl Cifar {
    /// `names`, for each level: the pickle with the names of its classes, their key there, and the text file that has them.
    fn list(
        &self,
        tree: &Tree,
        row: &Row,
        batches: &[String],
        names: &[(&str, &str, &str)],
    ) -> Result<Listing, DatasetError> {
        let mut planes = Vec::new();
        let mut labels = vec![Vec::new(); self.levels.len()];
        let mut are_pickles = true;
        for batch in batches {
            let pickle = format!("{}/{batch}", self.pickles);
            are_pickles = tree.find(&pickle)?.is_some();
            match are_pickles {
                true => self.pickle(tree, row, &pickle, &mut planes, &mut labels)?,
                false => self.binary(tree, row, batch, &mut planes, &mut labels)?,
            }
        }
        let mut levels = Vec::new();
        for ((labels, (_, level)), (pickle, key, text)) in labels.iter().zip(self.levels).zip(names) {
            let classes = match are_pickles {
                true => {
                    let path = format!("{}/{pickle}", self.pickles);
                    texts(row, &path, &dictionary(tree, &path)?, key)?
                }
                false => {
                    let lines = tree.lines(&[&format!("{}/{text}", self.binaries)])?;
                    lines.lines.into_iter().map(|(_, name)| name.trim().to_owned()).collect()
                }
            };
            levels.push(of_classes(row, level, &classes, labels, 0)?);
        }
        Ok(Listing { images: Listed::Pixels { shape: SMALL, pixels: interleaved(&planes) }, levels })
    }

    fn pickle(
        &self,
        tree: &Tree,
        row: &Row,
        path: &str,
        planes: &mut Vec<u8>,
        labels: &mut [Vec<i64>],
    ) -> Result<(), DatasetError> {
        let batch = dictionary(tree, path)?;
        let size: usize = SMALL.iter().product();
        let images = match batch.get("data") {
            Some(Item::Bytes { shape, values }) if shape.len() == 2 && shape[1] == size => {
                planes.extend(values);
                shape[0]
            }
            _ => return Err(wrong(row, format!("{path} has no array `data` of n x {size} bytes"))),
        };
        for (labels, (key, _)) in labels.iter_mut().zip(self.levels) {
            match batch.get(*key) {
                Some(Item::Numbers(numbers)) if numbers.len() == images => labels.extend(numbers),
                Some(Item::Numbers(numbers)) => {
                    return Err(wrong(row, format!("{path} has {} `{key}` for {images} images", numbers.len())));
                }
                _ => return Err(wrong(row, format!("{path} has no list of numbers `{key}`"))),
            }
        }
        Ok(())
    }

    fn binary(
        &self,
        tree: &Tree,
        row: &Row,
        batch: &str,
        planes: &mut Vec<u8>,
        labels: &mut [Vec<i64>],
    ) -> Result<(), DatasetError> {
        let (path, bytes) = tree.read_first(&[&format!("{}/{batch}.bin", self.binaries)])?;
        let record = self.levels.len() + SMALL.iter().product::<usize>();
        if bytes.len() % record != 0 {
            let what = format!("{}: {} bytes are no whole number of images of {record}", path.display(), bytes.len());
            return Err(wrong(row, what));
        }
        for record in bytes.chunks_exact(record) {
            let (own, pixels) = record.split_at(self.levels.len());
            labels.iter_mut().zip(own).for_each(|(labels, label)| labels.push(i64::from(*label)));
            planes.extend(pixels);
        }
        Ok(())
    }
}

fn dictionary(tree: &Tree, path: &str) -> Result<Dictionary, DatasetError> {
    let (path, bytes) = tree.read_first(&[path])?;
    Ok(crate::checkpoint::dictionary(&path, bytes)?)
}

fn texts(row: &Row, path: &str, dictionary: &Dictionary, key: &str) -> Result<Vec<String>, DatasetError> {
    match dictionary.get(key) {
        Some(Item::Texts(texts)) => Ok(texts.clone()),
        _ => Err(wrong(row, format!("{path} has no list of names `{key}`"))),
    }
}

/// All red values of an image, all green, all blue: to one pixel after the other.
fn interleaved(planes: &[u8]) -> Vec<u8> {
    let [height, width, channels] = SMALL;
    let plane = height * width;
    let image = |image: &[u8]| -> Vec<u8> {
        (0..plane)
            .flat_map(|at| (0..channels).map(move |channel| (at, channel)))
            .map(|(at, channel)| image[channel * plane + at])
            .collect()
    };
    planes.chunks_exact(plane * channels).flat_map(image).collect()
}

/// MATLAB's `X`, 32 x 32 x 3 x n with the first axis fastest, and `y` from 1 to 10, where 10 is the digit 0.
pub(super) fn svhn(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let name = if partition == Partition::Train { "train_32x32.mat" } else { "test_32x32.mat" };
    let (path, bytes) = tree.read_first(&[name])?;
    let failed = |source| DatasetError::Mat { path: path.clone(), source };
    let variables = mat::read(&bytes).map_err(failed)?;
    let (sizes, values) = mat::variable(&variables, "X").and_then(|x| x.bytes()).map_err(failed)?;
    let digits = mat::variable(&variables, "y").and_then(|y| y.whole_numbers()).map_err(failed)?;
    // One image alone may have lost its last axis.
    let images = match *sizes {
        [32, 32, 3] => 1,
        [32, 32, 3, images] => images,
        _ => return Err(wrong(row, format!("{name}: X is {sizes:?} instead of 32 x 32 x 3 x n"))),
    };
    if digits.len() != images {
        return Err(wrong(row, format!("{name}: {} labels for {images} images", digits.len())));
    }
    let [height, width, channels] = SMALL;
    let mut pixels = vec![0; values.len()];
    let size = height * width * channels;
    for (to, from) in pixels.chunks_exact_mut(size).zip(values.chunks_exact(size)) {
        for (at, value) in to.iter_mut().enumerate() {
            let (y, x, channel) = (at / (width * channels), at / channels % width, at % channels);
            *value = from[(channel * width + x) * height + y];
        }
    }
    let digits: Vec<i64> = digits.into_iter().map(|digit| if digit == 10 { 0 } else { digit }).collect();
    let level = level(row, &row.class_names, &digits, 0)?;
    Ok(Listing { images: Listed::Pixels { shape: SMALL, pixels }, levels: vec![level] })
}

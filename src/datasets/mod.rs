//! Labelled images under a name: `datasets::mnist()`, `datasets::fashion_mnist()`.
//!
//! A dataset here is its *test* partition, the one that is clustered; [`Dataset::train`] gives the other. Files come from
//! `report fetch datasets`; nothing here uses the network. Every file is checked against its SHA-256 before use, and
//! remembered by path, size and time, so that the next load does not have to. [`folder`] takes image files of any sizes.

mod files;
pub mod idx;
pub mod registry;

mod sample;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use crate::cache::{Cache, Entry};
use crate::channel::DATA_DIR;
use crate::fs::{self, FsError};
use crate::picture::{DecodeError, Picture};
use crate::progress::Cancelled;
pub use files::folder;
use idx::IdxError;

/// What can go wrong with a dataset.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// There is no dataset of this name.
    #[error("there is no dataset `{name}`; there are {}", known())]
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// A file is not in the data folder.
    #[error("{path}: there is no such file; run `report fetch datasets {name}`")]
    Missing {
        /// The dataset.
        name: String,
        /// The missing file.
        path: PathBuf,
    },
    /// No variable says where the data are.
    #[error("there is no place for datasets: set one of {DATA_DIR}, XDG_CACHE_HOME and HOME")]
    NoPlace,
    /// A file cannot be read.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// A file is not the published one.
    #[error("{path}: its SHA-256 is {found} instead of {expected}; delete it and run `report fetch datasets {name}`")]
    Checksum {
        /// The dataset.
        name: String,
        /// The file.
        path: PathBuf,
        /// Its SHA-256.
        found: String,
        /// The published one.
        expected: String,
    },
    /// A file is not in the format.
    #[error("{path}: {source}")]
    Idx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: IdxError,
    },
    /// An image file is none, or none that can be read.
    #[error("{path}: {source}")]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// A folder without image files.
    #[error("{path}: there are no image files in this folder ({})", files::EXTENSIONS.join(", "))]
    NoImages {
        /// The folder.
        path: PathBuf,
    },
    /// An image file is not what it was when the dataset was loaded.
    #[error("{path}: the file has changed since the dataset was loaded; load it again")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The computation was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// Images and labels do not fit together.
    #[error("{name}: {what}")]
    Inconsistent {
        /// The dataset.
        name: String,
        /// What does not fit.
        what: String,
    },
    /// A sample that is larger than the dataset.
    #[error("n = {n}: the {name} has only {samples} images")]
    TooMany {
        /// The dataset.
        name: String,
        /// Images asked for.
        n: usize,
        /// Images there are.
        samples: usize,
    },
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

/// The test partition of the dataset of this name, one of [`registry::DATASETS`].
///
/// # Errors
/// An unknown name; a file that is missing, damaged or cannot be read.
pub fn load(name: &str) -> Result<Dataset, DatasetError> {
    let row = registry::find(name).ok_or_else(|| DatasetError::Unknown { name: name.to_owned() })?;
    load_partition(row, "test")
}

fn load_partition(row: &'static registry::Dataset, partition: &str) -> Result<Dataset, DatasetError> {
    let prefix = if partition == "test" { "t10k" } else { "train" };
    let folder = data_folder()?.join(row.name);
    let images = read_file(row, &folder, &format!("{prefix}-images-"), 3)?;
    let labels = read_file(row, &folder, &format!("{prefix}-labels-"), 1)?;
    let &[count, height, width] = images.sizes.as_slice() else {
        return Err(inconsistent(row, "images need three axes".to_owned()));
    };
    if (height, width) != (row.side, row.side) {
        return Err(inconsistent(row, format!("images of {height} x {width} instead of {0} x {0}", row.side)));
    }
    let dataset = Dataset::from_pixels(
        &format!("{} {partition}", row.name),
        [count, height, width, row.channels],
        images.values,
        labels.values.into_iter().map(i32::from).collect(),
        row.classes.iter().map(|class| (*class).to_owned()).collect(),
    )?;
    crate::cell::input(dataset.name(), &format!("blake3:{}", dataset.checksum()));
    Ok(Dataset { origin: Some(row), ..dataset })
}

/// Images with a label each. Cheap to clone: what is large is shared.
#[derive(Clone)]
pub struct Dataset {
    name: String,
    /// Where the partitions can be had; nothing for a dataset made from pixels.
    origin: Option<&'static registry::Dataset>,
    /// Beside a training partition, the test partition.
    test: Option<Arc<Dataset>>,
    images: Images,
    /// The numbers of the images that are in it.
    chosen: Arc<Vec<usize>>,
    labels: Vec<i32>,
    classes: Vec<String>,
    checksum: String,
}

/// Where the images are.
#[derive(Clone)]
enum Images {
    /// In memory, one after the other.
    Pixels { height: usize, width: usize, channels: usize, pixels: Arc<Vec<u8>> },
    /// In files, which are decoded when an image is needed.
    Files(Arc<Vec<files::File>>),
}

impl Dataset {
    /// Takes images that come from elsewhere.
    ///
    /// `shape`: images, height, width, channels (1 grey, 3 red, green, blue). `pixels`: one byte a value, channels fastest.
    /// `labels`: one an image, from 0, below the number of `classes`.
    ///
    /// # Errors
    /// Sizes that do not fit together; a size of zero; a label without a class.
    pub fn from_pixels(
        name: &str,
        shape: [usize; 4],
        pixels: Vec<u8>,
        labels: Vec<i32>,
        classes: Vec<String>,
    ) -> Result<Dataset, DatasetError> {
        let wrong = |what: String| DatasetError::Inconsistent { name: name.to_owned(), what };
        let [count, height, width, channels] = shape;
        if height == 0 || width == 0 || !matches!(channels, 1 | 3) {
            return Err(wrong(format!("images of {height} x {width} pixels and {channels} channels")));
        }
        let values = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        if values != Some(pixels.len()) {
            return Err(wrong(format!("{} bytes of pixels for the shape {shape:?}", pixels.len())));
        }
        if labels.len() != count {
            return Err(wrong(format!("{} labels for {count} images", labels.len())));
        }
        let is_class = |label: i32| usize::try_from(label).is_ok_and(|label| label < classes.len());
        if let Some(at) = labels.iter().position(|label| !is_class(*label)) {
            return Err(wrong(format!(
                "image {at} has the label {}, but there are {} classes",
                labels[at],
                classes.len()
            )));
        }
        let images = Images::Pixels { height, width, channels, pixels: Arc::new(pixels) };
        Ok(Dataset::of(name, images, labels, classes))
    }

    fn of(name: &str, images: Images, labels: Vec<i32>, classes: Vec<String>) -> Dataset {
        let mut dataset = Dataset {
            name: name.to_owned(),
            origin: None,
            test: None,
            images,
            chosen: Arc::new((0..labels.len()).collect()),
            labels,
            classes,
            checksum: String::new(),
        };
        dataset.checksum = dataset.compute_checksum();
        dataset
    }

    /// Its name with the partition, such as `mnist test`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image at all.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Height, width and channels of every image, 1 for grey, 3 for red, green and blue; none for image files, of which
    /// each may have a size of its own.
    pub fn shape(&self) -> Option<[usize; 3]> {
        match self.images {
            Images::Pixels { height, width, channels, .. } => Some([height, width, channels]),
            Images::Files(_) => None,
        }
    }

    /// The label of each image, from 0; [`Dataset::classes`] says what they mean.
    pub fn labels(&self) -> &[i32] {
        &self.labels
    }

    /// What the labels mean, in their order.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The meaning of the label of image `index`.
    ///
    /// # Panics
    /// As indexing a slice: `index` must be below [`Dataset::len`].
    pub fn class(&self, index: usize) -> &str {
        &self.classes[self.labels[index] as usize]
    }

    /// Image `index`, counted from 0. An image file is read and decoded.
    ///
    /// # Errors
    /// A file that cannot be read, is no image, or has changed since the dataset was loaded.
    ///
    /// # Panics
    /// As indexing a slice: `index` must be below [`Dataset::len`].
    pub fn image(&self, index: usize) -> Result<Picture<'_>, DatasetError> {
        match &self.images {
            Images::Pixels { height, width, channels, .. } => {
                Ok((self.content(index), *width, *height, *channels).into())
            }
            Images::Files(files) => files[self.chosen[index]].picture(),
        }
    }

    /// What tells image `index` from others: its pixels, or the BLAKE3 of its file.
    pub(crate) fn content(&self, index: usize) -> &[u8] {
        match &self.images {
            Images::Pixels { height, width, channels, pixels } => {
                let size = height * width * channels;
                &pixels[self.chosen[index] * size..][..size]
            }
            Images::Files(files) => files[self.chosen[index]].sum.as_bytes(),
        }
    }

    /// BLAKE3 of shape, pixels (or files) and labels, in hexadecimal: the same for the same content, whatever its name.
    pub fn checksum(&self) -> &str {
        &self.checksum
    }

    /// The test partition: of a training partition the one beside it; every other dataset is its own.
    pub fn test(&self) -> Dataset {
        self.test.as_deref().unwrap_or(self).clone()
    }

    /// The training partition of the same dataset, whole. Reads it from disk.
    ///
    /// # Errors
    /// As [`load`]; a dataset that was made from pixels or files has no partitions.
    pub fn train(&self) -> Result<Dataset, DatasetError> {
        let Some(row) = self.origin else {
            let what = "it was made from pixels or files and has no training partition".to_owned();
            return Err(DatasetError::Inconsistent { name: self.name.clone(), what });
        };
        Ok(Dataset { test: Some(Arc::new(self.test())), ..load_partition(row, "train")? })
    }

    /// The first `n` images, or all if there are fewer.
    pub fn take(&self, n: usize) -> Dataset {
        self.select((0..n.min(self.len())).collect())
    }

    /// `n` images drawn without replacement, stratified: each class keeps its share, to within one image.
    ///
    /// The images keep their order. The same seed draws the same images on every machine. O(len).
    ///
    /// # Errors
    /// `n` is larger than the dataset.
    pub fn sample(&self, n: usize, seed: u64) -> Result<Dataset, DatasetError> {
        if n > self.len() {
            return Err(DatasetError::TooMany { name: self.name.clone(), n, samples: self.len() });
        }
        crate::cell::seed(&format!("sample {}", self.name), seed);
        Ok(self.select(sample::stratified(&self.labels, n, seed)))
    }

    fn select(&self, indices: Vec<usize>) -> Dataset {
        let mut dataset = Dataset {
            chosen: Arc::new(indices.iter().map(|&index| self.chosen[index]).collect()),
            labels: indices.iter().map(|&index| self.labels[index]).collect(),
            ..self.clone()
        };
        dataset.checksum = dataset.compute_checksum();
        dataset
    }

    fn compute_checksum(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let [height, width, channels] = self.shape().unwrap_or_default();
        for size in [self.len(), height, width, channels] {
            hasher.update(&(size as u64).to_le_bytes());
        }
        (0..self.len()).for_each(|index| {
            hasher.update(self.content(index));
        });
        for label in &self.labels {
            hasher.update(&label.to_le_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// Name and sizes: a cell that ends in a dataset must not print its pixels.
impl fmt::Debug for Dataset {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let (name, count, classes) = (&self.name, self.len(), self.classes.len());
        match self.shape() {
            Some([height, width, channels]) => write!(
                formatter,
                "Dataset {{ {name}: {count} images of {height} x {width} x {channels}, {classes} classes }}"
            ),
            None => write!(formatter, "Dataset {{ {name}: {count} image files, {classes} classes }}"),
        }
    }
}

/// The folder of datasets: `REPORT_DATA_DIR`, else in the user's cache.
fn data_folder() -> Result<PathBuf, DatasetError> {
    match std::env::var_os(DATA_DIR).filter(|folder| !folder.is_empty()) {
        Some(folder) => Ok(folder.into()),
        None => Ok(fs::user_folder().ok_or(DatasetError::NoPlace)?.join("datasets")),
    }
}

/// Reads the one file of a dataset whose name begins with `prefix`.
fn read_file(row: &registry::Dataset, folder: &Path, prefix: &str, axes: usize) -> Result<idx::Array, DatasetError> {
    let file = row.files.iter().find(|file| file.name.starts_with(prefix));
    let file = file.ok_or_else(|| inconsistent(row, format!("it has no file {prefix}*")))?;
    let path = folder.join(file.name);
    let Some(bytes) = fs::read_if_there(&path)? else {
        return Err(DatasetError::Missing { name: row.name.to_owned(), path });
    };
    verify(row, file, &path)?;
    idx::read(&bytes, axes).map_err(|source| DatasetError::Idx { path, source })
}

/// Checks the SHA-256 of a file, unless that was done before and size and time are still the same.
fn verify(row: &registry::Dataset, file: &registry::File, path: &Path) -> Result<(), DatasetError> {
    let modified = std::fs::metadata(path).and_then(|meta| Ok((meta.len(), meta.modified()?))).ok();
    let stamp = modified.map(|(length, time)| (length, time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()));
    let key = format!("sha256 {}\n{}\n{stamp:?}", file.sha256, path.display());
    // A cache that cannot be used costs time, not correctness.
    let entry = Cache::of_environment().and_then(|cache| cache.entry("verified", &key)).ok();
    if let (Some(Entry::Hit(_)), Some(_)) = (&entry, stamp) {
        return Ok(());
    }
    let found = fs::sha256_file(path)?;
    if found != file.sha256 {
        let (name, expected) = (row.name.to_owned(), file.sha256.to_owned());
        return Err(DatasetError::Checksum { name, path: path.to_owned(), found, expected });
    }
    if let Some(Entry::Miss(slot)) = entry {
        let _ = slot.store(&[]);
    }
    Ok(())
}

fn inconsistent(row: &registry::Dataset, what: String) -> DatasetError {
    DatasetError::Inconsistent { name: row.name.to_owned(), what }
}

fn known() -> String {
    registry::DATASETS.iter().map(|dataset| format!("`{}`", dataset.name)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;

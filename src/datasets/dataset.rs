//! Labelled images, in memory or in files.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::check::{self, BadImage, Found};
use super::layouts::{Listed, Listing};
use super::member::Member;
use super::registry::{Partition, Row};
use super::{DatasetError, LoadOptions, sample};
use crate::picture::{self, Picture};

/// Images with a label each. Cheap to clone: what is large is shared.
#[derive(Clone)]
pub struct Dataset {
    name: String,
    /// Where the partitions can be had; nothing for a dataset made from pixels or a folder.
    origin: Option<Arc<(Row, LoadOptions)>>,
    /// Beside a training partition, the test partition.
    test: Option<Arc<Dataset>>,
    images: Images,
    /// The numbers of the images that are in it.
    chosen: Arc<Vec<usize>>,
    /// For each level, one label for every image, chosen or not.
    levels: Arc<Vec<Level>>,
    /// The number of the level that [`Dataset::labels`] are of.
    level: usize,
    labels: Vec<i32>,
    bad: Arc<Vec<BadImage>>,
    checksum: String,
}

/// One kind of label.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Level {
    pub name: String,
    pub classes: Vec<String>,
    pub labels: Vec<i32>,
}

impl Level {
    /// The same labels with the numbers that another partition gives the classes; classes that it lacks come after its own.
    pub fn numbered_as(self, other: &Level) -> Level {
        let mut classes = other.classes.clone();
        let mut numbers: BTreeMap<String, i32> = classes.iter().cloned().zip(0..).collect();
        let number = |class: String| {
            let next = numbers.len() as i32;
            let number = *numbers.entry(class.clone()).or_insert(next);
            if number == next {
                classes.push(class);
            }
            number
        };
        let of_class: Vec<i32> = self.classes.into_iter().map(number).collect();
        let labels = self.labels.iter().map(|label| of_class[*label as usize]).collect();
        Level { name: self.name, classes, labels }
    }
}

/// The number of bad images among `count` that a share allows.
pub(crate) fn most_bad(count: usize, allowed: f64) -> usize {
    // A hair more, since 0.29 times 100 is less than 29 in floating point.
    (count as f64 * allowed + 1e-6) as usize
}

/// Where the images are.
#[derive(Clone)]
enum Images {
    /// In memory, one after the other.
    Pixels { height: usize, width: usize, channels: usize, pixels: Arc<Vec<u8>> },
    /// In files, which are decoded when an image is needed.
    Files(Arc<Vec<File>>),
}

/// An image file, and the BLAKE3 of its bytes.
#[derive(Debug)]
struct File {
    member: Member,
    sum: blake3::Hash,
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
        let [count, height, width, channels] = shape;
        if labels.len() != count {
            let what = format!("{} labels for {count} images", labels.len());
            return Err(DatasetError::Inconsistent { name: name.to_owned(), what });
        }
        let images = Listed::Pixels { shape: [height, width, channels], pixels };
        let levels = vec![Level { name: "class".to_owned(), classes, labels }];
        Dataset::of(name, Listing { images, levels }, 0.0)
    }

    /// Checks that images and labels fit together, and that no more than the share `allowed` of image files is bad, which
    /// are left out.
    pub(super) fn of(name: &str, listing: Listing, allowed: f64) -> Result<Dataset, DatasetError> {
        let wrong = |what: String| DatasetError::Inconsistent { name: name.to_owned(), what };
        let (images, count, bad) = match listing.images {
            Listed::Pixels { shape: [height, width, channels], pixels } => {
                if height == 0 || width == 0 || !matches!(channels, 1 | 3) {
                    return Err(wrong(format!("images of {height} x {width} pixels and {channels} channels")));
                }
                let count = listing.levels[0].labels.len();
                let shape = [count, height, width, channels];
                let values = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
                if values != Some(pixels.len()) {
                    return Err(wrong(format!("{} bytes of pixels for the shape {shape:?}", pixels.len())));
                }
                (Images::Pixels { height, width, channels, pixels: Arc::new(pixels) }, count, Vec::new())
            }
            Listed::Members(members) => {
                let (files, bad) = files(name, members, allowed)?;
                let count = files.len() + bad.len();
                (Images::Files(Arc::new(files)), count, bad)
            }
        };
        let mut levels = listing.levels;
        for level in &mut levels {
            if level.labels.len() != count {
                return Err(wrong(format!("{} labels for {count} images", level.labels.len())));
            }
            let is_class = |label: i32| usize::try_from(label).is_ok_and(|label| label < level.classes.len());
            if let Some(at) = level.labels.iter().position(|label| !is_class(*label)) {
                let (label, classes) = (level.labels[at], level.classes.len());
                return Err(wrong(format!("image {at} has the label {label}, but there are {classes} classes")));
            }
            let mut bad = bad.iter().map(|bad| bad.index).peekable();
            let mut index = 0..;
            level.labels.retain(|_| bad.next_if_eq(&index.next().unwrap_or_default()).is_none());
        }
        let chosen = Arc::new((0..count - bad.len()).collect());
        let (levels, bad) = (Arc::new(levels), Arc::new(bad));
        let (origin, test, labels, checksum) = (None, None, Vec::new(), String::new());
        let name = name.to_owned();
        let dataset = Dataset { name, origin, test, images, chosen, levels, level: 0, labels, bad, checksum };
        Ok(dataset.labelled())
    }

    /// Remembers where it comes from.
    pub(super) fn with_origin(self, row: Row, options: LoadOptions) -> Dataset {
        Dataset { origin: Some(Arc::new((row, options))), ..self }
    }

    /// With the labels and the checksum of what is chosen.
    fn labelled(self) -> Dataset {
        let all = &self.levels[self.level].labels;
        let labels = self.chosen.iter().map(|&index| all[index]).collect();
        let mut dataset = Dataset { labels, ..self };
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

    /// What the labels mean, in their order. A partition need not have images of all of them.
    pub fn classes(&self) -> &[String] {
        &self.levels[self.level].classes
    }

    /// The meaning of the label of image `index`.
    ///
    /// # Panics
    /// As indexing a slice: `index` must be below [`Dataset::len`].
    pub fn class(&self, index: usize) -> &str {
        &self.classes()[self.labels[index] as usize]
    }

    /// How many images each class has, in the order of [`Dataset::classes`].
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes().len()];
        self.labels.iter().for_each(|label| counts[*label as usize] += 1);
        counts
    }

    /// The kinds of labels there are, such as `variant`, `family` and `manufacturer`; the first is the study's.
    pub fn levels(&self) -> Vec<&str> {
        self.levels.iter().map(|level| level.name.as_str()).collect()
    }

    /// The kind that [`Dataset::labels`] are of.
    pub fn level(&self) -> &str {
        &self.levels[self.level].name
    }

    /// The same images with labels of another kind, one of [`Dataset::levels`].
    ///
    /// # Errors
    /// There is no such kind.
    pub fn with_level(&self, level: &str) -> Result<Dataset, DatasetError> {
        let Some(place) = self.levels.iter().position(|known| known.name == level) else {
            let levels = self.levels.iter().map(|level| level.name.clone()).collect();
            return Err(DatasetError::Level { name: self.name.clone(), level: level.to_owned(), levels });
        };
        Ok(Dataset { level: place, ..self.clone() }.labelled())
    }

    /// Image files that were left out since they cannot be read or decoded, or are not there.
    pub fn bad_images(&self) -> &[BadImage] {
        &self.bad
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

    /// The file of image `index`, if it is in one.
    #[cfg(test)]
    pub(super) fn file(&self, index: usize) -> Option<std::path::PathBuf> {
        match &self.images {
            Images::Pixels { .. } => None,
            Images::Files(files) => Some(files[self.chosen[index]].member.name()),
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

    /// The training partition of the same dataset, whole, with labels of the same kind. Reads it from disk.
    ///
    /// # Errors
    /// As [`load`](super::load); a dataset that was made from pixels or a folder has no partitions, and some others have no
    /// training partition.
    pub fn train(&self) -> Result<Dataset, DatasetError> {
        let Some(origin) = &self.origin else {
            let what = "it was made from pixels or files and has no training partition".to_owned();
            return Err(DatasetError::Inconsistent { name: self.name.clone(), what });
        };
        let level = Some(self.level().to_owned());
        let train =
            super::load_row(&origin.0, &LoadOptions { partition: Partition::Train, level, ..origin.1.clone() })?;
        Ok(Dataset { test: Some(Arc::new(self.test())), ..train })
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

    pub(super) fn select(&self, indices: Vec<usize>) -> Dataset {
        let chosen = Arc::new(indices.iter().map(|&index| self.chosen[index]).collect());
        Dataset { chosen, ..self.clone() }.labelled()
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

/// The good images, and the bad ones.
fn files(name: &str, members: Vec<Member>, allowed: f64) -> Result<(Vec<File>, Vec<BadImage>), DatasetError> {
    let (mut files, mut bad) = (Vec::with_capacity(members.len()), Vec::new());
    let count = members.len();
    let found = check::check(name, &members)?;
    for (index, (member, found)) in members.into_iter().zip(found).enumerate() {
        match found {
            Found::Good(sum) => files.push(File { member, sum }),
            Found::Bad(problem) => bad.push(BadImage { index, path: member.name(), problem }),
        }
    }
    let most = most_bad(count, allowed);
    match bad.first() {
        Some(first) if bad.len() > most => Err(DatasetError::Bad {
            name: name.to_owned(),
            bad: bad.len(),
            images: count,
            allowed: most,
            first: format!("{}: {}", first.path.display(), first.problem),
        }),
        _ => Ok((files, bad)),
    }
}

impl File {
    fn picture(&self) -> Result<Picture<'static>, DatasetError> {
        let bytes = self.member.read_image()?;
        if blake3::hash(&bytes) != self.sum {
            return Err(DatasetError::Changed { path: self.member.name() });
        }
        picture::decode(&bytes).map_err(|source| DatasetError::Image { path: self.member.name(), source })
    }
}

/// Name and sizes: a cell that ends in a dataset must not print its pixels.
impl fmt::Debug for Dataset {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let (name, count, classes) = (&self.name, self.len(), self.classes().len());
        match self.shape() {
            Some([height, width, channels]) => write!(
                formatter,
                "Dataset {{ {name}: {count} images of {height} x {width} x {channels}, {classes} classes }}"
            ),
            None => write!(formatter, "Dataset {{ {name}: {count} image files, {classes} classes }}"),
        }
    }
}

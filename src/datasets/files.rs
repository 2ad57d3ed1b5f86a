//! Image files in a folder, a subfolder a class.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::{Dataset, DatasetError, Images};
use crate::fs;
use crate::picture::{self, Picture};
use crate::progress::{self, SharedProgress};

/// What the names of image files end in, in any case; what is in a file, the file itself says.
pub(super) const EXTENSIONS: &[&str] =
    &[".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"];

/// An image file.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub sum: String,
}

impl File {
    /// # Errors
    /// A file that cannot be read, is no image, or is another one by now.
    pub fn picture(&self) -> Result<Picture<'static>, DatasetError> {
        let bytes = fs::read(&self.path)?;
        if blake3::hash(&bytes).to_hex().as_str() != self.sum {
            return Err(DatasetError::Changed { path: self.path.clone() });
        }
        picture::decode(&bytes).map_err(|source| DatasetError::Image { path: self.path.clone(), source })
    }
}

/// The image files in a folder, labelled as torchvision's `ImageFolder` does it: each subfolder with images is a class, in
/// the order of their names, and its images are those below it. A folder without subfolders is one class.
///
/// Files are told by their names (`.jpg`, `.png` and others); images may have any size, and are decoded when they are
/// needed, as Pillow does it. Reads every file once, for its checksum.
///
/// # Errors
/// A folder or file that cannot be read; no image files.
pub fn folder(path: impl AsRef<Path>) -> Result<Dataset, DatasetError> {
    let path = path.as_ref();
    let stamp = fs::folder_stamp(path)?;
    let mut classes: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let mut alone = Vec::new();
    for entry in fs::list(path)? {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if entry.is_dir() {
            let found: Vec<PathBuf> = fs::files_below(&entry)?.into_iter().filter(|path| is_image(path)).collect();
            if !found.is_empty() {
                classes.insert(name, found);
            }
        } else if is_image(&entry) {
            alone.push(entry);
        }
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    if classes.is_empty() && !alone.is_empty() {
        classes.insert(name.clone(), alone);
    }
    if classes.is_empty() {
        return Err(DatasetError::NoImages { path: path.to_owned() });
    }
    let labels = classes.values().zip(0..).flat_map(|(files, label)| files.iter().map(move |_| label)).collect();
    let (classes, files): (Vec<String>, Vec<Vec<PathBuf>>) = classes.into_iter().unzip();
    let files = files.concat();
    let progress = SharedProgress::if_long(format!("read {name}"), files.len() as u64, "files");
    let files = files.into_par_iter().map(|path| {
        progress::check()?;
        let sum = fs::blake3_file(&path)?;
        progress.advance(1);
        Ok(File { path, sum })
    });
    let files = files.collect::<Result<Vec<File>, DatasetError>>()?;
    let dataset = Dataset::of(&name, Images::Files(Arc::new(files)), labels, classes);
    crate::cell::input_at("folder", path, &format!("stamp:{stamp}"));
    Ok(dataset)
}

fn is_image(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    EXTENSIONS.iter().any(|extension| name.ends_with(extension))
}

#[cfg(test)]
mod tests {
    use crate::fs::TestFolder;

    /// The smallest GIF of one pixel in the given grey.
    fn gif(grey: u8) -> Vec<u8> {
        let mut bytes = b"GIF89a\x01\0\x01\0\x80\0\0".to_vec();
        bytes.extend([grey; 6]);
        bytes.extend(b",\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0;");
        bytes
    }

    fn put(folder: &TestFolder, name: &str, bytes: &[u8]) {
        let path = folder.0.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, bytes).expect("written");
    }

    #[test]
    fn subfolders_are_classes_in_the_order_of_their_names() {
        let folder = TestFolder::new("image-folder");
        for (name, grey) in [("b/2.gif", 3), ("b/1.GIF", 2), ("a/deep/er/x.gif", 1), ("b/notes.txt", 9), ("top.gif", 9)]
        {
            put(&folder, name, &gif(grey));
        }
        std::fs::create_dir(folder.0.join("empty")).expect("made");
        let dataset = super::folder(&folder.0).expect("loaded");
        assert_eq!((dataset.classes(), dataset.labels()), (&["a".to_owned(), "b".to_owned()][..], &[0, 1, 1][..]));
        let greys: Vec<u8> = (0..3).map(|index| dataset.image(index).expect("decoded").pixels[0]).collect();
        assert_eq!((greys, dataset.shape()), (vec![1, 2, 3], None));
        assert!(format!("{dataset:?}").ends_with("3 image files, 2 classes }"));
        let second = dataset.take(2).checksum().to_owned();
        put(&folder, "b/1.GIF", &gif(7));
        let error = dataset.image(1).expect_err("another file").to_string();
        assert!(
            error.ends_with("b/1.GIF: the file has changed since the dataset was loaded; load it again"),
            "{error}"
        );
        assert_ne!(super::folder(&folder.0).expect("loaded").take(2).checksum(), second);
    }

    #[test]
    fn files_alone_are_one_class_and_bad_ones_are_named() {
        let folder = TestFolder::new("image-folder-flat");
        let message = super::folder(&folder.0).expect_err("empty").to_string();
        assert!(message.contains("there are no image files in this folder (.jpg, "), "{message}");
        put(&folder, "1.gif", &gif(1));
        put(&folder, "2.png", b"no picture at all");
        let dataset = super::folder(&folder.0).expect("loaded");
        assert_eq!((dataset.len(), dataset.classes().len()), (2, 1));
        let message = dataset.image(1).expect_err("no image").to_string();
        assert!(message.contains("2.png: "), "{message}");
        let message = super::folder(folder.0.join("nothing")).expect_err("no folder").to_string();
        assert!(message.contains("nothing: "), "{message}");
    }
}

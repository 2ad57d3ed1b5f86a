//! NumPy's `.npz` files, arrays under names in one ZIP file: how the study's authors keep embeddings, as `embeddings` and
//! `y_true`.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Write as _};
use std::path::Path;

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::{Array, NpyError, Source};
use crate::points::Points;

/// Reads the array of this name. O(bytes).
///
/// # Errors
/// The file cannot be read, is no ZIP file, or has no such array; as [`super::read`].
pub fn read(path: &Path, name: &str) -> Result<Array, NpyError> {
    with(path, name, |array| array.array())
}

/// Reads the rows of the two-dimensional array of this name; 64-bit numbers are rounded to 32. O(bytes).
///
/// # Errors
/// As [`read`]; not two axes; no columns; a number that is not finite.
pub fn read_points(path: &Path, name: &str) -> Result<Points, NpyError> {
    with(path, name, |array| array.points())
}

/// Reads the labels in the array of this name, of one axis or one column. O(bytes).
///
/// # Errors
/// As [`read`]; other axes; a number that is not an integer of 32 bits.
pub fn read_labels(path: &Path, name: &str) -> Result<Vec<i32>, NpyError> {
    with(path, name, |array| array.labels())
}

/// The bytes of an `.npz` file with these arrays, a name and the bytes of an `.npy` file each, uncompressed as NumPy's
/// `savez` has them. The same arrays are the same bytes. O(bytes).
///
/// # Errors
/// Two arrays of one name; more arrays or bytes than the format can have.
pub fn to_bytes(arrays: &[(&str, Vec<u8>)]) -> Result<Vec<u8>, NpyError> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::DEFAULT.compression_method(CompressionMethod::Stored).large_file(true);
    for (name, bytes) in arrays {
        archive.start_file(format!("{name}.npy"), options).map_err(archive_error)?;
        archive.write_all(bytes).map_err(|error| archive_error(error.into()))?;
    }
    Ok(archive.finish().map_err(archive_error)?.into_inner())
}

/// Opens the array of this name, and reads its header.
fn with<T>(
    path: &Path,
    name: &str,
    read: impl FnOnce(Source<&mut dyn Read>) -> Result<T, NpyError>,
) -> Result<T, NpyError> {
    let file = File::open(path).map_err(|error| NpyError::System(error.to_string()))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(archive_error)?;
    let Some(index) = archive.index_for_name(&format!("{name}.npy")) else {
        let of_file = |name: Result<Cow<str>, ZipError>| Some(name.ok()?.strip_suffix(".npy")?.to_owned());
        let mut known: Vec<String> = archive.file_names().filter_map(of_file).collect();
        known.sort_unstable();
        return Err(NpyError::NoArray { name: name.to_owned(), known: known.join(", ") });
    };
    let mut file = archive.by_index(index).map_err(archive_error)?;
    let length = file.size();
    read(Source::new(&mut file as &mut dyn Read, length)?)
}

fn archive_error(error: ZipError) -> NpyError {
    NpyError::Archive(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::TestFolder;
    use crate::npy;

    #[test]
    fn arrays_come_back_by_name() {
        let folder = TestFolder::new("npz");
        let path = folder.0.join("some.npz");
        let arrays = || {
            [
                ("embeddings", npy::to_bytes(&[2, 3], &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0])),
                ("y_true", npy::to_bytes(&[2], &[7, -1])),
            ]
        };
        let bytes = to_bytes(&arrays()).expect("written");
        assert_eq!(bytes, to_bytes(&arrays()).expect("written"));
        std::fs::write(&path, &bytes).expect("a file");
        let points = read_points(&path, "embeddings").expect("read");
        assert_eq!((points.rows(), points.row(1)), (2, &[4.0, 5.0, 6.0][..]));
        assert_eq!(read_labels(&path, "y_true"), Ok(vec![7, -1]));
        assert_eq!(read(&path, "y_true").expect("read").shape, [2]);
        let error = read(&path, "labels").expect_err("none").to_string();
        assert_eq!(error, "there is no array 'labels' in the file; there are: embeddings, y_true");
        assert!(to_bytes(&[("a", Vec::new()), ("a", Vec::new())]).is_err());
    }

    /// Written by NumPy 2.4: `numpy.savez_compressed("x.npz", embeddings=numpy.arange(6.0).reshape(3, 2), y_true=[1, 0, 1])`.
    #[test]
    fn compressed_by_numpy() {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/compressed.npz"));
        let points = read_points(path, "embeddings").expect("read");
        assert_eq!((points.rows(), points.as_slice()), (3, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0][..]));
        assert_eq!(read_labels(path, "y_true"), Ok(vec![1, 0, 1]));
    }

    #[test]
    fn damaged_files_are_errors() {
        let folder = TestFolder::new("npz-damaged");
        let path = folder.0.join("some.npz");
        let good = to_bytes(&[("embeddings", npy::to_bytes(&[4, 2], &[0.5_f32; 8]))]).expect("written");
        for length in 0..good.len() {
            std::fs::write(&path, &good[..length]).expect("a file");
            assert!(read(&path, "embeddings").is_err(), "{length} bytes");
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x41;
            std::fs::write(&path, bad).expect("a file");
            // Not every byte counts; none may end the program.
            let _ = read(&path, "embeddings");
        }
        std::fs::write(&path, "no archive").expect("a file");
        let message = read(&path, "embeddings").expect_err("no archive").to_string();
        assert!(message.starts_with("not a whole .npz file: "), "{message}");
    }
}

//! IDX, the format of the MNIST family: a magic number, the sizes of the axes, then one byte a value.
//!
//! `http://yann.lecun.com/exdb/mnist/`, section "File formats". Big-endian; here only unsigned bytes, plain or gzipped.

use std::io::{self, Read};

use flate2::read::GzDecoder;

/// Values that a file may claim to have; the largest file known here has 47 million.
const MOST_VALUES: u64 = 1 << 31;

/// How a file fails to be IDX.
#[derive(Debug, thiserror::Error)]
pub enum IdxError {
    /// The file ends inside its header.
    #[error("the header is cut short")]
    Header,
    /// Not this format, or not this number of axes.
    #[error("the magic number is {found:#010x} instead of {expected:#010x}")]
    Magic {
        /// What the file begins with.
        found: u32,
        /// What it should begin with.
        expected: u32,
    },
    /// The header claims more values than any known dataset has.
    #[error("the header claims {sizes:?} values, more than {MOST_VALUES}")]
    TooLarge {
        /// The sizes of the axes.
        sizes: Vec<u32>,
    },
    /// The file ends before the last value.
    #[error("the file has {found} values instead of {expected}")]
    Truncated {
        /// Values found.
        found: u64,
        /// Values that the header claims.
        expected: u64,
    },
    /// The file goes on after the last value.
    #[error("the file goes on after its {expected} values")]
    TooLong {
        /// Values that the header claims.
        expected: u64,
    },
    /// The gzip stream is damaged.
    #[error("the gzip stream is damaged: {0}")]
    Gzip(#[from] io::Error),
}

/// An array of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    /// The size of each axis, the slowest first.
    pub sizes: Vec<usize>,
    /// The values; their number is the product of `sizes`.
    pub values: Vec<u8>,
}

/// Reads a file of unsigned bytes with `axes` axes: 3 for images (n × height × width), 1 for labels.
///
/// Memory is used only for values that are there, whatever the header claims.
///
/// # Errors
/// Every way in which the file is not exactly such an array.
pub fn read(bytes: &[u8], axes: usize) -> Result<Array, IdxError> {
    match bytes {
        [0x1f, 0x8b, ..] => read_stream(GzDecoder::new(bytes), axes),
        _ => read_stream(bytes, axes),
    }
}

fn read_stream(mut stream: impl Read, axes: usize) -> Result<Array, IdxError> {
    let found = read_u32(&mut stream)?;
    // 0x08 is the code of unsigned bytes.
    let expected = 0x0800 | axes as u32;
    if found != expected {
        return Err(IdxError::Magic { found, expected });
    }
    let sizes = (0..axes).map(|_| read_u32(&mut stream)).collect::<Result<Vec<_>, _>>()?;
    let product = sizes.iter().try_fold(1_u64, |product, size| product.checked_mul(u64::from(*size)));
    let expected = match product {
        Some(product) if product <= MOST_VALUES => product,
        _ => return Err(IdxError::TooLarge { sizes }),
    };
    let mut values = Vec::new();
    let found = (&mut stream).take(expected).read_to_end(&mut values)? as u64;
    if found < expected {
        return Err(IdxError::Truncated { found, expected });
    }
    if stream.read(&mut [0])? != 0 {
        return Err(IdxError::TooLong { expected });
    }
    Ok(Array { sizes: sizes.into_iter().map(|size| size as usize).collect(), values })
}

fn read_u32(stream: &mut impl Read) -> Result<u32, IdxError> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => IdxError::Header,
        _ => IdxError::Gzip(error),
    })?;
    Ok(u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn reads_plain_and_gzipped() {
        let file = images(2, 2, 3, 12);
        let array = read(&file, 3).expect("valid");
        assert_eq!((array.sizes.as_slice(), array.values.len(), array.values[11]), ([2, 2, 3].as_slice(), 12, 11));
        assert_eq!(read(&gzip(&file), 3).expect("valid"), array);
        assert_eq!(read(&[0, 0, 8, 1, 0, 0, 0, 0], 1).expect("no labels").values, Vec::<u8>::new());
    }

    #[test]
    fn bad_files_are_named() {
        let good = images(2, 2, 3, 12);
        let long = [&good[..], &[0]].concat();
        let huge = [&[0, 0, 8, 3], &[255; 12][..], &[7; 20]].concat();
        let large = images(u32::MAX, 1, 1, 20);
        let mut flipped = gzip(&good);
        let middle = flipped.len() - 6;
        flipped[middle] ^= 4;
        let cases: [(&str, Vec<u8>, usize, &str); 12] = [
            ("empty", vec![], 3, "the header is cut short"),
            ("three bytes", vec![0, 0, 8], 3, "the header is cut short"),
            ("no sizes", good[..9].to_vec(), 3, "the header is cut short"),
            ("labels", good.clone(), 1, "the magic number is 0x00000803 instead of 0x00000801"),
            ("text", b"<html>".to_vec(), 3, "the magic number is 0x3c68746d instead of 0x00000803"),
            ("floats", vec![0, 0, 0x0d, 3], 3, "the magic number is 0x00000d03 instead of 0x00000803"),
            ("cut", good[..good.len() - 1].to_vec(), 3, "the file has 11 values instead of 12"),
            ("long", long.clone(), 3, "the file goes on after its 12 values"),
            ("overflow", huge, 3, "the header claims [4294967295, 4294967295, 4294967295] values"),
            ("too large", large, 3, "the header claims [4294967295, 1, 1] values"),
            ("gzip long", gzip(&long), 3, "the file goes on after its 12 values"),
            ("gzip damaged", flipped, 3, "the gzip stream is damaged"),
        ];
        for (name, bytes, axes, expected) in cases {
            let message = read(&bytes, axes).expect_err(name).to_string();
            assert!(message.starts_with(expected), "{name}: {message}");
        }
        for length in 2..gzip(&good).len() {
            assert!(read(&gzip(&good)[..length], 3).is_err(), "{length} bytes of gzip");
        }
    }

    #[test]
    fn a_large_claim_costs_nothing() {
        let message = read(&images(1 << 31, 1, 1, 5), 3).expect_err("cut short").to_string();
        assert_eq!(message, "the file has 5 values instead of 2147483648");
    }

    fn images(count: u32, height: u32, width: u32, values: u8) -> Vec<u8> {
        let mut file = vec![0, 0, 8, 3];
        for size in [count, height, width] {
            file.extend_from_slice(&size.to_be_bytes());
        }
        file.extend(0..values);
        file
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }
}

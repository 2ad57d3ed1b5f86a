//! Reads NumPy's `.npy` files: the array exchange format of the golden values and of other programs' embeddings.
//!
//! Format versions 1, 2 and 3 with little-endian or single-byte numbers in C order:
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. The header is untrusted: sizes are
//! multiplied with overflow checks and must match the length of the file.

use crate::points::{Points, PointsError};

/// Why bytes are not an array that can be read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NpyError {
    /// The first bytes are not those of an `.npy` file.
    #[error("not an .npy file: it does not begin with \\x93NUMPY")]
    Magic,
    /// A format version that does not exist yet.
    #[error("format version {0} is not known; 1 to 3 are")]
    Version(u8),
    /// The file ends inside its header.
    #[error("the file ends inside its header, after {0} bytes")]
    Truncated(usize),
    /// A header that is not a Python dictionary with `descr`, `fortran_order` and `shape`.
    #[error("header has no valid '{key}': {header}")]
    Header {
        /// The key that is missing or malformed.
        key: &'static str,
        /// The header as found.
        header: String,
    },
    /// A type of numbers that is not read.
    #[error("descr = '{0}' is not supported; f4, f8, b1, u1 to u8 and i1 to i8, little-endian, are")]
    Type(String),
    /// Columns first.
    #[error("fortran_order = True is not supported: save the array in C order")]
    FortranOrder,
    /// The numbers do not fill the shape.
    #[error("shape = {shape:?} needs {needed} bytes of data, the file has {found}")]
    Length {
        /// The shape in the header.
        shape: Vec<usize>,
        /// Bytes that the shape needs, or "too many" for a product that overflows.
        needed: String,
        /// Bytes that follow the header.
        found: usize,
    },
    /// The array has not as many axes as were asked for.
    #[error("shape = {0:?}: two axes, rows and columns, are needed")]
    NotTwoAxes(Vec<usize>),
    /// A number that the wanted type cannot hold.
    #[error("{0} does not fit the wanted type of integer")]
    Range(f64),
    /// The array is well-formed but not a set of points.
    #[error(transparent)]
    Points(#[from] PointsError),
}

/// An array: its shape, and its numbers in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Length of each axis; empty for a single number.
    pub shape: Vec<usize>,
    /// The numbers, widened.
    pub values: Values,
}

/// The numbers of an [`Array`], widened to one of three types that hold every supported type exactly.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// `f4`.
    Float32(Vec<f32>),
    /// `f8`.
    Float64(Vec<f64>),
    /// Integers and booleans; `u8` above 2^63 is refused.
    Int(Vec<i64>),
}

/// Reads a whole `.npy` file. O(bytes).
///
/// # Errors
/// Every way in which the bytes break the format, see [`NpyError`].
pub fn parse(bytes: &[u8]) -> Result<Array, NpyError> {
    let (header, data) = split(bytes)?;
    let descr = text_after(&header, "descr")?;
    if value_after(&header, "fortran_order")?.starts_with("True") {
        return Err(NpyError::FortranOrder);
    }
    let shape = shape_of(&header)?;
    let (kind, width) = kind_of(&descr)?;
    let needed = shape.iter().try_fold(width, |product, &length| product.checked_mul(length));
    if needed != Some(data.len()) {
        let needed = needed.map_or("too many".to_owned(), |needed| needed.to_string());
        return Err(NpyError::Length { shape, needed, found: data.len() });
    }
    Ok(Array { shape, values: decode(kind, width, data)? })
}

impl Array {
    /// The numbers as `f64`; 64-bit integers above 2^53 lose their last digits.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.values {
            Values::Float32(values) => values.iter().map(|&value| f64::from(value)).collect(),
            Values::Float64(values) => values.clone(),
            Values::Int(values) => values.iter().map(|&value| value as f64).collect(),
        }
    }

    /// The numbers as cluster or class labels.
    ///
    /// # Errors
    /// A number that is not an integer, or not one of 32 bits.
    pub fn to_labels(&self) -> Result<Vec<i32>, NpyError> {
        let label =
            |value: f64| if f64::from(value as i32) == value { Ok(value as i32) } else { Err(NpyError::Range(value)) };
        self.to_f64().into_iter().map(label).collect()
    }

    /// The rows of a two-dimensional array; 64-bit numbers are rounded to 32.
    ///
    /// # Errors
    /// Not two axes; no columns; a number that is not finite.
    pub fn to_points(&self) -> Result<Points, NpyError> {
        let &[rows, columns] = self.shape.as_slice() else { return Err(NpyError::NotTwoAxes(self.shape.clone())) };
        let values = match &self.values {
            Values::Float32(values) => values.clone(),
            Values::Float64(values) => values.iter().map(|&value| value as f32).collect(),
            Values::Int(values) => values.iter().map(|&value| value as f32).collect(),
        };
        Ok(Points::new(rows, columns, values)?)
    }
}

/// The header as text, and the data after it.
fn split(bytes: &[u8]) -> Result<(String, &[u8]), NpyError> {
    let body = bytes.strip_prefix(b"\x93NUMPY").ok_or(NpyError::Magic)?;
    let truncated = || NpyError::Truncated(bytes.len());
    let (&[major, _minor], body) = body.split_first_chunk().ok_or_else(truncated)?;
    let (length, body) = match major {
        1 => body.split_first_chunk().map(|(&length, body)| (usize::from(u16::from_le_bytes(length)), body)),
        2 | 3 => body.split_first_chunk().map(|(&length, body)| (u32::from_le_bytes(length) as usize, body)),
        other => return Err(NpyError::Version(other)),
    }
    .ok_or_else(truncated)?;
    let (header, data) = body.split_at_checked(length).ok_or_else(truncated)?;
    Ok((String::from_utf8_lossy(header).into_owned(), data))
}

/// What follows `'key':` in the header.
fn value_after<'header>(header: &'header str, key: &'static str) -> Result<&'header str, NpyError> {
    let missing = || NpyError::Header { key, header: header.to_owned() };
    let (_, rest) = header.split_once(&format!("'{key}'")).ok_or_else(missing)?;
    Ok(rest.trim_start().strip_prefix(':').ok_or_else(missing)?.trim_start())
}

/// The quoted text after `'key':`.
fn text_after(header: &str, key: &'static str) -> Result<String, NpyError> {
    let value = value_after(header, key)?;
    let text = value.strip_prefix('\'').and_then(|value| value.split_once('\'')).map(|(text, _)| text);
    text.map(str::to_owned).ok_or_else(|| NpyError::Header { key, header: header.to_owned() })
}

fn shape_of(header: &str) -> Result<Vec<usize>, NpyError> {
    let malformed = || NpyError::Header { key: "shape", header: header.to_owned() };
    let inside = value_after(header, "shape")?.strip_prefix('(').ok_or_else(malformed)?;
    let (inside, _) = inside.split_once(')').ok_or_else(malformed)?;
    let axes = inside.split(',').map(str::trim).filter(|axis| !axis.is_empty());
    axes.map(|axis| axis.parse().map_err(|_| malformed())).collect()
}

#[derive(Clone, Copy)]
enum Kind {
    Float,
    Signed,
    Unsigned,
}

/// The kind of number and its width in bytes.
fn kind_of(descr: &str) -> Result<(Kind, usize), NpyError> {
    match descr.trim_start_matches(['<', '|']) {
        "f4" => Ok((Kind::Float, 4)),
        "f8" => Ok((Kind::Float, 8)),
        "i1" => Ok((Kind::Signed, 1)),
        "i2" => Ok((Kind::Signed, 2)),
        "i4" => Ok((Kind::Signed, 4)),
        "i8" => Ok((Kind::Signed, 8)),
        "b1" | "u1" => Ok((Kind::Unsigned, 1)),
        "u2" => Ok((Kind::Unsigned, 2)),
        "u4" => Ok((Kind::Unsigned, 4)),
        "u8" => Ok((Kind::Unsigned, 8)),
        _ => Err(NpyError::Type(descr.to_owned())),
    }
}

fn decode(kind: Kind, width: usize, data: &[u8]) -> Result<Values, NpyError> {
    Ok(match (kind, width) {
        (Kind::Float, 4) => {
            Values::Float32(data.as_chunks().0.iter().map(|&number| f32::from_le_bytes(number)).collect())
        }
        (Kind::Float, _) => {
            Values::Float64(data.as_chunks().0.iter().map(|&number| f64::from_le_bytes(number)).collect())
        }
        (Kind::Signed, _) => Values::Int(data.chunks_exact(width).map(signed).collect()),
        (Kind::Unsigned, _) => Values::Int(data.chunks_exact(width).map(unsigned).collect::<Result<_, _>>()?),
    })
}

/// A little-endian number of at most 8 bytes.
fn unsigned(number: &[u8]) -> Result<i64, NpyError> {
    let value = number.iter().rev().fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
    i64::try_from(value).map_err(|_| NpyError::Range(value as f64))
}

/// The same in two's complement.
fn signed(number: &[u8]) -> i64 {
    let value = number.iter().rev().fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
    let unused_bits = 64 - 8 * number.len() as u32;
    (value << unused_bits) as i64 >> unused_bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(header.len()).expect("a short header").to_le_bytes();
        [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes(), data].concat()
    }

    fn header(descr: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n")
    }

    #[test]
    fn every_type_is_read() {
        let bytes = file(&header("<f4", "(1, 2)"), &[0, 0, 128, 63, 0, 0, 0, 192]);
        assert_eq!(parse(&bytes).expect("valid").to_points().expect("points").as_slice(), &[1.0, -2.0]);
        let bytes = file(&header("<f8", "()"), &2.5_f64.to_le_bytes());
        assert_eq!(parse(&bytes).expect("valid"), Array { shape: vec![], values: Values::Float64(vec![2.5]) });
        for (descr, data, expected) in [
            ("|i1", vec![255, 127], vec![-1, 127]),
            ("|u1", vec![255, 127], vec![255, 127]),
            ("|b1", vec![1, 0], vec![1, 0]),
            ("<i2", vec![254, 255, 1, 2], vec![-2, 513]),
            ("<u2", vec![254, 255, 1, 2], vec![65534, 513]),
            ("<i4", vec![0, 0, 0, 128, 1, 0, 0, 0], vec![i64::from(i32::MIN), 1]),
            ("<u4", vec![0, 0, 0, 128, 1, 0, 0, 0], vec![1 << 31, 1]),
            ("<i8", [(-5_i64).to_le_bytes(), 7_i64.to_le_bytes()].concat(), vec![-5, 7]),
            ("<u8", [5_u64.to_le_bytes(), 7_u64.to_le_bytes()].concat(), vec![5, 7]),
        ] {
            let array = parse(&file(&header(descr, "(2,)"), &data)).expect("valid");
            assert_eq!(array, Array { shape: vec![2], values: Values::Int(expected) }, "{descr}");
        }
    }

    #[test]
    fn every_lie_is_named() {
        let error = |bytes: &[u8]| parse(bytes).expect_err("invalid");
        assert_eq!(error(b"PNG"), NpyError::Magic);
        assert_eq!(error(b"\x93NUMPY\x09\x00"), NpyError::Version(9));
        assert_eq!(error(b"\x93NUMPY\x01"), NpyError::Truncated(7));
        assert_eq!(error(b"\x93NUMPY\x01\x00\xff\xff{"), NpyError::Truncated(11));
        assert_eq!(error(&file(&header("<c8", "(1,)"), &[0; 8])), NpyError::Type("<c8".to_owned()));
        assert_eq!(error(&file(&header(">f4", "(1,)"), &[0; 4])), NpyError::Type(">f4".to_owned()));
        assert!(error(&file(&header("<f4", "(3,)"), &[0; 8])).to_string().contains("needs 12 bytes"));
        let huge = header("<f4", "(18446744073709551615, 18446744073709551615)");
        assert!(error(&file(&huge, &[0; 8])).to_string().contains("needs too many bytes"));
        assert!(matches!(error(&file("{'descr': '<f4'}", &[])), NpyError::Header { key: "fortran_order", .. }));
        assert!(matches!(error(&file(&header("<f4", "(-1,)"), &[])), NpyError::Header { key: "shape", .. }));
        let columns_first = header("<f4", "(1,)").replace("False", "True");
        assert_eq!(error(&file(&columns_first, &[0; 4])), NpyError::FortranOrder);
        assert!(matches!(error(&file(&header("<u8", "(1,)"), &[255; 8])), NpyError::Range(_)));
        let flat = parse(&file(&header("<f4", "(1,)"), &[0; 4])).expect("valid");
        assert_eq!(flat.to_points().expect_err("flat"), NpyError::NotTwoAxes(vec![1]));
        let half = parse(&file(&header("<f8", "(1,)"), &0.5_f64.to_le_bytes())).expect("valid");
        assert_eq!(half.to_labels().expect_err("half"), NpyError::Range(0.5));
    }
}

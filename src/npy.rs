//! Reads and writes NumPy's `.npy` files: the array exchange format of the golden values, of other programs' embeddings
//! and of the batch command.
//!
//! Format versions 1, 2 and 3 with little-endian or single-byte numbers in C order, or in Fortran order where there are
//! at most two axes: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. The header is untrusted:
//! sizes are multiplied with overflow checks and must match the length of the file before any memory is taken for them.
//! Files are read in pieces, and each number goes straight into the type that is wanted: reading points takes no more
//! memory than the points.

use std::fs::File;
use std::io::{Cursor, ErrorKind, Read};
use std::path::Path;

pub mod npz;

use crate::points::{Points, PointsError};

/// Bytes decoded at once: a multiple of every width.
const PIECE: usize = 1 << 20;

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
    /// Numbers whose first byte is the most significant one.
    #[error(
        "descr = '{0}' is big-endian: save the array in little-endian order, `x.astype(x.dtype.newbyteorder('<'))`"
    )]
    BigEndian(String),
    /// Columns first, and more axes than two.
    #[error("fortran_order = True with shape = {0:?} is not supported: save the array in C order")]
    FortranOrder(Vec<usize>),
    /// The numbers do not fill the shape.
    #[error("shape = {shape:?} needs {needed} bytes of data, the file has {found}")]
    Length {
        /// The shape in the header.
        shape: Vec<usize>,
        /// Bytes that the shape needs, or "too many" for a product that overflows.
        needed: String,
        /// Bytes that follow the header.
        found: u64,
    },
    /// The array has not as many axes as were asked for.
    #[error("shape = {0:?}: two axes, rows and columns, are needed")]
    NotTwoAxes(Vec<usize>),
    /// Labels must be a list, or a table of one column.
    #[error("shape = {0:?}: one axis, a label for each sample, is needed")]
    NotOneAxis(Vec<usize>),
    /// A number that the wanted type cannot hold.
    #[error("{0} does not fit the wanted type of integer")]
    Range(f64),
    /// The array is well-formed but not a set of points.
    #[error(transparent)]
    Points(#[from] PointsError),
    /// There is no memory for the numbers.
    #[error("no memory for {0} numbers")]
    Memory(usize),
    /// A file of several arrays that cannot be opened as one.
    #[error("not a whole .npz file: {0}")]
    Archive(String),
    /// No array of the name asked for.
    #[error("there is no array '{name}' in the file; there are: {known}")]
    NoArray {
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// The operating system refused; its reason.
    #[error("cannot be read: {0}")]
    System(String),
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

/// Reads the bytes of a whole `.npy` file. O(bytes).
///
/// # Errors
/// Every way in which the bytes break the format, see [`NpyError`].
pub fn parse(bytes: &[u8]) -> Result<Array, NpyError> {
    Source::new(bytes, bytes.len() as u64)?.array()
}

/// Reads a file. O(bytes).
///
/// # Errors
/// The file cannot be read; as [`parse`].
pub fn read(path: &Path) -> Result<Array, NpyError> {
    open(path)?.array()
}

/// Reads the rows of a file with a two-dimensional array; 64-bit numbers are rounded to 32. O(bytes).
///
/// # Errors
/// As [`read`]; not two axes; no columns; a number that is not finite.
pub fn read_points(path: &Path) -> Result<Points, NpyError> {
    open(path)?.points()
}

/// Reads cluster or class labels from a file with an array of one axis, or of one column. O(bytes).
///
/// # Errors
/// As [`read`]; other axes; a number that is not an integer of 32 bits.
pub fn read_labels(path: &Path) -> Result<Vec<i32>, NpyError> {
    open(path)?.labels()
}

/// The bytes of an `.npy` file, format version 1, with these numbers in C order. O(bytes).
pub fn to_bytes<T: Number>(shape: &[usize], values: &[T]) -> Vec<u8> {
    debug_assert_eq!(shape.iter().product::<usize>(), values.len(), "the numbers fill the shape");
    let axes: Vec<String> = shape.iter().map(usize::to_string).collect();
    // A tuple of one element has a comma in Python.
    let comma = if axes.len() == 1 { "," } else { "" };
    let mut header =
        format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{comma}), }}", T::DESCR, axes.join(", "));
    // Data begin at a multiple of 64 bytes, so that the file can be mapped.
    let preamble = b"\x93NUMPY\x01\x00".len() + 2;
    let padded = (preamble + header.len() + 1).next_multiple_of(64) - preamble;
    header.push_str(&" ".repeat(padded - 1 - header.len()));
    header.push('\n');
    let mut bytes = Vec::with_capacity(preamble + padded + size_of_val(values));
    bytes.extend_from_slice(b"\x93NUMPY\x01\x00");
    // A shape of a few axes is far below 2^16 characters.
    bytes.extend_from_slice(&u16::try_from(padded).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    values.iter().for_each(|value| value.append(&mut bytes));
    bytes
}

/// A type of numbers that can be written.
pub trait Number: Copy {
    /// NumPy's name of the type.
    const DESCR: &'static str;
    /// Appends the number in little-endian order.
    fn append(self, bytes: &mut Vec<u8>);
}

macro_rules! number {
    ($($type:ty => $descr:literal),*) => {$(
        impl Number for $type {
            const DESCR: &'static str = $descr;
            fn append(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}
number!(f32 => "<f4", f64 => "<f8", i32 => "<i4", i64 => "<i8", u32 => "<u4");

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
        match &self.values {
            Values::Float32(values) => values.iter().map(|&value| float_label(f64::from(value))).collect(),
            Values::Float64(values) => values.iter().map(|&value| float_label(value)).collect(),
            Values::Int(values) => values.iter().map(|&value| label(value)).collect(),
        }
    }

    /// The rows of a two-dimensional array; 64-bit numbers are rounded to 32.
    ///
    /// # Errors
    /// Not two axes; no columns; a number that is not finite.
    pub fn to_points(&self) -> Result<Points, NpyError> {
        let &[rows, columns] = self.shape.as_slice() else { return Err(NpyError::NotTwoAxes(self.shape.clone())) };
        Ok(Points::new(rows, columns, self.to_f32())?)
    }

    /// The values in 32 bits, row after row.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.values {
            Values::Float32(values) => values.clone(),
            Values::Float64(values) => values.iter().map(|&value| value as f32).collect(),
            Values::Int(values) => values.iter().map(|&value| value as f32).collect(),
        }
    }
}

fn label(value: i64) -> Result<i32, NpyError> {
    i32::try_from(value).map_err(|_| NpyError::Range(value as f64))
}

fn float_label(value: f64) -> Result<i32, NpyError> {
    if f64::from(value as i32) == value { Ok(value as i32) } else { Err(NpyError::Range(value)) }
}

/// Opens a file and reads its header. What has no length of its own, such as a pipe, is taken into memory first.
fn open(path: &Path) -> Result<Source<Box<dyn Read>>, NpyError> {
    let system = |error: std::io::Error| NpyError::System(error.to_string());
    let mut file = File::open(path).map_err(system)?;
    let about = file.metadata().map_err(system)?;
    if about.is_file() {
        return Source::new(Box::new(file), about.len());
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(system)?;
    let length = bytes.len() as u64;
    Source::new(Box::new(Cursor::new(bytes)), length)
}

/// A file whose header has been read.
struct Source<R> {
    data: R,
    shape: Vec<usize>,
    /// Columns first.
    fortran: bool,
    kind: Kind,
    width: usize,
    /// Numbers that follow.
    count: usize,
}

impl<R: Read> Source<R> {
    /// Reads the header; `length` is the number of bytes in all.
    fn new(mut data: R, length: u64) -> Result<Source<R>, NpyError> {
        let truncated = || NpyError::Truncated(usize::try_from(length).unwrap_or(usize::MAX));
        let mut magic = [0; 6];
        if fill(&mut data, &mut magic)? < magic.len() || magic != *b"\x93NUMPY" {
            return Err(NpyError::Magic);
        }
        let mut version = [0; 2];
        if fill(&mut data, &mut version)? < version.len() {
            return Err(truncated());
        }
        // Where the length of the header takes 2 bytes, the other two stay 0.
        let digits = match version[0] {
            1 => 2,
            2 | 3 => 4,
            other => return Err(NpyError::Version(other)),
        };
        let mut header_length = [0; 4];
        if fill(&mut data, &mut header_length[..digits])? < digits {
            return Err(truncated());
        }
        let before = (magic.len() + version.len() + digits) as u64;
        let header_length = u32::from_le_bytes(header_length);
        if before + u64::from(header_length) > length {
            return Err(truncated());
        }
        let mut header = vec![0; header_length as usize];
        if fill(&mut data, &mut header)? < header.len() {
            return Err(truncated());
        }
        let header = String::from_utf8_lossy(&header).into_owned();
        let descr = text_after(&header, "descr")?;
        let fortran = value_after(&header, "fortran_order")?.starts_with("True");
        let shape = shape_of(&header)?;
        let (kind, width) = kind_of(&descr)?;
        if fortran && shape.len() > 2 {
            return Err(NpyError::FortranOrder(shape));
        }
        let found = length - before - u64::from(header_length);
        let count = shape.iter().try_fold(1_usize, |product, &length| product.checked_mul(length));
        let needed = count.and_then(|count| count.checked_mul(width));
        if needed.map(|needed| needed as u64) != Some(found) {
            let needed = needed.map_or("too many".to_owned(), |needed| needed.to_string());
            return Err(NpyError::Length { shape, needed, found });
        }
        Ok(Source { data, fortran: fortran && shape.len() == 2, shape, kind, width, count: count.unwrap_or(0) })
    }

    fn array(mut self) -> Result<Array, NpyError> {
        let values = match (self.kind, self.width) {
            (Kind::Float, 4) => {
                Values::Float32(self.numbers(Ok, |value| Ok(value as f32), |value| Ok(value as f32))?)
            }
            (Kind::Float, _) => {
                Values::Float64(self.numbers(|value| Ok(f64::from(value)), Ok, |value| Ok(value as f64))?)
            }
            (Kind::Signed | Kind::Unsigned, _) => {
                Values::Int(self.numbers(|value| Ok(value as i64), |value| Ok(value as i64), Ok)?)
            }
        };
        Ok(Array { shape: self.shape, values })
    }

    fn points(mut self) -> Result<Points, NpyError> {
        let &[rows, columns] = self.shape.as_slice() else { return Err(NpyError::NotTwoAxes(self.shape.clone())) };
        let values = self.numbers(Ok, |value| Ok(value as f32), |value| Ok(value as f32))?;
        Ok(Points::new(rows, columns, values)?)
    }

    fn labels(mut self) -> Result<Vec<i32>, NpyError> {
        match self.shape.as_slice() {
            [_] | [_, 1] => self.numbers(|value| float_label(f64::from(value)), float_label, label),
            _ => Err(NpyError::NotOneAxis(self.shape.clone())),
        }
    }

    /// All numbers in C order, each through the function of its kind.
    fn numbers<T: Copy + Default>(
        &mut self,
        float32: impl Fn(f32) -> Result<T, NpyError>,
        float64: impl Fn(f64) -> Result<T, NpyError>,
        int: impl Fn(i64) -> Result<T, NpyError>,
    ) -> Result<Vec<T>, NpyError> {
        let mut sink = Sink::new(self.count, if self.fortran { Some((self.shape[0], self.shape[1])) } else { None })?;
        let mut piece = vec![0; PIECE.min(self.count * self.width)];
        let mut left = self.count * self.width;
        while left > 0 {
            let length = left.min(PIECE);
            let bytes = &mut piece[..length];
            if fill(&mut self.data, bytes)? < length {
                // The file has become shorter since its length was asked for.
                return Err(NpyError::System("the file ended early".to_owned()));
            }
            match (self.kind, self.width) {
                (Kind::Float, 4) => bytes
                    .as_chunks()
                    .0
                    .iter()
                    .try_for_each(|&number| float32(f32::from_le_bytes(number)).map(|value| sink.push(value)))?,
                (Kind::Float, _) => bytes
                    .as_chunks()
                    .0
                    .iter()
                    .try_for_each(|&number| float64(f64::from_le_bytes(number)).map(|value| sink.push(value)))?,
                (Kind::Signed, width) => bytes
                    .chunks_exact(width)
                    .try_for_each(|number| int(signed(number)).map(|value| sink.push(value)))?,
                (Kind::Unsigned, width) => bytes
                    .chunks_exact(width)
                    .try_for_each(|number| int(unsigned(number)?).map(|value| sink.push(value)))?,
            }
            left -= length;
        }
        Ok(sink.values)
    }
}

/// Collects numbers, and brings those that come column after column into C order.
struct Sink<T> {
    values: Vec<T>,
    /// Rows and columns, where columns come first.
    transposed: Option<(usize, usize)>,
    row: usize,
    column: usize,
}

impl<T: Copy + Default> Sink<T> {
    fn new(count: usize, transposed: Option<(usize, usize)>) -> Result<Sink<T>, NpyError> {
        let mut values = Vec::new();
        values.try_reserve_exact(count).map_err(|_| NpyError::Memory(count))?;
        if transposed.is_some() {
            values.resize(count, T::default());
        }
        Ok(Sink { values, transposed, row: 0, column: 0 })
    }

    #[inline]
    fn push(&mut self, value: T) {
        let Some((rows, columns)) = self.transposed else {
            self.values.push(value);
            return;
        };
        self.values[self.row * columns + self.column] = value;
        self.row += 1;
        if self.row == rows {
            self.row = 0;
            self.column += 1;
        }
    }
}

/// Reads until the buffer is full or there is no more; how much that was.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> Result<usize, NpyError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(NpyError::System(error.to_string())),
        }
    }
    Ok(filled)
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
    if descr.starts_with('>') {
        return Err(NpyError::BigEndian(descr.to_owned()));
    }
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
        assert_eq!(error(&file(&header(">f4", "(1,)"), &[0; 4])), NpyError::BigEndian(">f4".to_owned()));
        assert!(error(&file(&header("<f4", "(3,)"), &[0; 8])).to_string().contains("needs 12 bytes"));
        let huge = header("<f4", "(18446744073709551615, 18446744073709551615)");
        assert!(error(&file(&huge, &[0; 8])).to_string().contains("needs too many bytes"));
        assert!(matches!(error(&file("{'descr': '<f4'}", &[])), NpyError::Header { key: "fortran_order", .. }));
        assert!(matches!(error(&file(&header("<f4", "(-1,)"), &[])), NpyError::Header { key: "shape", .. }));
        let columns_first = header("<f4", "(1, 1, 1)").replace("False", "True");
        assert_eq!(error(&file(&columns_first, &[0; 4])), NpyError::FortranOrder(vec![1, 1, 1]));
        assert!(matches!(error(&file(&header("<u8", "(1,)"), &[255; 8])), NpyError::Range(_)));
        let flat = parse(&file(&header("<f4", "(1,)"), &[0; 4])).expect("valid");
        assert_eq!(flat.to_points().expect_err("flat"), NpyError::NotTwoAxes(vec![1]));
        let half = parse(&file(&header("<f8", "(1,)"), &0.5_f64.to_le_bytes())).expect("valid");
        assert_eq!(half.to_labels().expect_err("half"), NpyError::Range(0.5));
    }
    #[test]
    fn columns_first_is_turned() {
        let numbers: Vec<u8> =
            [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let header = header("<f4", "(3, 2)").replace("False", "True");
        let points = parse(&file(&header, &numbers)).expect("valid").to_points().expect("points");
        assert_eq!((points.rows(), points.as_slice()), (3, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0].as_slice()));
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = to_bytes(&[2, 2], &[1.0_f64, -0.5, f64::MIN_POSITIVE, 1e300]);
        assert_eq!((bytes.len() - 32) % 64, 0, "data begin at a multiple of 64");
        let array = parse(&bytes).expect("valid");
        assert_eq!(array.values, Values::Float64(vec![1.0, -0.5, f64::MIN_POSITIVE, 1e300]));
        let array = parse(&to_bytes(&[3], &[-1_i32, 0, 7])).expect("valid");
        assert_eq!((array.shape.as_slice(), array.to_labels()), ([3].as_slice(), Ok(vec![-1, 0, 7])));
        assert_eq!(parse(&to_bytes::<f32>(&[0, 5], &[])).expect("valid").shape, [0, 5]);
        let text = String::from_utf8_lossy(&to_bytes(&[3], &[1_u32, 2, 3])).into_owned();
        assert!(text.contains("{'descr': '<u4', 'fortran_order': False, 'shape': (3,), }"), "{text}");
    }

    #[test]
    fn files_are_read_piece_by_piece() {
        let folder = crate::fs::TestFolder::new("npy");
        let path = folder.0.join("x.npy");
        let values: Vec<f64> = (0..300_000).map(f64::from).collect();
        std::fs::write(&path, to_bytes(&[100_000, 3], &values)).expect("written");
        let points = read_points(&path).expect("points");
        assert_eq!((points.rows(), points.row(99_999)), (100_000, [299_997.0, 299_998.0, 299_999.0].as_slice()));
        assert_eq!(read(&path).expect("an array").values, Values::Float64(values));
        assert_eq!(read_labels(&path), Err(NpyError::NotOneAxis(vec![100_000, 3])));
        std::fs::write(&path, to_bytes(&[2, 1], &[4_i64, -1])).expect("written");
        assert_eq!(read_labels(&path), Ok(vec![4, -1]));
        std::fs::write(&path, to_bytes(&[2], &[4_i64, 1 << 40])).expect("written");
        assert_eq!(read_labels(&path), Err(NpyError::Range((1_i64 << 40) as f64)));
        assert!(matches!(read(&folder.0.join("none.npy")), Err(NpyError::System(_))));
    }
}

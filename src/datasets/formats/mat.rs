//! MATLAB files of versions 5 to 7 (elements with a type and a size, each perhaps deflated) and 7.3 (HDF5).
//!
//! "MAT-File Format", The MathWorks, for 5 to 7; how 7.3 lies in HDF5 is not published, and is read here as
//! MATLAB writes it. Numbers, text, cells and structs are read; other classes are [`Value::Other`], which says what
//! is there. Arrays are column-major, as MATLAB's: the first axis is the fastest.

mod hdf5;
mod level5;
mod numbers;
#[cfg(test)]
mod tests;

/// Memory that the values of a file may take. The largest file known here, the extra images of SVHN, takes 1.6 GB.
const MOST_BYTES: u64 = 4 << 30;
/// Deflate makes of a byte at most 1,032; a stream that claims to hold more than this for each byte is damaged.
const MOST_EXPANSION: u64 = 1100;
/// Counted for each value of a cell, a field or a row of text on top of its numbers: about what it takes in memory.
const VALUE_BYTES: u64 = 128;
/// Cells within cells; what people save has 3 or 4 levels.
const MOST_DEPTH: usize = 32;
/// MATLAB itself stops at 32 axes in its files.
const MOST_AXES: usize = 32;

/// How a file, or what is asked of it, fails.
#[derive(Debug, thiserror::Error)]
pub enum MatError {
    /// Another format, or version 4, which has no signature.
    #[error("not a MATLAB file of version 5 or later: it has neither the mark of version 5 nor that of HDF5")]
    NotMat,
    /// A version 5 header with a version that does not exist.
    #[error("a MATLAB file of version {0:#06x}, which is neither 5 (0x0100) nor 7.3 (0x0200)")]
    Version(u16),
    /// No variable of that name.
    #[error("no variable {name}; the file has {}", found.join(", "))]
    Missing {
        /// What was asked for.
        name: String,
        /// What is there.
        found: Vec<String>,
    },
    /// Something is wrong at one place of the file.
    #[error("{place}: {fault}")]
    At {
        /// As MATLAB would write it: `synsets(3).words`; or where in the file, before a name is known.
        place: String,
        /// What is wrong there.
        fault: Fault,
    },
}

/// What is wrong with a variable, or a part of one.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// An element claims more bytes than there are.
    #[error("an element of {claimed} bytes, and {found} bytes are left")]
    Truncated {
        /// Bytes that it claims.
        claimed: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// Another element than the format puts here.
    #[error("an element of type {found} instead of {expected}")]
    Element {
        /// The type's number in the format.
        found: u32,
        /// What should be here.
        expected: &'static str,
    },
    /// The values are fewer or more than the sizes of the axes say.
    #[error("{found} values for an array of {}", shape(sizes))]
    Count {
        /// The sizes of the axes.
        sizes: Vec<usize>,
        /// Values that are there.
        found: usize,
    },
    /// Sizes of axes, or of names, that cannot be.
    #[error("a size of {0}")]
    Size(i64),
    /// More axes than MATLAB's files can have.
    #[error("{0} axes, more than {MOST_AXES}")]
    Axes(usize),
    /// A whole number of a class that cannot hold it.
    #[error("the number {0} in an array of bytes")]
    Range(i64),
    /// Cells within cells without end.
    #[error("nested more than {MOST_DEPTH} deep")]
    Depth,
    /// The file asks for more memory than is given.
    #[error("its values take more than {0} bytes, which is more than a file of this size may take")]
    TooLarge(u64),
    /// The deflate stream is damaged.
    #[error("the deflate stream is damaged: {0}")]
    Deflate(#[from] std::io::Error),
    /// The HDF5 below a 7.3 file is damaged.
    #[error("HDF5: {0}")]
    Hdf5(#[from] hdf5_reader::error::Error),
    /// A cell or a field of a 7.3 file refers to no object.
    #[error("a reference to {0:#x}, where no object is")]
    Reference(u64),
    /// The value is fine, but not what was asked for.
    #[error("{found} instead of {expected}")]
    Kind {
        /// What it is.
        found: String,
        /// What was asked for.
        expected: String,
    },
}

impl From<Fault> for MatError {
    fn from(fault: Fault) -> Self {
        Self::At { place: String::new(), fault }
    }
}

impl MatError {
    /// The same, one level further out.
    fn within(self, outer: impl std::fmt::Display) -> Self {
        match self {
            Self::At { place, fault } => Self::At { place: format!("{outer}{place}"), fault },
            other => other,
        }
    }
}

/// A value of MATLAB.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// An array of numbers or truth values.
    Numbers(Array),
    /// The rows of an array of characters, with the spaces that make them equally long. Empty text has no row.
    Text(Vec<String>),
    /// An array of values of any class.
    Cells {
        /// The sizes of the axes.
        sizes: Vec<usize>,
        /// The values; their number is the product of `sizes`.
        values: Vec<Value>,
    },
    /// An array of structs, which all have the same fields.
    Structs {
        /// The sizes of the axes.
        sizes: Vec<usize>,
        /// Name, and one value for each struct.
        fields: Vec<(String, Vec<Value>)>,
    },
    /// What is not read here, in words: `a sparse array`.
    Other(String),
}

/// An array of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The size of each axis, the fastest first.
    pub sizes: Vec<usize>,
    /// The values; their number is the product of `sizes`.
    pub values: Numbers,
}

/// Numbers as MATLAB sees them, however few bytes the file spends on them.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// Class `uint8` or `logical`.
    U8(Vec<u8>),
    /// The other classes of whole numbers.
    I64(Vec<i64>),
    /// Class `double` or `single`.
    F64(Vec<f64>),
}

/// Variables of a file with their names: in its order for version 5, by name for 7.3, which keeps no order.
///
/// Memory is used only for what is there, whatever the file claims; of a 7.3 file a copy is held meanwhile.
///
/// # Errors
/// Every way in which the file is damaged. What is merely not read here is a [`Value::Other`].
pub fn read(bytes: &[u8]) -> Result<Vec<(String, Value)>, MatError> {
    let mut budget = Budget::for_file(bytes.len());
    if [0, 512].into_iter().any(|start| bytes.get(start..).is_some_and(|rest| rest.starts_with(hdf5::SIGNATURE))) {
        return hdf5::read(bytes, &mut budget);
    }
    level5::read(bytes, &mut budget)
}

/// The variable of that name.
///
/// # Errors
/// There is none.
pub fn variable<'a>(variables: &'a [(String, Value)], name: &str) -> Result<Item<'a>, MatError> {
    match variables.iter().find(|(found, _)| found == name) {
        Some((name, value)) => Ok(Item { place: name.clone(), value }),
        None => {
            let found = variables.iter().map(|(name, _)| name.clone()).collect();
            Err(MatError::Missing { name: name.to_owned(), found })
        }
    }
}

/// A value, and where it is for messages.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    /// As MATLAB would write it: `synsets(3).words`.
    pub place: String,
    /// What is there.
    pub value: &'a Value,
}

impl<'a> Item<'a> {
    /// Sizes, the fastest axis first, and values of an array of bytes.
    ///
    /// # Errors
    /// It is none.
    pub fn bytes(&self) -> Result<(&'a [usize], &'a [u8]), MatError> {
        match self.value {
            Value::Numbers(Array { sizes, values: Numbers::U8(values) }) => Ok((sizes, values)),
            _ => Err(self.not("bytes")),
        }
    }

    /// All values of an array of whole numbers, of whatever class: MATLAB's own is `double`.
    ///
    /// # Errors
    /// It is no array of numbers, or one of them is not whole.
    pub fn whole_numbers(&self) -> Result<Vec<i64>, MatError> {
        let Value::Numbers(array) = self.value else { return Err(self.not("whole numbers")) };
        match &array.values {
            Numbers::U8(values) => Ok(values.iter().map(|&value| i64::from(value)).collect()),
            Numbers::I64(values) => Ok(values.clone()),
            Numbers::F64(values) => values
                .iter()
                .map(|&value| numbers::exact(value).ok_or_else(|| self.fault(value.to_string(), "a whole number")))
                .collect(),
        }
    }

    /// The one value of an array of one whole number.
    ///
    /// # Errors
    /// It is something else.
    pub fn whole_number(&self) -> Result<i64, MatError> {
        match self.whole_numbers()?.as_slice() {
            [number] => Ok(*number),
            _ => Err(self.not("one number")),
        }
    }

    /// Text of one row, or none.
    ///
    /// # Errors
    /// It is something else.
    pub fn text(&self) -> Result<&'a str, MatError> {
        match self.value {
            Value::Text(rows) => match rows.as_slice() {
                [] => Ok(""),
                [row] => Ok(row),
                _ => Err(self.not("one row of text")),
            },
            _ => Err(self.not("text")),
        }
    }

    /// The values of an array of cells.
    ///
    /// # Errors
    /// It is none.
    pub fn cells(&self) -> Result<Vec<Item<'a>>, MatError> {
        let Value::Cells { values, .. } = self.value else { return Err(self.not("cells")) };
        let place = |index| format!("{}{{{index}}}", self.place);
        Ok(values.iter().zip(1..).map(|(value, index)| Item { place: place(index), value }).collect())
    }

    /// The values of that field, one for each struct of an array.
    ///
    /// # Errors
    /// It is no array of structs, or they have no such field.
    pub fn field(&self, name: &str) -> Result<Vec<Item<'a>>, MatError> {
        let Value::Structs { fields, .. } = self.value else { return Err(self.not("structs")) };
        let Some((_, values)) = fields.iter().find(|(found, _)| found == name) else {
            let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
            return Err(self.fault(format!("structs with the fields {}", names.join(", ")), &format!("a field {name}")));
        };
        let place = |index| format!("{}({index}).{name}", self.place);
        Ok(values.iter().zip(1..).map(|(value, index)| Item { place: place(index), value }).collect())
    }

    fn not(&self, expected: &str) -> MatError {
        self.fault(self.value.describe(), expected)
    }

    fn fault(&self, found: String, expected: &str) -> MatError {
        MatError::At { place: self.place.clone(), fault: Fault::Kind { found, expected: expected.to_owned() } }
    }
}

impl Value {
    /// What it is, in words.
    fn describe(&self) -> String {
        match self {
            Self::Numbers(Array { sizes, values: Numbers::U8(_) }) => format!("{} bytes", shape(sizes)),
            Self::Numbers(Array { sizes, values: Numbers::I64(_) }) => format!("{} whole numbers", shape(sizes)),
            Self::Numbers(Array { sizes, values: Numbers::F64(_) }) => format!("{} numbers", shape(sizes)),
            Self::Text(rows) => format!("{} rows of text", rows.len()),
            Self::Cells { sizes, .. } => format!("{} cells", shape(sizes)),
            Self::Structs { sizes, .. } => format!("{} structs", shape(sizes)),
            Self::Other(what) => format!("{what} (not read here)"),
        }
    }

    /// The rows of a column-major array of UTF-16 units.
    fn text(sizes: &[usize], units: Vec<u16>, budget: &mut Budget) -> Result<Self, Fault> {
        let &[rows, _] = sizes else { return Ok(Self::Other(format!("text of {} axes", sizes.len()))) };
        if units.is_empty() {
            return Ok(Self::Text(Vec::new()));
        }
        // A character beyond the first 65,536 is two units in MATLAB and one in SciPy, which counts characters.
        let one_row = || rows == 1 && Some(char::decode_utf16(units.iter().copied()).count()) == product(sizes);
        if product(sizes) != Some(units.len()) && !one_row() {
            return Err(Fault::Count { sizes: sizes.to_vec(), found: units.len() });
        }
        budget.take(rows as u64 * VALUE_BYTES + units.len() as u64)?;
        let row = |first| units.iter().skip(first).step_by(rows).copied().collect::<Vec<_>>();
        Ok(Self::Text((0..rows).map(|first| String::from_utf16_lossy(&row(first))).collect()))
    }
}

/// `2 × 3`.
fn shape(sizes: &[usize]) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ")
}

/// The number of values of an array, if it can be counted.
fn product(sizes: &[usize]) -> Option<usize> {
    // An axis of no length makes the others harmless, however long they claim to be.
    if sizes.contains(&0) {
        Some(0)
    } else {
        sizes.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))
    }
}

/// Memory that values may still take.
#[derive(Debug)]
struct Budget {
    most: u64,
    left: u64,
}

impl Budget {
    /// Deflated bytes may become [`MOST_EXPANSION`] times as many, and each of these a number of 8 bytes beside it.
    fn for_file(bytes: usize) -> Self {
        let most = (bytes as u64).saturating_mul(MOST_EXPANSION * 9).min(MOST_BYTES);
        Self { most, left: most }
    }

    fn take(&mut self, bytes: u64) -> Result<(), Fault> {
        self.left = self.left.checked_sub(bytes).ok_or(Fault::TooLarge(self.most))?;
        Ok(())
    }
}

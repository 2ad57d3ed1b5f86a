//! Version 5 to 7: a header of 128 bytes, then elements.

use std::borrow::Cow;
use std::io::Read as _;

use flate2::read::ZlibDecoder;

use super::numbers::{Class, Storage, Stored};
use super::{Budget, Fault, MOST_AXES, MOST_BYTES, MOST_DEPTH, MOST_EXPANSION, MatError, VALUE_BYTES, Value, product};

const HEADER_BYTES: usize = 128;

// Types of elements ("Data Types" in the format's description) that are not numbers.
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const UTF8: u32 = 16;
const UTF16: u32 = 17;
const UTF32: u32 = 18;

// Classes of arrays that are not laid out like the others.
const OPAQUE: u8 = 17;

pub(super) fn read(bytes: &[u8], budget: &mut Budget) -> Result<Vec<(String, Value)>, MatError> {
    let (header, body) = bytes.split_at_checked(HEADER_BYTES).ok_or(MatError::NotMat)?;
    let (version, big_endian) = match &header[124..] {
        [low, high, b'I', b'M'] => (u16::from_le_bytes([*low, *high]), false),
        [high, low, b'M', b'I'] => (u16::from_be_bytes([*high, *low]), true),
        _ => return Err(MatError::NotMat),
    };
    if version != 0x0100 {
        return Err(MatError::Version(version));
    }
    let mut elements = Elements { bytes: body, big_endian };
    let mut variables = Vec::new();
    while !elements.bytes.is_empty() {
        let at = bytes.len() - elements.bytes.len();
        let variable =
            elements.next().map_err(MatError::from).and_then(|element| variable(element, big_endian, budget));
        match variable.map_err(|error| locate(error, at))? {
            // What objects share is an array without a name.
            (name, _) if name.is_empty() => (),
            variable => variables.push(variable),
        }
    }
    Ok(variables)
}

/// Before a variable's name is known, the offset of its element has to do.
fn locate(error: MatError, at: usize) -> MatError {
    match error {
        MatError::At { place, fault } if place.is_empty() => {
            MatError::At { place: format!("the variable at byte {at}"), fault }
        }
        other => other,
    }
}

fn variable(element: (u32, &[u8]), big_endian: bool, budget: &mut Budget) -> Result<(String, Value), MatError> {
    let inflated;
    let data = match element {
        (MATRIX, data) => data,
        (COMPRESSED, data) => {
            inflated = inflate(data)?;
            Elements { bytes: &inflated, big_endian }.matrix()?
        }
        (found, _) => return Err(Fault::Element { found, expected: "an array" }.into()),
    };
    let matrix = Matrix::read(data, big_endian)?;
    let name = matrix.name.clone();
    let value = matrix.value(0, budget).map_err(|error| error.within(&name))?;
    Ok((name, value))
}

fn inflate(data: &[u8]) -> Result<Vec<u8>, Fault> {
    let most = (data.len() as u64).saturating_mul(MOST_EXPANSION).min(MOST_BYTES);
    let mut inflated = Vec::new();
    // Read to its end, the stream is also checked against its checksum.
    let found = ZlibDecoder::new(data).take(most + 1).read_to_end(&mut inflated)?;
    if found as u64 > most { Err(Fault::TooLarge(most)) } else { Ok(inflated) }
}

/// Elements one after the other.
struct Elements<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> Elements<'a> {
    /// Type and data of the next element.
    fn next(&mut self) -> Result<(u32, &'a [u8]), Fault> {
        let truncated = |claimed| Fault::Truncated { claimed, found: self.bytes.len() };
        let (tag, rest) = self.bytes.split_at_checked(8).ok_or(truncated(8))?;
        let [first, second] = [0, 4].map(|at| self.word(&tag[at..]));
        // The small form has its size in the upper half of the first word, and its data in the second.
        if first >> 16 != 0 {
            let size = (first >> 16) as usize;
            self.bytes = rest;
            return Ok((first & 0xffff, tag[4..].get(..size).ok_or(Fault::Truncated { claimed: size, found: 4 })?));
        }
        let size = second as usize;
        let data = rest.get(..size).ok_or(truncated(size))?;
        // Padded to 8 bytes, but for compressed elements; some writers leave the last padding out.
        let padded = if first == COMPRESSED { size } else { size.next_multiple_of(8) };
        self.bytes = rest.get(padded..).unwrap_or_default();
        Ok((first, data))
    }

    fn word(&self, bytes: &[u8]) -> u32 {
        let word = [bytes[0], bytes[1], bytes[2], bytes[3]];
        if self.big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
    }

    fn matrix(&mut self) -> Result<&'a [u8], Fault> {
        match self.next()? {
            (MATRIX, data) => Ok(data),
            (found, _) => Err(Fault::Element { found, expected: "an array" }),
        }
    }

    fn numbers(&mut self) -> Result<Stored<'a>, Fault> {
        let (kind, bytes) = self.next()?;
        let storage = storage(kind).ok_or(Fault::Element { found: kind, expected: "numbers" })?;
        Ok(Stored { bytes: Cow::Borrowed(bytes), storage, big_endian: self.big_endian })
    }

    /// Sizes, which are numbers from 0.
    fn sizes(&mut self) -> Result<Vec<usize>, Fault> {
        let stored = self.numbers()?;
        match stored.count()? {
            0..=MOST_AXES => (),
            count => return Err(Fault::Axes(count)),
        }
        let sizes = stored.whole().ok_or(Fault::Size(-1))?;
        sizes.into_iter().map(|size| usize::try_from(size).map_err(|_| Fault::Size(size))).collect()
    }
}

/// An array of any class: its header, and the elements with its contents.
struct Matrix<'a> {
    class: u8,
    complex: bool,
    logical: bool,
    sizes: Vec<usize>,
    name: String,
    rest: Elements<'a>,
}

impl<'a> Matrix<'a> {
    fn read(data: &'a [u8], big_endian: bool) -> Result<Self, Fault> {
        let mut rest = Elements { bytes: data, big_endian };
        // MATLAB writes a cell or field to which nothing was assigned as an array without contents, not even a header.
        if data.is_empty() {
            let (class, sizes, name) = (6, vec![0, 0], String::new());
            return Ok(Self { class, complex: false, logical: false, sizes, name, rest });
        }
        let flags = match rest.next()? {
            (6, data) if data.len() == 8 => rest.word(data),
            (found, _) => return Err(Fault::Element { found, expected: "an array's flags" }),
        };
        let class = (flags & 0xff) as u8;
        let sizes = if class == OPAQUE { Vec::new() } else { rest.sizes()? };
        let name = text(rest.next()?.1);
        Ok(Self { class, complex: flags & 0x0800 != 0, logical: flags & 0x0200 != 0, sizes, name, rest })
    }

    fn value(self, depth: usize, budget: &mut Budget) -> Result<Value, MatError> {
        if depth > MOST_DEPTH {
            return Err(Fault::Depth.into());
        }
        budget.take(VALUE_BYTES)?;
        Ok(match self.class {
            1 => self.cells(depth, budget)?,
            2 => self.structs(depth, budget)?,
            4 => self.text(budget)?,
            6..=15 if self.complex => Value::Other("complex numbers".to_owned()),
            6..=15 => self.numbers(budget)?,
            3 => Value::Other("an object".to_owned()),
            5 => Value::Other("a sparse array".to_owned()),
            16 => Value::Other("a function handle".to_owned()),
            OPAQUE => Value::Other("an object".to_owned()),
            class => Value::Other(format!("an array of the unknown class {class}")),
        })
    }

    fn numbers(mut self, budget: &mut Budget) -> Result<Value, Fault> {
        let class = match self.class {
            9 => Class::Bytes,
            _ if self.logical => Class::Bytes,
            6 | 7 => Class::Real,
            _ => Class::Whole,
        };
        // Empty arrays may have no element at all.
        let empty = Stored { bytes: Cow::Borrowed(&[]), storage: Storage::U8, big_endian: false };
        let stored = if self.rest.bytes.is_empty() { empty } else { self.rest.numbers()? };
        stored.array(class, self.sizes, budget)
    }

    fn text(mut self, budget: &mut Budget) -> Result<Value, Fault> {
        let (kind, bytes) = if self.rest.bytes.is_empty() { (UTF8, &[][..]) } else { self.rest.next()? };
        let numbers = |storage| Stored { bytes: Cow::Borrowed(bytes), storage, big_endian: self.rest.big_endian };
        let units = match kind {
            UTF8 => String::from_utf8_lossy(bytes).encode_utf16().collect(),
            UTF32 => {
                let codes = numbers(Storage::U32).whole().unwrap_or_default();
                let character = |code| u32::try_from(code).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
                codes.into_iter().map(character).collect::<String>().encode_utf16().collect()
            }
            _ => {
                let storage = if kind == UTF16 { Some(Storage::U16) } else { storage(kind) };
                let storage = storage.ok_or(Fault::Element { found: kind, expected: "characters" })?;
                let codes = numbers(storage).whole().unwrap_or_default();
                codes.into_iter().map(|code| u16::try_from(code).unwrap_or(0xfffd)).collect::<Vec<_>>()
            }
        };
        Value::text(&self.sizes, units, budget)
    }

    fn cells(mut self, depth: usize, budget: &mut Budget) -> Result<Value, MatError> {
        let count = self.count(1)?;
        let mut values = Vec::new();
        for index in 1..=count {
            let value = nested(&mut self.rest, depth, budget);
            values.push(value.map_err(|error| error.within(format!("{{{index}}}")))?);
        }
        Ok(Value::Cells { sizes: self.sizes, values })
    }

    fn structs(mut self, depth: usize, budget: &mut Budget) -> Result<Value, MatError> {
        let width = match self.rest.sizes()?.as_slice() {
            &[width] if width > 0 => width,
            _ => return Err(Fault::Size(0).into()),
        };
        let mut fields = Vec::new();
        for name in self.rest.next()?.1.chunks(width) {
            budget.take(VALUE_BYTES)?;
            fields.push((text(name), Vec::new()));
        }
        let count = if fields.is_empty() { 0 } else { self.count(fields.len())? };
        for index in 1..=count {
            for (name, values) in &mut fields {
                let value = nested(&mut self.rest, depth, budget);
                values.push(value.map_err(|error| error.within(format!("({index}).{name}")))?);
            }
        }
        Ok(Value::Structs { sizes: self.sizes, fields })
    }

    /// The number of structs or cells, if `fields` values for each can be in the bytes: a value has 8 at least.
    fn count(&self, fields: usize) -> Result<usize, Fault> {
        let found = self.rest.bytes.len() / 8 / fields;
        match product(&self.sizes) {
            Some(count) if count <= found => Ok(count),
            _ => Err(Fault::Count { sizes: self.sizes.clone(), found }),
        }
    }
}

fn nested(elements: &mut Elements, depth: usize, budget: &mut Budget) -> Result<Value, MatError> {
    Matrix::read(elements.matrix()?, elements.big_endian)?.value(depth + 1, budget)
}

/// A name, which ends at its first zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn storage(kind: u32) -> Option<Storage> {
    Some(match kind {
        1 => Storage::I8,
        2 => Storage::U8,
        3 => Storage::I16,
        4 => Storage::U16,
        5 => Storage::I32,
        6 => Storage::U32,
        7 => Storage::F32,
        9 => Storage::F64,
        12 => Storage::I64,
        13 => Storage::U64,
        _ => return None,
    })
}

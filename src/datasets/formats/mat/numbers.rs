//! Numbers from bytes: MATLAB stores an array in the smallest type that holds its values, whatever its class is.

use std::borrow::Cow;

use super::{Array, Budget, Fault, Numbers, Value, product};

/// The type that the file stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
}

/// The class that MATLAB sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Bytes,
    Whole,
    Real,
}

/// Stored numbers.
#[derive(Debug)]
pub(super) struct Stored<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) storage: Storage,
    pub(super) big_endian: bool,
}

impl Storage {
    fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }
}

impl Stored<'_> {
    /// An array of `sizes`, if the numbers are as many.
    pub(super) fn array(self, class: Class, sizes: Vec<usize>, budget: &mut Budget) -> Result<Value, Fault> {
        let found = self.count()?;
        if product(&sizes) != Some(found) {
            return Err(Fault::Count { sizes, found });
        }
        budget.take(match (class, &self.bytes) {
            // Taken over as they are.
            (Class::Bytes, Cow::Owned(_)) => 0,
            (Class::Bytes, Cow::Borrowed(_)) => found as u64,
            (Class::Whole | Class::Real, _) => found as u64 * 8,
        })?;
        let values = match class {
            Class::Bytes if self.storage == Storage::U8 => Numbers::U8(self.bytes.into_owned()),
            Class::Bytes => {
                let byte = |&number: &i64| u8::try_from(number).map_err(|_| Fault::Range(number));
                match self.whole() {
                    Some(numbers) => Numbers::U8(numbers.iter().map(byte).collect::<Result<_, _>>()?),
                    None => return Ok(Value::Other("bytes stored as numbers that are none".to_owned())),
                }
            }
            Class::Whole => match self.whole() {
                Some(numbers) => Numbers::I64(numbers),
                None => return Ok(Value::Other(format!("whole numbers that are none or above {}", i64::MAX))),
            },
            Class::Real => Numbers::F64(self.real()),
        };
        Ok(Value::Numbers(Array { sizes, values }))
    }

    /// How many numbers the bytes are.
    pub(super) fn count(&self) -> Result<usize, Fault> {
        let size = self.storage.size();
        match self.bytes.len() % size {
            0 => Ok(self.bytes.len() / size),
            found => Err(Fault::Truncated { claimed: size, found }),
        }
    }

    /// The numbers, unless one is not whole or too large.
    pub(super) fn whole(&self) -> Option<Vec<i64>> {
        Some(match self.storage {
            Storage::I8 => self.each(|bytes| i64::from(i8::from_le_bytes(bytes))),
            Storage::U8 => self.each(|bytes| i64::from(u8::from_le_bytes(bytes))),
            Storage::I16 => self.each(|bytes| i64::from(i16::from_le_bytes(bytes))),
            Storage::U16 => self.each(|bytes| i64::from(u16::from_le_bytes(bytes))),
            Storage::I32 => self.each(|bytes| i64::from(i32::from_le_bytes(bytes))),
            Storage::U32 => self.each(|bytes| i64::from(u32::from_le_bytes(bytes))),
            Storage::I64 => self.each(i64::from_le_bytes),
            Storage::U64 => {
                let numbers = self.each(u64::from_le_bytes);
                return numbers.into_iter().map(|number| i64::try_from(number).ok()).collect();
            }
            Storage::F32 | Storage::F64 => return self.real().into_iter().map(exact).collect(),
        })
    }

    fn real(&self) -> Vec<f64> {
        match self.storage {
            Storage::I8 => self.each(|bytes| f64::from(i8::from_le_bytes(bytes))),
            Storage::U8 => self.each(|bytes| f64::from(u8::from_le_bytes(bytes))),
            Storage::I16 => self.each(|bytes| f64::from(i16::from_le_bytes(bytes))),
            Storage::U16 => self.each(|bytes| f64::from(u16::from_le_bytes(bytes))),
            Storage::I32 => self.each(|bytes| f64::from(i32::from_le_bytes(bytes))),
            Storage::U32 => self.each(|bytes| f64::from(u32::from_le_bytes(bytes))),
            Storage::I64 => self.each(|bytes| i64::from_le_bytes(bytes) as f64),
            Storage::U64 => self.each(|bytes| u64::from_le_bytes(bytes) as f64),
            Storage::F32 => self.each(|bytes| f64::from(f32::from_le_bytes(bytes))),
            Storage::F64 => self.each(f64::from_le_bytes),
        }
    }

    fn each<const N: usize, T>(&self, read: impl Fn([u8; N]) -> T) -> Vec<T> {
        let (numbers, _) = self.bytes.as_chunks::<N>();
        let swap = |mut bytes: [u8; N]| {
            bytes.reverse();
            bytes
        };
        numbers.iter().map(|&bytes| read(if self.big_endian { swap(bytes) } else { bytes })).collect()
    }
}

/// The number as a whole one. Above 2⁵³ a `double` no longer tells neighbours apart.
pub(super) fn exact(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= (1_u64 << 53) as f64).then_some(number as i64)
}

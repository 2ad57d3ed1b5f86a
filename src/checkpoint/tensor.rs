//! Where a tensor's numbers lie, and how they are brought into row-major, little-endian order.

use std::io::Read as _;
use std::ops::Range;

use flate2::Crc;
use flate2::read::DeflateDecoder;
use safetensors::Dtype;

use super::CheckpointError;
use super::input::{Input, Reader, Span};
use super::zip::Entry;

/// Axes of one tensor; NumPy and PyTorch have no more.
const MOST_AXES: usize = 64;
/// A view of distant parts of a large storage is read part by part, if all between would be so many times larger.
const SPARSE: u64 = 4;

/// One tensor of a checkpoint.
#[derive(Debug)]
pub(crate) struct Tensor {
    /// Keys on the way to it, joined by dots.
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(super) layout: Layout,
}

/// Where each number lies.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) storage: Storage,
    /// Numbers before the first, and from one to the next along each axis.
    pub(super) offset: u64,
    pub(super) strides: Vec<u64>,
    /// The most significant byte of a number is its first.
    pub(super) big_endian: bool,
}

/// Bytes that tensors are views of.
#[derive(Debug)]
pub(super) enum Storage {
    File(Span),
    Memory(Box<[u8]>),
    /// An entry of a zip file without so many bytes at its beginning.
    Entry(Entry, u64),
}

impl Storage {
    fn length(&self) -> u64 {
        match self {
            Storage::File(span) => span.length,
            Storage::Memory(bytes) => bytes.len() as u64,
            Storage::Entry(entry, before) => entry.length.saturating_sub(*before),
        }
    }
}

/// A layout that was checked: every number lies in the storage. What is wrong with it, otherwise.
pub(super) fn checked(name: &str, dtype: Dtype, shape: &[u64], layout: Layout) -> Result<Tensor, String> {
    if shape.len() > MOST_AXES || shape.len() != layout.strides.len() {
        return Err(format!("{} axes and {} strides; at most {MOST_AXES} are read", shape.len(), layout.strides.len()));
    }
    if !dtype.bitsize().is_multiple_of(8) {
        return Err(format!("{dtype} numbers are not read"));
    }
    let width = dtype.bitsize() as u64 / 8;
    let too_large = || format!("shape {shape:?} is too large");
    let count = shape.iter().try_fold(1_u64, |product, length| product.checked_mul(*length)).ok_or_else(too_large)?;
    count.checked_mul(width).filter(|bytes| isize::try_from(*bytes).is_ok()).ok_or_else(too_large)?;
    if count > 0 {
        let last = shape
            .iter()
            .zip(&layout.strides)
            .try_fold(layout.offset, |last, (length, stride)| last.checked_add((length - 1).checked_mul(*stride)?));
        let end = last.and_then(|last| last.checked_add(1)?.checked_mul(width));
        let found = layout.storage.length();
        if end.is_none_or(|end| end > found) {
            let needed = end.map_or("too many".to_owned(), |end| end.to_string());
            return Err(format!("shape {shape:?} needs a storage of {needed} bytes, it has {found}"));
        }
    }
    let shape = shape.iter().map(|length| usize::try_from(*length)).collect::<Result<_, _>>();
    Ok(Tensor { name: name.to_owned(), dtype, shape: shape.map_err(|_| too_large())?, layout })
}

/// Strides of an array without gaps, with its last axis (or its first: `fortran`) in one piece.
pub(super) fn strides(shape: &[u64], fortran: bool) -> Vec<u64> {
    let mut strides = vec![1_u64; shape.len()];
    // A product that overflows is found where the shape is checked; it has the same factors.
    let step = |stride: u64, length: u64| stride.saturating_mul(length.max(1));
    match fortran {
        true => (1..shape.len()).for_each(|axis| strides[axis] = step(strides[axis - 1], shape[axis - 1])),
        false => (1..shape.len()).rev().for_each(|axis| strides[axis - 1] = step(strides[axis], shape[axis])),
    }
    strides
}

impl Tensor {
    /// Bytes that the numbers take: [`checked`] has seen that there is such a number.
    pub(super) fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.width()
    }

    fn width(&self) -> usize {
        self.dtype.bitsize() / 8
    }

    /// Bytes of it that are in memory, because they do not lie in the file as they are.
    pub(super) fn kept(&self) -> usize {
        match &self.layout.storage {
            Storage::Memory(bytes) => bytes.len(),
            Storage::File(_) | Storage::Entry(..) => 0,
        }
    }

    /// The numbers in row-major, little-endian order.
    pub(super) fn read(&self, input: &Input) -> Result<Vec<u8>, CheckpointError> {
        let width = self.width() as u64;
        let mut bytes = Vec::new();
        if self.bytes() == 0 {
            return Ok(bytes);
        }
        let axes = self.shape.iter().zip(&self.layout.strides);
        let extent = axes.map(|(length, stride)| (*length as u64 - 1) * stride).sum::<u64>() + 1;
        let (run, outer) = self.run();
        let whole = self.layout.offset * width..(self.layout.offset + extent) * width;
        if outer == 0 {
            bytes = self.part(input, whole)?;
        } else if bytes.try_reserve_exact(self.bytes()).is_err() {
            return Err(self.fault(input, "there is no memory for it"));
        } else if extent * width > SPARSE * self.bytes() as u64 && matches!(self.layout.storage, Storage::File(_)) {
            self.each_run(outer, |at| {
                let at = (self.layout.offset + at) * width;
                bytes.extend_from_slice(&self.part(input, at..at + run * width)?);
                Ok(())
            })?;
        } else {
            let all = self.part(input, whole)?;
            self.each_run(outer, |at| {
                bytes.extend_from_slice(&all[(at * width) as usize..((at + run) * width) as usize]);
                Ok(())
            })?;
        }
        if self.layout.big_endian {
            bytes.chunks_exact_mut(self.width()).for_each(<[u8]>::reverse);
        }
        Ok(bytes)
    }

    /// How many numbers lie in one piece, and how many axes there are before those.
    fn run(&self) -> (u64, usize) {
        let mut run = 1;
        for axis in (0..self.shape.len()).rev() {
            if self.shape[axis] != 1 && self.layout.strides[axis] != run {
                return (run, axis + 1);
            }
            run *= self.shape[axis] as u64;
        }
        (run, 0)
    }

    /// Calls with the place of each piece, in row-major order of the first `outer` axes.
    fn each_run(
        &self,
        outer: usize,
        mut call: impl FnMut(u64) -> Result<(), CheckpointError>,
    ) -> Result<(), CheckpointError> {
        let mut index = vec![0; outer];
        loop {
            call(index.iter().zip(&self.layout.strides).map(|(index, stride)| *index as u64 * stride).sum())?;
            let Some(axis) = (0..outer).rev().find(|axis| index[*axis] + 1 < self.shape[*axis]) else { return Ok(()) };
            index[axis] += 1;
            index[axis + 1..].fill(0);
        }
    }

    /// Bytes of the storage.
    fn part(&self, input: &Input, range: Range<u64>) -> Result<Vec<u8>, CheckpointError> {
        match &self.layout.storage {
            Storage::File(span) => input.bytes(Span { at: span.at + range.start, length: range.end - range.start }),
            Storage::Memory(bytes) => Ok(bytes[range.start as usize..range.end as usize].to_vec()),
            // An array fills its entry, so this is all of it.
            Storage::Entry(entry, before) => unpack(input, entry, before + range.start, range.end - range.start),
        }
    }

    fn fault(&self, input: &Input, fault: &str) -> CheckpointError {
        CheckpointError::Tensor { path: input.path.clone(), name: self.name.clone(), fault: fault.to_owned() }
    }
}

/// Bytes of an entry from `from` on. Those that reach its end are compared with its checksum.
pub(super) fn unpack(input: &Input, entry: &Entry, from: u64, length: u64) -> Result<Vec<u8>, CheckpointError> {
    let fault = |fault| CheckpointError::Zip { path: input.path.clone(), entry: entry.name.clone(), fault };
    let mut packed = Packed(Reader::new(input, entry.packed));
    let mut stream: Box<dyn std::io::Read> =
        if entry.deflated { Box::new(DeflateDecoder::new(&mut packed)) } else { Box::new(&mut packed) };
    let mut checksum = Crc::new();
    let mut piece = vec![0; from.min(1 << 16) as usize];
    let mut before = from;
    while before > 0 {
        let most = before.min(piece.len() as u64) as usize;
        let read = stream.read(&mut piece[..most]).map_err(|_| fault("is damaged"))?;
        if read == 0 {
            return Err(fault("ends before its length is reached"));
        }
        checksum.update(&piece[..read]);
        before -= read as u64;
    }
    let mut bytes = Vec::new();
    let fits = usize::try_from(length).is_ok_and(|length| bytes.try_reserve_exact(length).is_ok());
    if !fits {
        return Err(fault("is larger than the memory"));
    }
    stream.take(length).read_to_end(&mut bytes).map_err(|_| fault("is damaged"))?;
    if bytes.len() as u64 != length {
        return Err(fault("ends before its length is reached"));
    }
    checksum.update(&bytes);
    if from + length == entry.length && checksum.sum() != entry.checksum {
        return Err(fault("does not have its checksum"));
    }
    Ok(bytes)
}

/// The standard library's view of a [`Reader`].
struct Packed<'input>(Reader<'input>);

impl std::io::Read for Packed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.0.left().min(buffer.len() as u64);
        let bytes = self.0.take(length.min(1 << 16)).map_err(std::io::Error::other)?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

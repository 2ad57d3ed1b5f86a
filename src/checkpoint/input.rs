//! A file of unknown origin, read by position and in pieces: nothing is taken into memory for what a file only claims.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::CheckpointError;

/// Bytes read ahead at once.
const PIECE: usize = 1 << 16;

/// An open file, and what messages about it need.
#[derive(Debug)]
pub(super) struct Input {
    content: Content,
    pub(super) path: PathBuf,
    pub(super) length: u64,
}

/// Where the bytes are.
#[derive(Debug)]
enum Content {
    File(File),
    Memory(Vec<u8>),
}

/// Bytes of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) at: u64,
    pub(super) length: u64,
}

impl Span {
    /// The byte after the last; saturates, so that it lies in no file if there is no such number.
    pub(super) fn end(self) -> u64 {
        self.at.saturating_add(self.length)
    }
}

impl Input {
    pub(super) fn open(path: &Path) -> Result<Input, CheckpointError> {
        let cannot = |source| CheckpointError::Io { path: path.to_owned(), source };
        // The kind is asked for before the file is opened: to open a pipe waits for a writer.
        let about = std::fs::metadata(path).map_err(cannot)?;
        if !about.is_file() {
            return Err(CheckpointError::Format { path: path.to_owned(), found: "not a file".to_owned() });
        }
        let content = Content::File(File::open(path).map_err(cannot)?);
        Ok(Input { content, path: path.to_owned(), length: about.len() })
    }

    /// What was read from a file already; `path` is for messages.
    pub(super) fn of_bytes(path: &Path, bytes: Vec<u8>) -> Input {
        Input { length: bytes.len() as u64, content: Content::Memory(bytes), path: path.to_owned() }
    }

    /// All bytes of the file.
    pub(super) fn whole(&self) -> Span {
        Span { at: 0, length: self.length }
    }

    /// Fills the buffer with the bytes from `at` on.
    pub(super) fn read(&self, at: u64, buffer: &mut [u8]) -> Result<(), CheckpointError> {
        let end = at.checked_add(buffer.len() as u64).filter(|end| *end <= self.length);
        if end.is_none() {
            return Err(CheckpointError::Truncated { path: self.path.clone(), at, needed: buffer.len() as u64 });
        }
        match &self.content {
            Content::File(file) => file
                .read_exact_at(buffer, at)
                .map_err(|source| CheckpointError::Io { path: self.path.clone(), source })?,
            Content::Memory(bytes) => buffer.copy_from_slice(&bytes[at as usize..][..buffer.len()]),
        }
        Ok(())
    }

    /// The bytes of a span, which takes memory only after it is known to lie in the file.
    pub(super) fn bytes(&self, span: Span) -> Result<Vec<u8>, CheckpointError> {
        let length = usize::try_from(span.length)
            .ok()
            .filter(|_| span.end() <= self.length)
            .ok_or_else(|| CheckpointError::Truncated { path: self.path.clone(), at: span.at, needed: span.length })?;
        let mut bytes = vec![0; length];
        self.read(span.at, &mut bytes)?;
        Ok(bytes)
    }
}

/// Reads a span of the file from front to back.
#[derive(Debug)]
pub(super) struct Reader<'input> {
    pub(super) input: &'input Input,
    position: u64,
    end: u64,
    buffer: Vec<u8>,
    /// The part of the buffer that is still to be read; it ends where `position` is.
    used: usize,
}

impl<'input> Reader<'input> {
    pub(super) fn new(input: &'input Input, span: Span) -> Reader<'input> {
        Reader { input, position: span.at, end: span.end().min(input.length), buffer: Vec::new(), used: 0 }
    }

    /// Where the next byte lies in the file.
    pub(super) fn at(&self) -> u64 {
        self.position - (self.buffer.len() - self.used) as u64
    }

    pub(super) fn left(&self) -> u64 {
        self.end - self.at()
    }

    pub(super) fn byte(&mut self) -> Result<u8, CheckpointError> {
        if self.used == self.buffer.len() {
            self.refill()?;
        }
        self.used += 1;
        Ok(self.buffer[self.used - 1])
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], CheckpointError> {
        let mut array = [0; N];
        for byte in &mut array {
            *byte = self.byte()?;
        }
        Ok(array)
    }

    /// The next bytes; no more memory is taken than they fill in the file.
    pub(super) fn take(&mut self, length: u64) -> Result<Vec<u8>, CheckpointError> {
        let from = self.used;
        let span = self.skip(length)?;
        match self.buffer.get(from..self.used) {
            Some(bytes) if bytes.len() as u64 == length => Ok(bytes.to_vec()),
            _ => self.input.bytes(span),
        }
    }

    /// Passes over bytes without reading them.
    pub(super) fn skip(&mut self, length: u64) -> Result<Span, CheckpointError> {
        let span = Span { at: self.at(), length };
        if length > self.left() {
            return Err(self.truncated(length));
        }
        let ahead = (self.buffer.len() - self.used) as u64;
        if length <= ahead {
            self.used += length as usize;
        } else {
            self.position = span.end();
            self.buffer.clear();
            self.used = 0;
        }
        Ok(span)
    }

    /// The bytes up to the end of the line, which is passed over; at most `most`.
    pub(super) fn line(&mut self, most: usize) -> Result<Vec<u8>, CheckpointError> {
        let at = self.at();
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => return Ok(line),
                _ if line.len() == most => {
                    return Err(CheckpointError::Pickle {
                        path: self.input.path.clone(),
                        at,
                        fault: "a line too long",
                    });
                }
                byte => line.push(byte),
            }
        }
    }

    fn refill(&mut self) -> Result<(), CheckpointError> {
        let length = (self.end - self.position).min(PIECE as u64) as usize;
        if length == 0 {
            return Err(self.truncated(1));
        }
        self.buffer.resize(length, 0);
        self.used = 0;
        self.input.read(self.position, &mut self.buffer).inspect_err(|_| self.buffer.clear())?;
        self.position += length as u64;
        Ok(())
    }

    fn truncated(&self, needed: u64) -> CheckpointError {
        CheckpointError::Truncated { path: self.input.path.clone(), at: self.at(), needed }
    }
}

//! The table of a zip file: where each entry's bytes lie. Nothing is ever unpacked to a path.
//!
//! Format: PKWARE's APPNOTE.TXT, with the 64-bit records that large checkpoints have. What neither PyTorch nor NumPy
//! writes is refused: encryption, several disks, methods other than "stored" and "deflated", two entries of one name,
//! entries that overlap, names that lead out of the archive, a name or size that differs from one table to the other.

use std::collections::BTreeSet;

use super::CheckpointError;
use super::input::{Input, Span};

/// Entries in one file: a checkpoint has one for each tensor.
const MOST_ENTRIES: u64 = 65_536;
/// Bytes of the table of entries.
const LONGEST_TABLE: u64 = 8 << 20;
/// How messages call the table.
const TABLE: &str = "the table of entries";
const LONGEST_NAME: usize = 1024;

/// One entry.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Its bytes in the file.
    pub(super) packed: Span,
    /// Bytes that it claims to have when it is unpacked.
    pub(super) length: u64,
    pub(super) deflated: bool,
    pub(super) checksum: u32,
    /// Where its own header begins.
    header: u64,
}

/// All entries, in the order of the table.
pub(super) fn entries(input: &Input) -> Result<Vec<Entry>, CheckpointError> {
    let Some((count, table)) = find_table(input)? else {
        let fault = "is not at the end of the file";
        return Err(CheckpointError::Zip { path: input.path.clone(), entry: TABLE.to_owned(), fault });
    };
    if count > MOST_ENTRIES || table.length > LONGEST_TABLE {
        return Err(CheckpointError::Limit { path: input.path.clone(), what: "entries", most: MOST_ENTRIES });
    }
    let bytes = input.bytes(table)?;
    let mut rest = bytes.as_slice();
    let mut entries: Vec<Entry> = Vec::new();
    for _ in 0..count {
        entries.push(entry(input, &mut rest)?);
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = entries.iter().find(|entry| !names.insert(entry.name.as_str())) {
        return Err(CheckpointError::Zip {
            path: input.path.clone(),
            entry: twice.name.clone(),
            fault: "is there twice",
        });
    }
    for entry in &mut entries {
        place(input, entry)?;
    }
    let mut places: Vec<(u64, u64, &str)> =
        entries.iter().map(|entry| (entry.header, entry.packed.end(), entry.name.as_str())).collect();
    places.push((table.at, table.end(), TABLE));
    places.sort_unstable();
    match places.windows(2).find(|pair| pair[0].1 > pair[1].0) {
        Some(pair) => Err(CheckpointError::Zip {
            path: input.path.clone(),
            entry: pair[0].2.to_owned(),
            fault: "overlaps with what follows it",
        }),
        None => Ok(entries),
    }
}

/// The number of entries, and where their table lies, from the record at the end of the file.
fn find_table(input: &Input) -> Result<Option<(u64, Span)>, CheckpointError> {
    const RECORD: usize = 22;
    let tail_length = input.length.min(RECORD as u64 + u64::from(u16::MAX));
    let tail_at = input.length - tail_length;
    let tail = input.bytes(Span { at: tail_at, length: tail_length })?;
    // The record ends with a comment, which fills the rest of the file.
    let is_record = |at: &usize| {
        let record = &tail[*at..];
        record.starts_with(b"PK\x05\x06") && RECORD + usize::from(u16_at(record, 20)) == record.len()
    };
    let Some(at) = (0..(tail.len() + 1).saturating_sub(RECORD)).rev().find(is_record) else { return Ok(None) };
    let record = &tail[at..];
    let (disk, count, length, offset) = (u16_at(record, 4), u16_at(record, 10), u32_at(record, 12), u32_at(record, 16));
    if disk != u16::MAX && (disk != 0 || u16_at(record, 8) != count) {
        return Ok(None);
    }
    let plain = Span { at: offset.into(), length: length.into() };
    if count != u16::MAX && length != u32::MAX && offset != u32::MAX {
        return Ok(Some((count.into(), plain)));
    }
    // Some number does not fit: a record of 64 bits lies before, and in front of this one the place where.
    let Some(locator_at) = (tail_at + at as u64).checked_sub(20) else { return Ok(None) };
    let mut locator = [0; 20];
    input.read(locator_at, &mut locator)?;
    if !locator.starts_with(b"PK\x06\x07") {
        return Ok((length != u32::MAX && offset != u32::MAX).then_some((count.into(), plain)));
    }
    let mut large = [0; 56];
    input.read(u64_at(&locator, 8), &mut large)?;
    let is_large = large.starts_with(b"PK\x06\x06") && u32_at(&large, 16) == 0;
    Ok(is_large.then(|| (u64_at(&large, 32), Span { at: u64_at(&large, 48), length: u64_at(&large, 40) })))
}

/// Reads one row of the table.
fn entry(input: &Input, rest: &mut &[u8]) -> Result<Entry, CheckpointError> {
    let fault = |entry: &str, fault| CheckpointError::Zip { path: input.path.clone(), entry: entry.to_owned(), fault };
    let short = "is cut short";
    let (row, after) = rest.split_at_checked(46).ok_or_else(|| fault(TABLE, short))?;
    if !row.starts_with(b"PK\x01\x02") {
        return Err(fault(TABLE, "is damaged"));
    }
    let (name, after) = after.split_at_checked(u16_at(row, 28).into()).ok_or_else(|| fault(TABLE, short))?;
    let (extra, after) = after.split_at_checked(u16_at(row, 30).into()).ok_or_else(|| fault(TABLE, short))?;
    let (_comment, after) = after.split_at_checked(u16_at(row, 32).into()).ok_or_else(|| fault(TABLE, short))?;
    *rest = after;
    if name.len() > LONGEST_NAME {
        return Err(CheckpointError::Limit {
            path: input.path.clone(),
            what: "bytes of a name",
            most: LONGEST_NAME as u64,
        });
    }
    let name = str::from_utf8(name).map_err(|_| fault(TABLE, "has a name that is no text"))?;
    // `C:` is a drive; other colons are in names that TensorFlow gives.
    let is_drive = name.as_bytes().get(1) == Some(&b':');
    let leads_out = name.split('/').any(|part| part == "..") || name.starts_with('/') || is_drive;
    if leads_out || name.contains(['\\', '\0']) {
        return Err(fault(name, "is a name that leads out of the archive"));
    }
    if u16_at(row, 8) & 1 != 0 {
        return Err(fault(name, "is encrypted"));
    }
    let method = u16_at(row, 10);
    if method != 0 && method != 8 {
        return Err(fault(name, "is packed in a way that is not read; \"stored\" and \"deflated\" are"));
    }
    let [length, packed, header] = large_sizes(extra, [u32_at(row, 24), u32_at(row, 20), u32_at(row, 42)])
        .ok_or_else(|| fault(name, "has no sizes"))?;
    if method == 0 && length != packed {
        return Err(fault(name, "is stored as it is, but in another size"));
    }
    Ok(Entry {
        name: name.to_owned(),
        packed: Span { at: header, length: packed },
        length,
        deflated: method == 8,
        checksum: u32_at(row, 16),
        header,
    })
}

/// Sizes of 64 bits for those that do not fit in 32, from the extra field number 1.
fn large_sizes(mut extra: &[u8], small: [u32; 3]) -> Option<[u64; 3]> {
    let mut large: &[u8] = &[];
    while let Some((head, rest)) = extra.split_at_checked(4) {
        let (field, rest) = rest.split_at_checked(u16_at(head, 2).into())?;
        if u16_at(head, 0) == 1 {
            large = field;
        }
        extra = rest;
    }
    let mut sizes = small.map(u64::from);
    for size in sizes.iter_mut().filter(|size| **size == u64::from(u32::MAX)) {
        let (number, rest) = large.split_at_checked(8)?;
        *size = u64_at(number, 0);
        large = rest;
    }
    Some(sizes)
}

/// Finds the entry's bytes, which follow its own header.
fn place(input: &Input, entry: &mut Entry) -> Result<(), CheckpointError> {
    let fault = |fault| CheckpointError::Zip { path: input.path.clone(), entry: entry.name.clone(), fault };
    let mut header = [0; 30];
    input.read(entry.header, &mut header)?;
    let name_length = u16_at(&header, 26);
    if !header.starts_with(b"PK\x03\x04") || usize::from(name_length) != entry.name.len() {
        return Err(fault("has a header that differs from the table of entries"));
    }
    let name = input.bytes(Span { at: entry.header + 30, length: name_length.into() })?;
    if name != entry.name.as_bytes() {
        return Err(fault("has a header that differs from the table of entries"));
    }
    let at = entry.header + 30 + u64::from(name_length) + u64::from(u16_at(&header, 28));
    let packed = Span { at, length: entry.packed.length };
    if packed.end() > input.length {
        return Err(fault("does not fit in the file"));
    }
    entry.packed = packed;
    Ok(())
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

//! LMDB data files (`data.mdb`), read without the C library, which trusts a file and can crash on a damaged one.
//!
//! The format is that of `mdb.c` in LMDB 0.9: pages of one size; two meta pages, of which the newer counts; from there
//! a B+tree of branch pages and leaf pages in the order of the keys; values too large for a leaf lie on overflow pages.
//! Here only files of 64-bit little-endian machines, and only the main database with plain, unique keys. Such are the
//! files of LSUN.

use std::collections::HashSet;
use std::io;

/// Entries that a file may claim to have; the largest category of LSUN that is not in parts has 3 million.
const MOST_ENTRIES: u64 = 1 << 24;
/// Levels that a tree may have (`CURSOR_STACK`).
const MOST_LEVELS: u64 = 32;

const MAGIC: u64 = 0xbeef_c0de;
const VERSION: u64 = 1;
/// The root of an empty tree (`P_INVALID`).
const NO_PAGE: u64 = u64::MAX;

/// Bytes before a page's content: its number (8), padding (2), flags (2), the bounds of its free space (2 and 2).
const HEADER: usize = 16;
/// Bytes of a meta page that count.
const META: usize = 152;
/// Bytes before a node's key: size of the value (4), flags (2), size of the key (2).
const NODE: usize = 8;

const BRANCH: u64 = 0x01;
const LEAF: u64 = 0x02;
const OVERFLOW: u64 = 0x04;
const META_PAGE: u64 = 0x08;
/// The flags that say what a page is; the others are marks of a running transaction.
const KINDS: u64 = 0x6f;

/// The flag of a node whose value is on overflow pages.
const BIG_VALUE: u64 = 0x01;
/// The flag of a node that is a database of its own.
const DATABASE: u64 = 0x02;

/// Why a file cannot be read as an LMDB database.
#[derive(Debug, thiserror::Error)]
pub enum LmdbError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file ends within its meta pages.
    #[error("{length} bytes are too few for an LMDB data file; fetch it again")]
    Short {
        /// The length of the file.
        length: u64,
    },
    /// Not this format, or that of a 32-bit or big-endian machine.
    #[error("meta page {page} has the magic number {found:#010x} instead of {MAGIC:#010x}; is it an LMDB data file?")]
    Magic {
        /// The meta page, 0 or 1.
        page: u64,
        /// Its magic number.
        found: u64,
    },
    /// Another version of the format.
    #[error("the data file has version {found} of the format; only {VERSION} can be read")]
    Version {
        /// The version.
        found: u64,
    },
    /// A page size that LMDB does not use.
    #[error(
        "meta page {page} claims pages of {found} bytes, not a power of two from 512 to 32768, or not that of page 0"
    )]
    PageSize {
        /// The meta page, 0 or 1.
        page: u64,
        /// The page size.
        found: u64,
    },
    /// Duplicate keys, or keys that are not in the order of their bytes.
    #[error("the main database has the flags {flags:#06x} (DUPSORT 4, REVERSEKEY 2, INTEGERKEY 8); only 0 can be read")]
    Flags {
        /// The flags of the database.
        flags: u64,
    },
    /// The main database holds named databases.
    #[error("the entry {key:?} is a database of its own; only a file with a single database can be read")]
    Databases {
        /// The name of the inner database.
        key: String,
    },
    /// More entries or levels than any known file has.
    #[error("the file claims {entries} entries on {levels} levels; at most {MOST_ENTRIES} and {MOST_LEVELS} are read")]
    TooLarge {
        /// The number of entries.
        entries: u64,
        /// The depth of the tree.
        levels: u64,
    },
    /// A page that is not there.
    #[error("page {page} is referred to, but there are only {pages}; the file is cut short or damaged, fetch it again")]
    Outside {
        /// The number of the page.
        page: u64,
        /// The number of pages.
        pages: u64,
    },
    /// A page that is not as it should be.
    #[error("page {page} is damaged: {what}; fetch the file again")]
    Damaged {
        /// The number of the page.
        page: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// There are more or fewer entries than the file says.
    #[error("the file has {found} entries where its meta page says {expected}; fetch it again")]
    Count {
        /// Entries read, at most one too many.
        found: u64,
        /// Entries according to the meta page.
        expected: u64,
    },
}

/// A key, and where in the file its value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Vec<u8>,
    /// The position of the first byte of the value.
    pub start: u64,
    /// The number of bytes of the value.
    pub length: u64,
}

/// The entries of the main database in the order of their keys. `read` fills a buffer with the bytes of the file from a
/// position on, and `length` is that of the file.
///
/// Each page is read at most once; of values only the header of their first page. Time and memory are in proportion to
/// what is in the file, whatever it claims.
///
/// # Errors
/// A file that cannot be read, that is damaged, or that is of another kind; see the top of this module.
pub fn entries(read: impl Fn(&mut [u8], u64) -> io::Result<()>, length: u64) -> Result<Vec<Entry>, LmdbError> {
    let meta = newer_meta(&read, length)?;
    if meta.flags != 0 {
        return Err(LmdbError::Flags { flags: meta.flags });
    }
    if meta.entries > MOST_ENTRIES || meta.levels > MOST_LEVELS {
        return Err(LmdbError::TooLarge { entries: meta.entries, levels: meta.levels });
    }
    let mut pages = Pages { read, size: meta.page_size, count: meta.pages, visited: HashSet::new() };
    let mut entries: Vec<Entry> = Vec::new();
    // Pages still to be read and their levels, the next one last.
    let mut pending = if meta.root == NO_PAGE { vec![] } else { vec![(meta.root, 1)] };
    while let Some((number, level)) = pending.pop() {
        // All leaves are on the last level.
        let page = pages.load(number, if level < meta.levels { BRANCH } else { LEAF })?;
        if level < meta.levels {
            let children = page.nodes()?.into_iter().map(|node| Ok((page.number(node, 6)?, level + 1)));
            pending.extend(children.rev().collect::<Result<Vec<_>, LmdbError>>()?);
            continue;
        }
        for node in page.nodes()? {
            let entry = pages.entry(&page, node)?;
            if entries.last().is_some_and(|last| last.key >= entry.key) {
                return Err(page.damaged("its keys are not in order"));
            }
            entries.push(entry);
            if entries.len() as u64 > meta.entries {
                return Err(LmdbError::Count { found: entries.len() as u64, expected: meta.entries });
            }
        }
    }
    if entries.len() as u64 != meta.entries {
        return Err(LmdbError::Count { found: entries.len() as u64, expected: meta.entries });
    }
    Ok(entries)
}

/// Where the main database begins (`MDB_meta`).
struct Meta {
    page_size: u64,
    /// Flags of the main database.
    flags: u64,
    levels: u64,
    entries: u64,
    root: u64,
    /// Pages that are both in use and in the file.
    pages: u64,
    transaction: u64,
}

/// The meta page of the later transaction, the first of equals.
fn newer_meta(read: &impl Fn(&mut [u8], u64) -> io::Result<()>, length: u64) -> Result<Meta, LmdbError> {
    let first = meta(read, 0, 0, length)?;
    let second = meta(read, 1, first.page_size, length)?;
    if second.page_size != first.page_size {
        return Err(LmdbError::PageSize { page: 1, found: second.page_size });
    }
    Ok(if second.transaction > first.transaction { second } else { first })
}

fn meta(
    read: &impl Fn(&mut [u8], u64) -> io::Result<()>,
    page: u64,
    position: u64,
    length: u64,
) -> Result<Meta, LmdbError> {
    // At most 32 KiB + META: no overflow.
    if length < position + META as u64 {
        return Err(LmdbError::Short { length });
    }
    let mut bytes = vec![0; META];
    read(&mut bytes, position)?;
    let bytes = Page { number: page, bytes };
    let found = bytes.number(16, 4)?;
    if found != MAGIC {
        return Err(LmdbError::Magic { page, found });
    }
    if bytes.number(10, 2)? & KINDS != META_PAGE {
        return Err(bytes.damaged("it is not a meta page"));
    }
    let found = bytes.number(20, 4)?;
    if found != VERSION {
        return Err(LmdbError::Version { found });
    }
    let page_size = bytes.number(40, 4)?;
    if !page_size.is_power_of_two() || !(512..=32768).contains(&page_size) {
        return Err(LmdbError::PageSize { page, found: page_size });
    }
    Ok(Meta {
        page_size,
        flags: bytes.number(92, 2)?,
        levels: bytes.number(94, 2)?,
        entries: bytes.number(120, 8)?,
        root: bytes.number(128, 8)?,
        pages: (length / page_size).min(bytes.number(136, 8)?.saturating_add(1)),
        transaction: bytes.number(144, 8)?,
    })
}

/// The pages of a file, each to be visited once.
struct Pages<Read> {
    read: Read,
    size: u64,
    count: u64,
    visited: HashSet<u64>,
}

impl<Read: Fn(&mut [u8], u64) -> io::Result<()>> Pages<Read> {
    /// The page of this number, which must be of this kind.
    fn load(&mut self, number: u64, kind: u64) -> Result<Page, LmdbError> {
        if number >= self.count {
            return Err(LmdbError::Outside { page: number, pages: self.count });
        }
        let mut page = Page { number, bytes: vec![0; if kind == OVERFLOW { HEADER } else { self.size as usize }] };
        if number < 2 || !self.visited.insert(number) {
            return Err(page.damaged("it is used twice"));
        }
        (self.read)(&mut page.bytes, number * self.size)?;
        if page.number(0, 8)? != number {
            return Err(page.damaged("it has the number of another page"));
        }
        if page.number(10, 2)? & KINDS != kind {
            return Err(page.damaged("it is not of the kind that belongs here"));
        }
        Ok(page)
    }

    /// The entry of the node at this place of a leaf page.
    fn entry(&mut self, page: &Page, node: usize) -> Result<Entry, LmdbError> {
        let [length, flags, key_length] = [(0, 4), (4, 2), (6, 2)].map(|(at, width)| page.number(node + at, width));
        let (length, flags, key_end) = (length?, flags?, node + NODE + key_length? as usize);
        let key = page.bytes.get(node + NODE..key_end).filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| page.damaged("a key is empty, or reaches beyond it"))?.to_vec();
        let start = match flags {
            0 if key_end as u64 + length > self.size => return Err(page.damaged("a value reaches beyond it")),
            0 => page.number * self.size + key_end as u64,
            BIG_VALUE => self.overflow(page.number(key_end, 8)?, length)?,
            DATABASE => return Err(LmdbError::Databases { key: String::from_utf8_lossy(&key).into_owned() }),
            _ => return Err(page.damaged("an entry has unknown flags")),
        };
        Ok(Entry { key, start, length })
    }

    /// The position of a value of this length on the overflow pages from `number` on.
    fn overflow(&mut self, number: u64, length: u64) -> Result<u64, LmdbError> {
        let page = self.load(number, OVERFLOW)?;
        let count = page.number(12, 4)?;
        // A smaller value may have taken the place of a larger one, so that pages are left over.
        if count < (HEADER as u64 + length).div_ceil(self.size) {
            return Err(page.damaged("its value reaches beyond its overflow pages"));
        }
        // Neither sum can overflow: `number` is below `count`, a length divided by 512, and the others have 32 bits.
        if number + count > self.count {
            return Err(LmdbError::Outside { page: number + count - 1, pages: self.count });
        }
        if !(number + 1..number + count).all(|other| self.visited.insert(other)) {
            return Err(page.damaged("another page is one of its overflow pages, too"));
        }
        Ok(number * self.size + HEADER as u64)
    }
}

/// A page, or its beginning.
struct Page {
    number: u64,
    bytes: Vec<u8>,
}

impl Page {
    /// The places of the page's nodes, in the order of their keys.
    fn nodes(&self) -> Result<Vec<usize>, LmdbError> {
        let (lower, upper) = (self.number(12, 2)? as usize, self.number(14, 2)? as usize);
        if lower < HEADER || lower % 2 != 0 || upper < lower || upper > self.bytes.len() {
            return Err(self.damaged("the bounds of its free space are wrong"));
        }
        let nodes = (HEADER..lower).step_by(2).map(|at| Ok(self.number(at, 2)? as usize));
        let nodes = nodes.collect::<Result<Vec<_>, LmdbError>>()?;
        match nodes.iter().find(|node| **node < upper) {
            Some(_) => Err(self.damaged("a node is in its free space")),
            None => Ok(nodes),
        }
    }

    /// The little-endian number of `width` bytes at this place.
    fn number(&self, at: usize, width: usize) -> Result<u64, LmdbError> {
        let bytes = self.bytes.get(at..at + width).ok_or_else(|| self.damaged("a node reaches beyond it"))?;
        Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn damaged(&self, what: &'static str) -> LmdbError {
        LmdbError::Damaged { page: self.number, what }
    }
}

#[cfg(test)]
mod tests;

//! Fixtures by the Python package `lmdb` (`tests/fixtures/lmdb/make.py`), and damaged ones.

use std::cell::Cell;
use std::io::Read as _;

use rand_mt::Mt;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::*;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/lmdb");

#[test]
fn entries_are_those_of_the_cursor_of_the_c_library() {
    let json: Value = serde_json::from_slice(&read("lmdb.json")).expect("JSON");
    for (name, expected) in json["files"].as_object().expect("files") {
        let bytes = fixture(name);
        let entries = walk_bytes(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut contents = Sha256::new();
        for entry in &entries {
            let value = &bytes[entry.start as usize..(entry.start + entry.length) as usize];
            for part in [&entry.key[..], value] {
                contents.update((part.len() as u64).to_le_bytes());
                contents.update(part);
            }
        }
        assert_eq!(Some(entries.len() as u64), expected["entries"].as_u64(), "{name}");
        let sha256: String = contents.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(sha256, expected["sha256"], "{name}");
    }
}

#[test]
fn pages_may_have_any_size_of_lmdb() {
    for size in [512, 4096, 16384, 32768] {
        let bytes = single_leaf(size, &[(b"a", b"first"), (b"b", b""), (b"ba", b"last")]);
        let entries = walk_bytes(&bytes).expect("valid");
        let values = entries.iter().map(|entry| &bytes[entry.start as usize..(entry.start + entry.length) as usize]);
        assert_eq!(values.collect::<Vec<_>>(), [&b"first"[..], b"", b"last"], "{size}");
        assert_eq!(entries.iter().map(|entry| &entry.key[..]).collect::<Vec<_>>(), [&b"a"[..], b"b", b"ba"]);
    }
}

#[test]
fn the_newer_meta_page_counts() {
    // The fixture has one transaction, in meta page 1; meta page 0 is still that of the empty file.
    let mut bytes = fixture("one");
    assert_eq!(walk_bytes(&bytes).expect("valid").len(), 1);
    bytes[144] = 9;
    assert_eq!(walk_bytes(&bytes).expect("valid").len(), 0);
    bytes[144] = bytes[4096 + 144];
    assert_eq!(walk_bytes(&bytes).expect("the first of equals").len(), 0);
}

#[test]
fn other_files_are_named() {
    let one = fixture("one");
    let leaf = walk_bytes(&one).expect("valid")[0].start as usize / 4096 * 4096;
    let patched = |at: usize, patch: &[u8]| {
        let mut bytes = one.clone();
        bytes[at..at + patch.len()].copy_from_slice(patch);
        bytes
    };
    let meta = 4096;
    let node = leaf + usize::from(u16::from_le_bytes([one[leaf + 16], one[leaf + 17]]));
    let mut far_child = fixture("long_keys");
    let root = far_child[meta + 128] as usize * 4096;
    let child = root + usize::from(u16::from_le_bytes([far_child[root + 16], far_child[root + 17]]));
    // The upper 16 of the 48 bits of a page number.
    far_child[child + 4] = 1;
    let unordered = single_leaf(4096, &[(b"b", b"1"), (b"a", b"2")]);
    let twice = single_leaf(4096, &[(b"a", b"1"), (b"a", b"2")]);
    let cases: [(&str, Vec<u8>, &str); 29] = [
        ("nothing", vec![], "0 bytes are too few"),
        ("no second meta page", one[..4096 + 151].to_vec(), "4247 bytes are too few"),
        ("zeros", vec![0; 8192], "meta page 0 has the magic number 0x00000000 instead of 0xbeefc0de"),
        ("no magic", patched(meta + 16, b"<htm"), "meta page 1 has the magic number 0x6d74683c"),
        ("version", patched(meta + 20, &[2]), "the data file has version 2 of the format; only 1 can be read"),
        ("no meta page", patched(10, &[2]), "page 0 is damaged: it is not a meta page"),
        ("page size 0", patched(40, &[0; 4]), "meta page 0 claims pages of 0 bytes"),
        ("page size 256", patched(40, &[0, 1]), "meta page 0 claims pages of 256 bytes"),
        ("page size 65536", patched(40, &[0, 0, 1]), "meta page 0 claims pages of 65536 bytes"),
        ("page size 4097", patched(40, &[1]), "meta page 0 claims pages of 4097 bytes"),
        ("two page sizes", patched(meta + 40, &[0, 32]), "meta page 1 claims pages of 8192 bytes"),
        ("duplicates", patched(meta + 92, &[4]), "the main database has the flags 0x0004 ("),
        ("reverse keys", patched(meta + 92, &[2]), "the main database has the flags 0x0002 ("),
        ("integer keys", patched(meta + 92, &[8]), "the main database has the flags 0x0008 ("),
        ("named", fixture("named"), "the entry \"inner\" is a database of its own;"),
        ("entries", patched(meta + 120, &[1, 0, 0, 0, 1]), "the file claims 4294967297 entries on 1 levels;"),
        ("levels", patched(meta + 94, &[33]), "the file claims 1 entries on 33 levels;"),
        ("two entries", patched(meta + 120, &[2]), "the file has 1 entries where its meta page says 2"),
        ("no entry", patched(meta + 120, &[0]), "the file has 1 entries where its meta page says 0"),
        ("root", patched(meta + 128, &[77]), "page 77 is referred to, but there are only 3;"),
        ("meta root", patched(meta + 128, &[1]), "page 1 is damaged: it is used twice"),
        ("last page", patched(meta + 136, &[1]), "page 2 is referred to, but there are only 2;"),
        ("child", far_child, "page 4294967"),
        ("cut short", one[..leaf].to_vec(), "page 2 is referred to, but there are only 2;"),
        ("page number", patched(leaf, &[9]), "page 2 is damaged: it has the number of another page"),
        ("branch", patched(leaf + 10, &[1]), "page 2 is damaged: it is not of the kind that belongs here"),
        ("node flags", patched(node + 4, &[4]), "page 2 is damaged: an entry has unknown flags"),
        ("order", unordered, "page 2 is damaged: its keys are not in order"),
        ("twice", twice, "page 2 is damaged: its keys are not in order"),
    ];
    for (name, bytes, expected) in cases {
        let message = walk_bytes(&bytes).expect_err(name).to_string();
        assert!(message.starts_with(expected), "{name}: {message}");
    }
}

#[test]
fn damaged_pages_are_named() {
    let cases: [(&str, usize, &[u8], &str); 9] = [
        ("lower bound", 12, &[17], "the bounds of its free space are wrong"),
        ("no lower bound", 12, &[0, 0], "the bounds of its free space are wrong"),
        ("upper bound", 14, &[255, 255], "the bounds of its free space are wrong"),
        ("node in free space", 16, &[0, 0], "a node is in its free space"),
        ("node outside", 16, &[0xff, 0xff], "a node reaches beyond it"),
        ("node at the end", 16, &[0xfc, 0x0f], "a node reaches beyond it"),
        ("no key", 4096 - 16 + 6, &[0], "a key is empty, or reaches beyond it"),
        ("long key", 4096 - 16 + 6, &[9], "a key is empty, or reaches beyond it"),
        ("long value", 4096 - 16, &[6], "a value reaches beyond it"),
    ];
    for (name, at, patch, expected) in cases {
        let mut bytes = single_leaf(4096, &[(b"key", b"value")]);
        assert_eq!(walk_bytes(&bytes).expect("valid").len(), 1);
        bytes[2 * 4096 + at..][..patch.len()].copy_from_slice(patch);
        let message = walk_bytes(&bytes).expect_err(name).to_string();
        assert_eq!(message, format!("page 2 is damaged: {expected}; fetch the file again"), "{name}");
    }
}

#[test]
fn overflow_pages_are_checked() {
    let good = fixture("twenty");
    let entries = walk_bytes(&good).expect("valid");
    let large: Vec<&Entry> = entries.iter().filter(|entry| entry.length > 30_000).collect();
    let first = (large[0].start as usize) - HEADER;
    let mut short = good.clone();
    short[first + 12] -= 1;
    let mut long = good.clone();
    long[first + 12..first + 16].fill(0xff);
    let mut shared = good.clone();
    shared[first + 12] += 1;
    // The value that just fits on its pages, and one more byte.
    let head = [&(large[0].length as u32).to_le_bytes()[..], &[1, 0, 6, 0], &large[0].key].concat();
    let node = good.windows(head.len()).rposition(|bytes| bytes == head).expect("its node");
    let most = u32::from(good[first + 12]) * 4096 - HEADER as u32;
    let mut full = good.clone();
    full[node..node + 4].copy_from_slice(&most.to_le_bytes());
    assert!(walk_bytes(&full).expect("valid").iter().any(|entry| entry.length == u64::from(most)));
    full[node..node + 4].copy_from_slice(&(most + 1).to_le_bytes());
    for (bytes, expected) in [
        (short, "its value reaches beyond its overflow pages"),
        (full, "its value reaches beyond its overflow pages"),
        (long, "is referred to, but there are only"),
        (shared, "is damaged"),
    ] {
        let message = walk_bytes(&bytes).expect_err(expected).to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn no_truncation_is_missed() {
    for name in ["one", "twenty", "long_keys"] {
        let good = fixture(name);
        let used = walk_bytes(&good).expect("valid").iter().map(|entry| entry.start + entry.length).max();
        for length in (0..used.expect("entries") as usize).step_by(509) {
            assert!(walk_bytes(&good[..length]).is_err(), "{name}: {length} bytes");
        }
    }
}

#[test]
fn no_damage_does_harm() {
    let mut random = Mt::new(1);
    for name in ["one", "long_keys", "twenty", "deleted"] {
        let good = fixture(name);
        let pages = good.len() / 4096;
        for round in 0..5000 {
            let mut bytes = good.clone();
            for _ in 0..=random.next_u32() % 4 {
                let page = random.next_u32() as usize % pages * 4096;
                // Half of the changes hit where the numbers are: meta data, the header of a page, its first nodes.
                let reach = if random.next_u32() < 1 << 31 { 160 } else { 4096 };
                let at = page + random.next_u32() as usize % reach;
                let word = random.next_u32();
                match word % 4 {
                    0 => bytes[at] ^= 1 << (word >> 8 & 7),
                    1 => bytes[at] = (word >> 8) as u8,
                    2 => bytes[at..(at + 8).min(page + 4096)].fill([0, 0xff, 0x7f, 1][(word >> 8 & 3) as usize]),
                    _ => {
                        let from = random.next_u32() as usize % pages * 4096;
                        bytes.copy_within(from..from + 4096, page);
                    }
                }
            }
            let reads = Cell::new(0);
            let read = |buffer: &mut [u8], position: u64| {
                reads.set(reads.get() + 1);
                read_bytes(&bytes, buffer, position)
            };
            let entries = entries(read, bytes.len() as u64).unwrap_or_default();
            let inside = entries.iter().all(|entry| entry.start + entry.length <= bytes.len() as u64);
            assert!(inside && reads.get() <= pages, "{name} {round}: {} reads of {pages} pages", reads.get());
        }
    }
}

fn walk_bytes(bytes: &[u8]) -> Result<Vec<Entry>, LmdbError> {
    entries(|buffer, position| read_bytes(bytes, buffer, position), bytes.len() as u64)
}

fn read_bytes(bytes: &[u8], buffer: &mut [u8], position: u64) -> io::Result<()> {
    (&bytes[position as usize..]).read_exact(buffer)
}

/// A file of two equal meta pages and a leaf.
fn single_leaf(size: usize, entries: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; 3 * size];
    let mut put = |at: usize, number: usize, width: usize| {
        bytes[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
    };
    for meta in [0, size] {
        let fields = [(0, meta / size, 8), (10, 8, 2), (16, MAGIC as usize, 4), (20, 1, 4), (40, size, 4), (94, 1, 2)];
        for (at, number, width) in fields.into_iter().chain([(120, entries.len(), 8), (128, 2, 8), (136, 2, 8)]) {
            put(meta + at, number, width);
        }
    }
    let mut upper = size;
    for (index, (key, value)) in entries.iter().enumerate() {
        upper -= NODE + key.len() + value.len();
        put(2 * size + HEADER + 2 * index, upper, 2);
        put(2 * size + upper, value.len(), 4);
        put(2 * size + upper + 6, key.len(), 2);
    }
    for (at, number, width) in [(0, 2, 8), (10, 2, 2), (12, HEADER + 2 * entries.len(), 2), (14, upper, 2)] {
        put(2 * size + at, number, width);
    }
    let mut upper = size;
    for (key, value) in entries {
        let node = [*key, *value].concat();
        bytes[2 * size + upper - node.len()..][..node.len()].copy_from_slice(&node);
        upper -= NODE + node.len();
    }
    bytes
}

fn fixture(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let compressed = read(&format!("{name}.mdb.gz"));
    flate2::read::GzDecoder::new(&compressed[..]).read_to_end(&mut bytes).expect("gzip");
    bytes
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(format!("{FIXTURES}/{name}")).expect("a fixture")
}

//! Every image of a dataset is read and decoded once, and what came of it is remembered.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rayon::prelude::*;

use super::DatasetError;
use super::member::{self, Member};
use crate::cache::{Cache, Entry};
use crate::fs::FsError;
use crate::picture;
use crate::progress::{self, SharedProgress};

/// What an image is found to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found {
    /// BLAKE3 of its bytes.
    Good(blake3::Hash),
    /// What is wrong with it.
    Bad(String),
}

/// An image that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadImage {
    /// Its number in the partition, from 0, before it was left out.
    pub index: usize,
    /// Its file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

/// Looks at every image: all are read and decoded, on all threads, unless none of them has changed since it was done before.
///
/// # Errors
/// Told to stop. What is wrong with an image is no error.
pub(super) fn check(name: &str, members: &[Member]) -> Result<Vec<Found>, DatasetError> {
    let key = key(members)?;
    // A cache that cannot be used costs time, not correctness.
    let entry = Cache::of_environment().and_then(|cache| cache.entry("images", &key)).ok();
    if let Some(Entry::Hit(content)) = &entry
        && let Some(found) = parse(&String::from_utf8_lossy(content)).filter(|found| found.len() == members.len())
    {
        return Ok(found);
    }
    let progress = SharedProgress::if_long(format!("check {name}"), members.len() as u64, "images");
    let found = members.par_iter().map(|member| {
        progress::check()?;
        let found = look_at(member);
        progress.advance(1);
        Ok(found)
    });
    let found = found.collect::<Result<Vec<Found>, DatasetError>>()?;
    if let Some(Entry::Miss(slot)) = entry {
        let _ = slot.store(found.iter().map(line).collect::<String>().as_bytes());
    }
    Ok(found)
}

fn key(members: &[Member]) -> Result<String, DatasetError> {
    let mut hasher = blake3::Hasher::new();
    // A change of an archive is one of every image in it.
    let archives: BTreeSet<&PathBuf> = members.iter().filter_map(Member::container).map(|path| &**path).collect();
    for archive in archives {
        hasher.update(format!("{}\n", member::stamp(archive)?).as_bytes());
    }
    let stamps: Vec<String> =
        members.par_iter().map(|member| member.stamp().unwrap_or_else(|error| error.to_string())).collect();
    for stamp in &stamps {
        hasher.update(format!("{stamp}\n").as_bytes());
    }
    let version = env!("CARGO_PKG_VERSION");
    Ok(format!("report {version} images 2\n{} blake3 {}\n", members.len(), hasher.finalize().to_hex()))
}

fn look_at(member: &Member) -> Found {
    let bad = |problem: String| Found::Bad(problem.replace(['\n', '\r'], " "));
    let bytes = match member.read_image() {
        Ok(bytes) => bytes,
        // The path is told beside it.
        Err(DatasetError::Fs(FsError::Io { source, .. })) => return bad(source.to_string()),
        Err(DatasetError::Archive { what, .. }) => return bad(what),
        Err(error) => return bad(error.to_string()),
    };
    match picture::decode(&bytes) {
        Ok(_) => Found::Good(blake3::hash(&bytes)),
        Err(error) => bad(error.to_string()),
    }
}

fn line(found: &Found) -> String {
    match found {
        Found::Good(sum) => format!("good {sum}\n"),
        Found::Bad(problem) => format!("bad {problem}\n"),
    }
}

fn parse(text: &str) -> Option<Vec<Found>> {
    let one = |line: &str| match line.split_once(' ')? {
        ("good", sum) => blake3::Hash::from_hex(sum).ok().map(Found::Good),
        ("bad", problem) => Some(Found::Bad(problem.to_owned())),
        _ => None,
    };
    text.lines().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_comes_back() {
        let found = vec![Found::Good(blake3::hash(b"a")), Found::Bad("the JPEG file is truncated".to_owned())];
        let text: String = found.iter().map(line).collect();
        assert_eq!(parse(&text), Some(found));
        for bad in ["good 1 2\n", "good\n", "better x\n", &text.replacen("good ", "good x", 1)] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}

//! `report cache`: what is kept on disk so that it is not computed twice, and its removal.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use indicatif::DecimalBytes;

use crate::cache::{Cache, Kept};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The entries below each of the folders: how many of a kind, their size and age; embeddings by their encoders.
pub fn list(folders: &[&Path]) -> Result<String> {
    let now = SystemTime::now();
    let mut text = String::new();
    for folder in folders {
        let kept = Cache::new(*folder).kept()?;
        let bytes = kept.iter().map(|entry| entry.bytes).sum();
        text.push_str(&format!("{}: {} in {} entries\n", folder.display(), DecimalBytes(bytes), kept.len()));
        let mut groups: BTreeMap<String, Vec<&Kept>> = BTreeMap::new();
        kept.iter().for_each(|entry| groups.entry(group(entry)).or_default().push(entry));
        for (group, entries) in groups {
            let bytes = entries.iter().map(|entry| entry.bytes).sum();
            let newest = entries.iter().map(|entry| days(entry, now)).min().unwrap_or(0);
            let age = if newest == 0 { "of today".to_owned() } else { format!("the newest {newest} days old") };
            text.push_str(&format!("  {group}: {} in {} entries, {age}\n", DecimalBytes(bytes), entries.len()));
        }
    }
    Ok(text)
}

/// Deletes entries of a kind, or of all, that were written more than so many days ago.
pub fn prune(folders: &[&Path], kind: Option<&str>, older_than_days: u32) -> Result<()> {
    let now = SystemTime::now();
    let (mut count, mut bytes, mut kinds) = (0, 0, Vec::new());
    for folder in folders {
        for entry in Cache::new(*folder).kept()? {
            if !kinds.contains(&entry.kind) {
                kinds.push(entry.kind.clone());
            }
            let is_old = now.duration_since(entry.written).is_ok_and(|age| age >= DAY * older_than_days);
            if kind.is_none_or(|kind| kind == entry.kind) && is_old {
                std::fs::remove_file(&entry.path)
                    .with_context(|| format!("{} cannot be deleted", entry.path.display()))?;
                count += 1;
                bytes += entry.bytes;
            }
        }
    }
    if let Some(kind) = kind
        && !kinds.iter().any(|known| known == kind)
    {
        kinds.sort();
        let known =
            if kinds.is_empty() { "nothing is kept".to_owned() } else { format!("there are {}", kinds.join(", ")) };
        bail!("nothing of kind `{kind}` is kept; {known}");
    }
    eprintln!("{count} entries deleted, {}", DecimalBytes(bytes));
    Ok(())
}

/// What an entry is listed under.
fn group(entry: &Kept) -> String {
    let line = |start: &str| entry.key.lines().find_map(|line| line.strip_prefix(start));
    match line("encoder ") {
        Some(encoder) => format!("{} of {encoder}, {}", entry.kind, line("precision ").unwrap_or("any precision")),
        None => entry.kind.clone(),
    }
}

fn days(entry: &Kept, now: SystemTime) -> u64 {
    now.duration_since(entry.written).map_or(0, |age| age.as_secs() / DAY.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Entry;
    use crate::fs::TestFolder;

    fn store(folder: &Path, kind: &str, key: &str, bytes: usize) {
        match Cache::new(folder).entry(kind, key).expect("no error") {
            Entry::Miss(slot) => slot.store(&vec![7; bytes]).expect("stored"),
            Entry::Hit(_) => panic!("nothing is there"),
        }
    }

    #[test]
    fn entries_are_listed_by_kind_and_encoder_and_pruned() {
        let folder = TestFolder::new("cache-command");
        let path = folder.0.as_path();
        store(path, "embeddings", "v\nencoder A, seed 1\nprecision Float32\nimages 1", 100);
        store(path, "embeddings", "v\nencoder A, seed 1\nprecision Float32\nimages 2", 100);
        store(path, "embeddings", "v\nencoder B\nprecision Float32\n", 50);
        store(path, "verified", "mnist", 1);
        std::fs::create_dir_all(path.join("runs/x")).expect("a folder of something else");
        std::fs::write(path.join("runs/x.json"), "{}").expect("no entry");
        let text = list(&[path]).expect("listed");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[0].ends_with("in 4 entries") && lines[0].starts_with(&*path.to_string_lossy()), "{text}");
        assert!(
            lines[1].starts_with("  embeddings of A, seed 1, Float32: ")
                && lines[1].ends_with("in 2 entries, of today")
        );
        assert!(lines[3].starts_with("  verified: "), "{text}");
        prune(&[path], None, 1).expect("nothing is so old");
        assert_eq!(list(&[path]).expect("listed"), text);
        let error = prune(&[path], Some("pictures"), 0).expect_err("no such kind").to_string();
        assert_eq!(error, "nothing of kind `pictures` is kept; there are embeddings, verified");
        prune(&[path], Some("embeddings"), 0).expect("deleted");
        assert!(list(&[path]).expect("listed").contains("in 1 entries\n  verified: "));
        assert!(path.join("runs/x.json").exists(), "what is no entry stays");
        assert!(list(&[&path.join("absent")]).expect("empty").ends_with("absent: 0 B in 0 entries\n"));
    }
}

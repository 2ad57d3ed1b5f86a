//! `report datasets`: which there are, whether they are here, and how to get them.

use std::path::Path;

use anyhow::Result;
use indicatif::DecimalBytes;

use crate::datasets::registry::{self, Group, Layout, Row};

/// The datasets in their groups, a line each: name, title, samples, classes, and whether it is here.
pub fn list(data: &Path) -> Result<String> {
    let rows = registry::rows()?;
    let width = |of: fn(&Row) -> &str| rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
    let (names, titles) = (width(|row| &row.name), width(|row| &row.title));
    let mut text = String::new();
    let mut group: Option<Group> = None;
    for row in &rows {
        if group != Some(row.group) {
            group = Some(row.group);
            let place = format!("{:heads$}  {:titles$}", row.group.title(), "", heads = names + 2);
            text += &format!("{place}  {:>7}  {:>7}  files\n", "samples", "classes");
        }
        let number = |count: Option<usize>| count.map_or("?".to_owned(), |count| count.to_string());
        let (samples, classes) = (number(row.samples), number(row.classes));
        let state = state(row, &rows, data);
        text += &format!(
            "  {:names$}  {:titles$}  {samples:>7}  {classes:>7}  {state}\n",
            row.name,
            row.title,
            names = names,
            titles = titles
        );
    }
    text += "`report fetch datasets NAME` downloads what can be downloaded, and says how to get the rest; `report datasets \
             verify NAME` checks what is here.\n";
    Ok(text)
}

fn state(row: &Row, rows: &[Row], data: &Path) -> String {
    if let (Layout::Variant, Some(of)) = (row.layout, &row.of) {
        return if row.is_here(rows, data) {
            format!("made from {of}")
        } else {
            format!("missing: it is made from {of}")
        };
    }
    if let Some(folder) = row.find(data) {
        return format!("here: {}", folder.display());
    }
    let size = row.bytes.map_or(String::new(), |bytes| format!("{}; ", DecimalBytes(bytes)));
    let licence = if row.licence == "not stated" { "licence not stated" } else { &row.licence };
    let way = if row.obtain.is_empty() { "missing" } else { "missing, to be had by hand" };
    format!("{way} ({size}{licence}): see {}", row.home)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::TestFolder;

    #[test]
    fn says_what_is_here_and_what_is_not() {
        let folder = TestFolder::new("datasets-command");
        std::fs::create_dir_all(folder.0.join("DTD/x")).expect("made");
        std::fs::create_dir_all(folder.0.join("fashion-mnist")).expect("made");
        std::fs::write(folder.0.join("fashion-mnist/t10k-images-idx3-ubyte"), b"").expect("written");
        let text = list(&folder.0).expect("a list");
        let line = |name: &str| {
            let start = format!("  {name} ");
            text.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{name}: {text}")).to_owned()
        };
        assert!(line("fashion-mnist").contains("here: "), "{text}");
        assert!(line("fashion-mnist-sketch").ends_with("made from fashion-mnist"), "{text}");
        assert!(line("dtd").contains("missing (625.24 MB; research): see https://"), "{text}");
        assert!(line("stanfordcars").contains("missing, to be had by hand (977.87 MB; licence not stated)"), "{text}");
        assert!(text.starts_with("In-domain "), "{text}");
        let groups =
            ["In-domain", "Domain-shift", "Near-OOD", "Fine-grained", "Far-OOD", "ImageNet-9", "Search", "Variants"];
        let found: Vec<&str> = text
            .lines()
            .filter(|line| line.ends_with("files"))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        assert_eq!(found, groups);
    }
}

//! Labels, the references to them, and the paths of pictures. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::diagnostic::{Diagnostic, nearest};
use crate::notebook::{Label, LabelKind};

/// After so many faulty references, the rest is only counted.
const MOST: usize = 50;

/// The references of a text event: the ranges of `@fig-x`, with the `@` and without punctuation that follows.
///
/// An `@` after a letter, a digit or `_` belongs to an address. An escaped one is a text event of its own (see
/// [`super::markdown`]), so it is never found here.
pub fn references(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices('@') {
        let before = text[..at].chars().next_back();
        let rest = &text[at + 1..];
        let inside_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let Some(prefix) = PREFIXES.iter().map(|(prefix, _)| prefix).find(|prefix| starts_with(rest, prefix)) else {
            continue;
        };
        let name = rest.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')).next().unwrap_or_default();
        let name = name.trim_end_matches(['-', '_']);
        if !inside_word && name.len() > prefix.len() {
            found.push(at..at + 1 + name.len());
        }
    }
    found
}

/// Where a text event that follows display maths labels it: the range of `{#eq-x}` with the spaces before it, and the
/// label.
pub fn equation_label(text: &str) -> Option<(Range<usize>, &str)> {
    let start = text.len() - text.trim_start_matches(' ').len();
    let inner = text[start..].strip_prefix("{#")?;
    let (label, _) = inner.split_once('}')?;
    let known = label.starts_with("eq-") && super::cell::is_label(label);
    known.then_some((0..start + label.len() + 3, label))
}

/// Whether a picture's path can only name a file below the notebook's folder.
pub fn stays_below(path: &str) -> bool {
    fault(path).is_none()
}

/// Why a picture's path is refused.
pub(super) fn fault(path: &str) -> Option<&'static str> {
    let Some(file) = decode(path) else {
        return Some("has a `%` that is not followed by the code of a UTF-8 character");
    };
    if file.is_empty() {
        return Some("is empty");
    }
    if file.contains(|c: char| c.is_control()) || file.contains('\\') {
        return Some("holds a control character or a backslash");
    }
    if file.starts_with('/') {
        return Some(if file.starts_with("//") { "is on another machine" } else { "is absolute" });
    }
    if let Some((scheme, _)) = file.split_once(':')
        && !scheme.contains('/')
    {
        return Some(match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => "is on another machine",
            "data" => "is data, not a file",
            _ => "is absolute",
        });
    }
    let mut depth = 0_usize;
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." if depth == 0 => return Some("leaves the notebook's folder"),
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    (depth == 0).then_some("is a folder")
}

/// The path with `%20` and the like decoded.
pub(super) fn decode(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// A name given to something in the notebook.
pub(super) struct Target {
    pub(super) name: String,
    pub(super) at: Range<usize>,
    /// The number of a heading that has this name.
    pub(super) section: Option<String>,
}

/// The labels that can be referred to, numbered, in order.
pub(super) fn labels(targets: &[Target], diagnostics: &mut Vec<Diagnostic>) -> Vec<Label> {
    let mut first: BTreeMap<&str, &Target> = BTreeMap::new();
    let mut counts = [0_usize; PREFIXES.len()];
    let mut labels = Vec::new();
    for target in targets {
        if let Some(other) = first.get(target.name.as_str()) {
            diagnostics.push(
                Diagnostic::error(format!("the label `{}` is given twice", target.name))
                    .at(target.at.clone(), "again here")
                    .at(other.at.clone(), "first here"),
            );
            continue;
        }
        first.insert(&target.name, target);
        let Some((row, kind)) = kind(&target.name) else { continue };
        if (kind == LabelKind::Section) != target.section.is_some() {
            continue;
        }
        counts[row] += 1;
        let number = target.section.clone().unwrap_or_else(|| counts[row].to_string());
        labels.push(Label { name: target.name.clone(), kind, number, span: target.at.clone() });
    }
    labels
}

/// References to nothing.
pub(super) fn dangling(uses: &[Range<usize>], text: &str, labels: &[Label], diagnostics: &mut Vec<Diagnostic>) {
    let known = labels.iter().map(|label| (label.name.as_str(), ())).collect::<BTreeMap<_, _>>();
    let name = |range: &Range<usize>| text.get(range.start + 1..range.end).unwrap_or_default();
    let faulty = uses.iter().filter(|range| !known.contains_key(name(range))).collect::<Vec<_>>();
    for range in faulty.iter().take(MOST) {
        let name = name(range);
        let fault = Diagnostic::error(format!("nothing is labelled `{name}`")).at((*range).clone(), "");
        // A long list helps no one, and comparing with it takes time.
        let near = nearest(name, known.keys().copied().take(1000));
        diagnostics.push(match near {
            Some(near) => fault.help(format!("did you mean `@{near}`?")),
            None => fault.help(how_to_label(name)),
        });
    }
    if let Some(more) = faulty.get(MOST) {
        let message = format!("{} more references to nothing follow", faulty.len() - MOST);
        diagnostics.push(Diagnostic::error(message).at((*more).clone(), "the first of them"));
    }
}

fn how_to_label(name: &str) -> String {
    let owner = match name.get(..4).map(str::to_ascii_lowercase).as_deref() {
        Some("sec-") => format!("a heading is labelled `## Title {{#{name}}}`"),
        Some("fig-" | "tbl-" | "lst-") => format!("a cell is labelled by a line `//| label: {name}` at its top"),
        _ => format!("a formula is labelled `$$ ... $$ {{#{name}}}`"),
    };
    format!("{owner}; an `@` that is no reference is written `\\@`")
}

/// What a label refers to, by its prefix.
const PREFIXES: [(&str, LabelKind); 5] = [
    ("fig-", LabelKind::Figure),
    ("tbl-", LabelKind::Table),
    ("sec-", LabelKind::Section),
    ("eq-", LabelKind::Equation),
    ("lst-", LabelKind::Listing),
];

fn kind(name: &str) -> Option<(usize, LabelKind)> {
    let row = PREFIXES.iter().position(|(prefix, _)| name.starts_with(prefix))?;
    Some((row, PREFIXES[row].1))
}

/// Whether `text` begins with `prefix` in any case: `@Fig-x` is a reference too, to a label that is not there.
fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

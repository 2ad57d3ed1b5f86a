//! Reads `key: value` lines, keeping the place of everything. One faulty key does not hide the others. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

use saphyr::{LoadableYamlNode, MarkedYaml, Marker, Scalar, YamlData};

use crate::diagnostic::Diagnostic;

/// A line of YAML without its newline, and where it begins in the notebook.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    pub(super) offset: usize,
}

/// One `key: value`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_range: Range<usize>,
    pub(super) value: Node,
    /// The value as written, if it is on one line.
    pub(super) raw: String,
}

/// A value and the place of its first line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) range: Range<usize>,
    pub(super) data: Data,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// The entries of a mapping, in order; of two entries with the same key the first is kept.
pub(super) fn entries(lines: &[Line<'_>], diagnostics: &mut Vec<Diagnostic>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut seen: BTreeMap<String, Range<usize>> = BTreeMap::new();
    for chunk in chunks(lines) {
        let found = match Chunk::new(chunk).entries() {
            Ok(found) => found,
            Err(diagnostic) => {
                diagnostics.push(*diagnostic);
                continue;
            }
        };
        for entry in found {
            if let Some(first) = seen.get(&entry.key) {
                diagnostics.push(
                    Diagnostic::error(format!("`{}` is given twice", entry.key))
                        .at(entry.key_range, "again here")
                        .at(first.clone(), "first here"),
                );
                continue;
            }
            seen.insert(entry.key.clone(), entry.key_range.clone());
            entries.push(entry);
        }
    }
    entries
}

/// Splits at the lines that begin a top-level key, so that each is parsed for itself.
fn chunks<'l, 'a>(lines: &'l [Line<'a>]) -> impl Iterator<Item = &'l [Line<'a>]> {
    let begins = |line: &Line<'_>| {
        let continues =
            line.text == "-" || line.text.starts_with("- ") || line.text.starts_with([' ', '\t', '#', ']', '}']);
        !line.text.trim().is_empty() && !continues
    };
    let mut rest = lines;
    std::iter::from_fn(move || {
        let blank = rest.iter().take_while(|line| line.text.trim().is_empty()).count();
        rest = &rest[blank..];
        let length = 1 + rest.iter().skip(1).take_while(|line| !begins(line)).count();
        let (chunk, after) = rest.split_at_checked(length)?;
        rest = after;
        Some(chunk)
    })
}

/// The lines of one top-level key.
struct Chunk<'l, 'a> {
    lines: &'l [Line<'a>],
    text: String,
}

impl<'l, 'a> Chunk<'l, 'a> {
    fn new(lines: &'l [Line<'a>]) -> Self {
        let text = lines.iter().map(|line| line.text).collect::<Vec<_>>().join("\n");
        Chunk { lines, text }
    }

    fn entries(&self) -> Result<Vec<Entry>, Box<Diagnostic>> {
        self.check()?;
        let documents = MarkedYaml::load_from_str(&self.text).map_err(|error| {
            let at = self.offset(*error.marker());
            let rest = self.line(*error.marker()).and_then(|line| line.text.get(at.checked_sub(line.offset)?..));
            let length = rest.unwrap_or_default().trim_end().chars().next().map_or(0, char::len_utf8);
            Box::new(
                Diagnostic::error(format!("this is not valid YAML: {}", error.info()))
                    .at(at..at + length, "")
                    .help("text with `: `, ` #` or a special first character needs quotes: `key: \"value\"`"),
            )
        })?;
        let fault = || {
            let line = self.lines[0];
            let start = line.offset + line.text.len() - line.text.trim_start().len();
            let end = line.offset + line.text.trim_end().len();
            let fault = Diagnostic::error("this is not `key: value`").at(start..end.max(start), "");
            let glued = line.text.split_once(':').filter(|(key, value)| !key.contains(' ') && !value.starts_with(' '));
            Box::new(match glued {
                Some((key, value)) => fault.help(format!("a space must follow the colon: `{key}: {value}`")),
                None => fault,
            })
        };
        match documents.as_slice() {
            [] => Ok(Vec::new()),
            [MarkedYaml { data: YamlData::Mapping(mapping), .. }] => {
                mapping.iter().map(|(key, value)| self.entry(key, value)).collect()
            }
            _ => Err(fault()),
        }
    }

    /// Refuses what would exhaust the YAML parser's stack or end its input early.
    fn check(&self) -> Result<(), Box<Diagnostic>> {
        const DEEPEST: usize = 32;
        const WIDEST: usize = 200;
        for line in self.lines {
            if let Some((at, control)) = line.text.char_indices().find(|(_, c)| c.is_control() && *c != '\t') {
                let at = line.offset + at;
                let message = format!("the control character U+{:04X} cannot stand here", u32::from(control));
                return Err(Box::new(Diagnostic::error(message).at(at..at + control.len_utf8(), "")));
            }
            let content = line.text.trim_start();
            let nested = content.split([' ', '\t']).take_while(|word| matches!(*word, "-" | "?" | "")).count();
            if nested > DEEPEST || line.text.len() - content.len() > WIDEST {
                let end = line.offset + line.text.len();
                return Err(Box::new(Diagnostic::error("this is nested too deeply").at(line.offset..end, "")));
            }
        }
        Ok(())
    }

    fn entry(&self, key: &MarkedYaml<'_>, value: &MarkedYaml<'_>) -> Result<Entry, Box<Diagnostic>> {
        let key_range = self.range(key);
        let name = match &key.data {
            YamlData::Value(Scalar::String(text)) => text.to_string(),
            YamlData::Value(_) => self.raw(key),
            _ => return Err(Box::new(Diagnostic::error("a key must be a word").at(key_range, ""))),
        };
        Ok(Entry { key: name, key_range, raw: self.raw(value), value: self.node(value)? })
    }

    fn node(&self, yaml: &MarkedYaml<'_>) -> Result<Node, Box<Diagnostic>> {
        let range = self.range(yaml);
        let data = match &yaml.data {
            YamlData::Value(Scalar::Null) => Data::Null,
            YamlData::Value(Scalar::Boolean(value)) => Data::Bool(*value),
            YamlData::Value(Scalar::Integer(value)) => Data::Int(*value),
            YamlData::Value(Scalar::FloatingPoint(value)) => Data::Float(**value),
            YamlData::Value(Scalar::String(text)) => Data::Text(text.to_string()),
            YamlData::Sequence(items) => {
                Data::List(items.iter().map(|item| self.node(item)).collect::<Result<_, _>>()?)
            }
            YamlData::Mapping(mapping) => {
                Data::Map(mapping.iter().map(|(key, value)| self.entry(key, value)).collect::<Result<_, _>>()?)
            }
            YamlData::Tagged(..) | YamlData::Alias(_) | YamlData::Representation(..) | YamlData::BadValue => {
                let help = "text that begins with `!`, `&` or `*` needs quotes";
                return Err(Box::new(
                    Diagnostic::error("YAML's tags and aliases are not supported").at(range, "").help(help),
                ));
            }
        };
        Ok(Node { range, data })
    }

    /// The first line of a node.
    fn range(&self, yaml: &MarkedYaml<'_>) -> Range<usize> {
        let (first, last) = (yaml.span.start, yaml.span.end);
        let start = self.offset(first);
        let end = if last.line() > first.line() { self.end_of_line(first) } else { self.offset(last) };
        // The parser's place for the end of `[...]` is before the bracket.
        let at =
            |offset: usize| self.line(first).and_then(|line| line.text.as_bytes().get(offset - line.offset).copied());
        let bracketed = matches!((at(start), at(end.max(start))), (Some(b'['), Some(b']')) | (Some(b'{'), Some(b'}')));
        start..end.max(start) + usize::from(bracketed)
    }

    fn raw(&self, yaml: &MarkedYaml<'_>) -> String {
        let (range, marker) = (self.range(yaml), yaml.span.start);
        let Some(line) = self.line(marker) else { return String::new() };
        let (start, end) = (range.start.saturating_sub(line.offset), range.end.saturating_sub(line.offset));
        line.text.get(start..end).unwrap_or_default().trim().to_owned()
    }

    fn line(&self, marker: Marker) -> Option<Line<'a>> {
        self.lines.get(marker.line().saturating_sub(1)).copied()
    }

    /// Where in the notebook a place of the joined lines is.
    fn offset(&self, marker: Marker) -> usize {
        match self.line(marker) {
            Some(line) => {
                let column = line.text.char_indices().nth(marker.col()).map_or(line.text.len(), |(at, _)| at);
                line.offset + column
            }
            None => self.lines.last().map_or(0, |line| line.offset + line.text.trim_end().len()),
        }
    }

    fn end_of_line(&self, marker: Marker) -> usize {
        self.line(marker).or(self.lines.last().copied()).map_or(0, |line| line.offset + line.text.trim_end().len())
    }
}

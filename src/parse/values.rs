//! Turns YAML values into the types that options want, or says what they want. Pure.

use crate::diagnostic::Diagnostic;
use crate::notebook::Fold;

use super::yaml::{Data, Entry, Node};

/// Longest time limit: 30 days.
const LONGEST_S: f64 = 30.0 * 86_400.0;

/// A value or what is wrong with it.
pub(super) type Read<T> = Result<T, Box<Diagnostic>>;

/// Stores a value that could be read, and otherwise keeps the diagnostic.
pub(super) fn set<T>(place: &mut T, value: Read<T>, diagnostics: &mut Vec<Diagnostic>) {
    match value {
        Ok(value) => *place = value,
        Err(diagnostic) => diagnostics.push(*diagnostic),
    }
}

/// Text; a number or a date counts as what was written.
pub(super) fn text(entry: &Entry) -> Read<String> {
    match &entry.value.data {
        Data::Text(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        Data::Bool(_) | Data::Int(_) | Data::Float(_) => Ok(entry.raw.clone()),
        _ => Err(wrong(entry, "text")),
    }
}

/// As [`text`], where absence is the default.
pub(super) fn some_text(entry: &Entry) -> Read<Option<String>> {
    text(entry).map(Some)
}

pub(super) fn boolean(entry: &Entry) -> Read<bool> {
    match &entry.value.data {
        Data::Bool(value) => Ok(*value),
        Data::Text(text) => {
            let meant = match text.to_lowercase().as_str() {
                "yes" | "on" | "y" | "true" => Some(true),
                "no" | "off" | "n" | "false" => Some(false),
                _ => None,
            };
            let fault = wrong(entry, "`true` or `false`");
            Err(match meant {
                Some(meant) => Box::new(fault.help(format!("write `{}: {meant}`", entry.key))),
                None => fault,
            })
        }
        _ => Err(wrong(entry, "`true` or `false`")),
    }
}

/// A whole number from `least` to `most`.
pub(super) fn integer(entry: &Entry, least: u8, most: u8) -> Read<u8> {
    let wanted = || wrong(entry, &format!("a whole number from {least} to {most}"));
    match &entry.value.data {
        Data::Int(value) => u8::try_from(*value).ok().filter(|value| (least..=most).contains(value)).ok_or_else(wanted),
        _ => Err(wanted()),
    }
}

pub(super) fn fold(entry: &Entry) -> Read<Fold> {
    match &entry.value.data {
        Data::Bool(false) => Ok(Fold::No),
        Data::Bool(true) => Ok(Fold::Yes),
        Data::Text(text) if text == "show" => Ok(Fold::Show),
        _ => Err(wrong(entry, "`true`, `false` or `show`")),
    }
}

/// Seconds: `90`, `1.5`, `"90 s"`, `10 min`, `2h`.
pub(super) fn seconds(entry: &Entry) -> Read<f64> {
    let value = match &entry.value.data {
        Data::Int(value) => Some(*value as f64),
        Data::Float(value) => Some(*value),
        Data::Text(text) => duration(text),
        _ => None,
    };
    value
        .filter(|seconds| *seconds > 0.0 && *seconds <= LONGEST_S)
        .ok_or_else(|| wrong(entry, "a time such as `90` (seconds), `10 min` or `2 h`, of at most 30 days"))
}

fn duration(text: &str) -> Option<f64> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(unit_at);
    let scale = match unit.trim() {
        "s" | "sec" | "second" | "seconds" => 1.0,
        "m" | "min" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3600.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * scale)
}

/// That a value is not what its key wants.
pub(super) fn wrong(entry: &Entry, wanted: &str) -> Box<Diagnostic> {
    let message = format!("`{}` wants {wanted}, not {}", entry.key, describe(&entry.value));
    let range = if entry.value.range.is_empty() { entry.key_range.clone() } else { entry.value.range.clone() };
    Box::new(Diagnostic::error(message).at(range, ""))
}

/// A value as a message calls it.
pub(super) fn describe(node: &Node) -> String {
    match &node.data {
        Data::Null => "nothing".to_owned(),
        Data::Bool(value) => format!("`{value}`"),
        Data::Int(value) => format!("the number {value}"),
        Data::Float(value) => format!("the number {value}"),
        Data::Text(text) if text.chars().count() <= 40 && !text.contains('\n') => format!("the text `{text}`"),
        Data::Text(_) => "a text".to_owned(),
        Data::List(_) => "a list".to_owned(),
        Data::Map(_) => "a mapping".to_owned(),
    }
}

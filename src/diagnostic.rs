//! An error with its file, line, column and the offending line, printed for people.

use std::borrow::Cow;
use std::io::{IsTerminal as _, Write as _};
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diagnostic {
    pub severity: Severity,
    /// rustc's code, such as `E0308`, or none.
    pub code: Option<String>,
    pub message: String,
    /// Places in the notebook; the first is the primary one. Empty where no line is at fault.
    pub labels: Vec<Label>,
    /// What to do, one suggestion each.
    pub help: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    Error,
    Warning,
}

/// A byte range of the notebook's text and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    pub range: Range<usize>,
    pub text: String,
}

impl Diagnostic {
    pub fn error(message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Error,
            code: None,
            message: message.into(),
            labels: Vec::new(),
            help: Vec::new(),
        }
    }

    pub fn warning(message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(message) }
    }

    /// Adds a place; the first one added is the primary one. `text` may be empty.
    pub fn at(mut self, range: Range<usize>, text: impl Into<String>) -> Self {
        self.labels.push(Label { range, text: text.into() });
        self
    }

    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// Adds "did you mean" where one of `known` resembles `name`, and otherwise the list of what is known.
    pub fn suggest(self, name: &str, known: &[&str]) -> Self {
        match nearest(name, known.iter().copied()) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None if known.is_empty() => self,
            None => self.help(format!("known: {}", list(known))),
        }
    }
}

/// All diagnostics in the look of rustc's, with an empty line after each; nothing for none.
///
/// Ranges may be anything: they are moved into the text. What the texts contain cannot steer the terminal.
pub fn render(diagnostics: &[Diagnostic], path: &str, text: &str, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(WIDTH);
    let path = visible(path, false);
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&renderer.render(&[group(diagnostic, &path, text)]));
        out.push_str("\n\n");
    }
    out
}

/// Line and column of a byte offset, both from 1, the column in characters.
pub fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..floor(text, offset)];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.bytes().filter(|&byte| byte == b'\n').count() + 1, before[start..].chars().count() + 1)
}

/// Whether diagnostics may be coloured: standard error is a terminal, and `NO_COLOR` does not forbid it.
pub fn color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints on standard error. That it cannot be printed is no reason to fail.
pub fn warn(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// The one of `known` that a typing error would turn into `name`.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let folded = |text: &str| text.to_lowercase().replace('_', "-");
    let wanted = folded(name);
    let distance = |candidate: &str| strsim::damerau_levenshtein(&wanted, &folded(candidate));
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (name.len().min(candidate.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `` `a`, `b` and `c` ``.
pub fn list(names: &[&str]) -> String {
    let quoted = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
    match quoted.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Columns that a message may take.
const WIDTH: usize = 140;
/// Characters of a message, a label or a help line: a name may be a megabyte long.
const LONGEST_MESSAGE: usize = 4000;
/// A longer line is cut around the fault: it is not text that a person wrote.
const LONGEST_LINE: usize = 1000;
/// A label that spans more lines is shown by its first line only.
const MOST_LINES: usize = 12;

fn group<'a>(diagnostic: &'a Diagnostic, path: &'a str, text: &'a str) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut title = level.primary_title(visible(&diagnostic.message, true));
    if let Some(code) = &diagnostic.code {
        title = title.id(visible(code, false));
    }
    let mut group = Group::with_title(title);
    let labels = diagnostic.labels.iter().map(|label| (clamp(text, &label.range), &label.text)).collect::<Vec<_>>();
    if labels.is_empty() {
        group = group.element(Origin::path(path));
    } else if labels.iter().any(|(range, _)| lines(text, range).len() > LONGEST_LINE) {
        for (range, label) in labels {
            group = cut(group, path, text, range, label);
        }
    } else {
        let start = labels.iter().map(|(range, _)| lines(text, range).start).min().unwrap_or(0);
        let end = labels.iter().map(|(range, _)| lines(text, range).end).max().unwrap_or(text.len());
        let mut snippet =
            Snippet::source(harmless(&text[start..end])).line_start(line_column(text, start).0).path(path);
        for (index, (range, label)) in labels.into_iter().enumerate() {
            let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            let annotation = kind.span(range.start - start..range.end - start);
            snippet = snippet.annotation(annotation.label((!label.is_empty()).then(|| visible(label, false))));
        }
        group = group.element(snippet);
    }
    group.elements(diagnostic.help.iter().map(|help| Level::HELP.message(visible(help, true))))
}

/// Shows a place in a very long line: the true position, and a window of the line.
fn cut<'a>(group: Group<'a>, path: &'a str, text: &'a str, range: Range<usize>, label: &'a str) -> Group<'a> {
    const AROUND: usize = 40;
    let line = lines(text, &range);
    let start = floor(text, range.start.saturating_sub(AROUND).max(line.start));
    let end = floor(text, (range.start + 2 * AROUND).min(line.end)).max(range.start);
    let (number, column) = line_column(text, range.start);
    let window = range.start - start..range.end.min(end) - start;
    let annotation = AnnotationKind::Primary.span(window).label((!label.is_empty()).then(|| visible(label, false)));
    group
        .element(Origin::path(path).line(number).char_column(column))
        .element(Snippet::source(harmless(&text[start..end])).line_start(number).annotation(annotation))
}

/// The range inside the text, on character boundaries, and not over too many lines.
fn clamp(text: &str, range: &Range<usize>) -> Range<usize> {
    let start = floor(text, range.start);
    let mut end = floor(text, range.end).max(start);
    let newlines = || text[start..end].bytes().filter(|&byte| byte == b'\n').take(MOST_LINES).count();
    if newlines() == MOST_LINES {
        end = text[start..end].find('\n').map_or(end, |newline| start + newline);
    }
    start..end
}

/// The lines that the range touches, without the last newline.
fn lines(text: &str, range: &Range<usize>) -> Range<usize> {
    let start = text[..range.start].rfind('\n').map_or(0, |newline| newline + 1);
    // A range that ends with a newline ends on that line, not on the next.
    let last = if range.end > range.start { range.end - 1 } else { range.end };
    let end =
        text.as_bytes()[last..].iter().position(|&byte| byte == b'\n').map_or(text.len(), |newline| last + newline);
    let end = if text[..end].ends_with('\r') { end - 1 } else { end };
    start..end.max(range.end)
}

/// The nearest character boundary at or below `offset`.
fn floor(text: &str, offset: usize) -> usize {
    text.floor_char_boundary(offset.min(text.len()))
}

/// The text with what steers a terminal, or reorders text, written out, and cut where no one would read on.
fn visible(text: &str, newlines: bool) -> Cow<'_, str> {
    let steers = |c: char| (c.is_control() && !(newlines && c == '\n')) || reorders(c);
    let end = text.char_indices().nth(LONGEST_MESSAGE).map_or(text.len(), |(end, _)| end);
    if end == text.len() && !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(end);
    for character in text[..end].chars() {
        match character {
            '\t' => out.push_str("    "),
            _ if steers(character) => out.extend(character.escape_default()),
            _ => out.push(character),
        }
    }
    if end < text.len() {
        out.push('…');
    }
    Cow::Owned(out)
}

/// Source text without what the renderer does not replace by itself; every byte keeps its place.
fn harmless(text: &str) -> Cow<'_, str> {
    let steers = |c: char| matches!(c, '\u{80}'..='\u{9f}') || reorders(c);
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let same_length = |c: char| if c.len_utf8() == 2 { '¿' } else { char::REPLACEMENT_CHARACTER };
    Cow::Owned(text.chars().map(|c| if steers(c) { same_length(c) } else { c }).collect())
}

/// Unicode's invisible marks that change the direction of text.
fn reorders(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_columns_in_characters() {
        let text = "aé\r\nß\tz\n";
        let expected =
            [(0, (1, 1)), (1, (1, 2)), (2, (1, 2)), (3, (1, 3)), (5, (2, 1)), (7, (2, 2)), (8, (2, 3)), (10, (3, 1))];
        for (offset, place) in expected {
            assert_eq!(line_column(text, offset), place, "offset {offset}");
        }
        assert_eq!(line_column(text, 99), (3, 1));
        assert_eq!(line_column("", 0), (1, 1));
    }

    #[test]
    fn looks_like_rustc() {
        let text = "eins\n\tzwei drei\nvier\r\n";
        let mut diagnostic = Diagnostic::error("wrong").at(11..15, "here").at(0..4, "").help("do it").help("or not");
        diagnostic.code = Some("E0308".to_owned());
        let expected = "error[E0308]: wrong
 --> a.md:2:7
  |
1 | eins
  | ----
2 |     zwei drei
  |          ^^^^ here
  |
  = help: do it
  = help: or not

warning: vier
 --> a.md:3:1
  |
3 | vier
  | ^^^^

";
        assert_eq!(render(&[diagnostic, Diagnostic::warning("vier").at(16..20, "")], "a.md", text, false), expected);
        assert_eq!(render(&[], "a.md", text, true), "");
        assert!(render(&[Diagnostic::error("x").at(0..1, "")], "a.md", text, true).contains("\u{1b}["));
    }

    #[test]
    fn any_range_is_moved_into_the_text() {
        let long = format!("{}é{}", "x".repeat(5000), "y".repeat(5000));
        for text in ["", "\n", "é", "a\né\r\n", "\r", "\r\n\r\n", "\0\t\u{301}", long.as_str()] {
            for start in (0..text.len().min(40) + 3).chain([5000, 5001, 5002, usize::MAX - 1, usize::MAX]) {
                for end in [0, start, start.saturating_add(1), text.len(), usize::MAX] {
                    #[expect(clippy::reversed_empty_ranges, reason = "such a range must do no harm")]
                    let odd = 9..2;
                    let diagnostic = Diagnostic::error("x").at(start..end, "a").at(odd, "b");
                    let out = render(&[diagnostic], "p", text, false);
                    assert!(out.starts_with("error: x\n") && out.len() < 3000, "{text:?} {start} {end}: {out}");
                }
            }
        }
    }

    #[test]
    fn a_very_long_line_is_cut_and_its_column_kept() {
        let text = format!("a\n{}é{}", "x".repeat(100_000), "y".repeat(100_000));
        let out = render(&[Diagnostic::error("m").at(100_002..100_004, "this")], "a.md", &text, false);
        assert!(out.contains("a.md:2:100001\n"), "{out}");
        assert!(out.contains("^ this") && out.len() < 1000, "{out}");
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let nasty = "\u{1b}[31m\u{7}\r\u{202e}\u{9b}2J\0\u{200f}\u{61c}";
        let diagnostic = Diagnostic::error(nasty).at(0..3, nasty).help(nasty);
        let out = render(&[diagnostic], nasty, nasty, false);
        assert!(out.chars().all(|c| !reorders(c) && (c == '\n' || !c.is_control())), "{out:?}");
        assert!(render(&[Diagnostic::error("m".repeat(1 << 20))], "p", "", false).len() < 20_000);
    }

    #[test]
    fn suggests_what_was_meant() {
        let known = ["fig-cap", "fig-alt", "echo", "code-fold"];
        let cases = [
            ("fig_cap", Some("fig-cap")),
            ("Echo", Some("echo")),
            ("codefold", Some("code-fold")),
            ("ehco", Some("echo")),
            ("x", None),
            ("layout", None),
        ];
        for (name, expected) in cases {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
        assert_eq!(list(&known[..3]), "`fig-cap`, `fig-alt` and `echo`");
    }
}

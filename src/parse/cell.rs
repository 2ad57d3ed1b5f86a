//! Turns a fenced block into a cell: rustdoc's attributes, Quarto's options, hidden lines. Pure.

use std::ops::Range;

use crate::diagnostic::{Diagnostic, list};
use crate::notebook::{Cell, CellOptions, CodeLine, Meta, Mode};

use super::values::{boolean, fold, seconds, set, some_text, text as text_of};
use super::yaml::{Entry, Line, entries};

/// Rustdoc's attributes that change what happens to a cell.
const MODES: [(&str, Mode); 4] = [
    ("ignore", Mode::Ignore),
    ("no_run", Mode::NoRun),
    ("should_panic", Mode::ShouldPanic),
    ("compile_fail", Mode::CompileFail),
];

/// The cell options.
const OPTIONS: [&str; 11] =
    ["label", "fig-cap", "fig-alt", "tbl-cap", "echo", "eval", "output", "include", "code-fold", "error", "timeout"];

/// A fenced code block as the Markdown parser sees it.
pub(super) struct Block<'a> {
    /// The block with both fences, without the indentation of the first.
    pub(super) range: Range<usize>,
    /// Its content, in pieces with their places.
    pub(super) content: Vec<(pulldown_cmark::CowStr<'a>, Range<usize>)>,
}

/// A cell and the place of its label.
pub(super) struct Parsed {
    pub(super) cell: Cell,
    pub(super) label_at: Range<usize>,
}

impl Block<'_> {
    /// The cell, if the block is one: its info string begins with `rust`.
    pub(super) fn cell(
        &self,
        index: usize,
        text: &str,
        meta: &Meta,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Parsed> {
        let words = self.info(text);
        let (first, attributes) = words.split_first()?;
        if !first.text.eq_ignore_ascii_case("rust") {
            return None;
        }
        let mode = mode(attributes, diagnostics);
        let mut lines = self.lines(text);
        let is_option = |line: &CodeLine| line.text.trim_start().starts_with("//|");
        let head = lines.iter().take_while(|line| is_option(line) || line.text.trim().is_empty()).count();
        let count = lines[..head].iter().rposition(is_option).map_or(0, |last| last + 1);
        let code = lines.split_off(count);
        let (options, label_at) = options(&lines, meta, diagnostics);
        late_options(&code, count == 0, diagnostics);
        let code = code.into_iter().map(unhide).collect();
        Some(Parsed { cell: Cell { index, mode, options, fence: self.range.clone(), code }, label_at })
    }

    /// That the block is never closed, so that it swallows what follows.
    pub(super) fn unclosed(&self, text: &str) -> Option<Diagnostic> {
        let opening = self.opening(text);
        let fence = opening.chars().next()?;
        let run = opening.chars().take_while(|&c| c == fence).count();
        let opening_end = self.range.start + opening.len();
        let content_end = self.content.last().map_or(opening_end, |(_, range)| range.end.max(opening_end));
        let closing = text.get(content_end..self.range.end).unwrap_or_default();
        if closing.chars().filter(|&c| c == fence).count() >= run {
            return None;
        }
        let place = self.range.start..self.range.start + opening.trim_end().len();
        let fence = fence.to_string().repeat(run.min(20));
        Some(
            Diagnostic::error("this code block is never closed")
                .at(place, "it begins here")
                .help(format!("end it with a line {fence} that is indented as this one")),
        )
    }

    fn opening<'t>(&self, text: &'t str) -> &'t str {
        text.get(self.range.clone()).unwrap_or_default().split('\n').next().unwrap_or_default()
    }

    /// The words of the info string.
    fn info<'t>(&self, text: &'t str) -> Vec<Line<'t>> {
        let opening = self.opening(text);
        let mut info = opening.trim_start_matches(['`', '~']).trim();
        if let Some(inner) = info.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
            info = inner;
        }
        let offset = |word: &str| self.range.start + (word.as_ptr().addr() - opening.as_ptr().addr());
        let words = info.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
        words.map(|word| Line { text: word, offset: offset(word) }).collect()
    }

    /// The content by lines.
    fn lines(&self, text: &str) -> Vec<CodeLine> {
        let mut lines = Vec::new();
        let mut open: Option<CodeLine> = None;
        for (piece, range) in &self.content {
            let verbatim = text.get(range.clone()) == Some(piece.as_ref());
            let mut offset = range.start;
            for part in piece.split_inclusive('\n') {
                let line = open.get_or_insert_with(|| CodeLine { text: String::new(), offset, hidden: false });
                if verbatim && line.text.bytes().all(|byte| byte == b' ') {
                    // Spaces that stand for a part of a tab have no place of their own: columns count from here.
                    line.offset = offset.saturating_sub(line.text.len()).max(line_start(text, offset));
                }
                line.text.push_str(part.trim_end_matches(['\n', '\r']));
                if part.ends_with('\n') {
                    lines.extend(open.take());
                }
                if verbatim {
                    offset += part.len();
                }
            }
        }
        lines.extend(open);
        lines
    }
}

fn line_start(text: &str, offset: usize) -> usize {
    text[..offset].rfind('\n').map_or(0, |newline| newline + 1)
}

/// What rustdoc's attributes ask for.
fn mode(attributes: &[Line<'_>], diagnostics: &mut Vec<Diagnostic>) -> Mode {
    let mut found: Option<(&Line<'_>, Mode)> = None;
    for attribute in attributes {
        let range = attribute.offset..attribute.offset + attribute.text.len();
        let known = MODES.iter().find(|(name, _)| *name == attribute.text).map(|(_, mode)| *mode);
        match (known, found) {
            (Some(mode), None) => found = Some((attribute, mode)),
            (Some(mode), Some((_, first))) if mode == first => {}
            (Some(_), Some((first, _))) => diagnostics.push(
                Diagnostic::error(format!("`{}` and `{}` exclude each other", first.text, attribute.text))
                    .at(range, "")
                    .at(first.offset..first.offset + first.text.len(), ""),
            ),
            (None, _) if attribute.text == "edition2024" => {}
            (None, _) => diagnostics.push(unknown_attribute(attribute.text, range)),
        }
    }
    found.map_or(Mode::Run, |(_, mode)| mode)
}

fn unknown_attribute(text: &str, range: Range<usize>) -> Diagnostic {
    let names = MODES.map(|(name, _)| name);
    if text.starts_with("edition") {
        return Diagnostic::error(format!("cells are compiled as edition 2024, not `{text}`")).at(range, "");
    }
    let fault = Diagnostic::error(format!("a cell has no attribute `{text}`")).at(range, "");
    if text.contains(['#', '=', '{', '.']) {
        return fault.help("options are lines at the top of the cell, such as `//| label: fig-overview`");
    }
    let bare = text.split(['-', '_']).next().unwrap_or(text);
    if matches!(bare, "standalone" | "test" | "custom") || text.starts_with('E') {
        let known = list(&names);
        return fault.help(format!("the cells of a notebook are one program; of rustdoc's attributes, {known} apply"));
    }
    fault.suggest(text, &names)
}

/// The options of the leading `//|` lines, and where the label is.
fn options(lines: &[CodeLine], meta: &Meta, diagnostics: &mut Vec<Diagnostic>) -> (CellOptions, Range<usize>) {
    let mut options = CellOptions {
        label: None,
        fig_cap: None,
        fig_alt: None,
        tbl_cap: None,
        echo: meta.echo,
        eval: true,
        output: true,
        include: true,
        code_fold: meta.code_fold,
        error: false,
        timeout_s: None,
    };
    let mut label_at = 0..0;
    let yaml = lines.iter().filter_map(|line| {
        let at = line.text.find("//|")? + "//|".len();
        let rest = &line.text[at..];
        let content = rest.strip_prefix(' ').unwrap_or(rest);
        Some(Line { text: content, offset: line.offset + line.text.len() - content.len() })
    });
    for entry in entries(&yaml.collect::<Vec<_>>(), diagnostics) {
        match entry.key.as_str() {
            "label" => {
                label_at = entry.value.range.clone();
                set(&mut options.label, label(&entry), diagnostics);
            }
            "fig-cap" => set(&mut options.fig_cap, some_text(&entry), diagnostics),
            "fig-alt" => set(&mut options.fig_alt, some_text(&entry), diagnostics),
            "tbl-cap" => set(&mut options.tbl_cap, some_text(&entry), diagnostics),
            "echo" => set(&mut options.echo, boolean(&entry), diagnostics),
            "eval" => set(&mut options.eval, boolean(&entry), diagnostics),
            "output" => set(&mut options.output, boolean(&entry), diagnostics),
            "include" => set(&mut options.include, boolean(&entry), diagnostics),
            "code-fold" => set(&mut options.code_fold, fold(&entry), diagnostics),
            "error" => set(&mut options.error, boolean(&entry), diagnostics),
            "timeout" => set(&mut options.timeout_s, seconds(&entry).map(Some), diagnostics),
            key => diagnostics.push(
                Diagnostic::error(format!("a cell has no option `{key}`"))
                    .at(entry.key_range.clone(), "")
                    .suggest(key, &OPTIONS),
            ),
        }
    }
    (options, label_at)
}

/// A cell's label: letters, digits, `-` and `_`, so that `@label` in prose ends where it should.
fn label(entry: &Entry) -> Result<Option<String>, Box<Diagnostic>> {
    let label = text_of(entry)?;
    let range = entry.value.range.clone();
    if !is_label(&label) {
        return Err(Box::new(Diagnostic::error(format!("`{label}` cannot be a label")).at(range, "").help(
            "a label begins with a letter, goes on with letters, digits, `-` or `_`, and ends with a letter or digit",
        )));
    }
    if let Some(kind @ ("sec" | "eq")) = label.split_once('-').map(|(kind, _)| kind) {
        let owner = if kind == "sec" { "a heading: `## Title {#sec-x}`" } else { "a formula: `$$ ... $$ {#eq-x}`" };
        return Err(Box::new(
            Diagnostic::error(format!("a cell cannot be labelled `{label}`"))
                .at(range, "")
                .help(format!("`{kind}-` labels {owner}; a cell's label may begin with `fig-`, `tbl-` or `lst-`")),
        ));
    }
    Ok(Some(label))
}

pub(super) fn is_label(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Option lines where they are only comments.
fn late_options(code: &[CodeLine], none_before: bool, diagnostics: &mut Vec<Diagnostic>) {
    let trimmed = |line: &CodeLine| line.offset + line.text.len() - line.text.trim_start().len();
    for line in code.iter().filter(|line| line.text.trim_start().starts_with("//|")) {
        diagnostics.push(
            Diagnostic::error("an option must stand above the code of its cell")
                .at(trimmed(line)..line.offset + line.text.trim_end().len(), "here it is only a comment")
                .help("move it to the top of the cell; a comment can be written `// |`"),
        );
    }
    let hash =
        code.iter().find(|line| !line.text.trim().is_empty()).filter(|line| line.text.trim_start().starts_with("#|"));
    if let Some(line) = hash.filter(|_| none_before) {
        let start = trimmed(line);
        let known = list(&OPTIONS[..2]);
        diagnostics.push(
            Diagnostic::error("options of a Rust cell begin with `//|`")
                .at(start..start + 2, "")
                .help(format!("write `//|` in place of `#|` before options such as {known}")),
        );
    }
}

/// Applies rustdoc's rules for a leading `#`: `# ` hides a line, `##` stands for `#`.
fn unhide(line: CodeLine) -> CodeLine {
    let content = line.text.trim_start();
    let indent = line.text.len() - content.len();
    if content.starts_with("##") {
        let text = format!("{}{}", &line.text[..indent], &content[1..]);
        return CodeLine { text, offset: line.offset + 1, hidden: false };
    }
    if content.trim_end() == "#" {
        return CodeLine { text: String::new(), offset: line.offset + line.text.len(), hidden: true };
    }
    match content.strip_prefix("# ") {
        Some(rest) => CodeLine { text: rest.to_owned(), offset: line.offset + indent + 2, hidden: true },
        None => line,
    }
}

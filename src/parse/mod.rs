//! Turns the text of a notebook into a [`Notebook`], with everything that is wrong with it at once. Pure.
//!
//! Parsing never fails and never panics: faults become diagnostics, and what could be understood is returned.

mod cell;
mod front_matter;
mod references;
mod values;
mod yaml;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::Path;

use pulldown_cmark::{CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd};

use crate::diagnostic::{self, Diagnostic};
use crate::notebook::{Cell, Image, Inline, Meta, Mode, Notebook};

use cell::Block;
use references::Target;
pub use references::{equation_label, references, stays_below};

/// After so many diagnostics, the rest is only counted.
const MOST: usize = 100;

/// Why a file is not text.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The beginning of the file, up to and with a mark for the first byte that is no text.
    lossy: String,
    diagnostic: Diagnostic,
}

impl Fault {
    /// The message with file, line and column.
    pub fn render(&self, path: &str) -> String {
        diagnostic::render(std::slice::from_ref(&self.diagnostic), path, &self.lossy, diagnostic::color())
    }
}

/// The text of a notebook file: UTF-8, without a byte order mark.
pub fn text(bytes: &[u8]) -> Result<String, Box<Fault>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return Ok(text.to_owned()),
        Err(error) => error,
    };
    let (good, bad) = bytes.split_at(error.valid_up_to());
    let mut lossy = String::from_utf8_lossy(good).into_owned();
    let start = lossy.len();
    lossy.push(char::REPLACEMENT_CHARACTER);
    let (line, column) = diagnostic::line_column(&lossy, start);
    let byte = bad.first().copied().unwrap_or_default();
    let message = format!("the notebook is not UTF-8 text: line {line}, column {column} holds the byte 0x{byte:02X}");
    let help = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it looks like UTF-16: save it as UTF-8",
        _ => "save it as UTF-8; if it is in Latin-1, `iconv -f latin1 -t utf8` converts it",
    };
    let diagnostic = Diagnostic::error(message).at(start..lossy.len(), "").help(help);
    Err(Box::new(Fault { lossy, diagnostic }))
}

/// The Markdown that notebooks are written in.
///
/// The front matter is no part of it: a `---` block in the middle of a text must stay text.
pub fn markdown_options() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_SMART_PUNCTUATION
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_MATH
        | Options::ENABLE_GFM
        | Options::ENABLE_DEFINITION_LIST
}

/// The Markdown events from `body` on, with places in the whole text.
///
/// Text that the source holds in one piece comes in one piece, so that a reference never spans two events. An escaped
/// `\@` is an event of its own, so that it is not taken for the beginning of a reference.
pub fn markdown(text: &str, body: usize) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
    let body = text.floor_char_boundary(body);
    let parser = Parser::new_ext(&text[body..], markdown_options()).into_offset_iter();
    let mut inner = parser.map(move |(event, range)| (event, range.start + body..range.end + body)).peekable();
    let mut rest: Option<Range<usize>> = None;
    let verbatim = move |event: &Event<'_>, range: &Range<usize>| match event {
        Event::Text(piece) => text.get(range.clone()) == Some(piece.as_ref()),
        _ => false,
    };
    std::iter::from_fn(move || {
        let (mut range, escaped) = match rest.take() {
            Some(range) => (range, false),
            None => {
                let (event, range) = inner.next()?;
                if !verbatim(&event, &range) {
                    return Some((event, range));
                }
                let escaped = text[range.clone()].starts_with('@') && text[..range.start].ends_with('\\');
                (range, escaped)
            }
        };
        if escaped {
            rest = Some(range.start + 1..range.end).filter(|rest| !rest.is_empty());
            range.end = range.start + 1;
        } else {
            while let Some((_, next)) = inner.next_if(|(event, next)| next.start == range.end && verbatim(event, next))
            {
                range.end = next.end;
            }
        }
        Some((Event::Text(CowStr::Borrowed(&text[range.clone()])), range))
    })
}

/// The notebook, and everything that is wrong with it, in the order of the text. `overrides` are the `-P` values.
pub fn notebook(path: &str, text: &str, overrides: &[(String, String)]) -> (Notebook, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let (mut meta, body) = front_matter::meta(text, &mut diagnostics);
    front_matter::apply(&mut meta, overrides, &mut diagnostics);
    let mut walk = Walk::new(text, &meta, diagnostics);
    for (event, range) in markdown(text, body) {
        walk.event(event, range);
    }
    let Walk { cells, inlines, images, mut targets, headings, uses, unclosed, mut diagnostics, .. } = walk;
    number_sections(&headings, &mut targets);
    let labels = references::labels(&targets, &mut diagnostics);
    // An open block swallows the labels that follow it: that they are missing is no fault of its own.
    if !unclosed {
        references::dangling(&uses, text, &labels, &mut diagnostics);
    }
    if meta.title.is_empty() {
        let heading = headings.first().map(|heading| heading.text.trim()).filter(|text| !text.is_empty());
        let stem = Path::new(path).file_stem().map(|stem| stem.to_string_lossy());
        meta.title = heading.map(str::to_owned).or(stem.map(String::from)).unwrap_or_else(|| "notebook".to_owned());
    }
    let notebook =
        Notebook { path: path.to_owned(), text: text.to_owned(), body, meta, cells, inlines, images, labels };
    (notebook, in_order(diagnostics))
}

/// What is collected on the way through the Markdown.
struct Walk<'a> {
    text: &'a str,
    meta: &'a Meta,
    cells: Vec<Cell>,
    inlines: Vec<Inline>,
    images: Vec<Image>,
    /// Everything that has a name.
    targets: Vec<Target>,
    headings: Vec<Heading>,
    /// References in prose.
    uses: Vec<Range<usize>>,
    diagnostics: Vec<Diagnostic>,
    /// The fenced block that is being read.
    block: Option<Block<'a>>,
    unclosed: bool,
    in_heading: bool,
    in_other_code: bool,
    /// Pictures around this place: their text cannot hold anything but text.
    images_open: usize,
    after_maths: bool,
}

struct Heading {
    level: u8,
    text: String,
    /// The heading's place among the targets.
    target: Option<usize>,
}

impl<'a> Walk<'a> {
    fn new(text: &'a str, meta: &'a Meta, diagnostics: Vec<Diagnostic>) -> Self {
        Walk {
            text,
            meta,
            cells: Vec::new(),
            inlines: Vec::new(),
            images: Vec::new(),
            targets: Vec::new(),
            headings: Vec::new(),
            uses: Vec::new(),
            diagnostics,
            block: None,
            unclosed: false,
            in_heading: false,
            in_other_code: false,
            images_open: 0,
            after_maths: false,
        }
    }

    fn event(&mut self, event: Event<'a>, range: Range<usize>) {
        let after_maths = std::mem::replace(&mut self.after_maths, matches!(event, Event::DisplayMath(_)));
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) => {
                self.block = Some(Block { range, content: Vec::new() })
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Indented)) => self.in_other_code = true,
            Event::End(TagEnd::CodeBlock) => self.end_block(),
            Event::Text(piece) => self.prose(piece, range, after_maths),
            Event::Code(code) => self.code(&code, range),
            Event::Start(Tag::Heading { level, id, .. }) => self.heading(level as u8, id, range),
            Event::End(TagEnd::Heading(_)) => self.in_heading = false,
            Event::Start(Tag::Image { dest_url, .. }) => self.image(&dest_url, range),
            Event::End(TagEnd::Image) => self.images_open = self.images_open.saturating_sub(1),
            _ => {}
        }
    }

    fn prose(&mut self, piece: CowStr<'a>, range: Range<usize>, after_maths: bool) {
        if let Some(block) = &mut self.block {
            block.content.push((piece, range));
            return;
        }
        if let Some(heading) = self.headings.last_mut().filter(|_| self.in_heading) {
            heading.text.push_str(&piece);
        }
        // Text that the source spells otherwise is an entity or a quotation mark.
        if self.in_other_code || self.images_open > 0 || piece.len() != range.len() {
            return;
        }
        if let Some((_, label)) = equation_label(&piece).filter(|_| after_maths) {
            let at = piece.find('#').map_or(range.start, |hash| range.start + hash + 1);
            self.targets.push(Target { name: label.to_owned(), at: at..at + label.len(), section: None });
        }
        let start = range.start;
        self.uses.extend(references(&piece).into_iter().map(|found| start + found.start..start + found.end));
    }

    fn end_block(&mut self) {
        self.in_other_code = false;
        let Some(block) = self.block.take() else { return };
        if let Some(fault) = block.unclosed(self.text) {
            self.diagnostics.push(fault);
            self.unclosed = true;
            return;
        }
        let Some(parsed) = block.cell(self.cells.len(), self.text, self.meta, &mut self.diagnostics) else { return };
        if let Some(label) = &parsed.cell.options.label {
            self.diagnostics.extend(about_figure(&parsed.cell, label, &parsed.label_at));
            self.targets.push(Target { name: label.clone(), at: parsed.label_at, section: None });
        }
        self.cells.push(parsed.cell);
    }

    fn code(&mut self, code: &str, range: Range<usize>) {
        if let Some(heading) = self.headings.last_mut().filter(|_| self.in_heading) {
            heading.text.push_str(code);
        }
        let Some(expr) = code.strip_prefix("{rust}").map(str::trim) else { return };
        let fault = if expr.is_empty() {
            Some("this inline value has no expression")
        } else if self.images_open > 0 {
            Some("a picture's text cannot hold a computed value")
        } else {
            None
        };
        if let Some(fault) = fault {
            let help = "an inline value is written `` `{rust} expression` `` in prose";
            self.diagnostics.push(Diagnostic::error(fault).at(range, "").help(help));
            return;
        }
        let source = &self.text[range.clone()];
        let tail = source.split_once("{rust}").map_or("", |(_, tail)| tail).trim_start();
        self.inlines.push(Inline {
            index: self.inlines.len(),
            offset: range.end - tail.len(),
            span: range,
            expr: expr.to_owned(),
            after: self.cells.len(),
        });
    }

    fn heading(&mut self, level: u8, id: Option<CowStr<'a>>, range: Range<usize>) {
        self.in_heading = true;
        let source = &self.text[range.clone()];
        let target = id.map(|id| {
            let at = source.rfind(&format!("#{id}")).map_or(range.start, |hash| range.start + hash + 1);
            self.targets.push(Target { name: id.to_string(), at: at..at + id.len(), section: None });
            self.targets.len() - 1
        });
        self.headings.push(Heading { level, text: String::new(), target });
    }

    fn image(&mut self, path: &str, range: Range<usize>) {
        self.images_open += 1;
        if let Some(fault) = references::fault(path) {
            let source = self.text[range.clone()].lines().next().unwrap_or_default();
            self.diagnostics.push(
                Diagnostic::error(format!("the path of this picture {fault}: `{path}`"))
                    .at(range.start..range.start + source.len(), "")
                    .help(
                        "copy the file beside the notebook, and name it by its path from there: `![text](picture.png)`",
                    ),
            );
            return;
        }
        let file = references::decode(path).unwrap_or_else(|| path.to_owned());
        self.images.push(Image { path: path.to_owned(), file, span: range });
    }
}

/// What a reader of the page would miss about a figure or table.
fn about_figure(cell: &Cell, label: &str, at: &Range<usize>) -> Option<Diagnostic> {
    let (figure, table) = (label.starts_with("fig-"), label.starts_with("tbl-"));
    let options = &cell.options;
    let empty =
        !options.eval || !options.output || !options.include || !matches!(cell.mode, Mode::Run | Mode::ShouldPanic);
    if empty && (figure || table) {
        let message = format!("`{label}` is the label of a cell that puts nothing on the page");
        return Some(Diagnostic::warning(message).at(at.clone(), ""));
    }
    (figure && options.fig_cap.is_none() && options.fig_alt.is_none()).then(|| {
        Diagnostic::warning(format!("the figure `{label}` has no text for readers who cannot see it"))
            .at(at.clone(), "")
            .help("describe it: `//| fig-alt: \"...\"`, and caption it: `//| fig-cap: \"...\"`")
    })
}

/// Numbers the headings: `1`, `1.1`, `2`. One first heading of level 1 above all others is a title and has no number.
fn number_sections(headings: &[Heading], targets: &mut [Target]) {
    let is_title = |heading: &Heading| heading.level == 1 && heading.target.is_none();
    let one = headings.iter().filter(|heading| heading.level == 1).count() == 1;
    let skipped = usize::from(one && headings.first().is_some_and(is_title));
    let mut open: Vec<(u8, usize)> = Vec::new();
    for heading in headings.iter().skip(skipped) {
        let mut count = 0;
        while let Some((_, last)) = open.pop_if(|(level, _)| *level >= heading.level) {
            count = last;
        }
        open.push((heading.level, count + 1));
        if let Some(target) = heading.target.and_then(|index| targets.get_mut(index)) {
            target.section = Some(open.iter().map(|(_, count)| count.to_string()).collect::<Vec<_>>().join("."));
        }
    }
}

/// Sorts by place, and cuts a list that no one would read.
fn in_order(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by_key(|diagnostic| diagnostic.labels.first().map_or(0, |label| label.range.start));
    if diagnostics.len() > MOST {
        let rest = diagnostics.split_off(MOST);
        let more = format!("{} more like these follow", rest.len());
        let severe = rest.iter().any(|diagnostic| diagnostic.severity == diagnostic::Severity::Error);
        diagnostics.push(if severe { Diagnostic::error(more) } else { Diagnostic::warning(more) });
    }
    diagnostics
}

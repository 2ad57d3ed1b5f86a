//! The prose: Markdown events to markup, with the cells and the computed values in their places.
//!
//! The text is parsed once more with the options of the parser; a code block that overlaps a cell's fence becomes the
//! rendered cell, a code span that overlaps an inline expression becomes its value.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use pulldown_cmark::{Alignment, BlockQuoteKind, CodeBlockKind, Event, HeadingLevel, Tag, TagEnd};

use super::asides::{Aside, AsideKind};
use super::html::Html;
use super::links::{LinkKind, link_kind};
use super::{Page, cell};
use crate::notebook::{Label, LabelKind};
use crate::parse;

/// The prose as markup, and its headings for the table of contents.
pub(super) struct Prose {
    pub(super) body: Html,
    pub(super) headings: Vec<Heading>,
}

pub(super) struct Heading {
    /// Level in the page, from 2: the title is the only one of level 1.
    pub(super) level: u8,
    /// Level in the notebook, from 1.
    pub(super) written_level: u8,
    pub(super) id: String,
    pub(super) number: Option<String>,
    pub(super) text: String,
}

/// Renders the notebook's body; `cells` are the rendered cells in order.
pub(super) fn html(page: &Page<'_>, cells: &[Html]) -> Prose {
    let notebook = page.notebook;
    let events: Vec<_> = parse::markdown(&notebook.text, notebook.body).collect();
    let events = &events[title_heading(page, &events)..];
    let mut writer = Writer::new(page, cells);
    writer.shift = levels(events).any(|(level, _)| level == 1);
    writer.section_numbers = section_numbers(page, events).into();
    for (event, range) in events {
        writer.event(event, range);
    }
    writer.finish()
}

/// Level and label of each heading.
fn levels<'a>(events: &'a [(Event<'_>, Range<usize>)]) -> impl Iterator<Item = (u8, Option<&'a str>)> {
    events.iter().filter_map(|(event, _)| match event {
        Event::Start(Tag::Heading { level, id, .. }) => Some((*level as u8, id.as_deref())),
        _ => None,
    })
}

/// The numbers of all headings if any heading can be referred to by number, counted as the parser counts them.
fn section_numbers(page: &Page<'_>, events: &[(Event<'_>, Range<usize>)]) -> Vec<Option<String>> {
    let headings: Vec<_> = levels(events).collect();
    let labels = &page.notebook.labels;
    if !labels.iter().any(|label| label.kind == LabelKind::Section) {
        return vec![None; headings.len()];
    }
    let only = headings.iter().filter(|(level, _)| *level == 1).count() == 1;
    let title = only && matches!(headings.first(), Some((1, None)));
    let mut open: Vec<(u8, usize)> = Vec::new();
    let mut number = |(index, (level, id)): (usize, &(u8, Option<&str>))| {
        if title && index == 0 {
            return None;
        }
        let mut count = 0;
        while let Some((_, last)) = open.pop_if(|(other, _)| *other >= *level) {
            count = last;
        }
        open.push((*level, count + 1));
        let counted = open.iter().map(|(_, count)| count.to_string()).collect::<Vec<_>>().join(".");
        let label = labels.iter().find(|label| label.kind == LabelKind::Section && Some(label.name.as_str()) == *id);
        Some(label.map_or(counted, |label| label.number.clone()))
    };
    headings.iter().enumerate().map(&mut number).collect()
}

/// How many events at the beginning are a heading that repeats the title.
fn title_heading(page: &Page<'_>, events: &[(Event<'_>, Range<usize>)]) -> usize {
    let Some((Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }), _)) = events.first() else { return 0 };
    let Some(end) = events.iter().position(|(event, _)| matches!(event, Event::End(TagEnd::Heading(_)))) else {
        return 0;
    };
    let text: String = events[..end]
        .iter()
        .filter_map(|(event, _)| match event {
            Event::Text(text) | Event::Code(text) => Some(text.as_ref()),
            _ => None,
        })
        .collect();
    if text.trim() == page.notebook.meta.title.trim() { end + 1 } else { 0 }
}

/// The page so far, and what is open at this place. Split over this file, `asides` and `raw`.
pub(super) struct Writer<'a> {
    pub(super) page: &'a Page<'a>,
    pub(super) cells: &'a [Html],
    /// Headings go one level down, because the notebook uses the highest one itself.
    pub(super) shift: bool,
    /// The numbers of the headings that follow.
    pub(super) section_numbers: VecDeque<Option<String>>,
    body: Html,
    /// Parts that are open and written at their end, outermost first.
    pub(super) asides: Vec<Aside>,
    /// Tags of raw HTML that are open, and how many were open where each Markdown element began.
    pub(super) raw: Vec<&'static str>,
    pub(super) floors: Vec<usize>,
    /// Raw HTML of the block that is open.
    raw_block: Option<String>,
    /// For each open link, whether it is written.
    links: Vec<bool>,
    table: Vec<Alignment>,
    column: usize,
    in_table_head: bool,
    /// The event before this one was display maths with a label.
    after_maths: bool,
    pub(super) headings: Vec<Heading>,
    pub(super) ids: BTreeSet<String>,
    /// How often an identifier was wanted.
    pub(super) copies: BTreeMap<String, usize>,
    pub(super) footnote_numbers: BTreeMap<String, usize>,
    pub(super) footnote_uses: BTreeMap<usize, usize>,
    pub(super) footnotes: BTreeMap<usize, Html>,
}

impl<'a> Writer<'a> {
    fn new(page: &'a Page<'a>, cells: &'a [Html]) -> Self {
        let own = ["main", "contents", "provenance", "footnotes"].into_iter().map(str::to_owned);
        let labels = page.notebook.labels.iter().map(|label| label.name.clone());
        let cell_ids = (1..=page.notebook.cells.len()).map(|number| format!("cell-{number}"));
        Writer {
            page,
            cells,
            shift: false,
            section_numbers: VecDeque::new(),
            body: Html::default(),
            asides: Vec::new(),
            raw: Vec::new(),
            floors: vec![0],
            raw_block: None,
            links: Vec::new(),
            table: Vec::new(),
            column: 0,
            in_table_head: false,
            after_maths: false,
            headings: Vec::new(),
            ids: own.chain(labels).chain(cell_ids).collect(),
            copies: BTreeMap::new(),
            footnote_numbers: BTreeMap::new(),
            footnote_uses: BTreeMap::new(),
            footnotes: BTreeMap::new(),
        }
    }

    /// Where markup goes at this place.
    pub(super) fn out(&mut self) -> &mut Html {
        match self.asides.last_mut() {
            Some(aside) => &mut aside.html,
            None => &mut self.body,
        }
    }

    pub(super) fn plain_text(&mut self, text: &str) {
        if let Some(aside) = self.asides.last_mut() {
            aside.plain.push_str(text);
        }
        self.out().text(text);
    }

    fn event(&mut self, event: &Event<'_>, range: &Range<usize>) {
        let after_maths = std::mem::take(&mut self.after_maths);
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(tag) => self.end(*tag),
            Event::Text(text) => self.text(text, after_maths),
            Event::Code(text) => self.code_span(text, range),
            Event::InlineMath(source) => self.maths("<code class=\"math\">", source, "</code>"),
            Event::DisplayMath(source) => self.display_maths(source, range),
            Event::Html(html) => match &mut self.raw_block {
                Some(block) => block.push_str(html),
                None => self.raw(html, false),
            },
            Event::InlineHtml(html) => self.raw(html, false),
            Event::FootnoteReference(name) => self.footnote_reference(name),
            Event::SoftBreak => self.plain_text("\n"),
            Event::HardBreak => self.out().tag("<br>\n"),
            Event::Rule => self.out().tag("<hr>\n"),
            Event::TaskListMarker(true) => {
                self.out().tag("<input type=\"checkbox\" disabled checked aria-label=\"done\"> ");
            }
            Event::TaskListMarker(false) => {
                self.out().tag("<input type=\"checkbox\" disabled aria-label=\"not done\"> ");
            }
        }
    }

    fn start(&mut self, tag: &Tag<'_>, range: &Range<usize>) {
        if matches!(tag, Tag::HtmlBlock) {
            self.floors.push(self.floors.last().copied().unwrap_or(0));
        } else {
            self.floors.push(self.raw.len());
        }
        match tag {
            Tag::Paragraph => self.out().tag("<p>"),
            Tag::Heading { id, .. } => {
                self.set_aside(AsideKind::Heading { id: id.as_ref().map(|id| id.to_string()) });
            }
            Tag::MetadataBlock(_) => self.set_aside(AsideKind::Metadata),
            Tag::BlockQuote(None) => self.out().tag("<blockquote>\n"),
            Tag::BlockQuote(Some(kind)) => self.out().tag(callout(*kind)),
            Tag::CodeBlock(kind) => {
                let cell = self.page.notebook.cells.iter().position(|cell| overlap(&cell.fence, range));
                let language = match kind {
                    CodeBlockKind::Fenced(info) => info.split([' ', ',', '{', '}']).next().unwrap_or("").to_owned(),
                    CodeBlockKind::Indented => String::new(),
                };
                self.set_aside(AsideKind::Code { language, cell });
            }
            Tag::HtmlBlock => self.raw_block = Some(String::new()),
            Tag::List(Some(1)) => self.out().tag("<ol>\n"),
            Tag::List(Some(first)) => {
                self.out().tag("<ol");
                self.out().attribute("start", &first.to_string());
                self.out().tag(">\n");
            }
            Tag::List(None) => self.out().tag("<ul>\n"),
            Tag::Item => self.out().tag("<li>"),
            Tag::FootnoteDefinition(name) => {
                let number = self.footnote_number(name);
                self.set_aside(AsideKind::Footnote { number });
            }
            Tag::DefinitionList => self.out().tag("<dl>\n"),
            Tag::DefinitionListTitle => self.out().tag("<dt>"),
            Tag::DefinitionListDefinition => self.out().tag("<dd>"),
            Tag::Table(alignments) => {
                self.table.clone_from(alignments);
                self.out().tag(
                    "<div class=\"scroll prose-table\" role=\"region\" tabindex=\"0\" aria-label=\"Table\"><table>\n",
                );
            }
            Tag::TableHead => {
                (self.in_table_head, self.column) = (true, 0);
                self.out().tag("<thead><tr>");
            }
            Tag::TableRow => {
                self.column = 0;
                self.out().tag("<tr>");
            }
            Tag::TableCell => {
                let tag = match (self.in_table_head, self.table.get(self.column)) {
                    (true, Some(Alignment::Right)) => "<th scope=\"col\" class=\"num\">",
                    (true, Some(Alignment::Center)) => "<th scope=\"col\" class=\"mid\">",
                    (true, _) => "<th scope=\"col\">",
                    (false, Some(Alignment::Right)) => "<td class=\"num\">",
                    (false, Some(Alignment::Center)) => "<td class=\"mid\">",
                    (false, _) => "<td>",
                };
                self.column += 1;
                self.out().tag(tag);
            }
            Tag::Emphasis => self.out().tag("<em>"),
            Tag::Strong => self.out().tag("<strong>"),
            Tag::Strikethrough => self.out().tag("<del>"),
            Tag::Superscript => self.out().tag("<sup>"),
            Tag::Subscript => self.out().tag("<sub>"),
            Tag::Link { dest_url, title, .. } => self.link(dest_url, title),
            Tag::Image { dest_url, title, .. } => {
                self.set_aside(AsideKind::Picture { path: dest_url.to_string(), title: title.to_string() });
            }
        }
    }

    fn end(&mut self, tag: TagEnd) {
        if tag == TagEnd::HtmlBlock {
            let block = self.raw_block.take().unwrap_or_default();
            self.raw(&block, true);
        }
        let floor = self.floors.pop().unwrap_or(0);
        let blocks_stay = tag == TagEnd::HtmlBlock;
        self.close_raw(floor, blocks_stay);
        let markup = match tag {
            TagEnd::Paragraph => "</p>\n",
            TagEnd::Heading(level) => return self.end_aside(Some(level)),
            TagEnd::BlockQuote(None) => "</blockquote>\n",
            TagEnd::BlockQuote(Some(_)) => "</div>\n",
            TagEnd::CodeBlock | TagEnd::FootnoteDefinition | TagEnd::Image | TagEnd::MetadataBlock(_) => {
                return self.end_aside(None);
            }
            TagEnd::HtmlBlock => "\n",
            TagEnd::List(true) => "</ol>\n",
            TagEnd::List(false) => "</ul>\n",
            TagEnd::Item => "</li>\n",
            TagEnd::DefinitionList => "</dl>\n",
            TagEnd::DefinitionListTitle => "</dt>\n",
            TagEnd::DefinitionListDefinition => "</dd>\n",
            TagEnd::Table => "</tbody></table></div>\n",
            TagEnd::TableHead => {
                self.in_table_head = false;
                "</tr></thead><tbody>\n"
            }
            TagEnd::TableRow => "</tr>\n",
            TagEnd::TableCell if self.in_table_head => "</th>",
            TagEnd::TableCell => "</td>",
            TagEnd::Emphasis => "</em>",
            TagEnd::Strong => "</strong>",
            TagEnd::Strikethrough => "</del>",
            TagEnd::Superscript => "</sup>",
            TagEnd::Subscript => "</sub>",
            TagEnd::Link => match self.links.pop() {
                Some(true) => "</a>",
                _ => return,
            },
        };
        self.out().tag(markup);
    }

    fn text(&mut self, text: &str, after_maths: bool) {
        if matches!(self.asides.last(), Some(Aside { kind: AsideKind::Code { .. }, .. })) {
            self.out().text(text);
            return;
        }
        let label = parse::equation_label(text).filter(|_| after_maths);
        let rest = label.map_or(text, |(range, _)| &text[range.end..]);
        let mut done = 0;
        for range in parse::references(rest) {
            let label = &rest[range.start + 1..range.end];
            let Some(written) = cell::reference(self.page.notebook, label) else { continue };
            self.plain_text(&rest[done..range.start]);
            done = range.end;
            // A link within a link is not HTML.
            if self.links.contains(&true) {
                self.plain_text(&written);
                continue;
            }
            self.out().tag("<a class=\"ref\"");
            self.out().attribute("href", &format!("#{label}"));
            self.out().tag(">");
            self.plain_text(&written);
            self.out().tag("</a>");
        }
        self.plain_text(&rest[done..]);
    }

    fn code_span(&mut self, text: &str, range: &Range<usize>) {
        let inlines = &self.page.notebook.inlines;
        let Some(inline) = inlines.iter().find(|inline| overlap(&inline.span, range)) else {
            self.out().tag("<code>");
            self.plain_text(text);
            self.out().tag("</code>");
            return;
        };
        match self.page.run.inlines.get(inline.index).and_then(Option::as_deref) {
            Some(value) => {
                self.out().tag("<span class=\"computed\">");
                self.plain_text(value);
            }
            None => {
                self.out().tag("<span class=\"not-run\"");
                self.out().attribute("title", &inline.expr);
                self.out().tag(">");
                self.plain_text("not run");
            }
        }
        self.out().tag("</span>");
    }

    fn maths(&mut self, open: &'static str, source: &str, close: &'static str) {
        self.out().tag(open);
        self.plain_text(source);
        self.out().tag(close);
    }

    /// Display maths, with its label's number if one follows.
    fn display_maths(&mut self, source: &str, range: &Range<usize>) {
        let notebook = self.page.notebook;
        let after = notebook.text.get(range.end..).unwrap_or("");
        let name = parse::equation_label(after).map(|(_, name)| name);
        let is_named = |label: &&Label| label.kind == LabelKind::Equation && name == Some(label.name.as_str());
        let label = notebook.labels.iter().find(is_named);
        self.out().tag("<span class=\"equation\"");
        if let Some(label) = label {
            self.after_maths = true;
            self.out().attribute("id", &label.name);
        }
        self.out().tag(">");
        self.maths("<code class=\"math\">", source.trim(), "</code>");
        if let Some(label) = label {
            let number = format!("({})", label.number);
            self.out().span("equation-number", &number);
        }
        self.out().tag("</span>");
    }

    fn link(&mut self, url: &str, title: &str) {
        let kind = link_kind(url);
        let written = kind != LinkKind::Refused && !self.links.contains(&true);
        self.links.push(written);
        if !written {
            return;
        }
        let out = self.out();
        out.tag("<a");
        out.attribute("href", url);
        if !title.is_empty() {
            out.attribute("title", title);
        }
        if kind == LinkKind::External {
            out.tag(" rel=\"noopener noreferrer\"");
        }
        out.tag(">");
    }

    fn finish(mut self) -> Prose {
        self.close_raw(0, false);
        let mut body = std::mem::take(&mut self.body);
        self.write_footnotes(&mut body);
        Prose { body, headings: self.headings }
    }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

fn callout(kind: BlockQuoteKind) -> &'static str {
    match kind {
        BlockQuoteKind::Note => "<div class=\"callout note\"><p class=\"callout-title\">Note</p>\n",
        BlockQuoteKind::Tip => "<div class=\"callout tip\"><p class=\"callout-title\">Tip</p>\n",
        BlockQuoteKind::Important => "<div class=\"callout important\"><p class=\"callout-title\">Important</p>\n",
        BlockQuoteKind::Warning => "<div class=\"callout warning\"><p class=\"callout-title\">Warning</p>\n",
        BlockQuoteKind::Caution => "<div class=\"callout caution\"><p class=\"callout-title\">Caution</p>\n",
    }
}

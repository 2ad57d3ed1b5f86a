//! Parts of the prose that are finished only when their end is reached: headings, pictures, code blocks, footnotes.

use pulldown_cmark::HeadingLevel;

use super::html::Html;
use super::links::slug;
use super::markdown::{Heading, Writer};

/// A part that is set aside, and its text without markup.
pub(super) struct Aside {
    pub(super) kind: AsideKind,
    pub(super) html: Html,
    pub(super) plain: String,
}

pub(super) enum AsideKind {
    /// `{#id}`, if there is one.
    Heading {
        id: Option<String>,
    },
    Picture {
        path: String,
        title: String,
    },
    /// The language, and the cell that the block is.
    Code {
        language: String,
        cell: Option<usize>,
    },
    Footnote {
        number: usize,
    },
    Metadata,
}

impl Writer<'_> {
    /// What follows is kept apart until its end.
    pub(super) fn set_aside(&mut self, kind: AsideKind) {
        self.asides.push(Aside { kind, html: Html::default(), plain: String::new() });
    }

    /// Writes the part that ends here.
    pub(super) fn end_aside(&mut self, level: Option<HeadingLevel>) {
        let Some(Aside { kind, html, plain }) = self.asides.pop() else { return };
        match kind {
            AsideKind::Heading { id } => self.heading(level.unwrap_or(HeadingLevel::H6), id, &html, &plain),
            AsideKind::Picture { path, title } => self.picture(&path, &title, &plain),
            AsideKind::Code { cell: Some(index), .. } => {
                let cells = self.cells;
                if let Some(cell) = cells.get(index) {
                    self.out().push(cell);
                }
            }
            AsideKind::Code { language, cell: None } => self.code_block(&language, &html),
            AsideKind::Footnote { number } => {
                self.footnotes.insert(number, html);
            }
            AsideKind::Metadata => {}
        }
    }

    fn heading(&mut self, level: HeadingLevel, explicit: Option<String>, content: &Html, plain: &str) {
        let text = plain.split_whitespace().collect::<Vec<_>>().join(" ");
        let written_level = level as u8;
        let level = (written_level + u8::from(self.shift)).clamp(2, 6);
        let label = self.page.notebook.labels.iter().find(|label| Some(&label.name) == explicit.as_ref());
        let id = match (label, explicit) {
            (Some(label), _) => label.name.clone(),
            (None, Some(explicit)) => self.free_id(&explicit),
            (None, None) => self.free_id(&slug(&text)),
        };
        let number = self.section_numbers.pop_front().flatten();
        let (open, close) = match level {
            2 => ("<h2", "</h2>\n"),
            3 => ("<h3", "</h3>\n"),
            4 => ("<h4", "</h4>\n"),
            5 => ("<h5", "</h5>\n"),
            _ => ("<h6", "</h6>\n"),
        };
        let out = self.out();
        out.tag(open);
        out.attribute("id", &id);
        out.tag(">");
        if let Some(number) = &number {
            out.span("section-number", number);
            out.tag(" ");
        }
        out.push(content);
        out.tag(" <a class=\"anchor\"");
        out.attribute("href", &format!("#{id}"));
        out.attribute("aria-label", &format!("Link to “{text}”"));
        out.tag(">#</a>");
        out.tag(close);
        self.headings.push(Heading { level, written_level, id, number, text });
    }

    /// The identifier, or the first of `id-2`, `id-3`, … that is free.
    fn free_id(&mut self, wanted: &str) -> String {
        let copies = self.copies.entry(wanted.to_owned()).or_insert(0);
        loop {
            *copies += 1;
            let id = if *copies == 1 { wanted.to_owned() } else { format!("{wanted}-{copies}") };
            if self.ids.insert(id.clone()) {
                return id;
            }
        }
    }

    fn code_block(&mut self, language: &str, code: &Html) {
        let out = self.out();
        out.tag("<div class=\"code\"><pre tabindex=\"0\"><code");
        if !language.is_empty() {
            out.attribute("data-language", language);
        }
        out.tag(">");
        out.push(code);
        out.tag("</code></pre></div>\n");
    }

    fn picture(&mut self, path: &str, title: &str, alt: &str) {
        let images = self.page.images;
        let Some(uri) = images.get(path).filter(|uri| uri.starts_with("data:image/")) else {
            self.plain_text(&format!("[picture: {alt}]"));
            return;
        };
        let out = self.out();
        out.tag("<img");
        out.attribute("src", uri);
        out.attribute("alt", alt);
        if !title.is_empty() {
            out.attribute("title", title);
        }
        out.tag(">");
    }

    /// A footnote's number: the order in which names first occur.
    pub(super) fn footnote_number(&mut self, name: &str) -> usize {
        let next = self.footnote_numbers.len() + 1;
        *self.footnote_numbers.entry(name.to_owned()).or_insert(next)
    }

    pub(super) fn footnote_reference(&mut self, name: &str) {
        let number = self.footnote_number(name);
        let uses = self.footnote_uses.entry(number).or_insert(0);
        *uses += 1;
        let id = if *uses == 1 { format!("footnote-{number}-from") } else { format!("footnote-{number}-from-{uses}") };
        let out = self.out();
        out.tag("<sup class=\"footnote-ref\"><a");
        out.attribute("id", &id);
        out.attribute("href", &format!("#footnote-{number}"));
        out.attribute("aria-label", &format!("Footnote {number}"));
        out.tag(">");
        out.text(&number.to_string());
        out.tag("</a></sup>");
    }

    /// All footnotes, after the last paragraph.
    pub(super) fn write_footnotes(&self, body: &mut Html) {
        if self.footnotes.is_empty() {
            return;
        }
        body.tag("<section class=\"footnotes\" id=\"footnotes\" aria-label=\"Footnotes\">\n<ol>\n");
        for (number, content) in &self.footnotes {
            body.tag("<li");
            body.attribute("id", &format!("footnote-{number}"));
            body.attribute("value", &number.to_string());
            body.tag(">");
            body.push(content);
            if self.footnote_uses.contains_key(number) {
                body.tag(" <a class=\"back\"");
                body.attribute("href", &format!("#footnote-{number}-from"));
                body.attribute("aria-label", &format!("Back to the reference of footnote {number}"));
                body.tag(">↩</a>");
            }
            body.tag("</li>\n");
        }
        body.tag("</ol>\n</section>\n");
    }
}

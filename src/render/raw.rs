//! Raw HTML in prose follows one rule: comments are dropped, tags of a short list pass if they have no attributes,
//! and everything else is shown as text.

use super::markdown::Writer;

impl Writer<'_> {
    /// Raw HTML of a block or within a line.
    pub(super) fn raw(&mut self, html: &str, block: bool) {
        let floor = self.floors.last().copied().unwrap_or(0);
        for piece in pieces(html) {
            match piece {
                Piece::Open(tag) if is_block(tag) && (!block || (tag == "summary" && !self.raw_is_details(floor))) => {
                    self.raw_text(if tag == "details" { "<details>" } else { "<summary>" }, block);
                }
                Piece::Open(tag) => {
                    if is_block(tag) {
                        self.close_raw(floor, true);
                    } else {
                        self.raw_paragraph(block);
                    }
                    self.open_raw(tag);
                }
                Piece::Void("hr") if block => {
                    self.close_raw(floor, true);
                    self.out().tag("<hr>");
                }
                Piece::Void("hr") => self.plain_text("<hr>"),
                Piece::Void(tag) => {
                    self.raw_paragraph(block);
                    self.out().tag(if tag == "br" { "<br>" } else { "<wbr>" });
                }
                Piece::Close(tag) => {
                    if block && is_block(tag) && self.raw.get(floor..).is_some_and(|open| open.contains(&tag)) {
                        while self.raw.last().is_some_and(|open| *open != tag) {
                            self.close_last();
                        }
                    }
                    if self.raw.len() > floor && self.raw.last() == Some(&tag) {
                        self.close_last();
                    } else {
                        self.raw_text(&format!("</{tag}>"), block);
                    }
                }
                Piece::Text(text) => self.raw_text(text, block),
            }
        }
    }

    fn raw_is_details(&self, floor: usize) -> bool {
        self.raw
            .get(floor..)
            .is_some_and(|open| open.iter().rev().find(|tag| is_block(tag)).is_some_and(|tag| *tag == "details"))
    }

    fn raw_text(&mut self, text: &str, block: bool) {
        let (space, words) = text.split_at(text.len() - text.trim_start().len());
        self.plain_text(space);
        if !words.is_empty() {
            self.raw_paragraph(block);
            self.plain_text(words);
        }
    }

    /// Text of a block stands in a paragraph, unless it is the line of a `<summary>`.
    fn raw_paragraph(&mut self, block: bool) {
        if block && self.raw.last().is_none_or(|tag| *tag == "details") {
            self.open_raw("p");
        }
    }

    fn open_raw(&mut self, tag: &'static str) {
        let out = self.out();
        out.tag("<");
        out.tag(tag);
        out.tag(">");
        self.raw.push(tag);
    }

    fn close_last(&mut self) {
        if let Some(tag) = self.raw.pop() {
            let out = self.out();
            out.tag("</");
            out.tag(tag);
            out.tag(">");
        }
    }

    /// Closes raw tags that were opened above the floor; with `blocks_stay` only down to an open block.
    pub(super) fn close_raw(&mut self, floor: usize, blocks_stay: bool) {
        while self.raw.len() > floor && !(blocks_stay && self.raw.last() == Some(&"details")) {
            self.close_last();
        }
    }
}

/// A piece of raw HTML.
#[derive(Debug, PartialEq)]
enum Piece<'a> {
    /// A tag that has no end, such as `br`.
    Void(&'static str),
    Open(&'static str),
    Close(&'static str),
    /// To be shown as it is.
    Text(&'a str),
}

/// Splits raw HTML. Tags are matched without regard to case, and returned in lower case.
fn pieces(html: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut text_start = 0;
    let mut place = 0;
    // Known once, so that a wall of `<!--` does not search to the end each time.
    let last_comment_end = html.rfind("-->").unwrap_or(0);
    while let Some(found) = html[place..].find('<') {
        let tag = place + found;
        match tag_at(&html[tag..], tag < last_comment_end) {
            Some((piece, length)) => {
                if text_start < tag {
                    pieces.push(Piece::Text(&html[text_start..tag]));
                }
                pieces.extend(piece);
                place = tag + length;
                text_start = place;
            }
            None => place = tag + 1,
        }
    }
    if text_start < html.len() {
        pieces.push(Piece::Text(&html[text_start..]));
    }
    pieces
}

/// Whether a tag may hold paragraphs and stands outside of them.
fn is_block(tag: &str) -> bool {
    matches!(tag, "details" | "summary")
}

/// The piece that begins at `<`, nothing for a comment, and its length.
fn tag_at(html: &str, comment_ends: bool) -> Option<(Option<Piece<'static>>, usize)> {
    if let Some(comment) = html.strip_prefix("<!--") {
        return if comment_ends { comment.find("-->").map(|end| (None, 4 + end + 3)) } else { None };
    }
    // No listed name is longer; a wall of `<` must not cost more than one look each.
    let end = html.bytes().take(24).position(|byte| byte == b'>')?;
    let (inner, closes) = match html[1..end].strip_prefix('/') {
        Some(inner) => (inner, true),
        None => (&html[1..end], false),
    };
    let name = inner.trim_end_matches('/').trim_end_matches([' ', '\t', '\n']);
    let find = |names: &[&'static str]| names.iter().copied().find(|listed| listed.eq_ignore_ascii_case(name));
    let piece = match (find(VOID), find(PAIRED)) {
        (Some(name), _) if !closes => Piece::Void(name),
        (_, Some(name)) if closes => Piece::Close(name),
        (_, Some(name)) if !inner.ends_with('/') => Piece::Open(name),
        _ => return None,
    };
    Some((Some(piece), end + 1))
}

const VOID: &[&str] = &["br", "hr", "wbr"];

const PAIRED: &[&str] = &[
    "abbr", "b", "cite", "code", "del", "details", "dfn", "em", "i", "ins", "kbd", "mark", "q", "s", "samp", "small",
    "strong", "sub", "summary", "sup", "u", "var",
];

#[cfg(test)]
mod tests {
    use super::Piece::{Close, Open, Text, Void};
    use super::pieces;

    #[test]
    fn the_rule_holds() {
        let cases = [
            ("<br>", vec![Void("br")]),
            ("<BR/>", vec![Void("br")]),
            ("x<sub>2</sub >", vec![Text("x"), Open("sub"), Text("2"), Close("sub")]),
            ("a<!-- <script> -->b", vec![Text("a"), Text("b")]),
            ("<!-- never", vec![Text("<!-- never")]),
            ("<b onclick=x>", vec![Text("<b onclick=x>")]),
            ("<script>x</script>", vec![Text("<script>x</script>")]),
            ("a < b > c", vec![Text("a < b > c")]),
            ("<<b>", vec![Text("<"), Open("b")]),
            ("</br>", vec![Text("</br>")]),
            ("<sub/>", vec![Text("<sub/>")]),
        ];
        for (html, expected) in cases {
            assert_eq!(pieces(html), expected, "{html}");
        }
    }
}

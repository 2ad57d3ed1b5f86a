//! Figures: what of an SVG may stand in the page.
//!
//! A figure is drawn inline, so that it follows the page's light and dark colours. Its source comes from a cell, so it
//! is parsed, and only elements and attributes of the lists below are written again. Identifiers get a prefix of their
//! own for each figure.

use anyhow::{Context, bail, ensure};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::html::Html;

/// Rewrites an SVG. `prefix` begins every identifier; `alt`, or else the root's `<desc>` or `<title>`, or else
/// `fallback`, becomes the label that is read out.
///
/// # Errors
/// The source is not well-formed XML, does not have one `<svg>` root, or nests deeper than 200 elements.
pub(super) fn figure(source: &str, prefix: &str, alt: Option<&str>, fallback: &str) -> anyhow::Result<Html> {
    let mut filter =
        Filter { prefix, body: Html::default(), open: Vec::new(), identified: None, title: None, desc: None };
    let root = filter.run(source)?;
    let described = filter.desc.as_deref().or(filter.title.as_deref()).map(str::trim).filter(|text| !text.is_empty());
    let label = alt.or(described).unwrap_or(fallback);
    let mut svg = Html::default();
    svg.tag("<svg class=\"plot\" role=\"img\"");
    svg.attribute("aria-label", label);
    for (name, value) in &root {
        svg.attribute(name, value);
    }
    svg.tag(">");
    svg.push(&filter.body);
    svg.tag("</svg>");
    Ok(svg)
}

type Attributes = Vec<(&'static str, String)>;

struct Filter<'a> {
    prefix: &'a str,
    body: Html,
    /// Elements that are open below the root; text is kept in those that may hold it.
    open: Vec<&'static str>,
    /// How many elements were open where the outermost one with an identifier began.
    identified: Option<usize>,
    title: Option<String>,
    desc: Option<String>,
}

const DEEPEST: usize = 200;

impl Filter<'_> {
    /// Writes what is allowed below the root and returns the root's attributes.
    fn run(&mut self, source: &str) -> anyhow::Result<Attributes> {
        let mut reader = Reader::from_str(source);
        let mut root = None;
        let mut closed = false;
        loop {
            let place = reader.buffer_position();
            let event = reader.read_event().with_context(|| format!("not well-formed XML near byte {place}"))?;
            match event {
                Event::Eof => break,
                Event::Start(tag) if root.is_none() => root = Some(self.root(&tag)?),
                Event::Empty(tag) if root.is_none() => {
                    root = Some(self.root(&tag)?);
                    closed = true;
                }
                Event::Start(_) | Event::Empty(_) if closed => bail!("more than one root element"),
                Event::Start(tag) => self.start(&tag, &mut reader)?,
                Event::Empty(tag) => self.empty(&tag)?,
                Event::End(_) => match self.open.pop() {
                    Some(name) => {
                        self.identified = self.identified.filter(|depth| *depth < self.open.len());
                        self.close(name);
                    }
                    None => closed = true,
                },
                Event::Text(text) => self.text(&text.decode()?),
                Event::CData(text) => self.text(&text.decode()?),
                Event::GeneralRef(reference) => self.reference(&reference)?,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
        ensure!(closed, "the <svg> element is not closed");
        root.context("no <svg> element")
    }

    fn root(&self, tag: &BytesStart<'_>) -> anyhow::Result<Attributes> {
        ensure!(tag.local_name().as_ref() == b"svg", "the root element is not <svg>");
        let mut attributes = self.attributes(tag, "svg")?;
        attributes.retain(|(name, _)| !matches!(*name, "class" | "id" | "x" | "y"));
        let number = |name: &str| {
            let value = attributes.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())?;
            value.strip_suffix("px").unwrap_or(value).parse::<f64>().ok().filter(|number| number.is_finite())
        };
        if !attributes.iter().any(|(name, _)| *name == "viewBox")
            && let (Some(width), Some(height)) = (number("width"), number("height"))
        {
            attributes.push(("viewBox", format!("0 0 {width} {height}")));
        }
        Ok(attributes)
    }

    fn start(&mut self, tag: &BytesStart<'_>, reader: &mut Reader<&[u8]>) -> anyhow::Result<()> {
        ensure!(self.open.len() < DEEPEST, "elements nest deeper than {DEEPEST}");
        match self.element(tag)? {
            Some((name, attributes)) => {
                self.write(name, &attributes);
                if self.identified.is_none() && attributes.iter().any(|(name, _)| *name == "id") {
                    self.identified = Some(self.open.len());
                }
                self.open.push(name);
            }
            None if self.open.is_empty() && matches!(tag.local_name().as_ref(), b"title" | b"desc") => {
                let is_title = tag.local_name().as_ref() == b"title";
                let text = reader.read_text(tag.name())?;
                let text = quick_xml::escape::unescape(&text).unwrap_or_default().into_owned();
                *(if is_title { &mut self.title } else { &mut self.desc }) = Some(text);
            }
            None => {
                reader.read_to_end(tag.name())?;
            }
        }
        Ok(())
    }

    fn empty(&mut self, tag: &BytesStart<'_>) -> anyhow::Result<()> {
        if let Some((name, attributes)) = self.element(tag)? {
            self.write(name, &attributes);
            self.close(name);
        }
        Ok(())
    }

    /// The element's name and attributes, if it is allowed here.
    fn element(&self, tag: &BytesStart<'_>) -> anyhow::Result<Option<(&'static str, Attributes)>> {
        let local = tag.local_name();
        let Some(name) = ELEMENTS.iter().copied().find(|name| name.as_bytes() == local.as_ref()) else {
            return Ok(None);
        };
        // The root's title would pop up over the whole figure; it is the label instead.
        if self.open.is_empty() && matches!(name, "title" | "desc") {
            return Ok(None);
        }
        let attributes = self.attributes(tag, name)?;
        // What has an identifier holds no `use`, or a few lines could draw billions of copies.
        if name == "use" && (self.identified.is_some() || attributes.iter().any(|(name, _)| *name == "id")) {
            return Ok(None);
        }
        let refers = attributes.iter().any(|(name, _)| *name == "href");
        Ok((refers || !matches!(name, "use" | "image")).then_some((name, attributes)))
    }

    fn attributes(&self, tag: &BytesStart<'_>, element: &str) -> anyhow::Result<Attributes> {
        let mut kept = Attributes::new();
        for attribute in tag.attributes() {
            let attribute = attribute.context("a malformed attribute")?;
            let value = attribute.unescape_value().context("a malformed attribute value")?;
            let name = attribute.key;
            let local = name.local_name();
            let prefix = name.prefix();
            if name.as_ref() == b"style" {
                for declaration in value.split(';') {
                    if let Some((name, value)) = declaration.split_once(':') {
                        self.keep(&mut kept, element, name.trim().as_bytes(), value.trim());
                    }
                }
            } else if prefix.is_none() || (name.as_ref() == b"xlink:href") {
                self.keep(&mut kept, element, local.as_ref(), &value);
            }
        }
        Ok(kept)
    }

    /// Keeps an attribute if name and value are allowed; the last value of a name wins.
    fn keep(&self, kept: &mut Attributes, element: &str, name: &[u8], value: &str) {
        let Some(name) = ATTRIBUTES.iter().copied().find(|allowed| allowed.as_bytes() == name) else { return };
        let value = match name {
            "id" => format!("{}{value}", self.prefix),
            "class" => {
                value.split_ascii_whitespace().filter(|class| is_plot_class(class)).collect::<Vec<_>>().join(" ")
            }
            "href" => match (element, value.strip_prefix('#')) {
                ("image", _) if is_embedded_image(value) => value.to_owned(),
                ("use" | "linearGradient" | "radialGradient" | "pattern", Some(id)) => format!("#{}{id}", self.prefix),
                _ => return,
            },
            _ => match local_url(value) {
                Some(id) => format!("url(#{}{id})", self.prefix),
                None if value.to_ascii_lowercase().contains("url") || value.contains('\\') => return,
                None => value.to_owned(),
            },
        };
        if value.is_empty() {
            return;
        }
        kept.retain(|(other, _)| *other != name);
        kept.push((name, value));
    }

    fn write(&mut self, name: &'static str, attributes: &Attributes) {
        self.body.tag("<");
        self.body.tag(name);
        for (name, value) in attributes {
            self.body.attribute(name, value);
        }
        self.body.tag(">");
    }

    fn close(&mut self, name: &'static str) {
        self.body.tag("</");
        self.body.tag(name);
        self.body.tag(">");
    }

    fn text(&mut self, text: &str) {
        if matches!(self.open.last(), Some(&("text" | "tspan" | "title" | "desc"))) {
            self.body.text(text);
        }
    }

    fn reference(&mut self, reference: &quick_xml::events::BytesRef<'_>) -> anyhow::Result<()> {
        if let Some(character) = reference.resolve_char_ref()? {
            self.text(character.encode_utf8(&mut [0; 4]));
        } else if let Some(text) = quick_xml::escape::resolve_predefined_entity(&reference.decode()?) {
            self.text(text);
        }
        Ok(())
    }
}

/// Classes that the page's style sheet colours, and nothing else of the page.
fn is_plot_class(class: &str) -> bool {
    PLOT_CLASSES.contains(&class)
        || class
            .strip_prefix("series-")
            .or(class.strip_prefix('s'))
            .is_some_and(|number| number.parse::<u8>().is_ok_and(|number| (1..=20).contains(&number)))
}

/// The identifier in `url(#identifier)`.
fn local_url(value: &str) -> Option<&str> {
    let id = value.trim().strip_prefix("url(")?.strip_suffix(')')?.trim_matches(['"', '\'', ' ']).strip_prefix('#')?;
    id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':')).then_some(id)
}

fn is_embedded_image(value: &str) -> bool {
    value
        .strip_prefix("data:image/png;base64,")
        .is_some_and(|data| data.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/= \n".contains(&byte)))
}

const PLOT_CLASSES: &[&str] = &[
    "fill",
    "stroke",
    "axis",
    "grid",
    "label",
    "title",
    "legend",
    "muted",
    "zero",
    "tick",
    "value",
    "marker",
    "error",
    "background",
    "raster",
    "text",
    "na",
    "halo",
];

const ELEMENTS: &[&str] = &[
    "svg",
    "g",
    "path",
    "rect",
    "circle",
    "ellipse",
    "line",
    "polyline",
    "polygon",
    "text",
    "tspan",
    "title",
    "desc",
    "defs",
    "clipPath",
    "use",
    "linearGradient",
    "radialGradient",
    "stop",
    "pattern",
    "image",
];

const ATTRIBUTES: &[&str] = &[
    "class",
    "clip-path",
    "clip-rule",
    "clipPathUnits",
    "color",
    "cx",
    "cy",
    "d",
    "direction",
    "display",
    "dominant-baseline",
    "dx",
    "dy",
    "fill",
    "fill-opacity",
    "fill-rule",
    "font-family",
    "font-size",
    "font-style",
    "font-variant",
    "font-weight",
    "fx",
    "fy",
    "gradientTransform",
    "gradientUnits",
    "height",
    "href",
    "id",
    "image-rendering",
    "lengthAdjust",
    "letter-spacing",
    "offset",
    "opacity",
    "paint-order",
    "pathLength",
    "patternContentUnits",
    "patternTransform",
    "patternUnits",
    "points",
    "preserveAspectRatio",
    "r",
    "rotate",
    "rx",
    "ry",
    "shape-rendering",
    "spreadMethod",
    "stop-color",
    "stop-opacity",
    "stroke",
    "stroke-dasharray",
    "stroke-dashoffset",
    "stroke-linecap",
    "stroke-linejoin",
    "stroke-miterlimit",
    "stroke-opacity",
    "stroke-width",
    "text-anchor",
    "text-decoration",
    "text-rendering",
    "textLength",
    "transform",
    "vector-effect",
    "viewBox",
    "visibility",
    "width",
    "word-spacing",
    "x",
    "x1",
    "x2",
    "y",
    "y1",
    "y2",
];

#[cfg(test)]
mod tests {
    use super::figure;

    fn inner(source: &str) -> String {
        let html = figure(&format!("<svg viewBox=\"0 0 9 9\">{source}</svg>"), "f1-", None, "x").expect("well-formed");
        let text = html.as_str();
        let start = text.find('>').expect("a tag") + 1;
        text[start..].strip_suffix("</svg>").expect("an end").to_owned()
    }

    #[test]
    fn only_listed_markup_is_kept() {
        let cases = [
            ("<rect x=\"1\" class=\"s1 fill evil\"/>", "<rect x=\"1\" class=\"s1 fill\"></rect>"),
            ("<g onclick=\"x()\" ONLOAD=\"x()\" fill=\"red\"/>", "<g fill=\"red\"></g>"),
            ("<script>alert(1)</script><g/>", "<g></g>"),
            ("<g><foreignObject><rect/><iframe src=\"x\"/></foreignObject></g>", "<g></g>"),
            ("<style>*{fill:url(http://x)}</style>", ""),
            ("<a href=\"javascript:x\"><text>t</text></a>", ""),
            ("<animate attributeName=\"href\" to=\"javascript:x\"/>", ""),
            ("<use href=\"#a\"/><use href=\"http://x#a\"/>", "<use href=\"#f1-a\"></use>"),
            (
                "<g id=\"b\"><g><use href=\"#a\"/></g></g><use href=\"#b\"/>",
                "<g id=\"f1-b\"><g></g></g><use href=\"#f1-b\"></use>",
            ),
            ("<use xlink:href=\"#a\"/>", "<use href=\"#f1-a\"></use>"),
            ("<image href=\"http://x/y.png\"/><image href=\"data:text/html,x\"/>", ""),
            ("<image href=\"data:image/png;base64,AAAA\"/>", "<image href=\"data:image/png;base64,AAAA\"></image>"),
            ("<image href=\"data:image/svg+xml;base64,AAAA\"/>", ""),
            ("<rect fill=\"url(#a)\"/>", "<rect fill=\"url(#f1-a)\"></rect>"),
            ("<rect fill=\"url(http://x)\" stroke=\"URL (//x)\"/>", "<rect></rect>"),
            ("<rect fill=\"u\\72l(http://x)\"/>", "<rect></rect>"),
            (
                "<rect style=\"fill:red;background:url(x);stroke : blue\"/>",
                "<rect fill=\"red\" stroke=\"blue\"></rect>",
            ),
            ("<text>a &lt;b&gt; &#60;c <![CDATA[<script>]]></text>", "<text>a &lt;b&gt; &lt;c &lt;script&gt;</text>"),
            ("<!-- c --><?pi x?>stray", ""),
            ("<g id=\"main\"/>", "<g id=\"f1-main\"></g>"),
            ("<rect class='\"><script>'/>", "<rect></rect>"),
            (
                "<text font-family='\"&gt;&lt;script&gt;'>x</text>",
                "<text font-family=\"&quot;&gt;&lt;script&gt;\">x</text>",
            ),
        ];
        for (source, expected) in cases {
            assert_eq!(inner(source), expected, "{source}");
        }
    }

    #[test]
    fn the_label_comes_from_the_best_source() {
        let svg =
            "<svg width=\"10\" height=\"5px\"><title>T</title><desc>D &amp; e</desc><g><title>point</title></g></svg>";
        let plain = "<svg/>";
        for (source, alt, label) in [(svg, Some("A"), "A"), (svg, None, "D &amp; e"), (plain, None, "caption")] {
            let html = figure(source, "", alt, "caption").expect("well-formed");
            assert!(html.as_str().contains(&format!(" aria-label=\"{label}\"")), "{}", html.as_str());
        }
        let html = figure(svg, "", None, "").expect("well-formed");
        assert_eq!(
            html.as_str(),
            "<svg class=\"plot\" role=\"img\" aria-label=\"D &amp; e\" width=\"10\" height=\"5px\" \
             viewBox=\"0 0 10 5\"><g><title>point</title></g></svg>"
        );
    }

    #[test]
    fn what_is_not_svg_is_an_error() {
        let deep = format!("<svg>{}{}</svg>", "<g>".repeat(300), "</g>".repeat(300));
        for source in ["", "text", "<p/>", "<svg>", "<svg></g></svg>", "<svg/><svg/>", "<svg a=b/>", &deep] {
            assert!(figure(source, "", None, "").is_err(), "{}", &source[..source.len().min(40)]);
        }
    }
}

//! Markup that is known to be safe, and the one function that escapes.

use minijinja::Value;

/// Markup. It grows only by escaped text and by tags written in this program, so a template may print it as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Html(String);

impl Html {
    /// Markup that the caller vouches for: a tag written in this program, a rendered template, our own style sheet.
    pub(super) fn trusted(markup: impl Into<String>) -> Self {
        Html(markup.into())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }

    /// Appends text, escaped.
    pub(super) fn text(&mut self, text: &str) {
        escape_into(&mut self.0, text);
    }

    /// Appends markup.
    pub(super) fn push(&mut self, html: &Html) {
        self.0.push_str(&html.0);
    }

    /// Appends a tag or other markup that is written in this program.
    pub(super) fn tag(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// Appends ` name="value"` to an open tag.
    pub(super) fn attribute(&mut self, name: &'static str, value: &str) {
        self.0.push(' ');
        self.0.push_str(name);
        self.0.push_str("=\"");
        escape_into(&mut self.0, value);
        self.0.push('"');
    }

    /// Appends text in a `<span>` of a class.
    pub(super) fn span(&mut self, class: &'static str, text: &str) {
        self.tag("<span");
        self.attribute("class", class);
        self.tag(">");
        self.text(text);
        self.tag("</span>");
    }
}

impl From<Html> for Value {
    fn from(html: Html) -> Self {
        // The only place that tells the template engine not to escape.
        Value::from_safe_string(html.0)
    }
}

/// Text with `` `code` `` in it, as messages of this program have.
pub(super) fn message(text: &str) -> Html {
    let mut html = Html::default();
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        html.text(text);
        return html;
    }
    for (index, part) in parts.iter().enumerate() {
        if index % 2 == 1 {
            html.tag("<code>");
            html.text(part);
            html.tag("</code>");
        } else {
            html.text(part);
        }
    }
    html
}

/// Escapes for element content and for quoted attribute values alike. Control characters, which HTML does not allow,
/// become U+FFFD; carriage returns of CRLF files are dropped.
fn escape_into(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#x27;"),
            '\t' | '\n' => out.push(c),
            '\r' => {}
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

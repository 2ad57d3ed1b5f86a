//! Which addresses prose may link to, and the names of headings in addresses.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkKind {
    External,
    Local,
    Refused,
}

/// Allowed are `http`, `https`, `mailto`, places of the page and relative addresses.
pub(super) fn link_kind(url: &str) -> LinkKind {
    // Browsers ignore these in an address, so that `java\nscript:` is a scheme.
    let url: String = url.chars().filter(|c| !c.is_control() && !c.is_whitespace()).collect();
    let before_path = url.split(['/', '\\', '?', '#']).next().unwrap_or("");
    match before_path.split_once(':') {
        Some((scheme, _)) => match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" | "mailto" => LinkKind::External,
            _ => LinkKind::Refused,
        },
        None if url.starts_with("//") || url.contains('\\') => LinkKind::Refused,
        None => LinkKind::Local,
    }
}

/// Lower-case letters and digits, joined by hyphens.
pub(super) fn slug(text: &str) -> String {
    let words: Vec<String> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    if words.is_empty() { "section".to_owned() } else { words.join("-") }
}

#[cfg(test)]
mod tests {
    use super::{LinkKind, link_kind, slug};

    #[test]
    fn addresses_are_judged_as_browsers_read_them() {
        let cases = [
            ("https://example.org/a:b", LinkKind::External),
            ("MAILTO:a@b.c", LinkKind::External),
            ("#fig-a", LinkKind::Local),
            ("other.html", LinkKind::Local),
            ("./a:b", LinkKind::Local),
            ("javascript:alert(1)", LinkKind::Refused),
            ("JaVa\tScript:alert(1)", LinkKind::Refused),
            ("\u{1}javascript:alert(1)", LinkKind::Refused),
            (" vbscript:x", LinkKind::Refused),
            ("data:text/html,x", LinkKind::Refused),
            ("file:///etc/passwd", LinkKind::Refused),
            ("//host/x", LinkKind::Refused),
            ("\\\\host\\x", LinkKind::Refused),
        ];
        for (url, kind) in cases {
            assert_eq!(link_kind(url), kind, "{url:?}");
        }
    }

    #[test]
    fn slugs_are_readable() {
        for (text, id) in [("K-Means & friends", "k-means-friends"), ("Größe 2", "größe-2"), ("!?", "section")] {
            assert_eq!(slug(text), id);
        }
    }
}

//! Colours, text sizes and text measures of figures.
//!
//! A colour is also a role: [`class`] gives the class under which the page's style sheet recolours it for light and
//! dark, and the colour itself is what other viewers show.

use plotters::style::RGBColor;

/// Width of every figure in its own units; at 350 pixels a text of 18 units is 9.8 pixels high.
pub(super) const WIDTH: f64 = 640.0;

/// Size of axis labels, legends and category names.
pub(super) const TEXT: f64 = 18.0;

/// Size of a figure's title.
pub(super) const TITLE: f64 = 20.0;

/// Size of values written at marks, and of notes.
pub(super) const SMALL: f64 = 16.5;

/// Text that must be read.
pub const INK: RGBColor = RGBColor(0x1f, 0x23, 0x28);
/// Text that explains: tick labels, notes.
pub const QUIET: RGBColor = RGBColor(0x59, 0x63, 0x6e);
/// The line at zero, where values are on both sides.
pub const ZERO: RGBColor = RGBColor(0x5a, 0x63, 0x6e);
/// Axis lines.
pub const AXIS: RGBColor = RGBColor(0x81, 0x8b, 0x98);
/// Grid lines.
pub const GRID: RGBColor = RGBColor(0xd1, 0xd9, 0xe0);

const WHITE: RGBColor = RGBColor(255, 255, 255);
const BLACK: RGBColor = RGBColor(0, 0, 0);

/// Colours of series after Okabe and Ito, darkened where they would be too faint on white.
const SERIES: [RGBColor; 10] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x89, 0x5f),
    RGBColor(0xb2, 0x55, 0x9a),
    RGBColor(0xa8, 0x7a, 0x00),
    RGBColor(0x3f, 0x93, 0xc9),
    RGBColor(0x7a, 0x52, 0xa8),
    RGBColor(0x5f, 0x6a, 0x74),
    RGBColor(0x8c, 0x4a, 0x1f),
    RGBColor(0xc2, 0x33, 0x4d),
];

/// The colour of the series at `index`, from 0; after ten they repeat.
pub fn series(index: usize) -> RGBColor {
    SERIES[index % SERIES.len()]
}

/// Colours that no theme changes, for pictures; of a lightness that shows on white as well as on black.
const FIXED: [RGBColor; 10] = [
    RGBColor(0x2f, 0x8f, 0xd0),
    RGBColor(0xe8, 0x70, 0x2a),
    RGBColor(0x1f, 0xa6, 0x7a),
    RGBColor(0xc7, 0x6b, 0xb3),
    RGBColor(0xb9, 0x8c, 0x10),
    RGBColor(0x62, 0xb0, 0xdd),
    RGBColor(0x96, 0x73, 0xc9),
    RGBColor(0x7d, 0x88, 0x94),
    RGBColor(0xa5, 0x67, 0x3a),
    RGBColor(0xdd, 0x50, 0x68),
];

/// The colour of the series at `index` in a picture, which no theme changes.
pub(super) fn fixed_series(index: usize) -> RGBColor {
    FIXED[index % FIXED.len()]
}

/// Noise in a picture.
pub(super) const FIXED_NOISE: RGBColor = RGBColor(0x80, 0x80, 0x80);

/// What a colour is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Fill,
    Stroke,
    Text { bold: bool },
}

/// The class of a colour in the page's style sheet; none for a colour that no role has.
pub(super) fn class(color: RGBColor, purpose: Use) -> Option<String> {
    if let Some(index) = SERIES.iter().position(|other| *other == color) {
        let part = if purpose == Use::Stroke { "stroke" } else { "fill" };
        return Some(format!("s{} {part}", index + 1));
    }
    let class = match (color, purpose) {
        (INK | BLACK, Use::Text { bold: true }) => "title",
        (INK | BLACK, Use::Text { bold: false }) => "legend",
        (_, Use::Text { .. }) => (color == QUIET).then_some("label")?,
        (INK, Use::Stroke) => "error",
        (BLACK, Use::Stroke) => "stroke",
        (INK | BLACK, Use::Fill) => "fill",
        (ZERO, Use::Stroke) => "zero",
        (AXIS | QUIET, Use::Stroke) => "axis",
        (QUIET, Use::Fill) => "muted",
        (GRID, Use::Stroke) => "grid",
        (WHITE, Use::Fill) => "background",
        _ => return None,
    };
    Some(class.to_owned())
}

/// The width of one line of text, in the units of `size`. An estimate from above: DejaVu Sans, the widest of the fonts
/// that a reader's system is likely to choose.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(advance).sum::<f64>() * size
}

fn advance(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '\'' | '|' | '.' | ',' | ':' | ';' | '!' | ' ' | 'I' | '·' | '\u{202f}' => 0.33,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '/' | '\\' | '-' | '"' => 0.41,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 0.97,
        '+' | '=' | '<' | '>' | '±' | '−' | '~' => 0.84,
        'A'..='Z' => 0.71,
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' => 0.0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{1f000}'..='\u{1faff}' => 1.05,
        _ => 0.62,
    }
}

/// Breaks text into at most `lines` lines of at most `limit` units, after spaces, hyphens, slashes and underscores where
/// it can; what does not fit ends in "…".
pub(super) fn wrap(text: &str, size: f64, limit: f64, lines: usize) -> Vec<String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut rest = text.as_str();
    let mut found = Vec::new();
    while !rest.is_empty() {
        if width(rest, size) <= limit {
            found.push(rest.to_owned());
            break;
        }
        if found.len() + 1 >= lines {
            found.push(format!("{}…", rest[..fitting(rest, size, limit - size)].trim_end()));
            break;
        }
        let cut = cut(rest, fitting(rest, size, limit), |tail| width(tail, size) <= limit);
        found.push(rest[..cut].trim_end().to_owned());
        rest = rest[cut..].trim_start();
    }
    if found.is_empty() { vec![String::new()] } else { found }
}

/// Where to end a line of which `fits` bytes fit: before a bracket if what follows `ends` the text in one line, else at
/// the last good place.
fn cut(text: &str, fits: usize, ends: impl Fn(&str) -> bool) -> usize {
    if let Some(bracket) = text[..fits].rfind(" (").filter(|at| *at > 0 && ends(&text[at + 1..])) {
        return bracket;
    }
    if text[fits..].starts_with(' ') {
        return fits;
    }
    text[..fits].rfind([' ', '-', '/', '_']).map_or(fits, |at| at + 1)
}

/// How many bytes of the text fit; at least one character.
fn fitting(text: &str, size: f64, limit: f64) -> usize {
    let mut used = 0.0;
    for (at, c) in text.char_indices() {
        used += advance(c) * size;
        if used > limit && at > 0 {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_distinct_and_have_classes() {
        for index in 0..10 {
            assert_eq!(class(series(index), Use::Fill), Some(format!("s{} fill", index + 1)));
            assert_eq!(class(series(index), Use::Stroke), Some(format!("s{} stroke", index + 1)));
        }
        assert!((0..10).all(|index| class(fixed_series(index), Use::Fill).is_none()));
        assert_eq!(series(10), series(0));
        assert_eq!(class(GRID, Use::Stroke).as_deref(), Some("grid"));
        assert_eq!(class(ZERO, Use::Stroke).as_deref(), Some("zero"));
        assert_eq!(class(INK, Use::Text { bold: true }).as_deref(), Some("title"));
        assert_eq!(class(RGBColor(1, 2, 3), Use::Fill), None);
    }

    #[test]
    fn long_names_are_broken_where_people_would_break_them() {
        let limit = width("ViT-B/16 random w", TEXT);
        assert_eq!(wrap("ViT-B/16", TEXT, limit, 2), ["ViT-B/16"]);
        assert_eq!(wrap("ViT-B/16 random weights", TEXT, limit, 2), ["ViT-B/16 random", "weights"]);
        assert_eq!(wrap("ViT-B/16 (random weight)", TEXT, limit, 2), ["ViT-B/16", "(random weight)"]);
        assert_eq!(wrap("", TEXT, limit, 2), [""]);
        let cut = wrap(&"é".repeat(400), TEXT, limit, 2);
        assert_eq!(cut.len(), 2);
        assert!(cut[1].ends_with('…') && cut.iter().all(|line| width(line, TEXT) <= limit), "{cut:?}");
        assert_eq!(wrap("日本語", TEXT, 1.0, 9), ["日", "本", "語"]);
    }
}

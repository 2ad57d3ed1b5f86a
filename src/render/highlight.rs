//! Colours Rust code on the server side, token by token with rustc's own lexer.

use ra_ap_rustc_lexer::{FrontmatterAllowed, LiteralKind, TokenKind, tokenize};

use super::html::Html;

/// The code with each coloured token in a `<span>`; the text itself is unchanged.
///
/// Classes: `k` keyword, `s` string or character, `n` number, `c` comment, `d` doc comment, `t` type, `f` function
/// call or definition, `m` macro, `l` lifetime, `a` attribute.
pub(super) fn rust(code: &str) -> Html {
    let tokens = tokens(code);
    let mut runs: Vec<(Option<&'static str>, String)> = Vec::new();
    let mut attribute_depth = None;
    for (index, (kind, text)) in tokens.iter().enumerate() {
        if attribute_depth.is_none() && begins_attribute(&tokens[index..]) {
            attribute_depth = Some(0_usize);
        }
        let class = match attribute_depth {
            Some(_) => Some("a"),
            None => class(*kind, text, tokens[..index].last(), &tokens[index + 1..]),
        };
        attribute_depth = match (attribute_depth, kind) {
            (Some(depth), TokenKind::OpenBracket) => Some(depth + 1),
            (Some(0 | 1), TokenKind::CloseBracket) => None,
            (Some(depth), TokenKind::CloseBracket) => Some(depth - 1),
            (depth, _) => depth,
        };
        match runs.last_mut() {
            Some((last, run)) if *last == class => run.push_str(text),
            _ => runs.push((class, (*text).to_owned())),
        }
    }
    let mut html = Html::default();
    for (class, text) in runs {
        match class {
            Some(class) => html.span(class, &text),
            None => html.text(&text),
        }
    }
    html
}

type Token<'a> = (TokenKind, &'a str);

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut start = 0;
    tokenize(code, FrontmatterAllowed::No)
        .map(|token| {
            let end = start + token.len as usize;
            let text = &code[start..end];
            start = end;
            (token.kind, text)
        })
        .collect()
}

/// `#[` or `#![`.
fn begins_attribute(tokens: &[Token<'_>]) -> bool {
    let mut kinds = tokens.iter().map(|(kind, _)| kind);
    matches!(kinds.next(), Some(TokenKind::Pound))
        && match kinds.next() {
            Some(TokenKind::OpenBracket) => true,
            Some(TokenKind::Bang) => matches!(kinds.next(), Some(TokenKind::OpenBracket)),
            _ => false,
        }
}

fn class(kind: TokenKind, text: &str, before: Option<&Token<'_>>, after: &[Token<'_>]) -> Option<&'static str> {
    match kind {
        TokenKind::LineComment { doc_style: None } | TokenKind::BlockComment { doc_style: None, .. } => Some("c"),
        TokenKind::LineComment { .. } | TokenKind::BlockComment { .. } => Some("d"),
        TokenKind::Literal { kind: LiteralKind::Int { .. } | LiteralKind::Float { .. }, .. } => Some("n"),
        TokenKind::Literal { .. } => Some("s"),
        TokenKind::Lifetime { .. } | TokenKind::RawLifetime => Some("l"),
        TokenKind::Ident => identifier(text, before, after),
        TokenKind::Bang if before.is_some_and(|(kind, text)| is_macro_name(*kind, text, after)) => Some("m"),
        _ => None,
    }
}

fn identifier(text: &str, before: Option<&Token<'_>>, after: &[Token<'_>]) -> Option<&'static str> {
    let next = after.first().map(|(kind, _)| *kind);
    if KEYWORDS.contains(&text) {
        return Some("k");
    }
    if matches!(next, Some(TokenKind::Bang)) && is_macro_name(TokenKind::Ident, text, &after[1..]) {
        return Some("m");
    }
    if PRIMITIVES.contains(&text) {
        return Some("t");
    }
    let mut letters = text.chars().filter(|c| c.is_alphabetic());
    if letters.next().is_some_and(char::is_uppercase) {
        return Some("t");
    }
    let after_dot_or_name = matches!(next, Some(TokenKind::OpenParen));
    let turbofish = matches!(after, [(TokenKind::Colon, _), (TokenKind::Colon, _), (TokenKind::Lt, _), ..]);
    let is_type_path = matches!(before, Some((TokenKind::Lt, _)));
    (after_dot_or_name || (turbofish && !is_type_path)).then_some("f")
}

/// Whether an identifier before `!` names a macro, and is not the left side of `!=`.
fn is_macro_name(kind: TokenKind, text: &str, after_bang: &[Token<'_>]) -> bool {
    matches!(kind, TokenKind::Ident)
        && !KEYWORDS.contains(&text)
        && !matches!(after_bang.first(), Some((TokenKind::Eq, _)))
}

const KEYWORDS: &[&str] = &[
    "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern", "false", "fn",
    "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return", "self", "static",
    "struct", "super", "trait", "true", "type", "union", "unsafe", "use", "where", "while", "yield",
];

const PRIMITIVES: &[&str] = &[
    "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "str", "u8", "u16", "u32", "u64", "u128",
    "usize",
];

#[cfg(test)]
mod tests {
    use super::rust;

    #[test]
    fn tokens_are_coloured_and_escaped() {
        let cases = [
            ("let x = 1;", "<span class=\"k\">let</span> x = <span class=\"n\">1</span>;"),
            ("\"<b>\"", "<span class=\"s\">&quot;&lt;b&gt;&quot;</span>"),
            ("// a < b", "<span class=\"c\">// a &lt; b</span>"),
            ("println!(x)", "<span class=\"m\">println!</span>(x)"),
            ("a != b", "a != b"),
            ("a!=b", "a!=b"),
            (
                "f(Vec::<u8>::new())",
                "<span class=\"f\">f</span>(<span class=\"t\">Vec</span>::&lt;\
              <span class=\"t\">u8</span>&gt;::<span class=\"f\">new</span>())",
            ),
            ("#[derive(A)] x", "<span class=\"a\">#[derive(A)]</span> x"),
            ("&'a str", "&amp;<span class=\"l\">&#x27;a</span> <span class=\"t\">str</span>"),
        ];
        for (code, expected) in cases {
            let html = rust(code);
            assert_eq!(html.as_str(), expected, "{code}");
        }
    }

    #[test]
    fn broken_code_is_kept_as_it_is() {
        for code in ["\"never closed", "/* open", "#[", "é ☃ '", "r#\"x", "\0<script>"] {
            let html = rust(code);
            assert!(!html.as_str().contains("<script"), "{code:?}");
            let text: String =
                html.as_str().split('<').map(|part| part.split_once('>').map_or(part, |p| p.1)).collect();
            let text = text.replace("&quot;", "\"").replace("&#x27;", "'").replace("&lt;", "<").replace("&gt;", ">");
            assert_eq!(text, code.replace('\0', "\u{fffd}"), "{code:?}");
        }
    }
}

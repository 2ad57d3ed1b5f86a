//! The YAML block at the head of a notebook, and the parameters that the command line overrides. Pure.

use std::ops::Range;

use crate::diagnostic::Diagnostic;
use crate::notebook::{Fold, Meta, Param, Value};

use super::values::{Read, boolean, describe, fold, integer, seconds, set, some_text, text, wrong};
use super::yaml::{Data, Entry, Line, Node, entries};

/// The keys of the front matter.
const KEYS: [&str; 15] = [
    "title",
    "subtitle",
    "author",
    "authors",
    "date",
    "description",
    "abstract",
    "lang",
    "params",
    "opt-level",
    "timeout",
    "toc",
    "toc-depth",
    "echo",
    "code-fold",
];

/// Rust's keywords, strict and reserved, of edition 2024.
const KEYWORDS: [&str; 52] = [
    "Self", "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro",
    "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super",
    "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// The front matter with defaults filled in, and where the Markdown begins. The title is empty where none is given.
pub(super) fn meta(text: &str, diagnostics: &mut Vec<Diagnostic>) -> (Meta, usize) {
    let mut meta = defaults();
    let (lines, body) = split(text, diagnostics);
    let entries = entries(&lines, diagnostics);
    for (one, other) in [("author", "authors"), ("description", "abstract")] {
        let place = |key| entries.iter().find(|entry| entry.key == key).map(|entry| entry.key_range.clone());
        if let (Some(one_at), Some(other_at)) = (place(one), place(other)) {
            let fault = Diagnostic::error(format!("`{one}` and `{other}` are the same; give only one of them"));
            diagnostics.push(fault.at(one_at, "").at(other_at, ""));
        }
    }
    for entry in &entries {
        field(&mut meta, entry, diagnostics);
    }
    (meta, body)
}

/// Applies `-P name=value`, keeping each parameter's type.
pub(super) fn apply(meta: &mut Meta, overrides: &[(String, String)], diagnostics: &mut Vec<Diagnostic>) {
    for (name, given) in overrides {
        let Some(param) = meta.params.iter_mut().find(|param| param.name == *name) else {
            let known = meta.params.iter().map(|param| param.name.as_str()).collect::<Vec<_>>();
            let fault = Diagnostic::error(format!("`-P {name}={given}`: the notebook has no parameter `{name}`"));
            diagnostics.push(if known.is_empty() {
                fault.help(format!("declare it in the front matter: `params: {{{name}: ...}}`"))
            } else {
                fault.suggest(name, &known)
            });
            continue;
        };
        let (kind, value) = match &param.value {
            Value::Bool(_) => ("`true` or `false`", given.parse().ok().map(Value::Bool)),
            Value::Int(_) => ("a whole number", given.parse().ok().map(Value::Int)),
            Value::Float(_) => ("a number", float(given).map(Value::Float)),
            Value::Text(_) => ("text", Some(Value::Text(given.clone()))),
        };
        match value {
            Some(value) => param.value = value,
            None => diagnostics.push(
                Diagnostic::error(format!(
                    "`-P {name}={given}`: the parameter `{name}` wants {kind}, as its default is"
                ))
                .at(param.span.clone(), "its default"),
            ),
        }
    }
}

fn defaults() -> Meta {
    Meta {
        title: String::new(),
        subtitle: None,
        authors: Vec::new(),
        date: None,
        description: None,
        lang: "en".to_owned(),
        params: Vec::new(),
        opt_level: 0,
        timeout_s: 1800.0,
        toc: true,
        toc_depth: 3,
        echo: true,
        code_fold: Fold::No,
    }
}

/// The lines between `---` and `---` (or `...`), and where the rest begins. Blank lines may stand before them.
fn split<'a>(text: &'a str, diagnostics: &mut Vec<Diagnostic>) -> (Vec<Line<'a>>, usize) {
    let mut offset = 0;
    let mut lines: Vec<Line<'a>> = Vec::new();
    let mut open: Option<Range<usize>> = None;
    for whole in text.split_inclusive('\n') {
        let line = Line { text: whole.trim_end_matches(['\n', '\r']), offset };
        offset += whole.len();
        let fence = line.text.trim_end();
        match &open {
            None if fence == "---" => open = Some(line.offset..line.offset + 3),
            None if fence.is_empty() => {}
            None => return (Vec::new(), 0),
            Some(_) if fence == "---" || fence == "..." => return (lines, offset),
            Some(_) => lines.push(line),
        }
    }
    let Some(open) = open else { return (Vec::new(), 0) };
    let body = open.end;
    diagnostics.push(
        Diagnostic::error("the front matter is not closed")
            .at(open, "it begins here")
            .help("end it with a line `---`; a rule between paragraphs can be written `***`"),
    );
    (Vec::new(), body)
}

fn field(meta: &mut Meta, entry: &Entry, diagnostics: &mut Vec<Diagnostic>) {
    match entry.key.as_str() {
        "title" => set(&mut meta.title, text(entry), diagnostics),
        "subtitle" => set(&mut meta.subtitle, some_text(entry), diagnostics),
        "author" | "authors" => set(&mut meta.authors, authors(entry), diagnostics),
        "date" => set(&mut meta.date, some_text(entry), diagnostics),
        "description" | "abstract" => set(&mut meta.description, some_text(entry), diagnostics),
        "lang" => set(&mut meta.lang, lang(entry), diagnostics),
        "params" => meta.params = params(entry, diagnostics),
        "opt-level" => set(&mut meta.opt_level, integer(entry, 0, 3), diagnostics),
        "timeout" => set(&mut meta.timeout_s, seconds(entry), diagnostics),
        "toc" => set(&mut meta.toc, boolean(entry), diagnostics),
        "toc-depth" => set(&mut meta.toc_depth, integer(entry, 1, 6), diagnostics),
        "echo" => set(&mut meta.echo, boolean(entry), diagnostics),
        "code-fold" => set(&mut meta.code_fold, fold(entry), diagnostics),
        "execute" | "format" | "html" => diagnostics.push(
            Diagnostic::error(format!("the front matter has no `{}`", entry.key))
                .at(entry.key_range.clone(), "")
                .help("write what it holds at the top level, such as `echo: false`, `toc: true`"),
        ),
        key => diagnostics.push(
            Diagnostic::error(format!("the front matter has no `{key}`"))
                .at(entry.key_range.clone(), "")
                .suggest(key, &KEYS),
        ),
    }
}

/// A name, or a list of names or of mappings with a `name`.
fn authors(entry: &Entry) -> Read<Vec<String>> {
    let wanted = "a name, or a list of names";
    let one = |node: &Node| match &node.data {
        Data::Text(name) if !name.trim().is_empty() => Ok(name.trim().to_owned()),
        Data::Map(fields) => match fields.as_slice() {
            [field] if field.key == "name" => text(field),
            _ => {
                let other = fields.iter().find(|field| field.key != "name").unwrap_or(entry);
                let message = format!("an author has a `name`, and no `{}`", other.key);
                Err(Box::new(Diagnostic::error(message).at(other.key_range.clone(), "")))
            }
        },
        _ => Err(wrong(&Entry { value: node.clone(), ..entry.clone() }, wanted)),
    };
    match &entry.value.data {
        Data::List(nodes) => nodes.iter().map(one).collect(),
        _ => one(&entry.value).map(|name| vec![name]),
    }
}

/// A BCP 47 tag, by its form.
fn lang(entry: &Entry) -> Read<String> {
    let value = text(entry)?;
    let mut parts = value.split('-');
    let first =
        parts.next().is_some_and(|part| (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphabetic()));
    let others = parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
    if first && others { Ok(value) } else { Err(wrong(entry, "a language tag such as `en`, `de` or `pt-BR`")) }
}

fn params(entry: &Entry, diagnostics: &mut Vec<Diagnostic>) -> Vec<Param> {
    let fields = match &entry.value.data {
        Data::Map(fields) => fields.as_slice(),
        Data::Null => return Vec::new(),
        _ => {
            diagnostics.push(*wrong(entry, "a mapping of names to defaults, such as `{ samples: 1000 }`"));
            return Vec::new();
        }
    };
    let mut params = Vec::new();
    for field in fields {
        if !is_identifier(&field.key) {
            let fault = Diagnostic::error(format!("a parameter cannot be called `{}`", field.key));
            let fixed = field.key.replace(['-', ' ', '.'], "_");
            let help = if is_identifier(&fixed) {
                format!("cells read it as `params.NAME`: call it `{fixed}`")
            } else {
                "cells read it as `params.NAME`: its name must be a Rust identifier and no keyword".to_owned()
            };
            diagnostics.push(fault.at(field.key_range.clone(), "").help(help));
            continue;
        }
        let value = match &field.value.data {
            Data::Bool(value) => Value::Bool(*value),
            Data::Int(value) => Value::Int(*value),
            Data::Float(value) => Value::Float(*value),
            Data::Text(value) => Value::Text(value.clone()),
            Data::Null | Data::List(_) | Data::Map(_) => {
                let found = describe(&field.value);
                let message = format!("the parameter `{}` has {found} as its default", field.key);
                diagnostics.push(
                    Diagnostic::error(message)
                        .at(field.key_range.clone(), "")
                        .help("a default is `true` or `false`, a whole number, a number with a point, or text"),
                );
                continue;
            }
        };
        let span = field.key_range.start..field.value.range.end.max(field.key_range.end);
        params.push(Param { name: field.key.clone(), value, span });
    }
    params
}

fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    let first = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && characters.all(|c| c.is_ascii_alphanumeric() || c == '_') && name != "_" && !KEYWORDS.contains(&name)
}

fn float(text: &str) -> Option<f64> {
    saphyr::parse_core_schema_fp(text)
}

//! Small documents and what is said of them.

use std::time::{Duration, Instant};

use crate::diagnostic::{self, Diagnostic};
use crate::notebook::{Fold, LabelKind, Mode, Notebook, Value};

use super::{equation_label, markdown, notebook, references, stays_below, text};

/// The notebook and its diagnostics as text.
fn parse(source: &str) -> (Notebook, String) {
    let (notebook, diagnostics) = notebook("a.md", source, &[]);
    (notebook, diagnostic::render(&diagnostics, "a.md", source, false))
}

/// Asserts that nothing is wrong.
fn good(source: &str) -> Notebook {
    let (notebook, faults) = parse(source);
    assert_eq!(faults, "", "{source}");
    notebook
}

/// `line:column message` and `line:column label` for each diagnostic, its help lines after `=`.
fn short(source: &str, diagnostics: &[Diagnostic]) -> String {
    let mut out = Vec::new();
    for diagnostic in diagnostics {
        let places = diagnostic.labels.iter().map(|label| {
            let (line, column) = diagnostic::line_column(source, label.range.start);
            format!("{line}:{column} `{}`", source[label.range.clone()].replace('\n', "⏎"))
        });
        let places = places.collect::<Vec<_>>().join(", ");
        let help = diagnostic.help.iter().map(|help| format!(" = {help}")).collect::<String>();
        out.push(format!("{places}: {}{help}", diagnostic.message));
    }
    out.join("\n")
}

#[test]
fn reads_the_front_matter() {
    let source = "---
title: Ä first look
subtitle: \"a: b\"
authors:
- Ada
- { name: Bö }
date: 2026-01-02
abstract: >
  One
  two.
lang: pt-BR
params:
  samples: 1000
  rate: 1e-3
  full: false
  name: \"ü # x\"
opt-level: 2
timeout: 1.5 h
toc: false
toc-depth: 2
echo: false
code-fold: show
---
text";
    let read = good(source);
    let meta = &read.meta;
    assert_eq!((meta.title.as_str(), meta.subtitle.as_deref()), ("Ä first look", Some("a: b")));
    assert_eq!(meta.authors, ["Ada", "Bö"]);
    assert_eq!((meta.date.as_deref(), meta.description.as_deref()), (Some("2026-01-02"), Some("One two.")));
    assert_eq!((meta.lang.as_str(), meta.opt_level, meta.timeout_s), ("pt-BR", 2, 5400.0));
    assert_eq!((meta.toc, meta.toc_depth, meta.echo, meta.code_fold), (false, 2, false, Fold::Show));
    let params = meta.params.iter().map(|param| (param.name.as_str(), param.value.clone())).collect::<Vec<_>>();
    let expected = [
        ("samples", Value::Int(1000)),
        ("rate", Value::Float(1e-3)),
        ("full", Value::Bool(false)),
        ("name", Value::Text("ü # x".to_owned())),
    ];
    assert_eq!(params, expected);
    assert_eq!(&source[meta.params[3].span.clone()], "name: \"ü # x\"");
    assert_eq!(&source[read.body..], "text");
    assert_eq!(good(&source.replace('\n', "\r\n")).meta.params[1].value, Value::Float(1e-3));
}

#[test]
fn fills_in_defaults() {
    assert_eq!(notebook("x/first look.md", "text\n\n---\n\nmore", &[]).0.meta.title, "first look");
    let meta = good("# A `b` *c*\n\n## Other").meta;
    assert_eq!((meta.title.as_str(), meta.lang.as_str(), meta.timeout_s), ("A b c", "en", 1800.0));
    assert_eq!((meta.toc, meta.toc_depth, meta.echo, meta.code_fold, meta.opt_level), (true, 3, true, Fold::No, 0));
    assert_eq!(good("\n---\ntitle: 12.50\n...\n").meta.title, "12.50");
}

#[test]
fn overrides_keep_the_type() {
    let source = "---\nparams: {n: 1, x: 0.5, b: true, s: a}\n---\n";
    let apply = |name: &str, value: &str| notebook("a.md", source, &[(name.to_owned(), value.to_owned())]);
    for (name, value, expected) in [
        ("n", "-7", Value::Int(-7)),
        ("x", "3", Value::Float(3.0)),
        ("b", "false", Value::Bool(false)),
        ("s", "true", Value::Text("true".to_owned())),
    ] {
        let (notebook, diagnostics) = apply(name, value);
        assert_eq!(diagnostics, [], "{name}");
        assert!(notebook.meta.params.iter().any(|param| param.name == name && param.value == expected), "{name}");
    }
    for (name, value, expected) in [
        ("n", "1.5", "2:10 `n: 1`: `-P n=1.5`: the parameter `n` wants a whole number, as its default is"),
        ("b", "yes", "2:24 `b: true`: `-P b=yes`: the parameter `b` wants `true` or `false`, as its default is"),
        ("x", "inf", "2:16 `x: 0.5`: `-P x=inf`: the parameter `x` wants a number, as its default is"),
        ("long", "1", ": `-P long=1`: the notebook has no parameter `long` = known: `n`, `x`, `b` and `s`"),
    ] {
        assert_eq!(short(source, &apply(name, value).1), expected);
    }
}

#[test]
fn says_what_is_wrong_with_the_front_matter() {
    for (yaml, expected) in [
        ("titel: x", "2:1 `titel`: the front matter has no `titel` = did you mean `title`?"),
        ("execute: {echo: false}", "2:1 `execute`: the front matter has no `execute` = write what it holds at the top level, such as `echo: false`, `toc: true`"),
        ("a: é\ntoc: no", "2:1 `a`: the front matter has no `a` = known: `title`, `subtitle`, `author`, `authors`, `date`, `description`, `abstract`, `lang`, `params`, `opt-level`, `timeout`, `toc`, `toc-depth`, `echo` and `code-fold`\n3:6 `no`: `toc` wants `true` or `false`, not the text `no` = write `toc: false`"),
        ("opt-level: 4", "2:12 `4`: `opt-level` wants a whole number from 0 to 3, not the number 4"),
        ("timeout: 0", "2:10 `0`: `timeout` wants a time such as `90` (seconds), `10 min` or `2 h`, of at most 30 days, not the number 0"),
        ("timeout: 3 parsecs", "2:10 `3 parsecs`: `timeout` wants a time such as `90` (seconds), `10 min` or `2 h`, of at most 30 days, not the text `3 parsecs`"),
        ("title:", "2:1 `title`: `title` wants text, not nothing"),
        ("title: [a]", "2:8 `[a]`: `title` wants text, not a list"),
        ("title: é: x", "2:9 `:`: this is not valid YAML: mapping values are not allowed in this context = text with `: `, ` #` or a special first character needs quotes: `key: \"value\"`"),
        ("title:x", "2:1 `title:x`: this is not `key: value` = a space must follow the colon: `title: x`"),
        ("lang: english language", "2:7 `english language`: `lang` wants a language tag such as `en`, `de` or `pt-BR`, not the text `english language`"),
        ("author: x\nauthors: [y]", "2:1 `author`, 3:1 `authors`: `author` and `authors` are the same; give only one of them"),
        ("authors: [{name: A, age: 3}]", "2:21 `age`: an author has a `name`, and no `age`"),
        ("toc: true\ntoc: false", "3:1 `toc`, 2:1 `toc`: `toc` is given twice"),
        ("params:\n  é-x: 1\n  fn: 2\n  a-b: 3\n  c: [1]\n  d:", "3:3 `é-x`: a parameter cannot be called `é-x` = cells read it as `params.NAME`: its name must be a Rust identifier and no keyword
4:3 `fn`: a parameter cannot be called `fn` = cells read it as `params.NAME`: its name must be a Rust identifier and no keyword
5:3 `a-b`: a parameter cannot be called `a-b` = cells read it as `params.NAME`: call it `a_b`
6:3 `c`: the parameter `c` has a list as its default = a default is `true` or `false`, a whole number, a number with a point, or text
7:3 `d`: the parameter `d` has nothing as its default = a default is `true` or `false`, a whole number, a number with a point, or text"),
        ("params: 3", "2:9 `3`: `params` wants a mapping of names to defaults, such as `{ samples: 1000 }`, not the number 3"),
        ("title: !x y", "2:8 `!x y`: YAML's tags and aliases are not supported = text that begins with `!`, `&` or `*` needs quotes"),
        ("ti\u{0}tle: x", "2:3 `\u{0}`: the control character U+0000 cannot stand here"),
                ("toc: a \u{feff}b", "2:8 `\u{feff}`: this is not valid YAML: a byte order mark must not appear inside a document = text with `: `, ` #` or a special first character needs quotes: `key: \"value\"`"),
("title: [a", "2:10 ``: this is not valid YAML: while parsing a flow sequence, expected ',' or ']' = text with `: `, ` #` or a special first character needs quotes: `key: \"value\"`"),
    ] {
        let source = format!("---\n{yaml}\n---\n");
        assert_eq!(short(&source, &notebook("a.md", &source, &[]).1), expected, "{yaml}");
        let windows = source.replace('\n', "\r\n");
        assert_eq!(short(&windows, &notebook("a.md", &windows, &[]).1), expected, "with CRLF: {yaml}");
    }
    let open = "---\ntitle: x\n\nText @fig-x";
    let expected = "1:1 `---`: the front matter is not closed = end it with a line `---`; a rule between paragraphs can be written `***`";
    assert!(short(open, &notebook("a.md", open, &[]).1).starts_with(expected));
}

#[test]
fn a_rust_fence_is_a_cell() {
    for (fence, mode) in [
        ("```rust", Some(Mode::Run)),
        ("~~~~ rust", Some(Mode::Run)),
        ("```{rust}", Some(Mode::Run)),
        ("```rust,ignore", Some(Mode::Ignore)),
        ("```rust no_run", Some(Mode::NoRun)),
        ("```{rust, should_panic}", Some(Mode::ShouldPanic)),
        ("``` rust , compile_fail,edition2024", Some(Mode::CompileFail)),
        ("```", None),
        ("```rustic", None),
        ("```{{rust}}", None),
        ("```python rust", None),
    ] {
        let end = fence.trim_end_matches(|c| c != '`' && c != '~');
        let cells = good(&format!("{fence}\nx\n{end}\n")).cells;
        assert_eq!(cells.first().map(|cell| cell.mode), mode, "{fence}");
    }
    assert!(good("    ```rust\n    x\n    ```\n").cells.is_empty());
}

#[test]
fn reads_options_and_code() {
    let source = "> - ```rust,no_run
>   //| label: fig-ä
>   //|
>   //| fig-cap: >-
>   //|   Größe,
>   //|   zweite Zeile
>   //| fig-alt: 'a: b'

>   text
";
    // A quote ends at a line without its mark, and the block in it as well.
    assert!(parse(source).1.contains("this code block is never closed"), "{}", parse(source).1);
    let source = "é\n\n> - ```rust
>   //| label: fig-a
>   //|
>   //| fig-cap: >-
>   //|   Größe,
>   //|   zweite Zeile
>   //| {fig-alt: 'a: b', timeout: 2 min}
>
>   //| echo: false
>   # use hidden;
>   #
>     ##[derive(ß)]
>   #[test]
>   \tlet é = 1; // # x
>   ```
";
    for source in [source.to_owned(), source.replace('\n', "\r\n")] {
        let cells = good(&source).cells;
        let options = &cells[0].options;
        assert_eq!(options.label.as_deref(), Some("fig-a"));
        assert_eq!(options.fig_cap.as_deref(), Some("Größe, zweite Zeile"));
        assert_eq!((options.fig_alt.as_deref(), options.timeout_s), (Some("a: b"), Some(120.0)));
        assert!(!options.echo && options.eval && options.output && options.include && !options.error);
        let lines = cells[0].code.iter().map(|line| (line.text.as_str(), line.hidden)).collect::<Vec<_>>();
        let expected = [
            ("use hidden;", true),
            ("", true),
            ("  #[derive(ß)]", false),
            ("#[test]", false),
            ("\tlet é = 1; // # x", false),
        ];
        assert_eq!(lines, expected);
        let at = |line: usize| &source[cells[0].code[line].offset..];
        assert!(at(0).starts_with("use hidden;"));
        assert!(at(1).starts_with(['\n', '\r']));
        assert!(at(2)[2..].starts_with("#[derive"), "{:?}", at(2));
        assert!(at(3).starts_with("#[test]") && at(4).starts_with("\tlet é"));
        assert!(
            source[cells[0].fence.clone()].starts_with("```rust") && source[cells[0].fence.clone()].ends_with("```")
        );
    }
}

#[test]
fn a_tab_in_a_list_keeps_columns() {
    let source = "- ```rust\n\tlet a = 1;\n  ```\n";
    let cells = good(source).cells;
    let line = &cells[0].code[0];
    assert_eq!(line.text.trim_start(), "let a = 1;");
    assert!(source[line.offset..].trim_start().starts_with("let a"), "{line:?}");
}

#[test]
fn says_what_is_wrong_with_a_cell() {
    for (cell, expected) in [
        ("rust,no_rnu\n1", "1:9 `no_rnu`: a cell has no attribute `no_rnu` = did you mean `no_run`?"),
        ("rust,edition2021\n1", "1:9 `edition2021`: cells are compiled as edition 2024, not `edition2021`"),
        (
            "rust {#fig-x}\n1",
            "1:9 `{#fig-x}`: a cell has no attribute `{#fig-x}` = options are lines at the top of the cell, such as `//| label: fig-overview`",
        ),
        ("rust,ignore,no_run\n1", "1:16 `no_run`, 1:9 `ignore`: `ignore` and `no_run` exclude each other"),
        (
            "rust\n//| fig_cap: é\n//| evaal: true\n1",
            "2:5 `fig_cap`: a cell has no option `fig_cap` = did you mean `fig-cap`?\n3:5 `evaal`: a cell has no option `evaal` = did you mean `eval`?",
        ),
        (
            "rust\n//| label: \"é x\"\n1",
            "2:12 `\"é x\"`: `é x` cannot be a label = a label begins with a letter, goes on with letters, digits, `-` or `_`, and ends with a letter or digit",
        ),
        (
            "rust\n//| label: sec-x\n1",
            "2:12 `sec-x`: a cell cannot be labelled `sec-x` = `sec-` labels a heading: `## Title {#sec-x}`; a cell's label may begin with `fig-`, `tbl-` or `lst-`",
        ),
        (
            "rust\n//| eval: 1\n//| eval: false\n1",
            "2:11 `1`: `eval` wants `true` or `false`, not the number 1\n3:5 `eval`, 2:5 `eval`: `eval` is given twice",
        ),
        (
            "rust\n//| code-fold: maybe\n1",
            "2:16 `maybe`: `code-fold` wants `true`, `false` or `show`, not the text `maybe`",
        ),
        (
            "rust\nlet é = 1;\n  //| é: x\n",
            "3:3 `//| é: x`: an option must stand above the code of its cell = move it to the top of the cell; a comment can be written `// |`",
        ),
        (
            "rust\n#| label: x\n1",
            "2:1 `#|`: options of a Rust cell begin with `//|` = write `//|` in place of `#|` before options such as `label` and `fig-cap`",
        ),
        (
            "rust\n//| label: fig-x\n1",
            "2:12 `fig-x`: the figure `fig-x` has no text for readers who cannot see it = describe it: `//| fig-alt: \"...\"`, and caption it: `//| fig-cap: \"...\"`",
        ),
        (
            "rust\n//| label: tbl-x\n//| eval: false\n1",
            "2:12 `tbl-x`: `tbl-x` is the label of a cell that puts nothing on the page",
        ),
        ("rust\n//| label\n1", "2:5 `label`: this is not `key: value`"),
    ] {
        let source = format!("```{cell}\n```\n");
        assert_eq!(short(&source, &notebook("a.md", &source, &[]).1), expected, "{cell}");
    }
}

#[test]
fn every_open_fence_is_found() {
    for (source, place) in [
        ("```rust\nlet a = 1;\n", "1:1"),
        ("a\n\n~~~~python\n~~~\n", "3:1"),
        ("```\n", "1:1"),
        ("```", "1:1"),
        ("```rust\n    ```\n", "1:1"),
        ("- ```\n  a\n\nb\n", "1:3"),
        ("> ````rust\n> ```\n", "1:3"),
    ] {
        let (notebook, diagnostics) = notebook("a.md", source, &[]);
        let found = short(source, &diagnostics);
        assert!(found.starts_with(place) && found.contains("never closed"), "{source:?}: {found}");
        assert!(notebook.cells.is_empty());
    }
    for source in [
        "```\n```",
        "````\n```\n````",
        "~~~\n```\n~~~~~~  \n",
        "> ```\n>\n> ```\n",
        "- ```\n  a\n\n  ```",
        "```\n\n\n```",
    ] {
        good(source);
    }
}

#[test]
fn numbers_what_can_be_referred_to() {
    let cell = |label: &str| format!("```rust\n//| label: {label}\n//| fig-alt: x\n1\n```\n\n");
    let source = format!(
        "# Title\n\n## A {{#sec-a}}\n\n{}#### B {{#sec-b}}\n\n{}{}## C {{#sec-c .x}}\n\n$$x$$\n\n$$y$$ {{#eq-y}}\n\n{}{}\n\n\
        @fig-one, \"@fig-t_w_o\", [@tbl-one]. @sec-a *@sec-b* @sec-c; @eq-y @lst-z\n",
        cell("fig-one"),
        cell("tbl-one"),
        cell("setup"),
        cell("fig-t_w_o"),
        cell("lst-z"),
    );
    let labels = good(&source).labels;
    let found = labels.iter().map(|label| (label.name.as_str(), label.kind, label.number.as_str())).collect::<Vec<_>>();
    let expected = [
        ("sec-a", LabelKind::Section, "1"),
        ("fig-one", LabelKind::Figure, "1"),
        ("sec-b", LabelKind::Section, "1.1"),
        ("tbl-one", LabelKind::Table, "1"),
        ("sec-c", LabelKind::Section, "2"),
        ("eq-y", LabelKind::Equation, "1"),
        ("fig-t_w_o", LabelKind::Figure, "2"),
        ("lst-z", LabelKind::Listing, "1"),
    ];
    assert_eq!(found, expected);
    assert!(labels.iter().all(|label| source[label.span.clone()] == label.name));
}

#[test]
fn references_end_where_they_should() {
    for (text, expected) in [
        ("@fig-a.", vec!["@fig-a"]),
        ("(@tbl-a_b, @sec-c-)", vec!["@tbl-a_b", "@sec-c"]),
        ("é@fig-a a_@fig-a @fig- @fig @figure-a @a", vec![]),
        ("@eq-1@lst-é, @lst-é", vec!["@eq-1", "@lst-é"]),
        ("@Fig-a", vec!["@Fig-a"]),
    ] {
        let found = references(text).into_iter().map(|range| &text[range]).collect::<Vec<_>>();
        assert_eq!(found, expected, "{text}");
    }
    assert_eq!(equation_label(" {#eq-x} y"), Some((0..8, "eq-x")));
    assert_eq!(equation_label("{#eq-x"), None);
    assert_eq!(equation_label(" {#fig-x}"), None);
    let source = "ab \\@fig-x and @fig-a_b \\\\@fig-c `@fig-d` me@fig-e.org ![@fig-f](x.png) &amp;@fig-g";
    let found = markdown(source, 0).filter_map(|(event, _)| match event {
        pulldown_cmark::Event::Text(text) => {
            Some(references(&text).into_iter().map(|range| text[range].to_owned()).collect::<Vec<_>>())
        }
        _ => None,
    });
    assert_eq!(found.flatten().collect::<Vec<_>>(), ["@fig-a_b", "@fig-c", "@fig-f", "@fig-g"]);
}

#[test]
fn dangling_references_and_twins() {
    let source = "é @fig-ovrview, `@fig-no` \\@fig-no a@fig-no.org\n\n```rust\n//| label: fig-overview\n//| fig-alt: x\n1\n```\n\n# H {#twin}\n# I {#twin}\n\n@sec-none";
    let expected = "1:3 `@fig-ovrview`: nothing is labelled `fig-ovrview` = did you mean `@fig-overview`?
10:7 `twin`, 9:7 `twin`: the label `twin` is given twice
12:1 `@sec-none`: nothing is labelled `sec-none` = a heading is labelled `## Title {#sec-none}`; an `@` that is no reference is written `\\@`";
    assert_eq!(short(source, &notebook("a.md", source, &[]).1), expected);
}

#[test]
fn inline_values_know_their_place() {
    let source =
        "é `{rust} a + 1` ``{rust}  `x` ``\n\n```rust\n\"`{rust} no`\"\n```\n\n- **`{rust} b`** `code` `{rust}`\n";
    let (notebook, diagnostics) = notebook("a.md", source, &[]);
    let found =
        notebook.inlines.iter().map(|inline| (inline.index, inline.expr.as_str(), inline.after)).collect::<Vec<_>>();
    assert_eq!(found, [(0, "a + 1", 0), (1, "`x`", 0), (2, "b", 1)]);
    for inline in &notebook.inlines {
        assert!(source[inline.offset..].starts_with(&inline.expr), "{inline:?}");
        assert!(source[inline.span.clone()].starts_with('`') && source[inline.span.clone()].ends_with('`'));
    }
    let expected = "7:25 ``{rust}``: this inline value has no expression = an inline value is written `` `{rust} expression` `` in prose";
    assert_eq!(short(source, &diagnostics), expected);
}

#[test]
fn pictures_stay_below_the_folder() {
    for path in ["a.png", "b/c.svg", "./a.png", "b/../a.png", "a%20b.png", "..a/b", "é.png", "a/b:c"] {
        assert!(stays_below(path), "{path}");
    }
    for path in [
        "",
        ".",
        "..",
        "../a.png",
        "b/../../a.png",
        "%2e%2e/a.png",
        "b%2F..%2F..%2Fa",
        "/etc/passwd",
        "%2Fetc/passwd",
        "file:a.png",
        "FILE:///a",
        "http://x/a.png",
        "https:a",
        "//x/a.png",
        "data:image/png;base64,AA",
        "C:\\a.png",
        "..\\a.png",
        "a%00b",
        "a%0ab",
        "a%zz",
        "a%e9.png",
        "a%",
        "a/..",
        "javascript:x",
        "a:b/c",
    ] {
        assert!(!stays_below(path), "{path}");
    }
    let source = "![é](ok%20a.png)\n\n[![x](../up.png)](y)";
    let (notebook, diagnostics) = notebook("a.md", source, &[]);
    assert_eq!((notebook.images[0].path.as_str(), notebook.images[0].file.as_str()), ("ok%20a.png", "ok a.png"));
    assert_eq!(notebook.images.len(), 1);
    let expected = "3:2 `![x](../up.png)`: the path of this picture leaves the notebook's folder: `../up.png` = copy the file beside the notebook, and name it by its path from there: `![text](picture.png)`";
    assert_eq!(short(source, &diagnostics), expected);
}

#[test]
fn everything_is_said_at_once() {
    let source = "---
titel: Größe
opt-level: 9
---

See @fig-oen.

```rust,no_rum
//| labl: x
//| echo: perhaps
let a = 1;
```

![p](/tmp.png)
";
    let expected = "error: the front matter has no `titel`
 --> a.md:2:1
  |
2 | titel: Größe
  | ^^^^^
  |
  = help: did you mean `title`?

error: `opt-level` wants a whole number from 0 to 3, not the number 9
 --> a.md:3:12
  |
3 | opt-level: 9
  |            ^

error: nothing is labelled `fig-oen`
 --> a.md:6:5
  |
6 | See @fig-oen.
  |     ^^^^^^^^
  |
  = help: a cell is labelled by a line `//| label: fig-oen` at its top; an `@` that is no reference is written `\\@`

error: a cell has no attribute `no_rum`
 --> a.md:8:9
  |
8 | ```rust,no_rum
  |         ^^^^^^
  |
  = help: did you mean `no_run`?

error: a cell has no option `labl`
 --> a.md:9:5
  |
9 | //| labl: x
  |     ^^^^
  |
  = help: did you mean `label`?

error: `echo` wants `true` or `false`, not the text `perhaps`
  --> a.md:10:11
   |
10 | //| echo: perhaps
   |           ^^^^^^^

error: the path of this picture is absolute: `/tmp.png`
  --> a.md:14:1
   |
14 | ![p](/tmp.png)
   | ^^^^^^^^^^^^^^
   |
   = help: copy the file beside the notebook, and name it by its path from there: `![text](picture.png)`

";
    assert_eq!(parse(source).1, expected);
}

#[test]
fn bytes_become_text() {
    assert_eq!(text(b"\xef\xbb\xbfa\r\n").as_deref(), Ok("a\r\n"));
    let fault = text("é\nab\u{e9}".as_bytes().strip_suffix(b"\xa9").expect("é is two bytes")).expect_err("not UTF-8");
    let shown = fault.render("a.md");
    assert!(shown.contains("line 2, column 3 holds the byte 0xC3") && shown.contains("a.md:2:3"), "{shown}");
    assert!(text(b"\xff\xfea\0").expect_err("UTF-16").render("a.md").contains("UTF-16"));
}

#[test]
fn nasty_input_costs_little() {
    let many = |text: &str, count: usize| text.repeat(count);
    let inputs = [
        many(">", 10_000),
        many("- ", 10_000),
        (0..500).map(|depth| format!("{}- a\n", many("  ", depth))).collect(),
        many("`", 1 << 20),
        (0..1000).map(|length| many("`", length) + " ").collect(),
        many("@", 1 << 20),
        many("@fig-x ", 50_000),
        many("\\@fig-x ", 50_000),
        many("\0", 100_000),
        format!("---\n{}\n---\n", many("- ", 100_000)),
        format!("---\na: {}\n---\n", many("[", 100_000)),
        format!("---\na:\n{}---\n", (1..2000).map(|depth| many(" ", depth) + "a:\n").collect::<String>()),
        format!("---\n{}---\n", many("a: 1\n", 20_000)),
        format!("---\ntitle: {}\n---\n", many("x", 1 << 19)),
        format!("---\ntitle: \"{}\"\n---\n", many("\\n", 1 << 18)),
        many("```rust\n//| foo: 1\n//| label: fig-x\nlet a = 1;\n```\n", 3000),
        format!("```rust\n{}```\n", many("//| fig-cap: x\n", 10_000)),
        format!("```rust\n1\n{}```\n", many("//| fig-cap: x\n", 20_000)),
        format!("```rust {}\n```\n", many("x,", 30_000)),
        many("[", 50_000),
        many("![a](../x)", 10_000),
        many("`{rust} a` ", 20_000),
        many("# a {#sec-x}\n\n", 10_000),
        many("$$a$$ {#eq-x} ", 10_000),
        many("*a **b ", 50_000),
        many("```\n", 50_001),
        many("<a ", 50_000),
        format!("```rust\n//| label: {}\n```\n@fig-{}", many("a", 1 << 18), many("a", 1 << 18)),
        many("---\n\u{feff}\r\r\n\t", 5000),
    ];
    for input in inputs {
        let start = Instant::now();
        let (_, diagnostics) = notebook("a.md", &input, &[]);
        let shown = diagnostic::render(&diagnostics, "a.md", &input, true);
        let name = input.chars().take(40).collect::<String>();
        assert!(diagnostics.len() <= 101 && shown.len() < 200_000, "{name:?}: {}", shown.len());
        assert!(start.elapsed() < Duration::from_secs(20), "{name:?} took {:?}", start.elapsed());
    }
}

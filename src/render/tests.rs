//! Whole pages from notebooks as text and runs made by hand.

use std::collections::BTreeMap;

use super::templates::{SCRIPT, STYLE};
use super::{Page, ProvenanceGroup, hash, page};
use crate::diagnostic::Diagnostic;
use crate::notebook::Notebook;
use crate::output::{Column, Output, Table};
use crate::run::{Captured, CellRun, Failure, Run, Status};

fn notebook(text: &str) -> Notebook {
    crate::parse::notebook("notebook.md", text, &[]).0
}

fn cell(status: Status, outputs: Vec<Output>) -> CellRun {
    CellRun { status, outputs, stdout: Captured::default(), stderr: Captured::default(), run_s: 0.25 }
}

fn ok(outputs: Vec<Output>) -> CellRun {
    cell(Status::Ok, outputs)
}

fn text(text: &str) -> Output {
    Output::Text { text: text.to_owned() }
}

fn table(values: &[&str]) -> Output {
    let values: Vec<_> = values.iter().map(|value| Some((*value).to_owned())).collect();
    let rows = values.len();
    let column = Column { name: "name".to_owned(), dtype: "str".to_owned(), numeric: false, values };
    Output::Table(Table { columns: vec![column], rows })
}

fn svg(inner: &str) -> Output {
    Output::Svg { svg: format!("<svg viewBox=\"0 0 10 10\">{inner}</svg>") }
}

fn render(notebook: &Notebook, run: &Run) -> String {
    render_page(notebook, run, false, false, &[])
}

fn render_page(notebook: &Notebook, run: &Run, failed: bool, times: bool, groups: &[ProvenanceGroup]) -> String {
    let images = BTreeMap::from([("cat.png".to_owned(), "data:image/png;base64,AAAA".to_owned())]);
    let html = page(&Page { notebook, run, provenance: groups, images: &images, failed, times }).expect("renders");
    check_markup(&html);
    html
}

/// The page's `<article>`.
fn body(source: &str, cells: Vec<CellRun>) -> String {
    let html = render(&notebook(source), &Run { cells, ..Run::default() });
    let start = html.find("<article>").expect("an article") + "<article>".len();
    html[start..html.find("</article>").expect("its end")].trim().to_owned()
}

/// What no page may hold, whatever went into it, and that every tag is closed in order.
fn check_markup(html: &str) {
    const VOID: [&str; 8] = ["meta", "link", "br", "hr", "wbr", "img", "input", "!DOCTYPE"];
    const KNOWN: [&str; 81] = [
        "html",
        "head",
        "title",
        "style",
        "script",
        "body",
        "a",
        "nav",
        "p",
        "ul",
        "li",
        "main",
        "div",
        "strong",
        "code",
        "header",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "span",
        "time",
        "details",
        "summary",
        "article",
        "section",
        "dl",
        "dt",
        "dd",
        "figure",
        "figcaption",
        "b",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "small",
        "pre",
        "svg",
        "g",
        "path",
        "rect",
        "circle",
        "text",
        "tspan",
        "line",
        "polyline",
        "polygon",
        "defs",
        "use",
        "image",
        "ellipse",
        "stop",
        "pattern",
        "desc",
        "clipPath",
        "linearGradient",
        "em",
        "del",
        "sup",
        "sub",
        "ol",
        "blockquote",
        "i",
        "u",
        "s",
        "q",
        "kbd",
        "mark",
        "abbr",
        "ins",
        "cite",
        "dfn",
        "samp",
        "var",
        "radialGradient",
        "marker",
    ];
    let style = html.find("<style>").expect("a style sheet")..html.find("</style>").expect("its end");
    let script = html.find("<script>").expect("a script")..html.find("</script>").expect("its end");
    assert_eq!(html.matches("<script").count(), 1);
    assert_eq!(html.matches("<style").count(), 1);
    let mut open: Vec<&str> = Vec::new();
    let mut place = 0;
    while let Some(found) = html[place..].find('<') {
        let start = place + found;
        let end = start + html[start..].find('>').expect("every tag ends");
        place = end + 1;
        if (style.contains(&start) && start > style.start) || (script.contains(&start) && start > script.start) {
            continue;
        }
        let tag = &html[start + 1..end];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{}", &html[..end]);
            continue;
        }
        let name = tag.split([' ', '\n']).next().expect("a name");
        assert!(KNOWN.contains(&name) || VOID.contains(&name), "<{tag}>");
        check_attributes(tag);
        if !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

fn check_attributes(tag: &str) {
    // Names stand at even places between the quotes.
    for (place, part) in tag.split('"').enumerate() {
        let name = part.trim().to_ascii_lowercase();
        if place % 2 == 0 {
            assert!(!name.contains("style="), "<{tag}>");
            let on = name.split_whitespace().find(|name| name.starts_with("on"));
            assert_eq!(on, None, "<{tag}>");
            let addresses = name.ends_with("href=") || name.ends_with("src=");
            let value = tag.split('"').nth(place + 1).unwrap_or("");
            let scheme = value.split_once(':').map(|(scheme, _)| scheme).filter(|_| !value.starts_with('#'));
            assert!(
                !addresses || matches!(scheme, None | Some("http" | "https" | "mailto" | "data")),
                "<{tag}> leads to {value}"
            );
        }
    }
}

#[test]
fn a_small_page_is_this() {
    let source = "---\ntitle: Small\nauthor: [Ada, Emmy]\ndate: 2026-01-02\n---\n\n## Data\n\nSee @tbl-a: \
                  `{rust} n` rows.\n\n```rust\n//| label: tbl-a\n//| tbl-cap: All of it.\n# hidden();\nlet n = 1;\n```\n";
    let mut first = ok(vec![table(&["x"])]);
    first.stdout.text = "hello\n".to_owned();
    let run = Run { cells: vec![first], inlines: vec![Some("1".to_owned())], ..Run::default() };
    let groups = [ProvenanceGroup { title: "Tools".to_owned(), rows: vec![("rustc".to_owned(), "1.95".to_owned())] }];
    let html = render_page(&notebook(source), &run, false, true, &groups);
    let head = html.find("<body").expect("a body");
    assert_eq!(&html[head..], include_str!("tests/small.html"));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let source = "# A\n\n@fig-a[^n]\n\n```rust\n//| label: fig-a\n//| fig-cap: C\n```\n\n[^n]: Note.\n";
    let run = Run { cells: vec![ok(vec![svg("<g/>")])], ..Run::default() };
    assert_eq!(render(&notebook(source), &run), render(&notebook(source), &run));
}

#[test]
fn times_are_printed_only_if_asked_for() {
    let source = "```rust\n1\n```\n";
    let run = Run { cells: vec![ok(vec![text("1")])], ..Run::default() };
    assert!(!render(&notebook(source), &run).contains("ran 0.25 s"));
    assert!(render_page(&notebook(source), &run, false, true, &[]).contains("ran 0.25 s"));
}

#[test]
fn the_policy_names_the_style_and_the_script() {
    let html = render(&notebook("text"), &Run::default());
    let policy = html.split("Content-Security-Policy\" content=\"").nth(1).and_then(|rest| rest.split('"').next());
    let policy = policy.expect("a policy");
    let (style, script) = (hash(STYLE), hash(SCRIPT));
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; img-src data:; style-src 'sha256-{style}'; script-src 'sha256-{script}'; \
             base-uri 'none'; form-action 'none'"
        )
    );
    assert!(html.contains(&format!("<style>{STYLE}</style>")));
    assert!(html.contains(&format!("<script>{SCRIPT}</script>")));
    let charset = html.find("<meta charset=\"utf-8\">\n<meta http-equiv=").expect("the policy follows the charset");
    assert!(charset < html.find("<title>").expect("a title"));
    assert!(!STYLE.contains("</") && !SCRIPT.contains("</") && !STYLE.contains("url(") && !STYLE.contains("@import"));
    assert!(STYLE.len() + SCRIPT.len() <= 40_000, "{} bytes", STYLE.len() + SCRIPT.len());
}

/// Hostile text in every place that data, a cell or a notebook can reach; `check_markup` looks at each page.
#[test]
fn nothing_that_is_put_in_comes_out_alive() {
    const PAYLOADS: [&str; 24] = [
        "<script>alert(1)</script>",
        "</script><script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg onload=alert(1)>",
        "\"><script>alert(1)</script>",
        "' onmouseover='alert(1)",
        "\" onmouseover=\"alert(1)",
        "</title><script>alert(1)</script>",
        "</style><script>alert(1)</script>",
        "</textarea></pre></code><iframe src=//x>",
        "<!--<script>-->",
        "<![CDATA[<script>alert(1)</script>]]>",
        "javascript:alert(1)",
        "{{ 7 * 7 }}{% raw %}{# #}",
        "&lt;script&gt;",
        "&#60;script&#62;",
        "<base href=//x>",
        "<meta http-equiv=refresh content=0>",
        "<form action=x><input>",
        "<a href=\"javascript:alert(1)\">x</a>",
        "<math><mtext></mtext><style>x</style></math>",
        "<object data=x></object><embed src=x>",
        "<ScRiPt\n>alert(1)</sCrIpT\n></script>",
        "\u{0}<\u{0}script>",
    ];
    for payload in PAYLOADS {
        let yaml = serde_json::to_string(payload).expect("a string");
        let source = format!(
            "---\ntitle: {yaml}\nauthor: {yaml}\ndescription: {yaml}\nlang: {yaml}\n---\n\n# {payload}\n\n{payload}\n\n\
             text {payload} text `{payload}`, ![{payload}](cat.png \"x\"), [{payload}](javascript:alert(1))\n\n\
             > {payload}\n\n| {payload} | b |\n|-|-|\n| x | {payload} |\n\n$x {payload}$[^n]\n\n[^n]: {payload}\n\n\
             `{{rust}} n`\n\n```rust\n//| label: fig-a\n//| fig-cap: {yaml}\n//| fig-alt: {yaml}\n{payload}\n```\n\n\
             ```{payload}\n{payload}\n```\n\n```rust\n{payload}\n```\n"
        );
        let mut notebook = notebook(&source);
        // Even if the parser would refuse it.
        for label in &mut notebook.labels {
            label.name = payload.to_owned();
        }
        for cell in &mut notebook.cells {
            cell.options.label = Some(payload.to_owned());
            cell.options.tbl_cap = Some(payload.to_owned());
        }
        let column = Column {
            name: payload.to_owned(),
            dtype: payload.to_owned(),
            numeric: true,
            values: vec![Some(payload.to_owned()), None],
        };
        let escaped = payload.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        let outputs = vec![
            text(payload),
            Output::Table(Table { columns: vec![column], rows: 2 }),
            svg(&format!("<title>{escaped}</title><g id=\"{escaped}\"><text class=\"{escaped}\">{escaped}</text></g>")),
            svg(&format!("<g><text>{}</text></g>", payload.replace('\u{0}', ""))),
            Output::Png { base64: payload.to_owned(), width: 1, height: 1 },
        ];
        let mut first = ok(outputs);
        first.stdout = Captured { text: payload.to_owned(), dropped_bytes: 12_345_678 };
        first.stderr.text = payload.to_owned();
        let diagnostics = vec![Diagnostic::error(payload).help(payload)];
        let failure = Failure { title: payload.to_owned(), diagnostics };
        let run = Run {
            cells: vec![
                first,
                cell(Status::Failed(failure), Vec::new()),
                cell(Status::NotRun(payload.to_owned()), vec![]),
            ],
            inlines: vec![Some(payload.to_owned())],
            ..Run::default()
        };
        let groups =
            [ProvenanceGroup { title: payload.to_owned(), rows: vec![(payload.to_owned(), payload.to_owned())] }];
        let html = render_page(&notebook, &run, true, true, &groups);
        assert!(html.contains("12,345,678 bytes more"), "{payload}");
        let stdout = html.split("<span class=\"name\">stdout</span>\n<pre tabindex=\"0\">").nth(1);
        let stdout = stdout.and_then(|rest| rest.split("</pre>").next());
        let read_back =
            stdout.expect("the first stream").replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
        let read_back = read_back.replace("&#x27;", "'").replace("&amp;", "&");
        assert_eq!(read_back.replace('\u{fffd}', "\u{0}"), payload, "{html}");
    }
}

#[test]
fn raw_html_follows_one_rule() {
    let cases = [
        ("a<br>b", "<p>a<br>b</p>"),
        ("H<sub>2</sub>O<!-- c -->", "<p>H<sub>2</sub>O</p>"),
        ("<sub>open *x*", "<p><sub>open <em>x</em></sub></p>"),
        ("*a <b>b* c</b>", "<p><em>a <b>b</b></em> c&lt;/b&gt;</p>"),
        ("x <details> y", "<p>x &lt;details&gt; y</p>"),
        (
            "<details><summary>More</summary>\n\nHidden *text*.\n\n</details>\n\nafter",
            "<details><summary>More</summary>\n\n<p>Hidden <em>text</em>.</p>\n</details>\n\n<p>after</p>",
        ),
        ("<details>\nnever closed", "<details>\n<p>never closed</p>\n</details>"),
        ("<div class=\"x\">\nhi\n</div>", "<p>&lt;div class=&quot;x&quot;&gt;\nhi\n&lt;/div&gt;</p>"),
        ("- <b>x\n- y", "<ul>\n<li><b>x</b></li>\n<li>y</li>\n</ul>"),
        ("</details>", "<p>&lt;/details&gt;</p>"),
    ];
    for (source, expected) in cases {
        assert_eq!(body(source, Vec::new()), expected, "{source}");
    }
}

#[test]
fn prose_becomes_markup() {
    let anchor =
        |id: &str, text: &str| format!(" <a class=\"anchor\" href=\"#{id}\" aria-label=\"Link to “{text}”\">#</a>");
    let cases = [
        (
            "## A *b*\n\n## A b".to_owned(),
            format!(
                "<h2 id=\"a-b\">A <em>b</em>{}</h2>\n<h2 id=\"a-b-2\">A b{}</h2>",
                anchor("a-b", "A b"),
                anchor("a-b-2", "A b")
            ),
        ),
        (
            "## Data {#sec-d}\n\n### In\n\n@sec-d".to_owned(),
            format!(
                "<h2 id=\"sec-d\"><span class=\"section-number\">1</span> Data{}</h2>\n\
             <h3 id=\"in\"><span class=\"section-number\">1.1</span> In{}</h3>\n\
             <p><a class=\"ref\" href=\"#sec-d\">Section 1</a></p>",
                anchor("sec-d", "Data"),
                anchor("in", "In")
            ),
        ),
        (
            "[a](https://x.org) [b](#c) [d](javascript:x)".to_owned(),
            "<p><a href=\"https://x.org\" rel=\"noopener noreferrer\">a</a> <a href=\"#c\">b</a> d</p>".to_owned(),
        ),
        (
            "![A cat](cat.png) ![none](dog.png)".to_owned(),
            "<p><img src=\"data:image/png;base64,AAAA\" alt=\"A cat\"> [picture: none]</p>".to_owned(),
        ),
        (
            "> [!WARNING]\n> Hot.".to_owned(),
            "<div class=\"callout warning\"><p class=\"callout-title\">Warning</p>\n<p>Hot.</p>\n</div>".to_owned(),
        ),
        (
            "$$x^2$$ {#eq-a}\n\nIn @eq-a.".to_owned(),
            "<p><span class=\"equation\" id=\"eq-a\"><code class=\"math\">x^2</code>\
          <span class=\"equation-number\">(1)</span></span></p>\n\
          <p>In <a class=\"ref\" href=\"#eq-a\">Equation 1</a>.</p>"
                .to_owned(),
        ),
        ("\\@eq-a, a@fig-b.c".to_owned(), "<p>@eq-a, a@fig-b.c</p>".to_owned()),
        (
            "| a | b |\n|---|--:|\n| 1 | 2 |".to_owned(),
            "<div class=\"scroll prose-table\" role=\"region\" tabindex=\"0\" aria-label=\"Table\"><table>\n\
          <thead><tr><th scope=\"col\">a</th><th scope=\"col\" class=\"num\">b</th></tr></thead><tbody>\n\
          <tr><td>1</td><td class=\"num\">2</td></tr>\n</tbody></table></div>"
                .to_owned(),
        ),
    ];
    for (source, expected) in cases {
        assert_eq!(body(&source, Vec::new()), expected, "{source}");
    }
    let notes = body("a[^x] b[^y] c[^x]\n\n[^y]: Y\n\n[^x]: X", Vec::new());
    assert!(notes.contains("href=\"#footnote-1\" aria-label=\"Footnote 1\">1</a></sup> b"), "{notes}");
    assert!(notes.contains("id=\"footnote-1-from-2\""), "{notes}");
    assert!(notes.contains("<li id=\"footnote-1\" value=\"1\"><p>X</p>"), "{notes}");
}

#[test]
fn cells_show_what_their_options_say() {
    let block = |options: &str| format!("```rust\n{options}let secret = 1;\n```\n");
    let outputs = || vec![text("shown value")];
    let cases = [
        ("", true, true),
        ("//| echo: false\n", false, true),
        ("//| output: false\n", true, false),
        ("//| include: false\n", false, false),
        ("//| code-fold: true\n", true, true),
    ];
    for (options, code, output) in cases {
        let html = body(&block(options), vec![ok(outputs())]);
        assert_eq!((html.contains("secret"), html.contains("shown value")), (code, output), "{options}");
    }
    assert!(body(&block("//| code-fold: true\n"), vec![ok(vec![])]).contains("<details class=\"code\">\n"));
    assert!(body(&block("//| code-fold: show\n"), vec![ok(vec![])]).contains("<details class=\"code\" open>"));
    assert!(!body(&block("# let hidden = 1;\n"), vec![ok(vec![])]).contains("hidden"));
    let failed = cell(Status::Failed(Failure { title: "panicked".to_owned(), diagnostics: vec![] }), vec![]);
    assert!(body(&block("//| include: false\n"), vec![failed]).contains("This cell panicked"));
    let waiting = cell(Status::NotRun("cell `cell-1` failed".to_owned()), vec![]);
    assert!(body(&block(""), vec![waiting]).contains("Not run: cell <code>cell-1</code> failed"));
    assert!(body("`{rust} n`", vec![]).contains("<span class=\"not-run\" title=\"n\">not run</span>"));
}

#[test]
fn figures_of_a_labelled_cell_share_one_caption() {
    let source = "See @fig-a.\n\n```rust\n//| label: fig-a\n//| fig-cap: Two panels.\n//| fig-alt: Described.\n```\n";
    let defs = "<defs><g id=\"a\"/></defs><use href=\"#a\"/>";
    let html = body(source, vec![ok(vec![text("before"), svg(defs), text("between"), svg(defs)])]);
    assert_eq!(html.matches("<figure class=\"figure\" id=\"fig-a\">").count(), 1, "{html}");
    assert_eq!(html.matches("<figcaption><b>Figure 1:</b> Two panels.</figcaption>").count(), 1);
    assert_eq!(html.matches("role=\"img\" aria-label=\"Described.\"").count(), 2);
    assert!(html.contains("id=\"fig-a-0-a\"") && html.contains("href=\"#fig-a-1-a\""));
    assert!(html.contains("<a class=\"ref\" href=\"#fig-a\">Figure 1</a>"));
    let (before, figure, between) = (html.find("before"), html.find("<figure"), html.find("between"));
    assert!(before < figure && figure < between);
    let failed = cell(Status::Failed(Failure { title: "panicked".to_owned(), diagnostics: vec![] }), vec![]);
    assert!(
        body(source, vec![failed]).contains("<div class=\"cell failed\" id=\"fig-a\">"),
        "the link leads somewhere"
    );
    let broken = body(source, vec![ok(vec![Output::Svg { svg: "<svg>".to_owned() }])]);
    assert!(broken.contains("This figure cannot be shown"), "{broken}");
}

#[test]
fn a_failed_build_has_a_banner_that_leads_to_its_cell() {
    let source = "```rust\nfail()\n```\n\n```rust\nlater()\n```\n";
    let diagnostics = vec![Diagnostic::error("no such function").at(8..12, "here")];
    let run = Run {
        cells: vec![
            cell(Status::Failed(Failure { title: "does not compile".to_owned(), diagnostics }), vec![]),
            cell(Status::NotRun("cell `cell-1` failed".to_owned()), vec![]),
        ],
        ..Run::default()
    };
    let html = render_page(&notebook(source), &run, true, false, &[]);
    assert!(html.contains("<a href=\"#cell-1\">Cell <code>cell-1</code></a> does not compile"), "{html}");
    assert!(html.contains("<title>Failed: "));
    assert!(html.contains("error: no such function"));
    assert!(html.contains("notebook.md:2:1"));
}

#[test]
fn long_tables_say_what_is_missing() {
    let mut long = table(&["a"]);
    if let Output::Table(table) = &mut long {
        table.rows = 10_000;
    }
    let html = body("```rust\n```\n", vec![ok(vec![long])]);
    assert!(html.contains("Showing 1 of 10,000 rows"), "{html}");
}

#[test]
fn nasty_notebooks_are_rendered() {
    let mut sources = vec!["> ".repeat(2_000) + "x", "<b>".repeat(20_000), "<!--".repeat(50_000), "[^a]".repeat(5_000)];
    sources.push("@fig-x ".repeat(20_000));
    sources.push("## x\n\n".repeat(3_000));
    for source in sources {
        let html = render(&notebook(&source), &Run::default());
        assert!(html.len() > source.len() / 2);
    }
}

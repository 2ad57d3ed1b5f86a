//! The data: a parsed notebook, every part with its place in the source. Byte ranges refer to [`Notebook::text`].

use std::ops::Range;

/// A notebook as parsed. Cells and inline expressions are in document order.
#[derive(Clone, Debug)]
pub struct Notebook {
    /// The path as the user gave it, for messages.
    pub path: String,
    /// The whole file.
    pub text: String,
    /// Where the Markdown begins, after the front matter.
    pub body: usize,
    pub meta: Meta,
    pub cells: Vec<Cell>,
    pub inlines: Vec<Inline>,
    /// Pictures of the prose.
    pub images: Vec<Image>,
    /// Labels that `@label` may name, in document order: cells', headings' (`sec-`) and equations' (`eq-`).
    pub labels: Vec<Label>,
}

/// The front matter, defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    pub title: String,
    pub subtitle: Option<String>,
    pub authors: Vec<String>,
    pub date: Option<String>,
    pub description: Option<String>,
    /// BCP 47 language tag of the page, `en` by default.
    pub lang: String,
    pub params: Vec<Param>,
    /// `opt-level` that cells are compiled at: 0, 1, 2 or 3.
    pub opt_level: u8,
    /// Seconds that one cell may run.
    pub timeout_s: f64,
    /// Table of contents.
    pub toc: bool,
    /// Deepest heading level in the table of contents, 1 to 6.
    pub toc_depth: u8,
    /// Page-wide defaults of the cell options of the same name.
    pub echo: bool,
    pub code_fold: Fold,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    pub name: String,
    pub value: Value,
    pub span: Range<usize>,
}

/// A parameter's value; its kind is the parameter's type, which `-P` must keep.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

/// A fenced `rust` block.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Position among the cells, from 0.
    pub index: usize,
    pub mode: Mode,
    pub options: CellOptions,
    /// The whole fenced block, fences included.
    pub fence: Range<usize>,
    /// The code without option lines.
    pub code: Vec<CodeLine>,
}

/// One line of a cell's code, without its newline, its fence's indentation and rustdoc's hiding `# `.
#[derive(Clone, Debug, PartialEq)]
pub struct CodeLine {
    pub text: String,
    /// Where `text` begins in the source.
    pub offset: usize,
    /// Hidden by rustdoc's leading `# `: compiled but not shown.
    pub hidden: bool,
}

/// What rustdoc's attribute on the fence asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Run,
    /// Shown only.
    Ignore,
    /// Compiled, not run; later cells do not see its names.
    NoRun,
    /// Must panic; later cells do not see its names.
    ShouldPanic,
    /// Must not compile.
    CompileFail,
}

/// Quarto's cell options.
#[derive(Clone, Debug, PartialEq)]
pub struct CellOptions {
    pub label: Option<String>,
    pub fig_cap: Option<String>,
    pub fig_alt: Option<String>,
    pub tbl_cap: Option<String>,
    pub echo: bool,
    pub eval: bool,
    pub output: bool,
    pub include: bool,
    pub code_fold: Fold,
    /// An error or panic of this cell is shown and does not end the notebook; later cells do not see its names.
    pub error: bool,
    /// Seconds; the notebook's where absent.
    pub timeout_s: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// Code is not folded.
    No,
    /// Code is folded, closed at first.
    Yes,
    /// Code can be folded, open at first.
    Show,
}

/// `` `{rust} expr` `` in prose.
#[derive(Clone, Debug, PartialEq)]
pub struct Inline {
    /// Position among the inline expressions, from 0.
    pub index: usize,
    /// The whole code span, backticks included.
    pub span: Range<usize>,
    pub expr: String,
    /// Where `expr` begins in the source.
    pub offset: usize,
    /// It is evaluated after the first `after` cells of the notebook.
    pub after: usize,
}

/// `![text](path)` in prose.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// The path as the Markdown has it.
    pub path: String,
    /// The file that it names, relative to the notebook's folder: `path` with `%20` and the like decoded.
    pub file: String,
    /// The whole `![text](path)`.
    pub span: Range<usize>,
}

/// Something that `@label` can refer to.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    pub name: String,
    pub kind: LabelKind,
    /// Number within its kind, from 1; sections are numbered as `2.1`.
    pub number: String,
    /// Where the label is defined.
    pub span: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelKind {
    Figure,
    Table,
    Section,
    Equation,
    Listing,
}

impl Cell {
    /// Whether the cell is part of the program that runs.
    pub fn runs(&self) -> bool {
        self.options.eval && matches!(self.mode, Mode::Run | Mode::NoRun | Mode::ShouldPanic)
    }

    /// The code as compiled.
    pub fn source(&self) -> String {
        self.code.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// How messages and progress lines call the cell.
    pub fn name(&self) -> String {
        self.options.label.clone().unwrap_or_else(|| format!("cell-{}", self.index + 1))
    }
}

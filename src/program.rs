//! Joins the cells of a notebook into one Rust program, and maps the program's lines back to the Markdown. Pure.
//!
//! Each cell is a block nested in the one before, so that a later cell sees, shadows, redefines and borrows what earlier
//! cells defined, and one compilation serves them all. Every line of a cell is kept as it is, so that columns agree.

use proc_macro2::{TokenStream, TokenTree};
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Block, Expr, MacroDelimiter, Stmt};

use crate::diagnostic::Diagnostic;
use crate::notebook::{Cell, Inline, Mode, Notebook, Value};

/// A program, and for each of its lines the byte offset in the notebook at which the line begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    pub text: String,
    origins: Vec<Option<usize>>,
    /// The line, from 1, of each cell's `begin` call.
    begins: Vec<(usize, u32)>,
}

/// Which cells the program holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All cells that run.
    All,
    /// The cells that run, up to but without this one.
    Before(usize),
    /// This `compile_fail` cell, with the cells that run before it.
    With(usize),
    /// This cell alone: the only way to show what is wrong with one whose brackets do not match.
    Only(usize),
}

/// Joins the cells and the inline expressions between them.
pub fn fuse(notebook: &Notebook, extent: Extent) -> Program {
    let mut program = Program::default();
    program.line("{ #[allow(unused_imports)] use ::report::prelude::*;");
    program.line("#[allow(warnings)] fn notebook() -> ::report::cell::CellResult {");
    program.params(notebook);
    let mut depth = 0;
    let inlines = |after: usize| notebook.inlines.iter().filter(move |inline| inline.after == after);
    let included = |cell: &Cell| match extent {
        Extent::All => cell.runs(),
        Extent::Before(limit) => cell.runs() && cell.index < limit,
        Extent::With(index) => (cell.runs() && cell.index < index) || cell.index == index,
        Extent::Only(index) => cell.index == index,
    };
    let last = match extent {
        Extent::All => notebook.cells.len(),
        Extent::Before(limit) => limit,
        Extent::With(index) | Extent::Only(index) => index,
    };
    let with_inlines = !matches!(extent, Extent::Only(_));
    for inline in inlines(0).filter(|_| with_inlines) {
        program.inline(inline);
    }
    for cell in &notebook.cells {
        if included(cell) {
            program.cell(cell);
            depth += 1;
        }
        let after = cell.index + 1;
        if with_inlines && after <= last {
            inlines(after).for_each(|inline| program.inline(inline));
        }
    }
    program.line(&"}".repeat(depth));
    program.line("Ok(()) } ::report::cell::run(notebook); };");
    program
}

/// What is wrong with a cell or an inline expression before any compiler sees it.
///
/// A cell whose brackets do not match cannot be joined with others; `Err` names it.
pub fn unbalanced(notebook: &Notebook) -> Option<usize> {
    let broken = |cell: &&Cell| {
        (cell.runs() || cell.mode == Mode::CompileFail && cell.options.eval)
            && cell.source().parse::<TokenStream>().is_err()
    };
    notebook.cells.iter().find(broken).map(|cell| cell.index)
}

/// Inline expressions that are not expressions.
pub fn inline_errors(notebook: &Notebook) -> Vec<Diagnostic> {
    let check = |inline: &Inline| {
        let error = syn::parse_str::<Expr>(&inline.expr).err()?;
        let range = inline.offset..inline.offset + inline.expr.len();
        Some(Diagnostic::error(format!("`{}` is not a Rust expression: {error}", inline.expr)).at(range, ""))
    };
    notebook.inlines.iter().filter_map(check).collect()
}

/// Cells that ask for standard input: the process of the cells has none to give, and would wait for ever.
pub fn stdin_errors(notebook: &Notebook) -> Vec<Diagnostic> {
    let error = |cell: &Cell| {
        let span = asks_for_stdin(cell.source().parse().ok()?, false)?;
        let line = cell.code.get(span.start().line.checked_sub(1)?)?;
        let start = line.text.char_indices().nth(span.start().column).map_or(0, |(offset, _)| offset) + line.offset;
        Some(
            Diagnostic::error("a cell cannot read standard input")
                .at(start..start + "stdin".len(), "")
                .help("make it a parameter in the front matter, or read a file"),
        )
    };
    notebook.cells.iter().filter(|cell| cell.runs()).filter_map(error).collect()
}

/// Where `stdin` is named other than as a method, as in `Command::new("sh").stdin(..)`.
fn asks_for_stdin(tokens: TokenStream, mut after_dot: bool) -> Option<proc_macro2::Span> {
    for tree in tokens {
        let found = match &tree {
            TokenTree::Group(group) => asks_for_stdin(group.stream(), false),
            TokenTree::Ident(name) if name == "stdin" && !after_dot => Some(name.span()),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
        after_dot = matches!(&tree, TokenTree::Punct(punct) if punct.as_char() == '.');
    }
    None
}

impl Program {
    /// The byte offset in the notebook of a line and column (both from 1, in characters) of the program.
    pub fn origin(&self, line: usize, column: usize, notebook: &str) -> Option<usize> {
        let start = (*self.origins.get(line.checked_sub(1)?)?)?;
        let rest = notebook.get(start..)?;
        let line = rest.split(['\n', '\r']).next().unwrap_or_default();
        let offset = line.char_indices().nth(column.saturating_sub(1)).map_or(line.len(), |(offset, _)| offset);
        Some(start + offset)
    }

    /// The line of the program at which this cell's `begin` call stands.
    pub fn begin_line(&self, cell: usize) -> Option<u32> {
        self.begins.iter().find(|(index, _)| *index == cell).map(|(_, line)| *line)
    }

    fn line(&mut self, text: &str) {
        self.mapped(text, None);
    }

    fn mapped(&mut self, text: &str, origin: Option<usize>) {
        self.text.push_str(text);
        self.text.push('\n');
        self.origins.push(origin);
    }

    /// `params.name`, each a constant of the type of its default.
    fn params(&mut self, notebook: &Notebook) {
        let params = &notebook.meta.params;
        let part = |render: &dyn Fn(&str, &Value) -> String| {
            params.iter().map(|param| render(&param.name, &param.value)).collect::<Vec<_>>().join(", ")
        };
        let fields = part(&|name, value| {
            let kind = match value {
                Value::Bool(_) => "bool",
                Value::Int(_) => "i64",
                Value::Float(_) => "f64",
                Value::Text(_) => "&'static str",
            };
            format!("{name}: {kind}")
        });
        let values = part(&|name, value| match value {
            Value::Bool(value) => format!("{name}: {value}"),
            Value::Int(value) => format!("{name}: {value}"),
            Value::Float(value) if value.is_finite() => format!("{name}: {value:?}"),
            Value::Float(value) if value.is_nan() => format!("{name}: f64::NAN"),
            Value::Float(value) => format!("{name}: {}f64::INFINITY", if *value < 0.0 { "-" } else { "" }),
            Value::Text(value) => format!("{name}: {value:?}"),
        });
        self.line(&format!(
            "#[derive(Clone, Copy, Debug)] struct Params {{ {fields} }} let params = Params {{ {values} }};"
        ));
    }

    fn cell(&mut self, cell: &Cell) {
        let index = cell.index;
        self.line("{");
        self.begins.push((index, self.origins.len() as u32 + 1));
        self.line(&format!("::report::cell::begin({index});"));
        match cell.mode {
            Mode::NoRun => {
                self.line("if ::report::cell::never() {");
                self.code(cell);
                self.line("; return Ok(()) }");
            }
            Mode::ShouldPanic => self.attempt(cell),
            _ if cell.options.error => self.attempt(cell),
            _ => self.code(cell),
        }
        self.line(&format!(";::report::cell::end({index});"));
    }

    fn attempt(&mut self, cell: &Cell) {
        self.line(&format!("::report::cell::attempt({}, || -> ::report::cell::CellResult {{", cell.index));
        self.code(cell);
        self.line("; Ok(()) });");
    }

    fn inline(&mut self, inline: &Inline) {
        self.line(&format!("::report::inline!({},", inline.index));
        self.mapped(&inline.expr, Some(inline.offset));
        self.line(");");
    }

    /// The cell's lines; a last expression without `;` becomes the argument of `show!`, which adds lines but moves no
    /// column.
    fn code(&mut self, cell: &Cell) {
        let Some((row, column)) = shown_expression(&cell.source()) else {
            for line in &cell.code {
                self.mapped(&line.text, Some(line.offset));
            }
            return;
        };
        for (number, line) in cell.code.iter().enumerate() {
            if number != row {
                self.mapped(&line.text, Some(line.offset));
                continue;
            }
            let split = line.text.char_indices().nth(column).map_or(line.text.len(), |(offset, _)| offset);
            let (before, expression) = line.text.split_at(split);
            if !before.trim().is_empty() {
                self.mapped(before, Some(line.offset));
            }
            self.line("::report::show!(");
            self.mapped(&format!("{}{expression}", " ".repeat(column)), Some(line.offset));
        }
        self.line(")");
    }
}

/// The line (from 0) and column (from 0, in characters) at which a last expression without `;` begins.
fn shown_expression(source: &str) -> Option<(usize, usize)> {
    let statements = Block::parse_within.parse_str(source).ok()?;
    let start = match statements.last()? {
        // `if`, `for`, blocks and the like end a cell as often for their effect as for their value: both work, because
        // showing `()` shows nothing.
        Stmt::Expr(expression, None) if attributes(expression) == 0 => expression.span().start(),
        Stmt::Macro(call) if call.semi_token.is_none() && call.attrs.is_empty() => {
            if matches!(call.mac.delimiter, MacroDelimiter::Brace(_)) {
                return None;
            }
            call.mac.span().start()
        }
        _ => return None,
    };
    Some((start.line.checked_sub(1)?, start.column))
}

fn attributes(expression: &Expr) -> usize {
    use syn::visit::{self, Visit};
    struct Leading(usize);
    impl<'ast> Visit<'ast> for Leading {
        fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
            self.0 += 1;
            visit::visit_attribute(self, attribute);
        }
        fn visit_block(&mut self, _: &'ast Block) {}
    }
    let mut leading = Leading(0);
    leading.visit_expr(expression);
    leading.0
}

#[cfg(test)]
mod tests {
    use super::shown_expression;

    #[test]
    fn finds_the_expression_that_a_cell_shows() {
        for (source, expected) in [
            ("let a = 1;\na", Some((1, 0))),
            ("let ä = 1; ä + 1 // sum", Some((0, 11))),
            ("a;", None),
            ("fn f() {}", None),
            ("vec![1]", Some((0, 0))),
            ("println!(\"x\");", None),
            ("thread_local! { static A: u8 = 0; }", None),
            ("  x\n    .y()", Some((0, 2))),
            ("// only a comment", None),
            ("let x =", None),
        ] {
            assert_eq!(shown_expression(source), expected, "{source}");
        }
    }
}

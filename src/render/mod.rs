//! Turns a notebook and what its run left behind into one HTML page; pure: the same input gives the same bytes.
//!
//! [`page`] renders each cell (`cell`), walks through the Markdown and puts the cells and computed values in their
//! places (`markdown`), and sets the result in the page's template, whose style sheet and script are named by hash in
//! the page's policy. Markup is kept in `html::Html`, which grows by escaped text and our own tags only.

mod asides;
mod cell;
mod highlight;
mod html;
mod links;
mod markdown;
mod raw;
mod svg;
mod table;
mod templates;
pub(crate) mod text;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::{Value, context};
use sha2::{Digest as _, Sha256};

use crate::diagnostic;
use crate::notebook::Notebook;
use crate::run::{Run, Status};
use html::Html;
use markdown::{Heading, Prose};
use templates::{SCRIPT, STYLE, Templates};

/// All that a page shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page<'a> {
    pub(crate) notebook: &'a Notebook,
    pub(crate) run: &'a Run,
    /// The rows of the last section.
    pub(crate) provenance: &'a [ProvenanceGroup],
    /// Pictures of the prose: path as written → `data:` URI, read and checked by the caller.
    pub(crate) images: &'a BTreeMap<String, String>,
    /// The build failed: a banner says so, and where.
    pub(crate) failed: bool,
    /// Print how long the cells ran. These differ from build to build.
    pub(crate) times: bool,
}

/// Rows of the provenance section under a title of their own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ProvenanceGroup {
    pub(crate) title: String,
    /// Name and value.
    pub(crate) rows: Vec<(String, String)>,
}

/// The whole HTML file.
///
/// # Errors
/// A template is at fault, which tests rule out. No notebook and no output of a cell makes this fail.
pub(crate) fn page(page: &Page<'_>) -> anyhow::Result<String> {
    let templates = Templates::new()?;
    let cells = (0..page.notebook.cells.len())
        .map(|index| cell::html(&templates, page, index))
        .collect::<anyhow::Result<Vec<Html>>>()?;
    let Prose { body, headings } = markdown::html(page, &cells);
    let meta = &page.notebook.meta;
    let toc = if meta.toc { contents(&headings, meta.toc_depth) } else { Vec::new() };
    let markup = templates.report(context! {
        style_hash => hash(STYLE),
        script_hash => hash(SCRIPT),
        style => Html::trusted(STYLE),
        script => Html::trusted(SCRIPT),
        lang => &meta.lang,
        title => &meta.title,
        subtitle => &meta.subtitle,
        authors => meta.authors.join(", "),
        date => &meta.date,
        description => &meta.description,
        toc,
        body,
        failed => page.failed,
        failures => failures(page),
        between_cells => page.run.failure.as_ref().map(|failure| {
            diagnostic::render(&failure.diagnostics, &page.notebook.path, &page.notebook.text, false)
        }),
        provenance => provenance(page.provenance),
    })?;
    Ok(markup.into_string())
}

/// What a policy's `'sha256-…'` holds for a script or style sheet.
fn hash(source: &str) -> String {
    STANDARD.encode(Sha256::digest(source.as_bytes()))
}

/// Headings down to a depth, each with its level below the highest one that is present.
fn contents(headings: &[Heading], depth: u8) -> Vec<Value> {
    let highest = headings.iter().map(|heading| heading.level).min().unwrap_or(1);
    headings
        .iter()
        .filter(|heading| heading.written_level <= depth && !heading.text.is_empty())
        .map(|heading| {
            context! {
                level => heading.level - highest + 1,
                id => &heading.id,
                number => &heading.number,
                text => &heading.text,
            }
        })
        .collect()
}

fn failures(page: &Page<'_>) -> Vec<Value> {
    let cells = page.notebook.cells.iter().zip(&page.run.cells);
    cells
        .filter_map(|(cell, run)| match &run.status {
            Status::Failed(failure) => Some(context! {
                id => cell::id(page, cell.index),
                name => cell.name(),
                title => html::message(&failure.title),
            }),
            _ => None,
        })
        .collect()
}

fn provenance(groups: &[ProvenanceGroup]) -> Vec<Value> {
    groups
        .iter()
        .map(|group| {
            let rows = group.rows.iter().map(|(name, value)| context! { name => name, value => value });
            context! { title => &group.title, rows => rows.collect::<Vec<Value>>() }
        })
        .collect()
}

#[cfg(test)]
mod tests;

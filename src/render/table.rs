//! Data frames as real tables.

use minijinja::{Value, context};

use super::html::Html;
use super::templates::Templates;
use super::text::grouped;
use crate::output::Table;

/// Tables with more rows scroll inside a box and say how long they are.
const TALL: usize = 15;
/// Characters of a text that is still shown on one line.
const LONG: usize = 48;

/// What stands above a table.
pub(super) struct Caption<'a> {
    /// Identifier of the whole, unique in the page.
    pub(super) id: String,
    /// Such as `Table 2`; none for a table without a number.
    pub(super) number: Option<String>,
    pub(super) text: Option<&'a str>,
}

/// The table with its caption; columns of unequal length are filled up with missing values.
pub(super) fn html(templates: &Templates, table: &Table, caption: &Caption<'_>) -> anyhow::Result<Html> {
    let shown = table.columns.iter().map(|column| column.values.len()).max().unwrap_or(0);
    let columns: Vec<Value> = table
        .columns
        .iter()
        .map(|column| context! { name => &column.name, dtype => &column.dtype, numeric => column.numeric })
        .collect();
    let rows: Vec<Value> = (0..shown).map(|row| Value::from(cells(table, row))).collect();
    templates.table(context! {
        id => &caption.id,
        number => &caption.number,
        caption => caption.text,
        columns,
        rows,
        note => note(table, shown),
    })
}

fn cells(table: &Table, row: usize) -> Vec<Value> {
    let cell = |column: &crate::output::Column| {
        let value = column.values.get(row).and_then(Option::as_deref);
        let long = value.is_some_and(|text| text.chars().count() > LONG);
        context! { value => value.unwrap_or(""), missing => value.is_none(), numeric => column.numeric, long }
    };
    table.columns.iter().map(cell).collect()
}

fn note(table: &Table, shown: usize) -> Option<String> {
    let rows = table.rows.max(shown);
    let columns = table.columns.len();
    if shown < rows {
        Some(format!("Showing {} of {} rows", grouped(shown as u64), grouped(rows as u64)))
    } else if rows > TALL {
        let plural = if columns == 1 { "" } else { "s" };
        Some(format!("{} rows, {} column{plural}", grouped(rows as u64), grouped(columns as u64)))
    } else if rows == 0 {
        Some("No rows".to_owned())
    } else {
        None
    }
}

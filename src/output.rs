//! What a cell can show: the data that crosses from a cell to the page, and nothing about how it is drawn.

use serde::{Deserialize, Serialize};

/// One thing shown by a cell, in the order in which the cell showed it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Output {
    /// Plain text, shown as it is.
    Text {
        /// The text; a value's `Display` or `Debug` form.
        text: String,
    },
    /// A data frame, already turned into text cell by cell.
    Table(Table),
    /// A figure made by [`crate::plots`]: a whole `<svg>` element.
    Svg {
        /// The SVG source.
        svg: String,
    },
    /// A PNG picture.
    Png {
        /// The file's bytes in standard base64.
        base64: String,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
}

/// A data frame as text: columns of equal length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The columns, left to right.
    pub columns: Vec<Column>,
    /// Rows in the frame; `columns` may hold fewer (`rows - shown` were left out at the end).
    pub rows: usize,
}

/// One column of a [`Table`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as Polars prints it (`f64`, `str`, `datetime[μs]`).
    pub dtype: String,
    /// Whether its values are numbers, which the page aligns.
    pub numeric: bool,
    /// The values as text; `None` is a missing value.
    pub values: Vec<Option<String>>,
}

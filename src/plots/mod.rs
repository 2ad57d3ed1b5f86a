//! Figures: data in, SVG out. Pure: the same data give the same bytes.
//!
//! [`bars`] for values with errors by category and group, [`scatter`] for points coloured by class, [`image_grid`] for
//! sample images, [`draw`] for anything that plotters can draw. Each ends in a [`Figure`], which a cell shows when it is
//! the cell's last expression:
//!
//! ```ignore
//! plots::bars(&results, "encoder", "ami").error("ami_sd").by("dataset").x_title("AMI (%)").draw()?
//! ```
//!
//! Figures are 640 units wide with text of 18 units, so that they can be read on a phone. Colours carry the classes that
//! the page's style sheet recolours for light and dark. Every figure describes itself in words for those who do not see
//! it.

mod axis;
mod bars;
mod canvas;
mod frame;
mod grid;
mod legend;
mod raster;
mod scatter;
pub mod style;

use std::fmt::Write as _;

use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};

pub use self::bars::{Bar, Bars};
pub use self::canvas::Canvas;
pub use self::frame::bars;
pub use self::grid::{ImageGrid, image_grid};
pub use self::scatter::{Scatter, scatter, scatter_points};

/// A finished figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// A whole `<svg>` element.
    pub svg: String,
    /// What the figure shows, in words; also the SVG's `<desc>`. A cell's `fig-alt` takes its place on the page.
    pub description: String,
}

/// Why a figure cannot be drawn.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlotError {
    /// The data frame lacks the column.
    #[error("there is no column `{column}`; the columns are {columns}")]
    NoColumn {
        /// The column asked for.
        column: String,
        /// Those there are.
        columns: String,
    },
    /// The column does not hold numbers.
    #[error("column `{column}` holds {dtype}, but a bar's length needs a number")]
    NotNumeric {
        /// The column.
        column: String,
        /// What it holds.
        dtype: String,
    },
    /// There is nothing to draw.
    #[error("`{what}` holds no value that can be drawn: {rows} rows, none with a finite number")]
    NoData {
        /// The column or argument.
        what: String,
        /// Its rows.
        rows: usize,
    },
    /// Two rows for one bar.
    #[error("two rows for {bar}: aggregate them first, for instance with group_by and mean")]
    Repeated {
        /// The bar's category and group.
        bar: String,
    },
    /// An error bar needs a length that is not negative.
    #[error("the error of {bar} is {error}: it must not be negative")]
    NegativeError {
        /// The bar's category and group.
        bar: String,
        /// The value.
        error: f64,
    },
    /// More than fit into one figure.
    #[error("{count} {what}: one figure holds at most {limit}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// Arguments that belong together differ in length.
    #[error("x has {expected} values, but {what} has {found}")]
    Length {
        /// The argument.
        what: &'static str,
        /// Length of x.
        expected: usize,
        /// Its own length.
        found: usize,
    },
    /// A label without a name.
    #[error("label {label} of point {index} has no name: there are {names} class names")]
    NoName {
        /// The label.
        label: i64,
        /// The point, from 0.
        index: usize,
        /// How many names there are.
        names: usize,
    },
    /// Limits that are no range.
    #[error("{what} = {low} to {high} is not a range")]
    BadRange {
        /// The parameter.
        what: &'static str,
        /// Its lower end.
        low: f64,
        /// Its upper end.
        high: f64,
    },
    /// An image whose parts do not fit together.
    #[error(
        "image {index} of row `{row}`: {width} x {height} pixels with {channels} channels do not match {bytes} bytes (1 or 3 channels, at most 65536 x 65536)"
    )]
    Picture {
        /// Title of the row.
        row: String,
        /// Position in the row, from 0.
        index: usize,
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Channels per pixel.
        channels: usize,
        /// Bytes given.
        bytes: usize,
    },
    /// A PNG file could not be written.
    #[error("a picture cannot be written as PNG: {0}")]
    Png(String),
    /// Plotters could not draw it.
    #[error("the figure cannot be drawn: {0}")]
    Drawing(String),
}

/// A figure drawn with plotters: `width` x `height` units, of which text needs about 18 to be read on a phone.
///
/// Colours of [`style`] follow the page's light and dark theme, as do black and white; others stay as they are.
/// `description` says in words what the figure shows.
///
/// ```ignore
/// plots::draw(640, 400, "A parabola", |area| {
///     let mut chart = plotters::prelude::ChartBuilder::on(area).build_cartesian_2d(-1.0..1.0, 0.0..1.0)?;
///     chart.configure_mesh().draw()?;
///     Ok(())
/// })?
/// ```
///
/// # Errors
/// What `drawing` returns; a side of 0 or more than 10,000 units.
pub fn draw(
    width: u32,
    height: u32,
    description: &str,
    drawing: impl FnOnce(&DrawingArea<Canvas, Shift>) -> Result<(), Box<dyn std::error::Error>>,
) -> Result<Figure, PlotError> {
    for (what, side) in [("width", width), ("height", height)] {
        if !(1..=10_000).contains(&side) {
            return Err(PlotError::BadRange { what, low: 0.0, high: f64::from(side) });
        }
    }
    let canvas = Canvas::new(width, height, 1);
    let area = canvas.clone().into_drawing_area();
    drawing(&area).map_err(|error| PlotError::Drawing(error.to_string()))?;
    Ok(figure(&canvas.body(), (f64::from(width), f64::from(height)), "Figure", description.to_owned()))
}

/// Puts the root element around what was drawn.
fn figure(body: &str, (width, height): (f64, f64), title: &str, description: String) -> Figure {
    let (width, height) = (canvas::decimal(width), canvas::decimal(height));
    let mut svg = String::with_capacity(body.len() + 400);
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"system-ui, sans-serif\"><title>{}</title><desc>{}</desc>{body}</svg>",
        canvas::escaped(title),
        canvas::escaped(&description)
    );
    Figure { svg, description }
}

/// "a", "a and b", "a, b and c".
fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plotters_charts_become_figures() {
        use plotters::prelude::*;
        let made = draw(640, 400, "A <line> & more", |area| {
            area.fill(&WHITE)?;
            let mut chart =
                ChartBuilder::on(area).set_all_label_area_size(40).build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
            chart.configure_mesh().x_desc("x").draw()?;
            chart.draw_series(LineSeries::new([(0.0, 0.0), (1.0, 1.0)], style::series(1)))?;
            Ok(())
        })
        .expect("drawn");
        assert!(made.svg.contains("class=\"s2 stroke\"") && made.svg.contains("class=\"background\""), "{}", made.svg);
        assert!(made.svg.contains("<desc>A &lt;line&gt; &amp; more</desc>"));
        assert!(matches!(draw(0, 9, "", |_| Ok(())), Err(PlotError::BadRange { what: "width", .. })));
        let failed = draw(9, 9, "", |_| Err("no luck".into()));
        assert_eq!(failed, Err(PlotError::Drawing("no luck".to_owned())));
    }
}

//! What all figures share: a pen for page positions, titles, and a legend that wraps.

use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, FontTransform, IntoFont, RGBColor, ShapeStyle, TextStyle};

use super::PlotError;
use super::canvas::Canvas;
use super::style::{self, INK, QUIET, TEXT, WIDTH};

/// Bars are a little transparent, so that error bars stand out in both themes.
pub(super) const BAR_OPACITY: f64 = 0.8;

/// Coordinates per unit in figures of ours.
pub(super) const FINE: u32 = 10;

/// A drawing area in tenths of units.
pub(super) type Sheet = DrawingArea<Canvas, Shift>;

/// A canvas of the usual width, and the area to draw on.
pub(super) fn sheet(height: f64) -> (Canvas, Sheet) {
    let canvas = Canvas::new(WIDTH as u32, height.ceil() as u32, FINE);
    let area = canvas.clone().into_drawing_area();
    (canvas, area)
}

/// Units to coordinates.
pub(super) fn fine(units: f64) -> i32 {
    (units * f64::from(FINE)).round() as i32
}

pub(super) fn at(x: f64, y: f64) -> (i32, i32) {
    (fine(x), fine(y))
}

/// A line of this colour, `width` units wide.
pub(super) fn pen(color: &impl Color, width: f64) -> ShapeStyle {
    ShapeStyle { color: color.to_rgba(), filled: false, stroke_width: fine(width) as u32 }
}

/// Anything that goes wrong in plotters; on our canvas nothing does.
pub(super) fn failed(error: impl std::fmt::Display) -> PlotError {
    PlotError::Drawing(error.to_string())
}

/// One line of text.
pub(super) struct Label<'a> {
    pub(super) text: &'a str,
    pub(super) size: f64,
    pub(super) color: RGBColor,
    pub(super) anchor: (HPos, VPos),
    pub(super) bold: bool,
    pub(super) upright: bool,
}

impl<'a> Label<'a> {
    pub(super) fn new(text: &'a str, horizontal: HPos, vertical: VPos) -> Label<'a> {
        Label { text, size: TEXT, color: INK, anchor: (horizontal, vertical), bold: false, upright: false }
    }

    pub(super) fn quiet(mut self) -> Self {
        self.color = QUIET;
        self
    }

    pub(super) fn size(mut self, size: f64) -> Self {
        self.size = size;
        self
    }

    pub(super) fn draw(&self, sheet: &Sheet, x: f64, y: f64) -> Result<(), PlotError> {
        let mut font = ("sans-serif", self.size * f64::from(FINE)).into_font();
        if self.bold {
            font = font.style(FontStyle::Bold);
        }
        if self.upright {
            font = font.transform(FontTransform::Rotate270);
        }
        let style = TextStyle::from(font).color(&self.color).pos(Pos::new(self.anchor.0, self.anchor.1));
        sheet.draw(&Text::new(self.text, at(x, y), style)).map_err(failed)
    }
}

pub(super) fn line(sheet: &Sheet, from: (f64, f64), to: (f64, f64), style: ShapeStyle) -> Result<(), PlotError> {
    sheet.draw(&PathElement::new([at(from.0, from.1), at(to.0, to.1)], style)).map_err(failed)
}

/// The title above a figure; returns the height that it takes.
pub(super) fn title(sheet: Option<&Sheet>, text: Option<&str>) -> Result<f64, PlotError> {
    let Some(text) = text else { return Ok(0.0) };
    let lines = style::wrap(text, style::TITLE * 1.05, WIDTH - 8.0, 3);
    if let Some(sheet) = sheet {
        for (index, line) in lines.iter().enumerate() {
            let mut label = Label::new(line, HPos::Left, VPos::Top).size(style::TITLE);
            label.bold = true;
            label.draw(sheet, 2.0, 2.0 + index as f64 * 26.0)?;
        }
    }
    Ok(lines.len() as f64 * 26.0 + 10.0)
}

/// How a series is marked, in a legend and among its points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mark {
    pub(super) color: RGBColor,
    pub(super) shape: Shape,
}

/// Outlines that differ at a glance, so that colour is not needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Swatch,
    Circle,
    Square,
    Triangle,
    Diamond,
    Plus,
    Cross,
    TriangleDown,
    Ring,
    Star,
    Hourglass,
}

const SHAPES: [Shape; 10] = [
    Shape::Circle,
    Shape::Square,
    Shape::Triangle,
    Shape::Diamond,
    Shape::Plus,
    Shape::TriangleDown,
    Shape::Ring,
    Shape::Cross,
    Shape::Hourglass,
    Shape::Star,
];

impl Mark {
    /// The mark of the category at `index`: ten colours with ten shapes, then other pairs of them.
    pub(super) fn of(index: usize) -> Mark {
        Mark { color: style::series(index), shape: SHAPES[(index + index / 10 * 5) % SHAPES.len()] }
    }

    /// The mark of the category at `index` in a picture of many points, which are too small for shapes.
    pub(super) fn dot(index: usize) -> Mark {
        Mark { color: style::fixed_series(index), shape: Shape::Circle }
    }

    /// Draws it at a place in units; `radius` is that of a circle of the same weight.
    pub(super) fn draw(&self, sheet: &Sheet, place: (f64, f64), radius: f64, opacity: f64) -> Result<(), PlotError> {
        let color = self.color.mix(opacity);
        let around = |points: &[(f64, f64)], grow: f64| -> Vec<(i32, i32)> {
            points.iter().map(|(x, y)| at(place.0 + x * radius * grow, place.1 + y * radius * grow)).collect()
        };
        let filled = |points: &[(f64, f64)], grow: f64| {
            sheet.draw(&Polygon::new(around(points, grow), color.filled())).map_err(failed)
        };
        let strokes = |strokes: &[[(f64, f64); 2]], grow: f64| {
            for stroke in strokes {
                sheet.draw(&PathElement::new(around(stroke, grow), pen(&color, radius * 0.55))).map_err(failed)?;
            }
            Ok(())
        };
        let square = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)];
        match self.shape {
            Shape::Swatch => filled(&square, 1.0),
            Shape::Circle => {
                sheet.draw(&Circle::new(at(place.0, place.1), fine(radius), color.filled())).map_err(failed)
            }
            Shape::Ring => {
                let style = pen(&color, radius * 0.55);
                sheet.draw(&Circle::new(at(place.0, place.1), fine(radius * 0.9), style)).map_err(failed)
            }
            Shape::Square => filled(&square, 0.88),
            Shape::Triangle => filled(&[(0.0, -1.0), (0.95, 0.7), (-0.95, 0.7)], 1.25),
            Shape::TriangleDown => filled(&[(0.0, 1.0), (0.95, -0.7), (-0.95, -0.7)], 1.25),
            Shape::Diamond => filled(&[(0.0, -1.0), (0.85, 0.0), (0.0, 1.0), (-0.85, 0.0)], 1.35),
            Shape::Hourglass => filled(&[(-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0)], 1.05),
            Shape::Plus => strokes(&[[(-1.0, 0.0), (1.0, 0.0)], [(0.0, -1.0), (0.0, 1.0)]], 1.25),
            Shape::Cross => strokes(&[[(-1.0, -1.0), (1.0, 1.0)], [(-1.0, 1.0), (1.0, -1.0)]], 0.95),
            Shape::Star => {
                strokes(&[[(0.0, -1.0), (0.0, 1.0)], [(-0.87, -0.5), (0.87, 0.5)], [(-0.87, 0.5), (0.87, -0.5)]], 1.3)
            }
        }
    }
}

/// A legend in rows as wide as the figure, from `top`; returns the height that it takes. Without a sheet it only
/// measures.
pub(super) fn legend(sheet: Option<&Sheet>, entries: &[(Mark, String)], top: f64) -> Result<f64, PlotError> {
    const ROW: f64 = 27.0;
    if entries.is_empty() {
        return Ok(0.0);
    }
    let (mut x, mut row) = (2.0, 0);
    for (mark, name) in entries {
        let name = style::wrap(name, TEXT, WIDTH - 40.0, 1).remove(0);
        let wide = 26.0 + style::width(&name, TEXT);
        if x > 2.0 && x + wide > WIDTH {
            (x, row) = (2.0, row + 1);
        }
        let middle = top + f64::from(row) * ROW + ROW / 2.0;
        if let Some(sheet) = sheet {
            let radius = if mark.shape == Shape::Swatch { 8.0 } else { 6.5 };
            let opacity = if mark.shape == Shape::Swatch { BAR_OPACITY } else { 1.0 };
            mark.draw(sheet, (x + 9.0, middle), radius, opacity)?;
            Label::new(&name, HPos::Left, VPos::Center).draw(sheet, x + 24.0, middle)?;
        }
        x += wide + 20.0;
    }
    Ok(f64::from(row + 1) * ROW + 10.0)
}

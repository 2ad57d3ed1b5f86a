//! A plotters backend that writes SVG with classes, so that a figure follows the page's light and dark colours.
//!
//! Neighbouring shapes of one style become one `<path>`: five thousand points take about 14 bytes each.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::rc::Rc;

use plotters::style::RGBColor;
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontFamily,
    FontStyle, FontTransform,
};

use super::raster;
use super::style::{self, Use, class};

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

/// Where plotters draws a figure. Coordinates are in units, or in tenths of units where a figure of ours is drawn.
#[derive(Clone, Debug)]
pub struct Canvas {
    size: (u32, u32),
    /// Coordinates per unit.
    per_unit: i32,
    sheet: Rc<RefCell<Sheet>>,
}

/// What has been drawn so far.
#[derive(Debug, Default)]
struct Sheet {
    done: String,
    /// Attributes and data of the path that is still growing.
    growing: Option<(String, String)>,
}

impl Sheet {
    fn finished(&mut self) -> &mut String {
        if let Some((attributes, data)) = self.growing.take() {
            let _ = write!(self.done, "<path{attributes} d=\"{data}\"/>");
        }
        &mut self.done
    }

    fn path(&mut self, attributes: String, data: &str) {
        match &mut self.growing {
            Some((same, path)) if *same == attributes => path.push_str(data),
            _ => {
                self.finished();
                self.growing = Some((attributes, data.to_owned()));
            }
        }
    }
}

impl Canvas {
    /// A canvas of `width` x `height` units, each divided into `per_unit` coordinates.
    pub(super) fn new(width: u32, height: u32, per_unit: u32) -> Canvas {
        let size = (width * per_unit, height * per_unit);
        Canvas { size, per_unit: per_unit as i32, sheet: Rc::default() }
    }

    /// The elements drawn so far.
    pub(super) fn body(&self) -> String {
        self.sheet.borrow_mut().finished().clone()
    }

    /// Places a picture that its pixels fill from corner to corner; `sharp` keeps enlarged pixels square.
    pub(super) fn image(&self, from: BackendCoord, to: BackendCoord, png: &[u8], sharp: bool) {
        let rendering = if sharp { " image-rendering=\"pixelated\"" } else { "" };
        let (x, y) = (self.number(from.0), self.number(from.1));
        let (width, height) = (self.number(to.0 - from.0), self.number(to.1 - from.1));
        let _ = write!(
            self.sheet.borrow_mut().finished(),
            "<image class=\"raster\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" \
             preserveAspectRatio=\"none\"{rendering} href=\"data:image/png;base64,{}\"/>",
            raster::base64(png)
        );
    }

    fn path(&self, attributes: String, data: &str) -> Drawn {
        self.sheet.borrow_mut().path(attributes, data);
        Ok(())
    }

    /// A coordinate in units, with at most one decimal.
    fn number(&self, coordinate: i32) -> String {
        if self.per_unit == 1 {
            return coordinate.to_string();
        }
        decimal(f64::from(coordinate) / f64::from(self.per_unit))
    }

    fn point(&self, (x, y): BackendCoord) -> String {
        format!("{} {}", self.number(x), self.number(y))
    }

    fn stroke<S: BackendStyle>(&self, style: &S) -> String {
        let width = decimal(f64::from(style.stroke_width()) / f64::from(self.per_unit));
        let mut attributes = painted(style.color(), Use::Stroke);
        let _ = write!(attributes, " fill=\"none\" stroke-width=\"{width}\"");
        attributes
    }

    fn joined(&self, points: impl IntoIterator<Item = BackendCoord>) -> String {
        let mut data = String::new();
        for point in points {
            data.push(if data.is_empty() { 'M' } else { 'L' });
            data.push_str(&self.point(point));
        }
        data
    }
}

/// `12.3`, `12`, never `12.0` or `-0`.
pub(super) fn decimal(value: f64) -> String {
    let tenths = (value * 10.0).round() as i64;
    let sign = if tenths < 0 { "-" } else { "" };
    let (whole, rest) = (tenths.abs() / 10, tenths.abs() % 10);
    if rest == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest}") }
}

/// Class, colour and opacity as attributes.
fn painted(color: BackendColor, purpose: Use) -> String {
    let rgb = RGBColor(color.rgb.0, color.rgb.1, color.rgb.2);
    let mut attributes = String::new();
    if let Some(class) = class(rgb, purpose) {
        let _ = write!(attributes, " class=\"{class}\"");
    }
    let name = if purpose == Use::Stroke { "stroke" } else { "fill" };
    let _ = write!(attributes, " {name}=\"#{:02x}{:02x}{:02x}\"", rgb.0, rgb.1, rgb.2);
    if color.alpha < 1.0 {
        let _ = write!(attributes, " opacity=\"{}\"", (color.alpha * 100.0).round() / 100.0);
    }
    attributes
}

/// Text as it may stand between tags and in attributes; what XML cannot hold becomes "�".
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\t' | '\n' | '\r' => safe.push(' '),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

impl DrawingBackend for Canvas {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Drawn {
        self.draw_rect(point, (point.0 + 1, point.1 + 1), &color, true)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        if style.color().alpha == 0.0 {
            return Ok(());
        }
        self.path(self.stroke(style), &self.joined(path))
    }

    fn draw_rect<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S, fill: bool) -> Drawn {
        if style.color().alpha == 0.0 {
            return Ok(());
        }
        let (left, top) = (from.0.min(to.0), from.1.min(to.1));
        let (width, height) = (self.number((to.0 - from.0).abs()), self.number((to.1 - from.1).abs()));
        let data = format!("M{}h{width}v{height}h-{width}z", self.point((left, top)));
        let attributes = if fill { painted(style.color(), Use::Fill) } else { self.stroke(style) };
        self.path(attributes, &data)
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        if style.color().alpha == 0.0 {
            return Ok(());
        }
        let mut data = self.joined(path);
        data.push('z');
        self.path(painted(style.color(), Use::Fill), &data)
    }

    /// A filled circle is a dot of a wide, round pen.
    fn draw_circle<S: BackendStyle>(&mut self, center: BackendCoord, radius: u32, style: &S, fill: bool) -> Drawn {
        if style.color().alpha == 0.0 {
            return Ok(());
        }
        let radius = radius as i32;
        if fill {
            let mut attributes = painted(style.color(), Use::Stroke);
            let _ = write!(
                attributes,
                " fill=\"none\" stroke-width=\"{}\" stroke-linecap=\"round\"",
                self.number(2 * radius)
            );
            return self.path(attributes, &format!("M{}h0", self.point(center)));
        }
        let (left, r, across) = ((center.0 - radius, center.1), self.number(radius), self.number(2 * radius));
        let data = format!("M{}a{r} {r} 0 1 0 {across} 0a{r} {r} 0 1 0 -{across} 0z", self.point(left));
        self.path(self.stroke(style), &data)
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, position: BackendCoord) -> Drawn {
        if style.color().alpha == 0.0 || text.is_empty() {
            return Ok(());
        }
        let size = style.size() / f64::from(self.per_unit);
        let (x, y) =
            (f64::from(position.0) / f64::from(self.per_unit), f64::from(position.1) / f64::from(self.per_unit));
        let bold = matches!(style.style(), FontStyle::Bold);
        let mut attributes = painted(style.color(), Use::Text { bold });
        let anchor = style.anchor();
        match anchor.h_pos {
            HPos::Left => {}
            HPos::Center => attributes.push_str(" text-anchor=\"middle\""),
            HPos::Right => attributes.push_str(" text-anchor=\"end\""),
        }
        // Capitals are about 0.72 of the size high.
        let baseline = y + match anchor.v_pos {
            VPos::Top => 0.76 * size,
            VPos::Center => 0.36 * size,
            VPos::Bottom => -0.2 * size,
        };
        if let Some(angle) = match style.transform() {
            FontTransform::None => None,
            FontTransform::Rotate90 => Some(90),
            FontTransform::Rotate180 => Some(180),
            FontTransform::Rotate270 => Some(270),
        } {
            let _ = write!(attributes, " transform=\"rotate({angle} {} {})\"", decimal(x), decimal(y));
        }
        match style.style() {
            FontStyle::Normal => {}
            FontStyle::Bold => attributes.push_str(" font-weight=\"600\""),
            FontStyle::Italic | FontStyle::Oblique => attributes.push_str(" font-style=\"italic\""),
        }
        match style.family() {
            FontFamily::SansSerif => {}
            family => {
                let _ = write!(attributes, " font-family=\"{}\"", escaped(family.as_str()));
            }
        }
        let _ = write!(
            self.sheet.borrow_mut().finished(),
            "<text{attributes} x=\"{}\" y=\"{}\" font-size=\"{}\">{}</text>",
            decimal(x),
            decimal(baseline),
            decimal(size),
            escaped(text)
        );
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        Ok((style::width(text, style.size()).ceil() as u32, style.size().ceil() as u32))
    }

    fn blit_bitmap(&mut self, from: BackendCoord, (width, height): (u32, u32), rgb: &[u8]) -> Drawn {
        if let Ok(png) = raster::png(width, height, ::png::ColorType::Rgb, rgb) {
            self.image(from, (from.0 + width as i32, from.1 + height as i32), &png, true);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use plotters::prelude::*;

    use super::*;

    #[test]
    fn shapes_of_one_style_share_a_path_and_carry_classes() {
        let canvas = Canvas::new(100, 50, 10);
        let area = canvas.clone().into_drawing_area();
        let blue = style::series(0);
        for x in [100, 205, 300] {
            area.draw(&Circle::new((x, 100), 30, blue.filled())).expect("drawn");
        }
        area.draw(&Rectangle::new([(0, 0), (55, 10)], blue.mix(0.5).filled())).expect("drawn");
        area.draw(&Text::new("a<b & \"c\"\u{0}", (5, 5), ("sans-serif", 180).into_font().color(&style::INK)))
            .expect("drawn");
        assert_eq!(
            canvas.body(),
            "<path class=\"s1 stroke\" stroke=\"#0072b2\" fill=\"none\" stroke-width=\"6\" stroke-linecap=\"round\" \
             d=\"M10 10h0M20.5 10h0M30 10h0\"/>\
             <path class=\"s1 fill\" fill=\"#0072b2\" opacity=\"0.5\" d=\"M0 0h5.5v1h-5.5z\"/>\
             <text class=\"legend\" fill=\"#1f2328\" x=\"0.5\" y=\"14.2\" font-size=\"18\">\
             a&lt;b &amp; &quot;c&quot;\u{fffd}</text>"
        );
    }

    #[test]
    fn decimals_are_short() {
        for (value, text) in [(1.0, "1"), (-0.04, "0"), (0.05, "0.1"), (-12.34, "-12.3"), (1e3, "1000")] {
            assert_eq!(decimal(value), text);
        }
    }
}

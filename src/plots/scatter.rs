//! Points in the plane, coloured by category.

use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::types::RangedCoordf64;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{Axis, drawable, extent, fixed, significant};
use super::grid::{Small, broken, small};
use super::legend::{Label, Mark, Shape, Sheet, at, fine, legend, line, pen, sheet, title};
use super::style::{self, AXIS, GRID, QUIET, SMALL, TEXT, WIDTH, ZERO};
use super::{Figure, PlotError, canvas::Canvas, figure, listed, raster};
use crate::picture::Picture;
use crate::points::Points;

/// More points become one picture behind axes that stay text.
const MOST_SHAPES: usize = 5_000;

const MOST_CATEGORIES: usize = 20;

/// The longer side of a picture at a point.
const PICTURE: f64 = 34.0;

/// Points at `x` and `y`; those without a finite position are left out and counted.
pub fn scatter<X: Copy + Into<f64>, Y: Copy + Into<f64>>(x: &[X], y: &[Y]) -> Scatter {
    Scatter {
        x: x.iter().map(|value| (*value).into()).collect(),
        y: y.iter().map(|value| (*value).into()).collect(),
        ..Scatter::default()
    }
}

/// The first two columns of points, such as principal components, as positions.
///
/// Points with one column only make [`Scatter::draw`] fail: `y` has no values.
pub fn scatter_points(points: &Points) -> Scatter {
    let column = |index: usize| points.iter().filter_map(|row| row.get(index).copied().map(f64::from)).collect();
    Scatter { x: column(0), y: column(1), ..Scatter::default() }
}

/// Points in the plane, to be drawn with [`Scatter::draw`].
#[derive(Clone, Debug, Default)]
pub struct Scatter {
    x: Vec<f64>,
    y: Vec<f64>,
    labels: Option<Vec<i64>>,
    names: Vec<String>,
    title: Option<String>,
    x_title: Option<String>,
    y_title: Option<String>,
    equal: bool,
    pictures: Vec<Small>,
    broken: Option<PlotError>,
}

impl Scatter {
    /// Shows points as pictures, framed in their colours: the first picture is that of the first point, and so on. A point
    /// whose picture would cover an earlier one stays a dot, as do points without a picture.
    pub fn pictures<'a, P: Into<Picture<'a>>>(mut self, images: impl IntoIterator<Item = P>) -> Scatter {
        self.pictures.clear();
        for (index, image) in images.into_iter().enumerate() {
            let image = image.into();
            match small(&image) {
                Some(small) => self.pictures.push(small),
                None => {
                    self.broken.get_or_insert(broken("pictures", index, &image));
                }
            }
        }
        self
    }

    /// Colours and shapes by category: `names[label]` is the category of a point. With no names the labels name
    /// themselves. Label -1 is noise, drawn in grey.
    pub fn color_by<L: Copy + Into<i64>, S: AsRef<str>>(mut self, labels: &[L], names: &[S]) -> Scatter {
        self.labels = Some(labels.iter().map(|label| (*label).into()).collect());
        self.names = names.iter().map(|name| name.as_ref().to_owned()).collect();
        self
    }

    /// A title above the figure. On a page the caption says it better.
    pub fn title(mut self, text: &str) -> Scatter {
        self.title = Some(text.to_owned());
        self
    }

    /// Name and unit of the horizontal axis.
    pub fn x_title(mut self, text: &str) -> Scatter {
        self.x_title = Some(text.to_owned());
        self
    }

    /// Name and unit of the vertical axis.
    pub fn y_title(mut self, text: &str) -> Scatter {
        self.y_title = Some(text.to_owned());
        self
    }

    /// One unit is as long on both axes, so that distances can be compared.
    pub fn equal_aspect(mut self) -> Scatter {
        self.equal = true;
        self
    }

    /// Draws the figure. O(n).
    ///
    /// # Errors
    /// Lengths differ; no point has a finite position; more than 20 categories; a label without a name; a picture whose bytes
    /// do not match its size.
    pub fn draw(&self) -> Result<Figure, PlotError> {
        let expected = self.x.len();
        if self.y.len() != expected {
            return Err(PlotError::Length { what: "y", expected, found: self.y.len() });
        }
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        if self.pictures.len() > expected {
            return Err(PlotError::Length { what: "pictures", expected, found: self.pictures.len() });
        }
        let (category, names) = self.categories()?;
        let all = self.x.iter().zip(&self.y).enumerate();
        let shown = all.filter(|(_, (x, y))| drawable(**x) && drawable(**y));
        let (numbers, points): (Vec<usize>, Vec<Spot>) = shown
            .map(|(index, (x, y))| (index, (*x, *y, category.as_ref().map_or(Some(0), |category| category[index]))))
            .unzip();
        let pictures =
            numbers.iter().zip(&points).filter_map(|(&index, &point)| Some((point, self.pictures.get(index)?)));
        let pictures: Vec<Pictured> = pictures.collect();
        let (Some(across), Some(up)) = (extent(points.iter().map(|p| p.0)), extent(points.iter().map(|p| p.1))) else {
            return Err(PlotError::NoData { what: "x, y".to_owned(), rows: expected });
        };
        let layout =
            Layout::new(self, &names, points.iter().any(|p| p.2.is_none()), (across, up), expected - points.len());
        let (canvas, sheet) = sheet(layout.height);
        layout.draw(&canvas, &sheet, &points, &pictures, names.len().max(1), self)?;
        let title = self.title.as_deref().unwrap_or("Scatter plot");
        let description = self.description(&points, &names, (across, up));
        Ok(figure(&canvas.body(), (WIDTH, layout.height), title, description))
    }

    /// The category of each point, none for noise, and the categories' names.
    #[allow(clippy::type_complexity, reason = "named where it is used")]
    fn categories(&self) -> Result<(Option<Vec<Option<usize>>>, Vec<String>), PlotError> {
        let Some(labels) = &self.labels else { return Ok((None, Vec::new())) };
        if labels.len() != self.x.len() {
            return Err(PlotError::Length { what: "labels", expected: self.x.len(), found: labels.len() });
        }
        let mut own: Vec<i64> = labels.iter().copied().filter(|label| *label >= 0 || *label < -1).collect();
        own.sort_unstable();
        own.dedup();
        let names = if self.names.is_empty() { own.iter().map(i64::to_string).collect() } else { self.names.clone() };
        if names.len() > MOST_CATEGORIES {
            return Err(PlotError::TooMany { what: "categories", count: names.len(), limit: MOST_CATEGORIES });
        }
        let find = |(index, label): (usize, &i64)| match *label {
            -1 => Ok(None),
            label if self.names.is_empty() => Ok(own.binary_search(&label).ok()),
            label => match usize::try_from(label) {
                Ok(category) if category < names.len() => Ok(Some(category)),
                _ => Err(PlotError::NoName { label, index, names: names.len() }),
            },
        };
        Ok((Some(labels.iter().enumerate().map(find).collect::<Result<_, _>>()?), names))
    }

    fn description(&self, points: &[Spot], names: &[String], (x, y): Extents) -> String {
        let axis = |title: &Option<String>, plain: &str, (low, high): (f64, f64)| {
            let name = title.as_deref().unwrap_or(plain);
            format!("{name} from {} to {}", significant(low, 3), significant(high, 3))
        };
        let mut text = format!(
            "Scatter plot of {} points. Horizontal: {}. Vertical: {}.",
            fixed(points.len() as f64, 0),
            axis(&self.x_title, "x", x),
            axis(&self.y_title, "y", y)
        );
        if !names.is_empty() {
            text.push_str(&format!(" Coloured by {} categories: {}.", names.len(), listed(names)));
        }
        if !self.pictures.is_empty() {
            text.push_str(" Where there is room, a point is a small picture of its image.");
        }
        if points.len() < self.x.len() {
            text.push_str(&format!(" Left out for want of a position: {}.", self.x.len() - points.len()));
        }
        text
    }
}

/// Where a point is, and its category; none for noise.
type Spot = (f64, f64, Option<usize>);
/// A point and its picture.
type Pictured<'pictures> = (Spot, &'pictures Small);

type Extents = ((f64, f64), (f64, f64));

const NOISE: Mark = Mark { color: QUIET, shape: Shape::Circle };

/// Where everything stands, in units.
struct Layout {
    x: Axis,
    y: Axis,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    height: f64,
    legend: Vec<(Mark, String)>,
    legend_top: f64,
    note: Option<String>,
}

impl Layout {
    fn new(scatter: &Scatter, names: &[String], noise: bool, (across, up): Extents, left_out: usize) -> Layout {
        let as_picture = scatter.x.len() - left_out > MOST_SHAPES;
        let mark = |index: usize| if as_picture { Mark::dot(index) } else { Mark::of(index) };
        let mut entries: Vec<(Mark, String)> =
            names.iter().enumerate().map(|(index, name)| (mark(index), name.clone())).collect();
        if noise {
            let color = if as_picture { style::FIXED_NOISE } else { NOISE.color };
            entries.push((Mark { color, ..NOISE }, "noise".to_owned()));
        }
        let legend_top = title(None, scatter.title.as_deref()).unwrap_or(0.0);
        let top = legend_top + legend(None, &entries, 0.0).unwrap_or(0.0) + 8.0;
        let mut x = Axis::with_margin(across.0, across.1, 8);
        let mut y = Axis::with_margin(up.0, up.1, 6);
        let widest = y.ticks.iter().map(|tick| style::width(&y.label(*tick), TEXT)).fold(0.0, f64::max);
        let left = widest + 12.0 + if scatter.y_title.is_some() { 30.0 } else { 0.0 };
        let right = WIDTH - 10.0;
        let mut high = 430.0;
        if scatter.equal {
            let wide = right - left;
            let ratio = (y.high - y.low) / (x.high - x.low);
            high = (wide * ratio).clamp(260.0, 640.0);
            // Where the figure would be too flat or too high, the other axis gets more room.
            let (need_x, need_y) = ((y.high - y.low) * wide / high, (x.high - x.low) * high / wide);
            if need_x > x.high - x.low {
                x = stretched(across, need_x);
            } else if need_y > y.high - y.low {
                y = stretched(up, need_y);
            }
        }
        let note = (left_out > 0).then(|| {
            let points = if left_out == 1 { "point" } else { "points" };
            format!("{} {points} without a position left out", fixed(left_out as f64, 0))
        });
        let bottom = top + high;
        let below = 32.0 + if scatter.x_title.is_some() { 28.0 } else { 0.0 } + if note.is_some() { 26.0 } else { 0.0 };
        Layout { x, y, left, right, top, bottom, height: (bottom + below).ceil(), legend: entries, legend_top, note }
    }

    fn draw(
        &self,
        canvas: &Canvas,
        sheet: &Sheet,
        points: &[Spot],
        pictures: &[Pictured],
        categories: usize,
        scatter: &Scatter,
    ) -> Result<(), PlotError> {
        title(Some(sheet), scatter.title.as_deref())?;
        legend(Some(sheet), &self.legend, self.legend_top)?;
        let chart = sheet.apply_coord_spec(Cartesian2d::<RangedCoordf64, RangedCoordf64>::new(
            self.x.low..self.x.high,
            self.y.low..self.y.high,
            (fine(self.left)..fine(self.right), fine(self.bottom)..fine(self.top)),
        ));
        let place = |x: f64, y: f64| {
            let (x, y) = chart.map_coordinate(&(x, y));
            (f64::from(x) / 10.0, f64::from(y) / 10.0)
        };
        self.axes(sheet, &place, scatter)?;
        let mark = |category: Option<usize>| category.map_or(NOISE, Mark::of);
        if points.len() > MOST_SHAPES {
            self.picture(canvas, points, &place)?;
            return self.pictures(canvas, sheet, pictures, &place);
        }
        let radius = match points.len() {
            0..=150 => 5.5,
            151..=800 => 4.5,
            801..=2_000 => 3.6,
            _ => 3.0,
        };
        // Categories take turns, so that none covers all others; in each turn, points of one category are one path.
        let turn = (points.len() / 6).max(50);
        for points in points.chunks(turn) {
            for category in std::iter::once(None).chain((0..categories).map(Some)) {
                for (x, y, _) in points.iter().filter(|point| point.2 == category) {
                    mark(category).draw(sheet, place(*x, *y), radius, 0.8)?;
                }
            }
        }
        self.pictures(canvas, sheet, pictures, &place)
    }

    /// The pictures of points, as far as they do not cover one another.
    fn pictures(
        &self,
        canvas: &Canvas,
        sheet: &Sheet,
        pictures: &[Pictured],
        place: &dyn Fn(f64, f64) -> (f64, f64),
    ) -> Result<(), PlotError> {
        let mut taken: Vec<(f64, f64)> = Vec::new();
        for &((x, y, category), picture) in pictures {
            let (x, y) = place(x, y);
            // Within the axes.
            let half = PICTURE / 2.0 + 1.0;
            let (x, y) = (x.clamp(self.left + half, self.right - half), y.clamp(self.top + half, self.bottom - half));
            if taken.iter().any(|other| (other.0 - x).abs() < 2.0 * half && (other.1 - y).abs() < 2.0 * half) {
                continue;
            }
            taken.push((x, y));
            let longer = picture.width.max(picture.height) as f64;
            let (wide, high) =
                (picture.width as f64 / longer * PICTURE / 2.0, picture.height as f64 / longer * PICTURE / 2.0);
            let (left, right, top, bottom) = (x - wide, x + wide, y - high, y + high);
            canvas.image(at(left, top), at(right, bottom), &picture.png()?, longer <= 40.0);
            let color = category.map_or(NOISE, Mark::of).color;
            for (from, to) in [
                ((left, top), (right, top)),
                ((right, top), (right, bottom)),
                ((right, bottom), (left, bottom)),
                ((left, bottom), (left, top)),
            ] {
                line(sheet, from, to, pen(&color, 2.0))?;
            }
        }
        Ok(())
    }

    fn axes(&self, sheet: &Sheet, place: &dyn Fn(f64, f64) -> (f64, f64), scatter: &Scatter) -> Result<(), PlotError> {
        let (x_ticks, y_ticks) = (self.x_ticks(), &self.y.ticks);
        let (left, right, top, bottom) = (self.left, self.right, self.top, self.bottom);
        for tick in &x_ticks {
            let x = place(*tick, self.y.low).0;
            line(sheet, (x, top), (x, bottom), pen(&GRID, 1.0))?;
        }
        for tick in y_ticks {
            let y = place(self.x.low, *tick).1;
            line(sheet, (left, y), (right, y), pen(&GRID, 1.0))?;
        }
        if self.x.low < 0.0 && self.x.high > 0.0 {
            let x = place(0.0, self.y.low).0;
            line(sheet, (x, top), (x, bottom), pen(&ZERO, 1.0))?;
        }
        if self.y.low < 0.0 && self.y.high > 0.0 {
            let y = place(self.x.low, 0.0).1;
            line(sheet, (left, y), (right, y), pen(&ZERO, 1.0))?;
        }
        line(sheet, (left, bottom), (right, bottom), pen(&AXIS, 1.5))?;
        line(sheet, (left, top), (left, bottom), pen(&AXIS, 1.5))?;
        for tick in &x_ticks {
            let (x, text) = (place(*tick, self.y.low).0, self.x.label(*tick));
            let half = style::width(&text, TEXT) / 2.0;
            Label::new(&text, HPos::Center, VPos::Top).quiet().draw(sheet, x.min(WIDTH - half), bottom + 9.0)?;
        }
        for tick in y_ticks {
            let text = self.y.label(*tick);
            Label::new(&text, HPos::Right, VPos::Center).quiet().draw(sheet, left - 8.0, place(self.x.low, *tick).1)?;
        }
        let mut y = bottom + 37.0;
        if let Some(text) = &scatter.x_title {
            let text = style::wrap(text, TEXT, WIDTH - 8.0, 1).remove(0);
            let half = style::width(&text, TEXT) / 2.0;
            let middle = ((left + right) / 2.0).min(WIDTH - 2.0 - half).max(half + 2.0);
            Label::new(&text, HPos::Center, VPos::Top).draw(sheet, middle, y)?;
            y += 28.0;
        }
        if let Some(text) = &scatter.y_title {
            let text = style::wrap(text, TEXT, bottom - top, 1).remove(0);
            let mut label = Label::new(&text, HPos::Center, VPos::Center);
            label.upright = true;
            label.draw(sheet, 13.0, (top + bottom) / 2.0)?;
        }
        if let Some(text) = &self.note {
            Label::new(text, HPos::Left, VPos::Top).quiet().size(SMALL).draw(sheet, left, y)?;
        }
        Ok(())
    }

    /// All ticks, or every second one where their labels would touch.
    fn x_ticks(&self) -> Vec<f64> {
        let widest = self.x.ticks.iter().map(|tick| style::width(&self.x.label(*tick), TEXT)).fold(0.0, f64::max);
        let apart = (self.right - self.left) / self.x.ticks.len().max(1) as f64;
        let every = ((widest + 12.0) / apart).ceil().max(1.0) as usize;
        let zero = self.x.ticks.iter().position(|tick| *tick == 0.0).unwrap_or(0);
        let ticks = self.x.ticks.iter().enumerate();
        ticks.filter(|(index, _)| index.abs_diff(zero) % every == 0).map(|(_, tick)| *tick).collect()
    }

    /// The points as one transparent picture of twice the figure's resolution.
    fn picture(
        &self,
        canvas: &Canvas,
        points: &[Spot],
        place: &dyn Fn(f64, f64) -> (f64, f64),
    ) -> Result<(), PlotError> {
        const SHARPNESS: f64 = 2.0;
        let size = (
            ((self.right - self.left) * SHARPNESS).round() as u32,
            ((self.bottom - self.top) * SHARPNESS).round() as u32,
        );
        let mut colors: Vec<_> = (0..10).map(style::fixed_series).collect();
        colors.push(style::FIXED_NOISE);
        let dots = points.iter().map(|(x, y, category)| {
            let (x, y) = place(*x, *y);
            let color = category.map_or(10, |category| category % 10);
            ((x - self.left) * SHARPNESS, (y - self.top) * SHARPNESS, color)
        });
        let radius = if points.len() > 20_000 { 2.2 } else { 3.2 };
        let png = raster::dots(size, dots, radius, &colors)?;
        canvas.image(at(self.left, self.top), at(self.right, self.bottom), &png, false);
        Ok(())
    }
}

/// An axis around the middle of the values that covers `range`.
fn stretched((low, high): (f64, f64), range: f64) -> Axis {
    let middle = low / 2.0 + high / 2.0;
    let half = range / 2.0 / 1.08;
    Axis::with_margin(middle - half, middle + half, 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(count: usize) -> (Vec<f32>, Vec<f32>, Vec<i32>) {
        let angle = |index: usize| index as f32 * 0.37;
        let x = (0..count).map(|i| angle(i).cos() * i as f32).collect();
        let y = (0..count).map(|i| angle(i).sin() * i as f32).collect();
        (x, y, (0..count as i32).map(|index| index % 3).collect())
    }

    #[test]
    fn categories_have_colours_shapes_and_a_legend() {
        let (x, y, labels) = cloud(60);
        let made = scatter(&x, &y).color_by(&labels, &["cat", "dog", "a<b"]).x_title("PC 1").draw().expect("drawn");
        for part in ["class=\"s1 stroke\"", "class=\"s2 fill\"", "class=\"s3 fill\"", ">a&lt;b<", ">PC 1<"] {
            assert!(made.svg.contains(part), "{part}");
        }
        assert!(made.description.contains("60 points") && made.description.contains("cat, dog and a<b"));
        assert!(!made.svg.contains("<image"));
    }

    #[test]
    fn many_points_are_a_picture_with_text_around() {
        let (x, y, labels) = cloud(6_000);
        let made = scatter(&x, &y).color_by(&labels, &["a", "b", "c"]).draw().expect("drawn");
        assert_eq!(made.svg.matches("<image").count(), 1);
        assert!(made.svg.contains(">a</text>") && made.svg.len() < 200_000, "{}", made.svg.len());
    }

    #[test]
    fn pictures_stand_where_there_is_room() {
        let grey = [7_u8; 28 * 28];
        let colour = [[1_u8, 2, 3]; 28 * 14];
        let pictures = [(&grey[..], 28, 28, 1), (&grey[..], 28, 28, 1), (colour.as_flattened(), 14, 28, 3)];
        let points = || scatter(&[0.0, 0.1, 9.0, 5.0], &[0.0, 0.1, 9.0, f64::NAN]);
        let made = points().pictures(pictures).draw().expect("drawn");
        assert_eq!(made.svg.matches("<image").count(), 2, "the second would cover the first");
        assert!(made.description.contains("a small picture of its image"));
        let message = points().pictures([(&grey[..], 28, 27, 1)]).draw().expect_err("not its size").to_string();
        assert!(message.contains("pictures"), "{message}");
        assert!(matches!(points().pictures([pictures[0]; 5]).draw(), Err(PlotError::Length { found: 5, .. })));
    }

    #[test]
    fn points_without_a_place_are_counted() {
        let made = scatter(&[1.0, f64::NAN, 3.0], &[1.0, 2.0, f64::INFINITY]).draw().expect("drawn");
        assert!(made.svg.contains(">2 points without a position left out<"), "{}", made.svg);
        let one = scatter(&[5.0_f32], &[5.0_f32]).color_by(&[-1], &[] as &[&str]).draw().expect("drawn");
        assert!(one.svg.contains(">noise<"));
    }

    #[test]
    fn bad_input_is_named() {
        assert!(matches!(scatter(&[1.0], &[1.0, 2.0]).draw(), Err(PlotError::Length { what: "y", found: 2, .. })));
        assert!(matches!(scatter::<f64, f64>(&[], &[]).draw(), Err(PlotError::NoData { rows: 0, .. })));
        let narrow = Points::new(2, 1, vec![1.0, 2.0]).expect("points");
        assert!(matches!(scatter_points(&narrow).draw(), Err(PlotError::Length { what: "y", expected: 2, found: 0 })));
        let labels = scatter(&[1.0, 2.0], &[1.0, 2.0]).color_by(&[0, 2], &["a", "b"]).draw();
        assert_eq!(labels, Err(PlotError::NoName { label: 2, index: 1, names: 2 }));
        let many: Vec<f64> = (0..21).map(f64::from).collect();
        let labels: Vec<i32> = (0..21).collect();
        let made = scatter(&many, &many).color_by(&labels, &[] as &[&str]).draw();
        assert!(matches!(made, Err(PlotError::TooMany { count: 21, .. })));
    }

    #[test]
    fn equal_aspect_keeps_units_equal() {
        for (wide, high) in [(10.0, 1.0), (1.0, 10.0), (4.0, 3.0)] {
            let points = scatter(&[0.0, wide], &[0.0, high]).equal_aspect();
            let layout = Layout::new(&points, &[], false, ((0.0, wide), (0.0, high)), 0);
            let across = (layout.right - layout.left) / (layout.x.high - layout.x.low);
            let up = (layout.bottom - layout.top) / (layout.y.high - layout.y.low);
            assert!((across / up - 1.0).abs() < 0.02, "{wide} {high}: {across} {up}");
            assert!(layout.x.low <= 0.0 && layout.x.high >= wide && layout.y.low <= 0.0 && layout.y.high >= high);
        }
    }
}

//! Horizontal bars by category and group, with error bars.

use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::types::RangedCoordf64;
use plotters::element::Rectangle;
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{Axis, drawable, extent, significant, writer};
use super::frame::Columns;
use super::legend::{BAR_OPACITY, Label, Mark, Shape, Sheet, failed, fine, legend, line, pen, sheet, title};
use super::style::{self, AXIS, GRID, INK, SMALL, TEXT, WIDTH, ZERO};
use super::{Figure, PlotError, figure, listed};

/// One bar.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bar {
    /// What the bar is about; bars of one category stand together.
    pub category: String,
    /// The series that it belongs to; decides its colour.
    pub group: Option<String>,
    /// Its length; nothing, or a number that is not finite, is drawn as "n/a".
    pub value: Option<f64>,
    /// Half the length of its error bar, in the unit of the value.
    pub error: Option<f64>,
}

/// Horizontal bars, to be drawn with [`Bars::draw`]. Made by [`bars`](super::bars) from a data frame, or from rows.
#[derive(Clone, Debug, Default)]
pub struct Bars {
    pub(super) columns: Option<Columns>,
    rows: Vec<Bar>,
    title: Option<String>,
    x_title: Option<String>,
    values: bool,
    cover: Option<(f64, f64)>,
}

const MOST_BARS: usize = 400;

impl Bars {
    /// Bars from rows, in this order from top to bottom.
    pub fn new(rows: Vec<Bar>) -> Bars {
        Bars { rows, ..Bars::default() }
    }

    /// The bars of a data frame's columns.
    pub(super) fn of(columns: Columns) -> Bars {
        Bars { columns: Some(columns), ..Bars::default() }
    }

    /// The column with half the length of each error bar, such as a standard deviation.
    pub fn error(mut self, column: &str) -> Bars {
        if let Some(columns) = &mut self.columns {
            columns.error = Some(column.to_owned());
        }
        self
    }

    /// The column that puts several bars, told apart by colour, into each category.
    pub fn by(mut self, column: &str) -> Bars {
        if let Some(columns) = &mut self.columns {
            columns.group = Some(column.to_owned());
        }
        self
    }

    /// A title above the figure. On a page the caption says it better.
    pub fn title(mut self, text: &str) -> Bars {
        self.title = Some(text.to_owned());
        self
    }

    /// The name and unit of the values, such as `AMI (%)`; without it, the name of their column.
    pub fn x_title(mut self, text: &str) -> Bars {
        self.x_title = Some(text.to_owned());
        self
    }

    /// Writes each value at its bar.
    pub fn values(mut self) -> Bars {
        self.values = true;
        self
    }

    /// The axis covers at least this range, whatever the values are; it always covers 0 and every value.
    pub fn x_range(mut self, low: f64, high: f64) -> Bars {
        self.cover = Some((low, high));
        self
    }

    /// Draws the figure.
    ///
    /// # Errors
    /// A column that is missing or not numeric; no value at all; two rows for one bar; a negative error; more than 400
    /// bars or 10 groups; a range that is none.
    pub fn draw(&self) -> Result<Figure, PlotError> {
        let value_name = self.columns.as_ref().map(|columns| columns.value.clone());
        let what = value_name.clone().unwrap_or_else(|| "value".to_owned());
        let rows = match &self.columns {
            Some(columns) => columns.rows()?,
            None => self.rows.clone(),
        };
        let table = Slots::new(&rows, &what)?;
        if let Some((low, high)) = self.cover.filter(|(low, high)| !(drawable(*low) && drawable(*high) && low < high)) {
            return Err(PlotError::BadRange { what: "x_range", low, high });
        }
        let x_title = self.x_title.clone().or(value_name).unwrap_or_default();
        let layout = Layout::new(self, &table);
        let (canvas, sheet) = sheet(layout.height(&x_title));
        layout.draw(&sheet, &table, &x_title, self)?;
        let names = self.columns.as_ref().map(|columns| (columns.category.as_str(), columns.group.as_deref()));
        let description = description(&table, &x_title, names, self.columns.as_ref().and_then(|c| c.error.as_deref()));
        let title = self.title.as_deref().unwrap_or("Bar chart");
        Ok(figure(&canvas.body(), (WIDTH, layout.height(&x_title)), title, description))
    }
}

/// The bars, one slot for each category and group.
struct Slots {
    categories: Vec<String>,
    /// Empty where bars have no groups.
    groups: Vec<String>,
    /// Value and error; `slots[category][group]`.
    slots: Vec<Vec<Option<(f64, f64)>>>,
}

impl Slots {
    fn new(rows: &[Bar], what: &str) -> Result<Slots, PlotError> {
        if rows.len() > MOST_BARS {
            return Err(PlotError::TooMany { what: "bars", count: rows.len(), limit: MOST_BARS });
        }
        let mut categories: Vec<String> = Vec::new();
        let mut groups: Vec<String> = Vec::new();
        for row in rows {
            if !categories.contains(&row.category) {
                categories.push(row.category.clone());
            }
            if let Some(group) = &row.group
                && !groups.contains(group)
            {
                groups.push(group.clone());
            }
        }
        if groups.len() > 10 {
            return Err(PlotError::TooMany { what: "groups", count: groups.len(), limit: 10 });
        }
        let across = groups.len().max(1);
        let count = categories.len() * across;
        if count > MOST_BARS {
            return Err(PlotError::TooMany { what: "bars", count, limit: MOST_BARS });
        }
        let mut taken = vec![vec![false; across]; categories.len()];
        let mut slots = vec![vec![None; across]; categories.len()];
        for row in rows {
            let category = categories.iter().position(|name| *name == row.category).unwrap_or(0);
            let group = row.group.as_ref().and_then(|name| groups.iter().position(|other| other == name)).unwrap_or(0);
            if std::mem::replace(&mut taken[category][group], true) {
                return Err(PlotError::Repeated { bar: name(&row.category, row.group.as_deref()) });
            }
            if let Some(error) = row.error.filter(|error| *error < 0.0) {
                return Err(PlotError::NegativeError { bar: name(&row.category, row.group.as_deref()), error });
            }
            let error = row.error.filter(|error| drawable(*error)).unwrap_or(0.0);
            slots[category][group] = row.value.filter(|value| drawable(*value)).map(|value| (value, error));
        }
        if slots.iter().flatten().all(Option::is_none) {
            return Err(PlotError::NoData { what: what.to_owned(), rows: rows.len() });
        }
        Ok(Slots { categories, groups, slots })
    }

    fn values(&self) -> impl Iterator<Item = (f64, f64)> {
        self.slots.iter().flatten().flatten().copied()
    }

    /// Every bar with its category and group, top to bottom.
    fn named(&self) -> impl Iterator<Item = (String, f64)> {
        self.slots.iter().zip(&self.categories).flat_map(move |(slots, category)| {
            slots.iter().enumerate().filter_map(move |(group, slot)| {
                slot.map(|(value, _)| (name(category, self.groups.get(group).map(String::as_str)), value))
            })
        })
    }
}

fn name(category: &str, group: Option<&str>) -> String {
    group.map_or_else(|| category.to_owned(), |group| format!("{category}, {group}"))
}

/// Where everything stands, in units.
struct Layout {
    axis: Axis,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    /// Where category names end.
    names_end: f64,
    /// Broken category names, and the height of their slots.
    names: Vec<(Vec<String>, f64)>,
    thickness: f64,
    legend: Vec<(Mark, String)>,
    legend_top: f64,
    /// The text at each bar, where that is asked for.
    values: Vec<Vec<String>>,
}

const LINE: f64 = 21.0;
const GAP: f64 = 18.0;
const BETWEEN: f64 = 2.0;

impl Layout {
    fn new(bars: &Bars, table: &Slots) -> Layout {
        let groups = table.groups.len().max(1);
        let thickness = match groups {
            1 => 26.0,
            2 => 21.0,
            3 => 18.0,
            _ => 15.0,
        };
        let inner = groups as f64 * thickness + (groups - 1) as f64 * BETWEEN;
        let names: Vec<(Vec<String>, f64)> = table
            .categories
            .iter()
            .map(|name| {
                let lines = style::wrap(name, TEXT, WIDTH * 0.34, 3);
                let height = inner.max(lines.len() as f64 * LINE) + GAP;
                (lines, height)
            })
            .collect();
        let widest = names.iter().flat_map(|(lines, _)| lines).map(|line| style::width(line, TEXT)).fold(0.0, f64::max);
        let reach = extent(table.values().flat_map(|(value, error)| [value - error, value + error]));
        let (low, high) = reach.unwrap_or((0.0, 1.0));
        let (least, most) = bars.cover.unwrap_or((0.0, 0.0));
        let axis = Axis::to_ticks(low.min(0.0).min(least), high.max(0.0).max(most), 6);
        let write = writer(table.values().map(|(value, _)| value.abs()).fold(0.0, f64::max), 3);
        let value = |slot: &Option<(f64, f64)>| slot.map_or(String::new(), |(value, _)| write(value));
        let values: Vec<Vec<String>> = table.slots.iter().map(|slots| slots.iter().map(value).collect()).collect();
        let tick_half =
            |tick: Option<&f64>| tick.map_or(0.0, |tick| style::width(&axis.label(*tick), TEXT) / 2.0) + 2.0;
        let (mut left, mut right) =
            ((widest + 12.0).max(tick_half(axis.ticks.first())), WIDTH - tick_half(axis.ticks.last()));
        if bars.values {
            let (before, after) = overhang(table, &values, &axis, right - left);
            left = left.max(widest + 12.0 + before);
            right = right.min(WIDTH - 2.0 - after);
        }
        let swatch = |index: usize| Mark { color: style::series(index), shape: Shape::Swatch };
        let legend_entries: Vec<(Mark, String)> =
            table.groups.iter().enumerate().map(|(index, name)| (swatch(index), name.clone())).collect();
        let legend_top = title(None, bars.title.as_deref()).unwrap_or(0.0);
        let top = legend_top + legend(None, &legend_entries, 0.0).unwrap_or(0.0) + 4.0;
        let bottom = top + names.iter().map(|(_, height)| height).sum::<f64>();
        let legend = legend_entries;
        let names_end = widest + 2.0;
        Layout { axis, left, right, top, bottom, names_end, names, thickness, legend, legend_top, values }
    }

    fn height(&self, x_title: &str) -> f64 {
        (self.bottom + 32.0 + if x_title.is_empty() { 0.0 } else { 28.0 }).ceil()
    }

    fn draw(&self, sheet: &Sheet, table: &Slots, x_title: &str, bars: &Bars) -> Result<(), PlotError> {
        title(Some(sheet), bars.title.as_deref())?;
        legend(Some(sheet), &self.legend, self.legend_top)?;
        let across = fine(self.left)..fine(self.right);
        let down = fine(self.top)..fine(self.bottom);
        let chart = sheet.apply_coord_spec(Cartesian2d::<RangedCoordf64, RangedCoordf64>::new(
            self.axis.low..self.axis.high,
            self.top..self.bottom,
            (across, down),
        ));
        let place = |value: f64| f64::from(chart.map_coordinate(&(value, self.top)).0) / 10.0;
        for tick in self.shown_ticks() {
            line(sheet, (place(tick), self.top), (place(tick), self.bottom), pen(&GRID, 1.0))?;
        }
        let mut y = self.top;
        for (((lines, height), slots), texts) in self.names.iter().zip(&table.slots).zip(&self.values) {
            let middle = y + height / 2.0;
            let first = middle - (lines.len() - 1) as f64 * LINE / 2.0;
            for (index, text) in lines.iter().enumerate() {
                Label::new(text, HPos::Right, VPos::Center).draw(sheet, self.names_end, first + index as f64 * LINE)?;
            }
            let inner = slots.len() as f64 * (self.thickness + BETWEEN) - BETWEEN;
            for (group, (slot, text)) in slots.iter().zip(texts).enumerate() {
                let top = middle - inner / 2.0 + group as f64 * (self.thickness + BETWEEN);
                let center = top + self.thickness / 2.0;
                let Some((value, error)) = *slot else {
                    Label::new("n/a", HPos::Left, VPos::Center).quiet().size(SMALL).draw(
                        sheet,
                        place(0.0) + 6.0,
                        center,
                    )?;
                    continue;
                };
                let corners = [(0.0, top), (value, top + self.thickness)];
                chart.draw(&Rectangle::new(corners, style::series(group).mix(BAR_OPACITY).filled())).map_err(failed)?;
                if error > 0.0 {
                    whisker(sheet, (place(value - error), place(value + error)), center, self.thickness)?;
                }
                if bars.values {
                    let (x, side) = if value < 0.0 {
                        (place(value - error) - 6.0, HPos::Right)
                    } else {
                        (place(value + error) + 6.0, HPos::Left)
                    };
                    Label::new(text, side, VPos::Center).quiet().size(SMALL).draw(sheet, x, center)?;
                }
            }
            y += height;
        }
        let base = if self.axis.low < 0.0 && self.axis.high > 0.0 { pen(&ZERO, 1.5) } else { pen(&AXIS, 1.5) };
        line(sheet, (place(0.0), self.top), (place(0.0), self.bottom), base)?;
        for tick in self.shown_ticks() {
            let text = self.axis.label(tick);
            Label::new(&text, HPos::Center, VPos::Top).quiet().draw(sheet, place(tick), self.bottom + 9.0)?;
        }
        if !x_title.is_empty() {
            let text = style::wrap(x_title, TEXT, WIDTH - 8.0, 1).remove(0);
            // Centred under the bars where it fits there, and on the page at any rate.
            let half = style::width(&text, TEXT) / 2.0;
            let middle = ((self.left + self.right) / 2.0).min(WIDTH - 2.0 - half).max(half + 2.0);
            Label::new(&text, HPos::Center, VPos::Top).draw(sheet, middle, self.bottom + 37.0)?;
        }
        Ok(())
    }

    /// All ticks, or every second one where their labels would touch.
    fn shown_ticks(&self) -> Vec<f64> {
        let widest = self.axis.ticks.iter().map(|tick| style::width(&self.axis.label(*tick), TEXT)).fold(0.0, f64::max);
        let apart = (self.right - self.left) / (self.axis.ticks.len() - 1).max(1) as f64;
        let every = ((widest + 12.0) / apart).ceil().max(1.0) as usize;
        let zero = self.axis.ticks.iter().position(|tick| *tick == 0.0).unwrap_or(0);
        let ticks = self.axis.ticks.iter().enumerate();
        ticks.filter(|(index, _)| index.abs_diff(zero) % every == 0).map(|(_, tick)| *tick).collect()
    }
}

/// How far the texts at bars reach beyond both ends of an axis that is `length` units long.
fn overhang(table: &Slots, texts: &[Vec<String>], axis: &Axis, length: f64) -> (f64, f64) {
    let (mut before, mut after) = (0.0_f64, 0.0_f64);
    for (slot, text) in table.slots.iter().flatten().zip(texts.iter().flatten()) {
        let Some((value, error)) = *slot else { continue };
        let text = style::width(text, SMALL) + 8.0;
        // The axis may become a quarter shorter to make room.
        let scale = length * 0.75 / (axis.high - axis.low);
        if value < 0.0 {
            before = before.max(text - (value - error - axis.low) * scale);
        } else {
            after = after.max(text - (axis.high - value - error) * scale);
        }
    }
    (before, after)
}

/// An error bar with caps.
fn whisker(sheet: &Sheet, (low, high): (f64, f64), y: f64, thickness: f64) -> Result<(), PlotError> {
    let (style, cap) = (pen(&INK, 1.8), thickness * 0.25);
    line(sheet, (low, y), (high, y), style)?;
    line(sheet, (low, y - cap), (low, y + cap), style)?;
    line(sheet, (high, y - cap), (high, y + cap), style)
}

fn description(table: &Slots, x_title: &str, names: Option<(&str, Option<&str>)>, error: Option<&str>) -> String {
    let what = if x_title.is_empty() { "Values" } else { x_title };
    let (category, group) = names.unwrap_or(("category", Some("group")));
    let mut text = format!("Horizontal bar chart of {what} by {category}");
    if !table.groups.is_empty() {
        text.push_str(&format!(" and {} ({})", group.unwrap_or("group"), listed(&table.groups)));
    }
    let mut bars: Vec<(String, f64)> = table.named().collect();
    let missing = table.slots.iter().flatten().filter(|slot| slot.is_none()).count();
    bars.sort_by(|a, b| b.1.total_cmp(&a.1));
    if let (Some(most), Some(least)) = (bars.first(), bars.last()) {
        if bars.len() == 1 {
            text.push_str(&format!(". {}: {}", most.0, significant(most.1, 3)));
        } else {
            text.push_str(&format!(". Largest: {} for {}", significant(most.1, 3), most.0));
            text.push_str(&format!("; smallest: {} for {}", significant(least.1, 3), least.0));
        }
    }
    text.push('.');
    if table.values().any(|(_, error)| error > 0.0) {
        text.push_str(&error.map_or(" Error bars are drawn.".to_owned(), |name| format!(" Error bars: {name}.")));
    }
    if missing > 0 {
        text.push_str(&format!(" {missing} of {} bars have no value.", missing + bars.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(category: &str, group: &str, value: f64, error: f64) -> Bar {
        Bar { category: category.into(), group: Some(group.into()), value: Some(value), error: Some(error) }
    }

    #[test]
    fn groups_get_classes_and_missing_values_a_mark() {
        let rows = vec![bar("Raw", "A", 40.0, 2.0), bar("Raw", "B", f64::NAN, 1.0), bar("ViT", "A", 25.0, f64::NAN)];
        let made = Bars::new(rows).x_title("AMI (%)").values().draw().expect("drawn");
        for part in ["class=\"s1 fill\"", "class=\"error\"", "class=\"grid\"", ">n/a<", ">AMI (%)<", ">40.0<", ">B<"] {
            assert!(made.svg.contains(part), "{part} in {}", made.svg);
        }
        assert!(!made.svg.contains("style=") && !made.svg.contains(" id="));
        assert_eq!(
            made.description,
            "Horizontal bar chart of AMI (%) by category and group (A and B). Largest: 40.0 for Raw, A; smallest: 25.0 \
             for ViT, A. Error bars are drawn. 2 of 4 bars have no value."
        );
    }

    #[test]
    fn bars_end_where_their_values_are() {
        let rows = vec![Bar { category: "a".into(), value: Some(10.0), ..Bar::default() }];
        let made = Bars::new(rows).draw().expect("drawn");
        let after = made.svg.split("class=\"s1 fill\"").nth(1).expect("a bar");
        let data = after.split(" d=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a path");
        let numbers: Vec<f64> =
            data.split(['M', ' ', 'h', 'v', '-', 'z']).filter_map(|part| part.parse().ok()).collect();
        let tick = |text: &str| -> f64 {
            let end = made.svg.find(&format!(">{text}</text>")).expect("a tick");
            let start = made.svg[..end].rfind("x=\"").expect("x") + 3;
            made.svg[start..end].split('"').next().and_then(|x| x.parse().ok()).expect("a number")
        };
        assert!((numbers[0] - tick("0")).abs() < 0.2 && (numbers[0] + numbers[2] - tick("10")).abs() < 0.2, "{data}");
    }

    #[test]
    fn bad_input_is_named() {
        assert_eq!(Bars::new(vec![]).draw(), Err(PlotError::NoData { what: "value".into(), rows: 0 }));
        let twice = Bars::new(vec![bar("a", "b", 1.0, 0.0), bar("a", "b", 2.0, 0.0)]).draw();
        assert_eq!(twice, Err(PlotError::Repeated { bar: "a, b".into() }));
        let negative = Bars::new(vec![bar("a", "b", 1.0, -1.0)]).draw();
        assert_eq!(negative, Err(PlotError::NegativeError { bar: "a, b".into(), error: -1.0 }));
        let many = (0..11).map(|index| bar("a", &index.to_string(), 1.0, 0.0)).collect();
        assert!(matches!(Bars::new(many).draw(), Err(PlotError::TooMany { count: 11, .. })));
        let rows = (0..401).map(|index| bar(&index.to_string(), "b", 1.0, 0.0)).collect();
        assert_eq!(Bars::new(rows).draw(), Err(PlotError::TooMany { what: "bars", count: 401, limit: 400 }));
        let range = Bars::new(vec![bar("a", "b", 1.0, 0.0)]).x_range(1.0, f64::NAN).draw();
        assert!(matches!(range, Err(PlotError::BadRange { .. })));
    }

    #[test]
    fn extreme_values_are_drawn() {
        for value in [0.0, -0.0, 1e99, -1e99, 1e-99, 1e300, -12.5] {
            let rows =
                vec![bar("x".repeat(300).as_str(), "<&\">", value, value.abs() / 3.0), bar("y", "<&\">", 1.0, 0.0)];
            let made = Bars::new(rows).values().draw().expect("drawn");
            assert!(made.svg.len() < 5_000, "{}", made.svg);
            assert!(!made.svg.contains("NaN") && !made.svg.contains("inf") && !made.svg.contains("<&"), "{value}");
        }
    }
}

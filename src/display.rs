//! What a cell shows: [`show!`](crate::show) for its last expression, [`inline!`](crate::inline) for a value in prose,
//! [`display`] for one of several things.
//!
//! Both macros choose by what the value's type offers, with no annotation: [`Show`] before `Debug` before the type's
//! name, and `Display` before `Debug` before the name in prose. They do so by method resolution: the probe offers each
//! choice at another depth of references, and the compiler takes the first that applies. The code that a cell compiles
//! is a few calls; everything else is compiled here.

use std::any::type_name;
use std::fmt::{self, Debug, Display, Write as _};

use polars::prelude::{DataFrame, LazyFrame, Series};

use crate::output::Output;
use crate::plots::Figure;
use crate::{cell, tables};

/// A type with a look of its own in a report.
pub trait Show {
    /// What is shown, in order.
    fn outputs(&self) -> Vec<Output>;
}

/// Shows a value at this place of the running cell. For values without [`Show`] there is `show!(value)`.
pub fn display<T: Show + ?Sized>(value: &T) {
    show_all(value.outputs());
}

/// Shows a value as a cell's last expression is shown: as itself if it has [`Show`](crate::display::Show), nothing for
/// `()`, else its `Debug` form, else its type's name. Does not move the value.
#[macro_export]
macro_rules! show {
    ($value:expr $(,)?) => {
        match &$value {
            value => {
                #[allow(unused_imports)]
                use $crate::display::probe::{Probe, ViaDebug as _, ViaName as _, ViaShow as _};
                (&&&Probe(value)).report_show()
            }
        }
    };
}

/// Records the value of an inline expression: its `Display` form, else its `Debug` form, else its type's name. Does not
/// move the value.
#[macro_export]
macro_rules! inline {
    ($index:expr, $value:expr $(,)?) => {
        match &$value {
            value => {
                #[allow(unused_imports)]
                use $crate::display::probe::{InlineDebug as _, InlineDisplay as _, InlineName as _, Probe};
                (&&&Probe(value)).report_inline($index)
            }
        }
    };
}

/// What the macros expand to; not for use by hand.
#[doc(hidden)]
pub mod probe {
    use super::*;

    /// A reference to the value in question.
    #[derive(Debug)]
    pub struct Probe<'a, T: ?Sized>(pub &'a T);

    pub trait ViaShow {
        fn report_show(&self);
    }
    impl<T: Show + ?Sized> ViaShow for &&Probe<'_, T> {
        fn report_show(&self) {
            show_all(self.0.outputs());
        }
    }

    pub trait ViaDebug {
        fn report_show(&self);
    }
    impl<T: Debug + ?Sized> ViaDebug for &Probe<'_, T> {
        fn report_show(&self) {
            show_debug(&self.0);
        }
    }

    pub trait ViaName {
        fn report_show(&self);
    }
    impl<T: ?Sized> ViaName for Probe<'_, T> {
        fn report_show(&self) {
            show_name(type_name::<T>());
        }
    }

    pub trait InlineDisplay {
        fn report_inline(&self, index: usize);
    }
    impl<T: Display + ?Sized> InlineDisplay for &&Probe<'_, T> {
        fn report_inline(&self, index: usize) {
            inline_text(index, &|text| write!(text, "{}", self.0));
        }
    }

    pub trait InlineDebug {
        fn report_inline(&self, index: usize);
    }
    impl<T: Debug + ?Sized> InlineDebug for &Probe<'_, T> {
        fn report_inline(&self, index: usize) {
            inline_text(index, &|text| write!(text, "{:?}", self.0));
        }
    }

    pub trait InlineName {
        fn report_inline(&self, index: usize);
    }
    impl<T: ?Sized> InlineName for Probe<'_, T> {
        fn report_inline(&self, index: usize) {
            inline_text(index, &|text| write!(text, "{}", type_name::<T>()));
        }
    }
}

/// Text beyond this many bytes is cut, with a note.
const MOST_TEXT: usize = 1 << 20;

/// A value of prose is cut much sooner.
const MOST_INLINE: usize = 10_000;

/// A `Debug` form as long as this stays on one line, and long lists of short items are filled up to it.
const LINE: usize = 100;

fn show_all(outputs: Vec<Output>) {
    for output in outputs {
        send(output);
    }
}

fn show_text(text: String) {
    send(Output::Text { text });
}

fn send(output: Output) {
    #[cfg(test)]
    tests::SHOWN.with_borrow_mut(|shown| shown.push(output.clone()));
    cell::output(output);
}

fn show_debug(value: &dyn Debug) {
    show_text(debug_text(value));
}

fn show_name(name: &str) {
    show_text(format!("a value of type {name}, which has no Debug form"));
}

fn inline_text(index: usize, write: &dyn Fn(&mut Limited) -> fmt::Result) {
    let mut text = Limited::new(MOST_INLINE);
    let _ = write(&mut text);
    let text = text.finished();
    #[cfg(test)]
    tests::INLINES.with_borrow_mut(|inlines| inlines.push((index, text.clone())));
    cell::inline(index, text);
}

/// One line where it fits, else the pretty form with short items side by side.
fn debug_text(value: &dyn Debug) -> String {
    let mut line = Limited::new(LINE);
    let fits = write!(line, "{value:?}").is_ok() && !line.text.contains('\n');
    if fits && line.text.chars().count() <= LINE {
        return line.text;
    }
    let mut pretty = Limited::new(MOST_TEXT);
    let complete = write!(pretty, "{value:#?}").is_ok();
    if complete {
        return filled(&pretty.text);
    }
    pretty.finished()
}

/// Joins neighbouring lines that hold one short item each, such as the numbers of a list.
fn filled(text: &str) -> String {
    let mut done = String::with_capacity(text.len());
    let mut open: Option<usize> = None;
    let mut length = 0;
    for line in text.lines() {
        let item = line.trim_start();
        let indent = line.len() - item.len();
        let simple = indent > 0
            && item.ends_with(',')
            && item.chars().count() <= 24
            && !item.contains(['(', '[', '{', '}', ']', ')', ':']);
        if simple && open == Some(indent) && length + 1 + item.chars().count() <= LINE {
            done.push(' ');
            done.push_str(item);
            length += 1 + item.chars().count();
        } else {
            if !done.is_empty() {
                done.push('\n');
            }
            done.push_str(line);
            length = line.chars().count();
        }
        open = simple.then_some(indent);
    }
    done
}

/// Text that stops growing at a limit.
#[doc(hidden)]
#[derive(Debug)]
pub struct Limited {
    text: String,
    limit: usize,
    full: bool,
}

impl Limited {
    fn new(limit: usize) -> Limited {
        Limited { text: String::new(), limit, full: false }
    }

    fn finished(mut self) -> String {
        if self.full {
            let limit = self.limit;
            self.text.push_str(&format!("… (cut after {limit} bytes)"));
        }
        self.text
    }
}

impl fmt::Write for Limited {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = self.limit - self.text.len();
        if part.len() <= room {
            self.text.push_str(part);
            return Ok(());
        }
        self.text.push_str(&part[..part.floor_char_boundary(room)]);
        self.full = true;
        Err(fmt::Error)
    }
}

fn text(value: &str) -> Vec<Output> {
    if value.is_empty() {
        return Vec::new();
    }
    let mut limited = Limited::new(MOST_TEXT);
    let _ = limited.write_str(value);
    vec![Output::Text { text: limited.finished() }]
}

impl<T: Show + ?Sized> Show for &T {
    fn outputs(&self) -> Vec<Output> {
        (**self).outputs()
    }
}

impl<T: Show + ?Sized> Show for &mut T {
    fn outputs(&self) -> Vec<Output> {
        (**self).outputs()
    }
}

impl<T: Show + ?Sized> Show for Box<T> {
    fn outputs(&self) -> Vec<Output> {
        (**self).outputs()
    }
}

impl Show for () {
    fn outputs(&self) -> Vec<Output> {
        Vec::new()
    }
}

impl Show for str {
    fn outputs(&self) -> Vec<Output> {
        text(self)
    }
}

impl Show for String {
    fn outputs(&self) -> Vec<Output> {
        text(self)
    }
}

impl Show for fmt::Arguments<'_> {
    fn outputs(&self) -> Vec<Output> {
        text(&self.to_string())
    }
}

impl Show for Output {
    fn outputs(&self) -> Vec<Output> {
        vec![self.clone()]
    }
}

impl Show for Figure {
    fn outputs(&self) -> Vec<Output> {
        vec![Output::Svg { svg: self.svg.clone() }]
    }
}

/// Several figures, one after the other.
impl Show for [Figure] {
    fn outputs(&self) -> Vec<Output> {
        self.iter().flat_map(Show::outputs).collect()
    }
}

/// Several figures, one after the other.
impl Show for Vec<Figure> {
    fn outputs(&self) -> Vec<Output> {
        self.as_slice().outputs()
    }
}

impl Show for DataFrame {
    fn outputs(&self) -> Vec<Output> {
        vec![Output::Table(tables::table(self))]
    }
}

impl Show for Series {
    fn outputs(&self) -> Vec<Output> {
        vec![Output::Table(tables::series(self))]
    }
}

/// The plan; only `collect` computes.
impl Show for LazyFrame {
    fn outputs(&self) -> Vec<Output> {
        match self.describe_plan() {
            Ok(plan) => text(&plan),
            Err(error) => text(&format!("a lazy frame whose plan cannot be told: {error}")),
        }
    }
}

impl Figure {
    /// Shows the figure in an evcxr session: as a picture in a notebook, in words in a terminal.
    #[allow(clippy::print_stdout, reason = "evcxr takes what it shows from standard output")]
    pub fn evcxr_display(&self) {
        println!("EVCXR_BEGIN_CONTENT text/plain\n{}\nEVCXR_END_CONTENT", self.description);
        println!("EVCXR_BEGIN_CONTENT image/svg+xml\n{}\nEVCXR_END_CONTENT", self.svg);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        pub(super) static SHOWN: RefCell<Vec<Output>> = RefCell::default();
        pub(super) static INLINES: RefCell<Vec<(usize, String)>> = RefCell::default();
    }

    /// Values of types that only one of the choices fits.
    struct Bare;

    #[derive(Debug)]
    #[allow(dead_code, reason = "read through Debug")]
    struct Point {
        x: f64,
        name: &'static str,
    }

    fn shown(run: impl FnOnce()) -> Vec<String> {
        SHOWN.take();
        run();
        let name = |output: Output| match output {
            Output::Text { text } => text,
            Output::Table(table) => format!("table {}x{}", table.rows, table.columns.len()),
            Output::Svg { svg } => format!("svg {svg}"),
            Output::Png { .. } => "png".to_owned(),
        };
        SHOWN.take().into_iter().map(name).collect()
    }

    #[test]
    #[allow(clippy::unit_arg, clippy::let_unit_value, reason = "a cell may end in ()")]
    fn every_kind_of_value_is_shown() {
        let frame = polars::df!("a" => [1, 2]).expect("a frame");
        let mut text = String::from("moved?");
        let figure = Figure { svg: "<svg/>".into(), description: String::new() };
        let slice: &[i32] = &[1, 2];
        assert_eq!(shown(|| show!(frame)), ["table 2x1"]);
        assert_eq!(shown(|| show!(&frame)), ["table 2x1"]);
        assert_eq!(shown(|| show!(&&frame)), ["table 2x1"]);
        assert_eq!(shown(|| show!(frame.head(Some(1)))), ["table 1x1"]);
        assert_eq!(shown(|| show!(frame.column("a").expect("a").as_materialized_series())), ["table 2x1"]);
        assert_eq!(shown(|| show!(figure.clone())), ["svg <svg/>"]);
        assert_eq!(shown(|| show!(vec![figure.clone(), figure])), ["svg <svg/>", "svg <svg/>"]);
        assert_eq!(shown(|| show!(())), [] as [&str; 0]);
        assert_eq!(shown(|| show!(text.push('!'))), [] as [&str; 0]);
        assert_eq!(
            shown(|| show!(if text.is_empty() {
                text.clear()
            })),
            [] as [&str; 0]
        );
        assert_eq!(shown(|| show!(text)), ["moved?!"]);
        assert_eq!(shown(|| show!(*text)), ["moved?!"]);
        assert_eq!(shown(|| show!(text.as_str())), ["moved?!"]);
        assert_eq!(shown(|| show!(&mut text)), ["moved?!"]);
        assert_eq!(shown(|| show!(format_args!("{}", 1))), ["1"]);
        assert_eq!(shown(|| show!(*slice)), ["[1, 2]"]);
        assert_eq!(shown(|| show!(1)), ["1"]);
        assert_eq!(shown(|| show!(0.1 + 0.2)), ["0.30000000000000004"]);
        assert_eq!(shown(|| show!('c')), ["'c'"]);
        assert_eq!(shown(|| show!(Some("a"))), ["Some(\"a\")"]);
        assert_eq!(shown(|| show!(Point { x: 1.0, name: "p" })), ["Point { x: 1.0, name: \"p\" }"]);
        assert!(shown(|| show!(Bare))[0].contains("Bare"));
        assert!(shown(|| show!(|x: i32| x + 1))[0].starts_with("a value of type "));
        assert_eq!(shown(|| display(&text)), ["moved?!"]);
        let owned = text;
        assert_eq!(owned, "moved?!");
    }

    #[test]
    #[allow(unreachable_code, clippy::diverging_sub_expression, reason = "a cell may end in return")]
    fn generic_and_diverging_expressions_compile() {
        fn generic<T: Debug>(value: T) {
            show!(value);
        }
        assert_eq!(shown(|| generic(vec![1.5])), ["[1.5]"]);
        fn leaves() -> Result<(), String> {
            show!(return Err("left".to_owned()));
            Ok(())
        }
        assert_eq!(leaves(), Err("left".to_owned()));
        fn asks() -> Result<(), std::num::ParseIntError> {
            show!("7".parse::<i32>()?);
            Ok(())
        }
        assert_eq!(shown(|| asks().expect("a number")), ["7"]);
    }

    #[test]
    fn long_lists_are_filled_and_long_text_is_cut() {
        let list = debug_text(&(0..100).collect::<Vec<i32>>());
        assert!(list.lines().count() < 10 && list.lines().all(|line| line.chars().count() <= LINE), "{list}");
        assert!(list.starts_with("[\n    0, 1, 2,") && list.ends_with("99,\n]"), "{list}");
        let nested = debug_text(&[0_u8; 0]);
        assert_eq!(nested, "[]");
        let long = debug_text(&"ä".repeat(MOST_TEXT));
        assert!(long.len() < MOST_TEXT + 50 && long.ends_with("(cut after 1048576 bytes)"), "{}", long.len());
    }

    #[test]
    fn inline_values_prefer_display() {
        inline!(0, 12.5);
        inline!(1, "text");
        inline!(2, Some(1));
        inline!(3, Bare);
        inline!(4, "a".repeat(20_000));
        let inlines = INLINES.take();
        let texts: Vec<&str> = inlines.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts[..3], ["12.5", "text", "Some(1)"]);
        assert!(texts[3].ends_with("Bare") && texts[4].len() < 10_050);
        assert_eq!(inlines.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }
}

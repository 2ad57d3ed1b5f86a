//! Data frames as text, value by value, ready for a page.

use std::path::{Path, PathBuf};

use polars::prelude::{AnyValue, Column, DataFrame, DataType, PolarsError, Series};
use polars_io::SerReader as _;
use polars_io::csv::read::CsvReadOptions;

use crate::fs::{self, FsError};
use crate::output;

/// A longer data frame is cut to this many rows; the table says how many there were.
pub const MOST_ROWS: usize = 200;

/// Significant digits that every float of a column keeps, as long as that needs no more than nine decimals.
const DIGITS: i32 = 4;

/// Why a file is no table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It cannot be read.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// It is not in the format.
    #[error("{path}: {source}")]
    Csv {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: PolarsError,
    },
}

/// Reads a CSV file whose first line has the names of the columns, and records it as an input of the running cell: what is
/// kept of a build is used again only while the file stays the same. Relative paths begin at the notebook's folder.
///
/// # Errors
/// The file cannot be read, or is no table.
pub fn read_csv(path: impl AsRef<Path>) -> Result<DataFrame, TableError> {
    let path = path.as_ref();
    let bytes = fs::read(path)?;
    crate::cell::input_at("file", path, &format!("blake3:{}", blake3::hash(&bytes).to_hex()));
    let reader =
        CsvReadOptions::default().with_has_header(true).into_reader_with_file_handle(std::io::Cursor::new(bytes));
    reader.finish().map_err(|source| TableError::Csv { path: path.to_owned(), source })
}

/// A data frame as a table of text. Floats of a column have the same number of decimals: the smallest that keeps four
/// significant digits of each, and no more than the values have. O(columns), whatever the number of rows.
pub fn table(frame: &DataFrame) -> output::Table {
    let columns = frame.columns().iter().map(column).collect();
    output::Table { columns, rows: frame.height() }
}

/// A series as a table of one column.
pub fn series(series: &Series) -> output::Table {
    let rows = series.len();
    output::Table { columns: vec![column(&Column::from(series.clone()))], rows }
}

fn column(column: &Column) -> output::Column {
    let shown = column.head(Some(MOST_ROWS));
    let dtype = column.dtype();
    let values = if matches!(dtype, DataType::Float32 | DataType::Float64) {
        floats(&shown)
    } else {
        (0..shown.len()).map(|row| shown.get(row).ok().and_then(|value| text(&value))).collect()
    };
    output::Column {
        name: column.name().to_string(),
        dtype: dtype.to_string(),
        numeric: dtype.is_primitive_numeric() || dtype.is_decimal(),
        values,
    }
}

/// One value; nothing for a missing one.
fn text(value: &AnyValue<'_>) -> Option<String> {
    match value {
        AnyValue::Null => None,
        // Without the quotes of its Display form.
        value => Some(value.get_str().map_or_else(|| value.to_string(), str::to_owned)),
    }
}

fn floats(column: &Column) -> Vec<Option<String>> {
    let single = *column.dtype() == DataType::Float32;
    let values: Vec<Option<f64>> = (0..column.len())
        .map(|row| match column.get(row) {
            Ok(AnyValue::Float32(value)) => Some(f64::from(value)),
            Ok(AnyValue::Float64(value)) => Some(value),
            _ => None,
        })
        .collect();
    let numbers: Vec<f64> = values.iter().copied().flatten().filter(|value| value.is_finite()).collect();
    let style = Style::of(&numbers, single);
    values.into_iter().map(|value| value.map(|value| style.text(value))).collect()
}

/// How the floats of one column are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Fixed(usize),
    Scientific,
}

impl Style {
    /// `single`: the numbers were `f32`, whose digits after the seventh mean nothing.
    fn of(numbers: &[f64], single: bool) -> Style {
        let magnitudes = || numbers.iter().map(|value| value.abs()).filter(|value| *value > 0.0);
        let largest = magnitudes().fold(0.0, f64::max);
        let smallest = magnitudes().fold(f64::INFINITY, f64::min);
        if largest == 0.0 {
            return Style::Fixed(1);
        }
        if largest >= 1e9 || smallest < 1e-6 && largest < 1e-3 {
            return Style::Scientific;
        }
        // The largest value shows how fine the column is measured; small ones beside it get two digits of their own.
        let digits_after = |value: f64, digits: i32| digits - 1 - value.log10().floor() as i32;
        let wanted =
            digits_after(largest, DIGITS).max(digits_after(smallest.max(1e-6), DIGITS).min(DIGITS)).clamp(1, 9);
        let needed = magnitudes().map(|value| decimals_of(value, single)).max().unwrap_or(1);
        Style::Fixed((wanted as usize).min(needed).max(1))
    }

    fn text(self, value: f64) -> String {
        match self {
            _ if value.is_nan() => "NaN".to_owned(),
            _ if value.is_infinite() => if value > 0.0 { "inf" } else { "-inf" }.to_owned(),
            Style::Fixed(decimals) => {
                let text = format!("{value:.decimals$}");
                // A value too small for the column's decimals must not read as zero.
                let vanished = value != 0.0 && !text.contains(|c: char| c.is_ascii_digit() && c != '0');
                if vanished { format!("{value:.3e}") } else { text }
            }
            Style::Scientific => format!("{value:.3e}"),
        }
    }
}

/// Decimals of the shortest text that reads back as the value.
fn decimals_of(value: f64, single: bool) -> usize {
    let text = if single { (value as f32).to_string() } else { value.to_string() };
    text.split_once('.').map_or(0, |(_, decimals)| decimals.len())
}

#[cfg(test)]
mod tests {
    use polars::df;
    use polars::prelude::{Categories, Int64Chunked, IntoSeries, NamedFrom, NewChunkedArray, TimeUnit};

    use super::*;

    #[test]
    fn csv_files_become_frames() {
        let folder = crate::fs::TestFolder::new("tables-csv");
        let path = folder.0.join("some.csv");
        std::fs::write(&path, "name,value\na,1.5\n\"b, c\",2\n").expect("written");
        let frame = read_csv(&path).expect("read");
        assert_eq!(frame, df!("name" => ["a", "b, c"], "value" => [1.5, 2.0]).expect("a frame"));
        let message = read_csv(folder.0.join("none.csv")).expect_err("no file").to_string();
        assert!(message.contains("none.csv"), "{message}");
        std::fs::write(&path, "a,b\n1,2,3\n").expect("written");
        let message = read_csv(&path).expect_err("no table").to_string();
        assert!(message.contains("some.csv: "), "{message}");
    }

    fn texts(values: &[f64]) -> Vec<String> {
        let style = Style::of(values, false);
        values.iter().map(|value| style.text(*value)).collect()
    }

    #[test]
    fn floats_of_a_column_share_their_decimals() {
        assert_eq!(texts(&[45.238_123, 3.1, 0.5]), ["45.2381", "3.1000", "0.5000"]);
        assert_eq!(texts(&[1.5, 2.0]), ["1.5", "2.0"]);
        assert_eq!(texts(&[0.25, 0.123_456_789]), ["0.2500", "0.1235"]);
        assert_eq!(texts(&[1.0, 1e-8]), ["1.0000", "1.000e-8"]);
        assert_eq!(texts(&[1_234_567.891_2, 2.0]), ["1234567.891", "2.000"]);
        assert_eq!(texts(&[1e12, 1.0]), ["1.000e12", "1.000e0"]);
        assert_eq!(texts(&[0.0, -0.0]), ["0.0", "-0.0"]);
        assert_eq!(texts(&[2.5e-7, 1e-7]), ["2.500e-7", "1.000e-7"]);
        assert_eq!(texts(&[]), [] as [&str; 0]);
    }

    #[test]
    fn values_become_text_and_missing_ones_stay_missing() {
        let mut frame = df!(
            "name" => [Some("a \"quoted\"\nline"), None],
            "n" => [1_i64, -2],
            "x" => [Some(f64::NAN), None],
            "single" => [0.1_f32, 0.25],
            "flag" => [true, false],
        )
        .expect("a frame");
        let kinds = Series::new("kind".into(), ["a b", "c"]);
        let kinds = kinds.cast(&DataType::from_categories(Categories::global())).expect("categories");
        frame.with_column(kinds.into()).expect("added");
        let days = Int64Chunked::from_slice("t".into(), &[0, 86_400_000]).into_series();
        frame
            .with_column(days.cast(&DataType::Datetime(TimeUnit::Milliseconds, None)).expect("a time").into())
            .expect("added");
        let made = table(&frame);
        assert_eq!(made.rows, 2);
        let column = |name: &str| made.columns.iter().find(|column| column.name == name).expect("a column");
        assert_eq!(column("name").values, [Some("a \"quoted\"\nline".to_owned()), None]);
        assert_eq!(column("n").values, [Some("1".to_owned()), Some("-2".to_owned())]);
        assert_eq!(column("x").values, [Some("NaN".to_owned()), None]);
        assert_eq!(column("single").values, [Some("0.10".to_owned()), Some("0.25".to_owned())]);
        assert_eq!(column("kind").values, [Some("a b".to_owned()), Some("c".to_owned())]);
        assert_eq!(column("flag").values, [Some("true".to_owned()), Some("false".to_owned())]);
        assert_eq!(column("t").values[1].as_deref(), Some("1970-01-02 00:00:00"));
        assert_eq!((column("n").dtype.as_str(), column("name").dtype.as_str()), ("i64", "str"));
        assert!(column("n").numeric && !column("name").numeric && !column("flag").numeric);
    }

    #[test]
    fn long_frames_are_cut() {
        let long = Series::new("n".into(), (0..1_000_i32).collect::<Vec<_>>());
        let made = series(&long);
        assert_eq!((made.rows, made.columns[0].values.len()), (1_000, MOST_ROWS));
        assert_eq!(made.columns[0].values[199].as_deref(), Some("199"));
        let none = table(&DataFrame::empty());
        assert_eq!((none.rows, none.columns.len()), (0, 0));
    }
}

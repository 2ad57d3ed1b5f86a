//! Arrays in files: `.npy`; Parquet with a column for each dimension or one column of lists; and `.npz` with the arrays
//! `embeddings` and `y_true`, as the study's authors have it.

use std::fs::File;
use std::iter::repeat;
use std::path::{Path, PathBuf};

use polars::prelude::{Column, DataFrame, DataType, NamedFrom, Series};
use polars_io::SerReader as _;
use polars_io::parquet::read::ParquetReader;
use polars_io::parquet::write::ParquetWriter;

use super::error::BatchError;
use crate::cluster::Init;
use crate::fs;
use crate::npy::{self, NpyError, npz};
use crate::points::Points;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Npy,
    Npz,
    Parquet,
}

/// The names of points and labels in `.npz` files.
const EMBEDDINGS: &str = "embeddings";
const TRUTH: &str = "y_true";
const ONLY_EMBEDDINGS: &str = "only embeddings go into an .npz file: take .npy or .parquet";

/// The format that a file's name tells.
fn format(path: &Path) -> Result<Format, BatchError> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    match extension.as_deref() {
        Some("npy") => Ok(Format::Npy),
        Some("npz") => Ok(Format::Npz),
        Some("parquet" | "pq") => Ok(Format::Parquet),
        _ => Err(BatchError::Extension { path: path.to_owned() }),
    }
}

/// The points in a file.
pub(super) fn points(path: &Path) -> Result<Points, BatchError> {
    match format(path)? {
        Format::Npy => npy::read_points(path).map_err(in_file(path)),
        Format::Npz => npz::read_points(path, EMBEDDINGS).map_err(in_file(path)),
        Format::Parquet => points_of_frame(path, &frame(path)?),
    }
}

/// The images in a file: n, 3, height and width, and as many numbers.
pub(super) fn tensors(path: &Path) -> Result<([usize; 4], Vec<f32>), BatchError> {
    let array = npy::read(path).map_err(in_file(path))?;
    let &[images, 3, height, width] = array.shape.as_slice() else {
        let message = format!("images need the shape n x 3 x height x width, not {:?}", array.shape);
        return Err(BatchError::Array { path: path.to_owned(), message });
    };
    Ok(([images, 3, height, width], array.to_f32()))
}

/// The labels in a file.
pub(super) fn labels(path: &Path) -> Result<Vec<i32>, BatchError> {
    match format(path)? {
        Format::Npy => npy::read_labels(path).map_err(in_file(path)),
        Format::Npz => npz::read_labels(path, TRUTH).map_err(in_file(path)),
        Format::Parquet => labels_of_frame(path, &frame(path)?),
    }
}

/// Where K-Means starts: the numbers of rows, or the coordinates of centres.
pub(super) fn init(path: &Path) -> Result<Init, BatchError> {
    if format(path)? != Format::Npy {
        return Ok(Init::Centers(points(path)?));
    }
    let wrong = in_file(path);
    let array = npy::read(path).map_err(&wrong)?;
    if array.shape.len() != 1 {
        return Ok(Init::Centers(array.to_points().map_err(&wrong)?));
    }
    let row = |value: i32| usize::try_from(value).map_err(|_| wrong(NpyError::Range(f64::from(value))));
    let rows: Result<Vec<usize>, BatchError> = array.to_labels().map_err(&wrong)?.into_iter().map(row).collect();
    Ok(Init::Rows(rows?))
}

/// A number for each sample.
pub(super) fn numbers_in(path: &Path) -> Result<Vec<f64>, BatchError> {
    let array = npy::read(path).map_err(in_file(path))?;
    Ok(array.to_f64())
}

/// What is written to a file.
#[derive(Debug)]
pub(super) enum Content {
    Points(Points),
    /// Points, and their labels if the format has room for them.
    Labelled(Points, Vec<i32>),
    Labels(Vec<i32>),
    /// Rows of a known number of columns.
    Table(usize, Vec<f64>),
    /// The same, of numbers of rows.
    Rows(usize, Vec<u32>),
    /// A number for each sample.
    Numbers(Vec<f64>),
}

/// Files to be written, all of them or none: nothing is written before everything is computed.
#[derive(Debug, Default)]
pub(super) struct Outputs(Vec<(PathBuf, Content)>);

impl Outputs {
    /// Refuses, before anything is computed, what could not be written at the end: points go to any format, other results
    /// not into an `.npz` file.
    pub(super) fn check<'path>(
        points: Option<&'path Path>,
        others: impl IntoIterator<Item = &'path Path>,
    ) -> Result<(), BatchError> {
        let mut seen: Vec<&Path> = Vec::new();
        for (path, is_points) in
            points.map(|path| (path, true)).into_iter().chain(others.into_iter().zip(repeat(false)))
        {
            if format(path)? == Format::Npz && !is_points {
                return Err(broken(path, ONLY_EMBEDDINGS));
            }
            if path.is_dir() {
                return Err(BatchError::Array { path: path.to_owned(), message: "is a folder".to_owned() });
            }
            if seen.contains(&path) {
                let message = "two results cannot go to the same file".to_owned();
                return Err(BatchError::Array { path: path.to_owned(), message });
            }
            seen.push(path);
        }
        Ok(())
    }

    pub(super) fn add(&mut self, path: &Path, content: Content) {
        self.0.push((path.to_owned(), content));
    }

    /// Writes all files. Each of them is the old one or the whole new one, whatever happens.
    pub(super) fn write(self) -> Result<(), BatchError> {
        let mut files = Vec::new();
        for (path, content) in self.0 {
            let bytes = bytes(&path, content)?;
            files.push((path, bytes));
        }
        crate::progress::check()?;
        for (path, bytes) in files {
            fs::write_atomic(&path, &bytes)?;
        }
        Ok(())
    }
}

fn bytes(path: &Path, content: Content) -> Result<Vec<u8>, BatchError> {
    let format = format(path)?;
    if format == Format::Parquet {
        return parquet(path, content);
    }
    let of_points = |points: &Points| npy::to_bytes(&[points.rows(), points.columns()], points.as_slice());
    if format == Format::Npz {
        let arrays = match &content {
            Content::Points(points) => vec![(EMBEDDINGS, of_points(points))],
            Content::Labelled(points, labels) => {
                vec![(EMBEDDINGS, of_points(points)), (TRUTH, npy::to_bytes(&[labels.len()], labels))]
            }
            _ => return Err(broken(path, ONLY_EMBEDDINGS)),
        };
        return npz::to_bytes(&arrays).map_err(in_file(path));
    }
    Ok(match content {
        Content::Points(points) | Content::Labelled(points, _) => of_points(&points),
        Content::Labels(labels) => npy::to_bytes(&[labels.len()], &labels),
        Content::Table(columns, values) => npy::to_bytes(&[values.len() / columns.max(1), columns], &values),
        Content::Rows(columns, values) => npy::to_bytes(&[values.len() / columns.max(1), columns], &values),
        Content::Numbers(values) => npy::to_bytes(&[values.len()], &values),
    })
}

fn parquet(path: &Path, content: Content) -> Result<Vec<u8>, BatchError> {
    let columns = match content {
        Content::Points(points) | Content::Labelled(points, _) => {
            by_column(points.columns(), points.as_slice(), Series::new)
        }
        Content::Table(columns, values) => by_column(columns, &values, Series::new),
        Content::Rows(columns, values) => by_column(columns, &values, Series::new),
        Content::Labels(labels) => vec![Series::new("label".into(), labels).into()],
        Content::Numbers(values) => vec![Series::new("value".into(), values).into()],
    };
    let failed = |error: polars::prelude::PolarsError| broken(path, &error.to_string());
    let mut frame = DataFrame::new_infer_height(columns).map_err(failed)?;
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame).map_err(failed)?;
    Ok(bytes)
}

/// Columns `0`, `1` and so on of numbers that stand row after row.
fn by_column<T: Copy>(
    columns: usize,
    values: &[T],
    series: impl Fn(polars::prelude::PlSmallStr, Vec<T>) -> Series,
) -> Vec<Column> {
    (0..columns)
        .map(|column| {
            let values = values.iter().skip(column).step_by(columns.max(1)).copied().collect();
            series(column.to_string().into(), values).into()
        })
        .collect()
}

fn frame(path: &Path) -> Result<DataFrame, BatchError> {
    let file = File::open(path).map_err(|error| in_file(path)(NpyError::System(error.to_string())))?;
    ParquetReader::new(file).finish().map_err(|error| broken(path, &error.to_string()))
}

fn points_of_frame(path: &Path, frame: &DataFrame) -> Result<Points, BatchError> {
    if let [column] = frame.columns()
        && matches!(column.dtype(), DataType::List(_))
    {
        return points_of_lists(path, column);
    }
    let (rows, columns) = (frame.height(), frame.width());
    let mut values = Vec::new();
    let size = rows.saturating_mul(columns);
    values.try_reserve_exact(size).map_err(|_| in_file(path)(NpyError::Memory(size)))?;
    values.resize(size, 0.0);
    for (at, column) in frame.columns().iter().enumerate() {
        for (row, value) in numbers(path, column.name(), column.as_materialized_series())?.into_iter().enumerate() {
            values[row * columns + at] = value;
        }
    }
    Points::new(rows, columns, values).map_err(|error| in_file(path)(error.into()))
}

fn points_of_lists(path: &Path, column: &Column) -> Result<Points, BatchError> {
    let name = column.name();
    let lists = column.as_materialized_series().list().map_err(|error| broken(path, &error.to_string()))?;
    let (rows, mut columns, mut values) = (column.len(), None, Vec::new());
    for (row, list) in lists.amortized_iter().enumerate() {
        let Some(list) = list else {
            return Err(broken(path, &format!("column {name}, row {row} is null: every point must be there")));
        };
        let list = numbers(path, name, list.as_ref())?;
        let expected = *columns.get_or_insert(list.len());
        if list.len() != expected {
            let found = list.len();
            return Err(broken(
                path,
                &format!("column {name}, row {row} has {found} numbers, but row 0 has {expected}"),
            ));
        }
        values.extend(list);
    }
    Points::new(rows, columns.unwrap_or(1), values).map_err(|error| in_file(path)(error.into()))
}

/// The numbers of a column, none missing.
fn numbers(path: &Path, name: &str, series: &Series) -> Result<Vec<f32>, BatchError> {
    if !series.dtype().is_primitive_numeric() {
        return Err(broken(path, &format!("column {name} has values of type {}: numbers are needed", series.dtype())));
    }
    if series.null_count() > 0 {
        return Err(broken(
            path,
            &format!("column {name} has {} nulls: coordinates must be there", series.null_count()),
        ));
    }
    let single = series.cast(&DataType::Float32).map_err(|error| broken(path, &error.to_string()))?;
    let single = single.f32().map_err(|error| broken(path, &error.to_string()))?;
    Ok(single.into_no_null_iter().collect())
}

fn labels_of_frame(path: &Path, frame: &DataFrame) -> Result<Vec<i32>, BatchError> {
    let [column] = frame.columns() else {
        return Err(broken(path, &format!("{} columns: labels are one column of integers", frame.width())));
    };
    let name = column.name();
    if !column.dtype().is_integer() {
        return Err(broken(path, &format!("column {name} has values of type {}: labels are integers", column.dtype())));
    }
    if column.null_count() > 0 {
        return Err(broken(path, &format!("column {name} has {} nulls: labels must be there", column.null_count())));
    }
    // What 32 bits cannot hold is an error in a strict cast.
    let labels = column.as_materialized_series().strict_cast(&DataType::Int32);
    let labels = labels.map_err(|error| broken(path, &error.to_string()))?;
    Ok(labels.i32().map_err(|error| broken(path, &error.to_string()))?.into_no_null_iter().collect())
}

/// Tells in which file an array is wrong.
fn in_file(path: &Path) -> impl Fn(NpyError) -> BatchError {
    |source| BatchError::Npy { path: path.to_owned(), source }
}

fn broken(path: &Path, message: &str) -> BatchError {
    BatchError::Array { path: path.to_owned(), message: message.to_owned() }
}

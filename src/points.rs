//! The vocabulary of the numerical core: points in space, one row each.

use std::fmt;

use rayon::prelude::*;

/// What cannot be a set of points.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PointsError {
    /// A point needs at least one coordinate.
    #[error("columns = 0: a point needs at least one coordinate")]
    NoColumns,
    /// The values do not fill the rows.
    #[error("values has {values} numbers, but rows = {rows} times columns = {columns} needs {rows} x {columns}")]
    Shape {
        /// Rows asked for.
        rows: usize,
        /// Columns asked for.
        columns: usize,
        /// Numbers given.
        values: usize,
    },
    /// A coordinate is NaN or infinite.
    #[error("values at row {row}, column {column} is {value}: coordinates must be finite")]
    NotFinite {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The offending value.
        value: f32,
    },
    /// A row number beyond the last row.
    #[error("row {row} was selected, but there are only {rows} rows")]
    NoSuchRow {
        /// Row asked for, from 0.
        row: usize,
        /// Rows there are.
        rows: usize,
    },
}

/// `rows` points with `columns` finite coordinates each, stored row after row.
#[derive(Clone, PartialEq)]
pub struct Points {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

impl Points {
    /// Takes `rows` x `columns` numbers in row-major order. Zero rows are allowed, zero columns are not. O(n d).
    ///
    /// # Errors
    /// No columns; `values.len()` is not `rows * columns`; a value that is NaN or infinite (the first one is named).
    pub fn new(rows: usize, columns: usize, values: Vec<f32>) -> Result<Points, PointsError> {
        if columns == 0 {
            return Err(PointsError::NoColumns);
        }
        if rows.checked_mul(columns) != Some(values.len()) {
            return Err(PointsError::Shape { rows, columns, values: values.len() });
        }
        if let Some(at) = first_not_finite(&values) {
            return Err(PointsError::NotFinite { row: at / columns, column: at % columns, value: values[at] });
        }
        Ok(Points { rows, columns, values })
    }

    /// Takes rows of equal length.
    ///
    /// # Errors
    /// As [`Points::new`]; rows of different lengths.
    pub fn from_rows(rows: &[Vec<f32>]) -> Result<Points, PointsError> {
        let columns = rows.first().map_or(1, Vec::len);
        if let Some(odd) = rows.iter().find(|row| row.len() != columns) {
            return Err(PointsError::Shape { rows: 1, columns, values: odd.len() });
        }
        Points::new(rows.len(), columns, rows.concat())
    }

    /// How many points there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many coordinates each point has; at least 1.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The coordinates of point `index`, counted from 0.
    ///
    /// # Panics
    /// As indexing a slice: `index` must be below [`Points::rows`].
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.columns..(index + 1) * self.columns]
    }

    /// The points in order.
    pub fn iter(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.columns)
    }

    /// All coordinates, row after row.
    pub fn as_slice(&self) -> &[f32] {
        &self.values
    }

    /// All coordinates, row after row, without a copy.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// The points with these numbers, in this order; a number may come more than once.
    ///
    /// # Errors
    /// A number that is not below [`Points::rows`].
    pub fn select(&self, indices: &[usize]) -> Result<Points, PointsError> {
        if let Some(&row) = indices.iter().find(|&&row| row >= self.rows) {
            return Err(PointsError::NoSuchRow { row, rows: self.rows });
        }
        let values = indices.iter().flat_map(|&row| self.row(row)).copied().collect();
        Ok(Points { rows: indices.len(), columns: self.columns, values })
    }
}

/// Where the first value that is NaN or infinite is.
fn first_not_finite(values: &[f32]) -> Option<usize> {
    const CHUNK: usize = 1 << 16;
    // Without a way out of the loop, many values are looked at at once.
    let is_bad = |chunk: &[f32]| chunk.iter().fold(false, |bad, value| bad | !value.is_finite());
    let chunk = values.par_chunks(CHUNK).position_first(is_bad)?;
    let within = values[chunk * CHUNK..].iter().position(|value| !value.is_finite())?;
    Some(chunk * CHUNK + within)
}

impl<'points> IntoIterator for &'points Points {
    type Item = &'points [f32];
    type IntoIter = std::slice::ChunksExact<'points, f32>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The shape and the first few numbers: a cell that ends in points must not print millions of them.
impl fmt::Debug for Points {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let first = &self.values[..self.values.len().min(self.columns).min(6)];
        write!(formatter, "Points {{ {} rows x {} columns, first row {first:?}", self.rows, self.columns)?;
        let more = if self.rows > 0 && self.columns > first.len() { " ..." } else { "" };
        write!(formatter, "{more} }}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_and_rows() {
        let points = Points::new(2, 3, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).expect("valid");
        assert_eq!((points.rows(), points.columns()), (2, 3));
        assert_eq!(points.row(1), &[4.0, 5.0, 6.0]);
        assert_eq!(points.iter().count(), 2);
        assert_eq!(points.select(&[1, 1, 0]).expect("valid").as_slice()[..4], [4.0, 5.0, 6.0, 4.0]);
        assert_eq!(Points::new(0, 3, Vec::new()).expect("no rows").rows(), 0);
    }

    #[test]
    fn bad_input_is_named() {
        let message = |result: Result<Points, PointsError>| result.expect_err("invalid").to_string();
        assert!(message(Points::new(2, 2, vec![0.0; 3])).contains("3 numbers"));
        assert!(message(Points::new(usize::MAX, 2, vec![0.0; 3])).contains("3 numbers"));
        assert_eq!(message(Points::new(3, 0, Vec::new())), "columns = 0: a point needs at least one coordinate");
        let message_of_nan = message(Points::new(2, 2, vec![0.0, 1.0, f32::NAN, 0.0]));
        assert_eq!(message_of_nan, "values at row 1, column 0 is NaN: coordinates must be finite");
        assert!(message(Points::new(1, 1, vec![f32::INFINITY])).contains("inf"));
        assert!(message(Points::from_rows(&[vec![1.0], vec![1.0, 2.0]])).contains("2 numbers"));
        let points = Points::new(1, 1, vec![0.5]).expect("valid");
        assert_eq!(points.select(&[1]).expect_err("beyond"), PointsError::NoSuchRow { row: 1, rows: 1 });
    }

    #[test]
    fn debug_is_short() {
        let points = Points::new(1000, 100, vec![0.5; 100_000]).expect("valid");
        assert!(format!("{points:?}").len() < 120);
        assert_eq!(
            format!("{:?}", Points::new(1, 2, vec![1.0, 2.0]).expect("valid")),
            "Points { 1 rows x 2 columns, first row [1.0, 2.0] }"
        );
    }
}

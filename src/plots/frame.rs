//! From the columns of a data frame to bars.

use polars::prelude::{AnyValue, Column, DataFrame, DataType};

use super::{Bar, Bars, PlotError};

/// Horizontal bars from a data frame: one for each row, named by column `category`, as long as column `value`.
/// Categories and groups keep the order of the rows.
pub fn bars(frame: &DataFrame, category: &str, value: &str) -> Bars {
    Bars::of(Columns {
        frame: frame.clone(),
        category: category.to_owned(),
        value: value.to_owned(),
        error: None,
        group: None,
    })
}

/// A data frame and the roles of its columns.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    frame: DataFrame,
    pub(super) category: String,
    pub(super) value: String,
    pub(super) error: Option<String>,
    pub(super) group: Option<String>,
}

impl Columns {
    pub(super) fn rows(&self) -> Result<Vec<Bar>, PlotError> {
        let categories = self.texts(&self.category)?;
        let values = self.numbers(&self.value)?;
        let errors = self.error.as_ref().map(|name| self.numbers(name)).transpose()?;
        let groups = self.group.as_ref().map(|name| self.texts(name)).transpose()?;
        let bar = |(index, category): (usize, String)| Bar {
            category,
            group: groups.as_ref().and_then(|groups| groups.get(index).cloned()),
            value: values.get(index).copied().flatten(),
            error: errors.as_ref().and_then(|errors| errors.get(index).copied().flatten()),
        };
        Ok(categories.into_iter().enumerate().map(bar).collect())
    }

    fn column(&self, name: &str) -> Result<&Column, PlotError> {
        self.frame.column(name).map_err(|_| {
            let names: Vec<String> = self.frame.get_column_names().iter().map(|name| format!("`{name}`")).collect();
            PlotError::NoColumn { column: name.to_owned(), columns: names.join(", ") }
        })
    }

    fn numbers(&self, name: &str) -> Result<Vec<Option<f64>>, PlotError> {
        let column = self.column(name)?;
        let wrong = || PlotError::NotNumeric { column: name.to_owned(), dtype: column.dtype().to_string() };
        if !column.dtype().is_primitive_numeric() && *column.dtype() != DataType::Null {
            return Err(wrong());
        }
        let column = column.cast(&DataType::Float64).map_err(|_| wrong())?;
        let values = column.f64().map_err(|_| wrong())?;
        Ok(values.iter().collect())
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, PlotError> {
        let column = self.column(name)?;
        let text = |index: usize| match column.get(index) {
            Ok(AnyValue::Null) | Err(_) => "n/a".to_owned(),
            Ok(value) => value.str_value().into_owned(),
        };
        Ok((0..column.len()).map(text).collect())
    }
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;

    #[test]
    fn columns_become_bars() {
        let frame = df!(
            "encoder" => ["Raw", "Raw", "ViT", "ViT"],
            "dataset" => ["A", "B", "A", "B"],
            "ami" => [Some(40), None, Some(30), Some(20)],
            "sd" => [1.0, 2.0, 3.0, 4.0],
        )
        .expect("a frame");
        let rows =
            bars(&frame, "encoder", "ami").error("sd").by("dataset").columns.expect("columns").rows().expect("rows");
        assert_eq!(rows.len(), 4);
        assert_eq!(
            (rows[1].category.as_str(), rows[1].group.as_deref(), rows[1].value, rows[1].error),
            ("Raw", Some("B"), None, Some(2.0))
        );
        let made = bars(&frame, "encoder", "ami").error("sd").by("dataset").draw().expect("drawn");
        assert!(made.svg.contains(">ami<") && made.svg.contains(">n/a<"));
        assert!(made.description.starts_with("Horizontal bar chart of ami by encoder and dataset (A and B)."));
        assert!(made.description.contains("Error bars: sd."), "{}", made.description);
        let missing = bars(&frame, "encoder", "amy").draw().expect_err("no such column").to_string();
        assert_eq!(missing, "there is no column `amy`; the columns are `encoder`, `dataset`, `ami`, `sd`");
        let wrong = bars(&frame, "encoder", "dataset").draw().expect_err("not a number").to_string();
        assert_eq!(wrong, "column `dataset` holds str, but a bar's length needs a number");
        let empty = bars(&frame.head(Some(0)), "encoder", "ami").draw();
        assert_eq!(empty, Err(PlotError::NoData { what: "ami".into(), rows: 0 }));
    }
}

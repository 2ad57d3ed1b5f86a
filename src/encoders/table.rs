//! The registry as a data frame.

use polars::prelude::{DataFrame, PolarsResult, df};

use super::registry::{self, Row, Weights};
use super::{EncoderError, Pooling};

/// The encoders, a row each: `encoder`, `network`, `weights` (whether they are here), `MB` (of the file that is here, else of
/// the download, where known), `licence`, `values` (of a vector), `pooling`, `in the study`, `note`.
///
/// # Errors
/// A registry of the user's that cannot be read; no memory for the frame.
pub fn table() -> Result<DataFrame, EncoderError> {
    let rows = registry::rows()?;
    let column = |of: fn(&Row) -> String| rows.iter().map(of).collect::<Vec<String>>();
    frame(&rows, column).map_err(|error| EncoderError::Table(error.to_string()))
}

fn frame(rows: &[Row], column: impl Fn(fn(&Row) -> String) -> Vec<String>) -> PolarsResult<DataFrame> {
    df!(
        "encoder" => column(|row| row.name.clone()),
        "network" => column(Row::full_title),
        "weights" => column(|row| weights(row).to_owned()),
        "MB" => rows.iter().map(megabytes).collect::<Vec<_>>(),
        "licence" => column(licence),
        "values" => rows.iter().map(|row| row.architecture.columns() as u32).collect::<Vec<_>>(),
        "pooling" => column(|row| pooling(row).to_owned()),
        "in the study" => column(|row| if row.study { "yes" } else { "no" }.to_owned()),
        "note" => column(|row| row.note.clone()),
    )
}

fn pooling(row: &Row) -> &'static str {
    use registry::Architecture::{RawPixels, VitB16, VitS14};
    match (row.architecture, row.pooling) {
        (RawPixels, _) => "none",
        (VitB16 | VitS14, Pooling::ClassToken) => "class token",
        (VitB16 | VitS14, Pooling::Mean) => "mean of the patches, then the norm",
        (VitB16 | VitS14, Pooling::MeanOfNormed) => "mean of the patches after the norm",
        _ => "global average",
    }
}

fn bytes_here(row: &Row) -> Option<u64> {
    let path = registry::file(&registry::folder()?, &row.name);
    Some(std::fs::metadata(path).ok()?.len())
}

fn weights(row: &Row) -> &'static str {
    match &row.weights {
        Weights::None => "none are needed",
        Weights::Random => "drawn from a seed",
        _ if bytes_here(row).is_some() => "here",
        Weights::Unpublished(_) => "never published",
        Weights::Checkpoint(_) => "missing",
    }
}

fn megabytes(row: &Row) -> Option<f64> {
    let published = match &row.weights {
        Weights::Checkpoint(checkpoint) => checkpoint.bytes,
        _ => None,
    };
    bytes_here(row).or(published).map(|bytes| bytes as f64 / 1e6)
}

fn licence(row: &Row) -> String {
    match &row.weights {
        Weights::Checkpoint(checkpoint) => checkpoint.licence.clone(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoder_has_its_row() {
        let table = table().expect("a table");
        let rows = registry::rows().expect("the registry");
        assert_eq!((table.height(), table.width()), (rows.len(), 9));
        let text = |name: &str, row: usize| {
            table.column(name).expect("a column").str().expect("text").get(row).expect("a value").to_owned()
        };
        let at = |name: &str| rows.iter().position(|row| row.name == name).expect("a row");
        assert_eq!(text("weights", at("none")), "none are needed");
        assert_eq!(text("network", at("mocov3_resnet50")), "MoCo-v3 ResNet-50");
        assert_eq!(text("licence", at("mocov3_resnet50")), "CC BY-NC 4.0");
        assert_eq!(text("pooling", at("random_vitb16")), "class token");
        assert_eq!((0..rows.len()).filter(|&row| text("in the study", row) == "yes").count(), 18);
    }
}

//! Tables of a user: CSV, TSV or Parquet, a row an image, with columns of labels, and a column that has the image's path or,
//! in Parquet, the bytes of its file, as Hugging Face has them.

use std::path::Path;
use std::sync::Arc;

use polars::prelude::{
    ArrowDataType, CsvParseOptions, CsvReadOptions, DataFrame, DataType, PolarsError, StringChunked,
};
use polars_io::SerReader as _;
use polars_io::parquet::read::ParquetReader;

use super::{Listed, Listing, level_of_names, level_of_numbers, wrong};
use crate::cache::{Cache, Content};
use crate::datasets::member::{Bytes, Member, Packing, open, stamp};
use crate::datasets::registry::{Partition, Row};
use crate::datasets::tree::Tree;
use crate::datasets::{DatasetError, Level};
use crate::fs::FsError;
use crate::progress;

pub(super) fn list(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let tables = match partition {
        Partition::Evaluated => &row.table.0,
        Partition::Train if row.train_table.0.is_empty() => return Err(wrong(row, "it has no training partition")),
        Partition::Train => &row.train_table.0,
    };
    let mut columns = vec![row.image_column.as_str()];
    columns.extend(row.levels.iter().map(String::as_str));
    let mut members = Vec::new();
    let mut names: Vec<Vec<String>> = vec![Vec::new(); row.levels.len()];
    for table in tables {
        let path = tree.verified(table)?;
        let failed = |source| DatasetError::Table { path: path.clone(), source };
        match is_parquet(&path) {
            true => parquet(tree, &path, row, &columns, &mut members, &mut names)?,
            false => {
                let frame = read_text(&path, &columns)?;
                labels(&frame, row, &mut names).map_err(failed)?;
                for image in strings(&frame, &row.image_column).map_err(failed)? {
                    members.push(tree.image(&image)?);
                }
            }
        }
    }
    let levels = row.levels.iter().zip(&names).map(|(name, names)| level(name, names)).collect();
    Ok(Listing { images: Listed::Members(members), levels })
}

fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "parquet" || extension == "pq")
}

/// The columns of a CSV file, or of a TSV file if its name ends so; all as texts.
pub(super) fn read_text(path: &Path, columns: &[&str]) -> Result<DataFrame, DatasetError> {
    let failed = |source| DatasetError::Table { path: path.to_owned(), source };
    let (file, _) = open(path)?;
    let separator = if path.extension().is_some_and(|extension| extension == "tsv") { b'\t' } else { b',' };
    let columns: Arc<[_]> = columns.iter().map(|column| (*column).into()).collect();
    let options = CsvReadOptions::default()
        .with_has_header(true)
        .with_infer_schema_length(Some(0))
        .with_columns(Some(columns))
        .with_parse_options(CsvParseOptions::default().with_separator(separator));
    options.into_reader_with_file_handle(file).finish().map_err(failed)
}

/// A column as texts; nothing that is missing.
fn strings(frame: &DataFrame, column: &str) -> Result<Vec<String>, PolarsError> {
    let texts = frame.column(column)?.cast(&DataType::String)?;
    let texts: &StringChunked = texts.str()?;
    let text = |(row, text): (usize, Option<&str>)| {
        text.map(str::to_owned)
            .ok_or_else(|| PolarsError::ComputeError(format!("row {}: the column `{column}` is empty", row + 1).into()))
    };
    texts.iter().enumerate().map(text).collect()
}

fn labels(frame: &DataFrame, row: &Row, names: &mut [Vec<String>]) -> Result<(), PolarsError> {
    for (level, names) in row.levels.iter().zip(names) {
        names.extend(strings(frame, level)?);
    }
    Ok(())
}

/// Numbers are classes in their order, texts in that of their bytes.
fn level(name: &str, names: &[String]) -> Level {
    match names.iter().map(|name| name.parse()).collect::<Result<Vec<i64>, _>>() {
        Ok(numbers) => level_of_numbers(name, &numbers),
        Err(_) => level_of_names(name, names),
    }
}

/// The rows of a Parquet file. Images in it are copied into the cache, once, a few rows at a time.
fn parquet(
    tree: &Tree,
    path: &Path,
    row: &Row,
    columns: &[&str],
    members: &mut Vec<Member>,
    names: &mut [Vec<String>],
) -> Result<(), DatasetError> {
    let failed = |source| DatasetError::Table { path: path.to_owned(), source };
    let reader = || Ok::<_, DatasetError>(ParquetReader::new(open(path)?.0));
    let only = |columns: &[&str]| Some(columns.iter().map(|column| (*column).to_owned()).collect::<Vec<String>>());
    let frame = reader()?.with_columns(only(&columns[1..])).finish().map_err(failed)?;
    labels(&frame, row, names).map_err(failed)?;
    let schema = reader()?.schema().map_err(failed)?;
    if schema.get(columns[0]).is_some_and(|field| {
        matches!(field.dtype(), ArrowDataType::LargeUtf8 | ArrowDataType::Utf8 | ArrowDataType::Utf8View)
    }) {
        let frame = reader()?.with_columns(only(&columns[..1])).finish().map_err(failed)?;
        for image in strings(&frame, columns[0]).map_err(failed)? {
            members.push(tree.image(&image)?);
        }
        return Ok(());
    }
    let count = frame.height();
    let content = Arc::new(copied(path, columns[0], count)?);
    let ends = ends(&content, count).ok_or_else(|| wrong(row, "the copy of its images in the cache is damaged"))?;
    let (shown, bytes) = (Arc::new(path.to_owned()), Bytes::Kept(content));
    let mut start = 0;
    for (index, end) in ends.into_iter().enumerate() {
        members.push(Member::part(
            shown.clone(),
            &format!("row {index}"),
            bytes.clone(),
            start,
            end - start,
            Packing::None,
        ));
        start = end;
    }
    Ok(())
}

/// The images of a column one after the other, then the end of each: an entry of the cache, made the first time.
fn copied(path: &Path, column: &str, count: usize) -> Result<Content, DatasetError> {
    let failed = |source| DatasetError::Table { path: path.to_owned(), source };
    let cannot = |error| FsError::io("cannot be read", path, error);
    let key = format!("images of parquet 1\n{column}\n{}", stamp(path)?);
    let cache = Cache::of_environment()?;
    let size = path.metadata().map_err(cannot)?.len();
    let written = |error| DatasetError::from(crate::fs::cannot_write(cache.folder(), size, error));
    cache.get_or_store("unpacked", &key, size, |out| {
        let (mut ends, mut end) = (Vec::with_capacity(count), 0_u64);
        let mut reader = ParquetReader::new(open(path)?.0);
        let groups: Vec<usize> =
            reader.get_metadata().map_err(failed)?.row_groups.iter().map(|group| group.num_rows()).collect();
        let mut start = 0;
        // A group is what a Parquet file can be read by.
        for rows in groups {
            progress::check()?;
            let reader = ParquetReader::new(open(path)?.0).with_columns(Some(vec![column.to_owned()]));
            let frame = reader.with_slice(Some((start, rows))).finish().map_err(failed)?;
            start += rows;
            let images = frame.column(column).and_then(|images| match images.dtype() {
                DataType::Struct(_) => images.struct_()?.field_by_name("bytes").map(Into::into),
                _ => Ok(images.clone()),
            });
            let images = images.map_err(failed)?;
            for image in images.binary().map_err(failed)?.iter() {
                // A row without an image is an empty file, which then is a bad one.
                let image = image.unwrap_or_default();
                out.write_all(image).map_err(written)?;
                end += image.len() as u64;
                ends.push(end);
            }
        }
        ends.iter().try_for_each(|end| out.write_all(&end.to_le_bytes())).map_err(written)
    })
}

fn ends(content: &[u8], count: usize) -> Option<Vec<u64>> {
    let table = content.get(content.len().checked_sub(count * 8)?..)?;
    let ends: Vec<u64> = table.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    let last = ends.last().copied().unwrap_or(0);
    (ends.is_sorted() && last <= (content.len() - count * 8) as u64).then_some(ends)
}

//! What datasets there are, and what is in one: a table, numbers, and a sheet of samples.

use polars::prelude::{DataFrame, PolarsResult, df};
use rayon::prelude::*;

use super::registry::{self, RegistryError, Row};
use super::{Dataset, DatasetError, sample};
use crate::plots::{self, Figure, PlotError};
use crate::progress::{self, SharedProgress};

/// The datasets, a row each: `group`, `dataset` (its name in code), `title`, `in the study`, `files` (whether they are here),
/// `samples` and `classes` of the evaluated partition, `partition` and what it is, `labels` (the kinds there are), `MB` (of
/// the download), `licence`.
///
/// # Errors
/// A registry of the user's that cannot be read; no place for datasets; no memory for the frame.
pub fn table() -> Result<DataFrame, DatasetError> {
    let rows = registry::rows()?;
    let data = registry::folder().ok_or(RegistryError::NoPlace)?;
    crate::cell::input_at("datasets", &data, &registry::presence(&data)?);
    let files: Vec<&str> = rows.iter().map(|row| if row.is_here(&rows, &data) { "here" } else { "missing" }).collect();
    frame(&rows, &files).map_err(|source| DatasetError::Table { path: data, source })
}

/// The names of the datasets whose files are here; variants are made from others, and are not among them.
///
/// # Errors
/// As [`table`].
pub fn here() -> Result<Vec<String>, DatasetError> {
    let data = registry::folder().ok_or(RegistryError::NoPlace)?;
    crate::cell::input_at("datasets", &data, &registry::presence(&data)?);
    let rows = registry::rows()?;
    Ok(rows.into_iter().filter(|row| row.find(&data).is_some()).map(|row| row.name).collect())
}

fn frame(rows: &[Row], files: &[&str]) -> PolarsResult<DataFrame> {
    let column = |of: fn(&Row) -> String| rows.iter().map(of).collect::<Vec<String>>();
    df!(
        "group" => column(|row| row.group.title().to_owned()),
        "dataset" => column(|row| row.name.clone()),
        "title" => column(|row| row.title.clone()),
        "in the study" => column(|row| if row.study { "yes" } else { "no" }.to_owned()),
        "files" => files,
        "samples" => rows.iter().map(|row| row.samples.map(|count| count as u64)).collect::<Vec<_>>(),
        "classes" => rows.iter().map(|row| row.classes.map(|count| count as u64)).collect::<Vec<_>>(),
        "partition" => column(|row| format!("{}: {}", row.partition, row.rule)),
        "labels" => column(labels),
        "MB" => rows.iter().map(|row| row.bytes.map(|bytes| bytes as f64 / 1e6)).collect::<Vec<_>>(),
        "licence" => column(|row| row.licence.clone()),
    )
}

fn labels(row: &Row) -> String {
    match row.levels.as_slice() {
        [first, second, .., last] if row.levels.len() > 9 => {
            format!("{first}, {second}, ... {last} ({} kinds)", row.levels.len())
        }
        levels => levels.join(", "),
    }
}

/// Numbers about the images of a dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Images that they are about.
    pub images: usize,
    /// The smallest, the median and the largest height, in pixels.
    pub heights: [usize; 3],
    /// The same of the widths.
    pub widths: [usize; 3],
    /// Grey images among them.
    pub grey: usize,
    /// The mean of red, green and blue over all pixels, from 0 to 1; an image of grey counts in all three.
    pub mean: [f64; 3],
    /// The standard deviation of each, over all pixels.
    pub deviation: [f64; 3],
}

/// Decodes every image and measures sizes and colours, on all threads.
///
/// # Errors
/// An image that cannot be decoded any more; no images; told to stop.
pub fn statistics(dataset: &Dataset) -> Result<Statistics, DatasetError> {
    let progress = SharedProgress::if_long(format!("measure {}", dataset.name()), dataset.len() as u64, "images");
    let one = |index: usize| {
        progress::check()?;
        let picture = dataset.image(index)?;
        let mut sums = [[0_u64; 2]; 3];
        for pixel in picture.pixels.chunks_exact(picture.channels) {
            for (channel, sums) in sums.iter_mut().enumerate() {
                let value = u64::from(pixel[channel.min(picture.channels - 1)]);
                sums[0] += value;
                sums[1] += value * value;
            }
        }
        progress.advance(1);
        Ok((picture.height, picture.width, picture.channels == 1, sums))
    };
    let found = (0..dataset.len()).into_par_iter().map(one).collect::<Result<Vec<_>, DatasetError>>()?;
    if found.is_empty() {
        return Err(DatasetError::Empty { name: dataset.name().to_owned(), partition: "of the sample".to_owned() });
    }
    let pixels: f64 = found.iter().map(|(height, width, ..)| (height * width) as f64).sum();
    // Whole numbers until here: the same sums in any order.
    let sum =
        |channel: usize, power: usize| found.iter().map(|(.., sums)| u128::from(sums[channel][power])).sum::<u128>();
    let mean: [f64; 3] = std::array::from_fn(|channel| sum(channel, 0) as f64 / pixels / 255.0);
    let deviation = std::array::from_fn(|channel| {
        let square = sum(channel, 1) as f64 / pixels / (255.0 * 255.0);
        (square - mean[channel] * mean[channel]).max(0.0).sqrt()
    });
    Ok(Statistics {
        images: found.len(),
        heights: spread(found.iter().map(|(height, ..)| *height).collect()),
        widths: spread(found.iter().map(|(_, width, ..)| *width).collect()),
        grey: found.iter().filter(|(_, _, grey, _)| *grey).count(),
        mean,
        deviation,
    })
}

/// [`statistics`] of several datasets, a row each: `dataset`, `images`, `left out` (bad ones), `height` and `width` (the
/// median where they differ, and the range), `mean` and `s.d.` of red, green and blue, from 0 to 1, or one number if
/// all images are grey.
///
/// # Errors
/// As [`statistics`]; no memory for the frame.
pub fn statistics_table(datasets: &[Dataset]) -> Result<DataFrame, DatasetError> {
    let found = datasets.iter().map(statistics).collect::<Result<Vec<_>, _>>()?;
    let size = |[least, median, most]: [usize; 3]| match least == most {
        true => median.to_string(),
        false => format!("{median} ({least} to {most})"),
    };
    let three = |values: [f64; 3]| match values.iter().all(|value| *value == values[0]) {
        true => format!("{:.3}", values[0]),
        false => values.map(|value| format!("{value:.3}")).join(", "),
    };
    let column = |of: &dyn Fn(&Statistics) -> String| found.iter().map(of).collect::<Vec<String>>();
    let frame = df!(
        "dataset" => datasets.iter().map(|dataset| dataset.name().to_owned()).collect::<Vec<_>>(),
        "images" => datasets.iter().map(|dataset| dataset.len() as u64).collect::<Vec<_>>(),
        "left out" => datasets.iter().map(|dataset| dataset.bad_images().len() as u64).collect::<Vec<_>>(),
        "height" => column(&|found| size(found.heights)),
        "width" => column(&|found| size(found.widths)),
        "mean" => column(&|found| three(found.mean)),
        "s.d." => column(&|found| three(found.deviation)),
    );
    frame.map_err(|source| DatasetError::Table { path: "statistics".into(), source })
}

/// The smallest, the median (the lower of two) and the largest.
fn spread(mut values: Vec<usize>) -> [usize; 3] {
    values.sort_unstable();
    [0, (values.len() - 1) / 2, values.len() - 1].map(|place| values[place])
}

/// A figure with images of each class, drawn with the seed; of many classes the ones with the first names that have images.
///
/// # Errors
/// An image that cannot be decoded any more; no images.
pub fn sheet(dataset: &Dataset, classes: usize, images: usize, seed: u64) -> Result<Figure, DatasetError> {
    let counts = dataset.class_counts();
    let chosen = (0..counts.len()).filter(|class| counts[*class] > 0).take(classes);
    let mut grid = plots::image_grid().title(dataset.name());
    for class in chosen {
        let members: Vec<usize> =
            (0..dataset.len()).filter(|index| dataset.labels()[*index] as usize == class).collect();
        let labels = vec![0; members.len()];
        let drawn = sample::stratified(&labels, images.min(members.len()), seed);
        let pictures = drawn.into_iter().map(|index| dataset.image(members[index])).collect::<Result<Vec<_>, _>>()?;
        grid = grid.row(&format!("{} ({})", dataset.classes()[class], counts[class]), pictures);
    }
    grid.draw().map_err(|source: PlotError| DatasetError::Inconsistent {
        name: dataset.name().to_owned(),
        what: source.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dataset_has_its_row() {
        let table = table().expect("a table");
        assert_eq!(table.height(), registry::rows().expect("rows").len());
        let column = |name: &str| table.column(name).expect("a column").clone();
        assert_eq!(column("in the study").str().expect("text").iter().filter(|text| *text == Some("yes")).count(), 26);
        let celeba = registry::find("celeba").expect("a row");
        assert_eq!(labels(&celeba), "identity, 5_o_Clock_Shadow, ... Young (41 kinds)");
    }

    #[test]
    fn numbers_about_pixels() {
        let classes = vec!["a".to_owned(), "b".to_owned(), "none".to_owned()];
        let dataset =
            Dataset::from_pixels("d", [2, 1, 2, 1], vec![0, 255, 255, 255], vec![1, 1], classes).expect("valid");
        let found = statistics(&dataset).expect("measured");
        assert_eq!((found.images, found.heights, found.widths, found.grey), (2, [1; 3], [2; 3], 2));
        assert_eq!(found.mean, [0.75; 3]);
        assert!((found.deviation[0] - 0.1875_f64.sqrt()).abs() < 1e-12, "{found:?}");
        assert_eq!(dataset.class_counts(), [0, 2, 0]);
        let message = statistics(&dataset.take(0)).expect_err("none").to_string();
        assert!(message.contains("there are no images"), "{message}");
        let svg = sheet(&dataset, 5, 1, 0).expect("drawn").svg;
        assert!(svg.contains("b (2)") && !svg.contains("a (0)"), "only classes with images");
        assert_eq!(spread(vec![5, 1, 9, 7]), [1, 5, 9]);
    }
}

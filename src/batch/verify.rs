//! `report datasets verify`: every image of a dataset is counted, decoded and checked.

use std::time::Instant;

use super::error::BatchError;
use crate::batch_job;
use crate::datasets::{self, BadImage, Dataset, LoadOptions, Partition, most_bad};
use crate::fs;

/// Columns of the longest bar of a histogram.
const LONGEST_BAR: usize = 40;
/// Classes that a histogram shows one by one.
const MOST_CLASSES: usize = 40;
/// Bars of a histogram of the sizes of more classes.
const BARS: usize = 10;
/// Classes and images of each on a sheet of samples.
const SHEET: (usize, usize) = (20, 8);

/// What was found, as text, and whether it is good.
pub(super) fn run(job: &batch_job::Verify) -> Result<(bool, String), BatchError> {
    let options = LoadOptions { partition: partition(&job.partition), level: job.level.clone(), allow_bad: 1.0 };
    let dataset = datasets::load_with(&job.name, &options)?;
    let (bad, all) = (dataset.bad_images(), dataset.len() + dataset.bad_images().len());
    let counts = dataset.class_counts();
    let present = counts.iter().filter(|count| **count > 0).count();
    let (name, level) = (dataset.name(), dataset.level());
    let mut text = format!("{name}: {all} images, {present} of {} classes ({level})\n", counts.len());
    if !dataset.is_empty() {
        text += &decoded(&dataset)?;
        text += &histogram(&dataset, &counts);
        let sheet = datasets::sheet(&dataset, SHEET.0, SHEET.1, 0)?;
        fs::write_atomic(&job.sheet, sheet.svg.as_bytes())?;
        text += &format!("samples: {}\n", job.sheet.display());
    }
    let most = most_bad(all, job.allow_bad);
    text += &errors(bad, most);
    Ok((bad.len() <= most, text))
}

/// The partition that an argument means.
pub(super) fn partition(name: &str) -> Partition {
    if name == "train" { Partition::Train } else { Partition::Evaluated }
}

/// Decodes every image again: sizes, colours, and how fast that was.
fn decoded(dataset: &Dataset) -> Result<String, BatchError> {
    let started = Instant::now();
    let found = datasets::statistics(dataset)?;
    let seconds = started.elapsed().as_secs_f64();
    let size = |sizes: [usize; 3]| match sizes {
        [least, _, most] if least == most => most.to_string(),
        [least, median, most] => format!("{least} to {most} (half below {median})"),
    };
    let mut text = format!("  height {}, width {}; {} grey\n", size(found.heights), size(found.widths), found.grey);
    let [red, green, blue] = found.mean;
    let [red_s, green_s, blue_s] = found.deviation;
    text +=
        &format!("  mean {red:.4} {green:.4} {blue:.4}, s.d. {red_s:.4} {green_s:.4} {blue_s:.4} (red, green, blue)\n");
    text += &format!("  decoded and checked in {seconds:.2} s: {:.0} images/s\n", dataset.len() as f64 / seconds);
    text += &format!("  BLAKE3 of images and labels {}\n", dataset.checksum());
    Ok(text)
}

/// The error table.
fn errors(bad: &[BadImage], most: usize) -> String {
    if bad.is_empty() {
        return "bad images: none\n".to_owned();
    }
    let verdict = if bad.len() <= most { "left out when it is loaded" } else { "too many: it is not loaded" };
    let mut text = format!("bad images: {}, of {most} allowed; {verdict}\n", bad.len());
    for BadImage { index, path, problem } in bad {
        text += &format!("  {index:>7}  {}: {problem}\n", path.display());
    }
    text
}

fn histogram(dataset: &Dataset, counts: &[usize]) -> String {
    let rows: Vec<(String, usize)> = match counts.len() <= MOST_CLASSES {
        true => dataset.classes().iter().cloned().zip(counts.iter().copied()).collect(),
        false => by_size(counts),
    };
    let title = if counts.len() <= MOST_CLASSES { "images of each class" } else { "classes by their number of images" };
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(LONGEST_BAR);
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let mut text = format!("{title}:\n");
    for (name, count) in rows {
        let name: String = name.chars().take(width).collect();
        let bar = "#".repeat((count * LONGEST_BAR).div_ceil(most));
        text += &format!("  {name:<width$}  {count:>6} {bar}\n");
    }
    text
}

/// How many classes have a number of images within each of ten equal ranges.
fn by_size(counts: &[usize]) -> Vec<(String, usize)> {
    let present: Vec<usize> = counts.iter().copied().filter(|count| *count > 0).collect();
    let (least, most) = (present.iter().min().copied().unwrap_or(0), present.iter().max().copied().unwrap_or(0));
    let step = (most - least + 1).div_ceil(BARS);
    let ranges =
        (0..BARS).map(|bar| (least + bar * step, least + (bar + 1) * step - 1)).filter(|(from, _)| *from <= most);
    let count = |(from, to): (usize, usize)| {
        let inside = present.iter().filter(|count| (from..=to).contains(*count)).count();
        let name = if from == to { from.to_string() } else { format!("{from} to {to}") };
        (name, inside)
    };
    ranges.map(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_classes_are_counted_by_their_size() {
        assert_eq!(by_size(&[3, 3, 0, 3]), [("3".to_owned(), 3)]);
        let found = by_size(&(1..=100).collect::<Vec<_>>());
        assert_eq!(
            (found.len(), found[0].clone(), found[9].clone()),
            (10, ("1 to 10".to_owned(), 10), ("91 to 100".to_owned(), 10))
        );
    }

    #[test]
    fn the_error_table_has_a_row_for_each() {
        let bad = [BadImage { index: 7, path: "a/b.jpg".into(), problem: "the JPEG file is truncated".to_owned() }];
        assert_eq!(
            errors(&bad, 0),
            "bad images: 1, of 0 allowed; too many: it is not loaded\n        7  a/b.jpg: the JPEG file is truncated\n"
        );
        assert!(errors(&bad, 1).contains("left out when it is loaded"));
        assert_eq!(errors(&[], 1), "bad images: none\n");
    }
}

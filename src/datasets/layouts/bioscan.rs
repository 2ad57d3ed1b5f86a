//! BIOSCAN-1M: one large table of names, from which the study's authors mend what is missing; lists of samples say which
//! are in a partition.

use std::borrow::Cow;
use std::collections::BTreeSet;

use polars::prelude::DataFrame;

use super::{Listed, Listing, level_of_names, table};
use crate::datasets::registry::{Partition, Row};
use crate::datasets::tree::Tree;
use crate::datasets::{DatasetError, Level};

const METADATA: &str = "BIOSCAN_Insect_Dataset_metadata.tsv";
const COLUMNS: [&str; 12] = [
    "sampleid",
    "uri",
    "phylum",
    "class",
    "order",
    "family",
    "subfamily",
    "tribe",
    "genus",
    "species",
    "image_file",
    "chunk_number",
];
/// The class of all that have none at a level, which the authors take for one more class.
const UNKNOWN: &str = "(unknown)";
/// What pandas takes for missing.
const MISSING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
];

pub(super) fn list(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let lists: &[&str] = match partition {
        Partition::Evaluated => &["seen_keys", "test_seen", "test_unseen", "test_unseen_keys"],
        Partition::Train => &["train_seen", "test_unseen_keys"],
    };
    let mut wanted = BTreeSet::new();
    for list in lists {
        let lines = tree.lines(&[&format!("{list}.txt"), &format!("CLIBD_partitioning/{list}.txt")])?;
        wanted.extend(lines.lines.into_iter().map(|(_, sample)| sample));
    }
    let path = tree.verified(METADATA)?;
    let frame = table::read_text(&path, &COLUMNS)?;
    let mut ranks = Ranks::read(&frame).map_err(|source| DatasetError::Table { path: path.clone(), source })?;
    ranks.mend();
    let is_chosen = |index: &usize| ranks.get("sampleid", *index).is_some_and(|sample| wanted.contains(sample));
    let chosen: Vec<usize> = (0..frame.height()).filter(is_chosen).collect();
    if chosen.is_empty() {
        return Err(DatasetError::Empty {
            name: row.name.clone(),
            partition: row.partition_name(partition).to_owned(),
        });
    }
    // Over all partitions, so that a number means the same in each.
    let level = |name: &String| {
        let names: Vec<&str> = (0..frame.height()).map(|index| ranks.get(name, index).unwrap_or(UNKNOWN)).collect();
        let all = level_of_names(name, &names);
        Level { labels: chosen.iter().map(|&index| all.labels[index]).collect(), ..all }
    };
    let levels = row.levels.iter().map(level).collect();
    let bases = ["bioscan/images/cropped_256", "images/cropped_256"];
    let base = tree.first_folder(&bases)?.unwrap_or(bases[0]);
    let image = |&index: &usize| {
        let (chunk, file) = (ranks.get("chunk_number", index), ranks.get("image_file", index));
        tree.image(&format!("{base}/part{}/{}", chunk.unwrap_or("?"), file.unwrap_or("?")))
    };
    let members = chosen.iter().map(image).collect::<Result<_, DatasetError>>()?;
    Ok(Listing { images: Listed::Members(members), levels })
}

/// The columns of the table; nothing for what is missing.
struct Ranks<'frame>(Vec<(&'static str, Vec<Option<Cow<'frame, str>>>)>);

impl<'frame> Ranks<'frame> {
    fn read(frame: &'frame DataFrame) -> Result<Ranks<'frame>, polars::prelude::PolarsError> {
        let mut columns = Vec::new();
        for name in COLUMNS {
            let texts = frame.column(name)?.str()?;
            let is_there = |text: &&str| !MISSING.contains(text) && *text != "not_classified";
            columns.push((name, texts.iter().map(|text| text.filter(is_there).map(Cow::Borrowed)).collect()));
        }
        Ok(Ranks(columns))
    }

    fn get(&self, column: &str, row: usize) -> Option<&str> {
        self.0.iter().find(|(name, _)| *name == column)?.1[row].as_deref()
    }

    fn set(&mut self, column: &str, row: usize, value: Option<Cow<'frame, str>>) {
        if let Some((_, values)) = self.0.iter_mut().find(|(name, _)| *name == column) {
            values[row] = value;
        }
    }

    /// As the authors do it, rank by rank: three genera get their tribes, species give their genus, and what is missing between
    /// two ranks gets a name that says so.
    fn mend(&mut self) {
        let rows = self.0.first().map_or(0, |(_, values)| values.len());
        let unassigned = |above: Option<&str>| above.map(|above| Cow::Owned(format!("unassigned {above}")));
        for row in 0..rows {
            let tribe = match self.get("genus", row) {
                Some("Asteia") => Some("Asteiini"),
                Some("Nemorilla") => Some("Winthemiini"),
                Some("Philaenus") => Some("Philaenini"),
                _ => None,
            };
            if tribe.is_some() {
                self.set("tribe", row, tribe.map(Cow::Borrowed));
            }
            if self.get("genus", row).is_none() {
                let genus = self.get("species", row).and_then(|species| species.split(' ').next());
                let genus = genus.map(|genus| Cow::Owned(genus.to_owned()));
                self.set("genus", row, genus);
            }
            if self.get("tribe", row).is_none() && self.get("genus", row).is_some() {
                let above = self.get("subfamily", row).or(self.get("family", row));
                let tribe = unassigned(above);
                self.set("tribe", row, tribe);
            }
            if self.get("subfamily", row).is_none() && self.get("tribe", row).is_some() {
                let subfamily = unassigned(self.get("family", row));
                self.set("subfamily", row, subfamily);
            }
        }
    }
}

//! Datasets whose labels are in the names of the files.

use super::{Listed, Listing, folders, level_of_numbers, wrong};
use crate::datasets::registry::{Partition, Row};
use crate::datasets::split::{TestSize, utkface as split};
use crate::datasets::tree::Tree;
use crate::datasets::{DatasetError, Level};

/// Images of UTKFace whose names lack a label; the authors of the study leave them out by name.
const INCOMPLETE: [&str; 3] = [
    "39_1_20170116174525125.jpg.chip.jpg",
    "61_1_20170109142408075.jpg.chip.jpg",
    "61_1_20170109150557335.jpg.chip.jpg",
];
const GENDERS: [&str; 2] = ["Male", "Female"];
const RACES: [&str; 5] = ["White", "Black", "Asian", "Indian", "Others"];

/// `AGE_GENDER_RACE_TIME.jpg.chip.jpg`; the partitions are those of the study's authors.
pub(super) fn utkface(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let folder = tree.first_folder(&["UTKFace", "."])?.unwrap_or(".");
    let mut images = tree.below(folder)?;
    // By name, wherever they lie: some copies have one folder more.
    images.iter_mut().for_each(|(path, _)| *path = path.rsplit('/').next().unwrap_or_default().to_owned());
    images.retain(|(name, _)| name.ends_with(".jpg") && !INCOMPLETE.contains(&name.as_str()));
    images.sort_by(|(left, _), (right, _)| left.cmp(right));
    let mut ages = Vec::with_capacity(images.len());
    let mut others = Vec::with_capacity(images.len());
    for (path, _) in &images {
        let mut words = path.split('.').next().unwrap_or_default().split('_');
        let mut number = || words.next().and_then(|word| word.trim().parse::<usize>().ok());
        let (age, gender, race) = (number(), number(), number());
        let known = |value: Option<usize>, count| value.filter(|value| *value < count);
        match (age, known(gender, GENDERS.len()), known(race, RACES.len()), words.next()) {
            (Some(age), Some(gender), Some(race), Some(_)) => {
                ages.push(age as i64);
                others.push((gender as i32, race as i32));
            }
            _ => return Err(wrong(row, format!("the name {path:?} should be AGE_GENDER_RACE_TIME.jpg.chip.jpg"))),
        }
    }
    // Fewer have no evenly spaced places.
    if images.len() < 8 {
        return Err(DatasetError::NoImages { path: tree.path(folder) });
    }
    let (order, is_test) = split(&ages);
    let wanted = partition == Partition::Evaluated;
    let chosen: Vec<usize> =
        order.iter().zip(&is_test).filter(|(_, is_test)| **is_test == wanted).map(|(index, _)| *index).collect();
    // Over all images, so that a number means the same in both partitions.
    let age = level_of_numbers(&row.levels[0], &ages);
    let level = |name: &str, classes: &[&str], of: fn(&(i32, i32)) -> i32| Level {
        name: name.to_owned(),
        classes: classes.iter().map(|class| (*class).to_owned()).collect(),
        labels: others.iter().map(of).collect(),
    };
    let levels = vec![age, level("gender", &GENDERS, |(gender, _)| *gender), level("race", &RACES, |(_, race)| *race)];
    let members = images.into_iter().map(|(_, member)| member).collect();
    let all = Listing { images: Listed::Members(members), levels };
    folders::check_all(row, &all)?;
    Ok(all.select(&chosen))
}

const TUMOURS: [&str; 8] = ["A", "F", "PT", "TA", "DC", "LC", "MC", "PC"];
const MAGNIFICATIONS: [&str; 4] = ["40", "100", "200", "400"];
const MALIGNANCIES: [&str; 2] = ["B", "M"];

/// `SOB_MALIGNANCY_TUMOUR-YEAR-SLIDE-MAGNIFICATION-NUMBER.png`; 40 % of the images, stratified, are the test partition.
pub(super) fn breakhis(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let folders = ["histology_slides/breast", "BreaKHis_v1/histology_slides/breast"];
    let folder = tree.first_folder(&folders)?.ok_or_else(|| tree.missing(&folders))?;
    let mut images = tree.below(folder)?;
    images.retain(|(path, _)| {
        let name = path.rsplit('/').next().unwrap_or_default();
        name.starts_with("SOB_") && name.ends_with(".png")
    });
    images.sort_by(|(left, _), (right, _)| left.cmp(right));
    if images.is_empty() {
        return Err(DatasetError::NoImages { path: tree.path(folder) });
    }
    let (mut tumours, mut magnifications, mut malignancies, mut slides) = (vec![], vec![], vec![], vec![]);
    for (path, _) in &images {
        let place = |names: &[&str], word: Option<&str>| {
            word.and_then(|word| names.iter().position(|name| *name == word)).map(|place| place as i32)
        };
        let name = path.rsplit('/').next().unwrap_or_default();
        let mut words = name.rsplit('_').next().unwrap_or_default().split('-');
        let (tumour, _, slide, magnification) = (words.next(), words.next(), words.next(), words.next());
        match (
            place(&TUMOURS, tumour),
            place(&MAGNIFICATIONS, magnification),
            place(&MALIGNANCIES, name.get(4..5)),
            slide,
        ) {
            (Some(tumour), Some(magnification), Some(malignancy), Some(slide)) => {
                tumours.push(tumour);
                magnifications.push(magnification);
                malignancies.push(malignancy);
                slides.push(slide.to_owned());
            }
            _ => {
                let form = "SOB_MALIGNANCY_TUMOUR-YEAR-SLIDE-MAGNIFICATION-NUMBER.png";
                return Err(wrong(row, format!("the name {path:?} should be {form}")));
            }
        }
    }
    let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
    let both = magnifications.iter().zip(&tumours).map(|(magnification, tumour)| magnification * 8 + tumour).collect();
    let names =
        MAGNIFICATIONS.iter().flat_map(|magnification| TUMOURS.map(|tumour| format!("{tumour} {magnification}x")));
    let level = |name: &str, classes, labels| Level { name: name.to_owned(), classes, labels };
    let levels = vec![
        level("tumour-magnification", names.collect(), both),
        level("tumour", texts(&TUMOURS), tumours),
        level("magnification", texts(&MAGNIFICATIONS), magnifications),
        level("malignancy", texts(&MALIGNANCIES), malignancies),
        super::level_of_names("slide", &slides),
    ];
    let members = images.into_iter().map(|(_, member)| member).collect();
    folders::divide(Listing { images: Listed::Members(members), levels }, row, TestSize::Share(0.4), partition)
}

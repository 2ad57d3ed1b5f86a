//! Datasets whose labels or partitions are lists in text files or MATLAB files.

use std::collections::{BTreeMap, BTreeSet};

use super::{Listing, level_of_numbers, numbered, wrong};
use crate::datasets::formats::mat::{self, MatError};
use crate::datasets::layouts::folders;
use crate::datasets::registry::{Partition, Row};
use crate::datasets::tree::{Lines, Tree};
use crate::datasets::{DatasetError, Level};

/// `PATH CLASS` a line, and a file that gives each class its number.
pub(super) fn places365(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let categories = tree.lines(&["categories_places365.txt"])?;
    let mut classes = vec![String::new(); categories.lines.len()];
    for (line, name, number) in categories.pairs()? {
        let place = number.parse().ok().and_then(|number: usize| classes.get_mut(number));
        match place {
            Some(place) if place.is_empty() => *place = name.to_owned(),
            _ => {
                return Err(
                    categories.wrong(line, format!("{number:?} is no number of its own below the number of classes"))
                );
            }
        }
    }
    numbered(&classes, |name| twice(&categories, name))?;
    let (list, folders): (_, &[&str]) = match partition {
        Partition::Evaluated => ("places365_val.txt", &["val_large", "val_256"]),
        Partition::Train => {
            ("places365_train_standard.txt", &["data_large_standard", "data_large", "data_256_standard", "data_256"])
        }
    };
    let list = tree.lines(&[list])?;
    let folder = folder_of(tree, folders)?;
    let (mut members, mut labels) = (Vec::new(), Vec::new());
    for (line, path, label) in list.pairs()? {
        let label =
            label.parse().ok().filter(|label: &i32| usize::try_from(*label).is_ok_and(|label| label < classes.len()));
        labels.push(label.ok_or_else(|| list.wrong(line, "its class is not in categories_places365.txt"))?);
        members.push(tree.image(&format!("{folder}/{path}"))?);
    }
    Ok(Listing::of_files(members, Level { name: row.levels[0].clone(), classes, labels }))
}

/// The first of several folders that is there.
fn folder_of<'name>(tree: &Tree, folders: &[&'name str]) -> Result<&'name str, DatasetError> {
    tree.first_folder(folders)?.ok_or_else(|| tree.missing(folders))
}

fn twice(lines: &Lines, name: &str) -> DatasetError {
    let same = |(_, line): &&(usize, String)| line.trim() == name || line.starts_with(&format!("{name} "));
    let line = lines.lines.iter().filter(same).nth(1).map_or(1, |(line, _)| *line);
    lines.wrong(line, format!("there are two classes {name:?}"))
}

/// Lists of variants, families and manufacturers, and for each partition and level a list `ID CLASS`.
pub(super) fn aircraft(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let data = folder_of(tree, &["fgvc-aircraft-2013b/data", "data"])?;
    let partition = if partition == Partition::Train { "train" } else { "test" };
    let mut ids: Vec<String> = Vec::new();
    let mut levels = Vec::new();
    for (level, names) in row.levels.iter().zip(["variants.txt", "families.txt", "manufacturers.txt"]) {
        let names = tree.lines(&[&format!("{data}/{names}")])?;
        let classes: Vec<String> = names.lines.iter().map(|(_, name)| name.trim().to_owned()).collect();
        let numbers = numbered(&classes, |name| twice(&names, name))?;
        let list = tree.lines(&[&format!("{data}/images_{level}_{partition}.txt")])?;
        let mut labelled = BTreeMap::new();
        for (line, id, class) in list.pairs()? {
            let number = numbers.get(class).ok_or_else(|| list.wrong(line, format!("there is no class {class:?}")))?;
            labelled.insert(id.to_owned(), *number);
            if levels.is_empty() {
                ids.push(id.to_owned());
            }
        }
        if list.lines.len() != ids.len() || labelled.len() != ids.len() {
            let what = format!(
                "it has {} images ({} different ones) instead of {}",
                list.lines.len(),
                labelled.len(),
                ids.len()
            );
            return Err(DatasetError::Lengths { path: list.path, what });
        }
        let label = |id: &String| {
            labelled.get(id).copied().ok_or_else(|| list.wrong(1, format!("the image {id} has no line in this file")))
        };
        let labels = ids.iter().map(label).collect::<Result<_, _>>()?;
        levels.push(Level { name: level.clone(), classes, labels });
    }
    let members = ids.iter().map(|id| tree.image(&format!("{data}/images/{id}.jpg"))).collect::<Result<_, _>>()?;
    Ok(Listing { images: super::Listed::Members(members), levels })
}

/// `CLASS/FILE` a line; the classes are the folders of images.
pub(super) fn dtd(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let base = folder_of(tree, &["dtd/images", "images", "dtd/dtd/images"])?.trim_end_matches("images");
    let list = if partition == Partition::Train { "train1.txt" } else { "test1.txt" };
    let list = tree.lines(&[&format!("{base}labels/{list}")])?;
    let paths = tree.below(&format!("{base}images"))?;
    let classes: BTreeSet<&str> = paths.iter().filter_map(|(path, _)| Some(path.split_once('/')?.0)).collect();
    let classes: Vec<String> = classes.into_iter().map(str::to_owned).collect();
    let numbers = numbered(&classes, |name| twice(&list, name))?;
    let (mut members, mut labels) = (Vec::new(), Vec::new());
    for (line, path) in &list.lines {
        let class = path.split('/').next().unwrap_or_default();
        let label =
            numbers.get(class).ok_or_else(|| list.wrong(*line, format!("there is no folder images/{class}")))?;
        labels.push(*label);
        members.push(tree.image(&format!("{base}images/{path}"))?);
    }
    Ok(Listing::of_files(members, Level { name: row.levels[0].clone(), classes, labels }))
}

/// Three files with a line an image, and one with the names of the classes.
pub(super) fn nabirds(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let base = tree.base(&["", "nabirds/"], "images.txt")?;
    let read = |name: &str| tree.lines(&[&format!("{base}{name}")]);
    let (images, labels) = (read("images.txt")?, read("image_class_labels.txt")?);
    let (parts, names) = (read("train_test_split.txt")?, read("classes.txt")?);
    let by_image = |lines: &Lines| -> Result<BTreeMap<String, i64>, DatasetError> {
        let mut found = BTreeMap::new();
        for (line, id, number) in lines.pairs()? {
            let number = number.trim().parse().map_err(|_| lines.wrong(line, format!("{number:?} is no number")))?;
            found.insert(id.to_owned(), number);
        }
        Ok(found)
    };
    let (class_of, part_of) = (by_image(&labels)?, by_image(&parts)?);
    let mut names_of = BTreeMap::new();
    for (line, id, name) in names.pairs()? {
        let id: i64 = id.parse().map_err(|_| names.wrong(line, format!("{id:?} is no number of a class")))?;
        names_of.insert(id, name.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    // Over all partitions, so that a number means the same in each.
    let used: Vec<i64> = class_of.values().copied().collect();
    let all = level_of_numbers(&row.levels[0], &used);
    let numbers: BTreeMap<i64, i32> = used.iter().copied().zip(all.labels.iter().copied()).collect();
    let wanted = i64::from(partition == Partition::Train);
    let (mut members, mut own) = (Vec::new(), Vec::new());
    for (line, id, path) in images.pairs()? {
        let part = part_of
            .get(id)
            .ok_or_else(|| images.wrong(line, format!("{id} has no line in {}", parts.path.display())))?;
        if *part != wanted {
            continue;
        }
        let class = class_of
            .get(id)
            .ok_or_else(|| images.wrong(line, format!("{id} has no line in {}", labels.path.display())))?;
        own.push(numbers[class]);
        members.push(tree.image(&format!("{base}images/{path}"))?);
    }
    // Inner nodes of the hierarchy may share a name with a class below them.
    let name = |id: &i64| names_of.get(id).map_or_else(|| id.to_string(), |name| format!("{name} [{id}]"));
    let mut classes: Vec<String> =
        numbers.keys().map(|id| names_of.get(id).cloned().unwrap_or_else(|| id.to_string())).collect();
    if numbered(&classes, |name| twice(&names, name)).is_err() {
        classes = numbers.keys().map(name).collect();
    }
    Ok(Listing::of_files(members, Level { name: row.levels[0].clone(), classes, labels: own }))
}

/// Three text files with a line an image: the partition, the identity, and forty attributes of -1 or 1.
pub(super) fn celeba(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let base = tree.base(&["", "celeba/"], "list_eval_partition.txt")?;
    let read = |name: &str| tree.lines(&[&format!("{base}{name}")]);
    let (parts, people, attributes) =
        (read("list_eval_partition.txt")?, read("identity_CelebA.txt")?, read("list_attr_celeba.txt")?);
    // A count and the names come first.
    let Some((_, names)) = attributes.lines.get(1) else {
        return Err(attributes.wrong(1, "the second line should be the names of attributes"));
    };
    let names: Vec<&str> = names.split_ascii_whitespace().collect();
    let rows = &attributes.lines[2..];
    for (path, found) in [(&people.path, people.lines.len()), (&attributes.path, rows.len())] {
        if found != parts.lines.len() {
            let what = format!("it has {found} images, but {} has {}", parts.path.display(), parts.lines.len());
            return Err(DatasetError::Lengths { path: path.clone(), what });
        }
    }
    let wanted = if partition == Partition::Train { "0" } else { "2" };
    let mut ids = Vec::new();
    let (mut members, mut chosen) = (Vec::new(), Vec::new());
    let mut values: Vec<Vec<i32>> = vec![Vec::new(); names.len()];
    let people_of = people.pairs()?;
    for (index, (_, image, part)) in parts.pairs()?.into_iter().enumerate() {
        let (line_of_person, name, id) = people_of[index];
        if name != image {
            return Err(people.wrong(line_of_person, format!("{name} should be {image}, as in the list of partitions")));
        }
        ids.push(id.trim().parse().map_err(|_| people.wrong(line_of_person, format!("{id:?} is no number")))?);
        if part.trim() != wanted {
            continue;
        }
        chosen.push(index);
        members.push(tree.image(&format!("{base}img_align_celeba/{image}"))?);
        let (line_of_attributes, text) = &rows[index];
        let mut words = text.split_ascii_whitespace();
        let same = words.next() == Some(image);
        let words: Vec<&str> = words.collect();
        if !same || words.len() != names.len() || words.iter().any(|word| !matches!(*word, "-1" | "1")) {
            let what = format!("it should be {image} and {} times -1 or 1", names.len());
            return Err(attributes.wrong(*line_of_attributes, what));
        }
        values.iter_mut().zip(words).for_each(|(values, word)| values.push(i32::from(word == "1")));
    }
    // Over all partitions, so that a number means the same in each.
    let people = level_of_numbers(&row.levels[0], &ids);
    let mut levels = vec![Level { labels: chosen.iter().map(|&index| people.labels[index]).collect(), ..people }];
    for (name, labels) in names.iter().zip(values) {
        let classes = vec![format!("not {name}"), (*name).to_owned()];
        levels.push(Level { name: (*name).to_owned(), classes, labels });
    }
    Ok(Listing { images: super::Listed::Members(members), levels })
}

/// MATLAB files with the classes of all images, and the numbers of those of each partition; both count from 1.
pub(super) fn flowers102(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let base = tree.base(&["", "flowers-102/"], "setid.mat")?;
    let read = |file: &str, variable: &str| {
        let (path, bytes) = tree.read_first(&[&format!("{base}{file}")])?;
        let numbers = mat::read(&bytes).and_then(|found| mat::variable(&found, variable)?.whole_numbers());
        numbers.map_err(|source| DatasetError::Mat { path, source })
    };
    let classes_of = read("imagelabels.mat", "labels")?;
    let images = read("setid.mat", if partition == Partition::Train { "trnid" } else { "tstid" })?;
    let all = level_of_numbers(&row.levels[0], &classes_of);
    let (mut members, mut labels) = (Vec::new(), Vec::new());
    for image in images {
        let place = image.checked_sub(1).and_then(|place| usize::try_from(place).ok());
        let label = place.and_then(|place| all.labels.get(place));
        labels.push(
            *label.ok_or_else(|| wrong(row, format!("setid.mat has the image {image}, imagelabels.mat has not")))?,
        );
        let path = format!("{base}jpg/image_{image:05}.jpg");
        members.push(tree.image(&path)?);
    }
    Ok(Listing::of_files(members, Level { labels, ..all }))
}

/// Class folders, or a MATLAB file with a struct an image.
pub(super) fn stanford_cars(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let (folder, annotations, images) = match partition {
        Partition::Evaluated => ("test", "cars_test_annos_withlabels.mat", "cars_test"),
        Partition::Train => ("train", "devkit/cars_train_annos.mat", "cars_train"),
    };
    // In no archive.
    if tree.root().join(folder).is_dir() {
        return folders::of_folder(tree, folder, &row.levels[0]);
    }
    let base = tree.base(&["", "stanford_cars/"], "devkit/cars_meta.mat")?;
    let images = folder_of(tree, &[&format!("{base}{images}/{images}"), &format!("{base}{images}")])
        .map(str::to_owned)
        .map_err(|_| tree.missing(&[images]))?;
    let names = in_mat(tree, &format!("{base}devkit/cars_meta.mat"), |variables| {
        let names = mat::variable(variables, "class_names")?.cells()?;
        names.iter().map(|name| Ok(name.text()?.to_owned())).collect::<Result<Vec<String>, MatError>>()
    })?;
    let found = in_mat(tree, &format!("{base}{annotations}"), |variables| {
        let annotations = mat::variable(variables, "annotations")?;
        let (classes, files) = (annotations.field("class")?, annotations.field("fname")?);
        let pair = |(class, file): (&mat::Item, &mat::Item)| Ok((class.whole_number()?, file.text()?.to_owned()));
        classes.iter().zip(&files).map(pair).collect::<Result<Vec<(i64, String)>, MatError>>()
    })?;
    numbered(&names, |name| wrong(row, format!("cars_meta.mat has two classes {name:?}")))?;
    let (mut members, mut labels) = (Vec::new(), Vec::new());
    for (class, file) in found {
        let label = class.checked_sub(1).and_then(|label| i32::try_from(label).ok());
        let label = label.filter(|label| usize::try_from(*label).is_ok_and(|label| label < names.len()));
        labels.push(
            label.ok_or_else(|| wrong(row, format!("{file} has the class {class}, but there are {}", names.len())))?,
        );
        let path = format!("{images}/{file}");
        members.push(tree.image(&path)?);
    }
    Ok(Listing::of_files(members, Level { name: row.levels[0].clone(), classes: names, labels }))
}

/// What is taken from the variables of a MATLAB file.
fn in_mat<T>(
    tree: &Tree,
    path: &str,
    take: impl FnOnce(&[(String, mat::Value)]) -> Result<T, MatError>,
) -> Result<T, DatasetError> {
    let (path, bytes) = tree.read_first(&[path])?;
    mat::read(&bytes).and_then(|variables| take(&variables)).map_err(|source| DatasetError::Mat { path, source })
}

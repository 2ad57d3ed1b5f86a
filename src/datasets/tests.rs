//! Datasets made from pixels, and the real ones that are here; `fixtures` has those of all other formats.

use super::*;

mod fixtures;
mod hostile;

#[test]
fn made_from_pixels() {
    let dataset = small();
    assert_eq!((dataset.len(), dataset.shape()), (4, Some([1, 2, 1])));
    let image = dataset.image(2).expect("in memory");
    assert_eq!((&*image.pixels, image.height, image.width, dataset.class(2)), ([4, 5].as_slice(), 1, 2, "b"));
    assert_eq!(format!("{dataset:?}"), "Dataset { small: 4 images of 1 x 2 x 1, 2 classes }");
    let first = dataset.take(2);
    assert_eq!((first.len(), first.labels(), first.content(1)), (2, [0, 1].as_slice(), [2, 3].as_slice()));
    assert_eq!(dataset.take(99).checksum(), dataset.checksum());
    assert!(dataset.take(0).is_empty());
    let sample = dataset.sample(2, 3).expect("small enough");
    assert_eq!(sample.labels().iter().sum::<i32>(), 1, "one of each class");
    assert_eq!(sample.take(1).content(0), sample.content(0), "a part of a part");
    let message = dataset.sample(5, 3).expect_err("too many").to_string();
    assert_eq!(message, "n = 5: the small has only 4 images");
    assert!(dataset.train().expect_err("no partition").to_string().contains("made from pixels"));
    assert_eq!((dataset.levels(), dataset.level()), (vec!["class"], "class"));
    let message = dataset.with_level("colour").expect_err("no such level").to_string();
    assert_eq!(message, "small: there are no labels `colour`; there are class");
}

#[test]
fn the_checksum_sees_pixels_labels_and_shape_but_no_name() {
    let make = |name: &str, shape: [usize; 4], first: u8, label: i32| {
        let classes = vec!["a".to_owned(), "b".to_owned()];
        Dataset::from_pixels(name, shape, vec![first, 1, 2, 3], vec![label], classes)
            .expect("valid")
            .checksum()
            .to_owned()
    };
    let one = make("x", [1, 2, 2, 1], 0, 0);
    assert_eq!(one, make("y", [1, 2, 2, 1], 0, 0));
    assert_ne!(one, make("x", [1, 2, 2, 1], 9, 0));
    assert_ne!(one, make("x", [1, 2, 2, 1], 0, 1));
    assert_ne!(one, make("x", [1, 1, 4, 1], 0, 0));
}

#[test]
fn what_does_not_fit_is_named() {
    let classes = || vec!["a".to_owned()];
    for (shape, pixels, labels, expected) in [
        ([1, 2, 2, 1], 3, vec![0], "3 bytes of pixels for the shape [1, 2, 2, 1]"),
        ([1, usize::MAX, 2, 1], 3, vec![0], "3 bytes of pixels"),
        ([1, 2, 2, 2], 8, vec![0], "2 channels"),
        ([1, 0, 2, 1], 0, vec![0], "0 x 2 pixels"),
        ([1, 2, 2, 1], 4, vec![0, 0], "2 labels for 1 images"),
        ([1, 2, 2, 1], 4, vec![1], "image 0 has the label 1, but there are 1 classes"),
        ([1, 2, 2, 1], 4, vec![-1], "image 0 has the label -1"),
    ] {
        let error = Dataset::from_pixels("d", shape, vec![0; pixels], labels, classes()).expect_err("invalid");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn names_and_files_that_are_not_there() {
    let message = load("cifar-10").expect_err("unknown").to_string();
    assert_eq!(message, "there is no dataset `cifar-10`; `report datasets` lists them; did you mean `cifar10`?");
    let folder = fs::TestFolder::new("datasets-missing");
    let row = registry::find("mnist").expect("registered");
    let load = || load_from(&folder.0, &row, &LoadOptions::default());
    let message = load().expect_err("missing").to_string();
    let place = folder.0.join("mnist");
    let expected = format!("{}; `report fetch datasets mnist` fetches it or says how to get it", place.display());
    assert_eq!(message, format!("mnist: it is not in {expected}"));
    std::fs::create_dir(&place).expect("made");
    std::fs::write(place.join("t10k-images-idx3-ubyte"), [0, 0, 8, 1, 0, 0, 0, 0]).expect("a file");
    let message = load().expect_err("not the file").to_string();
    assert!(message.contains("t10k-images-idx3-ubyte: its SHA-256 is") && message.contains("0fa7898d"), "{message}");
}

/// Needs `report fetch datasets`; says so and passes where that was not done.
#[test]
fn the_real_ones() {
    for (name, mean) in [("mnist", 33.79), ("fashion-mnist", 73.15)] {
        let dataset = match load(name) {
            Err(DatasetError::Missing { folder, .. }) => {
                eprintln!("left out: {name} is not in {}", folder.display());
                continue;
            }
            dataset => dataset.expect("whole"),
        };
        assert_eq!((dataset.len(), dataset.shape(), dataset.classes().len()), (10_000, Some([28, 28, 1]), 10));
        let found = statistics(&dataset).expect("measured").mean[0] * 255.0;
        assert!((found - mean).abs() < 0.01, "{name}: mean pixel {found}");
        let sample = dataset.sample(1000, 1).expect("small enough");
        let zeros = |dataset: &Dataset| dataset.labels().iter().filter(|label| **label == 0).count();
        assert!((zeros(&dataset) / 10).abs_diff(zeros(&sample)) <= 1);
        if name == "mnist" {
            let train = dataset.train().expect("whole");
            assert_eq!((train.len(), train.name()), (60_000, "mnist train"));
            assert_eq!(train.test().checksum(), dataset.checksum());
        } else {
            let sketch = load("fashion-mnist-sketch").expect("made from it");
            assert_eq!((sketch.labels(), sketch.shape()), (dataset.labels(), dataset.shape()));
            assert_ne!(sketch.checksum(), dataset.checksum());
        }
    }
}

fn small() -> Dataset {
    let classes = vec!["a".to_owned(), "b".to_owned()];
    Dataset::from_pixels("small", [4, 1, 2, 1], (0..8).collect(), vec![0, 1, 1, 0], classes).expect("valid")
}

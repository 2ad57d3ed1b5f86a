//! Splits into training and test samples, index for index those of scikit-learn and of `zs-ssl-clustering`.

use std::collections::BTreeMap;

use super::numpy::{RandomState, quick_argsort};

/// Why samples cannot be split.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SplitError {
    /// The test size is no share, or no number below that of the samples.
    #[error(
        "test = {test:?}: must be a share between 0 and 1, or a number from 1 to one less than the {samples} samples"
    )]
    Size {
        /// What was asked for.
        test: TestSize,
        /// The number of samples.
        samples: usize,
    },
    /// No sample is left for training.
    #[error("test = {test:?} of {samples} samples leaves none for training")]
    NoTraining {
        /// What was asked for.
        test: TestSize,
        /// The number of samples.
        samples: usize,
    },
    /// A class that cannot be in both parts.
    #[error("class {label} has only 1 sample; each needs 2 or more")]
    Alone {
        /// The smallest label of such a class.
        label: i32,
    },
    /// A part that cannot have a sample of each class.
    #[error("{size} {part} samples are fewer than the {classes} classes")]
    TooSmall {
        /// The part: `training` or `test`.
        part: &'static str,
        /// Its number of samples.
        size: usize,
        /// The number of classes.
        classes: usize,
    },
}

/// How many of the samples are for testing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TestSize {
    /// This share of them, between 0 and 1, rounded up.
    Share(f64),
    /// This number of them.
    Number(usize),
}

/// Training and test indices, each class in proportion: `train_test_split(arange(n), test_size=test,
/// random_state=seed, stratify=labels)` of scikit-learn 1.9, the order of the indices included.
///
/// # Errors
/// Those of scikit-learn: a size out of range, a class with 1 sample, a part smaller than the number of classes.
pub fn train_test_split(labels: &[i32], test: TestSize, seed: u32) -> Result<(Vec<usize>, Vec<usize>), SplitError> {
    let test_size = test_size(labels.len(), test)?;
    let training_size = labels.len() - test_size;
    let mut classes: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for (index, label) in labels.iter().enumerate() {
        classes.entry(*label).or_default().push(index);
    }
    if let Some((&label, _)) = classes.iter().find(|(_, members)| members.len() < 2) {
        return Err(SplitError::Alone { label });
    }
    for (part, size) in [("training", training_size), ("test", test_size)] {
        if size < classes.len() {
            return Err(SplitError::TooSmall { part, size, classes: classes.len() });
        }
    }
    let mut state = RandomState::new(seed);
    let counts: Vec<usize> = classes.values().map(Vec::len).collect();
    let training_counts = approximate_mode(&counts, training_size, &mut state);
    let left: Vec<usize> = counts.iter().zip(&training_counts).map(|(all, taken)| all.saturating_sub(*taken)).collect();
    let test_counts = approximate_mode(&left, test_size, &mut state);
    let (mut training, mut testing) = (Vec::with_capacity(training_size), Vec::with_capacity(test_size));
    for ((members, for_training), for_test) in classes.values().zip(training_counts).zip(test_counts) {
        let mut shuffled = state.permutation(members.len()).into_iter().map(|index| members[index]);
        training.extend(shuffled.by_ref().take(for_training));
        testing.extend(shuffled.take(for_test));
    }
    state.shuffle(&mut training);
    state.shuffle(&mut testing);
    Ok((training, testing))
}

/// The number of test samples (`_validate_shuffle_split`).
fn test_size(samples: usize, test: TestSize) -> Result<usize, SplitError> {
    let size = match test {
        TestSize::Share(share) if share > 0.0 && share < 1.0 => (share * samples as f64).ceil() as usize,
        TestSize::Number(number) if number > 0 && number < samples => number,
        _ => return Err(SplitError::Size { test, samples }),
    };
    if size >= samples { Err(SplitError::NoTraining { test, samples }) } else { Ok(size) }
}

/// `n` draws divided among classes in proportion to `counts`; equal remainders are drawn from (`_approximate_mode`).
///
/// In floating point, as there, so that the same remainders are equal.
fn approximate_mode(counts: &[usize], n: usize, state: &mut RandomState) -> Vec<usize> {
    let total = counts.iter().sum::<usize>() as f64;
    let exact: Vec<f64> = counts.iter().map(|&count| count as f64 / total * n as f64).collect();
    let mut drawn: Vec<usize> = exact.iter().map(|share| share.floor() as usize).collect();
    let mut missing = n.saturating_sub(drawn.iter().sum());
    let remainders: Vec<f64> = exact.iter().map(|share| share - share.floor()).collect();
    let mut values = remainders.clone();
    values.sort_by(|a, b| b.total_cmp(a));
    values.dedup();
    for value in values {
        if missing == 0 {
            break;
        }
        let equal: Vec<usize> = (0..counts.len()).filter(|class| remainders[*class] == value).collect();
        // A draw even where all are taken: the generator must move on.
        for index in state.choice(equal.len(), missing) {
            drawn[equal[index]] += 1;
        }
        missing -= missing.min(equal.len());
    }
    drawn
}

/// The order by age of UTKFace's images, and for each place in that order whether the image is for testing.
///
/// `ages` are those of the images in the order of their names. The rule is that of `zs-ssl-clustering`,
/// `datasets/utkface.py`: every fourth image in the order by age, but each age keeps an image for training.
pub fn utkface(ages: &[i64]) -> (Vec<usize>, Vec<bool>) {
    let order = quick_argsort(ages);
    let mut is_test = vec![false; ages.len()];
    for place in evenly_spaced(ages.len()) {
        is_test[place] = true;
    }
    let mut places: Vec<usize> = (0..ages.len()).collect();
    for same_age in places.chunk_by_mut(|a, b| ages[order[*a]] == ages[order[*b]]) {
        if same_age.iter().all(|place| is_test[*place]) {
            is_test[same_age[0]] = false;
        }
    }
    (order, is_test)
}

/// `round(linspace(2, n - 3, n // 4))` of NumPy: half to even, and the last one exactly `n - 3`.
fn evenly_spaced(n: usize) -> Vec<usize> {
    let count = n / 4;
    let (start, stop) = (2.0, n as f64 - 3.0);
    let step = (stop - start) / (count as f64 - 1.0);
    (0..count)
        .map(|index| match index {
            0 => start,
            _ if index + 1 == count => stop,
            _ => index as f64 * step + start,
        })
        .map(|place| place.round_ties_even() as usize)
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::Value;
    use sha2::{Digest as _, Sha256};

    #[test]
    fn splits_are_those_of_scikit_learn() {
        for case in golden()["split"].as_array().expect("cases") {
            let (training, testing) = split(case).expect("a good case");
            assert_eq!(Some(testing.len() as u64), case["n_held"].as_u64(), "{case}");
            assert_eq!(sha256(&training), case["train"], "{case}");
            assert_eq!(sha256(&testing), case["held"], "{case}");
        }
    }

    #[test]
    fn refuses_what_scikit_learn_refuses() {
        for case in golden()["refused"].as_array().expect("cases") {
            let error = split(case).expect_err("a bad case");
            let theirs = case["message"].as_str().expect("message");
            let begins = match error {
                SplitError::Size { .. } => "test_size=",
                SplitError::NoTraining { .. } => "With n_samples=",
                SplitError::Alone { .. } => "The least populated classes",
                SplitError::TooSmall { part: "training", .. } => "The train_size =",
                SplitError::TooSmall { .. } => "The test_size =",
            };
            // Before its own check, scikit-learn has one for the types of parameters, with another message.
            let parameter = theirs.starts_with("The 'test_size' parameter") && begins == "test_size=";
            assert!(parameter || theirs.starts_with(begins), "{error}: {case}");
        }
        let error = train_test_split(&[1, 1], TestSize::Share(f64::NAN), 0).expect_err("no number").to_string();
        assert!(error.starts_with("test = Share(NaN): must be a share between 0 and 1"), "{error}");
    }

    #[test]
    fn utkface_is_split_as_by_its_authors() {
        for case in golden()["utkface"].as_array().expect("cases") {
            let (order, is_test) = utkface(&values(case));
            assert_eq!(sha256(&order), case["order"], "{case}");
            let is_test: Vec<usize> = is_test.into_iter().map(usize::from).collect();
            assert_eq!(sha256(&is_test), case["is_test"], "{case}");
        }
        assert_eq!(utkface(&[30, 20, 10]), (vec![2, 1, 0], vec![false; 3]));
        assert_eq!(utkface(&[]), (vec![], vec![]));
    }

    fn split(case: &Value) -> Result<(Vec<usize>, Vec<usize>), SplitError> {
        let labels: Vec<i32> = values(case).into_iter().map(|value| value as i32).collect();
        let test = &case["test"];
        let share = || TestSize::Share(test.as_f64().expect("number"));
        let size = test.as_u64().map_or_else(share, |number| TestSize::Number(number as usize));
        train_test_split(&labels, size, case["seed"].as_u64().expect("seed") as u32)
    }

    /// Made by `tests/golden/splits.py`.
    pub(in super::super) fn golden() -> Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/splits.json");
        serde_json::from_str(&std::fs::read_to_string(path).expect("golden values")).expect("JSON")
    }

    /// The input of a case, by the rule in `splits.py`.
    pub(in super::super) fn values(case: &Value) -> Vec<i64> {
        if case["values"].is_array() {
            return numbers(&case["values"]);
        }
        let [n, m] = ["n", "m"].map(|key| case[key].as_i64().expect("number"));
        let mut state = 1_u64;
        let value = |i: i64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let draw = (state >> 33) as i64 % m;
            match case["kind"].as_str().expect("kind") {
                "draw" => draw,
                "skew" => draw * draw / m,
                "cycle" => i % m,
                "sorted" => i / m,
                "reversed" => (n - i) / m,
                _ => i.min(n - i) / m,
            }
        };
        (0..n).map(value).collect()
    }

    pub(in super::super) fn numbers<T: serde::de::DeserializeOwned>(values: &Value) -> Vec<T> {
        serde_json::from_value(values.clone()).expect("numbers")
    }

    /// The first 16 digits of the SHA-256 of the numbers as little-endian 64-bit words.
    pub(in super::super) fn sha256(order: &[usize]) -> String {
        let bytes: Vec<u8> = order.iter().flat_map(|index| (*index as u64).to_le_bytes()).collect();
        Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

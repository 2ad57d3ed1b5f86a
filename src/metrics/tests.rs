//! All scores at once: golden values, properties, a naive twin.

use serde_json::Value;

use super::*;
use crate::golden;

/// Every score by its name in the golden files.
fn all(truth: &[i32], found: &[i32]) -> Vec<(&'static str, f64)> {
    let table = Contingency::new(truth, found).expect("equal lengths");
    vec![
        ("ami", table.adjusted_mutual_info(Average::Arithmetic)),
        ("ami_min", table.adjusted_mutual_info(Average::Min)),
        ("ami_max", table.adjusted_mutual_info(Average::Max)),
        ("ami_geometric", table.adjusted_mutual_info(Average::Geometric)),
        ("nmi", table.normalized_mutual_info(Average::Arithmetic)),
        ("nmi_min", table.normalized_mutual_info(Average::Min)),
        ("nmi_max", table.normalized_mutual_info(Average::Max)),
        ("nmi_geometric", table.normalized_mutual_info(Average::Geometric)),
        ("expected_mi", table.expected_mutual_info()),
        ("mi", table.mutual_info()),
        ("ari", table.adjusted_rand()),
        ("rand", table.rand()),
        ("fmi", table.fowlkes_mallows()),
        ("homogeneity", table.homogeneity()),
        ("completeness", table.completeness()),
        ("v_measure", table.v_measure(1.0)),
        ("purity", table.purity()),
        ("hungarian_accuracy", table.hungarian_accuracy()),
        ("n_true", table.classes() as f64),
        ("n_pred", table.clusters() as f64),
    ]
}

fn check_case(case: &Value, truth: &[i32], found: &[i32], relative: f64, absolute: f64) {
    let name = golden::text(&case["name"]);
    let table = Contingency::new(truth, found).expect("equal lengths");
    let mut checked = 0;
    for (score, value) in all(truth, found) {
        let Some(expected) = case["expect"].get(score) else { continue };
        let least_entropy = table.entropy_true().min(table.entropy_pred());
        if score == "ami_min" && (least_entropy - table.expected_mutual_info()).abs() < 1e-12 {
            // 0 / 0 but for rounding: scikit-learn's 0.67, -1 and so on mean nothing.
            assert!(value == 0.0 || value == 1.0, "{name} {score}: {value}");
            continue;
        }
        golden::close(value, golden::number(expected), relative, absolute, &format!("{name} {score}"));
        checked += 1;
    }
    assert!(checked >= 12, "{name}: {checked} scores checked");
}

#[test]
fn golden_small() {
    let cases = golden::cases("external_metrics.json");
    for case in &cases {
        check_case(case, &golden::labels(&case["true"]), &golden::labels(&case["pred"]), 0.0, 1e-10);
    }
    assert_eq!(cases.len(), 38);
}

#[test]
fn golden_large() {
    for case in golden::cases("external_metrics_large.json") {
        let (truth, found) = (made(&case["true"]), made(&case["pred"]));
        // Absolute for AMI near 0: scikit-learn's expected value is good to about 1e-11 there.
        check_case(&case, &truth, &found, 1e-9, 1e-10);
    }
}

/// Labels made by the rule in the golden file, checked against its first labels and their sum.
fn made(side: &Value) -> Vec<i32> {
    let labels = by_rule(&side["splitmix"]);
    assert_eq!(labels[..8], golden::labels(&side["first8"]));
    let sum: i64 = labels.iter().map(|&label| i64::from(label)).sum();
    assert_eq!(sum, side["sum"].as_i64().expect("a sum"));
    labels
}

fn by_rule(rule: &Value) -> Vec<i32> {
    let (n, m) = (rule["n"].as_u64().expect("n"), rule["m"].as_u64().expect("m"));
    let seed = rule["seed"].as_u64().expect("seed");
    let independent = |at: u64| ((splitmix(seed, at) >> 11) % m) as i32;
    let Some(base_rule) = rule.get("base") else { return (0..n).map(independent).collect() };
    let (base, base_m) = (by_rule(base_rule), base_rule["m"].as_u64().expect("m"));
    let keep = rule["keep_pct"].as_u64().expect("keep_pct");
    let kept = |at: u64| splitmix(seed ^ 0x00AB_CDEF, at) % 100 < keep;
    let mapped = |at: u64| (base[at as usize] as u64 * m / base_m) as i32;
    (0..n).map(|at| if kept(at) { mapped(at) } else { independent(at) }).collect()
}

/// Number `at` of the splitmix64 sequence.
fn splitmix(seed: u64, at: u64) -> u64 {
    let z = seed.wrapping_add((at + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Small labellings of all kinds: random ones, one label, all distinct, noise.
fn labellings(n: usize) -> Vec<Vec<i32>> {
    let random = |seed: u64, m: u64| (0..n as u64).map(move |at| (splitmix(seed, at) >> 11) % m);
    let mut all: Vec<Vec<i32>> = Vec::new();
    for seed in 0..6 {
        all.push(random(seed, seed + 2).map(|label| label as i32 - 1).collect());
        all.push(random(seed + 100, 3 * seed + 2).map(|label| (label as i32 - 3) * 1_000_000).collect());
    }
    all.push(vec![4; n]);
    all.push((0..n as i32).rev().collect());
    all.push((0..n as i32).map(|label| label / 2).collect());
    all
}

#[test]
fn properties_of_every_score() {
    const SYMMETRIC: &[&str] =
        &["ami", "ami_min", "ami_max", "ami_geometric", "nmi", "nmi_min", "nmi_max", "nmi_geometric", "expected_mi"];
    const ALSO_SYMMETRIC: &[&str] = &["mi", "ari", "rand", "fmi", "v_measure"];
    for truth in &labellings(40) {
        for found in &labellings(40) {
            let renamed: Vec<i32> = found.iter().map(|&label| 7 - 3 * (label % 1000) - label / 1000).collect();
            let (scores, swapped) = (all(truth, found), all(found, truth));
            for (at, &(score, value)) in scores.iter().enumerate() {
                let renamed = all(truth, &renamed)[at].1;
                assert!((renamed - value).abs() < 1e-12, "{score} {value} becomes {renamed} by other label names");
                if SYMMETRIC.contains(&score) || ALSO_SYMMETRIC.contains(&score) {
                    assert!((swapped[at].1 - value).abs() < 1e-12, "{score} is not symmetric");
                }
                let bounds = match score {
                    "mi" | "expected_mi" | "n_true" | "n_pred" => 0.0..=40.0,
                    "ari" => -0.5..=1.0,
                    "ami" | "ami_max" | "ami_geometric" | "ami_min" => f64::NEG_INFINITY..=1.0 + 1e-12,
                    _ => 0.0..=1.0 + 1e-12,
                };
                assert!(bounds.contains(&value), "{score} = {value}");
            }
        }
        for (score, value) in all(truth, truth) {
            if !["mi", "expected_mi", "fmi", "n_true", "n_pred"].contains(&score) {
                assert!((value - 1.0).abs() < 1e-12, "{score} of a labelling with itself is {value}");
            }
        }
    }
}

#[test]
fn equal_a_count_of_all_pairs() {
    for truth in &labellings(17) {
        for found in &labellings(17) {
            let (mut both, mut classes, mut clusters, mut agreed) = (0.0, 0.0, 0.0, 0.0);
            for a in 0..17 {
                for b in 0..a {
                    let (class, cluster) = (truth[a] == truth[b], found[a] == found[b]);
                    both += f64::from(class && cluster);
                    classes += f64::from(class);
                    clusters += f64::from(cluster);
                    agreed += f64::from(class == cluster);
                }
            }
            let pairs = 17.0 * 16.0 / 2.0;
            let table = Contingency::new(truth, found).expect("equal lengths");
            golden::close(table.rand(), agreed / pairs, 1e-12, 0.0, "rand");
            let (chance, most) = (classes * clusters / pairs, (classes + clusters) / 2.0);
            let adjusted = if most == chance { 1.0 } else { (both - chance) / (most - chance) };
            golden::close(table.adjusted_rand(), adjusted, 1e-12, 1e-15, "ari");
            let fowlkes_mallows = if both == 0.0 { 0.0 } else { both / f64::sqrt(classes * clusters) };
            golden::close(table.fowlkes_mallows(), fowlkes_mallows, 1e-12, 0.0, "fmi");
        }
    }
}

#[test]
fn edges_are_those_of_scikit_learn() {
    for (score, value) in all(&[], &[]) {
        let expected = if ["mi", "expected_mi", "fmi", "n_true", "n_pred"].contains(&score) { 0.0 } else { 1.0 };
        assert_eq!(value, expected, "{score} of nothing");
    }
    assert_eq!(adjusted_mutual_info_score(&[0, 0, 1, 1], &[1, 1, -1, -1]), Ok(1.0));
    assert_eq!(adjusted_mutual_info_score(&[0, 1, 2, 3], &[5, 5, 5, 5]), Ok(0.0));
    assert_eq!(adjusted_rand_score(&[0, 0, 1, 1], &[0, 1, 0, 1]), Ok(-0.5));
    assert_eq!(rand_score(&[3], &[3]), Ok(1.0));
    assert_eq!(purity_score(&[0, 0, 1, 1], &[0, 0, 0, 1]), Ok(0.75));
    assert_eq!(mutual_info_score(&[0, 1], &[i32::MIN, i32::MAX]).map(f64::exp), Ok(2.0));
    assert_eq!(normalized_mutual_info_score(&[0, 0, 1, 1], &[0, 1, 0, 1]), Ok(0.0));
    assert_eq!(homogeneity_score(&[0, 0], &[0, 1]), Ok(1.0));
    assert_eq!(completeness_score(&[0, 0], &[0, 1]), Ok(0.0));
    assert_eq!(v_measure_score(&[0, 0], &[0, 1]), Ok(0.0));
    assert_eq!(fowlkes_mallows_score(&[0, 0], &[1, 1]), Ok(1.0));
    assert_eq!(expected_mutual_information(&[0, 0], &[0, 1]), Ok(0.0));
    let error = adjusted_rand_score(&[0, 1], &[0]).expect_err("other lengths");
    assert_eq!(error.to_string(), "labels_true has 2 labels, but labels_pred has 1");
}

/// Accuracy of each labelling with the other by a dense assignment, and all scores against their own methods.
#[test]
fn accuracy_and_all_scores() {
    for truth in &labellings(40) {
        for found in &labellings(40) {
            let table = Contingency::new(truth, found).expect("equal lengths");
            let matrix = table.matrix().expect("small");
            let counts: Vec<f64> = matrix.counts.iter().map(|&count| count as f64).collect();
            let columns = matrix.clusters.len();
            let pairs = linear_sum_assignment(&counts, matrix.classes.len(), columns).expect("finite");
            let total: f64 = pairs.iter().map(|&(class, cluster)| counts[class * columns + cluster]).sum();
            assert_eq!(clustering_accuracy(truth, found), Ok(total / 40.0));
            assert_eq!(clustering_accuracy(found, truth), Ok(total / 40.0));
            assert_eq!(matrix.classes, table.class_labels());
            for (at, (&class, &cluster)) in truth.iter().zip(found).enumerate() {
                let row = matrix.classes.binary_search(&class).expect("a class");
                let column = matrix.clusters.binary_search(&cluster).expect("a cluster");
                let times = truth.iter().zip(found).filter(|pair| *pair == (&class, &cluster)).count();
                assert_eq!(matrix.counts[row * columns + column], times as u64, "sample {at}");
            }

            let scores = table.scores();
            let mut expected = all(truth, found);
            expected.retain(|(name, _)| *name != "expected_mi" && !name.contains("_m") && !name.contains("_geo"));
            let LabelScores { ami, nmi, mi, ari, ri, fmi, homogeneity, completeness, .. } = scores;
            let LabelScores { purity, accuracy, n_true, n_pred, .. } = scores;
            let found = [ami, nmi, mi, ari, ri, fmi, homogeneity, completeness, purity, accuracy];
            let found: Vec<f64> = found.into_iter().chain([n_true as f64, n_pred as f64]).collect();
            assert_eq!(found, expected.iter().map(|(_, value)| *value).collect::<Vec<f64>>());
            assert_eq!(scores.v_measure, table.v_measure(1.0));
        }
    }
}

/// Labels that a table of all labels between would be too long for are numbered by sorting; the counts are the same.
#[test]
fn spread_labels_and_many_pairs() {
    for (n, m) in [(1, 1), (5000, 3), (5000, 700), (9000, 9000)] {
        let draw = |seed: u64| (0..n).map(|at| ((splitmix(seed, at) >> 11) % m) as i32 - 5).collect::<Vec<i32>>();
        let spread = |labels: &[i32]| labels.iter().map(|label| (label - m as i32 / 2) * 200_000).collect::<Vec<i32>>();
        let (truth, found) = (draw(1), draw(2));
        let (near, far) = (Contingency::new(&truth, &found), Contingency::new(&spread(&truth), &spread(&found)));
        let (near, far) = (near.expect("equal lengths"), far.expect("equal lengths"));
        assert_eq!(near.scores(), far.scores());
        assert!(far.class_labels().is_sorted() && far.cluster_labels().is_sorted());
        assert_eq!(near.classes(), far.class_labels().len());
        let (mut naive, mut counted) = (std::collections::BTreeMap::new(), 0);
        truth.iter().zip(&found).for_each(|pair| *naive.entry(pair).or_insert(0_u64) += 1);
        if m < 1000 {
            let matrix = near.matrix().expect("small");
            for ((class, cluster), count) in naive {
                let row = matrix.classes.binary_search(class).expect("a class");
                let column = matrix.clusters.binary_search(cluster).expect("a cluster");
                assert_eq!(matrix.counts[row * matrix.clusters.len() + column], count);
                counted += count;
            }
            assert_eq!(counted, n);
        }
    }
    let all: Vec<i32> = (0..20_000).collect();
    let error = Contingency::new(&all, &all).expect("equal").matrix().expect_err("too large").to_string();
    assert_eq!(error, "contingency matrix = 20000 x 20000: it must have at most 2^27 counts");
}

#[test]
fn noise_as_a_cluster_or_removed() {
    let (truth, found) = ([0, 0, 0, 1, 1, 1], [5, 5, -1, 7, 7, -1]);
    let removed = LabelScores::new(&truth, &found, Noise::Removed).expect("equal lengths");
    assert_eq!((removed.ami, removed.accuracy, removed.n_pred), (1.0, 1.0, 2));
    let cluster = LabelScores::new(&truth, &found, Noise::Cluster).expect("equal lengths");
    assert_eq!(cluster, Contingency::new(&truth, &found).expect("equal lengths").scores());
    assert_eq!((cluster.accuracy, cluster.n_pred), (4.0 / 6.0, 3));
    assert!(cluster.ami < 1.0);
    assert_eq!(clustered_fraction(&found), 4.0 / 6.0);
    assert_eq!(clustered_fraction(&[]), 1.0);
    assert_eq!(Contingency::without_noise(&truth, &[-1; 6]).expect("equal lengths").classes(), 0);
    assert!(Contingency::without_noise(&truth, &[0]).is_err());
}

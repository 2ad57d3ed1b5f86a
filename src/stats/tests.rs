//! Against SciPy's results, naive twins, and the edges.

use serde_json::Value;

use super::*;
use crate::golden;

/// SciPy's own rounding of a p-value near 0: where r rounds to 1, its p is noise like 1e-24 or 0.
const NOISE: f64 = 1e-20;

#[test]
fn golden_correlations() {
    let cases = golden::cases("correlation.json");
    for case in &cases {
        let name = golden::text(&case["name"]);
        let (a, b) = (golden::numbers(&case["a"]), golden::numbers(&case["b"]));
        let absolute = if name == "huge_offset" { 1e-6 } else { 1e-10 };
        for (key, key_p, found, absolute) in [
            ("pearson", "pearson_p", pearsonr(&a, &b), absolute),
            ("spearman", "spearman_p", spearmanr(&a, &b), 1e-10),
            ("kendall_tau_b", "kendall_p", kendalltau(&a, &b), 1e-10),
        ] {
            let what = format!("{name} {key}");
            if case["expect"][key_p] == "nan" {
                let few = StatsError::TooFew { argument: "a", values: 2, needed: 3 };
                assert!(found == Err(StatsError::Constant { argument: "b" }) || found == Err(few), "{what}: {found:?}");
                continue;
            }
            let found = found.expect("defined");
            golden::close(found.statistic, golden::number(&case["expect"][key]), 0.0, absolute, &what);
            golden::close(found.p_value, golden::number(&case["expect"][key_p]), 1e-6, NOISE, &format!("{what} p"));
        }
    }
    assert_eq!(cases.len(), 21);
}

#[test]
fn golden_tests_and_ranks() {
    let mut kinds = std::collections::BTreeMap::new();
    for case in golden::cases("stats.json") {
        let kind = golden::text(&case["kind"]).to_owned();
        let name = format!("{kind} {}", golden::text(&case["name"]));
        let (a, expect) = (golden::numbers(&case["a"]), &case["expect"]);
        let b = || golden::numbers(&case["b"]);
        match kind.as_str() {
            "ttest_rel" => check_ttest(&name, &ttest_rel(&a, &b()).expect("defined"), expect),
            "wilcoxon" => check_wilcoxon(&name, &a, &b(), expect),
            "correlation" => check_correlations(&name, &a, &b(), expect),
            "rankdata" => check_ranks(&name, &a, expect),
            _ => panic!("{name}: of no known kind"),
        }
        *kinds.entry(kind).or_insert(0) += 1;
    }
    let numbers: Vec<i32> = kinds.into_values().collect();
    assert_eq!(numbers, [37, 7, 20, 81]);
}

fn check_ttest(name: &str, found: &TTest, expect: &Value) {
    golden::close(found.statistic, golden::number(&expect["statistic"]), 1e-11, 0.0, name);
    golden::close(found.p_value, golden::number(&expect["p"]), 1e-10, 0.0, &format!("{name} p"));
    golden::close(found.mean_difference, golden::number(&expect["mean"]), 1e-12, 1e-15, name);
    assert_eq!(found.df, golden::number(&expect["df"]));
    for level in [0.5, 0.95, 0.999] {
        let interval = golden::numbers(&expect[format!("interval_{level}")]);
        let (low, high) = found.confidence_interval(level).expect("a level");
        golden::close(low, interval[0], 1e-10, 1e-12, &format!("{name} low {level}"));
        golden::close(high, interval[1], 1e-10, 1e-12, &format!("{name} high {level}"));
    }
}

fn check_wilcoxon(name: &str, a: &[f64], b: &[f64], expect: &Value) {
    let alternatives =
        [(Alternative::TwoSided, "two-sided"), (Alternative::Greater, "greater"), (Alternative::Less, "less")];
    for (alternative, key) in alternatives {
        let (found, expected) = (wilcoxon(a, b, alternative).expect("defined"), golden::numbers(&expect[key]));
        assert_eq!(found.statistic, expected[0], "{name} {key}");
        golden::close(found.p_value, expected[1], 1e-11, 0.0, &format!("{name} {key} p by {:?}", found.method));
    }
}

fn check_correlations(name: &str, a: &[f64], b: &[f64], expect: &Value) {
    for (key, found) in [("pearson", pearsonr(a, b)), ("spearman", spearmanr(a, b)), ("kendall", kendalltau(a, b))] {
        let (found, expected) = (found.expect("defined"), golden::numbers(&expect[key]));
        golden::close(found.statistic, expected[0], 0.0, 1e-14, &format!("{name} {key}"));
        golden::close(found.p_value, expected[1], 1e-9, NOISE, &format!("{name} {key} p"));
    }
}

fn check_ranks(name: &str, values: &[f64], expect: &Value) {
    let methods = [
        (RankMethod::Average, "average"),
        (RankMethod::Min, "min"),
        (RankMethod::Max, "max"),
        (RankMethod::Dense, "dense"),
        (RankMethod::Ordinal, "ordinal"),
    ];
    for (method, key) in methods {
        let expected = golden::numbers(&expect[key]);
        assert_eq!(rankdata(values, method), Ok(expected.clone()), "{name} {key}");
        if method != RankMethod::Ordinal {
            let negated: Vec<f64> = values.iter().map(|value| -value).collect();
            assert_eq!(ranks(&negated, Order::Descending, method), Ok(expected), "{name} {key}");
        }
    }
    assert_eq!(ranks(&[5.0, 7.0, 7.0], Order::Descending, RankMethod::Ordinal), Ok(vec![3.0, 1.0, 2.0]));
}

#[test]
fn kendall_is_a_count_of_pairs() {
    let mut random = numbers(3);
    for n in [2, 3, 10, 33, 34, 150] {
        for steps in [2.0, 5.0, 1e9] {
            let mut draw = || (0..n).map(|_| (random() * steps).floor()).collect::<Vec<f64>>();
            let (a, b) = (draw(), draw());
            let (mut difference, mut untied_a, mut untied_b) = (0.0, 0.0, 0.0_f64);
            for i in 0..n {
                for j in 0..i {
                    let sign = |x: f64, y: f64| f64::from(x > y) - f64::from(x < y);
                    difference += sign(a[i], a[j]) * sign(b[i], b[j]);
                    untied_a += f64::from(a[i] != a[j]);
                    untied_b += f64::from(b[i] != b[j]);
                }
            }
            match kendalltau(&a, &b) {
                Ok(found) => {
                    let tau = difference / f64::sqrt(untied_a * untied_b);
                    golden::close(found.statistic, tau, 0.0, 1e-14, &format!("{n} {steps}"));
                    assert!((0.0..=1.0).contains(&found.p_value));
                }
                Err(error) => assert!(untied_a * untied_b == 0.0, "{error}"),
            }
        }
    }
}

/// Small p-values: the exact share of sign patterns is 2 / 2^n, and far tails keep their digits.
#[test]
fn tails_are_not_lost() {
    let a: Vec<f64> = (1..=50).map(f64::from).collect();
    let found = wilcoxon(&a, &[0.0; 50], Alternative::TwoSided).expect("defined");
    assert_eq!((found.p_value, found.method, found.count), (f64::exp2(-49.0), WilcoxonMethod::Exact, 50));
    let line: Vec<f64> = (0..400).map(f64::from).collect();
    let near: Vec<f64> = line.iter().map(|x| x + 3.0 * (x * 1.7).sin()).collect();
    let p = pearsonr(&line, &near).expect("defined").p_value;
    assert!(p < 1e-300 || p == 0.0, "{p}");
    assert_eq!(spearmanr(&line, &line), Ok(Correlation { statistic: 1.0, p_value: 0.0 }));
    assert_eq!(kendalltau(&line, &line), Ok(Correlation { statistic: 1.0, p_value: 0.0 }));
    let found = pearsonr(&[1.0, 2.0], &[7.0, 3.0]).expect("defined");
    assert_eq!(found, Correlation { statistic: -1.0, p_value: 1.0 });
}

#[test]
fn bad_input_is_named() {
    let message = |result: Result<Correlation, StatsError>| result.expect_err("invalid").to_string();
    for correlation in [pearsonr, spearmanr, kendalltau] {
        assert_eq!(message(correlation(&[1.0, 2.0, 3.0], &[1.0])), "a has 3 values, but b has 1");
        let nan = message(correlation(&[1.0, 2.0, 3.0], &[1.0, f64::NAN, 0.0]));
        assert_eq!(nan, "b at index 1 is NaN: it must be finite");
        assert!(message(correlation(&[f64::INFINITY, 2.0, 3.0], &[1.0, 1.0, 0.0])).contains("a at index 0 is inf"));
        let constant = message(correlation(&[1.0, 2.0, 3.0], &[0.3; 3]));
        assert_eq!(constant, "b is constant: the result is not defined");
        assert!(message(correlation(&[], &[])).starts_with("a has 0 values: at least "));
    }
    let huge = message(pearsonr(&[f64::MAX, -f64::MAX, 0.0], &[1.0, 2.0, 3.0]));
    assert_eq!(huge, "a has values too large for a result in 64 bits");
    let tiny = [f64::MIN_POSITIVE, 3.0 * f64::MIN_POSITIVE, 2.0 * f64::MIN_POSITIVE];
    assert_eq!(pearsonr(&tiny, &tiny).map(|found| found.statistic.round()), Ok(1.0));

    let constant = Err(StatsError::Constant { argument: "a - b" });
    assert_eq!(ttest_rel(&[1.0, 2.0], &[0.0, 1.0]), constant);
    assert!(ttest_rel(&[1.0], &[0.0]).expect_err("one").to_string().contains("at least 2"));
    assert!(ttest_rel(&[f64::MAX, 0.0], &[-f64::MAX, 0.0]).is_err());
    let none = wilcoxon(&[1.0, 2.0], &[1.0, 2.0], Alternative::Less).expect_err("equal");
    assert_eq!(none, StatsError::Constant { argument: "a - b" });
    assert!(wilcoxon(&[], &[], Alternative::Less).is_err());
    assert!(wilcoxon(&[f64::MAX], &[-f64::MAX], Alternative::Less).is_err());
    assert!(rankdata(&[0.0, f64::NAN], RankMethod::Min).is_err());
}

#[test]
fn summary_of_values() {
    let found = Summary::of(&[1.0, 2.0, 3.0, 4.0]).expect("values");
    assert_eq!((found.count, found.mean, found.population_sd), (4, 2.5, 1.25_f64.sqrt()));
    assert_eq!(found.sd, Some((5.0_f64 / 3.0).sqrt()));
    assert_eq!(found.se, Some((5.0_f64 / 3.0).sqrt() / 2.0));
    let one = Summary::of(&[0.1]).expect("a value");
    assert_eq!(one, Summary { count: 1, mean: 0.1, population_sd: 0.0, sd: None, se: None });
    assert_eq!(Summary::of(&[0.1; 7]).map(|found| (found.mean, found.sd)), Ok((0.1, Some(0.0))));
    assert!(Summary::of(&[]).is_err());
    assert!(Summary::of(&[f64::MAX, f64::MAX, -f64::MAX]).is_err());
}

fn mean_of(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Nineteen times in twenty, the interval of a mean covers the true one; it is near the normal interval.
#[test]
fn bootstrap_covers() {
    let mut random = numbers(11);
    for method in [BootstrapMethod::Percentile, BootstrapMethod::Bca] {
        let mut covered = 0;
        for seed in 0..200 {
            let sample: Vec<f64> = (0..60).map(|_| random()).collect();
            let bootstrap = Bootstrap { n_resamples: 500, method, seed, ..Bootstrap::default() };
            let found = bootstrap.sample(&sample, mean_of).expect("defined");
            covered += i32::from(found.low <= 0.5 && 0.5 <= found.high);
            let se = Summary::of(&sample).expect("values").se.expect("many");
            golden::close(found.standard_error, se, 0.2, 0.0, "standard error");
            golden::close(found.high - found.low, 2.0 * 1.96 * se, 0.25, 0.0, "width");
        }
        // Binomial(200, 0.94): below 176 or above 198 once in a thousand.
        assert!((176..=199).contains(&covered), "{method:?} covered {covered} of 200");
    }
}

/// A skewed statistic: percentile intervals of a variance lie too low, BCa moves them up.
#[test]
fn bias_is_corrected() {
    let mut random = numbers(5);
    let sample: Vec<f64> = (0..25).map(|_| -random().ln()).collect();
    let variance = |values: &[f64]| {
        let mean = mean_of(values);
        values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64
    };
    let of = |method| Bootstrap { method, ..Bootstrap::default() }.sample(&sample, variance).expect("defined");
    let (percentile, bca) = (of(BootstrapMethod::Percentile), of(BootstrapMethod::Bca));
    assert!(bca.low > percentile.low && bca.high > percentile.high, "{bca:?} {percentile:?}");
}

#[test]
fn bootstrap_pairs_seeds_threads_and_faults() {
    let mut random = numbers(7);
    let a: Vec<f64> = (0..80).map(|_| random()).collect();
    let b: Vec<f64> = a.iter().map(|a| a + 0.3 * random()).collect();
    let bootstrap = Bootstrap { n_resamples: 999, seed: 4, ..Bootstrap::default() };
    let r = |a: &[f64], b: &[f64]| pearsonr(a, b).map_or(f64::NAN, |found| found.statistic);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| bootstrap.paired(&a, &b, r)).expect("defined")
    };
    let found = run(1);
    assert_eq!(found, run(3));
    assert!(found.low < found.statistic && found.statistic < found.high && found.high < 1.0, "{found:?}");
    assert_ne!(found, Bootstrap { seed: 5, ..bootstrap.clone() }.paired(&a, &b, r).expect("defined"));

    let fails = |bootstrap: Bootstrap, sample: &[f64]| bootstrap.sample(sample, mean_of).expect_err("invalid");
    assert!(fails(bootstrap.clone(), &[1.0]).to_string().contains("sample has 1 values"));
    assert!(fails(bootstrap.clone(), &[1.0; 5]).to_string().contains("is constant"));
    let none = Bootstrap { n_resamples: 0, ..Bootstrap::default() };
    assert_eq!(fails(none, &[1.0, 2.0]).to_string(), "n_resamples = 0: it must be at least 2");
    let level = Bootstrap { confidence_level: 1.0, ..Bootstrap::default() };
    assert!(fails(level, &[1.0, 2.0]).to_string().starts_with("level = 1: "));
    let undefined = bootstrap.sample(&[1.0, 2.0], |_| f64::NAN).expect_err("NaN").to_string();
    assert_eq!(undefined, "statistic = NaN: it must be finite for every resample");
}

fn row(encoder: &str, dataset: &str, clusterer: &str, value: impl Into<Option<f64>>) -> ScoreRow {
    let group = if dataset.starts_with('f') { "far" } else { "in" };
    ScoreRow {
        encoder: encoder.to_owned(),
        backbone: "RN50".to_owned(),
        dataset: dataset.to_owned(),
        group: group.to_owned(),
        clusterer: clusterer.to_owned(),
        value: value.into(),
    }
}

fn scores() -> Vec<ScoreRow> {
    vec![
        row("X-Ent", "in1k", "K-Means", 0.75),
        row("X-Ent", "in1k", "AP", 0.5),
        row("DINO", "in1k", "K-Means", 0.5),
        row("DINO", "in1k", "AP", None),
        row("X-Ent", "fmnist", "K-Means", 0.25),
        row("X-Ent", "fmnist", "AP", 0.5),
        row("DINO", "fmnist", "K-Means", 0.5),
        row("DINO", "fmnist", "AP", 0.75),
        row("X-Ent", "fsvhn", "K-Means", 0.25),
        row("DINO", "fsvhn", "K-Means", 0.25),
        // Three runs of one cell: their median counts.
        row("DINO", "fsvhn", "K-Means", 1.0),
        row("DINO", "fsvhn", "K-Means", 0.125),
    ]
}

#[test]
fn missing_cells_are_left_out_for_all() {
    let means = mean_over_clusterers(&scores()).expect("finite");
    let plain: Vec<_> = means.iter().map(|m| (m.encoder.as_str(), m.dataset.as_str(), m.value, m.clusterers)).collect();
    let expected = [
        ("X-Ent", "in1k", 0.75, 1),
        ("X-Ent", "fmnist", 0.375, 2),
        ("X-Ent", "fsvhn", 0.25, 1),
        ("DINO", "in1k", 0.5, 1),
        ("DINO", "fmnist", 0.625, 2),
        ("DINO", "fsvhn", 0.25, 1),
    ];
    assert_eq!(plain, expected);
    let deltas = delta_to_baseline(&means, "X-Ent").expect("has a baseline");
    assert_eq!(deltas.iter().map(|delta| delta.value).collect::<Vec<_>>(), [-25.0, 25.0, 0.0]);
    let groups = summarise_groups(&deltas).expect("finite");
    assert_eq!(groups.iter().map(|group| group.group.as_str()).collect::<Vec<_>>(), ["in", "far"]);
    assert_eq!((groups[0].summary.mean, groups[0].summary.sd), (-25.0, None));
    assert_eq!((groups[1].summary.mean, groups[1].summary.population_sd), (12.5, 12.5));
    assert_eq!(groups[1].summary.se, Some(12.5));

    let error = delta_to_baseline(&means, "CLIP").expect_err("no baseline").to_string();
    assert_eq!(error, "RN50 has no encoder CLIP on in1k, with which X-Ent could be compared");
    let error = mean_over_clusterers(&[row("a", "b", "c", f64::NAN)]).expect_err("NaN").to_string();
    assert_eq!(error, "rows at index 0 is NaN: it must be finite");
    assert_eq!(mean_over_clusterers(&[]), Ok(Vec::new()));
    assert_eq!(summarise_groups(&[]), Ok(Vec::new()));
}

#[test]
fn ranks_are_within_complete_blocks() {
    let by_clusterer = complete_blocks(&scores(), Factor::Clusterer).expect("finite");
    assert_eq!(by_clusterer.names, ["K-Means", "AP"]);
    let block = |of: &str, dataset: &str| Block { of: of.to_owned(), dataset: dataset.to_owned() };
    let blocks = [block("X-Ent RN50", "in1k"), block("X-Ent RN50", "fmnist"), block("DINO RN50", "fmnist")];
    assert_eq!(by_clusterer.blocks, blocks);
    assert_eq!(by_clusterer.samples, [[0.75, 0.25, 0.5], [0.5, 0.5, 0.75]]);
    assert_eq!(by_clusterer.ranks(), Ok(vec![vec![1.0, 2.0, 2.0], vec![2.0, 1.0, 1.0]]));
    let found = by_clusterer.mean_ranks().expect("blocks");
    golden::close(found[0].mean, 5.0 / 3.0, 1e-15, 0.0, "mean rank");

    let by_encoder = complete_blocks(&scores(), Factor::Encoder).expect("finite");
    assert_eq!(by_encoder.names, ["X-Ent RN50", "DINO RN50"]);
    assert_eq!(by_encoder.ranks(), Ok(vec![vec![1.0, 2.0, 1.5, 2.0], vec![2.0, 1.0, 1.5, 1.0]]));
    let nothing = complete_blocks(&[row("a", "b", "c", None)], Factor::Encoder).expect("finite");
    assert!(nothing.mean_ranks().is_err());
}

/// Uniform numbers in [0, 1).
fn numbers(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

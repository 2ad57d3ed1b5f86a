//! Both probes: golden values, a naive twin, edges.

use super::*;
use crate::golden;
use crate::linalg::Metric;

/// Points in groups that overlap a little, by a rule, and the group of each.
fn groups(rows: usize, columns: usize, count: usize) -> (Points, Vec<i32>) {
    let noise = |seed: usize| ((seed * 7919 + 13) % 1009) as f32 / 1009.0 - 0.5;
    let value =
        |row: usize, column: usize| noise((row % count) * 131 + column * 17) * 1.5 + noise(row * columns + column);
    let values = (0..rows * columns).map(|at| value(at / columns, at % columns)).collect();
    let points = Points::new(rows, columns, values).expect("valid");
    (points, (0..rows).map(|row| (row % count) as i32).collect())
}

/// A golden case, cut into its training and its test part.
struct Case {
    name: String,
    train: Points,
    train_labels: Vec<i32>,
    test: Points,
    test_labels: Vec<i32>,
    all: Points,
    expect: serde_json::Value,
}

fn golden_cases() -> Vec<Case> {
    let cut = |case: &serde_json::Value| {
        let (all, labels) = (golden::points(&case["x"]), golden::labels(&case["y"]));
        let rows = golden::index(&case["train_rows"]);
        let part = |from: usize, to: usize| all.select(&(from..to).collect::<Vec<_>>()).expect("rows");
        Case {
            name: golden::text(&case["name"]).to_owned(),
            train: part(0, rows),
            train_labels: labels[..rows].to_vec(),
            test: part(rows, all.rows()),
            test_labels: labels[rows..].to_vec(),
            expect: case["expect"].clone(),
            all,
        }
    };
    let cases: Vec<Case> = golden::cases("knn_and_probe.json").iter().map(cut).collect();
    assert_eq!(cases.len(), 2);
    cases
}

#[test]
fn golden_neighbours() {
    for case in golden_cases() {
        let first = case.all.select(&(0..40).collect::<Vec<_>>()).expect("rows");
        for name in ["euclidean", "cosine", "manhattan", "chebyshev"] {
            let metric: Metric = name.parse().expect("a metric");
            let found = crate::linalg::nearest_of(&case.all, &first, metric, 15).expect("found");
            let expected = case.expect[format!("idx15_{name}_first40")].as_array().expect("rows");
            for (row, expected) in expected.iter().enumerate() {
                let indices: Vec<usize> = found.of(row).0.iter().map(|&index| index as usize).collect();
                assert_eq!(indices, golden::indices(expected), "{} {name} row {row}", case.name);
            }
            let sum: f64 = found.distances.iter().map(|&distance| f64::from(distance)).sum();
            let expected = golden::number(&case.expect[format!("dist15_{name}_sum")]);
            golden::close(sum, expected, 1e-5, 0.0, name);
        }
    }
}

#[test]
fn golden_votes() {
    let mut checked = 0;
    for case in golden_cases() {
        for (weights, name) in [(Weights::Uniform, "uniform"), (Weights::Distance, "distance")] {
            let k = vec![100, 1, 5, 20, 10];
            let probe = KnnProbe { k, weights, metric: Metric::Euclidean, ..KnnProbe::default() };
            let found = probe.predict(&case.train, &case.train_labels, &case.test).expect("found");
            let scores = probe.score(&case.train, &case.train_labels, &case.test, &case.test_labels).expect("scored");
            for ((k, labels), score) in probe.k.iter().zip(&found).zip(scores) {
                let expected = golden::labels(&case.expect[format!("knn{k}_{name}_pred")]);
                assert_eq!(labels, &expected, "{} k = {k} {name}", case.name);
                let accuracy = golden::number(&case.expect[format!("knn{k}_{name}_acc")]);
                assert_eq!(score.k, *k);
                golden::close(score.accuracy, accuracy, 1e-12, 0.0, "accuracy");
                assert!(score.top5_accuracy >= score.accuracy);
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 20);
}

#[test]
fn golden_logistic_regression() {
    let mut checked = 0;
    for case in golden_cases() {
        for (c, name) in [(0.01, "logreg_C0.01"), (1.0, "logreg_C1.0"), (100.0, "logreg_C100.0")] {
            let expect = &case.expect[name];
            let regression = LogisticRegression { c, tol: 1e-12, max_iter: 20_000, ..LogisticRegression::default() };
            let fit = regression.fit(&case.train, &case.train_labels).expect("fitted");
            assert!(fit.converged, "{} {name}: {} steps", case.name, fit.n_iter);
            let objective = golden::number(&expect["objective_C_times_nll_plus_half_w2"]);
            golden::close(fit.objective, objective, 1e-6, 0.0, name);
            let norm = fit.coefficients.iter().map(|weight| weight * weight).sum::<f64>().sqrt();
            golden::close(norm, golden::number(&expect["coef_norm"]), 1e-5, 0.0, name);
            assert_eq!(fit.predict(&case.test).expect("predicted"), golden::labels(&expect["pred"]), "{name}");
            let train = fit.score(&case.train, &case.train_labels).expect("scored");
            golden::close(train, golden::number(&expect["train_acc"]), 1e-12, 0.0, "accuracy");
            let test = fit.score(&case.test, &case.test_labels).expect("scored");
            golden::close(test, golden::number(&expect["test_acc"]), 1e-12, 0.0, "accuracy");
            let probabilities = fit.predict_proba(&case.test).expect("predicted");
            let rows = expect["proba_first5"].as_array().expect("rows");
            for (row, found) in rows.iter().zip(probabilities.chunks_exact(fit.classes.len())) {
                for (expected, &found) in golden::numbers(row).iter().zip(found) {
                    golden::close(found, *expected, 0.0, 1e-5, name);
                }
            }
            checked += 1;
        }
    }
    assert_eq!(checked, 6);
}

/// Objective and largest derivative in the original coordinates, by the definition in 64 bits.
fn naive(points: &Points, labels: &[i32], fit: &LogisticFit, c: f64) -> (f64, f64) {
    let (columns, outputs) = (fit.columns, fit.intercepts.len());
    let mut gradient: Vec<f64> = fit.coefficients.iter().map(|weight| weight / c).collect();
    gradient.resize(outputs * (columns + 1), 0.0);
    let mut objective = 0.5 * fit.coefficients.iter().map(|weight| weight * weight).sum::<f64>();
    for (row, label) in points.iter().zip(labels) {
        let score = |output: usize| {
            let weights = &fit.coefficients[output * columns..][..columns];
            fit.intercepts[output] + row.iter().zip(weights).map(|(&x, w)| f64::from(x) * w).sum::<f64>()
        };
        // With one output, the first class has score 0.
        let scores: Vec<f64> = if outputs == 1 { vec![0.0, score(0)] } else { (0..outputs).map(score).collect() };
        let sum: f64 = scores.iter().map(|score| score.exp()).sum();
        let own = fit.classes.iter().position(|class| class == label).expect("known");
        objective += c * (sum.ln() - scores[own]);
        for output in 0..outputs {
            let class = if outputs == 1 { 1 } else { output };
            let residual = scores[class].exp() / sum - f64::from(u8::from(class == own));
            for (column, &x) in row.iter().enumerate() {
                gradient[output * columns + column] += residual * f64::from(x);
            }
            gradient[outputs * columns + output] += residual;
        }
    }
    let most = gradient.iter().fold(0.0_f64, |most, derivative| most.max(derivative.abs()));
    (objective, most / points.rows() as f64)
}

#[test]
fn the_optimum_is_one_by_the_definition() {
    for (rows, columns, count, c) in [(400, 7, 5, 1.0), (1100, 3, 2, 10.0), (3000, 40, 3, 0.1), (60, 200, 4, 1.0)] {
        let (points, labels) = groups(rows, columns, count);
        for tol in [1e-4, 1e-9] {
            let regression = LogisticRegression { c, tol, max_iter: 3000, ..LogisticRegression::default() };
            let fit = regression.fit(&points, &labels).expect("fitted");
            let (objective, derivative) = naive(&points, &labels, &fit, c);
            assert!(fit.converged && derivative <= 1.01 * tol + 1e-12, "{derivative} after {} steps", fit.n_iter);
            golden::close(fit.objective, objective, 1e-12, 0.0, "objective");
        }
    }
}

#[test]
fn far_away_and_stretched_points_give_the_same_classifier() {
    let (points, labels) = groups(500, 6, 4);
    let regression = LogisticRegression { tol: 1e-8, c: 1.0, max_iter: 5000, ..LogisticRegression::default() };
    let near = regression.fit(&points, &labels).expect("fitted");
    let moved = points.as_slice().iter().map(|value| value + 64.0).collect();
    let moved = Points::new(500, 6, moved).expect("valid");
    let far = regression.fit(&moved, &labels).expect("fitted");
    golden::close(far.objective, near.objective, 1e-4, 0.0, "objective");
    assert_eq!(near.predict(&points), far.predict(&moved));
    // Longer columns need smaller weights, so the penalty is less.
    let stretched =
        points.as_slice().iter().enumerate().map(|(at, value)| value * 10_f32.powi(at as i32 % 3)).collect();
    let stretched = Points::new(500, 6, stretched).expect("valid");
    let fit = regression.fit(&stretched, &labels).expect("fitted");
    assert!(fit.converged && fit.objective < near.objective, "{} after {} steps", fit.objective, fit.n_iter);
}

#[test]
fn separable_points_have_an_optimum_and_labels_need_no_order() {
    let points = Points::new(4, 1, vec![-2.0, -1.0, 1.0, 2.0]).expect("valid");
    let labels = [900, 900, -7, -7];
    let regression = LogisticRegression { tol: 1e-10, ..LogisticRegression::default() };
    let fit = regression.fit(&points, &labels).expect("fitted");
    assert!(fit.converged);
    assert_eq!((fit.classes.as_slice(), fit.intercepts.len()), ([-7, 900].as_slice(), 1));
    assert_eq!(fit.predict(&points).expect("predicted"), labels);
    assert_eq!(fit.score(&points, &labels), Ok(1.0));
    // w = sum of x (1 - p): the optimum of one weight, by bisection.
    let excess = |w: f64| w - 2.0 * (1.0 / (1.0 + w.exp()) + 2.0 / (1.0 + (2.0 * w).exp()));
    let (mut low, mut high) = (0.0, 10.0);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if excess(middle) > 0.0 { high = middle } else { low = middle }
    }
    golden::close(fit.coefficients[0], -low, 1e-9, 0.0, "weight");
    golden::close(fit.intercepts[0], 0.0, 0.0, 1e-9, "intercept");
    let without = LogisticRegression { fit_intercept: false, ..regression }.fit(&points, &labels).expect("fitted");
    assert_eq!(without.intercepts, [0.0]);
    golden::close(without.coefficients[0], -low, 1e-9, 0.0, "weight");
}

#[test]
fn equal_points_and_few_steps_are_no_trouble() {
    let equal = Points::new(4, 3, vec![0.1; 12]).expect("valid");
    let fit = LogisticRegression::default().fit(&equal, &[0, 1, 1, 2]).expect("fitted");
    let probabilities = fit.predict_proba(&equal).expect("predicted");
    for (found, expected) in probabilities.iter().zip([0.25, 0.5, 0.25]) {
        golden::close(*found, expected, 0.0, 1e-3, "probability");
    }
    let (points, labels) = groups(300, 5, 3);
    let fit = LogisticRegression { max_iter: 2, tol: 0.0, ..LogisticRegression::default() };
    let fit = fit.fit(&points, &labels).expect("fitted");
    assert_eq!((fit.converged, fit.n_iter), (false, 2));
    for scale in [1e-20_f32, 1e20, 3e38] {
        let scaled = points.as_slice().iter().map(|value| value / 2.0 * scale).collect();
        let scaled = Points::new(300, 5, scaled).expect("valid");
        let fit = LogisticRegression::default().fit(&scaled, &labels).expect("fitted");
        assert!(fit.objective.is_finite() && fit.coefficients.iter().all(|weight| weight.is_finite()), "{scale}");
    }
}

#[test]
fn threads_do_not_matter() {
    let (points, labels) = groups(5000, 20, 6);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let fit = LogisticRegression::default().fit(&points, &labels).expect("fitted");
            let scores = KnnProbe { k: vec![3, 30], ..KnnProbe::default() }.score(&points, &labels, &points, &labels);
            (fit.coefficients, fit.intercepts, fit.objective.to_bits(), scores.expect("scored"))
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn dino_votes_by_the_definition() {
    let (train, train_labels) = groups(150, 4, 12);
    let (test, test_labels) = groups(40, 4, 13);
    for metric in [Metric::Cosine, Metric::Arccos] {
        let probe = KnnProbe { k: vec![20, 7], metric, ..KnnProbe::default() };
        let scores = probe.score(&train, &train_labels, &test, &test_labels).expect("scored");
        for score in scores {
            let (mut first, mut among) = (0, 0);
            for (row, &label) in test.iter().zip(&test_labels) {
                let mut similar: Vec<(f64, i32)> = train
                    .iter()
                    .zip(&train_labels)
                    .map(|(other, &label)| (1.0 - Metric::Cosine.distance(row, other), label))
                    .collect();
                similar.sort_by(|a, b| b.0.total_cmp(&a.0));
                let mut votes = [0.0; 12];
                similar[..score.k]
                    .iter()
                    .for_each(|(similarity, label)| votes[*label as usize] += (similarity / 0.07).exp());
                let mut order: Vec<i32> = (0..12).filter(|&label| votes[label as usize] > 0.0).collect();
                order.sort_by(|&a, &b| votes[b as usize].total_cmp(&votes[a as usize]));
                first += usize::from(order[0] == label);
                among += usize::from(order[..order.len().min(5)].contains(&label));
            }
            golden::close(score.accuracy, first as f64 / 40.0, 1e-12, 0.0, "accuracy");
            golden::close(score.top5_accuracy, among as f64 / 40.0, 1e-12, 0.0, "accuracy of five");
        }
    }
}

#[test]
fn ties_go_to_the_smallest_label_and_copies_outvote_all() {
    let train = Points::new(5, 1, vec![0.0, 1.0, -1.0, 0.0, 0.5]).expect("valid");
    let test = Points::new(1, 1, vec![0.0]).expect("valid");
    let probe = |weights, k| KnnProbe { k: vec![k], weights, metric: Metric::Euclidean, ..KnnProbe::default() };
    let labels = [9, 4, 4, 7, 4];
    assert_eq!(probe(Weights::Uniform, 2).predict(&train, &labels, &test), Ok(vec![vec![7]]));
    assert_eq!(probe(Weights::Uniform, 5).predict(&train, &labels, &test), Ok(vec![vec![4]]));
    assert_eq!(probe(Weights::Distance, 5).predict(&train, &labels, &test), Ok(vec![vec![7]]));
    // A label that was never seen cannot be found.
    let scores = probe(Weights::Uniform, 5).score(&train, &labels, &test, &[5]).expect("scored");
    assert_eq!((scores[0].accuracy, scores[0].top5_accuracy), (0.0, 0.0));
    // A temperature so low that every weight but a copy's vanishes is no trouble either.
    let cold = KnnProbe { k: vec![3], temperature: 1e-9, ..KnnProbe::default() };
    assert_eq!(cold.predict(&train, &labels, &test).expect("found")[0].len(), 1);
}

#[test]
fn bad_input_is_named() {
    let (points, labels) = groups(6, 2, 3);
    let knn = |probe: KnnProbe| probe.score(&points, &labels, &points, &labels).expect_err("invalid").to_string();
    let one = || KnnProbe { k: vec![1], ..KnnProbe::default() };
    assert_eq!(knn(KnnProbe { k: vec![1, 7], ..one() }), "k = 7: it must be 1 to the number of training points, 6");
    assert!(knn(KnnProbe { k: vec![0], ..one() }).starts_with("k = 0: "));
    assert!(knn(KnnProbe { k: vec![], ..one() }).starts_with("k = []: "));
    assert!(knn(KnnProbe { temperature: f64::NAN, ..one() }).starts_with("temperature = NaN: "));
    assert!(knn(KnnProbe { temperature: 0.0, ..one() }).starts_with("temperature = 0: "));
    assert!(knn(KnnProbe { metric: Metric::Euclidean, ..one() }).starts_with("metric = euclidean: weights = Dino"));
    let short = one().score(&points, &labels[1..], &points, &labels).expect_err("invalid").to_string();
    assert_eq!(short, "train has 6 rows, but train_labels has 5 labels");
    let none = Points::new(0, 2, Vec::new()).expect("valid");
    let empty = one().score(&points, &labels, &none, &[]).expect_err("invalid").to_string();
    assert_eq!(empty, "test has no rows: at least 1 is needed");
    assert!(one().score(&none, &[], &points, &labels).is_err());
    assert_eq!(one().predict(&points, &labels, &none), Ok(vec![vec![]]));
    let (wide, _) = groups(6, 3, 3);
    let columns = one().predict(&points, &labels, &wide).expect_err("invalid").to_string();
    assert_eq!(columns, "test has 3 columns, but there were 2 in training");

    let fit = |regression: LogisticRegression| regression.fit(&points, &labels).expect_err("invalid").to_string();
    let usual = LogisticRegression::default;
    for c in [f64::NAN, 0.0, -1.0, f64::INFINITY] {
        let message = fit(LogisticRegression { c, ..usual() });
        assert_eq!(message, format!("C = {c}: it must be a finite number above 0"));
    }
    assert!(fit(LogisticRegression { tol: f64::NAN, ..usual() }).starts_with("tol = NaN: "));
    assert!(fit(LogisticRegression { max_iter: 0, ..usual() }).starts_with("max_iter = 0: "));
    assert_eq!(usual().fit(&points, &[3; 6]).expect_err("invalid"), ProbeError::Classes(1));
    assert_eq!(usual().fit(&none, &[]).expect_err("invalid"), ProbeError::NoRows { points: "points" });
    let short = usual().fit(&points, &labels[1..]).expect_err("invalid").to_string();
    assert_eq!(short, "points has 6 rows, but labels has 5 labels");
    let fitted = usual().fit(&points, &labels).expect("fitted");
    assert!(fitted.predict(&wide).is_err());
    assert!(fitted.score(&points, &labels[1..]).is_err());
}

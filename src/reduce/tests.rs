//! Golden values of z-score and PCA, and properties that hold for every PCA.

use super::*;
use crate::golden;
use crate::points::Points;

#[test]
fn golden_z_score_then_pca() {
    for case in golden::cases("pca.json") {
        let (name, expect) = (golden::text(&case["name"]), &case["expect"]);
        let points = golden::points(&case["x"]);
        let standardiser = Standardiser::fit(&points).expect("fitted");
        for (found, expected) in
            [(&standardiser.mean, &expect["mean"]), (&standardiser.deviation, &expect["std_population"])]
        {
            for (found, expected) in found.iter().zip(golden::numbers(expected)) {
                golden::close(*found, expected, 1e-5, 1e-7, name);
            }
        }
        let scores = zscore(&points).expect("scores");
        let sum = scores.as_slice().iter().map(|&value| f64::from(value).abs()).sum();
        golden::close(sum, golden::number(&expect["z_abs_sum"]), 1e-6, 0.0, name);

        let fitted = Pca::default().fit(&scores).expect("fitted");
        assert_eq!(fitted.components.len(), points.rows().min(points.columns()), "{name}");
        for (found, key) in [
            (&fitted.explained_variance, "explained_variance"),
            (&fitted.explained_variance_ratio, "explained_variance_ratio"),
        ] {
            let expected = golden::numbers(&expect[key]);
            assert_eq!(found.len(), expected.len(), "{name} {key}");
            for (found, expected) in found.iter().zip(expected) {
                golden::close(*found, expected, 1e-5, 1e-10, &format!("{name} {key}"));
            }
        }
        for (found, expected) in fitted.singular_values.iter().zip(golden::numbers(&expect["singular_values"])) {
            // The root of a variance that is 0 but for rounding has half as many digits.
            golden::close(*found, expected, 1e-5, 2e-6, &format!("{name} singular value"));
        }
        for (found, expected) in fitted.components.iter().zip(rows_of(&expect["components_abs_first3"])) {
            for (found, expected) in found.iter().zip(expected) {
                golden::close(found.abs(), expected, 1e-5, 1e-5, &format!("{name} component"));
            }
        }
        let projected = fitted.transform(&scores).expect("projected");
        for (found, expected) in projected.iter().zip(rows_of(&expect["scores_abs_first5x3"])) {
            for (&found, expected) in found.iter().zip(expected) {
                golden::close(f64::from(found.abs()), expected, 1e-5, 1e-5, &format!("{name} score"));
            }
        }
        for (fraction, count) in expect["n_components_for"].as_object().expect("counts") {
            let pca = Pca::variance(fraction.parse().expect("a fraction"));
            let kept = pca.fit(&scores).expect("fitted").components.len();
            assert_eq!(kept, golden::index(count), "{name} at {fraction}");
        }
    }
}

fn rows_of(value: &serde_json::Value) -> Vec<Vec<f64>> {
    value.as_array().expect("rows").iter().map(golden::numbers).collect()
}

#[test]
fn components_are_orthonormal_and_signed() {
    // Taller, wider, square, and of rank 2 only.
    for (rows, columns, rank) in [(30, 7, 7), (7, 30, 7), (9, 9, 9), (12, 20, 2), (20, 12, 2)] {
        let noise = |seed: usize| ((seed * 7919 + 13) % 1009) as f32 / 100.0 - 5.0;
        let value = |row: usize, column: usize| -> f32 {
            (0..rank).map(|at| noise(row * 31 + at) * noise(column * 17 + at * 101 + 5)).sum()
        };
        let values = (0..rows * columns).map(|at| value(at / columns, at % columns)).collect();
        let points = Points::new(rows, columns, values).expect("valid");
        let fitted = Pca::default().fit(&points).expect("fitted");
        for (at, component) in fitted.components.iter().enumerate() {
            let largest = component.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).expect("columns");
            assert!(largest > 0.0, "component {at} of {rows} x {columns} points to {largest}");
            for (other_at, other) in fitted.components.iter().enumerate() {
                let product: f64 = component.iter().zip(other).map(|(a, b)| a * b).sum();
                let expected = f64::from(at == other_at);
                golden::close(product, expected, 0.0, 1e-9, &format!("{at} and {other_at} of {rows} x {columns}"));
            }
        }
        let total: f64 = fitted.explained_variance_ratio.iter().sum();
        golden::close(total, 1.0, 1e-12, 0.0, "all shares of the variance");
        let few = Pca::count(2).fit(&points).expect("fitted");
        for (found, expected) in few.components.concat().iter().zip(fitted.components[..2].concat()) {
            golden::close(*found, expected, 0.0, 1e-12, "the first two components");
        }
        assert_eq!(few.components.len(), 2);
        assert_eq!(few.explained_variance_ratio, fitted.explained_variance_ratio[..2]);
    }
}

#[test]
fn the_projection_has_the_explained_variance() {
    let values = (0..300 * 5).map(|at| ((at * at * 31 + at * 7) % 1013) as f32 * ((at % 5) as f32 + 1.0)).collect();
    let points = Points::new(300, 5, values).expect("valid");
    let fitted = Pca::count(3).fit(&points).expect("fitted");
    let projected = Standardiser::fit(&Pca::count(3).fit_transform(&points).expect("projected")).expect("measured");
    for (deviation, variance) in projected.deviation.iter().zip(&fitted.explained_variance) {
        golden::close(deviation * deviation * 300.0 / 299.0, *variance, 1e-5, 0.0, "variance");
    }
}

#[test]
fn bad_input_is_named() {
    let points = Points::new(4, 3, (0..12).map(|at| (at * at % 7) as f32).collect()).expect("valid");
    let message = |pca: Pca, points: &Points| pca.fit(points).expect_err("invalid").to_string();
    assert_eq!(message(Pca::count(4), &points), "components = 4 is not between 1 and min(rows, columns) = 3");
    assert_eq!(message(Pca::count(0), &points), "components = 0 is not between 1 and min(rows, columns) = 3");
    for fraction in [0.0, 1.0, -0.5, f64::NAN] {
        let expected = format!("variance = {fraction} is not between 0 and 1, both excluded");
        assert_eq!(message(Pca::variance(fraction), &points), expected);
    }
    let one = points.select(&[0]).expect("valid");
    assert_eq!(message(Pca::default(), &one), "points has 1 rows: at least 2 are needed");
    let equal = points.select(&[1, 1, 1]).expect("valid");
    assert!(message(Pca::variance(0.9), &equal).contains("all points are equal"));
    assert_eq!(Pca::count(2).fit(&equal).expect("fitted").explained_variance_ratio, [0.0, 0.0]);
    let narrow = Points::new(1, 2, vec![0.0; 2]).expect("valid");
    let fitted = Pca::default().fit(&points).expect("fitted");
    assert_eq!(fitted.transform(&narrow), Err(ReduceError::Columns { found: 2, expected: 3 }));
}

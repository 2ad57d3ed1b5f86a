//! Golden values of K-Means, a naive twin, and what must hold for every run.

use super::*;
use crate::golden;
use crate::metrics::adjusted_rand_score;
use crate::points::Points;

/// Points in groups, by a rule: group centres far apart, noise around them.
fn groups(rows: usize, columns: usize, count: usize) -> Points {
    let noise = |seed: usize| ((seed * 7919 + 13) % 1009) as f32 / 1009.0 - 0.5;
    let value =
        |row: usize, column: usize| noise((row % count) * 131 + column * 17) * 6.0 + noise(row * columns + column);
    Points::new(rows, columns, (0..rows * columns).map(|at| value(at / columns, at % columns)).collect())
        .expect("valid")
}

#[test]
fn golden_from_given_rows() {
    let mut checked = 0;
    for case in golden::cases("kmeans.json") {
        let (name, expect) = (golden::text(&case["name"]), &case["expect"]);
        if !name.contains(":iter") {
            continue;
        }
        let points = golden::points(&case["x"]);
        let rows = golden::indices(&case["init_rows"]);
        let kmeans = KMeans {
            n_clusters: rows.len(),
            max_iter: golden::index(&case["max_iter"]),
            tol: 0.0,
            init: Init::Rows(rows),
            ..KMeans::default()
        };
        let fit = kmeans.fit(&points).expect("fitted");
        assert_eq!(fit.labels, golden::labels(&expect["labels"]), "{name}");
        assert_eq!(fit.n_iter, golden::index(&expect["n_iter"]), "{name}");
        golden::close(fit.inertia, golden::number(&expect["inertia"]), 1e-5, 0.0, name);
        let sum = fit.centers.as_slice().iter().map(|&value| f64::from(value).abs()).sum();
        golden::close(sum, golden::number(&expect["centroid_abs_sum"]), 1e-5, 0.0, name);
        checked += 1;
    }
    assert_eq!(checked, 16);
}

#[test]
fn golden_empty_clusters_are_filled() {
    let mut checked = 0;
    for case in golden::cases("kmeans.json") {
        let (name, expect) = (golden::text(&case["name"]), &case["expect"]);
        let Some(extra) = case.get("init_extra") else { continue };
        let points = golden::points(&case["x"]);
        let mut rows: Vec<Vec<f32>> =
            golden::indices(&case["init_rows"]).iter().map(|&row| points.row(row).to_vec()).collect();
        for centre in extra.as_array().expect("centres") {
            rows.push(golden::numbers(centre).iter().map(|&value| value as f32).collect());
        }
        let kmeans = KMeans {
            n_clusters: rows.len(),
            tol: 0.0,
            init: Init::Centers(Points::from_rows(&rows).expect("centres")),
            ..KMeans::default()
        };
        let fit = kmeans.fit(&points).expect("fitted");
        let mut distinct = fit.labels.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), golden::index(&expect["n_distinct"]), "{name}");
        golden::close(fit.inertia, golden::number(&expect["inertia"]), 1e-5, 0.0, name);
        checked += 1;
    }
    assert_eq!(checked, 4);
}

#[test]
fn golden_plus_plus_is_no_worse_over_50_seeds() {
    let mut checked = 0;
    for case in golden::cases("kmeans.json") {
        let Some(quantiles) = case["expect"].get("inertia_quantiles_0_10_50_90_100") else { continue };
        let points = golden::points(&case["x"]);
        let fit = |seed| {
            let kmeans = KMeans { n_clusters: golden::index(&case["k"]), max_iter: 1000, seed, ..KMeans::default() };
            kmeans.fit(&points).expect("fitted").inertia
        };
        let mut inertias: Vec<f64> = (0..50).map(fit).collect();
        inertias.sort_by(f64::total_cmp);
        let (median, quantiles) = (inertias[25], golden::numbers(quantiles));
        assert!(median <= quantiles[3], "{median} in {quantiles:?}");
        assert!(inertias[0] >= quantiles[0] * 0.95, "{} is too good for {quantiles:?}", inertias[0]);
        checked += 1;
    }
    assert_eq!(checked, 4);
}

/// Lloyd's algorithm by its definition, all in 64 bits.
fn naive(points: &Points, start: &[usize]) -> Vec<i32> {
    let widen = |row: &[f32]| row.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
    let mut centres: Vec<Vec<f64>> = start.iter().map(|&row| widen(points.row(row))).collect();
    let mut labels = vec![-1; points.rows()];
    loop {
        let distance = |row: &[f32], centre: &[f64]| -> f64 {
            row.iter().zip(centre).map(|(&a, b)| (f64::from(a) - b).powi(2)).sum()
        };
        let nearest = |row: &[f32]| {
            let closer = |a: &usize, b: &usize| distance(row, &centres[*a]).total_cmp(&distance(row, &centres[*b]));
            (0..centres.len()).min_by(closer).expect("centres") as i32
        };
        let new: Vec<i32> = points.iter().map(nearest).collect();
        if new == labels {
            return labels;
        }
        labels = new;
        for (cluster, centre) in centres.iter_mut().enumerate() {
            let members: Vec<&[f32]> =
                points.iter().zip(&labels).filter(|(_, label)| **label == cluster as i32).map(|(row, _)| row).collect();
            assert!(!members.is_empty(), "the twin knows no empty clusters: choose another start");
            for (column, value) in centre.iter_mut().enumerate() {
                *value = members.iter().map(|row| f64::from(row[column])).sum::<f64>() / members.len() as f64;
            }
        }
    }
}

#[test]
fn equals_a_naive_twin() {
    for (rows, columns, count) in [(60, 2, 3), (200, 5, 7), (700, 20, 9), (1300, 3, 17)] {
        let points = groups(rows, columns, 40);
        let start: Vec<usize> = (0..count).collect();
        let kmeans = KMeans { n_clusters: count, tol: 0.0, init: Init::Rows(start.clone()), ..KMeans::default() };
        assert_eq!(kmeans.fit(&points).expect("fitted").labels, naive(&points, &start), "{rows} x {columns}");
    }
}

#[test]
fn found_groups_are_the_true_ones_at_any_scale_and_place() {
    let truth: Vec<i32> = (0..900).map(|row| row % 6).collect();
    for (scale, shift) in [(1.0, 0.0), (1e-25, 0.0), (1e25, 0.0), (1.0, 1e4)] {
        let values = groups(900, 12, 6).as_slice().iter().map(|value| value * scale + shift).collect();
        let points = Points::new(900, 12, values).expect("valid");
        let fit = KMeans { n_clusters: 6, n_init: 5, ..KMeans::default() }.fit(&points).expect("fitted");
        assert_eq!(adjusted_rand_score(&truth, &fit.labels), Ok(1.0), "scale {scale}, shift {shift}");
        let own = |(row, &label): (&[f32], &i32)| -> f64 {
            row.iter().zip(fit.centers.row(label as usize)).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
        };
        let inertia: f64 = points.iter().zip(&fit.labels).map(own).sum();
        golden::close(fit.inertia, inertia, 1e-4, 0.0, "inertia");
    }
}

#[test]
fn results_do_not_depend_on_threads_but_on_the_seed() {
    let points = groups(5000, 30, 40);
    let run = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let kmeans = KMeans { n_clusters: 13, seed, n_init: 2, ..KMeans::default() };
        pool.install(|| kmeans.fit(&points)).expect("fitted")
    };
    let (one, three) = (run(1, 1), run(3, 1));
    assert_eq!(one.labels, three.labels);
    assert_eq!(one.centers, three.centers);
    assert_eq!(one.inertia.to_bits(), three.inertia.to_bits());
    assert_ne!(one.labels, run(1, 2).labels);
}

#[test]
fn more_starts_are_no_worse_and_few_distinct_points_are_no_trouble() {
    let points = groups(300, 4, 30);
    let inertia = |n_init| {
        let kmeans = KMeans { n_clusters: 30, n_init, seed: 3, ..KMeans::default() };
        kmeans.fit(&points).expect("fitted").inertia
    };
    assert!(inertia(10) <= inertia(1));
    let copies = points.select(&[0, 0, 0, 1, 1, 1]).expect("valid");
    let fit = KMeans { n_clusters: 4, ..KMeans::default() }.fit(&copies).expect("fitted");
    assert_eq!(fit.inertia, 0.0);
    assert_eq!((fit.labels[0] == fit.labels[2], fit.labels[0] == fit.labels[3]), (true, false));
    let all = KMeans { n_clusters: 6, ..KMeans::default() }.fit(&copies).expect("fitted");
    assert_eq!(all.centers.rows(), 6);
    let one = KMeans { n_clusters: 1, ..KMeans::default() }.fit(&copies).expect("fitted");
    assert_eq!(one.labels, [0; 6]);
}

#[test]
fn bad_input_is_named() {
    let points = groups(5, 2, 2);
    let message = |kmeans: KMeans| kmeans.fit(&points).expect_err("invalid").to_string();
    let two = || KMeans { n_clusters: 2, ..KMeans::default() };
    assert_eq!(message(KMeans::default()), "n_clusters = 8 is not between 1 and the number of points, 5");
    assert!(message(KMeans { n_clusters: 0, ..two() }).starts_with("n_clusters = 0 "));
    assert_eq!(message(KMeans { n_init: 0, ..two() }), "n_init = 0: it must be at least 1");
    assert_eq!(message(KMeans { max_iter: 0, ..two() }), "max_iter = 0: it must be at least 1");
    assert_eq!(message(KMeans { tol: -1.0, ..two() }), "tol = -1: it must be a number that is not negative");
    assert!(message(KMeans { tol: f64::NAN, ..two() }).starts_with("tol = NaN"));
    let rows = Init::Rows(vec![0]);
    assert_eq!(message(KMeans { init: rows, ..two() }), "init has 1 centres, but n_clusters = 2");
    let beyond = Init::Rows(vec![0, 5]);
    assert_eq!(message(KMeans { init: beyond, ..two() }), "row 5 was selected, but there are only 5 rows");
    let centres = Init::Centers(groups(2, 3, 2));
    let expected = "init has centres with 3 coordinates, but the points have 2";
    assert_eq!(message(KMeans { init: centres, ..two() }), expected);
    let none = Points::new(0, 2, Vec::new()).expect("valid");
    assert!(two().fit(&none).is_err());
}

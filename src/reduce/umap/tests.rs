//! Golden values of umap-learn, stage by stage, and properties of every embedding.

use super::*;
use crate::cluster::KMeans;
use crate::golden;
use crate::metrics::{adjusted_mutual_info_score, trustworthiness};

/// `groups` groups of points, far apart.
fn groups(rows: usize, columns: usize, groups: usize) -> Points {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut noise = || (random.next_u32() >> 8) as f32 / 16_777_216.0;
    let value = |at: usize| if (at / columns) % groups == (at % columns) % groups { 20.0 } else { 0.0 };
    Points::new(rows, columns, (0..rows * columns).map(|at| value(at) + noise()).collect()).expect("valid")
}

fn finite(points: &Points) -> bool {
    points.as_slice().iter().all(|value| value.is_finite())
}

#[test]
fn golden_curve() {
    let case = &golden::cases("umap.json")[0];
    let mut checked = 0;
    for (name, expected) in case["expect"].as_object().expect("parameters") {
        let (spread, min_dist) = name["spread".len()..].split_once("_min_dist").expect("two parameters");
        let (a, b) = find_ab_params(spread.parse().expect("spread"), min_dist.parse().expect("min_dist")).expect("fit");
        for (found, expected) in [a, b].into_iter().zip(golden::numbers(expected)) {
            golden::close(found, expected, 0.0, 1e-4, name);
        }
        checked += 1;
    }
    assert_eq!(checked, 7);
}

#[test]
fn golden_sigmas_rhos_and_graph() {
    let mut checked = 0;
    for case in &golden::cases("umap.json")[1..] {
        let (name, expect) = (golden::text(&case["name"]), &case["expect"]);
        let k = golden::index(&case["n_neighbors"]);
        let indices = golden::array(&case["knn_idx_file"]).to_f64().iter().map(|&index| index as u32).collect();
        let distances = golden::points(&case["knn_dist_file"]).into_values();
        let nearest = Nearest { k, indices, distances };
        let (sigmas, rhos) = smooth_knn_dist(&nearest.distances, k, 1.0);
        for (found, key) in [(&sigmas, "sigmas"), (&rhos, "rhos")] {
            let expected = golden::numbers(&expect[key]);
            assert_eq!(found.len(), expected.len());
            for (&found, expected) in found.iter().zip(expected) {
                golden::close(f64::from(found), expected, 2e-4, 1e-30, &format!("{name} {key}"));
            }
        }
        let strengths = membership_strengths(&nearest, &sigmas, &rhos, false);
        let graph = fuzzy_union(&nearest, &strengths, 1.0).expect("a graph");
        assert_eq!(graph.nnz(), golden::index(&expect["graph_nnz"]), "{name}");
        let sum = graph.values.iter().map(|&value| f64::from(value)).sum();
        golden::close(sum, golden::number(&expect["graph_sum"]), 1e-4, 0.0, name);
        let edges = golden::points(&expect["graph_coo_file"]);
        let rows = (0..graph.rows).flat_map(|row| graph.row(row).0.iter().map(move |&column| (row, column)));
        for ((edge, (row, column)), &value) in edges.iter().zip(rows).zip(&graph.values) {
            assert_eq!((edge[0] as usize, edge[1] as u32), (row, column), "{name}");
            golden::close(f64::from(value), f64::from(edge[2]), 0.0, 1e-4, name);
        }
        checked += 1;
    }
    assert_eq!(checked, 3);
}

#[test]
fn golden_quality_of_five_seeds() {
    let mut checked = 0;
    for case in &golden::cases("umap.json") {
        let Some(quality) = case["expect"].get("quality_6_seeds") else { continue };
        let (points, truth) = (golden::points(&case["x"]), golden::labels(&case["y"]));
        let n_clusters = 1 + *truth.iter().max().expect("labels") as usize;
        for n_components in [2, 10] {
            let name = format!("{} in {n_components} dimensions", golden::text(&case["name"]));
            let (mut trust, mut agreement) = (Vec::new(), Vec::new());
            for seed in 0..5 {
                let n_neighbors = golden::index(&case["n_neighbors"]);
                let umap = Umap { n_neighbors, n_components, min_dist: 0.0, seed, ..Umap::default() };
                let embedding = umap.fit_transform(&points).expect("embedded");
                trust.push(trustworthiness(&points, &embedding, 15, Metric::Euclidean).expect("measured"));
                let kmeans = KMeans { n_clusters, n_init: 5, ..KMeans::default() };
                let labels = kmeans.fit(&embedding).expect("clustered").labels;
                agreement.push(adjusted_mutual_info_score(&truth, &labels).expect("measured"));
            }
            let expected = &quality[format!("dim{n_components}")];
            for (found, key, most) in [(trust, "trustworthiness15", 0.01), (agreement, "kmeans_ami", f64::MAX)] {
                let (expected, deviation) = moments(&golden::numbers(&expected[key]));
                let found = moments(&found).0;
                // A standard deviation of 0 allows for one point that changes sides.
                let allowed = (3.0 * deviation).min(most).max(2e-3);
                assert!(found >= expected - allowed, "{name}: {key} {found} is not {expected} within {allowed}");
            }
            checked += 1;
        }
    }
    assert_eq!(checked, 4);
}

fn moments(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (values.len() - 1) as f64).sqrt())
}

#[test]
fn same_result_with_any_number_of_threads() {
    // The second is large enough for the pool of draws.
    for (rows, n_components, epochs) in [(900, 2, 50), (2600, 50, 12)] {
        let points = groups(rows, 12, 3);
        let run = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let umap = Umap { n_components, n_epochs: Some(epochs), seed, ..Umap::default() };
            pool.install(|| umap.fit_transform(&points)).expect("embedded")
        };
        let one = run(1, 1);
        assert!(one == run(3, 1));
        assert!(one != run(1, 2));
        assert!(finite(&one));
    }
}

#[test]
fn new_points_land_near_their_copies() {
    let points = groups(400, 10, 5);
    let fit = Umap { min_dist: 0.0, ..Umap::default() }.fit(&points).expect("embedded");
    assert!(fit.transform(&points).expect("transformed") == fit.embedding);
    let rows: Vec<usize> = (0..100).collect();
    let copies = fit.transform(&points.select(&rows).expect("rows")).expect("transformed");
    let group_of = |place: &[f32]| {
        let distance = |&row: &usize| Metric::Euclidean.distance(place, fit.embedding.row(row));
        (0..400).min_by(|a, b| distance(a).total_cmp(&distance(b))).expect("rows") % 5
    };
    let mut distances: Vec<f64> =
        rows.iter().map(|&row| Metric::Euclidean.distance(copies.row(row), fit.embedding.row(row))).collect();
    distances.sort_by(f64::total_cmp);
    assert!(distances[50] < 0.5, "{distances:?}");
    assert!(rows.iter().all(|&row| group_of(copies.row(row)) == row % 5));
    let none = Points::new(0, 10, Vec::new()).expect("valid");
    assert_eq!(fit.transform(&none).expect("transformed").rows(), 0);
    assert!(fit.transform(&groups(3, 4, 2)).is_err());
}

#[test]
fn graphs_in_pieces_stay_in_pieces() {
    // Few large pieces, few small ones, and more pieces than twice the components.
    for (rows, columns, pieces, n_components) in [(300, 6, 3, 2), (60, 6, 3, 20), (400, 20, 10, 2)] {
        let points = groups(rows, columns, pieces);
        let umap = Umap { n_neighbors: 8, n_components, n_epochs: Some(100), ..Umap::default() };
        let fit = umap.fit(&points).expect("embedded");
        assert_eq!(fit.graph.connected_components().iter().max(), Some(&(pieces as u32 - 1)));
        assert!(finite(&fit.embedding));
        let trust = trustworthiness(&points, &fit.embedding, 5, Metric::Euclidean).expect("measured");
        assert!(trust > 0.8, "{trust} for {pieces} pieces");
    }
}

#[test]
fn few_or_equal_points_are_no_trouble() {
    for rows in 1..7 {
        for n_components in [1, 2, 5] {
            for init in [Init::Spectral, Init::Random] {
                let umap = Umap { n_components, init, n_epochs: Some(30), ..Umap::default() };
                let embedding = umap.fit_transform(&groups(rows, 3, 2)).expect("embedded");
                assert_eq!((embedding.rows(), embedding.columns()), (rows, n_components));
            }
        }
    }
    let equal = Points::new(40, 3, vec![1.5; 120]).expect("valid");
    for metric in [Metric::Euclidean, Metric::Cosine] {
        let fit = Umap { metric, n_epochs: Some(30), ..Umap::default() }.fit(&equal).expect("embedded");
        assert!(finite(&fit.transform(&groups(5, 3, 2)).expect("transformed")));
    }
    let opposite = Points::new(40, 1, (0..40).map(|row| if row < 5 { 1.0 } else { -1.0 }).collect()).expect("valid");
    let fit = Umap { metric: Metric::Cosine, ..Umap::default() }.fit(&opposite).expect("embedded");
    assert_eq!(fit.graph.connected_components().iter().max(), Some(&1));
    let given = Init::Given(Points::new(40, 2, vec![0.0; 80]).expect("valid"));
    let umap = Umap { init: given, n_epochs: Some(0), ..Umap::default() };
    assert!(umap.fit_transform(&equal).expect("embedded").as_slice().iter().all(|&value| value == 0.0));
}

#[test]
fn bad_parameters_are_named() {
    let points = groups(20, 3, 2);
    let message = |umap: Umap| umap.fit(&points).expect_err("invalid").to_string();
    let good = Umap::default;
    assert_eq!(message(Umap { n_neighbors: 1, ..good() }), "n_neighbors = 1: it must be at least 2");
    assert_eq!(message(Umap { n_components: 0, ..good() }), "n_components = 0: it must be at least 1");
    assert_eq!(message(Umap { min_dist: 2.0, ..good() }), "min_dist = 2: it must be at most spread = 1");
    assert_eq!(message(Umap { min_dist: f64::NAN, ..good() }), "min_dist = NaN: it must be a number from 0");
    assert_eq!(message(Umap { spread: 0.0, ..good() }), "spread = 0: it must be a positive number");
    assert!(message(Umap { learning_rate: f64::NAN, ..good() }).starts_with("learning_rate = NaN: "));
    assert!(message(Umap { repulsion_strength: -1.0, ..good() }).starts_with("repulsion_strength = -1: "));
    assert!(message(Umap { set_op_mix_ratio: 1.5, ..good() }).starts_with("set_op_mix_ratio = 1.5: "));
    assert!(message(Umap { local_connectivity: -0.5, ..good() }).starts_with("local_connectivity = -0.5: "));
    let init = Init::Given(groups(20, 3, 2));
    assert_eq!(message(Umap { init, ..good() }), "init = 20 x 3: 20 x 2 places are needed");
    let none = Points::new(0, 3, Vec::new()).expect("valid");
    assert!(good().fit(&none).is_err());
    let one = good().fit(&groups(1, 3, 2)).expect("one point");
    assert_eq!(one.embedding.as_slice(), [0.0, 0.0]);
    assert!(one.transform(&points).is_err());
}

#[test]
fn more_or_no_draws_and_any_width() {
    let points = groups(90, 6, 3);
    for negative_sample_rate in [0, 1, 7, 8, 20] {
        for n_components in [1, 3, 7, 9] {
            let init = Init::Random;
            let umap = Umap { negative_sample_rate, n_components, init, n_epochs: Some(40), ..Umap::default() };
            assert!(finite(&umap.fit_transform(&points).expect("embedded")));
        }
    }
}

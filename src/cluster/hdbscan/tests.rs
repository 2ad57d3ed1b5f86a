//! Golden values of HDBSCAN, a naive twin of the spanning tree, and what must hold for every run.

use super::*;
use crate::golden;
use crate::metrics::adjusted_rand_score;

/// Scikit-learn sorts the edges of its tree with a sort that leaves the order of equal ones to the processor, and
/// mutual reachability makes many equal. So a case whose answer depends on that order (which the case itself does not
/// tell) may differ in a few points, and the others must be equal. Scikit-learn 1.9.1 itself, on a processor with AVX2 and
/// without AVX-512, gives the labels of only 37 of the 52 cases that have a file of points.
#[test]
fn golden_values() {
    let (mut checked, mut equal) = (0, 0);
    for case in golden::cases("hdbscan.json") {
        let (name, expect) = (golden::text(&case["name"]), &case["expect"]);
        let points = match case.get("x") {
            Some(x) => golden::points(x),
            None => {
                let rows = case["x_inline"].as_array().expect("rows");
                let row = |row| golden::numbers(row).into_iter().map(|value| value as f32).collect();
                Points::from_rows(&rows.iter().map(row).collect::<Vec<_>>()).expect("points")
            }
        };
        let hdbscan = of(&case["params"]);
        let fit = hdbscan.fit(&points).expect("fitted");
        let labels = golden::labels(&expect["labels"]);
        let agreement = expect.get("agrees_with_hdbscan_lib_ari").map_or(1.0, golden::number);
        let found = adjusted_rand_score(&labels, &fit.labels).expect("as long");
        assert!(found >= agreement - 0.03, "{name}: {found}, not {agreement}");
        if let Some(weight) = expect.get("mst_total_weight") {
            golden::close(fit.spanning_tree_weight(), golden::number(weight), 1e-6, 0.0, name);
        }
        if agreement == 1.0 && is_free_of_ties(&points, &hdbscan, &fit) {
            assert_eq!(found, 1.0, "{name}");
            let noise = |labels: &[i32]| labels.iter().map(|&label| label < 0).collect::<Vec<_>>();
            assert_eq!(noise(&fit.labels), noise(&labels), "{name}");
            if let Some(probabilities) = expect.get("probabilities") {
                for (&found, expected) in fit.probabilities.iter().zip(golden::numbers(probabilities)) {
                    golden::close(found, expected, 0.0, 1e-5, name);
                }
            }
            if let Some(clusters) = expect.get("n_clusters") {
                assert_eq!(fit.n_clusters, golden::index(clusters), "{name}");
            }
            equal += 1;
        }
        checked += 1;
    }
    assert_eq!((checked, equal), (56, 24));
}

/// Whether spanning trees with equal edges in other orders give the same.
fn is_free_of_ties(points: &Points, hdbscan: &Hdbscan, fit: &HdbscanFit) -> bool {
    let min_samples = hdbscan.min_samples.unwrap_or(hdbscan.min_cluster_size);
    let edges = any_tree(naive_graph(points, hdbscan.metric, min_samples, hdbscan.alpha), points.rows());
    (0..50_u64).all(|order| {
        let mix = |edge: &Edge| {
            ((edge.a * points.rows() + edge.b) as u64 ^ (order << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        };
        let mut edges = edges.clone();
        edges.sort_by(|a, b| a.weight.total_cmp(&b.weight).then((mix(a) >> 20).cmp(&(mix(b) >> 20))));
        let mut sets = unite::Sets::new(points.rows());
        edges.retain(|edge| {
            let joins = sets.find(edge.a) != sets.find(edge.b);
            sets.unite(edge.a, edge.b);
            joins
        });
        let parts = condense::condense(&edges, points.rows(), hdbscan.min_cluster_size);
        let (labels, probabilities) = select::select(&parts, points.rows(), hdbscan);
        let same = fit.probabilities.iter().zip(&probabilities).all(|(a, b)| (a - b).abs() <= 1e-9);
        same && adjusted_rand_score(&labels, &fit.labels).expect("as long") == 1.0
    })
}

/// The edges that are in any minimum spanning tree: those whose ends are not joined by lighter ones. Sorted.
fn any_tree(mut edges: Vec<Edge>, rows: usize) -> Vec<Edge> {
    edges.sort_by(|a, b| a.weight.total_cmp(&b.weight));
    let mut sets = unite::Sets::new(rows);
    let mut kept = Vec::new();
    for equal in edges.chunk_by(|a, b| a.weight == b.weight) {
        let first = kept.len();
        kept.extend(equal.iter().filter(|edge| sets.find(edge.a) != sets.find(edge.b)));
        kept[first..].iter().for_each(|edge: &Edge| {
            sets.unite(edge.a, edge.b);
        });
    }
    kept
}

/// All edges of mutual reachability, in 64 bits.
fn naive_graph(points: &Points, metric: Metric, min_samples: usize, alpha: f64) -> Vec<Edge> {
    let rows = points.rows();
    let distance = |a: usize, b: usize| if a == b { 0.0 } else { metric.distance(points.row(a), points.row(b)) };
    let core_scale = if metric == Metric::Cosine { alpha } else { 1.0 };
    let core = |a| {
        let mut all: Vec<f64> = (0..rows).map(|b| distance(a, b)).collect();
        all.sort_by(f64::total_cmp);
        all[min_samples - 1] / core_scale
    };
    let cores: Vec<f64> = (0..rows).map(core).collect();
    let weight = |a: usize, b: usize| (distance(a, b) / alpha).max(cores[a]).max(cores[b]);
    (0..rows)
        .flat_map(|a| (a + 1..rows).map(move |b| (a, b)))
        .map(|(a, b)| Edge { a, b, weight: weight(a, b) })
        .collect()
}

/// The parameters of a golden case.
fn of(case: &serde_json::Value) -> Hdbscan {
    let mut hdbscan = Hdbscan::default();
    for (name, value) in case.as_object().expect("parameters") {
        match name.as_str() {
            "min_cluster_size" => hdbscan.min_cluster_size = golden::index(value),
            "min_samples" => hdbscan.min_samples = Some(golden::index(value)),
            "max_cluster_size" => hdbscan.max_cluster_size = Some(golden::index(value)),
            "cluster_selection_epsilon" => hdbscan.cluster_selection_epsilon = golden::number(value),
            "alpha" => hdbscan.alpha = golden::number(value),
            "allow_single_cluster" => hdbscan.allow_single_cluster = value.as_bool().expect("true or false"),
            "metric" => hdbscan.metric = golden::text(value).parse().expect("a metric"),
            "cluster_selection_method" => {
                hdbscan.cluster_selection_method =
                    if golden::text(value) == "leaf" { Selection::Leaf } else { Selection::Eom };
            }
            other => panic!("{other}"),
        }
    }
    hdbscan
}

/// The weights of the spanning tree that Kruskal's algorithm finds among all edges.
fn naive_weights(points: &Points, metric: Metric, min_samples: usize, alpha: f64) -> Vec<f64> {
    let mut edges = naive_graph(points, metric, min_samples, alpha);
    edges.sort_by(|a, b| a.weight.total_cmp(&b.weight));
    let mut sets = unite::Sets::new(points.rows());
    edges.retain(|edge| {
        let joins = sets.find(edge.a) != sets.find(edge.b);
        sets.unite(edge.a, edge.b);
        joins
    });
    edges.into_iter().map(|edge| edge.weight).collect()
}

/// Points of groups of very different sizes and densities, with copies.
fn scattered(rows: usize, columns: usize, groups: usize, copies: usize, seed: u64) -> Points {
    let mut state = seed;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let centres: Vec<f32> = (0..groups * columns).map(|_| random() * 20.0).collect();
    let mut values = Vec::new();
    for row in 0..rows {
        let group = (row * row + row / 3) % groups;
        if row > 0 && row % 10 < copies {
            let from = (random() + 0.5) * (row - 1) as f32;
            values.extend_from_within(from as usize * columns..(from as usize + 1) * columns);
        } else {
            values.extend((0..columns).map(|at| centres[group * columns + at] + random() * (1.0 + group as f32 / 3.0)));
        }
    }
    Points::new(rows, columns, values).expect("valid")
}

fn check_tree(points: &Points, metric: Metric, min_samples: usize, alpha: f64) {
    let name = format!("{points:?} {metric} {min_samples} {alpha}");
    let found = spanning_tree::spanning_tree(points, metric, min_samples, alpha).expect("a tree");
    let expected = naive_weights(points, metric, min_samples, alpha);
    assert_eq!(found.len(), expected.len());
    for (edge, &expected) in found.iter().zip(&expected) {
        golden::close(edge.weight, expected, 1e-9, 1e-12, &name);
    }
    assert!(found.is_sorted_by(|a, b| (a.weight, a.a, a.b) < (b.weight, b.a, b.b)));
    let mut sets = unite::Sets::new(points.rows());
    for edge in &found {
        assert!(edge.a < edge.b && sets.find(edge.a) != sets.find(edge.b), "{name}");
        sets.unite(edge.a, edge.b);
    }
}

#[test]
fn tree_equals_a_naive_one() {
    let metrics = [Metric::Euclidean, Metric::Cityblock, Metric::Chebyshev, Metric::Cosine, Metric::Arccos];
    for metric in metrics {
        for (rows, columns, groups, copies) in [
            (2, 1, 1, 0),
            (3, 2, 1, 0),
            (30, 2, 3, 5),
            (300, 3, 40, 0),
            (500, 2, 3, 7),
            (600, 70, 12, 2),
            (900, 5, 150, 9),
        ] {
            let points = scattered(rows, columns, groups, copies, rows as u64);
            for min_samples in [1, 2, 5, 30] {
                if min_samples <= rows {
                    check_tree(&points, metric, min_samples, 1.0);
                }
            }
        }
    }
    let points = scattered(600, 4, 30, 1, 9);
    for metric in metrics {
        check_tree(&points, metric, 5, 0.5);
        check_tree(&points, metric, 5, 3.0);
    }
}

#[test]
fn tree_of_points_on_a_grid_has_ties() {
    let points = Points::new(1600, 2, (0..3200).map(|at| ((at / 2 * 7 % 40) + at % 2 * (at / 80)) as f32).collect());
    let points = points.expect("valid");
    for metric in [Metric::Euclidean, Metric::Cityblock, Metric::Chebyshev] {
        check_tree(&points, metric, 4, 1.0);
    }
}

#[test]
fn tree_of_many_far_groups() {
    // Groups larger than any list of neighbours, more than are compared in pairs.
    let points = scattered(3000, 3, 100, 0, 5);
    check_tree(&points, Metric::Euclidean, 5, 1.0);
    let copies = Points::new(6000, 2, (0..12000).map(|at| ((at / 2 % 300) * (at % 2 * 17 + 1) % 101) as f32).collect());
    check_tree(&copies.expect("valid"), Metric::Euclidean, 5, 1.0);
}

#[test]
fn tree_of_points_in_cells() {
    for (columns, groups, copies) in [(2, 40, 0), (3, 9, 6), (20, 25, 0), (50, 12, 2), (90, 25, 1)] {
        let points = scattered(1300, columns, groups, copies, columns as u64);
        for metric in [Metric::Euclidean, Metric::Cityblock, Metric::Chebyshev, Metric::Cosine, Metric::Arccos] {
            check_tree(&points, metric, 5, 1.0);
        }
        for scale in [1e-20_f32, 1e20] {
            let values = points.as_slice().iter().map(|value| value * scale).collect();
            check_tree(&Points::new(1300, columns, values).expect("valid"), Metric::Euclidean, 5, 1.0);
        }
    }
}

#[test]
fn same_result_on_any_number_of_threads() {
    for points in [scattered(2500, 20, 12, 1, 3), scattered(2500, 3, 60, 1, 3)] {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| Hdbscan::default().fit(&points)).expect("fitted")
        };
        let (one, three) = (run(1), run(3));
        assert_eq!(one.spanning_tree, three.spanning_tree);
        assert_eq!((one.labels, one.probabilities), (three.labels, three.probabilities));
    }
}

#[test]
fn bad_parameters_are_named() {
    let points = scattered(6, 2, 1, 0, 1);
    let message = |hdbscan: Hdbscan, points: &Points| hdbscan.fit(points).expect_err("invalid").to_string();
    let default = Hdbscan::default();
    let of = |min_cluster_size, min_samples| Hdbscan { min_cluster_size, min_samples, ..default.clone() };
    assert_eq!(message(of(1, None), &points), "min_cluster_size = 1: it must be at least 2");
    assert_eq!(message(of(5, Some(0)), &points), "min_samples = 0: it must be at least 1");
    assert_eq!(message(of(7, None), &points), "min_samples = 7: it must be at most the number of points, 6");
    assert!(of(7, Some(6)).fit(&points).is_ok());
    let negative = Hdbscan { cluster_selection_epsilon: -1.0, ..default.clone() };
    assert!(message(negative, &points).starts_with("cluster_selection_epsilon = -1"));
    let nan = Hdbscan { cluster_selection_epsilon: f64::NAN, ..default.clone() };
    assert!(message(nan, &points).starts_with("cluster_selection_epsilon = NaN"));
    for alpha in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(message(Hdbscan { alpha, ..default.clone() }, &points).starts_with("alpha = "));
    }
    let limited = Hdbscan { max_cluster_size: Some(0), ..default.clone() };
    assert_eq!(message(limited, &points), "max_cluster_size = 0: it must be at least 1");
    for rows in [0, 1] {
        let few = Points::new(rows, 2, vec![0.0; rows * 2]).expect("valid");
        assert_eq!(message(default.clone(), &few), format!("points has {rows} rows: at least 2 are needed"));
    }
}

#[test]
fn equal_points_are_noise_or_one_cluster() {
    let points = Points::new(40, 3, vec![0.5; 120]).expect("valid");
    let fit = Hdbscan::default().fit(&points).expect("fitted");
    assert_eq!((fit.labels, fit.n_clusters), (vec![-1; 40], 0));
    let fit = Hdbscan { allow_single_cluster: true, ..Hdbscan::default() }.fit(&points).expect("fitted");
    assert_eq!((fit.labels, fit.probabilities, fit.n_clusters), (vec![0; 40], vec![1.0; 40], 1));
}

#[test]
fn leaves_of_an_unsplit_tree_are_none() {
    let points = scattered(9, 2, 1, 0, 1);
    for allow_single_cluster in [false, true] {
        let leaf = Hdbscan { cluster_selection_method: Selection::Leaf, allow_single_cluster, ..Hdbscan::default() };
        assert_eq!(leaf.fit(&points).expect("fitted").labels, [-1; 9], "as in scikit-learn");
    }
}

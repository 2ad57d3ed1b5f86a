//! Golden values of spectral clustering, and what must hold for every run.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;
use crate::golden;
use crate::metrics::adjusted_rand_score;

fn fit(case: &serde_json::Value, assign_labels: AssignLabels) -> SpectralFit {
    let affinity = match case.get("gamma") {
        Some(gamma) => Affinity::Rbf { gamma: golden::number(gamma) },
        None => Affinity::NearestNeighbors,
    };
    let clustering = SpectralClustering {
        n_clusters: golden::index(&case["k"]),
        n_neighbors: case.get("n_neighbors").map_or(10, golden::index),
        affinity,
        assign_labels,
        ..SpectralClustering::default()
    };
    clustering.fit(&golden::points(&case["x"])).expect("fitted")
}

#[test]
fn golden_graphs_eigenvalues_and_labels() {
    let cases = golden::cases("spectral.json");
    assert_eq!(cases.len(), 12);
    for case in cases {
        let (name, expect) = (golden::text(&case["name"]), &case["expect"]);
        let points = golden::points(&case["x"]);
        let laplacian = match case.get("gamma") {
            Some(gamma) => rbf_laplacian(&points, golden::number(gamma)).expect("valid"),
            None => {
                let graph =
                    neighbour_graph(&points, golden::index(&case["n_neighbors"]), Metric::Euclidean).expect("valid");
                assert_eq!(graph.nnz(), golden::index(&expect["graph_nnz"]), "{name}");
                let sum: f64 = graph.values.iter().map(|&value| f64::from(value)).sum();
                assert_eq!(sum, golden::number(&expect["graph_sum"]), "{name}");
                let laplacian = NormalisedLaplacian::new(&graph).expect("valid");
                assert_eq!(laplacian.component_count(), golden::index(&expect["components"]), "{name}");
                laplacian
            }
        };
        let (values, _) = laplacian.smallest(16, 1e-7, 0).expect("solved");
        for (found, expected) in values.iter().zip(golden::numbers(&expect["laplacian_smallest16"])) {
            // Points in 32 bits have the same neighbours, but the kernel's weights differ from those of 64 bits.
            let allowed = if case.get("gamma").is_none() { 1e-9 } else { 1e-6 };
            golden::close(*found, expected, 0.0, allowed, name);
        }
        let truth = golden::labels(&expect["labels_cluster_qr"]);
        let found = fit(&case, AssignLabels::ClusterQr);
        let same = adjusted_rand_score(&truth, &found.labels).expect("labels");
        if golden::number(&expect["eigengap_k"]) > 1e-3 {
            assert!(same >= 0.99, "{name}: {same}");
        }
        let Some(truth) = expect.get("labels_kmeans") else { continue };
        let found = fit(&case, AssignLabels::KMeans);
        let same = adjusted_rand_score(&golden::labels(truth), &found.labels).expect("labels");
        assert!(same >= 0.99, "{name}: K-Means {same}");
    }
}

/// Groups of points far apart, in turn.
fn groups(rows: usize, columns: usize, count: usize) -> (Points, Vec<i32>) {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let noise: Vec<f32> = (0..rows * columns).map(|_| random.next_u32() as f32 / u32::MAX as f32).collect();
    let value = |(at, noise): (usize, &f32)| match at % columns {
        0 => noise + 9.0 * (at / columns % count) as f32,
        _ => *noise,
    };
    let values = noise.iter().enumerate().map(value).collect();
    let points = Points::new(rows, columns, values).expect("valid");
    (points, (0..rows).map(|row| (row % count) as i32).collect())
}

#[test]
fn parts_of_a_graph_are_clusters() {
    let (points, truth) = groups(1400, 6, 7);
    for assign_labels in [AssignLabels::ClusterQr, AssignLabels::KMeans] {
        let clustering = SpectralClustering { n_clusters: 7, assign_labels, ..SpectralClustering::default() };
        let found = clustering.fit(&points).expect("fitted");
        assert_eq!(adjusted_rand_score(&truth, &found.labels), Ok(1.0));
        assert_eq!((found.n_components_of_graph, found.connected), (7, false));
        assert_eq!(found.eigenvalues, [0.0; 7]);
    }
    let rbf = Affinity::Rbf { gamma: 0.5 };
    let clustering = SpectralClustering { n_clusters: 7, affinity: rbf, ..SpectralClustering::default() };
    assert_eq!(adjusted_rand_score(&truth, &clustering.fit(&points).expect("fitted").labels), Ok(1.0));
}

#[test]
fn results_do_not_depend_on_threads() {
    let points = groups(1500, 3, 1).0;
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let clustering = SpectralClustering { n_clusters: 5, seed: 3, ..SpectralClustering::default() };
        pool.install(|| clustering.fit(&points)).expect("fitted")
    };
    let (one, three) = (run(1), run(3));
    assert_eq!(one.labels, three.labels);
    assert_eq!(one.eigenvalues, three.eigenvalues);
}

#[test]
fn few_points_and_equal_points() {
    let equal = Points::new(6, 2, vec![0.5; 12]).expect("valid");
    let clustering = SpectralClustering { n_clusters: 2, n_neighbors: 3, ..SpectralClustering::default() };
    assert_eq!(clustering.fit(&equal).expect("fitted").labels.len(), 6);
    let alone = SpectralClustering { n_clusters: 1, n_neighbors: 1, ..SpectralClustering::default() };
    let one = alone.fit(&equal.select(&[0]).expect("valid")).expect("fitted");
    assert_eq!((one.labels, one.eigenvalues, one.connected), (vec![0], vec![0.0], true));
    // Nobody's neighbour: every point is a part of its own.
    let apart = SpectralClustering { n_clusters: 6, ..alone }.fit(&equal).expect("fitted");
    assert_eq!(apart.n_components_of_graph, 6);
    let mut labels = apart.labels;
    labels.sort_unstable();
    assert_eq!(labels, [0, 1, 2, 3, 4, 5]);
    let whole = SpectralClustering { n_clusters: 6, n_neighbors: 6, ..SpectralClustering::default() };
    let found = whole.fit(&equal).expect("fitted");
    assert!(found.connected && (found.eigenvalues[5] - 1.2).abs() < 1e-12);
}

#[test]
fn bad_input_is_named() {
    let points = groups(5, 2, 2).0;
    let message = |clustering: SpectralClustering| clustering.fit(&points).expect_err("invalid").to_string();
    let two = || SpectralClustering { n_clusters: 2, n_neighbors: 3, ..SpectralClustering::default() };
    assert_eq!(message(SpectralClustering::default()), "n_clusters = 8 is not between 1 and the number of points, 5");
    assert!(message(SpectralClustering { n_clusters: 0, ..two() }).starts_with("n_clusters = 0"));
    assert_eq!(
        message(SpectralClustering { n_neighbors: 10, ..two() }),
        "n_neighbors = 10: it must be between 1 and the number of points, 5"
    );
    assert!(message(SpectralClustering { n_neighbors: 0, ..two() }).starts_with("n_neighbors = 0"));
    assert!(message(SpectralClustering { n_components: Some(6), ..two() }).starts_with("n_components = 6"));
    assert!(message(SpectralClustering { n_init: 0, ..two() }).starts_with("n_init = 0"));
    assert!(message(SpectralClustering { eigen_tol: 0.0, ..two() }).starts_with("eigen_tol = 0"));
    for gamma in [f64::NAN, -1.0, f64::INFINITY] {
        let rbf = SpectralClustering { affinity: Affinity::Rbf { gamma }, ..two() };
        assert_eq!(message(rbf), format!("gamma = {gamma}: it must be a number that is not negative"));
    }
    assert!(two().fit(&Points::new(0, 2, Vec::new()).expect("valid")).is_err());
}

//! Known graphs, modularity by its definition, and what must hold for every run.

use super::*;

/// Zachary, "An information flow model for conflict and fission in small groups" (1977).
const KARATE: &str = "\
    0-1 0-2 0-3 0-4 0-5 0-6 0-7 0-8 0-10 0-11 0-12 0-13 0-17 0-19 0-21 0-31 1-2 1-3 1-7 1-13 1-17 1-19 1-21 1-30 \
    2-3 2-7 2-8 2-9 2-13 2-27 2-28 2-32 3-7 3-12 3-13 4-6 4-10 5-6 5-10 5-16 6-16 8-30 8-32 8-33 9-33 13-33 \
    14-32 14-33 15-32 15-33 18-32 18-33 19-33 20-32 20-33 22-32 22-33 23-25 23-27 23-29 23-32 23-33 24-25 24-27 \
    24-31 25-31 26-29 26-33 27-33 28-31 28-33 29-32 29-33 30-32 30-33 31-32 31-33 32-33";

fn karate() -> Vec<(u32, u32, f64)> {
    let node = |text: &str| text.parse::<u32>().expect("a node");
    let edge = |text: &str| text.split_once('-').map(|(a, b)| (node(a), node(b), 1.0)).expect("an edge");
    KARATE.split_whitespace().map(edge).collect()
}

fn scattered(rows: usize, columns: usize, count: usize) -> Points {
    let noise = |seed: usize| ((seed * 7919 + 13) % 1009) as f32 / 1009.0 - 0.5;
    let value =
        |row: usize, column: usize| noise((row % count) * 131 + column * 17) * 9.0 + noise(row * columns + column);
    Points::new(rows, columns, (0..rows * columns).map(|at| value(at / columns, at % columns)).collect())
        .expect("valid")
}

/// Modularity by its definition: over all pairs in one community, A - resolution * k k / 2m, divided by 2m.
fn modularity(nodes: usize, edges: &[(u32, u32, f64)], labels: &[i32], resolution: f64) -> f64 {
    let mut matrix = vec![0.0; nodes * nodes];
    for &(a, b, weight) in edges {
        matrix[a as usize * nodes + b as usize] += weight;
        matrix[b as usize * nodes + a as usize] += weight;
    }
    let degrees: Vec<f64> = matrix.chunks(nodes).map(|row| row.iter().sum()).collect();
    let total: f64 = degrees.iter().sum();
    let pairs = (0..nodes * nodes).map(|at| (at / nodes, at % nodes)).filter(|&(a, b)| labels[a] == labels[b]);
    pairs.map(|(a, b)| matrix[a * nodes + b] - resolution * degrees[a] * degrees[b] / total).sum::<f64>() / total
}

fn complete(points: &Points, self_loops: bool) -> Vec<(u32, u32, f64)> {
    let mut edges = Vec::new();
    for a in 0..points.rows() {
        for b in a + usize::from(!self_loops)..points.rows() {
            let distance = Metric::Euclidean.distance(points.row(a), points.row(b));
            edges.push((a as u32, b as u32, 1.0 / (1.0 + distance)));
        }
    }
    edges
}

#[test]
fn karate_club() {
    for seed in 0..30 {
        let louvain = Louvain { seed, ..Louvain::default() };
        let fit = louvain.fit_edges(34, &karate()).expect("communities");
        let expected = modularity(34, &karate(), &fit.labels, 1.0);
        assert!((fit.modularity - expected).abs() < 1e-12, "{} is not {expected}", fit.modularity);
        // 0.4198 is the best there is; networkx finds from 0.385 to that, depending on its seed.
        assert!(fit.modularity > 0.38 && fit.modularity < 0.4198, "seed {seed}: {}", fit.modularity);
        assert!(fit.n_levels >= 2);
    }
    let best = (0..30).map(|seed| Louvain { seed, ..Louvain::default() }.fit_edges(34, &karate()).expect("found"));
    assert!(best.map(|fit| fit.modularity).fold(0.0, f64::max) >= 0.415);
}

#[test]
fn cliques_are_communities() {
    let clique = |first: u32, size: u32| {
        (first..first + size).flat_map(move |a| (a + 1..first + size).map(move |b| (a, b, 1.0)))
    };
    let mut two: Vec<_> = clique(0, 6).chain(clique(6, 6)).collect();
    two.push((0, 11, 1.0));
    let fit = Louvain::default().fit_edges(12, &two).expect("communities");
    assert_eq!(fit.labels, [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
    for seed in 0..10 {
        let mut ring: Vec<_> = (0..8).flat_map(|group| clique(group * 5, 5)).collect();
        ring.extend((0..8).map(|group| (group * 5, (group * 5 + 6) % 40, 1.0)));
        let fit = Louvain { seed, ..Louvain::default() }.fit_edges(40, &ring).expect("communities");
        let expected: Vec<i32> = (0..40).map(|node| node / 5).collect();
        assert_eq!(fit.labels, expected, "seed {seed}");
    }
}

#[test]
fn a_complete_graph_of_points_is_that_of_its_edges() {
    for (rows, columns, count, resolution, self_loops) in
        [(2, 1, 2, 1.0, false), (60, 3, 4, 1.0, false), (90, 2, 5, 1.3, true), (400, 4, 9, 1.1, false)]
    {
        let points = scattered(rows, columns, count);
        let louvain = Louvain { resolution, self_loops, ..Louvain::default() };
        let fit = louvain.fit(&points).expect("communities");
        let edges = complete(&points, self_loops);
        let expected = modularity(rows, &edges, &fit.labels, resolution);
        assert!((fit.modularity - expected).abs() < 1e-6, "{rows}: {} is not {expected}", fit.modularity);
        let by_edges = louvain.fit_edges(rows, &edges).expect("communities");
        assert!((fit.modularity - by_edges.modularity).abs() < 1e-3, "{rows}: {}", by_edges.modularity);
        assert!(no_move_gains(rows, &edges, &fit.labels, resolution) || fit.n_levels > 1);
    }
}

/// Whether no node alone gains by going to another community.
fn no_move_gains(nodes: usize, edges: &[(u32, u32, f64)], labels: &[i32], resolution: f64) -> bool {
    let now = modularity(nodes, edges, labels, resolution);
    let communities = labels.iter().max().map_or(0, |&label| label + 1);
    (0..nodes.min(20)).all(|node| {
        (0..communities).all(|community| {
            let mut moved = labels.to_vec();
            moved[node] = community;
            modularity(nodes, edges, &moved, resolution) <= now + 1e-6
        })
    })
}

#[test]
fn groups_are_found_in_the_graph_of_neighbours() {
    let points = scattered(300, 12, 6);
    let louvain = Louvain { graph: LouvainGraph::Neighbors(8), resolution: 0.3, ..Louvain::default() };
    let fit = louvain.fit(&points).expect("communities");
    let of_group: Vec<i32> = (0..300).map(|row| fit.labels[row % 6]).collect();
    assert_eq!(fit.labels, of_group);
    assert!(fit.modularity > 0.5);
    let all = Louvain { graph: LouvainGraph::Neighbors(1000), ..Louvain::default() }.fit(&points).expect("found");
    let complete = Louvain::default().fit(&points).expect("communities");
    assert!((all.modularity - complete.modularity).abs() < 1e-3);
}

#[test]
fn few_equal_and_isolated_nodes() {
    let equal = |rows| Points::new(rows, 2, vec![1.5; rows * 2]).expect("valid");
    let fit = Louvain::default().fit(&equal(1)).expect("one point");
    assert_eq!((fit.labels, fit.modularity, fit.n_levels), (vec![0], 0.0, 0));
    let fit = Louvain { self_loops: true, ..Louvain::default() }.fit(&equal(1)).expect("one point");
    assert_eq!((fit.labels, fit.modularity), (vec![0], 0.0));
    let one = Louvain { graph: LouvainGraph::Neighbors(3), ..Louvain::default() }.fit(&equal(1)).expect("one point");
    assert_eq!(one.labels, [0]);
    for rows in [2, 3, 40] {
        let fit = Louvain::default().fit(&equal(rows)).expect("equal points");
        assert_eq!(fit.labels, vec![0; rows]);
        assert!(fit.modularity.abs() < 1e-12);
    }
    let edges = [(1, 2, 1.0), (2, 1, 0.5), (4, 4, 0.25), (5, 3, 0.0)];
    let fit = Louvain::default().fit_edges(6, &edges).expect("communities");
    assert_eq!(fit.labels, [0, 1, 1, 2, 3, 4]);
    let expected = modularity(6, &edges, &fit.labels, 1.0);
    assert!((fit.modularity - expected).abs() < 1e-12);
    let none = Louvain::default().fit_edges(3, &[]).expect("no edges");
    assert_eq!((none.labels, none.modularity, none.n_levels), (vec![0, 1, 2], 0.0, 0));
}

#[test]
fn results_do_not_depend_on_threads() {
    let points = scattered(900, 5, 30);
    for graph in [LouvainGraph::Complete, LouvainGraph::Neighbors(10)] {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let louvain = Louvain { graph, resolution: 1.2, ..Louvain::default() };
            pool.install(|| louvain.fit(&points)).expect("communities")
        };
        let (one, three) = (run(1), run(3));
        assert_eq!(one.labels, three.labels);
        assert_eq!(one.modularity.to_bits(), three.modularity.to_bits());
    }
}

#[test]
fn bad_input_is_named() {
    let points = scattered(5, 2, 2);
    let message = |louvain: Louvain| louvain.fit(&points).expect_err("invalid").to_string();
    let default = Louvain::default;
    let rule = "it must be a finite number that is not negative";
    assert_eq!(message(Louvain { resolution: -1.0, ..default() }), format!("resolution = -1: {rule}"));
    assert_eq!(message(Louvain { threshold: f64::NAN, ..default() }), format!("threshold = NaN: {rule}"));
    let zero = Louvain { graph: LouvainGraph::Neighbors(0), ..default() };
    assert_eq!(message(zero), "neighbors = 0: it must be at least 1");
    let error = |edges: &[(u32, u32, f64)]| default().fit_edges(3, edges).expect_err("invalid").to_string();
    assert_eq!(error(&[(0, 3, 1.0)]), "edges = (0, 3, 1): there is no node 3, only 3 nodes");
    assert!(error(&[(0, 1, -0.5)]).starts_with("edges = (0, 1, -0.5): the weight must be"));
    assert!(error(&[(0, 1, f64::NAN)]).contains("NaN"));
    assert!(error(&[(0, 1, f64::MAX), (1, 2, f64::MAX)]).contains("the sum of the weights"));
    assert!(default().fit_edges(0, &[]).is_err());
    let none = Points::new(0, 2, Vec::new()).expect("valid");
    assert_eq!(default().fit(&none).expect_err("none").to_string(), "points has 0 rows: at least 1 are needed");
}

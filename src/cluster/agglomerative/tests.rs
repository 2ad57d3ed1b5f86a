//! Golden trees, a naive twin, and what must hold for every tree.

use super::*;
use crate::golden;
use crate::metrics::adjusted_rand_score;
use serde_json::Value;

const LINKAGES: [Linkage; 4] = [Linkage::Ward, Linkage::Average, Linkage::Complete, Linkage::Single];
const METRICS: [Metric; 4] = [Metric::Euclidean, Metric::Cityblock, Metric::Chebyshev, Metric::Cosine];

/// Points in loose groups, with noise; no two distances are alike.
fn scattered(rows: usize, columns: usize, groups: usize, seed: u64) -> Points {
    let mut state = seed;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let centres: Vec<f32> = (0..groups * columns).map(|_| random() * 2.0).collect();
    let value = |at: usize| centres[at / columns % groups * columns + at % columns] + random();
    Points::new(rows, columns, (0..rows * columns).map(value).collect()).expect("valid")
}

/// The definition: all distances between clusters from those between points, the nearest two merged, again and again.
fn naive(points: &Points, linkage: Linkage, metric: Metric) -> Vec<(f64, Vec<usize>)> {
    let between = |a: &[usize], b: &[usize]| {
        let distances =
            || a.iter().flat_map(|&a| b.iter().map(move |&b| metric.distance(points.row(a), points.row(b))));
        match linkage {
            Linkage::Average => distances().sum::<f64>() / (a.len() * b.len()) as f64,
            Linkage::Complete => distances().fold(0.0, f64::max),
            Linkage::Single => distances().fold(f64::INFINITY, f64::min),
            Linkage::Ward => {
                let mean = |rows: &[usize], column: usize| {
                    rows.iter().map(|&row| f64::from(points.row(row)[column])).sum::<f64>() / rows.len() as f64
                };
                let squared: f64 = (0..points.columns()).map(|c| (mean(a, c) - mean(b, c)).powi(2)).sum();
                let (s, t) = (a.len() as f64, b.len() as f64);
                (2.0 * s * t / (s + t) * squared).sqrt()
            }
        }
    };
    let mut clusters: Vec<Vec<usize>> = (0..points.rows()).map(|row| vec![row]).collect();
    let mut merges = Vec::new();
    while clusters.len() > 1 {
        let mut best = (f64::INFINITY, 0, 0);
        for b in 1..clusters.len() {
            for a in 0..b {
                let distance = between(&clusters[a], &clusters[b]);
                if distance < best.0 {
                    best = (distance, a, b);
                }
            }
        }
        let other = clusters.remove(best.2);
        clusters[best.1].extend(other);
        clusters[best.1].sort_unstable();
        merges.push((best.0, clusters[best.1].clone()));
    }
    merges
}

/// The points of each merge.
fn members(tree: &Tree) -> Vec<Vec<usize>> {
    let mut members: Vec<Vec<usize>> = (0..tree.rows()).map(|row| vec![row]).collect();
    for (at, merge) in tree.merges().iter().enumerate() {
        assert!(merge.first < merge.second && merge.second < tree.rows() + at);
        let mut both = [members[merge.first].as_slice(), members[merge.second].as_slice()].concat();
        both.sort_unstable();
        assert_eq!(both.len(), merge.size);
        members.push(both);
    }
    members.split_off(tree.rows())
}

#[track_caller]
fn same_tree(tree: &Tree, expected: &[(f64, Vec<usize>)], relative: f64, what: &str) {
    assert_eq!(tree.merges().len(), expected.len(), "{what}");
    for ((merge, members), (height, expected)) in tree.merges().iter().zip(members(tree)).zip(expected) {
        golden::close(merge.height, *height, relative, 1e-12, what);
        assert_eq!(&members, expected, "{what}");
    }
}

fn points_of(case: &Value) -> Points {
    if case["x"].is_string() {
        return golden::points(&case["x"]);
    }
    let rows = case["x_inline"].as_array().expect("rows");
    let row = |row: &Value| golden::numbers(row).iter().map(|&value| value as f32).collect();
    Points::from_rows(&rows.iter().map(row).collect::<Vec<_>>()).expect("valid")
}

#[test]
fn golden_trees_and_cuts() {
    let mut checked = 0;
    let mut worst = 0.0_f64;
    for case in golden::cases("agglomerative.json") {
        let Ok(linkage) = golden::text(&case["method"]).parse::<Linkage>() else { continue };
        let (name, expect) = (golden::text(&case["name"]), &case["expect"]);
        let metric: Metric = golden::text(&case["metric"]).parse().expect("a metric");
        let points = points_of(&case);
        let limits = if linkage == Linkage::Ward || linkage == Linkage::Single {
            &[MATRIX_BYTES, 0][..]
        } else {
            &[MATRIX_BYTES]
        };
        for &limit in limits {
            let tree = within(&points, linkage, metric, limit).expect("a tree");
            let found: Vec<f64> = tree.merges().iter().map(|merge| merge.height).collect();
            for (&found, &expected) in found.iter().zip(&golden::numbers(&expect["heights"])) {
                golden::close(found, expected, 1e-6, 1e-12, name);
                worst = worst.max((found - expected).abs() / expected.max(1e-12));
            }
            let sizes: Vec<usize> = tree.merges().iter().map(|merge| merge.size).collect();
            assert_eq!(sizes, golden::indices(&expect["sizes"]), "{name}");
            if let Some(rows) = expect["Z"].as_array() {
                for (merge, row) in tree.merges().iter().zip(rows) {
                    let mut row = golden::indices(row);
                    row.sort_unstable();
                    assert_eq!([merge.first, merge.second], row.as_slice(), "{name}");
                }
            }
            for (key, value) in expect.as_object().expect("an object") {
                if let Some(count) = key.strip_prefix("labels_k") {
                    let labels = tree.cut(count.parse().expect("a number")).expect("a cut");
                    let score = adjusted_rand_score(&labels, &golden::labels(value)).expect("labels");
                    assert_eq!(score, 1.0, "{name} {key}");
                }
            }
        }
        if let Some(threshold) = expect["distance_threshold"].as_f64() {
            let fit =
                AgglomerativeClustering { n_clusters: None, distance_threshold: Some(threshold), linkage, metric };
            let fit = fit.fit(&points).expect("fitted");
            assert_eq!(fit.n_clusters, golden::index(&expect["sklearn_threshold_n"]), "{name}");
            let labels = golden::labels(&expect["sklearn_threshold_labels"]);
            assert_eq!(adjusted_rand_score(&fit.labels, &labels).expect("labels"), 1.0, "{name}");
        }
        checked += 1;
    }
    assert_eq!(checked, 33, "worst height {worst:e}");
}

#[test]
fn equal_a_naive_twin() {
    for (rows, columns, groups, seed) in
        [(2, 1, 1, 1), (3, 2, 1, 2), (17, 2, 2, 3), (60, 3, 5, 4), (90, 12, 1, 5), (70, 90, 3, 6)]
    {
        let points = scattered(rows, columns, groups, seed);
        for linkage in LINKAGES {
            for metric in METRICS {
                if linkage == Linkage::Ward && metric != Metric::Euclidean || columns == 1 && metric == Metric::Cosine {
                    continue;
                }
                let expected = naive(&points, linkage, metric);
                let what = format!("{linkage} {metric} {rows} x {columns}");
                for limit in [MATRIX_BYTES, 0] {
                    let tree = within(&points, linkage, metric, limit).expect("a tree");
                    same_tree(&tree, &expected, 1e-6, &what);
                }
            }
        }
    }
}

/// What the rounds find, in order, with nothing computed again.
fn by_rounds<F: rounds::Formula>(points: &Points, squared: bool) -> Vec<(f64, Vec<usize>)> {
    let mut matrix = Space::new(points, Metric::Euclidean).expect("prepared").condensed().expect("fits");
    if squared {
        square(&mut matrix);
    }
    let rows = points.rows();
    let mut progress = Progress::new("linkage", rows as u64, "merges");
    let found = rounds::agglomerate::<F>(matrix, rows, &mut progress).expect("merged");
    let tree = Tree::new(rows, found);
    tree.merges().iter().map(|merge| merge.height).zip(members(&tree)).collect()
}

/// A straightforward chain of nearest neighbours on a full matrix in 64 bits.
fn by_matrix(points: &Points, linkage: Linkage) -> Vec<(f64, Vec<usize>)> {
    let rows = points.rows();
    let mut distances: Vec<Vec<f64>> = (0..rows)
        .map(|a| (0..rows).map(|b| Metric::Euclidean.distance(points.row(a), points.row(b))).collect())
        .collect();
    let mut size = vec![1.0; rows];
    let mut node: Vec<u32> = (0..rows as u32).collect();
    let mut alive: Vec<usize> = (0..rows).collect();
    let mut found = Vec::new();
    let mut chain: Vec<usize> = Vec::new();
    while alive.len() > 1 {
        let tip = *chain.last().unwrap_or(&alive[0]);
        if chain.is_empty() {
            chain.push(tip);
        }
        let others = alive.iter().copied().filter(|&other| other != tip);
        let next = others.min_by(|&a, &b| distances[tip][a].total_cmp(&distances[tip][b])).expect("another");
        if chain.len() > 1 && chain[chain.len() - 2] == next {
            chain.truncate(chain.len() - 2);
            let (s, t, between) = (size[next], size[tip], distances[next][tip]);
            found.push(tree::Found { first: node[next], second: node[tip], height: between });
            node[next] = (rows + found.len() - 1) as u32;
            size[next] += t;
            alive.retain(|&at| at != tip);
            for &u in alive.iter().filter(|&&at| at != next) {
                let (a, b, u_size) = (distances[next][u], distances[tip][u], size[u]);
                let new = match linkage {
                    Linkage::Ward => (((s + u_size) * a * a + (t + u_size) * b * b - u_size * between * between)
                        / (s + t + u_size))
                        .sqrt(),
                    Linkage::Average => (s * a + t * b) / (s + t),
                    Linkage::Complete => a.max(b),
                    Linkage::Single => a.min(b),
                };
                (distances[next][u], distances[u][next]) = (new, new);
            }
        } else {
            chain.push(next);
        }
    }
    let tree = Tree::new(rows, found);
    tree.merges().iter().map(|merge| merge.height).zip(members(&tree)).collect()
}

#[test]
fn larger_trees_equal_a_plain_chain() {
    for (rows, columns, groups) in [(700, 8, 1), (700, 70, 40), (1500, 30, 3)] {
        let points = scattered(rows, columns, groups, 7 + rows as u64);
        for linkage in LINKAGES {
            let expected = by_matrix(&points, linkage);
            for limit in [MATRIX_BYTES, 0] {
                let tree = within(&points, linkage, Metric::Euclidean, limit).expect("a tree");
                // Of 1500 points some are so nearly as far from one as from another that 32 bits cannot tell.
                let mut others: Vec<(f64, Vec<usize>)> = expected.clone();
                others.sort_by(|a, b| a.1.cmp(&b.1));
                let mut same = 0;
                for (merge, members) in tree.merges().iter().zip(members(&tree)) {
                    if let Ok(at) = others.binary_search_by(|other| other.1.cmp(&members)) {
                        same += usize::from((merge.height - others[at].0).abs() <= 2e-6 * merge.height);
                    }
                }
                assert!(same * 100 >= rows * 99, "{linkage} {rows} x {columns}: {same} merges are the same");
            }
        }
        // Lance and Williams' formulas in 32 bits lose little by themselves.
        let kept = by_rounds::<rounds::Average>(&points, false);
        for (kept, expected) in kept.iter().zip(by_matrix(&points, Linkage::Average)) {
            golden::close(kept.0, expected.0, 2e-6, 0.0, "kept heights");
        }
    }
}

#[test]
fn ties_and_copies() {
    // A grid, where nearly all distances tie, and copies of few points.
    let grid = Points::new(300, 2, (0..600).map(|at| if at % 2 == 0 { at / 40 } else { at / 2 % 20 } as f32).collect());
    let copies = Points::new(300, 3, (0..900).map(|at| (at / 3 % 4 * (at % 3)) as f32).collect());
    let equal = Points::new(300, 70, vec![0.1; 300 * 70]);
    for points in [grid, copies, equal].map(|points| points.expect("valid")) {
        for linkage in LINKAGES {
            for limit in [MATRIX_BYTES, 0] {
                let tree = within(&points, linkage, Metric::Euclidean, limit).expect("a tree");
                let merges = tree.merges();
                assert!(merges.is_sorted_by(|a, b| a.height <= b.height));
                assert_eq!((merges.len(), merges[298].size, members(&tree).len()), (299, 300, 299));
                if linkage == Linkage::Single {
                    let expected = by_matrix(&points, linkage);
                    assert!(
                        merges.iter().zip(expected).all(|(merge, expected)| (merge.height - expected.0).abs() < 1e-6)
                    );
                }
            }
        }
    }
}

#[test]
fn the_same_with_any_number_of_threads() {
    let points = scattered(2500, 70, 30, 11);
    for linkage in LINKAGES {
        for limit in [MATRIX_BYTES, 0] {
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                pool.install(|| within(&points, linkage, Metric::Euclidean, limit)).expect("a tree")
            };
            assert!(run(1) == run(3), "{linkage}");
        }
    }
}

#[test]
fn huge_and_tiny_distances() {
    let points = scattered(80, 5, 4, 3);
    let expected: Vec<Vec<Vec<usize>>> = LINKAGES
        .map(|linkage| naive(&points, linkage, Metric::Euclidean).into_iter().map(|(_, members)| members).collect())
        .to_vec();
    for exponent in [-80, 80] {
        let scale = 2.0_f32.powi(exponent);
        let scaled = points.as_slice().iter().map(|value| value * scale).collect();
        let scaled = Points::new(80, 5, scaled).expect("valid");
        for (linkage, expected) in LINKAGES.iter().zip(&expected) {
            let tree = linkage_of(&scaled, *linkage);
            assert_eq!(&members(&tree), expected, "{linkage} 2^{exponent}");
        }
    }
    let far = Points::new(3, 1, vec![-3e38, 0.0, 3e38]).expect("valid");
    let error = linkage(&far, Linkage::Average, Metric::Euclidean).expect_err("too far").to_string();
    assert!(error.starts_with("points = too far apart"), "{error}");
}

fn linkage_of(points: &Points, method: Linkage) -> Tree {
    linkage(points, method, Metric::Euclidean).expect("a tree")
}

#[test]
fn cuts() {
    let points = Points::new(5, 1, vec![10.0, 0.0, 1.0, 12.0, 30.0]).expect("valid");
    let tree = linkage_of(&points, Linkage::Single);
    assert_eq!(
        tree.to_rows(),
        [[1.0, 2.0, 1.0, 2.0], [0.0, 3.0, 2.0, 2.0], [5.0, 6.0, 9.0, 4.0], [4.0, 7.0, 18.0, 5.0]].concat()
    );
    assert_eq!(
        tree.cuts(&[1, 2, 3, 5]).expect("cuts"),
        [vec![0, 0, 0, 0, 0], vec![0, 0, 0, 0, 1], vec![0, 1, 1, 0, 2], vec![0, 1, 2, 3, 4]]
    );
    // A merge at the threshold is not made.
    assert_eq!(tree.cut_at(9.0).expect("a cut"), [0, 1, 1, 0, 2]);
    assert_eq!(tree.cut_at(9.000001).expect("a cut"), [0, 0, 0, 0, 1]);
    assert_eq!(tree.cut_at(0.0).expect("a cut"), [0, 1, 2, 3, 4]);
    assert_eq!(tree.cut_at(f64::INFINITY).expect("a cut"), [0; 5]);
    assert_eq!(format!("{tree:?}"), "Tree { 5 points, 4 merges up to height 18 }");
}

#[test]
fn edges_and_mistakes() {
    let points = |rows: usize| Points::new(rows, 1, (0..rows).map(|at| at as f32).collect()).expect("valid");
    let one = linkage_of(&points(1), Linkage::Ward);
    assert_eq!((one.merges().len(), one.cut(1).expect("a cut")), (0, vec![0]));
    let two = AgglomerativeClustering::default().fit(&points(2)).expect("fitted");
    assert_eq!((two.labels, two.n_clusters, two.tree.merges()[0].height), (vec![0, 1], 2, 1.0));
    let error = |clustering: AgglomerativeClustering, rows: usize| {
        clustering.fit(&points(rows)).expect_err("a mistake").to_string()
    };
    let default = AgglomerativeClustering::default;
    assert_eq!(error(default(), 0), "points has 0 rows: at least 1 are needed");
    assert_eq!(error(default(), 1), "n_clusters = 2 is not between 1 and the number of points, 1");
    let with = |n_clusters, distance_threshold| AgglomerativeClustering { n_clusters, distance_threshold, ..default() };
    assert!(error(with(Some(0), None), 3).starts_with("n_clusters = 0 is not between"));
    assert!(error(with(None, None), 3).ends_with("exactly one of the two must be given, and the other be None"));
    assert!(error(with(Some(2), Some(1.0)), 3).starts_with("n_clusters = Some(2) with distance_threshold = Some(1.0)"));
    assert!(error(with(None, Some(-1.0)), 3).starts_with("distance_threshold = -1: "));
    assert!(error(with(None, Some(f64::NAN)), 3).starts_with("distance_threshold = NaN: "));
    let cosine = AgglomerativeClustering { metric: Metric::Cosine, ..default() };
    assert_eq!(error(cosine, 3), "metric = cosine: it must be euclidean when linkage = ward");
    assert!(linkage_of(&points(3), Linkage::Ward).cut(4).is_err());
    assert_eq!("complete".parse::<Linkage>().expect("a linkage"), Linkage::Complete);
    assert!("wards".parse::<Linkage>().expect_err("unknown").to_string().starts_with("linkage = wards: it must be"));
}

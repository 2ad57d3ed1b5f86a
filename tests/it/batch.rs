//! The batch commands: files in, one JSON object and files out.

use serde_json::Value;

use crate::workspace::{Ran, Workspace};

/// An `.npy` file of 64-bit numbers, by way of bytes: what is read is not what our own writer wrote.
fn npy(shape: &str, descr: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let length = u16::try_from(header.len()).expect("a short header").to_le_bytes();
    [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes(), data].concat()
}

/// Two groups of three points, and their labels.
fn workspace(name: &str) -> Workspace {
    let workspace = Workspace::new(name);
    let points = [0.0_f64, 0.1, 0.2, 0.0, 0.1, 0.2, 9.0, 9.1, 9.2, 9.0, 9.1, 9.3];
    workspace.write("x.npy", npy("6, 2", "<f8", &points.map(f64::to_le_bytes).concat()));
    workspace.write("y.npy", npy("6,", "|u1", &[0, 0, 0, 1, 1, 1]));
    workspace
}

fn answer(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.stdout.lines().count(), 1, "one line: {}", ran.stdout);
    serde_json::from_str(&ran.stdout).expect("JSON")
}

#[test]
fn clusters_are_found_written_and_scored() {
    let workspace = workspace("batch-cluster");
    let ran = workspace.report(&[
        "cluster",
        "x.npy",
        "--method",
        "kmeans",
        "--n-clusters",
        "2",
        "--truth",
        "y.npy",
        "-o",
        "labels.npy",
    ]);
    let found = answer(&ran);
    assert_eq!(found["adjusted_mutual_info_score"], 1.0);
    assert_eq!((&found["method"], &found["n_clusters"]), (&"kmeans".into(), &2.into()));
    let place = |key: &str| ran.stdout.find(&format!("\"{key}\"")).unwrap_or_else(|| panic!("{key}: {}", ran.stdout));
    let keys = ["method", "n_clusters", "n_iter", "inertia", "adjusted_rand_score", "seconds", "peak_memory_bytes"];
    assert!(keys.map(place).is_sorted(), "{}", ran.stdout);
    let ran = workspace.report(&["score", "--truth", "y.npy", "--pred", "labels.npy", "--data", "x.npy"]);
    let found = answer(&ran);
    assert_eq!(found["adjusted_rand_score"], 1.0);
    assert!(found["silhouette_score"].as_f64().is_some_and(|score| score > 0.9), "{found}");
}

#[test]
fn what_one_command_writes_another_reads() {
    let workspace = workspace("batch-formats");
    for (output, next) in [("z.parquet", "w.npy"), ("z.npy", "w.parquet")] {
        answer(&workspace.report(&["reduce", "x.npy", "--method", "zscore", "-o", output]));
        answer(&workspace.report(&["reduce", output, "--method", "pca", "--n-components", "1", "-o", next]));
        let found = workspace.report(&["cluster", next, "--method", "kmeans", "--n-clusters", "2", "--truth", "y.npy"]);
        assert_eq!(answer(&found)["rand_score"], 1.0);
    }
}

#[test]
fn several_labellings_are_a_list_and_what_is_undefined_is_null() {
    let workspace = workspace("batch-runs");
    workspace.write("one.npy", npy("6,", "<i8", &[3_i64; 6].map(i64::to_le_bytes).concat()));
    let ran = workspace.report(&[
        "score", "--truth", "y.npy", "--pred", "y.npy", "--pred", "one.npy", "--data", "x.npy", "--metric", "l1",
        "--metric", "cosine",
    ]);
    let found = answer(&ran);
    assert!(found["runs"][0]["silhouette_scores"]["cityblock"].is_f64(), "{found}");
    assert!(found["runs"][1]["silhouette_score"].is_null(), "{found}");
    assert_eq!(found["runs"][1]["adjusted_mutual_info_score"], 0.0);
    assert!(ran.stderr.contains("one.npy: 1 distinct labels"), "{}", ran.stderr);
}

#[test]
fn errors_name_the_option_and_nothing_is_written() {
    let workspace = workspace("batch-errors");
    workspace.write("nan.npy", npy("2, 1", "<f8", &[1.0, f64::NAN].map(f64::to_le_bytes).concat()));
    workspace.write("big.npy", npy("2, 1", ">f8", &[0; 16]));
    workspace.write("short.npy", npy("5,", "|u1", &[0; 5]));
    for (arguments, code, said) in [
        (&["--method", "kmeans", "--linkage", "ward"][..], 2, "--linkage is not a parameter of --method kmeans"),
        (&["--method", "kmeans", "--n-clusters", "7"], 2, "n_clusters = 7 is not between 1 and"),
        (&["--method", "kmeans", "--n-clusters", "-1"], 2, "--n-clusters"),
        (&["--method", "kmeans", "--tol", "nan"], 2, "expected a finite number"),
        (&["--method", "kmeens"], 2, "kmeans"),
        (&["--method", "kmeans", "--truth", "short.npy"], 2, "5 labels"),
        (&["--method", "kmeans", "--truth", "absent.npy"], 3, "absent.npy"),
        (&["--method", "kmeans", "--n-clusters", "2", "--save-linkage", "t.npy"], 2, "--save-linkage t.npy"),
    ] {
        let ran = workspace.report(&[&["cluster", "x.npy", "-o", "out.npy"], arguments].concat());
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said) && ran.stdout.is_empty(), "{arguments:?}: {}", ran.stderr);
        assert!(!workspace.exists("out.npy") && !workspace.exists("t.npy"), "{arguments:?}");
    }
    for (input, said) in [("nan.npy", "row 1, column 0 is NaN"), ("big.npy", "big-endian"), ("x.csv", ".parquet")] {
        let ran = workspace.report(&["reduce", input, "--method", "zscore", "-o", "out.npy"]);
        assert_eq!(ran.code, Some(2), "{input}: {}", ran.stderr);
        assert!(ran.stderr.contains(said) && !workspace.exists("out.npy"), "{input}: {}", ran.stderr);
    }
}

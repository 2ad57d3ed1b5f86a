//! Golden values for unit tests, from `tests/golden` (see its MANIFEST.md for where they come from).

use std::path::PathBuf;

use serde_json::Value;

use crate::npy;
use crate::points::Points;

/// The cases of a golden file.
pub(crate) fn cases(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path(name)).expect("a golden file");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    let cases = file["cases"].as_array().expect("a list of cases").clone();
    assert!(!cases.is_empty(), "{name} has no cases");
    cases
}

/// The array that a case names.
pub(crate) fn points(name: &Value) -> Points {
    array(name).to_points().expect("two axes of finite numbers")
}

/// The array that a case names, in its own precision.
pub(crate) fn array(name: &Value) -> npy::Array {
    let bytes = std::fs::read(path(text(name))).expect("a golden array");
    npy::parse(&bytes).expect("an .npy file")
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(number).collect()
}

pub(crate) fn index(value: &Value) -> usize {
    usize::try_from(value.as_u64().expect("a whole number")).expect("a size")
}

pub(crate) fn indices(value: &Value) -> Vec<usize> {
    value.as_array().expect("a list").iter().map(index).collect()
}

pub(crate) fn labels(value: &Value) -> Vec<i32> {
    let label = |value: &Value| i32::try_from(value.as_i64().expect("a whole number")).expect("32 bits");
    value.as_array().expect("a list").iter().map(label).collect()
}

/// Fails unless `found` is within `relative` of `expected`, or within `absolute`.
#[track_caller]
pub(crate) fn close(found: f64, expected: f64, relative: f64, absolute: f64, what: &str) {
    let allowed = absolute.max(relative * expected.abs());
    assert!((found - expected).abs() <= allowed, "{what}: {found} is not {expected} within {allowed}");
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).join(name)
}

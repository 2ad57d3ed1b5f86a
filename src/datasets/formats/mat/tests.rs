//! `tests/fixtures/mat` says how its files were made, and what SciPy and h5py read from them.

use std::fmt::Debug;

use serde_json::Value as Json;

use super::*;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/mat");

/// Each of these has everything that one reader does.
const DENSE: [&str; 6] =
    ["classes_v5.mat", "classes_v5z.mat", "classes_v73.mat", "hand_be.mat", "cars_v73.mat", "unsupported_v5.mat"];

#[test]
fn reads_what_scipy_reads() {
    let expected: Json = serde_json::from_slice(&fixture("expected.json")).expect("JSON");
    let files = expected.as_object().expect("files");
    assert_eq!(files.len(), 14);
    for (file, expected) in files {
        let variables = read(&fixture(file)).expect(file);
        let expected = expected.as_object().expect("variables");
        for (name, expected) in expected {
            let item = variable(&variables, name).expect(file);
            assert!(same(item.value, expected), "{file}: {name} is {:?} instead of {expected}", item.value);
        }
        let mut found: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
        let mut names: Vec<&str> = expected.keys().map(String::as_str).collect();
        // HDF5 keeps no order, nor does the JSON here.
        names.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, names, "{file}");
    }
}

#[test]
fn reads_svhn_as_bytes() {
    for file in ["svhn_v5z.mat", "svhn_v73.mat"] {
        let variables = read(&fixture(file)).expect(file);
        let images = variable(&variables, "X").expect(file);
        let (sizes, bytes) = images.bytes().expect(file);
        assert_eq!(sizes, [32, 32, 3, 2]);
        assert!(bytes.iter().zip(0_usize..).all(|(&byte, index)| usize::from(byte) == index * 7 / 5 % 251), "{file}");
        assert_eq!(variable(&variables, "y").expect(file).whole_numbers().expect(file), [10, 3]);
    }
}

#[test]
fn reads_annotations() {
    for file in ["cars_v5.mat", "cars_v5z.mat", "cars_v73.mat"] {
        let variables = read(&fixture(file)).expect(file);
        let annotations = variable(&variables, "annotations").expect(file);
        let names = annotations.field("fname").expect(file);
        assert_eq!(names[1].place, "annotations(2).fname");
        let names: Vec<&str> = names.iter().map(|name| name.text().expect(file)).collect();
        assert_eq!(names, ["00001.jpg", "00002.jpg"]);
        let right = annotations.field("bbox_x2").expect(file);
        let right: Vec<i64> = right.iter().map(|number| number.whole_number().expect(file)).collect();
        assert_eq!(right, [246, 576]);
        let classes = variable(&variables, "class_names").expect(file).cells().expect(file);
        assert_eq!((classes.len(), classes[2].text().expect(file)), (3, "Citroën C4"));
    }
    let variables = read(&fixture("imagenet_v5z.mat")).expect("valid");
    let synsets = variable(&variables, "synsets").expect("valid");
    let ids = synsets.field("ILSVRC2012_ID").expect("valid");
    assert_eq!(ids[1].whole_number().expect("a double"), 1001);
    assert_eq!(synsets.field("children").expect("valid")[1].whole_numbers().expect("doubles"), [1, 2]);
    assert_eq!(synsets.field("gloss").expect("valid")[1].text().expect("empty"), "");
}

#[test]
fn what_is_not_read_is_named_and_skipped() {
    let variables = read(&fixture("unsupported_v5.mat")).expect("valid");
    let found: Vec<(&str, String)> = variables.iter().map(|(name, value)| (name.as_str(), value.describe())).collect();
    let expected = [
        ("sparse", "a sparse array (not read here)"),
        ("object", "an object (not read here)"),
        ("handle", "a function handle (not read here)"),
        ("table", "an object (not read here)"),
        ("after", "1 × 1 numbers"),
    ];
    assert_eq!(found, expected.map(|(name, what)| (name, what.to_owned())));
    let variables = read(&fixture("unsupported_v73.mat")).expect("valid");
    let found: Vec<(&str, String)> = variables.iter().map(|(name, value)| (name.as_str(), value.describe())).collect();
    let expected = [
        ("after", "1 × 1 numbers"),
        ("bare", "1 × 1 structs"),
        ("complex", "complex numbers (not read here)"),
        ("handle", "a function handle (not read here)"),
        ("sparse", "a sparse array (not read here)"),
        ("table", "an object of class table (not read here)"),
    ];
    assert_eq!(found, expected.map(|(name, what)| (name, what.to_owned())));
}

#[test]
fn wrong_requests_are_named() {
    let variables = read(&fixture("classes_v5.mat")).expect("valid");
    let item = |name| variable(&variables, name).expect(name);
    let cells = item("cells").cells().expect("cells");
    check(variable(&variables, "X"), "no variable X; the file has int8, uint8, int16");
    check(item("text").bytes(), "text: 1 rows of text instead of bytes");
    check(item("int8").bytes(), "int8: 2 × 3 whole numbers instead of bytes");
    check(item("double").whole_numbers(), "double: 0.1 instead of a whole number");
    check(item("int8").whole_number(), "int8: 2 × 3 whole numbers instead of one number");
    check(item("rows").text(), "rows: 2 rows of text instead of one row of text");
    check(item("cube").cells(), "cube: 2 × 3 × 4 whole numbers instead of cells");
    check(item("cells").field("a"), "cells: 2 × 2 cells instead of structs");
    check(item("record").field("z"), "record: structs with the fields a, b instead of a field z");
    check(cells[1].whole_numbers(), "cells{2}: 1 rows of text instead of whole numbers");
    let record = item("record");
    let inner = &record.field("b").expect("a field")[0];
    check(inner.field("c").expect("a field")[0].cells(), "record(1).b(1).c: 1 rows of text instead of cells");
    let variables = read(&fixture("unsupported_v5.mat")).expect("valid");
    let sparse = variable(&variables, "sparse").expect("there");
    check(sparse.whole_numbers(), "sparse: a sparse array (not read here) instead of whole numbers");
}

#[test]
fn damage_is_named() {
    let good = fixture("hand_le.mat");
    let at = |bytes: &[u8]| good.windows(bytes.len()).position(|window| window == bytes).expect("in the file");
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        bad
    };
    // In front of a short name are the tag of the sizes, two sizes, and the name's own tag.
    let ids = at(b"ids\0") - 12;
    let cells = at(b"cells") - 16;
    let deflated = at(b"\x78\x9c");
    let cases: [(&str, Vec<u8>, &str); 13] = [
        ("empty", vec![], "not a MATLAB file"),
        ("text", b"<html>".repeat(30), "not a MATLAB file"),
        ("version", with(125, &[3]), "a MATLAB file of version 0x0300"),
        ("element", with(128, &[9]), "the variable at byte 128: an element of type 9 instead of an array"),
        ("claim", with(132, &[255; 4]), "the variable at byte 128: an element of 4294967295 bytes, and"),
        ("flags", with(136, &[5]), "the variable at byte 128: an element of type 5 instead of an array's flags"),
        ("negative", with(ids, &[255; 4]), "the variable at byte 200: a size of -1"),
        ("short", with(ids + 4, &[3]), "ids: 2 values for an array of 1 × 3"),
        ("overflow", with(ids, &[255, 255, 255, 127, 255, 255, 255, 127]), "ids: 2 values for an array of 2147483647"),
        ("cells", with(cells + 4, &[255, 255, 255, 127]), "cells: 14 values for an array of 1 × 2147483647"),
        ("deflate", with(deflated + 9, &[255; 4]), "the variable at byte 912: the deflate stream is damaged"),
        ("cut", good[..good.len() - 9].to_vec(), "the variable at byte"),
        ("compressed", with(deflated - 8, &[14]), "the variable at byte 912: an element of"),
    ];
    for (name, bytes, expected) in cases {
        let message = read(&bytes).expect_err(name).to_string();
        assert!(message.starts_with(expected), "{name}: {message}");
    }
    // A text with surrogates, as MATLAB counts it.
    let mut units = Budget::for_file(1000);
    let text = Value::text(&[1, 3], "a😀".encode_utf16().collect(), &mut units).expect("two units");
    assert_eq!(text, Value::Text(vec!["a😀".to_owned()]));
}

#[test]
fn nested_without_end_is_refused() {
    // A cell in a cell in a cell: each is 48 bytes of header around the next.
    let mut inner = Vec::new();
    for _ in 0..MOST_DEPTH + 2 {
        let mut outer = Vec::new();
        for word in [6_u32, 8, 1, 0, 5, 8, 1, 1, 1, 0, 14, inner.len() as u32] {
            outer.extend_from_slice(&word.to_le_bytes());
        }
        outer.append(&mut inner);
        inner = outer;
    }
    let mut file = fixture("hand_le.mat")[..128].to_vec();
    file.extend_from_slice(&[14, 0, 0, 0]);
    file.extend_from_slice(&(inner.len() as u32).to_le_bytes());
    file.append(&mut inner);
    let message = read(&file).expect_err("too deep").to_string();
    assert!(message.ends_with("{1}{1}: nested more than 32 deep"), "{message}");
}

#[test]
fn a_cell_that_holds_itself_is_refused() {
    let message = read(&fixture("cycle_v73.mat")).expect_err("a cycle").to_string();
    assert!(message.starts_with("loop{1}{1}"), "{message}");
    assert!(message.contains("nested more than 32 deep") || message.contains("its values take more"), "{message}");
}

#[test]
fn a_bomb_is_refused() {
    use std::io::Write as _;
    // 64 MB of zeros become 64 kB, which is within what deflate does; an array of them is what they say.
    let mut matrix = Vec::new();
    let count = 64_u32 << 20;
    for word in [14, count + 48, 6, 8, 9, 0, 5, 8, 1, count, 0x1_0001, u32::from(b'z'), 2, count] {
        matrix.extend_from_slice(&u32::to_le_bytes(word));
    }
    matrix.resize(matrix.len() + count as usize, 0);
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&matrix).expect("memory");
    let deflated = encoder.finish().expect("memory");
    let mut file = fixture("hand_le.mat")[..128].to_vec();
    file.extend_from_slice(&15_u32.to_le_bytes());
    file.extend_from_slice(&(deflated.len() as u32).to_le_bytes());
    file.extend_from_slice(&deflated);
    let variables = read(&file).expect("zeros compress well");
    assert_eq!(variables[0].1.describe(), "1 × 67108864 bytes");
    // What HDF5 does not store it fills in: a dataset of 1 TB is a file of a few kB.
    let message = read(&fixture("bomb_v73.mat")).expect_err("1 TB").to_string();
    assert!(message.starts_with("bomb: its values take more than"), "{message}");
}

#[test]
fn truncated_files_are_errors_or_shorter() {
    for file in DENSE {
        let good = fixture(file);
        for length in 0..good.len() {
            // Version 5 may end after any variable.
            if let Ok(variables) = read(&good[..length]) {
                assert!(variables.len() <= read(&good).expect(file).len(), "{file} cut to {length}");
            }
        }
    }
}

#[test]
fn damaged_files_do_not_panic() {
    // Marsaglia's xorshift: the same damage on every machine.
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for file in DENSE {
        let good = fixture(file);
        for _ in 0..4_000 {
            let mut bad = good.clone();
            for _ in 0..=next(4) {
                let at = next(bad.len());
                bad[at] = match next(4) {
                    0 => 0,
                    1 => 255,
                    2 => bad[at] ^ 1 << next(8),
                    _ => next(256) as u8,
                };
            }
            let _ = read(&bad);
        }
    }
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{FOLDER}/{name}")).expect(name)
}

fn check<T: Debug>(result: Result<T, MatError>, expected: &str) {
    let message = result.expect_err(expected).to_string();
    assert!(message.starts_with(expected), "{message} instead of {expected}");
}

/// Whether a value is what `make.py` wrote of it.
fn same(value: &Value, expected: &Json) -> bool {
    let sizes_are = |key: &str, sizes: &[usize]| expected[key] == Json::from(sizes);
    let all = |values: &[Value], expected: &Json| {
        let expected = expected.as_array().map(Vec::as_slice).unwrap_or_default();
        values.len() == expected.len() && values.iter().zip(expected).all(|(value, expected)| same(value, expected))
    };
    match value {
        Value::Numbers(Array { sizes, values }) => {
            let expected_values: Vec<&str> =
                expected["values"].as_array().into_iter().flatten().flat_map(Json::as_str).collect();
            sizes_are("numbers", sizes)
                && match values {
                    Numbers::U8(values) => parsed::<u8>(&expected_values).as_deref() == Some(values),
                    Numbers::I64(values) => parsed::<i64>(&expected_values).as_deref() == Some(values),
                    // As text, since one NaN is not equal to another.
                    Numbers::F64(values) => {
                        format!("{:?}", parsed::<f64>(&expected_values)) == format!("{:?}", Some(values))
                    }
                }
        }
        Value::Text(rows) => expected["text"] == Json::from(rows.as_slice()),
        Value::Cells { sizes, values } => sizes_are("cells", sizes) && all(values, &expected["values"]),
        Value::Structs { sizes, fields } => {
            sizes_are("structs", sizes)
                && fields.iter().all(|(name, values)| all(values, &expected["fields"][name]))
                && expected["fields"].as_object().is_some_and(|expected| expected.len() == fields.len())
        }
        Value::Other(_) => expected["other"] == true,
    }
}

fn parsed<T: std::str::FromStr>(texts: &[&str]) -> Option<Vec<T>> {
    texts.iter().map(|text| text.parse().ok()).collect()
}

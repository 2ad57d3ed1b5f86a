use std::collections::BTreeMap;

use safetensors::SafeTensors;
use safetensors::tensor::{TensorView, serialize};

use super::*;
use crate::encoders::registry;
use crate::fs::TestFolder;

type Given = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

/// The tensors of the smallest network, under the names of a checkpoint that is nested and has a head.
fn squeezenet() -> Given {
    let shapes = shapes(registry::Architecture::SqueezeNet);
    let tensor = |shape: Shape| {
        let count: usize = shape.sizes.iter().product();
        let values = (0..count).flat_map(|at| (at as f32 / count as f32 - 0.5).to_le_bytes()).collect();
        (format!("model.{}", shape.name), (Dtype::F32, shape.sizes, values))
    };
    let mut given: Given = shapes.into_iter().map(tensor).collect();
    given.insert("model.classifier.1.weight".to_owned(), (Dtype::F32, vec![1], vec![0; 4]));
    given.insert("optimizer.step".to_owned(), (Dtype::I64, vec![], vec![0; 8]));
    given
}

fn row() -> Row {
    let text = r#"
        [[encoder]]
        name = "mine"
        title = "Mine"
        architecture = "squeezenet1-1"
        [encoder.weights.unpublished]
        prefixes = ["state.", "model."]
        drop = ["classifier."]
        untrained = ["features.0.bias"]
    "#;
    registry::parse(text).expect("a row").remove(0)
}

fn import_of(given: &Given, folder: &TestFolder) -> Result<PathBuf, ImportError> {
    let path = folder.0.join("given.safetensors");
    let views = given.iter().map(|(name, (dtype, shape, bytes))| {
        (name, TensorView::new(*dtype, shape.clone(), bytes).expect("as many bytes as the shape says"))
    });
    std::fs::write(&path, serialize(views, None).expect("memory")).expect("written");
    import(&path, &row(), &folder.0.join("encoders"))
}

#[test]
fn tensors_are_renamed_and_widened() {
    let folder = TestFolder::new("import");
    let mut given = squeezenet();
    let half: Vec<u8> = (0..64).flat_map(|at| f16::from_f32(at as f32 / 4.0).to_le_bytes()).collect();
    given.insert("model.features.3.expand1x1.bias".to_owned(), (Dtype::F16, vec![64], half));
    let double: Vec<u8> = (0..64).flat_map(|at| (f64::from(at) / 8.0).to_le_bytes()).collect();
    given.insert("model.features.3.expand3x3.bias".to_owned(), (Dtype::F64, vec![64], double));
    given.remove("model.features.0.bias");
    let path = import_of(&given, &folder).expect("imported");
    assert_eq!(path, folder.0.join("encoders/mine.safetensors"));
    let bytes = std::fs::read(&path).expect("written");
    let (_, metadata) = SafeTensors::read_metadata(&bytes).expect("a header");
    let source = &metadata.metadata().as_ref().expect("metadata")["source"];
    assert!(source.starts_with("given.safetensors, SHA-256 ") && source.len() == 27 + 64, "{source}");
    let tensors = SafeTensors::deserialize(&bytes).expect("whole");
    assert_eq!(tensors.len(), shapes(registry::Architecture::SqueezeNet).len());
    let values = |name: &str| -> Vec<f32> {
        let view = tensors.tensor(name).expect("there");
        assert_eq!(view.dtype(), Dtype::F32);
        view.data().as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
    };
    assert_eq!(values("features.3.expand1x1.bias")[..3], [0.0, 0.25, 0.5]);
    assert_eq!(values("features.3.expand3x3.bias")[..3], [0.0, 0.125, 0.25]);
    assert_eq!(values("features.0.bias"), [0.0; 64], "what an untrained layer starts from");
    assert_eq!(values("features.12.squeeze.bias")[..2], [-0.5, -0.5 + 1.0 / 64.0]);
    let again = import_of(&given, &folder).expect("imported");
    assert_eq!(std::fs::read(again).expect("written"), bytes, "same input, same bytes");
    let entries = std::fs::read_dir(folder.0.join("encoders")).expect("a folder").count();
    assert_eq!(entries, 1, "no temporary file stays");
}

#[test]
fn all_that_does_not_fit_is_told_at_once() {
    let folder = TestFolder::new("import-faults");
    let mut given = squeezenet();
    given.remove("model.features.3.squeeze.weight");
    given.insert("model.features.9.squeeze.bias".to_owned(), (Dtype::F32, vec![2, 24], vec![0; 192]));
    given.insert("model.features.4.squeeze.bias".to_owned(), (Dtype::I64, vec![16], vec![0; 128]));
    given.insert("model.strange".to_owned(), (Dtype::F32, vec![], vec![0; 4]));
    let message = import_of(&given, &folder).expect_err("faults").to_string();
    let expected = "given.safetensors: these are not the weights of SqueezeNet 1.1 as `mine` has them: 1 missing \
                    (features.3.squeeze.weight); 1 unknown (model.strange); 2 of another shape or type \
                    (model.features.4.squeeze.bias: I64 [16] instead of F32 [16], model.features.9.squeeze.bias: \
                    F32 [2, 24] instead of F32 [48])";
    assert!(message.ends_with(expected), "{message}");
    assert!(!folder.0.join("encoders").exists(), "nothing was written");
}

#[test]
fn weights_that_are_no_numbers_are_refused() {
    let folder = TestFolder::new("import-nan");
    for (value, shown) in [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "-inf")] {
        let mut given = squeezenet();
        let tensor = given.get_mut("model.features.6.squeeze.bias").expect("there");
        tensor.2[20..24].copy_from_slice(&value.to_le_bytes());
        let message = import_of(&given, &folder).expect_err("no number").to_string();
        assert!(
            message.ends_with(&format!("tensor model.features.6.squeeze.bias: number 5 of it is {shown}")),
            "{message}"
        );
        assert!(!folder.0.join("encoders/mine.safetensors").exists());
    }
}

#[test]
fn encoders_without_files_import_nothing() {
    let row = Row { weights: Weights::Random, ..row() };
    let message = import(Path::new("any"), &row, Path::new("any")).expect_err("none").to_string();
    assert_eq!(message, "the encoder `mine` has no file of weights");
}

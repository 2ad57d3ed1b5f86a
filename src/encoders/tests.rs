use std::collections::BTreeMap;

use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};
use serde_json::Value;

use super::random::Init;
use std::path::Path;

use super::weights::{File, Source};
use super::*;

/// Gives zeros, and remembers what it was asked for.
#[derive(Default)]
struct Asked {
    shapes: BTreeMap<String, Vec<i64>>,
}

impl Source for Asked {
    fn tensor(&mut self, name: &str, shape: &[i64], _init: Init) -> Result<Tensor, TchError> {
        self.shapes.insert(name.to_owned(), shape.to_vec());
        Tensor::f_zeros(shape, (Kind::Float, Device::Cpu))
    }
}

/// Gives tensors by the rule of `tests/parity/parity.py`, which takes the names that their authors have for them.
struct Theirs {
    seed: u64,
    /// By our names.
    names: BTreeMap<String, String>,
}

impl Source for Theirs {
    fn tensor(&mut self, name: &str, shape: &[i64], init: Init) -> Result<Tensor, TchError> {
        let count = shape.iter().product::<i64>() as usize;
        let values = match (self.names.get(name), init) {
            (Some(theirs), _) => {
                let (factor, offset) = scale(theirs, shape);
                numbers(self.seed, theirs, count).map(|number| number * factor as f32 + offset as f32).collect()
            }
            (None, Init::Ones) => vec![1.0; count],
            (None, Init::Zeros) => vec![0.0; count],
            (None, init) => panic!("{name}: {init:?}"),
        };
        Tensor::f_from_slice::<f32>(&values)?.f_reshape(shape)
    }
}

/// Numbers in [-1, 1): splitmix64 of a counter that begins at FNV-1a of the name.
fn numbers(seed: u64, name: &str, count: usize) -> impl Iterator<Item = f32> {
    let key = name
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325_u64, |key, byte| (key ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
    (0..count as u64).map(move |at| {
        let z = at.wrapping_add(key).wrapping_add(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 * 2_f32.powi(-23) - 1.0
    })
}

fn scale(name: &str, shape: &[i64]) -> (f64, f64) {
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let adds = has(&["patch_embed", "conv_proj", "attn.proj", "out_proj", "mlp.fc2", "mlp.3"]);
    let share = if adds { 0.05 } else { 1.0 };
    let size = |axes: &[usize]| axes.iter().map(|&axis| shape[axis] as f64).product::<f64>();
    if name.ends_with("running_var") {
        (0.25, 0.75)
    } else if name.ends_with("running_mean") {
        (0.1, 0.0)
    } else if has(&["gamma"]) {
        (0.3, 0.5)
    } else if has(&["pos_embed", "cls_token", "class_token"]) {
        (0.05, 0.0)
    } else if shape.len() == 4 && shape[1] == 1 {
        ((6.0 / size(&[2, 3])).sqrt(), 0.0)
    } else if shape.len() == 4 {
        (share * if adds { 3.0 / size(&[1, 2, 3]) } else { 6.0 / size(&[0, 2, 3]) }.sqrt(), 0.0)
    } else if shape.len() == 2 {
        (share * (6.0 / (size(&[0]) + size(&[1]))).sqrt(), 0.0)
    } else if name.ends_with("weight") {
        (0.25, 0.75)
    } else {
        (0.1 * share, 0.0)
    }
}

#[test]
fn shapes_and_numbers_of_parameters_are_those_of_torchvision() {
    for (architecture, parameters, tensors) in [
        (Architecture::ResNet50, 23_508_032, 53 + 53 * 4),
        (Architecture::VitB16, 85_798_656, 150),
        (Architecture::VitS14, 22_056_192, 150 + 24),
        (Architecture::EfficientNetLite0, 3_371_008, 245),
        (Architecture::SqueezeNet, 722_496, 50),
    ] {
        let mut rule = Asked::default();
        Network::build(architecture, Pooling::ClassToken, &mut rule, Device::Cpu, Kind::Float).expect("built");
        let told: BTreeMap<String, Vec<i64>> = shapes::shapes(architecture)
            .into_iter()
            .map(|shape| (shape.name, shape.sizes.into_iter().map(|size| size as i64).collect()))
            .collect();
        assert_eq!(told, rule.shapes, "{architecture:?}");
        let trained = rule.shapes.iter().filter(|(name, _)| !name.contains("running_"));
        let count: i64 = trained.map(|(_, shape)| shape.iter().product::<i64>()).sum();
        assert_eq!((count, rule.shapes.len()), (parameters, tensors), "{architecture:?}");
    }
}

/// Checkpoints of all layouts, their tensors by name, and what torchvision and timm make of one image with them: the
/// embedding and what leaves each layer.
#[test]
fn every_checkpoint_layout_gives_the_embeddings_of_torchvision_and_timm() {
    let golden: Value = serde_json::from_str(&golden("encoders.json")).expect("JSON");
    let layouts = golden_layouts();
    let pixels: Vec<f32> = numbers(1, "input 0", 3 * 224 * 224).map(|number| number * 2.0).collect();
    let images = Tensor::from_slice(&pixels).reshape([1, 3, 224, 224]);
    let cases = golden["cases"].as_object().expect("cases");
    assert_eq!(cases.len(), 23);
    for (case, expected) in cases {
        // Other files of the same authors.
        let name = case.trim_end_matches("_now").replace("_full", "");
        let row = registry::find(&name).expect("a row");
        let layout = match &row.weights {
            // Our row is for weights from Caffe; torchvision has the same network.
            _ if case == "squeezenet1_1" => &registry::Layout::default(),
            registry::Weights::Checkpoint(checkpoint) => &checkpoint.layout,
            registry::Weights::Unpublished(layout) => layout,
            weights => panic!("{case}: {weights:?}"),
        };
        let prefix = layout.prefix(layouts[case].iter().map(|(name, _)| name.as_str()));
        let mut names = BTreeMap::new();
        let mut shapes = BTreeMap::new();
        for (path, shape) in &layouts[case] {
            match names::in_network(layout, row.architecture, prefix, path) {
                names::Named::LeftOut => {}
                names::Named::Unknown => panic!("{case}: {path}"),
                names::Named::Is(ours, turn) => {
                    assert_eq!(turn, names::Turn::No, "{case}");
                    let theirs = if layout.names == registry::Names::Timm { &path[prefix.len()..] } else { &ours };
                    names.insert(ours.clone(), theirs.to_owned());
                    assert!(shapes.insert(ours, shape.clone()).is_none(), "{case}: {path} is there twice");
                }
            }
        }
        for shape in shapes::shapes(row.architecture) {
            let found = shapes.remove(&shape.name);
            let untrained = layout.untrained.iter().any(|start| shape.name.starts_with(start));
            assert!(found.is_none() == untrained, "{case}: {}", shape.name);
            assert!(found.is_none_or(|found| found == shape.sizes), "{case}: {}", shape.name);
        }
        assert!(shapes.is_empty() || case == "dinov2_vits14", "{case}: {shapes:?}");
        let mut source = Theirs { seed: expected["seed"].as_u64().expect("a seed"), names };
        let network = Network::build(row.architecture, row.pooling, &mut source, Device::Cpu, Kind::Float);
        let network = network.expect("built");
        let mut layers = Vec::new();
        let mut watch = |layer: &Tensor| layers.push(layer.copy());
        let output = tch::no_grad(|| network.forward_watched(&images, &mut watch)).expect("forward");
        assert_eq!(output.size(), [1, expected["columns"].as_i64().expect("a number")], "{case}");
        assert_near(&output, expected, case);
        let rows = expected["layers"].as_array().expect("layers");
        assert_eq!(layers.len(), rows.len(), "{case}");
        for (at, (layer, expected)) in layers.iter().zip(rows).enumerate() {
            assert_near(layer, expected, &format!("{case}, layer {at}"));
        }
    }
}

/// Some values of a tensor, to 1e-4 of its largest.
fn assert_near(tensor: &Tensor, expected: &Value, what: &str) {
    let values = expected["values"].as_array().expect("values");
    let largest = expected["largest"].as_f64().expect("a number");
    let found: Vec<f32> = Vec::try_from(tensor.contiguous().flatten(0, -1)).expect("numbers");
    let count = if values.len() >= 64 { 64 } else { 8 };
    let some = found.iter().step_by(found.len() / count);
    assert!(values.len() >= count && some.len() == values.len(), "{what}: {} values", values.len());
    for (at, (&found, expected)) in some.zip(values).enumerate() {
        let expected = expected.as_f64().expect("a number");
        let error = (f64::from(found) - expected).abs() / largest;
        assert!(error < 1e-4, "{what}, value {at}: {found} is not {expected}");
    }
    let most = found.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    assert!((f64::from(most) / largest - 1.0).abs() < 1e-4, "{what}: {most} is not {largest}");
}

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    std::fs::read_to_string(path).expect("golden values")
}

/// By case, the path of each tensor in the checkpoint and its shape.
fn golden_layouts() -> BTreeMap<String, Vec<(String, Vec<usize>)>> {
    let mut layouts = BTreeMap::new();
    let mut case = String::new();
    for line in golden("layouts.txt").lines() {
        if let Some(name) = line.strip_prefix("= ") {
            case = name.to_owned();
            continue;
        }
        let (path, shape) = line.rsplit_once(' ').expect("a path and a shape");
        let sizes = shape.split('x').filter(|size| !size.is_empty()).map(|size| size.parse().expect("a size"));
        layouts.entry(case.clone()).or_insert_with(Vec::new).push((path.to_owned(), sizes.collect()));
    }
    layouts
}

#[test]
fn random_weights_give_finite_vectors_that_differ() {
    let images = Tensor::arange(2 * 3 * 224 * 224, (Kind::Float, Device::Cpu)).sin().reshape([2, 3, 224, 224]);
    for encoder in [resnet50(Weights::Random { seed: 1 }), vit_b_16(Weights::Random { seed: 1 })] {
        let run = |encoder: &Encoder| {
            let network = encoder.build(Device::Cpu, Kind::Float).expect("built");
            tch::no_grad(|| network.forward(&images)).expect("forward")
        };
        let output = run(&encoder);
        assert_eq!(output.size(), [2, encoder.columns(Some([28, 28, 1])) as i64]);
        assert!(bool::try_from(output.isfinite().all()).expect("one value"));
        assert!(f64::try_from((output.get(0) - output.get(1)).abs().max()).expect("one value") > 1e-3);
        assert!(output.allclose(&run(&encoder), 1e-5, 1e-6, false), "the same seed");
    }
}

#[test]
fn encoders_say_what_they_are() {
    let random = resnet50(Weights::Random { seed: 3 });
    assert_eq!((random.name(), random.seed(), random.preprocessing(None).size), ("random ResNet-50", Some(3), 224));
    assert_ne!(random.identity().expect("a seed"), resnet50(Weights::Random { seed: 4 }).identity().expect("a seed"));
    assert_ne!(random.identity().expect("a seed"), vit_b_16(Weights::Random { seed: 3 }).identity().expect("a seed"));
    assert_eq!(random.clone().named("other").identity().expect("a seed"), random.identity().expect("a seed"));
    let raw = raw_pixels();
    let columns = [Some([28, 28, 1]), Some([32, 32, 3]), Some([500, 300, 3]), None].map(|shape| raw.columns(shape));
    assert_eq!(columns, [2352, 3072, 3072, 3072]);
}

#[test]
fn files_of_weights_are_checked() {
    let path = Path::new("weights.safetensors");
    let data = 1_f32.to_le_bytes().repeat(6);
    let view =
        |kind, shape: &[usize], bytes: usize| TensorView::new(kind, shape.to_vec(), &data[..bytes]).expect("fits");
    let bytes = serialize(
        [
            ("a", view(Dtype::F32, &[2, 3], 24)),
            ("b", view(Dtype::F32, &[4], 16)),
            ("h", view(Dtype::BF16, &[2], 4)),
            ("i", view(Dtype::I32, &[1], 4)),
            ("fc.weight", view(Dtype::F32, &[1], 4)),
            ("bn1.num_batches_tracked", view(Dtype::I64, &[], 8)),
            ("strange", view(Dtype::F32, &[1], 4)),
        ],
        None,
    )
    .expect("memory");
    let mut file = File::new(path, &bytes).expect("whole");
    let mut get = |name: &str, shape: &[i64]| file.tensor(name, shape, Init::Zeros).expect("memory");
    assert_eq!(f64::try_from(get("a", &[2, 3]).sum(Kind::Double)).expect("one value"), 6.0);
    assert_eq!(get("h", &[2]).kind(), Kind::Float);
    for (name, shape) in [("b", &[2_i64, 2][..]), ("i", &[1]), ("c.d", &[7])] {
        assert_eq!(get(name, shape).size(), shape);
    }
    let message = file.finish("fc.").expect_err("faults").to_string();
    let expected = "weights.safetensors: these are not the weights of the network: 1 missing (c.d); 1 unknown (strange); \
                    2 of another shape or type (b: F32 [4] instead of F32 [2, 2], i: I32 [1] instead of F32 [1])";
    assert_eq!(message, expected);

    for length in [0, 7, 8, 30, bytes.len() - 1] {
        let message = File::new(path, &bytes[..length]).expect_err("cut short").to_string();
        assert!(message.contains("no safetensors file"), "{length}: {message}");
    }
    let mut huge = bytes.clone();
    huge[..8].fill(255);
    assert!(File::new(path, &huge).is_err());
    let missing = resnet50(Weights::Safetensors("no/such.safetensors".into()));
    let message = missing.build(Device::Cpu, Kind::Float).expect_err("missing").to_string();
    assert_eq!(message, "no/such.safetensors: there is no such file of weights");
}

use std::collections::BTreeMap;

use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};
use serde_json::Value;

use super::random::Init;
use std::path::Path;

use super::weights::{File, Source};
use super::*;

/// Gives tensors whose values follow from name and position; `tests/golden/encoders.py` has the same rule.
#[derive(Default)]
struct Rule {
    shapes: BTreeMap<String, Vec<i64>>,
}

impl Source for Rule {
    fn tensor(&mut self, name: &str, shape: &[i64], init: Init) -> Result<Tensor, TchError> {
        self.shapes.insert(name.to_owned(), shape.to_vec());
        let count = shape.iter().product::<i64>() as u64;
        let salt = name.bytes().fold(7_u64, |sum, byte| (sum * 31 + u64::from(byte)) % (1 << 31));
        // Uniform in [-1, 1).
        let uniform =
            |index: u64| ((index * 2_654_435_761 + salt * 40_503) % (1 << 32)) as f64 / f64::from(1_u32 << 31) - 1.0;
        let (scale, offset) = match init {
            Init::Normal(deviation) if deviation > 1e-5 => (deviation * 3_f64.sqrt(), 0.0),
            Init::Uniform(bound) => (bound, 0.0),
            Init::Ones => (0.25, 0.75),
            _ => (0.1, 0.0),
        };
        let values: Vec<f32> = (0..count).map(|index| (uniform(index) * scale + offset) as f32).collect();
        Tensor::f_from_slice(&values)?.f_reshape(shape)
    }
}

#[test]
fn shapes_and_numbers_of_parameters_are_those_of_torchvision() {
    for (architecture, parameters, tensors) in
        [(Architecture::ResNet50, 23_508_032, 53 + 53 * 4), (Architecture::VitB16, 85_798_656, 150)]
    {
        let mut rule = Rule::default();
        Network::build(architecture, &mut rule, Device::Cpu, Kind::Float).expect("built");
        let trained = rule.shapes.iter().filter(|(name, _)| !name.contains("running_"));
        let count: i64 = trained.map(|(_, shape)| shape.iter().product::<i64>()).sum();
        assert_eq!((count, rule.shapes.len()), (parameters, tensors), "{architecture:?}");
    }
}

/// The same weights by rule, the same image by rule, in torchvision: `tests/golden/encoders.py`.
#[test]
fn outputs_are_those_of_torchvision() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/encoders.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("golden values")).expect("JSON");
    let pixels: Vec<f32> =
        (0..2 * 3 * 224 * 224_u64).map(|i| ((i * i * 31 + i * 17) % 1009) as f32 / 252.0 - 2.0).collect();
    let images = Tensor::from_slice(&pixels).reshape([2, 3, 224, 224]);
    for (architecture, name) in [(Architecture::ResNet50, "resnet50"), (Architecture::VitB16, "vit_b_16")] {
        let network = Network::build(architecture, &mut Rule::default(), Device::Cpu, Kind::Float).expect("built");
        let output = tch::no_grad(|| network.forward(&images)).expect("forward");
        let expected: Vec<f64> =
            golden[name].as_array().expect("values").iter().map(|value| value.as_f64().expect("a number")).collect();
        let found: Vec<f32> = Vec::try_from(output.flatten(0, -1)).expect("numbers");
        assert_eq!(output.size(), [2, expected.len() as i64 / 2], "{name}");
        let scale = expected.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let error = (f64::from(*found) - expected).abs() / scale;
            assert!(error < 1e-4, "{name} {index}: {found} is not {expected}");
        }
        let spread = expected.iter().zip(&expected[expected.len() / 2..]).map(|(a, b)| (a - b).abs()).sum::<f64>();
        assert!(spread / scale > 1.0, "{name}: two images must differ, or this test sees nothing");
    }
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
        assert_eq!(output.size(), [2, encoder.columns(28, 28) as i64]);
        assert!(bool::try_from(output.isfinite().all()).expect("one value"));
        assert!(f64::try_from((output.get(0) - output.get(1)).abs().max()).expect("one value") > 1e-3);
        assert!(output.allclose(&run(&encoder), 1e-5, 1e-6, false), "the same seed");
    }
}

#[test]
fn encoders_say_what_they_are() {
    let random = resnet50(Weights::Random { seed: 3 });
    assert_eq!((random.name(), random.seed(), random.preprocessing(28, 28).size), ("random ResNet-50", Some(3), 224));
    assert_ne!(random.identity().expect("a seed"), resnet50(Weights::Random { seed: 4 }).identity().expect("a seed"));
    assert_ne!(random.identity().expect("a seed"), vit_b_16(Weights::Random { seed: 3 }).identity().expect("a seed"));
    assert_eq!(random.clone().named("other").identity().expect("a seed"), random.identity().expect("a seed"));
    let raw = raw_pixels();
    assert_eq!((raw.columns(28, 28), raw.columns(32, 32), raw.columns(500, 300)), (2352, 3072, 3072));
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

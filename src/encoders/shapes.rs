//! The tensors that a network consists of: names, shapes, and what they are before training. Known without libtorch, so
//! that a file can be checked before libtorch sees a byte of it.
//!
//! Compiled into both halves.
#![allow(dead_code, reason = "each half uses a part")]

use super::registry::Architecture;

/// Names that a message lists of one kind of fault.
const MOST_NAMES: usize = 8;

/// Blocks in each of ResNet-50's four stages.
pub(crate) const RESNET50: [usize; 4] = [3, 4, 6, 3];

/// Some blocks of one kind of EfficientNet.
pub(crate) struct Stage {
    pub(crate) repeats: usize,
    pub(crate) kernel: usize,
    /// Of the first block.
    pub(crate) stride: usize,
    /// Channels inside a block, over those into it.
    pub(crate) expansion: usize,
    pub(crate) channels: usize,
}

const fn stage(repeats: usize, kernel: usize, stride: usize, expansion: usize, channels: usize) -> Stage {
    Stage { repeats, kernel, stride, expansion, channels }
}

/// EfficientNet-Lite0's stages.
pub(crate) const EFFICIENTNET_LITE0: [Stage; 7] = [
    stage(1, 3, 1, 1, 16),
    stage(2, 3, 2, 6, 24),
    stage(2, 5, 2, 6, 40),
    stage(3, 3, 2, 6, 80),
    stage(3, 5, 1, 6, 112),
    stage(4, 5, 2, 6, 192),
    stage(1, 3, 1, 6, 320),
];

/// Of each of SqueezeNet 1.1's fire modules its number among the features, the channels it squeezes to, and half of those
/// out of it.
pub(crate) const SQUEEZENET: [(u8, usize, usize); 8] =
    [(3, 16, 64), (4, 16, 64), (6, 32, 128), (7, 32, 128), (9, 48, 192), (10, 48, 192), (11, 64, 256), (12, 64, 256)];

/// How the tensors of a file differ from those of a network, by name.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) missing: Vec<String>,
    pub(crate) unknown: Vec<String>,
    pub(crate) misshaped: Vec<String>,
}

impl Faults {
    /// All of it in one line; nothing where nothing differs.
    pub(crate) fn told(self) -> Option<String> {
        let kinds =
            [("missing", self.missing), ("unknown", self.unknown), ("of another shape or type", self.misshaped)];
        let told: Vec<String> = kinds
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| {
                let more = if names.len() > MOST_NAMES { ", ..." } else { "" };
                format!("{} {what} ({}{more})", names.len(), names[..names.len().min(MOST_NAMES)].join(", "))
            })
            .collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}

/// A tensor of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Its name.
    pub name: String,
    /// Its sizes.
    pub sizes: Vec<usize>,
    /// What each of its values is in an untrained norm or bias; none where they are drawn.
    pub untrained: Option<f32>,
}

/// The tensors of an architecture without its head, in the order in which the network is built.
pub fn shapes(architecture: Architecture) -> Vec<Shape> {
    let mut shapes = List::default();
    match architecture {
        Architecture::RawPixels => {}
        Architecture::ResNet50 => resnet50(&mut shapes),
        Architecture::VitB16 => vit(&mut shapes, 768, 16, 14, 3072, false),
        Architecture::VitS14 => vit(&mut shapes, 384, 14, 37, 1536, true),
        Architecture::EfficientNetLite0 => efficientnet_lite0(&mut shapes),
        Architecture::SqueezeNet => squeezenet(&mut shapes),
    }
    shapes.0
}

#[derive(Default)]
struct List(Vec<Shape>);

impl List {
    fn add(&mut self, name: String, sizes: &[usize], untrained: Option<f32>) {
        self.0.push(Shape { name, sizes: sizes.to_vec(), untrained });
    }

    fn with_norm(&mut self, name: &str, norm: &str, sizes: [usize; 4]) {
        self.add(format!("{name}.weight"), &sizes, None);
        for (part, untrained) in [("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)] {
            self.add(format!("{norm}.{part}"), &sizes[..1], Some(untrained));
        }
    }

    fn with_bias(&mut self, name: &str, sizes: &[usize]) {
        self.add(format!("{name}.weight"), sizes, None);
        self.add(format!("{name}.bias"), &sizes[..1], Some(0.0));
    }

    fn norm(&mut self, name: &str, width: usize) {
        self.add(format!("{name}.weight"), &[width], Some(1.0));
        self.add(format!("{name}.bias"), &[width], Some(0.0));
    }
}

fn resnet50(shapes: &mut List) {
    shapes.with_norm("conv1", "bn1", [64, 3, 7, 7]);
    let mut channels = 64;
    for (stage, blocks) in RESNET50.into_iter().enumerate() {
        let inner = 64 << stage;
        for block in 0..blocks {
            let name = format!("layer{}.{block}", stage + 1);
            let convolutions = [[inner, channels, 1, 1], [inner, inner, 3, 3], [4 * inner, inner, 1, 1]];
            for (number, sizes) in (1..).zip(convolutions) {
                shapes.with_norm(&format!("{name}.conv{number}"), &format!("{name}.bn{number}"), sizes);
            }
            if block == 0 {
                let (convolution, norm) = (format!("{name}.downsample.0"), format!("{name}.downsample.1"));
                shapes.with_norm(&convolution, &norm, [4 * inner, channels, 1, 1]);
            }
            channels = 4 * inner;
        }
    }
}

fn vit(shapes: &mut List, width: usize, patch: usize, grid: usize, hidden: usize, layer_scale: bool) {
    shapes.with_bias("conv_proj", &[width, 3, patch, patch]);
    shapes.add("class_token".to_owned(), &[1, 1, width], None);
    shapes.add("encoder.pos_embedding".to_owned(), &[1, grid * grid + 1, width], None);
    for layer in 0..12 {
        let name = format!("encoder.layers.encoder_layer_{layer}");
        for number in if layer_scale { 1..3 } else { 0..0 } {
            shapes.add(format!("{name}.layer_scale_{number}"), &[width], None);
        }
        shapes.norm(&format!("{name}.ln_1"), width);
        shapes.add(format!("{name}.self_attention.in_proj_weight"), &[3 * width, width], None);
        shapes.add(format!("{name}.self_attention.in_proj_bias"), &[3 * width], None);
        shapes.with_bias(&format!("{name}.self_attention.out_proj"), &[width, width]);
        shapes.norm(&format!("{name}.ln_2"), width);
        shapes.with_bias(&format!("{name}.mlp.0"), &[hidden, width]);
        shapes.with_bias(&format!("{name}.mlp.3"), &[width, hidden]);
    }
    shapes.norm("encoder.ln", width);
}

fn efficientnet_lite0(shapes: &mut List) {
    shapes.with_norm("_conv_stem", "_bn0", [32, 3, 3, 3]);
    let (mut block, mut channels) = (0, 32);
    for &Stage { repeats, kernel, expansion, channels: outer, .. } in &EFFICIENTNET_LITE0 {
        for _ in 0..repeats {
            let (name, inner) = (format!("_blocks.{block}"), channels * expansion);
            let mut part = |part: &str, norm: u8, sizes| {
                shapes.with_norm(&format!("{name}.{part}"), &format!("{name}._bn{norm}"), sizes);
            };
            if expansion > 1 {
                part("_expand_conv", 0, [inner, channels, 1, 1]);
            }
            part("_depthwise_conv", 1, [inner, 1, kernel, kernel]);
            part("_project_conv", 2, [outer, inner, 1, 1]);
            (block, channels) = (block + 1, outer);
        }
    }
    shapes.with_norm("_conv_head", "_bn1", [1280, channels, 1, 1]);
}

fn squeezenet(shapes: &mut List) {
    shapes.with_bias("features.0", &[64, 3, 3, 3]);
    let mut channels = 64;
    for (number, inner, half) in SQUEEZENET {
        let fire = format!("features.{number}");
        shapes.with_bias(&format!("{fire}.squeeze"), &[inner, channels, 1, 1]);
        shapes.with_bias(&format!("{fire}.expand1x1"), &[half, inner, 1, 1]);
        shapes.with_bias(&format!("{fire}.expand3x3"), &[half, inner, 3, 3]);
        channels = 2 * half;
    }
}

//! EfficientNet-Lite0, with the names of `efficientnet-lite-pytorch`, without its last layer.
//!
//! Tan, Le: EfficientNet: Rethinking model scaling for convolutional neural networks (2019), arXiv 1905.11946; the "Lite"
//! variants of 2020 have neither squeeze-and-excitation nor swish. Its weights are TensorFlow's: padding is `SAME`.

use tch::{TchError, Tensor};

use super::convolution::{Convolution, Padding, channels_last, global_average};
use super::shapes::{EFFICIENTNET_LITE0, Stage};
use super::weights::Tensors;
use super::{EncoderError, Watch};

/// Of the batch norms.
const EPSILON: f64 = 1e-3;
/// Channels out of the first convolution.
const STEM: i64 = 32;
/// Channels out of the last one: values of a vector.
const HEAD: i64 = 1280;

#[derive(Debug)]
pub(crate) struct EfficientNetLite0 {
    stem: Convolution,
    blocks: Vec<Block>,
    head: Convolution,
}

impl EfficientNetLite0 {
    pub(super) fn build(tensors: &mut Tensors) -> Result<EfficientNetLite0, EncoderError> {
        let stem = convolution(tensors, "_conv_stem", "_bn0", [STEM, 3, 3, 3])?.stride(2);
        let mut blocks = Vec::new();
        let mut channels = STEM;
        for stage in &EFFICIENTNET_LITE0 {
            for repeat in 0..stage.repeats {
                let stride = if repeat == 0 { stage.stride as i64 } else { 1 };
                blocks.push(Block::build(tensors, blocks.len(), channels, stage, stride)?);
                channels = stage.channels as i64;
            }
        }
        let head = convolution(tensors, "_conv_head", "_bn1", [HEAD, channels, 1, 1])?;
        Ok(EfficientNetLite0 { stem, blocks, head })
    }

    /// n × 3 × 224 × 224 to n × 1280; other heights and widths work too.
    pub(super) fn forward(&self, images: &Tensor, watch: &mut Watch) -> Result<Tensor, TchError> {
        let mut x = clipped(self.stem.forward(&channels_last(images)?)?)?;
        watch(&x);
        for block in &self.blocks {
            x = block.forward(x)?;
            watch(&x);
        }
        global_average(&clipped(self.head.forward(&x)?)?)
    }
}

/// A 1 × 1 convolution to more channels, one for each channel by itself, and a 1 × 1 convolution back.
#[derive(Debug)]
struct Block {
    expand: Option<Convolution>,
    depthwise: Convolution,
    project: Convolution,
    /// Whether what goes in is added to what comes out.
    shortcut: bool,
}

impl Block {
    fn build(
        tensors: &mut Tensors,
        number: usize,
        channels: i64,
        stage: &Stage,
        stride: i64,
    ) -> Result<Block, EncoderError> {
        let (inner, outer, kernel) = (channels * stage.expansion as i64, stage.channels as i64, stage.kernel as i64);
        let mut part = |part: &str, norm: u8, shape| {
            let block = format!("_blocks.{number}");
            convolution(tensors, &format!("{block}.{part}"), &format!("{block}._bn{norm}"), shape)
        };
        let expand = match stage.expansion {
            1 => None,
            _ => Some(part("_expand_conv", 0, [inner, channels, 1, 1])?),
        };
        let depthwise = part("_depthwise_conv", 1, [inner, 1, kernel, kernel])?.depthwise().stride(stride);
        let project = part("_project_conv", 2, [outer, inner, 1, 1])?;
        Ok(Block { expand, depthwise, project, shortcut: stride == 1 && channels == outer })
    }

    fn forward(&self, x: Tensor) -> Result<Tensor, TchError> {
        let wide = match &self.expand {
            Some(expand) => &clipped(expand.forward(&x)?)?,
            None => &x,
        };
        let mut out = self.project.forward(&clipped(self.depthwise.forward(wide)?)?)?;
        if self.shortcut { out.f_add_(&x) } else { Ok(out) }
    }
}

fn convolution(tensors: &mut Tensors, name: &str, norm: &str, shape: [i64; 4]) -> Result<Convolution, EncoderError> {
    Ok(Convolution::with_norm(tensors, name, norm, shape, EPSILON)?.padding(Padding::Same))
}

/// ReLU6.
fn clipped(mut x: Tensor) -> Result<Tensor, TchError> {
    x.f_clamp_(0.0, 6.0)
}

//! ResNet-50 as torchvision builds it (`torchvision/models/resnet.py`), without its last layer.
//!
//! He, Zhang, Ren, Sun: Deep residual learning for image recognition (2015), arXiv 1512.03385. As in torchvision, the
//! stride of a block is at its 3 × 3 convolution ("ResNet v1.5").

use tch::{TchError, Tensor};

use super::EncoderError;
use super::random::Init;
use super::weights::Tensors;

/// Values of a vector.
pub(super) const COLUMNS: usize = 2048;

/// Blocks in each of the four stages.
const BLOCKS: [usize; 4] = [3, 4, 6, 3];
/// Channels out of a block, over those inside it.
const EXPANSION: i64 = 4;
/// Of the batch norms.
const EPSILON: f64 = 1e-5;

#[derive(Debug)]
pub(crate) struct ResNet50 {
    stem: Convolution,
    blocks: Vec<Bottleneck>,
}

impl ResNet50 {
    pub(super) fn build(tensors: &mut Tensors) -> Result<ResNet50, EncoderError> {
        let stem = Convolution::build(tensors, "conv1", "bn1", [64, 3, 7, 7], 2)?;
        let mut blocks = Vec::new();
        let mut channels = 64;
        for (stage, count) in BLOCKS.into_iter().enumerate() {
            let inner = 64 << stage;
            for index in 0..count {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                let name = format!("layer{}.{index}", stage + 1);
                blocks.push(Bottleneck::build(tensors, &name, channels, inner, stride)?);
                channels = inner * EXPANSION;
            }
        }
        Ok(ResNet50 { stem, blocks })
    }

    /// n × 3 × 224 × 224 to n × 2048; other heights and widths work too.
    pub(super) fn forward(&self, images: &Tensor) -> Result<Tensor, TchError> {
        // Channels fastest in memory: convolutions keep that, and are faster with it on processors.
        let images = images.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?;
        let mut x = self.stem.forward(&images)?.f_relu_()?.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        x.f_adaptive_avg_pool2d([1, 1])?.f_flatten(1, -1)
    }
}

/// 1 × 1, 3 × 3, 1 × 1 convolutions beside a shortcut.
#[derive(Debug)]
struct Bottleneck {
    reduce: Convolution,
    spatial: Convolution,
    expand: Convolution,
    /// Where the shortcut has to change the shape.
    downsample: Option<Convolution>,
}

impl Bottleneck {
    fn build(
        tensors: &mut Tensors,
        name: &str,
        channels: i64,
        inner: i64,
        stride: i64,
    ) -> Result<Bottleneck, EncoderError> {
        let outer = inner * EXPANSION;
        let mut convolution = |number: u8, shape, stride| {
            Convolution::build(tensors, &format!("{name}.conv{number}"), &format!("{name}.bn{number}"), shape, stride)
        };
        let reduce = convolution(1, [inner, channels, 1, 1], 1)?;
        let spatial = convolution(2, [inner, inner, 3, 3], stride)?;
        let expand = convolution(3, [outer, inner, 1, 1], 1)?;
        let downsample = if stride != 1 || channels != outer {
            let (convolution, norm) = (format!("{name}.downsample.0"), format!("{name}.downsample.1"));
            Some(Convolution::build(tensors, &convolution, &norm, [outer, channels, 1, 1], stride)?)
        } else {
            None
        };
        Ok(Bottleneck { reduce, spatial, expand, downsample })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let inner = self.reduce.forward(x)?.f_relu_()?;
        let inner = self.spatial.forward(&inner)?.f_relu_()?;
        let mut sum = self.expand.forward(&inner)?;
        let mut sum = match &self.downsample {
            Some(downsample) => sum.f_add_(&downsample.forward(x)?)?,
            None => sum.f_add_(x)?,
        };
        sum.f_relu_()
    }
}

/// A convolution and the batch norm after it, which in evaluation mode is part of weight and bias.
#[derive(Debug)]
struct Convolution {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
    padding: i64,
}

impl Convolution {
    fn build(
        tensors: &mut Tensors,
        name: &str,
        norm: &str,
        shape: [i64; 4],
        stride: i64,
    ) -> Result<Convolution, EncoderError> {
        let channels = [shape[0]];
        let mut tensor = |name: String, shape: &[i64], init| tensors.get_here(&name, shape, init);
        let weight = tensor(format!("{name}.weight"), &shape, Init::kaiming_fan_out(shape))?;
        let scale = tensor(format!("{norm}.weight"), &channels, Init::Ones)?;
        let shift = tensor(format!("{norm}.bias"), &channels, Init::Zeros)?;
        let mean = tensor(format!("{norm}.running_mean"), &channels, Init::Zeros)?;
        let variance = tensor(format!("{norm}.running_var"), &channels, Init::Ones)?;
        // scale (x - mean) / sqrt(variance + epsilon) + shift, for x = weight * input.
        let scale = scale.f_div(&variance.f_add_scalar(EPSILON)?.f_sqrt()?)?;
        Ok(Convolution {
            weight: tensors.place(&weight.f_mul(&scale.f_reshape([-1, 1, 1, 1])?)?)?,
            bias: tensors.place(&shift.f_sub(&mean.f_mul(&scale)?)?)?,
            stride,
            padding: shape[2] / 2,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_conv2d(&self.weight, Some(&self.bias), [self.stride; 2], [self.padding; 2], [1, 1], 1)
    }
}

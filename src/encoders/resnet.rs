//! ResNet-50 as torchvision builds it (`torchvision/models/resnet.py`), without its last layer.
//!
//! He, Zhang, Ren, Sun: Deep residual learning for image recognition (2015), arXiv 1512.03385. As in torchvision, the
//! stride of a block is at its 3 × 3 convolution ("ResNet v1.5").

use tch::{TchError, Tensor};

use super::convolution::{Convolution, channels_last, global_average};
use super::shapes::RESNET50;
use super::weights::Tensors;
use super::{EncoderError, Watch};

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
        let stem = Convolution::with_norm(tensors, "conv1", "bn1", [64, 3, 7, 7], EPSILON)?.stride(2);
        let mut blocks = Vec::new();
        let mut channels = 64;
        for (stage, count) in RESNET50.into_iter().enumerate() {
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
    pub(super) fn forward(&self, images: &Tensor, watch: &mut Watch) -> Result<Tensor, TchError> {
        let images = channels_last(images)?;
        let mut x = self.stem.forward(&images)?.f_relu_()?.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
        watch(&x);
        for block in &self.blocks {
            x = block.forward(&x)?;
            watch(&x);
        }
        global_average(&x)
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
            let (name, norm) = (format!("{name}.conv{number}"), format!("{name}.bn{number}"));
            Ok::<_, EncoderError>(Convolution::with_norm(tensors, &name, &norm, shape, EPSILON)?.stride(stride))
        };
        let reduce = convolution(1, [inner, channels, 1, 1], 1)?;
        let spatial = convolution(2, [inner, inner, 3, 3], stride)?;
        let expand = convolution(3, [outer, inner, 1, 1], 1)?;
        let downsample = if stride != 1 || channels != outer {
            let (convolution, norm) = (format!("{name}.downsample.0"), format!("{name}.downsample.1"));
            let shape = [outer, channels, 1, 1];
            Some(Convolution::with_norm(tensors, &convolution, &norm, shape, EPSILON)?.stride(stride))
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

//! SqueezeNet 1.1 as torchvision builds it (`torchvision/models/squeezenet.py`), without its classifier.
//!
//! Iandola et al.: SqueezeNet: AlexNet-level accuracy with 50x fewer parameters (2016), arXiv 1602.07360.

use tch::{TchError, Tensor};

use super::convolution::{Convolution, Padding, channels_last, global_average};
use super::random::Init;
use super::shapes::SQUEEZENET;
use super::weights::Tensors;
use super::{EncoderError, Watch};

/// The modules before which the image is halved; and it is after the first convolution.
const POOLED: [u8; 3] = [3, 6, 9];

#[derive(Debug)]
pub(crate) struct SqueezeNet {
    stem: Convolution,
    fires: Vec<Fire>,
}

/// A 1 × 1 convolution to few channels, then 1 × 1 and 3 × 3 side by side.
#[derive(Debug)]
struct Fire {
    pooled: bool,
    squeeze: Convolution,
    expand: [Convolution; 2],
}

impl SqueezeNet {
    pub(super) fn build(tensors: &mut Tensors) -> Result<SqueezeNet, EncoderError> {
        let mut convolution = |name: &str, shape: [i64; 4]| {
            // `kaiming_uniform_`.
            let bound = (6.0 / (shape[1] * shape[2] * shape[3]) as f64).sqrt();
            Convolution::with_bias(tensors, &format!("features.{name}"), shape, Init::Uniform(bound))
        };
        let stem = convolution("0", [64, 3, 3, 3])?.stride(2).padding(Padding::Zeros(0));
        let mut fires = Vec::new();
        let mut channels = 64;
        for (number, inner, half) in SQUEEZENET {
            let (inner, half) = (inner as i64, half as i64);
            let squeeze = convolution(&format!("{number}.squeeze"), [inner, channels, 1, 1])?;
            let one = convolution(&format!("{number}.expand1x1"), [half, inner, 1, 1])?;
            let three = convolution(&format!("{number}.expand3x3"), [half, inner, 3, 3])?;
            fires.push(Fire { pooled: POOLED.contains(&number), squeeze, expand: [one, three] });
            channels = 2 * half;
        }
        Ok(SqueezeNet { stem, fires })
    }

    /// n × 3 × 224 × 224 to n × 512; other heights and widths from 17 on work too.
    pub(super) fn forward(&self, images: &Tensor, watch: &mut Watch) -> Result<Tensor, TchError> {
        let mut x = self.stem.forward(&channels_last(images)?)?.f_relu_()?;
        watch(&x);
        for fire in &self.fires {
            if fire.pooled {
                x = x.f_max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], true)?;
            }
            let squeezed = fire.squeeze.forward(&x)?.f_relu_()?;
            let [one, three] = &fire.expand;
            x = Tensor::f_cat(&[one.forward(&squeezed)?, three.forward(&squeezed)?], 1)?.f_relu_()?;
            watch(&x);
        }
        global_average(&x)
    }
}

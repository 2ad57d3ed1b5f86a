//! Convolutions with what follows them: a batch norm, which in evaluation mode is part of weight and bias, or a bias.

use tch::{TchError, Tensor};

use super::EncoderError;
use super::random::Init;
use super::weights::Tensors;

/// A convolution.
#[derive(Debug)]
pub(super) struct Convolution {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
    padding: Padding,
    groups: i64,
}

/// What is put around an image.
#[derive(Clone, Copy, Debug)]
pub(super) enum Padding {
    /// So many zeros on every side.
    Zeros(i64),
    /// TensorFlow's `SAME`: as many as keep the size, but for the stride; an odd one comes right and below.
    Same,
}

impl Convolution {
    /// Without bias, and a batch norm; `shape` is out × in × height × width. The stride is 1, and padding keeps the size.
    pub fn with_norm(
        tensors: &mut Tensors,
        name: &str,
        norm: &str,
        shape: [i64; 4],
        epsilon: f64,
    ) -> Result<Convolution, EncoderError> {
        let channels = [shape[0]];
        let mut tensor = |name: String, shape: &[i64], init| tensors.get_here(&name, shape, init);
        let weight = tensor(format!("{name}.weight"), &shape, Init::kaiming_fan_out(shape))?;
        let scale = tensor(format!("{norm}.weight"), &channels, Init::Ones)?;
        let shift = tensor(format!("{norm}.bias"), &channels, Init::Zeros)?;
        let mean = tensor(format!("{norm}.running_mean"), &channels, Init::Zeros)?;
        let variance = tensor(format!("{norm}.running_var"), &channels, Init::Ones)?;
        // scale (x - mean) / sqrt(variance + epsilon) + shift, for x = weight * input.
        let scale = scale.f_div(&variance.f_add_scalar(epsilon)?.f_sqrt()?)?;
        let bias = tensors.place(&shift.f_sub(&mean.f_mul(&scale)?)?)?;
        let weight = tensors.place(&weight.f_mul(&scale.f_reshape([-1, 1, 1, 1])?)?)?;
        Ok(Convolution { weight, bias, stride: 1, padding: Padding::Zeros(shape[2] / 2), groups: 1 })
    }

    /// With a bias and no norm; else the same.
    pub fn with_bias(
        tensors: &mut Tensors,
        name: &str,
        shape: [i64; 4],
        init: Init,
    ) -> Result<Convolution, EncoderError> {
        let weight = tensors.get(&format!("{name}.weight"), &shape, init)?;
        let bias = tensors.get(&format!("{name}.bias"), &shape[..1], Init::Zeros)?;
        Ok(Convolution { weight, bias, stride: 1, padding: Padding::Zeros(shape[2] / 2), groups: 1 })
    }

    pub fn stride(self, stride: i64) -> Convolution {
        Convolution { stride, ..self }
    }

    pub fn padding(self, padding: Padding) -> Convolution {
        Convolution { padding, ..self }
    }

    /// Each channel by itself.
    pub fn depthwise(self) -> Convolution {
        Convolution { groups: self.weight.size()[0], ..self }
    }

    /// n × in × height × width to n × out × height / stride × width / stride.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let convolve = |x: &Tensor, padding: i64| {
            let (bias, stride) = (Some(&self.bias), [self.stride; 2]);
            x.f_conv2d(&self.weight, bias, stride, [padding; 2], [1, 1], self.groups)
        };
        if let Padding::Zeros(padding) = self.padding {
            return convolve(x, padding);
        }
        let (image, kernel) = (x.size(), self.weight.size());
        let needed = |axis: usize| {
            let steps = (image[axis] + self.stride - 1) / self.stride;
            ((steps - 1) * self.stride + kernel[axis] - image[axis]).max(0)
        };
        let (rows, columns) = (needed(2), needed(3));
        if rows == columns && rows % 2 == 0 {
            return convolve(x, rows / 2);
        }
        let around = [columns / 2, columns - columns / 2, rows / 2, rows - rows / 2];
        convolve(&x.f_constant_pad_nd(around)?, 0)
    }
}

/// Channels fastest in memory: convolutions keep that, and are faster with it on processors.
pub(super) fn channels_last(images: &Tensor) -> Result<Tensor, TchError> {
    images.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}

/// The mean over height and width: n × channels.
pub(super) fn global_average(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_adaptive_avg_pool2d([1, 1])?.f_flatten(1, -1)
}

//! ViT-B/16 as torchvision builds it (`torchvision/models/vision_transformer.py`), without its head.
//!
//! Dosovitskiy et al.: An image is worth 16x16 words (2020), arXiv 2010.11929.

use tch::{TchError, Tensor};

use super::EncoderError;
use super::random::Init;
use super::weights::Tensors;

/// Values of a vector, and of every token.
pub(super) const COLUMNS: usize = 768;

const WIDTH: i64 = COLUMNS as i64;
const PATCH: i64 = 16;
/// 14 × 14 patches of an image of 224 × 224, and the class token.
const TOKENS: i64 = 14 * 14 + 1;
const LAYERS: usize = 12;
const HEADS: i64 = 12;
const HIDDEN: i64 = 3072;
/// Of the layer norms.
const EPSILON: f64 = 1e-6;

#[derive(Debug)]
pub(crate) struct VitB16 {
    patches: Linear,
    class_token: Tensor,
    positions: Tensor,
    layers: Vec<Layer>,
    norm: Norm,
}

impl VitB16 {
    pub(super) fn build(tensors: &mut Tensors) -> Result<VitB16, EncoderError> {
        // torchvision cuts this normal distribution off at 2, which is 55 standard deviations: never.
        let fan_in = (3 * PATCH * PATCH) as f64;
        let patches = Linear {
            weight: tensors.get("conv_proj.weight", &[WIDTH, 3, PATCH, PATCH], Init::Normal((1.0 / fan_in).sqrt()))?,
            bias: tensors.get("conv_proj.bias", &[WIDTH], Init::Zeros)?,
        };
        let class_token = tensors.get("class_token", &[1, 1, WIDTH], Init::Zeros)?;
        let positions = tensors.get("encoder.pos_embedding", &[1, TOKENS, WIDTH], Init::Normal(0.02))?;
        let layer = |index| Layer::build(tensors, &format!("encoder.layers.encoder_layer_{index}"));
        let layers = (0..LAYERS).map(layer).collect::<Result<_, _>>()?;
        let norm = Norm::build(tensors, "encoder.ln")?;
        Ok(VitB16 { patches, class_token, positions, layers, norm })
    }

    /// n × 3 × 224 × 224 to n × 768.
    pub(super) fn forward(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let Linear { weight, bias } = &self.patches;
        let patches = images.f_conv2d(weight, Some(bias), [PATCH; 2], [0, 0], [1, 1], 1)?;
        let patches = patches.f_flatten(2, -1)?.f_permute([0, 2, 1])?;
        let class_token = self.class_token.f_expand([images.size()[0], -1, -1], false)?;
        let mut x = Tensor::f_cat(&[class_token, patches], 1)?.f_add(&self.positions)?;
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        self.norm.forward(&x)?.f_select(1, 0)
    }
}

/// Self-attention, then two fully connected layers, each after a norm and beside a shortcut.
#[derive(Debug)]
struct Layer {
    norm_1: Norm,
    /// Queries, keys and values in one matrix.
    attend: Linear,
    project: Linear,
    norm_2: Norm,
    widen: Linear,
    narrow: Linear,
}

impl Layer {
    fn build(tensors: &mut Tensors, name: &str) -> Result<Layer, EncoderError> {
        let attention = format!("{name}.self_attention");
        let almost_zero = Init::Normal(1e-6);
        Ok(Layer {
            norm_1: Norm::build(tensors, &format!("{name}.ln_1"))?,
            attend: Linear {
                weight: tensors.get(
                    &format!("{attention}.in_proj_weight"),
                    &[3 * WIDTH, WIDTH],
                    Init::xavier_uniform([3 * WIDTH, WIDTH]),
                )?,
                bias: tensors.get(&format!("{attention}.in_proj_bias"), &[3 * WIDTH], Init::Zeros)?,
            },
            project: Linear {
                weight: tensors.get(
                    &format!("{attention}.out_proj.weight"),
                    &[WIDTH, WIDTH],
                    Init::linear([WIDTH, WIDTH]),
                )?,
                bias: tensors.get(&format!("{attention}.out_proj.bias"), &[WIDTH], Init::Zeros)?,
            },
            norm_2: Norm::build(tensors, &format!("{name}.ln_2"))?,
            widen: Linear {
                weight: tensors.get(
                    &format!("{name}.mlp.0.weight"),
                    &[HIDDEN, WIDTH],
                    Init::xavier_uniform([HIDDEN, WIDTH]),
                )?,
                bias: tensors.get(&format!("{name}.mlp.0.bias"), &[HIDDEN], almost_zero)?,
            },
            narrow: Linear {
                weight: tensors.get(
                    &format!("{name}.mlp.3.weight"),
                    &[WIDTH, HIDDEN],
                    Init::xavier_uniform([WIDTH, HIDDEN]),
                )?,
                bias: tensors.get(&format!("{name}.mlp.3.bias"), &[WIDTH], almost_zero)?,
            },
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let x = x.f_add(&self.attention(&self.norm_1.forward(x)?)?)?;
        let hidden = self.widen.forward(&self.norm_2.forward(&x)?)?.f_gelu("none")?;
        x.f_add(&self.narrow.forward(&hidden)?)
    }

    fn attention(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (images, tokens) = (x.size()[0], x.size()[1]);
        let split = [images, tokens, 3, HEADS, WIDTH / HEADS];
        // Three of images × heads × tokens × width of a head.
        let parts = self.attend.forward(x)?.f_reshape(split)?.f_permute([2, 0, 3, 1, 4])?;
        let part = |index| parts.f_select(0, index);
        let no_mask: Option<&Tensor> = None;
        let (queries, keys, values) = (part(0)?, part(1)?, part(2)?);
        let mixed = Tensor::f_scaled_dot_product_attention(&queries, &keys, &values, no_mask, 0.0, false, None, false)?;
        self.project.forward(&mixed.f_permute([0, 2, 1, 3])?.f_reshape([images, tokens, WIDTH])?)
    }
}

#[derive(Debug)]
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_linear(&self.weight, Some(&self.bias))
    }
}

#[derive(Debug)]
struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    fn build(tensors: &mut Tensors, name: &str) -> Result<Norm, EncoderError> {
        Ok(Norm {
            weight: tensors.get(&format!("{name}.weight"), &[WIDTH], Init::Ones)?,
            bias: tensors.get(&format!("{name}.bias"), &[WIDTH], Init::Zeros)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_layer_norm([WIDTH], Some(&self.weight), Some(&self.bias), EPSILON, true)
    }
}

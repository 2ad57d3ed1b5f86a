//! Vision transformers, without their heads: ViT-B/16 as torchvision builds it (`torchvision/models/vision_transformer.py`)
//! and, with the same names, ViT-S/14 as DINOv2 has it.
//!
//! Dosovitskiy et al.: An image is worth 16x16 words (2020), arXiv 2010.11929. Oquab et al.: DINOv2 (2023), arXiv
//! 2304.07193: layer scale, and positions that were learned for larger images.

use tch::{Kind, TchError, Tensor};

use super::random::Init;
use super::registry::Pooling;
use super::weights::Tensors;
use super::{EncoderError, Watch};

/// Of the layer norms.
const EPSILON: f64 = 1e-6;
/// What a layer scale starts from.
const LAYER_SCALE: f64 = 1e-5;
/// What DINOv2 adds to the number of patches before it scales positions (`interpolate_offset`).
const OFFSET: f64 = 0.1;

/// The sizes of a vision transformer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Design {
    /// Values of a vector, and of every token.
    pub columns: usize,
    /// Pixels on a side of a patch.
    pub patch: i64,
    /// Patches on a side of the image that the positions were learned for.
    pub grid: i64,
    pub layers: usize,
    pub heads: i64,
    /// Width of the fully connected layers.
    pub hidden: i64,
    /// Whether what a layer adds is scaled, value by value.
    pub layer_scale: bool,
}

/// For images of 224 × 224.
pub(super) const B_16: Design =
    Design { columns: 768, patch: 16, grid: 14, layers: 12, heads: 12, hidden: 3072, layer_scale: false };
/// Positions are those of images of 518 × 518.
pub(super) const S_14: Design =
    Design { columns: 384, patch: 14, grid: 37, layers: 12, heads: 6, hidden: 1536, layer_scale: true };

#[derive(Debug)]
pub(crate) struct Vit {
    design: Design,
    pooling: Pooling,
    patches: Linear,
    class_token: Tensor,
    positions: Tensor,
    layers: Vec<Layer>,
    norm: Norm,
}

impl Vit {
    pub(super) fn build(tensors: &mut Tensors, design: Design, pooling: Pooling) -> Result<Vit, EncoderError> {
        let Design { patch, grid, .. } = design;
        let width = design.columns as i64;
        // torchvision cuts this normal distribution off at 2, which is 55 standard deviations: never.
        let fan_in = (3 * patch * patch) as f64;
        let patches = Linear {
            weight: tensors.get("conv_proj.weight", &[width, 3, patch, patch], Init::Normal((1.0 / fan_in).sqrt()))?,
            bias: tensors.get("conv_proj.bias", &[width], Init::Zeros)?,
        };
        let class_token = tensors.get("class_token", &[1, 1, width], Init::Zeros)?;
        let shape = [1, grid * grid + 1, width];
        let positions = tensors.get("encoder.pos_embedding", &shape, Init::Normal(0.02))?;
        let layer = |index| Layer::build(tensors, &format!("encoder.layers.encoder_layer_{index}"), design);
        let layers = (0..design.layers).map(layer).collect::<Result<_, _>>()?;
        let norm = Norm::build(tensors, "encoder.ln", width)?;
        Ok(Vit { design, pooling, patches, class_token, positions, layers, norm })
    }

    /// n × 3 × height × width to n × columns; sides are whole patches.
    pub(super) fn forward(&self, images: &Tensor, watch: &mut Watch) -> Result<Tensor, TchError> {
        let Linear { weight, bias } = &self.patches;
        let patches = images.f_conv2d(weight, Some(bias), [self.design.patch; 2], [0, 0], [1, 1], 1)?;
        let (rows, columns) = (patches.size()[2], patches.size()[3]);
        let patches = patches.f_flatten(2, -1)?.f_permute([0, 2, 1])?;
        let class_token = self.class_token.f_expand([images.size()[0], -1, -1], false)?;
        let mut x = Tensor::f_cat(&[class_token, patches], 1)?.f_add(&self.positions_of(rows, columns)?)?;
        watch(&x);
        for layer in &self.layers {
            x = layer.forward(&x)?;
            watch(&x);
        }
        let mean_of_patches = |x: &Tensor| x.f_narrow(1, 1, rows * columns)?.f_mean_dim(1, false, x.kind());
        match self.pooling {
            // The norm takes each token by itself.
            Pooling::ClassToken => self.norm.forward(&x.f_select(1, 0)?),
            Pooling::Mean => self.norm.forward(&mean_of_patches(&x)?),
            Pooling::MeanOfNormed => mean_of_patches(&self.norm.forward(&x)?),
        }
    }

    /// The positions for so many patches; those between the learned ones by bicubic interpolation, as DINOv2 does it.
    fn positions_of(&self, rows: i64, columns: i64) -> Result<Tensor, TchError> {
        let grid = self.design.grid;
        if (rows, columns) == (grid, grid) {
            return Ok(self.positions.shallow_clone());
        }
        let (class, kind) = (self.positions.f_narrow(1, 0, 1)?, self.positions.kind());
        let patches = self.positions.f_narrow(1, 1, grid * grid)?.f_to_kind(Kind::Float)?;
        let patches = patches.f_reshape([1, grid, grid, -1])?.f_permute([0, 3, 1, 2])?;
        let scale = |length: i64| (length as f64 + OFFSET) / grid as f64;
        let patches = patches.f_upsample_bicubic2d([rows, columns], false, scale(rows), scale(columns))?;
        let patches = patches.f_flatten(2, -1)?.f_permute([0, 2, 1])?.f_to_kind(kind)?;
        Tensor::f_cat(&[class, patches], 1)
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
    heads: i64,
    /// What attention and the connected layers add is multiplied by.
    scales: Option<[Tensor; 2]>,
}

impl Layer {
    fn build(tensors: &mut Tensors, name: &str, design: Design) -> Result<Layer, EncoderError> {
        let (width, hidden, heads) = (design.columns as i64, design.hidden, design.heads);
        let attention = format!("{name}.self_attention");
        let almost_zero = Init::Normal(1e-6);
        let mut scale =
            |number: u8| tensors.get(&format!("{name}.layer_scale_{number}"), &[width], Init::Constant(LAYER_SCALE));
        let scales = if design.layer_scale { Some([scale(1)?, scale(2)?]) } else { None };
        Ok(Layer {
            norm_1: Norm::build(tensors, &format!("{name}.ln_1"), width)?,
            attend: Linear {
                weight: tensors.get(
                    &format!("{attention}.in_proj_weight"),
                    &[3 * width, width],
                    Init::xavier_uniform([3 * width, width]),
                )?,
                bias: tensors.get(&format!("{attention}.in_proj_bias"), &[3 * width], Init::Zeros)?,
            },
            project: Linear {
                weight: tensors.get(
                    &format!("{attention}.out_proj.weight"),
                    &[width, width],
                    Init::linear([width, width]),
                )?,
                bias: tensors.get(&format!("{attention}.out_proj.bias"), &[width], Init::Zeros)?,
            },
            norm_2: Norm::build(tensors, &format!("{name}.ln_2"), width)?,
            widen: Linear {
                weight: tensors.get(
                    &format!("{name}.mlp.0.weight"),
                    &[hidden, width],
                    Init::xavier_uniform([hidden, width]),
                )?,
                bias: tensors.get(&format!("{name}.mlp.0.bias"), &[hidden], almost_zero)?,
            },
            narrow: Linear {
                weight: tensors.get(
                    &format!("{name}.mlp.3.weight"),
                    &[width, hidden],
                    Init::xavier_uniform([width, hidden]),
                )?,
                bias: tensors.get(&format!("{name}.mlp.3.bias"), &[width], almost_zero)?,
            },
            heads,
            scales,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let scaled = |number: usize, added: Tensor| match &self.scales {
            Some(scales) => added.f_mul(&scales[number]),
            None => Ok(added),
        };
        let x = x.f_add(&scaled(0, self.attention(&self.norm_1.forward(x)?)?)?)?;
        let hidden = self.widen.forward(&self.norm_2.forward(&x)?)?.f_gelu("none")?;
        x.f_add(&scaled(1, self.narrow.forward(&hidden)?)?)
    }

    fn attention(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (images, tokens, width) = (x.size()[0], x.size()[1], x.size()[2]);
        let split = [images, tokens, 3, self.heads, width / self.heads];
        // Three of images × heads × tokens × width of a head.
        let parts = self.attend.forward(x)?.f_reshape(split)?.f_permute([2, 0, 3, 1, 4])?;
        let part = |index| parts.f_select(0, index);
        let no_mask: Option<&Tensor> = None;
        let (queries, keys, values) = (part(0)?, part(1)?, part(2)?);
        let mixed = Tensor::f_scaled_dot_product_attention(&queries, &keys, &values, no_mask, 0.0, false, None, false)?;
        self.project.forward(&mixed.f_permute([0, 2, 1, 3])?.f_reshape([images, tokens, width])?)
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
    fn build(tensors: &mut Tensors, name: &str, width: i64) -> Result<Norm, EncoderError> {
        Ok(Norm {
            weight: tensors.get(&format!("{name}.weight"), &[width], Init::Ones)?,
            bias: tensors.get(&format!("{name}.bias"), &[width], Init::Zeros)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), EPSILON, true)
    }
}

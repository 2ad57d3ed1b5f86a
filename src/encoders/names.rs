//! The names of tensors in files, and those in networks.
//!
//! Compiled into both halves.
#![allow(dead_code, reason = "each half uses a part")]

use super::registry::{Architecture, Layout, Names};

/// What a tensor of a file is to the network.
#[derive(Debug, PartialEq)]
pub enum Named {
    /// It belongs to something else, or to the head.
    LeftOut,
    /// It should not be there.
    Unknown,
    /// The tensor of this name, once its axes are turned.
    Is(String, Turn),
}

/// An order of axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Turn {
    /// As they are.
    No,
    /// Height × width × in × out to out × in × height × width.
    OutFirst,
}

impl Turn {
    /// The sizes in this order.
    pub fn of_shape(self, shape: &[usize]) -> Vec<usize> {
        match (self, shape) {
            (Turn::OutFirst, &[height, width, inner, outer]) => vec![outer, inner, height, width],
            _ => shape.to_vec(),
        }
    }

    /// The values in this order, given those of a tensor of `shape`.
    pub fn of_values(self, values: Vec<f32>, shape: &[usize]) -> Vec<f32> {
        let (Turn::OutFirst, &[height, width, inner, outer]) = (self, shape) else { return values };
        let area = height * width;
        let mut turned = vec![0.0; values.len()];
        for (at, value) in values.into_iter().enumerate() {
            let (place, channel, out) = (at / (inner * outer), at / outer % inner, at % outer);
            turned[(out * inner + channel) * area + place] = value;
        }
        turned
    }
}

/// What the tensor `name` of a file is to a network, where the network's names begin with `prefix` in the file.
pub fn in_network(layout: &Layout, architecture: Architecture, prefix: &str, name: &str) -> Named {
    let Some(name) = name.strip_prefix(prefix) else { return Named::LeftOut };
    let is_dropped = |start: &String| name.starts_with(start.as_str());
    if layout.drop.iter().any(is_dropped) || name.ends_with("num_batches_tracked") {
        return Named::LeftOut;
    }
    match layout.names {
        // torchvision's files of vision transformers are older than its names of today.
        Names::Torchvision if architecture == Architecture::VitB16 => {
            Named::Is(name.replace(".mlp.linear_1.", ".mlp.0.").replace(".mlp.linear_2.", ".mlp.3."), Turn::No)
        }
        Names::Torchvision => Named::Is(name.to_owned(), Turn::No),
        Names::Timm => timm(name).map_or(Named::Unknown, |name| Named::Is(name, Turn::No)),
        Names::CaffeSqueezenet => caffe_squeezenet(name),
    }
}

/// timm's names of a vision transformer to torchvision's.
fn timm(name: &str) -> Option<String> {
    let whole = match name {
        "cls_token" => "class_token",
        "pos_embed" => "encoder.pos_embedding",
        "patch_embed.proj.weight" => "conv_proj.weight",
        "patch_embed.proj.bias" => "conv_proj.bias",
        // `fc_norm` takes the mean of the patches, `norm` all tokens; a network has one of them.
        "norm.weight" | "fc_norm.weight" => "encoder.ln.weight",
        "norm.bias" | "fc_norm.bias" => "encoder.ln.bias",
        _ => {
            let (layer, part) = name.strip_prefix("blocks.")?.split_once('.')?;
            let layer: usize = layer.parse().ok()?;
            let part = match part {
                "norm1.weight" => "ln_1.weight",
                "norm1.bias" => "ln_1.bias",
                "attn.qkv.weight" => "self_attention.in_proj_weight",
                "attn.qkv.bias" => "self_attention.in_proj_bias",
                "attn.proj.weight" => "self_attention.out_proj.weight",
                "attn.proj.bias" => "self_attention.out_proj.bias",
                "ls1.gamma" => "layer_scale_1",
                "norm2.weight" => "ln_2.weight",
                "norm2.bias" => "ln_2.bias",
                "mlp.fc1.weight" => "mlp.0.weight",
                "mlp.fc1.bias" => "mlp.0.bias",
                "mlp.fc2.weight" => "mlp.3.weight",
                "mlp.fc2.bias" => "mlp.3.bias",
                "ls2.gamma" => "layer_scale_2",
                _ => return None,
            };
            return Some(format!("encoder.layers.encoder_layer_{layer}.{part}"));
        }
    };
    Some(whole.to_owned())
}

/// `conv1` and `fire2/expand3x3`, each a pair of weight and bias, to torchvision's names.
fn caffe_squeezenet(name: &str) -> Named {
    let named = || {
        let (layer, part) = name.rsplit_once('.')?;
        let (part, turn) = match part {
            "0" => ("weight", Turn::OutFirst),
            "1" => ("bias", Turn::No),
            _ => return None,
        };
        let layer = match layer.split_once('/') {
            None if layer == "conv1" => "features.0".to_owned(),
            Some((fire, convolution)) => {
                let number: usize = fire.strip_prefix("fire")?.parse().ok()?;
                let place = [3, 4, 6, 7, 9, 10, 11, 12].get(number.checked_sub(2)?)?;
                format!("features.{place}.{}", if convolution == "squeeze1x1" { "squeeze" } else { convolution })
            }
            _ => return None,
        };
        Some(Named::Is(format!("{layer}.{part}"), turn))
    };
    named().unwrap_or(Named::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_turned() {
        let shape = [2, 1, 2, 3];
        assert_eq!(Turn::OutFirst.of_shape(&shape), [3, 2, 2, 1]);
        // Numbered by place, channel in, channel out.
        let values: Vec<f32> = (0..12).map(|at| (at / 6 * 100 + at / 3 % 2 * 10 + at % 3) as f32).collect();
        let turned = Turn::OutFirst.of_values(values, &shape);
        assert_eq!(turned, [0.0, 100.0, 10.0, 110.0, 1.0, 101.0, 11.0, 111.0, 2.0, 102.0, 12.0, 112.0]);
    }

    #[test]
    fn names_that_are_left_out_and_unknown() {
        let layout = Layout { drop: vec!["head.".to_owned()], ..Layout::default() };
        let of =
            |names, name: &str| in_network(&Layout { names, ..layout.clone() }, Architecture::VitB16, "model.", name);
        assert_eq!(of(Names::Timm, "optimizer.state.0.exp_avg"), Named::LeftOut);
        assert_eq!(of(Names::Timm, "model.head.weight"), Named::LeftOut);
        assert_eq!(of(Names::Torchvision, "model.bn1.num_batches_tracked"), Named::LeftOut);
        for name in ["model.blocks.x.norm1.weight", "model.blocks.1.norm3.weight", "model.strange"] {
            assert_eq!(of(Names::Timm, name), Named::Unknown);
        }
        for name in ["model.conv2.0", "model.fire1/squeeze1x1.0", "model.fire10/squeeze1x1.0", "model.conv1.2"] {
            assert_eq!(of(Names::CaffeSqueezenet, name), Named::Unknown);
        }
        let is = Named::Is("features.3.squeeze.weight".to_owned(), Turn::OutFirst);
        assert_eq!(of(Names::CaffeSqueezenet, "model.fire2/squeeze1x1.0"), is);
    }
}

//! Encoders: what turns an image into a vector. Raw pixels, ResNet-50 and ViT-B/16.
//!
//! An [`Encoder`] is a description, cheap to make and to clone; its network is built when [`crate::embed`] first needs it.
//! The networks are torchvision's, with their heads removed and in evaluation mode. Their weights come from a seed, or from
//! a safetensors file with torchvision's names; no other format is read.

mod random;
mod raw;
mod resnet;
mod vit;
mod weights;

use std::path::PathBuf;

use tch::{Device, Kind, TchError, Tensor};

use crate::fs;
use crate::preprocess::Preprocessing;
pub use weights::WeightsError;

/// What can go wrong with an encoder.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    /// The file of weights does not fit.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// libtorch refuses.
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}

/// Where the weights of a network come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weights {
    /// Drawn as torchvision initialises the network, from a seed; the same on every machine.
    Random {
        /// The seed.
        seed: u64,
    },
    /// Read from a `.safetensors` file with torchvision's names of tensors.
    Safetensors(PathBuf),
}

/// The pixels themselves: at most 32 × 32, normalised, 3 channels; 2352 values for 28 × 28 images, else 3072.
pub fn raw_pixels() -> Encoder {
    Encoder { name: "raw pixels".to_owned(), model: Model::RawPixels }
}

/// ResNet-50 (He et al. 2015, arXiv 1512.03385; torchvision's variant): 2048 values, the mean over the last feature map.
pub fn resnet50(weights: Weights) -> Encoder {
    Encoder::network(Architecture::ResNet50, weights)
}

/// ViT-B/16 (Dosovitskiy et al. 2020, arXiv 2010.11929): 768 values, the class token after the last norm.
pub fn vit_b_16(weights: Weights) -> Encoder {
    Encoder::network(Architecture::VitB16, weights)
}

/// A way from an image to a vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoder {
    name: String,
    model: Model,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Model {
    RawPixels,
    Network { architecture: Architecture, weights: Weights },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Architecture {
    ResNet50,
    VitB16,
}

impl Encoder {
    fn network(architecture: Architecture, weights: Weights) -> Encoder {
        let network = match architecture {
            Architecture::ResNet50 => "ResNet-50",
            Architecture::VitB16 => "ViT-B/16",
        };
        let name = match &weights {
            Weights::Random { .. } => format!("random {network}"),
            Weights::Safetensors(path) => {
                format!("{network} {}", path.file_stem().unwrap_or_default().to_string_lossy())
            }
        };
        Encoder { name, model: Model::Network { architecture, weights } }
    }

    /// Its name for people, such as `random ResNet-50`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same encoder under another name; the name changes nothing else.
    pub fn named(self, name: &str) -> Encoder {
        Encoder { name: name.to_owned(), ..self }
    }

    /// The seed of its weights, if they are drawn from one.
    pub fn seed(&self) -> Option<u64> {
        match self.model {
            Model::Network { weights: Weights::Random { seed }, .. } => Some(seed),
            _ => None,
        }
    }

    /// What is done to images of `height` × `width` pixels before this encoder sees them.
    pub fn preprocessing(&self, height: usize, width: usize) -> Preprocessing {
        match self.model {
            Model::RawPixels => Preprocessing { size: raw::SIZE.min(height).min(width) },
            Model::Network { .. } => Preprocessing { size: 224 },
        }
    }

    /// How many values a vector has, for images of `height` × `width` pixels.
    pub fn columns(&self, height: usize, width: usize) -> usize {
        match self.model {
            Model::RawPixels => self.preprocessing(height, width).values(),
            Model::Network { architecture: Architecture::ResNet50, .. } => resnet::COLUMNS,
            Model::Network { architecture: Architecture::VitB16, .. } => vit::COLUMNS,
        }
    }

    /// Whether the vector is the preprocessed image itself.
    pub(crate) fn is_raw(&self) -> bool {
        self.model == Model::RawPixels
    }

    /// Architecture and weights in one line, the same exactly if they are the same: part of the key of embeddings.
    ///
    /// Reads the file of weights, if there is one, for its BLAKE3, and records it as an input of the running cell.
    pub(crate) fn identity(&self) -> Result<String, EncoderError> {
        let (architecture, weights) = match &self.model {
            Model::RawPixels => return Ok("raw pixels".to_owned()),
            Model::Network { architecture, weights } => (architecture, weights),
        };
        match weights {
            Weights::Random { seed } => Ok(format!("{architecture:?}, random weights 1, seed {seed}")),
            Weights::Safetensors(path) => {
                let sum = fs::blake3_file(path).map_err(WeightsError::Fs)?;
                crate::cell::input(&format!("file:{}", path.display()), &format!("blake3:{sum}"));
                Ok(format!("{architecture:?}, blake3 {sum}"))
            }
        }
    }

    /// Draws or reads the weights, and puts the network on the device.
    pub(crate) fn build(&self, device: Device, kind: Kind) -> Result<Network, EncoderError> {
        let (architecture, weights) = match &self.model {
            Model::RawPixels => return Ok(Network::RawPixels),
            Model::Network { architecture, weights } => (*architecture, weights),
        };
        match weights {
            Weights::Random { seed } => Network::build(architecture, &mut weights::Drawn { seed: *seed }, device, kind),
            Weights::Safetensors(path) => {
                let bytes = weights::read(path)?;
                let mut file = weights::File::new(path, &bytes)?;
                let network = Network::build(architecture, &mut file, device, kind)?;
                file.finish(architecture.head())?;
                Ok(network)
            }
        }
    }
}

impl Architecture {
    /// What the names of the tensors of the removed head begin with.
    fn head(self) -> &'static str {
        match self {
            Architecture::ResNet50 => "fc.",
            Architecture::VitB16 => "heads.",
        }
    }
}

/// A network with its weights, on a device.
#[derive(Debug)]
pub(crate) enum Network {
    RawPixels,
    ResNet50(resnet::ResNet50),
    VitB16(vit::VitB16),
}

impl Network {
    fn build(
        architecture: Architecture,
        source: &mut dyn weights::Source,
        device: Device,
        kind: Kind,
    ) -> Result<Network, EncoderError> {
        let mut tensors = weights::Tensors { source, device, kind };
        Ok(match architecture {
            Architecture::ResNet50 => Network::ResNet50(resnet::ResNet50::build(&mut tensors)?),
            Architecture::VitB16 => Network::VitB16(vit::VitB16::build(&mut tensors)?),
        })
    }

    /// A batch of n × 3 × height × width to n × columns.
    pub(crate) fn forward(&self, images: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Network::RawPixels => raw::forward(images),
            Network::ResNet50(network) => network.forward(images),
            Network::VitB16(network) => network.forward(images),
        }
    }
}

#[cfg(test)]
mod tests;

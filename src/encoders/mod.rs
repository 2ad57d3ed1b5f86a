//! Encoders: what turns an image into a vector.
//!
//! An [`Encoder`] is a description, cheap to make and to clone; its network is built when [`crate::embed`] first needs it.
//! The networks are torchvision's and their authors', with their heads removed and in evaluation mode. Their weights come
//! from a seed, or from a safetensors file: that of a row of the [`registry`] ([`load`]), which `report encoders` lists and
//! fetches, or one of yours with the same names. The library reads no other format.

mod convolution;
mod efficientnet;
pub mod names;
mod random;
mod raw;
pub mod registry;
mod resnet;
pub mod shapes;
mod squeezenet;
mod table;
mod vit;
mod weights;

use std::path::PathBuf;

use tch::{Device, Kind, TchError, Tensor};

use crate::fs;
use crate::preprocess::{Filter, Preprocessing, Scale};
use registry::Recipe;
pub use registry::{Architecture, Pooling, RegistryError};
pub use table::table;
pub use weights::WeightsError;

/// What can go wrong with an encoder.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    /// There is no such encoder.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Its weights are not here.
    #[error("the weights of `{name}` are not here{why}")]
    NotHere {
        /// The encoder.
        name: String,
        /// What to do.
        why: String,
    },
    /// The file of weights does not fit.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The table of encoders cannot be made.
    #[error("the table of encoders: {0}")]
    Table(String),
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

/// The pixels themselves: 32 × 32, normalised, 3 channels, 3072 values; fewer if all images are smaller, 2352 for 28 × 28.
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

/// ViT-S/14 as DINOv2 has it (Oquab et al. 2023, arXiv 2304.07193): 384 values, the class token after the last norm.
pub fn vit_s_14(weights: Weights) -> Encoder {
    Encoder::network(Architecture::VitS14, weights)
}

/// EfficientNet-Lite0 (Tan & Le 2019, arXiv 1905.11946): 1280 values, the mean over the last feature map.
pub fn efficientnet_lite0(weights: Weights) -> Encoder {
    Encoder::network(Architecture::EfficientNetLite0, weights)
}

/// SqueezeNet 1.1 (Iandola et al. 2016, arXiv 1602.07360): 512 values, the mean over the last feature map.
pub fn squeezenet1_1(weights: Weights) -> Encoder {
    Encoder::network(Architecture::SqueezeNet, weights)
}

/// The encoder of this name in the [`registry`], such as `dino_resnet50`; random ones from seed 0.
///
/// Its file of weights must be here: `report fetch encoders NAME`, or `report encoders import FILE --as NAME`.
///
/// # Errors
/// An unknown name; weights that are not here.
pub fn load(name: &str) -> Result<Encoder, EncoderError> {
    let row = registry::find(name)?;
    let missing = |why: &str| EncoderError::NotHere { name: name.to_owned(), why: why.to_owned() };
    let folder = || registry::folder().ok_or_else(|| missing(": neither XDG_CACHE_HOME nor HOME says where they are"));
    let weights = match &row.weights {
        registry::Weights::None => return Ok(raw_pixels().named(name)),
        registry::Weights::Random => Weights::Random { seed: 0 },
        source => {
            let path = registry::file(&folder()?, name);
            if !path.exists() {
                return Err(missing(&match source {
                    registry::Weights::Unpublished(_) => {
                        format!(
                            ": they were never published; who has them runs `report encoders import FILE --as {name}`"
                        )
                    }
                    _ => format!("; run `report fetch encoders {name}`"),
                }));
            }
            Weights::Safetensors(path)
        }
    };
    let (pooling, recipe, architecture) = (row.pooling, row.preprocessing, row.architecture);
    Ok(Encoder { name: row.name, model: Model::Network { architecture, pooling, recipe, weights } })
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
    Network { architecture: Architecture, pooling: Pooling, recipe: Recipe, weights: Weights },
}

impl Encoder {
    fn network(architecture: Architecture, weights: Weights) -> Encoder {
        let network = architecture.title();
        let name = match &weights {
            Weights::Random { .. } => format!("random {network}"),
            Weights::Safetensors(path) => {
                format!("{network} {}", path.file_stem().unwrap_or_default().to_string_lossy())
            }
        };
        let recipe = match architecture {
            Architecture::EfficientNetLite0 => Recipe::TensorflowLite,
            Architecture::SqueezeNet => Recipe::Caffe,
            _ => Recipe::Imagenet,
        };
        Encoder { name, model: Model::Network { architecture, pooling: Pooling::ClassToken, recipe, weights } }
    }

    /// The same vision transformer with another pooling; other networks have none, and stay as they are.
    pub fn pooling(mut self, wanted: Pooling) -> Encoder {
        if let Model::Network { architecture: Architecture::VitB16 | Architecture::VitS14, pooling, .. } =
            &mut self.model
        {
            *pooling = wanted;
        }
        self
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

    /// What is done to images before this encoder sees them; `shape` is their height, width and channels, if all have the
    /// same ([`Dataset::shape`](crate::datasets::Dataset::shape)).
    pub fn preprocessing(&self, shape: Option<[usize; 3]>) -> Preprocessing {
        let Model::Network { recipe, .. } = self.model else {
            let smallest = shape.map_or(raw::SIZE, |[height, width, _]| height.min(width));
            return Preprocessing::imagenet(raw::SIZE.min(smallest));
        };
        let larger = Preprocessing { resize: 256, filter: Filter::Bicubic, ..Preprocessing::imagenet(224) };
        match recipe {
            Recipe::Imagenet => Preprocessing::imagenet(224),
            Recipe::TensorflowLite => Preprocessing { scale: Scale::Unit, ..larger },
            Recipe::Caffe => Preprocessing { scale: Scale::Caffe, ..larger },
        }
    }

    /// How many values a vector has, for images of this `shape`, as in [`preprocessing`](Encoder::preprocessing).
    pub fn columns(&self, shape: Option<[usize; 3]>) -> usize {
        match self.model {
            Model::RawPixels => self.preprocessing(shape).values(),
            Model::Network { architecture, .. } => architecture.columns(),
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
        let Model::Network { architecture, pooling, weights, .. } = &self.model else {
            return Ok("raw pixels".to_owned());
        };
        let architecture = match pooling {
            Pooling::ClassToken => format!("{architecture:?}"),
            pooling => format!("{architecture:?} {pooling:?}"),
        };
        match weights {
            Weights::Random { seed } => Ok(format!("{architecture}, random weights 1, seed {seed}")),
            Weights::Safetensors(path) => {
                let sum = fs::blake3_file(path).map_err(WeightsError::Fs)?;
                crate::cell::input_at("file", path, &format!("blake3:{sum}"));
                Ok(format!("{architecture}, blake3 {sum}"))
            }
        }
    }

    /// Draws or reads the weights, and puts the network on the device.
    pub(crate) fn build(&self, device: Device, kind: Kind) -> Result<Network, EncoderError> {
        let (architecture, pooling, weights) = match &self.model {
            Model::RawPixels => return Ok(Network::RawPixels),
            Model::Network { architecture, pooling, weights, .. } => (*architecture, *pooling, weights),
        };
        let build = |source: &mut dyn weights::Source| Network::build(architecture, pooling, source, device, kind);
        match weights {
            Weights::Random { seed } => build(&mut weights::Drawn { seed: *seed }),
            Weights::Safetensors(path) => {
                let bytes = weights::read(path)?;
                let mut file = weights::File::new(path, &bytes)?;
                let network = build(&mut file)?;
                file.finish(architecture.head())?;
                Ok(network)
            }
        }
    }
}

/// Sees what comes out of a layer.
type Watch<'watch> = dyn FnMut(&Tensor) + 'watch;

/// A network with its weights, on a device.
#[derive(Debug)]
pub(crate) enum Network {
    RawPixels,
    ResNet50(resnet::ResNet50),
    Vit(vit::Vit),
    EfficientNetLite0(efficientnet::EfficientNetLite0),
    SqueezeNet(squeezenet::SqueezeNet),
}

impl Network {
    fn build(
        architecture: Architecture,
        pooling: Pooling,
        source: &mut dyn weights::Source,
        device: Device,
        kind: Kind,
    ) -> Result<Network, EncoderError> {
        let mut tensors = weights::Tensors { source, device, kind };
        Ok(match architecture {
            Architecture::RawPixels => Network::RawPixels,
            Architecture::ResNet50 => Network::ResNet50(resnet::ResNet50::build(&mut tensors)?),
            Architecture::VitB16 => Network::Vit(vit::Vit::build(&mut tensors, vit::B_16, pooling)?),
            Architecture::VitS14 => Network::Vit(vit::Vit::build(&mut tensors, vit::S_14, pooling)?),
            Architecture::EfficientNetLite0 => {
                Network::EfficientNetLite0(efficientnet::EfficientNetLite0::build(&mut tensors)?)
            }
            Architecture::SqueezeNet => Network::SqueezeNet(squeezenet::SqueezeNet::build(&mut tensors)?),
        })
    }

    /// A batch of n × 3 × height × width to n × columns.
    pub(crate) fn forward(&self, images: &Tensor) -> Result<Tensor, TchError> {
        self.forward_watched(images, &mut |_| {})
    }

    /// The same, for who wants to see what comes out of the first layer and of each block.
    fn forward_watched(&self, images: &Tensor, watch: &mut Watch) -> Result<Tensor, TchError> {
        match self {
            Network::RawPixels => raw::forward(images),
            Network::ResNet50(network) => network.forward(images, watch),
            Network::Vit(network) => network.forward(images, watch),
            Network::EfficientNetLite0(network) => network.forward(images, watch),
            Network::SqueezeNet(network) => network.forward(images, watch),
        }
    }
}

#[cfg(test)]
mod tests;

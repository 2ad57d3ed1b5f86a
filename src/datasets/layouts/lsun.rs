//! LSUN's scenes: an LMDB database a scene, whose values are image files.

use std::sync::Arc;

use super::{Listing, numbered, wrong};
use crate::datasets::formats::lmdb;
use crate::datasets::member::{Bytes, Member, Packing};
use crate::datasets::registry::{Partition, Row};
use crate::datasets::tree::Tree;
use crate::datasets::{DatasetError, Level};

pub(super) fn list(tree: &Tree, row: &Row, partition: Partition) -> Result<Listing, DatasetError> {
    let partition = if partition == Partition::Train { "train" } else { "val" };
    numbered(&row.class_names, |name| wrong(row, format!("there are two classes {name:?}")))?;
    let (mut members, mut labels) = (Vec::new(), Vec::new());
    for (scene, label) in row.class_names.iter().zip(0..) {
        let database = tree.file(&format!("{scene}_{partition}_lmdb/data.mdb"))?;
        // Of a database in an archive, the archive is what can change.
        let path = database.container().cloned().unwrap_or_else(|| Arc::new(database.name()));
        let content = database.content()?;
        let failed = |source| DatasetError::Lmdb { path: path.to_path_buf(), source };
        let read = |buffer: &mut [u8], start| content.read_at(buffer, start);
        let entries = lmdb::entries(read, content.length()?).map_err(failed)?;
        for entry in entries {
            let key = format!("{scene}/{}", String::from_utf8_lossy(&entry.key));
            let (start, length) = (entry.start, entry.length);
            members.push(Member::part(path.clone(), &key, Bytes::clone(&content), start, length, Packing::None));
            labels.push(label);
        }
    }
    Ok(Listing::of_files(members, Level { name: row.levels[0].clone(), classes: row.class_names.clone(), labels }))
}

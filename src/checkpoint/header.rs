//! Safetensors files, which pass through: the header is read here, the tensors lie in the file as they are wanted.
//!
//! Format: <https://huggingface.co/docs/safetensors>. That the tensors fill the data without gaps is checked by the
//! crate `safetensors`; what it does not see, or does not name, is checked here.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use super::CheckpointError;
use super::input::{Input, Span};
use super::tensor::{self, Layout, Storage, Tensor};

/// Bytes of a header: that of a thousand tensors has about a hundred thousand.
const LONGEST_HEADER: u64 = 2 << 20;

pub(super) fn tensors(input: &Input) -> Result<Vec<Tensor>, CheckpointError> {
    let format = |found: String| CheckpointError::Format { path: input.path.clone(), found };
    let mut length = [0; 8];
    input.read(0, &mut length)?;
    let header = Span { at: 8, length: u64::from_le_bytes(length) };
    if header.end() > input.length {
        return Err(CheckpointError::Truncated { path: input.path.clone(), at: 8, needed: header.length });
    }
    if header.length > LONGEST_HEADER {
        let what = "bytes of a header";
        return Err(CheckpointError::Limit { path: input.path.clone(), what, most: LONGEST_HEADER });
    }
    let bytes = input.bytes(header)?;
    if bytes.first() != Some(&b'{') {
        return Err(format("a safetensors file whose header does not begin with '{'".to_owned()));
    }
    let Header(mut infos) = serde_json::from_slice(&bytes)
        .map_err(|error| format(format!("a safetensors file whose header is not as it should be: {error}")))?;
    infos.sort_by_key(|(_, info)| info.data_offsets);
    let data = Span { at: header.end(), length: input.length - header.end() };
    let mut names = BTreeSet::new();
    let mut tensors = Vec::new();
    for (name, info) in &infos {
        let fault = |fault: String| CheckpointError::Tensor { path: input.path.clone(), name: shown(name), fault };
        if !names.insert(name) {
            return Err(fault("it is there twice".to_owned()));
        }
        tensors.push(tensor(name, info, data).map_err(fault)?);
    }
    let metadata = Metadata::new(None, infos)
        .map_err(|source| CheckpointError::Safetensors { path: input.path.clone(), source })?;
    if metadata.data_len() as u64 != data.length {
        let (said, found) = (metadata.data_len(), data.length);
        return Err(format(format!("a safetensors file with {found} bytes of data, of which its header knows {said}")));
    }
    Ok(tensors)
}

fn tensor(name: &str, info: &TensorInfo, data: Span) -> Result<Tensor, String> {
    let shape: Vec<u64> = info.shape.iter().map(|length| *length as u64).collect();
    let (from, to) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
    if from > to || to > data.length {
        return Err(format!("its bytes {from}..{to} are none of the {} bytes of data", data.length));
    }
    let storage = Storage::File(Span { at: data.at + from, length: to - from });
    let layout = Layout { storage, offset: 0, strides: tensor::strides(&shape, false), big_endian: false };
    let tensor = tensor::checked(name, info.dtype, &shape, layout)?;
    match tensor.bytes() as u64 == to - from {
        true => Ok(tensor),
        false => Err(format!("shape {shape:?} needs {} bytes, it has {}", tensor.bytes(), to - from)),
    }
}

/// A name for a message: it comes from the file, and may be long.
fn shown(name: &str) -> String {
    name.chars().take(100).collect()
}

/// The tensors in a header, also those of the same name, which a map would lose.
struct Header(Vec<(String, TensorInfo)>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Header, D::Error> {
        deserializer.deserialize_map(Rows)
    }
}

struct Rows;

impl<'de> Visitor<'de> for Rows {
    type Value = Header;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("names with dtype, shape and data_offsets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut rows = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<HashMap<String, String>>()?;
                continue;
            }
            // The message of the parser knows the line and column, not the name.
            let info = map
                .next_value()
                .map_err(|error| serde::de::Error::custom(format!("{}: {error}", shown(&name).escape_debug())))?;
            rows.push((name, info));
        }
        Ok(Header(rows))
    }
}

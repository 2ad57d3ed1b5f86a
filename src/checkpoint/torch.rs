//! PyTorch's checkpoints, as `torch.save` writes them; the layouts are those of `torch/serialization.py`.
//!
//! Since 1.6 a file is a zip archive, with entries that are not packed: `NAME/data.pkl`, a pickle in which tensors refer
//! to storages by keys, and `NAME/data/KEY`, the bytes of a storage.
//! Before, and still on demand, it is a row of pickles: a magic number, a protocol number, facts about the machine, the
//! object, and the list of keys of storages; then for each of these its count of numbers (8 bytes) and the numbers.

use std::collections::BTreeMap;

use super::CheckpointError;
use super::input::{Input, Span};
use super::pickle::{self, Pickle};
use super::tensor::Tensor;
use super::value::{Node, Values};
use super::walk::{self, NoStorages, Storages};
use super::zip::Entry;

/// `0x1950a86a20f9469cfc6c`, as a pickle has it.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const PROTOCOL: i64 = 1001;

/// Whether this archive is one of PyTorch's.
pub(super) fn is_archive(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| entry.name.ends_with("/data.pkl"))
}

/// The tensors of an archive.
pub(super) fn archive(input: &Input, entries: &[Entry]) -> Result<Vec<Tensor>, CheckpointError> {
    let fault = |entry: &str, fault| CheckpointError::Zip { path: input.path.clone(), entry: entry.to_owned(), fault };
    if let Some(entry) = entries.iter().find(|entry| entry.name.ends_with("/constants.pkl")) {
        return Err(fault(&entry.name, "is part of a TorchScript program, not of a checkpoint: save the state dict"));
    }
    let mut pickles = entries.iter().filter(|entry| entry.name.ends_with("/data.pkl"));
    let (Some(object), None) = (pickles.next(), pickles.next()) else {
        return Err(fault("data.pkl", "is there more than once"));
    };
    let folder = object.name.trim_end_matches("data.pkl");
    if let Some(entry) = entries.iter().find(|entry| entry.deflated && entry.name.starts_with(folder)) {
        return Err(fault(&entry.name, "is deflated, which PyTorch never does"));
    }
    let order = entries.iter().find(|entry| entry.name.strip_prefix(folder) == Some("byteorder"));
    if let Some(order) = order.filter(|order| order.length != 6)
        && input.bytes(Span { length: order.length.min(3), ..order.packed })? == b"big"
    {
        return Err(fault(&order.name, "says that numbers begin with their most significant byte, which is not read"));
    }
    let Pickle { values, root, .. } = pickle::read(input, object.packed)?;
    let named = entries.iter().filter_map(|entry| {
        let key = entry.name.strip_prefix(folder)?.strip_prefix("data/")?;
        Some((key.to_owned(), entry.packed))
    });
    walk::tensors(input, &values, root, &Found(named.collect()))
}

/// The tensors of a file that begins with a pickle: an old checkpoint, or some other object with arrays in it.
pub(super) fn pickled(input: &Input) -> Result<Vec<Tensor>, CheckpointError> {
    let first = pickle::read(input, input.whole())?;
    let is_magic = match first.values.get(first.root) {
        Node::Long(span) => input.bytes(*span)? == MAGIC,
        _ => false,
    };
    if !is_magic {
        return walk::tensors(input, &first.values, first.root, &NoStorages);
    }
    let fault = |at, fault| CheckpointError::Pickle { path: input.path.clone(), at, fault };
    let after = |pickle: &Pickle| Span { at: pickle.end, length: input.length.saturating_sub(pickle.end) };
    let protocol = pickle::read(input, after(&first))?;
    if !matches!(protocol.values.get(protocol.root), Node::Int(PROTOCOL)) {
        return Err(fault(first.end, "a version of PyTorch's old layout that is not known"));
    }
    let machine = pickle::read(input, after(&protocol))?;
    if is_big_endian(input, &machine) {
        return Err(fault(protocol.end, "numbers that begin with their most significant byte"));
    }
    let object = pickle::read(input, after(&machine))?;
    let keys = pickle::read(input, after(&object))?;
    let widths = widths(input, &object.values);
    let mut storages = BTreeMap::new();
    let mut at = keys.end;
    for key in keys.values.list(keys.root).ok_or_else(|| fault(object.end, "no list of storages"))? {
        let key = keys.values.string(input, *key).ok_or_else(|| fault(object.end, "a storage without a key"))?;
        let mut count = [0; 8];
        input.read(at, &mut count)?;
        at += count.len() as u64;
        // Nothing tells how wide the numbers are, so where the next storage begins: its tensors will say what is wrong.
        let Some(width) = widths.get(&key) else { break };
        let length = u64::from_le_bytes(count).checked_mul(*width).filter(|length| *length <= input.length - at);
        let span = Span { at, length: length.ok_or_else(|| fault(at, "a storage that is longer than the file"))? };
        at = span.end();
        storages.insert(key, span);
    }
    walk::tensors(input, &object.values, object.root, &Found(storages))
}

/// Whether the facts about the machine say so: `{'little_endian': False, ...}`.
fn is_big_endian(input: &Input, machine: &Pickle) -> bool {
    let Node::Dict(items) = machine.values.get(machine.root) else { return false };
    items.as_chunks::<2>().0.iter().any(|[key, value]| {
        machine.values.string(input, *key).as_deref() == Some("little_endian")
            && matches!(machine.values.get(*value), Node::Bool(false))
    })
}

/// Bytes of one number, of each storage that is referred to.
fn widths(input: &Input, values: &Values) -> BTreeMap<String, u64> {
    let ids = values.nodes().iter().filter_map(|node| match node {
        Node::Persistent(id) => walk::storage_id(input, values, *id),
        _ => None,
    });
    ids.map(|(kind, key, ..)| (key, kind.bitsize() as u64 / 8)).collect()
}

/// Storages by key.
struct Found(BTreeMap<String, Span>);

impl Storages for Found {
    fn find(&self, key: &str, bytes: u64) -> Result<Span, String> {
        let span = self.0.get(key).ok_or_else(|| format!("its storage '{}' is not in the file", key.escape_debug()))?;
        match span.length >= bytes {
            true => Ok(*span),
            false => {
                Err(format!("its storage '{}' should have {bytes} bytes, it has {}", key.escape_debug(), span.length))
            }
        }
    }
}

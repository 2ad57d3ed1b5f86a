//! A dictionary in a pickle, such as a batch of CIFAR: arrays of bytes, lists of numbers and lists of texts, by their keys.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::Dtype;

use super::input::Input;
use super::value::{Id, Node, Values};
use super::walk::{self, NoStorages};
use super::{CheckpointError, pickle};

/// What is in a dictionary, by its keys; anything of another kind is left out.
pub(crate) type Dictionary = BTreeMap<String, Item>;

/// A value of a dictionary.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    /// An array of bytes, row after row.
    Bytes { shape: Vec<usize>, values: Vec<u8> },
    /// A list of whole numbers.
    Numbers(Vec<i64>),
    /// A list of texts, or of what Python 2 calls strings.
    Texts(Vec<String>),
}

/// The dictionary that a pickle consists of. Nothing in it is run; `path` is for messages.
///
/// # Errors
/// Every way in which the bytes can be something else than a harmless pickle, see [`CheckpointError`].
pub(crate) fn dictionary(path: &Path, bytes: Vec<u8>) -> Result<Dictionary, CheckpointError> {
    let input = Input::of_bytes(path, bytes);
    let found = pickle::read(&input, input.whole())?;
    let values = &found.values;
    let mut items = Dictionary::new();
    if let Node::Dict(pairs) = values.get(found.root) {
        for pair in pairs.as_chunks::<2>().0 {
            if let (Some(key), Some(item)) = (values.string(&input, pair[0]), list(&input, values, pair[1])) {
                items.insert(key, item);
            }
        }
    }
    for tensor in walk::tensors(&input, values, found.root, &NoStorages)? {
        if tensor.dtype == Dtype::U8 {
            let values = tensor.read(&input)?;
            items.insert(tensor.name, Item::Bytes { shape: tensor.shape, values });
        }
    }
    Ok(items)
}

fn list(input: &Input, values: &Values, id: Id) -> Option<Item> {
    let items = values.list(id)?;
    let number = |id: &Id| match values.get(*id) {
        Node::Int(number) => Some(*number),
        _ => None,
    };
    let numbers = items.iter().map(number).collect::<Option<Vec<i64>>>();
    numbers.map(Item::Numbers).or_else(|| {
        let texts = items.iter().map(|id| values.string(input, *id)).collect::<Option<Vec<String>>>();
        texts.map(Item::Texts)
    })
}

//! Finds the tensors among a pickle's values, and names them by the keys on the way.

use safetensors::Dtype;

use super::CheckpointError;
use super::globals::Global;
use super::input::{Input, Span};
use super::numpy;
use super::tensor::{self, Layout, Storage, Tensor};
use super::value::{Id, Node, Values};

/// Dictionaries and lists within each other, on the way to a tensor.
const DEEPEST: usize = 64;
/// Values looked at. The same list in a list, many times over, is many values without being many in the file.
const MOST_STEPS: u32 = 1_000_000;
const LONGEST_NAME: usize = 1024;
/// Bytes of all names, and of what is decoded. A pickle may refer to one text from many arrays.
const MOST_KEPT: u64 = 8 << 20;

/// Where the numbers of tensors lie that a pickle only has the key of.
pub(super) trait Storages {
    /// The place of a storage of so many bytes; what is wrong, if there is none.
    fn find(&self, key: &str, bytes: u64) -> Result<Span, String>;
}

/// A pickle that keeps nothing elsewhere.
pub(super) struct NoStorages;

impl Storages for NoStorages {
    fn find(&self, key: &str, _bytes: u64) -> Result<Span, String> {
        Err(format!("storage '{key}' lies outside of the pickle"))
    }
}

/// All tensors below a value.
pub(super) fn tensors(
    input: &Input,
    values: &Values,
    root: Id,
    storages: &dyn Storages,
) -> Result<Vec<Tensor>, CheckpointError> {
    let mut walk = Walk { input, values, storages, tensors: Vec::new(), name: String::new(), steps: 0, kept: 0 };
    if matches!(values.get(root), Node::Call(..)) {
        walk.name.push_str("tensor");
    }
    walk.visit(root, 0)?;
    Ok(walk.tensors)
}

struct Walk<'file> {
    input: &'file Input,
    values: &'file Values,
    storages: &'file dyn Storages,
    tensors: Vec<Tensor>,
    /// Keys on the way to the value at hand.
    name: String,
    steps: u32,
    /// Bytes of all names, and of what was decoded.
    kept: usize,
}

impl Walk<'_> {
    fn visit(&mut self, id: Id, depth: usize) -> Result<(), CheckpointError> {
        match self.values.get(id) {
            Node::Dict(items) => {
                self.check("dictionaries within each other", depth as u64, DEEPEST as u64)?;
                for pair in items.as_chunks::<2>().0 {
                    self.below(|walk| walk.key(pair[0]), pair[1], depth)?;
                }
            }
            Node::List(items) => {
                self.check("lists within each other", depth as u64, DEEPEST as u64)?;
                for (index, item) in items.iter().enumerate() {
                    self.below(|_| index.to_string(), *item, depth)?;
                }
            }
            Node::Call(global, arguments, state) => self.call(*global, *arguments, *state)?,
            _ => {}
        }
        Ok(())
    }

    fn below(&mut self, key: impl FnOnce(&Self) -> String, id: Id, depth: usize) -> Result<(), CheckpointError> {
        self.step()?;
        // Most values of a list are numbers: no name is made for those.
        if !matches!(self.values.get(id), Node::Dict(_) | Node::List(_) | Node::Call(..)) {
            return Ok(());
        }
        let length = self.name.len();
        if length > 0 {
            self.name.push('.');
        }
        let key = key(self);
        self.name.push_str(&key);
        self.check("bytes of a name", self.name.len() as u64, LONGEST_NAME as u64)?;
        self.visit(id, depth + 1)?;
        self.name.truncate(length);
        Ok(())
    }

    /// A key as a part of a name.
    fn key(&self, id: Id) -> String {
        match self.values.get(id) {
            Node::Int(number) => number.to_string(),
            Node::Bool(value) => value.to_string(),
            // Two of these beside each other are an error, if there are tensors in both: their names are the same.
            _ => self.values.string(self.input, id).unwrap_or_else(|| "(key)".to_owned()),
        }
    }

    fn call(&mut self, global: Global, arguments: Id, state: Option<Id>) -> Result<(), CheckpointError> {
        // A parameter of a parameter of ... is no depth that needs a limit of its own: each step takes one.
        let (mut global, mut arguments, mut state) = (global, arguments, state);
        loop {
            self.step()?;
            let found = match (global, self.values.list(arguments)) {
                (Global::Tensor, Some([storage, offset, size, stride, rest @ ..])) => {
                    self.tensor([*storage, *offset, *size, *stride], None, rest.get(2))
                }
                (Global::TypedTensor, Some([storage, offset, size, stride, _, _, dtype, rest @ ..])) => {
                    self.tensor([*storage, *offset, *size, *stride], Some(*dtype), rest.first())
                }
                (Global::Parameter, Some([tensor, ..])) => match self.values.get(*tensor) {
                    Node::Call(inner, below, after) => {
                        (global, arguments, state) = (*inner, *below, *after);
                        continue;
                    }
                    _ => Err("a parameter without a tensor".to_owned()),
                },
                (Global::FromType, Some([function, _, below, ..])) => match self.values.global(*function) {
                    Some(inner) => {
                        (global, arguments) = (inner, *below);
                        continue;
                    }
                    None => Err("a tensor of a class of its own".to_owned()),
                },
                (Global::Array, _) => numpy::array(self.input, self.values, &self.name, state),
                (Global::ArrayOfBytes, Some([bytes, dtype, shape, order, ..])) => {
                    numpy::array_of_bytes(self.input, self.values, &self.name, [*bytes, *dtype, *shape, *order])
                }
                // A type or bytes, on their own.
                (Global::ArrayDtype | Global::Encode, _) => return Ok(()),
                _ => Err("a tensor with too few arguments".to_owned()),
            };
            let named =
                |fault| CheckpointError::Tensor { path: self.input.path.clone(), name: self.name.clone(), fault };
            let tensor = found.map_err(named)?;
            self.kept += self.name.len() + 1 + tensor.kept();
            self.check("bytes of names, and of numbers that are kept as text,", self.kept as u64, MOST_KEPT)?;
            self.tensors.push(tensor);
            return Ok(());
        }
    }

    fn tensor(
        &self,
        [storage, offset, size, stride]: [Id; 4],
        dtype: Option<Id>,
        metadata: Option<&Id>,
    ) -> Result<Tensor, String> {
        let Node::Persistent(storage) = self.values.get(storage) else {
            return Err("its storage is none of those in the file".to_owned());
        };
        let (mut kind, storage) = self.storage(*storage)?;
        if let Some(dtype) = dtype {
            let Some(Global::Dtype(dtype)) = self.values.global(dtype) else {
                return Err("a type of numbers that is not read".to_owned());
            };
            kind = dtype;
        }
        // `conj` and `neg`: what lies in the file is not what the tensor is.
        if metadata.is_some_and(|id| matches!(self.values.get(*id), Node::Dict(items) if !items.is_empty())) {
            return Err("it is marked as a conjugate or negative of what is in the file".to_owned());
        }
        let counts =
            |what: &str, id| self.values.counts(id).ok_or_else(|| format!("its {what} is not a list of counts"));
        let (shape, strides) = (counts("shape", size)?, counts("stride", stride)?);
        let offset = self.values.count(offset).ok_or("its offset is not a count")?;
        let layout = Layout { storage: Storage::File(storage), offset, strides, big_endian: false };
        tensor::checked(&self.name, kind, &shape, layout)
    }

    /// The type and place of a storage: `('storage', class, key, device, numbers)`, in old files with a view of it last.
    fn storage(&self, id: Id) -> Result<(Dtype, Span), String> {
        let (kind, key, count, view) =
            storage_id(self.input, self.values, id).ok_or("its storage is not described as PyTorch does")?;
        let width = kind.bitsize() as u64 / 8;
        let bytes = count.checked_mul(width).ok_or_else(|| format!("storage '{key}' has too many numbers"))?;
        let mut span = self.storages.find(&key, bytes)?;
        span.length = span.length.min(bytes);
        if let Some([offset, length]) = view {
            let part = offset.checked_mul(width).zip(length.checked_mul(width));
            let part = part.filter(|(from, length)| from.checked_add(*length).is_some_and(|end| end <= span.length));
            let (from, length) = part.ok_or_else(|| format!("storage '{key}' has a view that does not fit in it"))?;
            span = Span { at: span.at + from, length };
        }
        Ok((kind, span))
    }

    fn step(&mut self) -> Result<(), CheckpointError> {
        self.steps += 1;
        self.check("values within values", u64::from(self.steps), u64::from(MOST_STEPS))
    }

    fn check(&self, what: &'static str, count: u64, most: u64) -> Result<(), CheckpointError> {
        let limit = || CheckpointError::Limit { path: self.input.path.clone(), what, most };
        if count <= most { Ok(()) } else { Err(limit()) }
    }
}

/// Type, key and count of numbers of a storage, and the offset and count of the part of it that is meant.
pub(super) fn storage_id(input: &Input, values: &Values, id: Id) -> Option<(Dtype, String, u64, Option<[u64; 2]>)> {
    let [tag, class, key, _device, count, rest @ ..] = values.list(id)? else { return None };
    let Some(Global::Storage(kind)) = values.global(*class) else { return None };
    if values.string(input, *tag)? != "storage" {
        return None;
    }
    let view = match rest.first().map(|view| values.get(*view)) {
        None | Some(Node::None) => None,
        Some(Node::List(view)) => {
            let [_key, offset, length] = view.as_slice() else { return None };
            Some([values.count(*offset)?, values.count(*length)?])
        }
        Some(_) => return None,
    };
    Some((kind, values.string(input, *key)?, values.count(*count)?, view))
}

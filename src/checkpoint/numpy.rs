//! NumPy's arrays: in pickles, as `ndarray.__reduce__` describes them, and the header of the `.npy` format
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).

use safetensors::Dtype;

use super::globals::Global;
use super::input::Input;
use super::tensor::{self, Layout, Storage, Tensor};
use super::value::{Id, Node, Values};

/// The array with this state: version, shape, type, whether the first axis is in one piece, bytes.
pub(super) fn array(input: &Input, values: &Values, name: &str, state: Option<Id>) -> Result<Tensor, String> {
    let state = state.and_then(|state| values.list(state)).unwrap_or_default();
    // Before NumPy 1.0 there was no version.
    let [.., shape, dtype, fortran, bytes] = state else { return Err("an array without its state".to_owned()) };
    let fortran = matches!(values.get(*fortran), Node::Bool(true) | Node::Int(1));
    whole(input, values, name, [*bytes, *dtype, *shape], fortran)
}

/// The array of these bytes, this type, this shape, and this order, `C` or `F`.
pub(super) fn array_of_bytes(
    input: &Input,
    values: &Values,
    name: &str,
    [bytes, dtype, shape, order]: [Id; 4],
) -> Result<Tensor, String> {
    whole(input, values, name, [bytes, dtype, shape], values.text(order) == Some("F"))
}

fn whole(
    input: &Input,
    values: &Values,
    name: &str,
    [bytes, dtype, shape]: [Id; 3],
    fortran: bool,
) -> Result<Tensor, String> {
    let (dtype, big_endian) = dtype_of(input, values, dtype)?;
    let shape = values.counts(shape).ok_or("its shape is not a list of counts")?;
    let storage = match values.get(bytes) {
        Node::Bytes(span) => Storage::File(*span),
        Node::Call(Global::Encode, arguments, _) => Storage::Memory(encoded(values, *arguments)?),
        Node::Call(Global::ArrayOfBytes | Global::Array, ..) => return Err("an array of an array".to_owned()),
        _ => return Err("its numbers are not kept as bytes".to_owned()),
    };
    let layout = Layout { storage, offset: 0, strides: tensor::strides(&shape, fortran), big_endian };
    tensor::checked(name, dtype, &shape, layout)
}

/// `_codecs.encode(text, 'latin1')`: how Python 3 writes bytes for Python 2, a character for each.
fn encoded(values: &Values, arguments: Id) -> Result<Box<[u8]>, String> {
    let text = values.list(arguments).and_then(|arguments| values.text(*arguments.first()?));
    let bytes = text.and_then(|text| text.chars().map(|character| u8::try_from(character).ok()).collect());
    bytes.ok_or_else(|| "its numbers are kept as a text that is no bytes".to_owned())
}

/// A type of numbers: `numpy.dtype('f4', ...)`, with the order of bytes as the second item of its state.
fn dtype_of(input: &Input, values: &Values, id: Id) -> Result<(Dtype, bool), String> {
    let Node::Call(Global::ArrayDtype, arguments, state) = values.get(id) else {
        return Err("a type of numbers that is not read".to_owned());
    };
    let string = |list: Option<&[Id]>, index: usize| values.string(input, *list?.get(index)?);
    let descr = string(values.list(*arguments), 0).ok_or("a type of numbers without a name")?;
    let (dtype, big_endian) = dtype(&descr)?;
    let order = state.and_then(|state| string(values.list(state), 1));
    Ok((dtype, (big_endian || order.as_deref() == Some(">")) && dtype.bitsize() > 8))
}

/// The type that NumPy calls so, and whether its numbers begin with their most significant byte.
pub(super) fn dtype(descr: &str) -> Result<(Dtype, bool), String> {
    let kind = descr.trim_start_matches(['<', '>', '|', '=']);
    let dtype = match kind {
        "f8" => Dtype::F64,
        "f4" => Dtype::F32,
        "f2" => Dtype::F16,
        "i8" => Dtype::I64,
        "i4" => Dtype::I32,
        "i2" => Dtype::I16,
        "i1" => Dtype::I8,
        "u8" => Dtype::U64,
        "u4" => Dtype::U32,
        "u2" => Dtype::U16,
        "u1" => Dtype::U8,
        "b1" | "?" => Dtype::BOOL,
        _ => return Err(format!("numbers of type '{}' are not read", descr.escape_debug())),
    };
    Ok((dtype, descr.starts_with('>') && dtype.bitsize() > 8))
}

/// What the header of an `.npy` file says.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub(super) dtype: Dtype,
    pub(super) big_endian: bool,
    pub(super) fortran: bool,
    pub(super) shape: Vec<u64>,
    /// Bytes before the numbers.
    pub(super) length: u64,
}

/// Reads a header at the beginning of these bytes, which may end before it does.
pub(super) fn header(bytes: &[u8]) -> Result<Header, String> {
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or("it does not begin as an .npy file does")?;
    let short = || "its header is cut short, or longer than is read".to_owned();
    let (length, rest) = match rest {
        [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        [_, _, ..] => return Err("a version of the .npy format that is not known".to_owned()),
        _ => return Err(short()),
    };
    let before = (bytes.len() - rest.len()) as u64;
    let text = String::from_utf8_lossy(rest.get(..length).ok_or_else(short)?);
    let value = |key: &str| {
        let rest = text.split_once(&format!("'{key}'")).and_then(|(_, rest)| rest.trim_start().strip_prefix(':'));
        rest.map(str::trim_start).ok_or_else(|| format!("its header has no '{key}'"))
    };
    let quoted = value("descr")?.strip_prefix('\'').and_then(|rest| rest.split_once('\''));
    let (dtype, big_endian) = dtype(quoted.ok_or("numbers of more than one type are not read")?.0)?;
    let axes = value("shape")?.strip_prefix('(').and_then(|rest| rest.split_once(')')).map(|(axes, _)| axes);
    let axes = axes.into_iter().flat_map(|axes| axes.split(',')).map(|axis| axis.trim().trim_end_matches('L'));
    let shape = axes.filter(|axis| !axis.is_empty()).map(str::parse).collect::<Result<_, _>>();
    Ok(Header {
        dtype,
        big_endian,
        fortran: value("fortran_order")?.starts_with("True"),
        shape: shape.map_err(|_| "its header has a 'shape' that is not a list of counts")?,
        length: before + length as u64,
    })
}

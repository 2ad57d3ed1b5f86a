//! The names that a pickle may call. Nothing is ever called: each name stands for a meaning that is known here, or for a
//! value that is of no interest. Any other name is an error.
//!
//! The list follows PyTorch's own `torch/_weights_only_unpickler.py`, and adds NumPy's arrays and what authors keep
//! beside their weights.

use safetensors::Dtype;

/// What a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    /// `collections.OrderedDict` and its like.
    Dict,
    /// `torch._utils._rebuild_tensor`, `_v2`: storage, offset, size, stride, and what only training needs.
    Tensor,
    /// `torch._utils._rebuild_tensor_v3`: the same, with the type of numbers as the seventh.
    TypedTensor,
    /// `torch._utils._rebuild_parameter`: a tensor first.
    Parameter,
    /// `torch._tensor._rebuild_from_type_v2`: one of the above, a class, its arguments.
    FromType,
    /// `torch.FloatStorage` and its like.
    Storage(Dtype),
    /// `torch.float32` and its like.
    Dtype(Dtype),
    /// `numpy.core.multiarray._reconstruct`: an array, whose state follows.
    Array,
    /// `numpy.core.numeric._frombuffer`: bytes, type, shape, order.
    ArrayOfBytes,
    /// `numpy.dtype`: the name of a type.
    ArrayDtype,
    /// `_codecs.encode`: bytes, as Python 2 is told of them.
    Encode,
    /// A value without tensors, whatever it is called with.
    Opaque,
}

/// The meaning of a name, if it is a known one.
pub(super) fn find(module: &str, name: &str) -> Option<Global> {
    match module {
        "torch" => torch(name),
        "torch.storage" => match name {
            "UntypedStorage" | "_UntypedStorage" => Some(Global::Storage(Dtype::U8)),
            _ => None,
        },
        "torch._utils" => match name {
            "_rebuild_tensor" | "_rebuild_tensor_v2" => Some(Global::Tensor),
            "_rebuild_tensor_v3" => Some(Global::TypedTensor),
            "_rebuild_parameter" | "_rebuild_parameter_with_state" => Some(Global::Parameter),
            _ => None,
        },
        "torch._tensor" if name == "_rebuild_from_type_v2" => Some(Global::FromType),
        "torch.nn.parameter" if matches!(name, "Parameter" | "Buffer") => Some(Global::Opaque),
        "torch.serialization" if name == "_get_layout" => Some(Global::Opaque),
        "collections" => match name {
            "OrderedDict" | "defaultdict" => Some(Global::Dict),
            "Counter" => Some(Global::Opaque),
            _ => None,
        },
        "numpy" => match name {
            "dtype" => Some(Global::ArrayDtype),
            "ndarray" => Some(Global::Opaque),
            _ => None,
        },
        "numpy.core.multiarray" | "numpy._core.multiarray" => match name {
            "_reconstruct" => Some(Global::Array),
            "scalar" => Some(Global::Opaque),
            _ => None,
        },
        "numpy.core.numeric" | "numpy._core.numeric" if name == "_frombuffer" => Some(Global::ArrayOfBytes),
        "_codecs" if name == "encode" => Some(Global::Encode),
        "builtins" | "__builtin__" => BUILTINS.contains(&name).then_some(Global::Opaque),
        _ => OPAQUE.contains(&(module, name)).then_some(Global::Opaque),
    }
}

fn torch(name: &str) -> Option<Global> {
    if matches!(name, "Size" | "Tensor" | "device") {
        return Some(Global::Opaque);
    }
    if let Some(kind) = name.strip_suffix("Storage") {
        return storage(kind).map(Global::Storage);
    }
    dtype(name).map(Global::Dtype)
}

fn storage(kind: &str) -> Option<Dtype> {
    Some(match kind {
        "Double" => Dtype::F64,
        "Float" => Dtype::F32,
        "Half" => Dtype::F16,
        "BFloat16" => Dtype::BF16,
        "Long" => Dtype::I64,
        "Int" => Dtype::I32,
        "Short" => Dtype::I16,
        "Char" => Dtype::I8,
        "Byte" => Dtype::U8,
        "Bool" => Dtype::BOOL,
        _ => return None,
    })
}

fn dtype(name: &str) -> Option<Dtype> {
    Some(match name {
        "float64" => Dtype::F64,
        "float32" => Dtype::F32,
        "float16" => Dtype::F16,
        "bfloat16" => Dtype::BF16,
        "float8_e4m3fn" => Dtype::F8_E4M3,
        "float8_e5m2" => Dtype::F8_E5M2,
        "int64" => Dtype::I64,
        "int32" => Dtype::I32,
        "int16" => Dtype::I16,
        "int8" => Dtype::I8,
        "uint64" => Dtype::U64,
        "uint32" => Dtype::U32,
        "uint16" => Dtype::U16,
        "uint8" => Dtype::U8,
        "bool" => Dtype::BOOL,
        _ => return None,
    })
}

/// Types whose values hold no code. Functions, `getattr` and `eval` among them, are none of these.
const BUILTINS: [&str; 15] = [
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "long",
    "object",
    "set",
    "slice",
    "str",
    "tuple",
];

/// What authors keep beside their weights.
const OPAQUE: [(&str, &str); 13] = [
    ("argparse", "Namespace"),
    ("copy_reg", "_reconstructor"),
    ("copyreg", "_reconstructor"),
    ("datetime", "date"),
    ("datetime", "datetime"),
    ("datetime", "timedelta"),
    ("pathlib", "Path"),
    ("pathlib", "PosixPath"),
    ("pathlib", "PurePosixPath"),
    ("pathlib", "WindowsPath"),
    ("pathlib._local", "PosixPath"),
    ("pathlib._local", "WindowsPath"),
    ("types", "SimpleNamespace"),
];

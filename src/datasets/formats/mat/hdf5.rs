//! Version 7.3: each variable is a dataset, or for structs a group, with its class as an attribute.
//!
//! Axes are in the opposite order, since HDF5's last axis is the fastest: so the bytes are MATLAB's as they are.
//! Cells, and the fields of arrays of structs, are references to datasets and groups in the group `#refs#`.
//!
//! Not read: files as old as those of MATLAB R2007a, whose HDF5 describes the layout of a dataset in version 2 of that
//! message. `hdf5-reader` 0.12.1 skips 3 reserved bytes there where the format has 5, and then finds the sizes wrong.

use std::borrow::Cow;
use std::collections::HashMap;

use hdf5_reader::group::Group;
use hdf5_reader::reference::read_object_references;
use hdf5_reader::{Attribute, ByteOrder, Dataset, Datatype, Hdf5File, OpenOptions};

use super::numbers::{Class, Storage, Stored};
use super::{Array, Budget, Fault, MOST_AXES, MOST_DEPTH, MatError, Numbers, VALUE_BYTES, Value, product};

/// The first bytes of HDF5; before them a MATLAB file has its own header of 512 bytes.
pub(super) const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";
/// The group of what cells refer to.
const REFERENCES: &str = "#refs#";
/// MATLAB's chunks are far smaller.
const MOST_CHUNK_BYTES: usize = 256 << 20;

pub(super) fn read(bytes: &[u8], budget: &mut Budget) -> Result<Vec<(String, Value)>, MatError> {
    let outside = |fault: Fault| MatError::from(fault).within("the file");
    let most = usize::try_from(budget.most).unwrap_or(usize::MAX);
    let limits = OpenOptions::default()
        .with_chunk_cache_bytes(0)
        .with_max_chunk_bytes(MOST_CHUNK_BYTES.min(most))
        .with_max_read_bytes(most)
        .with_max_object_header_bytes(bytes.len());
    let file = Hdf5File::from_bytes_with_options(bytes, limits).map_err(|error| outside(error.into()))?;
    let root = file.root_group().map_err(|error| outside(error.into()))?;
    let members = members(&root).map_err(outside)?;
    let mut objects = Objects { offset_bytes: root.offset_size(), by_address: HashMap::new() };
    if let Some((_, Object::Group(group))) = members.iter().find(|(name, _)| name == REFERENCES) {
        let referred = self::members(group).map_err(|fault| MatError::from(fault).within(REFERENCES))?;
        objects.by_address = referred.into_iter().map(|(_, object)| (object.address(), object)).collect();
    }
    let mut variables = Vec::new();
    // `#refs#` and `#subsystem#` are no variables.
    for (name, object) in members.into_iter().filter(|(name, _)| !name.starts_with('#')) {
        let value = objects.value(&object, 0, budget).map_err(|error| error.within(&name))?;
        variables.push((name, value));
    }
    Ok(variables)
}

enum Object {
    Group(Group),
    Dataset(Box<Dataset>),
}

impl Object {
    fn address(&self) -> u64 {
        match self {
            Self::Group(group) => group.address(),
            Self::Dataset(dataset) => dataset.address(),
        }
    }

    fn attribute(&self, name: &str) -> Option<Attribute> {
        match self {
            Self::Group(group) => group.attribute(name).ok(),
            Self::Dataset(dataset) => dataset.attribute(name).ok(),
        }
    }

    fn class(&self) -> Option<String> {
        self.attribute("MATLAB_class")?.read_string().ok()
    }
}

/// The members of a group, by name.
fn members(group: &Group) -> Result<Vec<(String, Object)>, Fault> {
    let (groups, datasets) = group.members()?;
    let groups = groups.into_iter().map(|group| (group.name().to_owned(), Object::Group(group)));
    let datasets = datasets.into_iter().map(|dataset| (dataset.name().to_owned(), Object::Dataset(Box::new(dataset))));
    let mut members: Vec<(String, Object)> = groups.chain(datasets).collect();
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(members)
}

/// What cells and fields refer to.
struct Objects {
    offset_bytes: u8,
    by_address: HashMap<u64, Object>,
}

impl Objects {
    fn value(&self, object: &Object, depth: usize, budget: &mut Budget) -> Result<Value, MatError> {
        if depth > MOST_DEPTH {
            return Err(Fault::Depth.into());
        }
        budget.take(VALUE_BYTES)?;
        if object.attribute("MATLAB_sparse").is_some() {
            return Ok(Value::Other("a sparse array".to_owned()));
        }
        let class = object.class();
        match object {
            Object::Group(group) if matches!(class.as_deref(), None | Some("struct")) => {
                self.structs(group, depth, budget)
            }
            Object::Group(_) => Ok(Value::Other(other(class.as_deref()))),
            // An object, such as a table, is a dataset of numbers that stand for something else.
            Object::Dataset(_) if object.attribute("MATLAB_object_decode").is_some() => {
                Ok(Value::Other(other(class.as_deref())))
            }
            Object::Dataset(dataset) if object.attribute("MATLAB_empty").is_some_and(is_set) => {
                Ok(empty(dataset, class.as_deref(), budget)?)
            }
            Object::Dataset(dataset) => self.dataset(dataset, class.as_deref(), depth, budget),
        }
    }

    fn dataset(
        &self,
        dataset: &Dataset,
        class: Option<&str>,
        depth: usize,
        budget: &mut Budget,
    ) -> Result<Value, MatError> {
        let sizes = sizes(dataset)?;
        if class == Some("cell") {
            let values = self.references(dataset, depth, budget, |index| format!("{{{index}}}"))?;
            return Ok(Value::Cells { sizes, values });
        }
        let stored = match (storage(dataset.dtype()), dataset.dtype()) {
            (Some(stored), _) => stored,
            (None, Datatype::Compound { .. }) if class.is_some() => {
                return Ok(Value::Other("complex numbers".to_owned()));
            }
            (None, _) => return Ok(Value::Other(other(class))),
        };
        let class = match class {
            Some("char") => {
                let codes = numbers(dataset, stored, budget)?.whole().unwrap_or_default();
                let units = codes.into_iter().map(|code| u16::try_from(code).unwrap_or(0xfffd)).collect();
                return Ok(Value::text(&sizes, units, budget)?);
            }
            Some("logical" | "uint8") => Class::Bytes,
            Some("double" | "single") => Class::Real,
            Some("int8" | "int16" | "uint16" | "int32" | "uint32" | "int64" | "uint64") => Class::Whole,
            // HDF5 that MATLAB did not write.
            None => match stored.0 {
                Storage::U8 => Class::Bytes,
                Storage::F32 | Storage::F64 => Class::Real,
                _ => Class::Whole,
            },
            Some(_) => return Ok(Value::Other(other(class))),
        };
        Ok(numbers(dataset, stored, budget)?.array(class, sizes, budget)?)
    }

    /// One struct has its fields as they are; of an array of structs each field is an array of references.
    fn structs(&self, group: &Group, depth: usize, budget: &mut Budget) -> Result<Value, MatError> {
        let members = members(group)?;
        budget.take(members.len() as u64 * VALUE_BYTES)?;
        let field = |(_, object): &(String, Object)| match object {
            Object::Dataset(dataset) => is_reference(dataset) && object.class().is_none(),
            Object::Group(_) => false,
        };
        if members.is_empty() || !members.iter().all(field) {
            let mut fields = Vec::new();
            for (name, object) in members {
                let value = self.value(&object, depth + 1, budget);
                let value = value.map_err(|error| error.within(format!("(1).{name}")))?;
                fields.push((name, vec![value]));
            }
            return Ok(Value::Structs { sizes: vec![1, 1], fields });
        }
        let mut fields = Vec::new();
        let mut all_sizes = Vec::new();
        for (name, object) in members {
            if let Object::Dataset(dataset) = object {
                all_sizes.push(sizes(&dataset)?);
                let values = self.references(&dataset, depth, budget, |index| format!("({index}).{name}"))?;
                fields.push((name, values));
            }
        }
        let sizes = all_sizes.swap_remove(0);
        match all_sizes.iter().position(|other| *other != sizes) {
            Some(_) => Err(Fault::Count { found: product(&all_sizes[0]).unwrap_or_default(), sizes }.into()),
            None => Ok(Value::Structs { sizes, fields }),
        }
    }

    fn references(
        &self,
        dataset: &Dataset,
        depth: usize,
        budget: &mut Budget,
        place: impl Fn(usize) -> String,
    ) -> Result<Vec<Value>, MatError> {
        if !is_reference(dataset) {
            let found = "numbers".to_owned();
            return Err(Fault::Kind { found, expected: "references".to_owned() }.into());
        }
        let bytes = raw(dataset, budget)?;
        let addresses = read_object_references(&bytes, self.offset_bytes).map_err(Fault::from)?;
        let mut values = Vec::new();
        for (address, index) in addresses.into_iter().zip(1..) {
            let value = match self.by_address.get(&address) {
                Some(object) => self.value(object, depth + 1, budget),
                None => Err(Fault::Reference(address).into()),
            };
            values.push(value.map_err(|error| error.within(place(index)))?);
        }
        Ok(values)
    }
}

/// What stands where nothing is read.
fn other(class: Option<&str>) -> String {
    match class {
        Some("function_handle") => "a function handle".to_owned(),
        Some(class) => format!("an object of class {class}"),
        None => "HDF5 that MATLAB did not write".to_owned(),
    }
}

/// An array without values, for which MATLAB stores its sizes.
fn empty(dataset: &Dataset, class: Option<&str>, budget: &mut Budget) -> Result<Value, Fault> {
    let stored = storage(dataset.dtype()).ok_or(Fault::Size(-1))?;
    let count = dataset.num_elements()?;
    if count > MOST_AXES as u64 {
        return Err(Fault::Axes(usize::try_from(count).unwrap_or(usize::MAX)));
    }
    let sizes = numbers(dataset, stored, budget)?.whole().ok_or(Fault::Size(-1))?;
    let size = |&size: &i64| usize::try_from(size).map_err(|_| Fault::Size(size));
    let sizes = sizes.iter().map(size).collect::<Result<Vec<_>, _>>()?;
    // A struct without fields has no values either, whatever its sizes are.
    if product(&sizes) != Some(0) && class != Some("struct") {
        return Err(Fault::Count { sizes, found: 0 });
    }
    Ok(match class {
        Some("char") => Value::Text(Vec::new()),
        Some("cell") => Value::Cells { sizes, values: Vec::new() },
        Some("struct") => Value::Structs { sizes, fields: Vec::new() },
        Some("double" | "single") => Value::Numbers(Array { sizes, values: Numbers::F64(Vec::new()) }),
        Some("logical" | "uint8") => Value::Numbers(Array { sizes, values: Numbers::U8(Vec::new()) }),
        _ => Value::Numbers(Array { sizes, values: Numbers::I64(Vec::new()) }),
    })
}

fn is_set(attribute: Attribute) -> bool {
    attribute.raw_data.iter().any(|&byte| byte != 0)
}

fn is_reference(dataset: &Dataset) -> bool {
    matches!(dataset.dtype(), Datatype::Reference { .. })
}

fn sizes(dataset: &Dataset) -> Result<Vec<usize>, Fault> {
    let shape = dataset.shape();
    if shape.len() > MOST_AXES {
        return Err(Fault::Axes(shape.len()));
    }
    let size = |&size: &u64| usize::try_from(size).map_err(|_| Fault::Size(i64::MAX));
    let mut sizes = shape.iter().rev().map(size).collect::<Result<Vec<_>, _>>()?;
    // MATLAB has no fewer than two axes; a dataset without axes is one value.
    while sizes.len() < 2 {
        sizes.push(1);
    }
    Ok(sizes)
}

fn numbers<'a>(dataset: &Dataset, stored: (Storage, bool), budget: &mut Budget) -> Result<Stored<'a>, Fault> {
    let (storage, big_endian) = stored;
    Ok(Stored { bytes: Cow::Owned(raw(dataset, budget)?), storage, big_endian })
}

/// The bytes of a dataset, which a file may claim to be many without having one of them.
fn raw(dataset: &Dataset, budget: &mut Budget) -> Result<Vec<u8>, Fault> {
    let bytes = dataset.raw_byte_len()?;
    // Not given back when they become something else: a thousand cells can refer to the same large dataset.
    budget.take(bytes as u64)?;
    Ok(dataset.read_raw_bytes()?)
}

/// How numbers are stored, and whether the first byte is the highest.
fn storage(datatype: &Datatype) -> Option<(Storage, bool)> {
    let (storage, byte_order) = match datatype {
        Datatype::FixedPoint { size: 1, signed: true, byte_order } => (Storage::I8, byte_order),
        Datatype::FixedPoint { size: 1, signed: false, byte_order } => (Storage::U8, byte_order),
        Datatype::FixedPoint { size: 2, signed: true, byte_order } => (Storage::I16, byte_order),
        Datatype::FixedPoint { size: 2, signed: false, byte_order } => (Storage::U16, byte_order),
        Datatype::FixedPoint { size: 4, signed: true, byte_order } => (Storage::I32, byte_order),
        Datatype::FixedPoint { size: 4, signed: false, byte_order } => (Storage::U32, byte_order),
        Datatype::FixedPoint { size: 8, signed: true, byte_order } => (Storage::I64, byte_order),
        Datatype::FixedPoint { size: 8, signed: false, byte_order } => (Storage::U64, byte_order),
        Datatype::FloatingPoint { size: 4, byte_order } => (Storage::F32, byte_order),
        Datatype::FloatingPoint { size: 8, byte_order } => (Storage::F64, byte_order),
        _ => return None,
    };
    Some((storage, *byte_order == ByteOrder::BigEndian))
}

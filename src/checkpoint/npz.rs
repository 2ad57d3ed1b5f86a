//! NumPy's `.npz`: a zip file with an `.npy` file for each array, as `numpy.savez` and `numpy.savez_compressed` write.

use super::CheckpointError;
use super::input::Input;
use super::numpy;
use super::tensor::{self, Layout, Storage, Tensor};
use super::zip::Entry;

/// Bytes of an `.npy` header that are read; NumPy itself takes no more than 10,000.
const LONGEST_HEADER: u64 = 1 << 14;

/// The arrays, each called as its entry without `.npy`.
pub(super) fn tensors(input: &Input, entries: Vec<Entry>) -> Result<Vec<Tensor>, CheckpointError> {
    entries.into_iter().map(|entry| array(input, entry)).collect()
}

fn array(input: &Input, entry: Entry) -> Result<Tensor, CheckpointError> {
    let name = entry.name.strip_suffix(".npy").unwrap_or(&entry.name).to_owned();
    let fault = |fault| CheckpointError::Tensor { path: input.path.clone(), name: name.clone(), fault };
    let head = tensor::unpack(input, &entry, 0, entry.length.min(LONGEST_HEADER))?;
    let header = numpy::header(&head).map_err(fault)?;
    let layout = Layout {
        offset: 0,
        strides: tensor::strides(&header.shape, header.fortran),
        big_endian: header.big_endian,
        storage: Storage::Entry(entry.clone(), header.length),
    };
    let tensor = tensor::checked(&name, header.dtype, &header.shape, layout).map_err(fault)?;
    let found = entry.length.saturating_sub(header.length);
    if tensor.bytes() as u64 != found {
        return Err(fault(format!("shape {:?} needs {} bytes, it has {found}", header.shape, tensor.bytes())));
    }
    Ok(tensor)
}

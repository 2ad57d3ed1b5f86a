//! BMP, as Pillow's `BmpImagePlugin` reads it; run-length compression is not read.

use super::{DecodeError, Picture, check_size};

/// Decodes a file that begins with `BM`.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture<'static>, DecodeError> {
    let unsupported = |what: String| Err(DecodeError::Unsupported("BMP", what));
    let header = u32_at(bytes, 14)? as usize;
    let old = header == 12;
    if !old && ![40, 52, 56, 64, 108, 124].contains(&header) {
        return unsupported(format!("its header has {header} bytes"));
    }
    let (width, height, bits, compression, colours) = if old {
        (u16_at(bytes, 18)?.into(), i64::from(u16_at(bytes, 20)?), u16_at(bytes, 24)?, 0, 0)
    } else {
        let (width, height) = (u32_at(bytes, 18)?, u32_at(bytes, 22)? as i32);
        (width, i64::from(height), u16_at(bytes, 28)?, u32_at(bytes, 30)?, u32_at(bytes, 46)?)
    };
    // A negative height says that the top row comes first.
    let top_first = height < 0;
    let (width, height) = check_size(width.into(), height.unsigned_abs())?;
    let bits = usize::from(bits);
    let masks: [u32; 3] = match (bits, compression) {
        (1 | 4 | 8 | 24, 0) => [0; 3],
        (16, 0) => [0x7c00, 0x3e0, 0x1f],
        (32, 0) => [0xff_0000, 0xff00, 0xff],
        (16 | 32, 3) => [u32_at(bytes, 54)?, u32_at(bytes, 58)?, u32_at(bytes, 62)?],
        (_, 1 | 2) => return unsupported("run-length compression".to_owned()),
        _ => return unsupported(format!("{bits} bits in a pixel, compression {compression}")),
    };
    let known = match bits {
        16 => masks == [0x7c00, 0x3e0, 0x1f] || masks == [0xf800, 0x7e0, 0x1f],
        32 => masks.iter().all(|mask| [0xff, 0xff00, 0xff_0000, 0xff00_0000].contains(mask)),
        _ => true,
    };
    if !known {
        return unsupported(format!("the masks {masks:x?} of its colours"));
    }
    let (palette, size) = (14 + header, if old { 3 } else { 4 });
    let colours = if colours == 0 { 1 << bits.min(8) } else { colours as usize };
    // Beyond the palette's end it is black.
    let colour = |index: usize| match bytes.get(palette + index * size..) {
        Some(&[blue, green, red, ..]) if index < colours => [red, green, blue],
        _ => [0; 3],
    };
    let row_bytes = (width * bits).div_ceil(8);
    let stride = row_bytes.next_multiple_of(4);
    let start = match u32_at(bytes, 10)? as usize {
        start if start < palette => {
            return Err(DecodeError::Damaged("BMP", "its pixels begin in its header".to_owned()));
        }
        // Some writers forget the palette.
        start if start == palette && bits <= 8 => start.saturating_add(colours.saturating_mul(size)),
        start => start,
    };
    // Before memory is taken.
    let data = bytes.get(start..).filter(|data| data.len() >= (height - 1) * stride + row_bytes);
    let data = data.ok_or(DecodeError::Truncated("BMP"))?;
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        let row = &data[if top_first { y } else { height - 1 - y } * stride..][..row_bytes];
        match bits {
            24 => pixels.extend(row.as_chunks().0.iter().flat_map(|&[blue, green, red]| [red, green, blue])),
            16 | 32 => pixels.extend(row.chunks_exact(bits / 8).flat_map(|pixel| {
                let value = pixel.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
                // In Pillow as here the fraction is cut off.
                masks.map(|mask| (u64::from(value & mask) * 255 / u64::from(mask)) as u8)
            })),
            _ => pixels.extend((0..width).flat_map(|x| {
                let byte = row[x * bits / 8] as usize;
                colour(byte >> (8 - bits - x * bits % 8) & ((1 << bits) - 1))
            })),
        }
    }
    Ok(Picture { pixels: pixels.into(), height, width, channels: 3 })
}

fn u16_at(bytes: &[u8], place: usize) -> Result<u16, DecodeError> {
    let found = bytes.get(place..).and_then(<[u8]>::first_chunk);
    found.map(|bytes| u16::from_le_bytes(*bytes)).ok_or(DecodeError::Truncated("BMP"))
}

fn u32_at(bytes: &[u8], place: usize) -> Result<u32, DecodeError> {
    let found = bytes.get(place..).and_then(<[u8]>::first_chunk);
    found.map(|bytes| u32::from_le_bytes(*bytes)).ok_or(DecodeError::Truncated("BMP"))
}

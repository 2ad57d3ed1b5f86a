//! TIFF: grey of 1, 8 and 16 bits, colours of 8 and 16 bits, palettes and CMYK of 8 bits; grey and colours as JPEG.

use std::io::{Cursor, ErrorKind};

use tiff::decoder::{ChunkType, Decoder, DecodingResult, Limits};
use tiff::tags::{CompressionMethod, ExtraSamples, Tag};
use tiff::{ColorType, TiffError};

use super::{DecodeError, MOST_BYTES, Picture, check_size, cmyk_to_rgb, jpeg, without_alpha};

/// Kinds of images: what samples mean.
const BLACK_IS_ZERO: u16 = 1;
const RGB: u16 = 2;
const PALETTE: u16 = 3;
const YCBCR: u16 = 6;

fn failed(error: TiffError) -> DecodeError {
    match error {
        TiffError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => DecodeError::Truncated("TIFF"),
        TiffError::UnsupportedError(error) => DecodeError::Unsupported("TIFF", error.to_string()),
        error => DecodeError::Damaged("TIFF", error.to_string()),
    }
}

/// Decodes the first image of a file.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture<'static>, DecodeError> {
    let unsupported = |what: String| DecodeError::Unsupported("TIFF", what);
    let mut limits = Limits::default();
    limits.decoding_buffer_size = MOST_BYTES as usize;
    limits.intermediate_buffer_size = MOST_BYTES as usize;
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(failed)?.with_limits(limits);
    let (width, height) = decoder.dimensions().map_err(failed)?;
    let (width, height) = check_size(width.into(), height.into())?;
    let meaning = decoder.find_tag_unsigned::<u16>(Tag::PhotometricInterpretation).map_err(failed)?;
    let compression = decoder.find_tag_unsigned::<u16>(Tag::Compression).map_err(failed)?;
    if compression == Some(CompressionMethod::ModernJPEG.to_u16()) {
        let orientation = decoder.find_tag_unsigned::<u16>(Tag::Orientation).map_err(failed)?.unwrap_or(1);
        return Ok(oriented(jpeg_inside(bytes, &mut decoder, meaning, [height, width])?, orientation));
    }
    if meaning == Some(PALETTE) {
        let map = decoder.get_tag_u16_vec(Tag::ColorMap).map_err(failed)?;
        let indices = decode(&as_grey(bytes).ok_or_else(|| unsupported("a palette in a large TIFF".to_owned()))?)?;
        return coloured(&indices, &map).ok_or_else(|| unsupported(format!("a palette of {} numbers", map.len())));
    }
    let colours = decoder.colortype().map_err(failed)?;
    let mut number = |tag| decoder.find_tag_unsigned::<u16>(tag).map_err(failed);
    let orientation = number(Tag::Orientation)?.unwrap_or(1);
    let per_pixel = usize::from(number(Tag::SamplesPerPixel)?.unwrap_or(1));
    let white_is_zero = meaning == Some(0);
    if number(Tag::FillOrder)?.unwrap_or(1) != 1 || number(Tag::PlanarConfiguration)?.unwrap_or(1) != 1 {
        return Err(unsupported("its bits or its colours are in an unusual order".to_owned()));
    }
    let extra = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).map_err(failed)?.unwrap_or_default();
    let mut samples = DecodingResult::U8(Vec::new());
    decoder.read_image_to_buffer(&mut samples).map_err(failed)?;
    let samples = match (samples, colours) {
        // More than one extra channel.
        _ if per_pixel > 4 => return Err(unsupported(format!("{per_pixel} channels"))),
        (DecodingResult::U8(bits), ColorType::Gray(1)) => {
            let rows = bits.chunks_exact(width.div_ceil(8));
            rows.flat_map(|row| (0..width).map(|x| if row[x / 8] << (x % 8) & 0x80 == 0 { 0 } else { 255 })).collect()
        }
        (DecodingResult::U8(inks), ColorType::CMYK(8)) if per_pixel == 4 => cmyk_to_rgb(&inks),
        (DecodingResult::U8(bytes), ColorType::Gray(8) | ColorType::RGB(8) | ColorType::RGBA(8)) => bytes,
        (DecodingResult::U16(values), ColorType::Gray(16)) if !white_is_zero => {
            values.iter().map(|value| (*value).min(255) as u8).collect()
        }
        (DecodingResult::U16(values), ColorType::RGB(16) | ColorType::RGBA(16)) => {
            values.iter().map(|value| (value >> 8) as u8).collect()
        }
        _ => return Err(unsupported(format!("{colours:?}"))),
    };
    let per_pixel = samples.len() / (width * height);
    let samples = if per_pixel == 4 && extra == [ExtraSamples::AssociatedAlpha.to_u16()] {
        samples.as_chunks().0.iter().flat_map(divided_by_alpha).collect()
    } else {
        samples
    };
    let (pixels, channels) = without_alpha(samples, per_pixel);
    Ok(oriented(Picture { pixels: pixels.into(), height, width, channels }, orientation))
}

/// An image whose strips or tiles are JPEG files that share their tables, as libtiff reads it for Pillow: each is decoded on
/// its own (TIFF Technical Note 2).
fn jpeg_inside(
    bytes: &[u8],
    decoder: &mut Decoder<Cursor<&[u8]>>,
    meaning: Option<u16>,
    [height, width]: [usize; 2],
) -> Result<Picture<'static>, DecodeError> {
    let damaged = |what: String| DecodeError::Damaged("TIFF", what);
    let (channels, transform) = match meaning {
        Some(BLACK_IS_ZERO) => (1, 0),
        Some(RGB) => (3, 0),
        Some(YCBCR) => (3, 1),
        _ => {
            return Err(DecodeError::Unsupported(
                "TIFF",
                "JPEG inside that is neither grey nor RGB nor YCbCr".to_owned(),
            ));
        }
    };
    let (count, offsets, lengths) = match decoder.get_chunk_type() {
        ChunkType::Strip => (decoder.strip_count(), Tag::StripOffsets, Tag::StripByteCounts),
        ChunkType::Tile => (decoder.tile_count(), Tag::TileOffsets, Tag::TileByteCounts),
    };
    let count = count.map_err(failed)?;
    let offsets = decoder.get_tag_u64_vec(offsets).map_err(failed)?;
    let lengths = decoder.get_tag_u64_vec(lengths).map_err(failed)?;
    let tables = match decoder.find_tag(Tag::JPEGTables).map_err(failed)? {
        Some(tables) => tables.into_u8_vec().map_err(failed)?,
        None => Vec::new(),
    };
    // Without the marks of beginning and end.
    let tables = tables.get(2..tables.len().saturating_sub(2)).unwrap_or_default();
    // Adobe's segment says whether colours are YCbCr, for which libjpeg would otherwise have to guess.
    let adobe = [b"\xff\xd8\xff\xee\0\x0eAdobe\0\x64\0\0\0\0".as_slice(), &[transform]].concat();
    let (across, down) = decoder.chunk_dimensions();
    let (across, down) = check_size(across.into(), down.into())?;
    let mut pixels = vec![0; width * height * channels];
    for (index, (&offset, &length)) in (0..count as usize).zip(offsets.iter().zip(&lengths)) {
        let part = usize::try_from(offset).ok().zip(usize::try_from(length).ok());
        let part = part.and_then(|(offset, length)| bytes.get(offset..offset.checked_add(length)?));
        let part = part.and_then(|part| part.get(2..)).ok_or(DecodeError::Truncated("TIFF"))?;
        let picture = jpeg::decode(&[&adobe, tables, part].concat())?;
        let (left, top) = (index % width.div_ceil(across) * across, index / width.div_ceil(across) * down);
        let (columns, rows) = (across.min(width - left), down.min(height.saturating_sub(top)));
        if picture.channels != channels || picture.width < columns || picture.height < rows {
            let found = (picture.width, picture.height, picture.channels);
            return Err(damaged(format!("the JPEG inside has {found:?} instead of {:?}", (columns, rows, channels))));
        }
        for row in 0..rows {
            let from = row * picture.width * channels;
            let to = ((top + row) * width + left) * channels;
            pixels[to..to + columns * channels].copy_from_slice(&picture.pixels[from..from + columns * channels]);
        }
    }
    if offsets.len().min(lengths.len()) < count as usize {
        return Err(damaged(format!("{} strips or tiles instead of {count}", offsets.len().min(lengths.len()))));
    }
    Ok(Picture { pixels: pixels.into(), height, width, channels })
}

/// The file with its indices said to be shades of grey, since the crate reads no palettes; nothing if it has no such tag.
fn as_grey(bytes: &[u8]) -> Option<Vec<u8>> {
    let little = bytes[0] == b'I';
    let u16_at = |place: usize| {
        let pair = *bytes.get(place..)?.first_chunk()?;
        Some(if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
    };
    let quad = *bytes.get(4..)?.first_chunk()?;
    let directory = if little { u32::from_le_bytes(quad) } else { u32::from_be_bytes(quad) } as usize;
    let mut grey = bytes.to_vec();
    let black_is_zero = if little { [1, 0] } else { [0, 1] };
    for entry in (0..usize::from(u16_at(directory)?)).map(|entry| directory + 2 + 12 * entry) {
        if u16_at(entry)? == Tag::PhotometricInterpretation.to_u16() {
            grey.get_mut(entry + 8..entry + 10)?.copy_from_slice(&black_is_zero);
        }
    }
    // Large TIFF has other entries.
    (u16_at(2) == Some(42)).then_some(grey)
}

/// The colours of indices; a palette has all reds, then all greens, then all blues, with sixteen bits each.
fn coloured(indices: &Picture<'static>, map: &[u16]) -> Option<Picture<'static>> {
    let [reds, greens, blues] = [0, 1, 2].map(|channel| map.get(channel * 256..(channel + 1) * 256));
    let (reds, greens, blues) = (reds?, greens?, blues?);
    let colour = |&index: &u8| [reds, greens, blues].map(|shades| (shades[usize::from(index)] >> 8) as u8);
    let pixels: Vec<u8> = indices.pixels.iter().flat_map(colour).collect();
    (indices.channels == 1).then_some(Picture { pixels: pixels.into(), channels: 3, ..*indices })
}

/// Colours that were multiplied by alpha, as Pillow's `unpackRGBa` restores them.
fn divided_by_alpha(&[red, green, blue, alpha]: &[u8; 4]) -> [u8; 4] {
    let restore = |value: u8| match alpha {
        0 => 0,
        alpha => (255 * u32::from(value) / u32::from(alpha)).min(255) as u8,
    };
    [restore(red), restore(green), restore(blue), alpha]
}

/// Turned and mirrored as the numbers 1 to 8 of TIFF and EXIF say.
fn oriented(picture: Picture<'static>, orientation: u16) -> Picture<'static> {
    let Picture { pixels, height, width, channels } = &picture;
    let turned = (5..=8).contains(&orientation);
    let (to_height, to_width) = if turned { (*width, *height) } else { (*height, *width) };
    let (bottom_first, right_first) = (matches!(orientation, 3 | 4 | 6 | 7), matches!(orientation, 2 | 3 | 7 | 8));
    if !turned && !bottom_first && !right_first {
        return picture;
    }
    let from = |y: usize, x: usize| {
        let (row, column) = if turned { (x, y) } else { (y, x) };
        let row = if bottom_first { height - 1 - row } else { row };
        let column = if right_first { width - 1 - column } else { column };
        &pixels[(row * width + column) * channels..][..*channels]
    };
    let pixels: Vec<u8> = (0..to_height).flat_map(|y| (0..to_width).flat_map(move |x| from(y, x))).copied().collect();
    Picture { pixels: pixels.into(), height: to_height, width: to_width, channels: *channels }
}

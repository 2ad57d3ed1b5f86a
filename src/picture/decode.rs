//! Image files to pixels, as Pillow 13's `Image.open(file).convert("RGB")` has them, byte for byte.
//!
//! JPEG is decoded by libjpeg itself, as other decoders round differently. What Pillow does besides, and what is easily
//! missed: alpha is dropped, not blended; 16-bit grey is clipped at 255, but other 16-bit samples keep their high byte;
//! the ink of a CMYK JPEG is inverted; orientation is applied to TIFF alone; colour profiles and gamma are ignored. A
//! file that ends too early is refused. Kinds that would come out differently from Pillow are refused too.

mod bmp;
mod jpeg;
mod pnm;
mod tiff;

use std::io::{Cursor, ErrorKind};
use std::num::NonZeroU64;
use std::panic::catch_unwind;

use super::Picture;

/// More pixels are refused before memory is taken for them, where Pillow raises `DecompressionBombError`.
pub const MOST_PIXELS: u64 = 2 * 89_478_485;
/// What a decoder may take: four channels of 16 bits.
const MOST_BYTES: u64 = 8 * MOST_PIXELS;

/// Why a file is not decoded; the message goes after the file's name.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes begin like no known format.
    #[error("it is not a JPEG, PNG, GIF, BMP, WebP, TIFF, PGM or PPM file")]
    Unknown,
    /// The file ends before the image does.
    #[error("the {0} file is truncated")]
    Truncated(&'static str),
    /// The file is inconsistent.
    #[error("the {0} file is damaged: {1}")]
    Damaged(&'static str, String),
    /// The file may be right, but is not read.
    #[error("this kind of {0} file is not supported: {1}")]
    Unsupported(&'static str, String),
    /// Its height or its width is 0.
    #[error("it has no pixels")]
    Empty,
    /// It would take too much memory.
    #[error("its {width} x {height} pixels are more than {MOST_PIXELS}")]
    TooManyPixels {
        /// Pixels from left to right.
        width: u64,
        /// Pixels from top to bottom.
        height: u64,
    },
}

type Decode = fn(&[u8]) -> Result<Picture<'static>, DecodeError>;

/// Decodes a whole file, whose format is told from its first bytes. Of several frames, the first.
///
/// # Errors
/// As [`DecodeError`] says.
pub fn decode(bytes: &[u8]) -> Result<Picture<'static>, DecodeError> {
    let (format, decode): (_, Decode) = match bytes {
        [0xff, 0xd8, 0xff, ..] => ("JPEG", jpeg::decode),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => ("GIF", gif),
        [b'B', b'M', ..] => ("BMP", bmp::decode),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => ("WebP", webp),
        [b'I', b'I', b'*' | b'+', 0, ..] | [b'M', b'M', 0, b'*' | b'+', ..] => ("TIFF", tiff::decode),
        [b'P', b'5' | b'6', separator, ..] if separator.is_ascii_whitespace() => ("PPM", pnm::decode),
        _ if bytes.starts_with(b"\x89PNG\r\n\x1a\n") => ("PNG", png),
        _ => return Err(DecodeError::Unknown),
    };
    // libjpeg's errors arrive as panics, and a defect of another decoder must not end the program.
    catch_unwind(|| decode(bytes)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map_or("its decoder failed", String::as_str);
        match message.strip_prefix("libjpeg fatal error: ").unwrap_or(message) {
            // From `jpeg::UntilEnd`: nothing else makes reading fail.
            "Input file read error" => Err(DecodeError::Truncated(format)),
            message => Err(DecodeError::Damaged(format, message.to_owned())),
        }
    })
}

/// Checks the sizes that a header claims.
fn check_size(width: u64, height: u64) -> Result<(usize, usize), DecodeError> {
    match width.checked_mul(height) {
        Some(0) => Err(DecodeError::Empty),
        Some(pixels) if pixels <= MOST_PIXELS => Ok((width as usize, height as usize)),
        _ => Err(DecodeError::TooManyPixels { width, height }),
    }
}

fn png(bytes: &[u8]) -> Result<Picture<'static>, DecodeError> {
    let failed = |error: png::DecodingError| match error {
        png::DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => DecodeError::Truncated("PNG"),
        error => DecodeError::Damaged("PNG", error.to_string()),
    };
    let limits = png::Limits { bytes: MOST_BYTES as usize };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    // Palettes to colours, fewer bits to eight.
    decoder.set_transformations(png::Transformations::EXPAND);
    let header = decoder.read_header_info().map_err(failed)?;
    let (width, height) = check_size(header.width.into(), header.height.into())?;
    // Before EXPAND, which makes alpha of a transparent colour.
    let grey = header.color_type == png::ColorType::Grayscale;
    let mut reader = decoder.read_info().map_err(failed)?;
    let (colours, depth) = reader.output_color_type();
    let mut samples = vec![0; reader.output_buffer_size().unwrap_or(0)];
    reader.next_frame(&mut samples).map_err(failed)?;
    if depth == png::BitDepth::Sixteen {
        let to_byte = |pair: &[u8]| if grey && pair[0] > 0 { 255 } else { pair[usize::from(grey)] };
        samples = samples.chunks_exact(2).map(to_byte).collect();
    }
    let (pixels, channels) = without_alpha(samples, colours.samples());
    Ok(Picture { pixels: pixels.into(), height, width, channels })
}

fn gif(bytes: &[u8]) -> Result<Picture<'static>, DecodeError> {
    let failed = |error: gif::DecodingError| match error {
        gif::DecodingError::UnexpectedEof => DecodeError::Truncated("GIF"),
        error => DecodeError::Damaged("GIF", error.to_string()),
    };
    let mut options = gif::DecodeOptions::new();
    options.set_memory_limit(gif::MemoryLimit::Bytes(NonZeroU64::new(MOST_BYTES).expect("a constant above 0")));
    let mut decoder = options.read_info(bytes).map_err(failed)?;
    let screen = [decoder.width(), decoder.height()].map(usize::from);
    let frame = decoder.next_frame_info().map_err(failed)?.ok_or(DecodeError::Empty)?.clone();
    let [left, top, across, down] = [frame.left, frame.top, frame.width, frame.height].map(usize::from);
    let (across, down) = check_size(across as u64, down as u64)?;
    // As large as the screen, or larger if the frame does not fit in.
    let (width, height) = check_size((left + across).max(screen[0]) as u64, (top + down).max(screen[1]) as u64)?;
    let mut indices = vec![0; across * down];
    decoder.read_into_buffer(&mut indices).map_err(failed)?;
    let palette = frame.palette.as_deref().or_else(|| decoder.global_palette()).unwrap_or_default().as_chunks::<3>().0;
    // Beyond the palette's end it is black.
    let colour = |index: u8| palette.get(usize::from(index)).copied().unwrap_or_default();
    // What the first frame leaves of the screen.
    let around = colour(frame.transparent.unwrap_or(0));
    let mut pixels = vec![around; width * height];
    for (row, indices) in indices.chunks_exact(across).enumerate() {
        let place = &mut pixels[(top + row) * width + left..][..across];
        place.iter_mut().zip(indices).for_each(|(pixel, index)| *pixel = colour(*index));
    }
    Ok(Picture { pixels: pixels.into_flattened().into(), height, width, channels: 3 })
}

fn webp(bytes: &[u8]) -> Result<Picture<'static>, DecodeError> {
    let failed = |error: image_webp::DecodingError| match error {
        image_webp::DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            DecodeError::Truncated("WebP")
        }
        error => DecodeError::Damaged("WebP", error.to_string()),
    };
    let claimed = bytes[4..].first_chunk().map_or(0, |length| u32::from_le_bytes(*length) as usize);
    if bytes.len() - 8 < claimed {
        return Err(DecodeError::Truncated("WebP"));
    }
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(bytes)).map_err(failed)?;
    decoder.set_memory_limit(MOST_BYTES as usize);
    let (width, height) = decoder.dimensions();
    let (width, height) = check_size(width.into(), height.into())?;
    let mut samples = vec![0; decoder.output_buffer_size().unwrap_or(0)];
    decoder.read_image(&mut samples).map_err(failed)?;
    let (pixels, channels) = without_alpha(samples, if decoder.has_alpha() { 4 } else { 3 });
    Ok(Picture { pixels: pixels.into(), height, width, channels })
}

/// Pillow's `cmyk2rgb`: 0 is no ink.
fn cmyk_to_rgb(inks: &[u8]) -> Vec<u8> {
    let convert = |&[cyan, magenta, yellow, black]: &[u8; 4]| {
        let light = 255 - i32::from(black);
        [cyan, magenta, yellow].map(|ink| {
            let shade = i32::from(ink) * light + 128;
            (light - ((shade + (shade >> 8)) >> 8)).clamp(0, 255) as u8
        })
    };
    inks.as_chunks().0.iter().flat_map(convert).collect()
}

/// Drops the last of two or four channels; gives how many are left.
fn without_alpha(samples: Vec<u8>, channels: usize) -> (Vec<u8>, usize) {
    match channels {
        2 => (samples.into_iter().step_by(2).collect(), 1),
        4 => (samples.as_chunks::<4>().0.iter().flat_map(|&[red, green, blue, _]| [red, green, blue]).collect(), 3),
        _ => (samples, channels),
    }
}

#[cfg(test)]
mod tests;

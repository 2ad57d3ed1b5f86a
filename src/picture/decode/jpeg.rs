//! JPEG through libjpeg, with its defaults, as Pillow uses it.

use std::cell::Cell;
use std::io::{self, BufRead, Read};

use mozjpeg::ColorSpace;

use super::{DecodeError, MOST_PIXELS, Picture, check_size, cmyk_to_rgb};

/// Pixels times scans. Each scan takes time for the whole image, but hardly any bytes; usual are up to a dozen.
const MOST_WORK: u64 = 25 * MOST_PIXELS;

/// Decodes a file that begins with the start of an image and another marker.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture<'static>, DecodeError> {
    let damaged = |what: String| DecodeError::Damaged("JPEG", what);
    let failed = |error: io::Error| damaged(error.to_string());
    let done = Cell::new(false);
    let decoder = mozjpeg::Decompress::new_reader(UntilEnd { rest: bytes, done: &done }).map_err(failed)?;
    let (width, height) = check_size(decoder.width() as u64, decoder.height() as u64)?;
    let scans = bytes.windows(2).filter(|pair| *pair == [0xff, 0xda]).count();
    if (scans * width * height) as u64 > MOST_WORK {
        return Err(damaged(format!("{scans} scans are too many for {width} x {height} pixels")));
    }
    // What is unsuitable, such as two components, fails when it starts.
    let wanted = match decoder.components().len() {
        1 => ColorSpace::JCS_GRAYSCALE,
        4 => ColorSpace::JCS_CMYK,
        _ => ColorSpace::JCS_RGB,
    };
    let mut started = decoder.to_colorspace(wanted).map_err(failed)?;
    let mut pixels: Vec<u8> = started.read_scanlines().map_err(failed)?;
    done.set(true);
    started.finish().map_err(failed)?;
    let channels = match wanted {
        ColorSpace::JCS_GRAYSCALE => 1,
        _ => 3,
    };
    if wanted == ColorSpace::JCS_CMYK {
        // Pillow takes every such file for one of Adobe's, in which 255 is no ink.
        pixels.iter_mut().for_each(|ink| *ink = 255 - *ink);
        pixels = cmyk_to_rgb(&pixels);
    }
    Ok(Picture { pixels: pixels.into(), height, width, channels })
}

/// Bytes whose end is an error until all rows are `done`: only the end mark may be missing, as in Pillow. Otherwise the
/// crate would put an end mark there, and libjpeg grey in the missing rows.
struct UntilEnd<'bytes> {
    rest: &'bytes [u8],
    done: &'bytes Cell<bool>,
}

impl Read for UntilEnd<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill_buf()?.read(buffer).inspect(|count| self.consume(*count))
    }
}

impl BufRead for UntilEnd<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.rest {
            [] if !self.done.get() => Err(io::Error::other("the end")),
            rest => Ok(rest),
        }
    }

    fn consume(&mut self, count: usize) {
        self.rest = &self.rest[count..];
    }
}

//! Pictures: 8-bit pixels, and how they come out of image files.

mod decode;

use std::borrow::Cow;

pub use decode::{DecodeError, decode};

/// An 8-bit image: `height` × `width` × `channels` bytes, row after row, channels fastest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture<'pixels> {
    /// The bytes.
    pub pixels: Cow<'pixels, [u8]>,
    /// Pixels from top to bottom.
    pub height: usize,
    /// Pixels from left to right.
    pub width: usize,
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
}

/// Pixels, width, height and channels.
impl<'pixels> From<(&'pixels [u8], usize, usize, usize)> for Picture<'pixels> {
    fn from((pixels, width, height, channels): (&'pixels [u8], usize, usize, usize)) -> Picture<'pixels> {
        Picture { pixels: Cow::Borrowed(pixels), height, width, channels }
    }
}

//! Images to the numbers that networks take, bit for bit as torchvision does it to Pillow images.
//!
//! `Resize` (antialiased), `CenterCrop`, `ToTensor`, grey repeated to three channels, `Normalize`. The resampling is
//! Pillow's (`src/libImaging/Resample.c`): two passes, horizontal then vertical, in fixed point with 22 bits, rounded to
//! eight bits after each.

use std::ops::Range;

use crate::picture::Picture;

/// Mean of ImageNet's red, green and blue, as torchvision gives it.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Their standard deviation.
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];
/// Of red, green and blue from 0 to 255, as Caffe's networks have it.
const CAFFE_MEAN: [f32; 3] = [122.679, 116.669, 104.006];
/// Bits after the point in Pillow's weights of 8-bit images.
const PRECISION_BITS: u32 = 32 - 8 - 2;
/// The parameter of Pillow's cubic.
const CUBIC: f64 = -0.5;

/// What is done to an image before an encoder sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preprocessing {
    /// What the shorter side becomes, in pixels; at least `size`.
    pub resize: usize,
    /// How pixels between pixels are found.
    pub filter: Filter,
    /// Height and width of the middle that is kept: of the result.
    pub size: usize,
    /// What bytes become.
    pub scale: Scale,
}

/// Filters of Pillow's resampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// A triangle.
    Bilinear,
    /// Keys' cubic with a = -0.5.
    Bicubic,
}

/// From bytes to the numbers that a network was trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Divided by 255, minus ImageNet's mean, by its standard deviation: torchvision's networks and the paper.
    ImageNet,
    /// (x - 127) / 128: the TensorFlow networks of the Lite family.
    Unit,
    /// Blue, green, red, minus their means: networks from Caffe.
    Caffe,
}

impl Preprocessing {
    /// The study's: the shorter side to `size`, bilinear, and the middle; ImageNet's scale.
    pub fn imagenet(size: usize) -> Preprocessing {
        Preprocessing { resize: size, filter: Filter::Bilinear, size, scale: Scale::ImageNet }
    }

    /// How many numbers one image becomes.
    pub fn values(self) -> usize {
        3 * self.size * self.size
    }

    /// What it does, in torchvision's words; part of the key under which embeddings are kept.
    pub fn describe(self) -> String {
        let Preprocessing { resize, filter, size, scale } = self;
        let filter = match filter {
            Filter::Bilinear => "bilinear",
            Filter::Bicubic => "bicubic",
        };
        let scale = match scale {
            Scale::ImageNet => "ToTensor, RGB, Normalize(ImageNet)",
            Scale::Unit => "RGB, (x - 127) / 128",
            Scale::Caffe => "BGR, minus Caffe's mean",
        };
        format!("Resize({resize}, {filter}, antialias), CenterCrop({size}), {scale}")
    }

    /// The image as 3 × size × size numbers, channels slowest.
    ///
    /// # Panics
    /// The pixels of `picture` are not as many as its sizes say, or there are none.
    pub fn apply(self, picture: &Picture) -> Vec<f32> {
        let cropped = self.resize_and_crop(picture);
        let mut values = Vec::with_capacity(self.values());
        for place in 0..3 {
            let channel = if self.scale == Scale::Caffe { 2 - place } else { place };
            let table: [f32; 256] = std::array::from_fn(|value| self.scale.of(value as u8, channel));
            // A grey image has one channel, which is taken three times.
            let from = channel.min(picture.channels - 1);
            values.extend(cropped.iter().skip(from).step_by(picture.channels).map(|value| table[usize::from(*value)]));
        }
        values
    }

    /// The shorter side becomes `resize`, then the middle `size` × `size` are cut out; `size` × `size` × channels bytes.
    /// Only what the middle keeps is computed: a long thin image would else become thousands of times as large.
    pub(crate) fn resize_and_crop(self, picture: &Picture) -> Vec<u8> {
        let Picture { ref pixels, height, width, channels } = *picture;
        let Preprocessing { resize, filter, size, .. } = self;
        assert!(height * width * channels == pixels.len() && !pixels.is_empty(), "sizes fit the pixels");
        // torchvision cuts the fraction of the longer side off.
        let (to_height, to_width) = match height <= width {
            true => (resize, (resize as f64 * width as f64 / height as f64) as usize),
            false => ((resize as f64 * height as f64 / width as f64) as usize, resize),
        };
        let (top, left) = (crop_start(to_height, size), crop_start(to_width, size));
        let columns = windows(width, to_width, left..left + size, filter);
        let mut rows = windows(height, to_height, top..top + size, filter);
        // Both ends of a window grow with its place, so that these are the rows which are needed.
        let needed = match rows.as_slice() {
            [first, .., last] => first.start..last.start + last.weights.len(),
            rows => rows.first().map_or(0..0, |only| only.start..only.start + only.weights.len()),
        };
        rows.iter_mut().for_each(|row| row.start -= needed.start);
        let pixels = &pixels[needed.start * width * channels..needed.end * width * channels];
        let wide = match channels {
            1 => resize_rows::<1>(pixels, width, &columns),
            3 => resize_rows::<3>(pixels, width, &columns),
            _ => panic!("1 or 3 channels, not {channels}"),
        };
        resize_columns(&wide, size * channels, &rows)
    }
}

impl Scale {
    /// What a byte of a channel (red, green, blue) becomes, in the order of torch's operations.
    fn of(self, value: u8, channel: usize) -> f32 {
        let value = f32::from(value);
        match self {
            Scale::ImageNet => (value / 255.0 - MEAN[channel]) / DEVIATION[channel],
            Scale::Unit => (value - 127.0) / 128.0,
            Scale::Caffe => value - CAFFE_MEAN[channel],
        }
    }
}

/// Where the middle starts: Python's `round`, which takes the even one of two equally near numbers.
fn crop_start(length: usize, size: usize) -> usize {
    ((length - size) as f64 / 2.0).round_ties_even() as usize
}

/// Horizontal pass: in every row, a pixel for each window. The number of channels is known to the compiler, which keeps
/// their sums in registers.
fn resize_rows<const CHANNELS: usize>(pixels: &[u8], width: usize, windows: &[Window]) -> Vec<u8> {
    let pixels = pixels.as_chunks::<CHANNELS>().0;
    let mut result = Vec::with_capacity(pixels.len() / width * windows.len());
    for row in pixels.chunks_exact(width) {
        result.extend(windows.iter().map(|Window { start, weights }| {
            let mut sums = [HALF; CHANNELS];
            for (pixel, weight) in row[*start..].iter().zip(weights) {
                for channel in 0..CHANNELS {
                    sums[channel] += i32::from(pixel[channel]) * weight;
                }
            }
            sums.map(to_byte)
        }));
    }
    result.into_flattened()
}

/// Vertical pass: a row for each window; `width` is the bytes in a row.
fn resize_columns(pixels: &[u8], width: usize, windows: &[Window]) -> Vec<u8> {
    let mut result = Vec::with_capacity(windows.len() * width);
    let mut sums = vec![0; width];
    for Window { start, weights } in windows {
        sums.fill(HALF);
        for (row, weight) in pixels[start * width..].chunks_exact(width).zip(weights) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += i32::from(*value) * weight;
            }
        }
        result.extend(sums.iter().copied().map(to_byte));
    }
    result
}

/// The pixels that one pixel of the result is made from, and how much each counts.
struct Window {
    start: usize,
    weights: Vec<i32>,
}

impl Filter {
    /// Pixels on each side of the middle that count when an image is not shrunk.
    fn support(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
        }
    }

    /// How much a pixel at this distance counts.
    fn weight(self, distance: f64) -> f64 {
        let x = distance.abs();
        match self {
            Filter::Bilinear => (1.0 - x).max(0.0),
            Filter::Bicubic if x < 1.0 => ((CUBIC + 2.0) * x - (CUBIC + 3.0)) * x * x + 1.0,
            Filter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * CUBIC,
            Filter::Bicubic => 0.0,
        }
    }
}

/// Pillow's `precompute_coeffs` and `normalize_coeffs_8bpc`, for the places `kept` of `to`. When shrinking, the filter is
/// as wide as the pixels that fall together, which is what antialiasing means.
fn windows(from: usize, to: usize, kept: Range<usize>, filter: Filter) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    let window = |index: usize| {
        let center = (index as f64 + 0.5) * scale;
        // Both ends are rounded by cutting the fraction off after adding a half, as in C.
        let start = (center - support + 0.5).max(0.0) as usize;
        let end = ((center + support + 0.5) as usize).min(from);
        let weight = |pixel: usize| filter.weight((pixel as f64 - center + 0.5) * (1.0 / stretch));
        let weights: Vec<f64> = (start..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: f64| {
            let share = if sum == 0.0 { weight } else { weight / sum };
            // Rounded away from zero, as in C.
            (0.5_f64.copysign(share) + share * f64::from(1 << PRECISION_BITS)) as i32
        };
        Window { start, weights: weights.into_iter().map(fixed).collect() }
    };
    kept.map(window).collect()
}

/// What is added before bits are cut off, so that sums are rounded.
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// A sum that began with [`HALF`].
fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use sha2::{Digest as _, Sha256};

    /// Made by torchvision and Pillow: `tests/golden/preprocess.py`.
    #[test]
    fn equal_to_torchvision_in_every_bit() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/preprocess.json");
        let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("golden values")).expect("JSON");
        let cases = golden["cases"].as_array().expect("cases");
        assert!(cases.len() >= 8);
        for case in cases {
            let number = |name: &str| case[name].as_u64().expect("a number") as usize;
            let (height, width, channels) = (number("height"), number("width"), number("channels"));
            let pixels = picture(height, width, channels);
            let picture = &Picture { pixels: pixels.into(), height, width, channels };
            let filter = if case["filter"] == "bicubic" { Filter::Bicubic } else { Filter::Bilinear };
            let preprocessing =
                Preprocessing { resize: number("resize"), filter, ..Preprocessing::imagenet(number("size")) };
            let bytes = preprocessing.resize_and_crop(picture);
            let row: Vec<u64> = bytes[bytes.len() / 2..][..12].iter().map(|value| u64::from(*value)).collect();
            assert_eq!(Value::from(row), case["middle"], "{case}");
            assert_eq!(hex(&bytes), case["bytes_sha256"], "{case}");
            let values = preprocessing.apply(picture);
            let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            assert_eq!(hex(&values), case["values_sha256"], "{case}");
        }
    }

    #[test]
    fn weights_of_a_window_are_one_in_all() {
        for (from, to) in [(28, 224), (28, 32), (224, 224), (1000, 224), (225, 224), (1, 32), (3, 7), (5000, 1)] {
            let all = [Filter::Bilinear, Filter::Bicubic].map(|filter| windows(from, to, 0..to, filter));
            for Window { start, weights } in all.into_iter().flatten() {
                let sum: i64 = weights.iter().map(|weight| i64::from(*weight)).sum();
                assert!((sum - (1 << PRECISION_BITS)).abs() <= weights.len() as i64, "{from} to {to}: {sum}");
                assert!(start + weights.len() <= from && !weights.is_empty());
            }
        }
    }

    #[test]
    fn one_colour_stays_one_colour() {
        for (height, width, size) in [(1, 1, 32), (28, 28, 224), (3, 90, 17), (400, 300, 32)] {
            let pixels = vec![200; height * width];
            let values = Preprocessing::imagenet(size).apply(&(&pixels[..], width, height, 1).into());
            assert_eq!(values.len(), 3 * size * size);
            for channel in 0..3 {
                let expected = (200.0 / 255.0 - MEAN[channel]) / DEVIATION[channel];
                assert!(values[channel * size * size..][..size * size].iter().all(|value| *value == expected));
            }
        }
    }

    /// A rule in place of a file: gradients, edges and noise.
    fn picture(height: usize, width: usize, channels: usize) -> Vec<u8> {
        let mut pixels = Vec::new();
        for y in 0..height {
            for x in 0..width {
                for c in 0..channels {
                    pixels.push(((x * 7 + y * 13 + c * 29 + (x * y) % 31 * 5 + x / 9 % 2 * 90) % 256) as u8);
                }
            }
        }
        pixels
    }

    fn hex(bytes: &[u8]) -> String {
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

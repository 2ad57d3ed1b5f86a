//! Variants of images with a foreground mask: parts of them, new backgrounds, other renderings.
//!
//! Most are those of ImageNet-9 (Xiao et al. 2020, "Noise or Signal: The Role of Image Backgrounds in Object
//! Recognition", arXiv 2006.09994, and the script that its authors published), which show how much of what is
//! recognised is background. The *background gap* is a score on `MixedSame` minus the same score on `MixedRand`. Images
//! without a background of their own get one from [`textures`], whose look depends on the class, and every other
//! variant is made from these composites.
//!
//! Images keep their order and labels; an image of a `Mixed` variant has the label of its foreground. Whole numbers and
//! ChaCha8 only, with a stream for each image: the same bytes on every machine. The variant of the first `n` images is
//! therefore the first `n` images of the variant, except for the `Mixed` ones, which draw backgrounds from all images
//! that they are given: render all, then choose.

mod textures;

use std::collections::BTreeMap;
use std::ops::Bound;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::sample::below;
pub use textures::textures;

/// Bytes that textures may take; asking for more is taken for a mistake.
const MOST_VALUES: usize = 1 << 33;
/// The brightest value that still counts as a black background: in Fashion-MNIST faint specks surround the clothes.
const BLACK: u8 = 16;

/// What does not fit together.
#[derive(Debug, thiserror::Error)]
pub enum VariantError {
    /// Images without pixels, or more of them than memory holds.
    #[error(
        "{images} images of the shape {shape:?} (height, width, channels): each size must be at least 1, and no more \
             than {MOST_VALUES} values in all"
    )]
    Shape {
        /// The number of images.
        images: usize,
        /// Height, width, channels.
        shape: [usize; 3],
    },
    /// A slice of another length than the shape and the number of labels ask for.
    #[error("{what}: {found} values instead of {expected}")]
    Length {
        /// Which slice.
        what: &'static str,
        /// Its length.
        found: usize,
        /// What its length should be.
        expected: usize,
    },
    /// A label without a class.
    #[error("image {index} has the label {label}, but there are {classes} classes; labels count from 0")]
    Label {
        /// The image.
        index: usize,
        /// Its label.
        label: i32,
        /// The number of classes.
        classes: usize,
    },
}

/// Images of one shape, each with a foreground mask and a label.
#[derive(Clone, Copy, Debug)]
pub struct Masked<'a> {
    /// n × height × width × channels, channels fastest.
    pub pixels: &'a [u8],
    /// Height, width, channels.
    pub shape: [usize; 3],
    /// n × height × width; true is foreground.
    pub masks: &'a [bool],
    /// One an image, from 0.
    pub labels: &'a [i32],
    /// The number of classes.
    pub classes: usize,
}

/// What to make of the images. "The box" is the bounding box of an image's foreground.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    /// The foreground on its background.
    Original,
    /// The foreground on black.
    OnlyFg,
    /// The background, with the silhouette of the foreground in black.
    NoFg,
    /// The background, with the box in black.
    OnlyBgB,
    /// The background, with the box filled from beside it.
    ///
    /// The largest strip left or right of the box in full height, or above or below it in full width, is laid as tiles
    /// from the upper left corner of the image, and shows inside the box. Of equal strips the order is below, above,
    /// right, left. A box that leaves no strip is black; the authors left such images out.
    OnlyBgT,
    /// The foreground on the `OnlyBgT` of another image of the same class.
    ///
    /// Backgrounds without a strip are not lent. An image that finds no other background keeps its own `OnlyBgT`.
    MixedSame,
    /// The foreground on the `OnlyBgT` of another image of any class, its own included; classes are drawn evenly.
    MixedRand,
    /// The foreground on the `OnlyBgT` of an image of the next class that has any; after the last comes the first.
    MixedNext,
    /// A pencil drawing of `OnlyFg`, dark on white, with a stroke on the dark side of each edge.
    ///
    /// 255 - min(255, max(0, 4 (S - g))), rounded up: g is grey, of three channels (77 R + 150 G + 29 B + 128) / 256,
    /// else their mean, both rounded down; S is g smoothed by [1 2 1] / 4 along rows and columns, where pixels beyond
    /// the border repeat those on it.
    Sketch,
    /// The negative of `Original`: 255 minus each value.
    Inverted,
}

impl Variant {
    /// Every variant.
    pub const ALL: [Variant; 10] = [
        Variant::Original,
        Variant::OnlyFg,
        Variant::NoFg,
        Variant::OnlyBgB,
        Variant::OnlyBgT,
        Variant::MixedSame,
        Variant::MixedRand,
        Variant::MixedNext,
        Variant::Sketch,
        Variant::Inverted,
    ];

    /// Its name, for ImageNet-9's variants that of their folder in the published dataset.
    pub fn name(self) -> &'static str {
        match self {
            Variant::Original => "original",
            Variant::OnlyFg => "only_fg",
            Variant::NoFg => "no_fg",
            Variant::OnlyBgB => "only_bg_b",
            Variant::OnlyBgT => "only_bg_t",
            Variant::MixedSame => "mixed_same",
            Variant::MixedRand => "mixed_rand",
            Variant::MixedNext => "mixed_next",
            Variant::Sketch => "sketch",
            Variant::Inverted => "inverted",
        }
    }
}

/// The variant of every image, as `images.pixels`.
///
/// `backgrounds`: as `images.pixels`, what shows outside the foreground, such as [`textures`]; nothing for images that
/// have a background of their own. `seed` matters for the `Mixed` variants only, and may be the one of the textures.
/// O(pixels), plus O(n × classes) for `MixedRand`.
///
/// # Errors
/// Sizes that do not fit together; a size of zero; a label without a class.
pub fn render(
    images: &Masked,
    backgrounds: Option<&[u8]>,
    variant: Variant,
    seed: u64,
) -> Result<Vec<u8>, VariantError> {
    let size = check(images, backgrounds)?;
    let scenes = Scenes { images: *images, backgrounds: backgrounds.unwrap_or(images.pixels), boxes: boxes(images) };
    let lenders = scenes.lenders();
    let mut output = vec![0; images.pixels.len()];
    for (index, out) in output.chunks_exact_mut(size).enumerate() {
        match variant {
            Variant::Original => scenes.original(index, out),
            Variant::OnlyFg => scenes.put_foreground(index, out),
            Variant::NoFg => scenes.no_fg(index, out),
            Variant::OnlyBgB => scenes.only_bg_b(index, out),
            Variant::OnlyBgT => scenes.only_bg_t(index, out),
            Variant::MixedSame | Variant::MixedRand | Variant::MixedNext => {
                scenes.only_bg_t(scenes.lender(index, &lenders, variant, seed), out);
                scenes.put_foreground(index, out);
            }
            Variant::Sketch => {
                scenes.put_foreground(index, out);
                sketch(out, images.shape);
            }
            Variant::Inverted => {
                scenes.original(index, out);
                out.iter_mut().for_each(|value| *value = 255 - *value);
            }
        }
    }
    Ok(output)
}

/// The masks of images on a black background.
///
/// Background is what can be reached from outside the image through dark pixels, up, down, left and right; dark is no
/// channel above 16. So a dark part or a hole inside an object belongs to it, unless it is open to the border.
///
/// # Errors
/// A size of zero; pixels that are no whole number of images.
pub fn mask_of_black_background(pixels: &[u8], shape: [usize; 3]) -> Result<Vec<bool>, VariantError> {
    let size = values_of(1, shape)?.1;
    let images = pixels.len() / size;
    length("pixels", pixels.len(), images * size)?;
    let [height, width, channels] = shape;
    let mut masks = vec![true; pixels.len() / channels];
    let mut reached = Vec::new();
    for (image, mask) in pixels.chunks_exact(size).zip(masks.chunks_exact_mut(height * width)) {
        let mut reach = |at: usize, reached: &mut Vec<usize>| {
            if mask[at] && image[at * channels..][..channels].iter().all(|value| *value <= BLACK) {
                mask[at] = false;
                reached.push(at);
            }
        };
        (0..width).flat_map(|x| [x, (height - 1) * width + x]).for_each(|at| reach(at, &mut reached));
        (0..height).flat_map(|y| [y * width, (y + 1) * width - 1]).for_each(|at| reach(at, &mut reached));
        while let Some(at) = reached.pop() {
            let (y, x) = (at / width, at % width);
            let neighbours = [
                (y > 0, at.wrapping_sub(width)),
                (y + 1 < height, at + width),
                (x > 0, at.wrapping_sub(1)),
                (x + 1 < width, at + 1),
            ];
            neighbours.into_iter().filter(|(inside, _)| *inside).for_each(|(_, at)| reach(at, &mut reached));
        }
    }
    Ok(masks)
}

/// Rows and columns that hold the foreground; the last ones are outside.
#[derive(Clone, Copy)]
struct Area {
    top: usize,
    bottom: usize,
    left: usize,
    right: usize,
}

/// The images with their backgrounds.
struct Scenes<'a> {
    images: Masked<'a>,
    backgrounds: &'a [u8],
    /// Nothing for an image without foreground.
    boxes: Vec<Option<Area>>,
}

impl Scenes<'_> {
    fn original(&self, index: usize, out: &mut [u8]) {
        out.copy_from_slice(&self.backgrounds[index * out.len()..][..out.len()]);
        self.put_foreground(index, out);
    }

    fn put_foreground(&self, index: usize, out: &mut [u8]) {
        let image = &self.images.pixels[index * out.len()..][..out.len()];
        let channels = self.images.shape[2];
        let pixels = out.chunks_exact_mut(channels).zip(image.chunks_exact(channels));
        pixels
            .zip(self.mask(index))
            .filter(|(_, mask)| **mask)
            .for_each(|((out, pixel), _)| out.copy_from_slice(pixel));
    }

    fn no_fg(&self, index: usize, out: &mut [u8]) {
        self.original(index, out);
        let pixels = out.chunks_exact_mut(self.images.shape[2]);
        pixels.zip(self.mask(index)).filter(|(_, mask)| **mask).for_each(|(out, _)| out.fill(0));
    }

    fn only_bg_b(&self, index: usize, out: &mut [u8]) {
        self.original(index, out);
        let Some(area) = self.boxes[index] else { return };
        let [_, width, channels] = self.images.shape;
        let rows = out.chunks_exact_mut(width * channels).take(area.bottom).skip(area.top);
        rows.for_each(|row| row[area.left * channels..area.right * channels].fill(0));
    }

    fn only_bg_t(&self, index: usize, out: &mut [u8]) {
        let Some(area) = self.boxes[index] else { return self.original(index, out) };
        let Some(strip) = largest_strip(area, self.images.shape) else { return self.only_bg_b(index, out) };
        self.original(index, out);
        let [_, width, channels] = self.images.shape;
        for y in area.top..area.bottom {
            let row = (strip.top + y % (strip.bottom - strip.top)) * width;
            for x in area.left..area.right {
                let from = (row + strip.left + x % (strip.right - strip.left)) * channels;
                out.copy_within(from..from + channels, (y * width + x) * channels);
            }
        }
    }

    fn mask(&self, index: usize) -> &[bool] {
        let size = self.images.shape[0] * self.images.shape[1];
        &self.images.masks[index * size..][..size]
    }

    /// The images whose background can be lent, by class; no class is empty.
    fn lenders(&self) -> BTreeMap<i32, Vec<usize>> {
        let mut lenders: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for (index, (label, area)) in self.images.labels.iter().zip(&self.boxes).enumerate() {
            if area.is_none_or(|area| largest_strip(area, self.images.shape).is_some()) {
                lenders.entry(*label).or_default().push(index);
            }
        }
        lenders
    }

    /// The image that lends its background to image `index`.
    fn lender(&self, index: usize, lenders: &BTreeMap<i32, Vec<usize>>, variant: Variant, seed: u64) -> usize {
        let label = self.images.labels[index];
        let mut random = generator(seed, variant, index);
        let mut draw = |count: usize| below(&mut random, count as u64) as usize;
        let class = match variant {
            Variant::MixedRand => lenders.values().nth(draw(lenders.len())),
            Variant::MixedNext => {
                lenders.range((Bound::Excluded(label), Bound::Unbounded)).chain(lenders).next().map(|(_, class)| class)
            }
            _ => lenders.get(&label),
        };
        let Some(class) = class else { return index };
        match class.binary_search(&index) {
            Ok(_) if class.len() == 1 => index,
            // All but the image itself.
            Ok(own) => {
                let drawn = draw(class.len() - 1);
                class[drawn + usize::from(drawn >= own)]
            }
            Err(_) => class[draw(class.len())],
        }
    }
}

/// The largest part of the image beside, above or below the box; nothing if the box touches all four borders.
fn largest_strip(area: Area, [height, width, _]: [usize; 3]) -> Option<Area> {
    let all = Area { top: 0, bottom: height, left: 0, right: width };
    // As in the authors' script; of equal ones the last.
    let strips = [
        Area { right: area.left, ..all },
        Area { left: area.right, ..all },
        Area { bottom: area.top, ..all },
        Area { top: area.bottom, ..all },
    ];
    let size = |strip: &Area| (strip.bottom - strip.top) * (strip.right - strip.left);
    strips.into_iter().max_by_key(size).filter(|strip| size(strip) > 0)
}

fn boxes(images: &Masked) -> Vec<Option<Area>> {
    let [height, width, _] = images.shape;
    let bounds = |mask: &[bool]| {
        let filled = |y: &usize| mask[y * width..][..width].contains(&true);
        let top = (0..height).find(filled)?;
        let bottom = 1 + (top..height).rfind(filled)?;
        let rows = || mask.chunks_exact(width).take(bottom).skip(top);
        let left = rows().filter_map(|row| row.iter().position(|value| *value)).min()?;
        let right = 1 + rows().filter_map(|row| row.iter().rposition(|value| *value)).max()?;
        Some(Area { top, bottom, left, right })
    };
    images.masks.chunks_exact(height * width).map(bounds).collect()
}

/// See [`Variant::Sketch`].
fn sketch(image: &mut [u8], [height, width, channels]: [usize; 3]) {
    let grey = |pixel: &[u8]| match pixel {
        &[red, green, blue] => (77 * u32::from(red) + 150 * u32::from(green) + 29 * u32::from(blue) + 128) / 256,
        _ => (pixel.iter().map(|value| u64::from(*value)).sum::<u64>() / channels as u64) as u32,
    };
    let grey: Vec<u32> = image.chunks_exact(channels).map(grey).collect();
    let mut across = grey.clone();
    for (row, out) in grey.chunks_exact(width).zip(across.chunks_exact_mut(width)) {
        (0..width).for_each(|x| out[x] = row[x.saturating_sub(1)] + 2 * row[x] + row[(x + 1).min(width - 1)]);
    }
    for (at, pixel) in image.chunks_exact_mut(channels).enumerate() {
        let (y, x) = (at / width, at % width);
        let row = |y: usize| across[y * width + x];
        let smooth = row(y.saturating_sub(1)) + 2 * row(y) + row((y + 1).min(height - 1));
        // 16 S and 16 g.
        pixel.fill(255 - (smooth.saturating_sub(16 * grey[at]) / 4).min(255) as u8);
    }
}

/// A stream of its own for each variant and image; those of `Original` are for textures.
fn generator(seed: u64, variant: Variant, index: usize) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream((variant as u64) << 48 | index as u64);
    random
}

/// Values of all images and of one.
fn values_of(images: usize, shape: [usize; 3]) -> Result<(usize, usize), VariantError> {
    let size = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
    match size.and_then(|size| Some((size.checked_mul(images)?, size))) {
        Some((values, size)) if size > 0 && size <= MOST_VALUES && values <= MOST_VALUES => Ok((values, size)),
        _ => Err(VariantError::Shape { images, shape }),
    }
}

/// The values of one image, if everything fits.
fn check(images: &Masked, backgrounds: Option<&[u8]>) -> Result<usize, VariantError> {
    let (values, size) = values_of(images.labels.len(), images.shape)?;
    length("pixels", images.pixels.len(), values)?;
    length("masks", images.masks.len(), values / images.shape[2])?;
    length("backgrounds", backgrounds.unwrap_or(images.pixels).len(), values)?;
    check_labels(images.labels, images.classes)?;
    Ok(size)
}

fn length(what: &'static str, found: usize, expected: usize) -> Result<(), VariantError> {
    if found == expected { Ok(()) } else { Err(VariantError::Length { what, found, expected }) }
}

fn check_labels(labels: &[i32], classes: usize) -> Result<(), VariantError> {
    let is_class = |label: i32| usize::try_from(label).is_ok_and(|label| label < classes);
    match labels.iter().position(|label| !is_class(*label)) {
        Some(index) => Err(VariantError::Label { index, label: labels[index], classes }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;

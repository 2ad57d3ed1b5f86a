//! Backgrounds for images that have none.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng as _;

use super::{Variant, VariantError, below, check_labels, generator, values_of};

/// A background for each image, whose look depends on its class: a grating over value noise.
///
/// A class has a direction, a number of waves across the shorter side, a phase and a level of grey. An image shifts
/// phase and level by a little, and draws contrast and noise. The same seed gives the image at a position the same
/// background whatever the other images are. All channels are equal.
///
/// # Errors
/// A size of zero; a label without a class.
pub fn textures(labels: &[i32], classes: usize, shape: [usize; 3], seed: u64) -> Result<Vec<u8>, VariantError> {
    let (values, size) = values_of(labels.len(), shape)?;
    check_labels(labels, classes)?;
    let [height, width, channels] = shape;
    let side = height.min(width);
    let cell = (side / NOISE_CELLS).max(1);
    let columns = width / cell + 2;
    let mut lattice = vec![0; columns * (height / cell + 2)];
    let mut output = vec![0; values];
    for (index, out) in output.chunks_exact_mut(size).enumerate() {
        let mut random = generator(seed, Variant::Original, index);
        let grating = Grating::of(labels[index] as u32, side, &mut random);
        random.fill_bytes(&mut lattice);
        for (at, pixel) in out.chunks_exact_mut(channels).enumerate() {
            let (y, x) = (at / width, at % width);
            let noise = value_noise(&lattice, columns, cell, y, x) - 128;
            pixel.fill((grating.at(y, x) + NOISE * noise / 128).clamp(0, 255) as u8);
        }
    }
    Ok(output)
}

/// How far value noise moves a level of grey.
const NOISE: i64 = 24;
/// Cells of value noise along the shorter side.
const NOISE_CELLS: usize = 7;
/// Waves across the shorter side, in the order of classes; then again from the first.
const WAVES: [i64; 3] = [2, 3, 5];
/// Levels of grey of classes, from and how far. Dark enough that most objects stand out.
const LEVELS: [i64; 2] = [52, 80];
/// How far an image may be from the level of its class.
const LEVEL_SHIFT: i64 = 24;
/// Contrast of gratings, least and most.
const CONTRAST: [i64; 2] = [16, 48];
/// A whole turn of a phase.
const TURN: i64 = 1 << 16;
/// How far an image may be from the phase of its class.
const PHASE_SHIFT: i64 = TURN / 4;

/// A wave over the plane.
struct Grating {
    /// Phase at the upper left corner, and its steps to the right and down.
    phase: i64,
    step: [i64; 2],
    level: i64,
    contrast: i64,
}

impl Grating {
    /// Fractions of multiples of an irrational number are spread evenly, whatever the number of classes.
    fn of(class: u32, side: usize, random: &mut ChaCha8Rng) -> Grating {
        let spread = |irrational: i64| i64::from(class) * irrational % TURN;
        // A half turn on the square |x| + |y| = 1, then onto the circle. 40503 is the golden ratio in units of a turn.
        let x = TURN / 2 - spread(40503);
        let y = TURN / 2 - x.abs();
        let length = (x * x + y * y).isqrt();
        let waves = WAVES[class as usize % WAVES.len()];
        let mut between = |least: i64, most: i64| least + below(random, (most - least + 1) as u64) as i64;
        Grating {
            // The fractions of √3 and √2.
            phase: spread(47975) + between(-PHASE_SHIFT, PHASE_SHIFT),
            step: [x, y].map(|part| waves * TURN * part / (length * side as i64)),
            level: LEVELS[0] + LEVELS[1] * spread(27146) / TURN + between(-LEVEL_SHIFT, LEVEL_SHIFT),
            contrast: between(CONTRAST[0], CONTRAST[1]),
        }
    }

    fn at(&self, y: usize, x: usize) -> i64 {
        let phase = (self.phase + x as i64 * self.step[0] + y as i64 * self.step[1]).rem_euclid(TURN);
        // A triangle wave from -256 to 256, then its corners rounded: t (3 - t²) / 2.
        let wave = 256 - (phase - TURN / 2).abs() / 64;
        let wave = wave * (3 * (1 << 16) - wave * wave) / (1 << 17);
        self.level + self.contrast * wave / 256
    }
}

/// Between the four random values around a pixel, bilinear; 0 to 255.
fn value_noise(lattice: &[u8], columns: usize, cell: usize, y: usize, x: usize) -> i64 {
    let corner = y / cell * columns + x / cell;
    let [up, left] = [cell - y % cell, cell - x % cell];
    let mix = |at: usize| usize::from(lattice[at]) * left + usize::from(lattice[at + 1]) * (cell - left);
    ((mix(corner) * up + mix(corner + columns) * (cell - up)) / (cell * cell)) as i64
}

//! Pictures: PNG files from pixels, and a layer of many points as one picture.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plotters::style::RGBColor;

use super::PlotError;

/// Bytes in standard base64.
pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A PNG file of 8-bit pixels, row after row.
///
/// # Errors
/// The pixels do not fill the picture.
pub(super) fn png(width: u32, height: u32, color: ::png::ColorType, pixels: &[u8]) -> Result<Vec<u8>, PlotError> {
    encode(width, height, color, pixels, None)
}

fn encode(
    width: u32,
    height: u32,
    color: ::png::ColorType,
    pixels: &[u8],
    palette: Option<(Vec<u8>, Vec<u8>)>,
) -> Result<Vec<u8>, PlotError> {
    let mut file = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut file, width, height);
    encoder.set_color(color);
    encoder.set_depth(::png::BitDepth::Eight);
    encoder.set_compression(::png::Compression::High);
    if let Some((colors, alphas)) = palette {
        // Neighbouring numbers of a palette mean nothing, so filters only add noise.
        encoder.set_filter(::png::Filter::NoFilter);
        encoder.set_palette(colors);
        encoder.set_trns(alphas);
    }
    let mut writer = encoder.write_header().map_err(|error| PlotError::Png(error.to_string()))?;
    writer.write_image_data(pixels).map_err(|error| PlotError::Png(error.to_string()))?;
    writer.finish().map_err(|error| PlotError::Png(error.to_string()))?;
    Ok(file)
}

/// Shades of each colour in a layer of points; the last is the full colour.
const SHADES: usize = 4;

/// A transparent picture with a round dot at each point, later ones on top. `points`: x, y in pixels and the index of
/// the colour. At most 60 colours. O(points x radius²).
///
/// # Errors
/// The picture cannot be written.
pub(super) fn dots(
    (width, height): (u32, u32),
    points: impl Iterator<Item = (f64, f64, usize)>,
    radius: f64,
    colors: &[RGBColor],
) -> Result<Vec<u8>, PlotError> {
    let mut pixels = vec![0_u8; width as usize * height as usize];
    for (x, y, color) in points {
        dot(&mut pixels, (width, height), (x, y), radius, color.min(59));
    }
    let mut palette = vec![0; 3];
    let mut alphas = vec![0];
    for color in colors.iter().take(60) {
        for shade in 1..=SHADES {
            palette.extend([color.0, color.1, color.2]);
            alphas.push((shade * 255 / SHADES) as u8);
        }
    }
    encode(width, height, ::png::ColorType::Indexed, &pixels, Some((palette, alphas)))
}

fn dot(pixels: &mut [u8], (width, height): (u32, u32), (x, y): (f64, f64), radius: f64, color: usize) {
    let rows = (y - radius - 1.0).floor().max(0.0) as u32..=((y + radius + 1.0).max(0.0) as u32).min(height - 1);
    for row in rows {
        let columns = (x - radius - 1.0).floor().max(0.0) as u32..=((x + radius + 1.0).max(0.0) as u32).min(width - 1);
        for column in columns {
            let distance = (f64::from(column) + 0.5 - x).hypot(f64::from(row) + 0.5 - y);
            let shade = ((radius + 0.5 - distance).clamp(0.0, 1.0) * SHADES as f64).round() as usize;
            let place = &mut pixels[row as usize * width as usize + column as usize];
            let below = usize::from(*place).saturating_sub(1) % SHADES + 1;
            // A pixel holds one colour: an edge goes over what is fainter, a body over everything.
            if shade > 0 && (*place == 0 || shade > SHADES / 2 || shade >= below) {
                *place = (color * SHADES + shade) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_lie_where_they_should() {
        let red = RGBColor(255, 0, 0);
        let file = dots((9, 5), [(4.5, 2.5, 0), (-50.0, 900.0, 0)].into_iter(), 1.5, &[red]).expect("a file");
        let mut decoder = ::png::Decoder::new(std::io::Cursor::new(&file));
        decoder.set_transformations(::png::Transformations::EXPAND);
        let mut reader = decoder.read_info().expect("a header");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut pixels).expect("pixels");
        assert_eq!((info.width, info.height, info.color_type), (9, 5, ::png::ColorType::Rgba));
        let alpha = |x: usize, y: usize| pixels[(y * 9 + x) * 4 + 3];
        assert_eq!(pixels[(2 * 9 + 4) * 4..][..4], [255, 0, 0, 255]);
        assert_eq!((alpha(0, 0), alpha(8, 4), alpha(4, 1)), (0, 0, 255));
        assert!(alpha(3, 1) > 0 && alpha(3, 1) < 255);
    }

    #[test]
    fn pixels_must_fill_a_picture() {
        assert!(png(2, 2, ::png::ColorType::Grayscale, &[1, 2, 3]).is_err());
        assert!(png(2, 2, ::png::ColorType::Grayscale, &[1, 2, 3, 4]).is_ok());
    }
}

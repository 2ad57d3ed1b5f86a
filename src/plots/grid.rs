//! Sample images in rows, one row for each cluster or class.

use plotters::style::text_anchor::{HPos, VPos};

use super::axis::fixed;
use super::legend::{Label, at, sheet, title};
use super::style::{self, TEXT, WIDTH};
use super::{Figure, PlotError, figure, raster};
use crate::picture::Picture;

/// A grid without rows yet.
pub fn image_grid() -> ImageGrid {
    ImageGrid::default()
}

/// Rows of sample images, to be drawn with [`ImageGrid::draw`].
#[derive(Clone, Debug, Default)]
pub struct ImageGrid {
    rows: Vec<Row>,
    title: Option<String>,
    broken: Option<PlotError>,
}

#[derive(Clone, Debug)]
struct Row {
    title: String,
    images: Vec<Small>,
}

/// An image in colour, at most [`LARGEST`] pixels wide and high.
#[derive(Clone, Debug)]
pub(super) struct Small {
    rgb: Vec<[u8; 3]>,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Small {
    /// A PNG file; a grey image as grey.
    pub(super) fn png(&self) -> Result<Vec<u8>, PlotError> {
        let (width, height) = (self.width as u32, self.height as u32);
        if self.rgb.iter().all(|[r, g, b]| r == g && g == b) {
            let grey: Vec<u8> = self.rgb.iter().map(|rgb| rgb[0]).collect();
            return raster::png(width, height, ::png::ColorType::Grayscale, &grey);
        }
        raster::png(width, height, ::png::ColorType::Rgb, self.rgb.as_flattened())
    }
}

/// Larger images are averaged down to this many pixels a side; the figure shows them smaller still.
const LARGEST: usize = 96;

const MOST_ROWS: usize = 150;
const MOST_COLUMNS: usize = 24;

impl ImageGrid {
    /// Adds a row of images under a title such as `cluster 3 (812 images)`.
    pub fn row<'a, P: Into<Picture<'a>>>(mut self, title: &str, images: impl IntoIterator<Item = P>) -> ImageGrid {
        let images: Vec<Picture<'a>> = images.into_iter().map(Into::into).collect();
        self.add(title, &images);
        self
    }

    /// A title above the figure. On a page the caption says it better.
    pub fn title(mut self, text: &str) -> ImageGrid {
        self.title = Some(text.to_owned());
        self
    }

    fn add(&mut self, title: &str, images: &[Picture<'_>]) {
        let mut row = Row { title: title.to_owned(), images: Vec::new() };
        for (index, picture) in images.iter().enumerate() {
            match small(picture) {
                Some(image) => row.images.push(image),
                None => {
                    self.broken.get_or_insert(broken(title, index, picture));
                }
            }
        }
        self.rows.push(row);
    }

    /// Draws the figure: one PNG picture, with the titles as text beside it.
    ///
    /// # Errors
    /// An image whose bytes do not match its size; no image at all; more than 150 rows or 24 images in a row.
    pub fn draw(&self) -> Result<Figure, PlotError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let columns = self.rows.iter().map(|row| row.images.len()).max().unwrap_or(0);
        if columns == 0 {
            return Err(PlotError::NoData { what: "images".to_owned(), rows: self.rows.len() });
        }
        for (what, count, limit) in
            [("rows of images", self.rows.len(), MOST_ROWS), ("images in a row", columns, MOST_COLUMNS)]
        {
            if count > limit {
                return Err(PlotError::TooMany { what, count, limit });
            }
        }
        let lines: Vec<Vec<String>> =
            self.rows.iter().map(|row| style::wrap(&row.title, TEXT, WIDTH * 0.3, 2)).collect();
        let widest = lines.iter().flatten().map(|line| style::width(line, TEXT)).fold(0.0, f64::max);
        let left = if widest > 0.0 { widest + 12.0 } else { 0.0 };
        let (tile, gap) = self.tile();
        // A tile is not enlarged beyond a sixth of the figure.
        let cell = ((WIDTH - left) / columns as f64).min(WIDTH / 6.0);
        let top = title(None, self.title.as_deref())?;
        let height = top + cell * self.rows.len() as f64 + 2.0;
        let (canvas, sheet) = sheet(height);
        title(Some(&sheet), self.title.as_deref())?;
        for (row, lines) in lines.iter().enumerate() {
            let middle = top + (row as f64 + 0.5) * cell;
            let first = middle - (lines.len() - 1) as f64 * 10.0;
            for (index, line) in lines.iter().enumerate() {
                let size = if lines.len() > 1 { TEXT.min(cell / 2.1) } else { TEXT };
                let label = Label::new(line, HPos::Right, VPos::Center).size(size);
                label.draw(&sheet, left - 10.0, first + index as f64 * 20.0)?;
            }
        }
        let png = self.picture(columns, tile, gap)?;
        let right = left + cell * columns as f64;
        let sharp = tile <= 40;
        canvas.image(at(left, top), at(right, top + cell * self.rows.len() as f64), &png, sharp);
        let heading = self.title.as_deref().unwrap_or("Sample images");
        Ok(figure(&canvas.body(), (WIDTH, height.ceil()), heading, self.description(columns)))
    }

    /// Side of a tile in pixels, and of the gap around its image.
    fn tile(&self) -> (usize, usize) {
        let images = self.rows.iter().flat_map(|row| &row.images);
        let side = images.map(|image| image.width.max(image.height)).max().unwrap_or(1);
        let gap = (side / 14).max(1);
        (side + 2 * gap, gap)
    }

    /// All images on a transparent ground; grey ones as grey.
    fn picture(&self, columns: usize, tile: usize, gap: usize) -> Result<Vec<u8>, PlotError> {
        let (width, height) = (columns * tile, self.rows.len() * tile);
        let pixels = || self.rows.iter().flat_map(|row| &row.images).flat_map(|image| &image.rgb);
        let grey = pixels().all(|[r, g, b]| r == g && g == b);
        let bytes = if grey { 2 } else { 4 };
        let mut sheet = vec![0_u8; width * height * bytes];
        for (row, images) in self.rows.iter().enumerate() {
            for (column, image) in images.images.iter().enumerate() {
                let across = column * tile + gap + (tile - 2 * gap - image.width) / 2;
                let down = row * tile + gap + (tile - 2 * gap - image.height) / 2;
                for (index, rgb) in image.rgb.iter().enumerate() {
                    let (x, y) = (across + index % image.width, down + index / image.width);
                    let at = (y * width + x) * bytes;
                    let pixel = &mut sheet[at..at + bytes];
                    if grey {
                        pixel.copy_from_slice(&[rgb[0], 255]);
                    } else {
                        pixel.copy_from_slice(&[rgb[0], rgb[1], rgb[2], 255]);
                    }
                }
            }
        }
        let color = if grey { ::png::ColorType::GrayscaleAlpha } else { ::png::ColorType::Rgba };
        raster::png(width as u32, height as u32, color, &sheet)
    }

    fn description(&self, columns: usize) -> String {
        let count: usize = self.rows.iter().map(|row| row.images.len()).sum();
        let titles: Vec<String> =
            self.rows.iter().map(|row| row.title.clone()).filter(|title| !title.is_empty()).collect();
        let rows = if self.rows.len() == 1 { "row" } else { "rows" };
        let mut text =
            format!("Grid of {} sample images: {} {rows} of up to {columns}.", fixed(count as f64, 0), self.rows.len());
        if !titles.is_empty() {
            text.push_str(&format!(" From top to bottom: {}.", titles.join("; ")));
        }
        text
    }
}

/// The error for an image whose parts do not match.
pub(super) fn broken(row: &str, index: usize, picture: &Picture<'_>) -> PlotError {
    let Picture { ref pixels, width, height, channels } = *picture;
    PlotError::Picture { row: row.to_owned(), index, width, height, channels, bytes: pixels.len() }
}

/// The image in colour, averaged over whole blocks of pixels if it is large; none if its parts do not match.
pub(super) fn small(picture: &Picture<'_>) -> Option<Small> {
    let Picture { ref pixels, width, height, channels } = *picture;
    let sides = 1..=1 << 16;
    if !sides.contains(&width) || !sides.contains(&height) || !matches!(channels, 1 | 3) {
        return None;
    }
    if pixels.len() != width * height * channels {
        return None;
    }
    let block = width.max(height).div_ceil(LARGEST);
    let (across, down) = (width.div_ceil(block), height.div_ceil(block));
    let mut rgb = Vec::with_capacity(across * down);
    for row in 0..down {
        for column in 0..across {
            let (rows, columns) =
                (row * block..height.min((row + 1) * block), column * block..width.min((column + 1) * block));
            let mut sum = [0_u32; 3];
            let count = (rows.len() * columns.len()) as u32;
            for y in rows {
                for x in columns.clone() {
                    let pixel = &pixels[(y * width + x) * channels..][..channels];
                    for (channel, total) in sum.iter_mut().enumerate() {
                        *total += u32::from(pixel[channel.min(channels - 1)]);
                    }
                }
            }
            rgb.push(sum.map(|total| ((total + count / 2) / count) as u8));
        }
    }
    Some(Small { rgb, width: across, height: down })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_one_picture_with_titles() {
        let grey: Vec<u8> = (0..28 * 28).map(|index| (index % 256) as u8).collect();
        let row = || (0..3).map(|_| (grey.as_slice(), 28, 28, 1));
        let made = image_grid().row("cluster 0 <a>", row()).row("cluster 1", row().take(1)).draw().expect("drawn");
        assert_eq!(made.svg.matches("<image").count(), 1);
        assert!(made.svg.contains(">cluster 0 &lt;a&gt;<") && made.svg.contains("image-rendering=\"pixelated\""));
        assert_eq!(
            made.description,
            "Grid of 4 sample images: 2 rows of up to 3. From top to bottom: cluster 0 <a>; cluster 1."
        );
    }

    #[test]
    fn large_images_are_averaged() {
        let mut pixels = vec![0_u8; 192 * 96 * 3];
        pixels[..6].copy_from_slice(&[100, 0, 0, 200, 0, 0]);
        let image =
            small(&Picture { pixels: (&pixels[..]).into(), width: 192, height: 96, channels: 3 }).expect("an image");
        assert_eq!((image.width, image.height), (96, 48));
        assert_eq!(image.rgb[0], [75, 0, 0]);
    }

    #[test]
    fn bad_input_is_named() {
        let short = image_grid().row("a", [(&[1_u8, 2, 3][..], 2, 2, 1)]).draw();
        assert!(matches!(short, Err(PlotError::Picture { bytes: 3, index: 0, .. })));
        assert!(matches!(image_grid().draw(), Err(PlotError::NoData { .. })));
        let huge = image_grid().row("a", [(&[][..], usize::MAX, usize::MAX, 3)]).draw();
        assert!(matches!(huge, Err(PlotError::Picture { .. })));
    }
}

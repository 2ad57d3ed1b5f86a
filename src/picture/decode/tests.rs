use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::preprocess::Preprocessing;

/// Images and what Pillow and torchvision make of them: some of those that `tests/parity/images.py` makes.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/images");

/// The images may also be those in a folder that `REPORT_IMAGES` names, as `make parity` does it.
#[test]
fn equal_to_pillow_and_torchvision_in_every_byte() {
    let other = std::env::var("REPORT_IMAGES").ok();
    let images = images(other.as_deref().unwrap_or(FIXTURES));
    assert!(images.len() >= 12);
    for (name, bytes, expected) in images {
        let picture = decode(&bytes).expect(&name);
        let pixels = Preprocessing::imagenet(224).resize_and_crop(&picture);
        let colours: Vec<u8> = match picture.channels {
            1 => pixels.iter().flat_map(|grey| [*grey; 3]).collect(),
            _ => pixels,
        };
        let found: String = Sha256::digest(&colours).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn truncated_files_are_refused() {
    for (name, bytes, _) in fixtures() {
        // What may be missing at the end: the fill of the last row, marks, a chunk without content.
        let last = match format_of(&name) {
            "BMP" => 4,
            "GIF" => 9,
            "PNG" => 13,
            // A colour profile.
            _ if name == "tiff-jpeg.tif" => 3146,
            _ => 1,
        };
        for length in [bytes.len() / 5, bytes.len() / 2, bytes.len() * 9 / 10, bytes.len() - last] {
            assert_refused(&bytes[..length], &format!("the {} file is truncated", format_of(&name)));
        }
    }
}

#[test]
fn other_files_are_refused() {
    let message = "it is not a JPEG, PNG, GIF, BMP, WebP, TIFF, PGM or PPM file";
    for bytes in [&b""[..], b"\x89PN", b"GIF88a\0\0\0\0\0", b"RIFF\0\0\0\0WAVEfmt ", b"P3 2 2 255\n", b"<svg/>"] {
        assert_refused(bytes, message);
    }
    for (_, mut bytes, _) in fixtures() {
        bytes[0] ^= 1;
        assert_refused(&bytes, message);
    }
}

#[test]
fn a_file_that_is_only_its_magic_is_refused() {
    assert_refused(b"\xff\xd8\xff", "the JPEG file is truncated");
    assert_refused(b"\x89PNG\r\n\x1a\n", "the PNG file is truncated");
    assert_refused(b"GIF89a", "the GIF file is truncated");
    assert_refused(b"BM", "the BMP file is truncated");
    assert_refused(b"RIFF\x04\0\0\0WEBP", "the WebP file is truncated");
    assert_refused(b"II*\0", "the TIFF file is truncated");
}

#[test]
fn huge_claims_are_refused_before_memory_is_taken() {
    let claim = |name: &str, place: usize, sides: &[u8]| {
        let mut bytes = fixture(name);
        bytes[place..place + sides.len()].copy_from_slice(sides);
        bytes
    };
    let start_of_frame = fixture("jpeg-420-q92.jpg").windows(2).position(|pair| pair == [0xff, 0xc0]).expect("a frame");
    let jpeg = claim("jpeg-420-q92.jpg", start_of_frame + 5, &[0x75, 0x30, 0x75, 0x30]);
    assert_refused(&jpeg, "its 30000 x 30000 pixels are more than 178956970");
    // Time, not memory.
    let mut scans = fixture("jpeg-422-q35-progressive.jpg");
    let start_of_frame = scans.windows(2).position(|pair| pair == [0xff, 0xc2]).expect("a frame");
    scans[start_of_frame + 5..][..4].copy_from_slice(&[0x27, 0x10, 0x27, 0x10]);
    scans.extend([0xff, 0xda].repeat(40));
    assert_refused(&scans, "the JPEG file is damaged: 50 scans are too many for 10000 x 10000 pixels");
    // With the checksum of this header.
    let png = claim("png-1-bit-0.png", 16, &[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0, 8, 2, 0, 0, 0, 39, 48, 156, 159]);
    assert_refused(&png, "its 100000 x 100000 pixels are more than 178956970");
    let gif = claim("gif-transparent.gif", 6, &[0xff; 4]);
    assert_refused(&gif, "its 65535 x 65535 pixels are more than 178956970");
    let bmp = claim("bmp-palette.bmp", 18, &[0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f]);
    assert_refused(&bmp, "its 2147483647 x 2147483647 pixels are more than 178956970");
    // The canvas of its VP8X chunk, less one.
    let webp = claim("webp-alpha.webp", 24, &[0x1f, 0x4e, 0, 0x1f, 0x4e, 0]);
    assert_refused(&webp, "its 20000 x 20000 pixels are more than 178956970");
    assert_refused(&tiff_file(60_000, 60_000, 1, 8), "its 60000 x 60000 pixels are more than 178956970");
}

#[test]
fn kinds_that_pillow_reads_otherwise_are_refused() {
    assert_refused(&tiff_file(3, 2, 1, 4), "this kind of TIFF file is not supported: Gray(4)");
    let mut bmp = fixture("bmp-palette.bmp");
    bmp[30] = 1;
    assert_refused(&bmp, "this kind of BMP file is not supported: run-length compression");
    bmp[14] = 41;
    assert_refused(&bmp, "this kind of BMP file is not supported: its header has 41 bytes");
}

#[test]
fn files_without_pixels_are_refused() {
    let mut bmp = fixture("bmp-palette.bmp");
    bmp[22..26].fill(0);
    assert_refused(&bmp, "it has no pixels");
    // A frame of 0 x 1 on a screen of 1 x 1.
    let gif = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\0\0\x01\0\0\x02\x02\x4c\x01\0;";
    assert_refused(gif, "it has no pixels");
}

/// What libjpeg says reaches the message.
#[test]
fn a_damaged_jpeg_is_refused_with_libjpegs_reason() {
    let mut bytes = fixture("jpeg-420-q92.jpg");
    let tables = bytes.windows(2).position(|pair| pair == [0xff, 0xc4]).expect("a Huffman table");
    bytes[tables + 4] = 0x77;
    assert_refused(&bytes, "the JPEG file is damaged: Bogus DHT index 103");
}

#[test]
fn a_damaged_jpeg_inside_a_tiff_is_refused() {
    let mut tiff = tiff_file(3, 2, 1, 8);
    let compression = tiff.windows(2).position(|pair| pair == [3, 1]).expect("tag 259");
    tiff[compression + 8] = 7;
    assert_refused(&tiff, "the TIFF file is truncated");
    let mut tiff = fixture("tiff-jpeg.tif");
    let tables = tiff.windows(2).position(|pair| pair == [0xff, 0xc4]).expect("a Huffman table");
    tiff[tables + 4] = 0x77;
    assert_refused(&tiff, "the TIFF file is damaged: Bogus DHT index 103");
}

/// As Pillow has it: orientation counts in TIFF.
#[test]
fn tiff_is_turned_as_it_says() {
    let expected = [
        (2, [1, 2, 3, 4, 5, 6]),
        (2, [3, 2, 1, 6, 5, 4]),
        (2, [6, 5, 4, 3, 2, 1]),
        (2, [4, 5, 6, 1, 2, 3]),
        (3, [1, 4, 2, 5, 3, 6]),
        (3, [4, 1, 5, 2, 6, 3]),
        (3, [6, 3, 5, 2, 4, 1]),
        (3, [3, 6, 2, 5, 1, 4]),
    ];
    for (orientation, (height, pixels)) in (1..).zip(expected) {
        let picture = decode(&tiff_file(3, 2, orientation, 8)).expect("decodes");
        assert_eq!((picture.height, picture.width, picture.channels), (height, 6 / height, 1));
        assert_eq!(*picture.pixels, pixels, "{orientation}");
    }
}

#[test]
fn sixteen_bits_of_grey_are_clipped_and_others_cut() {
    let png = |colours, transparent: Option<Vec<u8>>, samples: &[u8]| {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
        encoder.set_color(colours);
        encoder.set_depth(png::BitDepth::Sixteen);
        transparent.into_iter().for_each(|colour| encoder.set_trns(colour));
        encoder.write_header().expect("a header").write_image_data(samples).expect("data");
        decode(&bytes).expect("decodes")
    };
    let grey = [0, 200, 1, 44];
    assert_eq!(*png(png::ColorType::Grayscale, None, &grey).pixels, [200, 255]);
    assert_eq!(*png(png::ColorType::Grayscale, Some(vec![1, 44]), &grey).pixels, [200, 255]);
    let with_alpha = [9, 200, 0, 0, 10, 44, 255, 255];
    assert_eq!(*png(png::ColorType::GrayscaleAlpha, None, &with_alpha).pixels, [9, 10]);
    let colours = [1, 255, 2, 255, 3, 255, 4, 0, 5, 0, 6, 0];
    assert_eq!(*png(png::ColorType::Rgb, None, &colours).pixels, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_gif_is_as_large_as_screen_and_frame() {
    let bytes = fixture("gif-transparent.gif");
    let sized = |width: u16, height: u16| {
        let screen = [width.to_le_bytes(), height.to_le_bytes()].concat();
        decode(&[&bytes[..6], &screen, &bytes[10..]].concat()).expect("decodes")
    };
    let (small, same, large) = (sized(1, 1), sized(320, 240), sized(330, 241));
    assert_eq!(small, same);
    assert_eq!((same.width, same.height, large.width, large.height), (320, 240, 330, 241));
    // The transparent colour, number 5, is around the frame.
    assert_eq!(large.pixels[320 * 3..][..3], bytes[13 + 5 * 3..][..3]);
    assert_eq!(large.pixels[330 * 3..][..320 * 3], same.pixels[320 * 3..][..320 * 3]);
}

#[test]
fn a_bmp_may_begin_at_the_top() {
    let header = [&b"BM"[..], &[0; 8], &[54, 0, 0, 0, 40, 0, 0, 0]].concat();
    let rest = [&[1, 0, 24, 0][..], &[0; 24], &[1, 2, 3, 0, 4, 5, 6, 0]].concat();
    let with_height = |height: i32| {
        decode(&[&header, &1_u32.to_le_bytes()[..], &height.to_le_bytes(), &rest].concat()).expect("decodes").pixels
    };
    assert_eq!(*with_height(2), [6, 5, 4, 3, 2, 1]);
    assert_eq!(*with_height(-2), [3, 2, 1, 6, 5, 4]);
}

/// The same damages every time. None may panic, hang or take more than its share of memory.
#[test]
fn damaged_files_end_in_a_picture_or_an_error() {
    let mut state = 1_u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for (name, whole, _) in fixtures() {
        for _ in 0..40 {
            let mut bytes = whole.clone();
            let reach = if draw(2) == 0 { 200 } else { bytes.len() };
            for _ in 0..1 + draw(4) {
                bytes[draw(reach)] = draw(256) as u8;
            }
            match decode(&bytes) {
                Ok(Picture { pixels, height, width, channels }) => {
                    assert_eq!(pixels.len(), height * width * channels, "{name}");
                    assert!(channels == 1 || channels == 3, "{name}");
                }
                Err(error) => assert!(!error.to_string().contains(['\n', '\0']), "{name}: {error}"),
            }
        }
    }
}

fn assert_refused(bytes: &[u8], message: &str) {
    match decode(bytes) {
        Ok(Picture { width, height, .. }) => panic!("{width} x {height} pixels instead of `{message}`"),
        Err(error) => assert_eq!(error.to_string(), message),
    }
}

/// Name, content and the SHA-256 of the pixels after resizing and cropping.
fn fixtures() -> Vec<(String, Vec<u8>, String)> {
    images(FIXTURES)
}

/// Names, bytes, and the sums of what they should become.
fn images(folder: &str) -> Vec<(String, Vec<u8>, String)> {
    let read = |name: &str| std::fs::read(format!("{folder}/{name}")).expect(name);
    let json: Value = serde_json::from_slice(&read("images.json")).expect("JSON");
    let sums = json["pixels_sha256"].as_object().expect("an object");
    sums.iter().map(|(name, sum)| (name.clone(), read(name), sum.as_str().expect("a sum").to_owned())).collect()
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{FIXTURES}/{name}")).expect(name)
}

fn format_of(name: &str) -> &'static str {
    match name.split('-').next() {
        Some("jpeg") => "JPEG",
        Some("png") => "PNG",
        Some("gif") => "GIF",
        Some("bmp") => "BMP",
        Some("webp") => "WebP",
        _ => "TIFF",
    }
}

/// An uncompressed grey TIFF whose pixels are 1, 2, 3, 4, 5, 6.
fn tiff_file(width: u32, height: u32, orientation: u32, bits: u32) -> Vec<u8> {
    const ENTRIES: u32 = 10;
    let pixels_at = 8 + 2 + 12 * ENTRIES + 4;
    let entries: [(u16, u32); ENTRIES as usize] = [
        (256, width),
        (257, height),
        (258, bits),
        (259, 1),
        (262, 1),
        (273, pixels_at),
        (274, orientation),
        (277, 1),
        (278, height),
        (279, 6),
    ];
    let mut bytes = [&b"II*\0\x08\0\0\0"[..], &(ENTRIES as u16).to_le_bytes()].concat();
    for (tag, value) in entries {
        // One number of 32 bits.
        bytes.extend([tag.to_le_bytes(), [4, 0]].concat());
        bytes.extend([1, value].map(u32::to_le_bytes).concat());
    }
    bytes.extend([0, 0, 0, 0, 1, 2, 3, 4, 5, 6]);
    bytes
}

#[test]
fn portable_maps() {
    let picture = decode(b"P6\n# made by hand\n2 1\n255\n\x01\x02\x03\n# \xff").expect("decoded");
    assert_eq!((picture.width, picture.height, picture.channels), (2, 1, 3));
    assert_eq!(*picture.pixels, [1, 2, 3, b'\n', b'#', b' ']);
    assert_eq!(*decode(b"P5 1 2 255 ab").expect("decoded").pixels, *b"ab");
    assert_refused(b"P5 1 2 255 a", "the PPM file is truncated");
    assert_refused(b"P5 1", "the PPM file is truncated");
    assert_refused(b"P5 #", "the PPM file is truncated");
    assert_refused(b"P5 1 x 255 a", "the PPM file is damaged: a size that is no number");
    assert_refused(b"P5 1 1 65535 ab", "this kind of PPM file is not supported: samples from 0 to 65535");
    assert_refused(b"P6 99999 99999 255 a", "its 99999 x 99999 pixels are more than 178956970");
}

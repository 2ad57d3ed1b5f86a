use super::*;

#[test]
fn definitions_pixel_by_pixel() {
    // Foreground of 200 and more in rows 1 and 2, columns 1 and 2; it leaves columns 3 and 4 as the largest strip.
    let pixels = [
        [1, 2, 3, 4, 5],
        [6, 201, 202, 9, 10],
        [11, 203, 13, 14, 15],
        [16, 17, 18, 19, 20], //
    ];
    let masks: Vec<bool> = pixels.concat().iter().map(|value| *value > 200).collect();
    let images = Masked { pixels: &pixels.concat(), shape: [4, 5, 1], masks: &masks, labels: &[0], classes: 1 };
    for (variant, expected) in [
        (Variant::Original, pixels),
        (Variant::OnlyFg, [[0; 5], [0, 201, 202, 0, 0], [0, 203, 0, 0, 0], [0; 5]]),
        (Variant::NoFg, [[1, 2, 3, 4, 5], [6, 0, 0, 9, 10], [11, 0, 13, 14, 15], [16, 17, 18, 19, 20]]),
        (Variant::OnlyBgB, [[1, 2, 3, 4, 5], [6, 0, 0, 9, 10], [11, 0, 0, 14, 15], [16, 17, 18, 19, 20]]),
        (Variant::OnlyBgT, [[1, 2, 3, 4, 5], [6, 10, 9, 9, 10], [11, 15, 14, 14, 15], [16, 17, 18, 19, 20]]),
        // There is no other image.
        (Variant::MixedSame, [[1, 2, 3, 4, 5], [6, 201, 202, 9, 10], [11, 203, 14, 14, 15], [16, 17, 18, 19, 20]]),
        (Variant::Inverted, pixels.map(|row| row.map(|value| 255 - value))),
    ] {
        assert_eq!(render(&images, None, variant, 1).expect("fits"), expected.concat(), "{variant:?}");
    }
    let backgrounds = [50; 20];
    for (variant, expected) in [
        (Variant::Original, [50, 201, 202, 50, 50]),
        (Variant::OnlyFg, [0, 201, 202, 0, 0]),
        (Variant::NoFg, [50, 0, 0, 50, 50]),
        (Variant::OnlyBgT, [50; 5]),
    ] {
        let rendered = render(&images, Some(&backgrounds), variant, 1).expect("fits");
        assert_eq!(rendered[5..10], expected, "{variant:?}");
    }
}

#[test]
fn the_tile_is_the_largest_strip() {
    for (top, bottom, left, right, expected) in [
        (0, 4, 3, 4, Some((0, 4, 0, 3))),
        (0, 4, 0, 1, Some((0, 4, 1, 4))),
        (3, 4, 0, 4, Some((0, 3, 0, 4))),
        (0, 1, 1, 4, Some((1, 4, 0, 4))),
        (1, 3, 1, 3, Some((3, 4, 0, 4))),
        (2, 4, 1, 2, Some((0, 2, 0, 4))),
        (1, 4, 1, 3, Some((0, 1, 0, 4))),
        (0, 4, 1, 3, Some((0, 4, 3, 4))),
        (0, 4, 0, 4, None),
    ] {
        let strip = largest_strip(Area { top, bottom, left, right }, [4, 4, 1]);
        let strip = strip.map(|strip| (strip.top, strip.bottom, strip.left, strip.right));
        assert_eq!(strip, expected, "{top} {bottom} {left} {right}");
    }
    // Tiles begin at the corner of the image, not of the box; all channels move together.
    let pixels: Vec<u8> = (0..24).collect();
    let masks = [false, false, false, true, true, true, false, false, false, false, false, false];
    let images = Masked { pixels: &pixels, shape: [2, 6, 2], masks: &masks, labels: &[0], classes: 1 };
    let tiled = render(&images, None, Variant::OnlyBgT, 0).expect("fits");
    assert_eq!(tiled[..12], [0, 1, 2, 3, 4, 5, 12 + 6, 12 + 7, 12 + 8, 12 + 9, 12 + 10, 12 + 11]);
    assert_eq!(tiled[12..], pixels[12..]);
}

#[test]
fn lenders_are_of_the_class_asked_for() {
    // One pixel of foreground, then one that tells the image. Image 8 has no strip and never lends.
    let pixels: Vec<u8> = (0..9).flat_map(|index| [100 + index, index]).collect();
    let mut masks = [true, false].repeat(9);
    masks[17] = true;
    let labels = [0, 0, 0, 2, 2, 4, 0, 2, 3];
    let images = Masked { pixels: &pixels, shape: [1, 2, 1], masks: &masks, labels: &labels, classes: 6 };
    let mut seen = [[0; 9]; 3];
    for seed in 0..300 {
        for (at, variant) in [Variant::MixedSame, Variant::MixedRand, Variant::MixedNext].into_iter().enumerate() {
            let mixed = render(&images, None, variant, seed).expect("fits");
            for index in 0..8 {
                assert_eq!(mixed[2 * index], pixels[2 * index], "{variant:?}: the foreground stays");
                let lender = usize::from(mixed[2 * index + 1]);
                let expected = match variant {
                    Variant::MixedSame => labels[index],
                    Variant::MixedNext => [2, 0, 4, 0, 0][labels[index] as usize],
                    _ => labels[lender],
                };
                assert_eq!(labels[lender], expected, "{variant:?}");
                assert!(lender != index || index == 5, "{variant:?}: only image 5 is alone in its class");
                seen[at][lender] += 1;
            }
            assert_eq!(mixed[16..], [108, 8], "it covers every background");
        }
    }
    // Classes evenly: of 2,400 draws 800 to class 4, which has one image, and 200 to each of class 0; six deviations.
    let [_, rand, _] = seen;
    assert!((660..=940).contains(&rand[5]) && (120..=280).contains(&rand[0]) && rand[8] == 0, "{rand:?}");
    assert!(seen[0][..8].iter().chain(&seen[2][..8]).all(|count| *count > 0), "{seen:?}");
}

#[test]
fn empty_and_full_masks() {
    let pixels = [9, 8, 7, 6, 5, 4, 3, 2];
    let backgrounds = [50, 51, 52, 53, 60, 61, 62, 63];
    let masks = [[false; 4], [true; 4]].concat();
    let images = Masked { pixels: &pixels, shape: [2, 2, 1], masks: &masks, labels: &[0, 1], classes: 2 };
    for (variant, expected) in [
        (Variant::Original, [50, 51, 52, 53, 5, 4, 3, 2]),
        (Variant::OnlyFg, [0, 0, 0, 0, 5, 4, 3, 2]),
        (Variant::NoFg, [50, 51, 52, 53, 0, 0, 0, 0]),
        (Variant::OnlyBgB, [50, 51, 52, 53, 0, 0, 0, 0]),
        (Variant::OnlyBgT, [50, 51, 52, 53, 0, 0, 0, 0]),
        (Variant::MixedSame, [50, 51, 52, 53, 5, 4, 3, 2]),
        (Variant::MixedRand, [50, 51, 52, 53, 5, 4, 3, 2]),
        (Variant::MixedNext, [50, 51, 52, 53, 5, 4, 3, 2]),
    ] {
        assert_eq!(render(&images, Some(&backgrounds), variant, 3).expect("fits"), expected, "{variant:?}");
    }
    let full = Masked { pixels: &pixels[4..], masks: &masks[4..], labels: &[1], ..images };
    let none = Masked { pixels: &[], masks: &[], labels: &[], ..images };
    for variant in Variant::ALL {
        assert_eq!(render(&full, None, variant, 3).expect("nobody lends").len(), 4, "{variant:?}");
        assert_eq!(render(&none, Some(&[]), variant, 3).expect("no images"), Vec::<u8>::new(), "{variant:?}");
    }
    assert_eq!(textures(&[], 0, [1, 1, 1], 3).expect("no images"), Vec::<u8>::new());
}

#[test]
fn what_does_not_fit_is_named() {
    let good = Masked { pixels: &[0; 12], shape: [2, 3, 1], masks: &[true; 12], labels: &[0, 1], classes: 2 };
    assert!(render(&good, Some(&[0; 12]), Variant::MixedRand, 0).is_ok());
    for (images, backgrounds, expected) in [
        (Masked { pixels: &[0; 11], ..good }, None, "pixels: 11 values instead of 12"),
        (Masked { masks: &[true; 13], ..good }, None, "masks: 13 values instead of 12"),
        (good, Some([0; 3].as_slice()), "backgrounds: 3 values instead of 12"),
        (Masked { labels: &[0, 2], ..good }, None, "image 1 has the label 2, but there are 2 classes"),
        (Masked { labels: &[-1, 0], ..good }, None, "image 0 has the label -1"),
        (Masked { shape: [2, 0, 1], ..good }, None, "2 images of the shape [2, 0, 1]"),
        (Masked { shape: [usize::MAX, 3, 1], ..good }, None, "2 images of the shape [18446744073709551615, 3, 1]"),
        (Masked { shape: [0, 3, 1], labels: &[], ..good }, None, "0 images of the shape [0, 3, 1]"),
    ] {
        let message = render(&images, backgrounds, Variant::MixedRand, 0).expect_err(expected).to_string();
        assert!(message.starts_with(expected), "{message}");
    }
    let many = Masked { classes: usize::MAX, ..good };
    assert!(render(&many, None, Variant::MixedNext, 0).is_ok(), "a claim costs nothing");
    assert!(textures(&[3], 3, [2, 2, 1], 0).is_err());
    assert!(textures(&[0, 0], 1, [1 << 16, 1 << 16, 3], 0).is_err());
    let message = mask_of_black_background(&[0; 7], [2, 3, 1]).expect_err("one and a bit").to_string();
    assert_eq!(message, "pixels: 7 values instead of 6");
}

#[test]
fn background_is_what_the_border_reaches() {
    for (name, picture, expected) in [
        ("a ring keeps its hole", ["     ", " ### ", " # # ", " ### ", "     "], [0, 3, 3, 3, 0]),
        ("an open ring does not", ["     ", " ### ", " #   ", " ### ", "     "], [0, 3, 1, 3, 0]),
        ("no way through corners", ["     ", "  #  ", " # # ", "  #  ", "     "], [0, 1, 3, 1, 0]),
        ("the border alone", ["#####", "#   #", "#   #", "#   #", "#####"], [5, 5, 5, 5, 5]),
        ("an inlet", ["## ##", "#   #", "# # #", "#   #", "#####"], [4, 2, 3, 2, 5]),
    ] {
        // Dark is up to 16; an image of three channels is as bright as its brightest.
        for channels in [1, 3] {
            let pixel = |byte: u8| {
                let mut pixel = vec![if byte == b'#' { 17 } else { 16 }; channels];
                pixel[..channels - 1].fill(0);
                pixel
            };
            let pixels: Vec<u8> = picture.concat().bytes().flat_map(pixel).collect();
            let masks = mask_of_black_background(&pixels.repeat(2), [5, 5, channels]).expect("fits");
            let rows: Vec<usize> = masks.chunks(5).map(|row| row.iter().filter(|value| **value).count()).collect();
            assert_eq!(rows, expected.repeat(2), "{name}, {channels} channels");
        }
    }
    assert_eq!(mask_of_black_background(&[0, 17], [1, 1, 1]).expect("fits"), [false, true]);
    assert_eq!(mask_of_black_background(&[], [1, 1, 1]).expect("no images"), Vec::<bool>::new());
}

#[test]
fn a_sketch_has_strokes_on_the_dark_side() {
    let row = [0, 0, 40, 40, 0, 0];
    let images = Masked { pixels: &row.repeat(3), shape: [3, 6, 1], masks: &[true; 18], labels: &[0], classes: 1 };
    // Beside the edge S = 40 / 4 and g = 0.
    assert_eq!(render(&images, None, Variant::Sketch, 0).expect("fits"), [255, 215, 255, 255, 215, 255].repeat(3));
    let masked = Masked { masks: &[false; 18], ..images };
    assert_eq!(render(&masked, Some(&row.repeat(3)), Variant::Sketch, 0).expect("fits"), [255; 18], "no background");
    let colour: Vec<u8> = [[0, 0, 0], [255, 0, 0]].concat();
    let images = Masked { pixels: &colour, shape: [1, 2, 3], masks: &[true; 2], labels: &[0], classes: 1 };
    // g = (77 × 255 + 128) / 256 = 77, and 4 S = 77.
    assert_eq!(render(&images, None, Variant::Sketch, 0).expect("fits"), [178, 178, 178, 255, 255, 255]);
}

#[test]
fn textures_depend_on_class_position_and_seed_only() {
    let labels: Vec<i32> = (0..200).map(|index| index % 10).collect();
    let all = textures(&labels, 10, [28, 28, 1], 7).expect("fits");
    assert_eq!(textures(&labels[..50], 10, [28, 28, 1], 7).expect("fits"), all[..50 * 784], "the first ones");
    let mut other = labels.clone();
    other[3] = 9;
    let changed = textures(&other, 10, [28, 28, 1], 7).expect("fits");
    assert!(changed[..3 * 784] == all[..3 * 784] && changed[4 * 784..] == all[4 * 784..], "the others stay");
    assert_ne!(changed[3 * 784..4 * 784], all[3 * 784..4 * 784]);
    assert_ne!(textures(&labels, 10, [28, 28, 1], 8).expect("fits"), all);
    let colour = textures(&labels[..2], 10, [28, 28, 3], 7).expect("fits");
    assert!(colour.chunks(3).zip(&all).all(|(pixel, grey)| pixel == [*grey; 3]), "grey in colour");
    // Images of a class are nearer to each other than to those of other classes.
    let distance = |a: usize, b: usize| -> u64 {
        let pairs = all[a * 784..][..784].iter().zip(&all[b * 784..][..784]);
        pairs.map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum()
    };
    let mean = |same: bool| {
        let pairs = (0..200).flat_map(|a| (0..a).map(move |b| (a, b))).filter(|(a, b)| ((a - b) % 10 == 0) == same);
        let sums = pairs.fold((0, 0), |(sum, count), (a, b)| (sum + distance(a, b), count + 1));
        sums.0 / sums.1
    };
    assert!(5 * mean(true) < 3 * mean(false), "{} {}", mean(true), mean(false));
    for shape in [[1, 1, 1], [1, 40, 2], [40, 1, 1], [6, 7, 1], [225, 64, 1]] {
        let size = shape.iter().product::<usize>();
        assert_eq!(textures(&[0, 999], 1000, shape, 7).expect("fits").len(), 2 * size, "{shape:?}");
    }
}

#[test]
fn parts_make_up_the_whole() {
    let (pixels, masks, labels) = synthetic();
    let images = Masked { pixels: &pixels, shape: [28, 28, 1], masks: &masks, labels: &labels, classes: 10 };
    let backgrounds = textures(&labels, 10, [28, 28, 1], 1).expect("fits");
    let make =
        |images: &Masked, variant| render(images, Some(&backgrounds[..images.pixels.len()]), variant, 1).expect("fits");
    let [original, fg, no_fg, bg_b, bg_t] =
        [Variant::Original, Variant::OnlyFg, Variant::NoFg, Variant::OnlyBgB, Variant::OnlyBgT]
            .map(|variant| make(&images, variant));
    for at in 0..pixels.len() {
        assert_eq!(fg[at] + no_fg[at], original[at]);
        assert!(bg_b[at] == 0 || bg_b[at] == no_fg[at]);
        assert!(bg_b[at] == 0 || bg_b[at] == bg_t[at]);
    }
    let first = Masked { pixels: &pixels[..784 * 30], masks: &masks[..784 * 30], labels: &labels[..30], ..images };
    for variant in Variant::ALL {
        let (all, part) = (make(&images, variant), make(&first, variant));
        if variant.name().starts_with("mixed") {
            let kept = (0..pixels.len()).all(|at| !masks[at] || all[at] == pixels[at]);
            assert!(kept, "{variant:?}: the foreground is untouched");
        } else {
            assert_eq!(part, all[..part.len()], "{variant:?} of the first images");
        }
    }
}

#[test]
fn the_same_bytes_on_every_machine() {
    let (pixels, masks, labels) = synthetic();
    let images = Masked { pixels: &pixels, shape: [28, 28, 1], masks: &masks, labels: &labels, classes: 10 };
    let backgrounds = textures(&labels, 10, [28, 28, 1], 1).expect("fits");
    let sums = Variant::ALL.map(|variant| {
        let rendered = render(&images, Some(&backgrounds), variant, 1).expect("fits");
        blake3::hash(&rendered).to_hex()[..16].to_owned()
    });
    assert_eq!(sums, GOLDEN);
}

/// The first 16 digits of each BLAKE3, in the order of [`Variant::ALL`]; computed once on x86_64.
const GOLDEN: [&str; 10] = [
    "59f8f396d092b37d",
    "1860cb42027599db",
    "7264dbbfc04ba1c1",
    "0ee767f483184436",
    "13a22d1e1ffc13d8",
    "71cd891db9428fc6",
    "78cd6b98f41bf99a",
    "b6caa110319cb3bb",
    "917900d1c585ec02",
    "f8bc09da3d2efb29",
];

/// 100 images of 28 × 28 on black, as clothes are: two boxes whose size and grey depend on the class and the image.
fn synthetic() -> (Vec<u8>, Vec<bool>, Vec<i32>) {
    let labels: Vec<i32> = (0..100).map(|index| index * 7 % 10).collect();
    let mut pixels = vec![0; 100 * 784];
    for (index, image) in pixels.chunks_exact_mut(784).enumerate() {
        let class = labels[index] as usize;
        let (top, left) = (index % 6, (index + class) % 5);
        for (at, pixel) in image.iter_mut().enumerate() {
            let (y, x) = (at / 28, at % 28);
            let body = y >= top && y < 18 + class && x >= 6 + left && x < 22 - left;
            let sleeves = y >= 8 && y < 12 + class / 2 && x >= left && x < 28 - class / 3;
            if body || sleeves {
                *pixel = (60 + 15 * class + (x * y + index) % 40) as u8;
            }
        }
    }
    let masks = mask_of_black_background(&pixels, [28, 28, 1]).expect("fits");
    (pixels, masks, labels)
}

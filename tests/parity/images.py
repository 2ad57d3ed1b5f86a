#!/usr/bin/env python3
"""200 varied images, and what Pillow and torchvision make of each: 224 x 224 bytes before the normalisation.

    python3 images.py OUT [--only NAME ...] [--fixtures FOLDER]

OUT/images/NAME holds the images, made from real photographs of the packages foolbox, scikit-image and scikit-learn (found
on disk, not imported) by a fixed rule; OUT/references.npy what `Image.open`, `convert("RGB")`, `Resize(224)` and
`CenterCrop(224)` give, 200 x 224 x 224 x 3 bytes, in the order of OUT/images.json, which says what each image is, and of
OUT/list.txt, which has the names alone; OUT/images/images.json has a sum of each result. FOLDER gets the images of the unit tests, with a sum of each result.
The same packages make the same bytes. foolbox's images are their owners': read them, do not commit them.

    pip install torch torchvision numpy pillow simplejpeg
    pip install --no-deps foolbox scikit-image scikit-learn
"""

import argparse
import hashlib
import importlib.util
import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL
import simplejpeg
import torchvision
from PIL import Image, features
from torchvision import transforms

REFERENCE = transforms.Compose([transforms.Resize(224), transforms.CenterCrop(224)])
# Free ones (public domain or CC0, see skimage/data/_fetchers.py): what is made of these may be committed.
FREE = ["skimage/data/astronaut.png", "skimage/data/chelsea.png", "skimage/data/coffee.png", "skimage/data/rocket.jpg"]
MORE = [
    "skimage/data/retina.jpg",
    "sklearn/datasets/images/china.jpg",
    "sklearn/datasets/images/flower.jpg",
    "skimage/data/ihc.png",
]
# What the unit tests use: small, of each format, and free.
FIXTURES = [
    "jpeg-420-q92.jpg", "jpeg-422-q35-progressive.jpg", "jpeg-grey-q60.jpg", "jpeg-exif-6.jpg", "jpeg-cmyk-420.jpg",
    "jpeg-ycck-420.jpg", "png-16-bit-grey-dark-0.png", "png-palette-alphas.png", "png-1-bit-0.png", "png-4-bit-grey-0.png",
    "gif-transparent.gif", "webp-q60.webp", "webp-alpha.webp", "bmp-palette.bmp", "tiff-1-bit.tif",
    "tiff-palette.tif", "tiff-jpeg.tif",
]  # fmt: skip
# Width x height.
SIZES = [
    (1, 1), (1, 500), (500, 1), (2, 2), (2, 3), (3, 700), (7, 5), (8, 8), (9, 17), (16, 16), (17, 16), (28, 28), (32, 32),
    (63, 65), (100, 50), (223, 224), (224, 223), (224, 224), (225, 224), (224, 225), (225, 300), (256, 256), (255, 257),
    (300, 224), (320, 240), (333, 500), (500, 375), (501, 333), (640, 480), (1000, 31), (31, 1000), (1023, 769), (450, 448),
    (448, 448), (449, 897), (672, 672), (1344, 224), (1600, 1200), (2000, 3000), (3000, 2000),
]  # fmt: skip


def installed(path):
    """The file of a package, without importing the package."""
    package, rest = path.split("/", 1)
    return Path(importlib.util.find_spec(package).submodule_search_locations[0]) / rest


class Photographs:
    """Takes turns in giving photographs, cut and scaled to a size."""

    def __init__(self):
        self.free = [installed(path) for path in FREE]
        self.all = self.free + [installed(path) for path in MORE] + sorted(installed("foolbox/data").glob("imagenet_*.jpg"))
        self.turn = 0

    def next(self, width, height, free=False):
        files = self.free if free else self.all
        photograph = Image.open(files[self.turn % len(files)]).convert("RGB")
        self.turn += 1
        # The largest part of the middle with this ratio, so that the photograph is not distorted; thin ones are.
        scale = min(photograph.width / width, photograph.height / height)
        cut = max(8, min(photograph.width, round(width * scale))), max(8, min(photograph.height, round(height * scale)))
        left, top = (photograph.width - cut[0]) // 2, (photograph.height - cut[1]) // 2
        return photograph.crop((left, top, left + cut[0], top + cut[1])).resize((width, height), Image.Resampling.LANCZOS)


def saved(image, kind, **options):
    """The bytes of a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def with_alpha(image):
    """A soft disc of alpha, with both ends: the colours under alpha 0 count, as `convert` drops alpha."""
    y, x = np.ogrid[-1 : 1 : image.height * 1j, -1 : 1 : image.width * 1j]
    alpha = np.clip(400 * (1.1 - np.hypot(x, y)), 0, 255).astype(np.uint8)
    image = image.copy()
    image.putalpha(Image.fromarray(alpha))
    return image


# ---- PNG, by hand: Pillow writes no 16-bit colour, no 2- or 4-bit grey and no interlace ----

PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(samples, bits, colour, interlaced=False, transparent=None):
    """`samples`: height x width x channels, integers; `colour`: PNG's type (0 grey, 2 RGB, 4 grey + alpha, 6 RGBA)."""
    height, width, _ = samples.shape
    passes = [samples[top::down, left::right] for left, top, right, down in PASSES] if interlaced else [samples]
    data = b"".join(scan_lines(part, bits) for part in passes if part.size)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(data, 6)), (b"IEND", b"")]
    if transparent is not None:
        chunks.insert(1, (b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)))
    pack = lambda name, body: struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return b"\x89PNG\r\n\x1a\n" + b"".join(pack(name, body) for name, body in chunks)


def scan_lines(samples, bits):
    rows = samples.reshape(len(samples), -1)
    if bits == 16:
        packed = rows.astype(">u2").view(np.uint8)
    else:
        places = np.unpackbits(rows.astype(np.uint8)[..., None], axis=2)[..., 8 - bits :]
        packed = np.packbits(places.reshape(len(rows), -1), axis=1)
    return np.insert(packed, 0, 0, axis=1).tobytes()


def sixteen(image):
    """8-bit to 16-bit samples that use the low byte too: v * 257, plus noise of a fixed rule."""
    samples = np.asarray(image).astype(np.int64) * 257
    samples = samples if samples.ndim == 3 else samples[..., None]
    noise = np.arange(samples.size).reshape(samples.shape) * 40503 % 257 - 128
    return np.clip(samples + noise, 0, 65535)


# ---- JPEG ----


def cmyk(image):
    """Ink with some black in it; Pillow's own convert("CMYK") leaves K at 0."""
    c, m, y, _ = np.moveaxis(np.asarray(image.convert("CMYK")).astype(int), 2, 0)
    k = np.minimum(np.minimum(c, m), y) * 3 // 4
    return Image.fromarray(np.stack([c - k, m - k, y - k, k], 2).clip(0, 255).astype(np.uint8), "CMYK")


def ycck(image, **options):
    """What Photoshop writes. Pillow inverts on writing, so that Y, Cb, Cr are handed over inverted; then Adobe's transform 2."""
    ink = np.asarray(cmyk(image))
    colours = np.asarray(Image.fromarray(np.ascontiguousarray(ink[..., :3])).convert("YCbCr"))
    data = saved(Image.fromarray(np.dstack([255 - colours, ink[..., 3]]), "CMYK"), "JPEG", **options)
    at = data.index(b"Adobe") + 11
    assert data[at] == 0
    return data[:at] + b"\x02" + data[at + 1 :]


def without_adobe(data):
    """Cuts Adobe's segment out, which says what the colours are."""
    at = data.index(b"\xff\xee")
    assert data[at + 4 : at + 9] == b"Adobe"
    return data[:at] + data[at + 2 + struct.unpack(">H", data[at + 2 : at + 4])[0] :]


def rotated(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


# ---- the list ----


def images():
    """Yields name, bytes and whether the result may be committed."""
    photographs = Photographs()
    free = lambda width, height: photographs.next(width, height, free=True)
    for index, (width, height) in enumerate(SIZES):
        image = photographs.next(width, height)
        kind, options = ("PNG", {"compress_level": 1}) if index % 2 else ("JPEG", {"quality": 90})
        yield f"size-{width}x{height}.{'png' if index % 2 else 'jpg'}", saved(image, kind, **options), False
    for path in sorted(installed("foolbox/data").glob("imagenet_*.jpg")):
        yield f"foolbox-{path.name}", path.read_bytes(), False
    for name in ["retina.jpg", "hubble_deep_field.jpg", "rocket.jpg", "astronaut.png", "page.png", "horse.png", "logo.png",
                 "color.png", "multipage.tif", "no_time_for_that_tiny.gif"]:  # fmt: skip
        yield f"skimage-{name}", installed(f"skimage/data/{name}").read_bytes(), False
    for name in ["china.jpg", "flower.jpg"]:
        yield f"sklearn-{name}", installed(f"sklearn/datasets/images/{name}").read_bytes(), False

    # JPEG: 16 + 8 + 8 + 6 + 8 + 4 = 50
    for quality in [35, 92]:
        for sampling in ["444", "422", "420"]:
            for progressive in [False, True]:
                name = f"jpeg-{sampling}-q{quality}{'-progressive' if progressive else ''}.jpg"
                options = {"quality": quality, "subsampling": ":".join(sampling), "progressive": progressive}
                yield name, saved(free(331, 247), "JPEG", **options), True
        for sampling in ["440", "411"]:
            pixels = np.ascontiguousarray(np.asarray(photographs.next(331, 247)))
            yield f"jpeg-{sampling}-q{quality}.jpg", simplejpeg.encode_jpeg(pixels, quality, "RGB", sampling), False
    for quality in [1, 5, 20, 50, 75, 85, 98, 100]:
        yield f"jpeg-420-large-q{quality}.jpg", saved(photographs.next(480, 360), "JPEG", quality=quality), False
    for quality in [30, 60, 95, 100]:
        yield f"jpeg-grey-q{quality}.jpg", saved(free(300, 260).convert("L"), "JPEG", quality=quality), True
        yield (
            f"jpeg-grey-progressive-q{quality}.jpg",
            saved(free(226, 341).convert("L"), "JPEG", quality=quality, progressive=True),
            True,
        )
    yield "jpeg-rgb-inside.jpg", saved(free(280, 240), "JPEG", quality=90, keep_rgb=True), True
    yield "jpeg-restart.jpg", saved(free(280, 240), "JPEG", quality=85, restart_marker_blocks=3), True
    yield "jpeg-optimised.jpg", saved(free(280, 240), "JPEG", quality=85, optimize=True), True
    yield "jpeg-comment.jpg", saved(free(280, 240), "JPEG", quality=85, comment=b"x" * 3000, dpi=(300, 72)), True
    yield "jpeg-profile.jpg", saved(free(280, 240), "JPEG", quality=85, icc_profile=b"not a profile" * 9), True
    yield "jpeg-bytes-after-the-end.jpg", saved(free(280, 240), "JPEG", quality=85) + b"more" * 50, True
    for orientation in range(1, 9):
        yield f"jpeg-exif-{orientation}.jpg", saved(free(300, 200), "JPEG", quality=90, exif=rotated(orientation)), True
    for quality in [60, 95]:
        yield f"jpeg-cmyk-q{quality}.jpg", saved(cmyk(free(300, 240)), "JPEG", quality=quality), True
        yield f"jpeg-ycck-q{quality}.jpg", ycck(free(300, 240), quality=quality), True
    yield "jpeg-cmyk-progressive.jpg", saved(cmyk(free(240, 300)), "JPEG", quality=90, progressive=True), True
    yield "jpeg-cmyk-420.jpg", saved(cmyk(free(240, 300)), "JPEG", quality=90, subsampling="4:2:0"), True
    yield "jpeg-ycck-420.jpg", ycck(free(240, 300), quality=90, subsampling="4:2:0"), True
    yield "jpeg-cmyk-without-adobe.jpg", without_adobe(saved(cmyk(free(300, 240)), "JPEG", quality=90)), True

    # PNG
    grey = lambda width, height: np.asarray(free(width, height).convert("L"))[..., None]
    for number, (width, height) in enumerate([(240, 320), (400, 230)]):
        yield f"png-grey-{number}.png", saved(free(width, height).convert("L"), "PNG"), True
        yield f"png-grey-alpha-{number}.png", saved(with_alpha(free(width, height)).convert("LA"), "PNG"), True
        yield f"png-rgba-{number}.png", saved(with_alpha(free(width, height)), "PNG"), True
        yield f"png-1-bit-{number}.png", saved(free(width, height).convert("1"), "PNG"), True
        yield f"png-2-bit-grey-{number}.png", png(grey(width, height) >> 6, 2, 0), True
        yield f"png-4-bit-grey-{number}.png", png(grey(width, height) >> 4, 4, 0), True
        yield f"png-16-bit-grey-{number}.png", png(sixteen(free(width, height).convert("L")), 16, 0), True
        yield f"png-16-bit-grey-dark-{number}.png", png(sixteen(free(width, height).convert("L")) // 200, 16, 0), True
        yield f"png-16-bit-rgb-{number}.png", png(sixteen(free(width, height)), 16, 2), True
        yield f"png-16-bit-rgba-{number}.png", png(sixteen(with_alpha(free(width, height))), 16, 6), True
        yield f"png-16-bit-grey-alpha-{number}.png", png(sixteen(with_alpha(free(width, height)).convert("LA")), 16, 4), True
        yield f"png-interlaced-{number}.png", png(np.asarray(free(width, height)), 8, 2, interlaced=True), True
        for colours, bits in [(2, 1), (4, 2), (16, 4), (256, 8)]:
            palette = free(width, height).quantize(colours)
            yield f"png-palette-{bits}-bit-{number}.png", saved(palette, "PNG", bits=bits), True
    yield "png-palette-adaptive.png", saved(free(300, 260).convert("P", palette=Image.Palette.ADAPTIVE, colors=200), "PNG"), True
    yield "png-palette-one-transparent.png", saved(free(300, 260).quantize(64), "PNG", transparency=3), True
    yield "png-palette-alphas.png", saved(free(300, 260).quantize(64), "PNG", transparency=bytes(range(0, 256, 4))), True
    yield "png-palette-rgba.png", saved(with_alpha(free(300, 260)).quantize(128), "PNG"), True
    yield "png-grey-transparent.png", png(grey(300, 260), 8, 0, transparent=[128]), True
    yield "png-rgb-transparent.png", png(np.asarray(free(300, 260)), 8, 2, transparent=[10, 20, 30]), True
    yield "png-16-bit-grey-interlaced.png", png(sixteen(free(231, 245).convert("L")), 16, 0, interlaced=True), True
    yield "png-1-bit-interlaced.png", png(grey(231, 245) >> 7, 1, 0, interlaced=True), True
    yield "png-gamma.png", gamma(saved(free(300, 260), "PNG")), True
    for orientation in [3, 6]:
        yield f"png-exif-{orientation}.png", saved(free(300, 200), "PNG", exif=rotated(orientation)), True

    # GIF, BMP, WebP, TIFF
    yield "gif-256.gif", saved(free(320, 240), "GIF"), True
    yield "gif-16.gif", saved(free(320, 240).quantize(16), "GIF"), True
    yield "gif-grey.gif", saved(free(320, 240).convert("L"), "GIF"), True
    yield "gif-not-interlaced.gif", saved(free(320, 240).quantize(64), "GIF", interlace=0), True
    yield "gif-transparent.gif", saved(free(320, 240).quantize(64), "GIF", transparency=5), True
    yield (
        "gif-animated.gif",
        saved(free(260, 240).quantize(64), "GIF", save_all=True, append_images=[free(260, 240).quantize(64)]),
        True,
    )
    yield "bmp-24.bmp", saved(free(321, 240), "BMP"), True
    yield "bmp-32.bmp", saved(with_alpha(free(321, 240)), "BMP"), True
    yield "bmp-palette.bmp", saved(free(321, 240).quantize(200), "BMP"), True
    yield "bmp-grey.bmp", saved(free(321, 240).convert("L"), "BMP"), True
    yield "bmp-1-bit.bmp", saved(free(321, 240).convert("1"), "BMP"), True
    for quality in [10, 60, 95]:
        yield f"webp-q{quality}.webp", saved(free(341, 251), "WEBP", quality=quality), True
    yield "webp-lossless.webp", saved(free(320, 240), "WEBP", lossless=True), True
    yield "webp-alpha.webp", saved(with_alpha(free(320, 240)), "WEBP", quality=80, exact=True), True
    yield "webp-lossless-alpha.webp", saved(with_alpha(free(320, 240)), "WEBP", lossless=True, exact=True), True
    yield "webp-exif-6.webp", saved(free(320, 240), "WEBP", quality=80, exif=rotated(6)), True
    for compression in ["raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg"]:
        yield f"tiff-{compression}.tif", saved(free(300, 250), "TIFF", compression=compression), True
    yield "tiff-grey.tif", saved(free(300, 250).convert("L"), "TIFF"), True
    yield "tiff-rgba.tif", saved(with_alpha(free(300, 250)), "TIFF"), True
    yield "tiff-cmyk.tif", saved(cmyk(free(300, 250)), "TIFF"), True
    yield "tiff-palette.tif", saved(free(300, 250).quantize(256), "TIFF"), True
    yield "tiff-1-bit.tif", saved(free(300, 250).convert("1"), "TIFF"), True
    yield (
        "tiff-16-bit-grey.tif",
        saved(Image.fromarray(sixteen(free(300, 250).convert("L"))[..., 0].astype(np.uint16)), "TIFF"),
        True,
    )
    yield "tiff-orientation-6.tif", saved(free(300, 250), "TIFF", tiffinfo={274: 6}), True
    yield "tiff-orientation-3.tif", saved(free(300, 250), "TIFF", tiffinfo={274: 3}, compression="tiff_lzw"), True


def gamma(data):
    """With a gAMA chunk, which Pillow keeps but does not apply."""
    body = struct.pack(">I", 100000)
    chunk = struct.pack(">I", 4) + b"gAMA" + body + struct.pack(">I", zlib.crc32(b"gAMA" + body))
    return data[:33] + chunk + data[33:]


def reference(data):
    """How Pillow opens it, and the pixels after resizing and cropping."""
    with Image.open(io.BytesIO(data)) as image:
        opened = {"mode": image.mode, "width": image.width, "height": image.height}
        return opened, np.asarray(REFERENCE(image.convert("RGB")))


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these images")
    parser.add_argument("--fixtures", type=Path, metavar="FOLDER", help="copy the images of the unit tests to FOLDER")
    arguments = parser.parse_args()
    folder = arguments.out / "images"
    folder.mkdir(parents=True, exist_ok=True)
    files, rows, results = {}, [], []
    for name, data, free in images():
        if arguments.only and name not in arguments.only:
            continue
        (folder / name).write_bytes(data)
        opened, result = reference(data)
        files[name] = data
        sums = {"file_sha256": sha256(data), "pixels_sha256": sha256(result.tobytes())}
        rows.append({"name": name, **opened, "free": free, "bytes": len(data), **sums})
        results.append(result)
    libraries = {"libjpeg-turbo": "libjpeg_turbo", "libwebp": "webp", "libtiff": "libtiff"}
    versions = [f"{name} {features.version(feature)}" for name, feature in libraries.items()]
    made_by = ", ".join([f"Pillow {PIL.__version__}", *versions, f"torchvision {torchvision.__version__}"])
    np.save(arguments.out / "references.npy", np.stack(results))
    (arguments.out / "list.txt").write_text("".join(f"{name}\n" for name in files))
    write_json(arguments.out / "images.json", {"made_by": made_by, "images": rows})
    sums = {row["name"]: row["pixels_sha256"] for row in rows}
    write_json(folder / "images.json", {"made_by": made_by, "pixels_sha256": sums})
    if arguments.fixtures:
        arguments.fixtures.mkdir(parents=True, exist_ok=True)
        chosen = {row["name"]: row["pixels_sha256"] for row in rows if row["name"] in FIXTURES}
        assert all(row["free"] for row in rows if row["name"] in chosen)
        for name in chosen:
            (arguments.fixtures / name).write_bytes(files[name])
        write_json(arguments.fixtures / "images.json", {"made_by": made_by, "pixels_sha256": dict(sorted(chosen.items()))})
    print(f"{len(rows)} images in {folder}")


if __name__ == "__main__":
    main()

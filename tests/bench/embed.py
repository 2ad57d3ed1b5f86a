#!/usr/bin/env python3
"""`report embed` beside PyTorch eager with its DataLoader: the same weights, JPEG files and threads, in one run.

    python3 tests/bench/embed.py [--device cpu] [--encoders ...] [--batches 1 32 128] [--images 128] [--repeat 3]

For ResNet-50 and ViT-B/16 with random weights, which PyTorch draws and we import: images per second from files to vectors
(decode, resize, forward), and of the forward pass alone, from arrays to vectors. PyTorch is asked with its DataLoader
without workers and with one for each thread; the faster of the two is its figure. Its seconds begin when the network is
there and the weights are loaded; ours contain both. Nothing is read from our cache of embeddings. Both sides take turns;
figures are medians. Memory is the largest sum, over all processes of a side, of the memory that is theirs (PSS), looked at
ten times a second.
"""

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "parity"))
import check  # noqa: E402

REPORT = Path(os.environ.get("REPORT", check.REPORT))
FOLDER = check.CACHE.with_name("bench-embed")
# Ours; torchvision's; whose layout the checkpoint has.
ENCODERS = {"resnet50": "resnet50", "vit_b_16": "vitb16"}
GOALS = {"end to end": 1.3, "forward": 1.0}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N, for both sides (cpu)")
    parser.add_argument("--precision", default="f32", choices=["f32", "bf16"], help="numbers inside the networks (f32)")
    parser.add_argument("--encoders", nargs="+", choices=ENCODERS, default=list(ENCODERS))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 32, 128])
    parser.add_argument("--images", type=int, default=128, help="JPEG files, 500 x 375 (128)")
    parser.add_argument("--repeat", type=int, default=3, help="how often each side is measured (3)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of both sides")
    parser.add_argument("--python", type=Path, help="a Python with torch, torchvision and scikit-image, in place of our own")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        return print(json.dumps(peer(json.loads(options.work))))
    if not REPORT.exists():
        sys.exit(f"error: no {REPORT}: run `make build`")
    if not options.python:
        check.prepare()
    Bench(options).run()


class Bench:
    def __init__(self, options):
        self.options = options
        self.python = options.python or check.PYTHON
        threads = str(options.threads)
        self.environment = {**os.environ, "OMP_NUM_THREADS": threads, "RAYON_NUM_THREADS": threads}
        FOLDER.mkdir(parents=True, exist_ok=True)
        self.environment["REPORT_ENCODERS"] = str(FOLDER / "encoders")
        self.images, self.tensors = FOLDER / f"images-{options.images}", FOLDER / f"tensors-{options.images}.npy"

    def run(self):
        options = self.options
        versions = self.ask(do="versions", device=options.device)
        print(", ".join(f"{name} {version}" for name, version in versions.items()))
        print(f"{options.threads} threads of {os.cpu_count()}, load {os.getloadavg()[0]:.1f}, {options.images} JPEG files, {options.precision}")
        self.ask(do="make", images=str(self.images), tensors=str(self.tensors), count=options.images)
        for network, name in ENCODERS.items():
            if network in options.encoders and not (FOLDER / "encoders" / f"{name}.safetensors").exists():
                weights = FOLDER / f"{network}.pth"
                self.ask(do="weights", network=network, weights=str(weights))
                self.spawn([REPORT, "encoders", "import", weights, "--as", name])
        print(f"\n{'':32}{'report':>10}{'PyTorch':>10}{'':8}{'report':>9}{'PyTorch':>9}")
        print(f"{'':22}{'batch':>10}{'images/s':>10}{'images/s':>10}{'ratio':>8}{'MB':>9}{'MB':>9}  goal")
        for network in options.encoders:
            for what in GOALS:
                for batch in options.batches:
                    self.compare(network, what, batch)

    def compare(self, network, what, batch):
        sides = {"report": [], "PyTorch": [], "PyTorch, workers": []}
        if what == "forward":
            del sides["PyTorch, workers"]
        for _ in range(self.options.repeat):
            for side, results in sides.items():
                workers = self.options.threads if side.endswith("workers") else 0
                results.append(self.ours(network, what, batch) if side == "report" else self.theirs(network, what, batch, workers))
        rates = {side: self.options.images / statistics.median(seconds for seconds, _ in results) for side, results in sides.items()}
        memory = {side: max(peak for _, peak in results) / 1e6 for side, results in sides.items()}
        best = max((side for side in sides if side != "report"), key=rates.get)
        ratio = rates["report"] / rates[best]
        verdict = f"{GOALS[what]}x {'yes' if ratio >= GOALS[what] else 'no'}" + ("" if memory["report"] <= memory[best] else ", more memory")
        workers = " (workers)" if best.endswith("workers") else ""
        print(
            f"{network + ', ' + what:22}{batch:>10}{rates['report']:>10.1f}{rates[best]:>10.1f}{ratio:>7.2f}x"
            f"{memory['report']:>9.0f}{memory[best]:>9.0f}  {verdict}{workers}",
            flush=True,
        )

    def ours(self, network, what, batch):
        source = ["--images", self.images] if what == "end to end" else ["--tensors", self.tensors]
        options = ["--encoder", ENCODERS[network], "--batch", batch, "--device", self.options.device, "--precision", self.options.precision]
        with tempfile.TemporaryDirectory() as cache:
            output = Path(cache) / "vectors.npy"
            answer, peak = self.spawn([REPORT, "embed", *source, *options, "-o", output], REPORT_CACHE_DIR=cache)
        return json.loads(answer)["seconds"], peak

    def theirs(self, network, what, batch, workers):
        source = {"images": str(self.images)} if what == "end to end" else {"tensors": str(self.tensors)}
        job = {"do": "embed", "network": network, "weights": str(FOLDER / f"{network}.pth"), "batch": batch, "workers": workers, **source}
        job.update(device=self.options.device, precision=self.options.precision, threads=self.options.threads)
        answer, peak = self.spawn([self.python, __file__, "--work", json.dumps(job)])
        return json.loads(answer.splitlines()[-1])["seconds"], peak

    def ask(self, **job):
        return json.loads(self.spawn([self.python, __file__, "--work", json.dumps(job)])[0].splitlines()[-1])

    def spawn(self, command, **variables):
        """What a command prints, and the largest memory of it and its children in bytes."""
        command = [str(part) for part in command]
        process = subprocess.Popen(command, env={**self.environment, **variables}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        peak = [0]

        def watch():
            while process.poll() is None:
                peak[0] = max(peak[0], sum(map(pss, tree(process.pid))))
                time.sleep(0.1)

        watcher = threading.Thread(target=watch)
        watcher.start()
        answer, said = process.communicate()
        watcher.join()
        if process.returncode != 0:
            sys.exit(f"error: {' '.join(command)[:300]}: {said.strip()[-2000:]}")
        return answer, peak[0]


def tree(pid):
    """A process and all that descend from it."""
    found, todo = [], [pid]
    while todo:
        pid = todo.pop()
        found.append(pid)
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                todo += map(int, task.read_text().split())
            except OSError:
                pass
    return found


def pss(pid):
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


# ---- the other side, in a process of its own ----


def peer(job):
    if job["do"] == "make":
        return make(Path(job["images"]), Path(job["tensors"]), job["count"])
    import torch
    import torchvision

    if job["do"] == "versions":
        device = torch.cuda.get_device_name() if job["device"] != "cpu" else cpu()
        return {"torch": torch.__version__, "torchvision": torchvision.__version__, "on": device}
    network = getattr(torchvision.models, job["network"])
    if job["do"] == "weights":
        torch.manual_seed(1)
        torch.save(network().state_dict(), job["weights"])
        return {}
    torch.set_num_threads(job["threads"])
    kind = torch.bfloat16 if job["precision"] == "bf16" else torch.float32
    model = network()
    model.load_state_dict(torch.load(job["weights"]))
    # The vectors are what the head gets.
    if job["network"] == "resnet50":
        model.fc = torch.nn.Identity()
    else:
        model.heads = torch.nn.Identity()
    model = model.eval().to(job["device"], kind)
    with torch.inference_mode():
        if job["device"] != "cpu":
            model(torch.zeros(1, 3, 224, 224, device=job["device"], dtype=kind)).cpu()
        start = time.monotonic()
        found = [model(batch.to(job["device"], non_blocking=True).to(kind)).float().cpu() for batch in batches(job)]
        vectors = torch.cat(found)
        return {"seconds": time.monotonic() - start, "shape": list(vectors.shape)}


def batches(job):
    import numpy as np
    import torch

    if "tensors" in job:
        yield from torch.from_numpy(np.load(job["tensors"])).split(job["batch"])
        return
    from torchvision import datasets, transforms

    normalise = transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    preprocessing = transforms.Compose([transforms.Resize(224), transforms.CenterCrop(224), transforms.ToTensor(), normalise])
    images = datasets.ImageFolder(job["images"], preprocessing)
    loader = torch.utils.data.DataLoader(images, job["batch"], num_workers=job["workers"], pin_memory=job["device"] != "cpu")
    yield from (batch for batch, _ in loader)


def make(folder, tensors, count):
    """JPEG files, and as many random tensors."""
    import numpy as np

    if not tensors.exists():
        photographs(folder, count)
        np.save(tensors, np.random.default_rng(2).standard_normal((count, 3, 224, 224), dtype=np.float32))
    return {}


def photographs(folder, count):
    """Parts of scikit-image's photographs as JPEG files of 500 x 375 pixels."""
    import numpy as np
    from PIL import Image

    shutil.rmtree(folder, ignore_errors=True)
    random = np.random.default_rng(1)
    data = Path(importlib.util.find_spec("skimage").origin).parent / "data"  # Not imported: its own needs are not there.
    whole = [Image.open(data / name).convert("RGB") for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")]
    for number in range(count):
        photograph = whole[number % len(whole)]
        side = random.uniform(0.5, 0.9) * min(photograph.width / 4, photograph.height / 3)
        width, height = int(4 * side), int(3 * side)
        left, top = random.integers(photograph.width - width + 1), random.integers(photograph.height - height + 1)
        picture = photograph.crop((left, top, left + width, top + height)).resize((500, 375), Image.BICUBIC)
        (folder / "all").mkdir(parents=True, exist_ok=True)
        picture.save(folder / "all" / f"{number:05}.jpg", quality=90)


def cpu():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "a processor")


if __name__ == "__main__":
    main()

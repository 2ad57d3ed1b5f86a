#!/usr/bin/env python3
"""Reading images with `report` beside torchvision's datasets and PyTorch's DataLoader: the same files and workers, in one run.

    python3 tests/bench/data.py [--images 2000] [--batches 1 16 64] [--repeat 3] [--workers N] [--python PYTHON]

JPEG, a folder of photographs, and IDX, the training images of MNIST:
- pixels: each image is decoded, and its values and their squares are summed. `report datasets verify` beside `ImageFolder`
  or `MNIST` with `PILToTensor`. The workers give the sums only, which is faster than to pass images on.
- preprocessed: decoded, resized, cropped, normalised and put into one array. `report embed --encoder none` beside the same
  transforms.
Both sides read each file once before, and what they then find must be equal. Then they take turns; figures are the best of
all turns. Of PyTorch, the loop over a loader whose workers are there already, with the best size of batches. Of `report`, the
seconds that it prints, and those of the whole command, which loads libtorch and the dataset and writes the result. The very
first load of a folder decodes each image once more, to check it, and has a line of its own. Processor time does not depend
on what else runs: of PyTorch, of the loop and its workers; of `report`, of the whole command. Memory is the largest sum, over
all processes of a side, of the memory that is theirs (PSS), looked at ten times a second.
"""

import argparse
import json
import os
import re
import resource
import statistics
import sys
import time
from pathlib import Path

import embed

FOLDER = embed.check.CACHE.with_name("bench-data")
DATASETS = Path(os.environ.get("REPORT_DATA_DIR") or embed.check.CACHE.with_name("datasets"))
GOAL = 2.0
# A median that is so many times the best tells that other programs took the processor.
NOISE = 1.2
# What is read, and its name as a dataset.
DATASET = {"JPEG": "photographs", "IDX": "mnist"}
# What `report` prints is rounded.
TOLERANCE = 1e-4


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000, help="JPEG files, 500 x 375 (2000)")
    parser.add_argument("--only", nargs="+", choices=["JPEG", "IDX"], default=["JPEG", "IDX"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16, 64], help="sizes of PyTorch's batches (1 16 64)")
    parser.add_argument("--repeat", type=int, default=3, help="how often each side is measured (3)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="workers of PyTorch, and threads of ours")
    parser.add_argument("--python", type=Path, help="a Python with torch, torchvision and scikit-image, in place of our own")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        return print(json.dumps(peer(json.loads(options.work))))
    if not embed.REPORT.exists():
        sys.exit(f"error: no {embed.REPORT}: run `make build`")
    if "IDX" in options.only and not (DATASETS / "mnist" / "train-images-idx3-ubyte").exists():
        sys.exit(f"error: no MNIST in {DATASETS}: run `make data`")
    if not options.python:
        embed.check.prepare()
    Bench(options).run()


class Bench(embed.Bench):
    def __init__(self, options):
        options.threads = options.workers
        super().__init__(options)
        self.images, self.vectors = FOLDER / f"images-{options.images}", FOLDER / "vectors.npy"
        self.environment["REPORT_CACHE_DIR"] = str(FOLDER / "cache")
        # The row of the folder, in a data folder that has MNIST too.
        data = FOLDER / "datasets"
        data.mkdir(parents=True, exist_ok=True)
        row = f'[[dataset]]\nname = "photographs"\nlayout = "imagefolder"\nfolders = [{json.dumps(str(self.images))}]\n'
        (data / "datasets.toml").write_text(row)
        # Where torchvision looks for MNIST.
        for link in (data / "mnist", FOLDER / "MNIST" / "raw"):
            link.parent.mkdir(exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(DATASETS / "mnist")
        self.environment["REPORT_DATA_DIR"] = str(data)

    def run(self):
        options = self.options
        versions = self.ask(do="versions")
        print(", ".join(f"{name} {version}" for name, version in versions.items()))
        print(f"{options.workers} workers and threads of {os.cpu_count()}, load {os.getloadavg()[0]:.1f}, {options.images} JPEG files")
        self.ask(do="make", images=str(self.images), count=options.images)
        print(f"\n{'':20}{'report':>10}{'whole':>10}{'PyTorch':>10}{'':16}" + 2 * f"{'report':>9}{'PyTorch':>9}")
        columns = f"{'ratio':>8}{'whole':>8}{'CPU ms':>9}{'CPU ms':>9}{'MB':>9}{'MB':>9}"
        print(f"{'':20}{'images/s':>10}{'images/s':>10}{'images/s':>10}{columns}  goal")
        for kind in options.only:
            for work in ("pixels", "preprocessed"):
                self.compare(kind, DATASET[kind], work)

    def compare(self, kind, dataset, work):
        options = self.options
        first = self.ours(dataset, work, FOLDER / "first") if (kind, work) == ("JPEG", "pixels") else None
        warm = self.ours(dataset, work)
        theirs = self.theirs(dataset, work, max(options.batches), check=True)
        if theirs["difference"] > TOLERANCE:
            sys.exit(f"error: {kind}, {work}: the sides differ by {theirs['difference']}: {warm['found']}, {theirs['found']}")
        # Of MNIST's 60,000 small images, more at once is always faster for PyTorch.
        batches = options.batches if kind == "JPEG" else [max(options.batches)]
        turns = {side: [] for side in ["report", *batches]}
        for _ in range(options.repeat):
            for side, results in turns.items():
                results.append(self.ours(dataset, work) if side == "report" else self.theirs(dataset, work, side))
        count = theirs["images"]
        best = {side: min(result["seconds"] for result in results) for side, results in turns.items()}
        batch = min(batches, key=best.get)
        cpu = {side: min(result["cpu"] for result in results) * 1e3 / count for side, results in turns.items()}
        memory = {side: max(result["peak"] for result in results) / 1e6 for side, results in turns.items()}
        whole = min(result["whole"] for result in turns["report"])
        ratio = best[batch] / best["report"]
        medians = {side: statistics.median(result["seconds"] for result in results) for side, results in turns.items()}
        spread = max(medians[side] / best[side] for side in ("report", batch))
        verdict = f"{GOAL}x {'yes' if ratio >= GOAL else 'no'}" + ("" if memory["report"] <= memory[batch] else ", more memory")
        print(
            f"{kind + ', ' + work:20}{count / best['report']:>10.0f}{count / whole:>10.0f}{count / best[batch]:>10.0f}{ratio:>7.2f}x"
            f"{best[batch] / whole:>7.2f}x{cpu['report']:>9.3f}{cpu[batch]:>9.3f}{memory['report']:>9.0f}{memory[batch]:>9.0f}"
            f"  {verdict}{', noisy' if spread > NOISE else ''} (batch {batch}; difference {theirs['difference']:.0e})",
            flush=True,
        )
        if first:
            cost = f"{first['cpu'] * 1e3 / count:>9.3f}{'':9}{first['peak'] / 1e6:>9.0f}"
            print(f"{'JPEG, first load':20}{'':10}{count / first['whole']:>10.0f}{'':26}{cost}{'':9}  once", flush=True)

    def ours(self, dataset, work, cache=None):
        """With what it found: the means and standard deviations, or the file of the vectors. `cache`: one that is emptied."""
        variables = {}
        if cache:
            embed.shutil.rmtree(cache, ignore_errors=True)
            variables["REPORT_CACHE_DIR"] = str(cache)
        train = ["--partition", "train"] if dataset == "mnist" else []
        if work == "pixels":
            command = ["datasets", "verify", dataset, *train, "--sheet", FOLDER / "sheet.svg"]
        else:
            source = ["--dataset", dataset, *train] if train else ["--images", self.images]
            command = ["embed", *source, "--encoder", "none", "-o", self.vectors]
        start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        answer, peak = self.spawn([embed.REPORT, *command], **variables)
        whole, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        result = {"whole": whole, "cpu": cpu, "peak": peak}
        if work == "preprocessed":
            return {**result, "seconds": json.loads(answer)["seconds"], "found": str(self.vectors)}
        self.found = [float(number) for line in re.findall(r"mean (.*), s\.d\. (.*) \(", answer) for number in " ".join(line).split()]
        count = int(re.search(r": (\d+) images", answer)[1])
        # More digits than the seconds that stand beside it.
        rate = re.search(r"checked in ([0-9.]+) s: (\d+) images/s", answer)
        return {**result, "seconds": count / float(rate[2]), "found": self.found}

    def theirs(self, dataset, work, batch, check=False):
        job = {"do": "read", "dataset": dataset, "work": work, "batch": batch, "workers": self.options.workers}
        job.update(images=str(self.images), mnist=str(FOLDER))
        if check:
            job["ours"] = self.found if work == "pixels" else str(self.vectors)
        answer, peak = self.spawn([self.python, __file__, "--work", json.dumps(job)])
        return {**json.loads(answer.splitlines()[-1]), "peak": peak}

    def ask(self, **job):
        return json.loads(self.spawn([self.python, __file__, "--work", json.dumps(job)])[0].splitlines()[-1])


# ---- the other side, in a process of its own ----


def peer(job):
    if job["do"] == "make":
        folder = Path(job["images"])
        # The last one is made last.
        if not (folder / "all" / f"{job['count'] - 1:05}.jpg").exists():
            embed.photographs(folder, job["count"])
        return {}
    import torch
    import torchvision

    if job["do"] == "versions":
        import PIL.features

        turbo = PIL.features.version("libjpeg_turbo")
        return {"torch": torch.__version__, "torchvision": torchvision.__version__, "libjpeg-turbo of Pillow": turbo, "on": embed.cpu()}
    loader, order = loader_of(job)
    # Two epochs of the same workers: the first, of a few images, until they are there.
    count, order.most = order.most, min(order.most, 2 * job["workers"] * job["batch"])
    for _ in loader:
        pass
    order.most = count
    read = sums if job["work"] == "pixels" else array
    processes = embed.tree(os.getpid())
    start, before = time.monotonic(), sum(map(processor_seconds, processes))
    found = read(loader, count)
    result = {"seconds": time.monotonic() - start, "images": count, "cpu": sum(map(processor_seconds, processes)) - before}
    if "ours" in job and job["work"] == "pixels":
        result.update(found=found, difference=max(abs(one - other) for one, other in zip(found, job["ours"], strict=True)))
    elif "ours" in job:
        result.update(found=list(found.shape), difference=largest_difference(found, job["ours"]))
    return result


def processor_seconds(pid):
    """Of a process, without those that it has started."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class Order:
    """The numbers of the first `most` images, in their order."""

    def __init__(self, most):
        self.most = most

    def __iter__(self):
        return iter(range(self.most))

    def __len__(self):
        return self.most


def loader_of(job):
    import torch
    from torchvision import datasets, transforms

    if job["work"] == "pixels":
        steps = [transforms.PILToTensor(), sum_up]
    else:
        size = 28 if job["dataset"] == "mnist" else 32
        normalise = transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        steps = [transforms.Resize(size), transforms.CenterCrop(size), transforms.ToTensor(), three_channels, normalise]
    if job["dataset"] == "mnist":
        images = datasets.MNIST(job["mnist"], train=True, transform=transforms.Compose(steps))
    else:
        images = datasets.ImageFolder(job["images"], transforms.Compose(steps))
    order = Order(len(images))
    options = {"sampler": order, "num_workers": job["workers"], "persistent_workers": True}
    return torch.utils.data.DataLoader(images, job["batch"], **options), order


def three_channels(image):
    return image.expand(3, -1, -1)


def sum_up(image):
    """The number of pixels, and of each channel the sum of the values and of their squares: 1 + 2 x 3 numbers."""
    import torch

    values = image.flatten(1).float()
    found = torch.stack([values.sum(1), (values * values).sum(1)]).double().expand(2, 3)
    return torch.cat([torch.tensor([values.shape[1]], dtype=torch.float64), found.flatten()])


def sums(loader, _):
    """The means of the channels and their standard deviations, from 0 to 1."""
    import torch

    pixels, *found = torch.stack([batch.sum(0) for batch, _ in loader]).sum(0).tolist()
    means = [sum_ / pixels / 255 for sum_ in found[:3]]
    deviations = [(square / pixels / 255**2 - mean**2) ** 0.5 for square, mean in zip(found[3:], means, strict=True)]
    return means + deviations


def array(loader, count):
    """All images in one array, a row each."""
    import torch

    found, done = None, 0
    for batch, _ in loader:
        if found is None:
            found = torch.empty(count, batch[0].numel())
        found[done : done + len(batch)] = batch.flatten(1)
        done += len(batch)
    return found


def largest_difference(found, path):
    import numpy as np

    ours, theirs = np.load(path, mmap_mode="r"), found.numpy()
    if ours.shape != theirs.shape:
        sys.exit(f"shapes {ours.shape} and {theirs.shape}")
    return max(float(np.abs(one - other).max()) for one, other in zip(ours, theirs, strict=True))


if __name__ == "__main__":
    main()

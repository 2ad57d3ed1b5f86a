#!/usr/bin/env python3
"""`report build` beside evcxr_jupyter with nbconvert, on the same cells, in one run.

    python3 tests/bench/notebook.py [--repeat 3] [--only us|peer]

The cells are those of tests/bench/twelve.md. The peer is installed once under target/bench from crates.io and PyPI; its
cells' dependencies are compiled once, before anything is measured, and kept. Times are wall seconds, the median of the
repetitions; memory is the largest sum of the resident sets of the process and all its children.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "target" / "bench"
# Not below the checkout: its .cargo/config.toml is not the peer's.
PEER_CELLS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "report" / "bench-evcxr"
EVCXR_JUPYTER = "0.22.0"
PYTHON_PACKAGES = ["nbconvert==7.17.2", "nbclient==0.11.0", "jupyter-client==8.10.0"]
# What the library gives to our cells, with the same versions and features.
PREAMBLE = """\
:dep polars = { version = "=0.55.2", default-features = false, features = [%s] }
:dep plotters = { version = "=0.3.7", default-features = false, features = ["svg_backend", "all_series", "all_elements"] }
:dep tch = { version = "=0.26.0", default-features = false }
use polars::prelude::*;
use tch::{Device, Kind, Tensor};
"""
SCENES = [
    ("twelve cells, nothing cached", 15, None),
    ("one cell edited", 10, 1.5),
    ("prose edited", None, 0.3),
    ("nothing changed", None, 0.1),
    ("thirty cells, nothing cached", None, None),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=3, help="how often each thing is measured")
    parser.add_argument("--only", choices=["us", "peer"], help="measure one side")
    options = parser.parse_args()
    sides = [options.only] if options.only else ["us", "peer"]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {shell(['rustc', '--version'])}")
    text = (ROOT / "tests/bench/twelve.md").read_text()
    results = {}
    with tempfile.TemporaryDirectory(prefix="report-bench-") as folder:
        if "peer" in sides:
            prepare_peer(text, Path(folder))
        for side in sides:
            measure = Us(Path(folder)) if side == "us" else Peer(Path(folder))
            for scene, *_ in SCENES:
                results[side, scene] = run_scene(measure, scene, text, options.repeat)
                print(f"  {side}, {scene}: {results[side, scene][0]:.2f} s", flush=True)
    print_table(results)


def run_scene(side, scene, text, repeat):
    """The median of the seconds, and the largest memory."""
    seconds, memory = [], []
    twelve, thirty = text, longer(text, 30)
    if not scene.endswith("nothing cached"):
        side.build(twelve, fresh=True)
    for turn in range(repeat):
        if scene == "twelve cells, nothing cached":
            result = side.build(twelve, fresh=True)
        elif scene == "thirty cells, nothing cached":
            result = side.build(thirty, fresh=True)
        elif scene == "one cell edited":
            result = side.build(once(twelve, "lit(1.0)", f"lit(1.{turn + 1})"), fresh=False)
        elif scene == "prose edited":
            result = side.build(once(twelve, "# Tensors", f"# Tensors, edition {turn + 2}"), fresh=False)
        else:
            side.build(twelve, fresh=False)
            result = side.build(twelve, fresh=False)
        seconds.append(result[0])
        memory.append(result[1])
    return statistics.median(seconds), max(memory)


def once(text, old, new):
    assert text.count(old) == 1, f"{old} is {text.count(old)} times in twelve.md"
    return text.replace(old, new)


def cells_of(text):
    return re.findall(r"^```rust\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def longer(text, count):
    """The notebook with its cells after the first again, as often as it takes."""
    cells = cells_of(text)
    again = [cells[1 + index % (len(cells) - 1)] for index in range(count - len(cells))]
    return text + "".join(f"\nOnce more.\n\n```rust\n{cell}```\n" for cell in again)


class Us:
    def __init__(self, folder):
        self.folder = folder / "us"
        self.folder.mkdir()

    def build(self, text, fresh):
        output = self.folder / "output"
        if fresh:
            shutil.rmtree(output, ignore_errors=True)
        notebook = self.folder / "twelve.md"
        notebook.write_text(text)
        return measured([ROOT / "target/release/report", "build", notebook, "-o", output], {})


class Peer:
    """The peer knows no Markdown and keeps nothing between two runs but compiled dependencies."""

    def __init__(self, folder):
        self.folder = folder / "peer"
        self.folder.mkdir(exist_ok=True)

    def build(self, text, fresh):
        notebook = self.folder / "twelve.ipynb"
        notebook.write_text(json.dumps(as_jupyter(text)))
        command = [BENCH / "venv/bin/jupyter", "nbconvert", "--execute", "--to", "html", "--output-dir", self.folder]
        command += ["--ExecutePreprocessor.timeout=-1", "--ExecutePreprocessor.startup_timeout=300", notebook]
        return measured(command, peer_environment())


def as_jupyter(text):
    """Prose and cells in their order, after a cell with the dependencies."""
    features = re.search(r'polars = \{ version.*?features = \[(.*?)\]', (ROOT / "Cargo.toml").read_text(), re.DOTALL).group(1)
    preamble = PREAMBLE % " ".join(features.split()).rstrip(",")
    cells = [code(preamble)]
    body = text.split("---\n", 2)[2]
    for index, piece in enumerate(re.split(r"^```rust\n(.*?)^```$", body, flags=re.MULTILINE | re.DOTALL)):
        if index % 2:
            cells.append(code(piece))
        elif piece.strip():
            cells.append({"cell_type": "markdown", "metadata": {}, "source": piece.strip()})
    kernel = {"kernelspec": {"name": "rust", "display_name": "Rust", "language": "rust"}}
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": kernel, "cells": cells}


def code(source):
    return {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None}


def prepare_peer(text, folder):
    """Installs the peer, and compiles what its cells depend on."""
    program = BENCH / "evcxr" / "bin" / "evcxr_jupyter"
    if not program.exists():
        stage(f"installing evcxr_jupyter {EVCXR_JUPYTER}, about 15 minutes on 2 cores")
        command = ["cargo", "install", "evcxr_jupyter", "--version", EVCXR_JUPYTER, "--locked"]
        subprocess.run(command + ["--root", BENCH / "evcxr", "--target-dir", BENCH / "evcxr-target"], cwd="/", check=True)
    if not (BENCH / "venv" / "ready").exists():
        stage("installing nbconvert")
        subprocess.run([sys.executable, "-m", "venv", BENCH / "venv"], check=True)
        pip = [BENCH / "venv/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run(pip + PYTHON_PACKAGES, check=True)
        (BENCH / "venv" / "ready").touch()
    kernel = BENCH / "jupyter" / "kernels" / "rust"
    kernel.mkdir(parents=True, exist_ok=True)
    argv = [str(program), "--control_file", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Rust", "language": "rust"}))
    PEER_CELLS.mkdir(parents=True, exist_ok=True)
    stage("compiling what the peer's cells depend on (the first time about 12 minutes on 2 cores)")
    seconds, _ = Peer(folder).build(text, fresh=True)
    print(f"  done after {seconds:.0f} s", flush=True)


def peer_environment():
    libtorch = ROOT / "target" / "libtorch"
    # The run path that evcxr gives its cells misses the standard library where both lie below the home folder.
    std = subprocess.run(["rustc", "--print", "target-libdir"], capture_output=True, text=True, check=True).stdout.strip()
    return {
        "JUPYTER_PATH": str(BENCH / "jupyter"),
        "EVCXR_TMPDIR": str(PEER_CELLS),
        "LIBTORCH": str(libtorch),
        "LD_LIBRARY_PATH": f"{libtorch}/lib:{std}",
    }


def measured(command, environment):
    """Seconds and peak memory in bytes; ends the benchmark with the last lines where the command fails."""
    command = [str(part) for part in command]
    with tempfile.TemporaryFile("w+") as log:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=BENCH if BENCH.exists() else ROOT, env={**os.environ, **environment},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )
        peak, done = [0], threading.Event()
        watcher = threading.Thread(target=watch, args=(process.pid, peak, done))
        watcher.start()
        status = process.wait()
        seconds = time.perf_counter() - start
        done.set()
        watcher.join()
        if status != 0:
            log.seek(0)
            sys.exit("".join(log.readlines()[-40:]) + f"error: {command[0]} ended with {status}")
    return seconds, peak[0]


def watch(pid, peak, done):
    while not done.wait(0.05):
        peak[0] = max(peak[0], resident(pid))


def resident(root):
    """The sum of the resident sets of a process and its descendants."""
    parents, pages = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry))
            pages[int(entry)] = int(fields[21])
    total, todo = 0, [root]
    while todo:
        pid = todo.pop()
        total += pages.get(pid, 0)
        todo += parents.get(pid, [])
    return total * os.sysconf("SC_PAGE_SIZE")


def print_table(results):
    print(f"\n{'':32}{'report':>10}{'peer':>10}{'ratio':>8}{'goal':>16}{'report':>12}{'peer':>12}")
    print(f"{'':32}{'s':>10}{'s':>10}{'':>8}{'':>16}{'MB':>12}{'MB':>12}")
    for scene, ratio_goal, seconds_goal in SCENES:
        us, peer = results.get(("us", scene)), results.get(("peer", scene))
        ratio = f"{peer[0] / us[0]:.1f}x" if us and peer else ""
        goal = ", ".join(([f"{ratio_goal}x"] if ratio_goal else []) + ([f"{seconds_goal} s"] if seconds_goal else []))
        cell = lambda side, index, scale, digits: f"{side[index] / scale:.{digits}f}" if side else ""
        print(
            f"{scene:32}{cell(us, 0, 1, 2):>10}{cell(peer, 0, 1, 2):>10}{ratio:>8}{goal:>16}"
            f"{cell(us, 1, 1e6, 0):>12}{cell(peer, 1, 1e6, 0):>12}"
        )
    twelve, thirty = results.get(("us", SCENES[0][0])), results.get(("us", SCENES[4][0]))
    if twelve and thirty:
        print(f"\nThirty cells cost {thirty[0] / twelve[0]:.2f} times twelve (goal: at most 1.5).")


def stage(what):
    print(f"== {what}", flush=True)


def shell(command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()

"""Drives src/setup/libtorch.py with a false home, pip, compiler and wheels: python3 tests/setup/libtorch_test.py"""

import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "src" / "setup" / "libtorch.py"
MACHINE = platform.machine()
WHEELS = {
    "nvidia-cuda-runtime": ("13.0.96", ["nvidia/cu13/lib/libcudart.so.13"]),
    "nvidia-cuda-cupti": ("13.0.85", ["nvidia/cu13/lib/libcupti.so.13", "nvidia/cu13/lib/libcheckpoint.so"]),
    "torch": ("2.13.0", ["torch/lib/libtorch_cpu.so", "torch/lib/libc10.so", "torch/lib/libtorch.so", "torch/lib/libgomp.so.1",
                         "torch/lib/libtorch_cuda.so", "torch/lib/libtorch_python.so", "torch/include/torch/x.h", "torch/lib/../../../evil.so"]),
    "nvidia-nvtx": ("13.0.85", ["nvidia/cu13/lib/libnvtx.so.1"]),
}
# Takes the wanted wheel from $STORE; ends with 1 where there is none. Counts its calls.
PIP = """#!/bin/sh
echo call >> "$STORE/calls"
while [ $# -gt 0 ]; do case "$1" in --dest) dest=$2;; --requirement) wanted=$2;; esac; shift; done
name=$(sed 's/==.*//; s/-/_/g' "$wanted")
[ -z "$SLOW" ] || { touch "$STORE/slow"; exec sleep 30; }
cp "$STORE/$name"-* "$dest/"
"""
CXX = """#!/bin/sh
echo "$@" >> "$STORE/compiled"
while [ $# -gt 0 ]; do case "$1" in -o) touch "$2";; esac; shift; done
"""


class SetUp(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.base = Path(folder.name).resolve()
        self.root, self.store = self.base / "checkout", self.base / "store"
        (self.root / "data").mkdir(parents=True)
        (self.base / "torch-sys" / "libtch").mkdir(parents=True)
        self.store.mkdir()
        (self.root / "Cargo.lock").write_text('[[package]]\nname = "torch-sys"\nversion = "0.26.0"\n')
        rows = []
        for package, (version, names) in WHEELS.items():
            path = self.store / f"{package.replace('-', '_')}-{version}-py3-none-any.whl"
            with zipfile.ZipFile(path, "w") as archive:
                for name in names:
                    archive.writestr(name, f"{package} {name}")
            kind = "cuda" if package == "nvidia-nvtx" else "cpu"
            rows.append(f"{kind} {package} {version} {MACHINE} 1000000 {hashlib.sha256(path.read_bytes()).hexdigest()}")
        (self.root / "data" / "libtorch.txt").write_text("# set package\n" + "\n".join(rows) + "\n")
        self.pip, self.cxx = self.program("pip", PIP), self.program("cxx", CXX)

    def program(self, name, text):
        path = self.base / name
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    def command(self, *more, **environment):
        command = [sys.executable, "-S", str(SCRIPT), "--root", str(self.root), "--pip", self.pip]
        command += ["--torch-sys", str(self.base / "torch-sys"), *more]
        if "--device" not in more:
            command += ["--device", "cpu"]
        inherited = {name: value for name, value in os.environ.items() if name not in ("LIBTORCH", "XDG_CACHE_HOME", "CXX")}
        return command, {**inherited, "HOME": str(self.base), "CXX": self.cxx, "STORE": str(self.store), **environment}

    def run_script(self, *more, **environment):
        command, environment = self.command(*more, **environment)
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def fails(self, words, *more, **environment):
        result = self.run_script(*more, **environment)
        self.assertEqual(result.returncode, 3, result.stderr)
        last = result.stderr.strip().splitlines()[-1]
        self.assertIn("error: libtorch: ", last)
        for word in words:
            self.assertIn(word, last)
        self.assertNotIn("Traceback", result.stderr)

    def placed(self):
        return sorted(path.name for path in (self.root / "target/libtorch/lib").iterdir())

    def calls(self):
        path = self.store / "calls"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def foreign(self, name, version):
        folder = self.base / name
        (folder / "lib").mkdir(parents=True)
        (folder / "include" / "torch").mkdir(parents=True)
        (folder / "lib" / "libtorch_cpu.so").write_text("cpu")
        (folder / "lib" / "libc10.so").write_text("c10")
        (folder / "build-version").write_text(version + "+cpu\n")
        return folder

    def test_cpu_libraries_are_placed_and_a_second_run_does_nothing(self):
        first = self.run_script()
        self.assertEqual(first.returncode, 0, first.stderr)
        self.assertEqual(
            self.placed(),
            ["libc10.so", "libcudart.so.13", "libcupti.so.13", "libgomp.so.1", "libtch.so", "libtorch.so", "libtorch_cpu.so"],
        )
        libtorch = self.root / "target/libtorch"
        self.assertEqual((libtorch / "build-version").read_text(), "2.13.0\n")
        self.assertEqual((libtorch / "lib/libtorch.so").read_text(), "torch torch/lib/libtorch_cpu.so")
        self.assertTrue((libtorch / "include/torch/x.h").exists())
        self.assertEqual([path for path in self.base.rglob("*.whl") if path.parent != self.store], [])
        self.assertEqual(list(self.base.rglob("evil.so")), [])
        calls = self.calls()
        second = self.run_script()
        self.assertEqual((second.returncode, second.stderr, self.calls()), (0, "", calls))

    def test_cuda_takes_everything_and_the_glue_names_libtorch_cuda(self):
        result = self.run_script("--device", "cuda")
        if "GB are needed" in result.stderr:
            self.skipTest("no space for the CUDA libraries")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("libtorch_cuda.so", self.placed())
        self.assertIn("libnvtx.so.1", self.placed())
        self.assertEqual((self.root / "target/libtorch/lib/libtorch.so").read_text(), "torch torch/lib/libtorch.so")
        link = (self.store / "compiled").read_text().splitlines()[-1]
        self.assertIn("-Wl,--no-as-needed", link)
        self.assertIn("-ltorch_cuda", link)

    def test_a_wheel_that_is_already_there_is_not_fetched_again(self):
        torch = self.store / "torch-2.13.0-py3-none-any.whl"
        kept = torch.read_bytes()
        torch.unlink()
        self.fails(["pip could not download torch 2.13.0", "LIBTORCH"])
        self.assertFalse((self.root / "target/libtorch").exists())
        torch.write_bytes(kept)
        kept_ones = len(list((self.base / ".cache/report").glob("*.partial/wheels/*.whl")))
        before = self.calls()
        result = self.run_script()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual((kept_ones, self.calls() - before), (2, 1))

    def test_a_wheel_with_another_checksum_is_refused(self):
        with open(self.store / "torch-2.13.0-py3-none-any.whl", "ab") as file:
            file.write(b"!")
        self.fails(["SHA-256", "torch 2.13.0"])
        self.assertFalse((self.root / "target/libtorch").exists())

    def test_a_damaged_cache_is_made_again(self):
        self.assertEqual(self.run_script().returncode, 0)
        cached = next((self.base / ".cache/report").glob("libtorch-*/lib/libc10.so"))
        cached.write_text("cut")
        self.assertEqual(self.run_script().returncode, 0)
        self.assertEqual(cached.read_text(), "torch torch/lib/libc10.so")

    def test_interrupted_at_any_step_it_goes_on(self):
        command, environment = self.command(SLOW="1")
        for number in (signal.SIGTERM, signal.SIGKILL):
            (self.store / "slow").unlink(missing_ok=True)
            process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, start_new_session=True)
            while not (self.store / "slow").exists():
                time.sleep(0.02)
            os.killpg(process.pid, number)
            process.communicate(timeout=20)
            self.assertNotEqual(process.returncode, 0)
            self.assertFalse((self.root / "target/libtorch").exists())
        self.assertEqual(self.run_script().returncode, 0)
        self.assertEqual(list((self.base / ".cache/report").glob("*.partial")), [])

    def test_two_at_once_are_one(self):
        command, environment = self.command()
        both = [subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) for _ in range(2)]
        self.assertEqual([process.wait(timeout=60) for process in both], [0, 0])
        self.assertEqual(self.calls(), 3)

    def test_libtorch_that_is_set_wins_and_is_not_written_to(self):
        folder = self.foreign("mine", "2.13.0")
        before = sorted(folder.rglob("*"))
        result = self.run_script(LIBTORCH=str(folder))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual((self.calls(), sorted(folder.rglob("*"))), (0, before))
        self.assertEqual(self.placed(), ["libc10.so", "libtch.so", "libtorch_cpu.so"])
        stamp = json.loads((self.root / "target/libtorch/set-up.json").read_text())
        self.assertEqual(stamp["source"], str(folder))
        self.assertEqual(self.run_script().returncode, 0)
        self.assertEqual(self.calls(), 3, "unset again, the wheel is fetched")

    def test_a_pytorch_that_can_be_imported_is_used(self):
        packages = self.base / "packages"
        folder = self.foreign("packages/torch", "2.13.0")
        (folder / "__init__.py").write_text("raise RuntimeError('set-up must not import it')")
        (packages / "nvidia/cu13/lib").mkdir(parents=True)
        (packages / "nvidia/cu13/lib/libcublas.so.13").write_text("blas")
        result = self.run_script(PYTHONPATH=str(packages))
        self.assertEqual((result.returncode, self.calls()), (0, 0), result.stderr)
        self.assertIn("libcublas.so.13", self.placed())
        (folder / "build-version").write_text("2.9.0")
        (self.root / "Cargo.lock").write_text('[[package]]\nname = "torch-sys"\nversion = "0.26.1"\n')
        result = self.run_script(PYTHONPATH=str(packages))
        self.assertEqual((result.returncode, self.calls()), (0, 3), result.stderr)
        self.assertIn("is 2.9.0; leaving it alone", result.stderr)

    def test_what_is_missing_is_named_with_the_way_out(self):
        self.fails(["LIBTORCH=", "2.9.0", "2.13.0", "unset"], LIBTORCH=str(self.foreign("old", "2.9.0")))
        self.fails(["no libtorch"], LIBTORCH=str(self.base / "nothing"))
        self.fails(["CXX"], CXX=str(self.base / "no-compiler"))
        self.fails(["C++ compiler"], CXX="false")
        self.fails(["is not a program"], "--pip", str(self.base / "no-pip"), "--cache", str(self.base / "other"))
        (self.root / "Cargo.lock").unlink()
        self.fails(["Cargo.lock"])

    def test_no_space_is_said_before_anything_is_fetched(self):
        shim = self.base / "shim"
        shim.mkdir()
        (shim / "shutil.py").write_text(
            "import importlib.util, sys\nsys.path.remove(%r)\nsys.modules.pop('shutil')\nimport shutil\n"
            "shutil.disk_usage = lambda path: type('Usage', (), {'free': 5})\nsys.modules['shutil'] = shutil\n" % str(shim)
        )
        self.fails(["GB free", "1.2 GB are needed", "XDG_CACHE_HOME"], PYTHONPATH=str(shim))
        self.assertEqual(self.calls(), 0)


if __name__ == "__main__":
    unittest.main()

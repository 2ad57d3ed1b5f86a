#!/usr/bin/env python3
"""Puts target/libtorch in place: libtorch for tch, and tch's C++ glue as a shared library.

    python3 src/setup/libtorch.py [--device auto|cpu|cuda]

target/libtorch/lib is a folder of links to the libraries of a libtorch 2.13.0 and to our libtch.so; include and
build-version are beside it. The libtorch is the first of: the folder that LIBTORCH names; the PyTorch that this
Python can import; the official wheel from PyPI, whose libraries are kept in ~/.cache/report. Nothing is written into
a libtorch that is not ours. Every step goes to a temporary name and is renamed when it is whole, so an interrupted
set-up never counts and the next one goes on. Needs Python 3.9 with pip, and a C++ compiler.
"""

import argparse
import contextlib
import ctypes
import errno
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

VERSION = "2.13.0"
PYTHON_TAG = "3.11"  # The wheel's Python does not matter to us: the libraries are the same in all of them.
GLUE_FLAGS = ["-std=c++17", "-O1", "-fPIC", "-w", "-D_GLIBCXX_USE_CXX11_ABI=1", "-DGLOG_USE_GLOG_EXPORT"]
# Largest use of the disk at one time: wheels, pip's own copy of the largest one, and what is unpacked.
SPACE = {"cpu": 1_200_000_000, "cuda": 9_000_000_000}
# Libraries of the wheel that only CUDA or Python use; the wheel's libtorch.so needs the CUDA ones.
NOT_CPU = re.compile(r"cuda|nvshmem|nvrtc|python|libshm|global_deps|libtorch\.so")


class SetUpError(Exception):
    """What went wrong and the way out, in one line."""


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        set_up(arguments)
    except SetUpError as error:
        sys.exit(fail(str(error)))
    except KeyboardInterrupt:
        print("libtorch: interrupted; run it again to go on", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            sys.exit(fail(f"no space left on the device at {error.filename or 'the cache'}; {free_up()}"))
        sys.exit(fail(f"{error.filename or 'file'}: {error.strerror or error}"))


def parse_arguments():
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description="Puts libtorch for tch into target/libtorch.")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="which wheel; auto looks for an NVIDIA driver")
    parser.add_argument("--root", type=Path, default=root, help="the checkout, with Cargo.lock and data/libtorch.txt")
    parser.add_argument("--cache", type=Path, default=None, help="where downloads are kept (default: the user's cache)")
    parser.add_argument("--pip", default=None, help="the command of pip (default: this Python's)")
    parser.add_argument("--torch-sys", type=Path, default=None, help="sources of torch-sys (default: asked of cargo)")
    return parser.parse_args()


def fail(message):
    print(f"error: libtorch: {message}", file=sys.stderr)
    return 3


def say(message):
    print(f"libtorch {VERSION}: {message}", file=sys.stderr, flush=True)


# ---- the whole, in order ----


def set_up(arguments):
    root = arguments.root.resolve()
    place = root / "target" / "libtorch"
    wanted = {
        "libtorch": os.environ.get("LIBTORCH", ""),
        "device": device(arguments.device),
        "torch-sys": locked_version(root / "Cargo.lock", "torch-sys"),
    }
    if is_in_place(place, wanted):
        return
    cache = cache_folder(arguments.cache, root)
    place.parent.mkdir(parents=True, exist_ok=True)
    with lock(cache / "libtorch.lock"), lock(place.parent / "libtorch.lock"):
        if is_in_place(place, wanted):
            return
        source = find_libtorch(arguments, root, cache, wanted["device"])
        glue = build_glue(arguments, root, cache, source, wanted["torch-sys"])
        put_in_place(place, source, glue, wanted)
    say(f"ready in {place}")


def device(choice):
    if choice != "auto":
        return choice
    has_driver = shutil.which("nvidia-smi") or Path("/proc/driver/nvidia/version").exists()
    return "cuda" if has_driver else "cpu"


def locked_version(lock_file, package):
    match = re.search(rf'name = "{package}"\nversion = "([^"]+)"', read_text(lock_file))
    if not match:
        raise SetUpError(f"{lock_file} does not name {package}; restore it with `git checkout Cargo.lock`")
    return match.group(1)


def is_in_place(place, wanted):
    """Whether an earlier set-up made just this, and none of its links has lost its file."""
    try:
        stamp = json.loads((place / "set-up.json").read_text())
        return stamp["wanted"] == wanted and all(
            (place / "lib" / name).stat().st_size == size for name, size in stamp["files"].items()
        )
    except (OSError, ValueError, KeyError):
        return False


def put_in_place(place, source, glue, wanted):
    fresh = place.with_name(f"libtorch.tmp-{os.getpid()}")
    old = place.with_name(f"libtorch.old-{os.getpid()}")
    for left in place.parent.glob("libtorch.*-*"):
        remove(left)
    (fresh / "lib").mkdir(parents=True)
    for library in libraries(source) + [glue]:
        (fresh / "lib" / library.name).symlink_to(library)
    (fresh / "include").symlink_to(source / "include")
    (fresh / "build-version").write_text(VERSION + "\n")
    files = {path.name: path.stat().st_size for path in sorted((fresh / "lib").iterdir())}
    (fresh / "set-up.json").write_text(json.dumps({"wanted": wanted, "source": str(source), "files": files}, indent=1))
    if place.exists() or place.is_symlink():
        place.rename(old)
    fresh.rename(place)
    remove(old)


def libraries(source):
    """The shared libraries of a libtorch and, of a PyTorch for CUDA, those of NVIDIA's packages beside it."""
    found = {}
    folders = [source / "lib"]
    if source.name == "torch":
        folders += sorted((source.parent / "nvidia").glob("*/lib"))
    for folder in folders:
        for path in sorted(folder.glob("*.so*")):
            if path.name != "libtch.so":
                found.setdefault(path.name, path)
    return list(found.values())


# ---- which libtorch ----


def find_libtorch(arguments, root, cache, kind):
    named = os.environ.get("LIBTORCH")
    if named:
        source = Path(named).resolve()
        version = version_of(source)
        if version != VERSION:
            found = f"libtorch {version}" if version else "no libtorch"
            raise SetUpError(f"LIBTORCH={named} is {found}, and tch needs {VERSION}: unset LIBTORCH, or point it at that version")
        say(f"using LIBTORCH={named}")
        return source
    installed = installed_pytorch()
    if installed:
        version = version_of(installed)
        if version == VERSION:
            say(f"using the PyTorch in {installed}")
            return installed
        say(f"the PyTorch in {installed} is {version or 'not whole'}; leaving it alone")
    return fetch_wheels(arguments, root, cache, kind)


def installed_pytorch():
    with contextlib.suppress(ImportError, ValueError):
        spec = importlib.util.find_spec("torch")
        if spec and spec.origin:
            return Path(spec.origin).resolve().parent
    return None


def version_of(folder):
    """The version, without `+cpu`; None where the folder is no libtorch."""
    if not (folder / "lib" / "libtorch_cpu.so").exists() or not (folder / "include" / "torch").is_dir():
        return None
    text = ""
    for name in ["build-version", "version.py"]:
        with contextlib.suppress(OSError):
            text = text or (folder / name).read_text()
    match = re.search(r"(\d+\.\d+\.\d+)", text)
    if match:
        return match.group(1)
    for name in ["headeronly/version.h", "csrc/api/include/torch/version.h"]:
        with contextlib.suppress(OSError):
            parts = re.findall(r"#define TORCH_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", (folder / "include/torch" / name).read_text())
            if len(parts) == 3:
                return ".".join(parts)
    return None


# ---- the official wheels ----


def fetch_wheels(arguments, root, cache, kind):
    """A libtorch of our own in the cache, downloaded if it is not there whole."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine())
    rows = [row for row in wheel_table(root) if row["arch"] == machine and row["set"] in ("cpu", kind)]
    if sys.platform != "linux" or not rows:
        raise SetUpError(f"no wheel is known for {sys.platform} on {machine}: set LIBTORCH to a folder with libtorch {VERSION}")
    libc, libc_version = platform.libc_ver()
    if libc != "glibc" or [int(part) for part in libc_version.split(".")[:2]] < [2, 28]:
        raise SetUpError(f"the wheel needs glibc 2.28 or newer, here is {libc or 'another libc'} {libc_version}: set LIBTORCH")
    final = cache / f"libtorch-{VERSION}-{kind}-{machine}"
    checksums = {row["package"]: row["sha256"] for row in rows}
    if is_whole(final, checksums):
        return final
    partial = final.with_name(final.name + ".partial")
    wheels = partial / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    todo = [row for row in rows if not have_wheel(wheels, row)]
    needed = SPACE[kind] - sum(path.stat().st_size for path in wheels.glob("*.whl"))
    check_space(cache, needed)
    if todo:
        what = "the CPU libraries" if kind == "cpu" else "the CUDA libraries"
        say(f"downloading {what}, {sum(row['bytes'] for row in todo) / 1e6:.0f} MB, into {cache}")
    pip = pip_command(arguments.pip)
    for row in todo:
        download(pip, row, machine, partial)
    say("unpacking")
    tree = partial / "tree"
    remove(tree)
    unpack([have_wheel(wheels, row) for row in rows], tree, kind)
    files = {path.name: path.stat().st_size for path in sorted((tree / "lib").iterdir())}
    (tree / "build-version").write_text(VERSION + "\n")
    os.sync()
    (tree / "whole.json").write_text(json.dumps({"checksums": checksums, "files": files}, indent=1))
    remove(final)
    tree.rename(final)
    remove(partial)
    return final


def wheel_table(root):
    path = root / "data" / "libtorch.txt"
    rows = []
    for line in read_text(path).splitlines():
        if line.strip() and not line.startswith("#"):
            row = dict(zip(["set", "package", "version", "arch", "bytes", "sha256"], line.split()))
            row["bytes"] = int(row["bytes"])
            rows.append(row)
    return rows


def is_whole(folder, checksums):
    """The marker is written last; that the files still have their sizes catches what was damaged later."""
    try:
        marker = json.loads((folder / "whole.json").read_text())
        return marker["checksums"] == checksums and all(
            (folder / "lib" / name).stat().st_size == size for name, size in marker["files"].items()
        )
    except (OSError, ValueError, KeyError):
        return False


def have_wheel(wheels, row):
    """The wheel, if it was downloaded before and its checksum is right; a damaged one is deleted."""
    prefix = f"{row['package'].replace('-', '_')}-{row['version']}-"
    for path in sorted(wheels.glob(prefix + "*.whl")):
        if sha256(path) == row["sha256"]:
            return path
        path.unlink()
    return None


def pip_command(named):
    if named:
        return shlex.split(named)
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    for name in ["pip3", "pip"]:
        if shutil.which(name):
            return [name]
    raise SetUpError(f"no pip for {sys.executable}: install it (Debian: apt-get install python3-pip), or set LIBTORCH to a libtorch {VERSION}")


def download(pip, row, machine, partial):
    """One wheel by pip, which knows the machine's index, proxy and certificates, and shows its progress bar."""
    requirements = partial / "requirements.txt"
    requirements.write_text(f"{row['package']}=={row['version']} --hash=sha256:{row['sha256']}\n")
    temporary = partial / "tmp"
    remove(temporary)
    temporary.mkdir()
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(28, 4, -1)]
    tags += [f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}"]
    command = pip + ["download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check"]
    command += ["--require-hashes", "--python-version", PYTHON_TAG, "--implementation", "cp", "--abi", "cp311", "--abi", "none"]
    command += [argument for tag in tags for argument in ("--platform", tag)]
    command += ["--dest", str(partial / "wheels"), "--requirement", str(requirements)]
    for attempt in (1, 2):
        remove(temporary)
        temporary.mkdir()
        status = run([command], dict(os.environ, TMPDIR=str(temporary)))
        if status == 0:
            break
        if attempt == 1:
            say(f"pip ended with {status}; trying once more")
    else:
        raise SetUpError(
            f"pip could not download {row['package']} {row['version']} (its message is above): check the network and "
            f"run it again, or set LIBTORCH to a libtorch {VERSION}"
        )
    if not have_wheel(partial / "wheels", row):
        raise SetUpError(
            f"{row['package']} {row['version']} has not the SHA-256 of data/libtorch.txt, {row['sha256']}: it was "
            "deleted; run it again, and look at the package index that pip uses if it stays so"
        )


def unpack(wheels, tree, kind):
    """Takes the libraries and headers straight out of the wheels; the zip's own checksums are verified on the way."""
    (tree / "lib").mkdir(parents=True)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                target = place_of(entry.filename, kind)
                if target is None or entry.is_dir():
                    continue
                path = tree / target
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, open(path, "wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
    if kind == "cpu":
        (tree / "lib" / "libtorch.so").symlink_to("libtorch_cpu.so")


def place_of(name, kind):
    """Where a wheel's file belongs in ours, or None."""
    parts = name.split("/")
    if ".." in parts or name.startswith("/"):
        return None
    if name.startswith("torch/include/"):
        return name[len("torch/"):]
    if parts[-2:-1] != ["lib"] or ".so" not in parts[-1]:
        return None
    if kind == "cuda":
        return None if "python" in parts[-1] else f"lib/{parts[-1]}"
    if name.startswith("torch/"):
        return None if NOT_CPU.search(parts[-1]) else f"lib/{parts[-1]}"
    return f"lib/{parts[-1]}" if re.fullmatch(r"lib(cudart|cupti)\.so\.\d+", parts[-1]) else None


# ---- tch's C++ glue ----


def build_glue(arguments, root, cache, source, torch_sys_version):
    """libtch.so, built once for each pair of libtorch and torch-sys.

    On CUDA it names libtorch_cuda itself: tch calls no symbol of it, so every linker would drop it from a program,
    and libtorch would not see the device.
    """
    compiler = shlex.split(os.environ.get("CXX", "")) or [find_compiler()]
    cuda = [name for name in ("torch_cuda", "c10_cuda") if (source / "lib" / f"lib{name}.so").exists()]
    identity = [VERSION, torch_sys_version, platform.machine(), str(source), *cuda, *GLUE_FLAGS]
    identity += [f"{path.name} {path.stat().st_size}" for path in libraries(source) if path.name.startswith(("libtorch", "libc10"))]
    key = hashlib.sha256("\n".join(identity).encode()).hexdigest()[:16]
    glue = cache / f"libtch-{torch_sys_version}-{key}" / "libtch.so"
    if glue.exists():
        return glue
    sources = torch_sys_sources(arguments, root)
    say("compiling tch's C++ glue, once: one or two minutes")
    folder = glue.parent.with_name(glue.parent.name + ".partial")
    remove(folder)
    folder.mkdir(parents=True)
    includes = [sources, source / "include", source / "include/torch/csrc/api/include"]
    base = compiler + GLUE_FLAGS + [f"-I{path}" for path in includes]
    parts = ["torch_api_generated", "torch_api"]
    compile_all = [base + ["-c", str(sources / f"{part}.cpp"), "-o", str(folder / f"{part}.o")] for part in parts]
    link = compiler + ["-shared", "-Wl,-soname,libtch.so", "-Wl,-rpath,$ORIGIN", "-Wl,--no-as-needed", f"-L{source / 'lib'}"]
    link += [str(folder / f"{part}.o") for part in parts] + ["-ltorch_cpu", "-lc10"] + [f"-l{name}" for name in cuda]
    if run(compile_all) != 0 or run([link + ["-o", str(folder / "libtch.so")]]) != 0:
        raise SetUpError(f"the C++ compiler {compiler[0]} failed (its message is above): g++ 9 or newer with 2 GB of memory is needed")
    for part in parts:
        (folder / f"{part}.o").unlink()
    os.sync()
    remove(glue.parent)
    folder.rename(glue.parent)
    return glue


def find_compiler():
    for name in ("g++", "c++", "clang++"):
        if shutil.which(name):
            return name
    raise SetUpError("no C++ compiler: install one (Debian: apt-get install g++), or name it in CXX")


def torch_sys_sources(arguments, root):
    """The folder with the glue's sources: the crate comes from cargo, whose checksum of it is in Cargo.lock."""
    if arguments.torch_sys:
        return arguments.torch_sys.resolve() / "libtch"
    if not shutil.which("cargo"):
        raise SetUpError("no cargo: install Rust (https://rustup.rs)")
    triple = f"{platform.machine()}-unknown-linux-gnu"
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", triple]
    result = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    if result.returncode != 0:
        raise SetUpError("cargo could not fetch torch-sys (its message is above): check the network and run it again")
    for package in json.loads(result.stdout)["packages"]:
        if package["name"] == "torch-sys":
            return Path(package["manifest_path"]).parent / "libtch"
    raise SetUpError(f"{root / 'Cargo.toml'} has no torch-sys among its dependencies")


def run(commands, environment=None):
    """Runs the commands at once, each in a group of its own, so that no child of theirs outlives an interruption.

    0, or the status of the first that failed.
    """
    jobs = []
    try:
        for command in commands:
            try:
                job = subprocess.Popen(
                    command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True,
                    preexec_fn=end_with_parent,
                )
            except (FileNotFoundError, PermissionError):
                raise SetUpError(f"{command[0]} is not a program (CXX names the compiler, PATH says where pip is)") from None
            jobs.append(job)
        return next((status for status in [job.wait() for job in jobs] if status), 0)
    finally:
        for job in jobs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job.pid, signal.SIGKILL)
            job.wait()


def end_with_parent():
    """If the set-up is killed, the kernel kills the child (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))


# ---- files ----


def cache_folder(named, root):
    """The user's cache, or target/libtorch-cache where there is none to write to."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    choices = [named] if named else [Path(base) / "report", root / "target" / "libtorch-cache"]
    for folder in choices:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if folder.is_absolute() and os.access(folder, os.W_OK):
                return folder.resolve()
    raise SetUpError(f"{choices[0]} cannot be written: set XDG_CACHE_HOME to a folder that can")


@contextlib.contextmanager
def lock(path):
    """The kernel's lock, which a killed process cannot leave behind."""
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            say(f"waiting for another set-up (process {file.read().strip() or '?'}, {path})")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield


def check_space(folder, needed):
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SetUpError(f"{folder} has {free / 1e9:.1f} GB free and {needed / 1e9:.1f} GB are needed; {free_up()}")


def free_up():
    return f"free some, set XDG_CACHE_HOME to a folder on a larger disk, or set LIBTORCH to a libtorch {VERSION}"


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.exists() or path.is_symlink():
        path.unlink()


def read_text(path):
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SetUpError(f"{path}: {error.strerror}") from None


if __name__ == "__main__":
    main()

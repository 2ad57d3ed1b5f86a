#!/usr/bin/env python3
"""The numerical core beside scikit-learn, umap-learn, faiss and others, on the same inputs, in one run.

    python3 tests/bench/numerics.py [--only ROW ...] [--repeat 5] [--quick] [--growth] [--list]

Each case is a process of its own that reads the same .npy files; both sides take turns and have the same number of
threads. Seconds are those of the computation alone, the median of the repetitions; a side that has used its share of time
(--patience) is not repeated further. Memory is the peak above what a process has before the computation: imports and
input for the peers; start and input, as files, for us. `numerics_peers.py` holds the peers; they are installed once, into
the user's cache.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "target" / "release" / "report"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "report" / "bench-numerics"
PYTHON = CACHE / "venv" / "bin" / "python"
PEERS = Path(__file__).with_name("numerics_peers.py")
PACKAGES = {
    "scikit-learn": "1.9.1", "scikit-learn-intelex": "2026.2.0", "umap-learn": "0.5.12", "pynndescent": "0.7.0",
    "hdbscan": "0.8.44", "fast-hdbscan": "0.3.4", "fastcluster": "1.3.0", "faiss-cpu": "1.15.1", "superkmeans": "0.2.0",
    "networkx": "3.6.1", "naffprop": "0.2.0", "threadpoolctl": "3.8.0", "numpy": "2.4.6", "scipy": "1.17.1",
}  # fmt: skip

# How we are called. {x}, {y}: points and true labels; {other0} to {other2}: other labels; {rows}: rows to start from;
# {out}: what is written; the rest are the row's own numbers.
CALLS = {
    "label_metrics": "score --truth {y} --pred {other0}",
    "silhouette": "score --data {x} --pred {y} --metric {metric}",
    "silhouette_four": "score --data {x} --pred {y} --pred {other0} --pred {other1} --pred {other2} --metric {metric}",
    "kmeans": "cluster {x} --method kmeans --n-clusters {k} --max-iter 1000 --seed {repetition} --truth {y}",
    "lloyd": "cluster {x} --method kmeans --n-clusters {k} --init {rows} --max-iter 25 --tol 0 --truth {y} -o {out}",
    "knn_graph": "reduce {x} --method knn-graph --algorithm approximate --n-neighbors {k} -o {out}",
    "umap": "reduce {x} --method umap --n-components 50 --n-neighbors 30 --min-dist 0 --seed 1 -o {out}",
    "linkage": "cluster {x} --method agglomerative --linkage {linkage} --n-clusters {clusters} --truth {y} --save-linkage {out}",
    "hdbscan": "cluster {x} --method hdbscan --min-cluster-size 5 --min-samples 5 --truth {y}",
    "affinity_propagation": "cluster {x} --method affinity-propagation --damping 0.9 --max-iter 1000 --truth {y}",
    "spectral": "cluster {x} --method spectral --n-clusters {k} --n-neighbors 10 --assign-labels cluster_qr --truth {y}",
    "pca": "reduce {x} --method pca --variance 0.95 -o {out}",
    "probe_linear": "score --probe linear --data {x} --truth {y} --train-rows {train_rows} --tol {tol} --max-iter 1000",
    "probe_knn": "score --probe knn --data {x} --truth {y} --train-rows {train_rows} --n-neighbors 20",
    "louvain": "cluster {x} --method louvain --n-neighbors {k} --seed 1 --truth {y}",
}
# What our answers call the qualities that are printed.
ANSWERS = {
    "AMI": ["adjusted_mutual_info_score"], "value": ["silhouette_score"], "inertia": ["inertia"], "it": ["n_iter"],
    "objective": ["objective"], "components": ["n_components"], "k": ["n_clusters"],
    "accuracy": ["linear_accuracy_score", "knn_accuracy_score"],
}  # fmt: skip
# Our answer has no such number: a judge reads what was written.
JUDGED = {"knn_graph", "umap", "linkage", "lloyd"}


class Row:
    """One line of the table: work, input, peers, and how many times as fast as each peer we want to be."""

    def __init__(self, name, title, work, peers, goals, n, d=768, clusters=100, **numbers):
        self.name, self.title, self.work, self.peers, self.goals = name, title, work, peers, goals
        self.n, self.d, self.clusters, self.numbers = n, d, clusters, numbers


def rows():
    lloyd, spectral = ["sklearn", "sklearnex", "faiss"], ["sklearn-lobpcg", "sklearn-arpack"]
    euclidean = {"metric": "euclidean"}
    yield Row("ami-1000", "AMI, 1,000 x 1,000 (we: all label metrics)", "label_metrics", ["sklearn"], {"fastest": 1000}, 50_000, 0, 1000)
    yield Row("ami-10000", "AMI, 10,000 x 10,000 (we: all)", "label_metrics", ["sklearn"], {"fastest": 1000}, 100_000, 0, 10_000)
    yield Row("silhouette-768", "silhouette, euclidean", "silhouette", ["sklearn"], {"fastest": 5}, 50_000, **euclidean)
    yield Row("silhouette-50", "silhouette, euclidean", "silhouette", ["sklearn"], {"fastest": 10}, 50_000, 50, **euclidean)
    yield Row("silhouette-four", "silhouette of 4 label sets", "silhouette_four", ["us-one-set"], {"us-one-set": 1 / 1.3}, 50_000, **euclidean)
    for metric in ["cityblock", "chebyshev"]:
        yield Row(f"silhouette-{metric}", f"silhouette, {metric}", "silhouette", ["sklearn"], {"fastest": 40}, 10_000, metric=metric)
    yield Row("kmeans-50k", "K-Means as the paper, K = 100", "kmeans", ["sklearn"], {"fastest": 5}, 50_000, k=100)
    yield Row("kmeans-10k", "K-Means as the paper, K = 100", "kmeans", ["sklearn"], {"fastest": 10}, 10_000, k=100)
    yield Row("lloyd-10", "Lloyd, 25 iterations, K = 10", "lloyd", [*lloyd, "sklearn-elkan"], {"fastest": 2}, 50_000, k=10)
    yield Row("lloyd-100", "Lloyd, 25 iterations, K = 100", "lloyd", lloyd, {"fastest": 2}, 50_000, k=100)
    yield Row("lloyd-1000", "Lloyd, 25 iterations, K = 1,000", "lloyd", ["superkmeans", *lloyd], {"fastest": 1.2}, 50_000, k=1000)
    yield Row("knn-10k", "k-NN graph, k = 30", "knn_graph", ["pynndescent", "faiss"], {"fastest": 3}, 10_000, k=30)
    yield Row("knn-50k", "k-NN graph, k = 30", "knn_graph", ["pynndescent", "faiss"], {"fastest": 2}, 50_000, k=30)
    yield Row("umap", "UMAP to 50-d, seeded", "umap", ["umap-seeded", "umap-parallel"], {"umap-seeded": 6, "umap-parallel": 3}, 50_000)
    for d, goal in [(768, 10), (50, 3)]:
        for linkage in ["ward", "average", "complete"]:
            yield Row(f"{linkage}-{d}", f"{linkage}, whole tree", "linkage", ["fastcluster"], {"fastest": goal}, 10_000, d, linkage=linkage)
    yield Row("ward-50k", "ward, whole tree (goal: 180 s, 8 GB)", "linkage", [], {}, 50_000, linkage="ward")
    peers, goals = ["fast_hdbscan", "sklearn"], {"fast_hdbscan": 1.5, "sklearn": 50}
    yield Row("hdbscan-768", "HDBSCAN, exact tree", "hdbscan", peers, goals, 10_000)
    yield Row("hdbscan-50", "HDBSCAN, exact tree", "hdbscan", peers, {"fast_hdbscan": 1.2, "sklearn": 20}, 50_000, 50)
    peers, goals = ["naffprop", "sklearn"], {"naffprop": 4, "sklearn": 6}
    yield Row("affinity", "Affinity Propagation, damping 0.9", "affinity_propagation", peers, goals, 5_000)
    yield Row("spectral-10", "Spectral, 10-NN, cluster_qr, K = 10", "spectral", spectral, {"fastest": 5}, 10_000, 768, 10, k=10)
    yield Row("spectral-100", "Spectral, 10-NN, cluster_qr, K = 100", "spectral", spectral, {"fastest": 8}, 10_000, k=100)
    yield Row("pca", "PCA to 95 % of the variance", "pca", ["sklearnex", "sklearn"], {"sklearnex": 1.2, "sklearn": 1.5}, 50_000)
    yield Row("probe-linear", "linear probe, 4/5 train", "probe_linear", ["sklearn"], {"fastest": 5}, 50_000, tol=1e-4)
    yield Row("probe-knn", "k-NN probe, k = 20, 4/5 train", "probe_knn", ["faiss", "sklearn"], {"fastest": 1.8}, 50_000)
    yield Row("louvain", "Louvain, 10-NN graph (peer: graph not timed)", "louvain", ["networkx"], {}, 10_000, k=10)


# --growth: sizes to start from, so that four times as many still end in a minute or so.
GROWTH = {
    "silhouette-768": 12_500, "silhouette-cityblock": 2_500, "kmeans-50k": 12_500, "lloyd-100": 12_500, "knn-50k": 12_500,
    "umap": 10_000, "ward-768": 5_000, "average-768": 2_500, "complete-768": 2_500, "hdbscan-768": 5_000,
    "hdbscan-50": 12_500, "affinity": 1_500, "spectral-100": 5_000, "pca": 12_500, "probe-linear": 12_500,
    "probe-knn": 12_500, "louvain": 5_000, "ami-1000": 100_000,
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="ROW", help="rows whose name begins so; --list shows them")
    parser.add_argument("--repeat", type=int, default=5, help="how often each side is measured (5)")
    parser.add_argument("--patience", type=float, default=120, help="a side that took so many seconds is not repeated (120)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of both sides")
    parser.add_argument("--side", choices=["us", "peers"], help="measure one side")
    parser.add_argument("--without", nargs="+", default=[], metavar="PEER", help="peers to leave out, for want of time")
    parser.add_argument("--quick", action="store_true", help="a fifth of the points")
    parser.add_argument("--shrink", type=int, help="this fraction of the points")
    parser.add_argument("--growth", action="store_true", help="our time and memory at n, 2n, 4n, and the exponents")
    parser.add_argument("--list", action="store_true", help="the names of the rows")
    options = parser.parse_args()
    wanted = [row for row in rows() if not options.only or any(row.name.startswith(name) for name in options.only)]
    if options.list:
        return print("\n".join(f"{row.name:22}{row.title}" for row in wanted))
    if not wanted:
        sys.exit(f"error: no row begins with {' or '.join(options.only)}; --list shows the names")
    if options.side != "peers" and not REPORT.exists():
        sys.exit(f"error: no {REPORT.relative_to(ROOT)}: run `make build`")
    prepare()
    bench = Bench(options)
    bench.introduce()
    if options.growth:
        grow(bench, [row for row in wanted if row.name in GROWTH])
    else:
        compare(bench, wanted, options.shrink or (5 if options.quick else 1))


def prepare():
    """Installs the peers, once for each list of versions."""
    done = CACHE / "ready"
    wanted = "\n".join(f"{name}=={version}" for name, version in PACKAGES.items())
    if done.exists() and done.read_text() == wanted and PYTHON.exists():
        return
    print("== installing the peers, about 2 minutes", flush=True)
    subprocess.run([sys.executable, "-m", "venv", CACHE / "venv"], check=True)
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # Exact versions where this Python has them, or else the newest that there are.
    if subprocess.run(pip + wanted.split("\n")).returncode != 0:
        subprocess.run(pip + list(PACKAGES), check=True)
    done.write_text(wanted)


def compare(bench, wanted, shrink):
    if shrink > 1:
        print(f"1/{shrink} of the points: the goals are for all of them")
    print(f"\n{'':74}{'report':>9}{'peer':>9}{'':9}{'report':>8}{'peer':>8}")
    print(f"{'work':46}{'peer':16}{'n x d':>12}{'s':>9}{'s':>9}{'ratio':>9}{'MB':>8}{'MB':>8}  goal           quality: report | peer")
    missed = []
    for row in wanted:
        case = Case(row, row.n // shrink)
        results = bench.turns(case)
        us = results.pop("us", None)
        best = min((peer.seconds for peer in results.values() if peer.seconds), default=None)
        if not results:
            print(line(row.title, "", case, us, None, ""), flush=True)
        for name, peer in results.items():
            goal = row.goals.get(name, row.goals.get("fastest") if peer.seconds == best else None)
            verdict = judged(us, peer, goal)
            if verdict.endswith("no"):
                missed.append(f"{row.name} ({name})")
            print(line(row.title, name, case, us, peer, verdict), flush=True)
    if missed:
        print(f"\nNot reached: {', '.join(missed)}")


def judged(us, peer, goal):
    if not goal or not us or not us.seconds or not peer.seconds:
        return ""
    return f"{goal:.3g}x {'yes' if peer.seconds / us.seconds >= goal else 'no'}"


def line(title, name, case, us, peer, verdict):
    number = lambda side, digits: f"{side.seconds:.{digits}g}" if side and side.seconds else "-"
    megabytes = lambda side: f"{side.extra_bytes / 1e6:.0f}" if side and side.seconds else "-"
    ratio = f"{peer.seconds / us.seconds:.2f}x" if us and peer and us.seconds and peer.seconds else ""
    counts = "/".join(str(side.runs) for side in (us, peer) if side)
    quality = " | ".join(side.quality_text() for side in (us, peer) if side)
    size = f"{case.n} x {case.row.d}" if case.row.d else str(case.n)
    return (
        f"{title[:45]:46}{name:16}{size:>12}{number(us, 3):>9}{number(peer, 3):>9}{ratio:>9}{megabytes(us):>8}{megabytes(peer):>8}"
        f"  {verdict:14} {quality} ({counts} runs)"
    )


def grow(bench, wanted):
    """Fits time = a n^b, and the same for memory, over three sizes."""
    print(f"\n{'work':46}{'n':>8}{'s at n, 2n, 4n':>26}{'exponent':>10}{'MB at n, 2n, 4n':>22}{'exponent':>10}")
    for row in wanted:
        sizes = [GROWTH[row.name] * factor for factor in (1, 2, 4)]
        sides = [bench.repeated(Case(row, n), "us") for n in sizes]
        if not all(side.seconds for side in sides):
            print(f"{row.title[:46]:46}{sizes[0]:>8}  {sides[-1].quality_text()}")
            continue
        seconds, extra = [side.seconds for side in sides], [side.extra_bytes for side in sides]
        text = lambda values, digits: ", ".join(f"{value:.{digits}g}" for value in values)
        print(
            f"{row.title[:46]:46}{sizes[0]:>8}{text(seconds, 3):>26}{exponent(sizes, seconds):>10.2f}"
            f"{text([value / 1e6 for value in extra], 4):>22}{exponent(sizes, extra):>10.2f}", flush=True,
        )  # fmt: skip


def exponent(sizes, values):
    """The slope of the least-squares line through the logarithms."""
    x, y = [math.log(size) for size in sizes], [math.log(max(value, 1e-9)) for value in values]
    middle_x, middle_y = statistics.mean(x), statistics.mean(y)
    return sum((a - middle_x) * (b - middle_y) for a, b in zip(x, y)) / sum((a - middle_x) ** 2 for a in x)


class Case:
    """A row at a size, and its input."""

    def __init__(self, row, n):
        self.row, self.n = row, n
        shrink = row.n / n
        # As many labels in proportion, so that a small run does not measure other work.
        self.clusters = row.clusters if row.d else max(2, int(row.clusters / max(shrink, 1)))
        kind = "mix" if row.d else "labels"
        self.path = str(CACHE / "inputs" / f"{kind}-{n}-{row.d}-{self.clusters}")
        numbers = {"train_rows": n * 4 // 5, "clusters": self.clusters, **row.numbers}
        self.job = {"work": row.work, "path": self.path, "n": n, "d": row.d, "kind": kind, **numbers}

    def make(self):
        if not Path(self.path + ".y.npy").exists():
            starts = min(self.n, 1000)
            ask({**self.job, "do": "make", "clusters": self.clusters, "seed": 1, "starts": starts}, os.environ)


class Side:
    """What one side did: runs, and the reason where there are none."""

    def __init__(self):
        self.times, self.extras, self.quality, self.failure = [], [], {}, ""

    runs = property(lambda self: len(self.times))
    seconds = property(lambda self: statistics.median(self.times) if self.times else None)
    extra_bytes = property(lambda self: max(self.extras) if self.extras else 0)

    def add(self, result):
        self.times.append(result["seconds"])
        self.extras.append(max(result["extra_bytes"], 0))
        self.quality = result["quality"]

    def quality_text(self):
        if self.failure:
            return f"FAILED: {self.failure}"
        return ", ".join(f"{name} {value:.6g}" for name, value in self.quality.items())


class Bench:
    def __init__(self, options):
        self.options = options
        threads = str(options.threads)
        names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS"]
        self.environment = {**os.environ, **dict.fromkeys(names, threads)}
        # They would slow the peers' numpy down.
        self.peer_environment = {**self.environment}
        for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
            self.peer_environment.pop(name, None)
        self.idle_bytes = None
        (CACHE / "inputs").mkdir(parents=True, exist_ok=True)

    def introduce(self):
        found = ask({"do": "versions", "packages": list(PACKAGES)}, self.peer_environment)
        print(f"{os.cpu_count()} cores, {self.options.threads} threads, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
        print(", ".join(f"{name} {version}" for name, version in found["versions"].items()))
        print(f"kernels: {', '.join(found['kernels'])}")

    def turns(self, case):
        """All sides by turns, until each has had its repetitions or its share of time."""
        peers = [peer for peer in case.row.peers if peer not in self.options.without]
        peers = [] if self.options.side == "us" else peers
        names = ([] if self.options.side == "peers" else ["us"]) + peers
        sides = {name: Side() for name in names}
        case.make()
        for repetition in range(self.options.repeat):
            for name, side in sides.items():
                if not side.failure and sum(side.times) < self.options.patience:
                    self.once(case, name, side, repetition)
        return sides

    def repeated(self, case, name):
        side = Side()
        case.make()
        for repetition in range(self.options.repeat):
            if not side.failure and sum(side.times) < self.options.patience:
                self.once(case, name, side, repetition)
        return side

    def once(self, case, name, side, repetition):
        try:
            if name in ("us", "us-one-set"):
                side.add(self.us(case, case.row.work if name == "us" else "silhouette", repetition))
            else:
                job = {**case.job, "do": "run", "peer": name, "threads": self.options.threads, "repetition": repetition}
                small = None if case.row.work == "label_metrics" else self.small(case).path
                side.add(ask({**job, "warm": small}, self.peer_environment))
        except Failed as failed:
            side.failure = str(failed)

    def small(self, case):
        row = Row("warm", "", case.row.work, [], {}, 600, 16, 4)
        small = Case(row, 600)
        small.make()
        return small

    def us(self, case, work, repetition):
        if self.idle_bytes is None:
            self.idle_bytes = self.idle()
        out = CACHE / "inputs" / "out.npy"
        out.unlink(missing_ok=True)
        files = {name: f"{case.path}.{name}.npy" for name in ("x", "y", "rows", "other0", "other1", "other2")}
        if work == "lloyd":
            files["rows"] = ask({"do": "first", "path": files["rows"], "k": case.job["k"]}, os.environ)["path"]
        arguments = CALLS[work].format(**{**case.job, **files, "out": out, "repetition": repetition}).split()
        answer = self.report(arguments)
        extra = answer["peak_memory_bytes"] - self.idle_bytes - (Path(files["x"]).stat().st_size if case.row.d else 0)
        quality = {}
        for name, keys in ANSWERS.items():
            value = next((answer[key] for key in keys if key in answer), None)
            value = next(iter(value.values())) if isinstance(value, dict) else value
            if isinstance(value, (int, float)):
                quality[name] = value
        if work == "label_metrics":
            quality = {"AMI": quality.get("AMI", math.nan)}
        if work in JUDGED:
            quality.update(ask({**case.job, "do": "judge", "work": work, "found": str(out)}, self.peer_environment)["quality"])
        if work == "silhouette_four":
            quality = {"value": answer["runs"][0]["silhouette_score"]}
        # An answer without its result is no work done, however fast.
        if not quality:
            raise Failed("the answer has no result")
        return {"seconds": answer["seconds"], "extra_bytes": extra, "quality": quality}

    def idle(self):
        """What our program has before it reads anything large."""
        row = Row("idle", "", "label_metrics", [], {}, 100, 0, 4)
        case = Case(row, 100)
        case.make()
        return self.report(["score", "--truth", case.path + ".y.npy", "--pred", case.path + ".other0.npy"])["peak_memory_bytes"]

    def report(self, arguments):
        return answer_of([REPORT, *arguments], self.environment)


class Failed(Exception):
    """A process that did not do its work."""


def ask(job, environment):
    return answer_of([PYTHON, PEERS, json.dumps(job)], environment)


def answer_of(command, environment):
    """The last line of the output, which is JSON."""
    command = [str(part) for part in command]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        said = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise Failed(f"exit {done.returncode}: {said[:160]}")
    return json.loads(lines[-1])


if __name__ == "__main__":
    main()

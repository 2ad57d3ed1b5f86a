"""Makes splits.json. Run as: NPY_DISABLE_CPU_FEATURES="X86_V3 X86_V4" python splits.py FOLDER_OF_ZS_SSL_CLUSTERING

The features are those of NumPy 2.4; with them, NumPy sorts with AVX2 or AVX-512, which orders ties differently.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn
from numpy.random import RandomState
from sklearn.model_selection import train_test_split


# Of a short argsort with many ties by the scalar code.
SCALAR = "66f60c9f85b98fa4"


def sha256(order):
    """The first 16 digits tell orders apart, too."""
    return hashlib.sha256(np.asarray(order).astype("<u8").tobytes()).hexdigest()[:16]


def values(case):
    """The same rule as in src/datasets/split.rs."""
    if "values" in case:
        return np.array(case["values"], dtype=np.int64)
    n, m, state, result = case["n"], case["m"], 1, []
    for i in range(n):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        draw = (state >> 33) % m
        result.append({
            "draw": draw, "skew": draw * draw // m, "cycle": i % m, "sorted": i // m, "reversed": (n - i) // m,
            "pipe": min(i, n - i) // m,
        }[case["kind"]])
    return np.array(result, dtype=np.int64)


def argsort(v, less):
    """aquicksort_ and whether it came to heapsort; only used to make inputs that do."""
    order, heaps = list(range(len(v))), 0
    pending = [(0, len(v) - 1, 2 * (len(v).bit_length() - 1))]
    while pending:
        pl, pr, depth = pending.pop()
        if depth < 0:
            heaps += 1
            continue
        while pr - pl > 15:
            pm = pl + ((pr - pl) >> 1)
            for a, b in [(pm, pl), (pr, pm), (pm, pl)]:
                if less(order[a], order[b]):
                    order[a], order[b] = order[b], order[a]
            vp = order[pm]
            pi, pj = pl, pr - 1
            order[pm], order[pj] = order[pj], order[pm]
            while True:
                pi += 1
                while less(order[pi], vp):
                    pi += 1
                pj -= 1
                while less(vp, order[pj]):
                    pj -= 1
                if pi >= pj:
                    break
                order[pi], order[pj] = order[pj], order[pi]
            order[pi], order[pr - 1] = order[pr - 1], order[pi]
            depth -= 1
            if pi - pl < pr - pi:
                pending.append((pi + 1, pr, depth))
                pr = pi - 1
            else:
                pending.append((pl, pi - 1, depth))
                pl = pi + 1
    return heaps


def killer(n):
    """The adversary of McIlroy 1999, "A killer adversary for quicksort"."""
    gas = n
    v, state = [gas] * n, {"solid": 0, "candidate": 0}

    def less(x, y):
        if v[x] == gas and v[y] == gas:
            v[x if x == state["candidate"] else y] = state["solid"]
            state["solid"] += 1
        if v[x] == gas:
            state["candidate"] = x
        elif v[y] == gas:
            state["candidate"] = y
        return v[x] < v[y]

    argsort(v, less)
    return v


def ties_that_come_to_heapsort(n):
    """The adversary's values, but with many equal ones among those that are left for heapsort."""
    result = [x if x < n // 3 else n // 3 + (x * 7 % 5) for x in killer(n)]
    assert argsort(result, lambda a, b: result[a] < result[b]) > 0, n
    return result


def utkface(ages, folder):
    """Runs the authors' own `_extract_metadata` over file names with these ages."""
    source = Path(folder, "zs_ssl_clustering/datasets/utkface.py").read_text()
    start, end = source.index("    def _extract_metadata"), source.index("    def _partition")
    method = "class Table:\n" + source[start:end]
    names = [f"{age}_0_0_20170101000000000.jpg.chip.jpg" for age in ages]
    scope = {"os": os, "np": np, "pd": pd, "datetime": __import__("datetime"), "sorted": lambda _: names}
    exec(method, scope)
    table = scope["Table"]()
    table.CORRUPTED_SAMPLES, table.image_dir = [], "."
    table.GENDER_DICT, table.RACE_DICT = {0: ""}, {0: ""}
    table._extract_metadata()
    return table.metadata


def main(folder):
    probe = values({"kind": "draw", "n": 3000, "m": 50})
    assert sha256(np.argsort(probe)) == SCALAR, "NumPy sorts with SIMD here; see above"
    golden = {"numpy": np.__version__, "pandas": pd.__version__, "scikit-learn": sklearn.__version__}
    golden["permutation"] = [
        {"seed": seed, "n": n, "sha256": sha256(RandomState(seed).permutation(n))}
        for seed, n in [(0, 0), (0, 1), (1, 2), (42, 10), (42, 1000), (2**32 - 1, 4097), (7, 65536), (5489, 100_000)]
    ]
    golden["choice"] = [
        {"seed": seed, "n": n, "size": size, "chosen": RandomState(seed).choice(n, size, replace=False).tolist()}
        for seed, n, size in [(0, 5, 5), (1, 100, 3), (42, 1000, 10), (9, 7, 0)]
    ]
    golden["interval"] = [
        {"seed": 3, "most": most, "drawn": RandomState(3).randint(0, most + 1, 6, dtype=np.uint64).tolist()}
        for most in [1, 4, 255, 256, 10**6, 2**32 - 2, 2**32, 2**40 + 5, 2**63 + 1]
    ]
    cases = [{"kind": "draw", "n": n, "m": m} for n in [0, 1, 16, 17, 33, 1000, 30_000] for m in [2, 116, 10**6]]
    cases += [{"kind": kind, "n": n, "m": m} for kind in ["skew", "cycle", "sorted", "reversed", "pipe"]
              for n in [1000, 30_000] for m in [1, 116]]
    cases += [{"values": ties_that_come_to_heapsort(n)} for n in [120, 200]]
    golden["argsort"] = [case | {"sha256": sha256(np.argsort(values(case), kind="quicksort"))} for case in cases]
    golden["split"], golden["refused"] = [], []
    inputs = [({"kind": "cycle", "n": 1010, "m": 10}, 0.15, 0), ({"kind": "cycle", "n": 1010, "m": 10}, 0.15, 1),
              ({"kind": "draw", "n": 5000, "m": 13}, 0.2, 42), ({"kind": "skew", "n": 30_000, "m": 50}, 0.2, 42),
              ({"kind": "skew", "n": 30_000, "m": 50}, 7777, 2**32 - 1),
              ({"kind": "draw", "n": 997, "m": 100}, 0.25, 5),
              ({"kind": "draw", "n": 997, "m": 100}, 500, 6), ({"kind": "cycle", "n": 60_000, "m": 1}, 10_000, 0),
              ({"kind": "cycle", "n": 300, "m": 7}, 0.29, 3), ({"kind": "sorted", "n": 300, "m": 2}, 0.5, 3),
              ({"values": [5, -2, 5, -2, 5, 9, 9]}, 3, 1), ({"values": [5, -2, 5, -2, 5, 9, 9]}, 4, 2),
              ({"values": [1, 1]}, 0.5, 0), ({"values": [3, 3, 3, 1, 1, 2, 2, 2, 2]}, 1 / 3, 11)]
    inputs += [({"kind": kind, "n": n, "m": m}, test, n + m) for kind in ["cycle", "skew"]
               for n in [400, 1001] for m in [3, 12] for test in [0.1, 0.7, 57]]
    inputs += [({"values": v}, test, 0) for v, test in [
        ([], 0.2), ([], 1), ([1, 1], 0), ([1, 1], 2), ([1, 1], 3), ([1, 1], 0.0), ([1, 1], 1.0), ([1, 1], 0.6),
        ([1, 1], -0.5), ([1, 1, 2], 0.5), ([1, 1, 2, 2], 1), ([1, 1, 2, 2], 3), ([1] * 9 + [2] * 9, 0.05)]]
    for case, test, seed in inputs:
        labels = values(case)
        case = case | {"test": test, "seed": seed}
        try:
            train, held = train_test_split(np.arange(len(labels)), test_size=test, random_state=seed, stratify=labels)
        except ValueError as error:
            golden["refused"].append(case | {"message": str(error)[:50]})
            continue
        golden["split"].append(case | {"train": sha256(train), "held": sha256(held), "n_held": len(held)})
    golden["utkface"] = []
    for case in [{"kind": "skew", "n": 23_705, "m": 117}, {"kind": "draw", "n": 23_706, "m": 116}] + [
        {"kind": "skew", "n": n, "m": m} for n in [4, 5, 8, 9, 12, 14, 23, 50, 1000] for m in [2, 30]
    ]:
        ages = values(case)
        table = utkface(ages.tolist(), folder)
        order = pd.DataFrame({"age": ages}).sort_values(by="age").index
        assert (ages[order] == table["age"]).all()
        is_test = table["is_test"].to_numpy()
        golden["utkface"].append(case | {"order": sha256(order), "is_test": sha256(is_test), "n": len(ages)})
    lines = [f"{json.dumps(key)}: " + ("[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n]"
             if isinstance(value, list) else json.dumps(value)) for key, value in golden.items()]
    Path(__file__).with_suffix(".json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1])

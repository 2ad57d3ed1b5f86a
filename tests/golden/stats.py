"""Writes stats.json: paired tests, correlations and ranks by SciPy. Usage: python stats.py (SciPy 1.17.1, NumPy 2.4.6)."""

import json
import os

import numpy as np
import scipy
import scipy.stats as S

R = np.random.default_rng(20241)
cases = []


def add(kind, name, expect, **data):
    plain = {key: value if isinstance(value, str) else np.asarray(value, float).tolist() for key, value in data.items()}
    cases.append({"kind": kind, "name": name, **plain, "expect": expect})


def ttest(name, a, b):
    found = S.ttest_rel(a, b)
    expect = {"statistic": found.statistic, "p": found.pvalue, "df": float(found.df), "mean": float(np.mean(np.asarray(a) - np.asarray(b)))}
    for level in (0.5, 0.95, 0.999):
        interval = found.confidence_interval(level)
        expect[f"interval_{level}"] = [float(interval.low), float(interval.high)]
    add("ttest_rel", name, expect, a=a, b=b)


def wilcoxon(name, a, b):
    expect = {}
    for alternative in ("two-sided", "greater", "less"):
        found = S.wilcoxon(a, b, alternative=alternative)
        expect[alternative] = [float(found.statistic), float(found.pvalue)]
    add("wilcoxon", name, expect, a=a, b=b)


def correlations(name, a, b):
    p, s, k = S.pearsonr(a, b), S.spearmanr(a, b), S.kendalltau(a, b)
    expect = {"pearson": [p[0], p[1]], "spearman": [s[0], s[1]], "kendall": [k[0], k[1]]}
    add("correlation", name, {key: [float(x) for x in value] for key, value in expect.items()}, a=a, b=b)


for n in (2, 3, 5, 8, 26, 100):
    for shift in (0.0, 0.3, 2.0):
        a = R.normal(size=n)
        ttest(f"{n}_{shift}", a, a - shift - 0.5 * R.normal(size=n))
ttest("tiny_p", np.arange(60) + 1e-4 * R.normal(size=60), np.arange(60) - 50.0)
ttest("cauchy", R.standard_cauchy(30), R.standard_cauchy(30))

for n in (1, 2, 3, 5, 6, 9, 12, 13, 14, 20, 26, 40, 50, 51, 60):
    for shift in (0.0, 0.4, 3.0):
        a = R.normal(size=n)
        wilcoxon(f"{n}_{shift}", a, a - shift + R.normal(size=n))
    if n >= 5:
        whole = R.integers(-3, 6, n)
        wilcoxon(f"{n}_ties_and_zeros", np.where(np.arange(n) == 0, 3, whole), np.zeros(n))
        wilcoxon(f"{n}_ties", np.where(whole == 0, 1, whole), np.zeros(n))
        wilcoxon(f"{n}_one_zero", np.r_[0.0, R.normal(size=n - 1)], np.zeros(n))

for n in (3, 4, 7, 12, 32, 33, 34, 60, 200):
    for slope in (0.0, 0.5, -4.0):
        a = R.normal(size=n)
        correlations(f"{n}_{slope}", a, slope * a + R.normal(size=n))
    if n >= 4:
        correlations(f"{n}_rounded", np.r_[0, 1, np.round(R.normal(size=n - 2))], np.r_[1, 0, np.round(R.normal(size=n - 2))])
swapped = np.arange(200.0)
swapped[[40, 41]] = swapped[[41, 40]]
correlations("200_one_discordant", np.arange(200.0), swapped)
correlations("40_all_concordant", np.arange(40.0), np.arange(40.0) ** 3)

for name, values in {
    "empty": [], "one": [3.0], "distinct": [3.0, -1.0, 2.5], "ties": [2, 1, 2, 3, 1, 2, 2], "equal": [4, 4, 4],
    "zeros": [0.0, -0.0, 1.0, -1.0], "many": R.integers(0, 12, 40),
}.items():
    methods = ("average", "min", "max", "dense", "ordinal")
    add("rankdata", name, {method: np.asarray(S.rankdata(values, method), float).tolist() for method in methods}, a=values)

file = {"what": f"scipy {scipy.__version__}, numpy {np.__version__}, defaults", "cases": cases}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "stats.json"), "w") as out:
    json.dump(file, out, separators=(",", ":"), allow_nan=False)
    out.write("\n")

"""What `numerics.py` runs inside its own environment: makes the inputs, runs one peer, or judges a result.

    python numerics_peers.py '{"do": "run", "peer": "sklearn", "work": "silhouette", ...}'

One job a process. It prints one JSON object: `seconds` of the computation alone, `extra_bytes`, the peak of the memory
above what the process had before (imports, input and a small warm-up run), and `quality`.
"""

import json
import sys
import time
import warnings

import numpy as np

warnings.filterwarnings("ignore")


# --- inputs


def mix(n, d, clusters, seed):
    """A mixture like embeddings: clusters of unequal sizes, each spread along 16 directions of its own, and a little
    noise in all dimensions."""
    random = np.random.default_rng(seed)
    normal = lambda *shape: random.standard_normal(shape, dtype=np.float32) / np.float32(d**0.5)
    sizes = random.gamma(2.0, size=clusters)
    labels = random.choice(clusters, size=n, p=sizes / sizes.sum())
    widths = random.uniform(0.6, 1.4, size=clusters).astype(np.float32)
    points = np.empty((n, d), np.float32)
    for cluster in range(clusters):
        own = np.flatnonzero(labels == cluster)
        along = random.standard_normal((len(own), 16), dtype=np.float32) * widths[cluster]
        points[own] = 3.5 * normal(1, d) + along @ normal(16, d) + 2 * normal(len(own), d)
    return points, labels.astype(np.int32)


def make(job):
    if job["kind"] == "mix":
        points, labels = mix(job["n"], job["d"], job["clusters"], job["seed"])
        np.save(job["path"] + ".x.npy", points)
        np.save(job["path"] + ".y.npy", labels)
        random = np.random.default_rng(job["seed"] + 1)
        np.save(job["path"] + ".rows.npy", random.permutation(job["n"])[: job["starts"]].astype(np.int64))
        noisy = np.where(random.random(job["n"]) < 0.2, random.integers(job["clusters"], size=job["n"]), labels)
        for index, other in enumerate([labels // 2, noisy, random.integers(20, size=job["n"])]):
            np.save(f"{job['path']}.other{index}.npy", other.astype(np.int32))
    else:
        random = np.random.default_rng(job["seed"])
        truth = random.integers(job["clusters"], size=job["n"])
        found = np.where(random.random(job["n"]) < 0.5, random.integers(job["clusters"], size=job["n"]), truth)
        np.save(job["path"] + ".y.npy", truth.astype(np.int32))
        np.save(job["path"] + ".other0.npy", found.astype(np.int32))
    return {}


# --- peers: each takes (points, labels, job) and gives (a function to be timed, a function that judges what it gives)


def ami(truth, found):
    from sklearn.metrics import adjusted_mutual_info_score

    return {"AMI": adjusted_mutual_info_score(truth, found)}


def label_metrics(x, y, job):
    from sklearn.metrics import adjusted_mutual_info_score

    other = np.load(job["path"] + ".other0.npy")
    return lambda: adjusted_mutual_info_score(y, other), lambda score: {"AMI": score}


def silhouette(x, y, job):
    from sklearn.metrics import silhouette_score

    return lambda: silhouette_score(x, y, metric=job["metric"]), lambda score: {"value": score}


def kmeans(x, y, job):
    from sklearn.cluster import KMeans

    model = KMeans(job["k"], n_init=1, max_iter=1000, random_state=job["repetition"])
    judge = lambda fit: {**ami(y, fit.labels_), "inertia": fit.inertia_, "it": fit.n_iter_}
    return lambda: model.fit(x), judge


def lloyd(x, y, job):
    start = x[np.load(job["path"] + ".rows.npy")[: job["k"]]].copy()
    objective = lambda labels: {**ami(y, labels), "inertia": inertia(x, labels, job["k"])}
    if job["peer"] == "faiss":
        import faiss

        faiss.omp_set_num_threads(job["threads"])
        model = faiss.Kmeans(x.shape[1], job["k"], niter=25, max_points_per_centroid=len(x))
        model.cp.min_points_per_centroid = 1

        def run():
            model.train(x, init_centroids=start)
            return model.index.search(x, 1)[1][:, 0]

        return run, objective
    if job["peer"] == "superkmeans":
        import superkmeans

        model = superkmeans.SuperKMeans(n_clusters=job["k"], dimensionality=x.shape[1], iters=25, sampling_fraction=1.0,
                                        early_termination=False, n_threads=job["threads"], seed=1)

        def run():
            return model.assign(x, model.train(x))

        return run, objective
    if job["peer"] == "sklearnex":
        from sklearnex.cluster import KMeans
    else:
        from sklearn.cluster import KMeans
    algorithm = "elkan" if job["peer"] == "sklearn-elkan" else "lloyd"
    model = KMeans(job["k"], init=start, n_init=1, max_iter=25, tol=0, algorithm=algorithm)
    return lambda: model.fit(x).labels_, objective


def inertia(x, labels, k):
    total = 0.0
    for cluster in range(k):
        own = x[labels == cluster].astype(np.float64)
        if len(own):
            total += ((own - own.mean(axis=0)) ** 2).sum()
    return total


def knn_graph(x, y, job):
    k, judge = job["k"], lambda found: {"recall": recall(x, found)}
    if job["peer"] == "faiss":
        import faiss

        faiss.omp_set_num_threads(job["threads"])

        def run():
            index = faiss.IndexFlatL2(x.shape[1])
            index.add(x)
            return index.search(x, k + 1)[1]

        return run, judge
    from pynndescent import NNDescent

    return lambda: NNDescent(x, n_neighbors=k + 1, random_state=1, n_jobs=job["threads"]).neighbor_graph[0], judge


def recall(x, found):
    """The share of the true nearest others that were found, over 500 points; the point itself may be in the list."""
    rows = np.random.default_rng(0).permutation(len(x))[:500]
    k = found.shape[1] - int(np.mean(found[:, 0] == np.arange(len(x))) > 0.5)
    wide = x[rows].astype(np.float64)
    distances = (wide**2).sum(1)[:, None] - 2 * wide @ x.T.astype(np.float64) + (x.astype(np.float64) ** 2).sum(1)
    distances[np.arange(len(rows)), rows] = np.inf
    true = np.argpartition(distances, k, axis=1)[:, :k]
    hits = [len(np.intersect1d(found[row], true)) for row, true in zip(rows, true)]
    return sum(hits) / (k * len(rows))


def umap(x, y, job):
    import umap

    seed = 1 if job["peer"] == "umap-seeded" else None
    model = umap.UMAP(n_neighbors=30, n_components=50, min_dist=0.0, random_state=seed, n_epochs=job.get("n_epochs"),
                      n_jobs=1 if seed else job["threads"])
    return lambda: model.fit_transform(x), lambda z: judge_embedding(x, y, z)


def judge_embedding(x, y, z):
    from sklearn.cluster import KMeans
    from sklearn.manifold import trustworthiness

    rows = np.random.default_rng(0).permutation(len(x))[:3000]
    found = KMeans(len(np.unique(y)), n_init=3, random_state=0).fit_predict(z)
    return {**ami(y, found), "trust": trustworthiness(x[rows], z[rows], n_neighbors=15)}


def linkage(x, y, job):
    import fastcluster

    return lambda: fastcluster.linkage(x, job["linkage"]), lambda tree: judge_tree(y, tree)


def judge_tree(y, tree):
    from scipy.cluster.hierarchy import fcluster

    return {**ami(y, fcluster(tree, len(np.unique(y)), "maxclust")), "heights": float(tree[:, 2].sum())}


def hdbscan(x, y, job):
    judge = lambda labels: {**ami(y, labels), "k": len(np.unique(labels[labels >= 0]))}
    if job["peer"] == "fast_hdbscan":
        import fast_hdbscan

        # Others than scikit-learn do not count the point itself.
        return lambda: fast_hdbscan.HDBSCAN(min_cluster_size=5, min_samples=4).fit(x).labels_, judge
    if job["peer"] == "hdbscan":
        import hdbscan

        return lambda: hdbscan.HDBSCAN(min_cluster_size=5, min_samples=4, core_dist_n_jobs=job["threads"]).fit(x).labels_, judge
    from sklearn.cluster import HDBSCAN

    return lambda: HDBSCAN(min_cluster_size=5, min_samples=5, n_jobs=job["threads"], copy=False).fit(x).labels_, judge


def affinity_propagation(x, y, job):
    if job["peer"] == "naffprop":
        from naffprop import AffinityPropagation
    else:
        from sklearn.cluster import AffinityPropagation
    model = AffinityPropagation(damping=0.9, max_iter=1000, convergence_iter=15, random_state=0)
    judge = lambda fit: {**ami(y, fit.labels_), "k": len(np.unique(fit.labels_)), "it": int(getattr(fit, "n_iter_", -1))}
    return lambda: model.fit(x), judge


def spectral(x, y, job):
    from sklearn.cluster import SpectralClustering

    model = SpectralClustering(job["k"], affinity="nearest_neighbors", n_neighbors=10, assign_labels="cluster_qr",
                               eigen_solver=job["peer"].removeprefix("sklearn-"), random_state=0, n_jobs=job["threads"])
    return lambda: model.fit_predict(x), lambda labels: ami(y, labels)


def pca(x, y, job):
    if job["peer"] == "sklearnex":
        from sklearnex.decomposition import PCA
    else:
        from sklearn.decomposition import PCA
    model = PCA(n_components=0.95, svd_solver="covariance_eigh")
    return lambda: model.fit_transform(x), lambda z: {"components": z.shape[1]}


def probe_linear(x, y, job):
    if job["peer"] == "sklearnex":
        from sklearnex.linear_model import LogisticRegression
    else:
        from sklearn.linear_model import LogisticRegression
    rows = job["train_rows"]
    model = LogisticRegression(tol=job["tol"], max_iter=1000)

    def judge(fit):
        total = 0.5 * (fit.coef_.astype(np.float64) ** 2).sum()
        number = np.searchsorted(fit.classes_, y[:rows])
        for at in range(0, rows, 4096):
            own = number[at : min(at + 4096, rows)]
            scores = x[at : at + len(own)].astype(np.float64) @ fit.coef_.T.astype(np.float64) + fit.intercept_
            most = scores.max(axis=1)
            total += (np.log(np.exp(scores - most[:, None]).sum(axis=1)) + most - scores[np.arange(len(own)), own]).sum()
        return {"objective": total, "accuracy": fit.score(x[rows:], y[rows:]), "it": int(fit.n_iter_[0])}

    return lambda: model.fit(x[:rows], y[:rows]), judge


def probe_knn(x, y, job):
    rows, k = job["train_rows"], 20
    judge = lambda found: {"accuracy": float((found == y[rows:]).mean())}
    if job["peer"] == "faiss":
        import faiss

        faiss.omp_set_num_threads(job["threads"])

        def run():
            unit = x / np.linalg.norm(x, axis=1, keepdims=True)
            index = faiss.IndexFlatIP(x.shape[1])
            index.add(unit[:rows])
            similarities, neighbours = index.search(unit[rows:], k)
            votes = np.zeros((len(x) - rows, y.max() + 1))
            np.add.at(votes, (np.arange(len(votes))[:, None], y[neighbours]), np.exp(similarities / 0.07))
            return votes.argmax(axis=1)

        return run, judge
    from sklearn.neighbors import KNeighborsClassifier

    weigh = lambda distances: np.exp((1 - distances) / 0.07)
    model = KNeighborsClassifier(k, metric="cosine", weights=weigh, n_jobs=job["threads"])
    return lambda: model.fit(x[:rows], y[:rows]).predict(x[rows:]), judge


def louvain(x, y, job):
    import networkx

    from sklearn.neighbors import kneighbors_graph

    # The graph is made before the clock runs, as it is most of the work and not the peer's.
    graph = kneighbors_graph(x, job["k"], mode="distance")
    graph.data = 1 / (1 + graph.data)
    graph = networkx.from_scipy_sparse_array(graph.maximum(graph.T))

    def labels(communities):
        found = np.empty(len(x), int)
        for index, members in enumerate(communities):
            found[list(members)] = index
        return found

    judge = lambda found: {**ami(y, labels(found)), "k": len(found)}
    return lambda: networkx.community.louvain_communities(graph, seed=1), judge


WORK = {function.__name__: function for function in (
    label_metrics, silhouette, kmeans, lloyd, knn_graph, umap, linkage, hdbscan, affinity_propagation, spectral, pca,
    probe_linear, probe_knn, louvain,
)}  # fmt: skip


def run(job):
    work = WORK[job["work"]]
    if job["warm"]:
        # Compilers inside of the peers, thread pools and lazy imports are paid for on a small input. It has as many
        # dimensions, and as many points as UMAP needs for its approximate search, so that the same code is compiled.
        points, labels = mix(5000 if job["work"] == "umap" else 600, job["d"], 4, 0)
        small = {**job, "k": min(job.get("k", 4), 4), "train_rows": 400, "path": job["warm"], "n_epochs": 5}
        try:
            work(points, labels, small)[0]()
        except Exception as error:
            print(f"no warm-up: {error}", file=sys.stderr)
    points = None if job["work"] == "label_metrics" else np.load(job["path"] + ".x.npy")
    labels = np.load(job["path"] + ".y.npy")
    timed, judge = work(points, labels, job)
    before = memory("VmRSS")
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")
    start = time.perf_counter()
    result = timed()
    seconds = time.perf_counter() - start
    extra = memory("VmHWM") - before
    quality = {name: float(value) for name, value in judge(result).items()}
    return {"seconds": seconds, "extra_bytes": extra, "quality": quality}


def memory(what):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(what + ":"))


def judge(job):
    """The quality of what our side wrote."""
    labels = np.load(job["path"] + ".y.npy")
    found = np.load(job["found"])
    if job["work"] == "linkage":
        return {"quality": judge_tree(labels, found)}
    points = np.load(job["path"] + ".x.npy")
    if job["work"] == "knn_graph":
        return {"quality": {"recall": recall(points, found)}}
    if job["work"] == "lloyd":
        return {"quality": {**ami(labels, found), "inertia": inertia(points, found, job["k"])}}
    return {"quality": {name: float(value) for name, value in judge_embedding(points, labels, found).items()}}


def first(job):
    """The first of the rows to start from, as a file."""
    path = f"{job['path']}.{job['k']}.npy"
    np.save(path, np.load(job["path"])[: job["k"]])
    return {"path": path}


def versions(job):
    from importlib.metadata import version

    import scipy  # noqa: F401  its OpenBLAS is asked for below
    from threadpoolctl import threadpool_info

    kernels = sorted({f"{pool['internal_api']} {pool.get('architecture', '')}".strip() for pool in threadpool_info()})
    return {"versions": {name: version(name) for name in job["packages"]}, "kernels": kernels}


if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    do = {"make": make, "first": first, "run": run, "judge": judge, "versions": versions}
    print(json.dumps(do[task["do"]](task)))

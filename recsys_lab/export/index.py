"""The FAISS index of a vector bundle, chosen by the recall it has on the bundle's own vectors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys_lab.errors import ExportError

Vectors = NDArray[np.float32]
Settings = dict[str, float]

SCORE_TOLERANCE = 1e-5  # relative: an item this close to the k-th best score is as good as it
STANDARD_ERRORS = 2.0  # by which the measured recall must exceed the target, since it is a sample's
QUERIES_TIMED = 64


@dataclass(frozen=True)
class IndexChoice:
    """An index that reached ``target``, with the search-time ``settings`` already set in it.

    ``settings`` are spelt as FAISS's ``ParameterSpace`` takes them; ``recall`` is the share of the
    exact ``k`` best that it finds, ``microseconds`` a single query's time on one thread.
    """

    index: Any
    factory: str
    settings: Settings
    recall: float
    target: float
    k: int
    microseconds: float

    def write(self, path: Path) -> None:
        import faiss

        faiss.write_index(self.index, str(path))


def build_index(
    vectors: Vectors,
    queries: Vectors,
    *,
    target_recall: float = 0.97,
    k: int = 100,
    flat_limit: int = 100_000,
    seed: int = 0,
) -> IndexChoice:
    """The fastest inner-product index over ``vectors`` [C, D] whose recall@k reaches the target.

    Up to ``flat_limit`` vectors that is the exact one. Beyond, several inverted files are
    trained (with one seeded clustering), each searched with more and more probes until its
    recall on ``queries`` [Q, D] exceeds the target by two standard errors, and timed there. Items
    within 1e-5 of the k-th best score count as found, so that ties cost nothing. Raises
    ExportError when there is nothing to index or no index is good enough.
    """
    import faiss

    if len(vectors) == 0 or len(queries) == 0:
        raise ExportError(f"index: {len(vectors)} vectors and {len(queries)} queries; at least one of each is needed")
    if not 0 < target_recall <= 1:
        raise ExportError(f"target_recall: {target_recall} is not a share; use a number above 0, at most 1")
    k = min(k, len(vectors))
    vectors, queries = np.ascontiguousarray(vectors), np.ascontiguousarray(queries)
    with _one_thread():
        exact = faiss.IndexFlatIP(vectors.shape[1])
        exact.add(vectors)
        if len(vectors) <= flat_limit:
            return IndexChoice(exact, "Flat", {}, 1.0, target_recall, k, _microseconds(exact, queries, k))
        kth_best = exact.search(queries, k)[0][:, -1]
        del exact
        best: IndexChoice | None = None
        nearest_miss = (0.0, "")
        for factory, index in _inverted_files(vectors, seed):
            for settings in _fixed_settings(factory):
                recall, reached = _grow_probes(index, settings, vectors, queries, kth_best, k, target_recall)
                nearest_miss = max(nearest_miss, (recall, f"{factory} {settings}"))
                took = _microseconds(index, queries, k) if reached else np.inf
                if took < (best.microseconds if best else np.inf):
                    best = IndexChoice(index, factory, dict(settings), recall, target_recall, k, took)
        if best is None:
            raise ExportError(
                f"target_recall: {target_recall:g} at k={k} was not reached; the nearest is {nearest_miss[0]:.4f} with "
                f"{nearest_miss[1]}. Lower it, or raise flat_limit to {len(vectors)} for exact search"
            )
        _set(best.index, best.settings)
        return best


def _inverted_files(vectors: Vectors, seed: int) -> Iterator[tuple[str, Any]]:
    """Factory string and filled index: full vectors, 8 bits a dimension, and 2 bits a dimension refined by 8.

    Plain product codes stall far below the target; codes of the residuals (``fsr``) do not.
    """
    import faiss

    dimension = vectors.shape[1]
    lists = 1 << round(np.log2(2 * np.sqrt(len(vectors))))
    kinds = [f"IVF{lists},Flat", f"IVF{lists},SQ8"]
    if dimension % 2 == 0:
        kinds.append(f"IVF{lists},PQ{dimension // 2}x4fsr,Refine(SQ8)")
    sample = np.random.default_rng(seed).permutation(len(vectors))[: 128 * lists]
    centroids: Vectors | None = None
    for factory in kinds:
        index = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
        inverted = faiss.extract_index_ivf(index)
        inverted.cp.seed = seed
        if centroids is not None:
            inverted.quantizer.add(centroids)
        index.train(vectors[np.sort(sample)])
        if centroids is None:
            centroids = faiss.downcast_index(inverted.quantizer).reconstruct_n(0, lists)
        index.add(vectors)
        yield factory, index


def _fixed_settings(factory: str) -> list[Settings]:
    """What is set besides the number of probes: how many times k the codes hand to the refinement."""
    return [{"k_factor_rf": factor} for factor in (2.0, 4.0, 8.0)] if "Refine" in factory else [{}]


def _grow_probes(
    index: Any, settings: Settings, vectors: Vectors, queries: Vectors, kth_best: Vectors, k: int, target: float
) -> tuple[float, bool]:
    """Double ``nprobe``, in ``index`` and in ``settings``, until the target is reached or a quarter is searched."""
    import faiss

    lists = faiss.extract_index_ivf(index).nlist
    recall, reached, probes = 0.0, False, 1
    while not reached and probes <= max(1, lists // 4):
        settings["nprobe"] = float(probes)
        _set(index, settings)
        found = index.search(queries, k)[1]
        per_query = _recall(found, vectors, queries, kth_best)
        recall = float(per_query.mean())
        doubt = STANDARD_ERRORS * float(per_query.std()) / np.sqrt(len(per_query))
        reached = recall - doubt >= target
        probes *= 2
    return recall, reached


def _recall(found: NDArray[np.int64], vectors: Vectors, queries: Vectors, kth_best: Vectors) -> NDArray[np.float64]:
    """Per query, the share of ``found`` [Q, k] (-1: none) whose exact score reaches the k-th best one."""
    scores = np.einsum("qkd,qd->qk", vectors[found], queries)
    slack = SCORE_TOLERANCE * np.abs(kth_best)
    good = (found >= 0) & (scores >= (kth_best - slack)[:, None])
    return np.asarray(good.mean(axis=1))


def _set(index: Any, settings: Settings) -> None:
    import faiss

    for name, value in settings.items():
        faiss.ParameterSpace().set_index_parameter(index, name, value)


def _microseconds(index: Any, queries: Vectors, k: int) -> float:
    """Median time of one query, asked alone as a server does."""
    times = []
    for query in queries[:QUERIES_TIMED]:
        start = time.perf_counter()
        index.search(query[None], k)
        times.append(time.perf_counter() - start)
    return float(np.median(times) * 1e6)


@contextmanager
def _one_thread() -> Iterator[None]:
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)

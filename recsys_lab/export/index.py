"""The FAISS index of a vector bundle, chosen by the recall it has on the bundle's own vectors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys_lab.errors import ExportError
from serving_min.depth import depth
from serving_min.item_vectors import ItemVectors

Vectors = NDArray[np.float32]
Settings = dict[str, float]

SCORE_TOLERANCE = 1e-5  # relative: an item this close to the k-th best score is as good as it
STANDARD_ERRORS = 2.0  # by which the measured recall must exceed the target, since it is a sample's
SHORT = 10  # items of a usual list, in which what is missed weighs more
TOGETHER, BATCHES_TIMED = 16, 16  # queries asked at once, as a busy server does, and how often
TRAINED_ON = 64  # vectors for each list, when the lists' centres are looked for
ROUNDS = 10  # of that search
MANY_LISTS = 1_000  # with fewer, to compare a query with each centre is as quick
NAMED = 4  # centres that short codes name for each that is wanted; exact products choose
PROBES = (*range(1, 8), *(number << step for step in range(13) for number in range(8, 16)))  # 1 2 3 .. 16 18 .. 32 36
MANY = 1_000_000  # vectors; with fewer, threads that wait for each other cost more than they bring
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class IndexChoice:
    """An index that reached ``target``, with the search-time ``settings`` already set in it.

    ``settings`` are spelt as FAISS's ``ParameterSpace`` takes them. ``recall`` is the share of the exact ``k`` best
    among the best, by their stored vectors, of those that the server fetches with this ``widening``; ``microseconds``
    the time of a query for a short list on one thread, asked with fifteen others.
    """

    index: Any
    factory: str
    settings: Settings
    widening: int
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
    megabytes: int = 512,
    stored: ItemVectors | None = None,
    seed: int = 0,
) -> IndexChoice:
    """The fastest inner-product index over ``vectors`` [C, D] whose recall@k reaches the target.

    Up to ``flat_limit`` vectors that is the exact one. Beyond, inverted files of at most ``megabytes`` are filled
    (around the centres of one seeded clustering) and searched with more and more probes, until recall on ``queries``
    [Q, D], in lists of ``k`` and of 10 items, exceeds the target by two standard errors; there they are timed. As many
    are fetched as the server fetches, and scored with the ``stored`` vectors (None: the same ones). Items within 1e-5
    of the k-th best score count as found, so that ties cost nothing. Searches are on one thread; a large index is
    filled by all that FAISS may use. Raises ExportError when there is nothing to index or no index is good enough.
    """
    import faiss

    if len(vectors) == 0 or len(queries) == 0:
        raise ExportError(f"index: {len(vectors)} vectors and {len(queries)} queries; at least one of each is needed")
    if not 0 < target_recall <= 1:
        raise ExportError(f"target_recall: {target_recall} is not a share; use a number above 0, at most 1")
    k = min(k, len(vectors))
    vectors, queries = np.ascontiguousarray(vectors), np.ascontiguousarray(queries)
    if len(vectors) <= flat_limit:
        exact = faiss.IndexFlatIP(vectors.shape[1])
        exact.add(vectors)
        return IndexChoice(exact, "Flat", {}, 1, 1.0, target_recall, k, _microseconds(exact, queries, k))
    best_scores = faiss.knn(queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)[0]
    truth = Truth(vectors, queries, best_scores, stored or ItemVectors(vectors))
    best: IndexChoice | None = None
    nearest_miss = (0.0, "")
    for factory, index in _inverted_files(vectors, seed, megabytes):
        fewest = faiss.extract_index_ivf(index).nlist // 2 + 1
        for widening in _widenings(factory):
            settings, recalls, reached = _grow_probes(index, truth, widening, target_recall, fewest)
            nearest_miss = max(nearest_miss, (min(recalls), f"{factory} {settings}"))
            if not reached:
                continue
            fewest = int(settings["nprobe"])  # with as many, to ask for more only takes longer
            took = _microseconds(index, queries, truth.fetched(truth.lengths[0], widening), truth.stored)
            if best is None or took < best.microseconds:
                best = IndexChoice(index, factory, settings, widening, recalls[-1], target_recall, k, took)
    if best is None:
        raise ExportError(
            f"target_recall: {target_recall:g} at k={k} and in short lists was not reached; the nearest is "
            f"{nearest_miss[0]:.4f} with {nearest_miss[1]}. Lower it, or raise flat_limit to {len(vectors)} for exact "
            "search"
        )
    _set(best.index, best.settings)
    return best


@dataclass(frozen=True)
class Truth:
    """What an index should find: items with the ``best`` scores [Q, k]. It names, ``stored`` vectors choose."""

    vectors: Vectors  # [C, D]
    queries: Vectors  # [Q, D]
    best: Vectors  # [Q, k] descending
    stored: ItemVectors

    @property
    def lengths(self) -> tuple[int, ...]:
        """Of the lists that an index should fill well, the longest last."""
        k = self.best.shape[1]
        return (SHORT, k) if k > SHORT else (k,)

    def fetched(self, k: int, widening: int) -> int:
        """How many the server asks for."""
        return min(depth(k, 0, widening), len(self.vectors))

    def recall(self, found: NDArray[np.int64], k: int) -> NDArray[np.float64]:
        """Per query, the share of the k chosen among ``found`` [Q, F] (-1: none) whose exact score is good enough."""
        shares = np.empty(len(found))
        least = self.best[:, k - 1] - SCORE_TOLERANCE * np.abs(self.best[:, k - 1])
        for row, (query, named) in enumerate(zip(self.queries, found, strict=True)):
            places = named[named >= 0]
            scores = self.stored.scores(places[None], query[None])[0]
            chosen = places[np.argsort(-scores, kind="stable")[:k]]
            exact = np.einsum("kd,d->k", self.vectors[chosen], query)
            shares[row] = np.count_nonzero(exact >= least[row]) / k
        return shares


def _inverted_files(vectors: Vectors, seed: int, megabytes: int) -> Iterator[tuple[str, Any]]:
    """Factory string and filled index: 2 bits a dimension, 8 bits a dimension, and full vectors.

    Plain product codes stall far below the target; codes of the residuals (``fsr``) do not.
    """
    dimension = vectors.shape[1]
    lists = 1 << round(np.log2(2.6 * np.sqrt(len(vectors))))
    short = f"PQ{dimension // 2}x4fs"
    inverted = f"IVF{lists}"
    if dimension % 2 == 0 and lists >= MANY_LISTS:
        inverted += f"({short},RFlat)"
    sizes = {f"{inverted},SQ8": dimension, f"{inverted},Flat": 4 * dimension}
    if dimension % 2 == 0:
        sizes = {f"{inverted},{short}r": dimension // 4, **sizes}
    needed = {name: (size + 8) * len(vectors) / MEGABYTE for name, size in sizes.items()}  # 8: where it belongs
    fitting = [name for name in sizes if needed[name] <= megabytes]
    if not fitting:
        least = int(np.ceil(min(needed.values())))
        raise ExportError(f"index_megabytes: {megabytes} are too few for {len(vectors)} vectors; use {least} or more")
    sample = vectors[np.sort(np.random.default_rng(seed).permutation(len(vectors))[: TRAINED_ON * lists])]
    threads = nullcontext if len(vectors) >= MANY else _one_thread
    with threads():
        centres = _centres(sample, lists, seed)
    for factory in fitting:
        with threads():
            index = _filled(factory, centres, sample, vectors)
        yield factory, index


def _centres(sample: Vectors, lists: int, seed: int) -> Any:
    """The lists' centres, as an index by distance."""
    import faiss

    centres = faiss.IndexFlatL2(sample.shape[1])
    clustering = faiss.Clustering(sample.shape[1], lists)
    clustering.seed, clustering.niter = seed, ROUNDS
    clustering.train(sample, centres)
    return centres


def _filled(factory: str, centres: Any, sample: Vectors, vectors: Vectors) -> Any:
    """An index in which each vector lies in the list of the centre nearest to it, by distance.

    Left alone FAISS clusters directions when it is to search by inner product. That leaves residuals longer than the
    vectors themselves where these are short, and codes of them that name twice as many to find the same.
    """
    import faiss

    index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    inverted = faiss.extract_index_ivf(index)
    by_product = faiss.downcast_index(inverted.quantizer)
    inverted.quantizer = centres
    try:
        index.train(sample)
        index.add(vectors)
    finally:
        inverted.quantizer = by_product  # which it owns
    if isinstance(by_product, faiss.IndexRefine):
        by_product.k_factor = NAMED
    points = centres.reconstruct_n(0, centres.ntotal)
    by_product.train(points)
    by_product.add(points)
    return index


def _widenings(factory: str) -> tuple[int, ...]:
    """How many times k an index is asked for: short codes name many that exact scores then refuse."""
    return (4, 8, 16, 32) if "PQ" in factory else (1,)


def _grow_probes(
    index: Any, truth: Truth, widening: int, target: float, below: int
) -> tuple[Settings, list[float], bool]:
    """Raise ``nprobe``, from 8 on by an eighth or less, until all lists reach the target; what was set, the recalls."""
    settings: Settings = {}
    recalls = [0.0]
    depths = [truth.fetched(k, widening) for k in truth.lengths]
    with _one_thread():
        for probes in takewhile(lambda number: number < below, PROBES):
            settings = {"nprobe": float(probes)}
            _set(index, settings)
            places = index.search(truth.queries, depths[-1])[1]  # what it thinks best comes first
            each = [truth.recall(places[:, :deep], k) for deep, k in zip(depths, truth.lengths, strict=True)]
            recalls = [float(shares.mean()) for shares in each]
            doubts = [STANDARD_ERRORS * float(shares.std()) / np.sqrt(len(shares)) for shares in each]
            if all(recall - doubt >= target for recall, doubt in zip(recalls, doubts, strict=True)):
                return settings, recalls, True
    return settings, recalls, False


def _set(index: Any, settings: Settings) -> None:
    import faiss

    for name, value in settings.items():
        faiss.ParameterSpace().set_index_parameter(index, name, value)


def _microseconds(index: Any, queries: Vectors, k: int, stored: ItemVectors | None = None) -> float:
    """Median CPU time of a query among those asked at once, with the scores of what was found."""
    times = []
    with _one_thread():
        for start in range(0, min(len(queries), TOGETHER * BATCHES_TIMED), TOGETHER):
            some = queries[start : start + TOGETHER]
            began = time.thread_time()
            places = index.search(some, k)[1]
            if stored is not None:
                stored.scores(np.sort(places, axis=1), some)
            times.append((time.thread_time() - began) / len(some))
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

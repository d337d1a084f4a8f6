"""The index is chosen by what it finds."""

from pathlib import Path

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from recsys_lab.errors import ExportError
from recsys_lab.export.index import build_index
from serving_min.depth import depth

WIDTH = 16


def clustered(count: int, seed: int) -> NDArray[np.float32]:
    """Points around a hundred centres, as items around tastes."""
    centres = np.random.default_rng(0).normal(size=(100, WIDTH))
    rng = np.random.default_rng(seed)
    points = centres[rng.integers(0, 100, count)] + 0.4 * rng.normal(size=(count, WIDTH))
    return points.astype(np.float32)


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    return clustered(20_000, seed=1)


@pytest.fixture(scope="module")
def queries() -> NDArray[np.float32]:
    return clustered(200, seed=2)


def found(index: faiss.Index, queries: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    places: NDArray[np.int64] = index.search(queries, k)[1]
    return places


def test_a_small_catalogue_is_searched_exactly(vectors: NDArray[np.float32], queries: NDArray[np.float32]) -> None:
    choice = build_index(vectors, queries, k=10)
    best = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    assert (choice.factory, choice.settings, choice.recall) == ("Flat", {}, 1.0)
    assert (found(choice.index, queries, 10) == best).mean() > 0.999  # rounding may swap a pair


def test_a_large_one_is_searched_as_well_as_was_asked(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], tmp_path: Path
) -> None:
    choice = build_index(vectors, queries, k=50, target_recall=0.95, flat_limit=1_000)
    choice.write(tmp_path / "items.faiss")
    index = faiss.read_index(str(tmp_path / "items.faiss"))
    best = np.argsort(-(queries @ vectors.T), axis=1)[:, :50]
    named = found(index, queries, depth(50, 0, choice.widening))
    scores = np.where(named < 0, -np.inf, np.einsum("qfd,qd->qf", vectors[named], queries))
    chosen = np.take_along_axis(named, np.argsort(-scores, axis=1)[:, :50], axis=1)
    shares = [np.isin(row, got).mean() for row, got in zip(best, chosen, strict=True)]
    assert choice.factory.startswith("IVF")
    assert choice.settings["nprobe"] < faiss.extract_index_ivf(index).nlist
    assert np.mean(shares) == pytest.approx(choice.recall, abs=1e-3)
    assert np.mean(shares) >= 0.95


def test_the_same_seed_gives_the_same_index(vectors: NDArray[np.float32], queries: NDArray[np.float32]) -> None:
    once, again = (
        build_index(vectors[:5_000, :15], queries[:, :15], k=5, target_recall=0.9, flat_limit=0) for _ in range(2)
    )
    if once.factory == again.factory:  # the faster of two close ones may change with the machine's mood
        assert (faiss.serialize_index(once.index) == faiss.serialize_index(again.index)).all()
    assert "PQ" not in once.factory + again.factory  # an odd dimension has no pairs to code


def test_equal_vectors_cost_no_recall() -> None:
    vectors = np.tile(clustered(50, seed=1), (100, 1))
    choice = build_index(vectors, vectors[:50], k=10, target_recall=1.0, flat_limit=0)
    assert choice.recall == 1.0


def test_a_target_out_of_reach_says_what_would_work() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(4_000, 32)).astype(np.float32)
    queries = rng.normal(size=(100, 32)).astype(np.float32)
    with pytest.raises(ExportError, match=r"target_recall: 1 at k=100 .* raise flat_limit to 4000"):
        build_index(vectors, queries, target_recall=1.0, flat_limit=0)


def test_a_vector_lies_in_the_list_of_the_nearest_centre(
    vectors: NDArray[np.float32], queries: NDArray[np.float32]
) -> None:
    """By distance, not by inner product, though that is what is searched by: so residuals are short."""
    choice = build_index(vectors, queries, k=50, flat_limit=0)
    inverted = faiss.extract_index_ivf(choice.index)
    centres = faiss.downcast_index(inverted.quantizer).reconstruct_n(0, inverted.nlist)
    nearest = ((vectors[:500, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    for place, centre in enumerate(nearest.tolist()):
        size = inverted.invlists.list_size(centre)
        assert place in faiss.rev_swig_ptr(inverted.invlists.get_ids(centre), size)
    assert inverted.quantizer.metric_type == faiss.METRIC_INNER_PRODUCT


def test_short_codes_of_many_centres_choose_lists_as_the_centres_do(
    queries: NDArray[np.float32], tmp_path: Path
) -> None:
    """Nearly, whatever else is asked at once, and whoever has read the file."""
    choice = build_index(clustered(80_000, seed=1), queries, k=10, flat_limit=0)
    choice.write(tmp_path / "items.faiss")
    index = faiss.read_index(str(tmp_path / "items.faiss"))
    coarse = faiss.downcast_index(faiss.extract_index_ivf(index).quantizer)
    centres = coarse.reconstruct_n(0, coarse.ntotal)
    best = np.argsort(-(queries @ centres.T), axis=1)[:, :8]
    assert choice.factory.startswith(f"IVF{coarse.ntotal}(PQ8x4fs,RFlat),")
    named = found(coarse, queries, 8)
    assert np.mean([np.isin(row, got).mean() for row, got in zip(best, named, strict=True)]) > 0.98
    alone = np.concatenate([found(index, query[None], 60) for query in queries])
    assert (found(index, queries[:16], 60) == alone[:16]).all()


def test_an_index_that_has_no_room_says_what_it_needs() -> None:
    vectors = clustered(20_000, seed=1)
    with pytest.raises(ExportError, match=r"index_megabytes: 0 are too few for 20000 vectors; use 1 or more"):
        build_index(vectors, vectors[:10], flat_limit=0, megabytes=0)


@pytest.mark.parametrize("target", [0.0, 1.5])
def test_a_target_that_is_no_share(target: float) -> None:
    with pytest.raises(ExportError, match="target_recall"):
        build_index(clustered(10, 0), clustered(2, 0), target_recall=target)


def test_nothing_to_index() -> None:
    with pytest.raises(ExportError, match="0 vectors and 2 queries"):
        build_index(clustered(0, 0), clustered(2, 0))


@pytest.mark.slow
def test_a_hundred_and_fifty_thousand_items_at_the_default_target() -> None:
    vectors, queries = clustered(150_000, seed=1), clustered(500, seed=2)
    choice = build_index(vectors, queries)
    assert choice.factory.startswith("IVF")
    assert choice.recall >= 0.97

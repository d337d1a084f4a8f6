"""The files of a vector model: its items' vectors, the index over them, the encoder of queries."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving_min.cells import Cells
from serving_min.encoder import company_matters, run_once
from serving_min.item_vectors import ItemVectors
from serving_min.manifest import FaissIndex, History
from serving_min.queries import Queries
from serving_min.reading import Shapes, must, must_be_codes, open_session, read_arrays, reading
from serving_min.vectors import Vectors

PROBED = 16  # vectors that an index is asked for when it is loaded


def read_vectors(folder: Path, history: History, described: FaissIndex, candidates: NDArray[np.bool_]) -> Vectors:
    """Raises BundleError for a file that is not what the manifest says, or does not fit the others."""
    vectors = _read_item_vectors(folder / "vectors.npy", described)
    codes, vectors = _read_codes(folder / "vectors.npz", vectors, candidates)
    index, exact = _read_index(folder / "items.faiss", described, vectors)
    cells = _read_cells(folder / "items.faiss", index, described)
    with reading(folder / "encoder.onnx") as path:
        encoder = open_session(path)
        takes = {node.name for node in encoder.get_inputs()}
        inputs = history.inputs
        must(takes == set(inputs), f"takes {sorted(takes)}, the manifest says {sorted(inputs)}")
        model = Vectors(
            encoder, inputs, history.max_length, index, codes, vectors, exact, described.widening, cells=cells
        )
        if len(candidates):
            attributes = len(history.attributes)
            blank = np.zeros((2, attributes), np.int32)
            query = model.encode(Queries.from_histories([[0], [0, len(candidates) - 1]], attributes=blank))
            must(query.shape == (2, described.dimension), f"its queries have shape {query.shape[1:]}")
            must(query.dtype == np.float32, f"its queries are {query.dtype}, not float32")
            run = partial(run_once, encoder, inputs, vectors_of=model.of)
            if company_matters(run, len(candidates), history.max_length, len(history.events), attributes):
                model = replace(model, together=False)
    return model


def _read_item_vectors(path: Path, described: FaissIndex) -> ItemVectors:
    """Where they lie: only those that are asked for take memory."""
    with reading(path):
        stored = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        shape = (described.size, described.dimension)
        must(stored.dtype in (np.float32, np.int8), f"vectors are {stored.dtype}, neither float32 nor int8")
        must(stored.shape == shape, f"vectors are {stored.shape}, the manifest says {shape}")
        must(stored.flags.c_contiguous, "vectors do not lie row by row")
        vectors = ItemVectors(stored)
        if stored.dtype == np.float32:
            must(all(bool(np.isfinite(block).all()) for block in vectors.blocks()), "vectors are not all finite")
    return vectors


def _read_codes(
    path: Path, vectors: ItemVectors, candidates: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], ItemVectors]:
    """The items that have vectors, and with vectors of 8 bits what these mean."""
    with reading(path):
        whole = vectors.stored.dtype == np.float32
        meaning: Shapes = {} if whole else {"steps": (np.float32, 1), "scales": (np.float32, 1)}
        found = read_arrays(path, {"codes": (np.int32, 1), **meaning})
        codes = found["codes"]
        must(len(codes) == len(vectors), f"{len(codes)} codes for {len(vectors)} vectors")
        must_be_codes(codes, len(candidates))
        must(bool((np.diff(codes) > 0).all()), "codes do not ascend")
        must(bool(candidates[codes].all()), "codes name items that are not candidates")
        for name in meaning:
            size = len(vectors) if name == "steps" else vectors.width
            must(len(found[name]) == size, f"{len(found[name])} {name} where there must be {size}")
            must(bool(np.isfinite(found[name]).all()), f"{name} are not all finite")
    return codes, vectors if whole else ItemVectors(vectors.stored, found["steps"], found["scales"])


def _read_index(path: Path, described: FaissIndex, vectors: ItemVectors) -> tuple[Any, bool]:
    """The index, and whether it is exact."""
    import faiss

    # lists of 4-bit codes are copied even from a mapped file, which would stay in memory beside them
    how = 0 if "x4fs" in described.factory.rpartition(",")[2] else faiss.IO_FLAG_MMAP_IFC
    with reading(path):
        index = faiss.read_index(str(path), how)
        found, shape = (index.ntotal, index.d), (described.size, described.dimension)
        must(found == shape, f"the index is {found}, the manifest says {shape}")
        must(index.metric_type == faiss.METRIC_INNER_PRODUCT, "the index is not for inner products")
        for name, value in described.settings.items():
            faiss.ParameterSpace().set_index_parameter(index, name, value)
        exact = isinstance(index, faiss.IndexFlat)
        if exact:
            same = np.array_equal(index.reconstruct_n(0, len(vectors)), vectors.rows(slice(None)))
            must(same, "not the vectors of vectors.npy")
        places = index.search(vectors.rows(slice(PROBED)), min(PROBED, len(vectors)))[1]
        must(bool((places < len(vectors)).all()), f"finds places beyond its {len(vectors)} vectors")
    return index, exact


def _read_cells(path: Path, index: Any, described: FaissIndex) -> Cells | None:
    if not described.similar_probes:
        return None
    with reading(path):
        cells = Cells.of(index, described.similar_probes, described.k)
        must(cells is not None, f"the index has no lists, the manifest says to look into {described.similar_probes}")
        for places in () if cells is None else cells.lists:
            must(not len(places) or (places.min() >= 0 and places.max() < described.size), "places beyond its vectors")
    return cells

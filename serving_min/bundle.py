"""Read a bundle, and believe nothing in it before it is verified.

Checksums come first, so that no parser ever sees a damaged file; then every file is held
against the manifest and against the others.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from serving_min.blend import Blend
from serving_min.composite import Composite, Judge
from serving_min.content import Entry
from serving_min.drift import DRIFT_FILE, Reference
from serving_min.errors import BundleError
from serving_min.features import HALF_LIVES, ItemFacts
from serving_min.items import Items
from serving_min.manifest import (
    SURFACES_FILE,
    BlendIndex,
    FaissIndex,
    History,
    Manifest,
    RankingIndex,
    SessionIndex,
    TableIndex,
    read_manifest,
)
from serving_min.manifest import Member as ManifestMember
from serving_min.neighbours import Neighbours
from serving_min.network import Network
from serving_min.new_items import ItemReader, NewItems
from serving_min.opinions import Opinions
from serving_min.queries import Queries
from serving_min.ranking import Candidates, Ranking, Scorer
from serving_min.reading import Shapes, must, must_be_codes, open_session, read_arrays, reading
from serving_min.recency import Recency
from serving_min.segments import NO_SEGMENTS, Segments, read_segments
from serving_min.sessions import Sessions
from serving_min.static import Static
from serving_min.surfaces import BUILT_IN, MINIMUM, PLAIN_NAME, SEGMENT, TAKEN, Surface, Surfaces
from serving_min.trees import Trees
from serving_min.users import Users
from serving_min.vector_files import read_vectors
from serving_min.vectors import Vectors

Part = Vectors | Neighbours | Sessions | Static


@dataclass(frozen=True)
class Bundle:
    """A verified bundle in memory, ready to answer. ``model`` is None for ``static`` bundles."""

    manifest: Manifest
    items: Items
    popularity: NDArray[np.float32]  # [I] the fallback's scores
    candidates: NDArray[np.bool_]  # [I] items that the model may recommend
    model: Part | Composite | None
    companions: Mapping[str, Part]  # by name: further models that surfaces ask
    surfaces: Surfaces  # by name
    new_items: NewItems | None = None  # for those that can place an item that was not there in training
    drift: Reference | None = None  # what the model said at the export
    known: int | None = None  # how many of the items the models know; the rest came later (None: all)
    segments: Segments = NO_SEGMENTS  # what is popular among users of one kind

    def alone(self, companion: str | None = None) -> Bundle:
        """The bundle as if ``companion`` were its model (None: it has one), to see what that says by itself."""
        if companion is None:
            return dataclasses.replace(self, surfaces=MINIMUM)
        part = self.companions[companion]
        if isinstance(part, Static):
            own: dict[str, Any] = {"popularity": part.scores, "candidates": part.candidates, "model": None}
        elif isinstance(part, Vectors):
            own = {"model": part}
        else:
            own = {"candidates": part.candidates, "model": part}
        return dataclasses.replace(self, **own, surfaces=MINIMUM)

    @classmethod
    def load(cls, folder: Path | str, *, verify: bool = True) -> Bundle:
        """Raises BundleError, one line that names the file and what is wrong with it.

        ``verify=False`` trusts the checksums of a bundle that was just written.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        _must_be_whole(folder, manifest, verify)
        with reading(folder / "items.arrow") as path:
            items = Items.read(path)
        popularity, candidates = _read_fallback(folder, len(items))
        history, index = manifest.history, manifest.index
        model: Part | Composite | None = None
        if isinstance(index, BlendIndex | RankingIndex):
            model = _read_composite(folder, index, history, len(items))
        elif index is not None:
            model = _read_part(folder, index, history, candidates)
        companions = {one.name: _read_member(folder, one, history, len(items)) for one in manifest.companions}
        surfaces = _read_surfaces(folder, manifest)
        new_items = _read_new_items(folder, manifest.index) if manifest.item_encoder else None
        drift = _read_drift(folder, manifest)
        segments = read_segments(folder, manifest.segments, history, len(items))
        parts = (manifest, items, popularity, candidates, model, companions, surfaces, new_items, drift)
        return cls(*parts, segments=segments)


def _must_be_whole(folder: Path, manifest: Manifest, verify: bool) -> None:
    for name, listed in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise BundleError(f"{path}: no such file, but the manifest lists it")
        try:
            size = path.stat().st_size
            if size != listed.bytes:
                raise BundleError(f"{path}: {size} bytes where the manifest says {listed.bytes}")
            if verify:
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                if digest != listed.sha256:
                    raise BundleError(f"{path}: damaged, its sha256 is not the manifest's")
        except OSError as error:
            raise BundleError(f"{path}: {error.strerror or error}") from error


def _read_fallback(folder: Path, n_items: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    with reading(folder / "fallback.npz") as path:
        arrays = read_arrays(path, {"scores": (np.float32, 1), "candidates": (np.bool_, 1)})
        scores, candidates = arrays["scores"], arrays["candidates"]
        must(len(scores) == len(candidates) == n_items, f"not of the {n_items} items of items.arrow")
        must(bool(np.isfinite(scores).all()), "scores are not all finite")
    return scores, candidates


def _read_part(
    folder: Path, index: FaissIndex | TableIndex | SessionIndex, history: History, candidates: NDArray[np.bool_]
) -> Part:
    if isinstance(index, TableIndex):
        return _read_neighbours(folder, index.recency, candidates)
    if isinstance(index, SessionIndex):
        return _read_sessions(folder, index, candidates)
    return read_vectors(folder, history, index, candidates)


def _read_composite(folder: Path, index: BlendIndex | RankingIndex, history: History, n_items: int) -> Composite:
    parts = [_read_member(folder, member, history, n_items) for member in index.members]
    second: Judge
    if isinstance(index, BlendIndex):
        second = Blend(np.array(index.weights), index.lengths, index.by, index.smoothing)
    else:
        facts = _read_facts(folder / "facts.npz", n_items)
        names = tuple(member.name for member in index.members)
        candidates_of = Candidates(names, index.depth, facts)
        second = Ranking(candidates_of, _read_scorer(folder, index))
        if n_items:
            blank = Queries.from_histories([[0]], event_names=history.events)
            first = np.zeros(1, np.int64)
            nothing = Opinions(first, first.astype(np.int32), np.ones(1), first + 1)
            table = candidates_of.table(blank, [nothing] * len(names))
            width = table.features.shape[1]
            if width != index.features:
                raise BundleError(f"{folder}: {width} features where the manifest says {index.features}")
            with reading(folder / index.scorer_file):
                shape = second.scorer.score(table).shape
                must(shape == (1,), f"scores one candidate with shape {list(shape)}")
    return Composite(tuple(parts), index.depth, second)


def _read_member(folder: Path, member: ManifestMember, history: History, n_items: int) -> Part:
    inside = folder / member.name
    scores, candidates = _read_fallback(inside, n_items)
    if member.index is None:
        return Static(scores, candidates)
    own = replace(history, max_length=member.max_length, inputs=member.inputs)
    return _read_part(inside, member.index, own, candidates)


def _read_surfaces(folder: Path, manifest: Manifest) -> Surfaces:
    if SURFACES_FILE not in manifest.files:
        return MINIMUM
    with reading(folder / SURFACES_FILE) as path:
        surfaces = msgspec.json.decode(path.read_bytes(), type=dict[str, Surface])
        sources = {
            *BUILT_IN,
            *(member.name for member in manifest.companions),
            *([SEGMENT] if manifest.segments else []),
        }
        for name, surface in surfaces.items():
            must(bool(PLAIN_NAME.fullmatch(name)), f"{name!r} is no name of a surface; use a-z, 0-9 and '-'")
            must(name not in TAKEN, f"no surface can be called {name!r}, /v1/{name} is another route")
            strange = {asked.source for asked in surface.retrievers} - sources
            must(not strange, f"{name} asks {sorted(strange)}; there are {sorted(sources)}")
    return {**MINIMUM, **surfaces}


def _read_drift(folder: Path, manifest: Manifest) -> Reference | None:
    if DRIFT_FILE not in manifest.files:
        return None
    with reading(folder / DRIFT_FILE) as path:
        return msgspec.json.decode(path.read_bytes(), type=Reference)


def _read_facts(path: Path, n_items: int) -> ItemFacts:
    shapes: dict[str, tuple[type, int]] = dict.fromkeys(("buyers", "again", "gap", "price"), (np.float32, 1))
    shapes |= {"first": (np.int64, 1), "last": (np.int64, 1), "popularity": (np.float32, 2)}
    with reading(path):
        arrays = read_arrays(path, shapes)
        for name, array in arrays.items():
            must(len(array) == n_items, f"{name} is not of the {n_items} items of items.arrow")
            must(bool(np.isfinite(array).all()), f"{name} is not all finite")
        must(arrays["popularity"].shape[1] == len(HALF_LIVES), f"popularity is not of {len(HALF_LIVES)} half-lives")
        return ItemFacts(**arrays)


def _read_scorer(folder: Path, index: RankingIndex) -> Scorer:
    shapes: Shapes = dict.fromkeys(("roots", "feature", "left", "right"), (np.int32, 1))
    with reading(folder / index.scorer_file) as path:
        if index.network is not None:
            session, inputs = open_session(path), index.network.inputs
            takes = {node.name for node in session.get_inputs()}
            must(takes == set(inputs), f"takes {sorted(takes)}, the manifest says {sorted(inputs)}")
            return Network(session, inputs, index.network.max_length)
        trees = Trees(**read_arrays(path, {**shapes, "threshold": (np.float64, 1), "value": (np.float64, 1)}))
        trees.check(index.features)
        return trees


def _read_neighbours(folder: Path, recency: Recency | None, candidates: NDArray[np.bool_]) -> Neighbours:
    with reading(folder / "neighbours.npz") as path:
        offsets, items, weights = _rows(path, len(candidates))
        must(len(offsets) == len(candidates) + 1, f"{len(offsets)} offsets for {len(candidates)} items")
        must(len(items) == len(weights), "offsets, items and weights are not of one length")
        return Neighbours(offsets, items, weights, candidates, recency)


def _read_sessions(folder: Path, described: SessionIndex, candidates: NDArray[np.bool_]) -> Sessions:
    with reading(folder / "sessions.npz") as path:
        offsets, items, weights = _rows(path, len(candidates))
        size = len(offsets) - 1
        must(size == described.size, f"{size} sessions, the manifest says {described.size}")
        must(len(weights) == len(candidates), f"{len(weights)} weights for {len(candidates)} items")
        past = Sessions.index(offsets, items, weights, candidates, described)
        if described.shrinkage is None:
            return past
        more = read_arrays(path, {"asks": (np.float32, 1), "values": (np.float32, 1)})
        must(len(more["asks"]) == len(candidates), f"{len(more['asks'])} asks for {len(candidates)} items")
        must(len(more["values"]) == len(items), f"{len(more['values'])} values for {len(items)} touches")
        must(all(bool(np.isfinite(array).all()) for array in more.values()), "asks and values are not all finite")
        return Users.of(past, **more)


def _rows(path: Path, n_items: int) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Rows of item codes, one after the other, and the weights that go with them."""
    arrays = read_arrays(path, {"offsets": (np.int64, 1), "items": (np.int32, 1), "weights": (np.float32, 1)})
    offsets, items, weights = arrays["offsets"], arrays["items"], arrays["weights"]
    must(len(offsets) > 0 and offsets[0] == 0 and bool((np.diff(offsets) >= 0).all()), "offsets do not rise from 0")
    must(offsets[-1] == len(items), "offsets, items and weights are not of one length")
    must_be_codes(items, n_items)
    must(bool(np.isfinite(weights).all()), "weights are not all finite")
    return offsets, items, weights


def _read_new_items(folder: Path, index: Any) -> NewItems:
    with reading(folder / "item_features.json") as path:
        reader = msgspec.json.decode(path.read_bytes(), type=ItemReader)
    with reading(folder / "items.onnx") as path:
        new_items = NewItems(reader, open_session(path))
        shape = new_items.vectors([Entry(), Entry()]).shape
        must(isinstance(index, FaissIndex) and shape == (2, index.dimension), f"its vectors have shape {shape[1:]}")
    return new_items

"""The files that answer: what each kind of model puts into its bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from recsys_lab.errors import ExportError
from recsys_lab.export.cells import similar_probes
from recsys_lab.export.encoder import export_encoder
from recsys_lab.export.index import build_index
from recsys_lab.export.neighbours import build_table
from recsys_lab.export.new_items import write_new_items
from recsys_lab.export.scorer import export_scorer
from recsys_lab.export.settings import ExportSettings
from recsys_lab.export.tables import write_fallback, write_item_vectors
from recsys_lab.models.base import NeighbourModel, Recommender, VectorModel
from recsys_lab.models.composite import Composite
from recsys_lab.models.hybrid import Hybrid
from recsys_lab.models.neural_ranker import NeuralRanker
from recsys_lab.models.ranker import Ranker
from recsys_lab.models.second_stage import SecondStage
from recsys_lab.models.sessions import SessionModel
from serving_min.item_vectors import ItemVectors, in_8_bits
from serving_min.manifest import (
    NETWORK_FILE,
    TREES_FILE,
    BlendIndex,
    EncoderInput,
    FaissIndex,
    Index,
    ItemEncoder,
    Member,
    RankingIndex,
    RankingNetwork,
    TableIndex,
)
from serving_min.queries import Queries

if TYPE_CHECKING:
    from recsys_lab.nn.query import QueryModule


@dataclass(frozen=True)
class ModelPart:
    """What the manifest has to say about the files just written."""

    index: Index | None = None
    inputs: tuple[EncoderInput, ...] = ()
    max_length: int | None = None
    exact: bool = True  # the lists must be the model's own, up to ties
    item_encoder: ItemEncoder | None = None


def write_model(
    model: Recommender, queries: Queries, folder: Path, *, exclude_seen: bool, k: int, settings: ExportSettings
) -> ModelPart:
    """Write the files of the model's kind. Raises ExportError for a model of no known kind."""
    if isinstance(model, VectorModel):
        return _write_vectors(model, queries, folder, k=k, settings=settings)
    if isinstance(model, NeighbourModel):
        return _write_table(model, queries, folder, exclude_seen=exclude_seen, k=k, settings=settings)
    if isinstance(model, SessionModel):
        return _write_sessions(model, folder)
    if model.kind == "static":
        return ModelPart()
    if isinstance(model, Composite):
        return _write_composite(model, queries, folder, exclude_seen=exclude_seen, settings=settings)
    raise ExportError(f"{model.name}: a {model.kind} model must be a VectorModel, a NeighbourModel or a SessionModel")


def write_member(
    name: str,
    model: Recommender,
    queries: Queries,
    folder: Path,
    *,
    exclude_seen: bool,
    k: int,
    settings: ExportSettings,
) -> tuple[Member, ModelPart]:
    """Write a model inside another's bundle: its files in a folder of its ``name``."""
    inside = folder / name
    inside.mkdir()
    write_fallback(model, inside / "fallback.npz")
    part = write_model(model, queries, inside, exclude_seen=exclude_seen, k=k, settings=settings)
    described = {"name": name, "kind": model.kind, "index": part.index}
    told = {**described, "max_length": part.max_length, "inputs": part.inputs}
    return msgspec.convert(msgspec.to_builtins(told), Member), part


def _write_vectors(
    model: VectorModel, queries: Queries, folder: Path, *, k: int, settings: ExportSettings
) -> ModelPart:
    codes = np.flatnonzero(model.candidates).astype(np.int32)
    vectors = np.ascontiguousarray(model.item_vectors()[codes], dtype=np.float32)
    if not np.isfinite(vectors).all():
        broken = codes[~np.isfinite(vectors).all(axis=1)][0]
        raise ExportError(f"{model.name}: the vector of item {model.catalogue.ids[broken]!r} is not finite")
    module = _smallest_graph(model)
    export_encoder(module, queries, model.max_history, folder / "encoder.onnx", model.item_vectors())
    asked = model.encode(queries.take(np.flatnonzero(queries.lengths > 0)))
    whole = vectors.nbytes <= settings.vectors_megabytes << 20 or len(vectors) <= settings.flat_limit
    stored = ItemVectors(vectors) if whole else in_8_bits(vectors)
    choice = build_index(
        vectors,
        asked,
        target_recall=settings.target_recall,
        k=k,
        flat_limit=settings.flat_limit,
        megabytes=settings.index_megabytes,
        stored=stored,
        seed=settings.seed,
    )
    choice.write(folder / "items.faiss")
    write_item_vectors(stored, codes, folder)
    index = FaissIndex(
        factory=choice.factory,
        settings=choice.settings,
        widening=choice.widening,
        dimension=vectors.shape[1],
        size=len(codes),
        recall=choice.recall,
        target=choice.target,
        k=choice.k,
        similar_probes=similar_probes(choice.index, vectors, target=choice.target, k=choice.k, seed=settings.seed),
    )
    exact = choice.factory == "Flat"
    return ModelPart(index, tuple(module.inputs), model.max_history, exact, write_new_items(model, folder))


def _smallest_graph(model: VectorModel) -> QueryModule:
    """Without a table of items where the bundle's own vectors serve, which holds none of what is no candidate."""
    module = model.query_module()
    if model.item_vectors()[~model.candidates].any():
        return module
    return module.over_vectors() or module


def _write_table(
    model: NeighbourModel, queries: Queries, folder: Path, *, exclude_seen: bool, k: int, settings: ExportSettings
) -> ModelPart:
    table = build_table(
        model,
        queries,
        exclude_seen=exclude_seen,
        target_recall=settings.target_recall,
        k=k,
        table_limit=settings.table_limit,
    )
    table.write(folder / "neighbours.npz")
    index = TableIndex(
        size=len(model.catalogue),
        neighbours=table.neighbours,
        recall=table.recall,
        target=table.target,
        k=table.k,
        recency=model.recency,
    )
    return ModelPart(index, exact=table.whole)


def _write_sessions(model: SessionModel, folder: Path) -> ModelPart:
    tables: dict[str, Any] = model.tables
    np.savez(folder / "sessions.npz", **tables)
    return ModelPart(model.sessions.settings)


def _write_composite(
    model: Composite, queries: Queries, folder: Path, *, exclude_seen: bool, settings: ExportSettings
) -> ModelPart:
    """Each member's files in a folder of its own, and the second stage's beside them."""
    k = min(model.depth, len(model.catalogue))
    members, exact = [], True
    for name, inside in model.fitted.items():
        member, part = write_member(name, inside, queries, folder, exclude_seen=exclude_seen, k=k, settings=settings)
        members.append(member)
        exact &= part.exact
    if isinstance(model, Hybrid):
        blend = model.blend
        weights = tuple(tuple(row) for row in blend.weights.tolist())
        index = BlendIndex(tuple(members), model.depth, blend.by, blend.smoothing, blend.lengths, weights)
        return ModelPart(index, exact=exact)
    if isinstance(model, SecondStage):
        np.savez(folder / "facts.npz", **vars(model.facts))
        network = _write_scorer(model, queries, folder)
        # a step of a tree may fall between two roundings of a member's score, so single lists may differ
        return ModelPart(RankingIndex(tuple(members), model.depth, model.features, network), exact=False)
    raise ExportError(f"{model.name}: a {model.kind} model must be a Hybrid or a SecondStage")


def _write_scorer(model: SecondStage, queries: Queries, folder: Path) -> RankingNetwork | None:
    if isinstance(model, NeuralRanker):
        export_scorer(model, queries, folder / NETWORK_FILE)
        return RankingNetwork(model.scorer.network.inputs, model.max_history)
    if isinstance(model, Ranker):
        np.savez(folder / TREES_FILE, **vars(model.scorer))
        return None
    raise ExportError(f"{model.name}: no bundle can hold a {type(model.scorer).__name__}; use trees or a network")

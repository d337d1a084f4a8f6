"""Bundles as large as is asked for: generated items around a really trained SASRec.

SASRec (64 dimensions, 2 blocks, 50 events) is trained for a few epochs on the simulated shop. Each generated item is a
variant of one of the shop's: its vector plus Gaussian noise of .3 of the catalogue's own covariance, so items lie in
clusters of one shape with the whole. Histories are those of the shop's test users, each item replaced by a variant of
it, of which the r-th is drawn in proportion to 1 / r, as sales are.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys_lab import pipeline
from recsys_lab.atomic import whole_folder
from recsys_lab.data.fold import Fold
from recsys_lab.export.bundle import described
from recsys_lab.export.cells import similar_probes
from recsys_lab.export.encoder import export_encoder
from recsys_lab.export.index import build_index
from recsys_lab.export.tables import write_item_vectors
from recsys_lab.models.sasrec import SASRec
from serving_min.encoder import encoded
from serving_min.item_codes import make_slots
from serving_min.item_vectors import ItemVectors, in_8_bits
from serving_min.manifest import FILE_NAME, FaissIndex, Fingerprints, History, Manifest, Model, Parity, Policy
from serving_min.queries import Queries

SPREAD, SEED, K = 0.3, 7, 100
MEASURED = 2_000  # queries that recall is measured on, as many as an export takes
TARGETS = {100_000: 0.97, 1_000_000: 0.97, 10_000_000: 0.95}
FLOAT_LIMIT = 2_000_000  # items beyond which vectors are kept in 8 bits
CATEGORIES = 500
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Trained:
    """The trained model and the questions that it is asked."""

    model: SASRec
    fold: Fold


def train(cache: Path) -> Trained:
    """Four epochs, once: kept in ``cache`` even if the code has changed since."""
    paths = [f"paths.prepared={cache}/prepared", f"paths.runs={cache}/runs"]
    config = pipeline.compose(["data=shop", "model=sasrec", "model.max_epochs=4", *paths])
    dataset = pipeline.prepare(config)
    split = pipeline.make_split(config, dataset)
    kept = cache / "model"
    if not kept.is_dir():
        shutil.copytree(pipeline.train(config, dataset, split).folder / "model", kept)
    return Trained(SASRec.load(kept), split.test)


def variants(parents: Vectors, count: int) -> tuple[Vectors, NDArray[np.int32]]:
    """``count`` vectors and which of ``parents`` each is a variant of: that of code c is c mod their number."""
    shape = np.linalg.cholesky(np.cov(parents.T) + 1e-9 * np.eye(parents.shape[1])).astype(np.float32)
    vectors = np.empty((count, parents.shape[1]), np.float32)
    of = (np.arange(count) % len(parents)).astype(np.int32)
    for start in range(0, count, 100_000):
        block = slice(start, min(start + 100_000, count))
        noise = np.random.default_rng([SEED, start]).standard_normal((block.stop - start, parents.shape[1]), np.float32)
        vectors[block] = parents[of[block]] + SPREAD * noise @ shape.T
    return vectors, of


def histories(trained: Trained, count: int, number: int, seed: int = SEED) -> list[NDArray[np.int64]]:
    """``number`` histories of 1 to 50 of the ``count`` generated items, oldest event first."""
    rng = np.random.default_rng(seed)
    parent_of = np.cumsum(trained.model.candidates) - 1
    n_parents = int(trained.model.candidates.sum())
    asked, drawn = trained.fold.queries, []
    weights = 1 / np.arange(1, count // n_parents + 1)
    for row in rng.integers(0, len(asked), 4 * number).tolist():
        items = asked.items[asked.offsets[row] : asked.offsets[row + 1]]
        items = items[trained.model.candidates[items]][-50:]
        if len(items):
            ranks = rng.choice(len(weights), len(items), p=weights / weights.sum())
            drawn.append(parent_of[items] + n_parents * ranks)
    return drawn[:number]


def make(count: int, cache: Path) -> Path:
    """The bundle of ``count`` items in ``cache``, written if it is not there."""
    final = cache / f"bundle-{count}"
    if final.is_dir():
        return final
    trained = train(cache)
    model = trained.model
    vectors, of = variants(model.item_vectors()[model.candidates], count)
    ids = [f"item-{code:08d}" for code in range(count)]
    with whole_folder(final) as folder:
        _write_table(ids, of, folder)
        rng = np.random.default_rng(SEED)
        np.savez(folder / "fallback.npz", scores=rng.random(count, np.float32), candidates=np.ones(count, np.bool_))
        module = model.query_module().over_vectors()
        if module is None:
            raise SystemExit("the encoder needs a table of items")
        export_encoder(module, trained.fold.queries, model.max_history, folder / "encoder.onnx", model.item_vectors())
        stored = ItemVectors(vectors) if count <= FLOAT_LIMIT else in_8_bits(vectors)
        write_item_vectors(stored, np.arange(count, dtype=np.int32), folder)
        queries = encode(folder, stored, histories(trained, count, MEASURED, seed=SEED + 1))
        choice = build_index(vectors, queries, target_recall=TARGETS[count], k=K, flat_limit=0, stored=stored)
        choice.write(folder / "items.faiss")
        (folder / "golden.jsonl").touch()
        index = FaissIndex(
            choice.factory,
            choice.settings,
            vectors.shape[1],
            count,
            choice.recall,
            choice.target,
            K,
            choice.widening,
            similar_probes=similar_probes(choice.index, vectors, target=choice.target, k=K),
        )
        manifest = Manifest(
            name=f"generated-{count}",
            version="1",
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            kind="vector",
            model=Model("recsys_lab.models.sasrec.SASRec", model.params()),
            fingerprints=Fingerprints("generated", "generated", "generated"),
            metrics={},
            policy=Policy(True),
            history=History(model.max_history, tuple(module.inputs), trained.fold.train.event_names, ()),
            index=index,
            parity=Parity(0, K, False, 0.0, choice.recall, 0.0),
            files={path.name: described(path) for path in sorted(folder.iterdir())},
        )
        (folder / FILE_NAME).write_bytes(manifest.to_json())
        bodies = [{"history": [ids[code] for code in history]} for history in histories(trained, count, 4_096)]
    (cache / f"requests-{count}.jsonl").write_text("\n".join(map(json.dumps, bodies)))
    return final


def write_peer(count: int, cache: Path) -> Path:
    """What the peer needs to answer as the bundle of ``count`` items does: the network, its vectors, the ids."""
    import torch

    final = cache / f"peer-{count}"
    if final.is_dir():
        return final
    bundle, trained = make(count, cache), train(cache)
    module = trained.model.query_module().over_vectors()
    if module is None:
        raise SystemExit("the encoder needs a table of items")
    cells = torch.arange(7)
    example = (torch.zeros((7, trained.model.width)), cells, cells[None])
    length = torch.export.Dim("length", max=trained.model.max_history)
    with whole_folder(final) as folder:
        program = torch.export.export(module.eval(), example, dynamic_shapes=({0: length}, {0: length}, {1: length}))
        torch.export.save(program, folder / "encoder.pt2")
        (folder / "vectors.npy").symlink_to((bundle / "vectors.npy").resolve())
        (folder / "ids.json").write_text(json.dumps([f"item-{code:08d}" for code in range(count)]))
    return final


def encode(folder: Path, stored: ItemVectors, asked: list[NDArray[np.int64]]) -> Vectors:
    """What the bundle's own encoder makes of histories."""
    from recsys_lab.export.encoder import open_session

    session = open_session(folder / "encoder.onnx")
    queries = Queries.from_histories([history.tolist() for history in asked])
    names = [node.name for node in session.get_inputs()]
    return encoded(session, names, queries, lambda codes: stored.rows(codes.astype(np.int64)))


def _write_table(ids: list[str], of: NDArray[np.int32], folder: Path) -> None:
    np.save(folder / "item_codes.npy", make_slots(ids))
    table = pa.table(
        {
            "item_id": pa.array(ids),
            "title": pa.array([f"Thing {code}" for code in range(len(ids))]),
            "category": pa.array([f"category {parent % CATEGORIES}" for parent in of.tolist()]),
            "price": np.arange(len(ids)) % 97 + 0.99,
        }
    )
    with pa.OSFile(str(folder / "items.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)

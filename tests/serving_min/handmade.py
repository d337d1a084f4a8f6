"""Small bundles of each kind, written by hand as ``export/README.md`` says, and easy to reckon with.

Six items. A, B, C are red things that go together, D, E, F blue ones. F is not a candidate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import faiss
import msgspec
import numpy as np
import onnx
import pyarrow as pa
from numpy.typing import NDArray
from onnx import TensorProto, helper

from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.item_codes import make_slots
from serving_min.manifest import (
    FILE_NAME,
    SURFACES_FILE,
    FaissIndex,
    File,
    Fingerprints,
    History,
    Kind,
    Manifest,
    Member,
    MemberKind,
    Metric,
    Model,
    Parity,
    Policy,
    SessionIndex,
    TableIndex,
)
from serving_min.messages import Golden, Request

NOW = 1_700_000_000
EVENTS = ("view", "purchase")
COUNTRIES = ("country", ("", "DE", "UK"))
POPULARITY = np.array([1, 6, 3, 5, 3, 4], np.float32)  # B D F C E A
VECTORS = np.array([[3, 0], [2, 0], [1, 0], [0, 3], [0, 2]], np.float32)  # of A to E; A and D are the longest
ROWS = {0: [(1, 0.5), (2, 0.25)], 1: [(0, 0.5), (3, -1.0)], 3: [(4, 0.75), (5, 0.5), (0, 0.25)]}
SESSIONS = [[0, 1, 2], [0, 3], [3, 4, 5], [1, 0, 4]]  # the last one is the latest
GOLDEN = [
    {"history": ["A"], "k": 3},
    {"history": [{"item": "D", "event": "purchase", "time": NOW - 60}, {"item": "nothing"}], "k": 4},
    {"history": [], "k": 5, "filters": {"available": True, "price": {"max": 30}}},
]


def items_table() -> pa.Table:
    return pa.table(
        {
            "item_id": ["A", "B", "C", "D", "E", "F"],
            "title": ["Apple", "Ball", None, "Duck", "Egg", "Fig"],
            "category": ["red", "red", "red", "blue", "blue", "blue"],
            "brand": ["x", "y", "x", None, "y", "x"],
            "price": [10.0, 20.0, 30.0, None, 50.0, 5.0],
            "available_from": pa.array([None, NOW + 1, NOW, 0, 0, 0], pa.int64()),
        }
    )


def write_items(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    if "item_id" in table.column_names:
        np.save(path.with_name("item_codes.npy"), make_slots([str(item) for item in table["item_id"].to_pylist()]))


def mean_encoder(vectors: NDArray[np.float32]) -> onnx.ModelProto:
    """The sum of the vectors of ``items`` [N] at ``places`` [B, T]; place -1 is padding. No torch needed."""
    table = np.concatenate([vectors, np.zeros((1, vectors.shape[1]), np.float32)])  # the last row is the padding's
    nodes = [
        helper.make_node("Concat", ["items", "padding"], ["padded"], axis=0),
        helper.make_node("Gather", ["padded", "places"], ["codes"]),
        helper.make_node("Gather", ["table", "codes"], ["found"]),
        helper.make_node("ReduceSum", ["found", "axes"], ["query"], keepdims=0),
    ]
    constants = {"table": table, "padding": np.array([len(vectors)], np.int64), "axes": np.array([1], np.int64)}
    graph = helper.make_graph(
        nodes,
        "mean",
        [
            helper.make_tensor_value_info("items", TensorProto.INT64, ["event"]),
            helper.make_tensor_value_info("places", TensorProto.INT64, ["batch", "length"]),
        ],
        [helper.make_tensor_value_info("query", TensorProto.FLOAT, ["batch", vectors.shape[1]])],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def write_vectors(
    folder: Path,
    vectors: NDArray[np.float32],
    n_items: int,
    codes: NDArray[np.int32] | None = None,
    factory: str = "Flat",
) -> FaissIndex:
    """The three files of a vector bundle. The encoder sums the vectors of the history."""
    codes = np.arange(len(vectors), dtype=np.int32) if codes is None else codes
    np.save(folder / "vectors.npy", vectors)
    np.savez(folder / "vectors.npz", codes=codes)
    index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    faiss.write_index(index, str(folder / "items.faiss"))
    table = np.zeros((n_items, vectors.shape[1]), np.float32)
    table[codes] = vectors
    onnx.save(mean_encoder(table), folder / "encoder.onnx")
    settings = {"nprobe": 2.0} if factory.startswith("IVF") else {}
    return FaissIndex(factory, settings, vectors.shape[1], len(vectors), 1.0, 0.95, 10)


def write_neighbours(folder: Path, rows: dict[int, list[tuple[int, float]]], n_items: int) -> TableIndex:
    lengths = [len(rows.get(code, [])) for code in range(n_items)]
    pairs = [pair for code in range(n_items) for pair in rows.get(code, [])]
    np.savez(
        folder / "neighbours.npz",
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        items=np.array([item for item, _ in pairs], np.int32),
        weights=np.array([weight for _, weight in pairs], np.float32),
    )
    return TableIndex(n_items, max(lengths), 1.0, 0.95, 10)


def write_sessions(folder: Path, sessions: list[list[int]], weights: NDArray[np.float32]) -> SessionIndex:
    np.savez(
        folder / "sessions.npz",
        offsets=np.concatenate([[0], np.cumsum([len(session) for session in sessions])]).astype(np.int64),
        items=np.array([item for session in sessions for item in session], np.int32),
        weights=weights,
    )
    return SessionIndex(size=len(sessions), length=4, recent=3, neighbours=2, gap=1800)


def write_bundle(
    folder: Path,
    kind: Kind,
    *,
    table: pa.Table | None = None,
    popularity: NDArray[np.float32] = POPULARITY,
    model: Callable[[Path], FaissIndex | TableIndex | SessionIndex | None] | None = None,
    exclude_seen: bool = True,
    golden: list[dict[str, Any]] = GOLDEN,
    companions: Mapping[str, MemberKind] | None = None,
    surfaces: Mapping[str, Any] | None = None,
) -> Path:
    """Write a bundle; ``model`` writes its model files (default: the six items above), companions have theirs."""
    folder.mkdir(parents=True, exist_ok=True)
    writers: dict[str, Callable[[Path], FaissIndex | TableIndex | SessionIndex | None]] = {
        "vector": lambda folder: write_vectors(folder, VECTORS, 6),
        "neighbours": lambda folder: write_neighbours(folder, ROWS, 6),
        "sessions": lambda folder: write_sessions(folder, SESSIONS, np.ones(6, np.float32)),
        "static": lambda _: None,
    }
    table = items_table() if table is None else table
    write_items(folder / "items.arrow", table)
    candidates = np.ones(len(table), np.bool_)
    if len(table) == 6:
        candidates[5] = False
    np.savez(folder / "fallback.npz", scores=popularity, candidates=candidates)
    beside = []
    for name, what in (companions or {}).items():
        (folder / name).mkdir(exist_ok=True)
        np.savez(folder / name / "fallback.npz", scores=popularity[::-1].copy(), candidates=candidates)
        inputs: tuple[Any, ...] = ("items", "places") if what == "vector" else ()
        beside.append(Member(name, what, writers[what](folder / name), 50, inputs))
    if surfaces is not None:
        (folder / SURFACES_FILE).write_bytes(msgspec.json.encode(surfaces))
    manifest = Manifest(
        name=f"test-{kind}",
        version="1",
        created="2026-01-02T03:04:05Z",
        kind=kind,
        model=Model(class_="recsys_lab.models.test.Test", params={}),
        fingerprints=Fingerprints("d", "s", "c"),
        metrics={"ndcg@10": Metric(0.5, (0.4, 0.6))},
        policy=Policy(exclude_seen),
        history=History(50, ("items", "places") if kind == "vector" else (), EVENTS, (COUNTRIES,)),
        index=(model or writers[kind])(folder),
        parity=Parity(1, 10, True, 1.0, 1.0, 0.0),
        files={},
        companions=tuple(beside),
    )
    (folder / "golden.jsonl").write_bytes(b"")
    seal(folder, manifest)
    requests = [
        msgspec.json.encode({**request, "now": NOW, "request_id": f"golden-{n}"}) for n, request in enumerate(golden)
    ]
    answers = Engine(Bundle.load(folder)).recommend(
        [msgspec.json.decode(request, type=Request) for request in requests]
    )
    lines = [
        Golden(msgspec.Raw(request), msgspec.Raw(msgspec.json.encode(answer)))
        for request, answer in zip(requests, answers, strict=True)
    ]
    (folder / "golden.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(lines))
    seal(folder, manifest)
    return folder


def seal(folder: Path, manifest: Manifest) -> None:
    """Write the manifest with the checksums of the files as they are."""
    files = {
        path.relative_to(folder).as_posix(): File(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != FILE_NAME
    }
    (folder / FILE_NAME).write_bytes(msgspec.structs.replace(manifest, files=files).to_json())

"""A bundle is written whole and proven, or not at all."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import numpy as np
import pyarrow as pa
import pytest

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.errors import ConfigError, ExportError, ParityError
from recsys_lab.export import bundle as exporting
from recsys_lab.export.requests import to_requests
from recsys_lab.export.settings import ELSEWHERE, ExportSettings
from serving_min.asks import Asked
from serving_min.bundle import Bundle
from serving_min.drift import Drift, own_part
from serving_min.engine import Engine
from serving_min.messages import MOST_EVENTS, Golden, Request
from serving_min.queries import Queries
from serving_min.verification import verified
from tests.export.planted import (
    ITEMS,
    SETTINGS,
    MeanVector,
    Together,
    export,
    fitted,
    planted_catalogue,
    planted_fold,
    smallest_of_each_kind,
)

ROOT = Path(__file__).resolve().parents[2]
FOLD = planted_fold()
Damage = Callable[[Path], None]


@pytest.fixture(scope="module", params=["vector", "neighbours", "sessions", "static"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = fitted(smallest_of_each_kind()[request.param], FOLD)
    return export(model, FOLD, tmp_path_factory.mktemp("bundles"), version="20261123T161500-ab12cd34")


def test_the_manifest_follows_its_schema(written: Path) -> None:
    schema = json.loads((ROOT / "export/manifest.schema.json").read_text())
    manifest = json.loads((written / "manifest.json").read_text())
    jsonschema.validate(manifest, schema)
    assert written.parts[-2:] == ("planted", "20261123T161500-ab12cd34")
    assert manifest["created"] == "2026-11-23T16:15:00+00:00"
    assert manifest["metrics"]["ndcg@10"] == {"mean": 0.5, "ci95": [0.4, 0.6]}
    assert set(manifest["files"]) == {path.name for path in written.iterdir()} - {"manifest.json"}
    assert manifest["history"]["attributes"] == [["country", ["", "at", "de"]]]


def test_parity_is_on_record(written: Path) -> None:
    parity = Bundle.load(written).manifest.parity
    assert parity.queries > SETTINGS["parity_queries"]  # the probes count too
    assert parity.recall >= 0.97
    if parity.exact:
        assert parity.identical == 1.0
        assert parity.worst_score_difference <= 1e-5


def test_golden_requests_get_their_golden_answers(written: Path) -> None:
    engine = Engine(Bundle.load(written))
    lines = (written / "golden.jsonl").read_bytes().splitlines()
    golden = [msgspec.json.decode(line, type=Golden) for line in lines]
    requests = [msgspec.json.decode(pair.request, type=Request) for pair in golden]
    for request, pair in zip(requests, golden, strict=True):
        assert msgspec.json.encode(engine.recommend([request], pair.surface)[0]) == bytes(pair.answer)
    assert {pair.surface for pair in golden} == {"recommend", "similar", "rank"}
    assert len(golden) >= 20
    assert all(request.now is not None for request in requests)
    answers = [json.loads(bytes(pair.answer)) for pair in golden]
    assert {answer["fallback"] for answer in answers} >= {"empty history", "history has only unknown items"}
    assert any("title" in shown for answer in answers for shown in answer["items"])
    assert {len(answer["items"]) for answer in answers} >= {1, 10, 50}
    assert all(answer["items"] for answer in answers)


def test_what_the_model_says_is_on_record(written: Path) -> None:
    bundle = Bundle.load(written)
    reference = bundle.drift
    if reference is None:
        assert bundle.model is None
        return
    drift = Drift(reference, bundle.popularity)
    assert 0 < reference.lists <= len(FOLD.queries)
    assert 0 < reference.distinct <= len(bundle.items)
    assert sum(reference.scores.shares) == pytest.approx(1)
    engine = Engine(bundle)
    for body in to_requests(FOLD.queries, planted_catalogue(), bundle.manifest.history):
        (served,) = engine.answer([Asked(msgspec.convert(body, Request), "recommend")])
        if (own := own_part(served)) is not None:
            drift.saw(*own)
    measured = drift.measure()
    assert measured is not None
    assert max(measured.scores, measured.popularity) < 0.1, "the fold's other queries are of the same kind"
    assert measured.coverage == pytest.approx(1, abs=0.1)


def test_the_item_table_keeps_what_the_shop_knows(written: Path) -> None:
    with pa.OSFile(str(written / "items.arrow")) as source:
        table = pa.ipc.open_file(source).read_all()
    assert table.column_names == ["item_id", "title", "category", "brand", "price"]
    assert table["title"].to_pylist()[:2] == [None, "thing 1"]
    assert table["price"].to_pylist()[:2] == [None, 2.0]
    assert table["item_id"].to_pylist() == [f"item-{code}" for code in range(ITEMS)]


def test_a_version_is_never_overwritten(tmp_path: Path) -> None:
    model = fitted(Together(), FOLD)
    path = export(model, FOLD, tmp_path)
    before = (path / "manifest.json").stat().st_mtime_ns
    with pytest.raises(ExportError, match="never overwritten"):
        export(model, FOLD, tmp_path)
    assert (path / "manifest.json").stat().st_mtime_ns == before


def test_a_history_longer_than_a_request_may_be(tmp_path: Path) -> None:
    tireless = np.resize(FOLD.queries.items, MOST_EVENTS + 1)
    queries = Queries.from_histories(
        [tireless.tolist(), [0, 1]],
        now=FOLD.queries.now[:2].tolist(),
        attributes=FOLD.queries.attributes[:2],
        event_names=FOLD.train.event_names,
    )
    fold = replace(FOLD, queries=queries)
    verified(export(fitted(Together(), fold), fold, tmp_path, exclude_seen=False))


def test_a_shop_where_everything_is_seen(tmp_path: Path) -> None:
    """The first user knows the only item that may be recommended, so their list is empty."""
    model = fitted(Together(), FOLD)
    model.candidates = np.arange(ITEMS) == FOLD.queries.items[0]
    verified(export(model, FOLD, tmp_path))


def test_a_model_of_other_items(tmp_path: Path) -> None:
    others = Catalogue.of_ids([f"other-{code}" for code in range(ITEMS)])
    stranger = fitted(Together(), replace(FOLD, catalogue=others))
    with pytest.raises(ExportError, match=f"was not fitted on the fold's {ITEMS} items"):
        export(stranger, FOLD, tmp_path)
    with pytest.raises(ExportError, match="again: was not fitted on the fold's"):
        export(fitted(Together(), FOLD), FOLD, tmp_path, companions={"again": stranger})
    assert list(tmp_path.iterdir()) == []


def test_companions_of_a_shop_whose_first_queries_have_no_history(tmp_path: Path) -> None:
    newcomers = FOLD.queries.last(0)
    queries = Queries.from_histories(
        [[]] * len(newcomers) + [[item] for item in range(20)],
        attributes=np.concatenate([newcomers.attributes, newcomers.attributes[:20]]),
        event_names=FOLD.train.event_names,
    )
    fold, settings = replace(FOLD, queries=queries), {**SETTINGS, "parity_queries": len(queries)}
    model = fitted(Together(), fold)
    verified(export(model, fold, tmp_path, settings=settings, companions={"again": model}))


@pytest.mark.parametrize("version", ["", "../up", ".hidden", "a/b", "1 2"])
def test_a_version_is_a_plain_name(version: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="version"):
        export(fitted(Together(), FOLD), FOLD, tmp_path, version=version)


def scale_vectors(folder: Path) -> None:
    import faiss

    vectors = np.load(folder / "vectors.npy")
    vectors[5] *= 1.01
    np.save(folder / "vectors.npy", vectors)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    faiss.write_index(index, str(folder / "items.faiss"))


def lose_an_item_from_the_index(folder: Path) -> None:
    import faiss

    index = faiss.read_index(str(folder / "items.faiss"))
    vectors = index.reconstruct_n(0, index.ntotal)
    vectors[index.search(vectors[:1], 1)[1][0]] *= -1
    index.reset()
    index.add(vectors)
    faiss.write_index(index, str(folder / "items.faiss"))


def another_encoder(folder: Path) -> None:
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(folder / "encoder.onnx")
    for weights in graph.graph.initializer:
        if len(weights.dims) == 2:
            weights.CopyFrom(numpy_helper.from_array(1.01 * numpy_helper.to_array(weights), weights.name))
    onnx.save(graph, folder / "encoder.onnx")


def nudge_a_weight(folder: Path) -> None:
    stored = dict(np.load(folder / "neighbours.npz"))
    stored["weights"][:50] *= np.float32(1.0001)
    np.savez(folder / "neighbours.npz", **stored)


def forget_most_neighbours(folder: Path) -> None:
    stored = dict(np.load(folder / "neighbours.npz"))
    stored["offsets"] = np.minimum(stored["offsets"], 500)
    np.savez(
        folder / "neighbours.npz",
        offsets=stored["offsets"],
        items=stored["items"][:500],
        weights=stored["weights"][:500],
    )


def cut_the_graph_short(folder: Path) -> None:
    graph = (folder / "encoder.onnx").read_bytes()
    (folder / "encoder.onnx").write_bytes(graph[: len(graph) // 2])


DAMAGES: list[tuple[type, Damage, type[ExportError], str]] = [
    (MeanVector, scale_vectors, ParityError, "the bundle's list differs from the model's"),
    (MeanVector, lose_an_item_from_the_index, ExportError, "items.faiss: not the vectors"),
    (MeanVector, another_encoder, ParityError, "the bundle's list differs from the model's"),
    (MeanVector, cut_the_graph_short, ExportError, "encoder.onnx"),
    (Together, nudge_a_weight, ParityError, "weighs .* in the bundle and .* in the model"),
    (Together, forget_most_neighbours, ParityError, "below target_recall"),
]


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> Callable[[type], tuple[Path, Any]]:
    """The files of a model and what the manifest says of them, made once for each kind."""
    made: dict[type, tuple[Path, Any]] = {}

    def of(kind: type) -> tuple[Path, Any]:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind.__name__)
            settings = ExportSettings.read(SETTINGS)
            queries = FOLD.queries.take(np.arange(SETTINGS["parity_queries"]))
            model = fitted(kind(), FOLD)
            made[kind] = (
                folder,
                exporting.write_model(model, queries, folder, exclude_seen=True, k=SETTINGS["k"], settings=settings),
            )
        return made[kind]

    return of


@pytest.mark.parametrize(
    ("kind", "damage", "error", "message"), DAMAGES, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_bundle_that_answers_otherwise_is_not_written(
    kind: type,
    damage: Damage,
    error: type[ExportError],
    message: str,
    proven: Callable[[type], tuple[Path, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files, part = proven(kind)

    def copy_and_damage(_: Any, __: Any, folder: Path, **___: Any) -> Any:
        shutil.copytree(files, folder, dirs_exist_ok=True)
        damage(folder)
        return part

    monkeypatch.setattr(exporting, "write_model", copy_and_damage)
    with pytest.raises(error, match=message):
        export(fitted(kind(), FOLD), FOLD, tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["planted"]


def test_a_parity_error_shows_both_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted(Together(), FOLD)
    weights = model.weights.copy()
    build = exporting.write_model

    def of_another_model(*arguments: Any, **settings: Any) -> Any:
        model.weights = weights[::-1]
        part = build(*arguments, **settings)
        model.weights = weights
        return part

    monkeypatch.setattr(exporting, "write_model", of_another_model)
    with pytest.raises(
        ParityError, match=r"test queries: .* items: item-\d+.*model \[item-\d+ .*\], bundle \[item-\d+ "
    ):
        export(model, FOLD, tmp_path, settings={**SETTINGS, "target_recall": 1.0})


def test_a_whole_table_is_held_to_identical_lists(tmp_path: Path) -> None:
    settings = {**SETTINGS, "target_recall": 1.0}
    path = export(fitted(Together(penalty=0.05), FOLD), FOLD, tmp_path, exclude_seen=False, settings=settings)
    manifest = Bundle.load(path).manifest
    assert (manifest.parity.exact, manifest.parity.identical, manifest.policy.exclude_seen) == (True, 1.0, False)


def test_an_approximate_index_is_held_to_its_recall(tmp_path: Path) -> None:
    settings = {**SETTINGS, "flat_limit": 0, "target_recall": 0.8, "k": 5}
    path = export(fitted(MeanVector(), FOLD), FOLD, tmp_path, settings=settings)
    manifest = Bundle.load(path).manifest
    assert manifest.index.factory.startswith("IVF")
    assert not manifest.parity.exact
    assert manifest.parity.recall >= 0.8


def test_a_vector_that_is_no_number(tmp_path: Path) -> None:
    model = fitted(MeanVector(), FOLD)
    model.vectors[7] = np.nan
    with pytest.raises(ExportError, match="the vector of item 'item-7' is not finite"):
        export(model, FOLD, tmp_path)


KILLED = """
    import sys, time
    from pathlib import Path
    from recsys_lab.export import bundle
    from tests.export.planted import *

    def hang(*arguments, **settings):
        print("hanging", flush=True)
        time.sleep(60)

    bundle.check_parity = hang
    fold = planted_fold()
    export(fitted(Together(), fold), fold, Path(sys.argv[1]))
"""


def test_what_a_killed_export_leaves_is_never_picked_up_and_cleaned_by_the_next(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"hanging\n"
        process.send_signal(signal.SIGKILL)
    leftover = list((tmp_path / "planted").iterdir())
    assert len(leftover) == 1
    assert leftover[0].name.startswith(".")
    path = export(fitted(Together(), FOLD), FOLD, tmp_path)
    assert list((tmp_path / "planted").iterdir()) == [path]


def test_settings_are_those_of_the_yaml() -> None:
    from omegaconf import OmegaConf

    told = OmegaConf.to_container(OmegaConf.load(ROOT / "conf/export/default.yaml"))
    assert ExportSettings.read(told) == ExportSettings()
    own = {name: value for name, value in told.items() if name not in ELSEWHERE}
    assert own == vars(ExportSettings())


@pytest.mark.parametrize(
    "wrong",
    [
        {"recall": 1},
        {"k": 0},
        {"k": 1001},
        {"target_recall": 2},
        {"parity_queries": 0},
        {"tolerance": float("nan")},
    ],
)
def test_a_setting_that_cannot_work(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ExportSettings.read(wrong)

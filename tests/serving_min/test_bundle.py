from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import faiss
import jsonschema
import msgspec
import numpy as np
import onnx
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving_min.bundle import Bundle
from serving_min.errors import BundleError
from serving_min.item_vectors import in_8_bits
from serving_min.manifest import FILE_NAME, manifest_schema, read_manifest
from serving_min.vectors import Vectors
from tests.serving_min.handmade import (
    POPULARITY,
    VECTORS,
    mean_encoder,
    seal,
    write_items,
    write_vectors,
)

SCHEMA = Path(__file__).resolve().parents[2] / "export" / "manifest.schema.json"
KINDS = ("vector", "neighbours", "sessions", "static")


@pytest.fixture
def copy(bundles: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """A bundle of a kind, to be spoilt."""

    def of(kind: str) -> Path:
        return shutil.copytree(bundles[kind], tmp_path / kind, dirs_exist_ok=True)

    return of


def refused(folder: Path, *, verify: bool = True) -> str:
    with pytest.raises(BundleError) as raised:
        Bundle.load(folder, verify=verify)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_what_is_loaded(bundles: dict[str, Path]) -> None:
    bundle = Bundle.load(bundles["neighbours"])
    assert bundle.items.codes == {"A": 0, "B": 1, "C": 2, "D": 3, "E": 4, "F": 5}
    assert bundle.popularity.tolist() == POPULARITY.tolist()
    assert bundle.candidates.tolist() == [True] * 5 + [False]
    assert Bundle.load(str(bundles["static"]), verify=False).model is None


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_missed(copy: Callable[[str], Path], kind: str) -> None:
    names = [path.name for path in copy(kind).iterdir()]
    assert len(names) == {"vector": 9, "neighbours": 6, "sessions": 6, "static": 5}[kind]
    for name in names:
        folder = copy(kind)
        (folder / name).unlink()
        assert name in refused(folder)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_byte_or_cut_file_is_refused(copy: Callable[[str], Path], kind: str, data: st.DataObject) -> None:
    folder = copy(kind)
    name = data.draw(st.sampled_from(sorted(path.name for path in folder.iterdir())))
    good = (folder / name).read_bytes()
    place = data.draw(st.integers(0, len(good) - 1))
    change = data.draw(st.integers(1, 255) | st.none())
    bad = good[:place] if change is None else good[:place] + bytes([good[place] ^ change]) + good[place + 1 :]
    (folder / name).write_bytes(bad)
    if name != FILE_NAME:
        assert name in refused(folder)
        return
    with suppress(BundleError):  # a manifest may stay readable, say with another name; then it is used as it is
        Bundle.load(folder)


def edited(folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    manifest = json.loads((folder / FILE_NAME).read_text())
    change(manifest)
    (folder / FILE_NAME).write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        ("static", lambda m: m.update(format=3), "bundle format 3 is newer than this server's 2; upgrade serving_min"),
        ("static", lambda m: m.update(format=1), "bundle format 1 is older than this server's 2; export it anew"),
        ("static", lambda m: m.pop("format"), "missing required field `format`"),
        ("static", lambda m: m.update(extra=1), "unknown field `extra`"),
        ("static", lambda m: m.update(kind="tree"), "at `$.kind`"),
        ("static", lambda m: m.update(kind="vector"), "kind 'vector' with index of type NoneType"),
        ("vector", lambda m: m["history"].update(inputs=["ages"]), "kind 'vector' with encoder inputs ['ages']"),
        ("vector", lambda m: m["history"].update(inputs=["places", "places"]), "name something twice"),
        (
            "vector",
            lambda m: m["history"].update(inputs=["items", "places", "ages"]),
            "encoder.onnx: takes ['items', 'places']",
        ),
        ("static", lambda m: m["history"].update(events=["a", "a"]), "names something twice"),
        ("static", lambda m: m["history"].update(attributes=[["x", ["UK"]]]), "code 0 must be ''"),
        ("static", lambda m: m["files"].pop("items.arrow"), "files does not list items.arrow"),
        ("static", lambda m: m["files"].update({"../x": {"sha256": "0" * 64, "bytes": 0}}), "'../x'; only plain"),
        ("static", lambda m: m["files"].update({"a\0b": {"sha256": "0" * 64, "bytes": 0}}), "no such file"),
        ("static", lambda m: m["files"]["items.arrow"].update(sha256="x"), "at `$.files[...].sha256`"),
        ("static", lambda m: m["files"]["items.arrow"].update(sha256="0" * 64), "items.arrow: damaged"),
        ("vector", lambda m: m["index"].update(dimension=3), "vectors are (5, 2), the manifest says (5, 3)"),
        ("vector", lambda m: m["index"].update(similar_probes=3), "no lists, the manifest says to look into 3"),
        ("vector", lambda m: m["index"].update(settings={"nprobe": 3}), "items.faiss: "),
    ],
)
def test_a_manifest_that_is_wrong(
    copy: Callable[[str], Path], kind: str, change: Callable[[dict[str, Any]], Any], says: str
) -> None:
    assert says in refused(edited(copy(kind), change))


def test_a_manifest_nested_too_deeply(copy: Callable[[str], Path]) -> None:
    folder = copy("static")
    written = (folder / FILE_NAME).read_text()
    nested = '"params": {"x": ' + "[" * 100_000 + "]" * 100_000 + "}"
    (folder / FILE_NAME).write_text(written.replace('"params": {}', nested))
    assert "manifest.json: cannot be read: maximum recursion depth" in refused(folder)


def test_manifests_that_are_no_json(copy: Callable[[str], Path]) -> None:
    for written in (b"", b"{", b"[]", b"\xff", b'{"format": "1"}', b"[" * 100_000):
        folder = copy("static")
        (folder / FILE_NAME).write_bytes(written)
        assert "manifest.json: cannot be read" in refused(folder)


def arrays(name: str, **changes: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        with np.load(folder / name) as stored:
            kept = {**stored, **changes}
        np.savez(folder / name, **{key: value for key, value in kept.items() if value is not None})

    return spoil


def other_items(**columns: Any) -> Callable[[Path], None]:
    return lambda folder: write_items(folder / "items.arrow", pa.table(columns))


def array(name: str, values: NDArray[Any]) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / name, values)


def eight_bits(**changes: NDArray[np.float32]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        coded = in_8_bits(VECTORS + 1)
        np.save(folder / "vectors.npy", coded.stored)
        means = {"steps": coded.steps, "scales": coded.scales, **changes}
        np.savez(folder / "vectors.npz", codes=np.arange(5, dtype=np.int32), **means)

    return spoil


def other_index(dimension: int, factory: str, metric: int) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        index = faiss.index_factory(dimension, factory, metric)
        index.add(np.zeros((5, dimension), np.float32))
        faiss.write_index(index, str(folder / "items.faiss"))

    return spoil


def flat_index(vectors: NDArray[np.float32]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        faiss.write_index(index, str(folder / "items.faiss"))

    return spoil


def index_with_own_numbers(folder: Path) -> None:
    index = faiss.IndexIDMap(faiss.IndexFlatIP(2))
    index.add_with_ids(VECTORS, np.array([0, 1, 2, 3, 1_000_000]))
    faiss.write_index(index, str(folder / "items.faiss"))


def packed(name: str, **changes: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        with np.load(folder / name) as stored:
            kept = {**stored, **changes}
        np.savez_compressed(folder / name, **kept)

    return spoil


def one_event_encoder(folder: Path) -> None:
    model = mean_encoder(np.zeros((6, 2), np.float32))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, folder / "encoder.onnx")


def encoder_with_weights_elsewhere(folder: Path) -> None:
    model = mean_encoder(np.zeros((600, 2), np.float32))
    onnx.save(model, folder / "encoder.onnx", save_as_external_data=True, location="weights.bin", size_threshold=1000)


def other_encoder(width: int) -> Callable[[Path], None]:
    return lambda folder: onnx.save(mean_encoder(np.ones((6, width), np.float32)), folder / "encoder.onnx")


def garbage(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / name).write_bytes(b"\x00garbage\n" * 20)

    return spoil


@pytest.mark.parametrize(
    ("kind", "spoil", "says"),
    [
        ("static", garbage("items.arrow"), "items.arrow: "),
        ("static", garbage("fallback.npz"), "fallback.npz: "),
        ("vector", garbage("items.faiss"), "items.faiss: "),
        ("vector", garbage("encoder.onnx"), "encoder.onnx: "),
        ("static", other_items(id=["A"]), "items.arrow: no column item_id"),
        ("static", other_items(item_id=["A", None]), "items.arrow: item_id of row 1 is null"),
        (
            "static",
            other_items(item_id=["A", "A"]),
            "item_codes.npy: does not find item 'A', or two items have this id",
        ),
        ("static", other_items(item_id=["A"]), "fallback.npz: not of the 1 items of items.arrow"),
        ("static", other_items(item_id=["A"], price=["dear"]), "items.arrow: "),
        ("static", arrays("fallback.npz", scores=None), "fallback.npz: no array scores"),
        ("static", arrays("fallback.npz", scores=np.full(6, np.nan, np.float32)), "scores are not all finite"),
        ("static", arrays("fallback.npz", scores=POPULARITY.astype(np.float64)), "scores is float64 [6], not float32"),
        ("static", arrays("fallback.npz", candidates=np.ones((6, 1), bool)), "candidates is bool [6, 1]"),
        ("static", arrays("fallback.npz", scores=np.array([None] * 6)), "fallback.npz: Object arrays cannot be loaded"),
        ("neighbours", arrays("neighbours.npz", items=np.array([0, 1, 2, 3, 4, 5, 6], np.int32)), "outside 0 … 5"),
        ("neighbours", arrays("neighbours.npz", items=np.array([0, 1, 2, 3, 4, 5, -1], np.int32)), "outside 0 … 5"),
        ("neighbours", arrays("neighbours.npz", offsets=np.array([0, 2, 1, 4, 7, 7, 7])), "offsets do not rise"),
        ("neighbours", arrays("neighbours.npz", offsets=np.array([0, 2, 4, 4, 7, 7, 9])), "not of one length"),
        ("neighbours", arrays("neighbours.npz", offsets=np.array([0, 7])), "2 offsets for 6 items"),
        ("neighbours", arrays("neighbours.npz", weights=np.full(7, np.inf, np.float32)), "weights are not all finite"),
        ("sessions", arrays("sessions.npz", items=np.full(11, 6, np.int32)), "outside 0 … 5"),
        ("sessions", arrays("sessions.npz", offsets=np.array([0, 3, 2, 8, 11])), "offsets do not rise"),
        ("sessions", arrays("sessions.npz", offsets=np.array([0, 11])), "1 sessions, the manifest says 4"),
        ("sessions", arrays("sessions.npz", weights=np.ones(5, np.float32)), "5 weights for 6 items"),
        ("vector", arrays("vectors.npz", codes=np.array([0, 1, 2, 3, 9], np.int32)), "outside 0 … 5"),
        ("vector", arrays("vectors.npz", codes=np.array([0, 1, 2, 4, 3], np.int32)), "codes do not ascend"),
        ("vector", arrays("vectors.npz", codes=np.array([0, 1, 2, 3, 5], np.int32)), "not candidates"),
        ("vector", arrays("vectors.npz", codes=np.array([0, 1], np.int32)), "2 codes for 5 vectors"),
        ("vector", array("vectors.npy", np.full((5, 2), np.nan, np.float32)), "vectors are not all finite"),
        ("vector", array("vectors.npy", VECTORS[:4]), "vectors are (4, 2), the manifest says (5, 2)"),
        ("vector", array("vectors.npy", VECTORS.astype(np.float64)), "float64, neither float32 nor int8"),
        ("vector", array("vectors.npy", np.asfortranarray(VECTORS)), "vectors do not lie row by row"),
        ("vector", array("vectors.npy", VECTORS.astype(np.int8)), "vectors.npz: no array scales, steps"),
        ("vector", eight_bits(scales=np.ones(3, np.float32)), "vectors.npz: 3 scales where there must be 2"),
        ("vector", eight_bits(steps=np.ones(2, np.float32)), "vectors.npz: 2 steps where there must be 5"),
        ("vector", eight_bits(scales=np.full(2, np.inf, np.float32)), "vectors.npz: scales are not all finite"),
        ("vector", eight_bits(), "not the vectors of vectors.npy"),
        ("vector", other_index(3, "Flat", faiss.METRIC_INNER_PRODUCT), "items.faiss: the index is (5, 3)"),
        ("vector", other_index(2, "Flat", faiss.METRIC_L2), "items.faiss: the index is not for inner products"),
        ("vector", other_encoder(3), "encoder.onnx: its queries have shape (3,)"),
        ("vector", one_event_encoder, "encoder.onnx: [ONNXRuntimeError]"),
        ("vector", encoder_with_weights_elsewhere, "External data path"),
        ("vector", flat_index(-VECTORS), "items.faiss: not the vectors of vectors.npy"),
        ("vector", index_with_own_numbers, "items.faiss: finds places beyond its 5 vectors"),
        ("static", packed("fallback.npz", scores=np.zeros(1 << 20, np.float32)), "fallback.npz: compressed, to be "),
        ("static", other_items(item_id=[*range(6)]), "items.arrow: item_id is int64, not string"),
        ("static", other_items(item_id=[*"ABCDEF"], price=["1"] * 6), "price is string, not double"),
        (
            "static",
            other_items(item_id=[*"ABCDEF"], available_from=pa.array([1] * 6, pa.timestamp("us"))),
            "items.arrow: available_from is timestamp[us], not int64",
        ),
    ],
)
def test_files_that_are_whole_but_lie(
    copy: Callable[[str], Path], kind: str, spoil: Callable[[Path], None], says: str
) -> None:
    folder = copy(kind)
    manifest = read_manifest(folder)
    spoil(folder)
    seal(folder, manifest)
    assert says in refused(folder)


def test_without_verification_a_damaged_file_is_still_an_error(copy: Callable[[str], Path]) -> None:
    folder = copy("neighbours")
    path = folder / "neighbours.npz"
    path.write_bytes(bytes(len(path.read_bytes())))
    assert "neighbours.npz" in refused(folder, verify=False)


def test_search_settings_of_the_manifest_are_used(copy: Callable[[str], Path]) -> None:
    folder = copy("vector")
    vectors = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    write_items(folder / "items.arrow", pa.table({"item_id": [str(code) for code in range(100)]}))
    np.savez(folder / "fallback.npz", scores=np.ones(100, np.float32), candidates=np.ones(100, bool))
    index = write_vectors(folder, vectors, 100, factory="IVF4,Flat")
    index = msgspec.structs.replace(index, similar_probes=1)
    seal(folder, msgspec.structs.replace(read_manifest(folder), index=index))
    model = Bundle.load(folder).model
    assert isinstance(model, Vectors)
    assert model.index.nprobe == 2
    assert model.cells is not None
    assert (model.cells.probes, sum(map(len, model.cells.lists))) == (1, 100)


def test_written_and_read_manifests_are_the_same(bundles: dict[str, Path]) -> None:
    for folder in bundles.values():
        manifest = read_manifest(folder)
        assert (folder / FILE_NAME).read_bytes() == manifest.to_json()


def test_the_schema_beside_the_format_is_that_of_the_types(bundles: dict[str, Path]) -> None:
    schema = json.loads(SCHEMA.read_text())
    assert schema == json.loads(manifest_schema()), "write it anew: see the end of export/README.md"
    jsonschema.Draft202012Validator.check_schema(schema)
    for folder in bundles.values():
        manifest = json.loads((folder / FILE_NAME).read_text())
        jsonschema.validate(manifest, schema)
        without_format = {name: value for name, value in manifest.items() if name != "format"}
        for wrong in ({**manifest, "extra": 1}, {**manifest, "format": 1}, without_format):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(wrong, schema)

"""Bundles with members inside: what they answer, and every way in which their parts may not fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.errors import BundleError
from serving_min.features import HALF_LIVES
from serving_min.manifest import (
    FILE_NAME,
    BlendIndex,
    Member,
    RankingIndex,
    RankingNetwork,
    read_manifest,
)
from serving_min.queries import Queries
from tests.serving_min.handmade import POPULARITY, ROWS, seal, write_bundle, write_neighbours

FEATURES = 40  # with two kinds of events and two members
EVENTS_FEATURE = 0  # how often the candidate is in the history
CANDIDATES = np.array([True] * 5 + [False])


def write_members(folder: Path) -> tuple[Member, ...]:
    """What goes with the history, and what everybody likes."""
    for name in ("table", "crowd"):
        (folder / name).mkdir(exist_ok=True)
        np.savez(folder / name / "fallback.npz", scores=POPULARITY, candidates=CANDIDATES)
    return (
        Member("table", "neighbours", write_neighbours(folder / "table", ROWS, 6)),
        Member("crowd", "static", None),
    )


def write_facts(folder: Path, items: int = 6, **changes: NDArray[Any]) -> None:
    facts: dict[str, NDArray[Any]] = {
        "popularity": np.ones((items, len(HALF_LIVES)), np.float32),
        **{name: np.zeros(items, np.int64) for name in ("first", "last")},
        **{name: np.ones(items, np.float32) for name in ("buyers", "again", "gap", "price")},
    }
    np.savez(folder / "facts.npz", **{**facts, **changes})


def write_trees(folder: Path, **changes: NDArray[Any]) -> None:
    """Two trees: a candidate of the history gets 1, one that is in it more than once 2, and another 0.25."""
    trees: dict[str, NDArray[Any]] = {
        "roots": np.array([0, -4], np.int32),
        "feature": np.array([EVENTS_FEATURE, EVENTS_FEATURE], np.int32),
        "threshold": np.array([0.5, 1.5]),
        "left": np.array([-1, -2], np.int32),
        "right": np.array([1, -3], np.int32),
        "value": np.array([0.0, 0.75, 1.75, 0.25]),
    }
    np.savez(folder / "trees.npz", **{**trees, **changes})


def write_network(folder: Path, width: int = FEATURES, scores: str = "one") -> None:
    """The number of times that a candidate is in the history; ``scores`` per candidate, or only one for all."""
    first = onnx.numpy_helper.from_array(np.eye(1, width, EVENTS_FEATURE, dtype=np.float32).T, "first")
    last = onnx.numpy_helper.from_array(np.array([2], np.int64), "last")
    nodes = [helper.make_node("MatMul", ["rows", "first"], ["tall"])]
    if scores == "one":
        nodes.append(helper.make_node("Squeeze", ["tall", "last"], ["score"]))
    else:
        nodes.append(helper.make_node("ReduceMax", ["tall", "last"], ["score"], keepdims=1))
    shape = ["one", "candidates"] if scores == "one" else ["one", "candidates", 1]
    graph = helper.make_graph(
        nodes,
        "counts",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["one", "candidates", width])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, shape)],
        [first, last],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, folder / "ranker.onnx")


def hybrid(folder: Path) -> BlendIndex:
    return BlendIndex(write_members(folder), 5, "scores", 60.0, (1,), ((1.0, 0.0), (0.5, 0.5)))


def ranker(folder: Path) -> RankingIndex:
    write_facts(folder)
    write_trees(folder)
    return RankingIndex(write_members(folder), 5, FEATURES)


def neural(folder: Path) -> RankingIndex:
    write_facts(folder)
    write_network(folder)
    return RankingIndex(write_members(folder), 5, FEATURES, RankingNetwork(("rows",), 10))


WRITERS: dict[str, Callable[[Path], Any]] = {"hybrid": hybrid, "ranker": ranker, "neural": neural}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("composites")
    return {
        name: write_bundle(root / name, "hybrid" if name == "hybrid" else "ranker", model=writer, golden=[])
        for name, writer in WRITERS.items()
    }


def test_a_short_history_is_the_table_s_and_a_long_one_everybody_s_too(written: dict[str, Path]) -> None:
    engine = Engine(Bundle.load(written["hybrid"]))
    short = engine.rank(Queries.from_histories([[0]]), 3, exclude_seen=True)
    assert short.items[0].tolist() == [1, 2, 3]  # B .5, C .25 of the table, then what is popular: D
    assert short.filled[0].tolist() == [False, False, True]
    # of A, B, C the table names A and B .5, C .25: shares 1, 1, .5; of the crowd's list B D C E A the cut is A's 1
    longer = engine.rank(Queries.from_histories([[0, 1, 2]]), 5, exclude_seen=False)
    assert longer.items[0, :2].tolist() == [1, 0]
    assert longer.scores[0, :2].tolist() == [1.0, 0.5]


@pytest.mark.parametrize("name", ["ranker", "neural"])
def test_candidates_are_ranked_by_their_features(written: dict[str, Path], name: str) -> None:
    engine = Engine(Bundle.load(written[name]))
    queries = Queries.from_histories([[0, 1, 1], [3]], event_names=("view", "purchase"))
    lists = engine.rank(queries, 3, exclude_seen=False)
    expected = {"ranker": [[2.0, 1.0, 0.25], [1.0, 0.25, 0.25]], "neural": [[2, 1, 0], [1, 0, 0]]}[name]
    assert lists.items.tolist() == [[1, 0, 2], [3, 0, 1]]
    assert lists.scores.tolist() == expected


def manifest(**changes: Any) -> Callable[[Path], None]:
    """Change the index of the manifest, in JSON."""

    def spoil(folder: Path) -> None:
        said = json.loads((folder / FILE_NAME).read_text())
        said["index"].update(changes)
        (folder / FILE_NAME).write_text(json.dumps(said))

    return spoil


def trees(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: write_trees(folder, **changes)


def facts(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: write_facts(folder, **changes)


def chain(leaves: int) -> dict[str, NDArray[Any]]:
    """One tree, in which each node's left child is a leaf."""
    nodes = np.arange(leaves - 1, dtype=np.int32)
    return {
        "roots": np.zeros(1, np.int32),
        "feature": nodes * 0,
        "threshold": np.zeros(leaves - 1),
        "left": -1 - nodes,
        "right": np.append(nodes[1:], -leaves).astype(np.int32),
        "value": np.zeros(leaves),
    }


def ints(*numbers: int) -> NDArray[np.int32]:
    return np.array(numbers, np.int32)


@pytest.mark.parametrize(
    ("name", "spoil", "says"),
    [
        ("hybrid", manifest(weights=[[1, 0]]), "weights must be 2 rows of 2"),
        ("hybrid", manifest(weights=[[1, 0], [1, 0, 1]]), "weights must be 2 rows of 2"),
        ("hybrid", manifest(weights=[[1, -1], [1, 0]]), "at `$.index.weights[0][1]`"),
        ("hybrid", manifest(members=[]), "at `$.index.members`"),
        ("hybrid", manifest(type="ranking"), "$.index"),
        ("hybrid", lambda folder: (folder / "table" / "neighbours.npz").unlink(), "table/neighbours.npz"),
        ("hybrid", lambda folder: shutil.rmtree(folder / "crowd"), "crowd/fallback.npz"),
        ("hybrid", lambda folder: write_neighbours(folder / "table", ROWS, 5), "table/neighbours.npz: 6 offsets for 6"),
        ("ranker", lambda folder: (folder / "trees.npz").unlink(), "trees.npz"),
        ("ranker", manifest(features=9), "features outside 0 … 8|40 features where the manifest says 9"),
        ("ranker", manifest(network={"inputs": ["rows"], "max_length": 9}), "files does not list ranker.onnx"),
        ("ranker", trees(left=ints(-1, 7)), "trees.npz: children outside 2 nodes and 4 leaves"),
        ("ranker", trees(right=ints(1, -9)), "trees.npz: children outside 2 nodes and 4 leaves"),
        ("ranker", trees(roots=ints(0, 5)), "trees.npz: children outside 2 nodes and 4 leaves"),
        ("ranker", trees(right=ints(1, 0)), "trees.npz: a node comes before its parent"),
        ("ranker", trees(roots=ints(0, 1)), "trees.npz: a node or a leaf has two parents"),
        ("ranker", trees(feature=ints(0, FEATURES)), f"trees.npz: features outside 0 … {FEATURES - 1}"),
        ("ranker", trees(feature=ints(0)), "trees.npz: feature, threshold, left and right are not of one length"),
        ("ranker", trees(threshold=np.array([0.5, np.nan])), "trees.npz: thresholds and values are not all finite"),
        ("ranker", trees(value=np.array([0, 1, np.inf, 0])), "trees.npz: thresholds and values are not all finite"),
        ("ranker", trees(value=np.zeros(4, np.float32)), "trees.npz: value is float32 [4], not float64"),
        ("ranker", trees(**chain(65)), "trees.npz: a tree of 65 leaves or more; 64 is the most"),
        ("ranker", trees(**chain(5_000)), "trees.npz: a tree of 65 leaves or more; 64 is the most"),
        ("ranker", facts(items=5), "facts.npz: buyers is not of the 6 items"),
        ("ranker", facts(price=np.ones(3, np.float32)), "facts.npz: price is not of the 6 items"),
        ("ranker", facts(gap=np.full(6, np.inf, np.float32)), "facts.npz: gap is not all finite"),
        ("ranker", facts(popularity=np.ones((6, 2), np.float32)), "facts.npz: popularity is not of 3 half-lives"),
        ("neural", lambda folder: (folder / "ranker.onnx").write_bytes(b"no graph"), "ranker.onnx: "),
        ("neural", lambda folder: write_network(folder, width=FEATURES + 1), "ranker.onnx: "),
        (
            "neural",
            lambda folder: write_network(folder, scores="all"),
            "ranker.onnx: all the input arrays must have same number of dim",
        ),
        ("neural", manifest(network={"inputs": ["rows", "items"], "max_length": 9}), "ranker.onnx: takes ['rows']"),
        ("neural", manifest(network={"inputs": ["pixels"], "max_length": 9}), "at `$.index.network.inputs[0]`"),
    ],
)
def test_parts_that_do_not_fit_are_refused_in_one_line(
    written: dict[str, Path], tmp_path: Path, name: str, spoil: Callable[[Path], Any], says: str
) -> None:
    folder = shutil.copytree(written[name], tmp_path / name)
    sealed = read_manifest(folder)
    before = (folder / FILE_NAME).read_bytes()
    spoil(folder)
    if (folder / FILE_NAME).read_bytes() == before:
        seal(folder, sealed)  # its checksums are right, so that what is inside must be looked at
    with pytest.raises(BundleError) as refused:
        Bundle.load(folder)
    assert "\n" not in str(refused.value)
    assert any(part in str(refused.value) for part in says.split("|"))


def test_a_changed_byte_of_a_member_is_found(written: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(written["ranker"], tmp_path / "ranker")
    path = folder / "table" / "neighbours.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BundleError, match=r"table/neighbours\.npz: damaged"):
        Bundle.load(folder)

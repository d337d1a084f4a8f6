"""A compiled encoder trains as an eager one does. The graphs are run as they were traced, which needs no compiler."""

from functools import partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from recsys_lab.errors import ConfigError
from recsys_lab.models.sasrec import SASRec
from recsys_lab.nn.checkpoint import FILE
from recsys_lab.nn.recipe import Recipe
from recsys_lab.nn.training import train
from tests.models.conformance import ask, checkerboard

SMALL = {"width": 8, "blocks": 1, "max_history": 4, "max_epochs": 2, "dropout": 0.0}  # fewer graphs to trace
COMPILED = {"trainer": {"compile": True}}


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[torch.fx.GraphModule]:
    """The graphs that were handed to the backend."""
    graphs = []

    def backend(graph: torch.fx.GraphModule, _inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    monkeypatch.setenv("CXX", "true")  # any command: it is never called
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend=backend))
    return graphs


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch hides it from printing, not from pytest
def test_it_learns_resumes_saves_and_refits_the_same(traced: list[torch.fx.GraphModule], tmp_path: Path) -> None:
    expected = SASRec(**SMALL).fit(checkerboard())
    assert not traced
    first = SASRec(**{**SMALL, **COMPILED, "max_epochs": 1})
    first.folder = tmp_path
    first.fit(checkerboard())
    assert traced
    assert (tmp_path / FILE).is_file()
    model = SASRec(**SMALL, **COMPILED)
    model.folder = tmp_path
    model.fit(checkerboard())  # the second epoch alone
    assert [entry["epoch"] for entry in model.history] == [1, 2]
    assert model.network.state_dict().keys() == expected.network.state_dict().keys()
    np.testing.assert_allclose(model.item_vectors(), expected.item_vectors(), atol=1e-6)

    model.save(tmp_path / "model")
    loaded, queries, before = SASRec.load(tmp_path / "model"), ask([[0, 2, 4], [1]]), len(traced)
    np.testing.assert_array_equal(loaded.score(queries), model.score(queries))
    assert len(traced) == before, "answering, which is what is exported, is not compiled"
    np.testing.assert_array_equal(model.refit(checkerboard()).score(queries), model.score(queries))


def test_a_missing_compiler_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=r"trainer\.compile.*no-such-compiler"):
        SASRec(**SMALL, **COMPILED).fit(checkerboard())


def test_yes_or_no() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.compile"):
        train(nn.Linear(1, 1), [], Recipe(trainer={"compile": "fast"}))

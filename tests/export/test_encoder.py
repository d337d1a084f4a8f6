"""From torch to ONNX, and the check that both say the same."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from recsys_lab.errors import ExportError, ParityError
from recsys_lab.export.encoder import export_encoder
from recsys_lab.nn.histories import inside
from serving_min.queries import Queries
from tests.export.planted import MaskedMean

VECTORS = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
QUERIES = Queries.from_histories(
    [[1, 2, 3, 4, 5], [6], []], times=[[1, 2, 3, 4, 5], [6], []], now=[9, 9, 9], attributes=np.ones((3, 2), np.int32)
)


class AllInputs(nn.Module):
    """Takes everything that a query has."""

    inputs = ("items", "events", "ages", "places", "cells", "now", "attributes")

    def __init__(self) -> None:
        super().__init__()
        self.kinds = nn.Embedding(3, 4)

    def forward(
        self,
        items: Tensor,
        events: Tensor,
        ages: Tensor,
        places: Tensor,
        cells: Tensor,
        now: Tensor,
        attributes: Tensor,
    ) -> Tensor:
        of_events = self.kinds(events) * torch.exp(-ages)[:, None] + items[:, None] + (cells % 2)[:, None]
        total = (of_events[inside(places)] * (places >= 0)[..., None]).sum(1)
        return total + attributes.sum(1, keepdim=True) + (now % 7).unsqueeze(-1)


class CountsRows(MaskedMean):
    """Bakes the example's batch size into the graph."""

    def forward(self, items: Tensor, places: Tensor) -> Tensor:
        return super().forward(items, places) + float(int(places.shape[0]))


class LooksAtValues(MaskedMean):
    """Decides by what is in the batch, which a graph cannot."""

    def forward(self, items: Tensor, places: Tensor) -> Tensor:
        return super().forward(items if bool(items[0] > 3) else items + 0, places)


def test_any_batch_and_any_length(tmp_path: Path) -> None:
    path = tmp_path / "encoder.onnx"
    module = MaskedMean(VECTORS)
    assert export_encoder(module, QUERIES, 3, path) <= 1e-6
    assert [entry.name for entry in tmp_path.iterdir()] == ["encoder.onnx"]
    assert {opset.domain: opset.version for opset in onnx.load(path).opset_import}[""] == 20
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for lengths in ([1], [9], [2] * 7, [7, 40, 1]):
        histories = [np.random.default_rng(length).integers(0, 30, length).tolist() for length in lengths]
        packed = Queries.from_histories(histories).packed(module.inputs)
        expected = module(*map(torch.from_numpy, packed.values())).numpy()
        np.testing.assert_allclose(session.run(["query"], packed)[0], expected, rtol=1e-5, atol=1e-6)


def test_every_input_of_a_query(tmp_path: Path) -> None:
    assert export_encoder(AllInputs(), QUERIES, 3, tmp_path / "encoder.onnx") <= 1e-6


def test_a_constant_batch_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="fixes the history of places"):
        export_encoder(CountsRows(VECTORS), QUERIES, 3, tmp_path / "encoder.onnx")


def test_what_cannot_be_traced_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot be written as ONNX"):
        export_encoder(LooksAtValues(VECTORS), QUERIES, 3, tmp_path / "encoder.onnx")


def test_a_graph_that_answers_otherwise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = torch.onnx.export
    other = MaskedMean(VECTORS * 1.001).eval()
    monkeypatch.setattr(torch.onnx, "export", lambda _, *args, **more: written(other, *args, **more))
    with pytest.raises(ParityError, match=r"differs from torch by 0\.00"):
        export_encoder(MaskedMean(VECTORS), QUERIES, 3, tmp_path / "encoder.onnx")


def test_half_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"vectors.weight is torch.float16"):
        export_encoder(MaskedMean(VECTORS).half(), QUERIES, 3, tmp_path / "encoder.onnx")

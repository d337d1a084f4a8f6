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
from serving_min.queries import Queries
from tests.export.planted import MaskedMean

VECTORS = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
QUERIES = Queries.from_histories(
    [[1, 2, 3, 4, 5], [6], []], times=[[1, 2, 3, 4, 5], [6], []], now=[9, 9, 9], attributes=np.ones((3, 2), np.int32)
)


class AllInputs(nn.Module):
    """Takes everything that a query has."""

    inputs = ("items", "events", "ages", "now", "attributes")

    def __init__(self) -> None:
        super().__init__()
        self.kinds = nn.Embedding(3, 4)

    def forward(self, items: Tensor, events: Tensor, ages: Tensor, now: Tensor, attributes: Tensor) -> Tensor:
        real = (items >= 0).unsqueeze(-1)
        total = (self.kinds(events.clamp(min=0)) * real * torch.exp(-ages).unsqueeze(-1)).sum(1)
        return total + attributes.sum(1, keepdim=True) + (now % 7).unsqueeze(-1)


class CountsRows(MaskedMean):
    """Bakes the example's batch size into the graph."""

    def forward(self, items: Tensor) -> Tensor:
        return super().forward(items) + float(int(items.shape[0]))


class LooksAtValues(MaskedMean):
    """Decides by what is in the batch, which a graph cannot."""

    def forward(self, items: Tensor) -> Tensor:
        return super().forward(items) if bool(items[0, 0] > 3) else super().forward(items + 0)


def test_any_batch_and_any_length(tmp_path: Path) -> None:
    path = tmp_path / "encoder.onnx"
    module = MaskedMean(VECTORS, 3)
    assert export_encoder(module, QUERIES, 3, path) <= 1e-6
    assert [entry.name for entry in tmp_path.iterdir()] == ["encoder.onnx"]
    assert {opset.domain: opset.version for opset in onnx.load(path).opset_import}[""] == 20
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for rows, width in ((1, 1), (1, 9), (7, 2), (7, 7)):
        items = np.random.default_rng(rows * width).integers(-1, 30, (rows, width))
        expected = module(torch.from_numpy(items)).numpy()
        np.testing.assert_allclose(session.run(["query"], {"items": items})[0], expected, rtol=1e-5, atol=1e-6)


def test_every_input_of_a_query(tmp_path: Path) -> None:
    assert export_encoder(AllInputs(), QUERIES, 3, tmp_path / "encoder.onnx") <= 1e-6


def test_a_constant_batch_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="fixes the batch of items"):
        export_encoder(CountsRows(VECTORS, 3), QUERIES, 3, tmp_path / "encoder.onnx")


def test_what_cannot_be_traced_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot be written as ONNX"):
        export_encoder(LooksAtValues(VECTORS, 3), QUERIES, 3, tmp_path / "encoder.onnx")


def test_a_graph_that_answers_otherwise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = torch.onnx.export
    other = MaskedMean(VECTORS * 1.001, 3).eval()
    monkeypatch.setattr(torch.onnx, "export", lambda _, *args, **more: written(other, *args, **more))
    with pytest.raises(ParityError, match=r"differs from torch by 0\.00"):
        export_encoder(MaskedMean(VECTORS, 3), QUERIES, 3, tmp_path / "encoder.onnx")


def test_half_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"vectors.weight is torch.float16"):
        export_encoder(MaskedMean(VECTORS, 3).half(), QUERIES, 3, tmp_path / "encoder.onnx")

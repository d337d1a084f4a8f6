"""A sentence embedding model of four words, whose vectors are known."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from recsys_lab.data.text_vectors import text_vectors
from recsys_lab.errors import ConfigError

VECTORS = np.array([[9, 9], [1, 0], [0, 1], [3, 4]], np.float32)  # [PAD], red, green, tea


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Each token's vector, whatever stands beside it: tokens [B, T] → [B, T, 2]."""
    table = numpy_helper.from_array(VECTORS, "table")
    tokens = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["B", "T"])
    out = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["B", "T", 2])
    graph = helper.make_graph([helper.make_node("Gather", ["table", "input_ids"], [out.name])], "g", [tokens], [out])
    graph.initializer.append(table)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    (tmp_path / "onnx").mkdir()
    onnx.save(model, tmp_path / "onnx/model.onnx")
    words = {"[PAD]": 0, "red": 1, "green": 2, "tea": 3}
    described = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "[PAD]"},
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(described))
    return tmp_path


def test_a_text_is_the_mean_of_its_tokens(folder: Path) -> None:
    """Padding, which the shorter text of a batch needs, counts for nothing; a blank text is zeros."""
    pytest.importorskip("tokenizers", reason="the optional package tokenizers is not installed")
    found = text_vectors(["Red green", "", "tea"], folder)
    np.testing.assert_allclose(found, [[np.sqrt(0.5)] * 2, [0, 0], [0.6, 0.8]], rtol=1e-6)
    assert text_vectors(["", " "], folder).shape[0] == 2


@pytest.mark.parametrize("name", ["tokenizer.json", "onnx/model.onnx"])
def test_a_folder_that_lacks_a_part_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=r"text_model: .* has no tokenizer\.json and model\.onnx"):
        text_vectors(["tea"], folder)

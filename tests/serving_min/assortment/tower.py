"""A bundle with an item tower: red items are [2.5, 0], blue ones [0, 2.5], others zeros."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper

from serving_min.content import ContentSpace
from serving_min.manifest import ItemEncoder, read_manifest
from serving_min.new_items import ItemReader
from tests.serving_min.handmade import seal, write_bundle

SPACE = ContentSpace({}, (), (), None, 1.0, 1.0, 1.0)


def write_bundle_with_tower(folder: Path, *, text_vector: int = 0) -> Path:
    write_bundle(folder, "vector")
    reader = ItemReader(SPACE, ("", "red", "blue"), ("",), None, text_vector=text_vector)
    (folder / "item_features.json").write_bytes(msgspec.json.encode(reader))
    table = np.array([[0, 0], [2.5, 0], [0, 2.5]], np.float32)
    nodes = [
        helper.make_node("Gather", ["labels", "first"], ["category"], axis=1),
        helper.make_node("Gather", ["table", "category"], ["item"]),
    ]
    inputs = [("columns", TensorProto.INT64), ("values", TensorProto.FLOAT), ("labels", TensorProto.INT64)]
    if text_vector:
        inputs.append(("vectors", TensorProto.FLOAT))
    graph = helper.make_graph(
        nodes,
        "tower",
        [helper.make_tensor_value_info(name, kind, ["batch", name]) for name, kind in inputs],
        [helper.make_tensor_value_info("item", TensorProto.FLOAT, ["batch", 2])],
        [
            onnx.numpy_helper.from_array(table, "table"),
            onnx.numpy_helper.from_array(np.array(0, np.int64), "first"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, folder / "items.onnx")
    seal(folder, msgspec.structs.replace(read_manifest(folder), item_encoder=ItemEncoder(1, 0.0)))
    return folder

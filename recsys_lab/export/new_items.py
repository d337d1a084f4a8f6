"""The item tower of a model that can place new items, from torch to ONNX."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from recsys_lab.data.features import entries
from recsys_lab.errors import ParityError
from recsys_lab.export.encoder import TOLERANCE, open_session, write_onnx
from recsys_lab.models.base import VectorModel
from serving_min.manifest import ItemEncoder
from serving_min.new_items import NewItems

CHECKED = 512  # of the catalogue's entries
AXES = (("batch", "width"), ("batch", "width"), ("batch",))


def write_new_items(model: VectorModel, folder: Path) -> ItemEncoder | None:
    """``items.onnx`` and ``item_features.json``; None, and no file, for a model that cannot place new items.

    Up to 512 entries of the catalogue, as new items, must get in onnxruntime what torch gives them, and those
    of them without an id the very vectors that the model serves. Raises ParityError when one does not.
    """
    import torch

    found = model.new_items()
    if found is None:
        return None
    module, reader, without_id = found
    first = np.isin(np.arange(len(model.catalogue)), without_id)
    order = np.argsort(~first, kind="stable")[:CHECKED]
    listed = entries(model.catalogue)
    inputs = reader.read([listed[code] for code in order])
    # batch and width must differ from each other and from 0 and 1, which the exporter takes for constants
    example = reader.read([max(listed, key=lambda entry: len(reader.content.row(entry)))] * 3)
    wide = {name: np.pad(array, ((0, 0), (0, 4))) if name != "labels" else array for name, array in example.items()}
    write_onnx(module.eval(), wide, AXES, "item", folder / "items.onnx")
    (folder / "item_features.json").write_bytes(msgspec.json.encode(reader))

    vectors = NewItems(reader, open_session(folder / "items.onnx")).vectors([listed[code] for code in order])
    with torch.inference_mode():
        expected = module(*map(torch.from_numpy, inputs.values())).numpy()
    untouched = first[order]
    served = model.item_vectors()[order[untouched]]
    worst = max(
        float(np.abs(vectors - expected).max(initial=0)), float(np.abs(vectors[untouched] - served).max(initial=0))
    )
    if not worst <= TOLERANCE:
        raise ParityError(
            f"items.onnx: a vector differs from the model's by {worst:.2g}; at most {TOLERANCE:g} is allowed"
        )
    return ItemEncoder(items=len(order), worst_difference=worst)

"""The item tower of a model that can place new items, from torch to ONNX."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from recsys_lab.data.features import entries
from recsys_lab.errors import ParityError
from recsys_lab.export.encoder import TOLERANCE, open_session, write_onnx
from recsys_lab.models.base import VectorModel
from serving_min.content import Entry
from serving_min.manifest import ItemEncoder
from serving_min.new_items import NewItems

CHECKED = 512  # of the catalogue's entries
AXES = {"columns": ("batch", "width"), "values": ("batch", "width"), "labels": ("batch",), "vectors": ("batch",)}


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
    order = np.argsort(~first, kind="stable")[:CHECKED].astype(np.int32)
    listed = _with_vectors(entries(model.catalogue.take(order)), module.vectors[order].numpy(), reader.text_vector)
    inputs = reader.read(listed)
    # batch and width must differ from each other and from 0 and 1, which the exporter takes for constants
    example = reader.read([max(listed, key=lambda entry: len(reader.content.row(entry)))] * 3)
    axes = [AXES[name] for name in example]
    wide = {name: np.pad(a, ((0, 0), (0, 4))) if "width" in AXES[name] else a for name, a in example.items()}
    write_onnx(module.eval(), wide, axes, "item", folder / "items.onnx")
    (folder / "item_features.json").write_bytes(msgspec.json.encode(reader))

    vectors = NewItems(reader, open_session(folder / "items.onnx")).vectors(listed)
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


def _with_vectors(listed: list[Entry], vectors: NDArray[np.float32], n_text: int) -> list[Entry]:
    """The entries as a shop would send them, the first ``n_text`` of their ``vectors`` [B, V] being those of texts."""
    return [
        replace(entry, text_vector=tuple(row[:n_text]), image_vector=tuple(row[n_text:]))
        for entry, row in zip(listed, vectors.tolist(), strict=True)
    ]

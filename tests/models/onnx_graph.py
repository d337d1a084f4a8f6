"""Run a query module as the server will: exported to ONNX, with batch and length free."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray


def exported_run(module: Any, folder: Path, queries: list[NDArray[np.int64]]) -> list[NDArray[np.float32]]:
    """Export a module of ``items`` alone, then answer each padded batch with ONNX Runtime."""
    example = torch.tensor([[-1, 0, 1], [0, 1, 1]])
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    path = folder / "encoder.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter deprecates parts of itself
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            opset_version=18,
            input_names=["items"],
            output_names=["query"],
            dynamic_shapes=(free,),
            verbose=False,
        )
    program.save(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [session.run(["query"], {"items": items})[0] for items in queries]

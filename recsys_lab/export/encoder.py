"""The query module of a vector model, from torch to ONNX."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recsys_lab.errors import ExportError, ParityError
from recsys_lab.export.probes import probes
from serving_min.queries import Queries

if TYPE_CHECKING:
    from torch import nn

    from recsys_lab.nn.query import QueryModule

OPSET = 20
TOLERANCE = 1e-4  # of the largest number in the query vectors
LARGEST = 2_000_000_000  # bytes; a protobuf message ends at 2 GiB


def export_encoder(
    module: QueryModule,
    queries: Queries,
    max_history: int,
    path: Path,
    vectors: NDArray[np.float32] | None = None,
) -> float:
    """Write ``module`` to ``path`` as one ONNX file with free batch size and length.

    A module that takes ``vectors`` is fed with the rows of the given ones [I, D].

    Returns the largest difference between its vectors in onnxruntime and in torch, relative to
    the largest number in them, over ``queries`` (a few are used) and the histories of
    ``probes``: one event, more than ``max_history``. Raises ParityError when that exceeds
    1e-4, ExportError when the module cannot be exported.
    """
    module = module.eval()
    _must_fit(module)
    asked = {"as they are": queries.take(np.arange(min(len(queries), 32))), **probes(queries, max_history)}
    histories = {name: _known(some, max_history) for name, some in asked.items() if some.lengths.any()}
    table = np.zeros((0, 0), np.float32) if vectors is None else vectors
    _write(module, histories["repeated events"], table, path)
    session = open_session(path)
    for node in session.get_inputs():
        fixed = [axis for axis, size in zip(_axes(node.name), node.shape, strict=False) if not isinstance(size, str)]
        if fixed:
            raise ExportError(
                f"query_module: fixes the {fixed[0]} of {node.name} to {node.shape}; use no Python number made from it"
            )
    encoded = {name: _both(module, session, batch, table) for name, batch in histories.items()}
    scale = max(float(np.abs(expected).max()) for expected, _ in encoded.values()) or 1.0
    worst = 0.0
    for name, (expected, got) in encoded.items():
        difference = float(np.abs(got - expected).max()) / scale
        if not difference <= TOLERANCE:
            raise ParityError(
                f"encoder.onnx, {name}: differs from torch by {difference:.2g} of the largest value "
                f"({scale:.3g}); at most {TOLERANCE:g} is allowed"
            )
        worst = max(worst, difference)
    return worst


def _both(
    module: QueryModule, session: Any, queries: Queries, table: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The vectors of all ``queries`` and once more of the first alone, in torch and in onnxruntime."""
    import torch

    expected, got = [], []
    for some in (queries, queries.take(np.arange(1))):
        inputs = _inputs(module, some, table)
        with torch.inference_mode():
            expected.append(module(*(torch.from_numpy(array) for array in inputs.values())).numpy())
        got.append(session.run(["query"], inputs)[0])
        if got[-1].shape != expected[-1].shape or got[-1].dtype != np.float32:
            raise ExportError(
                f"query_module: ONNX gives {got[-1].dtype} {got[-1].shape} and torch {expected[-1].dtype} "
                f"{expected[-1].shape}; both must be float32 [batch, D]"
            )
    return np.concatenate(expected), np.concatenate(got)


def _must_fit(module: QueryModule) -> None:
    import torch

    weights = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for name, weight in weights.items():
        if weight.is_floating_point() and weight.dtype != torch.float32:
            raise ExportError(f"query_module: {name} is {weight.dtype}; the bundle holds float32, call .float() on it")
    size = sum(weight.nbytes for weight in weights.values())
    if size > LARGEST:
        raise ExportError(
            f"query_module: {size:,} bytes of weights; one ONNX file holds {LARGEST:,}: use a smaller one"
        )


def _write(module: QueryModule, example: Queries, table: NDArray[np.float32], path: Path) -> None:
    # what is free must not be 0 or 1, nor equal to something else that is free: the exporter takes that for a constant
    inputs = _inputs(module, example.take(np.arange(2) % len(example)), table)
    write_onnx(module, inputs, [_axes(name) for name in module.inputs], "query", path)


def write_onnx(
    module: nn.Module, inputs: dict[str, NDArray[Any]], axes: Sequence[tuple[str, ...]], output: str, path: Path
) -> None:
    """Write ``module`` with the given example ``inputs``, whose leading axes are free under the names in ``axes``.

    Raises ExportError when that cannot be done.
    """
    import onnx
    import torch

    dimensions = {axis: torch.export.Dim(axis) for names in axes for axis in names}
    free = [dict(enumerate(dimensions[axis] for axis in names)) for names in axes]
    try:
        with _quiet_exporter():
            torch.onnx.export(
                module,
                tuple(torch.from_numpy(array) for array in inputs.values()),
                path,
                dynamo=True,
                input_names=list(inputs),
                output_names=[output],
                dynamic_shapes=tuple(free),
                opset_version=OPSET,
                external_data=False,
                verbose=False,
            )
        onnx.checker.check_model(path, full_check=True)
    except (torch.onnx.OnnxExporterError, onnx.checker.ValidationError) as error:
        raise ExportError(f"{output} module {type(module).__qualname__}: cannot be written as ONNX: {error}") from error


def _axes(name: str) -> tuple[str, ...]:
    """What is free in an input of ``Queries.packed``."""
    if name == "places":
        return ("history", "length")
    return ("history",) if name in ("now", "attributes") else ("event",)


def open_session(path: Path) -> Any:
    """The graph, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _known(queries: Queries, max_history: int) -> Queries:
    """What an encoder may be asked: no empty history, and none beyond ``max_history``."""
    return queries.take(np.flatnonzero(queries.lengths)).last(max_history)


def _inputs(module: QueryModule, queries: Queries, table: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    packed = queries.packed(module.inputs)
    packed["vectors"] = table[queries.items] if "vectors" in module.inputs else table
    return {name: packed[name] for name in module.inputs}


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Without what the exporter says of every model, and nothing else."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")  # "torchvision is not installed"
    level = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"# The axis name: \w+ will not be used", UserWarning)
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
        try:
            yield
        finally:
            log.setLevel(level)

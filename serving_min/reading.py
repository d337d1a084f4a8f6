"""Files of a bundle, of which nothing is believed before it is checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving_min.errors import BundleError

Arrays = dict[str, NDArray[Any]]
Shapes = dict[str, tuple[type, int]]


def open_session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised anyway
    # from memory and with nowhere to look: weights in another file would be in no checksum
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path))
    return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])


def read_arrays(path: Path, expected: Shapes) -> Arrays:
    """The named arrays of an npz file, each of the dtype and number of dimensions expected."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:  # it would not close what is no npz
        missing = expected.keys() - set(stored.files)
        must(not missing, f"no array {', '.join(sorted(missing))}")
        unpacked = sum(stored.zip.getinfo(f"{name}.npy").file_size for name in expected)
        must(unpacked <= path.stat().st_size, f"compressed, to be {unpacked:,} bytes; arrays are stored as they are")
        found = {name: stored[name] for name in expected}
    for name, (dtype, dimensions) in expected.items():
        array = found[name]
        must(
            array.dtype == dtype and array.ndim == dimensions,
            f"{name} is {array.dtype} {list(array.shape)}, not {np.dtype(dtype)} of {dimensions} dimension(s)",
        )
    return found


def must_be_codes(codes: NDArray[np.int32], n_items: int) -> None:
    must(not len(codes) or (codes.min() >= 0 and codes.max() < n_items), f"item codes outside 0 … {n_items - 1}")


class _WrongError(Exception):
    """What is wrong with a file; ``_reading`` adds which."""


def must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _WrongError(otherwise)


@contextmanager
def reading(path: Path) -> Iterator[Path]:
    """Whatever a parser says about a file becomes one line about that file."""
    try:
        yield path
    except BundleError:
        raise
    except Exception as error:
        what = str(error).strip().partition("\n")[0] or type(error).__name__
        raise BundleError(f"{path}: {what}") from error

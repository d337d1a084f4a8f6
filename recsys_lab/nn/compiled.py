"""Sequence encoders translated by ``torch.compile`` for the device that trains them."""

from __future__ import annotations

import os
import shutil
import sys

import torch
from torch import nn

from recsys_lab.errors import ConfigError
from recsys_lab.nn.encoder import SequenceEncoder


def compile_encoders(objective: nn.Module, device: torch.device) -> None:
    """In place, so weights keep their names; a module without a sequence encoder stays as it is.

    Only ``forward`` is compiled, which training alone calls: validation, serving and export ask ``latest``. Batches
    differ in length, so lengths are no constants. The loss stays as it is: it computes its own gradient.

    Raises ConfigError on a processor without a C++ compiler.
    """
    encoders = [module for module in objective.modules() if isinstance(module, SequenceEncoder)]
    if encoders and device.type == "cpu":
        compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")  # as torch looks for it
        if shutil.which(compiler) is None:
            raise ConfigError(
                f"trainer.compile: true needs the C++ compiler {compiler!r}, which is not here; "
                "install it, name another one in CXX, or use false"
            )
    for encoder in encoders:
        encoder.compile(dynamic=True)

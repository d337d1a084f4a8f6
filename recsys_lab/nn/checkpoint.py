"""What a training needs to go on after it was killed, in one safetensors file."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from recsys_lab.atomic import replacing
from recsys_lab.errors import ModelError

Tensors = dict[str, Tensor]
Curve = list[dict[str, float]]

FILE = "training.safetensors"
LARGEST_SHARE = 0.05  # of the time that may go into writing


@dataclass(frozen=True)
class Checkpoint:
    """The state after an epoch. Random draws need none: each epoch begins with a seed of its own."""

    curve: Curve
    weights: Tensors
    best: Tensors  # the weights of the best epoch, empty without validation
    optimizer: Tensors
    average: Tensors
    average_steps: int = 0

    def save(self, folder: Path) -> None:
        """Raises ModelError when it cannot be written."""
        tensors = {
            f"{part}/{name}": tensor.detach().cpu().contiguous()
            for part in ("weights", "best", "optimizer", "average")
            for name, tensor in getattr(self, part).items()
        }
        numbers = {"curve": self.curve, "average_steps": self.average_steps}
        try:
            with replacing(folder / FILE) as path:
                save_file(tensors, path, {"numbers": json.dumps(numbers)})
        except SafetensorError as error:  # the disk is full, for instance
            raise ModelError(f"{folder / FILE}: cannot be written: {error}") from error

    @classmethod
    def load(cls, folder: Path) -> Checkpoint | None:
        """What ``save`` wrote, or None. Raises ModelError for a damaged file."""
        if not (folder / FILE).is_file():
            return None
        parts: dict[str, Tensors] = {"weights": {}, "best": {}, "optimizer": {}, "average": {}}
        try:
            with safe_open(folder / FILE, framework="pt") as file:
                numbers = json.loads(file.metadata()["numbers"])
                for key in file.keys():  # noqa: SIM118 - not a dict
                    part, _, name = key.partition("/")
                    parts[part][name] = file.get_tensor(key)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{folder / FILE}: damaged ({error}); remove it to train from the start") from error
        return cls(curve=numbers["curve"], average_steps=numbers["average_steps"], **parts)


class Pace:
    """Says when a checkpoint is due: as often as writing takes no more than a twentieth of the time."""

    def __init__(self) -> None:
        self.due = 0.0

    def save(self, checkpoint: Checkpoint, folder: Path) -> None:
        began = time.perf_counter()
        checkpoint.save(folder)
        ended = time.perf_counter()
        self.due = ended + (ended - began) / LARGEST_SHARE

    @property
    def is_due(self) -> bool:
        return time.perf_counter() >= self.due


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    """Its state by ``<number of the parameter>/<name>``."""
    state = optimizer.state_dict()["state"]
    return {f"{index}/{name}": tensor for index, one in state.items() for name, tensor in one.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    state: dict[int, Tensors] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition("/")
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})

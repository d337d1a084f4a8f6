"""Training in several processes of one machine: how the first starts the others, and how they join it.

The others are plain processes that are sent what to train, not second runs of the user's program: so
results are written once, and it works from a script or a notebook as from the command line.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment, find_free_network_port

from recsys_lab.errors import ModelError, RecsysLabError

START = "from recsys_lab.nn.peers import join; join()"
READY = b"ready\n"
GRACE = 30  # seconds in which a process that failed has ended


class Place(LightningEnvironment):
    """A process's number among those of one training, and where the first listens for the others."""

    def __init__(self, rank: int, port: int) -> None:
        super().__init__()
        self._rank = rank
        self._main_port = port

    @classmethod
    def first(cls) -> Place:
        return cls(0, find_free_network_port())

    @property
    def creates_processes_externally(self) -> bool:
        return True  # Lightning need not start any

    def local_rank(self) -> int:
        return self._rank

    def node_rank(self) -> int:
        return 0


@contextmanager
def beside(place: Place, trainer: pl.Trainer, work: tuple[Any, ...]) -> Iterator[None]:
    """Meanwhile the other processes train ``work``, if the trainer wants any and this is the first.

    Raises ModelError when one of them cannot start, or fails.
    """
    if trainer.world_size == 1 or place.local_rank() > 0:
        yield
        return
    threads = torch.get_num_threads()
    each = max(1, threads // trainer.world_size) if trainer.strategy.root_device.type == "cpu" else threads
    others = [
        _start({"rank": rank, "port": place.main_port, "threads": each, "work": work})
        for rank in range(1, trainer.world_size)
    ]
    try:
        _check([other.stdout is not None and other.stdout.readline() == READY for other in others])
        torch.set_num_threads(each)
        try:
            yield
        except RuntimeError as error:  # what gloo and NCCL raise when somebody is gone
            _check([_fine(other) for other in others], error)
            raise
    finally:
        torch.set_num_threads(threads)
        for other in others:
            with other:
                other.kill()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def join() -> None:
    """What another process does: read its work from stdin, say so, train."""
    from recsys_lab.nn.training import train

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the first process's, which ends this one
    task = torch.load(io.BytesIO(sys.stdin.buffer.read()), weights_only=False)  # from the parent, never from disk
    torch.set_num_threads(task["threads"])
    objective, batches, recipe, validated, folder = task["work"]
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    os.dup2(2, 1)
    try:
        place = Place(task["rank"], task["port"])
        # the first process validates and says what it found
        train(objective, batches, recipe, validate=float if validated else None, folder=folder, place=place)
    except RecsysLabError as error:  # the first process meets it too
        sys.exit(str(error))


def _start(task: dict[str, Any]) -> subprocess.Popen[bytes]:
    sent = io.BytesIO()
    torch.save(task, sent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", START], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    _send(process.stdin, sent.getbuffer())
    return process


def _send(pipe: IO[bytes] | None, content: memoryview) -> None:
    if pipe is not None:
        with pipe:
            pipe.write(content)


def _fine(process: subprocess.Popen[bytes]) -> bool:
    try:
        return process.wait(GRACE) == 0
    except subprocess.TimeoutExpired:  # it is waiting for somebody else
        return True


def _check(fine: list[bool], cause: BaseException | None = None) -> None:
    if not all(fine):
        raise ModelError(f"trainer.devices: process {fine.index(False) + 1} failed; see above") from cause

"""The real server, in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Running:
    process: subprocess.Popen[str]
    address: str
    ready: str

    def terminate(self) -> int:
        """SIGTERM; its exit code."""
        self.process.terminate()
        return self.process.wait(20)


def command(
    *arguments: str | Path, python: str | Path = sys.executable, module: tuple[str, ...] = ("serving_min",)
) -> list[str]:
    return [str(python), "-m", *module, *map(str, arguments)]


@contextmanager
def running(
    bundle: Path,
    *options: str | Path,
    python: str | Path = sys.executable,
    folder: Path = ROOT,
    quiet: bool = True,
    module: tuple[str, ...] = ("serving_min",),
) -> Iterator[Running]:
    """A server on a free port, ready. ``folder`` is where ``serving_min`` lies. If it is not ``quiet``, what it
    complains of can be read, and must be. ``module`` is what starts it, with its first words."""
    words = command(bundle.resolve(), "--port", "0", *options, python=python, module=module)
    errors = None if quiet else subprocess.PIPE
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True)
    with process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            found = re.search(r"at (http://\S+)", ready)
            assert found, f"not ready: {ready!r}"
            yield Running(process, found[1], ready)
        finally:
            process.kill()

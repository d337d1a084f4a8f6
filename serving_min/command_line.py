"""Command lines that refuse a mistake as everything here does: one line, exit code 2."""

from __future__ import annotations

import argparse
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Of ``python -m module``; ``module`` begins the line."""

    def __init__(self, module: str, description: str) -> None:
        super().__init__(prog=f"python -m {module}", description=description)
        self.module = module

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.module}: {' '.join(message.split())}; --help shows what there is\n")

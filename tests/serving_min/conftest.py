from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from serving_min.bundle import Bundle
from serving_min.engine import Engine
from tests.serving_min.handmade import NOW, write_bundle


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small bundle of each kind; tests only read them."""
    folder = tmp_path_factory.mktemp("bundles")
    return {kind: write_bundle(folder / kind, kind) for kind in ("vector", "neighbours", "sessions", "static")}


@pytest.fixture(scope="session")
def engine(bundles: dict[str, Path]) -> Callable[[str], Engine]:
    """The engine of a bundle by kind, its clock stopped."""
    engines = {kind: Engine(Bundle.load(folder), clock=lambda: NOW) for kind, folder in bundles.items()}
    return engines.__getitem__

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving_min.bundle import Bundle
from serving_min.engine import Engine
from tests.serving_min.handmade import NOW, write_bundle
from tests.serving_min.state.stores import RedisServer

CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


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


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A running Redis of the test's own."""
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's browser, without a window; tests that need it skip where it is not installed.

    Of a module, since Playwright keeps an event loop running in this thread while it is open."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM)
        yield browser
        browser.close()

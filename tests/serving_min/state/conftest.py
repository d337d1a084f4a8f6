from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving_min.state.stores import RedisServer


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A running Redis of the test's own."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()

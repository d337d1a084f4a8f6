from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from serving_min.errors import StartError
from serving_min.sinks.segments import Segments, finished
from serving_min.sinks.upload import Upload
from tests.serving_min.sinks.test_segments import encoded, ids


def spool(folder: Path, *names: str) -> Path:
    for name in names:
        segments = Segments(folder)
        segments.append("events", encoded(name))
        segments.close()
    return folder


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"memory://{uuid4().hex}/log" if request.param == "memory" else f"file://{tmp_path}/there/log"


def there(url: str) -> list[str]:
    return sorted(file.open().read().decode() for file in fsspec.open_files(f"{url}/events/*/*.jsonl"))


def test_finished_segments_move_and_open_ones_stay(tmp_path: Path, url: str) -> None:
    folder = spool(tmp_path / "spool", "a", "b")
    writing = Segments(folder)
    writing.append("events", encoded("c"))
    expected = sorted(path.read_text() for path in finished(folder))
    upload = Upload(folder, url)
    assert upload.round() == 2
    assert there(url) == expected
    assert list(finished(folder)) == []
    writing.close()
    upload.start()
    asyncio.run(upload.stop())
    assert len(there(url)) == 3


def test_a_store_that_is_away_costs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = spool(tmp_path / "spool", "a"), f"memory://{uuid4().hex}/log"
    upload = Upload(folder, url, seconds=0.01)
    asked, real = threading.Semaphore(0), upload._store.makedirs

    def away(*_: object, **__: object) -> None:
        asked.release()
        raise ConnectionError("no route to host")

    monkeypatch.setattr(upload._store, "makedirs", away)
    with caplog.at_level(logging.ERROR):
        upload.start()
        assert all(asked.acquire(timeout=10) for _ in range(3))
        assert [ids(path) for path in finished(folder)] == ["a"]
        monkeypatch.setattr(upload._store, "makedirs", real)
        asyncio.run(upload.stop())
    assert len(there(url)) == 1
    assert [message for message in caplog.messages if "segments wait in" in message] == caplog.messages
    assert len(caplog.messages) == 1


def test_a_url_of_no_known_store() -> None:
    with pytest.raises(StartError, match="log url: 'carrier://pigeon' cannot be opened: Protocol not known: carrier"):
        Upload(Path(), "carrier://pigeon")

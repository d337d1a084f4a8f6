"""Finished segments to an object store: written there as a whole, removed here when they are."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

from serving_min.errors import StartError
from serving_min.sinks.segments import alone, finished

log = logging.getLogger(__name__)


class Upload:
    """Looks every ``seconds`` for finished segments in ``folder`` and moves them to the same place under ``url``.

    Any URL of fsspec will do whose package is installed (s3://, gs://, abfs://, file://). While the store is away
    segments stay where they are, and so do those that a crash left: what counts as lost is nothing.
    """

    def __init__(self, folder: Path, url: str, *, seconds: float = 30) -> None:
        try:
            import fsspec
        except ImportError as error:
            raise StartError("log url: the package fsspec is missing; pip install fsspec") from error
        try:
            self._store, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise StartError(f"log url: {url!r} cannot be opened: {error}") from error
        self.folder, self.url, self.seconds = folder, url, seconds
        self._away = False
        self._ended = Event()
        self._thread = Thread(target=self._work, name="upload", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        """After one last round: stop the sink before."""
        self._ended.set()
        await asyncio.to_thread(self._thread.join)

    def round(self) -> int:
        """Move what is finished; how many segments that were. Raises what the store raises."""
        moved = 0
        with alone(self.folder):
            for path in finished(self.folder):
                there = f"{self._root}/{path.relative_to(self.folder).as_posix()}"
                self._store.makedirs(there.rpartition("/")[0], exist_ok=True)
                with self._store.transaction, path.open("rb") as source, self._store.open(there, "wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
                path.unlink()
                moved += 1
        return moved

    def uploaded(self) -> list[str]:
        """The segments in the store."""
        found = self._store.find(self._root) if self._store.exists(self._root) else []
        return sorted(path for path in found if "/date=" in path)

    def access(self, there: str) -> tuple[Callable[[], bytes], Callable[[bytes], None]]:
        """How to read and how to replace what is ``there`` in the store; replaced by nothing, it goes."""

        def read() -> bytes:
            content: bytes = self._store.cat_file(there)
            return content

        def write(content: bytes) -> None:
            if not content:
                self._store.rm_file(there)
                return
            with self._store.transaction, self._store.open(there, "wb") as target:
                target.write(content)

        return read, write

    def _work(self) -> None:
        while True:
            last = self._ended.is_set()
            try:
                self.round()
            except Exception as error:  # each store has its own
                if not self._away:
                    log.error("event log: %s is away, segments wait in %s: %s", self.url, self.folder, error)
                self._away = True
            else:
                self._away = False
            if last:
                return
            self._ended.wait(self.seconds)

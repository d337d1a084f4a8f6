"""Where the server's log goes, as its settings say."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from serving_min.errors import StartError
from serving_min.sinks.personal import Personal
from serving_min.sinks.records import Line
from serving_min.sinks.segments import Format, Segments
from serving_min.sinks.sink import EventSink, Status, Target
from serving_min.sinks.upload import Upload

Place = Annotated[str, Meta(min_length=1)]
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class LogSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Events and answers are written to segments in ``folder``, and from there to ``url``, an object store's; to
    ``kafka``, HOST:PORT,HOST:PORT, as topics that begin with ``prefix``; or both. Nothing is set: nothing is written.
    ``librdkafka`` are settings of the Kafka client by its own names, such as security.protocol.

    A segment is finished after ``size`` bytes or ``seconds`` seconds. At most ``waiting`` lines queue, and what was
    written is safe after ``sync`` seconds. The line of an answer has up to ``candidates`` items with their scores, or
    those that the list was made from if they are more.
    """

    folder: Place | None = None
    url: Place | None = None
    format: Format = "jsonl"
    size: Positive = 64 << 20
    seconds: Seconds = 3_600
    kafka: Place | None = None
    prefix: str = "recsys."
    librdkafka: dict[str, str | int] = {}
    waiting: Positive = 50_000
    sync: Seconds = 1.0
    candidates: Annotated[int, Meta(ge=0, le=1_000)] = 50

    def open(self) -> EventLog:
        """Raises StartError when a folder cannot be written to, a URL is none, the Kafka client refuses a setting, or a
        package is missing."""
        if self.url is not None and self.folder is None:
            raise StartError("log: `url` needs `folder` too, where segments wait for the store")
        targets: list[Target] = []
        upload, personal = None, None
        if self.folder is not None:
            folder = Path(self.folder)
            try:
                targets.append(Segments(folder, size=self.size, seconds=self.seconds, format=self.format))
            except OSError as error:
                raise StartError(f"log: {folder}: {error.strerror or error}; choose a folder to write to") from error
            upload = None if self.url is None else Upload(folder, self.url)
            personal = Personal(folder, upload)
        if self.kafka is not None:
            from serving_min.sinks.kafka import Kafka

            targets.append(Kafka(self.kafka, prefix=self.prefix, settings=self.librdkafka))
        sink = EventSink(targets, waiting=self.waiting, sync_seconds=self.sync) if targets else None
        return EventLog(sink, upload, personal, self.candidates if targets else 0)


class Removed(Struct, frozen=True):
    """How many ``lines``; ``open`` segments of other processes may hold more until those finish them."""

    lines: int = 0
    open: int = 0


class EventLog:
    """The log as the rest of the server sees it: somewhere to write to, which may be nowhere. Up to ``candidates``
    of an answer are wanted in its line."""

    def __init__(
        self,
        sink: EventSink | None = None,
        upload: Upload | None = None,
        personal: Personal | None = None,
        candidates: int = 0,
    ) -> None:
        self.sink, self.upload, self.personal, self.candidates = sink, upload, personal, candidates

    @property
    def wanted(self) -> bool:
        """Whether anybody reads what is written."""
        return self.sink is not None

    def start(self) -> None:
        for part in (self.sink, self.upload):
            if part is not None:
                part.start()

    async def stop(self) -> None:
        """Everything written is safe, and uploaded if the store is there."""
        for part in (self.sink, self.upload):
            if part is not None:
                await part.stop()

    def write(self, line: Line) -> None:
        if self.sink is not None:
            self.sink.write(line)

    async def find(self, user: str) -> dict[str, list[dict[str, Any]]]:
        """What is written of a user, by stream, by other processes too; not what went to Kafka."""
        await self._settle()
        return {} if self.personal is None else await asyncio.to_thread(self.personal.find, user)

    async def remove(self, user: str) -> Removed:
        """Take out all that was written of a user; Kafka keeps what it has, as long as its topics are set to."""
        if self.personal is None:
            return Removed()
        before = self.personal.open()
        await self._settle()
        lines = await asyncio.to_thread(self.personal.remove, user)
        return Removed(lines, len(before & self.personal.open()))

    async def _settle(self) -> None:
        if self.sink is not None:
            await self.sink.settle()

    def status(self) -> Status:
        return Status(0, 0, 0) if self.sink is None else self.sink.status()

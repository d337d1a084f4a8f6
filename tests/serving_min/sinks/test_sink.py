from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Sequence

import pytest

from serving_min.sinks.sink import Encoded, EventSink
from tests.serving_min.sinks.lines import answer, event


class Kept:
    """A target that remembers; while ``gate`` is closed it hangs, and it fails on what names ``bad``."""

    def __init__(self, bad: str = "\0") -> None:
        self.bad = bad.encode()
        self.written = self.lost = 0
        self.lines: list[tuple[str, str, str]] = []
        self.synced = self.closed = 0
        self.gate = threading.Event()
        self.gate.set()

    def append(self, stream: str, lines: Sequence[Encoded]) -> None:
        self.gate.wait()
        for user, line in lines:
            if self.bad in line:
                raise OSError(28, "No space left on device")
            decoded = json.loads(line)
            self.lines.append((stream, user, decoded.get("id") or decoded["request_id"]))
            self.written += 1

    def sync(self) -> None:
        self.synced += 1

    def close(self) -> None:
        self.closed += 1


def test_every_line_reaches_every_target_in_order() -> None:
    targets = [Kept(), Kept()]
    sink = EventSink(targets)
    sink.start()
    assert all(sink.write(event(str(number), user=f"u{number % 3}")) for number in range(5_000))
    sink.write(answer("r1"))
    asyncio.run(sink.stop())
    expected = [("events", f"u{number % 3}", str(number)) for number in range(5_000)]
    for target in targets:
        assert [line for line in target.lines if line[0] == "events"] == expected
        assert ("answers", "ann", "r1") in target.lines
        assert target.closed == 1
    assert (sink.status().written, sink.status().waiting, sink.status().lost) == (5_001, 0, 0)


def test_a_target_that_hangs_costs_lines_and_no_time() -> None:
    target = Kept()
    target.gate.clear()
    sink = EventSink([target], waiting=10)
    sink.start()
    kept = [sink.write(event(str(number))) for number in range(3_000)]
    assert sum(kept) <= 3_000 - sink.status().lost
    assert not kept[-1]
    target.gate.set()
    asyncio.run(sink.stop())
    assert len(target.lines) == sum(kept)
    assert sink.status().lost == 3_000 - sum(kept)


def test_a_target_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    broken, sound = Kept(bad="X"), Kept()
    sink = EventSink([broken, sound])
    sink.start()
    for number in range(20):
        sink.write(event(str(number), "X"))
    with caplog.at_level(logging.ERROR):
        asyncio.run(sink.stop())
    assert (len(sound.lines), broken.lines) == (20, [])
    assert (sink.status().written, sink.status().lost) == (0, 20), "what one target lacks is not written"
    assert [message for message in caplog.messages if "No space left" in message] == [
        "event sink: a target fails: [Errno 28] No space left on device"
    ]


def test_what_was_written_is_synced_soon_after() -> None:
    target = Kept()
    sink = EventSink([target], sync_seconds=0.01)
    sink.start()
    sink.write(event("1"))
    while not target.synced:
        pass
    asyncio.run(sink.stop())

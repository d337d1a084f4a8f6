from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec
import pyarrow.parquet
import pytest

from serving_min.sinks.segments import Format, Segments, finished
from serving_min.sinks.sink import Encoded
from tests.serving_min.process import ROOT
from tests.serving_min.sinks.lines import NOON, answer, event


class Clock:
    def __init__(self) -> None:
        self.now = float(NOON)

    def __call__(self) -> float:
        return self.now


def encoded(*identities: str) -> list[Encoded]:
    return [("ann", msgspec.json.encode(event(identity))) for identity in identities]


def ids(path: Path) -> str:
    return "".join(json.loads(line)["id"] for line in path.read_text().splitlines())


def read(folder: Path) -> list[str]:
    return [ids(path) for path in finished(folder)]


def test_a_segment_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    segments = Segments(tmp_path, clock=Clock())
    segments.append("events", encoded("a", "b"))
    segments.sync()
    assert read(tmp_path) == []
    (hidden,) = tmp_path.glob("events/date=2023-11-15/.2023*.jsonl.open")
    assert ids(hidden) == "ab"
    segments.append("events", encoded("c"))
    segments.close()
    assert read(tmp_path) == ["abc"]
    assert not hidden.exists()


def test_rotated_by_size_by_age_and_at_midnight(tmp_path: Path) -> None:
    clock = Clock()
    line = len(encoded("a")[0][1]) + 1
    segments = Segments(tmp_path, size=2 * line, seconds=60, clock=clock)
    for name in "abc":
        segments.append("events", encoded(name))
        clock.now += 1
    assert read(tmp_path) == ["ab"]
    clock.now += 60
    segments.sync()
    assert read(tmp_path) == ["ab", "c"], "a quiet hour finishes a segment too"
    clock.now = NOON + 12 * 3_600 - 1
    segments.append("events", encoded("d"))
    clock.now += 1
    segments.append("events", encoded("e"))
    segments.close()
    assert read(tmp_path) == ["ab", "c", "d", "e"]
    assert [path.parent.name for path in finished(tmp_path)][-2:] == ["date=2023-11-15", "date=2023-11-16"]


def test_streams_are_apart(tmp_path: Path) -> None:
    segments = Segments(tmp_path)
    segments.append("events", encoded("a"))
    segments.append("answers", [("ann", msgspec.json.encode(answer("r")))])
    segments.close()
    assert sorted(path.relative_to(tmp_path).parts[0] for path in finished(tmp_path)) == ["answers", "events"]


def test_parquet_has_the_same_rows_typed(tmp_path: Path) -> None:
    segments = Segments(tmp_path, format="parquet", clock=Clock())
    segments.append("events", encoded("a"))
    segments.append("answers", [("ann", msgspec.json.encode(answer("r")))])
    segments.close()
    answers, events = (pyarrow.parquet.read_table(path, partitioning=None) for path in finished(tmp_path))
    assert events.to_pylist() == [
        {"request_id": None, **msgspec.to_builtins(event("a"))}  # what the line leaves out is null
    ]
    assert answers.to_pylist() == [{**msgspec.to_builtins(answer("r")), "fallback": None}]
    assert [path.name for path in tmp_path.rglob("*.open")] == []


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_after_a_kill_whole_lines_are_kept_and_a_living_writer_is_left_alone(tmp_path: Path, format: Format) -> None:
    program = (
        "import sys, msgspec, os\n"
        "from pathlib import Path\n"
        "from serving_min.sinks.segments import Segments\n"
        "from tests.serving_min.sinks.test_segments import encoded\n"
        "segments = Segments(Path(sys.argv[1]))\n"
        "segments.append('events', encoded('a', 'b'))\n"
        'os.write(segments._open[\'events\']._descriptor, b\'{"id": "c", "us\')\n'
        "print('written', flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, tmp_path]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        Segments(tmp_path, format=format)
        assert list(finished(tmp_path)) == []
        writer.kill()
        writer.wait()
    Segments(tmp_path, format=format)
    (path,) = finished(tmp_path)
    found = pyarrow.parquet.read_table(path).num_rows if format == "parquet" else len(ids(path))
    assert found == 2
    assert list(tmp_path.rglob("*.open")) == []


@pytest.mark.parametrize("content", [b"", b'{"id": "c", "us'])
def test_what_a_kill_left_without_a_whole_line_goes(tmp_path: Path, content: bytes) -> None:
    left = tmp_path / "events" / "date=2023-11-15" / ".20231115T120000-0123abcd.jsonl.open"
    left.parent.mkdir(parents=True)
    left.write_bytes(content)
    Segments(tmp_path)
    assert not left.exists()
    assert list(finished(tmp_path)) == []


def test_a_segment_taken_for_one_left_behind_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from serving_min.sinks import segments as module

    lock, taken = module.fcntl.flock, []

    def slow(descriptor: int, how: int) -> None:
        if not taken:  # another server starts before this one has locked its file
            taken.extend(tmp_path.glob("events/date=*/.*.open"))
            Segments(tmp_path)
        lock(descriptor, how)

    monkeypatch.setattr(module.fcntl, "flock", slow)
    segments = Segments(tmp_path, clock=Clock())
    segments.append("events", encoded("a"))
    assert len(taken) == 1
    assert not taken[0].exists()
    segments.close()
    assert read(tmp_path) == ["a"]


def test_a_write_that_fails_halfway_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from serving_min.sinks import segments as module

    segments = Segments(tmp_path)
    segments.append("events", encoded("a"))
    real, calls = module.os.write, []

    def full(descriptor: int, content: bytes) -> int:
        calls.append(content)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(descriptor, content[:10])

    monkeypatch.setattr(module.os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        segments.append("events", encoded("b"))
    monkeypatch.undo()
    segments.append("events", encoded("c"))
    segments.close()
    assert read(tmp_path) == ["ac"]
    assert segments.written == 2


@pytest.mark.parametrize("line", [b"garbage", b'{"id": "b", "user": "ann", "item": "A", "later": 1}'])
def test_lines_that_do_not_fit_parquet_stay_json_and_the_server_starts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: bytes
) -> None:
    folder = tmp_path / "events" / "date=2023-11-15"
    folder.mkdir(parents=True)
    content = encoded("a")[0][1] + b"\n" + line + b"\n"
    (folder / ".20231115T120000-5f1c0a9e.jsonl.open").write_bytes(content)
    Segments(tmp_path, format="parquet")
    assert [path.read_bytes() for path in folder.iterdir()] == [content]
    assert [path.name for path in finished(tmp_path)] == ["20231115T120000-5f1c0a9e.jsonl"]
    assert [message.partition(" stays JSON lines: ")[0] for message in caplog.messages] == [
        f"event log: {folder}/20231115T120000-5f1c0a9e.jsonl"
    ]


def test_parquet_that_finds_the_disk_full_leaves_json_lines_and_nothing_half_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object, file: BinaryIO, **__: object) -> None:
        file.write(b"PAR1")
        raise OSError(28, "No space left on device")

    clock = Clock()
    segments = Segments(tmp_path, format="parquet", seconds=60, clock=clock)
    segments.append("events", encoded("a"))
    monkeypatch.setattr(pyarrow.parquet, "write_table", full)
    clock.now += 60
    segments.sync()
    assert read(tmp_path) == ["a"]
    monkeypatch.undo()
    segments.append("events", encoded("b"))
    segments.close()
    assert sorted(path.suffix for path in tmp_path.rglob("*.*")) == [".jsonl", ".parquet"]
    assert len([message for message in caplog.messages if "No space left" in message]) == 1


def test_writing_parquet_does_not_import_pandas(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from serving_min.sinks.segments import Segments\n"
        "segments = Segments(Path(sys.argv[1]), format='parquet')\n"
        'segments.append(\'events\', [(\'u\', b\'{"id": "a", "user": "u", "item": "A"}\')])\n'
        "segments.close()\n"
        "print('pandas' in sys.modules)"
    )
    command = [sys.executable, "-c", program, tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert [path.suffix for path in finished(tmp_path)] == [".parquet"]

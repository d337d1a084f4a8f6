"""One job at a time, and no file that is half there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from serving_min.batch.folder import Lock, alone, whole
from serving_min.errors import BatchError


def test_whoever_begins_is_alone(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with alone(out) as lock:
        for others in (True, False):
            with pytest.raises(BatchError, match=re.escape(f"another job is at work in {out}; wait")):
                Lock(out, alone=others)
        lock.share()
        worker = Lock(out, alone=False)
    with pytest.raises(BatchError, match="another job is at work"):
        Lock(out)
    worker.release()
    Lock(out).release()


def test_what_cannot_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BatchError, match=f"out: {out} cannot be written to: .*; give another folder"):
            Lock(out)


def write_half(path: Path) -> None:
    with whole(path) as partial:
        partial.write_text("half")
        raise OSError("no space")


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "part"
    with whole(path) as partial:
        partial.write_text("whole")
        assert not path.exists()
    with pytest.raises(BatchError, match=f"out: {path}: no space"):
        write_half(path)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["whole"]
    (tmp_path / ".part.9.partial").write_text("of a process that was killed")
    with alone(tmp_path):
        assert sorted(file.name for file in tmp_path.iterdir()) == [".lock", "part"]

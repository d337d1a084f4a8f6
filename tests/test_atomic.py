"""A folder or file is whole or not there, also when the process is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recsys_lab.atomic import replacing, whole_folder


def test_a_folder_appears_at_the_end(tmp_path):
    final = tmp_path / "run"
    with whole_folder(final) as folder:
        (folder / "a.txt").write_text("a")
        assert not final.exists()
    assert (final / "a.txt").read_text() == "a"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(FileNotFoundError), whole_folder(tmp_path / "run") as folder:
        (folder / "missing" / "a.txt").write_text("a")
    assert list(tmp_path.iterdir()) == []


def test_a_finished_folder_is_never_overwritten(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(FileExistsError), whole_folder(tmp_path / "run"):
        pass


def test_of_two_writers_of_one_folder_the_second_is_told(tmp_path):
    final = tmp_path / "run"
    writer = whole_folder(final)
    (writer.__enter__() / "a.txt").write_text("late")
    final.mkdir()
    (final / "a.txt").write_text("early")  # as another process would, meanwhile
    with pytest.raises(FileExistsError):
        writer.__exit__(None, None, None)
    assert (final / "a.txt").read_text() == "early"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_killed_writer_leaves_no_final_name_and_the_next_one_sweeps(tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom recsys_lab.atomic import whole_folder\n"
        "with whole_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'a.txt').write_text('half')\n    print('writing', flush=True)\n    time.sleep(60)\n"
    )
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        os.kill(process.pid, signal.SIGKILL)
    assert [path.name.startswith(".partial-run-") for path in tmp_path.iterdir()] == [True]
    with whole_folder(tmp_path / "other"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_what_a_dead_process_of_our_own_id_left_is_swept(tmp_path):
    left = tmp_path / f".partial-run-{os.getpid()}"  # process 1 of a container that was killed and started again
    left.mkdir()
    (left / "a.txt").write_text("half")
    with whole_folder(tmp_path / "run") as folder:
        (folder / "b.txt").write_text("b")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["run", "run/b.txt"]


def test_a_living_writer_is_left_alone(tmp_path):
    with whole_folder(tmp_path / "one") as one:
        with whole_folder(tmp_path / "two"):
            pass
        assert one.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), replacing(path) as beside:
        beside.write_text("half \ud800", encoding="utf-8")
    assert path.read_text() == "old"
    with replacing(path) as beside:
        beside.write_text("new")
    assert path.read_text() == "new"
    assert time.time() - path.stat().st_mtime < 60
    assert list(tmp_path.iterdir()) == [path]

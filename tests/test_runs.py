"""Run folders of processes that work side by side."""

from __future__ import annotations

from recsys_lab.runs import keep


def test_two_that_end_in_the_same_second_are_both_kept(tmp_path):
    """What took hours must not be lost to a name."""
    asked = []

    def write(name, folder):
        asked.append(name)
        (folder / "mine").touch()
        if len(asked) == 1:  # as another process would, meanwhile
            (tmp_path / name).mkdir()
            (tmp_path / name / "theirs").touch()
        return name

    assert keep(tmp_path, "run", write) == "run-2"
    assert asked == ["run", "run-2"]
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*")} == {"run/theirs", "run-2/mine"}

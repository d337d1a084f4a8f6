"""A mistyped command line is one line and exit code 2, as any other mistake."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.serving_min.process import ROOT


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["serving_min"], "serving_min: the following arguments are required: bundle; --help shows what there is"),
        (["serving_min", "bundle", "--dev=yes"], "serving_min: argument --dev: ignored explicit argument 'yes'"),
        (["serving_min", "bundle", "--port", "a"], "serving_min: argument --port: invalid int value: 'a'"),
        (["serving_min", "bundle", "--no\nthing"], "serving_min: unrecognized arguments: --no thing; --help"),
        (["serving_min.batch", "bundle"], "serving_min.batch: the following arguments are required: --users, --out"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], says: str) -> None:
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(says)
    assert done.stderr.count("\n") == 1


def test_help_names_the_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "serving_min", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("usage: python -m serving_min [-h]")


@pytest.mark.parametrize("module", ["serving_min.settings", "serving_min.server"])
def test_ctrl_c_while_it_imports_is_no_traceback(module: str) -> None:
    program = (
        "import runpy, sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}: raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "sys.argv = ['serving_min', 'bundle']\n"
        "runpy.run_module('serving_min', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

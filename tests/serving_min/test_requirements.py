"""The server runs from its own requirements alone, away from the repository."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import httpx
import msgspec
import pytest

from serving_min.messages import Golden
from tests.serving_min.process import ROOT, running

REQUIREMENTS = ROOT / "serving_min" / "requirements.txt"


def pinned() -> dict[str, str]:
    return dict(re.findall(r"^([\w-]+)==([^;\s]+)", REQUIREMENTS.read_text(), flags=re.MULTILINE))


def test_the_pins_are_what_the_other_tests_ran_with() -> None:
    assert pinned() == {name: version(name) for name in pinned()}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of nothing but ``requirements.txt``."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = [folder / "bin" / "python", "-m", "pip", "install", "-q", "-r", REQUIREMENTS]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode and re.search("connection|resolve|timed out|No matching distribution", done.stderr, re.I):
        pytest.skip(f"pip reaches no index that has the packages: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vector", "neighbours", "static"])
def test_golden_answers_from_requirements_alone(
    environment: Path, bundles: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    shutil.copytree(ROOT / "serving_min", tmp_path / "serving_min", ignore=shutil.ignore_patterns("__pycache__"))
    python = environment / "bin" / "python"
    golden = [
        msgspec.json.decode(line, type=Golden) for line in (bundles[kind] / "golden.jsonl").read_bytes().splitlines()
    ]
    with running(bundles[kind], python=python, folder=tmp_path) as server:
        answers = [httpx.post(f"{server.address}/v1/recommend", content=bytes(line.request)) for line in golden]
    assert [answer.content for answer in answers] == [bytes(line.answer) for line in golden]


@pytest.mark.slow
def test_requirements_name_every_package_that_comes_with_them(environment: Path) -> None:
    listed = subprocess.run(
        [environment / "bin" / "python", "-m", "pip", "list", "--format", "json"], capture_output=True, check=True
    )
    installed = {package["name"].replace("-", "_"): package["version"] for package in json.loads(listed.stdout)}
    expected = {name.replace("-", "_"): number for name, number in pinned().items()}
    assert {name: number for name, number in installed.items() if name not in ("pip", "setuptools")} == expected

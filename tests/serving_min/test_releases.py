from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from serving_min.errors import BundleError, ReleaseError
from serving_min.manifest import read_manifest
from serving_min.releases import Registry, live_bundle
from serving_min.verification import verified
from tests.serving_min.handmade import NOW, seal, write_bundle


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry", clock=lambda: NOW)


def test_promote_and_roll_back_and_the_history_keeps_all(registry: Registry, bundles: dict[str, Path]) -> None:
    inside = registry.folder / "shop" / "1"
    shutil.copytree(bundles["static"], inside)
    assert not Registry.there(registry.folder)
    registry.promote(inside)
    registry.promote(bundles["vector"])
    registry.promote(bundles["neighbours"])
    assert live_bundle(registry.folder) == bundles["neighbours"]
    assert registry.rollback().name == "test-vector"
    assert registry.rollback().bundle == "shop/1", "twice goes back by two"
    assert registry.current() == inside
    registry.promote(bundles["neighbours"])
    assert registry.rollback().bundle == "shop/1", "what was rolled back is no release to go back to"
    with pytest.raises(ReleaseError, match="no release to go back to"):
        registry.rollback()
    history = registry.history()
    assert [release.action for release in history] == ["promote"] * 3 + ["rollback"] * 2 + ["promote", "rollback"]
    assert history[0].at == "2023-11-14T22:13:20+00:00"


def test_a_registry_that_moves_keeps_the_bundles_inside(
    registry: Registry, bundles: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(bundles["static"], registry.folder / "a")
    registry.promote(registry.folder / "a")
    registry.folder.rename(tmp_path / "elsewhere")
    assert live_bundle(tmp_path / "elsewhere") == tmp_path / "elsewhere" / "a"


def test_what_is_refused(registry: Registry, bundles: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="makes a registry"):
        registry.rollback()
    damaged = shutil.copytree(bundles["vector"], tmp_path / "damaged")
    (damaged / "encoder.onnx").write_bytes((damaged / "encoder.onnx").read_bytes()[::-1])
    with pytest.raises(BundleError, match=r"encoder\.onnx: damaged"):
        registry.promote(damaged)
    assert registry.history() == []
    registry.promote(bundles["vector"])
    with pytest.raises(ReleaseError, match="is live already, since 2023"):
        registry.promote(bundles["vector"])


def test_a_bundle_that_was_replaced_is_not_the_one_released(registry: Registry, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b", "static")
    registry.promote(folder)
    shutil.rmtree(folder)
    write_bundle(folder, "neighbours")
    with pytest.raises(ReleaseError, match="is not the bundle that was released"):
        registry.current()
    shutil.rmtree(folder)
    with pytest.raises(BundleError, match="No such file"):
        registry.current()


def test_a_damaged_history_is_one_line(registry: Registry, bundles: dict[str, Path]) -> None:
    registry.promote(bundles["static"])
    registry.path.write_text('{"at": 1}\n')
    with pytest.raises(ReleaseError, match=r"releases\.jsonl: Expected `str`, got `int` - at `\$\[0\]\.at`"):
        registry.current()


def test_a_bundle_must_answer_its_golden_requests_to_the_byte(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b", "vector")
    assert verified(folder).bundle.manifest.name == "test-vector"
    golden = folder / "golden.jsonl"
    lines = golden.read_bytes().splitlines()
    golden.write_bytes(b"\n".join([lines[0], lines[1].replace(b'"D"', b'"E"', 1), *lines[2:]]))
    seal(folder, read_manifest(folder))
    with pytest.raises(BundleError, match=r"golden\.jsonl: line 2 is answered differently here"):
        verified(folder)
    golden.write_bytes(msgspec.json.encode({"request": {"k": 0}, "answer": {}}))
    seal(folder, read_manifest(folder))
    with pytest.raises(BundleError, match=r"golden\.jsonl: line 1: Expected `int` >= 1"):
        verified(folder)

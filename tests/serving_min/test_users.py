"""Past users in a bundle: found by a cosine that is computed here by hand, and believed only when they are whole."""

import math
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from serving_min.bundle import Bundle
from serving_min.errors import BundleError
from serving_min.manifest import SessionIndex, read_manifest
from serving_min.users import Users
from tests.serving_min.handmade import SESSIONS, seal, write_bundle, write_sessions

ASKS = np.array([1, 2, 1, 1, 1, 1], np.float32)
VALUES = np.array([1, 2, 2, 4, 3, 1, 1, 1, 1, 1, 1], np.float32)


def write_users(folder: Path) -> SessionIndex:
    settings = write_sessions(folder, SESSIONS, np.ones(6, np.float32))
    with np.load(folder / "sessions.npz") as sessions:
        np.savez(folder / "sessions.npz", **sessions, asks=ASKS, values=VALUES)
    return replace(settings, recent=4, gap=None, shrinkage=1.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "users", "sessions", model=write_users)


def test_the_two_most_alike_vote(folder: Path) -> None:
    """A and B ask with 1 and 2: {A 1, B 2, C 2} answers 5 / (√5 · 3 + 1), {A 4, D 3} 4 / (√5 · 5 + 1) and, most alike
    after the first, {B 1, A 1, E 1} 3 / (√5 · √3 + 1)."""
    root = math.sqrt(5)
    first, second = 5 / (3 * root + 1), 3 / (math.sqrt(3) * root + 1)
    users = Bundle.load(folder).model
    assert isinstance(users, Users)
    codes, scores = users.opinions(np.array([1, 0], np.int32))
    assert dict(zip(codes.tolist(), scores.tolist(), strict=True)) == pytest.approx(
        {0: first + second, 1: first + second, 2: first, 4: second}
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"asks": np.ones(5, np.float32)}, "5 asks for 6 items"),
        ({"values": np.ones(10, np.float32)}, "10 values for 11 touches"),
        ({"values": np.full(11, np.nan, np.float32)}, "asks and values are not all finite"),
        ({"asks": np.ones(6)}, "asks is float64"),
        ({"asks": None}, "no array asks"),
    ],
    ids=str,
)
def test_tables_that_lie_are_refused(folder: Path, change: dict[str, object], says: str) -> None:
    manifest = read_manifest(folder)
    with np.load(folder / "sessions.npz") as sessions:
        arrays = {**sessions, **change}
    np.savez(folder / "sessions.npz", **{name: array for name, array in arrays.items() if array is not None})
    seal(folder, manifest)
    with pytest.raises(BundleError, match=f"sessions.npz: {says}"):
        Bundle.load(folder)

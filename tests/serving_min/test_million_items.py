"""Narrow filters and tight caps over a million items still make full lists, and the right ones."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.messages import Filters, PriceRange, Request
from serving_min.rules import Caps, Rules
from serving_min.surfaces import MODEL, Retriever, Surface
from tests.serving_min.handmade import NOW, write_bundle, write_vectors

SIZE, K = 1_000_000, 10
CODES = np.arange(SIZE)
ANGLES = 2 * np.pi * (CODES + 0.25 * (CODES % 3)) / SIZE  # uneven, so that no two are equally far from item 0
VECTORS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).astype(np.float32)
RARE = CODES % 50_000 == 7  # 20 items all around the circle
NEAR = VECTORS[:, 0] > 0  # half of the items are of one category, the others in hundreds
CATEGORIES = np.where(NEAR, -1, CODES // 100)
SURFACES = {
    "capped": Surface((Retriever(MODEL),), rules=Rules(caps=Caps(category=2))),
    "fenced": Surface((Retriever(MODEL),), rules=Rules(filters=Filters(brand=["rare"]))),
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    columns = {
        "item_id": pa.array(CODES).cast(pa.string()),
        "category": pa.array(CATEGORIES).cast(pa.string()),
        "brand": pa.array(np.where(RARE, "rare", "usual")),
        "price": pa.array(CODES.astype(np.float64)),
    }
    folder = write_bundle(
        tmp_path_factory.mktemp("million") / "bundle",
        "vector",
        table=pa.table(columns),
        popularity=np.zeros(SIZE, np.float32),
        model=lambda folder: write_vectors(folder, VECTORS, SIZE, factory="IVF64,Flat"),
        golden=[],
        surfaces=SURFACES,
    )
    return Engine(Bundle.load(folder))


def shown(engine: Engine, surface: str = "recommend", **asked: Any) -> list[int]:
    answer = engine.recommend([Request(history=["0"], k=K, now=NOW, **asked)], surface)[0]
    assert {item.reason for item in answer.items} == {"model"}
    return [int(item.id) for item in answer.items]


def best(mask: np.ndarray) -> list[int]:
    """All scored by themselves."""
    inside = np.flatnonzero(mask & (CODES > 0))
    return inside[np.argsort(-np.cos(ANGLES[inside]), kind="stable")][:K].tolist()


@pytest.mark.parametrize(
    ("filters", "mask"),
    [
        (Filters(brand=["rare"]), RARE),
        (Filters(brand=["rare"], category=["-1"]), RARE & NEAR),
        (Filters(price=PriceRange(min=299_990, max=300_010)), abs(CODES - 300_000) <= 10),
        (Filters(not_category=["-1"], not_brand=["usual"]), RARE & ~NEAR),
    ],
)
def test_a_filter_that_leaves_twenty_items(engine: Engine, filters: Filters, mask: np.ndarray) -> None:
    assert 10 <= mask.sum() <= 21
    assert sorted(shown(engine, filters=filters)) == sorted(best(mask))


def test_a_surface_s_own_filter(engine: Engine) -> None:
    assert sorted(shown(engine, "fenced")) == sorted(best(RARE))


def test_a_cap_that_the_first_half_million_items_break(engine: Engine) -> None:
    listed = shown(engine, "capped")
    taken: Counter[int] = Counter()
    expected = []
    for code in np.argsort(-np.cos(ANGLES), kind="stable")[1:].tolist():
        if taken[CATEGORIES[code]] < 2:
            expected.append(code)
            taken[CATEGORIES[code]] += 1
        if len(expected) == K:
            break
    assert sorted(CATEGORIES[listed]) == sorted(CATEGORIES[expected])
    assert max(Counter(CATEGORIES[listed].tolist()).values()) == 2

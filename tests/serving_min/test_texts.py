"""Many titles are read from the file, few where it is mapped: both say the same."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from serving_min import texts
from serving_min.item_codes import make_slots
from serving_min.items import Items
from serving_min.texts import Texts, UnmappedTexts

TITLES = ["a cup", None, "", "grüne Gläser", "日本"]


@pytest.fixture(params=[1, 2], ids=["one piece", "two pieces"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    ids = [f"item-{code}" for code in range(len(TITLES))]
    table = pa.table({"item_id": pa.array(ids), "title": pa.array(TITLES)})
    with pa.OSFile(str(tmp_path / "items.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=len(TITLES) // request.param + 1)
    np.save(tmp_path / "item_codes.npy", make_slots(ids))
    return tmp_path / "items.arrow"


@pytest.mark.parametrize("large", [0, 1 << 26])
def test_titles_are_what_was_written(path: Path, large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "LARGE", large)
    titles = Items.read(path).titles
    assert titles is not None
    assert [titles[row] for row in range(len(titles))] == TITLES
    in_one_piece = len(pa.ipc.open_file(path).read_all()["title"].chunks) == 1
    assert type(titles) is (UnmappedTexts if in_one_piece and not large else Texts)


def test_a_file_is_closed_with_its_texts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "LARGE", 0)
    items = Items.read(path)
    assert (path.resolve() in opened()) == isinstance(items.titles, UnmappedTexts)
    del items
    assert path.resolve() not in opened()


def opened() -> set[Path]:
    return {each.resolve() for each in Path("/proc/self/fd").iterdir()}

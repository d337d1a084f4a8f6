"""Processes that share a file of changes, each a journal of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving_min.assortment.changes import Changes, ItemEntry
from serving_min.assortment.journal import Journal
from serving_min.errors import StartError

GRAPE, HIDE, SHOW = Changes((ItemEntry("G", title="Grape"),)), Changes(hide=("A", "B")), Changes(show=("A",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "items.jsonl"


def test_what_others_wrote_meanwhile_stays_and_is_heard_in_the_order_of_the_file(path: Path) -> None:
    one, other = Journal(path), Journal(path)
    assert one.news() == other.news() == []
    one.append(GRAPE)
    other.append(HIDE)
    other.append(SHOW)
    assert Journal(path).news() == [GRAPE, HIDE, SHOW]
    assert one.news() == [HIDE, SHOW]
    assert other.news() == [GRAPE, HIDE, SHOW], "its own again: they count after what came before them"
    assert one.news() == other.news() == []


def test_only_a_line_without_an_end_is_cut_off(path: Path) -> None:
    one, other = Journal(path), Journal(path)
    one.append(GRAPE)
    one.append(HIDE)
    with path.open("ab") as file:
        file.write(b'{"hide": ["C')
    other.append(SHOW)
    assert Journal(path).news() == [GRAPE, HIDE, SHOW]
    assert one.news() == [SHOW]


def test_a_file_that_was_removed_begins_anew(path: Path) -> None:
    one, other = Journal(path), Journal(path)
    one.append(GRAPE)
    one.append(HIDE)
    assert other.news() == [GRAPE, HIDE]
    path.unlink()
    assert other.news() == []
    one.append(SHOW)
    assert Journal(path).news() == [SHOW]
    assert other.news() == [SHOW], "though the file is shorter than what it has read"
    path.unlink()
    for changes in (HIDE, GRAPE, HIDE):
        Journal(path).append(changes)
    assert other.news() == [HIDE, GRAPE, HIDE], "though it is longer"
    assert one.news() == [HIDE, GRAPE, HIDE]


def test_a_line_that_cannot_be_read_is_named_by_its_number(path: Path) -> None:
    journal = Journal(path)
    journal.append(GRAPE)
    with path.open("ab") as file:
        file.write(b'\n{"hide": ["C"]}\n\0\0{"hide": ["D"]}\n')
    for reading in (journal, Journal(path)):
        with pytest.raises(StartError, match=r"items\.jsonl: line 4: JSON is malformed.*; remove the line"):
            reading.news()

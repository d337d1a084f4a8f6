from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from serving_min.assortment.changes import Assortment, Changes, ItemEntry
from serving_min.assortment.journal import Journal
from serving_min.assortment.keeper import MOST_HIDDEN, Keeper
from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.errors import RequestError, StartError
from tests.serving_min.handmade import NOW, items_table, write_bundle

GRAPE, HIDE = Changes((ItemEntry("G", title="Grape"),)), Changes(hide=("A", "B"))


def tell(keeper: Keeper, engine: Engine, changes: Changes) -> None:
    keeper.keep(*keeper.after(changes, engine))


def test_a_restart_knows_what_was_said(tmp_path: Path, engine: Callable[[str], Engine]) -> None:
    path = tmp_path / "folder" / "items.jsonl"
    keeper = Keeper(Journal(path), clock=lambda: NOW)
    for changes in (GRAPE, HIDE, Changes(show=("A",)), Changes((ItemEntry("G", title="Grapes", available_from=5),))):
        tell(keeper, engine("static"), changes)
    again = Keeper(Journal(path))
    assert again.said == keeper.said
    assert again.said.hidden == {"B"}
    assert (again.said.entries["G"].entry.title, again.said.entries["G"].entry.available_from) == ("Grapes", 5)
    assert json.loads(path.read_text().splitlines()[0]) == {"items": [{"id": "G", "title": "Grape"}], "time": NOW}


def test_an_item_is_on_sale_from_when_it_is_said() -> None:
    said = Assortment().after(Changes(GRAPE.items, time=NOW))
    assert said.entries["G"].entry.available_from == NOW


def test_processes_hear_of_each_other_and_a_torn_line_was_never_said(tmp_path: Path) -> None:
    one, other = Journal(tmp_path / "j"), Journal(tmp_path / "j")
    one.append(GRAPE)
    assert other.news() == [GRAPE]
    other.append(HIDE)
    assert other.news() == []
    assert one.news() == [HIDE]
    with (tmp_path / "j").open("ab") as file:
        file.write(b'{"hide": ["C')
    assert one.news() == []
    one.append(GRAPE)
    assert Journal(tmp_path / "j").news() == [GRAPE, HIDE, GRAPE]


def test_what_two_processes_are_told_at_once_both_know_as_a_restart_does(
    tmp_path: Path, engine: Callable[[str], Engine]
) -> None:
    one, other = Keeper(Journal(tmp_path / "j")), Keeper(Journal(tmp_path / "j"))
    late = one.after(Changes(hide=("A",)), engine("static"))
    tell(other, engine("static"), GRAPE)
    tell(other, engine("static"), Changes(show=("A",)))
    one.keep(*late)
    assert one.refresh() == other.refresh() == Keeper(Journal(tmp_path / "j")).said
    assert (one.said.hidden, set(one.said.entries)) == ({"A"}, {"G"})


def test_only_what_the_live_bundle_does_not_know_is_counted(tmp_path: Path, engine: Callable[[str], Engine]) -> None:
    keeper = Keeper(most=1, clock=lambda: NOW)
    tell(keeper, engine("static"), GRAPE)
    more = Changes((ItemEntry("H"),))
    with pytest.raises(RequestError, match="2 new or changed items, the limit is 1"):
        keeper.after(more, engine("static"))
    for changes in (HIDE, GRAPE):
        keeper.after(changes, engine("static"))
    table = pa.concat_tables([items_table(), pa.table({"item_id": ["G"]})], promote_options="default")
    folder = write_bundle(tmp_path / "b", "static", table=table, popularity=np.ones(7, np.float32), golden=[])
    later = Engine(Bundle.load(folder))
    tell(keeper, later, more)
    receipt = keeper.receipt(later, keeper.informed(later))
    assert (receipt.new, receipt.changed) == (1, 0)
    assert keeper.informed(engine("static")).bundle.items.codes.get("G") is not None, "the bundle before still hears it"


def test_a_file_that_says_more_than_is_allowed_is_read(tmp_path: Path, engine: Callable[[str], Engine]) -> None:
    path = tmp_path / "j"
    tell(Keeper(Journal(path)), engine("static"), Changes((ItemEntry("G"), ItemEntry("H"))))
    assert set(Keeper(Journal(path), most=1).said.entries) == {"G", "H"}


def test_what_is_refused(tmp_path: Path, engine: Callable[[str], Engine]) -> None:
    keeper = Keeper(most=2)
    many = Changes(tuple(ItemEntry(str(n)) for n in range(3)))
    with pytest.raises(RequestError, match=r"3 new or changed items, the limit is 2: export and promote .*`\$\.items`"):
        keeper.after(many, engine("static"))
    assert keeper.said == Assortment()
    keeper.said = Assortment(hidden=frozenset(map(str, range(MOST_HIDDEN))))
    with pytest.raises(RequestError, match="100001 hidden items, the limit is 100000"):
        keeper.after(Changes(hide=("one more",)), engine("static"))
    (tmp_path / "j").write_text('{"item": []}\n')
    with pytest.raises(StartError, match=r"unknown field `item`.*remove the line, or the file"):
        Keeper(Journal(tmp_path / "j"))

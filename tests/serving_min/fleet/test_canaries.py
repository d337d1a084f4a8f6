"""Bundles that fail beside one that does not: those who ask notice nothing."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from serving_min.asks import Asked
from serving_min.assortment.changes import Assortment, Changes, ItemEntry
from serving_min.assortment.keeper import Keeper
from serving_min.engine import Engine
from serving_min.errors import RequestError
from serving_min.fleet.fleet import Fleet
from serving_min.fleet.health import Budget
from serving_min.fleet.settings import FleetSettings, Other
from serving_min.messages import Filters, Request
from serving_min.settings import Settings
from serving_min.shop import Shop
from tests.serving_min.fleet.fleets import RECOMMEND, Broken, Clock, Kinds, Mute, ask, run, with_others
from tests.serving_min.handmade import items_table, write_bundle


def test_a_canary_that_fails_leaves_and_nobody_noticed(engine: Kinds) -> None:
    broken = Broken(engine("neighbours"), Clock(), raises=True)
    budget = Budget(window=20, least=10, failed=0.1)
    fleet = Fleet(engine("vector"), FleetSettings((Other("c", "canary", 0.5),), budget), load=lambda _: broken)

    async def scenario() -> None:
        answers = [await ask(fleet, f"u{n}") for n in range(100)]
        assert {answer.model for answer in answers} == {"test-vector"}, "the live one stood in"
        assert all(len(answer.items) == 2 for answer in answers)
        status = fleet.status()
        assert [member.role for member in status.members] == ["live"]
        assert status.members[0].share == 1.0
        assert status.left == [
            "test-neighbours 1 (c): 10 of the latest 10 answers failed, the budget is 10.00%",
        ]

    run(fleet, scenario)


def test_a_canary_whose_model_fails_is_answered_for_too(engine: Kinds) -> None:
    mute = Mute.engine(engine("vector"))
    settings = FleetSettings((Other("c", "canary", 1.0),), Budget(least=5, seconds=1e6))
    fleet = Fleet(engine("neighbours"), settings, load=lambda _: mute)

    async def scenario() -> None:
        answers = [await ask(fleet, f"u{n}") for n in range(5)]
        assert {(answer.model, answer.fallback) for answer in answers} == {("test-neighbours", None)}
        assert "5 of the latest 5 answers failed" in fleet.status().left[0]

    run(fleet, scenario)


def test_the_fallback_of_a_model_that_failed_is_given_where_the_live_bundle_has_no_time(engine: Kinds) -> None:
    settings, mute = FleetSettings((Other("c", "share", 1.0),)), Mute.engine(engine("vector"))
    fleet = Fleet(engine("neighbours"), settings, load=lambda _: mute)

    async def scenario() -> None:
        fleet.live._queue.waiting = 0  # it refuses all
        answer = await ask(fleet, "ann")
        assert (answer.model, answer.fallback, len(answer.items)) == ("test-vector", "the model failed", 2)

    run(fleet, scenario)


def test_a_canary_that_is_slow_leaves(engine: Kinds) -> None:
    clock = Clock()
    slow = Broken(engine("neighbours"), clock, seconds=0.2)
    settings = FleetSettings((Other("c", "canary", 0.5),), Budget(window=20, least=10, seconds=0.1))
    fleet = Fleet(engine("vector"), settings, load=lambda _: slow, timer=clock)

    async def scenario() -> None:
        models = [(await ask(fleet, f"u{n}")).model for n in range(60)]
        assert models.count("test-neighbours") == 10, "its answers are good, and given until there are enough to judge"
        assert "took longer than 100 ms" in fleet.status().left[0]

    run(fleet, scenario)


def test_a_canary_within_its_budget_stays(engine: Kinds) -> None:
    fleet = with_others(engine, Other("neighbours", "canary", 0.5), budget=Budget(least=10, seconds=1e6))

    async def scenario() -> None:
        for n in range(100):
            await ask(fleet, f"u{n}")
        assert [member.role for member in fleet.status().members] == ["live", "canary"]

    run(fleet, scenario)


def test_a_share_that_fails_is_answered_for_but_stays(engine: Kinds) -> None:
    broken = Broken(engine("neighbours"), Clock(), raises=True)
    fleet = Fleet(engine("vector"), FleetSettings((Other("c", "share", 1.0),)), load=lambda _: broken)

    async def scenario() -> None:
        for n in range(60):
            assert (await ask(fleet, f"u{n}")).model == "test-vector"
        assert fleet.status().members[1].failed == 60

    run(fleet, scenario)


def test_what_only_the_other_bundle_cannot_do_counts_against_it(engine: Kinds, tmp_path: Path) -> None:
    table = items_table().drop_columns(["brand"])
    folder = write_bundle(tmp_path / "no brands", "static", table=table)
    fleet = Fleet(engine("vector"), FleetSettings((Other(str(folder), "share", 1.0),)))

    async def scenario() -> None:
        answer = await ask(fleet, "ann", filters=Filters(brand=["x"]))
        assert {item.brand for item in answer.items} == {"x"}
        with fleet.chosen(Request(), "similar") as deployment, pytest.raises(RequestError, match="needs `item`"):
            await fleet.answer(deployment, Asked(Request(), "similar"))
        assert (fleet.status().members[1].answered, fleet.status().members[1].failed) == (1, 1)

    run(fleet, scenario)


def test_a_canary_that_cannot_filter_leaves_and_nobody_noticed(engine: Kinds, tmp_path: Path) -> None:
    table = items_table().drop_columns(["brand"])
    canary = Other(str(write_bundle(tmp_path / "no brands", "static", table=table)), "canary", 1.0)
    shop = Shop(engine("vector"), Settings(fleet=FleetSettings((canary,), Budget(least=5, seconds=1e6))))

    async def scenario() -> None:
        await shop.start()
        for n in range(5):
            request = Request(history=["A"], user_id=f"u{n}", filters=Filters(brand=["x"]))
            answer = (await shop.answer(RECOMMEND, request)).answer
            assert {item.brand for item in answer.items} == {"x"}
        assert [member.role for member in shop.fleet.status().members] == ["live"]
        assert "5 of the latest 5 answers failed" in shop.fleet.status().left[0]
        await shop.stop()

    asyncio.run(scenario())


def test_what_no_bundle_can_answer_counts_against_none(engine: Kinds) -> None:
    shop = Shop(engine("vector"), Settings())
    shop.fleet = with_others(engine, Other("static", "canary", 1.0))

    async def scenario() -> None:
        await shop.start()
        with pytest.raises(RequestError, match="no market to filter by"):
            await shop.answer(RECOMMEND, Request(user_id="ann", filters=Filters(market="DE")))
        assert [member.failed for member in shop.fleet.status().members] == [0, 0]
        await shop.stop()

    asyncio.run(scenario())


def test_a_canary_that_leaves_while_others_are_loaded_stays_away(engine: Kinds) -> None:
    canary, share = Other("c", "canary", 0.5), Other("static", "share", 0.25)
    begun, going_on = threading.Event(), threading.Event()

    def load(name: Path | str) -> Engine:
        if name == "c":
            return Broken(engine("neighbours"), Clock(), raises=True)
        begun.set()
        assert going_on.wait(60)
        return engine(str(name))

    fleet = Fleet(engine("vector"), FleetSettings((canary,), Budget(least=5)), load=load)

    async def scenario() -> None:
        change = asyncio.create_task(fleet.change(FleetSettings((canary, share))))
        await asyncio.to_thread(begun.wait, 60)
        for n in range(50):
            assert (await ask(fleet, f"u{n}")).model == "test-vector"
        assert len(fleet.status().left) == 1
        going_on.set()
        await change
        assert {(await ask(fleet, f"u{n}")).model for n in range(50)} == {"test-vector", "test-static"}
        status = fleet.status()
        assert [(member.role, member.share) for member in status.members] == [("live", 0.75), ("share", 0.25)]
        assert len(status.left) == 1

    run(fleet, scenario)


def test_a_canary_may_leave_while_items_are_told(engine: Kinds) -> None:
    begun, going_on = threading.Event(), threading.Event()

    class Slow(Keeper):
        def informed(self, engine: Engine, said: Assortment | None = None) -> Engine:
            if said is not None:
                begun.set()
                assert going_on.wait(60)
            return super().informed(engine, said)

    broken = Broken(engine("neighbours"), Clock(), raises=True)
    settings = FleetSettings((Other("c", "canary", 0.5),), Budget(least=5))
    fleet = Fleet(engine("vector"), settings, load=lambda _: broken, keeper=Slow())

    async def scenario() -> None:
        tell = asyncio.create_task(fleet.tell(Changes((ItemEntry("G"),))))
        await asyncio.to_thread(begun.wait, 60)
        for n in range(50):
            await ask(fleet, f"u{n}")
        assert len(fleet.status().left) == 1
        await asyncio.wait(fleet._tasks, timeout=0.1)  # it would have let go of its bundle by then
        going_on.set()
        assert (await tell).new == 1
        assert "G" in fleet.engine.bundle.items.codes

    run(fleet, scenario)


def test_a_new_budget_is_that_of_canaries_that_come_with_it_and_of_those_there(engine: Kinds) -> None:
    engines = {name: Broken(engine("neighbours"), Clock(), raises=True) for name in ("here", "new")}
    here, new = Other("here", "canary", 0.4), Other("new", "canary", 0.4)
    fleet = Fleet(engine("vector"), FleetSettings((here,)), load=lambda name: engines[str(name)])

    async def scenario() -> None:
        for n in range(25):
            await ask(fleet, f"u{n}")
        assert 0 < fleet.status().members[1].failed < Budget().least
        await fleet.change(FleetSettings((here, new), Budget(window=5, least=5)))
        for n in range(50):
            await ask(fleet, f"u{n}")
        assert [text.partition(": ")[2] for text in fleet.status().left] == [
            "5 of the latest 5 answers failed, the budget is 2.00%"
        ] * 2

    run(fleet, scenario)

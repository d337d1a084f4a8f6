"""Bundles of the handmade kinds side by side. ``vector`` has scores that no other kind gives, so answers show whose
they are; each says its model as well."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from serving_min.asks import Asked
from serving_min.assortment.changes import Assortment, Changes, ItemEntry
from serving_min.assortment.keeper import Keeper
from serving_min.engine import Engine
from serving_min.errors import BundleError, ReleaseError, RequestError, StartError
from serving_min.fleet.fleet import Fleet
from serving_min.fleet.health import Budget
from serving_min.fleet.settings import FleetSettings, Other
from serving_min.fleet.shares import chosen
from serving_min.messages import Answer, Filters, Request
from serving_min.settings import Settings
from serving_min.shop import Shop
from serving_min.vectors import Vectors
from serving_min.verification import verified
from tests.serving_min.handmade import NOW, items_table, write_bundle

RECOMMEND = "recommend"
Kinds = Callable[[str], Engine]


@dataclass
class Clock:
    """Seconds pass only when something takes them."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class Broken(Engine):
    """An engine of which every ``each``-th batch raises, or takes ``seconds``."""

    def __init__(self, engine: Engine, clock: Clock, *, raises: bool = False, seconds: float = 0.0) -> None:
        super().__init__(engine.bundle, clock=lambda: NOW)
        self.time, self.raises, self.seconds = clock, raises, seconds

    def answer(self, asked: Any) -> Any:
        self.time.now += self.seconds
        if self.raises:
            raise MemoryError("the canary sings no more")
        return super().answer(asked)


async def ask(fleet: Fleet, user: str, **more: Any) -> Answer:
    request = Request(history=["A"], user_id=user, k=2, **more)
    with fleet.chosen(request, RECOMMEND) as deployment:
        return (await fleet.answer(deployment, Asked(request, RECOMMEND))).served.answer


def run(fleet: Fleet, scenario: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        fleet.start()
        await scenario()
        await fleet.stop()

    asyncio.run(whole())


def with_others(engine: Kinds, *others: Other, budget: Budget | None = None, **more: Any) -> Fleet:
    return Fleet(
        engine("vector"), FleetSettings(others, budget or Budget()), load=lambda name: engine(str(name)), **more
    )


def test_a_user_is_always_answered_by_the_same_bundle_and_shares_hold(engine: Kinds) -> None:
    fleet = with_others(engine, Other("neighbours", "share", 0.25), Other("static", "share", 0.25))

    async def scenario() -> None:
        models = [[(await ask(fleet, f"u{n}")).model for n in range(400)] for _ in range(2)]
        assert models[0] == models[1]
        counts = Counter(models[0])
        assert counts == Counter(
            f"test-{ {'live': 'vector'}.get(name, name) }"
            for name in (chosen(f"u{n}", {"live": 0.5, "neighbours": 0.25, "static": 0.25}) for n in range(400))
        )
        members = {member.name: member for member in fleet.status().members}
        assert {name: member.answered for name, member in members.items()} == {k: 2 * v for k, v in counts.items()}
        assert members["test-vector"].share == 0.5

    run(fleet, scenario)


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


class Dumb:
    """An encoder that raises."""

    def run(self, *_: Any) -> Any:
        raise MemoryError("the canary has lost its voice")

    @classmethod
    def engine(cls, sound: Engine) -> Engine:
        assert isinstance(sound.bundle.model, Vectors)
        return Engine(replace(sound.bundle, model=replace(sound.bundle.model, encoder=cls())))


def test_a_canary_whose_model_fails_is_answered_for_too(engine: Kinds) -> None:
    dumb = Dumb.engine(engine("vector"))
    settings = FleetSettings((Other("c", "canary", 1.0),), Budget(least=5, seconds=1e6))
    fleet = Fleet(engine("neighbours"), settings, load=lambda _: dumb)

    async def scenario() -> None:
        answers = [await ask(fleet, f"u{n}") for n in range(5)]
        assert {(answer.model, answer.fallback) for answer in answers} == {("test-neighbours", None)}
        assert "5 of the latest 5 answers failed" in fleet.status().left[0]

    run(fleet, scenario)


def test_a_failed_model_s_fallback_is_given_where_the_live_bundle_has_no_time(engine: Kinds) -> None:
    settings, dumb = FleetSettings((Other("c", "share", 1.0),)), Dumb.engine(engine("vector"))
    fleet = Fleet(engine("neighbours"), settings, load=lambda _: dumb)

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


def test_a_shadow_answers_unseen_and_is_compared(engine: Kinds) -> None:
    others = (Other("neighbours", "shadow", 1.0), Other("vector", "shadow", 0.5))
    fleet = with_others(engine, *others, timer=Clock())  # nobody is refused for the time that it would take

    async def scenario() -> None:
        answers = [await ask(fleet, f"u{n}") for n in range(100)]
        assert {answer.model for answer in answers} == {"test-vector"}
        while fleet._tasks:
            await asyncio.sleep(0.001)
        live, other, twin = fleet.status().members
        assert (live.answered, other.answered, other.compared) == (100, 100, 100)
        assert (other.same, other.overlap) == (100, 1.0) or other.same < 100
        assert (twin.compared, twin.same, twin.overlap) == (twin.answered, twin.answered, 1.0)
        assert 30 < twin.answered < 70

    run(fleet, scenario)


def test_a_shadow_that_fails_is_only_counted(engine: Kinds) -> None:
    broken = Broken(engine("neighbours"), Clock(), raises=True)
    fleet = Fleet(engine("vector"), FleetSettings((Other("c", "shadow", 1.0),)), load=lambda _: broken)

    async def scenario() -> None:
        for n in range(10):
            assert (await ask(fleet, f"u{n}")).model == "test-vector"
        while fleet._tasks:
            await asyncio.sleep(0.001)
        assert (fleet.status().members[1].failed, fleet.status().members[1].compared) == (10, 0)

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


def test_reload_while_answering_loses_nothing(bundles: dict[str, Path], engine: Kinds) -> None:
    kinds = iter(["neighbours", "static", "vector"] * 3)
    fleet = Fleet(engine("vector"), path=bundles["vector"], load=lambda _: engine(next(kinds)))

    async def scenario() -> None:
        over = False
        models: set[str] = set()

        async def hammer() -> None:
            while not over:
                answer = await ask(fleet, "ann")
                assert len(answer.items) == 2
                models.add(answer.model)

        clients = [asyncio.create_task(hammer()) for _ in range(8)]
        for _ in range(9):
            await fleet.reload()
            await asyncio.sleep(0.005)
        over = True
        await asyncio.gather(*clients)
        assert models == {"test-vector", "test-neighbours", "test-static"}
        assert fleet.engine.bundle.manifest.name == "test-vector"

    run(fleet, scenario)


def test_the_memory_of_what_was_replaced_is_free_at_once(bundles: dict[str, Path]) -> None:
    """A large bundle would otherwise stay until the next full collection of garbage, which may take hours to come."""
    fleet = Fleet(verified(bundles["vector"]), path=bundles["vector"])

    async def left_after(change: Callable[[], Awaitable[object]]) -> list[object]:
        await ask(fleet, "ann", filters=Filters(category=["red"]))
        before = [weakref.ref(one) for one in (fleet.engine, fleet.engine.bundle, fleet.engine.bundle.items)]
        await change()
        while fleet._tasks:
            await asyncio.sleep(0.001)
        await ask(fleet, "ann")  # the queue's thread lets go of its last batch when it takes another
        return [one() for one in before if one() is not None]

    async def scenario() -> None:
        gc.collect()
        gc.disable()
        try:
            assert await left_after(fleet.reload) == []
            await fleet.tell(Changes((ItemEntry("G"),)))
            assert await left_after(lambda: fleet.tell(Changes((ItemEntry("H"),)))) == []
            assert await left_after(fleet.reload) == []
        finally:
            gc.enable()

    run(fleet, scenario)


def test_a_bundle_that_does_not_verify_changes_nothing(tmp_path: Path, engine: Kinds) -> None:
    folder = write_bundle(tmp_path / "b", "static")
    fleet = Fleet(engine("vector"), path=folder)
    (folder / "fallback.npz").write_bytes(b"")

    async def scenario() -> None:
        with pytest.raises(BundleError, match=r"fallback\.npz: 0 bytes where"):
            await fleet.reload()
        with pytest.raises(BundleError, match=r"fallback\.npz: 0 bytes where"):
            await fleet.change(FleetSettings((Other(str(folder), "share", 0.5),)))
        assert (await ask(fleet, "ann")).model == "test-vector"
        assert len(fleet.status().members) == 1
        fleet.path = None
        with pytest.raises(ReleaseError, match="nothing to load again"):
            await fleet.reload()

    run(fleet, scenario)


def test_others_come_change_their_shares_and_go(engine: Kinds) -> None:
    fleet = with_others(engine, Other("neighbours", "share", 0.5))

    async def scenario() -> None:
        for n in range(10):
            await ask(fleet, f"u{n}")
        counted = fleet.status().members[1].answered
        await fleet.change(FleetSettings((Other("static", "shadow", 1.0), Other("neighbours", "canary", 0.1))))
        _, shadow, canary = fleet.status().members
        assert (shadow.role, shadow.name, canary.role, canary.share) == ("shadow", "test-static", "canary", 0.1)
        assert canary.answered == counted, "it was not loaded again"
        await fleet.change(FleetSettings())
        assert {(await ask(fleet, f"u{n}")).model for n in range(50)} == {"test-vector"}

    run(fleet, scenario)


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


def test_shares_of_exactly_one_leave_nothing_for_the_live_bundle(engine: Kinds) -> None:
    shares = (0.4, 0.2, 0.3, 0.1)  # added one after the other they are a little more
    others = tuple(Other(str(n), "share", share) for n, share in enumerate(shares))
    fleet = Fleet(engine("vector"), FleetSettings(others), load=lambda _: engine("static"))
    assert [member.share for member in fleet.status().members] == [0, *shares]


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('[[fleet.others]]\nbundle = "a"\nrole = "share"\nshare = 0.7\n' * 2)
    with pytest.raises(StartError, match=r"the shares of `others` are 1\.4 together; leave them at 1 or less"):
        Settings.read(path)
    one = {"bundle": "a", "role": "shadow", "share": 1.0}
    with pytest.raises(msgspec.ValidationError, match="name a bundle twice"):
        msgspec.convert({"others": [one, one]}, FleetSettings)

"""Bundles of the handmade kinds side by side. ``vector`` has scores that no other kind gives, so answers show whose
they are; each says its model as well."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from serving_min.assortment.changes import Changes, ItemEntry
from serving_min.errors import BundleError, ReleaseError, StartError
from serving_min.fleet.fleet import Fleet
from serving_min.fleet.settings import FleetSettings, Other
from serving_min.fleet.shares import chosen
from serving_min.messages import Filters
from serving_min.settings import Settings
from serving_min.verification import verified
from tests.serving_min.fleet.fleets import Broken, Clock, Kinds, ask, run, with_others
from tests.serving_min.handmade import write_bundle


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

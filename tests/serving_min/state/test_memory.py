from __future__ import annotations

import asyncio
from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from serving_min.state.memory import Expiring, MemoryStore
from tests.serving_min.state.stores import arrival


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def items(store: MemoryStore, user: str = "ann") -> str:
    return "".join(touch.item for touch in asyncio.run(store.read(user)))


def test_the_latest_events_in_order_of_time() -> None:
    store = MemoryStore(kept=3)
    batch = [arrival("1", "A", 10), arrival("2", "B", 30), arrival("3", "C", 20), arrival("4", "D", 40)]
    assert asyncio.run(store.add(batch)) == [True] * 4
    assert items(store) == "CBD"
    assert items(store, "bob") == ""


def test_late_events_push_out_none_that_happened_after_them() -> None:
    store = MemoryStore(kept=3)
    asyncio.run(store.add([arrival("1", "A", 90), arrival("2", "B", 80)]))
    asyncio.run(store.add([arrival(f"late {number}", "CDEF"[number], number) for number in range(4)]))
    assert items(store) == "FBA"


def test_an_event_counts_once() -> None:
    store = MemoryStore()
    assert asyncio.run(store.add([arrival("1", "A"), arrival("1", "A"), arrival("2", "A")])) == [True, False, True]
    assert asyncio.run(store.add([arrival("2", "A")])) == [False]
    assert items(store) == "AA"


def test_an_id_without_a_touch_is_remembered_alone() -> None:
    store = MemoryStore()
    assert asyncio.run(store.add([arrival("1", ""), arrival("1", "A"), arrival("2", "B")])) == [True, False, True]
    assert items(store) == "B"


def test_a_quiet_user_goes_after_the_ttl_and_an_id_after_the_window() -> None:
    clock = Clock()
    store = MemoryStore(ttl=100, window=10, clock=clock)
    asyncio.run(store.add([arrival("1", "A")]))
    clock.now += 9.5
    assert asyncio.run(store.add([arrival("1", "A")])) == [False]
    clock.now += 0.5
    assert asyncio.run(store.add([arrival("1", "A")])) == [True]
    clock.now += 99
    assert items(store) == "AA"
    clock.now += 1
    assert items(store) == ""
    asyncio.run(store.add([arrival("2", "B")]))
    assert items(store) == "B"


def test_who_was_quiet_for_longest_makes_room() -> None:
    store = MemoryStore(events=4)
    for identity, user in enumerate(["ann", "bob", "bob", "ann", "cid"]):
        asyncio.run(store.add([arrival(str(identity), "A", user=user)]))
    assert [items(store, user) for user in ("ann", "bob", "cid")] == ["AA", "", "A"]
    asyncio.run(store.add([arrival(f"more {number}", "B") for number in range(2)]))
    assert [items(store, user) for user in ("ann", "cid")] == ["AABB", ""]
    asyncio.run(store.add([arrival("one too many", "C")]))
    assert items(store) == "", "a user alone has more than there is room for"


def test_forgetting_leaves_nothing() -> None:
    store = MemoryStore()
    asyncio.run(store.add([arrival("1", "A"), arrival("2", "B"), arrival("3", "C", user="bob")]))
    assert asyncio.run(store.forget("ann")) == 2
    assert asyncio.run(store.forget("ann")) == 0
    assert (items(store), items(store, "bob")) == ("", "C")


@given(st.lists(st.tuples(st.sampled_from(["put", "get", "pop"]), st.sampled_from("abcd"), st.integers(0, 4))))
def test_bounded_and_expiring_as_a_plain_model(steps: list[tuple[str, str, int]]) -> None:
    clock = Clock()
    values: Expiring[float] = Expiring(2, 5, clock)
    model: OrderedDict[str, float] = OrderedDict()  # name → when it was put
    for action, name, passed in steps:
        clock.now += passed
        model = OrderedDict((key, put) for key, put in model.items() if put + 5 > clock.now)
        if action == "put":
            values.put(name, clock.now)
            model.pop(name, None)
            model[name] = clock.now
            if len(model) > 2:
                model.popitem(last=False)
            assert len(values) == len(model)
        elif action == "get":
            assert values.get(name) == model.get(name)
        else:
            values.pop(name)
            model.pop(name, None)

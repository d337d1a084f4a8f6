from __future__ import annotations

from serving_min.state.waiting import Waiting
from tests.serving_min.state.stores import arrival


def test_the_oldest_make_room_and_are_counted() -> None:
    waiting = Waiting(2)
    assert [waiting.put(arrival(identity, identity.upper())) for identity in "aab"] == [True, False, True]
    assert waiting.put(arrival("c", "C", user="bob"))
    assert (len(waiting), waiting.lost) == (2, 1)
    assert [each.id for each in waiting.oldest(5)] == ["b", "c"]
    assert [touch.item for touch in waiting.of("ann")] == ["B"]
    waiting.put(arrival("d", ""))
    assert [touch.item for touch in waiting.of("ann")] == [], "only the id waits"
    waiting.take("d")
    assert waiting.put(arrival("a", "A")), "an id that was lost may come again"


def test_what_was_written_or_forgotten_waits_no_longer() -> None:
    waiting = Waiting(5)
    for identity, user in [("a", "ann"), ("b", "ann"), ("c", "bob")]:
        waiting.put(arrival(identity, "X", user=user))
    waiting.take("a")
    waiting.take("a")
    assert waiting.drop("ann") == 1
    assert (len(waiting), waiting.of("ann"), waiting.lost) == (1, [], 0)
    assert (waiting.give_up(), len(waiting), waiting.lost) == (1, 0, 1)

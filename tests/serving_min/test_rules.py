from __future__ import annotations

from datetime import date

import msgspec
import pytest

from serving_min.messages import Filters
from serving_min.rules import Boost, Calibrated, Caps, Dpp, Exploration, Mmr, Period, Pin, Rules, Weights

DAY = 86_400


def read(written: str) -> Rules:
    return msgspec.json.decode(written, type=Rules)


def test_they_are_read_as_they_are_written() -> None:
    rules = Rules(
        filters=Filters(not_brand=["x"], market="DE", age=12),
        boosts=(Boost(brand="own", factor=1.2, until=date(2026, 12, 24)),),
        weights=Weights(margin=0.1),
        variety=Calibrated(0.5),
        caps=Caps(category=2),
        pins=(Pin(item="A", position=1, since=date(2026, 11, 27)),),
        exploration=Exploration(share=0.1, days=14),
        depth=200,
    )
    assert read(msgspec.json.encode(rules).decode()) == rules
    assert not rules.idle


def test_short_ones() -> None:
    assert read('{"variety": {"by": "mmr"}}') == Rules(variety=Mmr())
    assert read('{"variety": {"by": "dpp", "mix": 0.2}}') == Rules(variety=Dpp(0.2))
    assert read('{"pins": [{"item": "A", "position": 3, "from": "2026-11-01"}]}').pins[0].since == date(2026, 11, 1)
    assert read("{}").idle


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('{"pins": [{"item": "A", "position": 0}]}', "position"),
        ('{"pins": [{"item": "A", "position": 1, "from": "2026-02-02", "until": "2026-02-01"}]}', "is after `until`"),
        ('{"pins": [{"item": "A", "position": 1}, {"item": "B", "position": 1}]}', "position 1 on the same day"),
        ('{"pins": [{"item": "A", "position": 1}, {"item": "A", "position": 2}]}', "'A' is pinned to two positions"),
        ('{"boosts": [{"factor": 2}]}', "not for nothing"),
        ('{"boosts": [{"item": "A", "brand": "x"}]}', r"not for \['item', 'brand'\]"),
        ('{"boosts": [{"item": "A", "factor": 0}]}', "factor"),
        ('{"exploration": {"share": 0.1}}', "say what is new"),
        ('{"exploration": {"share": 1.1, "days": 3}}', "share"),
        ('{"variety": {"by": "chance"}}', "chance"),
        ('{"caps": {"category": 0}}', "category"),
        ('{"sort": true}', "sort"),
    ],
)
def test_what_cannot_be_is_refused(written: str, said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        read(written)


def test_one_position_may_change_hands() -> None:
    first = Pin(item="A", position=1, until=date(2026, 11, 1))
    second = Pin(item="B", position=1, since=date(2026, 11, 2))
    assert Rules(pins=(first, second)).pins == (first, second)


def test_a_period_includes_both_its_days() -> None:
    period = Period(since=date(1970, 1, 3), until=date(1970, 1, 4))
    inside = [period.holds(second) for second in (2 * DAY - 1, 2 * DAY, 4 * DAY - 1, 4 * DAY)]
    assert inside == [False, True, True, False]
    assert Period().holds(0)

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serving_min.recent_codes import UNKNOWN, RecentCodes

ids = st.lists(st.text(max_size=3), unique=True, max_size=60)


def found(known: RecentCodes, asked: list[str]) -> list[int]:
    codes: list[int] = known.codes(asked).tolist()
    return codes


@given(ids, ids)
def test_tells_the_code_that_was_kept_or_nothing(kept: list[str], others: list[str]) -> None:
    """With so few slots most take another's place."""
    known = RecentCodes(len(kept), slots=16)
    for code, item in enumerate(kept):
        known.keep(item, code)
        assert found(known, [item]) == [code]
    right = {item: code for code, item in enumerate(kept)}
    asked = [*kept, *others]
    assert all(code in (UNKNOWN, right.get(item)) for item, code in zip(asked, found(known, asked), strict=True))
    assert found(known, asked) == [found(known, [item])[0] for item in asked]


def test_almost_all_of_a_catalogue_has_room() -> None:
    items = [f"item-{number}" for number in range(2_000)]
    known = RecentCodes(len(items))
    for code, item in enumerate(items):
        known.keep(item, code)
    assert sum(code == own for own, code in enumerate(found(known, items))) > 1_900


def test_memory_is_bounded() -> None:
    assert RecentCodes(10_000_000)._slots.nbytes == 16 << 20
    assert RecentCodes(0)._slots.nbytes == 64 << 10


def test_nothing_is_known_before_it_was_kept_not_even_what_hashes_to_zero() -> None:
    assert hash("") == 0
    assert found(RecentCodes(4), ["", "a"]) == [UNKNOWN, UNKNOWN]


def test_a_slot_that_is_half_written_is_nobodys() -> None:
    known = RecentCodes(1, slots=1)
    known.keep("a", 7)
    theirs = known._slots.copy()
    known.keep("b", 8)
    known._slots[0, 1] = theirs[0, 1]  # the hash is of the one, the code of the other
    assert found(known, ["a", "b"]) == [UNKNOWN, UNKNOWN]

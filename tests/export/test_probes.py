"""Awkward histories made from real ones."""

import numpy as np
import pytest

from recsys_lab.errors import ExportError
from recsys_lab.export.probes import probes
from serving_min.queries import Queries

QUERIES = Queries.from_histories(
    [[4, 5, 6], [], [7]], times=[[1, 2, 3], [], [9]], now=[10, 11, 12], attributes=np.array([[1], [2], [3]], np.int32)
)


def test_each_kind_of_history() -> None:
    found = probes(QUERIES, max_history=2)
    assert found["empty history"].lengths.tolist() == [0, 0]
    assert found["one event"].items.tolist() == [6, 7]
    assert found["repeated events"].items.tolist() == [4, 4, 5, 5, 6, 6, 7, 7]
    assert found["over-long history"].lengths.tolist() == [7, 7]
    for probe in found.values():
        assert probe.attributes.ravel().tolist() == [1, 3]


def test_over_long_histories_are_in_order_of_time_and_not_after_the_request() -> None:
    long = probes(QUERIES, max_history=2)["over-long history"]
    for start, end, now in zip(long.offsets[:-1], long.offsets[1:], long.now, strict=True):
        assert (np.diff(long.times[start:end]) >= 0).all()
        assert (long.times[start:end] <= now).all()


def test_without_any_history_there_is_nothing_to_probe() -> None:
    with pytest.raises(ExportError, match="none of 2 has a history"):
        probes(Queries.from_histories([[], []]), max_history=2)

"""Histories encoded together: each as if it were alone, whatever the order, and as few runs as are worth it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from serving_min import encoder
from serving_min.bundle import Bundle
from serving_min.encoder import company_matters, encoded, run_once
from serving_min.queries import Queries
from serving_min.vectors import Vectors
from tests.serving_min.handmade import VECTORS, write_bundle

INPUTS = ("items", "places", "cells", "events", "ages", "now")
Inputs = dict[str, NDArray[Any]]


class Sums:
    """A session whose query is the sum of the items' codes and their number; ``error`` of those in company."""

    def __init__(self, error: float = 0.0) -> None:
        self.error = error
        self.shapes: list[tuple[int, ...]] = []

    def run(self, _: list[str], inputs: Inputs) -> list[NDArray[np.float32]]:
        places = inputs["places"]
        self.shapes.append(places.shape)
        codes = np.append(inputs["items"], 0)[places]
        sums = np.stack([codes.sum(axis=1), (places >= 0).sum(axis=1)], axis=1).astype(np.float32)
        return [sums + np.float32(self.error * (len(places) > 2))]


def histories(*lengths: int) -> Queries:
    return Queries.from_histories([list(range(length)) for length in lengths])


def encode(session: Sums, queries: Queries) -> list[list[float]]:
    return encoded(session, INPUTS, queries, lambda codes: np.zeros((len(codes), 2), np.float32)).tolist()


def expected(*lengths: int) -> list[list[float]]:
    return [[length * (length - 1) / 2, length] for length in lengths]


def test_places_and_cells_are_where_the_events_lie() -> None:
    queries = Queries.from_histories([[7, 8], [9]], times=[[1, 2], [3]], now=[5, 5])
    packed = queries.packed(INPUTS)
    assert packed["items"].tolist() == [7, 8, 9]
    assert packed["ages"].tolist() == [4, 3, 2]
    assert packed["places"].tolist() == [[0, 1, *[-1] * 14], [2, *[-1] * 15]]
    assert packed["cells"].tolist() == [0, 1, 16]
    assert packed["places"].ravel()[packed["cells"]].tolist() == [0, 1, 2]


def test_a_lone_history_has_company() -> None:
    session = Sums()
    assert encode(session, histories(5)) == expected(5)
    assert session.shapes == [(2, 16)]


def test_short_histories_are_run_apart_from_long_ones_where_that_pays() -> None:
    lengths = (3, 50, 4, 16, 5, 49, 2, 1, 9)
    for run, shapes in ((10**6, [(9, 64)]), (1_000, [(2, 64), (7, 16)])):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(encoder, "RUN", run)
            session = Sums()
            assert encode(session, histories(*lengths)) == expected(*lengths)
            assert session.shapes == shapes


def test_a_large_batch_is_run_in_parts() -> None:
    lengths = tuple(np.random.default_rng(0).integers(1, 51, 100).tolist())
    session = Sums()
    assert encode(session, histories(*lengths)) == expected(*lengths)
    assert len(session.shapes) > 1
    assert max(rows * width for rows, width in session.shapes) <= encoder.PLACES


def test_kernels_for_which_company_matters_are_found() -> None:
    for error, matters in ((0.0, False), (1.0, True)):
        session = Sums(error)

        def one_size(queries: Queries, session: Sums = session) -> NDArray[np.float32]:
            return run_once(session, INPUTS, queries, lambda codes: np.zeros((len(codes), 2), np.float32))

        assert company_matters(one_size, 9, 20, 2, 0) is matters


def test_where_company_matters_histories_are_encoded_one_by_one(tmp_path: Path) -> None:
    model = Bundle.load(write_bundle(tmp_path / "b", "vector")).model
    assert isinstance(model, Vectors)
    for together, sizes in ((True, [3]), (False, [2, 2, 2])):
        session = Sums()
        asked = replace(model, encoder=session, inputs=INPUTS, together=together).encode(histories(3, 0, 2, 60))
        assert asked.tolist() == [*expected(3), [0, 0], *expected(2), [50 * (10 + 59) / 2, 50]]
        assert [rows for rows, _ in session.shapes] == sizes


def test_the_vectors_of_events_are_the_items_own(tmp_path: Path) -> None:
    model = Bundle.load(write_bundle(tmp_path / "b", "vector")).model
    assert isinstance(model, Vectors)
    assert model.of(np.array([4, 0, 5], np.int32)).tolist() == [*VECTORS[[4, 0]].tolist(), [0, 0]], "F has none"

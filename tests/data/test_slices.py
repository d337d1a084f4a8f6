"""Warm and cold targets of a fold small enough to see."""

import numpy as np

from recsys_lab.data.slices import cold_targets, with_targets
from recsys_lab.data.split import TimeSplit
from tests.conftest import MakeDataset


def test_warm_and_cold_targets_part(make_dataset: MakeDataset) -> None:
    """u1 is asked about A (warm) and C (announced, cold), u2 about C alone, u3 about B (warm)."""
    events = [("u1", 1, "B"), ("u2", 2, "A"), ("u3", 3, "A")]
    later = [("u1", 6, "A"), ("u1", 7, "C"), ("u2", 8, "C"), ("u3", 9, "B")]
    dataset = make_dataset([*events, *later], available_from={"C": 0})
    fold = TimeSplit(cutoff="1970-01-01T00:00:05", valid_window=None).split(dataset).test
    cold = cold_targets(fold)
    assert list(fold.catalogue.ids[fold.target_items]) == ["A", "C", "C", "B"]
    assert cold.tolist() == [False, True, True, False]

    warm, rows = with_targets(fold, ~cold)
    assert rows.tolist() == [0, 2]
    assert list(warm.catalogue.ids[warm.target_items]) == ["A", "B"]
    assert warm.target_offsets.tolist() == [0, 1, 2]
    assert warm.n_targets.tolist() == [1, 1]
    assert warm.queries.items.tolist() == fold.queries.take(np.array([0, 2])).items.tolist()

    part, rows = with_targets(fold, cold)
    assert rows.tolist() == [0, 1]
    assert list(part.catalogue.ids[part.target_items]) == ["C", "C"]

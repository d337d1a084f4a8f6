"""The prepared users, as a batch job reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from recsys_lab.data.dataset import Dataset
from recsys_lab.export.users import write_users
from serving_min.batch.users import Users
from serving_min.messages import Event


def test_every_user_with_the_latest_events(make_dataset: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = make_dataset(
        [("ann", 1, "A"), ("ann", 3, "C"), ("ann", 2, "B"), ("bob", 4, "A")],
        kinds=["view", "purchase", "view", "view"],
        attributes={"bob": "UK"},
    )
    path = tmp_path / "users.parquet"
    write_users(dataset, path, latest=2)
    ann, bob = Users(path).rows(0, 2)
    assert (ann.user_id, ann.user) == ("ann", {})
    assert ann.history == [Event("B", "view", 2), Event("C", "purchase", 3)]
    assert (bob.user_id, bob.history, bob.user) == ("bob", [Event("A", "view", 4)], {"country": "UK"})

"""Two processes on one processor: they agree with each other, and with one process that does both's work."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn

from recsys_lab.errors import ModelError
from recsys_lab.models.sasrec import SASRec
from recsys_lab.nn.recipe import Recipe
from recsys_lab.nn.training import train
from tests.models.conformance import checkerboard

TWO = {"devices": 2, "strategy": "ddp"}


class Line(nn.Module):
    """A table and a slope; among several processes it insists that all have the same ones."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding.from_pretrained(torch.zeros(6, 1), freeze=False)
        self.slope = nn.Parameter(torch.ones(()))

    def forward(self, batch: Tensor) -> Tensor:
        if distributed.is_initialized():
            mine = torch.cat([self.table.weight.detach().flatten(), self.slope.detach()[None]])
            others = [torch.empty_like(mine) for _ in range(distributed.get_world_size())]
            distributed.all_gather(others, mine)
            if not all(torch.equal(mine, other) for other in others):
                raise AssertionError(f"the processes have parted: {others}")
        return ((self.table(batch)[:, 0] + self.slope * batch - 2.0 * batch) ** 2).mean()


class Numbered:
    """Five batches of different rows; the fifth is left over where two share."""

    passes = 0

    def __len__(self) -> int:
        return 5

    def __iter__(self) -> Iterator[Tensor]:
        return iter([(torch.arange(3) + place + self.passes) % 6 for place in range(5)])


class FourOf(Numbered):
    def __len__(self) -> int:
        return 4

    def __iter__(self) -> Iterator[Tensor]:
        return iter(list(super().__iter__())[:4])


@pytest.mark.parametrize("changes", [{}, {"average": 0.9}, {"optimizer": "rowwise_adam"}])
def test_two_processes_do_what_one_does_with_both_batches_in_a_step(changes: dict[str, Any]) -> None:
    settings = {"learning_rate": 0.05, "max_epochs": 9, "patience": 2, **changes}
    together, alone = Line(), Line()
    scores = [0.1, 0.3, 0.2, 0.2]  # the first process decides for both
    first, second = iter(scores), iter(scores)
    curve = train(together, Numbered(), Recipe(trainer=TWO, **settings), validate=lambda: next(first))
    expected = train(
        alone, FourOf(), Recipe(trainer={"accumulate_grad_batches": 2}, **settings), validate=lambda: next(second)
    )
    assert [entry["train_loss"] for entry in curve] == pytest.approx([entry["train_loss"] for entry in expected])
    assert [entry["valid_ndcg@10"] for entry in curve] == scores
    torch.testing.assert_close(together.state_dict(), alone.state_dict())
    assert not distributed.is_initialized()


def test_a_model_learns_the_same_in_two_processes() -> None:
    settings = {"width": 16, "max_history": 8, "max_epochs": 6, "learning_rate": 0.01, "dropout": 0.0}
    two = SASRec(**settings, batch_size=10, trainer=TWO).fit(checkerboard())
    one = SASRec(**settings, batch_size=20).fit(checkerboard())
    losses = [[entry["train_loss"] for entry in model.history] for model in (two, one)]
    assert losses[0] == pytest.approx(losses[1], rel=0.03)
    assert losses[0][-1] < 0.9 * losses[0][0]


class FailsElsewhere(Line):
    def forward(self, batch: Tensor) -> Tensor:
        if distributed.get_rank() == 1:
            raise ValueError("not here")
        return super().forward(batch)


def test_a_process_that_fails_is_an_error_here() -> None:
    with pytest.raises(ModelError, match="process 1 failed"):
        train(FailsElsewhere(), Numbered(), Recipe(trainer=TWO))


def test_more_processes_than_batches_are_refused() -> None:
    with pytest.raises(ModelError, match="smaller batch_size"):
        train(Line(), FourOf(), Recipe(trainer={"devices": 5}))

"""The moving average against its recursion written out, with dense and with sparse gradients."""

import pytest
import torch
from torch import nn

from recsys_lab.nn.average import MovingAverage

ROWS = [[0, 1], [1, 1], [2], [0], [1, 2], [0]]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("settled_after", [None, 3])
def test_it_follows_the_recursion(sparse: bool, settled_after: int | None) -> None:
    torch.manual_seed(0)
    table = nn.Embedding(4, 2, sparse=sparse)
    average = MovingAverage(table, memory=0.5)
    expected = table.weight.detach().clone()
    for step, rows in enumerate(ROWS):
        table.weight.grad = None
        (table(torch.tensor(rows)) ** 2).sum().backward()
        average.before_step()
        with torch.no_grad():
            assert table.weight.grad is not None
            table.weight -= 0.3 * table.weight.grad
        average.after_step()
        kept = min(0.5, (2 + step) / (11 + step))
        expected = kept * expected + (1 - kept) * table.weight.detach()
        if step == settled_after:
            average.settle()
    average.settle()
    torch.testing.assert_close(average.average["weight"], expected)


def test_the_weights_come_back() -> None:
    layer = nn.Linear(2, 2)
    average = MovingAverage(layer, memory=0.9)
    before = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight += 1
    with average.in_place():
        assert torch.equal(layer.weight, before)
    assert torch.equal(layer.weight, before + 1)

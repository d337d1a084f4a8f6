"""Row-wise Adam by hand, what it keeps for a table, and clipping without densifying."""

import pytest
import torch
from torch import nn

from recsys_lab.errors import ConfigError
from recsys_lab.nn.optimizer import clip, optimizer_of
from recsys_lab.nn.recipe import Recipe


def test_the_first_step_of_a_row_has_the_size_of_the_learning_rate() -> None:
    """A row that is touched twice in a batch counts once, with the sum of its gradients."""
    table = nn.Embedding(5, 2)
    optimizer = optimizer_of(table, Recipe(optimizer="rowwise_adam", learning_rate=0.1))
    before = table.weight.detach().clone()
    (table(torch.tensor([1, 3, 3])) @ torch.tensor([3.0, 4.0])).sum().backward()
    optimizer.step()
    moved = before - table.weight.detach()
    # each gradient over the root of its row's mean square, (9 + 16) / 2 for row 1 and four times that for row 3
    step = 0.1 * torch.tensor([3.0, 4.0]) / 12.5**0.5
    torch.testing.assert_close(moved[[1, 3]], torch.stack([step, step]), rtol=1e-4, atol=1e-6)
    assert not moved[[0, 2, 4]].any()
    assert [tensor.shape for tensor in optimizer.state[table.weight].values()] == [(5,), (5,)]


def test_rows_that_learn_seldom_learn_like_others() -> None:
    """Row 1 is asked for in every tenth step; after as many steps of its own it is where row 0 was."""
    table = nn.Embedding.from_pretrained(torch.zeros(2, 1), freeze=False)
    optimizer = optimizer_of(table, Recipe(optimizer="rowwise_adam", learning_rate=0.01))
    seen = []
    for step in range(100):
        optimizer.zero_grad()
        ((table(torch.tensor([0] if step % 10 else [0, 1])) - 3) ** 2).sum().backward()
        optimizer.step()
        seen.append(table.weight[0].item())
    assert table.weight[1].item() == pytest.approx(seen[9], rel=1e-5)


def test_dense_gradients_are_adamw_s() -> None:
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Embedding(3, 2), nn.Linear(2, 2)) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    ours = optimizer_of(layers[0], Recipe(optimizer="rowwise_adam"))
    theirs = torch.optim.AdamW(layers[1].parameters(), lr=1e-3, weight_decay=0.0)
    for layer, optimizer in zip(layers, (ours, theirs), strict=True):
        layer(torch.tensor([0, 2])).square().sum().backward()
        optimizer.step()
    torch.testing.assert_close(layers[0][1].weight, layers[1][1].weight)


def test_a_model_without_a_table_is_refused() -> None:
    with pytest.raises(ConfigError, match="rowwise_adam"):
        optimizer_of(nn.Linear(2, 2), Recipe(optimizer="rowwise_adam"))


@pytest.mark.parametrize("sparse", [False, True])
def test_clipping_scales_all_gradients_to_the_norm(sparse: bool) -> None:
    table, other = nn.Embedding(4, 1, sparse=sparse), nn.Parameter(torch.zeros(1))
    (3 * table(torch.tensor([2, 2])).sum() + 8 * other).sum().backward()  # gradients 6 and 8: norm 10
    clip([table.weight, other], 5.0)
    assert table.weight.grad is not None
    assert other.grad is not None
    assert table.weight.grad.is_sparse == sparse
    assert table.weight.grad.to_dense()[2].item() == pytest.approx(3.0)
    assert other.grad.item() == pytest.approx(4.0)
    clip([table.weight, other], 50.0)
    assert other.grad.item() == pytest.approx(4.0)

"""The losses against torch's own cross-entropy over all items."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from recsys_lab.nn import losses
from recsys_lab.nn.losses import (
    binary_cross_entropy,
    calibrated_trust,
    full_softmax,
    own_logits,
    sampled_softmax,
)

N, D, ITEMS = 9, 5, 11


@pytest.fixture
def problem() -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    hidden = torch.randn(N, D, dtype=torch.float64, generator=random, requires_grad=True)
    table = torch.randn(ITEMS, D, dtype=torch.float64, generator=random, requires_grad=True)
    return hidden, table, torch.randint(ITEMS, (N,), generator=random)


@pytest.fixture(params=[1, 4, N, N + 1])
def rows_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "FEWEST_ROWS", request.param)
    monkeypatch.setattr(losses, "LOGITS_ON_CPU", 1)


@pytest.mark.usefixtures("rows_at_once")
def test_full_softmax_is_cross_entropy_in_value_and_gradient(problem: tuple[Tensor, Tensor, Tensor]) -> None:
    hidden, table, targets = problem
    expected = functional.cross_entropy(hidden @ table.T, targets)
    found = full_softmax(hidden, table, targets)
    torch.testing.assert_close(found, expected)
    wanted = torch.autograd.grad(3 * expected, (hidden, table))
    torch.testing.assert_close(torch.autograd.grad(3 * found, (hidden, table)), wanted)


@pytest.mark.usefixtures("rows_at_once")
def test_full_softmax_by_finite_differences(problem: tuple[Tensor, Tensor, Tensor]) -> None:
    hidden, table, targets = problem
    assert torch.autograd.gradcheck(lambda h, t: full_softmax(h, t, targets), (hidden, table))


def test_full_softmax_stands_large_logits() -> None:
    hidden = torch.tensor([[300.0], [-300.0]], requires_grad=True)
    table = torch.tensor([[1.0], [-1.0]])
    loss = full_softmax(hidden, table, torch.tensor([1, 1]))
    assert loss.item() == 300  # 600 for the first, 0 for the second
    loss.backward()
    assert hidden.grad is not None
    assert hidden.grad.tolist() == [[1.0], [0.0]]


def test_sampled_softmax_is_unbiased_in_the_denominator(problem: tuple[Tensor, Tensor, Tensor]) -> None:
    """Draws from a skewed q, corrected by it, add up to the rest of the full softmax."""
    hidden, table, targets = (part.detach() for part in problem)
    logits = hidden @ table.T
    q = torch.arange(1, ITEMS + 1, dtype=torch.float64)
    q /= q.sum()
    drawn = torch.multinomial(q, 200_000, replacement=True, generator=torch.Generator().manual_seed(1))
    positive = logits.gather(1, targets[:, None])[:, 0]
    found = sampled_softmax(positive, logits[:, drawn], q.log()[drawn], targets[:, None] == drawn)
    expected = functional.cross_entropy(logits, targets)
    assert found.item() == pytest.approx(expected.item(), rel=5e-3)
    uncorrected = sampled_softmax(positive, logits[:, drawn], torch.zeros(len(drawn)), targets[:, None] == drawn)
    assert uncorrected.item() != pytest.approx(expected.item(), rel=5e-2)


def test_draws_of_the_target_itself_do_not_count() -> None:
    positive = torch.tensor([2.0], requires_grad=True)
    loss = sampled_softmax(positive, torch.tensor([[2.0, 2.0]]), torch.zeros(2), torch.tensor([[True, True]]))
    assert loss.item() == 0
    loss.backward()
    assert positive.grad is not None
    assert positive.grad.tolist() == [0]


@pytest.mark.parametrize("numbers_at_once", [1, 2 * 3 * D, 10_000])
def test_own_logits_are_products_with_each_positions_rows(
    problem: tuple[Tensor, Tensor, Tensor], numbers_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "LOGITS_ON_CPU", numbers_at_once)
    hidden, table, _ = problem
    codes = torch.randint(ITEMS, (N, 3), generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(own_logits(hidden, table, codes), (hidden @ table.T).gather(1, codes))
    assert torch.autograd.gradcheck(lambda h, t: own_logits(h, t, codes), (hidden, table))


def test_binary_cross_entropy_by_hand() -> None:
    right, wrong = torch.tensor([0.0, 0.0]), torch.tensor([[0.0, 0.0], [0.0, 9.0]])
    hits = torch.tensor([[False, False], [False, True]])
    found = binary_cross_entropy(right, wrong, hits)
    assert found.item() == pytest.approx(math.log(2) * (3 + 2) / 2 / 3)
    found = binary_cross_entropy(right, wrong, hits, trust=0.5)
    assert found.item() == pytest.approx(math.log(2) * (2.5 + 1.5) / 2 / 3)


def test_calibration_runs_from_plain_bce_to_the_sampling_rate() -> None:
    assert calibrated_trust(10, 101, 0) == pytest.approx(1)
    assert calibrated_trust(10, 101, 1) == pytest.approx(0.1)
    assert calibrated_trust(10, 101, 0.75) == pytest.approx(0.325)
    assert calibrated_trust(500, 101, 0.75) == 1, "more draws than items: nothing to correct"


def test_full_calibration_recovers_the_probabilities() -> None:
    """One history, items with shares .7 .2 .1: gBCE at t = 1 with uniform negatives gives their sigmoids."""
    torch.manual_seed(0)
    shares = torch.tensor([0.7, 0.2, 0.1])
    logits = torch.zeros(3, requires_grad=True)
    trust = calibrated_trust(1, 3, 1.0)
    for _ in range(60):
        # in expectation: each share as the right answer, each of the other two equally likely drawn as the wrong one
        right, wrong = logits.repeat_interleave(2), logits[[1, 2, 0, 2, 0, 1]]
        weights = shares.repeat_interleave(2) / 2
        each = [
            binary_cross_entropy(r[None], w[None, None], torch.zeros(1, 1, dtype=torch.bool), trust)
            for r, w in zip(right, wrong, strict=True)
        ]
        loss = (torch.stack(each) * weights).sum()
        (gradient,) = torch.autograd.grad(loss, logits)
        logits = (logits - 20 * gradient).detach().requires_grad_()
    torch.testing.assert_close(torch.sigmoid(logits.detach()), shares, atol=1e-3, rtol=0)

"""Draws from four items of which two have events, one and nine."""

import numpy as np
import pytest
import torch

from recsys_lab.nn.negatives import NegativeSampler

COUNTS = np.array([1, 0, 9, 0])
TARGETS = torch.tensor([2] * 9 + [0])  # a batch as the data are


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(
    ("source", "power", "shares"),
    [
        ("popularity", 1.0, [0.1, 0, 0.9, 0]),
        ("popularity", 0.5, [0.25, 0, 0.75, 0]),
        ("uniform", 1.0, [0.5, 0, 0.5, 0]),
        ("in_batch", 0.5, [0.1, 0, 0.9, 0]),
        ("mixed", 0.5, [0.3, 0, 0.7, 0]),
    ],
)
def test_items_are_drawn_as_often_as_log_q_says(source: str, power: float, shares: list[float], shared: bool) -> None:
    sampler = NegativeSampler(COUNTS, size=4_000, source=source, power=power, shared=shared)
    torch.manual_seed(0)
    drawn, log_q = sampler.draw(TARGETS)
    assert drawn.shape == log_q.shape == ((4_000,) if shared else (10, 4_000))
    torch.testing.assert_close(sampler.log_q.exp(), torch.tensor(shares))
    torch.testing.assert_close(log_q, sampler.log_q[drawn])
    torch.testing.assert_close(
        drawn.flatten().bincount(minlength=4) / drawn.numel(), sampler.log_q.exp(), atol=0.02, rtol=0
    )
    assert sampler.n_items == 2

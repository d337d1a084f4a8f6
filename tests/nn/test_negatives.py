import numpy as np
import pytest
import torch

from recsys_lab.nn.negatives import NegativeSampler


@pytest.mark.parametrize(
    ("power", "shares"), [(1.0, [0.1, 0, 0.9, 0]), (0.5, [0.25, 0, 0.75, 0]), (0.0, [0.5, 0, 0.5, 0])]
)
def test_items_are_drawn_by_a_power_of_their_counts(power: float, shares: list[float]) -> None:
    sampler = NegativeSampler(np.array([1, 0, 9, 0]), power)
    torch.testing.assert_close(sampler.log_q.exp(), torch.tensor(shares))
    torch.manual_seed(0)
    drawn = torch.bincount(sampler.draw(20_000), minlength=4) / 20_000
    torch.testing.assert_close(drawn, torch.tensor(shares), atol=0.02, rtol=0)
    assert drawn[1] == drawn[3] == 0

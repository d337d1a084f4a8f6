import torch

from recsys_lab.nn.encoder import GAPS, doublings, gaps_of, initialise


def test_gaps_end_at_the_question() -> None:
    ages = torch.tensor([[0.0, 90.0, 30.0], [7.0, 7.0, 0.0]])
    assert gaps_of(ages).tolist() == [[0, 60, 30], [0, 7, 0]]


def test_gaps_are_told_apart_by_doublings() -> None:
    seconds = torch.tensor([-1, 0, 0.5, 1, 1.5, 2, 3, 4, 2.0**40])
    assert doublings(seconds).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, GAPS - 1]


def test_initialisation_schemes() -> None:
    torch.manual_seed(0)
    network = torch.nn.ModuleList([torch.nn.Embedding(4_000, 100, padding_idx=0), torch.nn.Linear(100, 100)])
    for scheme, table, linear in (("normal", 0.02, 0.02), ("xavier", (2 / 4_100) ** 0.5, 0.1)):
        initialise(network, scheme)
        weights = [network[0].weight, network[1].weight]
        torch.testing.assert_close(
            torch.stack([w.std() for w in weights]), torch.tensor([table, linear]), rtol=0.05, atol=0
        )
        assert not network[0].weight[0].any()
        assert not network[1].bias.any()

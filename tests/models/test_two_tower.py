"""The two towers on block structure, a cold item, and their graph."""

from recsys_lab.models.two_tower import TwoTower
from tests.models.conformance import RecommenderConformance


class TestTwoTower(RecommenderConformance):
    model = TwoTower
    settings = {"width": 16, "max_history": 8, "batch_size": 64, "max_epochs": 10, "learning_rate": 0.01}

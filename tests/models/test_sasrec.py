"""SASRec on a planted Markov chain, and its graph."""

from recsys_lab.models.sasrec import SASRec
from tests.models.conformance import RecommenderConformance


class TestSASRec(RecommenderConformance):
    model = SASRec
    settings = {"width": 16, "max_history": 8, "batch_size": 32, "max_epochs": 20, "learning_rate": 0.01}

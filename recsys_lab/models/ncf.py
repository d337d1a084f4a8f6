"""Neural collaborative filtering: factors of user and item, multiplied and in a deep network, rank candidates.

He, Liao, Zhang, Nie, Hu & Chua, "Neural collaborative filtering", WWW 2017, §3.4 (NeuMF).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys_lab.models.neural_ranker import NeuralRanker

if TYPE_CHECKING:
    from recsys_lab.nn.ranking import RankingNetwork


class NCF(NeuralRanker):
    """The user is the mean of the factors that the latest ``max_history`` events bring, so strangers have some too."""

    def _network(self) -> RankingNetwork:
        from recsys_lab.nn.ranking import NCFNetwork

        return NCFNetwork(**self._shape)

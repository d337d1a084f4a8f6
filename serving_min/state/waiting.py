"""Events that wait for the state store to come back."""

from __future__ import annotations

from itertools import islice

from serving_min.state.store import Arrival, Touch


class Waiting:
    """At most ``size`` arrivals, each id once; the oldest make room and are counted as ``lost``."""

    def __init__(self, size: int) -> None:
        self.size, self.lost = size, 0
        self._by_id: dict[str, Arrival] = {}
        self._by_user: dict[str, dict[str, Touch | None]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def put(self, arrival: Arrival) -> bool:
        """Whether its id was not waiting already."""
        if arrival.id in self._by_id:
            return False
        self._by_id[arrival.id] = arrival
        self._by_user.setdefault(arrival.user, {})[arrival.id] = arrival.touch
        if len(self._by_id) > self.size:
            self.lost += 1
            self.take(next(iter(self._by_id)))
        return True

    def take(self, identity: str) -> None:
        """It waits no longer, if it did."""
        arrival = self._by_id.pop(identity, None)
        if arrival is None:
            return
        touches = self._by_user[arrival.user]
        del touches[identity]
        if not touches:
            del self._by_user[arrival.user]

    def oldest(self, count: int) -> list[Arrival]:
        return list(islice(self._by_id.values(), count))

    def of(self, user: str) -> list[Touch]:
        return [touch for touch in self._by_user.get(user, {}).values() if touch is not None]

    def drop(self, user: str) -> int:
        """Take all of a user's; how many there were."""
        mine = list(self._by_user.get(user, {}))
        for identity in mine:
            self.take(identity)
        return len(mine)

    def give_up(self) -> int:
        """Count all as lost; how many there were."""
        left = len(self._by_id)
        self.lost += left
        self._by_id.clear()
        self._by_user.clear()
        return left

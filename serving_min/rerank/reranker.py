"""One surface's rules, applied to what was found for one query: the same code in the server and in the lab."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from serving_min.bounds import Bounds
from serving_min.items import Labels
from serving_min.rerank.calibration import ToMix
from serving_min.rerank.exploration import Explorer
from serving_min.rerank.facts import Facts
from serving_min.rerank.fading import faded
from serving_min.rerank.fit import must_fit
from serving_min.rerank.found import NEW, PINNED, Codes, Found, Mask, Ranked
from serving_min.rerank.promotion import Promotion
from serving_min.rerank.selection import Room, foremost, select
from serving_min.rerank.variety import Among, ByScore, Determinantal, MarginalRelevance, Picker, Similarity
from serving_min.rules import Calibrated, Mmr, Rules

NOBODY: Codes = np.zeros(0, np.int32)
NOBODY_ELSE = Found(NOBODY, np.zeros(0, np.float32), np.zeros(0, np.bool_), [])
NOTHING_DISMISSED: Mapping[int, float] = MappingProxyType({})
DEEPER = 4  # times as many are fetched at each further look, so that there are few
WIDE = 2_500  # candidates: to vary a long list among many more would hold up others


class Reranker:
    """``rules`` for the items of ``facts``. Holds no state between calls, so threads may share it.

    Variety is looked for among as many candidates as the first look finds, or ``wide`` if that is more.

    Ask the retrievers for what ``asks`` says, then hand what they found to ``rank``. Raises BundleError when rules
    speak of what these items do not have.
    """

    def __init__(self, rules: Rules, facts: Facts, *, wide: int = WIDE) -> None:
        self.rules = rules
        self.wide = wide
        self.idle = rules.idle
        self.facts = facts
        must_fit(rules, facts)
        columns = {
            "category": (facts.items.category, rules.caps.category),
            "brand": (facts.items.brand, rules.caps.brand),
        }
        self._caps: dict[str, tuple[Labels, int]] = {
            name: (labels, most) for name, (labels, most) in columns.items() if labels is not None and most is not None
        }
        self._promotion = Promotion(rules, facts.items)
        caps = {name: most for name, (_, most) in self._caps.items()}
        self._explorer = None if rules.exploration is None else Explorer(rules.exploration, facts, caps)

    def asks(self, bounds: Bounds, now: int) -> Bounds:
        """The bounds within which to look, for a list within ``bounds`` at ``now`` (epoch seconds): with the rules'
        filters, and as deep as they want."""
        if self.idle:
            return bounds
        k = max(bounds.k, self.rules.depth) if self.rules.reorder else bounds.k
        return _narrowed(replace(bounds, k=k), self.facts.items.allowed(self.rules.filters, now))

    def rank(self, *asked: Any, more: Callable[[Bounds], Found] | None = None, **named: Any) -> Ranked:
        """What comes of ``steps``, which takes the same. ``more`` finds the best, and the fallback's, within narrower
        bounds; without it a cap may leave fewer than k."""
        steps = self.steps(*asked, **named)
        again: Found | None = None
        while True:
            try:
                bounds = next(steps) if again is None else steps.send(again)
            except StopIteration as done:
                ranked: Ranked = done.value
                return ranked
            again = NOBODY_ELSE if more is None else more(bounds)

    def steps(
        self,
        found: Found,
        asked: Bounds,
        k: int,
        *,
        now: int,
        seed: int = 0,
        history: Codes = NOBODY,
        dismissed: Mapping[int, float] = NOTHING_DISMISSED,
    ) -> Generator[Bounds, Found, Ranked]:
        """The list of k of what was ``found`` within ``asked`` bounds.

        As long as caps leave fewer, narrower bounds are yielded, and what is best within them is to be sent.
        ``history`` are the user's items, ``dismissed`` those that are to fade (by code: how strongly, from 0 to 1);
        ``seed`` (``exploration.seed_of``) decides what is drawn by lot.
        """
        pins, depth = self._pins(asked, k, now), asked.k
        wide = max(self.wide, len(found) + len(pins)) if self.rules.varied else len(self.facts.items)
        while True:  # once more for each time that caps closed what was found
            shown = faded(found, dismissed, self.facts)
            promoted = self._promotion.applied(shown, now).with_pinned([*pins.values()])
            order = promoted.order()
            codes = promoted.codes[order]
            rooms = {name: Room(labels.codes[codes], most) for name, (labels, most) in self._caps.items()}
            pinned = {position: int((codes == code).argmax()) for position, code in pins.items()}
            some = foremost(wide, len(order), [*rooms.values()], [*pinned.values()])
            picker = self._picker(promoted, order[some], history, k)
            if len(some) < len(order) and not isinstance(picker, ByScore):
                picker = Among(some, picker)
            first = len(order) - int(np.count_nonzero(promoted.filled))
            places = select(k, picker, len(order), [*rooms.values()], pinned, first)
            if len(places) == k or not any(room.full for room in rooms.values()):
                break
            depth = min(DEEPER * depth, len(self.facts.items))
            grown = found.with_more((yield self._with_room(replace(asked, k=depth), rooms)))
            if len(grown) == len(found):
                break
            found = grown
        chosen = promoted.taken(order[places])
        return self._explored(chosen, [*pins.values()], replace(asked, k=k), now, seed, dismissed)

    def _pins(self, asked: Bounds, k: int, now: int) -> dict[int, int]:
        """Item codes by position: those of today that the list may hold."""
        if not self.rules.pins:
            return {}
        known = self.facts.items.codes
        today = [pin for pin in self.rules.pins if pin.holds(now) and pin.position <= k and pin.item in known]
        codes = np.array(sorted(known[pin.item] for pin in today), np.int32)
        inside = set(codes[asked.within(codes)].tolist())
        return {pin.position: known[pin.item] for pin in today if known[pin.item] in inside}

    def _picker(self, found: Found, order: NDArray[np.int64], history: Codes, k: int) -> Picker:
        """Of the candidates at the places ``order``, best first."""
        variety = self.rules.variety
        if variety is None or not self.rules.varied:
            return ByScore()
        candidates = found.taken(order)
        shares, codes = candidates.shares(), candidates.codes
        if isinstance(variety, Calibrated):
            mix = self.facts.mix
            if mix is None:
                return ByScore()
            mine, wanted = mix.wanted(history)
            if not len(mine):
                return ByScore()
            labels, groups = np.unique(mix.labels[codes], return_inverse=True)
            return ToMix(shares, mix.shares(labels, mine), groups, wanted, variety.mix, variety.smoothing)
        similarity = Similarity(self.facts, codes)
        if isinstance(variety, Mmr):
            return MarginalRelevance(shares, similarity, variety.mix)
        return Determinantal(shares, similarity, variety.mix, k)

    def _with_room(self, asked: Bounds, rooms: dict[str, Room]) -> Bounds:
        """Without the categories and brands that the list has enough of."""
        for name, room in rooms.items():
            asked = _narrowed(asked, ~self._caps[name][0].labelled(room.full))
        return asked

    def _explored(
        self,
        chosen: Found,
        pinned: Sequence[int],
        bounds: Bounds,
        now: int,
        seed: int,
        dismissed: Mapping[int, float],
    ) -> Ranked:
        drawn: Mapping[int, tuple[int, float]] = {}
        if self._explorer is not None:
            drawn = self._explorer.explore(chosen.codes.tolist(), pinned, bounds, now, seed, dismissed)
        chosen = chosen.with_pinned([code for place, (code, _) in sorted(drawn.items()) if place >= len(chosen)])
        codes, reasons, filled = chosen.codes.copy(), list(chosen.reasons), chosen.filled.copy()
        propensity = np.ones(len(codes))
        for code in pinned:
            for place in np.flatnonzero(codes == code).tolist():
                reasons[place], filled[place] = PINNED, False
        for place, (code, probability) in drawn.items():
            codes[place], propensity[place] = code, probability
            reasons[place], filled[place] = NEW, False
        return Ranked(codes, chosen.scores.copy(), filled, reasons, propensity)


def _narrowed(bounds: Bounds, allowed: Mask | None) -> Bounds:
    if allowed is None:
        return bounds
    return replace(bounds, allowed=allowed if bounds.allowed is None else bounds.allowed & allowed)

"""Where training ends and asking begins. The default respects one clock for everybody.

A shop trains today and recommends tomorrow, so an honest test asks about events later than
everything that was learned. ``TimeSplit`` cuts the log at one moment for all users:

    user | time | item        cutoff 5, window 4, targets "window"
    -----+------+-----
     u1  |  1   |  A          train, history of u1
     u2  |  2   |  A          train, history of u2
     u1  |  4   |  B          train, history of u1
     u1  |  6   |  C          target of u1
     u2  |  7   |  B          target of u2
     u3  |  8   |  A          target of u3, who has no history: a cold user
     u1  |  9   |  D          outside the window; D is a cold item anyway

The protocols of published tables are in ``published.py``.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data.fold import Fold, Split
from recsys_lab.data.log import InteractionLog
from recsys_lab.data.moments import duration, iso, moment
from recsys_lab.data.questions import Questions, build_fold
from recsys_lab.errors import ConfigError, SplitError

if TYPE_CHECKING:
    from recsys_lab.data.dataset import Dataset


@dataclass(frozen=True, kw_only=True)
class Splitter(ABC):
    """A protocol that turns a data set into folds.

    ``exclude_seen``: items of the history are neither recommended nor targets. ``cold_items``:
    targets that nobody can know at the cutoff are dropped, count as misses, or are announced: the
    catalogue has them, without events, as a shop lists what it will sell next (the audit's finding
    vocabulary-from-the-past must then be allowed). ``cold_users``: queries without history are
    dropped or kept. ``refit``: the final model learns from everything before the test part, after
    the validation part has chosen its number of epochs.
    ``target_events``: event types that count as targets (None = all). ``allow``: names of audit
    findings that this protocol accepts.
    """

    name: ClassVar[str]
    leaks: ClassVar[bool] = False

    exclude_seen: bool = True
    cold_items: Literal["drop", "miss", "announce"] = "drop"
    cold_users: Literal["drop", "keep"] = "drop"
    refit: bool = True
    target_events: tuple[str, ...] | None = None
    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        one_of("cold_items", self.cold_items, ("drop", "miss", "announce"))
        one_of("cold_users", self.cold_users, ("drop", "keep"))
        for name, value in (("target_events", self.target_events), ("allow", self.allow)):
            if isinstance(value, str):
                raise ConfigError(f"split.{name}: {value!r} is no list; write [{value}]")

    @abstractmethod
    def folds(self, dataset: Dataset) -> tuple[Fold | None, Fold]:
        """The validation fold, if the protocol has one, and the test fold."""

    def settings(self) -> dict[str, object]:
        """What the fingerprint covers and the report shows."""
        return asdict(self)

    def split(self, dataset: Dataset) -> Split:
        """Raises SplitError or ConfigError when the protocol does not fit the data."""
        valid, test = self.folds(dataset)
        settings = self.settings()
        described = json.dumps([dataset.fingerprint, self.name, settings], sort_keys=True)
        return Split(
            name=self.name,
            test=test,
            valid=valid,
            exclude_seen=self.exclude_seen,
            refit=self.refit,
            leaks=self.leaks,
            fingerprint=hashlib.sha256(described.encode()).hexdigest(),
            allowed=tuple(self.allow),
            settings=settings,
        )

    def may_be_target(self, log: InteractionLog) -> NDArray[np.bool_]:
        """The events of the wanted types, [N]."""
        if self.target_events is None:
            return np.ones(len(log), np.bool_)
        unknown = set(self.target_events) - set(log.event_names)
        if unknown:
            raise ConfigError(
                f"split.target_events: no event {sorted(unknown)} here; there are {list(log.event_names)}"
            )
        return np.isin(log.events, [log.event_names.index(name) for name in self.target_events])


@dataclass(frozen=True, kw_only=True)
class TimeSplit(Splitter):
    """One cutoff for everybody: train before it, targets in the ``window`` after it.

    ``cutoff`` is a date, a share of the events or a duration before the log's end; ``window`` a
    duration, or None for all that follows. ``targets``: all events of the window ("window", asked
    at the cutoff), those of the first second in it ("next", likewise), or each second's events from
    everything before it ("successive"). Events of one second are one query: their order is unknown.
    ``valid_window`` is the length of the validation window right before the cutoff (None = no
    validation fold).
    """

    name: ClassVar[str] = "time"

    cutoff: str | float = "28d"
    window: str | int | None = None
    valid_window: str | int | None = "28d"
    targets: Literal["window", "next", "successive"] = "window"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("targets", self.targets, ("window", "next", "successive"))
        moment(self.cutoff, np.zeros(1, np.int64), argument="split.cutoff")  # how it is written, in no log yet
        for name, length in (("window", self.window), ("valid_window", self.valid_window)):
            if length is not None:
                duration(length, argument=f"split.{name}")

    def folds(self, dataset: Dataset) -> tuple[Fold | None, Fold]:
        if dataset.order_only:
            raise SplitError(f"split: {dataset.name} has an order but no clock; use split=leave_one_out")
        times = dataset.log.times
        cutoff = moment(self.cutoff, times, argument="split.cutoff")
        if not times.min() < cutoff <= times.max():
            span = f"from {iso(times.min())} to {iso(times.max())}"
            raise SplitError(f"split.cutoff: {iso(cutoff)} is outside the log, which runs {span}")
        end = int(times.max()) + 1 if self.window is None else cutoff + duration(self.window, argument="split.window")
        if self.valid_window is None:
            return None, self._fold(dataset, cutoff, cutoff, end)
        valid_cutoff = cutoff - duration(self.valid_window, argument="split.valid_window")
        if valid_cutoff <= times.min():
            raise SplitError(
                f"split.valid_window: {self.valid_window} before {iso(cutoff)} leaves no training event; "
                "shorten it or set split.valid_window=null"
            )
        valid = self._fold(dataset, valid_cutoff, valid_cutoff, cutoff)
        return valid, self._fold(dataset, cutoff if self.refit else valid_cutoff, cutoff, end)

    def _fold(self, dataset: Dataset, trained_until: int, start: int, end: int) -> Fold:
        log = dataset.log
        rows = np.flatnonzero(self.may_be_target(log) & (log.times >= start) & (log.times < end))
        if len(rows) == 0:
            raise SplitError(f"split: no target event between {iso(start)} and {iso(end)}; move or widen the window")
        if self.targets == "successive":
            questions = _ask_each_second(log, rows)
        else:
            questions = _ask_at(log, rows, start, only_first=self.targets == "next")
        return build_fold(dataset, log.times < trained_until, questions, self, cutoff=trained_until)


def _ask_at(log: InteractionLog, rows: NDArray[np.int64], now: int, *, only_first: bool) -> Questions:
    """One query per user of ``rows``, asked at ``now`` from the events before it."""
    users, owners = np.unique(log.users[rows], return_inverse=True)
    if only_first:
        first = np.full(len(users), np.iinfo(np.int64).max)
        np.minimum.at(first, owners, log.times[rows])
        keep = log.times[rows] == first[owners]
        rows, owners = rows[keep], owners[keep]
    later = np.concatenate([[0], (log.times >= now).cumsum()])
    ends = log.offsets[users + 1] - (later[log.offsets[users + 1]] - later[log.offsets[users]])
    return Questions(users, ends, np.full(len(users), now, np.int64), rows, owners)


def _ask_each_second(log: InteractionLog, rows: NDArray[np.int64]) -> Questions:
    """One query per user and second of ``rows``, from everything strictly earlier."""
    begins = np.concatenate([[True], (np.diff(log.users) != 0) | (np.diff(log.times) != 0)])
    second = np.maximum.accumulate(np.where(begins, np.arange(len(log)), 0))[rows]
    ends, owners = np.unique(second, return_inverse=True)
    return Questions(log.users[ends], ends, log.times[ends], rows, owners)


def one_of(argument: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raises ConfigError that lists what would work."""
    if value not in allowed:
        raise ConfigError(f"split.{argument}: {value!r} is none of {', '.join(allowed)}")

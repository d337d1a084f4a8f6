"""Which bundles answer beside the live one."""

from __future__ import annotations

from math import fsum
from typing import Annotated, Literal

from msgspec import Meta, Struct

from serving_min.fleet.health import Budget

Role = Literal["share", "canary", "shadow"]


class Other(Struct, frozen=True, forbid_unknown_fields=True):
    """A bundle beside the live one, and the ``share`` of the users that it answers. A ``canary`` leaves by itself when
    it breaks its budget; a ``shadow`` answers too, but nobody sees what."""

    bundle: Annotated[str, Meta(min_length=1)]
    role: Role
    share: Annotated[float, Meta(gt=0, le=1)]


class FleetSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What the shares of ``others`` leave is the live bundle's. Each canary has the ``budget``."""

    others: tuple[Other, ...] = ()
    budget: Budget = Budget()

    def __post_init__(self) -> None:
        shares = fsum(other.share for other in self.others if other.role != "shadow")
        if shares > 1 + 1e-9:  # decimals are no sums of powers of two
            raise ValueError(f"the shares of `others` are {shares:g} together; leave them at 1 or less")
        if len({other.bundle for other in self.others}) < len(self.others):
            raise ValueError("`others` name a bundle twice")

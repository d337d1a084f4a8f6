"""What ``GET /admin/fleet`` shows."""

from __future__ import annotations

from msgspec import Struct


class Member(Struct, frozen=True, omit_defaults=True):
    """A loaded bundle; ``slow`` and ``window`` are of the latest answers."""

    role: str
    share: float
    name: str
    version: str
    answered: int
    failed: int
    slow: int
    window: int
    bundle: str = ""
    compared: int = 0
    same: int = 0
    overlap: float | None = None


class Status(Struct, frozen=True):
    """``left`` says which canaries had to go, and why."""

    members: list[Member]
    left: list[str]

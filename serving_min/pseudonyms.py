"""User ids that cannot be read back."""

from __future__ import annotations

import hmac


def pseudonym(user: str, salt: str | None) -> str:
    """The same 32 hexadecimal digits for the same user and salt (HMAC-SHA-256); without a salt the id itself."""
    return user if salt is None else hmac.digest(salt.encode(), user.encode(), "sha256").hex()[:32]

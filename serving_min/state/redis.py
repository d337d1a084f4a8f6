"""The state that several processes share, in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from serving_min.errors import StartError
from serving_min.state.store import KEPT, TTL, WINDOW, Arrival, Status, Touch, in_order

ADD = """
-- KEYS: (user, id) of each event; ARGV: events kept, ttl, window, then each event, or nothing
local fresh = {}
for n = 1, #KEYS / 2 do
  local user, id = KEYS[2 * n - 1], KEYS[2 * n]
  fresh[n] = redis.call('SET', id, '', 'NX', 'EX', ARGV[3]) and 1 or 0
  if fresh[n] == 1 and ARGV[3 + n] ~= '' then
    redis.call('RPUSH', user, ARGV[3 + n])
    redis.call('LTRIM', user, -tonumber(ARGV[1]), -1)
    redis.call('EXPIRE', user, ARGV[2])
  end
end
return fresh
"""


class RedisStore:
    """One list of packed events for each user, one empty key for each event id; both expire by themselves.

    A batch is one script, so it is written as a whole, in one round trip; that wants one Redis rather than a cluster.
    Nothing is tried twice here and nothing takes longer than ``timeout`` seconds: TimeoutError or ``redis.RedisError``
    is left to :class:`serving_min.state.resilient.ResilientStore`.
    """

    def __init__(
        self,
        url: str,
        *,
        kept: int = KEPT,
        ttl: int = TTL,
        window: int = WINDOW,
        timeout: float = 0.05,
        prefix: str = "recsys:",
    ) -> None:
        redis = _client()
        self.kept, self.ttl, self.window, self.timeout, self.prefix = kept, ttl, window, timeout, prefix
        self.failures: tuple[type[Exception], ...] = (TimeoutError, OSError, redis.RedisError)
        try:
            self._redis = redis.asyncio.Redis.from_url(url, retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0))
        except ValueError as error:
            raise StartError(f"redis: {url!r} is no address; write redis://HOST:PORT/DATABASE ({error})") from error
        self._add = self._redis.register_script(ADD)
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Touch).decode

    async def start(self) -> None:
        """Raises what the first contact raises."""
        async with asyncio.timeout(max(1.0, self.timeout)):
            await self._redis.ping()

    async def stop(self) -> None:
        await self._redis.aclose()

    async def read(self, user: str) -> list[Touch]:
        async with asyncio.timeout(self.timeout):
            packed = await self._redis.lrange(self._user(user), 0, -1)
        return in_order([self._decode(touch) for touch in packed])

    async def add(self, arrivals: Sequence[Arrival]) -> list[bool]:
        keys = [key for each in arrivals for key in (self._user(each.user), f"{self.prefix}id:{each.id}")]
        touches = [b"" if each.touch is None else self._encode(each.touch) for each in arrivals]
        async with asyncio.timeout(self.timeout):
            fresh = await self._add(keys, [self.kept, self.ttl, self.window, *touches])
        return [flag == 1 for flag in fresh]

    async def forget(self, user: str) -> int:
        async with asyncio.timeout(self.timeout), self._redis.pipeline(transaction=True) as pipeline:
            pipeline.llen(self._user(user))
            pipeline.delete(self._user(user))
            count, _ = await pipeline.execute()
        return int(count)

    def status(self) -> Status:
        return Status("redis")

    def _user(self, user: str) -> str:
        return f"{self.prefix}user:{user}"


def _client() -> Any:
    try:
        import redis.asyncio
        import redis.backoff
        import redis.retry
    except ImportError as error:
        raise StartError("redis: the package is missing; pip install redis") from error
    return redis

"""The state that several processes share, in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from serving_min.errors import StartError
from serving_min.state.rounds import Rounds
from serving_min.state.store import KEPT, TTL, WINDOW, Arrival, Status, Touch, in_order

LINE = 64  # bytes that an event may take on average; most take half of it
LONGEST = 4_096  # that one event may take
AT_ONCE = 100  # events in one script: nobody else is served meanwhile
ADD = """
-- KEYS: (user, id) of each event; ARGV: events and bytes kept, ttl, window, then each event as a line, or nothing
local kept, room = tonumber(ARGV[1]), tonumber(ARGV[2])
local function latest(lines)  -- by time, which ends each line; more than there is room for
  local found = {}
  for line in string.gmatch(lines, '[^\\n]+\\n') do
    found[#found + 1] = {line = line, time = tonumber(string.match(line, '.*,(%d+)')), place = #found}
  end
  table.sort(found, function(a, b) return a.time < b.time or a.time == b.time and a.place < b.place end)
  local first, size = #found + 1, 0
  repeat
    first = first - 1
    found[first] = found[first].line
    size = size + #found[first]
  until size > room or #found - first == kept
  return table.concat(found, '', first + 1)
end
local fresh = {}
for n = 1, #KEYS / 2 do
  local user, id = KEYS[2 * n - 1], KEYS[2 * n]
  fresh[n] = redis.call('SET', id, '', 'NX', 'EX', ARGV[4]) and 1 or 0
  if fresh[n] == 1 and ARGV[4 + n] ~= '' then
    local size = redis.pcall('APPEND', user, ARGV[4 + n])
    if type(size) == 'table' then
      redis.call('DEL', id)
      if not string.find(size.err, 'WRONGTYPE', 1, true) then return size end
    else
      if size > 2 * room then redis.call('SET', user, latest(redis.call('GET', user))) end
      redis.call('EXPIRE', user, ARGV[3])
    end
  end
end
return fresh
"""


class RedisStore:
    """A string of JSON lines for each user, an empty key for each event id; both expire by themselves.

    Of a user the latest ``kept`` events by their time are read, or as many as fit into 64 bytes each. An event
    and its id are kept together or not at all: not where a key of another type has the user's name. A script writes
    many events, which wants one Redis rather than a cluster. All who ask at a time share a round trip, since the client
    takes longer over one than Redis does.

    Nothing is tried twice here and no round trip takes longer than ``timeout`` seconds: TimeoutError or
    ``redis.RedisError`` is left to :class:`serving_min.state.resilient.ResilientStore`.
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
        self.room = max(kept * LINE, LONGEST)
        self.failures: tuple[type[Exception], ...] = (TimeoutError, OSError, redis.RedisError)
        try:
            self._redis = redis.asyncio.Redis.from_url(url, retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0))
        except ValueError as error:
            shown = url.rpartition("@")[2]  # no password
            raise StartError(f"redis: {shown!r} is no address; write redis://HOST:PORT/DATABASE ({error})") from None
        self._script = self._redis.register_script(ADD)
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(Touch).decode_lines
        self._reading: Rounds[str, list[Touch]] = Rounds(self._read)
        self._adding: Rounds[Arrival, bool] = Rounds(self._add, largest=AT_ONCE)

    async def start(self) -> None:
        """Raises what the first contact raises."""
        async with asyncio.timeout(max(1.0, self.timeout)):
            await self._redis.ping()

    async def stop(self) -> None:
        await self._redis.aclose()

    def at_once(self, _: str) -> None:
        return None

    async def read(self, user: str) -> list[Touch]:
        return await self._reading.do(user)

    async def add(self, arrivals: Sequence[Arrival]) -> list[bool]:
        return await self._adding.do_all(arrivals)

    async def forget(self, user: str) -> int:
        async with asyncio.timeout(self.timeout):
            lines = await self._redis.getdel(self._user(user))
        return len(self._touches(lines))

    def status(self) -> Status:
        return Status("redis")

    async def _read(self, users: list[str]) -> list[list[Touch]]:
        async with asyncio.timeout(self.timeout):
            found = await self._redis.mget([self._user(user) for user in users])
        return [self._touches(lines) for lines in found]

    async def _add(self, arrivals: list[Arrival]) -> list[bool]:
        keys = [key for each in arrivals for key in (self._user(each.user), f"{self.prefix}id:{each.id}")]
        lines = [b"" if each.touch is None else self._encode(each.touch) + b"\n" for each in arrivals]
        async with asyncio.timeout(self.timeout):
            fresh = await self._script(keys, [self.kept, self.room, self.ttl, self.window, *lines])
        return [flag == 1 for flag in fresh]

    def _touches(self, lines: bytes | None) -> list[Touch]:
        """The latest of a user's."""
        return [] if lines is None else in_order(self._decode(lines))[-self.kept :]

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

"""How often somebody may begin something, and how often somebody may be wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import ceil

MINUTE_MS = 60_000


class Rate:
    """A bucket of tokens that fills with time: so many at once for everybody, and as many
    in each `window_ms`. `ticks` are milliseconds. Lives on one thread."""

    def __init__(
        self, at_most: int, ticks: Callable[[], int], window_ms: int = MINUTE_MS
    ) -> None:
        self._at_most = at_most
        self._each_ms = window_ms / at_most
        self._ticks = ticks
        self._full_at: dict[str, float] = {}  # when a bucket is full again

    def seconds_to_wait(self, who: str) -> int:
        """Take one; where there is none, how long until there is."""
        now = self._ticks()
        full_at = max(self._full_at.get(who, 0.0), now) + self._each_ms
        early = full_at - now - self._at_most * self._each_ms
        if early > 0:
            return ceil(early / 1000)
        self._full_at[who] = full_at
        return 0


class FailedTries:
    """So many in a minute; then none counts as a try for another minute. `ticks` are
    milliseconds. Lives on one thread."""

    def __init__(self, at_most: int, ticks: Callable[[], int]) -> None:
        self._ticks = ticks
        self._last: deque[int] = deque(maxlen=at_most)
        self._until = 0

    def seconds_to_wait(self) -> int:
        """One more has failed: how long until the next one counts; 0 while few have."""
        now = self._ticks()
        if now < self._until:
            return ceil((self._until - now) / 1000)
        if len(self._last) == self._last.maxlen and now - self._last[0] < MINUTE_MS:
            self._until = now + MINUTE_MS
            self._last.clear()
            return MINUTE_MS // 1000
        self._last.append(now)
        return 0

"""How often somebody may begin something: a bucket of tokens that fills with time."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil


class Rate:
    """So many at once for everybody, and as many a minute. `ticks` are milliseconds. Lives
    on the deciding thread."""

    def __init__(self, at_most: int, ticks: Callable[[], int]) -> None:
        self._at_most = at_most
        self._each_ms = 60_000 / at_most
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

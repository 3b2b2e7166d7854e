"""Things that are remembered for a while, and never too many of them."""

from __future__ import annotations

from collections.abc import Callable

from plugin.agent.loop import DecidingLoop


class Lapse:
    """Ids that are over, one after the other, `seconds` after they were added; the oldest
    at once when they are more than `at_most`. One timer serves them all. Lives on the
    deciding thread."""

    def __init__(
        self,
        loop: DecidingLoop,
        seconds: int,
        over: Callable[[str], None],
        at_most: int,
    ) -> None:
        self._loop = loop
        self._milliseconds = seconds * 1000
        self._over = over
        self._at_most = at_most
        self._due: dict[str, int] = {}
        self._waiting = False

    def add(self, key: str) -> None:
        """Remember this one from now on."""
        self._due[key] = self._loop.ticks() + self._milliseconds
        if len(self._due) > self._at_most:
            self._end(next(iter(self._due)))
        self._wait()

    def _wait(self) -> None:
        if self._due and not self._waiting:
            self._waiting = True
            first = next(iter(self._due.values()))
            self._loop.after(first - self._loop.ticks(), self._ring)

    def _ring(self) -> None:
        self._waiting = False
        now = self._loop.ticks()
        for key in [key for key, due in self._due.items() if due <= now]:
            self._end(key)
        self._wait()

    def _end(self, key: str) -> None:
        del self._due[key]
        self._over(key)

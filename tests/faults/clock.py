"""A clock that somebody sets, of a computer that somebody puts to sleep."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from plugin.main import SystemClock


class SetClock(SystemClock):
    """The computer's, until somebody sets it."""

    def __init__(self) -> None:
        self._fast = timedelta()
        self._slept = 0.0
        self._zone: tzinfo | None = None

    def monotonic(self) -> float:
        return super().monotonic() + self._slept

    def now(self) -> datetime:
        return (super().now() + self._fast).astimezone(self._zone)

    def jump(self, by: timedelta) -> None:
        """From now on it shows so much more."""
        self._fast += by

    def show(self, moment: datetime, zone: tzinfo) -> None:
        """It is that moment, in that zone."""
        self._zone = zone
        self._fast += moment - self.now()

    def sleep(self, slept: timedelta) -> None:
        """Time passes for both clocks, as where a sleeping computer counts on."""
        self._slept += slept.total_seconds()
        self._fast += slept

"""Forgets: what is personal in a record some time after its end, and the record itself long
after that. Which and when is decided by `plugin.activation.expiry`, by no wall clock.

The journal is looked through once a day, a few rows at a step, so that nobody waits for it.
Copies of the journal (see `backups`) hold what it held when they were made. Two are kept, a
day apart, so that what was forgotten is in none of them two days later; where no more copies
can be made, the old ones are removed once the till has run for `personal_days` days with
them. A copy that did not pass its check stays for the person who is called because of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Protocol

from msgspec.structs import astuple

from drivers.ports import Clock
from plugin.activation.expiry import DAY, Calendar, judged
from plugin.activation.problem import Problem, Refusal
from plugin.agent.backups import NEWEST, OLDER
from plugin.agent.doctor import Finding
from plugin.agent.failure import described
from plugin.journal.port import AGE, Journal, JournalError, Reviewed
from plugin.settings import Keeping

FIRST_AFTER_MS = 300_000  # before the day's copy is made
COUNT_MS = 900_000  # so much of the journal's age a crash may cost
AGAIN_MS = 3_600_000
STEP_MS = 20
BEHIND_DAYS = 3  # then somebody should know
TOLD_DAY, TOLD_AT, REVIEWED_AT = "told_day", "told_at", "reviewed_at"  # counters
_log = logging.getLogger("kaqi.retention")


class Timekeeper(Protocol):
    """The agent's own time."""

    def ticks(self) -> int:
        """Milliseconds of the agent's life."""
        ...

    def after(self, milliseconds: float, call: Callable[[], None]) -> None:
        """Call once, later, on the deciding thread."""
        ...


class Retention:
    """Lives on the deciding thread. `words` leaves of a centre's words what names nobody;
    `age_of` tells how old the journal was in a copy of it."""

    def __init__(
        self,
        *,
        journal: Journal,
        keeping: Keeping,
        words: Callable[[Refusal], Refusal],
        time: Timekeeper,
        clock: Clock,
        folder: Path,
        age_of: Callable[[Path], int | None],
    ) -> None:
        self._journal = journal
        self._keeping = keeping
        self._words = words
        self._time = time
        self._clock = clock
        self._copies = [folder / name for name in (NEWEST, OLDER)]
        self._age_of = age_of
        self._calendar: Calendar | None = None
        self._reviewed_at = 0
        self._counted = time.ticks()  # up to here the journal's age is durable
        self._due = 0  # the tick of the next review
        self._review: Iterator[Reviewed] | None = None
        self._done = Reviewed()

    def begin(self) -> None:
        """Look through the journal after a while, and then every day."""
        self._due = self._time.ticks() + FIRST_AFTER_MS
        self._time.after(FIRST_AFTER_MS, self._count_on)

    def told(self, centre: date) -> None:
        """The centre has said what day it is."""
        wall = self._clock.now().date()
        try:
            known = self._calendar = self._calendar or self._noted()
            told = known.told(centre, wall)
            if told == known:
                return
            # In this order: a crash between them makes the telling older than it was.
            self._raise(TOLD_DAY, told.told_day)
            self._raise(TOLD_AT, told.told_at)
        except JournalError as failed:  # it will be told again
            _log.error("a day was not noted", extra=described(failed))
        else:
            self._calendar = told

    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, for people: for days the journal was not looked through."""
        age = self._calendar.age if self._calendar else 0
        days = (age - self._reviewed_at) // DAY
        if days < BEHIND_DAYS:
            return ()
        problem = Problem("agent.retention_failed", {"days": str(days)})
        return (Finding(name="retention", required=False, problem=problem),)

    def close(self) -> None:
        """Leave a review that is under way: it begins anew next time."""
        self._review = None

    def _count_on(self) -> None:
        self._time.after(COUNT_MS, self._count_on)
        try:
            calendar = self._count()
        except JournalError as failed:
            _log.error("the journal failed", extra=described(failed))
            return
        if self._review is None and self._time.ticks() >= self._due:
            self._due = self._time.ticks() + DAY * 1000
            self._done = Reviewed()
            self._review = self._journal.review(
                lambda record: judged(record, calendar, self._keeping, self._words)
            )
            self._step()

    def _count(self) -> Calendar:
        """Make durable how long the journal has lived. Raises JournalError."""
        known = self._calendar or self._noted()
        seconds = (self._time.ticks() - self._counted) // 1000
        calendar = known.lived(seconds)
        self._raise(AGE, calendar.age)
        self._counted += seconds * 1000
        self._calendar = calendar
        return calendar

    def _noted(self) -> Calendar:
        """What an earlier run has left. Raises JournalError."""
        self._reviewed_at = self._raise(REVIEWED_AT, 0)
        return Calendar(
            age=self._raise(AGE, 0),
            told_day=self._raise(TOLD_DAY, 0),
            told_at=self._raise(TOLD_AT, 0),
        )

    def _raise(self, counter: str, to: int) -> int:
        """Have this counter stand so high at least; returns how high it stands. Asked
        first, because what failed the last time may have happened. Raises JournalError."""
        last = self._journal.reserve(counter, 0) - 1
        if to <= last:
            return last
        self._journal.reserve(counter, to - last)
        return to

    def _step(self) -> None:
        if self._review is None:
            return
        try:
            reviewed = next(self._review, None)
            if reviewed is None:
                self._finish()
                return
        except Exception as failed:  # noqa: BLE001 - whatever it was, nobody stops for it
            self._review = None
            self._due = self._time.ticks() + AGAIN_MS
            _log.error("the journal was not looked through", extra=described(failed))
        else:
            self._done = _sum(self._done, reviewed)
            self._time.after(STEP_MS, self._step)

    def _finish(self) -> None:
        self._review = None
        calendar = self._count()
        self._reviewed_at = self._raise(REVIEWED_AT, calendar.age)
        for copy in self._copies:
            self._remove_stale(copy, calendar.age)
        done = self._done
        counts = {"forgotten": done.forgotten, "removed": done.removed}
        _log.info("reviewed", extra={**counts, "requests": done.requests})

    def _remove_stale(self, copy: Path, age: int) -> None:
        """A copy that is as old as the records in it may be, and was never replaced."""
        then = self._age_of(copy) if copy.exists() else None
        if then is None or (age - then) // DAY <= self._keeping.personal_days:
            return
        try:
            copy.unlink()
        except OSError as failed:
            _log.error("an old copy was not removed", extra=described(failed))
        else:
            _log.warning("an old copy of the journal was removed")


def _sum(one: Reviewed, other: Reviewed) -> Reviewed:
    pairs = zip(astuple(one), astuple(other), strict=True)
    return Reviewed(*(first + second for first, second in pairs))

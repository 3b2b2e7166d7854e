"""How long a finished record has certainly been over, and what is left of it then. Pure.

No clock of a till can be trusted for years, so no moment is ever compared with a moment of
the wall clock. Two things are known, and each alone never says too much:

- the *age* of the journal: seconds that the agent has run, by a clock that cannot be set.
  A record is stamped with the age at which it ended (`Activation.ended`);
- the *days* that the centre has told, believed only where the till's own clock says the same
  day. A record is dated with the first day that was told after it ended (`ended_day`).

A record has been over for the longer of both. That is never longer than in truth, whatever
the till's clock did before, then and since, so long as clock and centre are not wrong by the
same days. It is shorter where a till is switched off at night and its centre tells no date:
then only the hours it runs are known to have passed. It may be short by two days besides.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from msgspec import Struct
from msgspec.structs import replace

from plugin.activation.problem import Problem, Refusal
from plugin.activation.saga import Activation
from plugin.settings import Keeping

DAY = 86_400  # seconds


class Calendar(Struct, frozen=True, kw_only=True):
    """What a journal knows of time: its age (s), the last day it was told (as an ordinal;
    0 when none was) and its age when it was told that."""

    age: int = 0
    told_day: int = 0
    told_at: int = 0

    def lived(self, seconds: int) -> Calendar:
        """The agent has run so much longer. Of more than a day at once a day is believed:
        what ended meanwhile was stamped with the age before."""
        return replace(self, age=self.age + max(0, min(seconds, DAY)))

    def told(self, centre: date, wall: date) -> Calendar:
        """The centre has said what day it is, just now."""
        day = centre.toordinal()
        if centre != wall or day <= self.told_day:
            return self
        return replace(self, told_day=day, told_at=self.age)

    def dated(self, record: Activation) -> Activation:
        """The record with the day that was told last, if it had none and had ended by
        then. What has the same age as the telling may have ended after it."""
        told_since = self.told_day and record.ended < self.told_at
        if record.ended_day or not told_since:
            return record
        return replace(record, ended_day=self.told_day)

    def days_over(self, record: Activation) -> int:
        """How many whole days this finished record has been over at least."""
        days = (self.age - record.ended) // DAY - 1  # see `lived`
        if record.ended_day:  # it may have ended late on that day, and this one begun
            days = max(days, self.told_day - record.ended_day - 1)
        return max(0, days)


def judged(
    record: Activation,
    calendar: Calendar,
    keeping: Keeping,
    words: Callable[[Refusal], Refusal],
) -> Activation | None:
    """What is to be left of a finished record now: the same, less, or nothing."""
    record = calendar.dated(record)
    days = calendar.days_over(record)
    if days >= keeping.record_days:
        return None
    if days >= keeping.personal_days and not record.forgotten:
        return without_person(record, words)
    return record


def without_person(
    record: Activation, words: Callable[[Refusal], Refusal]
) -> Activation:
    """The same record and outcome without what may name a person: no message, no reason of
    a settlement, and of the centre's words what `words` leaves."""
    settlement, refusal = record.settlement, record.refusal
    return replace(
        record,
        message=None,
        refusal=refusal and words(refusal),
        problem=record.problem and _plain(record.problem, words),
        settlement=settlement and replace(settlement, reason=""),
        forgotten=True,
    )


def _plain(problem: Problem, words: Callable[[Refusal], Refusal]) -> Problem:
    centre = problem.centre
    return Problem(problem.code, problem.facts, centre and words(centre))

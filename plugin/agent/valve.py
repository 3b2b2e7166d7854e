"""How fast, and in which order, what was left undone goes to one centre: never in a storm,
never at a centre that is down, and whoever still stands there before the backlog.

Pure but for the clock it is given. It opens for one record at a time; a closed valve answers
nothing, and says when to look again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, IntEnum, auto

from plugin.activation.saga import Abilities, Activation, ActivationState, Dedupe

EACH_MS = 1_000  # one a second
BURST = 5
FAILURES_MAX = 5
FAILURES_WITHIN_MS = 30_000
OPEN_MS = 60_000  # then one question; it may be one of 20,000 tills that ask
DRAIN_MS = 60_000
PATIENT_MS = 60_000
BACKLOG_MS = 600_000  # who is in doubt for so long has seen an outage
RETRY_AFTER_MAX_MS = 3_600_000


class Errand(Enum):
    """What goes to the centre."""

    QUESTION = auto()
    ACTIVATION = auto()


class Lane(IntEnum):
    """Who goes first."""

    PATIENT = auto()
    RECENT = auto()
    BACKLOG = auto()
    PARKED = auto()  # a person decides; asking goes on slowly


class Valve:
    """A bucket of tokens, a circuit breaker, a drain, and who waits for them. Lives on the
    deciding thread; `ticks` are milliseconds."""

    def __init__(self, abilities: Abilities, ticks: Callable[[], int]) -> None:
        self._ticks = ticks
        self._usual = Errand.QUESTION
        if not abilities.can_tell_status:
            self._usual = Errand.ACTIVATION
        self._can_probe = (
            abilities.can_tell_status or abilities.dedupe is not Dedupe.NONE
        )
        self._full_at = 0.0  # when the bucket is full again
        self._failures: deque[int] = deque(maxlen=FAILURES_MAX)
        self._opened: int | None = None  # the breaker
        self._probing = False
        self._not_before = 0
        self._drained: int | None = None
        self._waiting: dict[str, Activation] = {}
        self._turns: dict[str, int] = {}  # of those in doubt, since the centre answered

    def add(self, record: Activation) -> None:
        """The time of this record has come."""
        self._waiting[record.origin.intent_id] = record

    def next(self) -> Activation | None:
        """Whose turn it is, if it is anybody's: the oldest of the first lane, but nobody
        twice before everybody once."""
        if not self._waiting or self._shut_ms(Lane.PATIENT, self._usual) > 0:
            return None
        first = min(self._waiting.values(), key=self._place)
        if self._shut_ms(self._lane(first), self._usual) > 0:
            return None
        intent_id = first.origin.intent_id
        self._turns[intent_id] = self._turns.get(intent_id, 0) + 1
        return self._waiting.pop(intent_id)

    def keeps(self, intent_id: str) -> bool:
        """Whether this record waits here."""
        return intent_id in self._waiting

    def opens_in(self) -> float | None:
        """When to look again (ms); None when nobody waits."""
        if not self._waiting:
            return None
        lane = min(map(self._lane, self._waiting.values()))
        return max(1.0, self._shut_ms(lane, self._usual))

    def lets(self, errand: Errand) -> bool:
        """Whether the breaker lets this through now: half-open it is one question."""
        return self._broken_ms(self._ticks(), errand) <= 0

    def took(self, record: Activation, errand: Errand) -> None:
        """This goes to the centre. Who stands there with a first message does not ask
        whether it may: those behind wait longer."""
        now = self._ticks()
        self._full_at = max(self._full_at, now) + EACH_MS
        if self._opened is not None and self._broken_ms(now, errand) <= 0:
            self._probing = True
        if self._lane(record) >= Lane.BACKLOG:
            self._drained = now

    def answered(self) -> None:
        """The centre has answered, whatever it said."""
        self._failures.clear()
        if self._opened is not None:
            self._turns.clear()
        self._opened, self._probing = None, False

    def failed(self, retry_after_ms: int | None = None) -> None:
        """It has not, or asked to be left alone for so long."""
        now = self._ticks()
        if retry_after_ms is not None:
            asked_for = now + min(retry_after_ms, RETRY_AFTER_MAX_MS)
            self._not_before = max(self._not_before, asked_for)
        self._failures.append(now)
        many = len(self._failures) == FAILURES_MAX
        if self._probing or (many and now - self._failures[0] <= FAILURES_WITHIN_MS):
            self._opened, self._probing = now, False
            self._failures.clear()

    def forget(self, intent_id: str) -> None:
        """This record has ended."""
        self._waiting.pop(intent_id, None)
        self._turns.pop(intent_id, None)

    def _lane(self, record: Activation) -> Lane:
        age = self._ticks() - record.began
        if record.state is ActivationState.MANUAL:
            return Lane.PARKED
        if age >= BACKLOG_MS:
            return Lane.BACKLOG
        return Lane.RECENT if age >= PATIENT_MS else Lane.PATIENT

    def _place(self, record: Activation) -> tuple[Lane, int, int, str]:
        intent_id = record.origin.intent_id
        turns = self._turns.get(intent_id, 0)
        return self._lane(record), turns, record.began, intent_id

    def _shut_ms(self, lane: Lane, errand: Errand) -> float:
        """For how long nothing of this lane goes."""
        now = self._ticks()
        shut = max(
            self._broken_ms(now, errand),
            self._not_before - now,
            self._full_at - now - (BURST - 1) * EACH_MS,
        )
        if lane >= Lane.BACKLOG and self._drained is not None:
            shut = max(shut, self._drained + DRAIN_MS - now)
        return shut

    def _broken_ms(self, now: int, errand: Errand) -> int:
        """For how long the breaker stays open to this, as far as is known."""
        if self._opened is None:
            return 0
        if self._probing or not self._can_probe or errand is not self._usual:
            return OPEN_MS
        return self._opened + OPEN_MS - now

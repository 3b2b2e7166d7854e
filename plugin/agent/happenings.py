"""What others are told: a bounded memory of numbered events, each of which is a line of the
log as well. No personal data, only refs."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping

from msgspec import Struct

from plugin.journal.port import Journal, JournalError

KEPT = 1_000
RESERVED_AT_ONCE = 1_000
_log = logging.getLogger("kaqi.happenings")


class Happening(Struct, frozen=True):
    """One event. `id` grows, also across restarts; `subject` is like transactions/x."""

    id: int
    type: str
    time: str
    subject: str
    data: Mapping[str, str | int | bool | None]
    trace_id: str = ""


class Happenings:
    """Numbered by the journal, kept in memory. Lives on the deciding thread."""

    def __init__(self, journal: Journal, wall: Callable[[], str]) -> None:
        self._journal = journal
        self._wall = wall
        self._kept: deque[Happening] = deque(maxlen=KEPT)
        self._listeners: list[Callable[[Happening], None]] = []
        self._next = 0
        self._reserved_until = 0

    def tell(
        self,
        kind: str,
        subject: str,
        data: Mapping[str, str | int | bool | None] | None = None,
        trace_id: str = "",
    ) -> None:
        """Number an event, keep it, pass it on."""
        said = data or {}
        event = Happening(self._number(), kind, self._wall(), subject, said, trace_id)
        self._kept.append(event)
        for listener in list(self._listeners):
            listener(event)
        traced = {"trace_id": trace_id} if trace_id else {}
        _log.info(kind, extra={**said, **traced, "subject": subject})

    def since(self, last_id: int) -> tuple[bool, tuple[Happening, ...]]:
        """What came after this id, and whether that is all of it."""
        if last_id > self.last_id:
            return False, tuple(self._kept)  # a number of another journal
        later = tuple(event for event in self._kept if event.id > last_id)
        if not self._kept:
            return last_id >= self._next - 1, later
        return last_id >= self._kept[0].id - 1, later

    @property
    def last_id(self) -> int:
        """The number of the last event; 0 before the first."""
        return self._kept[-1].id if self._kept else 0

    def listen(self, listener: Callable[[Happening], None]) -> Callable[[], None]:
        """Pass every coming event to `listener`; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _number(self) -> int:
        """Numbers are reserved in the journal by the thousand. Where it cannot write, they
        are counted on: telling must go on, and never fail."""
        if self._next >= self._reserved_until:
            try:
                reserved = self._journal.reserve("events", RESERVED_AT_ONCE)
            except JournalError as failed:
                _log.error("the journal failed", extra={"code": failed.code})
            else:
                self._next = max(self._next, reserved)
                self._reserved_until = reserved + RESERVED_AT_ONCE
        self._next += 1
        return self._next - 1

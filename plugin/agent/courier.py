"""Carries questions and messages to the centre, each on a thread of its own, and brings
back what came of them to the deciding thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from drivers.ports import Clock
from plugin.activation import saga
from plugin.activation.saga import Abilities, Activation, Event
from plugin.agent.counting import Timing
from plugin.agent.failure import described
from plugin.centre.port import Centre, CentreError

Result = TypeVar("Result")
ANSWERED = "answered"
_log = logging.getLogger("kaqi.centre")


class Courier:
    """The recovery's correspondent, and the desk's messenger; `took` is told how long the
    centre needed for what."""

    def __init__(
        self,
        centre: Centre,
        post: Callable[[Callable[[], None]], None],
        clock: Clock,
        took: Timing,
    ) -> None:
        self._centre = centre
        self._post = post
        self._clock = clock
        self._took = took

    @property
    def abilities(self) -> Abilities:
        """What the centre can do."""
        return self._centre.abilities

    def send(self, record: Activation, reply: Callable[[Event], None]) -> None:
        """Send the record's message."""
        self.run(
            lambda: self._centre.activate(record),
            lambda found: reply(_as_event(found, record, record.sends)),
            trace_id=record.origin.trace_id,
        )

    def ask(
        self, record: Activation, asked: int, reply: Callable[[Event], None]
    ) -> None:
        """Ask what became of the record's id."""
        self.run(
            lambda: self._centre.activation_status(record, asked),
            lambda found: reply(_as_event(found, record)),
            trace_id=record.origin.trace_id,
        )

    def timed(self, errand: Callable[[], Result]) -> Result:
        """Do this, and note how long it took. From any thread."""
        began, outcome = self._clock.monotonic(), CentreError.code
        try:
            found = errand()
            outcome = ANSWERED
            return found
        except CentreError as silent:
            outcome = silent.code
            raise
        finally:
            self._took.note(self._clock.monotonic() - began, outcome)

    def run(
        self,
        errand: Callable[[], Result],
        done: Callable[[Result | CentreError], None],
        *,
        trace_id: str,
    ) -> None:
        """Do something that waits for the centre; `done` hears of it on the deciding
        thread, exactly once."""

        def carry() -> None:
            found: Result | CentreError
            try:
                found = self.timed(errand)
            except CentreError as silent:
                told = {"code": silent.code, "trace_id": trace_id}
                _log.warning("no answer", extra=told)
                found = silent
            except Exception as failed:  # noqa: BLE001 - a bug must not look like success
                told = {**described(failed), "trace_id": trace_id}
                _log.error("an errand failed", extra=told)
                found = CentreError(type(failed).__name__)
            self._post(lambda: done(found))

        threading.Thread(target=carry, name="errand", daemon=True).start()


def _as_event(found: Event | CentreError, record: Activation, send: int = 0) -> Event:
    if not isinstance(found, CentreError):
        return found
    return saga.NoAnswer(record.activation_id or "", send, found.retry_after_ms)

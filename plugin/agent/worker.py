"""One thread owns one reader: it connects, converses and lets go, one job at a time.

A call into a reader may block for ever. The thread notes when it last got anywhere; who
waits for it may give it up, together with everything it holds, and start another.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from msgspec import Struct

from drivers.conversation import Errand, Procedure, Runner, converse
from drivers.errors import DriverError, ReaderTimeoutError
from drivers.iso7816.apdu import CommandApdu, ResponseApdu
from drivers.ports import CardConnection, Clock, Disposition, Reader
from drivers.trace import Note, TracedConnection, shown
from plugin.activation.problem import Problem
from plugin.agent.errands import Errands, without_help
from plugin.agent.failure import described
from plugin.card.authentication import HsmQuestion
from plugin.card.errors import CardError
from plugin.centre.port import CentreError

MORE = frozenset({0x61, 0x6C})  # SW1: there is more, or it wants another Le
_log = logging.getLogger("kaqi.reader")
Found = TypeVar("Found")


class Job(Struct, Generic[Found], frozen=True):
    """One conversation with a card: what to ask it, and whom to tell."""

    procedure: Callable[[], Procedure[Found]]
    done: Callable[[Found | Problem], None]
    trace_id: str
    errands: Callable[[], Errands] = without_help


class ReaderWorker:
    """`open_reader` is called on the worker's own thread, which owns what it returns;
    `refused` hears every status word that is neither success nor more."""

    def __init__(
        self,
        name: str,
        open_reader: Callable[[], Reader],
        clock: Clock,
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.name = name
        self._open_reader = open_reader
        self._clock = clock
        self._refused = refused
        self._jobs: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self._reader: Reader | None = None
        self._abandoned = False
        self._asks_centre = False
        self._progress = clock.monotonic()
        self._thread = threading.Thread(
            target=self._run, name=f"reader {name}", daemon=True
        )
        self._thread.start()

    def read(self, job: Job[Any]) -> None:
        """Queue one job."""
        self._progress = self._clock.monotonic()
        self._jobs.put(job)

    def retire(self) -> None:
        """End the thread after what it is doing; does not wait."""
        self._jobs.put(None)

    def abandon(self) -> None:
        """The same, and no command more to any card: nobody waits for it."""
        self._abandoned = True
        self.retire()

    def idle_seconds(self) -> float:
        """How long ago this worker last got anywhere; while the centre is asked, which has
        a deadline of its own, it is not idle."""
        return 0.0 if self._asks_centre else self._clock.monotonic() - self._progress

    def stalled(self) -> Problem:
        """What it means that it gets nowhere."""
        reader = self._reader
        code = reader.stalled().code if reader is not None else "reader.timeout"
        return Problem(code)

    def _run(self) -> None:
        reader = self._reader = self._open_reader()
        while (job := self._jobs.get()) is not None:
            job.done(self._outcome(reader, job))
            del job  # it may hold a PIN
        reader.close()

    def _outcome(self, reader: Reader, job: Job[Found]) -> Found | Problem:
        try:
            return self._converse(reader, job)
        except (DriverError, CentreError) as failed:
            return self._given_up(job, Problem(failed.code))
        except CardError as failed:
            facts = {"sw": f"{failed.sw.value:04X}"} if failed.sw else {}
            return self._given_up(job, Problem(failed.code, facts))
        except Exception as failed:  # noqa: BLE001 - a bug here must not end the thread
            told = {**described(failed), "trace_id": job.trace_id}
            _log.error("a job failed", extra=told)
            return Problem("agent.failed")

    def _given_up(self, job: Job[Any], problem: Problem) -> Problem:
        told = {"reader": self.name, "code": problem.code, **problem.facts}
        _log.info("a card was given up", extra={**told, "trace_id": job.trace_id})
        return problem

    def _converse(self, reader: Reader, job: Job[Found]) -> Found:
        connection = reader.connect()
        traced = TracedConnection(connection, self._note(job.trace_id))
        disposition = Disposition.LEAVE
        try:
            with job.errands() as errands:
                errands.note_psam = _logged("PSAM", job.trace_id)
                try:
                    run = self._watched(errands, traced)
                    return converse(traced, job.procedure(), run)
                finally:
                    if errands.rights:
                        disposition = (
                            Disposition.RESET
                        )  # nobody reads on with our right
        finally:
            connection.close(disposition)

    def _watched(self, errands: Errands, card: CardConnection) -> Runner:
        def run(errand: Errand) -> object:
            self._asks_centre = isinstance(errand, HsmQuestion)
            try:
                return errands.run(errand, card)
            finally:
                self._progress = self._clock.monotonic()
                self._asks_centre = False

        return run

    def _note(self, trace_id: str) -> Note:
        """Progress is noted always, exchanges only where somebody reads them."""
        logged = _logged(self.name, trace_id)

        def note(command: CommandApdu, got: ResponseApdu | None) -> None:
            self._progress = self._clock.monotonic()
            if self._abandoned and got is None:
                raise ReaderTimeoutError
            if got is None:
                return
            if not got.sw.is_success and got.sw.sw1 not in MORE:
                self._refused(f"{got.sw.value:04X}")
            logged(command, got)

        return note


def _logged(card: str, trace_id: str) -> Note:
    """Exchanges with what is in this reader, where somebody reads them."""
    detailed = _log.isEnabledFor(logging.DEBUG)

    def note(command: CommandApdu, got: ResponseApdu | None) -> None:
        if detailed and got is not None:
            told = {**shown(command, got), "reader": card, "trace_id": trace_id}
            _log.debug("apdu", extra=told)

    return note

"""The deciding thread: everything that changes the agent's mind happens here, in turn.

Other threads wait for readers, clients and the centre, and post what they learned. So no
state needs a lock, and the order of what happened is the order of the calls.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import TypeVar

from msgspec import Struct

from drivers.ports import Clock
from plugin.agent.failure import described

Result = TypeVar("Result")
_log = logging.getLogger("kaqi.loop")


class _Look(Struct, frozen=True):
    """A call that changes nothing."""

    look: Callable[[], None]

    def __call__(self) -> None:
        self.look()


class DecidingLoop:
    """A mailbox of calls, and timers. `base` is the tick this life begins with; `turn`
    counts the calls that may have changed something, so that whoever remembers it may know
    from any thread that nothing has."""

    def __init__(self, clock: Clock, base: int = 0) -> None:
        self._clock = clock
        self._base = base
        self._started = clock.monotonic()
        self._mailbox: queue.SimpleQueue[Callable[[], None] | None] = (
            queue.SimpleQueue()
        )
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.turn = 0

    def post(self, call: Callable[[], None]) -> None:
        """Have `call` run on the deciding thread. From any thread."""
        self._mailbox.put(call)

    def ask(self, call: Callable[[], Result]) -> Future[Result]:
        """The same, with its result or its exception in a future. It is done also when
        nobody waits for it any more."""
        answer: Future[Result] = Future()
        self.post(_answering(call, answer))
        return answer

    def look(self, call: Callable[[], Result]) -> Future[Result]:
        """The same for a call that changes nothing."""
        answer: Future[Result] = Future()
        self._mailbox.put(_Look(_answering(call, answer)))
        return answer

    def after(self, milliseconds: float, call: Callable[[], None]) -> None:
        """Run `call` later. Only from the deciding thread."""
        due = self._clock.monotonic() + milliseconds / 1000
        heapq.heappush(self._timers, (due, next(self._order), call))

    def ticks(self) -> int:
        """Milliseconds of the agent's life, growing across restarts."""
        return self._base + int((self._clock.monotonic() - self._started) * 1000)

    def wall(self) -> str:
        """The wall clock, RFC 3339."""
        return self._clock.now().isoformat(timespec="seconds")

    def wall_in(self, seconds: float) -> str:
        """What the wall clock should show in so many seconds."""
        later = self._clock.now() + timedelta(seconds=seconds)
        return later.isoformat(timespec="seconds")

    def epoch_ms(self) -> int:
        """The wall clock in milliseconds since 1970, for ids that sort by time."""
        return int(self._clock.now().timestamp() * 1000)

    def run(self) -> None:
        """Be the deciding thread until `stop`."""
        while True:
            try:
                call = self._mailbox.get(timeout=self._seconds_to_next_timer())
            except queue.Empty:
                _, _, call = heapq.heappop(self._timers)
            if call is None:
                return
            if not isinstance(call, _Look):
                self.turn += 1
            self._perform(call)

    def stop(self) -> None:
        """End `run` once everything posted before has been done. From any thread."""
        self._mailbox.put(None)

    def _seconds_to_next_timer(self) -> float | None:
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - self._clock.monotonic())

    def _perform(self, call: Callable[[], None]) -> None:
        """One call that fails must not end the agent; its class says enough for a log."""
        try:
            call()
        except Exception as failed:  # noqa: BLE001
            _log.error("a decision failed", extra=described(failed))


def _answering(
    call: Callable[[], Result], answer: Future[Result]
) -> Callable[[], None]:
    def run() -> None:
        awaited = answer.set_running_or_notify_cancel()
        try:
            result = call()
        except BaseException as failed:  # noqa: BLE001 - it belongs to the asker
            if awaited:
                answer.set_exception(failed)
        else:
            if awaited:
                answer.set_result(result)

    return run

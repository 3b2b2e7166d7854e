"""From the deciding thread to the event loop: who waits for a change hears of it here."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec

from plugin.agent.happenings import Happening

EVENT_STREAM = "text/event-stream"
QUEUE_MAX = 1_000
STREAMS_MAX = 16


class Hub:
    """Wakes long polls and feeds event streams. `attach` binds it to the running loop;
    before that, and after, what it is told goes nowhere."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._streams: set[asyncio.Queue[Happening | None]] = set()

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """From now on deliver on this loop."""
        self._loop = loop

    def transaction_changed(self, transaction_id: str) -> None:
        """From any thread."""
        self._call(self._wake, transaction_id)

    def happened(self, event: Happening) -> None:
        """From any thread."""
        self._call(self._deliver, event)

    @asynccontextmanager
    async def changes_of(self, transaction_id: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set whenever this transaction changes."""
        changed = asyncio.Event()
        self._waiting[transaction_id].add(changed)
        try:
            yield changed
        finally:
            self._waiting[transaction_id].discard(changed)
            if not self._waiting[transaction_id]:
                del self._waiting[transaction_id]

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[asyncio.Queue[Happening | None]]:
        """Every event from now on; None means that this follower was too slow, or that
        the agent stops."""
        queue: asyncio.Queue[Happening | None] = asyncio.Queue(QUEUE_MAX)
        self._streams.add(queue)
        try:
            yield queue
        finally:
            self._streams.discard(queue)

    @property
    def is_full(self) -> bool:
        """Whether nobody else can be told of events now."""
        return len(self._streams) >= STREAMS_MAX

    def end_streams(self) -> None:
        """The agent stops: let every follower go. On the loop."""
        for queue in list(self._streams):
            self._cut(queue)

    def _call(self, call: object, argument: object) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it was closed in between
                loop.call_soon_threadsafe(call, argument)  # type: ignore[arg-type]

    def _wake(self, transaction_id: str) -> None:
        for changed in self._waiting.get(transaction_id, ()):
            changed.set()

    def _deliver(self, event: Happening) -> None:
        for queue in list(self._streams):
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                self._cut(queue)

    def _cut(self, queue: asyncio.Queue[Happening | None]) -> None:
        self._streams.discard(queue)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)


def as_event(kind: str, data: object, number: int | None = None) -> bytes:
    """One server-sent event (HTML Living Standard, 9.2.6); its data is one line of JSON."""
    name = f"event: {kind}\n" + (f"id: {number}\n" if number is not None else "")
    return name.encode() + b"data: " + msgspec.json.encode(data) + b"\n\n"

"""From the deciding thread to the event loop: who waits for a change hears of it here."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import msgspec
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from plugin.agent.happenings import Happening

EVENT_STREAM = "text/event-stream"
QUEUE_MAX = 1_000
STREAMS_MAX = 16


Following = asyncio.Queue[Happening | None]


class Hub:
    """Wakes long polls and feeds event streams. `attach` binds it to the running loop;
    before that, and after, what it is told goes nowhere."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._streams: set[Following] = set()
        self.is_stopping = False
        self.dropped = 0  # events that followers were too slow for

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

    def follow(self) -> Following | None:
        """Every event from now on, until `leave`; None inside means that this follower
        was too slow, or that the agent stops. None when too many follow already."""
        if len(self._streams) >= STREAMS_MAX:
            return None
        followed: Following = asyncio.Queue(QUEUE_MAX)
        self._streams.add(followed)
        return followed

    def leave(self, followed: Following) -> None:
        """No more events for this follower."""
        self._streams.discard(followed)

    def stop(self) -> None:
        """The agent stops: from any thread, let everybody go who waits or follows."""
        self._call(self._let_go)

    def _let_go(self) -> None:
        self.is_stopping = True
        for transaction_id in self._waiting:
            self._wake(transaction_id)
        for followed in list(self._streams):
            followed.put_nowait(None) if not followed.full() else self._cut(followed)

    def _call(self, call: object, *arguments: object) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it was closed in between
                loop.call_soon_threadsafe(call, *arguments)  # type: ignore[arg-type]

    def _wake(self, transaction_id: str) -> None:
        for changed in self._waiting.get(transaction_id, ()):
            changed.set()

    def _deliver(self, event: Happening) -> None:
        for queue in list(self._streams):
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                self._cut(queue)

    def _cut(self, queue: Following) -> None:
        self._streams.discard(queue)
        self.dropped += queue.qsize() + 1
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)


def as_event(kind: str, data: object, number: int | None = None) -> bytes:
    """One server-sent event (HTML Living Standard, 9.2.6); its data is one line of JSON."""
    name = f"event: {kind}\n" + (f"id: {number}\n" if number is not None else "")
    return name.encode() + b"data: " + msgspec.json.encode(data) + b"\n\n"


class EventStream(StreamingResponse):
    """A stream of events; `ended` is called when it is over, however that came."""

    def __init__(
        self, content: AsyncIterator[bytes], ended: Callable[[], None]
    ) -> None:
        super().__init__(content, media_type=EVENT_STREAM)
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()

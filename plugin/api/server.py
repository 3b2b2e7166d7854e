"""The HTTP server: sockets of our own on loopback, uvicorn on top of them."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from plugin.api.guard import App

HEADER_MAX_BYTES = 16 * 1024
HEAD_SECONDS = 5
BODY_SECONDS = 15
KEEP_ALIVE_SECONDS = 5
CONNECTIONS_MAX = 64
ACCEPTED_AT_ONCE = 8  # so that none is dropped for newer ones before it was heard
WAITING_MAX = 1_024  # to be accepted; the next ones try again after a second
STOP_SECONDS = 3


class PortError(Exception):
    """We cannot listen on this port, and the system's reason."""

    def __init__(self, port: int, reason: str) -> None:
        super().__init__(f"port {port}: {reason}")
        self.port = port
        self.reason = reason


class PortInUseError(Exception):
    """Another program has our port; `holder` names it where that can be known."""

    def __init__(self, port: int, holder: str | None) -> None:
        super().__init__(f"port {port} is taken by {holder or 'another program'}")
        self.port = port
        self.holder = holder


def listen(port: int) -> list[socket.socket]:
    """Listening sockets on 127.0.0.1 and, where the machine has it, ::1; port 0 takes any
    that is free on both. Raises PortError and PortInUseError; never listens anywhere
    else."""
    first = _listen(socket.AF_INET, "127.0.0.1", port)
    port = first.getsockname()[1]
    try:
        return [first, _listen(socket.AF_INET6, "::1", port)]
    except PortError:
        return [first]  # a machine without IPv6
    except PortInUseError:
        first.close()
        raise


def _listen(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    try:
        # Named as TCP, or asyncio leaves its delays on: 40 ms a request that is kept alive.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as failed:
        raise PortError(port, failed.strerror or "no socket") from failed
    try:
        if sys.platform == "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(WAITING_MAX)
    except OSError as failed:
        listener.close()
        if failed.errno == errno.EADDRINUSE:
            raise PortInUseError(port, holder_of(port)) from failed
        raise PortError(port, failed.strerror or "not allowed") from failed
    return listener


def holder_of(port: int) -> str | None:
    """Which program listens on this port, on Linux and as far as we may know."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                columns = line.split()
                if (
                    columns[3] == "0A"
                    and int(columns[1].rpartition(":")[2], 16) == port
                ):
                    inodes.add(f"socket:[{columns[9]}]")
    for process in Path("/proc").glob("[0-9]*") if inodes else ():
        with suppress(OSError):
            if any(str(link.readlink()) in inodes for link in process.glob("fd/*")):
                name = (process / "comm").read_text(encoding="utf-8").strip()
                return f"{name} (pid {process.name})"
    return None


class BoundedConnection(H11Protocol):
    """HTTP/1.1 with an end to everything that a client can leave half done
    (reliability, 3.2), and with room for those who have shown a token."""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **named)
        self._deadline: asyncio.TimerHandle | None = None
        self._awaited: object = None
        self._made = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let it in; when that is one too many, the oldest stranger leaves."""
        super().connection_made(transport)
        others = [each for each in self.connections if isinstance(each, type(self))]
        still = [each for each in others if not each.transport.is_closing()]
        if len(still) > CONNECTIONS_MAX:
            strangers = [each for each in still if not each.is_known]
            oldest = min(strangers, key=lambda each: each._made, default=self)
            oldest.transport.abort()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Some of a request. Who sends the next one before this one is answered gets this
        answer and no other: what is left over would stand under no deadline."""
        super().data_received(data)
        if self.conn.their_state is h11.DONE and self.conn.trailing_data[0]:
            self.cycle.keep_alive = False
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._forget_deadline()
        super().connection_lost(exc)

    @property
    def is_known(self) -> bool:
        """Whether the guard has seen a token with its last request."""
        cycle: RequestResponseCycle | None = self.cycle  # none before the first request
        return cycle is not None and cycle.scope["state"].get("client") is not None

    def _watch(self) -> None:
        """A deadline for the head of a request and one for its body; data that only
        trickle do not move them."""
        awaited = self.conn.their_state
        if awaited is self._awaited and self._deadline is not None:
            return
        self._forget_deadline()
        self._awaited = awaited
        seconds = {h11.IDLE: HEAD_SECONDS, h11.SEND_BODY: BODY_SECONDS}.get(awaited)
        if seconds is not None:
            self._deadline = self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        if self.conn.their_state is self._awaited:
            self.transport.abort()

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Server(uvicorn.Server):
    """Lets many wait for their turn, and tells that it stops before it waits for what is
    still being answered."""

    def __init__(self, config: uvicorn.Config, stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin; asyncio takes as many at a time as it lets wait, and that is too few."""
        await super().startup(sockets)
        for each in sockets or ():
            each.listen(WAITING_MAX)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop. The door is closed first: nobody comes in while those inside are told."""
        for each in self.servers:
            each.close()
        await asyncio.to_thread(self._tell)
        await super().shutdown(sockets)


class Server:
    """Serves one application on sockets that are listening already; `stopping` is called
    when the end has begun."""

    def __init__(
        self, app: App, sockets: list[socket.socket], stopping: Callable[[], None]
    ) -> None:
        self._sockets = sockets
        self._server = _Server(
            uvicorn.Config(
                app,
                http=BoundedConnection,
                backlog=ACCEPTED_AT_ONCE,
                ws="none",
                loop="asyncio",
                lifespan="on",
                access_log=False,
                log_config=None,
                log_level="error",  # anybody can cause its warnings, without end
                server_header=False,
                date_header=False,
                proxy_headers=False,
                h11_max_incomplete_event_size=HEADER_MAX_BYTES,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=STOP_SECONDS,
            ),
            stopping,
        )

    def run(self) -> None:
        """Serve on the main thread until SIGINT or SIGTERM; then return.

        uvicorn puts handlers of its own in place of ours and, when it has finished, raises
        the signal again; by then it has been obeyed.
        """
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda *_: self.stop())
        self._server.run(sockets=self._sockets)

    def run_beside(self) -> threading.Thread:
        """Serve on a thread of its own; `stop` ends it."""
        thread = threading.Thread(target=self._server.run, args=(self._sockets,))
        thread.start()
        return thread

    def stop(self) -> None:
        """End serving, from any thread."""
        self._server.should_exit = True

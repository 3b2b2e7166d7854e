"""The HTTP server: sockets of our own on loopback, uvicorn on top of them."""

from __future__ import annotations

import errno
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

import uvicorn

from plugin.api.guard import Guard

HEADER_MAX_BYTES = 16 * 1024
KEEP_ALIVE_SECONDS = 5
CONNECTIONS_MAX = 64
STOP_SECONDS = 3


class PortInUseError(Exception):
    """Another program has our port; `holder` names it where that can be known."""

    def __init__(self, port: int, holder: str | None) -> None:
        super().__init__(f"port {port} is taken by {holder or 'another program'}")
        self.port = port
        self.holder = holder


def listen(port: int) -> list[socket.socket]:
    """Listening sockets on 127.0.0.1 and, where the machine has it, ::1; port 0 takes any
    that is free on both. Raises PortInUseError; never listens anywhere else."""
    first = _listen(socket.AF_INET, "127.0.0.1", port)
    port = first.getsockname()[1]
    try:
        return [first, _listen(socket.AF_INET6, "::1", port)]
    except OSError as failed:
        if failed.errno == errno.EADDRINUSE:
            first.close()
            raise PortInUseError(port, holder_of(port)) from failed
        return [first]  # a machine without IPv6
    except PortInUseError:
        first.close()
        raise


def _listen(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(CONNECTIONS_MAX)
    except OSError as failed:
        listener.close()
        if failed.errno == errno.EADDRINUSE:
            raise PortInUseError(port, holder_of(port)) from failed
        raise
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


class Server:
    """Serves one application on sockets that are listening already."""

    def __init__(self, app: Guard, sockets: list[socket.socket]) -> None:
        self._sockets = sockets
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="on",
                access_log=False,
                log_config=None,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                h11_max_incomplete_event_size=HEADER_MAX_BYTES,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )

    def run(self) -> None:
        """Serve on the main thread until SIGINT or SIGTERM; then return.

        uvicorn raises the signal again when it has finished; by then it has been obeyed.
        """
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        self._server.run(sockets=self._sockets)

    def run_beside(self) -> threading.Thread:
        """Serve on a thread of its own; `stop` ends it."""
        thread = threading.Thread(target=self._server.run, args=(self._sockets,))
        thread.start()
        return thread

    def stop(self) -> None:
        """End serving, from any thread."""
        self._server.should_exit = True

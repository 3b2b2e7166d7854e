"""A web server as a process: how soon it answers, and how much memory it holds."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.benchmarks.processes import end, started

START_SECONDS = 30.0
RETRY_SECONDS = 0.001
PORTS = range(20_000, 32_000)  # below those that connections take for themselves
KIB_A_MIB = 1024


class WebServer:
    """A program that takes its port as last argument; started when it is made, ended
    on leaving."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self._name = " ".join(command[:3])
        self.port = _free_port()
        self._began = time.perf_counter()
        self._process = started([*command, str(self.port)], environment)

    def __enter__(self) -> WebServer:
        return self

    def __exit__(self, *_: object) -> None:
        end(self._process)

    def wait_for_answer(self) -> float:
        """The milliseconds from its start until GET /healthz was answered.

        Raises ChildProcessError when it ended instead, and TimeoutError.
        """
        pause = threading.Event()
        while not self._answers():
            if self._process.poll() is not None:
                raise ChildProcessError(f"{self._name}: ended instead of serving")
            if time.perf_counter() > self._began + START_SECONDS:
                raise TimeoutError(f"{self._name}: no answer in {START_SECONDS:g} s")
            pause.wait(RETRY_SECONDS)
        return (time.perf_counter() - self._began) * 1_000

    def memory(self) -> float:
        """Resident memory in MiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        (line,) = (each for each in status.splitlines() if each.startswith("VmRSS:"))
        return int(line.split()[1]) / KIB_A_MIB

    def _answers(self) -> bool:
        request = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n"
        try:
            address = ("127.0.0.1", self.port)
            with socket.create_connection(address, START_SECONDS) as connection:
                connection.sendall(request.encode())
                return connection.recv(64).startswith(b"HTTP/1.1 204")
        except ConnectionError:
            return False


def _free_port() -> int:
    """A port nobody listens on. Trying to reach one of those that the kernel hands out to
    connections could end in a connection to itself."""
    for port in random.sample(PORTS, 100):
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise RuntimeError("no free port was found")

"""HTTP to a centre: one exchange at a time for each caller, with an end to all of it that no
trickle of bytes and no number of silent addresses puts off, and every failure as one of ours.
Only how long the system looks for the addresses of a name is the system's: nothing ends that
from here.
"""

from __future__ import annotations

import math
import re
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from ssl import SSLContext
from typing import Any

import httpcore2

from plugin.centre.port import (
    CentreAnswerError,
    CentreTimeoutError,
    CentreUnreachableError,
    Patience,
)

ANSWER_MAX_BYTES = 256 * 1024
BUSY = frozenset({429, 503})
CONNECTIONS_MAX = 100


class Http:
    """Connections to one centre, kept for a while, used from any thread. Certificates are
    those the system trusts; neither proxies nor redirections are followed."""

    def __init__(self, headers: Mapping[str, str], patience: Patience) -> None:
        self._headers = {"Accept-Encoding": "identity", **headers}
        self._patience = patience
        self._deadline = _Deadline()
        self._pool = httpcore2.ConnectionPool(
            network_backend=_Network(self._deadline),
            max_connections=CONNECTIONS_MAX,
            keepalive_expiry=5,
        )

    def post(self, address: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        """The body of the answer. Raises CentreError; a status other than 200 is none."""
        received = b""
        with self._exchange("POST", address, body, headers) as response:
            if response.status != 200:
                raise CentreAnswerError(
                    f"HTTP status {response.status}",
                    status=response.status,
                    retry_after_ms=_retry_after_ms(response),
                )
            for part in response.iter_stream():
                received += part
                if len(received) > ANSWER_MAX_BYTES:
                    raise CentreAnswerError("the answer is too large")
        return received

    def status(self, address: str) -> int:
        """What a GET is answered with. Raises CentreError."""
        with self._exchange("GET", address, b"", {}) as response:
            return response.status

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.close()

    @contextmanager
    def _exchange(
        self, method: str, address: str, body: bytes, headers: Mapping[str, str]
    ) -> Iterator[httpcore2.Response]:
        patience = self._patience
        self._deadline.at = time.monotonic() + patience.total
        named = ("connect", "read", "write", "pool")
        seconds = dict.fromkeys(named, patience.read) | {"connect": patience.connect}
        try:
            with self._pool.stream(
                method,
                _url(address),
                headers=[*self._headers.items(), *headers.items()],
                content=body,
                extensions={"timeout": seconds},
            ) as response:
                yield response
        except httpcore2.ConnectTimeout as silent:
            raise CentreUnreachableError("no connection in time") from silent
        except httpcore2.TimeoutException as silent:
            raise CentreTimeoutError("no answer in time") from silent
        except (httpcore2.ConnectError, UnicodeError, OSError) as refused:
            # UnicodeError: not a host's name. OSError: the system's certificates.
            raise CentreUnreachableError("no connection") from refused
        except (
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            httpcore2.UnsupportedProtocol,
        ) as broken:
            raise CentreAnswerError(type(broken).__name__) from broken


def _retry_after_ms(response: httpcore2.Response) -> int | None:
    """Only as seconds: a date would need a clock that both believe."""
    if response.status not in BUSY:
        return None
    for name, value in response.headers:
        if name.lower() == b"retry-after" and re.fullmatch(rb"[0-9]{1,6}", value):
            return int(value) * 1_000
    return None


def _url(address: str) -> httpcore2.URL:
    """Raises CentreUnreachableError where it is none."""
    try:
        return httpcore2.URL(address)
    except (TypeError, ValueError) as wrong:
        raise CentreUnreachableError("not an address") from wrong


class _Deadline(threading.local):
    """When the exchange of this thread is over (seconds, monotonic)."""

    at: float = math.inf

    def within(self, seconds: float | None) -> float:
        """Of so many seconds, those that are left."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("the exchange took too long")
        return left if seconds is None else min(seconds, left)

    @property
    def passed(self) -> bool:
        """Whether none are left."""
        return self.at <= time.monotonic()


class _Stream(httpcore2.NetworkStream):
    """A connection on which no single wait goes beyond the deadline."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Some bytes; none when the other side has ended."""
        return self._stream.read(max_bytes, self._deadline.within(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of them."""
        self._stream.write(buffer, self._deadline.within(timeout))

    def close(self) -> None:
        """End it."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        """The same, encrypted."""
        left = self._deadline.within(timeout)
        secured = self._stream.start_tls(ssl_context, server_hostname, left)
        return _Stream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's own word
        """What httpcore wants to know of the socket."""
        return self._stream.get_extra_info(info)


class _Network(httpcore2.SyncBackend):
    """Opens such connections."""

    def __init__(self, deadline: _Deadline) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first of the name's addresses that takes us, each within what is
        left."""
        failed: Exception = httpcore2.ConnectTimeout("no address in time")
        for address in _addresses(host, port):
            if self._deadline.passed:
                break
            left = self._deadline.within(timeout)
            try:
                opened = super().connect_tcp(
                    address, port, left, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as wrong:
                failed = wrong
            else:
                return _Stream(opened, self._deadline)
        raise failed


def _addresses(host: str, port: int) -> list[str]:
    """Every address of a name, in the system's order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))

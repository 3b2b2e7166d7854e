"""A serial line: bytes out, bytes in, and a way to be woken. The only file that imports
pyserial.

pyserial opens and sets up the port everywhere. Where a port is a descriptor (POSIX), reading
and writing go to it at once; elsewhere pyserial waits in short ticks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import sys
import threading
import time
from typing import Protocol

import serial

from drivers.errors import (
    DriverError,
    PortBusyError,
    PortForbiddenError,
    PortGoneError,
    ReaderTimeoutError,
)

CHUNK = 4096
TICK_SECONDS = 0.05
EAGER_SECONDS = 0.000_15  # an answer sooner than this would come before we had woken up
WRITE_SECONDS = 2.0
STOP_BITS = {1: serial.STOPBITS_ONE, 2: serial.STOPBITS_TWO}
POSIX = os.name == "posix"
_ERRORS: tuple[type[Exception], ...] = (
    serial.SerialException,
    OSError,
    ValueError,
    TypeError,
)
if sys.platform != "win32":
    import termios

    _ERRORS += (termios.error,)  # no OSError: a port that goes while it is opened


class Line(Protocol):
    """Bytes out, bytes in. Read by one thread at a time; `wake` may come from any."""

    def write(self, data: bytes) -> None:
        """Send all of it. Raises DriverError."""
        ...

    def read(self, seconds: float) -> bytes | None:
        """What has come, as soon as there is any; empty after so many seconds, None when
        woken before. Raises DriverError."""
        ...

    def wake(self) -> None:
        """End a `read` that waits, or the next one."""
        ...

    def close(self) -> None:
        """Give it back. Never raises."""
        ...


class SerialLine:
    """An open port: 8 data bits, no parity.

    Raises PortGoneError, PortBusyError when another program has it, PortForbiddenError.
    """

    def __init__(
        self, port: str, baud: int, stop_bits: int, *, direct: bool = POSIX
    ) -> None:
        self._port = serial.Serial(
            baudrate=baud,
            stopbits=STOP_BITS[stop_bits],
            timeout=TICK_SECONDS,
            write_timeout=WRITE_SECONDS,
            exclusive=POSIX or None,
        )
        self._port.rts = False  # or the reader sends its plug-and-play text
        self._port.port = port
        try:
            self._port.open()
            self._way: Line = _Descriptor(self._port) if direct else _Ticks(self._port)
        except _ERRORS as failed:
            self._port.close()
            raise _why_not_open(port, failed) from failed

    def write(self, data: bytes) -> None:
        """Send all of it. Raises PortGoneError, ReaderTimeoutError."""
        try:
            self._way.write(data)
        except (serial.SerialTimeoutException, BlockingIOError) as stuck:
            raise ReaderTimeoutError from stuck
        except _ERRORS as gone:
            raise PortGoneError(str(gone)) from gone

    def read(self, seconds: float) -> bytes | None:
        """What has come, as soon as there is any; empty after so many seconds, None when
        woken before. Raises PortGoneError."""
        try:
            return self._way.read(seconds)
        except _ERRORS as gone:
            raise PortGoneError(str(gone)) from gone

    def wake(self) -> None:
        """End a `read` that waits, or the next one. From any thread."""
        self._way.wake()

    def close(self) -> None:
        """Give the port back. Never raises."""
        self._way.close()
        with contextlib.suppress(*_ERRORS):
            self._port.close()


class _Descriptor:
    """Without what pyserial does around every read and write."""

    def __init__(self, port: serial.Serial) -> None:
        self._line: int = port.fileno()
        self._eager_until = 0.0
        self._woken, self._waking = socket.socketpair()
        self._waking.setblocking(False)
        self._wake_number = self._woken.fileno()
        self._ready = select.poll()
        self._ready.register(self._line, select.POLLIN)
        self._ready.register(self._wake_number, select.POLLIN)

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._line, data) :]
        self._eager_until = time.monotonic() + EAGER_SECONDS

    def read(self, seconds: float) -> bytes | None:
        while time.monotonic() < self._eager_until:
            if self._ready.poll(0):
                break
        ready = [found for found, _ in self._ready.poll(seconds * 1000)]
        if self._wake_number in ready:
            self._woken.recv(CHUNK)
            return None
        if self._line not in ready:
            return b""
        came = os.read(self._line, CHUNK)
        if not came:
            raise OSError("the line has ended")
        return came

    def wake(self) -> None:
        with contextlib.suppress(OSError):  # a wake is waiting already, or it is closed
            self._waking.send(b"\0")

    def close(self) -> None:
        self._woken.close()
        self._waking.close()


class _Ticks:
    """Through pyserial, which cannot wait for two things at once everywhere."""

    def __init__(self, port: serial.Serial) -> None:
        self._port = port
        self._woken = threading.Event()

    def write(self, data: bytes) -> None:
        self._port.write(data)

    def read(self, seconds: float) -> bytes | None:
        deadline = time.monotonic() + seconds
        while not self._woken.is_set():
            first: bytes = self._port.read(1)
            if first or time.monotonic() >= deadline:
                rest: bytes = self._port.read(self._port.in_waiting)
                return first + rest
        self._woken.clear()
        return None

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> None:
        """Nothing more than the port."""


def _why_not_open(port: str, failed: Exception) -> DriverError:
    number = getattr(failed, "errno", None)
    if "lock" in str(failed) or number == errno.EBUSY:
        return PortBusyError(port)
    if number == errno.EACCES or "Access is denied" in str(failed):
        return PortForbiddenError(port) if POSIX else PortBusyError(port)
    return PortGoneError(port)

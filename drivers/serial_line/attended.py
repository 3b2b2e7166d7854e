"""A port and the thread that attends to it: opens it, listens, and opens it again when it has
been pulled and put back."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from drivers.errors import DriverError, PortGoneError
from drivers.ports import Reader, ReaderStatus
from drivers.serial_line.line import Line, SerialLine
from drivers.serial_line.settings import SerialPort

RETRY_SECONDS = 0.5


class Device(Protocol):
    """What is on the line. Everything but `reader` is called by whoever has the turn."""

    def begin(self, line: Line) -> None:
        """The port was opened. Raises DriverError when nobody answers as expected."""
        ...

    def listen(self) -> None:
        """Wait a while for something to happen, and deal with it."""
        ...

    def status(self) -> ReaderStatus:
        """The reader and its slot now."""
        ...

    def reader(self) -> Reader:
        """Its reader, for one thread to own."""
        ...


class AttendedPort:
    """One port. `changed` hears, on any thread, that `status` or `trouble` may differ.

    The attendant listens whenever nobody else has the turn; whoever takes it wakes the line
    up first and is next.
    """

    def __init__(self, settings: SerialPort, changed: Callable[[], None]) -> None:
        self.settings = settings
        self.device: Device
        self.status: ReaderStatus | None = None
        self.trouble: DriverError | None = None
        self.known = threading.Event()
        self._changed = changed
        self._line: Line | None = None
        self._turn = threading.Lock()
        self._has_turn: int | None = None  # the thread that took it with `turn`
        self._waiting = 0
        self._nobody_waits = threading.Condition()
        self._closed = threading.Event()

    def attend(self) -> None:
        """Until `close`."""
        while not self._closed.is_set():
            try:
                self._attend_once()
            except DriverError as trouble:
                self._give_up_for_now(trouble)
            except Exception as bug:  # noqa: BLE001 - a port is never left alone
                self._give_up_for_now(DriverError(type(bug).__name__))

    def _give_up_for_now(self, trouble: DriverError) -> None:
        self.tell(None, trouble)
        self._closed.wait(RETRY_SECONDS)

    def _attend_once(self) -> None:
        """Until the port goes, which raises DriverError."""
        with self.begun(SerialLine(self.settings.port, *self.settings.speed)):
            while not self._closed.is_set():
                with self._nobody_waits:
                    self._nobody_waits.wait_for(lambda: not self._waiting)
                with self._turn:
                    self.device.listen()
                    self.tell(self.device.status(), None)

    @contextlib.contextmanager
    def begun(self, line: Line) -> Iterator[None]:
        """Have the device on this line; it is closed at the end. Raises DriverError."""
        try:
            with self._turn:
                self.device.begin(line)
                self._line = line
                self.tell(self.device.status(), None)
            yield
        finally:
            with self._turn:
                self._line = None
                line.close()

    def tell(self, status: ReaderStatus | None, trouble: DriverError | None) -> None:
        """How it stands now."""
        same = (status, trouble) == (self.status, self.trouble) and self.known.is_set()
        self.status, self.trouble = status, trouble
        self.known.set()
        if not same:
            self._changed()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Have the line for oneself; nests. Raises DriverError when there is none."""
        if self._has_turn == threading.get_ident():
            yield
            return
        with self._nobody_waits:
            self._waiting += 1
        try:
            self.wake()
            with self._turn:
                if self._line is None:
                    raise self.trouble or PortGoneError()
                self._has_turn = threading.get_ident()
                try:
                    yield
                finally:
                    self._has_turn = None
        finally:
            with self._nobody_waits:
                self._waiting -= 1
                self._nobody_waits.notify()

    def wake(self) -> None:
        """End what the attendant waits for."""
        line = self._line
        if line is not None:
            line.wake()

    def close(self) -> None:
        """End `attend`. From any thread."""
        self._closed.set()
        self.wake()

"""The readers on serial ports, as one directory.

| what                                   | here                                          |
|----------------------------------------|-----------------------------------------------|
| readers and cards coming and going     | the reader says so itself; asked every second |
| a port unplugged and plugged in again  | PortGoneError, then opened again              |
| another program has the port           | PortBusyError; ports are not shared           |
| card pulled in the middle              | CardRemovedError, said by the reader          |
| cards with T=1 only, faster than reset | not here: T=0 at the speed of the reset       |
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from drivers.errors import DriverError, ReaderGoneError
from drivers.ports import CardConnection, DirectoryState, Reader
from drivers.serial_line.attended import AttendedPort, Device
from drivers.serial_line.chip_reader import ChipReader
from drivers.serial_line.settings import PortKind, SerialPort
from drivers.serial_line.track_reader import TrackReader

LOOK_SECONDS = 3.0
CLOSE_SECONDS = 2.0
_DEVICES: dict[PortKind, Callable[[AttendedPort], Device]] = {
    PortKind.CCID: ChipReader,
    PortKind.TRACKS: TrackReader,
}


class SerialDirectory:
    """One thread attends to each port, from the first look or watch on."""

    def __init__(self, ports: Iterable[SerialPort]) -> None:
        self._changed = threading.Condition()
        self._closed = False
        self._ports = {each.shown_name: self._attended(each) for each in ports}
        self._threads = [
            threading.Thread(target=port.attend, name=f"attending {name}", daemon=True)
            for name, port in self._ports.items()
        ]
        self._starting = threading.Lock()
        self._started = False

    def _attended(self, settings: SerialPort) -> AttendedPort:
        port = AttendedPort(settings, self._tell)
        port.device = _DEVICES[settings.kind](port)
        return port

    def look(self) -> DirectoryState:
        """The readers and their slots now; a port that was just opened is waited for."""
        self._start()
        deadline = time.monotonic() + LOOK_SECONDS
        for port in self._ports.values():
            port.known.wait(max(0.0, deadline - time.monotonic()))
        return self._state()

    def watch(self, notice: Callable[[DirectoryState], None]) -> None:
        """Block and tell of every change."""
        self._start()
        told: DirectoryState | None = None
        while (state := self._another(told)) is not None:
            told = state
            notice(state)

    def _another(self, told: DirectoryState | None) -> DirectoryState | None:
        """The first state that is not this one; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._state() != told)
            return None if self._closed else self._state()

    def close(self) -> None:
        """End every watch and give the ports back."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for port in self._ports.values():
            port.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(CLOSE_SECONDS)

    def reader(self, name: str) -> Reader:
        """The reader of that name; its `connect` finds out whether it is there."""
        port = self._ports.get(name)
        if port is None:
            return _Nobody(name)
        return port.device.reader()

    def _start(self) -> None:
        with self._starting:
            if not self._started:
                self._started = True
                for thread in self._threads:
                    thread.start()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _state(self) -> DirectoryState:
        ports = self._ports.values()
        troubles = (port.trouble for port in ports if port.trouble is not None)
        return DirectoryState(
            tuple(port.status for port in ports if port.status is not None),
            next(troubles, None),
        )


class _Nobody:
    """A reader that no port has."""

    def __init__(self, name: str) -> None:
        self.name = name

    def connect(self) -> CardConnection:
        """There is nothing to connect to."""
        raise ReaderGoneError

    def stalled(self) -> DriverError:
        """The same."""
        return ReaderGoneError()

    def close(self) -> None:
        """Nothing is held."""

"""The readers of a benchmark's process, and whether a card is in."""

from __future__ import annotations

import threading

from drivers.pcsc import PcscDirectory
from drivers.ports import DirectoryState, ReaderDirectory, SlotState
from drivers.serial_line.directory import SerialDirectory
from drivers.serial_line.settings import PortKind, SerialPort

ON_A_PORT = f"{PortKind.CCID}:"


def opened(reader: str) -> tuple[ReaderDirectory, str]:
    """Where this reader is, and its name there; `ccid:PORT` is on a serial port."""
    if not reader.startswith(ON_A_PORT):
        return PcscDirectory(), reader
    port = SerialPort(kind=PortKind.CCID, port=reader.removeprefix(ON_A_PORT))
    directory = SerialDirectory([port])
    directory.look()
    return directory, port.shown_name


class Presence:
    """Watches one reader from the first wait on."""

    def __init__(self, directory: ReaderDirectory, reader: str) -> None:
        self._reader = reader
        self._present: bool | None = None
        self._changed = threading.Condition()
        self._watch = threading.Thread(
            target=directory.watch, args=(self._notice,), daemon=True
        )

    def wait(self, *, present: bool) -> None:
        """Until a card is in, or none."""
        if self._watch.ident is None:
            self._watch.start()
        with self._changed:
            self._changed.wait_for(lambda: self._present is present)

    def _notice(self, state: DirectoryState) -> None:
        with self._changed:
            self._present = is_present(state, self._reader)
            self._changed.notify_all()


def is_present(state: DirectoryState, reader: str) -> bool:
    """Whether a card that answers is in this reader."""
    slots = {each.name: each.slot for each in state.readers}
    return slots.get(reader) is SlotState.PRESENT

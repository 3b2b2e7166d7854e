"""Watching an exchange without being able to leak it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from drivers.iso7816.apdu import CommandApdu, ResponseApdu
from drivers.ports import CardConnection, Disposition, PinEntry, PinOperation

Note = Callable[[CommandApdu, ResponseApdu | None], None]

# What may carry a PIN, by ISO 7816-4, 11.6, and by the cards' own CHANGE PIN
WITH_PIN = frozenset({0x20, 0x21, 0x24, 0x25, 0x2C, 0x2D, 0x5E})


def shown(command: CommandApdu, got: ResponseApdu) -> dict[str, str | int]:
    """What may be written of an exchange: the header, the lengths and the status word; of a
    command that may carry a PIN only its INS and the status word."""
    sw = f"{got.sw.value:04X}"
    if command.ins in WITH_PIN:
        return {"header": f"{command.ins:02X}", "sw": sw}
    return {
        "header": command.header.hex().upper(),
        "sent": len(command.data),
        "received": len(got.data),
        "sw": sw,
    }


class TracedConnection:
    """Passes everything through, and shows each command before (with None) and after (with
    its answer) to `note`. Commands and answers print without their data."""

    def __init__(self, connection: CardConnection, note: Note) -> None:
        self._connection = connection
        self._note = note

    @property
    def atr(self) -> bytes:
        """The answer to reset."""
        return self._connection.atr

    def transmit(self, command: CommandApdu) -> ResponseApdu:
        """One exchange, noted."""
        self._note(command, None)
        got = self._connection.transmit(command)
        self._note(command, got)
        return got

    def keypad(self) -> frozenset[PinOperation]:
        """As the connection does it."""
        return self._connection.keypad()

    def enter_pin(self, entry: PinEntry) -> ResponseApdu:
        """One exchange, noted like any other."""
        self._note(entry.command, None)
        got = self._connection.enter_pin(entry)
        self._note(entry.command, got)
        return got

    def exclusively(self) -> AbstractContextManager[None]:
        """As the connection does it."""
        return self._connection.exclusively()

    def close(self, disposition: Disposition = Disposition.LEAVE) -> None:
        """As the connection does it."""
        self._connection.close(disposition)

"""What a procedure needs beyond plain commands: a PSAM in a slot of its own, the centre's
HSM, a PIN that goes to the card once. Done on the thread that reads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack

from drivers.conversation import Errand, UnknownErrandError, exchange
from drivers.errors import (
    DriverError,
    MuteCardError,
    NoCardError,
    NoReaderError,
    ReaderGoneError,
)
from drivers.iso7816.apdu import CommandApdu, ResponseApdu
from drivers.ports import CardConnection, Disposition, Reader
from drivers.trace import Note, TracedConnection
from plugin.card.authentication import HsmAnswer, HsmQuestion, PsamCommand
from plugin.card.errors import PsamMissingError, PsamRefusedError
from plugin.card.pin import KeypadEntry, KeypadQuestion, PinCommand
from plugin.centre.port import CentreUnreachableError

PSAM_SECONDS = 5.0  # how long another reading may keep the PSAM
AskHsm = Callable[[HsmQuestion], HsmAnswer]
_MISSING = (NoCardError, MuteCardError, NoReaderError, ReaderGoneError)


class PsamSlot:
    """The slot that holds the PSAM; one reading has it at a time. `open_reader` gives its
    reader, or None when there is none."""

    def __init__(self, open_reader: Callable[[], Reader | None]) -> None:
        self._open_reader = open_reader
        self._lock = threading.Lock()

    def taken(self, stack: ExitStack) -> CardConnection:
        """A connection that `stack` gives back. Raises PsamMissingError and
        PsamRefusedError."""
        if not self._lock.acquire(timeout=PSAM_SECONDS):
            raise PsamRefusedError("another reading keeps the PSAM")
        stack.callback(self._lock.release)
        reader = self._open_reader()
        if reader is None:
            raise PsamMissingError
        stack.callback(reader.close)
        connection = reader.connect()
        stack.callback(connection.close, Disposition.RESET)
        stack.enter_context(connection.exclusively())
        return connection


class Errands:
    """Those of one procedure. Use as a context manager. `note_psam` is shown every exchange
    with the PSAM. `rights` says that the card may
    have learned something that gives others more than they had; it says so before the card
    is told, and a worker looks whether it is abandoned after that: so who abandons one and
    finds no rights then knows that the card is never told."""

    def __init__(self, psam: PsamSlot, ask_hsm: AskHsm) -> None:
        self._psam = psam
        self._ask_hsm = ask_hsm
        self._held = ExitStack()
        self._connection: CardConnection | None = None
        self.rights = False
        self.note_psam: Note = lambda *_: None

    def __enter__(self) -> Errands:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def run(self, errand: Errand, card: CardConnection) -> object:
        """Do one for this card. Raises CardError about the PSAM, DriverError about the
        card, and what the HSM's messenger raises."""
        if isinstance(errand, KeypadQuestion):
            return card.keypad()
        self.rights = True
        match errand:
            case PinCommand(command):
                return card.transmit(command)  # once, whatever the answer asks for
            case KeypadEntry(entry):
                return card.enter_pin(entry)
            case PsamCommand(command):
                return self._to_psam(command)
            case HsmQuestion():
                return self._ask_hsm(errand)
            case _:
                raise UnknownErrandError(type(errand).__name__)

    def _to_psam(self, command: CommandApdu) -> ResponseApdu:
        try:
            if self._connection is None:
                taken = self._psam.taken(self._held)
                self._connection = TracedConnection(taken, self.note_psam)
            return exchange(self._connection, command)
        except _MISSING as missing:
            raise PsamMissingError(str(missing)) from missing
        except DriverError as failed:
            raise PsamRefusedError(str(failed)) from failed


def no_hsm(_: HsmQuestion) -> HsmAnswer:
    """Where there is no centre."""
    raise CentreUnreachableError("nobody asks an HSM here")


def without_help() -> Errands:
    """For cards that need nothing beyond themselves."""
    return Errands(PsamSlot(lambda: None), no_hsm)

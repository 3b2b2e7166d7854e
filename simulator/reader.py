"""Readers in this process, and the hand that moves cards in and out of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from drivers.errors import (
    CardProtocolError,
    CardRemovedError,
    CardResetError,
    DriverError,
    MuteCardError,
    NoCardError,
    NoKeypadError,
    ReaderGoneError,
    ReaderTimeoutError,
)
from drivers.iso7816.apdu import ApduError, CommandApdu, ResponseApdu
from drivers.iso7816.atr import Atr, AtrError
from drivers.ports import (
    DirectoryState,
    Disposition,
    Mishap,
    PinEntry,
    PinOperation,
    ReaderStatus,
    SlotState,
)
from simulator.card.psam import PsamEngine
from simulator.hand import CastHand
from simulator.keypad import Keypad
from simulator.scenario import Card, CardPulledError, CardResetElsewhereError

READER_NAMES = ("Simulated reader 1", "Simulated reader 2")
PSAM_NAME = "Simulated PSAM slot"


@dataclass
class _Slot:
    card: Card | None = None
    name: str = ""
    stay: int = 0
    plugged: bool = True


class InProcessDesk(CastHand):
    """A directory of readers, and the hand over them; beside them a slot with a PSAM, which
    no hand touches. A reader in `keypads` has one. Safe from any thread."""

    mishaps = frozenset(Mishap)
    has_plugs = True

    def __init__(
        self,
        names: tuple[str, ...] = READER_NAMES,
        keypads: Mapping[str, Keypad] | None = None,
    ) -> None:
        super().__init__()
        self.keypads = dict(keypads or {})
        self._slots = {name: _Slot() for name in names}
        self._names = names
        self.give_psam(PsamEngine())
        self._changed = threading.Condition()
        self._version = 0
        self._closed = False

    # The hand

    def readers(self) -> tuple[str, ...]:
        """The readers for customers' cards."""
        return self._names

    def keypad(self, reader: str) -> Keypad | None:
        """The reader's keypad, if it has one."""
        return self.keypads.get(reader)

    def give_psam(self, psam: PsamEngine | None) -> None:
        """Put another PSAM into its slot, or none."""
        self._slots[PSAM_NAME] = _Slot(card=psam)

    def insert(self, card: str, reader: str) -> None:
        """Put a card of the cast in."""
        with self._changed:
            if any(slot.name == card for slot in self._slots.values()):
                raise ValueError("this card is in another reader")
            self._put(self.fated(card, reader), card, reader)
            self.fate(reader).enter(card)

    def insert_card(self, card: Card, reader: str) -> None:
        """Put any card in."""
        with self._changed:
            self._put(card, "", reader)

    def _put(self, card: Card, name: str, reader: str) -> None:
        slot = self._slots[reader]
        if slot.card is not None:
            raise ValueError("there is a card in this reader")
        slot.card, slot.name, slot.stay = card, name, slot.stay + 1
        card.reset()
        self._tell()

    def remove(self, reader: str) -> None:
        """Take the card out."""
        with self._changed:
            self.fate(reader).forget()
            slot = self._slots[reader]
            if slot.card is not None:
                slot.card, slot.name, slot.stay = None, "", slot.stay + 1
                self._tell()

    def unplug(self, reader: str) -> None:
        """Pull the reader's plug; its card goes with it."""
        with self._changed:
            self.fate(reader).forget()
            self._slots[reader] = _Slot(
                stay=self._slots[reader].stay + 1, plugged=False
            )
            self._tell()

    def plug(self, reader: str) -> None:
        """Plug the reader in again."""
        with self._changed:
            self._slots[reader].plugged = True
            self._tell()

    def detach(self, reader: str) -> None:
        """The same, as every hand calls it."""
        self.unplug(reader)

    def attach(self, reader: str) -> None:
        """The same, as every hand calls it."""
        self.plug(reader)

    def _tell(self) -> None:
        self._version += 1
        self._changed.notify_all()

    # The directory

    def look(self) -> DirectoryState:
        """The readers and their slots now."""
        with self._changed:
            return self._state()

    def watch(self, notice: Callable[[DirectoryState], None]) -> None:
        """Block and tell of every change, one by one."""
        seen = -1
        while True:
            with self._changed:
                while not self._closed and self._version == seen:
                    self._changed.wait()
                if self._closed:
                    return
                seen, state = self._version, self._state()
            notice(state)

    def close(self) -> None:
        """End every watch."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def reader(self, name: str) -> InProcessReader:
        """The reader of that name."""
        return InProcessReader(self, name)

    def _state(self) -> DirectoryState:
        plugged = ((name, slot) for name, slot in self._slots.items() if slot.plugged)
        return DirectoryState(tuple(_status(name, slot) for name, slot in plugged))

    # What readers ask of the desk

    def card_in(self, reader: str) -> tuple[Card, int]:
        """The card in a reader and its stay. Raises DriverError."""
        with self._changed:
            slot = self._slots.get(reader)
            if slot is None or not slot.plugged:
                raise ReaderGoneError
            if slot.card is None:
                raise NoCardError
            if _status(reader, slot).slot is SlotState.MUTE:
                raise MuteCardError
            return slot.card, slot.stay

    def check_stay(self, reader: str, stay: int) -> None:
        """Raise when the card of that stay is no longer there."""
        with self._changed:
            slot = self._slots[reader]
            if not slot.plugged:
                raise ReaderGoneError
            if slot.stay != stay:
                raise CardRemovedError


def _status(name: str, slot: _Slot) -> ReaderStatus:
    if slot.card is None:
        return ReaderStatus(name, SlotState.EMPTY, slot.stay)
    try:
        Atr.parse(slot.card.atr)
    except AtrError:
        return ReaderStatus(name, SlotState.MUTE, slot.stay)
    return ReaderStatus(name, SlotState.PRESENT, slot.stay, slot.card.atr)


class InProcessReader:
    """One slot of the desk."""

    def __init__(self, desk: InProcessDesk, name: str) -> None:
        self._desk = desk
        self.name = name

    def connect(self) -> InProcessConnection:
        """Talk to the card that is in."""
        card, stay = self._desk.card_in(self.name)
        return InProcessConnection(self._desk, self.name, card, stay)

    def stalled(self) -> DriverError:
        """Nobody else uses these readers."""
        return ReaderTimeoutError()

    def close(self) -> None:
        """Nothing is held."""


class InProcessConnection:
    """A conversation with one card, for as long as it stays."""

    def __init__(self, desk: InProcessDesk, reader: str, card: Card, stay: int) -> None:
        self._desk = desk
        self._reader = reader
        self._card = card
        self._stay = stay

    @property
    def atr(self) -> bytes:
        """The card's answer to reset."""
        return self._card.atr

    def transmit(self, command: CommandApdu) -> ResponseApdu:
        """One exchange; a card that is pulled at this command is gone afterwards."""
        return self._exchange(bytes(command))

    def keypad(self) -> frozenset[PinOperation]:
        """All of it, where there is one."""
        there = self._reader in self._desk.keypads
        return frozenset(PinOperation) if there else frozenset()

    def enter_pin(self, entry: PinEntry) -> ResponseApdu:
        """What is typed goes to the card and nowhere else."""
        keypad = self._desk.keypads.get(self._reader)
        if keypad is None:
            raise NoKeypadError
        return self._exchange(keypad.command(entry))

    def _exchange(self, command: bytes) -> ResponseApdu:
        self._desk.check_stay(self._reader, self._stay)
        try:
            answer = self._card.process(command)
        except CardPulledError:
            self._desk.remove(self._reader)
            raise CardRemovedError from None
        except CardResetElsewhereError:
            raise CardResetError from None
        self._desk.check_stay(self._reader, self._stay)
        try:
            return ResponseApdu.parse(answer)
        except ApduError as wrong:
            raise CardProtocolError(str(wrong)) from wrong

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Nobody else uses these readers."""
        yield

    def close(self, disposition: Disposition = Disposition.LEAVE) -> None:
        """A reset voids the card's security state."""
        if disposition is Disposition.RESET:
            self._card.reset()

"""What a reader must do, whoever made it. The simulator's readers and real ones alike."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from drivers.errors import DriverError
from drivers.iso7816.apdu import CommandApdu, ResponseApdu


class SlotState(StrEnum):
    """What a reader's slot holds."""

    EMPTY = "empty"
    PRESENT = "present"
    MUTE = "mute"  # a card is in, and does not answer to reset
    SWIPED = "swiped"  # a stripe has passed, and can be read once


class Disposition(StrEnum):
    """What happens to the card when a connection ends (PC/SC part 5, 3.2.2)."""

    LEAVE = "leave"
    RESET = "reset"  # every security state on the card is void


class PinOperation(StrEnum):
    """What a reader can do with a PIN that is typed on its own keypad (PC/SC part 10,
    2.5.2 and 2.5.3)."""

    VERIFY = "verify"
    MODIFY = "modify"


class PinEntry(Struct, frozen=True, kw_only=True):
    """What a reader needs to know to take a PIN on its keypad and give it to the card
    itself, so that we never hold it.

    `command` is whole: its data field has the length that the card will see, with FF in
    every byte where digits go. `places` are the offsets in that field where they begin: one
    for VERIFY; the old one and the new one for MODIFY, where the new one is typed twice.
    Digits are packed, two a byte, left aligned and filled with F, `length` bytes each.
    `seconds` is how long a person has.
    """

    command: CommandApdu
    places: tuple[int, ...]
    length: int
    digits_min: int
    digits_max: int
    seconds: int = 30

    @property
    def operation(self) -> PinOperation:
        """Which of the two it is."""
        return PinOperation.VERIFY if len(self.places) == 1 else PinOperation.MODIFY


class ReaderStatus(Struct, frozen=True):
    """One reader at one moment.

    `stay` changes with every insertion, so that two stays of the same card in the same
    reader can be told apart. `atr` is empty unless the slot is PRESENT or SWIPED.
    """

    name: str
    slot: SlotState = SlotState.EMPTY
    stay: int = 0
    atr: bytes = b""


class DirectoryState(Struct, frozen=True):
    """All readers one directory knows at one moment, or why it knows none."""

    readers: tuple[ReaderStatus, ...] = ()
    trouble: DriverError | None = None


class CardConnection(Protocol):
    """A powered card that answers. Used by one thread, closed by the one who opened it."""

    @property
    def atr(self) -> bytes:
        """The answer to reset, 2 to 33 bytes."""
        ...

    def transmit(self, command: CommandApdu) -> ResponseApdu:
        """One command, one answer, exactly as the card gave it. Raises DriverError."""
        ...

    def keypad(self) -> frozenset[PinOperation]:
        """What this reader's own keypad can do; empty without one. Raises DriverError."""
        ...

    def enter_pin(self, entry: PinEntry) -> ResponseApdu:
        """Let a person type on the reader, which sends the command itself; returns the
        card's answer. Blocks for up to `entry.seconds` and a little. Raises
        PinCancelledError, PinTimeoutError, PinLengthError, PinMismatchError,
        NoKeypadError, DriverError."""
        ...

    def exclusively(self) -> AbstractContextManager[None]:
        """Keep other programs off this card for a few exchanges; never while a person
        or a network is waited for. Raises DriverError."""
        ...

    def close(self, disposition: Disposition = Disposition.LEAVE) -> None:
        """End the connection. Never raises: the card may long be gone."""
        ...


class Reader(Protocol):
    """One slot that holds one card. One thread owns it from first use to `close`."""

    @property
    def name(self) -> str:
        """The name its directory lists it under."""
        ...

    def connect(self) -> CardConnection:
        """Power the card and talk to it. Raises DriverError, one class a cause."""
        ...

    def stalled(self) -> DriverError:
        """What it means that nothing comes back just now. The one thing another thread
        may ask, when its patience with this reader has ended."""
        ...

    def close(self) -> None:
        """Give back what the owning thread held. Never raises."""
        ...


class ReaderDirectory(Protocol):
    """Who is there. May be asked from any thread."""

    def look(self) -> DirectoryState:
        """The readers and their slots now."""
        ...

    def watch(self, notice: Callable[[DirectoryState], None]) -> None:
        """Block, calling `notice` once at the start and after every change, until `close`."""
        ...

    def close(self) -> None:
        """End every `watch`. Called once, from any thread."""
        ...

    def reader(self, name: str) -> Reader:
        """The reader of that name, for the calling thread to own."""
        ...


class SimulatedDesk(Protocol):
    """A hand over simulated readers: what a person does to real ones."""

    def cards(self) -> tuple[str, ...]:
        """The names of the cards that can be put in, in the order of the cast."""
        ...

    def readers(self) -> tuple[str, ...]:
        """The names of the simulated readers."""
        ...

    def insert(self, card: str, reader: str) -> None:
        """Put a card in. Raises LookupError for unknown names, ValueError when the reader
        or the card is taken."""
        ...

    def remove(self, reader: str) -> None:
        """Take the card out; nothing happens when there is none."""
        ...

    def close(self) -> None:
        """Put everything away."""
        ...


class Clock(Protocol):
    """Time, as an argument."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; only moves forward."""
        ...

    def now(self) -> datetime:
        """The wall clock, with its zone: shown, never decided by."""
        ...

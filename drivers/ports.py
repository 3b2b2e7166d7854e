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


class CastCard(Struct, frozen=True, kw_only=True):
    """A card of the simulation's cast, and what it is there to show; its name and its
    story in Chinese and English. `kind` is "medical", "social_security" or "other",
    `medium` "processor", "memory" or "stripe"; `person` and `pin` are None where the card
    has none. Everybody is invented."""

    name: str
    person: str | None
    kind: str
    medium: str
    label_zh: str
    label_en: str
    story_zh: str
    story_en: str
    pin: str | None


class Mishap(StrEnum):
    """What can happen to a card at one of its commands."""

    PULL = "pull"  # it leaves the reader, and has not obeyed
    LOSE_ANSWER = "lose_answer"  # it has obeyed, and leaves before it has answered
    RESET = "reset"  # another program has reset it just before
    HANG = "hang"  # it takes its time


class Planned(Struct, frozen=True, kw_only=True):
    """A mishap at the `at`-th command from now on (1: the next one) to the card that is in,
    or else to the next that is put in; over when it has happened or that card has left.
    `seconds` is how long a card hangs."""

    mishap: Mishap
    at: int = 1
    seconds: float = 0.0


class SimulatedSlot(Struct, frozen=True, kw_only=True):
    """What a hand sees at one of its readers: the cast's card that is in, what is planned
    for it or for the next one, which mishaps can be, and whether the reader has a plug to
    pull; whether its keypad waits for somebody to type, None without a keypad."""

    card: str | None
    planned: Planned | None
    mishaps: frozenset[Mishap]
    has_plug: bool
    keypad_asks: bool | None


class NotHereError(ValueError):
    """Simulated readers of this kind cannot do that."""


class SimulatedDesk(Protocol):
    """A hand over simulated readers: what a person does to real ones, and what happens
    there. Every method that names a reader raises LookupError for one it does not know."""

    def cast(self) -> tuple[CastCard, ...]:
        """The cards that can be put in, in the order of the cast."""
        ...

    def readers(self) -> tuple[str, ...]:
        """The names of the simulated readers."""
        ...

    def insert(self, card: str, reader: str) -> None:
        """Put a card in. Raises LookupError for unknown names, ValueError when the reader
        or the card is taken."""
        ...

    def insert_wrongly(self, card: str, reader: str) -> None:
        """Put a card in the wrong way round: it is mute. Raises as `insert` does, and
        NotHereError."""
        ...

    def remove(self, reader: str) -> None:
        """Take the card out; nothing happens when there is none."""
        ...

    def slot(self, reader: str) -> SimulatedSlot:
        """What there is at a reader now."""
        ...

    def plan(self, reader: str, planned: Planned) -> None:
        """Have something happen to a card; it takes the place of what was planned before.
        Raises NotHereError."""
        ...

    def type(self, reader: str, digits: str | None) -> None:
        """Type digits and the enter key on the reader's keypad, or press its cancel key;
        nothing happens while nobody is asked. Raises NotHereError."""
        ...

    def detach(self, reader: str) -> None:
        """Pull the reader's plug; its card goes with it. Raises NotHereError."""
        ...

    def attach(self, reader: str) -> None:
        """Plug the reader in again; nothing happens when it is. Raises NotHereError."""
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

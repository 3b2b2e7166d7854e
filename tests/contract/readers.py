"""The kinds of readers every driver test runs against, each with a hand that inserts any
card and pulls it.

| kind      | readers                                          | can                          |
|-----------|--------------------------------------------------|------------------------------|
| inprocess | in this process                                  | everything                   |
| pcsc      | vpcd behind the real pcscd                       | memory cards, contactless    |
| twin      | serial, behind the real pcscd with libccidtwin   | keypad                       |
| serial    | the same serial readers through our own driver   | keypad, replug               |

What a kind cannot do is refused by name, and tested as well.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from typing import Any, Protocol

from drivers.conversation import converse
from drivers.pcsc import PcscDirectory
from drivers.ports import DirectoryState, ReaderDirectory, ReaderStatus
from drivers.serial_line.directory import SerialDirectory
from plugin.card.reading import Card, read_card
from plugin.profile_file import load_profile
from simulator.keypad import Keypad
from simulator.reader import READER_NAMES, InProcessDesk
from simulator.scenario import Card as SimulatedCard
from simulator.serial_peer import SerialDesk

WAIT_SECONDS = 10.0
SIMULATED_READER = READER_NAMES[0]
LAYOUTS = load_profile("reference").cards


class Can(StrEnum):
    """What not every kind of reader can do."""

    KEYPAD = "keypad"  # one of them takes a PIN itself
    MEMORY_CARDS = "memory_cards"
    CONTACTLESS = "contactless"
    REPLUG = "replug"  # a line that pcscd had open it never finds again


KINDS: dict[str, frozenset[Can]] = {
    "inprocess": frozenset(Can),
    "pcsc": frozenset({Can.MEMORY_CARDS, Can.CONTACTLESS}),
    "twin": frozenset({Can.KEYPAD}),
    "serial": frozenset({Can.KEYPAD, Can.REPLUG}),
}


class Hand(Protocol):
    """What moves cards in tests."""

    def readers(self) -> tuple[str, ...]: ...

    def insert_card(self, card: SimulatedCard, reader: str) -> None: ...

    def remove(self, reader: str) -> None: ...


class Plugs(Protocol):
    """A hand that can also unplug readers."""

    def unplug(self, reader: str) -> None: ...

    def plug(self, reader: str) -> None: ...


class Bench:
    """A directory under test, its hand, what it can, and what was noticed so far. `keypads`
    are those of its readers."""

    def __init__(
        self,
        directory: ReaderDirectory,
        hand: Hand,
        can: frozenset[Can] = frozenset(),
        keypads: Mapping[str, Keypad] | None = None,
    ) -> None:
        self.directory = directory
        self.hand = hand
        self.can = can
        self.keypads = dict(keypads or {})
        self.first, self.second = hand.readers()[:2]
        self.noticed: list[DirectoryState] = []
        self._changed = threading.Condition()

    def notice(self, state: DirectoryState) -> None:
        with self._changed:
            self.noticed.append(state)
            self._changed.notify_all()

    def wait_for(self, wanted: Callable[[DirectoryState], bool]) -> DirectoryState:
        """The first state noticed from now on, or the last one, that is as wanted."""
        with self._changed:
            assert self._changed.wait_for(
                lambda: bool(self.noticed) and wanted(self.noticed[-1]), WAIT_SECONDS
            ), self.noticed[-3:]
            return self.noticed[-1]

    def status(self, state: DirectoryState, reader: str) -> ReaderStatus:
        return next(each for each in state.readers if each.name == reader)

    def wait_for_slot(self, reader: str, slot: str) -> ReaderStatus:
        """The reader, once its slot is like this."""

        def wanted(state: DirectoryState) -> bool:
            found = [each for each in state.readers if each.name == reader]
            return bool(found) and found[0].slot == slot

        return self.status(self.wait_for(wanted), reader)

    def insert(self, card: SimulatedCard, reader: str) -> ReaderStatus:
        """Put a card in and wait until the driver has noticed."""
        self.hand.insert_card(card, reader)
        return self.wait_for_slot(reader, "present")

    def remove(self, reader: str) -> None:
        """Take the card out and wait until the driver has noticed."""
        self.hand.remove(reader)
        self.wait_for_slot(reader, "empty")

    def read(self, reader: str) -> Card:
        """What the card in it says."""
        opened = self.directory.reader(reader)
        try:
            connection = opened.connect()
            try:
                return converse(connection, read_card(LAYOUTS, connection.atr))
            finally:
                connection.close()
        finally:
            opened.close()


@contextmanager
def opened(kind: str, fixture: Callable[[str], Any]) -> Iterator[Bench]:
    """A bench of this kind with empty readers; `fixture` gives what is shared."""
    with ExitStack() as stack:
        hand: Hand
        directory: ReaderDirectory
        keypads: dict[str, Keypad] = {}
        match kind:
            case "inprocess":
                keypads = {SIMULATED_READER: Keypad()}
                hand = directory = InProcessDesk(keypads=keypads)
            case "pcsc":
                hand, directory = fixture("vpcd"), PcscDirectory()
            case "twin":
                hand, directory = fixture("twin"), PcscDirectory()
                peers = fixture("session_twin").peers
                keypads = {n: p.keypad for n, p in peers.items() if p.keypad}
            case _:
                keypad = Keypad()
                hand = desk = SerialDesk(keypads=[keypad])
                directory = SerialDirectory(desk.ports)
                keypads = {hand.readers()[0]: keypad}
                stack.callback(desk.close)
        bench = Bench(directory, hand, KINDS[kind], keypads)
        stack.enter_context(watched(bench))
        for reader in (bench.first, bench.second):
            bench.wait_for_slot(reader, "empty")
        yield bench


@contextmanager
def watching(directory: ReaderDirectory, hand: Hand) -> Iterator[Bench]:
    """A bench whose directory is being watched."""
    with watched(Bench(directory, hand)) as bench:
        yield bench


@contextmanager
def watched(bench: Bench) -> Iterator[Bench]:
    """The same while somebody watches its directory."""
    directory = bench.directory
    thread = threading.Thread(target=directory.watch, args=(bench.notice,))
    thread.start()
    try:
        bench.wait_for(lambda state: len(state.readers) >= 2)
        yield bench
    finally:
        directory.close()
        thread.join(WAIT_SECONDS)
        assert not thread.is_alive()

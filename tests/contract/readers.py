"""The kinds of readers every driver test runs against, each with a hand that inserts any
card and pulls it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from drivers.ports import DirectoryState, ReaderDirectory, ReaderStatus
from simulator.scenario import Card

WAIT_SECONDS = 10.0


class Hand(Protocol):
    """What moves cards in tests."""

    def readers(self) -> tuple[str, ...]: ...

    def insert_card(self, card: Card, reader: str) -> None: ...

    def remove(self, reader: str) -> None: ...


class Bench:
    """A directory under test, its hand, and what was noticed so far."""

    def __init__(self, directory: ReaderDirectory, hand: Hand) -> None:
        self.directory = directory
        self.hand = hand
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

    def insert(self, card: Card, reader: str) -> ReaderStatus:
        """Put a card in and wait until the driver has noticed."""
        self.hand.insert_card(card, reader)
        return self.wait_for_slot(reader, "present")

    def remove(self, reader: str) -> None:
        """Take the card out and wait until the driver has noticed."""
        self.hand.remove(reader)
        self.wait_for_slot(reader, "empty")


@contextmanager
def watching(directory: ReaderDirectory, hand: Hand) -> Iterator[Bench]:
    """A bench whose directory is being watched."""
    bench = Bench(directory, hand)
    thread = threading.Thread(target=directory.watch, args=(bench.notice,))
    thread.start()
    try:
        bench.wait_for(lambda state: len(state.readers) >= 2)
        yield bench
    finally:
        directory.close()
        thread.join(WAIT_SECONDS)
        assert not thread.is_alive()

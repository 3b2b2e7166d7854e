"""Readers in this process whose service stops, which another program takes, and which change
their names."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from drivers.errors import DriverError, NoServiceError, ReaderInUseError
from drivers.ports import DirectoryState
from simulator.reader import InProcessDesk
from simulator.scenario import Card


class TroubledDesk(InProcessDesk):
    """Two readers; what has struck them is over with `heal`."""

    def __init__(self) -> None:
        self._trouble: DriverError | None = None
        self._taken = False
        self._hanging: dict[str, threading.Event] = {}
        super().__init__()

    def stop(self) -> None:
        """The service of the readers ends, and knows none of them any more."""
        with self._changed:
            self._trouble = NoServiceError()
            for slot in self._slots.values():
                slot.stay += 1
            self._tell()

    def take_over(self) -> None:
        """Another program has every card for itself."""
        with self._changed:
            self._taken = True
            for slot in self._slots.values():
                slot.stay += 1

    def rename(self) -> None:
        """The system gives the readers each other's names."""
        with self._changed:
            first, second = self.readers()
            slots = self._slots
            slots[first], slots[second] = slots[second], slots[first]
            for name in (first, second):
                slots[name].stay += 1
            self._tell()

    @contextmanager
    def hanging(self, reader: str) -> Iterator[None]:
        """Whoever connects to this reader waits for ever."""
        self._hanging[reader] = threading.Event()
        try:
            yield
        finally:
            self._hanging.pop(reader).set()

    def heal(self) -> None:
        """Everything works."""
        with self._changed:
            self._trouble, self._taken = None, False
            for slot in self._slots.values():
                slot.plugged = True
            self._tell()

    def card_in(self, reader: str) -> tuple[Card, int]:
        """Nobody is let to a card of somebody else's."""
        if reader in self._hanging:
            self._hanging[reader].wait()
        if self._trouble is not None:
            raise self._trouble
        if self._taken:
            raise ReaderInUseError
        return super().card_in(reader)

    def _state(self) -> DirectoryState:
        if self._trouble is not None:
            return DirectoryState((), self._trouble)
        return super()._state()

"""The simulated parts of a till: readers with cards under one hand, and a centre.

They are loaded by name from a closed table, so that a till that does not simulate never
imports them.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from typing import Protocol, cast, runtime_checkable

from msgspec import Struct, field

from drivers.ports import (
    CastCard,
    Planned,
    ReaderDirectory,
    SimulatedDesk,
    SimulatedSlot,
)
from drivers.serial_line.settings import SerialPort
from plugin import main
from plugin.centre.port import CentreError, Patience

_KINDS: dict[str, tuple[str, str]] = {
    "inprocess": ("simulator.reader", "InProcessDesk"),
    "pcsc": ("simulator.vpcd", "VpcdDesk"),
    "twin": ("simulator.twin", "TwinDesk"),
    "serial": ("simulator.serial_peer", "SerialDesk"),
}
READER_KINDS = tuple(_KINDS)
PSAM = "Simulated PSAM"


@runtime_checkable
class SeenThroughPorts(Protocol):
    """Simulated readers on serial lines."""

    @property
    def ports(self) -> tuple[SerialPort, ...]:
        """What their user would set."""
        ...


@runtime_checkable
class SeenThroughEnvironment(Protocol):
    """Simulated readers that a process reaches through environment variables."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables."""
        ...


class Readers(Struct):
    """Simulated readers of several kinds: one hand over all, a directory for each."""

    directories: dict[str, ReaderDirectory] = field(default_factory=dict)
    hands: list[SimulatedDesk] = field(default_factory=list)

    @classmethod
    def started(cls, kinds: tuple[str, ...]) -> Readers:
        """Start these kinds. Raises RuntimeError when a part is not installed."""
        readers = cls()
        for kind in kinds:
            module, name = _KINDS[kind]
            hand = getattr(importlib.import_module(module), name)()
            readers.hands.append(hand)
            readers.directories[kind] = _directory_of(hand)
        return readers

    def cast(self) -> tuple[CastCard, ...]:
        """The cast's cards."""
        return self.hands[0].cast()

    def readers(self) -> tuple[str, ...]:
        """Every simulated reader."""
        return tuple(name for hand in self.hands for name in hand.readers())

    def insert(self, card: str, reader: str) -> None:
        """Put a card in."""
        self._hand(reader).insert(card, reader)

    def insert_wrongly(self, card: str, reader: str) -> None:
        """Put a card in the wrong way round."""
        self._hand(reader).insert_wrongly(card, reader)

    def remove(self, reader: str) -> None:
        """Take the card out."""
        self._hand(reader).remove(reader)

    def slot(self, reader: str) -> SimulatedSlot:
        """What there is at a reader now."""
        return self._hand(reader).slot(reader)

    def plan(self, reader: str, planned: Planned) -> None:
        """Have something happen to a card."""
        self._hand(reader).plan(reader, planned)

    def type(self, reader: str, digits: str | None) -> None:
        """Type on the reader's keypad."""
        self._hand(reader).type(reader, digits)

    def detach(self, reader: str) -> None:
        """Pull the reader's plug."""
        self._hand(reader).detach(reader)

    def attach(self, reader: str) -> None:
        """Plug it in again."""
        self._hand(reader).attach(reader)

    def close(self) -> None:
        """Put everything away."""
        for hand in self.hands:
            hand.close()

    def _hand(self, reader: str) -> SimulatedDesk:
        found = (hand for hand in self.hands if reader in hand.readers())
        hand = next(found, None)
        if hand is None:
            raise LookupError(reader)
        return hand


def _directory_of(hand: SimulatedDesk) -> ReaderDirectory:
    """What the agent sees of the readers under this hand."""
    match hand:
        case SeenThroughEnvironment():
            os.environ.update(hand.environment)
            return main.pcsc_readers()
        case SeenThroughPorts():
            return main.serial_readers(hand.ports)
        case _:
            return cast(ReaderDirectory, hand)


def seen_through(readers: Readers) -> tuple[str, ...]:
    """What somebody types to have another program see these readers."""
    said: list[str] = []
    for hand in readers.hands:
        match hand:
            case SeenThroughEnvironment():
                said += [
                    f"export {key}={hand.environment[key]}" for key in hand.environment
                ]
            case SeenThroughPorts():
                said += [
                    f"kaqi read --serial {each.kind}:{each.port}" for each in hand.ports
                ]
            case _:
                pass
    return tuple(said)


def missing_for(kind: str) -> str:
    """The packages without which there are no simulated readers of this kind here."""
    packages = getattr(importlib.import_module(_KINDS[kind][0]), "PACKAGES", None)
    if packages is None:
        return ""
    manager = importlib.import_module("simulator.resource_manager")
    return ", ".join(manager.missing_parts(packages))


class Centre:
    """The simulated centre in a process of its own; it ends when this one does."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simulator.centre"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for us: it ends after we have.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        announced = self._process.stdout.readline() if self._process.stdout else ""
        self.address = str(json.loads(announced)["address"])

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def is_centre(address: str) -> bool:
    """Whether a simulated centre answers at this address."""
    from plugin.centre.http import Http

    http = Http({}, Patience())
    try:
        return http.status(f"{address}/simulation/books") == 200
    except CentreError:
        return False
    finally:
        http.close()

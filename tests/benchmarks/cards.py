"""Rows about a card behind the real resource manager; all processes share one core."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from simulator.vpcd import READER_NAMES
from tests.benchmarks import process_vicc, resource_manager
from tests.benchmarks.compiler import compiled
from tests.benchmarks.figures import Measured, Promise, Row, interleaved
from tests.benchmarks.processes import Child, on_one_core, python

APDUS = 1_000  # less than a tenth of a second
READS = 50
SECOND = 1_000_000_000  # answers come in nanoseconds
MILLISECOND = 1_000_000
SELECT_WITH_FCI, SELECT_QUIETLY = "00", "0C"

DRIVER = Promise(gate=0.80, goal=0.90, unit="APDU/s", at_least=True)
BASIC_READ = Promise(gate=1.40, goal=1.15, unit="ms")
PEER = Promise(gate=1.3, goal=1.8, unit="APDU/s", at_least=True)


class Counter:
    """One core, a resource manager, our card in its first reader, and a C client there."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        stack.enter_context(on_one_core())
        self._manager = stack.enter_context(resource_manager.running())
        self._folder = stack.enter_context(TemporaryDirectory())
        self._floor_program = compiled("floor_read", Path(self._folder))
        self._insert("process_card", slot=0)
        self.floor = self._client(self._floor_program, READER_NAMES[0], SELECT_WITH_FCI)
        self.floor.ask("present")

    def driver(self) -> Child:
        """Our driver at the first reader."""
        return self._client(*python("process_driver", READER_NAMES[0], self._folder))

    def floor_over_vicc(self) -> Child:
        """vicc's card in the second reader, and a C client there."""
        self._insert("process_vicc", slot=1)
        client = self._client(self._floor_program, READER_NAMES[1], SELECT_QUIETLY)
        client.ask("present")
        return client

    def _insert(self, card: str, *, slot: int) -> None:
        command = python(card, str(self._manager.ports[slot]))
        self._stack.enter_context(Child(command)).line()

    def _client(self, *command: str) -> Child:
        client = Child(command, self._manager.environment)
        return self._stack.enter_context(client)


def driver(rounds: int) -> Iterator[Row]:
    """Our driver, and a whole reading, against the same in C over the same card."""
    with ExitStack() as stack:
        counter = Counter(stack)
        ours = counter.driver()
        yield Measured(
            what="READ RECORD through our driver",
            floor_is="C",
            promise=DRIVER,
            rounds=interleaved(rounds, _rate(ours), _rate(counter.floor)),
        )
        yield Measured(
            what="basic read, connect to disconnect",
            floor_is="C",
            promise=BASIC_READ,
            rounds=interleaved(rounds, _read_time(ours), _read_time(counter.floor)),
        )


def peer(rounds: int) -> Iterator[Row]:
    """Our card against vicc's, the same C client over both."""
    process_vicc.search_path()
    with ExitStack() as stack:
        counter = Counter(stack)
        over_vicc = counter.floor_over_vicc()
        yield Measured(
            what="our card over vpcd",
            floor_is="vicc with TCP_QUICKACK",
            promise=PEER,
            rounds=interleaved(rounds, _rate(counter.floor), _rate(over_vicc)),
        )


def _rate(client: Child) -> Callable[[], float]:
    """How many APDUs this client gets through in a second."""
    return lambda: APDUS * SECOND / int(client.ask(f"apdus {APDUS}"))


def _read_time(client: Child) -> Callable[[], float]:
    """How many milliseconds a basic read takes this client."""
    return lambda: int(client.ask(f"reads {READS}")) / READS / MILLISECOND

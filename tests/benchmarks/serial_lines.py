"""Rows about readers on serial lines. What runs here is not pinned: the kernel moves the bytes
of a pseudo-terminal on a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

from simulator import people
from simulator.ccid_peer import SECONDS_PER_CHARACTER, CcidPeer
from simulator.pty_line import PtyLine
from simulator.resource_manager import PrivatePcscd, missing_parts
from simulator.twin import PACKAGES as TWIN_PACKAGES
from simulator.twin import TWIN, TwinDriver
from simulator.vpcd import PACKAGES as VPCD_PACKAGES
from simulator.vpcd import READER_NAMES, VpcdDriver, VpcdSlot
from tests.benchmarks.compiler import compiled
from tests.benchmarks.figures import (
    Measured,
    PartMissingError,
    Promise,
    Row,
    interleaved,
)
from tests.benchmarks.process_card import CARD
from tests.benchmarks.processes import Child, python

APDUS = 500
READS = 20
EVENTS_A_ROUND = 100
SECOND = 1_000_000_000  # answers come in nanoseconds
MILLISECOND = 1_000_000
HUNDREDTHS = 100
# ATR and basic read of one card (performance, 4), and there are two of them.
CHARACTERS = 2 * (17 + 280)
TWO_CARDS = ("lin.social_security", "he.social_security")

TWIN_READ = Promise(gate=0.50, goal=0.80, unit="reads/s", at_least=True)
SERIAL = Promise(gate=0.60, goal=0.80, unit="APDU/s", at_least=True)
PACED = Promise(gate=1.10, goal=1.03, unit="ms")
MOVEMENT = Promise(gate=10.0, goal=2.0, unit="ms", difference=True)


def serial(rounds: int) -> Iterator[Row]:
    """All of them."""
    yield _behind_pcscd(rounds)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        yield _against_c(rounds, stack, folder)
        yield _paced(rounds, stack, folder)
        yield _movement(rounds, stack, folder)


def _behind_pcscd(rounds: int) -> Row:
    """The real pcscd reads our card through libccidtwin, and through vpcd."""
    missing = missing_parts(TWIN_PACKAGES | VPCD_PACKAGES)
    if missing:
        raise PartMissingError(f"not installed: {', '.join(missing)}")
    vpcd, twin = VpcdDriver(), TwinDriver(models=(TWIN,))
    with ExitStack() as stack:
        stack.callback(twin.close)
        manager = stack.enter_context(PrivatePcscd(vpcd, twin))
        slot = VpcdSlot(vpcd.ports[0])
        stack.callback(slot.remove)
        slot.insert(people.engine(CARD))
        twin.peers[TWIN.reader(0)].insert(people.engine(CARD))
        folder = stack.enter_context(TemporaryDirectory())
        sides = []
        for reader in (TWIN.reader(0), READER_NAMES[0]):
            watching = python("process_watcher", reader)
            with Child(watching, manager.environment) as watcher:
                while not watcher.line().startswith("in"):
                    pass
            client = Child(
                python("process_driver", reader, folder), manager.environment
            )
            sides.append(_reads(stack.enter_context(client)))
        return Measured(
            what="basic read, pcscd with libccidtwin",
            floor_is="with vpcd",
            promise=TWIN_READ,
            rounds=interleaved(rounds, *sides),
        )


def _against_c(rounds: int, stack: ExitStack, folder: Path) -> Row:
    """Our driver and C, each on a line of its own to a reader of the same kind."""
    peers = [_peer(stack, folder / name) for name in ("ours", "floor")]
    for peer in peers:
        peer.insert(people.engine(CARD))
    ours = Child(python("process_driver", f"ccid:{folder / 'ours'}", str(folder)))
    floor = Child([compiled("floor_serial", folder), str(folder / "floor")])
    clients = [stack.enter_context(each) for each in (ours, floor)]
    return Measured(
        what="READ RECORD through our serial driver",
        floor_is="C",
        promise=SERIAL,
        rounds=interleaved(rounds, *map(_rate, clients)),
    )


def _paced(rounds: int, stack: ExitStack, folder: Path) -> Row:
    """Two cards, one after the other, at the speed of the reset (9,600 baud): from the
    moment each is put in until it is read."""
    peer = _peer(stack, folder / "paced", paced=True)
    client = python("process_driver", f"ccid:{folder / 'paced'}", str(folder))
    reader = stack.enter_context(Child(client))

    def two_cards() -> float:
        taken = 0.0
        for name in TWO_CARDS:
            began = time.monotonic_ns()
            peer.insert(people.engine(name))
            reader.ask("arrived 1")
            reader.ask("reads 1")
            taken += time.monotonic_ns() - began
            peer.remove()
            reader.ask("left 1")
        return taken / MILLISECOND

    bound = CHARACTERS * SECONDS_PER_CHARACTER * 1000
    return Measured(
        what="two cards at 9,600 baud, put in until read",
        floor_is="physics",
        promise=PACED,
        rounds=tuple((two_cards(), bound) for _ in range(rounds)),
    )


def _movement(rounds: int, stack: ExitStack, folder: Path) -> Row:
    """From the byte that says "inserted" to the event, power and answer to reset included;
    99 of 100 are as soon as this."""
    peer = _peer(stack, folder / "moving")
    watching = python("process_watcher", f"ccid:{folder / 'moving'}")
    watcher = stack.enter_context(Child(watching))
    watcher.line()  # out

    def slowest() -> float:
        taken = []
        for _ in range(EVENTS_A_ROUND):
            began = time.monotonic_ns()
            peer.insert(people.engine(CARD))
            taken.append(int(watcher.line().split()[1]) - began)
            peer.remove()
            watcher.line()
        return quantiles(taken, n=HUNDREDTHS)[-1] / MILLISECOND

    return Measured(
        what="movement byte until the event, p99",
        floor_is="the byte",
        promise=MOVEMENT,
        rounds=tuple((slowest(), 0.0) for _ in range(rounds)),
    )


def _peer(stack: ExitStack, link: Path, *, paced: bool = False) -> CcidPeer:
    peer = CcidPeer(PtyLine(link), paced=paced)
    stack.callback(peer.close)
    return peer


def _rate(client: Child) -> Callable[[], float]:
    """How many APDUs this client gets through in a second."""
    return lambda: APDUS * SECOND / int(client.ask(f"apdus {APDUS}"))


def _reads(client: Child) -> Callable[[], float]:
    """How many basic reads, connect to disconnect, in a second."""
    return lambda: READS * SECOND / int(client.ask(f"reads {READS}"))

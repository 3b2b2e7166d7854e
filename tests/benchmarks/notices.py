"""Row: how soon we know of a card, against C waiting for the same card."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from simulator import people
from simulator.vpcd import READER_NAMES, VpcdSlot
from tests.benchmarks import resource_manager
from tests.benchmarks.compiler import compiled
from tests.benchmarks.figures import Measured, Promise, Round, Row
from tests.benchmarks.process_card import CARD
from tests.benchmarks.processes import Child, python

EVENTS_A_ROUND = 6
READER = READER_NAMES[0]
POLL_SECONDS = 0.4  # pcscd looks for cards this often
MILLISECOND = 1_000_000

NOTICE = Promise(gate=2.0, goal=0.3, unit="ms", difference=True)


def notice(rounds: int) -> Iterator[Row]:
    """Cards put in at random moments; the figure is the median over single events."""
    with resource_manager.running() as manager, TemporaryDirectory() as folder:
        program = compiled("floor_notice", Path(folder))
        slot = VpcdSlot(manager.ports[0])
        with (
            Child(python("process_watcher", READER), manager.environment) as ours,
            Child([program, READER], manager.environment) as floor,
        ):
            watchers = (ours, floor)
            for watcher in watchers:
                _told(watcher, "out")
            events = [_event(slot, watchers) for _ in range(rounds * EVENTS_A_ROUND)]
    yield Measured(
        what="card put in until we know, each event",
        floor_is="C",
        promise=NOTICE,
        rounds=tuple(events),
        beside="nearly all of it is the resource manager, which looks every 400 ms",
    )


def _event(slot: VpcdSlot, watchers: tuple[Child, Child]) -> Round:
    """Milliseconds until ours and the floor saw one card; it is taken out again."""
    threading.Event().wait(random.uniform(0, POLL_SECONDS))
    began = time.monotonic_ns()
    slot.insert(people.engine(CARD))
    seen = [_told(watcher, "in") for watcher in watchers]
    slot.remove()
    for watcher in watchers:
        _told(watcher, "out")
    ours, floor = ((at - began) / MILLISECOND for at in seen)
    return ours, floor


def _told(watcher: Child, what: str) -> int:
    """The nanosecond in which a watcher saw a card come ("in") or go ("out")."""
    said, at = watcher.line().split()
    if said != what:
        raise RuntimeError(f"a watcher said {said} instead of {what}")
    return int(at)

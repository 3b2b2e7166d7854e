"""Cards in and out of the readers of a running agent, and what that costs this process."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from drivers.ports import ReaderDirectory, SimulatedDesk, SlotState
from simulator.people import engine
from simulator.scenario import MuteCard, ScriptedCard
from tests.agents import running
from tests.scenario.counter import Counter, Hand
from tests.waiting import wait_until

PEOPLE = ("tang", "lin", "he", "abu", "jie", "qin", "xu")  # of 1.0, 2.0 and 3.0
MUTE_EVERY, PULLED_EVERY = 100, 10
COMMANDS = 16  # a card that is pulled leaves at each of them in turn
WARM_UP = 500
REPORT_SECONDS = 10.0
MIB = 1 << 20
MAX_GROWTH = 5 * MIB
_LOOKS, _APART = 5, 0.05


class Desk(Hand, SimulatedDesk, Protocol):
    """A hand over simulated readers that puts in any card."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What this process holds at one moment: bytes in memory, threads, open files."""

    resident: int
    threads: int
    files: int

    @classmethod
    def at_rest(cls) -> Holdings:
        """The least of a few looks: what is just ending does not count."""
        gc.collect()
        looks = list(_looks())
        return cls(*(min(each) for each in zip(*looks, strict=True)))


def _looks() -> Iterator[tuple[int, int, int]]:
    pause = threading.Event()
    for _ in range(_LOOKS):
        pause.wait(_APART)
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        yield (
            pages * os.sysconf("SC_PAGE_SIZE"),
            len(list(Path("/proc/self/task").iterdir())),
            len(list(Path("/proc/self/fd").iterdir())),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Soaked:
    """What came of it: holdings after the warm-up and at the end."""

    cycles: int
    seconds: float
    before: Holdings
    after: Holdings

    @property
    def growth(self) -> int:
        """In bytes."""
        return self.after.resident - self.before.resident

    @property
    def missed(self) -> tuple[str, ...]:
        """The gates that were not met."""
        gates = {
            "memory grew by 5 MiB or more": self.growth < MAX_GROWTH,
            "threads were left": self.after.threads == self.before.threads,
            "open files were left": self.after.files == self.before.files,
        }
        return tuple(gate for gate, met in gates.items() if not met)

    def __str__(self) -> str:
        each = self.growth / max(1, self.cycles)
        return (
            f"{self.cycles:,} cycles, {self.cycles / self.seconds:.0f}/s, memory"
            f" {self.before.resident / MIB:.1f} -> {self.after.resident / MIB:.1f} MiB"
            f" ({self.growth / MIB:+.2f} MiB, {each:.0f} bytes a cycle), threads"
            f" {self.before.threads} -> {self.after.threads}, open files"
            f" {self.before.files} -> {self.after.files}"
        )


def soak(
    transport: str,
    directory: ReaderDirectory,
    desk: Desk,
    *,
    centre_address: str,
    folder: Path,
    cycles: int,
    warm_up: int = WARM_UP,
    say: Callable[[str], None] = lambda _: None,
) -> Soaked:
    """Run `warm_up` cycles, then `cycles` that are measured, through one agent with these
    readers. `say` hears every ten seconds how it stands."""
    with running(folder, centre_address, {transport: directory}, desk) as started:
        counter = Counter(started, desk)
        for number in range(warm_up):
            cycle(counter, directory, number)
        before = Holdings.at_rest()
        began = said = time.monotonic()
        for number in range(cycles):
            cycle(counter, directory, number)
            if time.monotonic() - said >= REPORT_SECONDS:
                so_far = _soaked(number + 1, began, before)
                say(str(so_far))
                said = time.monotonic()
        return _soaked(cycles, began, before)


def _soaked(cycles: int, began: float, before: Holdings) -> Soaked:
    seconds = time.monotonic() - began
    return Soaked(
        cycles=cycles, seconds=seconds, before=before, after=Holdings.at_rest()
    )


def cycle(counter: Counter, directory: ReaderDirectory, number: int) -> None:
    """One registration: a card goes in, is read, found active, and taken out. Some cards
    are pulled in the middle or mute at first, and put in once more."""
    reader = number % len(counter.readers)
    card = engine(f"{PEOPLE[number % len(PEOPLE)]}.social_security")
    counter.seen.clear()
    counter.start("outpatient_registration")
    if number % MUTE_EVERY == 0:
        counter.put(MuteCard(), reader)
        counter.says("card.mute")
        take(counter, directory, reader)
    elif number % PULLED_EVERY == 0:
        at = 1 + number // PULLED_EVERY % COMMANDS
        counter.put(ScriptedCard(card, pull_at=at), reader)
        counter.says("card.removed")
        take(counter, directory, reader)
    counter.put(card, reader)
    ended = counter.reaches("succeeded", "failed")
    assert ended.outcome in ("activated", "already_active"), counter.code
    take(counter, directory, reader)


def take(counter: Counter, directory: ReaderDirectory, reader: int) -> None:
    """Take the card out, as slowly as these readers need to notice."""
    counter.take(reader)
    name = counter.readers[reader]
    empty = (name, SlotState.EMPTY)
    wait_until(
        lambda: empty in ((each.name, each.slot) for each in directory.look().readers)
    )

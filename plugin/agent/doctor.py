"""What must be in order before a card can be read and activated: the checks behind
/readyz and `kaqi doctor`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from drivers.errors import NoReaderError
from drivers.ports import ReaderDirectory, SlotState
from plugin.activation.problem import Problem
from plugin.card.errors import PsamMissingError
from plugin.centre.port import Centre


class Finding(Struct, frozen=True, kw_only=True):
    """One check: its name, whether transactions need it, and what is wrong, if anything.
    `detail` is for people: what was found; `since` is when it was first found to be so,
    where somebody remembers."""

    name: str
    required: bool
    problem: Problem | None = None
    detail: str = ""
    since: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it is in order."""
        return self.problem is None


# What readers of a transport stand on.
GROUNDS = {
    "pcsc": "smart_card_service",
    "twin": "smart_card_service",
    "serial": "serial_ports",
    "inprocess": "simulated_readers",
}


def journal(trouble: Problem | None) -> Finding:
    """Can what is promised be kept?"""
    return Finding(name="journal", required=True, problem=trouble)


def readers(
    directories: Mapping[str, ReaderDirectory], psam: str | None
) -> tuple[Finding, ...]:
    """For each transport, does it work; is there a reader for customers' cards, and, where
    its slot has a name, is the PSAM there?"""
    states = {name: directory.look() for name, directory in directories.items()}
    found = [reader for state in states.values() for reader in state.readers]
    slots = [each for each in found if psam is not None and psam in each.name]
    names = [each.name for each in found if each not in slots]
    grounds = [
        Finding(
            name=GROUNDS[transport],
            required=not names,
            problem=Problem(state.trouble.code) if state.trouble else None,
        )
        for transport, state in states.items()
    ]
    reader = Finding(
        name="reader",
        required=True,
        problem=None if names else Problem(NoReaderError.code),
        detail=", ".join(names),
    )
    if psam is None:
        return (*grounds, reader)
    there = [each.name for each in slots if each.slot is SlotState.PRESENT]
    module = Finding(
        name="psam",
        required=False,
        problem=None if there else Problem(PsamMissingError.code),
        detail=", ".join(there),
    )
    return (*grounds, reader, module)


def centre(asked: Centre) -> Finding:
    """Does the centre answer? Without it a hospital's queue still goes on."""
    problem = None if asked.reachable() else Problem("centre.unreachable")
    return Finding(name="centre", required=False, problem=problem, detail=asked.address)


class Remembered:
    """The same findings with the moment since when each is as it is, as far as anybody
    has looked. From any thread."""

    def __init__(
        self, look: Callable[[], tuple[Finding, ...]], wall: Callable[[], str]
    ) -> None:
        self._look = look
        self._wall = wall
        self._since: dict[tuple[str, str | None], str] = {}
        self._lock = threading.Lock()

    def __call__(self) -> tuple[Finding, ...]:
        """Look again."""
        found = self._look()
        with self._lock:
            now = self._wall()
            known = {_state(each): self._since.get(_state(each), now) for each in found}
            self._since = known
            return tuple(replace(each, since=known[_state(each)]) for each in found)


def _state(finding: Finding) -> tuple[str, str | None]:
    """What must not change for a finding to be the same one still."""
    return finding.name, finding.problem.code if finding.problem else None

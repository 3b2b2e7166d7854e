"""Figures, their floors, and what was promised about the two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

TURNS = 5

Round = tuple[float, float]
"""Ours and the floor, measured one right after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What is asked of a figure: a missed `gate` fails the run, the `goal` is reported.

    A figure is ours over the floor; with `difference`, ours minus the floor in `unit`.
    """

    gate: float
    goal: float
    unit: str
    at_least: bool = False
    difference: bool = False

    def figure(self, ours: float, floor: float) -> float:
        """The figure of one round."""
        return ours - floor if self.difference else ours / floor

    def kept(self, figure: float, bound: float) -> bool:
        """Whether a figure is on the right side of a bound."""
        return figure >= bound if self.at_least else figure <= bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One row of the table. `beside` is for orientation and decides nothing."""

    what: str
    floor_is: str
    promise: Promise
    rounds: tuple[Round, ...]
    beside: str = ""

    @property
    def figures(self) -> tuple[float, ...]:
        """The figure of every round."""
        return tuple(self.promise.figure(*each) for each in self.rounds)

    @property
    def figure(self) -> float:
        """What counts: noise that hits one round leaves the median alone."""
        return median(self.figures)

    @property
    def ours(self) -> float:
        """The median of our side."""
        return median(ours for ours, _ in self.rounds)

    @property
    def floor(self) -> float:
        """The median of the other side."""
        return median(floor for _, floor in self.rounds)

    @property
    def gate_met(self) -> bool:
        """Whether this row may pass."""
        return self.promise.kept(self.figure, self.promise.gate)

    @property
    def goal_reached(self) -> bool:
        """Whether nothing is left to wish for."""
        return self.promise.kept(self.figure, self.promise.goal)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRun:
    """A row that could not be measured, and why."""

    what: str
    reason: str


Row = Measured | NotRun


class PartMissingError(Exception):
    """Something a floor is made of is not on this machine."""


def interleaved(
    rounds: int, ours: Callable[[], float], floor: Callable[[], float]
) -> tuple[Round, ...]:
    """One turn each that does not count, then `rounds` rounds. A round is made of short
    turns, so that what else the machine does hits both sides, and each goes first in turn.
    """
    ours(), floor()
    return tuple(_round(ours, floor) for _ in range(rounds))


def _round(ours: Callable[[], float], floor: Callable[[], float]) -> Round:
    upper: list[float] = []
    lower: list[float] = []
    sides = [(upper, ours), (lower, floor)]
    for _ in range(TURNS):
        for taken, turn in sides:
            taken.append(turn())
        sides.reverse()
    return median(upper), median(lower)

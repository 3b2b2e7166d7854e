"""What happens, counted where it happens: plain numbers, cheap enough for every command to a
card. Nobody's name and no transaction is ever a label, and no count has more than so many
rows, whatever a card or a centre makes up (reliability, 2.5)."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate

from msgspec import Struct

ROWS_MAX = 200
OTHER = "other"  # what comes when there are so many

Labels = tuple[str, ...]
QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
USUAL = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
HUMAN = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Tally:
    """How often, by the values of some labels. Counts from any thread."""

    def __init__(self, name: str, about: str, *labels: str) -> None:
        self.name = name
        self.about = about
        self.labels = labels
        self._rows: dict[Labels, int] = {}
        self._lock = threading.Lock()

    def add(self, *values: str) -> None:
        """Once more."""
        with self._lock:
            values = _known(values, self._rows)
            self._rows[values] = self._rows.get(values, 0) + 1

    def rows(self) -> Mapping[Labels, int]:
        """As it stands."""
        with self._lock:
            return dict(self._rows)


class Spread(Struct):
    """How long some things took: how many fell between the edges, and all seconds."""

    fell: list[int]
    seconds: float = 0.0

    @property
    def at_most(self) -> list[int]:
        """How many took no longer than each edge; all of them at the end."""
        return list(accumulate(self.fell))


class Timing:
    """How long, in seconds, by the values of some labels. Notes from any thread."""

    def __init__(
        self, name: str, about: str, edges: tuple[float, ...], *labels: str
    ) -> None:
        self.name = name
        self.about = about
        self.edges = edges
        self.labels = labels
        self._rows: dict[Labels, Spread] = {}
        self._lock = threading.Lock()

    def note(self, seconds: float, *values: str) -> None:
        """One that took so long."""
        with self._lock:
            values = _known(values, self._rows)
            spread = self._rows.setdefault(values, Spread([0] * (len(self.edges) + 1)))
            spread.fell[bisect_left(self.edges, seconds)] += 1
            spread.seconds += seconds

    def rows(self) -> Mapping[Labels, Spread]:
        """As it stands."""
        with self._lock:
            return {
                values: Spread(list(each.fell), each.seconds)
                for values, each in self._rows.items()
            }


def _known(values: Labels, rows: Mapping[Labels, object]) -> Labels:
    """These values, while there is a row for them."""
    if values in rows or len(rows) < ROWS_MAX:
        return values
    return (OTHER,) * len(values)


class Counts:
    """Everything that one run of the agent counts."""

    def __init__(self) -> None:
        self.transactions = Tally(
            "transactions",
            "Transactions that have ended.",
            *("type", "outcome", "code"),
        )
        self.activations = Tally(
            "activation_changes",
            "Committed changes of durable activations, by the state they left it in.",
            "state",
        )
        self.steps = Timing(
            "step_seconds",
            "How long transactions stayed in each step.",
            HUMAN,
            "step",
        )
        self.reads = Tally(
            "card_reads",
            "Readings of cards; the code says why one failed.",
            *("reader", "code"),
        )
        self.read_seconds = Timing(
            "card_read_seconds", "How long readings of cards took.", USUAL
        )
        self.status_words = Tally(
            "apdu_errors", "Answers of cards that were neither yes nor more.", "sw"
        )
        self.reconnects = Tally(
            "pcsc_reconnects",
            "How often what the readers stand on was back after it had been away.",
            "transport",
        )
        self.centre = Timing(
            "centre_request_seconds",
            "How long the centre took; the outcome is `answered`, or why it was not.",
            USUAL,
            "outcome",
        )
        self.commits = Timing(
            "journal_commit_seconds",
            "How long the journal took until a commit was durable.",
            QUICK,
        )

    def tallies(self) -> tuple[Tally, ...]:
        """How often what happened."""
        return tuple(each for each in vars(self).values() if isinstance(each, Tally))

    def timings(self) -> tuple[Timing, ...]:
        """How long what took."""
        return tuple(each for each in vars(self).values() if isinstance(each, Timing))

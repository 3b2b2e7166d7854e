"""Row: a command given to our card engine by a call, against vicc's engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.benchmarks import process_vicc
from tests.benchmarks.figures import Measured, Promise, Row, interleaved
from tests.benchmarks.processes import Child, on_one_core, python

OUR_CALLS = 50_000
THEIR_CALLS = 1_000
SECOND = 1_000_000_000  # answers come in nanoseconds

ENGINE = Promise(gate=10, goal=50, unit="APDU/s", at_least=True)


def engine(rounds: int) -> Iterator[Row]:
    """READ RECORD, the same bytes there and back."""
    process_vicc.search_path()
    with (
        on_one_core(),
        Child(python("process_engine")) as ours,
        Child(python("process_vicc")) as vicc,
    ):
        yield Measured(
            what="card engine, called in process",
            floor_is="vicc",
            promise=ENGINE,
            rounds=interleaved(
                rounds, _rate(ours, OUR_CALLS), _rate(vicc, THEIR_CALLS)
            ),
        )


def _rate(child: Child, calls: int) -> Callable[[], float]:
    return lambda: calls * SECOND / int(child.ask(f"calls {calls}"))

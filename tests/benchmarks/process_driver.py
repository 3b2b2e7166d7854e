"""Our way to a card as the agent goes it: `process_driver READER LOGS`; a READER like
`ccid:PORT` is on a serial port.

`reads N` reads a whole card N times, each from connect to disconnect; `apdus N` reads it
once and then one record N times; `arrived` and `left` wait for a card to come and go. The agent's own worker does it, with its driver, its send
loop, its trace and the log as `kaqi serve` sets it up. Readings are queued all at once, so
that no thread waits for another between them.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from drivers.conversation import Procedure
from drivers.iso7816.apdu import READ_RECORD, CommandApdu
from plugin import logs
from plugin.activation.problem import Problem
from plugin.agent.worker import Job, ReaderWorker
from plugin.card import files
from plugin.card.reading import Card, read_card
from plugin.main import SystemClock
from tests.benchmarks.answering import answer
from tests.benchmarks.watched import Presence, opened

NUMBER = files.SOCIAL_SECURITY_NUMBER
READ_NUMBER = CommandApdu(
    cla=0, ins=READ_RECORD, p1=NUMBER.tag, p2=files.BY_TAG, ne=NUMBER.length + 2
)


def main(said: str, log_folder: Path) -> None:
    """Answer until the input ends."""
    logs.configure(log_folder)
    directory, reader = opened(said)
    presence = Presence(directory, reader)
    worker = ReaderWorker(reader, partial(directory.reader, reader), SystemClock())
    answer(
        {
            "apdus": lambda count: _work(worker, [partial(_one_record, count)]),
            "reads": lambda count: _work(worker, [read_card] * count),
            "arrived": lambda _: presence.wait(present=True),
            "left": lambda _: presence.wait(present=False),
        }
    )
    worker.retire()


def _one_record(count: int) -> Procedure[Card]:
    """A whole card, which leaves EF06 selected, then the same record again and again."""
    card = yield from read_card()
    for _ in range(count):
        got = yield READ_NUMBER
        if not got.sw.is_success:
            raise RuntimeError(f"the card answered {got}")
    return card


def _work(
    worker: ReaderWorker, procedures: list[Callable[[], Procedure[Card]]]
) -> None:
    outcomes: list[Card | Problem] = []
    finished = threading.Event()

    def done(outcome: Card | Problem) -> None:
        outcomes.append(outcome)
        if len(outcomes) == len(procedures):
            finished.set()

    for procedure in procedures:
        worker.read(Job(procedure, done, "benchmark"))
    finished.wait()
    for outcome in outcomes:
        if isinstance(outcome, Problem):
            raise RuntimeError(f"a reading failed: {outcome.code}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

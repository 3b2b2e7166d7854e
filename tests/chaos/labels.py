"""The places where an agent may die: before and after every verb that matters.

`CRASH_AT=label:count` makes the process kill itself where this label is passed for the
count-th time; `label:count:stop` makes it stop there until somebody has it go on. Crash points sit at the code, not on the clock: between the journal and the
wire no clock ever hits.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CRASH_AT = "CRASH_AT"

# The reviewed table. READY is never stored: it and SENDING are one commit.
VERBS = (
    "journal.create",
    "journal.remember",
    "journal.save.RECEIVED",
    "journal.save.CARD_STEPS",
    "journal.save.SENDING",
    "journal.save.UNKNOWN",
    "journal.save.MANUAL",
    "journal.save.ACTIVE",
    "journal.save.REJECTED",
    "journal.save.ABANDONED",
    "journal.tear",
    "journal.mend",
    "status",  # how a card stands, asked of the centre
    "send.handed",  # the deciding thread gives the message away
    "send",  # before the first byte, and with the answer in hand
    "send.decided",  # around what the answer means to the record
    "ask",  # what became of an id
    "ask.decided",
    "card.read",  # at the card: before it is asked, and when it has done it
    "card.verify",
    "card.change",
    "read.told",  # around what a reading means to the transaction
    "pin.handed",
    "pin.told",
    "tell.transaction.created",
    "tell.transaction.input_required",
    "tell.transaction.in_doubt",
    "tell.transaction.completed",
    "tell.activation.changed",
)
LABELS = tuple(f"{verb}/{side}" for verb in VERBS for side in ("before", "after"))


class Way:
    """What this process has passed, and where it ends."""

    def __init__(self, trace: Path, crash_at: str | None) -> None:
        label, count, how = [*(crash_at or "").split(":"), "", ""][:3]
        self._label, self._count = label, int(count or 1)
        self._signal = signal.SIGSTOP if how == "stop" else signal.SIGKILL
        self._passed: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def at(self, label: str) -> None:
        """Here we are."""
        with self._lock:
            os.write(self._trace, f"{label}\n".encode())
            self._passed[label] += 1
            if label == self._label and self._passed[label] == self._count:
                os.kill(os.getpid(), self._signal)

    @contextmanager
    def through(self, verb: str) -> Iterator[None]:
        """Before and after a verb, whatever came of it."""
        self.at(f"{verb}/before")
        try:
            yield
        finally:
            self.at(f"{verb}/after")

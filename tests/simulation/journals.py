"""The journal of a simulated till: what was committed stays, the process may die before and
after every commit, and now and then nothing can be written."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from plugin.activation.saga import Activation
from plugin.journal.memory import MemoryJournal
from plugin.journal.port import Journal, JournalError, Request, Torn
from plugin.journal.sqlite import SqliteJournal
from plugin.privacy import Keys

KEYS = Keys(bytes(range(32)))


class OnDisk:
    """A journal in a file, closed and opened again whenever its process dies."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="kaqi-simulation-")
        self.journal = self._opened()

    def _opened(self) -> SqliteJournal:
        return SqliteJournal(Path(self._folder.name) / "journal", KEYS)

    def reopen(self) -> Journal:
        """What the next life of the process finds."""
        self.journal.close()
        self.journal = self._opened()
        return self.journal

    def close(self) -> None:
        """Nothing is kept."""
        self.journal.close()
        self._folder.cleanup()


def journal_for(seed: int) -> Journal:
    """The real one in memory for every 20th seed; what it costs is paid elsewhere."""
    return SqliteJournal(Path(":memory:"), KEYS) if seed % 20 == 0 else MemoryJournal()


class CrashingJournal:
    """`point` may kill the process, `full` says whether a write fails, `saved` hears of
    every commit, even when the process dies right after it."""

    def __init__(
        self,
        inner: Journal,
        point: Callable[[], None],
        full: Callable[[], bool],
        saved: Callable[[Activation], None],
    ) -> None:
        self._point, self._full, self._saved = point, full, saved
        self.use(inner)

    def use(self, inner: Journal) -> None:
        """This is the one on the disk."""
        self.inner = inner
        self.remember = inner.remember
        self.request = inner.request
        self.get = inner.get
        self.of_card = inner.of_card
        self.unfinished = inner.unfinished
        self.recent = inner.recent
        self.reserve = inner.reserve
        self.torn = inner.torn
        self.review = inner.review
        self.close = inner.close

    def _before(self) -> None:
        self._point()
        if self._full():
            raise JournalError("no space left")

    def create(self, activation: Activation, request: Request) -> None:
        """Commit, with a crash point on either side."""
        self._before()
        self.inner.create(activation, request)
        self._saved(activation)
        self._point()

    def save(self, activation: Activation) -> Activation:
        """Commit, with a crash point on either side."""
        self._before()
        saved = self.inner.save(activation)
        self._saved(saved)
        self._point()
        return saved

    def tear(self, torn: Torn) -> None:
        """The same."""
        self._before()
        self.inner.tear(torn)
        self._point()

    def mend(self, card_ref: str) -> None:
        """The same."""
        self._before()
        self.inner.mend(card_ref)
        self._point()

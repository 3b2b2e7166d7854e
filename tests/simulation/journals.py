"""The journal of a simulated till: what was committed stays, the process may die before and
after every commit, and now and then nothing can be written."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from plugin.activation.saga import Activation
from plugin.journal.memory import MemoryJournal
from plugin.journal.port import Journal, JournalError, Request, Torn
from plugin.journal.sqlite import SqliteJournal
from plugin.privacy import Keys

KEYS = Keys(bytes(range(32)))
Asked = ParamSpec("Asked")
Found = TypeVar("Found")


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
    """`point` may kill the process, `full` says whether a write fails, `written` whether
    one is said to have failed that has not: then the disk is dead until the process ends,
    since a journal that lives takes back what failed. `saved` hears of every commit, even
    when the process dies right after it."""

    def __init__(
        self,
        inner: Journal,
        point: Callable[[], None],
        full: Callable[[], bool],
        written: Callable[[], bool],
        saved: Callable[[Activation], None],
    ) -> None:
        self._point, self._full = point, full
        self._written, self._saved = written, saved
        self.use(inner)

    def use(self, inner: Journal) -> None:
        """This is the one on the disk; the disk works."""
        self.inner, self._dead = inner, False
        self.remember = inner.remember
        self.request = self._read(inner.request)
        self.get = self._read(inner.get)
        self.is_removed = self._read(inner.is_removed)
        self.of_card = self._read(inner.of_card)
        self.unfinished = self._read(inner.unfinished)
        self.recent = self._read(inner.recent)
        self.reserve = inner.reserve
        self.torn = self._read(inner.torn)
        self.review = inner.review
        self.close = inner.close

    def _read(self, verb: Callable[Asked, Found]) -> Callable[Asked, Found]:
        def read(*asked: Asked.args, **named: Asked.kwargs) -> Found:
            self._refuse()
            return verb(*asked, **named)

        return read

    def _refuse(self) -> None:
        if self._dead:
            raise JournalError("the disk is gone")

    def _before(self) -> None:
        self._refuse()
        self._point()
        if self._full():
            raise JournalError("no space left")

    def _after(self) -> None:
        self._point()
        if self._written():
            self._dead = True
            self._refuse()

    def create(self, activation: Activation, request: Request) -> None:
        """Commit, with a crash point on either side."""
        self._before()
        self.inner.create(activation, request)
        self._saved(activation)
        self._after()

    def save(self, activation: Activation) -> Activation:
        """Commit, with a crash point on either side."""
        self._before()
        saved = self.inner.save(activation)
        self._saved(saved)
        self._after()
        return saved

    def amend(self, activation: Activation) -> Activation:
        """The same."""
        self._before()
        amended = self.inner.amend(activation)
        self._saved(amended)
        self._after()
        return amended

    def tear(self, torn: Torn) -> None:
        """The same."""
        self._before()
        self.inner.tear(torn)
        self._after()

    def mend(self, card_ref: str) -> None:
        """The same."""
        self._before()
        self.inner.mend(card_ref)
        self._after()

"""The computer's own disk, which can be told to refuse: every journal that is opened while it
is in use lies on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import apsw

if TYPE_CHECKING:
    from typing_extensions import Buffer


class RefusingDisk(apsw.VFS):
    """`fails` is asked before every call, by its name, and may raise."""

    def __init__(self) -> None:
        self.fails: Callable[[str], None] = _nothing
        self.real = apsw.vfs_names()[0]
        super().__init__("kaqi-refusing", self.real, makedefault=True)

    @contextmanager
    def refusing(self, code: int, *calls: str) -> Iterator[list[str]]:
        """These calls fail with this code; which did, so far."""
        refused: list[str] = []

        def fails(call: str) -> None:
            if call in calls:
                refused.append(call)
                raise apsw.exception_for(code)

        self.fails = fails
        try:
            yield refused
        finally:
            self.fails = _nothing

    def slow_once(self, slow: str, seconds: float) -> threading.Event:
        """The next call of this name takes so long; set once it is over."""
        over = threading.Event()

        def waits(call: str) -> None:
            if call == slow and not over.is_set():
                over.wait(seconds)
                over.set()

        self.fails = waits
        return over

    def xOpen(  # noqa: N802 - the names are SQLite's
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        self.fails("open")
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        self.fails("delete")
        super().xDelete(filename, syncdir)


def _nothing(_: str) -> None:
    """The disk is well."""


class _File(apsw.VFSFile):
    def __init__(
        self, disk: RefusingDisk, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        self._disk = disk
        super().__init__(disk.real, name or "", flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self._disk.fails("read")
        return super().xRead(amount, offset)

    def xWrite(self, data: Buffer, offset: int) -> None:  # noqa: N802
        self._disk.fails("write")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.fails("sync")
        super().xSync(flags)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._disk.fails("write")
        super().xTruncate(newsize)

    def xLock(self, level: int) -> None:  # noqa: N802
        self._disk.fails("lock")
        super().xLock(level)


@contextmanager
def refusing_disk() -> Iterator[RefusingDisk]:
    """Every journal lies on it."""
    disk = RefusingDisk()
    try:
        yield disk
    finally:
        disk.unregister()

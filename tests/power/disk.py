"""A disk in memory that remembers every order it was given, so that the power can be cut
after any of them (reliability, F11-F14, F23).

What a process reads is what it wrote: the cache. What is on the platter is less: the orders
since a file's last sync may have arrived or not, sector by sector, in any order; a sector
holds what it held after one of the writes to it. A file that was made, deleted or cut
short may still be there as it was: a name is on the platter when the folder was synced,
which SQLite does with the first sync of a new log.

A sync that fails is the worst kind: what it should have written is forgotten by the cache
as if it had been, reads well, and is not on the platter (USENIX ATC 2020).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import apsw

if TYPE_CHECKING:
    from typing_extensions import Buffer

SECTOR = 512
PAGE = 4096
_NUMBERS = itertools.count()


class Created(NamedTuple):
    """A name was given to a new file."""

    name: str
    file: int


class Deleted(NamedTuple):
    """A name was taken away."""

    name: str


class Written(NamedTuple):
    """Bytes in a file."""

    file: int
    offset: int
    content: bytes


class Truncated(NamedTuple):
    """A file was cut short."""

    file: int
    size: int


class Synced(NamedTuple):
    """What was written to a file is on the platter, and with `folder` every name."""

    file: int
    folder: bool


class Forgotten(NamedTuple):
    """A sync failed: the cache takes for written what is not."""

    file: int


class FolderSynced(NamedTuple):
    """Every name is on the platter."""


Order = Created | Deleted | Written | Truncated | Synced | Forgotten | FolderSynced
Image = dict[str, bytes]


class Disk(apsw.VFS):
    """Files of one folder. `fails` is asked before every call and may raise.

    `lies` makes every sync do nothing. `safe_overwrite` is what most disks promise: what
    is beside a written byte stays.
    """

    def __init__(
        self,
        image: Image | None = None,
        *,
        lies: bool = False,
        safe_overwrite: bool = True,
    ) -> None:
        self.files: dict[str, bytearray] = {}
        self.numbers: dict[str, int] = {}
        self.orders: list[Order] = []
        self.fails: Callable[[str], None] = lambda call: None
        self.lies = lies
        self.characteristics = (
            apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE if safe_overwrite else 0
        )
        self.life = 0
        self._dead = False
        self.name = f"kaqi-disk-{next(_NUMBERS)}"
        super().__init__(self.name, "", maxpathname=256)
        for name, content in (image or {}).items():
            number = self.create(name)
            self.files[name][:] = content
            self.orders.append(Written(number, 0, content))
            self.orders.append(Synced(number, folder=True))

    def create(self, name: str) -> int:
        """A new, empty file."""
        self.files[name] = bytearray()
        self.numbers[name] = number = next(_NUMBERS)
        self.orders.append(Created(name, number))
        return number

    @contextmanager
    def dying(self) -> Iterator[None]:
        """The process dies: what it still does inside reaches nothing. The cache stays."""
        self.life += 1
        self._dead = True
        try:
            yield
        finally:
            self._dead = False

    def seen(self) -> Image:
        """The files as a process sees them."""
        return {name: bytes(content) for name, content in self.files.items()}

    def xOpen(  # noqa: N802 - the names are SQLite's
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> _File:
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self.fails("open")
        flags[1] = flags[0]
        if path not in self.files:
            if not flags[0] & apsw.SQLITE_OPEN_CREATE:
                raise apsw.CantOpenError(path)
            self.create(path)
        return _File(self, path, flags[0])

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        if self._dead:
            return
        self.fails("delete")
        if filename not in self.files:
            raise apsw.exception_for(apsw.SQLITE_IOERR_DELETE_NOENT)
        del self.files[filename], self.numbers[filename]
        self.orders.append(Deleted(filename))
        if syncdir and not self.lies:
            self.orders.append(FolderSynced())

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        return pathname in self.files

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name


_LOGS = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL


class _File(apsw.VFSFile):
    """An open file. As in SQLite's own files, the first sync of a log that may have been
    made by opening it syncs the folder too."""

    def __init__(self, disk: Disk, name: str, flags: int) -> None:
        self._disk = disk
        self._content = disk.files[name]
        self._number = disk.numbers[name]
        self._life = disk.life
        made = flags & apsw.SQLITE_OPEN_CREATE
        self._folder_too = bool(made and flags & _LOGS)

    def _asked(self, call: str) -> bool:
        if self._life != self._disk.life:
            return False
        self._disk.fails(call)
        return True

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self._asked("read")
        return bytes(self._content[offset : offset + amount])

    def xWrite(self, data: Buffer, offset: int) -> None:  # noqa: N802
        if not self._asked("write"):
            return
        written = bytes(data)
        missing = offset - len(self._content)
        if missing > 0:
            self._content.extend(bytes(missing))
        self._content[offset : offset + len(written)] = written
        self._disk.orders.append(Written(self._number, offset, written))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        if self._asked("truncate"):
            del self._content[newsize:]
            self._disk.orders.append(Truncated(self._number, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self._disk.lies or self._life != self._disk.life:
            return
        try:
            self._asked("sync")
        except apsw.Error:
            self._disk.orders.append(Forgotten(self._number))
            raise
        self._disk.orders.append(Synced(self._number, self._folder_too))
        self._folder_too = False

    def xFileSize(self) -> int:  # noqa: N802
        return len(self._content)

    def xClose(self) -> None:  # noqa: N802
        return

    def xLock(self, level: int) -> None:  # noqa: N802
        return

    def xUnlock(self, level: int) -> None:  # noqa: N802
        return

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return SECTOR

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return self._disk.characteristics

    def xFileControl(self, op: int, ptr: int) -> bool:  # noqa: N802
        return False


class Platter:
    """What is safe, and what is under way, after the orders so far."""

    def __init__(self) -> None:
        self._safe: dict[int, bytes] = {}
        self._waiting: dict[int, list[Written | Truncated]] = {}
        self._names: dict[str, int] = {}
        self._naming: list[Created | Deleted] = []

    def take(self, order: Order) -> None:
        """One more order."""
        match order:
            case Created(file=file):
                self._safe[file] = b""
                self._naming.append(order)
            case Deleted():
                self._naming.append(order)
            case Written(file=file) | Truncated(file=file):
                self._waiting.setdefault(file, []).append(order)
            case Synced(file, folder):
                waiting = self._waiting.pop(file, [])
                self._safe[file] = _applied(self._safe[file], waiting, _Everything())
                if folder:
                    self._sync_folder()
            case Forgotten(file):
                self._waiting.pop(file, None)
            case FolderSynced():
                self._sync_folder()

    def _sync_folder(self) -> None:
        _name(self._names, self._naming)
        self._naming = []

    def cut(self, random: Random) -> Image:
        """The files after the power went now."""
        kinds = (_Everything, _Nothing, _Sectors, _Sectors, _TornPages, _TornPages)
        names = dict(self._names)
        _name(names, [each for each in self._naming if random.random() < 0.7])
        image = {}
        for name, file in names.items():
            kept = random.choice(kinds)(random)
            waiting = self._waiting.get(file, [])
            image[name] = _applied(self._safe[file], waiting, kept)
        return image


def cuts(orders: list[Order], places: list[int], random: Random) -> Iterator[Image]:
    """The files after the power went behind each of these orders, `places` sorted."""
    platter, taken = Platter(), 0
    for place in places:
        for order in orders[taken:place]:
            platter.take(order)
        taken = place
        yield platter.cut(random)


def _name(names: dict[str, int], naming: list[Created | Deleted]) -> None:
    for order in naming:
        if isinstance(order, Created):
            names[order.name] = order.file
        else:
            names.pop(order.name, None)


class _Everything:
    """All of it arrived."""

    def __init__(self, random: Random | None = None) -> None:
        self.random = random or Random(0)

    def last(self, places: list[int], sector: int) -> int:
        """Behind which of the orders at these places the sector was written down."""
        return places[-1]

    def truncates(self) -> bool:
        """Whether the new size arrived."""
        return True


class _Nothing(_Everything):
    """Nothing arrived."""

    def last(self, places: list[int], sector: int) -> int:
        return -1

    def truncates(self) -> bool:
        return False


class _Sectors(_Everything):
    """Every sector for itself."""

    def __init__(self, random: Random | None = None) -> None:
        super().__init__(random)
        self._share = self.random.choice((0.1, 0.5, 0.9, 0.99))

    def last(self, places: list[int], sector: int) -> int:
        if self.random.random() >= self._share:
            return -1
        return self.random.choice((places[-1], self.random.choice(places)))

    def truncates(self) -> bool:
        return self.random.random() < 0.5


class _TornPages(_Everything):
    """Whole pages arrived or not, and some are torn in two."""

    def __init__(self, random: Random | None = None) -> None:
        super().__init__(random)
        self._kept: dict[int, range] = {}
        self._share = self.random.choice((0.3, 0.9))

    def last(self, places: list[int], sector: int) -> int:
        page, within = divmod(sector, PAGE // SECTOR)
        if page not in self._kept:
            self._kept[page] = self._torn()
        return places[-1] if within in self._kept[page] else -1

    def _torn(self) -> range:
        sectors = PAGE // SECTOR
        if self.random.random() < 0.5:
            return range(sectors if self.random.random() < self._share else 0)
        at = self.random.randrange(1, sectors)
        return self.random.choice((range(at), range(at, sectors)))

    def truncates(self) -> bool:
        return self.random.random() < 0.5


def _applied(
    safe: bytes, waiting: list[Written | Truncated], kept: _Everything
) -> bytes:
    """A file after those of the waiting orders that arrived."""
    if not waiting:
        return safe
    content = bytearray(safe)
    if type(kept) is _Everything:
        for order in waiting:
            _apply(content, order)
        return bytes(content)
    touched: dict[int, list[int]] = {}
    for place, order in enumerate(waiting):
        if isinstance(order, Written):
            for sector in _sectors(order):
                touched.setdefault(sector, []).append(place)
    last = {
        sector: kept.last(places, sector) for sector, places in sorted(touched.items())
    }
    for place, order in enumerate(waiting):
        if isinstance(order, Truncated):
            if kept.truncates():
                _apply(content, order)
            continue
        for sector in _sectors(order):
            if place <= last[sector]:
                _apply(content, _piece(order, sector))
    return bytes(content)


def _sectors(order: Written) -> range:
    end = order.offset + len(order.content)
    return range(order.offset // SECTOR, (end + SECTOR - 1) // SECTOR)


def _piece(order: Written, sector: int) -> Written:
    begin = max(order.offset, sector * SECTOR)
    end = min(order.offset + len(order.content), (sector + 1) * SECTOR)
    part = order.content[begin - order.offset : end - order.offset]
    return Written(order.file, begin, part)


def _apply(content: bytearray, order: Written | Truncated) -> None:
    if isinstance(order, Truncated):
        del content[order.size :]
        return
    missing = order.offset - len(content)
    if missing > 0:
        content.extend(bytes(missing))
    content[order.offset : order.offset + len(order.content)] = order.content

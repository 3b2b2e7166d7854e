"""Who may ask and who may not: two reviewed tables, and how they are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

FOLDER = Path(__file__).parent
NAMES = ("host", "origin", "sec-fetch-site", "content-type")


class Row(Struct, frozen=True):
    """One request, but for its path. Headers that are None are left out; a `method` of
    None is the operation's own."""

    line: str
    host: str | None
    origin: str | None
    site: str | None
    kind: str | None
    method: str | None = None
    refused_by: str | None = None
    or_a_page: bool = False

    @property
    def places(self) -> tuple[str | None, ...]:
        """What distinguishes it from other rows."""
        return self.host, self.origin, self.site, self.method, self.kind

    def headers(self, port: int) -> dict[str, str]:
        """As they are sent to this port."""
        values = (self.host, self.origin, self.site, self.kind)
        return {
            name: value.format(port=port)
            for name, value in zip(NAMES, values, strict=True)
            if value is not None
        }


def refused() -> tuple[Row, ...]:
    """What is refused on every route."""
    return tuple(
        Row(line, host, origin, site, kind, method, code, bool(unless))
        for line, (host, origin, site, method, kind, code, *unless) in _lines("refused")
    )


def admitted() -> tuple[Row, ...]:
    """What is let in on every route."""
    return tuple(
        Row(line, host, origin, site, kind)
        for line, (host, origin, site, kind) in _lines("admitted")
    )


def _lines(name: str) -> Iterator[tuple[str, list[str | None]]]:
    for line in (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            yield line, [None if each == "-" else each for each in line.split()]

"""The survivors somebody has looked at, and why they may live: `survivors.tsv`."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from tests.mutants.mutant import Mutant

TABLE = Path(__file__).with_name("survivors.tsv")


class Kind(StrEnum):
    """Why a survivor may live."""

    EQUIVALENT = "equivalent"  # no caller could ever see it
    WORDING = "wording"  # words for whoever mends the program, and for nobody else
    ELSEWHERE = "elsewhere"  # a slower ring notices: its name is in the reason
    UNTESTED = "untested"  # a hole, and why it stays one


class Survivor(Struct, frozen=True):
    """One line of the table."""

    file: str
    function: str
    change: str
    kind: Kind
    reason: str


def read(table: Path = TABLE) -> dict[tuple[str, str, str], Survivor]:
    """Every survivor by file, function and change. Raises ValueError for a line that says
    too little."""
    lines = table.read_text(encoding="utf-8").splitlines()[1:]
    found = [_survivor(line.split("\t")) for line in lines]
    return {(each.file, each.function, each.change): each for each in found}


def _survivor(cells: list[str]) -> Survivor:
    if len(cells) != len(Survivor.__struct_fields__) or not all(cells):
        raise ValueError(f"a survivor without its reason: {cells}")
    file, function, change, kind, reason = cells
    return Survivor(file, function, change, Kind(kind), reason)


def as_line(mutant: Mutant) -> str:
    """The beginning of a mutant's line, ready to be explained."""
    return "\t".join((mutant.file, mutant.function, mutant.change))


def gone(
    table: Iterable[tuple[str, str, str]], living: Iterable[Mutant]
) -> list[tuple[str, str, str]]:
    """Lines of the table whose mutant does not exist any more."""
    known = {(each.file, each.function, each.change) for each in living}
    return [each for each in table if each not in known]

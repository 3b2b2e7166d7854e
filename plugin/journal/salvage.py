"""What a new journal is made of when the old one is damaged. Pure.

The damaged file comes first: each of its rows carries a code, and one whose code is right is
what was committed. What cannot be read there is taken from a copy. Of two versions of a
record the one that has ended wins, then the newer one.

A record that has ended is the same for ever, wherever it was found. One that has not, and
of which only a copy is left, may have gone further since (reliability, 4.8). What becomes
of it (`saga.from_a_copy`):

    in the copy          since then it may have               it becomes
    RECEIVED             got a card, been sent, ended         MANUAL, without a card
    CARD_STEPS           been sent, ended                     MANUAL, without a card
    ... of a change      changed the card's PIN, or not       UNKNOWN until the card returns
    READY, SENDING       been answered, been refused, ended   MANUAL
    UNKNOWN              the same                             MANUAL
    ... of a change      been told by the card                UNKNOWN until the card returns
    MANUAL               been settled                         MANUAL

So none is called ABANDONED, which says that nothing was ever sent, and none is sent again:
MANUAL only asks. A card that a later record has had in hand is let go, since a record that
is begun for a card needs the one before to have ended.

Requests and torn changes are united: to know a key or a torn card too many harms nobody.
Events and epochs are counted on beyond every number that was ever told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from plugin.activation import saga
from plugin.activation.saga import TERMINAL, Activation, ActivationState

Value = str | int | float | bytes | None
Columns = tuple[Value, ...]
COUNTERS = ("epochs", "events")
GAP = 1_000_000


class Row(Struct, frozen=True, kw_only=True):
    """A record as it lies in a file, its code being right. `columns` is the whole row;
    `record` is what it says, of one that has not ended."""

    number: int
    state: str
    version: int
    card_ref: str | None
    columns: Columns
    record: Activation | None

    @property
    def rank(self) -> tuple[bool, int]:
        """Of two rows of one record the greater one wins."""
        return self.state in TERMINAL, self.version


class Remains(Struct, frozen=True, kw_only=True):
    """What could be read of one file. `made` is when it was last written (RFC 3339);
    `is_copy` that its records may have gone further since; `missing` the numbers of rows
    that are known of and were not read; `broken` that there may be more of them; `hurt`
    that anything was not read, `hidden` that of a table that is not empty nothing was."""

    made: str = ""
    is_copy: bool = False
    records: Mapping[int, Row] = {}
    requests: Mapping[Columns, Columns] = {}
    torn: Mapping[Columns, Columns] = {}
    counters: Mapping[str, int] = {}
    missing: frozenset[int] = frozenset()
    broken: bool = False
    hurt: bool = False
    hidden: bool = False

    @property
    def count(self) -> int:
        """How many rows could be read."""
        records = len(self.records) + len(self.requests)
        return records + len(self.torn) + len(self.counters)

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all could be read."""
        return not (self.records or self.requests or self.torn)


class Plan(Struct, frozen=True, kw_only=True):
    """The new journal: `rows` as they are, and `doubtful` records written anew. `lost` are
    the numbers of rows that nobody has. `has_gap` says that there may be more of them,
    between `since` and `until` (RFC 3339; None means the beginning, and now)."""

    rows: tuple[Row, ...]
    doubtful: tuple[Activation, ...]
    requests: tuple[Columns, ...]
    torn: tuple[Columns, ...]
    counters: Mapping[str, int]
    from_copies: int
    lost: tuple[int, ...] = ()
    has_gap: bool = False
    since: str | None = None
    until: str | None = None


def began_ms(number: int) -> int:
    """When the record in this row began, milliseconds since 1970: a row's number is the
    first half of a UUID that begins with the time (RFC 9562, 5.7)."""
    return number >> 16


def merged(sources: Sequence[Remains], now_ms: int) -> Plan:
    """The best of these files, the one that matters most first."""
    best: dict[int, tuple[Row, Remains]] = {}
    for source in sources:
        for number, row in source.records.items():
            if number not in best or row.rank > best[number][0].rank:
                best[number] = row, source
    doubtful = {
        number: (row.record, source.made)
        for number, (row, source) in best.items()
        if row.record is not None and source.is_copy
    }
    rows = tuple(best[number][0] for number in sorted(best))
    holders = _holders(rows, frozenset(doubtful))
    missing = {
        number for source in sources if not source.is_copy for number in source.missing
    }
    since, until = _hours(sources)
    return Plan(
        rows=tuple(row for row in rows if row.number not in doubtful),
        doubtful=tuple(
            saga.from_a_copy(
                record, made, card_elsewhere=holders.get(record.card_ref) != number
            )
            for number, (record, made) in sorted(doubtful.items())
        ),
        requests=tuple(_united(each.requests for each in sources)),
        torn=tuple(_united(each.torn for each in sources)),
        counters=_counters(sources, now_ms),
        from_copies=sum(source.is_copy for _, source in best.values()),
        lost=tuple(sorted(missing - best.keys())),
        has_gap=sources[0].is_copy or sources[0].broken,
        since=since,
        until=until,
    )


def _holders(rows: tuple[Row, ...], doubtful: frozenset[int]) -> dict[str | None, int]:
    """Which record has each card in hand: one that goes on, else the last one."""
    holders: dict[str | None, int] = {}
    going_on = {row.number for row in rows if row.record and row.number not in doubtful}
    for row in sorted(rows, key=lambda each: (each.number in going_on, each.number)):
        if row.state != ActivationState.ABANDONED:
            holders[row.card_ref] = row.number
    return holders


def _united(found: Iterable[Mapping[Columns, Columns]]) -> Iterable[Columns]:
    """The rows of all; of two with one key that of the first. What is oldest comes
    first."""
    united: dict[Columns, Columns] = {}
    for rows in reversed(list(found)):
        united |= rows
    return united.values()


def _counters(sources: Sequence[Remains], now_ms: int) -> dict[str, int]:
    """Beyond what every file knew, and beyond what safe mode has counted since."""
    names = {*COUNTERS, *(name for each in sources for name in each.counters)}
    known = {
        name: max(each.counters.get(name, 0) for each in sources) for name in names
    }
    lifted = {name: max(known[name], now_ms) + GAP for name in COUNTERS}
    return known | lifted  # the others measure something, and end where they stood


def _hours(sources: Sequence[Remains]) -> tuple[str | None, str | None]:
    """From when until when there may have been records that nobody has: since the last
    copy, until the journal was last written to."""
    copies = [each.made for each in sources if each.is_copy]
    return max(copies, default=None), None if sources[0].is_copy else sources[0].made

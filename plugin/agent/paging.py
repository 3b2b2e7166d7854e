"""Durable records page by page, so that the last of them can be reached without keeping
everybody waiting."""

from __future__ import annotations

from msgspec import Struct

from plugin.activation.saga import Activation
from plugin.journal.port import Journal

LOOKS_MAX = 500  # records that one page of a search is looked for in


class Wanted(Struct, frozen=True, kw_only=True):
    """Which records: at most `limit`, those older than the intent `before`, whose POS
    reference has this part, and of these only the `unfinished`."""

    limit: int
    before: str | None = None
    pos_ref: str | None = None
    unfinished: bool = False

    def takes(self, record: Activation) -> bool:
        """Whether it is one of them, for its reference."""
        part = (self.pos_ref or "").casefold()
        return part in (record.origin.pos_ref or "").casefold()


class Page(Struct, frozen=True):
    """Some of them, the newest first; the next page begins `before` this intent, and there
    is none where that is None."""

    records: tuple[Activation, ...]
    before: str | None


def page(journal: Journal, wanted: Wanted) -> Page:
    """One page; of a search it may be empty although there is a next. Raises
    JournalError."""
    looks = LOOKS_MAX if wanted.pos_ref else wanted.limit + 1
    looked = _looked_at(journal, wanted, looks)
    found: list[Activation] = []
    last = None
    for record in looked:
        if len(found) == wanted.limit:
            return Page(tuple(found), last)
        last = record.origin.intent_id
        if wanted.takes(record):
            found.append(record)
    is_all = wanted.unfinished or len(looked) < looks
    return Page(tuple(found), None if is_all else last)


def _looked_at(journal: Journal, wanted: Wanted, looks: int) -> tuple[Activation, ...]:
    if not wanted.unfinished:
        return journal.recent(looks, wanted.before)
    journal.recent(1)  # refused in safe mode, where nobody knows what is unfinished
    return tuple(
        each
        for each in reversed(journal.unfinished())
        if wanted.before is None or each.origin.intent_id < wanted.before
    )

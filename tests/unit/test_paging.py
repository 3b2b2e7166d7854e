"""The durable records, page by page."""

from __future__ import annotations

from uuid import UUID

import pytest
from msgspec.structs import replace

from plugin.activation.saga import Activation, ActivationState, Origin
from plugin.agent.paging import LOOKS_MAX, Wanted, page
from plugin.journal.memory import MemoryJournal
from plugin.journal.port import Request
from plugin.journal.safe import SafeJournal, SafeModeError


def journal_of(references: list[str | None]) -> MemoryJournal:
    """One record for each, the oldest first; those that end have no reference."""
    journal = MemoryJournal()
    for number, reference in enumerate(references, start=1):
        intent = str(UUID(int=number << 64))
        origin = Origin(
            intent_id=intent,
            client_id="pos",
            scenario="pharmacy",
            institution="P1",
            profile="reference@1",
            pos_ref=reference,
        )
        request = Request(
            client_id="pos",
            key=intent,
            fingerprint="",
            transaction_id=origin.transaction_id,
        )
        journal.create(record := Activation(origin=origin), request)
        if reference is None:
            journal.save(replace(record, state=ActivationState.ABANDONED))
    return journal


def numbers(records: tuple[Activation, ...]) -> list[int]:
    return [UUID(each.origin.intent_id).int >> 64 for each in records]


def walked(journal: MemoryJournal, wanted: Wanted) -> list[list[int]]:
    """Every page until there is none."""
    pages = [page(journal, wanted)]
    while pages[-1].before is not None:
        pages.append(page(journal, replace(wanted, before=pages[-1].before)))
    return [numbers(each.records) for each in pages]


@pytest.mark.parametrize(
    ("count", "pages"),
    [
        (0, [[]]),
        (2, [[2, 1]]),
        (3, [[3, 2, 1]]),
        (4, [[4, 3, 2], [1]]),
        (7, [[7, 6, 5], [4, 3, 2], [1]]),
    ],
)
def test_every_record_is_on_one_page(count: int, pages: list[list[int]]) -> None:
    journal = journal_of(["sale"] * count)

    assert walked(journal, Wanted(limit=3)) == pages


def test_a_search_finds_a_part_of_the_reference_in_any_letters() -> None:
    journal = journal_of(["Sale-1", "visit-1", None, "sale-2", "SALE-3"])

    assert walked(journal, Wanted(limit=2, pos_ref="sALE")) == [[5, 4], [1]]


def test_the_oldest_record_is_found_behind_many_others() -> None:
    journal = journal_of(["the-one", *["other"] * (2 * LOOKS_MAX)])

    found = walked(journal, Wanted(limit=5, pos_ref="the-one"))

    assert found == [[], [], [1]]


def test_the_unfinished_ones_come_page_by_page_too() -> None:
    journal = journal_of(["a", None, "b", None, "c"])

    assert walked(journal, Wanted(limit=2, unfinished=True)) == [[5, 3], [1]]


@pytest.mark.parametrize("unfinished", [True, False])
def test_where_nobody_knows_nothing_is_not_said_to_be_there(unfinished: bool) -> None:
    with pytest.raises(SafeModeError):
        page(SafeJournal(1), Wanted(limit=2, unfinished=unfinished))

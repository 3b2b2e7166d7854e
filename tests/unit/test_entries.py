"""What of an activation lies in a row in clear, and what is only sealed."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from plugin.activation.problem import Problem, Refusal
from plugin.activation.saga import Activation, Settlement, Verdict
from plugin.journal import entries
from tests.unit.journeys import ORIGIN

FRESH = Activation(origin=ORIGIN)
NAME = "林试一"
TELLING: dict[str, object] = {
    "message": NAME.encode(),
    "refusal": Refusal(code="9", text=NAME),
    "problem": Problem("card.lost", {"holder": NAME}),
    "settlement": Settlement(
        verdict=Verdict.ACTIVE,
        reason=NAME,
        operator_ref="17",
        client_id="pos",
        at="2026-11-22T08:00:00+08:00",
    ),
}


@pytest.mark.parametrize("field", TELLING)
def test_what_may_name_a_person_is_only_in_the_part_that_is_sealed(field: str) -> None:
    record = replace(FRESH, **{field: TELLING[field]})

    entry = entries.encode(record)

    assert NAME.encode() not in entry.clear
    assert NAME.encode() in entry.personal
    assert entries.decode(entry) == record


def test_where_nothing_names_a_person_nothing_is_sealed() -> None:
    entry = entries.encode(FRESH)

    assert entry.personal == b""
    assert entries.decode(entry) == FRESH

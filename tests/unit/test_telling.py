"""The check that every agent under test goes through when it ends."""

from __future__ import annotations

import pytest

from plugin.agent.happenings import Happening
from tests.telling import mistakes


def told(*events: tuple[str, str]) -> list[Happening]:
    return [
        Happening(number, f"transaction.{kind}", "", "transactions/x", {"state": state})
        for number, (kind, state) in enumerate(events, 1)
    ]


def test_a_transaction_told_as_it_should_be() -> None:
    whole = told(
        ("created", "waiting_card"),
        ("changed", "cancelled"),
        ("completed", "cancelled"),
        ("acknowledged", "cancelled"),
    )

    assert mistakes(whole) == []
    assert mistakes(whole[:1]) == []


@pytest.mark.parametrize(
    ("events", "mistake"),
    [
        ([("created", "x"), ("changed", "failed")], "transactions/x is failed"),
        ([("completed", "failed")] * 2, "transactions/x: transaction.completed after"),
        ([("completed", "failed"), ("changed", "failed")], "transactions/x: trans"),
    ],
)
def test_what_is_wrong_is_named(events: list[tuple[str, str]], mistake: str) -> None:
    (found,) = mistakes(told(*events))

    assert found.startswith(mistake)


def test_a_number_that_comes_twice_is_named() -> None:
    (one,) = told(("created", "waiting_card"))

    assert mistakes([one, one]) == ["1 after 1"]

"""Every promise has a test of its name, and its place in the table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TABLE = (TESTS / "PROMISES.md").read_text(encoding="utf-8")
PROMISES = (
    *(f"A{number}" for number in range(1, 11)),
    *(f"J{number}" for number in range(1, 11)),
    *(f"C{number}" for number in range(1, 4)),
    *(f"L{number}" for number in range(1, 4)),
)


def rows() -> dict[str, str]:
    """The table's rows by promise."""
    return {
        line.split("|")[1].strip(): line for line in TABLE.splitlines() if "|" in line
    }


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_has_a_test_of_its_name(promise: str) -> None:
    named = re.compile(rf"^def (test_{promise.lower()}_\w+)", re.MULTILINE)
    found = {
        name
        for path in TESTS.rglob("test_*.py")
        for name in named.findall(path.read_text(encoding="utf-8"))
    }

    assert found
    told = rows()[promise]
    assert {name for name in found if f"`{name}`" not in told} == set()

"""The matrix of faults and states is whole, and says what is wrong with a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugin.activation.saga import ActivationState
from tests.matrix import noted, table
from tests.matrix.__main__ import pictured, summary, wrong
from tests.matrix.table import IMPOSSIBLE, NOT_HERE, PASSED, Cell

CELL = Cell("F24", "UNKNOWN", "tests/x.py::test_jumps[{fault}-{state}]")
WHOLE = Cell("F11", "ACTIVE", "tests/x.py::test_cuts")
SOME = Cell("F55", "SENDING", "tests/x.py::test_sent[F55 *]")


def test_every_fault_meets_every_state() -> None:
    expected = {(f, state.value) for f in table.FAULTS for state in ActivationState}

    assert table.cells().keys() == expected
    assert table.names().keys() == set(table.FAULTS)


def test_whatever_is_not_shown_has_its_reason_and_every_reason_is_one() -> None:
    given = {cell.shown_by for cell in table.cells().values() if not cell.is_test}
    reasons = table.reasons()

    assert given == reasons.keys()
    assert {kind for kind, _ in reasons.values()} == {IMPOSSIBLE, NOT_HERE}
    assert len({why for _, why in reasons.values()}) == len(reasons)


def test_faults_are_shown_in_every_state_that_is_stored() -> None:
    shown = {cell.state for cell in table.cells().values() if cell.is_test}

    assert shown == {state.value for state in ActivationState} - {"READY"}


@pytest.mark.parametrize(
    ("cell", "node", "meant"),
    [
        (CELL, "tests/x.py::test_jumps[F24-UNKNOWN]", True),
        (CELL, "tests/x.py::test_jumps[F24-UNKNOWN-1]", False),
        (CELL, "tests/x.py::test_jumps", False),
        (WHOLE, "tests/x.py::test_cuts", True),
        (WHOLE, "tests/x.py::test_cuts[3]", True),
        (WHOLE, "tests/x.py::test_cuts_deep", False),
        (WHOLE, "other/tests/x.py::test_cuts", False),
        (SOME, "tests/x.py::test_sent[F55 expired]", True),
        (SOME, "tests/x.py::test_sent[F56]", False),
    ],
)
def test_a_cell_means_its_tests_and_no_others(
    cell: Cell, node: str, *, meant: bool
) -> None:
    assert (cell.tests.fullmatch(node) is not None) is meant


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        ({"tests/x.py::test_cuts[1]": "passed"}, PASSED),
        ({}, "did not run"),
        ({"tests/y.py::test_cuts": "passed"}, "did not run"),
        ({"tests/x.py::test_cuts": "skipped"}, "skipped"),
        (
            {
                "tests/x.py::test_cuts[1]": "passed",
                "tests/x.py::test_cuts[2]": "failed",
            },
            "failed",
        ),
    ],
)
def test_a_cell_has_passed_when_all_its_tests_have(
    ended: dict[str, str], said: str
) -> None:
    assert table.judged(WHOLE, ended) == said


def test_a_run_of_nothing_is_wrong_in_every_possible_cell() -> None:
    found = {key: table.judged(cell, {}) for key, cell in table.cells().items()}

    missing = wrong(found)

    possible = [cell for cell in table.cells().values() if cell.is_test]
    assert len(missing) == len(possible)
    assert summary(found).startswith(f"0 of {len(possible)} possible cells passed")
    assert any("!" in line for line in pictured(found)[2:])


def test_what_is_noted_of_a_test_is_its_worst_phase(tmp_path: Path) -> None:
    notes = noted.Notes(tmp_path)
    for node, when, outcome in (
        ("good", "setup", "passed"),
        ("good", "call", "passed"),
        ("good", "teardown", "passed"),
        ("skipped", "setup", "skipped"),
        ("skipped", "teardown", "passed"),
        ("leaves a mess", "call", "passed"),
        ("leaves a mess", "teardown", "failed"),
    ):
        notes.pytest_runtest_logreport(report(node, when, outcome))

    notes.pytest_sessionfinish()

    assert noted.read(tmp_path) == {
        "good": "passed",
        "skipped": "skipped",
        "leaves a mess": "failed",
    }


def report(node: str, when: str, outcome: str) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=node,
        location=("x.py", 1, node),
        keywords={},
        outcome=outcome,  # type: ignore[arg-type]
        longrepr=None,
        when=when,  # type: ignore[arg-type]
    )

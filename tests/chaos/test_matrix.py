"""`matrix.tsv`: every fault in every state of a record (reliability, 5). A cell names the test
that runs it (a node id, or how one begins), or says `impossible`, `not here: why`, or
`missing`. READY is impossible throughout: it is never stored."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from plugin.activation.saga import ActivationState

TABLE = Path(__file__).parent / "matrix.tsv"
ROOT = Path(__file__).parents[2]
FAULTS = [f"F{number:02}" for number in (*range(1, 51), *range(53, 83), *range(93, 97))]
IMPOSSIBLE, NOT_HERE, MISSING = "impossible", "not here: ", "missing"
MISSING_MAX = 113


def cells() -> dict[tuple[str, str], str]:
    """By fault and state."""
    head, *rows = TABLE.read_text(encoding="utf-8").splitlines()
    states = head.split("\t")[1:]
    return {
        (fault, state): cell
        for fault, *said in (row.split("\t") for row in rows)
        for state, cell in zip(states, said, strict=True)
    }


def test_every_fault_meets_every_state() -> None:
    expected = {(fault, state.value) for fault in FAULTS for state in ActivationState}

    assert cells().keys() == expected


def test_ready_is_never_stored() -> None:
    said = {cell for (_, state), cell in cells().items() if state == "READY"}

    assert said == {IMPOSSIBLE}


def test_every_named_test_exists() -> None:
    named = {
        cell
        for cell in cells().values()
        if cell not in (IMPOSSIBLE, MISSING) and not cell.startswith(NOT_HERE)
    }
    files = sorted({name.partition("::")[0] for name in named})
    listed = subprocess.run(
        (
            *(sys.executable, "-m", "pytest", "--collect-only", "-q"),
            *("-p", "no:cacheprovider", "-p", "no:randomly", *files),
        ),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={name: os.environ[name] for name in os.environ if name != "KAQI_KILLS"},
    ).stdout.splitlines()

    lost = {name for name in named if not any(each.startswith(name) for each in listed)}

    assert lost == set()


def test_what_is_missing_grows_less() -> None:
    missing = [key for key, cell in cells().items() if cell == MISSING]

    assert len(missing) == MISSING_MAX, missing

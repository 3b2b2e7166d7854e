"""Playing a reading procedure against a card in memory, and against recorded sessions.

A transcript has one exchange per line, `command -> answer`, and remarks after #. A
mismatch names the line, the bytes expected and the bytes sent.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from drivers.conversation import Procedure, Runner, after, nobody
from drivers.iso7816.apdu import CommandApdu, ResponseApdu

Result = TypeVar("Result")
FOLDER = Path(__file__).parent / "transcripts"


def play(
    procedure: Procedure[Result],
    answer: Callable[[CommandApdu], ResponseApdu],
    run: Runner = nobody,
) -> tuple[Result, int]:
    """Run a procedure with `answer` as the card and `run` for its errands: its result, and
    how many commands."""
    sent = 0
    try:
        command = next(procedure)
        while True:
            if isinstance(command, CommandApdu):
                sent += 1
                command = procedure.send(answer(command))
            else:
                command = after(command, procedure, run)
    except StopIteration as finished:
        return finished.value, sent


def recorded(name: str) -> Callable[[CommandApdu], ResponseApdu]:
    """A card that answers as in this transcript, and only that."""
    lines = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    exchanges = iter(
        (number, *line.split("#")[0].split("->"))
        for number, line in enumerate(lines, start=1)
        if line.split("#")[0].strip()
    )

    def answer(command: CommandApdu) -> ResponseApdu:
        number, expected, given = next(exchanges)
        sent = bytes(command).hex(" ").upper()
        assert sent == str(expected).strip(), f"line {number}"
        return ResponseApdu.parse(bytes.fromhex(str(given)))

    return answer

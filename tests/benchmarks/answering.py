"""The other end of `processes.Child`: answers lines with lines until the input ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping

Work = Callable[[int], None]
NUMBER_LENGTH = 20  # tag, length and 18 characters, in every card these programs read


def answer(works: Mapping[str, Work]) -> None:
    """Do the named work as often as each line says; answer with the nanoseconds it took."""
    for line in sys.stdin:
        name, count = line.split()
        work = works[name]
        began = time.monotonic_ns()
        work(int(count))
        sys.stdout.write(f"{time.monotonic_ns() - began}\n")
        sys.stdout.flush()


def repeated(process: Callable[[bytes], bytes], command: bytes) -> Work:
    """The work of giving a card one command, which it must answer with 20 bytes."""
    answered = process(command)
    if len(answered) != NUMBER_LENGTH + 2 or not answered.endswith(b"\x90\x00"):
        raise RuntimeError(f"the card answered {answered.hex()}")

    def work(count: int) -> None:
        for _ in range(count):
            process(command)

    return work

"""What an input may cost: a twentieth of a second, and 32 MiB."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

SLOW_SECONDS = 0.05
TRIES_MORE = 3
HUNGRY_MIB = 32


class CostlyError(Exception):
    """An input takes too long, or too much memory."""


def watched(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """The same target, with its costs. Other programs use this machine too: an input that
    seems slow is run again, and counts when the fastest run is too slow."""

    def run(raw: bytes) -> None:
        before = _peak_mib()
        took = _seconds(target, raw)
        if (more := _peak_mib() - before) > HUNGRY_MIB:
            raise CostlyError(f"{more} MiB for {len(raw)} bytes")
        if took > SLOW_SECONDS:
            again = (_seconds(target, raw) for _ in range(TRIES_MORE))
            took = min(took, *again)
        if took > SLOW_SECONDS:
            raise CostlyError(f"{took * 1000:.0f} ms for {len(raw)} bytes")

    return run


def _seconds(target: Callable[[bytes], None], raw: bytes) -> float:
    began = time.monotonic()
    target(raw)
    return time.monotonic() - began


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

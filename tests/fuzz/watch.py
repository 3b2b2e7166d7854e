"""What an input may cost: a twentieth of a second, and 32 MiB."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

SLOW_SECONDS = 0.05
TRIES_MORE = 3
HUNGRY_MIB = 32


class CostlyError(Exception):
    """An input takes too long, or too much memory."""


def watched(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """The same target, with its costs. Other programs use this machine too: an input that
    seems slow is run again, and counts when the fastest run is too slow."""

    peak_mib = _own_peak_mib if _is_inherited() else _peak_mib

    def run(raw: bytes) -> None:
        before = peak_mib()
        took = _seconds(target, raw)
        if (more := peak_mib() - before) > HUNGRY_MIB:
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


def _own_peak_mib() -> int:
    """The same of this program alone, and twenty times as slow."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (each for each in status.splitlines() if each.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024


def _is_inherited() -> bool:
    """Whether the peak that is cheap to ask for is that of a large program which started
    this one (Linux keeps it across exec)."""
    return sys.platform == "linux" and _peak_mib() > _own_peak_mib() + HUNGRY_MIB // 2

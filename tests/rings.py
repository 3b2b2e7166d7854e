"""`make test`: everything, from fast to slow, each ring with its time.

A ring that fails ends the run: what comes after would only be slower to say the same. The
last one compares what has passed with the matrix of faults and states.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.matrix import noted

ROOT = Path(__file__).parents[1]
CODE = ("plugin", "drivers", "simulator", "examples", "tests")
PYTEST = (sys.executable, "-m", "pytest", "-q", "--no-header")


def program(name: str) -> str:
    """A program of this virtual environment."""
    return str(Path(sys.executable).with_name(name))


def ring(*paths: str, workers: int = 2, spread: str = "worksteal") -> tuple[str, ...]:
    """Tests, on both cores, in an order that is different every time; by more workers
    where they mostly wait."""
    return (*PYTEST, "-n", str(workers), "--dist", spread, *paths)


RINGS: dict[str, tuple[str, ...]] = {
    "format": (program("ruff"), "format", "--check", "--quiet", *CODE),
    "lint": (program("ruff"), "check", "--quiet", *CODE),
    "types": (program("mypy"),),
    "imports": (program("lint-imports"), "--no-cache"),
    "unit": ring("tests/unit"),
    "simulation": ring("tests/simulation", spread="loadgroup"),
    "contract": ring("tests/contract", workers=3),
    "power": ring("tests/power"),
    "scenario": ring("tests/scenario", workers=4),
    "faults": ring("tests/faults", workers=4),
    "api": ring("tests/api", workers=3),
    "command": ring("tests/command", workers=3),
    "browser": ring("tests/browser", workers=3),
    "saboteurs": (sys.executable, "-m", "tests.saboteurs", "--fast"),
    "matrix": (sys.executable, "-m", "tests.matrix"),
}


def run(name: str, command: tuple[str, ...]) -> tuple[bool, float]:
    """One ring; what it prints is shown when it fails, or when somebody watches."""
    began = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    took = time.monotonic() - began
    if done.returncode:
        say(done.stdout)
    last = (done.stdout.strip().splitlines() or [""])[-1].strip("= ")
    verdict = "ok" if done.returncode == 0 else f"FAILED ({done.returncode})"
    say(
        f"{name:12} {took:7.1f} s  {verdict:12} {last[:72] if name in _COUNTED else ''}"
    )
    return done.returncode == 0, took


_COUNTED = frozenset(RINGS) - {"format", "lint", "imports"}


def say(text: str) -> None:
    """To standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def chosen(wanted: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """All rings, or those named on the command line."""
    for name, command in RINGS.items():
        if not wanted or name in wanted:
            yield name, command


def main(wanted: list[str], runner: Callable[..., tuple[bool, float]] = run) -> int:
    """Run them; the exit code is 1 when one fails."""
    total = 0.0
    # A shell that starts us in the background has Ctrl-C ignored; tests press it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as notes:
        os.environ[noted.FOLDER] = notes
        for name, command in chosen(wanted):
            passed, took = runner(name, command)
            total += took
            if not passed:
                return 1
    say(f"{'all':12} {total:7.1f} s  ok")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

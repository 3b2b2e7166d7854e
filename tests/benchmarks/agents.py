"""Rows about the whole agent: start to first answer, and memory when idle."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.benchmarks import resource_manager
from tests.benchmarks.figures import Measured, Promise, Row
from tests.benchmarks.processes import python
from tests.benchmarks.web_server import WebServer

SETTLE_SECONDS = 2.0
KAQI = str(Path(sys.executable).with_name("kaqi"))
SETTINGS = """\
[institution]
code = "P0001"
name = "Benchmark"
kind = "pharmacy"

[centre]
address = "http://127.0.0.1:1"
"""

START = Promise(gate=1.3, goal=1.1, unit="ms")
MEMORY = Promise(gate=12, goal=6, unit="MiB", difference=True)


@dataclass(frozen=True, slots=True)
class Seen:
    """Of one process: milliseconds to its first answer, MiB when it had settled."""

    start: float
    memory: float


def agent(rounds: int) -> Iterator[Row]:
    """`kaqi serve` as on a till against a trivial FastAPI application with the same server
    settings; a bare asyncio server for orientation."""
    with resource_manager.running() as manager, TemporaryDirectory() as folder:
        commands = (
            _serve(Path(folder)),
            python("server_fastapi"),
            python("server_asyncio"),
        )
        _round(commands, manager.environment)  # makes the data folder, warms the caches
        seen = [_round(commands, manager.environment, turn) for turn in range(rounds)]
    yield Measured(
        what="kaqi serve: start to first answer",
        floor_is="trivial FastAPI",
        promise=START,
        rounds=tuple((ours.start, floor.start) for ours, floor, _ in seen),
        beside=f"a bare asyncio server: {median(bare.start for *_, bare in seen):.0f} ms",
    )
    yield Measured(
        what="kaqi serve: resident memory after 2 s",
        floor_is="trivial FastAPI",
        promise=MEMORY,
        rounds=tuple((ours.memory, floor.memory) for ours, floor, _ in seen),
        beside=f"a bare asyncio server: {median(bare.memory for *_, bare in seen):.1f} MiB",
    )


def _serve(folder: Path) -> list[str]:
    """The command of a till: no simulation, and a centre that nothing is sent to."""
    settings = folder / "kaqi.toml"
    settings.write_text(SETTINGS, encoding="utf-8")
    data = str(folder / "data")
    return [KAQI, "serve", "--settings", str(settings), "--data", data, "--port"]


def _round(
    commands: Sequence[Sequence[str]], environment: Mapping[str, str], turn: int = 0
) -> list[Seen]:
    """Start one after the other, in an order that turns, and look at all together."""
    places = [(turn + offset) % len(commands) for offset in range(len(commands))]
    with ExitStack() as stack:
        servers: dict[int, WebServer] = {}
        starts: dict[int, float] = {}
        for place in places:
            server = stack.enter_context(WebServer(commands[place], environment))
            starts[place] = server.wait_for_answer()
            servers[place] = server
        threading.Event().wait(SETTLE_SECONDS)
        return [
            Seen(starts[place], servers[place].memory()) for place in sorted(places)
        ]

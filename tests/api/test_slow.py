"""L3: two hundred slow and a thousand idle connections, and a client who does not notice."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plugin.client import Kaqi, KaqiUnreachableError
from tests.agents import AgentProcess
from tests.centre import CentreProcess

SECONDS = float(os.environ.get("KAQI_SLOW_SECONDS", "8"))
SLOW, IDLE = 200, 1_000
CLIENTS = 4
APART_SECONDS = 0.02
P99_SECONDS = 0.5


@contextmanager
def besieged(port: int) -> Iterator[dict[str, int]]:
    """While 1,200 connections come, stay and come again; at the end, how often."""
    counted: dict[str, int] = {}
    command = [sys.executable, "-m", "tests.api.slowly"]
    with subprocess.Popen(
        [*command, str(port), str(SLOW), str(IDLE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        yield counted
        counted |= json.loads(process.communicate()[0])


def seconds_to_an_answer(kaqi: Kaqi) -> float:
    """Who was too slow himself was taken for one of them, and asks again: once."""
    began = time.monotonic()
    try:
        readers = kaqi.readers()
    except KaqiUnreachableError:
        readers = kaqi.readers()
    assert readers
    return time.monotonic() - began


def test_l3_a_client_does_not_notice_the_slow_and_the_idle(
    tmp_path: Path, centre: CentreProcess
) -> None:
    took: list[float] = []
    pause = threading.Event()
    with AgentProcess(tmp_path, centre.address) as agent:
        clients = [agent.another(f"pos-{n}", ("read",)) for n in range(CLIENTS)]
        with besieged(agent.pos.port) as counted:
            ends = time.monotonic() + SECONDS
            for client in itertools.cycle(clients):
                took.append(seconds_to_an_answer(client.kaqi))
                if time.monotonic() > ends:
                    break
                pause.wait(APART_SECONDS)

    p99 = sorted(took)[int(len(took) * 0.99)]
    assert counted["came"] >= SLOW + IDLE
    assert counted["hung_up"] >= SLOW + IDLE - 64
    assert len(took) >= SECONDS * 5
    assert p99 < P99_SECONDS

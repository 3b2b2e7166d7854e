"""The simulated centre as tests use it: a process of its own, told what to do over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from typing import Any

import httpx2
import pytest

START_SECONDS = 30


class CentreProcess:
    """One simulated centre. Use as a context manager."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simulator.centre", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.address: str = json.loads(self._process.stdout.readline())["address"]
        self._client = httpx2.Client(base_url=self.address, trust_env=False)

    def __enter__(self) -> CentreProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._process.communicate()

    def misbehave(self, fault: str, operation: str = "", **more: object) -> None:
        """From now on, at paths ending in `operation`; `times` limits it."""
        order = {"fault": fault, "operation": operation, **more}
        self._client.post("/simulation/faults", json=order).raise_for_status()

    def behave(self) -> None:
        """No more faults."""
        self._client.delete("/simulation/faults").raise_for_status()

    def set_standing(self, person: str, standing: str) -> None:
        """Change how somebody's card stands."""
        order = {"standing": standing}
        path = f"/simulation/people/{person}"
        self._client.post(path, json=order).raise_for_status()

    def set_today(self, today: date) -> None:
        """Change the centre's date."""
        order = {"today": today.isoformat()}
        self._client.post("/simulation/today", json=order).raise_for_status()

    def let_arrive(self) -> None:
        """The messages that are late come now."""
        self._client.post("/simulation/late").raise_for_status()

    def let_go(self) -> None:
        """The answers that are slow come now; silence ends."""
        self._client.post("/simulation/answers").raise_for_status()

    def reset(self) -> None:
        """The cast as it was, nothing activated, no faults."""
        self._client.post("/simulation/reset").raise_for_status()

    @property
    def effects(self) -> list[dict[str, str]]:
        """Every activation that took effect."""
        effects: list[dict[str, str]] = self._books()["effects"]
        return effects

    @property
    def messages(self) -> list[dict[str, str]]:
        """Every message that activates, as they came."""
        messages: list[dict[str, str]] = self._books()["messages"]
        return messages

    @property
    def received(self) -> dict[str, int]:
        """How many requests came, by operation."""
        received: dict[str, int] = self._books()["received"]
        return received

    @property
    def today(self) -> str:
        """The centre's date."""
        return str(self._books()["today"])

    def _books(self) -> dict[str, Any]:
        found: dict[str, Any] = self._client.get("/simulation/books").json()
        return found


@pytest.fixture(scope="session")
def session_centre() -> Iterator[CentreProcess]:
    """Started once per test process."""
    with CentreProcess() as started:
        yield started


@pytest.fixture
def centre(session_centre: CentreProcess) -> CentreProcess:
    """The same, as if it had just been started."""
    session_centre.reset()
    return session_centre

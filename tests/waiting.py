"""Waiting for what must come, with an end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

WAIT_SECONDS = 30.0


def wait_until(wanted: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
    """Look again and again until it is so."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not wanted():
        assert time.monotonic() < deadline, "it did not come to that in time"
        pause.wait(0.01)

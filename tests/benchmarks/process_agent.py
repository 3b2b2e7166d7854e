"""A whole agent that simulates, for clients who measure it.

Says one line of JSON (`port`, `tokens`: many clients, because each may ask only so often);
every line `tell N` then has it tell N events that carry the nanosecond they were told.
Ends when its input does.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import threading
import time
from pathlib import Path

from plugin.agent.till import Till
from simulator.reader import InProcessDesk
from tests.agents import SCOPES, running

CLIENTS = 40
NOBODY = "http://127.0.0.1:1"
PAUSE_SECONDS = 0.004  # events come one by one


def main() -> None:
    """Serve and tell."""
    hand = InProcessDesk()
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), NOBODY, {"inprocess": hand}, hand) as agent,
    ):
        logging.getLogger("kaqi").setLevel(logging.INFO)  # as on a till
        tokens = [agent.folder.pair(f"pos-{n}", SCOPES) for n in range(CLIENTS)]
        say(json.dumps({"port": agent.port, "tokens": tokens}))
        for line in sys.stdin:
            for _ in range(int(line.split()[1])):
                agent.agent.till.loop.post(lambda: tell(agent.agent.till))
                threading.Event().wait(PAUSE_SECONDS)
            say("told")


def tell(till: Till) -> None:
    """One event, on the deciding thread."""
    till.happenings.tell("agent.recovered", "agent", {"at": time.monotonic_ns()})


def say(line: str) -> None:
    """To whoever measures."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

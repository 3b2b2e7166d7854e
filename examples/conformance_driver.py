"""A test driver for `kaqi conformance`, with a POS of a hundred lines behind it.

    python examples/conformance_driver.py 8765
    kaqi conformance http://127.0.0.1:8765/

Yours stands between kaqi and the POS that you sell: it has that POS make one sale against
the address it is given, presses its buttons, and reports what the operator saw. What it is
told and what it answers is in docs/conformance.md. Copy plugin/client.py into your program
and import it from there; it needs nothing else.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event
from typing import Any

from plugin.client import Kaqi, KaqiError, KaqiUnreachableError, Transaction

LANGUAGE = "zh-CN"
CLICKS = 5  # how often this operator presses the button before giving up
PATIENCE_SECONDS = 20.0  # with an agent that is being started again, and with a doubt
PAUSE_SECONDS = 0.1


class Pos:
    """One sale, as a POS makes it. `shown` is what the operator has read."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        self.order = order
        self.kaqi = Kaqi(
            token=order["token"], address=order["address"].removeprefix("http://")
        )
        self.shown: list[str] = []
        self.pause = Event()

    def sell(self) -> str:
        """Take note of what was left over, then press the button, and press it again where
        that helps; returns the outcome."""
        self.take_note()
        for _ in range(CLICKS):
            try:
                ended = self.follow(self.start())
            except KaqiError as refused:
                self.show_problem(refused.problem)
                if refused.problem["retry"] == "none":
                    return "not_activated"
                self.pause.wait(PAUSE_SECONDS)  # until the operator has read it
                continue
            if ended.problem is None or ended.problem["code"] != "agent.restarted":
                return self.outcome(ended)
        return "not_activated"

    def take_note(self) -> None:
        """Results of earlier sales that this POS has not kept: it ended too soon."""
        for left in self.kaqi.unacknowledged():
            if left.ended:
                self.kaqi.acknowledge(left)

    def start(self) -> Transaction:
        """One click, with a key of its own however often it has to be sent."""
        key = str(uuid.uuid4())
        while True:
            try:
                return self.kaqi.start(
                    self.order["business"],
                    pos_ref=self.order["scenario"],
                    idempotency_key=key,
                )
            except KaqiError as refused:
                if refused.code != "client.rate_limited":
                    raise
                self.show_problem(refused.problem)
                self.pause.wait(float(refused.problem["retry_after"]))

    def follow(self, now: Transaction) -> Transaction:
        """Show every step and do what the agent allows, until it has ended; or until it
        has been in doubt for long."""
        doubt_ends = time.monotonic() + PATIENCE_SECONDS
        while not now.ended:
            self.show(now)
            if now.problem and now.problem["code"] == "transaction.person_mismatch":
                now = self.kaqi.cancel(now)
            elif "pin" in now.allowed_actions:
                now = self.kaqi.pin(now, self.order["pin"])
            elif "confirm" in now.allowed_actions:
                now = self.kaqi.confirm(now)
            else:
                now = self.next(now)
            if now.state == "in_doubt" and time.monotonic() > doubt_ends:
                break
        self.show(now)
        return self.kaqi.acknowledge(now) if now.ended else now

    def next(self, now: Transaction) -> Transaction:
        """Wait for a change, also while the agent is being started again."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self.kaqi.next(now)
            except KaqiUnreachableError:
                if time.monotonic() > deadline:
                    raise
                self.pause.wait(PAUSE_SECONDS)

    def outcome(self, now: Transaction) -> str:
        """What the sale goes on with."""
        if now.state == "succeeded":
            return now.outcome or "activated"
        return "pending" if now.state == "in_doubt" else "not_activated"

    def show(self, now: Transaction) -> None:
        """The instruction, and what is wrong, if anything is."""
        self.shown.append(now.instruction(LANGUAGE))
        for problem in (now.problem, *now.notices):
            if problem is not None:
                self.show_problem(problem)

    def show_problem(self, problem: Mapping[str, Any]) -> None:
        """What is wrong, then what to do, line by line."""
        self.shown.append(problem["messages"][LANGUAGE])
        self.shown.extend(problem["remedy"][LANGUAGE])


def driver(
    port: int, pos: Callable[[Mapping[str, Any]], Pos] = Pos
) -> ThreadingHTTPServer:
    """The driver, ready to serve on this port of this machine; `pos` makes one sale."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            sale = pos(json.loads(self.rfile.read(length)))
            report = {"outcome": sale.sell(), "shown": sale.shown}
            content = json.dumps(report).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing: the order holds a token."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    with driver(int(sys.argv[1]) if len(sys.argv) > 1 else 8765) as serving:
        serving.serve_forever()

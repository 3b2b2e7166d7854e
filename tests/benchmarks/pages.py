"""Row: the console's first paint, on a till four times slower than this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser

from plugin.data_folder import DataFolder
from tests.agents import AgentProcess, Pos
from tests.benchmarks.figures import TURNS, Measured, Promise, Row
from tests.browser.conftest import Site, launched
from tests.centre import CentreProcess

SLOWER = 4
ALLOWED = 300.0  # ms
PAINT = Promise(gate=1.0, goal=0.5, unit="ms")
# Milliseconds from the address until something was painted, and until the page's largest
# part was: the question that the operator answers.
_PAINTED = """() => new Promise(resolve => new PerformanceObserver(list => resolve([
  performance.getEntriesByName("first-contentful-paint")[0].startTime,
  list.getEntries().at(-1).startTime,
])).observe({type: "largest-contentful-paint", buffered: true}))"""
Painted = tuple[float, float]


def console(rounds: int) -> Iterator[Row]:
    """Nothing is cached, and a one-time code is in the address; an empty page beside it."""
    with (
        tempfile.TemporaryDirectory() as name,
        CentreProcess() as centre,
        AgentProcess(Path(name), centre.address) as agent,
        closing(Site()) as site,
        launched() as chromium,
    ):
        operator = Pos(agent.pos.port, DataFolder(Path(name)).operator_token())
        _painted(chromium, _console(operator))  # the first page starts Chromium as well
        seen = [
            (_turns(chromium, operator), _painted(chromium, site.origin))
            for _ in range(rounds)
        ]
    usable = median(ours[1] for ours, _ in seen)
    empty = median(theirs[0] for _, theirs in seen)
    yield Measured(
        what=f"console: first paint, CPU {SLOWER} times slower",
        floor_is="allowed",
        promise=PAINT,
        rounds=tuple((ours[0], ALLOWED) for ours, _ in seen),
        beside=f"until it can be used: {usable:.0f} ms; an empty page: {empty:.0f} ms",
    )


def _turns(chromium: Browser, operator: Pos) -> Painted:
    """The median of one round."""
    seen = [_painted(chromium, _console(operator)) for _ in range(TURNS)]
    return median(first for first, _ in seen), median(largest for _, largest in seen)


def _console(operator: Pos) -> str:
    """An address that opens it once."""
    code = operator.request("POST", "/v1/console/codes", {}).body["code"]
    return f"http://127.0.0.1:{operator.port}/#code={code}"


def _painted(chromium: Browser, address: str) -> Painted:
    """A new visitor's page."""
    context = chromium.new_context()
    page = context.new_page()
    slowed = context.new_cdp_session(page)
    slowed.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    page.goto(address)
    page.wait_for_selector("h1, p:not(.heard)")
    first, largest = page.evaluate(_PAINTED)
    context.close()
    return first, largest

"""A counter: an agent, the hand over its readers, and the console that is open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from simulator.reader import READER_NAMES, InProcessDesk
from tests.agents import HOSPITAL, Pos, Running, running
from tests.centre import CentreProcess

FIRST, SECOND = READER_NAMES
SECONDS = 10_000


@dataclass
class Till:
    """An agent, the hand over its readers, and the console that is open."""

    agent: Running
    hand: InProcessDesk
    page: Page
    mistakes: list[str] = field(default_factory=list)

    def reads(self, text: str) -> None:
        """The clerk sees this instruction."""
        expect(self.page.locator(".instruction")).to_have_text(text, timeout=SECONDS)

    def press(self, name: str) -> None:
        """A button, by what stands on it."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def walk_to(self, name: str) -> None:
        """The same with the keyboard alone."""
        wanted = self.page.get_by_role("button", name=name, exact=True)
        expect(wanted).to_be_visible(timeout=SECONDS)
        for _ in range(40):
            if wanted.evaluate("each => each === document.activeElement"):
                self.page.keyboard.press("Enter")
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"the keyboard does not reach {name}")


@pytest.fixture
def till(tmp_path: Path, centre: CentreProcess, chromium: Browser) -> Iterator[Till]:
    hand = InProcessDesk()
    with running(
        tmp_path, centre.address, {"inprocess": hand}, hand, institution=HOSPITAL
    ) as agent:
        agent.reader_ids(hand.readers())
        operator = Pos(agent.port, agent.folder.operator_token())
        code = operator.request("POST", "/v1/console/codes", {}).body["code"]
        page = chromium.new_page(viewport={"width": 1024, "height": 768})
        opened = Till(agent, hand, page)
        page.on("pageerror", lambda failed: opened.mistakes.append(str(failed)))
        page.goto(f"http://127.0.0.1:{agent.port}/#code={code}")
        yield opened
        page.close()
        assert opened.mistakes == []

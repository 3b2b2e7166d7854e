"""Whoever runs the demo and opens the address it prints has activated a card a minute later,
by nothing but what can be read on the page."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.agents import Pos

SECONDS = 20_000
AT_MOST = 8
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/#\S+")
CHINESE = {
    "pharmacy": "药店购药，首次使用新卡",
    "old card wanted": "请插入旧医保卡（磁条卡请刷卡）",
    "old card": "林试一 旧医保卡",
    "insert": "插入",
    "new card wanted": "请插入社会保障卡",
    "new card": "林试一 社会保障卡",
    "compare": "请核对持卡人并确认：启用后旧医保卡作废",
    "confirm": "确认启用",
    "done": "启用成功，请取出卡片",
}
ENGLISH = {
    "pharmacy": "Pharmacy: first use of the new card",
    "old card wanted": "Insert the old medical insurance card, or swipe it",
    "old card": "Lin, old medical card",
    "insert": "Insert",
    "new card wanted": "Insert the social security card",
    "new card": "Lin, social security card",
    "compare": "Check the holder and confirm: the old medical card becomes void",
    "confirm": "Confirm: activate",
    "done": "Activated: take the cards",
}


class Visitor:
    """Somebody who reads, and clicks on what is written there."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.interactions = 0

    def click(self, text: str) -> None:
        """The first place where exactly this stands."""
        self.interactions += 1
        self.page.get_by_text(text, exact=True).first.click()

    def reads(self, text: str) -> None:
        shown = self.page.get_by_role("heading", name=text, exact=True)
        expect(shown).to_be_in_viewport(ratio=1, timeout=SECONDS)

    def activates(self, words: dict[str, str]) -> None:
        """A card, in a pharmacy."""
        self.click(words["pharmacy"])
        self.reads(words["old card wanted"])
        self.click(words["old card"])
        self.click(words["insert"])
        self.reads(words["new card wanted"])
        self.click(words["new card"])
        self.click(words["insert"])
        self.reads(words["compare"])
        self.click(words["confirm"])
        self.reads(words["done"])


@dataclass(frozen=True)
class Demo:
    """What it printed before it began to wait."""

    said: str

    @property
    def address(self) -> str:
        found = ADDRESS.search(self.said)
        assert found, self.said
        return found.group()

    def fresh_address(self) -> str:
        """By the command that it names."""
        (command,) = re.findall(r"^  (.* console --data .*)$", self.said, re.MULTILINE)
        told = subprocess.run(
            ["sh", "-c", f"{command} --no-browser"],
            capture_output=True,
            text=True,
            check=True,
        )
        found = ADDRESS.search(told.stdout)
        assert found, told
        return found.group()

    def activations(self) -> int:
        """How many stand in the centre's books."""
        port, token = (
            re.findall(pattern, self.said)[0]
            for pattern in (ADDRESS, r"Bearer ([^']+)'")
        )
        books = Pos(int(port), token).request("GET", "/v1/simulate/centre").body
        return len(books["activations"])


@pytest.fixture
def demo() -> Iterator[Demo]:
    """As a person starts it."""
    environment = {**os.environ, "PYTHONUTF8": "1"}
    for name in ("ONCE", "READERS"):
        environment.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-m", "plugin", "demo", "--port", "0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            said += line
            assert line, said
        try:
            yield Demo(said)
        finally:
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            said = process.stdout.read()
    assert process.returncode == 0, said


def opened(chromium: Browser, address: str) -> Page:
    page = chromium.new_page(viewport={"width": 1024, "height": 768})
    page.goto(address)
    return page


def test_a_first_visit_ends_with_an_activation_after_a_few_clicks(
    demo: Demo, chromium: Browser
) -> None:
    assert "30 分钟内" in demo.said
    assert "within 30 minutes" in demo.said
    assert demo.activations() == 0  # the story's are forgotten

    page = opened(chromium, demo.address)
    visitor = Visitor(page)
    visitor.activates(CHINESE)
    assert visitor.interactions <= AT_MOST
    assert demo.activations() == 1
    page.close()

    page = opened(chromium, demo.fresh_address())
    visitor = Visitor(page)
    visitor.click("English")
    visitor.click("Reset everything")  # the first visitor has left the cards in
    visitor.activates(ENGLISH)
    assert visitor.interactions <= AT_MOST
    assert demo.activations() == 1
    page.close()

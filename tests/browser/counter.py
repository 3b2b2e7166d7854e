"""A counter as a clerk works it through the console's page: an agent, the hand over its
readers, and the page, worked by mouse in Chinese or by keyboard alone in English."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from drivers.ports import ReaderDirectory
from plugin.activation.region import Clocks, RegionProfile
from plugin.main import texts
from plugin.settings import Institution
from simulator.reader import READER_NAMES, InProcessDesk
from simulator.serial_peer import SerialDesk
from tests.agents import HOSPITAL, QUICK, Pos, Running, running
from tests.centre import CentreProcess
from tests.waiting import wait_until

FIRST, SECOND = READER_NAMES
SECONDS = 10_000
TABS_AT_MOST = 40
COUNT_TONES = """
window.tones = 0;
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (...at) { window.tones += 1; return start.apply(this, at); };
"""
READ = """() => {
  const text = (selector) => document.querySelector(selector)?.innerText ?? "";
  const all = (selector) => [...document.querySelectorAll(selector)];
  return {
    instruction: text(".instruction"),
    problem: text(".wrong strong"),
    centre: text(".wrong .soft"),
    steps: all(".way li, .or").filter((each) => !each.closest(".notice")).map((each) => each.innerText),
    notices: all(".notice > :first-child").map((each) => each.innerText),
    holder: all("dl.facts dd").map((each) => each.innerText),
    receipt: text("pre.receipt").split("\\n"),
  };
}"""
ARRIVES = """([wanted, patience]) => new Promise((resolve, reject) => {
  const text = () => document.querySelector(".instruction")?.innerText;
  const look = () => { if (wanted.includes(text())) { watching.disconnect(); resolve(text()); } };
  const watching = new MutationObserver(look);
  watching.observe(document.body, { childList: true, subtree: true });
  setTimeout(() => reject(new Error(`the page still says ${text()}`)), patience);
  look();
})"""
ABOVE_CONFIRM = (
    """button => button.parentElement.previousElementSibling?.innerText ?? "" """
)


class How(StrEnum):
    """How a clerk works, and reads."""

    MOUSE = "mouse"
    KEYBOARD = "keyboard"

    @property
    def place(self) -> int:
        """Where their language stands in a pair of texts."""
        return list(How).index(self)

    @property
    def language(self) -> str:
        """The same as data files call it."""
        return ("zh", "en")[self.place]


BUTTONS = {
    "pharmacy": ("药店购药，首次使用新卡", "Pharmacy: first use of the new card"),
    "outpatient_registration": ("门诊挂号", "Outpatient registration"),
    "inpatient_registration": ("住院登记", "Admission"),
    "confirm": ("确认启用", "Confirm: activate"),
    "registered": ("已办理挂号或住院，继续", "Registered: continue"),
    "continue": ("继续", "Continue"),
    "cancel": ("取消", "Cancel"),
    "next": ("下一位", "Next"),
    "send": ("提交密码", "Send the PIN"),
    "begin": ("开始在读卡器上输入", "Begin on the reader"),
    "print_way": ("打印给持卡人", "Print this for the holder"),
    "print_receipt": ("打印凭条", "Print the receipt"),
}
CONSEQUENCE = (
    "确认后旧医保卡作废，不能撤回。",
    "Once confirmed, the old medical card is void. It cannot be taken back.",
)
OR_ELSE = ("或者：", "Or: ")
CARDS = {
    "medical": ("旧医保卡", "old medical card"),
    "social_security": ("社会保障卡", "social security card"),
    "any": ("卡片", "card"),
}
TAKE_OUT = ("请取出“{reader}”里的{card}", "Take the {card} out of {reader}")
ALL_OUT = ("读卡器里没有卡了。", "No card is left in a reader.")


@dataclass
class Till:
    """An agent, the hand over its readers, and the console that is open."""

    agent: Running
    hand: InProcessDesk | SerialDesk
    page: Page
    how: How = How.MOUSE
    printed: list[str] = field(default_factory=list)  # by the page, to its own log
    called: list[str] = field(default_factory=list)  # addresses

    def reads(self, text: str) -> None:
        """The clerk sees this instruction."""
        self.arrives(text)
        expect(self.page.locator(".instruction")).to_be_visible()

    def arrives(self, *texts: str) -> str:
        """Wait for one of these instructions, and say which."""
        return str(self.page.evaluate(ARRIVES, [texts, SECONDS]))

    def button(self, name: str) -> Locator:
        """A button, by what stands on it."""
        return self.page.get_by_role("button", name=name, exact=True)

    def press(self, name: str) -> None:
        """A button, by what stands on it."""
        self.button(name).click()

    def walk_to(self, name: str) -> None:
        """The same with the keyboard alone."""
        self.focus(self.button(name))
        self.page.keyboard.press("Enter")

    def focus(self, wanted: Locator) -> None:
        """Go there by the Tab key."""
        expect(wanted).to_be_visible(timeout=SECONDS)
        for _ in range(TABS_AT_MOST):
            if wanted.evaluate("each => each === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"the keyboard does not reach {wanted}")

    def does(self, key: str) -> None:
        """Press the button of this key of BUTTONS, in the clerk's own way."""
        name = BUTTONS[key][self.how.place]
        if self.how is How.MOUSE:
            self.press(name)
        else:
            self.walk_to(name)

    def types(self, *pins: str) -> None:
        """Into one field after the other: on the keypad, or with the digit keys."""
        for number, pin in enumerate(pins):
            if self.how is How.MOUSE:
                fields = self.page.locator("form.pin input[type=password]")
                if number:
                    fields.nth(number).click()
                for digit in pin:
                    self.page.locator(".keypad").get_by_text(digit, exact=True).click()
            else:
                if number:
                    self.page.keyboard.press("Tab")
                self.page.keyboard.type(pin)

    def gives(self, *pins: str) -> None:
        """Type, and send it off."""
        self.types(*pins)
        if self.how is How.MOUSE:
            self.does("send")
        else:
            self.page.keyboard.press("Enter")

    def told(self) -> dict[str, Any]:
        """What stands there now, by its parts."""
        found: dict[str, Any] = self.page.evaluate(READ)
        return found

    @property
    def tones(self) -> int:
        """How many have sounded since the page was loaded."""
        return int(self.page.evaluate("window.tones"))

    def takes(self, *cards: tuple[str, str]) -> None:
        """The page says which card to take out of which reader, and nothing else."""
        words, place = TAKE_OUT[self.how.place], self.how.place
        lines = [words.format(reader=r, card=CARDS[card][place]) for card, r in cards]
        expected = lines or [ALL_OUT[place]]
        expect(self.page.locator(".where li")).to_have_text(expected, timeout=SECONDS)

    def clears(self) -> None:
        """Every card is out, and the agent has seen it."""
        for reader in self.hand.readers():
            self.hand.remove(reader)
        pos = self.agent.pos.kaqi
        wait_until(
            lambda: all(
                each["slot"] in ("empty", "swiped") or each["role"] == "psam"
                for each in pos.readers()
            )
        )


@contextmanager
def opened(
    folder: Path,
    centre: CentreProcess,
    browser: Browser,
    *,
    how: How = How.MOUSE,
    hand: InProcessDesk | SerialDesk | None = None,
    directories: Mapping[str, ReaderDirectory] | None = None,
    institution: Institution = HOSPITAL,
    profile: RegionProfile | None = None,
    clocks: Clocks = QUICK,
) -> Iterator[Till]:
    """A till whose console is open. When it ends, nothing went wrong in the page."""
    module = InProcessDesk()
    directories = directories or {"inprocess": module}
    hand = hand or module
    with running(
        folder,
        centre.address,
        directories,
        hand,
        institution=institution,
        profile=profile,
        clocks=clocks,
    ) as agent:
        agent.reader_ids(hand.readers())
        operator = Pos(agent.port, agent.folder.operator_token())
        code = operator.request("POST", "/v1/console/codes", {}).body["code"]
        page = browser.new_page(viewport={"width": 1024, "height": 768})
        till = Till(agent, hand, page, how)
        page.on("console", lambda said: till.printed.append(said.text))
        page.on("request", lambda asked: till.called.append(asked.url))
        page.add_init_script(COUNT_TONES)
        page.goto(f"http://127.0.0.1:{agent.port}/#code={code}")
        if how is How.KEYBOARD:
            till.walk_to("English")
        yield till
        page.close()


@pytest.fixture
def till(tmp_path: Path, centre: CentreProcess, chromium: Browser) -> Iterator[Till]:
    """A hospital's in the reference region."""
    with opened(tmp_path, centre, chromium) as found:
        yield found


def prompts(how: How, profile: RegionProfile | None = None) -> dict[str, str]:
    """The instruction of every moment, in this clerk's language."""
    ours = {key: words[how.language] for key, words in texts("prompts")().items()}
    spoken = ("zh-CN", "en")[how.place]
    wording = profile.wording if profile else {}
    return ours | {key: words[spoken] for key, words in wording.items()}


def bare(line: str, how: How) -> list[str]:
    """A step as the page lists it: alternatives parted by a word, numbers by the list."""
    before, parted, after = line.rpartition(OR_ELSE[how.place])
    assert not before
    return [*([parted.strip()] if parted else []), re.sub(r"^\d+\. ", "", after)]

"""What goes wrong at a counter while a sale is under way: the page is loaded again, a card is
pulled or is another one, the agent dies and comes back. At every step the clerk reads the
truth, as the journal and the centre's book have it, and finishes the sale from there.

One sale goes through every step, with the same misfortune at each. KAQI_FLOWS=all gives each
step a sale of its own, in both languages.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from simulator.people import PEOPLE
from simulator.reader import READER_NAMES
from tests.browser.lasting import LastingTill
from tests.centre import CentreProcess
from tests.waiting import WAIT_SECONDS, wait_until

FIRST, SECOND = READER_NAMES
PATIENCE = WAIT_SECONDS * 1000
EVERY = os.environ.get("KAQI_FLOWS") == "all"
ZH, EN = "zh-CN", "en"

# Each moment of a sale, in its order, and what the clerk reads.
MOMENTS = {
    "choice": ("办理什么业务？", "What is to be done?"),
    "old card": (
        "请插入旧医保卡（磁条卡请刷卡）",
        "Insert the old medical insurance card, or swipe it",
    ),
    "reading the old card": ("正在读卡，请勿取出", "Reading the card, leave it in"),
    "new card": ("请插入社会保障卡", "Insert the social security card"),
    "reading the new card": ("正在读卡，请勿取出", "Reading the card, leave it in"),
    "matching": (
        "正在核对两张卡是否为同一人",
        "Checking that both cards belong to one person",
    ),
    "checking": (
        "正在向医保中心查询卡状态",
        "Asking the insurance centre about the card",
    ),
    "confirmation": (
        "请核对持卡人并确认：启用后旧医保卡作废",
        "Check the holder and confirm: the old medical card becomes void",
    ),
    "committing": ("正在启用，请稍候", "Activating, please wait"),
    "in doubt": (
        "已受理，正在确认结果；请取出卡片，持卡人可以离开",
        "Accepted, being completed: take the cards, the holder may go",
    ),
    "success": ("启用成功，请取出卡片", "Activated: take the cards"),
}
UNSENT = tuple(MOMENTS)[1:8]
WORDS = {
    "pharmacy": ("药店购药，首次使用新卡", "Pharmacy: first use of the new card"),
    "confirm": ("确认启用", "Confirm: activate"),
    "next": ("下一位", "Next"),
    "silent": ("卡启没有响应", "kaqi does not answer"),
    "begin again": (
        "没有办成：请取出卡片，重新开始",
        "Not carried out: take the cards and begin again",
    ),
    "nothing": ("什么都没有启用", "nothing was activated"),
    "pulled": (
        "卡片还没读完就被拔出了。",
        "The card was taken out before it was read.",
    ),
    "another": (
        "这不是本处能使用的卡。",
        "This is not a card that can be used here.",
    ),
    **MOMENTS,
}


@dataclass
class Visit:
    """Somebody whose old card only the centre can match, at a till that dies and lives."""

    till: LastingTill
    centre: CentreProcess
    page: Page
    language: str

    def said(self, what: str) -> str:
        """The words, in the clerk's language."""
        return WORDS[what][self.language == EN]

    def reads(self, what: str) -> None:
        """The clerk sees this as the one large instruction."""
        heading = self.page.get_by_role("heading", level=1)
        expect(heading).to_have_text(self.said(what), timeout=PATIENCE)

    def sees(self, what: str) -> None:
        """And this on the page."""
        shown = self.page.locator("body")
        expect(shown).to_contain_text(self.said(what), timeout=PATIENCE)

    def press(self, what: str) -> None:
        """A button, by what stands on it."""
        self.page.get_by_role("button", name=self.said(what), exact=True).click()

    def go_on_to(self, moment: str) -> None:
        """From the moment before."""
        if moment in MOVES:
            MOVES[moment](self)
        self.reads(moment)

    def go_to(self, moment: str) -> None:
        """From the choice on."""
        for each in [*MOMENTS][: [*MOMENTS].index(moment) + 1]:
            if each != "in doubt" or moment == "in doubt":
                self.go_on_to(each)

    def take_cards_and_next(self) -> None:
        """What the page says."""
        self.till.clear()
        self.press("next")
        self.reads("choice")

    def swap(self, reader: str, card: str) -> None:
        """Whatever lies there is taken out, and this is put in."""
        self.till.remove(reader)
        self.till.insert(card, reader)

    def confirm_for(self, person: str) -> None:
        """A sale without misfortune, until the operator has said yes."""
        self.press("pharmacy")
        self.reads("old card")
        self.till.insert(f"{person}.medical", FIRST)
        self.reads("new card")
        self.till.insert(f"{person}.social_security", SECOND)
        self.reads("confirmation")
        self.press("confirm")

    def wait_for_effects(self, number: int) -> None:
        """The centre has done so many, whoever knows it."""
        wait_until(lambda: self.till.effects == number)

    @property
    def trouble(self) -> Locator:
        """Where it is said that something is wrong."""
        return self.page.locator(".trouble")


def _asked_to_match(visit: Visit) -> None:
    visit.centre.misbehave("slow", "match", seconds=600, times=1)
    before = visit.centre.received.get("match", 0)
    visit.till.let_go()
    wait_until(lambda: visit.centre.received.get("match", 0) > before)


def _asked_how_it_stands(visit: Visit) -> None:
    visit.till.hold("status/before")
    visit.centre.let_go()


def _read(visit: Visit, card: str, reader: str) -> None:
    visit.till.hold("card.read/before")
    visit.till.insert(f"zhu.{card}", reader)


def _sent(visit: Visit) -> None:
    visit.till.hold("send/before")
    visit.press("confirm")


def _answer_lost(visit: Visit) -> None:
    visit.centre.misbehave("lose_answer", "activations", times=1)
    visit.till.hold("ask/before")


MOVES: dict[str, Callable[[Visit], None]] = {
    "old card": lambda visit: visit.press("pharmacy"),
    "reading the old card": lambda visit: _read(visit, "medical", FIRST),
    "new card": lambda visit: visit.till.let_go(),
    "reading the new card": lambda visit: _read(visit, "social_security", SECOND),
    "matching": _asked_to_match,
    "checking": _asked_how_it_stands,
    "confirmation": lambda visit: visit.till.let_go(),
    "committing": _sent,
    "in doubt": _answer_lost,
    "success": lambda visit: visit.till.let_go(),
}


@pytest.fixture
def visit(
    tmp_path: Path,
    centre: CentreProcess,
    chromium: Browser,
    request: pytest.FixtureRequest,
) -> Iterator[Visit]:
    page = chromium.new_page(viewport={"width": 1024, "height": 768})
    with LastingTill(tmp_path / "till", centre) as till:
        visit = Visit(till, centre, page, getattr(request, "param", ZH))
        till.open(page)
        if visit.language == EN:
            page.get_by_role("button", name="English").click()
        visit.reads("choice")
        yield visit
        page.close()


def in_language(usual: str) -> pytest.MarkDecorator:
    """The language of a test; in the long run both."""
    wanted = [ZH, EN] if EVERY else [usual]
    return pytest.mark.parametrize("visit", wanted, indirect=True)


def by_turns(*turns: tuple[str, ...]) -> pytest.MarkDecorator:
    """Moments that share a sale; in the long run each has its own."""
    alone = [(each,) for turn in turns for each in turn]
    wanted = alone if EVERY else [*turns]
    return pytest.mark.parametrize("moments", wanted, ids=" + ".join)


@in_language(EN)
def test_a_page_that_is_loaded_again_shows_where_it_stood(visit: Visit) -> None:
    for moment in MOMENTS:
        visit.go_on_to(moment)

        visit.page.reload()

        visit.reads(moment)
        expect(visit.trouble).to_be_hidden(timeout=PATIENCE)
    assert (visit.till.records, visit.till.effects) == (["ACTIVE"], 1)
    visit.take_cards_and_next()


READING = {"reading the old card": FIRST, "reading the new card": SECOND}
UNREAD = {"old card": FIRST, "new card": SECOND, **READING}
READ = {*MOMENTS} - {"choice", *UNREAD}  # both were: nobody looks there any more


@in_language(ZH)
def test_a_card_that_is_pulled_or_swapped_never_confuses_the_page(visit: Visit) -> None:
    for moment in MOMENTS:
        visit.go_on_to(moment)
        if moment in READING:
            visit.till.remove(READING[moment])
            visit.till.let_go()
            visit.sees("pulled")
            visit.go_on_to(moment)
        if moment in UNREAD:
            visit.swap(UNREAD[moment], "other.bank_card")
            visit.till.let_go()
            visit.sees("another")
            visit.till.remove(UNREAD[moment])
        if moment in READING:
            visit.go_on_to(moment)
        if moment in READ:
            visit.till.remove(SECOND)
            visit.reads(moment)
            visit.swap(SECOND, "lin.social_security")
        visit.reads(moment)

    (effect,) = visit.centre.effects
    zhu = PEOPLE["zhu"].social_security.identification_code
    assert effect["identification_code"] == zhu
    assert visit.till.records == ["ACTIVE"]
    visit.take_cards_and_next()


@in_language(ZH)
@by_turns(UNSENT[:4], UNSENT[4:])
def test_what_died_unsent_is_begun_again(
    visit: Visit, moments: tuple[str, ...]
) -> None:
    for moment in moments:
        visit.go_to(moment)

        visit.till.kill()
        visit.sees("silent")
        visit.reads(moment)  # what was known stays, until more is known
        visit.centre.let_go()
        visit.till.let_go()
        visit.till.start()

        visit.reads("begin again")
        visit.sees("nothing")
        expect(visit.trouble).to_be_hidden(timeout=PATIENCE)
        visit.take_cards_and_next()
    assert visit.till.records == ["ABANDONED"] * len(moments)
    assert visit.till.effects == 0
    visit.confirm_for("zhu")
    visit.reads("success")
    assert visit.till.effects == 1


# Where the agent dies once the message may have left, and whose card it is.
SENT = {
    "before the message left": ("send/before", "lin"),
    "with the answer in hand": ("send/after", "he"),
    "in doubt": ("ask/before", "abu"),
    "after the success": ("", "jie"),
}


AFTER_CONFIRMING = {
    "send/before": "committing",
    "send/after": "committing",
    "ask/before": "in doubt",
    "": "success",
}


@in_language(ZH)
@by_turns(tuple(SENT))
def test_what_died_once_sent_is_found_out_by_itself(
    visit: Visit, moments: tuple[str, ...]
) -> None:
    for number, moment in enumerate(moments, start=1):
        held, person = SENT[moment]
        if held == "ask/before":
            visit.centre.misbehave("lose_answer", "activations", times=1)
        visit.till.hold(held)
        visit.confirm_for(person)
        visit.reads(AFTER_CONFIRMING[held])
        if held != "send/before":
            visit.wait_for_effects(number)

        visit.till.killed_and_started()

        visit.reads("success")
        expect(visit.trouble).to_be_hidden(timeout=PATIENCE)
        expect(visit.page.locator("pre.receipt")).to_be_visible()
        assert visit.till.effects == number
        visit.take_cards_and_next()
    assert visit.till.records == ["ACTIVE"] * len(moments)


@in_language(EN)
def test_what_is_pressed_while_the_agent_is_down_is_done_once_or_never(
    visit: Visit,
) -> None:
    visit.till.kill()
    visit.press("pharmacy")
    visit.sees("silent")
    visit.press("pharmacy")
    visit.till.start()
    expect(visit.trouble).to_be_hidden(timeout=PATIENCE)
    visit.page.reload()
    visit.reads("choice")  # and is still signed in
    before = visit.till.records

    visit.go_to("confirmation")
    visit.till.kill()
    visit.press("confirm")
    visit.sees("silent")
    visit.press("confirm")
    visit.till.start()

    visit.reads("begin again")
    assert before == []
    assert (visit.till.records, visit.till.effects) == (["ABANDONED"], 0)
    visit.take_cards_and_next()
    visit.confirm_for("zhu")
    visit.reads("success")
    assert (visit.till.records, visit.till.effects) == (["ABANDONED", "ACTIVE"], 1)

"""The desk: the counter beside a table with the cast's cards, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser, Locator, expect

from plugin.activation.region import NewPin
from plugin.client import Transaction
from plugin.profile_file import load_profile
from simulator.keypad import Keypad
from simulator.reader import InProcessDesk
from tests.agents import HOSPITAL, Pos, Running, running
from tests.browser.counter import FIRST, SECOND, SECONDS, Till
from tests.centre import CentreProcess
from tests.waiting import wait_until

OLD, NEW = "林试一 旧医保卡", "林试一 社会保障卡"
PHARMACY = "药店购药，首次使用新卡"
SIZES = ((1024, 768), (768, 1024), (512, 384))
TOO_WIDE = """() => [...document.querySelectorAll("html, .desk, .desk *")]
  .filter((each) => each.checkVisibility() && each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 0)
  .map((each) => `${each.tagName}.${each.className} ${each.scrollWidth} ${each.clientWidth}`)"""
COUNT_CHANGES = """() => {
  window.changes = 0;
  const options = { subtree: true, childList: true, attributes: true, characterData: true };
  const count = (seen) => (window.changes += seen.length);
  new MutationObserver(count).observe(document.querySelector(".bench"), options);
}"""


@dataclass
class Desk:
    """A till whose desk is on the screen."""

    till: Till

    def card(self, label: str) -> Locator:
        """A card of the table, by what stands on it."""
        table = self.till.page.get_by_role("toolbar")
        return table.get_by_role("button", name=label)

    def reader(self, name: str = FIRST) -> Locator:
        return self.till.page.get_by_role("group", name=name)

    def press(self, name: str, reader: str = FIRST) -> None:
        """A button of a reader."""
        self.reader(reader).get_by_role("button", name=name, exact=True).click()

    def put(self, label: str, reader: str = FIRST) -> None:
        """Choose a card, then the reader."""
        self.card(label).click()
        self.press("插入", reader)

    def says(self, text: str) -> None:
        """What was done is announced."""
        told = self.till.page.locator(".bench").get_by_role("status")
        expect(told).to_have_text(text, timeout=SECONDS)

    def wrong(self, text: str) -> None:
        """What the clerk reads about the card."""
        wrong = self.till.page.locator(".counter .wrong")
        expect(wrong).to_contain_text(text, timeout=SECONDS)

    def centre(self) -> Locator:
        return self.till.page.locator(".centre select")

    def api(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """What a POS vendor's program does meanwhile."""
        answer = self.till.agent.pos.request(method, path, body)
        assert answer.status < 300, answer.body
        return answer.body

    def look(self, times: int = 1) -> None:
        """Wait until the page has looked so often."""
        for _ in range(times):
            with self.till.page.expect_response(re.compile(r"/v1/simulate/cast$")):
                pass


@pytest.fixture(scope="module")
def agent(
    tmp_path_factory: pytest.TempPathFactory, session_centre: CentreProcess
) -> Iterator[tuple[Running, InProcessDesk]]:
    """One for all: every test begins with everything reset."""
    hand, folder = InProcessDesk(), tmp_path_factory.mktemp("desk")
    directories = {"inprocess": hand}
    with running(
        folder, session_centre.address, directories, hand, institution=HOSPITAL
    ) as started:
        started.reader_ids(hand.readers())
        yield started, hand


@pytest.fixture
def desk(agent: tuple[Running, InProcessDesk], chromium: Browser) -> Iterator[Desk]:
    running_agent, hand = agent
    pos = running_agent.pos
    for each in map(
        Transaction, pos.request("GET", "/v1/transactions").body["transactions"]
    ):
        if "cancel" in each.allowed_actions:
            pos.kaqi.cancel(each)
    pos.request("POST", "/v1/simulate/reset", {})
    wait_until(lambda: all_empty(pos))
    with opened(running_agent, hand, chromium) as shown:
        yield shown


@contextmanager
def opened(agent: Running, hand: InProcessDesk, chromium: Browser) -> Iterator[Desk]:
    """The desk of this agent, on a screen."""
    operator = Pos(agent.port, agent.folder.operator_token())
    code = operator.request("POST", "/v1/console/codes", {}).body["code"]
    page = chromium.new_page(viewport={"width": 1024, "height": 768})
    till = Till(agent, hand, page)
    page.goto(f"http://127.0.0.1:{agent.port}/#code={code}&screen=desk")
    shown = Desk(till)
    expect(shown.card(OLD)).to_be_visible(timeout=SECONDS)
    yield shown
    assert page.url.endswith("#desk")
    page.close()


def all_empty(pos: Pos) -> bool:
    slots = {each["slot"] for each in pos.kaqi.readers() if each["role"] == "patient"}
    return slots == {"empty"}


def test_a_sale_is_made_by_mouse_with_counter_and_table_in_sight(desk: Desk) -> None:
    page = desk.till.page
    desk.till.press(PHARMACY)
    desk.till.reads("请插入旧医保卡（磁条卡请刷卡）")

    desk.card(OLD).drag_to(desk.reader(FIRST))
    desk.till.reads("请插入社会保障卡")
    for seen in (page.locator(".instruction"), desk.reader(FIRST), desk.reader(SECOND)):
        expect(seen).to_be_in_viewport(ratio=1)
    expect(desk.card(NEW)).to_be_in_viewport(ratio=1)
    desk.says(f"{OLD} 已插入 {FIRST}。")
    desk.card(NEW).drag_to(desk.reader(SECOND))
    desk.till.press("确认启用")

    desk.till.reads("启用成功，请取出卡片")
    expect(page.locator(".instruction")).to_be_in_viewport(ratio=1)
    expect(desk.reader(SECOND)).to_contain_text(NEW)
    expect(page.get_by_role("heading", level=1)).to_have_count(1)


def test_a_sale_is_made_with_keys_alone_and_the_focus_stays_with_the_hand(
    desk: Desk,
) -> None:
    page, keys = desk.till.page, desk.till.page.keyboard
    desk.till.walk_to("English")
    desk.till.walk_to("Pharmacy: first use of the new card")
    old = desk.card("Lin, old medical card")
    main = desk.reader().get_by_role("button").first

    tabs = 0
    while not old.evaluate("each => each === document.activeElement"):
        keys.press("Tab")
        tabs += 1
        assert tabs < 20, "the keyboard does not reach the cards"
    keys.press("ArrowRight")
    expect(desk.card("Lin, social security card")).to_be_focused()
    keys.press("ArrowLeft")
    keys.press("Enter")
    desk.says("In your hand: Lin, old medical card")
    expect(main).to_be_focused()
    keys.press("Escape")
    expect(old).to_be_focused()
    keys.press("Enter")
    keys.press("Enter")

    desk.says(f"Lin, old medical card: put into {FIRST}.")
    desk.till.reads("Insert the social security card")
    expect(main).to_be_focused()
    expect(main).to_have_text("Take out")
    keys.press("Enter")
    desk.says(f"{FIRST}: card taken out.")
    expect(main).to_be_focused()
    expect(main).to_have_text("Insert")
    keys.press("Enter")
    desk.says("Choose a card first.")
    assert page.evaluate("document.activeElement.closest('.counter')") is None


def test_a_card_is_swapped_pulled_and_put_back_by_dragging(desk: Desk) -> None:
    desk.put(OLD)
    expect(desk.reader()).to_contain_text(OLD, timeout=SECONDS)
    expect(desk.card(OLD)).to_contain_text(f"在 {FIRST}")

    desk.card(NEW).click()
    desk.press("换成手里的卡")
    expect(desk.reader()).to_contain_text(NEW, timeout=SECONDS)
    expect(desk.card(OLD)).not_to_contain_text("在 ")
    desk.reader().get_by_text(NEW).drag_to(desk.reader(SECOND))
    expect(desk.reader(SECOND)).to_contain_text(NEW, timeout=SECONDS)
    expect(desk.reader()).to_contain_text("没有卡")
    desk.reader(SECOND).get_by_text(NEW).drag_to(desk.card("贺试二 旧医保卡"))

    desk.says(f"{SECOND} 的卡已取出。")
    expect(desk.reader(SECOND)).to_contain_text("没有卡")


def test_mishaps_are_arranged_shown_after_a_reload_and_happen(desk: Desk) -> None:
    desk.till.press("门诊挂号")
    desk.reader().get_by_text("出点意外").click()
    desk.reader().get_by_label("在第几条 APDU").fill("5")
    desk.reader().get_by_label("发生什么").select_option("指令已执行，应答前拔卡")
    desk.press("就这样安排")
    desk.says(f"{FIRST} 已安排意外，从现在起数指令。")
    arranged = "已安排：第 5 条指令，指令已执行，应答前拔卡"
    expect(desk.reader()).to_contain_text(arranged)

    desk.till.page.reload()
    expect(desk.reader()).to_contain_text(arranged, timeout=SECONDS)
    desk.put(NEW)
    desk.wrong("卡片还没读完就被拔出了")
    expect(desk.reader()).to_contain_text("没有卡", timeout=SECONDS)
    expect(desk.reader()).not_to_contain_text("已安排")

    desk.card(NEW).click()
    desk.reader().get_by_text("出点意外").click()
    desk.press("反着插入手里的卡")
    expect(desk.reader()).to_contain_text(f"{NEW}: 卡没有应答", timeout=SECONDS)
    desk.wrong("卡片没有应答")


def test_a_reader_is_unplugged_and_plugged_in(desk: Desk) -> None:
    desk.put(NEW)
    desk.reader().get_by_text("出点意外").click()

    desk.press("拔下读卡器")
    desk.says(f"{FIRST} 已拔下。")
    expect(desk.reader()).to_contain_text("读卡器已拔下", timeout=SECONDS)
    expect(desk.card(NEW)).not_to_contain_text("在 ")
    desk.press("插上读卡器")

    desk.says(f"{FIRST} 已插上。")
    expect(desk.reader()).to_contain_text("没有卡", timeout=SECONDS)


def test_the_centre_is_shown_as_it_is_whoever_told_it(desk: Desk) -> None:
    expect(desk.centre()).to_have_value("centre_normal")

    desk.centre().select_option("拒绝启用")
    desk.says("医保中心：拒绝启用")
    desk.till.page.reload()
    expect(desk.centre()).to_have_value("centre_refuses", timeout=SECONDS)
    desk.till.press("门诊挂号")
    desk.put(NEW)
    desk.wrong("中心原话：卡状态不允许启用（3104）")
    desk.api("POST", "/v1/simulate/centre", {"faults": [{"fault": "stale"}]})
    expect(desk.centre()).to_have_value("", timeout=SECONDS)
    expect(desk.centre().locator("option:checked")).to_have_text("由程序另行设定")
    desk.press("取出")
    desk.till.press("下一位")
    desk.centre().select_option("丢失下一个答复")
    desk.till.press("门诊挂号")
    desk.put(NEW)

    desk.till.reads("启用成功，请取出卡片")
    expect(desk.centre()).to_have_value("centre_normal", timeout=SECONDS)
    assert len(desk.api("GET", "/v1/simulate/centre")["activations"]) == 1


def test_everything_is_reset_whatever_goes_on(desk: Desk) -> None:
    desk.till.press(PHARMACY)
    desk.put(OLD)
    desk.till.reads("请插入社会保障卡")
    desk.api("POST", "/v1/simulate/centre", {"faults": [{"fault": "silence"}]})

    desk.till.press("全部恢复")

    desk.says("已全部恢复：读卡器空着，中心回到第一天；卡启的记录还在。")
    heading = desk.till.page.get_by_role("heading", level=1)
    expect(heading).to_have_text("办理什么业务？")
    expect(desk.reader()).to_contain_text("没有卡", timeout=SECONDS)
    expect(desk.centre()).to_have_value("centre_normal", timeout=SECONDS)
    assert (
        desk.api("GET", "/v1/transactions")["transactions"][0]["state"] == "cancelled"
    )


def test_what_a_pos_begins_is_watched(desk: Desk) -> None:
    pos = desk.till.agent.pos
    desk.look()

    first = pos.kaqi.start("pharmacy", pos_ref="till-1")
    desk.till.reads("请插入旧医保卡（磁条卡请刷卡）")
    desk.till.hand.insert("lin.medical", FIRST)
    desk.till.reads("请插入社会保障卡")
    desk.till.hand.remove(FIRST)
    pos.kaqi.cancel(first)
    desk.till.reads("已取消，请取出卡片")
    pos.kaqi.start("outpatient_registration")

    desk.till.reads("请插入社会保障卡")
    desk.till.hand.insert("he.social_security", FIRST)
    desk.till.reads("启用成功，请取出卡片")
    desk.till.press("下一位")
    desk.look(2)
    heading = desk.till.page.get_by_role("heading", level=1)
    expect(heading).to_have_text("办理什么业务？")


def test_a_holder_types_on_the_reader_s_own_keypad(
    tmp_path: Path, centre: CentreProcess, chromium: Browser
) -> None:
    hand, profile = InProcessDesk(keypads={FIRST: Keypad()}), load_profile("reference")
    pin = replace(profile.pin, new=NewPin.KEEP, initial=())
    with (
        running(
            tmp_path,
            centre.address,
            {"inprocess": hand},
            hand,
            profile=replace(profile, pin=pin),
        ) as with_keypad,
        opened(with_keypad, hand, chromium) as desk,
    ):
        desk.till.press("门诊挂号")
        desk.put(NEW)
        expect(desk.reader()).to_contain_text("读卡器没有在等密码")
        desk.till.press("开始在读卡器上输入")
        expect(desk.reader()).to_contain_text(
            "读卡器在等持卡人输入密码", timeout=SECONDS
        )
        desk.reader().get_by_label("读卡器键盘").fill("123456")
        desk.press("确定")

        desk.till.reads("启用成功，请取出卡片")
        expect(desk.reader().get_by_label("读卡器键盘")).to_have_value("")
        expect(desk.reader(SECOND).get_by_label("读卡器键盘")).to_have_count(0)


def test_nothing_flickers_while_it_looks_and_the_hand_is_not_moved(desk: Desk) -> None:
    desk.card(NEW).focus()
    desk.look()
    desk.till.page.evaluate(COUNT_CHANGES)

    desk.look(2)
    unchanged = desk.till.page.evaluate("window.changes")
    desk.till.agent.pos.kaqi.start("pharmacy")
    desk.till.reads("请插入旧医保卡（磁条卡请刷卡）")

    assert unchanged == 0
    expect(desk.card(NEW)).to_be_focused()


def test_the_banner_is_never_out_of_sight(desk: Desk) -> None:
    page = desk.till.page
    banner = page.locator(".banner")

    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for screen in ("今日", "读卡器", "设置", "办理", "模拟台"):
            page.get_by_role("navigation").get_by_role("button", name=screen).click()
            expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=SECONDS)
            page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
            expect(banner).to_be_in_viewport(ratio=1)
            expect(banner).to_have_text("模拟运行：这里的一切都不是真的")
            covered = "each => document.elementFromPoint(innerWidth / 2, 10) !== each"
            assert not banner.evaluate(covered), (screen, width)


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_nothing_on_the_desk_is_cut_off_at_the_side(desk: Desk, language: str) -> None:
    page = desk.till.page
    if language == "en":
        desk.till.press("English")
    page.locator(".castcard").first.click()
    desk.reader().get_by_role("button").first.click()
    expect(page.locator(".castcard.away")).to_have_count(1, timeout=SECONDS)
    page.locator("summary").first.click()

    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate(TOO_WIDE) == [], width

"""Readers and their health: what the clerk sees of them, and what support is sent."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from simulator.reader import READER_NAMES, InProcessDesk
from simulator.scenario import MuteCard
from tests.agents import Running, running
from tests.browser.console_page import SECONDS, console, walk_to
from tests.browser.till_page import vendor_site
from tests.centre import CentreProcess

FIRST, SECOND = READER_NAMES


@pytest.fixture
def hand() -> InProcessDesk:
    return InProcessDesk()


@pytest.fixture
def till(
    tmp_path: Path, centre: CentreProcess, hand: InProcessDesk
) -> Iterator[Running]:
    with running(tmp_path, centre.address, {"inprocess": hand}, hand) as agent:
        agent.reader_ids(hand.readers())
        yield agent


def reader(page: Page, name: str) -> Locator:
    return page.get_by_role("listitem", name=name, exact=True)


def test_a_reader_says_what_is_in_it_and_what_a_test_read_brings(
    till: Running, hand: InProcessDesk, chromium: Browser
) -> None:
    with console(till, chromium, "readers") as page:
        first, second = reader(page, FIRST), reader(page, SECOND)
        expect(first).to_contain_text("没有卡", timeout=SECONDS)
        first.get_by_role("button").click()
        expect(first).to_contain_text("先插一张卡再试读", timeout=SECONDS)
        hand.insert("lin.social_security", FIRST)
        expect(first).to_contain_text("有卡", timeout=SECONDS)
        expect(first).not_to_contain_text("再试读")  # that was said of an empty slot
        first.get_by_role("button").click()
        expect(first).to_contain_text(
            "试读正常：社会保障卡（2.00 版）", timeout=SECONDS
        )
        expect(first).to_contain_text("有卡：社会保障卡", timeout=SECONDS)
        hand.insert_card(MuteCard(), SECOND)
        expect(second).to_contain_text("卡没有应答", timeout=SECONDS)
        second.get_by_role("button").click()
        expect(second).to_contain_text("试读没有成功", timeout=SECONDS)
        expect(second.locator(".wrong li").first).to_be_visible(timeout=SECONDS)
        expect(second).to_contain_text("起：")
        hand.remove(FIRST)
        expect(first).not_to_contain_text("试读正常", timeout=SECONDS)
        content = page.content()

    assert "林试一" not in content


def test_a_reader_that_is_unplugged_stays_named_until_it_is_back(
    till: Running, hand: InProcessDesk, chromium: Browser
) -> None:
    with console(till, chromium, "readers", "en") as page:
        walk_to(page, f"Test read: {SECOND}")
        hand.unplug(FIRST)
        expect(reader(page, FIRST)).to_contain_text("unplugged", timeout=SECONDS)
        expect(reader(page, FIRST)).to_contain_text("Plug it in again")
        expect(page.get_by_role("button", name=f"Test read: {SECOND}")).to_be_focused()
        hand.insert("lin.medical", SECOND)
        expect(reader(page, SECOND)).to_contain_text("card in", timeout=SECONDS)
        expect(page.get_by_role("button", name=f"Test read: {SECOND}")).to_be_focused()
        page.keyboard.press("Enter")
        expect(reader(page, SECOND)).to_contain_text(
            "old medical card (with a processor)", timeout=SECONDS
        )
        hand.plug(FIRST)
        expect(reader(page, FIRST)).not_to_contain_text("unplugged", timeout=SECONDS)


def test_the_doctor_puts_first_what_is_wrong(
    till: Running, hand: InProcessDesk, chromium: Browser
) -> None:
    for name in (FIRST, SECOND):
        hand.unplug(name)
    with console(till, chromium, "readers") as page:
        passed = page.locator("summary")
        wrong = page.locator(".panel > ul > li", has_text="插卡的读卡器")
        expect(wrong).to_contain_text("有问题", timeout=SECONDS)
        expect(wrong.locator("li").first).to_contain_text("读卡器")
        expect(page.get_by_text("启用记录的日志库")).to_be_hidden()
        passed.click()
        expect(page.get_by_text("启用记录的日志库")).to_be_visible()
        before = passed.inner_text()
        hand.plug(FIRST)
        expect(page.get_by_text("没有发现问题。")).to_be_visible(timeout=SECONDS)
        expect(wrong).to_have_count(0)
        expect(page.get_by_text("启用记录的日志库")).to_be_visible()  # open still
        after = passed.inner_text()

    assert re.fullmatch(r"\d+ 项检查正常", before)
    assert int(after.split()[0]) == int(before.split()[0]) + 1


def test_the_support_bundle_is_saved(till: Running, chromium: Browser) -> None:
    with console(till, chromium, "readers") as page:
        expect(page.get_by_text("不含姓名、证件号")).to_be_visible(timeout=SECONDS)
        with page.expect_download() as saved:
            page.get_by_role("button", name="保存支持包").click()
        expect(page.get_by_text("已保存为 kaqi-support.zip。")).to_be_visible()
        name, content = saved.value.suggested_filename, saved.value.path().read_bytes()

    assert name == "kaqi-support.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as bundle:
        assert bundle.testzip() is None
        assert "diagnostics.json" in bundle.namelist()
        assert str(till.folder.path).encode() not in bundle.read("diagnostics.json")


def test_a_list_keeps_its_elements_and_the_focus(
    tmp_path: Path, chromium: Browser
) -> None:
    script = """async () => {
      const {Kept, h} = await import("/dom.js");
      const list = h("ul");
      document.body.append(list);
      const kept = new Kept(list, (value) =>
        h("li", {}, h("button", {}, value), h("button", {}, "second")));
      const at = (place) => list.children[place];
      const names = () => [...list.children].map((each) => each.firstChild.textContent).join("");
      kept.show([["a", "A"], ["b", "B"], ["c", "C"]]);
      const [a, b] = [at(0), at(1)];
      b.lastChild.focus();
      kept.show([["a", "A"], ["b", "B2"], ["c", "C"]]);
      const renewed = at(1) !== b && at(0) === a && document.activeElement === at(1).lastChild;
      kept.show([["c", "C"], ["d", "D"], ["b", "B2"]]);
      const moved = names() === "CDB2" && document.activeElement === at(2).lastChild;
      kept.show([]);
      return [renewed, moved, list.children.length];
    }"""
    with vendor_site(tmp_path) as port:
        page = chromium.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        found = page.evaluate(script)
        page.close()

    assert found == [True, True, 0]

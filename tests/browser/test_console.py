"""The operator's console in a real browser: what the clerk reads and does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.counter import FIRST, SECOND, SECONDS, Till

CONSOLE = Path(__file__).parents[2] / "console"


def test_a_pharmacy_sale_by_mouse_in_chinese(till: Till) -> None:
    till.press("药店购药，首次使用新卡")
    till.reads("请插入旧医保卡（磁条卡请刷卡）")
    assert "●" in till.page.title()
    till.hand.insert("lin.medical", FIRST)
    till.reads("请插入社会保障卡")
    till.hand.insert("lin.social_security", SECOND)
    till.reads("请核对持卡人并确认：启用后旧医保卡作废")
    expect(till.page.locator("main")).to_contain_text("999901********1017")
    till.press("确认启用")
    till.reads("启用成功，请取出卡片")

    expect(till.page.locator(".instruction")).to_be_in_viewport(ratio=1)
    shown = till.page.locator("pre.receipt").inner_text()
    assert "社会保障卡启用凭条" in shown
    assert "林试一" not in till.page.content()
    till.press("下一位")
    expect(till.page.get_by_role("heading", level=1)).to_have_text("办理什么业务？")


def test_a_registration_by_keyboard_in_english(till: Till) -> None:
    expect(till.page.get_by_role("heading", level=1)).to_be_visible(timeout=SECONDS)
    till.walk_to("English")
    till.walk_to("Outpatient registration")
    till.reads("Insert the social security card")
    till.hand.insert("he.social_security", FIRST)
    till.reads("Activated: take the cards")

    till.walk_to("Next")
    expect(till.page.get_by_role("heading", level=1)).to_have_text(
        "What is to be done?"
    )


def test_a_refusal_says_the_way_back(till: Till) -> None:
    till.press("门诊挂号")
    till.reads("请插入社会保障卡")
    till.hand.insert("luo.social_security", FIRST)
    till.reads("不能启用，请取出卡片")

    expect(till.page.locator("ol.way li").first).to_be_visible()
    expect(till.page.get_by_role("button", name="打印给持卡人")).to_be_visible()


def test_a_page_that_is_loaded_anew_shows_where_it_stood(till: Till) -> None:
    till.press("药店购药，首次使用新卡")
    till.hand.insert("lin.medical", FIRST)
    till.reads("请插入社会保障卡")

    till.page.reload()

    till.reads("请插入社会保障卡")
    till.press("取消")
    till.reads("已取消，请取出卡片")
    (only,) = till.agent.pos.request("GET", "/v1/transactions").body["transactions"]
    assert only["state"] == "cancelled"


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_every_screen_opens(till: Till, language: str) -> None:
    names = {
        "zh-CN": ["办理", "今日", "读卡器", "设置", "模拟台"],
        "en": ["Counter", "Today", "Readers", "Settings", "Desk"],
    }
    expect(till.page.get_by_role("heading", level=1)).to_be_visible(timeout=SECONDS)
    if language == "en":
        till.press("English")

    for name in names[language]:
        till.page.get_by_role("navigation").get_by_role("button", name=name).click()
        expect(till.page.get_by_role("heading", level=1)).to_be_visible(timeout=SECONDS)
        banner = {"zh-CN": "模拟运行", "en": "SIMULATION"}[language]
        expect(till.page.locator(".banner")).to_contain_text(banner)


def test_the_desk_puts_a_card_in_and_takes_it_out(till: Till) -> None:
    till.page.get_by_role("navigation").get_by_role("button", name="模拟台").click()
    till.page.get_by_role("button", name="林试一 社会保障卡").click()
    reader = till.page.get_by_role("group", name=FIRST)

    reader.get_by_role("button", name="插入", exact=True).click()
    expect(reader).to_contain_text("有卡", timeout=SECONDS)
    reader.get_by_role("button", name="取出").click()

    expect(reader).to_contain_text("没有卡", timeout=SECONDS)


def test_without_a_code_the_page_says_how_to_come_in(
    till: Till, chromium: Browser
) -> None:
    page = chromium.new_page()
    page.goto(f"http://127.0.0.1:{till.agent.port}/")

    expect(page.locator("main")).to_contain_text("kaqi console", timeout=SECONDS)
    page.close()


def test_every_word_is_used_and_every_used_word_is_there() -> None:
    words = (CONSOLE / "words.js").read_text(encoding="utf-8")
    known = set(re.findall(r"^  (\w+): \[", words, re.MULTILINE))
    source = "".join(
        file.read_text(encoding="utf-8")
        for file in CONSOLE.glob("*.js")
        if file.name != "words.js"
    )
    said = set(re.findall(r'say\("(\w+)"', source))
    begins = tuple(re.findall(r"say\(`(\w+_)\$\{", source))
    quoted = set(re.findall(r'"(\w+)"', source)) | set(re.findall(r"(\w+):", source))

    assert said - known == set()
    assert [
        key for key in known if key not in quoted and not key.startswith(begins)
    ] == []
    assert len(
        re.findall(r'^  \w+: \["[^"]+", "[^"]+"\],$', words, re.MULTILINE)
    ) == len(known)

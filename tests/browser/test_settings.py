"""Who may call, and by whose rules: pairing, revoking, and the region in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from plugin.profile_file import load_profile
from simulator.reader import InProcessDesk
from tests.agents import Pos, Running, running
from tests.browser.console_page import SECONDS, console, walk_to
from tests.centre import CentreProcess

ORIGIN = "https://his.example"
WISH = {"client": "his", "scopes": ["read", "activate"], "version": "4.2"}


@pytest.fixture
def till(tmp_path: Path, centre: CentreProcess) -> Iterator[Running]:
    hand = InProcessDesk()
    with running(
        tmp_path,
        centre.address,
        {"inprocess": hand},
        hand,
        origins=frozenset({ORIGIN}),
    ) as agent:
        yield agent


def asks(till: Running, **wish: object) -> dict[str, Any]:
    """A program of another maker asks to be paired."""
    answer = till.pos.request(
        "POST", "/v1/pairings", {**WISH, **wish}, without=("Authorization",)
    )
    assert answer.status == 201, answer.body
    begun: dict[str, Any] = answer.body
    return begun


def seen_by(till: Running, begun: dict[str, Any]) -> dict[str, Any]:
    """What the program sees of it."""
    secret = {"Authorization": f"Bearer {begun['secret']}"}
    answer = till.pos.request("GET", f"/v1/pairings/{begun['id']}", headers=secret)
    found: dict[str, Any] = answer.body
    return found


def wrong(begun: dict[str, Any]) -> str:
    return f"{(int(begun['code']) + 1) % 10**6:06}"


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_a_program_is_let_in_by_its_code_and_shut_out_again(
    till: Running, chromium: Browser
) -> None:
    begun = asks(till)
    with console(till, chromium, "settings") as page:
        request = page.locator("[data-pairing]")
        expect(request).to_contain_text("his 4.2", timeout=SECONDS)
        expect(request).to_contain_text("这台电脑上的程序")
        expect(request).to_contain_text("办理启用")
        page.get_by_label("程序上显示的六位码").fill(wrong(begun))
        press(page, "允许")
        told = request.get_by_role("alert")
        expect(told).to_contain_text("配对码不对。", timeout=SECONDS)
        expect(told).to_contain_text("还可以试 4 次。")
        assert seen_by(till, begun)["state"] == "waiting"
        page.get_by_label("程序上显示的六位码").fill(begun["code"])
        press(page, "允许")
        expect(page.get_by_text("已允许 his。")).to_be_visible(timeout=SECONDS)
        expect(request).to_have_count(0)
        his = Pos(till.port, str(seen_by(till, begun)["token"]))
        assert his.request("GET", "/v1/agent").status == 200
        revoke = page.get_by_role("button", name="撤销: his", exact=True)
        revoke.click(timeout=SECONDS)
        dialog = page.get_by_role("dialog", name="撤销 his？")
        expect(dialog).to_contain_text("已经提交的启用不受影响")
        page.keyboard.press("Escape")
        assert his.request("GET", "/v1/agent").status == 200
        revoke.click()
        press(page, "确认撤销")
        expect(revoke).to_have_count(0, timeout=SECONDS)

    assert his.request("GET", "/v1/agent").code == "auth.token_invalid"


def test_a_request_is_denied_with_the_keyboard_alone(
    till: Running, chromium: Browser
) -> None:
    begun = asks(till)
    with console(till, chromium, "settings", "en") as page:
        expect(page.locator(".heard")).to_have_text("his asks to be paired")
        walk_to(page, "Deny")
        page.keyboard.press("Enter")
        expect(page.get_by_text("his is not let in.")).to_be_visible(timeout=SECONDS)

    assert seen_by(till, begun)["state"] == "denied"
    assert till.pos.request("GET", "/v1/agent").status == 200


def test_after_too_many_wrong_codes_the_request_is_void(
    till: Running, chromium: Browser
) -> None:
    earlier = till.folder.pair("his", ("read",), "")
    begun = asks(till)
    with console(till, chromium, "settings") as page:
        expect(page.get_by_text("原来的连接作废")).to_be_visible(timeout=SECONDS)
        code = page.get_by_label("程序上显示的六位码")
        for left in range(4, 0, -1):
            code.fill(wrong(begun))
            code.press("Enter")
            tries = page.get_by_text(f"还可以试 {left} 次。")
            expect(tries).to_be_visible(timeout=SECONDS)
        code.fill(wrong(begun))
        code.press("Enter")
        expect(page.get_by_text("his 的请求已作废")).to_be_visible(timeout=SECONDS)
        expect(page.get_by_text("没有程序在请求。")).to_be_visible()

    assert seen_by(till, begun)["state"] == "denied"
    assert Pos(till.port, earlier).request("GET", "/v1/agent").status == 200


def test_the_rules_of_the_region_are_read_in_words(
    till: Running, chromium: Browser
) -> None:
    profile = load_profile("reference")
    with console(till, chromium, "settings") as page:
        main = page.locator("main")
        expect(main).to_contain_text("reference@1", timeout=SECONDS)
        expect(main).to_contain_text(profile.name["zh-CN"])
        steps = page.locator("main details ol").first.locator(":scope > li")
        expect(steps.first).to_contain_text("持卡人插卡：“请插入旧医保卡")
        expect(steps.nth(1)).to_contain_text("只有一台读卡器时")
        expect(main).to_contain_text("（A 类）卡启自己向中心问清")
        expect(main).to_contain_text("自领卡之日起 180 天")
        expect(page.get_by_text(ORIGIN, exact=True)).to_be_visible(timeout=SECONDS)
        expect(main).to_contain_text(str(till.folder.logs))
        expect(main).to_contain_text("H9999 · 医院")
        page.get_by_role("button", name="English").click()
        expect(main).to_contain_text('The holder puts the card in: "', timeout=SECONDS)
        expect(main).to_contain_text("180 days from the day the card was handed over")

"""The page and its agent lose sight of one another, or see things twice: other tabs, late
answers, a laptop that slept, a session that ended, and a mistake of the page itself.
KAQI_FLOWS=all adds what is rarer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import APIResponse, Locator, Page, Route, expect

from tests.agents import Pos
from tests.browser.consoles import Watch
from tests.browser.counter import FIRST, SECOND, Till
from tests.centre import CentreProcess
from tests.waiting import WAIT_SECONDS, wait_until

rare = pytest.mark.skipif(
    os.environ.get("KAQI_FLOWS") != "all", reason="needs KAQI_FLOWS=all"
)
PATIENCE = WAIT_SECONDS * 1000
PHARMACY = "药店购药，首次使用新卡"
CHOICE = "办理什么业务？"
OLD, NEW = "请插入旧医保卡（磁条卡请刷卡）", "请插入社会保障卡"
CONFIRM = "请核对持卡人并确认：启用后旧医保卡作废"
SUCCESS = "启用成功，请取出卡片"
SIGNED_OUT = "请从本机打开控制台"
MASKED = "林**"
# Every sound that the page makes is counted.
COUNTED = """
window.sounds = 0;
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function () { window.sounds += 1; start.call(this); };
"""
BREAKS_ONCE = """() => {
  const honest = Element.prototype.replaceChildren;
  Element.prototype.replaceChildren = () => {
    Element.prototype.replaceChildren = honest;
    throw new Error("x");
  };
}"""


def reads(page: Page, text: str) -> None:
    """The clerk sees this as the one large instruction."""
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text(text, timeout=PATIENCE)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def loaded_again(page: Page) -> None:
    """Not before somebody is signed in: a code works once."""
    reads(page, CHOICE)
    page.reload()
    reads(page, CHOICE)


def trouble(page: Page) -> Locator:
    return page.locator(".trouble")


def operator(till: Till) -> Pos:
    """The commands on this machine."""
    return Pos(till.agent.port, till.agent.folder.operator_token())


def address(till: Till) -> str:
    """What `kaqi console` prints."""
    code = operator(till).request("POST", "/v1/console/codes", {}).body["code"]
    return f"http://127.0.0.1:{till.agent.port}/#code={code}"


def transactions(till: Till, wanted: str = "", part: str = "state") -> list[str]:
    """This part of all that are wanted, the newest first."""
    found = till.agent.pos.request("GET", f"/v1/transactions{wanted}")
    return [str(each[part]) for each in found.body["transactions"]]


def unacknowledged(till: Till) -> list[str]:
    return transactions(till, "?unacknowledged=true")


def to_confirmation(till: Till) -> None:
    press(till.page, PHARMACY)
    reads(till.page, OLD)
    till.hand.insert("lin.medical", FIRST)
    reads(till.page, NEW)
    till.hand.insert("lin.social_security", SECOND)
    reads(till.page, CONFIRM)


@contextmanager
def another_tab(till: Till) -> Iterator[Page]:
    """Signed in by a code of its own."""
    browser = till.page.context.browser
    assert browser is not None
    page = browser.new_page()
    page.goto(address(till))
    yield page
    page.close()


def test_two_tabs_show_one_transaction(till: Till, centre: CentreProcess) -> None:
    with another_tab(till) as other:
        reads(other, CHOICE)
        to_confirmation(till)
        reads(other, CONFIRM)  # by itself

        press(other, "确认启用")

        reads(till.page, SUCCESS)
        reads(other, SUCCESS)
        press(other, "下一位")
        reads(other, CHOICE)
    reads(till.page, SUCCESS)  # whoever still looks at it goes on looking
    press(till.page, "下一位")
    reads(till.page, CHOICE)
    assert transactions(till) == ["succeeded"]
    assert len(centre.effects) == 1


def test_a_click_that_comes_too_late_does_no_harm(
    till: Till, centre: CentreProcess
) -> None:
    with another_tab(till) as other:
        to_confirmation(till)
        reads(other, CONFIRM)
        other.route("**/v1/transactions/*?wait=*", lambda _: None)  # sees no more
        other.reload()
        reads(other, CONFIRM)
        press(till.page, "确认启用")
        reads(till.page, SUCCESS)

        press(other, "取消")
        other.unroute("**/v1/transactions/*?wait=*")

        reads(other, SUCCESS)
        expect(trouble(other)).to_be_hidden()
    assert transactions(till) == ["succeeded"]
    assert len(centre.effects) == 1


def test_an_answer_that_is_older_than_what_is_shown_is_not_shown(till: Till) -> None:
    to_confirmation(till)
    answered: list[tuple[Route, APIResponse]] = []
    till.page.route("**/confirm", lambda route: answered.append((route, route.fetch())))
    press(till.page, "确认启用")
    reads(till.page, SUCCESS)
    ((route, response),) = answered

    with till.page.expect_response("**/confirm") as late:
        route.fulfill(response=response)

    assert late.value.json()["state"] == "committing"
    till.page.evaluate("() => new Promise((done) => setTimeout(done, 50))")
    reads(till.page, SUCCESS)


def test_a_laptop_that_slept_shows_what_has_happened_meanwhile(till: Till) -> None:
    press(till.page, PHARMACY)
    reads(till.page, OLD)
    browser = till.page.context.new_cdp_session(till.page)
    browser.send("Page.setWebLifecycleState", {"state": "frozen"})

    till.hand.insert("lin.medical", FIRST)
    wait_until(lambda: _is_read(till))
    till.hand.insert("lin.social_security", SECOND)
    wait_until(lambda: transactions(till) == ["waiting_confirm"])
    browser.send("Page.setWebLifecycleState", {"state": "active"})

    reads(till.page, CONFIRM)
    expect(trouble(till.page)).to_be_hidden(timeout=PATIENCE)
    assert transactions(till) == ["waiting_confirm"]


def _is_read(till: Till) -> bool:
    """Whether the old card has been, and the new one is waited for."""
    return transactions(till, part="role") == ["social_security"]


def test_what_names_the_last_holder_leaves_the_page(till: Till) -> None:
    till.page.clock.install()
    loaded_again(till.page)
    to_confirmation(till)
    till.page.clock.fast_forward("10:00")
    till.page.clock.run_for(2_000)
    reads(till.page, CONFIRM)  # somebody is still waited for
    expect(till.page.locator("main")).to_contain_text(MASKED)
    press(till.page, "确认启用")
    reads(till.page, SUCCESS)
    till.page.clock.fast_forward("04:50")
    till.page.clock.run_for(2_000)
    reads(till.page, SUCCESS)

    till.page.clock.fast_forward("00:20")
    till.page.clock.run_for(2_000)

    reads(till.page, CHOICE)
    assert MASKED not in till.page.content()
    assert "●" not in till.page.title()
    assert unacknowledged(till) == ["succeeded"]  # nobody has said that they saw it


@rare
def test_what_was_printed_stays_nowhere(till: Till) -> None:
    till.page.add_init_script(
        "window.print = () => dispatchEvent(new Event('afterprint'))"
    )
    loaded_again(till.page)
    to_confirmation(till)
    press(till.page, "确认启用")
    reads(till.page, SUCCESS)

    press(till.page, "打印凭条")

    assert till.page.locator(".paper").inner_html() == ""


def test_what_the_pos_began_the_pos_acknowledges(till: Till) -> None:
    till.agent.pos.start("outpatient_registration")
    reads(till.page, "请插入社会保障卡")
    till.hand.insert("he.social_security", FIRST)
    reads(till.page, SUCCESS)

    press(till.page, "下一位")

    reads(till.page, CHOICE)
    assert unacknowledged(till) == ["succeeded"]


@rare
def test_each_moment_sounds_once(till: Till) -> None:
    till.page.add_init_script(COUNTED)
    loaded_again(till.page)
    press(till.page, PHARMACY)
    reads(till.page, OLD)
    expect_sounds(till, 1)
    for screen in ("今日", "办理"):
        till.page.get_by_role("navigation").get_by_role("button", name=screen).click()
    reads(till.page, OLD)

    till.hand.insert("lin.medical", FIRST)
    reads(till.page, NEW)

    expect_sounds(till, 2)


def expect_sounds(till: Till, number: int) -> None:
    assert till.page.evaluate("window.sounds") == number


def test_a_screen_that_was_left_does_nothing_any_more(till: Till) -> None:
    held: list[Route] = []
    till.page.route("**/v1/transactions", lambda route: _hold_posts(route, held))
    press(till.page, PHARMACY)
    till.page.get_by_role("navigation").get_by_role("button", name="设置").click()
    reads(till.page, "设置")
    with till.page.expect_response("**/v1/transactions"):
        held[0].continue_()
    wait_until(lambda: transactions(till) == ["waiting_card"])
    till.page.evaluate("() => new Promise((done) => setTimeout(done, 50))")

    reads(till.page, "设置")
    assert "●" not in till.page.title()
    till.page.get_by_role("navigation").get_by_role("button", name="办理").click()
    reads(till.page, OLD)
    assert transactions(till) == ["waiting_card"]


def _hold_posts(route: Route, held: list[Route]) -> None:
    if route.request.method == "POST" and not held:
        held.append(route)
    else:
        route.continue_()


@pytest.mark.parametrize("silent_before", [pytest.param(False, marks=rare), True])
def test_whoever_is_not_known_any_more_reads_how_to_come_in(
    till: Till, silent_before: bool
) -> None:
    """At once, or when the agent has to prove itself first and no longer can."""
    to_confirmation(till)
    asked: list[str] = []
    till.page.clock.install()

    operator(till).request("POST", "/v1/clients/console/revoke", {})
    if silent_before:
        till.page.clock.fast_forward(5_000)
    press(till.page, "确认启用")

    reads(till.page, SIGNED_OUT)
    assert MASKED not in till.page.content()
    till.page.on("request", lambda request: asked.append(request.url))
    till.page.clock.run_for(10_000)
    assert asked == []
    assert transactions(till) == ["waiting_confirm"]
    till.page.goto(address(till))  # in the same tab
    reads(till.page, CONFIRM)


def test_who_signs_out_is_out_and_the_sale_goes_on(till: Till) -> None:
    to_confirmation(till)
    before = till.page.evaluate("sessionStorage.getItem('kaqi.session')")
    press(till.page, "退出")
    dialog = till.page.get_by_role("dialog")
    dialog.get_by_role("button", name="不退出").click()
    reads(till.page, CONFIRM)
    press(till.page, "退出")

    dialog.get_by_role("button", name="退出", exact=True).click()

    reads(till.page, SIGNED_OUT)
    page = {"Origin": f"http://127.0.0.1:{till.agent.port}"}
    answer = Pos(till.agent.port, before).request("GET", "/v1/readers", headers=page)
    assert answer.code == "auth.token_invalid"
    assert till.page.evaluate("sessionStorage.getItem('kaqi.session')") is None
    assert transactions(till) == ["waiting_confirm"]
    till.page.reload()
    reads(till.page, SIGNED_OUT)


@rare
@pytest.mark.parametrize(
    "mistake",
    ["Promise.reject(new Error('x'))", "setTimeout(() => { throw new Error('x'); })"],
)
def test_a_mistake_of_the_page_is_told_and_the_page_goes_on(
    till: Till, consoles: Watch, mistake: str
) -> None:
    press(till.page, PHARMACY)
    reads(till.page, OLD)

    till.page.evaluate(f"() => {{ {mistake}; }}")

    expect(trouble(till.page)).to_contain_text("这个页面出了差错", timeout=PATIENCE)
    till.hand.insert("lin.medical", FIRST)
    reads(till.page, NEW)
    press(till.page, "取消")
    assert consoles.complaints() == ["it failed: x"]


def test_a_snapshot_that_cannot_be_drawn_does_not_end_the_following(
    till: Till, consoles: Watch
) -> None:
    press(till.page, PHARMACY)
    reads(till.page, OLD)
    till.page.evaluate(BREAKS_ONCE)

    till.hand.insert("lin.medical", FIRST)

    reads(till.page, NEW)
    assert consoles.complaints() == ["it failed: x"]

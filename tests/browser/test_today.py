"""Today's activations: what stands first, what a person settles, and what is found again."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser, Page, expect

from plugin.activation.saga import Activation, ActivationState, Origin
from plugin.data_folder import DataFolder
from plugin.journal.port import Request
from plugin.journal.sqlite import SqliteJournal
from simulator.people import CARDS
from simulator.reader import InProcessDesk
from tests.agents import Running, running
from tests.browser.console_page import SECONDS, console, walk_to
from tests.browser.till_page import vendor_site
from tests.centre import CentreProcess
from tests.scenario.counter import Counter
from tests.scenario.regions import counter_in
from tests.scenario.test_pin_activates import REGION as BY_PIN
from tests.scenario.test_pin_activates import tears

BEIJING = "Asia/Shanghai"
LONG_AGO = "2026-01-05T23:30:00+00:00"
MANY = 130
NUMBER = CARDS["lin.social_security"].holder.social_security_number
REASON = "电话核实，接话人工号 17"


@pytest.fixture
def doubtful(tmp_path: Path, centre: CentreProcess) -> Iterator[Counter]:
    """A centre of class D has not answered."""
    with counter_in("v3-old-pin", tmp_path, centre) as counter:
        centre.misbehave("lose_answer", "")
        counter.start("outpatient_registration", pos_ref="visit-7")
        counter.put("lin.social_security")
        counter.reaches("waiting_pin")
        counter.now = counter.pos.kaqi.pin(counter.now, "123456")
        counter.reaches("in_doubt")
        yield counter


def record(counter: Counter) -> dict[str, Any]:
    (found,) = counter.pos.request("GET", "/v1/activations").body["activations"]
    assert isinstance(found, dict)
    return found


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def shown(page: Page) -> dict[str, str]:
    """The evidence in the dialog."""
    facts = page.locator("dialog dl")
    names, values = facts.locator("dt"), facts.locator("dd")
    return dict(zip(names.all_inner_texts(), values.all_inner_texts(), strict=True))


def test_a_doubt_is_settled_by_mouse_with_all_that_the_call_needs(
    doubtful: Counter, chromium: Browser
) -> None:
    waiting = record(doubtful)
    with console(doubtful.running, chromium, "today", timezone_id=BEIJING) as page:
        row = page.locator("tbody tr")
        expect(row).to_contain_text("等人工向中心核实后了结", timeout=SECONDS)
        press(page, "人工了结")
        told = shown(page)
        press(page, "下一步")  # nothing is filled in: it stays
        page.get_by_label("中心说：已启用").check()
        page.get_by_label("依据").fill(f"{NUMBER} 已启用")
        page.get_by_label("经办人编号").fill("17")
        press(page, "下一步")
        expect(page.get_by_role("dialog")).to_contain_text("这次启用记为成功")
        press(page, "确认了结")
        refused = page.get_by_role("dialog").get_by_role("alert")
        expect(refused).to_contain_text("不要写身份证号", timeout=SECONDS)
        expect(refused).to_be_in_viewport(ratio=1)
        assert record(doubtful)["state"] == "MANUAL"
        page.get_by_label("依据").fill(REASON)
        press(page, "下一步")
        press(page, "确认了结")
        expect(page.get_by_role("dialog")).to_have_count(0, timeout=SECONDS)
        expect(row).to_contain_text("已启用", timeout=SECONDS)
        expect(row).to_contain_text("人工了结：经办人 17")
        content = page.content()

    assert told["向中心报出的编号"] == waiting["sent_as"]
    assert told["机构编号"] == "H9999"
    assert told["已发送次数"] == "1"
    assert told["中心的答复"] == "没有收到答复"
    assert told["最后一次发送"] == in_beijing(waiting["sent_at"])
    settled = record(doubtful)
    assert settled["state"] == "ACTIVE"
    assert settled["confirmation"]["by"] == "person"
    said = settled["settlement"]
    assert (said["verdict"], said["reason"]) == ("active", REASON)
    assert said["operator_ref"] == "17"
    assert doubtful.reaches("succeeded").outcome == "activated"
    assert "林试一" not in content
    assert NUMBER not in content


def in_beijing(moment: str) -> str:
    local = datetime.fromisoformat(moment).astimezone(UTC) + timedelta(hours=8)
    return local.strftime("%Y-%m-%d %H:%M:%S")


def test_a_doubt_is_settled_with_the_keyboard_alone(
    doubtful: Counter, chromium: Browser
) -> None:
    with console(doubtful.running, chromium, "today", "en") as page:
        keys = page.keyboard
        walk_to(page, "Settle")
        keys.press("Enter")
        walk_to(page, "The centre says: active", "radio")
        keys.press("ArrowDown")
        keys.press("Tab")
        keys.type("asked by telephone")
        keys.press("Tab")
        keys.type("17")
        walk_to(page, "Next")
        keys.press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("the holder may come again")
        expect(page.get_by_role("button", name="Settle it")).to_be_focused()
        keys.press("Enter")
        expect(page.locator("tbody tr")).to_contain_text("refused", timeout=SECONDS)

    settled = record(doubtful)
    assert settled["state"] == "REJECTED"
    assert settled["settlement"]["verdict"] == "rejected"


def test_who_comes_second_is_told_and_changes_nothing(
    doubtful: Counter, chromium: Browser
) -> None:
    with console(doubtful.running, chromium, "today") as page:
        press(page, "人工了结")
        page.get_by_label("中心说：没有启用").check()
        page.get_by_label("依据").fill(REASON)
        page.get_by_label("经办人编号").fill("17")
        press(page, "下一步")
        doubtful.pos.kaqi.settle(record(doubtful)["id"], "active", "earlier", "9")
        press(page, "确认了结")
        expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text(
            "不需要人工处理", timeout=SECONDS
        )
        page.keyboard.press("Escape")
        expect(page.locator("tbody tr")).to_contain_text("已启用", timeout=SECONDS)

    settled = record(doubtful)
    assert (settled["state"], settled["settlement"]["operator_ref"]) == ("ACTIVE", "9")


def test_what_only_the_card_knows_waits_for_it_or_for_a_person(
    tmp_path: Path, centre: CentreProcess, chromium: Browser
) -> None:
    with counter_in(BY_PIN, tmp_path, centre) as counter:
        tears(counter, done=True)
        with console(counter.running, chromium, "today") as page:
            row = page.locator("tbody tr")
            expect(row).to_contain_text("等持卡人带卡回来再插一次", timeout=SECONDS)
            press(page, "人工了结")
            dialog = page.get_by_role("dialog")
            expect(dialog).to_contain_text("只有卡自己知道密码改了没有")
            told = shown(page)

    assert "最后一次发送" not in told
    assert told["机构编号"] == "H9999"


def test_a_doubt_says_when_it_is_looked_into_next(
    tmp_path: Path, centre: CentreProcess, chromium: Browser
) -> None:
    with counter_in("reference", tmp_path, centre) as counter:
        centre.misbehave("lose_answer", "activations")
        centre.misbehave("lose_request", "activation-status")
        counter.start("outpatient_registration", pos_ref="visit-8")
        counter.put("lin.social_security")
        counter.reaches("in_doubt")
        with console(counter.running, chromium, "today") as page:
            row = page.locator("tbody tr")
            expect(row).to_contain_text("结果未知", timeout=SECONDS)
            expect(row).to_contain_text("反复向中心核实", timeout=SECONDS)
            expect(row).to_contain_text(
                re.compile(r"下次核实：\d\d:\d\d:\d\d"), timeout=SECONDS
            )


# what is found again


def filled(path: Path) -> None:
    """A journal of an earlier day, with more than a page shows."""
    folder = DataFolder(path)
    journal = SqliteJournal(folder.journal, folder.keys())
    for number in range(1, MANY + 1):
        intent = str(UUID(int=number << 64))
        origin = Origin(
            intent_id=intent,
            client_id="pos",
            scenario="pharmacy",
            institution="H9999",
            profile="reference@1",
            pos_ref="-1" if number == 1 else f"sale-{number:03}",
            received_at=LONG_AGO,
        )
        record = Activation(origin=origin, changed_at=LONG_AGO)
        request = Request(
            client_id="pos",
            key=intent,
            fingerprint="",
            transaction_id=origin.transaction_id,
        )
        journal.create(record, request)
        journal.save(replace(record, state=ActivationState.ABANDONED))
    journal.close()


@pytest.fixture
def busy(tmp_path: Path, centre: CentreProcess) -> Iterator[Running]:
    """A till with many records, and one of today."""
    filled(tmp_path)
    hand = InProcessDesk()
    with running(tmp_path, centre.address, {"inprocess": hand}, hand) as agent:
        begun = agent.pos.start("pharmacy", {"pos_ref": "today-1"})
        assert begun.status == 202
        yield agent


def test_every_record_can_be_reached_found_and_exported(
    busy: Running, chromium: Browser
) -> None:
    with console(busy, chromium, "today", timezone_id=BEIJING) as page:
        rows = page.locator("tbody tr")
        expect(rows).to_have_count(1, timeout=SECONDS)
        expect(rows).to_contain_text("today-1")
        page.get_by_label("显示全部日期").check()
        expect(rows).to_have_count(100)
        assert rows.last.locator("td").first.inner_text() == "2026-01-06 07:30:00"
        press(page, "更早的记录")
        expect(rows).to_have_count(MANY + 1, timeout=SECONDS)
        expect(page.get_by_role("button", name="更早的记录")).to_be_hidden()
        page.get_by_label("显示全部日期").uncheck()
        page.get_by_role("searchbox").fill("SALE-002")
        expect(rows).to_have_count(1, timeout=SECONDS)
        expect(rows).to_contain_text("sale-002")
        page.get_by_role("searchbox").fill("nobody")
        expect(page.get_by_text("没有找到这个业务编号。")).to_be_visible()
        page.get_by_role("searchbox").fill("")
        expect(rows).to_have_count(1, timeout=SECONDS)
        page.get_by_label("显示全部日期").check()
        with page.expect_download() as saved:
            press(page, "导出表格")
        expect(page.get_by_text(f"已导出 {MANY + 1} 条记录。")).to_be_visible()
        content = saved.value.path().read_bytes()

    assert content.startswith(b"\xef\xbb\xbf")  # for Excel
    heads, first, *rest = csv.reader(io.StringIO(content.decode("utf-8-sig")))
    assert heads[:5] == ["时间", "最近变化", "状态", "业务", "业务编号"]
    assert (first[2], first[4]) == ("已开始", "today-1")
    assert len(rest) == MANY
    assert rest[-1][0] == "2026-01-06 07:30:00"
    assert rest[-1][4] == "'-1"  # no formula


# what the page works out


@pytest.fixture
def modules(tmp_path: Path, chromium: Browser) -> Iterator[Page]:
    """A page in Beijing that can load the console's modules."""
    with vendor_site(tmp_path) as port:
        context = chromium.new_context(timezone_id=BEIJING)
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        yield page
        context.close()


def test_what_is_urgent_stands_first_and_what_is_over_is_of_today(
    modules: Page,
) -> None:
    script = """async () => {
      const {chosen} = await import("/today.js");
      const of = (id, state, day, more) => ({
        id, state, received_at: `2026-03-${day}T12:00:00+08:00`, pos_ref: `sale-${id}`,
        needs_a_person: false, ...more});
      const records = [
        of("a", "ACTIVE", "02"), of("b", "UNKNOWN", "01"), of("c", "REJECTED", "01"),
        of("d", "MANUAL", "01", {needs_a_person: true}), of("e", "ACTIVE", "02"),
        of("f", "SENDING", "02"), of("g", "RECEIVED", "01"),
        of("h", "UNKNOWN", "02", {needs_a_person: true, pos_ref: null})];
      const ids = (wanted, every) =>
        chosen(records, wanted, every, new Date("2026-03-02T20:00:00+08:00"))
          .map(({id}) => id).join("");
      return [ids("", false), ids("", true), ids(" SALE-c", false), ids("x", true)];
    }"""

    assert modules.evaluate(script) == ["hdbfeag", "hdbfeagc", "c", ""]


def test_moments_are_told_in_the_time_of_the_till(modules: Page) -> None:
    told = {
        "2026-03-02T01:02:03+00:00": "09:02:03",
        "2026-03-01T16:00:00+00:00": "00:00:00",
        "2026-03-01T15:59:59+00:00": "2026-03-01 23:59:59",
        "2026-03-02T23:59:59+08:00": "23:59:59",
    }
    script = """async (moments) => {
      const {shownTime} = await import("/moments.js");
      return moments.map((each) =>
        shownTime(each, new Date("2026-03-02T12:00:00+08:00")));
    }"""

    assert modules.evaluate(script, list(told)) == list(told.values())


def test_a_cell_is_what_it_was_and_never_a_formula(modules: Page) -> None:
    written = {
        "sale-1": '"sale-1"',
        "4711": '"4711"',
        'a "b"': '"a ""b"""',
        "": '""',
        "=1+1": '"\'=1+1"',
        "+1": '"\'+1"',
        "-1": '"\'-1"',
        "@x": '"\'@x"',
        "\tx": '"\'\tx"',
        "\rx": '"\'\rx"',
        "123456789012345678": '"\'123456789012345678"',  # no rounding either
        "0042": '"\'0042"',
        "1e5": '"\'1e5"',
    }
    script = """async (values) => {
      const {cell} = await import("/today.js");
      return values.map(cell);
    }"""

    assert modules.evaluate(script, list(written)) == list(written.values())

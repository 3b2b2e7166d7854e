"""kaqi.js and the real agent: the page that vendors copy, and the page we serve."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from simulator.people import card as of_the_cast
from simulator.reader import InProcessDesk
from tests.agents import PHARMACY, Pos, Running, running
from tests.browser.till_page import run, vendor_site
from tests.centre import CentreProcess
from tests.waiting import WAIT_SECONDS, wait_until

expect.set_options(timeout=WAIT_SECONDS * 1_000)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with vendor_site(tmp_path_factory.mktemp("site")) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def hand() -> InProcessDesk:
    return InProcessDesk()


@pytest.fixture
def agent(
    tmp_path: Path, centre: CentreProcess, hand: InProcessDesk, site: str
) -> Iterator[Running]:
    """A pharmacy's, which lists the site."""
    directories = {"inprocess": hand}
    listed = frozenset({site})
    with running(
        tmp_path,
        centre.address,
        directories,
        hand,
        institution=PHARMACY,
        origins=listed,
    ) as started:
        yield started


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    opened = chromium.new_page()
    yield opened
    opened.close()


def test_the_vendors_page_pairs_activates_and_acknowledges(
    page: Page, agent: Running, site: str, hand: InProcessDesk
) -> None:
    admin = Pos(agent.port, agent.folder.pair("admin", ("read", "admin")))
    page.goto(f"{site}/till.html?agent=http://127.0.0.1:{agent.port}")

    page.click("#pair")
    expect(page.locator("#instruction")).to_contain_text(re.compile("[0-9]{6}"))
    code = re.findall("[0-9]{6}", page.inner_text("#instruction"))[0]
    (asked,) = admin.request("GET", "/v1/pairings").body["pairings"]
    admin.request("POST", f"/v1/pairings/{asked['id']}/approve", {"code": code})
    expect(page.locator("#instruction")).to_contain_text("Paired")

    page.click("#activate")
    for name, reader in zip(
        ("medical", "social_security"), hand.readers(), strict=False
    ):
        hand.insert_card(of_the_cast(f"lin.{name}"), reader)
    page.click("#confirm")  # as soon as it may be
    expect(page.locator("#receipt")).to_contain_text("启用")

    (ended,) = agent.pos.request("GET", "/v1/transactions").body["transactions"]
    assert asked["origin"] == site
    assert ended["state"] == "succeeded"
    left = "/v1/transactions?unacknowledged=true"
    wait_until(lambda: agent.pos.request("GET", left).body == {"transactions": []})


def test_a_pages_token_is_of_no_use_elsewhere(
    page: Page, agent: Running, site: str
) -> None:
    token = agent.folder.pair("web-till", ("read",), site)
    page.goto(site)
    readers = "(k, address, token) => new k.Kaqi({address, token}).readers()"

    there = run(page, readers, f"http://127.0.0.1:{agent.port}", token)
    elsewhere = Pos(agent.port, token).request("GET", "/v1/readers")

    assert len(there) >= 2
    assert (elsewhere.status, elsewhere.code) == (403, "auth.origin_denied")


def test_the_page_at_our_own_address_says_what_this_is(
    page: Page, agent: Running
) -> None:
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))

    page.goto(f"http://127.0.0.1:{agent.port}/")

    expect(page.locator("main")).to_contain_text("这台电脑上的卡启正在运行")
    expect(page.locator("main")).to_contain_text("kaqi is running on this computer")
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colour == "rgb(238, 242, 246)"
    assert wrong == []


def test_our_own_page_uses_the_same_client(page: Page, agent: Running) -> None:
    page.goto(f"http://127.0.0.1:{agent.port}/")
    script = "(k, address, token) => new k.Kaqi({address, token}).errors()"

    found = run(page, script, f"http://127.0.0.1:{agent.port}", agent.pos.token)

    assert {"card.lost", "browser.local_network_denied"} <= {e["code"] for e in found}

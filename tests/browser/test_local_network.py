"""Chromium's Local Network Access: a page that comes from elsewhere reaches this computer
only where somebody has allowed it, and kaqi.js says so."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page

from plugin import main
from plugin.activation.problem import Problem
from tests.agents import Running
from tests.browser.conftest import ARGUMENTS
from tests.browser.test_pages import START, arguments
from tests.browser.till_page import TOKEN, Played, playing, run, vendor_site

READERS = "(k, address, token) => new k.Kaqi({address, token}).readers()"
PERMISSION = "(k) => k.localNetworkPermission()"
ALLOWED = ("local-network-access",)  # Playwright's name for all of it
Opening = Callable[..., Page]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where all sites are."""
    with vendor_site(tmp_path_factory.mktemp("sites")) as port:
        yield port


@pytest.fixture(scope="module")
def elsewhere(chromium: Browser, port: int) -> Iterator[Browser]:
    """A browser that takes our sites for the internet. What it is told of trusted.example
    is what the policy OverrideSecurityRestrictionsOnInsecureOrigin tells it."""
    world = [
        f"--ip-address-space-overrides=127.0.0.1:{port}=public",
        "--host-resolver-rules=MAP *.example 127.0.0.1",
        f"--unsafely-treat-insecure-origin-as-secure=http://trusted.example:{port}",
    ]
    browser = chromium.browser_type.launch(
        executable_path=shutil.which("chromium"), args=[*ARGUMENTS, *world]
    )
    yield browser
    browser.close()


@pytest.fixture
def opened(elsewhere: Browser, port: int) -> Iterator[Opening]:
    """Opens a page of this host, where the person at the browser allows this much."""
    with ExitStack() as stack:

        def opening(host: str, *permissions: str) -> Page:
            context = stack.enter_context(elsewhere.new_context())
            if permissions:  # with none Playwright would deny all
                context.grant_permissions(permissions)
            page = context.new_page()
            page.goto(f"http://{host}:{port}")
            return page

        yield opening


@pytest.fixture
def agent_played() -> Iterator[Played]:
    with playing() as played:
        yield played


def test_a_page_that_nobody_allowed_reaches_nothing_and_says_why(
    opened: Opening, agent_played: Played
) -> None:
    page = opened("trusted.example")
    before = run(page, PERMISSION)

    found = run(page, READERS, agent_played.address, TOKEN)

    told = main.catalogue().body(Problem("browser.local_network_denied"))
    assert before == "prompt"
    assert run(page, PERMISSION) == "denied"
    assert found["thrown"] == "browser.local_network_denied"
    assert found["remedy"] == told["remedy"]
    assert agent_played.received == []


def test_a_page_that_was_allowed_reaches_the_agent(
    opened: Opening, agent_played: Played
) -> None:
    agent_played.answers["/v1/readers"] = (200, {"readers": []})
    page = opened("trusted.example", *ALLOWED)

    found = run(page, READERS, agent_played.address, TOKEN)

    assert found == []


def test_an_allowed_page_is_not_told_to_allow_it_when_nobody_answers(
    opened: Opening,
) -> None:
    with playing() as gone:
        address = gone.address
    page = opened("trusted.example", *ALLOWED)

    found = run(page, READERS, address, TOKEN)

    assert found["thrown"] == "browser.agent_unreachable"


UNDECIDED = """async (k, address, token) => {
  const waits = [];
  const later = setTimeout;
  globalThis.setTimeout = (work, ms) => { waits.push(ms); return later(work, ms); };
  navigator.permissions.query = async () => ({state: "prompt"});
  try { await new k.Kaqi({address, token}).readers(); }
  catch (failed) { return [failed.code, Math.max(...waits)]; }
}"""


def test_as_long_as_the_browser_asks_it_waits_and_silence_is_no_permission(
    opened: Opening,
) -> None:
    with playing() as gone:
        address = gone.address
    page = opened("trusted.example", *ALLOWED)

    found = run(page, UNDECIDED, address, TOKEN)

    assert found == ["browser.local_network_denied", 120_000]


def test_a_plain_http_page_is_refused_whatever_was_allowed(
    opened: Opening, agent_played: Played
) -> None:
    page = opened("plain.example", *ALLOWED)

    found = run(page, READERS, agent_played.address, TOKEN)

    assert found["thrown"] == "browser.local_network_denied"
    assert agent_played.received == []


def test_a_plain_http_page_has_no_crypto_and_kaqi_js_needs_none(
    opened: Opening,
) -> None:
    page = opened("plain.example")

    found = run(
        page, "(k) => [typeof crypto.subtle, k.newKey(), k.proofOf('a~b', 'n', 'h')]"
    )

    assert found[0] == "undefined"
    assert len(found[1]) == 32
    assert len(found[2]) == 64


def test_a_foreign_page_that_was_allowed_still_reads_and_causes_nothing(
    opened: Opening, agent: Running
) -> None:
    page = opened("trusted.example", *ALLOWED)
    script = f"async given => {{ try {{ return await ({START})(given); }}"
    script += " catch (failed) { return failed.name; } }"

    found = page.evaluate(script, arguments(agent))

    assert found == "TypeError"
    assert agent.pos.request("GET", "/v1/transactions").body["transactions"] == []


def test_a_page_of_this_computer_needs_no_permission(
    opened: Opening, agent_played: Played
) -> None:
    found = run(opened("127.0.0.1"), PERMISSION)

    assert found is None

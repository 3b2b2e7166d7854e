"""A web POS may use the agent when its origin is listed; any other page gets nothing."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page

from tests.agents import Running, wait_until
from tests.browser.conftest import Site

ORDER = '{"kind":"activation","scenario":"outpatient_registration"}'
START = """async ([address, token, order]) => {
  const answer = await fetch(address + "/v1/transactions", {
    method: "POST",
    headers: {
      "Authorization": "Bearer " + token,
      "Content-Type": "application/json",
      "Idempotency-Key": String(Math.random()),
    },
    body: order,
  });
  return {status: answer.status, body: await answer.json(),
          location: answer.headers.get("Location")};
}"""
HOSTILE = {
    "fetch with the token": START,
    "fetch without CORS": """async ([address, token, order]) => {
      const answer = await fetch(address + "/v1/transactions",
        {method: "POST", mode: "no-cors", body: order});
      return {type: answer.type, body: await answer.text()};
    }""",
    "beacon": """async ([address, token, order]) =>
      navigator.sendBeacon(address + "/v1/transactions", order)""",
    "beacon of JSON": """async ([address, token, order]) => {
      const body = new Blob([order], {type: "application/json"});
      return navigator.sendBeacon(address + "/v1/transactions", body);
    }""",
    "frame without an origin": """async ([address, token, order]) =>
      new Promise(resolve => {
        const frame = document.createElement("iframe");
        frame.sandbox = "allow-scripts";
        onmessage = message => resolve(message.data);
        frame.srcdoc = `<script>
          fetch("${address}/v1/readers", {headers: {Authorization: "Bearer ${token}"}})
            .then(() => "opened", () => "failed")
            .then(found => parent.postMessage(found, "*"));
        </script>`;
        document.body.append(frame);
      })""",
    "image": """async ([address]) => new Promise(resolve => {
      const image = new Image();
      image.onload = () => resolve("loaded");
      image.onerror = () => resolve("failed");
      image.src = address + "/v1/readers";
    })""",
    "script": """async ([address]) => new Promise(resolve => {
      const script = document.createElement("script");
      script.onload = () => resolve("loaded");
      script.onerror = () => resolve("failed");
      script.src = address + "/healthz";
      document.head.append(script);
    })""",
    "event source": """async ([address]) => new Promise(resolve => {
      const source = new EventSource(address + "/v1/events");
      source.onopen = () => resolve("opened");
      source.onerror = () => { source.close(); resolve("failed"); };
    })""",
    "web socket": """async ([address]) => new Promise(resolve => {
      const socket = new WebSocket(address.replace("http", "ws") + "/v1/events");
      socket.onopen = () => resolve("opened");
      socket.onerror = () => resolve("failed");
    })""",
}


NOTHING = (
    "failed",
    "failed: TypeError",
    True,  # a beacon that was sent, and refused
    {"type": "opaque", "body": ""},
)


def tried(way: str) -> str:
    """A script that tries it."""
    script = f"async given => {{ try {{ return await ({HOSTILE[way]})(given); }}"
    return script + " catch (failed) { return 'failed: ' + failed.name; } }"


def is_untouched(agent: Running) -> bool:
    """Whether somebody has asked, was turned away, and nothing has come of it."""
    wait_until(lambda: agent.agent.app.rejections["auth.origin_denied"] > 0)
    return not agent.pos.request("GET", "/v1/transactions").body["transactions"]


def arguments(agent: Running, token: str | None = None) -> list[str]:
    """What the page's script is given."""
    address = f"http://127.0.0.1:{agent.port}"
    return [address, token if token is not None else agent.pos.token, ORDER]


def test_a_listed_page_starts_a_transaction(listed_page: Page, agent: Running) -> None:
    found = listed_page.evaluate(START, arguments(agent))

    assert found["status"] == 202
    assert found["location"] == f"/v1/transactions/{found['body']['id']}"


def test_a_listed_page_without_a_token_is_told_why(
    listed_page: Page, agent: Running
) -> None:
    found = listed_page.evaluate(START, arguments(agent, "wrong"))

    assert found["status"] == 401
    assert found["body"]["code"] == "auth.token_invalid"


@pytest.mark.parametrize("way", HOSTILE)
def test_a_foreign_page_reads_nothing_and_causes_nothing(
    foreign_page: Page, agent: Running, way: str
) -> None:
    found = foreign_page.evaluate(tried(way), arguments(agent))

    assert found in NOTHING
    assert is_untouched(agent)


@pytest.mark.parametrize("way", ["fetch with the token", "fetch without CORS", "image"])
@pytest.mark.parametrize("through_a_listed_one", [False, True])
def test_being_sent_on_from_elsewhere_does_not_help_a_foreign_page(
    foreign_page: Page,
    agent: Running,
    sites: tuple[Site, Site],
    way: str,
    through_a_listed_one: bool,
) -> None:
    listed, foreign = sites
    address, *rest = arguments(agent)
    chain = listed.away(address) if through_a_listed_one else address

    found = foreign_page.evaluate(tried(way), [foreign.away(chain), *rest])

    assert found in NOTHING
    assert is_untouched(agent)


def test_a_name_that_is_made_to_mean_this_machine_is_not_ours(
    chromium: Browser, agent: Running
) -> None:
    _, token, order = arguments(agent)
    address = f"http://rebound.example:{agent.port}"
    page = chromium.new_page(bypass_csp=True)  # its own would not even let it ask
    page.goto(f"{address}/v1/readers")

    found = page.evaluate(START, [address, token, order])

    page.close()
    assert (found["status"], found["body"]["code"]) == (421, "auth.host_denied")
    assert agent.pos.request("GET", "/v1/transactions").body["transactions"] == []


def test_a_form_from_a_foreign_page_causes_nothing(
    foreign_page: Page, agent: Running
) -> None:
    address = f"http://127.0.0.1:{agent.port}/v1/transactions"
    foreign_page.set_content(
        f'<form method="post" action="{address}" enctype="text/plain">'
        '<input name=\'{"kind":"activation","scenario":"pharmacy","a":"\' value=\'"}\'>'
        "<button>send</button></form>"
    )

    with foreign_page.expect_navigation():
        foreign_page.click("button")

    assert "auth.origin_denied" in foreign_page.content()
    assert agent.pos.request("GET", "/v1/transactions").body["transactions"] == []


def test_a_frame_on_a_foreign_page_stays_empty(
    foreign_page: Page, agent: Running
) -> None:
    address = f"http://127.0.0.1:{agent.port}/v1/readers"

    foreign_page.set_content(f'<iframe src="{address}"></iframe>')
    frame = foreign_page.wait_for_selector("iframe")

    assert frame is not None
    inside = frame.content_frame()
    assert inside is not None
    inside.wait_for_load_state()
    assert inside.url.startswith("chrome-error://")

"""kaqi.js in a real browser: nothing twice, nothing to strangers, and nothing lost."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from plugin import main
from plugin.activation.problem import Problem
from tests.browser.till_page import TOKEN, Played, playing, run, vendor_site
from tests.waiting import wait_until

START = """(k, address, token) =>
  new k.Kaqi({address, token}).start("pharmacy", {posRef: "4711"})"""
ONE = {"id": "t-1", "seq": 3, "state": "waiting_card"}
EVENTS = (
    "event: stream.snapshot\ndata: {}\n\n"
    ": still here\n\n"
    'event: card.inserted\nid: 7\ndata: {"读卡器": "一号窗口 😀"}\n\n'
    "event: card.removed\r\nid: 8\r\ndata: 1\r\n\r\n"
    'event: several\nid: 9\ndata: {"a":\ndata: 2}\n\n'
    "event: nothing\n\n"
    "event: unfinished\ndata: 3\n"
)
TOLD = [
    {"type": "stream.snapshot", "id": None, "data": {}},
    {"type": "card.inserted", "id": "7", "data": {"读卡器": "一号窗口 😀"}},
    {"type": "card.removed", "id": "8", "data": 1},
    {"type": "several", "id": "9", "data": {"a": 2}},
]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with vendor_site(tmp_path_factory.mktemp("site")) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def tab(chromium: Browser) -> Iterator[Page]:
    opened = chromium.new_page()
    yield opened
    opened.close()


@pytest.fixture
def page(tab: Page, site: str) -> Page:
    """Loaded anew, and nothing is left of before."""
    tab.goto(site)
    return tab


@pytest.fixture
def agent() -> Iterator[Played]:
    with playing() as played:
        yield played


def test_its_hashes_are_those_of_the_standards(page: Page) -> None:
    texts = ["a" * length for length in range(140)] + ["abc", "卡启", "x" * 5_000]

    found = page.evaluate(
        """async (texts) => {
          const {sha256, hmacSha256, toHex} = await import("/sha256.js");
          const bytes = (text) => new TextEncoder().encode(text);
          return texts.map((text) => [toHex(sha256(bytes(text))),
                                      toHex(hmacSha256(bytes(text), bytes("data")))]);
        }""",
        texts,
    )

    assert found == [
        [
            hashlib.sha256(text.encode()).hexdigest(),
            hmac.digest(text.encode(), b"data", "sha256").hex(),
        ]
        for text in texts
    ]


def test_the_proof_is_the_one_that_the_api_describes(page: Page) -> None:
    nonce = "000102030405060708090a0b0c0d0e0f"

    found = run(page, "(k, ...said) => k.proofOf(...said)", TOKEN, nonce, "127.0.0.1:1")

    key = hashlib.sha256(TOKEN.encode()).digest()
    message = f"kaqi-hello\n{nonce}\n127.0.0.1:1".encode()
    assert found == hmac.digest(key, message, "sha256").hex()


def test_a_lost_answer_is_asked_for_again_with_the_same_key(
    page: Page, agent: Played
) -> None:
    agent.answers["/v1/transactions"] = (202, ONE)
    agent.silences = 2

    found = run(page, START, agent.address, TOKEN)

    assert found == ONE
    assert [each.path for each in agent.asked] == ["/v1/transactions"] * 3
    assert len({each.key for each in agent.asked}) == 1
    assert agent.asked[0].key


def test_every_click_has_a_key_of_its_own_unless_the_pos_has_one(
    page: Page, agent: Played
) -> None:
    script = """async (k, address, token) => {
      const kaqi = new k.Kaqi({address, token});
      await kaqi.start("pharmacy");
      await kaqi.start("pharmacy");
      await kaqi.start("pharmacy", {key: "sale-4711"});
    }"""

    run(page, script, agent.address, TOKEN)

    keys = [each.key for each in agent.asked]
    assert len(set(keys)) == 3
    assert keys[2] == "sale-4711"


def test_an_agent_that_never_answers_is_unreachable(page: Page, agent: Played) -> None:
    agent.silences = 99

    found = run(page, START, agent.address, TOKEN)

    assert found["thrown"] == "browser.agent_unreachable"
    assert len(agent.asked) == 3


def test_an_answer_that_does_not_come_is_not_waited_for(
    page: Page, agent: Played
) -> None:
    script = """(k, address, token) => new k.Kaqi({address, token})
      .call("GET", "/v1/readers", {patience: 0})"""

    found = run(page, script, agent.address, TOKEN)

    assert found["thrown"] == "browser.agent_unreachable"


def test_who_loses_interest_is_not_told_that_the_agent_is_gone(
    page: Page, agent: Played
) -> None:
    script = """(k, address, token) => new k.Kaqi({address, token})
      .next({id: "t-1", seq: 1}, {signal: AbortSignal.abort()})"""

    found = run(page, script, agent.address, TOKEN)

    assert found["thrown"] == "AbortError"
    assert not agent.saw(TOKEN)


def test_a_squatter_on_the_port_never_sees_the_token(page: Page, agent: Played) -> None:
    agent.proves = False

    found = run(page, START, agent.address, TOKEN)

    assert found["thrown"] == "client.impostor"
    assert [each.path for each in agent.received] == ["/v1/hello"] * 2  # a preflight
    assert not agent.saw(TOKEN)


@pytest.mark.parametrize("change", ["a silence", "a lost connection"])
def test_who_takes_the_port_later_never_sees_the_token(
    page: Page, agent: Played, change: str
) -> None:
    start = "globalThis.kaqi = new k.Kaqi({address, token}); return kaqi.readers();"
    run(page, f"(k, address, token) => {{ {start} }}", agent.address, TOKEN)
    agent.received.clear()

    if change == "a silence":
        page.evaluate(
            "{ const now = performance.now() + 4e3; performance.now = () => now; }"
        )
    else:
        agent.silences = 1
        run(page, "() => kaqi.readers()")
        agent.received.clear()
    agent.proves = False
    found = run(page, "() => kaqi.readers()")

    assert found["thrown"] == "client.impostor"
    assert not agent.saw(TOKEN)


def test_a_busy_client_is_not_asked_for_its_hello_again(
    page: Page, agent: Played
) -> None:
    script = """async (k, address, token) => {
      const kaqi = new k.Kaqi({address, token});
      for (let n = 0; n < 5; n++) await kaqi.readers();
    }"""

    run(page, script, agent.address, TOKEN)

    said = [each for each in agent.received if each.method == "POST"]
    assert [each.path for each in said] == ["/v1/hello"]
    assert len(agent.asked) == 5


def test_a_refusal_carries_its_code_and_its_sentences(
    page: Page, agent: Played
) -> None:
    refused = main.catalogue().body(Problem("reader.busy"), "trace")
    agent.answers["/v1/transactions"] = (409, refused)

    found = run(page, START, agent.address, TOKEN)

    assert (found["thrown"], found["status"]) == ("reader.busy", 409)
    assert found["messages"] == refused["messages"]
    assert found["remedy"] == refused["remedy"]
    assert len(agent.asked) == 1


def test_what_the_agent_cannot_say_is_said_in_the_words_of_its_catalogue(
    page: Page,
) -> None:
    said = run(page, "(k) => k.PROBLEMS")

    catalogue = main.catalogue()
    assert said == {
        code: {
            key: catalogue.body(Problem(code))[key]
            for key in ("category", "retry", "action", "messages", "remedy")
        }
        for code in said
    }
    assert len(said) == 4


POSTS = {
    "confirm": ("kaqi.confirm(one)", {}),
    "cancel": ("kaqi.cancel(one)", {}),
    "continue": ("kaqi.continue(one)", {}),
    "acknowledge": ("kaqi.acknowledge(one)", {}),
    "pin": (
        'kaqi.pin(one, {pin: "1", newPin: "2", confirmLastTry: true})',
        {"pin": "1", "new_pin": "2", "seq": 3, "confirm_last_try": True},
    ),
}
GETS = {
    'kaqi.get("t-1")': "/v1/transactions/t-1",
    "kaqi.next(one)": "/v1/transactions/t-1?wait=25&after_seq=3",
    "kaqi.transactions()": "/v1/transactions",
    'kaqi.transactions({posRef: "a/b"})': "/v1/transactions?pos_ref=a%2Fb",
    "kaqi.transactions({unacknowledged: true})": "/v1/transactions?unacknowledged=true",
    "kaqi.activations()": "/v1/activations?limit=100",
    "kaqi.readers()": "/v1/readers",
    "kaqi.errors()": "/v1/errors",
}


def test_every_verb_has_its_request(page: Page, agent: Played) -> None:
    settled = 'kaqi.settle("a-1", {verdict: "active", reason: "r", operatorRef: "o"})'
    calls = [*GETS, *(call for call, _ in POSTS.values()), settled]
    script = f"""async (k, address, token, one) => {{
      const kaqi = new k.Kaqi({{address, token}});
      for (const call of [{", ".join(f"() => {each}" for each in calls)}]) await call();
    }}"""

    run(page, script, agent.address, TOKEN, ONE)

    asked = [(each.method, each.path, each.body) for each in agent.asked]
    verdict = {"verdict": "active", "reason": "r", "operator_ref": "o"}
    assert asked == [
        *(("GET", path, None) for path in GETS.values()),
        *(
            ("POST", f"/v1/transactions/t-1/{verb}", body)
            for verb, (_, body) in POSTS.items()
        ),
        ("POST", "/v1/activations/a-1/settle", verdict),
    ]
    assert all((each.method == "POST") == bool(each.key) for each in agent.asked)


def test_events_are_the_same_wherever_the_stream_is_cut(page: Page) -> None:
    raw = list(EVENTS.encode())
    script = """async (k, raw) => {
      const cuts = [1, 2, 3, 5, 7, 64, raw.length];
      return Promise.all(cuts.map(async (size) => {
        const body = new ReadableStream({start(controller) {
          for (let at = 0; at < raw.length; at += size)
            controller.enqueue(new Uint8Array(raw.slice(at, at + size)));
          controller.close();
        }});
        const found = [];
        for await (const event of k.eventsIn(body)) found.push(event);
        return found;
      }));
    }"""

    found = run(page, script, raw)

    assert found == [TOLD] * 7


def test_events_go_on_after_a_broken_connection(page: Page, agent: Played) -> None:
    def event(number: int) -> bytes:
        return f"event: card.inserted\nid: {number}\ndata: {number}\n\n".encode()

    agent.streams = [event(4) + event(5), event(6)]
    script = """async (k, address, token) => {
      const found = [];
      for await (const {id} of new k.Kaqi({address, token}).events({after: 3})) {
        found.push(id);
        if (id === "6") return found;
      }
    }"""

    found = run(page, script, agent.address, TOKEN)

    assert found == ["4", "5", "6"]
    assert [each.headers["last-event-id"] for each in agent.asked] == ["3", "5"]


def test_a_follower_comes_again_where_there_was_no_room(
    page: Page, agent: Played
) -> None:
    full = main.catalogue().body(Problem("stream.too_many_clients"))
    agent.answers["/v1/events"] = (503, full)
    script = """async (k, address, token) => {
      const later = setTimeout;
      globalThis.setTimeout = (work, ms) => later(work, ms === 1_000 ? 10 : ms);
      const following = new k.Kaqi({address, token}).events()[Symbol.asyncIterator]();
      globalThis.next = following.next();
    }"""
    run(page, script, agent.address, TOKEN)
    wait_until(lambda: len(agent.asked) > 0)

    agent.streams = [b"event: card.removed\nid: 1\ndata: 1\n\n"]
    found = run(page, "async () => (await next).value.type")

    assert found == "card.removed"
    assert {each.path for each in agent.asked} == {"/v1/events"}
    assert len(agent.asked) >= 2


def test_a_follower_that_may_not_follow_is_told(page: Page, agent: Played) -> None:
    agent.answers["/v1/events"] = (403, main.catalogue().body(Problem("auth.scope")))
    script = """async (k, address, token) => {
      for await (const _ of new k.Kaqi({address, token}).events()) return "an event";
    }"""

    found = run(page, script, agent.address, TOKEN)

    assert found["thrown"] == "auth.scope"


BEGUN = {
    "id": "p-1",
    "code": "123456",
    "secret": "a secret",
    "expires_at": "2026-01-01T00:00:00+08:00",
    "poll_seconds": 0,
}
PAIR = """async (k, address) => {
  const shown = [];
  const token = await k.pair({address, client: "pos", version: "1", scopes: ["read"],
                              showCode: (...said) => shown.push(said)});
  return {shown, token};
}"""


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (
            {"state": "approved", "token": TOKEN},
            {"shown": [["123456", BEGUN["expires_at"]]], "token": TOKEN},
        ),
        ({"state": "denied", "token": None}, "pairing.ended"),
        ({"state": "expired", "token": None}, "pairing.ended"),
    ],
)
def test_a_page_is_paired_or_told_that_it_is_not(
    page: Page, agent: Played, seen: object, found: object
) -> None:
    agent.answers["/v1/pairings"] = (201, BEGUN)
    agent.answers["/v1/pairings/p-1"] = (200, seen)

    ended = run(page, PAIR, agent.address)

    assert ended.get("thrown", ended) == found
    assert agent.asked[0].body == {"client": "pos", "version": "1", "scopes": ["read"]}
    assert agent.asked[1].headers["authorization"] == "Bearer a secret"


def test_what_has_nothing_to_say_is_an_answer(page: Page, agent: Played) -> None:
    agent.answers["/v1/simulate/readers/r/remove"] = (204, None)
    script = """(k, address, token) => new k.Kaqi({address, token})
      .call("POST", "/v1/simulate/readers/r/remove", {body: {}})"""

    found = run(page, script, agent.address, TOKEN)

    assert found == {}


@pytest.mark.parametrize("answer", [(404, {"detail": "Not Found"}), (200, None)])
def test_another_program_on_the_port_is_not_the_agent(
    page: Page, agent: Played, answer: tuple[int, object]
) -> None:
    agent.hello = answer

    found = run(page, START, agent.address, TOKEN)

    assert found["thrown"] in ("browser.agent_unreachable", "client.impostor")
    assert not agent.saw(TOKEN)


def test_what_it_sends_is_what_it_was_told_to(page: Page, agent: Played) -> None:
    run(page, START, agent.address, TOKEN)

    sent = agent.asked[0]
    assert sent.headers["authorization"] == f"Bearer {TOKEN}"
    assert "cookie" not in sent.headers
    assert sent.body == {
        "kind": "activation",
        "scenario": "pharmacy",
        "pos_ref": "4711",
    }

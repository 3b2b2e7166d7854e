"""How often somebody may ask, what is told of those who were turned away, and who may open
a page: the guard alone, with a clock that is moved by hand."""

from __future__ import annotations

import asyncio

import pytest

from tests.api.asking import ask
from tests.api.entrance import PORT, Entrance


@pytest.fixture
def entrance() -> Entrance:
    return Entrance()


def test_a_client_may_ask_a_hundred_times_at_once_and_twenty_times_a_second(
    entrance: Entrance,
) -> None:
    at_once = entrance.times(101)
    entrance.seconds += 1
    after_a_second = entrance.times(21)
    entrance.seconds += 5
    after_five = entrance.times(101)

    assert at_once == [*[204] * 100, 429]
    assert after_a_second == [*[204] * 20, 429]
    assert after_five == [*[204] * 100, 429]


def test_who_asks_too_often_is_told_when_to_come_again(entrance: Entrance) -> None:
    entrance.times(100)

    answer = entrance.ask()

    assert (answer.status, answer.code) == (429, "client.rate_limited")
    assert answer.headers["retry-after"] == "1"
    assert answer.body["retry_after"] == 1


def test_one_client_that_asks_too_often_keeps_no_other_out(entrance: Entrance) -> None:
    entrance.times(150)

    assert entrance.times(100, "another") == [204] * 100


def test_eleven_wrong_tokens_in_a_minute_are_followed_by_a_minutes_pause(
    entrance: Entrance,
) -> None:
    first = entrance.times(10, "wrong")
    entrance.seconds += 59
    eleventh = entrance.ask("wrong")
    entrance.seconds += 59
    twelfth = entrance.ask("guessed")
    entrance.seconds += 1
    later = entrance.times(10, "wrong")

    assert first == [401] * 10
    assert (eleventh.code, eleventh.headers["retry-after"]) == (
        "client.rate_limited",
        "60",
    )
    assert (twelfth.status, twelfth.headers["retry-after"]) == (429, "1")
    assert later == [401] * 10


def test_wrong_tokens_now_and_then_are_no_reason_to_pause(entrance: Entrance) -> None:
    for _ in range(50):
        assert entrance.ask("wrong").code == "auth.token_invalid"
        entrance.seconds += 6


def test_no_wrong_token_keeps_a_right_one_out(entrance: Entrance) -> None:
    entrance.times(30, "wrong")

    assert entrance.times(100) == [204] * 100


def test_what_is_refused_is_counted_and_told_once_a_minute(entrance: Entrance) -> None:
    for _ in range(1_000):
        entrance.ask(host="evil.example")
    entrance.ask(origin="null")
    entrance.ask("unknown")
    entrance.ask(method="POST", content_type="text/plain")
    told = list(entrance.told)
    entrance.seconds += 60
    entrance.ask(host="evil.example")

    assert told == [
        ("auth.host_denied", 1),
        ("auth.origin_denied", 1),
        ("auth.token_invalid", 1),
    ]
    assert entrance.told[3:] == [("auth.host_denied", 1_001)]
    assert entrance.guard.rejections == {
        "auth.host_denied": 1_001,
        "auth.origin_denied": 1,
        "auth.token_invalid": 1,
        "request.not_json": 1,
    }


@pytest.mark.parametrize(
    ("path", "method", "site", "status"),
    [
        ("/", "GET", "none", 204),
        ("/", "GET", "same-origin", 204),
        ("/", "GET", "cross-site", 403),
        ("/", "GET", "same-site", 403),
        ("/", "HEAD", "none", 403),
        ("/kaqi.js", "GET", "same-origin", 204),
        ("/kaqi.js", "GET", "none", 403),
        ("/v1/readers", "GET", "none", 403),
    ],
)
def test_only_a_page_is_opened_by_its_address_and_none_by_a_link_from_elsewhere(
    entrance: Entrance, path: str, method: str, site: str, status: int
) -> None:
    answer = entrance.ask(path=path, method=method, sec_fetch_site=site)

    assert answer.status == status


@pytest.mark.parametrize(
    ("length", "status"),
    [("65536", 204), ("65537", 413), ("9999999999", 413), ("-1", 413), ("²", 413)],
)
def test_a_body_is_measured_before_it_is_read(
    entrance: Entrance, length: str, status: int
) -> None:
    answer = entrance.ask(
        method="POST", content_type="application/json", content_length=length
    )

    assert answer.status == status


@pytest.mark.parametrize(
    "target",
    [
        "*",
        "http://127.0.0.1:15274/v1/readers",
        "https://127.0.0.1:15274/v1/readers",
        "%2Fv1/readers",
        "127.0.0.1:15274",
    ],
)
def test_only_a_path_is_a_target(entrance: Entrance, target: str) -> None:
    assert entrance.ask(path=target).code == "auth.host_denied"


def test_two_answers_to_where_it_comes_from_are_none(entrance: Entrance) -> None:
    headers = [
        ("host", f"127.0.0.1:{PORT}"),
        ("authorization", "Bearer right"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "cross-site"),
    ]

    answer = asyncio.run(ask(entrance.guard, "GET", "/v1/readers", headers))

    assert answer.code == "auth.origin_denied"


@pytest.mark.parametrize(
    "peer", [("192.168.1.7", 50_000), ("::ffff:10.0.0.1", 1), None]
)
def test_who_is_not_on_this_machine_is_not_heard(
    entrance: Entrance, peer: tuple[str, int] | None
) -> None:
    headers = [("host", f"127.0.0.1:{PORT}"), ("authorization", "Bearer right")]

    answer = asyncio.run(ask(entrance.guard, "GET", "/v1/readers", headers, peer=peer))

    assert answer.code == "auth.host_denied"


def test_a_page_may_load_what_is_ours_and_nothing_else_anything(
    entrance: Entrance,
) -> None:
    page = entrance.ask(path="/").headers["content-security-policy"]
    script = entrance.ask(path="/kaqi.js").headers["content-security-policy"]
    answer = entrance.ask().headers["content-security-policy"]

    assert page.startswith("default-src 'self'; ")
    assert "frame-ancestors 'none'" in page
    assert "unsafe" not in page
    assert script == answer == "default-src 'none'; frame-ancestors 'none'"

"""What the console decides without a screen: the modules themselves, in Chromium, from the
agent's own pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.screens import SCREENS, shown, staged
from tests.centre import CentreProcess

CHINESE = re.compile("[\u4e00-\u9fff]")
HOLE = re.compile(r"\{(\w+)\}")
BOTH_ALIKE = {"product", "other_language"}  # a name, and the other language's own


@pytest.fixture(scope="module")
def page(chromium: Browser, session_centre: CentreProcess) -> Iterator[Page]:
    """A page of the agent's; nobody is signed in."""
    with staged(SCREENS["signed-out"], chromium, session_centre) as stage:
        yield stage.page


def run(page: Page, module: str, script: str, *given: object) -> Any:  # noqa: ANN401 - what JSON holds
    """Run this with the module as `m`."""
    return page.evaluate(
        f"async given => {{ const m = await import('/{module}.js');"
        f" return ({script})(m, ...given); }}",
        list(given),
    )


# Words


def test_every_sentence_has_the_same_holes_in_both_languages(page: Page) -> None:
    words = run(page, "words", "m => m.WORDS")

    uneven = [
        key
        for key, (chinese, english) in words.items()
        if sorted(HOLE.findall(chinese)) != sorted(HOLE.findall(english))
    ]

    assert len(words) > 100
    assert uneven == []


def test_chinese_comes_first_and_english_is_english(page: Page) -> None:
    words = run(page, "words", "m => m.WORDS")

    swapped = [
        key
        for key, (chinese, english) in words.items()
        if key not in BOTH_ALIKE
        and (not CHINESE.search(chinese) or CHINESE.search(english))
    ]

    assert swapped == []


@pytest.mark.parametrize(
    ("language", "values", "said"),
    [
        ("zh-CN", {"seconds": 9}, "剩余 9 秒"),
        ("en", {"seconds": 9}, "9 s left"),
        ("en", {"seconds": 0}, "0 s left"),
        ("en", {}, "{seconds} s left"),
        ("fr", {"seconds": 9}, "剩余 9 秒"),
    ],
)
def test_a_sentence_is_filled(
    page: Page, language: str, values: dict[str, int], said: str
) -> None:
    script = "(m, language, values) => m.speaker(language)('seconds_left', values)"

    assert run(page, "words", script, language, values) == said


def test_a_sentence_that_nobody_wrote_is_a_mistake(page: Page) -> None:
    script = "m => { try { return m.speaker('en')('nothing'); }"

    said = run(page, "words", script + " catch (wrong) { return wrong.message; } }")

    assert said == "no words for nothing"


# PINs

SIX = {"digits_min": 6, "digits_max": 6, "entry": "present"}
NEW = {**SIX, "entry": "new"}
WIDE = {"digits_min": 4, "digits_max": 8, "entry": "present"}


@pytest.mark.parametrize(
    ("expects", "typed", "objection"),
    [
        pytest.param(SIX, ["246813"], None, id="six"),
        pytest.param(SIX, ["24681"], "pin_length", id="five"),
        pytest.param(SIX, ["2468135"], "pin_length", id="seven"),
        pytest.param(SIX, [""], "pin_length", id="nothing"),
        pytest.param(SIX, ["24681x"], "pin_length", id="a letter"),
        pytest.param(SIX, ["２４６８１３"], "pin_length", id="wide digits"),
        pytest.param(SIX, ["246813\n"], "pin_length", id="a line end"),
        pytest.param(WIDE, ["2468"], None, id="the fewest"),
        pytest.param(WIDE, ["24681357"], None, id="the most"),
        pytest.param(NEW, ["246813", "135792", "135792"], None, id="new"),
        pytest.param(NEW, ["246813", "135792", "135793"], "pin_differs", id="differs"),
        pytest.param(NEW, ["246813", "13579", "13579"], "pin_length", id="new, short"),
        pytest.param(NEW, ["", "135792", "135792"], "pin_length", id="new, no old"),
    ],
)
def test_what_must_not_go_to_a_card_is_objected_to(
    page: Page, expects: dict[str, Any], typed: list[str], objection: str | None
) -> None:
    script = "(m, expects, [pin, fresh, again]) => m.objectionTo(expects, pin, fresh, again, null)"

    assert run(page, "pin", script, expects, typed) == objection


@pytest.mark.parametrize("checked", [False, True])
def test_the_last_try_is_not_spent_before_the_holder_said_so(
    page: Page, checked: bool
) -> None:
    script = (
        "(m, expects, checked) => m.objectionTo(expects, '246813', '', '', {checked})"
    )

    assert (run(page, "pin", script, SIX, checked) is None) is checked


# Today

NOW = "2026-11-23T09:00:00"
RECORDS = [
    # id, state, needs a person, received, reference
    ("old", "ACTIVE", False, "2026-11-20T09:00:00", "A-1"),
    ("early", "ACTIVE", False, "2026-11-23T08:00:00", "A-2"),
    ("late", "REJECTED", False, "2026-11-23T08:30:00", None),
    ("doubt", "UNKNOWN", False, "2026-11-20T09:00:00", "b-3"),
    ("person", "MANUAL", True, "2026-11-19T09:00:00", "B-4"),
]


@pytest.mark.parametrize(
    ("wanted", "every_day", "expected"),
    [
        pytest.param(
            "", False, ["person", "doubt", "late", "early"], id="today and open"
        ),
        pytest.param("", True, ["person", "doubt", "late", "early", "old"], id="all"),
        pytest.param("A-", True, ["early", "old"], id="by reference"),
        pytest.param(" b-", True, ["person", "doubt"], id="however it is written"),
        pytest.param("C", True, [], id="not there"),
    ],
)
def test_what_needs_somebody_comes_first(
    page: Page, wanted: str, every_day: bool, expected: list[str]
) -> None:
    records = [
        {
            "id": name,
            "state": state,
            "needs_a_person": person,
            "received_at": received,
            "pos_ref": reference,
        }
        for name, state, person, received, reference in RECORDS
    ]
    script = """(m, records, wanted, everyDay, now) =>
      m.chosen(records, wanted, everyDay, new Date(now)).map(each => each.id)"""

    assert run(page, "today", script, records, wanted, every_day, NOW) == expected


# Elements


@pytest.mark.parametrize(
    ("built", "markup"),
    [
        ("h('p', {}, 'one', ['two', [null, false, undefined, '3']])", "<p>onetwo3</p>"),
        (
            "h('input', {required: true, hidden: false, name: null, size: 0})",
            '<input required="" size="0">',
        ),
        ("h('p', {}, '<b>&')", "<p>&lt;b&gt;&amp;</p>"),
        ("svg('rect', {rx: 2})", '<rect rx="2"></rect>'),
    ],
)
def test_an_element_is_what_was_asked_for(page: Page, built: str, markup: str) -> None:
    script = f"m => {{ const {{h, svg}} = m; return ({built}).outerHTML; }}"

    assert run(page, "dom", script) == markup


# Time


def test_the_countdown_goes_down(chromium: Browser, centre: CentreProcess) -> None:
    screen = SCREENS["waiting-card"]
    script = """() => {
      const said = document.querySelector(".countdown").textContent.match(/\\d+/g).map(Number);
      return said.length > 1 ? said[0] * 60 + said[1] : said[0];
    }"""
    with staged(screen, chromium, centre) as stage:
        next(shown(screen, stage))
        first = stage.page.evaluate(script)
        stage.page.wait_for_function(f"first => ({script})() < first", arg=first)

    assert 0 < first <= 120


# Which card goes where

READER = {"role": "customer", "transaction": None, "slot": "empty", "card": None}
OLD_IN = {"slot": "present", "card": {"role": "medical", "accepted": True}}
OLD_TURNED_AWAY = {"slot": "present", "card": {"role": "medical", "accepted": False}}
UNREAD = {"slot": "mute", "card": {"role": None, "accepted": False}}
WAITS = {"state": "waiting_card", "id": "t", "role": "social_security"}
WRONG = {**WAITS, "problem": {"code": "card.unsupported"}}
OVER = {"state": "succeeded", "id": "t", "role": None}


@pytest.mark.parametrize(
    ("now", "readers", "moves"),
    [
        pytest.param(WAITS, [{}], [], id="one reader is no choice"),
        pytest.param(WAITS, [OLD_IN, {}], [("put_in", "B", None)], id="the free one"),
        pytest.param(
            WAITS, [{}, {}], [("put_in", "A", None), ("put_in", "B", None)], id="either"
        ),
        pytest.param(
            WRONG, [OLD_IN, UNREAD], [("take_out", "B", None)], id="the mute one"
        ),
        pytest.param(
            WRONG,
            [OLD_TURNED_AWAY, {}],
            [("take_out", "A", "medical")],
            id="read, and not wanted",
        ),
        pytest.param(
            WAITS, [{"transaction": "u"}, {}, {}], [("put_in", "B", None), ("put_in", "C", None)], id="another's"
        ),
        pytest.param(OVER, [OLD_IN, {}], [("take_out", "A", "medical")], id="over"),
        pytest.param(OVER, [{}, {}], [], id="over and out"),
        pytest.param({"state": "checking", "id": "t"}, [OLD_IN], None, id="no matter"),
    ],
)  # fmt: skip
def test_every_card_has_its_place(
    page: Page,
    now: dict[str, Any],
    readers: list[dict[str, Any]],
    moves: list[tuple[str, str, str | None]] | None,
) -> None:
    named = [
        {**READER, "id": name, "name": name, **each}
        for name, each in zip("ABC", readers, strict=False)
    ]

    found = run(
        page, "where", "(m, now, readers) => m.movesAt(now, readers)", now, named
    )

    told = found and [(each["move"], each["reader"], each["role"]) for each in found]
    assert told == moves

"""The catalogue is whole: every code has words, every word has a use."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

from drivers import errors as driver_errors
from plugin import data_file, main
from plugin.activation import desk, flow, region
from plugin.activation.problem import Problem, Refusal
from plugin.activation.region import Role, Scenario
from plugin.activation.saga import Dedupe
from plugin.agent import doctor
from plugin.api.problems import Entry
from plugin.api.wording import Wording
from plugin.card import errors as card_errors
from plugin.centre import port as centre_port
from plugin.commands.wording import WORDING
from plugin.journal import port as journal_port
from plugin.settings import InstitutionKind

ROOT = Path(__file__).parents[2]
CATALOGUE = main.catalogue()
ENTRIES = {entry.code: entry for entry in CATALOGUE}
FAMILIES = {code.split(".")[0] for code in ENTRIES}
CATEGORIES = {
    "patient",
    "card",
    "reader",
    "operator",
    "agent",
    "centre",
    "integrator",
    "security",
}
CHINESE = re.compile(r"[\u3001-\u303f\u4e00-\u9fff\uff00-\uffef]")
EVENTS = re.compile(
    r"(card\.(inserted|recognised)|reader\.(attached|detached|changed|faulted)|stream\.(gap|snapshot)"
    r"|transaction\.(created|changed|completed|input_required|in_doubt)"
    r"|transaction\.(un)?acknowledged"
    r"|agent\.(started|stopping|degraded|recovered|json)|activation\.changed"
    r"|client\.(paired|revoked)|security\.rejected)"
)


def codes_in_the_source() -> set[str]:
    """Every string in the source that looks like a code of a known family."""
    pattern = re.compile(rf'"((?:{"|".join(sorted(FAMILIES))})\.[a-z_.]+)"')
    found = set()
    written = ("plugin/**/*.py", "drivers/**/*.py", "console/*.js")
    for file in (file for where in written for file in ROOT.glob(where)):
        found |= set(pattern.findall(file.read_text(encoding="utf-8")))
    return {code for code in found if not EVENTS.fullmatch(code)}


def test_every_code_in_the_source_is_in_the_catalogue() -> None:
    assert codes_in_the_source() - set(ENTRIES) == set()


def test_every_code_in_the_catalogue_is_in_the_source() -> None:
    assert set(ENTRIES) - codes_in_the_source() == set()


@pytest.mark.parametrize(
    "module", [driver_errors, card_errors, centre_port, journal_port]
)
def test_every_error_names_a_code_of_the_catalogue(module: object) -> None:
    classes = [each for each in vars(module).values() if isinstance(each, type)]
    codes = {each.code for each in classes if hasattr(each, "code")}

    assert codes
    assert codes <= set(ENTRIES)


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.code)
def test_every_entry_says_what_is_wrong_and_what_to_do(entry: Entry) -> None:
    assert entry.category in CATEGORIES
    assert entry.retry in {"none", "same_request", "new_transaction", "after_action"}
    assert 200 <= entry.http < 600
    assert entry.zh.endswith(("。", "）。", "{reason}", "{path}"))
    assert entry.en.endswith((".", "{reason}", "{path}"))
    assert len(entry.todo_zh) == len(entry.todo_en)
    assert entry.todo_zh or entry.ways or entry.action == "none"
    for chinese, english in (
        (entry.zh, entry.en),
        *zip(entry.todo_zh, entry.todo_en, strict=True),
    ):
        assert chinese
        assert _fields(chinese) == _fields(english)
        assert not CHINESE.search(english)


def _fields(sentence: str) -> set[str]:
    """The facts a sentence needs; those with a language are one."""
    named = (name for _, name, _, _ in string.Formatter().parse(sentence) if name)
    return {re.sub("_(zh|en)$", "", name) for name in named}


@pytest.mark.parametrize("code", ["card.lost", "card.suspended", "card.not_handed_out"])
def test_a_refusal_shows_the_way_back_and_the_centres_words(code: str) -> None:
    body = CATALOGUE.body(Problem(code, centre=Refusal(code="2", text="原话")), "trace")

    assert body["remedy"]["zh-CN"]
    assert body["centre"] == {"code": "2", "text": "原话"}
    assert body["type"] == f"urn:kaqi:problem:{code}"
    assert body["trace_id"] == "trace"


def test_a_fact_that_is_missing_leaves_a_gap_and_no_traceback() -> None:
    body = CATALOGUE.body(Problem("card.status_word"))

    assert body["messages"]["en"] == "The card refused to be read (status )."


def test_a_part_whose_fact_is_missing_is_left_out() -> None:
    known = CATALOGUE.body(Problem("holder.under_age", {"age": "16"}))["messages"]
    unknown = CATALOGUE.body(Problem("holder.under_age"))["messages"]

    assert known["zh-CN"] == "持卡人未到本地规定的年龄（16 岁），要由监护人办理启用。"
    assert unknown["zh-CN"] == "持卡人未到本地规定的年龄，要由监护人办理启用。"
    assert "(under 16)" in known["en"]
    assert "(" not in unknown["en"]


def test_a_person_is_told_by_which_message_the_centre_finds_it() -> None:
    told = CATALOGUE.body(Problem("activation.needs_a_person", {"message": "M-77"}))

    assert "M-77" in told["remedy"]["zh-CN"][0]
    assert "M-77" in told["remedy"]["en"][0]


def test_a_forgotten_code_is_the_agents_own_failure() -> None:
    assert CATALOGUE.entry("no.such.code").code == "agent.failed"


def test_every_moment_of_a_transaction_has_its_words() -> None:
    needed = {state.name for state in desk.ALLOWED}
    needed -= {"waiting_card", "reading", "waiting_pin"}
    needed |= {
        f"{name}.{role}" for name in ("waiting_card", "reading") for role in Role
    }
    needed |= {f"waiting_removal.{role}" for role in Role}
    needed |= {
        f"waiting_pin.{role}{where}" for role in Role for where in ("", ".reader")
    }
    new = "waiting_pin.social_security.new"
    needed |= {new, f"{new}.reader", "waiting_pin.at_work"}
    needed |= {f"succeeded.{outcome}" for outcome in desk.Outcome}
    needed |= {"succeeded.will_activate_on_registration", "succeeded.would_activate"}
    needed |= {"in_doubt.needs_a_person", "in_doubt.card_must_return"}
    needed |= {"failed.begin_again", "waiting_registration"}
    needed.discard("succeeded")

    assert main.prompts().keys() == needed


def test_every_moment_is_said_in_both_languages() -> None:
    for said in main.texts("prompts")().values():
        assert set(said) == {"zh", "en"}
        assert CHINESE.search(said["zh"])
        assert not CHINESE.search(said["en"])


ENDS = ("succeeded.", "failed", "cancelled", "expired")


@pytest.mark.parametrize(
    "moment",
    sorted(key for key in main.texts("prompts")() if key.startswith(ENDS)),
)
def test_every_end_says_that_the_card_is_to_be_taken(moment: str) -> None:
    said = main.prompts().text(*moment.partition(".")[::2])

    assert "请取出卡片" in said.chinese
    assert re.search("take the cards?", said.english)


@pytest.mark.parametrize("why", [None, "needs_a_person", "card_must_return"])
def test_nobody_waits_for_a_doubt_to_end(why: str | None) -> None:
    said = main.prompts().text("in_doubt", why)

    assert "持卡人可以离开" in said.chinese
    assert "the holder may go" in said.english


def test_a_region_is_explained_in_words_of_which_none_is_missing_or_left_over() -> None:
    words = WORDING.book

    wanted: dict[str, set[str]] = {
        "actors": set(flow.Actor),
        "tasks": set(flow.Task),
        "kinds": set(InstitutionKind),
        "scenarios": set(Scenario),
        "by": set(region.ActivationBy),
        "old_pin": set(region.OldPin),
        "new_pin": set(region.NewPin),
        "new_pin_when": set(region.NewPinWhen),
        "counts_from": set(region.CountsFrom),
        "effects": set(region.Effect),
        "windows": {"activation", "financial"},
        "lost": {*Dedupe, "none_but_asked", "registration", "pin_change"},
    }
    assert {section: set(words[section]) for section in wanted} == wanted
    assert {f"match_{each}" for each in region.MatchBy} < set(words["holders"])
    for section, said in words.items():
        assert section in wanted or set(said) <= _named_in(
            "commands/region", "commands/explaining", "api/explaining"
        )
        for each in said.values():
            assert _fields(each.zh) == _fields(each.en)
            assert not re.search(CHINESE, each.en)


def _named_in(*rooms: str) -> set[str]:
    """Every string in these files, also where a value is put in."""
    files = [ROOT / "plugin" / f"{each}.py" for each in rooms]
    source = "".join(each.read_text(encoding="utf-8") for each in files)
    named = set(re.findall(r'"([a-z_]+)"', source))
    named |= {f"match_{each}" for each in region.MatchBy}
    return named | {f"typed_at_the_till_{each}" for each in Role}


def test_everything_that_is_examined_has_a_title() -> None:
    source = "".join(
        file.read_text(encoding="utf-8") for file in (ROOT / "plugin").rglob("*.py")
    )
    said = set(re.findall(r'Finding\(\s*name="(\w+)"', source))
    titles = Wording(main.texts("checks")).book["title"]

    assert set(titles) == said | set(doctor.GROUNDS.values())
    assert not any(re.search(CHINESE, each.en) for each in titles.values())


def test_every_receipt_has_its_words() -> None:
    words = main.texts("receipts")()

    assert set(words["title"]) == set(words["outcome"])
    assert set(words["title"]) == {"activated", "already_active", "not_checked"}
    assert set(words["scenario"]) == set(Scenario)
    for group in words.values():
        assert all(set(sentence) == {"zh", "en"} for sentence in group.values())


NOT_OURS = ("Expected ", "Integer ", "{what} ")  # msgspec's and tomllib's


def blanks(sentence: str) -> set[str]:
    return {name for _, name, *_ in string.Formatter().parse(sentence) if name}


def test_every_reason_why_a_file_is_refused_has_its_chinese_and_its_use() -> None:
    reasons = main.texts("mistakes")()["reasons"]
    files = (ROOT / "plugin").rglob("*.py")
    source = " ".join(file.read_text(encoding="utf-8") for file in files)

    for english, chinese in reasons.items():
        parts = [part for part, *_ in string.Formatter().parse(english) if part.strip()]
        ours = not english.startswith(NOT_OURS)
        assert not ours or max(parts, key=len) in source.replace('\\"', '"'), english
        assert CHINESE.search(chinese), english
        assert blanks(chinese) <= blanks(english), english


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("a sle4442 has 256 bytes", "sle4442 只有 256 字节"),
        ("Expected `int | null`, got `str`", "应为整数或空，却是文字"),
        (
            "Invalid value (at line 2, column 6)",
            "第 2 行第 6 列写法不对（Invalid value）",
        ),
        ("one of: {a}, b", "可以写：{a}, b"),
        ("nobody has translated this", "nobody has translated this"),
    ],
)
def test_a_reason_is_said_in_chinese(english: str, chinese: str) -> None:
    assert data_file.in_chinese(english) == chinese

"""The way back: complete, in both languages, and the region's own where it has one."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from plugin import main
from plugin.activation import desk
from plugin.activation.problem import Problem
from plugin.activation.region import CAUSES, HAVE_WAYS_BACK, Holders, RegionProfile
from plugin.activation.saga import Origin
from plugin.agent import views
from plugin.agent.views import TransactionView
from plugin.api.problems import Catalogue
from plugin.api.receipts import Receipts
from plugin.api.rendering import Rendering
from plugin.api.ways import Ways
from plugin.commands import screen
from plugin.profile_file import REGIONS, load_profile
from tests.unit.test_texts import CHINESE
from tests.unit.worlds import PROFILE

BOOK: dict[str, Any] = main.texts("ways")()
CODES: dict[str, dict[str, Any]] = main.texts("problems")()
REGION_NAMES = sorted(each.stem for each in REGIONS.glob("*.toml"))
ORIGIN = Origin(
    intent_id="i",
    client_id="c",
    scenario="pharmacy",
    institution="h",
    profile="p",
    test_data=True,
)


def told(code: str, profile: RegionProfile | None = None) -> dict[str, Any]:
    """What clients are told of a problem."""
    return main.catalogue(profile).body(Problem(code))


def keys(body: Mapping[str, Any]) -> list[str]:
    """The ways out of it."""
    return [way["key"] for way in body["way_back"]]


def pairs(place: Any) -> Iterator[dict[str, str]]:  # noqa: ANN401 - a file
    """Everything in a file that is said in both languages."""
    match place:
        case {"zh": _} | {"en": _}:
            yield place
        case dict():
            for inner in place.values():
                yield from pairs(inner)
        case list():
            for inner in place:
                yield from pairs(inner)
        case _:
            pass


@pytest.mark.parametrize("code", sorted(HAVE_WAYS_BACK))
def test_every_refusal_has_a_way_back_in_both_languages(code: str) -> None:
    body = told(code)

    assert keys(body)
    assert keys(body) == CODES[code]["ways"]
    for chinese, english in zip(
        body["remedy"]["zh-CN"], body["remedy"]["en"], strict=True
    ):
        assert CHINESE.search(chinese)
        assert not CHINESE.search(english)
    for stop in (stop for way in body["way_back"] for stop in way["stops"]):
        for said in (stop["place"], stop["what"], *stop["documents"]):
            assert said["zh-CN"]
            assert said["en"]
        assert stop["proxy_documents"] == []


def test_what_a_refusal_can_mean_has_a_way_back() -> None:
    assert CAUSES <= HAVE_WAYS_BACK


@pytest.mark.parametrize("name", REGION_NAMES)
def test_every_region_has_a_way_out_of_every_refusal(name: str) -> None:
    profile = load_profile(name)

    for code in HAVE_WAYS_BACK:
        body = told(code, profile)
        expected = profile.ways_back.get(code, CODES[code]["ways"])
        assert keys(body) == list(expected)
        assert body["remedy"]["zh-CN"]


def test_every_way_place_and_document_has_a_use() -> None:
    regions = [
        tomllib.loads(each.read_text("utf-8")) for each in REGIONS.glob("*.toml")
    ]
    named = [entry.get("ways", []) for entry in CODES.values()]
    named += [ways for region in regions for ways in region["ways_back"].values()]
    stops = [stop for way in BOOK["ways"].values() for stop in way]
    taken = [stop["documents"] for stop in stops] + [BOOK["proxy"]["documents"]]

    assert {way for ways in named for way in ways} == set(BOOK["ways"])
    assert {stop["place"] for stop in stops} == set(BOOK["places"])
    assert {each for group in taken for each in group} == set(BOOK["documents"])


def test_nothing_is_said_in_one_language_only() -> None:
    everything = [BOOK, CODES, main.texts("prompts")(), main.texts("receipts")()]
    said = [pair for file in everything for pair in pairs(file)]

    assert len(said) > 200
    for pair in said:
        assert pair["zh"]
        assert pair["en"]
        assert not CHINESE.search(pair["en"])


def test_one_stop_is_one_line() -> None:
    body = told("card.financial_window_over")

    assert body["remedy"]["zh-CN"][-1] == (
        "到合作银行网点：持卡人本人启用金融账户（带：持卡人有效身份证件原件、社会保障卡）"
    )
    assert body["remedy"]["en"][-1] == (
        "At an outlet of the cooperating bank: the holder in person has the financial "
        "application enabled (take along: a valid identity document of the holder, the "
        "original, the social security card)"
    )


def test_the_stops_of_a_longer_way_are_numbered() -> None:
    remedy = told("card.suspended")["remedy"]

    assert [line[:9] for line in remedy["zh-CN"]] == [
        "1. 到合作银行网",
        "2. 到人社部门指",
        "3. 到本机构：办",
    ]
    assert [line[:6] for line in remedy["en"]] == ["1. At ", "2. At ", "3. At "]


def test_alternatives_begin_with_or() -> None:
    lost = told("card.lost")["remedy"]
    missing = told("card.medical_missing")["remedy"]

    assert [line[:7] for line in lost["zh-CN"]] == [
        "1. 到社保中",
        "2. 到本机构",
        "或者：1. 到",
        "2. 到本机构",
    ]
    assert lost["en"][2].startswith("Or: 1. At the place where the loss was reported")
    assert [line.startswith("或者：到") for line in missing["zh-CN"]] == [
        False,
        True,
        True,
        True,
    ]
    assert missing["zh-CN"][2] == (
        "或者：到支付宝“市民中心”：依次打开“社保”“社保卡激活”，输入姓名和身份证号"
    )


def test_what_is_done_here_comes_before_the_ways() -> None:
    remedy = told("card.cancelled")["remedy"]

    assert remedy["zh-CN"][0] == CODES["card.cancelled"]["todo_zh"][0]
    assert remedy["zh-CN"][1].startswith("1. 到社保中心：补领")


def test_a_problem_without_a_way_has_none() -> None:
    assert told("card.mute")["way_back"] == []


def test_a_region_has_its_own_ways_and_places() -> None:
    profile = replace(
        PROFILE,
        ways_back={"card.medical_missing": ("activate_at_bank",)},
        places={"bank": {"zh-CN": "{农商行}", "en": "the {rural} bank"}},
    )

    missing, blocked = (
        told(f"card.medical_{why}", profile) for why in ("missing", "blocked")
    )

    assert keys(missing) == ["activate_at_bank"]
    assert missing["way_back"][0]["stops"][0]["place"] == {
        "zh-CN": "{农商行}",
        "en": "the {rural} bank",
    }
    assert missing["remedy"]["zh-CN"][0].startswith("到{农商行}：")
    assert keys(blocked) == CODES["card.medical_blocked"]["ways"]


def test_where_somebody_else_may_go_the_papers_for_that_are_named() -> None:
    places = frozenset({"social_security_centre", "bank"})
    profile = replace(PROFILE, holders=Holders(proxies=places))

    lost, suspended = (told(f"card.{why}", profile) for why in ("lost", "suspended"))

    first, here = lost["way_back"][0]["stops"]
    papers = [BOOK["documents"][key] for key in BOOK["proxy"]["documents"]]
    assert first["proxy_documents"] == [
        {"zh-CN": each["zh"], "en": each["en"]} for each in papers
    ]
    assert here["proxy_documents"] == []
    assert lost["remedy"]["zh-CN"][0].endswith(
        "（带：持卡人身份证；请人代办另带：代办人身份证、授权委托书）"
    )
    assert suspended["way_back"][0]["stops"][0]["proxy_documents"] == []


def test_the_catalogue_of_the_api_lists_the_ways() -> None:
    listed = Rendering(
        main.catalogue(), main.prompts(), receipts(), main.checks()
    ).catalogue_list()
    by_code = {each.code: each for each in listed.errors}

    suspended = by_code["card.suspended"]
    assert [way.key for way in suspended.way_back] == ["enable_financial_application"]
    assert len(suspended.remedy.chinese) == 3
    assert by_code["card.mute"].way_back == []


def test_a_terminal_prints_the_ways_as_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAQI_LANG", "zh")

    lines = screen.sentences(told("card.cancelled"))

    assert lines == [
        "这张社会保障卡已注销，不能再使用。",
        "  - 已领过新的社会保障卡的，用新卡办理；没有新卡的：",
        "  1. 到社保中心：补领新的社会保障卡（带：持卡人身份证）",
        "  2. 到本机构：拿到新卡后再来启用（带：社会保障卡）",
    ]


def test_the_file_of_ways_is_not_read_before_somebody_needs_one() -> None:
    def nobody() -> Mapping[str, Any]:
        raise AssertionError("it was read")

    catalogue = Catalogue(main.texts("problems"), Ways(nobody))

    assert catalogue.body(Problem("card.absent"))["way_back"] == []
    with pytest.raises(AssertionError, match="it was read"):
        catalogue.body(Problem("card.lost"))


OPENED = """
import sys
from pathlib import Path
seen = []
sys.addaudithook(lambda event, given: event == "open" and seen.append(str(given[0])))
from plugin import main
from plugin.profile_file import load_profile
profile = load_profile(sys.argv[1])
main.catalogue(profile), main.prompts(profile)
print(sorted({Path(each).name for each in seen if each.endswith(".toml")}))
"""


@pytest.mark.parametrize(
    ("region", "files"),
    [
        ("reference", ["reference.toml"]),
        ("v1-old-then-new", ["v1-old-then-new.toml", "ways.toml"]),
    ],
)
def test_a_start_reads_the_ways_only_where_the_region_names_some(
    region: str, files: list[str]
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", OPENED, region],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert ran.stdout.strip() == str(files)


# --- the moments ---------------------------------------------------------------------------


def receipts() -> Receipts:
    return Receipts(main.texts("receipts"), "试用药店")


def shown(view: TransactionView, profile: RegionProfile = PROFILE) -> dict[str, Any]:
    """A snapshot."""
    rendering = Rendering(
        main.catalogue(profile), main.prompts(profile), receipts(), main.checks()
    )
    plain: dict[str, Any] = msgspec.to_builtins(rendering.transaction(view))
    return plain


def view(state: str, **more: Any) -> TransactionView:  # noqa: ANN401 - any part of it
    return TransactionView(origin=ORIGIN, kind="activation", seq=1, state=state, **more)


@pytest.mark.parametrize(
    ("code", "key"),
    [
        (None, "in_doubt"),
        ("centre.answer_lost", "in_doubt"),
        ("activation.needs_a_person", "in_doubt.needs_a_person"),
        ("card.must_return", "in_doubt.card_must_return"),
    ],
)
def test_a_doubt_says_what_ends_it(code: str | None, key: str) -> None:
    problem = Problem(code) if code else None

    detail = views.shown(desk.InDoubt(), problem, PROFILE.pin).detail
    step = shown(view("in_doubt", detail=detail, commit="unknown"))["step"]

    assert step["key"] == key
    assert step["text"] == msgspec.to_builtins(
        main.prompts().text(*key.partition(".")[::2])
    )


def test_a_registration_is_waited_for() -> None:
    snapshot = shown(view("waiting_registration"))

    assert snapshot["expects"] == {"what": "registration", "role": None}
    assert snapshot["step"]["text"]["zh-CN"] == (
        "请在 HIS 中办理挂号或住院，完成后按“继续”"
    )


@pytest.mark.parametrize("outcome", ["will_activate_on_registration", "would_activate"])
def test_what_activated_nothing_has_no_receipt(outcome: str) -> None:
    snapshot = shown(view("succeeded", detail=outcome, outcome=outcome))

    assert snapshot["step"]["key"] == f"succeeded.{outcome}"
    assert snapshot["result"]["outcome"] == outcome
    assert snapshot["result"]["receipt"] is None


def test_a_region_says_a_moment_in_its_own_words() -> None:
    words = {"waiting_card.medical": {"zh-CN": "请刷旧卡", "en": "Swipe the old card"}}
    profile = replace(PROFILE, wording=words)

    own = shown(view("waiting_card", detail="medical"), profile)
    ours = shown(view("waiting_card", detail="social_security"), profile)

    assert own["step"]["text"] == words["waiting_card.medical"]
    assert ours["step"]["text"]["zh-CN"] == "请插入社会保障卡"

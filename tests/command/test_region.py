"""`kaqi region`: what people see who write a profile, or want to know what one means."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from plugin.activation.region import RegionProfile, Scenario
from plugin.activation.saga import Abilities
from plugin.commands import explaining, region
from plugin.commands.explaining import Explained
from plugin.data_file import MAX_BYTES
from plugin.profile_file import REGIONS, load_profile
from plugin.profile_shapes import ProfileFile
from plugin.settings import InstitutionKind
from tests.command.test_read import kaqi, problem_of

REGION_NAMES = sorted(each.stem for each in REGIONS.glob("*.toml"))
LANGUAGES = ("zh-CN", "en")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
REFERENCE = (REGIONS / "reference.toml").read_text(encoding="utf-8")


def said_as_json(*arguments: str) -> Any:  # noqa: ANN401 - whatever it prints
    done = kaqi("region", *arguments, "--json", PYTHONUTF8="1")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_without_a_verb_the_help_is_shown() -> None:
    done = kaqi("region", PYTHONUTF8="1")

    assert done.returncode == 2
    assert "地区规则" in done.stdout
    for name in ("list", "new", "check", "explain"):
        assert name in done.stdout


@pytest.mark.parametrize("verb", ["list", "new", "check", "explain"])
def test_every_verb_has_help_in_both_languages(verb: str) -> None:
    done = kaqi("region", verb, "--help", PYTHONUTF8="1")

    assert done.returncode == 0
    assert CHINESE.search(done.stdout)
    assert " / " in done.stdout


# list


def test_every_region_of_ours_is_listed() -> None:
    found = {each["id"]: each for each in said_as_json("list")}

    assert sorted(found) == REGION_NAMES
    v6 = found["v6-registration"]
    assert v6["name"]["zh-CN"] == "变体六：挂号即启用"
    assert v6["scenarios"] == [
        {
            "kind": "hospital",
            "scenario": f"{each}_registration",
            "steps": ["social_security"],
            "activation_by": "registration",
        }
        for each in ("outpatient", "inpatient")
    ]


def test_the_list_is_in_the_operators_language() -> None:
    done = kaqi("region", "list", PYTHONUTF8="1", KAQI_LANG="en")

    assert done.returncode == 0
    assert (
        "v5-initial-pin@1  Variant 5: changing the initial PIN activates" in done.stdout
    )
    assert "Pharmacy: pharmacy counter (pin_change)" in done.stdout
    assert not CHINESE.search(done.stdout)


# new


@pytest.mark.parametrize("like", REGION_NAMES)
def test_a_new_profile_is_right_says_its_name_and_explains_every_key(
    tmp_path: Path, like: str
) -> None:
    file = tmp_path / "jiangcheng.toml"

    done = kaqi(
        *("region", "new", str(file), "--like", like),
        *("--name-zh", "江“城”", "--name-en", 'River "City"\\'),
        PYTHONUTF8="1",
    )

    assert done.returncode == 0, done.stderr
    text = file.read_text(encoding="utf-8")
    before = tomllib.loads((REGIONS / f"{like}.toml").read_text(encoding="utf-8"))
    name = {"zh": "江“城”", "en": 'River "City"\\'}
    assert tomllib.loads(text) == before | {
        "id": "jiangcheng",
        "version": "1",
        "name": name,
    }
    assert load_profile(str(file)).label == "jiangcheng@1"
    for step in ("check", "explain"):
        assert f"kaqi region {step} {file}" in done.stdout
    comments = [each for each in REFERENCE.splitlines() if each.startswith("#")]
    assert set(text.splitlines()) >= set(comments[1:])
    assert comments[0] not in text
    assert all(text.count(each) == 1 for each in comments[1:])


def test_a_new_profile_is_named_after_its_file_and_passes_the_check(
    tmp_path: Path,
) -> None:
    file = tmp_path / "my-city.toml"

    done = kaqi("region", "new", str(file), PYTHONUTF8="1")

    assert done.returncode == 0, done.stderr
    checked = said_as_json("check", str(file))
    assert (checked["id"], checked["version"]) == ("my-city", "1")
    assert checked["name"] == {"zh-CN": "my-city", "en": "my-city"}


def test_a_new_profile_may_begin_as_a_file_of_ones_own(tmp_path: Path) -> None:
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    assert (
        kaqi("region", "new", str(first), "--like", "v1-old-then-new").returncode == 0
    )
    own = first.read_text(encoding="utf-8") + "# what we agreed on\n"
    first.write_text(own, encoding="utf-8")

    done = kaqi("region", "new", str(second), "--like", str(first))

    assert done.returncode == 0, done.stderr
    text = second.read_text(encoding="utf-8")
    assert text.count("# what we agreed on") == 1
    assert text.count("# Whose cards may be activated.") == 1


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "there.toml"
    file.write_text("years of work", encoding="utf-8")

    done = kaqi("region", "new", str(file))

    assert done.returncode == 2
    assert "exists already" in problem_of(done)["title"]
    assert file.read_text(encoding="utf-8") == "years of work"


@pytest.mark.parametrize(
    ("file", "more", "code", "said"),
    [
        ("no/such/folder.toml", (), "command.usage", "No such file"),
        ("Not An Id.toml", (), "profile.invalid", "at id:"),
        ("x.toml", ("--id", "UPPER"), "profile.invalid", "at id:"),
        ("x.toml", ("--name-en", ""), None, ""),
        ("x.toml", ("--name-en", "a\x7fb"), "profile.invalid", "name.en: U+007F"),
        ("x.toml", ("--like", "atlantis"), "profile.invalid", "atlantis"),
        ("x.toml", ("--name-zh", "a\nb"), "profile.invalid", "name.zh: U+000A"),
    ],
)
def test_what_cannot_be_written_is_said_and_leaves_nothing(
    tmp_path: Path, file: str, more: tuple[str, ...], code: str | None, said: str
) -> None:
    done = kaqi("region", "new", str(tmp_path / file), *more)

    if code is None:
        assert done.returncode == 0, done.stderr
        assert load_profile(str(tmp_path / file)).id == "x"
        return
    problem = problem_of(done)
    assert (problem["code"], said in problem["title"]) == (code, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "more"),
    [
        ("我的.toml", ()),
        ("My City.toml", ()),
        ("-x.toml", ()),
        ("x.toml", ("--id", "江城")),
        ("x.toml", ("--id", "x\n")),
    ],
)
def test_what_an_id_is_made_of_is_said_in_both_languages(
    tmp_path: Path, file: str, more: tuple[str, ...]
) -> None:
    done = kaqi("region", "new", str(tmp_path / file), *more, PYTHONUTF8="1")

    problem = problem_of(done)
    assert problem["code"] == "profile.invalid"
    assert f"{file} is wrong at id: not an id" in problem["title"]
    assert "--id" in problem["remedy"]["zh-CN"][0]
    assert "小写字母、数字和 -" in problem["remedy"]["zh-CN"][0]
    assert "--id" in problem["remedy"]["en"][0]
    assert "lower-case letters, digits and -" in problem["remedy"]["en"][0]


def test_a_file_may_have_any_name_when_its_id_is_said(tmp_path: Path) -> None:
    file = tmp_path / "我的.toml"

    done = kaqi("region", "new", str(file), "--id", "my-city", PYTHONUTF8="1")

    assert done.returncode == 0, done.stderr
    assert load_profile(str(file)).label == "my-city@1"


def test_a_new_profile_may_begin_as_what_notepad_saved(tmp_path: Path) -> None:
    saved, file = tmp_path / "saved.toml", tmp_path / "x.toml"
    saved.write_bytes(REFERENCE.replace("\n", "\r\n").encode("utf-8-sig"))

    done = kaqi("region", "new", str(file), "--like", str(saved))

    assert done.returncode == 0, done.stderr
    assert load_profile(str(file)).label == "x@1"
    assert file.read_bytes()[:1] == b"#"


def test_a_file_written_otherwise_is_not_guessed_at(tmp_path: Path) -> None:
    odd = tmp_path / "odd.toml"
    name = 'name = { zh = "参考地区", en = "Reference region" }'
    assert name in REFERENCE
    dotted = 'name.zh = "奇"\nname.en = "odd"'
    odd.write_text(REFERENCE.replace(name, dotted, 1), encoding="utf-8")
    assert load_profile(str(odd)).id == "reference"

    done = kaqi("region", "new", str(tmp_path / "x.toml"), "--like", str(odd))

    assert problem_of(done)["code"] == "command.usage"
    assert not (tmp_path / "x.toml").exists()


# check


@pytest.mark.parametrize("name", REGION_NAMES)
def test_every_region_of_ours_is_right(name: str) -> None:
    done = kaqi("region", "check", name, PYTHONUTF8="1")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("✓ ")
    assert f"{name}@1" in done.stdout.splitlines()[0]


def keys(profile: RegionProfile) -> set[str]:
    return {each.key for each in region.warnings(profile)}


@pytest.mark.parametrize(
    ("name", "worth"),
    [
        ("reference", set()),
        ("v1-old-then-new", set()),
        (
            "v3-old-pin",
            {"class_d", "windows_not_judged", "typed_at_the_till_social_security"},
        ),
        ("v4-old-authenticates", {"windows_not_judged", "without_number"}),
        ("v5-initial-pin", set()),
        ("v6-registration", {"scenario_missing"}),
    ],
)
def test_what_is_worth_knowing_is_said(name: str, worth: set[str]) -> None:
    assert keys(load_profile(name)) == {"example_address"} | worth


def changed(folder: Path, *changes: tuple[str, str]) -> RegionProfile:
    """The reference region but for these lines."""
    text = REFERENCE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    file = folder / "city.toml"
    file.write_text(text, encoding="utf-8")
    return load_profile(str(file))


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (('authenticate = ["psam", "hsm"]', "authenticate = []"), "no_authentication"),
        (('dedupe = "id"', 'dedupe = "none"'), "class_d"),
        (('old = "never"', 'old = "always"'), None),
        (('new = "none"', 'new = "keep"'), "typed_at_the_till_social_security"),
        (('new = "none"', 'new = "change_initial"'), None),
        (('match = "centre"', 'match = "number"'), "without_number"),
    ],
)
def test_one_line_can_be_worth_knowing(
    tmp_path: Path, change: tuple[str, str], key: str | None
) -> None:
    assert keys(changed(tmp_path, change)) == {
        "example_address",
        *([key] if key else []),
    }


def test_pins_of_many_lengths_are_typed_at_the_till(tmp_path: Path) -> None:
    profile = changed(
        tmp_path,
        ('old = "never"', 'old = "if_set"'),
        ("digits = { min = 6, max = 6 }", "digits = { min = 4, max = 8 }"),
    )

    assert "typed_at_the_till_medical" in keys(profile)


def test_a_scenario_that_leads_nowhere_is_noticed(tmp_path: Path) -> None:
    """Old cards that never say whose they are, and nobody is asked."""
    profile = changed(
        tmp_path,
        ('match = "centre"', 'match = "number"'),
        ('[[medical_cards.cpu]]\nspec_versions = ["1"]\ncard_classes = ["2"]\n', ""),
        ("[medical_cards]\n", "[medical_cards]\ncpu = []\n"),
        (
            'social_security_number = { offset = 64, length = 18, encoding = "ascii" }\n',
            "",
        ),
    )

    found = [each for each in region.warnings(profile) if each.key == "never_succeeds"]

    assert [each.parts["key"] for each in found] == ["reading.social_security"] * 2


def test_a_centre_whose_no_nobody_understands_is_noticed(tmp_path: Path) -> None:
    refusals = REFERENCE[
        REFERENCE.index("refusals = [") : REFERENCE.index("]\n\n# A centre")
    ]
    profile = changed(tmp_path, (refusals, "refusals = ["))

    assert "no_refusals" in keys(profile)


@pytest.mark.parametrize(
    ("content", "key", "reason"),
    [
        (b"= wrong", None, "line 1"),
        ("名".encode("gbk"), None, "not UTF-8"),
        (b"#" * (MAX_BYTES + 1), None, "larger than 256 KiB"),
        (b"format = 1\n", "id", "missing"),
        (REFERENCE.encode() + b"\n[colour]\n", "colour", ""),
        (REFERENCE.replace('old = "never"', 'old = "nevr"').encode(), "pin.old", ""),
        (b"[" * 100_000, None, ""),
        (b"", "format", "missing"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_its_remedy(
    tmp_path: Path, content: bytes, key: str | None, reason: str
) -> None:
    file = tmp_path / "city.toml"
    file.write_bytes(content)

    for verb in ("check", "explain"):
        done = kaqi("region", verb, str(file), "--json")

        problem = problem_of(done)
        assert done.returncode == 78
        assert problem["code"] == "profile.invalid"
        at, bei = (f" at {key}", f"：{key}") if key else ("", "")
        assert f"city.toml is wrong{at}: " in problem["title"]
        assert reason in problem["title"]
        assert f"city.toml 有误{bei}：" in problem["messages"]["zh-CN"]
        assert CHINESE.search(problem["messages"]["zh-CN"].rpartition(f"{bei}：")[2])
        assert all(problem["remedy"][language] for language in LANGUAGES)


@pytest.mark.parametrize("name", ["atlantis", "no/such/file.toml", ".", "\udcff"])
def test_what_is_not_there_is_said(name: str) -> None:
    done = kaqi("region", "check", name)

    assert done.returncode == 78
    assert problem_of(done)["code"] == "profile.invalid"


def test_a_refusal_that_means_nothing_of_ours_is_told_what_it_can_mean(
    tmp_path: Path,
) -> None:
    file = tmp_path / "city.toml"
    text = REFERENCE.replace('means = "card.not_handed_out"', 'means = "card.gone"')
    file.write_text(text, encoding="utf-8")

    problem = problem_of(kaqi("region", "check", str(file)))

    assert "card.not_handed_out" in problem["title"]
    assert "centre.refusals[0].means" in problem["title"]


# explain


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", REGION_NAMES)
def test_every_step_and_every_end_is_explained(name: str, language: str) -> None:
    profile = load_profile(name)
    chosen = list(profile.chosen())

    lines = list(Explained(profile, language).lines(chosen))

    text = "\n".join(lines)
    ways = explaining.as_data(profile, chosen)["ways"]
    assert lines[0].startswith(f"# {profile.name[language]}")
    assert sum(each.startswith("## ") for each in lines) == len(chosen) + 3
    for way in ways:
        for step in way["steps"]:
            assert f"[{step['key']}]" in text
        for end in way["ends"]:
            assert end["code"] is None or end["code"] in text
    assert "{" not in text.replace("```", "")
    assert "()" not in text
    if language == "en":
        assert not CHINESE.search(text)


@pytest.mark.parametrize("name", REGION_NAMES)
def test_the_picture_has_every_moment_and_none_that_is_not_drawn(name: str) -> None:
    profile = load_profile(name)
    for chosen in profile.chosen():
        text = "\n".join(Explained(profile, "en").lines([chosen]))
        (drawn,) = re.findall(r"```mermaid\nstateDiagram-v2\n(.*?)```", text, re.DOTALL)
        names = dict(re.findall(r'state "(\S+)" as (\w+)', drawn))
        used = set(re.findall(r"(\w+) -->", drawn)) | set(
            re.findall(r"--> (\w+)", drawn)
        )
        one, two = explaining.as_data(profile, [chosen])["ways"]
        moments = {step["key"] for way in (one, two) for step in way["steps"]}
        ends = {end["key"] for way in (one, two) for end in way["ends"]}

        assert set(names) == moments | ends
        assert used == set(names.values())
        assert all(f"    {name} --> " in drawn for name in names.values())
        over = {key for key in names if f"{names[key]} --> [*]" in drawn}
        assert over == {each for each in ends if "in_doubt" not in each} | {
            "succeeded.activated"
        }


def test_a_region_speaks_in_its_own_words() -> None:
    profile = load_profile("v4-old-authenticates")

    text = "\n".join(Explained(profile, "zh-CN").lines(profile.chosen()))

    assert "“请插入旧医保卡进行认证” [waiting_card.medical]" in text
    assert "市医保服务大厅" in text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("reference", "(class A)"),
        ("v2-first-changeover", "(class B)"),
        ("v4-old-authenticates", "(class C)"),
        ("v3-old-pin", "(class D)"),
        ("v5-initial-pin", "brings the same card back"),
        ("v6-registration", "sends nothing that could be lost"),
        ("v2-first-changeover", "Under 16, a guardian"),
        ("v2-first-changeover", "180 days from the day the card was handed over"),
        ("v2-first-changeover", "it cannot be activated here"),
        ("v2-first-changeover", "only a first replacement"),
        ("v2-first-changeover", "Somebody else may go instead to: "),
        ("v1-old-then-new", "only where the old card had a PIN"),
        ("v5-initial-pin", "Nobody may keep or choose the initial PINs 123456, 888888"),
        ("v3-old-pin", "judges the windows itself"),
        ("reference", "With one reader only, after step 2 also:"),
    ],
)
def test_what_a_region_decides_is_said(name: str, words: str) -> None:
    profile = load_profile(name)

    text = "\n".join(Explained(profile, "en").lines(profile.chosen()))

    assert words in text


def test_a_centre_that_is_asked_and_never_sent_to_again_is_said_so() -> None:
    from msgspec.structs import replace

    profile = load_profile("reference")
    told = replace(profile.centre, abilities=Abilities(can_tell_status=True))
    profile = replace(profile, centre=told)

    text = "\n".join(Explained(profile, "en").lines(profile.chosen()))

    assert "kaqi only asks what became of it" in text


def test_the_command_explains_what_was_chosen_in_the_language_that_was() -> None:
    done = kaqi(
        *("region", "explain", "v1-old-then-new", "--lang", "zh"),
        *("--kind", "hospital", "--scenario", "pharmacy"),
        PYTHONUTF8="1",
        KAQI_LANG="en",
    )

    assert done.returncode == 0, done.stderr
    assert re.findall(r"^## .*", done.stdout, re.MULTILINE)[0] == "## 医院：药店窗口"
    assert "3. 持卡人输入密码" in done.stdout
    assert "门诊挂号" not in done.stdout
    assert "```mermaid" in done.stdout
    profile = load_profile("v1-old-then-new")
    (chosen,) = (
        each
        for each in profile.chosen()
        if (each.kind, each.scenario) == ("hospital", "pharmacy")
    )
    assert done.stdout.splitlines() == list(Explained(profile, "zh-CN").lines([chosen]))


def test_without_a_language_it_is_that_of_the_machine_or_both() -> None:
    said = {
        spoken: kaqi(
            "region", "explain", "v6-registration", PYTHONUTF8="1", KAQI_LANG=spoken
        ).stdout
        for spoken in ("en", "zh", "fr")
    }

    assert not CHINESE.search(said["en"])
    assert said["fr"] == said["zh"] + said["en"]


def test_programs_get_every_way() -> None:
    told = said_as_json("explain", "v1-old-then-new", "--kind", "pharmacy")

    profile = load_profile("v1-old-then-new")
    chosen = [
        each for each in profile.chosen() if each.kind is InstitutionKind.PHARMACY
    ]
    assert told == json.loads(json.dumps(explaining.as_data(profile, chosen)))
    two, one = told["ways"]
    assert (told["id"], two["readers"], one["readers"]) == ("v1-old-then-new", 2, 1)
    assert two["steps"][0] == {
        "key": "waiting_card.medical",
        "state": "waiting_card",
        "detail": "medical",
        "actor": "holder",
        "task": "insert_card",
    }
    more = {each["key"] for each in one["steps"]} - {
        each["key"] for each in two["steps"]
    }
    assert more == {"waiting_removal.medical"}
    assert {
        "key": "in_doubt",
        "code": "centre.answer_lost",
        "at": ["committing"],
        "final": False,
        "facts": {},
    } in two["ends"]


@pytest.mark.parametrize(
    "asked",
    [
        ("--scenario", "banquet"),
        ("--kind", "bank"),
        ("--lang", "fr"),
        ("--kind", "pharmacy"),
        ("--scenario", "pharmacy"),
    ],
)
def test_what_the_region_does_not_have_is_a_usage_error(asked: tuple[str, str]) -> None:
    done = kaqi("region", "explain", "v6-registration", *asked)

    assert done.returncode == 2
    assert problem_of(done)["code"] == "command.usage"


@pytest.mark.parametrize("verb", ["list", "check", "explain"])
def test_a_gbk_console_is_no_reason_to_crash(verb: str) -> None:
    import os

    names = [] if verb == "list" else ["v3-old-pin"]
    done = subprocess.run(
        [sys.executable, "-m", "plugin", "region", verb, *names],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "gbk", "KAQI_LANG": "zh"},
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert "变体三：新卡加旧卡密码" in done.stdout.decode("gbk")


def test_every_key_of_a_profile_is_explained_in_the_reference() -> None:
    explained = "\n".join(
        each for each in REFERENCE.splitlines() if each.startswith("#")
    )

    assert {"steps", "activation_by", "confirm", "dedupe"} <= set(
        re.findall(r"`(\w+)`", explained)
    )
    assert set(tomllib.loads(REFERENCE)) == set(ProfileFile.__struct_fields__)


def test_every_kind_and_scenario_can_be_asked_for() -> None:
    told = said_as_json("explain", "reference")

    pairs = {(each["kind"], each["scenario"]) for each in told["ways"]}
    assert pairs == {
        (InstitutionKind.PHARMACY, Scenario.PHARMACY),
        *((InstitutionKind.HOSPITAL, each) for each in Scenario),
    }

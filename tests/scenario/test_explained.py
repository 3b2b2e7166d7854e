"""What `kaqi region explain` says is what really happens, in every region and at every counter.

A real agent, an ordinary person of the cast. What is printed in either language is the same steps
in the same order, each with the words that stand on the screen then. Two witnesses of the steps:

- the event stream has every change of a transaction by its number, brief as it may be, and tells
  state and role or outcome: these must be exactly the steps that were explained;
- the snapshots have the very key. A moment that nobody is waited for may be over before a snapshot is
  asked for, so those seen are a subsequence of the steps; those at which somebody must act, and the
  last, are there for as long as nobody acts, so that none of them may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from plugin.activation.flow import READERS
from plugin.commands.explaining import Explained, as_data
from plugin.profile_file import REGIONS, load_profile
from plugin.settings import Institution, InstitutionKind
from simulator.reader import InProcessDesk
from tests.agents import HOSPITAL, PHARMACY, running
from tests.api.test_events import following
from tests.centre import CentreProcess
from tests.scenario import outcomes
from tests.scenario.counter import Counter

PERSON, INITIAL, OWN = "lin", "123456", "246813"
INSTITUTIONS: dict[InstitutionKind, Institution] = {
    each.kind: each for each in (PHARMACY, HOSPITAL)
}
PEOPLE_ACT = {"holder", "operator", "his"}
LANGUAGES = ("zh-CN", "en")
STEP = re.compile(r"(?:\d+\.|   -) .*?(?:：“|: \")(.*)[”\"] \[(\S+)\]")
LATER = re.compile(r"(?:With one reader only, after step|只有一台读卡器时，第) (\d+) ")
Step = dict[str, Any]
EVERYWHERE = [
    (region, chosen.kind.value, chosen.scenario.value, readers)
    for region in sorted(each.stem for each in REGIONS.glob("*.toml"))
    for chosen in load_profile(region).chosen()
    for readers in READERS
]


@cache
def explained(region: str) -> list[dict[str, Any]]:
    """What the command prints for programs."""
    profile = load_profile(region)
    ways: list[dict[str, Any]] = as_data(profile, profile.chosen())["ways"]
    return ways


def printed(
    region: str, kind: str, scenario: str, readers: int, language: str
) -> list[tuple[str, str]]:
    """What it prints for people: the key and the words of every step, in their order."""
    profile = load_profile(region)
    chosen = [
        each
        for each in profile.chosen()
        if (each.kind.value, each.scenario.value) == (kind, scenario)
    ]
    steps: list[tuple[str, str]] = []
    at = None  # where the steps belong that only one reader makes necessary
    for line in Explained(profile, language).lines(chosen):
        if later := LATER.match(line):
            at = int(later[1])
        elif step := STEP.fullmatch(line):
            if at is None:
                steps.append((step[2], step[1]))
            elif readers == 1:
                steps.insert(at, (step[2], step[1]))
                at += 1
    return steps


@pytest.mark.parametrize(("region", "kind", "scenario", "readers"), EVERYWHERE)
def test_it_goes_as_explained(
    tmp_path: Path,
    centre: CentreProcess,
    region: str,
    kind: str,
    scenario: str,
    readers: int,
) -> None:
    hand, institution = InProcessDesk(), INSTITUTIONS[InstitutionKind(kind)]
    with running(
        tmp_path,
        centre.address,
        {"inprocess": hand},
        hand,
        institution=institution,
        profile=load_profile(region),
    ) as started:
        counter = Counter(started, hand, readers)
        with following(started.pos) as stream:
            counter.start(scenario)
            drive(counter, centre)
            told = stream.until("transaction.completed")

    (way,) = (
        each
        for each in explained(region)
        if (each["kind"], each["scenario"], each["readers"])
        == (kind, scenario, readers)
    )
    steps = way["steps"]
    assert list(changes(told)) == list(as_events(steps))
    assert is_subsequence(counter.seen, [each["key"] for each in steps])
    assert [each for each in counter.seen if each in waits(steps)] == [
        each["key"] for each in steps if each["key"] in waits(steps)
    ]
    for language in LANGUAGES:
        lines = printed(region, kind, scenario, readers, language)
        assert [key for key, _ in lines] == [each["key"] for each in steps]
        read = {key: said[language] for key, said in counter.read.items()}
        assert {key: words for key, words in lines if key in read} == read


def drive(counter: Counter, centre: CentreProcess) -> None:
    """The holder, the operator and the hospital's own program do what is asked of them."""
    cards = 0
    while not counter.now.ended:
        now, kaqi = counter.now, counter.pos.kaqi
        match now.state:
            case "waiting_card":
                reader = cards % len(counter.readers)
                counter.put(f"{PERSON}.{now.data['role']}", reader)
                cards += 1
                counter.moves()
            case "waiting_removal":
                counter.take()
                counter.moves()
            case "waiting_confirm":
                counter.takes(kaqi.confirm(now))
            case "waiting_registration":
                centre.set_standing(PERSON, "active")
                counter.takes(kaqi.go_on(now))
            case "waiting_pin" if "pin" in now.allowed_actions:
                wanted = now.pin_wanted
                changes_it = wanted is not None and wanted["entry"] == "new"
                new_pin = OWN if changes_it else None
                counter.takes(kaqi.pin(now, INITIAL, new_pin))
            case _:
                counter.moves()


def changes(told: Iterable[dict[str, Any]]) -> Iterator[str]:
    """State, and role or outcome, of a transaction at every number that it had."""
    for event in told:
        if event["event"] in ("transaction.created", "transaction.changed"):
            data = event["data"]["data"]
            ended = data["state"] == "succeeded"  # else it is what will become of it
            outcome = data.get("outcome") if ended else None
            yield short(data["state"], data.get("role") or outcome)


def as_events(steps: Iterable[Step]) -> Iterator[str]:
    """The same of the steps: an event does not tell whether a PIN is old or new, and of a card
    at work it tells the role."""
    role = None
    for step in steps:
        detail = step["detail"]
        if step["state"] == "waiting_pin" and detail != "at_work":
            role = detail = detail.partition(".")[0]
        yield short(step["state"], role if detail == "at_work" else detail)


def short(state: str, detail: str | None) -> str:
    return f"{state}.{detail}" if detail else state


def waits(steps: list[Step]) -> set[str]:
    """The moments at which people must act, and the end."""
    people = {each["key"] for each in steps if each["actor"] in PEOPLE_ACT}
    return people | {steps[-1]["key"]}


def is_subsequence(seen: list[str], steps: list[str]) -> bool:
    """Whether all of it comes in this order."""
    left = iter(steps)
    return all(each in left for each in seen)


@pytest.mark.parametrize(
    ("seen", "right"),
    [(["a", "c"], True), ([], True), (["c", "a"], False), (["a", "a"], False)],
)
def test_an_order_is_told_from_another(seen: list[str], right: bool) -> None:
    assert is_subsequence(seen, ["a", "b", "c"]) is right


def test_every_kind_of_institution_and_every_region_is_here() -> None:
    assert {kind for _, kind, *_ in EVERYWHERE} == set(InstitutionKind)
    assert {region for region, *_ in EVERYWHERE} == set(outcomes.SHIPPED)

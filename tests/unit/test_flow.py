"""The way of a scenario: found by walking the desk, and here said once more by hand."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from plugin.activation import desk, flow, moments, rules
from plugin.activation.flow import Actor, Task, Way
from plugin.activation.region import (
    ActivationBy,
    Effect,
    Holders,
    MatchBy,
    NewPin,
    OldPin,
    PinPolicy,
    RefusalRule,
    RegionProfile,
    Role,
    Scenario,
)
from plugin.activation.saga import Abilities, Dedupe
from plugin.profile_file import REGIONS, load_profile
from plugin.settings import InstitutionKind
from tests.unit.worlds import PROFILE

REGION_NAMES = sorted(each.stem for each in REGIONS.glob("*.toml"))
OLD = ["waiting_card.medical", "reading.medical"]
OLD_PIN = ["waiting_pin.medical", "waiting_pin.at_work"]
OUT = ["waiting_removal.medical"]
NEW = ["waiting_card.social_security", "reading.social_security"]
NEW_PIN = ["waiting_pin.social_security", "waiting_pin.at_work"]
CHANGED = ["waiting_pin.social_security.new", "waiting_pin.at_work"]
CHECKED, BOTH_CHECKED = ["checking"], ["matching", "checking"]
CONFIRMED, DONE = ["waiting_confirm"], ["committing", "succeeded.activated"]
REGISTERED = [
    "waiting_registration",
    "checking",
    "succeeded.activated",
]
COUNTER, VISIT = Scenario.PHARMACY, Scenario.OUTPATIENT_REGISTRATION
WAYS = {
    ("reference", COUNTER): [*OLD, *NEW, *BOTH_CHECKED, *CONFIRMED, *DONE],
    ("reference", VISIT): [*NEW, *CHECKED, *DONE],
    ("v1-old-then-new", COUNTER): [
        *(*OLD, *OLD_PIN, *NEW, *BOTH_CHECKED, *CONFIRMED, *CHANGED, *DONE)
    ],
    ("v1-old-then-new", VISIT): [*NEW, *CHECKED, *DONE],
    ("v2-first-changeover", COUNTER): [*OLD, *NEW, *BOTH_CHECKED, *CONFIRMED, *DONE],
    ("v3-old-pin", COUNTER): [*NEW, *CONFIRMED, *NEW_PIN, *DONE],
    ("v3-old-pin", VISIT): [*NEW, *NEW_PIN, *DONE],
    ("v4-old-authenticates", COUNTER): [*OLD, *NEW, "matching", *CONFIRMED, *DONE],
    ("v4-old-authenticates", VISIT): [*OLD, *NEW, "matching", *CONFIRMED, *DONE],
    ("v5-initial-pin", COUNTER): [
        *(*NEW, *CHECKED, *CONFIRMED, *NEW_PIN, *CHANGED, *DONE)
    ],
    ("v6-registration", VISIT): [*NEW, *CHECKED, *REGISTERED],
}


def way(
    profile: RegionProfile,
    scenario: Scenario = COUNTER,
    readers: int = 2,
    by: ActivationBy | None = None,
) -> Way:
    """That of a hospital, where every scenario is allowed."""
    found = profile.rules(InstitutionKind.HOSPITAL, scenario)
    assert found is not None
    chosen = replace(found, activation_by=by) if by else found
    return flow.way(profile, chosen, scenario, readers)


def codes(found: Way) -> set[str]:
    return {each.code for each in found.ends if each.code}


@pytest.mark.parametrize(("region", "scenario"), WAYS)
def test_the_way_is_this(region: str, scenario: Scenario) -> None:
    found = way(load_profile(region), scenario)

    assert list(found.keys) == WAYS[region, scenario]
    for step in found.steps:
        assert step.key == moments.key(step.state, step.detail)


@pytest.mark.parametrize(("region", "scenario"), WAYS)
def test_with_one_reader_an_old_card_is_taken_out(
    region: str, scenario: Scenario
) -> None:
    two = WAYS[region, scenario]
    room = [*OUT, NEW[0]] if OLD[0] in two else [NEW[0]]
    at = two.index(NEW[0])

    found = way(load_profile(region), scenario, readers=1)

    assert list(found.keys) == [*two[:at], *room, *two[at + 1 :]]


@pytest.mark.parametrize("region", REGION_NAMES)
def test_every_way_leads_to_an_active_card(region: str) -> None:
    profile = load_profile(region)

    for each in profile.chosen():
        for readers in flow.READERS:
            found = flow.way(profile, each.rules, each.scenario, readers)
            assert found.keys[-1] == "succeeded.activated"
            assert set(found.keys) >= {at for end in found.ends for at in end.at}
            assert "succeeded.activated" not in {end.key for end in found.ends}


def test_everybody_who_must_act_is_named() -> None:
    profile = load_profile("v1-old-then-new")

    found = {each.key: (each.actor, each.task) for each in way(profile).steps}

    assert found["waiting_card.medical"] == (Actor.HOLDER, Task.INSERT_CARD)
    assert found["waiting_pin.medical"] == (Actor.HOLDER, Task.ENTER_PIN)
    assert found["waiting_pin.social_security.new"] == (Actor.HOLDER, Task.CHANGE_PIN)
    assert found["waiting_confirm"] == (Actor.OPERATOR, Task.CONFIRM)
    assert found["checking"] == (Actor.CENTRE, Task.TELL_STATUS)
    assert found["committing"] == (Actor.CENTRE, Task.ACTIVATE)


def test_no_centre_commits_where_the_card_has() -> None:
    (step,) = (
        each
        for each in way(load_profile("v5-initial-pin")).steps
        if each.key == "committing"
    )

    assert (step.actor, step.task) == (Actor.AGENT, Task.NOTE)


def test_every_waiting_is_somebodys() -> None:
    waiting = {kind for kind in desk.ALLOWED if "wait" in kind.name}

    assert waiting <= set(flow._DOES)


# The ends


@pytest.mark.parametrize("scenario", [COUNTER, VISIT])
def test_every_standing_that_is_refused_is_an_end(scenario: Scenario) -> None:
    found = way(PROFILE, scenario)

    assert set(rules._REFUSED.values()) <= codes(found)
    assert "succeeded.already_active" in {each.key for each in found.ends}


@pytest.mark.parametrize(
    ("name", "code", "days"),
    [
        ("activation_window", "card.activation_window_closed", "180"),
        ("financial_window", "card.financial_window_closed", "300"),
    ],
)
def test_a_window_ends_it_only_where_it_blocks(name: str, code: str, days: str) -> None:
    window = getattr(PROFILE, name)
    blocking = replace(PROFILE, **{name: replace(window, effect=Effect.BLOCK)})

    (end,) = (each for each in way(blocking).ends if each.code == code)
    assert (end.key, end.facts) == ("failed", {"days": days})
    assert code not in codes(way(PROFILE))


def test_the_holder_can_end_it_where_the_region_says_so() -> None:
    strict = Holders(first_replacement_only=True, minimum_age=16)
    wanted = {"card.not_first_replacement", "holder.under_age"}

    assert wanted <= checked(way(replace(PROFILE, holders=strict)))
    assert not wanted & checked(way(PROFILE))


def checked(found: Way) -> set[str | None]:
    """How it can end once the centre has said how the card stands."""
    return {each.code for each in found.ends if "checking" in each.at}


def test_a_second_replacement_matters_with_the_old_card_only() -> None:
    strict = replace(PROFILE, holders=Holders(first_replacement_only=True))

    assert "card.not_first_replacement" not in checked(way(strict, VISIT))


def test_who_is_not_known_by_the_old_card_is_asked_of_the_centre_or_ends_it() -> None:
    by_number = replace(PROFILE, match=MatchBy.NUMBER)

    assert "card.medical_without_number" in codes(way(by_number))
    assert "card.medical_without_number" not in codes(way(PROFILE))


PINS = PinPolicy(old=OldPin.ALWAYS, new=NewPin.SET)


def test_pins_have_their_own_ends_of_either_card() -> None:
    found = codes(way(replace(PROFILE, pin=PINS)))

    assert found >= {"card.medical_blocked", "pin.locked", "pin.not_set"}
    assert found >= {"card.app_locked", "pin.torn_stopped", "transaction.pin_wait_over"}
    assert not {each for each in codes(way(PROFILE)) if each.startswith("pin.")}


def test_a_counter_that_is_asked_is_a_moment_of_its_own() -> None:
    probing = replace(PROFILE, pin=PinPolicy(new=NewPin.KEEP, probe=True))

    keys = way(probing, VISIT).keys

    assert list(keys[-5:]) == ["waiting_pin.at_work", *NEW_PIN, *DONE]


def test_a_change_whose_answer_is_lost_needs_the_card_back() -> None:
    found = way(load_profile("v5-initial-pin"))

    (doubt,) = (each for each in found.ends if each.code == "card.must_return")
    assert (doubt.key, doubt.final) == ("in_doubt.card_must_return", False)
    assert "centre.answer_lost" not in codes(found)


@pytest.mark.parametrize(
    ("abilities", "doubt"),
    [
        (Abilities(dedupe=Dedupe.ID, can_tell_status=True), "in_doubt"),
        (Abilities(dedupe=Dedupe.CARD, can_tell_status=True), "in_doubt"),
        (Abilities(dedupe=Dedupe.DUPLICATE_CODE), "in_doubt"),
        (Abilities(can_tell_status=True), "in_doubt"),
        (Abilities(), "in_doubt.needs_a_person"),
    ],
)
def test_a_lost_answer_is_what_the_centre_makes_of_it(
    abilities: Abilities, doubt: str
) -> None:
    centre = replace(PROFILE.centre, abilities=abilities)

    found = way(replace(PROFILE, centre=centre))

    assert {each.key for each in found.ends if not each.final} == {doubt}


def test_every_refusal_the_region_knows_is_an_end_and_so_is_one_it_does_not() -> None:
    known = (
        RefusalRule(means="active", contains="已启用"),
        RefusalRule(means="centre.busy", contains="系统忙"),
        RefusalRule(means="card.not_first_replacement", code="9"),
    )
    centre = replace(PROFILE.centre, refusals=known)

    found = way(replace(PROFILE, centre=centre))

    refused = {each.code for each in found.ends if "committing" in each.at}
    assert refused >= {"centre.busy", "card.not_first_replacement", "centre.refused"}
    assert "active" not in refused


def test_a_registration_that_nobody_reports_will_activate() -> None:
    found = way(load_profile("v6-registration"), VISIT)

    (end,) = (each for each in found.ends if "will_activate" in each.key)
    assert end.at == ("waiting_registration",)


def test_without_a_question_about_cards_only_the_till_knows_one_that_is_active() -> (
    None
):
    found = way(load_profile("v3-old-pin"))

    (end,) = (each for each in found.ends if each.key == "succeeded.already_active")
    assert end.at == ("reading.social_security", "committing")
    assert "checking" not in found.keys


def test_the_order_of_the_cards_is_the_regions() -> None:
    allowed = PROFILE.rules(InstitutionKind.HOSPITAL, COUNTER)
    assert allowed is not None
    turned = replace(allowed, steps=(Role.SOCIAL_SECURITY, Role.MEDICAL))

    keys = flow.way(PROFILE, turned, COUNTER).keys

    assert list(keys) == [*NEW, "checking", *OLD, "matching", *CONFIRMED, *DONE]


def test_a_card_whose_pin_comes_late_is_asked_back_where_there_is_one_reader() -> None:
    allowed = PROFILE.rules(InstitutionKind.HOSPITAL, COUNTER)
    assert allowed is not None
    turned = replace(allowed, steps=(Role.SOCIAL_SECURITY, Role.MEDICAL))

    keys = flow.way(replace(PROFILE, pin=PINS), turned, COUNTER, readers=1).keys

    assert keys.count("waiting_card.social_security") == 2
    assert keys[-1] == "succeeded.activated"


def test_a_way_succeeds_by_its_last_step_alone() -> None:
    [good, *_] = load_profile("reference").chosen()
    found = flow.way(PROFILE, good.rules, good.scenario)

    assert found.readers == 2
    assert found.succeeds
    assert not replace(found, steps=found.steps[:-1]).succeeds
    assert not replace(found, steps=found.steps[::-1]).succeeds


def test_a_region_without_cpu_cards_has_a_way_too() -> None:
    cards = replace(PROFILE.cards, cpu=())

    assert way(replace(PROFILE, cards=cards)).succeeds

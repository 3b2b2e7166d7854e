"""Everybody in the cast, over readers in this process and over the real resource manager."""

from __future__ import annotations

import pytest

from simulator.people import CAST, PEOPLE, Standing
from simulator.serial_peer import READER_NAMES, TRACK_NAME
from tests.centre import CentreProcess
from tests.scenario.counter import Counter, new_card, two_cards
from tests.waiting import wait_until

ENDS = {
    "lin": ("activated", None),
    "he": ("activated", None),
    "tang": ("already_active", None),
    "luo": (None, "card.lost"),
    "duan": (None, "card.cancelled"),
    "wei": (None, "card.not_handed_out"),
    "bai": ("activated", None),
    "yan": (None, "card.suspended"),
    "abu": ("activated", None),
    "jie": ("activated", None),
    "gu": (None, "card.expired"),
    "jiang": (None, "card.temporarily_lost"),
    "qin": ("activated", None),
    "xu": ("activated", None),
    "zhu": ("activated", None),
    "shen": ("activated", None),
    "song": ("activated", None),
    "fang": ("activated", None),
    "kong": ("activated", None),
    "shi": ("activated", None),
}
MAIN = ("lin", "tang", "luo", "abu", "qin", "xu")
MEMORY_CARDS = ("zhu", "shen")
STRIPE = ("song",)  # needs a reader for it
READERS = (*READER_NAMES, TRACK_NAME)
VERSIONS = {"1.00": "he", "2.00": "lin", "3.00 3DES": "qin", "3.00 SM4": "xu"}


def test_the_table_knows_everybody() -> None:
    assert set(ENDS) == set(PEOPLE)


def pharmacy(counter: Counter, person: str) -> None:
    two_cards(counter, person)
    if counter.now.state == "waiting_confirm":
        counter.confirm()
        counter.reaches("succeeded", "failed")


@pytest.mark.parametrize("person", sorted({*PEOPLE} - {*STRIPE}))
def test_at_a_pharmacy(counter: Counter, centre: CentreProcess, person: str) -> None:
    pharmacy(counter, person)

    check(counter, centre, person)


@pytest.mark.parametrize("person", sorted(PEOPLE))
def test_at_a_registration(
    counter: Counter, centre: CentreProcess, person: str
) -> None:
    new_card(counter, person)

    check(counter, centre, person)
    holder = counter.now.holder
    assert holder is not None
    assert holder["name"] == PEOPLE[person].holder.name


@pytest.mark.parametrize("person", MAIN)
def test_at_a_pharmacy_with_readers_elsewhere(
    elsewhere: Counter, centre: CentreProcess, person: str
) -> None:
    pharmacy(elsewhere, person)

    check(elsewhere, centre, person)


@pytest.mark.parametrize("elsewhere", ["pcsc"], indirect=True)
@pytest.mark.parametrize("person", MEMORY_CARDS)
def test_memory_cards_over_the_real_resource_manager(
    elsewhere: Counter, centre: CentreProcess, person: str
) -> None:
    pharmacy(elsewhere, person)

    check(elsewhere, centre, person)


@pytest.mark.parametrize("person", VERSIONS.values(), ids=list(VERSIONS))
def test_at_a_registration_with_readers_elsewhere(
    elsewhere: Counter, centre: CentreProcess, person: str
) -> None:
    new_card(elsewhere, person)

    check(elsewhere, centre, person)


@pytest.mark.parametrize("elsewhere", ["serial"], indirect=True)
def test_an_old_card_that_is_a_stripe(
    elsewhere: Counter, centre: CentreProcess
) -> None:
    elsewhere.start("pharmacy")
    elsewhere.put("song.medical", READERS.index(TRACK_NAME))
    elsewhere.reaches("waiting_card.social_security")
    elsewhere.put("song.social_security", 0)
    elsewhere.reaches("waiting_confirm")
    elsewhere.confirm()
    elsewhere.reaches("succeeded")

    check(elsewhere, centre, "song")
    assert centre.received["match"] == 1  # a stripe carries no social security number


@pytest.mark.parametrize("elsewhere", ["serial"], indirect=True)
def test_what_was_swiped_before_is_somebody_elses(elsewhere: Counter) -> None:
    track = READERS.index(TRACK_NAME)
    elsewhere.put("song.medical", track)
    swiped = elsewhere.ids[track]
    wait_until(
        lambda: any(
            each["id"] == swiped and each["slot"] == "swiped"
            for each in elsewhere.pos.kaqi.readers()
        )
    )

    elsewhere.start("pharmacy")
    assert elsewhere.now.data["step"]["key"] == "waiting_card.medical"
    elsewhere.put("lin.medical", 0)

    elsewhere.reaches("waiting_card.social_security")
    elsewhere.put("lin.social_security", 1)
    elsewhere.reaches("waiting_confirm")  # both cards are of one person


def test_a_stripe_in_a_chip_reader_is_mute(counter: Counter) -> None:
    counter.start("pharmacy")
    counter.put("song.medical")

    assert counter.says("card.mute").state == "waiting_card"


def check(counter: Counter, centre: CentreProcess, person: str) -> None:
    """The POS, the operator, the journal and the centre tell the same truth."""
    outcome, code = ENDS[person]
    now, record = counter.now, PEOPLE[person].record
    assert (now.outcome, counter.code) == (outcome, code)
    assert len(centre.effects) == (outcome == "activated")
    durable = counter.pos.request(
        "GET", f"/v1/activations/{now.data['result']['activation']}"
    )
    if outcome:
        assert durable.body["state"] == "ACTIVE"
        assert now.receipt("zh-CN")
        assert now.data["result"]["confirmation"]["since"]
    else:
        assert durable.body["state"] == "ABANDONED"
        problem = now.problem
        assert problem is not None
        assert problem["remedy"]["zh-CN"]
        assert now.way_back
        assert problem["centre"] == dict(
            zip(("code", "text"), record.words or (), strict=True)
        )
    if record.standing is Standing.INACTIVE and person == "bai":
        assert "waiting_confirm" in counter.seen or now.data["scenario"] != "pharmacy"


def test_half_a_year_past_is_said_and_lifted_by_activating(counter: Counter) -> None:
    confirming = two_cards(counter, "bai")

    codes = [notice["code"] for notice in confirming.notices]
    texts = confirming.notices[0]["messages"]
    assert codes == ["card.activation_window_over"]
    assert "180" in texts["zh-CN"]
    counter.confirm()
    assert counter.reaches("succeeded").outcome == "activated"


def test_the_cast_covers_every_standing() -> None:
    assert {person.record.standing for person in CAST} == set(Standing) - {
        Standing.UNKNOWN
    }

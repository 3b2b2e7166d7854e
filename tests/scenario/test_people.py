"""People of the cast with readers that are not in this process: behind the real resource
manager, and on serial lines. What becomes of everybody is in test_outcomes."""

from __future__ import annotations

from collections.abc import Mapping

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
    "abu": ("activated", None),
    "qin": ("activated", None),
    "xu": ("activated", None),
    "zhu": ("activated", None),
    "shen": ("activated", None),
    "song": ("activated", None),
}
MAIN = ("lin", "tang", "luo", "abu", "qin", "xu")
MEMORY_CARDS = ("zhu", "shen")
STRIPE = ("song",)  # needs a reader for it
READERS = (*READER_NAMES, TRACK_NAME)
VERSIONS = {"1.00": "he", "2.00": "lin", "3.00 3DES": "qin", "3.00 SM4": "xu"}


def pharmacy(counter: Counter, person: str) -> None:
    two_cards(counter, person)
    if counter.now.state == "waiting_confirm":
        counter.confirm()
        counter.reaches("succeeded", "failed")


@pytest.mark.parametrize("person", ["lin", "abu"])
def test_the_holder_is_who_the_card_says(
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


@pytest.mark.parametrize("person", ["lin", "tang", "luo"])
def test_at_an_admission_with_readers_elsewhere(
    elsewhere: Counter, centre: CentreProcess, person: str
) -> None:
    elsewhere.start("inpatient_registration")
    elsewhere.put(f"{person}.social_security", 0)
    elsewhere.reaches("succeeded", "failed")

    check(elsewhere, centre, person)


@pytest.mark.parametrize("region", ["v6-registration"])
def test_a_registration_that_activates_with_readers_elsewhere(
    abroad: Counter, centre: CentreProcess
) -> None:
    abroad.start("inpatient_registration")
    abroad.put("lin.social_security", 0)
    abroad.reaches("waiting_registration")
    centre.set_standing("lin", "active")
    abroad.now = abroad.pos.kaqi.go_on(abroad.now)

    assert abroad.reaches("succeeded").outcome == "activated"


@pytest.mark.parametrize("region", ["v5-initial-pin"])
def test_a_pin_that_activates_with_readers_elsewhere(abroad: Counter) -> None:
    abroad.start("pharmacy")
    abroad.put("lin.social_security", 0)
    abroad.reaches("waiting_confirm")
    abroad.confirm()
    abroad.reaches("waiting_pin.social_security")
    abroad.now = abroad.pos.kaqi.pin(abroad.now, "123456")
    abroad.reaches("waiting_pin.social_security.new")
    abroad.now = abroad.pos.kaqi.pin(abroad.now, "123456", "246813")

    assert abroad.reaches("succeeded").outcome == "activated"


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


def check(
    counter: Counter,
    centre: CentreProcess,
    person: str,
    ends: Mapping[str, tuple[str | None, str | None]] = ENDS,
) -> None:
    """The POS, the operator, the journal and the centre tell the same truth."""
    outcome, code = ends[person]
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

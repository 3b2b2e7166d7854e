"""Everybody in the cast, over readers in this process and over the real resource manager."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.pcsc import PcscDirectory
from simulator.people import CAST, PEOPLE, Standing
from simulator.vpcd import VpcdDesk
from tests.agents import running
from tests.centre import CentreProcess
from tests.scenario.counter import Counter, new_card, two_cards

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
    "fang": ("activated", None),
    "kong": ("activated", None),
    "shi": ("activated", None),
}
MAIN = ("lin", "tang", "luo", "abu", "qin", "xu", "zhu", "shen")


@pytest.fixture
def pcsc_counter(
    tmp_path: Path, centre: CentreProcess, vpcd: VpcdDesk
) -> Iterator[Counter]:
    """A counter behind the real pcscd."""
    readers = {"pcsc": PcscDirectory()}
    with running(tmp_path, centre.address, readers, vpcd) as started:
        yield Counter(started, vpcd)


def test_the_table_knows_everybody() -> None:
    assert set(ENDS) == set(PEOPLE)


def pharmacy(counter: Counter, person: str) -> None:
    two_cards(counter, person)
    if counter.now.state == "waiting_confirm":
        counter.confirm()
        counter.reaches("succeeded", "failed")


@pytest.mark.parametrize("person", sorted(PEOPLE))
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
def test_at_a_pharmacy_over_the_real_resource_manager(
    pcsc_counter: Counter, centre: CentreProcess, person: str
) -> None:
    pharmacy(pcsc_counter, person)

    check(pcsc_counter, centre, person)


@pytest.mark.parametrize("person", MAIN[:2])
def test_at_a_registration_over_the_real_resource_manager(
    pcsc_counter: Counter, centre: CentreProcess, person: str
) -> None:
    new_card(pcsc_counter, person)

    check(pcsc_counter, centre, person)


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

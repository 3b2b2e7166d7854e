"""Whether an activation would be allowed, without a write anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugin.activation.region import Role
from plugin.profile_file import load_profile
from plugin.settings import InstitutionKind
from simulator.people import engine
from tests.agents import Answer
from tests.centre import CentreProcess
from tests.scenario import outcomes
from tests.scenario.counter import Counter
from tests.scenario.regions import counter_in

ENDS = {
    "lin": ("would_activate", None),
    "tang": ("already_active", None),
    "luo": (None, "card.lost"),
    "yan": (None, "card.suspended"),
    "bai": ("would_activate", None),
}


def tries(counter: Counter, person: str, scenario: str) -> None:
    counter.start(scenario, kind="dry_run")
    if scenario == "pharmacy":
        counter.put(f"{person}.medical", 0)
        counter.reaches("waiting_card.social_security")
        counter.put(f"{person}.social_security", 1)
    else:
        counter.put(f"{person}.social_security", 0)
    counter.reaches("succeeded", "failed")


def written(folder: Path) -> list[str]:
    """What the journal's tables hold, but for the numbers of events."""
    import apsw  # the till's own library, read only

    path = folder / "journal.db"
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    tables = [
        row[0]
        for row in connection.execute(
            "select name from sqlite_master where type='table'"
        )
    ]
    return [
        f"{table} {row}"
        for table in tables
        if table != "counters"
        for row in connection.execute(f"select * from {table}")  # noqa: S608 - our own
    ]


@pytest.mark.parametrize("scenario", ["pharmacy", "outpatient_registration"])
@pytest.mark.parametrize("person", ENDS)
def test_it_says_whether_and_why_not(
    counter: Counter, centre: CentreProcess, person: str, scenario: str
) -> None:
    tries(counter, person, scenario)

    outcome, code = ENDS[person]
    assert (counter.now.outcome, counter.code) == (outcome, code)
    assert counter.now.data["kind"] == "dry_run"
    assert counter.now.data["result"]["activation"] is None
    assert counter.now.receipt() is None
    assert set(centre.received) <= {"card-status", "match"}
    assert centre.effects == []
    listed = counter.pos.request("GET", "/v1/activations").body["activations"]
    assert listed == []
    if person == "bai":
        assert [each["code"] for each in counter.now.notices] == [
            "card.activation_window_over"
        ]


@pytest.mark.parametrize("region", outcomes.SHIPPED)
def test_nothing_is_written_to_the_journal_the_cards_or_the_centre(
    tmp_path: Path, centre: CentreProcess, region: str
) -> None:
    allowed = load_profile(region).scenarios[InstitutionKind.HOSPITAL]
    cards = {role: engine(f"lin.{role}") for role in Role}
    with counter_in(region, tmp_path, centre) as counter:
        for scenario, rules in allowed.items():
            counter.start(scenario, kind="dry_run")
            for reader, role in enumerate(rules.steps):
                counter.reaches(f"waiting_card.{role}")
                counter.put(cards[role], reader)
            assert counter.reaches("succeeded", "failed").outcome == "would_activate"
            counter.leave()

    assert written(tmp_path) == []
    for card in cards.values():
        assert (card.counters.verifications, card.counters.changes) == (0, 0)
    assert set(centre.received) <= {"card-status", "match"}
    assert (centre.messages, centre.effects) == ([], [])


def test_the_same_key_shows_the_same_dry_run(counter: Counter) -> None:
    def asks(scenario: str = "outpatient_registration") -> Answer:
        more = {"readers": counter.ids, "kind": "dry_run"}
        return counter.pos.start(scenario, more, key="k-1")

    first, again, other = asks(), asks(), asks("pharmacy")

    assert first.body["id"] == again.body["id"]
    assert again.headers["idempotency-replayed"] == "true"
    assert (other.status, other.code) == (422, "idempotency.key_reused")


def test_it_can_be_cancelled_and_leaves_the_reader_free(counter: Counter) -> None:
    counter.start("pharmacy", kind="dry_run")
    counter.now = counter.pos.kaqi.cancel(counter.now)

    assert counter.now.state == "cancelled"
    assert counter.start("pharmacy").state == "waiting_card"


def test_where_the_centre_cannot_be_asked_it_says_so(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with counter_in("v3-old-pin", tmp_path, centre) as counter:
        tries(counter, "lin", "outpatient_registration")

        assert counter.now.outcome == "would_activate"
        codes = [each["code"] for each in counter.now.notices]
        assert codes == ["centre.cannot_tell"]
    assert centre.received == {}

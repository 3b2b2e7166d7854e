"""What becomes of everybody, in every region, in every scenario: as in the tables that were
read line by line (`python -m tests.scenario.outcomes` writes them)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plugin.activation.region import HAVE_WAYS_BACK, Scenario
from plugin.settings import InstitutionKind
from simulator.people import PEOPLE
from tests.centre import CentreProcess
from tests.scenario import outcomes
from tests.unit.test_texts import CHINESE

STANDINGS = {
    *("card.lost", "card.temporarily_lost", "card.cancelled", "card.expired"),
    *("card.not_handed_out", "card.suspended"),
}
PARTS = [
    pytest.param(region, kind, scenario, id=f"{region}-{kind}-{scenario}")
    for region in outcomes.SHIPPED
    for kind, scenario in outcomes.parts()
]


@pytest.fixture(scope="module")
def that_day() -> Iterator[CentreProcess]:
    """The centre on the day of the tables."""
    with outcomes.opened_centre() as centre:
        yield centre


def table(region: str) -> list[str]:
    """The lines below the head."""
    head, *lines = outcomes.table_of(region).read_text("utf-8").splitlines()
    assert head == outcomes.HEAD
    return lines


@pytest.mark.parametrize(("region", "kind", "scenario"), PARTS)
def test_everybody_ends_as_the_table_says(
    region: str, kind: InstitutionKind, scenario: Scenario, that_day: CentreProcess
) -> None:
    mine = f"{kind.value}\t{scenario.value}\t"
    expected = [line for line in table(region) if line.startswith(mine)]

    found = [row.line for row in outcomes.rows(region, kind, scenario, that_day)]

    assert found == expected


def test_every_region_has_a_table_and_every_table_its_region() -> None:
    tables = {path.stem for path in outcomes.TABLES.glob("*.tsv")}

    assert tables == set(outcomes.SHIPPED)


@pytest.mark.parametrize("region", outcomes.SHIPPED)
def test_a_table_knows_everybody(region: str) -> None:
    """In every scenario that is allowed, and nobody where it is not."""
    people: dict[tuple[str, str], list[str]] = {}
    for line in table(region):
        kind, scenario, person, *_ = line.split("\t")
        people.setdefault((kind, scenario), []).append(person)

    assert set(people) == {(k.value, s.value) for k, s in outcomes.parts()}
    assert all(found in (["*"], list(PEOPLE)) for found in people.values())
    assert any(found == list(PEOPLE) for found in people.values())


@pytest.mark.parametrize("region", outcomes.SHIPPED)
def test_what_the_tables_say_is_one_truth(region: str) -> None:
    """Counter, journal and centre: at most one effect, and none without a success."""
    names = outcomes.HEAD.split("\t")
    for line in table(region):
        row = dict(zip(names, line.split("\t"), strict=True))
        assert bool(row["outcome"]) == row["state"].startswith("succeeded"), line
        assert bool(row["outcome"]) != bool(row["code"]), line
        assert (row["record"] == "ACTIVE") == bool(row["outcome"]), line
        assert row["effects"] in ("0", "1"), line
        assert row["effects"] == "0" or row["outcome"] == "activated", line
        assert CHINESE.search(row["zh"]), line
        assert row["en"], line
        assert not CHINESE.search(row["en"]), line
        stops = {row[language].count(" | ") for language in ("zh", "en")}
        assert len(stops) == 1, f"other ways in the other language: {line}"
        if row["code"] in HAVE_WAYS_BACK:
            assert stops != {0}, f"no way back: {line}"


@pytest.mark.parametrize("region", outcomes.SHIPPED)
def test_what_a_centre_says_stands_there_in_its_own_words(region: str) -> None:
    names, told = outcomes.HEAD.split("\t"), set()
    for line in table(region):
        row = dict(zip(names, line.split("\t"), strict=True))
        person = PEOPLE.get(row["person"])
        words = person.record.words if person else None
        if words and row["code"].startswith("card."):
            assert row["centre"].endswith(f" {words[1]}"), line
            told.add(row["code"])

    assert told >= STANDINGS

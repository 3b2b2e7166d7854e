"""Who comes where and reads what, as data: the reviewed tables of every region, and which of
their rows are walked through at the page in every run.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby

import pytest

from plugin.activation.region import NewPin, OldPin, RegionProfile, Role, Scenario
from plugin.profile_file import load_profile
from plugin.settings import InstitutionKind
from tests.browser.counter import How, bare
from tests.scenario.outcomes import HEAD, SHIPPED, STRIPE_OWNER, Row, table_of

EVERYTHING = os.environ.get("KAQI_FLOWS") == "all"
NOT_ALLOWED = "scenario.not_allowed_here"
VISITS_AT_MOST, PINS_AT_MOST = 12, 5  # at one till: only so many PINs a minute


def ways(*usual: How) -> pytest.MarkDecorator:
    """A test that these clerks work through in every run, and both in the long one."""
    return pytest.mark.parametrize("how", How if EVERYTHING else usual)


@cache
def region(name: str) -> RegionProfile:
    """A region's rules, as shipped."""
    return load_profile(name)


@dataclass(frozen=True)
class Flow:
    """One row of a region's table."""

    region: str
    row: Row

    @property
    def uses_stripe(self) -> bool:
        """Whether an old card must be swiped."""
        said = region(self.region).rules(
            InstitutionKind(self.row.kind), Scenario(self.row.scenario)
        )
        steps = said.steps if said is not None else ()
        return self.row.person == STRIPE_OWNER and Role.MEDICAL in steps

    @property
    def pins(self) -> int:
        """How often a PIN is given at most."""
        asked = region(self.region).pin
        of_new = {NewPin.NONE: 0, NewPin.CHANGE_INITIAL: 2}.get(asked.new, 1)
        return of_new + (asked.old is not OldPin.NEVER)

    @property
    def place(self) -> tuple[str, str, bool]:
        """What kind of till it needs."""
        return self.region, self.row.kind, self.uses_stripe

    @property
    def shows(self) -> frozenset[tuple[str, ...]]:
        """What a clerk sees there that may be seen nowhere else."""
        row = self.row
        return frozenset(
            {
                ("institution", row.kind),
                ("scenario", self.region, row.scenario),
                ("problem", row.code),
                ("end in", self.region, row.state),
                ("end of", row.scenario, row.state),
                *(("notice", each) for each in row.notices.split()),
            }
        )

    def words(self, how: How) -> tuple[str, list[str]]:
        """What the table says that is read at the end: the sentence, and the steps as the
        page lists them."""
        sentence, *steps = (self.row.zh, self.row.en)[how.place].split(" | ")
        return sentence, [line for step in steps for line in bare(step, how)]

    def __str__(self) -> str:
        return f"{self.row.scenario}/{self.row.person}"


@cache
def every() -> list[Flow]:
    """All rows of all tables where somebody comes to a counter."""
    return [flow for flow in _rows() if flow.row.code != NOT_ALLOWED]


def allowed(at: Flow) -> list[str]:
    """The scenarios that the tables have for this institution in this region."""
    return [
        scenario.value
        for scenario in Scenario
        if any(
            (each.region, each.row.kind, each.row.scenario)
            == (at.region, at.row.kind, scenario.value)
            for each in every()
        )
    ]


def _rows() -> Iterator[Flow]:
    for region in SHIPPED:
        head, *lines = table_of(region).read_text("utf-8").splitlines()
        assert head == HEAD
        for line in lines:
            cells = zip(Row.__struct_fields__, line.split("\t"), strict=True)
            yield Flow(region, Row(**dict(cells)))


def chosen(how: How) -> list[Flow]:
    """So many that everything is seen once, by people of as many kinds as possible."""
    rest = every() if how is How.MOUSE else every()[::-1]
    wanted = {each for flow in rest for each in flow.shows}
    people: Counter[str] = Counter()
    found: list[Flow] = []
    while wanted:
        places = {each.place for each in found}
        best = max(
            rest,
            key=lambda each: (
                len(each.shows & wanted),
                each.place in places,
                each.row.kind == InstitutionKind.HOSPITAL,
                not each.uses_stripe,
                -people[each.row.person],
            ),
        )
        wanted -= best.shows
        people[best.row.person] += 1
        found.append(best)
    return found


def shifts(flows: Iterable[Flow]) -> Iterator[list[Flow]]:
    """The same, in such groups as one till can serve: nobody comes twice."""
    for _, visits in groupby(sorted(flows, key=_by_place), lambda each: each.place):
        shift: list[Flow] = []
        for visit in visits:
            again = visit.row.person in {each.row.person for each in shift}
            pins = sum(each.pins for each in (*shift, visit))
            if again or pins > PINS_AT_MOST or len(shift) == VISITS_AT_MOST:
                yield shift
                shift = []
            shift.append(visit)
        yield shift


def _by_place(flow: Flow) -> tuple[tuple[str, str, bool], str]:
    return flow.place, flow.row.scenario

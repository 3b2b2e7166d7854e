"""What becomes of everybody in the cast, in every region as it is shipped: run for real, and
written as a table that was read line by line.

    python -m tests.scenario.outcomes [REGION ...]

runs these regions (all of them when none is named) and writes their tables anew; what has
changed is then for a person to read in the difference.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct, structs

from drivers.ports import ReaderDirectory
from drivers.serial_line.directory import SerialDirectory
from plugin.activation.region import RegionProfile, Role, Scenario
from plugin.client import Transaction
from plugin.profile_file import REGIONS, load_profile
from plugin.settings import Institution, InstitutionKind
from simulator.people import MEDICAL, PEOPLE, SOCIAL_SECURITY, Person
from simulator.reader import InProcessDesk
from simulator.serial_peer import TRACK_NAME, SerialDesk
from tests.agents import HOSPITAL, PHARMACY, QUICK, SCOPES, Pos, Running, running
from tests.centre import CentreProcess
from tests.scenario.counter import Counter

TABLES = Path(__file__).parent / "outcomes"
SHIPPED = tuple(sorted(path.stem for path in REGIONS.glob("*.toml")))
INSTITUTIONS = {
    InstitutionKind.PHARMACY: PHARMACY,
    InstitutionKind.HOSPITAL: HOSPITAL,
}
NEW_PIN = "246813"
STRIPE_OWNER = "song"
STEPS_MAX = 20
TODAY = "2026-11-22"  # of the centre: the tables name days


class Row(Struct, frozen=True, kw_only=True):
    """One line: who came where, what became of it at the counter, in the journal and at the
    centre (how many effects), and what the clerk read."""

    kind: str
    scenario: str
    person: str
    state: str
    outcome: str
    code: str
    record: str
    effects: str
    notices: str
    centre: str
    zh: str
    en: str

    @property
    def line(self) -> str:
        """As it stands in the table."""
        return "\t".join(structs.astuple(self))


HEAD = "\t".join(Row.__struct_fields__)


def table_of(region: str) -> Path:
    """Where a region's table is."""
    return TABLES / f"{region}.tsv"


def opened_centre() -> CentreProcess:
    """The centre on the day of the tables."""
    return CentreProcess("--today", TODAY)


def parts() -> Iterator[tuple[InstitutionKind, Scenario]]:
    """Every institution's every scenario, also those that are not allowed."""
    for kind in InstitutionKind:
        for scenario in Scenario:
            yield kind, scenario


def rows(
    region: str, kind: InstitutionKind, scenario: Scenario, centre: CentreProcess
) -> list[Row]:
    """Run this part of a region's table."""
    profile = structs.replace(load_profile(region), clocks=QUICK)
    said = profile.rules(kind, scenario)
    with ExitStack() as stack:
        till = _Till(stack, profile, INSTITUTIONS[kind], centre)
        if said is None:
            return [till.refused(scenario)]
        return [till.visit(person, scenario) for person in PEOPLE.values()]


class _Till:
    """Agents with readers of the kind that somebody's cards need."""

    def __init__(
        self,
        stack: ExitStack,
        profile: RegionProfile,
        institution: Institution,
        centre: CentreProcess,
    ) -> None:
        self._stack, self._profile = stack, profile
        self._institution, self._centre = institution, centre
        self._counters: dict[bool, tuple[Running, Counter]] = {}

    def _counter(self, *, stripes: bool) -> tuple[Running, Counter]:
        if stripes not in self._counters:
            self._counters[stripes] = self._opened(stripes=stripes)
        return self._counters[stripes]

    def _opened(self, *, stripes: bool) -> tuple[Running, Counter]:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        module = InProcessDesk()
        hand = SerialDesk() if stripes else module
        readers: dict[str, ReaderDirectory] = {"inprocess": module}
        if isinstance(hand, SerialDesk):
            self._stack.callback(hand.close)
            readers = {"serial": SerialDirectory(hand.ports), **readers}
        started = self._stack.enter_context(
            running(
                folder,
                self._centre.address,
                readers,
                hand,
                institution=self._institution,
                profile=self._profile,
                clocks=QUICK,
            )
        )
        counter = Counter(started, hand, readers=3 if stripes else 2, module=module)
        return started, counter

    def refused(self, scenario: Scenario) -> Row:
        """The scenario that this institution has not."""
        self._centre.reset()
        _, counter = self._counter(stripes=False)
        answer = counter.pos.start(scenario)
        return self._row("*", scenario, str(answer.status), "", answer.body, ())

    def visit(self, person: Person, scenario: Scenario) -> Row:
        """One person comes with both cards and does what the screen says."""
        self._centre.reset()
        said = self._profile.rules(self._institution.kind, scenario)
        uses_old = said is not None and Role.MEDICAL in said.steps
        stripes = person.key == STRIPE_OWNER and uses_old
        started, counter = self._counter(stripes=stripes)
        token = started.folder.pair(f"pos-{person.key}", SCOPES)
        counter.pos = Pos(started.port, token)  # only so many PINs a client
        clerk = _Clerk(counter, person, self._centre)
        clerk.works(scenario)
        now = counter.now
        if not now.ended and now.state != "in_doubt":
            counter.pos.kaqi.cancel(now)
        counter.leave()
        problem = now.problem or {"messages": now.data["step"]["text"]}
        return self._row(
            person.key,
            scenario,
            _key(now),
            now.outcome or "",
            problem,
            tuple(clerk.notices),
            _record(counter),
        )

    def _row(
        self,
        person: str,
        scenario: Scenario,
        state: str,
        outcome: str,
        problem: object,
        notices: tuple[str, ...],
        record: str = "",
    ) -> Row:
        told = problem if isinstance(problem, dict) else {}
        words = told.get("centre") or {}
        return Row(
            kind=self._institution.kind.value,
            scenario=scenario.value,
            person=person,
            state=state,
            outcome=outcome,
            code=str(told.get("code", "")),
            record=record,
            effects=str(len(self._centre.effects)),
            notices=" ".join(notices),
            centre=" ".join(filter(None, (words.get("code"), words.get("text")))),
            zh=_said(told, "zh-CN"),
            en=_said(told, "en"),
        )


class _Clerk:
    """Does what the screen says, with the cards and the PIN that the holder has."""

    def __init__(self, counter: Counter, person: Person, centre: CentreProcess) -> None:
        self._counter, self._person, self._centre = counter, person, centre
        self._put: set[str] = set()
        self.notices: dict[str, None] = {}  # in their order

    def works(self, scenario: Scenario) -> None:
        """To the end, or to where nothing more can be done."""
        counter = self._counter
        counter.start(scenario.value)
        for _ in range(STEPS_MAX):
            now = counter.reaches(*_HANDLED)
            self.notices |= dict.fromkeys(each["code"] for each in now.notices)
            self.notices.pop("card.medical_missing", None)  # said to everybody
            step = getattr(self, f"_{now.state}", None)
            if step is None or not step():
                return
        raise AssertionError(f"{self._person.key} goes round in circles")

    def _waiting_card(self) -> bool:
        role = str(self._counter.now.data["role"])
        if role in self._put:
            return False  # it was turned away
        self._put.add(role)
        name = f"{self._person.key}.{role}"
        reader = 0 if role == MEDICAL else 1
        if name == f"{STRIPE_OWNER}.{MEDICAL}":
            reader = self._counter.readers.index(TRACK_NAME)
        before = self._counter.now
        self._counter.put(name, reader)
        self._counter.now = self._counter.pos.until(
            before, lambda after: after.data["seq"] != before.data["seq"]
        )
        return True

    def _waiting_confirm(self) -> bool:
        self._counter.confirm()
        return True

    def _waiting_registration(self) -> bool:
        self._centre.set_standing(self._person.key, "active")  # HIS registers
        self._counter.now = self._counter.pos.kaqi.go_on(self._counter.now)
        return True

    def _waiting_pin(self) -> bool:
        counter, wanted = self._counter, self._counter.now.pin_wanted
        if wanted is None:  # the card has the word
            before = counter.now
            counter.now = counter.pos.until(
                before, lambda after: after.data["seq"] != before.data["seq"]
            )
            return True
        if counter.code not in (None, "pin.last_try"):
            return False
        cards = {
            MEDICAL: self._person.medical,
            SOCIAL_SECURITY: self._person.social_security,
        }
        pin = cards[str(counter.now.data["role"])].pin or "135792"
        counter.now = counter.pos.kaqi.pin(
            counter.now,
            pin,
            NEW_PIN if wanted["entry"] == "new" else None,
            confirm_last_try=bool(wanted["last_try"]),
        )
        return True


_HANDLED = (
    "waiting_card",
    "waiting_removal",
    "waiting_confirm",
    "waiting_registration",
    "waiting_pin",
    "in_doubt",
    "succeeded",
    "failed",
    "expired",
)


def _key(now: Transaction) -> str:
    return str(now.data["step"]["key"])


def _record(counter: Counter) -> str:
    """How the journal has it."""
    intent = counter.now.data["result"]["activation"]
    return str(counter.pos.request("GET", f"/v1/activations/{intent}").body["state"])


def _said(problem: dict[str, dict[str, list[str]]], language: str) -> str:
    """The sentence, and what to do about it."""
    sentence = str(problem.get("messages", {}).get(language, ""))
    steps = problem.get("remedy", {}).get(language, [])
    return " | ".join([sentence, *steps])


def main(regions: list[str]) -> None:
    """Write the tables of these regions."""
    TABLES.mkdir(exist_ok=True)
    with opened_centre() as centre:
        for region in regions or SHIPPED:
            lines = [HEAD]
            for kind, scenario in parts():
                lines += [row.line for row in rows(region, kind, scenario, centre)]
            table_of(region).write_text("\n".join(lines) + "\n", encoding="utf-8")
            sys.stdout.write(f"{region}: {len(lines) - 1}\n")


if __name__ == "__main__":
    main(sys.argv[1:])

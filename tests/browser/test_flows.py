"""Everybody of the cast at the counter, as the clerk reads it: by mouse in Chinese and by
keyboard alone in English. What is read at the end is what the reviewed tables say
(tests/scenario/outcomes); `KAQI_FLOWS=all` walks through every row of them, both ways.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet
from playwright.sync_api import Browser, expect

from drivers.ports import ReaderDirectory
from drivers.serial_line.directory import SerialDirectory
from plugin.main import texts
from plugin.settings import InstitutionKind
from simulator.people import MEDICAL, PEOPLE, SOCIAL_SECURITY, Person
from simulator.reader import InProcessDesk
from simulator.serial_peer import TRACK_NAME, SerialDesk
from tests.agents import PHARMACY
from tests.browser import flows
from tests.browser.counter import (
    ABOVE_CONFIRM,
    BUTTONS,
    CONSEQUENCE,
    How,
    Till,
    opened,
    prompts,
)
from tests.browser.flows import Flow
from tests.centre import CentreProcess
from tests.leaks import personal_values
from tests.scenario import outcomes

NOTHING = (
    "按当地规则，本机构不办理社会保障卡启用",
    "By the region's rules this institution activates no cards",
)
STEPS_MAX = 12
NEW_PIN, ANY_PIN = "246813", "135792"
ENDS = ("succeeded", "failed", "cancelled", "expired", "in_doubt")
ASKS = ("waiting_card", "waiting_pin", "waiting_confirm", "waiting_registration")


def shifts() -> list[ParameterSet]:
    """Every till that is opened, and who comes there."""
    opened_for = []
    for how in How:
        found = flows.every() if flows.EVERYTHING else flows.chosen(how)
        for shift in flows.shifts(found):
            people = "+".join(map(str, shift))
            name = f"{how}-{shift[0].region}-{shift[0].row.kind}-{people}"
            opened_for.append(pytest.param(how, shift, id=name))
    return opened_for


@pytest.fixture(scope="module")
def that_day() -> Iterator[CentreProcess]:
    """The centre on the day of the tables."""
    with outcomes.opened_centre() as centre:
        yield centre


@pytest.mark.parametrize(("how", "shift"), shifts())
def test_the_clerk_reads_what_the_tables_say(
    how: How,
    shift: list[Flow],
    tmp_path: Path,
    that_day: CentreProcess,
    chromium: Browser,
) -> None:
    with at_a_till(how, shift[0], tmp_path, that_day, chromium) as till:
        expect(till.page.locator(".choices button")).to_have_text(
            [BUTTONS[each][how.place] for each in flows.allowed(shift[0])]
        )
        for flow in shift:
            that_day.reset()
            clerk = Clerk(till, flow, that_day)

            end = clerk.works()

            told, row = till.told(), flow.row
            sentence, steps = flow.words(how)
            expect(till.page).to_have_title(f"● {told['instruction']}")
            assert end == row.state
            assert (told["problem"] or told["instruction"]) == sentence
            assert told["steps"] == steps
            assert told["centre"] == centre_said(how, row.centre)
            assert all(map(str.endswith, clerk.notices, ends_of(how, row.notices)))
            assert len(clerk.notices) == len(row.notices.split())
            assert told["holder"][1:2] == masked_number(clerk)
            assert told["receipt"][0] == receipt_title(how, row.outcome)
            assert clerk.consequences == clerk.confirmed
            till.takes(*clerk.lying)
            assert personal(clerk.person, till.page.content()) == []
            printable = till.button(BUTTONS["print_way"][how.place]).count()
            assert printable == (" | " in row.zh)
            till.clears()
            till.does("next")


def test_where_nothing_is_allowed_the_page_says_so(
    tmp_path: Path, centre: CentreProcess, chromium: Browser
) -> None:
    profile = flows.region("v6-registration")

    with opened(
        tmp_path, centre, chromium, institution=PHARMACY, profile=profile
    ) as till:
        said = till.page.get_by_role("heading", level=1)
        expect(said).to_have_text(NOTHING[0])
        till.press("English")
        expect(said).to_have_text(NOTHING[1])

        assert till.page.locator(".choices button").count() == 0


@pytest.mark.parametrize("how", How)
def test_nothing_of_the_cast_is_left_out(how: How) -> None:
    """No refusal, no scenario of any region, no end and no notice."""
    rows, seen = flows.every(), flows.chosen(how)

    assert {each.row.code for each in seen} == {each.row.code for each in rows}
    assert {(f.region, f.row.scenario) for f in seen} == {
        (f.region, f.row.scenario) for f in rows
    }
    assert {each.row.kind for each in seen} == {each.row.kind for each in rows}
    assert {each.row.state for each in seen} == {each.row.state for each in rows}
    assert {each.row.notices for each in seen} == {each.row.notices for each in rows}
    assert len(seen) >= 25


class Clerk:
    """Does what the page says, with the cards and the PIN that the holder has."""

    def __init__(self, till: Till, flow: Flow, centre: CentreProcess) -> None:
        self._till, self._flow, self._centre = till, flow, centre
        self._profile = flows.region(flow.region)
        self._keys = {
            text: key for key, text in prompts(till.how, self._profile).items()
        }
        self.person: Person = PEOPLE[flow.row.person]
        self.lying: list[tuple[str, str]] = []  # which card in which reader
        self.notices: dict[str, None] = {}
        self.consequences: list[str] = []
        self.confirmed: list[str] = []

    def works(self) -> str:
        """To the end, whose key is returned."""
        till = self._till
        till.does(self._flow.row.scenario)
        before = ""
        for _ in range(STEPS_MAX):
            key = self._arrives(before)
            told = till.told()
            state = key.partition(".")[0]
            if state in (*ENDS, "waiting_confirm", "waiting_registration"):
                self.notices |= dict.fromkeys(told["notices"])
            if state in ENDS:
                return key
            expect(till.page).to_have_title(f"● {told['instruction']}")
            getattr(self, f"_{state}")(key)
            before = told["instruction"]
        raise AssertionError(f"{self._flow} goes round in circles")

    def _arrives(self, before: str) -> str:
        """Wait until somebody has something to do, and say what."""
        wanted = [
            text
            for text, key in self._keys.items()
            if key.startswith((*ENDS, *ASKS)) and not key.endswith("at_work")
        ]
        shown = self._till.arrives(*(text for text in wanted if text != before))
        return self._keys[shown]

    def _waiting_card(self, key: str) -> None:
        role = key.rpartition(".")[2]
        hand, name = self._till.hand, f"{self.person.key}.{role}"
        reader = hand.readers()[0 if role == MEDICAL else 1]
        if self._flow.uses_stripe and role == MEDICAL:
            reader = TRACK_NAME
        else:
            self.lying.append((role, reader))
        hand.insert(name, reader)

    def _waiting_confirm(self, _: str) -> None:
        till = self._till
        button = till.button(BUTTONS["confirm"][till.how.place])
        self.consequences.append(button.evaluate(ABOVE_CONFIRM))
        self.confirmed.append(CONSEQUENCE[till.how.place])
        till.does("confirm")

    def _waiting_registration(self, _: str) -> None:
        self._centre.set_standing(self.person.key, "active")  # HIS registers
        self._till.does("registered")

    def _waiting_pin(self, key: str) -> None:
        old = key.split(".")[1] == MEDICAL
        card = self.person.medical if old else self.person.social_security
        pins = [card.pin or ANY_PIN]
        self._till.gives(*pins, *([NEW_PIN] * 2 if key.endswith(".new") else []))


@contextmanager
def at_a_till(
    how: How, flow: Flow, folder: Path, centre: CentreProcess, browser: Browser
) -> Iterator[Till]:
    """What this flow needs: its region, its institution, and its kind of readers."""
    profile = flows.region(flow.region)
    institution = outcomes.INSTITUTIONS[InstitutionKind(flow.row.kind)]
    with ExitStack() as stack:
        module = InProcessDesk()
        hand: InProcessDesk | SerialDesk = module
        readers: dict[str, ReaderDirectory] = {"inprocess": module}
        if flow.uses_stripe:
            hand = SerialDesk()
            stack.callback(hand.close)
            readers = {"serial": SerialDirectory(hand.ports), **readers}
        yield stack.enter_context(
            opened(
                folder,
                centre,
                browser,
                how=how,
                hand=hand,
                directories=readers,
                institution=institution,
                profile=profile,
            )
        )


def centre_said(how: How, words: str) -> str:
    """The centre's words, verbatim, as the table has them behind their code."""
    code, _, text = words.partition(" ")
    said = ("中心原话：{text}（{code}）", "The centre's words: {text} ({code})")
    return said[how.place].format(text=text, code=code) if words else ""


def ends_of(how: How, codes: str) -> list[str]:
    """How the sentences of these notices end, behind what is filled in."""
    catalogue = texts("problems")()
    sentences = [catalogue[code][how.language] for code in codes.split()]
    return [re.split(r"[\]}]", sentence)[-1] for sentence in sentences]


def masked_number(clerk: Clerk) -> list[str]:
    """The number of the social security card that was read."""
    if SOCIAL_SECURITY not in dict(clerk.lying):
        return []
    number = clerk.person.holder.social_security_number
    return [f"{number[:6]}********{number[-4:]}"]


def receipt_title(how: How, outcome: str) -> str:
    """What a receipt begins with; nothing where there is none."""
    return str(texts("receipts")()["title"].get(outcome, {}).get(how.language, ""))


def personal(person: Person, shown: str) -> list[str]:
    """What names this person, and the PIN."""
    values = {**personal_values([person]), "pin": person.pin or NEW_PIN}
    return [what for what, value in values.items() if value in shown]

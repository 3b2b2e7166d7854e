"""Every moment of a transaction as the page shows it, by mouse in Chinese and by keyboard in
English: its instruction; a title and one tone where somebody must act, and only there; which
card goes where; and a picture that says the same.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser, expect

from plugin.activation.region import Clocks, NewPin, OldPin, RegionProfile
from plugin.client import Transaction
from plugin.main import texts
from plugin.profile_file import load_profile
from simulator.keypad import Keypad
from simulator.people import card as of_the_cast
from simulator.people import engine
from simulator.reader import READER_NAMES, InProcessDesk
from simulator.scenario import ScriptedCard
from tests.agents import QUICK
from tests.browser.counter import FIRST, SECOND, SECONDS, How, Till, opened, prompts
from tests.browser.flows import ways
from tests.centre import CentreProcess
from tests.scenario.counter import Tripwire
from tests.scenario.test_pin_activates import CHANGE
from tests.waiting import WAIT_SECONDS

INITIAL, NEW = "123456", "246813"
PATIENT = replace(QUICK, centre=30)
NOBODY_ACTS = ("reading", "matching", "checking", "committing", "waiting_pin.at_work")
PUT_IN = ("插入读卡器：{}", "Into the reader: {}")
LEAVE_IN = ("卡在“{}”里，请勿取出", "The card is in {}: leave it in")
OR = (" 或 ", " or ")
by_mouse, by_keyboard = ways(How.MOUSE), ways(How.KEYBOARD)  # both in the long run


class Stage:
    """A till at which every moment is looked at as it comes."""

    def __init__(self, till: Till, centre: CentreProcess) -> None:
        self.till, self.centre = till, centre
        self.page, self.how = till.page, till.how
        self._tones = till.tones  # of those who came before

    def sees(self, key: str, code: str = "") -> None:
        """This moment: its words, its problem, and whether it calls somebody."""
        till, text = self.till, prompts(self.how)[key]
        calls = not key.startswith(NOBODY_ACTS)
        till.reads(text)
        if code:
            sentence = texts("problems")()[code][self.how.language]
            shown = self.page.locator(".wrong strong").first
            expect(shown).to_have_text(sentence, timeout=SECONDS)
        expect(self.page).to_have_title(re.compile("^● " if calls else "^[^●]"))
        if calls:
            expect(self.page).to_have_title(f"● {text}")
        self._tones += calls
        assert till.tones == self._tones

    def where(self, *lines: str) -> None:
        """What is said of the readers."""
        shown = self.page.locator(".where li")
        expect(shown).to_have_text(list(lines), timeout=SECONDS)

    def put_in(self, *readers: str) -> None:
        """The card goes into one of these."""
        place = self.how.place
        self.where(PUT_IN[place].format(OR[place].join(readers)))

    def leave_in(self, reader: str) -> None:
        """The card stays in this one."""
        self.where(LEAVE_IN[self.how.place].format(reader))


Opens = Callable[..., Stage]
Visits = Callable[[How], Stage]


class Standing:
    """Tills in the reference region that stay open from test to test, one for each clerk;
    everybody comes once. One that did not come back from a test is not used again."""

    def __init__(self, opens: Callable[[How], Till]) -> None:
        self._opens = opens
        self._free: dict[How, Till] = {}

    def take(self, how: How) -> Till:
        """One where nothing is under way."""
        till = self._free.pop(how, None) or self._opens(how)
        till.called.clear()
        return till

    def give_back(self, till: Till) -> None:
        """Whatever was under way there is ended, and every card is out."""
        pos = till.agent.pos
        for each in pos.request("GET", "/v1/transactions").body["transactions"]:
            if each["cancellable"]:
                pos.kaqi.cancel(Transaction(each))
        till.clears()
        if not till.page.locator(".choices").count():
            till.does("next")
        till.page.locator(".choices").wait_for()
        self._free[till.how] = till


@pytest.fixture(scope="module")
def standing(
    tmp_path_factory: pytest.TempPathFactory,
    session_centre: CentreProcess,
    chromium: Browser,
) -> Iterator[Standing]:
    """The tills of this module."""
    with ExitStack() as stack:

        def opening(how: How) -> Till:
            folder = tmp_path_factory.mktemp("till")
            return stack.enter_context(
                opened(folder, session_centre, chromium, how=how, clocks=PATIENT)
            )

        yield Standing(opening)


@pytest.fixture
def visits(standing: Standing, centre: CentreProcess) -> Iterator[Visits]:
    """Goes to a till that stands open."""
    taken: list[Till] = []

    def goes(how: How) -> Stage:
        taken.append(standing.take(how))
        return Stage(taken[-1], centre)

    yield goes
    centre.behave()
    centre.let_go()
    for till in taken:
        standing.give_back(till)


@pytest.fixture
def opens(tmp_path: Path, centre: CentreProcess, chromium: Browser) -> Iterator[Opens]:
    """Opens a till with these readers in this region."""
    with ExitStack() as stack:

        def opening(
            how: How,
            *,
            profile: RegionProfile | None = None,
            clocks: Clocks = PATIENT,
            hand: InProcessDesk | None = None,
        ) -> Stage:
            hand = hand or InProcessDesk()
            till = stack.enter_context(
                opened(
                    tmp_path,
                    centre,
                    chromium,
                    how=how,
                    hand=hand,
                    directories={"inprocess": hand},
                    profile=profile,
                    clocks=clocks,
                )
            )
            return Stage(till, centre)

        yield opening


class Held:
    """A card that takes its time at one command, until it is let go."""

    def __init__(self, name: str, at: int = 3) -> None:
        self._go = threading.Event()
        self.card = Tripwire(of_the_cast(name), at, self._wait)

    def _wait(self) -> None:
        self._go.wait(WAIT_SECONDS)

    def let_go(self) -> None:
        self._go.set()


@contextmanager
def slow(centre: CentreProcess, operation: str) -> Iterator[None]:
    """The centre keeps its answers for so long."""
    centre.misbehave("slow", operation, seconds=25)
    yield
    centre.behave()
    centre.let_go()


@by_mouse
def test_two_cards_at_two_readers(visits: Visits, how: How) -> None:
    stage = visits(how)
    hand, till, centre = stage.till.hand, stage.till, stage.centre
    assert isinstance(hand, InProcessDesk)
    for reader in READER_NAMES:
        hand.unplug(reader)
    till.does("pharmacy")
    stage.sees("waiting_reader", "reader.none")
    for reader in READER_NAMES:
        hand.plug(reader)
    stage.sees("waiting_card.medical")
    stage.put_in(FIRST, SECOND)
    old, new = Held("lin.medical"), Held("lin.social_security")
    hand.insert_card(old.card, FIRST)
    stage.sees("reading.medical")
    stage.leave_in(FIRST)
    old.let_go()
    stage.sees("waiting_card.social_security")
    stage.put_in(SECOND)
    hand.insert_card(new.card, SECOND)
    stage.sees("reading.social_security")
    stage.leave_in(SECOND)
    with slow(centre, "card-status"):
        new.let_go()
        stage.sees("checking")
    stage.sees("waiting_confirm")
    with slow(centre, "activations"):
        till.does("confirm")
        stage.sees("committing")
    stage.sees("succeeded.activated")

    till.takes(("medical", FIRST), ("social_security", SECOND))
    hand.remove(FIRST)
    till.takes(("social_security", SECOND))
    hand.remove(SECOND)
    till.takes()
    assert len(centre.effects) == 1


@by_keyboard
def test_one_reader_says_which_card_makes_room(opens: Opens, how: How) -> None:
    stage = opens(how, hand=InProcessDesk(names=(FIRST,)))
    hand, till = stage.till.hand, stage.till
    till.does("pharmacy")
    stage.sees("waiting_card.medical")
    hand.insert("lin.social_security", FIRST)
    stage.sees("waiting_removal.social_security")
    till.takes(("social_security", FIRST))
    hand.remove(FIRST)
    stage.sees("waiting_card.medical")
    hand.insert("lin.medical", FIRST)
    stage.sees("waiting_confirm")
    till.does("cancel")
    stage.sees("cancelled")
    till.takes(("medical", FIRST))

    till.does("next")
    till.does("pharmacy")
    stage.sees("waiting_removal", "card.left_in_reader")
    till.takes(("medical", FIRST))
    till.does("continue")
    stage.sees("waiting_removal.medical")
    assert len(stage.centre.effects) == 0


@by_mouse
def test_a_card_that_is_turned_away_is_asked_out_of_its_reader(
    visits: Visits, how: How
) -> None:
    stage = visits(how)
    hand, till = stage.till.hand, stage.till
    till.does("outpatient_registration")
    stage.sees("waiting_card.social_security")
    hand.insert("other.bank_card", SECOND)

    stage.sees("waiting_card.social_security", "card.unsupported")
    till.takes(("any", SECOND))
    hand.remove(SECOND)
    expect(stage.page.locator(".wrong")).to_have_count(0, timeout=SECONDS)
    stage.put_in(FIRST, SECOND)


@by_keyboard
def test_whose_the_old_card_is_is_asked(visits: Visits, how: How) -> None:
    stage = visits(how)
    hand, till = stage.till.hand, stage.till
    till.does("pharmacy")
    hand.insert("zhu.medical", FIRST)
    with slow(stage.centre, "match"):
        hand.insert("zhu.social_security", SECOND)
        till.reads(prompts(how)["matching"])
        assert not stage.page.title().startswith("●")

    till.reads(prompts(how)["waiting_confirm"])


@by_mouse
def test_who_does_not_come_is_not_waited_for(opens: Opens, how: How) -> None:
    stage = opens(how, clocks=replace(QUICK, card=1))
    stage.till.does("pharmacy")

    stage.till.reads(prompts(how)["expired"])

    assert stage.page.title().startswith("●")
    assert stage.till.tones == 2  # for the card, and for the end
    stage.till.takes()


@by_keyboard
def test_a_trial_activates_nothing(visits: Visits, how: How) -> None:
    stage = visits(how)
    trial = stage.page.get_by_label(
        ("只试办，不启用", "A trial only, nothing is activated")[how.place]
    )
    if how is How.MOUSE:
        trial.check()
    else:
        stage.till.focus(trial)
        stage.page.keyboard.press("Space")
    stage.till.does("outpatient_registration")
    stage.till.hand.insert("he.social_security", FIRST)

    stage.till.reads(prompts(how)["succeeded.would_activate"])

    assert stage.centre.effects == []
    assert stage.page.locator("pre.receipt").count() == 0


@by_mouse
def test_without_the_centre_the_queue_goes_on(visits: Visits, how: How) -> None:
    stage = visits(how)
    stage.centre.misbehave("lose_request")
    stage.till.does("outpatient_registration")
    stage.till.hand.insert("abu.social_security", FIRST)

    stage.till.reads(prompts(how)["succeeded.not_checked"])

    assert stage.till.told()["receipt"][0]


@by_keyboard
def test_an_answer_that_is_lost_lets_the_holder_go_and_comes_in_the_end(
    visits: Visits, how: How
) -> None:
    stage = visits(how)
    till, centre = stage.till, stage.centre
    centre.misbehave("lose_answer", "activations")
    centre.misbehave("lose_request", "activation-status")
    till.does("outpatient_registration")
    stage.sees("waiting_card.social_security")
    till.hand.insert("jie.social_security", FIRST)

    stage.sees("in_doubt")
    till.takes(("social_security", FIRST))
    expect(till.button(("下一位", "Next")[how.place])).to_be_visible()
    centre.behave()

    stage.sees("succeeded.activated")
    assert len(centre.effects) == 1


@by_mouse
def test_what_nobody_can_be_asked_about_needs_a_telephone_call(
    opens: Opens, how: How
) -> None:
    stage = opens(how, profile=load_profile("v3-old-pin"))
    till = stage.till
    stage.centre.misbehave("lose_answer", "")
    till.does("outpatient_registration")
    till.hand.insert("lin.social_security", FIRST)
    stage.page.locator("form.pin").wait_for()
    till.gives(INITIAL)

    till.reads(prompts(how)["in_doubt.needs_a_person"])

    assert stage.page.title().startswith("●")
    till.takes(("social_security", FIRST))


@by_keyboard
def test_a_change_that_was_interrupted_brings_the_card_back(
    opens: Opens, how: How
) -> None:
    stage = opens(how, profile=load_profile("v5-initial-pin"))
    till, lin = stage.till, engine("lin.social_security")
    till.does("outpatient_registration")
    till.hand.insert_card(ScriptedCard(lin, pull_at=CHANGE), FIRST)
    till.reads(prompts(how)["waiting_confirm"])
    till.does("confirm")
    till.reads(prompts(how)["waiting_pin.social_security"])
    till.gives(INITIAL)
    till.reads(prompts(how)["waiting_pin.social_security.new"])
    till.gives(INITIAL, NEW, NEW)
    till.reads(prompts(how)["waiting_card.social_security"])

    till.does("cancel")

    till.reads(prompts(how)["in_doubt.card_must_return"])
    assert stage.page.title().startswith("●")


@by_mouse
def test_the_registration_activates(opens: Opens, how: How) -> None:
    stage = opens(how, profile=load_profile("v6-registration"))
    till = stage.till
    till.does("outpatient_registration")
    till.hand.insert("tang.social_security", FIRST)
    till.reads(prompts(how)["succeeded.already_active"])
    till.clears()
    till.does("next")
    till.does("inpatient_registration")
    till.hand.insert("lin.social_security", FIRST)

    till.reads(prompts(how)["waiting_registration"])

    registered = ("已办理挂号或住院，继续", "Registered: continue")[how.place]
    expect(till.button(registered)).to_be_visible()
    assert stage.page.title().startswith("●")


@by_keyboard
def test_where_nobody_says_that_it_is_registered_the_holder_goes_on(
    opens: Opens, how: How
) -> None:
    clocks = replace(QUICK, registration=1)
    stage = opens(how, profile=load_profile("v6-registration"), clocks=clocks)
    stage.till.does("outpatient_registration")
    stage.till.hand.insert("lin.social_security", FIRST)

    stage.till.reads(prompts(how)["succeeded.will_activate_on_registration"])

    stage.till.takes(("social_security", FIRST))
    assert len(stage.centre.effects) == 0


@by_mouse
def test_a_refusal_calls_and_names_the_card(visits: Visits, how: How) -> None:
    stage = visits(how)
    stage.till.does("inpatient_registration")
    stage.sees("waiting_card.social_security")
    stage.till.hand.insert("gu.social_security", SECOND)

    stage.sees("failed", "card.expired")

    stage.till.takes(("social_security", SECOND))
    assert len(stage.centre.effects) == 0


@by_keyboard
def test_on_keypads_both_pins_are_asked_for_on_the_reader(
    opens: Opens, how: How
) -> None:
    keypad = Keypad()
    hand = InProcessDesk(keypads=dict.fromkeys(READER_NAMES, keypad))
    region = load_profile("reference")
    policy = replace(region.pin, old=OldPin.ALWAYS, new=NewPin.SET, initial=frozenset())
    stage = opens(how, hand=hand, profile=replace(region, pin=policy))
    till = stage.till
    till.does("pharmacy")
    stage.sees("waiting_card.medical")
    hand.insert("lin.medical", FIRST)
    stage.sees("waiting_pin.medical.reader")
    stage.leave_in(FIRST)
    keypad.type(INITIAL)
    till.does("begin")
    stage.sees("waiting_card.social_security")
    hand.insert("lin.social_security", SECOND)
    stage.sees("waiting_confirm")
    till.does("confirm")
    stage.sees("waiting_pin.social_security.new.reader")
    keypad.type(INITIAL, NEW, NEW)
    till.does("begin")
    stage.sees("succeeded.activated")
    assert len(stage.centre.effects) == 1


def test_a_reload_sounds_no_second_tone_and_a_second_click_starts_nothing(
    visits: Visits,
) -> None:
    stage = visits(How.MOUSE)
    till = stage.till
    till.does("pharmacy")
    stage.sees("waiting_card.medical")

    stage.page.reload()

    till.reads(prompts(How.MOUSE)["waiting_card.medical"])
    assert stage.page.title().startswith("●")
    assert till.tones == 0


def at_the_confirmation(till: Till, person: str) -> None:
    """Both cards are in, and somebody must say yes."""
    till.does("pharmacy")
    till.hand.insert(f"{person}.medical", FIRST)
    till.reads(prompts(till.how)["waiting_card.social_security"])
    till.hand.insert(f"{person}.social_security", SECOND)
    till.reads(prompts(till.how)["waiting_confirm"])


def test_a_double_click_on_yes_leaves_the_result_on_the_page(visits: Visits) -> None:
    """What comes under the hand is the button to the next holder."""
    stage = visits(How.MOUSE)
    till = stage.till
    at_the_confirmation(till, "ji")

    till.button("确认启用").dblclick()

    till.reads(prompts(How.MOUSE)["succeeded.activated"])
    assert len([each for each in till.called if each.endswith("/confirm")]) == 1
    assert len(stage.centre.effects) == 1


def test_an_enter_that_was_meant_for_something_else_confirms_nothing(
    visits: Visits,
) -> None:
    stage = visits(How.KEYBOARD)
    till = stage.till
    at_the_confirmation(till, "kong")

    stage.page.keyboard.press("Enter")
    stage.page.keyboard.press("Space")

    assert [each for each in till.called if each.endswith("/confirm")] == []
    expect(stage.page.locator(".instruction")).to_be_focused()


def test_every_moment_is_seen() -> None:
    """By one of the two clerks in every run, by both in the long one."""
    after_a_restart = {"failed.begin_again"}  # tests/browser/test_misfortune.py
    files = ("test_moments.py", "test_pin_page.py")
    here = Path(__file__).parent
    source = "".join((here / name).read_text("utf-8") for name in files)
    seen = set(re.findall(r'(?:sees|reads)\((?:till, )?"([\w.]+)"', source))
    seen |= set(re.findall(r'reads\(prompts\(how\)\["([\w.]+)"\]\)', source))

    assert set(texts("prompts")()) - seen == after_a_restart

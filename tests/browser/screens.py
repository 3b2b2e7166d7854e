"""Every screen of the console and every moment of the journey, and how to get there. What
judges screens (axe-core, the layout, the first paint) and what draws them takes this table.

Moments are reached through the API and the hand over the readers, as a POS and a holder
would, so that they do not depend on what the page looks like.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace
from playwright.sync_api import Browser, Page, ViewportSize, expect

from plugin.activation.region import Clocks, NewPin, RegionProfile
from plugin.profile_file import load_profile
from simulator.keypad import Keypad
from simulator.reader import READER_NAMES, InProcessDesk
from simulator.scenario import MuteCard
from tests.agents import HOSPITAL, Pos, Running, running
from tests.centre import CentreProcess
from tests.scenario.counter import Counter, two_cards

CONSOLE = Path(__file__).parents[2] / "console"
LANGUAGES = ("zh-CN", "en")
COUNTER = ViewportSize(width=1024, height=768)
FIRST, SECOND = READER_NAMES
LISTED = "https://his.hospital.example"
ARRIVES_MS = 30_000  # a machine with much else to do
INITIAL, HOLDERS, WRONG = "123456", "135792", "654321"
KEPT_BACK = 60.0  # seconds; nobody waits so long
PATIENT = Clocks(pin=120)


def word(key: str, language: str) -> str:
    """What the console's catalogue has under this key."""
    text = (CONSOLE / "words.js").read_text(encoding="utf-8")
    found = re.search(rf'^  {key}: \["([^"]+)", "([^"]+)"\]', text, re.MULTILINE)
    assert found, key
    return found[1 + LANGUAGES.index(language)]


class Stage:
    """An agent with two readers, a centre, and the page that shows them."""

    def __init__(
        self, agent: Running, hand: InProcessDesk, centre: CentreProcess, page: Page
    ) -> None:
        self.agent = agent
        self.hand = hand
        self.centre = centre
        self.page = page
        self.counter = Counter(agent, hand, module=hand)
        self.address = f"http://127.0.0.1:{agent.port}/"

    @property
    def operator(self) -> Pos:
        """The commands on this machine."""
        return Pos(self.agent.port, self.agent.folder.operator_token())

    def open(self, *, signed_in: bool = True) -> None:
        """Load the page."""
        said = self.operator.request("POST", "/v1/console/codes", {}).body
        self.page.goto(
            "about:blank"
        )  # where it is open already, a new code loads it twice
        self.page.goto(self.address + (f"#code={said['code']}" if signed_in else ""))
        heading = self.page.get_by_role("heading", level=1)
        expect(heading).to_be_visible(timeout=ARRIVES_MS)

    def speak(self, language: str) -> None:
        """Have the page in this language."""
        root = self.page.locator("html")
        if root.get_attribute("lang") != language:
            self.page.locator("button.language").click()
        expect(root).to_have_attribute("lang", language, timeout=ARRIVES_MS)

    def turn_to(self, part: str, language: str) -> None:
        """One of the screens, by what stands on its button."""
        screens = self.page.get_by_role("navigation")
        screens.get_by_text(word(f"screen_{part}", language), exact=True).click()

    def tells(self, language: str) -> None:
        """The page says what the counter does, and what is wrong."""
        now = self.counter.now
        instruction = self.page.locator(".instruction")
        expected = now.data["step"]["text"][language]
        expect(instruction).to_have_text(expected, timeout=ARRIVES_MS)
        if now.problem:
            said = now.problem["messages"][language]
            expect(self.page.locator("main")).to_contain_text(said, timeout=ARRIVES_MS)


def _nothing(_: Stage, __: str = "") -> None:
    """There already."""


@dataclass(frozen=True, kw_only=True)
class Screen:
    """`before` the page is opened and `after` it was (what has ended is only shown to who
    has seen it begin), then, for each language anew, `then`. `sees` is there when all of it
    has come, in any language; `tells` that somebody is being served."""

    part: str = "journey"
    before: Callable[[Stage], object] = _nothing
    after: Callable[[Stage], object] = _nothing
    then: Callable[[Stage, str], object] = _nothing
    sees: tuple[str, ...] = ()
    tells: bool = False
    signed_in: bool = True
    region: Callable[[], RegionProfile] = field(default=lambda: _region("reference"))
    keypad: bool = False


def _region(name: str, **pin: object) -> RegionProfile:
    region = load_profile(name)
    return replace(region, clocks=PATIENT, pin=replace(region.pin, **pin))


def _asking_pins() -> RegionProfile:
    return _region(
        "reference", new=NewPin.CHANGE_INITIAL, initial=(INITIAL,), probe=True
    )


def _setting_pins() -> RegionProfile:
    return _region("reference", new=NewPin.SET)


def _by_old_pin() -> RegionProfile:
    return _region("v3-old-pin")


def _by_registration() -> RegionProfile:
    return _region("v6-registration")


# What POS, holder and centre do


def _pharmacy(stage: Stage) -> None:
    stage.counter.start("pharmacy", pos_ref="A-20261123-0017")


def _one_reader(stage: Stage) -> None:
    stage.counter.start("pharmacy", readers=stage.counter.ids[:1])
    stage.counter.put("lin.medical")
    stage.counter.reaches("waiting_removal")


def _no_reader(stage: Stage) -> None:
    for reader in READER_NAMES:
        stage.hand.detach(reader)
    stage.counter.start("pharmacy", readers=None)
    stage.counter.reaches("waiting_reader")


def _bank_card(stage: Stage) -> None:
    _pharmacy(stage)
    stage.counter.put("other.bank_card")
    stage.counter.says("card.unsupported")


def _visit(stage: Stage, reference: str = "A-20261123-0017") -> None:
    stage.counter.start("outpatient_registration", pos_ref=reference)


def _registration(stage: Stage, person: str = "lin") -> None:
    _visit(stage)
    stage.counter.put(f"{person}.social_security")


def _registered_later(stage: Stage) -> None:
    _registration(stage)
    stage.counter.reaches("waiting_registration")


def _committing(stage: Stage) -> None:
    stage.centre.misbehave("silence", "activations", seconds=KEPT_BACK, times=1)
    _registration(stage)
    stage.counter.reaches("committing")


def _in_doubt(stage: Stage) -> None:
    stage.centre.misbehave("lose_answer", "activations", times=1)
    stage.centre.misbehave("slow", "activation-status", seconds=KEPT_BACK, times=1)
    stage.counter.put("lin.social_security")
    stage.counter.reaches("in_doubt")


def _asked_for_pin(stage: Stage, person: str = "lin") -> None:
    _registration(stage, person)
    counter = stage.counter
    counter.now = counter.pos.until(counter.now, lambda now: now.pin_wanted is not None)


def _wrong_pin(stage: Stage) -> None:
    _asked_for_pin(stage)
    stage.counter.now = stage.agent.pos.kaqi.pin(stage.counter.now, WRONG)
    stage.counter.says("pin.wrong")


def _left_to_a_person(stage: Stage) -> None:
    stage.centre.misbehave("lose_answer", "enable", times=1)
    _old_pin(stage, "lin", "in_doubt.needs_a_person")


def _old_pin(stage: Stage, person: str, end: str) -> None:
    """The new card, with the PIN that it has from the old one."""
    stage.counter.put(f"{person}.social_security")
    stage.counter.reaches("waiting_pin")
    stage.counter.now = stage.agent.pos.kaqi.pin(stage.counter.now, INITIAL)
    stage.counter.reaches(end)


def _needs_a_person(stage: Stage) -> None:
    _visit(stage)
    _left_to_a_person(stage)


def _a_day(stage: Stage) -> None:
    """One that needs a person, one that is active, one that was refused."""
    _needs_a_person(stage)
    for person, end in (("he", "succeeded"), ("luo", "failed")):
        stage.counter.leave()
        _visit(stage, f"B-{person}")
        _old_pin(stage, person, end)


def _mute(stage: Stage) -> None:
    """A card that does not answer, one that does, and no PSAM."""
    stage.hand.give_psam(None)
    stage.hand.insert_card(MuteCard(), FIRST)
    stage.hand.insert("lin.social_security", SECOND)


def _asks_to_be_paired(stage: Stage) -> None:
    wish = {"client": "his", "version": "3.2", "scopes": ["read", "activate"]}
    stage.agent.pos.request("POST", "/v1/pairings", wish, without=("Authorization",))


def _sale(stage: Stage) -> None:
    stage.counter.put("lin.medical")
    stage.counter.reaches("waiting_card.social_security")
    stage.counter.put("lin.social_security", 1)
    stage.counter.reaches("waiting_confirm")
    stage.counter.confirm()
    stage.counter.reaches("succeeded")


def _ended(person: str) -> Callable[[Stage], None]:
    def registered(stage: Stage) -> None:
        stage.counter.put(f"{person}.social_security")
        stage.counter.reaches("succeeded", "failed")

    return registered


def _cancelled(stage: Stage) -> None:
    stage.counter.now = stage.agent.pos.kaqi.cancel(stage.counter.now)


# What is done on the page


def _settle(stage: Stage, language: str) -> None:
    name = word("settle", language)
    stage.page.get_by_role("button", name=name, exact=True).first.click()
    expect(stage.page.get_by_role("dialog")).to_be_visible(timeout=ARRIVES_MS)


def _unplugged(stage: Stage, language: str) -> None:
    stage.page.context.set_offline(True)
    trouble = stage.page.locator(".trouble")
    expect(trouble).to_contain_text(word("offline", language), timeout=ARRIVES_MS)


SCREENS: dict[str, Screen] = {
    "signed-out": Screen(signed_in=False),
    "choice": Screen(),
    "no-reader": Screen(before=_no_reader, tells=True),
    "waiting-card": Screen(before=_pharmacy, tells=True),
    "wrong-card": Screen(before=_bank_card, tells=True),
    "waiting-removal": Screen(before=_one_reader, tells=True),
    "confirm": Screen(before=lambda stage: two_cards(stage.counter), tells=True),
    "confirm-with-notice": Screen(
        before=lambda stage: two_cards(stage.counter, "bai"), tells=True
    ),
    "pin": Screen(before=_asked_for_pin, tells=True, region=_asking_pins),
    "pin-wrong": Screen(before=_wrong_pin, tells=True, region=_asking_pins),
    "pin-last-try": Screen(
        before=lambda stage: _asked_for_pin(stage, "kong"),
        tells=True,
        region=_asking_pins,
    ),
    "pin-new": Screen(before=_asked_for_pin, tells=True, region=_setting_pins),
    "pin-on-reader": Screen(
        before=_asked_for_pin, tells=True, region=_asking_pins, keypad=True
    ),
    "registration": Screen(
        before=_registered_later,
        tells=True,
        region=_by_registration,
    ),
    "committing": Screen(before=_committing, tells=True),
    "in-doubt": Screen(before=_visit, after=_in_doubt, tells=True),
    "needs-a-person": Screen(
        before=_visit, after=_left_to_a_person, tells=True, region=_by_old_pin
    ),
    "success": Screen(before=_pharmacy, after=_sale, tells=True),
    "already-active": Screen(before=_visit, after=_ended("tang"), tells=True),
    "refusal": Screen(before=_visit, after=_ended("luo"), tells=True),
    "cancelled": Screen(before=_visit, after=_cancelled, tells=True),
    "today-empty": Screen(part="today"),
    "today": Screen(
        part="today",
        before=_a_day,
        sees=("A-20261123-0017", "B-he", "B-luo"),
        region=_by_old_pin,
    ),
    "settle": Screen(
        part="today",
        before=_needs_a_person,
        then=_settle,
        sees=("A-20261123-0017",),
        region=_by_old_pin,
    ),
    "readers": Screen(part="readers", before=_mute, sees=READER_NAMES),
    "offline": Screen(part="readers", then=_unplugged, sees=READER_NAMES),
    "settings": Screen(part="settings", before=_asks_to_be_paired, sees=("his",)),
    "desk": Screen(part="desk", sees=READER_NAMES),
}


@contextmanager
def staged(
    screen: Screen, chromium: Browser, centre: CentreProcess, **context: object
) -> Iterator[Stage]:
    """Where the screen can be seen; `context` is what Chromium is to look like."""
    centre.reset()
    keypads = {FIRST: Keypad()} if screen.keypad else {}
    hand = InProcessDesk(keypads=keypads)
    region = screen.region()
    with (
        tempfile.TemporaryDirectory() as folder,
        running(
            Path(folder),
            centre.address,
            {"inprocess": hand},
            hand,
            institution=HOSPITAL,
            origins=frozenset({LISTED}),
            clocks=PATIENT,
            profile=region,
        ) as agent,
    ):
        page = chromium.new_page(**{"viewport": COUNTER, **context})  # type: ignore[arg-type]
        stage = Stage(agent, hand, centre, page)
        screen.before(stage)
        stage.open(signed_in=screen.signed_in)
        yield stage
        page.context.set_offline(False)
        page.close()
        centre.let_go()


def shown(screen: Screen, stage: Stage) -> Iterator[str]:
    """The screen in one language after the other."""
    for number, language in enumerate(LANGUAGES):
        if not screen.signed_in:  # both at once
            yield "both"
            return
        stage.page.context.set_offline(False)
        stage.page.keyboard.press("Escape")
        stage.speak(language)
        if screen.part != "journey":
            stage.turn_to(screen.part, language)
        elif screen.after is not _nothing and number == 0:
            stage.tells(language)
            screen.after(stage)
        if screen.tells:
            stage.tells(language)
        for text in screen.sees:
            expect(stage.page.locator("main")).to_contain_text(text, timeout=ARRIVES_MS)
        screen.then(stage, language)
        yield language

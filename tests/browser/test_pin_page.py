"""PINs at the page: typed by mouse or with the digit keys, shown nowhere, sent once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser, expect

from drivers.serial_line.directory import SerialDirectory
from plugin.activation.region import NewPin, OldPin, PinPolicy
from plugin.card.pin import Digits
from plugin.main import texts
from plugin.profile_file import load_profile
from simulator.card.engine import CardEngine
from simulator.keypad import Keypad
from simulator.people import engine
from simulator.reader import READER_NAMES, InProcessDesk
from simulator.scenario import Card, ScriptedCard
from simulator.serial_peer import SerialDesk
from tests.agents import QUICK
from tests.browser.counter import FIRST, SECOND, SECONDS, How, Till, opened, prompts
from tests.browser.flows import ways
from tests.centre import CentreProcess
from tests.leaks import files_in, find_pins
from tests.scenario.counter import Tripwire
from tests.waiting import WAIT_SECONDS

INITIAL, WRONG, NEW, OTHER = "123456", "654321", "246813", "975310"
READ_AND_IDENTIFY = 16 + 3  # commands before a PIN
TRIES = ("还可以试 {} 次。", "{} tries left.")
LAST_TRY = (
    "这是最后一次机会：再错一次，卡就锁定。",
    "This is the last try: one more wrong PIN blocks the card.",
)
SURE = ("持卡人知道，仍要再试", "The holder knows and tries all the same")
UNSURE = (
    "请持卡人先确认记得密码，再勾选；没有消耗密码次数。",
    "Let the holder say that the PIN is remembered, tick that, and enter it; no try was spent.",
)
SIX_DIGITS = (
    "请输入 6 位数字；没有消耗密码次数。",
    "Enter 6 digits; no try was spent.",
)
DIFFER = (
    "两次输入的新密码不一样，请重新输入；没有消耗密码次数。",
    "The two new PINs differ: enter them again; no try was spent.",
)
TYPE_NOW = (
    "请持卡人在读卡器的键盘上输入，每次输完按“确认”键。",
    "The holder types on the reader's keypad now, and presses its enter key after each PIN.",
)


class Pins:
    """Opens a till in a region that asks for PINs."""

    def __init__(
        self, stack: ExitStack, folder: Path, centre: CentreProcess, browser: Browser
    ) -> None:
        self._stack, self._folder = stack, folder
        self._centre, self._browser = centre, browser
        self.opened: list[Till] = []

    def open(
        self,
        how: How,
        *,
        old: OldPin = OldPin.NEVER,
        new: NewPin = NewPin.NONE,
        initial: tuple[str, ...] = (),
        keypad: Keypad | None = None,
    ) -> Till:
        policy = PinPolicy(
            old=old,
            new=new,
            initial=frozenset(initial),
            digits=Digits(minimum=6, maximum=6),
            show_tries=True,
        )
        hand = InProcessDesk(
            keypads=dict.fromkeys(READER_NAMES, keypad) if keypad else None
        )
        till = self._stack.enter_context(
            opened(
                self._folder,
                self._centre,
                self._browser,
                how=how,
                hand=hand,
                directories={"inprocess": hand},
                profile=replace(load_profile("reference"), pin=policy),
            )
        )
        self.opened.append(till)
        return till


@pytest.fixture
def pins(tmp_path: Path, centre: CentreProcess, chromium: Browser) -> Iterator[Pins]:
    """Whatever happened there, no PIN was left in the page, its log, an address or a
    file."""
    with ExitStack() as stack:
        found = Pins(stack, tmp_path, centre, chromium)
        yield found
        for till in found.opened:
            assert left_behind(till, tmp_path) == []


def left_behind(till: Till, folder: Path) -> list[object]:
    """Where a PIN can be found."""
    stored = "JSON.stringify([{...sessionStorage}, {...localStorage}, history.state])"
    places = {
        "page": till.page.content(),
        "heard": till.page.locator(".heard").inner_text(),
        "stored": till.page.evaluate(stored),
        "printed": "\n".join(till.printed),
        "called": "\n".join(till.called),
    }
    seen = [(where, text.encode()) for where, text in places.items()]
    return list(find_pins([*seen, *files_in(folder)], [INITIAL, WRONG, NEW, OTHER]))


def registers(till: Till, card: Card | None = None) -> CardEngine:
    """A registration's card is in, and its PIN is asked for."""
    lin = engine("lin.social_security")
    till.does("outpatient_registration")
    till.hand.insert_card(card or lin, FIRST)
    till.page.locator("form.pin").wait_for()
    return lin


def spent(card: CardEngine, times: int) -> CardEngine:
    """Somebody has typed wrong PINs elsewhere."""
    for _ in range(times):
        card.process(bytes.fromhex("0020000003000000"))
    card.counters.verifications = 0
    return card


def says_yes(till: Till) -> None:
    """The holder wants the last try; the clerk goes back to the digits."""
    sure = till.page.get_by_label(SURE[till.how.place])
    if till.how is How.MOUSE:
        sure.check()
        return
    till.focus(sure)
    till.page.keyboard.press("Space")
    till.page.keyboard.press("Shift+Tab")


def reads(till: Till, key: str) -> None:
    """The instruction of this moment."""
    till.reads(prompts(till.how)[key])


def is_told(till: Till, code: str) -> list[str]:
    """The page says this problem, and what to do about it."""
    words = texts("problems")()[code][till.how.language]
    expect(till.page.locator(".wrong strong").first).to_have_text(
        words, timeout=SECONDS
    )
    steps: list[str] = till.told()["steps"]
    return steps


@ways(How.MOUSE, How.KEYBOARD)
def test_a_wrong_pin_says_how_many_tries_are_left_and_is_typed_again(
    pins: Pins, how: How
) -> None:
    till = pins.open(how, new=NewPin.KEEP)
    lin = registers(till)
    reads(till, "waiting_pin.social_security")

    till.types(WRONG)
    typed = till.page.locator("form.pin input")
    assert typed.evaluate_all("all => all.map(each => each.type)") == ["password"]
    assert left_behind(till, Path(till.agent.folder.path)) == []
    till.does("send") if how is How.MOUSE else till.page.keyboard.press("Enter")
    steps = is_told(till, "pin.wrong")
    expect(till.page.locator("form.pin")).to_contain_text(TRIES[how.place].format(5))
    till.gives(INITIAL)

    reads(till, "succeeded.activated")
    assert len(steps) == 2
    assert lin.counters.verifications == 2


@ways(How.MOUSE, How.KEYBOARD)
def test_before_the_last_try_the_holder_must_say_yes(pins: Pins, how: How) -> None:
    till = pins.open(how, new=NewPin.KEEP)
    lin = spent(registers(till), 4)
    till.gives(WRONG)
    is_told(till, "pin.last_try")
    form = till.page.locator("form.pin")
    expect(form).not_to_contain_text(LAST_TRY[how.place])  # it was said above

    till.gives(INITIAL)

    expect(form).to_contain_text(UNSURE[how.place])
    assert lin.counters.verifications == 1
    says_yes(till)
    till.gives(INITIAL)
    reads(till, "succeeded.activated")
    assert lin.counters.verifications == 2


@ways(How.MOUSE)
def test_the_last_try_is_warned_of_whatever_else_has_gone_wrong(
    pins: Pins, how: How
) -> None:
    till, lin = pins.open(how, new=NewPin.KEEP), engine("lin.social_security")
    odd = {READ_AND_IDENTIFY + 1 + 4: b"\x6f\x00"}  # to the second PIN
    registers(till, ScriptedCard(lin, replies=odd))
    spent(lin, 4)
    till.gives(WRONG)
    is_told(till, "pin.last_try")
    says_yes(till)
    till.gives(INITIAL)

    form = till.page.locator("form.pin")
    expect(form).to_contain_text(LAST_TRY[how.place], timeout=SECONDS)

    said = texts("problems")()["pin.refused"][how.language].format(sw="6F00")
    assert till.told()["problem"] == said


@ways(How.KEYBOARD)
def test_a_blocked_pin_says_where_to_go(pins: Pins, how: How) -> None:
    till = pins.open(how, new=NewPin.KEEP)
    lin = spent(registers(till), 6)

    till.gives(INITIAL)

    reads(till, "failed")
    steps = is_told(till, "pin.locked")
    assert ("社保中心", "social security centre")[how.place] in steps[0]
    assert till.button(("打印给持卡人", "Print this for the holder")[how.place]).count()
    assert lin.counters.verifications == 1


@ways(How.KEYBOARD)
def test_what_cannot_be_a_pin_never_leaves_the_page(pins: Pins, how: How) -> None:
    till = pins.open(how, new=NewPin.SET, initial=(INITIAL,))
    lin = registers(till)
    reads(till, "waiting_pin.social_security.new")
    form, fields = till.page.locator("form.pin"), till.page.locator("form.pin input")

    for typed, objection in {
        ("123", NEW, NEW): SIX_DIGITS,
        (INITIAL, "2468", "2468"): SIX_DIGITS,
        (INITIAL, NEW, OTHER): DIFFER,
    }.items():
        till.gives(*typed)
        expect(form.get_by_role("alert")).to_have_text(objection[how.place])
        assert fields.evaluate_all("all => all.map(each => each.value)") == [""] * 3
        expect(fields.first).to_be_focused()

    assert [each for each in till.called if each.endswith("/pin")] == []
    till.gives(INITIAL, NEW, NEW)
    reads(till, "succeeded.activated")
    assert (lin.counters.verifications, lin.counters.changes) == (1, 1)


@ways(How.MOUSE)
def test_an_initial_pin_is_changed_and_not_into_another(pins: Pins, how: How) -> None:
    till = pins.open(how, new=NewPin.CHANGE_INITIAL, initial=(INITIAL, OTHER))
    lin = registers(till)

    till.gives(INITIAL)
    reads(till, "waiting_pin.social_security.new")
    till.gives(INITIAL, OTHER, OTHER)
    refused = texts("problems")()["pin.must_differ_from_initial"][how.language]
    expect(till.page.locator(".trouble")).to_contain_text(refused, timeout=SECONDS)
    till.gives(INITIAL, NEW, NEW)

    reads(till, "succeeded.activated")
    expect(till.page.locator(".trouble")).to_be_hidden()
    assert (lin.counters.verifications, lin.counters.changes) == (2, 1)


@ways(How.KEYBOARD)
def test_the_old_cards_pin_is_asked_for_by_name(pins: Pins, how: How) -> None:
    till = pins.open(how, old=OldPin.IF_SET)
    till.does("pharmacy")
    till.hand.insert("lin.medical", FIRST)

    reads(till, "waiting_pin.medical")
    till.gives(INITIAL)
    reads(till, "waiting_card.social_security")
    expect(till.page.locator(".where")).to_contain_text(SECOND, timeout=SECONDS)

    assert FIRST not in till.page.locator(".where").inner_text()


@ways(How.KEYBOARD)
def test_on_a_reader_with_a_keypad_nothing_is_typed_here(pins: Pins, how: How) -> None:
    keypad = Keypad()
    till = pins.open(how, new=NewPin.KEEP, keypad=keypad)
    lin = engine("lin.social_security")
    till.does("outpatient_registration")
    till.hand.insert_card(lin, FIRST)
    reads(till, "waiting_pin.social_security.reader")
    assert till.page.locator("input").count() == 0

    for typed, code in {"cancel": "pin.cancelled", "12": "pin.length"}.items():
        till.does("begin")
        expect(till.page.get_by_text(TYPE_NOW[how.place])).to_be_visible(
            timeout=SECONDS
        )
        keypad.type(typed)
        is_told(till, code)
    assert lin.counters.verifications == 0
    keypad.type(WRONG)
    till.does("begin")
    is_told(till, "pin.wrong")
    keypad.type(INITIAL)
    till.does("begin")

    reads(till, "succeeded.activated")
    assert lin.counters.verifications == 2


def test_a_serial_reader_with_a_keypad_takes_the_pin_itself(
    tmp_path: Path, centre: CentreProcess, chromium: Browser
) -> None:
    region = load_profile("reference")
    policy = replace(region.pin, new=NewPin.CHANGE_INITIAL, initial=(INITIAL,))
    hand, lin = SerialDesk(keypads=[Keypad()]), engine("lin.social_security")
    reader = hand.readers()[0]
    keypad = hand.peers[reader].keypad
    assert keypad is not None
    with opened(
        tmp_path,
        centre,
        chromium,
        hand=hand,
        directories={"serial": SerialDirectory(hand.ports)},
        profile=replace(region, pin=policy),
        clocks=replace(QUICK, pin=5),
    ) as till:
        till.does("outpatient_registration")
        hand.insert_card(lin, reader)
        reads(till, "waiting_pin.social_security.new.reader")

        till.does("begin")
        keypad.type(INITIAL, NEW, NEW)

        reads(till, "succeeded.activated")
        assert left_behind(till, tmp_path) == []
    hand.close()
    assert (lin.counters.verifications, lin.counters.changes) == (1, 1)


def twice_by_mouse(till: Till) -> None:
    till.button("提交密码").dblclick()


def enter_and_click(till: Till) -> None:
    send = till.button("提交密码")
    box = send.bounding_box()
    assert box is not None
    till.page.locator("form.pin input").first.focus()
    till.page.keyboard.press("Enter")
    till.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def enter_twice(till: Till) -> None:
    till.page.locator("form.pin input").first.focus()
    till.page.keyboard.press("Enter")
    till.page.keyboard.press("Enter")


def submitted_at_once(till: Till) -> None:
    """Both before the page has seen an answer to the first."""
    till.page.locator("form.pin").evaluate(
        """form => {
          const pin = form.querySelector("input").value;
          form.requestSubmit();
          form.querySelector("input").value = pin;
          form.requestSubmit();
        }"""
    )


def test_a_pin_is_given_once_however_often_it_is_sent_off(pins: Pins) -> None:
    till = pins.open(How.MOUSE, new=NewPin.KEEP)
    lin = registers(till)
    given = (twice_by_mouse, enter_and_click, enter_twice, submitted_at_once)

    for times, submit in enumerate(given, start=1):
        till.types(WRONG)
        submit(till)
        left = TRIES[0].format(6 - times)
        expect(till.page.locator("form.pin")).to_contain_text(left, timeout=SECONDS)
        assert len([each for each in till.called if each.endswith("/pin")]) == times
        assert lin.counters.verifications == times


@ways(How.MOUSE)
def test_a_page_that_is_reloaded_while_the_card_has_the_word_spends_no_second_try(
    pins: Pins, how: How
) -> None:
    till, lin = pins.open(how, new=NewPin.KEEP), engine("lin.social_security")
    asked, answer = threading.Event(), threading.Event()

    def holds_its_answer() -> None:
        asked.set()
        answer.wait(WAIT_SECONDS)

    registers(till, Tripwire(lin, READ_AND_IDENTIFY + 1, holds_its_answer))
    till.gives(WRONG)
    assert asked.wait(WAIT_SECONDS)
    reads(till, "waiting_pin.at_work")
    assert not till.page.title().startswith("●")

    till.page.reload()
    reads(till, "waiting_pin.at_work")
    answer.set()

    is_told(till, "pin.wrong")
    assert lin.counters.verifications == 1

"""PINs at the counter: typed by a person, presented once, and never by the agent itself."""

from __future__ import annotations

import dataclasses
import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest
from msgspec.structs import replace

from drivers.pcsc import PcscDirectory
from plugin.activation.pins import Typed
from plugin.activation.region import Clocks, NewPin, OldPin, PinPolicy
from plugin.agent.worker import Job
from plugin.card.pin import Digits
from plugin.client import KaqiError
from plugin.commands.activate import Person, follow
from plugin.profile_file import load_profile
from simulator.card.engine import CardEngine
from simulator.keypad import Keypad
from simulator.people import PEOPLE, engine
from simulator.reader import READER_NAMES, InProcessDesk
from simulator.scenario import Card, ScriptedCard
from simulator.vpcd import VpcdDesk
from tests.agents import QUICK, Answer, Pos, running
from tests.centre import CentreProcess
from tests.leaks import find_pins
from tests.scenario.counter import Counter, Tripwire
from tests.waiting import wait_until

INITIAL, WRONG, NEW, OTHER = "123456", "654321", "246813", "135792"
SIX = Digits(minimum=6, maximum=6)
READ = 16  # commands of a full read
IDENTIFY = 3  # and before every PIN


@dataclass
class Till:
    """A counter in a region that asks for PINs, and how often somebody has typed one."""

    counter: Counter
    keypad: Keypad
    hand: InProcessDesk = field(default_factory=InProcessDesk)
    typed: int = 0
    lost: int = 0  # of these, how many never reached their card
    cards: list[CardEngine] = field(default_factory=list)

    def of(self, name: str) -> CardEngine:
        """Somebody's card, which is watched."""
        card = engine(name)
        self.cards.append(card)
        return card

    def types(
        self,
        pin: str,
        new_pin: str | None = None,
        *,
        reaches: str | None = None,
        says: str | None = None,
        confirm_last_try: bool = False,
    ) -> None:
        """The holder types here, and the card has answered."""
        self.typed += 1
        self._give(pin, new_pin, confirm_last_try=confirm_last_try)
        self._then(reaches, says)

    def types_on_reader(
        self, *entries: str, reaches: str | None = None, says: str | None = None
    ) -> None:
        """The holder types on the reader's keypad."""
        self.typed += 1
        self.keypad.type(*entries)
        self._give()
        self._then(reaches, says)

    def _give(
        self,
        pin: str | None = None,
        new_pin: str | None = None,
        *,
        confirm_last_try: bool = False,
    ) -> None:
        counter = self.counter
        counter.now = counter.pos.kaqi.pin(
            counter.now, pin, new_pin, confirm_last_try=confirm_last_try
        )

    def _then(self, reaches: str | None, says: str | None) -> None:
        if reaches is not None:
            self.counter.reaches(reaches)
        if says is not None:
            self.counter.says(says)

    def refuses(self, pin: str | None = None, new_pin: str | None = None) -> str:
        """What the API answers to something that must not reach the card."""
        with pytest.raises(KaqiError) as refused:
            self._give(pin, new_pin)
        return refused.value.code

    @property
    def wanted(self) -> dict[str, Any]:
        """What the snapshot expects."""
        found = self.counter.now.pin_wanted
        assert found is not None, self.counter.now.data["step"]
        return dict(found)

    @property
    def verifications(self) -> int:
        """How many tries the cards have seen."""
        return sum(card.counters.verifications for card in self.cards)


class Tills:
    """Opens a till for a region's rule of PINs."""

    def __init__(self, stack: ExitStack, folder: Path, centre: CentreProcess) -> None:
        self._stack, self._folder, self._centre = stack, folder, centre
        self.opened: list[Till] = []

    def open(
        self,
        *,
        old: OldPin = OldPin.NEVER,
        new: NewPin = NewPin.NONE,
        initial: tuple[str, ...] = (INITIAL,),
        digits: Digits = SIX,
        show_tries: bool = True,
        probe: bool = False,
        keypad: bool = False,
        clocks: Clocks = QUICK,
        readers: int = 2,
    ) -> Till:
        policy = PinPolicy(
            old=old,
            new=new,
            initial=frozenset(initial),
            digits=digits,
            show_tries=show_tries,
            probe=probe,
        )
        pad = Keypad()
        hand = InProcessDesk(
            keypads=dict.fromkeys(READER_NAMES, pad) if keypad else None
        )
        started = self._stack.enter_context(
            running(
                self._folder,
                self._centre.address,
                {"inprocess": hand},
                hand,
                clocks=clocks,
                profile=replace(load_profile("reference"), pin=policy),
            )
        )
        till = Till(Counter(started, hand, readers), pad, hand)
        self.opened.append(till)
        return till


@pytest.fixture
def tills(tmp_path: Path, centre: CentreProcess) -> Iterator[Tills]:
    """Whatever happened at them: the cards saw as many tries as were typed."""
    with ExitStack() as stack:
        found = Tills(stack, tmp_path, centre)
        yield found
        for till in found.opened:
            assert till.verifications == till.typed - till.lost


def registers(till: Till, card: Card | None = None) -> CardEngine:
    """A registration's card is in, and its PIN is wanted."""
    lin = till.of("lin.social_security")
    till.counter.start("outpatient_registration")
    till.counter.put(card or lin)
    till.counter.reaches("waiting_pin")
    return lin


def presents_old(till: Till, name: str = "lin") -> CardEngine:
    """A pharmacy's old card is in."""
    old = till.of(f"{name}.medical")
    till.counter.start("pharmacy")
    till.counter.put(old, 0)
    till.counter.reaches("waiting_pin", "waiting_card.social_security", "failed")
    return old


def buys(till: Till, name: str = "lin") -> None:
    """The new card follows, to the operator's yes."""
    till.counter.put(till.of(f"{name}.social_security"), 1)
    till.counter.reaches("waiting_confirm")
    till.counter.confirm()
    till.counter.reaches("waiting_pin", "succeeded")


def wrong(card: CardEngine, times: int) -> None:
    """Somebody has typed wrong PINs elsewhere."""
    for _ in range(times):
        card.process(bytes.fromhex("0020000003000000"))
    card.counters.verifications -= times


# The rules of regions


def test_keep_takes_the_right_pin_and_activates(
    tills: Tills, centre: CentreProcess
) -> None:
    till = tills.open(new=NewPin.KEEP, initial=())
    lin = registers(till)

    assert till.wanted == {
        "what": "pin",
        "role": "social_security",
        "entry": "verify",
        "on_reader": False,
        "digits_min": 6,
        "digits_max": 6,
        "tries_left": None,
        "last_try": False,
    }
    assert till.counter.now.allowed_actions == ["cancel", "pin"]
    assert till.counter.now.data["clock"] == "pin"
    assert till.counter.now.data["deadline"] is not None

    till.types(INITIAL, reaches="succeeded")

    assert till.counter.now.outcome == "activated"
    assert (lin.counters.commands, lin.counters.changes) == (READ + IDENTIFY + 1, 0)
    assert len(centre.effects) == 1


def test_a_wrong_pin_is_said_with_the_tries_left_and_typed_again(tills: Tills) -> None:
    till = tills.open(new=NewPin.KEEP, initial=())
    registers(till)

    till.types(WRONG, says="pin.wrong")

    assert till.wanted["tries_left"] == 5
    assert till.counter.now.problem is not None
    assert till.counter.now.problem["vendor_code"] == -51

    till.types(INITIAL, reaches="succeeded")


def test_an_initial_pin_cannot_be_kept_and_costs_no_try(tills: Tills) -> None:
    till = tills.open(new=NewPin.KEEP)
    lin = registers(till)

    assert till.refuses(INITIAL) == "pin.still_initial"
    assert lin.counters.commands == READ


def test_set_changes_the_pin_that_the_holder_knows(
    tills: Tills, centre: CentreProcess
) -> None:
    till = tills.open(new=NewPin.SET)
    lin = registers(till)

    assert till.wanted["entry"] == "new"

    till.types(WRONG, NEW, says="pin.wrong")
    till.types(INITIAL, NEW, reaches="succeeded")

    assert lin.counters.changes == 1
    assert lin.process(bytes.fromhex("0020000003246813")) == b"\x90\x00"
    lin.counters.verifications -= 1  # that was this test
    assert len(centre.effects) == 1


def test_an_initial_pin_is_changed_and_not_into_another(tills: Tills) -> None:
    till = tills.open(new=NewPin.CHANGE_INITIAL, initial=(INITIAL, "888888"))
    lin = registers(till)
    assert till.wanted["entry"] == "verify"

    till.types(INITIAL, reaches="waiting_pin.social_security.new")
    assert till.wanted["entry"] == "new"
    assert till.refuses(INITIAL, "888888") == "pin.must_differ_from_initial"
    assert till.refuses(INITIAL, INITIAL) == "pin.must_differ_from_initial"
    till.types(INITIAL, NEW, reaches="succeeded")

    assert lin.counters.changes == 1


def test_a_pin_that_is_not_initial_needs_no_change(tills: Tills) -> None:
    till = tills.open(new=NewPin.CHANGE_INITIAL, initial=("888888",))
    lin = registers(till)

    till.types(INITIAL, reaches="succeeded")

    assert lin.counters.changes == 0


@pytest.mark.parametrize("old", [OldPin.IF_SET, OldPin.ALWAYS])
def test_the_old_cards_pin_comes_while_it_is_in_and_before_the_new_card(
    tills: Tills, old: OldPin
) -> None:
    till = tills.open(old=old, readers=1)
    card = presents_old(till)
    assert till.wanted["role"] == "medical"

    till.types(WRONG, says="pin.wrong")
    till.types(INITIAL, reaches="waiting_removal.medical")

    assert card.counters.verifications == 2


def test_both_cards_can_have_their_pins_asked_for(tills: Tills) -> None:
    till = tills.open(old=OldPin.IF_SET, new=NewPin.CHANGE_INITIAL)
    presents_old(till)

    till.types(INITIAL, reaches="waiting_card.social_security")
    buys(till)
    till.types(INITIAL, reaches="waiting_pin.social_security.new")
    till.types(INITIAL, NEW, reaches="succeeded")

    seen = (each for each in till.counter.seen if "waiting_" in each)
    assert [each for each in seen if each != "waiting_pin.at_work"] == [
        "waiting_card.medical",
        "waiting_pin.medical",
        "waiting_card.social_security",
        "waiting_confirm",
        "waiting_pin.social_security",
        "waiting_pin.social_security.new",
    ]


@pytest.mark.parametrize("probe", [False, True])
def test_an_old_card_without_a_pin_goes_on_where_only_a_set_one_counts(
    tills: Tills, *, probe: bool
) -> None:
    till = tills.open(old=OldPin.IF_SET, probe=probe)
    presents_old(till, "fang")

    if not probe:
        till.types(INITIAL, reaches="waiting_card.social_security")
        till.lost = 1  # a card without a PIN counts nothing
    buys(till, "fang")

    assert till.counter.now.state == "succeeded"


@pytest.mark.parametrize("probe", [False, True])
def test_where_a_pin_must_be_set_a_card_without_one_is_sent_to_have_it_set(
    tills: Tills, centre: CentreProcess, *, probe: bool
) -> None:
    till = tills.open(old=OldPin.ALWAYS, probe=probe)
    presents_old(till, "fang")

    if not probe:
        till.types(INITIAL, reaches="failed")
        till.lost = 1
    till.counter.reaches("failed")

    assert till.counter.code == "pin.not_set"
    assert centre.effects == []


def test_a_memory_card_is_asked_for_nothing(tills: Tills) -> None:
    till = tills.open(old=OldPin.ALWAYS)
    till.counter.start("pharmacy")

    till.counter.put("zhu.medical", 0)

    till.counter.reaches("waiting_card.social_security")
    assert "waiting_pin.medical" not in till.counter.seen


def test_where_no_pin_is_asked_for_nothing_is_and_no_command_is_sent(
    tills: Tills,
) -> None:
    till = tills.open(keypad=True)
    lin = till.of("lin.social_security")
    till.counter.start("outpatient_registration")
    till.counter.put(lin)

    till.counter.reaches("succeeded")

    assert lin.counters.commands == READ


# Tries


@pytest.mark.parametrize("shown", [True, False])
def test_the_last_try_must_be_confirmed_before_anything_is_presented(
    tills: Tills, *, shown: bool
) -> None:
    till = tills.open(new=NewPin.KEEP, initial=(), probe=True, show_tries=shown)
    kong = till.of("kong.social_security")
    till.counter.start("outpatient_registration")
    till.counter.put(kong)

    till.counter.says("pin.last_try")
    assert till.wanted["last_try"]
    assert till.wanted["tries_left"] == (1 if shown else None)
    assert till.refuses(INITIAL) == "pin.last_try"
    assert kong.counters.verifications == 0

    till.types(INITIAL, reaches="succeeded", confirm_last_try=True)


def test_the_try_before_the_last_leads_to_the_warning(tills: Tills) -> None:
    till = tills.open(new=NewPin.KEEP, initial=())
    lin = registers(till)
    wrong(lin, 4)

    till.types(WRONG, says="pin.last_try")
    assert till.refuses(INITIAL) == "pin.last_try"
    till.types(WRONG, reaches="failed", confirm_last_try=True)

    assert till.counter.code == "pin.locked"


def test_a_lost_answer_may_have_cost_the_try_before_the_last(tills: Tills) -> None:
    till = tills.open(new=NewPin.KEEP, initial=())
    lin = till.of("lin.social_security")
    wrong(lin, 3)
    card = ScriptedCard(lin, lose_at=READ + 2 * (IDENTIFY + 1))
    registers(till, card)
    till.types(WRONG, says="pin.wrong")
    assert till.wanted["tries_left"] == 2
    till.types(WRONG, says="pin.answer_lost")

    till.counter.put(card)
    till.counter.says("pin.last_try")
    assert (till.wanted["tries_left"], till.wanted["last_try"]) == (None, True)
    assert till.refuses(INITIAL) == "pin.last_try"
    till.types(INITIAL, reaches="succeeded", confirm_last_try=True)


def test_the_last_try_is_known_in_the_next_transaction_too(tills: Tills) -> None:
    till = tills.open(new=NewPin.KEEP, initial=())
    lin = registers(till)
    wrong(lin, 4)
    till.types(WRONG, says="pin.last_try")
    till.counter.now = till.counter.pos.kaqi.cancel(till.counter.now)
    till.counter.take()

    till.counter.start("outpatient_registration")
    till.counter.put(lin)
    till.counter.says("pin.last_try")
    assert till.refuses(INITIAL) == "pin.last_try"
    till.types(INITIAL, reaches="succeeded", confirm_last_try=True)


@pytest.mark.parametrize(
    ("entry", "step"),
    [(NewPin.KEEP, ""), (NewPin.SET, ".new"), (NewPin.KEEP, ".reader")],
)
def test_tries_that_somebody_else_spends_meanwhile_are_seen_before_the_pin_goes_out(
    tills: Tills, entry: NewPin, step: str
) -> None:
    keypad = step == ".reader"
    till = tills.open(new=entry, initial=(), probe=True, keypad=keypad)
    lin = registers(till)
    till.counter.reaches(f"waiting_pin.social_security{step}")
    assert till.wanted["tries_left"] == 6
    wrong(lin, 5)

    if keypad:
        till.types_on_reader(says="pin.last_try")
    else:
        till.types(WRONG, NEW if entry is NewPin.SET else None, says="pin.last_try")
    till.lost = 1

    assert (till.wanted["tries_left"], till.wanted["last_try"]) == (1, True)
    assert (lin.counters.verifications, till.keypad.prompts) == (0, 0)


@pytest.mark.parametrize("probe", [False, True])
def test_a_blocked_pin_ends_it_and_says_where_to_go(
    tills: Tills, centre: CentreProcess, *, probe: bool
) -> None:
    till = tills.open(new=NewPin.CHANGE_INITIAL, probe=probe)
    till.counter.start("outpatient_registration")
    till.counter.put(till.of("shi.social_security"))
    till.counter.reaches("waiting_pin", "failed")

    if not probe:
        till.types(INITIAL, reaches="failed")
    till.counter.reaches("failed")

    problem = till.counter.now.problem
    assert problem is not None
    assert (problem["code"], problem["vendor_code"]) == ("pin.locked", -52)
    assert "社保中心" in problem["remedy"]["zh-CN"][0]
    assert centre.effects == []


def test_the_tries_are_shown_before_the_first_where_the_cards_tell(
    tills: Tills,
) -> None:
    till = tills.open(new=NewPin.KEEP, initial=(), probe=True)
    lin = till.of("lin.social_security")
    wrong(lin, 2)
    till.counter.start("outpatient_registration")
    till.counter.put(lin)
    till.counter.reaches("waiting_pin.social_security")

    assert till.wanted["tries_left"] == 4
    till.types(INITIAL, reaches="succeeded")


# What must not reach the card


@pytest.mark.parametrize(
    ("pin", "new_pin", "code"),
    [
        (None, None, "pin.length"),
        ("", None, "pin.length"),
        ("12345", None, "pin.length"),
        ("1234567", None, "pin.length"),
        ("12345a", None, "pin.length"),
        ("１２３４５６", None, "pin.length"),
        ("123456", "246813", "pin.new_not_wanted"),
    ],
)
def test_what_has_the_wrong_form_never_reaches_the_card(
    tills: Tills, pin: str | None, new_pin: str | None, code: str
) -> None:
    till = tills.open(new=NewPin.CHANGE_INITIAL)
    lin = registers(till)

    assert till.refuses(pin, new_pin) == code
    assert lin.counters.commands == READ


@pytest.mark.parametrize("new_pin", [None, "12345", "1234567", "24681x"])
def test_a_new_pin_of_the_wrong_form_changes_nothing(
    tills: Tills, new_pin: str | None
) -> None:
    till = tills.open(new=NewPin.SET)
    lin = registers(till)

    assert till.refuses(INITIAL, new_pin) == "pin.length"
    assert lin.counters.commands == READ


def test_a_pin_that_nobody_asked_for_is_refused(tills: Tills) -> None:
    till = tills.open(new=NewPin.KEEP)
    till.counter.start("outpatient_registration")

    assert till.refuses(INITIAL) == "transaction.bad_state"


def test_the_same_key_presents_nothing_twice_and_does_not_know_the_pin(
    tills: Tills,
) -> None:
    till = tills.open(new=NewPin.KEEP, initial=())
    lin = registers(till)
    path = f"/v1/transactions/{till.counter.now.id}/pin"
    post = till.counter.pos.request

    till.typed += 1
    first = post("POST", path, {"pin": WRONG}, key="click")
    till.counter.says("pin.wrong")
    again = post("POST", path, {"pin": WRONG}, key="click")
    other = post("POST", path, {"pin": INITIAL}, key="click")

    assert (first.status, again.status, other.status) == (202, 202, 202)
    assert again.headers["idempotency-replayed"] == "true"
    assert other.headers["idempotency-replayed"] == "true"
    assert lin.counters.verifications == 1


def test_a_second_click_for_the_same_moment_reaches_no_card(tills: Tills) -> None:
    till = tills.open(new=NewPin.KEEP, initial=())
    lin = registers(till)
    asked = till.counter.now

    till.types(WRONG, says="pin.wrong")
    till.counter.now, last = asked, till.counter.now

    assert till.refuses(WRONG) == "transaction.bad_state"
    assert lin.counters.verifications == 1
    till.counter.now = last
    till.types(INITIAL, reaches="succeeded")


def test_a_key_belongs_to_one_moment(tills: Tills) -> None:
    till = tills.open(new=NewPin.KEEP, initial=())
    lin = registers(till)
    path = f"/v1/transactions/{till.counter.now.id}/pin"

    def posts(pin: str) -> Answer:
        body = {"pin": pin, "seq": till.counter.now.data["seq"]}
        return till.counter.pos.request("POST", path, body, key="click")

    till.typed += 1
    posts(WRONG)
    till.counter.says("pin.wrong")
    later = posts(INITIAL)

    assert (later.status, later.code) == (422, "idempotency.key_reused")
    assert lin.counters.verifications == 1


def test_a_client_that_keeps_sending_pins_has_to_wait(tills: Tills) -> None:
    till = tills.open(new=NewPin.KEEP, initial=())
    lin = till.of("lin.social_security")
    odd = {at: b"\x6f\x00" for at in range(READ + 1, READ + 21) if not (at - READ) % 4}
    registers(till, ScriptedCard(lin, replies=odd))

    for _ in range(5):
        till.types(INITIAL, says="pin.refused")
    till.lost = 5
    with pytest.raises(KaqiError) as refused:
        till.counter.pos.kaqi.pin(till.counter.now, INITIAL)

    assert (refused.value.status, refused.value.code) == (429, "client.rate_limited")
    assert 0 < refused.value.problem["retry_after"] <= 12
    assert till.counter.now.state == "waiting_pin"


def test_only_who_operates_may_give_a_pin(tills: Tills) -> None:
    till = tills.open(new=NewPin.KEEP)
    lin = registers(till)
    running = till.counter.running
    token = running.folder.pair("pos-2", ("read", "activate"))

    refused = till.counter.pos.request(
        "POST",
        f"/v1/transactions/{till.counter.now.id}/pin",
        {"pin": NEW},
        key="k",
        headers={"Authorization": f"Bearer {token}"},
    )

    assert (refused.status, refused.code) == (403, "auth.scope")
    assert lin.counters.commands == READ


# Cards that come and go


def test_a_card_pulled_while_a_pin_is_awaited_is_asked_for_again(tills: Tills) -> None:
    till = tills.open(new=NewPin.KEEP, initial=())
    lin = registers(till)
    till.types(WRONG, says="pin.wrong")

    till.counter.take()
    till.counter.says("card.wanted_again")
    assert till.counter.now.data["step"]["key"] == "waiting_card.social_security"
    till.counter.put(lin, 1)
    till.counter.reaches("waiting_pin.social_security")
    assert till.wanted["tries_left"] == 5
    till.types(INITIAL, reaches="succeeded")


def test_another_card_is_not_taken_in_its_place(tills: Tills) -> None:
    till = tills.open(new=NewPin.KEEP, initial=())
    lin = registers(till)
    he = till.of("he.social_security")

    till.counter.take()
    till.counter.says("card.wanted_again")
    till.counter.put(he)
    till.counter.says("card.swapped")
    assert till.refuses(INITIAL) == "transaction.bad_state"
    till.counter.take()
    till.counter.says("card.wanted_again")
    till.counter.put(lin)
    till.counter.reaches("waiting_pin.social_security")
    till.types(INITIAL, reaches="succeeded")

    assert he.counters.verifications == 0


def test_with_one_reader_a_new_card_that_came_first_is_asked_for_again(
    tills: Tills,
) -> None:
    till = tills.open(new=NewPin.KEEP, initial=(), readers=1)
    lin = till.of("lin.social_security")
    counter = till.counter
    counter.start("pharmacy")
    counter.put(lin)
    counter.reaches("waiting_removal.social_security")
    counter.take()
    counter.reaches("waiting_card.medical")
    counter.put("lin.medical")
    counter.reaches("waiting_confirm")

    counter.confirm()
    counter.reaches("waiting_removal.medical")
    assert counter.code == "card.wanted_again"
    counter.take()
    counter.reaches("waiting_card.social_security")
    counter.put(lin)
    counter.reaches("waiting_pin.social_security")
    till.types(INITIAL, reaches="succeeded")


@pytest.mark.parametrize("at", range(1, IDENTIFY + 2))
def test_a_card_pulled_at_any_command_before_the_pin_costs_nothing(
    tills: Tills, at: int
) -> None:
    till = tills.open(new=NewPin.KEEP, initial=())
    lin = till.of("lin.social_security")
    card = ScriptedCard(lin, pull_at=READ + at)
    registers(till, card)

    till.types(INITIAL, reaches="waiting_card.social_security")
    till.lost = 1
    assert till.counter.code == (
        "card.removed" if at <= IDENTIFY else "pin.answer_lost"
    )
    till.counter.put(card)
    till.counter.reaches("waiting_pin.social_security")
    till.types(INITIAL, reaches="succeeded")

    assert lin.counters.verifications == 1


def test_a_lost_answer_to_a_pin_is_never_asked_for_by_presenting_it_again(
    tills: Tills,
) -> None:
    till = tills.open(new=NewPin.KEEP, initial=())
    lin = till.of("lin.social_security")
    card = ScriptedCard(lin, lose_at=READ + IDENTIFY + 1)
    registers(till, card)

    till.types(INITIAL, reaches="waiting_card.social_security")
    assert till.counter.code == "pin.answer_lost"
    till.counter.put(card)
    till.counter.reaches("waiting_pin.social_security")

    assert lin.counters.verifications == 1
    till.types(INITIAL, reaches="succeeded")


def test_a_reader_unplugged_while_a_pin_is_awaited_loses_nothing(
    tills: Tills,
) -> None:
    till = tills.open(new=NewPin.KEEP, initial=(), readers=1)
    lin = registers(till)

    till.hand.unplug(READER_NAMES[0])
    till.counter.reaches("waiting_reader")
    till.hand.plug(READER_NAMES[0])
    till.counter.reaches("waiting_card.social_security")
    till.counter.put(lin)
    till.counter.reaches("waiting_pin.social_security")
    till.types(INITIAL, reaches="succeeded")

    assert till.verifications == 1


def test_a_card_pulled_while_its_holder_types_on_the_reader_is_asked_for_again(
    tills: Tills,
) -> None:
    till = tills.open(new=NewPin.KEEP, initial=(), keypad=True)
    lin = registers(till)

    till.types_on_reader()
    wait_until(lambda: till.keypad.prompts == 1)
    till.counter.take()
    till.keypad.type(INITIAL)
    till.lost = 1
    till.counter.says("pin.answer_lost")
    till.counter.reaches("waiting_card.social_security")
    till.counter.put(lin, 1)
    till.counter.reaches("waiting_pin.social_security.reader")
    till.types_on_reader(INITIAL, reaches="succeeded")

    assert till.verifications == 1  # what was typed for the pulled card reached none


# Torn changes


def torn(till: Till, *, done: bool) -> tuple[CardEngine, ScriptedCard]:
    """A card left the reader while it changed its PIN: after that was done, or before."""
    lin, at = till.of("lin.social_security"), READ + IDENTIFY + 1
    card = ScriptedCard(lin, lose_at=at if done else None, pull_at=None if done else at)
    registers(till, card)
    till.types(INITIAL, NEW, reaches="waiting_card.social_security")
    till.lost += not done
    assert till.counter.code == "pin.change_unknown"
    return lin, card


def test_a_change_that_was_done_is_found_by_the_new_pin(
    tills: Tills, centre: CentreProcess
) -> None:
    till = tills.open(new=NewPin.SET)
    lin, card = torn(till, done=True)

    till.counter.put(card)
    till.counter.says("pin.change_unknown")
    till.counter.reaches("waiting_pin.social_security")
    assert till.wanted["entry"] == "verify"
    till.types(NEW, reaches="succeeded")

    assert lin.counters.changes == 1
    assert len(centre.effects) == 1


def test_a_change_that_was_not_done_is_found_by_the_old_pin_and_made_again(
    tills: Tills,
) -> None:
    till = tills.open(new=NewPin.SET)
    lin, card = torn(till, done=False)

    till.counter.put(card)
    till.counter.reaches("waiting_pin.social_security")
    till.types(NEW, says="pin.try_the_old")
    till.types(INITIAL, reaches="waiting_pin.social_security.new")
    till.types(INITIAL, NEW, reaches="succeeded")

    assert lin.counters.changes == 1


def test_a_torn_card_is_known_in_the_next_transaction_and_no_other_card_is(
    tills: Tills,
) -> None:
    till = tills.open(new=NewPin.SET)
    _, card = torn(till, done=True)
    till.counter.now = till.counter.pos.kaqi.cancel(till.counter.now)
    he = till.of("he.social_security")

    till.counter.start("outpatient_registration")
    till.counter.put(he)
    till.counter.reaches("waiting_pin")
    assert till.counter.code is None
    assert till.wanted["entry"] == "new"
    till.types(INITIAL, OTHER, reaches="succeeded")
    till.counter.take()

    till.counter.start("outpatient_registration")
    till.counter.put(card)
    till.counter.says("pin.change_unknown")
    assert till.wanted["entry"] == "verify"
    till.types(NEW, reaches="succeeded")


def test_a_torn_card_is_known_after_a_restart_until_it_is_mended(
    tills: Tills, tmp_path: Path, centre: CentreProcess
) -> None:
    with ExitStack() as stack:
        before = Tills(stack, tmp_path, centre).open(new=NewPin.CHANGE_INITIAL)
        lin = before.of("lin.social_security")
        card = ScriptedCard(lin, lose_at=READ + 2 * (IDENTIFY + 1))
        registers(before, card)
        before.types(INITIAL, reaches="waiting_pin.social_security.new")
        before.types(INITIAL, NEW, reaches="waiting_card.social_security")
    till = tills.open(new=NewPin.CHANGE_INITIAL)
    till.cards.append(lin)
    till.typed = before.typed

    till.counter.start("outpatient_registration")
    till.counter.put(card)
    till.counter.says("pin.change_unknown")
    till.types(NEW, reaches="succeeded")
    till.counter.take()
    till.counter.start("outpatient_registration")
    till.counter.put(card)
    till.counter.reaches("succeeded")

    assert till.counter.now.outcome == "already_active"


@pytest.mark.parametrize("done", [False, True])
def test_killed_while_a_card_changes_its_pin_the_change_is_torn(
    tills: Tills, tmp_path: Path, centre: CentreProcess, *, done: bool
) -> None:
    at = READ + IDENTIFY + 1
    command = (sys.executable, "-m", "tests.halting_agent")
    with subprocess.Popen(
        (*command, str(tmp_path), centre.address, str(at)),
        stdout=subprocess.PIPE,
        text=True,
    ) as agent:
        assert agent.stdout is not None
        port, token = agent.stdout.readline().split()
        pos = Pos(int(port), token)
        begun = pos.kaqi.start("outpatient_registration")
        begun = pos.until(begun, lambda now: now.pin_wanted is not None)
        pos.kaqi.pin(begun, INITIAL, NEW)
        assert agent.stdout.readline() == "asked\n"
        agent.kill()
    till = tills.open(new=NewPin.SET)
    lin = till.of("lin.social_security")
    if done:
        lin.process(bytes.fromhex("805E010007123456FF246813"))
        till.typed = 1

    before = till.counter.pos.kaqi.get(begun.id)
    assert before.problem is not None
    assert before.problem["code"] == "agent.restarted_at_card"
    till.counter.start("outpatient_registration")
    till.counter.put(lin)
    till.counter.says("pin.change_unknown")
    if not done:
        till.types(NEW, says="pin.try_the_old")
        till.types(INITIAL, reaches="waiting_pin.social_security.new")
        till.types(INITIAL, NEW, reaches="succeeded")
    else:
        till.types(NEW, reaches="succeeded")

    assert lin.counters.changes == 1
    assert len(centre.effects) == 1


def test_nobody_guesses_with_two_tries_left(
    tills: Tills, centre: CentreProcess
) -> None:
    till = tills.open(new=NewPin.SET)
    lin, card = torn(till, done=False)
    wrong(lin, 3)

    till.counter.put(card)
    till.counter.reaches("waiting_pin.social_security")
    till.types(NEW, reaches="failed")

    assert till.counter.code == "pin.torn_stopped"
    assert centre.effects == []
    till.counter.take()
    till.counter.start("outpatient_registration")
    till.counter.put(card)
    till.counter.says("pin.change_unknown")


def test_where_the_cards_tell_their_tries_nobody_even_begins_to_guess(
    tills: Tills,
) -> None:
    till = tills.open(new=NewPin.SET, probe=True)
    lin = till.of("lin.social_security")
    card = ScriptedCard(lin, lose_at=READ + 2 * (IDENTIFY + 1) + 1)
    registers(till, card)
    till.counter.reaches("waiting_pin.social_security.new")
    till.types(INITIAL, NEW, reaches="waiting_card.social_security")
    wrong(lin, 4)

    till.counter.put(card)
    till.counter.reaches("failed")

    assert till.counter.code == "pin.torn_stopped"


@pytest.mark.parametrize("at", range(1, IDENTIFY + 1))
def test_a_card_pulled_before_it_is_asked_to_change_is_not_torn(
    tills: Tills, at: int
) -> None:
    till = tills.open(new=NewPin.SET)
    lin = till.of("lin.social_security")
    card = ScriptedCard(lin, pull_at=READ + at)
    registers(till, card)

    till.types(INITIAL, NEW, reaches="waiting_card.social_security")
    till.lost = 1
    till.counter.put(card)
    till.counter.reaches("waiting_pin.social_security.new")
    assert till.counter.code is None
    till.types(INITIAL, NEW, reaches="succeeded")


def test_a_change_that_the_reader_hangs_on_is_torn_and_found_later(
    tills: Tills,
) -> None:
    till = tills.open(new=NewPin.SET)
    lin = till.of("lin.social_security")
    card = ScriptedCard(lin, slow_at=READ + IDENTIFY + 1, seconds=7)
    registers(till, card)

    till.types(INITIAL, NEW, says="pin.change_unknown")
    assert till.wanted["entry"] == "verify"
    wait_until(lambda: lin.counters.changes == 1)
    till.types(NEW, reaches="succeeded")


@pytest.mark.parametrize("entry", [NewPin.KEEP, NewPin.SET])
def test_a_reader_that_hangs_before_the_pin_goes_out_costs_nothing_and_tears_nothing(
    tills: Tills, entry: NewPin
) -> None:
    till = tills.open(new=entry, initial=())
    lin = till.of("lin.social_security")
    card = ScriptedCard(lin, slow_at=READ + 1, seconds=7)
    registers(till, card)
    typed = (INITIAL, NEW) if entry is NewPin.SET else (INITIAL, None)
    before = till.wanted

    till.types(*typed, says="reader.timeout")
    till.lost = 1
    assert till.wanted == before
    wait_until(lambda: card.commands == READ + 1 and lin.counters.commands == READ + 1)
    till.types(*typed, reaches="succeeded")


@pytest.mark.parametrize("entry", [NewPin.KEEP, NewPin.SET])
def test_a_reader_that_hangs_while_tries_are_counted_has_no_pin_asked_for_twice(
    tills: Tills, entry: NewPin
) -> None:
    till = tills.open(new=entry, initial=(), probe=True)
    lin = till.of("lin.social_security")
    till.counter.start("outpatient_registration")
    till.counter.put(ScriptedCard(lin, slow_at=READ + IDENTIFY + 1, seconds=7))

    till.counter.says("reader.timeout")
    typed = (INITIAL, NEW) if entry is NewPin.SET else (INITIAL, None)
    till.types(*typed, reaches="succeeded")
    counts, pins = 2, 1  # the count that hung ends after all, and hurts nobody
    sent = READ + 2 * IDENTIFY + counts + pins
    wait_until(lambda: lin.counters.commands == sent)
    assert till.verifications == 1


@pytest.mark.parametrize("entry", [NewPin.KEEP, NewPin.SET])
def test_a_card_that_wants_another_length_is_not_given_the_pin_again(
    tills: Tills, entry: NewPin
) -> None:
    till = tills.open(new=entry, initial=())
    lin = till.of("lin.social_security")
    card = ScriptedCard(lin, replies={READ + IDENTIFY + 1: b"\x6c\x10"})
    registers(till, card)

    till.types(INITIAL, NEW if entry is NewPin.SET else None, says="pin.refused")
    till.lost = 1

    assert card.commands == READ + IDENTIFY + 1


def test_our_own_failure_at_a_change_says_that_nobody_knows(tills: Tills) -> None:
    till = tills.open(new=NewPin.SET)
    lin = till.of("lin.social_security")

    def stumble() -> NoReturn:
        raise RuntimeError

    registers(till, Tripwire(lin, READ + IDENTIFY + 1, stumble))

    till.types(INITIAL, NEW, says="pin.change_unknown")
    till.lost = 1
    assert till.wanted["entry"] == "verify"


def test_an_odd_status_is_shown_and_nothing_is_done_about_it(tills: Tills) -> None:
    till = tills.open(new=NewPin.KEEP, initial=())
    lin = till.of("lin.social_security")
    registers(till, ScriptedCard(lin, replies={READ + IDENTIFY + 1: b"\x6f\x00"}))

    till.types(INITIAL, says="pin.refused")
    till.lost = 1
    assert till.counter.now.problem is not None
    assert "6F00" in till.counter.now.problem["messages"]["en"]
    till.types(INITIAL, reaches="succeeded")


@pytest.mark.parametrize("person", ["he", "abu", "qin", "xu"])
def test_cards_of_every_version_change_their_pins(tills: Tills, person: str) -> None:
    till = tills.open(new=NewPin.CHANGE_INITIAL, probe=True)
    card = till.of(f"{person}.social_security")
    till.counter.start("outpatient_registration")
    till.counter.put(card)
    till.counter.reaches("waiting_pin.social_security")

    till.types(INITIAL, reaches="waiting_pin.social_security.new")
    till.types(INITIAL, NEW, reaches="succeeded")

    assert card.counters.changes == 1


def test_over_the_real_resource_manager(
    tmp_path: Path, centre: CentreProcess, vpcd: VpcdDesk
) -> None:
    policy = PinPolicy(
        old=OldPin.IF_SET, new=NewPin.SET, initial=frozenset({INITIAL}), probe=True
    )
    with running(
        tmp_path,
        centre.address,
        {"pcsc": PcscDirectory()},
        vpcd,
        profile=replace(load_profile("reference"), pin=policy),
    ) as started:
        till = Till(Counter(started, vpcd), Keypad())
        presents_old(till)
        till.counter.reaches("waiting_pin.medical")
        assert till.wanted["tries_left"] == 6
        till.types(WRONG, says="pin.wrong")
        till.types(INITIAL, reaches="waiting_card.social_security")
        buys(till)
        till.counter.reaches("waiting_pin.social_security.new")
        till.types(WRONG, NEW, says="pin.wrong")
        till.types(INITIAL, NEW, reaches="succeeded")

    assert till.verifications == till.typed == 4
    assert till.cards[1].counters.changes == 1


def test_the_log_does_not_tell_how_long_a_pin_is(tills: Tills, tmp_path: Path) -> None:
    till = tills.open(
        new=NewPin.SET, initial=(), digits=Digits(minimum=4, maximum=12), probe=True
    )
    registers(till)
    till.counter.reaches("waiting_pin.social_security.new")
    till.types(INITIAL, "97531086421", reaches="succeeded")

    lines = (tmp_path / "logs" / "kaqi.log").read_text(encoding="utf-8").splitlines()
    exchanges = [each for each in map(json.loads, lines) if each["event"] == "apdu"]
    known = {each["header"]: each.keys() for each in exchanges}
    assert not {"sent", "received"} & (known["20"] | known["5E"])
    assert all("sent" in known[key] for key in known if key[2:4] in ("A4", "B2"))


# The reader's own keypad


def test_a_pin_typed_on_the_reader_never_comes_here(tills: Tills) -> None:
    till = tills.open(new=NewPin.KEEP, initial=(), keypad=True)
    registers(till)
    assert till.wanted["on_reader"]
    assert till.counter.now.data["step"]["key"].endswith(".reader")

    assert till.refuses(NEW) == "pin.keypad_only"
    assert till.refuses(None, NEW) == "pin.keypad_only"
    till.types_on_reader(WRONG, says="pin.wrong")
    till.types_on_reader(INITIAL, reaches="succeeded")

    assert till.keypad.prompts == 2


def test_a_keypad_changes_every_pin_since_nobody_sees_whether_it_is_initial(
    tills: Tills,
) -> None:
    till = tills.open(new=NewPin.CHANGE_INITIAL, keypad=True)
    lin = registers(till)
    assert (till.wanted["entry"], till.wanted["on_reader"]) == ("new", True)

    till.types_on_reader(INITIAL, NEW, NEW, reaches="succeeded")

    assert lin.counters.changes == 1


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        pytest.param((INITIAL, NEW, OTHER), "pin.confirmation_mismatch", id="differ"),
        pytest.param((INITIAL, "2468", "2468"), "pin.length", id="too short"),
        pytest.param(("cancel",), "pin.cancelled", id="cancelled"),
    ],
)
def test_what_goes_wrong_on_the_keypad_reaches_no_card(
    tills: Tills, entries: tuple[str, ...], code: str
) -> None:
    till = tills.open(new=NewPin.SET, keypad=True)
    lin = registers(till)

    till.types_on_reader(*entries, says=code)
    till.lost = 1

    assert (lin.counters.verifications, lin.counters.changes) == (0, 0)
    assert till.counter.now.state == "waiting_pin"


def test_a_keypad_that_nobody_touches_gives_up_and_is_asked_again(
    tills: Tills,
) -> None:
    clocks = Clocks(card=20, confirm=20, pin=5, centre=2)
    till = tills.open(new=NewPin.KEEP, initial=(), keypad=True, clocks=clocks)
    registers(till)

    till.types_on_reader(says="pin.entry_timeout")
    till.lost = 1
    till.types_on_reader(INITIAL, reaches="succeeded")

    assert till.keypad.prompts == 2


def test_pins_of_several_lengths_are_typed_here_though_there_is_a_keypad(
    tills: Tills,
) -> None:
    till = tills.open(new=NewPin.SET, keypad=True, digits=Digits(minimum=4, maximum=6))
    lin = registers(till)

    assert not till.wanted["on_reader"]
    till.types(INITIAL, "2468", reaches="succeeded")
    assert lin.counters.changes == 1


def test_an_initial_pin_that_must_not_be_kept_is_compared_and_so_typed_here(
    tills: Tills,
) -> None:
    till = tills.open(new=NewPin.KEEP, keypad=True)
    lin = registers(till)

    assert not till.wanted["on_reader"]
    assert till.refuses(INITIAL) == "pin.still_initial"
    assert lin.counters.commands == READ


def test_a_torn_change_that_left_the_initial_pin_is_made_after_all(
    tills: Tills,
) -> None:
    till = tills.open(new=NewPin.SET)
    lin, card = torn(till, done=False)

    till.counter.put(card)
    till.counter.reaches("waiting_pin.social_security")
    till.types(INITIAL, reaches="waiting_pin.social_security.new")
    till.types(INITIAL, NEW, reaches="succeeded")

    assert lin.counters.changes == 1


def test_a_change_that_was_torn_on_the_keypad_is_made_again_where_nobody_sees_it(
    tills: Tills,
) -> None:
    till = tills.open(new=NewPin.SET, keypad=True)
    lin = till.of("lin.social_security")
    card = ScriptedCard(lin, lose_at=READ + IDENTIFY + 1)
    registers(till, card)

    till.types_on_reader(INITIAL, NEW, NEW, reaches="waiting_card.social_security")
    till.counter.put(card)
    till.counter.reaches("waiting_pin.social_security.reader")
    assert till.counter.code == "pin.change_unknown"
    assert (till.wanted["entry"], till.wanted["on_reader"]) == ("verify", True)
    till.types_on_reader(NEW, reaches="waiting_pin.social_security.new.reader")
    till.types_on_reader(NEW, OTHER, OTHER, reaches="succeeded")
    assert lin.counters.changes == 2


def test_the_terminal_sends_the_holder_to_the_reader(
    tills: Tills, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAQI_LANG", "en")
    till = tills.open(new=NewPin.SET, keypad=True)
    registers(till)

    def nobody(_: str) -> NoReturn:
        raise AssertionError("nothing is asked here")

    till.typed += 1
    till.keypad.type(INITIAL, NEW, NEW)
    kaqi, now = till.counter.pos.kaqi, till.counter.now
    ended = follow(kaqi, now, Person(nobody, nobody, nobody))

    assert ended.outcome == "activated"
    assert "enters the present PIN on the reader" in capsys.readouterr().out


def test_what_is_typed_on_the_reader_is_in_no_file(
    tills: Tills, tmp_path: Path
) -> None:
    digits = Digits(minimum=11, maximum=12)
    first, second = "97531086421", "864209753124"
    till = tills.open(new=NewPin.SET, keypad=True, digits=digits)
    order = dataclasses.replace(PEOPLE["lin"].social_security, pin=first)
    lin = CardEngine(order.image())
    till.cards.append(lin)
    registers(till, lin)

    till.types_on_reader(first, second, second, reaches="succeeded")

    files = [(str(f), f.read_bytes()) for f in tmp_path.rglob("*") if f.is_file()]
    assert lin.counters.changes == 1
    assert find_pins(files, [first, second]) == []
    assert any(b'"header": "5E"' in content for _, content in files)  # it is logged


def test_a_pin_is_forgotten_with_the_try_it_was_typed_for(tills: Tills) -> None:
    till = tills.open(new=NewPin.KEEP, initial=())
    registers(till)

    till.types("975310", says="pin.wrong")

    gc.collect()
    held, trace_id = gc.get_objects(), till.counter.now.data["trace_id"]
    assert [each for each in held if isinstance(each, Typed)] == []
    jobs = [each for each in held if isinstance(each, Job)]
    assert [each for each in jobs if each.trace_id == trace_id] == []


# Endings


def test_a_cancel_while_the_holder_types_waits_for_the_card(tills: Tills) -> None:
    till = tills.open(new=NewPin.SET, keypad=True)
    lin = registers(till)
    till.types_on_reader()
    assert till.counter.now.allowed_actions == ["cancel"]

    till.counter.now = till.counter.pos.kaqi.cancel(till.counter.now)
    assert till.counter.now.state == "waiting_pin"
    till.keypad.type(INITIAL, NEW, NEW)
    till.counter.reaches("cancelled")

    assert lin.counters.changes == 1
    assert [each["code"] for each in till.counter.now.notices] == ["pin.changed"]


def test_a_cancel_while_a_pin_is_awaited_ends_it_at_once(
    tills: Tills, centre: CentreProcess
) -> None:
    till = tills.open(new=NewPin.SET)
    registers(till)

    till.counter.now = till.counter.pos.kaqi.cancel(till.counter.now)

    assert till.counter.now.state == "cancelled"
    assert centre.effects == []


def test_the_pins_own_clock_is_named_when_nobody_types(tills: Tills) -> None:
    clocks = Clocks(card=20, confirm=20, pin=1, centre=2)
    till = tills.open(new=NewPin.KEEP, clocks=clocks)
    till.counter.start("outpatient_registration")
    till.counter.put("lin.social_security")

    till.counter.reaches("expired")

    assert till.counter.code == "transaction.pin_wait_over"

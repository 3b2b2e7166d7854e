"""Cards and readers: whatever strikes at a command, the holder's card is activated once, and
no PIN is presented that nobody typed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from drivers.ports import ReaderDirectory
from drivers.serial_line.directory import SerialDirectory
from plugin.activation.region import Clocks, RegionProfile, Role, Scenario
from plugin.client import KaqiError, Transaction
from plugin.profile_file import load_profile
from plugin.settings import InstitutionKind
from simulator.card.engine import CardEngine
from simulator.ccid_peer import Misbehaviour
from simulator.people import engine
from simulator.scenario import Card, CardResetElsewhereError, MuteCard, ScriptedCard
from simulator.serial_peer import SerialDesk
from tests.agents import running
from tests.centre import CentreProcess
from tests.faults.desks import TroubledDesk
from tests.faults.places import INITIAL, NEW, State, Visit
from tests.waiting import WAIT_SECONDS, wait_until

REGION = "v5-initial-pin"  # where giving the card a new PIN is the activation
READ, IDENTIFY = 16, 3  # commands of a full read, and of those before every PIN
CHANGE = READ + 2 * (IDENTIFY + 1)
READING, KNOWING = 5, CHANGE - 1
ALMOST, TOO_LONG = 4.0, 5.1  # seconds; the reader is given up within 5
WRONG = "654321"
CARD_WANTED = ("waiting_card", "waiting_removal", "waiting_reader")
CLOCKS = Clocks(card=30, confirm=30, centre=10)
Desk = TroubledDesk | SerialDesk
Strike = Callable[["Counter"], bytes | None]


class Counter:
    """A counter with one card's holder at it, who comes as often as it takes."""

    def __init__(self, visit: Visit, desk: Desk) -> None:
        self.visit = visit
        self.desk = desk
        self.first, self.second = desk.readers()[:2]
        self.lin: CardEngine = engine("lin.social_security")
        self.types_for = self.lin
        self.typed = 0
        self.asked = 0

    def begin(self, key: str, card: Card) -> None:
        """Somebody comes, and gives a card."""
        self.asked = 0
        self.visit.begin(key)
        self.desk.insert_card(card, self.first)

    @property
    def first_record(self) -> dict[str, Any]:
        """What the journal has of the first visit."""
        listed = self.visit.pos.request("GET", "/v1/activations").body["activations"]
        found: dict[str, Any] = min(listed, key=lambda each: each["id"])
        return found

    @property
    def stands(self) -> str:
        """In which state."""
        return str(self.first_record["state"])

    def until_new_pin(self) -> None:
        """Confirmed and typed, up to the new PIN."""
        self._follow(
            lambda now: now.pin_wanted is not None and now.pin_wanted["entry"] == "new"
        )

    def until_told(self, code: str) -> None:
        """The same, up to this problem."""
        self._follow(lambda now: _says(now, code))

    def types_once(self, pin: str) -> None:
        """Confirmed, and this typed."""
        self._follow(lambda now: now.pin_wanted is not None)
        self.visit.pos.kaqi.pin(self.visit.now, pin)
        self.typed += 1

    def goes_on(self, reader: str) -> Transaction:
        """To the end: the card goes into this reader wherever one is wanted."""
        return self._follow(lambda now: now.ended, reader)

    def _follow(
        self, there: Callable[[Transaction], bool], reader: str | None = None
    ) -> Transaction:
        deadline = time.monotonic() + WAIT_SECONDS
        visit = self.visit
        visit.now = visit.pos.kaqi.get(visit.now.id)
        while not there(visit.now):
            assert time.monotonic() < deadline, visit.now.data["step"]
            self._do(visit.now, reader)
            visit.now = visit.pos.kaqi.next(visit.now, seconds=0.2)
        return visit.now

    def _do(self, now: Transaction, reader: str | None) -> None:
        if now.state == "waiting_confirm":
            self.visit.pos.kaqi.confirm(now)
        elif now.state in CARD_WANTED or _says(now, "card.protocol_error"):
            self._put_anew(reader)
        elif now.pin_wanted is not None:
            self._type(now)

    def _put_anew(self, reader: str | None) -> None:
        """Out and in again, as the counter says, where somebody is to."""
        if reader is None:
            return
        self.heals()
        for each in (self.first, self.second):
            self.desk.remove(each)
        self.desk.insert_card(self.lin, reader)

    def _type(self, now: Transaction) -> None:
        """What is right for the card, which its holder knows; once for each time that it
        is asked for."""
        if now.data["seq"] == self.asked:
            return
        self.asked = now.data["seq"]
        if now.problem is not None:
            self.heals()
        pin = NEW if self.types_for.counters.changes else INITIAL
        wanted = now.pin_wanted or {}
        new = NEW if wanted["entry"] == "new" else None
        try:
            self.visit.pos.kaqi.pin(now, pin, new)
        except KaqiError as late:
            if late.code != "transaction.bad_state":
                raise
        else:
            self.typed += 1

    def heals(self) -> None:
        """Whatever is wrong with the readers is put right."""
        if isinstance(self.desk, TroubledDesk):
            self.desk.heal()
        else:
            self.desk.peers[self.first].wrong = Misbehaviour()


def _says(now: Transaction, code: str) -> bool:
    return now.problem is not None and now.problem["code"] == code


class StruckCard:
    """The holder's card, at whose n-th command something strikes."""

    def __init__(self, counter: Counter, at: int, strike: Strike) -> None:
        self._counter = counter
        self._left = at
        self._strike = strike
        self.struck = ""  # how the record stood
        self.atr = counter.lin.atr
        self.reset = counter.lin.reset

    def process(self, command: bytes) -> bytes:
        """As the card does."""
        self._left -= 1
        if self._left == 0:
            self.struck = self._counter.stands
            answer = self._strike(self._counter)
            if answer is not None:
                return answer
        return self._counter.lin.process(command)


class OtherAtr:
    """The same card as if it were of another kind."""

    def __init__(self, card: Card) -> None:
        self.atr = bytes.fromhex("3B6D000031C071D665AABBCCDD11339000")
        self.reset, self.process = card.reset, card.process


def _pulled(counter: Counter) -> None:
    counter.desk.remove(counter.first)


def _reset_elsewhere(_: Counter) -> None:
    raise CardResetElsewhereError


def _swapped_for(card: Callable[[Counter], Card]) -> Strike:
    def strike(counter: Counter) -> None:
        counter.desk.remove(counter.first)
        counter.desk.insert_card(card(counter), counter.first)

    return strike


def _answers(answer: str) -> Strike:
    return lambda _: bytes.fromhex(answer)


def _desk(strike: Callable[[TroubledDesk, str], None]) -> Strike:
    def struck(counter: Counter) -> None:
        assert isinstance(counter.desk, TroubledDesk)
        strike(counter.desk, counter.first)

    return struck


def _restarted(desk: TroubledDesk, _: str) -> None:
    desk.stop()
    desk.heal()


def _line(**wrong: int | bool) -> Strike:
    def strike(counter: Counter) -> None:
        assert isinstance(counter.desk, SerialDesk)
        counter.desk.peers[counter.first].wrong = Misbehaviour(**wrong)  # type: ignore[arg-type]

    return strike


STRIKES: dict[str, Strike] = {
    "F30": _pulled,
    "F31": _reset_elsewhere,
    "F32": _swapped_for(lambda _: engine("he.medical")),
    "F33": _swapped_for(lambda _: MuteCard()),
    "F34": _swapped_for(lambda counter: OtherAtr(counter.lin)),
    "F35": _answers("6F00"),
    "F41": _answers("6A83"),
    "F42": _answers("7084FFFFFFFF7084FFFFFFFF9000"),
    "F43": _desk(lambda desk, reader: desk.unplug(reader)),
    "F44": _desk(lambda desk, reader: desk.unplug(reader)),
    "F45": _desk(_restarted),
    "F46": _desk(lambda desk, _: desk.stop()),
    "F48": _desk(lambda desk, _: desk.take_over()),
    "F49": _desk(lambda desk, _: desk.rename()),
    "F50": _line(wrong_lrc=99),
    "F50 noise": _line(noise=True),
}
ELSEWHERE = {"F44"}  # the card goes into the other reader


@contextmanager
def at_a_counter(
    folder: Path,
    centre: CentreProcess,
    *,
    serial: bool = False,
    profile: RegionProfile | None = None,
) -> Iterator[Counter]:
    """An agent in this process, and its desk."""
    desk: Desk = SerialDesk() if serial else TroubledDesk()
    directories: dict[str, ReaderDirectory] = {
        "readers": SerialDirectory(desk.ports) if isinstance(desk, SerialDesk) else desk
    }
    profile = profile or load_profile(REGION)
    with (
        closing(desk),
        running(
            folder, centre.address, directories, desk, clocks=CLOCKS, profile=profile
        ) as started,
    ):
        started.reader_ids(desk.readers()[:2])
        yield Counter(Visit(started.pos, centre), desk)


def _while_it_is_read(counter: Counter, strike: Strike) -> StruckCard:
    card = StruckCard(counter, READING, strike)
    counter.begin("first", card)
    wait_until(lambda: card.struck != "")
    return card


def _before_the_change(counter: Counter, strike: Strike) -> StruckCard:
    card = StruckCard(counter, KNOWING, strike)
    counter.begin("first", card)
    counter.until_new_pin()
    return card


def _when_it_returns(counter: Counter, strike: Strike) -> StruckCard:
    leaves_torn(counter)
    card = StruckCard(counter, READING, strike)
    counter.begin("again", card)
    wait_until(lambda: card.struck != "")
    return card


def leaves_torn(counter: Counter, key: str = "first", at: int = CHANGE) -> None:
    """The new PIN is on the card, its answer is lost, and the holder leaves."""
    counter.begin(key, ScriptedCard(counter.lin, lose_at=at))
    counter.until_told("pin.change_unknown")
    counter.visit.now = counter.visit.pos.kaqi.cancel(counter.visit.now)
    counter.desk.remove(counter.first)
    assert counter.stands == State.UNKNOWN


MOMENTS = {
    State.RECEIVED: _while_it_is_read,
    State.CARD_STEPS: _before_the_change,
    State.UNKNOWN: _when_it_returns,
}


@pytest.mark.parametrize("state", MOMENTS, ids=str)
@pytest.mark.parametrize("fault", STRIKES)
def test_something_strikes_at_a_command(
    tmp_path: Path, centre: CentreProcess, fault: str, state: State
) -> None:
    serial = fault.startswith("F50")
    with at_a_counter(tmp_path, centre, serial=serial) as counter:
        card = MOMENTS[state](counter, STRIKES[fault])
        into = counter.second if fault in ELSEWHERE else counter.first

        ended = counter.goes_on(into)

        assert card.struck == state
        assert ended.outcome == "activated"
        assert counter.first_record["state"] == State.ACTIVE
        assert counter.lin.counters.changes == 1
        assert counter.lin.counters.verifications <= counter.typed


@pytest.mark.parametrize("state", [State.RECEIVED, State.UNKNOWN], ids=str)
def test_another_holders_card_in_its_place_is_another_matter(
    tmp_path: Path, centre: CentreProcess, state: State
) -> None:
    he = engine("he.social_security")
    with at_a_counter(tmp_path, centre) as counter:
        card = MOMENTS[state](counter, _swapped_for(lambda _: he))
        changed, counter.types_for = counter.lin.counters.changes, he

        ended = counter.goes_on(counter.first)

        assert card.struck == state
        assert ended.outcome == "activated"
        assert he.counters.changes == 1
        assert counter.lin.counters.changes == changed
        assert counter.stands == (State.ACTIVE if state is State.RECEIVED else state)


def _waits(seconds: float) -> Strike:
    def strike(_: Counter) -> None:
        threading.Event().wait(seconds)

    return strike


def test_a_slow_command_is_waited_for(tmp_path: Path, centre: CentreProcess) -> None:
    with at_a_counter(tmp_path, centre) as counter:
        card = _while_it_is_read(counter, _waits(ALMOST))

        counter.until_new_pin()
        ended = counter.goes_on(counter.first)

        assert (card.struck, ended.outcome) == (State.RECEIVED, "activated")
        assert counter.lin.counters.commands == CHANGE  # none of them twice


def test_a_card_that_is_too_slow_when_it_returns_is_read_elsewhere(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with at_a_counter(tmp_path, centre) as counter:
        card = _when_it_returns(counter, _waits(TOO_LONG))
        counter.until_told("reader.timeout")

        ended = counter.goes_on(counter.second)

        assert (card.struck, ended.outcome) == (State.UNKNOWN, "activated")
        assert counter.stands == State.ACTIVE


def test_a_reader_that_hangs_when_the_card_returns_is_left_alone(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with at_a_counter(tmp_path, centre) as counter:
        leaves_torn(counter)
        assert isinstance(counter.desk, TroubledDesk)
        with counter.desk.hanging(counter.first):
            counter.begin("again", counter.lin)
            counter.until_told("reader.timeout")
            assert counter.stands == State.UNKNOWN

            ended = counter.goes_on(counter.second)

        assert ended.outcome == "activated"
        assert counter.stands == State.ACTIVE


# PINs


def test_a_wrong_pin_before_the_change_is_counted_and_the_right_one_taken(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with at_a_counter(tmp_path, centre) as counter:
        counter.begin("first", counter.lin)
        counter.types_once(WRONG)
        counter.until_told("pin.wrong")
        stood = counter.stands

        ended = counter.goes_on(counter.first)

        assert (stood, ended.outcome) == (State.CARD_STEPS, "activated")


def test_a_wrong_pin_when_the_card_returns_is_counted_and_the_right_one_taken(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with at_a_counter(tmp_path, centre) as counter:
        leaves_torn(counter)
        counter.begin("again", counter.lin)
        counter.types_once(WRONG)
        counter.until_told("pin.try_the_old")

        counter.visit.now = counter.visit.pos.kaqi.cancel(counter.visit.now)
        stood = counter.stands
        counter.desk.remove(counter.first)
        counter.begin("once-more", counter.lin)
        ended = counter.goes_on(counter.first)

        assert (stood, ended.outcome) == (State.UNKNOWN, "activated")
        assert counter.stands == State.ACTIVE


def test_a_card_that_returns_with_its_pin_blocked_is_left_to_a_person(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with at_a_counter(tmp_path, centre) as counter:
        leaves_torn(counter)
        _block(counter.lin)
        counter.begin("again", counter.lin)

        counter.until_told("pin.locked")

        assert counter.stands == State.UNKNOWN
        assert counter.first_record["needs_a_person"]


def _block(card: CardEngine) -> None:
    answer = b""
    while answer != bytes.fromhex("6983"):
        answer = card.process(bytes.fromhex("0020000003000000"))


def test_a_card_that_is_torn_again_is_mended_when_it_returns_again(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with at_a_counter(tmp_path, centre) as counter:
        counter.begin("first", ScriptedCard(counter.lin, pull_at=CHANGE))
        counter.until_told("pin.change_unknown")
        counter.visit.now = counter.visit.pos.kaqi.cancel(counter.visit.now)
        stood = counter.stands
        counter.desk.remove(counter.first)
        leaves_torn(counter, "again")
        counter.begin("once-more", counter.lin)

        ended = counter.goes_on(counter.first)

        assert (stood, ended.outcome) == (State.UNKNOWN, "activated")
        assert counter.stands == State.ACTIVE
        assert counter.lin.counters.changes == 1


def both_cards(profile: RegionProfile) -> RegionProfile:
    """The same where a pharmacy asks for the old card too."""
    kind = InstitutionKind.HOSPITAL
    rules = profile.scenarios[kind]
    pharmacy = replace(
        rules[Scenario.PHARMACY], steps=(Role.MEDICAL, Role.SOCIAL_SECURITY)
    )
    changed = {**rules, Scenario.PHARMACY: pharmacy}
    return replace(profile, scenarios={**profile.scenarios, kind: changed})


def test_the_card_returns_with_an_old_card_of_somebody_else(
    tmp_path: Path, centre: CentreProcess
) -> None:
    profile = both_cards(load_profile(REGION))
    with at_a_counter(tmp_path, centre, profile=profile) as counter:
        leaves_torn(counter)
        begun = counter.visit.pos.start("pharmacy", key="again")
        counter.visit.now = Transaction(begun.body)
        counter.desk.insert_card(engine("he.medical"), counter.second)
        counter.desk.insert_card(counter.lin, counter.first)

        counter.until_told("transaction.person_mismatch")

        assert counter.visit.now.state == "failed"
        assert counter.stands == State.UNKNOWN

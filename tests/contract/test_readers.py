"""What every driver must do, whoever's readers they are."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import cast

import pytest
from msgspec import structs

from drivers.conversation import converse
from drivers.errors import (
    CardProtocolError,
    CardRemovedError,
    MuteCardError,
    NoCardError,
    NoKeypadError,
    PinEntryError,
    PinMismatchError,
    PortGoneError,
    ReaderGoneError,
)
from drivers.iso7816.apdu import VERIFY, CommandApdu
from drivers.iso7816.atr import Atr
from drivers.ports import Disposition, PinEntry, PinOperation
from plugin.agent.errands import Errands, PsamSlot, no_hsm
from plugin.card.errors import CardError, UnsupportedCardError
from plugin.card.medical import MedicalCard
from plugin.card.reading import Card, read_card
from plugin.card.social_security import SocialSecurityCard
from simulator.card.engine import CardEngine
from simulator.card.image import Behaviour
from simulator.people import PEOPLE, card, engine
from simulator.reader import PSAM_NAME, InProcessDesk
from simulator.scenario import Card as SimulatedCard
from simulator.scenario import MuteCard, ScriptedCard
from tests.contract.readers import KINDS, LAYOUTS, Bench, Can, Plugs, opened

COMMANDS = 16
MOST_COMMANDS = 26  # of a card of 3.0
EVERY_COMMAND = range(1, COMMANDS + 1)
FIRST_MIDDLE_LAST = (1, COMMANDS // 2, COMMANDS)
PIN = PinEntry(
    command=CommandApdu(cla=0, ins=VERIFY, p1=0, p2=0, data=b"\xff" * 3),
    places=(0,),
    length=3,
    digits_min=6,
    digits_max=6,
    seconds=1,
)
GET_CHALLENGE = CommandApdu(cla=0, ins=0x84, p1=0, p2=0, ne=8)


def test_a_card_is_noticed_read_and_noticed_again_when_it_leaves(bench: Bench) -> None:
    card = engine("lin.social_security")

    status = bench.insert(card, bench.first)
    found = bench.read(bench.first)
    bench.remove(bench.first)

    assert status.atr == card.atr
    assert Atr.parse(status.atr).protocols == (0,)
    assert isinstance(found, SocialSecurityCard)
    assert found.name == PEOPLE["lin"].holder.name
    assert card.counters.commands == COMMANDS


def test_every_stay_has_a_number_of_its_own(bench: Bench) -> None:
    card = engine("lin.social_security")

    first = bench.insert(card, bench.first)
    bench.remove(bench.first)
    second = bench.insert(card, bench.first)

    assert first.stay != second.stay


def test_looking_once_shows_what_watching_shows(bench: Bench) -> None:
    watched = bench.insert(engine("he.social_security"), bench.second)

    seen = bench.directory.look()

    assert seen.trouble is None
    assert bench.status(seen, bench.second) == watched
    assert bench.status(seen, bench.first).slot == "empty"


def test_two_readers_do_not_disturb_each_other(bench: Bench) -> None:
    bench.insert(engine("lin.social_security"), bench.first)
    bench.insert(engine("he.social_security"), bench.second)
    found: dict[str, Card] = {}

    def into(reader: str) -> None:
        found[reader] = bench.read(reader)

    threads = [
        threading.Thread(target=into, args=(reader,))
        for reader in (bench.first, bench.second)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found[bench.first].name == PEOPLE["lin"].holder.name
    assert found[bench.second].name == PEOPLE["he"].holder.name


@pytest.mark.parametrize(
    ("kind", "at"),
    [
        *((kind, at) for kind in ("inprocess", "serial") for at in EVERY_COMMAND),
        *((kind, at) for kind in ("pcsc", "twin") for at in FIRST_MIDDLE_LAST),
    ],
)
def test_a_pulled_card_is_a_pulled_card_and_the_next_one_works(
    kind: str, at: int, request: pytest.FixtureRequest
) -> None:
    with opened(kind, request.getfixturevalue) as bench:
        assert pull_and_go_on(bench, at) == PEOPLE["he"].holder.name


def pull_and_go_on(bench: Bench, at: int) -> str | None:
    """Pull one card at this command; who the next one says it is."""
    bench.insert(ScriptedCard(engine("lin.social_security"), pull_at=at), bench.first)

    with pytest.raises(CardRemovedError):
        bench.read(bench.first)

    bench.wait_for_slot(bench.first, "empty")
    bench.hand.remove(bench.first)
    bench.insert(engine("he.social_security"), bench.first)
    return bench.read(bench.first).name


def test_an_empty_reader_says_so(bench: Bench) -> None:
    reader = bench.directory.reader(bench.first)

    with pytest.raises(NoCardError):
        reader.connect()

    reader.close()


def test_a_mute_card_is_noticed_as_one_and_cannot_be_connected(bench: Bench) -> None:
    bench.hand.insert_card(MuteCard(), bench.first)

    status = bench.wait_for_slot(bench.first, "mute")

    assert status.atr == b""
    with pytest.raises(MuteCardError):
        bench.directory.reader(bench.first).connect()


def test_a_reader_nobody_has_is_gone(bench: Bench) -> None:
    with pytest.raises(ReaderGoneError):
        bench.directory.reader("No such reader").connect()


def test_a_foreign_card_is_unsupported(bench: Bench) -> None:
    foreign = ScriptedCard(
        engine("lin.social_security"), replies={1: bytes.fromhex("6A82")}
    )
    bench.insert(foreign, bench.first)

    with pytest.raises(UnsupportedCardError):
        bench.read(bench.first)


def test_an_answer_without_a_status_word_is_no_answer(bench: Bench) -> None:
    odd = ScriptedCard(engine("lin.social_security"), replies={2: b"\x90"})
    bench.insert(odd, bench.first)

    with pytest.raises((CardProtocolError, CardRemovedError)) as failed:
        bench.read(bench.first)

    assert isinstance(failed.value, CardProtocolError)


def test_a_card_that_chains_and_corrects_is_read_like_any_other(bench: Bench) -> None:
    image = PEOPLE["lin"].social_security.image()
    card = CardEngine(image, Behaviour(chains=True, corrects_length=True))
    bench.insert(card, bench.first)

    found = bench.read(bench.first)

    assert found.name == PEOPLE["lin"].holder.name
    assert card.counters.commands == COMMANDS  # the FCI is left on the card


def test_a_connection_ends_with_the_stay_of_its_card(bench: Bench) -> None:
    bench.insert(engine("lin.social_security"), bench.first)
    reader = bench.directory.reader(bench.first)
    connection = reader.connect()
    bench.remove(bench.first)
    another = engine("he.social_security")
    bench.insert(another, bench.first)

    with pytest.raises(CardRemovedError):
        connection.transmit(GET_CHALLENGE)

    connection.close()
    reader.close()
    assert another.counters.commands == 0


def test_a_slow_card_is_waited_for(bench: Bench) -> None:
    slow = ScriptedCard(engine("lin.social_security"), slow_at=5, seconds=0.3)
    bench.insert(slow, bench.first)

    assert bench.read(bench.first).name == PEOPLE["lin"].holder.name


def test_leaving_keeps_the_cards_state_and_a_reset_clears_it(bench: Bench) -> None:
    card = engine("lin.social_security")
    bench.insert(card, bench.first)
    reader = bench.directory.reader(bench.first)
    resets = []

    for disposition in (Disposition.LEAVE, Disposition.LEAVE, Disposition.RESET):
        connection = reader.connect()
        connection.transmit(GET_CHALLENGE)
        connection.close(disposition)
        resets.append(card.counters.resets)

    assert resets[0] == resets[1] < resets[2]
    reader.close()


def test_a_card_error_lets_go_of_the_card(bench: Bench) -> None:
    locked = ScriptedCard(
        engine("lin.social_security"), replies={3: bytes.fromhex("6983")}
    )
    bench.insert(locked, bench.first)

    with pytest.raises(CardError):
        bench.read(bench.first)

    assert bench.read(bench.first).name == PEOPLE["lin"].holder.name


def test_a_reader_is_unplugged_and_plugged_in_again(bench: Bench) -> None:
    if Can.REPLUG not in bench.can:
        assert not hasattr(bench.hand, "unplug")
        return
    hand = cast(Plugs, bench.hand)
    bench.insert(engine("lin.social_security"), bench.first)
    connection = bench.directory.reader(bench.first).connect()

    hand.unplug(bench.first)
    bench.wait_for(lambda state: bench.first not in [r.name for r in state.readers])
    with pytest.raises((ReaderGoneError, PortGoneError)):
        connection.transmit(GET_CHALLENGE)
    with pytest.raises((ReaderGoneError, PortGoneError)):
        bench.directory.reader(bench.first).connect()

    hand.plug(bench.first)
    bench.wait_for_slot(bench.first, "empty")
    bench.insert(engine("he.social_security"), bench.first)
    assert bench.read(bench.first).name == PEOPLE["he"].holder.name


def test_a_memory_card_is_read_or_is_mute(bench: Bench) -> None:
    bench.hand.insert_card(card("zhu.medical"), bench.first)

    if Can.MEMORY_CARDS in bench.can:
        bench.wait_for_slot(bench.first, "present")
        found = bench.read(bench.first)
        assert isinstance(found, MedicalCard)
        assert found.kind == "sle4442"
    else:
        bench.wait_for_slot(bench.first, "mute")


def test_a_pin_is_typed_on_the_reader_or_not_at_all(bench: Bench) -> None:
    if Can.KEYPAD not in bench.can:
        bench.insert(engine("lin.social_security"), bench.first)
        connection = bench.directory.reader(bench.first).connect()
        assert connection.keypad() == frozenset()
        with pytest.raises(NoKeypadError):
            connection.enter_pin(PIN)
        connection.close()
        return
    ((reader, keypad),) = bench.keypads.items()
    inserted = engine("lin.social_security")
    bench.insert(inserted, reader)
    connection = bench.directory.reader(reader).connect()
    said = []

    for typed in ("123456", "999999", "1", None, "cancel"):
        if typed:
            keypad.type(typed)
        try:
            said.append(str(connection.enter_pin(PIN).sw))
        except PinEntryError as nothing_entered:
            said.append(nothing_entered.code)
    can = connection.keypad()
    connection.close()
    bench.remove(reader)

    assert can == frozenset(PinOperation)
    assert said == [
        "9000 success",
        "63C5 5 tries left",
        "pin.length",
        "pin.entry_timeout",
        "pin.cancelled",
    ]
    assert inserted.counters.verifications == 2


def test_a_new_pin_is_typed_on_the_reader(bench: Bench) -> None:
    modify = structs.replace(
        PIN,
        command=CommandApdu(cla=0x80, ins=0x5E, p1=1, p2=0, data=b"\xff" * 7),
        places=(0, 4),
    )
    seen: list[bytes] = []
    for reader, keypad in bench.keypads.items():
        listening = Listening(engine("lin.social_security"), seen)
        bench.insert(listening, reader)
        connection = bench.directory.reader(reader).connect()
        keypad.type("123456", "246802", "246802")
        connection.enter_pin(modify)
        keypad.type("123456", "246802", "246803")
        with pytest.raises(PinMismatchError):
            connection.enter_pin(modify)
        connection.close()
        bench.remove(reader)

    wanted = bytes.fromhex("805E010007123456FF246802")
    assert seen == [wanted] * len(bench.keypads)


class Listening:
    """A card that notes the commands it is sent for a PIN."""

    def __init__(self, card: SimulatedCard, seen: list[bytes]) -> None:
        self.atr, self.reset = card.atr, card.reset
        self._card, self._seen = card, seen

    def process(self, command: bytes) -> bytes:
        if command[1] == 0x5E:
            self._seen.append(command)
        return self._card.process(command)


@pytest.mark.parametrize("person", ["qin", "xu"])
def test_a_card_of_3_0_is_authenticated_in_whatever_reader(
    bench: Bench, person: str
) -> None:
    inserted = CardEngine(PEOPLE[person].social_security.image())

    assert authenticated(bench, inserted).name == PEOPLE[person].holder.name
    assert inserted.counters.commands <= MOST_COMMANDS


@pytest.mark.parametrize(
    "kind", [k for k, can in KINDS.items() if Can.CONTACTLESS in can]
)
@pytest.mark.parametrize("person", ["qin", "xu"])
def test_a_card_without_contacts_is_authenticated_in_the_same_way(
    kind: str, person: str, request: pytest.FixtureRequest
) -> None:
    order = replace(PEOPLE[person].social_security, contactless=True)
    with opened(kind, request.getfixturevalue) as bench:
        found = authenticated(bench, CardEngine(order.image()))

    assert found.name == PEOPLE[person].holder.name


def authenticated(bench: Bench, inserted: CardEngine) -> Card:
    """Read with a PSAM beside the reader."""
    bench.insert(inserted, bench.first)
    opened_reader = bench.directory.reader(bench.first)
    connection = opened_reader.connect()
    slot = InProcessDesk()
    psam = PsamSlot(lambda: slot.reader(PSAM_NAME))
    with Errands(psam, no_hsm) as errands:
        run = partial(errands.run, card=connection)
        found = converse(connection, read_card(LAYOUTS, connection.atr), run)
    connection.close(Disposition.RESET)
    opened_reader.close()
    return found

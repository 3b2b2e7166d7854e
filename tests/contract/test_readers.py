"""What every driver must do, whoever's readers they are."""

from __future__ import annotations

import threading

import pytest

from drivers.conversation import converse
from drivers.errors import (
    CardProtocolError,
    CardRemovedError,
    MuteCardError,
    NoCardError,
    ReaderGoneError,
)
from drivers.iso7816.apdu import CommandApdu
from drivers.iso7816.atr import Atr
from drivers.ports import Disposition
from plugin.card.errors import CardError, UnsupportedCardError
from plugin.card.reading import Card, read_card
from plugin.card.social_security import SocialSecurityCard
from simulator.card.engine import CardEngine
from simulator.card.image import Behaviour
from simulator.people import PEOPLE, engine
from simulator.scenario import MuteCard, ScriptedCard
from tests.contract.readers import Bench

COMMANDS = 16
GET_CHALLENGE = CommandApdu(cla=0, ins=0x84, p1=0, p2=0, ne=8)


def read(bench: Bench, reader: str) -> Card:
    opened = bench.directory.reader(reader)
    try:
        connection = opened.connect()
        try:
            return converse(connection, read_card())
        finally:
            connection.close()
    finally:
        opened.close()


def test_a_card_is_noticed_read_and_noticed_again_when_it_leaves(bench: Bench) -> None:
    card = engine("lin.social_security")

    status = bench.insert(card, bench.first)
    found = read(bench, bench.first)
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
        found[reader] = read(bench, reader)

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


@pytest.mark.parametrize("at", [1, COMMANDS // 2, COMMANDS])
def test_a_pulled_card_is_a_pulled_card_and_the_next_one_works(
    bench: Bench, at: int
) -> None:
    bench.insert(ScriptedCard(engine("lin.social_security"), pull_at=at), bench.first)

    with pytest.raises(CardRemovedError):
        read(bench, bench.first)

    bench.wait_for_slot(bench.first, "empty")
    bench.hand.remove(bench.first)
    bench.insert(engine("he.social_security"), bench.first)
    assert read(bench, bench.first).name == PEOPLE["he"].holder.name


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
        read(bench, bench.first)


def test_an_answer_without_a_status_word_is_no_answer(bench: Bench) -> None:
    odd = ScriptedCard(engine("lin.social_security"), replies={2: b"\x90"})
    bench.insert(odd, bench.first)

    with pytest.raises((CardProtocolError, CardRemovedError)) as failed:
        read(bench, bench.first)

    assert isinstance(failed.value, CardProtocolError)


def test_a_card_that_chains_and_corrects_is_read_like_any_other(bench: Bench) -> None:
    image = PEOPLE["lin"].social_security.image()
    card = CardEngine(image, Behaviour(chains=True, corrects_length=True))
    bench.insert(card, bench.first)

    found = read(bench, bench.first)

    assert found.name == PEOPLE["lin"].holder.name
    assert card.counters.commands == COMMANDS  # the FCI is left on the card


def test_a_slow_card_is_waited_for(bench: Bench) -> None:
    slow = ScriptedCard(engine("lin.social_security"), slow_at=5, seconds=0.3)
    bench.insert(slow, bench.first)

    assert read(bench, bench.first).name == PEOPLE["lin"].holder.name


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
        read(bench, bench.first)

    assert read(bench, bench.first).name == PEOPLE["lin"].holder.name

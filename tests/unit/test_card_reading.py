"""What the reading procedures send, and what they make of the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date

import pytest
from msgspec.structs import replace as replace_value

from drivers.conversation import Errand, converse
from drivers.iso7816.apdu import CommandApdu, ResponseApdu
from drivers.iso7816.status_word import StatusWord
from drivers.ports import PinOperation
from plugin.card import files
from plugin.card.errors import (
    CardError,
    LockedCardError,
    RefusedByCardError,
    UnreadableCardError,
    UnsupportedCardError,
)
from plugin.card.files import Access, Root
from plugin.card.medical import CpuLayout, MedicalCard
from plugin.card.pin import KeypadQuestion
from plugin.card.reading import AtReader, Card, Layouts, read_at_reader, read_card
from plugin.card.social_security import Issue, SocialSecurityCard
from simulator.card.engine import CardEngine
from simulator.card.image import Behaviour
from simulator.card.psam import PsamEngine
from simulator.people import PEOPLE
from simulator.reader import InProcessDesk
from tests.terminal import Terminal
from tests.transcript import play, recorded
from tests.unit.worlds import PROFILE

LAYOUTS = Layouts(cpu=(CpuLayout(spec_versions=("1",), card_classes=("2",)),))


def answering(engine: CardEngine) -> Callable[[CommandApdu], ResponseApdu]:
    return lambda command: ResponseApdu.parse(engine.process(bytes(command)))


def read(
    person: str, overrides: Mapping[int, bytes | None] | None = None
) -> tuple[Card, int]:
    order = replace(PEOPLE[person].social_security, overrides=overrides or {})
    card = CardEngine(order.image())
    there = Terminal(card, PsamEngine())
    layouts = replace_value(LAYOUTS, authentication=PROFILE.cards.authentication)
    return play(read_card(layouts, card.atr), answering(card), there.run)


def test_the_published_specimen_is_read_as_it_is_printed() -> None:
    card, _ = play(read_card(LAYOUTS), recorded("specimen_1_00"))

    assert isinstance(card, SocialSecurityCard)
    assert card.issue.identification_code == "639900D15600000500BF7C7A48FB4966"
    assert card.issue.region == "639900"
    assert card.issue.card_number == "X00000019"
    assert card.issue.issuer_code == "410100813475"
    assert (card.issue.issue_date, card.issue.expiry_date) == (
        date(2010, 10, 1),
        date(2020, 10, 1),
    )
    assert card.social_security_number == "111111198101011110"
    assert card.name == "张三"
    assert (card.sex, card.nation_code, card.birthplace_code) == ("1", "01", "111111")
    assert card.birth_date == date(1981, 1, 1)
    assert card.warnings == ()


@pytest.mark.parametrize("person", sorted(PEOPLE))
def test_everybody_in_the_cast_is_read_as_they_were_made(person: str) -> None:
    order = PEOPLE[person].social_security

    card, _ = read(person)

    assert isinstance(card, SocialSecurityCard)
    assert card.social_security_number == order.holder.social_security_number
    assert card.name == order.holder.name
    assert card.birth_date == order.holder.born
    assert card.issue.identification_code == order.identification_code
    assert card.issue.card_number == order.card_number
    assert (card.issue.issue_date, card.issue.expiry_date) == (
        order.issued,
        order.expires,
    )
    assert card.warnings == ()


@pytest.mark.parametrize(
    ("person", "commands"),
    [
        pytest.param("lin", 16, id="2.0"),
        pytest.param("he", 16, id="1.0"),
        pytest.param("abu", 17, id="2.0 with the name extension"),
    ],
)
def test_a_full_read_sends_nothing_the_answer_does_not_need(
    person: str, commands: int
) -> None:
    _, sent = read(person)

    assert sent == commands


@pytest.mark.parametrize("root", list(Root))
@pytest.mark.parametrize("select_any", [False, True])
@pytest.mark.parametrize("by_number", [False, True])
@pytest.mark.parametrize("person", ["he", "lin", "abu", "qin", "xu"])
def test_files_are_reached_in_every_way_that_regions_know(
    person: str, root: Root, *, select_any: bool, by_number: bool
) -> None:
    order = PEOPLE[person].social_security
    engine = CardEngine(order.image())
    layouts = replace_value(
        PROFILE.cards,
        access=Access(root=root, select_any=select_any, by_number=by_number),
    )

    card, _ = play(
        read_card(layouts, engine.atr),
        answering(engine),
        Terminal(engine, PsamEngine()).run,
    )

    assert isinstance(card, SocialSecurityCard)
    assert card.name == order.holder.name
    assert card.birth_date == order.holder.born
    assert card.issue.expiry_date == order.expires
    assert card.warnings == ()


def test_a_name_that_straddles_two_records_is_joined_before_it_is_decoded() -> None:
    name = PEOPLE["abu"].holder.name
    assert len(name[:15].encode("gb18030")) == 29
    assert len(name[:16].encode("gb18030")) == 31

    card, _ = read("abu")

    assert card.name == name


def test_a_missing_name_extension_on_a_card_of_version_2_is_no_error() -> None:
    full = "试" * 15

    card, sent = read("lin", {0x09: full.encode("gb18030"), 0x4E: None})

    assert card.name == full
    assert sent == 17


def test_an_old_cpu_card_is_recognised_by_its_layout() -> None:
    engine = CardEngine(PEOPLE["lin"].medical.image())

    card, sent = play(read_card(LAYOUTS), answering(engine))

    assert isinstance(card, MedicalCard)
    assert card.kind == "cpu"
    assert card.number == PEOPLE["lin"].medical.card_number
    assert card.social_security_number == PEOPLE["lin"].holder.social_security_number
    assert sent == 12


def test_without_a_layout_nothing_is_an_old_card() -> None:
    engine = CardEngine(PEOPLE["lin"].medical.image())

    card, _ = play(read_card(), answering(engine))

    assert isinstance(card, SocialSecurityCard)


@pytest.mark.parametrize(
    ("overrides", "warning"),
    [
        pytest.param({0x0D: b"\x19\x81\x13\x45"}, "birth_date", id="13th month"),
        pytest.param({0x0D: b"\xab\xcd\xef\x01"}, "birth_date", id="letters"),
        pytest.param({0x0D: None}, "birth_date", id="no record"),
        pytest.param({0x09: b"\xff\xfe\x81".ljust(30, b"\0")}, "name", id="not GBK"),
        pytest.param({0x09: bytes(30)}, "name", id="empty name"),
        pytest.param({0x09: None}, "name", id="no name record"),
        pytest.param(
            {0x08: b"999901190102021018"}, "social_security_number", id="check digit"
        ),
        pytest.param(
            {0x08: b"99990119010202"}, "social_security_number", id="too short"
        ),
        pytest.param({0x07: b"T20000010"}, "card_number", id="card number check"),
        pytest.param({0x07: None}, "card_number", id="no card number"),
        pytest.param({0x05: b"\xff\xff\xff\xff"}, "dates", id="no date of issue"),
    ],
)
@pytest.mark.parametrize("person", [pytest.param("he", id="1.0"), "lin"])
def test_an_odd_card_is_still_read_with_a_warning(
    person: str, overrides: dict[int, bytes | None], warning: str
) -> None:
    card, _ = read(person, overrides)

    assert card.warnings == (f"card.warning.{warning}",)


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        pytest.param({0x01: bytes(16)}, UnreadableCardError, id="identification code"),
        pytest.param({0x01: None}, UnreadableCardError, id="no identification code"),
        pytest.param({0x03: b"\x00" * 4}, UnreadableCardError, id="no version"),
        pytest.param({0x03: b"x.00"}, UnreadableCardError, id="odd version"),
        pytest.param({0x03: b"4.00"}, UnsupportedCardError, id="version 4"),
        pytest.param({0x08: None}, UnreadableCardError, id="no number"),
        pytest.param({0x08: bytes(18)}, UnreadableCardError, id="empty number"),
    ],
)
def test_a_card_without_what_matters_is_refused(
    overrides: dict[int, bytes | None], error: type[CardError]
) -> None:
    with pytest.raises(error):
        read("lin", overrides)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param("6A 82", UnsupportedCardError, id="no such application"),
        pytest.param("6E 00", UnsupportedCardError, id="another kind of card"),
        pytest.param("6A 81", LockedCardError, id="locked"),
        pytest.param("6F 00", RefusedByCardError, id="no diagnosis"),
    ],
)
def test_a_refused_selection_names_its_cause(
    answer: str, error: type[CardError]
) -> None:
    with pytest.raises(error):
        play(read_card(), lambda _: ResponseApdu.parse(bytes.fromhex(answer)))


@pytest.mark.parametrize(
    ("at", "answer", "error"),
    [
        (2, "6A 82", UnsupportedCardError),
        (2, "69 82", RefusedByCardError),
        (3, "69 83", LockedCardError),
        (3, "01 10 90 00", UnreadableCardError),
        (3, "02 01 31 90 00", UnreadableCardError),
        (3, "90 00", UnreadableCardError),
        (10, "6A 82", UnsupportedCardError),
        (11, "93 03", LockedCardError),
    ],
)
def test_a_bad_answer_anywhere_names_its_cause(
    at: int, answer: str, error: type[CardError]
) -> None:
    engine = CardEngine(PEOPLE["lin"].social_security.image())
    sent = 0

    def bad_at(command: CommandApdu) -> ResponseApdu:
        nonlocal sent
        sent += 1
        raw = bytes.fromhex(answer) if sent == at else engine.process(bytes(command))
        return ResponseApdu.parse(raw)

    with pytest.raises(error):
        play(read_card(), bad_at)


def test_a_card_prints_nothing_of_its_holder() -> None:
    card, _ = read("lin")

    assert repr(card) == "<SocialSecurityCard 2.00>"


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(Behaviour(), id="the first bytes"),
        pytest.param(Behaviour(corrects_length=True), id="6Cxx"),
        pytest.param(Behaviour(warns_of_end=True), id="6282"),
        pytest.param(Behaviour(chains=True), id="61xx"),
    ],
)
def test_longer_and_shorter_records_are_read_as_far_as_they_matter(
    behaviour: Behaviour,
) -> None:
    number = PEOPLE["lin"].social_security.card_number
    odd = {
        0x06: bytes.fromhex("20361130") + b"\xff" * 12,
        0x07: number.encode() + b"123456789",
        0x09: "林试".encode("gb18030"),
    }
    order = replace(PEOPLE["lin"].social_security, overrides=odd)
    desk = InProcessDesk()
    desk.insert_card(CardEngine(order.image(), behaviour), desk.readers()[0])

    card = converse(desk.reader(desk.readers()[0]).connect(), read_card(LAYOUTS))

    assert isinstance(card, SocialSecurityCard)
    assert card.issue.card_number == number
    assert card.issue.expiry_date == date(2036, 11, 30)
    assert card.name == "林试"
    assert card.warnings == ()


def test_a_version_that_must_be_authenticated_is_known_before_anything_is_refused() -> (
    None
):
    order = replace(PEOPLE["lin"].social_security, version="3.00")
    engine = CardEngine(order.image())

    with pytest.raises(UnsupportedCardError):
        play(read_card(LAYOUTS), answering(engine))

    assert engine.counters.commands == 5


def test_what_is_not_fetched_at_once_is_gone_and_a_wrong_length_loses_nothing() -> None:
    image = PEOPLE["lin"].social_security.image()
    engine = CardEngine(image, Behaviour(chains=True, corrects_length=True))
    select = bytes.fromhex("00A404000F7378312E73682EC9E7BBE1B1A3D5CF")
    fetch, wrong = bytes.fromhex("00C000001B"), bytes.fromhex("00C0000005")

    engine.process(select)
    engine.process(bytes.fromhex("00A4020002EF05"))
    late = engine.process(fetch)
    engine.process(select)
    corrected = engine.process(wrong)
    fetched = engine.process(fetch)

    assert late.hex() == "6985"
    assert corrected.hex() == "6c1b"
    assert fetched[-2:].hex() == "9000"
    assert len(fetched) == 0x1B + 2


def test_the_simulated_card_chains_and_corrects_when_told_to() -> None:
    engine = CardEngine(
        PEOPLE["lin"].social_security.image(),
        Behaviour(chains=True, corrects_length=True),
    )
    select = bytes.fromhex("00A404000F7378312E73682EC9E7BBE1B1A3D5CF")

    assert engine.process(select).hex() == "611b"
    assert engine.process(bytes.fromhex("00C000001B"))[-2:].hex() == "9000"
    assert engine.process(bytes.fromhex("00A4020002EF05")).hex() == "9000"
    assert engine.process(bytes.fromhex("00B2030000")).hex() == "6c06"


@pytest.mark.parametrize("asks_keypad", [True, False])
def test_a_card_is_read_where_it_lies_with_what_its_keypad_can(
    *, asks_keypad: bool
) -> None:
    old = CardEngine(PEOPLE["lin"].medical.image())
    asked: list[Errand] = []

    def keypad(errand: Errand) -> frozenset[PinOperation]:
        asked.append(errand)
        return frozenset({PinOperation.VERIFY})

    found, _ = play(
        read_at_reader(LAYOUTS, old.atr, asks_keypad=asks_keypad),
        answering(old),
        keypad,
    )
    alone, _ = play(read_card(LAYOUTS, old.atr), answering(old))

    able = frozenset({PinOperation.VERIFY} if asks_keypad else ())
    assert found == AtReader(alone, able)
    assert asked == [KeypadQuestion()] * asks_keypad


def test_what_is_odd_on_an_old_card_is_told_where_it_has_any_data_of_issue() -> None:
    odd, plain = (
        MedicalCard(
            kind="cpu", number="1", social_security_number=None, name=None, issue=issue
        )
        for issue in (replace_value(_issue(), card_number="X00000018"), None)
    )

    assert odd.warnings == _issue_warnings("X00000018")
    assert plain.warnings == ()


def _issue() -> Issue:
    card, _ = read("lin")
    assert isinstance(card, SocialSecurityCard)
    return card.issue


def _issue_warnings(card_number: str) -> tuple[str, ...]:
    found = replace_value(_issue(), card_number=card_number).warnings
    assert found
    return found


@pytest.mark.parametrize("refused_at", [0, 1, 2])
def test_a_card_that_refuses_says_with_which_status(refused_at: int) -> None:
    card = CardEngine(PEOPLE["lin"].social_security.image())
    answer, sent = answering(card), iter(range(100))

    with pytest.raises(CardError) as refused:
        play(
            read_card(LAYOUTS, card.atr),
            lambda command: (
                ResponseApdu.parse(bytes.fromhex("6F01"))
                if next(sent) == refused_at
                else answer(command)
            ),
        )

    assert refused.value.sw == StatusWord(0x6F01)


BEGINNING = b"\x07\x0c" + b"T20000017"  # nine bytes of a longer card number


@pytest.mark.parametrize(
    ("record", "value"),
    [
        pytest.param(BEGINNING, b"T20000017", id="its beginning"),
        pytest.param(b"\x08" + BEGINNING[1:], None, id="of another"),
        pytest.param(BEGINNING[:-1], None, id="less than was asked for"),
        pytest.param(BEGINNING + b"0", None, id="more than was asked for"),
    ],
)
def test_of_a_longer_record_only_just_what_was_asked_for_is_taken(
    record: bytes, value: bytes | None
) -> None:
    reading = files.read_field(files.CARD_NUMBER, Access())
    answers = lambda _: ResponseApdu(data=record, sw=StatusWord(0x9000))  # noqa: E731

    if value is not None:
        assert play(reading, answers)[0] == value
        return
    with pytest.raises(UnreadableCardError):
        play(reading, answers)


def test_an_old_card_says_whose_it_is() -> None:
    order = PEOPLE["lin"].medical
    old = CardEngine(order.image())

    found, _ = play(read_card(LAYOUTS, old.atr), answering(old))

    assert isinstance(found, MedicalCard)
    assert (found.kind, found.number) == ("cpu", order.card_number)
    assert found.name == order.holder.name
    assert found.social_security_number == order.holder.social_security_number

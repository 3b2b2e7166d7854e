"""Every place where hostile bytes come in: a name, and what is done with them there.

A target takes any bytes. It raises when a promise is broken: by an error that is not the
documented one, or by an answer that does not hold. To add one, write the function, its line
in TARGETS, and its first inputs in `seeds.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from functools import partial

from msgspec.structs import replace

from drivers.conversation import MAX_COMMANDS, MAX_DATA, converse, exchange
from drivers.errors import DriverError
from drivers.iso7816 import tlv
from drivers.iso7816.apdu import ApduError, CommandApdu, ResponseApdu
from drivers.iso7816.atr import Atr, AtrError
from drivers.iso7816.exchange import follow_up
from drivers.iso7816.tlv import TlvError
from drivers.ports import CardConnection, Disposition, PinEntry
from drivers.serial_line import ccid as framing
from drivers.serial_line.attended import AttendedPort
from drivers.serial_line.chip_reader import KEYPAD_EXTRA_SECONDS, NAKS_MAX, ChipReader
from drivers.serial_line.line import Line
from drivers.serial_line.magstripe import Lrc, swiped
from drivers.serial_line.settings import PortKind, SerialPort
from drivers.serial_line.track_reader import SwipeConnection
from plugin.activation import saga
from plugin.agent import views
from plugin.agent.errands import Errands, PsamSlot
from plugin.card import decoding, identity
from plugin.card.authentication import Authentication, Means
from plugin.card.basic_info import ENCODING, FIELDS, SEPARATOR, basic_info
from plugin.card.errors import CardError
from plugin.card.identity import IdentityNumber
from plugin.card.memory import CHIPS, Chip
from plugin.card.reading import Card, Layouts, read_card
from plugin.card.social_security import Issue, SocialSecurityCard
from plugin.card.stripe import Columns, StripeLayout, read_stripe
from plugin.centre.enable2132 import Enable2132Centre
from plugin.centre.port import CentreAnswerError, CentreError
from plugin.centre.verdict import TEXT_MAX
from plugin.profile_file import load_profile
from plugin.settings import Terminal
from tests.fuzz.hostile import (
    HostileCard,
    HostileHsm,
    HostileLine,
    HostileSlot,
    Parts,
    pieces,
)
from tests.shown import hidden, hidden_in

REFERENCE = load_profile("reference").cards
TERMINAL = Terminal()
LAST_DAY = date.max.toordinal()
MOST_COMMANDS = 25 * MAX_COMMANDS
READ = CommandApdu(cla=0, ins=0xB2, p1=1, p2=0, ne=18)


def _means(*means: Means) -> Layouts:
    how = Authentication(means=means, psam=REFERENCE.authentication.psam)
    return replace(REFERENCE, authentication=how)


_STRIPE = Columns(track=2, length=16)
STRIPES = (
    REFERENCE.stripe,
    (
        StripeLayout(
            number=Columns(track=1, offset=1), name=Columns(track=1, offset=18)
        ),
    ),
    (
        StripeLayout(number=Columns(track=3, offset=100, length=4)),
        StripeLayout(number=_STRIPE, social_security_number=Columns(track=3)),
    ),
    (),
)
PORT = SerialPort(kind=PortKind.CCID, port="hostile", keypad=True)
WHOLE = framing.Message(framing.Kind.DATA_BLOCK, 7, bytes(3), b"\x90\x00")
PIN = PinEntry(
    command=CommandApdu.parse(bytes.fromhex("0020000003FFFFFF")),
    places=(0,),
    length=3,
    digits_min=6,
    digits_max=6,
    seconds=30,
)
TALK = tuple(
    CommandApdu.parse(bytes.fromhex(each))
    for each in ("00A404000F7378312E73682EC9E7BBE1B1A3D5CF", "00C0000000", "0084000008")
)
EXCHANGE_SECONDS = 5.0
MOST_EXCHANGES = 5  # of one act: off, on at three voltages, parameters
NUMBER_2132 = "999901190102021017"
CENTRE_2132 = Enable2132Centre(load_profile("v4-old-authenticates").centre)
SENT_2132 = saga.Activation(
    origin=saga.Origin(
        intent_id="", client_id="", scenario="", institution="", profile=""
    ),
    activation_id="2e7e29f4ffe94b2fd6fad741bcbcf4235c5a6f070b21d89774995f25a7d7381b",
    message=f"<D><INPUT><AAC002>{NUMBER_2132}</AAC002></INPUT></D>".encode(),
    sends=1,
)
WAYS = (_means(), _means(Means.PSAM), _means(Means.HSM), REFERENCE)


def atr(raw: bytes) -> None:
    """An answer to reset is taken apart without losing anything, or refused."""
    try:
        found = Atr.parse(raw)
    except AtrError:
        return
    assert found.raw == raw
    assert found.historical_bytes in raw
    assert found.protocols


def record(raw: bytes) -> None:
    """A record is written back as it was read, or refused."""
    with suppress(TlvError):
        assert tlv.build_record(tlv.parse_record(raw)) == raw


def ber(raw: bytes) -> None:
    """Data objects are written back as they were read, or refused; walking through them
    ends, and fails only where parsing does."""
    try:
        found = tlv.parse_ber(raw)
    except TlvError:
        return
    assert tlv.build_ber(*found) == raw
    assert len(list(tlv.walk(raw))) <= tlv.MAX_NODES


def apdu(raw: bytes) -> None:
    """Commands and answers survive being read and written, and print nothing they carry."""
    with suppress(ApduError):
        command = CommandApdu.parse(raw)
        assert CommandApdu.parse(bytes(command)) == command
        assert len(repr(command)) < 60
    with suppress(ApduError):
        response = ResponseApdu.parse(raw)
        assert bytes(response) == raw
        assert response.sw.name
        assert len(repr(response)) < 100  # the name of its status, and no data


def conversation(raw: bytes) -> None:
    """One command is answered within bounds, or given up."""
    said = Parts(raw)
    command = READ
    with suppress(ApduError):
        command = CommandApdu.parse(said.next() or b"")
    card = HostileCard(said)
    try:
        got = exchange(card, command)
    except DriverError:
        return
    finally:
        assert card.sent <= MAX_COMMANDS
    assert follow_up(command, got) is None
    assert len(got.data) <= MAX_DATA


def session(raw: bytes) -> None:
    """Whatever a card, a PSAM and an HSM say, a reading ends in a card or in an error that
    has a name. The first byte chooses how cards are authenticated, the first part is the
    answer to reset."""
    said = Parts(raw[1:])
    _shown(_read(WAYS[sum(raw[:1]) % len(WAYS)], said.next() or b"", said))


def memory(raw: bytes) -> None:
    """The same for memory cards; the first byte chooses the chip."""
    facts = tuple(CHIPS.values())[sum(raw[:1]) % len(Chip)]
    answered = bytes((0x3B, 0x04, facts.header, 0x13, 0x10, 0x91))
    _shown(_read(REFERENCE, answered, Parts(raw[1:])))


def _read(layouts: Layouts, answered: bytes, said: Parts) -> Card | None:
    card = HostileCard(said, answered)
    psam = PsamSlot(lambda: HostileSlot(card))
    try:
        with Errands(psam, HostileHsm(said).answer) as errands:
            return converse(
                card, read_card(layouts, answered), partial(errands.run, card=card)
            )
    except (CardError, CentreError, DriverError):
        return None
    finally:
        assert card.sent <= MOST_COMMANDS


def _shown(card: Card | None) -> None:
    assert hidden_in(card) == []
    if isinstance(card, SocialSecurityCard):
        _told(card, b"")
        for shown in (views.masked_holder(card), views.card_view(card)):
            assert hidden_in(shown) == []


def _told(card: SocialSecurityCard, historical_bytes: bytes) -> None:
    said = basic_info(card, historical_bytes, TERMINAL)
    fields = said.split(SEPARATOR)
    assert len(fields) == FIELDS + 1
    assert {len(fields[at]) for at in (7, 8)} <= {0, 8}
    assert said.encode(ENCODING).decode(ENCODING) == said


def text(raw: bytes) -> None:
    """What a card says becomes text that can be shown, or nothing; no bytes at all raise."""
    first, _, rest = raw.partition(b"\n")
    found = decoding.name(first, rest)
    assert found is None or 0 < len(found) <= decoding.MAX_NAME_CHARACTERS
    assert hidden(found or "") == []
    assert hidden(decoding.characters(raw) or "") == []
    assert (decoding.digits(raw) or "0").isdigit()
    decoding.day(raw)


def number(raw: bytes) -> None:
    """Any text is a number that checks or one that does not."""
    said = raw.decode("utf-8", "replace")
    longer = identity.as_eighteen(said)
    assert identity.as_eighteen(longer) == longer
    identity.card_number_checks(said)
    identity.is_identification_code(raw)
    if IdentityNumber(said).checks:
        assert IdentityNumber(said).birth_date is not None
        assert longer == said


def info(raw: bytes) -> None:
    """The string of `iReadCardBas` has its eleven fields whatever the card says."""
    said = Parts(raw[6:])
    texts = [(said.next() or b"").decode("gb18030", "ignore") for _ in range(6)]
    days = [int.from_bytes(raw[at : at + 3], "big") % LAST_DAY + 1 for at in (0, 3)]
    issue = Issue(
        identification_code=texts[0],
        card_class=None,
        spec_version=texts[1],
        issuer_code=None,
        issue_date=date.fromordinal(days[0]),
        expiry_date=date.fromordinal(days[1]),
        card_number=texts[2],
    )
    card = SocialSecurityCard(
        issue=issue,
        social_security_number=texts[3],
        name=texts[4],
        sex=None,
        nation_code=None,
        birthplace_code=None,
        birth_date=None,
    )
    _told(card, texts[5].encode("gb18030"))


def ccid(raw: bytes) -> None:
    """Whatever bytes come in whatever pieces, every message heard was sent; what is held
    is bounded; and once a beginning has been given up, the next frame is heard."""
    ear = framing.Ear()
    came = b""
    for piece in pieces(raw):
        came += piece or b""
        _sent(ear.give_up() if piece == b"" else ear.hear(piece or b""), came)
        assert len(ear._held) < framing.BUFFER_MAX
    while ear.in_the_middle:
        before = len(ear._held)
        _sent(ear.give_up(), came)
        assert len(ear._held) < before
    assert ear.hear(framing.frame(WHOLE)) == [WHOLE]


def _sent(heard: list[framing.Heard], came: bytes) -> None:
    for each in heard:
        if isinstance(each, framing.Message):
            assert len(each.data) <= framing.DATA_MAX
            assert len(repr(each)) < 60
            assert _is_in(framing.frame(each), came)


def _is_in(framed: bytes, came: bytes) -> bool:
    """As it is, or with a movement in the middle of it."""
    return framed in came or any(
        framed[:at] + bytes((framing.MOVEMENT, moved)) + framed[at:] in came
        for at in range(1, len(framed))
        for moved in (framing.REMOVED, framing.INSERTED)
    )


def line(raw: bytes) -> None:
    """Whatever a reader on a line says, every act ends in time, in an answer or an error
    that has a name, and no frame is sent more often than a NAK allows."""
    far = HostileLine(pieces(raw))
    talk(far, far.clock)
    assert all(times <= 1 + NAKS_MAX for times in Counter(far.sent).values())


def talk(far: Line, clock: Callable[[], float]) -> None:
    """A card is noticed, spoken to, asked for a PIN, reset, and spoken to again."""
    port = AttendedPort(PORT, lambda: None)
    device = ChipReader(port, clock)
    port.device = device
    cards: list[CardConnection] = []

    def act(done: Callable[[], object], more: float = 0.0) -> None:
        began = clock()
        with suppress(DriverError):
            done()
        assert clock() - began <= MOST_EXCHANGES * EXCHANGE_SECONDS + more
        status = device.status()
        assert (status.slot == "present") == bool(status.atr)

    with suppress(DriverError), port.begun(far):
        for _ in range(2):
            act(device.listen)
            act(lambda: cards.append(device.reader().connect()))
            for card in cards:
                for command in TALK:
                    act(lambda c=card, said=command: c.transmit(said))  # type: ignore[misc]
                act(lambda c=card: c.enter_pin(PIN), PIN.seconds + KEYPAD_EXTRA_SECONDS)  # type: ignore[misc]
                act(lambda c=card: c.close(Disposition.RESET))  # type: ignore[misc]


def stripe(raw: bytes) -> None:
    """What passes a track reader is a few tracks of a few characters, or nothing."""
    for lrc in Lrc:
        found = swiped(raw, lrc)
        assert found.whole == bool(found.tracks)
        assert found.tracks.keys() <= {1, 2, 3}
        for text in found.tracks.values():
            assert text.encode("ascii") in raw
            assert len(text) <= 105
            assert "?" not in text
        assert len(repr(found)) < 30


def track_card(raw: bytes) -> None:
    """A swipe is an old card that can be shown, or an error that has a name. The first
    byte chooses the layouts, and whether the tracks are the swipe's or anything."""
    layouts = STRIPES[sum(raw[:1]) % len(STRIPES)]
    card: SwipeConnection | HostileCard = HostileCard(Parts(raw[1:]))
    if sum(raw[:1]) < len(STRIPES):
        card = SwipeConnection(swiped(raw[1:]))
    try:
        found = converse(card, read_stripe(layouts))
    except (CardError, DriverError):
        return
    assert found.number
    assert hidden_in(found) == []
    assert {*str(found.number)}.isdisjoint("=^")


def answer_2132(raw: bytes) -> None:
    """An answer in XML is what it says it is, or none; it shows nobody."""
    try:
        found = CENTRE_2132.understood(raw, SENT_2132)
    except CentreAnswerError:
        return
    assert SENT_2132.activation_id == found.activation_id
    assert b"RETURNNUM" in raw
    assert b"REFMSGID" in raw
    if isinstance(found, saga.Refused):
        assert len(found.refusal.text) <= TEXT_MAX
        assert NUMBER_2132 not in found.refusal.text


Target = Callable[[bytes], None]
TARGETS: dict[str, Target] = {
    "atr": atr,
    "record": record,
    "ber": ber,
    "apdu": apdu,
    "conversation": conversation,
    "session": session,
    "memory": memory,
    "text": text,
    "number": number,
    "info": info,
    "ccid": ccid,
    "line": line,
    "stripe": stripe,
    "track_card": track_card,
    "answer_2132": answer_2132,
}

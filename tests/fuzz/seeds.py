"""First inputs: what the cast's cards and the recorded sessions really say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

from drivers.conversation import converse
from drivers.iso7816.apdu import SELECT, CommandApdu, ResponseApdu
from drivers.ports import CardConnection
from drivers.serial_line.line import SerialLine
from drivers.trace import TracedConnection
from plugin.agent.errands import Errands, PsamSlot, no_hsm
from plugin.card.authentication import EXTERNAL_AUTHENTICATE, INTERNAL_AUTHENTICATE
from plugin.card.basic_info import ENCODING
from plugin.card.reading import read_card
from simulator.card.memory_card import MemoryCard
from simulator.card.stripe import StripeOrder
from simulator.keypad import Keypad
from simulator.people import CARDS, CAST, ORDERS, Order, card
from simulator.reader import PSAM_NAME, READER_NAMES, InProcessDesk
from simulator.serial_peer import SerialDesk
from tests.exchanges import FOLDER as CENTRE
from tests.exchanges import recorded as with_a_centre
from tests.fuzz.hostile import WOKEN, HostileSlot, parts
from tests.fuzz.targets import (
    CENTRE_2132,
    NUMBER_2132,
    REFERENCE,
    SENT_2132,
    STRIPES,
    WAYS,
    talk,
)
from tests.transcript import FOLDER

WITHOUT, BY_PSAM, BY_HSM, BY_BOTH = (bytes((way,)) for way in range(len(WAYS)))
MEMORY = {"sle4442": b"\x00", "sle4428": b"\x01"}
CHAINED = ("00B2010000", "01026103", "0304056101", "069000")
CORRECTED = ("80CA9F1700", "6C04", "010203049000")


def sessions() -> Iterator[bytes]:
    """Every card with a processor, as it is read without and with a PSAM, and those that
    must be authenticated with an HSM as well; then the recorded sessions."""
    for name in CARDS:
        atr, heard = _heard(name)
        by_card = [answer for psam, _, answer in heard if not psam]
        if len(by_card) == len(heard):
            yield WITHOUT + parts(atr, *by_card)
        else:
            yield BY_PSAM + parts(atr, *(answer for _, _, answer in heard))
            yield BY_HSM + parts(atr, *_with_hsm(heard))
    for recorded in FOLDER.glob("*.txt"):
        lines = recorded.read_text(encoding="utf-8").splitlines()
        answers = [line.split("#")[0].partition("->")[2] for line in lines]
        yield WITHOUT + parts(b"", *(bytes.fromhex(a) for a in answers if a))


Heard = list[tuple[bool, CommandApdu, bytes]]


def _heard(name: str) -> tuple[bytes, Heard]:
    """The answer to reset of a card of the cast, and all answers of its reading: whether
    the PSAM gave it, to which command, and its bytes."""
    desk = InProcessDesk()
    desk.insert(name, READER_NAMES[0])
    heard: Heard = []

    def listening(reader: str) -> CardConnection:
        def note(command: CommandApdu, got: ResponseApdu | None) -> None:
            if got is not None:
                heard.append((reader == PSAM_NAME, command, bytes(got)))

        return TracedConnection(desk.reader(reader).connect(), note)

    connection = listening(READER_NAMES[0])
    psam = PsamSlot(lambda: HostileSlot(listening(PSAM_NAME)))
    with Errands(psam, no_hsm) as errands:
        converse(
            connection,
            read_card(REFERENCE, connection.atr),
            partial(errands.run, card=connection),
        )
    return connection.atr, heard


def _with_hsm(heard: Heard) -> Iterator[bytes]:
    """The same reading, where the HSM says what the PSAM said."""
    proof = b""
    for by_psam, command, answer in heard:
        if by_psam:
            continue
        if command.ins == INTERNAL_AUTHENTICATE:
            proof = answer[:-2]
        if command.ins == EXTERNAL_AUTHENTICATE:
            yield from (proof, b"", proof, b"")
        yield answer


def memories() -> Iterator[bytes]:
    """The old cards that are memory only."""
    for person in CAST:
        old = person.without_processor
        if isinstance(old, MemoryCard):
            chip = old.chip.name.lower()
            _, heard = _heard(f"{person.key}.medical")
            yield MEMORY[chip] + parts(*(answer for _, _, answer in heard))


def atrs() -> Iterator[bytes]:
    """Of every card."""
    return (card(name).atr for name in ORDERS)


def has_chip(order: Order) -> bool:
    """Whether there is anything to send commands to."""
    return not isinstance(order, StripeOrder)


def exchanges() -> Iterator[tuple[CommandApdu, bytes]]:
    """Every command of every reading with a chip, and its answer."""
    for name in (each for each, order in ORDERS.items() if has_chip(order)):
        for _, command, answer in _heard(name)[1]:
            yield command, answer


def records() -> Iterator[bytes]:
    """Every record."""
    return (answer[:-2] for command, answer in exchanges() if command.ins != SELECT)


def fcis() -> Iterator[bytes]:
    """What selections are answered with."""
    return (answer[:-2] for command, answer in exchanges() if command.ins == SELECT)


def apdus() -> Iterator[bytes]:
    """Commands and answers alike."""
    for command, answer in exchanges():
        yield bytes(command)
        yield answer


def conversations() -> Iterator[bytes]:
    """Answers in pieces, and with another length."""
    for pieces in (CHAINED, CORRECTED):
        yield parts(*(bytes.fromhex(piece) for piece in pieces))


def texts() -> Iterator[bytes]:
    """Names, whole and in two records."""
    for person in CAST:
        raw = person.holder.name.encode(ENCODING)
        yield raw
        yield raw[:10] + b"\n" + raw[10:]


def numbers() -> Iterator[bytes]:
    """The numbers of people and cards, the former also as they were before 2000."""
    for person in CAST:
        number = person.holder.social_security_number
        yield number.encode()
        yield (number[:6] + number[8:17]).encode()
        yield person.social_security.card_number.encode()
        yield bytes.fromhex(person.social_security.identification_code)


def infos() -> Iterator[bytes]:
    """What the string is made of."""
    for person in CAST:
        new = person.social_security
        said = (
            new.identification_code,
            new.version,
            new.card_number,
            person.holder.social_security_number,
            person.holder.name,
            "12345678",
        )
        days = b"".join(
            each.toordinal().to_bytes(3, "big") for each in (new.issued, new.expires)
        )
        yield days + parts(*(each.encode(ENCODING) for each in said))


class _Recorded:
    """A line, and what came over it."""

    def __init__(self, line: SerialLine) -> None:
        self._line = line
        self.came: list[bytes | None] = []

    def write(self, data: bytes) -> None:
        self._line.write(data)

    def read(self, seconds: float) -> bytes | None:
        self.came.append(self._line.read(seconds))
        return self.came[-1]

    def wake(self) -> None:
        self._line.wake()

    def close(self) -> None:
        self._line.close()


def lines() -> Iterator[bytes]:
    """What both serial readers really say, with a card and without."""
    keypads = Keypad(), Keypad()
    for keypad in keypads:
        keypad.type("123456", "123456")
        keypad.cancel()
    desk = SerialDesk(keypads=keypads)
    for name, port in zip(desk.peers, desk.ports, strict=False):
        for inserted in (None, "lin.social_security"):
            if inserted is not None:
                desk.insert(inserted, name)
            recorded = _Recorded(SerialLine(port.port, *port.speed))
            talk(recorded, time.monotonic)
            yield b"".join(_pieces(recorded.came))
    desk.close()


def _pieces(came: list[bytes | None]) -> Iterator[bytes]:
    for piece in came:
        if not piece:
            yield bytes((WOKEN if piece is None else 0,))
            continue
        for at in range(0, len(piece), WOKEN - 1):
            part = piece[at : at + WOKEN - 1]
            yield bytes((len(part),)) + part


def swipes() -> Iterator[bytes]:
    """What a track reader sends of every stripe of the cast."""
    for person in CAST:
        if isinstance(person.without_processor, StripeOrder):
            yield person.without_processor.engine().sent


def swiped_cards() -> Iterator[bytes]:
    """The same under every layout, and the tracks as answers."""
    for layouts in range(len(STRIPES)):
        for sent in swipes():
            yield bytes((layouts,)) + sent
            yield bytes((layouts + len(STRIPES),)) + parts(sent[1:17] + b"\x90\x00")


def answers_2132() -> Iterator[bytes]:
    """The recorded ones, and one for every turn an answer can take."""
    for path in sorted(CENTRE.glob("enable2132-*.txt")):
        yield from (e.received for e in with_a_centre(path.stem) if e.received)
    ours = CENTRE_2132.message_name(SENT_2132.activation_id or "")
    for result, words in (
        *(("0", ""), ("1", ""), ("-1", f"已启用 {NUMBER_2132}")),
        *(("-1", NUMBER_2132 * 40), ("-1", "<![CDATA[x]]>"), ("-1", "&#60;&amp;")),
    ):
        yield (
            f"<D><RETURNNUM>{result}</RETURNNUM><ERRORMSG>{words}</ERRORMSG>"
            f"<REFMSGID>{ours}</REFMSGID></D>"
        ).encode("gb18030")
    yield b'<?xml version="1.0"?><!DOCTYPE D [<!ENTITY e "0">]><D>&e;</D>'


SEEDS: dict[str, Callable[[], Iterator[bytes]]] = {
    "atr": atrs,
    "record": records,
    "ber": fcis,
    "apdu": apdus,
    "conversation": conversations,
    "session": sessions,
    "memory": memories,
    "text": texts,
    "number": numbers,
    "info": infos,
    "ccid": lines,
    "line": lines,
    "stripe": swipes,
    "track_card": swiped_cards,
    "answer_2132": answers_2132,
}

"""First inputs: what the cast's cards and the recorded sessions really say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from drivers.conversation import converse
from drivers.iso7816.apdu import SELECT, CommandApdu, ResponseApdu
from drivers.ports import CardConnection
from drivers.trace import TracedConnection
from plugin.agent.errands import Errands, PsamSlot, no_hsm
from plugin.card.authentication import EXTERNAL_AUTHENTICATE, INTERNAL_AUTHENTICATE
from plugin.card.basic_info import ENCODING
from plugin.card.reading import read_card
from simulator.card.memory_card import MemoryCard
from simulator.people import CARDS, CAST, ORDERS, card
from simulator.reader import PSAM_NAME, READER_NAMES, InProcessDesk
from tests.fuzz.hostile import HostileSlot, parts
from tests.fuzz.targets import REFERENCE, WAYS
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


def exchanges() -> Iterator[tuple[CommandApdu, bytes]]:
    """Every command of every reading, and its answer."""
    for name in ORDERS:
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
}

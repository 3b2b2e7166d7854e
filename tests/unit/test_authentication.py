"""Cards of 3.0: genuine or not, read by whom, and never more tries than one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers import algorithms

from drivers.conversation import Errand
from drivers.iso7816.apdu import CommandApdu, ResponseApdu
from drivers.iso7816.atr import Atr
from drivers.iso7816.status_word import StatusWord
from plugin.card import authentication as auth
from plugin.card.authentication import (
    Authentication,
    HsmAnswer,
    HsmQuestion,
    KeyIds,
    Means,
    Padding,
    PsamCommand,
    PsamLayout,
)
from plugin.card.errors import (
    AuthenticationFailedError,
    CardError,
    NotGenuineError,
    PsamKeyLevelError,
    PsamMissingError,
    PsamRefusedError,
    PsamWithoutAlgorithmError,
    PsamWithoutKeyError,
    RefusedByCardError,
    UnsupportedCardError,
    WrongHsmAnswerError,
)
from plugin.card.reading import Card, Layouts, read_card
from simulator.card import cryptography
from simulator.card.cryptography import Algorithm
from simulator.card.engine import CardEngine
from simulator.card.psam import DF01, PsamEngine, PsamImage
from simulator.card.resident_card import ResidentCard
from simulator.people import PEOPLE
from tests.terminal import Terminal
from tests.transcript import play

CITY, PROVINCE = bytes.fromhex("9999010000000000"), bytes.fromhex("9900000000000000")
KEYS = {
    auth.Algorithm.DES3: KeyIds(internal=0x01, external=0x0A),
    auth.Algorithm.SM4: KeyIds(internal=0x41, external=0x4A),
}
LEVELS = {1: (), 2: (CITY,), 3: (CITY, PROVINCE)}


def layout(levels: int = 1) -> PsamLayout:
    return PsamLayout(
        application=DF01,
        diversify=bytes.fromhex("801A00"),
        factors=LEVELS[levels],
        keys=KEYS,
        padding=Padding.COMPLEMENT,
    )


def by(*means: Means, levels: int = 1) -> Authentication:
    return Authentication(means=means, psam=layout(levels))


def card_of(
    algorithm: Algorithm = Algorithm.DES3, levels: int = 1, person: str = "lin"
) -> ResidentCard:
    return replace(
        PEOPLE[person].social_security,
        version="3.00",
        algorithm=algorithm,
        factors=tuple(reversed(LEVELS[levels])),
    )


def hsm_of(order: ResidentCard) -> Callable[[HsmQuestion], HsmAnswer]:
    """The HSM of the centre that issued this card."""

    def answer(question: HsmQuestion) -> HsmAnswer:
        levels = (*order.factors, question.historical_bytes[-8:])
        algorithm = {each.name.lower(): each for each in Algorithm}[
            question.algorithm.name.lower()
        ]

        def made(master: bytes, process: bytes, original: bytes) -> bytes:
            key = cryptography.derived(master, levels, algorithm)
            return cryptography.cryptogram(key, process, original, algorithm)

        return HsmAnswer(
            internal=made(
                cryptography.IRK_MASTER,
                question.internal_process,
                question.internal_original,
            ),
            internal_original=question.internal_original,
            external=made(
                cryptography.READ_MASTER,
                question.external_process,
                question.external_original,
            ),
            external_original=question.external_original,
        )

    return answer


def terminal(
    order: ResidentCard | None = None,
    psam: PsamImage | None = None,
    *,
    hsm: bool = False,
    seed: int = 0,
) -> Terminal:
    order = order or card_of()
    return Terminal(
        CardEngine(order.image(), seed=seed),
        PsamEngine(psam) if psam is not None else None,
        hsm_of(order) if hsm else None,
    )


def test_the_simulated_algorithms_are_those_of_the_standards() -> None:
    sm4 = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")  # GB/T 32907-2016, A.1
    des3 = bytes.fromhex("0123456789ABCDEF23456789ABCDEF01")

    encrypted = cryptography.encrypted(sm4, sm4, Algorithm.SM4)
    twice = cryptography.encrypted(des3, bytes(8), Algorithm.DES3)
    single = cryptography.encrypted(
        bytes.fromhex("133457799BBCDFF1"), sm4[:8], Algorithm.DES3
    )

    assert algorithms.SM4.block_size == 128
    assert encrypted.hex() == "681edf34d206965e86b3e94f536e4246"
    assert single.hex() == "85e813540f0ab405"  # the worked example of FIPS 46
    assert len(twice) == 8


@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_card_is_read_by_psam_at_every_level(
    algorithm: Algorithm, levels: int
) -> None:
    there = terminal(card_of(algorithm, levels), PsamImage(levels=levels))

    card = there.read(by(Means.PSAM, levels=levels))

    assert card.name == PEOPLE["lin"].holder.name
    assert card.issue.spec_version == "3.00"
    assert card.warnings == ()
    assert there.sent == 24


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_card_is_read_by_hsm(algorithm: Algorithm) -> None:
    there = terminal(card_of(algorithm), hsm=True)

    card = there.read(by(Means.HSM))

    assert card.name == PEOPLE["lin"].holder.name
    assert there.sent == 24


def test_a_long_name_takes_one_command_more() -> None:
    there = terminal(card_of(person="abu"), PsamImage())

    assert there.read(by(Means.PSAM)).name == PEOPLE["abu"].holder.name
    assert there.sent == 25


def test_every_authentication_has_randoms_of_its_own() -> None:
    there = terminal(hsm=True)
    asked: list[HsmQuestion] = []
    honest = there.hsm
    assert honest is not None

    def listening(question: HsmQuestion) -> HsmAnswer:
        asked.append(question)
        return honest(question)

    there.hsm = listening

    there.read(by(Means.HSM))
    there.card.reset()
    there.read(by(Means.HSM))

    randoms = [
        value
        for question in asked
        for value in (
            question.internal_process,
            question.internal_original,
            question.external_process,
            question.external_original,
        )
    ]
    assert len(set(randoms)) == 8


@pytest.mark.parametrize(
    ("psam", "error"),
    [
        pytest.param(None, PsamMissingError, id="no PSAM"),
        pytest.param(
            PsamImage(algorithms=(Algorithm.SM4,)),
            PsamWithoutAlgorithmError,
            id="no algorithm",
        ),
        pytest.param(
            PsamImage(masters={0x0A: bytes(16)}), PsamWithoutKeyError, id="no IRK"
        ),
        pytest.param(
            PsamImage(masters={0x01: cryptography.IRK_MASTER}),
            PsamWithoutKeyError,
            id="no RKSSSE",
        ),
        pytest.param(PsamImage(levels=3), PsamKeyLevelError, id="another level"),
    ],
)
def test_what_a_psam_lacks_is_named_and_the_hsm_may_do_it(
    psam: PsamImage | None, error: type[CardError]
) -> None:
    alone, both = terminal(psam=psam), terminal(psam=psam, hsm=True)

    with pytest.raises(error):
        alone.read(by(Means.PSAM))
    card = both.read(by(Means.PSAM, Means.HSM))

    assert card.name == PEOPLE["lin"].holder.name
    assert both.card.counters.authentications == 1


def test_a_psam_that_refuses_is_final() -> None:
    there = terminal(psam=PsamImage(), hsm=True)
    how = by(Means.PSAM, Means.HSM)
    assert how.psam is not None
    odd = Authentication(
        means=how.means,
        psam=PsamLayout(
            application=bytes(6),
            diversify=how.psam.diversify,
            factors=(),
            keys=KEYS,
            padding=Padding.ISO,
        ),
    )

    with pytest.raises(PsamRefusedError):
        there.read(odd)

    assert there.card.counters.authentications == 0


WRONG: Mapping[str, tuple[Callable[[HsmAnswer], HsmAnswer], type[CardError]]] = {
    "another card's original": (
        lambda good: HsmAnswer(
            internal=good.internal,
            internal_original=bytes(8),
            external=good.external,
            external_original=good.external_original,
        ),
        WrongHsmAnswerError,
    ),
    "another card's external": (
        lambda good: HsmAnswer(
            internal=good.internal,
            internal_original=good.internal_original,
            external=good.external,
            external_original=bytes(8),
        ),
        WrongHsmAnswerError,
    ),
    "another internal cryptogram": (
        lambda good: HsmAnswer(
            internal=bytes(8),
            internal_original=good.internal_original,
            external=good.external,
            external_original=good.external_original,
        ),
        NotGenuineError,
    ),
    "a wrong read key": (
        lambda good: HsmAnswer(
            internal=good.internal,
            internal_original=good.internal_original,
            external=bytes(8),
            external_original=good.external_original,
        ),
        AuthenticationFailedError,
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_of_the_hsm_is_named_and_costs_one_try_at_most(
    name: str,
) -> None:
    changed, error = WRONG[name]
    there = terminal(hsm=True)
    honest = there.hsm
    assert honest is not None
    there.hsm = lambda question: changed(honest(question))

    with pytest.raises(error):
        there.read(by(Means.HSM))

    tries = there.card.counters.authentications
    assert tries == (1 if error is AuthenticationFailedError else 0)


def test_a_card_with_other_keys_is_not_genuine() -> None:
    forged = card_of(levels=2)  # its keys come from other masters than the PSAM's
    there = terminal(forged, PsamImage())

    with pytest.raises(NotGenuineError):
        there.read(by(Means.PSAM))

    assert there.card.counters.authentications == 0


def test_without_authentication_the_card_gives_nothing_of_its_holder() -> None:
    card = CardEngine(card_of().image())

    for command in ("00A404000F7378312E73682EC9E7BBE1B1A3D5CF", "00A4020002EF06"):
        card.process(bytes.fromhex(command))
    holder = [card.process(bytes((0, 0xB2, tag, 0, 0))) for tag in range(8, 14)]

    assert {answer.hex() for answer in holder} == {"6982"}


def test_where_the_region_says_nothing_such_cards_cannot_be_used() -> None:
    with pytest.raises(UnsupportedCardError):
        terminal(psam=PsamImage()).read(Authentication())


@pytest.mark.parametrize(
    ("fci", "algorithm"),
    [
        ("", auth.Algorithm.DES3),
        ("6F09A5079F0C0386", auth.Algorithm.DES3),
        ("6F09A5079F0C03860101", auth.Algorithm.DES3),
        ("6F09A5079F0C0486010207", auth.Algorithm.SSF33),
        ("6F08A5069F0C03860102", auth.Algorithm.SSF33),
        ("6F08A5069F0C03860103", auth.Algorithm.SM4),
    ],
)
def test_the_algorithm_stands_in_the_fci(fci: str, algorithm: auth.Algorithm) -> None:
    assert auth.algorithm_of(bytes.fromhex(fci)) is algorithm


def test_an_algorithm_nobody_knows_is_said() -> None:
    with pytest.raises(UnsupportedCardError):
        auth.algorithm_of(bytes.fromhex("6F08A5069F0C03860109"))


@pytest.mark.parametrize(
    ("padding", "block"),
    [
        (Padding.ZEROS, "01020304050607080000000000000000"),
        (Padding.ISO, "01020304050607088000000000000000"),
        (Padding.COMPLEMENT, "0102030405060708fefdfcfbfaf9f8f7"),
    ],
)
def test_eight_bytes_become_a_block_as_the_region_says(
    padding: Padding, block: str
) -> None:
    assert auth.padded(bytes(range(1, 9)), 16, padding).hex() == block
    assert auth.padded(bytes(range(1, 9)), 8, padding) == bytes(range(1, 9))


def asked_by(
    there: Terminal, how: Authentication
) -> tuple[Card, list[CommandApdu], list[Errand]]:
    """A card that was read, every command it had, and every errand of the reading."""
    commands: list[CommandApdu] = []
    errands: list[Errand] = []

    def to_card(command: CommandApdu) -> ResponseApdu:
        commands.append(command)
        return there.to_card(command)

    def run(errand: Errand) -> object:
        errands.append(errand)
        return there.run(errand)

    card, _ = play(read_card(Layouts(authentication=how), there.card.atr), to_card, run)
    return card, commands, errands


def test_card_and_psam_are_asked_as_the_standard_writes_it() -> None:
    _, commands, errands = asked_by(terminal(psam=PsamImage()), by(Means.PSAM))

    headers = [bytes(each)[:4].hex(" ").upper() for each in commands]
    first = headers.index("00 84 00 00")
    asked = [each.command for each in errands if isinstance(each, PsamCommand)]
    assert headers[first : first + 6] == [
        *("00 84 00 00", "00 84 00 00", "00 88 00 00"),
        *("00 84 00 00", "00 84 00 00", "00 82 00 " + f"{auth.READ_KEY:02X}"),
    ]
    assert headers[first - 1] == "00 A4 04 00"
    assert [each.ne for each in commands[first - 1 : first + 3]] == [256, 8, 8, 8]
    assert [bytes(each)[:4].hex(" ").upper() for each in asked] == [
        "00 A4 04 00",
        "80 1A 00 01",
        f"80 {auth.COMPUTE:02X} 00 00",
        "80 1A 00 0A",
        f"80 {auth.COMPUTE:02X} 00 00",
    ]


def test_an_hsm_is_told_of_which_card_and_where() -> None:
    there = terminal(hsm=True)

    card, _, [question] = asked_by(there, by(Means.HSM))

    assert card.issue is not None
    assert isinstance(question, HsmQuestion)
    assert question.region == card.issue.region
    assert question.identification_code == card.issue.identification_code
    assert question.historical_bytes == Atr.parse(there.card.atr).historical_bytes
    assert question.algorithm is auth.Algorithm.DES3


@pytest.mark.parametrize(
    ("ins", "says", "error"),
    [
        (0x84, 0x6F01, RefusedByCardError),
        (0x88, 0x6F01, RefusedByCardError),
        (0x82, 0x6F01, RefusedByCardError),
        (0x82, 0x6983, AuthenticationFailedError),
        (0x82, 0x63C2, AuthenticationFailedError),
    ],
)
def test_a_card_that_refuses_to_authenticate_says_with_which_status(
    ins: int, says: int, error: type[CardError]
) -> None:
    there = terminal(psam=PsamImage())

    def to_card(command: CommandApdu) -> ResponseApdu:
        if command.ins == ins:
            return ResponseApdu.parse(says.to_bytes(2, "big"))
        return there.to_card(command)

    with pytest.raises(error) as refused:
        play(
            read_card(Layouts(authentication=by(Means.PSAM)), there.card.atr),
            to_card,
            there.run,
        )

    assert refused.value.sw == StatusWord(says)

"""Is a card of specification 3.0 genuine, and may we read it (domain facts, 3.2 and 5.4)?

The card proves itself (INTERNAL AUTHENTICATE, key IRK) and is shown that we may read
(EXTERNAL AUTHENTICATE, key RKSSSE). Both cryptograms are made elsewhere: by a PSAM in a
slot of its own, or by the centre's HSM. No key is ever here.

| PSAM says                     | terminal table | means                     |
|-------------------------------|----------------|---------------------------|
| there is none                 | -2201          | the HSM may               |
| algorithm unknown             | -2202          | the HSM may               |
| key missing (6A88, 9403)      | -2203, -27272  | the HSM may               |
| key level insufficient (6985) | -24            | the HSM may               |
| anything else                 | final          | it cannot be used here    |
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from drivers.conversation import Errand, Procedure
from drivers.iso7816.apdu import GET_CHALLENGE, CommandApdu, ResponseApdu
from drivers.iso7816.atr import Atr
from drivers.iso7816.status_word import (
    AUTHENTICATION_BLOCKED,
    CONDITIONS_NOT_SATISFIED,
    FUNCTION_LOCKED,
    KEY_INDEX_UNSUPPORTED,
    REFERENCE_NOT_FOUND,
)
from drivers.iso7816.tlv import TlvError, walk
from plugin.card import files
from plugin.card.errors import (
    AuthenticationFailedError,
    CardError,
    NotGenuineError,
    PsamKeyLevelError,
    PsamMissingError,
    PsamRefusedError,
    PsamWithoutAlgorithmError,
    PsamWithoutKeyError,
    UnsupportedCardError,
    WrongHsmAnswerError,
    refusal,
)
from plugin.card.files import Access

INTERNAL_AUTHENTICATE = 0x88
EXTERNAL_AUTHENTICATE = 0x82
COMPUTE = 0xFA
READ_KEY = 0x0A  # RKSSSE
FACTOR_LENGTH = 8
BLOCK_LENGTHS = {"3des": 8, "ssf33": 8, "sm4": 16}
_ALGORITHM_TAG = 0x9F0C


class Algorithm(StrEnum):
    """What the card computes with."""

    DES3 = "3des"
    SSF33 = "ssf33"
    SM4 = "sm4"


_CODES = {b"\x01": Algorithm.DES3, b"\x02": Algorithm.SSF33, b"\x03": Algorithm.SM4}


class Means(StrEnum):
    """Who makes the cryptograms."""

    PSAM = "psam"
    HSM = "hsm"


class Padding(StrEnum):
    """How eight bytes become a block of sixteen for SM4. The rule of the specification is
    not published: a region names the one that its cards keep to."""

    ZEROS = "zeros"
    ISO = "iso"  # 80 00 ... (ISO 9797-1, method 2)
    COMPLEMENT = "complement"  # followed by its own complement


class KeyIds(Struct, frozen=True, kw_only=True):
    """Under which identifiers a PSAM keeps the masters of IRK and RKSSSE."""

    internal: int
    external: int


class PsamLayout(Struct, frozen=True, kw_only=True):
    """How the PSAMs of a region are spoken to.

    `diversify` are CLA, INS and P1 of the command that derives a key; P2 is the key's
    identifier. `factors` (8 bytes each) are those of the city and of the province, behind
    the card's own: none, one or both for one, two or three levels.
    """

    application: bytes
    diversify: bytes
    factors: tuple[bytes, ...]
    keys: Mapping[Algorithm, KeyIds]
    padding: Padding


class Authentication(Struct, frozen=True, kw_only=True):
    """How a region authenticates cards of 3.0: the means in their order. Without any, such
    cards cannot be used."""

    means: tuple[Means, ...] = ()
    psam: PsamLayout | None = None


class PsamCommand(Errand, frozen=True):
    """Send this to the PSAM; its response comes back. Raises PsamMissingError."""

    command: CommandApdu


class HsmQuestion(Errand, frozen=True, kw_only=True):
    """Step 1 of the exchange with the centre's HSM: everything the terminal knows. All
    randoms are 8 bytes; `historical_bytes` are those of the answer to reset."""

    region: str
    historical_bytes: bytes
    algorithm: Algorithm
    identification_code: str
    internal_process: bytes
    internal_original: bytes
    external_process: bytes
    external_original: bytes


class HsmAnswer(Struct, frozen=True, kw_only=True):
    """Step 2: both cryptograms, each with the original it was made for (8 bytes each)."""

    internal: bytes
    internal_original: bytes
    external: bytes
    external_original: bytes


class Randoms(Struct, frozen=True):
    """Two challenges of the card: the first is the original, the second the process
    factor."""

    original: bytes
    process: bytes


def algorithm_of(fci: bytes) -> Algorithm:
    """What an FCI says of the algorithm; 3DES where it says nothing. Raises
    UnsupportedCardError for one that nobody knows."""
    try:
        found = {each.tag: each.value for each in walk(fci)}
    except TlvError:
        return Algorithm.DES3
    value = found.get(_ALGORITHM_TAG, b"\x86\x01\x01")
    algorithm = _CODES.get(value[2:3])
    if algorithm is None:
        raise UnsupportedCardError("an algorithm nobody knows")
    return algorithm


def authenticate(
    identification_code: str,
    region: str,
    atr: bytes,
    how: Authentication,
    access: Access,
) -> Procedure[None]:
    """Authenticate the card both ways under the re-selected SSSE: 7 commands.

    Raises NotGenuineError, AuthenticationFailedError, WrongHsmAnswerError, a PsamError
    when there is no other means, and what the errands raise.
    """
    algorithm = algorithm_of((yield from files.select_root(access, fci=True)) or b"")
    for means, another in zip(how.means, (*how.means[1:], None), strict=True):
        try:
            if means is Means.PSAM:
                yield from _by_psam(algorithm, atr, how.psam)
            else:
                yield from _by_hsm(algorithm, atr, identification_code, region)
        except PsamRefusedError as unusable:
            if not unusable.another_may or another is None:
                raise
        else:
            return


def _by_psam(
    algorithm: Algorithm, atr: bytes, layout: PsamLayout | None
) -> Procedure[None]:
    if layout is None:
        raise PsamMissingError
    keys = layout.keys.get(algorithm)
    if keys is None:
        raise PsamWithoutAlgorithmError(algorithm)
    factor = _historical(atr)[-FACTOR_LENGTH:]
    yield from _ask_psam(
        CommandApdu(cla=0, ins=0xA4, p1=4, p2=0, data=layout.application)
    )
    internal = yield from _randoms()
    proof = yield from _internal(internal)
    expected = yield from _cryptogram(
        layout, keys.internal, factor, internal, algorithm
    )
    if not hmac.compare_digest(proof, expected):
        raise NotGenuineError
    external = yield from _randoms()
    ours = yield from _cryptogram(layout, keys.external, factor, external, algorithm)
    yield from _external(ours, external.original)


def _by_hsm(
    algorithm: Algorithm, atr: bytes, identification_code: str, region: str
) -> Procedure[None]:
    internal = yield from _randoms()
    proof = yield from _internal(internal)
    external = yield from _randoms()
    answer: HsmAnswer = yield HsmQuestion(
        region=region,
        historical_bytes=_historical(atr),
        algorithm=algorithm,
        identification_code=identification_code,
        internal_process=internal.process,
        internal_original=internal.original,
        external_process=external.process,
        external_original=external.original,
    )
    echoed = (answer.internal_original, answer.external_original)
    if echoed != (internal.original, external.original):
        raise WrongHsmAnswerError
    if not hmac.compare_digest(proof, answer.internal):
        raise NotGenuineError
    yield from _external(answer.external, external.original)


def _randoms() -> Procedure[Randoms]:
    original = yield from _challenge()
    process = yield from _challenge()
    return Randoms(original, process)


def _challenge() -> Procedure[bytes]:
    got: ResponseApdu = yield CommandApdu(
        cla=0, ins=GET_CHALLENGE, p1=0, p2=0, ne=FACTOR_LENGTH
    )
    if not got.sw.is_success or len(got.data) != FACTOR_LENGTH:
        raise refusal(got.sw, "GET CHALLENGE")
    return got.data


def _internal(randoms: Randoms) -> Procedure[bytes]:
    """The card's own cryptogram."""
    got: ResponseApdu = yield CommandApdu(
        cla=0,
        ins=INTERNAL_AUTHENTICATE,
        p1=0,
        p2=0,
        data=randoms.process + randoms.original,
        ne=FACTOR_LENGTH,
    )
    if not got.sw.is_success or len(got.data) != FACTOR_LENGTH:
        raise refusal(got.sw, "INTERNAL AUTHENTICATE")
    return got.data


def _external(cryptogram: bytes, original: bytes) -> Procedure[None]:
    """Show the card that we may read. A wrong cryptogram costs one of its tries: nothing
    is ever shown twice."""
    got: ResponseApdu = yield CommandApdu(
        cla=0,
        ins=EXTERNAL_AUTHENTICATE,
        p1=0,
        p2=READ_KEY,
        data=cryptogram + original,
    )
    if got.sw.is_success:
        return
    if got.sw.tries_left is not None or got.sw == AUTHENTICATION_BLOCKED:
        raise AuthenticationFailedError(str(got.sw), got.sw)
    raise refusal(got.sw, "EXTERNAL AUTHENTICATE")


def _cryptogram(
    layout: PsamLayout, key: int, factor: bytes, randoms: Randoms, algorithm: Algorithm
) -> Procedure[bytes]:
    """What this key of the card makes of these randoms, computed by the PSAM: it derives
    the key level by level, and last with the process factor."""
    cla, ins, p1 = layout.diversify
    length = BLOCK_LENGTHS[algorithm]
    process = padded(randoms.process, length, layout.padding)
    levels = b"".join((factor, *layout.factors, process))
    yield from _ask_psam(CommandApdu(cla=cla, ins=ins, p1=p1, p2=key, data=levels))
    block = padded(randoms.original, length, layout.padding)
    computed = yield from _ask_psam(
        CommandApdu(cla=cla, ins=COMPUTE, p1=0, p2=0, data=block, ne=length)
    )
    if len(computed) < FACTOR_LENGTH:
        raise PsamRefusedError("the PSAM gave no cryptogram")
    return computed[:FACTOR_LENGTH]


def padded(value: bytes, length: int, padding: Padding) -> bytes:
    """Eight bytes as a block of `length` bytes."""
    if len(value) == length:
        return value
    match padding:
        case Padding.ZEROS:
            return value.ljust(length, b"\x00")
        case Padding.ISO:
            return (value + b"\x80").ljust(length, b"\x00")
        case Padding.COMPLEMENT:
            return value + bytes(0xFF ^ byte for byte in value)


_PSAM_ERRORS = {
    FUNCTION_LOCKED: PsamWithoutAlgorithmError,
    REFERENCE_NOT_FOUND: PsamWithoutKeyError,
    KEY_INDEX_UNSUPPORTED: PsamWithoutKeyError,
    CONDITIONS_NOT_SATISFIED: PsamKeyLevelError,
}


def _ask_psam(command: CommandApdu) -> Procedure[bytes]:
    got: ResponseApdu = yield PsamCommand(command)
    if not got.sw.is_success:
        error = _PSAM_ERRORS.get(got.sw, PsamRefusedError)
        raise error(f"PSAM {command.ins:02X}: {got.sw}", got.sw)
    return got.data


def _historical(atr: bytes) -> bytes:
    found = Atr.parse(atr).historical_bytes if atr else b""
    if len(found) < FACTOR_LENGTH:
        raise CardError("the answer to reset has no diversification factor")
    return found

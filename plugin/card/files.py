"""Which file and tag carries which field, in which format (domain facts, 2.1 to 2.7).

The tables are the whole knowledge; the procedures only walk along them.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from drivers.conversation import Procedure
from drivers.iso7816.apdu import (
    READ_RECORD,
    SELECT,
    SHORT_NE_MAX,
    CommandApdu,
    ResponseApdu,
)
from drivers.iso7816.status_word import END_OF_FILE, FILE_NOT_FOUND, RECORD_NOT_FOUND
from drivers.iso7816.tlv import TlvError, parse_record
from plugin.card.errors import UnreadableCardError, UnsupportedCardError, refusal

SSSE = bytes.fromhex("7378312E73682EC9E7BBE1B1A3D5CF")  # "sx1.sh." + 社会保障 in GBK
EF_ISSUER = 0xEF05
EF_HOLDER = 0xEF06

SELECT_BY_NAME = 0x04
SELECT_CHILD_EF = 0x02
SELECT_ANY = 0x00
BY_TAG, BY_NUMBER = 0x00, 0x04

Reading = Procedure["bytes | None"]


class Format(StrEnum):
    """How a value lies in its bytes (domain facts, 2.7)."""

    AN = "an"  # characters, filled with 00 or spaces
    CN = "cn"  # packed digits, filled with F
    TEXT = "text"  # GB18030


class Root(StrEnum):
    """What SSSE is on the cards of a region, and so how it is selected."""

    NAME = "name"
    MF = "mf"  # 3F00
    DDF = "ddf"  # DDF1


class Access(Struct, frozen=True, kw_only=True):
    """How files are selected and records read where the field differs (domain facts, 2.1 and
    2.6): SSSE by its name or by an identifier, an EF as child of the current DF or as any,
    records by tag or by number."""

    root: Root = Root.NAME
    select_any: bool = False
    by_number: bool = False


USUAL = Access()
_ROOTS = {Root.MF: bytes.fromhex("3F00"), Root.DDF: bytes.fromhex("DDF1")}


class Field(Struct, frozen=True):
    """One record: its tag, its number, the length of its value in bytes, and its format."""

    tag: int
    number: int
    length: int
    format: Format


IDENTIFICATION_CODE = Field(0x01, 1, 16, Format.CN)
CARD_CLASS = Field(0x02, 2, 1, Format.AN)
SPEC_VERSION = Field(0x03, 3, 4, Format.AN)
ISSUER_CODE = Field(0x04, 4, 12, Format.CN)
ISSUE_DATE = Field(0x05, 5, 4, Format.CN)
EXPIRY_DATE = Field(0x06, 6, 4, Format.CN)
CARD_NUMBER = Field(0x07, 7, 9, Format.AN)

SOCIAL_SECURITY_NUMBER = Field(0x08, 1, 18, Format.AN)
NAME = Field(0x09, 2, 30, Format.TEXT)
NAME_EXTENSION = Field(0x4E, 3, 20, Format.TEXT)
SEX = Field(0x0A, 4, 1, Format.AN)
NATION = Field(0x0B, 5, 1, Format.CN)
BIRTHPLACE = Field(0x0C, 6, 3, Format.CN)
BIRTH_DATE = Field(0x0D, 7, 4, Format.CN)


def select_root(access: Access, *, fci: bool = False) -> Reading:
    """SELECT SSSE. Returns the FCI, which may be empty; fetched only where it is wanted.

    Raises UnsupportedCardError when the card does not know it.
    """
    identifier = _ROOTS.get(access.root)
    by = SELECT_BY_NAME if identifier is None else SELECT_ANY
    answer: ResponseApdu = yield CommandApdu(
        cla=0,
        ins=SELECT,
        p1=by,
        p2=0,
        data=identifier or SSSE,
        ne=SHORT_NE_MAX if fci else None,
    )
    if answer.sw == FILE_NOT_FOUND or answer.sw.sw1 in (0x6D, 0x6E):
        raise UnsupportedCardError("the card has no such application", answer.sw)
    if not answer.sw.is_success:
        raise refusal(answer.sw, "SELECT SSSE")
    return answer.data


def select_file(identifier: int, access: Access) -> Reading:
    """SELECT an EF."""
    answer: ResponseApdu = yield CommandApdu(
        cla=0,
        ins=SELECT,
        p1=SELECT_ANY if access.select_any else SELECT_CHILD_EF,
        p2=0,
        data=identifier.to_bytes(2, "big"),
    )
    if answer.sw == FILE_NOT_FOUND:
        raise UnsupportedCardError(f"the card has no file {identifier:04X}", answer.sw)
    if not answer.sw.is_success:
        raise refusal(answer.sw, f"SELECT {identifier:04X}")
    return answer.data


def read_field(field: Field, access: Access) -> Reading:
    """READ RECORD by tag or number. Returns the value as it lies on the card, None without one.

    The value may be shorter or longer than the field (regions differ); the record around
    it must be whole and carry the right tag, else UnreadableCardError.
    """
    answer: ResponseApdu = yield CommandApdu(
        cla=0,
        ins=READ_RECORD,
        p1=field.number if access.by_number else field.tag,
        p2=BY_NUMBER if access.by_number else BY_TAG,
        ne=field.length + 2,
    )
    if answer.sw == RECORD_NOT_FOUND:
        return None
    if not answer.sw.is_success and answer.sw != END_OF_FILE:
        raise refusal(answer.sw, f"READ RECORD {field.tag:02X}")
    if answer.data[:1] == bytes((field.tag,)) and _is_its_beginning(answer.data, field):
        return answer.data[2:]
    try:
        record = parse_record(answer.data)
    except TlvError as wrong:
        raise UnreadableCardError(f"record {field.tag:02X}: {wrong}") from wrong
    if record.tag != field.tag:
        raise UnreadableCardError(f"record {field.tag:02X} came with another tag")
    return record.value


def _is_its_beginning(data: bytes, field: Field) -> bool:
    """Whether this is just what was asked of a longer record: some regions store longer
    values, and what the specification wants of them comes first (domain facts, 2.3)."""
    return len(data) == field.length + 2 and field.length < data[1] < 0x80


def read_required(field: Field, access: Access) -> Procedure[bytes]:
    """The same, for a record that no card of this kind lacks."""
    value = yield from read_field(field, access)
    if value is None:
        raise UnreadableCardError(f"record {field.tag:02X} is missing")
    return value

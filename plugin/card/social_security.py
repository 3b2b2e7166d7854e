"""The social security card 1.0, 2.0 and 3.0: SSSE with EF05 and EF06 (domain facts, 2)."""

from __future__ import annotations

from datetime import date

from msgspec import Struct
from msgspec.structs import replace

from drivers.conversation import Procedure
from plugin.card import decoding, files
from plugin.card.authentication import Authentication, authenticate
from plugin.card.errors import UnreadableCardError, UnsupportedCardError
from plugin.card.files import Access, Field
from plugin.card.identity import (
    IdentityNumber,
    card_number_checks,
    is_identification_code,
    region_of,
)

# By the first character of the specification version.
FREELY_READABLE = ("1", "2")
AUTHENTICATED = ("3",)
ROOM_FOR_ONE_MORE = 4  # bytes of the longest GB18030 character


class Issue(Struct, frozen=True, kw_only=True):
    """EF05: who issued this card, and when.

    `identification_code` is 32 hex characters, the others as printed in the domain facts,
    2.3. Absent or senseless values are None.
    """

    identification_code: str
    card_class: str | None
    spec_version: str
    issuer_code: str | None
    issue_date: date | None
    expiry_date: date | None
    card_number: str | None

    @property
    def region(self) -> str:
        """Six digits: the issuing region."""
        return region_of(self.identification_code)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Codes of what is odd here without stopping anybody."""
        found = []
        if self.card_number is None or not card_number_checks(self.card_number):
            found.append("card.warning.card_number")
        if self.issue_date is None or self.expiry_date is None:
            found.append("card.warning.dates")
        return tuple(found)


class SocialSecurityCard(Struct, frozen=True, kw_only=True):
    """What a full read of a social security card found. It prints without its holder."""

    issue: Issue
    social_security_number: str
    name: str | None
    sex: str | None
    nation_code: str | None
    birthplace_code: str | None
    birth_date: date | None

    def __repr__(self) -> str:
        return f"<SocialSecurityCard {self.issue.spec_version}>"

    @property
    def warnings(self) -> tuple[str, ...]:
        """Codes of what is odd on this card without stopping anybody."""
        found = list(self.issue.warnings)
        if not IdentityNumber(self.social_security_number).checks:
            found.append("card.warning.social_security_number")
        if self.name is None:
            found.append("card.warning.name")
        if self.birth_date is None:
            found.append("card.warning.birth_date")
        return tuple(found)


def read_issue(how: Authentication, access: Access, atr: bytes) -> Procedure[Issue]:
    """EF05 under the selected SSSE: 8 commands, and 8 more where the card must be
    authenticated before it shows everything.

    Raises UnreadableCardError when the identification code or the version make no sense,
    UnsupportedCardError for a version nobody knows, and what `authenticate` raises.
    """
    yield from files.select_file(files.EF_ISSUER, access)
    code = yield from files.read_required(files.IDENTIFICATION_CODE, access)
    if not is_identification_code(code):
        raise UnreadableCardError("the card identification code has another form")
    card_class = yield from files.read_field(files.CARD_CLASS, access)
    version = decoding.characters(
        (yield from files.read_required(files.SPEC_VERSION, access))
    )
    if version is None or not version[0].isdigit():
        raise UnreadableCardError("the specification version has another form")
    if version[0] not in FREELY_READABLE + AUTHENTICATED:
        raise UnsupportedCardError(f"specification version {version}")
    if version[0] in AUTHENTICATED and not how.means:
        raise UnsupportedCardError("this region does not say how to authenticate 3.0")
    issuer = yield from files.read_field(files.ISSUER_CODE, access)
    number = decoding.characters(
        (yield from files.read_field(files.CARD_NUMBER, access))
    )
    identification_code = code.hex().upper()
    if version[0] in AUTHENTICATED:
        region = region_of(identification_code)
        yield from authenticate(identification_code, region, atr, how, access)
        yield from files.select_file(files.EF_ISSUER, access)
    issued = yield from files.read_field(files.ISSUE_DATE, access)
    expires = yield from files.read_field(files.EXPIRY_DATE, access)
    return Issue(
        identification_code=identification_code,
        card_class=decoding.characters(card_class),
        spec_version=version,
        issuer_code=decoding.digits(issuer),
        issue_date=decoding.day(issued),
        expiry_date=decoding.day(expires),
        card_number=number[:9] if number else None,
    )


def read_holder(issue: Issue, access: Access) -> Procedure[SocialSecurityCard]:
    """EF06 of a card whose EF05 is known: 7 commands, 8 where the name may go on.

    Raises UnreadableCardError when there is no social security number.
    """
    yield from files.select_file(files.EF_HOLDER, access)
    number = decoding.characters(
        (yield from files.read_required(files.SOCIAL_SECURITY_NUMBER, access))
    )
    if number is None:
        raise UnreadableCardError("the social security number is no text")
    name = yield from files.read_field(files.NAME, access)
    extension = None
    if name is not None and _may_continue(name, issue):
        extension = yield from files.read_field(files.NAME_EXTENSION, access)
    later = _after_the_extension(issue)
    sex = yield from files.read_field(later[files.SEX], access)
    nation = yield from files.read_field(later[files.NATION], access)
    birthplace = yield from files.read_field(later[files.BIRTHPLACE], access)
    born = yield from files.read_field(later[files.BIRTH_DATE], access)
    return SocialSecurityCard(
        issue=issue,
        social_security_number=number,
        name=decoding.name(name, extension),
        sex=decoding.characters(sex),
        nation_code=decoding.digits(nation),
        birthplace_code=decoding.digits(birthplace),
        birth_date=decoding.day(born),
    )


def _may_continue(name: bytes, issue: Issue) -> bool:
    """Whether this name leaves no room for one more character, on a card that has the
    extension (2.0 and later)."""
    used = len(name.rstrip(b"\x00 "))
    return issue.spec_version[0] != "1" and used > files.NAME.length - ROOM_FOR_ONE_MORE


def _after_the_extension(issue: Issue) -> dict[Field, Field]:
    """The records behind the name's extension: on cards of 1.0, which have none, each has
    the number before."""
    fields = (files.SEX, files.NATION, files.BIRTHPLACE, files.BIRTH_DATE)
    missing = issue.spec_version[0] == "1"
    return {each: replace(each, number=each.number - missing) for each in fields}

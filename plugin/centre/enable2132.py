"""Centres that activate by transaction 2132 in an XML envelope (domain facts, 4). One message
is all there is: nothing can be asked about it afterwards (class C where a second one is
refused with words that say so, else D).

A request has the envelope's elements in this order, then those inside INPUT in the
profile's; an answer has RETURNNUM, ERRORMSG and REFMSGID below its root, whose name is not
looked at. Spellings that differ between cities are the profile's (`Envelope`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from html import escape  # the one of xml.sax brings half of HTTP along
from typing import NoReturn
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import ParseError, fromstring

from plugin.activation.problem import Refusal
from plugin.activation.region import CentreProfile, Envelope
from plugin.activation.rules import CardStatus
from plugin.activation.saga import (
    Accepted,
    Activation,
    Confirmation,
    NotFound,
    Origin,
    Refused,
)
from plugin.card.authentication import HsmAnswer, HsmQuestion
from plugin.card.medical import MedicalCard
from plugin.card.social_security import SocialSecurityCard
from plugin.centre.line import Exchange, Line
from plugin.centre.port import CentreAnswerError, CentreError, Patience
from plugin.centre.verdict import masked, refused

NOBODY_BEHIND = (502, 503, 504)  # what a gateway says of a centre that is gone
ALONE = {
    "Connection": "close"
}  # no message goes where the other side may just have ended
CARD_PRESENT = "0"  # AAC001
_UNWRITABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_DECLARATION = re.compile(r"^\ufeff?<\?xml\s[^>]*\?>")

# What can be inside INPUT, by its name in the profile.
FIELDS: Mapping[str, Callable[[SocialSecurityCard, MedicalCard | None], str | None]] = {
    "identification_code": lambda card, _: card.issue.identification_code,
    "card_number": lambda card, _: card.issue.card_number,
    "social_security_number": lambda card, _: card.social_security_number,
    "name": lambda card, _: card.name,
    "issue_date": lambda card, _: str(card.issue.issue_date or ""),
    "medical_number": lambda _, medical: medical.number if medical else None,
}
NOBODYS = frozenset({"issue_date"})  # of these, what names nobody


class Enable2132Centre:
    """See the module. The profile must have an envelope."""

    def __init__(
        self,
        profile: CentreProfile,
        *,
        credential: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.address = profile.address.rstrip("/")
        self.abilities = profile.abilities
        self._profile = profile
        self._envelope = _envelope_of(profile)
        kind = f"text/xml; charset={self._envelope.encoding.upper()}"
        self._line = Line(kind, credential, patience)

    def compose(
        self,
        activation_id: str,
        card: SocialSecurityCard,
        medical: MedicalCard | None,
        origin: Origin,
    ) -> bytes:
        """On one line, with nothing between the elements. Raises ValueError when the origin
        does not say when it was."""
        envelope = self._envelope
        inside = {
            element: FIELDS[name](card, medical)
            for element, name in envelope.input.items()
        }
        outside = {
            "AAE140": envelope.insurance,
            "AKB020": origin.institution,
            "AKC190": origin.pos_ref,
            "AKC020": card.issue.card_number,
            "AAC001": CARD_PRESENT,
            "MSGNO": "2132",
            "MSGID": self.message_name(activation_id),
            "OPERID": origin.operator_ref or envelope.operator,
            "OPTTIME": _moment(origin.received_at, compact=envelope.compact_time),
        }
        body = f"{_elements(outside)}<INPUT>{_elements(inside)}</INPUT>"
        encoding, root = envelope.encoding.upper(), envelope.root
        document = f'<?xml version="1.0" encoding="{encoding}"?><{root}>{body}</{root}>'
        return document.encode(encoding)

    def message_name(self, activation_id: str) -> str:
        """MSGID: the id in upper case, cut to the length the centre takes."""
        return activation_id.upper()[: self._envelope.id_length]

    def activate(self, record: Activation) -> Accepted | Refused:
        """Send the record's message."""
        place = self.address + self._envelope.path
        noted = Exchange(
            question="2132",
            message_id=self.message_name(record.activation_id or ""),
            trace_id=record.origin.trace_id,
        )
        received = self._line.post(place, record.message or b"", ALONE, noted)
        return self.understood(received, record)

    def understood(self, received: bytes, record: Activation) -> Accepted | Refused:
        """An answer, checked before it is believed (reliability, 3.4). Raises
        CentreAnswerError."""
        name, answer = record.activation_id or "", self._read(received)
        if _only(answer, "REFMSGID") != self.message_name(name):
            raise CentreAnswerError("REFMSGID is not ours")
        words = [each.text or "" for each in answer.findall("ERRORMSG")]
        if len(words) > 1:
            raise CentreAnswerError("the answer has more than one ERRORMSG")
        result = _only(answer, "RETURNNUM")
        if result in self._envelope.accepted:
            return Accepted(name, Confirmation(by="answer"))
        if result not in self._envelope.refused:
            raise CentreAnswerError("RETURNNUM is neither yes nor no")
        text = masked(words[0] if words else "", self._personal(record.message))
        return refused(self._profile, record, Refusal(code=result, text=text))

    def card_status(self, card: SocialSecurityCard, origin: Origin) -> CardStatus:
        """Not offered."""
        _not_offered(card, origin)

    def match(
        self, medical: MedicalCard, card: SocialSecurityCard, origin: Origin
    ) -> bool:
        """Not offered."""
        _not_offered(medical, card, origin)

    def activation_status(self, record: Activation, asked: int) -> Accepted | NotFound:
        """Not offered."""
        _not_offered(record, asked)

    def authenticate(self, question: HsmQuestion, origin: Origin) -> HsmAnswer:
        """Not offered."""
        _not_offered(question, origin)

    def reachable(self) -> bool:
        """Whether somebody answers at the place messages go to, whatever they say to a
        GET."""
        place = self.address + self._envelope.path
        try:
            return self._line.status(place) not in NOBODY_BEHIND
        except CentreError:
            return False

    def close(self) -> None:
        """Close the kept connections."""
        self._line.close()

    def _read(self, received: bytes) -> Element:
        """A document. The parser knows few encodings, so it is given characters and not
        what the document says of itself. Raises CentreAnswerError."""
        try:
            text = received.decode(self._envelope.encoding)
        except UnicodeError as wrong:
            raise CentreAnswerError("the answer is in another encoding") from wrong
        try:
            return fromstring(_DECLARATION.sub("", text), forbid_dtd=True)
        except (ParseError, ValueError) as wrong:
            raise CentreAnswerError("the answer is no XML that we take") from wrong

    def _personal(self, sent: bytes | None) -> tuple[str, ...]:
        """Every value in a message of ours that means the holder."""
        if sent is None:
            return ()
        inside = self._envelope.input.items()
        places = [f"INPUT/{element}" for element, name in inside if name not in NOBODYS]
        message = self._read(sent)
        values = (message.findtext(place) for place in ("AKC020", *places))
        return tuple(value for value in values if value)


def _envelope_of(profile: CentreProfile) -> Envelope:
    if profile.envelope is None:
        raise ValueError("a profile for transaction 2132 has an envelope")
    return profile.envelope


def _not_offered(*_: object) -> NoReturn:
    raise CentreError("this centre has no such question")


def _elements(values: Mapping[str, str | None]) -> str:
    """Without what no document may have in it."""
    return "".join(
        f"<{name}>{escape(_UNWRITABLE.sub('', value or ''), quote=False)}</{name}>"
        for name, value in values.items()
    )


def _moment(received_at: str, *, compact: bool) -> str:
    """In the zone it was said in."""
    form = "%Y%m%d%H%M%S" if compact else "%Y-%m-%d %H:%M:%S"
    return datetime.fromisoformat(received_at).strftime(form)


def _only(answer: Element, name: str) -> str:
    """The text of an element that is there once and has nothing but text in it. Raises
    CentreAnswerError."""
    found = answer.findall(name)
    if len(found) != 1 or len(found[0]):
        raise CentreAnswerError(f"the answer has not one {name}")
    return (found[0].text or "").strip()

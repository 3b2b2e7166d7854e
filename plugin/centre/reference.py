"""The reference centre: JSON over HTTPS, idempotent by activation id (class A), or by the
card (class B), where what became of a message is told by how the card stands.

Every request is a POST with a Message-Id; every answer repeats it and our institution, or
it is no answer. The centre's OpenAPI document is the contract; the simulated centre
publishes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import asdict

from plugin.activation.problem import Refusal
from plugin.activation.region import CentreProfile
from plugin.activation.rules import CardStatus, Standing
from plugin.activation.saga import (
    Accepted,
    Activation,
    Confirmation,
    Dedupe,
    NotFound,
    Origin,
    Refused,
)
from plugin.card.authentication import FACTOR_LENGTH, HsmAnswer, HsmQuestion
from plugin.card.medical import MedicalCard
from plugin.card.social_security import SocialSecurityCard
from plugin.centre.line import Exchange, Line
from plugin.centre.port import CentreAnswerError, CentreError, Patience
from plugin.centre.verdict import masked, refused

HSM_FIELDS = HsmAnswer.__struct_fields__
_PERSONAL = (
    "social_security_number",
    "name",
    "card_number",
    "identification_code",
    "number",
)


def _new_name() -> str:
    return uuid4().hex


class ReferenceCentre:
    """See the module. `new_name` makes the Message-Id of a question."""

    def __init__(
        self,
        profile: CentreProfile,
        *,
        credential: str | None = None,
        patience: Patience | None = None,
        new_name: Callable[[], str] = _new_name,
    ) -> None:
        self.address = profile.address.rstrip("/")
        self.abilities = profile.abilities
        self._profile = profile
        self._line = Line("application/json", credential, patience)
        self._new_name = new_name

    def card_status(self, card: SocialSecurityCard, origin: Origin) -> CardStatus:
        """How a card stands."""
        return self._card_status(_card(card), origin)

    def _card_status(self, card: object, origin: Origin) -> CardStatus:
        answer = self._ask("/v1/card-status", {"card": card}, origin)
        standing = answer.text("standing")
        if standing not in set(Standing):
            raise CentreAnswerError(f"unknown standing {standing!r}")
        today = answer.day("today")
        if today is None:
            raise CentreAnswerError("the answer has no date")
        return CardStatus(
            standing=Standing(standing),
            today=today,
            handed_over=answer.day("handed_over"),
            financial_enabled=answer.flag("financial_enabled"),
            first_replacement=answer.flag("first_replacement"),
            since=answer.text("since"),
            channel=answer.text("channel"),
            words=answer.refusal("words"),
        )

    def match(
        self, medical: MedicalCard, card: SocialSecurityCard, origin: Origin
    ) -> bool:
        """Whether the old card belongs to the new card's holder."""
        question = {"card": _card(card), "medical_card": _medical(medical)}
        same = self._ask("/v1/match", question, origin).flag("same_person")
        if same is None:
            raise CentreAnswerError("the answer says neither yes nor no")
        return same

    def compose(
        self,
        activation_id: str,
        card: SocialSecurityCard,
        medical: MedicalCard | None,
        origin: Origin,
    ) -> bytes:
        """Sorted keys, no spaces, UTF-8."""
        return _canonical(
            {
                "activation_id": activation_id,
                "institution": origin.institution,
                "scenario": origin.scenario,
                "operator_ref": origin.operator_ref,
                "card": _card(card),
                "medical_card": _medical(medical) if medical else None,
            }
        )

    def message_name(self, activation_id: str) -> str:
        """The id itself."""
        return activation_id

    def activate(self, record: Activation) -> Accepted | Refused:
        """Send the record's message."""
        message_id = f"{record.origin.intent_id}-{record.sends}"
        body = record.message or b"{}"
        answer = self._post("/v1/activations", body, message_id, record.origin)
        name = answer.echo("activation_id", record.activation_id)
        if answer.text("result") == "refused":
            refusal = answer.refusal("refusal") or Refusal()
            return refused(self._profile, record, refusal)
        return Accepted(name, _confirmation(answer, name, by="answer"))

    def activation_status(self, record: Activation, asked: int) -> Accepted | NotFound:
        """What became of the record's id; of class B, how its card stands."""
        message = json.loads(record.message or b"{}")
        if self.abilities.dedupe is Dedupe.CARD:
            return self._status_by_card(record, message.get("card"), asked)
        question = {"activation_id": record.activation_id, "card": message.get("card")}
        answer = self._ask("/v1/activation-status", question, record.origin)
        name = answer.echo("activation_id", record.activation_id)
        if answer.text("result") == "not_found":
            return NotFound(name, asked)
        return Accepted(name, _confirmation(answer, name, by="status"))

    def _status_by_card(
        self, record: Activation, card: object, asked: int
    ) -> Accepted | NotFound:
        name = record.activation_id or ""
        found = self._card_status(card, record.origin)
        if found.standing is not Standing.ACTIVE:
            return NotFound(name, asked)
        told = Confirmation(by="status", since=found.since, channel=found.channel)
        return Accepted(name, told)

    def authenticate(self, question: HsmQuestion, origin: Origin) -> HsmAnswer:
        """Both cryptograms of the HSM, with the originals they were made for."""
        plain = asdict(question)
        said = {
            key: value.hex().upper() if isinstance(value, bytes) else value
            for key, value in plain.items()
        }
        answer = self._ask("/v1/authenticate", said, origin)
        return HsmAnswer(**{name: answer.octets(name) for name in HSM_FIELDS})

    def reachable(self) -> bool:
        """Whether somebody answers at the centre's address."""
        try:
            return self._line.status(f"{self.address}/healthz") < 500
        except CentreError:
            return False

    def close(self) -> None:
        """Close the kept connections."""
        self._line.close()

    def _ask(self, path: str, question: Mapping[str, object], origin: Origin) -> Answer:
        """A question without effect, under an id of its own."""
        body = _canonical({"institution": origin.institution, **question})
        return self._post(path, body, self._new_name(), origin)

    def _post(self, path: str, body: bytes, message_id: str, origin: Origin) -> Answer:
        """One exchange, checked before it is believed (reliability, 3.4)."""
        headers = {"Message-Id": message_id, "Trace-Id": origin.trace_id}
        noted = Exchange(
            question=path.rpartition("/")[2],
            message_id=message_id,
            trace_id=origin.trace_id,
        )
        raw = self._line.post(self.address + path, body, headers, noted)
        answer = Answer(_object(raw), _personal(json.loads(body)))
        answer.echo("message_id", message_id)
        answer.echo("institution", origin.institution)
        return answer


class Answer(Struct, frozen=True):
    """The centre's JSON object, read with suspicion: what it says of the person whom the
    question was about (`personal`) is masked."""

    found: dict[str, Any]
    personal: tuple[str, ...] = ()

    def text(self, key: str) -> str | None:
        """A string of bounded length on one line that can be written anywhere, or
        nothing."""
        value = self._plain(key)
        return masked(value, self.personal) if value is not None else None

    def _plain(self, key: str) -> str | None:
        value = self.found.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            raise CentreAnswerError(f"{key} is no text")
        return value.encode("utf-8", "replace").decode()  # half a character becomes ?

    def octets(self, key: str) -> bytes:
        """Eight bytes in hexadecimal."""
        try:
            value = bytes.fromhex(self._plain(key) or "")
        except ValueError as wrong:
            raise CentreAnswerError(f"{key} is not hexadecimal") from wrong
        if len(value) != FACTOR_LENGTH:
            raise CentreAnswerError(f"{key} has not 8 bytes")
        return value

    def flag(self, key: str) -> bool | None:
        """Yes, no, or nothing."""
        value = self.found.get(key)
        if value is not None and not isinstance(value, bool):
            raise CentreAnswerError(f"{key} is neither yes nor no")
        return value

    def day(self, key: str) -> date | None:
        """A date, or nothing."""
        value = self.text(key)
        try:
            return date.fromisoformat(value) if value is not None else None
        except ValueError as wrong:
            raise CentreAnswerError(f"{key} is no date") from wrong

    def refusal(self, key: str) -> Refusal | None:
        """The centre's own words, or nothing."""
        value = self.found.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise CentreAnswerError(f"{key} is no object")
        words = Answer(value, self.personal)
        return Refusal(code=words.text("code") or "", text=words.text("text") or "")

    def echo(self, key: str, expected: str | None) -> str:
        """What we sent must come back, or the answer is for somebody else."""
        value = self._plain(key)
        if value is None or value != expected:
            raise CentreAnswerError(f"{key} is not ours")
        return value


def _object(raw: bytes) -> dict[str, Any]:
    """A JSON object in UTF-8 in which no key is there twice. Raises CentreAnswerError."""
    try:
        found = json.loads(raw.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as wrong:
        raise CentreAnswerError("the answer is no JSON that we take") from wrong
    if not isinstance(found, dict):
        raise CentreAnswerError("the answer is no JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _personal(message: Mapping[str, Any]) -> tuple[str, ...]:
    """Every value in a message of ours that means the holder."""
    cards = (message.get("card") or {}, message.get("medical_card") or {})
    return tuple(str(card[key]) for card in cards for key in _PERSONAL if card.get(key))


def _confirmation(answer: Answer, name: str, *, by: str) -> Confirmation:
    if answer.text("result") != "active":
        raise CentreAnswerError("the answer says neither active nor refused")
    if answer.refusal("refusal") is not None:
        raise CentreAnswerError("the answer says active and refuses")
    active_under = answer.text("active_under")
    return Confirmation(
        by=by,
        adopted=active_under is not None and active_under != name,
        since=answer.text("since"),
        channel=answer.text("channel"),
        receipt_no=answer.text("receipt_no"),
    )


def _card(card: SocialSecurityCard) -> dict[str, object]:
    issued = card.issue.issue_date
    return {
        "identification_code": card.issue.identification_code,
        "card_number": card.issue.card_number,
        "issue_date": issued.isoformat() if issued else None,
        "social_security_number": card.social_security_number,
        "name": card.name,
    }


def _medical(medical: MedicalCard) -> dict[str, object]:
    return {
        "kind": medical.kind,
        "number": medical.number,
        "social_security_number": medical.social_security_number,
    }


def _canonical(value: object) -> bytes:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()

"""What is said and answered in the reference dialect."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from simulator.people import Standing


class Strict(BaseModel):
    """Unknown fields are an error on both sides."""

    model_config = ConfigDict(extra="forbid")


class Words(Strict):
    """The centre's own words."""

    code: str
    text: str


class CardOnWire(Strict):
    """A social security card as it was read."""

    identification_code: str
    card_number: str | None
    issue_date: date | None
    social_security_number: str
    name: str | None


class MedicalOnWire(Strict):
    """An old card as it was read."""

    kind: str
    number: str | None
    social_security_number: str | None


class StatusQuestion(Strict):
    """How does this card stand?"""

    institution: str
    card: CardOnWire


class MatchQuestion(StatusQuestion):
    """Does the old card belong to the new card's holder?"""

    medical_card: MedicalOnWire


class ActivationMessage(Strict):
    """Activate this card."""

    activation_id: str = Field(pattern="^[0-9a-f]{64}$")
    institution: str
    scenario: str
    operator_ref: str | None
    card: CardOnWire
    medical_card: MedicalOnWire | None


Random = Annotated[str, Field(pattern="^[0-9A-F]{16}$")]


class HsmQuestion(Strict):
    """Step 1 of an authentication: what the terminal knows of the card, and its randoms."""

    institution: str
    region: str
    historical_bytes: Annotated[str, Field(pattern="^([0-9A-F]{2}){8,15}$")]
    algorithm: Literal["3des", "sm4"]
    identification_code: str
    internal_process: Random
    internal_original: Random
    external_process: Random
    external_original: Random


class ActivationQuestion(StatusQuestion):
    """What became of this activation?"""

    activation_id: str


class Echo(Strict):
    """Every answer repeats what it answers."""

    message_id: str
    institution: str


class StatusAnswer(Echo):
    """How a card stands today."""

    standing: Standing
    today: date
    handed_over: date | None
    financial_enabled: bool
    first_replacement: bool | None
    since: str | None
    channel: str | None
    words: Words | None


class MatchAnswer(Echo):
    """Yes or no."""

    same_person: bool


class HsmAnswer(Echo):
    """Step 2: the cryptograms, each with the original it was made for."""

    internal: Random
    internal_original: Random
    external: Random
    external_original: Random


class Truth(Echo):
    """What is true now: `active_under` names the id or channel that made it so."""

    activation_id: str
    active_under: str | None = None
    since: str | None = None
    channel: str | None = None
    receipt_no: str | None = None


class ActivationAnswer(Truth):
    """What came of a message."""

    result: Literal["active", "refused"]
    refusal: Words | None = None


class StatusOfId(Truth):
    """What became of an id. A refusal is not remembered: then nothing is found."""

    result: Literal["active", "not_found"]


Kind = TypeVar("Kind", bound=Truth)

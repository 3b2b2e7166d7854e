"""The API's objects. Names and meanings are a contract with every POS vendor: fields are
only ever added.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from plugin.activation.region import Scenario
from plugin.privacy import scrubbed

REFERENCE = r"^[0-9A-Za-z._:/#-]{1,64}$"


class Request(BaseModel):
    """What a client sends: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


class StartTransaction(Request):
    """Start an activation at the counter."""

    kind: Literal["activation"]
    scenario: Literal["pharmacy", "outpatient_registration", "inpatient_registration"]
    pos_ref: str | None = Field(
        default=None, pattern=REFERENCE, description="The POS's own number for this."
    )
    operator_ref: str | None = Field(
        default=None, pattern=REFERENCE, description="Who is at the counter."
    )
    readers: list[str] | None = Field(
        default=None,
        min_length=1,
        max_length=16,
        description="Ids of the readers to use; all of them when absent.",
    )

    @field_validator("pos_ref", "operator_ref")
    @classmethod
    def _names_nobody(cls, value: str | None) -> str | None:
        if value is not None and scrubbed(value) != value:
            raise ValueError("must not contain an identity number")
        return value

    @property
    def asked_scenario(self) -> Scenario:
        """The scenario as the rules know it."""
        return Scenario(self.scenario)


class Act(Request):
    """An action needs no words; an empty object is fine."""


class InsertCard(Request):
    """Put a card of the cast into a simulated reader."""

    card: str = Field(max_length=64)


class Texts(BaseModel):
    """One sentence in both languages."""

    chinese: str = Field(alias="zh-CN")
    english: str = Field(alias="en")


class Remedies(BaseModel):
    """Steps in both languages."""

    chinese: list[str] = Field(alias="zh-CN")
    english: list[str] = Field(alias="en")


class CentreWords(BaseModel):
    """The centre's own words, without personal data."""

    code: str
    text: str


class Problem(BaseModel):
    """RFC 9457. Branch on `code` only."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    category: str
    retry: str
    action: str
    messages: Texts
    remedy: Remedies
    centre: CentreWords | None
    trace_id: str


class Expectation(BaseModel):
    """What the agent is waiting for."""

    what: Literal["reader", "card", "removal", "confirmation"]
    role: str | None


class Step(BaseModel):
    """The one large instruction of this moment."""

    key: str
    text: Texts


class Holder(BaseModel):
    """The person: in clear only for the client that started the transaction and has the
    scope `identity`, for ten minutes; masked otherwise."""

    masked: bool
    social_security_number: str | None
    name: str | None
    sex: str | None
    birth_date: str | None
    card_number: str | None
    card_identification_code: str | None


class Card(BaseModel):
    """The social security card that was read."""

    region_code: str
    spec_version: str
    issue_date: str | None
    expiry_date: str | None
    warnings: list[str]


class Confirmation(BaseModel):
    """How it is known that the card is active: `by` an answer, a status or the card's
    status; `adopted` when another till or channel did it."""

    by: str
    adopted: bool
    since: str | None
    channel: str | None
    receipt_no: str | None


class Receipt(BaseModel):
    """What can be printed; the holder is masked."""

    text: Texts


class Result(BaseModel):
    """What is known so far: the reading as soon as there is one, the outcome at the end."""

    outcome: str | None
    holder: Holder | None
    holder_masked: Holder | None
    card: Card | None
    activation: str | None
    activation_id: str | None
    confirmation: Confirmation | None
    completed_at: str | None
    receipt: Receipt | None


class Transaction(BaseModel):
    """One transaction at one moment; `seq` changes whenever anything else does."""

    id: str
    kind: str
    scenario: str
    seq: int
    state: str
    role: str | None
    reader: str | None
    step: Step
    expects: Expectation | None
    clock: str | None
    deadline: str | None
    allowed_actions: list[str]
    cancellable: bool
    commit: Literal["none", "committing", "committed", "unknown"]
    problem: Problem | None
    notices: list[Problem]
    result: Result | None
    pos_ref: str | None
    operator_ref: str | None
    institution: str
    profile: str
    test_data: bool
    received_at: str
    trace_id: str


class Transactions(BaseModel):
    """A list."""

    transactions: list[Transaction]


class Activation(BaseModel):
    """The durable record of one card's activation."""

    id: str
    state: str
    activation_id: str | None
    attempt: int
    sends: int
    transaction: str
    scenario: str
    pos_ref: str | None
    operator_ref: str | None
    institution: str
    profile: str
    test_data: bool
    received_at: str
    changed_at: str
    confirmation: Confirmation | None
    refusal: CentreWords | None
    problem: Problem | None
    superseded_by: str | None
    trace_id: str


class Activations(BaseModel):
    """A list, the newest first."""

    activations: list[Activation]


class CardInReader(BaseModel):
    """One stay of one card; which card it is only a transaction finds out."""

    insertion_id: str
    left_behind: bool


class Reader(BaseModel):
    """One reader."""

    id: str
    name: str
    transport: str
    state: Literal["ready", "busy"]
    slot: Literal["empty", "present", "mute"]
    card: CardInReader | None
    last_problem: str | None


class Readers(BaseModel):
    """Every reader, and why some cannot be asked."""

    readers: list[Reader]
    problems: list[Problem]


class CatalogueEntry(BaseModel):
    """One problem the agent can name."""

    code: str
    http: int
    category: str
    retry: str
    action: str
    messages: Texts
    remedy: Remedies


class CatalogueList(BaseModel):
    """All of them."""

    errors: list[CatalogueEntry]


class Check(BaseModel):
    """One thing that must be in order."""

    name: str
    ok: bool
    required: bool
    problem: Problem | None


class Readiness(BaseModel):
    """Whether transactions can be carried out now."""

    ready: bool
    checks: list[Check]


class CastCard(BaseModel):
    """A card that can be put into a simulated reader, and whose it is."""

    name: str


class SimulatedReader(BaseModel):
    """A reader whose cards are moved by request."""

    id: str
    name: str


class Cast(BaseModel):
    """What a simulation can play with."""

    cards: list[CastCard]
    readers: list[SimulatedReader]


class Event(BaseModel):
    """One event of the stream; refs only, nothing personal."""

    id: int
    type: str
    time: str
    subject: str
    trace_id: str
    data: dict[str, Any]

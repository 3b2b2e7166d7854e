"""What clients send: checked where it comes in, with the place of every mistake."""

from __future__ import annotations

from typing import Literal

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

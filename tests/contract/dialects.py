"""Every kind of centre that we can speak to, and what each of them must be able to do."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from plugin.activation import saga
from plugin.activation.region import CentreProfile
from plugin.activation.saga import Activation, Origin
from plugin.centre import adapters
from plugin.centre.port import Centre, Patience
from plugin.profile_file import load_profile
from tests.unit.worlds import medical, social_security

PATIENCE = Patience(connect=5, read=5, total=10)
HASTY = Patience(connect=1, read=0.5, total=1)  # where nobody will answer
ORIGIN = Origin(
    intent_id="intent-1",
    client_id="pos",
    scenario="pharmacy",
    institution="H1",
    profile="city@1",
    trace_id="trace-1",
    received_at="2026-11-22T09:30:05+08:00",
)


@dataclass(frozen=True)
class Dialect:
    """A class of centre: which region has one, its profile, and what the simulated centre
    calls its activation."""

    name: str
    region: str
    profile: CentreProfile
    operation: str

    def __str__(self) -> str:
        return self.name

    def at(
        self, address: str, *, patience: Patience = PATIENCE, credential: str = ""
    ) -> Centre:
        """The adapter, speaking to this address."""
        return adapters.opened(
            self.profile,
            address=address,
            patience=patience,
            credential=credential or None,
        )

    def needs(self, question: str) -> None:
        """Skip what this dialect has no question for."""
        if not getattr(self.profile.offers, question):
            pytest.skip(f"{self.name} has no question for {question}")


def dialect(name: str, region: str, operation: str) -> Dialect:
    return Dialect(name, region, load_profile(region).centre, operation)


A = dialect("reference, class A", "reference", "activations")
B = dialect("reference, class B", "v6-registration", "activations")
C = dialect("enable2132, class C", "v4-old-authenticates", "/sscard/enable")
D = dialect("enable2132, class D", "v3-old-pin", "/sscard/enable")
DIALECTS = (A, B, C, D)


def activation_id(person: str) -> str:
    """Of somebody's first attempt."""
    issue = social_security(person).issue
    return saga.activation_id(issue.identification_code, issue.issue_date, 1)


def sending(adapter: Centre, person: str = "lin", *, sends: int = 1) -> Activation:
    """A record whose message is being sent as number `sends`."""
    card, name = social_security(person), activation_id(person)
    return Activation(
        origin=ORIGIN,
        activation_id=name,
        message=adapter.compose(name, card, medical(person), ORIGIN),
        sends=sends,
    )


def again(record: Activation) -> Activation:
    """The same after silence."""
    return replace(record, sends=record.sends + 1, unanswered=1)

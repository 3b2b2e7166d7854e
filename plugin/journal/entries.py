"""Records as rows: what of an activation is kept in clear, and what only sealed.

Pure. The shape of a row is part of the schema: a change here needs a migration.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from plugin.activation.problem import Problem, Refusal
from plugin.activation.saga import Activation, ActivationState, Confirmation, Origin

_CLEAR = (
    "attempt",
    "began",
    "sends",
    "tries",
    "unanswered",
    "ended_as",
    "superseded_by",
    "changed_at",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row before it is sealed. `clear` and `personal` are canonical JSON; `personal`
    is never written as it is."""

    intent_id: str
    transaction_id: str
    state: str
    version: int
    card_ref: str | None
    clear: bytes
    personal: bytes

    def signed_content(self, sealed: bytes) -> bytes:
        """What the row's code is computed over: every column, unambiguously."""
        columns = [
            self.intent_id,
            self.transaction_id,
            self.state,
            self.version,
            self.card_ref,
            self.clear.hex(),
            sealed.hex(),
        ]
        return canonical_json(columns)


def canonical_json(value: object) -> bytes:
    """One value, one encoding: sorted keys, no spaces, UTF-8."""
    return json.dumps(
        value,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    ).encode()


def encode(activation: Activation) -> Entry:
    """The row of this record."""
    clear = {name: getattr(activation, name) for name in _CLEAR}
    clear["origin"] = asdict(activation.origin)
    clear["activation_id"] = activation.activation_id
    clear["confirmation"] = (
        asdict(activation.confirmation) if activation.confirmation else None
    )
    personal = {
        "message": activation.message.decode() if activation.message else None,
        "refusal": asdict(activation.refusal) if activation.refusal else None,
        "problem": _problem(activation.problem) if activation.problem else None,
    }
    return Entry(
        intent_id=activation.origin.intent_id,
        transaction_id=activation.origin.transaction_id,
        state=activation.state.value,
        version=activation.version,
        card_ref=activation.card_ref,
        clear=canonical_json(clear),
        personal=canonical_json(personal),
    )


def decode(entry: Entry) -> Activation:
    """The record of this row. Raises ValueError, KeyError or TypeError when it is none."""
    clear = json.loads(entry.clear)
    personal = json.loads(entry.personal)
    message, refusal = personal["message"], personal["refusal"]
    problem, confirmation = personal["problem"], clear["confirmation"]
    return Activation(
        origin=Origin(**clear["origin"]),
        state=ActivationState(entry.state),
        version=entry.version,
        card_ref=entry.card_ref,
        activation_id=clear["activation_id"],
        message=message.encode() if message is not None else None,
        refusal=Refusal(**refusal) if refusal is not None else None,
        problem=_problem_of(problem) if problem is not None else None,
        confirmation=Confirmation(**confirmation) if confirmation is not None else None,
        **{name: clear[name] for name in _CLEAR},
    )


def _problem(problem: Problem) -> dict[str, object]:
    centre = asdict(problem.centre) if problem.centre else None
    return {"code": problem.code, "facts": dict(problem.facts), "centre": centre}


def _problem_of(found: dict[str, Any]) -> Problem:
    centre = Refusal(**found["centre"]) if found["centre"] else None
    return Problem(found["code"], found["facts"], centre)

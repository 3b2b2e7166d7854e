"""Records as rows: what of an activation is kept in clear, and what only sealed.

Pure. A record lies in its row as MessagePack, field after field in the order of the class;
a later version may only append fields with defaults.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.msgpack import decode as unpacked
from msgspec.msgpack import encode as packed
from msgspec.structs import replace

from plugin.activation.problem import Problem, Refusal
from plugin.activation.saga import Activation, Settlement


class Personal(Struct, frozen=True, array_like=True):
    """What may name a person: never written but sealed."""

    message: bytes | None = None
    refusal: Refusal | None = None
    problem: Problem | None = None
    settlement: Settlement | None = None


class Entry(Struct, frozen=True, kw_only=True):
    """One row before it is sealed. `personal` is empty when there is nothing in it."""

    intent_id: str
    state: str
    version: int
    card_ref: str | None
    clear: bytes
    personal: bytes

    def signed_content(self, sealed: bytes) -> bytes:
        """What the row's code is computed over: no column can grow at another's cost."""
        return packed(
            (
                self.intent_id,
                self.state,
                self.version,
                self.card_ref,
                self.clear,
                sealed,
            )
        )


def encode(activation: Activation) -> Entry:
    """The row of this record. Of one that was forgotten nothing is left to seal."""
    if activation.forgotten:
        return _entry(activation, activation, Personal())
    personal = Personal(
        activation.message,
        activation.refusal,
        activation.problem,
        activation.settlement,
    )
    clear = replace(
        activation, message=None, refusal=None, problem=None, settlement=None
    )
    return _entry(activation, clear, personal)


def _entry(activation: Activation, clear: Activation, personal: Personal) -> Entry:
    return Entry(
        intent_id=activation.origin.intent_id,
        state=activation.state.value,
        version=activation.version,
        card_ref=activation.card_ref,
        clear=packed(clear),
        personal=packed(personal) if personal != Personal() else b"",
    )


def decode(entry: Entry) -> Activation:
    """The record of this row. Raises ValueError when it is none."""
    clear = unpacked(entry.clear, type=Activation)
    if not entry.personal:
        return clear
    personal = unpacked(entry.personal, type=Personal)
    return replace(
        clear,
        message=personal.message,
        refusal=personal.refusal,
        problem=personal.problem,
        settlement=personal.settlement,
    )

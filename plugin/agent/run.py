"""One transaction as this process remembers it: the desk, and what surrounds it."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct, field

from plugin.activation.desk import Desk
from plugin.activation.saga import Origin
from plugin.agent import views


class Kind(StrEnum):
    """What a transaction is for."""

    ACTIVATION = "activation"
    DRY_RUN = "dry_run"  # whether an activation would be allowed; nothing is written


class Run(Struct):
    """One transaction while this process remembers it. `follows` is the durable record
    that tells its outcome; a dry run has none."""

    kind: Kind
    origin: Origin
    readers: frozenset[str] | None
    now: Desk
    follows: str
    seq: int = 1
    clock: object | None = None
    deadline: str | None = None
    card_ref: str | None = None
    masked: views.Holder | None = None
    card: views.CardShown | None = None
    clear: views.Holder | None = None
    completed_at: str | None = None
    stays: set[str] = field(default_factory=set)
    forgetting: bool = False
    atr: bytes = b""
    registers_until: float | None = None  # ticks; one clock, however often it is asked

    @property
    def durable(self) -> bool:
        """Whether the journal has a record of it."""
        return self.kind is Kind.ACTIVATION

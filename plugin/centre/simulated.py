"""What the simulated centre can be told, and what it shows, beside the dialect it speaks.
Only for an agent that simulates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct, field

from plugin.centre.port import CentreUnreachableError

SECONDS = 5.0


class Words(Struct, frozen=True):
    """The centre's own words."""

    code: str
    text: str


class Fault(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One way to misbehave: at paths that end in `operation`, `times` times (None: until it
    is told otherwise); `seconds` is how late, `words` are those of a refusal."""

    fault: str
    operation: str = ""
    times: int | None = None
    seconds: float = 1.0
    words: Words | None = None


class Effect(Struct, frozen=True, kw_only=True):
    """One activation that stands in the books."""

    activation_id: str
    message_id: str
    institution: str
    receipt_no: str


class Books(Struct, frozen=True, kw_only=True):
    """What the centre knows: its date, how it misbehaves, what it has activated, and how
    many requests came to each operation."""

    today: str
    faults: list[Fault] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    received: dict[str, int] = field(default_factory=dict)


class SimulatedCentreDesk:
    """The control of the centre at this address. Every method raises
    CentreUnreachableError."""

    def __init__(self, address: str) -> None:
        self._address = address

    def misbehave(self, faults: Iterable[Fault]) -> None:
        """So and not otherwise, until told again; what was kept back is let go."""
        self._ask("PUT", "faults", list(faults))

    def reset(self) -> None:
        """The cast as it was, nothing activated, no faults."""
        self._ask("POST", "reset")

    def books(self) -> Books:
        """What it knows now."""
        return msgspec.json.decode(self._ask("GET", "books"), type=Books)

    def _ask(self, method: str, what: str, body: Any = None) -> bytes:  # noqa: ANN401 - JSON
        import httpcore2  # not on a till

        try:
            answered = httpcore2.request(
                method,
                f"{self._address}/simulation/{what}",
                headers={"Content-Type": "application/json"},
                content=msgspec.json.encode(body),
                extensions={"timeout": {"connect": SECONDS, "read": SECONDS}},
            )
        except (httpcore2.NetworkError, httpcore2.TimeoutException) as failed:
            raise CentreUnreachableError(str(failed)) from failed
        if answered.status >= 300:
            raise CentreUnreachableError(f"HTTP status {answered.status}")
        return answered.content

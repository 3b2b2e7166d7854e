"""How the centre can be told to misbehave."""

from __future__ import annotations

from contextvars import ContextVar
from enum import StrEnum
from typing import Literal

from pydantic import Field

from simulator.centre.wire import Strict, Words

at_a_stale_site: ContextVar[bool] = ContextVar("at_a_stale_site", default=False)
refusing_with: ContextVar[Words | None] = ContextVar("refusing_with", default=None)


class Fault(StrEnum):
    """How this centre, or what lies before it, can misbehave."""

    LOSE_REQUEST = "lose_request"  # hang up before anything happens
    LOSE_ANSWER = "lose_answer"  # do it, then hang up
    LATE = "late"  # hang up; the message comes so many seconds later
    DUPLICATE = "duplicate"  # the message comes twice, the second answer is given
    SILENCE = "silence"  # do it, and never answer
    SLOW = "slow"  # do it, answer late
    REFUSE = "refuse"
    ERROR_AFTER_EFFECT = "error_after_effect"  # do it, say 500
    WRONG_ECHO = "wrong_echo"  # do it, answer for somebody else
    TRUNCATE = "truncate"  # do it, hang up in the middle of the answer
    OVERSIZED = "oversized"  # do it, answer rightly and then without end
    STALE = "stale"  # a site answers that has not heard of any activation yet
    REDIRECT = "redirect"  # do nothing, name another place
    NONSENSE = "nonsense"  # do it, answer a login page


class FaultOrder(Strict):
    """Misbehave `times` times (without end when absent) at paths ending in `operation`."""

    fault: Fault
    operation: str = ""
    times: int | None = Field(default=None, ge=1)
    seconds: float = Field(default=1.0, ge=0, le=86_400)
    echo: Literal[
        "message_id", "institution", "activation_id", "internal_original", "external"
    ] = "message_id"
    location: str = "/elsewhere"
    words: Words = Words(code="9", text="中心暂不受理")

"""How the centre can be told to misbehave."""

from __future__ import annotations

from contextvars import ContextVar
from enum import StrEnum
from typing import Literal

from pydantic import Field

from simulator.centre.wire import Strict, Words

refusing_with: ContextVar[Words | None] = ContextVar("refusing_with", default=None)


class Fault(StrEnum):
    """How this centre can misbehave."""

    LOSE_REQUEST = "lose_request"  # hang up before anything happens
    LOSE_ANSWER = "lose_answer"  # do it, then hang up
    SILENCE = "silence"  # do it, and never answer
    SLOW = "slow"  # do it, answer late
    REFUSE = "refuse"
    ERROR_AFTER_EFFECT = "error_after_effect"  # do it, say 500
    WRONG_ECHO = "wrong_echo"  # do it, answer for somebody else
    NONSENSE = "nonsense"  # do it, answer a login page


class FaultOrder(Strict):
    """Misbehave `times` times (without end when absent) at paths ending in `operation`."""

    fault: Fault
    operation: str = ""
    times: int | None = Field(default=None, ge=1)
    seconds: float = Field(default=1.0, ge=0, le=3600)
    echo: Literal[
        "message_id", "institution", "activation_id", "internal_original", "external"
    ] = "message_id"
    words: Words = Words(code="9", text="中心暂不受理")

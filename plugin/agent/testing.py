"""A reading that is only a test: which kind of card it is and whether it can be read. What
stands on the card never leaves the thread that reads it.
"""

from __future__ import annotations

from typing import assert_never

from msgspec import Struct

from drivers.conversation import Procedure
from plugin.activation.problem import Problem
from plugin.activation.region import Role
from plugin.agent.readers import ReaderView
from plugin.card.medical import MedicalCard
from plugin.card.reading import Card, Layouts, read_card
from plugin.card.social_security import SocialSecurityCard


class TestedCard(Struct, frozen=True, kw_only=True):
    """A card without what is on it; `warnings` are codes."""

    role: Role
    kind: str
    warnings: tuple[str, ...]


class Tested(Struct, frozen=True, kw_only=True):
    """What came of it; neither card nor problem when the reader is empty."""

    reader: ReaderView
    milliseconds: int
    card: TestedCard | None = None
    problem: Problem | None = None


def read_kind(layouts: Layouts, atr: bytes) -> Procedure[TestedCard]:
    """All that `read_card` does, and nothing of what it brings but the kind."""
    card = yield from read_card(layouts, atr)
    kind = card.kind if isinstance(card, MedicalCard) else card.issue.spec_version
    return TestedCard(role=role_of(card), kind=kind, warnings=card.warnings)


def role_of(card: Card) -> Role:
    """Which of the two it is."""
    match card:
        case MedicalCard():
            return Role.MEDICAL
        case SocialSecurityCard():
            return Role.SOCIAL_SECURITY
        case _:
            assert_never(card)

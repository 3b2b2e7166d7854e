"""What any centre's adapter must do.

Calls block and may come from several threads at once. A business "no" is a value; an error
means that nothing can be believed: for a question, ask again; for an activation, it may or
may not have happened.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

from msgspec import Struct

from plugin.activation.rules import CardStatus
from plugin.activation.saga import (
    Abilities,
    Accepted,
    Activation,
    NotFound,
    Origin,
    Refused,
)
from plugin.card.authentication import HsmAnswer, HsmQuestion
from plugin.card.medical import MedicalCard
from plugin.card.social_security import SocialSecurityCard


class CentreError(Exception):
    """The centre gave no answer that can be believed; `status` is that of HTTP where there
    was another than 200, `retry_after_ms` how long it wants to be left alone, where it says
    so."""

    code: ClassVar[str] = "centre.failed"

    def __init__(
        self,
        *words: object,
        status: int | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(*words)
        self.status = status
        self.retry_after_ms = retry_after_ms


class CentreUnreachableError(CentreError):
    """The centre cannot be reached."""

    code = "centre.unreachable"


class CentreTimeoutError(CentreError):
    """The centre did not answer in time."""

    code = "centre.timeout"


class CentreAnswerError(CentreError):
    """The centre's answer is not one: damaged, too large, or meant for somebody else."""

    code = "centre.answer_invalid"


class Patience(Struct, frozen=True, kw_only=True):
    """Seconds to wait for a connection, for each part of an answer, and for all of it."""

    connect: float = 5
    read: float = 15
    total: float = 30


class Centre(Protocol):
    """One centre, spoken to in its own dialect."""

    @property
    def address(self) -> str:
        """Where it is, for people."""
        ...

    @property
    def abilities(self) -> Abilities:
        """What recovery may rely on."""
        ...

    def card_status(self, card: SocialSecurityCard, origin: Origin) -> CardStatus:
        """How a card stands. Raises CentreError."""
        ...

    def match(
        self, medical: MedicalCard, card: SocialSecurityCard, origin: Origin
    ) -> bool:
        """Whether the old card belongs to the new card's holder. Raises CentreError."""
        ...

    def compose(
        self,
        activation_id: str,
        card: SocialSecurityCard,
        medical: MedicalCard | None,
        origin: Origin,
    ) -> bytes:
        """The canonical body of an activation: the same arguments, the same bytes."""
        ...

    def message_name(self, activation_id: str) -> str:
        """By what the centre's people find this message: the id as far as their format
        takes it. The same id, the same name."""
        ...

    def activate(self, record: Activation) -> Accepted | Refused:
        """Send the record's message. Raises CentreError: it may have worked."""
        ...

    def activation_status(self, record: Activation, asked: int) -> Accepted | NotFound:
        """What became of the record's id; `asked` is the tick of asking. Raises
        CentreError."""
        ...

    def authenticate(self, question: HsmQuestion, origin: Origin) -> HsmAnswer:
        """Have the centre's HSM make both cryptograms for a card of 3.0. Raises
        CentreError."""
        ...

    def reachable(self) -> bool:
        """Whether somebody answers at the centre's address. Never raises."""
        ...

    def close(self) -> None:
        """Give connections back."""
        ...

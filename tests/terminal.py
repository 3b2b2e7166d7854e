"""A terminal in memory, for reading procedures that need more than their card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drivers.conversation import Errand, UnknownErrandError
from drivers.iso7816.apdu import CommandApdu, ResponseApdu
from drivers.iso7816.exchange import follow_up
from plugin.card.authentication import (
    Authentication,
    HsmAnswer,
    HsmQuestion,
    PsamCommand,
)
from plugin.card.errors import PsamMissingError
from plugin.card.reading import Layouts, read_card
from plugin.card.social_security import SocialSecurityCard
from simulator.card.engine import CardEngine
from simulator.card.psam import PsamEngine
from tests.transcript import play


@dataclass
class Terminal:
    """What lies around a card: a PSAM in its slot, an HSM at the centre, or neither."""

    card: CardEngine
    psam: PsamEngine | None = None
    hsm: Callable[[HsmQuestion], HsmAnswer] | None = None

    def to_card(self, command: CommandApdu) -> ResponseApdu:
        return ResponseApdu.parse(self.card.process(bytes(command)))

    def run(self, errand: Errand) -> object:
        match errand:
            case PsamCommand(command) if self.psam is not None:
                return self._to_psam(self.psam, command)
            case PsamCommand():
                raise PsamMissingError
            case HsmQuestion() if self.hsm is not None:
                return self.hsm(errand)
            case _:
                raise UnknownErrandError(type(errand).__name__)

    def _to_psam(self, psam: PsamEngine, command: CommandApdu) -> ResponseApdu:
        got = ResponseApdu.parse(psam.process(bytes(command)))
        following = follow_up(command, got)
        return got if following is None else self._to_psam(psam, following)

    def read(self, how: Authentication) -> SocialSecurityCard:
        card, self.sent = play(
            read_card(Layouts(authentication=how), self.card.atr),
            self.to_card,
            self.run,
        )
        assert isinstance(card, SocialSecurityCard)
        return card

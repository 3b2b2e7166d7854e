"""The hand over simulated readers, as far as it is the same whatever readers they are."""

from __future__ import annotations

from abc import ABC, abstractmethod

from drivers.ports import CastCard, Mishap, NotHereError, Planned, SimulatedSlot
from simulator import people
from simulator.card.engine import CardEngine
from simulator.card.memory_card import MemoryCard
from simulator.card.resident_card import ResidentCard
from simulator.keypad import CANCEL_KEY, Keypad
from simulator.people import MEDICAL, SOCIAL_SECURITY, Person
from simulator.scenario import Card, Fate, FatedCard, MuteCard
from simulator.stories import STORIES

OTHER = "other"
KINDS = {
    MEDICAL: ("旧医保卡", "old medical card"),
    SOCIAL_SECURITY: ("社会保障卡", "social security card"),
}
OTHERS_ARE = {
    "other.bank_card": ("银行卡", "Bank card", "processor"),
    "other.memory_card": ("存储卡", "Memory card", "memory"),
}


class CastHand(ABC):
    """Moves the cards of the cast. `mishaps` are those that readers of this kind can pass
    on, `has_plugs` says whether they can be unplugged."""

    mishaps = frozenset(Mishap) - {Mishap.RESET}  # nobody else can reach these cards
    has_plugs = False

    def __init__(self) -> None:
        self._fates: dict[str, Fate] = {}

    @abstractmethod
    def readers(self) -> tuple[str, ...]:
        """The names of the readers."""

    @abstractmethod
    def insert_card(self, card: Card, reader: str) -> None:
        """Put any card in. Raises LookupError and ValueError."""

    @abstractmethod
    def remove(self, reader: str) -> None:
        """Take the card out, and forget what was planned for it."""

    def cast(self) -> tuple[CastCard, ...]:
        """Everybody's cards, then those that are nobody's."""
        return _CAST

    def insert(self, card: str, reader: str) -> None:
        """Put a card of the cast in."""
        self.insert_card(self.fated(card, reader), reader)
        self.fate(reader).enter(card)

    def insert_wrongly(self, card: str, reader: str) -> None:
        """Put it in the wrong way round: that a card is there is all one can tell."""
        people.card(card)
        self.insert_card(MuteCard(), reader)
        self.fate(reader).enter(card)

    def slot(self, reader: str) -> SimulatedSlot:
        """What there is at a reader now."""
        fate, keypad = self.fate(reader), self.keypad(reader)
        return SimulatedSlot(
            card=fate.card,
            planned=fate.planned,
            mishaps=self.mishaps,
            has_plug=self.has_plugs,
            keypad_asks=keypad.is_asking if keypad else None,
        )

    def keypad(self, reader: str) -> Keypad | None:
        """The reader's keypad, if it has one."""
        return None

    def type(self, reader: str, digits: str | None) -> None:
        """Type on the reader's keypad, as far as it asks."""
        keypad = self.keypad(reader)
        if keypad is None:
            raise NotHereError(reader)
        if keypad.is_asking:
            keypad.type(CANCEL_KEY if digits is None else digits)

    def plan(self, reader: str, planned: Planned) -> None:
        """Have something happen to a card with a processor in this reader."""
        fate = self.fate(reader)
        if planned.mishap not in self.mishaps:
            raise NotHereError
        fate.plan(planned)

    def detach(self, reader: str) -> None:
        """Not with these."""
        raise NotHereError(reader)

    def attach(self, reader: str) -> None:
        """Not with these."""
        raise NotHereError(reader)

    def fated(self, card: str, reader: str) -> Card:
        """A fresh card, to which happens what is planned for this reader."""
        made = people.card(card)
        fate = self.fate(reader)
        return FatedCard(made, fate) if isinstance(made, CardEngine) else made

    def fate(self, reader: str) -> Fate:
        """What is planned there. Raises LookupError."""
        if reader not in self.readers():
            raise LookupError(reader)
        return self._fates.setdefault(reader, Fate())


def _of_somebody(person: Person, name: str) -> CastCard:
    kind = name.rpartition(".")[2]
    chinese, english = KINDS[kind]
    story = STORIES[person.key]
    return CastCard(
        name=name,
        person=person.key,
        kind=kind,
        medium=_medium(person.cards()[name]),
        label_zh=f"{person.holder.name} {chinese}",
        label_en=f"{person.key.capitalize()}, {english}",
        story_zh=story.zh,
        story_en=story.en,
        pin=person.pin if isinstance(person.cards()[name], ResidentCard) else None,
    )


def _medium(order: people.Order) -> str:
    match order:
        case ResidentCard():
            return "processor"
        case MemoryCard():
            return "memory"
        case _:
            return "stripe"


def _of_nobody(name: str) -> CastCard:
    chinese, english, medium = OTHERS_ARE[name]
    return CastCard(
        name=name,
        person=None,
        kind=OTHER,
        medium=medium,
        label_zh=chinese,
        label_en=english,
        story_zh=STORIES[name].zh,
        story_en=STORIES[name].en,
        pin=None,
    )


_CAST = (
    *(_of_somebody(person, name) for person in people.CAST for name in person.cards()),
    *map(_of_nobody, people.OTHERS),
)

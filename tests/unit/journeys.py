"""Journeys at a pure counter, told in events."""

from __future__ import annotations

from msgspec.structs import replace

from plugin.activation import desk, journey
from plugin.activation.desk import Outcome
from plugin.activation.region import ActivationBy, PinPolicy, Scenario
from plugin.activation.saga import Activation, ActivationState, Origin
from plugin.card.reading import Card
from tests.unit.worlds import slots, terms

ORIGIN = Origin(
    intent_id="i", client_id="c", scenario="pharmacy", institution="h", profile="p"
)


class Counter:
    """A desk, and what it wanted on the way."""

    def __init__(
        self,
        *stays: str | None,
        scenario: Scenario = Scenario.PHARMACY,
        pin: PinPolicy | None = None,
        by: ActivationBy = ActivationBy.CENTRE,
        dry_run: bool = False,
    ) -> None:
        self.wanted: list[desk.Effect] = []
        self.states: list[str] = []
        said = terms(scenario, pin=pin, by=by, dry_run=dry_run)
        self._take(journey.begin(said, slots(*stays)))

    def _take(self, step: desk.Step) -> None:
        self.now = step.desk
        self.wanted += step.effects
        self.states.append(self.now.state.name)

    def happens(self, *events: desk.Event) -> Counter:
        for event in events:
            self._take(journey.step(self.now, event))
        return self

    def lies(self, *stays: str | None) -> Counter:
        return self.happens(desk.SlotsChanged(slots(*stays)))

    def reads(self, stay: str, card: Card) -> Counter:
        return self.happens(desk.CardRead(stay, card))

    @property
    def problem(self) -> str | None:
        found = self.now.facts.problem
        return found.code if found else None


def state_of(counter: Counter) -> desk.State:
    return counter.now.state


def outcome_of(counter: Counter) -> Outcome:
    state = state_of(counter)
    assert isinstance(state, desk.Succeeded)
    return state.outcome


def record(state: ActivationState, **changes: object) -> desk.ActivationMoved:
    base = Activation(origin=ORIGIN, state=state)
    return desk.ActivationMoved(replace(base, **changes))

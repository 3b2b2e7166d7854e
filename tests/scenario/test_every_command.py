"""C1 and C2: whatever happens at whichever command, it has a name, nothing hangs, the cards
of two people are never taken for one, and the next card works."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from plugin.client import Transaction
from simulator.people import engine
from simulator.reader import InProcessDesk
from simulator.scenario import Card, ScriptedCard
from tests.agents import Running
from tests.centre import CentreProcess
from tests.scenario.counter import Counter, Tripwire

Fate = Callable[[Card, int, InProcessDesk, str], Card]
COMMANDS = {"medical": 12, "social_security": 16}
EVERY = [(role, at) for role, last in COMMANDS.items() for at in range(1, last + 1)]
NEXT = {
    "medical": "waiting_card.social_security",
    "social_security": "waiting_confirm",
}
LONGEST = 10.0  # seconds until it has a name


def unplugged(card: Card, at: int, hand: InProcessDesk, reader: str) -> Card:
    def pull_the_plug() -> None:
        hand.unplug(reader)
        hand.plug(reader)

    return Tripwire(card, at, pull_the_plug)


def answers(reply: bytes) -> Fate:
    return lambda card, at, *_: ScriptedCard(card, replies={at: reply})


FATES: dict[str, Fate] = {
    "pulled": lambda card, at, *_: ScriptedCard(card, pull_at=at),
    "pulled with its answer": lambda card, at, *_: ScriptedCard(card, lose_at=at),
    "reset by another program": lambda card, at, *_: ScriptedCard(card, reset_at=at),
    "reader unplugged": unplugged,
    "an odd status": answers(b"\x6f\x00"),
    "half a status": answers(b"\x90"),
}


def up_to(counter: Counter, role: str) -> int:
    """A pharmacy that waits for this card; in which reader."""
    counter.start("pharmacy")
    if role == "medical":
        return 0
    counter.put("lin.medical")
    counter.reaches(NEXT["medical"])
    return 1


def is_told(role: str) -> Callable[[Transaction], bool]:
    """Either what is wrong, or that the card was read all the same."""
    return lambda shown: (
        shown.problem is not None or shown.data["step"]["key"] == NEXT[role]
    )


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize(("role", "at"), EVERY)
def test_c1_whatever_happens_at_each_command_has_a_name_and_an_end(
    agent: tuple[Running, InProcessDesk],
    centre: CentreProcess,
    role: str,
    at: int,
    fate: str,
) -> None:
    counter, hand = Counter(*agent), agent[1]
    reader = up_to(counter, role)

    began = time.monotonic()
    name = counter.readers[reader]
    counter.put(FATES[fate](engine(f"lin.{role}"), at, hand, name), reader)
    shown = counter.takes(counter.pos.until(counter.now, is_told(role)))

    assert time.monotonic() - began < LONGEST
    if shown.problem is not None:
        assert shown.state == "waiting_card"
        assert shown.problem["remedy"]["zh-CN"]
        assert shown.problem["remedy"]["en"]
        counter.take(reader)
        counter.put(f"lin.{role}", reader)
        counter.reaches(NEXT[role])
    if role == "medical":
        counter.put("lin.social_security", 1)
        counter.reaches("waiting_confirm")
    counter.confirm()
    assert counter.reaches("succeeded").outcome == "activated"
    assert len(centre.effects) == 1


@pytest.mark.parametrize("at", range(1, COMMANDS["social_security"] + 1))
def test_c2_a_card_swapped_at_each_command_is_never_half_of_one_and_half_of_another(
    counter: Counter, centre: CentreProcess, at: int
) -> None:
    reader = up_to(counter, "social_security")

    def swap() -> None:
        counter.take(reader)
        counter.put("he.social_security", reader)

    counter.put(Tripwire(engine("lin.social_security"), at, swap), reader)
    ended = counter.reaches("failed", "waiting_confirm")

    assert ended.state == "failed"
    assert counter.code == "transaction.person_mismatch"
    assert centre.effects == []

"""A3: when the first byte leaves, the disk knows already what leaves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from random import Random

import pytest

from plugin.activation.saga import (
    Abilities,
    Activation,
    ActivationState,
    Dedupe,
    Event,
    NoAnswer,
)
from plugin.agent.recovery import Activations, Message
from tests.power.disk import Disk, cuts
from tests.power.work import begun, intent, open_on

CUTS = 40  # at every message
PEOPLE = 5


class Watched:
    """A correspondent that looks at the disk, cut at this instant, whenever it is to send,
    and never hears from the centre; and its own time."""

    abilities = Abilities(dedupe=Dedupe.ID, can_tell_status=True)

    def __init__(self, disk: Disk, random: Random) -> None:
        self._disk, self._random = disk, random
        self._now, self._timers = 0.0, list[tuple[float, Callable[[], None]]]()
        self.found: list[tuple[Activation, Activation | None]] = []

    def send(self, record: Activation, reply: Callable[[Event], None]) -> None:
        """What would be there if the power went now?"""
        places = [len(self._disk.orders)] * CUTS
        for image in cuts(self._disk.orders, places, self._random):
            left = Disk(image)
            journal = open_on(left)
            self.found.append((record, journal.get(record.origin.intent_id)))
            journal.close()
            left.unregister()
        self.after(1_000, lambda: reply(NoAnswer(record.activation_id or "")))

    def ask(
        self, record: Activation, asked: int, reply: Callable[[Event], None]
    ) -> None:
        """Nobody answers."""
        self.after(1_000, lambda: reply(NoAnswer(record.activation_id or "")))

    def ticks(self) -> int:
        """Virtual milliseconds."""
        return int(self._now)

    def wall(self) -> str:
        """Shown only."""
        return "2026-11-22T09:00:00+08:00"

    def after(self, milliseconds: float, call: Callable[[], None]) -> None:
        """Later."""
        self._timers.append((self._now + milliseconds, call))

    def pass_until(self, end: float) -> None:
        """Let time pass."""
        while due := [each for each in self._timers if each[0] <= end]:
            first = min(due, key=lambda each: each[0])
            self._timers.remove(first)
            self._now, call = first
            call()


@pytest.mark.parametrize("seed", range(3))
def test_a3_the_message_is_on_the_disk_before_its_first_byte_leaves(seed: int) -> None:
    random, disk = Random(seed), Disk()
    journal = open_on(disk, autocheckpoint=random.choice((None, 1, 6)))
    watched = Watched(disk, random)
    activations = Activations(journal, watched, watched, random, lambda _: None)
    for number in range(1, PEOPLE + 1):
        journal.create(*begun(number))
        body = random.randbytes(900)
        activations.begin(
            intent(number),
            f"card-{number}",
            f"code-{number}",
            date(2026, 1, 1),
            lambda name, body=body: Message(body, name),  # type: ignore[misc]
        )
    watched.pass_until(60_000)
    journal.close()
    disk.unregister()

    assert len(watched.found) >= PEOPLE * CUTS
    for sent, kept in watched.found:
        assert kept == sent
        assert kept.state is ActivationState.SENDING
        assert kept.message

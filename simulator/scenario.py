"""Faults by script: a card that does, at its n-th command, what cards do at the worst
moment. Works in any reader."""

from __future__ import annotations

import threading
from typing import Protocol

from drivers.ports import Mishap, Planned


class Card(Protocol):
    """What sits in a slot: an answer to reset, and answers to commands."""

    @property
    def atr(self) -> bytes:
        """The answer to reset."""
        ...

    def reset(self) -> bytes:
        """Void the security state; returns the answer to reset."""
        ...

    def process(self, command: bytes) -> bytes:
        """Answer one command."""
        ...


class CardPulledError(Exception):
    """Raised by `process`: the card left the reader at this command."""


class CardResetElsewhereError(Exception):
    """Raised by `process`: another program has reset the card before this command."""


class ScriptedCard:
    """A card with a fate: `pull_at` leaves the reader at that command (1 is the first),
    `reset_at` was reset by another program before it, `lose_at` leaves the reader once that
    command is done and before its answer is out, `replies` answers other bytes at some
    commands, `slow_at` waits `seconds` first."""

    def __init__(
        self,
        card: Card,
        *,
        pull_at: int | None = None,
        reset_at: int | None = None,
        lose_at: int | None = None,
        replies: dict[int, bytes] | None = None,
        slow_at: int | None = None,
        seconds: float = 0.0,
    ) -> None:
        self._card = card
        self._pull_at = pull_at
        self._reset_at = reset_at
        self._lose_at = lose_at
        self._replies = replies or {}
        self._slow_at = slow_at
        self._seconds = seconds
        self._waited = threading.Event()
        self.commands = 0

    @property
    def atr(self) -> bytes:
        """As the card's."""
        return self._card.atr

    def reset(self) -> bytes:
        """As the card does."""
        return self._card.reset()

    def process(self, command: bytes) -> bytes:
        """As the card does, until its fate comes."""
        self.commands += 1
        if self.commands == self._pull_at:
            raise CardPulledError
        if self.commands == self._reset_at:
            raise CardResetElsewhereError
        if self.commands == self._slow_at:
            self._waited.wait(self._seconds)
        scripted = self._replies.get(self.commands)
        answer = scripted if scripted is not None else self._card.process(command)
        if self.commands == self._lose_at:
            raise CardPulledError
        return answer


class MuteCard:
    """A card the wrong way round: its answer to reset makes no sense."""

    atr = b"\x00\x01"

    def reset(self) -> bytes:
        """Nothing intelligible."""
        return self.atr

    def process(self, command: bytes) -> bytes:
        """Nothing at all."""
        raise CardPulledError(f"{len(command)} bytes for a mute card")


class Fate:
    """What is planned for the card in one reader, or for the next one. Safe from any
    thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._card: str | None = None
        self._planned: Planned | None = None
        self._commands = 0
        self._over = threading.Event()

    @property
    def card(self) -> str | None:
        """The name of the card that is in, as far as it has one."""
        with self._lock:
            return self._card

    @property
    def planned(self) -> Planned | None:
        """What has not happened yet."""
        with self._lock:
            return self._planned

    def enter(self, card: str) -> None:
        """The card of this name is in."""
        with self._lock:
            self._card = card

    def plan(self, planned: Planned) -> None:
        """From now on commands are counted."""
        with self._lock:
            self._planned, self._commands = planned, 0

    def forget(self) -> None:
        """The card has left: nothing happens any more, and none that hangs goes on."""
        with self._lock:
            self._card = self._planned = None
            self._over.set()
            self._over = threading.Event()

    def next_command(self) -> Mishap | None:
        """What happens at this command; a card that hangs has done so when it returns."""
        with self._lock:
            self._commands += 1
            planned, over = self._planned, self._over
            if planned is None or self._commands < planned.at:
                return None
            self._planned = None
            if planned.mishap in (Mishap.PULL, Mishap.LOSE_ANSWER):
                self._card = None
        if planned.mishap is Mishap.HANG:
            over.wait(planned.seconds)
        return planned.mishap


class FatedCard:
    """A card to which happens what was planned for its reader."""

    def __init__(self, card: Card, fate: Fate) -> None:
        self._card = card
        self._fate = fate

    @property
    def atr(self) -> bytes:
        """As the card's."""
        return self._card.atr

    def reset(self) -> bytes:
        """As the card does."""
        return self._card.reset()

    def process(self, command: bytes) -> bytes:
        """As the card does, until something happens to it."""
        mishap = self._fate.next_command()
        if mishap is Mishap.PULL:
            raise CardPulledError
        if mishap is Mishap.RESET:
            self._card.reset()
            raise CardResetElsewhereError
        answer = self._card.process(command)
        if mishap is Mishap.LOSE_ANSWER:
            raise CardPulledError
        return answer

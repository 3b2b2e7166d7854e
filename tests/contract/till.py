"""A till whose time is ours: real recovery and a real adapter, with nobody to wait for."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from random import Random

from msgspec.structs import replace

from plugin.activation import saga
from plugin.activation.saga import Abilities, Activation, Event
from plugin.agent.recovery import Activations, Message
from plugin.centre.port import Centre, CentreError
from plugin.journal.memory import MemoryJournal
from plugin.journal.port import Request
from tests.contract.dialects import ORIGIN
from tests.unit.worlds import medical, social_security

SECOND = 1_000
MINUTE, HOUR = 60 * SECOND, 3_600 * SECOND
EXCHANGE = 50  # how long one takes here
LATE = 30 * SECOND  # half of a message's life


class Till:
    """One agent's recovery, its correspondent and its clock. `sent` and `asked` are the
    ticks of every message and every question; `arrive` lets come what is late."""

    def __init__(self, adapter: Centre, arrive: Callable[[], None]) -> None:
        self.adapter = adapter
        self._arrive = arrive
        self.now = 0
        self.journal = MemoryJournal()
        self.sent: list[int] = []
        self.asked: list[int] = []
        self.life = 0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.activations = self._started()

    def _started(self) -> Activations:
        return Activations(self.journal, self, self, Random(1), lambda _: None)

    def begin(self, intent_id: str, person: str = "lin") -> Activation:
        """Somebody's cards are read and confirmed."""
        origin = self.create(intent_id).origin
        card, old = social_security(person), medical(person)
        return self.activations.begin(
            intent_id,
            person,
            card.issue.identification_code,
            card.issue.issue_date,
            lambda name: Message(
                self.adapter.compose(name, card, old, origin),
                self.adapter.message_name(name),
            ),
        )

    def create(self, intent_id: str) -> Activation:
        """Somebody has come."""
        origin = replace(ORIGIN, intent_id=intent_id)
        request = Request(
            client_id=origin.client_id,
            key=intent_id,
            fingerprint="",
            transaction_id=origin.transaction_id,
        )
        record = Activation(origin=origin)
        self.journal.create(record, request)
        return record

    def restart(self) -> None:
        """The process dies, and comes back with its journal. Its timers and answers are
        gone."""
        self.life += 1
        self.activations = self._started()
        self.activations.resume()

    def run(self, until: int) -> None:
        """Let everything happen that is due by then."""
        while self._agenda and self._agenda[0][0] <= until:
            when, _, call = heapq.heappop(self._agenda)
            self.now = int(when)
            call()
        self.now = until

    def record(self, intent_id: str) -> Activation:
        """What is known of it."""
        found = self.journal.get(intent_id)
        assert found is not None
        return found

    # Timekeeper

    def ticks(self) -> int:
        """Milliseconds."""
        return self.now

    def wall(self) -> str:
        """Shown to nobody."""
        return ""

    def after(self, milliseconds: float, call: Callable[[], None]) -> None:
        """Put something on the agenda of this life."""
        life = self.life

        def in_this_life() -> None:
            if life == self.life:
                call()

        self._on_agenda(milliseconds, in_this_life)

    def _on_agenda(self, milliseconds: float, call: Callable[[], None]) -> None:
        entry = (self.now + milliseconds, next(self._order), call)
        heapq.heappush(self._agenda, entry)

    # Correspondent

    @property
    def abilities(self) -> Abilities:
        """The centre's."""
        return self.adapter.abilities

    def send(self, record: Activation, reply: Callable[[Event], None]) -> None:
        """Send the record's message, and wait for the answer here."""
        self.sent.append(self.now)
        silence = saga.NoAnswer(record.activation_id or "", record.sends)
        self._exchange(lambda: self.adapter.activate(record), silence, reply)
        self._on_agenda(LATE, self._arrive)

    def ask(
        self, record: Activation, asked: int, reply: Callable[[Event], None]
    ) -> None:
        """Ask what became of it, and wait for the answer here."""
        self.asked.append(self.now)
        silence = saga.NoAnswer(record.activation_id or "")
        self._exchange(
            lambda: self.adapter.activation_status(record, asked), silence, reply
        )

    def _exchange(
        self,
        call: Callable[[], Event],
        silence: Event,
        reply: Callable[[Event], None],
    ) -> None:
        try:
            answer = call()
        except CentreError:
            answer = silence
        self.after(EXCHANGE, lambda: reply(answer))

"""Tells of transactions and activations: by events, and in the log. References only."""

from __future__ import annotations

import logging

from plugin.activation import desk
from plugin.activation.desk import Desk
from plugin.activation.saga import Activation, Origin
from plugin.agent import views
from plugin.agent.happenings import Happenings
from plugin.agent.run import Run
from plugin.agent.views import Shown, TransactionView

_INPUT_WANTED = (
    desk.WaitingReader,
    desk.WaitingCard,
    desk.WaitingRemoval,
    desk.WaitingConfirm,
    desk.WaitingRegistration,
    desk.WaitingPin,
)
_log = logging.getLogger("kaqi.teller")


class Teller:
    """Lives on the deciding thread."""

    def __init__(self, happenings: Happenings) -> None:
        self._happenings = happenings

    def announce(self, run: Run, came_from: Desk | None) -> None:
        """Events beyond `changed`, each once for every time the state is entered."""
        state = run.now.state
        if came_from is not None and came_from.state == state:
            return
        if isinstance(state, _INPUT_WANTED):
            self.tell(run, "transaction.input_required")
        if isinstance(state, desk.InDoubt):
            self.tell(run, "transaction.in_doubt")
        if run.now.is_terminal:
            self.tell(run, "transaction.completed")

    def tell(self, run: Run, kind: str) -> None:
        """Of a transaction at the counter."""
        shown, state = views.of_desk(run.now), run.now.state.name
        self._tell(kind, run.origin, state, run.seq, shown)

    def say(self, kind: str, view: TransactionView) -> None:
        """Of one that may be known by its record only."""
        self._tell(kind, view.origin, view.state, view.seq, view)

    def _tell(
        self,
        kind: str,
        origin: Origin,
        state: str,
        seq: int,
        shown: Shown | TransactionView,
    ) -> None:
        data: dict[str, str | int | bool | None] = {
            "state": state,
            "seq": seq,
            "test_data": origin.test_data,
        }
        if shown.role:
            data["role"] = shown.role
        if shown.outcome:
            data["outcome"] = shown.outcome
        if shown.problem:
            data["code"] = shown.problem.code
        subject = f"transactions/{origin.transaction_id}"
        self._happenings.tell(kind, subject, data, origin.trace_id)
        told = {**data, "transaction": origin.transaction_id}
        _log.info(kind, extra={**told, "trace_id": origin.trace_id})

    def moved(self, record: Activation) -> None:
        """A durable record was committed."""
        origin, data = record.origin, {"state": record.state.value}
        subject = f"activations/{origin.intent_id}"
        self._happenings.tell("activation.changed", subject, data, origin.trace_id)
        told = {"intent": origin.intent_id, "sends": record.sends, **data}
        _log.info("activation", extra={**told, "trace_id": origin.trace_id})

"""Tells of transactions and activations: by events and in counts. References only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from plugin.activation import desk, moments
from plugin.activation.desk import Desk
from plugin.activation.saga import Activation, ActivationState, Origin
from plugin.agent import views
from plugin.agent.counting import Counts
from plugin.agent.happenings import Happenings
from plugin.agent.run import Kind, Run
from plugin.agent.views import Shown, TransactionView

_INPUT_WANTED = (
    desk.WaitingReader,
    desk.WaitingCard,
    desk.WaitingRemoval,
    desk.WaitingConfirm,
    desk.WaitingRegistration,
    desk.WaitingPin,
)


class Teller:
    """Lives on the deciding thread."""

    def __init__(
        self, happenings: Happenings, counts: Counts, ticks: Callable[[], int]
    ) -> None:
        self._happenings = happenings
        self._counts = counts
        self._ticks = ticks
        self._unfinished: dict[str, ActivationState] = {}  # durable records, by intent

    def unfinished(self) -> Mapping[ActivationState, int]:
        """How many durable activations have not ended, by state."""
        return Counter(self._unfinished.values())

    def open(self, record: Activation) -> None:
        """This durable record has begun, or was left unfinished."""
        self._unfinished[record.origin.intent_id] = record.state

    def time(self, run: Run, came_from: Desk | None) -> None:
        """How long it stayed in the step that it has left."""
        now = self._ticks()
        step = moments.of(came_from) if came_from is not None else None
        if step == moments.of(run.now):
            return
        if step is not None:
            self._counts.steps.note((now - run.entered_at) / 1000, step)
        run.entered_at = now

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
            self._ended(run.kind, state.name, views.of_desk(run.now))
            self.tell(run, "transaction.completed")

    def tell(self, run: Run, kind: str) -> None:
        """Of a transaction at the counter."""
        shown, state = views.of_desk(run.now), run.now.state.name
        self._tell(kind, run.origin, state, run.seq, shown)

    def say(self, kind: str, view: TransactionView) -> None:
        """Of one that may be known by its record only."""
        if kind == "transaction.completed":
            self._ended(Kind(view.kind), view.state, view)
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

    def _ended(self, kind: Kind, state: str, shown: Shown | TransactionView) -> None:
        code = shown.problem.code if shown.problem else ""
        self._counts.transactions.add(kind.value, shown.outcome or state, code)

    def moved(self, record: Activation) -> None:
        """A durable record was committed."""
        self._counts.activations.add(record.state.value)
        self.open(record)
        if record.state.is_terminal:
            del self._unfinished[record.origin.intent_id]
        origin, data = record.origin, {"state": record.state.value}
        subject = f"activations/{origin.intent_id}"
        self._happenings.tell("activation.changed", subject, data, origin.trace_id)

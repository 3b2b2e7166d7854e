"""From the agent's values to the API's objects."""

from __future__ import annotations

from typing import Any

from msgspec.structs import asdict

from plugin.activation.desk import Action
from plugin.activation.problem import Problem
from plugin.activation.saga import Activation
from plugin.agent.doctor import Finding
from plugin.agent.readers import ReaderView
from plugin.agent.views import TransactionView
from plugin.api.problems import Catalogue, Prompts
from plugin.api.receipts import Receipts

_EXPECTS = {
    "waiting_reader": "reader",
    "waiting_card": "card",
    "waiting_removal": "removal",
    "waiting_confirm": "confirmation",
}


class Rendering:
    """Holds the words, and puts them to what is shown."""

    def __init__(
        self, catalogue: Catalogue, prompts: Prompts, receipts: Receipts
    ) -> None:
        self.catalogue = catalogue
        self._prompts = prompts
        self._receipts = receipts

    def transaction(self, view: TransactionView) -> dict[str, Any]:
        """A snapshot."""
        origin = view.origin
        detail = view.role or view.outcome
        key = f"{view.state}.{detail}" if detail else view.state
        expects = _EXPECTS.get(view.state)
        trace_id = origin.trace_id
        return {
            "id": origin.transaction_id,
            "kind": view.kind,
            "scenario": origin.scenario,
            "seq": view.seq,
            "state": view.state,
            "role": view.role,
            "reader": view.reader,
            "step": {"key": key, "text": self._prompts.text(view.state, detail)},
            "expects": {"what": expects, "role": view.role} if expects else None,
            "clock": view.clock,
            "deadline": view.deadline,
            "allowed_actions": sorted(view.allowed),
            "cancellable": Action.CANCEL in view.allowed,
            "commit": view.commit,
            "problem": self._problem(view.problem, trace_id),
            "notices": [self._problem(each, trace_id) for each in view.notices],
            "result": self._result(view),
            "pos_ref": origin.pos_ref,
            "operator_ref": origin.operator_ref,
            "institution": origin.institution,
            "profile": origin.profile,
            "test_data": origin.test_data,
            "received_at": origin.received_at,
            "trace_id": trace_id,
        }

    def _result(self, view: TransactionView) -> dict[str, Any] | None:
        if view.card is None and not view.is_terminal and view.commit == "none":
            return None
        receipt = self._receipts.text(view)
        return {
            "outcome": view.outcome,
            "holder": asdict(view.holder) if view.holder else None,
            "holder_masked": asdict(view.masked) if view.masked else None,
            "card": asdict(view.card) if view.card else None,
            "activation": view.activation,
            "activation_id": view.activation_id,
            "confirmation": asdict(view.confirmation) if view.confirmation else None,
            "completed_at": view.completed_at,
            "receipt": {"text": receipt} if receipt else None,
        }

    def activation(self, record: Activation) -> dict[str, Any]:
        """A durable record."""
        origin = record.origin
        return {
            "id": origin.intent_id,
            "state": record.state.value,
            "activation_id": record.activation_id,
            "attempt": record.attempt,
            "sends": record.sends,
            "transaction": origin.transaction_id,
            "scenario": origin.scenario,
            "pos_ref": origin.pos_ref,
            "operator_ref": origin.operator_ref,
            "institution": origin.institution,
            "profile": origin.profile,
            "test_data": origin.test_data,
            "received_at": origin.received_at,
            "changed_at": record.changed_at,
            "confirmation": asdict(record.confirmation)
            if record.confirmation
            else None,
            "refusal": asdict(record.refusal) if record.refusal else None,
            "problem": self._problem(record.problem, origin.trace_id),
            "superseded_by": record.superseded_by,
            "trace_id": origin.trace_id,
        }

    def reader(self, view: ReaderView) -> dict[str, Any]:
        """A reader."""
        card = {"insertion_id": view.insertion_id, "left_behind": view.left_behind}
        return {
            "id": view.id,
            "name": view.name,
            "transport": view.transport,
            "state": "busy" if view.reading else "ready",
            "slot": view.slot.value,
            "card": card if view.insertion_id else None,
            "last_problem": view.last_problem,
        }

    def readiness(
        self, found: tuple[Finding, ...], trace_id: str, *, ready: bool
    ) -> dict[str, Any]:
        """The checks."""
        return {
            "ready": ready,
            "checks": [
                {
                    "name": each.name,
                    "ok": each.ok,
                    "required": each.required,
                    "problem": self._problem(each.problem, trace_id),
                }
                for each in found
            ],
        }

    def catalogue_list(self) -> dict[str, Any]:
        """Every problem the agent can name."""
        return {
            "errors": [
                {
                    "code": entry.code,
                    "http": entry.http,
                    "category": entry.category,
                    "retry": entry.retry,
                    "action": entry.action,
                    "messages": entry.messages({}),
                    "remedy": entry.remedy({}),
                }
                for entry in self.catalogue
            ]
        }

    def problem(self, problem: Problem, trace_id: str) -> dict[str, Any]:
        """A problem object."""
        return self.catalogue.body(problem, trace_id)

    def _problem(self, problem: Problem | None, trace_id: str) -> dict[str, Any] | None:
        return self.problem(problem, trace_id) if problem else None

"""From the agent's values to what clients are answered."""

from __future__ import annotations

from typing import Literal

from msgspec.structs import asdict

from plugin.activation import moments, saga
from plugin.activation.desk import Action
from plugin.activation.problem import Problem
from plugin.activation.region import Role
from plugin.agent.doctor import Finding
from plugin.agent.readers import ReaderView
from plugin.agent.testing import Tested, TestedCard
from plugin.agent.views import PinShown, TransactionView
from plugin.api import answers
from plugin.api.problems import Catalogue, Prompts
from plugin.api.receipts import Receipts
from plugin.api.wording import Wording

_EXPECTED: dict[
    str, Literal["reader", "card", "removal", "confirmation", "registration"]
] = {
    "waiting_reader": "reader",
    "waiting_card": "card",
    "waiting_removal": "removal",
    "waiting_confirm": "confirmation",
    "waiting_registration": "registration",
}


class Rendering:
    """Holds the words, and puts them to what is shown."""

    def __init__(
        self,
        catalogue: Catalogue,
        prompts: Prompts,
        receipts: Receipts,
        checks: Wording,
    ) -> None:
        self.catalogue = catalogue
        self._prompts = prompts
        self._receipts = receipts
        self._checks = checks

    def transaction(self, view: TransactionView) -> answers.Transaction:
        """A snapshot."""
        origin = view.origin
        notices = [
            self.catalogue.answer(each, origin.trace_id) for each in view.notices
        ]
        return answers.Transaction(
            id=origin.transaction_id,
            kind=view.kind,
            scenario=origin.scenario,
            seq=view.seq,
            state=view.state,
            role=view.role,
            reader=view.reader,
            step=answers.Step(
                key=moments.key(view.state, view.detail),
                text=self._prompts.text(view.state, view.detail),
            ),
            expects=_expectation(view),
            clock=view.clock,
            deadline=view.deadline,
            allowed_actions=sorted(view.allowed),
            cancellable=Action.CANCEL in view.allowed,
            acknowledged=view.acknowledged,
            commit=view.commit,
            problem=self._problem(view.problem, origin.trace_id),
            notices=notices,
            result=self._result(view),
            pos_ref=origin.pos_ref,
            operator_ref=origin.operator_ref,
            institution=origin.institution,
            profile=origin.profile,
            test_data=origin.test_data,
            received_at=origin.received_at,
            trace_id=origin.trace_id,
        )

    def _result(self, view: TransactionView) -> answers.Result | None:
        if view.card is None and not view.is_terminal and view.commit == "none":
            return None
        return answers.Result(
            outcome=view.outcome,
            holder=view.holder,
            holder_masked=view.masked,
            card=view.card,
            activation=view.activation,
            activation_id=view.activation_id,
            confirmation=_confirmation(view.confirmation),
            completed_at=view.completed_at,
            receipt=self._receipts.receipt(view),
        )

    def activation(
        self, record: saga.Activation, next_try_at: str | None = None
    ) -> answers.Activation:
        """A durable record."""
        origin, refusal = record.origin, record.refusal
        return answers.Activation(
            id=origin.intent_id,
            state=record.state.value,
            activation_id=record.activation_id,
            attempt=record.attempt,
            sends=record.sends,
            transaction=origin.transaction_id,
            scenario=origin.scenario,
            pos_ref=origin.pos_ref,
            operator_ref=origin.operator_ref,
            institution=origin.institution,
            profile=origin.profile,
            test_data=origin.test_data,
            received_at=origin.received_at,
            changed_at=record.changed_at,
            confirmation=_confirmation(record.confirmation),
            refusal=answers.CentreWords(**asdict(refusal)) if refusal else None,
            problem=self._problem(record.problem, origin.trace_id),
            superseded_by=record.superseded_by,
            sent_as=record.sent_as,
            sent_at=record.sent_at or None,
            next_try_at=next_try_at,
            needs_a_person=saga.needs_a_person(record),
            settlement=_settlement(record.settlement),
            trace_id=origin.trace_id,
        )

    def readers(
        self,
        views: tuple[ReaderView, ...],
        troubles: tuple[Problem, ...],
        trace_id: str,
    ) -> answers.Readers:
        """Every reader, and why some cannot be asked."""
        return answers.Readers(
            readers=[self.reader(view, trace_id) for view in views],
            problems=[self.catalogue.answer(each, trace_id) for each in troubles],
        )

    def reader(self, view: ReaderView, trace_id: str) -> answers.Reader:
        """One of them."""
        card = None
        if view.insertion_id is not None:
            card = answers.CardInReader(
                insertion_id=view.insertion_id,
                left_behind=view.left_behind,
                role=_role(view.role) if view.role else None,
                accepted=view.accepted,
            )
        return answers.Reader(
            id=view.id,
            name=view.name,
            transport=view.transport,
            role="psam" if view.is_psam else "patient",
            state=view.state.value,
            slot=view.slot.value,
            card=card,
            last_problem=view.problem.code if view.problem else None,
            problem=self._problem(view.problem, trace_id),
            problem_since=view.problem_since,
            transaction=view.transaction,
        )

    def self_test(self, found: Tested, trace_id: str) -> answers.SelfTest:
        """What came of reading a card to see whether it can be read."""
        return answers.SelfTest(
            ok=found.problem is None,
            reader=self.reader(found.reader, trace_id),
            card=_tested_card(found.card) if found.card else None,
            problem=self._problem(found.problem, trace_id),
            milliseconds=found.milliseconds,
        )

    def readiness(self, found: tuple[Finding, ...], trace_id: str) -> answers.Readiness:
        """The checks; ready when everything required is in order."""
        checks = [
            answers.Check(
                name=each.name,
                title=self._checks.texts("title", each.name),
                ok=each.ok,
                required=each.required,
                detail=each.detail,
                since=each.since,
                problem=self._problem(each.problem, trace_id),
            )
            for each in found
        ]
        ready = all(each.ok or not each.required for each in checks)
        return answers.Readiness(ready=ready, checks=checks)

    def catalogue_list(self) -> answers.CatalogueList:
        """Every problem the agent can name."""
        errors = [
            answers.CatalogueEntry(
                code=entry.code,
                http=entry.http,
                category=entry.category,
                retry=entry.retry,
                action=entry.action,
                messages=entry.messages({}),
                remedy=self.catalogue.remedy(entry, {}),
                way_back=self.catalogue.way_back(entry),
            )
            for entry in self.catalogue
        ]
        return answers.CatalogueList(errors=errors)

    def _problem(
        self, problem: Problem | None, trace_id: str
    ) -> answers.Problem | None:
        return self.catalogue.answer(problem, trace_id) if problem else None


def _role(role: Role) -> Literal["medical", "social_security"]:
    return "medical" if role is Role.MEDICAL else "social_security"


def _tested_card(card: TestedCard) -> answers.TestedCard:
    return answers.TestedCard(
        role=_role(card.role),
        kind=card.kind,
        warnings=list(card.warnings),
    )


def _expectation(view: TransactionView) -> answers.Expectation | None:
    if view.pin is not None:
        return _pin_expectation(view.role, view.pin)
    what = _EXPECTED.get(view.state)
    return answers.Expectation(what=what, role=view.role) if what else None


def _pin_expectation(role: str | None, asked: PinShown) -> answers.Expectation | None:
    """Nothing while the card has the word; on a keypad the holder still types."""
    if asked.at_work and not asked.on_reader:
        return None
    return answers.Expectation(
        what="pin",
        role=role,
        entry="new" if asked.entry == "new" else "verify",
        on_reader=asked.on_reader,
        digits_min=asked.digits_min,
        digits_max=asked.digits_max,
        tries_left=asked.tries_left,
        last_try=asked.last_try,
    )


def _confirmation(found: saga.Confirmation | None) -> answers.Confirmation | None:
    return answers.Confirmation(**asdict(found)) if found else None


def _settlement(found: saga.Settlement | None) -> answers.Settlement | None:
    if found is None:
        return None
    return answers.Settlement(
        verdict="active" if found.verdict is saga.Verdict.ACTIVE else "rejected",
        reason=found.reason,
        operator_ref=found.operator_ref,
        at=found.at,
    )

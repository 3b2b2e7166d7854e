"""One example of everything that is said and answered, for the description: values of the real
shapes, put into words by the real rendering, so that they cannot differ from what is sent.
The person and the sale are made up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, json

from drivers.ports import SlotState
from plugin.activation import desk, saga
from plugin.activation.desk import Action, Clock
from plugin.activation.problem import Problem
from plugin.agent.doctor import Finding
from plugin.agent.readers import ReaderView
from plugin.agent.views import CardShown, Holder, TransactionView
from plugin.api import answers, requests
from plugin.api.rendering import Rendering

INTENT = "0198a1b2-c3d4-7000-8000-0123456789ab"
READER = "r-0a1b2c3d4e5f"
TRACE = "0f1e2d3c4b5a6978"
_THEN, _LATER = "2026-03-02T09:30:00+08:00", "2026-03-02T09:32:00+08:00"
_HOLDER = Holder(
    masked=True,
    social_security_number="999901********0007",
    name="张*",
    sex="1",
    birth_date=None,
    card_number="*****1234",
    card_identification_code=None,
    basic_info=None,
)
_ORIGIN = saga.Origin(
    intent_id=INTENT,
    client_id="pos-1",
    scenario="pharmacy",
    institution="P3301",
    profile="reference@1",
    pos_ref="sale-4711",
    operator_ref="clerk-7",
    trace_id=TRACE,
    received_at=_THEN,
)
_SOUND = Finding(name="journal", required=True, since=_THEN)
_MISSING = Finding(
    name="reader", required=True, problem=Problem("reader.none"), since=_THEN
)
_FACTS = {  # what stands in the sentences of problems
    "free": "12 MiB",
    "scenario": "inpatient_registration",
    "scope": "activate",
    "seconds": "12",
    "state": "committing",
}


def of_problem(rendering: Rendering, code: str) -> dict[str, Any]:
    """A refusal with this code, as it is sent."""
    return rendering.catalogue.body(Problem(code, _FACTS), TRACE)


def of_shapes(
    rendering: Rendering,
) -> Mapping[type | tuple[type, int], dict[str, Any]]:
    """An example of every shape, as it is sent; with a status, where it is sent with that
    one too and says something else."""
    values: Iterable[Struct] = (*_said(), *_answered(rendering))
    found: dict[type | tuple[type, int], dict[str, Any]] = {
        type(value): _sent(value) for value in values
    }
    not_ready = rendering.readiness((_SOUND, _MISSING), TRACE)
    return found | {(answers.Readiness, 503): _sent(not_ready)}


def _sent(value: Struct) -> dict[str, Any]:
    sent: dict[str, Any] = json.decode(json.encode(value))
    return sent


def _said() -> Iterable[Struct]:
    transaction = saga.transaction_of(INTENT)
    yield requests.Nothing()
    yield requests.StartTransaction(
        kind="activation",
        scenario="pharmacy",
        pos_ref="sale-4711",
        operator_ref="clerk-7",
        readers=[READER],
    )
    yield requests.GivePin(pin="123456", seq=12)
    yield requests.Settle(
        verdict="active",
        reason="the centre's people see it as active since this morning",
        operator_ref="clerk-7",
    )
    yield requests.InsertCard(card="lin.social_security")
    yield requests.OneTransaction(transaction_id=transaction)
    yield requests.Snapshot(transaction_id=transaction, wait=25, after_seq=3)
    yield requests.Chosen(pos_ref="sale-4711", state="waiting_card")
    yield requests.OneActivation(intent_id=INTENT)
    yield requests.Newest(limit=20)
    yield requests.OneReader(reader_id=READER)


def _answered(rendering: Rendering) -> Iterable[Struct]:
    transaction = rendering.transaction(_view())
    activation = rendering.activation(_record())
    yield transaction
    yield answers.Transactions(transactions=[transaction])
    yield activation
    yield answers.Activations(activations=[activation])
    yield rendering.readers((_reader(),), (), TRACE)
    ready = rendering.readiness((_SOUND,), TRACE)
    yield ready
    errors = rendering.catalogue_list().errors
    yield answers.CatalogueList(
        errors=[each for each in errors if each.code == "card.lost"]
    )
    yield answers.Cast(
        cards=["lin.medical", "lin.social_security"],
        readers=[answers.SimulatedReader(id=READER, name="Simulated Reader 1")],
    )
    yield _event()
    yield (agent := _agent())
    yield _diagnostics(agent, rendering, ready.checks)


def _view() -> TransactionView:
    """Both cards have been read; the operator is asked."""
    return TransactionView(
        origin=_ORIGIN,
        kind="activation",
        seq=7,
        state=desk.WaitingConfirm.name,
        clock=Clock.CONFIRM,
        deadline=_LATER,
        allowed=frozenset({Action.CANCEL, Action.CONFIRM}),
        activation=INTENT,
        holder=_HOLDER,
        masked=_HOLDER,
        card=CardShown(
            region_code="999901",
            spec_version="3.00",
            issue_date="2026-01-15",
            expiry_date="2036-01-14",
            warnings=(),
        ),
    )


def _record() -> saga.Activation:
    by = saga.Confirmation(by="answer", adopted=False, since="2026-03-02")
    return saga.Activation(
        origin=_ORIGIN,
        state=saga.ActivationState.ACTIVE,
        attempt=1,
        sends=1,
        activation_id="9f2c4e6a8b0d1f3557799bbddff01234",
        confirmation=by,
        changed_at=_LATER,
        sent_as="9f2c4e6a8b0d1f3557799bbddff01234",
    )


def _reader() -> ReaderView:
    return ReaderView(
        id=READER,
        name="Generic Reader 00 00",
        transport="pcsc",
        slot=SlotState.PRESENT,
        insertion_id="i-0123456789abcdef",
        reading=False,
        left_behind=False,
        last_problem=None,
        is_psam=False,
    )


def _event() -> answers.Event:
    return answers.Event(
        id=4_711,
        type="transaction.changed",
        time=_THEN,
        subject=f"transactions/{saga.transaction_of(INTENT)}",
        trace_id=TRACE,
        data={"state": desk.WaitingConfirm.name, "seq": 7, "test_data": False},
    )


def _agent() -> answers.Agent:
    return answers.Agent(
        name="kaqi",
        version="1.0.0",
        api_versions=["v1"],
        mode="production",
        instance_id="0123456789abcdef",
        region_profile=answers.Profile(id="reference", version="1"),
        capabilities=["activation", "dry_run", "events", "settle"],
    )


def _diagnostics(
    agent: answers.Agent, rendering: Rendering, checks: list[answers.Check]
) -> answers.Diagnostics:
    mute = rendering.catalogue.answer(Problem("card.mute"), TRACE)
    labels = {"type": "activation", "outcome": "activated", "code": ""}
    return answers.Diagnostics(
        agent=agent,
        python="3.11.2",
        system="Windows 10 AMD64",
        started_at=_THEN,
        uptime_s=86_400.5,
        time=_LATER,
        safe_mode=False,
        disk_free_mib=120_000,
        readers=[
            answers.ReaderHealth(
                id=READER,
                name="Generic Reader 00 00",
                transport="pcsc",
                role="patient",
                state="ready",
                slot="mute",
                problem=mute,
            )
        ],
        problems=[],
        checks=checks,
        activations={"SENDING": 1},
        counts=[answers.Count(name="transactions", labels=labels, value=42)],
        settings=answers.SettingsShown(
            institution="P3301",
            institution_kind="pharmacy",
            port=15_274,
            origins=["https://his.example"],
            centre_address="https://centre.example",
            centre_credential=True,
            psam_reader="SAM",
            terminal_device="",
            serial=["ccid:COM3"],
            personal_days=30,
            record_days=400,
        ),
    )

"""One example of everything that is said and answered, for the description: values of the real
shapes, put into words by the real rendering, so that they cannot differ from what is sent.
The person and the sale are made up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, json
from msgspec.structs import replace

from drivers.ports import SlotState
from plugin.activation import desk, saga
from plugin.activation.desk import Action, Clock
from plugin.activation.problem import Problem
from plugin.activation.region import Role
from plugin.agent.doctor import Finding
from plugin.agent.readers import ReaderState, ReaderView
from plugin.agent.views import CardShown, Holder, TransactionView
from plugin.api import answers, requests
from plugin.api.rendering import Rendering

INTENT = "0198a1b2-c3d4-7000-8000-0123456789ab"
READER = "r-0a1b2c3d4e5f"
STAY = "i-0123456789abcdef"
PAIRING = "p-0123abcd"
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
    yield requests.OneStay(insertion_id=STAY)
    yield from _said_at_the_door()
    yield requests.AtCommand(at=3)
    yield requests.Tear(at=3, answer_lost=True)
    yield requests.Hang(at=3, seconds=10)
    yield requests.TypeOnReader(digits="123456")
    slow = requests.CentreFault(fault="slow", operation="activations", seconds=5)
    yield requests.CentreFaults(faults=[slow])


def _said_at_the_door() -> Iterable[Struct]:
    yield requests.AskPairing(
        client="pos-1", scopes=["read", "activate"], version="4.2"
    )
    yield requests.ApprovePairing(code="314159")
    yield requests.SayHello(client_id="pos-1", nonce="0f" * 32)
    yield requests.MakeCode(seconds=300)
    yield requests.OpenConsole(code="5b" * 32)
    yield requests.OnePairing(pairing_id=PAIRING)
    yield requests.OneClient(client_id="pos-1")


def _answered(rendering: Rendering) -> Iterable[Struct]:
    transaction = rendering.transaction(_view())
    activation = rendering.activation(_record())
    yield transaction
    yield answers.Transactions(transactions=[transaction])
    yield activation
    yield answers.Activations(activations=[activation], next=None)
    yield rendering.readers((_reader(),), (), TRACE)
    ready = rendering.readiness((_SOUND,), TRACE)
    yield ready
    errors = rendering.catalogue_list().errors
    yield answers.CatalogueList(
        errors=[each for each in errors if each.code == "card.lost"]
    )
    card = answers.CastCard(
        name="lin.social_security",
        person="lin",
        kind="social_security",
        medium="processor",
        label=answers.Texts(
            chinese="某人的社会保障卡", english="somebody's social security card"
        ),
        story=answers.Texts(chinese="可以启用", english="can be activated"),
        pin="135792",
    )
    there = answers.SimulatedReader(
        id=READER,
        name="Simulated Reader 1",
        attached=True,
        slot="present",
        card=card.name,
        planned=answers.PlannedMishap(mishap="pull", at=3, seconds=0.0),
        mishaps=["hang", "lose_answer", "pull", "reset"],
        has_plug=True,
        keypad_asks=None,
    )
    yield answers.Cast(cards=[card.name], cast=[card], readers=[there])
    yield answers.CentreBooks(
        today="2026-01-02", faults=[], activations=[], received={"activations": 1}
    )
    yield from _answered_at_the_door()
    tested = answers.TestedCard(role="social_security", kind="2.00", warnings=[])
    seen = rendering.reader(_reader(), TRACE)
    yield answers.SelfTest(
        ok=True, reader=seen, card=tested, problem=None, milliseconds=412
    )
    yield seen
    yield answers.Presence(present=True)
    yield _event()
    yield _region()
    yield (agent := _agent())
    yield _diagnostics(agent, rendering, ready.checks)


def _answered_at_the_door() -> Iterable[Struct]:
    scopes = ["activate", "read"]
    yield answers.PairingBegun(
        id=PAIRING,
        code="314159",
        secret="5b" * 32,
        expires_at=_LATER,
        expires_in=300,
        poll_seconds=2,
    )
    yield answers.PairingSeen(
        id=PAIRING,
        state="approved",
        client_id="pos-1",
        scopes=scopes,
        expires_at=_LATER,
        token="pos-1~" + "A" * 43,
    )
    pairing = answers.Pairing(
        id=PAIRING,
        client="pos-1",
        version="4.2",
        scopes=scopes,
        origin=None,
        state="waiting",
        asked_at=_THEN,
        expires_at=_LATER,
        replaces=False,
        tries_left=5,
    )
    yield pairing
    yield answers.Pairings(pairings=[pairing])
    client = answers.PairedClient(id="pos-1", scopes=scopes, origin="", paired_at=_THEN)
    yield answers.PairedClients(clients=[client])
    yield answers.Hello(proof="9f" * 32)
    yield answers.ConsoleCode(code="5b" * 32, expires_in=60)
    yield answers.ConsoleSession(
        client_id="console", token="console~" + "5b" * 32, scopes=scopes
    )


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
        sent_at=_LATER,
    )


def _reader() -> ReaderView:
    return ReaderView(
        id=READER,
        name="Generic Reader 00 00",
        transport="pcsc",
        slot=SlotState.PRESENT,
        insertion_id="i-0123456789abcdef",
        state=ReaderState.READY,
        left_behind=False,
        problem=None,
        is_psam=False,
        role=Role.SOCIAL_SECURITY,
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
        institution="前进大药房",
        region_profile=answers.Profile(id="reference", version="1"),
        scenarios=["pharmacy"],
        capabilities=["activation", "dry_run", "events", "settle"],
    )


def _region() -> answers.Region:
    insert = answers.RegionStep(
        key="waiting_card.social_security",
        actor="holder",
        who=answers.Texts(chinese="持卡人", english="The holder"),
        does=answers.Texts(chinese="插卡", english="puts the card in"),
        reads=answers.Texts(
            chinese="请插入社会保障卡", english="Insert the social security card"
        ),
    )
    way = answers.RegionWay(
        kind="pharmacy",
        scenario="pharmacy",
        activation_by="centre",
        place=answers.Texts(chinese="药店", english="Pharmacy"),
        name=answers.Texts(chinese="药店窗口", english="pharmacy counter"),
        steps=[insert],
        one_reader=[],
        by=answers.Texts(chinese="中心答复后即启用。", english="The centre says yes."),
        lost=answers.Texts(chinese="卡启自己问清。", english="kaqi asks by itself."),
        ends=[],
    )
    return answers.Region(
        id="reference",
        version="1",
        name=answers.Texts(chinese="参考规则", english="Reference rules"),
        ways=[way],
        pins=[],
        windows=[],
        holders=[answers.Texts(chinese="不限年龄。", english="There is no age limit.")],
    )


def _diagnostics(
    agent: answers.Agent, rendering: Rendering, checks: list[answers.Check]
) -> answers.Diagnostics:
    mute = Problem("card.mute")
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
        log_folder=r"C:\ProgramData\kaqi\logs",
        readers=[rendering.reader(replace(_reader(), problem=mute), TRACE)],
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

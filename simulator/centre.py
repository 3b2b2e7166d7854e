"""The simulated insurance centre: an HTTP server of its own, in a process of its own.

    python -m simulator.centre --port 0

prints one line of JSON with its address and serves until its standard input closes. It
judges by the cast's records, counts every effect, and can be told under /simulation to be
slow, to lose requests or answers, to refuse, or to answer nonsense. Refusals are never
remembered against a card; the same message gets the same answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar

import uvicorn
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from simulator.card.cryptography import (
    IRK_MASTER,
    READ_MASTER,
    Algorithm,
    cryptogram,
    derived,
)
from simulator.people import CAST, UNKNOWN_CARD, Person, Record, Standing

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Strict(BaseModel):
    """Unknown fields are an error on both sides."""

    model_config = ConfigDict(extra="forbid")


class Words(Strict):
    """The centre's own words."""

    code: str
    text: str


class CardOnWire(Strict):
    """A social security card as it was read."""

    identification_code: str
    card_number: str | None
    issue_date: date | None
    social_security_number: str
    name: str | None


class MedicalOnWire(Strict):
    """An old card as it was read."""

    kind: str
    number: str | None
    social_security_number: str | None


class StatusQuestion(Strict):
    """How does this card stand?"""

    institution: str
    card: CardOnWire


class MatchQuestion(StatusQuestion):
    """Does the old card belong to the new card's holder?"""

    medical_card: MedicalOnWire


class ActivationMessage(Strict):
    """Activate this card."""

    activation_id: str = Field(pattern="^[0-9a-f]{64}$")
    institution: str
    scenario: str
    operator_ref: str | None
    card: CardOnWire
    medical_card: MedicalOnWire | None


Random = Annotated[str, Field(pattern="^[0-9A-F]{16}$")]


class HsmQuestion(Strict):
    """Step 1 of an authentication: what the terminal knows of the card, and its randoms."""

    institution: str
    region: str
    historical_bytes: Annotated[str, Field(pattern="^([0-9A-F]{2}){8,15}$")]
    algorithm: Literal["3des", "sm4"]
    identification_code: str
    internal_process: Random
    internal_original: Random
    external_process: Random
    external_original: Random


class ActivationQuestion(StatusQuestion):
    """What became of this activation?"""

    activation_id: str


class Echo(Strict):
    """Every answer repeats what it answers."""

    message_id: str
    institution: str


class StatusAnswer(Echo):
    """How a card stands today."""

    standing: Standing
    today: date
    handed_over: date | None
    financial_enabled: bool
    since: str | None
    channel: str | None
    words: Words | None


class MatchAnswer(Echo):
    """Yes or no."""

    same_person: bool


class HsmAnswer(Echo):
    """Step 2: the cryptograms, each with the original it was made for."""

    internal: Random
    internal_original: Random
    external: Random
    external_original: Random


class Truth(Echo):
    """What is true now: `active_under` names the id or channel that made it so."""

    activation_id: str
    active_under: str | None = None
    since: str | None = None
    channel: str | None = None
    receipt_no: str | None = None


class ActivationAnswer(Truth):
    """What came of a message."""

    result: Literal["active", "refused"]
    refusal: Words | None = None


class StatusOfId(Truth):
    """What became of an id. A refusal is not remembered: then nothing is found."""

    result: Literal["active", "not_found"]


Kind = TypeVar("Kind", bound=Truth)


class Fault(StrEnum):
    """How this centre can misbehave."""

    LOSE_REQUEST = "lose_request"  # hang up before anything happens
    LOSE_ANSWER = "lose_answer"  # do it, then hang up
    SILENCE = "silence"  # do it, and never answer
    SLOW = "slow"  # do it, answer late
    REFUSE = "refuse"
    ERROR_AFTER_EFFECT = "error_after_effect"  # do it, say 500
    WRONG_ECHO = "wrong_echo"  # do it, answer for somebody else
    NONSENSE = "nonsense"  # do it, answer a login page


class FaultOrder(Strict):
    """Misbehave `times` times (without end when absent) at paths ending in `operation`."""

    fault: Fault
    operation: str = ""
    times: int | None = Field(default=None, ge=1)
    seconds: float = Field(default=1.0, ge=0, le=3600)
    echo: Literal[
        "message_id", "institution", "activation_id", "internal_original", "external"
    ] = "message_id"
    words: Words = Words(code="9", text="中心暂不受理")


class StandingOrder(Strict):
    """Change how a person's card stands."""

    standing: Standing


@dataclass
class Books:
    """What the centre knows and has done."""

    today: date
    records: dict[str, Record] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    active_under: dict[str, str] = field(default_factory=dict)
    effects: list[dict[str, str]] = field(default_factory=list)
    answers: dict[str, ActivationAnswer] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)
    faults: list[FaultOrder] = field(default_factory=list)

    def open(self) -> None:
        """Start again with the cast as it was."""
        self.people = {p.social_security.identification_code: p for p in CAST}
        self.records = {code: p.record for code, p in self.people.items()}
        self.active_under = {
            code: f"channel:{record.channel}"
            for code, record in self.records.items()
            if record.standing is Standing.ACTIVE
        }
        self.effects.clear()
        self.answers.clear()
        self.received.clear()
        self.faults.clear()

    def fault_at(self, path: str) -> FaultOrder | None:
        """The first order that fits this path, used up by one."""
        for order in self.faults:
            if path.endswith(order.operation):
                if order.times is not None:
                    order.times -= 1
                    if not order.times:
                        self.faults.remove(order)
                return order
        return None

    def activate(
        self, message: ActivationMessage, message_id: str, refusing: Words | None
    ) -> ActivationAnswer:
        """Judge one message; only an effect is remembered."""
        if message_id not in self.answers:
            self.answers[message_id] = self._judged(message, message_id, refusing)
        return self.answers[message_id]

    def _judged(
        self, message: ActivationMessage, message_id: str, refusing: Words | None
    ) -> ActivationAnswer:
        code = message.card.identification_code
        refusal = refusing or self._objection(message)
        if code not in self.active_under and refusal is not None:
            return ActivationAnswer(
                message_id=message_id,
                institution=message.institution,
                activation_id=message.activation_id,
                result="refused",
                refusal=refusal,
            )
        if code not in self.active_under:
            self._take_effect(message, message_id)
        return self.active(
            ActivationAnswer,
            message.activation_id,
            code,
            message_id,
            message.institution,
        )

    def _take_effect(self, message: ActivationMessage, message_id: str) -> None:
        code = message.card.identification_code
        self.active_under[code] = message.activation_id
        self.records[code] = replace(
            self.records[code],
            standing=Standing.ACTIVE,
            since=self.today.isoformat(),
            channel=message.scenario,
        )
        self.effects.append(
            {
                "activation_id": message.activation_id,
                "identification_code": code,
                "institution": message.institution,
                "message_id": message_id,
                "receipt_no": f"R{len(self.effects) + 1:08d}",
            }
        )

    def _objection(self, message: ActivationMessage) -> Words | None:
        code = message.card.identification_code
        record, person = self.records.get(code), self.people.get(code)
        if record is None or person is None:
            return Words(code="1", text="查无此卡")
        number = person.holder.social_security_number
        if message.card.social_security_number != number:
            return Words(code="5", text="社会保障号码与卡不符")
        if message.medical_card is not None and not self.owns(
            number, message.medical_card
        ):
            return Words(code="6", text="旧卡与新卡不是同一人")
        if record.standing is not Standing.INACTIVE:
            shown = record.words or ("9", "该卡状态不允许启用")
            return Words(code=shown[0], text=shown[1])
        return None

    def owns(self, number: str, medical: MedicalOnWire) -> bool:
        """Whether this old card belongs to the person with this number."""
        owner = next((p for p in CAST if p.old_card_number == medical.number), None)
        return owner is not None and owner.holder.social_security_number == number

    def active(
        self,
        kind: type[Kind],
        activation_id: str,
        code: str,
        message_id: str,
        institution: str,
    ) -> Kind:
        """The truth about a card that is active."""
        record = self.records[code]
        receipts = (e for e in self.effects if e["identification_code"] == code)
        receipt = next(receipts, None)
        return kind.model_validate(
            {
                "message_id": message_id,
                "institution": institution,
                "activation_id": activation_id,
                "result": "active",
                "active_under": self.active_under[code],
                "since": record.since,
                "channel": record.channel,
                "receipt_no": receipt["receipt_no"] if receipt else None,
            }
        )

    def status(self, question: StatusQuestion, message_id: str) -> StatusAnswer:
        """How a card stands today."""
        code = question.card.identification_code
        record = self.records.get(code, UNKNOWN_CARD)
        words = (
            Words(code=record.words[0], text=record.words[1]) if record.words else None
        )
        return StatusAnswer(
            message_id=message_id,
            institution=question.institution,
            standing=record.standing,
            today=self.today,
            handed_over=record.handed_over(self.today),
            financial_enabled=record.financial_enabled,
            since=record.since,
            channel=record.channel,
            words=words,
        )

    def what_became_of(
        self, question: ActivationQuestion, message_id: str
    ) -> StatusOfId:
        """Whether the card is active, and under which id."""
        code = question.card.identification_code
        if code in self.active_under:
            return self.active(
                StatusOfId,
                question.activation_id,
                code,
                message_id,
                question.institution,
            )
        return StatusOfId(
            message_id=message_id,
            institution=question.institution,
            activation_id=question.activation_id,
            result="not_found",
        )


refusing_with: ContextVar[Words | None] = ContextVar("refusing_with", default=None)
MessageId = Annotated[str, Header(min_length=1, max_length=100)]


def build(today: date) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The centre as an ASGI application."""
    books = Books(today)
    books.open()
    app = FastAPI(title="kaqi reference centre", version="1", docs_url=None)

    @app.post("/v1/card-status")
    async def card_status(
        question: StatusQuestion, message_id: MessageId
    ) -> StatusAnswer:
        return books.status(question, message_id)

    @app.post("/v1/match")
    async def match(question: MatchQuestion, message_id: MessageId) -> MatchAnswer:
        same = books.owns(question.card.social_security_number, question.medical_card)
        return MatchAnswer(
            message_id=message_id, institution=question.institution, same_person=same
        )

    @app.post("/v1/activations")
    async def activate(
        message: ActivationMessage, message_id: MessageId
    ) -> ActivationAnswer:
        return books.activate(message, message_id, refusing_with.get())

    @app.post("/v1/activation-status")
    async def activation_status(
        question: ActivationQuestion, message_id: MessageId
    ) -> StatusOfId:
        return books.what_became_of(question, message_id)

    @app.post("/v1/authenticate")
    async def authenticate(question: HsmQuestion, message_id: MessageId) -> HsmAnswer:
        return _cryptograms(question, message_id)

    @app.get("/healthz", status_code=204)
    async def healthz() -> None:
        """Somebody is there."""

    _add_simulation_routes(app, books)
    return Misbehaviour(app, books)


def _cryptograms(question: HsmQuestion, message_id: str) -> HsmAnswer:
    """What an HSM with the invented masters computes, one level of derivation."""
    algorithm = {"3des": Algorithm.DES3, "sm4": Algorithm.SM4}[question.algorithm]
    factor = bytes.fromhex(question.historical_bytes)[-8:]

    def made(master: bytes, process: str, original: str) -> str:
        key = derived(master, (factor,), algorithm)
        randoms = bytes.fromhex(process), bytes.fromhex(original)
        return cryptogram(key, *randoms, algorithm).hex().upper()

    return HsmAnswer(
        message_id=message_id,
        institution=question.institution,
        internal=made(
            IRK_MASTER, question.internal_process, question.internal_original
        ),
        internal_original=question.internal_original,
        external=made(
            READ_MASTER, question.external_process, question.external_original
        ),
        external_original=question.external_original,
    )


def _add_simulation_routes(app: FastAPI, books: Books) -> None:
    @app.post("/simulation/faults", status_code=204, tags=["simulation"])
    async def misbehave(order: FaultOrder) -> None:
        books.faults.append(order)

    @app.delete("/simulation/faults", status_code=204, tags=["simulation"])
    async def behave() -> None:
        books.faults.clear()

    @app.post("/simulation/people/{key}", status_code=204, tags=["simulation"])
    async def set_standing(key: str, order: StandingOrder) -> None:
        for code, person in books.people.items():
            if person.key == key:
                changed = replace(books.records[code], standing=order.standing)
                books.records[code] = changed
                return
        raise HTTPException(404, "nobody of that name")

    @app.post("/simulation/reset", status_code=204, tags=["simulation"])
    async def reset() -> None:
        books.open()

    @app.get("/simulation/books", tags=["simulation"])
    async def show() -> dict[str, Any]:
        return {"effects": books.effects, "received": books.received}


class Misbehaviour:
    """Carries out the faults that were ordered, around the honest application."""

    def __init__(self, app: FastAPI, books: Books) -> None:
        self._app = app
        self._books = books

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        name = path.removeprefix("/v1/")
        self._books.received[name] = self._books.received.get(name, 0) + 1
        order = self._books.fault_at(path)
        if order is None:
            await self._app(scope, receive, send)
        else:
            await self._misbehave(order, scope, receive, send)

    async def _misbehave(
        self, order: FaultOrder, scope: Scope, receive: Receive, send: Send
    ) -> None:
        match order.fault:
            case Fault.LOSE_REQUEST:
                _hang_up(receive)
            case Fault.REFUSE:
                refusing_with.set(order.words)
                await self._app(scope, receive, send)
            case Fault.SLOW:
                await asyncio.sleep(order.seconds)
                await self._app(scope, receive, send)
            case Fault.LOSE_ANSWER:
                await self._app(scope, receive, _nowhere)
                _hang_up(receive)
            case Fault.SILENCE:
                await self._app(scope, receive, _nowhere)
                await asyncio.sleep(order.seconds)
                _hang_up(receive)
            case Fault.ERROR_AFTER_EFFECT:
                await self._app(scope, receive, _nowhere)
                await _answer(send, 500, b"{}", b"application/json")
            case Fault.WRONG_ECHO:
                await self._app(scope, receive, _echoing(order.echo, send))
            case Fault.NONSENSE:
                await self._app(scope, receive, _nowhere)
                await _answer(send, 200, b"<html>please log in</html>", b"text/html")


async def _nowhere(_: MutableMapping[str, Any]) -> None:
    """An answer that is lost."""


def _echoing(key: str, send: Send) -> Send:
    """An answer that is right but for one thing: whose answer it is."""

    async def another(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            another = (
                "0" * 16 if key in ("internal_original", "external") else "another"
            )
            body = json.dumps(json.loads(message["body"]) | {key: another}).encode()
            await _answer(send, 200, body, b"application/json")

    return another


def _hang_up(receive: Receive) -> None:
    """Drop the connection under uvicorn, which has no word for it."""
    receive.__self__.transport.abort()  # type: ignore[attr-defined]


async def _answer(send: Send, status: int, body: bytes, kind: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Serve on loopback until standard input closes."""
    parser = argparse.ArgumentParser(description="The simulated insurance centre.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--today", type=date.fromisoformat, default=date.today())  # noqa: DTZ011 - the centre's own date
    arguments = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", arguments.port))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    port = listener.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(build(arguments.today), log_level="critical", access_log=False)
    )

    def stop_with_parent() -> None:
        sys.stdin.buffer.read()
        server.should_exit = True
        server.force_exit = True

    threading.Thread(target=stop_with_parent, daemon=True).start()
    announcement = {"address": f"http://127.0.0.1:{port}", "pid": os.getpid()}
    try:
        sys.stdout.write(json.dumps(announcement) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        return  # whoever started us has gone
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()

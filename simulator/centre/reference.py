"""The reference dialect: JSON, idempotent by activation id."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Header

from simulator.card.cryptography import (
    IRK_MASTER,
    READ_MASTER,
    Algorithm,
    cryptogram,
    derived,
)
from simulator.centre.books import Books, Message
from simulator.centre.faults import refusing_with
from simulator.centre.wire import (
    ActivationAnswer,
    ActivationMessage,
    ActivationQuestion,
    HsmAnswer,
    HsmQuestion,
    Kind,
    MatchAnswer,
    MatchQuestion,
    StatusAnswer,
    StatusOfId,
    StatusQuestion,
    Words,
)

MessageId = Annotated[str, Header(min_length=1, max_length=100)]


def add_routes(app: FastAPI, books: Books) -> None:
    """Everything under /v1."""

    @app.post("/v1/card-status")
    async def card_status(
        question: StatusQuestion, message_id: MessageId
    ) -> StatusAnswer:
        return _status(books, question, message_id)

    @app.post("/v1/match")
    async def match(question: MatchQuestion, message_id: MessageId) -> MatchAnswer:
        number, old = question.card.social_security_number, question.medical_card.number
        return MatchAnswer(
            message_id=message_id,
            institution=question.institution,
            same_person=books.owns(number, old),
        )

    @app.post("/v1/activations")
    async def activate(
        message: ActivationMessage, message_id: MessageId
    ) -> ActivationAnswer:
        return _activation(books, message, message_id)

    @app.post("/v1/activation-status")
    async def activation_status(
        question: ActivationQuestion, message_id: MessageId
    ) -> StatusOfId:
        return _what_became_of(books, question, message_id)

    @app.post("/v1/authenticate")
    async def authenticate(question: HsmQuestion, message_id: MessageId) -> HsmAnswer:
        return _cryptograms(question, message_id)


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


def _status(books: Books, question: StatusQuestion, message_id: str) -> StatusAnswer:
    """How a card stands today."""
    record = books.record(question.card.identification_code)
    words = record.words
    return StatusAnswer(
        message_id=message_id,
        institution=question.institution,
        standing=record.standing,
        today=books.today,
        handed_over=record.handed_over(books.opened_on),
        financial_enabled=record.financial_enabled,
        first_replacement=record.first_replacement,
        since=record.since,
        channel=record.channel,
        words=Words(code=words[0], text=words[1]) if words else None,
    )


def _activation(
    books: Books, said: ActivationMessage, message_id: str
) -> ActivationAnswer:
    """The same message gets the same answer."""
    old = said.medical_card
    message = Message(
        activation_id=said.activation_id,
        message_id=message_id,
        institution=said.institution,
        channel=said.scenario,
        identification_code=said.card.identification_code,
        social_security_number=said.card.social_security_number,
        old_card_number=(old.number or "") if old else None,
    )
    books.note(message)
    if message_id not in books.answers:
        books.answers[message_id] = _judged(books, message)
    answer = books.answers[message_id]
    assert isinstance(answer, ActivationAnswer)  # noqa: S101 - nobody else writes here
    return answer


def _judged(books: Books, message: Message) -> ActivationAnswer:
    refusal = books.activate(message, refusing_with.get())
    if refusal is None:
        return _active(
            books,
            ActivationAnswer,
            message.activation_id,
            message.identification_code,
            message.message_id,
            message.institution,
        )
    return ActivationAnswer(
        message_id=message.message_id,
        institution=message.institution,
        activation_id=message.activation_id,
        result="refused",
        refusal=refusal,
    )


def _active(
    books: Books,
    kind: type[Kind],
    activation_id: str,
    code: str,
    message_id: str,
    institution: str,
) -> Kind:
    """The truth about a card that is active."""
    record = books.record(code)
    return kind.model_validate(
        {
            "message_id": message_id,
            "institution": institution,
            "activation_id": activation_id,
            "result": "active",
            "active_under": books.active_under[code],
            "since": record.since,
            "channel": record.channel,
            "receipt_no": books.receipt(code),
        }
    )


def _what_became_of(
    books: Books, question: ActivationQuestion, message_id: str
) -> StatusOfId:
    """Whether the card is active, and under which id."""
    code = question.card.identification_code
    if books.is_active(code):
        return _active(
            books,
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

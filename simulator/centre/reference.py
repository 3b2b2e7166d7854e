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
from simulator.centre.books import Books
from simulator.centre.faults import refusing_with
from simulator.centre.wire import (
    ActivationAnswer,
    ActivationMessage,
    ActivationQuestion,
    HsmAnswer,
    HsmQuestion,
    MatchAnswer,
    MatchQuestion,
    StatusAnswer,
    StatusOfId,
    StatusQuestion,
)

MessageId = Annotated[str, Header(min_length=1, max_length=100)]


def add_routes(app: FastAPI, books: Books) -> None:
    """Everything under /v1."""

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

"""What the centre knows, and how it judges."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date

from simulator.centre.faults import FaultOrder
from simulator.centre.wire import (
    ActivationAnswer,
    ActivationMessage,
    ActivationQuestion,
    Kind,
    MedicalOnWire,
    StatusAnswer,
    StatusOfId,
    StatusQuestion,
    Words,
)
from simulator.people import CAST, UNKNOWN_CARD, Person, Record, Standing


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

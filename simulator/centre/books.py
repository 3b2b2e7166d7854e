"""What the centre knows, and how it judges, whatever dialect it was asked in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import date

from simulator.centre.faults import FaultOrder, at_a_stale_site
from simulator.centre.wire import Words
from simulator.people import CAST, UNKNOWN_CARD, Person, Record, Standing

MINIMUM_AGE = 16


@dataclass(frozen=True, kw_only=True)
class Message:
    """One that activates a card. What it does not name is None."""

    activation_id: str
    message_id: str
    institution: str
    channel: str
    identification_code: str
    social_security_number: str | None
    old_card_number: str | None = None


@dataclass
class Books:
    """What the centre knows and has done. `messages` are those that activate, as they came;
    `answers` are what a dialect remembers by message; `late` are messages still on their
    way, `kept_back` lets go the answers that are slow."""

    opened_on: date
    today: date = field(init=False)
    records: dict[str, Record] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    active_under: dict[str, str] = field(default_factory=dict)
    effects: list[dict[str, str]] = field(default_factory=list)
    messages: list[dict[str, str]] = field(default_factory=list)
    answers: dict[str, object] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)
    faults: list[FaultOrder] = field(default_factory=list)
    late: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    kept_back: list[Callable[[], None]] = field(default_factory=list)
    edition: int = 0  # what was on its way to an earlier one is lost

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        """Start again with the cast as it was."""
        self.edition += 1
        self.today = self.opened_on
        self.people = {p.social_security.identification_code: p for p in CAST}
        self.records = {code: p.record for code, p in self.people.items()}
        self.active_under = {
            code: f"channel:{record.channel}"
            for code, record in self.records.items()
            if record.standing is Standing.ACTIVE
        }
        for written in (self.effects, self.messages, self.faults, self.late):
            written.clear()
        for counted in (self.answers, self.received):
            counted.clear()
        self.let_go()

    def let_go(self) -> None:
        """Nobody's answer is kept back any longer."""
        while self.kept_back:
            self.kept_back.pop()()

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

    def note(self, message: Message) -> None:
        """This message has come, whatever comes of it."""
        self.messages.append(
            {
                "activation_id": message.activation_id,
                "identification_code": message.identification_code,
                "message_id": message.message_id,
            }
        )

    def activate(self, message: Message, refusing: Words | None) -> Words | None:
        """Judge one message; only an effect is remembered. The centre's words, if it
        refuses."""
        if message.identification_code in self.active_under:
            return None
        refusal = refusing or self._objection(message)
        if refusal is None:
            self._take_effect(message)
        return refusal

    def _take_effect(self, message: Message) -> None:
        code = message.identification_code
        self.active_under[code] = message.activation_id
        self.records[code] = replace(
            self.records[code],
            standing=Standing.ACTIVE,
            since=self.today.isoformat(),
            channel=message.channel,
        )
        self.effects.append(
            {
                "activation_id": message.activation_id,
                "identification_code": code,
                "institution": message.institution,
                "message_id": message.message_id,
                "receipt_no": f"R{len(self.effects) + 1:08d}",
            }
        )

    def _objection(self, message: Message) -> Words | None:
        code = message.identification_code
        record, person = self.records.get(code), self.people.get(code)
        if record is None or person is None:
            return Words(code="1", text="查无此卡")
        number = person.holder.social_security_number
        if message.social_security_number not in (None, number):
            return Words(code="5", text="社会保障号码与卡的持有人不是同一人")
        old = message.old_card_number
        if old is not None and not self.owns(number, old):
            return Words(code="6", text="旧卡与新卡不是同一人")
        if record.standing is not Standing.INACTIVE:
            shown = record.words or ("9", "该卡状态不允许启用")
            return Words(code=shown[0], text=shown[1])
        if old is not None and record.old_card_lost:
            return Words(code="7", text="原医保卡已挂失")
        if _age(person.holder.born, self.today) < MINIMUM_AGE:
            return Words(
                code="8", text=f"未满{MINIMUM_AGE}周岁，请由监护人到服务网点办理"
            )
        return None

    def owns(self, number: str, old_card_number: str | None) -> bool:
        """Whether this old card belongs to the person with this number."""
        owner = next((p for p in CAST if p.old_card_number == old_card_number), None)
        return owner is not None and owner.holder.social_security_number == number

    def record(self, identification_code: str) -> Record:
        """How a card stands today, as far as the site that is asked has heard."""
        person = self.people.get(identification_code)
        if person is not None and at_a_stale_site.get():
            return person.record
        return self.records.get(identification_code, UNKNOWN_CARD)

    def is_active(self, identification_code: str) -> bool:
        """The same: whether it is active."""
        return identification_code in self.active_under and not at_a_stale_site.get()

    def receipt(self, identification_code: str) -> str | None:
        """The number under which this card was activated here, if it was."""
        written = (
            each["receipt_no"]
            for each in self.effects
            if each["identification_code"] == identification_code
        )
        return next(written, None)


def _age(born: date, today: date) -> int:
    """In whole years."""
    before_birthday = (today.month, today.day) < (born.month, born.day)
    return today.year - born.year - before_birthday

"""A cast of invented people with their cards, one for every outcome.

Their region 9999xx exists nowhere, they were born in the first years of the last century
(but for one child), and every given name begins with 试 (a trial). The agent refuses their cards unless it was
started to simulate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum

from simulator.card.cryptography import Algorithm
from simulator.card.engine import CardEngine
from simulator.card.image import Behaviour
from simulator.card.memory_card import Chip, MemoryCard, MemoryEngine
from simulator.card.other import BankCard
from simulator.card.personalise import identity_number
from simulator.card.resident_card import Holder, ResidentCard
from simulator.card.stripe import StripeCard, StripeOrder

REGION = "999901"
MEMORY_NUMBER = "9999010000000016"  # sixteen digits, packed
STRIPE_NUMBER = "9999010000000017"
MEDICAL_CARD_CLASS = "2"
SOCIAL_SECURITY, MEDICAL = "social_security", "medical"
Order = ResidentCard | MemoryCard | StripeOrder


class Standing(StrEnum):
    """How the centre sees a card."""

    NOT_HANDED_OUT = "not_handed_out"
    INACTIVE = "inactive"
    ACTIVE = "active"
    LOST = "lost"
    TEMPORARILY_LOST = "temporarily_lost"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the centre knows of a card.

    `handed_over_days_ago` counts back from the day the centre's books were opened; `words`
    (code, text) are what the centre says when it refuses; `first_replacement`: this card is
    the first to replace an old medical card, which may be reported lost.
    """

    standing: Standing = Standing.INACTIVE
    handed_over_days_ago: int | None = 40
    financial_enabled: bool = True
    since: str | None = None
    channel: str | None = None
    words: tuple[str, str] | None = None
    first_replacement: bool | None = True
    old_card_lost: bool = False

    def handed_over(self, opened: date) -> date | None:
        """The day the card was handed over, for books opened on this one."""
        if self.handed_over_days_ago is None:
            return None
        return opened - timedelta(days=self.handed_over_days_ago)


@dataclass(frozen=True, kw_only=True)
class Person:
    """One of the cast: the cards in the pocket, and the centre's record."""

    key: str
    social_security: ResidentCard
    medical: ResidentCard
    record: Record
    without_processor: MemoryCard | StripeOrder | None = None  # the old card instead

    @property
    def old_card_number(self) -> str:
        """What the old card says."""
        other = self.without_processor
        return other.number if other else self.medical.card_number

    @property
    def pin(self) -> str | None:
        """The PIN of both cards; None without one."""
        return self.social_security.pin

    @property
    def holder(self) -> Holder:
        """The person on the cards."""
        return self.social_security.holder

    def cards(self) -> dict[str, Order]:
        """The cards by their names on the table: `lin.medical`, `lin.social_security`."""
        return {
            f"{self.key}.{MEDICAL}": self.without_processor or self.medical,
            f"{self.key}.{SOCIAL_SECURITY}": self.social_security,
        }


ORDINARY = Record()
ACTIVE = Record(standing=Standing.ACTIVE, since="2026-03-02", channel="bank")
LOST = Record(standing=Standing.LOST, words=("2", "该卡已挂失，不能启用"))
CANCELLED = Record(standing=Standing.CANCELLED, words=("4", "该卡已注销"))
NOT_HANDED_OUT = Record(
    standing=Standing.NOT_HANDED_OUT,
    handed_over_days_ago=None,
    words=("0", "该卡尚未发放"),
)
HALF_A_YEAR_OVER = Record(handed_over_days_ago=200)
SUSPENDED = Record(
    standing=Standing.SUSPENDED,
    handed_over_days_ago=320,
    financial_enabled=False,
    words=("2", "金融账户逾期未激活，社保应用已挂失"),
)
EXPIRED = Record(standing=Standing.EXPIRED, words=("3", "该卡已过有效期"))
TEMPORARILY_LOST = Record(
    standing=Standing.TEMPORARILY_LOST, words=("B", "该卡已临时挂失")
)
SECOND_REPLACEMENT = Record(first_replacement=False)
OLD_CARD_LOST = Record(old_card_lost=True)

UNKNOWN_CARD = Record(
    standing=Standing.UNKNOWN,
    handed_over_days_ago=None,
    words=("1", "查无此卡"),
    first_replacement=None,
)


def _person(
    number: int,
    key: str,
    name: str,
    record: Record = ORDINARY,
    *,
    version: str = "2.00",
    algorithm: Algorithm = Algorithm.DES3,
    born: date | None = None,
) -> Person:
    born = born or date(1900 + number, 1 + number % 12, 1 + number)
    holder = Holder(
        social_security_number=identity_number(REGION, born, 100 + number),
        name=name,
        sex=str(2 - (100 + number) % 2),
        birthplace=REGION,
        born=born,
    )
    social_security = ResidentCard(
        holder=holder,
        region=REGION,
        serial=2_000_000 + number,
        version=version,
        algorithm=algorithm,
        issued=date(2026, 1, 15),
        expires=date(2036, 1, 14),
        number_body=f"T{2_000_000 + number}",
    )
    medical = replace(
        social_security,
        serial=1_000_000 + number,
        version="1.00",
        algorithm=Algorithm.DES3,
        card_class=MEDICAL_CARD_CLASS,
        issued=date(2009, 6, 1),
        expires=date(2029, 5, 31),
        number_body=f"Y{1_000_000 + number}",
    )
    return Person(
        key=key,
        social_security=social_security,
        medical=medical,
        record=record,
    )


_LONG_NAME = (
    "阿卜杜热合曼.试九图尔荪尼亚孜江"  # its 15th character straddles two records
)

CAST: tuple[Person, ...] = (
    _person(1, "lin", "林试一"),
    _person(2, "he", "贺试二", version="1.00"),
    _person(3, "tang", "唐试三", ACTIVE),
    _person(4, "luo", "罗试四", LOST),
    _person(5, "duan", "段试五", CANCELLED),
    _person(6, "wei", "魏试六", NOT_HANDED_OUT),
    _person(7, "bai", "白试七", HALF_A_YEAR_OVER),
    _person(8, "yan", "严试八", SUSPENDED),
    _person(9, "abu", _LONG_NAME),
    _person(10, "jie", "㛃试十"),
    _person(11, "gu", "顾试一一", EXPIRED),
    _person(12, "jiang", "蒋试一二", TEMPORARILY_LOST),
    _person(13, "qin", "秦试一三", version="3.00"),
    _person(
        14,
        "xu",
        "许试一四",
        version="3.00",
        algorithm=Algorithm.SM4,
    ),
)


def _with_memory_card(person: Person, chip: Chip) -> Person:
    """The same person with an old card that is memory only, laid out as the reference
    region says."""
    holder = person.holder
    number = {
        Chip.SLE4442: person.medical.card_number,
        Chip.SLE4428: MEMORY_NUMBER,
    }[chip]
    written = {
        Chip.SLE4442: {40: number.encode().ljust(15, b"\x00")},
        Chip.SLE4428: {
            32: bytes.fromhex(MEMORY_NUMBER),
            64: holder.social_security_number.encode(),
            96: holder.name.encode("gb18030").ljust(30, b"\x00"),
        },
    }[chip]
    old = MemoryCard(chip=chip, number=number, written=written)
    return replace(person, without_processor=old)


def _with_stripe(person: Person) -> Person:
    """The same person with an old card that is a magnetic stripe, as the reference region
    has them."""
    tracks = {1: f"B{STRIPE_NUMBER}^SHI/YI", 2: f"{STRIPE_NUMBER}=29051010000"}
    old = StripeOrder(number=STRIPE_NUMBER, tracks=tracks)
    return replace(person, without_processor=old)


CAST += (
    _with_memory_card(_person(15, "zhu", "朱试一五"), Chip.SLE4442),
    _with_memory_card(_person(16, "shen", "沈试一六"), Chip.SLE4428),
    _with_stripe(_person(17, "song", "宋试一七")),
)


def _with_pin(person: Person, pin: str | None, tries_spent: int = 0) -> Person:
    """The same person, with this PIN on both cards."""
    return replace(
        person,
        social_security=replace(
            person.social_security, pin=pin, tries_spent=tries_spent
        ),
        medical=replace(person.medical, pin=pin, tries_spent=tries_spent),
    )


CAST += (
    _with_pin(_person(23, "fang", "方试二三"), None),
    _with_pin(_person(18, "kong", "孔试一八"), "123456", 5),
    _with_pin(_person(19, "shi", "史试一九"), "123456", 6),
    _person(20, "tong", "童试二零", born=date(2020, 2, 29)),
    _person(21, "ji", "纪试二一", SECOND_REPLACEMENT),
    _person(22, "pan", "潘试二二", OLD_CARD_LOST),
)
PEOPLE: dict[str, Person] = {person.key: person for person in CAST}
ORDERS: dict[str, Order] = {
    name: card for person in CAST for name, card in person.cards().items()
}
CARDS: dict[str, ResidentCard] = {
    name: order for name, order in ORDERS.items() if isinstance(order, ResidentCard)
}


OTHERS: dict[str, Callable[[], MemoryEngine | BankCard]] = {
    "other.bank_card": BankCard,
    "other.memory_card": MemoryCard(chip=Chip.SLE4442, number="").engine,  # empty
}


def card(name: str) -> CardEngine | MemoryEngine | StripeCard | BankCard:
    """A fresh card of the cast, or one that is nobody's. Raises LookupError for an unknown
    name."""
    if name in OTHERS:
        return OTHERS[name]()
    order = ORDERS.get(name)
    if order is None:
        raise LookupError(f"there is no card named {name}")
    return engine(name) if isinstance(order, ResidentCard) else order.engine()


def engine(name: str, behaviour: Behaviour | None = None) -> CardEngine:
    """The same, of those with a processor."""
    if name not in CARDS:
        raise LookupError(
            f"nobody in the cast has a card with a processor named {name}"
        )
    return CardEngine(CARDS[name].image(), behaviour)

"""The situations a POS is put into: who comes to the counter, what goes wrong on the way,
and how it has to end. Their words, and those of the checks, are in texts/conformance.toml.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

START = "/v1/transactions"
HELLO = "/v1/hello"
CONFIRM = "/confirm"
ACKNOWLEDGE = "/acknowledge"
RETRY_AFTER = 1  # seconds
PIN = "123456"
POS = "pos"  # the client that is examined


class Does(StrEnum):
    """What somebody at the counter does."""

    INSERT = "insert"
    REMOVE = "remove"
    TEAR = "tear"  # pull the card at its n-th command
    RESTART = "restart"  # the agent
    OCCUPY = "occupy"  # another POS starts a transaction
    VACATE = "vacate"  # and cancels it
    SELL = "sell"  # the POS itself, which then ends before it has kept the result
    CENTRE = "centre"  # misbehaves from now on, or no longer


class Move(Struct, frozen=True, kw_only=True):
    """One act of somebody at the counter, as soon as the POS has been told `when` after what
    led to the act before: the key of a step, a state, or the code of a problem; at once
    when it is empty."""

    does: Does
    when: str = ""
    reader: int = 0
    card: str = ""
    at: int = 1
    faults: tuple[Mapping[str, Any], ...] = ()


class Mishap(StrEnum):
    """What happens to one request of the POS on its way."""

    LOSE_ANSWER = "lose_answer"  # it is carried out, and nothing comes back
    REFUSE = "refuse"  # 429 with Retry-After, and nothing is carried out


class Way(Struct, frozen=True, kw_only=True):
    """The first POST to a path that ends so meets this."""

    path: str
    mishap: Mishap


class Change(StrEnum):
    """How everything that the POS is told differs from today's."""

    WORDS = "words"  # every text has other words, every code is the same
    FIELDS = "fields"  # every object has a member more


class Outcome(StrEnum):
    """What a POS makes of a sale in the end."""

    ACTIVATED = "activated"
    ALREADY_ACTIVE = "already_active"
    NOT_ACTIVATED = "not_activated"
    PENDING = "pending"  # nobody knows yet, and it will be looked up


class Situation(Struct, frozen=True, kw_only=True):
    """One sale. `before` is done before the POS is told to sell; `shows` are the codes of
    problems that the operator must read about; `sales` is how many transactions the POS
    may start; `way_back` whether there is one to be shown."""

    key: str
    moves: tuple[Move, ...]
    before: tuple[Move, ...] = ()
    ways: tuple[Way, ...] = ()
    outcomes: frozenset[Outcome] = frozenset({Outcome.ACTIVATED})
    shows: tuple[str, ...] = ()
    sales: int = 1
    change: Change | None = None
    region: str | None = None
    pin: str | None = None
    way_back: bool = False
    scenario: str = "pharmacy"


def _couple(person: str, new_cards_person: str | None = None) -> tuple[Move, ...]:
    """The old card, and then the new one: somebody else's, where that is said."""
    return (_old_card(person), _new_card(new_cards_person or person))


def _old_card(person: str, when: str = "waiting_card.medical") -> Move:
    return Move(does=Does.INSERT, when=when, card=f"{person}.medical")


def _new_card(
    person: str, when: str = "waiting_card.social_security", reader: int = 1
) -> Move:
    card = f"{person}.social_security"
    return Move(does=Does.INSERT, when=when, reader=reader, card=card)


def _wrong_card_first(person: str) -> tuple[Move, ...]:
    return (
        Move(does=Does.INSERT, when="waiting_card.medical", card="other.bank_card"),
        Move(does=Does.REMOVE, when="card.unsupported"),
        _old_card(person, when=""),
        _new_card(person),
    )


_NO_ANSWERS = (
    {"fault": "lose_answer", "operation": "activations"},
    {"fault": "lose_request", "operation": "activation-status"},
)
NOT_ACTIVATED = frozenset({Outcome.NOT_ACTIVATED})

SITUATIONS: tuple[Situation, ...] = (
    Situation(key="sale", moves=_couple("lin")),
    Situation(
        key="wrong_card", moves=_wrong_card_first("he"), shows=("card.unsupported",)
    ),
    Situation(
        key="two_people",
        moves=_couple("abu", "jie"),
        outcomes=NOT_ACTIVATED,
        shows=("transaction.person_mismatch",),
    ),
    Situation(
        key="card_pulled",
        before=(Move(does=Does.TEAR, reader=1, at=6),),
        moves=(*_couple("abu"), _new_card("abu", when="card.removed")),
        shows=("card.removed",),
    ),
    Situation(
        key="answer_lost",
        ways=(
            Way(path=START, mishap=Mishap.LOSE_ANSWER),
            Way(path=CONFIRM, mishap=Mishap.LOSE_ANSWER),
        ),
        moves=_couple("jie"),
    ),
    Situation(
        key="reader_busy",
        before=(Move(does=Does.OCCUPY),),
        moves=(Move(does=Does.VACATE, when="reader.busy"), *_couple("qin")),
        shows=("reader.busy",),
    ),
    Situation(
        key="too_fast",
        ways=(Way(path=START, mishap=Mishap.REFUSE),),
        moves=_couple("xu"),
    ),
    Situation(
        key="agent_restarted",
        moves=(
            _old_card("zhu"),
            Move(does=Does.RESTART, when="waiting_card.social_security"),
            *_couple("zhu"),
        ),
        shows=("agent.restarted",),
        sales=2,
    ),
    Situation(
        key="pin_wanted",
        region="v3-old-pin",
        moves=(_new_card("he", reader=0),),
        pin=PIN,
    ),
    Situation(
        key="refused",
        moves=_couple("luo"),
        outcomes=NOT_ACTIVATED,
        shows=("card.lost",),
        way_back=True,
    ),
    Situation(
        key="left_over",
        before=(Move(does=Does.SELL, card="fang.social_security"),),
        moves=_couple("bai"),
    ),
    Situation(
        key="in_doubt",
        before=(Move(does=Does.CENTRE, faults=_NO_ANSWERS),),
        moves=(*_couple("shen"), Move(does=Does.CENTRE, when="in_doubt")),
        outcomes=frozenset({Outcome.ACTIVATED, Outcome.PENDING}),
    ),
    Situation(
        key="other_words",
        moves=_wrong_card_first("fang"),
        shows=("card.unsupported",),
        change=Change.WORDS,
    ),
    Situation(key="more_fields", moves=_couple("bai"), change=Change.FIELDS),
)

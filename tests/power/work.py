"""What a till does with its journal, and what must be there afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from plugin.activation.saga import Activation, ActivationState, Origin
from plugin.journal.port import Request, Torn
from plugin.journal.sqlite import SqliteJournal
from plugin.privacy import Keys
from tests.power.disk import Disk, Image

KEYS = Keys(bytes(range(32)))
PATH = Path("/journal.db")
COUNTERS = ("events", "others")
STORED = frozenset(ActivationState) - {ActivationState.READY}
_WAY = (
    ActivationState.CARD_STEPS,
    ActivationState.SENDING,
    ActivationState.UNKNOWN,
    ActivationState.MANUAL,
)
_ENDS = (
    ActivationState.ACTIVE,
    ActivationState.REJECTED,
    ActivationState.ABANDONED,
)


class Contents(Struct, frozen=True):
    """All that a journal holds."""

    records: dict[str, Activation] = {}
    requests: dict[str, Request] = {}
    torn: dict[str, Torn] = {}
    counters: dict[str, int] = {}


Step = Callable[[SqliteJournal], None]


def intent(number: int) -> str:
    """An id as the agent makes them: the time in front."""
    return str(UUID(int=(number << 84) + number))


def begun(number: int) -> tuple[Activation, Request]:
    """A new record and the request that asked for it."""
    origin = Origin(
        intent_id=intent(number),
        client_id="pos",
        scenario="pharmacy",
        institution="H1",
        profile="reference@1",
        pos_ref=f"sale-{number}",
        received_at="2026-11-22T09:00:00+08:00",
    )
    return Activation(origin=origin), asked(number)


def asked(number: int) -> Request:
    """A request."""
    return Request(
        client_id="pos",
        key=f"key-{number}",
        fingerprint=f"{number:064x}",
        transaction_id=f"transaction-{number}",
    )


def open_on(disk: Disk, autocheckpoint: int | None = None) -> SqliteJournal:
    """The journal of this disk."""
    journal = SqliteJournal(PATH, KEYS, vfs=disk.name)
    if autocheckpoint:
        journal._connection.pragma("wal_autocheckpoint", autocheckpoint)
    return journal


def steps(random: Random, count: int) -> Iterator[tuple[Step, Contents]]:
    """Things to do, each with what the journal holds when it is done."""
    now = Contents()
    for number in range(1, count + 1):
        kind = random.choices(
            (_create, _save, _remember, _tear, _mend, _reserve), (4, 10, 2, 2, 1, 1)
        )[0]
        step, now = kind(now, random, number)
        yield step, now


def _create(now: Contents, random: Random, number: int) -> tuple[Step, Contents]:
    record, request = begun(number)

    def step(journal: SqliteJournal) -> None:
        journal.create(record, request)

    return step, replace(
        now,
        records=now.records | {intent(number): record},
        requests=now.requests | {request.key: request},
    )


def _save(now: Contents, random: Random, number: int) -> tuple[Step, Contents]:
    moving = [each for each in now.records.values() if not each.state.is_terminal]
    if not moving:
        return _create(now, random, number)
    record = random.choice(moving)
    which = record.origin.intent_id
    ending = record.state is _WAY[-1] or random.random() < 0.1
    after = replace(
        record,
        state=random.choice(_ENDS) if ending else _next(record.state),
        card_ref=f"card-of-{which}",
        message=random.randbytes(random.choice((100, 900, 6_000))),
        sends=record.sends + 1,
    )

    def step(journal: SqliteJournal) -> None:
        journal.save(after)

    saved = replace(after, version=after.version + 1)
    return step, replace(now, records=now.records | {which: saved})


def states(*held: Contents) -> set[ActivationState]:
    """In which states records stand there."""
    return {record.state for each in held for record in each.records.values()}


def _next(state: ActivationState) -> ActivationState:
    return _WAY[_WAY.index(state) + 1] if state in _WAY else _WAY[0]


def _remember(now: Contents, random: Random, number: int) -> tuple[Step, Contents]:
    request = asked(number)
    after = replace(now, requests=now.requests | {request.key: request})
    return lambda journal: journal.remember(request), after


def _tear(now: Contents, random: Random, number: int) -> tuple[Step, Contents]:
    card = f"card-{random.randrange(5)}"
    torn = Torn(card_ref=card, step="changing", time=str(number), life="life")
    return lambda journal: journal.tear(torn), replace(
        now, torn=now.torn | {card: torn}
    )


def _mend(now: Contents, random: Random, number: int) -> tuple[Step, Contents]:
    card = f"card-{random.randrange(5)}"
    left = {name: torn for name, torn in now.torn.items() if name != card}
    return lambda journal: journal.mend(card), replace(now, torn=left)


def _reserve(now: Contents, random: Random, number: int) -> tuple[Step, Contents]:
    counter, amount = random.choice(COUNTERS), random.randrange(1, 100)
    last = now.counters.get(counter, 0)

    def step(journal: SqliteJournal) -> None:
        assert journal.reserve(counter, amount) == last + 1

    return step, replace(now, counters=now.counters | {counter: last + amount})


def contents(journal: SqliteJournal, wanted: Contents) -> Contents:
    """Everything the agent can read, by every way it reads; `wanted` says under which
    names to look. Raises AssertionError where two ways differ."""
    unfinished = {each.origin.intent_id: each for each in journal.unfinished()}
    recent = journal.recent(len(wanted.records) + 9)
    found = {each.origin.intent_id: each for each in recent}
    assert len(found) == len(recent), "a record is there twice"
    assert [*found] == sorted(found, reverse=True), "recent records are out of order"
    assert unfinished == {
        name: each for name, each in found.items() if not each.state.is_terminal
    }, "what is unfinished differs"
    for name in wanted.records | found:
        record = journal.get(name)
        assert record == found.get(name), "a record is found by one way only"
        if record is not None and record.card_ref is not None:
            assert journal.of_card(record.card_ref) == (record,), "of its card: no"
    requests = {key: journal.request("pos", key) for key in wanted.requests}
    torn = {card: journal.torn(card) for card in _cards()}
    counters = journal._rows("SELECT name, last FROM counters", ())
    return Contents(
        found,
        {key: each for key, each in requests.items() if each is not None},
        {card: each for card, each in torn.items() if each is not None},
        {str(name): int(str(last)) for name, last in counters},
    )


def _cards() -> list[str]:
    return [f"card-{number}" for number in range(5)]


def filled(rows: int, seed: int = 1) -> tuple[Image, Contents]:
    """The closed file of a journal in which much has happened."""
    disk, held = Disk(), Contents()
    journal = open_on(disk)
    for step, after in steps(Random(seed), rows):
        step(journal)
        held = after
    journal.close()
    disk.unregister()
    return disk.seen(), held

"""The small parts of the agent: the loop, the happenings, the log's filter, the hub."""

from __future__ import annotations

import asyncio
import json
import logging
import queue
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from random import Random
from uuid import UUID

import pytest
from msgspec.structs import replace

from drivers.errors import DriverError, ReaderInUseError
from drivers.ports import CardConnection
from plugin.activation import saga
from plugin.activation.problem import Problem
from plugin.activation.saga import (
    Abilities,
    Activation,
    ActivationState,
    Confirmation,
    Dedupe,
    Origin,
)
from plugin.agent.failure import described
from plugin.agent.happenings import KEPT, Happening, Happenings
from plugin.agent.intents import IntentIds
from plugin.agent.lapse import Lapse
from plugin.agent.loop import DecidingLoop
from plugin.agent.rate import Rate
from plugin.agent.recovery import Activations, Message
from plugin.agent.worker import Job, ReaderWorker
from plugin.api.events import QUEUE_MAX, STREAMS_MAX, Hub
from plugin.card.reading import Card, read_card
from plugin.journal.memory import MemoryJournal
from plugin.journal.port import JournalError, Request
from plugin.logs import JsonLines
from simulator.people import engine
from simulator.reader import InProcessDesk

SHANGHAI = timezone(timedelta(hours=8))


class StoppedClock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 11, 22, 9, 0, tzinfo=SHANGHAI)


class FullJournal(MemoryJournal):
    """A journal whose disk is full now and then."""

    is_full = False

    def save(self, activation: Activation) -> Activation:
        self._refuse()
        return super().save(activation)

    def reserve(self, counter: str, amount: int) -> int:
        self._refuse()
        return super().reserve(counter, amount)

    def _refuse(self) -> None:
        if self.is_full:
            raise JournalError("no space left")


class PickyJournal(MemoryJournal):
    """A journal that cannot write what it is told of success."""

    def save(self, activation: Activation) -> Activation:
        if activation.confirmation is not None:
            raise ValueError("half a character")
        return super().save(activation)


class Time:
    """Timers that ring when they are told to."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def ticks(self) -> int:
        return 1_000

    def wall(self) -> str:
        return "now"

    def after(self, _: float, call: Callable[[], None]) -> None:
        self.waiting.append(call)

    def ring(self) -> None:
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call()


class Post:
    """A correspondent that keeps what it should carry."""

    abilities = Abilities(dedupe=Dedupe.ID, can_tell_status=True)

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.replies: list[Callable[[saga.Event], None]] = []

    def send(self, record: Activation, reply: Callable[[saga.Event], None]) -> None:
        self.asked.append("send")
        self.replies.append(reply)

    def ask(
        self, record: Activation, asked: int, reply: Callable[[saga.Event], None]
    ) -> None:
        self.asked.append("ask")
        self.replies.append(reply)


def in_flight(
    journal: MemoryJournal, told: Callable[[Activation], None] = lambda _: None
) -> tuple[Activations, Post, Time]:
    """An activation whose message is on its way."""
    origin = Origin(
        intent_id="i", client_id="c", scenario="pharmacy", institution="h", profile="p"
    )
    request = Request(client_id="c", key="k", fingerprint="f", transaction_id="t")
    journal.create(Activation(origin=origin), request)
    post, time = Post(), Time()
    activations = Activations(journal, post, time, Random(1), told)
    activations.begin("i", "card", "code", None, lambda name: Message(b"{}", name))
    return activations, post, time


class HeldReader:
    """A reader whose card another program holds; then it lets go."""

    name = "held"

    def __init__(self, card: CardConnection) -> None:
        self.let_go = threading.Event()
        self._card = card

    def connect(self) -> CardConnection:
        self.let_go.wait()
        return self._card

    def stalled(self) -> DriverError:
        return ReaderInUseError()

    def close(self) -> None:
        """Nothing to give back."""


def test_a_worker_that_was_given_up_leaves_the_card_alone() -> None:
    desk = InProcessDesk()
    name = desk.readers()[0]
    card = engine("lin.social_security")
    desk.insert_card(card, name)
    reader = HeldReader(desk.reader(name).connect())
    outcome: queue.SimpleQueue[Card | Problem] = queue.SimpleQueue()
    worker = ReaderWorker("r", lambda: reader, StoppedClock())
    worker.read(Job(lambda: read_card(), outcome.put, "trace"))

    worker.abandon()
    reader.let_go.set()

    assert isinstance(outcome.get(timeout=5), Problem)
    assert card.counters.commands == 0


def test_an_answer_waits_until_the_journal_can_write_it() -> None:
    journal = FullJournal()
    _, post, time = in_flight(journal)
    name = journal.unfinished()[0].activation_id or ""

    journal.is_full = True
    post.replies[0](saga.Accepted(name, Confirmation(by="answer")))
    time.ring()
    journal.is_full = False
    time.ring()

    record = journal.get("i")
    assert record is not None
    assert record.state is ActivationState.ACTIVE


def test_every_unfinished_record_is_taken_up_once_the_journal_can_write() -> None:
    journal = FullJournal()
    in_flight(journal)
    post, time = Post(), Time()

    journal.is_full = True
    taken_up = Activations(journal, post, time, Random(1), lambda _: None).resume()
    journal.is_full = False
    time.ring()
    time.ring()

    assert taken_up == 1
    assert post.asked == ["ask"]


def test_an_answer_nobody_can_deal_with_is_asked_for_again() -> None:
    journal = PickyJournal()
    _, post, time = in_flight(journal)
    name = journal.unfinished()[0].activation_id or ""

    post.replies[0](saga.Accepted(name, Confirmation(by="answer")))
    for _ in range(3):
        time.ring()

    assert post.asked == ["send", "ask"]


class PoisonedJournal(MemoryJournal):
    """Of which one row kills whoever takes it up."""

    def get(self, intent_id: str) -> Activation | None:
        if intent_id == "bad":
            raise ValueError("a row nobody can read")
        return super().get(intent_id)


def test_one_bad_row_does_not_block_the_others() -> None:
    journal = PoisonedJournal()
    in_flight(journal)
    origin = replace(journal.unfinished()[0].origin, intent_id="bad")
    request = Request(client_id="c", key="k2", fingerprint="f", transaction_id="t2")
    bad_first, good = PoisonedJournal(), journal.unfinished()[0]
    bad_first.create(Activation(origin=origin), request)
    bad_first.create(good, request)
    post, time = Post(), Time()

    taken_up = Activations(bad_first, post, time, Random(1), lambda _: None).resume()
    time.ring()
    time.ring()

    assert taken_up == 2
    assert post.asked == ["ask"]


class Unable(Post):
    """A correspondent that cannot even begin."""

    def send(self, record: Activation, reply: Callable[[saga.Event], None]) -> None:
        raise RuntimeError("can't start new thread")


def test_a_message_that_could_not_be_sent_is_asked_about() -> None:
    journal, post, time = MemoryJournal(), Unable(), Time()
    request = Request(client_id="c", key="k", fingerprint="f", transaction_id="t")
    origin = Origin(
        intent_id="i", client_id="c", scenario="s", institution="h", profile="p"
    )
    journal.create(Activation(origin=origin), request)
    activations = Activations(journal, post, time, Random(1), lambda _: None)

    begun = activations.begin("i", "card", "c", None, lambda name: Message(b"", name))
    for _ in range(3):
        time.ring()

    assert begun.state is ActivationState.SENDING
    assert post.asked == ["ask"]


def test_who_is_told_cannot_stop_what_was_promised() -> None:
    def deaf(_: Activation) -> None:
        raise ValueError("a listener fails")

    _, post, _ = in_flight(MemoryJournal(), deaf)

    assert post.asked == ["send"]


def test_calls_run_in_their_order_and_timers_when_they_are_due() -> None:
    clock = StoppedClock()
    loop = DecidingLoop(clock, base=5_000)
    order: list[str] = []

    def set_up() -> None:
        loop.after(20, lambda: order.append("later"))
        loop.after(10, lambda: order.append("sooner"))
        clock.seconds += 1
        order.append(f"tick {loop.ticks()}")

    loop.post(set_up)
    loop.post(lambda: order.append("second"))
    loop.post(lambda: loop.after(0, loop.stop))
    loop.run()

    assert order == ["tick 6000", "second", "sooner", "later"]


def test_a_call_that_fails_does_not_end_the_thread() -> None:
    loop = DecidingLoop(StoppedClock())
    failed = loop.ask(lambda: 1 // 0)
    answered = loop.ask(lambda: "still here")
    loop.post(lambda: [][0])
    loop.stop()

    loop.run()

    assert isinstance(failed.exception(), ZeroDivisionError)
    assert answered.result() == "still here"


def test_what_is_remembered_lapses_in_its_order_when_its_time_is_up() -> None:
    clock = StoppedClock()
    loop = DecidingLoop(clock)
    seen: list[str] = []
    lapse = Lapse(loop, 60, seen.append, at_most=9)

    def a_minute_later() -> None:
        lapse.add("c")
        clock.seconds += 30
        loop.after(0, lambda: seen.append("half a minute later"))
        loop.after(1, stop)

    def stop() -> None:
        clock.seconds += 30
        loop.after(0, loop.stop)

    lapse.add("a")
    lapse.add("b")
    clock.seconds += 60
    loop.post(a_minute_later)
    loop.run()

    assert seen == ["a", "b", "half a minute later", "c"]


def test_no_more_are_remembered_than_there_is_room_for() -> None:
    seen: list[str] = []
    lapse = Lapse(DecidingLoop(StoppedClock()), 60, seen.append, at_most=2)

    for key in "abcd":
        lapse.add(key)

    assert seen == ["a", "b"]


def test_times_are_shown_with_their_zone() -> None:
    loop = DecidingLoop(StoppedClock())

    assert loop.wall() == "2026-11-22T09:00:00+08:00"
    assert loop.wall_in(90) == "2026-11-22T09:01:30+08:00"


def test_a_failure_is_described_without_its_message() -> None:
    with pytest.raises(ValueError, match="9999") as failed:
        int("999901190101010011 is somebody")

    shown = described(failed.value)

    assert shown["error"] == "ValueError"
    assert shown["at"].startswith("test_agent_parts.py:")
    assert "9999" not in str(shown)


def test_event_numbers_grow_across_restarts() -> None:
    journal = MemoryJournal()
    first = Happenings(journal, lambda: "now")
    first.tell("agent.started", "agent")
    second = Happenings(journal, lambda: "now")

    second.tell("agent.started", "agent")

    assert second.last_id > first.last_id > 0


def test_telling_goes_on_while_the_journal_cannot_write() -> None:
    journal = FullJournal()
    happenings = Happenings(journal, lambda: "now")

    journal.is_full = True
    happenings.tell("card.inserted", "readers/1")
    happenings.tell("card.removed", "readers/1")
    journal.is_full = False
    happenings.tell("card.inserted", "readers/1")

    whole, told = happenings.since(-1)
    assert whole
    assert len({event.id for event in told}) == 3


def test_what_was_missed_is_told_and_a_gap_is_said() -> None:
    happenings = Happenings(MemoryJournal(), lambda: "now")
    for number in range(KEPT + 10):
        happenings.tell("card.inserted", f"readers/{number}")
    last = happenings.last_id

    whole, missed = happenings.since(last - 3)
    lost, rest = happenings.since(last - KEPT - 5)

    assert whole
    assert [event.id for event in missed] == [last - 2, last - 1, last]
    assert not lost
    assert len(rest) == KEPT


def test_a_listener_hears_until_it_leaves() -> None:
    happenings = Happenings(MemoryJournal(), lambda: "now")
    heard: list[Happening] = []

    leave = happenings.listen(heard.append)
    happenings.tell("card.inserted", "readers/1")
    leave()
    happenings.tell("card.removed", "readers/1")

    assert [event.type for event in heard] == ["card.inserted"]


def test_the_log_drops_what_is_not_on_the_list_and_masks_the_rest() -> None:
    record = logging.makeLogRecord(
        {
            "name": "kaqi.reader",
            "levelname": "INFO",
            "msg": "card 999901190101010011 read",
            "created": 0.0,
            "state": "reading",
            "code": "about 999901190101010011",
            "holder": "林试一",
            "social_security_number": "999901190101010011",
        }
    )

    line = json.loads(JsonLines().format(record))

    assert line.pop("time")[:11] == "1970-01-01T"
    assert line == {
        "level": "info",
        "logger": "kaqi.reader",
        "event": "card 999901********0011 read",
        "state": "reading",
        "code": "about 999901********0011",
        "dropped": 2,
    }


def event(number: int) -> Happening:
    return Happening(number, "card.inserted", "now", "readers/1", {})


def test_a_change_wakes_who_waits_for_it_and_nobody_else() -> None:
    async def scene() -> tuple[bool, bool]:
        hub = Hub()
        hub.attach(asyncio.get_running_loop())
        async with hub.changes_of("t-1") as mine, hub.changes_of("t-2") as other:
            threading.Thread(target=hub.transaction_changed, args=("t-1",)).start()
            await asyncio.wait_for(mine.wait(), 5)
            return mine.is_set(), other.is_set()

    assert asyncio.run(scene()) == (True, False)


def test_a_slow_follower_is_cut_and_others_do_not_notice() -> None:
    async def scene() -> tuple[Happening | None, int]:
        hub = Hub()
        hub.attach(asyncio.get_running_loop())
        slow, quick = hub.follow(), hub.follow()
        assert slow is not None
        assert quick is not None
        received = 0
        for number in range(QUEUE_MAX + 1):
            hub.happened(event(number))
            if await quick.get() is not None:
                received += 1
        return await slow.get(), received

    assert asyncio.run(scene()) == (None, QUEUE_MAX + 1)


def test_only_so_many_may_follow() -> None:
    hub = Hub()
    followed = [hub.follow() for _ in range(STREAMS_MAX)]

    one_too_many = hub.follow()
    assert followed[0] is not None
    hub.leave(followed[0])
    afterwards = hub.follow()

    assert one_too_many is None
    assert afterwards is not None


def test_when_the_agent_stops_everybody_is_let_go() -> None:
    async def scene() -> tuple[bool, list[Happening | None]]:
        hub = Hub()
        hub.attach(asyncio.get_running_loop())
        followed = hub.follow()
        assert followed is not None
        async with hub.changes_of("t-1") as changed:
            hub.happened(event(1))
            hub.stop()
            await asyncio.wait_for(changed.wait(), 5)
            return hub.is_stopping, [await followed.get(), await followed.get()]

    assert asyncio.run(scene()) == (True, [event(1), None])


def test_before_it_is_attached_the_hub_forgets() -> None:
    hub = Hub()

    followed = hub.follow()
    hub.happened(event(1))
    hub.transaction_changed("t-1")

    assert followed is not None
    assert followed.empty()


@pytest.mark.parametrize("base", [0, 10**9])
def test_ticks_go_on_where_the_last_life_ended(base: int) -> None:
    clock = StoppedClock()
    loop = DecidingLoop(clock, base=base)

    clock.seconds += 2.5

    assert loop.ticks() == base + 2_500


def test_intent_ids_grow_even_when_the_clock_goes_back() -> None:
    ids = IntentIds()

    made = [ids.new(milliseconds) for milliseconds in (1_000, 1_000, 2_000, 500, 2_001)]

    assert made == sorted(set(made))
    assert {UUID(each).version for each in made} == {7}
    assert len({each[:18] for each in made}) == len(made)


def test_a_rate_lets_so_many_through_at_once_and_then_one_by_one() -> None:
    now = [7_000]
    rate = Rate(5, lambda: now[0])

    assert [rate.seconds_to_wait("pos") for _ in range(6)] == [0, 0, 0, 0, 0, 12]
    assert rate.seconds_to_wait("another") == 0
    now[0] += 11_000
    assert rate.seconds_to_wait("pos") == 1
    now[0] += 1_000
    assert [rate.seconds_to_wait("pos") for _ in range(2)] == [0, 12]
    now[0] += 600_000
    assert [rate.seconds_to_wait("pos") for _ in range(6)] == [0, 0, 0, 0, 0, 12]

"""What goes wrong with cards at the counter, and that the next card always works."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from simulator.people import card, engine
from simulator.reader import InProcessDesk
from simulator.scenario import MuteCard, ScriptedCard
from simulator.vpcd import VpcdDesk
from tests.agents import Running
from tests.centre import CentreProcess
from tests.scenario.counter import Counter, Tripwire, new_card, two_cards
from tests.waiting import wait_until

OLD_CARD, NEW_CARD = 12, 16  # commands of each reading
SLE4442, SLE4428 = 2, 4
Pull = Callable[[Counter, int], None]


def finish(counter: Counter, centre: CentreProcess) -> tuple[str | None, int]:
    """Whatever happened before: the outcome now, and how often the centre activated."""
    counter.confirm()
    return counter.reaches("succeeded").outcome, len(centre.effects)


ONCE = ("activated", 1)


def pull_old_card(counter: Counter, at: int) -> None:
    counter.start("pharmacy")
    counter.put(ScriptedCard(engine("lin.medical"), pull_at=at))
    counter.says("card.removed")
    assert counter.now.state == "waiting_card"
    counter.take()
    counter.put("lin.medical")
    counter.reaches("waiting_card.social_security")
    counter.put("lin.social_security", 1)
    counter.reaches("waiting_confirm")


def pull_new_card(counter: Counter, at: int) -> None:
    counter.start("pharmacy")
    counter.put("lin.medical")
    counter.reaches("waiting_card.social_security")
    counter.put(ScriptedCard(engine("lin.social_security"), pull_at=at), 1)
    counter.says("card.removed")
    counter.take(1)
    counter.put("lin.social_security", 1)
    counter.reaches("waiting_confirm")


def pull_memory_card(counter: Counter, person: str, at: int) -> None:
    counter.start("pharmacy")
    old = card(f"{person}.medical")
    counter.put(ScriptedCard(old, pull_at=at))
    counter.says("card.removed")
    counter.take()
    counter.put(f"{person}.medical")
    counter.reaches("waiting_card.social_security")
    counter.put(f"{person}.social_security", 1)
    counter.reaches("waiting_confirm")


@pytest.mark.parametrize(
    ("person", "at"),
    [
        *(("zhu", at) for at in range(1, SLE4442 + 1)),
        *(("shen", at) for at in range(1, SLE4428 + 1)),
    ],
)
def test_a_memory_card_pulled_at_each_command(
    counter: Counter, centre: CentreProcess, person: str, at: int
) -> None:
    pull_memory_card(counter, person, at)

    assert finish(counter, centre) == ONCE


FIRST_MIDDLE_LAST = [
    *((pull_old_card, at) for at in (1, OLD_CARD // 2, OLD_CARD)),
    *((pull_new_card, at) for at in (1, NEW_CARD // 2, NEW_CARD)),
]


@pytest.mark.parametrize("elsewhere", ["pcsc"], indirect=True)
@pytest.mark.parametrize(
    ("person", "at"),
    [*(("zhu", at) for at in (1, SLE4442)), *(("shen", at) for at in (1, 2, SLE4428))],
)
def test_a_memory_card_pulled_out_of_a_reader_elsewhere(
    elsewhere: Counter, centre: CentreProcess, person: str, at: int
) -> None:
    pull_memory_card(elsewhere, person, at)

    assert finish(elsewhere, centre) == ONCE


@pytest.mark.parametrize(("pull", "at"), FIRST_MIDDLE_LAST)
def test_a_card_pulled_out_of_a_reader_elsewhere(
    elsewhere: Counter, centre: CentreProcess, pull: Pull, at: int
) -> None:
    pull(elsewhere, at)

    assert finish(elsewhere, centre) == ONCE


def test_the_new_card_first(counter: Counter, centre: CentreProcess) -> None:
    centre.misbehave("slow", "card-status", seconds=0.2)
    counter.start("pharmacy")
    counter.put("lin.social_security")
    counter.reaches("checking")
    counter.reaches("waiting_card.medical")

    counter.put("lin.medical", 1)
    counter.reaches("waiting_confirm")

    assert finish(counter, centre) == ONCE
    assert centre.received["card-status"] == 1


def test_with_one_reader_the_cards_take_turns(
    narrow: Counter, centre: CentreProcess
) -> None:
    narrow.start("pharmacy")
    narrow.put("lin.medical")
    narrow.reaches("waiting_removal.medical")
    narrow.take()
    narrow.reaches("waiting_card.social_security")
    narrow.put("lin.social_security")
    narrow.reaches("waiting_confirm")

    assert finish(narrow, centre) == ONCE


def test_a_new_card_first_that_is_active_needs_nothing_more(narrow: Counter) -> None:
    narrow.start("pharmacy")
    narrow.put("tang.social_security")

    assert narrow.reaches("succeeded").outcome == "already_active"
    confirmation = narrow.now.data["result"]["confirmation"]
    assert (confirmation["since"], confirmation["channel"]) == ("2026-03-02", "bank")


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ("lin.medical", "lin.medical", "card.same_twice"),
        ("lin.social_security", "lin.social_security", "card.same_twice"),
        ("lin.medical", "he.medical", "card.two_medical"),
        ("lin.social_security", "he.social_security", "card.two_social_security"),
    ],
)
def test_the_wrong_second_card_is_said_and_the_right_one_still_taken(
    narrow: Counter, centre: CentreProcess, first: str, second: str, code: str
) -> None:
    narrow.start("pharmacy")
    narrow.put(first)
    narrow.reaches("waiting_removal")
    narrow.take()
    narrow.reaches("waiting_card")

    narrow.put(second)
    narrow.says(code)
    narrow.take()
    missing = "social_security" if first.endswith("medical") else "medical"
    narrow.put(f"lin.{missing}")
    narrow.reaches("waiting_confirm")

    assert finish(narrow, centre) == ONCE


def test_cards_of_two_people_are_refused_and_cannot_be_forced(
    counter: Counter, centre: CentreProcess
) -> None:
    ended = two_cards(counter, "he", "lin")

    assert ended.state == "failed"
    assert counter.code == "transaction.person_mismatch"
    assert ended.allowed_actions == ["acknowledge"]
    assert centre.effects == []


@pytest.mark.parametrize(
    ("card", "code"),
    [
        pytest.param(MuteCard(), "card.mute", id="mute"),
        pytest.param(
            ScriptedCard(engine("lin.medical"), replies={1: b"\x6a\x82"}),
            "card.unsupported",
            id="foreign",
        ),
        pytest.param(
            ScriptedCard(engine("lin.medical"), replies={1: b"\x6a\x81"}),
            "card.app_locked",
            id="locked",
        ),
        pytest.param(
            ScriptedCard(engine("lin.medical"), replies={3: b"\x6f\x00"}),
            "card.status_word",
            id="odd status",
        ),
        pytest.param(
            ScriptedCard(engine("lin.medical"), replies={3: b"\x01\x10\x90\x00"}),
            "card.data_invalid",
            id="damaged record",
        ),
        pytest.param(
            ScriptedCard(
                engine("lin.medical"), replies=dict.fromkeys(range(99), b"\x61\x10")
            ),
            "card.protocol_error",
            id="endless",
        ),
        pytest.param(
            ScriptedCard(engine("lin.medical"), replies={2: b"\x90"}),
            "card.protocol_error",
            id="half a status word",
        ),
    ],
)
def test_a_card_that_cannot_be_used_keeps_waiting_and_names_its_own_cause(
    counter: Counter, centre: CentreProcess, card: ScriptedCard | MuteCard, code: str
) -> None:
    counter.start("pharmacy")
    counter.put(card)
    counter.says(code)

    problem = counter.now.problem
    assert counter.now.state == "waiting_card"
    assert problem is not None
    assert problem["remedy"]["zh-CN"]
    counter.take()
    counter.put("lin.medical")
    counter.reaches("waiting_card.social_security")
    counter.put("lin.social_security", 1)
    counter.reaches("waiting_confirm")
    assert finish(counter, centre) == ONCE


def test_an_old_card_at_a_registration_is_turned_away(counter: Counter) -> None:
    counter.start("outpatient_registration")
    counter.put("lin.medical")

    shown = counter.says("card.social_security_wanted")
    assert shown.state == "waiting_card"
    assert shown.data["role"] == "social_security"


def test_a_card_left_behind_blocks_the_next_person(
    counter: Counter, centre: CentreProcess
) -> None:
    new_card(counter, "lin")

    counter.start("outpatient_registration")
    counter.says("card.left_in_reader")
    assert counter.now.state == "waiting_removal"
    assert counter.now.holder is None
    counter.take()
    counter.reaches("waiting_card")
    counter.put("he.social_security")

    assert counter.reaches("succeeded").outcome == "activated"
    assert len(centre.effects) == 2


def test_a_card_left_behind_may_be_used_when_the_operator_says_so(
    counter: Counter,
) -> None:
    new_card(counter, "lin")
    counter.start("outpatient_registration")
    counter.says("card.left_in_reader")

    counter.now = counter.pos.kaqi.go_on(counter.now)

    assert counter.reaches("succeeded").outcome == "already_active"


def test_a_reader_unplugged_while_its_card_is_read_is_replaced_by_the_other(
    agent: tuple[Running, InProcessDesk], centre: CentreProcess
) -> None:
    counter = Counter(*agent)
    hand = agent[1]
    counter.start("outpatient_registration")
    slow = ScriptedCard(engine("lin.social_security"), slow_at=5, seconds=0.2)
    counter.put(slow)
    counter.reaches("reading")

    hand.unplug(counter.readers[0])
    counter.says("reader.gone")
    hand.plug(counter.readers[0])
    counter.put("lin.social_security", 1)

    assert counter.reaches("succeeded").outcome == "activated"
    assert len(centre.effects) == 1


def test_without_any_reader_it_waits_for_one(
    agent: tuple[Running, InProcessDesk],
) -> None:
    running, hand = agent
    for reader in hand.readers():
        hand.unplug(reader)
    counter = running.pos
    started = counter.start("outpatient_registration").body
    assert started["state"] in ("waiting_reader", "waiting_card")
    waiting = counter.until(counter.kaqi.get(started["id"]), "waiting_reader")

    hand.plug(hand.readers()[0])
    waiting = counter.until(waiting, "waiting_card")
    hand.insert_card(engine("lin.social_security"), hand.readers()[0])

    assert counter.until(waiting, "succeeded").outcome == "activated"


def test_a_reader_that_never_answers_is_given_up_and_the_other_one_works(
    counter: Counter,
) -> None:
    counter.start("outpatient_registration")
    stuck = ScriptedCard(engine("lin.social_security"), slow_at=3, seconds=9)
    counter.put(stuck)

    counter.says("reader.timeout")
    assert counter.pos.request("GET", "/healthz").status == 204
    counter.put("lin.social_security", 1)

    assert counter.reaches("succeeded").outcome == "activated"
    counter.take()
    counter.take(1)
    counter.start("outpatient_registration")
    counter.put("he.social_security")
    assert counter.reaches("succeeded").outcome == "activated"


@pytest.mark.parametrize("elsewhere", ["pcsc"], indirect=True)
def test_the_resource_manager_stopped_and_started_in_the_middle(
    elsewhere: Counter, vpcd: VpcdDesk, centre: CentreProcess
) -> None:
    counter = elsewhere
    counter.start("pharmacy")
    counter.put("lin.medical")
    counter.reaches("waiting_card.social_security")

    counter.clear()
    vpcd.manager.stop()
    counter.reaches("waiting_reader")
    readers = counter.pos.request("GET", "/v1/readers").body
    assert [problem["code"] for problem in readers["problems"]] == ["pcsc.unavailable"]
    vpcd.manager.start()
    counter.reaches("waiting_card.social_security")
    counter.put("lin.social_security", 1)
    counter.reaches("waiting_confirm")

    assert finish(counter, centre) == ONCE


SILENT_SECONDS = 5.0  # until what is wrong has a name


@pytest.mark.parametrize("elsewhere", ["pcsc"], indirect=True)
@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
@pytest.mark.parametrize("at", ["waiting", "reading"])
def test_a_resource_manager_that_hangs_or_dies_costs_little(
    elsewhere: Counter,
    vpcd: VpcdDesk,
    centre: CentreProcess,
    how: signal.Signals,
    at: str,
) -> None:
    counter = elsewhere
    pid = vpcd.manager.pid
    assert pid is not None
    counter.start("pharmacy")

    def strike() -> None:
        os.kill(pid, how)

    if at == "reading":
        counter.put(Tripwire(card("lin.medical"), 5, strike))
        counter.reaches("reading")
    else:
        strike()
        counter.put("lin.medical") if how is signal.SIGSTOP else None
    with answering(counter) as slowest:
        wait_until(lambda: named(counter), SILENT_SECONDS)
    assert slowest() < 1.0

    if how is signal.SIGSTOP:
        os.kill(pid, signal.SIGCONT)
    counter.clear()
    if how is signal.SIGKILL:
        vpcd.manager.stop()
        vpcd.manager.start()
    wait_until(lambda: all_empty(counter))
    counter.put("lin.medical")
    counter.reaches("waiting_card.social_security")
    counter.put("lin.social_security", 1)
    counter.reaches("waiting_confirm")
    assert finish(counter, centre) == ONCE


def all_empty(counter: Counter) -> bool:
    """Whether the agent has its readers back, and has seen that no card is left."""
    told = counter.pos.request("GET", "/v1/readers").body
    slots = {each["slot"] for each in told["readers"] if each["role"] == "patient"}
    return not told["problems"] and slots == {"empty"}


def named(counter: Counter) -> bool:
    """Whether the screen or the list of readers says what is wrong."""
    problem = counter.pos.kaqi.get(counter.now.id).problem
    told = counter.pos.request("GET", "/v1/readers").body["problems"]
    codes = {each["code"] for each in [*told, *([problem] if problem else [])]}
    return bool(codes & {"pcsc.silent", "pcsc.unavailable", "reader.timeout"})


@contextmanager
def answering(counter: Counter) -> Iterator[Callable[[], float]]:
    """Asks the agent again and again; tells how long the slowest answer took."""
    took = [0.0]
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.02):
            began = time.monotonic()
            counter.pos.request("GET", f"/v1/transactions/{counter.now.id}")
            took.append(time.monotonic() - began)

    thread = threading.Thread(target=ask)
    thread.start()
    yield lambda: max(took)
    over.set()
    thread.join()

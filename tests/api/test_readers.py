"""Readers one by one: how they stand, a test of each, and whether a card is still in."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec import convert

from drivers.errors import DriverError, ReaderInUseError, ReaderTimeoutError
from plugin.api import answers
from simulator.people import CARDS, engine
from simulator.reader import InProcessDesk
from simulator.scenario import MuteCard, ScriptedCard
from tests.agents import PHARMACY, Answer, Pos, Running, running
from tests.api.test_events import following
from tests.api.test_requests import assert_problem
from tests.centre import CentreProcess
from tests.scenario.counter import Counter, Tripwire
from tests.waiting import wait_until


def reader(pos: Pos, reader_id: str) -> answers.Reader:
    return convert(pos.request("GET", f"/v1/readers/{reader_id}").body, answers.Reader)


def roles(pos: Pos, reader_id: str) -> str | None:
    """What the card in this reader was taken for."""
    card = reader(pos, reader_id).card
    return card.role if card else None


def accepted(pos: Pos, reader_id: str) -> bool | None:
    """Whether a transaction goes on with the card in this reader."""
    card = reader(pos, reader_id).card
    return card.accepted if card else None


def probe(pos: Pos, reader_id: str) -> Answer:
    return pos.request("POST", f"/v1/readers/{reader_id}/self-test", {})


def put(counter: Counter, card: object, at: int = 0) -> str:
    """Put a card in; returns the id of its stay once it was noticed."""
    counter.put(card, at)  # type: ignore[arg-type]
    wait_until(lambda: reader(counter.pos, counter.ids[at]).card is not None)
    found = reader(counter.pos, counter.ids[at]).card
    assert found is not None
    return found.insertion_id


def test_one_reader_is_the_same_as_in_the_list(pos: Pos, counter: Counter) -> None:
    put(counter, "lin.medical")

    for listed in pos.request("GET", "/v1/readers").body["readers"]:
        assert pos.request("GET", f"/v1/readers/{listed['id']}").body == listed
    assert_problem(pos.request("GET", "/v1/readers/r-0"), 404, "reader.unknown")


def test_a_reader_says_what_its_card_was_taken_for_also_when_it_is_over(
    pos: Pos, counter: Counter
) -> None:
    """So that whoever says "take the cards" can say which."""
    put(counter, "lin.medical")
    put(counter, "other.bank_card", 1)
    assert [roles(pos, each) for each in counter.ids] == [None, None]

    counter.start("pharmacy")
    counter.says("card.unsupported")
    assert [roles(pos, each) for each in counter.ids] == ["medical", None]
    counter.now = pos.kaqi.cancel(counter.now)

    assert [roles(pos, each) for each in counter.ids] == ["medical", None]
    counter.take()
    wait_until(lambda: reader(pos, counter.ids[0]).card is None)
    put(counter, "he.medical")
    assert roles(pos, counter.ids[0]) is None


def test_a_card_that_was_turned_away_is_told_from_one_that_is_accepted(
    pos: Pos, counter: Counter
) -> None:
    """A second old card has its role too, and nobody wants it."""
    put(counter, "lin.medical")
    put(counter, "he.medical", 1)

    counter.start("pharmacy")
    wait_until(lambda: roles(pos, counter.ids[1]) is not None)

    assert [accepted(pos, each) for each in counter.ids] == [True, False]
    counter.take(1)
    wait_until(lambda: reader(pos, counter.ids[1]).card is None)
    put(counter, "lin.social_security", 1)
    counter.reaches("waiting_confirm")
    assert [accepted(pos, each) for each in counter.ids] == [True, True]
    counter.now = pos.kaqi.cancel(counter.now)
    assert [accepted(pos, each) for each in counter.ids] == [False, False]


def test_a_reader_says_which_transaction_may_use_it(pos: Pos, counter: Counter) -> None:
    begun = counter.start("pharmacy", readers=counter.ids[:1])

    first, second = (reader(pos, each) for each in counter.ids)
    pos.kaqi.cancel(begun)

    assert (first.transaction, second.transaction) == (begun.id, None)
    assert reader(pos, counter.ids[0]).transaction is None


def test_a_card_is_present_until_it_is_taken_out(pos: Pos, counter: Counter) -> None:
    stay = put(counter, "lin.medical")
    path = f"/v1/presence/{stay}"

    there = pos.request("GET", path)
    counter.take()
    wait_until(lambda: pos.request("GET", path).body == {"present": False})
    other = put(counter, "lin.medical")

    assert (there.status, there.body) == (200, {"present": True})
    assert other != stay
    assert pos.request("GET", path).body == {"present": False}


@pytest.mark.parametrize("stay", ["i-0123456789abcdef", "nobody", "*"])
def test_an_id_that_nobody_gave_out_is_not_present(pos: Pos, stay: str) -> None:
    answer = pos.request("GET", f"/v1/presence/{stay}")

    assert (answer.status, answer.body) == (200, {"present": False})


@pytest.mark.parametrize(
    ("card", "role", "kind"),
    [
        ("lin.medical", "medical", "cpu"),
        ("lin.social_security", "social_security", "2.00"),
    ],
)
def test_a_test_names_the_kind_of_card_and_nothing_that_stands_on_it(
    pos: Pos, counter: Counter, card: str, role: str, kind: str
) -> None:
    put(counter, card)

    answer = probe(pos, counter.ids[0])

    found = convert(answer.body, answers.SelfTest)
    assert (found.ok, found.problem) == (True, None)
    assert found.card is not None
    assert (found.card.role, found.card.kind) == (role, kind)
    assert 0 <= found.milliseconds < 5_000
    order, said = CARDS[card], json.dumps(answer.body, ensure_ascii=False)
    holder = order.holder
    for secret in (holder.name, holder.social_security_number, order.number_body):
        assert secret not in said


@pytest.mark.parametrize(
    ("card", "code"),
    [
        pytest.param(MuteCard(), "card.mute", id="mute"),
        pytest.param(
            ScriptedCard(engine("lin.medical"), replies={1: b"\x6a\x82"}),
            "card.unsupported",
            id="foreign",
        ),
    ],
)
def test_a_card_that_cannot_be_read_says_why(
    pos: Pos, counter: Counter, card: object, code: str
) -> None:
    put(counter, card)

    found = convert(probe(pos, counter.ids[0]).body, answers.SelfTest)

    assert not found.ok
    assert found.card is None
    assert found.problem is not None
    assert found.problem.code == code
    assert found.problem.remedy.chinese
    assert reader(pos, counter.ids[0]).last_problem == code


def test_a_reader_says_since_when_it_has_its_problem(
    pos: Pos, counter: Counter
) -> None:
    put(counter, MuteCard())
    sound = reader(pos, counter.ids[0])
    probe(pos, counter.ids[0])
    first = reader(pos, counter.ids[0])
    probe(pos, counter.ids[0])
    again = reader(pos, counter.ids[0])
    counter.take()
    put(counter, "lin.medical")
    other = reader(pos, counter.ids[0])

    assert (sound.problem, sound.problem_since) == (None, None)
    assert first.problem_since is not None
    assert again.problem_since == first.problem_since
    assert (other.problem, other.problem_since) == (None, None)


def test_a_card_that_was_read_is_told_apart_until_it_is_taken_out(
    pos: Pos, counter: Counter
) -> None:
    def role() -> str | None:
        card = reader(pos, counter.ids[0]).card
        assert card is not None
        return card.role

    put(counter, "lin.social_security")
    before = role()
    probe(pos, counter.ids[0])
    tested = role()
    counter.take()
    wait_until(lambda: reader(pos, counter.ids[0]).card is None)
    put(counter, "lin.medical")
    other = role()
    counter.start("pharmacy")
    counter.reaches("waiting_card.social_security")

    assert (before, tested, other) == (None, "social_security", None)
    assert role() == "medical"


def test_an_empty_reader_is_in_order(pos: Pos, counter: Counter) -> None:
    found = convert(probe(pos, counter.ids[0]).body, answers.SelfTest)

    assert (found.ok, found.card, found.problem) == (True, None, None)


def test_no_test_while_a_transaction_may_use_the_reader(
    pos: Pos, counter: Counter
) -> None:
    begun = counter.start("pharmacy", readers=counter.ids[:1])

    refused, beside = (probe(pos, each) for each in counter.ids)
    pos.kaqi.cancel(begun)

    assert_problem(refused, 409, "reader.busy")
    assert refused.body["transaction"] == begun.id
    assert beside.status == 200
    assert probe(pos, counter.ids[0]).status == 200


def test_no_transaction_while_a_test_uses_the_reader(
    pos: Pos, counter: Counter
) -> None:
    asked, over = threading.Event(), threading.Event()

    def holding() -> None:
        asked.set()
        over.wait(4)

    put(counter, Tripwire(engine("lin.medical"), 3, holding))
    with ThreadPoolExecutor(1) as beside:
        testing = beside.submit(lambda: probe(pos, counter.ids[0]))
        asked.wait(4)
        meanwhile = [pos.start("pharmacy"), probe(pos, counter.ids[0])]
        busy = reader(pos, counter.ids[0]).state
        over.set()
        tested = testing.result()

    for refused in meanwhile:
        assert_problem(refused, 409, "reader.busy")
    assert busy == "busy"
    assert tested.body["ok"]
    assert pos.start("pharmacy").status == 202


def test_a_test_ends_also_when_the_reader_is_unplugged(
    pos: Pos, counter: Counter, hand: InProcessDesk
) -> None:
    name = counter.readers[0]
    put(counter, Tripwire(engine("lin.medical"), 3, lambda: hand.unplug(name)))

    found = convert(probe(pos, counter.ids[0]).body, answers.SelfTest)

    assert not found.ok
    assert found.problem is not None
    assert found.problem.code in ("reader.gone", "card.removed")
    assert_problem(probe(pos, counter.ids[0]), 404, "reader.unknown")


def test_only_an_operator_tests(pos: Pos, agent: Running, counter: Counter) -> None:
    clerk = Pos(pos.port, agent.folder.pair("pos-2", ("read", "activate")))

    assert_problem(probe(clerk, counter.ids[0]), 403, "auth.scope")


def test_the_slot_of_the_psam_takes_no_test(pos: Pos, agent: Running) -> None:
    (psam,) = [each for each in pos.kaqi.readers() if each["role"] == "psam"]

    assert_problem(probe(pos, str(psam["id"])), 404, "reader.unknown")


class Held(InProcessDesk):
    """Readers that cannot be used for a while."""

    held = True
    trouble: type[DriverError]

    def card_in(self, reader: str) -> tuple[object, int]:  # type: ignore[override]
        if self.held:
            raise self.trouble
        return super().card_in(reader)


@pytest.mark.parametrize(
    ("trouble", "state", "told_as"),
    [
        (ReaderInUseError, "in_use_by_other", "reader.changed"),
        (ReaderTimeoutError, "faulted", "reader.faulted"),
    ],
)
def test_a_reader_that_others_hold_or_that_fails_says_so_until_it_works(
    tmp_path: Path,
    centre: CentreProcess,
    trouble: type[DriverError],
    state: str,
    told_as: str,
) -> None:
    hand = Held()
    hand.trouble = trouble
    with running(
        tmp_path, centre.address, {"inprocess": hand}, hand, institution=PHARMACY
    ) as agent:
        counter = Counter(agent, hand)
        pos, first = agent.pos, counter.ids[0]
        put(counter, "lin.medical")
        with following(pos) as stream:
            probe(pos, first)
            held = reader(pos, first)
            hand.held = False
            probe(pos, first)
            free = reader(pos, first)
            counter.take()
            seen = stream.until("card.removed")

    assert (held.state, held.last_problem) == (state, trouble.code)
    assert held.problem is not None
    assert held.problem.remedy.english
    assert (free.state, free.last_problem, free.problem) == ("ready", None, None)
    told = [
        (each["event"], each["data"]["data"].get("state"))
        for each in seen
        if each["data"].get("subject") == f"readers/{first}"
    ]
    assert told == [
        ("reader.changed", "busy"),
        (told_as, state if told_as == "reader.changed" else None),
        ("reader.changed", "busy"),
        ("card.recognised", None),
        ("reader.changed", "ready"),
        ("card.removed", None),
    ]

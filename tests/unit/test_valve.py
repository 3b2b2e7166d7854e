"""What goes to a centre in the background: how fast, in which order, and when not."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from plugin.activation.saga import (
    Abilities,
    Activation,
    ActivationState,
    Dedupe,
    Origin,
)
from plugin.agent import valve
from plugin.agent.valve import Errand, Valve

A = Abilities(dedupe=Dedupe.ID, can_tell_status=True)
C = Abilities(dedupe=Dedupe.DUPLICATE_CODE)
D = Abilities()
HOUR = 3_600_000


class Counter:
    """A valve, and the time it lives in."""

    def __init__(self, abilities: Abilities = A, now: int = 10 * HOUR) -> None:
        self.now = now
        self.valve = Valve(abilities, lambda: self.now)
        self.usual = Errand.QUESTION if abilities.can_tell_status else Errand.ACTIVATION

    def wait(self, name: str, age: int = 0, *, parked: bool = False) -> Counter:
        state = ActivationState.MANUAL if parked else ActivationState.UNKNOWN
        self.valve.add(replace(record(name), began=self.now - age, state=state))
        return self

    def go(self) -> str | None:
        """Who goes now, if anybody does."""
        let = self.valve.next()
        if let is None:
            return None
        self.valve.took(let, self.usual)
        return let.origin.intent_id

    def break_down(self) -> Counter:
        for _ in range(valve.FAILURES_MAX):
            self.valve.failed()
        return self

    def past(self, milliseconds: int) -> Counter:
        self.now += milliseconds
        return self


def record(name: str) -> Activation:
    origin = Origin(
        intent_id=name, client_id="c", scenario="s", institution="h", profile="p"
    )
    return Activation(origin=origin)


def test_five_go_at_once_and_then_one_a_second() -> None:
    counter = Counter()
    for name in "abcdefg":
        counter.wait(name)

    at_once = [counter.go() for _ in range(6)]
    opens_in = counter.valve.opens_in()

    assert at_once == ["a", "b", "c", "d", "e", None]
    assert opens_in == valve.EACH_MS
    assert counter.past(valve.EACH_MS).go() == "f"
    assert counter.go() is None


def test_who_stands_there_goes_before_the_backlog_and_the_parked_last() -> None:
    counter = Counter().wait("parked", 3 * HOUR, parked=True).wait("old", 2 * HOUR)
    counter.wait("older", 3 * HOUR).wait("minutes", 300_000).wait("here")

    order = []
    for _ in range(5):
        order.append(counter.go())
        counter.past(valve.DRAIN_MS)

    assert order == ["here", "minutes", "older", "old", "parked"]


def test_a_backlog_is_drained_one_a_minute() -> None:
    counter = Counter().wait("a", HOUR).wait("b", HOUR)

    assert counter.go() == "a"
    assert counter.go() is None
    assert counter.valve.opens_in() == valve.DRAIN_MS
    assert counter.wait("here").go() == "here"
    assert counter.past(valve.DRAIN_MS).go() == "b"


def test_one_that_never_succeeds_does_not_starve_the_rest() -> None:
    counter = Counter().wait("bad", 3 * HOUR).wait("good", HOUR)

    assert counter.go() == "bad"
    counter.wait("bad", 3 * HOUR).past(valve.DRAIN_MS)

    assert counter.go() == "good"


def test_five_failures_open_the_breaker_and_one_question_tries() -> None:
    counter = Counter().break_down().wait("a").wait("b")

    assert counter.go() is None
    assert counter.past(valve.OPEN_MS).go() == "a"
    assert counter.go() is None
    counter.valve.answered()
    assert counter.go() == "b"


def test_slow_failures_do_not_open_it() -> None:
    counter = Counter().wait("a")
    for _ in range(2 * valve.FAILURES_MAX):
        counter.valve.failed()
        counter.past(valve.FAILURES_WITHIN_MS // (valve.FAILURES_MAX - 1) + 1)

    assert counter.go() == "a"


def test_a_question_without_an_answer_keeps_it_open() -> None:
    counter = Counter().break_down().past(valve.OPEN_MS).wait("a").wait("b")

    counter.go()
    counter.valve.failed()

    assert counter.go() is None
    assert counter.valve.opens_in() == valve.OPEN_MS


@pytest.mark.parametrize("after", [0, valve.OPEN_MS])
def test_no_activation_tries_a_centre_that_can_be_asked(after: int) -> None:
    counter = Counter().break_down().past(after)

    assert not counter.valve.lets(Errand.ACTIVATION)
    assert counter.valve.lets(Errand.QUESTION) == (after > 0)


def test_where_nothing_can_be_asked_one_activation_tries() -> None:
    counter = Counter(C).break_down().wait("a").wait("b")

    assert counter.go() is None
    assert counter.past(valve.OPEN_MS).go() == "a"
    assert counter.go() is None


def test_where_nothing_tells_a_duplicate_nothing_tries() -> None:
    counter = Counter(D).break_down().wait("a").past(HOUR)

    assert counter.go() is None
    assert not counter.valve.lets(Errand.ACTIVATION)


def test_a_centre_that_says_when_is_left_alone_until_then() -> None:
    counter = Counter().wait("a")

    counter.valve.failed(retry_after_ms=20_000)

    assert counter.past(19_999).go() is None
    assert counter.past(1).go() == "a"


def test_nobody_is_left_alone_for_days() -> None:
    counter = Counter().wait("a")

    counter.valve.failed(retry_after_ms=999_999_000)

    assert counter.past(valve.RETRY_AFTER_MAX_MS).go() == "a"


def test_what_has_ended_waits_no_longer() -> None:
    counter = Counter().wait("a").break_down()

    counter.valve.forget("a")

    assert counter.valve.opens_in() is None
    assert counter.past(HOUR).go() is None

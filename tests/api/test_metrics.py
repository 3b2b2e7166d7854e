"""What happened at the counter is in the metrics, and nobody's name."""

from __future__ import annotations

import re
import subprocess
import sys
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from drivers.errors import NoServiceError
from drivers.ports import DirectoryState
from plugin.agent.counting import OTHER, QUICK, ROWS_MAX, Tally, Timing
from plugin.agent.readers import ReaderState
from plugin.api.events import QUEUE_MAX
from simulator.people import CAST, card
from simulator.reader import InProcessDesk
from simulator.scenario import ScriptedCard
from tests.agents import Pos, Running
from tests.centre import CentreProcess
from tests.leaks import find
from tests.scenario.counter import Counter, Tripwire, two_cards
from tests.waiting import wait_until

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(pos: Pos) -> Samples:
    """Every number that Prometheus would keep, by name and labels."""
    text = pos.request("GET", "/metrics").body
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    """One of them; 0 where it never happened."""
    return found.get((f"kaqi_{name}", tuple(sorted(labels.items()))), 0.0)


def activated(pos: Pos, counter: Counter) -> None:
    pos.kaqi.confirm(two_cards(counter))
    counter.reaches("succeeded")


def test_prometheus_reads_them(pos: Pos) -> None:
    answer = pos.request("GET", "/metrics")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = samples(pos)
    labels = {"version": "0.1.0", "profile": "reference@1", "mode": "simulation"}
    assert value(found, "info", **labels) == 1
    assert value(found, "uptime_seconds") > 0


def test_a_transaction_is_counted_once_with_all_that_it_took(
    pos: Pos, counter: Counter
) -> None:
    activated(pos, counter)

    found = samples(pos)
    ended = {"type": "activation", "outcome": "activated", "code": ""}
    assert value(found, "transactions_total", **ended) == 1
    assert value(found, "activation_changes_total", state="ACTIVE") == 1
    assert value(found, "card_read_seconds_count") == 2
    assert value(found, "centre_request_seconds_count", outcome="answered") >= 2
    assert value(found, "step_seconds_count", step="waiting_confirm") == 1
    assert value(found, "journal_commit_seconds_count") >= 3
    assert value(found, "in_doubt_current") == 0


def test_the_buckets_of_a_histogram_only_grow(pos: Pos, counter: Counter) -> None:
    activated(pos, counter)

    text = pos.request("GET", "/metrics").body
    pattern = r'kaqi_card_read_seconds_bucket\{le="([^"]+)"\} ([0-9.]+)'
    buckets = [(float(le), float(n)) for le, n in re.findall(pattern, text)]
    assert [n for _, n in buckets] == sorted(n for _, n in buckets)
    assert buckets[-1] == (float("inf"), 2.0)


def test_why_it_failed_is_counted(
    pos: Pos, counter: Counter, centre: CentreProcess
) -> None:
    centre.set_standing("lin", "lost")
    assert two_cards(counter).state == "failed"

    ended = {"type": "activation", "outcome": "failed", "code": "card.lost"}
    assert value(samples(pos), "transactions_total", **ended) == 1


def test_a_centre_that_is_silent_is_counted_and_so_is_the_doubt(
    pos: Pos, counter: Counter, centre: CentreProcess
) -> None:
    confirming = two_cards(counter)
    centre.misbehave("silence", "activations", seconds=60)
    pos.kaqi.confirm(confirming)
    counter.reaches("in_doubt")

    found = samples(pos)
    assert value(found, "in_doubt_current") == 1
    assert value(found, "centre_request_seconds_count", outcome="centre.timeout") == 1
    centre.let_go()


def test_a_reader_says_how_it_is(
    pos: Pos, counter: Counter, hand: InProcessDesk
) -> None:
    def state(name: str) -> float:
        labels = {"reader": counter.ids[0], "transport": "inprocess", "state": name}
        return value(samples(pos), "reader_state", **labels)

    def states() -> tuple[float, ...]:
        return tuple(state(each.value) for each in ReaderState)

    assert states() == (1, 0, 0, 0)
    pulled = Tripwire(card("lin.medical"), 2, lambda: hand.remove(counter.readers[0]))
    counter.start("pharmacy")
    counter.put(pulled)

    failed = {"reader": counter.ids[0], "code": "card.removed"}
    wait_until(lambda: value(samples(pos), "card_reads_total", **failed) == 1)
    assert states() == (1, 0, 0, 0)  # it was the card's fault


def test_who_was_refused_at_the_door_is_counted_by_the_reason(pos: Pos) -> None:
    stranger = Pos(pos.port, "nobody")
    for _ in range(3):
        assert stranger.request("GET", "/v1/readers").status == 401

    rejected = value(samples(pos), "auth_rejected_total", reason="auth.token_invalid")
    assert rejected == 3


def test_events_that_a_follower_was_too_slow_for_are_counted(agent: Running) -> None:
    hub, till = agent.agent.hub, agent.agent.till
    assert hub.follow() is not None  # and never looks

    def tell_more_than_it_can_keep() -> None:
        for _ in range(QUEUE_MAX + 1):
            till.happenings.tell("reader.attached", "readers/x")

    till.loop.ask(tell_more_than_it_can_keep).result()
    wait_until(lambda: hub.dropped > 0)

    assert value(samples(agent.pos), "events_dropped_total") == QUEUE_MAX + 1


def test_no_label_names_a_person_a_sale_or_a_transaction(
    pos: Pos, counter: Counter
) -> None:
    activated(pos, counter)
    pos.start("pharmacy", {"pos_ref": "sale-4711", "operator_ref": "clerk-7"})

    text = pos.request("GET", "/metrics").body
    assert find([("metrics", text.encode())], CAST) == []
    for ours in ("sale-4711", "clerk-7", counter.now.id, counter.now.id[2:10]):
        assert ours not in text


def test_a_count_has_no_more_rows_than_it_may() -> None:
    tally, timing = Tally("x", "", "a", "b"), Timing("y", "", QUICK, "a")
    for number in range(ROWS_MAX * 2):
        tally.add(str(number), "b")
        timing.note(0.1, str(number))
    tally.add("0", "b")

    assert len(tally.rows()) == len(timing.rows()) == ROWS_MAX + 1
    assert tally.rows()[OTHER, OTHER] == ROWS_MAX
    assert tally.rows()["0", "b"] == 2


@pytest.mark.parametrize(("seconds", "bucket"), [(0.0, 0), (0.001, 0), (0.0011, 1)])
def test_an_edge_belongs_to_its_bucket(seconds: float, bucket: int) -> None:
    timing = Timing("y", "", QUICK)

    timing.note(seconds)

    assert timing.rows()[()].fell.index(1) == bucket
    assert timing.rows()[()].at_most[-1] == 1


def test_nothing_is_lost_that_two_threads_count() -> None:
    tally = Tally("x", "", "a")

    def count() -> None:
        for _ in range(20_000):
            tally.add("1")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert tally.rows() == {("1",): 80_000}


def test_a_till_that_nobody_watches_does_not_load_the_library() -> None:
    script = (
        "import sys, plugin.main, plugin.commands.serve\n"
        "wanted = ('prometheus_client', 'plugin.api.description', 'zipfile')\n"
        "print([each for each in wanted if each in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def test_readers_that_can_be_asked_again_are_counted(
    agent: Running, hand: InProcessDesk
) -> None:
    till = agent.agent.till

    def sees(state: DirectoryState) -> None:
        till.loop.ask(lambda: till.board.directory_changed("inprocess", state)).result()

    sees(DirectoryState(trouble=NoServiceError("gone")))
    sees(DirectoryState(trouble=NoServiceError("still gone")))
    sees(hand.look())

    found = samples(agent.pos)
    assert value(found, "pcsc_reconnects_total", transport="inprocess") == 1


def test_what_a_card_refuses_is_counted_by_its_status_word(
    pos: Pos, counter: Counter
) -> None:
    says = {number: bytes.fromhex("6F00") for number in range(1, 9)}
    counter.start("pharmacy")
    counter.put(ScriptedCard(card("lin.social_security"), replies=says))

    wait_until(lambda: value(samples(pos), "apdu_errors_total", sw="6F00") > 0)
    numbers = [name for name, _ in samples(pos) if name == "kaqi_apdu_errors_total"]
    assert len(numbers) == 1  # neither success nor "more" is an error

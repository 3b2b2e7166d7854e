"""The simulation by request: what happens to cards, readers and the centre."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from msgspec.structs import replace

from drivers.ports import Mishap, SimulatedDesk
from plugin.activation.region import NewPin
from plugin.api import requests
from plugin.profile_file import load_profile
from simulator.centre.faults import Fault
from simulator.keypad import Keypad
from simulator.people import CAST, ORDERS, OTHERS
from simulator.reader import READER_NAMES, InProcessDesk
from simulator.stories import STORIES
from simulator.vpcd import VpcdDesk
from tests.agents import Answer, Running, running
from tests.api.test_requests import assert_problem
from tests.centre import CentreProcess
from tests.scenario.counter import Counter
from tests.waiting import wait_until

CENTRE = "/v1/simulate/centre"


@pytest.fixture
def agent(
    tmp_path: Path, centre: CentreProcess, hand: InProcessDesk
) -> Iterator[Running]:
    """A hospital's, whose registrations need one card and no confirmation."""
    with running(tmp_path, centre.address, {"inprocess": hand}, hand) as started:
        started.reader_ids(hand.readers())
        yield started


def by_hand(counter: Counter, verb: str, body: object = None, reader: int = 0) -> None:
    """Do something at a reader."""
    answer = asked(counter, verb, body, reader)
    assert answer.status == 204, answer.body


def asked(counter: Counter, verb: str, body: object = None, reader: int = 0) -> Answer:
    path = f"/v1/simulate/readers/{counter.ids[reader]}/{verb}"
    return counter.pos.request("POST", path, body or {})


def registered(counter: Counter) -> None:
    """Begin a registration."""
    counter.start("outpatient_registration")
    counter.reaches("waiting_card.social_security")


def test_the_cast_tells_who_is_there_and_what_for(shared_agent: Running) -> None:
    shared_agent.reader_ids(READER_NAMES)

    answer = shared_agent.pos.request("GET", "/v1/simulate/cast")

    cast = {each["name"]: each for each in answer.body["cast"]}
    assert list(cast) == answer.body["cards"] == [*ORDERS, *OTHERS]
    assert answer.body["test_data"] is True
    assert cast["luo.social_security"] == {
        "name": "luo.social_security",
        "person": "luo",
        "kind": "social_security",
        "medium": "processor",
        "label": {"zh-CN": "罗试四 社会保障卡", "en": "Luo, social security card"},
        "story": {"zh-CN": "已挂失", "en": "reported lost"},
        "pin": "123456",
    }
    for reader in answer.body["readers"]:
        assert reader["attached"]
        assert reader["has_plug"]
        assert reader["mishaps"] == ["hang", "lose_answer", "pull", "reset"]


def test_the_readers_tell_what_is_in_and_what_is_planned(counter: Counter) -> None:
    def first() -> dict[str, Any]:
        shown = counter.pos.request("GET", "/v1/simulate/cast").body["readers"][0]
        return {key: shown[key] for key in ("slot", "card", "planned")}

    empty = {"slot": "empty", "card": None, "planned": None}
    assert first() == empty
    by_hand(counter, "hang", {"at": 2, "seconds": 7})
    planned = {"mishap": "hang", "at": 2, "seconds": 7.0}
    assert first() == {**empty, "planned": planned}
    by_hand(counter, "insert", {"card": "lin.medical"})
    card = {"slot": "present", "card": "lin.medical"}
    wait_until(lambda: first() == {**card, "planned": planned})
    by_hand(counter, "remove")
    wait_until(lambda: first() == empty)
    by_hand(counter, "mute", {"card": "song.medical"})
    muted = {"slot": "mute", "card": "song.medical", "planned": None}
    wait_until(lambda: first() == muted)
    by_hand(counter, "detach")
    wait_until(lambda: first() == empty)


def test_a_card_that_was_pulled_is_not_in_any_more(counter: Counter) -> None:
    registered(counter)
    by_hand(counter, "tear", {"at": 2})

    by_hand(counter, "insert", {"card": "lin.social_security"})

    counter.says("card.removed")
    (first, _) = counter.pos.request("GET", "/v1/simulate/cast").body["readers"]
    assert (first["card"], first["planned"]) == (None, None)


def test_the_holder_types_on_a_reader_that_asks(
    tmp_path: Path, centre: CentreProcess
) -> None:
    hand = InProcessDesk(keypads={READER_NAMES[0]: Keypad()})
    profile = load_profile("reference")
    pin = replace(profile.pin, new=NewPin.KEEP, initial=())
    with running(
        tmp_path,
        centre.address,
        {"inprocess": hand},
        hand,
        profile=replace(profile, pin=pin),
    ) as agent:
        counter = Counter(agent, hand)

        def asks() -> list[bool | None]:
            cast = counter.pos.request("GET", "/v1/simulate/cast").body
            return [each["keypad_asks"] for each in cast["readers"]]

        by_hand(counter, "type", {"digits": "654321"})  # while nobody is asked
        without = asked(counter, "type", {"digits": "654321"}, reader=1)
        registered(counter)
        by_hand(counter, "insert", {"card": "lin.social_security"})
        counter.reaches("waiting_pin")
        idle = asks()
        counter.now = counter.pos.kaqi.pin(counter.now)
        wait_until(lambda: asks() == [True, None])
        by_hand(counter, "type")
        counter.says("pin.cancelled")
        counter.now = counter.pos.kaqi.pin(counter.now)
        wait_until(lambda: asks() == [True, None])
        by_hand(counter, "type", {"digits": "123456"})

        assert counter.reaches("succeeded").outcome == "activated"
        assert idle == asks() == [False, None]
        assert_problem(without, 409, "simulation.not_here")


def test_everybody_has_a_story() -> None:
    assert set(STORIES) == {person.key for person in CAST} | set(OTHERS)
    assert all(story.zh and story.en for story in STORIES.values())


def test_a_card_is_pulled_at_the_command_that_was_named(counter: Counter) -> None:
    registered(counter)

    by_hand(counter, "tear", {"at": 5})
    by_hand(counter, "insert", {"card": "lin.social_security"})

    shown = counter.pos.until(counter.now, lambda each: each.problem is not None)
    assert shown.problem is not None
    assert shown.problem["code"] == "card.removed"
    assert shown.state == "waiting_card"
    by_hand(counter, "insert", {"card": "lin.social_security"})
    assert counter.reaches("succeeded").outcome == "activated"


def test_a_card_that_is_mute_is_turned_round(counter: Counter) -> None:
    registered(counter)

    by_hand(counter, "mute", {"card": "lin.social_security"})
    shown = counter.pos.until(counter.now, lambda each: each.problem is not None)
    by_hand(counter, "remove")
    by_hand(counter, "insert", {"card": "lin.social_security"})

    assert shown.problem is not None
    assert shown.problem["code"] == "card.mute"
    assert counter.reaches("succeeded").outcome == "activated"


@pytest.mark.parametrize(
    ("verb", "body", "code"),
    [
        pytest.param("tear", {"at": 9, "answer_lost": True}, "card.removed", id="lost"),
        pytest.param("reset", {"at": 4}, "card.reset_by_other", id="reset"),
    ],
)
def test_what_is_planned_happens_once_and_is_named(
    counter: Counter, verb: str, body: dict[str, object], code: str
) -> None:
    registered(counter)

    by_hand(counter, verb, body)
    by_hand(counter, "insert", {"card": "lin.social_security"})
    shown = counter.pos.until(counter.now, lambda each: each.problem is not None)
    by_hand(counter, "remove")
    by_hand(counter, "insert", {"card": "lin.social_security"})

    assert shown.problem is not None
    assert shown.problem["code"] == code
    assert counter.reaches("succeeded").outcome == "activated"


def test_a_card_that_hangs_is_waited_for(counter: Counter) -> None:
    registered(counter)
    began = time.monotonic()

    by_hand(counter, "hang", {"at": 2, "seconds": 0.4})
    by_hand(counter, "insert", {"card": "lin.social_security"})

    assert counter.reaches("succeeded").problem is None
    assert time.monotonic() - began > 0.4


def test_a_card_that_hangs_is_let_go_when_it_is_taken_out(counter: Counter) -> None:
    registered(counter)

    by_hand(counter, "hang", {"at": 2, "seconds": 60})
    by_hand(counter, "insert", {"card": "lin.social_security"})
    wait_until(lambda: counter.pos.kaqi.get(counter.now.id).state == "reading")
    by_hand(counter, "remove")

    shown = counter.pos.until(counter.now, lambda each: each.problem is not None)
    assert shown.problem is not None
    assert shown.problem["code"] == "card.removed"  # and not that it timed out


def test_what_was_planned_for_a_card_is_over_when_it_leaves(counter: Counter) -> None:
    by_hand(counter, "insert", {"card": "he.social_security"})
    by_hand(counter, "tear")
    by_hand(counter, "remove")
    registered(counter)

    by_hand(counter, "insert", {"card": "lin.social_security"})

    assert counter.reaches("succeeded").problem is None


def test_a_reader_comes_back_under_its_id(counter: Counter) -> None:
    def attached() -> list[bool]:
        cast = counter.pos.request("GET", "/v1/simulate/cast").body
        return [each["attached"] for each in cast["readers"]]

    by_hand(counter, "detach")
    wait_until(lambda: attached() == [False, True])
    gone = asked(counter, "insert", {"card": "lin.social_security"})
    by_hand(counter, "attach")
    wait_until(lambda: attached() == [True, True])
    registered(counter)
    by_hand(counter, "insert", {"card": "lin.social_security"})

    assert_problem(gone, 404, "simulation.unknown")
    assert counter.reaches("succeeded").outcome == "activated"


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ("other.bank_card", "card.unsupported"),
        ("other.memory_card", "card.data_invalid"),
    ],
)
def test_a_card_that_is_nobodys_is_named(
    counter: Counter, card: str, code: str
) -> None:
    registered(counter)

    by_hand(counter, "insert", {"card": card})

    shown = counter.pos.until(counter.now, lambda each: each.problem is not None)
    assert shown.problem is not None
    assert shown.problem["code"] == code


@pytest.mark.parametrize("verb", ["insert", "mute", "tear", "remove", "attach"])
def test_an_unknown_reader_is_said(shared_agent: Running, verb: str) -> None:
    body = {"card": "lin.medical"} if verb in ("insert", "mute") else {}
    path = f"/v1/simulate/readers/r-unknown/{verb}"

    answer = shared_agent.pos.request("POST", path, body)

    assert_problem(answer, 404, "simulation.unknown")


@pytest.mark.parametrize("verb", ["insert", "mute"])
def test_an_unknown_card_and_a_taken_reader_are_said(
    counter: Counter, verb: str
) -> None:
    unknown = asked(counter, verb, {"card": "nobody.medical"})
    by_hand(counter, verb, {"card": "lin.medical"})
    taken = asked(counter, verb, {"card": "he.medical"})

    assert_problem(unknown, 404, "simulation.unknown")
    assert_problem(taken, 409, "simulation.occupied")


def test_the_centre_does_as_it_is_told_until_it_is_told_otherwise(
    counter: Counter, centre: CentreProcess
) -> None:
    words = {"code": "7", "text": "原医保卡已挂失"}
    refuse = {"fault": "refuse", "operation": "activations", "words": words}

    told = counter.pos.request("POST", CENTRE, {"faults": [refuse]})
    books = counter.pos.request("GET", CENTRE).body
    registered(counter)
    by_hand(counter, "insert", {"card": "lin.social_security"})
    refused = counter.reaches("failed", "succeeded")
    by_hand(counter, "remove")
    counter.pos.request("POST", CENTRE, {"faults": []})
    registered(counter)
    by_hand(counter, "insert", {"card": "lin.social_security"})
    succeeded = counter.reaches("succeeded")

    assert told.status == 204
    assert [each["fault"] for each in books["faults"]] == ["refuse"]
    assert books["test_data"] is True
    assert refused.problem is not None
    assert refused.problem["code"] == "card.medical_blocked"
    assert refused.problem["centre"] == words
    assert succeeded.outcome == "activated"
    (activation,) = counter.pos.request("GET", CENTRE).body["activations"]
    assert activation["activation_id"] == succeeded.data["result"]["activation_id"]


def test_an_answer_that_is_lost_leaves_a_doubt_until_the_centre_speaks(
    counter: Counter, centre: CentreProcess
) -> None:
    lost = {"fault": "lose_answer", "operation": "activations"}
    deaf = {"fault": "lose_request", "operation": "activation-status"}

    counter.pos.request("POST", CENTRE, {"faults": [lost, deaf]})
    registered(counter)
    by_hand(counter, "insert", {"card": "lin.social_security"})
    counter.reaches("in_doubt")
    counter.pos.request("POST", CENTRE, {"faults": []})

    assert counter.reaches("succeeded").outcome == "activated"
    assert len(centre.effects) == 1


def test_the_agent_offers_every_fault_the_centre_knows() -> None:
    hint = get_type_hints(requests.CentreFault)["fault"]

    assert set(get_args(hint)) == {fault.value for fault in Fault}


def test_reset_empties_the_readers_and_the_books(counter: Counter) -> None:
    registered(counter)
    by_hand(counter, "insert", {"card": "lin.social_security"})
    counter.reaches("succeeded")
    by_hand(counter, "tear", {}, reader=1)
    by_hand(counter, "detach", reader=1)
    counter.pos.request("POST", CENTRE, {"faults": [{"fault": "lose_request"}]})

    answer = counter.pos.request("POST", "/v1/simulate/reset", {})

    books = counter.pos.request("GET", CENTRE).body
    assert answer.status == 204
    assert (books["faults"], books["activations"]) == ([], [])
    counter.running.reader_ids(counter.readers)
    wait_until(
        lambda: (
            {
                each["slot"]
                for each in counter.pos.kaqi.readers()
                if each["role"] == "patient"
            }
            == {"empty"}
        )
    )
    registered(counter)
    by_hand(counter, "insert", {"card": "he.social_security"}, reader=1)
    assert counter.reaches("succeeded").problem is None  # the tear is forgotten


def test_nothing_of_it_is_there_without_a_simulation(
    tmp_path: Path, centre: CentreProcess, hand: InProcessDesk
) -> None:
    real: SimulatedDesk | None = None

    with running(tmp_path, centre.address, {"inprocess": hand}, real) as agent:
        answers = [
            agent.pos.request("GET", "/v1/simulate/cast"),
            agent.pos.request("GET", CENTRE),
            agent.pos.request("POST", CENTRE, {"faults": []}),
            agent.pos.request("POST", "/v1/simulate/reset", {}),
            agent.pos.request("POST", "/v1/simulate/readers/x/tear", {}),
        ]

    for answer in answers:
        assert_problem(answer, 404, "request.not_found")


def test_what_readers_behind_a_service_cannot_do_is_said(
    tmp_path: Path, centre: CentreProcess, vpcd: VpcdDesk
) -> None:
    from drivers.pcsc import PcscDirectory

    assert vpcd.mishaps == frozenset(Mishap) - {Mishap.RESET}
    with running(tmp_path, centre.address, {"pcsc": PcscDirectory()}, vpcd) as agent:
        counter = Counter(agent, vpcd, module=InProcessDesk())
        cannot = [asked(counter, verb) for verb in ("reset", "detach", "attach")]
        registered(counter)
        by_hand(counter, "tear", {"at": 3})
        by_hand(counter, "insert", {"card": "lin.social_security"})
        shown = counter.pos.until(counter.now, lambda each: each.problem is not None)

    for answer in cannot:
        assert_problem(answer, 409, "simulation.not_here")
    assert shown.problem is not None
    assert shown.problem["code"] == "card.removed"

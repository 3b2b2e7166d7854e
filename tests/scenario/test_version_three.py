"""Cards of 3.0 at the counter: by PSAM, by HSM, and everything that can go wrong between."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from plugin.agent import readers
from simulator.card.cryptography import IRK_MASTER, READ_MASTER
from simulator.card.engine import CardEngine
from simulator.card.psam import PsamEngine, PsamImage
from simulator.people import PEOPLE, engine
from simulator.reader import InProcessDesk
from simulator.scenario import ScriptedCard
from tests.agents import Running
from tests.centre import CentreProcess
from tests.scenario.counter import Counter

COMMANDS = 24
HOLDER = PEOPLE["qin"].holder


@pytest.fixture
def hand(agent: tuple[Running, InProcessDesk]) -> InProcessDesk:
    return agent[1]


def register(counter: Counter, card: str = "qin.social_security") -> None:
    counter.start("outpatient_registration")
    counter.put(card)


@pytest.mark.parametrize("person", ["qin", "xu"])
def test_with_a_psam_the_centre_need_not_be_asked(
    counter: Counter, centre: CentreProcess, person: str
) -> None:
    register(counter, f"{person}.social_security")

    assert counter.reaches("succeeded").outcome == "activated"
    assert "authenticate" not in centre.received


@pytest.mark.parametrize(
    "psam",
    [
        pytest.param(None, id="none"),
        pytest.param(PsamImage(algorithms=()), id="no algorithm"),
        pytest.param(PsamImage(masters={}), id="no key"),
        pytest.param(PsamImage(levels=2), id="another level"),
    ],
)
@pytest.mark.parametrize("person", ["qin", "xu"])
def test_what_the_psam_cannot_do_the_hsm_does(
    counter: Counter,
    hand: InProcessDesk,
    centre: CentreProcess,
    psam: PsamImage | None,
    person: str,
) -> None:
    hand.give_psam(PsamEngine(psam) if psam is not None else None)

    register(counter, f"{person}.social_security")

    assert counter.reaches("succeeded").outcome == "activated"
    assert centre.received["authenticate"] == 1


@pytest.mark.parametrize(
    ("fault", "more", "code"),
    [
        pytest.param("silence", {"seconds": 5}, "centre.timeout", id="silent"),
        pytest.param("lose_answer", {}, "centre.answer_invalid", id="lost"),
        pytest.param("nonsense", {}, "centre.answer_invalid", id="nonsense"),
        pytest.param(
            "wrong_echo",
            {"echo": "internal_original"},
            "hsm.answer_for_another",
            id="another card's",
        ),
        pytest.param(
            "wrong_echo",
            {"echo": "external"},
            "card.authentication_failed",
            id="a wrong key",
        ),
    ],
)
def test_what_is_wrong_with_the_hsm_is_named_and_nothing_is_read(
    counter: Counter,
    hand: InProcessDesk,
    centre: CentreProcess,
    fault: str,
    more: dict[str, object],
    code: str,
) -> None:
    hand.give_psam(None)
    centre.misbehave(fault, "authenticate", **more)

    register(counter)
    shown = counter.says(code)

    assert shown.holder is None
    assert HOLDER.social_security_number not in json.dumps(dict(shown.data))
    centre.behave()
    counter.take()
    counter.put("qin.social_security")
    assert counter.reaches("succeeded").outcome == "activated"


def test_a_slow_hsm_is_not_taken_for_a_stuck_reader(
    counter: Counter,
    hand: InProcessDesk,
    centre: CentreProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readers, "STALL_SECONDS", 0.2)
    hand.give_psam(None)
    centre.misbehave("slow", "authenticate", seconds=1.5)

    register(counter)

    assert counter.reaches("succeeded").outcome == "activated"


def test_a_forged_card_is_not_genuine_and_the_next_one_works(counter: Counter) -> None:
    order = PEOPLE["qin"].social_security
    forged = replace(order, factors=(bytes(8),))
    counter.start("outpatient_registration")
    counter.put(CardEngine(forged.image()))

    counter.says("card.not_genuine")
    counter.take()
    counter.put("xu.social_security")

    assert counter.reaches("succeeded").outcome == "activated"


def test_a_psam_without_the_hsm_behind_it_says_what_it_lacks(
    counter: Counter, hand: InProcessDesk, centre: CentreProcess
) -> None:
    masters = {0x01: READ_MASTER, 0x0A: IRK_MASTER}  # the wrong way round
    hand.give_psam(PsamEngine(PsamImage(masters=masters)))

    register(counter)

    counter.says("card.not_genuine")
    assert "authenticate" not in centre.received


@pytest.mark.parametrize("at", range(1, COMMANDS + 1))
def test_pulled_at_each_command_the_card_still_works_afterwards(
    counter: Counter, centre: CentreProcess, at: int
) -> None:
    pulled_and_put_back(counter, at)

    assert len(centre.effects) == 1


HSM_COMMANDS = COMMANDS
ENDS = [
    *((True, at) for at in (1, COMMANDS // 2, COMMANDS)),
    *((False, at) for at in (1, HSM_COMMANDS // 2, HSM_COMMANDS)),
]


@pytest.mark.parametrize("at", range(1, HSM_COMMANDS + 1))
def test_pulled_at_each_command_while_the_hsm_helps(
    counter: Counter, hand: InProcessDesk, centre: CentreProcess, at: int
) -> None:
    hand.give_psam(None)

    pulled_and_put_back(counter, at)

    assert len(centre.effects) == 1


@pytest.mark.parametrize(("psam", "at"), ENDS)
def test_pulled_out_of_a_reader_elsewhere(
    elsewhere: Counter, centre: CentreProcess, psam: bool, at: int
) -> None:
    if not psam:
        elsewhere.module.give_psam(None)

    pulled_and_put_back(elsewhere, at)

    assert len(centre.effects) == 1


def pulled_and_put_back(counter: Counter, at: int) -> None:
    """A registration whose card leaves at this command, and comes back."""
    counter.start("outpatient_registration")
    counter.put(ScriptedCard(engine("qin.social_security"), pull_at=at))
    counter.says("card.removed")
    counter.take()
    counter.put("qin.social_security")
    assert counter.reaches("succeeded").outcome == "activated"


def test_two_counters_share_one_psam(
    counter: Counter, hand: InProcessDesk, centre: CentreProcess
) -> None:
    def one(number: int, person: str) -> str | None:
        pos, name = counter.pos, counter.readers[number]
        more = {"readers": [counter.ids[number]]}
        started = pos.start("outpatient_registration", more).body
        hand.insert_card(engine(f"{person}.social_security"), name)
        return pos.until(pos.kaqi.get(started["id"]), "succeeded").outcome

    with ThreadPoolExecutor(2) as beside:
        outcomes = list(beside.map(one, (0, 1), ("qin", "xu")))

    assert outcomes == ["activated", "activated"]
    assert "authenticate" not in centre.received


def test_in_a_pharmacy_the_new_card_may_be_of_3_0(counter: Counter) -> None:
    counter.start("pharmacy")
    counter.put("qin.medical")
    counter.reaches("waiting_card.social_security")
    counter.put("qin.social_security", 1)
    counter.reaches("waiting_confirm")
    counter.confirm()

    assert counter.reaches("succeeded").outcome == "activated"

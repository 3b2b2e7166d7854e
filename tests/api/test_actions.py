"""Every action in every state: the reviewed table, the code's own, and what HTTP says."""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drivers.ports import ReaderDirectory
from drivers.serial_line.directory import SerialDirectory
from plugin.activation import desk
from plugin.activation.desk import ALLOWED, Action
from plugin.activation.region import Clocks
from simulator.people import engine
from simulator.reader import InProcessDesk
from simulator.serial_peer import READER_NAMES, TRACK_NAME, SerialDesk
from tests.agents import QUICK, Answer, running
from tests.api.test_requests import assert_problem
from tests.centre import CentreProcess
from tests.scenario.counter import Counter, Tripwire, two_cards
from tests.scenario.regions import counter_in

TABLE: dict[str, dict[str, str]] = tomllib.loads(
    Path(__file__).with_name("actions.toml").read_text(encoding="utf-8")
)
ANSWERS = {"no": "transaction.bad_state", "final": "transaction.not_cancellable"}
BY_REGISTRATION, WITH_PIN = "v6-registration", "v3-old-pin"
BODIES: dict[Action, dict[str, str]] = {Action.PIN: {"pin": "123456"}}


def key(state: type[desk.State]) -> str:
    return "waiting_pin.at_work" if state is desk.PinAtWork else state.name


def test_the_code_allows_what_the_table_allows() -> None:
    allowed = {
        key(state): {action.value for action in actions}
        for state, actions in ALLOWED.items()
    }

    assert allowed == {
        state: {action for action, answer in row.items() if answer == "yes"}
        for state, row in TABLE.items()
    }


def test_the_code_refuses_by_the_codes_of_the_table() -> None:
    refused = {
        (key(state), action.value): desk.refusal(action, state.name)
        for state, actions in ALLOWED.items()
        for action in set(Action) - actions
    }

    assert refused == {
        (state, action): ANSWERS[answer]
        for state, row in TABLE.items()
        for action, answer in row.items()
        if answer != "yes"
    }


Enter = Callable[[Path, CentreProcess], Iterator[Counter]]
ENTRANCES: dict[str, Enter] = {}


def entrance(enter: Enter) -> Enter:
    """How a transaction comes to a state and stays there; named after the state."""
    ENTRANCES[enter.__name__.replace("__", ".")] = enter
    return enter


def at_a_counter(
    folder: Path, centre: CentreProcess, clocks: Clocks = QUICK, readers: int = 2
) -> Iterator[Counter]:
    hand = InProcessDesk()
    with running(
        folder, centre.address, {"inprocess": hand}, hand, clocks=clocks
    ) as agent:
        yield Counter(agent, hand, readers=readers)


@contextmanager
def stuck(card: str, at: int) -> Iterator[Tripwire]:
    """A card that does not answer its n-th command until the test is over."""
    over = threading.Event()

    def holding() -> None:
        over.wait(4)

    try:
        yield Tripwire(engine(card), at, holding)
    finally:
        over.set()


@entrance
def waiting_reader(folder: Path, centre: CentreProcess) -> Iterator[Counter]:
    with running(folder, centre.address, {}, InProcessDesk()) as agent:
        counter = Counter(agent, InProcessDesk(), readers=0)
        counter.takes(counter.pos.kaqi.start("pharmacy"))
        yield counter


@entrance
def waiting_card(folder: Path, centre: CentreProcess) -> Iterator[Counter]:
    for counter in at_a_counter(folder, centre):
        counter.start("pharmacy")
        yield counter


@entrance
def reading(folder: Path, centre: CentreProcess) -> Iterator[Counter]:
    for counter in at_a_counter(folder, centre):
        with stuck("lin.medical", 3) as card:
            counter.start("pharmacy")
            counter.put(card)
            counter.reaches("reading")
            yield counter


@entrance
def waiting_removal(folder: Path, centre: CentreProcess) -> Iterator[Counter]:
    for counter in at_a_counter(folder, centre, readers=1):
        counter.start("pharmacy")
        counter.put("lin.medical")
        counter.reaches("waiting_removal")
        yield counter


@entrance
def matching(folder: Path, centre: CentreProcess) -> Iterator[Counter]:
    """A stripe does not say whose it is."""
    centre.misbehave("silence", "match", seconds=9)
    desk = SerialDesk()
    readers: dict[str, ReaderDirectory] = {
        "serial": SerialDirectory(desk.ports),
        "inprocess": InProcessDesk(),  # where the PSAM is
    }
    with running(folder, centre.address, readers, desk, clocks=Clocks()) as agent:
        counter = Counter(agent, desk, names=(READER_NAMES[0], TRACK_NAME))
        counter.start("pharmacy")
        counter.put("song.medical", 1)
        counter.reaches("waiting_card.social_security")
        counter.put("song.social_security")
        counter.reaches("matching")
        yield counter
        centre.let_go()
    desk.close()


@entrance
def checking(folder: Path, centre: CentreProcess) -> Iterator[Counter]:
    centre.misbehave("silence", "card-status", seconds=9)
    for counter in at_a_counter(folder, centre, Clocks()):
        counter.start("pharmacy")
        counter.put("lin.social_security")
        counter.reaches("checking")
        yield counter
        centre.let_go()


@entrance
def waiting_confirm(folder: Path, centre: CentreProcess) -> Iterator[Counter]:
    for counter in at_a_counter(folder, centre):
        two_cards(counter)
        yield counter


@entrance
def waiting_registration(folder: Path, centre: CentreProcess) -> Iterator[Counter]:
    with counter_in(BY_REGISTRATION, folder, centre) as counter:
        counter.start("outpatient_registration")
        counter.put("lin.social_security")
        counter.reaches("waiting_registration")
        yield counter


@entrance
def waiting_pin(folder: Path, centre: CentreProcess) -> Iterator[Counter]:
    with counter_in(WITH_PIN, folder, centre) as counter:
        counter.start("outpatient_registration")
        counter.put("lin.social_security")
        counter.reaches("waiting_pin")
        yield counter


@entrance
def waiting_pin__at_work(folder: Path, centre: CentreProcess) -> Iterator[Counter]:
    with (
        counter_in(WITH_PIN, folder, centre) as counter,
        stuck("lin.social_security", 18) as card,
    ):
        counter.start("outpatient_registration")
        counter.put(card)
        counter.reaches("waiting_pin")
        counter.pos.kaqi.pin(counter.now, "123456")
        counter.reaches("waiting_pin.at_work")
        yield counter


@entrance
def committing(folder: Path, centre: CentreProcess) -> Iterator[Counter]:
    centre.misbehave("silence", "activations", seconds=9)
    for counter in at_a_counter(folder, centre, Clocks()):
        two_cards(counter)
        counter.confirm()
        counter.reaches("committing")
        yield counter
        centre.let_go()


@entrance
def in_doubt(folder: Path, centre: CentreProcess) -> Iterator[Counter]:
    centre.misbehave("lose_answer", "activations")
    centre.misbehave("lose_request", "activation-status")
    for counter in at_a_counter(folder, centre):
        two_cards(counter)
        counter.confirm()
        counter.reaches("in_doubt")
        yield counter


@entrance
def succeeded(folder: Path, centre: CentreProcess) -> Iterator[Counter]:
    for counter in at_a_counter(folder, centre):
        counter.start("pharmacy")
        counter.put("tang.social_security")
        counter.reaches("succeeded")
        yield counter


@entrance
def failed(folder: Path, centre: CentreProcess) -> Iterator[Counter]:
    for counter in at_a_counter(folder, centre):
        two_cards(counter, "he", "lin")
        counter.reaches("failed")
        yield counter


@entrance
def cancelled(folder: Path, centre: CentreProcess) -> Iterator[Counter]:
    for counter in at_a_counter(folder, centre):
        counter.takes(counter.pos.kaqi.cancel(counter.start("pharmacy")))
        yield counter


@entrance
def expired(folder: Path, centre: CentreProcess) -> Iterator[Counter]:
    for counter in at_a_counter(folder, centre, Clocks(card=0)):
        counter.start("pharmacy")
        counter.reaches("expired")
        yield counter


def ask(counter: Counter, action: str) -> Answer:
    """Each with a key of its own."""
    path = f"/v1/transactions/{counter.now.id}/{action}"
    body = BODIES.get(Action(action), {})
    return counter.pos.request("POST", path, body, key=f"try-{action}")


def test_every_state_of_the_table_can_be_entered() -> None:
    assert set(ENTRANCES) == set(TABLE)


@pytest.mark.parametrize("state", TABLE)
def test_over_http_every_action_is_answered_as_the_table_says(
    tmp_path: Path, centre: CentreProcess, state: str
) -> None:
    row = TABLE[state]
    allowed = sorted(action for action, answer in row.items() if answer == "yes")

    for counter in ENTRANCES[state](tmp_path, centre):
        assert counter.now.data["step"]["key"].startswith(state)
        assert counter.now.allowed_actions == allowed
        for action, answer in row.items():
            if answer != "yes":
                refused = ask(counter, action)
                assert_problem(refused, 409, ANSWERS[answer])
                assert refused.body["allowed_actions"] == allowed
        assert counter.pos.kaqi.get(counter.now.id).data == counter.now.data
        for action in allowed[-1:]:
            taken = ask(counter, action)
            assert taken.status in (200, 202), taken.body

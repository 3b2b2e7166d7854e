"""Every state of a record as a place: how a visit comes there and stays, how it goes on, and
how it ends. All of it goes over HTTP, so that it does not matter where the agent lives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from drivers.ports import Clock
from plugin.activation.region import Clocks
from plugin.activation.saga import ActivationState
from plugin.agent.till import Till
from plugin.client import Transaction
from plugin.profile_file import load_profile
from simulator.people import engine
from simulator.reader import InProcessDesk
from simulator.scenario import Card
from tests.agents import Answer, Pos, Running, running
from tests.centre import CentreProcess
from tests.regions import SETTINGS, settings_for
from tests.waiting import wait_until

State = ActivationState
INITIAL, NEW, HOLDERS = "123456", "246813", "123456"
KEY = "visit"
READER = "Simulated reader 1"
PATIENT = Clocks(card=30, confirm=30, centre=30)
KEPT_BACK = 60.0  # seconds; nobody waits so long
UNTIL_ASKED = {"seconds": KEPT_BACK, "times": 1}


class End(Struct, frozen=True):
    """How a visit stands: in the journal, at the counter, and at the centre, which has had
    so many messages and done so much."""

    record: State
    told: str
    messages: int
    effects: int


_NOTHING_SENT = End(State.ABANDONED, "ended", 0, 0)
STANDS = {
    State.ABANDONED: _NOTHING_SENT,
    State.REJECTED: End(State.REJECTED, "ended", 1, 0),
    State.MANUAL: End(State.MANUAL, "in_doubt", 1, 1),
    State.ACTIVE: End(State.ACTIVE, "succeeded", 1, 1),
}


class Visit:
    """One person's registration, as POS, clerk and holder carry it through."""

    def __init__(self, pos: Pos, centre: CentreProcess, person: str = "lin") -> None:
        self.pos = pos
        self.centre = centre
        self.person = person
        self.now: Transaction

    def begin(self, key: str = KEY) -> Transaction:
        """The POS's click; the same one for the same key."""
        answer = self.asked(key)
        assert answer.status in (200, 202), answer.body
        self.now = Transaction(answer.body)
        return self.now

    def asked(self, key: str = KEY) -> Answer:
        """What the POS hears when it clicks."""
        body = {"pos_ref": key}
        return self.pos.start("outpatient_registration", body, key=key)

    def put(self) -> None:
        """The card into the reader."""
        path = f"/v1/simulate/readers/{self._reader()}/insert"
        card = {"card": f"{self.person}.social_security"}
        answer = self.pos.request("POST", path, card)
        assert answer.status == 204, answer.body

    def take(self) -> None:
        """The card out."""
        path = f"/v1/simulate/readers/{self._reader()}/remove"
        assert self.pos.request("POST", path, {}).status == 204

    def types(self, pin: str, new_pin: str | None = None) -> None:
        """The holder's digits."""
        self.now = self.pos.kaqi.pin(self.now, pin, new_pin)

    def reaches(self, *steps: str) -> Transaction:
        """Until the counter shows one of these steps."""
        self.now = self.pos.until(
            self.now,
            lambda now: now.state in steps or now.data["step"]["key"] in steps,
        )
        return self.now

    def hears(self, code: str) -> None:
        """Until the counter shows this problem."""
        self.now = self.pos.until(
            self.now,
            lambda now: now.problem is not None and now.problem["code"] == code,
        )

    def stands_in(self, state: State) -> None:
        """Until the journal says so."""
        wait_until(lambda: self.record["state"] == state)

    @property
    def record(self) -> dict[str, Any]:
        """What the journal has of it."""
        listed = self.pos.request("GET", "/v1/activations").body["activations"]
        found: dict[str, Any] = next(
            each for each in listed if each["transaction"] == self.now.id
        )
        return found

    def settles(self, verdict: str, key: str = "settle") -> Answer:
        """Somebody has telephoned."""
        body = {"verdict": verdict, "reason": "telephone", "operator_ref": "17"}
        path = f"/v1/activations/{self.record['id']}/settle"
        return self.pos.request("POST", path, body, key=key)

    def end(self) -> End:
        """How it stands, told again to the same click."""
        told = self.begin()
        state = "ended" if told.ended and told.state != "succeeded" else told.state
        sent, done = len(self.centre.messages), len(self.centre.effects)
        return End(State(self.record["state"]), state, sent, done)

    def ends(self, state: State) -> End:
        """The same, once the journal says so."""
        self.stands_in(state)
        wait_until(lambda: self.begin().ended or state is State.MANUAL)
        return self.end()

    def _reader(self) -> str:
        found: list[str] = []

        def there() -> bool:
            readers = self.pos.kaqi.readers()
            found[:] = [str(each["id"]) for each in readers if each["name"] == READER]
            return bool(found)

        wait_until(there)
        return found[0]


def _to_received(visit: Visit) -> None:
    visit.begin()


def _to_card_steps(visit: Visit) -> None:
    visit.begin()
    visit.put()
    visit.reaches("waiting_pin.social_security")
    visit.types(INITIAL)
    visit.reaches("waiting_pin.social_security.new")


def _to_sending(visit: Visit) -> None:
    visit.centre.misbehave("silence", "activations", **UNTIL_ASKED)
    _hand_over(visit)
    wait_until(lambda: visit.centre.received.get("activations", 0) == 1)


def _to_unknown(visit: Visit) -> None:
    visit.centre.misbehave("lose_answer", "activations", times=1)
    visit.centre.misbehave("slow", "activation-status", **UNTIL_ASKED)
    _hand_over(visit)
    wait_until(lambda: visit.centre.received.get("activation-status", 0) == 1)


def _to_manual(visit: Visit) -> None:
    visit.centre.misbehave("lose_answer", "enable", times=1)
    _hand_over(visit)
    visit.reaches("waiting_pin.social_security")
    visit.types(HOLDERS)
    visit.reaches("in_doubt.needs_a_person")


def _to_active(visit: Visit) -> None:
    _hand_over(visit)
    visit.reaches("succeeded")


def _to_rejected(visit: Visit) -> None:
    visit.centre.misbehave("refuse", "activations", times=1)
    _hand_over(visit)
    visit.reaches("failed")


def _to_abandoned(visit: Visit) -> None:
    visit.begin()
    visit.now = visit.pos.kaqi.cancel(visit.now)


def _hand_over(visit: Visit) -> None:
    visit.begin()
    visit.put()


def _put_card(visit: Visit) -> None:
    visit.put()


def _change_pin(visit: Visit) -> None:
    visit.types(INITIAL, NEW)


def _let_go(visit: Visit) -> None:
    visit.centre.let_go()


def _telephone(visit: Visit) -> None:
    assert visit.settles("active").status == 200


def _ask_again(visit: Visit) -> None:
    visit.begin()


class Place(Struct, frozen=True, kw_only=True):
    """A state: how a visit comes there and goes on; where it ends then, and where when the
    agent was started anew instead."""

    state: State
    reach: Callable[[Visit], None]
    go_on: Callable[[Visit], None]
    ends: State = State.ACTIVE
    restarted: State = State.ACTIVE

    def __str__(self) -> str:
        return self.state

    def region(self, folder: Path) -> str:
        """Where a record can stay so: the id of a region, or its file."""
        if self.state is State.CARD_STEPS:
            settings_for(folder, new='"change_initial"')
            return str(folder / "city.toml")
        return "v3-old-pin" if self.state is State.MANUAL else "reference"

    def settings(self, folder: Path) -> str:
        """A till's settings there."""
        region, settings = self.region(folder), folder / "kaqi.toml"
        settings.write_text(SETTINGS.format(region=region), encoding="utf-8")
        return str(settings)

    def arrive(self, visit: Visit) -> None:
        """There, and nowhere else."""
        self.reach(visit)
        assert visit.record["state"] == self.state


PLACES = (
    Place(
        state=State.RECEIVED,
        reach=_to_received,
        go_on=_put_card,
        restarted=State.ABANDONED,
    ),
    Place(
        state=State.CARD_STEPS,
        reach=_to_card_steps,
        go_on=_change_pin,
        restarted=State.ABANDONED,
    ),
    Place(state=State.SENDING, reach=_to_sending, go_on=_let_go),
    Place(state=State.UNKNOWN, reach=_to_unknown, go_on=_let_go),
    Place(
        state=State.MANUAL,
        reach=_to_manual,
        go_on=_telephone,
        restarted=State.MANUAL,
    ),
    Place(state=State.ACTIVE, reach=_to_active, go_on=_ask_again),
    Place(
        state=State.REJECTED,
        reach=_to_rejected,
        go_on=_ask_again,
        ends=State.REJECTED,
        restarted=State.REJECTED,
    ),
    Place(
        state=State.ABANDONED,
        reach=_to_abandoned,
        go_on=_ask_again,
        ends=State.ABANDONED,
        restarted=State.ABANDONED,
    ),
)
BY_STATE = {place.state: place for place in PLACES}
every_place = pytest.mark.parametrize("place", PLACES, ids=str)


def places(*states: State) -> pytest.MarkDecorator:
    """Some of them."""
    return pytest.mark.parametrize(
        "place", [BY_STATE[each] for each in states], ids=str
    )


class Standing(Visit):
    """A visit at an agent in this process, and the agent."""

    def __init__(
        self, agent: Running, hand: InProcessDesk, centre: CentreProcess
    ) -> None:
        super().__init__(agent.pos, centre)
        self.agent = agent
        self.hand = hand
        self.card: Card = engine(f"{self.person}.social_security")

    def put(self) -> None:
        """A card of ours into the reader."""
        self.hand.insert_card(self.card, READER)

    def take(self) -> None:
        """And out."""
        self.hand.remove(READER)

    @property
    def till(self) -> Till:
        """What decides there."""
        return self.agent.agent.till


@contextmanager
def standing(
    place: Place,
    folder: Path,
    centre: CentreProcess,
    *,
    clock: Clock | None = None,
    arrived: bool = True,
) -> Iterator[Standing]:
    """An agent in this process in which a visit stands there; one that has only been
    started when it has not `arrived`."""
    hand = InProcessDesk()
    with running(
        folder / "data",
        centre.address,
        {"inprocess": hand},
        hand,
        clocks=PATIENT,
        profile=load_profile(place.region(folder)),
        clock=clock,
    ) as started:
        visit = Standing(started, hand, centre)
        if arrived:
            place.arrive(visit)
        yield visit
    centre.let_go()

"""Cards in and out, again and again: nothing is left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plugin.activation.desk import Action
from plugin.activation.region import Scenario
from plugin.agent.conduct import KEPT_AT_MOST
from plugin.agent.service import Client, Keyed, Order
from simulator.reader import InProcessDesk
from tests.agents import Running
from tests.centre import CentreProcess
from tests.soak.cycles import MAX_GROWTH, Holdings, Soaked, soak

AT_FIRST = Holdings(resident=0, threads=6, files=17)


def test_sixty_cards_leave_nothing_behind(
    tmp_path: Path, centre: CentreProcess
) -> None:
    desk = InProcessDesk()

    done = soak(
        "inprocess",
        desk,
        desk,
        centre_address=centre.address,
        folder=tmp_path,
        cycles=60,
        warm_up=10,
    )

    assert done.missed == (), str(done)


def test_only_so_many_finished_transactions_are_remembered_as_they_were(
    agent: tuple[Running, InProcessDesk],
) -> None:
    till = agent[0].agent.till
    pos = Client(id="pos", scopes=frozenset({"read", "activate"}))

    def keyed() -> Keyed:
        return Keyed(key=os.urandom(8).hex(), fingerprint="", trace_id="")

    def begun_and_cancelled() -> str:
        order = Order(scenario=Scenario.OUTPATIENT_REGISTRATION)
        transaction_id = till.service.start(pos, order, keyed()).origin.transaction_id
        till.service.act(pos, transaction_id, Action.CANCEL, keyed())
        return transaction_id

    made = [
        till.loop.ask(begun_and_cancelled).result() for _ in range(KEPT_AT_MOST + 1)
    ]
    remembered = till.loop.ask(lambda: till.service.transactions(pos)).result()
    oldest = till.loop.ask(lambda: till.service.transaction(pos, made[0])).result()

    newest_first = [each.origin.transaction_id for each in remembered]
    assert newest_first == made[:0:-1]
    assert oldest.state == "cancelled"


@pytest.mark.parametrize(
    ("after", "missed"),
    [
        (AT_FIRST, 0),
        (Holdings(resident=MAX_GROWTH - 1, threads=6, files=17), 0),
        (Holdings(resident=MAX_GROWTH, threads=6, files=17), 1),
        (Holdings(resident=0, threads=7, files=17), 1),
        (Holdings(resident=MAX_GROWTH, threads=5, files=18), 3),
    ],
)
def test_what_is_left_behind_is_noticed(after: Holdings, missed: int) -> None:
    done = Soaked(cycles=1, seconds=1.0, before=AT_FIRST, after=after)

    assert len(done.missed) == missed

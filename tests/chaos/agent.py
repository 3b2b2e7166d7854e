"""`python -m tests.chaos.agent FOLDER CENTRE REGION KIND`: an agent in a process of its own,
with a label before and after every verb that matters. It prints its port and its token.

The product is untouched: where it is put together, journal, courier, centre, readers and
telling are replaced by heirs that call through. Cards lie in FOLDER and outlive the agent.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from drivers.conversation import Procedure
from plugin import main
from plugin.activation.desk import Slot
from plugin.activation.problem import Problem
from plugin.activation.region import Clocks, RegionProfile
from plugin.activation.saga import Activation, Event
from plugin.agent import till
from plugin.agent.courier import Courier
from plugin.agent.errands import AskHsm
from plugin.agent.happenings import Happenings
from plugin.agent.readers import Found, ReaderBoard
from plugin.card.pin import Answer
from plugin.centre.port import Centre
from plugin.journal.port import Request, Torn
from plugin.journal.sqlite import SqliteJournal
from plugin.profile_file import load_profile
from tests.agents import HOSPITAL, PHARMACY, QUICK, running
from tests.chaos.cards import LastingDesk
from tests.chaos.labels import CRASH_AT, VERBS, Way

INSTITUTIONS = {"hospital": HOSPITAL, "pharmacy": PHARMACY}
TRACE = "trace.txt"
MESSAGE_LIFE_MS = 1_000  # a region's, but for people who wait


def labelled(way: Way) -> tuple[tuple[object, str, object], ...]:
    """Where the product is put together: which name there becomes what."""

    class Journal(SqliteJournal):
        def create(self, activation: Activation, request: Request) -> None:
            with way.through("journal.create"):
                super().create(activation, request)

        def remember(self, request: Request) -> None:
            with way.through("journal.remember"):
                super().remember(request)

        def save(self, activation: Activation) -> Activation:
            with way.through(f"journal.save.{activation.state}"):
                return super().save(activation)

        def tear(self, torn: Torn) -> None:
            with way.through("journal.tear"):
                super().tear(torn)

        def mend(self, card_ref: str) -> None:
            with way.through("journal.mend"):
                super().mend(card_ref)

    class Messenger(Courier):
        def send(self, record: Activation, reply: Callable[[Event], None]) -> None:
            with way.through("send.handed"):
                super().send(record, deciding("send", reply))

        def ask(
            self, record: Activation, asked: int, reply: Callable[[Event], None]
        ) -> None:
            super().ask(record, asked, deciding("ask", reply))

    def deciding(verb: str, reply: Callable[[Event], None]) -> Callable[[Event], None]:
        def decide(event: Event) -> None:
            with way.through(f"{verb}.decided"):
                reply(event)

        return decide

    class Board(ReaderBoard):
        def read(
            self,
            slot: Slot,
            procedure: Callable[[bytes], Procedure[Found]],
            done: Callable[[Found | Problem], None],
            ask_hsm: AskHsm,
            trace_id: str,
        ) -> None:
            def told(outcome: Found | Problem) -> None:
                with way.through("read.told"):
                    done(outcome)

            super().read(slot, procedure, told, ask_hsm, trace_id)

        def present(
            self,
            slot: Slot,
            procedure: Callable[[], Procedure[Answer]],
            done: Callable[[Answer | Problem], None],
            trace_id: str,
            seconds: float = 0.0,
        ) -> None:
            def told(outcome: Answer | Problem) -> None:
                with way.through("pin.told"):
                    done(outcome)

            with way.through("pin.handed"):
                super().present(slot, procedure, told, trace_id, seconds)

    class Telling(Happenings):
        def tell(
            self,
            kind: str,
            subject: str,
            data: Mapping[str, str | int | bool | None] | None = None,
            trace_id: str = "",
        ) -> None:
            if f"tell.{kind}" not in VERBS:
                super().tell(kind, subject, data, trace_id)
                return
            with way.through(f"tell.{kind}"):
                super().tell(kind, subject, data, trace_id)

    opened = main.centre_of

    def centre_of(*parts: Any) -> Centre:  # noqa: ANN401 - it calls through
        return _with_labels(opened(*parts), way)

    return (
        (main, "SqliteJournal", Journal),
        (main, "centre_of", centre_of),
        (till, "Courier", Messenger),
        (till, "ReaderBoard", Board),
        (till, "Happenings", Telling),
    )


def _with_labels(centre: Centre, way: Way) -> Centre:
    """The adapter itself, with labels around what it carries over the wire."""
    verbs = {"activate": "send", "activation_status": "ask", "card_status": "status"}

    def around(verb: str, call: Callable[..., object]) -> Callable[..., object]:
        def through(*said: object) -> object:
            with way.through(verb):
                return call(*said)

        return through

    for name, verb in verbs.items():
        setattr(centre, name, around(verb, getattr(centre, name)))
    return centre


def profile_of(region: str) -> RegionProfile:
    """A region as it is shipped, but for what would only be waited for."""
    profile = load_profile(region)
    abilities = replace(profile.centre.abilities, message_life_ms=MESSAGE_LIFE_MS)
    return replace(profile, centre=replace(profile.centre, abilities=abilities))


def run(
    folder: Path,
    centre: str,
    region: str,
    kind: str,
    way: Way,
    ready: Callable[[tuple[int, str]], None],
    clocks: Clocks = QUICK,
    port: int = 0,
) -> None:
    """Be an agent until killed."""
    for module, name, heir in labelled(way):
        setattr(module, name, heir)
    desk = LastingDesk(folder / "cards", way)
    with running(
        folder / "data",
        centre,
        {"inprocess": desk},
        desk,
        institution=INSTITUTIONS[kind],
        clocks=clocks,
        profile=profile_of(region),
        port=port,
    ) as started:
        ready((started.port, started.pos.token))
        threading.Event().wait()


def as_a_child(
    pipe: Any,  # noqa: ANN401 - multiprocessing has a type of its own per system
    folder: Path,
    centre: str,
    region: str,
    kind: str,
    crash_at: str | None,
) -> None:
    """The same, forked from a process that has loaded everything: kills are many."""
    run(folder, centre, region, kind, Way(folder / TRACE, crash_at), pipe.send)


FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.chaos.agent"])


def say(where: tuple[int, str]) -> None:
    """To whoever started us."""
    sys.stdout.write(f"{where[0]} {where[1]}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _, folder, centre, region, kind = sys.argv
    patient = replace(QUICK, centre=15)  # a process may be slow under a false clock
    way = Way(Path(folder) / TRACE, os.environ.get(CRASH_AT))
    run(Path(folder), centre, region, kind, way, say, patient)

"""A wrong cause is a failure: every fault has its own code, its own words and its own advice,
the same for the POS and in the log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from msgspec import structs

from plugin import main
from plugin.activation.problem import Problem
from plugin.card.authentication import Means
from plugin.profile_file import load_profile
from simulator.card.engine import CardEngine
from simulator.card.psam import PsamEngine, PsamImage
from simulator.people import PEOPLE, card
from simulator.reader import InProcessDesk
from simulator.scenario import MuteCard, ScriptedCard
from tests.agents import Running, running
from tests.centre import CentreProcess
from tests.scenario.counter import Counter
from tests.waiting import wait_until

NEW = "qin.social_security"
FOREIGN = bytes.fromhex("6A82")


@dataclass(frozen=True)
class Scene:
    """Where a fault is injected."""

    counter: Counter
    hand: InProcessDesk
    centre: CentreProcess

    def card(self, put: object) -> None:
        """A registration, and this card."""
        self.counter.start("outpatient_registration")
        self.counter.put(put)  # type: ignore[arg-type]

    def without_psam(self, psam: PsamImage | None = None) -> None:
        """The region knows no HSM: the profile of these scenes says PSAM only."""
        self.hand.give_psam(PsamEngine(psam) if psam is not None else None)
        self.card(NEW)

    def with_hsm(self, fault: str, **more: object) -> None:
        """No PSAM, and an HSM that misbehaves."""
        self.hand.give_psam(None)
        self.centre.misbehave(fault, "authenticate", **more)
        self.card(NEW)


def forged() -> CardEngine:
    order = replace(PEOPLE["qin"].social_security, factors=(bytes(8),))
    return CardEngine(order.image())


def unplugged(scene: Scene) -> None:
    scene.counter.start("outpatient_registration")
    for reader in scene.hand.readers():
        scene.hand.unplug(reader)


def scripted(name: str, **fate: object) -> ScriptedCard:
    return ScriptedCard(card(name), **fate)  # type: ignore[arg-type]


FAULTS: dict[str, tuple[Callable[[Scene], None], str]] = {
    "no reader": (unplugged, "reader.none"),
    "mute, or upside down": (lambda scene: scene.card(MuteCard()), "card.mute"),
    "a foreign chip": (
        lambda scene: scene.card(
            scripted("lin.social_security", replies=dict.fromkeys(range(9), FOREIGN))
        ),
        "card.unsupported",
    ),
    "torn off": (
        lambda scene: scene.card(scripted("lin.social_security", pull_at=5)),
        "card.removed",
    ),
    "an application that is locked": (
        lambda scene: scene.card(
            scripted("lin.social_security", replies={1: bytes.fromhex("9303")})
        ),
        "card.app_locked",
    ),
    "endless 61xx": (
        lambda scene: scene.card(
            scripted(
                "lin.social_security", replies=dict.fromkeys(range(99), b"\x61\x10")
            )
        ),
        "card.protocol_error",
    ),
    "a reader without memory cards": (
        lambda scene: scene.card(scripted("zhu.medical", replies={1: b"\x6d\x00"})),
        "reader.no_memory_cards",
    ),
    "data that make no sense": (
        lambda scene: scene.card(
            scripted("lin.social_security", replies={3: bytes.fromhex("01109000")})
        ),
        "card.data_invalid",
    ),
    "not genuine": (lambda scene: scene.card(forged()), "card.not_genuine"),
    "HSM silent": (
        lambda scene: scene.with_hsm("silence", seconds=5),
        "centre.timeout",
    ),
    "HSM nonsense": (lambda scene: scene.with_hsm("nonsense"), "centre.answer_invalid"),
    "HSM answers for another card": (
        lambda scene: scene.with_hsm("wrong_echo", echo="internal_original"),
        "hsm.answer_for_another",
    ),
    "HSM with another key": (
        lambda scene: scene.with_hsm("wrong_echo", echo="external"),
        "card.authentication_failed",
    ),
}
WITHOUT_HSM: dict[str, tuple[PsamImage | None, str]] = {
    "no PSAM": (None, "psam.missing"),
    "PSAM lacks the algorithm": (PsamImage(algorithms=()), "psam.no_algorithm"),
    "PSAM lacks the key": (PsamImage(masters={}), "psam.no_key"),
    "PSAM of another level": (PsamImage(levels=3), "psam.key_level"),
}


def check(scene: Scene, code: str) -> None:
    """The code, the catalogue's words for it, and a line of the log."""
    shown = scene.counter.says(code).problem
    assert shown is not None
    words = main.catalogue().body(Problem(code))
    assert shown["remedy"] == words["remedy"]
    assert shown["action"] == words["action"]
    log = scene.counter.running.folder.logs / "kaqi.log"
    wait_until(lambda: code in codes_in(log.read_text(encoding="utf-8")))


def codes_in(log: str) -> set[str]:
    return {str(json.loads(line).get("code")) for line in log.splitlines()}


@pytest.fixture
def scene(
    agent: tuple[Running, InProcessDesk], counter: Counter, centre: CentreProcess
) -> Scene:
    return Scene(counter, agent[1], centre)


@pytest.fixture
def psam_only(tmp_path: Path, centre: CentreProcess) -> Iterator[Scene]:
    """The same where the region has no HSM."""
    hand, region = InProcessDesk(), load_profile("reference")
    how = structs.replace(region.cards.authentication, means=(Means.PSAM,))
    profile = structs.replace(
        region, cards=structs.replace(region.cards, authentication=how)
    )
    readers = {"inprocess": hand}
    with running(tmp_path, centre.address, readers, hand, profile=profile) as started:
        yield Scene(Counter(started, hand), hand, centre)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_has_its_own_cause(scene: Scene, fault: str) -> None:
    inject, code = FAULTS[fault]

    inject(scene)

    check(scene, code)


@pytest.mark.parametrize("fault", WITHOUT_HSM)
def test_what_a_psam_lacks_has_its_own_cause_where_no_hsm_helps(
    psam_only: Scene, fault: str
) -> None:
    psam, code = WITHOUT_HSM[fault]

    psam_only.without_psam(psam)

    check(psam_only, code)


def test_no_two_faults_say_the_same() -> None:
    codes = [code for _, code in (*FAULTS.values(), *WITHOUT_HSM.values())]
    words = [
        main.catalogue().body(Problem(code))["messages"]["zh-CN"] for code in codes
    ]
    advice = [
        "".join(main.catalogue().body(Problem(code))["remedy"]["zh-CN"])
        for code in codes
    ]

    assert len(set(codes)) == len(codes)
    assert len(set(words)) == len(words)
    assert all(advice)

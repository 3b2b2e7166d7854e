"""A wrong cause is a failure: every fault has its own code, its own words and its own advice,
the same for the POS, in `kaqi activate` and in the log."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from drivers.errors import DriverError
from drivers.pcsc import PcscDirectory, PcscReader
from drivers.serial_line.directory import SerialDirectory
from plugin import main
from plugin.activation.problem import Problem
from plugin.activation.region import NewPin
from plugin.card.authentication import Means
from plugin.client import KaqiError, Transaction
from plugin.commands import activate, screen
from plugin.commands.failing import CannotError
from plugin.profile_file import load_profile
from simulator.card.engine import CardEngine
from simulator.card.psam import PsamEngine, PsamImage
from simulator.ccid_peer import Misbehaviour
from simulator.keypad import Keypad
from simulator.people import PEOPLE, card
from simulator.reader import READER_NAMES as SIMULATED_NAMES
from simulator.reader import InProcessDesk
from simulator.scenario import MuteCard, ScriptedCard
from simulator.serial_peer import READER_NAMES, SerialDesk
from simulator.vpcd import VpcdDesk
from tests.agents import QUICK, Running, running
from tests.another_program import AnotherProgram
from tests.centre import CentreProcess
from tests.scenario.counter import Counter, Tripwire
from tests.waiting import wait_until

NEW = "qin.social_security"
ECHOING, SIMULATED = READER_NAMES[0], SIMULATED_NAMES[0]
FOREIGN = bytes.fromhex("6A82")


@dataclass(frozen=True)
class Scene:
    """Where a fault is injected."""

    counter: Counter
    hand: Any
    centre: CentreProcess
    until_the_end: ExitStack = field(default_factory=ExitStack)

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

    def line(self, **wrong: bool | int) -> None:
        """The line of the first reader goes wrong while a card is read."""
        peer = self.hand.peers[ECHOING]

        def go_wrong() -> None:
            peer.wrong = Misbehaviour(**wrong)  # type: ignore[arg-type]

        self.card(Tripwire(card("lin.social_security"), 5, go_wrong))

    def keypad(self, *keys: str) -> None:
        """These keys are pressed when the reader asks for the PIN."""
        self.hand.keypads[self.counter.readers[0]].type(*keys)
        self.card("lin.social_security")
        if not isinstance(self.counter, Command):
            self.counter.reaches("waiting_pin")
            self.counter.now = self.counter.pos.kaqi.pin(self.counter.now)

    def port_goes(self) -> None:
        """The only cable is pulled."""
        self.counter.start("outpatient_registration")
        self.hand.unplug(ECHOING)

    def swipe(self, sent: bytes) -> None:
        """A card passes the track reader."""
        self.counter.start("pharmacy")
        self.hand.tracks.swipe(sent)

    def no_service(self) -> None:
        """The resource manager stops while a card is waited for."""
        self.counter.start("outpatient_registration")
        self.hand.manager.stop()

    def held(self) -> None:
        """Another program has the card for itself."""
        self.counter.put("lin.social_security")
        self.counter.put("he.social_security", 1)
        for reader in self.hand.readers():
            in_it = PcscReader(reader)
            wait_until(partial(connects, in_it))
            in_it.close()
            self.until_the_end.enter_context(AnotherProgram("exclusive", reader))
        self.counter.start("outpatient_registration")


def connects(reader: PcscReader) -> bool:
    """Whether a card is in that answers."""
    try:
        reader.connect().close()
    except DriverError:
        return False
    return True


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
    "unplugged while a card is read": (
        lambda scene: scene.card(
            Tripwire(
                card("lin.social_security"), 5, lambda: scene.hand.unplug(SIMULATED)
            )
        ),
        "reader.gone",
    ),
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
    "reset by another program": (
        lambda scene: scene.card(scripted("lin.social_security", reset_at=5)),
        "card.reset_by_other",
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


ON_A_LINE: dict[str, tuple[Callable[[Scene], None], str]] = {
    "the port goes": (lambda scene: scene.port_goes(), "reader.port_gone"),
    "noise": (lambda scene: scene.line(wrong_lrc=99), "reader.line_noise"),
    "a NAK storm": (lambda scene: scene.line(naks=99), "reader.line_refused"),
    "the echo is lost": (
        lambda scene: scene.line(without_echo=True),
        "reader.line_echo_lost",
    ),
    "a reader that says nothing": (
        lambda scene: scene.line(silent=True),
        "reader.timeout",
    ),
    "a swipe that fails": (
        lambda scene: scene.swipe(b";99x9?\r"),
        "card.swipe_failed",
    ),
}
BEHIND_THE_SERVICE: dict[str, tuple[Callable[[Scene], None], str]] = {
    "no service": (lambda scene: scene.no_service(), "pcsc.unavailable"),
    "held by another program": (lambda scene: scene.held(), "reader.in_use_by_other"),
}


NOBODY = activate.Person(
    agrees=lambda _: True, insists=lambda _: False, types=lambda _: ""
)


AT_THE_KEYPAD: dict[str, tuple[Callable[[Scene], None], str]] = {
    "cancelled on the reader": (lambda scene: scene.keypad("cancel"), "pin.cancelled"),
    "nobody types on the reader": (lambda scene: scene.keypad(), "pin.entry_timeout"),
}


class Command(Counter):
    """The same counter, where the transaction is `kaqi activate` in a terminal."""

    def __init__(self, counter: Counter) -> None:
        super().__init__(counter.running, counter.hand, names=counter.readers)
        self.printed = io.StringIO()
        self._thread: threading.Thread | None = None

    def start(self, scenario: str, **more: object) -> Transaction:
        """Begin, in a thread of its own."""
        self._thread = threading.Thread(target=self._activate, args=(scenario,))
        self._thread.start()
        wait_until(lambda: bool(self._live()))
        self.now = self._live()[0]
        return self.now

    def _activate(self, scenario: str) -> None:
        with redirect_stdout(self.printed), suppress(CannotError):
            activate.run(self.pos.kaqi, scenario, pos_ref=None, person=NOBODY)

    def _live(self) -> list[Transaction]:
        listed = self.pos.request("GET", "/v1/transactions").body["transactions"]
        return [each for each in map(Transaction, listed) if not each.ended]

    def says(self, code: str) -> Transaction:
        """Wait until the words for this problem are printed, and its advice."""
        body = main.catalogue().body(Problem(code))
        words = screen.sentences(body)
        wait_until(lambda: all(each in self.printed.getvalue() for each in words))
        return self.now

    def end(self) -> None:
        """Cancel what waits."""
        for each in self._live():
            with suppress(KaqiError):
                self.pos.kaqi.cancel(each)
        if self._thread is not None:
            self._thread.join()


TELLERS = ("api", "command")


@pytest.fixture(params=TELLERS)
def told(request: pytest.FixtureRequest) -> Callable[[Counter], Counter]:
    """Through the API, and through the command."""
    return Command if request.param == "command" else lambda counter: counter


def end(counter: Counter) -> None:
    """Leave nothing running in the terminal."""
    if isinstance(counter, Command):
        counter.end()


def check(scene: Scene, code: str) -> None:
    """The code, the catalogue's words for it, and a line of the log."""
    shown = scene.counter.says(code).problem
    if not isinstance(scene.counter, Command):
        assert shown is not None
        words = main.catalogue().body(Problem(code))
        for key in ("messages", "remedy", "action"):
            assert shown[key] == words[key]
    log = scene.counter.running.folder.logs / "kaqi.log"
    wait_until(lambda: code in codes_in(log.read_text(encoding="utf-8")))


def codes_in(log: str) -> set[str]:
    return {str(json.loads(line).get("code")) for line in log.splitlines()}


@pytest.fixture
def scene(
    agent: tuple[Running, InProcessDesk],
    counter: Counter,
    centre: CentreProcess,
    told: Callable[[Counter], Counter],
) -> Iterator[Scene]:
    found = Scene(told(counter), agent[1], centre)
    yield found
    end(found.counter)


@pytest.fixture
def psam_only(
    tmp_path: Path, centre: CentreProcess, told: Callable[[Counter], Counter]
) -> Iterator[Scene]:
    """The same where the region has no HSM."""
    hand, region = InProcessDesk(), load_profile("reference")
    how = structs.replace(region.cards.authentication, means=(Means.PSAM,))
    profile = structs.replace(
        region, cards=structs.replace(region.cards, authentication=how)
    )
    readers = {"inprocess": hand}
    with running(tmp_path, centre.address, readers, hand, profile=profile) as started:
        found = Scene(told(Counter(started, hand)), hand, centre)
        yield found
        end(found.counter)


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


@pytest.mark.parametrize("fault", ON_A_LINE)
def test_what_goes_wrong_on_a_line_has_its_own_cause(
    fault: str,
    tmp_path: Path,
    centre: CentreProcess,
    told: Callable[[Counter], Counter],
) -> None:
    inject, code = ON_A_LINE[fault]
    desk = SerialDesk()
    port = desk.ports[-1] if "swipe" in fault else desk.ports[0]
    readers = {"serial": SerialDirectory([port])}
    with running(tmp_path, centre.address, readers, desk) as started:
        counter = told(Counter(started, desk, names=(port.name,)))
        scene = Scene(counter, desk, centre)

        inject(scene)

        check(scene, code)
        end(counter)
    desk.close()


@pytest.mark.parametrize("fault", BEHIND_THE_SERVICE)
def test_what_goes_wrong_behind_the_service_has_its_own_cause(
    fault: str,
    tmp_path: Path,
    centre: CentreProcess,
    vpcd: VpcdDesk,
    told: Callable[[Counter], Counter],
) -> None:
    inject, code = BEHIND_THE_SERVICE[fault]
    readers = {"pcsc": PcscDirectory()}
    with running(tmp_path, centre.address, readers, vpcd) as started:
        counter = told(Counter(started, vpcd))
        scene = Scene(counter, vpcd, centre)
        with scene.until_the_end:
            inject(scene)
            check(scene, code)
        end(counter)


@pytest.mark.parametrize("fault", AT_THE_KEYPAD)
def test_what_goes_wrong_at_the_keypad_has_its_own_cause(
    fault: str,
    tmp_path: Path,
    centre: CentreProcess,
    told: Callable[[Counter], Counter],
) -> None:
    inject, code = AT_THE_KEYPAD[fault]
    hand, region = (
        InProcessDesk(keypads={SIMULATED: Keypad()}),
        load_profile("reference"),
    )
    keep = structs.replace(region.pin, new=NewPin.KEEP, initial=frozenset())
    with running(
        tmp_path,
        centre.address,
        {"inprocess": hand},
        hand,
        clocks=structs.replace(QUICK, pin=2),
        profile=structs.replace(region, pin=keep),
    ) as started:
        counter = told(Counter(started, hand, readers=1))

        inject(Scene(counter, hand, centre))

        check(Scene(counter, hand, centre), code)
        end(counter)


def test_no_two_faults_say_the_same() -> None:
    tables = (FAULTS, WITHOUT_HSM, ON_A_LINE, BEHIND_THE_SERVICE, AT_THE_KEYPAD)
    codes = [code for table in tables for _, code in table.values()]
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

"""PINs typed on real keypads: of a PIN pad behind the real pcscd with libccidtwin, and of a
serial reader of our own driver. The agent never holds one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from drivers.pcsc import PcscDirectory
from drivers.ports import ReaderDirectory
from drivers.serial_line.directory import SerialDirectory
from plugin.activation.region import NewPin
from plugin.profile_file import load_profile
from simulator.keypad import Keypad
from simulator.people import engine
from simulator.serial_peer import SerialDesk
from simulator.twin import PIN_PAD, TwinHand
from tests.agents import QUICK, running
from tests.centre import CentreProcess
from tests.scenario.counter import Counter

INITIAL, WRONG, NEW = "123456", "654321", "246813"
Counted = tuple[Counter, Keypad]


@pytest.fixture(params=["twin", "serial"])
def counted(
    request: pytest.FixtureRequest, tmp_path: Path, centre: CentreProcess
) -> Iterator[Counted]:
    """A counter whose one reader has a keypad, in a region where initial PINs must be
    changed."""
    region = load_profile("reference")
    policy = replace(region.pin, new=NewPin.CHANGE_INITIAL, initial=(INITIAL,))
    with ExitStack() as stack:
        hand: TwinHand | SerialDesk
        directory: ReaderDirectory
        if request.param == "twin":
            hand = cast(TwinHand, request.getfixturevalue("twin"))
            name, directory = PIN_PAD.reader(2), PcscDirectory()
            found = hand.driver.peers[name].keypad
        else:
            hand = SerialDesk(keypads=[Keypad()])
            stack.callback(hand.close)
            name, directory = hand.readers()[0], SerialDirectory(hand.ports)
            found = hand.peers[name].keypad
        assert found is not None
        started = stack.enter_context(
            running(
                tmp_path,
                centre.address,
                {request.param: directory},
                hand,
                clocks=replace(QUICK, pin=2),
                profile=replace(region, pin=policy),
            )
        )
        yield Counter(started, hand, names=(name,)), found


def give(counter: Counter) -> None:
    counter.now = counter.pos.kaqi.pin(counter.now)


def test_a_pin_is_changed_on_the_reader(
    counted: Counted, centre: CentreProcess
) -> None:
    counter, keypad = counted
    card = engine("lin.social_security")
    counter.start("outpatient_registration")
    counter.put(card)
    counter.reaches("waiting_pin")
    assert counter.now.pin_wanted is not None
    assert counter.now.pin_wanted["on_reader"]

    keypad.type(INITIAL, NEW, NEW)
    give(counter)

    assert counter.reaches("succeeded").outcome == "activated"
    assert len(centre.effects) == 1
    assert (card.counters.changes, card.counters.verifications) == (1, 1)


@pytest.mark.parametrize(
    ("typed", "code", "tries"),
    [
        pytest.param((WRONG, NEW, NEW), "pin.wrong", 1, id="a wrong one"),
        pytest.param(("cancel",), "pin.cancelled", 0, id="cancelled"),
        pytest.param((), "pin.entry_timeout", 0, id="nobody types"),
        pytest.param(
            (INITIAL, NEW, WRONG), "pin.confirmation_mismatch", 0, id="two new ones"
        ),
        pytest.param(("12",), "pin.length", 0, id="too short"),
    ],
)
def test_what_goes_wrong_at_the_keypad_is_named_and_typed_again(
    counted: Counted,
    centre: CentreProcess,
    typed: tuple[str, ...],
    code: str,
    tries: int,
) -> None:
    counter, keypad = counted
    card = engine("lin.social_security")
    counter.start("outpatient_registration")
    counter.put(card)
    counter.reaches("waiting_pin")

    keypad.type(*typed)
    give(counter)
    counter.says(code)
    assert card.counters.verifications == tries
    keypad.type(INITIAL, NEW, NEW)
    give(counter)

    assert counter.reaches("succeeded").outcome == "activated"
    assert card.counters.verifications == tries + 1
    assert len(centre.effects) == 1

"""A chip card reader on a serial line that goes wrong: each way has its own name, and none
takes long."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from drivers.errors import (
    CardRemovedError,
    DriverError,
    ForeignProtocolError,
    LostEchoError,
    NoisyLineError,
    NotAReaderError,
    PortBusyError,
    PortGoneError,
    ReaderTimeoutError,
    RefusedFramesError,
)
from drivers.iso7816.apdu import CommandApdu
from drivers.ports import DirectoryState, SlotState
from drivers.serial_line import line
from drivers.serial_line.chip_reader import ChipReader
from drivers.serial_line.directory import SerialDirectory
from drivers.serial_line.line import SerialLine
from drivers.serial_line.settings import PortKind, SerialPort
from simulator.ccid_peer import Misbehaviour
from simulator.people import PEOPLE, engine
from simulator.pty_line import PtyLine
from simulator.scenario import ScriptedCard
from simulator.serial_peer import READER_NAMES, TRACK_NAME, SerialDesk
from tests.contract.readers import KINDS, Bench, watched

GET_CHALLENGE = CommandApdu(cla=0, ins=0x84, p1=0, p2=0, ne=8)
AT_MOST_SECONDS = 5.0
ECHOING, SILENT = READER_NAMES


@pytest.fixture
def desk() -> Iterator[SerialDesk]:
    made = SerialDesk()
    yield made
    made.close()


@pytest.fixture
def bench(desk: SerialDesk) -> Iterator[Bench]:
    found = Bench(SerialDirectory(desk.ports), desk, KINDS["serial"])
    with watched(found) as watching:
        watching.wait_for(lambda state: len(state.readers) == len(desk.ports))
        yield watching


@pytest.mark.parametrize("reader", READER_NAMES)
@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(Misbehaviour(), id="nothing"),
        pytest.param(Misbehaviour(naks=3), id="a few NAKs"),
        pytest.param(Misbehaviour(noise=True), id="noise before each answer"),
        pytest.param(Misbehaviour(time_extensions=5), id="a card that needs time"),
        pytest.param(Misbehaviour(bytewise=True), id="byte by byte"),
    ],
)
def test_what_can_be_borne_is_borne(
    desk: SerialDesk, bench: Bench, reader: str, wrong: Misbehaviour
) -> None:
    bench.insert(engine("lin.social_security"), reader)
    desk.peers[reader].wrong = wrong

    assert bench.read(reader).name == PEOPLE["lin"].holder.name


@pytest.mark.parametrize("reader", READER_NAMES)
def test_a_card_that_comes_and_goes_in_the_middle_of_frames(
    desk: SerialDesk, bench: Bench, reader: str
) -> None:
    desk.peers[reader].wrong = Misbehaviour(moves_in_frame=True)
    bench.insert(engine("lin.social_security"), reader)
    connection = bench.directory.reader(reader).connect()

    with connection.exclusively():
        connection.transmit(GET_CHALLENGE)
        desk.remove(reader)
        with pytest.raises(CardRemovedError):
            connection.transmit(GET_CHALLENGE)

    bench.wait_for_slot(reader, "empty")


def gone(desk: SerialDesk, reader: str) -> None:
    desk.unplug(reader)


def misbehaving(**wrong: bool | int) -> Callable[[SerialDesk, str], None]:
    def begin(desk: SerialDesk, reader: str) -> None:
        desk.peers[reader].wrong = Misbehaviour(**wrong)  # type: ignore[arg-type]

    return begin


WRONG: dict[str, tuple[Callable[[SerialDesk, str], None], type[DriverError]]] = {
    "the port goes": (gone, PortGoneError),
    "a NAK storm": (misbehaving(naks=99), RefusedFramesError),
    "the echo is lost": (misbehaving(without_echo=True), LostEchoError),
    "a wrong LRC": (misbehaving(wrong_lrc=99), NoisyLineError),
    "another's sequence number": (misbehaving(wrong_sequence=99), NoisyLineError),
    "silence": (misbehaving(silent=True), ReaderTimeoutError),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_borne_has_a_name_and_an_end(
    desk: SerialDesk, bench: Bench, what: str
) -> None:
    begin, error = WRONG[what]
    bench.insert(engine("lin.social_security"), ECHOING)
    reader = bench.directory.reader(ECHOING)
    connection = reader.connect()

    with connection.exclusively():
        begin(desk, ECHOING)
        began = time.monotonic()
        with pytest.raises(error) as failed:
            connection.transmit(GET_CHALLENGE)
        took = time.monotonic() - began

    assert type(failed.value) is error
    assert took < AT_MOST_SECONDS
    assert isinstance(reader.stalled(), DriverError)


@pytest.mark.parametrize("what", WRONG)
def test_after_it_the_next_card_works(
    desk: SerialDesk, bench: Bench, what: str
) -> None:
    begin, _ = WRONG[what]
    bench.insert(engine("lin.social_security"), ECHOING)
    begin(desk, ECHOING)
    with pytest.raises(DriverError):
        bench.read(ECHOING)

    if what == "the port goes":
        desk.plug(ECHOING)
    desk.peers[ECHOING].wrong = Misbehaviour()
    desk.remove(ECHOING)
    bench.wait_for_slot(ECHOING, "empty")
    bench.insert(engine("he.social_security"), ECHOING)

    assert bench.read(ECHOING).name == PEOPLE["he"].holder.name


def test_a_card_pulled_and_put_back_at_once_is_another_stay(
    desk: SerialDesk, bench: Bench
) -> None:
    card = engine("lin.social_security")
    first = bench.insert(card, ECHOING)
    connection = bench.directory.reader(ECHOING).connect()

    with connection.exclusively():
        desk.remove(ECHOING)
        desk.insert_card(card, ECHOING)
        with pytest.raises(CardRemovedError):
            connection.transmit(GET_CHALLENGE)

    def again(state: DirectoryState) -> bool:
        now = bench.status(state, ECHOING)
        return now.slot is SlotState.PRESENT and now.stay != first.stay

    bench.wait_for(again)
    assert bench.read(ECHOING).name == PEOPLE["lin"].holder.name


def test_a_movement_nobody_told_of_is_found_out(desk: SerialDesk, bench: Bench) -> None:
    peer = desk.peers[SILENT]
    peer._notifies = False  # as a program before us may have left the reader

    assert bench.insert(engine("lin.social_security"), SILENT).slot == "present"
    desk.remove(SILENT)
    assert bench.wait_for_slot(SILENT, "empty").atr == b""


def test_what_is_no_reader_is_named(desk: SerialDesk) -> None:
    desk.peers[ECHOING].wrong = Misbehaviour(silent=True)
    directory = SerialDirectory(desk.ports[:1])

    state = directory.look()
    directory.close()

    assert state.readers == ()
    assert state.trouble == NotAReaderError(desk.ports[0].port)


def test_a_mistake_of_ours_does_not_leave_a_port_alone(
    desk: SerialDesk, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen, mistakes = ChipReader.listen, [KeyError("a mistake of ours")]

    def sometimes(device: ChipReader) -> None:
        if mistakes:
            raise mistakes.pop()
        listen(device)

    monkeypatch.setattr(ChipReader, "listen", sometimes)

    bench.wait_for(lambda state: state.trouble is not None)
    bench.wait_for(lambda state: state.trouble is None)

    assert bench.insert(engine("lin.social_security"), ECHOING).slot == "present"


def test_a_port_that_is_not_there_is_named(tmp_path: Path) -> None:
    port = SerialPort(kind=PortKind.CCID, port=str(tmp_path / "ttyNone"))
    directory = SerialDirectory([port])

    state = directory.look()
    directory.close()

    assert isinstance(state.trouble, PortGoneError)
    assert port.shown_name == "Serial reader ttyNone"


def test_a_port_another_program_has_is_named(desk: SerialDesk) -> None:
    port = desk.ports[0]
    held = SerialLine(port.port, *port.speed)
    directory = SerialDirectory([port])

    state = directory.look()
    directory.close()
    held.close()

    assert isinstance(state.trouble, PortBusyError)


def test_a_file_is_no_port(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no port")
    directory = SerialDirectory(
        [SerialPort(kind=PortKind.TRACKS, port=str(tmp_path / "file"))]
    )

    assert isinstance(directory.look().trouble, PortGoneError)
    directory.close()


def test_one_port_in_trouble_leaves_the_other_alone(
    desk: SerialDesk, bench: Bench
) -> None:
    desk.unplug(ECHOING)
    state = bench.wait_for(lambda now: now.trouble is not None)
    assert [each.name for each in state.readers] == [
        name for name in desk.readers() if name != ECHOING
    ]

    bench.insert(engine("lin.social_security"), SILENT)

    assert bench.read(SILENT).name == PEOPLE["lin"].holder.name


def test_a_card_of_another_protocol_is_named(bench: Bench) -> None:
    t1 = engine("lin.social_security")
    t1.atr = bytes.fromhex("3B800181")
    bench.insert(t1, ECHOING)

    with pytest.raises(ForeignProtocolError):
        bench.directory.reader(ECHOING).connect()


def test_the_reader_is_told_what_the_answer_to_reset_asks_for(
    desk: SerialDesk, bench: Bench
) -> None:
    slow = engine("lin.social_security")
    slow.atr = bytes.fromhex("3B4220") + b"HB"  # TC1 = 20: extra guard time
    bench.insert(slow, SILENT)

    assert bench.directory.reader(SILENT).connect().atr == slow.atr
    assert desk.peers[SILENT].parameters == bytes.fromhex("1100200A00")


def test_a_card_that_never_answers_costs_seconds(
    bench: Bench,
) -> None:
    slow = ScriptedCard(engine("lin.social_security"), slow_at=1, seconds=4.0)
    bench.insert(slow, ECHOING)
    connection = bench.directory.reader(ECHOING).connect()

    began = time.monotonic()
    with pytest.raises(ReaderTimeoutError):
        connection.transmit(GET_CHALLENGE)

    assert time.monotonic() - began < AT_MOST_SECONDS


def test_two_conversations_take_turns(bench: Bench) -> None:
    bench.insert(engine("lin.social_security"), ECHOING)
    held, done = threading.Event(), []
    reader = bench.directory.reader(ECHOING)
    first, second = reader.connect(), reader.connect()

    def other() -> None:
        held.wait()
        second.transmit(GET_CHALLENGE)
        done.append("second")

    thread = threading.Thread(target=other)
    thread.start()
    with first.exclusively():
        held.set()
        for _ in range(20):
            first.transmit(GET_CHALLENGE)
        done.append("first")
    thread.join()

    assert done == ["first", "second"]


def test_whoever_wants_the_line_does_not_spoil_what_is_said_on_it(
    desk: SerialDesk, bench: Bench
) -> None:
    desk.peers[ECHOING].wrong = Misbehaviour(bytewise=True)
    bench.insert(engine("lin.social_security"), ECHOING)
    reader = bench.directory.reader(ECHOING)

    def ask(_: int) -> int:
        connection = reader.connect()
        return sum(connection.transmit(GET_CHALLENGE).sw.is_success for _ in range(50))

    with ThreadPoolExecutor(4) as beside:
        answered = list(beside.map(ask, range(4)))

    assert answered == [50] * 4


def test_a_line_that_nobody_reads_holds_nobody_up(desk: SerialDesk) -> None:
    for _ in range(200):
        desk.insert("song.medical", TRACK_NAME)
    directory = SerialDirectory(desk.ports[2:])

    assert directory.look().readers[0].slot is SlotState.EMPTY
    directory.close()


def test_nothing_is_left_open(desk: SerialDesk) -> None:
    before = held()

    for _ in range(3):
        directory = SerialDirectory(desk.ports)
        directory.look()
        directory.close()

    assert held() == before


def test_a_port_that_cannot_be_opened_leaves_nothing_open(
    desk: SerialDesk, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no port")
    ports = (tmp_path / "none", tmp_path / "file", tmp_path, desk.ports[0].port)
    busy = SerialLine(desk.ports[0].port, 9_600, 1)
    before = held()

    for port in ports:
        with pytest.raises(DriverError):
            SerialLine(str(port), 9_600, 1)

    assert held() == before
    busy.close()


def test_without_descriptors_no_port_is_opened_and_none_is_lost(
    desk: SerialDesk,
) -> None:
    before, limits = held(), resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = {int(each.name) for each in Path("/proc/self/fd").iterdir()}
    refused = 0

    for more in range(8):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(in_use) + 1 + more, limits[1]))
        try:
            SerialLine(desk.ports[0].port, 9_600, 1).close()
        except DriverError:
            refused += 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert refused
    assert held() == before


def test_a_port_that_goes_while_it_is_opened_has_gone(tmp_path: Path) -> None:
    far, ended, opened = PtyLine(tmp_path / "tty"), threading.Event(), 0

    def loose_contact() -> None:
        while not ended.is_set():
            far.unplug()
            far.plug()
            far.read(0)

    thread = threading.Thread(target=loose_contact)
    thread.start()
    try:
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            with suppress(PortGoneError):
                SerialLine(str(far.link), 9_600, 1).close()
                opened += 1
    finally:
        ended.set()
        thread.join()
        far.close()

    assert opened


def held() -> tuple[int, int]:
    """Descriptors and threads of this process."""
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


def test_a_mute_card_is_tried_at_every_voltage(desk: SerialDesk, bench: Bench) -> None:
    low = engine("lin.social_security")
    desk.peers[SILENT].needs_voltage = 3  # a card for 1.8 V only

    bench.insert(low, SILENT)

    assert bench.read(SILENT).name == PEOPLE["lin"].holder.name


@pytest.mark.parametrize("direct", [True, False])
def test_both_ways_of_reading_a_line(tmp_path: Path, direct: bool) -> None:
    far = PtyLine(tmp_path / "tty")
    near = SerialLine(str(far.link), 9_600, 1, direct=direct)

    near.write(b"to the reader")
    heard = far.read(1.0)
    far.write(b"back")
    answered = near.read(1.0)
    nothing = near.read(0.06)
    near.wake()
    woken = near.read(5.0)
    far.unplug()
    with pytest.raises(PortGoneError):
        near.read(0.1)
    near.close()
    near.wake()
    far.close()

    assert (heard, answered) == (b"to the reader", b"back")
    assert (nothing, woken) == (b"", None)
    assert line.POSIX

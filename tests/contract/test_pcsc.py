"""What only the real resource manager can do to us."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from drivers import pcsc
from drivers.conversation import converse
from drivers.errors import (
    CardResetError,
    NoServiceError,
    ReaderInUseError,
    ServiceSilentError,
)
from drivers.pcsc import PcscConnection, PcscDirectory, PcscReader
from drivers.ports import Disposition
from plugin.card.reading import read_card
from simulator.people import PEOPLE, engine
from simulator.vpcd import READER_NAMES, VpcdDesk
from tests.another_program import AnotherProgram
from tests.contract.readers import Bench, watching

READER = READER_NAMES[0]
DEAF_ROUNDS = 30  # one to three in ten freeze a program in which the calls overlap
LOOKS_AND_LISTS = """
import sys, threading
from drivers import pcsc

def look():
    while True:
        pcsc.PcscDirectory().look()

def lists():
    with pcsc._context() as context:
        while True:
            pcsc._list_readers(context)

for each in (look, lists) * 5:
    threading.Thread(target=each, daemon=True).start()
for _ in sys.stdin:
    print("here", flush=True)
"""


@pytest.fixture
def bench(vpcd: VpcdDesk) -> Iterator[Bench]:
    with watching(PcscDirectory(), vpcd) as found:
        found.wait_for_slot(READER, "empty")
        yield found


def test_a_card_held_exclusively_is_in_use_by_another(bench: Bench) -> None:
    bench.insert(engine("lin.social_security"), READER)
    reader = PcscReader(READER)

    with AnotherProgram("exclusive", READER), pytest.raises(ReaderInUseError):
        reader.connect()

    connect_when_free(reader).close()
    reader.close()


def test_a_card_that_another_program_has_reset_is_not_gone_on_with(
    bench: Bench,
) -> None:
    bench.insert(engine("lin.social_security"), READER)
    reader = PcscReader(READER)
    connection = reader.connect()

    with AnotherProgram("reset", READER):
        pass
    with pytest.raises(CardResetError), connection.exclusively():
        pass

    connection.close()
    reader.close()


def test_a_transaction_of_another_program_is_named_while_everybody_waits(
    bench: Bench,
) -> None:
    bench.insert(engine("lin.social_security"), READER)
    reader = PcscReader(READER)
    connected = threading.Event()

    def connect() -> None:
        reader.connect().close()
        connected.set()

    with AnotherProgram("transaction", READER):
        threading.Thread(target=connect, daemon=True).start()
        assert not connected.wait(0.5)
        cause = reader.stalled()

    assert isinstance(cause, ReaderInUseError)
    assert connected.wait(5)


def test_a_service_that_is_deaf_is_named_and_nobody_waits_for_it(
    bench: Bench, vpcd: VpcdDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pcsc, "LOOK_SECONDS", 0.3)
    pid = vpcd.manager.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        trouble = bench.directory.look().trouble
        began = time.monotonic()
        bench.directory.close()
        took = time.monotonic() - began
    finally:
        os.kill(pid, signal.SIGCONT)

    assert isinstance(trouble, ServiceSilentError)
    assert took < pcsc.CLOSE_SECONDS + 1


def test_whenever_a_service_goes_deaf_the_rest_of_the_program_goes_on(
    vpcd: VpcdDesk,
) -> None:
    pid = vpcd.manager.pid
    assert pid is not None
    busy = subprocess.Popen(
        [sys.executable, "-c", LOOKS_AND_LISTS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    frozen = 0
    try:
        for round_ in range(DEAF_ROUNDS):
            threading.Event().wait(0.05 + 0.003 * round_)
            os.kill(pid, signal.SIGSTOP)
            threading.Event().wait(0.05)
            frozen += not answers(busy)
            os.kill(pid, signal.SIGCONT)
    finally:
        os.kill(pid, signal.SIGCONT)
        busy.kill()
        busy.communicate()

    assert frozen == 0


def answers(program: subprocess.Popen[str]) -> bool:
    """Whether it says that it is here within a second."""
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write("still here?\n")
    program.stdin.flush()
    ready, _, _ = select.select([program.stdout], [], [], 1.0)
    return bool(ready) and program.stdout.readline() == "here\n"


def connect_when_free(reader: PcscReader) -> PcscConnection:
    """The service lets go of a program's card a moment after the program has ended."""
    pause = threading.Event()
    for _ in range(200):
        try:
            return reader.connect()
        except ReaderInUseError:
            pause.wait(0.01)
    return reader.connect()


def test_a_card_another_program_only_shares_is_read(bench: Bench) -> None:
    bench.insert(engine("lin.social_security"), READER)
    other = bench.directory.reader(READER)
    shared = other.connect()

    connection = bench.directory.reader(READER).connect()
    card = converse(connection, read_card())

    assert card.name == PEOPLE["lin"].holder.name
    connection.close()
    shared.close()
    other.close()


def test_a_card_reset_by_another_program_says_so(bench: Bench) -> None:
    bench.insert(engine("lin.social_security"), READER)
    ours, theirs = bench.directory.reader(READER), bench.directory.reader(READER)
    connection = ours.connect()

    theirs.connect().close(Disposition.RESET)

    with pytest.raises(CardResetError):
        converse(connection, read_card())
    connection.close()
    again = ours.connect()
    assert converse(again, read_card()).name == PEOPLE["lin"].holder.name
    again.close()


def test_the_service_may_stop_and_start_under_a_watch(
    bench: Bench, vpcd: VpcdDesk
) -> None:
    reader = bench.directory.reader(READER)
    bench.insert(engine("lin.social_security"), READER)
    connection = reader.connect()

    vpcd.remove(READER)
    vpcd.manager.stop()
    bench.wait_for(lambda state: state.trouble is not None)

    with pytest.raises(NoServiceError):
        converse(connection, read_card())
    with pytest.raises(NoServiceError):
        reader.connect()
    assert isinstance(bench.directory.look().trouble, NoServiceError)

    vpcd.manager.start()
    bench.wait_for(lambda state: len(state.readers) > 1)
    bench.insert(engine("he.social_security"), READER)
    again = reader.connect()
    assert converse(again, read_card()).name == PEOPLE["he"].holder.name
    again.close()
    reader.close()


def test_a_stopped_service_is_told_once_and_not_at_every_try(
    bench: Bench, vpcd: VpcdDesk
) -> None:
    vpcd.manager.stop()
    bench.wait_for(lambda state: state.trouble is not None)
    vpcd.manager.start()
    bench.wait_for(lambda state: len(state.readers) > 1)

    troubles = [state for state in bench.noticed if state.trouble is not None]

    assert 1 <= len(troubles) <= 2  # the broken call, and the service that is missing


def test_a_watch_ends_at_once_when_told_to(bench: Bench) -> None:
    bench.directory.close()

    assert bench.directory.look().trouble is None

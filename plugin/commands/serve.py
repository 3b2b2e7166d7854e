"""`kaqi serve`: the agent, until it is told to stop."""

from __future__ import annotations

import gc
import json
import logging
import os
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct
from msgspec.structs import replace
from platformdirs import user_config_path, user_data_path

from plugin import __version__, logs, main, simulated
from plugin.activation.problem import Problem
from plugin.activation.region import RegionProfile
from plugin.agent.clients import SCOPES
from plugin.api.guard import App
from plugin.api.server import PortError, PortInUseError, Server, listen
from plugin.client import Kaqi, KaqiUnreachableError
from plugin.commands import screen
from plugin.commands.failing import CannotError
from plugin.data_file import DataFileError, FileMissingError
from plugin.data_folder import DataFolder
from plugin.journal.safe import SafeModeError
from plugin.machine import leave_no_core, machine_id
from plugin.profile_file import load_profile
from plugin.profile_shapes import check_address
from plugin.settings import SIMULATED_INSTITUTION, Settings
from plugin.settings_file import load_settings
from plugin.shapes import WrongValueError

KIT = "kit"  # the client that a program which starts us is
LOOK_SECONDS = 0.01
_log = logging.getLogger("kaqi.serve")


class Options(Struct, frozen=True, kw_only=True):
    """What the command line says; None means: as the settings say."""

    settings: Path | None = None
    data: Path | None = None
    port: int | None = None
    simulate: bool = False
    reader_kinds: tuple[str, ...] = ("inprocess",)
    centre: str | None = None
    debug: bool = False
    as_json: bool = False


class Serving(Struct, frozen=True):
    """An agent that is ready to serve."""

    server: Server
    port: int
    folder: DataFolder
    hand: simulated.Readers | None
    profile: RegionProfile
    is_copy: bool  # of another machine's folder
    is_safe_mode: bool

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"


def run(options: Options) -> int:
    """Serve until interrupted. Raises as `prepared` does."""
    if options.as_json:
        return run_for_a_program(options)
    with prepared(options) as serving:
        screen.line(f"kaqi {__version__}  {serving.address}")
        screen.line(f"{serving.profile.label}  {serving.folder.path}")
        if serving.is_copy:
            screen.line(
                "数据目录来自另一台电脑，令牌已全部作废，请重新配对 / "
                "This data folder came from another machine: pair every client again"
            )
        if serving.is_safe_mode:
            _say_safe_mode()
        if options.simulate:
            screen.line("模拟运行，一切都不是真的 / SIMULATION: nothing here is real")
        serving.server.run()
    return 0


def run_for_a_program(options: Options) -> int:
    """Serve the program that has started us: a simulation, by itself on a free port and in
    a folder that nobody keeps, where nothing else is said. Says one line of JSON once it
    answers, and ends when its input ends. Raises as `prepared` does."""
    if not options.simulate:  # a token of a real till is for nobody's standard output
        raise CannotError(Problem("command.usage", {"reason": "--json: --simulate"}))
    with ExitStack() as stack:
        if options.data is None:
            folder = TemporaryDirectory(prefix="kaqi-kit-")
            options = replace(options, data=Path(stack.enter_context(folder)))
        serving = stack.enter_context(
            prepared(replace(options, port=options.port or 0))
        )
        for beside in (_announce, _stop_when_input_ends):
            threading.Thread(target=beside, args=(serving,), daemon=True).start()
        serving.server.run()
    return 0


def _announce(serving: Serving) -> None:
    """Once the server answers and knows its readers, say where, and who may do all."""
    assert serving.hand is not None  # noqa: S101 - it simulates
    wanted = set(serving.hand.readers())
    token = serving.folder.pair(KIT, SCOPES)
    kaqi = Kaqi(token=token, address=f"127.0.0.1:{serving.port}")
    pause = threading.Event()
    with suppress(KaqiUnreachableError):  # told to stop before it had begun
        while not wanted <= {each["name"] for each in kaqi.readers()}:
            pause.wait(LOOK_SECONDS)
        here = {"address": serving.address, "token": token}
        about = {"pid": os.getpid(), "version": __version__}
        screen.line(json.dumps(here | about))


def _stop_when_input_ends(serving: Serving) -> None:
    """Whoever holds the other end of our input has gone, or wants us to."""
    kind = os.fstat(0).st_mode if sys.stdin is not None else 0
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)):
        return  # a person at a terminal, or nobody at all
    while os.read(0, 4096):
        pass
    serving.server.stop()


def _say_safe_mode() -> None:
    """Nobody at the counter may miss it."""
    problem = main.catalogue().body(Problem(SafeModeError.code))
    screen.line("!" * 72)
    for text in screen.sentences(problem):
        screen.line(f"!! {text}")
    screen.line("!" * 72)


def _as_it_is(app: App) -> App:
    return app


@contextmanager
def prepared(
    options: Options, around: Callable[[App], App] = _as_it_is
) -> Iterator[Serving]:
    """Everything started but the HTTP server, and given back at the end; what is served
    is what `around` makes of the application. Raises CannotError, DataFolderError and
    JournalError."""
    with ExitStack() as stack:
        settings, profile = read_settings(options)
        folder = opened_folder(options)
        folder.dedicate(simulated=options.simulate)
        stack.callback(logs.configure(folder.logs, debug=options.debug))
        stack.callback(setattr, threading, "excepthook", threading.excepthook)
        threading.excepthook = logs.thread_failed
        leave_no_core()
        is_copy = folder.lives_on(machine_id())
        if is_copy:
            _log.warning("a copy of another machine's folder: every token is void")
        sockets = _sockets(settings.port if options.port is None else options.port)
        for each in sockets:
            stack.callback(each.close)
        port = sockets[0].getsockname()[1]
        hand: simulated.Readers | None = None
        if options.simulate:
            settings = replace(
                settings,
                centre_address=_simulated_centre(options, stack),
                psam_reader=simulated.PSAM,
            )
            hand = _simulated_readers(options.reader_kinds)
            stack.callback(hand.close)
        # Simulated readers are there by now: theirs is for others too.
        stack.enter_context(to_ourselves())
        readers = hand.directories if hand else main.real_readers(settings)
        agent = main.agent(
            settings=settings,
            profile=profile,
            folder=folder,
            port=port,
            directories=readers,
            hand=hand,
        )
        agent.till.start()
        stack.callback(agent.till.stop)
        folder.operator_token()
        folder.announce(port)
        gc.freeze()  # what was made until now stays
        gc.enable()
        stack.callback(folder.withdraw)
        yield Serving(
            Server(around(agent.app), sockets, agent.stopping),
            port,
            folder,
            hand,
            profile,
            is_copy,
            agent.is_safe_mode,
        )


def _sockets(port: int) -> list[socket.socket]:
    try:
        return listen(port)
    except PortInUseError as taken:
        holder = f" ({taken.holder})" if taken.holder else ""
        facts = {"port": str(taken.port), "holder": holder}
        raise CannotError(Problem("agent.port_in_use", facts)) from taken
    except PortError as refused:
        facts = {"port": str(refused.port), "reason": refused.reason}
        raise CannotError(Problem("agent.port_refused", facts)) from refused


def _simulated_centre(options: Options, stack: ExitStack) -> str:
    """A centre of our own; or the one that was asked for, if it is a simulated one."""
    if options.centre is None:
        centre = simulated.Centre()
        stack.callback(centre.close)
        return centre.address
    if not simulated.is_centre(options.centre):
        raise CannotError(Problem("centre.not_simulated"))
    return options.centre


def read_settings(options: Options) -> tuple[Settings, RegionProfile]:
    """The settings and the region profile they name."""
    try:
        settings = _settings(options)
    except FileMissingError as missing:
        raise CannotError(Problem("settings.missing", missing.facts)) from missing
    except DataFileError as wrong:
        raise CannotError(Problem("settings.invalid", wrong.facts)) from wrong
    try:
        profile = load_profile(settings.region)
    except DataFileError as wrong:
        raise CannotError(Problem("profile.invalid", wrong.facts)) from wrong
    return settings, profile


def _settings(options: Options) -> Settings:
    if options.simulate and options.settings is None:
        settings = Settings(institution=SIMULATED_INSTITUTION)
    else:
        usual = user_config_path("kaqi") / "kaqi.toml"
        settings = load_settings(options.settings or usual)
    if options.centre is not None:
        settings = replace(settings, centre_address=options.centre)
        try:
            check_address("--centre", options.centre)
        except WrongValueError as wrong:
            reason = {"reason": f"--centre: {wrong}"}
            raise CannotError(Problem("command.usage", reason)) from wrong
    return settings


def opened_folder(options: Options) -> DataFolder:
    """The data folder; a simulation has one of its own. Raises DataFolderError."""
    usual = user_data_path("kaqi") / ("simulated" if options.simulate else "till")
    return DataFolder(options.data or usual)


def running_agent(options: Options) -> Kaqi:
    """The agent of this data folder, as its operator. Raises CannotError."""
    folder = opened_folder(options)
    port = folder.announced_port()
    if port is None:
        raise CannotError(Problem("agent.not_running"))
    return Kaqi(token=folder.operator_token(), address=f"127.0.0.1:{port}")


@contextmanager
def to_ourselves() -> Iterator[None]:
    """What this process writes meanwhile is for its user only."""
    usual = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(usual)


def _simulated_readers(kinds: tuple[str, ...]) -> simulated.Readers:
    try:
        return simulated.Readers.started(kinds)
    except RuntimeError as missing:
        problem = Problem("agent.part_missing", {"part": str(missing)})
        raise CannotError(problem) from missing

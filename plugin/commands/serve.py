"""`kaqi serve`: the agent, until it is told to stop."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from platformdirs import user_config_path, user_data_path

from drivers.ports import ReaderDirectory
from plugin import __version__, logs, main
from plugin.activation.problem import Problem
from plugin.activation.region import RegionProfile
from plugin.api.server import PortInUseError, Server, listen
from plugin.commands import screen
from plugin.data_file import DataFileError, FileMissingError
from plugin.data_folder import DataFolder, DataFolderError
from plugin.journal.port import JournalError
from plugin.profile_file import load_profile
from plugin.settings import SIMULATED_INSTITUTION, Settings
from plugin.settings_file import load_settings

# sysexits.h, as far as it has a word for it
EXIT_CODES = {
    "agent.port_in_use": 69,
    "agent.part_missing": 69,
    "centre.not_simulated": 69,
    "agent.journal_failed": 74,
    "agent.journal_damaged": 74,
    "agent.data_folder": 73,
    "agent.journal_in_use": 75,
    "settings.invalid": 78,
    "settings.missing": 78,
    "profile.invalid": 78,
}


class CannotServeError(Exception):
    """The agent did not start, and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class Options(Struct, frozen=True, kw_only=True):
    """What the command line says; None means: as the settings say."""

    settings: Path | None = None
    data: Path | None = None
    port: int | None = None
    simulate: bool = False
    reader_kinds: tuple[str, ...] = ("inprocess",)
    centre: str | None = None
    debug: bool = False


class Serving(Struct, frozen=True):
    """An agent that is ready to serve."""

    server: Server
    port: int
    folder: DataFolder
    hand: main.SimulatedReaders | None
    profile: RegionProfile

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"


def run(options: Options) -> int:
    """Serve until interrupted."""
    try:
        with prepared(options) as serving:
            screen.line(f"kaqi {__version__}  {serving.address}")
            screen.line(f"{serving.profile.label}  {serving.folder.path}")
            if options.simulate:
                screen.line(
                    "模拟运行，一切都不是真的 / SIMULATION: nothing here is real"
                )
            serving.server.run()
    except CannotServeError as failed:
        screen.complain(failed.problem, as_json=False)
        return EXIT_CODES.get(failed.problem.code, 1)
    return 0


@contextmanager
def prepared(options: Options) -> Iterator[Serving]:
    """Everything started but the HTTP server, and given back at the end. Raises
    CannotServeError."""
    with ExitStack() as stack:
        settings, profile = read_settings(options)
        folder = opened_folder(options)
        stack.callback(logs.configure(folder.logs, debug=options.debug))
        sockets = _sockets(settings.port if options.port is None else options.port)
        for each in sockets:
            stack.callback(each.close)
        port = sockets[0].getsockname()[1]
        hand: main.SimulatedReaders | None = None
        if options.simulate:
            settings = replace(
                settings, centre_address=_simulated_centre(options, stack)
            )
            hand = _simulated_readers(options.reader_kinds)
            stack.callback(hand.close)
        readers = hand.directories if hand else {"pcsc": main.pcsc_readers()}
        agent = _agent(settings, profile, folder, port, readers, hand)
        agent.till.start()
        stack.callback(agent.till.stop)
        folder.operator_token()
        folder.announce(port)
        gc.freeze()  # what was made until now stays
        gc.enable()
        stack.callback(folder.withdraw)
        yield Serving(Server(agent.app, sockets), port, folder, hand, profile)


def _agent(
    settings: Settings,
    profile: RegionProfile,
    folder: DataFolder,
    port: int,
    readers: Mapping[str, ReaderDirectory],
    hand: main.SimulatedReaders | None,
) -> main.Agent:
    try:
        return main.agent(
            settings=settings,
            profile=profile,
            folder=folder,
            port=port,
            directories=readers,
            hand=hand,
        )
    except JournalError as failed:
        raise CannotServeError(Problem(failed.code)) from failed
    except DataFolderError as failed:
        raise CannotServeError(_data_folder(failed)) from failed


def _sockets(port: int) -> list[socket.socket]:
    try:
        return listen(port)
    except PortInUseError as taken:
        holder = f" ({taken.holder})" if taken.holder else ""
        facts = {"port": str(taken.port), "holder": holder}
        raise CannotServeError(Problem("agent.port_in_use", facts)) from taken


def _simulated_centre(options: Options, stack: ExitStack) -> str:
    """A centre of our own; or the one that was asked for, if it is a simulated one."""
    if options.centre is None:
        centre = main.SimulatedCentre()
        stack.callback(centre.close)
        return centre.address
    if not main.is_simulated_centre(options.centre):
        raise CannotServeError(Problem("centre.not_simulated"))
    return options.centre


def read_settings(options: Options) -> tuple[Settings, RegionProfile]:
    """The settings and the region profile they name."""
    try:
        settings = _settings(options)
    except FileMissingError as missing:
        raise CannotServeError(Problem("settings.missing", missing.facts)) from missing
    except DataFileError as wrong:
        raise CannotServeError(Problem("settings.invalid", wrong.facts)) from wrong
    try:
        profile = load_profile(settings.region)
    except DataFileError as wrong:
        raise CannotServeError(Problem("profile.invalid", wrong.facts)) from wrong
    return settings, profile


def _settings(options: Options) -> Settings:
    if options.simulate and options.settings is None:
        settings = Settings(institution=SIMULATED_INSTITUTION)
    else:
        usual = user_config_path("kaqi") / "kaqi.toml"
        settings = load_settings(options.settings or usual)
    if options.centre is not None:
        settings = replace(settings, centre_address=options.centre)
    return settings


def opened_folder(options: Options) -> DataFolder:
    """The data folder; a simulation has one of its own."""
    usual = user_data_path("kaqi") / ("simulated" if options.simulate else "till")
    try:
        return DataFolder(options.data or usual)
    except DataFolderError as failed:
        raise CannotServeError(_data_folder(failed)) from failed


def _simulated_readers(kinds: tuple[str, ...]) -> main.SimulatedReaders:
    try:
        return main.SimulatedReaders.started(kinds)
    except RuntimeError as missing:
        problem = Problem("agent.part_missing", {"part": str(missing)})
        raise CannotServeError(problem) from missing


def _data_folder(failed: DataFolderError) -> Problem:
    return Problem("agent.data_folder", {"path": str(failed)})

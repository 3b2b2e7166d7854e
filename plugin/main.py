"""The composition root: every part by name, put together once."""

from __future__ import annotations

import time
import tomllib
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from drivers.ports import Clock, ReaderDirectory, SimulatedDesk
from drivers.serial_line.settings import SerialPort
from plugin import __version__, logs
from plugin.activation.region import RegionProfile
from plugin.agent import doctor, drop_box, support
from plugin.agent.about import About
from plugin.agent.backups import Backups
from plugin.agent.clients import SCOPES, Clients
from plugin.agent.console import Console
from plugin.agent.counting import Counts
from plugin.agent.custody import Custody
from plugin.agent.doctor import Finding, Remembered
from plugin.agent.drop_box import DropBox
from plugin.agent.loop import DecidingLoop
from plugin.agent.pairings import Pairings
from plugin.agent.retention import Retention
from plugin.agent.space import Space
from plugin.agent.till import Till
from plugin.api.answers import Region
from plugin.api.app import build
from plugin.api.events import Hub
from plugin.api.guard import Guard, House, Limits
from plugin.api.problems import Catalogue, Prompts
from plugin.api.receipts import Receipts
from plugin.api.rendering import Rendering
from plugin.api.resources import Entrance, Parts
from plugin.api.ways import Ways
from plugin.api.wording import Wording
from plugin.centre import adapters
from plugin.centre.port import Centre, Patience
from plugin.centre.simulated import SimulatedCentreDesk
from plugin.data_file import secret
from plugin.data_folder import DataFolder, write_private
from plugin.journal.layout import age_of, is_sound
from plugin.journal.place import Place
from plugin.journal.sqlite import SqliteJournal
from plugin.settings import Settings

if TYPE_CHECKING:
    from plugin.api.explaining import Explainer

TEXTS = Path(__file__).parent / "texts"
CONSOLE = Path(__file__).parents[1] / "console"


class SystemClock:
    """The computer's clocks."""

    def monotonic(self) -> float:
        """Seconds that only move forward."""
        return time.monotonic()

    def now(self) -> datetime:
        """The wall clock in the local zone."""
        return datetime.now().astimezone()  # noqa: TID251 - this is the clock


def texts(name: str) -> Callable[[], dict[str, Any]]:
    """Reads one of the files in texts/."""
    return lambda: tomllib.loads((TEXTS / f"{name}.toml").read_text(encoding="utf-8"))


def catalogue(profile: RegionProfile | None = None) -> Catalogue:
    """Every problem the agent can name, with the ways out of it that this region has, or
    those of the guidance."""
    return Catalogue(texts("problems"), Ways(texts("ways"), profile))


def prompts(profile: RegionProfile | None = None) -> Prompts:
    """What the operator reads, in this region's words where it has its own."""
    return Prompts(texts("prompts"), profile.wording if profile else {})


def checks() -> Wording:
    """What is examined, by name."""
    return Wording(texts("checks"))


def explainer(profile: RegionProfile) -> Explainer:
    """Says what the rules of a region mean at the counter."""
    from plugin.api.explaining import Explainer  # a till that is not asked does without

    words = Wording(texts("explain"))
    return Explainer(profile, catalogue(profile), prompts(profile), words)


def pcsc_readers() -> ReaderDirectory:
    """The real readers of this machine."""
    from drivers.pcsc import PcscDirectory

    return PcscDirectory()


def real_readers(settings: Settings) -> dict[str, ReaderDirectory]:
    """The readers of a till, by transport."""
    if not settings.serial:
        return {"pcsc": pcsc_readers()}
    return {"pcsc": pcsc_readers(), "serial": serial_readers(settings.serial)}


def serial_readers(ports: Iterable[SerialPort]) -> ReaderDirectory:
    """The readers on these ports."""
    from drivers.serial_line.directory import SerialDirectory

    return SerialDirectory(ports)


def centre_of(profile: RegionProfile, settings: Settings) -> Centre:
    """The centre of this profile, at the address the settings give, if they give one.
    Raises DataFileError about the credential."""
    credential = settings.centre_credential_file
    return adapters.opened(
        profile.centre,
        address=settings.centre_address,
        credential=secret(Path(credential)) if credential else None,
        patience=Patience(read=profile.clocks.centre),
    )


class Agent(Struct, frozen=True):
    """A till and the HTTP application in front of it."""

    till: Till
    app: Guard
    hub: Hub
    is_safe_mode: bool  # the journal is damaged, and nothing can be promised

    def stopping(self) -> None:
        """The end has begun: tell those who follow, and keep nobody waiting."""
        self.till.say_goodbye()
        self.hub.stop()


def agent(
    *,
    settings: Settings,
    profile: RegionProfile,
    folder: DataFolder,
    port: int,
    directories: Mapping[str, ReaderDirectory],
    hand: SimulatedDesk | None = None,
    clock: Clock | None = None,
    space: Space | None = None,
    limits: Limits | None = None,
) -> Agent:
    """Everything put together; simulated when there is a `hand`.

    Raises DataFolderError and JournalError.
    """
    site = Site(
        settings=settings,
        profile=profile,
        folder=folder,
        directories=directories,
        hand=hand,
        clock=clock or SystemClock(),
        space=space or Space(folder.path, ballast=hand is None),
    )
    return _Assembly(site).agent(port, limits or Limits())


class Site(Struct, frozen=True, kw_only=True):
    """Where an agent is put together, and of what."""

    settings: Settings
    profile: RegionProfile
    folder: DataFolder
    directories: Mapping[str, ReaderDirectory]
    hand: SimulatedDesk | None
    clock: Clock
    space: Space


class _Assembly:
    """The parts that others are made of, then those others. Raises DataFolderError and
    JournalError."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._keys = keys = site.folder.keys()
        self._hub = Hub()
        self._counts = counts = Counts()
        self._centre = centre_of(site.profile, site.settings)
        self._place = Place(site.folder.path)
        self._journal = self._place.opened(
            lambda file: SqliteJournal(file, keys, committed=counts.commits.note)
        )

    def agent(self, port: int, limits: Limits) -> Agent:
        """The till, and the application in front of it."""
        till = self._till()
        entrance = _entrance(
            till, self._site.folder, simulated=self._site.hand is not None
        )
        parts = self._parts(till, entrance, lambda: app.rejections)
        house = House(
            port=port,
            origins=self._site.settings.origins,
            authenticate=entrance.clients.known,
            ticks=till.loop.ticks,
            rejected=till.rejected,
            limits=limits,
        )
        app = build(parts, house, __version__)
        return Agent(till, app, self._hub, self._place.trouble is not None)

    def _till(self) -> Till:
        site, settings = self._site, self._site.settings
        return Till(
            clock=site.clock,
            random=SystemRandom(),
            institution=settings.institution,
            profile=site.profile,
            journal=self._journal,
            keys=self._keys,
            centre=self._centre,
            directories=site.directories,
            simulated=site.hand is not None,
            psam=settings.psam_reader,
            terminal=settings.terminal,
            custody=self._custody,
            counts=self._counts,
            changed=self._hub.transaction_changed,
            happened=self._hub.happened,
        )

    def _custody(self, loop: DecidingLoop) -> Custody:
        site, journal, keys = self._site, self._journal, self._keys
        path = site.folder.path
        return Custody(
            loop,
            place=self._place,
            space=site.space,
            backups=Backups(
                journal,
                path,
                loop,
                site.clock,
                lambda copy: is_sound(copy, keys),
                lambda: self._place.turn(journal),
            ),
            retention=Retention(
                journal=journal,
                keeping=site.settings.keeping,
                words=site.profile.centre.known_words,
                time=loop,
                clock=site.clock,
                folder=path,
                age_of=lambda copy: age_of(copy, keys),
            ),
        )

    def _parts(
        self,
        till: Till,
        entrance: Entrance,
        rejections: Callable[[], Mapping[str, int]],
    ) -> Parts:
        site, settings, profile = self._site, self._site.settings, self._site.profile
        receipts = Receipts(texts("receipts"), settings.institution.name)
        return Parts(
            about=self._about(till),
            counts=self._counts,
            rejections=rejections,
            free=site.space.known_free,
            log=lambda: support.tail(logs.latest(site.folder.logs)),
            hashed=lambda value: self._keys.digest(support.HASHED, value),
            loop=till.loop,
            service=till.service,
            entrance=entrance,
            happenings=till.happenings,
            hub=self._hub,
            rendering=Rendering(
                catalogue(profile), prompts(profile), receipts, checks()
            ),
            checks=Remembered(
                lambda: (
                    *findings(self._centre, site.directories, settings.psam_reader),
                    *till.custody.findings(),
                    *drop_box.findings(site.folder.pairing_requests),
                ),
                till.loop.wall,
            ),
            simulated_desk=site.hand,
            simulated_centre=_centre_desk(settings) if site.hand else None,
            console_file=lambda name: (CONSOLE / name).read_bytes(),
            region=cache(lambda: _explained(profile, settings)),
            log_folder=str(site.folder.logs),
        )

    def _about(self, till: Till) -> About:
        site = self._site
        return About(
            version=__version__,
            instance_id=uuid.uuid4().hex[:16],
            simulated=site.hand is not None,
            safe_mode=self._place.trouble is not None,
            profile=site.profile,
            settings=site.settings,
            clock=site.clock,
            began=site.clock.monotonic(),
            started_at=till.loop.wall(),
        )


def _explained(profile: RegionProfile, settings: Settings) -> Region:
    """The rules as they are for this kind of institution."""
    kind = settings.institution.kind
    ours = (each for each in profile.chosen() if each.kind is kind)
    return explainer(profile).region(ours)


def _entrance(till: Till, folder: DataFolder, *, simulated: bool) -> Entrance:
    """Who is let in; from now on also who asks by a file."""
    ticks, random = till.loop.ticks, SystemRandom()
    scopes = frozenset(SCOPES) - (set() if simulated else {"simulate"})
    console = Console(
        sessions=folder,
        ticks=ticks,
        wall=till.loop.epoch_ms,
        random=random,
        scopes=scopes,
    )
    clients = Clients(folder, console, till.happenings)
    DropBox(folder.pairing_requests, clients, till.loop, write_private).begin()
    pairings = Pairings(
        clients=clients, ticks=ticks, wall_in=till.loop.wall_in, random=random
    )
    return Entrance(clients=clients, pairings=pairings, console=console)


def _centre_desk(settings: Settings) -> SimulatedCentreDesk:
    """The control of the centre that an agent that simulates speaks to."""
    assert settings.centre_address is not None  # noqa: S101 - never the profile's
    return SimulatedCentreDesk(settings.centre_address)


def findings(
    centre: Centre, directories: Mapping[str, ReaderDirectory], psam: str | None
) -> tuple[Finding, ...]:
    """What must be in order for transactions to be carried out."""
    return (*doctor.readers(directories, psam), doctor.centre(centre))

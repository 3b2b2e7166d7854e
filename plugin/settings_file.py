"""`kaqi.toml`: what the operator sets, checked and frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, field

from drivers.serial_line.magstripe import Lrc
from drivers.serial_line.settings import PortKind, SerialPort
from plugin import data_file
from plugin.profile_shapes import check_address
from plugin.settings import (
    DEFAULT_PORT,
    DEFAULT_REGION,
    Institution,
    InstitutionKind,
    Keeping,
    Settings,
    Terminal,
)
from plugin.shapes import Strict, WrongValueError, whole


class InstitutionFile(Strict):
    """Who runs this till."""

    code: Annotated[str, whole(r"[0-9A-Za-z]{1,30}")]
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    kind: Literal["pharmacy", "hospital"]


class CentreFile(Strict):
    """Where the centre is, when the profile's address is not the one."""

    address: str | None = None
    credential_file: str | None = None

    def __post_init__(self) -> None:
        if self.address is not None:
            check_address("address", self.address)


class ReadersFile(Strict):
    """Readers that are not for customers' cards."""

    psam: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class SerialFile(Strict):
    """One reader on a serial port."""

    kind: Literal["ccid", "tracks"]
    port: Annotated[str, Meta(min_length=1, max_length=200)]
    name: Annotated[str, whole(r"[!-~一-鿿][ -~一-鿿]{0,59}")] | None = None
    baud: Literal[2400, 4800, 9600, 19200, 38400, 57600, 115200] | None = None
    stop_bits: Literal[1, 2] | None = None
    keypad: bool = False
    lrc: Literal["optional", "always", "never"] = Lrc.OPTIONAL.value

    def __post_init__(self) -> None:
        if self.kind == "tracks" and self.keypad:
            raise WrongValueError("keypad", "a track reader has no keypad")
        if self.kind == "ccid" and self.lrc != Lrc.OPTIONAL.value:
            raise WrongValueError("lrc", "only track readers send one")

    def frozen(self) -> SerialPort:
        """The same as a driver wants it."""
        return SerialPort(
            kind=PortKind(self.kind),
            port=self.port,
            name=self.name or "",
            baud=self.baud or 0,
            stop_bits=self.stop_bits or 0,
            keypad=self.keypad,
            lrc=Lrc(self.lrc),
        )


class TerminalFile(Strict):
    """What the terminal says of itself in the basic information of a card."""

    number: Annotated[str, whole(r"[0-9]{12}")] = Terminal().number
    device: Annotated[str, whole(r"[^|]{0,40}")] = Terminal().device


PROMISED_DAYS = Keeping().record_days  # to every POS, for its Idempotency-Keys


class RetentionFile(Strict):
    """How long the journal keeps a finished record, with what is personal and as a whole."""

    personal_days: Annotated[int, Meta(ge=1, le=PROMISED_DAYS)] = (
        Keeping().personal_days
    )
    record_days: Annotated[int, Meta(ge=PROMISED_DAYS, le=3_650)] = PROMISED_DAYS


class SettingsFile(Strict):
    """The whole file."""

    institution: InstitutionFile
    region: str = DEFAULT_REGION
    port: Annotated[int, Meta(ge=1, le=65_535)] = DEFAULT_PORT
    origins: list[str] = field(default_factory=list)
    centre: CentreFile = field(default_factory=CentreFile)
    readers: ReadersFile = field(default_factory=ReadersFile)
    terminal: TerminalFile = field(default_factory=TerminalFile)
    serial: list[SerialFile] = field(default_factory=list)
    retention: RetentionFile = field(default_factory=RetentionFile)

    def __post_init__(self) -> None:
        ports = [each.frozen() for each in self.serial]
        _all_different("port", [each.port for each in ports])
        _all_different("name", [each.shown_name for each in ports])
        for origin in self.origins:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise WrongValueError(
                    "origins", "an origin is like https://his.example"
                )
            if f"{parts.scheme}://{parts.netloc}" != origin or origin != origin.lower():
                raise WrongValueError("origins", "lower case, neither path nor slash")


def _all_different(key: str, given: list[str]) -> None:
    """Of the serial readers. Raises WrongValueError."""
    for at, each in enumerate(given):
        if each in given[:at]:
            raise WrongValueError(f"serial[{at}].{key}", f"the same {key} twice")


def load_settings(path: Path) -> Settings:
    """The settings in this file. Raises DataFileError."""
    found = data_file.load(path, SettingsFile)
    if found.centre.credential_file is not None:
        data_file.secret(Path(found.centre.credential_file))  # told now, used later
    return Settings(
        institution=Institution(
            code=found.institution.code,
            name=found.institution.name,
            kind=InstitutionKind(found.institution.kind),
        ),
        region=found.region,
        port=found.port,
        origins=frozenset(found.origins),
        centre_address=found.centre.address,
        centre_credential_file=found.centre.credential_file,
        psam_reader=found.readers.psam,
        terminal=Terminal(number=found.terminal.number, device=found.terminal.device),
        serial=tuple(each.frozen() for each in found.serial),
        keeping=Keeping(
            personal_days=found.retention.personal_days,
            record_days=found.retention.record_days,
        ),
    )

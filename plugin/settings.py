"""What is set per till, as frozen values handed down as arguments."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from drivers.serial_line.settings import SerialPort

DEFAULT_PORT = 15274
DEFAULT_REGION = "reference"


class InstitutionKind(StrEnum):
    """Who runs the till."""

    PHARMACY = "pharmacy"
    HOSPITAL = "hospital"


class Institution(Struct, frozen=True, kw_only=True):
    """The designated institution: its code at the insurance centre, its name, its kind."""

    code: str
    name: str
    kind: InstitutionKind


SIMULATED_INSTITUTION = Institution(
    code="SIM0001", name="模拟机构 Simulated", kind=InstitutionKind.HOSPITAL
)


class Terminal(Struct, frozen=True, kw_only=True):
    """What the terminal says of itself: twelve digits (zeros without a PSAM that has a
    number), and what its maker calls it."""

    number: str = "000000000000"
    device: str = ""


class Keeping(Struct, frozen=True, kw_only=True):
    """For how many days after its end a record is kept with what is personal, and as a
    whole: so long its Idempotency-Key is answered."""

    personal_days: int = 30
    record_days: int = 400


class Settings(Struct, frozen=True, kw_only=True):
    """One till. `centre_address` replaces the profile's, `centre_credential` is sent to it;
    `serial` are the readers on serial ports; `psam_reader` is part of the name of the slot that holds the PSAM; `origins` are the web pages that may call us, spelled exactly as browsers send them."""

    institution: Institution
    region: str = DEFAULT_REGION
    port: int = DEFAULT_PORT
    origins: frozenset[str] = frozenset()
    centre_address: str | None = None
    centre_credential_file: str | None = None
    psam_reader: str | None = None
    terminal: Terminal = Terminal()
    serial: tuple[SerialPort, ...] = ()
    keeping: Keeping = Keeping()

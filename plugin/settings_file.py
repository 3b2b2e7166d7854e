"""`kaqi.toml`: what the operator sets, checked and frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from plugin import data_file
from plugin.data_file import Strict
from plugin.profile_file import checked_address
from plugin.settings import (
    DEFAULT_PORT,
    DEFAULT_REGION,
    Institution,
    InstitutionKind,
    Settings,
)


class InstitutionFile(Strict):
    """Who runs this till."""

    code: str = Field(pattern=r"^[0-9A-Za-z]{1,30}$")
    name: str = Field(min_length=1, max_length=200)
    kind: Literal["pharmacy", "hospital"]


class CentreFile(Strict):
    """Where the centre is, when the profile's address is not the one."""

    address: str | None = None
    credential_file: str | None = None

    @field_validator("address")
    @classmethod
    def _is_safe(cls, address: str | None) -> str | None:
        return checked_address(address) if address is not None else None


class SettingsFile(Strict):
    """The whole file."""

    institution: InstitutionFile
    region: str = DEFAULT_REGION
    port: int = Field(default=DEFAULT_PORT, ge=1, le=65_535)
    origins: list[str] = Field(default_factory=list)
    centre: CentreFile = CentreFile()

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("an origin is like https://his.example")
            if f"{parts.scheme}://{parts.netloc}" != origin or origin != origin.lower():
                raise ValueError("an origin has lower case and neither path nor slash")
        return origins


def load_settings(path: Path) -> Settings:
    """The settings in this file. Raises DataFileError."""
    found = data_file.load(path, SettingsFile)
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
    )

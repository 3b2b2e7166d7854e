"""What is set per till, as frozen values handed down as arguments."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DEFAULT_PORT = 15274


class InstitutionKind(StrEnum):
    """Who runs the till."""

    PHARMACY = "pharmacy"
    HOSPITAL = "hospital"


@dataclass(frozen=True, slots=True, kw_only=True)
class Institution:
    """The designated institution: its code at the insurance centre, its name, its kind."""

    code: str
    name: str
    kind: InstitutionKind

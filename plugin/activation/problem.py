"""What stands in the way, by its name in the catalogue of problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The centre's "no", in its own words: its code, and its text without personal data."""

    code: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """A catalogue code, what fills its sentences, and the centre's words beside it.

    `facts` are shown and logged as they are, so nothing personal may be among them.
    """

    code: str
    facts: Mapping[str, str] = field(default_factory=dict)
    centre: Refusal | None = None

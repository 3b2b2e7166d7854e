"""What stands in the way, by its name in the catalogue of problems."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field


class Refusal(Struct, frozen=True, kw_only=True, array_like=True):
    """The centre's "no", in its own words: its code, and its text without personal data."""

    code: str = ""
    text: str = ""


class Problem(Struct, frozen=True, array_like=True):
    """A catalogue code, what fills its sentences, and the centre's words beside it.

    `facts` are shown and logged as they are, so nothing personal may be among them.
    """

    code: str
    facts: Mapping[str, str] = field(default_factory=dict)
    centre: Refusal | None = None

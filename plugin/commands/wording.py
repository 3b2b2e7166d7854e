"""The words of `kaqi region`, from texts/explain.toml."""

from __future__ import annotations

from msgspec import to_builtins

from plugin import main
from plugin.api.wording import Wording
from plugin.commands import screen

WORDING = Wording(main.texts("explain"))


def say(section: str, key: str, language: str, /, **parts: object) -> str:
    """One sentence in one language."""
    both = WORDING.texts(section, key, **parts)
    return both.chinese if language == screen.CHINESE else both.english


def texts(section: str, key: str, /, **parts: object) -> dict[str, str]:
    """The same in both."""
    both: dict[str, str] = to_builtins(WORDING.texts(section, key, **parts))
    return both

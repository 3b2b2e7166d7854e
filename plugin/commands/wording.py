"""The words of `kaqi region`, from texts/explain.toml."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from msgspec import convert

from plugin import main
from plugin.api.ways import Words
from plugin.commands import screen

Book = Mapping[str, Mapping[str, Words]]


@cache
def book() -> Book:
    """Every sentence, by section and key."""
    return convert(main.texts("explain")(), dict[str, dict[str, Words]])


def say(section: str, key: str, language: str, /, **parts: object) -> str:
    """One sentence in one language."""
    words = book()[section][key]
    sentence = words.zh if language == screen.CHINESE else words.en
    return sentence.format(**parts)


def texts(section: str, key: str, /, **parts: object) -> dict[str, str]:
    """The same in both."""
    both = (screen.CHINESE, screen.ENGLISH)
    return {language: say(section, key, language, **parts) for language in both}
